/* SPDX-License-Identifier: MIT */
/*
 * Monitor: a lock, and a number that who is inside raises. A waiter remembers the number from when it
 * was inside, and sleeps until it is another. So nothing is stored for those who come later, and nothing
 * is owed to those who died: one notification lost with the thread that it woke shows to all the others
 * when they look again.
 *
 * The notifier holds the lock, so nobody it woke could enter: it moves the sleepers to the lock's gate
 * instead, where each one that leaves wakes the next.
 */
#include "monitor.h"

#include "handle.h"
#include "monitor_layout.h"

#include "../base/clock.h"
#include "../base/options.h"

#include <zeroipc/monitor.h>

#include <errno.h>
#include <limits.h>

struct zipc_monitor {
	struct zi_object object;

	/* constant after open */
	_Alignas(128) struct zi_monitor *shared;
	const struct zi_self *self;
	zipc_segment *segment;
};

/* ---- care ----------------------------------------------------------------------------------- */

int zi_monitor_resolve(zipc_segment *segment, const struct zi_view *view)
{
	struct zi_monitor *shared = zi_sync_block(view, sizeof *shared);
	int r = shared == NULL ? 0 : zi_lock_resolve(segment, &shared->lock);
	if (r == 1)
		zi_gate_wake_all(&shared->gate);
	return r;
}

void zi_monitor_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report)
{
	const struct zi_monitor *shared = zi_sync_block(view, sizeof *shared);
	(void)segment;
	if (shared == NULL)
		zi_report_add(report, "monitor '%s': it does not fit its memory", view->name);
	else
		zi_lock_verify(&shared->lock, "monitor", view->name, report);
}

void zi_monitor_thread_ended(zipc_segment *segment, const struct zi_view *view, uint32_t id,
			     uint32_t thread)
{
	struct zi_monitor *shared = zi_sync_block(view, sizeof *shared);
	if (shared != NULL &&
	    zi_lock_thread_ended(segment, &shared->lock, zi_owner_make(id, thread)))
		zi_gate_signal(segment, &shared->gate);
}

int zi_monitor_holders(zipc_segment *segment, const struct zi_view *view, zi_holder_fn fn,
		       void *arg)
{
	const struct zi_monitor *shared = zi_sync_block(view, sizeof *shared);
	(void)segment;
	return shared == NULL ? 0 : zi_lock_holder(&shared->lock, fn, arg);
}

/* ---- lifecycle ------------------------------------------------------------------------------ */

static int bind(void *handle)
{
	zipc_monitor *monitor = handle;
	monitor->shared = zi_sync_block(&monitor->object.view, sizeof *monitor->shared);
	if (monitor->shared == NULL)
		return zi_sync_too_small(&monitor->object.view, "monitor");
	monitor->segment = monitor->object.segment;
	monitor->self = monitor->segment->self;
	return 0;
}

static const struct zi_sync_kind kind = {
	.what = "monitor",
	.type = ZIPC_TYPE_MONITOR,
	.handle_size = sizeof(zipc_monitor),
	.bind = bind,
};

static int load_spec(const char *name, const zipc_monitor_options *options, struct zi_spec *spec)
{
	zipc_monitor_options o;
	int r = zi_options_load(&o, sizeof o, options, "monitor options");
	if (r == 0)
		r = zi_sync_check_flags(&kind, name, o.flags);
	*spec = (struct zi_spec){.name = name, .size = sizeof(struct zi_monitor)};
	return r;
}

ZI_SYNC_LIFECYCLE(monitor)

/* ---- entering and leaving ------------------------------------------------------------------- */

static int say(const zipc_monitor *monitor, int code)
{
	return zi_lock_say(code, "monitor", monitor->object.view.name);
}

int zipc_monitor_enter(zipc_monitor *monitor, int64_t timeout_ns)
{
	struct zi_lock *lock = &monitor->shared->lock;
	uint64_t me;
	int r = zi_owner_enter(&monitor->object, &me);
	if (zi_unlikely(r < 0))
		return r;
	if (zi_likely(zi_lock_take_free(lock, me)))
		return 0;
	return say(monitor, zi_lock_take(monitor->segment, lock, me, false, timeout_ns));
}

int zipc_monitor_leave(zipc_monitor *monitor)
{
	struct zi_lock *lock = &monitor->shared->lock;
	uint64_t me = zi_owner_self(monitor->self);
	if (zi_unlikely(!zi_lock_give_plain(lock, me)))
		return say(monitor, zi_lock_give(monitor->segment, lock, me));
	zi_gate_signal(monitor->segment, &lock->gate);
	return 0;
}

int zipc_monitor_consistent(zipc_monitor *monitor)
{
	return say(monitor,
		   zi_lock_consistent(&monitor->shared->lock, zi_owner_self(monitor->self)));
}

/* Is the caller inside? */
static bool is_inside(const zipc_monitor *monitor)
{
	/* relaxed: our own store, or not ours */
	uint64_t w = zi_load_relaxed(&monitor->shared->lock.word);
	return (w & ZI_OWNER_MASK) == zi_owner_self(monitor->self);
}

/* ---- waiting and notifying ------------------------------------------------------------------ */

struct request {
	zipc_monitor *monitor;
	uint64_t notified; /* when it was inside */
};

/* Has the one inside died? Then it will notify nobody: the waiter enters, and is told. The one inside
 * is not whom it waits for, so it does not look more often because of that. */
static int left_by_the_dead(const zipc_monitor *monitor)
{
	/* relaxed: whoever enters looks again */
	uint64_t w = zi_load_relaxed(&monitor->shared->lock.word);
	if (zi_owner_id(w) == 0)
		return w != 0;
	return zi_owner_dead(monitor->segment, w);
}

static int attempt(void *arg, bool *named)
{
	const struct request *r = arg;
	(void)named;
	/* relaxed: what was done before is ordered by the lock, which is taken next */
	if (zi_load_relaxed(&r->monitor->shared->notified) != r->notified)
		return 0;
	int dead = left_by_the_dead(r->monitor);
	return dead < 0 ? dead : dead == 1 ? 0 : -EAGAIN;
}

/* Enters again after waiting; `result` is what came of that. */
static int enter_again(zipc_monitor *monitor, uint64_t me, int result)
{
	if (result < 0 && result != -ETIMEDOUT)
		return result;
	int r = zi_lock_take(monitor->segment, &monitor->shared->lock, me, false, ZIPC_FOREVER);
	if (r < 0 && r != -EOWNERDEAD) /* its notification may have been meant for another */
		zi_gate_signal(monitor->segment, &monitor->shared->gate);
	return r < 0 ? say(monitor, r) : result;
}

int zipc_monitor_wait(zipc_monitor *monitor, int64_t timeout_ns)
{
	struct zi_monitor *shared = monitor->shared;
	uint64_t me = zi_owner_self(monitor->self);
	if (!is_inside(monitor))
		return say(monitor, -EPERM);
	if ((zi_load_relaxed(&shared->lock.word) & ZI_LOCK_SUSPECT) != 0)
		return zi_fail(-EINVAL, "monitor '%s': say first that it is consistent",
			       monitor->object.view.name);
	if (timeout_ns == ZIPC_NOWAIT)
		return -EAGAIN;
	/* relaxed: written inside only */
	struct request request = {monitor, zi_load_relaxed(&shared->notified)};
	/* CRASH: not inside any more, and nobody's waiter: nothing is left */
	zi_lock_give(monitor->segment, &shared->lock, me);
	int r = zi_gate_wait(monitor->segment, &shared->gate, timeout_ns, attempt, &request);
	return enter_again(monitor, me, r);
}

int zipc_monitor_wait_until(zipc_monitor *monitor, zipc_monitor_predicate predicate, void *arg,
			    int64_t timeout_ns)
{
	int64_t end = zi_deadline(timeout_ns);
	if (!is_inside(monitor))
		return say(monitor, -EPERM);
	while (predicate(arg) == 0) {
		int64_t left = timeout_ns;
		if (timeout_ns > 0 && end != INT64_MAX)
			left = end - zi_now_ns();
		if (timeout_ns > 0 && left <= 0)
			return -ETIMEDOUT;
		int r = zipc_monitor_wait(monitor, left);
		if (r < 0 && r != -ETIMEDOUT)
			return r;
	}
	return 0;
}

static int notify(zipc_monitor *monitor, int n)
{
	struct zi_monitor *shared = monitor->shared;
	if (!is_inside(monitor))
		return say(monitor, -EPERM);
	/* relaxed: written inside only. CRASH: notified; who waits sees it at the end of its slice. */
	zi_store_relaxed(&shared->notified, zi_load_relaxed(&shared->notified) + 1);
	zi_gate_order(monitor->self);
	if (zi_gate_occupied(&shared->gate))
		zi_gate_move(&shared->gate, &shared->lock.gate, n);
	return 0;
}

int zipc_monitor_notify_one(zipc_monitor *monitor)
{
	return notify(monitor, 1);
}

int zipc_monitor_notify_all(zipc_monitor *monitor)
{
	return notify(monitor, INT_MAX);
}

/* ---- looking -------------------------------------------------------------------------------- */

int zipc_monitor_get_info(zipc_monitor *monitor, zipc_monitor_info *out_info)
{
	/* relaxed: for people */
	uint64_t w = zi_load_relaxed(&monitor->shared->lock.word);
	uint32_t id = zi_owner_id(w);
	zipc_monitor_info info = {
		.owner_id = id,
		.owner_pid = id == 0 ? 0 : zi_peer_pid(monitor->segment, id),
		.owner_thread = zi_owner_thread(w),
		.suspect = (w & ZI_LOCK_SUSPECT) != 0,
		.lost = (w & ZI_LOCK_LOST) != 0,
		.notified = zi_load_relaxed(&monitor->shared->notified),
	};
	return zi_result_store(out_info, &info, sizeof info, "monitor info");
}
