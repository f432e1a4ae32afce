/* SPDX-License-Identifier: MIT */
#include "segment/rig.h"

#include "base/error.h"

#include <limits.h>
#include <pthread.h>

static void version_is_what_the_header_says(void **state)
{
	(void)state;
	assert_int_equal(zipc_version(),
			 ZIPC_VERSION_MAJOR << 16 | ZIPC_VERSION_MINOR << 8 | ZIPC_VERSION_PATCH);
}

/* All codes that the headers name. */
static const struct {
	int code;
	const char *name;
} codes[] = {
	{EAGAIN, "EAGAIN"},	    {ETIMEDOUT, "ETIMEDOUT"},
	{ECANCELED, "ECANCELED"},   {EPIPE, "EPIPE"},
	{EEXIST, "EEXIST"},	    {ENOENT, "ENOENT"},
	{EPROTOTYPE, "EPROTOTYPE"}, {EPROTONOSUPPORT, "EPROTONOSUPPORT"},
	{EBADMSG, "EBADMSG"},	    {ENOSPC, "ENOSPC"},
	{EBUSY, "EBUSY"},	    {ESTALE, "ESTALE"},
	{EOWNERDEAD, "EOWNERDEAD"}, {EINVAL, "EINVAL"},
	{E2BIG, "E2BIG"},	    {EROFS, "EROFS"},
	{EDEADLK, "EDEADLK"},	    {EBADF, "EBADF"},
	{ERANGE, "ERANGE"},	    {EOPNOTSUPP, "EOPNOTSUPP"},
	{EACCES, "EACCES"},	    {EPERM, "EPERM"},
	{ELOOP, "ELOOP"},	    {ENOMEM, "ENOMEM"},
	{EMFILE, "EMFILE"},	    {ENFILE, "ENFILE"},
};

static void every_code_has_its_own_text(void **state)
{
	(void)state;
	size_t n = sizeof codes / sizeof codes[0];
	for (size_t i = 0; i < n; i++) {
		const char *text = zipc_strerror(-codes[i].code);
		char prefix[32];
		snprintf(prefix, sizeof prefix, "-%s: ", codes[i].name);
		assert_ptr_equal(strstr(text, prefix), text);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(text, zipc_strerror(-codes[j].code));
	}
}

static void any_number_has_a_text(void **state)
{
	(void)state;
	assert_string_equal(zipc_strerror(0), "success");
	assert_string_equal(zipc_strerror(1), "success");
	assert_string_equal(zipc_strerror(INT_MAX), "success");
	assert_true(strlen(zipc_strerror(-EXDEV)) > 0); /* not one of ours: the C library's */
	assert_string_equal(zipc_strerror(-99999), "unknown error code");
	assert_string_not_equal(zipc_strerror(-99999), zipc_strerror(-EXDEV));
	assert_non_null(zipc_strerror(INT_MIN));
	assert_string_not_equal(zipc_strerror(INT_MIN), "success");
	assert_string_not_equal(zipc_strerror(INT_MIN), "Success");
}

static void a_refusal_leaves_its_code_and_sentence(void **state)
{
	(void)state;
	assert_int_equal(zi_fail(-EINVAL, "thing '%s' has %d", "x", 7), -EINVAL);
	assert_string_equal(zipc_last_error(), "thing 'x' has 7");
	assert_int_equal(zi_fail_errno(-EACCES, "thing '%s'", "y"), -EACCES);
	char expected[128];
	snprintf(expected, sizeof expected, "thing 'y': %s", strerror(EACCES));
	assert_string_equal(zipc_last_error(), expected);
}

static void a_long_sentence_is_cut(void **state)
{
	(void)state;
	char text[1000];
	memset(text, 't', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_int_equal(zi_fail(-EINVAL, "%s", text), -EINVAL);
	assert_true(strlen(zipc_last_error()) > 200 && strlen(zipc_last_error()) < sizeof text);
	for (int length = 300; length < 340; length++) {
		text[length] = '\0';
		assert_int_equal(zi_fail_errno(-EINVAL, "%s", text), -EINVAL);
		assert_memory_equal(zipc_last_error(), text, 300);
		text[length] = 't';
	}
}

static void *other_thread(void *arg)
{
	char *seen = arg;
	strcpy(seen, zipc_last_error());
	zi_fail(-EINVAL, "of the other");
	return NULL;
}

static void each_thread_has_its_own_sentence(void **state)
{
	(void)state;
	pthread_t thread;
	char seen[64] = "?";
	zi_fail(-EINVAL, "of the first");
	assert_ok(pthread_create(&thread, NULL, other_thread, seen));
	pthread_join(thread, NULL);
	assert_string_equal(seen, "");
	assert_string_equal(zipc_last_error(), "of the first");
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(version_is_what_the_header_says),
		cmocka_unit_test(every_code_has_its_own_text),
		cmocka_unit_test(any_number_has_a_text),
		cmocka_unit_test(a_refusal_leaves_its_code_and_sentence),
		cmocka_unit_test(a_long_sentence_is_cut),
		cmocka_unit_test(each_thread_has_its_own_sentence),
	};
	return PEER_RUN("error", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
