/* SPDX-License-Identifier: MIT */
/* Blocks: alignment, classes, runs, fragmentation, stale and double frees, who owns them. */
#include "segment/rig.h"

#include "segment/heap.h"
#include "segment/peers.h"

#define CHUNK (64 * KIB)

/* One size of each slab class, and what it is rounded up to. */
static const uint32_t classes[] = {128,	 192,  256,  384,  512,	  768,	 1024,	1536, 2048,
				   3072, 4096, 6144, 8192, 10880, 16384, 21824, 32768};
#define CLASSES (sizeof classes / sizeof classes[0])

static bool is_zero(const uint8_t *bytes, uint64_t size)
{
	for (uint64_t i = 0; i < size; i++)
		if (bytes[i] != 0)
			return false;
	return true;
}

static uint64_t take(zipc_segment *segment, uint64_t size)
{
	uint64_t offset = 0;
	assert_ok(zipc_alloc(segment, size, 0, &offset));
	return offset;
}

static void bad_requests_are_refused(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	uint64_t offset = 5, used = rig_used(segment);
	assert_int_equal(zipc_alloc(segment, 0, 0, &offset), -EINVAL);
	assert_said("size 0");
	assert_int_equal(zipc_alloc(segment, 1, 3, &offset), -EINVAL);
	assert_said("alignment 3");
	assert_int_equal(zipc_alloc(segment, 1, 131072, &offset), -EINVAL);
	assert_int_equal(zipc_alloc(segment, 1, UINT64_MAX, &offset), -EINVAL);
	assert_int_equal(zipc_alloc(segment, 1 * MIB + 1, 0, &offset), -ENOSPC);
	assert_int_equal(zipc_alloc(segment, 1 * MIB, 0, &offset), -ENOSPC);
	assert_int_equal(zipc_alloc(segment, UINT64_MAX, 0, &offset), -ENOSPC);
	assert_int_equal(zipc_alloc(segment, UINT64_MAX - 65535, 65536, &offset), -ENOSPC);
	assert_int_equal(offset, 5);
	rig_close(segment, used);
}

static void every_size_and_alignment(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(8 * MIB);
	uint64_t used = rig_used(segment);
	for (uint64_t alignment = 1; alignment <= 65536; alignment *= 2) {
		for (size_t c = 0; c <= CLASSES; c++) {
			uint64_t size = c < CLASSES ? classes[c] : 3 * CHUNK - 5, offset;
			for (uint64_t s = size - 1; s <= size + 1; s++) {
				assert_ok(zipc_alloc(segment, s, alignment, &offset));
				uint64_t least = alignment < 64 ? 64 : alignment;
				assert_int_equal(offset % least, 0);
				uint8_t *bytes = zipc_pointer(segment, offset, s);
				assert_non_null(bytes);
				assert_true(is_zero(bytes, s));
				memset(bytes, 0xff, s);
				assert_ok(zipc_free(segment, offset));
			}
		}
	}
	rig_close(segment, used);
}

/* Two chunks full of each class: no two overlap, all are zero, all come back. */
static void blocks_of_a_class_do_not_overlap(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(4 * MIB);
	uint64_t used = rig_used(segment);
	static uint64_t offsets[2 * 512 + 8];
	for (size_t c = 0; c < CLASSES; c++) {
		uint32_t size = classes[c], n = 2 * (uint32_t)(CHUNK / size) + 1;
		for (uint32_t i = 0; i < n; i++) {
			offsets[i] = take(segment, size);
			uint8_t *bytes = zipc_pointer(segment, offsets[i], size);
			assert_true(is_zero(bytes, size));
			memset(bytes, (int)(i % 255 + 1), size);
		}
		/* exactly what was taken, and one ledger, is in use */
		uint64_t more = rig_used(segment) - used;
		assert_int_equal(more, (uint64_t)n * size + CHUNK);
		for (uint32_t i = 0; i < n; i++) {
			const uint8_t *bytes = zipc_pointer(segment, offsets[i], size);
			assert_int_equal(bytes[0], i % 255 + 1);
			assert_int_equal(bytes[size - 1], i % 255 + 1);
			assert_ok(zipc_free(segment, offsets[i]));
		}
		assert_int_equal(rig_used(segment), used);
	}
	rig_close(segment, used);
}

/* More slabs than one ledger has room for. */
static void many_slabs_need_many_ledgers(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(16 * MIB);
	uint64_t first = take(segment, 32768), used;
	assert_ok(zipc_free(segment, first));
	used = rig_used(segment);
	uint64_t offsets[2 * 40];
	for (int i = 0; i < 80; i++)
		offsets[i] = take(segment, 32768);
	assert_true(rig_used(segment) - used >= 80 * 32768 + 3 * CHUNK);
	assert_sound(segment);
	for (int i = 0; i < 80; i++)
		assert_ok(zipc_free(segment, offsets[(i * 7) % 80]));
	uint64_t grown = rig_used(segment) - used; /* pages of the chunk table */
	assert_true(grown <= 4096);
	rig_close(segment, used + grown);
}

static void runs_are_found_again_between_others(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	uint64_t used = rig_used(segment), a[64];
	int n = 0;
	while (zipc_alloc(segment, CHUNK, 0, &a[n]) == 0)
		n++;
	uint64_t offset, holes[32];
	for (int i = 0; i < n; i += 2) /* every second one: room enough, but no run of two */
		assert_ok(zipc_free(segment, a[i]));
	assert_int_equal(zipc_alloc(segment, 2 * CHUNK, 0, &offset), -ENOSPC);
	assert_int_equal(zipc_alloc(segment, CHUNK + 1, 0, &offset), -ENOSPC);
	int h = 0;
	while (zipc_alloc(segment, CHUNK - 1, 0, &holes[h]) == 0)
		h++;
	assert_int_equal(h, (n + 1) / 2);
	for (int i = 0; i < h; i++)
		assert_ok(zipc_free(segment, holes[i]));
	assert_ok(zipc_free(segment, a[1])); /* 0, 1 and 2 are free now */
	assert_ok(zipc_alloc(segment, 3 * CHUNK, 0, &offset));
	assert_int_equal(offset, a[0]);
	assert_sound(segment);
	assert_ok(zipc_free(segment, offset));
	for (int i = 3; i < n; i += 2)
		assert_ok(zipc_free(segment, a[i]));
	assert_ok(zipc_alloc(segment, (uint64_t)n * CHUNK, 65536, &offset)); /* all of it */
	assert_ok(zipc_free(segment, offset));
	rig_close(segment, used);
}

static void expect_stale(zipc_segment *segment, uint64_t offset)
{
	char number[24];
	snprintf(number, sizeof number, "%llu", (unsigned long long)offset);
	assert_int_equal(zipc_free(segment, offset), -ESTALE);
	assert_said(number);
	assert_int_equal(zipc_publish(segment, offset), -ESTALE);
	assert_said(number);
}

static void stale_and_double_frees_are_refused(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(4 * MIB);
	uint64_t used = rig_used(segment);
	uint64_t small = take(segment, 200), run = take(segment, 2 * CHUNK);
	const uint64_t wrong[] = {0,	      64,	   4096,       small + 1,
				  small + 64, small + 256, run + 1,    run + CHUNK,
				  run + 64,   100 * MIB,   UINT64_MAX, UINT64_MAX - 63};
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		expect_stale(segment, wrong[i]);
	assert_ok(zipc_free(segment, small));
	assert_ok(zipc_free(segment, run));
	expect_stale(segment, small);
	expect_stale(segment, run);
	uint64_t again = take(segment, 3 * CHUNK); /* where the run was, or over it */
	if (again != run)
		expect_stale(segment, run);
	assert_ok(zipc_free(segment, again));
	rig_close(segment, used);
}

/* The memory of structures and tables is not the users'. */
static void only_own_blocks_can_be_freed(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(4 * MIB), *b = rig_again(a, 0);
	zipc_array *array;
	uint64_t used = rig_used(a);
	assert_ok(zipc_array_create(a, "x", 8, 8, NULL, &array));
	uint64_t at = (uint64_t)((uint8_t *)zipc_array_data(array) -
				 (uint8_t *)zipc_pointer(a, CHUNK, 0)) +
		      CHUNK;
	assert_ptr_equal(zipc_pointer(a, at, 64), zipc_array_data(array));
	expect_stale(a, at);
	for (uint64_t chunk = 0; chunk < 8; chunk++)
		if (chunk * CHUNK != at)
			expect_stale(a, chunk * CHUNK);
	uint64_t small = take(a, 100), run = take(a, CHUNK);
	expect_stale(b, small); /* another attachment's, not published */
	expect_stale(b, run);
	assert_ok(zipc_publish(a, small));
	assert_ok(zipc_publish(a, small)); /* once more */
	assert_ok(zipc_publish(b, small));
	assert_ok(zipc_publish(a, run));
	assert_ok(zipc_free(b, small));
	assert_ok(zipc_free(b, run));
	expect_stale(a, small);
	zipc_array_close(array);
	assert_ok(zipc_remove(a, "x"));
	zipc_segment_close(b);
	rig_close(a, used);
}

/* What an attachment had not published goes with it; what it had, stays. */
static void the_end_of_an_attachment(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(4 * MIB), *b = rig_again(a, 0);
	uint64_t used = rig_used(a), kept = take(b, 100), run = take(b, 2 * CHUNK);
	take(b, 100);
	take(b, 5000);
	take(b, 3 * CHUNK);
	assert_ok(zipc_publish(b, kept));
	assert_ok(zipc_publish(b, run));
	memset(zipc_pointer(b, kept, 100), 0x77, 100);
	assert_int_equal(zipc_segment_gc(a), 0); /* it lives */
	rig_close_and_wait(b);
	assert_int_equal(zipc_segment_gc(a), 3);
	assert_int_equal(zipc_segment_gc(a), 0);
	assert_sound(a);
	assert_int_equal(*(uint8_t *)zipc_pointer(a, kept, 100), 0x77);
	assert_ok(zipc_free(a, kept));
	assert_ok(zipc_free(a, run));
	rig_close(a, used);
}

/* A full segment takes back what the dead hold without being asked. */
static void the_dead_make_room(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(4 * MIB), *b = rig_again(a, 0);
	uint64_t offset;
	take(b, 3 * MIB);
	assert_int_equal(zipc_alloc(a, 2 * MIB, 0, &offset), -ENOSPC);
	rig_close_and_wait(b);
	assert_ok(zipc_alloc(a, 2 * MIB, 0, &offset));
	b = rig_again(a, 0);
	assert_ok(zipc_free(a, offset));
	take(b, 3 * MIB);
	rig_close_and_wait(b);
	zipc_array *array;
	assert_ok(zipc_array_create(a, "x", MIB, 2, NULL, &array));
	zipc_array_close(array);
	zipc_segment_close(a);
}

static void pointers_stay_inside(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	uint64_t offset = take(segment, 1000), size = rig_info(segment).max_size;
	uint8_t *bytes = zipc_pointer(segment, offset, 1000);
	assert_non_null(bytes);
	assert_ptr_equal(zipc_pointer(segment, offset + 10, 5), bytes + 10);
	assert_null(zipc_pointer(segment, 0, 8)); /* the segment's own */
	assert_null(zipc_pointer(segment, size, 1));
	assert_null(zipc_pointer(segment, size - 1, 2));
	assert_null(zipc_pointer(segment, offset, size));
	assert_null(zipc_pointer(segment, offset, UINT64_MAX));
	assert_null(zipc_pointer(segment, UINT64_MAX, 2));
	assert_ok(zipc_free(segment, offset));
	zipc_segment_close(segment);
}

struct held {
	uint64_t offset, size, mark;
};

static void fill(zipc_segment *segment, const struct held *h)
{
	uint64_t *words = zipc_pointer(segment, h->offset, h->size);
	for (uint64_t i = 0; i < h->size / 8; i += 64)
		words[i] = h->mark + i;
	words[h->size / 8 - 1] = h->mark;
}

static bool is_filled(zipc_segment *segment, const struct held *h)
{
	const uint64_t *words = zipc_pointer(segment, h->offset, h->size);
	for (uint64_t i = 0; i < h->size / 8 - 1; i += 64)
		if (words[i] != h->mark + i)
			return false;
	return words[h->size / 8 - 1] == h->mark;
}

static void random_blocks_keep_their_content(void **state)
{
	(void)state;
	uint64_t seed = seed_for("heap");
	zipc_segment *segment = rig_make(8 * MIB);
	struct held held[64] = {0};
	for (uint64_t step = 1; step <= 6000; step++) {
		struct held *h = &held[random_below(&seed, 64)];
		if (h->size != 0) {
			assert_true(is_filled(segment, h));
			assert_ok(zipc_free(segment, h->offset));
			h->size = 0;
			continue;
		}
		uint64_t size = 16 + random_below(&seed, 1u << (5 + random_below(&seed, 14)));
		uint32_t alignment = 1u << random_below(&seed, 17);
		int r = zipc_alloc(segment, size, alignment, &h->offset);
		if (r == 0) {
			*h = (struct held){h->offset, size & ~UINT64_C(7), step << 20};
			assert_int_equal(h->offset % alignment, 0);
			fill(segment, h);
		} else {
			assert_int_equal(r, -ENOSPC);
		}
		if (step % 1000 == 0)
			assert_sound(segment);
	}
	for (int i = 0; i < 64; i++)
		if (held[i].size != 0)
			assert_ok(zipc_free(segment, held[i].offset));
	uint64_t offset; /* all of it is there again */
	uint64_t free = rig_info(segment).max_size - 4 * CHUNK;
	assert_ok(zipc_alloc(segment, free, 0, &offset));
	assert_ok(zipc_free(segment, offset));
	zipc_segment_close(segment);
}

/* ---- tags ----------------------------------------------------------------------------------- */

static void tags_say_whose_a_block_is(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(4 * MIB);
	uint64_t used = rig_used(segment), one = zi_tag_peer(rig_info(segment).self_id);
	uint64_t other = zi_tag_entry(7, 3), a, b, c;
	assert_ok(zi_heap_alloc(segment, 100, 64, one, &a));
	assert_ok(zi_heap_alloc(segment, 3 * CHUNK, 64, other, &b));
	assert_ok(zi_heap_alloc(segment, 300, 64, other, &c));
	assert_int_equal(zi_heap_free(segment, a, other), -ESTALE);
	assert_int_equal(zi_heap_free(segment, b, one), -ESTALE);
	assert_int_equal(zi_heap_retag(segment, b, one, ZI_TAG_SEGMENT), -ESTALE);
	assert_ok(zi_heap_retag(segment, b, other, one));
	assert_ok(zi_heap_retag(segment, b, other, one)); /* done before */
	assert_int_equal(zi_heap_free_tag(segment, other), 1);
	assert_int_equal(zi_heap_free_tag(segment, other), 0);
	assert_int_equal(zi_heap_free_tag(segment, one), 2);
	rig_close(segment, used);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_requests_are_refused),
		cmocka_unit_test(every_size_and_alignment),
		cmocka_unit_test(blocks_of_a_class_do_not_overlap),
		cmocka_unit_test(many_slabs_need_many_ledgers),
		cmocka_unit_test(runs_are_found_again_between_others),
		cmocka_unit_test(stale_and_double_frees_are_refused),
		cmocka_unit_test(only_own_blocks_can_be_freed),
		cmocka_unit_test(the_end_of_an_attachment),
		cmocka_unit_test(the_dead_make_room),
		cmocka_unit_test(pointers_stay_inside),
		cmocka_unit_test(random_blocks_keep_their_content),
		cmocka_unit_test(tags_say_whose_a_block_is),
	};
	return PEER_RUN("heap", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
