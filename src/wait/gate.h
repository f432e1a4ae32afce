/* SPDX-License-Identifier: MIT */
/*
 * Gate: where threads of all processes sleep until something changes.
 *
 * Word: epoch << 1 | somebody may sleep. No counters, so the dead leave nothing behind.
 *   sleeper: set the bit; full barrier; try again; sleep on the word, one slice at a time.
 *   waker:   publish; look at the bit; clear = done. Else raise the epoch, wake one; when that woke
 *            nobody, take the bit away and wake all once more, for a sleeper may have come between.
 *
 * The barrier between "publish" and "look" is the sleeper's: membarrier(2) makes every core that runs a
 * registered process pass one. A process that could not register passes its own (fence_needed).
 *
 * Whoever takes something and sees the next one ready, or leaves with a wake-up that it did not use,
 * wakes one more. What is lost all the same, because the woken one is killed before it acts, is found
 * at the end of a slice: no sleep is longer than that without looking again.
 */
#ifndef ZI_WAIT_GATE_H
#define ZI_WAIT_GATE_H

#include "../base/atomic.h"
#include "../segment/segment.h"

#define ZI_GATE_SLEEPERS 1u

/*
 * One attempt at what the caller waits for: -EAGAIN = not yet, anything else ends the wait. It sets
 * *named when it is held up by one living owner whose name it read: such a wait checks more often.
 */
typedef int (*zi_attempt)(void *arg, bool *named);

/*
 * Spins briefly, then sleeps, until an attempt gives something else than -EAGAIN. Returns that;
 * -ETIMEDOUT; -ECANCELED. timeout_ns is not 0.
 */
int zi_gate_wait(zipc_segment *segment, uint32_t *gate, int64_t timeout_ns, zi_attempt attempt,
		 void *arg);

/*
 * A full barrier for this thread and, as it were, for every other attachment: what they stored
 * before is seen after it, without a barrier of theirs. For the rare side of a store-load race.
 */
void zi_gate_barrier_for_all(zipc_segment *segment);

/* The waker's slow halves. */
void zi_gate_wake_one(uint32_t *gate);
void zi_gate_wake_all(uint32_t *gate);

/*
 * Up to n sleepers of `gate` are to look again, but none before somebody is woken at `to`: they are
 * moved there, asleep. The caller sees to it that `to` is woken later, not sooner.
 */
void zi_gate_move(uint32_t *gate, uint32_t *to, int n);

/*
 * Orders what was just published before the look at a gate. A registered process needs nothing
 * here: the sleeper makes its core pass a barrier.
 */
static inline void zi_gate_order(const struct zi_self *self)
{
	if (zi_unlikely(zi_load_relaxed(&self->fence_needed) != 0))
		zi_full_barrier();
	else
		zi_compiler_barrier();
}

/* Does anybody perhaps sleep here? After zi_gate_order(). */
static inline bool zi_gate_occupied(const uint32_t *gate)
{
	/* GATE-R1 relaxed: ordered after the publishing store by zi_gate_order(), or by the barrier
	 * that the sleeper makes this core pass. Pairs with GATE-W1. */
	return (zi_load_relaxed(gate) & ZI_GATE_SLEEPERS) != 0;
}

/* The same for two gates side by side, in one look. */
static inline bool zi_gates_occupied(const uint64_t *gates)
{
	/* GATE-R1 relaxed, as above; each half is a gate, whichever way round */
	uint64_t both = zi_load_relaxed(gates);
	return (both & ((uint64_t)ZI_GATE_SLEEPERS << 32 | ZI_GATE_SLEEPERS)) != 0;
}

/* To be called after something was published that one waiter may want. */
static inline void zi_gate_signal(const zipc_segment *segment, uint32_t *gate)
{
	zi_gate_order(segment->self);
	if (zi_unlikely(zi_gate_occupied(gate)))
		zi_gate_wake_one(gate);
}

/* The same, for what all waiters may want. */
static inline void zi_gate_signal_all(const zipc_segment *segment, uint32_t *gate)
{
	zi_gate_order(segment->self);
	if (zi_unlikely(zi_gate_occupied(gate)))
		zi_gate_wake_all(gate);
}

#endif
