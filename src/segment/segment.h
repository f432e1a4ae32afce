/* SPDX-License-Identifier: MIT */
/*
 * An attachment as this process sees it. The geometry was validated at open and is used from here
 * only; the header in the segment is never trusted for it again.
 */
#ifndef ZI_SEGMENT_SEGMENT_H
#define ZI_SEGMENT_SEGMENT_H

#include "layout.h"

#include "../base/atomic.h"

#include <zeroipc/segment.h>

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

struct zi_object;

/* On a page of its own that a forked child finds zeroed (MADV_WIPEONFORK). */
struct zi_self {
	uint32_t id;	       /* of this attachment; 0 = none yet, or a forked child's */
	uint32_t reopening;    /* a thread is just restoring query_fd */
	uint32_t fence_needed; /* wakers of this process must pass a barrier themselves */
	uint32_t guarding[2];  /* threads inside a guard, or at its CAS: directory, heap */
};

/* Pieces of such memory; see zi_wiped_new(). */
#define ZI_WIPED_SIZE  256u
#define ZI_WIPED_COUNT 1024u

#define ZI_WAITERS 64u /* threads of one attachment that zipc_interrupt() can reach at once */

struct zipc_segment {
	/* geometry, constant */
	uint8_t *base;
	uint64_t max_size;   /* bytes mapped */
	uint64_t least_size; /* what the header said at open; sizes only grow */
	uint64_t known_size; /* bytes that the file has at least */
	uint8_t *directory_blocks[ZI_DIRECTORY_BLOCKS]; /* those found so far */
	uint64_t chunks_offset;
	uint64_t first_chunk;
	uint64_t peers_offset;
	uint64_t waiters_offset;
	uint64_t hash_seed;
	uint32_t max_peers;
	uint32_t entry_stride;
	uint32_t slice_min_ms;
	uint32_t slice_max_ms;

	/* attachment, constant but for fork and reopening */
	struct zi_self *self;
	uint64_t wiped_used[ZI_WIPED_COUNT / 64]; /* pieces behind `self`, which is piece 0 */
	void *life_page;			  /* its mapping holds our lock */
	bool life_inherited; /* an emulator ignores MADV_DONTFORK: the fork handler unmaps it */
	int query_fd;	     /* asks about locks, reserves memory; holds no lock */
	dev_t device;
	ino_t inode;
	uint32_t backing;
	bool read_only;
	bool membarrier; /* sleepers of this process can make the wakers pass one */
	int64_t spin_ns;
	char path[256];		/* where it can be reopened; "" = nowhere */
	uint32_t slab_hint[32]; /* heap: per class, the slab that was used last */
	uint64_t
		*alive_cache; /* per slot: id << 40 | milliseconds until which it counts as alive */

	/* waiting */
	uint32_t interrupted;
	uint32_t interrupting;	       /* zipc_interrupt() calls under way */
	int64_t spin_budget;	       /* how long a spin may last now; adapts */
	uint32_t *waiting[ZI_WAITERS]; /* gates on which threads of this attachment sleep */

	/* under zi_process_lock() */
	uint32_t references; /* the handle, and every open structure */
	bool closed;	     /* the handle was given back */
	struct zi_object *objects;
	struct zipc_segment *next;
};

static inline struct zi_header *zi_header(const zipc_segment *segment)
{
	return (struct zi_header *)(void *)segment->base;
}

static inline struct zi_peer *zi_peer_at(const zipc_segment *segment, uint32_t slot)
{
	return (struct zi_peer *)(void *)(segment->base + segment->peers_offset) + slot;
}

/* Bytes in use now: what the header says, but never more than the file has and we have mapped. */
uint64_t zi_segment_size(zipc_segment *segment);

/*
 * More of such memory, for what must not be taken for its own by a forked child: a zeroed piece of
 * ZI_WIPED_SIZE bytes; NULL when there are none left.
 */
void *zi_wiped_new(zipc_segment *segment);
void zi_wiped_free(zipc_segment *segment, void *piece);

/* Id of this attachment, 0 when it has to attach (again). */
static inline uint32_t zi_self_id(const zipc_segment *segment)
{
	/* relaxed: written by this thread's process only, before anything is claimed with it */
	return zi_load_relaxed(&segment->self->id);
}

/*
 * The process-wide lock over handles, taken by fork too, so that a child never finds it held. Not
 * for use in signal handlers: -EDEADLK when this thread is inside already.
 */
int zi_process_lock(void);
void zi_process_unlock(void);

/* All attachments of this process; under zi_process_lock(). */
zipc_segment *zi_process_segments(void);

/* Drops one reference; the last one detaches and unmaps. */
void zi_segment_release(zipc_segment *segment);

#endif
