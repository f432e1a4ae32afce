/* SPDX-License-Identifier: MIT */
/* Threads of one-process tests: each does one thing, and says what came of it. */
#ifndef TESTS_SYNC_RIG_H
#define TESTS_SYNC_RIG_H

#include "segment/rig.h"

#include <pthread.h>

#define MS INT64_C(1000000)
#define S  INT64_C(1000000000)

/*
 * A segment whose sleepers do not look again by themselves for a minute, unless they wait for one whom
 * they know: a lost wake-up is not made good before the watchdog comes. Waiters have more time than
 * that. To be closed by rig_close_patient().
 */
static inline zipc_segment *rig_make_patient(void)
{
	zipc_segment_options options = rig_options(ZIPC_BACKING_MEMFD, 256 * KIB);
	zipc_segment *segment = NULL;
	options.slice_min_ms = options.slice_max_ms = 60000;
	watchdog(15, "a test that loses no wake-up");
	assert_ok(zipc_segment_create(unique_name("patient"), &options, &segment));
	return segment;
}

static inline void rig_close_patient(zipc_segment *segment)
{
	watchdog(0, "");
	zipc_segment_close(segment);
}

/* One call in a thread of its own. */
struct errand {
	pthread_t thread;
	int (*run)(void *arg);
	void *arg;
	uint32_t begun;
	uint32_t over;
	int result;
};

static inline void *errand_main(void *arg)
{
	struct errand *errand = arg;
	__atomic_store_n(&errand->begun, 1u, __ATOMIC_SEQ_CST);
	errand->result = errand->run(errand->arg);
	__atomic_store_n(&errand->over, 1u, __ATOMIC_SEQ_CST);
	return NULL;
}

static inline void errand_start(struct errand *errand, int (*run)(void *arg), void *arg)
{
	*errand = (struct errand){.run = run, .arg = arg};
	assert_ok(pthread_create(&errand->thread, NULL, errand_main, errand));
	assert_true(wait_until_at_least(&errand->begun, 1));
}

/* What the call returned. */
static inline int errand_end(struct errand *errand)
{
	assert_ok(pthread_join(errand->thread, NULL));
	return errand->result;
}

static inline bool errand_is_over(const struct errand *errand)
{
	return __atomic_load_n(&errand->over, __ATOMIC_SEQ_CST) != 0;
}

/* The same, from beginning to end. */
static inline int errand_do(int (*run)(void *arg), void *arg)
{
	struct errand errand;
	errand_start(&errand, run, arg);
	return errand_end(&errand);
}

/* Time enough for a thread to come to where it waits. Not a proof, but what a bug needs. */
static inline void let_it_sleep(void)
{
	nap_us(30000);
}

/* Runs fn in a forked child; its exit status. */
static inline int in_child(int (*run)(void *arg), void *arg)
{
	pid_t pid = peer_fork();
	if (pid == 0)
		_exit(run(arg));
	return peer_wait(pid);
}

#endif
