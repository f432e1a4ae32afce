/* SPDX-License-Identifier: MIT */
/*
 * Our own locks and their like as subjects: through the public calls of the shared library, each
 * lane attached to the segment by itself.
 */
#include "bench_zeroipc.h"
#include "sync_subject.h"

#include <errno.h>
#include <zeroipc/mutex.h>
#include <zeroipc/once.h>
#include <zeroipc/semaphore.h>

/* Makes both structures of a state; each family has one of these two, that create() calls. */
typedef void make_fn(zipc_segment *segment, const char *name, unsigned variant);

static void *make_pair(const struct bench_subject *self, make_fn *make)
{
	struct bench_zeroipc *state = bench_zeroipc_create(self);

	for (unsigned i = 0; i < BENCH_PAIR; i++)
		make(state->segment, bench_zeroipc_names[i], self->variant);
	return state;
}

/* ---- mutex ----------------------------------------------------------------------------------- */

static void make_mutex(zipc_segment *segment, const char *name, unsigned variant)
{
	zipc_mutex *mutex;

	(void)variant;
	bench_zeroipc_check(zipc_mutex_create(segment, name, NULL, &mutex), "mutex create");
	zipc_mutex_close(mutex);
}

static void *mutex_create(const struct bench_subject *self)
{
	return make_pair(self, make_mutex);
}

static void *mutex_attach(void *state, unsigned index, unsigned roles)
{
	zipc_mutex *mutex;

	(void)roles;
	bench_zeroipc_check(zipc_mutex_open(bench_zeroipc_here(state), bench_zeroipc_names[index],
					    NULL, &mutex),
			    "mutex open");
	return mutex;
}

static void mutex_detach(void *end)
{
	zipc_mutex_close(end);
}

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

static void *semaphore_create(const struct bench_subject *self)
{
	return make_pair(self, make_semaphore);
}

static void *semaphore_attach(void *state, unsigned index, unsigned roles)
{
	zipc_semaphore *semaphore;

	(void)roles;
	bench_zeroipc_check(zipc_semaphore_open(bench_zeroipc_here(state),
						bench_zeroipc_names[index], NULL, &semaphore),
			    "semaphore open");
	return semaphore;
}

static void semaphore_detach(void *end)
{
	zipc_semaphore_close(end);
}

BENCH_INLINE void semaphore_acquire(void *end)
{
	bench_zeroipc_check(zipc_semaphore_acquire(end, 1, ZIPC_FOREVER), "semaphore acquire");
}

BENCH_INLINE void semaphore_release(void *end)
{
	bench_zeroipc_check(zipc_semaphore_release(end, 1), "semaphore release");
}

SYNC_SEMAPHORE_LOOPS(semaphore, semaphore_acquire, semaphore_release);

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

static void *once_create(const struct bench_subject *self)
{
	return make_pair(self, make_once);
}

static void *once_attach(void *state, unsigned index, unsigned roles)
{
	zipc_once *once;

	(void)roles;
	bench_zeroipc_check(
		zipc_once_open(bench_zeroipc_here(state), bench_zeroipc_names[index], NULL, &once),
		"once open");
	return once;
}

static void once_detach(void *end)
{
	zipc_once_close(end);
}

BENCH_INLINE void once_call(void *end)
{
	bench_zeroipc_check(zipc_once_call(end, nothing, NULL, ZIPC_FOREVER), "once call");
}

SYNC_ONCE_LOOPS(once, once_call);

/* ---- subjects -------------------------------------------------------------------------------- */

#define SUBJECT(label, text, where, how, family)                                                   \
	&(const struct bench_subject)                                                              \
	{                                                                                          \
		.name = (label), .note = (text), .kind = BENCH_OURS, .benches = (where),           \
		.variant = (how), .create = family##_create, .destroy = bench_zeroipc_destroy,     \
		.attach = family##_attach, .detach = family##_detach, .loops = &family##_loops     \
	}

const struct bench_subject *const sync_zeroipc_subjects[] = {
	SUBJECT("zeroipc", NULL, MUTEX_ALONE | MUTEX_HAMMER | OWNER_DEATH, 0, mutex),
	SUBJECT("zeroipc", "counting", SEM_ALONE, PERMIT, semaphore),
	SUBJECT("zeroipc", "counting, no spinning", SEM_SLEEPING, BENCH_SPIN_NONE, semaphore),
	SUBJECT("zeroipc", "one process", ONCE_FAST, 0, once),

	SUBJECT("zeroipc_nospin", "no spinning", MUTEX_HAMMER, BENCH_SPIN_NONE, mutex),
	SUBJECT("zeroipc_owned", "owned", SEM_ALONE, PERMIT | OWNED, semaphore),
	SUBJECT("zeroipc_spin", "counting, default spinning", SEM_SLEEPING, 0, semaphore),
	NULL,
};
