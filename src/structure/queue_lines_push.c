/* SPDX-License-Identifier: MIT */
/* Lines: the producer. See queue_lines.h. */
#include "queue_lines.h"

#include <errno.h>

/* ---- taking the role ------------------------------------------------------------------------- */

/* Puts queue->in at the tail; false = the words cannot be. With the role. */
static bool seat_at_tail(zipc_queue *queue)
{
	struct zi_queue *shared = queue->shared;
	struct zi_line_end *end = queue->in;
	uint64_t tail = zi_lines_tail(queue), head = zi_load_acquire(&shared->head);
	if (tail - head > queue->mask + 1)
		return false;
	zi_lines_close_open(queue, head, tail);
	zi_line_seat(queue, end, tail);
	uint64_t w = zi_load_relaxed(end->line); /* ours now */
	if (zi_line_same_lap(w, end->word)) {
		if ((w & ZI_LINE_COUNT) != tail % queue->per_line)
			return false;
		end->word = w;
	}
	/* LINES-W4, as in zi_line_room(): holders that never fill a line do not leave it behind */
	zi_store_release(&shared->tail, end->first);
	end->freed = tail - (queue->mask + 1); /* to be looked at */
	return true;
}

/* Makes sure that this handle is the producer, and that queue->in is right. */
static int enter(zipc_queue *queue, uint32_t me)
{
	uint64_t *role = &queue->shared->producer;
	if (zi_likely(queue->producer == me))
		return 0;
	int r = zi_queue_take_role(queue, role, me, "producer");
	if (r < 0)
		return r;
	if (!seat_at_tail(queue)) {
		zi_queue_drop_role(queue, role, me);
		return zi_queue_damaged(queue);
	}
	queue->producer = me;
	queue->fast_in = zi_lines_fast(queue) ? queue->in : &zi_line_nothing;
	return 0;
}

/* ---- room ------------------------------------------------------------------------------------ */

/* All that was known to be free is used: looks where the consumer is. */
static int look_for_room(zipc_queue *queue, uint64_t position, bool *named)
{
	struct zi_queue *shared = queue->shared;
	uint64_t capacity = queue->mask + 1;
	/* LINES-R2 acquire: the consumer is done with what is below. The head first: what was
	 * acquired below it is in held then. Pairs with LINES-W2. */
	uint64_t head = zi_load_acquire(&shared->head), held = zi_load_acquire(&shared->held);
	uint64_t behind = held == 0 ? 0 : (head - (held >> ZI_ID_BITS)) & ZI_HELD_MASK;
	if (behind > capacity) /* acquired after we looked at the head */
		behind = 0;
	if (position - head > capacity || position - head + behind > capacity)
		return zi_queue_damaged(queue);
	if (position - (head - behind) == capacity && behind > 0) {
		int dead = zi_peer_dead(queue->segment, (uint32_t)held & ZI_ID_MASK);
		if (dead < 0)
			return dead;
		if (dead == 1) {
			zi_lines_drop_held(queue, held);
			behind = 0;
		}
		*named = dead == 0;
	}
	queue->in->freed = head - behind;
	/* relaxed: for people */
	if (position - head > zi_load_relaxed(&shared->high_water))
		zi_store_relaxed(&shared->high_water, position - head);
	return 0;
}

bool zi_line_room(zipc_queue *queue)
{
	struct zi_line_end *end = queue->in;
	uint64_t capacity = queue->mask + 1, used = zi_line_tail(end) - end->freed;
	if (end->next != end->stop)
		return true;
	if (used >= capacity)
		return false;
	if ((end->word & ZI_LINE_COUNT) == queue->per_line) {
		zi_line_advance(queue, end);
		/* LINES-W4 release: a hint; the lines below are full. Pairs with LINES-R4. */
		zi_store_release(&end->shared->tail, end->first);
	}
	uint64_t room = capacity - used, left = queue->per_line - (end->word & ZI_LINE_COUNT);
	end->stop = end->next + (room < left ? room : left) * queue->element_stride;
	return true;
}

/* Makes sure that there is room at the next element: 0; -EAGAIN, -EPIPE, ... */
static int find_room(zipc_queue *queue, bool *named)
{
	/* relaxed: spares a push that would be taken back; LINES-R3 decides */
	if (zi_load_relaxed(&queue->shared->shut_down) != 0)
		return -EPIPE;
	if (zi_line_room(queue))
		return 0;
	int r = look_for_room(queue, zi_line_tail(queue->in), named);
	return r < 0 ? r : zi_line_room(queue) ? 0 : -EAGAIN;
}

/* ---- publishing ------------------------------------------------------------------------------ */

/* The queue was shut down, perhaps before the last `count` were published: how many of them count. */
static uint32_t counting(zipc_queue *queue, uint32_t count)
{
	struct zi_queue *shared = queue->shared;
	uint32_t end = ZI_END_OPEN;
	/* LINES-W5 release: what was published last counts. Pairs with LINES-R5.
	 * CRASH: published and not decided: the consumer finds it, or nothing */
	if (zi_cas_acq_rel(&shared->ended, &end, (uint32_t)ZI_END_ACCEPTED) ||
	    end == ZI_END_ACCEPTED)
		return count;
	/* drained, at a head that moves no more: taken before, or never */
	uint64_t taken = zi_load_acquire(&shared->head) - (zi_line_tail(queue->in) - count);
	return (int64_t)taken < 0 ? 0 : taken < count ? (uint32_t)taken : count;
}

/* Nobody looks at words once it is drained. */
static void take_back(zipc_queue *queue, uint32_t count)
{
	struct zi_line_end *end = queue->in;
	end->word -= count;
	end->next -= (size_t)count * queue->element_stride;
	zi_store_release(end->line, end->word);
}

uint32_t zi_lines_pushed(zipc_queue *queue, uint32_t count)
{
	uint32_t n = count;
	if (zi_load_seq_cst(&queue->shared->shut_down) != 0)
		n = counting(queue, count);
	if (n < count)
		take_back(queue, count - n);
	if (zi_gate_occupied(&queue->shared->items_gate))
		zi_gate_wake_one(&queue->shared->items_gate);
	return n;
}

/* Writes and publishes what fits into this line: how many. */
static uint32_t put_run(zipc_queue *queue, const uint8_t *elements, size_t count)
{
	struct zi_line_end *end = queue->in;
	size_t size = queue->element_size, stride = queue->element_stride;
	size_t left = (size_t)(end->stop - end->next) / stride, n = count < left ? count : left;
	if (size == stride)
		memcpy(end->next, elements, n * size);
	for (size_t i = 0; i < n && size != stride; i++)
		memcpy(end->next + i * stride, elements + i * size, size);
	end->next += n * stride;
	end->word += n;
	/* LINES-W1, as in zi_line_put() */
	zi_store_release(end->line, end->word);
	return (uint32_t)n;
}

int zi_lines_push(zipc_queue *queue, uint32_t me, const uint8_t *elements, size_t count,
		  bool *named)
{
	size_t done = 0;
	int r = enter(queue, me);
	while (r == 0 && done < count) {
		r = find_room(queue, named);
		if (r < 0)
			break;
		uint32_t n = put_run(queue, elements + done * queue->element_size, count - done);
		zi_gate_order(queue->self);
		if (zi_unlikely(zi_line_news(queue->shared)))
			n = zi_lines_pushed(queue, n);
		r = n == 0 ? -EPIPE : 0;
		done += n; /* CRASH: whole lines of it are there */
	}
	return done == 0 ? r : (int)done;
}

/* ---- reservations ---------------------------------------------------------------------------- */

int zi_lines_reserve(zipc_queue *queue, uint32_t me, uint64_t *position, bool *named)
{
	struct zi_line_end *end = queue->in;
	int r = enter(queue, me);
	if (r == 0)
		r = find_room(queue, named);
	if (r < 0)
		return r;
	uint64_t open = zi_line_open((uint32_t)(end->word & ZI_LINE_COUNT));
	*position = zi_line_tail(end);
	end->word = (end->word + 1) | open;
	end->next += queue->element_stride;
	/* CRASH: open, and its producer is dead: passed */
	zi_store_release(end->line, end->word);
	zi_gate_order(queue->self);
	if (!zi_line_news(queue->shared) || zi_load_seq_cst(&queue->shared->shut_down) == 0 ||
	    counting(queue, 1) == 1)
		return 0;
	end->word &= ~open;
	take_back(queue, 1);
	return -EPIPE;
}

bool zi_lines_reserved(const zipc_queue *queue, uint32_t me, uint64_t position)
{
	if (queue->producer != me || zi_line_tail(queue->in) - position - 1 > queue->mask)
		return false;
	/* relaxed: our own store */
	uint64_t w = zi_load_relaxed(zi_line_at(queue, position));
	return zi_line_same_lap(w, zi_line_lap(queue, position)) &&
	       (w & zi_line_open((uint32_t)(position % queue->per_line))) != 0;
}

void zi_lines_finish(zipc_queue *queue, uint64_t position, bool hole)
{
	uint64_t *line = zi_line_at(queue, position);
	uint32_t element = (uint32_t)(position % queue->per_line);
	/* of the line in hand our own word: its count is not to be trusted twice */
	uint64_t w = line == queue->in->line ? queue->in->word : zi_load_relaxed(line);
	w &= ~zi_line_open(element);
	if (hole)
		w |= zi_line_hole(element);
	if (line == queue->in->line)
		queue->in->word = w;
	/* LINES-W1, as in zi_line_put(). CRASH: open, and passed; or finished. */
	zi_store_release(line, w);
	zi_gate_signal(queue->segment, &queue->shared->items_gate);
}
