/* SPDX-License-Identifier: MIT */
/*
 * Heap: 64 KiB chunks, one word per chunk in a side table; small blocks are cut from slabs, whose
 * words lie out of band in ledger chunks. No headers beside users' bytes, no free lists: a free run
 * is what the table shows. All changes happen under the heap guard, each as one store that leaves a
 * valid state; every block says by its tag whom it belongs to, so what the dead leave is found by
 * looking.
 */
#ifndef ZI_SEGMENT_HEAP_H
#define ZI_SEGMENT_HEAP_H

#include "type.h"

/*
 * Takes a zeroed block. `alignment` is a power of two up to 64 KiB. 0; -ENOSPC (with a sentence);
 * -EINVAL; or what the guard says. CRASH: the tag says that it was ours.
 */
int zi_heap_alloc(zipc_segment *segment, uint64_t size, uint64_t alignment, uint64_t tag,
		  uint64_t *out_offset);

/* Frees the block at offset if it still carries this tag: 0, -ESTALE, or what the guard says. */
int zi_heap_free(zipc_segment *segment, uint64_t offset, uint64_t tag);

/* Frees every block with this tag: how many, or what the guard says. */
int zi_heap_free_tag(zipc_segment *segment, uint64_t tag);

/* Changes a block's tag: 0, -ESTALE when it carries neither `from` nor `to`. */
int zi_heap_retag(zipc_segment *segment, uint64_t offset, uint64_t from, uint64_t to);

/* Frees what belongs to dead peers and to entries that are gone; call under the directory guard. */
int zi_heap_resolve(zipc_segment *segment);

/* Bytes in chunks that are not free; a moment's view, no lock. */
uint64_t zi_heap_used(zipc_segment *segment);

void zi_heap_verify(zipc_segment *segment, struct zi_report *report);

/* Bytes of the file that are reserved when its size is `size` (the chunk table is sparse). */
uint64_t zi_heap_reserved(zipc_segment *segment, uint64_t size);

#endif
