/* SPDX-License-Identifier: MIT */
#include "segment/rig.h"

#include "base/name.h"

static void a_name_has_1_to_63_bytes(void **state)
{
	(void)state;
	char name[ZIPC_NAME_MAX + 2];
	memset(name, 'x', sizeof name);
	name[ZIPC_NAME_MAX + 1] = '\0';
	assert_int_equal(zi_name_check(name, "queue"), -EINVAL);
	assert_said("queue");
	assert_said("xxxx");
	assert_said("longer than 63");
	name[ZIPC_NAME_MAX] = '\0';
	assert_ok(zi_name_check(name, "queue"));
	assert_ok(zi_name_check("x", "queue"));
	assert_int_equal(zi_name_check("", "array"), -EINVAL);
	assert_said("array: the name is empty");
	assert_int_equal(zi_name_check(NULL, "array"), -EINVAL);
	assert_said("the name is empty");
}

/* A name need not end within the bytes that matter. */
static void a_long_name_is_not_read_to_its_end(void **state)
{
	(void)state;
	char *name = malloc(ZIPC_NAME_MAX + 1); /* no terminating zero: a sanitizer would see */
	memset(name, 'n', ZIPC_NAME_MAX + 1);
	assert_int_equal(zi_name_check(name, "queue"), -EINVAL);
	free(name);
}

static void slashes_group_but_do_not_begin_or_end(void **state)
{
	(void)state;
	assert_ok(zi_name_check("a/b", "queue"));
	assert_ok(zi_name_check("orders/eu/new", "queue"));
	static const char *const refused[] = {"/", "/a", "a/", "/a/"};
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		assert_int_equal(zi_name_check(refused[i], "queue"), -EINVAL);
		assert_said(refused[i]);
		assert_said("'/'");
	}
}

static void control_characters_are_refused(void **state)
{
	(void)state;
	char name[] = "a?b";
	for (int c = 1; c < 0x80; c++) {
		name[1] = (char)c;
		bool control = c < 0x20 || c == 0x7f;
		assert_int_equal(zi_name_check(name, "queue"), control ? -EINVAL : 0);
	}
	assert_ok(zi_name_check("a b%c\\d.e", "queue"));
	assert_int_equal(zi_name_check("a\nb", "queue"), -EINVAL);
	assert_said("control characters");
}

struct text {
	const char *bytes;
	bool valid;
};

static const struct text texts[] = {
	{"", true},
	{"plain", true},
	{"gr\xc3\xbc\xc3\x9f", true}, /* two bytes each */
	{"\xe2\x82\xac", true},	      /* U+20AC */
	{"\xf0\x9f\x98\x80", true},   /* U+1F600 */
	{"\xf4\x8f\xbf\xbf", true},   /* U+10FFFF */
	{"\xed\x9f\xbf", true},	      /* U+D7FF */
	{"\xee\x80\x80", true},	      /* U+E000 */
	{"\xc2\xa0", true},	      /* U+00A0 */
	{"\xdf\xbf", true},	      /* U+07FF */
	{"\xef\xbf\xbd", true},	      /* U+FFFD */
	{"\xc2\x9f", false},	      /* U+009F: a control character */
	{"\xc2\x80", false},	      /* U+0080: likewise */
	{"\x80", false},	      /* lone continuation */
	{"a\xbf", false},	      /* likewise */
	{"\xc0\xaf", false},	      /* overlong "/" */
	{"\xc1\xbf", false},	      /* overlong */
	{"\xe0\x80\xaf", false},      /* overlong */
	{"\xe0\x9f\xbf", false},      /* overlong */
	{"\xf0\x80\x80\xaf", false},  /* overlong */
	{"\xf0\x8f\xbf\xbf", false},  /* overlong */
	{"\xed\xa0\x80", false},      /* surrogate */
	{"\xed\xbf\xbf", false},      /* surrogate */
	{"\xf4\x90\x80\x80", false},  /* beyond U+10FFFF */
	{"\xf5\x80\x80\x80", false},  /* likewise */
	{"\xff", false},
	{"\xfe", false},
	{"\xc3", false},	     /* ends in the middle */
	{"\xe2\x82", false},	     /* likewise */
	{"\xf0\x9f\x98", false},     /* likewise */
	{"\xe2\x28\xa1", false},     /* no continuation */
	{"\xf0\x9f\x28\x80", false}, /* no continuation */
	{"ok\x01", false},
};

static void text_is_utf8(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (zi_text_valid(texts[i].bytes, strlen(texts[i].bytes)) != texts[i].valid)
			fail_msg("text %zu is judged wrongly", i);
	assert_false(zi_text_valid("a\0b", 3));
}

/* The size bounds what is read, not a zero. */
static void text_is_not_read_beyond_its_size(void **state)
{
	(void)state;
	assert_true(zi_text_valid("ab\xc3", 2));
	char *cut = malloc(2); /* a sanitizer would see a third byte */
	memcpy(cut, "\xe2\x82", 2);
	assert_false(zi_text_valid(cut, 2));
	free(cut);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_has_1_to_63_bytes),
		cmocka_unit_test(a_long_name_is_not_read_to_its_end),
		cmocka_unit_test(slashes_group_but_do_not_begin_or_end),
		cmocka_unit_test(control_characters_are_refused),
		cmocka_unit_test(text_is_utf8),
		cmocka_unit_test(text_is_not_read_beyond_its_size),
	};
	return PEER_RUN("name", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
