/* SPDX-License-Identifier: MIT */
/*
 * The snapshot oracle: crash tests at every instruction of one operation.
 *
 * A victim is single-stepped through the operation. After each instruction that changed a byte of
 * the segment, all bytes are copied over a second segment, and a survivor that is attached there
 * uses it. Who lives is told by locks on a segment's file, and the victim holds none on the copy:
 * there it is dead, by the library's own means, as if it had been killed just then.
 *
 * The test is attached to both segments under the same id: both files are the same bytes when it
 * comes. Time runs backwards in the copy, again and again, so the survivor must open and close its
 * structures within one check.
 */
#ifndef TESTS_SUPPORT_ORACLE_H
#define TESTS_SUPPORT_ORACLE_H

#include "victim.h"

struct oracle_report {
	long scenarios;
	long boundaries; /* instructions stepped */
	long points;	 /* states of the segment that were given to a survivor, in each mood */
	long complaints;
};

/*
 * Runs one scenario and adds to the report. Returns the number of different states it saw, the one
 * before the first instruction included; 0 = it could not run at all (which is a complaint, too).
 */
long oracle_run(const struct scenario *scenario, struct oracle_report *report);

/*
 * In a cmocka test: all of them, each with at least so many states, and nothing to complain about.
 * Skips the test where stepping is not possible.
 */
void oracle_run_all(const struct scenario *scenarios, size_t count, long least,
		    struct oracle_report *report);

void oracle_print(const char *test, const struct oracle_report *report);

#endif
