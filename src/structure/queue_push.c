/* SPDX-License-Identifier: MIT */
/*
 * Producers. Many: the slot word is claimed by CAS, filled, published by a store. One: the role
 * says that nobody else claims, so the element is written and published without a claim; only a
 * reservation, which lasts, writes CLAIMED.
 *
 * Shutting down. A producer looks at shut_down *after* something of it can be seen: its claim, or
 * in single mode `busy`. A consumer says "drained" only when it read shut_down, then (single mode)
 * passed a barrier for both sides and saw not busy, then found the true head FREE. So either the
 * producer sees shut_down and withdraws, or the consumer sees that something is under way and waits
 * for it.
 */
#include "queue.h"
#include "queue_lines.h"

#include "open.h"

#include <errno.h>
#include <limits.h>

#define WALK_MOST  16u	/* slots to walk before searching */
#define ROUND_MOST 256u /* searches before the words cannot be right, or others are just faster */

static inline bool single(const zipc_queue *queue)
{
	return (queue->flags & ZIPC_QUEUE_SINGLE_PRODUCER) != 0;
}

/* ---- finding a free slot --------------------------------------------------------------------- */

/*
 * The slot of position p is still in an earlier lap: full, unless its reader died. Returns -EAGAIN;
 * 1 = look again; or what asking for a life says.
 */
static int meet_old_lap(zipc_queue *queue, uint64_t *word, uint64_t seen, bool *named)
{
	if (zi_slot_state(seen) != ZI_SLOT_TAKEN)
		return -EAGAIN;
	int dead = zi_peer_dead(queue->segment, zi_slot_owner(seen));
	if (dead < 0)
		return dead;
	if (dead == 0) {
		*named = true;
		return -EAGAIN;
	}
	bool healed = zi_queue_heal_taken(queue, word, seen);
	if ((queue->flags & ZIPC_QUEUE_AT_LEAST_ONCE) == 0)
		return 1;
	if (healed) /* READY again: for a consumer, not for us */
		zi_gate_signal(queue->segment, &queue->shared->items_gate);
	return -EAGAIN;
}

/*
 * From a position below which all was claimed, the first one that can be claimed now: 0, *position
 * and *seen, its word. -EAGAIN = full.
 */
static int find_free(zipc_queue *queue, uint64_t *position, uint64_t *seen, bool *named)
{
	uint64_t p = *position;
	bool odd = false;
	for (uint32_t walked = 0, rounds = 0; rounds < ROUND_MOST; p++) {
		uint64_t *word = zi_queue_word(queue, p);
		/* QUEUE-R2 acquire: its last reader is done with the element. Pairs with QUEUE-W2.
		 */
		uint64_t w = zi_load_acquire(word);
		int64_t ahead = zi_lap_difference(zi_slot_lap(w), zi_queue_lap(queue, p));
		if (ahead == 0 && zi_slot_state(w) == ZI_SLOT_FREE) {
			*position = p;
			*seen = w;
			return 0;
		}
		if (ahead == -1 && zi_slot_state(w) != ZI_SLOT_FREE) {
			*position = p;
			int r = meet_old_lap(queue, word, w, named);
			if (r <= 0)
				return r;
			rounds++;
			p--; /* the same again */
		} else if (ahead < 0 || ++walked > WALK_MOST) {
			odd = ahead < 0;
			p = zi_queue_settle_tail(queue, p) - 1;
			walked = 0;
			rounds++;
		}
	}
	/* others were faster all the time; or no word fits the next */
	return odd ? zi_queue_damaged(queue) : -EAGAIN;
}

static void note_full(zipc_queue *queue)
{
	uint64_t capacity = queue->mask + 1;
	/* relaxed: for people */
	if (zi_load_relaxed(&queue->shared->high_water) < capacity)
		zi_store_relaxed(&queue->shared->high_water, capacity);
}

/* Every now and then: stores the hint of a single producer, and looks how full it is. */
static __attribute__((noinline, cold)) void note_progress(zipc_queue *queue, uint64_t tail)
{
	zi_queue_hint(&queue->shared->tail, tail);
	/* relaxed: for people */
	uint64_t size = tail - zi_load_relaxed(&queue->shared->head);
	if (size <= queue->mask + 1 && size > zi_load_relaxed(&queue->shared->high_water))
		zi_store_relaxed(&queue->shared->high_water, size);
}

static inline bool is_shut_down(const zipc_queue *queue)
{
	/* SHUT-R1 seq_cst: after the claim. Pairs with SHUT-W1. */
	return zi_load_seq_cst(&queue->shared->shut_down) != 0;
}

/* At-least-once: the slot is ours, and its element new. */
static inline void start_count(zipc_queue *queue, uint64_t position)
{
	if (zi_unlikely((queue->flags & ZIPC_QUEUE_AT_LEAST_ONCE) != 0))
		zi_store_relaxed(zi_queue_deliveries(queue, position), 0u);
}

/* ---- many producers -------------------------------------------------------------------------- */

/* Gives a claimed slot up: a hole that whoever stands at the head skips. */
static __attribute__((noinline, cold)) void give_up(zipc_queue *queue, uint64_t position)
{
	zi_store_release(zi_queue_word(queue, position),
			 zi_queue_state(queue, position, 0, ZI_SLOT_CLAIMED));
	/* a consumer may sleep behind it */
	zi_gate_signal(queue->segment, &queue->shared->items_gate);
}

/* Claims the next position: 0 and *position, which is CLAIMED(me); -EAGAIN, -EPIPE, ... */
static int claim(zipc_queue *queue, uint32_t me, uint64_t *position, bool *named)
{
	struct zi_queue *shared = queue->shared;
	/* relaxed: spares a claim that would be withdrawn; SHUT-R1 decides */
	if (zi_unlikely(zi_load_relaxed(&shared->shut_down) != 0))
		return -EPIPE;
	/* relaxed: a hint; the slot word under QUEUE-R2 decides */
	uint64_t p = zi_load_relaxed(&shared->tail);
	for (;;) {
		uint64_t *word = zi_queue_word(queue, p), w = zi_load_acquire(word);
		if (w != zi_queue_state(queue, p, 0, ZI_SLOT_FREE)) {
			int r = find_free(queue, &p, &w, named);
			if (r < 0) {
				if (r == -EAGAIN)
					note_full(queue);
				return r == -EAGAIN && is_shut_down(queue) ? -EPIPE : r;
			}
			word = zi_queue_word(queue, p);
		}
		/* seq_cst: the claim, before shut_down is read.
		 * CRASH: CLAIMED(p, me); the consumer that comes to it frees the slot. */
		if (zi_likely(zi_cas_seq_cst(word, &w,
					     zi_queue_state(queue, p, me, ZI_SLOT_CLAIMED))))
			break;
	}
	zi_queue_hint(&shared->tail, p + 1);
	if (p % ZI_HINT_EVERY == 0)
		note_progress(queue, p + 1);
	if (zi_unlikely(is_shut_down(queue))) {
		give_up(queue, p);
		return -EPIPE;
	}
	start_count(queue, p);
	*position = p;
	return 0;
}

/* Linearisation point of push: the element can be taken. */
static void publish(zipc_queue *queue, uint64_t position)
{
	/* QUEUE-W1 release: publishes the element. Pairs with QUEUE-R1.
	 * A plain store is enough: a living owner is never declared dead, so the word is ours. */
	zi_store_release(zi_queue_word(queue, position),
			 zi_queue_state(queue, position, 0, ZI_SLOT_READY));
}

static inline bool room_at(const zipc_queue *queue, uint64_t position)
{
	/* QUEUE-R2 acquire, as in find_free() */
	return zi_load_acquire(zi_queue_word(queue, position)) ==
	       zi_queue_state(queue, position, 0, ZI_SLOT_FREE);
}

/* Whoever took a slot and sees that the next one is free too wakes another producer. */
static void chain(zipc_queue *queue, uint64_t next)
{
	struct zi_queue *shared = queue->shared;
	if (zi_gate_occupied(&shared->space_gate) && room_at(queue, next))
		zi_gate_wake_one(&shared->space_gate);
}

/* Wakes a consumer, and another producer if room is left. */
static __attribute__((noinline, cold)) void wake_sleepers(zipc_queue *queue, uint64_t next)
{
	if (zi_gate_occupied(&queue->shared->items_gate))
		zi_gate_wake_one(&queue->shared->items_gate);
	chain(queue, next);
}

/* After publishing. */
static inline void wake_after_push(zipc_queue *queue, uint64_t next)
{
	if (zi_unlikely(zi_queue_gates_occupied(queue)))
		wake_sleepers(queue, next);
}

static inline int push_one_many(zipc_queue *queue, uint32_t me, const void *element, bool *named)
{
	uint64_t p;
	int r = claim(queue, me, &p, named);
	if (zi_unlikely(r < 0))
		return r;
	memcpy(zi_queue_element(queue, p), element, queue->element_size);
	publish(queue, p);
	wake_after_push(queue, p + 1);
	return 1;
}

static int push_many(zipc_queue *queue, uint32_t me, const uint8_t *elements, size_t count,
		     bool *named)
{
	size_t n = 0;
	int r = 0;
	for (; n < count; n++, elements += queue->element_size) {
		r = push_one_many(queue, me, elements, named);
		if (r < 0)
			break;
	}
	return n == 0 ? r : (int)n;
}

/* ---- one producer ---------------------------------------------------------------------------- */

/* Makes sure that this handle is the producer, and that queue->tail is right. */
static int enter_single(zipc_queue *queue, uint32_t me)
{
	if (zi_likely(queue->producer == me))
		return 0;
	int r = zi_queue_take_role(queue, &queue->shared->producer, me, "producer");
	if (r < 0)
		return r;
	/* what a dead producer left there; release as BUSY-W2 */
	zi_store_release(&queue->shared->busy, 0u);
	queue->tail = zi_queue_settle_tail(queue, zi_load_relaxed(&queue->shared->tail));
	queue->producer = me;
	return 0;
}

/* Tells consumers that something may be under way; false, and nothing is, when shut down. */
static inline bool begin_single(zipc_queue *queue)
{
	struct zi_queue *shared = queue->shared;
	/* BUSY-W1 relaxed: before shut_down is read, by the barrier here or by the one that the
	 * consumer makes this core pass. Pairs with BUSY-R1. CRASH: the role's owner is dead, so
	 * busy means nothing. */
	zi_store_relaxed(&shared->busy, 1u);
	zi_gate_order(queue->self);
	if (zi_likely(zi_load_relaxed(&shared->shut_down) == 0))
		return true;
	zi_store_release(&shared->busy, 0u);
	return false;
}

static inline void end_single(zipc_queue *queue)
{
	/* BUSY-W2 release: after READY. Pairs with BUSY-R1. */
	zi_store_release(&queue->shared->busy, 0u);
}

/* Makes sure that there is room at queue->tail: 0, -EAGAIN, -EPIPE, ... */
static int find_room_single(zipc_queue *queue, bool *named)
{
	uint64_t p = queue->tail, seen;
	if (zi_likely(room_at(queue, p)))
		return 0;
	int r = find_free(queue, &p, &seen, named);
	queue->tail = p;
	zi_queue_hint(&queue->shared->tail, p);
	if (r == -EAGAIN)
		note_full(queue);
	return r == -EAGAIN && is_shut_down(queue) ? -EPIPE : r;
}

/* Moves the producer on. */
static void advance_single(zipc_queue *queue, uint64_t to)
{
	uint64_t from = queue->tail;
	queue->tail = to;
	if ((from ^ to) >= ZI_HINT_EVERY)
		note_progress(queue, to);
}

/* Writes and publishes up to `count` elements from `from` on; where it had to stop. */
static uint64_t write_run(zipc_queue *queue, uint64_t from, const uint8_t *elements, size_t count)
{
	uint64_t p = from;
	for (; p - from < count && room_at(queue, p); p++, elements += queue->element_size) {
		memcpy(zi_queue_element(queue, p), elements, queue->element_size);
		start_count(queue, p);
		publish(queue, p); /* CRASH: a prefix of the run is there */
	}
	return p;
}

static int push_single(zipc_queue *queue, uint32_t me, const uint8_t *elements, size_t count,
		       bool *named)
{
	int r = enter_single(queue, me);
	if (r == 0)
		r = find_room_single(queue, named);
	if (r < 0)
		return r;
	if (!begin_single(queue))
		return -EPIPE;
	uint64_t from = queue->tail;
	uint64_t to = write_run(queue, from, elements, count);
	end_single(queue);
	advance_single(queue, to);
	for (uint64_t p = from; p != to && zi_queue_gates_occupied(queue); p++)
		wake_sleepers(queue, to);
	return (int)(to - from);
}

/* A reservation lasts, so it is written down: CLAIMED(me). */
static int reserve_single(zipc_queue *queue, uint32_t me, uint64_t *position, bool *named)
{
	int r = enter_single(queue, me);
	if (r == 0)
		r = find_room_single(queue, named);
	if (r < 0)
		return r;
	if (!begin_single(queue))
		return -EPIPE;
	uint64_t p = queue->tail;
	/* CRASH: CLAIMED(p, me); the consumer that comes to it frees the slot */
	zi_store_release(zi_queue_word(queue, p), zi_queue_state(queue, p, me, ZI_SLOT_CLAIMED));
	end_single(queue);
	start_count(queue, p);
	advance_single(queue, p + 1);
	*position = p;
	return 0;
}

/* ---- the calls ------------------------------------------------------------------------------- */

struct push_request {
	zipc_queue *queue;
	uint32_t me;
	const void *elements;
	size_t count;
	uint64_t position;
};

static int attempt_push(void *arg, bool *named)
{
	struct push_request *r = arg;
	if (r->queue->lines != 0)
		return zi_lines_push(r->queue, r->me, r->elements, r->count, named);
	return single(r->queue) ? push_single(r->queue, r->me, r->elements, r->count, named)
				: push_many(r->queue, r->me, r->elements, r->count, named);
}

static int attempt_reserve(void *arg, bool *named)
{
	struct push_request *r = arg;
	if (r->queue->lines != 0)
		return zi_lines_reserve(r->queue, r->me, &r->position, named);
	return single(r->queue) ? reserve_single(r->queue, r->me, &r->position, named)
				: claim(r->queue, r->me, &r->position, named);
}

static int wait_for_space(struct push_request *request, zi_attempt attempt, int64_t timeout_ns)
{
	if (timeout_ns == ZIPC_NOWAIT)
		return -EAGAIN;
	return zi_gate_wait(request->queue->segment, &request->queue->shared->space_gate,
			    timeout_ns, attempt, request);
}

static __attribute__((noinline)) int push_slowly(zipc_queue *queue, const void *element,
						 int64_t timeout_ns)
{
	int me = zi_structure_enter(&queue->object);
	if (me < 0)
		return me;
	struct push_request request = {queue, (uint32_t)me, element, 1, 0};
	bool named = false;
	int r = attempt_push(&request, &named);
	if (r == -EAGAIN)
		r = wait_for_space(&request, attempt_push, timeout_ns);
	if (r > 0 && !single(queue) && zi_queue_fast(queue))
		zi_store_relaxed(&queue->fast_many_push, (uint32_t)me);
	return r < 0 ? r : 0;
}

/* ---- the fast paths: nothing out of the ordinary -----------------------------------------------
 *
 * The same protocols, laid out so that no register has to be saved: whatever is not usual ends in a
 * call of its own. Many: elements of 8 bytes.
 */

static __attribute__((noinline, cold)) int wake_and_return(zipc_queue *queue, uint64_t next)
{
	wake_sleepers(queue, next);
	return 0;
}

/* From now on shut_down is looked at before the claim, so that one hole is all. */
static __attribute__((noinline, cold)) int withdraw(zipc_queue *queue, uint64_t position)
{
	zi_store_relaxed(&queue->fast_many_push, ZI_QUEUE_NO_ID);
	give_up(queue, position);
	return -EPIPE;
}

static inline int push_fast_many(zipc_queue *queue, uint32_t me, const void *element,
				 int64_t timeout_ns)
{
	struct zi_queue *shared = queue->shared;
	uint64_t p = zi_load_relaxed(&shared->tail); /* as in claim() */
	uint64_t *word = (uint64_t *)(void *)queue->slots + (p & queue->mask) * ZI_QUEUE_FAST_WORDS;
	uint64_t free = zi_queue_state(queue, p, 0, ZI_SLOT_FREE), w = free;
	if (zi_unlikely(zi_load_acquire(word) != free ||
			!zi_cas_seq_cst(word, &w, free | (uint64_t)me << 2 | ZI_SLOT_CLAIMED)))
		return push_slowly(queue, element, timeout_ns);
	if (zi_unlikely(is_shut_down(queue)))
		return withdraw(queue, p);
	memcpy(word + 1, element, 8);
	zi_store_release(word, free | ZI_SLOT_READY); /* QUEUE-W1, as in publish() */
	/* relaxed: a hint; it came from here, so going back is rare and does no harm */
	zi_store_relaxed(&shared->tail, p + 1);
	if (zi_unlikely(p % ZI_HINT_EVERY == 0))
		note_progress(queue, p + 1);
	zi_compiler_barrier(); /* as zi_gate_order() where no fence is needed */
	if (zi_unlikely(zi_gates_occupied(&shared->gates)))
		return wake_and_return(queue, p + 1);
	return 0;
}

static __attribute__((noinline, cold)) int end_push(zipc_queue *queue)
{
	return zi_lines_pushed(queue, 1) == 1 ? 0 : -EPIPE;
}

static inline int push_line(zipc_queue *queue, struct zi_line_end *end, const void *element)
{
	zi_line_put(end, element);
	zi_compiler_barrier(); /* as zi_gate_order() where no fence is needed */
	if (zi_unlikely(zi_line_news(end->shared)))
		return end_push(queue);
	return 0;
}

static __attribute__((noinline)) int push_next_line(zipc_queue *queue, const void *element,
						    int64_t timeout_ns)
{
	if (zi_load_relaxed(&queue->shared->shut_down) != 0 || !zi_line_room(queue))
		return push_slowly(queue, element, timeout_ns);
	return push_line(queue, queue->in, element);
}

static __attribute__((noinline)) int push_other(zipc_queue *queue, const void *element,
						int64_t timeout_ns)
{
	uint32_t me = zi_load_relaxed(&queue->self->id);
	if (zi_likely(me == zi_load_relaxed(&queue->fast_many_push)))
		return push_fast_many(queue, me, element, timeout_ns);
	if (me == queue->producer && queue->fast_in != &zi_line_nothing)
		return push_next_line(queue, element, timeout_ns);
	return push_slowly(queue, element, timeout_ns);
}

int zipc_queue_push(zipc_queue *queue, const void *element, int64_t timeout_ns)
{
	struct zi_line_end *end = queue->fast_in;
	/* relaxed: spares a push that would be taken back; LINES-R3 decides */
	if (zi_likely(end->next != end->stop && zi_load_relaxed(&end->shared->shut_down) == 0))
		return push_line(queue, end, element);
	return push_other(queue, element, timeout_ns);
}

int zipc_queue_push_n(zipc_queue *queue, const void *elements, size_t count, int64_t timeout_ns)
{
	int me = zi_structure_enter(&queue->object);
	if (me < 0 || count == 0)
		return me < 0 ? me : 0;
	if (count > INT_MAX)
		count = INT_MAX;
	struct push_request request = {queue, (uint32_t)me, elements, count, 0};
	bool named = false;
	int r = attempt_push(&request, &named);
	return r == -EAGAIN ? wait_for_space(&request, attempt_push, timeout_ns) : r;
}

int zipc_queue_reserve(zipc_queue *queue, int64_t timeout_ns, void **out_element,
		       uint64_t *out_ticket)
{
	int me = zi_structure_enter(&queue->object);
	if (me < 0)
		return me;
	struct push_request request = {queue, (uint32_t)me, NULL, 1, 0};
	bool named = false;
	int r = attempt_reserve(&request, &named);
	if (r == -EAGAIN)
		r = wait_for_space(&request, attempt_reserve, timeout_ns);
	if (r < 0)
		return r;
	if (queue->lines == 0)
		chain(queue, request.position + 1);
	*out_element = zi_queue_place(queue, request.position);
	*out_ticket = request.position;
	return 0;
}

/* Is this ticket a reservation of this process? */
static int check_reservation(zipc_queue *queue, uint64_t ticket)
{
	int me = zi_structure_enter(&queue->object);
	if (me < 0)
		return me;
	/* relaxed: our own store, or not ours */
	if (queue->lines != 0
		    ? zi_lines_reserved(queue, (uint32_t)me, ticket)
		    : zi_load_relaxed(zi_queue_word(queue, ticket)) ==
			      zi_queue_state(queue, ticket, (uint32_t)me, ZI_SLOT_CLAIMED))
		return 0;
	return zi_fail(-ESTALE, "queue '%s': %llu is not a reservation of this process",
		       queue->object.view.name, (unsigned long long)ticket);
}

int zipc_queue_commit(zipc_queue *queue, uint64_t ticket)
{
	int r = check_reservation(queue, ticket);
	if (r < 0)
		return r;
	if (queue->lines != 0) {
		zi_lines_finish(queue, ticket, 0);
		return 0;
	}
	publish(queue, ticket);
	wake_after_push(queue, ticket + 1);
	return 0;
}

int zipc_queue_abort(zipc_queue *queue, uint64_t ticket)
{
	int r = check_reservation(queue, ticket);
	if (r == 0 && queue->lines != 0)
		zi_lines_finish(queue, ticket, 1);
	else if (r == 0)
		give_up(queue, ticket);
	return r;
}
