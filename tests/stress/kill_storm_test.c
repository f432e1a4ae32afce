/* SPDX-License-Identifier: MIT */
/*
 * Random kill -9 of everybody: producers, consumers, creators and removers, waiters. Whoever is
 * killed is replaced. Items are tagged and entered into a ledger that outlives the killed, so that
 * afterwards everything must add up: what push accepted was delivered, once, whole and in order,
 * but for what a consumer that died in pop had in its hands.
 */
#include "support/cmocka_all.h"
#include "support/ledger.h"
#include "support/peer.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MS	  INT64_C(1000000)
#define SEQUENCES 2000000u
#define WORKERS	  10u
#define BATCH	  5u
#define CAPACITY  64u

#define KILLS_EACH   600u
#define SECONDS_EACH 90u

enum duty { PRODUCE, CONSUME, CREATE, BYSTAND };

struct worker {
	uint32_t duty;
	uint32_t lane;
	uint32_t in_call; /* 1 while inside of a call that may hold an item; may be killed there */
	uint32_t pad;
	uint64_t rounds;
};

struct storm {
	uint32_t stop;	    /* everybody comes to an end */
	uint32_t quiet;	    /* producers come to an end */
	uint32_t strange;   /* return codes that no call may give */
	uint32_t last_code; /* one of them, and what said it */
	char last_call[32];
	uint32_t flags; /* of the queue */
	uint32_t element_size;
	char segment[80];
	struct worker workers[WORKERS];
};

static size_t ledger_offset(void)
{
	return (sizeof(struct storm) + 4095) / 4096 * 4096;
}

static struct ledger *ledger_of(struct storm *storm)
{
	return (struct ledger *)(void *)((uint8_t *)storm + ledger_offset());
}

static bool flag(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST) != 0;
}

static void note_strange(struct storm *storm, const char *call, int code)
{
	snprintf(storm->last_call, sizeof storm->last_call, "%s", call);
	__atomic_store_n(&storm->last_code, (uint32_t)code, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&storm->strange, 1u, __ATOMIC_SEQ_CST);
}

static void in_call(struct worker *worker, uint32_t value)
{
	__atomic_store_n(&worker->in_call, value, __ATOMIC_SEQ_CST);
}

/* ---- roles ---------------------------------------------------------------------------------- */

static void expect_code(struct storm *storm, const char *call, int code)
{
	static const int fine[] = {-EAGAIN, -ETIMEDOUT, -EPIPE, -EBUSY};
	for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
		if (code >= 0 || code == fine[i])
			return;
	note_strange(storm, call, code);
}

/* One item through push, or written in place. Returns what the queue says. */
static int produce_one(struct storm *storm, zipc_queue *queue, uint32_t lane, uint32_t sequence,
		       bool in_place)
{
	uint8_t element[256];
	void *place;
	uint64_t ticket;
	int r;
	if (!in_place) {
		item_write(element, storm->element_size, lane, sequence);
		r = zipc_queue_push(queue, element, 50 * MS);
	} else {
		r = zipc_queue_reserve(queue, 50 * MS, &place, &ticket);
		if (r == 0) {
			item_write(place, storm->element_size, lane, sequence);
			r = zipc_queue_commit(queue, ticket);
		}
	}
	return r;
}

static void produce(struct storm *storm, struct worker *worker, zipc_queue *queue, uint64_t *seed)
{
	struct ledger *ledger = ledger_of(storm);
	while (!flag(&storm->stop) && !flag(&storm->quiet)) {
		uint32_t sequence = ledger_next(ledger, worker->lane);
		if (sequence == 0)
			return;
		bool in_place = random_below(seed, 4) == 0;
		int r;
		do
			r = produce_one(storm, queue, worker->lane, sequence, in_place);
		while ((r == -ETIMEDOUT || r == -EBUSY) && !flag(&storm->stop));
		if (r == 0)
			ledger_accepted(ledger, worker->lane, sequence);
		else
			ledger_refused(ledger, worker->lane, sequence);
		expect_code(storm, "push", r);
		worker->rounds++;
		if (random_below(seed, 64) == 0)
			nap_us(200);
	}
}

static int consume_in_place(struct storm *storm, zipc_queue *queue, struct ledger_view *view,
			    uint64_t *seed)
{
	void *place;
	uint64_t ticket;
	bool again = false;
	int r = zipc_queue_acquire(queue, 20 * MS, &place, &ticket);
	if (r < 0)
		return r;
	if ((storm->flags & ZIPC_QUEUE_AT_LEAST_ONCE) != 0) {
		int n = zipc_queue_deliveries(queue, ticket);
		again = n > 1;
		if (n < 1)
			note_strange(storm, "deliveries", n);
		if (random_below(seed, 50) == 0)
			return zipc_queue_requeue(queue, ticket);
	}
	ledger_seen(ledger_of(storm), view, place, storm->element_size, again);
	return zipc_queue_release(queue, ticket);
}

static int consume_batch(struct storm *storm, zipc_queue *queue, struct ledger_view *view)
{
	uint8_t elements[BATCH * 256];
	int n = zipc_queue_pop_n(queue, elements, BATCH, 20 * MS);
	for (int i = 0; i < n; i++)
		ledger_seen(ledger_of(storm), view, elements + (size_t)i * storm->element_size,
			    storm->element_size, false);
	return n;
}

static void consume(struct storm *storm, struct worker *worker, zipc_queue *queue, uint64_t *seed)
{
	struct ledger_view view = {0};
	bool again = (storm->flags & ZIPC_QUEUE_AT_LEAST_ONCE) != 0;
	while (!flag(&storm->stop)) {
		bool batch = !again && random_below(seed, 8) == 0;
		in_call(worker, batch ? BATCH : 1);
		int r = batch ? consume_batch(storm, queue, &view)
			      : consume_in_place(storm, queue, &view, seed);
		in_call(worker, 0);
		expect_code(storm, "pop", r);
		worker->rounds++;
	}
}

/* Creates, opens, removes a handful of names, and blocks now and then. */
static void create(struct storm *storm, struct worker *worker, zipc_segment *segment,
		   uint64_t *seed)
{
	while (!flag(&storm->stop)) {
		char name[16];
		zipc_queue *queue;
		snprintf(name, sizeof name, "t%u", random_below(seed, 6));
		int r = zipc_queue_open_or_create(segment, name, 24, 1 + random_below(seed, 40),
						  NULL, &queue);
		if (r >= 0) {
			uint8_t element[24] = {0};
			zipc_queue_push(queue, element, ZIPC_NOWAIT);
			if (random_below(seed, 2) == 0)
				zipc_queue_remove(segment, name);
			zipc_queue_pop(queue, element, ZIPC_NOWAIT);
			zipc_queue_close(queue);
		} else {
			expect_code(storm, "open_or_create", r);
		}
		uint64_t offset;
		r = zipc_alloc(segment, 1 + random_below(seed, 3000), 0, &offset);
		expect_code(storm, "alloc", r);
		if (r == 0 && random_below(seed, 8) != 0)
			zipc_free(segment, offset);
		if (random_below(seed, 100) == 0)
			expect_code(storm, "gc", zipc_segment_gc(segment));
		worker->rounds++;
	}
}

/* Sleeps on a queue into which something falls rarely: most kills find it asleep. */
static void bystand(struct storm *storm, struct worker *worker, zipc_segment *segment,
		    uint64_t *seed)
{
	zipc_queue *queue;
	int r = zipc_queue_open(segment, "rare", 0, NULL, &queue);
	if (r < 0) {
		note_strange(storm, "open rare", r);
		return;
	}
	while (!flag(&storm->stop)) {
		uint8_t element[16] = {0};
		if (random_below(seed, 3) == 0)
			r = zipc_queue_push(queue, element, 30 * MS);
		else
			r = zipc_queue_pop(queue, element, 30 * MS);
		expect_code(storm, "rare", r);
		worker->rounds++;
	}
	zipc_queue_close(queue);
}

static int work(struct storm *storm, struct worker *worker, zipc_segment *segment, uint64_t seed)
{
	zipc_queue *queue;
	int r = zipc_queue_open(segment, "items", 0, NULL, &queue);
	if (r < 0) {
		note_strange(storm, "open items", r);
		return 1;
	}
	switch (worker->duty) {
	case PRODUCE:
		produce(storm, worker, queue, &seed);
		break;
	case CONSUME:
		consume(storm, worker, queue, &seed);
		break;
	case CREATE:
		create(storm, worker, segment, &seed);
		break;
	default:
		bystand(storm, worker, segment, &seed);
	}
	zipc_queue_close(queue);
	return 0;
}

/* worker <board> <index> <seed> */
static int role_worker(int argc, char **argv)
{
	zipc_segment *segment;
	if (argc != 3)
		return 2;
	struct board board = board_join(argv[0]);
	struct storm *storm = board.memory;
	int r = zipc_segment_open(storm->segment, NULL, &segment);
	if (r < 0) {
		note_strange(storm, "open segment", r);
		return 1;
	}
	r = work(storm, &storm->workers[atoi(argv[1])], segment, strtoull(argv[2], NULL, 10));
	zipc_segment_close(segment);
	return r;
}

/* ---- the storm ------------------------------------------------------------------------------ */

struct weather {
	const char *name;
	uint32_t flags;
	uint32_t producers;
	uint32_t consumers;
	uint32_t creators;
	uint32_t bystanders;
	uint32_t element_size;
};

struct toll {
	uint64_t kills;
	uint64_t consumers;    /* killed */
	uint64_t may_be_lost;  /* items that killed consumers may have had in their hands */
	uint64_t may_be_again; /* items that a killed consumer may have entered and not released */
};

static pid_t start_worker(const struct board *board, uint32_t index, uint64_t *seed)
{
	return peer_spawn("worker", text_of(board->fd), text_of(index),
			  text_of((long long)(random_next(seed) >> 2)), NULL);
}

static void assign_duties(struct storm *storm, const struct weather *w)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < w->producers; i++)
		storm->workers[n++] = (struct worker){.duty = PRODUCE, .lane = i};
	for (uint32_t i = 0; i < w->consumers; i++)
		storm->workers[n++] = (struct worker){.duty = CONSUME};
	for (uint32_t i = 0; i < w->creators; i++)
		storm->workers[n++] = (struct worker){.duty = CREATE};
	for (uint32_t i = 0; i < w->bystanders; i++)
		storm->workers[n++] = (struct worker){.duty = BYSTAND};
}

static void count_death(struct toll *toll, const struct storm *storm, const struct worker *worker)
{
	toll->kills++;
	if (worker->duty != CONSUME)
		return;
	toll->consumers++;
	uint32_t held = __atomic_load_n(&worker->in_call, __ATOMIC_SEQ_CST);
	bool comes_back = (storm->flags & ZIPC_QUEUE_AT_LEAST_ONCE) != 0;
	if (comes_back)
		toll->may_be_again += held;
	else
		toll->may_be_lost += held;
}

static void rage(const struct board *board, uint32_t workers, uint64_t *seed, struct toll *toll)
{
	struct storm *storm = board->memory;
	pid_t pids[WORKERS];
	for (uint32_t i = 0; i < workers; i++)
		pids[i] = start_worker(board, i, seed);
	for (uint32_t k = 0; k < KILLS_EACH; k++) {
		uint32_t victim = random_below(seed, workers);
		nap_us(random_below(seed, 8000));
		peer_kill(pids[victim]);
		count_death(toll, storm, &storm->workers[victim]);
		__atomic_store_n(&storm->workers[victim].in_call, 0u, __ATOMIC_SEQ_CST);
		pids[victim] = start_worker(board, victim, seed);
	}
	__atomic_store_n(&storm->quiet, 1u, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < workers; i++)
		if (storm->workers[i].duty == PRODUCE)
			assert_int_equal(peer_wait(pids[i]), 0);
	__atomic_store_n(&storm->stop, 1u, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < workers; i++)
		if (storm->workers[i].duty != PRODUCE)
			assert_int_equal(peer_wait(pids[i]), 0);
}

/* What is left in the queue is delivered to the test itself. */
static void drain(struct storm *storm, zipc_queue *queue)
{
	struct ledger_view view = {0};
	uint8_t element[256];
	int r;
	nap_us(20000); /* nobody who is dead by now is remembered as living */
	for (uint32_t i = 0; (r = zipc_queue_pop(queue, element, ZIPC_NOWAIT)) == 0; i++) {
		/* all of the queue at most: what comes late came again */
		bool again = (storm->flags & ZIPC_QUEUE_AT_LEAST_ONCE) != 0;
		ledger_seen(ledger_of(storm), &view, element, storm->element_size, again);
		assert_true(i <= CAPACITY);
	}
	assert_int_equal(r, -EAGAIN);
}

static void check_capacity(zipc_queue *queue)
{
	uint8_t element[256] = {0};
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < CAPACITY; i++)
			assert_int_equal(zipc_queue_push(queue, element, ZIPC_NOWAIT), 0);
		assert_int_equal(zipc_queue_push(queue, element, ZIPC_NOWAIT), -EAGAIN);
		for (uint32_t i = 0; i < CAPACITY; i++)
			assert_int_equal(zipc_queue_pop(queue, element, ZIPC_NOWAIT), 0);
		assert_int_equal(zipc_queue_pop(queue, element, ZIPC_NOWAIT), -EAGAIN);
	}
}

static void check_sums(const struct weather *weather, const struct storm *storm,
		       const struct ledger_sum *sum, const struct toll *toll)
{
	if (storm->strange > 0)
		print_error("%s: %s said %d, and %u more\n", weather->name, storm->last_call,
			    (int)storm->last_code, storm->strange);
	assert_int_equal(storm->strange, 0);
	assert_int_equal(sum->torn, 0);
	assert_int_equal(sum->strange, 0);
	assert_int_equal(sum->reordered, 0);
	assert_true(sum->lost <= toll->may_be_lost);
	assert_true(sum->doubled <= toll->may_be_again);
	assert_true(sum->accepted > 10 * KILLS_EACH);
	assert_int_equal(toll->kills, KILLS_EACH);
}

static int print_problem(const char *problem, void *arg)
{
	(void)arg;
	print_error("verify: %s\n", problem);
	return 0;
}

/* After the storm nothing of the dead is left: the names go, and all memory with them. */
static void check_segment(zipc_segment *segment, uint64_t used)
{
	for (int i = 0; i < 6; i++) {
		char name[16];
		snprintf(name, sizeof name, "t%d", i);
		int r = zipc_remove(segment, name);
		assert_true(r == 0 || r == -ENOENT);
	}
	assert_true(zipc_segment_gc(segment) >= 0);
	assert_int_equal(zipc_segment_gc(segment), 0);
	assert_int_equal(zipc_segment_verify(segment, print_problem, NULL), 0);
	assert_int_equal(segment_used(segment), used);
}

static void create_queues(zipc_segment *segment, const struct weather *weather,
			  zipc_queue **out_items)
{
	zipc_queue *rare;
	zipc_queue_options options = ZIPC_QUEUE_OPTIONS_INIT;
	assert_int_equal(zipc_queue_create(segment, "rare", 16, 4, NULL, &rare), 0);
	zipc_queue_close(rare);
	options.flags = weather->flags;
	assert_int_equal(zipc_queue_create(segment, "items", weather->element_size, CAPACITY,
					   &options, out_items),
			 0);
}

static void storm(const struct weather *weather)
{
	uint64_t seed = seed_for(weather->name), began = now_ns();
	uint32_t workers =
		weather->producers + weather->consumers + weather->creators + weather->bystanders;
	watchdog(SECONDS_EACH, weather->name);
	struct board board = board_make(ledger_offset() + ledger_size(SEQUENCES));
	struct storm *storm = board.memory;
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	zipc_segment *segment;
	zipc_queue *items;
	options.size = 1 << 20;
	options.max_size = 64 << 20;
	options.max_peers = 24;
	snprintf(storm->segment, sizeof storm->segment, "%s", unique_name("storm"));
	storm->flags = weather->flags;
	storm->element_size = weather->element_size;
	ledger_start(ledger_of(storm), SEQUENCES);
	assign_duties(storm, weather);
	assert_int_equal(zipc_segment_create(storm->segment, &options, &segment), 0);
	create_queues(segment, weather, &items);
	uint64_t used = segment_used(segment);
	struct toll toll = {0};
	rage(&board, workers, &seed, &toll);
	drain(storm, items);
	struct ledger_sum sum = ledger_sum(ledger_of(storm));
	ledger_print(weather->name, &sum);
	printf("%s: %" PRIu64 " kills, %" PRIu64 " of consumers, %" PRIu64
	       " items in their hands; %.1f s\n",
	       weather->name, toll.kills, toll.consumers, toll.may_be_lost + toll.may_be_again,
	       (double)(now_ns() - began) * 1e-9);
	check_sums(weather, storm, &sum, &toll);
	check_capacity(items);
	zipc_queue_close(items);
	check_segment(segment, used);
	zipc_segment_close(segment);
	assert_int_equal(zipc_segment_remove(storm->segment, NULL), 0);
	board_close(&board);
}

static void test_many_to_many(void **state)
{
	(void)state;
	storm(&(struct weather){"storm, many to many", 0, 3, 3, 2, 2, 24});
}

static void test_at_least_once(void **state)
{
	(void)state;
	storm(&(struct weather){"storm, at least once", ZIPC_QUEUE_AT_LEAST_ONCE, 3, 4, 1, 1, 100});
}

static void test_one_to_one(void **state)
{
	(void)state;
	storm(&(struct weather){"storm, one to one",
				ZIPC_QUEUE_SINGLE_PRODUCER | ZIPC_QUEUE_SINGLE_CONSUMER, 1, 1, 1, 1,
				24});
}

/* Elements of eight bytes go by paths of their own. */
static void test_small_elements(void **state)
{
	(void)state;
	storm(&(struct weather){"storm, eight bytes, many to many", 0, 3, 3, 1, 1, 8});
	storm(&(struct weather){"storm, eight bytes, one to one",
				ZIPC_QUEUE_SINGLE_PRODUCER | ZIPC_QUEUE_SINGLE_CONSUMER, 1, 1, 1, 1,
				8});
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_to_many),
		cmocka_unit_test(test_at_least_once),
		cmocka_unit_test(test_one_to_one),
		cmocka_unit_test(test_small_elements),
	};
	return PEER_RUN("kill_storm", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{"worker", role_worker}, {NULL, NULL}};
	return peer_main(argc, argv, roles, all_tests);
}
