/* SPDX-License-Identifier: MIT */
/*
 * zeroipc list: the segments of this machine. Names come from the library; sizes and counts from a
 * short read-only look into each, where this user may look.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

typedef struct listed_segment {
	char *name;
	uint32_t version, uid, mode;
	uint64_t size, created_ns;
	bool readable; /* info is filled */
	zipc_segment_info info;
} listed_segment;

typedef struct segment_list {
	listed_segment *entries;
	size_t count;
} segment_list;

static int collect(const zipc_segment_entry *entry, void *arg)
{
	segment_list *list = arg;

	list->entries = cli_memory(list->entries, (list->count + 1) * sizeof(*list->entries));
	list->entries[list->count++] = (listed_segment){
		.name = cli_copy(entry->name, strlen(entry->name)),
		.version = entry->version,
		.uid = entry->uid,
		.mode = entry->mode,
		.size = entry->size,
		.created_ns = entry->created_ns,
	};
	return 0;
}

/* A segment that refuses us, or is just going away, is listed all the same. */
static void look_into(const cli_call *call, listed_segment *entry)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	zipc_segment *segment;

	options.flags = ZIPC_SEGMENT_READ_ONLY;
	if (cli_given(call, CLI_OPT_TRUST)) {
		options.flags |= ZIPC_SEGMENT_ANY_OWNER;
		options.mode = 0777;
	}
	if (zipc_segment_open(entry->name, &options, &segment) < 0)
		return;
	entry->info.struct_size = sizeof(entry->info);
	entry->readable = zipc_segment_get_info(segment, &entry->info) == 0;
	zipc_segment_close(segment);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const listed_segment *)a)->name, ((const listed_segment *)b)->name);
}

static void add_row(cli_table *table, const listed_segment *entry)
{
	char size[CLI_SHORT], used[CLI_SHORT], user[CLI_SHORT], age[CLI_SHORT];

	cli_table_cell(table, "%s", entry->name);
	if (entry->readable) {
		cli_table_cell(table, "%s", cli_size_text(size, entry->info.size));
		cli_table_cell(table, "%s", cli_size_text(used, entry->info.used));
		cli_table_cell(table, "%u", entry->info.structures);
		cli_table_cell(table, "%u", entry->info.peers);
	} else {
		cli_table_cell(table, "%s", cli_size_text(size, entry->size));
		for (int i = 0; i < 3; i++)
			cli_table_cell(table, "-");
	}
	cli_table_cell(table, "%s", cli_user_text(user, entry->uid));
	cli_table_cell(table, "%04o", entry->mode);
	cli_table_cell(table, "%s", entry->created_ns ? cli_age_text(age, entry->created_ns) : "-");
}

static void print_people(const segment_list *list)
{
	cli_table table = {.columns = "lrrrrlrr"};

	if (list->count == 0) {
		cli_note("there are no segments; 'zeroipc create NAME' makes one");
		return;
	}
	cli_table_head(&table, "NAME|SIZE|USED|STRUCTURES|PEERS|OWNER|MODE|AGE");
	for (size_t i = 0; i < list->count; i++)
		add_row(&table, &list->entries[i]);
	cli_table_print(&table, "");
}

static void print_json_entry(cli_json *json, const listed_segment *entry)
{
	char mode[8];

	snprintf(mode, sizeof(mode), "%04o", entry->mode & 07777);
	cli_json_open(json, '{');
	cli_json_text(json, "name", entry->name);
	cli_json_number(json, "format", entry->version);
	cli_json_number(json, "file_size", entry->size);
	cli_json_number(json, "uid", entry->uid);
	cli_json_text(json, "mode", mode);
	cli_json_time(json, "created", entry->created_ns);
	cli_json_flag(json, "readable", entry->readable);
	if (entry->readable) {
		cli_json_number(json, "size", entry->info.size);
		cli_json_number(json, "max_size", entry->info.max_size);
		cli_json_number(json, "used", entry->info.used);
		cli_json_number(json, "structures", entry->info.structures);
		cli_json_number(json, "peers", entry->info.peers);
		cli_json_number(json, "max_peers", entry->info.max_peers);
	}
	cli_json_close(json, '}');
}

static void print_json(const segment_list *list)
{
	cli_json json = {0};

	cli_json_open(&json, '[');
	for (size_t i = 0; i < list->count; i++)
		print_json_entry(&json, &list->entries[i]);
	cli_json_close(&json, ']');
	cli_json_end(&json);
}

static int run(const cli_call *call)
{
	segment_list list = {0};
	int rc = zipc_segment_list(collect, &list);

	if (rc < 0)
		return cli_failed("cannot list the segments: %s", cli_reason(rc));
	for (size_t i = 0; i < list.count; i++)
		look_into(call, &list.entries[i]);
	if (list.count > 0)
		qsort(list.entries, list.count, sizeof(*list.entries), by_name);
	if (cli_given(call, CLI_OPT_JSON))
		print_json(&list);
	else
		print_people(&list);
	for (size_t i = 0; i < list.count; i++)
		free(list.entries[i].name);
	free(list.entries);
	return CLI_OK;
}

const cli_command cli_list = {
	.name = "list",
	.arguments = "[--json] [--trust]",
	.summary = "list the segments in shared memory",
	.help = "One line per segment: bytes reserved and used, number of structures, processes "
		"that\n"
		"are attached and alive, owner, permissions, age. A \"-\" stands where this user "
		"may\n"
		"not look inside. Segments in files are not listed: nobody keeps a list of those.\n"
		"\n"
		"  --json    an array of objects\n"
		"  --trust   look into segments that other users own or may write to\n"
		"\n"
		"examples:\n"
		"  zeroipc list\n"
		"  zeroipc list --json | jq -r '.[].name'\n",
	.options = CLI_OPT_JSON | CLI_OPT_TRUST,
	.run = run,
};
