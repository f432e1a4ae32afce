/* SPDX-License-Identifier: MIT */
#include "segment/rig.h"

#include "base/copy.h"

#define ROOM  80
#define GUARD 0xa5

static uint8_t value_at(size_t i)
{
	return (uint8_t)(i * 37 + 1);
}

/* Every size and every misalignment of both sides: all of it, and not a byte more. */
static void check_copy(bool in, size_t from, size_t to, size_t size)
{
	_Alignas(8) uint8_t source[ROOM + 16], target[ROOM + 16];
	memset(source, 0, sizeof source);
	memset(target, GUARD, sizeof target);
	for (size_t i = 0; i < size; i++)
		source[from + i] = value_at(i);
	if (in)
		zi_copy_in(target + to, source + from, size);
	else
		zi_copy_out(target + to, source + from, size);
	for (size_t i = 0; i < sizeof target; i++) {
		bool inside = i >= to && i < to + size;
		if (target[i] != (inside ? value_at(i - to) : GUARD))
			fail_msg("%s: size %zu from %zu to %zu: byte %zu is %#x", in ? "in" : "out",
				 size, from, to, i, target[i]);
	}
}

static void copies_are_whole_and_stay_inside(void **state)
{
	(void)state;
	for (int in = 0; in < 2; in++)
		for (size_t from = 0; from < 8; from++)
			for (size_t to = 0; to < 8; to++)
				for (size_t size = 0; size <= ROOM - 8; size++)
					check_copy(in != 0, from, to, size);
}

/* Exactly sized blocks: a sanitizer sees what is read or written beyond. */
static void blocks_of_exact_size(void **state)
{
	(void)state;
	for (size_t size = 1; size < 40; size++) {
		uint8_t *source = malloc(size), *shared = malloc(size), *target = malloc(size);
		for (size_t i = 0; i < size; i++)
			source[i] = value_at(i);
		zi_copy_in(shared, source, size);
		zi_copy_out(target, shared, size);
		assert_memory_equal(source, target, size);
		free(source);
		free(shared);
		free(target);
	}
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_are_whole_and_stay_inside),
		cmocka_unit_test(blocks_of_exact_size),
	};
	return PEER_RUN("copy", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
