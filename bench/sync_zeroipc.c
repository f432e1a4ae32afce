/* SPDX-License-Identifier: MIT */
/*
 * Our own locks and their like as subjects: through the public calls of the shared library, each
 * lane attached to the segment by itself.
 */
#include "bench_zeroipc.h"
#include "sync_subject.h"

#include <errno.h>
#include <zeroipc/barrier.h>
#include <zeroipc/monitor.h>
#include <zeroipc/mutex.h>
#include <zeroipc/once.h>
#include <zeroipc/rwlock.h>
#include <zeroipc/semaphore.h>

/* Makes one structure; make_pair() makes both. */
typedef void make_fn(zipc_segment *segment, const char *name, unsigned variant);

static void *make_pair(const struct bench_subject *self, make_fn *make)
{
	struct bench_zeroipc *state = bench_zeroipc_create(self);

	for (unsigned i = 0; i < BENCH_PAIR; i++)
		make(state->segment, bench_zeroipc_names[i], self->variant);
	return state;
}

/* What a subject's structure needs, from its make_...() and its public calls. */
#define LIFECYCLE(type)                                                                            \
	static void *type##_create(const struct bench_subject *self)                               \
	{                                                                                          \
		return make_pair(self, make_##type);                                               \
	}                                                                                          \
                                                                                                   \
	static void *type##_attach(void *state, unsigned index, unsigned roles)                    \
	{                                                                                          \
		zipc_##type *opened;                                                               \
                                                                                                   \
		(void)roles;                                                                       \
		bench_zeroipc_check(zipc_##type##_open(bench_zeroipc_here(state),                  \
						       bench_zeroipc_names[index], NULL, &opened), \
				    #type " open");                                                \
		return opened;                                                                     \
	}                                                                                          \
                                                                                                   \
	static void type##_detach(void *end)                                                       \
	{                                                                                          \
		zipc_##type##_close(end);                                                          \
	}

/* ---- mutex ----------------------------------------------------------------------------------- */

static void make_mutex(zipc_segment *segment, const char *name, unsigned variant)
{
	zipc_mutex *mutex;

	(void)variant;
	bench_zeroipc_check(zipc_mutex_create(segment, name, NULL, &mutex), "mutex create");
	zipc_mutex_close(mutex);
}

LIFECYCLE(mutex)

BENCH_INLINE void mutex_lock(void *end)
{
	bench_zeroipc_check(zipc_mutex_lock(end, ZIPC_FOREVER), "mutex lock");
}

BENCH_INLINE void mutex_unlock(void *end)
{
	bench_zeroipc_check(zipc_mutex_unlock(end), "mutex unlock");
}

static void mutex_hold(void *end)
{
	mutex_lock(end);
}

static bool mutex_inherit(void *end, uint64_t *out_ns)
{
	int rc = zipc_mutex_lock(end, ZIPC_FOREVER);

	*out_ns = bench_now_ns();
	if (rc != -EOWNERDEAD)
		bench_zeroipc_check(rc, "mutex lock");
	else
		bench_zeroipc_check(zipc_mutex_consistent(end), "mutex consistent");
	mutex_unlock(end);
	return rc == -EOWNERDEAD;
}

SYNC_MUTEX_LOOPS(mutex, mutex_lock, mutex_unlock, mutex_hold, mutex_inherit);

/* ---- reader-writer lock ---------------------------------------------------------------------- */

static void make_rwlock(zipc_segment *segment, const char *name, unsigned variant)
{
	zipc_rwlock *rwlock;

	(void)variant;
	bench_zeroipc_check(zipc_rwlock_create(segment, name, NULL, &rwlock), "rwlock create");
	zipc_rwlock_close(rwlock);
}

LIFECYCLE(rwlock)

BENCH_INLINE void read_lock(void *end)
{
	bench_zeroipc_check(zipc_rwlock_read_lock(end, ZIPC_FOREVER), "rwlock read lock");
}

BENCH_INLINE void read_unlock(void *end)
{
	bench_zeroipc_check(zipc_rwlock_read_unlock(end), "rwlock read unlock");
}

BENCH_INLINE void write_lock(void *end)
{
	bench_zeroipc_check(zipc_rwlock_write_lock(end, ZIPC_FOREVER), "rwlock write lock");
}

BENCH_INLINE void write_unlock(void *end)
{
	bench_zeroipc_check(zipc_rwlock_write_unlock(end), "rwlock write unlock");
}

SYNC_RWLOCK_LOOPS(rwlock, read_lock, read_unlock, write_lock, write_unlock);

/* ---- semaphore ------------------------------------------------------------------------------- */

/* bench_subject.variant */
#define PERMIT 1u /* one is there at the beginning */
#define OWNED  2u

static void make_semaphore(zipc_segment *segment, const char *name, unsigned variant)
{
	zipc_semaphore_options options = ZIPC_SEMAPHORE_OPTIONS_INIT;
	zipc_semaphore *semaphore;

	if (variant & OWNED)
		options.flags = ZIPC_SEMAPHORE_OWNED;
	bench_zeroipc_check(zipc_semaphore_create(segment, name, variant & PERMIT ? 1 : 0, 1,
						  &options, &semaphore),
			    "semaphore create");
	zipc_semaphore_close(semaphore);
}

LIFECYCLE(semaphore)

BENCH_INLINE void semaphore_acquire(void *end)
{
	bench_zeroipc_check(zipc_semaphore_acquire(end, 1, ZIPC_FOREVER), "semaphore acquire");
}

BENCH_INLINE void semaphore_release(void *end)
{
	bench_zeroipc_check(zipc_semaphore_release(end, 1), "semaphore release");
}

SYNC_SEMAPHORE_LOOPS(semaphore, semaphore_acquire, semaphore_release);

/* ---- monitor --------------------------------------------------------------------------------- */

static void make_monitor(zipc_segment *segment, const char *name, unsigned variant)
{
	zipc_monitor *monitor;

	(void)variant;
	bench_zeroipc_check(zipc_monitor_create(segment, name, NULL, &monitor), "monitor create");
	zipc_monitor_close(monitor);
}

LIFECYCLE(monitor)

BENCH_INLINE void monitor_enter(void *end)
{
	bench_zeroipc_check(zipc_monitor_enter(end, ZIPC_FOREVER), "monitor enter");
}

BENCH_INLINE void monitor_leave(void *end)
{
	bench_zeroipc_check(zipc_monitor_leave(end), "monitor leave");
}

BENCH_INLINE void monitor_wait(void *end)
{
	bench_zeroipc_check(zipc_monitor_wait(end, ZIPC_FOREVER), "monitor wait");
}

BENCH_INLINE void monitor_notify(void *end)
{
	bench_zeroipc_check(zipc_monitor_notify_one(end), "monitor notify");
}

SYNC_MONITOR_LOOPS(monitor, monitor_enter, monitor_leave, monitor_wait, monitor_notify);

/* ---- barrier --------------------------------------------------------------------------------- */

static void make_barrier(zipc_segment *segment, const char *name, unsigned variant)
{
	zipc_barrier *barrier;

	(void)variant;
	bench_zeroipc_check(zipc_barrier_create(segment, name, 2, NULL, &barrier),
			    "barrier create");
	zipc_barrier_close(barrier);
}

LIFECYCLE(barrier)

/* Whoever waits has to have joined. */
static void *barrier_join(void *state, unsigned index, unsigned roles)
{
	void *end = barrier_attach(state, index, roles);

	bench_zeroipc_check(zipc_barrier_join(end), "barrier join");
	return end;
}

static void barrier_drop(void *end)
{
	bench_zeroipc_check(zipc_barrier_arrive_and_drop(end), "barrier drop");
	barrier_detach(end);
}

BENCH_INLINE void barrier_wait(void *end)
{
	bench_zeroipc_check(zipc_barrier_wait(end, ZIPC_FOREVER), "barrier wait");
}

SYNC_BARRIER_LOOPS(barrier, barrier_wait);

/* ---- once ------------------------------------------------------------------------------------ */

static int nothing(void *arg, uint32_t attempt)
{
	(void)arg, (void)attempt;
	return 0;
}

static void make_once(zipc_segment *segment, const char *name, unsigned variant)
{
	zipc_once *once;

	(void)variant;
	bench_zeroipc_check(zipc_once_create(segment, name, NULL, &once), "once create");
	bench_zeroipc_check(zipc_once_call(once, nothing, NULL, ZIPC_FOREVER), "once call");
	zipc_once_close(once);
}

LIFECYCLE(once)

BENCH_INLINE void once_call(void *end)
{
	bench_zeroipc_check(zipc_once_ensure(end, nothing, NULL, ZIPC_FOREVER), "once call");
}

SYNC_ONCE_LOOPS(once, once_call);

/* ---- subjects -------------------------------------------------------------------------------- */

#define SUBJECT_OF(label, text, where, how, type, enter, leave)                                    \
	&(const struct bench_subject)                                                              \
	{                                                                                          \
		.name = (label), .note = (text), .kind = BENCH_OURS, .benches = (where),           \
		.variant = (how), .create = type##_create, .destroy = bench_zeroipc_destroy,       \
		.attach = (enter), .detach = (leave), .loops = &type##_loops                       \
	}

#define SUBJECT(label, text, where, how, type)                                                     \
	SUBJECT_OF(label, text, where, how, type, type##_attach, type##_detach)
#define JOINING_SUBJECT(label, text, where, how, type)                                             \
	SUBJECT_OF(label, text, where, how, type, type##_join, type##_drop)

const struct bench_subject *const sync_zeroipc_subjects[] = {
	SUBJECT("zeroipc", NULL, MUTEX_ALONE | MUTEX_HAMMER | OWNER_DEATH, 0, mutex),
	SUBJECT("zeroipc", NULL, RWLOCK_READ | RWLOCK_2R | RWLOCK_90_10 | RWLOCK_WRITER, 0, rwlock),
	SUBJECT("zeroipc", "counting", SEM_ALONE, PERMIT, semaphore),
	SUBJECT("zeroipc", "counting, no spinning", SEM_SLEEPING, BENCH_SPIN_NONE, semaphore),
	SUBJECT("zeroipc", "no spinning", MONITOR_SLEEPING, BENCH_SPIN_NONE, monitor),
	JOINING_SUBJECT("zeroipc", "default spinning", BARRIER_CYCLE, 0, barrier),
	SUBJECT("zeroipc", "one process", ONCE_FAST, 0, once),

	SUBJECT("zeroipc_nospin", "no spinning", MUTEX_HAMMER, BENCH_SPIN_NONE, mutex),
	SUBJECT("zeroipc_nospin", "no spinning", RWLOCK_90_10 | RWLOCK_WRITER, BENCH_SPIN_NONE,
		rwlock),
	JOINING_SUBJECT("zeroipc_nospin", "no spinning", BARRIER_CYCLE, BENCH_SPIN_NONE, barrier),
	SUBJECT("zeroipc_owned", "owned", SEM_ALONE, PERMIT | OWNED, semaphore),
	SUBJECT("zeroipc_spin", "counting, default spinning", SEM_SLEEPING, 0, semaphore),
	SUBJECT("zeroipc_spin", "default spinning", MONITOR_SLEEPING, 0, monitor),
	NULL,
};
