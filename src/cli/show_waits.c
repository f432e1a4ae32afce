/* SPDX-License-Identifier: MIT */
/* zeroipc show: who holds what, and who waits for what. */
#include "cli.h"

#include <string.h>

/* Is this structure among those to be shown? */
static bool shown(const cli_target *target, const char *name)
{
	return !target->name[0] || strcmp(target->name, name) == 0;
}

/* One holder can keep several sorts of waiters waiting: it is shown once. */
static bool again(const cli_waits *w, size_t i)
{
	const zipc_holder_entry *one = &w->holders[i], *before = one - 1;

	return i > 0 && one->peer_id == before->peer_id && one->thread == before->thread &&
	       strcmp(one->name, before->name) == 0 && strcmp(one->what, before->what) == 0;
}

/* ---- for people ----------------------------------------------------------------------------- */

static void add_thread(cli_table *table, uint32_t pid, uint32_t thread, const char *command)
{
	cli_table_cell(table, "%u", pid);
	if (thread != 0)
		cli_table_cell(table, "%u", thread);
	else
		cli_table_cell(table, "-");
	cli_table_cell(table, "%s", command);
}

static void print_holders(const cli_target *target, const cli_waits *w)
{
	cli_table table = {.columns = "lllrrlr"};
	size_t rows = 0;

	for (size_t i = 0; i < w->holder_count; i++) {
		const zipc_holder_entry *entry = &w->holders[i];

		if (!shown(target, entry->name) || again(w, i))
			continue;
		if (rows++ == 0) {
			puts("\nheld:");
			cli_table_head(&table, "NAME|TYPE|WHAT|PID|THREAD|COMMAND|TIMES");
		}
		cli_table_cell(&table, "%s", entry->name);
		cli_table_cell(&table, "%s", entry->type_name);
		cli_table_cell(&table, "%s%s", entry->what, entry->alive ? "" : " (dead)");
		add_thread(&table, entry->pid, entry->thread, cli_waits_command(w, entry->peer_id));
		cli_table_cell(&table, "%u", entry->count);
	}
	cli_table_print(&table, "  ");
}

static void print_waiters(const cli_target *target, const cli_waits *w)
{
	cli_table table = {.columns = "llrrlr"};
	char age[CLI_SHORT];
	size_t rows = 0;

	for (size_t i = 0; i < w->waiter_count; i++) {
		const zipc_waiter_entry *entry = &w->waiters[i].entry;

		if (!shown(target, entry->name))
			continue;
		if (rows++ == 0) {
			puts("\nwaited for by threads that sleep:");
			cli_table_head(&table, "NAME|TYPE|PID|THREAD|COMMAND|SINCE");
		}
		cli_table_cell(&table, "%s", entry->name);
		cli_table_cell(&table, "%s", entry->type_name);
		add_thread(&table, entry->pid, entry->thread, cli_waits_command(w, entry->peer_id));
		cli_table_cell(&table, "%s", cli_age_text(age, entry->since_ns));
	}
	cli_table_print(&table, "  ");
}

void cli_print_waits(const cli_target *target, const cli_waits *w)
{
	print_holders(target, w);
	print_waiters(target, w);
}

/* ---- for programs --------------------------------------------------------------------------- */

void cli_json_waits(cli_json *json, const cli_target *target, const cli_waits *w)
{
	cli_json_key(json, "holders");
	cli_json_open(json, '[');
	for (size_t i = 0; i < w->holder_count; i++) {
		const zipc_holder_entry *entry = &w->holders[i];

		if (!shown(target, entry->name) || again(w, i))
			continue;
		cli_json_open(json, '{');
		cli_json_text(json, "name", entry->name);
		cli_json_text(json, "type", entry->type_name);
		cli_json_text(json, "what", entry->what);
		cli_json_thread(json, w, entry->peer_id, entry->pid, entry->thread);
		cli_json_flag(json, "alive", entry->alive != 0);
		cli_json_number(json, "count", entry->count);
		cli_json_close(json, '}');
	}
	cli_json_close(json, ']');
	cli_json_key(json, "waiters");
	cli_json_open(json, '[');
	for (size_t i = 0; i < w->waiter_count; i++) {
		const zipc_waiter_entry *entry = &w->waiters[i].entry;

		if (!shown(target, entry->name))
			continue;
		cli_json_open(json, '{');
		cli_json_text(json, "name", entry->name);
		cli_json_text(json, "type", entry->type_name);
		cli_json_thread(json, w, entry->peer_id, entry->pid, entry->thread);
		cli_json_time(json, "since", entry->since_ns);
		cli_json_close(json, '}');
	}
	cli_json_close(json, ']');
}
