/* SPDX-License-Identifier: MIT */
/*
 * Consumers. Many, or at-least-once: the slot word is taken by CAS, read, freed by a store. One:
 * the element is copied out of a READY slot, which the store of FREE then ends; only an
 * acquisition, which lasts, writes TAKEN.
 *
 * At-least-once. What a dead consumer had taken, and what was requeued, lies in [done, head): as
 * TAKEN(dead) or READY. It is looked for when the head has nothing, when `requeued` says so, and at
 * every 64th pop, and taken in place by one CAS; no room is needed for it.
 */
#include "queue.h"
#include "queue_lines.h"

#include "open.h"

#include "../base/clock.h"

#include <errno.h>
#include <limits.h>

#define WALK_MOST  16u
#define ROUND_MOST 256u

/* Is there more to a pop than taking what stands at the head? */
static inline bool has_role_or_window(const zipc_queue *queue)
{
	return (queue->flags & (ZIPC_QUEUE_SINGLE_CONSUMER | ZIPC_QUEUE_AT_LEAST_ONCE)) != 0;
}

/* ---- finding what is at the head --------------------------------------------------------------
 */

/*
 * A claim stands at the head. Gone are those of the dead and those given up: 1 = skipped or
 * changed, look again; -EAGAIN = its owner lives; or what asking says.
 */
static int meet_claim(zipc_queue *queue, uint64_t position, uint64_t seen, bool *named)
{
	uint32_t owner = zi_slot_owner(seen);
	int dead = owner == 0 ? 1 : zi_peer_dead(queue->segment, owner);
	if (dead < 0)
		return dead;
	if (dead == 0) {
		*named = true;
		return -EAGAIN;
	}
	/* CRASH: CLAIMED or FREE; the next one goes on. One CAS, so it happens once. */
	if (zi_cas_acq_rel(zi_queue_word(queue, position), &seen, zi_queue_over(queue, position))) {
		zi_add_relaxed(&queue->shared->dropped, 1u);
		zi_gate_signal(queue->segment, &queue->shared->space_gate);
	}
	return 1;
}

/*
 * From a position below which all was taken, the first one that is READY: 0, *position and *seen.
 * -EAGAIN = nothing finished at the head; *position is the head then.
 */
static int find_ready(zipc_queue *queue, uint64_t *position, uint64_t *seen, bool *named)
{
	uint64_t p = *position;
	bool odd = false;
	for (uint32_t walked = 0, rounds = 0; rounds < ROUND_MOST; p++) {
		/* QUEUE-R1 acquire: the element. Pairs with QUEUE-W1. */
		uint64_t w = zi_load_acquire(zi_queue_word(queue, p));
		int64_t ahead = zi_lap_difference(zi_slot_lap(w), zi_queue_lap(queue, p));
		*position = p;
		*seen = w;
		if (ahead == 0 && zi_slot_state(w) == ZI_SLOT_READY)
			return 0;
		if (ahead == 0 && zi_slot_state(w) == ZI_SLOT_FREE)
			return -EAGAIN;
		if (ahead == 0 && zi_slot_state(w) == ZI_SLOT_CLAIMED) {
			int r = meet_claim(queue, p, w, named);
			if (r <= 0)
				return r;
			p--; /* the same again */
		} else if (ahead == -1 && zi_slot_state(w) != ZI_SLOT_FREE) {
			return -EAGAIN; /* still in use one lap earlier: nothing was pushed here */
		} else if (ahead < 0 || ++walked > WALK_MOST) {
			odd = ahead < 0;
			p = zi_queue_settle_head(queue, p) - 1;
			walked = 0;
			rounds++;
		}
	}
	return odd ? zi_queue_damaged(queue) : -EAGAIN;
}

/* ---- many consumers -------------------------------------------------------------------------- */

/* At-least-once: the slot is ours; this is one more delivery. */
static void count_delivery(zipc_queue *queue, uint64_t position)
{
	if (!zi_queue_again(queue))
		return;
	/* relaxed: only the taker writes */
	uint32_t *deliveries = zi_queue_deliveries(queue, position);
	uint32_t n = zi_load_relaxed(deliveries);
	zi_store_relaxed(deliveries, n < INT_MAX ? n + 1 : n);
}

/* Takes what stands at the head: 0 and *position, which is TAKEN(me). */
static int take(zipc_queue *queue, uint32_t me, uint64_t *position, bool *named)
{
	struct zi_queue *shared = queue->shared;
	/* relaxed: a hint; the slot word under QUEUE-R1 decides */
	uint64_t p = zi_load_relaxed(&shared->head), from = p;
	for (;;) {
		uint64_t w = zi_load_acquire(zi_queue_word(queue, p));
		if (zi_unlikely(w != zi_queue_state(queue, p, 0, ZI_SLOT_READY))) {
			int r = find_ready(queue, &p, &w, named);
			if (zi_unlikely(p != from))
				zi_queue_hint(&shared->head, p);
			if (r < 0) {
				*position = p;
				return r;
			}
		}
		/* Linearisation point of pop. acquire: the element, as QUEUE-R1.
		 * CRASH: TAKEN(p, me); dropped, or delivered again, by zi_queue_heal_taken(). */
		if (zi_likely(zi_cas_acquire(zi_queue_word(queue, p), &w,
					     zi_queue_state(queue, p, me, ZI_SLOT_TAKEN))))
			break;
	}
	zi_queue_hint(&shared->head, p + 1);
	count_delivery(queue, p);
	*position = p;
	return 0;
}

/* ---- delivering again ------------------------------------------------------------------------ */

/*
 * Looks at one position of [done, head): 1 = taken by us; 0 = in somebody's hands; -EALREADY =
 * over; or what asking for a life says.
 */
static int take_again(zipc_queue *queue, uint32_t me, uint64_t position)
{
	uint64_t *word = zi_queue_word(queue, position);
	uint64_t w = zi_load_acquire(word); /* QUEUE-R1 acquire, as in find_ready() */
	int64_t ahead = zi_lap_difference(zi_slot_lap(w), zi_queue_lap(queue, position));
	if (ahead > 0)
		return -EALREADY;
	if (ahead < 0 || zi_slot_state(w) == ZI_SLOT_FREE || zi_slot_state(w) == ZI_SLOT_CLAIMED)
		return 0;
	if (zi_slot_state(w) == ZI_SLOT_TAKEN) {
		int dead = zi_peer_dead(queue->segment, zi_slot_owner(w));
		if (dead <= 0)
			return dead;
	}
	/* CRASH: TAKEN(position, me) again; the next one takes it from us */
	return zi_cas_acquire(word, &w, zi_queue_state(queue, position, me, ZI_SLOT_TAKEN));
}

/* A long window is looked through once a millisecond, or when something was requeued. */
static bool window_due(zipc_queue *queue, uint64_t head)
{
	if (head - zi_queue_window_start(queue, head) <= ZI_HINT_EVERY ||
	    zi_load_relaxed(&queue->shared->requeued) != 0)
		return true;
	/* relaxed: a private clock; two threads may both look */
	int64_t now = zi_now_coarse_ns();
	if (now - zi_load_relaxed(&queue->looked_ns) < ZI_NS_PER_MS)
		return false;
	zi_store_relaxed(&queue->looked_ns, now);
	return true;
}

/* Takes the first thing in [done, head) that nobody living has: 0 and *position, or -EAGAIN. */
static int redeliver(zipc_queue *queue, uint32_t me, uint64_t head, uint64_t *position)
{
	struct zi_queue *shared = queue->shared;
	if (!window_due(queue, head))
		return -EAGAIN;
	uint64_t done = zi_queue_window_start(queue, head), p = done;
	bool more = zi_load_relaxed(&shared->requeued) != 0;
	zi_store_relaxed(&shared->requeued, 0u); /* a requeue after this sets it again */
	int r = -EAGAIN;
	for (; p != head; p++) {
		int found = take_again(queue, me, p);
		if (found == -EALREADY && done == p)
			done = p + 1;
		if (found == 1 || (found < 0 && found != -EALREADY)) {
			r = found == 1 ? 0 : found;
			break;
		}
	}
	zi_queue_hint(&shared->done, done);
	if (r != 0)
		return r;
	count_delivery(queue, p);
	zi_add_relaxed(&shared->redelivered, 1u);
	if (more)
		zi_store_relaxed(&shared->requeued, 1u); /* there may be another */
	*position = p;
	return 0;
}

/* Is nothing of [done, head) in anybody's hands? */
static bool all_over(const zipc_queue *queue, uint64_t head)
{
	for (uint64_t p = zi_queue_window_start(queue, head); p != head; p++) {
		uint64_t w = zi_load_acquire(zi_queue_word(queue, p));
		if (zi_lap_difference(zi_slot_lap(w), zi_queue_lap(queue, p)) <= 0)
			return false;
	}
	return true;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Single producer: could it be between its look at shut_down and READY? See queue_push.c. */
static int producer_busy(zipc_queue *queue)
{
	struct zi_queue *shared = queue->shared;
	if ((queue->flags & ZIPC_QUEUE_SINGLE_PRODUCER) == 0)
		return 0;
	zi_gate_barrier_for_all(queue->segment);
	/* BUSY-R1 acquire: after the barrier; READY before 0. Pairs with BUSY-W1 and BUSY-W2. */
	if (zi_load_acquire(&shared->busy) == 0)
		return 0;
	int dead = zi_queue_role_dead(queue, &shared->producer);
	return dead < 0 ? dead : dead == 0;
}

int zi_queue_consider_end(zipc_queue *queue)
{
	/* SHUT-R2 seq_cst: before the head is looked at again. Pairs with SHUT-W1. */
	if (zi_likely(zi_load_seq_cst(&queue->shared->shut_down) == 0))
		return -EAGAIN;
	int busy = producer_busy(queue);
	return busy < 0 ? busy : busy == 1 ? -EAGAIN : 1;
}

int zi_queue_drained(const zipc_queue *queue, uint64_t head)
{
	uint64_t w = zi_load_seq_cst(zi_queue_word(queue, head));
	int64_t ahead = zi_lap_difference(zi_slot_lap(w), zi_queue_lap(queue, head));
	if (ahead > 0 || (ahead == 0 && zi_slot_state(w) != ZI_SLOT_FREE))
		return -EAGAIN;
	return !zi_queue_again(queue) || all_over(queue, head) ? -EPIPE : -EAGAIN;
}

/* Takes one element in the modes that take by CAS. */
static int take_or_end(zipc_queue *queue, uint32_t me, uint64_t *position, bool *named)
{
	bool again = zi_queue_again(queue);
	/* relaxed: a hint that is right soon enough */
	uint64_t head = zi_load_relaxed(&queue->shared->head);
	if (zi_unlikely(again) &&
	    (zi_load_relaxed(&queue->shared->requeued) != 0 || head % ZI_HINT_EVERY == 0)) {
		int r = redeliver(queue, me, head, position);
		if (r != -EAGAIN)
			return r;
	}
	for (int look = 0;; look++) {
		int r = take(queue, me, position, named);
		if (zi_likely(r != -EAGAIN))
			return r;
		head = *position;
		if (again) {
			r = redeliver(queue, me, head, position);
			if (r != -EAGAIN)
				return r;
		}
		if (look > 0)
			return zi_queue_drained(queue, head);
		r = zi_queue_consider_end(queue);
		if (r != 1)
			return r;
	}
}

/* Linearisation point of release: the slot can be claimed again. */
static void free_slot(zipc_queue *queue, uint64_t position)
{
	/* QUEUE-W2 release: we are done with the element. Pairs with QUEUE-R2. */
	zi_store_release(zi_queue_word(queue, position), zi_queue_over(queue, position));
}

/* Whoever took something and sees that the next one is ready too wakes another consumer. */
static void chain(zipc_queue *queue, uint64_t next)
{
	struct zi_queue *shared = queue->shared;
	if (!zi_gate_occupied(&shared->items_gate))
		return;
	if (zi_load_relaxed(&shared->shut_down) != 0) /* the last one gone is news for everybody */
		zi_gate_wake_all(&shared->items_gate);
	else if (zi_load_relaxed(zi_queue_word(queue, next)) ==
		 zi_queue_state(queue, next, 0, ZI_SLOT_READY))
		zi_gate_wake_one(&shared->items_gate);
}

/* Wakes a producer, and another consumer if more is there. */
static __attribute__((noinline, cold)) void wake_sleepers(zipc_queue *queue, uint64_t next)
{
	if (zi_gate_occupied(&queue->shared->space_gate))
		zi_gate_wake_one(&queue->shared->space_gate);
	chain(queue, next);
}

/* After a slot became free. */
static inline void wake_after_pop(zipc_queue *queue, uint64_t next)
{
	if (zi_unlikely(zi_queue_gates_occupied(queue)))
		wake_sleepers(queue, next);
}

static inline int pop_one_many(zipc_queue *queue, uint32_t me, void *out_element, bool *named)
{
	uint64_t p;
	int r = take_or_end(queue, me, &p, named);
	if (zi_unlikely(r < 0))
		return r;
	memcpy(out_element, zi_queue_element(queue, p), queue->element_size);
	free_slot(queue, p);
	wake_after_pop(queue, p + 1);
	return 1;
}

static int pop_many(zipc_queue *queue, uint32_t me, uint8_t *out_elements, size_t count,
		    bool *named)
{
	size_t n = 0;
	int r = 0;
	for (; n < count; n++, out_elements += queue->element_size) {
		r = pop_one_many(queue, me, out_elements, named);
		if (r < 0)
			break;
	}
	return n == 0 ? r : (int)n;
}

/* ---- one consumer ---------------------------------------------------------------------------- */

/* Makes sure that this handle is the consumer, and that queue->head is right. */
static int enter_single(zipc_queue *queue, uint32_t me)
{
	if (zi_likely(queue->consumer == me))
		return 0;
	int r = zi_queue_take_role(queue, &queue->shared->consumer, me, "consumer");
	if (r < 0)
		return r;
	queue->head = zi_queue_settle_head(queue, zi_load_relaxed(&queue->shared->head));
	queue->consumer = me;
	return 0;
}

static inline bool ready_at(const zipc_queue *queue, uint64_t position)
{
	/* QUEUE-R1 acquire, as in find_ready() */
	return zi_load_acquire(zi_queue_word(queue, position)) ==
	       zi_queue_state(queue, position, 0, ZI_SLOT_READY);
}

/* Makes sure that something is ready at queue->head: 0, -EAGAIN, -EPIPE, ... */
static int find_item_single(zipc_queue *queue, bool *named)
{
	uint64_t p = queue->head, seen;
	if (zi_likely(ready_at(queue, p)))
		return 0;
	for (int look = 0;; look++) {
		int r = find_ready(queue, &p, &seen, named);
		if (p != queue->head) { /* holes were skipped */
			queue->head = p;
			zi_queue_hint(&queue->shared->head, p);
		}
		if (r != -EAGAIN)
			return r;
		if (look > 0)
			return zi_queue_drained(queue, p);
		r = zi_queue_consider_end(queue);
		if (r != 1)
			return r;
	}
}

/* Moves the consumer on. */
static void advance_single(zipc_queue *queue, uint64_t to)
{
	uint64_t from = queue->head;
	queue->head = to;
	if ((from ^ to) >= ZI_HINT_EVERY)
		zi_queue_hint(&queue->shared->head, to);
}

/* Copies and frees up to `count` elements from `from` on; where it had to stop. */
static uint64_t read_run(zipc_queue *queue, uint64_t from, uint8_t *out_elements, size_t count)
{
	uint64_t p = from;
	for (; p - from < count && ready_at(queue, p); p++, out_elements += queue->element_size) {
		memcpy(out_elements, zi_queue_element(queue, p), queue->element_size);
		free_slot(queue, p); /* CRASH: the rest is READY still, for the next consumer */
	}
	return p;
}

static int pop_single(zipc_queue *queue, uint32_t me, uint8_t *out_elements, size_t count,
		      bool *named)
{
	int r = enter_single(queue, me);
	if (r == 0)
		r = find_item_single(queue, named);
	if (r < 0)
		return r;
	uint64_t from = queue->head;
	uint64_t to = read_run(queue, from, out_elements, count);
	advance_single(queue, to);
	for (uint64_t p = from; p != to && zi_queue_gates_occupied(queue); p++)
		wake_sleepers(queue, to);
	return (int)(to - from);
}

/* An acquisition lasts, so it is written down: TAKEN(me). */
static int acquire_single(zipc_queue *queue, uint32_t me, uint64_t *position, bool *named)
{
	int r = enter_single(queue, me);
	if (r == 0)
		r = find_item_single(queue, named);
	if (r < 0)
		return r;
	uint64_t p = queue->head;
	/* CRASH: TAKEN(p, me); dropped by zi_queue_heal_taken() */
	zi_store_release(zi_queue_word(queue, p), zi_queue_state(queue, p, me, ZI_SLOT_TAKEN));
	advance_single(queue, p + 1);
	*position = p;
	return 0;
}

/* ---- the calls ------------------------------------------------------------------------------- */

struct pop_request {
	zipc_queue *queue;
	uint32_t me;
	void *out_elements;
	size_t count;
	uint64_t position;
};

/* At-least-once with one consumer: the role is checked, the words decide. */
static int check_role(zipc_queue *queue, uint32_t me)
{
	return (queue->flags & ZIPC_QUEUE_SINGLE_CONSUMER) != 0 ? enter_single(queue, me) : 0;
}

static int attempt_pop(void *arg, bool *named)
{
	struct pop_request *r = arg;
	if (r->queue->lines != 0)
		return zi_lines_pop(r->queue, r->me, r->out_elements, r->count, named);
	return zi_queue_plain_consumer(r->queue)
		       ? pop_single(r->queue, r->me, r->out_elements, r->count, named)
		       : pop_many(r->queue, r->me, r->out_elements, r->count, named);
}

static int attempt_acquire(void *arg, bool *named)
{
	struct pop_request *r = arg;
	if (r->queue->lines != 0)
		return zi_lines_acquire(r->queue, r->me, &r->position, named);
	return zi_queue_plain_consumer(r->queue)
		       ? acquire_single(r->queue, r->me, &r->position, named)
		       : take_or_end(r->queue, r->me, &r->position, named);
}

static int wait_for_items(struct pop_request *request, zi_attempt attempt, int64_t timeout_ns)
{
	if (timeout_ns == ZIPC_NOWAIT)
		return -EAGAIN;
	return zi_gate_wait(request->queue->segment, &request->queue->shared->items_gate,
			    timeout_ns, attempt, request);
}

/* The id of this process, if it may consume at all. */
static inline int enter(zipc_queue *queue)
{
	int me = zi_structure_enter(&queue->object);
	if (zi_likely(me >= 0 && (queue->flags & ZIPC_QUEUE_AT_LEAST_ONCE) == 0))
		return me;
	int r = me < 0 ? me : check_role(queue, (uint32_t)me);
	return r < 0 ? r : me;
}

static __attribute__((noinline)) int pop_slowly(zipc_queue *queue, void *out_element,
						int64_t timeout_ns)
{
	int me = enter(queue);
	if (me < 0)
		return me;
	if (!has_role_or_window(queue) && zi_queue_fast(queue))
		zi_store_relaxed(&queue->fast_many_pop, (uint32_t)me);
	struct pop_request request = {queue, (uint32_t)me, out_element, 1, 0};
	bool named = false;
	int r = attempt_pop(&request, &named);
	if (r == -EAGAIN)
		r = wait_for_items(&request, attempt_pop, timeout_ns);
	return r < 0 ? r : 0;
}

/* ---- the fast paths: nothing out of the ordinary; see queue_push.c ----------------------------- */

static __attribute__((noinline, cold)) int wake_and_return(zipc_queue *queue, uint64_t next)
{
	wake_sleepers(queue, next);
	return 0;
}

static inline int pop_fast_many(zipc_queue *queue, uint32_t me, void *out_element,
				int64_t timeout_ns)
{
	struct zi_queue *shared = queue->shared;
	uint64_t p = zi_load_relaxed(&shared->head); /* as in take() */
	uint64_t *word = (uint64_t *)(void *)queue->slots + (p & queue->mask) * ZI_QUEUE_FAST_WORDS;
	uint64_t free = zi_queue_state(queue, p, 0, ZI_SLOT_FREE), w = free | ZI_SLOT_READY;
	if (zi_unlikely(zi_load_acquire(word) != w ||
			!zi_cas_acquire(word, &w, free | (uint64_t)me << 2 | ZI_SLOT_TAKEN)))
		return pop_slowly(queue, out_element, timeout_ns);
	memcpy(out_element, word + 1, 8);
	zi_store_release(word, free + ZI_SLOT_LAP); /* QUEUE-W2, as in free_slot() */
	/* relaxed: a hint; it came from here, so going back is rare and does no harm */
	zi_store_relaxed(&shared->head, p + 1);
	zi_compiler_barrier(); /* as zi_gate_order() where no fence is needed */
	if (zi_unlikely(zi_gates_occupied(&shared->gates)))
		return wake_and_return(queue, p + 1);
	return 0;
}

static inline int pop_line(zipc_queue *queue, struct zi_line_end *end, void *out_element)
{
	zi_line_get(end, out_element);
	zi_compiler_barrier(); /* as zi_gate_order() where no fence is needed */
	return zi_unlikely(zi_gate_occupied(&end->shared->space_gate)) ? zi_lines_popped(queue) : 0;
}

static __attribute__((noinline)) int pop_next_line(zipc_queue *queue, void *out_element,
						   int64_t timeout_ns)
{
	if (!zi_line_more(queue))
		return pop_slowly(queue, out_element, timeout_ns);
	return pop_line(queue, queue->out, out_element);
}

static __attribute__((noinline)) int pop_other(zipc_queue *queue, void *out_element,
					       int64_t timeout_ns)
{
	uint32_t me = zi_load_relaxed(&queue->self->id);
	if (zi_likely(me == zi_load_relaxed(&queue->fast_many_pop)))
		return pop_fast_many(queue, me, out_element, timeout_ns);
	if (me == queue->consumer && queue->fast_out != &zi_line_nothing)
		return pop_next_line(queue, out_element, timeout_ns);
	return pop_slowly(queue, out_element, timeout_ns);
}

int zipc_queue_pop(zipc_queue *queue, void *out_element, int64_t timeout_ns)
{
	struct zi_line_end *end = queue->fast_out;
	if (zi_likely(end->next != end->stop) || zi_line_more_here(end))
		return pop_line(queue, end, out_element);
	return pop_other(queue, out_element, timeout_ns);
}

int zipc_queue_pop_n(zipc_queue *queue, void *out_elements, size_t count, int64_t timeout_ns)
{
	int me = enter(queue);
	if (me < 0 || count == 0)
		return me < 0 ? me : 0;
	if (count > INT_MAX)
		count = INT_MAX;
	struct pop_request request = {queue, (uint32_t)me, out_elements, count, 0};
	bool named = false;
	int r = attempt_pop(&request, &named);
	return r == -EAGAIN ? wait_for_items(&request, attempt_pop, timeout_ns) : r;
}

int zipc_queue_acquire(zipc_queue *queue, int64_t timeout_ns, void **out_element,
		       uint64_t *out_ticket)
{
	int me = enter(queue);
	if (me < 0)
		return me;
	struct pop_request request = {queue, (uint32_t)me, NULL, 1, 0};
	bool named = false;
	int r = attempt_acquire(&request, &named);
	if (r == -EAGAIN)
		r = wait_for_items(&request, attempt_acquire, timeout_ns);
	if (r < 0)
		return r;
	if (queue->lines == 0)
		chain(queue, request.position + 1);
	*out_element = zi_queue_place(queue, request.position);
	*out_ticket = request.position;
	return 0;
}

/* Is this ticket an acquisition of this process? */
static int check_acquisition(zipc_queue *queue, uint64_t ticket)
{
	int me = zi_structure_enter(&queue->object);
	if (me < 0)
		return me;
	/* relaxed: our own store, or not ours */
	if (queue->lines != 0 ? zi_lines_acquired(queue, (uint32_t)me, ticket)
			      : zi_load_relaxed(zi_queue_word(queue, ticket)) ==
					zi_queue_state(queue, ticket, (uint32_t)me, ZI_SLOT_TAKEN))
		return 0;
	return zi_fail(-ESTALE, "queue '%s': %llu is not an acquisition of this process",
		       queue->object.view.name, (unsigned long long)ticket);
}

static int check_at_least_once(const zipc_queue *queue)
{
	if (zi_queue_again(queue))
		return 0;
	return zi_fail(-EOPNOTSUPP, "queue '%s' was not created with ZIPC_QUEUE_AT_LEAST_ONCE",
		       queue->object.view.name);
}

int zipc_queue_release(zipc_queue *queue, uint64_t ticket)
{
	int r = check_acquisition(queue, ticket);
	if (r < 0)
		return r;
	if (queue->lines != 0) {
		zi_lines_release(queue, ticket);
		return 0;
	}
	free_slot(queue, ticket);
	wake_after_pop(queue, ticket + 1);
	return 0;
}

int zipc_queue_requeue(zipc_queue *queue, uint64_t ticket)
{
	int r = check_at_least_once(queue);
	if (r == 0)
		r = check_acquisition(queue, ticket);
	if (r < 0)
		return r;
	/* QUEUE-W1 release: what the consumer scribbled on it. Pairs with QUEUE-R1. */
	zi_store_release(zi_queue_word(queue, ticket),
			 zi_queue_state(queue, ticket, 0, ZI_SLOT_READY));
	/* CRASH: without the hint the item is found by the next look into the window */
	zi_store_relaxed(&queue->shared->requeued, 1u);
	zi_gate_signal(queue->segment, &queue->shared->items_gate);
	return 0;
}

int zipc_queue_deliveries(zipc_queue *queue, uint64_t ticket)
{
	int r = check_at_least_once(queue);
	if (r == 0)
		r = check_acquisition(queue, ticket);
	return r < 0 ? r : (int)(zi_load_relaxed(zi_queue_deliveries(queue, ticket)) & INT_MAX);
}
