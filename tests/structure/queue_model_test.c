/* SPDX-License-Identifier: MIT */
/*
 * The queue against a model: all modes, element sizes and capacities, random operations, batches;
 * the last lap before the count starts over, and hints that are old.
 */
#include "queue_rig.h"

#include "base/checked.h"
#include "structure/queue.h"
#include "support/queue_model.h"

#define ROOM 4096 /* the model's own ring */

struct model {
	zipc_queue *queue;
	uint64_t size, capacity;
	uint32_t flags;
	bool requeued;	     /* the first of them is back after an acquisition */
	uint64_t head, tail; /* numbers of the elements that are in the queue: [head, tail) */
};

static uint8_t buffer[2 * ZIPC_QUEUE_ELEMENT_MAX + 65536];

static void step_push(struct model *m)
{
	element_make(buffer, m->size, m->tail);
	int r = zipc_queue_push(m->queue, buffer, ZIPC_NOWAIT);
	assert_int_equal(r, m->tail - m->head < m->capacity ? 0 : -EAGAIN);
	m->tail += r == 0;
}

static void step_pop(struct model *m)
{
	buffer[m->size] = 0x5a;
	int r = zipc_queue_pop(m->queue, buffer, ZIPC_NOWAIT);
	assert_int_equal(r, m->tail > m->head ? 0 : -EAGAIN);
	if (r == 0)
		element_check(buffer, m->size, m->head++);
	assert_int_equal(buffer[m->size], 0x5a); /* and nothing beyond */
}

static void step_push_n(struct model *m, uint64_t n)
{
	uint64_t free = m->capacity - (m->tail - m->head), fits = n < free ? n : free;
	for (uint64_t i = 0; i < n; i++)
		element_make(buffer + i * m->size, m->size, m->tail + i);
	int r = zipc_queue_push_n(m->queue, buffer, n, ZIPC_NOWAIT);
	assert_int_equal(r, n == 0 ? 0 : fits == 0 ? -EAGAIN : (int)fits);
	m->tail += fits;
}

static void step_pop_n(struct model *m, uint64_t n)
{
	uint64_t there = m->tail - m->head, fits = n < there ? n : there;
	buffer[fits * m->size] = 0x5a;
	int r = zipc_queue_pop_n(m->queue, buffer, n, ZIPC_NOWAIT);
	assert_int_equal(r, n == 0 ? 0 : fits == 0 ? -EAGAIN : (int)fits);
	for (uint64_t i = 0; i < fits; i++)
		element_check(buffer + i * m->size, m->size, m->head++);
	assert_int_equal(buffer[fits * m->size], 0x5a);
}

static void step_reserve(struct model *m, bool commit)
{
	void *element;
	uint64_t ticket;
	int r = zipc_queue_reserve(m->queue, ZIPC_NOWAIT, &element, &ticket);
	assert_int_equal(r, m->tail - m->head < m->capacity ? 0 : -EAGAIN);
	if (r != 0)
		return;
	element_make(element, m->size, m->tail);
	assert_ok(commit ? zipc_queue_commit(m->queue, ticket)
			 : zipc_queue_abort(m->queue, ticket));
	m->tail += commit;
	while (!commit && m->head < m->tail) /* the hole takes up room until it is passed */
		step_pop(m);
	if (!commit)
		assert_int_equal(zipc_queue_pop(m->queue, buffer, ZIPC_NOWAIT), -EAGAIN);
}

static void step_acquire(struct model *m, bool requeue)
{
	void *element;
	uint64_t ticket;
	int r = zipc_queue_acquire(m->queue, ZIPC_NOWAIT, &element, &ticket);
	assert_int_equal(r, m->tail > m->head ? 0 : -EAGAIN);
	if (r != 0)
		return;
	element_check(element, m->size, m->head);
	if (requeue && (m->flags & ALO) != 0) {
		assert_ok(zipc_queue_requeue(m->queue, ticket));
		m->requeued = true;
		return;
	}
	assert_ok(zipc_queue_release(m->queue, ticket));
	m->head++;
}

static void step_look(struct model *m)
{
	uint64_t n = m->tail - m->head;
	int r = zipc_queue_peek(m->queue, buffer);
	assert_int_equal(r, n > 0 ? 0 : -EAGAIN);
	if (r == 0)
		element_check(buffer, m->size, m->head);
	uint64_t size = zipc_queue_size(m->queue);
	assert_true(size == n || (m->requeued && size == n - 1));
	assert_int_equal(zipc_queue_is_empty(m->queue), size == 0);
	assert_int_equal(zipc_queue_is_full(m->queue), n == m->capacity);
}

/* The other end of the roles: another handle goes on where this one was. */
static void step_reopen(struct model *m, zipc_segment *segment)
{
	zipc_queue_close(m->queue);
	m->queue = rig_open(segment);
}

static void random_step(struct model *m, zipc_segment *segment, uint64_t *seed)
{
	uint64_t most = sizeof buffer / m->size - 1;
	if (most > 2 * m->capacity)
		most = 2 * m->capacity;
	if (most > 40)
		most = 40;
	switch (random_below(seed, 12)) {
	case 0:
	case 1:
		step_push(m);
		break;
	case 2:
	case 3:
		step_pop(m);
		break;
	case 4:
		step_push_n(m, random_below(seed, (uint32_t)most + 1));
		break;
	case 5:
		step_pop_n(m, random_below(seed, (uint32_t)most + 1));
		break;
	case 6:
		step_reserve(m, true);
		break;
	case 7:
		step_reserve(m, random_below(seed, 8) != 0);
		break;
	case 8:
		step_acquire(m, false);
		break;
	case 9:
		step_acquire(m, true);
		break;
	case 10:
		step_look(m);
		break;
	default:
		if (random_below(seed, 16) == 0)
			step_reopen(m, segment);
	}
}

static void run_model(struct model *m, zipc_segment *segment, uint64_t *seed, int steps)
{
	for (int i = 0; i < steps; i++)
		random_step(m, segment, seed);
	step_look(m);
	while (m->head < m->tail)
		step_pop(m);
	for (uint64_t i = 0; i <= m->capacity && i < ROOM; i++) /* all of its room is there */
		step_push(m);
	step_pop_n(m, sizeof buffer / m->size - 1 < 40 ? sizeof buffer / m->size - 1 : 40);
}

static const uint64_t sizes[] = {1,  2,	 3,  4,	 7,  8,	  9,	16,    31,
				 32, 47, 48, 49, 64, 100, 4096, 65536, 1048576};
static const uint64_t capacities[] = {1, 2, 3, 1000, 1024};

static void every_mode_size_and_capacity(void **state)
{
	(void)state;
	uint64_t seed = seed_for("queue model");
	zipc_segment *segment = rig_make(128 * MIB);
	for (uint32_t flags = 0; flags < 8; flags++) {
		for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
			for (size_t c = 0; c < sizeof capacities / sizeof capacities[0]; c++) {
				struct model m = {.size = sizes[s], .flags = flags};
				bool large = sizes[s] * capacities[c] > 8 * MIB;
				if (large && (sizes[s] > 65536 || flags % 5 != 0))
					continue;
				m.queue = rig_queue(segment, sizes[s], capacities[c], flags);
				m.capacity = zipc_queue_capacity(m.queue);
				assert_true(m.capacity >= capacities[c] &&
					    m.capacity < 2 * capacities[c] + 1);
				assert_true(zi_is_power_of_two(m.capacity));
				int steps = sizes[s] > 4096 ? 12 : m.capacity < 1000 ? 150 : 60;
				run_model(&m, segment, &seed, steps);
				rig_drop(segment, m.queue);
			}
		}
	}
	assert_int_equal(zipc_segment_gc(segment), 0);
	assert_sound(segment);
	zipc_segment_close(segment);
}

static void long_random_runs(void **state)
{
	(void)state;
	uint64_t seed = seed_for("queue long");
	zipc_segment *segment = rig_make(4 * MIB);
	for (uint32_t flags = 0; flags < 8; flags++) {
		for (uint64_t capacity = 1; capacity <= 64; capacity *= 8) {
			struct model m = {.size = 24, .flags = flags, .capacity = capacity};
			m.queue = rig_queue(segment, 24, capacity, flags);
			run_model(&m, segment, &seed, 6000);
			assert_sound(segment);
			rig_drop(segment, m.queue);
		}
	}
	zipc_segment_close(segment);
}

/* ---- laps and hints ------------------------------------------------------------------------- */

/* An empty queue whose first position is `start`. */
static zipc_queue *queue_at(zipc_segment *segment, uint64_t capacity, uint32_t flags,
			    uint64_t start)
{
	zipc_queue *q = rig_queue(segment, 8, capacity, flags);
	queue_preset(q, start);
	return q;
}

/* The position at which the count of laps starts over. */
static uint64_t laps_end(zipc_segment *segment, uint64_t capacity, uint32_t flags)
{
	zipc_queue *q = rig_queue(segment, 8, capacity, flags);
	uint64_t end = q->lines == 0 ? capacity << ZI_SLOT_LAP_BITS : q->lines * q->per_line << 32;
	rig_drop(segment, q);
	return end;
}

static void the_count_of_laps_starts_over(void **state)
{
	(void)state;
	uint64_t seed = seed_for("queue laps");
	zipc_segment *segment = rig_make(4 * MIB);
	for (uint32_t flags = 0; flags < 8; flags++) {
		for (uint64_t capacity = 1; capacity <= 64; capacity *= 4) {
			uint64_t end = laps_end(segment, capacity, flags);
			for (uint64_t back = 0; back < 3 * capacity; back += 1 + capacity / 3) {
				struct model m = {.size = 8, .flags = flags, .capacity = capacity};
				m.queue = queue_at(segment, capacity, flags, end - 1 - back);
				assert_sound(segment);
				run_model(&m, segment, &seed, 300);
				assert_sound(segment);
				rig_drop(segment, m.queue);
			}
		}
	}
	zipc_segment_close(segment);
}

/* A position beyond the last lap, told from one 2^38 laps earlier by nothing but the hints. */
static void positions_go_on_beyond_the_last_lap(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(4 * MIB);
	uint64_t end = UINT64_C(8) << ZI_SLOT_LAP_BITS;
	zipc_queue *q = queue_at(segment, 8, 0, end - 4);
	for (uint64_t i = 0; i < 20; i++) {
		push_u64(q, i);
		assert_int_equal(zipc_queue_size(q), 1);
		pop_u64(q, i);
	}
	assert_int_equal(rig_stats(q).pushed, end + 16);
	assert_int_equal(*zi_queue_word(q, 16), zi_slot_make(2, 0, ZI_SLOT_FREE));
	rig_drop(segment, q);
	zipc_segment_close(segment);
}

static void spoil(struct model *m, uint64_t head, uint64_t tail, uint64_t done)
{
	if (m->queue->lines != 0)
		return; /* has no hints that could be old */
	m->queue->shared->head = head;
	m->queue->shared->tail = tail;
	m->queue->shared->done = done;
}

/* The first position up to `head` that is not over: what was requeued is not. */
static uint64_t first_not_over(const zipc_queue *q, uint64_t head)
{
	uint64_t p = head > q->mask + 1 ? head - q->mask - 1 : 0;
	while (p < head &&
	       zi_lap_difference(zi_slot_lap(*zi_queue_word(q, p)), zi_queue_lap(q, p)) > 0)
		p++;
	return p;
}

/* Hints say what was true once; however old they are, the words decide. */
static void old_hints_do_no_harm(void **state)
{
	(void)state;
	uint64_t seed = seed_for("queue old hints");
	zipc_segment *segment = rig_make(4 * MIB);
	for (uint32_t flags = 0; flags < 8; flags++) {
		for (uint64_t capacity = 1; capacity <= 256; capacity *= 16) {
			struct model m = {.size = 8, .flags = flags, .capacity = capacity};
			m.queue = rig_queue(segment, 8, capacity, flags);
			for (int i = 0; i < 60; i++) {
				for (int k = 0; k < 12; k++)
					random_step(&m, segment, &seed);
				zipc_queue_stats s = rig_stats(m.queue);
				uint64_t h = random_next(&seed) % (s.popped + 1);
				uint64_t t = random_next(&seed) % (s.pushed + 1);
				uint64_t over =
					m.queue->lines != 0 ? 0 : first_not_over(m.queue, h);
				uint64_t d = random_next(&seed) % (over + 1);
				if (i % 5 == 0)
					h = t = d = 0;
				spoil(&m, h, t, d);
				if (i % 3 == 0)
					step_look(&m);
				spoil(&m, h, t, d);
				if (i % 4 == 0) /* the single roles start from the hints */
					step_reopen(&m, segment);
			}
			run_model(&m, segment, &seed, 50);
			assert_sound(segment);
			rig_drop(segment, m.queue);
		}
	}
	zipc_segment_close(segment);
}

/* The search for both ends is right from any hint whatever. */
static void any_hint_is_settled(void **state)
{
	(void)state;
	uint64_t seed = seed_for("queue garbage hints");
	zipc_segment *segment = rig_make(4 * MIB);
	for (uint64_t capacity = 1; capacity <= 256; capacity *= 4) {
		zipc_queue *q = queue_at(segment, capacity, 0, 5 * capacity + capacity / 3);
		uint64_t mask = (capacity << ZI_SLOT_LAP_BITS) - 1, n = 0;
		for (int i = 0; i < 300; i++) {
			n += try_push(q) == 0;
			if (random_below(&seed, 3) == 0 && try_pop(q) == 0)
				n--;
			zipc_queue_stats s = rig_stats(q);
			assert_int_equal(s.size, n);
			uint64_t hint = random_next(&seed) >> random_below(&seed, 64);
			assert_int_equal(zi_queue_settle_head(q, hint) & mask, s.popped & mask);
			assert_int_equal(zi_queue_settle_tail(q, hint) & mask, s.pushed & mask);
		}
		rig_drop(segment, q);
	}
	zipc_segment_close(segment);
}

/* Hints that were never true: every call ends, and nothing comes that was not pushed. */
static void hints_that_are_ahead(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(4 * MIB);
	for (uint32_t flags = 0; flags < 8; flags++) {
		for (uint64_t ahead = 1; ahead < UINT64_C(1) << 50; ahead = ahead * 5 / 3 + 1) {
			zipc_queue *q = rig_queue(segment, 8, 8, flags);
			uint64_t value = 0;
			for (uint64_t i = 0; i < 5; i++)
				push_u64(q, i);
			q->shared->tail += ahead;
			q->shared->done += ahead;
			q->shared->head += ahead;
			for (uint64_t i = 5; i < 60; i++) {
				int r = zipc_queue_push(q, &i, ZIPC_NOWAIT);
				assert_true(r == 0 || r == -EAGAIN || r == -EBADMSG);
				r = zipc_queue_pop(q, &value, ZIPC_NOWAIT);
				assert_true(r == 0 || r == -EAGAIN || r == -EBADMSG);
				assert_true(r != 0 || value <= i);
			}
			rig_drop(segment, q);
		}
	}
	zipc_segment_close(segment);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mode_size_and_capacity),
		cmocka_unit_test(long_random_runs),
		cmocka_unit_test(the_count_of_laps_starts_over),
		cmocka_unit_test(positions_go_on_beyond_the_last_lap),
		cmocka_unit_test(old_hints_do_no_harm),
		cmocka_unit_test(any_hint_is_settled),
		cmocka_unit_test(hints_that_are_ahead),
	};
	return PEER_RUN("queue model", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
