/* SPDX-License-Identifier: MIT */
/* Queues of one-process tests, and elements that can be told apart byte by byte. */
#ifndef TESTS_STRUCTURE_QUEUE_RIG_H
#define TESTS_STRUCTURE_QUEUE_RIG_H

#include "segment/rig.h"

#define SP  ZIPC_QUEUE_SINGLE_PRODUCER
#define SC  ZIPC_QUEUE_SINGLE_CONSUMER
#define ALO ZIPC_QUEUE_AT_LEAST_ONCE

static inline zipc_queue *rig_queue(zipc_segment *segment, uint64_t size, uint64_t capacity,
				    uint32_t flags)
{
	zipc_queue_options o = ZIPC_QUEUE_OPTIONS_INIT;
	zipc_queue *queue = NULL;
	o.flags = flags;
	assert_ok(zipc_queue_create(segment, "q", size, capacity, &o, &queue));
	return queue;
}

/* One more handle of the same queue. */
static inline zipc_queue *rig_open(zipc_segment *segment)
{
	zipc_queue *queue = NULL;
	assert_ok(zipc_queue_open(segment, "q", 0, NULL, &queue));
	return queue;
}

static inline void rig_drop(zipc_segment *segment, zipc_queue *queue)
{
	zipc_queue_close(queue);
	assert_ok(zipc_queue_remove(segment, "q"));
}

static inline zipc_queue_stats rig_stats(zipc_queue *queue)
{
	zipc_queue_stats stats = {.struct_size = sizeof stats};
	assert_ok(zipc_queue_get_stats(queue, &stats));
	return stats;
}

/* Element number n of this size: the number first, as far as it fits, then bytes made of it. */
static inline void element_make(uint8_t *to, uint64_t size, uint64_t n)
{
	uint64_t x = n * UINT64_C(0x9e3779b97f4a7c15) + 1;
	for (uint64_t i = 0; i < size; i += 8, x += UINT64_C(0x632be59bd9b4e019))
		memcpy(to + i, i == 0 ? &n : &x, size - i < 8 ? size - i : 8);
}

static inline void element_check(const uint8_t *seen, uint64_t size, uint64_t n)
{
	static uint8_t expected[ZIPC_QUEUE_ELEMENT_MAX];
	element_make(expected, size, n);
	if (memcmp(seen, expected, size) != 0)
		fail_msg("element %llu of %llu bytes is another or torn", (unsigned long long)n,
			 (unsigned long long)size);
}

static inline void push_u64(zipc_queue *queue, uint64_t n)
{
	assert_ok(zipc_queue_push(queue, &n, ZIPC_NOWAIT));
}

static inline void pop_u64(zipc_queue *queue, uint64_t expected)
{
	uint64_t n = UINT64_MAX;
	assert_ok(zipc_queue_pop(queue, &n, ZIPC_NOWAIT));
	assert_int_equal(n, expected);
}

static inline int try_push(zipc_queue *queue)
{
	uint64_t n = 4711;
	return zipc_queue_push(queue, &n, ZIPC_NOWAIT);
}

static inline int try_pop(zipc_queue *queue)
{
	uint64_t n;
	return zipc_queue_pop(queue, &n, ZIPC_NOWAIT);
}

static inline uint64_t reserve_u64(zipc_queue *queue, uint64_t n)
{
	void *element;
	uint64_t ticket;
	assert_ok(zipc_queue_reserve(queue, ZIPC_NOWAIT, &element, &ticket));
	memcpy(element, &n, sizeof n);
	return ticket;
}

static inline uint64_t acquire_u64(zipc_queue *queue, uint64_t expected)
{
	void *element;
	uint64_t ticket, n;
	assert_ok(zipc_queue_acquire(queue, ZIPC_NOWAIT, &element, &ticket));
	memcpy(&n, element, sizeof n);
	assert_int_equal(n, expected);
	return ticket;
}

#endif
