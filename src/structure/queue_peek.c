/* SPDX-License-Identifier: MIT */
/*
 * Looking at the next element without taking it: copy, then look whether the slot word is still the
 * same. Nothing is written, so read-only attachments may.
 */
#include "queue.h"
#include "queue_lines.h"

#include "open.h"

#include "../base/copy.h"

#include <errno.h>

/* Is there anything to be skipped at this position? A peek cannot skip it for good. */
static bool is_hole(zipc_queue *queue, uint64_t word)
{
	uint32_t owner = zi_slot_owner(word);
	return zi_slot_state(word) == ZI_SLOT_CLAIMED &&
	       (owner == 0 || zi_peer_dead(queue->segment, owner) == 1);
}

/* At-least-once: would a pop deliver this one again? */
static bool comes_back(zipc_queue *queue, uint64_t word)
{
	return zi_queue_again(queue) && zi_peer_dead(queue->segment, zi_slot_owner(word)) == 1;
}

/* Copies the element at p if it is READY and stays so: 1 = done, 0 = look further, negative = end.
 */
static int peek_at(zipc_queue *queue, uint64_t position, void *out_element)
{
	const uint64_t *word = zi_queue_word(queue, position);
	uint64_t w = zi_load_acquire(word); /* QUEUE-R1 acquire, as in find_ready() */
	int64_t ahead = zi_lap_difference(zi_slot_lap(w), zi_queue_lap(queue, position));
	bool taken = zi_slot_state(w) == ZI_SLOT_TAKEN && !comes_back(queue, w);
	if (ahead > 0 || (ahead == 0 && (taken || is_hole(queue, w))))
		return 0;
	if (ahead < 0 || zi_slot_state(w) < ZI_SLOT_READY)
		return -EAGAIN;
	zi_copy_out(out_element, zi_queue_element(queue, position), queue->element_size);
	zi_read_barrier();
	return zi_load_relaxed(word) == w;
}

static int peek_once(zipc_queue *queue, void *out_element, uint64_t *head)
{
	uint64_t p = zi_queue_settle_head(queue, zi_load_relaxed(&queue->shared->head));
	if (zi_queue_again(queue))
		p = zi_queue_window_start(queue, p);
	for (uint64_t i = 0; i <= 2 * queue->mask + 1; i++) {
		*head = p + i;
		int r = peek_at(queue, p + i, out_element);
		if (r != 0)
			return r;
	}
	return -EAGAIN;
}

int zipc_queue_peek(zipc_queue *queue, void *out_element)
{
	int r = queue->segment->read_only ? 0 : zi_structure_enter(&queue->object);
	if (r < 0)
		return r;
	uint64_t head = 0;
	r = queue->lines != 0 ? zi_lines_peek(queue, out_element)
			      : peek_once(queue, out_element, &head);
	if (r == -EAGAIN && queue->lines == 0 && zi_queue_consider_end(queue) == 1) {
		r = peek_once(queue, out_element, &head);
		if (r == -EAGAIN)
			r = zi_queue_drained(queue, head);
	}
	if (queue->segment->read_only && (r == 1 || r == -EAGAIN || r == -EPIPE)) {
		int there = zi_object_still_there(&queue->object);
		r = there < 0 ? there : r;
	}
	return r < 0 ? r : 0;
}
