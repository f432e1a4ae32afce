/* SPDX-License-Identifier: MIT */
/* Deaths at every instruction of every operation of a barrier; the survivor takes part in it. */
#include "crash/sync_crash.h"

/* A participant that survives: this thread of this process, without a handle. */
static int create(struct world *world, uint32_t participants, bool join)
{
	zipc_barrier *barrier;
	int r = zipc_barrier_create(world->segment, "x", participants, NULL, &barrier);
	if (r == 0 && join)
		r = zipc_barrier_join(barrier);
	if (r == 0)
		zipc_barrier_close(barrier);
	return r;
}

static int setup_two(struct world *world)
{
	return create(world, 2, true);
}

static int setup_one(struct world *world)
{
	return create(world, 1, false);
}

static int open_barrier(struct world *world)
{
	zipc_barrier *barrier = NULL;
	int r = world_attach(world);
	if (r == 0)
		r = zipc_barrier_open(world->segment, "x", NULL, &barrier);
	world->handle = barrier;
	return r;
}

static int prepare_joined(struct world *world)
{
	int r = open_barrier(world);
	return r < 0 ? r : zipc_barrier_join(world->handle);
}

static int setup_broken(struct world *world)
{
	zipc_segment *mine = world->segment;
	int r = setup_two(world);
	if (r == 0)
		r = prepare_joined(world);
	if (r == 0 && zipc_barrier_wait(world->handle, 1) != -ETIMEDOUT)
		r = -EPROTO;
	zipc_barrier_close(world->handle);
	zipc_segment_close(world->segment);
	world->segment = mine;
	return r;
}

static int operate_join(struct world *world)
{
	return zipc_barrier_join(world->handle);
}

/* Alone, it is its own leader. */
static int operate_wait(struct world *world)
{
	int r = zipc_barrier_join(world->handle);
	return r < 0 ? r : zipc_barrier_wait(world->handle, ZIPC_NOWAIT) == 1 ? 0 : -EPROTO;
}

/* The survivor does not come. */
static int operate_wait_in_vain(struct world *world)
{
	return zipc_barrier_wait(world->handle, MS) == -ETIMEDOUT ? 0 : -EPROTO;
}

static int operate_drop(struct world *world)
{
	return zipc_barrier_arrive_and_drop(world->handle);
}

static int operate_reset(struct world *world)
{
	return zipc_barrier_reset(world->handle);
}

static zipc_barrier *reopen(struct world *world)
{
	zipc_barrier *barrier = NULL;
	settle_first(world);
	int r = zipc_barrier_open(world->segment, "x", NULL, &barrier);
	if (r < 0)
		complain(world, "open says %d: %s", r, zipc_last_error());
	return barrier;
}

/* After a reset it goes round by round, whoever is dead; with as many as it was made for. */
static void start_anew(struct world *world, zipc_barrier *barrier, bool joined)
{
	zipc_barrier_info info = {.struct_size = sizeof info};
	must(world, "reset", zipc_barrier_reset(barrier), 0);
	must(world, "join", zipc_barrier_join(barrier), joined ? -EEXIST : 0);
	zipc_barrier_get_info(barrier, &info);
	must(world, "joined", (int)info.joined, 1);
	must(world, "arrived", (int)info.arrived, 0);
	must(world, "broken", (int)info.broken, 0);
	if (info.participants == 1) {
		must(world, "a round", zipc_barrier_wait(barrier, ZIPC_NOWAIT), 1);
		must(world, "another round", zipc_barrier_wait(barrier, ZIPC_NOWAIT), 1);
	}
	zipc_barrier_close(barrier);
	if (world->complaint[0] == '\0')
		world_is_clean(world);
}

/* The survivor waits: for a dead one it never waits long. */
static void check_two(struct world *world)
{
	zipc_barrier *barrier = reopen(world);
	if (barrier == NULL)
		return;
	int r = zipc_barrier_wait(barrier, 20000 * MS);
	bool drops = world->scenario->operate == operate_drop;
	bool vain = world->scenario->operate == operate_wait_in_vain;
	if (r != -EPIPE && r != 1 && r != 0)
		complain(world, "wait says %d", r);
	if (not_begun(world) || (returned(world) && vain))
		must(world, "wait", r, -EPIPE);
	if (returned(world) && drops)
		must(world, "wait", r, 1);
	/* the round after that: without it, or broken */
	int next = zipc_barrier_wait(barrier, 20000 * MS);
	if (next != (drops && r >= 0 ? 1 : -EPIPE))
		complain(world, "the next wait says %d, after %d", next, r);
	start_anew(world, barrier, true);
}

/* Nobody else takes part. */
static void check_one(struct world *world)
{
	zipc_barrier *barrier = reopen(world);
	if (barrier == NULL)
		return;
	int r = zipc_barrier_join(barrier);
	if (r != 0 && r != -ENOSPC)
		complain(world, "join says %d", r);
	if (returned(world))
		must(world, "join, after", r, -ENOSPC);
	start_anew(world, barrier, r == 0);
}

static void check_reset(struct world *world)
{
	zipc_barrier *barrier = reopen(world);
	zipc_barrier_info info = {.struct_size = sizeof info};
	if (barrier == NULL)
		return;
	zipc_barrier_get_info(barrier, &info);
	if (returned(world))
		must(world, "broken", (int)info.broken, 0);
	if (info.broken == 0)
		must(world, "joined", (int)info.joined, 1);
	start_anew(world, barrier, true);
}

static const struct scenario scenarios[] = {
	SCENE("join", setup_one, open_barrier, operate_join, check_one),
	SCENE("join and wait", setup_one, open_barrier, operate_wait, check_one),
	SCENE("wait in vain", setup_two, prepare_joined, operate_wait_in_vain, check_two),
	SCENE("arrive and drop", setup_two, prepare_joined, operate_drop, check_two),
	SCENE("reset", setup_broken, open_barrier, operate_reset, check_reset),
};

static const struct family families[] = {
	FAMILY("barrier", scenarios),
};

static int all_tests(void)
{
	return run_families("barrier_crash", families, sizeof families / sizeof families[0]);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	victim_prefer_loops(argv);
	return peer_main(argc, argv, roles, all_tests);
}
