/* SPDX-License-Identifier: MIT */
/*
 * What goes on beside others at work: processes that may only read, and a segment that grows under
 * those that were attached when it was small.
 */
#include "support/cmocka_all.h"
#include "support/ledger.h"
#include "support/peer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECONDS	 120u
#define SECOND	 INT64_C(1000000000)
#define LOOKS	 100000u
#define SIZE	 1000u /* of an item; copying it takes long enough to be torn */
#define CAPACITY 4u
#define MIB	 (UINT64_C(1) << 20)

struct talk {
	struct scene_card card;
	uint32_t started;
	uint32_t looks; /* good ones, by readers */
	uint32_t stale;
	uint32_t wrong;
	int32_t code;
	uint32_t checked; /* blocks, by those that were there before the segment grew */
	uint64_t last_offset;
};

static void raise_word(uint32_t *word)
{
	__atomic_add_fetch(word, 1u, __ATOMIC_SEQ_CST);
}

static int note_wrong(struct talk *talk, int code)
{
	__atomic_store_n(&talk->code, code, __ATOMIC_SEQ_CST);
	raise_word(&talk->wrong);
	return 4;
}

static uint32_t living(zipc_segment *segment)
{
	zipc_segment_info info = {.struct_size = sizeof info};
	return zipc_segment_get_info(segment, &info) < 0 ? 0 : info.peers;
}

static struct talk *open_scene(struct scene *scene, const char *tag, uint64_t element_size)
{
	scene_open(scene, &(struct scene_options){.tag = tag,
						  .seconds = SECONDS,
						  .board = sizeof(struct talk),
						  .element_size = element_size,
						  .capacity = CAPACITY});
	return scene->board.memory;
}

static void expect_nothing_wrong(const struct talk *talk)
{
	uint32_t wrong = __atomic_load_n(&talk->wrong, __ATOMIC_SEQ_CST);
	if (wrong != 0)
		print_error("a call said %d\n", (int)talk->code);
	assert_int_equal(wrong, 0);
}

/* ---- reading only ---------------------------------------------------------------------------- */

/* Peeks and reads until the queue has gone; what it sees is whole. */
static int look_on(struct talk *talk, zipc_queue *queue, zipc_array *array)
{
	uint8_t item[SIZE];
	uint32_t lane, sequence;
	uint64_t value, last = 0;
	for (;;) {
		int r = zipc_queue_peek(queue, item);
		if (r == -ESTALE)
			break;
		if (r == 0 && !item_read(item, SIZE, &lane, &sequence))
			return note_wrong(talk, -EIO);
		if (r != 0 && r != -EAGAIN)
			return note_wrong(talk, r);
		int got = zipc_array_load64(array, 0, &value);
		if (got < 0 || value < last)
			return note_wrong(talk, got < 0 ? got : -EIO);
		last = value;
		if (r == 0)
			raise_word(&talk->looks);
	}
	raise_word(&talk->stale);
	return 0;
}

/* reader <board> */
static int role_reader(int argc, char **argv)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	zipc_segment *segment;
	zipc_queue *queue;
	zipc_array *array;
	if (argc != 1)
		return 2;
	struct talk *talk = board_join(argv[0]).memory;
	options.flags = ZIPC_SEGMENT_READ_ONLY;
	if (zipc_segment_open(talk->card.segment, &options, &segment) < 0 ||
	    zipc_queue_open(segment, "q", SIZE, NULL, &queue) < 0 ||
	    zipc_array_open(segment, "count", 8, 1, NULL, &array) < 0)
		return 3;
	uint8_t item[SIZE] = {0};
	if (zipc_queue_push(queue, item, ZIPC_NOWAIT) != -EROFS ||
	    zipc_queue_pop(queue, item, ZIPC_NOWAIT) != -EROFS ||
	    zipc_array_store64(array, 0, 1) != -EROFS || zipc_segment_gc(segment) != -EROFS)
		return note_wrong(talk, 0);
	raise_word(&talk->started);
	int r = look_on(talk, queue, array);
	zipc_array_close(array);
	zipc_queue_close(queue);
	zipc_segment_close(segment);
	return r;
}

/* Pushes, counts and pops until the readers have seen so much. */
static void work_until(struct scene *scene, zipc_array *array, const uint32_t *seen, uint32_t much)
{
	uint8_t item[SIZE];
	const struct talk *talk = scene->board.memory;
	for (uint32_t i = 1; __atomic_load_n(seen, __ATOMIC_SEQ_CST) < much; i++) {
		expect_nothing_wrong(talk);
		item_write(item, SIZE, 0, i);
		assert_int_equal(zipc_queue_push(scene->queue, item, ZIPC_NOWAIT), 0);
		assert_int_equal(zipc_array_add64(array, 0, 1, NULL), 0);
		if (i > 1) /* one is always there, and no slot is the same for long */
			assert_int_equal(zipc_queue_pop(scene->queue, item, ZIPC_NOWAIT), 0);
	}
	while (zipc_queue_pop(scene->queue, item, ZIPC_NOWAIT) == 0)
		;
}

static void test_readers_beside_a_writer(void **state)
{
	(void)state;
	struct scene scene;
	zipc_array *array;
	struct talk *talk = open_scene(&scene, "readers", SIZE);
	assert_int_equal(zipc_array_create(scene.segment, "count", 8, 1, NULL, &array), 0);
	pid_t pids[2];
	for (int i = 0; i < 2; i++)
		pids[i] = peer_spawn("reader", text_of(scene.board.fd), NULL);
	work_until(&scene, array, &talk->started, 2);
	assert_int_equal(living(scene.segment), 1); /* readers take no slot */
	work_until(&scene, array, &talk->looks, LOOKS);
	peer_kill(pids[0]); /* holds nothing */
	work_until(&scene, array, &talk->looks, talk->looks + LOOKS);
	assert_int_equal(zipc_segment_gc(scene.segment), 0);
	assert_int_equal(zipc_queue_remove(scene.segment, "q"), 0);
	zipc_queue_close(scene.queue); /* the reader has it open: its memory goes all the same */
	scene.queue = NULL;
	assert_true(wait_until_at_least(&talk->stale, 1));
	assert_int_equal(peer_wait(pids[1]), 0);
	expect_nothing_wrong(talk);
	zipc_array_close(array);
	scene_close(&scene);
}

/* scribbler <board>: a read-only attachment is one for the processor, too. */
static int role_scribbler(int argc, char **argv)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	zipc_segment *segment;
	zipc_array *array;
	if (argc != 1)
		return 2;
	struct talk *talk = board_join(argv[0]).memory;
	options.flags = ZIPC_SEGMENT_READ_ONLY;
	if (zipc_segment_open(talk->card.segment, &options, &segment) < 0 ||
	    zipc_array_open(segment, "count", 8, 1, NULL, &array) < 0)
		return 3;
	signal(SIGSEGV, SIG_DFL); /* a sanitizer would report it */
	*(volatile uint64_t *)zipc_array_data(array) = 1;
	return 0;
}

static void test_a_reader_is_kept_from_writing(void **state)
{
	(void)state;
	struct scene scene;
	zipc_array *array;
	uint64_t value;
	open_scene(&scene, "scribbler", SIZE);
	assert_int_equal(zipc_array_create(scene.segment, "count", 8, 1, NULL, &array), 0);
	pid_t pid = peer_spawn("scribbler", text_of(scene.board.fd), NULL);
	assert_int_equal(peer_wait(pid), 256 + SIGSEGV);
	assert_int_equal(zipc_array_load64(array, 0, &value), 0);
	assert_int_equal(value, 0);
	zipc_array_close(array);
	scene_close(&scene);
}

/* ---- growth ---------------------------------------------------------------------------------- */

#define GROWERS	    2u
#define CHECKERS    2u
#define BLOCK	    (UINT64_C(300) << 10)
#define BLOCKS_EACH 120u /* 36 MiB: some 18 steps */
#define GROWN_LEAST (20 * MIB)

/* What travels through the queue: where a block is. */
struct letter {
	uint64_t offset;
	uint64_t seed;
};

static void fill_block(uint64_t *words, uint64_t seed)
{
	for (uint64_t i = 0; i < BLOCK / sizeof *words; i++)
		words[i] = seed * UINT64_C(0x9e3779b97f4a7c15) + i;
}

static bool block_is_whole(const uint64_t *words, uint64_t seed)
{
	for (uint64_t i = 0; i < BLOCK / sizeof *words; i++)
		if (words[i] != seed * UINT64_C(0x9e3779b97f4a7c15) + i)
			return false;
	return true;
}

/* grower <board> <number>: fills new blocks and sends word of them. */
static int role_grower(int argc, char **argv)
{
	struct scene scene;
	if (argc != 2 || scene_join(&scene, argv[0]) < 0)
		return 3;
	struct talk *talk = scene.board.memory;
	for (uint32_t i = 0; i < BLOCKS_EACH; i++) {
		struct letter letter = {.seed = (uint64_t)atoi(argv[1]) << 32 | i};
		int r = zipc_alloc(scene.segment, BLOCK, 0, &letter.offset);
		if (r < 0)
			return note_wrong(talk, r);
		fill_block(zipc_pointer(scene.segment, letter.offset, BLOCK), letter.seed);
		r = zipc_publish(scene.segment, letter.offset);
		if (r == 0)
			r = zipc_queue_push(scene.queue, &letter, 20 * SECOND);
		if (r < 0)
			return note_wrong(talk, r);
	}
	zipc_queue_close(scene.queue);
	zipc_segment_close(scene.segment);
	return 0;
}

/* checker <board>: attached before anything grew; reads blocks wherever they are. */
static int role_checker(int argc, char **argv)
{
	struct scene scene;
	struct letter letter;
	int r;
	if (argc != 1 || scene_join(&scene, argv[0]) < 0)
		return 3;
	struct talk *talk = scene.board.memory;
	raise_word(&talk->started);
	while ((r = zipc_queue_pop(scene.queue, &letter, 20 * SECOND)) == 0) {
		const uint64_t *words = zipc_pointer(scene.segment, letter.offset, BLOCK);
		if (words == NULL || !block_is_whole(words, letter.seed))
			return note_wrong(talk, -EIO);
		if (letter.offset > __atomic_load_n(&talk->last_offset, __ATOMIC_SEQ_CST))
			__atomic_store_n(&talk->last_offset, letter.offset, __ATOMIC_SEQ_CST);
		raise_word(&talk->checked);
	}
	zipc_queue_close(scene.queue);
	zipc_segment_close(scene.segment);
	return r == -EPIPE ? 0 : note_wrong(talk, r);
}

static pid_t start_grower(struct scene *scene, uint32_t number)
{
	return peer_spawn("grower", text_of(scene->board.fd), text_of(number), NULL);
}

/* Everybody is attached while it is small; one that makes it grow is killed while it does. */
static void test_growth_under_use(void **state)
{
	(void)state;
	struct scene scene;
	uint64_t seed = seed_for("growth");
	struct talk *talk = open_scene(&scene, "growth", sizeof(struct letter));
	zipc_segment_info before = {.struct_size = sizeof before}, after = before;
	assert_int_equal(zipc_segment_get_info(scene.segment, &before), 0);
	pid_t checkers[CHECKERS], growers[GROWERS];
	for (uint32_t i = 0; i < CHECKERS; i++)
		checkers[i] = peer_spawn("checker", text_of(scene.board.fd), NULL);
	assert_true(wait_until_at_least(&talk->started, CHECKERS));
	for (uint32_t i = 0; i < GROWERS; i++)
		growers[i] = start_grower(&scene, i);
	for (uint32_t kills = 0; kills < 3; kills++) {
		assert_true(wait_until_at_least(&talk->checked, 20 * (kills + 1)));
		nap_us(random_below(&seed, 2000));
		peer_kill(growers[0]);
		growers[0] = start_grower(&scene, GROWERS + kills);
	}
	for (uint32_t i = 0; i < GROWERS; i++)
		assert_int_equal(peer_wait(growers[i]), 0);
	assert_int_equal(zipc_queue_shutdown(scene.queue), 0);
	for (uint32_t i = 0; i < CHECKERS; i++)
		assert_int_equal(peer_wait(checkers[i]), 0);
	expect_nothing_wrong(talk);
	assert_true(talk->checked >= GROWERS * BLOCKS_EACH);
	assert_true(talk->last_offset > GROWN_LEAST);
	assert_int_equal(zipc_segment_get_info(scene.segment, &after), 0);
	assert_true(after.size >= before.size + GROWN_LEAST);
	scene_close(&scene);
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_beside_a_writer),
		cmocka_unit_test(test_a_reader_is_kept_from_writing),
		cmocka_unit_test(test_growth_under_use),
	};
	return PEER_RUN("beside_process", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{"reader", role_reader},
		{"scribbler", role_scribbler},
		{"grower", role_grower},
		{"checker", role_checker},
		{NULL, NULL},
	};
	return peer_main(argc, argv, roles, all_tests);
}
