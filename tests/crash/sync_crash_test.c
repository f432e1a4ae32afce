/* SPDX-License-Identifier: MIT */
/*
 * Deaths at every instruction of every operation of semaphore, event and latch; and stops, at those
 * that are called lock-free.
 */
#include "crash/sync_crash.h"

/* ---- semaphore ------------------------------------------------------------------------------ */

#define PERMITS 3u

static int open_semaphore(struct world *world)
{
	zipc_semaphore *semaphore = NULL;
	int r = world_attach(world);
	if (r == 0)
		r = zipc_semaphore_open(world->segment, "x", NULL, &semaphore);
	world->handle = semaphore;
	return r;
}

static int create_semaphore(struct world *world, uint32_t flags)
{
	zipc_semaphore_options o = ZIPC_SEMAPHORE_OPTIONS_INIT;
	zipc_semaphore *semaphore;
	o.flags = flags;
	int r = zipc_semaphore_create(world->segment, "x", PERMITS, PERMITS, &o, &semaphore);
	if (r == 0)
		zipc_semaphore_close(semaphore);
	return r;
}

static int setup_counting(struct world *world)
{
	return create_semaphore(world, 0);
}

static int setup_owned(struct world *world)
{
	return create_semaphore(world, ZIPC_SEMAPHORE_OWNED);
}

/* One who is gone has two of the permits. */
static int setup_owned_dead(struct world *world)
{
	zipc_segment *mine = world->segment;
	int r = setup_owned(world);
	if (r == 0)
		r = open_semaphore(world);
	if (r == 0)
		r = zipc_semaphore_acquire(world->handle, 2, ZIPC_NOWAIT);
	zipc_semaphore_close(world->handle);
	zipc_segment_close(world->segment);
	world->segment = mine;
	return r;
}

static int prepare_acquired(struct world *world)
{
	int r = open_semaphore(world);
	return r < 0 ? r : zipc_semaphore_acquire(world->handle, 2, ZIPC_NOWAIT);
}

static int operate_acquire_one(struct world *world)
{
	return zipc_semaphore_acquire(world->handle, 1, ZIPC_NOWAIT);
}

static int operate_acquire_two(struct world *world)
{
	return zipc_semaphore_acquire(world->handle, 2, ZIPC_NOWAIT);
}

static int operate_release_two(struct world *world)
{
	return zipc_semaphore_release(world->handle, 2);
}

/* Two are gone already. */
static int operate_acquire_waiting(struct world *world)
{
	int r = zipc_semaphore_acquire(world->handle, 2, MS);
	return r == -ETIMEDOUT ? 0 : -EPROTO;
}

static zipc_semaphore *reopen_semaphore(struct world *world)
{
	zipc_semaphore *semaphore = NULL;
	settle_first(world);
	int r = zipc_semaphore_open(world->segment, "x", NULL, &semaphore);
	if (r < 0)
		complain(world, "open says %d: %s", r, zipc_last_error());
	return semaphore;
}

/* The dead have none: all can be taken, in one go or one by one, and no more. */
static void check_owned(struct world *world)
{
	zipc_semaphore *s = reopen_semaphore(world);
	if (s == NULL)
		return;
	must(world, "value", (int)zipc_semaphore_value(s), PERMITS);
	if (world->mood == 1) {
		must(world, "acquire", zipc_semaphore_acquire(s, PERMITS, ZIPC_NOWAIT), 0);
	} else {
		for (uint32_t i = 0; i < PERMITS; i++)
			must(world, "acquire", zipc_semaphore_acquire(s, 1, ZIPC_NOWAIT), 0);
	}
	must(world, "one more", zipc_semaphore_acquire(s, 1, ZIPC_NOWAIT), -EAGAIN);
	must(world, "release", zipc_semaphore_release(s, PERMITS), 0);
	must(world, "all at once", zipc_semaphore_acquire(s, PERMITS, ZIPC_NOWAIT), 0);
	must(world, "release", zipc_semaphore_release(s, PERMITS), 0);
	zipc_semaphore_close(s);
	world_is_clean(world);
}

/* Done or not, nothing in between. */
static void check_counting(struct world *world)
{
	uint32_t before = PERMITS, after = PERMITS;
	if (world->scenario->operate == operate_acquire_two)
		after = PERMITS - 2;
	else
		before = PERMITS - 2;
	if (world->scenario->operate == operate_acquire_waiting)
		after = before;
	zipc_semaphore *s = reopen_semaphore(world);
	if (s == NULL)
		return;
	uint32_t value = zipc_semaphore_value(s);
	if (value != before && value != after)
		complain(world, "value is %u", value);
	if (not_begun(world))
		must(world, "value, before", (int)value, (int)before);
	if (returned(world))
		must(world, "value, after", (int)value, (int)after);
	for (uint32_t i = 0; i < value; i++)
		must(world, "acquire", zipc_semaphore_acquire(s, 1, ZIPC_NOWAIT), 0);
	must(world, "one more", zipc_semaphore_acquire(s, 1, ZIPC_NOWAIT), -EAGAIN);
	must(world, "release", zipc_semaphore_release(s, PERMITS), 0);
	zipc_semaphore_close(s);
	world_is_clean(world);
}

static const struct scenario semaphore_scenarios[] = {
	SCENE("counting, acquire", setup_counting, open_semaphore, operate_acquire_two,
	      check_counting),
	SCENE("counting, release", setup_counting, prepare_acquired, operate_release_two,
	      check_counting),
	SCENE("counting, acquire in vain", setup_counting, prepare_acquired,
	      operate_acquire_waiting, check_counting),
	SCENE("owned, acquire", setup_owned, open_semaphore, operate_acquire_one, check_owned),
	SCENE("owned, acquire two", setup_owned, open_semaphore, operate_acquire_two, check_owned),
	SCENE("owned, acquire a dead one's", setup_owned_dead, open_semaphore, operate_acquire_two,
	      check_owned),
	SCENE("owned, release", setup_owned, prepare_acquired, operate_release_two, check_owned),
	SCENE("owned, acquire in vain", setup_owned, prepare_acquired, operate_acquire_waiting,
	      check_owned),
};

/* ---- event and latch ------------------------------------------------------------------------ */

static int create_event(struct world *world, uint32_t flags, bool set)
{
	zipc_event_options o = ZIPC_EVENT_OPTIONS_INIT;
	zipc_event *event;
	o.flags = flags;
	int r = zipc_event_create(world->segment, "x", &o, &event);
	if (r == 0 && set)
		r = zipc_event_set(event);
	if (r == 0)
		zipc_event_close(event);
	return r;
}

static int setup_event(struct world *world)
{
	return create_event(world, 0, false);
}

static int setup_event_auto(struct world *world)
{
	return create_event(world, ZIPC_EVENT_AUTO, false);
}

static int setup_event_auto_set(struct world *world)
{
	return create_event(world, ZIPC_EVENT_AUTO, true);
}

static int open_event(struct world *world)
{
	zipc_event *event = NULL;
	int r = world_attach(world);
	if (r == 0)
		r = zipc_event_open(world->segment, "x", NULL, &event);
	world->handle = event;
	return r;
}

static int operate_set(struct world *world)
{
	return zipc_event_set(world->handle);
}

static int operate_pulse(struct world *world)
{
	return zipc_event_pulse(world->handle);
}

static int operate_set_and_reset(struct world *world)
{
	int r = zipc_event_set(world->handle);
	return r < 0 ? r : zipc_event_reset(world->handle);
}

static int operate_event_wait(struct world *world)
{
	return zipc_event_wait(world->handle, ZIPC_NOWAIT);
}

static int operate_event_wait_in_vain(struct world *world)
{
	return zipc_event_wait(world->handle, MS) == -ETIMEDOUT ? 0 : -EPROTO;
}

/* It works as one that was never touched by the dead; `before` and `after`: is it set? */
static void check_event(struct world *world, int before, int after)
{
	zipc_event *event;
	settle_first(world);
	int r = zipc_event_open(world->segment, "x", NULL, &event);
	if (r < 0) {
		complain(world, "open says %d", r);
		return;
	}
	int set = zipc_event_is_set(event);
	bool automatic = (zipc_event_flags(event) & ZIPC_EVENT_AUTO) != 0;
	if (not_begun(world))
		must(world, "is_set, before", set, before);
	if (returned(world))
		must(world, "is_set, after", set, after);
	must(world, "wait", zipc_event_wait(event, ZIPC_NOWAIT), set ? 0 : -EAGAIN);
	must(world, "wait again", zipc_event_wait(event, ZIPC_NOWAIT),
	     set && !automatic ? 0 : -EAGAIN);
	must(world, "pulse", zipc_event_pulse(event), 0);
	must(world, "wait after pulse", zipc_event_wait(event, ZIPC_NOWAIT), -EAGAIN);
	must(world, "set", zipc_event_set(event), 0);
	must(world, "wait after set", zipc_event_wait(event, ZIPC_NOWAIT), 0);
	must(world, "reset", zipc_event_reset(event), 0);
	must(world, "wait after reset", zipc_event_wait(event, ZIPC_NOWAIT), -EAGAIN);
	zipc_event_close(event);
	world_is_clean(world);
}

static void check_event_set(struct world *world)
{
	check_event(world, 0, 1);
}

static void check_event_not_set(struct world *world)
{
	check_event(world, 0, 0);
}

static void check_event_used_up(struct world *world)
{
	check_event(world, 1, 0);
}

#define COUNT 3u

static int setup_latch(struct world *world)
{
	zipc_latch *latch;
	int r = zipc_latch_create(world->segment, "x", COUNT, NULL, &latch);
	if (r == 0)
		zipc_latch_close(latch);
	return r;
}

static int open_latch(struct world *world)
{
	zipc_latch *latch = NULL;
	int r = world_attach(world);
	if (r == 0)
		r = zipc_latch_open(world->segment, "x", NULL, &latch);
	world->handle = latch;
	return r;
}

static int operate_count_down(struct world *world)
{
	return zipc_latch_count_down(world->handle, COUNT);
}

static int operate_arrive(struct world *world)
{
	return zipc_latch_arrive_and_wait(world->handle, MS) == -ETIMEDOUT ? 0 : -EPROTO;
}

static void check_latch(struct world *world)
{
	uint32_t after = world->scenario->operate == operate_arrive ? COUNT - 1 : 0;
	zipc_latch *latch;
	settle_first(world);
	int r = zipc_latch_open(world->segment, "x", NULL, &latch);
	if (r < 0) {
		complain(world, "open says %d", r);
		return;
	}
	uint32_t count = zipc_latch_count(latch);
	if ((count != COUNT || returned(world)) && (count != after || not_begun(world)))
		complain(world, "%u are left", count);
	must(world, "wait", zipc_latch_wait(latch, ZIPC_NOWAIT), count == 0 ? 0 : -EAGAIN);
	if (count > 0)
		must(world, "count_down", zipc_latch_count_down(latch, count), 0);
	must(world, "wait at last", zipc_latch_wait(latch, ZIPC_NOWAIT), 0);
	zipc_latch_close(latch);
	world_is_clean(world);
}

static const struct scenario event_scenarios[] = {
	SCENE("event, set", setup_event, open_event, operate_set, check_event_set),
	SCENE("event, set and reset", setup_event, open_event, operate_set_and_reset,
	      check_event_not_set),
	SCENE("event, pulse", setup_event, open_event, operate_pulse, check_event_not_set),
	SCENE("event, wait in vain", setup_event, open_event, operate_event_wait_in_vain,
	      check_event_not_set),
	SCENE("auto event, set", setup_event_auto, open_event, operate_set, check_event_set),
	SCENE("auto event, wait", setup_event_auto_set, open_event, operate_event_wait,
	      check_event_used_up),
	SCENE("latch, count down", setup_latch, open_latch, operate_count_down, check_latch),
	SCENE("latch, arrive and wait", setup_latch, open_latch, operate_arrive, check_latch),
};

/* ---- tests ---------------------------------------------------------------------------------- */

/* ---- stopped -------------------------------------------------------------------------------- */

/* The victim is stopped somewhere inside; what is lock-free goes on beside it. */
static void beside_counting(struct world *world)
{
	zipc_semaphore *s = reopen_semaphore(world);
	if (s == NULL)
		return;
	must(world, "acquire beside", zipc_semaphore_acquire(s, 1, ZIPC_NOWAIT), 0);
	must(world, "release beside", zipc_semaphore_release(s, 1), 0);
	zipc_semaphore_close(s);
}

static void after_counting(struct world *world)
{
	zipc_semaphore *s = reopen_semaphore(world);
	if (s == NULL)
		return;
	bool taken = world->scenario->operate == operate_acquire_two;
	must(world, "value at last", (int)zipc_semaphore_value(s), taken ? 1 : (int)PERMITS);
	zipc_semaphore_close(s);
}

static void beside_event(struct world *world)
{
	zipc_event *event = NULL;
	int r = zipc_event_open(world->segment, "x", NULL, &event);
	must(world, "open beside", r, 0);
	must(world, "set beside", zipc_event_set(event), 0);
	must(world, "wait beside", zipc_event_wait(event, ZIPC_NOWAIT), 0);
	must(world, "pulse beside", zipc_event_pulse(event), 0);
	must(world, "wait after pulse", zipc_event_wait(event, ZIPC_NOWAIT), -EAGAIN);
	zipc_event_close(event);
}

static void after_event(struct world *world)
{
	must(world, "the victim's set", world->notes->result, 0);
}

static void beside_latch(struct world *world)
{
	zipc_latch *latch = NULL;
	int r = zipc_latch_open(world->segment, "x", NULL, &latch);
	must(world, "open beside", r, 0);
	must(world, "count_down beside", zipc_latch_count_down(latch, 1), 0);
	zipc_latch_close(latch);
}

static void after_latch(struct world *world)
{
	zipc_latch *latch = NULL;
	int r = zipc_latch_open(world->segment, "x", NULL, &latch);
	must(world, "open at last", r, 0);
	must(world, "count at last", (int)zipc_latch_count(latch), (int)COUNT - 2);
	zipc_latch_close(latch);
}

#define STOP(text, up, prepared, op, meanwhile, afterwards)                                        \
	{                                                                                          \
		.name = text, .moods = 1, .setup = up, .prepare = prepared, .operate = op,         \
		.stopped = meanwhile, .finished = afterwards                                       \
	}

static const struct scenario stop_scenarios[] = {
	STOP("counting, acquire", setup_counting, open_semaphore, operate_acquire_two,
	     beside_counting, after_counting),
	STOP("counting, release", setup_counting, prepare_acquired, operate_release_two,
	     beside_counting, after_counting),
	STOP("owned, release", setup_owned, prepare_acquired, operate_release_two, beside_counting,
	     after_counting),
	STOP("event, set", setup_event, open_event, operate_set, beside_event, after_event),
	STOP("event, pulse", setup_event, open_event, operate_pulse, beside_event, after_event),
	STOP("latch, arrive and wait", setup_latch, open_latch, operate_arrive, beside_latch,
	     after_latch),
};

static void test_stop(void **state)
{
	(void)state;
	stop_at_run_all(stop_scenarios, sizeof stop_scenarios / sizeof stop_scenarios[0], &killed);
}

static const struct family families[] = {
	FAMILY("semaphore", semaphore_scenarios),
	FAMILY("event and latch", event_scenarios),
};

static int all_tests(void)
{
	const struct CMUnitTest stops[] = {cmocka_unit_test(test_stop)};
	int r = PEER_RUN("sync_stop", stops);
	return run_families("sync_crash", families, sizeof families / sizeof families[0]) + r;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	victim_prefer_loops(argv);
	return peer_main(argc, argv, roles, all_tests);
}
