/* SPDX-License-Identifier: MIT */
/*
 * The rwlock's private handle, and what its two files share. The protocol:
 *
 *   A reader writes its name and a count into a line of its own, then looks whether there is a writer.
 *   A writer writes its name into the one writer word, then looks whether there are readers. Both
 *   write first and look afterwards, seq_cst: one of them sees the other, and the reader gives way.
 *   So new readers never pass a writer that waits.
 *
 *   A writer that leaves makes every reader that it finds WAITING a holder, before it takes its name
 *   away: so readers never wait for more than the writer that is there and, if they come while it
 *   leaves, one more.
 *
 *   A name of a dead one is taken away by whoever is held up by it.
 */
#ifndef ZI_SYNC_RWLOCK_H
#define ZI_SYNC_RWLOCK_H

#include "../segment/type.h"
#include "rwlock_layout.h"

#include <zeroipc/rwlock.h>

struct zipc_rwlock {
	struct zi_object object;

	/* constant after open */
	_Alignas(128) struct zi_rwlock *shared;
	const struct zi_self *self;
	zipc_segment *segment;
	uint32_t max_holders;
	struct zi_named_hints hints; /* of reader words */
};

/* The writer word without its dead owner. */
static inline uint64_t zi_writer_without_owner(uint64_t word)
{
	return (word & (ZI_WRITER_ACTIVE | ZI_WRITER_SUSPECT)) != 0 ? ZI_WRITER_SUSPECT : 0;
}

/* How many of the reader words may be in use; whatever the segment says, none that is not there. */
static inline uint32_t zi_rwlock_used(const struct zi_rwlock *shared, uint32_t max_holders)
{
	/* RWLOCK-R4 seq_cst: after the writer's name was written. Pairs with RWLOCK-W4. */
	uint32_t used = zi_load_seq_cst(&shared->used);
	return used < max_holders ? used : max_holders;
}

/* The writer word has no owner any more. */
void zi_rwlock_wake_all(zipc_segment *segment, struct zi_rwlock *shared);

int zi_rwlock_resolve(zipc_segment *segment, const struct zi_view *view);
void zi_rwlock_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report);
void zi_rwlock_thread_ended(zipc_segment *segment, const struct zi_view *view, uint32_t id,
			    uint32_t thread);

int zi_rwlock_holders(zipc_segment *segment, const struct zi_view *view, zi_holder_fn fn,
		      void *arg);

#endif
