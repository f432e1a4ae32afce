/* SPDX-License-Identifier: MIT */
/*
 * zeroipc create, rm, gc, verify: making segments and structures, and taking care of them.
 */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- create --------------------------------------------------------------------------------- */

#define STRUCTURE_OPTIONS                                                                          \
	(CLI_OPT_TYPE | CLI_OPT_ELEMENT_SIZE | CLI_OPT_CAPACITY | CLI_OPT_ALIGNMENT |              \
	 CLI_OPT_SCHEMA | CLI_OPT_FORMAT | CLI_OPT_SINGLE_PRODUCER | CLI_OPT_SINGLE_CONSUMER |     \
	 CLI_OPT_AT_LEAST_ONCE | CLI_OPT_TRUST)
#define SEGMENT_OPTIONS (CLI_OPT_SIZE | CLI_OPT_MAX_SIZE | CLI_OPT_MAX_PEERS | CLI_OPT_MODE)
#define QUEUE_OPTIONS	(CLI_OPT_SINGLE_PRODUCER | CLI_OPT_SINGLE_CONSUMER | CLI_OPT_AT_LEAST_ONCE)

static void json_created(const cli_call *call, const char *what)
{
	cli_json json = {0};

	if (!cli_given(call, CLI_OPT_JSON))
		return;
	cli_json_open(&json, '{');
	cli_json_text(&json, "created", what);
	cli_json_text(&json, "name", call->argv[0]);
	cli_json_close(&json, '}');
	cli_json_end(&json);
}

static int create_segment(const cli_call *call)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	const char *name = call->argv[0];
	zipc_segment *segment;
	int rc;

	options.backing = cli_backing_of(name);
	options.size = call->options.size;
	options.max_size = call->options.max_size;
	options.max_peers = (uint32_t)call->options.max_peers;
	options.mode = (uint32_t)call->options.mode;
	rc = zipc_segment_create(name, &options, &segment);
	if (rc < 0)
		return cli_failed("%s", cli_reason(rc));
	zipc_segment_close(segment);
	json_created(call, "segment");
	return CLI_OK;
}

/* A format gives the element's size and, for others to see, the schema. */
static uint64_t element_size(const cli_call *call)
{
	if (cli_given(call, CLI_OPT_ELEMENT_SIZE))
		return call->options.element_size;
	return cli_format_width(call->options.format);
}

static const char *schema(const cli_call *call)
{
	if (cli_given(call, CLI_OPT_SCHEMA))
		return call->options.schema;
	return cli_given(call, CLI_OPT_FORMAT) ? cli_format_name(call->options.format) : NULL;
}

static int create_queue(const cli_call *call, const cli_target *target)
{
	zipc_queue_options options = ZIPC_QUEUE_OPTIONS_INIT;
	zipc_queue *queue;
	int rc;

	options.alignment = (uint32_t)call->options.alignment;
	options.schema = schema(call);
	if (cli_given(call, CLI_OPT_SINGLE_PRODUCER))
		options.flags |= ZIPC_QUEUE_SINGLE_PRODUCER;
	if (cli_given(call, CLI_OPT_SINGLE_CONSUMER))
		options.flags |= ZIPC_QUEUE_SINGLE_CONSUMER;
	if (cli_given(call, CLI_OPT_AT_LEAST_ONCE))
		options.flags |= ZIPC_QUEUE_AT_LEAST_ONCE;
	rc = zipc_queue_create(target->segment, target->name, element_size(call),
			       call->options.capacity, &options, &queue);
	if (rc < 0)
		return cli_failed("%s", cli_reason(rc));
	zipc_queue_close(queue);
	json_created(call, "queue");
	return CLI_OK;
}

static int create_array(const cli_call *call, const cli_target *target)
{
	zipc_array_options options = ZIPC_ARRAY_OPTIONS_INIT;
	zipc_array *array;
	int rc;

	options.alignment = (uint32_t)call->options.alignment;
	options.schema = schema(call);
	rc = zipc_array_create(target->segment, target->name, element_size(call),
			       call->options.capacity, &options, &array);
	if (rc < 0)
		return cli_failed("%s", cli_reason(rc));
	zipc_array_close(array);
	json_created(call, "array");
	return CLI_OK;
}

static int check_structure_options(const cli_call *call, bool is_queue)
{
	if (element_size(call) == 0)
		return cli_misused(call->command, "say how large an element is: --element-size N, "
						  "or --format u64 and the like");
	if (!cli_given(call, CLI_OPT_CAPACITY))
		return cli_misused(call->command, "say how many elements: --capacity N");
	if (cli_given(call, SEGMENT_OPTIONS))
		return cli_misused(call->command, "--size, --max-size, --max-peers and --mode are "
						  "for segments, not for structures");
	if (!is_queue && cli_given(call, QUEUE_OPTIONS))
		return cli_misused(call->command, "--single-producer, --single-consumer and "
						  "--at-least-once are for queues");
	return CLI_OK;
}

static int create_structure(const cli_call *call)
{
	bool is_queue = strcmp(call->options.type, "queue") == 0;
	cli_target target;
	int rc;

	if (!is_queue && strcmp(call->options.type, "array") != 0)
		return cli_misused(call->command, "--type is queue or array, not '%s'",
				   call->options.type);
	rc = check_structure_options(call, is_queue);
	if (rc == CLI_OK)
		rc = cli_attach(call, call->argv[0], CLI_WORK, CLI_STRUCTURE, &target);
	if (rc != CLI_OK)
		return rc;
	rc = is_queue ? create_queue(call, &target) : create_array(call, &target);
	cli_detach(&target);
	return rc;
}

static int run_create(const cli_call *call)
{
	if (cli_given(call, CLI_OPT_TYPE))
		return create_structure(call);
	if (cli_given(call, STRUCTURE_OPTIONS))
		return cli_misused(
			call->command,
			"without --type queue or --type array this makes a segment, which "
			"has no elements");
	return create_segment(call);
}

/* ---- rm ------------------------------------------------------------------------------------- */

static void json_removed(const cli_call *call, const char *what, const char *argument)
{
	cli_json json = {0};

	if (!cli_given(call, CLI_OPT_JSON))
		return;
	cli_json_open(&json, '{');
	cli_json_text(&json, "removed", what);
	cli_json_text(&json, "name", argument);
	cli_json_close(&json, '}');
	cli_json_end(&json);
}

static int remove_segment(const cli_call *call, const char *name)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	int rc;

	options.backing = cli_backing_of(name);
	rc = zipc_segment_remove(name, &options);
	if (rc < 0)
		return cli_failed("%s", cli_reason(rc));
	json_removed(call, "segment", name);
	return CLI_OK;
}

static int remove_structure(const cli_call *call, const char *argument)
{
	cli_structure structure;
	cli_target target;
	int rc = cli_attach(call, argument, CLI_WORK, CLI_STRUCTURE, &target);

	if (rc != CLI_OK)
		return rc;
	/* Found first for the sake of a better message. */
	rc = cli_find_structure(&target, &structure);
	if (rc == CLI_OK) {
		rc = zipc_remove(target.segment, target.name);
		rc = rc < 0 ? cli_failed("%s", cli_reason(rc)) : CLI_OK;
	}
	cli_detach(&target);
	if (rc == CLI_OK)
		json_removed(call, structure.type_name, argument);
	return rc;
}

/* "a/b" may be a segment and at the same time structure "b" of segment "a". */
static bool is_structure_too(const char *name)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	bool found = false;

	options.flags = ZIPC_SEGMENT_READ_ONLY;
	for (size_t i = strlen(name); i-- > 1 && !found;) {
		zipc_segment *segment;
		char *prefix;

		if (name[i] != '/')
			continue;
		prefix = cli_copy(name, i);
		if (zipc_segment_open(prefix, &options, &segment) >= 0) {
			found = cli_has_structure(segment, name + i + 1);
			zipc_segment_close(segment);
		}
		free(prefix);
	}
	return found;
}

static int remove_one(const cli_call *call, const char *argument)
{
	if (cli_given(call, CLI_OPT_SEGMENT))
		return remove_segment(call, argument);
	if (!cli_segment_exists(argument))
		return remove_structure(call, argument);
	if (cli_backing_of(argument) == ZIPC_BACKING_SHM && is_structure_too(argument))
		return cli_failed("'%s' is a segment and also a structure of another one; write "
				  "'--segment %s' or, for the structure, 'SEG//NAME'",
				  argument, argument);
	return remove_segment(call, argument);
}

static int run_rm(const cli_call *call)
{
	int worst = CLI_OK;

	for (int i = 0; i < call->argc; i++) {
		int rc = remove_one(call, call->argv[i]);

		worst = rc > worst ? rc : worst;
	}
	return worst;
}

/* ---- gc ------------------------------------------------------------------------------------- */

static int run_gc(const cli_call *call)
{
	cli_json json = {0};
	cli_target target;
	int rc = cli_attach(call, call->argv[0], CLI_WORK, CLI_SEGMENT, &target);

	if (rc != CLI_OK)
		return rc;
	cli_catch_signals(target.segment);
	rc = zipc_segment_gc(target.segment);
	if (cli_caught()) {
		rc = cli_caught();
	} else if (rc < 0) {
		rc = cli_failed("%s", cli_reason(rc));
	} else if (cli_given(call, CLI_OPT_JSON)) {
		cli_json_open(&json, '{');
		cli_json_text(&json, "segment", target.segment_name);
		cli_json_number(&json, "given_back", (uint64_t)rc);
		cli_json_close(&json, '}');
		cli_json_end(&json);
		rc = CLI_OK;
	} else {
		printf("%d thing%s of dead processes given back\n", rc, rc == 1 ? "" : "s");
		rc = CLI_OK;
	}
	cli_detach(&target);
	return rc;
}

/* ---- verify --------------------------------------------------------------------------------- */

static int print_problem(const char *problem, void *arg)
{
	(void)arg;
	cli_put_safe(stdout, problem, strlen(problem));
	putchar('\n');
	return 0;
}

static int json_problem(const char *problem, void *arg)
{
	cli_json_string(arg, problem, strlen(problem));
	return 0;
}

static int verify_json(const cli_target *target)
{
	cli_json json = {0};
	int rc;

	cli_json_open(&json, '{');
	cli_json_text(&json, "segment", target->segment_name);
	cli_json_key(&json, "problems");
	cli_json_open(&json, '[');
	rc = zipc_segment_verify(target->segment, json_problem, &json);
	cli_json_close(&json, ']');
	cli_json_flag(&json, "sound", rc == 0);
	cli_json_close(&json, '}');
	cli_json_end(&json);
	return rc;
}

static int run_verify(const cli_call *call)
{
	bool json = cli_given(call, CLI_OPT_JSON);
	cli_target target;
	int rc = cli_attach(call, call->argv[0], CLI_WORK, CLI_SEGMENT, &target);

	if (rc != CLI_OK)
		return rc;
	cli_catch_signals(target.segment);
	rc = json ? verify_json(&target) : zipc_segment_verify(target.segment, print_problem, NULL);
	if (cli_caught())
		rc = cli_caught();
	else if (rc < 0)
		rc = cli_failed("%s", cli_reason(rc));
	else if (rc > 0)
		rc = cli_failed("segment '%s': %d problem%s", target.segment_name, rc,
				rc == 1 ? "" : "s");
	else if (!json)
		puts("sound");
	cli_detach(&target);
	return rc;
}

/* ---- commands ------------------------------------------------------------------------------- */

const cli_command cli_create = {
	.name = "create",
	.arguments = "SEG [OPTIONS] | SEG/NAME --type queue|array [OPTIONS]",
	.summary = "create a segment, or a queue or array in one",
	.help = "Without --type a segment:\n"
		"      --size SIZE          reserved at once (2M)\n"
		"      --max-size SIZE      may grow to; address space, not memory (64G)\n"
		"      --max-peers N        processes at one time (256)\n"
		"      --mode MODE          permissions (0600)\n"
		"With --type a structure in a segment that exists:\n"
		"  -t, --type TYPE          queue or array\n"
		"  -e, --element-size SIZE  bytes of an element\n"
		"  -f, --format FORMAT      u64, f32, ...: gives the size of an element where that "
		"is\n"
		"                           not given, and becomes the schema: cat, push and pop "
		"then\n"
		"                           use it\n"
		"  -c, --capacity N         so many elements (queue: rounded up to a power of "
		"two)\n"
		"      --alignment N        of the elements, in bytes\n"
		"      --schema TEXT        what an element is, for people and programs\n"
		"      --single-producer, --single-consumer\n"
		"                           queue: faster, for one process on that side\n"
		"      --at-least-once      queue: what a dead consumer had taken comes back\n"
		"      --trust              use a segment that other users own or may write to\n"
		"Sizes take K, M, G. With --json: {\"created\", \"name\"}.\n"
		"\n"
		"examples:\n"
		"  zeroipc create jobs\n"
		"  zeroipc create jobs/inbox -t queue -e 256 -c 1024 --at-least-once\n"
		"  zeroipc create jobs/done -t array -f u64 -c 16\n"
		"  zeroipc create ./saved.zipc --max-size 1G\n",
	.options = CLI_OPT_JSON | STRUCTURE_OPTIONS | SEGMENT_OPTIONS,
	.least = 1,
	.most = 1,
	.run = run_create,
};

const cli_command cli_rm = {
	.name = "rm",
	.arguments = "SEG | SEG/NAME... [--segment] [--json] [--trust]",
	.summary = "remove segments or structures",
	.help = "Removes the name. Processes that use the segment or structure go on undisturbed; "
		"its\n"
		"memory is free when the last of them has closed it or is dead.\n"
		"\n"
		"  --segment  the argument is a segment, even if it could also be read as "
		"SEG/NAME\n"
		"  --json     one {\"removed\", \"name\"} per line\n"
		"  --trust    structures: open a segment that other users own or may write to\n"
		"\n"
		"examples:\n"
		"  zeroipc rm jobs/inbox\n"
		"  zeroipc rm jobs\n"
		"  zeroipc rm ./saved.zipc\n",
	.options = CLI_OPT_JSON | CLI_OPT_TRUST | CLI_OPT_SEGMENT,
	.least = 1,
	.most = -1,
	.run = run_rm,
};

const cli_command cli_gc = {
	.name = "gc",
	.arguments = "SEG [--json] [--trust]",
	.summary = "give back what dead processes still hold",
	.help = "Never needed: whoever meets something of a dead process takes care of it. This "
		"does\n"
		"it for the whole segment at once and says how much there was.\n"
		"\n"
		"  --json    {\"segment\", \"given_back\"}\n"
		"  --trust   open it even if other users own it or may write to it\n"
		"\n"
		"example:\n"
		"  zeroipc gc jobs\n",
	.options = CLI_OPT_JSON | CLI_OPT_TRUST,
	.least = 1,
	.most = 1,
	.run = run_gc,
};

const cli_command cli_verify = {
	.name = "verify",
	.arguments = "SEG [--json] [--trust]",
	.summary = "check a segment for damage",
	.help = "Walks everything and prints a line for each thing that cannot be right, or "
		"\"sound\".\n"
		"Exit code 1 when there was any.\n"
		"\n"
		"  --json    {\"segment\", \"problems\", \"sound\"}\n"
		"  --trust   open it even if other users own it or may write to it\n"
		"\n"
		"example:\n"
		"  zeroipc verify jobs && echo fine\n",
	.options = CLI_OPT_JSON | CLI_OPT_TRUST,
	.least = 1,
	.most = 1,
	.run = run_verify,
};
