/* SPDX-License-Identifier: MIT */
/* Deaths at every instruction of every operation of mutex and once. */
#include "crash/sync_crash.h"

/* ---- mutex ---------------------------------------------------------------------------------- */

static int open_mutex(struct world *world)
{
	zipc_mutex *mutex = NULL;
	int r = world_attach(world);
	if (r == 0)
		r = zipc_mutex_open(world->segment, "x", NULL, &mutex);
	world->handle = mutex;
	return r;
}

static int setup_mutex(struct world *world)
{
	zipc_mutex *mutex;
	int r = zipc_mutex_create(world->segment, "x", NULL, &mutex);
	if (r == 0)
		zipc_mutex_close(mutex);
	return r;
}

/* This process holds it, without a handle. */
static int setup_mutex_held(struct world *world)
{
	zipc_mutex *mutex;
	int r = zipc_mutex_create(world->segment, "x", NULL, &mutex);
	if (r == 0)
		r = zipc_mutex_lock(mutex, ZIPC_NOWAIT);
	if (r == 0)
		zipc_mutex_close(mutex);
	return r;
}

/* An attachment that is gone holds it. */
static int setup_mutex_dead(struct world *world)
{
	zipc_segment *mine = world->segment;
	int r = setup_mutex(world);
	if (r == 0)
		r = open_mutex(world);
	if (r == 0)
		r = zipc_mutex_lock(world->handle, ZIPC_NOWAIT);
	zipc_mutex_close(world->handle);
	zipc_segment_close(world->segment);
	world->segment = mine;
	return r;
}

static int operate_lock(struct world *world)
{
	int r = zipc_mutex_lock(world->handle, ZIPC_NOWAIT);
	return r == -EOWNERDEAD ? 1 : r;
}

/* In vain. */
static int operate_lock_waiting(struct world *world)
{
	int r = zipc_mutex_lock(world->handle, MS);
	return r == -ETIMEDOUT ? 0 : -EPROTO;
}

static int prepare_locked(struct world *world)
{
	int r = open_mutex(world);
	return r < 0 ? r : zipc_mutex_lock(world->handle, ZIPC_NOWAIT);
}

static int prepare_told(struct world *world)
{
	int r = open_mutex(world);
	return r < 0 ? r : zipc_mutex_lock(world->handle, ZIPC_NOWAIT) == -EOWNERDEAD ? 0 : -EPROTO;
}

static int operate_unlock(struct world *world)
{
	return zipc_mutex_unlock(world->handle);
}

static int operate_consistent(struct world *world)
{
	return zipc_mutex_consistent(world->handle);
}

static int operate_repair(struct world *world)
{
	int r = zipc_mutex_lock(world->handle, ZIPC_NOWAIT);
	if (r == -EOWNERDEAD)
		r = zipc_mutex_consistent(world->handle);
	world->notes->mark = 1;
	return r < 0 ? r : zipc_mutex_unlock(world->handle);
}

/* Takes it as it comes, and leaves it in order. What the first lock said. */
static int take_mutex(struct world *world, zipc_mutex *mutex)
{
	int first = zipc_mutex_lock(mutex, ZIPC_NOWAIT);
	if (first != 0 && first != -EOWNERDEAD) {
		complain(world, "lock says %d: %s", first, zipc_last_error());
		return first;
	}
	if (first == -EOWNERDEAD)
		must(world, "consistent", zipc_mutex_consistent(mutex), 0);
	must(world, "unlock", zipc_mutex_unlock(mutex), 0);
	must(world, "the second lock", zipc_mutex_lock(mutex, ZIPC_NOWAIT), 0);
	must(world, "the second unlock", zipc_mutex_unlock(mutex), 0);
	return first;
}

static zipc_mutex *reopen_mutex(struct world *world)
{
	zipc_mutex *mutex = NULL;
	int r = zipc_mutex_open(world->segment, "x", NULL, &mutex);
	if (r < 0)
		complain(world, "open says %d: %s", r, zipc_last_error());
	return mutex;
}

/* What the survivor is told before the victim began, and after it returned. */
static void check_mutex(struct world *world, int before, int after)
{
	settle_first(world);
	zipc_mutex *mutex = reopen_mutex(world);
	if (mutex == NULL)
		return;
	int told = take_mutex(world, mutex);
	if (not_begun(world))
		must(world, "the survivor's lock, before", told, before);
	if (returned(world))
		must(world, "the survivor's lock, after", told, after);
	zipc_mutex_close(mutex);
	if (world->complaint[0] == '\0')
		world_is_clean(world);
}

static void check_lock(struct world *world)
{
	check_mutex(world, 0, -EOWNERDEAD);
}

static void check_unlock(struct world *world)
{
	check_mutex(world, -EOWNERDEAD, 0);
}

static void check_told(struct world *world)
{
	check_mutex(world, -EOWNERDEAD, -EOWNERDEAD);
}

/* Unlocked without being consistent: not recoverable from the one store on. */
static void check_lost(struct world *world)
{
	settle_first(world);
	zipc_mutex *mutex = reopen_mutex(world);
	if (mutex == NULL)
		return;
	int r = zipc_mutex_lock(mutex, ZIPC_NOWAIT);
	if (r != -EOWNERDEAD && r != -ENOTRECOVERABLE)
		complain(world, "lock says %d", r);
	if (returned(world))
		must(world, "lock", r, -ENOTRECOVERABLE);
	if (r == -EOWNERDEAD) {
		zipc_mutex_consistent(mutex);
		zipc_mutex_unlock(mutex);
	}
	zipc_mutex_close(mutex);
	world_is_clean(world);
}

/* The survivor is the holder. */
static void check_waiting(struct world *world)
{
	settle_first(world);
	zipc_mutex *mutex = reopen_mutex(world);
	if (mutex == NULL)
		return;
	must(world, "unlock", zipc_mutex_unlock(mutex), 0);
	must(world, "lock", take_mutex(world, mutex), 0);
	zipc_mutex_close(mutex);
	world_is_clean(world);
}

static const struct scenario mutex_scenarios[] = {
	SCENE("mutex, lock", setup_mutex, open_mutex, operate_lock, check_lock),
	SCENE("mutex, lock in vain", setup_mutex_held, open_mutex, operate_lock_waiting,
	      check_waiting),
	SCENE("mutex, lock of a dead one's", setup_mutex_dead, open_mutex, operate_lock,
	      check_told),
	SCENE("mutex, unlock", setup_mutex, prepare_locked, operate_unlock, check_unlock),
	SCENE("mutex, unlock inconsistent", setup_mutex_dead, prepare_told, operate_unlock,
	      check_lost),
	SCENE("mutex, consistent", setup_mutex_dead, prepare_told, operate_consistent, check_told),
	SCENE("mutex, repair", setup_mutex_dead, open_mutex, operate_repair, check_unlock),
};

/* ---- once ----------------------------------------------------------------------------------- */

static int setup_once(struct world *world)
{
	zipc_once *once;
	int r = zipc_once_create(world->segment, "x", NULL, &once);
	if (r == 0)
		zipc_once_close(once);
	return r;
}

static int open_once(struct world *world)
{
	zipc_once *once = NULL;
	int r = world_attach(world);
	if (r == 0)
		r = zipc_once_open(world->segment, "x", NULL, &once);
	world->handle = once;
	return r;
}

static int run_well(void *arg, uint32_t attempt)
{
	struct world *world = arg;
	world->notes->mark = 1;
	world->notes->value[0] = attempt;
	return 0;
}

static int run_badly(void *arg, uint32_t attempt)
{
	run_well(arg, attempt);
	return -EIO;
}

static int operate_once(struct world *world)
{
	return zipc_once_call(world->handle, run_well, world, ZIPC_NOWAIT);
}

static int operate_once_badly(struct world *world)
{
	int r = zipc_once_call(world->handle, run_badly, world, ZIPC_NOWAIT);
	return r == -EIO ? 0 : -EPROTO;
}

static int run_after(void *arg, uint32_t attempt)
{
	*(uint32_t *)arg = attempt;
	return 0;
}

static void check_once(struct world *world)
{
	bool well = world->scenario->operate == operate_once;
	zipc_once *once;
	uint32_t attempt = 0;
	settle_first(world);
	int r = zipc_once_open(world->segment, "x", NULL, &once);
	if (r < 0) {
		complain(world, "open says %d", r);
		return;
	}
	r = zipc_once_call(once, run_after, &attempt, ZIPC_NOWAIT);
	if (r != 1 && (r != 0 || !well || world->notes->mark == 0))
		complain(world, "call says %d", r);
	if (returned(world))
		must(world, "call, after", r, well ? 0 : 1);
	if (r == 1 && attempt != 1 && attempt != 2)
		complain(world, "attempt %u", attempt);
	if (r == 1 && world->notes->mark != 0)
		must(world, "the attempt", (int)attempt, 2);
	must(world, "another call", zipc_once_call(once, run_after, &attempt, ZIPC_NOWAIT), 0);
	zipc_once_close(once);
	world_is_clean(world);
}

static const struct scenario once_scenarios[] = {
	SCENE("once, done", setup_once, open_once, operate_once, check_once),
	SCENE("once, failed", setup_once, open_once, operate_once_badly, check_once),
};

static const struct family families[] = {
	FAMILY("mutex", mutex_scenarios),
	FAMILY("once", once_scenarios),
};

static int all_tests(void)
{
	return run_families("mutex_crash", families, sizeof families / sizeof families[0]);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	victim_prefer_loops(argv);
	return peer_main(argc, argv, roles, all_tests);
}
