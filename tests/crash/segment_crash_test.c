/* SPDX-License-Identifier: MIT */
/*
 * Deaths at every instruction of what a segment does: heap, directory, growing, gc. See oracle.h and kill_at.h for how.
 */
#include "support/cmocka_all.h"
#include "support/kill_at.h"
#include "support/oracle.h"
#include "support/peer.h"
#include "support/queue_model.h"

#include "segment/heap.h"
#include "segment/layout.h"
#include "segment/segment.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SMALL UINT64_C(300)
#define LARGE (UINT64_C(65) << 10) /* two chunks */
#define ITEMS 4u

static struct oracle_report oracled;
static struct kill_report killed;

/* ---- small helpers -------------------------------------------------------------------------- */

static uint64_t size_of(const struct world *world)
{
	return *(const uint64_t *)world->scenario->arg;
}

static bool all_zero(const uint8_t *bytes, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

/* Two blocks: there, zeroed, apart; then given back. */
static bool heap_works(struct world *world, uint64_t size)
{
	uint64_t at[2] = {0};
	for (int i = 0; i < 2; i++) {
		int r = zipc_alloc(world->segment, size, 0, &at[i]);
		if (r < 0)
			return complain(world, "the survivor's alloc %d says %d: %s", i, r,
					zipc_last_error());
		uint8_t *bytes = zipc_pointer(world->segment, at[i], size);
		if (bytes == NULL || !all_zero(bytes, size))
			return complain(world, "the survivor's block %d is not zeroed", i);
		memset(bytes, 0xaa + i, size);
	}
	if (at[0] < at[1] + size && at[1] < at[0] + size)
		return complain(world, "two blocks overlap");
	for (int i = 0; i < 2; i++)
		if (zipc_free(world->segment, at[i]) != 0)
			return complain(world, "the survivor's free says: %s", zipc_last_error());
	return true;
}

/* Moods: 0 = goes on at once; 1 = gc first; 2 = gc, and then looks whether all is given back. */
static void settle_first(struct world *world)
{
	if (world->mood >= 1 && zipc_segment_gc(world->segment) < 0)
		complain(world, "gc says: %s", zipc_last_error());
}

/* ---- heap ----------------------------------------------------------------------------------- */

static int operate_alloc(struct world *world)
{
	uint64_t offset = 0;
	int r = zipc_alloc(world->segment, size_of(world), 0, &offset);
	world->notes->value[0] = offset;
	return r;
}

/* A neighbour of the same size, so that slab and ledger exist already. */
static int setup_neighbour(struct world *world)
{
	uint64_t offset;
	int r = zipc_alloc(world->segment, size_of(world), 0, &offset);
	return r < 0 ? r : zipc_publish(world->segment, offset);
}

/* In mood 2 nothing but gc repairs; else the survivor's own calls may. */
static void finish_check(struct world *world)
{
	if (world->mood == 2 || heap_works(world, size_of(world)))
		world_is_clean(world);
}

static void check_alloc(struct world *world)
{
	settle_first(world);
	finish_check(world);
}

static int prepare_block(struct world *world)
{
	int r = world_attach(world);
	return r < 0 ? r : operate_alloc(world);
}

static int operate_publish(struct world *world)
{
	return zipc_publish(world->segment, world->notes->value[0]);
}

static int operate_free(struct world *world)
{
	return zipc_free(world->segment, world->notes->value[0]);
}

/* Published, or gone with its owner; never anything in between. */
static void check_publish(struct world *world)
{
	settle_first(world);
	zipc_segment_gc(world->segment);
	bool must = world->notes->phase == VICTIM_RETURNED;
	uint64_t used = segment_used(world->segment);
	int r = zipc_free(world->segment, world->notes->value[0]);
	if (r != 0 && (r != -ESTALE || must))
		complain(world, "free of the published block says %d", r);
	if ((r == 0) != (used > world->used))
		complain(world, "free says %d with %llu bytes in use, %llu before", r,
			 (unsigned long long)used, (unsigned long long)world->used);
	finish_check(world);
}

/* The victim frees its own block: gone at last in any case. */
static void check_free_own(struct world *world)
{
	settle_first(world);
	zipc_segment_gc(world->segment);
	int r = zipc_free(world->segment, world->notes->value[0]);
	if (r != -ESTALE)
		complain(world, "free of a dead owner's block says %d", r);
	finish_check(world);
}

/* The offset of a published block reaches the victim through the first word of another one. */
static int setup_published(struct world *world)
{
	world->used = segment_used(world->segment);
	int r = operate_alloc(world);
	world->tally[0] = world->notes->value[0];
	return r < 0 ? r : zipc_publish(world->segment, world->tally[0]);
}

static int prepare_published(struct world *world)
{
	int r = world_attach(world);
	world->notes->value[0] = world->tally[0];
	return r;
}

static void check_free_published(struct world *world)
{
	settle_first(world);
	bool must_be_gone = world->notes->phase == VICTIM_RETURNED;
	int r = zipc_free(world->segment, world->notes->value[0]);
	if (r != -ESTALE && (r != 0 || must_be_gone))
		complain(world, "free of the published block says %d", r);
	finish_check(world);
}

static const uint64_t small = SMALL, large = LARGE;

#define HEAP(text, bytes, up, prepared, op, checked)                                               \
	{                                                                                          \
		.name = text, .arg = bytes, .moods = 3, .size = 512 << 10, .setup = up,            \
		.prepare = prepared, .operate = op, .check = checked                               \
	}

static const struct scenario heap_scenarios[] = {
	HEAP("alloc, first small", &small, NULL, NULL, operate_alloc, check_alloc),
	HEAP("alloc, next small", &small, setup_neighbour, NULL, operate_alloc, check_alloc),
	HEAP("alloc, large", &large, NULL, NULL, operate_alloc, check_alloc),
	HEAP("publish, small", &small, NULL, prepare_block, operate_publish, check_publish),
	HEAP("publish, large", &large, NULL, prepare_block, operate_publish, check_publish),
	HEAP("free own, last small", &small, NULL, prepare_block, operate_free, check_free_own),
	HEAP("free own, small", &small, setup_neighbour, prepare_block, operate_free,
	     check_free_own),
	HEAP("free own, large", &large, NULL, prepare_block, operate_free, check_free_own),
	HEAP("free published, small", &small, setup_published, prepare_published, operate_free,
	     check_free_published),
	HEAP("free published, large", &large, setup_published, prepare_published, operate_free,
	     check_free_published),
};

/* ---- growth --------------------------------------------------------------------------------- */

/* Leaves no free chunk. */
static int setup_filled(struct world *world)
{
	uint64_t offset;
	int r = zipc_alloc(world->segment, ZI_CHUNK, 0, &offset);
	return r < 0 ? r : zipc_publish(world->segment, offset);
}

/* Where the size ends says how often it grew; no more than the victim and the survivor needed. */
static void check_growth(struct world *world)
{
	uint64_t size = zi_segment_size(world->segment);
	settle_first(world);
	if (!heap_works(world, size_of(world)))
		return;
	if (zi_segment_size(world->segment) < size)
		complain(world, "the segment shrank");
	/* the table for the chunks that came counts as used from then on */
	world->used = segment_used(world->segment) - zi_heap_used(world->segment) + ZI_CHUNK;
	world_is_clean(world);
}

static const struct scenario growth_scenarios[] = {
	{.name = "grow",
	 .arg = &small,
	 .moods = 2,
	 .size = ZI_CHUNK,
	 .max_size = 6 << 20,
	 .setup = setup_filled,
	 .operate = operate_alloc,
	 .check = check_growth},
};

/* ---- structures ----------------------------------------------------------------------------- */

static int create_array(zipc_segment *segment)
{
	zipc_array *array;
	int r = zipc_array_create(segment, "a", 8, 100, NULL, &array);
	if (r < 0)
		return r;
	zipc_array_close(array);
	return 0;
}

static int operate_create(struct world *world)
{
	return create_array(world->segment);
}

static int operate_open_or_create(struct world *world)
{
	zipc_array *array;
	int r = zipc_array_open_or_create(world->segment, "a", 8, 100, NULL, &array);
	if (r >= 0)
		zipc_array_close(array);
	return r;
}

static int operate_create_queue(struct world *world)
{
	zipc_queue *queue;
	int r = zipc_queue_create(world->segment, "a", 16, ITEMS, NULL, &queue);
	if (r >= 0)
		zipc_queue_close(queue);
	return r;
}

static int operate_remove(struct world *world)
{
	return zipc_remove(world->segment, "a");
}

static int operate_open(struct world *world)
{
	zipc_array *array;
	int r = zipc_array_open(world->segment, "a", 8, 100, NULL, &array);
	if (r < 0)
		return r;
	world->notes->mark = 1;
	zipc_array_close(array);
	return 0;
}

static int setup_array(struct world *world)
{
	world->used = segment_used(world->segment);
	return create_array(world->segment);
}

/* Opens, uses and removes the array; its name is free afterwards. */
static void use_up_array(struct world *world, zipc_array *array)
{
	uint64_t old = 0;
	for (uint64_t i = 0; i < 100; i++)
		if (zipc_array_add64(array, i, 1, &old) != 0 || old != 0)
			complain(world, "element %llu was %llu", (unsigned long long)i,
				 (unsigned long long)old);
	int r = zipc_array_remove(world->segment, "a");
	if (r != 0)
		complain(world, "remove says %d", r);
	zipc_array_close(array);
}

/* Expects the array there, gone, or (MAYBE) either; makes it again where it is not. */
static void check_array(struct world *world, int there)
{
	zipc_array *array;
	settle_first(world);
	int r = zipc_array_open(world->segment, "a", 8, 100, NULL, &array);
	if ((r != 0 && r != -ENOENT) || (r == 0 && there == 0) || (r != 0 && there == 1)) {
		complain(world, "open says %d: %s", r, zipc_last_error());
		return;
	}
	if (r == -ENOENT)
		r = zipc_array_create(world->segment, "a", 8, 100, NULL, &array);
	if (r < 0) {
		complain(world, "create says %d: %s", r, zipc_last_error());
		return;
	}
	use_up_array(world, array);
	r = zipc_array_open(world->segment, "a", 8, 100, NULL, &array);
	if (r != -ENOENT)
		complain(world, "open after remove says %d", r);
	if (world->complaint[0] == '\0')
		world_is_clean(world);
}

static void check_create(struct world *world)
{
	check_array(world, world->notes->phase == VICTIM_RETURNED ? 1 : -1);
}

/* The survivor creates without looking: the dead creator's claim must not be in the way. */
static void check_create_again(struct world *world)
{
	zipc_array *array;
	settle_first(world);
	int r = zipc_array_create(world->segment, "a", 8, 100, NULL, &array);
	if (r == -EEXIST)
		r = zipc_array_open(world->segment, "a", 8, 100, NULL, &array);
	else if (r == 0 && world->notes->phase == VICTIM_RETURNED)
		complain(world, "the name was taken and is created again");
	if (r != 0) {
		complain(world, "neither create nor open: %d %s", r, zipc_last_error());
		return;
	}
	use_up_array(world, array);
	world_is_clean(world);
}

static void check_create_queue(struct world *world)
{
	zipc_queue *queue;
	settle_first(world);
	int r = zipc_queue_open(world->segment, "a", 16, NULL, &queue);
	if (r == -ENOENT && world->notes->phase != VICTIM_RETURNED)
		r = zipc_queue_create(world->segment, "a", 16, ITEMS, NULL, &queue);
	if (r != 0) {
		complain(world, "open or create says %d: %s", r, zipc_last_error());
		return;
	}
	uint64_t item[2] = {1, 2};
	for (uint32_t i = 0; i <= ITEMS; i++)
		if (zipc_queue_push(queue, item, ZIPC_NOWAIT) != (i < ITEMS ? 0 : -EAGAIN))
			complain(world, "push %u is wrong", i);
	zipc_queue_close(queue);
	if (zipc_queue_remove(world->segment, "a") != 0)
		complain(world, "remove says: %s", zipc_last_error());
	world_is_clean(world);
}

static void check_remove(struct world *world)
{
	check_array(world, world->notes->phase == VICTIM_RETURNED ? 0 : -1);
}

static void check_still_there(struct world *world)
{
	check_array(world, 1);
}

/* The victim has the array open; it is removed by the victim itself, or by the last close. */
static int prepare_opened(struct world *world)
{
	int r = world_attach(world);
	zipc_array *array = NULL;
	if (r == 0)
		r = zipc_array_open(world->segment, "a", 8, 100, NULL, &array);
	world->handle = array;
	return r;
}

static int prepare_opened_and_removed(struct world *world)
{
	int r = prepare_opened(world);
	return r < 0 ? r : zipc_remove(world->segment, "a");
}

static int prepare_made_and_removed(struct world *world)
{
	int r = world_attach(world);
	zipc_array *array = NULL;
	if (r == 0)
		r = zipc_array_create(world->segment, "a", 8, 100, NULL, &array);
	world->handle = array;
	return r < 0 ? r : zipc_remove(world->segment, "a");
}

static int operate_close(struct world *world)
{
	zipc_array_close(world->handle);
	return 0;
}

static void check_gone(struct world *world)
{
	check_array(world, 0);
}

/* The next claim of any entry starts its generations over; tags of memory count only 18 bits. */
static int wrap_entries(struct world *world, uint32_t generation)
{
	const zipc_segment *segment = world->segment;
	uint8_t *entries = segment->base + zi_header(segment)->directory_offset +
			   ZI_DIRECTORY_FIRST * sizeof(uint64_t);
	for (uint32_t i = 0; i < ZI_DIRECTORY_FIRST; i++) {
		struct zi_entry *entry =
			(struct zi_entry *)(void *)(entries + (size_t)i * segment->entry_stride);
		entry->state = zi_entry_word(generation, 0, ZI_ENTRY_FREE);
	}
	return 0;
}

static int setup_tag_wrap(struct world *world)
{
	return wrap_entries(world, ZI_TAG_GENERATION_MASK);
}

static int setup_generation_wrap(struct world *world)
{
	return wrap_entries(world, UINT32_MAX);
}

#define STRUCTURE(text, up, prepared, op, checked)                                                 \
	{                                                                                          \
		.name = text, .moods = 2, .setup = up, .prepare = prepared, .operate = op,         \
		.check = checked, .size = 512 << 10                                                \
	}

static const struct scenario structure_scenarios[] = {
	STRUCTURE("create array", NULL, NULL, operate_create, check_create),
	STRUCTURE("create array, survivor creates", NULL, NULL, operate_create, check_create_again),
	STRUCTURE("create array, tag wraps", setup_tag_wrap, NULL, operate_create,
		  check_create_again),
	STRUCTURE("create array, generation wraps", setup_generation_wrap, NULL, operate_create,
		  check_create_again),
	STRUCTURE("create queue", NULL, NULL, operate_create_queue, check_create_queue),
	STRUCTURE("open_or_create, absent", NULL, NULL, operate_open_or_create, check_create),
	STRUCTURE("open_or_create, there", setup_array, NULL, operate_open_or_create,
		  check_still_there),
	STRUCTURE("open and close", setup_array, NULL, operate_open, check_still_there),
	STRUCTURE("remove", setup_array, NULL, operate_remove, check_remove),
	STRUCTURE("remove, open here", setup_array, prepare_opened, operate_remove, check_remove),
	STRUCTURE("last close of a removed one", setup_array, prepare_opened_and_removed,
		  operate_close, check_gone),
};

/* ---- gc ------------------------------------------------------------------------------------- */

/* One dead process's half-done operation, left in the segment. `moments` is found once. */
static int leave_behind(struct world *world, int (*prepare)(struct world *),
			int (*operate)(struct world *), uint64_t size, struct moments *moments)
{
	struct scenario scenario = *world->scenario;
	scenario.arg = &size;
	scenario.setup = NULL;
	scenario.prepare = prepare;
	scenario.operate = operate;
	int r = moments->ip != NULL ? 0 : moments_find(&scenario, moments);
	struct victim_notes *notes = notes_make();
	struct world inner = *world;
	inner.scenario = &scenario;
	inner.notes = notes;
	struct victim victim = {0};
	if (r == 0)
		r = victim_start(&victim, &inner);
	if (r == 0)
		victim_walk(&victim, moments, moments->total * 2 / 3);
	victim_kill(&victim);
	notes_close(notes);
	return r;
}

static int operate_create_other(struct world *world)
{
	zipc_array *array;
	return zipc_array_create(world->segment, "other", 8, 5000, NULL, &array);
}

/* In a child that ends with both: a slot reserved, an item taken. */
static int claim_and_die(struct world *world)
{
	zipc_queue *queue;
	void *element;
	uint64_t item[2] = {0}, ticket;
	if (world_attach(world) < 0 ||
	    zipc_queue_open(world->segment, "claimed", 0, NULL, &queue) < 0)
		return 1;
	int r = zipc_queue_push(queue, item, ZIPC_NOWAIT);
	if (r == 0)
		r = zipc_queue_reserve(queue, ZIPC_NOWAIT, &element, &ticket);
	if (r == 0)
		r = zipc_queue_acquire(queue, ZIPC_NOWAIT, &element, &ticket);
	return r < 0;
}

static int create_claimed_queue(struct world *world)
{
	zipc_queue *queue;
	int r = zipc_queue_create(world->segment, "claimed", 16, ITEMS, NULL, &queue);
	if (r < 0)
		return r;
	zipc_queue_close(queue);
	pid_t pid = peer_fork();
	if (pid == 0)
		_exit(claim_and_die(world));
	return peer_wait(pid) == 0 ? 0 : -ECHILD;
}

static int count_dead(const zipc_peer_entry *entry, void *arg)
{
	*(uint32_t *)arg += entry->alive == 0;
	return 0;
}

#define PEERS 8u

static uint32_t generations[PEERS]; /* of the slots, before the operation */

/* After a gc of the survivor nobody is shown who died, and no generation ever goes back. */
static void check_peers(struct world *world)
{
	uint32_t dead = 0;
	if (world->mood >= 1 && zipc_segment_peers(world->segment, count_dead, &dead) == 0 &&
	    dead != 0)
		complain(world, "%u of the dead are shown after gc", dead);
	for (uint32_t slot = 0; slot < PEERS; slot++)
		if (zi_peer_at(world->segment, slot)->generation < generations[slot])
			complain(world, "the generation of slot %u went back", slot);
}

static void check_gc(struct world *world)
{
	zipc_queue *queue;
	uint64_t item[2];
	settle_first(world);
	check_peers(world);
	int r = zipc_queue_open(world->segment, "claimed", 16, NULL, &queue);
	if (r < 0) {
		complain(world, "open says %d: %s", r, zipc_last_error());
		return;
	}
	if (zipc_queue_pop(queue, item, ZIPC_NOWAIT) != -EAGAIN)
		complain(world, "an item that was taken comes back");
	queue_is_whole(world, queue);
	zipc_queue_close(queue);
	zipc_queue_remove(world->segment, "claimed");
	zipc_remove(world->segment, "other"); /* should its creator have come to its end */
	check_create(world);
}

static int setup_garbage(struct world *world)
{
	static struct moments moments[4];
	world->used = segment_used(world->segment);
	for (uint32_t slot = 0; slot < PEERS; slot++)
		if (zi_peer_at(world->segment, slot)->generation == 0)
			zi_peer_at(world->segment, slot)->generation = 40; /* can go back */
	int r = leave_behind(world, NULL, operate_alloc, SMALL, &moments[0]);
	if (r == 0)
		r = leave_behind(world, NULL, operate_alloc, LARGE, &moments[1]);
	if (r == 0)
		r = leave_behind(world, prepare_made_and_removed, operate_close, SMALL,
				 &moments[2]);
	if (r == 0)
		r = leave_behind(world, NULL, operate_create_other, SMALL, &moments[3]);
	if (r == 0)
		r = create_claimed_queue(world);
	if (r == 0)
		r = create_array(world->segment);
	for (uint32_t slot = 0; slot < PEERS; slot++)
		generations[slot] = zi_peer_at(world->segment, slot)->generation;
	return r < 0 ? r : 0;
}

static int operate_gc(struct world *world)
{
	return zipc_segment_gc(world->segment) < 0 ? -EIO : 0;
}

static const struct scenario gc_scenarios[] = {
	{.name = "gc",
	 .arg = &small,
	 .moods = 2,
	 .size = 1 << 20,
	 .max_peers = PEERS,
	 .setup = setup_garbage,
	 .operate = operate_gc,
	 .check = check_gc},
};

/* ---- tests ---------------------------------------------------------------------------------- */

#define COUNT(array) (sizeof(array) / sizeof(array)[0])
#define BOTH(what, least)                                                                          \
	static void test_oracle_##what(void **state)                                               \
	{                                                                                          \
		(void)state;                                                                       \
		oracle_run_all(what##_scenarios, COUNT(what##_scenarios), least, &oracled);        \
	}                                                                                          \
	static void test_kill_##what(void **state)                                                 \
	{                                                                                          \
		(void)state;                                                                       \
		kill_at_run_all(what##_scenarios, COUNT(what##_scenarios), &killed);               \
	}

BOTH(heap, 4)
BOTH(growth, 4)
BOTH(structure, 3)
BOTH(gc, 6)

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_oracle_heap),	 cmocka_unit_test(test_oracle_growth),
		cmocka_unit_test(test_oracle_structure), cmocka_unit_test(test_oracle_gc),
		cmocka_unit_test(test_kill_heap),	 cmocka_unit_test(test_kill_growth),
		cmocka_unit_test(test_kill_structure),	 cmocka_unit_test(test_kill_gc),
	};
	int r = PEER_RUN("segment_crash", tests);
	oracle_print("segment_crash", &oracled);
	kill_at_print("segment_crash", &killed);
	return r;
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	victim_prefer_loops(argv);
	return peer_main(argc, argv, roles, all_tests);
}
