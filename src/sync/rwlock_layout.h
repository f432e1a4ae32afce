/* SPDX-License-Identifier: MIT */
/*
 * The rwlock's part of the format. The block is struct zi_rwlock, then max_holders readers, which is
 * the entry's capacity. Zeroed memory is a free one.
 *
 * Writer word: owner 48 | flags 4 << 60.
 *
 *   0                 no writer
 *   owner             it keeps new readers out and waits for those inside to leave; or has just
 *                     finished and lets the waiting ones in
 *   owner, ACTIVE     it writes
 *   SUSPECT           a writer died while ACTIVE; with an owner: it has not said yet that all is well
 *   LOST              released while SUSPECT; for ever
 *
 * Reader word: owner 48 | count 12 << 48 | WAITING << 60. No thread has more than one of them.
 *
 *   count > 0         reads, count times; or is about to find out that there is a writer
 *   WAITING           wants to; the next writer that leaves makes it count 1
 *   neither           free for anybody, and the owner's first choice
 */
#ifndef ZI_SYNC_RWLOCK_LAYOUT_H
#define ZI_SYNC_RWLOCK_LAYOUT_H

#include "owner.h"

struct zi_rwlock {
	uint64_t writer;
	uint32_t readers_gate; /* readers sleep here until there is no writer */
	uint32_t writers_gate; /* writers, likewise */
	uint32_t drain_gate;   /* the writer, until there are no readers */
	uint32_t used;	       /* no reader from here on was ever used; only grows */
	uint8_t pad[128 - 24];
	struct zi_named readers[];
};

static_assert(offsetof(struct zi_rwlock, used) == 20, "format");
static_assert(sizeof(struct zi_rwlock) == 128, "format");

#define ZI_WRITER_ACTIVE  (UINT64_C(1) << 60)
#define ZI_WRITER_SUSPECT (UINT64_C(1) << 61)
#define ZI_WRITER_LOST	  (UINT64_C(1) << 62)

#define ZI_READER_ONE	     (UINT64_C(1) << ZI_OWNER_BITS)
#define ZI_READER_COUNT_MASK (UINT64_C(0xfff) << ZI_OWNER_BITS)
#define ZI_READER_WAITING    (UINT64_C(1) << 60)
#define ZI_READER_BUSY	     (ZI_READER_COUNT_MASK | ZI_READER_WAITING)

#endif
