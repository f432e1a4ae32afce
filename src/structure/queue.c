/* SPDX-License-Identifier: MIT */
/* Queue: lifecycle, roles, hints, numbers, care. Producers and consumers have files of their own.
 */
#include "queue.h"
#include "queue_lines.h"

#include "open.h"

#include "../base/checked.h"
#include "../base/options.h"

#include <errno.h>

#define INLINE_ALIGNMENT_MAX  8u
#define DEFAULT_ALIGNMENT_MAX 64u
#define ALIGNMENT_MAX	      4096u
#define BOTH_SINGLE	      (ZIPC_QUEUE_SINGLE_PRODUCER | ZIPC_QUEUE_SINGLE_CONSUMER)
#define KNOWN_FLAGS                                                                                \
	(ZIPC_QUEUE_SINGLE_PRODUCER | ZIPC_QUEUE_SINGLE_CONSUMER | ZIPC_QUEUE_AT_LEAST_ONCE)

/* ---- geometry ------------------------------------------------------------------------------- */

static bool lies_apart(uint64_t element_size, uint32_t alignment, uint32_t flags)
{
	return element_size >= ZI_QUEUE_APART_SIZE || alignment > INLINE_ALIGNMENT_MAX ||
	       (flags & ZIPC_QUEUE_AT_LEAST_ONCE) != 0;
}

/* Room for the capacity, one line for a start in the middle, and some to keep the ends apart. */
static void line_geometry(uint64_t stride, uint64_t capacity, struct zi_queue_geometry *out)
{
	uint64_t n = (ZI_QUEUE_LINE - sizeof(uint64_t)) / stride;
	n = n < ZI_QUEUE_LINE_MOST ? n : ZI_QUEUE_LINE_MOST;
	uint64_t least = (capacity + n - 1) / n;
	out->per_line = (uint32_t)n;
	out->lines = least + 1 + (least < ZI_QUEUE_LINES_APART ? least : ZI_QUEUE_LINES_APART);
	out->slot_stride = ZI_QUEUE_LINE;
	out->elements = out->slots + sizeof(uint64_t);
	out->element_stride = stride;
	out->size = out->slots + out->lines * ZI_QUEUE_LINE;
}

bool zi_queue_geometry(uint64_t element_size, uint64_t capacity, uint32_t alignment, uint32_t flags,
		       struct zi_queue_geometry *out)
{
	if (element_size == 0 || element_size > ZIPC_QUEUE_ELEMENT_MAX ||
	    !zi_is_power_of_two(capacity) || capacity > ZIPC_QUEUE_CAPACITY_MAX ||
	    !zi_is_power_of_two(alignment) || alignment > ALIGNMENT_MAX)
		return false;
	out->shift = (uint32_t)__builtin_ctzll(capacity);
	out->slots = sizeof(struct zi_queue);
	out->lines = out->per_line = 0;
	if (!lies_apart(element_size, alignment, flags) && (flags & BOTH_SINGLE) == BOTH_SINGLE) {
		line_geometry(zi_align_up(element_size, alignment), capacity, out);
		return true;
	}
	if (!lies_apart(element_size, alignment, flags)) {
		out->slot_stride = zi_align_up(sizeof(uint64_t) + element_size, sizeof(uint64_t));
		out->elements = out->slots + sizeof(uint64_t);
		out->element_stride = out->slot_stride;
		out->size = out->slots + capacity * out->slot_stride;
		return true;
	}
	uint64_t base = alignment > ZI_LINE ? alignment : ZI_LINE;
	out->slot_stride = ZI_QUEUE_APART_STRIDE;
	out->element_stride = zi_align_up(element_size, alignment);
	out->elements = zi_align_up(out->slots + capacity * out->slot_stride, base);
	out->size = out->elements + capacity * out->element_stride;
	return true;
}

static bool view_geometry(const struct zi_view *view, struct zi_queue_geometry *g)
{
	return zi_queue_geometry(view->element_size, view->capacity, view->alignment, view->flags,
				 g) &&
	       g->size <= view->size;
}

int zi_queue_bind(zipc_queue *queue, zipc_segment *segment)
{
	const struct zi_view *view = &queue->object.view;
	struct zi_queue_geometry g;
	queue->segment = segment;
	queue->self = segment->self;
	queue->fast_in = queue->fast_out = &zi_line_nothing;
	queue->producer = ZI_QUEUE_NO_ID;
	queue->consumer = ZI_QUEUE_NO_ID;
	queue->fast_many_push = queue->fast_many_pop = ZI_QUEUE_NO_ID;
	if ((view->flags & ~KNOWN_FLAGS) != 0)
		return zi_fail(-EPROTONOSUPPORT,
			       "queue '%s' has the flags %#x, unknown to this library", view->name,
			       view->flags);
	if (!view_geometry(view, &g))
		return zi_fail(-EBADMSG, "queue '%s': its sizes do not fit its memory", view->name);
	queue->shared = (struct zi_queue *)(void *)view->memory;
	queue->slots = view->memory + g.slots;
	queue->elements = view->memory + g.elements;
	queue->slot_stride = (uint32_t)g.slot_stride;
	queue->element_stride = (uint32_t)g.element_stride;
	queue->element_size = (uint32_t)view->element_size;
	queue->lines = g.lines;
	queue->per_line = g.per_line;
	queue->mask = view->capacity - 1;
	queue->shift = g.shift;
	queue->flags = view->flags;
	return 0;
}

int zi_queue_damaged(const zipc_queue *queue)
{
	return zi_fail(-EBADMSG, "queue '%s' is damaged: its slots are of laps that cannot be",
		       queue->object.view.name);
}

/* ---- hints ---------------------------------------------------------------------------------- */

/* Was this position claimed (tail) or taken (head) ever? Once true it stays so. */
static bool passed(const zipc_queue *queue, uint64_t position, enum zi_slot_state least)
{
	/* relaxed: the settled position is looked at again with acquire before it is used */
	uint64_t w = zi_load_relaxed(zi_queue_word(queue, position));
	int64_t ahead = zi_lap_difference(zi_slot_lap(w), zi_queue_lap(queue, position));
	return ahead > 0 || (ahead == 0 && zi_slot_state(w) >= least);
}

/*
 * Positions are claimed and taken in order, so each slot's lap tells on which side of the boundary
 * its position lies. The slot under the hint gives a bracket of one capacity, bisected then.
 * (In at-least-once mode, from a very old hint, this may find a requeued item below the head; that
 * will do too, for it can be taken.)
 */
static uint64_t settle(const zipc_queue *queue, uint64_t hint, enum zi_slot_state least)
{
	uint64_t capacity = queue->mask + 1;
	uint64_t w = zi_load_relaxed(zi_queue_word(queue, hint));
	int64_t ahead = zi_lap_difference(zi_slot_lap(w), zi_queue_lap(queue, hint));
	uint64_t high = hint + ((uint64_t)ahead << queue->shift);
	if (zi_slot_state(w) >= least)
		high += capacity;
	uint64_t low = high - capacity; /* passed; high is not */
	/* requeued items lie below the head as if not taken: do not go below what was the head once
	 */
	if ((queue->flags & ZIPC_QUEUE_AT_LEAST_ONCE) != 0 && (int64_t)(hint - 1 - low) > 0 &&
	    (int64_t)(high - hint) >= 0)
		low = hint - 1;
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		if (passed(queue, middle, least))
			low = middle;
		else
			high = middle;
	}
	return high;
}

uint64_t zi_queue_settle_tail(const zipc_queue *queue, uint64_t hint)
{
	return settle(queue, hint, ZI_SLOT_CLAIMED);
}

uint64_t zi_queue_settle_head(const zipc_queue *queue, uint64_t hint)
{
	return settle(queue, hint, ZI_SLOT_TAKEN);
}

/* ---- roles ---------------------------------------------------------------------------------- */

static uint64_t role_word(const zipc_queue *queue, uint32_t id)
{
	return queue->nonce << ZI_ID_BITS | id;
}

int zi_queue_role_dead(const zipc_queue *queue, const uint64_t *role)
{
	uint32_t owner = (uint32_t)zi_load_acquire(role) & ZI_ID_MASK;
	return owner == 0 ? 1 : zi_peer_dead(queue->segment, owner);
}

int zi_queue_take_role(zipc_queue *queue, uint64_t *role, uint32_t me, const char *what)
{
	/* ROLE-R1 acquire: the last holder's hint. Pairs with ROLE-W1. */
	uint64_t seen = zi_load_acquire(role);
	for (;;) {
		uint32_t owner = (uint32_t)seen & ZI_ID_MASK;
		if (seen == role_word(queue, me))
			return 0;
		int dead = owner == 0 ? 1 : zi_peer_dead(queue->segment, owner);
		if (dead < 0)
			return dead;
		if (dead == 0)
			return zi_fail(-EBUSY, "queue '%s': process %u is its single %s",
				       queue->object.view.name, zi_peer_pid(queue->segment, owner),
				       what);
		/* CRASH: the role names us; the next comer takes it over */
		if (zi_cas_acq_rel(role, &seen, role_word(queue, me)))
			return 0;
	}
}

void zi_queue_drop_role(zipc_queue *queue, uint64_t *role, uint32_t id)
{
	uint64_t mine = role_word(queue, id);
	/* ROLE-W1 release: our hint. Pairs with ROLE-R1. */
	zi_cas_acq_rel(role, &mine, UINT64_C(0));
}

/* ---- lifecycle ------------------------------------------------------------------------------ */

/* The largest that divides the size; small elements stay in their slots. */
static uint32_t default_alignment(uint64_t element_size)
{
	uint64_t largest = element_size & -element_size;
	uint64_t most =
		element_size < ZI_QUEUE_APART_SIZE ? INLINE_ALIGNMENT_MAX : DEFAULT_ALIGNMENT_MAX;
	return (uint32_t)(largest < most ? largest : most);
}

static int load_spec(const char *name, uint64_t element_size, const zipc_queue_options *options,
		     struct zi_spec *spec)
{
	zipc_queue_options o;
	int r = zi_options_load(&o, sizeof o, options, "queue options");
	if (r < 0)
		return r;
	const char *n = name != NULL ? name : "";
	if ((o.flags & ~KNOWN_FLAGS) != 0 || o.reserved != 0)
		return zi_fail(-EINVAL, "queue '%s': unknown flags %#x", n, o.flags);
	if (o.alignment != 0 && (!zi_is_power_of_two(o.alignment) || o.alignment > ALIGNMENT_MAX))
		return zi_fail(-EINVAL, "queue '%s': alignment %u is not a power of two up to %u",
			       n, o.alignment, ALIGNMENT_MAX);
	*spec = (struct zi_spec){
		.name = name,
		.type = ZIPC_TYPE_QUEUE,
		.flags = o.flags,
		.element_size = element_size,
		.alignment = o.alignment,
		.schema = o.schema,
	};
	return 0;
}

static int size_memory(struct zi_spec *spec, uint64_t capacity)
{
	const char *n = spec->name != NULL ? spec->name : "";
	if (spec->element_size == 0 || spec->element_size > ZIPC_QUEUE_ELEMENT_MAX)
		return zi_fail(-EINVAL, "queue '%s': element size is %llu, allowed are 1 to %llu",
			       n, (unsigned long long)spec->element_size,
			       (unsigned long long)ZIPC_QUEUE_ELEMENT_MAX);
	if (capacity == 0 || capacity > ZIPC_QUEUE_CAPACITY_MAX)
		return zi_fail(-EINVAL, "queue '%s': capacity is %llu, allowed are 1 to %llu", n,
			       (unsigned long long)capacity,
			       (unsigned long long)ZIPC_QUEUE_CAPACITY_MAX);
	spec->capacity = UINT64_C(1) << zi_log2_ceil(capacity);
	if (spec->alignment == 0)
		spec->alignment = default_alignment(spec->element_size);
	struct zi_queue_geometry g;
	zi_queue_geometry(spec->element_size, spec->capacity, spec->alignment, spec->flags, &g);
	spec->size = g.size;
	spec->block_alignment = spec->alignment > ZI_LINE ? spec->alignment : ZI_LINE;
	return 0;
}

static zipc_queue *new_handle(void)
{
	static uint64_t last_nonce;
	zipc_queue *queue = zi_structure_new(sizeof *queue, "queue");
	if (queue != NULL)
		/* relaxed: only has to differ from those of this process's other handles */
		queue->nonce = (zi_add_relaxed(&last_nonce, 1u) + 1) & ((UINT64_C(1) << 40) - 1);
	return queue;
}

int zipc_queue_create(zipc_segment *segment, const char *name, uint64_t element_size,
		      uint64_t capacity, const zipc_queue_options *options, zipc_queue **out_queue)
{
	struct zi_spec spec;
	int r = load_spec(name, element_size, options, &spec);
	if (r == 0)
		r = size_memory(&spec, capacity);
	if (r < 0)
		return r;
	zipc_queue *queue = new_handle();
	if (queue == NULL)
		return -ENOMEM;
	r = zi_object_create(segment, &spec, &queue->object);
	if (r < 0) {
		free(queue);
		return r;
	}
	zi_queue_bind(queue, segment);
	r = zi_lines_bind(queue);
	if (r < 0) {
		zi_object_abandon(&queue->object);
		free(queue);
		return r;
	}
	zi_object_publish(&queue->object);
	*out_queue = queue;
	return 0;
}

int zipc_queue_open(zipc_segment *segment, const char *name, uint64_t element_size,
		    const zipc_queue_options *options, zipc_queue **out_queue)
{
	struct zi_spec spec;
	int r = load_spec(name, element_size, options, &spec);
	if (r < 0)
		return r;
	zipc_queue *queue = new_handle();
	if (queue == NULL)
		return -ENOMEM;
	r = zi_object_open(segment, &spec, &queue->object);
	if (r < 0) {
		free(queue);
		return r;
	}
	r = zi_queue_bind(queue, segment);
	if (r == 0)
		r = zi_lines_bind(queue);
	if (r < 0)
		zipc_queue_close(queue);
	else
		*out_queue = queue;
	return r;
}

int zipc_queue_open_or_create(zipc_segment *segment, const char *name, uint64_t element_size,
			      uint64_t capacity, const zipc_queue_options *options,
			      zipc_queue **out_queue)
{
	for (int i = 0; i < ZI_CREATE_MOST; i++) {
		int r = zipc_queue_open(segment, name, element_size, options, out_queue);
		if (r != -ENOENT)
			return r;
		r = zipc_queue_create(segment, name, element_size, capacity, options, out_queue);
		r = zi_structure_created(segment, name, r);
		if (r != -EAGAIN)
			return r;
	}
	return zi_structure_undecided(name, "queue");
}

/* A forked child's handle says what its parent was. */
static void leave_roles(zipc_queue *queue)
{
	uint32_t me = zi_self_id(queue->segment);
	if (queue->producer == me) {
		if (queue->lines == 0)
			zi_queue_hint(&queue->shared->tail, queue->tail);
		zi_queue_drop_role(queue, &queue->shared->producer, me);
	}
	if (queue->consumer == me) {
		if (queue->lines == 0)
			zi_queue_hint(&queue->shared->head, queue->head);
		else
			zi_lines_drop_held(queue, zi_load_relaxed(&queue->shared->held));
		zi_queue_drop_role(queue, &queue->shared->consumer, me);
	}
}

void zipc_queue_close(zipc_queue *queue)
{
	if (queue == NULL)
		return;
	leave_roles(queue);
	zi_lines_unbind(queue);
	zi_object_close(&queue->object);
	free(queue);
}

int zipc_queue_remove(zipc_segment *segment, const char *name)
{
	return zi_directory_remove(segment, name, ZIPC_TYPE_QUEUE);
}

int zipc_queue_shutdown(zipc_queue *queue)
{
	int me = zi_structure_enter(&queue->object);
	if (me < 0)
		return me;
	/* SHUT-W1 seq_cst: producers see it after their claim, or their claim is seen by whoever
	 * saw this. Pairs with SHUT-R1, SHUT-R2 and LINES-R3. CRASH: shut down, the sleepers learn it at the
	 * end of their slices. */
	zi_store_seq_cst(&queue->shared->shut_down, 1u);
	zi_gate_wake_all(&queue->shared->items_gate);
	zi_gate_wake_all(&queue->shared->space_gate);
	return 0;
}

/* ---- numbers -------------------------------------------------------------------------------- */

uint64_t zipc_queue_capacity(const zipc_queue *queue)
{
	return queue->mask + 1;
}

uint64_t zipc_queue_element_size(const zipc_queue *queue)
{
	return queue->element_size;
}

uint32_t zipc_queue_flags(const zipc_queue *queue)
{
	return queue->flags;
}

/* At-least-once: counts of [done, head). */
struct window {
	uint64_t waiting; /* READY: requeued, or given back by gc */
	uint64_t taken;
};

static struct window look_through_window(const zipc_queue *queue, uint64_t head)
{
	struct window n = {0, 0};
	if ((queue->flags & ZIPC_QUEUE_AT_LEAST_ONCE) == 0)
		return n;
	for (uint64_t p = zi_queue_window_start(queue, head); p != head; p++) {
		uint64_t w = zi_load_relaxed(zi_queue_word(queue, p));
		if (zi_lap_difference(zi_slot_lap(w), zi_queue_lap(queue, p)) != 0)
			continue;
		n.waiting += zi_slot_state(w) == ZI_SLOT_READY;
		n.taken += zi_slot_state(w) == ZI_SLOT_TAKEN;
	}
	return n;
}

struct numbers {
	uint64_t head;
	uint64_t tail;
	uint64_t
		size; /* what can be popped; never more than the capacity, whatever the words say */
	uint64_t taken; /* at-least-once: acquired and not released */
};

static struct numbers count_lines(zipc_queue *queue)
{
	struct zi_queue *shared = queue->shared;
	struct numbers n = {.head = zi_load_acquire(&shared->head)};
	n.tail = zi_load_acquire(&shared->ended) == ZI_END_DRAINED ? n.head : zi_lines_tail(queue);
	uint64_t ahead = (int64_t)(n.tail - n.head) < 0 ? 0 : n.tail - n.head;
	n.size = ahead < queue->mask + 1 ? ahead : queue->mask + 1;
	return n;
}

static struct numbers count(zipc_queue *queue)
{
	struct zi_queue *shared = queue->shared;
	struct numbers n;
	if (queue->lines != 0)
		return count_lines(queue);
	/* the head first: then the tail cannot be behind it but by its own staleness */
	n.head = zi_queue_settle_head(queue, zi_load_relaxed(&shared->head));
	n.tail = zi_queue_settle_tail(queue, zi_load_relaxed(&shared->tail));
	if (queue->object.id == zi_self_id(queue->segment)) { /* we hold it open: not freed */
		zi_queue_hint(&shared->head, n.head);
		zi_queue_hint(&shared->tail, n.tail);
	}
	struct window window = look_through_window(queue, n.head);
	uint64_t ahead = (int64_t)(n.tail - n.head) < 0 ? 0 : n.tail - n.head;
	uint64_t capacity = queue->mask + 1;
	n.taken = window.taken;
	n.size = ahead < capacity - window.waiting ? ahead + window.waiting : capacity;
	return n;
}

uint64_t zipc_queue_size(zipc_queue *queue)
{
	return count(queue).size;
}

bool zipc_queue_is_empty(zipc_queue *queue)
{
	return zipc_queue_size(queue) == 0;
}

bool zipc_queue_is_full(zipc_queue *queue)
{
	/* what is taken and not released leaves no room either */
	if (queue->lines != 0)
		return zi_lines_full(queue);
	uint64_t tail = zi_queue_settle_tail(queue, zi_load_relaxed(&queue->shared->tail));
	return zi_load_relaxed(zi_queue_word(queue, tail)) !=
	       zi_queue_state(queue, tail, 0, ZI_SLOT_FREE);
}

static uint32_t role_pid(const zipc_queue *queue, const uint64_t *role)
{
	uint32_t id = (uint32_t)zi_load_relaxed(role) & ZI_ID_MASK;
	return id == 0 ? 0 : zi_peer_pid(queue->segment, id);
}

int zipc_queue_get_stats(zipc_queue *queue, zipc_queue_stats *out_stats)
{
	struct zi_queue *shared = queue->shared;
	struct numbers n = count(queue);
	uint64_t high_water = zi_load_relaxed(&shared->high_water);
	zipc_queue_stats stats = {
		.shut_down = zi_load_relaxed(&shared->shut_down) != 0,
		.pushed = n.tail,
		.popped = n.head,
		.size = n.size,
		.outstanding = n.taken,
		.high_water = high_water > n.size ? high_water : n.size,
		.dropped = zi_load_relaxed(&shared->dropped),
		.redelivered = zi_load_relaxed(&shared->redelivered),
		.producer_pid = role_pid(queue, &shared->producer),
		.consumer_pid = role_pid(queue, &shared->consumer),
	};
	return zi_result_store(out_stats, &stats, sizeof stats, "zipc_queue_stats");
}

/* ---- care ----------------------------------------------------------------------------------- */

bool zi_queue_heal_taken(zipc_queue *queue, uint64_t *word, uint64_t seen)
{
	struct zi_queue *shared = queue->shared;
	bool again = (queue->flags & ZIPC_QUEUE_AT_LEAST_ONCE) != 0;
	uint64_t lap = zi_slot_lap(seen);
	uint64_t healed = again ? zi_slot_make(lap, 0, ZI_SLOT_READY)
				: zi_slot_make(lap + 1, 0, ZI_SLOT_FREE);
	/* CRASH: TAKEN or healed; one CAS, so it happens once */
	if (!zi_cas_acq_rel(word, &seen, healed))
		return false;
	if (again)
		zi_store_relaxed(&shared->requeued, 1u);
	else
		zi_add_relaxed(&shared->dropped, 1u);
	return true;
}

/* A dead producer's claim becomes a hole: it names nobody any more, and waits to be skipped. */
static bool heal_claimed(uint64_t *word, uint64_t seen)
{
	uint64_t hole = zi_slot_make(zi_slot_lap(seen), 0, ZI_SLOT_CLAIMED);
	return zi_cas_acq_rel(word, &seen, hole);
}

static int resolve_slot(zipc_queue *queue, uint64_t *word)
{
	uint64_t w = zi_load_acquire(word);
	bool claimed = zi_slot_state(w) == ZI_SLOT_CLAIMED && zi_slot_owner(w) != 0;
	if (!claimed && zi_slot_state(w) != ZI_SLOT_TAKEN)
		return 0;
	int dead = zi_peer_dead(queue->segment, zi_slot_owner(w));
	if (dead <= 0)
		return dead;
	return claimed ? heal_claimed(word, w) : zi_queue_heal_taken(queue, word, w);
}

static int resolve_role(zipc_queue *queue, uint64_t *role)
{
	uint64_t seen = zi_load_acquire(role);
	int dead = seen == 0 ? 0 : zi_queue_role_dead(queue, &seen);
	return dead <= 0 ? dead : zi_cas_acq_rel(role, &seen, UINT64_C(0));
}

int zi_queue_resolve(zipc_segment *segment, const struct zi_view *view)
{
	zipc_queue queue = {.object.view = *view};
	if (zi_queue_bind(&queue, segment) < 0)
		return 0; /* damage is for verify */
	int n = 0, r = queue.lines != 0 ? zi_lines_resolve(&queue) : 0;
	n += r > 0 ? r : 0;
	if (r >= 0)
		r = resolve_role(&queue, &queue.shared->producer);
	n += r > 0;
	if (r >= 0)
		r = resolve_role(&queue, &queue.shared->consumer);
	n += r > 0;
	for (uint64_t i = 0; queue.lines == 0 && i <= queue.mask && r >= 0; i++) {
		r = resolve_slot(&queue, zi_queue_word(&queue, i));
		n += r > 0;
	}
	if (n > 0) { /* what was held up can go on */
		zi_gate_wake_all(&queue.shared->items_gate);
		zi_gate_wake_all(&queue.shared->space_gate);
	}
	return r < 0 ? r : n;
}

/* Is the word of a position of the current window one that the position can have? */
static bool slot_sound(const zipc_queue *queue, uint64_t position)
{
	uint64_t w = zi_load_acquire(zi_queue_word(queue, position));
	int64_t ahead = zi_lap_difference(zi_slot_lap(w), zi_queue_lap(queue, position));
	bool owned = zi_slot_state(w) == ZI_SLOT_CLAIMED || zi_slot_state(w) == ZI_SLOT_TAKEN;
	if (!owned && zi_slot_owner(w) != 0)
		return false;
	return ahead == 1 || (ahead == 0 && zi_slot_state(w) != ZI_SLOT_FREE);
}

void zi_queue_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report)
{
	zipc_queue queue = {.object.view = *view};
	if (zi_queue_bind(&queue, segment) < 0) {
		zi_report_add(report, "queue '%s': its sizes do not fit its memory", view->name);
		return;
	}
	if (queue.lines != 0) {
		zi_lines_verify(&queue, report);
		return;
	}
	for (uint64_t i = 0; i <= queue.mask; i++) {
		/* the position of this slot in the last capacity positions below the tail; on a
		 * queue in use the tail moves, so a finding counts only if it stays */
		bool sound = false;
		for (int look = 0; look < 3 && !sound; look++) {
			uint64_t tail =
				zi_queue_settle_tail(&queue, zi_load_relaxed(&queue.shared->tail));
			uint64_t p = tail - 1 - ((tail - 1 - i) & queue.mask);
			sound = slot_sound(&queue, p);
		}
		if (!sound)
			zi_report_add(report, "queue '%s': slot %llu holds a word that cannot be",
				      view->name, (unsigned long long)i);
	}
}
