/* SPDX-License-Identifier: MIT */
/*
 * Our own queue as a subject: through the public calls of the shared library, each lane attached to
 * the segment by itself.
 */
#include "bench_zeroipc.h"
#include "queue_subject.h"

#include <errno.h>
#include <zeroipc/queue.h>

/* bench_subject.variant */
#define MULTI  1u /* many producers, many consumers */
#define BLOCKS 2u /* large elements */

/* -EAGAIN is the only refusal that a measured loop expects. */
BENCH_INLINE bool done(int rc, const char *call)
{
	if (rc >= 0)
		return true;
	if (rc != -EAGAIN)
		bench_zeroipc_check(rc, call);
	return false;
}

static void *zeroipc_create(const struct bench_subject *self)
{
	zipc_queue_options options = ZIPC_QUEUE_OPTIONS_INIT;
	struct bench_zeroipc *state = bench_zeroipc_create(self);
	bool blocks = self->variant & BLOCKS;

	if (!(self->variant & MULTI))
		options.flags = ZIPC_QUEUE_SINGLE_PRODUCER | ZIPC_QUEUE_SINGLE_CONSUMER;
	for (unsigned i = 0; i < BENCH_PAIR; i++) {
		zipc_queue *queue;

		bench_zeroipc_check(zipc_queue_create(state->segment, bench_zeroipc_names[i],
						      blocks ? QUEUE_BLOCK : 8,
						      blocks ? QUEUE_BLOCK_SLOTS : QUEUE_CAPACITY,
						      &options, &queue),
				    "queue create");
		zipc_queue_close(queue);
	}
	return state;
}

static void *zeroipc_attach(void *state, unsigned index, unsigned roles)
{
	zipc_queue *opened;

	(void)roles;
	bench_zeroipc_check(zipc_queue_open(bench_zeroipc_here(state), bench_zeroipc_names[index],
					    0, NULL, &opened),
			    "queue open");
	return opened;
}

static void zeroipc_detach(void *end)
{
	zipc_queue_close(end);
}

/* ---- measured calls ------------------------------------------------------------------------- */

BENCH_INLINE bool push(void *end, uint64_t value)
{
	return done(zipc_queue_push(end, &value, ZIPC_NOWAIT), "push");
}

BENCH_INLINE bool pop(void *end, uint64_t *out_value)
{
	return done(zipc_queue_pop(end, out_value, ZIPC_NOWAIT), "pop");
}

BENCH_INLINE bool push_wait(void *end, uint64_t value)
{
	return done(zipc_queue_push(end, &value, ZIPC_FOREVER), "push");
}

BENCH_INLINE bool pop_wait(void *end, uint64_t *out_value)
{
	return done(zipc_queue_pop(end, out_value, ZIPC_FOREVER), "pop");
}

BENCH_INLINE size_t push_n(void *end, const uint64_t *values, size_t count)
{
	int rc = zipc_queue_push_n(end, values, count, ZIPC_NOWAIT);

	return done(rc, "push_n") ? (size_t)rc : 0;
}

BENCH_INLINE size_t pop_n(void *end, uint64_t *out_values, size_t count)
{
	int rc = zipc_queue_pop_n(end, out_values, count, ZIPC_NOWAIT);

	return done(rc, "pop_n") ? (size_t)rc : 0;
}

BENCH_INLINE bool reserve(void *end, void **out_block, uint64_t *out_ticket)
{
	return done(zipc_queue_reserve(end, ZIPC_NOWAIT, out_block, out_ticket), "reserve");
}

BENCH_INLINE void commit(void *end, uint64_t ticket)
{
	bench_zeroipc_check(zipc_queue_commit(end, ticket), "commit");
}

BENCH_INLINE bool acquire(void *end, void **out_block, uint64_t *out_ticket)
{
	return done(zipc_queue_acquire(end, ZIPC_NOWAIT, out_block, out_ticket), "acquire");
}

BENCH_INLINE void release(void *end, uint64_t ticket)
{
	bench_zeroipc_check(zipc_queue_release(end, ticket), "release");
}

BENCH_INLINE bool send_copy(void *end, const void *block)
{
	return done(zipc_queue_push(end, block, ZIPC_NOWAIT), "push");
}

BENCH_INLINE bool receive_copy(void *end, void *out_block)
{
	return done(zipc_queue_pop(end, out_block, ZIPC_NOWAIT), "pop");
}

QUEUE_LOOPS(poll, push, pop);
QUEUE_LOOPS(wait, push_wait, pop_wait);
QUEUE_BATCH_LOOPS(batch, push_n, pop_n);
QUEUE_IN_PLACE_LOOPS(in_place, reserve, commit, acquire, release);
QUEUE_COPY_LOOPS(copy, send_copy, receive_copy);

/* ---- subjects ------------------------------------------------------------------------------- */

#define SUBJECT(label, text, where, how, loop_table)                                               \
	&(const struct bench_subject)                                                              \
	{                                                                                          \
		.name = (label), .note = (text), .kind = BENCH_OURS, .benches = (where),           \
		.variant = (how), .create = zeroipc_create, .destroy = bench_zeroipc_destroy,      \
		.attach = zeroipc_attach, .detach = zeroipc_detach, .loops = &(loop_table)         \
	}

const struct bench_subject *const queue_zeroipc_subjects[] = {
	SUBJECT("zeroipc", "single/single", QUEUE_SPSC | QUEUE_PINGPONG, 0, poll_loops),
	SUBJECT("zeroipc", "multi/multi", QUEUE_MPMC_1P1C | QUEUE_MPMC_2P2C | QUEUE_ALONE, MULTI,
		poll_loops),
	SUBJECT("zeroipc", "single/single", QUEUE_BATCH32, 0, batch_loops),
	SUBJECT("zeroipc", "single/single, in place", QUEUE_64K, BLOCKS, in_place_loops),
	SUBJECT("zeroipc", "single/single, no spinning", QUEUE_SLEEPING, BENCH_SPIN_NONE,
		wait_loops),

	SUBJECT("zeroipc_spin", "single/single, default spinning", QUEUE_SLEEPING, 0, wait_loops),
	SUBJECT("zeroipc_wait", "single/single, waits without end", QUEUE_SPSC, 0, wait_loops),
	SUBJECT("zeroipc_wait", "multi/multi, waits without end", QUEUE_MPMC_1P1C | QUEUE_MPMC_2P2C,
		MULTI, wait_loops),
	SUBJECT("zeroipc_single", "single/single", QUEUE_ALONE, 0, poll_loops),
	SUBJECT("zeroipc_multi", "multi/multi", QUEUE_PINGPONG, MULTI, poll_loops),
	SUBJECT("zeroipc_multi", "multi/multi", QUEUE_BATCH32, MULTI, batch_loops),
	SUBJECT("zeroipc_multi", "multi/multi, in place", QUEUE_64K, MULTI | BLOCKS,
		in_place_loops),
	SUBJECT("zeroipc_multi", "multi/multi, no spinning", QUEUE_SLEEPING,
		MULTI | BENCH_SPIN_NONE, wait_loops),
	SUBJECT("zeroipc_multi_spin", "multi/multi, default spinning", QUEUE_SLEEPING, MULTI,
		wait_loops),
	SUBJECT("zeroipc_copy", "single/single, push and pop copy", QUEUE_64K, BLOCKS, copy_loops),
	NULL,
};
