/* SPDX-License-Identifier: MIT */
/*
 * Random kill -9 of whoever holds, waits for, was just woken for or is just taking over a lock. What
 * the locks protect is two counters that are torn apart by every death inside, and the name of who is
 * inside: whoever is told that nobody died must find the counters equal, and nobody else's name while
 * it is inside. Whoever asks gets in, however many died before.
 */
#include "support/cmocka_all.h"
#include "support/peer.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MS	INT64_C(1000000)
#define PATIENT (INT64_C(20000) * MS) /* nobody ever has to wait that long */
#define WORKERS 7u
#define KILLS	1000u
#define SECONDS 120u
#define PERMITS 3u

enum place { MUTEX, RWLOCK, MONITOR, ONCE, PERMIT, BARRIER, PLACES };

static const char *const place_names[PLACES] = {"mutex", "rwlock",    "monitor",
						"once",	 "semaphore", "barrier"};

/* What one lock protects. */
struct guarded {
	volatile uint64_t first;
	volatile uint64_t second;
	volatile uint64_t inside; /* who */
	uint64_t times;		  /* somebody got in */
	uint64_t deaths;	  /* that were told */
};

struct storm {
	uint32_t stop;
	uint32_t strange;
	uint32_t last_code;
	char last_call[40];
	char segment[80];
	struct guarded guarded[PLACES];
	uint64_t rounds[WORKERS][PLACES]; /* of the incarnation of now */
};

struct tools {
	struct storm *storm;
	uint64_t me;
	uint64_t seed;
	zipc_mutex *mutex;
	zipc_rwlock *rwlock;
	zipc_monitor *monitor;
	zipc_once *once;
	zipc_semaphore *semaphore;
	zipc_event *event;
	zipc_barrier *barrier;
};

static void add(uint64_t *word, uint64_t n)
{
	__atomic_fetch_add(word, n, __ATOMIC_SEQ_CST);
}

static void note_strange(struct storm *storm, const char *call, int code)
{
	snprintf(storm->last_call, sizeof storm->last_call, "%s", call);
	__atomic_store_n(&storm->last_code, (uint32_t)code, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&storm->strange, 1u, __ATOMIC_SEQ_CST);
}

static void expect(struct tools *t, const char *call, int code, int expected)
{
	if (code != expected)
		note_strange(t->storm, call, code);
}

/* ---- inside --------------------------------------------------------------------------------- */

static void dawdle(struct tools *t)
{
	for (volatile uint32_t i = random_below(&t->seed, 400); i > 0; i--)
		;
	if (random_below(&t->seed, 16) == 0)
		nap_us(400);
}

static void read_inside(struct tools *t, enum place place, int told)
{
	struct guarded *g = &t->storm->guarded[place];
	uint64_t first = g->first, second = g->second;
	dawdle(t);
	if (told == 0 && (first != second || g->first != first || g->second != second))
		note_strange(t->storm, "torn, reading", (int)(first - second));
}

static void write_inside(struct tools *t, enum place place, int told)
{
	struct guarded *g = &t->storm->guarded[place];
	if (told == 0 && g->first != g->second)
		note_strange(t->storm, "torn", (int)(g->first - g->second));
	if (told != 0)
		add(&g->deaths, 1);
	g->inside = t->me;
	g->second = g->first;
	g->first = g->first + 1;
	dawdle(t);
	g->second = g->first;
	if (g->inside != t->me)
		note_strange(t->storm, place_names[place], -EBUSY);
	add(&g->times, 1);
}

/* ---- what workers do ------------------------------------------------------------------------ */

static bool got_in(struct tools *t, const char *call, int code)
{
	if (code == 0 || code == -EOWNERDEAD)
		return true;
	note_strange(t->storm, call, code);
	return false;
}

static void use_mutex(struct tools *t)
{
	int told = zipc_mutex_lock(t->mutex, PATIENT);
	if (!got_in(t, "mutex_lock", told))
		return;
	write_inside(t, MUTEX, told);
	if (told != 0)
		expect(t, "mutex_consistent", zipc_mutex_consistent(t->mutex), 0);
	expect(t, "mutex_unlock", zipc_mutex_unlock(t->mutex), 0);
}

static void use_rwlock(struct tools *t)
{
	bool write = random_below(&t->seed, 3) == 0;
	int told = write ? zipc_rwlock_write_lock(t->rwlock, PATIENT)
			 : zipc_rwlock_read_lock(t->rwlock, PATIENT);
	if (!got_in(t, write ? "write_lock" : "read_lock", told))
		return;
	if (!write) {
		read_inside(t, RWLOCK, told);
		expect(t, "read_unlock", zipc_rwlock_read_unlock(t->rwlock), 0);
		return;
	}
	write_inside(t, RWLOCK, told);
	if (told != 0)
		expect(t, "rwlock_consistent", zipc_rwlock_consistent(t->rwlock), 0);
	if (random_below(&t->seed, 4) == 0) {
		expect(t, "downgrade", zipc_rwlock_downgrade(t->rwlock), 0);
		read_inside(t, RWLOCK, 0);
		expect(t, "read_unlock", zipc_rwlock_read_unlock(t->rwlock), 0);
	} else {
		expect(t, "write_unlock", zipc_rwlock_write_unlock(t->rwlock), 0);
	}
}

static void use_monitor(struct tools *t)
{
	int told = zipc_monitor_enter(t->monitor, PATIENT);
	if (!got_in(t, "enter", told))
		return;
	write_inside(t, MONITOR, told);
	if (told != 0)
		expect(t, "monitor_consistent", zipc_monitor_consistent(t->monitor), 0);
	if (random_below(&t->seed, 4) == 0) {
		told = zipc_monitor_wait(t->monitor, random_below(&t->seed, 3000000));
		if (told == -EAGAIN)
			told = 0; /* no time at all */
		if (told != -ETIMEDOUT && !got_in(t, "monitor_wait", told))
			return;
		bool died = told == -EOWNERDEAD;
		write_inside(t, MONITOR, died ? told : 0);
		if (died)
			expect(t, "monitor_consistent", zipc_monitor_consistent(t->monitor), 0);
	}
	if (random_below(&t->seed, 2) == 0)
		expect(t, "notify_one", zipc_monitor_notify_one(t->monitor), 0);
	else
		expect(t, "notify_all", zipc_monitor_notify_all(t->monitor), 0);
	expect(t, "leave", zipc_monitor_leave(t->monitor), 0);
}

/* Fails on purpose, so that the next one runs it, too. */
static int run_once(void *arg, uint32_t attempt)
{
	struct tools *t = arg;
	write_inside(t, ONCE, attempt > 0); /* nobody says whether the one before died */
	return -EIO;
}

static void use_once(struct tools *t)
{
	expect(t, "once_call", zipc_once_call(t->once, run_once, t, PATIENT), -EIO);
}

static void use_semaphore(struct tools *t)
{
	uint32_t n = 1 + random_below(&t->seed, PERMITS);
	expect(t, "acquire", zipc_semaphore_acquire(t->semaphore, n, PATIENT), 0);
	if (n == PERMITS)
		write_inside(t, PERMIT, 1); /* as once */
	else
		dawdle(t);
	expect(t, "release", zipc_semaphore_release(t->semaphore, n), 0);
	zipc_event_pulse(t->event);
	if (zipc_event_wait(t->event, random_below(&t->seed, 50000)) == 0)
		zipc_event_reset(t->event);
	if (random_below(&t->seed, 8) == 0)
		zipc_event_set(t->event);
}

static void use_barrier(struct tools *t)
{
	int r = zipc_barrier_join(t->barrier);
	if (r == -ENOSPC) /* the dead are in the way */
		expect(t, "reset", zipc_barrier_reset(t->barrier), 0);
	else if (r != 0)
		note_strange(t->storm, "join", r);
	if (r != 0)
		return;
	for (int i = 0; i < 3; i++) {
		r = zipc_barrier_wait(t->barrier, 1 + random_below(&t->seed, 2000000));
		if (r == 1)
			add(&t->storm->guarded[BARRIER].times, 1);
		if (r == -EPIPE || r == -ETIMEDOUT)
			expect(t, "reset", zipc_barrier_reset(t->barrier), 0);
		else if (r != 0 && r != 1)
			note_strange(t->storm, "barrier_wait", r);
	}
	r = zipc_barrier_arrive_and_drop(t->barrier);
	if (r < 0 && r != -EPIPE)
		note_strange(t->storm, "drop", r);
}

static void (*const uses[PLACES])(struct tools *t) = {use_mutex, use_rwlock,	use_monitor,
						      use_once,	 use_semaphore, use_barrier};

static int open_tools(struct tools *t, zipc_segment *segment)
{
	int r = zipc_mutex_open(segment, "mutex", NULL, &t->mutex);
	if (r == 0)
		r = zipc_rwlock_open(segment, "rwlock", NULL, &t->rwlock);
	if (r == 0)
		r = zipc_monitor_open(segment, "monitor", NULL, &t->monitor);
	if (r == 0)
		r = zipc_once_open(segment, "once", NULL, &t->once);
	if (r == 0)
		r = zipc_semaphore_open(segment, "semaphore", NULL, &t->semaphore);
	if (r == 0)
		r = zipc_event_open(segment, "event", NULL, &t->event);
	if (r == 0)
		r = zipc_barrier_open(segment, "barrier", NULL, &t->barrier);
	return r;
}

static void close_tools(struct tools *t)
{
	zipc_mutex_close(t->mutex);
	zipc_rwlock_close(t->rwlock);
	zipc_monitor_close(t->monitor);
	zipc_once_close(t->once);
	zipc_semaphore_close(t->semaphore);
	zipc_event_close(t->event);
	zipc_barrier_close(t->barrier);
}

/* worker <board> <index> <seed> */
static int role_worker(int argc, char **argv)
{
	zipc_segment *segment;
	if (argc != 3)
		return 2;
	struct board board = board_join(argv[0]);
	struct tools t = {.storm = board.memory, .seed = strtoull(argv[2], NULL, 10)};
	uint64_t *rounds = t.storm->rounds[atoi(argv[1])];
	t.me = (uint64_t)getpid();
	int r = zipc_segment_open(t.storm->segment, NULL, &segment);
	if (r == 0)
		r = open_tools(&t, segment);
	if (r < 0) {
		note_strange(t.storm, "open", r);
		return 1;
	}
	while (__atomic_load_n(&t.storm->stop, __ATOMIC_SEQ_CST) == 0) {
		uint32_t place = random_below(&t.seed, PLACES);
		uses[place](&t);
		add(&rounds[place], 1);
	}
	close_tools(&t);
	zipc_segment_close(segment);
	return 0;
}

/* ---- the storm ------------------------------------------------------------------------------ */

static pid_t start_worker(const struct board *board, uint32_t index, uint64_t *seed)
{
	struct storm *storm = board->memory;
	memset(storm->rounds[index], 0, sizeof storm->rounds[index]);
	return peer_spawn("worker", text_of(board->fd), text_of(index),
			  text_of((long long)(random_next(seed) >> 2)), NULL);
}

static void create_all(zipc_segment *segment, struct tools *t)
{
	zipc_semaphore_options s = ZIPC_SEMAPHORE_OPTIONS_INIT;
	zipc_barrier_options b = ZIPC_BARRIER_OPTIONS_INIT;
	s.flags = ZIPC_SEMAPHORE_OWNED;
	b.flags = ZIPC_BARRIER_OPEN;
	assert_int_equal(zipc_mutex_create(segment, "mutex", NULL, &t->mutex), 0);
	assert_int_equal(zipc_rwlock_create(segment, "rwlock", NULL, &t->rwlock), 0);
	assert_int_equal(zipc_monitor_create(segment, "monitor", NULL, &t->monitor), 0);
	assert_int_equal(zipc_once_create(segment, "once", NULL, &t->once), 0);
	assert_int_equal(
		zipc_semaphore_create(segment, "semaphore", PERMITS, PERMITS, &s, &t->semaphore),
		0);
	assert_int_equal(zipc_event_create(segment, "event", NULL, &t->event), 0);
	assert_int_equal(zipc_barrier_create(segment, "barrier", WORKERS, &b, &t->barrier), 0);
}

static void rage(const struct board *board, uint64_t *seed)
{
	struct storm *storm = board->memory;
	pid_t pids[WORKERS];
	for (uint32_t i = 0; i < WORKERS; i++)
		pids[i] = start_worker(board, i, seed);
	for (uint32_t k = 0; k < KILLS && storm->strange == 0; k++) {
		uint32_t i = random_below(seed, WORKERS);
		nap_us(random_below(seed, 8000));
		if (random_below(seed, 8) == 0) { /* stopped for a while before */
			kill(pids[i], SIGSTOP);
			nap_us(random_below(seed, 3000));
		}
		peer_kill(pids[i]);
		pids[i] = start_worker(board, i, seed);
	}
	nap_us(200000);
	__atomic_store_n(&storm->stop, 1u, __ATOMIC_SEQ_CST);
	for (uint32_t i = 0; i < WORKERS; i++)
		assert_int_equal(peer_wait(pids[i]), 0);
}

static void print_and_check(const struct storm *storm)
{
	if (storm->strange > 0)
		print_error("%s said %d, and %u more\n", storm->last_call, (int)storm->last_code,
			    storm->strange);
	for (int i = 0; i < PLACES; i++)
		printf("storm, %s: %" PRIu64 " times inside, %" PRIu64 " deaths told\n",
		       place_names[i], storm->guarded[i].times, storm->guarded[i].deaths);
	assert_int_equal(storm->strange, 0);
	for (int i = 0; i < PLACES; i++)
		assert_true(storm->guarded[i].times > 50);
	assert_true(storm->guarded[MUTEX].deaths > 0);
	assert_true(storm->guarded[RWLOCK].deaths > 0);
	assert_true(storm->guarded[MONITOR].deaths > 0);
}

/* After the storm everything is as if nobody had died. */
static void check_calm(zipc_segment *segment, struct tools *t)
{
	nap_us(12000); /* nobody who is dead by now is remembered as living */
	use_mutex(t);
	use_rwlock(t);
	use_monitor(t);
	use_once(t);
	assert_int_equal(t->storm->strange, 0);
	assert_int_equal(zipc_semaphore_value(t->semaphore), PERMITS);
	assert_int_equal(zipc_barrier_reset(t->barrier), 0);
	assert_int_equal(zipc_barrier_join(t->barrier), 0);
	assert_int_equal(zipc_barrier_wait(t->barrier, ZIPC_NOWAIT), 1);
	assert_int_equal(zipc_barrier_arrive_and_drop(t->barrier), 1);
	assert_true(zipc_segment_gc(segment) >= 0);
	assert_int_equal(zipc_segment_gc(segment), 0);
	assert_int_equal(zipc_segment_verify(segment, NULL, NULL), 0);
}

static void test_storm(void **state)
{
	uint64_t seed = seed_for("sync storm");
	(void)state;
	watchdog(SECONDS, "sync storm");
	struct board board = board_make(sizeof(struct storm));
	struct storm *storm = board.memory;
	struct tools t = {.storm = storm, .me = (uint64_t)getpid(), .seed = seed};
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	zipc_segment *segment;
	options.size = 1 << 20;
	options.max_size = 4 << 20;
	options.max_peers = 24;
	snprintf(storm->segment, sizeof storm->segment, "%s", unique_name("syncstorm"));
	assert_int_equal(zipc_segment_create(storm->segment, &options, &segment), 0);
	create_all(segment, &t);
	uint64_t began = now_ns();
	rage(&board, &seed);
	printf("storm: %u kills in %.1f s\n", KILLS, (double)(now_ns() - began) * 1e-9);
	print_and_check(storm);
	check_calm(segment, &t);
	close_tools(&t);
	zipc_segment_close(segment);
	assert_int_equal(zipc_segment_remove(storm->segment, NULL), 0);
	board_close(&board);
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_storm)};
	return PEER_RUN("sync_storm", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{"worker", role_worker}, {NULL, NULL}};
	return peer_main(argc, argv, roles, all_tests);
}
