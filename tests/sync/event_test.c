/* SPDX-License-Identifier: MIT */
/* Event: whom set, reset and pulse let through, in both kinds. */
#include "sync/rig.h"

#define THREADS 5
#define ROUNDS	2000

static zipc_event *make(zipc_segment *segment, uint32_t flags)
{
	zipc_event_options o = ZIPC_EVENT_OPTIONS_INIT;
	zipc_event *event = NULL;
	o.flags = flags;
	assert_ok(zipc_event_create(segment, "e", &o, &event));
	return event;
}

static int wait_long(void *event)
{
	return zipc_event_wait(event, 20 * S);
}

static int wait_now(void *event)
{
	return zipc_event_wait(event, ZIPC_NOWAIT);
}

static void start_waiters(struct errand *errands, zipc_event *event)
{
	for (int i = 0; i < THREADS; i++)
		errand_start(&errands[i], wait_long, event);
	let_it_sleep();
	for (int i = 0; i < THREADS; i++)
		assert_false(errand_is_over(&errands[i]));
}

static void end_waiters(struct errand *errands)
{
	for (int i = 0; i < THREADS; i++)
		assert_ok(errand_end(&errands[i]));
}

static void test_manual(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	uint64_t used = rig_used(segment);
	zipc_event *event = make(segment, 0), *again = NULL;
	struct errand errands[THREADS];
	(void)state;
	assert_false(zipc_event_is_set(event));
	assert_int_equal(wait_now(event), -EAGAIN);
	assert_int_equal(zipc_event_wait(event, 1), -ETIMEDOUT);
	start_waiters(errands, event);
	assert_ok(zipc_event_set(event));
	assert_ok(zipc_event_set(event));
	end_waiters(errands);
	assert_ok(wait_now(event));
	assert_ok(wait_now(event));
	assert_true(zipc_event_is_set(event));
	assert_ok(zipc_event_reset(event));
	assert_ok(zipc_event_reset(event));
	assert_int_equal(wait_now(event), -EAGAIN);
	/* who waits at the set gets through though it is reset at once */
	start_waiters(errands, event);
	assert_ok(zipc_event_set(event));
	assert_ok(zipc_event_reset(event));
	end_waiters(errands);
	assert_int_equal(wait_now(event), -EAGAIN);
	zipc_event_close(event);
	assert_int_equal(zipc_event_open_or_create(segment, "e", NULL, &again), 0);
	zipc_event_close(again);
	zipc_event_close(NULL);
	assert_ok(zipc_event_remove(segment, "e"));
	rig_close(segment, used);
}

static void test_auto(void **state)
{
	zipc_segment *segment = rig_make_patient();
	zipc_event *event = make(segment, ZIPC_EVENT_AUTO);
	struct errand errands[THREADS];
	(void)state;
	assert_int_equal(zipc_event_flags(event), ZIPC_EVENT_AUTO);
	for (int i = 0; i < 3; i++)
		assert_ok(zipc_event_set(event)); /* it does not count */
	assert_ok(wait_now(event));
	assert_int_equal(wait_now(event), -EAGAIN);
	start_waiters(errands, event);
	for (int n = 1; n <= THREADS; n++) {
		int over = 0;
		assert_ok(zipc_event_set(event));
		for (int i = 0; i < 10000 && over < n; i++) {
			nap_us(1000);
			over = 0;
			for (int j = 0; j < THREADS; j++)
				over += errand_is_over(&errands[j]);
		}
		assert_int_equal(over, n);
	}
	end_waiters(errands);
	assert_int_equal(wait_now(event), -EAGAIN);
	zipc_event_close(event);
	rig_close_patient(segment);
}

static void pulse_lets_through(uint32_t flags)
{
	zipc_segment *segment = rig_make_patient();
	zipc_event *event = make(segment, flags);
	struct errand errands[THREADS], late;
	assert_ok(zipc_event_pulse(event)); /* nobody waits: it does not stick */
	assert_int_equal(wait_now(event), -EAGAIN);
	start_waiters(errands, event);
	assert_ok(zipc_event_pulse(event));
	errand_start(&late, wait_long, event);
	end_waiters(errands);
	let_it_sleep();
	assert_false(errand_is_over(&late));
	assert_ok(zipc_event_set(event));
	assert_ok(errand_end(&late));
	assert_ok(zipc_event_set(event));
	assert_ok(zipc_event_pulse(event));
	assert_false(zipc_event_is_set(event));
	zipc_event_close(event);
	rig_close_patient(segment);
}

static void test_pulse(void **state)
{
	(void)state;
	pulse_lets_through(0);
	pulse_lets_through(ZIPC_EVENT_AUTO);
}

/* ---- an auto event as a turnstile ------------------------------------------------------------ */

struct turnstile {
	zipc_event *event;
	uint64_t inside[2]; /* no atomics: the event is what keeps them equal */
};

static int pass(void *arg)
{
	struct turnstile *t = arg;
	for (int i = 0; i < ROUNDS; i++) {
		int r = zipc_event_wait(t->event, 20 * S);
		if (r < 0)
			return r;
		if (t->inside[0] != t->inside[1])
			return -EBADMSG;
		t->inside[0]++;
		t->inside[1]++;
		r = zipc_event_set(t->event);
		if (r < 0)
			return r;
	}
	return 0;
}

static void test_turnstile(void **state)
{
	zipc_segment *segment = rig_make_patient();
	struct turnstile t = {.event = make(segment, ZIPC_EVENT_AUTO)};
	struct errand errands[THREADS];
	(void)state;
	assert_ok(zipc_event_set(t.event));
	for (int i = 0; i < THREADS; i++)
		errand_start(&errands[i], pass, &t);
	end_waiters(errands);
	assert_int_equal(t.inside[0], THREADS * ROUNDS);
	zipc_event_close(t.event);
	rig_close_patient(segment);
}

static void test_read_only_and_interrupted(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	zipc_event *event = make(segment, 0), *seen = NULL;
	zipc_segment *looker = rig_again(segment, ZIPC_SEGMENT_READ_ONLY);
	struct errand errand;
	(void)state;
	assert_ok(zipc_event_open(looker, "e", NULL, &seen));
	assert_int_equal(zipc_event_set(seen), -EROFS);
	assert_int_equal(wait_now(seen), -EROFS);
	errand_start(&errand, wait_long, event);
	let_it_sleep();
	zipc_interrupt(segment);
	assert_int_equal(errand_end(&errand), -ECANCELED);
	zipc_interrupt_clear(segment);
	assert_ok(zipc_event_set(event));
	assert_true(zipc_event_is_set(seen));
	zipc_event_close(seen);
	zipc_segment_close(looker);
	zipc_event_close(event);
	zipc_segment_close(segment);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manual),
		cmocka_unit_test(test_auto),
		cmocka_unit_test(test_pulse),
		cmocka_unit_test(test_turnstile),
		cmocka_unit_test(test_read_only_and_interrupted),
	};
	return PEER_RUN("event", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
