/* SPDX-License-Identifier: MIT */
/* Every call of the queue and every code that it returns. */
#include "queue_rig.h"

#include "segment/segment.h"

/* ---- lifecycle ------------------------------------------------------------------------------ */

static void refuse(zipc_segment *segment, uint64_t size, uint64_t capacity,
		   const zipc_queue_options *o, int code)
{
	zipc_queue *queue = NULL;
	assert_int_equal(zipc_queue_create(segment, "bad", size, capacity, o, &queue), code);
	assert_null(queue);
}

static void bad_requests_are_refused(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	uint64_t used = rig_used(segment);
	const zipc_queue_options none = ZIPC_QUEUE_OPTIONS_INIT;
	refuse(segment, 0, 1, NULL, -EINVAL);
	assert_said("queue 'bad': element size is 0");
	refuse(segment, ZIPC_QUEUE_ELEMENT_MAX + 1, 1, NULL, -EINVAL);
	assert_said("element size is 1048577");
	refuse(segment, 8, 0, NULL, -EINVAL);
	assert_said("queue 'bad': capacity is 0");
	refuse(segment, 8, ZIPC_QUEUE_CAPACITY_MAX + 1, NULL, -EINVAL);
	refuse(segment, 8, UINT64_MAX, NULL, -EINVAL);
	refuse(segment, ZIPC_QUEUE_ELEMENT_MAX, ZIPC_QUEUE_CAPACITY_MAX, NULL, -ENOSPC);
	refuse(segment, 8, 1 << 20, NULL, -ENOSPC);
	zipc_queue_options o = none;
	o.flags = 8;
	refuse(segment, 8, 1, &o, -EINVAL);
	assert_said("queue 'bad': unknown flags 0x8");
	o = none, o.reserved = 1;
	refuse(segment, 8, 1, &o, -EINVAL);
	o = none, o.alignment = 3;
	refuse(segment, 8, 1, &o, -EINVAL);
	assert_said("alignment 3");
	o.alignment = 8192;
	refuse(segment, 8, 1, &o, -EINVAL);
	o = none, o.struct_size = 3;
	refuse(segment, 8, 1, &o, -EINVAL);
	struct {
		zipc_queue_options known;
		uint8_t unknown[8];
	} newer = {none, {0, 0, 0, 0, 0, 0, 0, 1}};
	newer.known.struct_size = sizeof newer;
	refuse(segment, 8, 1, &newer.known, -E2BIG);
	zipc_queue_close(NULL);
	rig_close(segment, used);
}

static void open_compares(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	zipc_queue_options o = ZIPC_QUEUE_OPTIONS_INIT;
	zipc_queue *queue, *other;
	assert_int_equal(zipc_queue_open(segment, "q", 8, NULL, &queue), -ENOENT);
	assert_said("queue 'q'");
	o.flags = SP | ALO;
	o.schema = "u64 id";
	assert_int_equal(zipc_queue_open_or_create(segment, "q", 8, 100, &o, &queue), 1);
	assert_int_equal(zipc_queue_open_or_create(segment, "q", 8, 7, &o, &other), 0);
	assert_int_equal(zipc_queue_capacity(other), 128);
	zipc_queue_close(other);
	assert_int_equal(zipc_queue_create(segment, "q", 8, 7, &o, &other), -EEXIST);
	assert_int_equal(zipc_queue_open(segment, "q", 16, &o, &other), -EPROTOTYPE);
	assert_said("queue 'q': element size is 8, you asked for 16");
	o.flags = SP;
	assert_int_equal(zipc_queue_open(segment, "q", 8, &o, &other), -EPROTOTYPE);
	assert_said("queue 'q': flags are 5, you asked for 1");
	o.flags = 0;
	o.alignment = 16;
	assert_int_equal(zipc_queue_open(segment, "q", 8, &o, &other), -EPROTOTYPE);
	assert_said("queue 'q': alignment is 8, you asked for 16");
	o.alignment = 4;
	o.schema = "f64 x";
	assert_int_equal(zipc_queue_open(segment, "q", 8, &o, &other), -EPROTOTYPE);
	assert_said("schema is \"u64 id\", you asked for \"f64 x\"");
	o.schema = NULL;
	assert_ok(zipc_queue_open(segment, "q", 0, &o, &other));
	assert_int_equal(zipc_queue_flags(other), SP | ALO);
	assert_int_equal(zipc_queue_element_size(other), 8);
	zipc_queue_close(other);
	zipc_array *array;
	assert_int_equal(zipc_array_open(segment, "q", 8, 0, NULL, &array), -EPROTOTYPE);
	assert_int_equal(zipc_array_remove(segment, "q"), -EPROTOTYPE);
	rig_drop(segment, queue);
	assert_int_equal(zipc_queue_remove(segment, "q"), -ENOENT);
	zipc_segment_close(segment);
}

static void elements_are_aligned(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(4 * MIB);
	static const uint64_t sizes[] = {1, 2, 4, 6, 8, 12, 24, 40, 48, 64, 96, 128, 192};
	for (uint32_t alignment = 0; alignment <= 4096; alignment = alignment * 2 + !alignment) {
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			zipc_queue_options o = ZIPC_QUEUE_OPTIONS_INIT;
			zipc_queue *queue;
			o.alignment = alignment;
			o.flags = i % 2 == 0 ? ALO : 0;
			assert_ok(zipc_queue_create(segment, "q", sizes[i], 4, &o, &queue));
			uint64_t natural = sizes[i] & -sizes[i];
			uint64_t least = alignment != 0 ? alignment : natural > 64 ? 64 : natural;
			for (int n = 0; n < 4; n++) {
				uint8_t *element;
				uint64_t ticket;
				assert_ok(zipc_queue_reserve(queue, ZIPC_NOWAIT, (void **)&element,
							     &ticket));
				assert_int_equal((uint64_t)(element - segment->base) % least, 0);
				memset(element, 0xff, sizes[i]);
				assert_ok(zipc_queue_commit(queue, ticket));
			}
			assert_sound(segment);
			rig_drop(segment, queue);
		}
	}
	zipc_segment_close(segment);
}

static void removed_while_open_splits(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	uint64_t used = rig_used(segment);
	zipc_queue *old = rig_queue(segment, 8, 4, 0), *fresh;
	push_u64(old, 1);
	assert_ok(zipc_queue_remove(segment, "q"));
	fresh = rig_queue(segment, 8, 4, 0);
	assert_int_equal(try_pop(fresh), -EAGAIN);
	pop_u64(old, 1);
	zipc_queue_close(old);
	rig_drop(segment, fresh);
	rig_close(segment, used);
}

/* ---- all modes ------------------------------------------------------------------------------ */

static void full_empty_and_deadlines(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	uint64_t used = rig_used(segment), n = 0, many[8] = {0}, ticket;
	void *element;
	for (uint32_t flags = 0; flags < 8; flags++) {
		zipc_queue *q = rig_queue(segment, 8, 4, flags);
		assert_true(zipc_queue_is_empty(q) && !zipc_queue_is_full(q));
		assert_int_equal(try_pop(q), -EAGAIN);
		assert_int_equal(zipc_queue_peek(q, &n), -EAGAIN);
		assert_int_equal(zipc_queue_pop(q, &n, 1), -ETIMEDOUT);
		assert_int_equal(zipc_queue_pop_n(q, many, 3, 1000), -ETIMEDOUT);
		assert_int_equal(zipc_queue_pop_n(q, many, 3, ZIPC_NOWAIT), -EAGAIN);
		assert_int_equal(zipc_queue_pop_n(q, many, 0, ZIPC_FOREVER), 0);
		assert_int_equal(zipc_queue_acquire(q, 1000, &element, &ticket), -ETIMEDOUT);
		assert_int_equal(zipc_queue_acquire(q, ZIPC_NOWAIT, &element, &ticket), -EAGAIN);
		for (uint64_t i = 1; i <= 4; i++) {
			push_u64(q, i);
			assert_int_equal(zipc_queue_size(q), i);
		}
		assert_true(!zipc_queue_is_empty(q) && zipc_queue_is_full(q));
		assert_int_equal(try_push(q), -EAGAIN);
		assert_int_equal(zipc_queue_push(q, &n, 1), -ETIMEDOUT);
		assert_int_equal(zipc_queue_push_n(q, many, 3, 1000), -ETIMEDOUT);
		assert_int_equal(zipc_queue_push_n(q, many, 3, ZIPC_NOWAIT), -EAGAIN);
		assert_int_equal(zipc_queue_push_n(q, many, 0, ZIPC_FOREVER), 0);
		assert_int_equal(zipc_queue_reserve(q, 1000, &element, &ticket), -ETIMEDOUT);
		assert_int_equal(zipc_queue_reserve(q, ZIPC_NOWAIT, &element, &ticket), -EAGAIN);
		assert_ok(zipc_queue_peek(q, &n));
		assert_int_equal(n, 1);
		assert_int_equal(zipc_queue_pop_n(q, many, 8, ZIPC_FOREVER), 4);
		for (uint64_t i = 1; i <= 4; i++)
			assert_int_equal(many[i - 1], i);
		assert_int_equal(zipc_queue_push_n(q, many, 8, ZIPC_FOREVER), 4);
		pop_u64(q, 1);
		assert_int_equal(zipc_queue_push_n(q, many, 8, ZIPC_NOWAIT), 1);
		zipc_queue_stats s = rig_stats(q);
		assert_int_equal(s.pushed, 9);
		assert_int_equal(s.popped, 5);
		assert_int_equal(s.size, 4);
		assert_int_equal(s.high_water, 4);
		assert_int_equal(s.dropped + s.redelivered + s.outstanding + s.shut_down, 0);
		assert_int_equal(s.producer_pid, (flags & SP) != 0 ? getpid() : 0);
		assert_int_equal(s.consumer_pid, (flags & SC) != 0 ? getpid() : 0);
		assert_sound(segment);
		rig_drop(segment, q);
	}
	rig_close(segment, used);
}

static void stats_of_other_callers(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	zipc_queue *q = rig_queue(segment, 8, 256, 0);
	zipc_queue_stats bad = {.struct_size = 0}, older = {.struct_size = 16, .popped = 99};
	assert_int_equal(zipc_queue_get_stats(q, &bad), -EINVAL);
	for (uint64_t i = 0; i < 200; i++)
		push_u64(q, i);
	for (uint64_t i = 0; i < 200; i++)
		pop_u64(q, i);
	assert_true(rig_stats(q).high_water >= 190); /* sampled at every 64th push */
	assert_ok(zipc_queue_get_stats(q, &older));
	assert_int_equal(older.pushed, 200);
	assert_int_equal(older.popped, 99);
	rig_drop(segment, q);
	zipc_segment_close(segment);
}

static void reservations_in_any_order(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {1, 0, 2}};
	for (uint32_t flags = 0; flags < 8; flags += 2) { /* many producers */
		for (int o = 0; o < 4; o++) {
			for (uint32_t aborted = 0; aborted < 8; aborted++) {
				zipc_queue *q = rig_queue(segment, 8, 4, flags);
				uint64_t t[3];
				for (uint64_t i = 0; i < 3; i++)
					t[i] = reserve_u64(q, i + 1);
				assert_int_equal(try_pop(q), -EAGAIN);
				for (int k = 0; k < 3; k++) {
					int i = orders[o][k];
					assert_ok((aborted >> i & 1) != 0
							  ? zipc_queue_abort(q, t[i])
							  : zipc_queue_commit(q, t[i]));
				}
				push_u64(q, 4);
				for (uint64_t i = 1; i <= 4; i++)
					if (i == 4 || (aborted >> (i - 1) & 1) == 0)
						pop_u64(q, i);
				assert_int_equal(try_pop(q), -EAGAIN);
				assert_int_equal(rig_stats(q).dropped, __builtin_popcount(aborted));
				assert_sound(segment);
				for (uint64_t i = 1; i <= 4; i++) /* all of its room is there */
					push_u64(q, i);
				assert_int_equal(try_push(q), -EAGAIN);
				rig_drop(segment, q);
			}
		}
	}
	zipc_segment_close(segment);
}

static void an_unfinished_push_holds_back_later_ones(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	for (uint32_t flags = 0; flags < 8; flags++) {
		zipc_queue *q = rig_queue(segment, 8, 4, flags);
		uint64_t t = reserve_u64(q, 1), n;
		push_u64(q, 2);
		assert_int_equal(try_pop(q), -EAGAIN);
		assert_int_equal(zipc_queue_peek(q, &n), -EAGAIN);
		assert_int_equal(zipc_queue_size(q), 2);
		assert_int_equal(zipc_segment_gc(segment), 0);
		assert_ok(zipc_queue_commit(q, t));
		pop_u64(q, 1);
		pop_u64(q, 2);
		rig_drop(segment, q);
	}
	zipc_segment_close(segment);
}

/* In single modes too, several claims may be open, and end in any order. */
static void reservations_of_a_single_producer(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	zipc_queue *q = rig_queue(segment, 8, 4, SP);
	uint64_t first = reserve_u64(q, 1), second = reserve_u64(q, 2), third = reserve_u64(q, 3);
	assert_ok(zipc_queue_commit(q, third));
	assert_ok(zipc_queue_abort(q, first));
	assert_int_equal(try_pop(q), -EAGAIN);
	assert_ok(zipc_queue_commit(q, second));
	pop_u64(q, 2);
	pop_u64(q, 3);
	rig_drop(segment, q);
	zipc_segment_close(segment);
}

static void acquisitions_of_a_single_consumer(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	zipc_queue *q = rig_queue(segment, 8, 4, SC);
	for (uint64_t i = 1; i <= 4; i++)
		push_u64(q, i);
	uint64_t first = acquire_u64(q, 1), second = acquire_u64(q, 2), item = 9;
	pop_u64(q, 3);
	assert_ok(zipc_queue_release(q, second));
	assert_int_equal(zipc_queue_push(q, &item, ZIPC_NOWAIT), -EAGAIN);
	assert_ok(zipc_queue_release(q, first));
	push_u64(q, 5);
	push_u64(q, 6);
	push_u64(q, 7);
	assert_int_equal(zipc_queue_push(q, &item, ZIPC_NOWAIT), -EAGAIN);
	for (uint64_t i = 4; i <= 7; i++)
		pop_u64(q, i);
	rig_drop(segment, q);
	zipc_segment_close(segment);
}

static void acquisitions_in_any_order(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	static const int orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}};
	for (uint32_t flags = 0; flags < 8; flags++) {
		for (int o = 0; o < 4 && flags != SC && flags != (SC | SP); o++) {
			zipc_queue *q = rig_queue(segment, 8, 4, flags);
			uint64_t t[3];
			for (uint64_t i = 1; i <= 4; i++)
				push_u64(q, i);
			for (uint64_t i = 0; i < 3; i++)
				t[i] = acquire_u64(q, i + 1);
			assert_int_equal(zipc_queue_size(q), 1);
			assert_int_equal(rig_stats(q).outstanding, (flags & ALO) != 0 ? 3 : 0);
			assert_true(zipc_queue_is_full(q)); /* what is taken takes up room */
			assert_int_equal(try_push(q), -EAGAIN);
			for (int k = 0; k < 3; k++)
				assert_ok(zipc_queue_release(q, t[orders[o][k]]));
			for (uint64_t i = 5; i <= 7; i++)
				push_u64(q, i);
			for (uint64_t i = 4; i <= 7; i++)
				pop_u64(q, i);
			assert_int_equal(rig_stats(q).outstanding, 0);
			assert_sound(segment);
			rig_drop(segment, q);
		}
	}
	zipc_segment_close(segment);
}

static void requeued_elements_come_again(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	for (uint32_t flags = ALO; flags < 8; flags++) {
		zipc_queue *q = rig_queue(segment, 8, 8, flags);
		for (uint64_t i = 1; i <= 5; i++)
			push_u64(q, i);
		uint64_t one = acquire_u64(q, 1), two = acquire_u64(q, 2),
			 three = acquire_u64(q, 3);
		assert_int_equal(zipc_queue_deliveries(q, two), 1);
		assert_ok(zipc_queue_requeue(q, two));
		assert_int_equal(zipc_queue_requeue(q, two), -ESTALE);
		assert_int_equal(zipc_queue_deliveries(q, two), -ESTALE);
		two = acquire_u64(q, 2); /* before 4: where it was */
		assert_int_equal(zipc_queue_deliveries(q, two), 2);
		assert_ok(zipc_queue_release(q, one));
		assert_ok(zipc_queue_requeue(q, three));
		assert_ok(zipc_queue_requeue(q, two));
		assert_int_equal(rig_stats(q).redelivered, 1);
		two = acquire_u64(q, 2);
		assert_int_equal(zipc_queue_deliveries(q, two), 3);
		assert_ok(zipc_queue_release(q, two));
		pop_u64(q, 3);
		pop_u64(q, 4);
		assert_int_equal(rig_stats(q).outstanding, 0);
		pop_u64(q, 5);
		assert_int_equal(try_pop(q), -EAGAIN);
		assert_int_equal(rig_stats(q).redelivered, 3);
		for (uint64_t i = 6; i < 10; i++) {
			push_u64(q, i);
			pop_u64(q, i);
		}
		push_u64(q, 10); /* in the slot of 2, which was delivered three times */
		one = acquire_u64(q, 10);
		assert_int_equal(zipc_queue_deliveries(q, one), 1); /* counted anew */
		assert_ok(zipc_queue_release(q, one));
		rig_drop(segment, q);
	}
	zipc_segment_close(segment);
}

/* "outstanding: taken and not acknowledged", "size: not yet taken", with something requeued. */
static void numbers_while_something_is_requeued(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	zipc_queue *q = rig_queue(segment, 8, 8, ALO);
	for (uint64_t i = 1; i <= 5; i++)
		push_u64(q, i);
	acquire_u64(q, 1);
	uint64_t two = acquire_u64(q, 2);
	acquire_u64(q, 3);
	assert_ok(zipc_queue_requeue(q, two));
	zipc_queue_stats s = rig_stats(q);
	assert_true(s.outstanding >= 2 && s.outstanding <= 3);
	assert_true(s.size >= 2 && s.size <= 3);
	assert_false(zipc_queue_is_empty(q));
	rig_drop(segment, q);
	zipc_segment_close(segment);
}

static void tickets_are_used_once(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB), *other = rig_again(segment, 0);
	for (uint32_t flags = 0; flags < 8; flags++) {
		zipc_queue *q = rig_queue(segment, 8, 4, flags), *foreign = rig_open(other);
		uint64_t t = reserve_u64(q, 1);
		const uint64_t wrong[] = {t + 1, t + 4, t + 1024, UINT64_MAX, t ^ (1ull << 39)};
		for (size_t i = 0; i < 5; i++) {
			assert_int_equal(zipc_queue_commit(q, wrong[i]), -ESTALE);
			assert_said("queue 'q'");
			assert_int_equal(zipc_queue_abort(q, wrong[i]), -ESTALE);
			assert_int_equal(zipc_queue_release(q, wrong[i]), -ESTALE);
		}
		assert_int_equal(zipc_queue_release(q, t), -ESTALE);	  /* not an acquisition */
		assert_int_equal(zipc_queue_commit(foreign, t), -ESTALE); /* another process's */
		assert_int_equal(zipc_queue_abort(foreign, t), -ESTALE);
		assert_ok(zipc_queue_commit(q, t));
		assert_int_equal(zipc_queue_commit(q, t), -ESTALE);
		assert_int_equal(zipc_queue_abort(q, t), -ESTALE);
		t = acquire_u64(q, 1);
		assert_int_equal(zipc_queue_commit(q, t), -ESTALE);
		assert_int_equal(zipc_queue_release(foreign, t), -ESTALE);
		assert_said("queue 'q'");
		int again = (flags & ALO) != 0 ? -ESTALE : -EOPNOTSUPP;
		assert_int_equal(zipc_queue_requeue(foreign, t), again);
		assert_int_equal(zipc_queue_deliveries(foreign, t), again);
		if ((flags & ALO) == 0) {
			assert_int_equal(zipc_queue_requeue(q, t), -EOPNOTSUPP);
			assert_said("queue 'q'");
			assert_int_equal(zipc_queue_deliveries(q, t), -EOPNOTSUPP);
		}
		assert_ok(zipc_queue_release(q, t));
		assert_int_equal(zipc_queue_release(q, t), -ESTALE);
		zipc_queue_close(foreign);
		rig_drop(segment, q);
	}
	zipc_segment_close(other);
	zipc_segment_close(segment);
}

/* ---- roles ---------------------------------------------------------------------------------- */

static void roles_are_held_by_one_handle(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB), *other = rig_again(segment, 0);
	uint64_t n, ticket;
	void *element;
	for (uint32_t alo = 0; alo <= ALO; alo += ALO) {
		zipc_queue *a = rig_queue(segment, 8, 64, SP | SC | alo);
		zipc_queue *second[2] = {rig_open(segment), rig_open(other)};
		push_u64(a, 1);
		push_u64(a, 2);
		push_u64(a, 3);
		pop_u64(a, 1);
		for (int i = 0; i < 2; i++) {
			zipc_queue *b = second[i];
			assert_int_equal(try_push(b), -EBUSY);
			assert_said("queue 'q'");
			assert_said("single producer");
			assert_int_equal(zipc_queue_push(b, &n, ZIPC_FOREVER), -EBUSY);
			assert_int_equal(zipc_queue_push_n(b, &n, 1, 1), -EBUSY);
			assert_int_equal(zipc_queue_reserve(b, 1, &element, &ticket), -EBUSY);
			assert_int_equal(try_pop(b), -EBUSY);
			assert_said("single consumer");
			assert_int_equal(zipc_queue_pop(b, &n, ZIPC_FOREVER), -EBUSY);
			assert_int_equal(zipc_queue_pop_n(b, &n, 1, 1), -EBUSY);
			assert_int_equal(zipc_queue_acquire(b, 1, &element, &ticket), -EBUSY);
			assert_ok(zipc_queue_peek(b, &n)); /* needs no role */
			assert_int_equal(n, 2);
		}
		zipc_queue_close(a);
		assert_int_equal(rig_stats(second[0]).producer_pid, 0);
		push_u64(second[1], 4); /* given back; goes on where the other was */
		pop_u64(second[0], 2);
		assert_int_equal(try_push(second[0]), -EBUSY);
		assert_int_equal(try_pop(second[1]), -EBUSY);
		pop_u64(second[0], 3);
		pop_u64(second[0], 4);
		assert_int_equal(try_pop(second[0]), -EAGAIN);
		zipc_queue_close(second[1]);
		push_u64(second[0], 5);
		pop_u64(second[0], 5);
		rig_drop(segment, second[0]);
	}
	zipc_segment_close(other);
	zipc_segment_close(segment);
}

/* ---- end ------------------------------------------------------------------------------------ */

static void shutdown_delivers_what_was_accepted(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	uint64_t n = 0, ticket;
	void *element;
	for (uint32_t flags = 0; flags < 8; flags++) {
		zipc_queue *q = rig_queue(segment, 8, 4, flags);
		push_u64(q, 1);
		push_u64(q, 2);
		uint64_t t = reserve_u64(q, 3); /* begun before, finished after */
		assert_ok(zipc_queue_shutdown(q));
		assert_ok(zipc_queue_shutdown(q));
		assert_int_equal(rig_stats(q).shut_down, 1);
		assert_int_equal(try_push(q), -EPIPE);
		assert_int_equal(zipc_queue_push(q, &n, ZIPC_FOREVER), -EPIPE);
		assert_int_equal(zipc_queue_push_n(q, &n, 1, ZIPC_FOREVER), -EPIPE);
		assert_int_equal(zipc_queue_reserve(q, ZIPC_FOREVER, &element, &ticket), -EPIPE);
		pop_u64(q, 1);
		pop_u64(q, 2);
		assert_int_equal(try_pop(q), -EAGAIN); /* something is under way */
		assert_int_equal(zipc_queue_pop(q, &n, 1000), -ETIMEDOUT);
		assert_ok(zipc_queue_commit(q, t));
		assert_ok(zipc_queue_peek(q, &n));
		assert_int_equal(n, 3);
		pop_u64(q, 3);
		assert_int_equal(try_pop(q), -EPIPE);
		assert_int_equal(zipc_queue_pop(q, &n, ZIPC_FOREVER), -EPIPE);
		assert_int_equal(zipc_queue_pop_n(q, &n, 1, ZIPC_FOREVER), -EPIPE);
		assert_int_equal(zipc_queue_acquire(q, ZIPC_FOREVER, &element, &ticket), -EPIPE);
		assert_int_equal(zipc_queue_peek(q, &n), -EPIPE);
		rig_drop(segment, q);
		q = rig_queue(segment, 8, 4, flags); /* full, then shut down */
		for (int i = 0; i < 4; i++)
			push_u64(q, 7);
		assert_ok(zipc_queue_shutdown(q));
		assert_int_equal(try_push(q), -EPIPE);
		assert_int_equal(zipc_queue_push(q, &n, ZIPC_FOREVER), -EPIPE);
		rig_drop(segment, q);
		q = rig_queue(segment, 8, 4, flags); /* what was begun is given up */
		t = reserve_u64(q, 1);
		assert_ok(zipc_queue_shutdown(q));
		assert_ok(zipc_queue_abort(q, t));
		assert_int_equal(zipc_queue_pop(q, &n, ZIPC_FOREVER), -EPIPE);
		rig_drop(segment, q);
	}
	zipc_segment_close(segment);
}

static void at_least_once_ends_with_the_last_acknowledgement(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	uint64_t n;
	for (uint32_t flags = ALO; flags < 8; flags++) {
		zipc_queue *q = rig_queue(segment, 8, 4, flags);
		push_u64(q, 1);
		push_u64(q, 2);
		uint64_t one = acquire_u64(q, 1), two = acquire_u64(q, 2);
		assert_ok(zipc_queue_shutdown(q));
		assert_int_equal(try_pop(q), -EAGAIN);
		assert_int_equal(zipc_queue_pop(q, &n, 1000), -ETIMEDOUT);
		assert_ok(zipc_queue_release(q, two));
		assert_int_equal(try_pop(q), -EAGAIN);
		assert_ok(zipc_queue_requeue(q, one));
		one = acquire_u64(q, 1); /* delivered after the end */
		assert_ok(zipc_queue_release(q, one));
		assert_int_equal(try_pop(q), -EPIPE);
		rig_drop(segment, q);
	}
	zipc_segment_close(segment);
}

/* ---- reading only --------------------------------------------------------------------------- */

static void a_reader_looks(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	uint64_t n = 0, ticket;
	void *element;
	for (uint32_t flags = 0; flags < 8; flags++) {
		zipc_queue *q = rig_queue(segment, 8, 4, flags);
		zipc_segment *reader = rig_again(segment, ZIPC_SEGMENT_READ_ONLY);
		zipc_queue *seen = rig_open(reader);
		assert_int_equal(zipc_queue_peek(seen, &n), -EAGAIN);
		push_u64(q, 11);
		push_u64(q, 12);
		assert_ok(zipc_queue_peek(seen, &n));
		assert_int_equal(n, 11);
		pop_u64(q, 11);
		assert_ok(zipc_queue_peek(seen, &n));
		assert_int_equal(n, 12);
		assert_int_equal(zipc_queue_size(seen), 1);
		assert_int_equal(rig_stats(seen).pushed, 2);
		assert_false(zipc_queue_is_full(seen));
		assert_false(zipc_queue_is_empty(seen));
		assert_int_equal(try_push(seen), -EROFS);
		assert_int_equal(try_pop(seen), -EROFS);
		assert_int_equal(zipc_queue_push_n(seen, &n, 1, ZIPC_FOREVER), -EROFS);
		assert_int_equal(zipc_queue_pop_n(seen, &n, 1, ZIPC_FOREVER), -EROFS);
		assert_int_equal(zipc_queue_reserve(seen, 0, &element, &ticket), -EROFS);
		assert_int_equal(zipc_queue_acquire(seen, 0, &element, &ticket), -EROFS);
		assert_int_equal(zipc_queue_commit(seen, 0), -EROFS);
		assert_int_equal(zipc_queue_abort(seen, 0), -EROFS);
		assert_int_equal(zipc_queue_release(seen, 0), -EROFS);
		assert_int_equal(zipc_queue_shutdown(seen), -EROFS);
		pop_u64(q, 12);
		assert_ok(zipc_queue_shutdown(q));
		assert_int_equal(try_pop(q), -EPIPE);
		assert_int_equal(zipc_queue_peek(seen, &n), -EPIPE);
		rig_drop(segment, q);
		assert_int_equal(zipc_queue_peek(seen, &n), -ESTALE);
		zipc_queue_close(seen);
		zipc_segment_close(reader);
	}
	zipc_segment_close(segment);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(open_compares),
		cmocka_unit_test(elements_are_aligned),
		cmocka_unit_test(removed_while_open_splits),
		cmocka_unit_test(full_empty_and_deadlines),
		cmocka_unit_test(stats_of_other_callers),
		cmocka_unit_test(reservations_in_any_order),
		cmocka_unit_test(an_unfinished_push_holds_back_later_ones),
		cmocka_unit_test(reservations_of_a_single_producer),
		cmocka_unit_test(acquisitions_of_a_single_consumer),
		cmocka_unit_test(acquisitions_in_any_order),
		cmocka_unit_test(requeued_elements_come_again),
		cmocka_unit_test(numbers_while_something_is_requeued),
		cmocka_unit_test(tickets_are_used_once),
		cmocka_unit_test(roles_are_held_by_one_handle),
		cmocka_unit_test(shutdown_delivers_what_was_accepted),
		cmocka_unit_test(at_least_once_ends_with_the_last_acknowledgement),
		cmocka_unit_test(a_reader_looks),
	};
	return PEER_RUN("queue", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
