/* SPDX-License-Identifier: MIT */
/* Barrier: rounds, leaders, who breaks it and who is told, dropping out, starting anew. */
#include "sync/rig.h"

#define THREADS 4
#define ROUNDS	2000

static zipc_barrier *make(zipc_segment *segment, uint32_t participants, uint32_t flags)
{
	zipc_barrier_options o = ZIPC_BARRIER_OPTIONS_INIT;
	zipc_barrier *barrier = NULL;
	o.flags = flags;
	assert_ok(zipc_barrier_create(segment, "b", participants, &o, &barrier));
	return barrier;
}

static zipc_barrier *open_in(zipc_segment *segment)
{
	zipc_barrier *barrier = NULL;
	assert_ok(zipc_barrier_open(segment, "b", NULL, &barrier));
	return barrier;
}

static zipc_barrier_info info_of(zipc_barrier *barrier)
{
	zipc_barrier_info info = {.struct_size = sizeof info};
	assert_ok(zipc_barrier_get_info(barrier, &info));
	return info;
}

static int join_and_wait(void *arg)
{
	int r = zipc_barrier_join(arg);
	if (r == 0)
		r = zipc_barrier_wait(arg, 20 * S);
	int left = zipc_barrier_arrive_and_drop(arg);
	return r == -EPIPE && left == -EPIPE ? r : left < 0 ? left : r;
}

static int join_and_end(void *arg)
{
	return zipc_barrier_join(arg);
}

static void test_names(void **state)
{
	zipc_segment *segment = rig_make(512 * KIB);
	uint64_t used = rig_used(segment);
	zipc_barrier *barrier = NULL;
	(void)state;
	assert_int_equal(zipc_barrier_create(segment, "b", 0, NULL, &barrier), -EINVAL);
	assert_int_equal(zipc_barrier_create(segment, "b", 4097, NULL, &barrier), -EINVAL);
	barrier = make(segment, 4096, 0);
	zipc_barrier_close(barrier);
	assert_int_equal(zipc_barrier_open_or_create(segment, "b", 2, NULL, &barrier), 0);
	assert_int_equal(info_of(barrier).participants, 4096);
	assert_int_equal(zipc_barrier_wait(barrier, ZIPC_NOWAIT), -EPERM);
	assert_int_equal(zipc_barrier_arrive_and_drop(barrier), -EPERM);
	assert_said("has not joined");
	zipc_barrier_close(barrier);
	zipc_barrier_close(NULL);
	assert_ok(zipc_barrier_remove(segment, "b"));
	rig_close(segment, used);
}

static void test_alone(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_barrier *barrier = make(segment, 1, 0);
	(void)state;
	assert_ok(zipc_barrier_join(barrier));
	assert_int_equal(zipc_barrier_join(barrier), -EEXIST);
	assert_int_equal(errand_do(join_and_end, barrier), -ENOSPC);
	for (int i = 0; i < 100; i++)
		assert_int_equal(zipc_barrier_wait(barrier, ZIPC_NOWAIT), 1);
	assert_int_equal(zipc_barrier_arrive_and_drop(barrier), 1);
	assert_int_equal(zipc_barrier_wait(barrier, ZIPC_NOWAIT), -EPERM);
	assert_ok(zipc_barrier_join(barrier));
	assert_int_equal(zipc_barrier_arrive_and_drop(barrier), 1);
	assert_sound(segment);
	zipc_barrier_close(barrier);
	zipc_segment_close(segment);
}

/* ---- rounds --------------------------------------------------------------------------------- */

struct parade {
	zipc_barrier *barrier;
	uint32_t started;
	uint32_t leaders;
	uint32_t behind;
	uint64_t at[THREADS]; /* no atomics: the barrier is what orders them */
};

static int march(void *arg)
{
	struct parade *p = arg;
	uint32_t me = __atomic_fetch_add(&p->started, 1u, __ATOMIC_SEQ_CST);
	int r = zipc_barrier_join(p->barrier);
	for (uint64_t i = 1; i <= ROUNDS && r >= 0; i++) {
		p->at[me] = i;
		r = zipc_barrier_wait(p->barrier, 20 * S);
		for (int j = 0; j < THREADS; j++)
			if (p->at[j] != i)
				__atomic_fetch_add(&p->behind, 1u, __ATOMIC_SEQ_CST);
		if (r == 1)
			__atomic_fetch_add(&p->leaders, 1u, __ATOMIC_SEQ_CST);
		if (r >= 0)
			r = zipc_barrier_wait(p->barrier, 20 * S);
	}
	int left = zipc_barrier_arrive_and_drop(p->barrier);
	return r < 0 ? r : left < 0 ? left : 0;
}

static void test_rounds(void **state)
{
	zipc_segment *segment = rig_make_patient();
	struct parade p = {.barrier = make(segment, THREADS, 0)};
	struct errand errands[THREADS];
	(void)state;
	for (int i = 0; i < THREADS; i++)
		errand_start(&errands[i], march, &p);
	for (int i = 0; i < THREADS; i++)
		assert_ok(errand_end(&errands[i]));
	assert_int_equal(p.behind, 0);
	assert_int_equal(p.leaders, ROUNDS);
	assert_int_equal(info_of(p.barrier).joined, 0);
	assert_sound(segment);
	zipc_barrier_close(p.barrier);
	rig_close_patient(segment);
}

static void test_first_round(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_barrier *barrier = make(segment, 3, 0);
	struct errand first, second;
	(void)state;
	assert_ok(zipc_barrier_join(barrier));
	assert_int_equal(zipc_barrier_wait(barrier, ZIPC_NOWAIT), -EAGAIN);
	errand_start(&first, join_and_wait, barrier);
	let_it_sleep();
	assert_int_equal(zipc_barrier_wait(barrier, ZIPC_NOWAIT), -EAGAIN);
	assert_int_equal(info_of(barrier).joined, 2);
	assert_int_equal(info_of(barrier).arrived, 1);
	assert_false(errand_is_over(&first));
	errand_start(&second, join_and_wait, barrier);
	assert_int_equal(zipc_barrier_wait(barrier, 20 * S) >= 0, 1);
	/* they drop out in the round after, and are missed no more */
	assert_true(errand_end(&first) >= 0);
	assert_true(errand_end(&second) >= 0);
	assert_int_equal(zipc_barrier_wait(barrier, ZIPC_NOWAIT), 1);
	assert_int_equal(info_of(barrier).joined, 1);
	assert_int_equal(zipc_barrier_wait(barrier, ZIPC_NOWAIT), 1);
	zipc_barrier_close(barrier);
	zipc_segment_close(segment);
}

static void test_open(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_barrier *barrier = make(segment, 3, ZIPC_BARRIER_OPEN);
	(void)state;
	assert_ok(zipc_barrier_join(barrier));
	assert_int_equal(zipc_barrier_wait(barrier, ZIPC_NOWAIT), 1);
	zipc_barrier_close(barrier);
	zipc_segment_close(segment);
}

/* ---- breaking ------------------------------------------------------------------------------- */

static void test_timeout(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_barrier *barrier = make(segment, 3, 0);
	struct errand other;
	(void)state;
	assert_ok(zipc_barrier_join(barrier));
	errand_start(&other, join_and_wait, barrier);
	let_it_sleep();
	assert_int_equal(zipc_barrier_wait(barrier, 5 * MS), -ETIMEDOUT);
	assert_int_equal(errand_end(&other), -EPIPE);
	assert_int_equal(info_of(barrier).broken, 1);
	assert_int_equal(info_of(barrier).by_death, 0);
	assert_int_equal(zipc_barrier_wait(barrier, ZIPC_FOREVER), -EPIPE);
	assert_int_equal(zipc_barrier_wait(barrier, ZIPC_NOWAIT), -EPIPE);
	assert_ok(zipc_barrier_reset(barrier));
	assert_int_equal(info_of(barrier).joined, 1);
	errand_start(&other, join_and_wait, barrier);
	let_it_sleep();
	assert_ok(zipc_barrier_reset(barrier)); /* who waits is told */
	assert_int_equal(errand_end(&other), -EPIPE);
	zipc_barrier_close(barrier);
	zipc_segment_close(segment);
}

static void test_interrupted(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB), *other = rig_again(segment, 0);
	zipc_barrier *barrier = make(segment, 2, 0), *theirs = open_in(other);
	struct errand errand;
	(void)state;
	assert_ok(zipc_barrier_join(barrier));
	errand_start(&errand, join_and_wait, theirs);
	let_it_sleep();
	zipc_interrupt(other);
	assert_int_equal(errand_end(&errand), -EPIPE); /* so says dropping out afterwards */
	assert_int_equal(info_of(barrier).broken, 1);
	zipc_barrier_close(theirs);
	zipc_segment_close(other);
	zipc_barrier_close(barrier);
	zipc_segment_close(segment);
}

static void test_deaths(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB), *other = rig_again(segment, 0);
	zipc_barrier *barrier = make(segment, 2, 0), *theirs = open_in(other);
	(void)state;
	assert_ok(zipc_barrier_join(barrier));
	assert_ok(zipc_barrier_join(theirs));
	zipc_barrier_close(theirs);
	rig_close_and_wait(other);
	assert_int_equal(zipc_barrier_wait(barrier, 10 * S), -EPIPE);
	assert_int_equal(info_of(barrier).by_death, 1);
	assert_ok(zipc_barrier_reset(barrier));
	assert_int_equal(info_of(barrier).joined, 1);
	/* the same for a thread, and after gc */
	assert_ok(errand_do(join_and_end, barrier));
	assert_int_equal(zipc_segment_gc(segment), 0);
	assert_sound(segment);
	assert_int_equal(zipc_barrier_wait(barrier, 10 * S), -EPIPE);
	assert_int_equal(info_of(barrier).joined, 2);
	assert_ok(zipc_barrier_reset(barrier));
	other = rig_again(segment, 0);
	theirs = open_in(other);
	assert_ok(zipc_barrier_join(theirs));
	zipc_barrier_close(theirs);
	rig_close_and_wait(other);
	assert_int_equal(zipc_segment_gc(segment), 1);
	assert_int_equal(zipc_segment_gc(segment), 0);
	assert_int_equal(zipc_barrier_wait(barrier, 10 * S), -EPIPE);
	zipc_barrier_close(barrier);
	zipc_segment_close(segment);
}

static int stranger(void *barrier)
{
	return zipc_barrier_wait(barrier, ZIPC_NOWAIT) == -EPERM &&
			       zipc_barrier_arrive_and_drop(barrier) == -EPERM
		       ? 0
		       : 1;
}

static void test_fork(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_barrier *barrier = make(segment, 2, ZIPC_BARRIER_OPEN);
	(void)state;
	assert_ok(zipc_barrier_join(barrier));
	assert_ok(in_child(stranger, barrier));
	assert_int_equal(zipc_barrier_wait(barrier, ZIPC_NOWAIT), 1);
	zipc_barrier_close(barrier);
	zipc_segment_close(segment);
}

/* ---- timeouts racing the last arrival --------------------------------------------------------- */

struct race {
	zipc_barrier *barrier;
	pthread_barrier_t meet; /* between the rounds */
	uint32_t through;	/* in this round */
	uint32_t leaders;
	uint32_t wrong;
	uint32_t turn;
	uint32_t completed;
	uint32_t broken;
};

static void judge_round(struct race *race)
{
	uint32_t through = race->through;
	if (through != 0 && through != THREADS)
		race->wrong++;
	if (race->leaders != (through == THREADS ? 1 : 0))
		race->wrong++;
	race->completed += through == THREADS;
	race->broken += through == 0;
	race->through = race->leaders = 0;
	if (through == 0 && zipc_barrier_reset(race->barrier) != 0)
		race->wrong++;
}

static int race_along(void *arg)
{
	struct race *race = arg;
	uint64_t seed = 77 + __atomic_fetch_add(&race->turn, 1u, __ATOMIC_SEQ_CST);
	int r = zipc_barrier_join(race->barrier);
	for (int i = 0; i < ROUNDS && r == 0; i++) {
		for (volatile uint32_t spin = random_below(&seed, 20000); spin > 0; spin--)
			;
		int code = zipc_barrier_wait(race->barrier, 1 + random_below(&seed, 100000));
		if (code >= 0)
			__atomic_fetch_add(&race->through, 1u, __ATOMIC_SEQ_CST);
		if (code == 1)
			__atomic_fetch_add(&race->leaders, 1u, __ATOMIC_SEQ_CST);
		if (code < 0 && code != -EPIPE && code != -ETIMEDOUT)
			r = code;
		if (pthread_barrier_wait(&race->meet) == PTHREAD_BARRIER_SERIAL_THREAD)
			judge_round(race);
		pthread_barrier_wait(&race->meet);
	}
	return r;
}

static void test_race(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	struct race race = {.barrier = make(segment, THREADS, 0)};
	struct errand errands[THREADS];
	(void)state;
	pthread_barrier_init(&race.meet, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		errand_start(&errands[i], race_along, &race);
	for (int i = 0; i < THREADS; i++)
		assert_ok(errand_end(&errands[i]));
	print_message("%u rounds completed, %u broken\n", race.completed, race.broken);
	assert_int_equal(race.wrong, 0);
	pthread_barrier_destroy(&race.meet);
	zipc_barrier_close(race.barrier);
	zipc_segment_close(segment);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	    cmocka_unit_test(test_alone),
		cmocka_unit_test(test_rounds),	    cmocka_unit_test(test_first_round),
		cmocka_unit_test(test_open),	    cmocka_unit_test(test_timeout),
		cmocka_unit_test(test_interrupted), cmocka_unit_test(test_deaths),
		cmocka_unit_test(test_fork),	    cmocka_unit_test(test_race),
	};
	return PEER_RUN("barrier", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
