/* SPDX-License-Identifier: MIT */
/*
 * Lines: queues of one producer and one consumer with small elements. A cache line holds a word and
 * as many elements as fit; the word says how many are there, so one line carries both the news and
 * the elements to the other core, and the consumer, who writes to no line, reads the word once for
 * all of them. Each end belongs to one handle, whose owner is in its role word.
 *
 *   push   writes the element, then stores the word with a count of one more
 *   pop    copies the element, then stores head, one more: exact, so the producer knows what is free
 *
 *   J1  Only the holder of the producer's role writes words and elements; only the holder of the
 *       consumer's role writes head and held. A role is taken over only from the dead.
 *   J2  Position p is written only when p < freed + capacity, where freed is head or, if something
 *       older is acquired, held. The ring has a line more than the capacity takes at least, so a
 *       line's word is of an old lap only when all its elements are over.
 *   J3  What is reserved is counted at once, with its bit in `open` until commit. `open` of a dead
 *       producer is a hole: the consumer passes it, and the next producer makes it one.
 *   J4  The end. A producer looks at shut_down after it published; if that is set, one CAS on
 *       `ended` decides that what was published last counts. The consumer, having read shut_down,
 *       passed a barrier for both sides and found nothing, says "drained" by the same CAS, and takes
 *       nothing any more. So either the consumer finds what was published, or one of the two has
 *       decided for both; and if "drained" came first, the head says what was taken before.
 *
 * Orders: the word is stored with release and read with acquire (LINES-W1, LINES-R1: the elements);
 * head and held likewise (LINES-W2, LINES-R2: the reader is done with them).
 *
 * After M. Thompson's and others' single-writer rings with cached positions, and after FastForward
 * (J. Giacomoni et al., PPoPP 2008) for telling by the line itself what is in it.
 */
#ifndef ZI_STRUCTURE_QUEUE_LINES_H
#define ZI_STRUCTURE_QUEUE_LINES_H

#include "queue.h"

#define ZI_LINE_WORDS (ZI_QUEUE_LINE / sizeof(uint64_t))

/* ---- geometry and words ---------------------------------------------------------------------- */

static inline uint64_t *zi_line_at(const zipc_queue *queue, uint64_t position)
{
	uint64_t line = position / queue->per_line % queue->lines;
	return (uint64_t *)(void *)(queue->slots + line * ZI_QUEUE_LINE);
}

/* The word of the line of this position, with a count of 0. */
static inline uint64_t zi_line_lap(const zipc_queue *queue, uint64_t position)
{
	return position / queue->per_line / queue->lines << ZI_LINE_LAP_SHIFT;
}

static inline bool zi_line_same_lap(uint64_t word, uint64_t lap)
{
	return (word ^ lap) >> ZI_LINE_LAP_SHIFT == 0;
}

/* How many elements it says there are in this lap; above per_line = damaged. */
static inline uint32_t zi_line_count(uint64_t word, uint64_t lap)
{
	return zi_line_same_lap(word, lap) ? (uint32_t)(word & ZI_LINE_COUNT) : 0;
}

static inline uint64_t zi_line_open(uint32_t element)
{
	return UINT64_C(1) << (ZI_LINE_OPEN_SHIFT + element);
}

static inline uint64_t zi_line_hole(uint32_t element)
{
	return UINT64_C(1) << (ZI_LINE_HOLE_SHIFT + element);
}

/* Where an element lies, in a queue of either kind. */
static inline void *zi_queue_place(const zipc_queue *queue, uint64_t position)
{
	if (queue->lines == 0)
		return zi_queue_element(queue, position);
	return (uint8_t *)(zi_line_at(queue, position) + 1) +
	       position % queue->per_line * queue->element_stride;
}

static inline uint8_t *zi_line_element(const zipc_queue *queue, uint64_t *line, uint64_t element)
{
	return (uint8_t *)(line + 1) + element * queue->element_stride;
}

/* A new handle's two ends: 0 or -ENOMEM. */
int zi_lines_bind(zipc_queue *queue);
void zi_lines_unbind(zipc_queue *queue);

/* Puts an end at a position; nothing is known to be free, or there. */
void zi_line_seat(const zipc_queue *queue, struct zi_line_end *end, uint64_t position);

/* To the next line, when all of this one is done. */
void zi_line_advance(const zipc_queue *queue, struct zi_line_end *end);

/* Is this a queue for the fast paths, which do one thing each? */
static inline bool zi_lines_fast(const zipc_queue *queue)
{
	return queue->wiped && queue->element_size == 8 &&
	       zi_load_relaxed(&queue->self->fence_needed) == 0;
}

/* No fast path finds anything to do here. */
extern struct zi_line_end zi_line_nothing;

/* The first position that is not claimed. From any hint; as many steps as there are lines at most.
 */
uint64_t zi_lines_tail(const zipc_queue *queue);

/* Was this position claimed? */
bool zi_lines_claimed(const zipc_queue *queue, uint64_t position);

/* What was acquired before by one who is dead, or closed its handle, is given up. */
void zi_lines_drop_held(zipc_queue *queue, uint64_t held);

/* What was reserved and not committed becomes holes; by the holder of the producer's role. */
void zi_lines_close_open(zipc_queue *queue, uint64_t head, uint64_t tail);

/* Has the producer no room? */
bool zi_lines_full(const zipc_queue *queue);

int zi_lines_peek(zipc_queue *queue, void *out_element);
int zi_lines_resolve(zipc_queue *queue);
void zi_lines_verify(zipc_queue *queue, struct zi_report *report);

/* ---- the producer ---------------------------------------------------------------------------- */

/* Linearisation point of push: writes and publishes one element of 8 bytes, for which there is
 * room. */
static inline void zi_line_put(struct zi_line_end *end, const void *element)
{
	uint64_t word = end->word + 1;
	memcpy(end->next, element, 8);
	end->next += 8;
	end->word = word;
	/* LINES-W1 release: publishes the element. Pairs with LINES-R1.
	 * CRASH: before this store nothing of it can be seen. */
	zi_store_release(end->line, word);
}

static inline uint64_t zi_line_tail(const struct zi_line_end *end)
{
	return end->first + (end->word & ZI_LINE_COUNT);
}

/* Is there room at the next element, as far as is known? */
bool zi_line_room(zipc_queue *queue);

/* Did somebody go to sleep meanwhile, or shut the queue down? After zi_gate_order(). */
static inline bool zi_line_news(const struct zi_queue *shared)
{
	/* LINES-R3 relaxed: after LINES-W1, by the barrier here or by the one that the consumer
	 * makes this core pass. Pairs with SHUT-W1. */
	return zi_gate_occupied(&shared->items_gate) || zi_load_relaxed(&shared->shut_down) != 0;
}

/* After publishing the last `count` elements, when there is news: how many of them count. */
uint32_t zi_lines_pushed(zipc_queue *queue, uint32_t count);

/* The attempts: how many were pushed; 0 for reserve; -EAGAIN, -EPIPE, -EBUSY, ... */
int zi_lines_push(zipc_queue *queue, uint32_t me, const uint8_t *elements, size_t count,
		  bool *named);
int zi_lines_reserve(zipc_queue *queue, uint32_t me, uint64_t *position, bool *named);

/* Is it a reservation of this handle? Then it can be finished: committed, or made a hole. */
bool zi_lines_reserved(const zipc_queue *queue, uint32_t me, uint64_t position);
void zi_lines_finish(zipc_queue *queue, uint64_t position, bool hole);

/* ---- the consumer ---------------------------------------------------------------------------- */

/* Is anything at the next element? False does not mean that there is nothing. */
bool zi_line_more(zipc_queue *queue);

/* The same for elements of 8 bytes, if it is in this line. There is none where a fork wiped it. */
static inline bool zi_line_more_here(struct zi_line_end *end)
{
	uint64_t *line = end->line;
	if (line == NULL)
		return false;
	/* LINES-R1 acquire, as in zi_line_more() */
	uint64_t count = zi_load_acquire(line) - end->word;
	if (count >= ZI_LINE_WORDS || count <= end->position - end->first)
		return false;
	end->stop = (uint8_t *)(line + 1 + count);
	return true;
}

/* Linearisation point of pop: copies the next element of 8 bytes, which is there, and moves on. */
static inline void zi_line_get(struct zi_line_end *end, void *out_element)
{
	uint64_t position = end->position + 1;
	memcpy(out_element, end->next, 8);
	end->next += 8;
	end->position = position;
	/* LINES-W2 release: we are done with the element. Pairs with LINES-R2.
	 * CRASH: before this store it is still there, for the next consumer. */
	zi_store_release(&end->shared->head, position);
}

/* After moving on, when the producer may sleep. Returns 0. */
int zi_lines_popped(zipc_queue *queue);

int zi_lines_pop(zipc_queue *queue, uint32_t me, uint8_t *out_elements, size_t count, bool *named);
int zi_lines_acquire(zipc_queue *queue, uint32_t me, uint64_t *position, bool *named);
bool zi_lines_acquired(const zipc_queue *queue, uint32_t me, uint64_t position);
void zi_lines_release(zipc_queue *queue, uint64_t position);

#endif
