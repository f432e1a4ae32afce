/* SPDX-License-Identifier: MIT */
/*
 * zeroipc push, pop, shutdown: items into queues and out of them.
 *
 * pop takes an item in place, writes it out, and acknowledges it only after the write succeeded: in
 * an at-least-once queue nothing is lost when the reader of our output leaves or we are killed.
 */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static bool as_json(const cli_call *call)
{
	return cli_given(call, CLI_OPT_JSON);
}

/* ---- push ----------------------------------------------------------------------------------- */

/* Where items go, and how many arrived. */
typedef struct sink {
	const cli_target *target;
	zipc_queue *queue;
	cli_format format;
	size_t size;
	int64_t wait_ns;
	void *element;
	uint64_t pushed;
} sink;

static int push_refused(const sink *s, int rc)
{
	const char *name = s->target->name;
	unsigned long long capacity = zipc_queue_capacity(s->queue);

	if (cli_caught())
		return cli_caught();
	if (rc == -EAGAIN)
		return cli_failed("queue '%s' is full (%llu items); --wait SECONDS waits for room",
				  name, capacity);
	if (rc == -ETIMEDOUT)
		return cli_failed("queue '%s' stayed full (%llu items) all the time", name,
				  capacity);
	if (rc == -EPIPE)
		return cli_failed("queue '%s' is shut down: it takes nothing any more", name);
	return cli_failed("%s", cli_reason(rc));
}

static int push_item(sink *s, const char *text, size_t length)
{
	char problem[128];
	int rc;

	if (!cli_value_parse(s->format, text, length, s->element, s->size, problem))
		return cli_failed("item %llu does not fit into queue '%s' as %s: %s",
				  (unsigned long long)s->pushed + 1, s->target->name,
				  cli_format_name(s->format), problem);
	rc = zipc_queue_push(s->queue, s->element, s->wait_ns);
	if (rc < 0)
		return push_refused(s, rc);
	s->pushed++;
	return CLI_OK;
}

/* Reading holds nothing in the segment, so a signal may end the process right there. */
static ssize_t read_line(char **line, size_t *room)
{
	ssize_t length;

	cli_exit_on_signal(true);
	length = getline(line, room, stdin);
	cli_exit_on_signal(false);
	if (length > 0 && (*line)[length - 1] == '\n')
		(*line)[--length] = '\0';
	return length;
}

static int push_lines(sink *s)
{
	char *line = NULL;
	size_t room = 0;
	ssize_t length;
	int rc = CLI_OK;

	while (rc == CLI_OK && (length = read_line(&line, &room)) >= 0)
		rc = push_item(s, line, (size_t)length);
	free(line);
	return rc;
}

static int push_raw(sink *s)
{
	char *bytes = cli_memory(NULL, s->size);
	int rc = CLI_OK;

	while (rc == CLI_OK) {
		size_t got;

		cli_exit_on_signal(true);
		got = fread(bytes, 1, s->size, stdin);
		cli_exit_on_signal(false);
		if (got == 0)
			break;
		rc = push_item(s, bytes, got);
	}
	free(bytes);
	return rc;
}

static int push_input(sink *s)
{
	int rc = s->format == CLI_FORMAT_RAW ? push_raw(s) : push_lines(s);

	if (rc == CLI_OK && ferror(stdin))
		return cli_failed("cannot read standard input: %s", strerror(errno));
	return rc;
}

static int push_arguments(const cli_call *call, sink *s)
{
	int rc = CLI_OK;

	for (int i = 1; rc == CLI_OK && i < call->argc; i++)
		rc = push_item(s, call->argv[i], strlen(call->argv[i]));
	return rc;
}

static bool from_input(const cli_call *call)
{
	return call->argc == 1 || (call->argc == 2 && strcmp(call->argv[1], "-") == 0);
}

static void json_pushed(const sink *s)
{
	cli_json json = {0};

	cli_json_open(&json, '{');
	cli_json_text(&json, "queue", s->target->name);
	cli_json_number(&json, "pushed", s->pushed);
	cli_json_close(&json, '}');
	cli_json_end(&json);
}

static int push_all(const cli_call *call, sink *s)
{
	bool input = from_input(call);
	int rc;

	s->size = (size_t)zipc_queue_element_size(s->queue);
	s->element = cli_memory(NULL, s->size);
	/* A pipe waits for its reader; a command that was typed rather says what is wrong. */
	s->wait_ns = cli_given(call, CLI_OPT_WAIT) ? call->options.wait_ns
		     : input			   ? ZIPC_FOREVER
						   : ZIPC_NOWAIT;
	cli_catch_signals(s->target->segment);
	rc = input ? push_input(s) : push_arguments(call, s);
	if (rc == CLI_FAILED && s->pushed > 0)
		cli_note("%llu item%s pushed before that", (unsigned long long)s->pushed,
			 s->pushed == 1 ? " was" : "s were");
	if (as_json(call))
		json_pushed(s);
	free(s->element);
	return rc;
}

static int push_to_target(const cli_call *call, const cli_target *target)
{
	cli_structure structure;
	sink s = {.target = target};
	int rc = cli_find_structure(target, &structure);

	if (rc != CLI_OK)
		return rc;
	rc = cli_open_queue(target, &structure, &s.queue);
	if (rc != CLI_OK)
		return rc;
	s.format = cli_format_choose(call, structure.schema, CLI_FORMAT_TEXT);
	rc = push_all(call, &s);
	zipc_queue_close(s.queue);
	return rc;
}

static int run_push(const cli_call *call)
{
	cli_target target;
	int rc = cli_attach(call, call->argv[0], CLI_WORK, CLI_STRUCTURE, &target);

	if (rc != CLI_OK)
		return rc;
	rc = push_to_target(call, &target);
	cli_detach(&target);
	return rc;
}

/* ---- pop ------------------------------------------------------------------------------------ */

/* Where items come from, and how many came. */
typedef struct source {
	const cli_call *call;
	const cli_target *target;
	zipc_queue *queue;
	cli_format format;
	size_t size;
	bool open_end; /* --follow, --all: running dry is not a failure */
	uint64_t wanted, taken;
} source;

static bool again(const source *s)
{
	return (zipc_queue_flags(s->queue) & ZIPC_QUEUE_AT_LEAST_ONCE) != 0;
}

static bool write_item(const source *s, const void *element, uint64_t ticket)
{
	cli_json json = {0};
	int deliveries;

	if (as_json(s->call)) {
		cli_json_open(&json, '{');
		cli_json_key(&json, "value");
		cli_value_json(&json, s->format, element, s->size);
		deliveries = again(s) ? zipc_queue_deliveries(s->queue, ticket) : 0;
		if (deliveries > 0)
			cli_json_number(&json, "deliveries", (uint64_t)deliveries);
		cli_json_close(&json, '}');
		cli_json_end(&json);
	} else {
		cli_value_print(s->format, element, s->size);
	}
	return fflush(stdout) == 0;
}

/* The item goes back where that is possible; elsewhere one must at least say so. */
static int not_written(const source *s, uint64_t ticket)
{
	if (again(s))
		zipc_queue_requeue(s->queue, ticket);
	else
		cli_note("queue '%s': the item taken last could not be written and is lost",
			 s->target->name);
	return CLI_FAILED;
}

static int pop_ended(const source *s, int rc)
{
	const char *name = s->target->name;
	const char *what = rc == -EPIPE	   ? "is shut down and has no more items"
			   : rc == -EAGAIN ? "is empty; --wait SECONDS waits for an item"
					   : "stayed empty all the time";

	if (cli_caught())
		return cli_caught();
	if (rc != -EPIPE && rc != -EAGAIN && rc != -ETIMEDOUT)
		return cli_failed("%s", cli_reason(rc));
	if (s->open_end)
		return CLI_OK;
	if (s->taken > 0)
		return cli_failed("queue '%s' %s (got %llu of %llu)", name, what,
				  (unsigned long long)s->taken, (unsigned long long)s->wanted);
	return cli_failed("queue '%s' %s", name, what);
}

static int pop_items(source *s, int64_t wait_ns)
{
	void *element;
	uint64_t ticket;
	int rc;

	while (s->taken < s->wanted) {
		rc = zipc_queue_acquire(s->queue, wait_ns, &element, &ticket);
		if (rc < 0)
			return pop_ended(s, rc);
		if (!write_item(s, element, ticket))
			return not_written(s, ticket);
		rc = zipc_queue_release(s->queue, ticket);
		if (rc < 0)
			return cli_failed("%s", cli_reason(rc));
		s->taken++;
		if (cli_caught())
			return cli_caught();
	}
	return CLI_OK;
}

static int64_t pop_wait(const cli_call *call)
{
	if (cli_given(call, CLI_OPT_WAIT))
		return call->options.wait_ns;
	return cli_given(call, CLI_OPT_FOLLOW) ? ZIPC_FOREVER : ZIPC_NOWAIT;
}

static int pop_from_target(const cli_call *call, const cli_target *target)
{
	cli_structure structure;
	source s = {.call = call, .target = target};
	int rc = cli_find_structure(target, &structure);

	if (rc != CLI_OK)
		return rc;
	s.format = cli_format_choose(call, structure.schema, CLI_FORMAT_AUTO);
	rc = cli_format_check(s.format, target->name, structure.element_size);
	if (rc != CLI_OK)
		return rc;
	rc = cli_open_queue(target, &structure, &s.queue);
	if (rc != CLI_OK)
		return rc;
	s.size = (size_t)zipc_queue_element_size(s.queue);
	s.open_end = cli_given(call, CLI_OPT_FOLLOW | CLI_OPT_ALL);
	s.wanted = cli_given(call, CLI_OPT_COUNT) ? call->options.count
		   : s.open_end			  ? UINT64_MAX
						  : 1;
	cli_catch_signals(target->segment);
	rc = pop_items(&s, pop_wait(call));
	zipc_queue_close(s.queue);
	return rc;
}

static int run_pop(const cli_call *call)
{
	cli_target target;
	int rc = cli_attach(call, call->argv[0], CLI_WORK, CLI_STRUCTURE, &target);

	if (rc != CLI_OK)
		return rc;
	rc = pop_from_target(call, &target);
	cli_detach(&target);
	return rc;
}

/* ---- shutdown ------------------------------------------------------------------------------- */

static void json_shut_down(const cli_target *target)
{
	cli_json json = {0};

	cli_json_open(&json, '{');
	cli_json_text(&json, "queue", target->name);
	cli_json_flag(&json, "shut_down", true);
	cli_json_close(&json, '}');
	cli_json_end(&json);
}

static int shut_down(const cli_call *call, const cli_target *target)
{
	cli_structure structure;
	zipc_queue *queue;
	int rc = cli_find_structure(target, &structure);

	if (rc != CLI_OK)
		return rc;
	rc = cli_open_queue(target, &structure, &queue);
	if (rc != CLI_OK)
		return rc;
	rc = zipc_queue_shutdown(queue);
	zipc_queue_close(queue);
	if (rc < 0)
		return cli_failed("%s", cli_reason(rc));
	if (as_json(call))
		json_shut_down(target);
	return CLI_OK;
}

static int run_shutdown(const cli_call *call)
{
	cli_target target;
	int rc = cli_attach(call, call->argv[0], CLI_WORK, CLI_STRUCTURE, &target);

	if (rc != CLI_OK)
		return rc;
	rc = shut_down(call, &target);
	cli_detach(&target);
	return rc;
}

/* ---- commands ------------------------------------------------------------------------------- */

const cli_command cli_push = {
	.name = "push",
	.arguments = "SEG/NAME [VALUE...] [-f FORMAT] [-w SECONDS] [--json] [--trust]",
	.summary = "append items to a queue, from the command line or standard input",
	.help = "Each VALUE is an item. Without any, or with \"-\", every line of standard input "
		"is\n"
		"one (with --format raw: every so many bytes as an element has).\n"
		"\n" CLI_FORMATS_HELP ",\n"
		"else text.\n"
		"\n"
		"  -f, --format FORMAT  how the values are written\n"
		"  -w, --wait SECONDS   how long to wait for room when the queue is full, or\n"
		"                       'forever'. Values: not at all; standard input: forever\n"
		"      --json           {\"queue\", \"pushed\"}\n"
		"      --trust          open it even if other users own it or may write to it\n"
		"\n"
		"examples:\n"
		"  zeroipc push jobs/inbox 'first job' 'second job'\n"
		"  seq 1000 | zeroipc push jobs/numbers -f u64\n"
		"  zeroipc push jobs/points -f f64 '1.5 -2.25'\n"
		"  zeroipc push jobs/inbox -- --starts-with-dashes\n",
	.options = CLI_OPT_JSON | CLI_OPT_TRUST | CLI_OPT_FORMAT | CLI_OPT_WAIT,
	.least = 1,
	.most = -1,
	.run = run_push,
};

const cli_command cli_pop = {
	.name = "pop",
	.arguments =
		"SEG/NAME [-n N | --all | --follow] [-w SECONDS] [-f FORMAT] [--json] [--trust]",
	.summary = "take items from a queue and print them",
	.help = "Takes one item. Exit code 1 when there were less than asked for. In an "
		"at-least-once\n"
		"queue an item is acknowledged only after it was written, so that it comes back "
		"when\n"
		"pop is killed or its reader leaves.\n"
		"\n" CLI_FORMATS_HELP ",\n"
		"else text where an item is text, else hexadecimal.\n"
		"\n"
		"  -n, --count N        take N items\n"
		"  -a, --all            take all there are; none is fine too\n"
		"  -F, --follow         go on until the queue is shut down, or Ctrl-C (exit code "
		"130)\n"
		"  -w, --wait SECONDS   how long to wait for each item, or 'forever'. Not at all;\n"
		"                       with --follow forever\n"
		"  -f, --format FORMAT  how to write an item, one per line\n"
		"      --json           one {\"value\"} per line; at-least-once also "
		"\"deliveries\": 2\n"
		"                       or more means that a consumer died with it\n"
		"      --trust          open it even if other users own it or may write to it\n"
		"\n"
		"examples:\n"
		"  zeroipc pop jobs/inbox\n"
		"  zeroipc pop jobs/inbox --wait 10\n"
		"  zeroipc pop jobs/inbox --follow | while read -r job; do echo \"$job\"; done\n",
	.options = CLI_OPT_JSON | CLI_OPT_TRUST | CLI_OPT_FORMAT | CLI_OPT_COUNT | CLI_OPT_ALL |
		   CLI_OPT_FOLLOW | CLI_OPT_WAIT,
	.least = 1,
	.most = 1,
	.run = run_pop,
};

const cli_command cli_shutdown = {
	.name = "shutdown",
	.arguments = "SEG/NAME [--json] [--trust]",
	.summary = "end a queue: it takes nothing more, consumers get the rest",
	.help = "For everybody and for good: from now on a push fails; consumers get what is "
		"still\n"
		"there and then learn that it was the last. 'zeroipc pop --follow' ends so.\n"
		"\n"
		"  --json    {\"queue\", \"shut_down\"}\n"
		"  --trust   open it even if other users own it or may write to it\n"
		"\n"
		"example:\n"
		"  zeroipc shutdown jobs/inbox\n",
	.options = CLI_OPT_JSON | CLI_OPT_TRUST,
	.least = 1,
	.most = 1,
	.run = run_shutdown,
};
