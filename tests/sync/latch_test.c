/* SPDX-License-Identifier: MIT */
/* Latch: it opens at zero, not before, and for good. */
#include "sync/rig.h"

#define THREADS 5

static zipc_latch *make(zipc_segment *segment, uint32_t count)
{
	zipc_latch *latch = NULL;
	assert_ok(zipc_latch_create(segment, "l", count, NULL, &latch));
	return latch;
}

static int wait_long(void *latch)
{
	return zipc_latch_wait(latch, 20 * S);
}

static int arrive_and_wait(void *latch)
{
	return zipc_latch_arrive_and_wait(latch, 20 * S);
}

static void test_counting(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	uint64_t used = rig_used(segment);
	zipc_latch *latch = NULL;
	(void)state;
	assert_int_equal(zipc_latch_create(segment, "l", 0, NULL, &latch), -EINVAL);
	assert_int_equal(zipc_latch_create(segment, "l", ZIPC_LATCH_MAX + 1, NULL, &latch),
			 -EINVAL);
	latch = make(segment, ZIPC_LATCH_MAX);
	assert_ok(zipc_latch_count_down(latch, ZIPC_LATCH_MAX - 3));
	assert_int_equal(zipc_latch_count(latch), 3);
	assert_int_equal(zipc_latch_count_down(latch, 0), -EINVAL);
	assert_int_equal(zipc_latch_count_down(latch, 4), -ERANGE);
	assert_int_equal(zipc_latch_wait(latch, ZIPC_NOWAIT), -EAGAIN);
	assert_int_equal(zipc_latch_wait(latch, 1), -ETIMEDOUT);
	assert_int_equal(zipc_latch_arrive_and_wait(latch, MS), -ETIMEDOUT);
	assert_int_equal(zipc_latch_count(latch), 2);
	assert_sound(segment);
	assert_ok(zipc_latch_count_down(latch, 2));
	assert_ok(zipc_latch_wait(latch, ZIPC_NOWAIT));
	assert_int_equal(zipc_latch_count_down(latch, 1), -ERANGE);
	zipc_latch_close(latch);
	assert_int_equal(zipc_latch_open_or_create(segment, "l", 7, NULL, &latch), 0);
	assert_int_equal(zipc_latch_count(latch), 0);
	zipc_latch_close(latch);
	zipc_latch_close(NULL);
	assert_ok(zipc_latch_remove(segment, "l"));
	rig_close(segment, used);
}

static void test_waiting(void **state)
{
	zipc_segment *segment = rig_make_patient();
	zipc_latch *latch = make(segment, THREADS + 1);
	struct errand waiters[THREADS], arrivers[THREADS];
	(void)state;
	for (int i = 0; i < THREADS; i++) {
		errand_start(&waiters[i], wait_long, latch);
		errand_start(&arrivers[i], arrive_and_wait, latch);
	}
	let_it_sleep();
	for (int i = 0; i < THREADS; i++) {
		assert_false(errand_is_over(&waiters[i]));
		assert_false(errand_is_over(&arrivers[i]));
	}
	assert_int_equal(zipc_latch_count(latch), 1);
	assert_ok(zipc_latch_count_down(latch, 1));
	for (int i = 0; i < THREADS; i++) {
		assert_ok(errand_end(&waiters[i]));
		assert_ok(errand_end(&arrivers[i]));
	}
	zipc_latch_close(latch);
	rig_close_patient(segment);
}

/* What was written before counting down is seen after the waiting. */
struct part {
	zipc_latch *latch;
	uint64_t value; /* no atomic */
};

static int do_part(void *arg)
{
	struct part *part = arg;
	part->value = 4711;
	return zipc_latch_count_down(part->latch, 1);
}

static void test_publishes(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_latch *latch = make(segment, THREADS);
	struct part parts[THREADS];
	struct errand errands[THREADS];
	(void)state;
	for (int i = 0; i < THREADS; i++) {
		parts[i] = (struct part){.latch = latch};
		errand_start(&errands[i], do_part, &parts[i]);
	}
	assert_ok(zipc_latch_wait(latch, 20 * S));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(parts[i].value, 4711);
	for (int i = 0; i < THREADS; i++)
		assert_ok(errand_end(&errands[i]));
	zipc_latch_close(latch);
	zipc_segment_close(segment);
}

static void test_read_only(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_latch *latch = make(segment, 2), *seen = NULL;
	zipc_segment *looker = rig_again(segment, ZIPC_SEGMENT_READ_ONLY);
	(void)state;
	assert_ok(zipc_latch_open(looker, "l", NULL, &seen));
	assert_int_equal(zipc_latch_count_down(seen, 1), -EROFS);
	assert_int_equal(zipc_latch_wait(seen, ZIPC_NOWAIT), -EROFS);
	assert_int_equal(zipc_latch_count(seen), 2);
	zipc_latch_close(seen);
	zipc_segment_close(looker);
	zipc_latch_close(latch);
	zipc_segment_close(segment);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counting),
		cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_publishes),
		cmocka_unit_test(test_read_only),
	};
	return PEER_RUN("latch", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
