/* SPDX-License-Identifier: MIT */
/*
 * Deaths at every instruction of coming and going: attaching, at once and after fork, also when the
 * generations of the slot start over; detaching; and the birth of a segment. See oracle.h and
 * kill_at.h for how.
 */
#include "support/cmocka_all.h"
#include "support/kill_at.h"
#include "support/oracle.h"
#include "support/peer.h"
#include "support/queue_model.h"

#include "segment/layout.h"
#include "segment/segment.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct oracle_report oracled;
static struct kill_report killed;

/* ---- attaching and detaching ---------------------------------------------------------------- */

#define PEERS 4u

static int prepare_nothing(struct world *world)
{
	(void)world;
	return 0;
}

static int operate_attach(struct world *world)
{
	return world_attach(world);
}

static int operate_detach(struct world *world)
{
	zipc_segment_close(world->segment);
	return 0;
}

/* After fork: the inherited attachment becomes the child's own at its first call. */
static int operate_attach_lazily(struct world *world)
{
	uint64_t offset;
	int r = zipc_alloc(world->segment, 300, 0, &offset);
	return r < 0 ? r : zipc_free(world->segment, offset);
}

/* Nobody's claim is in the way, whoever has its id by now. */
static void check_claim(struct world *world)
{
	zipc_queue *queue;
	int r = zipc_queue_open(world->segment, "q", 16, NULL, &queue);
	if (r < 0) {
		complain(world, "open says %d: %s", r, zipc_last_error());
		return;
	}
	queue_is_whole(world, queue);
	zipc_queue_close(queue);
}

/* Everybody but this survivor is dead: all other slots can be had, and no more. */
static void check_slots(struct world *world)
{
	struct world other[PEERS];
	uint32_t n = 0;
	int r = 0;
	if (world->mood == 1 && zipc_segment_gc(world->segment) < 0)
		complain(world, "gc says: %s", zipc_last_error());
	while (n < PEERS && r == 0) {
		other[n] = *world;
		r = world_attach(&other[n]);
		n += r == 0;
	}
	if (n != PEERS - 1 || r != -ENOSPC)
		complain(world, "%u of %u slots can be had, then %d %s", n, PEERS - 1, r,
			 zipc_last_error());
	if (world->scenario->setup != NULL)
		check_claim(world); /* with all ids alive */
	for (uint32_t i = 0; i < n; i++)
		zipc_segment_close(other[i].segment);
	world_is_clean(world);
}

/* In a child that dies with a slot reserved; its id is used up afterwards. */
static int reserve_and_die(struct world *world)
{
	zipc_queue *queue;
	void *element;
	uint64_t ticket;
	if (world_attach(world) < 0 || zipc_queue_open(world->segment, "q", 0, NULL, &queue) < 0)
		return 1;
	return zipc_queue_reserve(queue, ZIPC_NOWAIT, &element, &ticket) < 0;
}

/* The next attach of any slot starts its generations over and sweeps first; there is a claim. */
static int setup_wrap(struct world *world)
{
	zipc_queue *queue;
	int r = zipc_queue_create(world->segment, "q", 16, 4, NULL, &queue);
	if (r < 0)
		return r;
	zipc_queue_close(queue);
	pid_t pid = peer_fork();
	if (pid == 0)
		_exit(reserve_and_die(world));
	if (peer_wait(pid) != 0)
		return -ECHILD;
	uint32_t self = zi_id_slot(zi_self_id(world->segment));
	for (uint32_t slot = 0; slot < PEERS; slot++)
		if (slot != self)
			zi_peer_at(world->segment, slot)->generation = ZI_GENERATION_LAST;
	return 0;
}

#define ATTACH(text, up, prepared, op)                                                             \
	{                                                                                          \
		.name = text, .moods = 2, .max_peers = PEERS, .setup = up, .prepare = prepared,    \
		.operate = op, .check = check_slots                                                \
	}

static const struct scenario attach_scenarios[] = {
	ATTACH("attach", NULL, prepare_nothing, operate_attach),
	ATTACH("attach after fork", NULL, prepare_nothing, operate_attach_lazily),
	ATTACH("attach, generation wraps", setup_wrap, prepare_nothing, operate_attach),
	ATTACH("detach", NULL, NULL, operate_detach),
};

/* ---- birth of a segment --------------------------------------------------------------------- */

static void second_path(const struct world *world, char *out, size_t size)
{
	snprintf(out, size, "%s-2", world->path);
}

static int operate_birth(struct world *world)
{
	char path[300];
	zipc_segment_options options = world_options(world->scenario);
	zipc_segment *segment;
	second_path(world, path, sizeof path);
	int r = zipc_segment_create(path, &options, &segment);
	if (r == 0)
		zipc_segment_close(segment);
	return r;
}

static int count_files(const char *path)
{
	char directory[300];
	snprintf(directory, sizeof directory, "%s", path);
	*strrchr(directory, '/') = '\0';
	int n = 0;
	DIR *d = opendir(directory);
	for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(d);
	return n;
}

/* Complete or not there; nothing else lies about; and it can be made afterwards. */
static void check_birth(struct world *world)
{
	char path[300];
	zipc_segment_options options = world_options(world->scenario);
	zipc_segment *segment;
	second_path(world, path, sizeof path);
	int r = zipc_segment_open(path, &options, &segment);
	if (r == 0 && zipc_segment_verify(segment, NULL, NULL) != 0)
		complain(world, "the new segment does not verify");
	if (r == -ENOENT && world->notes->phase != VICTIM_RETURNED) {
		if (count_files(world->path) != 1)
			complain(world, "a file was left behind");
		r = zipc_segment_create(path, &options, &segment);
	}
	if (r != 0)
		complain(world, "open or create says %d: %s", r, zipc_last_error());
	else
		zipc_segment_close(segment);
	unlink(path);
	world_is_clean(world);
}

static const struct scenario birth_scenario = {
	.name = "birth of a segment",
	.moods = 1,
	.operate = operate_birth,
	.check = check_birth,
};

/* ---- tests ---------------------------------------------------------------------------------- */

static void test_oracle_attach(void **state)
{
	(void)state;
	oracle_run_all(attach_scenarios, sizeof attach_scenarios / sizeof attach_scenarios[0], 2,
		       &oracled);
}

static void test_kill_attach(void **state)
{
	(void)state;
	kill_at_run_all(attach_scenarios, sizeof attach_scenarios / sizeof attach_scenarios[0],
			&killed);
}

static void test_kill_birth(void **state)
{
	(void)state;
	kill_at_run_all(&birth_scenario, 1, &killed);
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oracle_attach),
		cmocka_unit_test(test_kill_attach),
		cmocka_unit_test(test_kill_birth),
	};
	int r = PEER_RUN("life_crash", tests);
	oracle_print("life_crash", &oracled);
	kill_at_print("life_crash", &killed);
	return r;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	victim_prefer_loops(argv);
	return peer_main(argc, argv, roles, all_tests);
}
