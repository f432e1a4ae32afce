/* SPDX-License-Identifier: MIT */
#include "segment/rig.h"

#include "segment/segment.h"

static void bad_sizes_are_refused(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	uint64_t used = rig_used(segment);
	zipc_array *array = NULL;
	zipc_array_options o = ZIPC_ARRAY_OPTIONS_INIT;
	assert_int_equal(zipc_array_create(segment, "x", 0, 1, NULL, &array), -EINVAL);
	assert_said("array 'x'");
	assert_int_equal(zipc_array_create(segment, "x", 1, 0, NULL, &array), -EINVAL);
	assert_int_equal(zipc_array_create(segment, "x", UINT64_MAX, 2, NULL, &array), -EINVAL);
	assert_int_equal(
		zipc_array_create(segment, "x", UINT64_C(1) << 32, UINT64_C(1) << 32, NULL, &array),
		-EINVAL);
	assert_int_equal(zipc_array_create(segment, "x", UINT64_MAX, 1, NULL, &array), -ENOSPC);
	assert_int_equal(zipc_array_create(segment, "x", 2 * MIB, 1, NULL, &array), -ENOSPC);
	static const uint32_t alignments[] = {3, 65, 131072, UINT32_MAX};
	for (size_t i = 0; i < 4; i++) {
		o.alignment = alignments[i];
		assert_int_equal(zipc_array_create(segment, "x", 8, 1, &o, &array), -EINVAL);
		assert_said("array 'x': alignment");
		assert_int_equal(zipc_array_open(segment, "x", 8, 1, &o, &array), -EINVAL);
	}
	o.alignment = 0;
	o.struct_size = 1;
	assert_int_equal(zipc_array_create(segment, "x", 8, 1, &o, &array), -EINVAL);
	struct {
		zipc_array_options known;
		uint64_t unknown;
	} newer = {ZIPC_ARRAY_OPTIONS_INIT, 1};
	newer.known.struct_size = sizeof newer;
	assert_int_equal(zipc_array_create(segment, "x", 8, 1, &newer.known, &array), -E2BIG);
	assert_int_equal(zipc_array_open(segment, "x", 8, 1, &newer.known, &array), -E2BIG);
	assert_null(array);
	rig_close(segment, used);
	zipc_array_close(NULL);
}

static void elements_lie_where_they_should(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(4 * MIB);
	uint64_t used = rig_used(segment);
	static const uint64_t sizes[] = {1, 2, 3, 4, 7, 8, 12, 64, 100, 4096, 65537};
	for (uint32_t alignment = 0; alignment <= 65536; alignment = alignment * 4 + !alignment) {
		for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
			zipc_array_options o = ZIPC_ARRAY_OPTIONS_INIT;
			zipc_array *array;
			o.alignment = alignment;
			assert_ok(zipc_array_create(segment, "x", sizes[i], 5, &o, &array));
			uint8_t *data = zipc_array_data(array);
			uint32_t least = alignment < 64 ? 64 : alignment;
			uint64_t offset = (uint64_t)(data - segment->base);
			assert_int_equal(offset % least, 0);
			assert_int_equal(zipc_array_length(array), 5);
			assert_int_equal(zipc_array_element_size(array), sizes[i]);
			for (uint64_t b = 0; b < 5 * sizes[i]; b++)
				assert_int_equal(data[b], 0);
			memset(data, 0xff, 5 * sizes[i]);
			zipc_array_close(array);
			assert_ok(zipc_array_remove(segment, "x"));
		}
	}
	rig_close(segment, used);
}

static void elements_are_copied_whole(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	static const uint64_t sizes[] = {1, 3, 8, 13, 64, 1000};
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		uint64_t size = sizes[i];
		zipc_array *array;
		uint8_t in[1000], out[1001];
		assert_ok(zipc_array_create(segment, "x", size, 9, NULL, &array));
		for (uint64_t n = 0; n < 9; n++) {
			memset(in, (int)n + 1, size);
			assert_ok(zipc_array_set(array, n, in));
		}
		for (uint64_t n = 0; n < 9; n++) {
			memset(in, (int)n + 1, size);
			memset(out, 0xaa, sizeof out);
			assert_ok(zipc_array_get(array, n, out));
			assert_memory_equal(in, out, size);
			assert_int_equal(out[size], 0xaa);
		}
		static const uint64_t outside[] = {9, 10, UINT64_MAX, UINT64_MAX / 8 + 1};
		for (size_t k = 0; k < 4; k++) {
			assert_int_equal(zipc_array_get(array, outside[k], out), -ERANGE);
			assert_said("array 'x'");
			assert_int_equal(zipc_array_set(array, outside[k], in), -ERANGE);
		}
		zipc_array_close(array);
		assert_ok(zipc_array_remove(segment, "x"));
	}
	zipc_segment_close(segment);
}

static void fills_and_slices(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	zipc_array *array;
	assert_ok(zipc_array_create(segment, "x", 3, 10, NULL, &array));
	uint8_t *data = zipc_array_data(array), *part;
	assert_ok(zipc_array_fill(array, 0, 10, "abc"));
	assert_memory_equal(data, "abcabcabcabcabcabcabcabcabcabc", 30);
	assert_ok(zipc_array_fill(array, 2, 3, NULL));
	assert_memory_equal(data, "abcabc\0\0\0\0\0\0\0\0\0abcabcabcabcabc", 30);
	assert_ok(zipc_array_fill(array, 9, 1, "xyz"));
	assert_memory_equal(data + 24, "abcxyz", 6);
	assert_ok(zipc_array_fill(array, 10, 0, "xyz"));
	assert_ok(zipc_array_fill(array, 3, 0, "xyz"));
	assert_int_equal(data[9], 0);
	assert_int_equal(zipc_array_fill(array, 9, 2, "..."), -ERANGE);
	assert_int_equal(zipc_array_fill(array, 1, UINT64_MAX, "..."), -ERANGE);
	assert_int_equal(zipc_array_fill(array, 11, 0, "..."), -ERANGE);
	assert_memory_equal(data + 24, "abcxyz", 6); /* nothing was written */
	assert_ok(zipc_array_slice(array, 0, 10, (void **)&part));
	assert_ptr_equal(part, data);
	assert_ok(zipc_array_slice(array, 7, 3, (void **)&part));
	assert_ptr_equal(part, data + 21);
	assert_ok(zipc_array_slice(array, 10, 0, (void **)&part));
	part = NULL;
	assert_int_equal(zipc_array_slice(array, 7, 4, (void **)&part), -ERANGE);
	assert_said("4 elements from 7 on; it has 10");
	assert_int_equal(zipc_array_slice(array, UINT64_MAX, 2, (void **)&part), -ERANGE);
	assert_null(part);
	zipc_array_close(array);
	zipc_segment_close(segment);
}

#define ATOMIC_TEST(bits, other)                                                                   \
	static void atomics_of_##bits##_bits(void **state)                                         \
	{                                                                                          \
		(void)state;                                                                       \
		zipc_segment *segment = rig_make(2 * MIB);                                         \
		zipc_array *array;                                                                 \
		uint##bits##_t v = 0, max = UINT##bits##_MAX;                                      \
		uint##other##_t wrong = 0;                                                         \
		assert_ok(zipc_array_create(segment, "x", bits / 8, 4, NULL, &array));             \
		assert_ok(zipc_array_store##bits(array, 3, max));                                  \
		assert_ok(zipc_array_load##bits(array, 3, &v));                                    \
		assert_true(v == max);                                                             \
		assert_ok(zipc_array_add##bits(array, 3, 3, &v));                                  \
		assert_true(v == max);                                                             \
		assert_ok(zipc_array_add##bits(array, 3, 5, NULL));                                \
		assert_ok(zipc_array_exchange##bits(array, 3, max - 1, &v));                       \
		assert_true(v == 7);                                                               \
		assert_ok(zipc_array_exchange##bits(array, 3, 40, NULL));                          \
		v = 41;                                                                            \
		assert_int_equal(zipc_array_cas##bits(array, 3, &v, 50), 0);                       \
		assert_true(v == 40);                                                              \
		assert_int_equal(zipc_array_cas##bits(array, 3, &v, 50), 1);                       \
		assert_ok(zipc_array_load##bits(array, 3, &v));                                    \
		assert_true(v == 50);                                                              \
		assert_ok(zipc_array_load##bits(array, 2, &v));                                    \
		assert_true(v == 0);                                                               \
		assert_int_equal(zipc_array_load##bits(array, 4, &v), -ERANGE);                    \
		assert_int_equal(zipc_array_store##bits(array, UINT64_MAX, v), -ERANGE);           \
		assert_int_equal(zipc_array_add##bits(array, 4, v, &v), -ERANGE);                  \
		assert_int_equal(zipc_array_exchange##bits(array, 4, v, &v), -ERANGE);             \
		assert_int_equal(zipc_array_cas##bits(array, 4, &v, v), -ERANGE);                  \
		assert_int_equal(zipc_array_load##other(array, 0, &wrong), -EPROTOTYPE);           \
		assert_said("array 'x': element size is");                                         \
		assert_int_equal(zipc_array_store##other(array, 0, wrong), -EPROTOTYPE);           \
		assert_int_equal(zipc_array_add##other(array, 0, 1, &wrong), -EPROTOTYPE);         \
		assert_int_equal(zipc_array_exchange##other(array, 0, 1, &wrong), -EPROTOTYPE);    \
		assert_int_equal(zipc_array_cas##other(array, 0, &wrong, 1), -EPROTOTYPE);         \
		zipc_segment *reader = rig_again(segment, ZIPC_SEGMENT_READ_ONLY);                 \
		zipc_array *seen;                                                                  \
		assert_ok(zipc_array_open(reader, "x", 0, 0, NULL, &seen));                        \
		assert_ok(zipc_array_load##bits(seen, 3, &v));                                     \
		assert_true(v == 50);                                                              \
		assert_int_equal(zipc_array_store##bits(seen, 3, 1), -EROFS);                      \
		assert_int_equal(zipc_array_add##bits(seen, 3, 1, NULL), -EROFS);                  \
		assert_int_equal(zipc_array_exchange##bits(seen, 3, 1, NULL), -EROFS);             \
		assert_int_equal(zipc_array_cas##bits(seen, 3, &v, 1), -EROFS);                    \
		zipc_array_close(seen);                                                            \
		zipc_segment_close(reader);                                                        \
		zipc_array_close(array);                                                           \
		zipc_segment_close(segment);                                                       \
	}

ATOMIC_TEST(32, 64)
ATOMIC_TEST(64, 32)

static void a_reader_reads(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	zipc_array *array, *seen;
	uint8_t out[5], *part;
	assert_ok(zipc_array_create(segment, "x", 5, 2, NULL, &array));
	assert_ok(zipc_array_set(array, 1, "12345"));
	zipc_segment *reader = rig_again(segment, ZIPC_SEGMENT_READ_ONLY);
	assert_ok(zipc_array_open_or_create(reader, "x", 5, 2, NULL, &seen));
	assert_ok(zipc_array_get(seen, 1, out));
	assert_memory_equal(out, "12345", 5);
	assert_ok(zipc_array_slice(seen, 1, 1, (void **)&part));
	assert_memory_equal(part, "12345", 5);
	assert_int_equal(zipc_array_set(seen, 1, out), -EROFS);
	assert_int_equal(zipc_array_fill(seen, 0, 1, NULL), -EROFS);
	assert_int_equal(zipc_array_remove(reader, "x"), -EROFS);
	zipc_array_close(seen);
	zipc_segment_close(reader);
	zipc_array_close(array);
	zipc_segment_close(segment);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_sizes_are_refused),
		cmocka_unit_test(elements_lie_where_they_should),
		cmocka_unit_test(elements_are_copied_whole),
		cmocka_unit_test(fills_and_slices),
		cmocka_unit_test(atomics_of_32_bits),
		cmocka_unit_test(atomics_of_64_bits),
		cmocka_unit_test(a_reader_reads),
	};
	return PEER_RUN("array", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
