/* SPDX-License-Identifier: MIT */
#include "waiters.h"

#include "thread.h"

#include "../base/clock.h"

static struct zi_waiter *entry_at(const zipc_segment *segment, uint32_t slot, uint32_t i)
{
	uint8_t *table = segment->base + segment->waiters_offset;
	return (struct zi_waiter *)(void *)table + (uint64_t)slot * ZI_WAITERS_PER_PEER + i;
}

struct zi_waiter *zi_waiter_enter(zipc_segment *segment, const uint32_t *gate)
{
	uint64_t offset = (uint64_t)((const uint8_t *)gate - segment->base);
	uint32_t id = zi_self_id(segment), thread = zi_thread_self();
	if (id == 0 || thread == 0 || offset >= segment->max_size)
		return NULL;
	for (uint32_t i = 0; i < ZI_WAITERS_PER_PEER; i++) {
		struct zi_waiter *w = entry_at(segment, zi_id_slot(id), i);
		uint64_t free = 0;
		/* relaxed: decides among our threads; nobody else writes here.
		 * CRASH: an entry of a dead one; the slot's next attachment clears it. */
		if (zi_load_relaxed(&w->owner) != 0 ||
		    !zi_cas_relaxed(&w->owner, &free, (uint64_t)thread << ZI_ID_BITS | id))
			continue;
		zi_store_relaxed(&w->since_ns, (uint64_t)zi_now_ns());
		/* WAITER-W1 release: the entry is complete. Pairs with WAITER-R1. */
		zi_store_release(&w->gate, offset);
		return w;
	}
	return NULL;
}

void zi_waiter_leave(struct zi_waiter *waiter)
{
	if (waiter == NULL)
		return;
	zi_store_relaxed(&waiter->gate, UINT64_C(0));
	/* release: after the gate is cleared, so that the next one's entry is not taken for ours */
	zi_store_release(&waiter->owner, UINT64_C(0));
}

void zi_waiters_clear(zipc_segment *segment, uint32_t slot)
{
	for (uint32_t i = 0; i < ZI_WAITERS_PER_PEER; i++) {
		struct zi_waiter *w = entry_at(segment, slot, i);
		zi_store_relaxed(&w->gate, UINT64_C(0));
		zi_store_release(&w->owner, UINT64_C(0)); /* as in zi_waiter_leave() */
	}
}

bool zi_waiter_read(const zipc_segment *segment, uint32_t slot, uint32_t i, struct zi_waiter *out)
{
	const struct zi_waiter *w = entry_at(segment, slot, i);
	/* WAITER-R1 acquire: what belongs to it. Pairs with WAITER-W1. */
	out->gate = zi_load_acquire(&w->gate);
	out->owner = zi_load_relaxed(&w->owner);
	out->since_ns = zi_load_relaxed(&w->since_ns);
	zi_read_barrier();
	return out->gate != 0 && (out->owner & ZI_ID_MASK) != 0 &&
	       zi_load_relaxed(&w->gate) == out->gate && zi_load_relaxed(&w->owner) == out->owner;
}
