/* SPDX-License-Identifier: MIT */
/*
 * Threads that share one mapping, one handle or several, one attachment or two: for
 * ThreadSanitizer, which sees nothing across two mappings of different processes.
 */
#include "queue_rig.h"

#include <pthread.h>
#include <sched.h>

#define LANES_MAX 4
#define DEADLINE  INT64_C(30000000000)

struct stage {
	zipc_queue *producers[LANES_MAX], *consumers[LANES_MAX];
	uint32_t n_producers, n_consumers, items;
	uint32_t style; /* 0 push/pop, 1 batches, 2 in place, 3 without blocking */
	uint32_t flags;
	uint64_t seen[LANES_MAX]; /* by consumer: elements taken */
	uint64_t sum[LANES_MAX];
};

struct actor {
	struct stage *stage;
	uint32_t lane;
	int result;
	pthread_t thread;
};

/* ---- producers ------------------------------------------------------------------------------ */

static uint64_t item(uint32_t lane, uint32_t sequence)
{
	return (uint64_t)lane << 32 | sequence;
}

static int push_in_place(zipc_queue *q, uint64_t value)
{
	void *element;
	uint64_t ticket;
	int r = zipc_queue_reserve(q, DEADLINE, &element, &ticket);
	if (r == 0 && value % 16 == 3) { /* a hole before it */
		r = zipc_queue_abort(q, ticket);
		if (r == 0)
			r = zipc_queue_reserve(q, DEADLINE, &element, &ticket);
	}
	if (r < 0)
		return r;
	memcpy(element, &value, sizeof value);
	return zipc_queue_commit(q, ticket);
}

static int push_without_blocking(zipc_queue *q, uint64_t value)
{
	int r;
	while ((r = zipc_queue_push(q, &value, ZIPC_NOWAIT)) == -EAGAIN)
		sched_yield();
	return r;
}

static int push_batch(zipc_queue *q, uint32_t lane, uint32_t from, uint32_t to)
{
	uint64_t values[8];
	uint32_t n = to - from < 8 ? to - from : 8;
	for (uint32_t i = 0; i < n; i++)
		values[i] = item(lane, from + i);
	return zipc_queue_push_n(q, values, n, DEADLINE);
}

static void *produce(void *arg)
{
	struct actor *a = arg;
	zipc_queue *q = a->stage->producers[a->lane];
	int r = 0;
	for (uint32_t i = 1; i <= a->stage->items && r >= 0;) {
		uint64_t value = item(a->lane, i);
		switch (a->stage->style) {
		case 1:
			r = push_batch(q, a->lane, i, a->stage->items + 1);
			i += r > 0 ? (uint32_t)r : 0;
			continue;
		case 2:
			r = push_in_place(q, value);
			break;
		case 3:
			r = push_without_blocking(q, value);
			break;
		default:
			r = zipc_queue_push(q, &value, DEADLINE);
		}
		i++;
	}
	a->result = r < 0 ? r : 0;
	return NULL;
}

/* ---- consumers ------------------------------------------------------------------------------ */

static int pop_in_place(struct stage *stage, zipc_queue *q, uint64_t *out, bool *again)
{
	void *element;
	uint64_t ticket;
	*again = false;
	int r = zipc_queue_acquire(q, DEADLINE, &element, &ticket);
	if (r < 0)
		return r;
	memcpy(out, element, sizeof *out);
	if ((stage->flags & ALO) == 0)
		return zipc_queue_release(q, ticket) < 0 ? -EIO : 1;
	int deliveries = zipc_queue_deliveries(q, ticket);
	if (deliveries == 1 && *out % 8 == 5) {
		*again = true;
		return zipc_queue_requeue(q, ticket) < 0 ? -EIO : 1;
	}
	return deliveries < 1 || zipc_queue_release(q, ticket) < 0 ? -EIO : 1;
}

static int pop_some(struct stage *stage, zipc_queue *q, uint64_t *values, bool *again)
{
	int r;
	*again = false;
	switch (stage->style) {
	case 1:
		return zipc_queue_pop_n(q, values, 8, DEADLINE);
	case 2:
		return pop_in_place(stage, q, values, again);
	case 3:
		while ((r = zipc_queue_pop(q, values, ZIPC_NOWAIT)) == -EAGAIN)
			sched_yield();
		return r < 0 ? r : 1;
	default:
		r = zipc_queue_pop(q, values, DEADLINE);
		return r < 0 ? r : 1;
	}
}

/* Each consumer sees the elements of each producer in order; redelivered ones excepted. */
static void *consume(void *arg)
{
	struct actor *a = arg;
	struct stage *stage = a->stage;
	uint32_t last[LANES_MAX] = {0};
	uint64_t values[8];
	bool again;
	int r;
	while ((r = pop_some(stage, stage->consumers[a->lane], values, &again)) > 0) {
		for (int i = 0; i < r && !again; i++) {
			uint32_t lane = (uint32_t)(values[i] >> 32) % LANES_MAX;
			uint32_t sequence = (uint32_t)values[i];
			bool loose = (stage->flags & ALO) != 0 && stage->style == 2;
			if (!loose && sequence <= last[lane])
				r = -EBADMSG;
			last[lane] = sequence;
			stage->seen[a->lane]++;
			stage->sum[a->lane] += values[i];
		}
		if (r < 0)
			break;
	}
	a->result = r;
	return NULL;
}

/* ---- the play ------------------------------------------------------------------------------- */

static void open_handles(struct stage *stage, zipc_segment **segments, bool shared)
{
	zipc_queue *one = shared ? rig_open(segments[0]) : NULL;
	for (uint32_t i = 0; i < stage->n_producers; i++)
		stage->producers[i] = shared ? one : rig_open(segments[i % 2]);
	for (uint32_t i = 0; i < stage->n_consumers; i++)
		stage->consumers[i] = shared ? one : rig_open(segments[(i + 1) % 2]);
}

static void close_handles(struct stage *stage, bool shared)
{
	if (shared) {
		zipc_queue_close(stage->producers[0]);
		return;
	}
	for (uint32_t i = 0; i < stage->n_producers; i++)
		zipc_queue_close(stage->producers[i]);
	for (uint32_t i = 0; i < stage->n_consumers; i++)
		zipc_queue_close(stage->consumers[i]);
}

static void check_totals(const struct stage *stage)
{
	uint64_t seen = 0, sum = 0, expected = 0;
	for (uint32_t i = 0; i < stage->n_consumers; i++) {
		seen += stage->seen[i];
		sum += stage->sum[i];
	}
	for (uint32_t lane = 0; lane < stage->n_producers; lane++)
		for (uint32_t i = 1; i <= stage->items; i++)
			expected += item(lane, i);
	assert_int_equal(seen, (uint64_t)stage->n_producers * stage->items);
	assert_int_equal(sum, expected);
}

static void play(zipc_segment **segments, uint32_t flags, uint32_t style, bool shared)
{
	struct stage stage = {.flags = flags, .style = style, .items = 400};
	struct actor actors[2 * LANES_MAX];
	stage.n_producers = (flags & SP) != 0 ? 1 : 3;
	stage.n_consumers = (flags & SC) != 0 ? 1 : 3;
	zipc_queue_close(rig_queue(segments[0], 8, 16, flags));
	open_handles(&stage, segments, shared);
	for (uint32_t i = 0; i < stage.n_producers; i++) {
		actors[i] = (struct actor){.stage = &stage, .lane = i, .result = -1};
		assert_ok(pthread_create(&actors[i].thread, NULL, produce, &actors[i]));
	}
	for (uint32_t i = 0; i < stage.n_consumers; i++) {
		struct actor *c = &actors[LANES_MAX + i];
		*c = (struct actor){.stage = &stage, .lane = i, .result = -1};
		assert_ok(pthread_create(&c->thread, NULL, consume, c));
	}
	for (uint32_t i = 0; i < stage.n_producers; i++) {
		pthread_join(actors[i].thread, NULL);
		assert_ok(actors[i].result);
	}
	assert_ok(zipc_queue_shutdown(stage.producers[0]));
	for (uint32_t i = 0; i < stage.n_consumers; i++) {
		pthread_join(actors[LANES_MAX + i].thread, NULL);
		assert_int_equal(actors[LANES_MAX + i].result, -EPIPE);
	}
	check_totals(&stage);
	close_handles(&stage, shared);
	assert_ok(zipc_queue_remove(segments[0], "q"));
}

/* Threads of one attachment. */
static void play_all(uint32_t flags, bool shared)
{
	zipc_segment *segment = rig_make(16 * MIB);
	zipc_segment *segments[2] = {segment, segment};
	uint64_t used = rig_used(segment);
	for (uint32_t style = 0; style < 4; style++)
		play(segments, flags, style, shared);
	rig_close(segment, used);
}

static void many_to_many(void **state)
{
	(void)state;
	play_all(0, true);
	play_all(0, false);
}

static void one_to_many(void **state)
{
	(void)state;
	play_all(SP, true);
	play_all(SP, false);
}

static void many_to_one(void **state)
{
	(void)state;
	play_all(SC, true);
	play_all(SC, false);
}

static void one_to_one(void **state)
{
	(void)state;
	play_all(SP | SC, true);
	play_all(SP | SC, false);
}

static void at_least_once(void **state)
{
	(void)state;
	for (uint32_t flags = ALO; flags < 8; flags++)
		play_all(flags, flags % 2 == 0);
}

/* ---- races of the ends ----------------------------------------------------------------------- */

struct race {
	zipc_queue *queue;
	uint64_t accepted[2], popped;
};

static void *push_until_shut(void *arg)
{
	struct race *race = arg;
	static __thread uint64_t n;
	for (n = 1; zipc_queue_push(race->queue, &n, DEADLINE) == 0; n++)
		__atomic_add_fetch(&race->accepted[0], 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static void *pop_until_end(void *arg)
{
	struct race *race = arg;
	uint64_t n;
	while (zipc_queue_pop(race->queue, &n, DEADLINE) == 0)
		__atomic_add_fetch(&race->popped, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* What push accepted while somebody shuts down is delivered, exactly. */
static void shutdown_races(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(16 * MIB);
	uint64_t seed = seed_for("shutdown races");
	for (uint32_t round = 0; round < 160; round++) {
		uint32_t flags = round % 8;
		int producers = (flags & SP) != 0 ? 1 : 2, consumers = (flags & SC) != 0 ? 1 : 2;
		struct race race = {.queue = rig_queue(segment, 8, 4, flags)};
		pthread_t threads[4];
		for (int i = 0; i < producers + consumers; i++)
			assert_ok(pthread_create(&threads[i], NULL,
						 i < producers ? push_until_shut : pop_until_end,
						 &race));
		nap_us(random_below(&seed, 300));
		assert_ok(zipc_queue_shutdown(race.queue));
		for (int i = 0; i < producers + consumers; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(race.accepted[0], race.popped);
		assert_int_equal(try_pop(race.queue), -EPIPE); /* holes at most */
		rig_drop(segment, race.queue);
	}
	zipc_segment_close(segment);
}

static void *wait_to_push(void *arg)
{
	uint64_t n = 1;
	return (void *)(intptr_t)zipc_queue_push(arg, &n, ZIPC_FOREVER);
}

static void *wait_to_pop(void *arg)
{
	uint64_t n;
	return (void *)(intptr_t)zipc_queue_pop(arg, &n, ZIPC_FOREVER);
}

/* Everybody who sleeps is told: by an interrupt, by a shutdown. */
static void sleepers_are_told(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(16 * MIB);
	for (int shut = 0; shut < 2; shut++) {
		zipc_queue *full = rig_queue(segment, 8, 1, 0), *empty;
		push_u64(full, 1);
		assert_ok(zipc_queue_create(segment, "empty", 8, 1, NULL, &empty));
		pthread_t threads[4];
		for (int i = 0; i < 4; i++)
			assert_ok(pthread_create(&threads[i], NULL,
						 i < 2 ? wait_to_push : wait_to_pop,
						 i < 2 ? full : empty));
		nap_us(5000);
		if (shut != 0) {
			assert_ok(zipc_queue_shutdown(full));
			assert_ok(zipc_queue_shutdown(empty));
		} else {
			zipc_interrupt(segment);
		}
		for (int i = 0; i < 4; i++) {
			void *result;
			pthread_join(threads[i], &result);
			assert_int_equal((intptr_t)result, shut != 0 ? -EPIPE : -ECANCELED);
		}
		zipc_interrupt_clear(segment);
		zipc_queue_close(empty);
		assert_ok(zipc_remove(segment, "empty"));
		rig_drop(segment, full);
	}
	zipc_segment_close(segment);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_to_many),	     cmocka_unit_test(one_to_many),
		cmocka_unit_test(many_to_one),	     cmocka_unit_test(one_to_one),
		cmocka_unit_test(at_least_once),     cmocka_unit_test(shutdown_races),
		cmocka_unit_test(sleepers_are_told),
	};
	return PEER_RUN("queue threads", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
