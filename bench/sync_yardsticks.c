/* SPDX-License-Identifier: MIT */
/*
 * Yardsticks: what the machine gives. None of them survives the death of a process; they show what
 * that costs us.
 */
#include "sync_subject.h"

#include <stdatomic.h>

/* ---- two lines, two futexes ------------------------------------------------------------------ */

static void lines_ping(struct bench_lane *lane, void *first, void *second)
{
	(void)second;
	bench_ping(lane, first);
}

static void lines_pong(struct bench_lane *lane, void *first, void *second)
{
	(void)second;
	bench_pong(lane, first);
}

static void futex_ping(struct bench_lane *lane, void *first, void *second)
{
	(void)second;
	bench_futex_ping(lane, first);
}

static void futex_pong(struct bench_lane *lane, void *first, void *second)
{
	(void)second;
	bench_futex_pong(lane, first);
}

static const struct bench_loops lines_loops = {.ping = lines_ping, .pong = lines_pong};
static const struct bench_loops futex_loops = {.ping = futex_ping, .pong = futex_pong};

static const struct bench_subject two_lines = {
	.name = "two_lines",
	.note = "two-line ping-pong",
	.kind = BENCH_YARDSTICK,
	.benches = SEM_SLEEPING,
	.create = bench_trip_create,
	.destroy = bench_trip_destroy,
	.attach = bench_trip_attach,
	.detach = bench_detach_nothing,
	.loops = &lines_loops,
};

/* Counts as a peer: it is what one would write instead of a semaphore. */
static const struct bench_subject futex_pair = {
	.name = "futex_pair",
	.note = "bare futexes",
	.kind = BENCH_PEER,
	.benches = SEM_SLEEPING,
	.create = bench_trip_create,
	.destroy = bench_trip_destroy,
	.attach = bench_trip_attach,
	.detach = bench_detach_nothing,
	.loops = &futex_loops,
};

/* ---- one word: a barrier that spins, a flag that is set -------------------------------------- */

static void *word_create(const struct bench_subject *self)
{
	(void)self;
	return bench_share(sizeof(atomic_ulong));
}

static void word_destroy(void *state)
{
	bench_unshare(state, sizeof(atomic_ulong));
}

static void *word_attach(void *state, unsigned index, unsigned roles)
{
	(void)index, (void)roles;
	return state;
}

/* Counts arrivals of two; a round is over when the count is even again. */
BENCH_INLINE void spin_barrier_wait(void *end)
{
	atomic_ulong *arrivals = end;
	unsigned long mine = atomic_fetch_add_explicit(arrivals, 1, memory_order_acq_rel);

	while (atomic_load_explicit(arrivals, memory_order_acquire) <= (mine | 1))
		;
}

BENCH_INLINE void flag_check(void *end)
{
	atomic_ulong *flag = end;

	if (atomic_load_explicit(flag, memory_order_acquire) != 0)
		bench_fail("the flag is not set");
}

SYNC_BARRIER_LOOPS(spin_barrier, spin_barrier_wait);
SYNC_ONCE_LOOPS(flag, flag_check);

static const struct bench_subject spin_barrier = {
	.name = "spin_barrier",
	.note = "one word, inline, never sleeps",
	.kind = BENCH_YARDSTICK,
	.benches = BARRIER_CYCLE,
	.create = word_create,
	.destroy = word_destroy,
	.attach = word_attach,
	.detach = bench_detach_nothing,
	.loops = &spin_barrier_loops,
};

static const struct bench_subject flag = {
	.name = "flag",
	.note = "one load, inline",
	.kind = BENCH_YARDSTICK,
	.benches = ONCE_FAST,
	.create = word_create,
	.destroy = word_destroy,
	.attach = word_attach,
	.detach = bench_detach_nothing,
	.loops = &flag_loops,
};

const struct bench_subject *const sync_yardsticks[] = {
	&two_lines, &futex_pair, &spin_barrier, &flag, NULL,
};
