/* SPDX-License-Identifier: MIT */
#include "segment/rig.h"

#include "base/checked.h"

static void powers_of_two(void **state)
{
	(void)state;
	assert_false(zi_is_power_of_two(0));
	for (uint32_t i = 0; i < 64; i++) {
		uint64_t x = UINT64_C(1) << i;
		assert_true(zi_is_power_of_two(x));
		assert_true(i == 0 || !zi_is_power_of_two(x | 1));
		assert_true(i < 2 || !zi_is_power_of_two(x - 1));
	}
}

static void rounding_up(void **state)
{
	(void)state;
	assert_int_equal(zi_align_up(0, 64), 0);
	assert_int_equal(zi_align_up(1, 64), 64);
	assert_int_equal(zi_align_up(64, 64), 64);
	assert_int_equal(zi_align_up(65, 64), 128);
	assert_int_equal(zi_align_up(65, 1), 65);
	assert_int_equal(zi_align_up(UINT64_MAX - 63, 64), UINT64_MAX - 63);
}

static void logarithms(void **state)
{
	(void)state;
	assert_int_equal(zi_log2_ceil(0), 0);
	assert_int_equal(zi_log2_ceil(1), 0);
	assert_int_equal(zi_log2_ceil(2), 1);
	assert_int_equal(zi_log2_ceil(3), 2);
	assert_int_equal(zi_log2_ceil(1000), 10);
	assert_int_equal(zi_log2_ceil(1024), 10);
	assert_int_equal(zi_log2_ceil(1025), 11);
	assert_int_equal(zi_log2_ceil(UINT64_C(1) << 63), 63);
}

static void products_that_fit_and_that_do_not(void **state)
{
	(void)state;
	uint64_t out = 0;
	assert_true(zi_mul_add(3, 4, 5, &out));
	assert_int_equal(out, 17);
	assert_true(zi_mul_add(UINT64_MAX, 1, 0, &out));
	assert_true(out == UINT64_MAX);
	assert_false(zi_mul_add(UINT64_MAX, 1, 1, &out));
	assert_false(zi_mul_add(UINT64_C(1) << 32, UINT64_C(1) << 32, 0, &out));
	assert_true(zi_mul_add(UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, 0, &out));
	assert_true(zi_mul_add(0, UINT64_MAX, 9, &out));
	assert_int_equal(out, 9);
}

static void ranges(void **state)
{
	(void)state;
	assert_true(zi_within(0, 0, 0));
	assert_true(zi_within(0, 10, 10));
	assert_true(zi_within(10, 0, 10));
	assert_true(zi_within(9, 1, 10));
	assert_false(zi_within(9, 2, 10));
	assert_false(zi_within(11, 0, 10));
	assert_false(zi_within(0, 11, 10));
	assert_false(zi_within(UINT64_MAX, 1, 10));
	assert_false(zi_within(1, UINT64_MAX, 10));
	assert_false(zi_within(UINT64_MAX, UINT64_MAX, UINT64_MAX));
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(powers_of_two),
		cmocka_unit_test(rounding_up),
		cmocka_unit_test(logarithms),
		cmocka_unit_test(products_that_fit_and_that_do_not),
		cmocka_unit_test(ranges),
	};
	return PEER_RUN("checked", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
