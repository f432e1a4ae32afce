/* SPDX-License-Identifier: MIT */
/*
 * zeroipc show: everything about one segment. It attaches read-only, so that looking changes
 * nothing, and reads a living segment: the numbers of one picture may be microseconds apart.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

typedef struct shown_structure {
	zipc_structure_entry entry;
	char *name, *type_name, *schema;
	bool is_queue; /* stats and flags are filled */
	uint32_t flags;
	zipc_queue_stats stats;
} shown_structure;

typedef struct picture {
	const cli_target *target;
	zipc_segment_info info;
	shown_structure *structures;
	size_t structure_count;
	zipc_peer_entry *peers; /* with copies of their commands */
	size_t peer_count;
	cli_waits waits;
} picture;

/* ---- taking the picture --------------------------------------------------------------------- */

static int add_structure(const zipc_structure_entry *entry, void *arg)
{
	picture *p = arg;
	shown_structure shown = {.entry = *entry};

	if (p->target->name[0] && strcmp(p->target->name, entry->name) != 0)
		return 0;
	shown.name = cli_copy(entry->name, strlen(entry->name));
	shown.type_name = cli_copy(entry->type_name, strlen(entry->type_name));
	shown.schema = cli_copy(entry->schema, strlen(entry->schema));
	p->structures = cli_memory(p->structures, (p->structure_count + 1) * sizeof(shown));
	p->structures[p->structure_count++] = shown;
	return 0;
}

static int add_peer(const zipc_peer_entry *entry, void *arg)
{
	picture *p = arg;

	p->peers = cli_memory(p->peers, (p->peer_count + 1) * sizeof(*p->peers));
	p->peers[p->peer_count] = *entry;
	p->peers[p->peer_count++].command = cli_copy(entry->command, strlen(entry->command));
	return 0;
}

/* One that was removed since the list was made, or is damaged, is shown without numbers. */
static void read_queue(zipc_segment *segment, shown_structure *shown)
{
	zipc_queue *queue;

	if (shown->entry.type != ZIPC_TYPE_QUEUE ||
	    zipc_queue_open(segment, shown->name, 0, NULL, &queue) < 0)
		return;
	shown->flags = zipc_queue_flags(queue);
	shown->stats.struct_size = sizeof(shown->stats);
	shown->is_queue = zipc_queue_get_stats(queue, &shown->stats) == 0;
	zipc_queue_close(queue);
}

static int take_picture(const cli_target *target, picture *p)
{
	int rc;

	*p = (picture){.target = target, .info.struct_size = sizeof(p->info)};
	rc = zipc_segment_get_info(target->segment, &p->info);
	if (rc >= 0)
		rc = zipc_segment_structures(target->segment, add_structure, p);
	if (rc >= 0)
		rc = zipc_segment_peers(target->segment, add_peer, p);
	if (rc < 0)
		return cli_failed("%s", cli_reason(rc));
	for (size_t i = 0; i < p->structure_count; i++)
		read_queue(target->segment, &p->structures[i]);
	return cli_take_waits(target, &p->waits);
}

static void drop_picture(picture *p)
{
	for (size_t i = 0; i < p->structure_count; i++) {
		free(p->structures[i].name);
		free(p->structures[i].type_name);
		free(p->structures[i].schema);
	}
	for (size_t i = 0; i < p->peer_count; i++)
		free((void *)(uintptr_t)p->peers[i].command);
	free(p->structures);
	free(p->peers);
	cli_drop_waits(&p->waits);
}

/* ---- words ---------------------------------------------------------------------------------- */

static const char *backing_text(uint32_t backing)
{
	switch (backing) {
	case ZIPC_BACKING_SHM:
		return "shared memory";
	case ZIPC_BACKING_FILE:
		return "file";
	case ZIPC_BACKING_MEMFD:
		return "memfd";
	}
	return "unknown backing";
}

static const char *mode_text(uint32_t flags)
{
	static const char *const texts[] = {
		"many to many",
		"one to many",
		"many to one",
		"one to one",
	};

	return texts[flags & (ZIPC_QUEUE_SINGLE_PRODUCER | ZIPC_QUEUE_SINGLE_CONSUMER)];
}

static char *uuid_text(char buffer[40], const uint8_t uuid[16])
{
	char *out = buffer;

	for (int i = 0; i < 16; i++)
		out += sprintf(out, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x",
			       uuid[i]);
	return buffer;
}

/* Average since creation, so that it needs one look only. */
static double per_second(uint64_t count, uint64_t created_ns)
{
	uint64_t now = cli_now_ns();

	return now > created_ns ? (double)count * 1e9 / (double)(now - created_ns) : 0;
}

static unsigned percent(uint64_t part, uint64_t whole)
{
	return whole ? (unsigned)((double)part * 100 / (double)whole + 0.5) : 0;
}

/* ---- for people ----------------------------------------------------------------------------- */

static void print_header(const picture *p)
{
	const zipc_segment_info *info = &p->info;
	char a[CLI_SHORT], b[CLI_SHORT], c[CLI_SHORT], uuid[40];

	printf("segment '");
	cli_put_safe(stdout, p->target->segment_name, strlen(p->target->segment_name));
	printf("': %s, format %u\n", backing_text(info->backing), info->version);
	printf("  size     %s, may grow to %s\n", cli_size_text(a, info->size),
	       cli_size_text(b, info->max_size));
	printf("  used     %s (%u %%), free %s\n", cli_size_text(a, info->used),
	       percent(info->used, info->size), cli_size_text(b, info->free));
	printf("  created  %s (%s ago) by process %u of %s\n",
	       cli_time_text(a, info->created_ns, false), cli_age_text(b, info->created_ns),
	       info->creator_pid, cli_user_text(c, info->creator_uid));
	printf("  uuid     %s\n", uuid_text(uuid, info->uuid));
}

static void print_peers(const picture *p)
{
	cli_table table = {.columns = "rrlllr"};
	char user[CLI_SHORT], age[CLI_SHORT], id[CLI_SHORT];

	printf("\npeers: %u alive of at most %u\n", p->info.peers, p->info.max_peers);
	if (p->peer_count == 0)
		return;
	cli_table_head(&table, "PID|ID|STATE|USER|COMMAND|ATTACHED");
	for (size_t i = 0; i < p->peer_count; i++) {
		const zipc_peer_entry *peer = &p->peers[i];

		snprintf(id, sizeof(id), "%u.%u", peer->id >> 12, peer->id & 0xfff);
		cli_table_cell(&table, "%u", peer->pid);
		cli_table_cell(&table, "%s", id);
		cli_table_cell(&table, "%s", peer->alive ? "alive" : "dead");
		cli_table_cell(&table, "%s", cli_user_text(user, peer->uid));
		cli_table_cell(&table, "%s", peer->command);
		cli_table_cell(&table, "%s ago", cli_age_text(age, peer->attached_ns));
	}
	cli_table_print(&table, "  ");
}

static void add_fill(cli_table *table, const shown_structure *shown)
{
	if (shown->is_queue)
		cli_table_cell(table, "%u %%", percent(shown->stats.size, shown->entry.capacity));
	else
		cli_table_cell(table, "-");
}

static void print_structures(const picture *p)
{
	cli_table table = {.columns = "llrrrrrrl"};
	char a[CLI_SHORT], b[CLI_SHORT], age[CLI_SHORT];

	if (!p->target->name[0])
		printf("\nstructures: %zu\n", p->structure_count);
	else
		putchar('\n');
	if (p->structure_count == 0)
		return;
	cli_table_head(&table, "NAME|TYPE|ELEMENT|CAPACITY|FILL|MEMORY|HANDLES|AGE|SCHEMA");
	for (size_t i = 0; i < p->structure_count; i++) {
		const shown_structure *shown = &p->structures[i];

		cli_table_cell(&table, "%s", shown->name);
		cli_table_cell(&table, "%s", shown->type_name);
		cli_table_cell(&table, "%s",
			       shown->entry.element_size
				       ? cli_size_text(a, shown->entry.element_size)
				       : "-");
		if (shown->entry.capacity)
			cli_table_cell(&table, "%llu", (unsigned long long)shown->entry.capacity);
		else
			cli_table_cell(&table, "-");
		add_fill(&table, shown);
		cli_table_cell(&table, "%s", cli_size_text(b, shown->entry.size));
		cli_table_cell(&table, "%u", shown->entry.handles);
		cli_table_cell(&table, "%s", cli_age_text(age, shown->entry.created_ns));
		cli_table_cell(&table, "%s", shown->schema[0] ? shown->schema : "-");
	}
	cli_table_print(&table, "  ");
}

static void add_flow(cli_table *table, const shown_structure *shown)
{
	uint64_t created = shown->entry.created_ns;
	char a[CLI_SHORT], b[CLI_SHORT], c[CLI_SHORT];
	double in = per_second(shown->stats.pushed, created);
	double out = per_second(shown->stats.popped, created);

	cli_table_cell(table, "%llu", (unsigned long long)shown->stats.pushed);
	cli_table_cell(table, "%s", cli_rate_text(a, in));
	cli_table_cell(table, "%llu", (unsigned long long)shown->stats.popped);
	cli_table_cell(table, "%s", cli_rate_text(b, out));
	cli_table_cell(table, "%s/s",
		       cli_size_text(c, (uint64_t)(out * (double)shown->entry.element_size)));
}

static void add_queue_row(cli_table *table, const shown_structure *shown)
{
	const zipc_queue_stats *stats = &shown->stats;
	bool again = (shown->flags & ZIPC_QUEUE_AT_LEAST_ONCE) != 0;

	cli_table_cell(table, "%s", shown->name);
	cli_table_cell(table, "%s%s", mode_text(shown->flags), again ? ", at least once" : "");
	add_flow(table, shown);
	cli_table_cell(table, "%llu", (unsigned long long)stats->size);
	cli_table_cell(table, "%llu", (unsigned long long)stats->high_water);
	if (again) {
		cli_table_cell(table, "%llu", (unsigned long long)stats->outstanding);
		cli_table_cell(table, "%llu", (unsigned long long)stats->redelivered);
	} else {
		cli_table_cell(table, "-");
		cli_table_cell(table, "-");
	}
	cli_table_cell(table, "%llu", (unsigned long long)stats->dropped);
	cli_table_cell(table, "%s", stats->shut_down ? "shut down" : "open");
}

static void print_queues(const picture *p)
{
	cli_table table = {.columns = "llrrrrrrrrrrl"};
	size_t queues = 0;

	for (size_t i = 0; i < p->structure_count; i++)
		queues += p->structures[i].is_queue;
	if (queues == 0)
		return;
	printf("\nqueues, rates since creation:\n");
	cli_table_head(&table,
		       "NAME|PRODUCERS TO CONSUMERS|PUSHED|/S|POPPED|/S|BYTES|WAITING|HIGHEST|"
		       "TAKEN|REDELIVERED|DROPPED|STATE");
	for (size_t i = 0; i < p->structure_count; i++) {
		if (p->structures[i].is_queue)
			add_queue_row(&table, &p->structures[i]);
	}
	cli_table_print(&table, "  ");
}

static void print_role(const char *role, const char *queue, uint32_t pid)
{
	if (pid == 0)
		return;
	printf("  the %s of '", role);
	cli_put_safe(stdout, queue, strlen(queue));
	printf("' is process %u\n", pid);
}

static void print_roles(const picture *p)
{
	for (size_t i = 0; i < p->structure_count; i++) {
		const shown_structure *shown = &p->structures[i];

		print_role("producer", shown->name, shown->stats.producer_pid);
		print_role("consumer", shown->name, shown->stats.consumer_pid);
	}
}

static void print_people(const picture *p)
{
	if (!p->target->name[0]) {
		print_header(p);
		print_peers(p);
	}
	print_structures(p);
	print_queues(p);
	print_roles(p);
	cli_print_waits(p->target, &p->waits);
}

/* ---- for programs --------------------------------------------------------------------------- */

static void json_segment(cli_json *json, const picture *p)
{
	const zipc_segment_info *info = &p->info;
	char uuid[40];

	cli_json_key(json, "segment");
	cli_json_open(json, '{');
	cli_json_text(json, "name", p->target->segment_name);
	cli_json_text(json, "backing", backing_text(info->backing));
	cli_json_number(json, "format", info->version);
	cli_json_number(json, "size", info->size);
	cli_json_number(json, "max_size", info->max_size);
	cli_json_number(json, "used", info->used);
	cli_json_number(json, "free", info->free);
	cli_json_number(json, "peers", info->peers);
	cli_json_number(json, "max_peers", info->max_peers);
	cli_json_number(json, "structures", info->structures);
	cli_json_number(json, "creator_pid", info->creator_pid);
	cli_json_number(json, "creator_uid", info->creator_uid);
	cli_json_time(json, "created", info->created_ns);
	cli_json_text(json, "uuid", uuid_text(uuid, info->uuid));
	cli_json_close(json, '}');
}

static void json_peers(cli_json *json, const picture *p)
{
	cli_json_key(json, "peers");
	cli_json_open(json, '[');
	for (size_t i = 0; i < p->peer_count; i++) {
		const zipc_peer_entry *peer = &p->peers[i];

		cli_json_open(json, '{');
		cli_json_number(json, "id", peer->id);
		cli_json_number(json, "pid", peer->pid);
		cli_json_number(json, "uid", peer->uid);
		cli_json_flag(json, "alive", peer->alive != 0);
		cli_json_text(json, "command", peer->command);
		cli_json_time(json, "attached", peer->attached_ns);
		cli_json_close(json, '}');
	}
	cli_json_close(json, ']');
}

static void json_queue(cli_json *json, const shown_structure *shown)
{
	const zipc_queue_stats *stats = &shown->stats;
	uint64_t created = shown->entry.created_ns;

	cli_json_key(json, "queue");
	cli_json_open(json, '{');
	cli_json_flag(json, "single_producer", shown->flags & ZIPC_QUEUE_SINGLE_PRODUCER);
	cli_json_flag(json, "single_consumer", shown->flags & ZIPC_QUEUE_SINGLE_CONSUMER);
	cli_json_flag(json, "at_least_once", shown->flags & ZIPC_QUEUE_AT_LEAST_ONCE);
	cli_json_flag(json, "shut_down", stats->shut_down != 0);
	cli_json_number(json, "waiting", stats->size);
	cli_json_number(json, "outstanding", stats->outstanding);
	cli_json_number(json, "high_water", stats->high_water);
	cli_json_number(json, "pushed", stats->pushed);
	cli_json_number(json, "popped", stats->popped);
	cli_json_number(json, "dropped", stats->dropped);
	cli_json_number(json, "redelivered", stats->redelivered);
	cli_json_real(json, "pushed_per_second", per_second(stats->pushed, created));
	cli_json_real(json, "popped_per_second", per_second(stats->popped, created));
	cli_json_number(json, "producer_pid", stats->producer_pid);
	cli_json_number(json, "consumer_pid", stats->consumer_pid);
	cli_json_close(json, '}');
}

static void json_structure(cli_json *json, const shown_structure *shown)
{
	const zipc_structure_entry *entry = &shown->entry;

	cli_json_open(json, '{');
	cli_json_text(json, "name", shown->name);
	cli_json_text(json, "type", shown->type_name);
	cli_json_number(json, "element_size", entry->element_size);
	cli_json_number(json, "capacity", entry->capacity);
	cli_json_number(json, "alignment", entry->alignment);
	cli_json_text(json, "schema", shown->schema);
	cli_json_number(json, "offset", entry->offset);
	cli_json_number(json, "size", entry->size);
	cli_json_number(json, "handles", entry->handles);
	cli_json_number(json, "creator_pid", entry->creator_pid);
	cli_json_time(json, "created", entry->created_ns);
	if (shown->is_queue)
		json_queue(json, shown);
	cli_json_close(json, '}');
}

static void print_json(const picture *p)
{
	cli_json json = {0};

	cli_json_open(&json, '{');
	json_segment(&json, p);
	json_peers(&json, p);
	cli_json_key(&json, "structures");
	cli_json_open(&json, '[');
	for (size_t i = 0; i < p->structure_count; i++)
		json_structure(&json, &p->structures[i]);
	cli_json_close(&json, ']');
	cli_json_waits(&json, p->target, &p->waits);
	cli_json_close(&json, '}');
	cli_json_end(&json);
}

/* ---- command -------------------------------------------------------------------------------- */

static int show_target(const cli_call *call, const cli_target *target)
{
	cli_structure structure;
	picture p;
	int rc;

	if (target->name[0] && cli_find_structure(target, &structure) != CLI_OK)
		return CLI_FAILED;
	rc = take_picture(target, &p);
	if (rc == CLI_OK && cli_given(call, CLI_OPT_JSON))
		print_json(&p);
	else if (rc == CLI_OK)
		print_people(&p);
	drop_picture(&p);
	return rc;
}

static int run(const cli_call *call)
{
	cli_target target;
	int rc = cli_attach(call, call->argv[0], CLI_LOOK, CLI_EITHER, &target);

	if (rc != CLI_OK)
		return rc;
	rc = show_target(call, &target);
	cli_detach(&target);
	return rc;
}

const cli_command cli_show = {
	.name = "show",
	.arguments = "SEG | SEG/NAME [--json] [--trust]",
	.summary = "show a segment: its size, who is attached, every structure",
	.help = "Attaches read-only and prints the segment's header and usage, its peers (the\n"
		"processes that are attached; \"dead\" ones ended without detaching, what they "
		"held\n"
		"is given back by whoever meets it), and every structure. SEG/NAME shows that\n"
		"structure only.\n"
		"\n"
		"Of queues it shows what went in and out since creation, and the average per "
		"second;\n"
		"  WAITING      items that nobody has taken yet; HIGHEST is the most there ever "
		"were\n"
		"  TAKEN        at-least-once queues: taken and not acknowledged yet\n"
		"  REDELIVERED  at-least-once queues: handed out again after a consumer died\n"
		"  DROPPED      slots given up: aborted, or of dead processes\n"
		"\n"
		"Of locks it shows who holds them, and who sleeps for them; likewise of whatever "
		"else threads\n"
		"sleep for.\n"
		"\n"
		"  --json    one object: segment, peers, structures, holders, waiters\n"
		"  --trust   open it even if other users own it or may write to it\n"
		"\n"
		"examples:\n"
		"  zeroipc show jobs\n"
		"  zeroipc show jobs/inbox\n"
		"  zeroipc show ./saved.zipc --json | jq '.peers[] | select(.alive) | .pid'\n",
	.options = CLI_OPT_JSON | CLI_OPT_TRUST,
	.least = 1,
	.most = 1,
	.run = run,
};
