/* SPDX-License-Identifier: MIT */
/*
 * Yardsticks: what the machine and the textbooks give. None of them survives the death of a
 * process; they show what that costs us.
 */
#include "queue_subject.h"

#include <stdatomic.h>

#define MASK (QUEUE_CAPACITY - 1)

static void *at_queue(void *state, unsigned queue, size_t size)
{
	return (char *)state + queue * size;
}

/* ---- D. Vyukov's bounded queue, as published ------------------------------------------------- */

struct vyukov_cell {
	atomic_size_t sequence;
	uint64_t data;
};

struct vyukov {
	_Alignas(128) atomic_size_t enqueue_pos;
	_Alignas(128) atomic_size_t dequeue_pos;
	_Alignas(128) struct vyukov_cell cells[QUEUE_CAPACITY];
};

static void *vyukov_create(const struct bench_subject *self)
{
	struct vyukov *queues = bench_share(BENCH_PAIR * sizeof(*queues));

	(void)self;
	for (unsigned i = 0; i < BENCH_PAIR; i++)
		for (size_t k = 0; k < QUEUE_CAPACITY; k++)
			atomic_init(&queues[i].cells[k].sequence, k);
	return queues;
}

static void vyukov_destroy(void *state)
{
	bench_unshare(state, BENCH_PAIR * sizeof(struct vyukov));
}

static void *vyukov_attach(void *state, unsigned queue, unsigned roles)
{
	(void)roles;
	return at_queue(state, queue, sizeof(struct vyukov));
}

BENCH_INLINE bool vyukov_push(void *end, uint64_t value)
{
	struct vyukov *queue = end;
	size_t pos = atomic_load_explicit(&queue->enqueue_pos, memory_order_relaxed);

	for (;;) {
		struct vyukov_cell *cell = &queue->cells[pos & MASK];
		size_t sequence = atomic_load_explicit(&cell->sequence, memory_order_acquire);
		intptr_t difference = (intptr_t)(sequence - pos);

		if (difference < 0)
			return false;
		if (difference > 0) {
			pos = atomic_load_explicit(&queue->enqueue_pos, memory_order_relaxed);
		} else if (atomic_compare_exchange_weak_explicit(&queue->enqueue_pos, &pos, pos + 1,
								 memory_order_relaxed,
								 memory_order_relaxed)) {
			cell->data = value;
			atomic_store_explicit(&cell->sequence, pos + 1, memory_order_release);
			return true;
		}
	}
}

BENCH_INLINE bool vyukov_pop(void *end, uint64_t *out_value)
{
	struct vyukov *queue = end;
	size_t pos = atomic_load_explicit(&queue->dequeue_pos, memory_order_relaxed);

	for (;;) {
		struct vyukov_cell *cell = &queue->cells[pos & MASK];
		size_t sequence = atomic_load_explicit(&cell->sequence, memory_order_acquire);
		intptr_t difference = (intptr_t)(sequence - (pos + 1));

		if (difference < 0)
			return false;
		if (difference > 0) {
			pos = atomic_load_explicit(&queue->dequeue_pos, memory_order_relaxed);
		} else if (atomic_compare_exchange_weak_explicit(&queue->dequeue_pos, &pos, pos + 1,
								 memory_order_relaxed,
								 memory_order_relaxed)) {
			*out_value = cell->data;
			atomic_store_explicit(&cell->sequence, pos + QUEUE_CAPACITY,
					      memory_order_release);
			return true;
		}
	}
}

/* The same behind a call, as from a library. */
static __attribute__((noinline)) bool vyukov_call_push(void *end, uint64_t value)
{
	return vyukov_push(end, value);
}

static __attribute__((noinline)) bool vyukov_call_pop(void *end, uint64_t *out_value)
{
	return vyukov_pop(end, out_value);
}

QUEUE_LOOPS(vyukov, vyukov_push, vyukov_pop);
QUEUE_LOOPS(vyukov_call, vyukov_call_push, vyukov_call_pop);

static const struct bench_subject vyukov = {
	.name = "vyukov",
	.note = "textbook, inline",
	.kind = BENCH_YARDSTICK,
	.benches = QUEUE_MPMC_1P1C | QUEUE_MPMC_2P2C | QUEUE_ALONE | QUEUE_PINGPONG,
	.create = vyukov_create,
	.destroy = vyukov_destroy,
	.attach = vyukov_attach,
	.detach = bench_detach_nothing,
	.loops = &vyukov_loops,
};

static const struct bench_subject vyukov_call = {
	.name = "vyukov_called",
	.note = "textbook, not inline",
	.kind = BENCH_YARDSTICK,
	.benches = QUEUE_ALONE,
	.create = vyukov_create,
	.destroy = vyukov_destroy,
	.attach = vyukov_attach,
	.detach = bench_detach_nothing,
	.loops = &vyukov_call_loops,
};

/* ---- single/single ring with cached indices -------------------------------------------------- */

struct ring {
	_Alignas(128) atomic_size_t tail; /* next to write */
	size_t head_seen;
	_Alignas(128) atomic_size_t head; /* next to read */
	size_t tail_seen;
	_Alignas(128) uint64_t items[QUEUE_CAPACITY];
};

static void *ring_create(const struct bench_subject *self)
{
	(void)self;
	return bench_share(BENCH_PAIR * sizeof(struct ring));
}

static void ring_destroy(void *state)
{
	bench_unshare(state, BENCH_PAIR * sizeof(struct ring));
}

static void *ring_attach(void *state, unsigned queue, unsigned roles)
{
	(void)roles;
	return at_queue(state, queue, sizeof(struct ring));
}

BENCH_INLINE bool ring_push(void *end, uint64_t value)
{
	struct ring *ring = end;
	size_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);

	if (tail - ring->head_seen == QUEUE_CAPACITY) {
		ring->head_seen = atomic_load_explicit(&ring->head, memory_order_acquire);
		if (tail - ring->head_seen == QUEUE_CAPACITY)
			return false;
	}
	ring->items[tail & MASK] = value;
	atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
	return true;
}

BENCH_INLINE bool ring_pop(void *end, uint64_t *out_value)
{
	struct ring *ring = end;
	size_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);

	if (head == ring->tail_seen) {
		ring->tail_seen = atomic_load_explicit(&ring->tail, memory_order_acquire);
		if (head == ring->tail_seen)
			return false;
	}
	*out_value = ring->items[head & MASK];
	atomic_store_explicit(&ring->head, head + 1, memory_order_release);
	return true;
}

QUEUE_LOOPS(ring, ring_push, ring_pop);

static const struct bench_subject ring = {
	.name = "cached_ring",
	.note = "textbook single/single ring, inline",
	.kind = BENCH_YARDSTICK,
	.benches = QUEUE_SPSC | QUEUE_PINGPONG,
	.create = ring_create,
	.destroy = ring_destroy,
	.attach = ring_attach,
	.detach = bench_detach_nothing,
	.loops = &ring_loops,
};

/* ---- copying ring of large elements ---------------------------------------------------------- */

struct copying {
	_Alignas(128) atomic_size_t tail;
	_Alignas(128) atomic_size_t head;
	_Alignas(4096) char blocks[QUEUE_BLOCK_SLOTS][QUEUE_BLOCK];
};

static void *copying_create(const struct bench_subject *self)
{
	(void)self;
	return bench_share(BENCH_PAIR * sizeof(struct copying));
}

static void copying_destroy(void *state)
{
	bench_unshare(state, BENCH_PAIR * sizeof(struct copying));
}

static void *copying_attach(void *state, unsigned queue, unsigned roles)
{
	(void)roles;
	return at_queue(state, queue, sizeof(struct copying));
}

BENCH_INLINE bool copying_send(void *end, const void *block)
{
	struct copying *queue = end;
	size_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);

	if (tail - atomic_load_explicit(&queue->head, memory_order_acquire) == QUEUE_BLOCK_SLOTS)
		return false;
	memcpy(queue->blocks[tail % QUEUE_BLOCK_SLOTS], block, QUEUE_BLOCK);
	atomic_store_explicit(&queue->tail, tail + 1, memory_order_release);
	return true;
}

BENCH_INLINE bool copying_receive(void *end, void *out_block)
{
	struct copying *queue = end;
	size_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);

	if (head == atomic_load_explicit(&queue->tail, memory_order_acquire))
		return false;
	memcpy(out_block, queue->blocks[head % QUEUE_BLOCK_SLOTS], QUEUE_BLOCK);
	atomic_store_explicit(&queue->head, head + 1, memory_order_release);
	return true;
}

QUEUE_COPY_LOOPS(copying, copying_send, copying_receive);

static const struct bench_subject copying = {
	.name = "copying_queue",
	.note = "memcpy in and out",
	.kind = BENCH_YARDSTICK,
	.benches = QUEUE_64K,
	.create = copying_create,
	.destroy = copying_destroy,
	.attach = copying_attach,
	.detach = bench_detach_nothing,
	.loops = &copying_loops,
};

/* ---- round trips: two lines, two futexes ----------------------------------------------------- */

/* There are no items; the lane has done what the driver expects of its count. */
static void note_sum(struct bench_lane *lane)
{
	lane->sum = (lane->first * 2 + lane->count - 1) * lane->count / 2;
}

static void lines_ping(struct bench_lane *lane, void *out, void *in)
{
	(void)in;
	bench_ping(lane, out);
	note_sum(lane);
}

static void lines_pong(struct bench_lane *lane, void *out, void *in)
{
	(void)in;
	bench_pong(lane, out);
}

static void futex_ping(struct bench_lane *lane, void *out, void *in)
{
	(void)in;
	bench_futex_ping(lane, out);
	note_sum(lane);
}

static void futex_pong(struct bench_lane *lane, void *out, void *in)
{
	(void)in;
	bench_futex_pong(lane, out);
}

static const struct bench_loops lines_loops = {.ping = lines_ping, .pong = lines_pong};
static const struct bench_loops futex_loops = {.ping = futex_ping, .pong = futex_pong};

static const struct bench_subject two_lines = {
	.name = "two_lines",
	.note = "two-line ping-pong",
	.kind = BENCH_YARDSTICK,
	.benches = QUEUE_PINGPONG,
	.create = bench_trip_create,
	.destroy = bench_trip_destroy,
	.attach = bench_trip_attach,
	.detach = bench_detach_nothing,
	.loops = &lines_loops,
};

static const struct bench_subject futex_pair = {
	.name = "futex_pair",
	.note = "bare futexes",
	.kind = BENCH_YARDSTICK,
	.benches = QUEUE_SLEEPING,
	.create = bench_trip_create,
	.destroy = bench_trip_destroy,
	.attach = bench_trip_attach,
	.detach = bench_detach_nothing,
	.loops = &futex_loops,
};

const struct bench_subject *const queue_yardsticks[] = {
	&vyukov, &vyukov_call, &ring, &copying, &two_lines, &futex_pair, NULL,
};
