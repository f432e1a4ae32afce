/* SPDX-License-Identifier: MIT */
/*
 * Mutex: a lock (lock.h) under a name. Free, and nobody died: one CAS to lock, one store and one look
 * at the gate to unlock.
 */
#include "mutex.h"

#include "handle.h"
#include "mutex_layout.h"

#include "../base/options.h"

#include <zeroipc/mutex.h>

#include <errno.h>

struct zipc_mutex {
	struct zi_object object;

	/* constant after open */
	_Alignas(128) struct zi_lock *lock;
	const struct zi_self *self;
	zipc_segment *segment;
	bool recursive;
};

/* ---- care ----------------------------------------------------------------------------------- */

static struct zi_lock *lock_of(const struct zi_view *view)
{
	struct zi_mutex *mutex = zi_sync_block(view, sizeof *mutex);
	return mutex == NULL ? NULL : &mutex->lock;
}

int zi_mutex_resolve(zipc_segment *segment, const struct zi_view *view)
{
	struct zi_lock *lock = lock_of(view);
	return lock == NULL ? 0 : zi_lock_resolve(segment, lock);
}

void zi_mutex_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report)
{
	const struct zi_lock *lock = lock_of(view);
	(void)segment;
	if (lock == NULL)
		zi_report_add(report, "mutex '%s': it does not fit its memory", view->name);
	else
		zi_lock_verify(lock, "mutex", view->name, report);
}

void zi_mutex_thread_ended(zipc_segment *segment, const struct zi_view *view, uint32_t id,
			   uint32_t thread)
{
	struct zi_lock *lock = lock_of(view);
	if (lock != NULL)
		zi_lock_thread_ended(segment, lock, zi_owner_make(id, thread));
}

int zi_mutex_holders(zipc_segment *segment, const struct zi_view *view, zi_holder_fn fn, void *arg)
{
	const struct zi_lock *lock = lock_of(view);
	(void)segment;
	return lock == NULL ? 0 : zi_lock_holder(lock, fn, arg);
}

/* ---- lifecycle ------------------------------------------------------------------------------ */

static int bind(void *handle)
{
	zipc_mutex *mutex = handle;
	const struct zi_view *view = &mutex->object.view;
	mutex->lock = lock_of(view);
	if (mutex->lock == NULL)
		return zi_sync_too_small(view, "mutex");
	mutex->segment = mutex->object.segment;
	mutex->self = mutex->segment->self;
	mutex->recursive = (view->flags & ZIPC_MUTEX_RECURSIVE) != 0;
	return 0;
}

static const struct zi_sync_kind kind = {
	.what = "mutex",
	.type = ZIPC_TYPE_MUTEX,
	.flags = ZIPC_MUTEX_RECURSIVE,
	.handle_size = sizeof(zipc_mutex),
	.bind = bind,
};

static int load_spec(const char *name, const zipc_mutex_options *options, struct zi_spec *spec)
{
	zipc_mutex_options o;
	int r = zi_options_load(&o, sizeof o, options, "mutex options");
	if (r == 0)
		r = zi_sync_check_flags(&kind, name, o.flags);
	*spec = (struct zi_spec){.name = name, .flags = o.flags, .size = sizeof(struct zi_mutex)};
	return r;
}

ZI_SYNC_LIFECYCLE(mutex)

/* ---- operations ----------------------------------------------------------------------------- */

static __attribute__((noinline)) int lock_slowly(zipc_mutex *mutex, int64_t timeout_ns)
{
	uint64_t me;
	int r = zi_owner_enter(&mutex->object, &me);
	if (r < 0)
		return r;
	r = zi_lock_take(mutex->segment, mutex->lock, me, mutex->recursive, timeout_ns);
	return r < 0 ? zi_lock_say(r, "mutex", mutex->object.view.name) : 0;
}

int zipc_mutex_lock(zipc_mutex *mutex, int64_t timeout_ns)
{
	uint32_t id = zi_load_relaxed(&mutex->self->id), thread = zi_thread_number;
	if (zi_likely(id == mutex->object.id && thread != ZI_THREAD_NONE) &&
	    zi_likely(zi_lock_take_free(mutex->lock, zi_owner_make(id, thread))))
		return 0;
	return lock_slowly(mutex, timeout_ns);
}

static __attribute__((noinline)) int unlock_slowly(zipc_mutex *mutex)
{
	int r = zi_lock_give(mutex->segment, mutex->lock, zi_owner_self(mutex->self));
	return r < 0 ? zi_lock_say(r, "mutex", mutex->object.view.name) : 0;
}

static __attribute__((noinline, cold)) int wake_and_return(zipc_mutex *mutex)
{
	zi_gate_wake_one(&mutex->lock->gate);
	return 0;
}

int zipc_mutex_unlock(zipc_mutex *mutex)
{
	if (zi_unlikely(!zi_lock_give_plain(mutex->lock, zi_owner_self(mutex->self))))
		return unlock_slowly(mutex);
	zi_gate_order(mutex->self);
	return zi_unlikely(zi_gate_occupied(&mutex->lock->gate)) ? wake_and_return(mutex) : 0;
}

int zipc_mutex_consistent(zipc_mutex *mutex)
{
	int r = zi_lock_consistent(mutex->lock, zi_owner_self(mutex->self));
	return r < 0 ? zi_lock_say(r, "mutex", mutex->object.view.name) : 0;
}

/* ---- looking -------------------------------------------------------------------------------- */

int zipc_mutex_get_info(zipc_mutex *mutex, zipc_mutex_info *out_info)
{
	/* relaxed: for people */
	uint64_t w = zi_load_relaxed(&mutex->lock->word);
	uint32_t id = zi_owner_id(w);
	zipc_mutex_info info = {
		.owner_id = id,
		.owner_pid = id == 0 ? 0 : zi_peer_pid(mutex->segment, id),
		.owner_thread = zi_owner_thread(w),
		.held = id == 0 ? 0 : zi_lock_depth(w) + 1,
		.suspect = (w & ZI_LOCK_SUSPECT) != 0,
		.lost = (w & ZI_LOCK_LOST) != 0,
	};
	return zi_result_store(out_info, &info, sizeof info, "mutex info");
}
