/* SPDX-License-Identifier: MIT */
/* Threads that share attachments: storms of names, of blocks, of attachments. */
#include "segment/rig.h"

#include <pthread.h>

#define THREADS 4

struct storm {
	zipc_segment *segment;
	uint32_t number;
	uint32_t rounds;
	int failure; /* the first code that may not be */
	pthread_t thread;
};

static void blow(void *(*run)(void *), zipc_segment *a, zipc_segment *b, uint32_t rounds)
{
	struct storm storms[THREADS];
	for (uint32_t i = 0; i < THREADS; i++) {
		storms[i] = (struct storm){i % 2 == 0 ? a : b, i, rounds, 0, 0};
		assert_ok(pthread_create(&storms[i].thread, NULL, run, &storms[i]));
	}
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(storms[i].thread, NULL);
		assert_ok(storms[i].failure);
	}
}

/* ---- names ---------------------------------------------------------------------------------- */

static int use_array(struct storm *s, const char *name)
{
	zipc_array *array;
	int r = zipc_array_open_or_create(s->segment, name, 8, 64, NULL, &array);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < 64 && r >= 0; i++) /* ours until it is closed, removed or not */
		r = zipc_array_add64(array, i, 1, NULL);
	zipc_array_close(array);
	return r;
}

static void *storm_of_names(void *arg)
{
	struct storm *s = arg;
	static const char *const names[] = {"a", "b", "c"};
	for (uint32_t i = 0; i < s->rounds && s->failure == 0; i++) {
		const char *name = names[(i + s->number) % 3];
		int r = use_array(s, name);
		if (r < 0)
			s->failure = r;
		r = zipc_array_remove(s->segment, name);
		if (r < 0 && r != -ENOENT)
			s->failure = r;
	}
	return NULL;
}

static void names_come_and_go(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(16 * MIB);
	uint64_t used = rig_used(a);
	blow(storm_of_names, a, a, 300);
	zipc_remove(a, "a");
	zipc_remove(a, "b");
	zipc_remove(a, "c");
	rig_close(a, used);
}

struct tally {
	zipc_segment *segment;
	uint32_t created, opened;
};

static void *open_or_create_once(void *arg)
{
	struct tally *t = arg;
	zipc_array *array;
	int r = zipc_array_open_or_create(t->segment, "one", 8, 8, NULL, &array);
	if (r >= 0)
		zipc_array_close(array);
	__atomic_add_fetch(r == 1 ? &t->created : &t->opened, r >= 0, __ATOMIC_SEQ_CST);
	return NULL;
}

/* With several callers at once exactly one creates. */
static void one_of_many_creates(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(16 * MIB);
	for (int round = 0; round < 60; round++) {
		struct tally t = {segment, 0, 0};
		pthread_t threads[THREADS];
		for (int i = 0; i < THREADS; i++)
			assert_ok(pthread_create(&threads[i], NULL, open_or_create_once, &t));
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		assert_int_equal(t.created, 1);
		assert_int_equal(t.opened, THREADS - 1);
		assert_ok(zipc_remove(segment, "one"));
	}
	zipc_segment_close(segment);
}

/* ---- blocks --------------------------------------------------------------------------------- */

static bool still_ours(zipc_segment *segment, uint64_t offset, uint64_t size, uint8_t mark)
{
	const uint8_t *bytes = zipc_pointer(segment, offset, size);
	for (uint64_t i = 0; i < size; i += 97)
		if (bytes[i] != mark)
			return false;
	return bytes[size - 1] == mark;
}

static void *storm_of_blocks(void *arg)
{
	struct storm *s = arg;
	uint64_t seed = s->number * 77 + 1, offsets[8], sizes[8];
	for (uint32_t i = 0; i < s->rounds && s->failure == 0; i++) {
		for (int k = 0; k < 8 && s->failure == 0; k++) {
			sizes[k] = 1 + random_below(&seed, k == 0 ? 150000 : 5000);
			s->failure = zipc_alloc(s->segment, sizes[k], 0, &offsets[k]);
			if (s->failure == 0)
				memset(zipc_pointer(s->segment, offsets[k], sizes[k]),
				       (int)s->number + 1, sizes[k]);
		}
		for (int k = 0; k < 8 && s->failure == 0; k++) {
			if (!still_ours(s->segment, offsets[k], sizes[k], (uint8_t)(s->number + 1)))
				s->failure = -EBADMSG;
			if (k % 2 == 0 && s->failure == 0)
				s->failure = zipc_publish(s->segment, offsets[k]);
			if (s->failure == 0)
				s->failure = zipc_free(s->segment, offsets[k]);
		}
	}
	return NULL;
}

static void blocks_come_and_go(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(16 * MIB);
	blow(storm_of_blocks, a, a, 60);
	rig_close(a, rig_used(a));
}

/* ---- attachments, looking, care -------------------------------------------------------------- */

static void *storm_of_attachments(void *arg)
{
	struct storm *s = arg;
	for (uint32_t i = 0; i < s->rounds && s->failure == 0; i++) {
		zipc_segment *mine;
		uint64_t offset;
		int fd = zipc_segment_export_fd(s->segment);
		s->failure = fd < 0 ? fd : zipc_segment_open_fd(fd, NULL, &mine);
		if (fd >= 0)
			close(fd);
		if (s->failure != 0)
			break;
		s->failure = zipc_alloc(mine, 100, 0, &offset);
		if (s->failure == 0)
			s->failure = use_array(&(struct storm){.segment = mine}, "shared") < 0;
		zipc_segment_close(mine);
		int r = i % 4 == 0 ? zipc_segment_gc(s->segment) : 0;
		if (r < 0)
			s->failure = r;
		zipc_segment_info info = {.struct_size = sizeof info};
		zipc_segment_get_info(s->segment, &info);
		if (info.peers > 1 + THREADS || info.structures > 1)
			s->failure = -ERANGE;
	}
	return NULL;
}

static void attachments_come_and_go(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(16 * MIB);
	uint64_t used = rig_used(a);
	blow(storm_of_attachments, a, a, 40);
	nap_us(12000);
	assert_true(zipc_segment_gc(a) >= 0);
	assert_int_equal(rig_info(a).peers, 1);
	assert_ok(zipc_remove(a, "shared"));
	rig_close(a, used);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_come_and_go),
		cmocka_unit_test(one_of_many_creates),
		cmocka_unit_test(blocks_come_and_go),
		cmocka_unit_test(attachments_come_and_go),
	};
	return PEER_RUN("segment threads", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
