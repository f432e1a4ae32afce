/* SPDX-License-Identifier: MIT */
/*
 * The queue's part of the format. A queue's block is
 *
 *   0        struct zi_queue, 512 bytes
 *   512      capacity slots; small elements lie in their slot, behind the word
 *   ...      else: capacity elements, in an array of their own
 *   512      or lines: one producer, one consumer, small elements, not at-least-once
 *
 * where all sizes follow from the directory entry (element size, capacity, alignment, flags); see
 * zi_queue_geometry(). Zeroed memory is an empty queue.
 *
 * Slot word: lap 38 << 26 | owner id 24 << 2 | state 2. Position p lies in slot p mod capacity, in
 * lap p / capacity mod 2^38.
 *
 *   FREE(lap)     can be claimed for the position of this lap; all earlier ones of the slot are over
 *   CLAIMED(lap)  a producer writes; owner 0 = given up, a hole that consumers skip
 *   READY(lap)    can be taken
 *   TAKEN(lap)    a consumer reads; over when it becomes FREE(lap + 1)
 *
 * A line is 64 bytes: a word, and n elements behind it. Position p is element p mod n of line
 * p / n mod lines, in lap p / n / lines mod 2^32.
 *
 * Line word: lap 32 << 32 | open 14 << 18 | hole 14 << 4 | count 4. The first `count` elements were
 * claimed in this lap, none if the word is of another lap; bit i of `open` = element i is reserved
 * and not committed, of `hole` = it was given up.
 */
#ifndef ZI_STRUCTURE_QUEUE_LAYOUT_H
#define ZI_STRUCTURE_QUEUE_LAYOUT_H

#include "../segment/layout.h"

enum zi_slot_state {
	ZI_SLOT_FREE = 0,
	ZI_SLOT_CLAIMED = 1,
	ZI_SLOT_READY = 2,
	ZI_SLOT_TAKEN = 3,
};

#define ZI_SLOT_LAP_SHIFT 26u
#define ZI_SLOT_LAP	  (UINT64_C(1) << ZI_SLOT_LAP_SHIFT)
#define ZI_SLOT_LAP_BITS  38u
#define ZI_SLOT_LAP_MASK  ((UINT64_C(1) << ZI_SLOT_LAP_BITS) - 1)

/* Elements of fewer bytes lie in their slot, unless their alignment is beyond 8 or the queue is
 * at-least-once. */
#define ZI_QUEUE_APART_SIZE 48u
/* Slot beside an array of elements: the word, and in at-least-once mode the delivery count. */
#define ZI_QUEUE_APART_STRIDE 16u
#define ZI_QUEUE_DELIVERIES   8u /* offset of the u32 delivery count in its slot */

/* Role word: nonce 40 << 24 | owner id 24; 0 = nobody. */

#define ZI_QUEUE_LINE	   64u
#define ZI_QUEUE_LINE_MOST 14u /* elements of a line */
/* Lines beyond those that the capacity takes, at most: they keep a fast producer, which is as far
 * ahead as it may, away from the lines that the consumer is about to read. */
#define ZI_QUEUE_LINES_APART 64u

#define ZI_LINE_LAP_SHIFT  32u
#define ZI_LINE_OPEN_SHIFT 18u
#define ZI_LINE_HOLE_SHIFT 4u
#define ZI_LINE_COUNT	   UINT64_C(15)
#define ZI_LINE_BITS	   ((UINT64_C(1) << ZI_QUEUE_LINE_MOST) - 1)

/* Lines: position mod 2^40 << 24 | owner id 24 of the oldest acquisition that is not released. */
#define ZI_HELD_MASK ((UINT64_C(1) << 40) - 1)

/* Lines, once shut down: what the end is. Decided by one CAS from OPEN. */
enum zi_queue_end {
	ZI_END_OPEN = 0,
	ZI_END_DRAINED = 1,  /* nothing was there: what is published after this does not count */
	ZI_END_ACCEPTED = 2, /* the last thing that was published counts */
};

struct zi_queue {
	/* Read by everybody on every call, written rarely. */
	union {
		struct {
			uint32_t items_gate; /* consumers sleep here */
			uint32_t space_gate; /* producers sleep here */
		};
		uint64_t gates; /* both, for one look */
	};
	uint32_t shut_down; /* 1 for ever after shutdown */
	uint32_t ended;	    /* lines: enum zi_queue_end */
	uint8_t pad0[128 - 16];

	/* Written by producers. */
	uint64_t tail;	   /* hint: every position below was claimed; lines: of a line's begin */
	uint64_t producer; /* role word, single producer */
	uint32_t busy; /* single producer, slots: it is between its look at shut_down and READY */
	uint32_t pad1;
	uint64_t high_water; /* for people */
	uint8_t pad2[128 - 32];

	/* Written by consumers. */
	uint64_t head;	   /* hint: every position below was taken or skipped; lines: exact */
	uint64_t consumer; /* role word, single consumer */
	uint64_t done;	   /* at-least-once, hint: every position below is over */
	uint32_t requeued; /* at-least-once, hint: something lies below head again */
	uint32_t pad3;
	uint64_t held; /* lines: see ZI_HELD_MASK; 0 = nothing is acquired */
	uint8_t pad4[128 - 40];

	/* For people. */
	uint64_t dropped;     /* positions given up */
	uint64_t redelivered; /* handed out again */
	uint8_t pad5[128 - 16];
};

static_assert(offsetof(struct zi_queue, tail) == 128, "format");
static_assert(offsetof(struct zi_queue, head) == 256, "format");
static_assert(offsetof(struct zi_queue, dropped) == 384, "format");
static_assert(sizeof(struct zi_queue) == 512, "format");

static inline uint64_t zi_slot_make(uint64_t lap, uint32_t owner, enum zi_slot_state state)
{
	return lap << ZI_SLOT_LAP_SHIFT | (uint64_t)owner << 2 | (uint64_t)state;
}

static inline enum zi_slot_state zi_slot_state(uint64_t word)
{
	return (enum zi_slot_state)(word & 3);
}

static inline uint32_t zi_slot_owner(uint64_t word)
{
	return (uint32_t)(word >> 2) & ZI_ID_MASK;
}

static inline uint64_t zi_slot_lap(uint64_t word)
{
	return word >> ZI_SLOT_LAP_SHIFT;
}

/* a - b for laps, which count modulo 2^38. */
static inline int64_t zi_lap_difference(uint64_t a, uint64_t b)
{
	return (int64_t)((a - b) << (64 - ZI_SLOT_LAP_BITS)) >> (64 - ZI_SLOT_LAP_BITS);
}

#endif
