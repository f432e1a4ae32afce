/* SPDX-License-Identifier: MIT */
/* Lines: the consumer. See queue_lines.h. */
#include "queue_lines.h"

#include "../base/error.h"

#include <errno.h>
#include <stdlib.h>

#define AHEAD	   4u /* lines to be fetched early */
#define HOLDS_NONE UINT64_MAX

/* The fast path knows nothing of what is held, and does not look whether the queue is drained. */
static void choose_path(zipc_queue *queue)
{
	bool fast = zi_lines_fast(queue) && queue->held_from == HOLDS_NONE &&
		    zi_load_acquire(&queue->shared->ended) != ZI_END_DRAINED;
	queue->fast_out = fast ? queue->out : &zi_line_nothing;
}

/* ---- taking the role ------------------------------------------------------------------------- */

/* Makes sure that this handle is the consumer, and that queue->out is right. */
static int enter(zipc_queue *queue, uint32_t me)
{
	struct zi_queue *shared = queue->shared;
	if (zi_likely(queue->consumer == me))
		return 0;
	int r = zi_queue_take_role(queue, &shared->consumer, me, "consumer");
	if (r < 0)
		return r;
	zi_lines_drop_held(queue, zi_load_acquire(&shared->held));
	zi_line_seat(queue, queue->out, zi_load_acquire(&shared->head));
	free(queue->released);
	queue->released = NULL;
	queue->held_from = HOLDS_NONE;
	queue->consumer = me;
	choose_path(queue);
	return 0;
}

/* ---- what is acquired ------------------------------------------------------------------------ */

static bool is_released(const zipc_queue *queue, uint64_t position)
{
	return (queue->released[(position & queue->mask) / 64] >> (position & 63) & 1) != 0;
}

static void turn_released(zipc_queue *queue, uint64_t position)
{
	queue->released[(position & queue->mask) / 64] ^= UINT64_C(1) << (position & 63);
}

static uint64_t held_word(const zipc_queue *queue, uint64_t position)
{
	return (position & ZI_HELD_MASK) << ZI_ID_BITS | queue->consumer;
}

/* Gives back everything up to the oldest that is not released. */
static void settle_held(zipc_queue *queue)
{
	uint64_t head = queue->out->position, from = queue->held_from;
	while (queue->held_from != head && is_released(queue, queue->held_from))
		turn_released(queue, queue->held_from++);
	if (queue->held_from == from)
		return;
	/* LINES-W2 release, as in zi_line_get(). CRASH: what is left is given up. */
	if (queue->held_from != head) {
		zi_store_release(&queue->shared->held, held_word(queue, queue->held_from));
		return;
	}
	zi_store_release(&queue->shared->held, UINT64_C(0));
	queue->held_from = HOLDS_NONE;
	choose_path(queue);
}

static int begin_held(zipc_queue *queue, uint64_t position)
{
	if (queue->held_from != HOLDS_NONE)
		return 0;
	if (queue->released == NULL)
		queue->released = calloc(queue->mask / 64 + 1, sizeof *queue->released);
	if (queue->released == NULL)
		return zi_fail(-ENOMEM, "queue '%s': out of memory", queue->object.view.name);
	queue->held_from = position;
	choose_path(queue);
	/* LINES-W2 release: before the head that it stands for.
	 * CRASH: held, and not taken yet: it is still there, for the next consumer */
	zi_store_release(&queue->shared->held, held_word(queue, position));
	return 0;
}

/* ---- what is there --------------------------------------------------------------------------- */

/* Moves the consumer on by n elements of its line; nobody knows yet. */
static void step(zipc_queue *queue, size_t n)
{
	struct zi_line_end *end = queue->out;
	uint64_t from = end->position;
	end->next += n * queue->element_stride;
	end->position += n;
	for (size_t i = 0; i < n && queue->held_from != HOLDS_NONE; i++)
		turn_released(queue, from + i);
}

/* ... and now everybody does. */
static void publish_head(zipc_queue *queue)
{
	/* LINES-W2 release, as in zi_line_get() */
	zi_store_release(&queue->shared->head, queue->out->position);
}

static void fetch_early(const zipc_queue *queue, const uint64_t *line)
{
	const uint64_t *past = (uint64_t *)(void *)(queue->slots + queue->lines * ZI_QUEUE_LINE);
	const uint64_t *ahead = line + (size_t)AHEAD * ZI_LINE_WORDS;
	if (ahead < past)
		__builtin_prefetch(ahead);
}

bool zi_line_more(zipc_queue *queue)
{
	struct zi_line_end *end = queue->out;
	uint64_t element = end->position - end->first, n = queue->per_line;
	if (element == n) {
		zi_line_advance(queue, end);
		element = 0;
	}
	/* LINES-R1 acquire: the elements. Pairs with LINES-W1. */
	uint64_t count = zi_load_acquire(end->line) - end->word;
	/* above n: of another lap, or with something in it that is not there to be had */
	if (count > n || count <= element)
		return false;
	end->stop = zi_line_element(queue, end->line, count);
	if (count == n)
		fetch_early(queue, end->line);
	return true;
}

/* The next element is not there to be had: 1 = passed it, look again; 0 = its producer lives. */
static int pass(zipc_queue *queue, uint64_t word, bool *named)
{
	uint32_t element = (uint32_t)(queue->out->position - queue->out->first);
	if ((word & zi_line_hole(element)) == 0) {
		/* after the word: if the role is somebody else's by now, the one who reserved is
		 * gone */
		int dead = zi_queue_role_dead(queue, &queue->shared->producer);
		if (dead <= 0) {
			*named = true;
			return dead;
		}
		/* LINES-R1 acquire, after the role: it may have been committed before the end of
		 * its producer */
		if ((zi_load_acquire(queue->out->line) & zi_line_open(element)) == 0)
			return 1;
	}
	step(queue, 1);
	publish_head(queue); /* CRASH: passed or not */
	queue->out->stop = queue->out->next;
	zi_add_relaxed(&queue->shared->dropped, UINT64_C(1));
	zi_lines_popped(queue);
	return 1;
}

/* Makes sure that something is at the next element: 1; 0 = it is reserved; -EAGAIN = nothing. */
static int look(zipc_queue *queue, bool *named)
{
	struct zi_line_end *end = queue->out;
	int r = 1;
	while (r == 1) {
		if (zi_line_more(queue))
			return 1;
		/* LINES-R1 acquire, as above */
		uint64_t w = zi_load_acquire(end->line), element = end->position - end->first;
		uint32_t count = zi_line_count(w, end->word);
		if (element >= count)
			return -EAGAIN;
		if (count > queue->per_line)
			return zi_queue_damaged(queue);
		uint64_t gone = (w >> ZI_LINE_OPEN_SHIFT | w >> ZI_LINE_HOLE_SHIFT) & ZI_LINE_BITS;
		uint64_t there = (((UINT64_C(1) << count) - 1) & ~gone) >> element;
		if ((there & 1) != 0) {
			end->stop = end->next + (unsigned)__builtin_ctzll(~there) *
							(size_t)queue->element_stride;
			return 1;
		}
		r = pass(queue, w, named);
	}
	return r;
}

/* Nothing was at the head, and shut_down is 1: -EPIPE = the end; -EAGAIN = something is there now. */
static int consider_end(zipc_queue *queue)
{
	uint32_t *ended = &queue->shared->ended;
	uint64_t head = queue->out->position;
	/* LINES-R5 acquire: what was published last, if that counts. Pairs with LINES-W5. */
	uint32_t end = zi_load_acquire(ended);
	if (end == ZI_END_OPEN) {
		zi_gate_barrier_for_all(queue->segment);
		if (zi_lines_claimed(queue, head))
			return -EAGAIN;
		/* CRASH: drained, or not yet decided */
		if (zi_cas_acq_rel(ended, &end, (uint32_t)ZI_END_DRAINED))
			return -EPIPE;
	}
	return end == ZI_END_ACCEPTED && zi_lines_claimed(queue, head) ? -EAGAIN : -EPIPE;
}

/* Makes sure that something is at the next element: 0; -EAGAIN, -EPIPE, ... */
static int find(zipc_queue *queue, bool *named)
{
	struct zi_queue *shared = queue->shared;
	if (queue->out->next != queue->out->stop)
		return 0;
	for (;;) {
		/* relaxed: we said so, or whoever had the role before us */
		if (zi_unlikely(zi_load_relaxed(&shared->shut_down) != 0) &&
		    zi_load_acquire(&shared->ended) == ZI_END_DRAINED)
			break;
		int r = look(queue, named);
		if (r != -EAGAIN)
			return r == 1 ? 0 : r == 0 ? -EAGAIN : r;
		/* SHUT-R2 seq_cst, as in zi_queue_consider_end() */
		if (zi_load_seq_cst(&shared->shut_down) == 0)
			return -EAGAIN;
		if (consider_end(queue) == -EPIPE)
			break;
	}
	choose_path(queue);
	return -EPIPE;
}

/* ---- taking ---------------------------------------------------------------------------------- */

int zi_lines_popped(zipc_queue *queue)
{
	zi_gate_order(queue->self);
	if (zi_gate_occupied(&queue->shared->space_gate))
		zi_gate_wake_one(&queue->shared->space_gate);
	return 0;
}

/* Copies what is there in this line: how many. */
static size_t get_run(zipc_queue *queue, uint8_t *out_elements, size_t count)
{
	const struct zi_line_end *end = queue->out;
	size_t size = queue->element_size, stride = queue->element_stride;
	size_t left = (size_t)(end->stop - end->next) / stride, n = count < left ? count : left;
	if (size == stride)
		memcpy(out_elements, end->next, n * size);
	for (size_t i = 0; i < n && size != stride; i++)
		memcpy(out_elements + i * size, end->next + i * stride, size);
	step(queue, n);
	return n;
}

int zi_lines_pop(zipc_queue *queue, uint32_t me, uint8_t *out_elements, size_t count, bool *named)
{
	size_t done = 0;
	int r = enter(queue, me);
	while (r == 0 && done < count) {
		r = find(queue, named);
		if (r == 0)
			done += get_run(queue, out_elements + done * queue->element_size,
					count - done);
	}
	if (done == 0)
		return r;
	publish_head(queue); /* CRASH: before it all of the batch is still there */
	zi_lines_popped(queue);
	return (int)done;
}

int zi_lines_acquire(zipc_queue *queue, uint32_t me, uint64_t *position, bool *named)
{
	struct zi_line_end *end = queue->out;
	int r = enter(queue, me);
	if (r == 0)
		r = find(queue, named);
	if (r < 0)
		return r;
	*position = end->position;
	r = begin_held(queue, *position);
	if (r < 0)
		return r;
	end->next += queue->element_stride;
	end->position++;
	/* LINES-W2 release: after held. CRASH: taken, and given up with us. */
	zi_store_release(&queue->shared->head, end->position);
	return 0;
}

bool zi_lines_acquired(const zipc_queue *queue, uint32_t me, uint64_t position)
{
	return queue->consumer == me && queue->held_from != HOLDS_NONE &&
	       position - queue->held_from < queue->out->position - queue->held_from &&
	       !is_released(queue, position);
}

void zi_lines_release(zipc_queue *queue, uint64_t position)
{
	turn_released(queue, position);
	settle_held(queue);
	zi_lines_popped(queue);
}
