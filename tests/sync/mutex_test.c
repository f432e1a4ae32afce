/* SPDX-License-Identifier: MIT */
/* Mutex: who may do what, what is said to whom, and what a death or the end of a thread leaves. */
#include "sync/rig.h"

#define THREADS 4
#define ROUNDS	20000

static zipc_mutex *make(zipc_segment *segment, uint32_t flags)
{
	zipc_mutex_options o = ZIPC_MUTEX_OPTIONS_INIT;
	zipc_mutex *mutex = NULL;
	o.flags = flags;
	assert_ok(zipc_mutex_create(segment, "m", &o, &mutex));
	return mutex;
}

static zipc_mutex *open_in(zipc_segment *segment)
{
	zipc_mutex *mutex = NULL;
	assert_ok(zipc_mutex_open(segment, "m", NULL, &mutex));
	return mutex;
}

static zipc_mutex_info info_of(zipc_mutex *mutex)
{
	zipc_mutex_info info = {.struct_size = sizeof info};
	assert_ok(zipc_mutex_get_info(mutex, &info));
	return info;
}

static int lock_now(void *mutex)
{
	return zipc_mutex_lock(mutex, ZIPC_NOWAIT);
}

static int lock_a_second(void *mutex)
{
	return zipc_mutex_lock(mutex, S);
}

static int unlock(void *mutex)
{
	return zipc_mutex_unlock(mutex);
}

static int consistent(void *mutex)
{
	return zipc_mutex_consistent(mutex);
}

static int lock_and_unlock(void *mutex)
{
	int r = zipc_mutex_lock(mutex, 10 * S);
	return r < 0 ? r : zipc_mutex_unlock(mutex);
}

static void test_names(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	uint64_t used = rig_used(segment);
	zipc_mutex_options o = ZIPC_MUTEX_OPTIONS_INIT;
	zipc_mutex *mutex = NULL, *again = NULL;
	zipc_queue *queue;
	(void)state;
	assert_int_equal(zipc_mutex_open(segment, "m", NULL, &mutex), -ENOENT);
	assert_int_equal(zipc_mutex_open_or_create(segment, "m", NULL, &mutex), 1);
	assert_int_equal(zipc_mutex_open_or_create(segment, "m", NULL, &again), 0);
	zipc_mutex_close(again);
	assert_int_equal(zipc_mutex_create(segment, "m", NULL, &again), -EEXIST);
	o.flags = ZIPC_MUTEX_RECURSIVE;
	assert_int_equal(zipc_mutex_open(segment, "m", &o, &again), -EPROTOTYPE);
	o.flags = 64;
	assert_int_equal(zipc_mutex_open(segment, "m", &o, &again), -EINVAL);
	assert_said("unknown flags");
	assert_int_equal(zipc_queue_open(segment, "m", 8, NULL, &queue), -EPROTOTYPE);
	assert_said("mutex");
	assert_int_equal(zipc_queue_remove(segment, "m"), -EPROTOTYPE);
	zipc_mutex_close(mutex);
	zipc_mutex_close(NULL);
	assert_ok(zipc_mutex_remove(segment, "m"));
	rig_close(segment, used);
}

static void test_holding(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_mutex *mutex = make(segment, 0), *again = open_in(segment);
	(void)state;
	assert_int_equal(zipc_mutex_unlock(mutex), -EPERM);
	assert_said("does not hold");
	assert_ok(zipc_mutex_lock(mutex, ZIPC_NOWAIT));
	assert_int_equal(zipc_mutex_lock(mutex, ZIPC_FOREVER), -EDEADLK);
	assert_int_equal(zipc_mutex_lock(again, ZIPC_NOWAIT), -EDEADLK);
	assert_said("'m'");
	assert_int_equal(errand_do(lock_now, mutex), -EAGAIN);
	assert_int_equal(errand_do(unlock, mutex), -EPERM);
	assert_int_equal(zipc_mutex_consistent(mutex), -EINVAL);
	assert_int_equal(errand_do(consistent, mutex), -EPERM);
	zipc_mutex_info info = info_of(mutex);
	assert_int_equal(info.held, 1);
	assert_int_equal(info.owner_pid, getpid());
	assert_int_equal(info.owner_thread, gettid());
	assert_ok(zipc_mutex_unlock(again));
	assert_int_equal(info_of(mutex).held, 0);
	assert_int_equal(zipc_mutex_unlock(mutex), -EPERM);
	assert_ok(errand_do(lock_and_unlock, mutex));
	zipc_mutex_close(again);
	zipc_mutex_close(mutex);
	zipc_segment_close(segment);
}

static void test_recursive(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_mutex *mutex = make(segment, ZIPC_MUTEX_RECURSIVE);
	(void)state;
	for (int i = 0; i < 4096; i++)
		assert_ok(zipc_mutex_lock(mutex, ZIPC_NOWAIT));
	assert_int_equal(zipc_mutex_lock(mutex, ZIPC_NOWAIT), -EOVERFLOW);
	assert_int_equal(info_of(mutex).held, 4096);
	for (int i = 0; i < 4096; i++) {
		assert_int_equal(info_of(mutex).held, 4096 - i);
		assert_ok(zipc_mutex_unlock(mutex));
	}
	assert_int_equal(zipc_mutex_unlock(mutex), -EPERM);
	assert_sound(segment);
	zipc_mutex_close(mutex);
	zipc_segment_close(segment);
}

static void test_timeouts(void **state)
{
	static const int64_t timeouts[] = {1, 1000, MS, 20 * MS};
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_mutex *mutex = make(segment, 0);
	struct errand errand;
	(void)state;
	assert_ok(zipc_mutex_lock(mutex, (INT64_C(1) << 31) * MS)); /* beyond 2^31 ms */
	zipc_mutex_unlock(mutex);
	zipc_segment *other = rig_again(segment, 0);
	zipc_mutex *mine = open_in(other);
	assert_ok(zipc_mutex_lock(mutex, INT64_MAX));
	for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
		uint64_t before = now_ns();
		assert_int_equal(zipc_mutex_lock(mine, timeouts[i]), -ETIMEDOUT);
		assert_true(now_ns() - before >= (uint64_t)timeouts[i]);
	}
	errand_start(&errand, lock_a_second, mine);
	let_it_sleep();
	zipc_interrupt(other);
	assert_int_equal(errand_end(&errand), -ECANCELED);
	zipc_interrupt_clear(other);
	errand_start(&errand, lock_and_unlock, mine);
	let_it_sleep();
	assert_false(errand_is_over(&errand));
	assert_ok(zipc_mutex_unlock(mutex));
	assert_ok(errand_end(&errand));
	zipc_mutex_close(mine);
	zipc_segment_close(other);
	zipc_mutex_close(mutex);
	zipc_segment_close(segment);
}

/* ---- deaths --------------------------------------------------------------------------------- */

/* Another attachment locks and goes away. */
static void leave_it_held(zipc_segment *segment)
{
	zipc_segment *other = rig_again(segment, 0);
	zipc_mutex *theirs = open_in(other);
	int r = zipc_mutex_lock(theirs, ZIPC_NOWAIT);
	assert_true(r == 0 || r == -EOWNERDEAD);
	zipc_mutex_close(theirs);
	rig_close_and_wait(other);
}

static void test_owner_dead(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_mutex *mutex = make(segment, 0);
	(void)state;
	leave_it_held(segment);
	assert_int_equal(zipc_mutex_lock(mutex, ZIPC_NOWAIT), -EOWNERDEAD);
	assert_int_equal(info_of(mutex).suspect, 1);
	assert_int_equal(zipc_mutex_lock(mutex, ZIPC_NOWAIT), -EDEADLK);
	assert_ok(zipc_mutex_consistent(mutex));
	assert_int_equal(zipc_mutex_consistent(mutex), -EINVAL);
	assert_ok(zipc_mutex_unlock(mutex));
	assert_ok(zipc_mutex_lock(mutex, ZIPC_NOWAIT));
	assert_ok(zipc_mutex_unlock(mutex));
	leave_it_held(segment);
	leave_it_held(segment); /* who was told died too */
	assert_sound(segment);
	assert_int_equal(zipc_segment_gc(segment), 1);
	assert_int_equal(zipc_segment_gc(segment), 0);
	assert_int_equal(info_of(mutex).owner_id, 0);
	assert_int_equal(zipc_mutex_lock(mutex, ZIPC_NOWAIT), -EOWNERDEAD);
	assert_ok(zipc_mutex_unlock(mutex));
	assert_int_equal(zipc_mutex_lock(mutex, ZIPC_FOREVER), -ENOTRECOVERABLE);
	assert_int_equal(zipc_mutex_lock(mutex, ZIPC_NOWAIT), -ENOTRECOVERABLE);
	assert_int_equal(zipc_mutex_unlock(mutex), -EPERM);
	assert_int_equal(info_of(mutex).lost, 1);
	assert_sound(segment);
	zipc_mutex_close(mutex);
	zipc_segment_close(segment);
}

static int lock_and_end(void *mutex)
{
	return zipc_mutex_lock(mutex, S);
}

static pthread_key_t late_key;

static void unlock_late(void *mutex)
{
	zipc_mutex_unlock(mutex);
}

static int lock_and_unlock_late(void *mutex)
{
	pthread_setspecific(late_key, mutex);
	return zipc_mutex_lock(mutex, S);
}

static void test_thread_ends(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_mutex *mutex = make(segment, 0);
	struct errand waiter;
	(void)state;
	assert_ok(errand_do(lock_and_end, mutex));
	assert_int_equal(info_of(mutex).suspect, 1);
	assert_int_equal(zipc_mutex_lock(mutex, ZIPC_NOWAIT), -EOWNERDEAD);
	assert_ok(zipc_mutex_consistent(mutex));
	errand_start(&waiter, lock_and_end, mutex);
	let_it_sleep();
	assert_ok(zipc_mutex_unlock(mutex));
	assert_ok(errand_end(&waiter));
	assert_int_equal(zipc_mutex_lock(mutex, 10 * S), -EOWNERDEAD);
	assert_ok(zipc_mutex_consistent(mutex));
	assert_ok(zipc_mutex_unlock(mutex));
	assert_ok(pthread_key_create(&late_key, unlock_late));
	assert_ok(errand_do(lock_and_unlock_late, mutex));
	assert_ok(zipc_mutex_lock(mutex, ZIPC_NOWAIT));
	assert_ok(zipc_mutex_unlock(mutex));
	pthread_key_delete(late_key);
	zipc_mutex_close(mutex);
	zipc_segment_close(segment);
}

/* ---- fork ----------------------------------------------------------------------------------- */

static int try_in_child(void *mutex)
{
	if (zipc_mutex_unlock(mutex) != -EPERM || zipc_mutex_consistent(mutex) != -EPERM)
		return 1;
	return zipc_mutex_lock(mutex, ZIPC_NOWAIT) == -EAGAIN ? 0 : 2;
}

static int lock_in_child(void *mutex)
{
	return zipc_mutex_lock(mutex, ZIPC_NOWAIT) == 0 ? 0 : 3; /* and die */
}

static void test_fork(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_mutex *mutex = make(segment, 0);
	(void)state;
	assert_ok(zipc_mutex_lock(mutex, ZIPC_NOWAIT));
	assert_ok(in_child(try_in_child, mutex));
	assert_ok(zipc_mutex_unlock(mutex));
	assert_ok(in_child(lock_in_child, mutex));
	nap_us(12000);
	assert_int_equal(zipc_mutex_lock(mutex, 10 * S), -EOWNERDEAD);
	assert_ok(zipc_mutex_consistent(mutex));
	assert_ok(zipc_mutex_unlock(mutex));
	zipc_mutex_close(mutex);
	zipc_segment_close(segment);
}

static void test_read_only(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_mutex *mutex = make(segment, 0);
	zipc_segment *looker = rig_again(segment, ZIPC_SEGMENT_READ_ONLY);
	zipc_mutex *seen = open_in(looker);
	(void)state;
	assert_ok(zipc_mutex_lock(mutex, ZIPC_NOWAIT));
	assert_int_equal(zipc_mutex_lock(seen, ZIPC_NOWAIT), -EROFS);
	assert_int_equal(zipc_mutex_unlock(seen), -EPERM);
	assert_int_equal(info_of(seen).held, 1);
	zipc_mutex_close(seen);
	zipc_segment_close(looker);
	zipc_mutex_close(mutex);
	zipc_segment_close(segment);
}

/* ---- several threads ------------------------------------------------------------------------ */

struct crowd {
	zipc_mutex *mutex;
	uint64_t plain[2]; /* no atomics: the mutex is what keeps them equal */
};

static int count_up(void *arg)
{
	struct crowd *crowd = arg;
	for (int i = 0; i < ROUNDS; i++) {
		int r = zipc_mutex_lock(crowd->mutex, 20 * S);
		if (r < 0)
			return r;
		if (crowd->plain[0] != crowd->plain[1])
			return -EBADMSG;
		crowd->plain[0]++;
		crowd->plain[1]++;
		r = zipc_mutex_unlock(crowd->mutex);
		if (r < 0)
			return r;
	}
	return 0;
}

static void test_exclusion(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	struct crowd crowd = {.mutex = make(segment, 0)};
	struct errand errands[THREADS];
	(void)state;
	for (int i = 0; i < THREADS; i++)
		errand_start(&errands[i], count_up, &crowd);
	for (int i = 0; i < THREADS; i++)
		assert_ok(errand_end(&errands[i]));
	assert_int_equal(crowd.plain[0], THREADS * ROUNDS);
	assert_sound(segment);
	zipc_mutex_close(crowd.mutex);
	zipc_segment_close(segment);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	   cmocka_unit_test(test_holding),
		cmocka_unit_test(test_recursive),  cmocka_unit_test(test_timeouts),
		cmocka_unit_test(test_owner_dead), cmocka_unit_test(test_thread_ends),
		cmocka_unit_test(test_fork),	   cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_exclusion),
	};
	return PEER_RUN("mutex", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
