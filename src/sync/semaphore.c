/* SPDX-License-Identifier: MIT */
/*
 * Semaphore. Counting: a CAS on one number. Owned: a permit is a word that names its owner; taken by
 * CAS from 0 or from the name of a dead one, given back by CAS to 0.
 *
 * Who wants several owned permits counts what is there, and takes them one by one if they are enough,
 * under a word that names the one who is just doing so: two half-finished ones would else keep each
 * other from what both want. Who is overtaken by single ones gives back what it took. A dead
 * collector's word is taken over; what it had collected names it.
 *
 * Wake-ups: a release wakes one; who was served and sees more wakes the next. As soon as anybody ever
 * waited for several, all are woken instead: the one woken might need more than there is.
 */
#include "semaphore.h"

#include "handle.h"
#include "semaphore_layout.h"

#include "../base/error.h"
#include "../base/options.h"
#include "../segment/peers.h"
#include "../wait/gate.h"

#include <zeroipc/semaphore.h>

#include <errno.h>
#include <stdlib.h>

#define WALKS		64   /* looks for own permits, before there are none */
#define COLLECTOR_SPINS 1000 /* looks at a collector's word before it is waited for asleep */

struct zipc_semaphore {
	struct zi_object object;

	/* constant after open */
	_Alignas(128) struct zi_semaphore *shared;
	const struct zi_self *self;
	zipc_segment *segment;
	uint32_t maximum;
	bool owned;
	uint32_t hint; /* owned: the permit that was taken last */
};

/* ---- care ----------------------------------------------------------------------------------- */

static uint64_t block_size(uint64_t maximum, uint32_t flags)
{
	return sizeof(struct zi_semaphore) +
	       ((flags & ZIPC_SEMAPHORE_OWNED) != 0 ? maximum * sizeof(uint32_t) : 0);
}

static bool sizes_sound(const struct zi_view *view)
{
	uint64_t most = (view->flags & ZIPC_SEMAPHORE_OWNED) != 0 ? ZIPC_SEMAPHORE_OWNED_MAX
								  : ZIPC_SEMAPHORE_MAX;
	return view->memory != NULL && view->capacity >= 1 && view->capacity <= most &&
	       view->size >= block_size(view->capacity, view->flags);
}

/* Gives back one word of a dead owner: 1, 0, or -EBADF. CRASH: each for itself; the next goes on. */
static int resolve_word(zipc_segment *segment, uint32_t *word)
{
	/* relaxed: the CAS decides */
	uint32_t seen = zi_load_relaxed(word);
	int dead = seen == 0 ? 0 : zi_peer_dead(segment, seen & ZI_ID_MASK);
	return dead <= 0 ? dead : zi_cas_acq_rel(word, &seen, 0u);
}

int zi_semaphore_resolve(zipc_segment *segment, const struct zi_view *view)
{
	struct zi_semaphore *shared = (struct zi_semaphore *)(void *)view->memory;
	if (!sizes_sound(view) || (view->flags & ZIPC_SEMAPHORE_OWNED) == 0)
		return 0;
	int n = resolve_word(segment, &shared->collecting);
	for (uint64_t i = 0; i < view->capacity && n >= 0; i++) {
		int r = resolve_word(segment, &shared->permits[i]);
		n = r < 0 ? r : n + r;
	}
	if (n > 0)
		zi_gate_wake_all(&shared->gate);
	return n;
}

void zi_semaphore_verify(zipc_segment *segment, const struct zi_view *view,
			 struct zi_report *report)
{
	const struct zi_semaphore *shared = (const struct zi_semaphore *)(void *)view->memory;
	(void)segment;
	if (!sizes_sound(view))
		zi_report_add(report, "semaphore '%s': its sizes do not fit its memory",
			      view->name);
	else if ((view->flags & ZIPC_SEMAPHORE_OWNED) == 0 &&
		 zi_load_relaxed(&shared->value) > view->capacity)
		zi_report_add(report, "semaphore '%s': its value is %u, its maximum %llu",
			      view->name, zi_load_relaxed(&shared->value),
			      (unsigned long long)view->capacity);
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

/* How many permits each has that has any. */
int zi_semaphore_holders(zipc_segment *segment, const struct zi_view *view, zi_holder_fn fn,
			 void *arg)
{
	const struct zi_semaphore *shared = (const struct zi_semaphore *)(void *)view->memory;
	(void)segment;
	if (!sizes_sound(view) || (view->flags & ZIPC_SEMAPHORE_OWNED) == 0)
		return 0;
	uint32_t *ids = malloc(view->capacity * sizeof *ids);
	if (ids == NULL)
		return zi_fail(-ENOMEM, "semaphore '%s': out of memory", view->name);
	for (uint64_t i = 0; i < view->capacity; i++)
		ids[i] = zi_load_relaxed(&shared->permits[i]) & ZI_ID_MASK; /* for people */
	qsort(ids, view->capacity, sizeof *ids, compare_ids);
	int r = 0;
	for (uint64_t i = 0, n; i < view->capacity && r == 0; i += n) {
		for (n = 1; i + n < view->capacity && ids[i + n] == ids[i];)
			n++;
		struct zi_holder holder = {
			.id = ids[i],
			.count = (uint32_t)n,
			.flags = ZIPC_HOLDER_ONE_OF,
			.what = "has permits",
			.gate = &shared->gate,
		};
		r = ids[i] == 0 ? 0 : fn(&holder, arg);
	}
	free(ids);
	return r;
}

/* ---- lifecycle ------------------------------------------------------------------------------ */

static int bind(void *handle)
{
	zipc_semaphore *semaphore = handle;
	const struct zi_view *view = &semaphore->object.view;
	if (!sizes_sound(view))
		return zi_sync_too_small(view, "semaphore");
	semaphore->shared = (struct zi_semaphore *)(void *)view->memory;
	semaphore->segment = semaphore->object.segment;
	semaphore->self = semaphore->segment->self;
	semaphore->maximum = (uint32_t)view->capacity;
	semaphore->owned = (view->flags & ZIPC_SEMAPHORE_OWNED) != 0;
	return 0;
}

static void build(void *handle, uint64_t initial)
{
	zipc_semaphore *semaphore = handle;
	if (!semaphore->owned)
		zi_store_relaxed(&semaphore->shared->value, (uint32_t)initial);
}

static const struct zi_sync_kind kind = {
	.what = "semaphore",
	.type = ZIPC_TYPE_SEMAPHORE,
	.flags = ZIPC_SEMAPHORE_OWNED,
	.handle_size = sizeof(zipc_semaphore),
	.bind = bind,
	.build = build,
};

static int load_spec(const char *name, const zipc_semaphore_options *options, struct zi_spec *spec)
{
	zipc_semaphore_options o;
	int r = zi_options_load(&o, sizeof o, options, "semaphore options");
	if (r == 0)
		r = zi_sync_check_flags(&kind, name, o.flags);
	*spec = (struct zi_spec){.name = name, .flags = o.flags};
	return r;
}

static int complete_spec(struct zi_spec *spec, uint32_t initial, uint32_t maximum)
{
	bool owned = (spec->flags & ZIPC_SEMAPHORE_OWNED) != 0;
	uint32_t most = owned ? ZIPC_SEMAPHORE_OWNED_MAX : ZIPC_SEMAPHORE_MAX;
	const char *n = spec->name != NULL ? spec->name : "";
	if (maximum == 0 || maximum > most)
		return zi_fail(-EINVAL, "semaphore '%s': maximum is %u, allowed are 1 to %u", n,
			       maximum, most);
	if (initial > maximum || (owned && initial != maximum))
		return zi_fail(-EINVAL, "semaphore '%s': it cannot begin with %u of %u permits", n,
			       initial, maximum);
	spec->capacity = maximum;
	spec->size = block_size(maximum, spec->flags);
	return 0;
}

int zipc_semaphore_create(zipc_segment *segment, const char *name, uint32_t initial,
			  uint32_t maximum, const zipc_semaphore_options *options,
			  zipc_semaphore **out_semaphore)
{
	struct zi_spec spec;
	void *handle;
	int r = load_spec(name, options, &spec);
	if (r == 0)
		r = complete_spec(&spec, initial, maximum);
	if (r == 0)
		r = zi_sync_create(segment, &kind, spec, initial, &handle);
	if (r == 0)
		*out_semaphore = handle;
	return r;
}

int zipc_semaphore_open(zipc_segment *segment, const char *name,
			const zipc_semaphore_options *options, zipc_semaphore **out_semaphore)
{
	struct zi_spec spec;
	void *handle;
	int r = load_spec(name, options, &spec);
	if (r == 0)
		r = zi_sync_open(segment, &kind, spec, &handle);
	if (r == 0)
		*out_semaphore = handle;
	return r;
}

int zipc_semaphore_open_or_create(zipc_segment *segment, const char *name, uint32_t initial,
				  uint32_t maximum, const zipc_semaphore_options *options,
				  zipc_semaphore **out_semaphore)
{
	struct zi_spec spec;
	void *handle;
	int r = load_spec(name, options, &spec);
	if (r == 0)
		r = complete_spec(&spec, initial, maximum);
	if (r == 0)
		r = zi_sync_open_or_create(segment, &kind, spec, initial, &handle);
	if (r >= 0)
		*out_semaphore = handle;
	return r;
}

void zipc_semaphore_close(zipc_semaphore *semaphore)
{
	zi_sync_close(semaphore);
}

int zipc_semaphore_remove(zipc_segment *segment, const char *name)
{
	return zi_directory_remove(segment, name, ZIPC_TYPE_SEMAPHORE);
}

/* ---- waking --------------------------------------------------------------------------------- */

static __attribute__((noinline, cold)) void wake_sleepers(zipc_semaphore *semaphore)
{
	/* relaxed: who waits for several set it before the gate's bit; should this miss it, that one
	 * looks again at the end of its slice */
	if (zi_load_relaxed(&semaphore->shared->several) != 0)
		zi_gate_wake_all(&semaphore->shared->gate);
	else
		zi_gate_wake_one(&semaphore->shared->gate);
}

/* After permits came, or were seen to be left. */
static inline void wake(zipc_semaphore *semaphore)
{
	zi_gate_order(semaphore->self);
	if (zi_unlikely(zi_gate_occupied(&semaphore->shared->gate)))
		wake_sleepers(semaphore);
}

/* ---- counting ------------------------------------------------------------------------------- */

static inline int acquire_number(zipc_semaphore *semaphore, uint32_t n)
{
	uint32_t *value = &semaphore->shared->value;
	/* relaxed: the CAS decides */
	uint32_t seen = zi_load_relaxed(value);
	for (;;) {
		if (seen < n)
			return -EAGAIN;
		/* SEMAPHORE-R1 acquire: what was written before the release. Pairs with
		 * SEMAPHORE-W1. CRASH: taken, and nobody has it: gone. */
		if (zi_cas_acq_rel(value, &seen, seen - n))
			break;
	}
	if (zi_unlikely(seen > n && zi_gate_occupied(&semaphore->shared->gate)))
		wake_sleepers(semaphore); /* the next one: see above */
	return 0;
}

static __attribute__((noinline, cold)) int too_many(const zipc_semaphore *semaphore, uint32_t seen,
						    uint32_t n)
{
	return zi_fail(-EOVERFLOW, "semaphore '%s': %u permits and %u more; at most %u",
		       semaphore->object.view.name, seen, n, semaphore->maximum);
}

static inline int release_number(zipc_semaphore *semaphore, uint32_t n)
{
	uint32_t *value = &semaphore->shared->value;
	uint32_t seen = zi_load_relaxed(value);
	do {
		if (zi_unlikely(seen > semaphore->maximum || n > semaphore->maximum - seen))
			return too_many(semaphore, seen, n);
		/* SEMAPHORE-W1 release: what was written before. Pairs with SEMAPHORE-R1.
		 * CRASH: they are there; a sleeper looks again at the end of its slice. */
	} while (!zi_cas_acq_rel(value, &seen, seen + n));
	wake(semaphore);
	return 0;
}

/* ---- owned ---------------------------------------------------------------------------------- */

/* What a walk over the permits found out. */
struct walk {
	zipc_semaphore *semaphore;
	uint32_t me;
	uint32_t alive; /* the last id that was seen alive */
	bool dead;	/* one was taken from a dead owner */
	bool named;	/* a living one has some */
};

/* Is this permit to be had? 1, 0, or -EBADF. */
static int can_be_had(struct walk *w, uint32_t owner)
{
	if (owner == 0)
		return 1;
	if (owner == w->me || owner == w->alive)
		return 0;
	int dead = zi_peer_dead(w->semaphore->segment, owner & ZI_ID_MASK);
	if (dead == 0)
		w->alive = owner;
	return dead;
}

/* Takes up to n of them: how many, or -EBADF when nobody can tell who lives. */
static int take_permits(struct walk *w, uint32_t n)
{
	zipc_semaphore *semaphore = w->semaphore;
	uint32_t taken = 0, i = zi_load_relaxed(&semaphore->hint);
	for (uint32_t seen = 0; seen < semaphore->maximum && taken < n; seen++, i++) {
		if (i >= semaphore->maximum)
			i = 0;
		uint32_t *permit = &semaphore->shared->permits[i];
		/* relaxed: the CAS decides */
		uint32_t owner = zi_load_relaxed(permit);
		int had = can_be_had(w, owner);
		if (had < 0 && taken == 0)
			return had;
		/* SEMAPHORE-R2 acquire: as SEMAPHORE-R1. Pairs with SEMAPHORE-W2.
		 * CRASH: it names us: who comes next has it. */
		if (had == 1 && zi_cas_acq_rel(permit, &owner, w->me)) {
			w->dead = w->dead || owner != 0;
			taken++;
			zi_store_relaxed(&semaphore->hint, i); /* private, a hint */
		}
		w->named = w->named || had == 0;
	}
	return (int)taken;
}

/* Gives up to n of the own ones back, in one walk: how many. */
static uint32_t give_some(zipc_semaphore *semaphore, uint32_t me, uint32_t n)
{
	uint32_t given = 0, i = zi_load_relaxed(&semaphore->hint);
	for (uint32_t seen = 0; seen < semaphore->maximum && given < n; seen++, i++) {
		if (i >= semaphore->maximum)
			i = 0;
		uint32_t mine = me, *permit = &semaphore->shared->permits[i];
		/* SEMAPHORE-W2 release, by CAS as other threads of this process may do the same.
		 * Pairs with SEMAPHORE-R2. CRASH: the rest names us, and comes back too. */
		if (zi_load_relaxed(permit) == me && zi_cas_acq_rel(permit, &mine, 0u))
			given++;
	}
	return given;
}

/*
 * Gives n back, if the process has that many: how many. Other threads of it take and give at the same
 * time, so that a walk may miss some that are there; who has none is found out by walking often.
 */
static uint32_t give_permits(zipc_semaphore *semaphore, uint32_t me, uint32_t n)
{
	uint32_t given = 0;
	for (int i = 0; i < WALKS && given < n; i++)
		given += give_some(semaphore, me, n - given);
	return given;
}

static uint32_t count_own(zipc_semaphore *semaphore, uint32_t me)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < semaphore->maximum; i++)
		n += zi_load_relaxed(&semaphore->shared->permits[i]) == me;
	return n;
}

/* How many are there, up to n; or -EBADF. */
static int count_free(struct walk *w, uint32_t n)
{
	uint32_t free = 0;
	for (uint32_t i = 0; i < w->semaphore->maximum && free < n; i++) {
		int had = can_be_had(w, zi_load_relaxed(&w->semaphore->shared->permits[i]));
		if (had < 0)
			return had;
		free += had == 1;
		w->named = w->named || had == 0;
	}
	return (int)free;
}

/* All or none, while the word names us. */
static int collect(struct walk *w, uint32_t n)
{
	int r = count_free(w, n);
	if (r < 0 || (uint32_t)r < n)
		return r < 0 ? r : -EAGAIN;
	r = take_permits(w, n);
	if (r < 0 || (uint32_t)r == n)
		return r < 0 ? r : 0;
	if (r > 0) {
		give_permits(w->semaphore, w->me, (uint32_t)r);
		wake(w->semaphore);
	}
	return -EAGAIN;
}

/*
 * Becomes the collector: 0; -EAGAIN while a living one is at it; -EBADF. One is done after some
 * microseconds, as a rule, so that is waited for awake.
 */
static int become_collector(struct walk *w)
{
	uint32_t *word = &w->semaphore->shared->collecting;
	for (int i = 0; i < COLLECTOR_SPINS; i++) {
		/* relaxed: the CAS decides */
		uint32_t seen = zi_load_relaxed(word);
		int dead = seen == 0 ? 1 : zi_peer_dead(w->semaphore->segment, seen & ZI_ID_MASK);
		if (dead < 0)
			return dead;
		/* COLLECT-R1 acquire: order among collectors. Pairs with COLLECT-W1. CRASH: it names
		 * us, and so do the permits taken from here on: all of it is given to others. */
		if (dead == 1 && zi_cas_acquire(word, &seen, w->me))
			return 0;
		zi_pause();
	}
	w->named = true;
	return -EAGAIN;
}

static int acquire_several(struct walk *w, uint32_t n)
{
	int r = become_collector(w);
	if (r < 0)
		return r;
	r = collect(w, n);
	/* COLLECT-W1 release. Pairs with COLLECT-R1. A plain store: it names us, and we live. */
	zi_store_release(&w->semaphore->shared->collecting, 0u);
	return r;
}

/* Whoever was served and sees another permit wakes the next one. */
static void chain(zipc_semaphore *semaphore, bool from_dead)
{
	if (from_dead) { /* who may have had more */
		zi_gate_wake_all(&semaphore->shared->gate);
		return;
	}
	if (zi_likely(!zi_gate_occupied(&semaphore->shared->gate)))
		return;
	for (uint32_t i = 0; i < semaphore->maximum; i++) {
		if (zi_load_relaxed(&semaphore->shared->permits[i]) == 0) {
			wake_sleepers(semaphore);
			return;
		}
	}
}

static int acquire_owned(zipc_semaphore *semaphore, uint32_t me, uint32_t n, bool *named)
{
	struct walk w = {.semaphore = semaphore, .me = me};
	int r;
	if (n == 1) {
		r = take_permits(&w, 1);
		r = r < 0 ? r : r == 1 ? 0 : -EAGAIN;
	} else {
		r = acquire_several(&w, n);
	}
	*named = w.named;
	if (r == 0)
		chain(semaphore, w.dead);
	return r;
}

static int release_owned(zipc_semaphore *semaphore, uint32_t me, uint32_t n)
{
	bool enough = n == 1;
	for (int i = 0; i < WALKS && !enough; i++)
		enough = count_own(semaphore, me) >= n;
	if (!enough || give_permits(semaphore, me, n) < n)
		return zi_fail(-EPERM,
			       "semaphore '%s': this process does not have %u of its permits",
			       semaphore->object.view.name, n);
	wake(semaphore);
	return 0;
}

/* ---- the calls ------------------------------------------------------------------------------ */

struct request {
	zipc_semaphore *semaphore;
	uint32_t me;
	uint32_t n;
};

static int attempt(void *arg, bool *named)
{
	const struct request *r = arg;
	return r->semaphore->owned ? acquire_owned(r->semaphore, r->me, r->n, named)
				   : acquire_number(r->semaphore, r->n);
}

static int wait_for_permits(struct request *request, int64_t timeout_ns)
{
	struct zi_semaphore *shared = request->semaphore->shared;
	if (request->n > 1 && zi_load_relaxed(&shared->several) == 0)
		zi_store_seq_cst(&shared->several, 1u); /* before the gate's bit */
	return zi_gate_wait(request->semaphore->segment, &shared->gate, timeout_ns, attempt,
			    request);
}

static __attribute__((noinline)) int acquire_slowly(zipc_semaphore *semaphore, uint32_t n,
						    int64_t timeout_ns)
{
	bool named = false;
	int me = zi_structure_enter(&semaphore->object);
	if (zi_unlikely(me < 0))
		return me;
	if (zi_unlikely(n == 0 || n > semaphore->maximum))
		return zi_fail(-EINVAL, "semaphore '%s': %u permits of at most %u",
			       semaphore->object.view.name, n, semaphore->maximum);
	struct request request = {semaphore, (uint32_t)me, n};
	int r = attempt(&request, &named);
	if (r != -EAGAIN || timeout_ns == ZIPC_NOWAIT)
		return r;
	return wait_for_permits(&request, timeout_ns);
}

/* Is this a counting one that may be changed without further ado? */
static inline bool is_plain(const zipc_semaphore *semaphore)
{
	return zi_load_relaxed(&semaphore->self->id) == semaphore->object.id && !semaphore->owned;
}

int zipc_semaphore_acquire(zipc_semaphore *semaphore, uint32_t n, int64_t timeout_ns)
{
	bool usual = is_plain(semaphore) && n != 0;
	if (zi_likely(usual) && zi_likely(acquire_number(semaphore, n) == 0))
		return 0;
	return acquire_slowly(semaphore, n, timeout_ns);
}

static __attribute__((noinline)) int release_slowly(zipc_semaphore *semaphore, uint32_t n)
{
	int me = zi_structure_enter(&semaphore->object);
	if (zi_unlikely(me < 0))
		return me;
	if (zi_unlikely(n == 0))
		return zi_fail(-EINVAL, "semaphore '%s': no permits to release",
			       semaphore->object.view.name);
	return semaphore->owned ? release_owned(semaphore, (uint32_t)me, n)
				: release_number(semaphore, n);
}

int zipc_semaphore_release(zipc_semaphore *semaphore, uint32_t n)
{
	if (zi_likely(is_plain(semaphore) && n != 0))
		return release_number(semaphore, n);
	return release_slowly(semaphore, n);
}

/* ---- looking -------------------------------------------------------------------------------- */

uint32_t zipc_semaphore_value(zipc_semaphore *semaphore)
{
	struct walk w = {.semaphore = semaphore};
	uint32_t n = 0;
	if (!semaphore->owned)
		return zi_load_relaxed(&semaphore->shared->value);
	for (uint32_t i = 0; i < semaphore->maximum; i++)
		n += can_be_had(&w, zi_load_relaxed(&semaphore->shared->permits[i])) == 1;
	return n;
}

uint32_t zipc_semaphore_maximum(const zipc_semaphore *semaphore)
{
	return semaphore->maximum;
}

uint32_t zipc_semaphore_flags(const zipc_semaphore *semaphore)
{
	return semaphore->owned ? ZIPC_SEMAPHORE_OWNED : 0;
}

uint32_t zipc_semaphore_held(zipc_semaphore *semaphore)
{
	uint32_t me = zi_self_id(semaphore->segment);
	return semaphore->owned && me != 0 ? count_own(semaphore, me) : 0;
}
