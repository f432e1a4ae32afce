/* SPDX-License-Identifier: MIT */
/* Deaths at every instruction of what is done inside a monitor. */
#include "crash/sync_crash.h"

static int open_monitor(struct world *world)
{
	zipc_monitor *monitor = NULL;
	int r = world_attach(world);
	if (r == 0)
		r = zipc_monitor_open(world->segment, "x", NULL, &monitor);
	world->handle = monitor;
	return r;
}

/* Somebody has waited, so that who notifies looks for sleepers. */
static int setup(struct world *world)
{
	zipc_monitor *monitor;
	int r = zipc_monitor_create(world->segment, "x", NULL, &monitor);
	if (r == 0)
		r = zipc_monitor_enter(monitor, ZIPC_NOWAIT);
	if (r == 0 && zipc_monitor_wait(monitor, MS) != -ETIMEDOUT)
		r = -EPROTO;
	if (r == 0)
		r = zipc_monitor_leave(monitor);
	if (r == 0)
		zipc_monitor_close(monitor);
	return r;
}

static int prepare_inside(struct world *world)
{
	int r = open_monitor(world);
	return r < 0 ? r : zipc_monitor_enter(world->handle, ZIPC_NOWAIT);
}

static int operate_enter(struct world *world)
{
	return zipc_monitor_enter(world->handle, ZIPC_NOWAIT);
}

static int operate_leave(struct world *world)
{
	return zipc_monitor_leave(world->handle);
}

static int operate_wait(struct world *world)
{
	return zipc_monitor_wait(world->handle, MS) == -ETIMEDOUT ? 0 : -EPROTO;
}

static int operate_notify_one(struct world *world)
{
	return zipc_monitor_notify_one(world->handle);
}

static int operate_notify_all_and_leave(struct world *world)
{
	int r = zipc_monitor_notify_all(world->handle);
	return r < 0 ? r : zipc_monitor_leave(world->handle);
}

/* Enters, waits in vain, notifies, leaves; what it is told first. */
static void check(struct world *world, int before, int after)
{
	zipc_monitor *monitor;
	settle_first(world);
	int r = zipc_monitor_open(world->segment, "x", NULL, &monitor);
	if (r < 0) {
		complain(world, "open says %d: %s", r, zipc_last_error());
		return;
	}
	int told = zipc_monitor_enter(monitor, ZIPC_NOWAIT);
	if (told != 0 && told != -EOWNERDEAD)
		complain(world, "enter says %d: %s", told, zipc_last_error());
	if (not_begun(world))
		must(world, "enter, before", told, before);
	if (returned(world))
		must(world, "enter, after", told, after);
	if (told == -EOWNERDEAD)
		must(world, "consistent", zipc_monitor_consistent(monitor), 0);
	must(world, "wait", zipc_monitor_wait(monitor, 1), -ETIMEDOUT);
	must(world, "notify", zipc_monitor_notify_all(monitor), 0);
	must(world, "leave", zipc_monitor_leave(monitor), 0);
	must(world, "enter again", zipc_monitor_enter(monitor, ZIPC_NOWAIT), 0);
	must(world, "leave again", zipc_monitor_leave(monitor), 0);
	zipc_monitor_close(monitor);
	if (world->complaint[0] == '\0')
		world_is_clean(world);
}

static void check_enter(struct world *world)
{
	check(world, 0, -EOWNERDEAD);
}

static void check_inside(struct world *world)
{
	check(world, -EOWNERDEAD, -EOWNERDEAD);
}

static void check_leave(struct world *world)
{
	check(world, -EOWNERDEAD, 0);
}

static const struct scenario scenarios[] = {
	SCENE("enter", setup, open_monitor, operate_enter, check_enter),
	SCENE("leave", setup, prepare_inside, operate_leave, check_leave),
	SCENE("wait in vain", setup, prepare_inside, operate_wait, check_inside),
	SCENE("notify one", setup, prepare_inside, operate_notify_one, check_inside),
	SCENE("notify all and leave", setup, prepare_inside, operate_notify_all_and_leave,
	      check_leave),
};

static const struct family families[] = {
	FAMILY("monitor", scenarios),
};

static int all_tests(void)
{
	return run_families("monitor_crash", families, sizeof families / sizeof families[0]);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	victim_prefer_loops(argv);
	return peer_main(argc, argv, roles, all_tests);
}
