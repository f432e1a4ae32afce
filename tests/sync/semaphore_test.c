/* SPDX-License-Identifier: MIT */
/* Semaphore: both kinds, their limits, who waits for how many, and what the dead give back. */
#include "sync/rig.h"

#define THREADS 4
#define ROUNDS	5000
#define OWNED	ZIPC_SEMAPHORE_OWNED

static int create(zipc_segment *segment, uint32_t initial, uint32_t maximum, uint32_t flags,
		  zipc_semaphore **out)
{
	zipc_semaphore_options o = ZIPC_SEMAPHORE_OPTIONS_INIT;
	o.flags = flags;
	return zipc_semaphore_create(segment, "s", initial, maximum, &o, out);
}

static zipc_semaphore *make(zipc_segment *segment, uint32_t initial, uint32_t maximum,
			    uint32_t flags)
{
	zipc_semaphore *semaphore = NULL;
	assert_ok(create(segment, initial, maximum, flags, &semaphore));
	return semaphore;
}

static zipc_semaphore *open_in(zipc_segment *segment)
{
	zipc_semaphore *semaphore = NULL;
	assert_ok(zipc_semaphore_open(segment, "s", NULL, &semaphore));
	return semaphore;
}

struct wish {
	zipc_semaphore *semaphore;
	uint32_t n;
};

static int acquire(void *arg)
{
	struct wish *wish = arg;
	return zipc_semaphore_acquire(wish->semaphore, wish->n, 20 * S);
}

static void test_names(void **state)
{
	zipc_segment *segment = rig_make(512 * KIB);
	uint64_t used = rig_used(segment);
	zipc_semaphore *s = NULL;
	(void)state;
	assert_int_equal(create(segment, 0, 0, 0, &s), -EINVAL);
	assert_int_equal(create(segment, 2, 1, 0, &s), -EINVAL);
	assert_int_equal(create(segment, 0, ZIPC_SEMAPHORE_MAX + 1, 0, &s), -EINVAL);
	assert_int_equal(create(segment, 65536, 65536, OWNED, &s), -EINVAL);
	assert_int_equal(create(segment, 1, 2, OWNED, &s), -EINVAL);
	assert_int_equal(create(segment, 1, 2, 2, &s), -EINVAL);
	s = make(segment, 1, ZIPC_SEMAPHORE_MAX, 0);
	assert_int_equal(zipc_semaphore_value(s), 1);
	assert_int_equal(zipc_semaphore_maximum(s), ZIPC_SEMAPHORE_MAX);
	zipc_semaphore_close(s);
	assert_int_equal(zipc_semaphore_open_or_create(segment, "s", 5, 5, NULL, &s), 0);
	assert_int_equal(zipc_semaphore_value(s), 1);
	zipc_semaphore_close(s);
	zipc_semaphore_close(NULL);
	assert_ok(zipc_semaphore_remove(segment, "s"));
	s = make(segment, 65535, 65535, OWNED);
	assert_int_equal(zipc_semaphore_flags(s), OWNED);
	assert_int_equal(zipc_semaphore_value(s), 65535);
	assert_ok(zipc_semaphore_acquire(s, 65535, ZIPC_NOWAIT));
	assert_int_equal(zipc_semaphore_acquire(s, 1, ZIPC_NOWAIT), -EAGAIN);
	assert_ok(zipc_semaphore_release(s, 65535));
	zipc_semaphore_close(s);
	assert_ok(zipc_semaphore_remove(segment, "s"));
	rig_close(segment, used);
}

static void test_counting(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_semaphore *s = make(segment, 2, 5, 0);
	(void)state;
	assert_ok(zipc_semaphore_acquire(s, 1, ZIPC_NOWAIT));
	assert_int_equal(zipc_semaphore_acquire(s, 2, ZIPC_NOWAIT), -EAGAIN);
	assert_int_equal(zipc_semaphore_acquire(s, 2, MS), -ETIMEDOUT);
	assert_ok(zipc_semaphore_acquire(s, 1, 1));
	assert_int_equal(zipc_semaphore_acquire(s, 1, 1), -ETIMEDOUT);
	assert_int_equal(zipc_semaphore_acquire(s, 0, ZIPC_NOWAIT), -EINVAL);
	assert_int_equal(zipc_semaphore_acquire(s, 6, ZIPC_NOWAIT), -EINVAL);
	assert_int_equal(zipc_semaphore_release(s, 0), -EINVAL);
	assert_int_equal(zipc_semaphore_release(s, 6), -EOVERFLOW);
	assert_ok(zipc_semaphore_release(s, 4));
	assert_int_equal(zipc_semaphore_release(s, 2), -EOVERFLOW);
	assert_int_equal(zipc_semaphore_release(s, UINT32_MAX), -EOVERFLOW);
	assert_int_equal(zipc_semaphore_value(s), 4);
	assert_ok(zipc_semaphore_release(s, 1));
	assert_ok(zipc_semaphore_acquire(s, 5, ZIPC_NOWAIT));
	assert_int_equal(zipc_semaphore_held(s), 0);
	assert_sound(segment);
	zipc_semaphore_close(s);
	zipc_segment_close(segment);
}

static void test_owned(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB), *other = rig_again(segment, 0);
	zipc_semaphore *s = make(segment, 4, 4, OWNED), *theirs = open_in(other);
	(void)state;
	assert_int_equal(zipc_semaphore_release(s, 1), -EPERM);
	assert_ok(zipc_semaphore_acquire(s, 1, ZIPC_NOWAIT));
	assert_int_equal(zipc_semaphore_release(theirs, 1), -EPERM);
	assert_ok(zipc_semaphore_acquire(theirs, 2, ZIPC_NOWAIT));
	assert_int_equal(zipc_semaphore_acquire(s, 2, ZIPC_NOWAIT), -EAGAIN);
	assert_int_equal(zipc_semaphore_release(s, 2), -EPERM);
	assert_int_equal(zipc_semaphore_value(s), 1);
	assert_int_equal(zipc_semaphore_held(s), 1);
	assert_int_equal(zipc_semaphore_held(theirs), 2);
	assert_ok(zipc_semaphore_release(theirs, 2));
	assert_ok(zipc_semaphore_acquire(s, 3, ZIPC_NOWAIT));
	assert_ok(zipc_semaphore_release(s, 4));
	assert_int_equal(zipc_semaphore_value(s), 4);
	zipc_semaphore_close(theirs);
	zipc_segment_close(other);
	zipc_semaphore_close(s);
	zipc_segment_close(segment);
}

static void test_dead(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_semaphore *s = make(segment, 4, 4, OWNED);
	struct wish four = {s, 4};
	struct errand waiter;
	(void)state;
	zipc_segment *other = rig_again(segment, 0);
	zipc_semaphore *theirs = open_in(other);
	assert_ok(zipc_semaphore_acquire(theirs, 3, ZIPC_NOWAIT));
	zipc_semaphore_close(theirs);
	errand_start(&waiter, acquire, &four);
	let_it_sleep();
	assert_false(errand_is_over(&waiter));
	rig_close_and_wait(other);
	assert_ok(errand_end(&waiter));
	assert_ok(zipc_semaphore_release(s, 4));
	/* the same by gc */
	other = rig_again(segment, 0);
	theirs = open_in(other);
	assert_ok(zipc_semaphore_acquire(theirs, 2, ZIPC_NOWAIT));
	zipc_semaphore_close(theirs);
	rig_close_and_wait(other);
	assert_int_equal(zipc_semaphore_value(s), 4);
	assert_int_equal(zipc_segment_gc(segment), 2);
	assert_int_equal(zipc_segment_gc(segment), 0);
	assert_int_equal(zipc_semaphore_value(s), 4);
	zipc_semaphore_close(s);
	zipc_segment_close(segment);
}

/* One release for several waiters: each of those served wakes the next. */
static void several_waiters(uint32_t flags)
{
	zipc_segment *segment = rig_make_patient(), *other = rig_again(segment, 0);
	zipc_semaphore *s = make(segment, flags == OWNED ? THREADS : 0, THREADS, flags);
	zipc_semaphore *theirs = open_in(other);
	struct errand waiters[THREADS];
	struct wish one = {theirs, 1}, rest = {theirs, THREADS - 1};
	if (flags == OWNED)
		assert_ok(zipc_semaphore_acquire(s, THREADS, ZIPC_NOWAIT));
	for (int i = 0; i < THREADS; i++)
		errand_start(&waiters[i], acquire, &one);
	let_it_sleep();
	for (int i = 0; i < THREADS; i++)
		assert_false(errand_is_over(&waiters[i]));
	assert_ok(zipc_semaphore_release(s, THREADS));
	for (int i = 0; i < THREADS; i++)
		assert_ok(errand_end(&waiters[i]));
	assert_int_equal(zipc_semaphore_value(s), 0);
	assert_ok(zipc_semaphore_release(theirs, THREADS));
	/* those who want several do not take away what single ones can have */
	assert_ok(zipc_semaphore_acquire(s, THREADS, ZIPC_NOWAIT));
	errand_start(&waiters[0], acquire, &rest);
	errand_start(&waiters[1], acquire, &one);
	let_it_sleep();
	assert_ok(zipc_semaphore_release(s, 1));
	assert_ok(errand_end(&waiters[1]));
	assert_false(errand_is_over(&waiters[0]));
	assert_ok(zipc_semaphore_release(s, THREADS - 1));
	assert_ok(errand_end(&waiters[0]));
	zipc_semaphore_close(theirs);
	zipc_segment_close(other);
	zipc_semaphore_close(s);
	rig_close_patient(segment);
}

static void test_several_waiters(void **state)
{
	(void)state;
	several_waiters(0);
	several_waiters(OWNED);
}

/* ---- limits hold under contention ------------------------------------------------------------ */

struct crowd {
	zipc_semaphore *semaphore;
	uint32_t most;
	uint32_t inside;
	uint32_t too_many;
};

static int crowd_member(void *arg)
{
	struct crowd *crowd = arg;
	for (uint32_t i = 0; i < ROUNDS; i++) {
		uint32_t n = 1 + i % crowd->most;
		int r = zipc_semaphore_acquire(crowd->semaphore, n, 20 * S);
		if (r < 0)
			return r;
		if (__atomic_add_fetch(&crowd->inside, n, __ATOMIC_SEQ_CST) > crowd->most)
			__atomic_store_n(&crowd->too_many, 1u, __ATOMIC_SEQ_CST);
		__atomic_sub_fetch(&crowd->inside, n, __ATOMIC_SEQ_CST);
		r = zipc_semaphore_release(crowd->semaphore, n);
		if (r < 0)
			return r;
	}
	return 0;
}

static void contend(uint32_t flags, uint32_t most)
{
	zipc_segment *segment = rig_make(256 * KIB);
	struct crowd crowd = {.semaphore = make(segment, most, most, flags), .most = most};
	struct errand errands[THREADS];
	for (int i = 0; i < THREADS; i++)
		errand_start(&errands[i], crowd_member, &crowd);
	for (int i = 0; i < THREADS; i++)
		assert_ok(errand_end(&errands[i]));
	assert_int_equal(crowd.too_many, 0);
	assert_int_equal(zipc_semaphore_value(crowd.semaphore), most);
	zipc_semaphore_close(crowd.semaphore);
	zipc_segment_close(segment);
}

static void test_contention(void **state)
{
	(void)state;
	contend(0, 1);
	contend(0, 3);
	contend(OWNED, 1);
	contend(OWNED, 3);
}

static int release_in_child(void *semaphore)
{
	if (zipc_semaphore_release(semaphore, 1) != -EPERM)
		return 1;
	return zipc_semaphore_acquire(semaphore, 2, ZIPC_NOWAIT) == 0 ? 0 : 2; /* and die */
}

static void test_fork(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_semaphore *s = make(segment, 3, 3, OWNED);
	(void)state;
	assert_ok(zipc_semaphore_acquire(s, 1, ZIPC_NOWAIT));
	assert_ok(in_child(release_in_child, s));
	nap_us(12000);
	assert_ok(zipc_semaphore_acquire(s, 2, 10 * S));
	assert_ok(zipc_semaphore_release(s, 3));
	zipc_semaphore_close(s);
	zipc_segment_close(segment);
}

static void test_read_only(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_semaphore *s = make(segment, 3, 3, OWNED);
	zipc_segment *looker = rig_again(segment, ZIPC_SEGMENT_READ_ONLY);
	zipc_semaphore *seen = open_in(looker);
	(void)state;
	assert_ok(zipc_semaphore_acquire(s, 1, ZIPC_NOWAIT));
	assert_int_equal(zipc_semaphore_value(seen), 2);
	assert_int_equal(zipc_semaphore_acquire(seen, 1, ZIPC_NOWAIT), -EROFS);
	assert_int_equal(zipc_semaphore_release(seen, 1), -EROFS);
	zipc_semaphore_close(seen);
	zipc_segment_close(looker);
	zipc_semaphore_close(s);
	zipc_segment_close(segment);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_counting),
		cmocka_unit_test(test_owned),
		cmocka_unit_test(test_dead),
		cmocka_unit_test(test_several_waiters),
		cmocka_unit_test(test_contention),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_read_only),
	};
	return PEER_RUN("semaphore", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
