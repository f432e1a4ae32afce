/* SPDX-License-Identifier: MIT */
/* Deaths at every instruction of every operation of an rwlock. */
#include "crash/sync_crash.h"

static int create(struct world *world)
{
	zipc_rwlock_options o = ZIPC_RWLOCK_OPTIONS_INIT;
	zipc_rwlock *rwlock;
	o.max_holders = 4;
	int r = zipc_rwlock_create(world->segment, "x", &o, &rwlock);
	if (r == 0)
		zipc_rwlock_close(rwlock);
	return r;
}

static int open_rwlock(struct world *world)
{
	zipc_rwlock *rwlock = NULL;
	int r = world_attach(world);
	if (r == 0)
		r = zipc_rwlock_open(world->segment, "x", NULL, &rwlock);
	world->handle = rwlock;
	return r;
}

/* This process has it, without a handle. */
static int create_and_lock(struct world *world, int (*lock)(zipc_rwlock *, int64_t))
{
	zipc_rwlock *rwlock;
	int r = create(world);
	if (r == 0)
		r = zipc_rwlock_open(world->segment, "x", NULL, &rwlock);
	if (r == 0)
		r = lock(rwlock, ZIPC_NOWAIT);
	if (r == 0)
		zipc_rwlock_close(rwlock);
	return r;
}

static int setup_read(struct world *world)
{
	return create_and_lock(world, zipc_rwlock_read_lock);
}

static int setup_written(struct world *world)
{
	return create_and_lock(world, zipc_rwlock_write_lock);
}

/* One who is gone has it. */
static int create_and_die(struct world *world, int (*lock)(zipc_rwlock *, int64_t))
{
	zipc_segment *mine = world->segment;
	int r = create(world);
	if (r == 0)
		r = open_rwlock(world);
	if (r == 0)
		r = lock(world->handle, ZIPC_NOWAIT);
	zipc_rwlock_close(world->handle);
	zipc_segment_close(world->segment);
	world->segment = mine;
	return r;
}

static int setup_dead_reader(struct world *world)
{
	return create_and_die(world, zipc_rwlock_read_lock);
}

static int setup_dead_writer(struct world *world)
{
	return create_and_die(world, zipc_rwlock_write_lock);
}

static int prepare_reading(struct world *world)
{
	int r = open_rwlock(world);
	return r < 0 ? r : zipc_rwlock_read_lock(world->handle, ZIPC_NOWAIT);
}

static int prepare_writing(struct world *world)
{
	int r = open_rwlock(world);
	return r < 0 ? r : zipc_rwlock_write_lock(world->handle, ZIPC_NOWAIT);
}

static int prepare_told(struct world *world)
{
	int r = prepare_writing(world);
	return r == -EOWNERDEAD ? 0 : -EPROTO;
}

/* It has had a word of its own before. */
static int prepare_known(struct world *world)
{
	int r = prepare_reading(world);
	return r < 0 ? r : zipc_rwlock_read_unlock(world->handle);
}

static int held(int r)
{
	return r == -EOWNERDEAD ? 1 : r;
}

static int operate_read(struct world *world)
{
	return held(zipc_rwlock_read_lock(world->handle, ZIPC_NOWAIT));
}

static int operate_write(struct world *world)
{
	return held(zipc_rwlock_write_lock(world->handle, ZIPC_NOWAIT));
}

static int operate_read_in_vain(struct world *world)
{
	return zipc_rwlock_read_lock(world->handle, MS) == -ETIMEDOUT ? 0 : -EPROTO;
}

static int operate_write_in_vain(struct world *world)
{
	return zipc_rwlock_write_lock(world->handle, MS) == -ETIMEDOUT ? 0 : -EPROTO;
}

static int operate_read_unlock(struct world *world)
{
	return zipc_rwlock_read_unlock(world->handle);
}

static int operate_write_unlock(struct world *world)
{
	return zipc_rwlock_write_unlock(world->handle);
}

static int operate_downgrade(struct world *world)
{
	return zipc_rwlock_downgrade(world->handle);
}

static int operate_repair(struct world *world)
{
	int r = zipc_rwlock_consistent(world->handle);
	return r < 0 ? r : zipc_rwlock_write_unlock(world->handle);
}

/* ---- survivors ------------------------------------------------------------------------------ */

static zipc_rwlock *reopen(struct world *world)
{
	zipc_rwlock *rwlock = NULL;
	settle_first(world);
	int r = zipc_rwlock_open(world->segment, "x", NULL, &rwlock);
	if (r < 0)
		complain(world, "open says %d: %s", r, zipc_last_error());
	return rwlock;
}

/* Reads, writes, reads; what the first of these was told. */
static int use(struct world *world, zipc_rwlock *rwlock)
{
	int told = zipc_rwlock_read_lock(rwlock, ZIPC_NOWAIT);
	if (told != 0 && told != -EOWNERDEAD) {
		complain(world, "read_lock says %d: %s", told, zipc_last_error());
		return told;
	}
	must(world, "read_unlock", zipc_rwlock_read_unlock(rwlock), 0);
	must(world, "write_lock", zipc_rwlock_write_lock(rwlock, ZIPC_NOWAIT), told);
	if (told == -EOWNERDEAD)
		must(world, "consistent", zipc_rwlock_consistent(rwlock), 0);
	must(world, "downgrade", zipc_rwlock_downgrade(rwlock), 0);
	must(world, "read_unlock", zipc_rwlock_read_unlock(rwlock), 0);
	must(world, "write_lock", zipc_rwlock_write_lock(rwlock, ZIPC_NOWAIT), 0);
	must(world, "write_unlock", zipc_rwlock_write_unlock(rwlock), 0);
	zipc_rwlock_info info = {.struct_size = sizeof info};
	zipc_rwlock_get_info(rwlock, &info);
	if (info.readers != 0 || info.waiting_readers != 0 || info.writer_id != 0)
		complain(world, "somebody is left inside");
	return told;
}

static void check(struct world *world, int before, int after)
{
	zipc_rwlock *rwlock = reopen(world);
	if (rwlock == NULL)
		return;
	int told = use(world, rwlock);
	if (not_begun(world))
		must(world, "the survivor's lock, before", told, before);
	if (returned(world))
		must(world, "the survivor's lock, after", told, after);
	zipc_rwlock_close(rwlock);
	if (world->complaint[0] == '\0')
		world_is_clean(world);
}

/* Readers leave no trace. */
static void check_harmless(struct world *world)
{
	check(world, 0, 0);
}

static void check_write(struct world *world)
{
	check(world, 0, -EOWNERDEAD);
}

static void check_write_unlock(struct world *world)
{
	check(world, -EOWNERDEAD, 0);
}

static void check_told(struct world *world)
{
	check(world, -EOWNERDEAD, -EOWNERDEAD);
}

/* The survivor has it, and gives it back first. */
static void check_beside(struct world *world, int (*unlock)(zipc_rwlock *))
{
	zipc_rwlock *rwlock = reopen(world);
	if (rwlock == NULL)
		return;
	must(world, "unlock", unlock(rwlock), 0);
	must(world, "lock", use(world, rwlock), 0);
	zipc_rwlock_close(rwlock);
	if (world->complaint[0] == '\0')
		world_is_clean(world);
}

static void check_beside_reader(struct world *world)
{
	check_beside(world, zipc_rwlock_read_unlock);
}

static void check_beside_writer(struct world *world)
{
	check_beside(world, zipc_rwlock_write_unlock);
}

static void check_lost(struct world *world)
{
	zipc_rwlock *rwlock = reopen(world);
	if (rwlock == NULL)
		return;
	int r = zipc_rwlock_write_lock(rwlock, ZIPC_NOWAIT);
	if (r != -EOWNERDEAD && r != -ENOTRECOVERABLE)
		complain(world, "write_lock says %d", r);
	if (returned(world))
		must(world, "write_lock", r, -ENOTRECOVERABLE);
	if (r == -EOWNERDEAD) {
		zipc_rwlock_consistent(rwlock);
		zipc_rwlock_write_unlock(rwlock);
	}
	zipc_rwlock_close(rwlock);
	world_is_clean(world);
}

static const struct scenario scenarios[] = {
	SCENE("read, first time", create, open_rwlock, operate_read, check_harmless),
	SCENE("read", create, prepare_known, operate_read, check_harmless),
	SCENE("read again", create, prepare_reading, operate_read, check_harmless),
	SCENE("read, a dead reader there", setup_dead_reader, open_rwlock, operate_read,
	      check_harmless),
	SCENE("read, a dead writer there", setup_dead_writer, open_rwlock, operate_read,
	      check_told),
	SCENE("read beside a reader", setup_read, open_rwlock, operate_read, check_beside_reader),
	SCENE("read in vain", setup_written, open_rwlock, operate_read_in_vain,
	      check_beside_writer),
	SCENE("read unlock", create, prepare_reading, operate_read_unlock, check_harmless),
	SCENE("write", create, open_rwlock, operate_write, check_write),
	SCENE("write, a dead reader there", setup_dead_reader, open_rwlock, operate_write,
	      check_write),
	SCENE("write, a dead writer there", setup_dead_writer, open_rwlock, operate_write,
	      check_told),
	SCENE("write in vain, read", setup_read, open_rwlock, operate_write_in_vain,
	      check_beside_reader),
	SCENE("write in vain, written", setup_written, open_rwlock, operate_write_in_vain,
	      check_beside_writer),
	SCENE("write unlock", create, prepare_writing, operate_write_unlock, check_write_unlock),
	SCENE("downgrade", create, prepare_writing, operate_downgrade, check_write_unlock),
	SCENE("repair", setup_dead_writer, prepare_told, operate_repair, check_write_unlock),
	SCENE("write unlock, inconsistent", setup_dead_writer, prepare_told, operate_write_unlock,
	      check_lost),
};

static const struct family families[] = {
	FAMILY("rwlock", scenarios),
};

static int all_tests(void)
{
	return run_families("rwlock_crash", families, sizeof families / sizeof families[0]);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	victim_prefer_loops(argv);
	return peer_main(argc, argv, roles, all_tests);
}
