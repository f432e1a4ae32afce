/* SPDX-License-Identifier: MIT */
/*
 * What the crash tests of synchronisation share: the victim dies at every instruction, the survivor
 * gets on at once and is told what it has to be told. See oracle.h and kill_at.h for how.
 */
#ifndef TESTS_CRASH_SYNC_CRASH_H
#define TESTS_CRASH_SYNC_CRASH_H

#include "support/cmocka_all.h"
#include "support/kill_at.h"
#include "support/oracle.h"
#include "support/peer.h"

#include <errno.h>
#include <stdio.h>

#define MS	     INT64_C(1000000)
#define FAMILIES_MAX 8

static struct oracle_report oracled;
static struct kill_report killed;

/* The operation has not begun; it has returned. In between both outcomes are right. */
static inline bool not_begun(const struct world *world)
{
	return world->notes->phase == VICTIM_READY || world->step == 0;
}

static inline bool returned(const struct world *world)
{
	return world->notes->phase == VICTIM_RETURNED;
}

/* In mood 1 gc was here before the survivor. */
static inline void settle_first(struct world *world)
{
	if (world->mood == 1 && zipc_segment_gc(world->segment) < 0)
		complain(world, "gc says: %s", zipc_last_error());
}

/* A call that has to say this. */
static inline bool must(struct world *world, const char *what, int code, int expected)
{
	return code == expected || complain(world, "%s says %d, not %d", what, code, expected);
}

#define SCENE(text, up, prepared, op, checked)                                                     \
	{                                                                                          \
		.name = text, .moods = 2, .setup = up, .prepare = prepared, .operate = op,         \
		.check = checked                                                                   \
	}

struct family {
	const char *name;
	const struct scenario *scenarios;
	size_t count;
};

#define FAMILY(name, scenarios)                                                                    \
	{                                                                                          \
		name, scenarios, sizeof(scenarios) / sizeof(scenarios)[0]                          \
	}

static inline void test_oracle(void **state)
{
	const struct family *family = *state;
	oracle_run_all(family->scenarios, family->count, 2, &oracled);
}

static inline void test_kill(void **state)
{
	const struct family *family = *state;
	kill_at_run_all(family->scenarios, family->count, &killed);
}

/* Each family by the oracle and by real deaths. */
static inline int run_families(const char *name, const struct family *families, size_t count)
{
	static char names[2 * FAMILIES_MAX][40];
	struct CMUnitTest tests[2 * FAMILIES_MAX] = {0};
	for (size_t i = 0; i < 2 * count; i++) {
		const struct family *family = &families[i / 2];
		snprintf(names[i], sizeof names[i], "%s: %s", i % 2 == 0 ? "oracle" : "kill",
			 family->name);
		tests[i] = (struct CMUnitTest){.name = names[i],
					       .test_func = i % 2 == 0 ? test_oracle : test_kill,
					       .initial_state = (void *)(uintptr_t)family};
	}
	int r = peer_run_tests(name, tests, 2 * count);
	oracle_print(name, &oracled);
	kill_at_print(name, &killed);
	return r;
}

#endif
