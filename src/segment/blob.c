/* SPDX-License-Identifier: MIT */
/* Plain memory for users: the allocating peer's until it is published, then the segment's. */
#include "care.h"
#include "heap.h"
#include "peers.h"

#include "../base/checked.h"
#include "../base/error.h"

#include <errno.h>

#define BLOB_ALIGNMENT 64u

int zipc_alloc(zipc_segment *segment, uint64_t size, uint64_t alignment, uint64_t *out_offset)
{
	if (alignment == 0)
		alignment = BLOB_ALIGNMENT;
	if (size == 0 || !zi_is_power_of_two(alignment) || alignment > ZI_CHUNK)
		return zi_fail(-EINVAL,
			       "alloc: size %llu, alignment %llu; the size must be at least 1, the "
			       "alignment a power of two up to 65536",
			       (unsigned long long)size, (unsigned long long)alignment);
	int me = zi_peer_id(segment);
	if (me < 0)
		return me;
	uint64_t tag = zi_tag_peer((uint32_t)me);
	int r = zi_heap_alloc(segment, size, alignment, tag, out_offset);
	if (r == -ENOSPC && zi_care_resolve(segment) > 0)
		r = zi_heap_alloc(segment, size, alignment, tag, out_offset);
	return r;
}

static int no_such_block(uint64_t offset)
{
	return zi_fail(-ESTALE, "no block of this process, and no published one, at offset %llu",
		       (unsigned long long)offset);
}

int zipc_publish(zipc_segment *segment, uint64_t offset)
{
	int me = zi_peer_id(segment);
	if (me < 0)
		return me;
	int r = zi_heap_retag(segment, offset, zi_tag_peer((uint32_t)me), ZI_TAG_SEGMENT);
	return r == -ESTALE ? no_such_block(offset) : r;
}

int zipc_free(zipc_segment *segment, uint64_t offset)
{
	int me = zi_peer_id(segment);
	if (me < 0)
		return me;
	int r = zi_heap_free(segment, offset, zi_tag_peer((uint32_t)me));
	if (r == -ESTALE)
		r = zi_heap_free(segment, offset, ZI_TAG_SEGMENT);
	return r == -ESTALE ? no_such_block(offset) : r;
}

void *zipc_pointer(zipc_segment *segment, uint64_t offset, uint64_t size)
{
	if (offset < segment->first_chunk || !zi_within(offset, size, zi_segment_size(segment)))
		return NULL;
	return segment->base + offset;
}
