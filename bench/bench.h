/* SPDX-License-Identifier: MIT */
/*
 * What every benchmark needs: crews of pinned processes or threads with a common start, a watchdog
 * over each of them, the two-line ping-pong, medians, a table for people and JSON lines (bench.c,
 * bench_report.c), and the program around them: options, calibration, runs (bench_program.c).
 *
 * A *lane* is one worker: a process of its own, or a thread where a subject cannot leave its
 * process. A *measurement* runs one subject's lanes once. A *run* measures every subject of a
 * benchmark once; runs follow each other, so that the machine's drift hits all subjects alike.
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
#define BENCH_COUNT(array)	     (sizeof(array) / sizeof((array)[0]))

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
	void *shared;	   /* in: the program's own memory for all lanes, or NULL */
	unsigned *over;	   /* for bench_over() */
	uint64_t start_ns; /* out: by bench_start() */
	uint64_t stop_ns;  /* out: by bench_stop() */
	uint64_t done;	   /* out: how many it did, by bench_leave() */
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

/*
 * Where the lanes are to work beside each other for the whole time, however fast each is: the first
 * that has done its count ends it for all. bench_leave() is bench_stop() for such a lane.
 */
BENCH_INLINE bool bench_over(const struct bench_lane *lane)
{
	return __atomic_load_n(lane->over, __ATOMIC_RELAXED) != 0;
}
void bench_leave(struct bench_lane *lane, uint64_t done);

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

/* ---- round trips ---------------------------------------------------------------------------- */

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

/* The least that a round trip costs where both sides sleep: two bare futexes. */
struct bench_futex_pair {
	unsigned there;
	char pad_there[124];
	unsigned back;
	char pad_back[124];
};

void bench_futex_ping(struct bench_lane *lane, struct bench_futex_pair *pair);
void bench_futex_pong(struct bench_lane *lane, struct bench_futex_pair *pair);

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

/* ---- subjects and benchmarks ---------------------------------------------------------------- */

/* What a subject's lanes can run: each program says for itself. */
struct bench_loops;

struct bench_subject {
	const char *name;
	const char *note; /* for the table, or NULL */
	enum bench_kind kind;
	bool threads;	  /* cannot leave its process: measured between two threads */
	unsigned benches; /* bench_case.mask of those where it takes part, or-ed */
	unsigned variant; /* the subject's own */

	/* In the driver: makes and unmakes what is measured, BENCH_PAIR of it. */
	void *(*create)(const struct bench_subject *self);
	void (*destroy)(void *state);
	/* In the lane: a handle for number `index` of them, in the program's `roles`. */
	void *(*attach)(void *state, unsigned index, unsigned roles);
	void (*detach)(void *end);

	const struct bench_loops *loops;
};

#define BENCH_PAIR 2 /* what round trips need: there and back */

/* For subjects with nothing to detach, and for those that run the round trips above. */
void bench_detach_nothing(void *end);
void *bench_trip_create(const struct bench_subject *self);
void bench_trip_destroy(void *state);
void *bench_trip_attach(void *state, unsigned index, unsigned roles);

/* What one measurement came to. */
struct bench_result {
	const struct bench_lane *lanes;
	unsigned number;
	uint64_t count;
	uint64_t ns;
};

/* How a result becomes a figure. */
struct bench_figure {
	const char *unit;
	bool less_is_better;
	double (*value)(const struct bench_result *result);
	const char *suffix; /* to the benchmark's name, or NULL */
	const char *title;  /* instead of the benchmark's, or NULL */
};

extern const struct bench_figure bench_ns_each; /* time for one */

#define BENCH_FIGURES_MAX 2

struct bench_case {
	const char *name;
	const char *title;
	unsigned mask;
	unsigned lanes;
	unsigned shape;					       /* the program's own */
	const struct bench_figure *figures[BENCH_FIGURES_MAX]; /* the second may be NULL */
	uint64_t begin; /* calibration begins with so many items; 0 = 1024 */
	uint64_t fixed; /* so many items, without calibration, in a single run; 0 = calibrated */
	uint64_t fixed_quick; /* the same with --quick */
	unsigned limit_s;     /* after which a measurement counts as hung; 0 = 30 */
};

/* What a lane is to work on. */
struct bench_work {
	const struct bench_case *bench;
	const struct bench_subject *subject;
	void *state;
};

struct bench_program {
	const char *name;
	const char *prefix;  /* of its benchmarks' names, that --only may leave out; or "" */
	const char *about;   /* for the first line of the output */
	const char *missing; /* the peers that are not built in, a space before each */
	const struct bench_case *cases;
	unsigned case_count;
	const struct bench_bar *bars;
	unsigned bar_count;
	const struct bench_subject *const *const *subjects; /* lists that end with NULL */
	unsigned list_count;

	/* Says what the lanes are to do for `count` items; CPU, count, first = 1 are filled in. */
	void (*plan)(const struct bench_case *bench, uint64_t count, struct bench_lane *lanes);
	void (*run)(struct bench_lane *lane, const struct bench_work *work);
	/* Whether what the lanes found is right. */
	bool (*check)(const struct bench_case *bench, const struct bench_lane *lanes);
};

/* Does what the command line asks for. Returns the exit code. */
int bench_main(const struct bench_program *program, int argc, char **argv);

#ifdef __cplusplus
}
#endif

#endif
