/* SPDX-License-Identifier: MIT */
#include "gate.h"

#include "../base/clock.h"
#include "../base/futex.h"
#include "../base/membarrier.h"
#include "../segment/waiters.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>

#define EPOCH	       2u
#define NAMED_MIN      (10 * ZI_NS_PER_MS)
#define NAMED_MAX      (80 * ZI_NS_PER_MS)
#define NO_BARRIER_MAX (2 * ZI_NS_PER_MS)  /* slice of a sleeper that cannot use membarrier */
#define UNLISTED_MAX   (10 * ZI_NS_PER_MS) /* slice of one that zipc_interrupt() cannot find */
#define SPIN_CHECK     16		   /* attempts between two looks at the clock */

/* ---- waking --------------------------------------------------------------------------------- */

void zi_gate_wake_one(uint32_t *gate)
{
	uint32_t seen = zi_load_relaxed(gate), raised;
	do {
		if ((seen & ZI_GATE_SLEEPERS) == 0)
			return;
		raised = seen + EPOCH;
	} while (!zi_cas_seq_cst(gate, &seen, raised));
	/* CRASH: dying here leaves one waiter asleep to the end of its slice */
	if (zi_futex_wake(gate, 1) > 0)
		return;
	if (zi_cas_seq_cst(gate, &raised, raised & ~ZI_GATE_SLEEPERS))
		zi_futex_wake(gate, INT_MAX);
}

void zi_gate_wake_all(uint32_t *gate)
{
	zi_add_seq_cst(gate, EPOCH);
	zi_futex_wake(gate, INT_MAX);
}

void zi_gate_move(uint32_t *gate, uint32_t *to, int n)
{
	uint32_t seen = zi_load_relaxed(gate), raised;
	do {
		if ((seen & ZI_GATE_SLEEPERS) == 0)
			return;
		raised = seen + EPOCH;
	} while (!zi_cas_seq_cst(gate, &seen, raised));
	zi_or_seq_cst(to, ZI_GATE_SLEEPERS); /* there will be some */
	/* CRASH: dying around here leaves them asleep to the ends of their slices */
	int moved = zi_futex_move(gate, to, n, raised);
	if (moved > 0)
		return;
	if (moved < 0) /* it was raised by another, or cannot be done here */
		zi_futex_wake(gate, n);
	else if (zi_cas_seq_cst(gate, &raised, raised & ~ZI_GATE_SLEEPERS))
		zi_futex_wake(gate, INT_MAX);
}

/*
 * Where a filter forbids membarrier(2), a pause of a millisecond: the stores of the others left
 * their cores' buffers long before.
 */
void zi_gate_barrier_for_all(zipc_segment *segment)
{
	zi_full_barrier();
	bool all_fence =
		(zi_load_relaxed(&zi_header(segment)->flags) & ZI_SEGMENT_NO_MEMBARRIER) != 0;
	if (all_fence || zi_membarrier())
		return;
	struct timespec pause = {.tv_nsec = ZI_NS_PER_MS};
	nanosleep(&pause, NULL);
	zi_full_barrier();
}

/* ---- interrupting --------------------------------------------------------------------------- */

/* Lets zipc_interrupt() find this thread: the place in the list, or -1 when it is full. */
static int enlist(zipc_segment *segment, uint32_t *gate)
{
	for (uint32_t i = 0; i < ZI_WAITERS; i++) {
		uint32_t *empty = NULL;
		if (zi_load_relaxed(&segment->waiting[i]) == NULL &&
		    zi_cas_seq_cst(&segment->waiting[i], &empty, gate))
			return (int)i;
	}
	return -1;
}

static void delist(zipc_segment *segment, int place)
{
	if (place < 0)
		return;
	zi_store_seq_cst(&segment->waiting[place], NULL);
	while (zi_load_seq_cst(&segment->interrupting) != 0)
		sched_yield();
}

void zipc_interrupt(zipc_segment *segment)
{
	/* seq_cst: before the list is read; delist() waits for us, so that no gate goes away */
	zi_add_seq_cst(&segment->interrupting, 1u);
	/* seq_cst: before the list is read. A waiter lists itself first and looks at this after. */
	zi_store_seq_cst(&segment->interrupted, 1u);
	for (uint32_t i = 0; i < ZI_WAITERS; i++) {
		uint32_t *gate = zi_load_seq_cst(&segment->waiting[i]);
		if (gate != NULL)
			zi_gate_wake_all(gate);
	}
	zi_add_seq_cst(&segment->interrupting, UINT32_MAX);
}

void zipc_interrupt_clear(zipc_segment *segment)
{
	zi_store_seq_cst(&segment->interrupted, 0u);
}

/* ---- waiting -------------------------------------------------------------------------------- */

struct wait {
	zipc_segment *segment;
	uint32_t *gate;
	int64_t end;
	zi_attempt attempt;
	void *arg;
	bool named; /* the last attempt was held up by a living owner */
	bool woken; /* the last sleep ended by a wake-up */
	bool listed;
};

static int try_once(struct wait *w)
{
	w->named = false;
	return w->attempt(w->arg, &w->named);
}

/*
 * Spins for as long as that paid off lately: the budget of the attachment is halved by every spin
 * that was in vain and doubled by every one that was not.
 */
static int spin(struct wait *w)
{
	/* relaxed: a private estimate */
	int64_t most = w->segment->spin_ns, budget = zi_load_relaxed(&w->segment->spin_budget);
	if (most <= 0)
		return -EAGAIN;
	if (budget < 1 || budget > most)
		budget = most;
	int64_t end = zi_now_ns() + budget;
	if (end > w->end)
		end = w->end;
	int r = -EAGAIN;
	do {
		for (int i = 0; i < SPIN_CHECK && r == -EAGAIN; i++) {
			zi_pause();
			r = try_once(w);
		}
	} while (r == -EAGAIN && zi_now_ns() < end &&
		 zi_load_relaxed(&w->segment->interrupted) == 0);
	int64_t next = r == -EAGAIN ? budget / 2 : budget * 2;
	int64_t least = most / 16 + 1;
	zi_store_relaxed(&w->segment->spin_budget, next < least ? least : next);
	return r;
}

/* The sleeper's side of the store-load race with wakers; see gate.h. */
static uint32_t arm(struct wait *w)
{
	/* GATE-W1 seq_cst: the bit, before the next attempt looks. Pairs with GATE-R1. */
	uint32_t seen = zi_or_seq_cst(w->gate, ZI_GATE_SLEEPERS) | ZI_GATE_SLEEPERS;
	if (w->segment->membarrier && !zi_membarrier())
		w->segment->membarrier =
			false; /* a filter came over us: short slices from now on */
	zi_full_barrier();
	return seen;
}

static int64_t slice_limit(const struct wait *w)
{
	int64_t limit = w->named ? NAMED_MAX : w->segment->slice_max_ms * ZI_NS_PER_MS;
	if (!w->segment->membarrier && limit > NO_BARRIER_MAX)
		limit = NO_BARRIER_MAX;
	return !w->listed && limit > UNLISTED_MAX ? UNLISTED_MAX : limit;
}

static int64_t slice_start(const struct wait *w)
{
	int64_t start = w->named ? NAMED_MIN : w->segment->slice_min_ms * ZI_NS_PER_MS;
	int64_t limit = slice_limit(w);
	return start < limit ? start : limit;
}

/* One slice, an eighth shorter or longer so that many sleepers do not wake in step. */
static void sleep_slice(struct wait *w, uint32_t seen, int64_t slice)
{
	int64_t now = zi_now_ns(), jitter = (now >> 4) % (slice / 4 + 1) - slice / 8;
	int64_t ns = slice + jitter;
	if (w->end != INT64_MAX && ns > w->end - now)
		ns = w->end - now;
	w->woken = ns > 0 && zi_futex_wait(w->gate, seen, ns) == 0;
}

static int sleep_until_ready(struct wait *w)
{
	uint32_t seen = arm(w);
	int64_t slice = 0;
	for (;;) {
		int r = try_once(w);
		if (r != -EAGAIN)
			return r;
		if (zi_load_seq_cst(&w->segment->interrupted) != 0)
			return -ECANCELED;
		if (w->end != INT64_MAX && zi_now_ns() >= w->end)
			return -ETIMEDOUT;
		slice = slice == 0 ? slice_start(w) : slice * 2;
		if (slice > slice_limit(w))
			slice = slice_limit(w);
		sleep_slice(w, seen, slice);
		/* an unchanged word was armed by our own barrier: nothing to do again */
		if (zi_load_relaxed(w->gate) != seen) {
			r = try_once(w);
			if (r != -EAGAIN)
				return r;
			seen = arm(w);
			slice = 0;
		}
	}
}

int zi_gate_wait(zipc_segment *segment, uint32_t *gate, int64_t timeout_ns, zi_attempt attempt,
		 void *arg)
{
	struct wait w = {
		.segment = segment,
		.gate = gate,
		.end = zi_deadline(timeout_ns),
		.attempt = attempt,
		.arg = arg,
	};
	if (zi_load_seq_cst(&segment->interrupted) != 0)
		return -ECANCELED;
	int r = spin(&w);
	if (r != -EAGAIN)
		return r;
	int place = enlist(segment, gate);
	w.listed = place >= 0;
	struct zi_waiter *entry = zi_waiter_enter(segment, gate);
	r = sleep_until_ready(&w);
	zi_waiter_leave(entry);
	delist(segment, place);
	if (r < 0 && w.woken)
		zi_gate_wake_one(gate);
	return r;
}
