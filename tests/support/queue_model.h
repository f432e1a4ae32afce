/* SPDX-License-Identifier: MIT */
/*
 * What may be in a queue, item by item, and a survivor that looks whether it is so: it takes
 * everything out, compares, and then fills and drains the queue to see that all of its capacity is
 * there. And cases: what a victim does to a queue, and what may be in it afterwards. Items are numbered from 1 in the order of the queue. Every call is made with ZIPC_NOWAIT
 * and there is a bound on the number of calls, so that a queue that is stuck is a complaint.
 */
#ifndef TESTS_SUPPORT_QUEUE_MODEL_H
#define TESTS_SUPPORT_QUEUE_MODEL_H

#include "kill_at.h"

#define MODEL_ITEMS 64

enum model_state {
	MODEL_ABSENT = 0, /* must not come */
	MODEL_MAYBE = 1,  /* may come once */
	MODEL_THERE = 2,  /* must come exactly once */
	MODEL_TAKEN = 3,  /* must come but for `taken` of these in all, which may have been taken */
};

struct queue_model {
	uint8_t state[MODEL_ITEMS]; /* by number; 0 is not used */
	bool loose[MODEL_ITEMS];    /* may come out of order: it is delivered again */
	uint32_t shut_down;	    /* enum model_state of the shutdown */
	uint32_t taken;		    /* see MODEL_TAKEN */
	uint32_t blocked; /* slots at most that are occupied by nothing that can be popped */
};

/* Numbers first to last become `state`. */
void model_set(struct queue_model *model, uint32_t first, uint32_t last, enum model_state state);

/* What came out, in order. */
struct harvest {
	uint32_t count;
	uint32_t number[MODEL_ITEMS];
	uint8_t seen[MODEL_ITEMS];
};

/* Pushes the item `number`; returns what push says. Elements have zipc_queue_element_size() bytes.
 */
int model_push(zipc_queue *queue, uint32_t number);

/* Pops one and adds it to the harvest: 0, what pop says, or -EBADMSG with a complaint if torn. */
int model_pop(struct world *world, zipc_queue *queue, struct harvest *harvest);

/* As pop with acquire and release; checks the delivery count in at-least-once mode. */
int model_acquire(struct world *world, zipc_queue *queue, struct harvest *harvest);

/*
 * In how many ways a survivor uses the queue (world.mood): 0 pops; 1 pushes, then acquires and
 * releases; 2 gc first, pushes, pops batches; 3 looks, then peeks before each pop; 4 pushes, shuts
 * the queue down, pops.
 */
#define MODEL_MOODS 5u

/*
 * Pops until nothing comes, having pushed item `extra` first if that is not 0 and the mood says so.
 * Complains unless the result agrees with the model.
 */
bool model_agrees(struct world *world, zipc_queue *queue, const struct queue_model *model,
		  uint32_t extra);

/* Compares only. */
bool model_compare(struct world *world, const struct queue_model *model,
		   const struct harvest *harvest);

/* The queue is empty and not shut down: fills it up and drains it, twice, and one by one. */
bool queue_is_whole(struct world *world, zipc_queue *queue);

/* An empty queue becomes one that was in use for as many items as `position` says. */
void queue_preset(zipc_queue *queue, uint64_t position);

/* ---- cases ---------------------------------------------------------------------------------- */

#define CAPACITY 4u
#define BATCH	 3u
#define ELEMENT	 64u /* most bytes */
#define EXTRA	 40u /* number of the item that a survivor pushes first */

#define NO_WRAP UINT64_MAX

enum operation { PUSH, PUSH_N, COMMIT, ABORT, POP, POP_N, RELEASE, REQUEUE, SHUTDOWN, OPERATIONS };
extern const char *const operation_names[OPERATIONS];

/* What an earlier victim left at the head. */
enum wound { UNHURT, DEAD_RESERVATION, DEAD_ACQUISITION, WOUNDS };

/* One operation on a queue in one state: everything but `stopped` and `finished` of a scenario. */
struct queue_case {
	enum operation operation;
	enum wound wound;
	uint32_t flags;
	uint32_t fill; /* items 1 to fill are there */
	uint32_t element_size;
	uint64_t wrap; /* the operation's position is the last before this; NO_WRAP = begins at 0 */

	/* another victim, which died before in an operation of its own; NULL = nobody did */
	const struct moments *before;
	enum operation before_operation;
	long before_step;

	char name[200];
};

const struct queue_case *case_of(const struct world *world);
void case_name(struct queue_case *c);
bool case_makes_sense(const struct queue_case *c);
bool case_produces(const struct queue_case *c);
bool case_consumes(const struct queue_case *c);

/* Items that the operation adds, or takes; and how many the victim's call did. */
uint32_t case_amount(const struct queue_case *c);
uint32_t case_moved(const struct queue_case *c, const struct victim_notes *notes);

int case_setup(struct world *world);
int case_prepare(struct world *world);
int case_operate(struct world *world);

/* What a survivor may find, as far as the victims had come. */
struct queue_model case_expectation(struct world *world);

#endif
