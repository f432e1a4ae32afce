/* SPDX-License-Identifier: MIT */
/*
 * How fast locks, semaphores and their like are, beside their peers and some yardsticks; README.md
 * says how to read it.
 */
#include "sync_subject.h"

#include <stdlib.h>
#include <string.h>

enum shape { ALONE, TOGETHER, MIXED, PACED, ROUND_TRIP, DEATH, DEATH_BIG };

/* ---- figures --------------------------------------------------------------------------------- */

static double m_per_s(uint64_t count, const struct bench_result *result)
{
	return (double)count * 1e3 / (double)result->ns;
}

static double m_ops_per_s(const struct bench_result *result)
{
	return m_per_s(result->lanes[0].done + result->lanes[1].done, result);
}

static double m_writes_per_s(const struct bench_result *result)
{
	return m_per_s(result->lanes[0].done, result);
}

static double m_reads_per_s(const struct bench_result *result)
{
	return m_per_s(result->lanes[1].done, result);
}

static double m_rounds_per_s(const struct bench_result *result)
{
	return m_per_s(result->count, result);
}

static double slower_share(const struct bench_result *result)
{
	uint64_t a = result->lanes[0].done, b = result->lanes[1].done;

	return (double)(a < b ? a : b) * 100 / (double)(a + b);
}

static int compare_times(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The time in microseconds that so many percent of the deaths did not exceed. */
static double death_percentile(const struct bench_result *result, unsigned percent)
{
	const struct sync_shared *shared = result->lanes[0].shared;
	uint64_t sorted[SYNC_DEATHS_MAX];

	memcpy(sorted, shared->death_ns, sizeof(sorted));
	qsort(sorted, result->count, sizeof(*sorted), compare_times);
	return (double)sorted[(result->count * percent + 99) / 100 - 1] / 1e3;
}

static double death_p50(const struct bench_result *result)
{
	return death_percentile(result, 50);
}

static double death_p99(const struct bench_result *result)
{
	return death_percentile(result, 99);
}

static const struct bench_figure ops = {"M ops/s", false, m_ops_per_s, NULL, NULL};
static const struct bench_figure share = {"%", false, slower_share, "_share",
					  "the slower process's share, 50 % is fair"};
static const struct bench_figure writes = {"M writes/s", false, m_writes_per_s, "_writes",
					   "one process writes every microsecond: its writes"};
static const struct bench_figure reads = {"M reads/s", false, m_reads_per_s, "_reads",
					  "the other reads without a pause: its reads"};
static const struct bench_figure rounds = {"M rounds/s", false, m_rounds_per_s, NULL, NULL};
static const struct bench_figure p50 = {"us", true, death_p50, "_p50", NULL};
static const struct bench_figure p99 = {"us", true, death_p99, "_p99", NULL};

/* ---- benchmarks ------------------------------------------------------------------------------ */

#define CASE(label, text, where, number, how, ...)                                                 \
	{                                                                                          \
		.name = (label), .title = (text), .mask = (where), .lanes = (number),              \
		.shape = (how), .figures = {                                                       \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

#define DEATH_CASE(label, text, how)                                                               \
	{                                                                                          \
		.name = (label), .title = (text), .mask = OWNER_DEATH, .lanes = 2, .shape = (how), \
		.figures = {&p50, &p99}, .fixed = 50, .fixed_quick = 10, .limit_s = 300            \
	}

static const struct bench_case cases[] = {
	CASE("mutex_alone", "lock and unlock, one process", MUTEX_ALONE, 1, ALONE, &bench_ns_each),
	CASE("mutex_hammer", "two processes lock, write, unlock without a pause", MUTEX_HAMMER, 2,
	     TOGETHER, &ops, &share),
	CASE("rwlock_read", "lock and unlock for reading, one process", RWLOCK_READ, 1, ALONE,
	     &bench_ns_each),
	CASE("rwlock_2r", "two processes read without a pause", RWLOCK_2R, 2, TOGETHER, &ops),
	CASE("rwlock_90_10", "two processes, 90 % reads, 10 % writes, without a pause",
	     RWLOCK_90_10, 2, MIXED, &ops),
	CASE("rwlock_writer_every_us", "one process writes every microsecond, another reads",
	     RWLOCK_WRITER, 2, PACED, &writes, &reads),
	CASE("sem_alone", "acquire and release, one process", SEM_ALONE, 1, ALONE, &bench_ns_each),
	CASE("sem_sleeping", "round trip through two semaphores, waiting", SEM_SLEEPING, 2,
	     ROUND_TRIP, &bench_ns_each),
	CASE("monitor_sleeping", "round trip through a monitor, waiting", MONITOR_SLEEPING, 2,
	     ROUND_TRIP, &bench_ns_each),
	CASE("barrier_cycle", "rounds of two processes", BARRIER_CYCLE, 2, TOGETHER, &rounds),
	CASE("once_fast", "a call when it is done, one process", ONCE_FAST, 1, ALONE,
	     &bench_ns_each),
	DEATH_CASE("owner_death", "from kill() to the waiter that has the lock", DEATH),
	DEATH_CASE("owner_death_1gib",
		   "from kill() to the waiter that has the lock, 1 GiB resident in the holder",
		   DEATH_BIG),
};

static const struct bench_bar bars[] = {
	{"mutex_alone", "zeroipc", "pthread_robust", 0.85, true},
	{"mutex_hammer", "zeroipc", "pthread", 1.4, false},
	{"mutex_hammer", "zeroipc", "pthread_robust", 1.4, false},
	{"mutex_hammer", "zeroipc", "boost_mutex", 1.4, false},
	{"mutex_hammer", "zeroipc", "pthread_adaptive", 1, false},
	{"mutex_hammer_share", "zeroipc", NULL, 40, false},
	{"rwlock_read", "zeroipc", "pthread_rwlock", 0.9, true},
	{"rwlock_2r", "zeroipc", "pthread_rwlock", 1.5, false},
	{"rwlock_90_10", "zeroipc", "boost_sharable", 1.5, false},
	{"rwlock_writer_every_us_writes", "zeroipc", NULL, 0.5, false},
	{"rwlock_writer_every_us_reads", "zeroipc", NULL, 35, false},
	{"sem_alone", "zeroipc", "sem_t", 1, true},
	{"sem_sleeping", "zeroipc", BENCH_BEST_PEER, 1.1, true},
	{"sem_sleeping", "zeroipc_spin", NULL, 150, true},
	{"monitor_sleeping", "zeroipc", "pthread_cond", 1, true},
	{"barrier_cycle", "zeroipc", "spin_barrier", 0.9, false},
	{"once_fast", "zeroipc", NULL, 0.6, true},
};

static const struct bench_subject *const *const subject_lists[] = {
	sync_zeroipc_subjects,
	sync_yardsticks,
	sync_peer_subjects,
#ifdef HAVE_CXX_PEERS
	sync_cxx_subjects,
#endif
};

/* ---- one measurement ------------------------------------------------------------------------- */

static struct sync_shared *shared;

/* The reader of PACED ends it too, should the writer never come to its turn. */
static void plan(const struct bench_case *bench, uint64_t count, struct bench_lane *lanes)
{
	memset(shared, 0, sizeof(*shared));
	for (unsigned i = 0; i < bench->lanes; i++)
		lanes[i].shared = shared;
	if (bench->shape == PACED)
		lanes[1].count = count * SYNC_WRITER_NS;
}

static sync_loop_fn *loop_of(const struct bench_loops *loops, enum shape shape, unsigned lane)
{
	switch (shape) {
	case ALONE:
		return loops->alone;
	case TOGETHER:
		return loops->together;
	case MIXED:
		return loops->mixed;
	case PACED:
		return lane == 0 ? loops->paced : loops->together;
	case ROUND_TRIP:
		return lane == 0 ? loops->ping : loops->pong;
	default:
		return NULL;
	}
}

static void run_loop(struct bench_lane *lane, const struct bench_work *work)
{
	const struct bench_subject *subject = work->subject;
	void *first = subject->attach(work->state, 0, 0);
	void *second = subject->attach(work->state, 1, 0);

	loop_of(subject->loops, work->bench->shape, lane->index)(lane, first, second);
	subject->detach(first);
	subject->detach(second);
}

static void run_lane(struct bench_lane *lane, const struct bench_work *work)
{
	bool deaths = work->bench->shape == DEATH || work->bench->shape == DEATH_BIG;

	if (!deaths)
		run_loop(lane, work);
	else if (lane->index == 0)
		sync_kill_holders(lane, work,
				  work->bench->shape == DEATH_BIG ? SYNC_BIG_RESIDENT : 0);
	else
		sync_outlive_holders(lane, work);
}

/* Whether each write was seen whole and none was lost. */
static bool check(const struct bench_case *bench, const struct bench_lane *lanes)
{
	uint64_t sum = 0, wrong = 0;

	for (unsigned i = 0; i < bench->lanes; i++) {
		sum += lanes[i].sum;
		wrong |= lanes[i].wrong;
	}
	return wrong == 0 && sync_torn(shared) == 0 && shared->word[0] == sum;
}

static const struct bench_program program = {
	.name = "sync_bench",
	.prefix = "",
	.about = "a lock protects 4 words",
	.missing = ""
#ifndef HAVE_BOOST_INTERPROCESS
		   " boost"
#endif
	,
	.cases = cases,
	.case_count = BENCH_COUNT(cases),
	.bars = bars,
	.bar_count = BENCH_COUNT(bars),
	.subjects = subject_lists,
	.list_count = BENCH_COUNT(subject_lists),
	.plan = plan,
	.run = run_lane,
	.check = check,
};

int main(int argc, char **argv)
{
	shared = bench_share(sizeof(*shared));
	return bench_main(&program, argc, argv);
}
