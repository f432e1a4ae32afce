/* SPDX-License-Identifier: MIT */
/*
 * The segment's own part of the format, version 3 (docs/format.md). All numbers little-endian, all
 * places byte offsets from the start of the segment.
 *
 *   0            header, 4096 bytes
 *   peers        peer table, max_peers entries of 128 bytes
 *   waiters      who sleeps where, for people: 8 entries of 32 bytes for each peer
 *   directory    first block of directory entries
 *   chunks       chunk table, one word per 64 KiB of max_size; sparse beyond the current size
 *   first_chunk  the heap: chunks of 64 KiB up to the current size
 */
#ifndef ZI_SEGMENT_LAYOUT_H
#define ZI_SEGMENT_LAYOUT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include <zeroipc/common.h>

#define ZI_MAGIC       UINT32_C(0x4d50495a) /* "ZIPM" */
#define ZI_BYTE_ORDER  UINT32_C(0x01020304)
#define ZI_HEADER_SIZE 4096u
#define ZI_PAGE	       4096u
#define ZI_LINE	       64u

#define ZI_PEERS_MAX	    4096u
#define ZI_CHUNK_SHIFT	    16u
#define ZI_CHUNK	    (UINT64_C(1) << ZI_CHUNK_SHIFT)
#define ZI_GROW_STEP	    (UINT64_C(2) << 20)
#define ZI_MAX_SIZE_LEAST   (UINT64_C(256) << 10)
#define ZI_MAX_SIZE_MOST    (UINT64_C(1) << 36) /* the chunk word counts runs in 21 bits */
#define ZI_DIRECTORY_FIRST  64u			/* entries in block 0; block k has 64 << k */
#define ZI_DIRECTORY_BLOCKS 14u
#define ZI_ENTRIES_MAX	    (ZI_DIRECTORY_FIRST * ((1u << ZI_DIRECTORY_BLOCKS) - 1))

/* header.flags */
#define ZI_SEGMENT_NO_MEMBARRIER 1u

/* ---- ids -------------------------------------------------------------------------------------
 * A peer id is slot << 12 | generation. Generation 0 never names anyone. Ordinary attachments use
 * 1 to ZI_GENERATION_LAST; the rest is for those that sweep a slot before it starts over.
 */
#define ZI_GENERATION_BITS  12u
#define ZI_GENERATION_MASK  0xfffu
#define ZI_GENERATION_LAST  3999u
#define ZI_GENERATION_SWEEP 4000u
#define ZI_ID_BITS	    24u
#define ZI_ID_MASK	    0xffffffu

static inline uint32_t zi_id_slot(uint32_t id)
{
	return id >> ZI_GENERATION_BITS;
}

static inline uint32_t zi_id_generation(uint32_t id)
{
	return id & ZI_GENERATION_MASK;
}

static inline uint32_t zi_id_make(uint32_t slot, uint32_t generation)
{
	return slot << ZI_GENERATION_BITS | generation;
}

/* ---- header -------------------------------------------------------------------------------- */

struct zi_header {
	/* Constant after birth; validated once at open and copied into the private handle. */
	uint32_t magic;
	uint32_t version;
	uint32_t byte_order;
	uint32_t header_size;
	uint64_t features_compatible;	/* unknown bits are ignored */
	uint64_t features_read_only;	/* unknown bits: read-only attachments still may */
	uint64_t features_incompatible; /* unknown bits: nobody may */
	uint32_t page_size;
	uint32_t line_size;
	uint8_t uuid[16];
	uint8_t boot_id[16]; /* of the boot in which it was created */
	uint64_t max_size;
	uint64_t peers_offset;
	uint64_t directory_offset; /* block 0 */
	uint64_t chunks_offset;
	uint64_t first_chunk; /* offset of the heap, a multiple of the chunk size */
	uint32_t max_peers;
	uint32_t peer_stride;
	uint32_t entry_stride;
	uint32_t directory_first;
	uint64_t hash_seed;
	uint64_t created_ns; /* CLOCK_REALTIME */
	uint32_t creator_pid;
	uint32_t creator_uid;
	uint32_t slice_min_ms;
	uint32_t slice_max_ms;
	uint32_t flags;
	uint32_t chunk_shift;
	char name[ZIPC_NAME_MAX + 1];
	uint64_t waiters_offset;
	uint32_t waiters_per_peer;
	uint32_t waiter_stride;
	uint8_t pad0[1024 - 256];

	/* Changing; each group on a line of its own. */
	uint64_t size; /* bytes in use of the file; grows; written under heap_lock */
	uint8_t pad1[ZI_LINE - 8];
	uint64_t heap_lock;  /* guard word */
	uint32_t chunk_hint; /* no free chunk lies below; a hint */
	uint8_t pad2[ZI_LINE - 12];
	uint64_t directory_lock; /* guard word */
	uint8_t pad3[ZI_LINE - 8];
	/* offsets of the blocks from 1 on, 0 = not there yet; [0] is unused. Each is written once,
	 * under directory_lock. */
	uint64_t directory_blocks[ZI_DIRECTORY_BLOCKS];
	uint32_t peer_cursor; /* where the next attacher looks first */
	uint8_t pad4[ZI_HEADER_SIZE - 1024 - 3 * ZI_LINE - 116];
};

static_assert(offsetof(struct zi_header, uuid) == 48, "format");
static_assert(offsetof(struct zi_header, max_size) == 80, "format");
static_assert(offsetof(struct zi_header, max_peers) == 120, "format");
static_assert(offsetof(struct zi_header, hash_seed) == 136, "format");
static_assert(offsetof(struct zi_header, name) == 176, "format");
static_assert(offsetof(struct zi_header, waiters_offset) == 240, "format");
static_assert(offsetof(struct zi_header, size) == 1024, "format");
static_assert(offsetof(struct zi_header, heap_lock) == 1088, "format");
static_assert(offsetof(struct zi_header, directory_lock) == 1152, "format");
static_assert(offsetof(struct zi_header, directory_blocks) == 1216, "format");
static_assert(offsetof(struct zi_header, peer_cursor) == 1328, "format");
static_assert(sizeof(struct zi_header) == ZI_HEADER_SIZE, "format");

/* ---- peers --------------------------------------------------------------------------------- */

/* For people, but for the generation, which only the holder of the slot's lock raises. */
struct zi_peer {
	union {
		struct {
			uint32_t generation; /* of the last attachment of this slot */
			uint32_t pid;	     /* 0 = detached in good order, or swept away */
		};
		uint64_t row; /* both, for gc */
	};
	uint32_t uid;
	uint32_t pad0;
	uint64_t attached_ns; /* CLOCK_REALTIME */
	char command[64];
	uint8_t pad1[128 - 88];
};

static_assert(offsetof(struct zi_peer, pid) == 4, "format");
static_assert(offsetof(struct zi_peer, uid) == 8, "format");
static_assert(sizeof(struct zi_peer) == 128, "format");

/* ---- waiters -------------------------------------------------------------------------------
 * For people: a thread that goes to sleep writes down where, in an entry of its own peer's slot. One
 * that finds them all taken is not listed. Nothing else is ever decided by them.
 */
#define ZI_WAITERS_PER_PEER 8u

struct zi_waiter {
	uint64_t owner;	   /* thread 24 << 24 | peer id 24; 0 = free */
	uint64_t gate;	   /* offset of the word it sleeps at; 0 = it is just coming or going */
	uint64_t since_ns; /* CLOCK_MONOTONIC */
	uint64_t pad;
};

static_assert(sizeof(struct zi_waiter) == 32, "format");

/* ---- directory ------------------------------------------------------------------------------
 * A block is a line-aligned array of name hashes, one u64 per entry, 0 = no name, followed by the
 * entries. state = generation << 32 | owner << 8 | state.
 */
enum zi_entry_state {
	ZI_ENTRY_FREE = 0,
	ZI_ENTRY_CLAIMED = 1,	/* owner builds it */
	ZI_ENTRY_PUBLISHED = 2, /* can be opened */
	ZI_ENTRY_REMOVED = 3,	/* has no name any more; memory lives until nobody has it open */
	ZI_ENTRY_FREEING = 4,	/* owner gives its memory back */
};

struct zi_entry {
	uint64_t state;
	uint32_t type;	/* ZIPC_TYPE_* */
	uint32_t flags; /* of the type */
	uint64_t offset;
	uint64_t size;
	uint64_t element_size;
	uint64_t capacity;
	uint32_t alignment;
	uint32_t creator_pid;
	uint64_t created_ns;
	char name[ZIPC_NAME_MAX + 1];
	char schema[ZIPC_SCHEMA_MAX + 1];
	uint8_t pad[320 - 256];
	uint64_t handles[]; /* bit per peer slot: has it open */
};

static_assert(offsetof(struct zi_entry, name) == 64, "format");
static_assert(sizeof(struct zi_entry) == 320, "format");

static inline uint64_t zi_entry_word(uint32_t generation, uint32_t owner, enum zi_entry_state state)
{
	return (uint64_t)generation << 32 | (uint64_t)owner << 8 | (uint64_t)state;
}

static inline enum zi_entry_state zi_entry_state(uint64_t word)
{
	return (enum zi_entry_state)(word & 0xff);
}

static inline uint32_t zi_entry_owner(uint64_t word)
{
	return (uint32_t)(word >> 8) & ZI_ID_MASK;
}

static inline uint32_t zi_entry_generation(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

/* ---- heap -----------------------------------------------------------------------------------
 * Who a piece of memory belongs to is said by a 40-bit tag: kind << 38 | 38 bits.
 * A chunk word is tag 40 << 24 | argument 21 << 3 | state 3; a slab's block has a word of its own,
 * tag << 1 | 1; 0 = free.
 */
enum zi_chunk_state {
	ZI_CHUNK_FREE = 0,
	ZI_CHUNK_RUN = 1, /* first chunk of a block; argument = number of chunks */
	ZI_CHUNK_BODY =
		2, /* a further chunk of a block, or of a run that is being taken or freed */
	ZI_CHUNK_SLAB = 3, /* small blocks; argument = size class, and bit 5: it looked full; tag =
			      place of its words: ledger chunk << 4 | part */
	ZI_CHUNK_LEDGER = 4, /* the words of 16 slabs; argument = parts in use, a bit each */
	ZI_CHUNK_TABLE = 5,  /* header and tables */
};

enum zi_tag_kind {
	ZI_TAG_SEGMENT = 0, /* published blob or the segment's own; ends by an explicit free */
	ZI_TAG_PEER = 1,    /* unpublished blob of a peer: 24 bits id */
	ZI_TAG_ENTRY = 2,   /* a structure's: entry 20 bits << 18 | generation 18 bits */
};

#define ZI_TAG_GENERATION_MASK 0x3ffffu
#define ZI_SLAB_WORDS	       512u /* words of a slab, whatever its class */
#define ZI_LEDGER_SLABS	       16u
#define ZI_SLAB_FULL	       32u

static inline uint64_t zi_tag_peer(uint32_t id)
{
	return (uint64_t)ZI_TAG_PEER << 38 | id;
}

static inline uint64_t zi_tag_entry(uint32_t entry, uint32_t generation)
{
	return (uint64_t)ZI_TAG_ENTRY << 38 | (uint64_t)entry << 18 |
	       (generation & ZI_TAG_GENERATION_MASK);
}

static inline uint64_t zi_chunk_word(enum zi_chunk_state state, uint32_t argument, uint64_t tag)
{
	return tag << 24 | (uint64_t)argument << 3 | (uint64_t)state;
}

static inline enum zi_chunk_state zi_chunk_state(uint64_t word)
{
	return (enum zi_chunk_state)(word & 7);
}

static inline uint32_t zi_chunk_argument(uint64_t word)
{
	return (uint32_t)(word >> 3) & 0x1fffff;
}

static inline uint64_t zi_chunk_tag(uint64_t word)
{
	return word >> 24;
}

#endif
