/* SPDX-License-Identifier: MIT */
/*
 * Event: a bit, and the number of a round. Whatever lets through all who wait ends the round: a pulse,
 * and the set of a manual event. So a waiter needs no entry of its own to be among "those who wait now":
 * it is if it saw the round before it ended.
 */
#include "event.h"

#include "event_layout.h"
#include "handle.h"

#include "../base/options.h"
#include "../wait/gate.h"

#include <zeroipc/event.h>

#include <errno.h>

struct zipc_event {
	struct zi_object object;

	/* constant after open */
	struct zi_event *shared;
	zipc_segment *segment;
	bool automatic;
};

/* ---- care ----------------------------------------------------------------------------------- */

int zi_event_resolve(zipc_segment *segment, const struct zi_view *view)
{
	(void)segment;
	(void)view;
	return 0;
}

void zi_event_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report)
{
	(void)segment;
	if (zi_sync_block(view, sizeof(struct zi_event)) == NULL)
		zi_report_add(report, "event '%s': it does not fit its memory", view->name);
}

/* ---- lifecycle ------------------------------------------------------------------------------ */

static int bind(void *handle)
{
	zipc_event *event = handle;
	event->shared = zi_sync_block(&event->object.view, sizeof *event->shared);
	event->segment = event->object.segment;
	event->automatic = (event->object.view.flags & ZIPC_EVENT_AUTO) != 0;
	return event->shared == NULL ? zi_sync_too_small(&event->object.view, "event") : 0;
}

static const struct zi_sync_kind kind = {
	.what = "event",
	.type = ZIPC_TYPE_EVENT,
	.flags = ZIPC_EVENT_AUTO,
	.handle_size = sizeof(zipc_event),
	.bind = bind,
};

static int load_spec(const char *name, const zipc_event_options *options, struct zi_spec *spec)
{
	zipc_event_options o;
	int r = zi_options_load(&o, sizeof o, options, "event options");
	if (r == 0)
		r = zi_sync_check_flags(&kind, name, o.flags);
	*spec = (struct zi_spec){.name = name, .flags = o.flags, .size = sizeof(struct zi_event)};
	return r;
}

ZI_SYNC_LIFECYCLE(event)

/* ---- operations ----------------------------------------------------------------------------- */

static uint64_t after_set(const zipc_event *event, uint64_t word)
{
	if ((word & ZI_EVENT_SET) != 0)
		return word;
	return event->automatic ? word | ZI_EVENT_SET : (word + ZI_EVENT_ROUND) | ZI_EVENT_SET;
}

static uint64_t after_reset(const zipc_event *event, uint64_t word)
{
	(void)event;
	return word & ~ZI_EVENT_SET;
}

static uint64_t after_pulse(const zipc_event *event, uint64_t word)
{
	return after_reset(event, word) + ZI_EVENT_ROUND;
}

/* 0, or a refusal. */
static int change(zipc_event *event, uint64_t (*after)(const zipc_event *event, uint64_t word))
{
	int me = zi_structure_enter(&event->object);
	if (me < 0)
		return me;
	uint64_t *word = &event->shared->word, seen = zi_load_relaxed(word);
	/* EVENT-W1 release: what was written before. Pairs with EVENT-R1.
	 * CRASH: done; the sleepers learn it at the end of their slices. */
	while (!zi_cas_acq_rel(word, &seen, after(event, seen)))
		;
	return 0;
}

int zipc_event_set(zipc_event *event)
{
	int r = change(event, after_set);
	if (r < 0)
		return r;
	if (event->automatic)
		zi_gate_signal(event->segment, &event->shared->gate);
	else
		zi_gate_wake_all(&event->shared->gate);
	return 0;
}

int zipc_event_reset(zipc_event *event)
{
	return change(event, after_reset);
}

int zipc_event_pulse(zipc_event *event)
{
	int r = change(event, after_pulse);
	if (r == 0)
		zi_gate_wake_all(&event->shared->gate);
	return r;
}

struct request {
	zipc_event *event;
	uint64_t round; /* in which it came */
};

static int attempt(void *arg, bool *named)
{
	const struct request *r = arg;
	uint64_t *word = &r->event->shared->word;
	(void)named;
	/* EVENT-R1 acquire: what was written before the set. Pairs with EVENT-W1. */
	uint64_t seen = zi_load_acquire(word);
	for (;;) {
		if (zi_event_round(seen) != r->round)
			return 0;
		if ((seen & ZI_EVENT_SET) == 0)
			return -EAGAIN;
		/* CRASH: it let us through, and nobody else */
		if (!r->event->automatic || zi_cas_acq_rel(word, &seen, seen & ~ZI_EVENT_SET))
			return 0;
	}
}

int zipc_event_wait(zipc_event *event, int64_t timeout_ns)
{
	bool named = false;
	int me = zi_structure_enter(&event->object);
	if (me < 0)
		return me;
	/* relaxed: whoever ends this round later lets us through */
	struct request request = {event, zi_event_round(zi_load_relaxed(&event->shared->word))};
	int r = attempt(&request, &named);
	if (r != -EAGAIN || timeout_ns == ZIPC_NOWAIT)
		return r;
	return zi_gate_wait(event->segment, &event->shared->gate, timeout_ns, attempt, &request);
}

/* ---- looking -------------------------------------------------------------------------------- */

bool zipc_event_is_set(const zipc_event *event)
{
	/* acquire: as EVENT-R1 */
	return (zi_load_acquire(&event->shared->word) & ZI_EVENT_SET) != 0;
}

uint32_t zipc_event_flags(const zipc_event *event)
{
	return event->object.view.flags;
}
