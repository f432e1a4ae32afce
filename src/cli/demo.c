/* SPDX-License-Identifier: MIT */
/*
 * The conductor of the demo: makes the segment and its structures, has the cast started and some of
 * it killed, merges the results, and leaves nothing behind.
 */
#include "demo.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEGMENT_PREFIX "zeroipc-demo-"
#define SEGMENT_SIZE   (UINT64_C(4) << 20)
#define SEGMENT_MAX    (UINT64_C(64) << 20)

/* While a kill is due the conductor looks this often for a worker with a block. */
#define HUNT_SLICE_NS INT64_C(1000000)

/* So often it looks after its processes while results pour in. */
#define LOOK_INTERVAL_S 0.005

/* ---- the stage ------------------------------------------------------------------------------ */

/* A demo that was killed itself could not clean up: its segment has no living peer any more. */
static int remove_leftover(const zipc_segment_entry *entry, void *arg)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	zipc_segment_info info = {.struct_size = sizeof(info)};
	zipc_segment *segment;

	(void)arg;
	options.flags = ZIPC_SEGMENT_READ_ONLY;
	if (strncmp(entry->name, SEGMENT_PREFIX, strlen(SEGMENT_PREFIX)) != 0 ||
	    zipc_segment_open(entry->name, &options, &segment) < 0)
		return 0;
	if (zipc_segment_get_info(segment, &info) == 0 && info.peers == 0)
		zipc_segment_remove(entry->name, NULL);
	zipc_segment_close(segment);
	return 0;
}

static int create_segment(demo *d)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	sigset_t all, old;
	int rc = -EEXIST;

	options.size = SEGMENT_SIZE;
	options.max_size = SEGMENT_MAX;
	/* Ctrl-C shall find either no segment or somebody who removes it. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	/* Process ids are unique in one pid namespace only; shared memory may span several. */
	for (int i = 0; rc == -EEXIST && i < 100; i++) {
		snprintf(d->name, sizeof(d->name), SEGMENT_PREFIX "%d-%04x", (int)getpid(),
			 (unsigned)(cli_now_ns() / 1000 & 0xffff));
		rc = zipc_segment_create(d->name, &options, &d->segment);
	}
	if (rc >= 0)
		cli_catch_signals(d->segment);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return rc;
}

static int create_structures(demo *d)
{
	zipc_queue_options blocks = ZIPC_QUEUE_OPTIONS_INIT, results = ZIPC_QUEUE_OPTIONS_INIT;
	uint64_t capacity = d->places < 8 ? 16 : 2 * d->places;
	int rc;

	blocks.flags = ZIPC_QUEUE_AT_LEAST_ONCE;
	blocks.schema = "u64 number; u32 length; u32; text";
	results.flags = ZIPC_QUEUE_SINGLE_CONSUMER;
	results.schema = "u64 block; u32 length; u32 worker; u32 deliveries; u32 used; table";
	rc = zipc_queue_create(d->segment, DEMO_BLOCKS, sizeof(demo_block), capacity, &blocks,
			       &d->blocks);
	if (rc >= 0)
		rc = zipc_queue_create(d->segment, DEMO_RESULTS, sizeof(demo_result), capacity,
				       &results, &d->results);
	if (rc >= 0)
		rc = zipc_array_create(d->segment, DEMO_STATUS, sizeof(uint64_t),
				       DEMO_STATUS_WORKER + d->places, NULL, &d->status);
	return rc;
}

static int set_stage(demo *d)
{
	int rc = demo_find_tool(d);

	if (rc != CLI_OK)
		return rc;
	d->places = (unsigned)d->call->options.workers;
	zipc_segment_list(remove_leftover, NULL);
	rc = create_segment(d);
	if (rc >= 0)
		rc = create_structures(d);
	return rc < 0 ? cli_failed("demo: %s", cli_reason(rc)) : CLI_OK;
}

/* ---- collecting ----------------------------------------------------------------------------- */

/* True when the result of this block was not merged yet; from now on it is. */
static bool first_of_block(demo *d, uint64_t block)
{
	if (block >= d->seen_size) {
		uint64_t size = 2 * block + 1024;

		d->seen = cli_memory(d->seen, size * sizeof(*d->seen));
		memset(d->seen + d->seen_size, 0, (size - d->seen_size) * sizeof(*d->seen));
		d->seen_size = size;
	}
	if (d->seen[block])
		return false;
	d->seen[block] = true;
	return true;
}

static int merge(demo *d, const demo_result *result)
{
	uint64_t block = result->block;

	/* The reader says how many there are; one more may be on its way to be told. */
	if (block > demo_status(d, DEMO_STATUS_READER))
		return cli_failed("demo: a result of block %llu, which does not exist",
				  (unsigned long long)block);
	if (result->deliveries > 1) {
		d->came_back++;
		demo_tell("block %llu came back and was counted by worker %u",
			  (unsigned long long)block, result->worker);
	}
	if (!first_of_block(d, block)) {
		d->repeated++;
		return CLI_OK;
	}
	if (!demo_unpack(&d->words, result->table, result->used))
		return cli_failed("demo: the result of block %llu is damaged",
				  (unsigned long long)block);
	d->merged++;
	d->bytes += result->length;
	return CLI_OK;
}

static int nothing_came(demo *d, int64_t waited_ns)
{
	d->idle_ns += waited_ns;
	if (d->idle_ns < DEMO_PATIENCE_NS)
		return CLI_OK;
	return cli_failed("demo: waited %d s for a result: %llu of %llu blocks are counted, the "
			  "reader is %s, %u workers live",
			  DEMO_PATIENCE_S, (unsigned long long)d->merged,
			  (unsigned long long)demo_status(d, DEMO_STATUS_READER),
			  d->reader_done ? "done" : "still at work", demo_count_workers(d));
}

/* Takes one result, reads it in place, gives the slot back. */
static int collect_one(demo *d, int64_t wait_ns, bool *out_got)
{
	void *slot;
	uint64_t ticket;
	int rc = zipc_queue_acquire(d->results, wait_ns, &slot, &ticket), merged;

	*out_got = rc >= 0;
	if (cli_caught())
		return cli_caught();
	if (rc == -ETIMEDOUT || rc == -EAGAIN)
		return nothing_came(d, wait_ns);
	if (rc < 0)
		return cli_failed("demo: %s", cli_reason(rc));
	d->idle_ns = 0;
	merged = merge(d, slot);
	rc = zipc_queue_release(d->results, ticket);
	if (merged == CLI_OK && rc < 0)
		return cli_failed("demo: %s", cli_reason(rc));
	return merged;
}

/* What must be looked after between two results; not after each of them, it costs system calls. */
static int conduct(demo *d, bool got)
{
	double now = demo_now();
	int rc;

	if (got && now - d->last_look < LOOK_INTERVAL_S && !demo_kill_is_due(d))
		return CLI_OK;
	d->last_look = now;
	rc = demo_reap(d);
	if (rc == CLI_OK && demo_kill_is_due(d))
		rc = demo_kill_somebody(d);
	if (rc == CLI_OK)
		rc = demo_keep_alive(d);
	demo_progress(d);
	return rc;
}

/* Everything is in when a worker has seen the end, all have left, and no result is waiting. */
static int collect(demo *d)
{
	bool got = true;
	int rc = CLI_OK;

	d->begin = demo_now();
	while (rc == CLI_OK &&
	       (got || !d->all_done || demo_count_workers(d) > 0 || d->reader.pid)) {
		bool leaving = d->all_done && demo_count_workers(d) == 0 && !d->reader.pid;
		int64_t wait = leaving		     ? ZIPC_NOWAIT
			       : demo_kill_is_due(d) ? HUNT_SLICE_NS
						     : DEMO_SLICE_NS / 4;

		rc = collect_one(d, wait, &got);
		if (rc == CLI_OK)
			rc = conduct(d, got);
	}
	d->seconds = demo_now() - d->begin;
	demo_end_progress();
	return rc;
}

static void take_accounts(demo *d)
{
	zipc_queue_stats stats = {.struct_size = sizeof(stats)};
	uint64_t sent = demo_status(d, DEMO_STATUS_READER);

	if (zipc_queue_get_stats(d->blocks, &stats) == 0)
		d->redelivered = stats.redelivered;
	d->lost = sent - d->merged;
}

/* In every case: nobody is left running, and the name is gone. */
static void clear_stage(demo *d)
{
	demo_end_cast(d);
	if (d->segment)
		zipc_segment_remove(d->name, NULL);
	cli_catch_signals(NULL);
	zipc_array_close(d->status);
	zipc_queue_close(d->results);
	zipc_queue_close(d->blocks);
	zipc_segment_close(d->segment);
}

/* ---- command ------------------------------------------------------------------------------- */

static int perform(demo *d)
{
	int rc = set_stage(d);

	if (rc == CLI_OK) {
		demo_introduce(d);
		rc = demo_start_cast(d);
	}
	if (rc == CLI_OK)
		rc = collect(d);
	if (rc == CLI_OK)
		take_accounts(d);
	else
		demo_end_progress();
	clear_stage(d);
	return rc;
}

static int run(const cli_call *given)
{
	cli_call call = *given;
	demo d = {.call = &call};
	int rc;

	if (!cli_given(&call, CLI_OPT_WORKERS))
		call.options.workers = 3;
	if (!cli_given(&call, CLI_OPT_KILL))
		call.options.kills = 1;
	rc = demo_choose_input(&call, &d.input);
	if (rc != CLI_OK)
		return rc;
	rc = perform(&d);
	if (rc == CLI_OK)
		rc = demo_compare(&d);
	if (rc == CLI_OK)
		rc = demo_report(&d);
	demo_words_free(&d.words);
	demo_drop_input(&d.input);
	free(d.kills);
	free(d.seen);
	return rc;
}

const cli_command cli_demo = {
	.name = "demo",
	.arguments = "[FILE...] [--workers N] [--kill N] [--rounds N] [--json]",
	.summary = "count words with several processes, and kill some of them",
	.help = "One process reads text into blocks of a shared queue, workers count the words of "
		"a\n"
		"block where it lies, and this process adds up. In the middle a worker gets kill "
		"-9\n"
		"while it holds a block: the block comes back and another worker counts it. At "
		"the\n"
		"end the counts are compared with a plain count by one process: every word must "
		"have\n"
		"been seen equally often, else the exit code is 1.\n"
		"\n"
		"Without FILE it reads the licence texts and the dictionary of the machine, or a "
		"text\n"
		"of its own, often enough to last about a second.\n"
		"\n"
		"      --workers N   worker processes, 1 to 64 (3)\n"
		"      --kill N      how many of them are killed (1); when none is left, a new one "
		"is\n"
		"                    started\n"
		"      --rounds N    read the files so often (1; without FILE as said above)\n"
		"      --json        one object with the result\n"
		"\n"
		"Try 'zeroipc list' and 'zeroipc show' while it runs, or kill a worker yourself.\n"
		"\n"
		"examples:\n"
		"  zeroipc demo\n"
		"  zeroipc demo --kill 5 --workers 2\n"
		"  zeroipc demo /usr/share/doc/*/copyright --rounds 10\n",
	.options = CLI_OPT_JSON | CLI_OPT_WORKERS | CLI_OPT_KILL | CLI_OPT_ROUNDS,
	.most = -1,
	.run = run,
};
