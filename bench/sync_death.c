/* SPDX-License-Identifier: MIT */
/*
 * owner_death: how long after kill() does a waiter have what the dead one held?
 *
 * The killer's lane starts a holder, a process of its own that attaches, locks and sleeps. The
 * waiter's lane waits for the lock, asleep by then. The killer takes the time, kills, and the
 * waiter takes the time when it has the lock. What waits for the steps in between looks at words in
 * shared memory now and then; nothing of that is inside the measured time.
 */
#include "sync_subject.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STEP_NS 100000u

/* How long a waiter has waited when its holder dies: from `least`, and spread over `spread`, which
 * is longer than the naps of waiters that look now and then whether the holder lives. */
#define WAIT_LEAST_MS  5
#define WAIT_SPREAD_MS 101
#define WAIT_STRIDE_MS 37 /* has no factor in common with the spread */

static void nap_ns(uint64_t ns)
{
	struct timespec time = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};

	while (nanosleep(&time, &time) != 0 && errno == EINTR)
		;
}

static void say(unsigned *word, unsigned number)
{
	__atomic_store_n(word, number, __ATOMIC_RELEASE);
}

static bool said(const unsigned *word, unsigned number)
{
	return __atomic_load_n(word, __ATOMIC_ACQUIRE) == number;
}

static void await(const unsigned *word, unsigned number)
{
	while (!said(word, number))
		nap_ns(STEP_NS);
}

/* ---- the holder ------------------------------------------------------------------------------ */

static void make_resident(uint64_t size)
{
	void *memory;

	if (size == 0)
		return;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		bench_fail("owner_death: no memory for a large holder");
	memset(memory, 1, size);
}

static void hold_until_killed(const struct bench_work *work, struct sync_shared *shared,
			      unsigned number, uint64_t resident)
{
	void *end = work->subject->attach(work->state, 0, 0);

	make_resident(resident);
	work->subject->loops->hold(end);
	say(&shared->held, number);
	for (;;)
		pause();
}

static pid_t start_holder(const struct bench_work *work, struct sync_shared *shared,
			  unsigned number, uint64_t resident)
{
	pid_t killer = getpid(), holder = fork();

	if (holder < 0)
		bench_fail("owner_death: fork: %s", strerror(errno));
	if (holder > 0)
		return holder;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == killer)
		hold_until_killed(work, shared, number, resident);
	_exit(1);
}

/* ---- the lanes ------------------------------------------------------------------------------- */

void sync_kill_holders(struct bench_lane *lane, const struct bench_work *work, uint64_t resident)
{
	struct sync_shared *shared = lane->shared;

	bench_start(lane);
	for (unsigned number = 1; number <= lane->count; number++) {
		pid_t holder = start_holder(work, shared, number, resident);

		while (!said(&shared->held, number)) {
			if (waitpid(holder, NULL, WNOHANG) != 0)
				bench_fail("owner_death: the holder ended by itself");
			nap_ns(STEP_NS);
		}
		say(&shared->asked, number);
		await(&shared->waiting, number);
		nap_ns((WAIT_LEAST_MS + number * WAIT_STRIDE_MS % WAIT_SPREAD_MS) *
		       UINT64_C(1000000));
		__atomic_store_n(&shared->kill_ns, bench_now_ns(), __ATOMIC_RELEASE);
		kill(holder, SIGKILL);
		waitpid(holder, NULL, 0);
		await(&shared->lived, number);
	}
	bench_stop(lane);
}

void sync_outlive_holders(struct bench_lane *lane, const struct bench_work *work)
{
	struct sync_shared *shared = lane->shared;
	void *end = work->subject->attach(work->state, 0, 0);

	bench_start(lane);
	for (unsigned number = 1; number <= lane->count; number++) {
		uint64_t ns;

		await(&shared->asked, number);
		say(&shared->waiting, number);
		lane->wrong |= !work->subject->loops->inherit(end, &ns);
		shared->death_ns[number - 1] =
			ns - __atomic_load_n(&shared->kill_ns, __ATOMIC_ACQUIRE);
		say(&shared->lived, number);
	}
	bench_stop(lane);
	work->subject->detach(end);
}
