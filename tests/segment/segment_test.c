/* SPDX-License-Identifier: MIT */
/* Options, birth, opening and end of attachments; growth; reading only; interrupting. */
#include "segment/rig.h"

/* ---- options -------------------------------------------------------------------------------- */

static void expect_refused(const char *name, const zipc_segment_options *options, int code,
			   const char *sentence)
{
	zipc_segment *segment = (zipc_segment *)(uintptr_t)1;
	assert_int_equal(zipc_segment_create(name, options, &segment), code);
	assert_said(sentence);
	assert_ptr_equal(segment, (zipc_segment *)(uintptr_t)1); /* written on success only */
}

static void bad_options_are_refused(void **state)
{
	(void)state;
	const char *name = unique_name("bad");
	const zipc_segment_options none = ZIPC_SEGMENT_OPTIONS_INIT;
	zipc_segment_options o = none;
	o.struct_size = 0;
	expect_refused(name, &o, -EINVAL, "struct_size");
	o = none, o.backing = 3;
	expect_refused(name, &o, -EINVAL, name);
	o = none, o.flags = 8;
	expect_refused(name, &o, -EINVAL, name);
	o = none, o.flags = ZIPC_SEGMENT_READ_ONLY;
	expect_refused(name, &o, -EINVAL, "READ_ONLY");
	o = none, o.mode = 01000;
	expect_refused(name, &o, -EINVAL, name);
	o = none, o.reserved = 1;
	expect_refused(name, &o, -EINVAL, name);
	o = none, o.max_size = 256 * KIB - 1;
	expect_refused(name, &o, -EINVAL, "max_size is 262143");
	assert_said(name);
	o = none, o.max_size = (UINT64_C(1) << 36) + 1;
	expect_refused(name, &o, -EINVAL, "max_size");
	o = none, o.max_size = 1 * MIB, o.size = 1 * MIB + 1;
	expect_refused(name, &o, -EINVAL, "size 1048577 is more than max_size 1048576");
	o = none, o.max_peers = 4097;
	expect_refused(name, &o, -EINVAL, "max_peers is 4097");
	o = none, o.slice_min_ms = 20, o.slice_max_ms = 10;
	expect_refused(name, &o, -EINVAL, "slices of 20 to 10 ms");
	o = none, o.slice_max_ms = 60001;
	expect_refused(name, &o, -EINVAL, "slices");
	o = none, o.max_size = 256 * KIB, o.max_peers = 4096;
	expect_refused(name, &o, -EINVAL, "leaves no room");
	assert_said(name);
}

static void a_newer_option_is_refused_when_set(void **state)
{
	(void)state;
	struct {
		zipc_segment_options known;
		uint64_t unknown;
	} newer = {rig_options(ZIPC_BACKING_MEMFD, 1 * MIB), 0};
	newer.known.struct_size = sizeof newer;
	zipc_segment *segment;
	assert_ok(zipc_segment_create(unique_name("new"), &newer.known, &segment));
	zipc_segment_close(segment);
	newer.unknown = 1;
	expect_refused(unique_name("new"), &newer.known, -E2BIG, "unknown to this version");
}

static void bad_names_are_refused(void **state)
{
	(void)state;
	char longer[65];
	memset(longer, 'n', 64);
	longer[64] = '\0';
	const char *const names[] = {NULL, "", "/a", "a/", "a\nb", "\xff", longer};
	zipc_segment *segment;
	for (uint32_t backing = 0; backing <= ZIPC_BACKING_MEMFD; backing += 2) {
		zipc_segment_options o = rig_options(backing, 1 * MIB);
		for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
			expect_refused(names[i], &o, -EINVAL, "segment");
	}
	assert_int_equal(zipc_segment_open("a/", NULL, &segment), -EINVAL);
	assert_int_equal(zipc_segment_open_or_create("a/", NULL, &segment), -EINVAL);
	assert_int_equal(zipc_segment_remove("a/", NULL), -EINVAL);
	assert_int_equal(zipc_segment_remove(NULL, NULL), -EINVAL);
}

static void names_of_all_kinds(void **state)
{
	(void)state;
	char longest[64];
	int n = snprintf(longest, sizeof longest, "%s", unique_name("l"));
	memset(longest + n, '%', sizeof longest - 1 - (size_t)n); /* encoded as three bytes each */
	longest[63] = '\0';
	char grouped[64], umlaut[64];
	snprintf(grouped, sizeof grouped, "%s/a/b c", unique_name("g"));
	snprintf(umlaut, sizeof umlaut, "%s-\xc3\xbc\xe2\x82\xac", unique_name("u"));
	const char *const names[] = {longest, grouped, umlaut};
	for (size_t i = 0; i < 3; i++) {
		zipc_segment_options o = rig_options(ZIPC_BACKING_SHM, 1 * MIB);
		zipc_segment *segment, *again;
		assert_ok(zipc_segment_create(names[i], &o, &segment));
		assert_string_equal(rig_info(segment).name, names[i]);
		assert_ok(zipc_segment_open(names[i], NULL, &again));
		zipc_segment_close(again);
		zipc_segment_close(segment);
		assert_ok(zipc_segment_remove(names[i], NULL));
	}
}

/* ---- lifecycle ------------------------------------------------------------------------------ */

static void create_open_remove(void **state)
{
	(void)state;
	const char *name = unique_name("life");
	zipc_segment_options o = rig_options(ZIPC_BACKING_SHM, 1 * MIB);
	zipc_segment *a, *b;
	assert_int_equal(zipc_segment_open(name, NULL, &a), -ENOENT);
	assert_said(name);
	assert_int_equal(zipc_segment_remove(name, NULL), -ENOENT);
	assert_said(name);
	assert_ok(zipc_segment_create(name, &o, &a));
	expect_refused(name, &o, -EEXIST, name);
	assert_ok(zipc_segment_open(name, NULL, &b));
	assert_memory_equal(rig_info(a).uuid, rig_info(b).uuid, 16);
	assert_int_equal(rig_info(a).peers, 2);
	assert_ok(zipc_segment_remove(name, NULL));
	assert_int_equal(zipc_segment_remove(name, NULL), -ENOENT);
	/* who is attached goes on undisturbed */
	zipc_array *one, *two;
	assert_ok(zipc_array_create(a, "x", 8, 4, NULL, &one));
	assert_ok(zipc_array_open(b, "x", 8, 4, NULL, &two));
	assert_ok(zipc_array_store64(one, 3, 77));
	uint64_t value = 0;
	assert_ok(zipc_array_load64(two, 3, &value));
	assert_int_equal(value, 77);
	zipc_array_close(one);
	zipc_array_close(two);
	zipc_segment_close(b);
	assert_int_equal(rig_info(a).peers, 1);
	zipc_segment_close(a);
	zipc_segment_close(NULL);
}

static void open_or_create_says_which(void **state)
{
	(void)state;
	const char *name = unique_name("either");
	zipc_segment_options o = rig_options(ZIPC_BACKING_SHM, 1 * MIB);
	zipc_segment *a, *b;
	assert_int_equal(zipc_segment_open_or_create(name, &o, &a), 1);
	assert_int_equal(zipc_segment_open_or_create(name, &o, &b), 0);
	assert_memory_equal(rig_info(a).uuid, rig_info(b).uuid, 16);
	zipc_segment_close(a);
	zipc_segment_close(b);
	assert_ok(zipc_segment_remove(name, &o));
	o.backing = ZIPC_BACKING_MEMFD;
	assert_int_equal(zipc_segment_open_or_create(name, &o, &a), -EINVAL);
	assert_said("memfd");
	assert_int_equal(zipc_segment_open(name, &o, &a), -EINVAL);
	assert_int_equal(zipc_segment_remove(name, &o), -EINVAL);
}

static void removed_and_made_again_is_another_one(void **state)
{
	(void)state;
	const char *name = unique_name("again");
	zipc_segment_options o = rig_options(ZIPC_BACKING_SHM, 1 * MIB);
	zipc_segment *old, *fresh;
	assert_ok(zipc_segment_create(name, &o, &old));
	assert_ok(zipc_segment_remove(name, NULL));
	assert_ok(zipc_segment_create(name, &o, &fresh));
	assert_memory_not_equal(rig_info(old).uuid, rig_info(fresh).uuid, 16);
	zipc_array *array;
	assert_ok(zipc_array_create(old, "x", 8, 1, NULL, &array));
	zipc_array_close(array);
	assert_int_equal(zipc_array_open(fresh, "x", 0, 0, NULL, &array), -ENOENT);
	zipc_segment_close(old);
	zipc_segment_close(fresh);
	assert_ok(zipc_segment_remove(name, NULL));
}

static void info_tells_what_was_asked_for(void **state)
{
	(void)state;
	const char *name = unique_name("info");
	zipc_segment_options o = rig_options(ZIPC_BACKING_SHM, 8 * MIB);
	o.size = 1 * MIB;
	o.max_peers = 33;
	zipc_segment *segment;
	uint64_t before = (uint64_t)time(NULL);
	assert_ok(zipc_segment_create(name, &o, &segment));
	zipc_segment_info info = rig_info(segment);
	assert_int_equal(info.version, ZIPC_FORMAT_VERSION);
	assert_int_equal(info.backing, ZIPC_BACKING_SHM);
	assert_int_equal(info.read_only, 0);
	assert_int_equal(info.max_size, 8 * MIB);
	assert_int_equal(info.max_peers, 33);
	assert_int_equal(info.peers, 1);
	assert_int_equal(info.structures, 0);
	assert_int_equal(info.creator_pid, getpid());
	assert_int_equal(info.creator_uid, geteuid());
	assert_int_not_equal(info.self_id, 0);
	assert_true(info.size >= 1 * MIB && info.size <= 2 * MIB);
	assert_int_equal(info.used + info.free, info.size);
	assert_true(info.free >= 1 * MIB - 64 * KIB);
	assert_true(info.created_ns / 1000000000 >= before - 1);
	assert_true(info.created_ns / 1000000000 <= (uint64_t)time(NULL));
	zipc_segment_info bad = {.struct_size = 2};
	assert_int_equal(zipc_segment_get_info(segment, &bad), -EINVAL);
	zipc_segment_info shorter = {.struct_size = 16, .size = 99};
	assert_ok(zipc_segment_get_info(segment, &shorter));
	assert_int_equal(shorter.version, ZIPC_FORMAT_VERSION);
	assert_int_equal(shorter.size, 99);
	zipc_segment_close(segment);
	assert_ok(zipc_segment_remove(name, NULL));
}

static void defaults_are_those_of_the_header(void **state)
{
	(void)state;
	const char *name = unique_name("default");
	zipc_segment *segment;
	assert_ok(zipc_segment_create(name, NULL, &segment));
	zipc_segment_info info = rig_info(segment);
	assert_int_equal(info.backing, ZIPC_BACKING_SHM);
	assert_true(info.max_size == UINT64_C(64) << 30);
	assert_int_equal(info.max_peers, 256);
	assert_true(info.free <= 2 * MIB && info.free > 2 * MIB - 64 * KIB);
	zipc_segment_close(segment);
	assert_ok(zipc_segment_remove(name, NULL));
	zipc_segment_options o = rig_options(ZIPC_BACKING_MEMFD, 256 * KIB);
	assert_ok(zipc_segment_create(name, &o, &segment)); /* the least there is */
	uint64_t offset;
	assert_ok(zipc_alloc(segment, 1, 0, &offset));
	zipc_segment_close(segment);
}

/* "Open ignores the members that only creation uses." */
static void open_ignores_what_only_creation_uses(void **state)
{
	(void)state;
	const char *name = unique_name("ignore");
	zipc_segment_options o = rig_options(ZIPC_BACKING_SHM, 1 * MIB);
	zipc_segment *segment, *again;
	assert_ok(zipc_segment_create(name, &o, &segment));
	o.max_size = 4 * MIB;
	o.size = 2 * MIB;
	o.max_peers = 3;
	assert_ok(zipc_segment_open(name, &o, &again));
	assert_int_equal(rig_info(again).max_size, 1 * MIB);
	assert_int_equal(rig_info(again).max_peers, 16);
	zipc_segment_close(again);
	o.size = 8 * MIB, o.max_size = 1, o.slice_min_ms = 9, o.slice_max_ms = 2;
	assert_ok(zipc_segment_open(name, &o, &again));
	zipc_segment_close(again);
	zipc_segment_close(segment);
	assert_ok(zipc_segment_remove(name, NULL));
}

/* The handle goes first; what is open keeps the attachment. */
static void structures_keep_the_attachment(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB), *other = rig_again(segment, 0);
	zipc_array *array;
	zipc_queue *queue;
	assert_ok(zipc_array_create(segment, "a", 8, 4, NULL, &array));
	assert_ok(zipc_queue_create(segment, "q", 8, 4, NULL, &queue));
	zipc_segment_close(segment);
	assert_int_equal(rig_info(other).peers, 2);
	uint64_t value = 5;
	assert_ok(zipc_array_set(array, 0, &value));
	assert_ok(zipc_queue_push(queue, &value, ZIPC_NOWAIT));
	zipc_array_close(array);
	assert_int_equal(rig_info(other).peers, 2);
	value = 0;
	assert_ok(zipc_queue_pop(queue, &value, ZIPC_NOWAIT));
	assert_int_equal(value, 5);
	zipc_queue_close(queue);
	assert_int_equal(rig_info(other).peers, 1);
	zipc_segment_close(other);
}

/* ---- growing -------------------------------------------------------------------------------- */

static void it_grows_to_its_maximum_and_not_beyond(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(8 * MIB);
	uint64_t first_size = rig_info(segment).size, used = rig_used(segment), offsets[256];
	size_t n = 0;
	int r;
	while ((r = zipc_alloc(segment, 64 * KIB, 0, &offsets[n])) == 0 && n < 255) {
		memset(zipc_pointer(segment, offsets[n], 64 * KIB), 0xee, 64 * KIB);
		n++;
	}
	assert_int_equal(r, -ENOSPC);
	assert_said("8388608");
	assert_true(n >= 8 * MIB / (64 * KIB) - 3);
	assert_true(rig_info(segment).size > first_size);
	assert_true(rig_info(segment).size <= 8 * MIB);
	/* everything goes on working when it is full */
	zipc_array *array;
	assert_int_equal(zipc_array_create(segment, "x", 1, 64 * KIB, NULL, &array), -ENOSPC);
	assert_int_equal(zipc_array_open(segment, "x", 0, 0, NULL, &array), -ENOENT);
	assert_int_equal(rig_info(segment).structures, 0);
	assert_ok(zipc_free(segment, offsets[--n]));
	assert_ok(zipc_array_create(segment, "x", 1, 64 * KIB, NULL, &array));
	zipc_array_close(array);
	assert_ok(zipc_remove(segment, "x"));
	while (n > 0)
		assert_ok(zipc_free(segment, offsets[--n]));
	assert_true(rig_used(segment) >= used); /* the chunk table has grown */
	assert_true(rig_used(segment) <= used + 4096);
	rig_close(segment, rig_used(segment));
}

static void growth_reaches_other_attachments(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(16 * MIB), *b = rig_again(a, 0);
	uint64_t offset;
	assert_ok(zipc_alloc(a, 6 * MIB, 0, &offset));
	assert_ok(zipc_publish(a, offset));
	memset(zipc_pointer(a, offset, 6 * MIB), 0x5c, 6 * MIB);
	uint8_t *seen = zipc_pointer(b, offset, 6 * MIB);
	assert_non_null(seen);
	assert_int_equal(seen[0], 0x5c);
	assert_int_equal(seen[6 * MIB - 1], 0x5c);
	assert_int_equal(rig_info(a).size, rig_info(b).size);
	assert_ok(zipc_free(b, offset));
	zipc_segment_close(b);
	zipc_segment_close(a);
}

/* ---- reading only --------------------------------------------------------------------------- */

static void a_reader_cannot_write(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	uint64_t mine;
	assert_ok(zipc_alloc(segment, 100, 0, &mine));
	zipc_segment *reader = rig_again(segment, ZIPC_SEGMENT_READ_ONLY);
	zipc_segment_info info = rig_info(reader);
	assert_int_equal(info.read_only, 1);
	assert_int_equal(info.self_id, 0);
	assert_int_equal(info.peers, 1); /* takes no slot */
	uint64_t offset;
	zipc_array *array;
	zipc_queue *queue;
	assert_int_equal(zipc_alloc(reader, 1, 0, &offset), -EROFS);
	assert_int_equal(zipc_publish(reader, mine), -EROFS);
	assert_int_equal(zipc_free(reader, mine), -EROFS);
	assert_int_equal(zipc_remove(reader, "x"), -EROFS);
	assert_int_equal(zipc_segment_gc(reader), -EROFS);
	assert_said("gc");
	assert_int_equal(zipc_segment_verify(reader, NULL, NULL), -EROFS);
	assert_int_equal(zipc_array_create(reader, "x", 8, 1, NULL, &array), -EROFS);
	assert_int_equal(zipc_queue_create(reader, "x", 8, 1, NULL, &queue), -EROFS);
	assert_int_equal(zipc_array_open_or_create(reader, "x", 8, 1, NULL, &array), -EROFS);
	assert_int_equal(zipc_array_open(reader, "x", 8, 1, NULL, &array), -ENOENT);
	assert_non_null(zipc_pointer(reader, mine, 100));
	int fd = zipc_segment_export_fd(reader);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	zipc_segment_close(reader);
	zipc_segment_close(segment);
}

/* ---- interrupting --------------------------------------------------------------------------- */

static void interrupt_is_of_one_attachment_until_cleared(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(1 * MIB), *b = rig_again(a, 0);
	zipc_queue *qa, *qb;
	uint64_t value = 1;
	assert_ok(zipc_queue_create(a, "q", 8, 1, NULL, &qa));
	assert_ok(zipc_queue_open(b, "q", 8, NULL, &qb));
	zipc_interrupt(a);
	assert_int_equal(zipc_queue_pop(qa, &value, ZIPC_FOREVER), -ECANCELED);
	assert_int_equal(zipc_queue_pop(qa, &value, 1000000), -ECANCELED);
	assert_int_equal(zipc_queue_pop(qa, &value, ZIPC_NOWAIT), -EAGAIN);
	assert_int_equal(zipc_queue_pop(qb, &value, 1000000), -ETIMEDOUT);
	assert_ok(zipc_queue_push(qa, &value, ZIPC_NOWAIT));
	assert_int_equal(zipc_queue_push(qa, &value, ZIPC_FOREVER), -ECANCELED);
	zipc_interrupt_clear(a);
	assert_int_equal(zipc_queue_push(qa, &value, 1000000), -ETIMEDOUT);
	zipc_queue_close(qa);
	zipc_queue_close(qb);
	zipc_segment_close(a);
	zipc_segment_close(b);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_options_are_refused),
		cmocka_unit_test(a_newer_option_is_refused_when_set),
		cmocka_unit_test(bad_names_are_refused),
		cmocka_unit_test(names_of_all_kinds),
		cmocka_unit_test(create_open_remove),
		cmocka_unit_test(open_or_create_says_which),
		cmocka_unit_test(removed_and_made_again_is_another_one),
		cmocka_unit_test(info_tells_what_was_asked_for),
		cmocka_unit_test(defaults_are_those_of_the_header),
		cmocka_unit_test(open_ignores_what_only_creation_uses),
		cmocka_unit_test(structures_keep_the_attachment),
		cmocka_unit_test(it_grows_to_its_maximum_and_not_beyond),
		cmocka_unit_test(growth_reaches_other_attachments),
		cmocka_unit_test(a_reader_cannot_write),
		cmocka_unit_test(interrupt_is_of_one_attachment_until_cleared),
	};
	return PEER_RUN("segment", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
