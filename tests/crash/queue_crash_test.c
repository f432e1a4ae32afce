/* SPDX-License-Identifier: MIT */
/*
 * Deaths, and stops, at every instruction of every operation of a queue, in every mode, at empty,
 * one, nearly full and full, at the start and just before a lap, the lap counter or the position
 * wraps; also when the queue holds what an earlier victim left behind, so that the one who repairs
 * it is killed, too. See oracle.h and kill_at.h for how.
 */
#include "support/cmocka_all.h"
#include "support/kill_at.h"
#include "support/oracle.h"
#include "support/peer.h"
#include "support/queue_model.h"

#include "structure/queue.h"

#include <errno.h>
#include <stdio.h>

#define OTHERS 20u /* numbers of those that others push while the victim is stopped */

#define SP  ZIPC_QUEUE_SINGLE_PRODUCER
#define SC  ZIPC_QUEUE_SINGLE_CONSUMER
#define ALO ZIPC_QUEUE_AT_LEAST_ONCE

static const uint32_t modes[] = {0, SP | SC, SP, SC, ALO, ALO | SP | SC};
static const uint32_t fills[] = {0, 1, CAPACITY - 1, CAPACITY};

#define WRAPS 4

/*
 * At the start, and before a lap, the lap counter, the position itself wraps; of lines: before the
 * next line, the lap counter, the first lap.
 */
static uint64_t wrap_of(const struct queue_case *c, size_t which)
{
	const uint64_t wraps[] = {NO_WRAP, 2 * CAPACITY, CAPACITY * (ZI_SLOT_LAP_MASK + 1), 0};
	struct zi_queue_geometry g;
	if (which == 0 || !zi_queue_geometry(c->element_size, CAPACITY, 8, c->flags, &g) ||
	    g.lines == 0)
		return wraps[which];
	uint64_t lap = g.lines * g.per_line;
	return which == 1   ? 2 * CAPACITY / g.per_line * g.per_line + g.per_line
	       : which == 2 ? lap << 32
			    : lap;
}

static struct oracle_report oracled;
static struct kill_report killed;

/* ---- dead ------------------------------------------------------------------------------------ */

/* Whoever was dead before: there was room, or an item, so the victim's call cannot have failed. */
static void check_result(struct world *world)
{
	const struct queue_case *c = case_of(world);
	uint32_t held = c->wound != UNHURT || c->before != NULL ? 1 : 0;
	bool room = c->fill + held < CAPACITY;
	bool there = c->fill > held || (c->fill > 0 && c->before == NULL);
	if (world->notes->phase != VICTIM_RETURNED || world->notes->result >= 0)
		return;
	if ((case_produces(c) && room) || (case_consumes(c) && there) || c->operation == SHUTDOWN)
		complain(world, "the victim's call says %d", world->notes->result);
}

/* After it was drained. */
static void check_empty(struct world *world, zipc_queue *queue)
{
	uint8_t element[ELEMENT];
	int r = zipc_queue_pop(queue, element, ZIPC_NOWAIT);
	if (r == -EPIPE) {
		r = model_push(queue, EXTRA);
		if (r != -EPIPE)
			complain(world, "push to a queue that is shut down says %d", r);
	} else if (r != -EAGAIN) {
		complain(world, "pop of the drained queue says %d", r);
	} else {
		queue_is_whole(world, queue);
	}
}

static void check(struct world *world)
{
	struct queue_model model = case_expectation(world);
	zipc_queue *queue;
	check_result(world);
	int r = zipc_queue_open(world->segment, "q", 0, NULL, &queue);
	if (r < 0) {
		complain(world, "open says %d: %s", r, zipc_last_error());
		return;
	}
	if (model_agrees(world, queue, &model, EXTRA))
		check_empty(world, queue);
	zipc_queue_close(queue);
	if (world->complaint[0] == '\0')
		world_is_clean(world);
}

/* ---- stopped, and going on ------------------------------------------------------------------ */

static struct harvest stopped_harvest;

/* Moods of the others: they push and pop; or they shut the queue down and pop. */
#define SHUTS_DOWN 1u

static bool is_shut(const struct world *world)
{
	return case_of(world)->operation == SHUTDOWN || world->mood == SHUTS_DOWN;
}

static bool shares_role(const struct queue_case *c, uint32_t role)
{
	return (c->flags & role) != 0 && (role == SP ? case_produces(c) : case_consumes(c));
}

/* Others push until it is full; how many. */
static uint32_t push_others(struct world *world, zipc_queue *queue)
{
	const struct queue_case *c = case_of(world);
	uint32_t n = 0;
	int r = 0;
	while (n <= CAPACITY && (r = model_push(queue, OTHERS + n)) == 0)
		n++;
	bool fits = r == -EAGAIN || (r == -EBUSY && shares_role(c, SP)) ||
		    (r == -EPIPE && is_shut(world));
	if (!fits)
		complain(world, "others push %u, then %d", n, r);
	if (r == -EAGAIN && n + c->fill + (case_produces(c) ? case_amount(c) : 0) < CAPACITY)
		complain(world, "others can push only %u beside a stopped one", n);
	return n;
}

/* Others pop until nothing comes. */
static void pop_others(struct world *world, zipc_queue *queue)
{
	const struct queue_case *c = case_of(world);
	int r = 0;
	for (uint32_t i = 0; i <= 2 * CAPACITY && r == 0; i++)
		r = model_pop(world, queue, &stopped_harvest);
	bool fits = r == -EAGAIN || (r == -EBUSY && shares_role(c, SC)) ||
		    (r == -EPIPE && is_shut(world));
	world->tally[1] = r == -EPIPE;
	if (!fits)
		complain(world, "others pop %u, then %d", stopped_harvest.count, r);
	uint32_t held = case_consumes(c) ? case_amount(c) : 0;
	if (r != -EBUSY && stopped_harvest.count + held < c->fill)
		complain(world, "others can pop only %u beside a stopped one",
			 stopped_harvest.count);
}

static void stopped(struct world *world)
{
	zipc_queue *queue;
	int r = zipc_queue_open(world->segment, "q", 0, NULL, &queue);
	stopped_harvest = (struct harvest){0};
	world->handle = NULL;
	if (r < 0) {
		complain(world, "open says %d: %s", r, zipc_last_error());
		return;
	}
	if (world->mood == SHUTS_DOWN && zipc_queue_shutdown(queue) != 0)
		complain(world, "shutdown says: %s", zipc_last_error());
	world->tally[0] = push_others(world, queue);
	pop_others(world, queue);
	world->handle = queue;
}

static void add_harvest(struct harvest *sum, const struct harvest *more)
{
	for (uint32_t i = 0; i < more->count; i++) {
		sum->number[sum->count++] = more->number[i];
		sum->seen[more->number[i]]++;
	}
}

/* Each producer's items in its own order; several of them are not ordered among each other. */
static void check_orders(struct world *world, const struct harvest *harvest)
{
	uint32_t last[2] = {0};
	bool again = case_of(world)->operation == REQUEUE;
	for (uint32_t i = 0; i < harvest->count; i++) {
		uint32_t number = harvest->number[i], who = number >= OTHERS;
		if (number < last[who] && !(again && number == 1))
			complain(world, "%u comes after %u", number, last[who]);
		if (number > last[who])
			last[who] = number;
	}
}

static void check_sum(struct world *world, const struct harvest *sum)
{
	const struct queue_case *c = case_of(world);
	for (uint32_t i = 1; i < MODEL_ITEMS; i++) {
		uint32_t expected = i <= c->fill || (i >= OTHERS && i < OTHERS + world->tally[0]);
		if (case_produces(c) && c->operation != ABORT && i > c->fill &&
		    i <= c->fill + case_moved(c, world->notes))
			expected = 1;
		if (sum->seen[i] != expected)
			complain(world, "%u came %u times, not %u", i, sum->seen[i], expected);
	}
}

/*
 * The victim would keep its role, so it ends here; and the queue is opened by one who was not there
 * before, and so does not remember for a millisecond that the victim lives.
 */
static zipc_queue *without_victim(struct world *world, zipc_queue *queue)
{
	zipc_segment *old = world->segment;
	zipc_queue_close(queue);
	victim_kill(world->victim);
	queue = NULL;
	int r = world_attach(world);
	if (r == 0)
		r = zipc_queue_open(world->segment, "q", 0, NULL, &queue);
	if (r < 0)
		complain(world, "attach and open say %d: %s", r, zipc_last_error());
	zipc_segment_close(old);
	return queue;
}

/* Nobody died: everything adds up exactly. */
static void finished(struct world *world)
{
	const struct queue_case *c = case_of(world);
	zipc_queue *queue = world->handle;
	struct harvest sum = {0};
	if (queue == NULL)
		return;
	if ((c->flags & (SP | SC)) != 0)
		queue = without_victim(world, queue);
	if (queue == NULL)
		return;
	for (uint32_t i = 0;
	     case_consumes(c) && c->operation != REQUEUE && i < case_moved(c, world->notes); i++) {
		uint64_t number = world->notes->value[i];
		sum.seen[number % MODEL_ITEMS]++;
	}
	int r = 0;
	struct harvest rest = stopped_harvest;
	while (r == 0)
		r = model_pop(world, queue, &rest);
	if (world->tally[1] != 0 && rest.count > stopped_harvest.count)
		complain(world, "there was more to come when pop said that it was over");
	if (r != (is_shut(world) ? -EPIPE : -EAGAIN))
		complain(world, "at last pop says %d", r);
	add_harvest(&sum, &rest);
	check_orders(world, &sum);
	check_sum(world, &sum);
	if (r == -EAGAIN && world->complaint[0] == '\0')
		queue_is_whole(world, queue);
	zipc_queue_close(queue);
	victim_kill(world->victim);
	if (world->complaint[0] == '\0')
		world_is_clean(world);
}

/* ---- tests ---------------------------------------------------------------------------------- */

static struct scenario scenario_of(const struct queue_case *c)
{
	return (struct scenario){
		.name = c->name,
		.arg = c,
		.moods = MODEL_MOODS,
		.stop_moods = case_produces(c) ? 2 : 1,
		.setup = case_setup,
		.prepare = case_prepare,
		.operate = case_operate,
		.check = check,
		.stopped = stopped,
		.finished = finished,
	};
}

typedef long (*runner)(const struct queue_case *c);

static long run_oracle(const struct queue_case *c)
{
	struct scenario scenario = scenario_of(c);
	return oracle_run(&scenario, &oracled);
}

static long run_kills(const struct queue_case *c)
{
	struct scenario scenario = scenario_of(c);
	return kill_at_run(&scenario, &killed);
}

static long run_stops(const struct queue_case *c)
{
	struct scenario scenario = scenario_of(c);
	return stop_at_run(&scenario, &killed);
}

/* Does the operation change anything, or has it nothing to do? */
static bool is_effective(const struct queue_case *c)
{
	return !(case_produces(c) && c->fill == CAPACITY) && !(case_consumes(c) && c->fill == 0);
}

static void run_case(runner run, struct queue_case c)
{
	/* in the slot, and on paths of their own; in the slot; beside it */
	static const uint32_t sizes[] = {8, 16, ELEMENT};
	static uint32_t turn;
	c.element_size = sizes[turn++ % 3];
	c.wrap = wrap_of(&c, c.wrap);
	if (!case_makes_sense(&c))
		return;
	case_name(&c);
	long states = run(&c);
	if (states < (is_effective(&c) ? 3 : 1)) {
		print_error("%s: only %ld states\n", c.name, states);
		fail();
	}
}

/* c.wrap says which of them. */
static void run_modes(runner run, struct queue_case c)
{
	bool few = run != run_oracle && c.wrap == 0; /* real deaths of cold ones: a sample */
	for (size_t m = 0; m < sizeof modes / sizeof modes[0]; m++) {
		for (size_t f = 0; f < sizeof fills / sizeof fills[0]; f++) {
			if (few && fills[f] != 1)
				continue;
			c.flags = modes[m];
			c.fill = fills[f];
			run_case(run, c);
		}
	}
}

static void run_operation(void **state, runner run, enum wound wound, size_t first, size_t last)
{
	enum operation operation = (enum operation)(uintptr_t)*state;
	long before = oracled.complaints + killed.complaints;
	if (!victim_supported())
		skip();
	for (size_t w = first; w <= last; w++)
		run_modes(run,
			  (struct queue_case){.operation = operation, .wound = wound, .wrap = w});
	assert_int_equal(oracled.complaints + killed.complaints - before, 0);
}

static void test_oracle(void **state)
{
	run_operation(state, run_oracle, UNHURT, 0, 3);
}

static void test_oracle_behind_reservation(void **state)
{
	run_operation(state, run_oracle, DEAD_RESERVATION, 0, 0);
}

static void test_oracle_behind_acquisition(void **state)
{
	run_operation(state, run_oracle, DEAD_ACQUISITION, 0, 0);
}

static void test_kill(void **state)
{
	run_operation(state, run_kills, UNHURT, 0, 1);
}

static void test_stop(void **state)
{
	run_operation(state, run_stops, UNHURT, 0, 1);
}

/* ---- two victims: the second one finds what the first one left, and is killed, too ------------- */

static void run_second(struct queue_case c, const struct moments *moments)
{
	static const enum operation seconds[] = {PUSH, COMMIT, POP, RELEASE};
	c.before = moments;
	for (size_t s = 0; s < 4; s++) {
		for (long m = 0; m < moments->count; m++) {
			c.operation = seconds[s];
			c.before_step = moments->step[m];
			case_name(&c);
			struct scenario scenario = scenario_of(&c);
			assert_true(oracle_run(&scenario, &oracled) > 1);
		}
	}
}

static void test_two_victims(void **state)
{
	static const uint32_t two_modes[] = {0, SP | SC, ALO};
	enum operation first = (enum operation)(uintptr_t)*state;
	long before = oracled.complaints;
	if (!victim_supported())
		skip();
	for (size_t m = 0; m < 3; m++) {
		struct queue_case c = {.operation = first,
				       .before_operation = first,
				       .flags = two_modes[m],
				       .fill = 2,
				       .element_size = m == 1 ? 8 : 16,
				       .wrap = NO_WRAP};
		struct moments moments;
		if (!case_makes_sense(&c))
			continue;
		case_name(&c);
		struct scenario scenario = scenario_of(&c);
		assert_int_equal(moments_find(&scenario, &moments), 0);
		run_second(c, &moments);
		moments_free(&moments);
	}
	assert_int_equal(oracled.complaints - before, 0);
}

/* A first victim of several items is one of a single item, several times. */
static bool can_be_first(enum operation operation)
{
	return operation != PUSH_N && operation != POP_N && operation != SHUTDOWN;
}

static int all_tests(void)
{
	static const struct {
		const char *name;
		void (*run)(void **state);
	} kinds[] = {
		{"oracle", test_oracle},
		{"oracle behind a dead reservation", test_oracle_behind_reservation},
		{"oracle behind a dead acquisition", test_oracle_behind_acquisition},
		{"two victims, first", test_two_victims},
		{"kill", test_kill},
		{"stop", test_stop},
	};
	enum { KINDS = sizeof kinds / sizeof kinds[0] };
	static char names[KINDS * OPERATIONS][80];
	struct CMUnitTest tests[KINDS * OPERATIONS] = {0};
	size_t n = 0;
	for (size_t i = 0; i < (size_t)KINDS * OPERATIONS; i++) {
		enum operation operation = (enum operation)(i % OPERATIONS);
		void (*run)(void **) = kinds[i / OPERATIONS].run;
		if (run == test_two_victims && !can_be_first(operation))
			continue;
		snprintf(names[n], sizeof names[n], "%s: %s", kinds[i / OPERATIONS].name,
			 operation_names[operation]);
		tests[n] = (struct CMUnitTest){.name = names[n],
					       .test_func = run,
					       .initial_state = (void *)(uintptr_t)operation};
		n++;
	}
	int r = peer_run_tests("queue_crash", tests, n);
	oracle_print("queue_crash", &oracled);
	kill_at_print("queue_crash", &killed);
	return r;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	victim_prefer_loops(argv);
	return peer_main(argc, argv, roles, all_tests);
}
