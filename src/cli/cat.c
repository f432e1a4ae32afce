/* SPDX-License-Identifier: MIT */
/*
 * zeroipc cat, set: elements of arrays, out and in, and the oldest item of a queue.
 */
#include "cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool as_json(const cli_call *call)
{
	return cli_given(call, CLI_OPT_JSON);
}

/* ---- cat ------------------------------------------------------------------------------------ */

static void print_element(const cli_call *call, cli_format format, uint64_t index,
			  const void *element, size_t size)
{
	cli_json json = {0};

	if (!as_json(call)) {
		cli_value_print(format, element, size);
		return;
	}
	cli_json_open(&json, '{');
	cli_json_number(&json, "index", index);
	cli_json_key(&json, "value");
	cli_value_json(&json, format, element, size);
	cli_json_close(&json, '}');
	cli_json_end(&json);
}

/* What part of an array is to be shown. */
typedef struct range {
	uint64_t first, end;
} range;

static int choose_range(const cli_call *call, const cli_target *target, uint64_t length,
			range *out_range)
{
	uint64_t first = call->options.first, count = length - first;

	if (first >= length)
		return cli_failed("array '%s' has %llu elements; there is no element %llu",
				  target->name, (unsigned long long)length,
				  (unsigned long long)first);
	if (cli_given(call, CLI_OPT_COUNT) && call->options.count < count)
		count = call->options.count;
	*out_range = (range){first, first + count};
	return CLI_OK;
}

static bool is_zero(const unsigned char *bytes, size_t size)
{
	while (size > 0 && bytes[size - 1] == 0)
		size--;
	return size == 0;
}

/* Without a format: lines when every element is text or empty and one is text, else a dump. */
static bool is_text(zipc_array *array, range r, void *element)
{
	size_t size = (size_t)zipc_array_element_size(array), texts = 0;

	for (uint64_t i = r.first; i < r.end; i++) {
		if (zipc_array_get(array, i, element) < 0)
			return false;
		if (cli_value_is_text(element, size))
			texts++;
		else if (!is_zero(element, size))
			return false;
	}
	return texts > 0;
}

static int cat_elements(const cli_call *call, zipc_array *array, range r, cli_format format,
			void *element)
{
	size_t size = (size_t)zipc_array_element_size(array);
	bool dumping = format == CLI_FORMAT_AUTO && !as_json(call);
	cli_dump dump = {.offset = r.first * size};

	for (uint64_t i = r.first; i < r.end && !ferror(stdout); i++) {
		int rc = zipc_array_get(array, i, element);

		if (rc < 0)
			return cli_failed("%s", cli_reason(rc));
		if (dumping)
			cli_dump_bytes(&dump, element, size);
		else
			print_element(call, format, i, element, size);
	}
	if (dumping)
		cli_dump_end(&dump);
	return CLI_OK;
}

static int cat_array(const cli_call *call, const cli_target *target, zipc_array *array,
		     cli_format format)
{
	void *element;
	range r = {0, 0};
	int rc = choose_range(call, target, zipc_array_length(array), &r);

	if (rc != CLI_OK)
		return rc;
	element = cli_memory(NULL, (size_t)zipc_array_element_size(array));
	if (format == CLI_FORMAT_AUTO && is_text(array, r, element))
		format = CLI_FORMAT_TEXT;
	rc = cat_elements(call, array, r, format, element);
	free(element);
	return rc;
}

/* The library lets one look at the head only: what follows may be taken at any moment. */
static void print_head(const cli_call *call, const cli_target *target, cli_format format,
		       const void *element, size_t size, uint64_t waiting)
{
	cli_dump dump = {0};

	if (format == CLI_FORMAT_AUTO && !cli_value_is_text(element, size)) {
		cli_dump_bytes(&dump, element, size);
		cli_dump_end(&dump);
	} else {
		print_element(call, format, 0, element, size);
	}
	cli_note("queue '%s': %llu item%s waiting; this is the oldest and still there ('zeroipc "
		 "pop' "
		 "takes it)",
		 target->name, (unsigned long long)waiting, waiting == 1 ? "" : "s");
}

static void json_head(const cli_target *target, cli_format format, const void *element, size_t size,
		      uint64_t waiting)
{
	cli_json json = {0};

	cli_json_open(&json, '{');
	cli_json_text(&json, "queue", target->name);
	cli_json_number(&json, "waiting", waiting);
	cli_json_key(&json, "head");
	if (element)
		cli_value_json(&json, format, element, size);
	else
		cli_json_null(&json);
	cli_json_close(&json, '}');
	cli_json_end(&json);
}

static int cat_queue(const cli_call *call, const cli_target *target, zipc_queue *queue,
		     cli_format format)
{
	size_t size = (size_t)zipc_queue_element_size(queue);
	void *element = cli_memory(NULL, size);
	int rc = zipc_queue_peek(queue, element);
	uint64_t waiting = zipc_queue_size(queue);
	bool empty = rc == -EAGAIN || rc == -EPIPE;

	if (rc < 0 && !empty)
		cli_failed("%s", cli_reason(rc));
	else if (as_json(call))
		json_head(target, format, empty ? NULL : element, size, waiting);
	else if (rc >= 0)
		print_head(call, target, format, element, size, waiting);
	else if (rc == -EPIPE)
		cli_note("queue '%s' is empty and shut down", target->name);
	else if (waiting)
		cli_note("queue '%s': its oldest item is not finished yet", target->name);
	else
		cli_note("queue '%s' is empty", target->name);
	free(element);
	return rc < 0 && !empty ? CLI_FAILED : CLI_OK;
}

static int cat_structure(const cli_call *call, const cli_target *target)
{
	cli_structure structure;
	cli_format format;
	zipc_queue *queue;
	zipc_array *array;
	int rc = cli_find_structure(target, &structure);

	if (rc != CLI_OK)
		return rc;
	format = cli_format_choose(call, structure.schema, CLI_FORMAT_AUTO);
	rc = cli_format_check(format, target->name, structure.element_size);
	if (rc != CLI_OK)
		return rc;
	if (structure.type == ZIPC_TYPE_QUEUE) {
		rc = cli_open_queue(target, &structure, &queue);
		if (rc == CLI_OK) {
			rc = cat_queue(call, target, queue, format);
			zipc_queue_close(queue);
		}
		return rc;
	}
	rc = cli_open_array(target, &structure, &array);
	if (rc == CLI_OK) {
		rc = cat_array(call, target, array, format);
		zipc_array_close(array);
	}
	return rc;
}

static int run_cat(const cli_call *call)
{
	cli_target target;
	int rc = cli_attach(call, call->argv[0], CLI_LOOK, CLI_STRUCTURE, &target);

	if (rc != CLI_OK)
		return rc;
	rc = cat_structure(call, &target);
	cli_detach(&target);
	return rc;
}

/* ---- set ------------------------------------------------------------------------------------ */

static void json_set(const cli_target *target, uint64_t first, uint64_t count)
{
	cli_json json = {0};

	cli_json_open(&json, '{');
	cli_json_text(&json, "array", target->name);
	cli_json_number(&json, "first", first);
	cli_json_number(&json, "set", count);
	cli_json_close(&json, '}');
	cli_json_end(&json);
}

static int set_elements(const cli_call *call, const cli_target *target, zipc_array *array,
			cli_format format, uint64_t first)
{
	size_t size = (size_t)zipc_array_element_size(array);
	void *element = cli_memory(NULL, size);
	char problem[128];
	int rc = CLI_OK;

	for (int i = 2; rc == CLI_OK && i < call->argc; i++) {
		const char *text = call->argv[i];

		if (!cli_value_parse(format, text, strlen(text), element, size, problem))
			rc = cli_failed("'%s' does not fit into array '%s' as %s: %s", text,
					target->name, cli_format_name(format), problem);
		else if (zipc_array_set(array, first + (uint64_t)i - 2, element) < 0)
			rc = cli_failed("%s", zipc_last_error());
	}
	free(element);
	if (rc == CLI_OK && as_json(call))
		json_set(target, first, (uint64_t)call->argc - 2);
	return rc;
}

static int set_target(const cli_call *call, const cli_target *target)
{
	cli_structure structure;
	zipc_array *array;
	uint64_t first;
	int rc = cli_find_structure(target, &structure);

	if (rc != CLI_OK)
		return rc;
	if (!cli_parse_number(call->argv[1], 0, UINT64_MAX / 2, &first))
		return cli_misused(call->command, "'%s' is no index", call->argv[1]);
	rc = cli_open_array(target, &structure, &array);
	if (rc != CLI_OK)
		return rc;
	rc = set_elements(call, target, array,
			  cli_format_choose(call, structure.schema, CLI_FORMAT_TEXT), first);
	zipc_array_close(array);
	return rc;
}

static int run_set(const cli_call *call)
{
	cli_target target;
	int rc = cli_attach(call, call->argv[0], CLI_WORK, CLI_STRUCTURE, &target);

	if (rc != CLI_OK)
		return rc;
	rc = set_target(call, &target);
	cli_detach(&target);
	return rc;
}

/* ---- commands ------------------------------------------------------------------------------- */

const cli_command cli_cat = {
	.name = "cat",
	.arguments = "SEG/NAME [-f FORMAT] [--first N] [-n N] [--json] [--trust]",
	.summary = "print the elements of an array, or the oldest item of a queue",
	.help = "Attaches read-only; nothing is taken. Of a queue only the oldest item can be "
		"seen\n"
		"without taking it.\n"
		"\n" CLI_FORMATS_HELP ",\n"
		"else lines where everything is text, else a dump with byte offsets.\n"
		"\n"
		"  -f, --format FORMAT  how to write an element, one per line\n"
		"      --first N        array: start with element N (0)\n"
		"  -n, --count N        array: so many elements (all)\n"
		"      --json           array: one {\"index\", \"value\"} per line; queue: one "
		"object\n"
		"      --trust          open it even if other users own it or may write to it\n"
		"\n"
		"examples:\n"
		"  zeroipc cat stats/counters -f u64\n"
		"  zeroipc cat jobs/inbox\n",
	.options = CLI_OPT_JSON | CLI_OPT_TRUST | CLI_OPT_FORMAT | CLI_OPT_FIRST | CLI_OPT_COUNT,
	.least = 1,
	.most = 1,
	.run = run_cat,
};

const cli_command cli_set = {
	.name = "set",
	.arguments = "SEG/NAME INDEX VALUE... [-f FORMAT] [--json] [--trust]",
	.summary = "write elements of an array",
	.help = "Writes the values to element INDEX and those behind it.\n"
		"\n" CLI_FORMATS_HELP ",\n"
		"else text.\n"
		"\n"
		"  -f, --format FORMAT  how the values are written\n"
		"      --json           {\"array\", \"first\", \"set\"}\n"
		"      --trust          open it even if other users own it or may write to it\n"
		"\n"
		"example:\n"
		"  zeroipc set stats/counters 0 100 200 300 -f u64\n",
	.options = CLI_OPT_JSON | CLI_OPT_TRUST | CLI_OPT_FORMAT,
	.least = 3,
	.most = -1,
	.run = run_set,
};
