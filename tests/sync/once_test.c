/* SPDX-License-Identifier: MIT */
/* Once: who runs it, who waits, and who comes next when it failed. */
#include "sync/rig.h"

#define THREADS 6

static zipc_once *make(zipc_segment *segment)
{
	zipc_once *once = NULL;
	assert_ok(zipc_once_create(segment, "o", NULL, &once));
	return once;
}

static zipc_once_info info_of(zipc_once *once)
{
	zipc_once_info info = {.struct_size = sizeof info};
	assert_ok(zipc_once_get_info(once, &info));
	return info;
}

/* What a call finds, and what its function does. */
struct job {
	zipc_once *once;
	uint32_t started;
	uint32_t go_on;
	uint32_t attempt;
	uint64_t value; /* no atomic: the once publishes it */
	int result;
	bool end_thread;
};

static int do_it(void *arg, uint32_t attempt)
{
	struct job *job = arg;
	job->attempt = attempt;
	__atomic_store_n(&job->started, 1u, __ATOMIC_SEQ_CST);
	if (!wait_until_at_least(&job->go_on, 1))
		return -EIO;
	job->value++;
	if (job->end_thread)
		pthread_exit(NULL);
	return job->result;
}

static int do_nothing(void *arg, uint32_t attempt)
{
	(void)arg;
	(void)attempt;
	return 0;
}

static int call(void *arg)
{
	struct job *job = arg;
	return zipc_once_call(job->once, do_it, job, 10 * S);
}

static int call_now(void *arg)
{
	struct job *job = arg;
	return zipc_once_ensure(job->once, do_it, job, ZIPC_NOWAIT);
}

static void test_once(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	uint64_t used = rig_used(segment);
	struct job job = {.once = make(segment), .go_on = 1, .result = 7};
	(void)state;
	assert_false(zipc_once_is_done(job.once));
	assert_int_equal(call_now(&job), 1);
	assert_int_equal(job.attempt, 1);
	assert_int_equal(call(&job), 0);
	assert_int_equal(job.value, 1);
	assert_true(zipc_once_is_done(job.once));
	assert_int_equal(info_of(job.once).attempts, 1);
	zipc_once_close(job.once);
	zipc_once_close(NULL);
	assert_int_equal(zipc_once_open_or_create(segment, "o", NULL, &job.once), 0);
	assert_true(zipc_once_is_done(job.once));
	zipc_once_close(job.once);
	assert_ok(zipc_once_remove(segment, "o"));
	assert_int_equal(zipc_once_open_or_create(segment, "o", NULL, &job.once), 1);
	zipc_once_close(job.once);
	assert_ok(zipc_once_remove(segment, "o"));
	rig_close(segment, used);
}

static void test_others_wait(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	struct job job = {.once = make(segment)};
	struct errand errands[THREADS];
	int ran = 0;
	(void)state;
	for (int i = 0; i < THREADS; i++)
		errand_start(&errands[i], call, &job);
	assert_true(wait_until_at_least(&job.started, 1));
	assert_int_equal(call_now(&job), -EAGAIN);
	assert_int_equal(zipc_once_call(job.once, do_it, &job, MS), -ETIMEDOUT);
	assert_int_equal(info_of(job.once).runner_pid, getpid());
	let_it_sleep();
	for (int i = 0; i < THREADS; i++)
		assert_false(errand_is_over(&errands[i]));
	__atomic_store_n(&job.go_on, 1u, __ATOMIC_SEQ_CST);
	for (int i = 0; i < THREADS; i++) {
		int r = errand_end(&errands[i]);
		assert_true(r == 0 || r == 1);
		ran += r;
	}
	assert_int_equal(ran, 1);
	assert_int_equal(job.value, 1);
	zipc_once_close(job.once);
	zipc_segment_close(segment);
}

static int call_inside(void *arg, uint32_t attempt)
{
	struct job *job = arg;
	(void)attempt;
	job->result = call(job);
	return -EIO;
}

static void test_failures(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	struct job job = {.once = make(segment), .go_on = 1, .result = -ENOSPC};
	struct errand first, second;
	(void)state;
	assert_int_equal(call(&job), -ENOSPC);
	assert_int_equal(zipc_once_call(job.once, call_inside, &job, ZIPC_FOREVER), -EIO);
	assert_int_equal(job.result, -EDEADLK);
	assert_int_equal(info_of(job.once).attempts, 2);
	assert_int_equal(info_of(job.once).runner_id, 0);
	/* one fails while the other waits */
	job = (struct job){.once = job.once, .result = -EIO};
	errand_start(&first, call, &job);
	assert_true(wait_until_at_least(&job.started, 1));
	struct job next = {.once = job.once, .go_on = 1};
	errand_start(&second, call, &next);
	let_it_sleep();
	__atomic_store_n(&job.go_on, 1u, __ATOMIC_SEQ_CST);
	assert_int_equal(errand_end(&first), -EIO);
	assert_int_equal(errand_end(&second), 1);
	assert_int_equal(next.attempt, 4);
	zipc_once_close(job.once);
	zipc_segment_close(segment);
}

static void test_many_failures(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	struct job job = {.once = make(segment), .go_on = 1, .result = -EIO};
	(void)state;
	for (int i = 0; i < 16390; i++)
		assert_int_equal(call_now(&job), -EIO);
	assert_int_equal(job.attempt, 16383);
	assert_sound(segment);
	zipc_once_close(job.once);
	zipc_segment_close(segment);
}

static int die_inside(void *arg, uint32_t attempt)
{
	(void)arg;
	_exit(attempt == 2 ? 0 : 1);
}

static int call_and_die(void *arg)
{
	zipc_once_call(arg, die_inside, NULL, ZIPC_NOWAIT);
	return 2;
}

static int fork_inside(void *arg, uint32_t attempt)
{
	(void)attempt;
	pid_t *pid = arg;
	*pid = peer_fork();
	return 0;
}

static void test_deaths(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	struct job job = {.once = make(segment), .go_on = 1, .end_thread = true};
	pid_t pid;
	(void)state;
	errand_do(call, &job);
	assert_int_equal(info_of(job.once).attempts, 1);
	assert_int_equal(info_of(job.once).runner_id, 0);
	assert_ok(in_child(call_and_die, job.once));
	nap_us(12000);
	assert_sound(segment);
	assert_int_equal(zipc_segment_gc(segment), 1);
	int r = zipc_once_call(job.once, fork_inside, &pid, ZIPC_NOWAIT);
	if (pid == 0)
		_exit(r == -EPERM ? 0 : 1);
	assert_int_equal(r, 1);
	assert_ok(peer_wait(pid));
	assert_int_equal(info_of(job.once).attempts, 3);
	zipc_once_close(job.once);
	zipc_segment_close(segment);
}

static void test_read_only(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_once *once = make(segment), *seen = NULL;
	zipc_segment *looker = rig_again(segment, ZIPC_SEGMENT_READ_ONLY);
	(void)state;
	assert_ok(zipc_once_open(looker, "o", NULL, &seen));
	assert_int_equal(zipc_once_call(seen, do_nothing, NULL, ZIPC_NOWAIT), -EROFS);
	assert_int_equal(zipc_once_call(once, do_nothing, NULL, ZIPC_NOWAIT), 1);
	assert_ok(zipc_once_call(seen, do_nothing, NULL, ZIPC_NOWAIT));
	assert_ok(zipc_once_ensure(seen, NULL, NULL, ZIPC_NOWAIT));
	zipc_once_close(seen);
	zipc_segment_close(looker);
	zipc_once_close(once);
	zipc_segment_close(segment);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),	 cmocka_unit_test(test_others_wait),
		cmocka_unit_test(test_failures), cmocka_unit_test(test_many_failures),
		cmocka_unit_test(test_deaths),	 cmocka_unit_test(test_read_only),
	};
	return PEER_RUN("once", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
