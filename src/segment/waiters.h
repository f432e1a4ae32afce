/* SPDX-License-Identifier: MIT */
/*
 * Who sleeps where: written down by each thread that goes to sleep, for people and their tools, which
 * tell from it who waits for whom. The dead leave entries behind; the next attachment of their slot clears them.
 */
#ifndef ZI_SEGMENT_WAITERS_H
#define ZI_SEGMENT_WAITERS_H

#include "segment.h"

/* This thread goes to sleep at a gate: its entry, or NULL when it cannot be listed. */
struct zi_waiter *zi_waiter_enter(zipc_segment *segment, const uint32_t *gate);

/* It does not any more; NULL is allowed. */
void zi_waiter_leave(struct zi_waiter *waiter);

/* By whoever takes a slot, whose last holder is dead. */
void zi_waiters_clear(zipc_segment *segment, uint32_t slot);

/* Reads entry i of a peer's slot: false = nobody. */
bool zi_waiter_read(const zipc_segment *segment, uint32_t slot, uint32_t i, struct zi_waiter *out);

#endif
