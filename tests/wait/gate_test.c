/* SPDX-License-Identifier: MIT */
/* Sleeping and waking: deadlines, one and all, the chain, interrupting, slices. */
#include "segment/rig.h"

#include "wait/gate.h"

#include <pthread.h>

#define MS UINT64_C(1000000)

static zipc_segment *make_slow(uint32_t flags, int64_t spin_ns)
{
	zipc_segment_options o = rig_options(ZIPC_BACKING_MEMFD, 1 * MIB);
	zipc_segment *segment = NULL;
	o.flags = flags;
	o.spin_ns = spin_ns;
	o.slice_min_ms = 2000; /* nobody is saved by the end of a slice */
	o.slice_max_ms = 2000;
	assert_ok(zipc_segment_create(unique_name("gate"), &o, &segment));
	return segment;
}

/* What waiters wait for: permits, one of which an attempt takes. */
struct permits {
	zipc_segment *segment;
	uint32_t gate;
	uint32_t permits;
	uint32_t attempts;
	uint32_t done;
	bool named;
};

static int take_permit(void *arg, bool *named)
{
	struct permits *s = arg;
	uint32_t n = __atomic_load_n(&s->permits, __ATOMIC_SEQ_CST);
	__atomic_add_fetch(&s->attempts, 1, __ATOMIC_SEQ_CST);
	*named = s->named;
	while (n > 0)
		if (__atomic_compare_exchange_n(&s->permits, &n, n - 1, false, __ATOMIC_SEQ_CST,
						__ATOMIC_SEQ_CST))
			return 7;
	return -EAGAIN;
}

static void give(struct permits *s, uint32_t n)
{
	__atomic_add_fetch(&s->permits, n, __ATOMIC_SEQ_CST);
}

struct waiter {
	struct permits *permits;
	int64_t timeout_ns;
	int result;
	uint64_t took_ns;
	pthread_t thread;
};

static void *wait_here(void *arg)
{
	struct waiter *w = arg;
	uint64_t start = now_ns();
	w->result = zi_gate_wait(w->permits->segment, &w->permits->gate, w->timeout_ns, take_permit,
				 w->permits);
	w->took_ns = now_ns() - start;
	__atomic_add_fetch(&w->permits->done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

static uint32_t gate_of(struct permits *s)
{
	return __atomic_load_n(&s->gate, __ATOMIC_SEQ_CST);
}

/* Starts waiters and lets them fall asleep. */
static void start(struct waiter *w, int n, struct permits *permits, int64_t timeout_ns)
{
	for (int i = 0; i < n; i++) {
		uint32_t before = __atomic_load_n(&permits->attempts, __ATOMIC_SEQ_CST);
		w[i] = (struct waiter){.permits = permits, .timeout_ns = timeout_ns, .result = -1};
		assert_ok(pthread_create(&w[i].thread, NULL, wait_here, &w[i]));
		assert_true(wait_until_at_least(&permits->attempts, before + 1));
	}
	while ((gate_of(permits) & ZI_GATE_SLEEPERS) == 0)
		nap_us(100);
	nap_us(3000);
}

static void join(struct waiter *w, int n)
{
	for (int i = 0; i < n; i++)
		pthread_join(w[i].thread, NULL);
}

static void a_deadline_passes(void **state)
{
	(void)state;
	struct permits s = {.segment = make_slow(0, ZIPC_SPIN_NONE)};
	static const int64_t timeouts[] = {1, 1000, 1000000, 30000000};
	for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
		struct waiter w = {.permits = &s, .timeout_ns = timeouts[i]};
		wait_here(&w);
		assert_int_equal(w.result, -ETIMEDOUT);
		assert_true(w.took_ns >= (uint64_t)timeouts[i]);
		assert_true(w.took_ns < (uint64_t)timeouts[i] + 500 * MS); /* no whole slice */
	}
	zipc_segment_close(s.segment);
}

/* What is ready is taken even at a deadline that has passed. */
static void ready_needs_no_sleep(void **state)
{
	(void)state;
	struct permits s = {.segment = make_slow(0, ZIPC_SPIN_NONE), .permits = 3};
	static const int64_t timeouts[] = {1, ZIPC_FOREVER, INT64_C(3000000000000)};
	for (int i = 0; i < 3; i++) {
		struct waiter w = {.permits = &s, .timeout_ns = timeouts[i]};
		wait_here(&w);
		assert_int_equal(w.result, 7);
		assert_true(w.took_ns < 20000 * MS);
	}
	zipc_segment_close(s.segment);
}

/* More than 2^31 ms, and for ever: woken, not timed out. */
static void long_timeouts_do_not_wrap(void **state)
{
	(void)state;
	static const int64_t timeouts[] = {INT64_C(2147483648) * 1000000,
					   INT64_C(4294967296) * 1000000 + 1, INT64_MAX,
					   ZIPC_FOREVER, INT64_MIN};
	for (size_t i = 0; i < sizeof timeouts / sizeof timeouts[0]; i++) {
		struct permits s = {.segment = make_slow(0, ZIPC_SPIN_NONE)};
		struct waiter w;
		start(&w, 1, &s, timeouts[i]);
		assert_int_equal(s.done, 0);
		give(&s, 1);
		zi_gate_signal(s.segment, &s.gate);
		join(&w, 1);
		assert_int_equal(w.result, 7);
		assert_true(w.took_ns < 1000 * MS); /* by the wake-up, not by its slice */
		zipc_segment_close(s.segment);
	}
}

/* Without the bit the word is left alone: so there is nobody whom a system call could wake. */
static void nobody_asleep_nothing_done(void **state)
{
	(void)state;
	zipc_segment *segment = make_slow(0, 0);
	uint32_t gate = 40;
	assert_false(zi_gate_occupied(&gate));
	zi_gate_signal(segment, &gate);
	zi_gate_wake_one(&gate);
	assert_int_equal(gate, 40);
	gate = 41; /* the bit, but nobody: taken away */
	assert_true(zi_gate_occupied(&gate));
	zi_gate_signal(segment, &gate);
	assert_int_equal(gate, 42);
	gate = UINT32_MAX; /* the epoch wraps */
	zi_gate_wake_one(&gate);
	assert_int_equal(gate, 0);
	zi_gate_wake_all(&gate);
	assert_int_equal(gate & ~ZI_GATE_SLEEPERS, 2);
	zipc_segment_close(segment);
}

static void one_wakes_one(void **state)
{
	(void)state;
	struct permits s = {.segment = make_slow(0, ZIPC_SPIN_NONE)};
	struct waiter w[3];
	start(w, 3, &s, ZIPC_FOREVER);
	for (uint32_t i = 1; i <= 3; i++) {
		uint32_t before = __atomic_load_n(&s.attempts, __ATOMIC_SEQ_CST);
		uint64_t began = now_ns();
		give(&s, 1);
		zi_gate_signal(s.segment, &s.gate);
		assert_true(wait_until_at_least(&s.done, i));
		assert_true(now_ns() - began < 1000 * MS);
		nap_us(2000);
		assert_int_equal(s.done, i);
		/* the others were left asleep: the woken one tries once or twice */
		assert_true(__atomic_load_n(&s.attempts, __ATOMIC_SEQ_CST) - before <= 2);
	}
	join(w, 3);
	zipc_segment_close(s.segment);
}

static void all_wakes_all(void **state)
{
	(void)state;
	struct permits s = {.segment = make_slow(0, ZIPC_SPIN_NONE)};
	struct waiter w[4];
	start(w, 4, &s, ZIPC_FOREVER);
	give(&s, 4);
	zi_gate_wake_all(&s.gate);
	join(w, 4);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(w[i].result, 7);
		assert_true(w[i].took_ns < 1500 * MS);
	}
	zipc_segment_close(s.segment);
}

/* A waiter that is woken in vain and then times out hands the wake-up on. */
static void an_unused_wake_up_is_passed_on(void **state)
{
	(void)state;
	struct permits hopeless = {.segment = make_slow(0, ZIPC_SPIN_NONE)}, *s = &hopeless;
	struct waiter first, second;
	start(&first, 1, s, 60 * (int64_t)MS);
	start(&second, 1, s, ZIPC_FOREVER);
	uint32_t before = __atomic_load_n(&s->attempts, __ATOMIC_SEQ_CST);
	zi_gate_wake_one(&s->gate); /* one of them, most likely the first that came */
	pthread_join(first.thread, NULL);
	assert_int_equal(first.result, -ETIMEDOUT);
	give(s, 1);
	zi_gate_signal(s->segment, &s->gate);
	pthread_join(second.thread, NULL);
	assert_int_equal(second.result, 7);
	assert_true(second.took_ns < 1500 * MS);
	assert_true(s->attempts > before);
	zipc_segment_close(s->segment);
}

static void interrupt_reaches_everybody(void **state)
{
	(void)state;
	struct permits s = {.segment = make_slow(0, ZIPC_SPIN_NONE)};
	struct permits t = {.segment = s.segment};
	struct waiter w[3], v[2];
	start(w, 3, &s, ZIPC_FOREVER);
	start(v, 2, &t, INT64_C(100000) * (int64_t)MS);
	uint64_t began = now_ns();
	zipc_interrupt(s.segment);
	join(w, 3);
	join(v, 2);
	assert_true(now_ns() - began < 1000 * MS);
	for (int i = 0; i < 3; i++)
		assert_int_equal(w[i].result, -ECANCELED);
	assert_int_equal(v[0].result, -ECANCELED);
	assert_int_equal(v[1].result, -ECANCELED);
	struct waiter later = {.permits = &s, .timeout_ns = ZIPC_FOREVER};
	wait_here(&later); /* yet to come */
	assert_int_equal(later.result, -ECANCELED);
	zipc_interrupt_clear(s.segment);
	later.timeout_ns = 1000;
	wait_here(&later);
	assert_int_equal(later.result, -ETIMEDOUT);
	zipc_segment_close(s.segment);
}

/* More waiters than the list that zipc_interrupt() walks has places. */
static void interrupt_reaches_more_than_it_lists(void **state)
{
	(void)state;
	enum { CROWD = ZI_WAITERS + 8 };
	static struct waiter w[CROWD];
	struct permits s = {.segment = make_slow(0, ZIPC_SPIN_NONE)};
	start(w, CROWD, &s, ZIPC_FOREVER);
	uint64_t began = now_ns();
	zipc_interrupt(s.segment);
	join(w, CROWD);
	assert_true(now_ns() - began < 1000 * MS);
	for (int i = 0; i < CROWD; i++)
		assert_int_equal(w[i].result, -ECANCELED);
	zipc_segment_close(s.segment);
}

/* A wake-up that was lost is made good at the end of a slice. */
static void slices_end(void **state)
{
	(void)state;
	struct permits s = {.segment = rig_make(1 * MIB)};
	struct waiter w;
	start(&w, 1, &s, ZIPC_FOREVER);
	give(&s, 1); /* and nobody is told */
	join(&w, 1);
	assert_int_equal(w.result, 7);
	assert_true(w.took_ns < 20000 * MS);
	zipc_segment_close(s.segment);
}

/* Held up by a named owner: looked at more often than the slices of the segment say. */
static void a_named_owner_is_looked_at_often(void **state)
{
	(void)state;
	struct permits s = {.segment = make_slow(0, ZIPC_SPIN_NONE), .named = true};
	struct waiter w;
	start(&w, 1, &s, ZIPC_FOREVER);
	give(&s, 1);
	join(&w, 1);
	assert_int_equal(w.result, 7);
	assert_true(w.took_ns < 20000 * MS);
	zipc_segment_close(s.segment);
}

/* Where no barrier can be sent to the wakers, slices are of 2 ms. */
static void without_membarrier_slices_are_short(void **state)
{
	(void)state;
	struct permits s = {.segment = make_slow(ZIPC_SEGMENT_NO_MEMBARRIER, ZIPC_SPIN_NONE)};
	struct waiter w;
	assert_true(s.segment->self->fence_needed != 0);
	assert_false(s.segment->membarrier);
	start(&w, 1, &s, ZIPC_FOREVER);
	give(&s, 1);
	join(&w, 1);
	assert_int_equal(w.result, 7);
	assert_true(w.took_ns < 20000 * MS);
	zipc_segment_close(s.segment);
}

/* However long a spin is allowed to be, it ends at the deadline, and its arithmetic fits. */
static void spins_end_at_the_deadline(void **state)
{
	(void)state;
	static const int64_t spins[] = {ZIPC_SPIN_NONE,	      0,	1, 1000000,
					INT64_C(10000000000), INT64_MAX};
	for (size_t i = 0; i < sizeof spins / sizeof spins[0]; i++) {
		struct permits s = {.segment = make_slow(0, spins[i])};
		struct waiter w = {.permits = &s, .timeout_ns = 2000000};
		wait_here(&w);
		assert_int_equal(w.result, -ETIMEDOUT);
		assert_true(w.took_ns >= 2 * MS && w.took_ns < 20000 * MS);
		give(&s, 1);
		wait_here(&w);
		assert_int_equal(w.result, 7);
		zipc_segment_close(s.segment);
	}
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_deadline_passes),
		cmocka_unit_test(ready_needs_no_sleep),
		cmocka_unit_test(long_timeouts_do_not_wrap),
		cmocka_unit_test(nobody_asleep_nothing_done),
		cmocka_unit_test(one_wakes_one),
		cmocka_unit_test(all_wakes_all),
		cmocka_unit_test(an_unused_wake_up_is_passed_on),
		cmocka_unit_test(interrupt_reaches_everybody),
		cmocka_unit_test(interrupt_reaches_more_than_it_lists),
		cmocka_unit_test(slices_end),
		cmocka_unit_test(a_named_owner_is_looked_at_often),
		cmocka_unit_test(without_membarrier_slices_are_short),
		cmocka_unit_test(spins_end_at_the_deadline),
	};
	return PEER_RUN("gate", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
