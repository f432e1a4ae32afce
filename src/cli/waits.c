/* SPDX-License-Identifier: MIT */
/* Who waits and who holds, as lists; and who of them can never go on. */
#include "cli.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

/* ---- taking the picture --------------------------------------------------------------------- */

static int add_waiter(const zipc_waiter_entry *entry, void *arg)
{
	cli_waits *w = arg;
	cli_waiter waiter = {.entry = *entry};

	waiter.entry.name = cli_copy(entry->name, strlen(entry->name));
	w->waiters = cli_memory(w->waiters, (w->waiter_count + 1) * sizeof(waiter));
	w->waiters[w->waiter_count++] = waiter;
	return 0;
}

static int add_holder(const zipc_holder_entry *entry, void *arg)
{
	cli_waits *w = arg;

	w->holders = cli_memory(w->holders, (w->holder_count + 1) * sizeof(*w->holders));
	w->holders[w->holder_count] = *entry;
	w->holders[w->holder_count++].name = cli_copy(entry->name, strlen(entry->name));
	return 0;
}

static int add_command(const zipc_peer_entry *entry, void *arg)
{
	cli_waits *w = arg;

	w->peers = cli_memory(w->peers, (w->peer_count + 1) * sizeof(*w->peers));
	w->peers[w->peer_count] = *entry;
	w->peers[w->peer_count++].command = cli_copy(entry->command, strlen(entry->command));
	return 0;
}

int cli_take_waits(const cli_target *target, cli_waits *w)
{
	int rc;

	*w = (cli_waits){0};
	rc = zipc_segment_peers(target->segment, add_command, w);
	if (rc >= 0)
		rc = zipc_segment_waiters(target->segment, add_waiter, w);
	if (rc >= 0)
		rc = zipc_segment_holders(target->segment, add_holder, w);
	return rc < 0 ? cli_failed("%s", cli_reason(rc)) : CLI_OK;
}

void cli_drop_waits(cli_waits *w)
{
	for (size_t i = 0; i < w->waiter_count; i++)
		free((void *)(uintptr_t)w->waiters[i].entry.name);
	for (size_t i = 0; i < w->holder_count; i++)
		free((void *)(uintptr_t)w->holders[i].name);
	for (size_t i = 0; i < w->peer_count; i++)
		free((void *)(uintptr_t)w->peers[i].command);
	free(w->waiters);
	free(w->holders);
	free(w->peers);
}

const char *cli_waits_command(const cli_waits *w, uint32_t peer_id)
{
	for (size_t i = 0; i < w->peer_count; i++) {
		if (w->peers[i].id == peer_id)
			return w->peers[i].command;
	}
	return "?";
}

void cli_json_thread(cli_json *json, const cli_waits *w, uint32_t peer_id, uint32_t pid,
		     uint32_t thread)
{
	cli_json_number(json, "pid", pid);
	cli_json_number(json, "peer", peer_id);
	cli_json_number(json, "thread", thread);
	cli_json_text(json, "command", cli_waits_command(w, peer_id));
}

/* ---- who can never go on -------------------------------------------------------------------- */

/* Threads of a process; 0 = not to be seen from here. */
static size_t count_threads(uint32_t pid)
{
	char path[64];
	size_t count = 0;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%u/task", pid);
	directory = opendir(path);
	for (struct dirent *d; directory && (d = readdir(directory));)
		count += d->d_name[0] != '.';
	if (directory)
		closedir(directory);
	return count;
}

static bool is_waiter_of(const cli_waiter *waiter, const zipc_holder_entry *holder)
{
	return waiter->entry.peer_id == holder->peer_id &&
	       (holder->thread == 0 || waiter->entry.thread == holder->thread);
}

/* A process that holds something can let it go by any of its threads that can go on. */
static bool can_let_go(const cli_waits *w, const zipc_holder_entry *holder)
{
	size_t stuck = 0;

	for (size_t i = 0; i < w->waiter_count; i++)
		stuck += w->waiters[i].stuck && is_waiter_of(&w->waiters[i], holder);
	if (!holder->alive || stuck == 0)
		return true;
	return holder->thread == 0 && stuck < count_threads(holder->pid);
}

/* It waits for all of the holders, or for any one of them. Who else could help nobody knows. */
static bool can_go_on(const cli_waits *w, const cli_waiter *waiter)
{
	bool held = false, one_of = false, all = true, any = false;

	for (size_t i = 0; i < w->holder_count; i++) {
		if (w->holders[i].place != waiter->entry.place)
			continue;
		bool can = can_let_go(w, &w->holders[i]);

		held = true;
		one_of = w->holders[i].flags & ZIPC_HOLDER_ONE_OF;
		all = all && can;
		any = any || can;
	}
	return !held || (one_of ? any : all);
}

size_t cli_find_stuck(cli_waits *w)
{
	size_t stuck = w->waiter_count, before;

	for (size_t i = 0; i < w->waiter_count; i++)
		w->waiters[i].stuck = true;
	do {
		before = stuck;
		for (size_t i = 0; i < w->waiter_count; i++) {
			if (w->waiters[i].stuck && can_go_on(w, &w->waiters[i])) {
				w->waiters[i].stuck = false;
				stuck--;
			}
		}
	} while (stuck != before);
	return stuck;
}

const zipc_holder_entry *cli_waits_for(const cli_waits *w, const cli_waiter *waiter,
				       cli_waiter **out_next)
{
	for (size_t i = 0; i < w->holder_count; i++) {
		if (w->holders[i].place != waiter->entry.place)
			continue;
		for (size_t k = 0; k < w->waiter_count; k++) {
			if (w->waiters[k].stuck && is_waiter_of(&w->waiters[k], &w->holders[i])) {
				*out_next = &w->waiters[k];
				return &w->holders[i];
			}
		}
	}
	return NULL;
}
