/* SPDX-License-Identifier: MIT */
/* Rwlock: who may be inside with whom, who has to wait for whom, and what the dead leave. */
#include "sync/rig.h"

#define THREADS 4
#define ROUNDS	3000

static zipc_rwlock *make(zipc_segment *segment, uint32_t max_holders)
{
	zipc_rwlock_options o = ZIPC_RWLOCK_OPTIONS_INIT;
	zipc_rwlock *rwlock = NULL;
	o.max_holders = max_holders;
	assert_ok(zipc_rwlock_create(segment, "r", &o, &rwlock));
	return rwlock;
}

static zipc_rwlock *open_in(zipc_segment *segment)
{
	zipc_rwlock *rwlock = NULL;
	assert_ok(zipc_rwlock_open(segment, "r", NULL, &rwlock));
	return rwlock;
}

static zipc_rwlock_info info_of(zipc_rwlock *rwlock)
{
	zipc_rwlock_info info = {.struct_size = sizeof info};
	assert_ok(zipc_rwlock_get_info(rwlock, &info));
	return info;
}

static int read_now(void *rwlock)
{
	int r = zipc_rwlock_read_lock(rwlock, ZIPC_NOWAIT);
	return r < 0 ? r : zipc_rwlock_read_unlock(rwlock);
}

static int write_now(void *rwlock)
{
	int r = zipc_rwlock_write_lock(rwlock, ZIPC_NOWAIT);
	return r < 0 ? r : zipc_rwlock_write_unlock(rwlock);
}

static int read_long(void *rwlock)
{
	int r = zipc_rwlock_read_lock(rwlock, 20 * S);
	return r < 0 ? r : zipc_rwlock_read_unlock(rwlock);
}

static int read_and_wait(void *rwlock)
{
	int r = zipc_rwlock_read_lock(rwlock, 20 * S);
	nap_us(2000);
	return r < 0 ? r : zipc_rwlock_read_unlock(rwlock);
}

static int write_long(void *rwlock)
{
	int r = zipc_rwlock_write_lock(rwlock, 20 * S);
	return r < 0 ? r : zipc_rwlock_write_unlock(rwlock);
}

static int read_and_end(void *rwlock)
{
	return zipc_rwlock_read_lock(rwlock, 20 * S);
}

static int write_and_end(void *rwlock)
{
	return zipc_rwlock_write_lock(rwlock, 20 * S);
}

static void test_names(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	uint64_t used = rig_used(segment);
	zipc_rwlock_options o = ZIPC_RWLOCK_OPTIONS_INIT;
	zipc_rwlock *rwlock = NULL;
	(void)state;
	o.max_holders = ZIPC_RWLOCK_HOLDERS_MAX + 1;
	assert_int_equal(zipc_rwlock_create(segment, "r", &o, &rwlock), -EINVAL);
	rwlock = make(segment, 0);
	assert_int_equal(info_of(rwlock).max_holders, 64);
	zipc_rwlock_close(rwlock);
	o.max_holders = 3;
	assert_int_equal(zipc_rwlock_open_or_create(segment, "r", &o, &rwlock), 0);
	assert_int_equal(info_of(rwlock).max_holders, 64);
	zipc_rwlock_close(rwlock);
	zipc_rwlock_close(NULL);
	assert_ok(zipc_rwlock_remove(segment, "r"));
	assert_int_equal(zipc_rwlock_open_or_create(segment, "r", &o, &rwlock), 1);
	zipc_rwlock_close(rwlock);
	assert_ok(zipc_rwlock_remove(segment, "r"));
	rig_close(segment, used);
}

static void test_holding(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_rwlock *rwlock = make(segment, 0);
	(void)state;
	assert_int_equal(zipc_rwlock_read_unlock(rwlock), -EPERM);
	assert_int_equal(zipc_rwlock_write_unlock(rwlock), -EPERM);
	for (int i = 0; i < 4095; i++)
		assert_ok(zipc_rwlock_read_lock(rwlock, ZIPC_NOWAIT));
	assert_int_equal(zipc_rwlock_read_lock(rwlock, ZIPC_NOWAIT), -EOVERFLOW);
	assert_int_equal(zipc_rwlock_write_lock(rwlock, ZIPC_FOREVER), -EDEADLK);
	assert_ok(errand_do(read_now, rwlock));
	assert_int_equal(errand_do(write_now, rwlock), -EAGAIN);
	for (int i = 0; i < 4095; i++)
		assert_ok(zipc_rwlock_read_unlock(rwlock));
	assert_int_equal(zipc_rwlock_read_unlock(rwlock), -EPERM);
	assert_ok(errand_do(write_now, rwlock));
	assert_ok(zipc_rwlock_write_lock(rwlock, ZIPC_NOWAIT));
	assert_int_equal(zipc_rwlock_write_lock(rwlock, ZIPC_NOWAIT), -EDEADLK);
	assert_int_equal(zipc_rwlock_read_lock(rwlock, ZIPC_FOREVER), -EDEADLK);
	assert_int_equal(zipc_rwlock_read_unlock(rwlock), -EPERM);
	assert_int_equal(errand_do(read_now, rwlock), -EAGAIN);
	assert_int_equal(errand_do(write_now, rwlock), -EAGAIN);
	assert_int_equal(info_of(rwlock).writing, 1);
	assert_int_equal(info_of(rwlock).writer_thread, gettid());
	assert_int_equal(zipc_rwlock_consistent(rwlock), -EINVAL);
	assert_ok(zipc_rwlock_downgrade(rwlock));
	assert_int_equal(zipc_rwlock_downgrade(rwlock), -EPERM);
	assert_int_equal(info_of(rwlock).readers, 1);
	assert_ok(errand_do(read_now, rwlock));
	assert_int_equal(errand_do(write_now, rwlock), -EAGAIN);
	assert_ok(zipc_rwlock_read_unlock(rwlock));
	assert_sound(segment);
	zipc_rwlock_close(rwlock);
	zipc_segment_close(segment);
}

static void test_max_holders(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_rwlock *rwlock = make(segment, 2);
	zipc_segment *other[2] = {rig_again(segment, 0), rig_again(segment, 0)};
	zipc_rwlock *theirs[2] = {open_in(other[0]), open_in(other[1])};
	(void)state;
	assert_ok(zipc_rwlock_read_lock(theirs[0], ZIPC_NOWAIT));
	assert_ok(zipc_rwlock_read_lock(theirs[1], ZIPC_NOWAIT));
	assert_int_equal(zipc_rwlock_read_lock(rwlock, ZIPC_FOREVER), -ENOSPC);
	assert_said("max_holders");
	assert_ok(zipc_rwlock_read_unlock(theirs[1]));
	assert_ok(zipc_rwlock_read_lock(rwlock, ZIPC_NOWAIT)); /* its word is idle */
	assert_ok(zipc_rwlock_read_unlock(rwlock));
	assert_int_equal(zipc_rwlock_write_lock(theirs[1], ZIPC_NOWAIT), -EAGAIN);
	for (int i = 0; i < 2; i++) { /* dies with the lock */
		zipc_rwlock_close(theirs[i]);
		rig_close_and_wait(other[i]);
	}
	assert_int_equal(info_of(rwlock).readers, 1);
	assert_ok(write_now(rwlock));
	assert_int_equal(info_of(rwlock).readers, 0);
	zipc_rwlock_close(rwlock);
	zipc_segment_close(segment);
}

/* ---- waiting -------------------------------------------------------------------------------- */

static void test_waiting(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB), *other = rig_again(segment, 0);
	zipc_rwlock *rwlock = make(segment, 0), *theirs = open_in(other);
	struct errand readers[THREADS], writer;
	(void)state;
	assert_ok(zipc_rwlock_read_lock(rwlock, ZIPC_NOWAIT));
	errand_start(&writer, write_long, theirs);
	let_it_sleep();
	/* the writer that waits keeps new readers out, but not the one inside */
	assert_int_equal(zipc_rwlock_read_lock(theirs, ZIPC_NOWAIT), -EAGAIN);
	assert_int_equal(zipc_rwlock_read_lock(theirs, MS), -ETIMEDOUT);
	assert_int_equal(zipc_rwlock_write_lock(theirs, MS), -ETIMEDOUT);
	assert_ok(zipc_rwlock_read_lock(rwlock, ZIPC_FOREVER));
	for (int i = 0; i < THREADS; i++)
		errand_start(&readers[i], read_long, theirs);
	let_it_sleep();
	assert_false(errand_is_over(&writer));
	assert_int_equal(info_of(rwlock).waiting_readers, THREADS);
	assert_ok(zipc_rwlock_read_unlock(rwlock));
	assert_ok(zipc_rwlock_read_unlock(rwlock));
	assert_ok(errand_end(&writer));
	for (int i = 0; i < THREADS; i++)
		assert_ok(errand_end(&readers[i]));
	/* a writer that gives up lets them in, too */
	assert_ok(zipc_rwlock_read_lock(rwlock, ZIPC_NOWAIT));
	errand_start(&readers[0], read_long, theirs);
	assert_int_equal(zipc_rwlock_write_lock(theirs, 20 * MS), -ETIMEDOUT);
	assert_ok(errand_end(&readers[0]));
	assert_ok(errand_do(read_now, theirs));
	assert_ok(zipc_rwlock_read_unlock(rwlock));
	assert_ok(write_now(theirs));
	assert_sound(segment);
	zipc_rwlock_close(theirs);
	zipc_segment_close(other);
	zipc_rwlock_close(rwlock);
	zipc_segment_close(segment);
}

/* A reader that sleeps is inside, by name, before the writer that leaves could be back. */
static void test_readers_first(void **state)
{
	zipc_segment *segment = rig_make_patient();
	zipc_rwlock *rwlock = make(segment, 0);
	struct errand reader;
	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_ok(zipc_rwlock_write_lock(rwlock, 20 * S));
		errand_start(&reader, read_and_wait, rwlock);
		let_it_sleep();
		assert_ok(zipc_rwlock_write_unlock(rwlock));
		assert_int_equal(zipc_rwlock_write_lock(rwlock, ZIPC_NOWAIT), -EAGAIN);
		assert_ok(errand_end(&reader));
	}
	zipc_rwlock_close(rwlock);
	rig_close_patient(segment);
}

static void test_interrupted(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB), *other = rig_again(segment, 0);
	zipc_rwlock *rwlock = make(segment, 0), *theirs = open_in(other);
	struct errand reader, writer;
	(void)state;
	assert_ok(zipc_rwlock_write_lock(rwlock, ZIPC_NOWAIT));
	errand_start(&reader, read_long, theirs);
	errand_start(&writer, write_long, theirs);
	let_it_sleep();
	zipc_interrupt(other);
	assert_int_equal(errand_end(&reader), -ECANCELED);
	assert_int_equal(errand_end(&writer), -ECANCELED);
	zipc_interrupt_clear(other);
	assert_int_equal(info_of(rwlock).waiting_readers, 0);
	assert_ok(zipc_rwlock_write_unlock(rwlock));
	zipc_rwlock_close(theirs);
	zipc_segment_close(other);
	zipc_rwlock_close(rwlock);
	zipc_segment_close(segment);
}

/* ---- deaths --------------------------------------------------------------------------------- */

static void leave_it_written(zipc_segment *segment)
{
	zipc_segment *other = rig_again(segment, 0);
	zipc_rwlock *theirs = open_in(other);
	int r = zipc_rwlock_write_lock(theirs, ZIPC_NOWAIT);
	assert_true(r == 0 || r == -EOWNERDEAD);
	zipc_rwlock_close(theirs);
	rig_close_and_wait(other);
}

static void test_dead_writer(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_rwlock *rwlock = make(segment, 0);
	(void)state;
	leave_it_written(segment);
	assert_int_equal(zipc_rwlock_read_lock(rwlock, ZIPC_NOWAIT), -EOWNERDEAD);
	assert_int_equal(zipc_rwlock_consistent(rwlock), -EPERM);
	assert_ok(zipc_rwlock_read_unlock(rwlock));
	assert_int_equal(zipc_rwlock_write_lock(rwlock, ZIPC_NOWAIT), -EOWNERDEAD);
	assert_int_equal(zipc_rwlock_downgrade(rwlock), -EINVAL);
	assert_ok(zipc_rwlock_consistent(rwlock));
	assert_ok(zipc_rwlock_write_unlock(rwlock));
	assert_ok(read_now(rwlock));
	assert_ok(write_now(rwlock));
	leave_it_written(segment);
	assert_sound(segment);
	assert_int_equal(zipc_segment_gc(segment), 1);
	assert_int_equal(zipc_segment_gc(segment), 0);
	assert_int_equal(info_of(rwlock).suspect, 1);
	assert_int_equal(zipc_rwlock_write_lock(rwlock, ZIPC_NOWAIT), -EOWNERDEAD);
	assert_ok(zipc_rwlock_write_unlock(rwlock));
	assert_int_equal(zipc_rwlock_write_lock(rwlock, ZIPC_FOREVER), -ENOTRECOVERABLE);
	assert_int_equal(zipc_rwlock_read_lock(rwlock, ZIPC_FOREVER), -ENOTRECOVERABLE);
	assert_int_equal(info_of(rwlock).lost, 1);
	assert_sound(segment);
	zipc_rwlock_close(rwlock);
	zipc_segment_close(segment);
}

static void test_threads_end(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_rwlock *rwlock = make(segment, 0);
	struct errand waiter;
	(void)state;
	assert_ok(errand_do(read_and_end, rwlock));
	assert_int_equal(info_of(rwlock).readers, 0);
	assert_ok(zipc_rwlock_read_lock(rwlock, ZIPC_NOWAIT));
	errand_start(&waiter, write_and_end, rwlock);
	let_it_sleep();
	assert_ok(zipc_rwlock_read_unlock(rwlock));
	assert_ok(errand_end(&waiter));
	assert_int_equal(info_of(rwlock).suspect, 1);
	assert_int_equal(zipc_rwlock_write_lock(rwlock, ZIPC_NOWAIT), -EOWNERDEAD);
	assert_ok(zipc_rwlock_consistent(rwlock));
	assert_ok(zipc_rwlock_write_unlock(rwlock));
	zipc_rwlock_close(rwlock);
	zipc_segment_close(segment);
}

static int die_reading(void *rwlock)
{
	if (zipc_rwlock_read_unlock(rwlock) != -EPERM)
		return 1; /* not the parent's lock */
	return zipc_rwlock_read_lock(rwlock, ZIPC_NOWAIT) == 0 ? 0 : 2;
}

static void test_dead_reader(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_rwlock *rwlock = make(segment, 0);
	(void)state;
	assert_ok(zipc_rwlock_read_lock(rwlock, ZIPC_NOWAIT));
	assert_ok(in_child(die_reading, rwlock));
	assert_ok(zipc_rwlock_read_unlock(rwlock));
	assert_ok(zipc_rwlock_write_lock(rwlock, 10 * S));
	assert_ok(zipc_rwlock_write_unlock(rwlock));
	assert_int_equal(zipc_segment_gc(segment), 0);
	assert_ok(in_child(die_reading, rwlock));
	nap_us(12000);
	assert_int_equal(zipc_segment_gc(segment), 1);
	zipc_rwlock_close(rwlock);
	zipc_segment_close(segment);
}

/* ---- several threads ------------------------------------------------------------------------ */

struct crowd {
	zipc_rwlock *rwlock;
	uint64_t plain[2]; /* no atomics: the lock is what keeps them equal */
};

static int mixed(void *arg)
{
	struct crowd *crowd = arg;
	int r = 0;
	for (int i = 0; i < ROUNDS && r == 0; i++) {
		bool write = i % 4 == 0;
		r = write ? zipc_rwlock_write_lock(crowd->rwlock, 20 * S)
			  : zipc_rwlock_read_lock(crowd->rwlock, 20 * S);
		if (r < 0)
			return r;
		if (crowd->plain[0] != crowd->plain[1])
			return -EBADMSG;
		if (write)
			crowd->plain[0]++;
		if (write && i % 8 == 0) {
			crowd->plain[1]++;
			r = zipc_rwlock_downgrade(crowd->rwlock);
			if (r == 0 && crowd->plain[0] != crowd->plain[1])
				return -EBADMSG;
			write = false;
		} else if (write) {
			crowd->plain[1]++;
		}
		r = r < 0   ? r
		    : write ? zipc_rwlock_write_unlock(crowd->rwlock)
			    : zipc_rwlock_read_unlock(crowd->rwlock);
	}
	return r;
}

static void test_exclusion(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	struct crowd crowd = {.rwlock = make(segment, 0)};
	struct errand errands[THREADS];
	(void)state;
	for (int i = 0; i < THREADS; i++)
		errand_start(&errands[i], mixed, &crowd);
	for (int i = 0; i < THREADS; i++)
		assert_ok(errand_end(&errands[i]));
	assert_int_equal(crowd.plain[0], THREADS * ROUNDS / 4);
	assert_int_equal(info_of(crowd.rwlock).readers, 0);
	assert_sound(segment);
	zipc_rwlock_close(crowd.rwlock);
	zipc_segment_close(segment);
}

/* Readers come on and on, writers come on and on: both get through. */
struct traffic {
	zipc_rwlock *rwlock;
	uint32_t stop;
};

static int write_on_and_on(void *arg)
{
	struct traffic *t = arg;
	int r = 0;
	while (r == 0 && __atomic_load_n(&t->stop, __ATOMIC_SEQ_CST) == 0)
		r = write_long(t->rwlock);
	return r;
}

static int read_on_and_on(void *arg)
{
	struct traffic *t = arg;
	int r = 0;
	while (r == 0 && __atomic_load_n(&t->stop, __ATOMIC_SEQ_CST) == 0)
		r = read_long(t->rwlock);
	return r;
}

static void get_through(int (*others)(void *arg), int (*mine)(void *arg))
{
	zipc_segment *segment = rig_make(256 * KIB);
	struct traffic t = {.rwlock = make(segment, 0)};
	struct errand errands[2];
	for (int i = 0; i < 2; i++)
		errand_start(&errands[i], others, &t);
	for (int i = 0; i < 100; i++)
		assert_ok(mine(t.rwlock));
	__atomic_store_n(&t.stop, 1u, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 2; i++)
		assert_ok(errand_end(&errands[i]));
	zipc_rwlock_close(t.rwlock);
	zipc_segment_close(segment);
}

static void test_nobody_starves(void **state)
{
	(void)state;
	get_through(write_on_and_on, read_long);
	get_through(read_on_and_on, write_long);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	       cmocka_unit_test(test_holding),
		cmocka_unit_test(test_max_holders),    cmocka_unit_test(test_waiting),
		cmocka_unit_test(test_readers_first),  cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_dead_writer),    cmocka_unit_test(test_threads_end),
		cmocka_unit_test(test_dead_reader),    cmocka_unit_test(test_exclusion),
		cmocka_unit_test(test_nobody_starves),
	};
	return PEER_RUN("rwlock", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
