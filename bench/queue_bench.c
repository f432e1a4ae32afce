/* SPDX-License-Identifier: MIT */
/*
 * How fast the queue is, beside its peers and some yardsticks; README.md says how to read it.
 */
#include "queue_subject.h"

enum shape { ONE_TO_ONE, TWO_TO_TWO, ALONE, ROUND_TRIP };

static double m_items_per_s(const struct bench_result *result)
{
	return (double)result->count * 1e3 / (double)result->ns;
}

static double gb_per_s(const struct bench_result *result)
{
	return (double)result->count * QUEUE_BLOCK / (double)result->ns;
}

static const struct bench_figure items = {"M items/s", false, m_items_per_s, NULL, NULL};
static const struct bench_figure bytes = {"GB/s", false, gb_per_s, NULL, NULL};

#define CASE(label, text, where, number, how, what)                                                \
	{                                                                                          \
		.name = (label), .title = (text), .mask = (where), .lanes = (number),              \
		.shape = (how), .figures = {&(what)}, .begin = (where) == QUEUE_64K ? 64 : 0       \
	}

static const struct bench_case cases[] = {
	CASE("queue_spsc", "one producer, one consumer; ours in single/single mode", QUEUE_SPSC, 2,
	     ONE_TO_ONE, items),
	CASE("queue_mpmc_1p1c", "queues for many, one producer and one consumer", QUEUE_MPMC_1P1C,
	     2, ONE_TO_ONE, items),
	CASE("queue_mpmc_2p2c", "two producers and two consumers, one of each on either CPU",
	     QUEUE_MPMC_2P2C, 4, TWO_TO_TWO, items),
	CASE("queue_alone", "push and pop in turn, one process", QUEUE_ALONE, 1, ALONE,
	     bench_ns_each),
	CASE("queue_batch32", "batches of 32 items", QUEUE_BATCH32, 2, ONE_TO_ONE, items),
	CASE("queue_64k_in_place", "64 KiB elements, every byte written and read", QUEUE_64K, 2,
	     ONE_TO_ONE, bytes),
	CASE("queue_pingpong", "round trip through two queues, polling", QUEUE_PINGPONG, 2,
	     ROUND_TRIP, bench_ns_each),
	CASE("queue_sleeping", "round trip through two queues, waiting", QUEUE_SLEEPING, 2,
	     ROUND_TRIP, bench_ns_each),
};

static const struct bench_bar bars[] = {
	{"queue_spsc", "zeroipc", NULL, 250, false},
	{"queue_spsc", "zeroipc", BENCH_BEST_PEER, 1, false},
	{"queue_pingpong", "zeroipc", "two_lines", 1.15, true},
	{"queue_mpmc_1p1c", "zeroipc", BENCH_BEST_PEER, 2.5, false},
	{"queue_mpmc_2p2c", "zeroipc", BENCH_BEST_PEER, 1, false},
	{"queue_alone", "zeroipc", "vyukov", 1.3, true},
	{"queue_batch32", "zeroipc", "boost_spsc", 0.8, false},
	{"queue_64k_in_place", "zeroipc", "copying_queue", 2, false},
	{"queue_64k_in_place", "zeroipc", "unix_socket", 5, false},
	{"queue_sleeping", "zeroipc", "futex_pair", 1.2, true},
	{"queue_sleeping", "zeroipc_spin", NULL, 1000, true},
};

static const struct bench_subject *const *const subject_lists[] = {
	queue_zeroipc_subjects, queue_yardsticks,
#ifdef HAVE_RTE_RING
	queue_dpdk_subjects,
#endif
	queue_peer_subjects,
#ifdef HAVE_CXX_PEERS
	queue_cxx_subjects,
#endif
};

static void run_one_to_one(struct bench_lane *lane, const struct bench_work *work, bool produces)
{
	const struct bench_subject *subject = work->subject;
	void *end = subject->attach(work->state, 0, produces ? QUEUE_PRODUCER : QUEUE_CONSUMER);

	if (produces)
		subject->loops->produce(lane, end, NULL);
	else if (work->bench->shape == TWO_TO_TWO)
		subject->loops->consume_mixed(lane, NULL, end);
	else
		subject->loops->consume(lane, NULL, end);
	subject->detach(end);
}

static void run_alone(struct bench_lane *lane, const struct bench_work *work)
{
	void *end = work->subject->attach(work->state, 0, QUEUE_PRODUCER | QUEUE_CONSUMER);

	work->subject->loops->alone(lane, end, end);
	work->subject->detach(end);
}

static void run_round_trip(struct bench_lane *lane, const struct bench_work *work)
{
	const struct bench_subject *subject = work->subject;
	unsigned me = lane->index;
	void *in = subject->attach(work->state, 1 - me, QUEUE_CONSUMER);
	void *out = subject->attach(work->state, me, QUEUE_PRODUCER);

	if (me == 0)
		subject->loops->ping(lane, out, in);
	else
		subject->loops->pong(lane, out, in);
	subject->detach(in);
	subject->detach(out);
}

static void run_lane(struct bench_lane *lane, const struct bench_work *work)
{
	switch (work->bench->shape) {
	case ONE_TO_ONE:
		run_one_to_one(lane, work, lane->index == 0);
		break;
	case TWO_TO_TWO:
		run_one_to_one(lane, work, lane->index < 2);
		break;
	case ALONE:
		run_alone(lane, work);
		break;
	case ROUND_TRIP:
		run_round_trip(lane, work);
		break;
	}
}

/* Sum of first, first + 1, ... */
static uint64_t sum_of(uint64_t first, uint64_t count)
{
	uint64_t half = count % 2 ? count * ((count - 1) / 2) : count / 2 * (count - 1);

	return first * count + half;
}

static void plan(const struct bench_case *bench, uint64_t count, struct bench_lane *lanes)
{
	if (bench->shape != TWO_TO_TWO)
		return;
	for (unsigned i = 0; i < bench->lanes; i++) {
		lanes[i].cpu = i % 2;
		lanes[i].first = ((uint64_t)(i + 1) << QUEUE_TAG_SHIFT) + 1;
		lanes[i].count = count / 2;
	}
}

/* Whether what was received is what was sent. */
static bool check(const struct bench_case *bench, const struct bench_lane *lanes)
{
	uint64_t sum = 0, expected = 0, wrong = 0;
	unsigned senders = bench->shape == TWO_TO_TWO ? 2 : 1;

	for (unsigned i = 0; i < bench->lanes; i++) {
		sum += lanes[i].sum;
		wrong |= lanes[i].wrong;
	}
	for (unsigned i = 0; i < senders; i++)
		expected += sum_of(lanes[i].first, lanes[i].count);
	return wrong == 0 && sum == expected;
}

#define TEXT(number)	TEXT_OF(number)
#define TEXT_OF(number) #number

static const struct bench_program program = {
	.name = "queue_bench",
	.prefix = "queue_",
	.about = "items of 8 bytes, capacity " TEXT(QUEUE_CAPACITY) ", batches of " TEXT(
		QUEUE_BATCH),
	.missing = ""
#ifndef HAVE_RTE_RING
		   " rte_ring"
#endif
#ifndef HAVE_CK
		   " ck_ring"
#endif
#ifndef HAVE_MOODYCAMEL
		   " moodycamel"
#endif
#ifndef HAVE_READERWRITERQUEUE
		   " readerwriterqueue"
#endif
#ifndef HAVE_BOOST
		   " boost"
#endif
#ifndef HAVE_ZMQ
		   " zeromq"
#endif
	,
	.cases = cases,
	.case_count = BENCH_COUNT(cases),
	.bars = bars,
	.bar_count = BENCH_COUNT(bars),
	.subjects = subject_lists,
	.list_count = BENCH_COUNT(subject_lists),
	.plan = plan,
	.run = run_lane,
	.check = check,
};

int main(int argc, char **argv)
{
	return bench_main(&program, argc, argv);
}
