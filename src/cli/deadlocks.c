/* SPDX-License-Identifier: MIT */
/*
 * zeroipc deadlocks: who waits for whom, in circles. Two pictures are taken; what is stuck in both, at
 * the same place since the same moment, can never go on.
 */
#include "cli.h"

#include <string.h>
#include <time.h>

#define APART_NS 50000000

static bool same_wait(const cli_waiter *a, const cli_waiter *b)
{
	uint64_t apart = a->entry.since_ns > b->entry.since_ns
				 ? a->entry.since_ns - b->entry.since_ns
				 : b->entry.since_ns - a->entry.since_ns;

	/* the moments are converted at each look */
	return a->entry.peer_id == b->entry.peer_id && a->entry.thread == b->entry.thread &&
	       a->entry.place == b->entry.place && apart < APART_NS / 2;
}

/* What was not stuck a moment ago may just be on its way. */
static void keep_lasting(cli_waits *now, const cli_waits *before)
{
	for (size_t i = 0; i < now->waiter_count; i++) {
		bool lasts = false;

		for (size_t k = 0; k < before->waiter_count; k++)
			lasts = lasts || (before->waiters[k].stuck &&
					  same_wait(&now->waiters[i], &before->waiters[k]));
		now->waiters[i].stuck = now->waiters[i].stuck && lasts;
	}
}

/* Follows who waits for whom until somebody comes twice: that one is on a circle. */
static cli_waiter *find_circle(const cli_waits *w, cli_waiter *from)
{
	cli_waiter *next = from;

	for (size_t steps = 0; steps <= w->waiter_count; steps++) {
		if (next->printed || !cli_waits_for(w, next, &next))
			return NULL;
	}
	return next;
}

/* ---- for people ----------------------------------------------------------------------------- */

static void print_name(const char *name)
{
	putchar('\'');
	cli_put_safe(stdout, name, strlen(name));
	putchar('\'');
}

static void print_thread(const cli_waits *w, uint32_t peer_id, uint32_t pid, uint32_t thread)
{
	const char *command = cli_waits_command(w, peer_id);

	printf("process %u (", pid);
	cli_put_safe(stdout, command, strlen(command));
	putchar(')');
	if (thread != 0)
		printf(", thread %u,", thread);
}

static void print_wait(const cli_waits *w, const cli_waiter *waiter,
		       const zipc_holder_entry *holder)
{
	const zipc_waiter_entry *entry = &waiter->entry;
	char age[CLI_SHORT];

	fputs("  ", stdout);
	print_thread(w, entry->peer_id, entry->pid, entry->thread);
	printf(" has waited %s for %s ", cli_age_text(age, entry->since_ns), entry->type_name);
	print_name(entry->name);
	fputs("\n    which ", stdout);
	print_thread(w, holder->peer_id, holder->pid, holder->thread);
	printf(" %s\n", holder->what);
}

static void print_circle(const cli_waits *w, cli_waiter *start, size_t number)
{
	cli_waiter *waiter = start, *next;

	printf("%sdeadlock %zu:\n", number > 1 ? "\n" : "", number);
	do {
		const zipc_holder_entry *holder = cli_waits_for(w, waiter, &next);

		print_wait(w, waiter, holder);
		waiter->printed = true;
		waiter = next;
	} while (waiter != start);
}

/* ---- for programs --------------------------------------------------------------------------- */

static void json_circle(cli_json *json, const cli_waits *w, cli_waiter *start)
{
	cli_waiter *waiter = start, *next;

	cli_json_open(json, '[');
	do {
		const zipc_holder_entry *holder = cli_waits_for(w, waiter, &next);

		cli_json_open(json, '{');
		cli_json_thread(json, w, waiter->entry.peer_id, waiter->entry.pid,
				waiter->entry.thread);
		cli_json_text(json, "type", waiter->entry.type_name);
		cli_json_text(json, "name", waiter->entry.name);
		cli_json_time(json, "since", waiter->entry.since_ns);
		cli_json_key(json, "holder");
		cli_json_open(json, '{');
		cli_json_thread(json, w, holder->peer_id, holder->pid, holder->thread);
		cli_json_text(json, "what", holder->what);
		cli_json_close(json, '}');
		cli_json_close(json, '}');
		waiter->printed = true;
		waiter = next;
	} while (waiter != start);
	cli_json_close(json, ']');
}

/* ---- command -------------------------------------------------------------------------------- */

/* How many circles there are. */
static size_t tell(const cli_target *target, cli_waits *w, bool for_json)
{
	size_t number = 0;
	cli_json json = {0};

	if (for_json) {
		cli_json_open(&json, '{');
		cli_json_text(&json, "segment", target->segment_name);
		cli_json_key(&json, "deadlocks");
		cli_json_open(&json, '[');
	}
	for (size_t i = 0; i < w->waiter_count; i++) {
		cli_waiter *start = w->waiters[i].stuck ? find_circle(w, &w->waiters[i]) : NULL;

		if (start == NULL)
			continue;
		number++;
		if (for_json)
			json_circle(&json, w, start);
		else
			print_circle(w, start, number);
	}
	if (for_json) {
		cli_json_close(&json, ']');
		cli_json_close(&json, '}');
		cli_json_end(&json);
	}
	return number;
}

static int look(const cli_target *target, bool for_json)
{
	const struct timespec apart = {.tv_nsec = APART_NS};
	cli_waits before, now = {0};
	size_t number = 0;
	int rc = cli_take_waits(target, &before);

	if (rc == CLI_OK && cli_find_stuck(&before) > 0) {
		nanosleep(&apart, NULL);
		rc = cli_take_waits(target, &now);
		cli_find_stuck(&now);
		keep_lasting(&now, &before);
	}
	if (rc == CLI_OK)
		number = tell(target, &now, for_json);
	cli_drop_waits(&before);
	cli_drop_waits(&now);
	if (number > 0)
		return cli_failed("segment '%s': %zu deadlock%s", target->segment_name, number,
				  number == 1 ? "" : "s");
	if (rc == CLI_OK && !for_json)
		puts("no deadlocks");
	return rc;
}

static int run(const cli_call *call)
{
	cli_target target;
	int rc = cli_attach(call, call->argv[0], CLI_LOOK, CLI_SEGMENT, &target);

	if (rc != CLI_OK)
		return rc;
	rc = look(&target, cli_given(call, CLI_OPT_JSON));
	cli_detach(&target);
	return rc;
}

const cli_command cli_deadlocks = {
	.name = "deadlocks",
	.arguments = "SEG [--json] [--trust]",
	.summary = "find threads that wait for each other in a circle",
	.help = "Looks twice at who sleeps and at who holds what they sleep for: mutexes, reader\n"
		"and writer locks, permits of owned semaphores, functions of a once. Prints each "
		"circle\n"
		"with process, thread, structure and since when, and exits with 1 if there is "
		"one.\n"
		"What a process holds as a whole counts as stuck when all of its threads are.\n"
		"\n"
		"  --json    one object: segment, deadlocks\n"
		"  --trust   open it even if other users own it or may write to it\n"
		"\n"
		"example:\n"
		"  zeroipc deadlocks jobs\n",
	.options = CLI_OPT_JSON | CLI_OPT_TRUST,
	.least = 1,
	.most = 1,
	.run = run,
};
