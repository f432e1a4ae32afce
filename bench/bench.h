/* SPDX-License-Identifier: MIT */
/*
 * What every benchmark needs: crews of pinned processes or threads with a common start, a watchdog
 * over each of them, the two-line ping-pong, medians, a table for people and JSON lines.
 *
 * A *lane* is one worker: a process of its own, or a thread where a subject cannot leave its
 * process. A *run* measures every subject of a benchmark once; runs follow each other, so that the
 * machine's drift hits all subjects alike.
 */
#ifndef ZEROIPC_BENCH_H
#define ZEROIPC_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_LANES_MAX 4
#define BENCH_RUNS_MAX	99

#define BENCH_INLINE		     static inline __attribute__((always_inline))
#define BENCH_ALIGNED(type, address) ((type *)(((uintptr_t)(address) + 127) & ~(uintptr_t)127))

/* ---- lanes ---------------------------------------------------------------------------------- */

struct bench_crew;

/* What one worker is to do and what it found. */
struct bench_lane {
	struct bench_crew *crew;
	unsigned index;
	unsigned cpu;	   /* in: 0 or 1, the nth CPU that this process may use */
	bool yields;	   /* in: more lanes than CPUs; a lane that waits gives its CPU away */
	uint64_t count;	   /* in: how many items to move */
	uint64_t first;	   /* in: value of the first item */
	uint64_t start_ns; /* out: by bench_start() */
	uint64_t stop_ns;  /* out: by bench_stop() */
	uint64_t sum;	   /* out: of the items received */
	uint64_t wrong;	   /* out: not 0 when an item was not the expected one */
};

typedef void bench_lane_fn(struct bench_lane *lane, void *arg);

/*
 * Runs lanes[0..count) at once, each as a child process or, if `threads`, as a thread of one child
 * process, pinned to its CPU. On success lanes[] holds the results and *out_ns the time from the
 * first start to the last stop. Returns 0, or -1 when a worker failed or nothing was heard of them
 * for `limit_s` seconds; whatever is left of them is killed.
 */
int bench_run_lanes(struct bench_lane *lanes, unsigned count, bool threads, unsigned limit_s,
		    bench_lane_fn *fn, void *arg, uint64_t *out_ns);

/* In a lane: wait for all others, then take the time; take the time again. */
void bench_start(struct bench_lane *lane);
void bench_stop(struct bench_lane *lane);

/* Says what went wrong and ends the process. */
void bench_fail(const char *format, ...) __attribute__((noreturn, cold, format(printf, 1, 2)));

/* ---- small helpers -------------------------------------------------------------------------- */

uint64_t bench_now_ns(void);

/* How many CPUs this process may use. */
unsigned bench_cpus(void);

/* Zeroed memory that children share, page-aligned. Never NULL. */
void *bench_share(size_t size);
void bench_unshare(void *memory, size_t size);

void bench_yield(void);

/* Tells the CPU that this is a waiting loop. */
BENCH_INLINE void bench_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

/* One turn of a waiting loop; every subject waits like this. */
BENCH_INLINE void bench_relax(const struct bench_lane *lane, unsigned *turns)
{
	bench_pause();
	if (lane->yields && (++*turns & 15) == 0)
		bench_yield();
}

/* ---- two-line ping-pong --------------------------------------------------------------------- */

/* The least that a round trip between two CPUs costs: one word over and one word back. */
struct bench_two_lines {
	uint64_t there;
	char pad_there[120];
	uint64_t back;
	char pad_back[120];
};

void bench_ping(struct bench_lane *lane, struct bench_two_lines *lines);
void bench_pong(struct bench_lane *lane, struct bench_two_lines *lines);

/* Nanoseconds for one round trip now; 0 when it could not be measured. */
double bench_pingpong_ns(void);

/* ---- results -------------------------------------------------------------------------------- */

enum bench_kind { BENCH_OURS, BENCH_PEER, BENCH_YARDSTICK };

/* The figures of one subject in one benchmark. */
struct bench_series {
	const char *subject;
	const char *note;
	enum bench_kind kind;
	unsigned runs;
	double value[BENCH_RUNS_MAX];
	double median, min, max; /* by bench_summarise() */
};

/* One benchmark's figures together. */
struct bench_report {
	const char *bench;
	const char *title;
	const char *unit;
	bool less_is_better;
	struct bench_series *series;
	unsigned count;
	double pingpong[2 * BENCH_RUNS_MAX]; /* before and after each run, ns */
	unsigned pingpongs;
};

/*
 * What our figures have to reach: `factor` x the figure of `against`, or `factor` itself when
 * against is NULL. BENCH_BEST_PEER stands for the best of the BENCH_PEER subjects.
 */
struct bench_bar {
	const char *bench;
	const char *subject;
	const char *against;
	double factor;
	bool at_most;
};

#define BENCH_BEST_PEER "the best peer"

void bench_summarise(struct bench_series *series);
double bench_median(const double *values, unsigned count);

void bench_print_table(const struct bench_report *report);
/* Prints one line for each bar of this benchmark. Returns how many were not reached. */
unsigned bench_print_bars(const struct bench_report *report, const struct bench_bar *bars,
			  unsigned count);
void bench_print_json(FILE *file, const struct bench_report *report);

#ifdef __cplusplus
}
#endif

#endif
