/* SPDX-License-Identifier: MIT */
/*
 * Peers in C: what POSIX has, all of it made for several processes.
 */
#include "sync_subject.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

/* Whatever is measured, alone on its cache lines. */
struct cell {
	_Alignas(128) union {
		pthread_rwlock_t rwlock;
		pthread_barrier_t barrier;
		pthread_once_t once;
		sem_t semaphore;
		struct {
			pthread_mutex_t mutex;
			pthread_cond_t changed;
		};
	};
};

BENCH_INLINE void must(int error, const char *call)
{
	if (error != 0)
		bench_fail("%s: %s", call, strerror(error));
}

/* What makes a subject's cells, from its init_...(). */
#define CREATE(type)                                                                               \
	static void *type##_create(const struct bench_subject *self)                               \
	{                                                                                          \
		struct cell *cells = bench_share(BENCH_PAIR * sizeof(*cells));                     \
                                                                                                   \
		for (unsigned i = 0; i < BENCH_PAIR; i++)                                          \
			init_##type(&cells[i], self->variant);                                     \
		return cells;                                                                      \
	}

static void cells_destroy(void *state)
{
	bench_unshare(state, BENCH_PAIR * sizeof(struct cell));
}

static void *cells_attach(void *state, unsigned index, unsigned roles)
{
	(void)roles;
	return (struct cell *)state + index;
}

/* ---- mutex ----------------------------------------------------------------------------------- */

/* bench_subject.variant */
#define PLAIN	 0u
#define ROBUST	 1u
#define ADAPTIVE 2u

static void init_mutex(struct cell *cell, unsigned variant)
{
	pthread_mutexattr_t attributes;

	must(pthread_mutexattr_init(&attributes), "pthread_mutexattr_init");
	must(pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED),
	     "pthread_mutexattr_setpshared");
	if (variant == ROBUST)
		must(pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST),
		     "pthread_mutexattr_setrobust");
	if (variant == ADAPTIVE)
		must(pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP),
		     "pthread_mutexattr_settype");
	must(pthread_mutex_init(&cell->mutex, &attributes), "pthread_mutex_init");
	pthread_mutexattr_destroy(&attributes);
}

CREATE(mutex)

BENCH_INLINE void mutex_lock(void *end)
{
	must(pthread_mutex_lock(&((struct cell *)end)->mutex), "pthread_mutex_lock");
}

BENCH_INLINE void mutex_unlock(void *end)
{
	must(pthread_mutex_unlock(&((struct cell *)end)->mutex), "pthread_mutex_unlock");
}

static void mutex_hold(void *end)
{
	mutex_lock(end);
}

static bool mutex_inherit(void *end, uint64_t *out_ns)
{
	struct cell *cell = end;
	int error = pthread_mutex_lock(&cell->mutex);

	*out_ns = bench_now_ns();
	if (error != EOWNERDEAD)
		must(error, "pthread_mutex_lock");
	else
		must(pthread_mutex_consistent(&cell->mutex), "pthread_mutex_consistent");
	mutex_unlock(end);
	return error == EOWNERDEAD;
}

SYNC_MUTEX_LOOPS(mutex, mutex_lock, mutex_unlock, mutex_hold, mutex_inherit);

/* ---- reader-writer lock ---------------------------------------------------------------------- */

/* bench_subject.variant */
#define READERS_FIRST 0u /* the default */
#define WRITERS_FIRST 1u

static void init_rwlock(struct cell *cell, unsigned variant)
{
	pthread_rwlockattr_t attributes;

	must(pthread_rwlockattr_init(&attributes), "pthread_rwlockattr_init");
	must(pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED),
	     "pthread_rwlockattr_setpshared");
	if (variant == WRITERS_FIRST)
		must(pthread_rwlockattr_setkind_np(&attributes,
						   PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP),
		     "pthread_rwlockattr_setkind_np");
	must(pthread_rwlock_init(&cell->rwlock, &attributes), "pthread_rwlock_init");
	pthread_rwlockattr_destroy(&attributes);
}

CREATE(rwlock)

BENCH_INLINE void read_lock(void *end)
{
	must(pthread_rwlock_rdlock(&((struct cell *)end)->rwlock), "pthread_rwlock_rdlock");
}

BENCH_INLINE void write_lock(void *end)
{
	must(pthread_rwlock_wrlock(&((struct cell *)end)->rwlock), "pthread_rwlock_wrlock");
}

BENCH_INLINE void rwlock_unlock(void *end)
{
	must(pthread_rwlock_unlock(&((struct cell *)end)->rwlock), "pthread_rwlock_unlock");
}

SYNC_RWLOCK_LOOPS(rwlock, read_lock, rwlock_unlock, write_lock, rwlock_unlock);

/* ---- semaphore ------------------------------------------------------------------------------- */

/* The variant is the number of permits at the beginning. */
static void init_semaphore(struct cell *cell, unsigned initial)
{
	if (sem_init(&cell->semaphore, 1, initial) != 0)
		bench_fail("sem_init: %s", strerror(errno));
}

CREATE(semaphore)

BENCH_INLINE void semaphore_acquire(void *end)
{
	while (sem_wait(&((struct cell *)end)->semaphore) != 0)
		if (errno != EINTR)
			bench_fail("sem_wait: %s", strerror(errno));
}

BENCH_INLINE void semaphore_release(void *end)
{
	if (sem_post(&((struct cell *)end)->semaphore) != 0)
		bench_fail("sem_post: %s", strerror(errno));
}

SYNC_SEMAPHORE_LOOPS(semaphore, semaphore_acquire, semaphore_release);

/* ---- condition variable ---------------------------------------------------------------------- */

static void init_condition(struct cell *cell, unsigned variant)
{
	pthread_condattr_t attributes;

	init_mutex(cell, variant);
	must(pthread_condattr_init(&attributes), "pthread_condattr_init");
	must(pthread_condattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED),
	     "pthread_condattr_setpshared");
	must(pthread_cond_init(&cell->changed, &attributes), "pthread_cond_init");
	pthread_condattr_destroy(&attributes);
}

CREATE(condition)

BENCH_INLINE void condition_wait(void *end)
{
	struct cell *cell = end;

	must(pthread_cond_wait(&cell->changed, &cell->mutex), "pthread_cond_wait");
}

BENCH_INLINE void condition_notify(void *end)
{
	must(pthread_cond_signal(&((struct cell *)end)->changed), "pthread_cond_signal");
}

SYNC_MONITOR_LOOPS(condition, mutex_lock, mutex_unlock, condition_wait, condition_notify);

/* ---- barrier --------------------------------------------------------------------------------- */

static void init_barrier(struct cell *cell, unsigned variant)
{
	pthread_barrierattr_t attributes;

	(void)variant;
	must(pthread_barrierattr_init(&attributes), "pthread_barrierattr_init");
	must(pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED),
	     "pthread_barrierattr_setpshared");
	must(pthread_barrier_init(&cell->barrier, &attributes, 2), "pthread_barrier_init");
	pthread_barrierattr_destroy(&attributes);
}

CREATE(barrier)

BENCH_INLINE void barrier_wait(void *end)
{
	int rc = pthread_barrier_wait(&((struct cell *)end)->barrier);

	if (rc != PTHREAD_BARRIER_SERIAL_THREAD)
		must(rc, "pthread_barrier_wait");
}

SYNC_BARRIER_LOOPS(barrier, barrier_wait);

/* ---- once ------------------------------------------------------------------------------------ */

static void nothing(void)
{
}

static void init_once(struct cell *cell, unsigned variant)
{
	(void)variant;
	cell->once = (pthread_once_t)PTHREAD_ONCE_INIT;
}

CREATE(once)

BENCH_INLINE void once_call(void *end)
{
	must(pthread_once(&((struct cell *)end)->once, nothing), "pthread_once");
}

SYNC_ONCE_LOOPS(once, once_call);

/* ---- subjects -------------------------------------------------------------------------------- */

#define SUBJECT(label, text, where, how, type)                                                     \
	&(const struct bench_subject)                                                              \
	{                                                                                          \
		.name = (label), .note = (text), .kind = BENCH_PEER, .benches = (where),           \
		.variant = (how), .create = type##_create, .destroy = cells_destroy,               \
		.attach = cells_attach, .detach = bench_detach_nothing, .loops = &type##_loops     \
	}

const struct bench_subject *const sync_peer_subjects[] = {
	SUBJECT("pthread", "plain", MUTEX_ALONE | MUTEX_HAMMER, PLAIN, mutex),
	SUBJECT("pthread_robust", "outlives its holder", MUTEX_ALONE | MUTEX_HAMMER | OWNER_DEATH,
		ROBUST, mutex),
	SUBJECT("pthread_adaptive", "spins", MUTEX_ALONE | MUTEX_HAMMER, ADAPTIVE, mutex),
	SUBJECT("pthread_rwlock", "readers first",
		RWLOCK_READ | RWLOCK_2R | RWLOCK_90_10 | RWLOCK_WRITER, READERS_FIRST, rwlock),
	SUBJECT("pthread_rwlock_w", "writers first",
		RWLOCK_READ | RWLOCK_2R | RWLOCK_90_10 | RWLOCK_WRITER, WRITERS_FIRST, rwlock),
	SUBJECT("sem_t", NULL, SEM_ALONE, 1, semaphore),
	SUBJECT("sem_t", NULL, SEM_SLEEPING, 0, semaphore),
	SUBJECT("pthread_cond", "plain mutex", MONITOR_SLEEPING, PLAIN, condition),
	SUBJECT("pthread_cond_robust", "robust mutex", MONITOR_SLEEPING, ROBUST, condition),
	SUBJECT("pthread_barrier", NULL, BARRIER_CYCLE, 0, barrier),
	SUBJECT("pthread_once", "one process", ONCE_FAST, 0, once),
	NULL,
};
