/* SPDX-License-Identifier: MIT */
/*
 * A subject of the queue benchmarks, and the measured loops.
 *
 * The loops are written once and instantiated for each subject by QUEUE_LOOPS(), with the subject's
 * push and pop inlined where these come from a header, and called where they come from a library:
 * as a user of that queue would have it. No indirect call stands inside a measured loop.
 */
#ifndef ZEROIPC_BENCH_QUEUE_SUBJECT_H
#define ZEROIPC_BENCH_QUEUE_SUBJECT_H

#include "bench.h"

#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The benchmarks; a subject says with a mask of these where it takes part. */
enum queue_bench {
	QUEUE_SPSC = 1 << 0,
	QUEUE_MPMC_1P1C = 1 << 1,
	QUEUE_MPMC_2P2C = 1 << 2,
	QUEUE_ALONE = 1 << 3,
	QUEUE_BATCH32 = 1 << 4,
	QUEUE_64K = 1 << 5,
	QUEUE_PINGPONG = 1 << 6,
	QUEUE_SLEEPING = 1 << 7,
};

#define QUEUE_CAPACITY	  1024
#define QUEUE_BATCH	  32
#define QUEUE_BLOCK	  65536u /* bytes of a large element */
#define QUEUE_BLOCK_SLOTS 64	 /* capacity in large elements, 4 MiB; README.md says why */

#define QUEUE_PRODUCER 1u
#define QUEUE_CONSUMER 2u

/* Where the producer's number stands in an item when there are several. */
#define QUEUE_TAG_SHIFT 56

typedef void queue_loop_fn(struct bench_lane *lane, void *out, void *in);

/* What a lane can do; NULL where the subject takes part in no benchmark that needs it. */
struct bench_loops {
	queue_loop_fn *produce;
	queue_loop_fn *consume;	      /* of one producer: every item is known beforehand */
	queue_loop_fn *consume_mixed; /* of several: order per producer, and the sum */
	queue_loop_fn *alone;	      /* push and pop in turn */
	queue_loop_fn *ping;
	queue_loop_fn *pong;
};

/* Lists that end with NULL; each is compiled in where its headers were found. */
extern const struct bench_subject *const queue_zeroipc_subjects[];
extern const struct bench_subject *const queue_yardsticks[];
extern const struct bench_subject *const queue_peer_subjects[];
extern const struct bench_subject *const queue_dpdk_subjects[];
extern const struct bench_subject *const queue_cxx_subjects[];

/* ---- single items --------------------------------------------------------------------------- */

typedef bool queue_push_fn(void *end, uint64_t value);
typedef bool queue_pop_fn(void *end, uint64_t *out_value);

BENCH_INLINE void queue_put(struct bench_lane *lane, queue_push_fn *push, void *end, uint64_t value)
{
	unsigned turns = 0;

	while (!push(end, value))
		bench_relax(lane, &turns);
}

BENCH_INLINE uint64_t queue_get(struct bench_lane *lane, queue_pop_fn *pop, void *end)
{
	unsigned turns = 0;
	uint64_t value;

	while (!pop(end, &value))
		bench_relax(lane, &turns);
	return value;
}

BENCH_INLINE void queue_produce(struct bench_lane *lane, queue_push_fn *push, void *out)
{
	uint64_t value = lane->first, end = lane->first + lane->count;

	bench_start(lane);
	for (; value < end; value++)
		queue_put(lane, push, out, value);
	bench_stop(lane);
}

BENCH_INLINE void queue_consume(struct bench_lane *lane, queue_pop_fn *pop, void *in)
{
	uint64_t value = lane->first, end = lane->first + lane->count, wrong = 0, sum = 0;

	bench_start(lane);
	for (; value < end; value++) {
		uint64_t got = queue_get(lane, pop, in);

		wrong |= got ^ value;
		sum += got;
	}
	bench_stop(lane);
	lane->wrong = wrong;
	lane->sum = sum;
}

BENCH_INLINE void queue_consume_mixed(struct bench_lane *lane, queue_pop_fn *pop, void *in)
{
	uint64_t last[BENCH_LANES_MAX] = {0}, sum = 0, wrong = 0;

	bench_start(lane);
	for (uint64_t i = 0; i < lane->count; i++) {
		uint64_t got = queue_get(lane, pop, in);
		uint64_t *latest = &last[(got >> QUEUE_TAG_SHIFT) % BENCH_LANES_MAX];

		wrong |= got <= *latest;
		*latest = got;
		sum += got;
	}
	bench_stop(lane);
	lane->wrong = wrong;
	lane->sum = sum;
}

BENCH_INLINE void queue_alone(struct bench_lane *lane, queue_push_fn *push, queue_pop_fn *pop,
			      void *end)
{
	uint64_t value = lane->first, stop = lane->first + lane->count, wrong = 0, sum = 0;

	bench_start(lane);
	for (; value < stop; value++) {
		uint64_t got;

		queue_put(lane, push, end, value);
		got = queue_get(lane, pop, end);
		wrong |= got ^ value;
		sum += got;
	}
	bench_stop(lane);
	lane->wrong = wrong;
	lane->sum = sum;
}

/* Round trips poll without a pause, as the two-line ping-pong does. */
BENCH_INLINE void queue_ping(struct bench_lane *lane, queue_push_fn *push, queue_pop_fn *pop,
			     void *out, void *in)
{
	uint64_t value = lane->first, end = lane->first + lane->count, wrong = 0, sum = 0;

	bench_start(lane);
	for (; value < end; value++) {
		uint64_t got;

		while (!push(out, value))
			;
		while (!pop(in, &got))
			;
		wrong |= got ^ ~value;
		sum += ~got;
	}
	bench_stop(lane);
	lane->wrong = wrong;
	lane->sum = sum;
}

BENCH_INLINE void queue_pong(struct bench_lane *lane, queue_push_fn *push, queue_pop_fn *pop,
			     void *out, void *in)
{
	bench_start(lane);
	for (uint64_t i = 0; i < lane->count; i++) {
		uint64_t got;

		while (!pop(in, &got))
			;
		while (!push(out, ~got))
			;
	}
	bench_stop(lane);
}

/* clang-format off */
#define QUEUE_LOOPS(prefix, push, pop)                                                             \
	static void prefix##_produce(struct bench_lane *lane, void *out, void *in)                 \
	{ (void)in; queue_produce(lane, push, out); }                                              \
	static void prefix##_consume(struct bench_lane *lane, void *out, void *in)                 \
	{ (void)out; queue_consume(lane, pop, in); }                                               \
	static void prefix##_consume_mixed(struct bench_lane *lane, void *out, void *in)           \
	{ (void)out; queue_consume_mixed(lane, pop, in); }                                         \
	static void prefix##_alone(struct bench_lane *lane, void *out, void *in)                   \
	{ (void)in; queue_alone(lane, push, pop, out); }                                           \
	static void prefix##_ping(struct bench_lane *lane, void *out, void *in)                    \
	{ queue_ping(lane, push, pop, out, in); }                                                  \
	static void prefix##_pong(struct bench_lane *lane, void *out, void *in)                    \
	{ queue_pong(lane, push, pop, out, in); }                                                  \
	static const struct bench_loops prefix##_loops = {                                         \
		prefix##_produce, prefix##_consume, prefix##_consume_mixed,                        \
		prefix##_alone,	  prefix##_ping,    prefix##_pong,                                 \
	}
/* clang-format on */

/* ---- batches -------------------------------------------------------------------------------- */

/* Move up to `count` items, return how many. */
typedef size_t queue_push_n_fn(void *end, const uint64_t *values, size_t count);
typedef size_t queue_pop_n_fn(void *end, uint64_t *out_values, size_t count);

BENCH_INLINE void queue_produce_batches(struct bench_lane *lane, queue_push_n_fn *push_n, void *out)
{
	uint64_t value = lane->first, end = lane->first + lane->count, batch[QUEUE_BATCH];

	bench_start(lane);
	while (value < end) {
		size_t count = end - value < QUEUE_BATCH ? end - value : QUEUE_BATCH, moved = 0;
		unsigned turns = 0;

		for (unsigned i = 0; i < QUEUE_BATCH; i++)
			batch[i] = value + i;
		while (moved < count) {
			size_t now = push_n(out, batch + moved, count - moved);

			if (now == 0)
				bench_relax(lane, &turns);
			moved += now;
		}
		value += count;
	}
	bench_stop(lane);
}

BENCH_INLINE void queue_consume_batches(struct bench_lane *lane, queue_pop_n_fn *pop_n, void *in)
{
	uint64_t value = lane->first, end = lane->first + lane->count, batch[QUEUE_BATCH];
	uint64_t wrong = 0, sum = 0;
	unsigned turns = 0;

	bench_start(lane);
	while (value < end) {
		size_t moved = pop_n(in, batch, QUEUE_BATCH);

		if (moved == 0)
			bench_relax(lane, &turns);
		for (size_t i = 0; i < moved; i++) {
			wrong |= batch[i] ^ (value + i);
			sum += batch[i];
		}
		value += moved;
	}
	bench_stop(lane);
	lane->wrong = wrong;
	lane->sum = sum;
}

/* clang-format off */
#define QUEUE_BATCH_LOOPS(prefix, push_n, pop_n)                                                   \
	static void prefix##_produce(struct bench_lane *lane, void *out, void *in)                 \
	{ (void)in; queue_produce_batches(lane, push_n, out); }                                    \
	static void prefix##_consume(struct bench_lane *lane, void *out, void *in)                 \
	{ (void)out; queue_consume_batches(lane, pop_n, in); }                                     \
	static const struct bench_loops prefix##_loops = {                                         \
		prefix##_produce, prefix##_consume, NULL, NULL, NULL, NULL,                        \
	}
/* clang-format on */

/* ---- large elements ------------------------------------------------------------------------- */

/* Every byte of a block is written: its number in the first word, a byte derived from it after. */
BENCH_INLINE void queue_fill_block(void *block, uint64_t number)
{
	memset((char *)block + 8, (int)(number & 0x7f), QUEUE_BLOCK - 8);
	memcpy(block, &number, 8);
}

/* Every byte of a block is read. Returns 0 when they are what queue_fill_block() wrote. */
BENCH_INLINE uint64_t queue_check_block(const void *block, uint64_t number)
{
	const uint64_t *word = (const uint64_t *)block;
	uint64_t expected = (number & 0x7f) * UINT64_C(0x0101010101010101), differs[8] = {0};
	uint64_t first = word[0];

	/* Eight independent lanes: compilers turn these into vector instructions. */
	for (size_t i = 8; i < QUEUE_BLOCK / 8; i += 8)
		for (size_t k = 0; k < 8; k++)
			differs[k] |= word[i + k] ^ expected;
	for (size_t k = 1; k < 8; k++)
		differs[0] |= differs[k] | (word[k] ^ expected);
	return differs[0] | (first ^ number);
}

typedef bool queue_claim_fn(void *end, void **out_block, uint64_t *out_ticket);
typedef void queue_finish_fn(void *end, uint64_t ticket);

BENCH_INLINE void queue_produce_in_place(struct bench_lane *lane, queue_claim_fn *reserve,
					 queue_finish_fn *commit, void *out)
{
	bench_start(lane);
	for (uint64_t i = 0; i < lane->count; i++) {
		unsigned turns = 0;
		uint64_t ticket;
		void *block;

		while (!reserve(out, &block, &ticket))
			bench_relax(lane, &turns);
		queue_fill_block(block, lane->first + i);
		commit(out, ticket);
	}
	bench_stop(lane);
}

BENCH_INLINE void queue_consume_in_place(struct bench_lane *lane, queue_claim_fn *acquire,
					 queue_finish_fn *release, void *in)
{
	uint64_t wrong = 0, sum = 0;

	bench_start(lane);
	for (uint64_t i = 0; i < lane->count; i++) {
		unsigned turns = 0;
		uint64_t ticket, number;
		void *block;

		while (!acquire(in, &block, &ticket))
			bench_relax(lane, &turns);
		memcpy(&number, block, 8);
		wrong |= queue_check_block(block, lane->first + i);
		sum += number;
		release(in, ticket);
	}
	bench_stop(lane);
	lane->wrong = wrong;
	lane->sum = sum;
}

/* clang-format off */
#define QUEUE_IN_PLACE_LOOPS(prefix, reserve, commit, acquire, release)                            \
	static void prefix##_produce(struct bench_lane *lane, void *out, void *in)                 \
	{ (void)in; queue_produce_in_place(lane, reserve, commit, out); }                          \
	static void prefix##_consume(struct bench_lane *lane, void *out, void *in)                 \
	{ (void)out; queue_consume_in_place(lane, acquire, release, in); }                         \
	static const struct bench_loops prefix##_loops = {                                         \
		prefix##_produce, prefix##_consume, NULL, NULL, NULL, NULL,                        \
	}
/* clang-format on */

/* The same work where the queue copies: one block of one's own on either side. */
typedef bool queue_send_fn(void *end, const void *block);
typedef bool queue_receive_fn(void *end, void *out_block);

BENCH_INLINE void queue_produce_copies(struct bench_lane *lane, queue_send_fn *send, void *out)
{
	static char room[QUEUE_BLOCK + 128];
	void *block = BENCH_ALIGNED(char, room);

	bench_start(lane);
	for (uint64_t i = 0; i < lane->count; i++) {
		unsigned turns = 0;

		queue_fill_block(block, lane->first + i);
		while (!send(out, block))
			bench_relax(lane, &turns);
	}
	bench_stop(lane);
}

BENCH_INLINE void queue_consume_copies(struct bench_lane *lane, queue_receive_fn *receive, void *in)
{
	static char room[QUEUE_BLOCK + 128];
	void *block = BENCH_ALIGNED(char, room);
	uint64_t wrong = 0, sum = 0;

	bench_start(lane);
	for (uint64_t i = 0; i < lane->count; i++) {
		unsigned turns = 0;
		uint64_t number;

		while (!receive(in, block))
			bench_relax(lane, &turns);
		memcpy(&number, block, 8);
		wrong |= queue_check_block(block, lane->first + i);
		sum += number;
	}
	bench_stop(lane);
	lane->wrong = wrong;
	lane->sum = sum;
}

/* clang-format off */
#define QUEUE_COPY_LOOPS(prefix, send, receive)                                                    \
	static void prefix##_produce(struct bench_lane *lane, void *out, void *in)                 \
	{ (void)in; queue_produce_copies(lane, send, out); }                                       \
	static void prefix##_consume(struct bench_lane *lane, void *out, void *in)                 \
	{ (void)out; queue_consume_copies(lane, receive, in); }                                    \
	static const struct bench_loops prefix##_loops = {                                         \
		prefix##_produce, prefix##_consume, NULL, NULL, NULL, NULL,                        \
	}
/* clang-format on */

#ifdef __cplusplus
}
#endif

#endif
