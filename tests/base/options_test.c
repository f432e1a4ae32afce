/* SPDX-License-Identifier: MIT */
#include "segment/rig.h"

#include "base/options.h"

/* What this version knows, and what a newer caller might hand in. */
struct settings {
	uint32_t struct_size;
	uint32_t a;
	uint64_t b;
};

struct newer {
	struct settings known;
	uint64_t c;
};

static void null_is_all_zero(void **state)
{
	(void)state;
	struct settings s;
	memset(&s, 0xff, sizeof s);
	assert_ok(zi_options_load(&s, sizeof s, NULL, "settings"));
	assert_int_equal(s.struct_size, 0);
	assert_int_equal(s.a, 0);
	assert_int_equal(s.b, 0);
}

static void all_members_arrive(void **state)
{
	(void)state;
	struct settings given = {sizeof given, 7, UINT64_C(1) << 60}, s;
	assert_ok(zi_options_load(&s, sizeof s, &given, "settings"));
	assert_memory_equal(&s, &given, sizeof s);
}

static void an_older_caller_is_filled_up_with_zero(void **state)
{
	(void)state;
	struct settings given = {8, 7, 9}, s;
	memset(&s, 0xff, sizeof s);
	assert_ok(zi_options_load(&s, sizeof s, &given, "settings"));
	assert_int_equal(s.a, 7);
	assert_int_equal(s.b, 0);
	given.struct_size = 4;
	assert_ok(zi_options_load(&s, sizeof s, &given, "settings"));
	assert_int_equal(s.a, 0);
}

static void a_newer_caller_may_not_ask_for_what_is_unknown(void **state)
{
	(void)state;
	struct newer given = {{sizeof given, 7, 9}, 0};
	struct settings s;
	assert_ok(zi_options_load(&s, sizeof s, &given, "settings"));
	assert_int_equal(s.a, 7);
	for (size_t i = sizeof s; i < sizeof given; i++) {
		((uint8_t *)&given)[i] = 1;
		assert_int_equal(zi_options_load(&s, sizeof s, &given, "settings"), -E2BIG);
		assert_said("settings");
		((uint8_t *)&given)[i] = 0;
	}
}

static void a_size_that_makes_no_sense_is_refused(void **state)
{
	(void)state;
	static const uint32_t sizes[] = {0, 1, 3, 4097, UINT32_MAX};
	struct settings s;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		struct settings given = {sizes[i], 0, 0};
		assert_int_equal(zi_options_load(&s, sizeof s, &given, "settings"), -EINVAL);
		assert_said("settings");
		assert_said("struct_size");
		assert_int_equal(zi_result_store(&given, &s, sizeof s, "result"), -EINVAL);
		assert_said("result");
		assert_int_equal(given.struct_size, sizes[i]);
	}
	uint8_t largest[4096] = {0};
	uint32_t size = sizeof largest;
	memcpy(largest, &size, sizeof size);
	assert_ok(zi_options_load(&s, sizeof s, largest, "settings"));
}

static void a_result_fits_its_caller(void **state)
{
	(void)state;
	struct settings result = {0, 5, 6};
	struct newer out = {{sizeof out, 1, 2}, 3};
	assert_ok(zi_result_store(&out, &result, sizeof result, "result"));
	assert_int_equal(out.known.struct_size, sizeof out);
	assert_int_equal(out.known.a, 5);
	assert_int_equal(out.known.b, 6);
	assert_int_equal(out.c, 0); /* unknown to this version: zero */
	out = (struct newer){{8, 1, 2}, 3};
	assert_ok(zi_result_store(&out, &result, sizeof result, "result"));
	assert_int_equal(out.known.struct_size, 8);
	assert_int_equal(out.known.a, 5);
	assert_int_equal(out.known.b, 2); /* beyond what the caller has room for */
	assert_int_equal(out.c, 3);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(null_is_all_zero),
		cmocka_unit_test(all_members_arrive),
		cmocka_unit_test(an_older_caller_is_filled_up_with_zero),
		cmocka_unit_test(a_newer_caller_may_not_ask_for_what_is_unknown),
		cmocka_unit_test(a_size_that_makes_no_sense_is_refused),
		cmocka_unit_test(a_result_fits_its_caller),
	};
	return PEER_RUN("options", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
