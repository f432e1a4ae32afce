/* SPDX-License-Identifier: MIT */
/*
 * Queues between processes that sleep, are stopped, killed on waking up, interrupted, shut down in
 * the middle of it, or left with old hints. No test measures time; where sleeping must end by a
 * wake-up and not by the end of a slice, the segment's slices are a minute long.
 */
#include "support/cmocka_all.h"
#include "support/ledger.h"
#include "support/peer.h"
#include "support/queue_model.h"

#include "structure/queue_layout.h"
#include "structure/queue.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECONDS	    120u
#define SECOND	    INT64_C(1000000000)
#define SIZE	    24u
#define SLEEPERS    8u
#define LONG_SLICES 60000u /* milliseconds */
#define SEQUENCES   400000u

#define SP ZIPC_QUEUE_SINGLE_PRODUCER
#define SC ZIPC_QUEUE_SINGLE_CONSUMER

struct plan {
	struct scene_card card;
	uint32_t round; /* raised by the test */
	uint32_t ready; /* processes that are in this round, all rounds together */
	uint32_t moved; /* items, by sleepers */
	uint32_t done;	/* processes that are through with this round, all rounds together */
	uint32_t stop;
	uint32_t wrong;
	uint64_t accepted;
	uint64_t delivered;
	uint32_t taken_by[2];
};

static size_t ledger_offset(void)
{
	return (sizeof(struct plan) + 63) / 64 * 64;
}

static struct ledger *ledger_of(struct plan *plan)
{
	return (struct ledger *)(void *)((uint8_t *)plan + ledger_offset());
}

static uint32_t raise_word(uint32_t *word)
{
	return __atomic_add_fetch(word, 1u, __ATOMIC_SEQ_CST);
}

static bool stopped(const struct plan *plan)
{
	return __atomic_load_n(&plan->stop, __ATOMIC_SEQ_CST) != 0;
}

/* ---- the test's side ------------------------------------------------------------------------- */

static void make_queue(struct scene *scene, const char *name, uint64_t size, uint64_t capacity,
		       uint32_t flags)
{
	zipc_queue_options options = ZIPC_QUEUE_OPTIONS_INIT;
	options.flags = flags;
	assert_int_equal(
		zipc_queue_create(scene->segment, name, size, capacity, &options, &scene->queue),
		0);
}

static struct plan *open_scene(struct scene *scene, const char *tag, uint64_t capacity,
			       uint32_t flags, uint32_t slice_ms)
{
	scene_open(scene, &(struct scene_options){.tag = tag,
						  .seconds = SECONDS,
						  .board = ledger_offset() + ledger_size(SEQUENCES),
						  .element_size = SIZE,
						  .capacity = capacity,
						  .flags = flags,
						  .slice_ms = slice_ms});
	ledger_start(ledger_of(scene->board.memory), SEQUENCES);
	return scene->board.memory;
}

static int push(zipc_queue *queue, uint32_t sequence, int64_t timeout_ns)
{
	uint8_t item[SIZE];
	item_write(item, SIZE, 0, sequence);
	return zipc_queue_push(queue, item, timeout_ns);
}

/* ---- bursts among sleepers ------------------------------------------------------------------- */

/* sleeper <board> <pop|push>: moves one item after the other, sleeping in between. */
static int role_sleeper(int argc, char **argv)
{
	struct scene scene;
	uint8_t item[SIZE] = {0};
	if (argc != 2)
		return 2;
	if (scene_join(&scene, argv[0]) < 0)
		return 3;
	struct plan *plan = scene.board.memory;
	bool pops = strcmp(argv[1], "pop") == 0;
	raise_word(&plan->ready);
	while (!stopped(plan)) {
		int r = pops ? zipc_queue_pop(scene.queue, item, ZIPC_FOREVER)
			     : zipc_queue_push(scene.queue, item, ZIPC_FOREVER);
		if (r < 0)
			return 4;
		raise_word(&plan->moved);
	}
	return 0;
}

static void wait_all_asleep(const pid_t *pids, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		assert_true(peer_wait_asleep(pids[i]));
}

static void bursts(bool sleepers_pop)
{
	struct scene scene;
	pid_t pids[SLEEPERS];
	uint8_t item[SIZE] = {0};
	struct plan *plan = open_scene(&scene, "bursts", 8, 0, LONG_SLICES);
	for (uint32_t i = 0; !sleepers_pop && i < 8; i++)
		assert_int_equal(push(scene.queue, 1, ZIPC_NOWAIT), 0);
	for (uint32_t i = 0; i < SLEEPERS; i++)
		pids[i] = peer_spawn("sleeper", text_of(scene.board.fd),
				     sleepers_pop ? "pop" : "push", NULL);
	assert_true(wait_until_at_least(&plan->ready, SLEEPERS));
	for (uint32_t burst = 1; burst <= 100; burst++) {
		wait_all_asleep(pids, SLEEPERS);
		for (uint32_t i = 0; i < 3; i++)
			assert_int_equal(sleepers_pop
						 ? push(scene.queue, 1, ZIPC_NOWAIT)
						 : zipc_queue_pop(scene.queue, item, ZIPC_NOWAIT),
					 0);
		/* a slice would take a minute: only wake-ups can do it */
		assert_true(wait_until_at_least(&plan->moved, burst * 3));
	}
	scene_close(&scene);
}

static void test_bursts_of_items(void **state)
{
	(void)state;
	bursts(true);
}

static void test_bursts_of_room(void **state)
{
	(void)state;
	bursts(false);
}

/* ---- the woken one is killed ----------------------------------------------------------------- */

/* taker <board> <number>: waits for one item, says that it has it, stays. */
static int role_taker(int argc, char **argv)
{
	struct scene scene;
	uint8_t item[SIZE];
	if (argc != 2)
		return 2;
	if (scene_join(&scene, argv[0]) < 0)
		return 3;
	struct plan *plan = scene.board.memory;
	raise_word(&plan->ready);
	if (zipc_queue_pop(scene.queue, item, ZIPC_FOREVER) < 0)
		return 4;
	raise_word(&plan->taken_by[atoi(argv[1])]);
	for (;;)
		pause();
	return 0;
}

static pid_t start_asleep(struct scene *scene, uint32_t number)
{
	struct plan *plan = scene->board.memory;
	uint32_t before = __atomic_load_n(&plan->ready, __ATOMIC_SEQ_CST);
	pid_t pid = peer_spawn("taker", text_of(scene->board.fd), text_of(number), NULL);
	assert_true(wait_until_at_least(&plan->ready, before + 1));
	assert_true(peer_wait_asleep(pid));
	return pid;
}

/* Whom the push wakes cannot run before it is killed: it shares our processor, and is nicer. */
static void hold_back(pid_t pid)
{
	cpu_set_t set;
	int cpu = sched_getcpu();
	struct sched_param none = {0};
	CPU_ZERO(&set);
	CPU_SET(cpu < 0 ? 0 : (unsigned)cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof set, &set), 0);
	assert_int_equal(sched_setaffinity(pid, sizeof set, &set), 0);
	sched_setscheduler(pid, SCHED_IDLE, &none);
}

static void test_woken_one_killed(void **state)
{
	(void)state;
	struct scene scene;
	uint32_t had_it = 0, next_had_it = 0;
	cpu_set_t all;
	assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
	struct plan *plan = open_scene(&scene, "woken", 8, 0, 50);
	for (uint32_t round = 0; round < 40; round++) {
		plan->taken_by[0] = plan->taken_by[1] = 0;
		pid_t first = start_asleep(&scene, 0);
		pid_t next = start_asleep(&scene, 1);
		hold_back(first);
		assert_int_equal(push(scene.queue, 1, ZIPC_NOWAIT), 0);
		peer_kill(first);
		assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
		if (plan->taken_by[0] != 0) {
			had_it++;
		} else {
			assert_true(wait_until_at_least(&plan->taken_by[1], 1));
			next_had_it++;
		}
		peer_kill(next);
	}
	print_message("the woken waiter was killed: %u had the item already, %u times the next "
		      "one got it\n",
		      had_it, next_had_it);
	assert_int_equal(had_it + next_had_it, 40);
	assert_true(next_had_it >= 20); /* else this tested nothing */
	scene_close(&scene);
}

/* ---- shutdown and the last push -------------------------------------------------------------- */

#define RACES 150u

static void race_name(uint32_t round, char *out)
{
	snprintf(out, 16, "q%u", round);
}

static uint64_t push_until_shut(struct plan *plan, zipc_queue *queue, uint32_t round)
{
	uint64_t n = 0;
	int r;
	do {
		r = push(queue, 1, (round & 1) != 0 ? ZIPC_NOWAIT : 10 * SECOND);
		n += r == 0;
	} while (r == 0 || r == -EAGAIN);
	if (r != -EPIPE)
		raise_word(&plan->wrong);
	return n;
}

static uint64_t pop_until_drained(struct plan *plan, zipc_queue *queue, uint32_t round)
{
	uint64_t n = 0;
	uint8_t item[SIZE];
	int r;
	do {
		r = zipc_queue_pop(queue, item, (round & 2) != 0 ? ZIPC_NOWAIT : 10 * SECOND);
		n += r == 0;
	} while (r == 0 || r == -EAGAIN);
	if (r != -EPIPE)
		raise_word(&plan->wrong);
	return n;
}

/* racer <board> <push|pop> */
static int role_racer(int argc, char **argv)
{
	struct scene scene;
	if (argc != 2)
		return 2;
	if (scene_join(&scene, argv[0]) < 0)
		return 3;
	struct plan *plan = scene.board.memory;
	bool pushes = strcmp(argv[1], "push") == 0;
	for (uint32_t round = 1; round <= RACES; round++) {
		char name[16];
		zipc_queue *queue;
		race_name(round, name);
		if (!wait_until_at_least(&plan->round, round) ||
		    zipc_queue_open(scene.segment, name, 0, NULL, &queue) < 0)
			return 3;
		raise_word(&plan->ready);
		uint64_t n = pushes ? push_until_shut(plan, queue, round)
				    : pop_until_drained(plan, queue, round);
		__atomic_fetch_add(pushes ? &plan->accepted : &plan->delivered, n,
				   __ATOMIC_SEQ_CST);
		zipc_queue_close(queue);
		raise_word(&plan->done);
	}
	zipc_queue_close(scene.queue);
	zipc_segment_close(scene.segment);
	return 0;
}

static void shutdown_races(const char *what, uint32_t flags, uint32_t each)
{
	struct scene scene;
	pid_t pids[4];
	uint64_t seed = seed_for(what);
	struct plan *plan = open_scene(&scene, "races", 8, 0, 0);
	for (uint32_t i = 0; i < 2 * each; i++)
		pids[i] = peer_spawn("racer", text_of(scene.board.fd), i < each ? "push" : "pop",
				     NULL);
	for (uint32_t round = 1; round <= RACES; round++) {
		char name[16];
		race_name(round, name);
		zipc_queue_close(scene.queue);
		make_queue(&scene, name, round % 3 == 0 ? SIZE : 8, 8, flags);
		__atomic_store_n(&plan->round, round, __ATOMIC_SEQ_CST);
		assert_true(wait_until_at_least(&plan->ready, round * 2 * each));
		nap_us(random_below(&seed, 300));
		assert_int_equal(zipc_queue_shutdown(scene.queue), 0);
		assert_true(wait_until_at_least(&plan->done, round * 2 * each));
		assert_int_equal(plan->wrong, 0);
		assert_int_equal(plan->delivered, plan->accepted);
		assert_int_equal(zipc_queue_remove(scene.segment, name), 0);
	}
	for (uint32_t i = 0; i < 2 * each; i++)
		assert_int_equal(peer_wait(pids[i]), 0);
	print_message("%s: %u rounds, %" PRIu64 " accepted and delivered\n", what, RACES,
		      plan->accepted);
	assert_true(plan->accepted > RACES);
	scene_close(&scene);
}

static void test_shutdown_races(void **state)
{
	(void)state;
	shutdown_races("shutdown, many to many", 0, 2);
}

static void test_shutdown_races_single(void **state)
{
	(void)state;
	shutdown_races("shutdown, one to one", SP | SC, 1);
}

static void test_shutdown_races_at_least_once(void **state)
{
	(void)state;
	shutdown_races("shutdown, at least once", ZIPC_QUEUE_AT_LEAST_ONCE, 2);
}

/* ---- an old hint ----------------------------------------------------------------------------- */

#define LATE UINT64_C(20000000)

static int operate_push(struct world *world)
{
	return push(world->handle, 1, ZIPC_NOWAIT);
}

static int operate_pop(struct world *world)
{
	uint8_t item[SIZE];
	return zipc_queue_pop(world->handle, item, ZIPC_NOWAIT);
}

static int prepare_queue(struct world *world)
{
	zipc_queue *queue = NULL;
	int r = world_attach(world);
	if (r == 0)
		r = zipc_queue_open(world->segment, "q", SIZE, NULL, &queue);
	world->handle = queue;
	return r;
}

/* arg: the capacity, then whether the hints are late. */
static int setup_hints(struct world *world)
{
	const uint64_t *arg = world->scenario->arg;
	zipc_queue *queue;
	int r = zipc_queue_create(world->segment, "q", SIZE, arg[0], NULL, &queue);
	if (r < 0)
		return r;
	queue_preset(queue, 3 * LATE + 5);
	for (uint32_t i = 0; i < 3 && r == 0; i++)
		r = push(queue, 1, ZIPC_NOWAIT);
	if (arg[1] != 0) {
		queue->shared->tail -= LATE;
		queue->shared->head -= LATE;
	}
	zipc_queue_close(queue);
	return r;
}

/* Instructions that one operation takes. */
static long count_steps(uint64_t capacity, bool late, int (*operate)(struct world *))
{
	uint64_t arg[2] = {capacity, late};
	struct scenario scenario = {.name = "hint",
				    .arg = arg,
				    .size = 64 << 20,
				    .setup = setup_hints,
				    .prepare = prepare_queue,
				    .operate = operate};
	char path[300];
	const char *directory = directory_make(NULL);
	snprintf(path, sizeof path, "%s/segment", directory);
	struct victim_notes *notes = notes_make();
	struct world world = {.path = path};
	struct victim victim = {0};
	int made = world_make(&world, &scenario, notes);
	int started = made < 0 ? made : victim_start(&victim, &world);
	while (started == 0 && victim_step(&victim))
		;
	long steps = started == 0 && notes->phase == VICTIM_RETURNED && notes->result == 0
			     ? victim.steps
			     : -1;
	victim_kill(&victim);
	world_end(&world);
	notes_close(notes);
	directory_remove(directory);
	return steps;
}

static void late_hint(const char *what, int (*operate)(struct world *))
{
	for (uint64_t capacity = 1 << 10; capacity <= 1 << 20; capacity <<= 10) {
		long fresh = count_steps(capacity, false, operate);
		long late = count_steps(capacity, true, operate);
		print_message("%s, capacity %" PRIu64 ": %ld instructions, %ld with hints that are "
			      "20 million items old\n",
			      what, capacity, fresh, late);
		assert_true(fresh > 0 && late > 0);
		/* a bisection of 20 steps at most, some dozen instructions each, more without optimisation */
		assert_true(late - fresh < 30000);
	}
}

static void test_late_hint(void **state)
{
	(void)state;
	if (!victim_supported())
		skip();
	watchdog(SECONDS, "late hint");
	late_hint("push", operate_push);
	late_hint("pop", operate_pop);
}

/* ---- a producer is stopped ------------------------------------------------------------------- */

/* producer <board> <lane> */
static int role_producer(int argc, char **argv)
{
	struct scene scene;
	uint8_t item[SIZE];
	if (argc != 2)
		return 2;
	if (scene_join(&scene, argv[0]) < 0)
		return 3;
	struct plan *plan = scene.board.memory;
	uint32_t lane = (uint32_t)atoi(argv[1]);
	while (!stopped(plan)) {
		uint32_t sequence = ledger_next(ledger_of(plan), lane);
		if (sequence == 0)
			break;
		item_write(item, SIZE, lane, sequence);
		if (zipc_queue_push(scene.queue, item, ZIPC_FOREVER) < 0)
			return 4;
		ledger_accepted(ledger_of(plan), lane, sequence);
	}
	zipc_queue_close(scene.queue);
	zipc_segment_close(scene.segment);
	return 0;
}

/* Pops what is there, up to `most`; each call returns at once, whoever is stopped. */
static uint32_t take(struct scene *scene, struct ledger_view *view, uint32_t most)
{
	uint8_t item[SIZE];
	uint32_t n = 0;
	int r = 0;
	while (n < most && (r = zipc_queue_pop(scene->queue, item, ZIPC_NOWAIT)) == 0) {
		assert_int_equal(
			ledger_seen(ledger_of(scene->board.memory), view, item, SIZE, false), 0);
		n++;
	}
	assert_true(r == 0 || r == -EAGAIN);
	return n;
}

/* The producers come to their end, which may be waiting for room. */
static void take_until_ended(struct scene *scene, struct ledger_view *view, const pid_t *pids)
{
	struct plan *plan = scene->board.memory;
	__atomic_store_n(&plan->stop, 1u, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < 1000; i++) {
		take(scene, view, UINT32_MAX);
		nap_us(100);
	}
	for (uint32_t i = 0; i < 2; i++)
		assert_int_equal(peer_wait(pids[i]), 0);
	take(scene, view, UINT32_MAX);
}

static void test_stopped_producer(void **state)
{
	(void)state;
	struct scene scene;
	struct ledger_view view = {0};
	pid_t pids[2];
	uint64_t seed = seed_for("stopped producer");
	struct plan *plan = open_scene(&scene, "sigstop", 8192, 0, 0);
	for (uint32_t i = 0; i < 2; i++)
		pids[i] = peer_spawn("producer", text_of(scene.board.fd), text_of(i), NULL);
	for (uint32_t round = 0; round < 200; round++) {
		assert_int_equal(kill(pids[0], SIGSTOP), 0);
		nap_us(random_below(&seed, 500));
		take(&scene, &view, 500);
		assert_int_equal(kill(pids[0], SIGCONT), 0);
		nap_us(random_below(&seed, 200));
		take(&scene, &view, 500);
	}
	take_until_ended(&scene, &view, pids);
	struct ledger_sum sum = ledger_sum(ledger_of(plan));
	ledger_print("stopped producer", &sum);
	assert_true(sum.accepted > 10000);
	assert_int_equal(sum.delivered, sum.accepted);
	assert_int_equal(sum.lost + sum.doubled + sum.reordered + sum.torn + sum.strange, 0);
	assert_int_equal(sum.doubtful, 0);
	scene_close(&scene);
}

/* ---- interrupt and timeouts ------------------------------------------------------------------ */

static zipc_segment *to_interrupt;

static void on_signal(int number)
{
	(void)number;
	zipc_interrupt(to_interrupt);
}

static void *interrupt_later(void *arg)
{
	nap_us(30000);
	if (arg != NULL)
		pthread_kill(*(pthread_t *)arg, SIGUSR1);
	else
		zipc_interrupt(to_interrupt);
	return NULL;
}

static void interrupted(bool by_signal)
{
	struct scene scene;
	pthread_t thread, self = pthread_self();
	uint8_t item[SIZE] = {0};
	open_scene(&scene, "interrupt", 1, 0, LONG_SLICES);
	to_interrupt = scene.segment;
	struct sigaction action = {.sa_handler = on_signal}, old;
	assert_int_equal(sigaction(SIGUSR1, &action, &old), 0);
	for (int round = 0; round < 10; round++) {
		assert_int_equal(
			pthread_create(&thread, NULL, interrupt_later, by_signal ? &self : NULL),
			0);
		bool pops = round % 2 == 0;
		if (!pops)
			assert_int_equal(push(scene.queue, 1, ZIPC_NOWAIT), 0);
		assert_int_equal(pops ? zipc_queue_pop(scene.queue, item, ZIPC_FOREVER)
				      : push(scene.queue, 1, ZIPC_FOREVER),
				 -ECANCELED);
		/* those to come, too; but what needs no waiting works */
		assert_int_equal(pops ? zipc_queue_pop(scene.queue, item, ZIPC_FOREVER)
				      : push(scene.queue, 1, ZIPC_FOREVER),
				 -ECANCELED);
		if (!pops)
			assert_int_equal(zipc_queue_pop(scene.queue, item, ZIPC_NOWAIT), 0);
		pthread_join(thread, NULL);
		zipc_interrupt_clear(scene.segment);
		assert_int_equal(zipc_queue_pop(scene.queue, item, 1000000), -ETIMEDOUT);
	}
	sigaction(SIGUSR1, &old, NULL);
	scene_close(&scene);
}

static void test_interrupt_by_thread(void **state)
{
	(void)state;
	interrupted(false);
}

static void test_interrupt_by_signal(void **state)
{
	(void)state;
	interrupted(true);
}

static void do_nothing(int number)
{
	(void)number;
}

static void *signal_often(void *arg)
{
	for (int i = 0; i < 20; i++) {
		nap_us(2000);
		pthread_kill(*(pthread_t *)arg, SIGUSR2);
	}
	return NULL;
}

/* A deadline is kept, never early; signals without zipc_interrupt() do not end a wait. */
static void test_timeouts(void **state)
{
	(void)state;
	struct scene scene;
	pthread_t thread, self = pthread_self();
	uint8_t item[SIZE];
	struct sigaction action = {.sa_handler = do_nothing}, old;
	open_scene(&scene, "timeouts", 1, 0, LONG_SLICES);
	assert_int_equal(sigaction(SIGUSR2, &action, &old), 0);
	assert_int_equal(pthread_create(&thread, NULL, signal_often, &self), 0);
	uint64_t began = now_ns();
	assert_int_equal(zipc_queue_pop(scene.queue, item, 100000000), -ETIMEDOUT);
	assert_true(now_ns() - began >= 100000000);
	pthread_join(thread, NULL);
	assert_int_equal(push(scene.queue, 1, 1), 0);
	began = now_ns();
	assert_int_equal(push(scene.queue, 1, 20000000), -ETIMEDOUT);
	assert_true(now_ns() - began >= 20000000);
	assert_int_equal(push(scene.queue, 1, 1), -ETIMEDOUT);
	assert_int_equal(push(scene.queue, 1, ZIPC_NOWAIT), -EAGAIN);
	assert_int_equal(zipc_queue_pop(scene.queue, item, INT64_MAX), 0);
	assert_int_equal(zipc_queue_pop(scene.queue, item, 1), -ETIMEDOUT);
	sigaction(SIGUSR2, &old, NULL);
	scene_close(&scene);
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bursts_of_items),
		cmocka_unit_test(test_bursts_of_room),
		cmocka_unit_test(test_woken_one_killed),
		cmocka_unit_test(test_shutdown_races),
		cmocka_unit_test(test_shutdown_races_single),
		cmocka_unit_test(test_shutdown_races_at_least_once),
		cmocka_unit_test(test_late_hint),
		cmocka_unit_test(test_stopped_producer),
		cmocka_unit_test(test_interrupt_by_thread),
		cmocka_unit_test(test_interrupt_by_signal),
		cmocka_unit_test(test_timeouts),
	};
	return PEER_RUN("queue_process", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{"sleeper", role_sleeper},   {"taker", role_taker}, {"racer", role_racer},
		{"producer", role_producer}, {NULL, NULL},
	};
	victim_prefer_loops(argv);
	return peer_main(argc, argv, roles, all_tests);
}
