/* SPDX-License-Identifier: MIT */
/*
 * DPDK's rte_ring: initialised by rte_ring_init() in memory of our own, which needs no environment
 * abstraction layer and works between processes. In a file of its own, because DPDK wants compiler
 * flags that nothing else should have.
 */
#include "queue_subject.h"

#include <rte_config.h>
#include <rte_ring.h>

#define MULTI 1u

#define RING_ROOM 16384 /* bytes for one ring; checked */

static void *dpdk_create(const struct bench_subject *self)
{
	char *memory = bench_share(BENCH_PAIR * RING_ROOM);
	unsigned flags = self->variant & MULTI ? 0 : RING_F_SP_ENQ | RING_F_SC_DEQ;

	if (rte_ring_get_memsize(QUEUE_CAPACITY) > RING_ROOM)
		bench_fail("rte_ring: a ring needs more memory than expected");
	for (unsigned i = 0; i < BENCH_PAIR; i++)
		if (rte_ring_init((struct rte_ring *)(void *)(memory + i * RING_ROOM), "bench",
				  QUEUE_CAPACITY, flags) != 0)
			bench_fail("rte_ring_init failed");
	return memory;
}

static void dpdk_destroy(void *state)
{
	bench_unshare(state, BENCH_PAIR * RING_ROOM);
}

static void *dpdk_attach(void *state, unsigned queue, unsigned roles)
{
	(void)roles;
	return (char *)state + queue * RING_ROOM;
}

BENCH_INLINE bool push_single(void *end, uint64_t value)
{
	return rte_ring_sp_enqueue(end, (void *)(uintptr_t)value) == 0;
}

BENCH_INLINE bool pop_single(void *end, uint64_t *out_value)
{
	void *value;

	if (rte_ring_sc_dequeue(end, &value) != 0)
		return false;
	*out_value = (uintptr_t)value;
	return true;
}

BENCH_INLINE bool push_multi(void *end, uint64_t value)
{
	return rte_ring_mp_enqueue(end, (void *)(uintptr_t)value) == 0;
}

BENCH_INLINE bool pop_multi(void *end, uint64_t *out_value)
{
	void *value;

	if (rte_ring_mc_dequeue(end, &value) != 0)
		return false;
	*out_value = (uintptr_t)value;
	return true;
}

BENCH_INLINE size_t push_n(void *end, const uint64_t *values, size_t count)
{
	return rte_ring_sp_enqueue_burst_elem(end, values, 8, (unsigned)count, NULL);
}

BENCH_INLINE size_t pop_n(void *end, uint64_t *out_values, size_t count)
{
	return rte_ring_sc_dequeue_burst_elem(end, out_values, 8, (unsigned)count, NULL);
}

QUEUE_LOOPS(single, push_single, pop_single);
QUEUE_LOOPS(multi, push_multi, pop_multi);
QUEUE_BATCH_LOOPS(batch, push_n, pop_n);

#define SUBJECT(text, where, how, loop_table)                                                      \
	&(const struct bench_subject)                                                              \
	{                                                                                          \
		.name = "rte_ring", .note = (text), .kind = BENCH_PEER, .benches = (where),        \
		.variant = (how), .create = dpdk_create, .destroy = dpdk_destroy,                  \
		.attach = dpdk_attach, .detach = bench_detach_nothing, .loops = &(loop_table)      \
	}

const struct bench_subject *const queue_dpdk_subjects[] = {
	SUBJECT("sp/sc", QUEUE_SPSC | QUEUE_PINGPONG, 0, single_loops),
	SUBJECT("mp/mc", QUEUE_MPMC_1P1C | QUEUE_MPMC_2P2C | QUEUE_ALONE, MULTI, multi_loops),
	SUBJECT("sp/sc, burst", QUEUE_BATCH32, 0, batch_loops),
	NULL,
};
