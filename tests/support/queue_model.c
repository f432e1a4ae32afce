/* SPDX-License-Identifier: MIT */
#include "queue_model.h"

#include "ledger.h"
#include "peer.h"

#include "structure/queue_lines.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ELEMENT_MOST 4096
#define LANE	     1u
#define PROBE	     1000000u /* numbers of the items that only test capacity */

void model_set(struct queue_model *model, uint32_t first, uint32_t last, enum model_state state)
{
	for (uint32_t i = first; i <= last && i < MODEL_ITEMS; i++)
		model->state[i] = (uint8_t)state;
}

/* ---- one item ------------------------------------------------------------------------------- */

int model_push(zipc_queue *queue, uint32_t number)
{
	uint8_t element[ELEMENT_MOST];
	item_write(element, zipc_queue_element_size(queue), LANE, number);
	return zipc_queue_push(queue, element, ZIPC_NOWAIT);
}

/* Enters an element; -EBADMSG with a complaint when it is not one of ours. */
static int enter(struct world *world, struct harvest *harvest, const void *element, size_t size)
{
	uint32_t lane, number;
	if (!item_read(element, size, &lane, &number) || lane != LANE || number == 0 ||
	    number >= MODEL_ITEMS) {
		complain(world, "item %u is torn or strange (lane %u, number %u)", harvest->count,
			 lane, number);
		return -EBADMSG;
	}
	if (harvest->count >= MODEL_ITEMS) {
		complain(world, "items without end");
		return -EBADMSG;
	}
	harvest->number[harvest->count++] = number;
	harvest->seen[number]++;
	return 0;
}

int model_pop(struct world *world, zipc_queue *queue, struct harvest *harvest)
{
	uint8_t element[ELEMENT_MOST];
	int r = zipc_queue_pop(queue, element, ZIPC_NOWAIT);
	return r < 0 ? r : enter(world, harvest, element, zipc_queue_element_size(queue));
}

static bool deliveries_fit(struct world *world, zipc_queue *queue, uint64_t ticket)
{
	int n = zipc_queue_deliveries(queue, ticket);
	bool counted = (zipc_queue_flags(queue) & ZIPC_QUEUE_AT_LEAST_ONCE) != 0;
	if (!counted && n != -EOPNOTSUPP)
		return complain(world, "deliveries says %d in a mode without them", n);
	if (counted && (n < 1 || n > 3))
		return complain(world, "deliveries says %d", n);
	return true;
}

int model_acquire(struct world *world, zipc_queue *queue, struct harvest *harvest)
{
	void *element;
	uint64_t ticket;
	int r = zipc_queue_acquire(queue, ZIPC_NOWAIT, &element, &ticket);
	if (r < 0)
		return r;
	r = enter(world, harvest, element, zipc_queue_element_size(queue));
	if (r == 0 && !deliveries_fit(world, queue, ticket))
		r = -EBADMSG;
	int released = zipc_queue_release(queue, ticket);
	if (released != 0)
		complain(world, "release says %d", released);
	return r;
}

/* ---- everything ----------------------------------------------------------------------------- */

static int pop_many(struct world *world, zipc_queue *queue, struct harvest *harvest)
{
	uint8_t elements[3 * ELEMENT_MOST];
	size_t size = zipc_queue_element_size(queue);
	int n = zipc_queue_pop_n(queue, elements, 3, ZIPC_NOWAIT);
	for (int i = 0; i < n; i++)
		if (enter(world, harvest, elements + (size_t)i * size, size) < 0)
			return -EBADMSG;
	return n < 0 ? n : 0;
}

/* A peek before each pop must show what the pop then takes, unless that is an older one again. */
static int peek_and_pop(struct world *world, zipc_queue *queue, struct harvest *harvest)
{
	uint8_t element[ELEMENT_MOST];
	uint32_t lane = 0, number = 0;
	int peeked = zipc_queue_peek(queue, element);
	if (peeked == 0 && !item_read(element, zipc_queue_element_size(queue), &lane, &number))
		complain(world, "peek shows a torn item");
	int r = model_pop(world, queue, harvest);
	bool again = (zipc_queue_flags(queue) & ZIPC_QUEUE_AT_LEAST_ONCE) != 0;
	if (r == 0 && peeked == 0 && !again && harvest->number[harvest->count - 1] != number)
		complain(world, "peek shows %u, pop takes %u", number,
			 harvest->number[harvest->count - 1]);
	if (r == 0 && peeked == -EPIPE)
		complain(world, "peek says drained, pop takes %u",
			 harvest->number[harvest->count - 1]);
	return r;
}

static int take_next(struct world *world, zipc_queue *queue, struct harvest *harvest)
{
	switch (world->mood) {
	case 1:
		return model_acquire(world, queue, harvest);
	case 2:
		return pop_many(world, queue, harvest);
	case 3:
		return peek_and_pop(world, queue, harvest);
	default:
		return model_pop(world, queue, harvest);
	}
}

static int drain(struct world *world, zipc_queue *queue, struct harvest *harvest)
{
	int r = 0;
	for (int i = 0; r == 0 && i <= MODEL_ITEMS; i++)
		r = take_next(world, queue, harvest);
	return r;
}

static bool in_order(struct world *world, const struct queue_model *model,
		     const struct harvest *harvest)
{
	uint32_t last = 0;
	for (uint32_t i = 0; i < harvest->count; i++) {
		uint32_t number = harvest->number[i];
		if (model->loose[number])
			continue;
		if (number < last)
			return complain(world, "%u comes after %u", number, last);
		last = number;
	}
	return true;
}

bool model_compare(struct world *world, const struct queue_model *model,
		   const struct harvest *harvest)
{
	uint32_t missing = 0;
	for (uint32_t i = 1; i < MODEL_ITEMS; i++) {
		missing += model->state[i] == MODEL_TAKEN && harvest->seen[i] == 0;
		if (harvest->seen[i] > 1)
			return complain(world, "%u came %u times", i, harvest->seen[i]);
		if (harvest->seen[i] == 1 && model->state[i] == MODEL_ABSENT)
			return complain(world, "%u came and must not", i);
		if (harvest->seen[i] == 0 && model->state[i] == MODEL_THERE)
			return complain(world, "%u is lost", i);
	}
	if (missing > model->taken)
		return complain(world, "%u are missing, %u could have been taken", missing,
				model->taken);
	return in_order(world, model, harvest);
}

static bool end_fits(struct world *world, const struct queue_model *model, int r)
{
	bool down = r == -EPIPE;
	if (r != -EAGAIN && r != -EPIPE)
		return complain(world, "the drained queue says %d", r);
	if (down && model->shut_down == MODEL_ABSENT)
		return complain(world, "pop says shut down, and nobody did that");
	if (!down && model->shut_down == MODEL_THERE)
		return complain(world, "pop does not say shut down");
	return true;
}

/* Full is an excuse only when as much as that came out. */
static bool push_fits(struct world *world, zipc_queue *queue, const struct queue_model *model,
		      const struct harvest *harvest, int pushed)
{
	bool down = pushed == -EPIPE;
	if (down != (model->shut_down == MODEL_THERE) && model->shut_down != MODEL_MAYBE)
		return complain(world, "push says %d", pushed);
	if (pushed == 0 || down)
		return true;
	if (pushed != -EAGAIN)
		return complain(world, "push says %d", pushed);
	uint64_t occupied = harvest->count + model->blocked;
	if (occupied < zipc_queue_capacity(queue))
		return complain(world, "push says full, and only %u items come out",
				harvest->count);
	return true;
}

static bool numbers_fit(struct world *world, zipc_queue *queue)
{
	zipc_queue_stats stats = {.struct_size = sizeof stats};
	uint64_t size = zipc_queue_size(queue), capacity = zipc_queue_capacity(queue);
	int r = zipc_queue_get_stats(queue, &stats);
	/* at-least-once: what waits to be delivered again counts, and lies below the head */
	bool again = (zipc_queue_flags(queue) & ZIPC_QUEUE_AT_LEAST_ONCE) != 0;
	bool fits =
		again ? stats.pushed - stats.popped <= size : stats.pushed - stats.popped == size;
	if (r != 0 || size > capacity || stats.size != size || !fits)
		return complain(world,
				"stats say %d: size %llu, %llu pushed, %llu popped; size %llu", r,
				(unsigned long long)stats.size, (unsigned long long)stats.pushed,
				(unsigned long long)stats.popped, (unsigned long long)size);
	return true;
}

/* After gc no slot names anybody: all but this survivor are dead. */
static bool names_nobody(struct world *world, const zipc_queue *queue)
{
	const struct zi_queue *shared = queue->shared;
	uint64_t me = zi_self_id(queue->segment);
	uint64_t roles[] = {shared->producer, shared->consumer, shared->held};
	for (uint32_t i = 0; i < 3; i++)
		if (roles[i] != 0 && (roles[i] & ZI_ID_MASK) != me)
			return complain(world, "after gc word %u is %llx", i,
					(unsigned long long)roles[i]);
	for (uint64_t i = 0; i <= queue->mask && queue->lines == 0; i++) {
		uint64_t word = *zi_queue_word(queue, i);
		if (zi_slot_owner(word) != 0)
			return complain(world, "after gc slot %llu is %llx of owner %x",
					(unsigned long long)i, (unsigned long long)word,
					zi_slot_owner(word));
	}
	return true;
}

bool model_agrees(struct world *world, zipc_queue *queue, const struct queue_model *model,
		  uint32_t extra)
{
	struct queue_model full = *model;
	struct harvest harvest = {0};
	int pushed = -EAGAIN;
	bool pushes = extra != 0 && world->mood != 0 && world->mood != 3;
	if (world->mood == 2 && zipc_segment_gc(world->segment) < 0)
		return complain(world, "gc says: %s", zipc_last_error());
	if (world->mood == 2 && !names_nobody(world, queue))
		return false;
	if (world->mood == 3)
		numbers_fit(world, queue);
	if (pushes) {
		pushed = model_push(queue, extra);
		full.state[extra] = pushed == 0 ? MODEL_THERE : MODEL_ABSENT;
	}
	if (world->mood == 4 && zipc_queue_shutdown(queue) != 0)
		return complain(world, "shutdown says: %s", zipc_last_error());
	int r = drain(world, queue, &harvest);
	bool good = world->complaint[0] == '\0' && model_compare(world, &full, &harvest);
	if (good && pushes)
		good = push_fits(world, queue, model, &harvest, pushed);
	if (world->mood == 4)
		full.shut_down = MODEL_THERE;
	return good && end_fits(world, &full, r);
}

/* ---- capacity ------------------------------------------------------------------------------- */

static bool pop_probe(struct world *world, zipc_queue *queue, uint32_t number)
{
	uint8_t element[ELEMENT_MOST];
	uint32_t lane = 0, got = 0;
	int r = zipc_queue_pop(queue, element, ZIPC_NOWAIT);
	if (r < 0)
		return complain(world, "pop of probe %u says %d", number - PROBE, r);
	if (!item_read(element, zipc_queue_element_size(queue), &lane, &got) || got != number)
		return complain(world, "probe %u came as %u", number - PROBE, got - PROBE);
	return true;
}

static bool fill_and_drain(struct world *world, zipc_queue *queue)
{
	uint64_t capacity = zipc_queue_capacity(queue);
	uint32_t n = 0;
	int r = 0;
	while (n <= capacity && (r = model_push(queue, PROBE + n)) == 0)
		n++;
	if (n != capacity || r != -EAGAIN)
		return complain(world, "takes %u of %llu items, then says %d", n,
				(unsigned long long)capacity, r);
	if (zipc_queue_size(queue) != capacity || !zipc_queue_is_full(queue))
		return complain(world, "is full and says size %llu",
				(unsigned long long)zipc_queue_size(queue));
	for (uint32_t i = 0; i < n; i++)
		if (!pop_probe(world, queue, PROBE + i))
			return false;
	uint8_t element[ELEMENT_MOST];
	r = zipc_queue_pop(queue, element, ZIPC_NOWAIT);
	if (r != -EAGAIN || zipc_queue_size(queue) != 0 || !zipc_queue_is_empty(queue))
		return complain(world, "is empty and pop says %d, size %llu", r,
				(unsigned long long)zipc_queue_size(queue));
	return true;
}

bool queue_is_whole(struct world *world, zipc_queue *queue)
{
	for (uint32_t i = 0; i < 2; i++) {
		int r = model_push(queue, PROBE + i);
		if (r < 0)
			return complain(world, "push to the empty queue says %d", r);
		if (!pop_probe(world, queue, PROBE + i))
			return false;
	}
	return fill_and_drain(world, queue) && fill_and_drain(world, queue);
}

/* All lines below the position are full, in the lap that they had last. */
static void preset_lines(zipc_queue *queue, uint64_t position)
{
	uint64_t n = queue->per_line, begin = position - position % n;
	for (uint64_t i = 0; i < queue->lines && i * n <= begin; i++) {
		uint64_t p = begin - i * n;
		*zi_line_at(queue, p) = zi_line_lap(queue, p) | (i == 0 ? position - begin : n);
	}
	queue->shared->tail = begin;
	queue->shared->head = position;
}

void queue_preset(zipc_queue *queue, uint64_t position)
{
	if (queue->lines != 0) {
		preset_lines(queue, position);
		return;
	}
	for (uint64_t i = 0; i <= queue->mask; i++)
		*zi_queue_word(queue, position + i) =
			zi_queue_state(queue, position + i, 0, ZI_SLOT_FREE);
	queue->shared->head = position;
	queue->shared->tail = position;
	queue->shared->done = position;
}

/* ---- cases ---------------------------------------------------------------------------------- */

#define SP  ZIPC_QUEUE_SINGLE_PRODUCER
#define SC  ZIPC_QUEUE_SINGLE_CONSUMER
#define ALO ZIPC_QUEUE_AT_LEAST_ONCE

const char *const operation_names[OPERATIONS] = {
	"push",	 "push_n",	     "reserve, commit",	 "reserve, abort", "pop",
	"pop_n", "acquire, release", "acquire, requeue", "shutdown",
};

static const char *const wound_names[WOUNDS] = {"", ", behind a dead reservation",
						", behind a dead acquisition"};

/* How far the victim before had come when it was killed. */
static struct victim_notes before_notes;

bool case_produces(const struct queue_case *c)
{
	return c->operation <= ABORT;
}

bool case_consumes(const struct queue_case *c)
{
	return c->operation >= POP && c->operation <= REQUEUE;
}

/* Items that the operation adds, or takes. */
uint32_t case_amount(const struct queue_case *c)
{
	return c->operation == PUSH_N || c->operation == POP_N ? BATCH : 1;
}

static bool comes_back(const struct queue_case *c)
{
	return (c->flags & ALO) != 0;
}

/* Having worked before, the victim takes the fast paths of one that holds its role. */
static bool is_warm(const struct queue_case *c)
{
	return c->wrap != NO_WRAP && (!case_produces(c) || c->fill > 0);
}

static uint64_t base_position(const struct queue_case *c)
{
	if (c->wrap == NO_WRAP)
		return 0;
	return c->wrap - 1 - (case_produces(c) ? c->fill : 0) -
	       (case_consumes(c) && is_warm(c) ? 1 : 0);
}

bool case_makes_sense(const struct queue_case *c)
{
	if (c->operation == REQUEUE && (c->flags & ALO) == 0)
		return false;
	/* the wound takes a slot, too */
	return c->wound == UNHURT || c->fill < CAPACITY;
}

void case_name(struct queue_case *c)
{
	snprintf(c->name, sizeof c->name, "%s, %s/%s%s, %u of %u, %u bytes, wrap at %llx%s",
		 operation_names[c->operation], (c->flags & SP) != 0 ? "single" : "multi",
		 (c->flags & SC) != 0 ? "single" : "multi",
		 (c->flags & ALO) != 0 ? " at least once" : "", c->fill, CAPACITY, c->element_size,
		 (unsigned long long)c->wrap, wound_names[c->wound]);
	if (c->before != NULL)
		snprintf(c->name + strlen(c->name), sizeof c->name - strlen(c->name),
			 ", after a death in %s after %ld", operation_names[c->before_operation],
			 c->before_step);
}

const struct queue_case *case_of(const struct world *world)
{
	return world->scenario->arg;
}

/* The case of the victim before. */
static struct queue_case earlier(const struct queue_case *c)
{
	struct queue_case e = *c;
	e.operation = c->before_operation;
	e.before = NULL;
	return e;
}

/* The number of the first item that this case's victim pushes. */
static uint32_t first_pushed(const struct queue_case *c)
{
	struct queue_case e = earlier(c);
	bool pushed_before = c->before != NULL && case_produces(&e);
	return c->fill + 1 + (pushed_before ? case_amount(&e) : 0);
}

/* ---- setup ---------------------------------------------------------------------------------- */

#define FIRST_TAKEN 50u /* what a dead acquisition holds */
#define WARM_UP	    51u /* what the victim pops before it is stepped */

static int push_numbers(zipc_queue *queue, uint32_t first, uint32_t last)
{
	int r = 0;
	for (uint32_t i = first; i <= last && r == 0; i++)
		r = model_push(queue, i);
	return r;
}

/* In a child that ends without a word: its claim stays behind, at the head. */
static int wound_and_die(struct world *world, enum wound wound)
{
	zipc_queue *queue;
	void *element;
	uint64_t ticket;
	if (world_attach(world) < 0 || zipc_queue_open(world->segment, "q", 0, NULL, &queue) < 0)
		return 1;
	int r = wound == DEAD_RESERVATION
			? zipc_queue_reserve(queue, ZIPC_NOWAIT, &element, &ticket)
			: zipc_queue_acquire(queue, ZIPC_NOWAIT, &element, &ticket);
	return r < 0;
}

static int make_wound(struct world *world, enum wound wound)
{
	if (wound == UNHURT)
		return 0;
	pid_t pid = peer_fork();
	if (pid == 0)
		_exit(wound_and_die(world, wound));
	return peer_wait(pid) == 0 ? 0 : -ECHILD;
}

static int die_before(struct world *world)
{
	struct queue_case e = earlier(case_of(world));
	struct scenario scenario = *world->scenario;
	scenario.arg = &e;
	struct world inner = *world;
	struct victim victim = {0};
	inner.scenario = &scenario;
	inner.notes = notes_make();
	int r = victim_start(&victim, &inner);
	if (r == 0)
		victim_walk(&victim, case_of(world)->before, case_of(world)->before_step);
	victim_kill(&victim);
	before_notes = *inner.notes;
	notes_close(inner.notes);
	return r;
}

int case_setup(struct world *world)
{
	const struct queue_case *c = case_of(world);
	zipc_queue_options options = ZIPC_QUEUE_OPTIONS_INIT;
	zipc_queue *queue;
	options.flags = c->flags;
	int r = zipc_queue_create(world->segment, "q", c->element_size, CAPACITY, &options, &queue);
	if (r < 0)
		return r;
	queue_preset(queue, base_position(c));
	if (c->wound == DEAD_ACQUISITION)
		r = model_push(queue, FIRST_TAKEN);
	zipc_queue_close(queue); /* gives the roles back, for whoever is hurt */
	if (r == 0)
		r = make_wound(world, c->wound);
	if (r == 0)
		r = zipc_queue_open(world->segment, "q", 0, NULL, &queue);
	if (r < 0)
		return r;
	bool consumer = case_consumes(c) && is_warm(c), producer = case_produces(c) && is_warm(c);
	if (consumer)
		r = model_push(queue, WARM_UP);
	if (r == 0) /* a warm producer pushes the last one itself */
		r = push_numbers(queue, 1, c->fill - (consumer && c->fill == CAPACITY) - producer);
	zipc_queue_close(queue);
	return r == 0 && c->before != NULL ? die_before(world) : r;
}

/* Through a handle of its own, so that the victim does not keep the producer's role. */
static int push_last(struct world *world)
{
	zipc_queue *queue;
	int r = zipc_queue_open(world->segment, "q", 0, NULL, &queue);
	if (r < 0)
		return r;
	r = push_numbers(queue, case_of(world)->fill, case_of(world)->fill);
	zipc_queue_close(queue);
	return r;
}

/* The victim attaches and opens, and has worked before if the case says so. */
int case_prepare(struct world *world)
{
	const struct queue_case *c = case_of(world);
	uint8_t element[ELEMENT];
	zipc_queue *queue;
	int r = world_attach(world);
	if (r == 0)
		r = zipc_queue_open(world->segment, "q", 0, NULL, &queue);
	if (r < 0)
		return r;
	world->handle = queue;
	if (!is_warm(c))
		return zipc_queue_size(queue) > CAPACITY;
	if (case_produces(c))
		return push_numbers(queue, c->fill, c->fill);
	if (!case_consumes(c))
		return 0;
	r = zipc_queue_pop(queue, element, ZIPC_NOWAIT);
	return r == 0 && c->fill == CAPACITY ? push_last(world) : r;
}

/* ---- the operations, stepped ---------------------------------------------------------------- */

static int write_batch(zipc_queue *queue, uint32_t first)
{
	uint8_t elements[BATCH * ELEMENT];
	size_t size = zipc_queue_element_size(queue);
	for (uint32_t i = 0; i < BATCH; i++)
		item_write(elements + i * size, size, 1, first + i);
	return zipc_queue_push_n(queue, elements, BATCH, ZIPC_NOWAIT);
}

/* Tells which item it got; 0 = a torn one. */
static void note_item(struct world *world, uint32_t place, const uint8_t *element, size_t size)
{
	uint32_t lane, number;
	bool whole = item_read(element, size, &lane, &number);
	world->notes->value[place] = whole ? number : 0;
}

static int read_batch(struct world *world, zipc_queue *queue)
{
	uint8_t elements[BATCH * ELEMENT];
	size_t size = zipc_queue_element_size(queue);
	int n = zipc_queue_pop_n(queue, elements, BATCH, ZIPC_NOWAIT);
	for (int i = 0; i < n; i++)
		note_item(world, (uint32_t)i, elements + (size_t)i * size, size);
	return n;
}

static int write_in_place(struct world *world, zipc_queue *queue, bool commit)
{
	void *element;
	uint64_t ticket;
	int r = zipc_queue_reserve(queue, ZIPC_NOWAIT, &element, &ticket);
	if (r < 0)
		return r;
	item_write(element, zipc_queue_element_size(queue), 1, first_pushed(case_of(world)));
	world->notes->mark = 1;
	return commit ? zipc_queue_commit(queue, ticket) : zipc_queue_abort(queue, ticket);
}

static int read_in_place(struct world *world, zipc_queue *queue, bool release)
{
	void *element;
	uint64_t ticket;
	int r = zipc_queue_acquire(queue, ZIPC_NOWAIT, &element, &ticket);
	if (r < 0)
		return r;
	note_item(world, 0, element, zipc_queue_element_size(queue));
	world->notes->mark = 1;
	return release ? zipc_queue_release(queue, ticket) : zipc_queue_requeue(queue, ticket);
}

int case_operate(struct world *world)
{
	const struct queue_case *c = case_of(world);
	zipc_queue *queue = world->handle;
	uint8_t element[ELEMENT];
	int r;
	switch (c->operation) {
	case PUSH:
		return model_push(queue, first_pushed(c));
	case PUSH_N:
		return write_batch(queue, first_pushed(c));
	case COMMIT:
	case ABORT:
		return write_in_place(world, queue, c->operation == COMMIT);
	case POP:
		r = zipc_queue_pop(queue, element, ZIPC_NOWAIT);
		if (r == 0)
			note_item(world, 0, element, c->element_size);
		return r;
	case POP_N:
		return read_batch(world, queue);
	case RELEASE:
	case REQUEUE:
		return read_in_place(world, queue, c->operation == RELEASE);
	default:
		return zipc_queue_shutdown(queue);
	}
}

/* ---- what a survivor may find --------------------------------------------------------------- */

uint32_t case_moved(const struct queue_case *c, const struct victim_notes *notes)
{
	if (notes->result < 0)
		return 0;
	return c->operation == PUSH_N || c->operation == POP_N ? (uint32_t)notes->result : 1;
}

static void expect_added(const struct queue_case *c, const struct victim_notes *notes,
			 struct queue_model *model)
{
	uint32_t first = first_pushed(c);
	bool returned = notes->phase == VICTIM_RETURNED;
	model->blocked++; /* its hole, until somebody comes to it */
	if (c->operation == ABORT || (c->operation == COMMIT && notes->mark == 0))
		return;
	if (!returned)
		model_set(model, first, first + case_amount(c) - 1, MODEL_MAYBE);
	else if (case_moved(c, notes) > 0)
		model_set(model, first, first + case_moved(c, notes) - 1, MODEL_THERE);
}

/* What a consumer died with may be gone, or comes back, perhaps late. It is one of the first. */
static void expect_taken(const struct queue_case *c, const struct victim_notes *notes,
			 struct queue_model *model)
{
	uint32_t numbers[] = {FIRST_TAKEN, 1, 2, 3};
	bool stays = notes->phase == VICTIM_RETURNED || c->operation == REQUEUE ||
		     (c->operation == RELEASE && comes_back(c) && notes->mark == 0);
	uint32_t reach = case_amount(c) + (c->before != NULL ? 1 : 0);
	model->taken += case_amount(c);
	for (uint32_t i = 0; i <= reach; i++) {
		uint32_t number = numbers[i];
		if (model->state[number] == MODEL_ABSENT)
			continue;
		model->loose[number] = (c->flags & ALO) != 0;
		if (!stays)
			model->state[number] = MODEL_TAKEN;
	}
	/* slots freed behind one that is to be delivered again wait for it */
	if ((c->flags & ALO) != 0)
		model->blocked += case_amount(c);
}

/* What it returned with is gone. */
static void expect_gone(struct world *world, const struct queue_case *c,
			const struct victim_notes *notes, struct queue_model *model)
{
	if (notes->phase != VICTIM_RETURNED || c->operation == REQUEUE || !case_consumes(c))
		return;
	for (uint32_t i = 0; i < case_moved(c, notes); i++) {
		uint64_t number = notes->value[i];
		if (number == 0 || number >= MODEL_ITEMS)
			complain(world, "the victim got a torn item");
		else
			model->state[number] = MODEL_ABSENT;
	}
}

static void expect_effect(const struct queue_case *c, const struct victim_notes *notes,
			  struct queue_model *model)
{
	if (case_produces(c))
		expect_added(c, notes, model);
	else if (case_consumes(c))
		expect_taken(c, notes, model);
	else
		model->shut_down = notes->phase == VICTIM_RETURNED ? MODEL_THERE : MODEL_MAYBE;
}

struct queue_model case_expectation(struct world *world)
{
	const struct queue_case *c = case_of(world);
	struct queue_case e = earlier(c);
	struct queue_model model = {.blocked = c->wound == DEAD_RESERVATION};
	model_set(&model, 1, c->fill, MODEL_THERE);
	if (c->wound == DEAD_ACQUISITION && comes_back(c)) {
		model.state[FIRST_TAKEN] = MODEL_THERE;
		model.loose[FIRST_TAKEN] = true;
	}
	if (c->before != NULL)
		expect_effect(&e, &before_notes, &model);
	expect_effect(c, world->notes, &model);
	if (c->before != NULL)
		expect_gone(world, &e, &before_notes, &model);
	expect_gone(world, c, world->notes, &model);
	return model;
}
