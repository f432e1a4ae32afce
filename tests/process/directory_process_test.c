/* SPDX-License-Identifier: MIT */
/*
 * Many processes at the directory at once: creators of the same names, openers and removers, and
 * whether the room of what was removed comes back.
 */
#include "support/cmocka_all.h"
#include "support/peer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECONDS 120u
#define RACERS	4u
#define NAMES	20u
#define ROUNDS	200u
#define LENGTH	30u /* elements of an array */

struct race {
	uint32_t round;	   /* raised by the test: go */
	uint32_t arrived;  /* racers that have everything, all rounds together */
	uint32_t released; /* raised by the test: let go */
	uint32_t gone;	   /* racers that have let go, all rounds together */
	uint32_t wrong;
	uint32_t created[ROUNDS + 1][NAMES];
	char segment[80];
};

static void add(uint32_t *word)
{
	__atomic_fetch_add(word, 1u, __ATOMIC_SEQ_CST);
}

static void name_of(uint32_t i, char *out)
{
	snprintf(out, 16, "race/%u", i);
}

/* Even rounds open or create, odd ones create and then open. */
static int make(zipc_segment *segment, uint32_t round, uint32_t i, zipc_array **array)
{
	char name[16];
	name_of(i, name);
	if (round % 2 == 0)
		return zipc_array_open_or_create(segment, name, 8, LENGTH, NULL, array);
	int r = zipc_array_create(segment, name, 8, LENGTH, NULL, array);
	if (r == 0)
		return 1;
	if (r != -EEXIST)
		return r;
	/* -EEXIST is said of a name that is still being built, too */
	do
		r = zipc_array_open(segment, name, 8, LENGTH, NULL, array);
	while (r == -ENOENT);
	return r;
}

/* Every racer adds to every element: whoever has another array than the rest is found out. */
static void mark(struct race *race, zipc_array *array)
{
	for (uint32_t k = 0; k < LENGTH; k++)
		if (zipc_array_add64(array, k, 1, NULL) != 0)
			add(&race->wrong);
}

static void run_round(struct race *race, zipc_segment *segment, uint32_t round, uint64_t *seed)
{
	zipc_array *arrays[NAMES] = {NULL};
	uint32_t start = random_below(seed, NAMES);
	uint32_t stride = random_below(seed, 2) == 0 ? 1 : NAMES - 1;
	for (uint32_t n = 0; n < NAMES; n++) {
		uint32_t i = (start + n * stride) % NAMES;
		int r = make(segment, round, i, &arrays[i]);
		if (r == 1)
			add(&race->created[round][i]);
		if (r < 0) {
			fprintf(stderr, "make says %d: %s\n", r, zipc_last_error());
			add(&race->wrong);
		} else {
			mark(race, arrays[i]);
		}
	}
	add(&race->arrived);
	if (!wait_until_at_least(&race->released, round))
		_exit(90);
	for (uint32_t i = 0; i < NAMES; i++)
		zipc_array_close(arrays[i]);
	add(&race->gone);
}

/* racer <board> <seed> */
static int role_racer(int argc, char **argv)
{
	zipc_segment *segment;
	if (argc != 2)
		return 2;
	struct race *race = board_join(argv[0]).memory;
	uint64_t seed = strtoull(argv[1], NULL, 10);
	if (zipc_segment_open(race->segment, NULL, &segment) < 0)
		return 3;
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		if (!wait_until_at_least(&race->round, round))
			return 4;
		run_round(race, segment, round, &seed);
	}
	zipc_segment_close(segment);
	return 0;
}

/* ---- the test's side ------------------------------------------------------------------------- */

struct extents {
	uint32_t count;
	uint64_t from[NAMES + 1];
	uint64_t to[NAMES + 1];
	bool overlap;
};

static int note_extent(const zipc_structure_entry *entry, void *arg)
{
	struct extents *e = arg;
	if (e->count > NAMES)
		return 1;
	for (uint32_t i = 0; i < e->count; i++)
		if (entry->offset < e->to[i] && e->from[i] < entry->offset + entry->size)
			e->overlap = true;
	e->from[e->count] = entry->offset;
	e->to[e->count++] = entry->offset + entry->size;
	return 0;
}

static void check_values(zipc_segment *segment)
{
	for (uint32_t i = 0; i < NAMES; i++) {
		char name[16];
		zipc_array *array;
		uint64_t value = 0;
		name_of(i, name);
		assert_int_equal(zipc_array_open(segment, name, 8, LENGTH, NULL, &array), 0);
		for (uint32_t k = 0; k < LENGTH; k++) {
			assert_int_equal(zipc_array_load64(array, k, &value), 0);
			assert_int_equal(value, RACERS);
		}
		assert_int_equal(zipc_array_remove(segment, name), 0);
		zipc_array_close(array);
	}
}

static void check_round(struct race *race, zipc_segment *segment, uint32_t round)
{
	struct extents extents = {0};
	assert_int_equal(race->wrong, 0);
	for (uint32_t i = 0; i < NAMES; i++)
		assert_int_equal(race->created[round][i], 1);
	assert_int_equal(zipc_segment_structures(segment, note_extent, &extents), 0);
	assert_int_equal(extents.count, NAMES);
	assert_false(extents.overlap);
	check_values(segment);
}

static void test_creators_race(void **state)
{
	(void)state;
	pid_t pids[RACERS];
	zipc_segment *segment;
	uint64_t seed = seed_for("creators race");
	watchdog(SECONDS, "creators race");
	struct board board = board_make(sizeof(struct race));
	struct race *race = board.memory;
	snprintf(race->segment, sizeof race->segment, "%s", unique_name("race"));
	assert_int_equal(zipc_segment_create(race->segment, NULL, &segment), 0);
	uint64_t used = segment_used(segment);
	for (uint32_t i = 0; i < RACERS; i++)
		pids[i] = peer_spawn("racer", text_of(board.fd),
				     text_of((long long)(random_next(&seed) >> 2)), NULL);
	for (uint32_t round = 1; round <= ROUNDS; round++) {
		__atomic_store_n(&race->round, round, __ATOMIC_SEQ_CST);
		assert_true(wait_until_at_least(&race->arrived, round * RACERS));
		check_round(race, segment, round);
		__atomic_store_n(&race->released, round, __ATOMIC_SEQ_CST);
		assert_true(wait_until_at_least(&race->gone, round * RACERS));
	}
	for (uint32_t i = 0; i < RACERS; i++)
		assert_int_equal(peer_wait(pids[i]), 0);
	assert_true(zipc_segment_gc(segment) >= 0);
	assert_int_equal(zipc_segment_verify(segment, NULL, NULL), 0);
	assert_int_equal(segment_used(segment), used);
	zipc_segment_close(segment);
	assert_int_equal(zipc_segment_remove(race->segment, NULL), 0);
	board_close(&board);
}

/* ---- room comes back ------------------------------------------------------------------------- */

static zipc_segment *small_segment(const char **out_name)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	zipc_segment *segment;
	options.max_size = 1 << 20;
	options.max_peers = 8;
	*out_name = unique_name("small");
	assert_int_equal(zipc_segment_create(*out_name, &options, &segment), 0);
	return segment;
}

static void test_ten_thousand_rounds(void **state)
{
	(void)state;
	const char *name;
	zipc_array *array;
	watchdog(SECONDS, "ten thousand rounds");
	zipc_segment *segment = small_segment(&name);
	uint64_t used = segment_used(segment);
	for (uint32_t i = 0; i < 10000; i++) {
		uint8_t value = 1;
		assert_int_equal(zipc_array_create(segment, "a", 1, 10240, NULL, &array), 0);
		assert_int_equal(zipc_array_get(array, i, &value), i < 10240 ? 0 : -ERANGE);
		assert_int_equal(value, 0);
		assert_int_equal(zipc_array_fill(array, 0, 10240, "x"), 0);
		if (i % 2 == 0)
			assert_int_equal(zipc_array_remove(segment, "a"), 0);
		zipc_array_close(array);
		if (i % 2 == 1)
			assert_int_equal(zipc_array_remove(segment, "a"), 0);
	}
	assert_int_equal(segment_used(segment), used);
	zipc_segment_close(segment);
	assert_int_equal(zipc_segment_remove(name, NULL), 0);
}

/* holder <segment> <board>: opens "held", writes, reads it again when told to. */
static int role_holder(int argc, char **argv)
{
	zipc_segment *segment;
	zipc_array *array;
	uint64_t value;
	if (argc != 2 || zipc_segment_open(argv[0], NULL, &segment) < 0 ||
	    zipc_array_open(segment, "held", 8, 0, NULL, &array) < 0)
		return 2;
	struct race *race = board_join(argv[1]).memory;
	for (uint64_t i = 0; i < zipc_array_length(array); i++)
		zipc_array_store64(array, i, i * 3);
	add(&race->arrived);
	if (!wait_until_at_least(&race->released, 1))
		return 3;
	for (uint64_t i = 0; i < zipc_array_length(array); i++)
		if (zipc_array_load64(array, i, &value) != 0 || value != i * 3)
			return 4;
	zipc_array_close(array);
	zipc_segment_close(segment);
	return 0;
}

static void make_held(zipc_segment *segment)
{
	zipc_array *array;
	assert_int_equal(zipc_array_create(segment, "held", 8, 20000, NULL, &array), 0);
	zipc_array_close(array);
}

/* Removed while another process has it open: it keeps it; its memory comes back when it goes. */
static void removed_while_open(bool killed)
{
	const char *name;
	watchdog(SECONDS, "removed while open");
	struct board board = board_make(sizeof(struct race));
	struct race *race = board.memory;
	zipc_segment *segment = small_segment(&name);
	uint64_t used = segment_used(segment);
	make_held(segment);
	uint64_t with = segment_used(segment);
	pid_t pid = peer_spawn("holder", name, text_of(board.fd), NULL);
	assert_true(wait_until_at_least(&race->arrived, 1));
	assert_int_equal(zipc_remove(segment, "held"), 0);
	assert_int_equal(zipc_remove(segment, "held"), -ENOENT);
	assert_int_equal(segment_used(segment), with);
	assert_true(zipc_segment_gc(segment) >= 0);
	assert_int_equal(segment_used(segment), with);
	make_held(segment); /* another one of the same name, zeroed, elsewhere */
	assert_true(segment_used(segment) > with);
	if (killed) {
		peer_kill(pid);
	} else {
		__atomic_store_n(&race->released, 1u, __ATOMIC_SEQ_CST);
		assert_int_equal(peer_wait(pid), 0);
		assert_int_equal(segment_used(segment), with);
	}
	assert_int_equal(zipc_remove(segment, "held"), 0);
	if (killed) /* whoever creates gives it back on the way */
		make_held(segment);
	if (killed)
		assert_int_equal(zipc_remove(segment, "held"), 0);
	assert_int_equal(segment_used(segment), used);
	zipc_segment_close(segment);
	assert_int_equal(zipc_segment_remove(name, NULL), 0);
	board_close(&board);
}

static void test_removed_while_open(void **state)
{
	(void)state;
	removed_while_open(false);
}

static void test_holder_killed(void **state)
{
	(void)state;
	removed_while_open(true);
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_creators_race),
		cmocka_unit_test(test_ten_thousand_rounds),
		cmocka_unit_test(test_removed_while_open),
		cmocka_unit_test(test_holder_killed),
	};
	return PEER_RUN("directory", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{"racer", role_racer}, {"holder", role_holder}, {NULL, NULL}};
	return peer_main(argc, argv, roles, all_tests);
}
