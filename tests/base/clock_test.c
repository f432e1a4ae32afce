/* SPDX-License-Identifier: MIT */
#include "segment/rig.h"

#include "base/clock.h"

static void clocks_agree_with_the_system(void **state)
{
	(void)state;
	uint64_t before = now_ns();
	int64_t now = zi_now_ns();
	assert_true((uint64_t)now >= before && (uint64_t)now <= now_ns());
	assert_true(zi_now_coarse_ns() <= zi_now_ns());
	assert_true(zi_now_ns() - zi_now_coarse_ns() < 100 * ZI_NS_PER_MS);
	int64_t wall = (int64_t)zi_wall_ns() / 1000000000 - (int64_t)time(NULL);
	assert_true(wall >= -1 && wall <= 1);
}

static void a_timeout_is_a_moment(void **state)
{
	(void)state;
	int64_t before = zi_now_ns(), end = zi_deadline(5 * ZI_NS_PER_MS);
	assert_true(end >= before + 5 * ZI_NS_PER_MS);
	assert_true(end <= zi_now_ns() + 5 * ZI_NS_PER_MS);
	assert_true(zi_deadline(0) <= zi_now_ns());
}

static void for_ever_is_for_ever(void **state)
{
	(void)state;
	assert_true(zi_deadline(-1) == INT64_MAX);
	assert_true(zi_deadline(INT64_MIN) == INT64_MAX);
	assert_true(zi_deadline(INT64_MAX) == INT64_MAX); /* beyond what can be told */
	int64_t century = INT64_C(100) * 365 * 86400 * 1000000000;
	assert_true(zi_deadline(century) > century);
	assert_true(zi_deadline(century) < INT64_MAX);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(clocks_agree_with_the_system),
		cmocka_unit_test(a_timeout_is_a_moment),
		cmocka_unit_test(for_ever_is_for_ever),
	};
	return PEER_RUN("clock", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
