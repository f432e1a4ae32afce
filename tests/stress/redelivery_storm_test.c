/* SPDX-License-Identifier: MIT */
/*
 * A reader fills a small at-least-once queue; workers acquire, push a result into a second queue
 * and release. All but one of them die, most with an item in their hands, and the last one has to
 * go on for hundreds of laps: whatever is delivered again must neither be lost nor leave a slot
 * behind that is full for the reader and empty for the worker. Each round draws its shape from the
 * seed. When nothing moves any more, the words of the queue are printed.
 */
#include "support/cmocka_all.h"
#include "support/peer.h"

#include "structure/queue.h"

#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS	       120u
#define SECONDS	       280u
#define ITEMS	       3000u
#define EARLY	       200u /* items among which the deaths happen */
#define WORKERS	       3u
#define RESULTS	       4u
#define STUCK_MS       5000u
#define MS	       INT64_C(1000000)
#define AGAIN	       ZIPC_QUEUE_AT_LEAST_ONCE
#define WORK_MOST      300u /* turns of a loop */
#define REQUEUE_ONE_IN 40u

enum death {
	LIVES,
	DIES_ANYWHERE, /* by the test's hand, whatever it is doing */
	DIES_FREE,     /* between two items */
	DIES_HOLDING,
	DIES_BEFORE_RELEASE, /* the result is sent */
	DIES_REDELIVERING,   /* holds what somebody else held before, or gave back */
	DEATHS,
};

struct shape {
	uint32_t capacity;
	uint32_t flags;
	uint32_t workers;
	uint32_t slice_ms;
	bool reader_polls;
	bool workers_poll;
	bool in_place;
	bool cared_for; /* gc and verify beside it */
};

struct place {
	uint32_t death;
	uint32_t after; /* items of its own, before it dies */
	uint32_t dying; /* 1 = at the point where it dies */
	uint32_t pad;
};

struct plan {
	struct scene_card card;
	struct shape shape;
	uint32_t pushed;
	uint32_t released;
	uint32_t ended; /* the reader, and workers */
	uint32_t stop;	/* for the carer */
	uint32_t wrong;
	int32_t wrong_code;
	struct place places[WORKERS + 1]; /* the last: who comes when all the others are dead */
};

static void raise_word(uint32_t *word)
{
	__atomic_add_fetch(word, 1u, __ATOMIC_SEQ_CST);
}

static uint32_t look(const uint32_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static int note_wrong(struct plan *plan, int code)
{
	__atomic_store_n(&plan->wrong_code, code, __ATOMIC_SEQ_CST);
	raise_word(&plan->wrong);
	return 4;
}

/* ---- roles ----------------------------------------------------------------------------------- */

static int join(struct scene *scene, const char *board, zipc_queue **results)
{
	int r = scene_join(scene, board);
	if (r >= 0 && results != NULL)
		r = zipc_queue_open(scene->segment, "results", 0, NULL, results);
	return r;
}

static int push_number(zipc_queue *queue, uint64_t number, bool in_place, int64_t timeout_ns)
{
	void *place;
	uint64_t ticket;
	if (!in_place)
		return zipc_queue_push(queue, &number, timeout_ns);
	int r = zipc_queue_reserve(queue, timeout_ns, &place, &ticket);
	if (r < 0)
		return r;
	memcpy(place, &number, sizeof number);
	return zipc_queue_commit(queue, ticket);
}

/* reader <board>: pushes 1 to ITEMS, then shuts down. */
static int role_reader(int argc, char **argv)
{
	struct scene scene;
	if (argc != 1 || join(&scene, argv[0], NULL) < 0)
		return 3;
	struct plan *plan = scene.board.memory;
	const struct shape *shape = &plan->shape;
	int64_t timeout = shape->reader_polls ? ZIPC_NOWAIT : ZIPC_FOREVER;
	for (uint64_t number = 1; number <= ITEMS;) {
		int r = push_number(scene.queue, number, shape->in_place, timeout);
		if (r == 0) {
			raise_word(&plan->pushed);
			number++;
		} else if (r == -EAGAIN && shape->reader_polls) {
			sched_yield();
		} else {
			return note_wrong(plan, r);
		}
	}
	int r = zipc_queue_shutdown(scene.queue);
	raise_word(&plan->ended);
	return r < 0 ? note_wrong(plan, r) : 0;
}

static void die(struct place *place)
{
	__atomic_store_n(&place->dying, 1u, __ATOMIC_SEQ_CST);
	kill(getpid(), SIGKILL);
}

static void die_if(struct place *place, uint32_t death, uint32_t items)
{
	if (place->death == death && items >= place->after)
		die(place);
}

/* One item: acquired, worked on, its number sent on, released. */
static int do_one(struct plan *plan, zipc_queue *queue, zipc_queue *results, struct place *place,
		  uint32_t items, uint64_t *seed)
{
	void *element;
	uint64_t ticket, number;
	int r = zipc_queue_acquire(queue, plan->shape.workers_poll ? ZIPC_NOWAIT : ZIPC_FOREVER,
				   &element, &ticket);
	if (r < 0)
		return r;
	if (zipc_queue_deliveries(queue, ticket) > 1)
		die_if(place, DIES_REDELIVERING, items);
	die_if(place, DIES_HOLDING, items);
	for (volatile uint32_t i = random_below(seed, WORK_MOST); i > 0; i--)
		;
	if (random_below(seed, REQUEUE_ONE_IN) == 0)
		return zipc_queue_requeue(queue, ticket);
	memcpy(&number, element, sizeof number);
	r = zipc_queue_push(results, &number, ZIPC_FOREVER);
	if (r < 0)
		return r;
	die_if(place, DIES_BEFORE_RELEASE, items);
	r = zipc_queue_release(queue, ticket);
	if (r == 0)
		raise_word(&plan->released);
	return r;
}

/* worker <board> <place> <seed>: until the queue is shut down and everything acknowledged. */
static int role_worker(int argc, char **argv)
{
	struct scene scene;
	zipc_queue *results;
	if (argc != 3 || join(&scene, argv[0], &results) < 0)
		return 3;
	struct plan *plan = scene.board.memory;
	struct place *place = &plan->places[atoi(argv[1])];
	uint64_t seed = strtoull(argv[2], NULL, 10) | 1;
	for (uint32_t items = 0;;) {
		die_if(place, DIES_FREE, items);
		int r = do_one(plan, scene.queue, results, place, items, &seed);
		if (r == -EPIPE)
			break;
		if (r == 0)
			items++;
		else if (r == -EAGAIN && plan->shape.workers_poll)
			sched_yield();
		else if (r != -EBUSY) /* a dead one's role, just before that shows */
			return note_wrong(plan, r);
	}
	raise_word(&plan->ended);
	return 0;
}

/* carer <board> <seed> */
static int role_carer(int argc, char **argv)
{
	struct scene scene;
	if (argc != 2 || join(&scene, argv[0], NULL) < 0)
		return 3;
	struct plan *plan = scene.board.memory;
	uint64_t seed = strtoull(argv[1], NULL, 10) | 1;
	while (look(&plan->stop) == 0) {
		/* what verify finds in a queue in use may be gone by now: only how it ends counts */
		int r = random_below(&seed, 2) == 0
				? zipc_segment_gc(scene.segment)
				: zipc_segment_verify(scene.segment, NULL, NULL);
		if (r < 0)
			return note_wrong(plan, r);
		zipc_queue_size(scene.queue);
		nap_us(random_below(&seed, 1500));
	}
	return 0;
}

/* ---- the test's side ------------------------------------------------------------------------- */

struct deaths {
	uint32_t all;
	uint32_t planned; /* at the very point that the round had drawn */
};

struct round {
	struct scene scene;
	struct plan *plan;
	zipc_queue *results;
	uint32_t seen[ITEMS + 1];
	uint32_t distinct;
	uint32_t doubled;
	uint64_t progress;
	uint32_t idle_ms;
	pid_t reader, carer, workers[WORKERS + 1];
};

static void print_gate(const char *name, uint32_t word)
{
	print_error("  %s: epoch %u%s\n", name, word >> 1, (word & 1) != 0 ? ", occupied" : "");
}

static void print_queue(const char *name, const zipc_queue *queue)
{
	static const char *const states[] = {"FREE", "CLAIMED", "READY", "TAKEN"};
	const struct zi_queue *s = queue->shared;
	print_error("%s: head %" PRIu64 ", tail %" PRIu64 ", done %" PRIu64
		    ", requeued %u, dropped %" PRIu64 ", redelivered %" PRIu64 "\n",
		    name, s->head, s->tail, s->done, s->requeued, s->dropped, s->redelivered);
	print_error("  settled: head %" PRIu64 ", tail %" PRIu64 "; producer %#" PRIx64
		    ", consumer %#" PRIx64 ", busy %u, shut down %u\n",
		    zi_queue_settle_head(queue, s->head), zi_queue_settle_tail(queue, s->tail),
		    s->producer, s->consumer, s->busy, s->shut_down);
	print_gate("items", s->items_gate);
	print_gate("space", s->space_gate);
	for (uint64_t i = 0; i <= queue->mask; i++) {
		uint64_t w = zi_load_acquire(zi_queue_word(queue, i));
		uint32_t owner = zi_slot_owner(w);
		print_error("  slot %" PRIu64 ": lap %" PRIu64 " (position %" PRIu64
			    ") %s, owner %#x%s, deliveries %u\n",
			    i, zi_slot_lap(w), (zi_slot_lap(w) << queue->shift) + i,
			    states[zi_slot_state(w)], owner,
			    owner == 0				       ? ""
			    : zi_peer_dead(queue->segment, owner) == 1 ? ", dead"
								       : ", alive",
			    zi_queue_again(queue) ? *zi_queue_deliveries(queue, i) : 0);
	}
}

static void stuck(struct round *round, const char *what)
{
	const struct plan *plan = round->plan;
	print_error("nothing moves: %s; pushed %u, released %u, results %u\n", what,
		    look(&plan->pushed), look(&plan->released), round->distinct);
	print_queue("items", round->scene.queue);
	print_queue("results", round->results);
	fail_msg("stuck");
}

/* Takes one result, or waits a millisecond for it; fails when nothing has moved for too long. */
static void collect(struct round *round, const char *what)
{
	uint64_t number;
	struct plan *plan = round->plan;
	int r = zipc_queue_pop(round->results, &number, MS);
	if (r == 0) {
		assert_in_range(number, 1, ITEMS);
		if (round->seen[number]++ == 0)
			round->distinct++;
		else
			round->doubled++;
		round->idle_ms = 0;
		return;
	}
	assert_int_equal(r, -ETIMEDOUT);
	if (look(&plan->wrong) != 0)
		fail_msg("a call said %d", (int)plan->wrong_code);
	uint64_t progress = (uint64_t)look(&plan->pushed) + look(&plan->released);
	round->idle_ms = progress == round->progress ? round->idle_ms + 1 : 0;
	round->progress = progress;
	if (round->idle_ms >= STUCK_MS)
		stuck(round, what);
}

static struct shape draw_shape(uint64_t *seed)
{
	struct shape shape = {
		.capacity = 4u << random_below(seed, 2),
		.flags = AGAIN,
		.workers = 1 + random_below(seed, WORKERS),
		.slice_ms = random_below(seed, 4) == 0 ? 0 : 5,
		.reader_polls = random_below(seed, 2) == 0,
		.workers_poll = random_below(seed, 2) == 0,
		.in_place = random_below(seed, 2) == 0,
		.cared_for = random_below(seed, 2) == 0,
	};
	if (random_below(seed, 2) == 0)
		shape.flags |= ZIPC_QUEUE_SINGLE_PRODUCER;
	if (shape.workers == 1 && random_below(seed, 2) == 0)
		shape.flags |= ZIPC_QUEUE_SINGLE_CONSUMER;
	return shape;
}

static pid_t start_worker(struct round *round, uint32_t place, uint64_t *seed)
{
	return peer_spawn("worker", text_of(round->scene.board.fd), text_of(place),
			  text_of((long long)(random_next(seed) >> 2)), NULL);
}

static void open_round(struct round *round, const struct shape *shape, uint64_t *seed)
{
	scene_open(&round->scene, &(struct scene_options){.tag = "redelivery",
							  .seconds = SECONDS,
							  .board = sizeof(struct plan),
							  .element_size = sizeof(uint64_t),
							  .capacity = shape->capacity,
							  .flags = shape->flags,
							  .slice_ms = shape->slice_ms});
	round->plan = round->scene.board.memory;
	round->plan->shape = *shape;
	assert_int_equal(zipc_queue_create(round->scene.segment, "results", sizeof(uint64_t),
					   RESULTS, NULL, &round->results),
			 0);
	for (uint32_t i = 0; i < shape->workers; i++) {
		/* all but the first die; a single one does too, and another takes its place */
		bool dies = i > 0 || shape->workers == 1;
		round->plan->places[i].death = dies ? 1 + random_below(seed, DEATHS - 1) : LIVES;
		round->plan->places[i].after = random_below(seed, EARLY);
		round->workers[i] = start_worker(round, i, seed);
	}
	round->reader = peer_spawn("reader", text_of(round->scene.board.fd), NULL);
	if (shape->cared_for)
		round->carer = peer_spawn("carer", text_of(round->scene.board.fd),
					  text_of((long long)(random_next(seed) >> 2)), NULL);
}

/*
 * Waits until the worker has come to its death. Some never do, because there is nothing to be
 * delivered again, or because the others are faster: these are killed somewhere.
 */
static bool await_death(struct round *round, uint32_t i)
{
	struct place *place = &round->plan->places[i];
	uint32_t until = (place->after + EARLY) * round->plan->shape.workers;
	while (look(&place->dying) == 0 && round->distinct < until)
		collect(round, "before a death");
	peer_kill(round->workers[i]);
	return look(&place->dying) != 0;
}

static void run_round(struct round *round, const struct shape *shape, uint64_t *seed,
		      struct deaths *deaths)
{
	open_round(round, shape, seed);
	for (uint32_t i = 0; i < shape->workers; i++) {
		if (round->plan->places[i].death == LIVES)
			continue;
		deaths->planned += await_death(round, i);
		deaths->all++;
	}
	uint32_t last = shape->workers == 1 ? WORKERS : 0;
	if (last == WORKERS)
		round->workers[last] = start_worker(round, last, seed);
	while (round->distinct < ITEMS || look(&round->plan->ended) < 2)
		collect(round, "with one worker left");
	assert_int_equal(peer_wait(round->reader), 0);
	assert_int_equal(peer_wait(round->workers[last]), 0);
	__atomic_store_n(&round->plan->stop, 1u, __ATOMIC_SEQ_CST);
	if (shape->cared_for)
		assert_int_equal(peer_wait(round->carer), 0);
	assert_in_range(round->doubled, 0, shape->workers);
	zipc_queue_close(round->results);
	scene_close(&round->scene);
}

static void test_last_worker_goes_on(void **state)
{
	(void)state;
	uint64_t seed = seed_for("redelivery storm"), began = now_ns();
	struct deaths deaths = {0, 0};
	uint32_t doubled = 0;
	struct round *round = malloc(sizeof *round);
	assert_non_null(round);
	for (uint32_t i = 0; i < ROUNDS; i++) {
		struct shape shape = draw_shape(&seed);
		memset(round, 0, sizeof *round);
		run_round(round, &shape, &seed, &deaths);
		doubled += round->doubled;
	}
	printf("redelivery storm: %u rounds of %u items, %u deaths, %u where planned, %u "
	       "items counted twice; %.1f s\n",
	       ROUNDS, ITEMS, deaths.all, deaths.planned, doubled,
	       (double)(now_ns() - began) * 1e-9);
	free(round);
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_worker_goes_on),
	};
	return PEER_RUN("redelivery_storm", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{"reader", role_reader},
		{"worker", role_worker},
		{"carer", role_carer},
		{NULL, NULL},
	};
	return peer_main(argc, argv, roles, all_tests);
}
