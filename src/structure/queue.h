/* SPDX-License-Identifier: MIT */
/*
 * The queue's private handle, and what its files share. The invariants:
 *
 *   I1  Position p is claimed only by one who saw that p - 1 was claimed; taken likewise. So order,
 *       full and empty are decided by the slot words; head, tail and done are hints that were true
 *       once: every position below them is claimed, taken, over.
 *   I2  A claim writes its owner into the word it takes: by CAS where several may try, by a store where
 *       the role says that nobody else does.
 *   I3  Between claim and publish only the owner changes a word, and only it touches the element;
 *       unless the owner is dead.
 *   I4  CLAIMED(dead or 0) becomes FREE of the next lap, by whoever stands at the head. TAKEN(dead)
 *       becomes FREE of the next lap (dropped), or READY again (at-least-once).
 *
 * Orders: READY is stored with release and read with acquire (QUEUE-W1, QUEUE-R1: the element);
 * FREE likewise (QUEUE-W2, QUEUE-R2: the reader is done with it). Claims by CAS are seq_cst because
 * the look at shut_down must come after (see queue_push.c); takes acquire.
 *
 * A queue of one producer and one consumer with small elements has lines in place of slots: see
 * queue_lines.h.
 */
#ifndef ZI_STRUCTURE_QUEUE_H
#define ZI_STRUCTURE_QUEUE_H

#include "queue_layout.h"

#include "../base/atomic.h"
#include "../segment/directory.h"
#include "../segment/peers.h"
#include "../wait/gate.h"

#include <zeroipc/queue.h>

#include <string.h>

#define ZI_HINT_EVERY 64u /* single roles store their hint, and everybody samples, this often */

struct zi_queue_geometry {
	uint64_t slots;	   /* offset of the first slot */
	uint64_t elements; /* offset of the first element */
	uint64_t slot_stride;
	uint64_t element_stride;
	uint64_t size;	   /* of the block */
	uint64_t lines;	   /* 0 = it has slots */
	uint32_t per_line; /* elements */
	uint32_t shift;	   /* capacity = 1 << shift */
};

#define ZI_QUEUE_NO_ID	     UINT32_MAX
#define ZI_QUEUE_FAST_STRIDE 16u
#define ZI_QUEUE_FAST_WORDS  (ZI_QUEUE_FAST_STRIDE / sizeof(uint64_t))

/*
 * Lines: where the producer, or the consumer, is. The two lie in memory that a forked child finds
 * zeroed, so that next == stop there, and no fast path goes on in the parent's place.
 */
struct zi_line_end {
	uint8_t *next; /* the element that is next */
	uint8_t *stop; /* up to here all is known to be free, or there */
	struct zi_queue *shared;
	uint64_t *line;
	uint64_t word;	   /* producer: the line's word; consumer: the same, but only its lap */
	uint64_t first;	   /* position of the line's first element */
	uint64_t position; /* consumer: of the next element, as head */
	uint64_t freed;	   /* producer: every position below was free when it last looked */
	uint64_t pad[8];
};

static_assert(sizeof(struct zi_line_end) == 128, "each on lines of its own");

struct zipc_queue {
	struct zi_object object;

	/* constant after open; all that a call needs, on one line */
	_Alignas(128) struct zi_queue *shared;
	const struct zi_self *self;
	struct zi_line_end *fast_in;
	struct zi_line_end *fast_out;
	uint8_t *slots;
	uint8_t *elements;
	uint64_t mask; /* capacity - 1 */
	uint32_t slot_stride;
	uint32_t element_stride;
	uint32_t element_size;
	uint32_t shift; /* capacity = 1 << shift */
	uint32_t flags;
	uint32_t per_line;
	uint64_t lines;		 /* 0 = it has slots */
	uint32_t fast_many_push; /* the id for which the fast path of many producers is good */
	uint32_t fast_many_pop;	 /* ... of many consumers */

	zipc_segment *segment;
	uint64_t nonce; /* tells this handle's roles from those of another handle of the process */

	/* lines: where the ends are, and the same for the fast paths; or, when those are not good, an
	 * end at which there is never anything to do */
	struct zi_line_end *in;
	struct zi_line_end *out;
	bool wiped; /* they lie in such memory; else there was none left, and no fast path */
	uint64_t held_from; /* the oldest acquisition that is not released */
	uint64_t *released; /* a bit for each position from there on, once needed */

	/* the single producer's own */
	_Alignas(128) uint64_t tail; /* slots: the next position */
	uint32_t producer;	     /* the id for which the role is ours, or ZI_QUEUE_NO_ID */

	/* the single consumer's own */
	_Alignas(128) uint64_t head;
	uint32_t consumer;
	int64_t looked_ns; /* at-least-once: when the window was looked through last */
};

/* Sizes of a queue; false when such a queue cannot be. */
bool zi_queue_geometry(uint64_t element_size, uint64_t capacity, uint32_t alignment, uint32_t flags,
		       struct zi_queue_geometry *out);

/* Makes the handle's pointers from object.view: 0 or -EBADMSG. */
int zi_queue_bind(zipc_queue *queue, zipc_segment *segment);

int zi_queue_resolve(zipc_segment *segment, const struct zi_view *view);
void zi_queue_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report);

/*
 * Settled hints: the first position that is not claimed, not taken. From a hint of any age,
 * O(log capacity).
 */
uint64_t zi_queue_settle_tail(const zipc_queue *queue, uint64_t hint);
uint64_t zi_queue_settle_head(const zipc_queue *queue, uint64_t hint);

/*
 * At-least-once: the first position below the head that may not be over. Never more than a capacity
 * below it; too low costs looking, and it is never too high.
 */
static inline uint64_t zi_queue_window_start(const zipc_queue *queue, uint64_t head)
{
	uint64_t capacity = queue->mask + 1;
	/* relaxed: a hint */
	uint64_t done = zi_load_relaxed(&queue->shared->done);
	return head - done > capacity ? head - capacity : done;
}

/* Is nobody alive behind this role? 1, 0, or what asking says. */
int zi_queue_role_dead(const zipc_queue *queue, const uint64_t *role);

/* Takes a single role for this handle: 0; -EBUSY while a living process has it; -EBADF. */
int zi_queue_take_role(zipc_queue *queue, uint64_t *role, uint32_t me, const char *what);
void zi_queue_drop_role(zipc_queue *queue, uint64_t *role, uint32_t id);

/* What a consumer that died had taken is given up, or can be taken again. True = this call did it.
 */
bool zi_queue_heal_taken(zipc_queue *queue, uint64_t *word, uint64_t seen);

/*
 * Nothing was at the head. -EPIPE when nothing will ever come; 1 = look at the head once more, now
 * that shut_down was read; else -EAGAIN.
 */
int zi_queue_consider_end(zipc_queue *queue);

/*
 * `head` was reached after shut_down was read, and nothing was ready there. Drained, if its slot
 * was not even claimed (else somebody is at work, or has just moved on), and if nobody may still
 * requeue.
 */
int zi_queue_drained(const zipc_queue *queue, uint64_t head);

/* The words say what cannot be. */
int zi_queue_damaged(const zipc_queue *queue);

static inline uint64_t *zi_queue_word(const zipc_queue *queue, uint64_t position)
{
	return (uint64_t *)(void *)(queue->slots + (position & queue->mask) * queue->slot_stride);
}

static inline uint8_t *zi_queue_element(const zipc_queue *queue, uint64_t position)
{
	return queue->elements + (position & queue->mask) * queue->element_stride;
}

static inline uint64_t zi_queue_lap(const zipc_queue *queue, uint64_t position)
{
	/* arithmetic: positions just below 0 are of lap -1 */
	return (uint64_t)((int64_t)position >> queue->shift) & ZI_SLOT_LAP_MASK;
}

/* The word that position p has in this state. */
static inline uint64_t zi_queue_state(const zipc_queue *queue, uint64_t position, uint32_t owner,
				      enum zi_slot_state state)
{
	return zi_slot_make(zi_queue_lap(queue, position), owner, state);
}

/* ... and the one that ends it: the slot is free for the position one lap later. */
static inline uint64_t zi_queue_over(const zipc_queue *queue, uint64_t position)
{
	return zi_slot_make(zi_queue_lap(queue, position) + 1, 0, ZI_SLOT_FREE);
}

static inline uint32_t *zi_queue_deliveries(const zipc_queue *queue, uint64_t position)
{
	return (uint32_t *)(void *)((uint8_t *)zi_queue_word(queue, position) +
				    ZI_QUEUE_DELIVERIES);
}

static inline bool zi_queue_again(const zipc_queue *queue)
{
	return (queue->flags & ZIPC_QUEUE_AT_LEAST_ONCE) != 0;
}

/* Does this queue's one consumer pop without a CAS? */
static inline bool zi_queue_plain_consumer(const zipc_queue *queue)
{
	return (queue->flags & (ZIPC_QUEUE_SINGLE_CONSUMER | ZIPC_QUEUE_AT_LEAST_ONCE)) ==
	       ZIPC_QUEUE_SINGLE_CONSUMER;
}

/* Stores a hint that is true, unless a better one is there. A late store may move it back. */
static inline void zi_queue_hint(uint64_t *hint, uint64_t position)
{
	/* relaxed: a hint; the slot words decide */
	if ((int64_t)(position - zi_load_relaxed(hint)) > 0)
		zi_store_relaxed(hint, position);
}

/*
 * Is this a queue for the fast paths: elements of 8 bytes in their slots, no delivery counts, and
 * no barrier of our own needed before a gate is looked at?
 */
static inline bool zi_queue_fast(const zipc_queue *queue)
{
	return queue->element_size == 8 && queue->slot_stride == ZI_QUEUE_FAST_STRIDE &&
	       (queue->flags & ZIPC_QUEUE_AT_LEAST_ONCE) == 0 &&
	       zi_load_relaxed(&queue->self->fence_needed) == 0;
}

/* After publishing or freeing a slot: does anybody perhaps sleep at either gate? */
static inline bool zi_queue_gates_occupied(const zipc_queue *queue)
{
	zi_gate_order(queue->self);
	return zi_gates_occupied(&queue->shared->gates);
}

#endif
