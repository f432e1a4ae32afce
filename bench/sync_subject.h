/* SPDX-License-Identifier: MIT */
/*
 * A subject of the benchmarks of locks, semaphores and their like, and the measured loops.
 *
 * The loops are written once and instantiated for each subject by the SYNC_..._LOOPS() macros, with
 * the subject's operations inlined where these come from a header, and called where they come from
 * a library: as a user would have it. No indirect call stands inside a measured loop.
 */
#ifndef ZEROIPC_BENCH_SYNC_SUBJECT_H
#define ZEROIPC_BENCH_SYNC_SUBJECT_H

#include "bench.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The benchmarks; a subject says with a mask of these where it takes part. */
enum sync_bench {
	MUTEX_ALONE = 1 << 0,
	MUTEX_HAMMER = 1 << 1,
	RWLOCK_READ = 1 << 2,
	RWLOCK_2R = 1 << 3,
	RWLOCK_90_10 = 1 << 4,
	RWLOCK_WRITER = 1 << 5,
	SEM_ALONE = 1 << 6,
	SEM_SLEEPING = 1 << 7,
	MONITOR_SLEEPING = 1 << 8,
	BARRIER_CYCLE = 1 << 9,
	ONCE_FAST = 1 << 10,
	OWNER_DEATH = 1 << 11,
};

#define SYNC_WORDS	  4    /* that a lock protects */
#define SYNC_WRITE_EVERY  10   /* one write in so many, where reads and writes are mixed */
#define SYNC_WRITER_NS	  1000 /* from one write to the next, where a writer keeps time */
#define SYNC_DEATHS_MAX	  256
#define SYNC_BIG_RESIDENT (UINT64_C(1) << 30)

/* What the lanes share beside the subject; all zero at the beginning of a measurement. */
struct sync_shared {
	uint64_t word[SYNC_WORDS]; /* each write adds 1 to all of them */
	char pad_word[128 - 8 * SYNC_WORDS];
	unsigned turn; /* whose turn it is, under a monitor's lock */
	char pad_turn[124];

	/* Numbers of the death that has come so far; see sync_death.c. */
	unsigned held;	  /* by the holder */
	unsigned asked;	  /* by the killer */
	unsigned waiting; /* by the waiter */
	unsigned lived;	  /* by the waiter */
	uint64_t kill_ns;
	uint64_t death_ns[SYNC_DEATHS_MAX]; /* from kill() to the waiter */
};

typedef void sync_loop_fn(struct bench_lane *lane, void *first, void *second);

/* What a lane can do; NULL where the subject takes part in no benchmark that needs it. */
struct bench_loops {
	sync_loop_fn *alone;	/* take and give back, one process */
	sync_loop_fn *together; /* the same thing in both of two */
	sync_loop_fn *mixed;	/* reads and writes */
	sync_loop_fn *paced;	/* one write every microsecond */
	sync_loop_fn *ping;
	sync_loop_fn *pong;
	void (*hold)(void *end);
	/* Locks what a dead one held, takes the time, unlocks. False when it was not told so. */
	bool (*inherit)(void *end, uint64_t *out_ns);
};

/* Lists that end with NULL; each is compiled in where its headers were found. */
extern const struct bench_subject *const sync_zeroipc_subjects[];
extern const struct bench_subject *const sync_yardsticks[];
extern const struct bench_subject *const sync_peer_subjects[];
extern const struct bench_subject *const sync_cxx_subjects[];

/* The lanes of owner_death. */
void sync_kill_holders(struct bench_lane *lane, const struct bench_work *work, uint64_t resident);
void sync_outlive_holders(struct bench_lane *lane, const struct bench_work *work);

/* ---- what the locks protect ------------------------------------------------------------------ */

typedef void sync_act_fn(void *end);

BENCH_INLINE void sync_write(struct sync_shared *shared)
{
	for (unsigned i = 0; i < SYNC_WORDS; i++)
		shared->word[i]++;
}

/* Not 0 when a write is seen half done. */
BENCH_INLINE uint64_t sync_torn(const struct sync_shared *shared)
{
	uint64_t differs = 0;

	for (unsigned i = 1; i < SYNC_WORDS; i++)
		differs |= shared->word[i] ^ shared->word[0];
	return differs;
}

/* ---- one process ----------------------------------------------------------------------------- */

BENCH_INLINE void sync_in_turn(struct bench_lane *lane, sync_act_fn *take, sync_act_fn *give,
			       void *end)
{
	uint64_t count = lane->count;

	bench_start(lane);
	for (uint64_t i = 0; i < count; i++) {
		take(end);
		give(end);
	}
	bench_stop(lane);
}

BENCH_INLINE void sync_repeat(struct bench_lane *lane, sync_act_fn *act, void *end)
{
	uint64_t count = lane->count;

	bench_start(lane);
	for (uint64_t i = 0; i < count; i++)
		act(end);
	bench_stop(lane);
}

/* ---- two processes --------------------------------------------------------------------------- */

BENCH_INLINE void sync_hammer(struct bench_lane *lane, sync_act_fn *lock, sync_act_fn *unlock,
			      void *end)
{
	struct sync_shared *shared = (struct sync_shared *)lane->shared;
	uint64_t count = lane->count, done = 0;

	bench_start(lane);
	for (; done < count && !bench_over(lane); done++) {
		lock(end);
		sync_write(shared);
		unlock(end);
	}
	bench_leave(lane, done);
	lane->sum = done;
}

BENCH_INLINE void sync_read_on(struct bench_lane *lane, sync_act_fn *lock, sync_act_fn *unlock,
			       void *end)
{
	const struct sync_shared *shared = (const struct sync_shared *)lane->shared;
	uint64_t count = lane->count, done = 0, wrong = 0;

	bench_start(lane);
	for (; done < count && !bench_over(lane); done++) {
		lock(end);
		wrong |= sync_torn(shared);
		unlock(end);
	}
	bench_leave(lane, done);
	lane->wrong = wrong;
}

BENCH_INLINE void sync_mix(struct bench_lane *lane, sync_act_fn *read_lock,
			   sync_act_fn *read_unlock, sync_act_fn *write_lock,
			   sync_act_fn *write_unlock, void *end)
{
	struct sync_shared *shared = (struct sync_shared *)lane->shared;
	uint64_t count = lane->count, done = 0, wrong = 0, writes = 0;
	/* The two do not write in step. */
	unsigned reads = SYNC_WRITE_EVERY / 2 * lane->index;

	bench_start(lane);
	for (; done < count && !bench_over(lane); done++) {
		if (++reads < SYNC_WRITE_EVERY) {
			read_lock(end);
			wrong |= sync_torn(shared);
			read_unlock(end);
			continue;
		}
		write_lock(end);
		sync_write(shared);
		write_unlock(end);
		writes++;
		reads = 0;
	}
	bench_leave(lane, done);
	lane->wrong = wrong;
	lane->sum = writes;
}

/* Who comes late does not catch up: two writes never follow each other at once. */
BENCH_INLINE void sync_write_paced(struct bench_lane *lane, sync_act_fn *lock, sync_act_fn *unlock,
				   void *end)
{
	struct sync_shared *shared = (struct sync_shared *)lane->shared;
	uint64_t count = lane->count, done = 0, due = bench_now_ns();

	bench_start(lane);
	for (; done < count && !bench_over(lane); done++) {
		uint64_t now;

		while ((now = bench_now_ns()) < due)
			bench_pause();
		due = due + SYNC_WRITER_NS > now ? due + SYNC_WRITER_NS : now + SYNC_WRITER_NS;
		lock(end);
		sync_write(shared);
		unlock(end);
	}
	bench_leave(lane, done);
	lane->sum = done;
}

/* ---- round trips ----------------------------------------------------------------------------- */

BENCH_INLINE void sync_ping(struct bench_lane *lane, sync_act_fn *acquire, sync_act_fn *release,
			    void *there, void *back)
{
	uint64_t count = lane->count;

	bench_start(lane);
	for (uint64_t i = 0; i < count; i++) {
		release(there);
		acquire(back);
	}
	bench_stop(lane);
}

BENCH_INLINE void sync_pong(struct bench_lane *lane, sync_act_fn *acquire, sync_act_fn *release,
			    void *there, void *back)
{
	uint64_t count = lane->count;

	bench_start(lane);
	for (uint64_t i = 0; i < count; i++) {
		acquire(there);
		release(back);
	}
	bench_stop(lane);
}

/* Both sides: wait for one's turn, give it to the other. */
BENCH_INLINE void sync_take_turns(struct bench_lane *lane, sync_act_fn *enter, sync_act_fn *leave,
				  sync_act_fn *wait, sync_act_fn *notify, void *end)
{
	struct sync_shared *shared = (struct sync_shared *)lane->shared;
	uint64_t count = lane->count;

	bench_start(lane);
	enter(end);
	for (uint64_t i = 0; i < count; i++) {
		while (__atomic_load_n(&shared->turn, __ATOMIC_RELAXED) != lane->index)
			wait(end);
		__atomic_store_n(&shared->turn, 1 - lane->index, __ATOMIC_RELAXED);
		notify(end);
	}
	leave(end);
	bench_stop(lane);
}

/* ---- tables of loops ------------------------------------------------------------------------- */

/* clang-format off */
#define SYNC_ACT_LOOP(name, loop, act)                                                             \
	static void name(struct bench_lane *lane, void *first, void *second)                       \
	{ (void)second; loop(lane, act, first); }
#define SYNC_PAIR_LOOP(name, loop, take, give)                                                     \
	static void name(struct bench_lane *lane, void *first, void *second)                       \
	{ (void)second; loop(lane, take, give, first); }
#define SYNC_TRIP_LOOP(name, loop, acquire, release)                                               \
	static void name(struct bench_lane *lane, void *first, void *second)                       \
	{ loop(lane, acquire, release, first, second); }

#define SYNC_ONCE_LOOPS(prefix, call)                                                              \
	SYNC_ACT_LOOP(prefix##_alone, sync_repeat, call)                                           \
	static const struct bench_loops prefix##_loops = {                                         \
		prefix##_alone, NULL, NULL, NULL, NULL, NULL, NULL, NULL,                          \
	}

#define SYNC_BARRIER_LOOPS(prefix, wait)                                                           \
	SYNC_ACT_LOOP(prefix##_together, sync_repeat, wait)                                        \
	static const struct bench_loops prefix##_loops = {                                         \
		NULL, prefix##_together, NULL, NULL, NULL, NULL, NULL, NULL,                       \
	}

/* `hold` and `inherit` are NULL for a mutex that dies with its holder. */
#define SYNC_MUTEX_LOOPS(prefix, lock, unlock, hold, inherit)                                      \
	SYNC_PAIR_LOOP(prefix##_alone, sync_in_turn, lock, unlock)                                 \
	SYNC_PAIR_LOOP(prefix##_together, sync_hammer, lock, unlock)                               \
	static const struct bench_loops prefix##_loops = {                                         \
		prefix##_alone, prefix##_together, NULL, NULL, NULL, NULL, hold, inherit,          \
	}

#define SYNC_RWLOCK_LOOPS(prefix, read_lock, read_unlock, write_lock, write_unlock)                \
	SYNC_PAIR_LOOP(prefix##_alone, sync_in_turn, read_lock, read_unlock)                       \
	SYNC_PAIR_LOOP(prefix##_together, sync_read_on, read_lock, read_unlock)                    \
	SYNC_PAIR_LOOP(prefix##_paced, sync_write_paced, write_lock, write_unlock)                 \
	static void prefix##_mixed(struct bench_lane *lane, void *first, void *second)             \
	{                                                                                          \
		(void)second;                                                                      \
		sync_mix(lane, read_lock, read_unlock, write_lock, write_unlock, first);           \
	}                                                                                          \
	static const struct bench_loops prefix##_loops = {                                         \
		prefix##_alone, prefix##_together, prefix##_mixed, prefix##_paced,                 \
		NULL, NULL, NULL, NULL,                                                            \
	}

#define SYNC_SEMAPHORE_LOOPS(prefix, acquire, release)                                             \
	SYNC_PAIR_LOOP(prefix##_alone, sync_in_turn, acquire, release)                             \
	SYNC_TRIP_LOOP(prefix##_ping, sync_ping, acquire, release)                                 \
	SYNC_TRIP_LOOP(prefix##_pong, sync_pong, acquire, release)                                 \
	static const struct bench_loops prefix##_loops = {                                         \
		prefix##_alone, NULL, NULL, NULL, prefix##_ping, prefix##_pong, NULL, NULL,        \
	}

#define SYNC_MONITOR_LOOPS(prefix, enter, leave, wait, notify)                                     \
	static void prefix##_turns(struct bench_lane *lane, void *first, void *second)             \
	{ (void)second; sync_take_turns(lane, enter, leave, wait, notify, first); }                \
	static const struct bench_loops prefix##_loops = {                                         \
		NULL, NULL, NULL, NULL, prefix##_turns, prefix##_turns, NULL, NULL,                \
	}
/* clang-format on */

#ifdef __cplusplus
}
#endif

#endif
