/* SPDX-License-Identifier: MIT */
/* Lines: what both ends share, looking, care. See queue_lines.h. */
#include "queue_lines.h"

#include "open.h"

#include "../base/copy.h"

#include <errno.h>

#define PEEK_MOST 256 /* looks before the consumer is just faster */

struct zi_line_end zi_line_nothing;

int zi_lines_bind(zipc_queue *queue)
{
	if (queue->lines == 0)
		return 0;
	queue->in = zi_wiped_new(queue->segment);
	queue->wiped = queue->in != NULL;
	if (!queue->wiped)
		queue->in = zi_structure_new(2 * sizeof *queue->in, "queue");
	if (queue->in == NULL)
		return -ENOMEM;
	queue->out = queue->in + 1;
	return 0;
}

void zi_lines_unbind(zipc_queue *queue)
{
	if (queue->wiped)
		zi_wiped_free(queue->segment, queue->in);
	else
		free(queue->in);
	free(queue->released);
}

void zi_line_seat(const zipc_queue *queue, struct zi_line_end *end, uint64_t position)
{
	uint64_t element = position % queue->per_line;
	end->shared = queue->shared;
	end->line = zi_line_at(queue, position);
	end->word = zi_line_lap(queue, position);
	end->next = end->stop = zi_line_element(queue, end->line, element);
	end->first = position - element;
	end->position = position;
}

void zi_line_advance(const zipc_queue *queue, struct zi_line_end *end)
{
	uint64_t *past = (uint64_t *)(void *)(queue->slots + queue->lines * ZI_QUEUE_LINE);
	end->word = end->word >> ZI_LINE_LAP_SHIFT << ZI_LINE_LAP_SHIFT;
	end->first += queue->per_line;
	end->line += ZI_LINE_WORDS;
	if (end->line == past) {
		end->line = (uint64_t *)(void *)queue->slots;
		end->word += UINT64_C(1) << ZI_LINE_LAP_SHIFT;
	}
	end->next = end->stop = (uint8_t *)(end->line + 1);
}

uint64_t zi_lines_tail(const zipc_queue *queue)
{
	/* LINES-R4 acquire: the lines below are full. Pairs with LINES-W4. */
	uint64_t tail = zi_load_acquire(&queue->shared->tail);
	tail -= tail % queue->per_line;
	for (uint64_t i = 0; i <= queue->lines; i++) {
		uint64_t w = zi_load_acquire(zi_line_at(queue, tail));
		uint32_t count = zi_line_count(w, zi_line_lap(queue, tail));
		if (count < queue->per_line)
			return tail + count;
		tail += queue->per_line;
	}
	return tail; /* damaged, or the producer is just faster */
}

bool zi_lines_claimed(const zipc_queue *queue, uint64_t position)
{
	uint64_t w = zi_load_acquire(zi_line_at(queue, position));
	return position % queue->per_line < zi_line_count(w, zi_line_lap(queue, position));
}

bool zi_lines_full(const zipc_queue *queue)
{
	/* LINES-R2 acquire, as in look_for_room() */
	uint64_t head = zi_load_acquire(&queue->shared->head);
	uint64_t held = zi_load_acquire(&queue->shared->held), tail = zi_lines_tail(queue);
	uint64_t behind = held == 0 ? 0 : (head - (held >> ZI_ID_BITS)) & ZI_HELD_MASK;
	return tail - head + (behind <= queue->mask + 1 ? behind : 0) > queue->mask;
}

/* ---- care ------------------------------------------------------------------------------------ */

void zi_lines_drop_held(zipc_queue *queue, uint64_t held)
{
	uint64_t head = zi_load_acquire(&queue->shared->head);
	uint64_t dropped = (head - (held >> ZI_ID_BITS)) & ZI_HELD_MASK;
	/* CRASH: held, or given up; one CAS on a word that names its owner, so it happens once */
	if (held != 0 && zi_cas_acq_rel(&queue->shared->held, &held, UINT64_C(0)) &&
	    dropped <= queue->mask + 1)
		zi_add_relaxed(&queue->shared->dropped, dropped);
}

void zi_lines_close_open(zipc_queue *queue, uint64_t head, uint64_t tail)
{
	const uint64_t bits = ZI_LINE_BITS << ZI_LINE_OPEN_SHIFT;
	for (uint64_t p = head - head % queue->per_line; (int64_t)(tail - p) > 0;
	     p += queue->per_line) {
		uint64_t *line = zi_line_at(queue, p), w = zi_load_acquire(line);
		uint64_t open = w & bits;
		if (open == 0 || !zi_line_same_lap(w, zi_line_lap(queue, p)))
			continue;
		open >>= ZI_LINE_OPEN_SHIFT - ZI_LINE_HOLE_SHIFT;
		/* CRASH: the rest is open still, and of nobody alive: holes, too */
		zi_store_release(line, (w & ~bits) | open);
	}
}

/* Roles are given back by zi_queue_resolve(): what is open is of nobody then, and passed. */
int zi_lines_resolve(zipc_queue *queue)
{
	struct zi_queue *shared = queue->shared;
	uint64_t held = zi_load_acquire(&shared->held);
	int dead = held == 0 ? 0 : zi_peer_dead(queue->segment, held & ZI_ID_MASK);
	if (dead == 1)
		zi_lines_drop_held(queue, held);
	return dead;
}

/* One line of [head, tail), or what is left there of an earlier lap. */
static bool line_sound(const zipc_queue *queue, uint64_t position, uint64_t tail)
{
	uint64_t w = zi_load_acquire(zi_line_at(queue, position));
	uint64_t lap = zi_line_lap(queue, position), bits = ZI_LINE_BITS;
	if (!zi_line_same_lap(w, lap)) /* not begun */
		return position == tail - tail % queue->per_line;
	uint64_t beyond = bits << (w & ZI_LINE_COUNT) & bits;
	return (w & ZI_LINE_COUNT) <= queue->per_line &&
	       (w & (beyond << ZI_LINE_OPEN_SHIFT | beyond << ZI_LINE_HOLE_SHIFT)) == 0;
}

static bool ring_sound(const zipc_queue *queue, uint64_t *bad)
{
	/* the head first: then the tail cannot be behind it */
	uint64_t head = zi_load_acquire(&queue->shared->head), tail = zi_lines_tail(queue);
	*bad = head / queue->per_line % queue->lines;
	if (zi_load_relaxed(&queue->shared->ended) == ZI_END_DRAINED)
		return true;
	if (tail - head > queue->mask + 1)
		return false;
	for (uint64_t p = head - head % queue->per_line; (int64_t)(tail - p) >= 0;
	     p += queue->per_line) {
		*bad = p / queue->per_line % queue->lines;
		if (!line_sound(queue, p, tail))
			return false;
	}
	return true;
}

void zi_lines_verify(zipc_queue *queue, struct zi_report *report)
{
	uint64_t bad = 0;
	/* on a queue in use the ends move, so a finding counts only if it stays */
	for (int look = 0; look < 3; look++)
		if (ring_sound(queue, &bad))
			return;
	zi_report_add(report, "queue '%s': line %llu holds a word that cannot be",
		      queue->object.view.name, (unsigned long long)bad);
}

/* ---- looking without taking ------------------------------------------------------------------ */

/* Looks at `position`: 1 = copied, if it is still there; 0 = nothing to be had, look behind it;
 * -EAGAIN. */
static int peek_at(zipc_queue *queue, uint64_t position, void *out_element)
{
	uint32_t element = (uint32_t)(position % queue->per_line);
	/* LINES-R1 acquire, as in look() of the consumer */
	uint64_t w = zi_load_acquire(zi_line_at(queue, position));
	if (element >= zi_line_count(w, zi_line_lap(queue, position)))
		return -EAGAIN;
	if ((w & zi_line_hole(element)) != 0)
		return 0;
	if ((w & zi_line_open(element)) != 0) {
		if (zi_queue_role_dead(queue, &queue->shared->producer) != 1)
			return -EAGAIN;
		/* as in pass(): perhaps it was committed before the end of its producer */
		w = zi_load_acquire(zi_line_at(queue, position));
		if (element >= zi_line_count(w, zi_line_lap(queue, position)) ||
		    (w & (zi_line_open(element) | zi_line_hole(element))) != 0)
			return 0;
	}
	zi_copy_out(out_element, zi_queue_place(queue, position), queue->element_size);
	return 1;
}

/* Nothing was at the head. -EPIPE if nothing will be: the consumer said so, or nobody is left who
 * could push. */
static int consider_end(zipc_queue *queue, uint64_t head)
{
	/* LINES-R5 acquire: what was published last, if that counts. Pairs with LINES-W5. */
	uint32_t end = zi_load_acquire(&queue->shared->ended);
	if (end == ZI_END_DRAINED)
		return -EPIPE;
	if (end == ZI_END_OPEN && (zi_load_seq_cst(&queue->shared->shut_down) == 0 ||
				   zi_queue_role_dead(queue, &queue->shared->producer) != 1))
		return -EAGAIN;
	return zi_lines_claimed(queue, head) ? -EAGAIN : -EPIPE;
}

static int peek_once(zipc_queue *queue, void *out_element)
{
	uint64_t head = zi_load_acquire(&queue->shared->head), p = head;
	int r = 0;
	if (zi_load_acquire(&queue->shared->ended) == ZI_END_DRAINED) /* LINES-R5, as above */
		return -EPIPE;
	for (; r == 0 && p - head <= queue->mask; p++)
		r = peek_at(queue, p, out_element);
	zi_read_barrier();
	/* nothing at or above the head is written again before the head has passed it */
	if ((int64_t)(zi_load_relaxed(&queue->shared->head) - p) >= 0)
		return 0;
	if (r == 1 && zi_load_acquire(&queue->shared->ended) == ZI_END_DRAINED)
		return -EPIPE; /* published too late */
	return r == -EAGAIN ? consider_end(queue, p - 1) : r == 0 ? -EAGAIN : r;
}

int zi_lines_peek(zipc_queue *queue, void *out_element)
{
	for (int i = 0; i < PEEK_MOST; i++) {
		int r = peek_once(queue, out_element);
		if (r != 0)
			return r;
	}
	return -EAGAIN;
}
