/* SPDX-License-Identifier: MIT */
/* Monitor: who is inside, who is notified, what is not stored, and what a death inside does. */
#include "sync/rig.h"

#define THREADS 5
#define ROUNDS	2000

/* What stands inside: no atomics, the monitor is what keeps it together. */
struct room {
	zipc_monitor *monitor;
	uint32_t waiting;
	uint32_t through;
	uint64_t items;
	uint64_t taken;
	uint64_t room;
};

static zipc_monitor *make(zipc_segment *segment)
{
	zipc_monitor *monitor = NULL;
	assert_ok(zipc_monitor_create(segment, "m", NULL, &monitor));
	return monitor;
}

static zipc_monitor *open_in(zipc_segment *segment)
{
	zipc_monitor *monitor = NULL;
	assert_ok(zipc_monitor_open(segment, "m", NULL, &monitor));
	return monitor;
}

static zipc_monitor_info info_of(zipc_monitor *monitor)
{
	zipc_monitor_info info = {.struct_size = sizeof info};
	assert_ok(zipc_monitor_get_info(monitor, &info));
	return info;
}

static int enter_now(void *monitor)
{
	int r = zipc_monitor_enter(monitor, ZIPC_NOWAIT);
	return r < 0 ? r : zipc_monitor_leave(monitor);
}

static int enter_and_end(void *monitor)
{
	return zipc_monitor_enter(monitor, 20 * S);
}

static int has_items(void *arg)
{
	return ((struct room *)arg)->items > 0;
}

static int has_room(void *arg)
{
	return ((struct room *)arg)->items < 3;
}

static int never(void *arg)
{
	(void)arg;
	return 0;
}

static void test_names_and_rules(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	uint64_t used = rig_used(segment);
	zipc_monitor *monitor = make(segment);
	(void)state;
	assert_int_equal(zipc_monitor_leave(monitor), -EPERM);
	assert_int_equal(zipc_monitor_wait(monitor, S), -EPERM);
	assert_int_equal(zipc_monitor_wait_until(monitor, never, NULL, S), -EPERM);
	assert_int_equal(zipc_monitor_notify_one(monitor), -EPERM);
	assert_int_equal(zipc_monitor_notify_all(monitor), -EPERM);
	assert_said("monitor 'm'");
	assert_ok(zipc_monitor_enter(monitor, ZIPC_NOWAIT));
	assert_int_equal(zipc_monitor_enter(monitor, ZIPC_FOREVER), -EDEADLK);
	assert_int_equal(errand_do(enter_now, monitor), -EAGAIN);
	assert_int_equal(zipc_monitor_wait(monitor, ZIPC_NOWAIT), -EAGAIN);
	assert_int_equal(zipc_monitor_wait_until(monitor, never, NULL, ZIPC_NOWAIT), -EAGAIN);
	assert_int_equal(info_of(monitor).owner_thread, gettid());
	/* nobody waits: it is not stored */
	assert_ok(zipc_monitor_notify_one(monitor));
	assert_ok(zipc_monitor_notify_all(monitor));
	assert_int_equal(zipc_monitor_wait(monitor, 1), -ETIMEDOUT);
	assert_int_equal(zipc_monitor_wait(monitor, 5 * MS), -ETIMEDOUT);
	assert_int_equal(zipc_monitor_wait_until(monitor, never, NULL, 5 * MS), -ETIMEDOUT);
	assert_int_equal(info_of(monitor).owner_thread, gettid());
	assert_ok(zipc_monitor_leave(monitor));
	assert_ok(errand_do(enter_now, monitor));
	zipc_monitor_close(monitor);
	assert_int_equal(zipc_monitor_open_or_create(segment, "m", NULL, &monitor), 0);
	zipc_monitor_close(monitor);
	zipc_monitor_close(NULL);
	assert_ok(zipc_monitor_remove(segment, "m"));
	rig_close(segment, used);
}

/* ---- notifying ------------------------------------------------------------------------------ */

static int wait_for_turn(void *arg)
{
	struct room *room = arg;
	int r = zipc_monitor_enter(room->monitor, 20 * S);
	if (r < 0)
		return r;
	room->waiting++;
	r = zipc_monitor_wait_until(room->monitor, has_items, room, 20 * S);
	if (r == 0) {
		room->items--;
		room->through++;
	}
	int left = zipc_monitor_leave(room->monitor);
	return r < 0 ? r : left;
}

static uint32_t read_inside(struct room *room, const uint32_t *value)
{
	assert_ok(zipc_monitor_enter(room->monitor, 20 * S));
	uint32_t n = *value;
	assert_ok(zipc_monitor_leave(room->monitor));
	return n;
}

static void wait_until_inside(struct room *room, const uint32_t *value, uint32_t n)
{
	for (int i = 0; i < 10000 && read_inside(room, value) < n; i++)
		nap_us(1000);
	assert_int_equal(read_inside(room, value), n);
}

static void put(struct room *room, uint64_t n, bool all)
{
	assert_ok(zipc_monitor_enter(room->monitor, 20 * S));
	room->items += n;
	assert_ok(all ? zipc_monitor_notify_all(room->monitor)
		      : zipc_monitor_notify_one(room->monitor));
	assert_ok(zipc_monitor_leave(room->monitor));
}

static void test_notify(void **state)
{
	zipc_segment *segment = rig_make_patient();
	struct room room = {.monitor = make(segment)};
	struct errand errands[THREADS];
	(void)state;
	for (int i = 0; i < THREADS; i++)
		errand_start(&errands[i], wait_for_turn, &room);
	wait_until_inside(&room, &room.waiting, THREADS);
	let_it_sleep();
	put(&room, 0, true); /* a notification for nothing */
	put(&room, 1, false);
	wait_until_inside(&room, &room.through, 1);
	put(&room, 1, false);
	wait_until_inside(&room, &room.through, 2);
	put(&room, THREADS - 2, true);
	for (int i = 0; i < THREADS; i++)
		assert_ok(errand_end(&errands[i]));
	assert_int_equal(room.through, THREADS);
	assert_sound(segment);
	zipc_monitor_close(room.monitor);
	rig_close_patient(segment);
}

/* ---- producers and consumers ----------------------------------------------------------------- */

static int produce(void *arg)
{
	struct room *room = arg;
	int r = 0;
	for (int i = 0; i < ROUNDS && r >= 0; i++) {
		r = zipc_monitor_enter(room->monitor, 20 * S);
		if (r == 0)
			r = zipc_monitor_wait_until(room->monitor, has_room, room, 20 * S);
		if (r < 0)
			return r;
		room->items++;
		zipc_monitor_notify_all(room->monitor);
		r = zipc_monitor_leave(room->monitor);
	}
	return r;
}

static int consume(void *arg)
{
	struct room *room = arg;
	int r = 0;
	for (int i = 0; i < ROUNDS && r >= 0; i++) {
		r = zipc_monitor_enter(room->monitor, 20 * S);
		if (r == 0)
			r = zipc_monitor_wait_until(room->monitor, has_items, room, 20 * S);
		if (r < 0)
			return r;
		room->items--;
		room->taken++;
		zipc_monitor_notify_all(room->monitor);
		r = zipc_monitor_leave(room->monitor);
	}
	return r;
}

static void test_bounded_buffer(void **state)
{
	zipc_segment *segment = rig_make_patient();
	struct room room = {.monitor = make(segment)};
	struct errand errands[4];
	(void)state;
	for (int i = 0; i < 4; i++)
		errand_start(&errands[i], i % 2 == 0 ? produce : consume, &room);
	for (int i = 0; i < 4; i++)
		assert_ok(errand_end(&errands[i]));
	assert_int_equal(room.items, 0);
	assert_int_equal(room.taken, 2 * ROUNDS);
	zipc_monitor_close(room.monitor);
	rig_close_patient(segment);
}

/* ---- deaths --------------------------------------------------------------------------------- */

static int wait_for_death(void *arg)
{
	struct room *room = arg;
	int r = zipc_monitor_enter(room->monitor, 20 * S);
	if (r < 0)
		return r;
	room->waiting = 1;
	r = zipc_monitor_wait_until(room->monitor, never, NULL, 20 * S);
	if (r == -EOWNERDEAD && zipc_monitor_wait(room->monitor, S) != -EINVAL)
		return -EPROTO;
	if (r == -EOWNERDEAD && zipc_monitor_consistent(room->monitor) != 0)
		return -EPROTO;
	int left = zipc_monitor_leave(room->monitor);
	return left < 0 ? left : r;
}

static void test_death_inside(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB), *other = rig_again(segment, 0);
	struct room room = {.monitor = make(segment)};
	zipc_monitor *theirs = open_in(other);
	struct errand waiter;
	(void)state;
	errand_start(&waiter, wait_for_death, &room);
	wait_until_inside(&room, &room.waiting, 1);
	let_it_sleep();
	assert_ok(zipc_monitor_enter(theirs, 20 * S));
	zipc_monitor_close(theirs);
	rig_close_and_wait(other);
	assert_int_equal(errand_end(&waiter), -EOWNERDEAD);
	/* a thread that ends inside */
	room.waiting = 0;
	errand_start(&waiter, wait_for_death, &room);
	wait_until_inside(&room, &room.waiting, 1);
	let_it_sleep();
	assert_ok(errand_do(enter_and_end, room.monitor));
	assert_int_equal(errand_end(&waiter), -EOWNERDEAD);
	assert_ok(zipc_monitor_enter(room.monitor, ZIPC_NOWAIT));
	assert_ok(zipc_monitor_leave(room.monitor));
	/* and not made consistent */
	assert_ok(errand_do(enter_and_end, room.monitor));
	assert_int_equal(zipc_monitor_enter(room.monitor, ZIPC_NOWAIT), -EOWNERDEAD);
	assert_ok(zipc_monitor_leave(room.monitor));
	assert_int_equal(zipc_monitor_enter(room.monitor, ZIPC_FOREVER), -ENOTRECOVERABLE);
	assert_int_equal(info_of(room.monitor).lost, 1);
	zipc_monitor_close(room.monitor);
	zipc_segment_close(segment);
}

static void test_interrupted(void **state)
{
	zipc_segment *segment = rig_make(256 * KIB);
	struct room room = {.monitor = make(segment)};
	struct errand waiter;
	(void)state;
	errand_start(&waiter, wait_for_turn, &room);
	wait_until_inside(&room, &room.waiting, 1);
	let_it_sleep();
	zipc_interrupt(segment);
	assert_int_equal(errand_end(&waiter), -ECANCELED);
	zipc_interrupt_clear(segment);
	assert_ok(errand_do(enter_now, room.monitor));
	zipc_monitor_close(room.monitor);
	zipc_segment_close(segment);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_and_rules), cmocka_unit_test(test_notify),
		cmocka_unit_test(test_bounded_buffer),	cmocka_unit_test(test_death_inside),
		cmocka_unit_test(test_interrupted),
	};
	return PEER_RUN("monitor", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
