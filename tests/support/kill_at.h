/* SPDX-License-Identifier: MIT */
/*
 * The scenarios of victim.h with real deaths: the victim gets SIGKILL after k instructions, and the
 * test goes on with the segment itself, where the kernel has just dropped the victim's lock. And
 * with SIGSTOP's effect: the victim stands still after k instructions and is alive, the others go
 * on, then it continues to its end and everything must add up.
 *
 * k takes the values after which the segment had changed, and those before and after each system
 * call, or an even choice when these are many; from the rest a sample. ZIPC_TEST_FULL=1 takes all.
 */
#ifndef TESTS_SUPPORT_KILL_AT_H
#define TESTS_SUPPORT_KILL_AT_H

#include "victim.h"

struct kill_report {
	long scenarios;
	long kills;
	long stops;
	long complaints;
};

/* Each adds to the report and returns how many deaths (stops) there were. */
long kill_at_run(const struct scenario *scenario, struct kill_report *report);
long stop_at_run(const struct scenario *scenario, struct kill_report *report);

/* In a cmocka test: all of them, and nothing to complain about; else as oracle_run_all(). */
void kill_at_run_all(const struct scenario *scenarios, size_t count, struct kill_report *report);
void stop_at_run_all(const struct scenario *scenarios, size_t count, struct kill_report *report);

void kill_at_print(const char *test, const struct kill_report *report);

/*
 * The way of a victim through its operation, and the moments in it that matter: the numbers of
 * instructions after which to kill.
 */
struct moments {
	long count;
	long step[512];
	long total;   /* instructions of the whole operation */
	uint64_t *ip; /* where it stood after 0 to total instructions */
};

/* 0, or a negative code with a printed complaint. */
int moments_find(const struct scenario *scenario, struct moments *out);
void moments_free(struct moments *moments);

/*
 * Lets a fresh victim come to where it stands after `step` instructions, by a breakpoint and thus
 * much faster than by steps. Should it go another way this time, it comes to its end.
 */
void victim_walk(struct victim *victim, const struct moments *moments, long step);

#endif
