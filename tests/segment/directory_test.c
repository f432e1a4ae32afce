/* SPDX-License-Identifier: MIT */
/* Names: making, finding, removing, mismatches, many of them, who has them open. */
#include "segment/rig.h"

#include "segment/directory.h"

struct found {
	uint32_t count, handles;
	char last[ZIPC_NAME_MAX + 1];
	zipc_structure_entry entry;
};

static int note(const zipc_structure_entry *entry, void *arg)
{
	struct found *found = arg;
	found->count++;
	found->handles += entry->handles;
	found->entry = *entry;
	snprintf(found->last, sizeof found->last, "%s", entry->name);
	return 0;
}

static struct found look(zipc_segment *segment)
{
	struct found found = {0};
	assert_ok(zipc_segment_structures(segment, note, &found));
	return found;
}

static void make(zipc_segment *segment, const char *name)
{
	zipc_array *array;
	assert_ok(zipc_array_create(segment, name, 8, 1, NULL, &array));
	zipc_array_close(array);
}

/* ---- names ---------------------------------------------------------------------------------- */

static void bad_names_are_refused_by_every_call(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	char longer[65];
	memset(longer, 'n', 64);
	longer[64] = '\0';
	const char *const names[] = {NULL, "", "/", "/a", "a/", "a\tb", "\xc3", "\xc2\x85", longer};
	zipc_array *array;
	zipc_queue *queue;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		const char *n = names[i];
		assert_int_equal(zipc_array_create(segment, n, 8, 1, NULL, &array), -EINVAL);
		assert_said("array");
		assert_int_equal(zipc_array_open(segment, n, 8, 1, NULL, &array), -EINVAL);
		assert_int_equal(zipc_array_open_or_create(segment, n, 8, 1, NULL, &array),
				 -EINVAL);
		assert_int_equal(zipc_array_remove(segment, n), -EINVAL);
		assert_int_equal(zipc_queue_create(segment, n, 8, 1, NULL, &queue), -EINVAL);
		assert_said("queue");
		assert_int_equal(zipc_queue_open(segment, n, 8, NULL, &queue), -EINVAL);
		assert_int_equal(zipc_queue_open_or_create(segment, n, 8, 1, NULL, &queue),
				 -EINVAL);
		assert_int_equal(zipc_queue_remove(segment, n), -EINVAL);
		assert_int_equal(zipc_remove(segment, n), -EINVAL);
	}
	assert_int_equal(rig_info(segment).structures, 0);
	zipc_segment_close(segment);
}

static void good_names_stand_beside_each_other(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	uint64_t used = rig_used(segment);
	char longest[64], almost[64];
	memset(longest, 'n', 63);
	longest[63] = '\0';
	memcpy(almost, longest, 64);
	almost[62] = 'm';
	const char *const names[] = {"a", "A",	"a/b", "a/b/c",	    "a b",   "\xc3\xbc", "%",
				     ".", "..", "0",   "a\xcc\x88", longest, almost};
	size_t n = sizeof names / sizeof names[0];
	for (size_t i = 0; i < n; i++) {
		make(segment, names[i]);
		assert_string_equal(look(segment).last, names[i]); /* in order of creation */
	}
	assert_int_equal(look(segment).count, n);
	for (size_t i = 0; i < n; i++) {
		zipc_array *array;
		assert_ok(zipc_array_open(segment, names[i], 8, 1, NULL, &array));
		zipc_array_close(array);
		assert_ok(zipc_remove(segment, names[i]));
		assert_int_equal(zipc_remove(segment, names[i]), -ENOENT);
	}
	rig_close(segment, used);
}

static void schemas_are_kept_and_compared(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	char longest[129];
	memset(longest, 's', 128);
	longest[128] = '\0';
	zipc_array_options o = ZIPC_ARRAY_OPTIONS_INIT;
	zipc_array *array;
	o.schema = longest;
	assert_int_equal(zipc_array_create(segment, "x", 8, 1, &o, &array), -EINVAL);
	assert_said("schema");
	assert_said("'x'");
	o.schema = "a\nb";
	assert_int_equal(zipc_array_create(segment, "x", 8, 1, &o, &array), -EINVAL);
	longest[127] = '\0';
	o.schema = longest;
	assert_ok(zipc_array_create(segment, "x", 8, 1, &o, &array));
	zipc_array_close(array);
	assert_int_equal(rig_info(segment).structures, 1);
	assert_ok(zipc_array_open(segment, "x", 8, 1, &o, &array));
	zipc_array_close(array);
	assert_ok(zipc_array_open(segment, "x", 8, 1, NULL, &array));
	zipc_array_close(array);
	longest[126] = 'S';
	assert_int_equal(zipc_array_open(segment, "x", 8, 1, &o, &array), -EPROTOTYPE);
	assert_said("schema");
	o.schema = ""; /* none is not "any" */
	assert_int_equal(zipc_array_open(segment, "x", 8, 1, &o, &array), -EPROTOTYPE);
	zipc_segment_close(segment);
}

/* ---- mismatches ----------------------------------------------------------------------------- */

static void another_kind_is_refused_with_its_sentence(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	zipc_array *array;
	zipc_queue *queue;
	make(segment, "numbers");
	assert_int_equal(zipc_queue_open(segment, "numbers", 8, NULL, &queue), -EPROTOTYPE);
	assert_said("'numbers' is of type array, not queue");
	assert_int_equal(zipc_queue_open_or_create(segment, "numbers", 8, 1, NULL, &queue),
			 -EPROTOTYPE);
	assert_int_equal(zipc_queue_create(segment, "numbers", 8, 1, NULL, &queue), -EEXIST);
	assert_said("numbers");
	assert_int_equal(zipc_array_create(segment, "numbers", 8, 1, NULL, &array), -EEXIST);
	assert_said("numbers");
	assert_int_equal(zipc_queue_remove(segment, "numbers"), -EPROTOTYPE);
	assert_said("array");
	assert_int_equal(zipc_array_open(segment, "numbers", 4, 1, NULL, &array), -EPROTOTYPE);
	assert_said("array 'numbers': element size is 8, you asked for 4");
	assert_int_equal(zipc_array_open(segment, "numbers", 8, 2, NULL, &array), -EPROTOTYPE);
	assert_said("array 'numbers': has 1 elements, you asked for 2");
	zipc_array_options o = ZIPC_ARRAY_OPTIONS_INIT;
	o.alignment = 128;
	assert_int_equal(zipc_array_open(segment, "numbers", 8, 1, &o, &array), -EPROTOTYPE);
	assert_said("alignment is 64, you asked for 128");
	o.alignment = 64;
	assert_ok(zipc_array_open(segment, "numbers", 0, 0, &o, &array));
	zipc_array_close(array);
	assert_int_equal(zipc_array_remove(segment, "none"), -ENOENT);
	assert_said("none");
	assert_ok(zipc_array_remove(segment, "numbers"));
	zipc_segment_close(segment);
}

static void open_or_create_opens_what_is_there(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	zipc_array *a, *b;
	assert_int_equal(zipc_array_open_or_create(segment, "x", 8, 3, NULL, &a), 1);
	assert_int_equal(zipc_array_open_or_create(segment, "x", 8, 3, NULL, &b), 0);
	assert_ok(zipc_array_store64(a, 2, 5));
	uint64_t value = 0;
	assert_ok(zipc_array_load64(b, 2, &value));
	assert_int_equal(value, 5);
	assert_int_equal(zipc_array_open_or_create(segment, "x", 4, 3, NULL, &b), -EPROTOTYPE);
	assert_int_equal(zipc_array_open_or_create(segment, "y", 0, 3, NULL, &b), -EINVAL);
	zipc_array_close(a);
	zipc_array_close(b);
	zipc_segment_close(segment);
}

/* ---- removing ------------------------------------------------------------------------------- */

static void removed_while_open_splits(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB), *other = rig_again(segment, 0);
	uint64_t used = rig_used(segment), value;
	zipc_array *old, *old_too, *fresh;
	assert_ok(zipc_array_create(segment, "x", 8, 4, NULL, &old));
	assert_ok(zipc_array_open(other, "x", 8, 4, NULL, &old_too));
	assert_ok(zipc_remove(segment, "x"));
	assert_int_equal(zipc_array_open(segment, "x", 0, 0, NULL, &fresh), -ENOENT);
	assert_int_equal(zipc_remove(segment, "x"), -ENOENT);
	assert_int_equal(rig_info(segment).structures, 0);
	assert_ok(zipc_array_create(segment, "x", 4, 9, NULL, &fresh)); /* of another shape */
	assert_ok(zipc_array_store64(old, 0, 1));
	assert_ok(zipc_array_store32(fresh, 0, 2));
	assert_ok(zipc_array_load64(old_too, 0, &value));
	assert_int_equal(value, 1);
	zipc_array_close(old);
	assert_ok(zipc_array_load64(old_too, 0, &value)); /* one has it still */
	assert_int_equal(value, 1);
	assert_int_equal(zipc_segment_gc(segment), 0);
	zipc_array_close(old_too);
	zipc_array_close(fresh);
	assert_ok(zipc_remove(other, "x"));
	zipc_segment_close(other);
	rig_close(segment, used);
}

/* The last handle of an attachment counts, not the first. */
static void two_handles_of_one_attachment(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	uint64_t used = rig_used(segment), used_open;
	zipc_array *a, *b;
	assert_ok(zipc_array_create(segment, "x", 1024, 128, NULL, &a));
	assert_ok(zipc_array_open(segment, "x", 0, 0, NULL, &b));
	assert_ptr_equal(zipc_array_data(a), zipc_array_data(b));
	assert_int_equal(look(segment).handles, 1); /* attachments, not handles */
	assert_ok(zipc_remove(segment, "x"));
	used_open = rig_used(segment);
	zipc_array_close(a);
	assert_int_equal(rig_used(segment), used_open);
	memset(zipc_array_data(b), 1, 128 * 1024);
	zipc_array_close(b);
	rig_close(segment, used);
}

static void handles_are_counted_by_attachment(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(2 * MIB), *b = rig_again(a, 0), *c = rig_again(a, 0);
	zipc_array *of_a, *of_b, *of_c;
	assert_ok(zipc_array_create(a, "x", 8, 1, NULL, &of_a));
	assert_int_equal(look(a).handles, 1);
	assert_ok(zipc_array_open(b, "x", 8, 1, NULL, &of_b));
	assert_ok(zipc_array_open(c, "x", 8, 1, NULL, &of_c));
	assert_int_equal(look(a).handles, 3);
	zipc_array_close(of_a);
	assert_int_equal(look(c).handles, 2);
	zipc_segment *reader = rig_again(a, ZIPC_SEGMENT_READ_ONLY);
	assert_ok(zipc_array_open(reader, "x", 8, 1, NULL, &of_a));
	assert_int_equal(look(reader).handles, 2); /* readers hold nothing */
	zipc_array_close(of_a);
	zipc_segment_close(reader);
	zipc_array_close(of_b);
	zipc_array_close(of_c);
	assert_int_equal(look(a).handles, 0);
	assert_int_equal(look(a).count, 1);
	zipc_segment_close(b);
	zipc_segment_close(c);
	zipc_segment_close(a);
}

/* A reader does not hold what it has open: it is told when that went. */
static void a_reader_notices_the_removal(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	zipc_array *array, *seen;
	uint64_t value;
	assert_ok(zipc_array_create(segment, "x", 8, 1, NULL, &array));
	zipc_segment *reader = rig_again(segment, ZIPC_SEGMENT_READ_ONLY);
	assert_ok(zipc_array_open(reader, "x", 8, 1, NULL, &seen));
	assert_ok(zipc_array_get(seen, 0, &value));
	zipc_array_close(array);
	assert_ok(zipc_remove(segment, "x"));
	assert_int_equal(zipc_array_get(seen, 0, &value), -ESTALE);
	assert_said("'x'");
	assert_int_equal(zipc_array_load64(seen, 0, &value), -ESTALE);
	assert_ok(zipc_array_create(segment, "x", 8, 1, NULL, &array));
	assert_int_equal(zipc_array_get(seen, 0, &value), -ESTALE);
	zipc_array_close(seen);
	zipc_array_close(array);
	zipc_segment_close(reader);
	zipc_segment_close(segment);
}

/* ---- many ----------------------------------------------------------------------------------- */

#define MANY 700 /* blocks of 64, 128, 256 and 512 entries */

static void many_names(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(8 * MIB), *other = rig_again(segment, 0);
	char name[32];
	zipc_array *array;
	uint64_t value;
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "many/%u", i);
		assert_ok(zipc_array_create(segment, name, 8, 1, NULL, &array));
		assert_ok(zipc_array_store64(array, 0, i));
		zipc_array_close(array);
		if (i == 63 || i == 64 || i == 191 || i == 192)
			assert_sound(segment);
	}
	assert_int_equal(rig_info(other).structures, MANY);
	assert_int_equal(look(other).count, MANY);
	uint64_t full = rig_used(segment);
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "many/%u", (i * 37) % MANY);
		assert_ok(zipc_array_open(other, name, 8, 1, NULL, &array));
		assert_ok(zipc_array_load64(array, 0, &value));
		assert_int_equal(value, (i * 37) % MANY);
		zipc_array_close(array);
		assert_ok(zipc_remove(other, name));
	}
	assert_int_equal(rig_info(segment).structures, 0);
	uint64_t empty = rig_used(segment);
	assert_true(empty < full);
	for (uint32_t i = 0; i < MANY; i++) { /* the places are used again */
		snprintf(name, sizeof name, "again/%u", i);
		make(segment, name);
	}
	assert_int_equal(rig_used(segment), full);
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "again/%u", i);
		assert_ok(zipc_remove(segment, name));
	}
	zipc_segment_close(other);
	rig_close(segment, empty);
}

/* The same name over and over: generations, and nothing that grows. */
static void made_and_removed_many_times(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	uint64_t used = rig_used(segment);
	for (int i = 0; i < 2000; i++) {
		make(segment, "x");
		assert_ok(zipc_remove(segment, "x"));
	}
	rig_close(segment, used);
}

/* ---- what a creator left -------------------------------------------------------------------- */

static void an_unfinished_creation_is_undone(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(2 * MIB), *b = rig_again(a, 0);
	uint64_t used = rig_used(a);
	struct zi_spec spec = {.name = "half",
			       .type = ZIPC_TYPE_ARRAY,
			       .size = 100000,
			       .element_size = 8,
			       .capacity = 12500,
			       .alignment = 64,
			       .block_alignment = 64};
	struct zi_object object = {0};
	zipc_array *array;
	assert_ok(zi_object_create(b, &spec, &object));
	assert_int_equal(zipc_array_open(a, "half", 8, 0, NULL, &array), -ENOENT);
	assert_int_equal(zipc_array_create(a, "half", 8, 1, NULL, &array), -EEXIST);
	assert_said("is just being created");
	assert_int_equal(zipc_remove(a, "half"), -ENOENT);
	assert_int_equal(look(a).count, 0);
	assert_int_equal(zipc_segment_gc(a), 0); /* its creator lives */
	zi_object_abandon(&object);
	assert_int_equal(rig_used(a), used);
	assert_ok(zi_object_create(b, &spec, &object));
	zi_object_publish(&object);
	assert_ok(zipc_array_open(a, "half", 8, 12500, NULL, &array));
	zipc_array_close(array);
	zi_object_close(&object);
	assert_ok(zipc_remove(a, "half"));
	zipc_segment_close(b);
	rig_close(a, used);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(bad_names_are_refused_by_every_call),
		cmocka_unit_test(good_names_stand_beside_each_other),
		cmocka_unit_test(schemas_are_kept_and_compared),
		cmocka_unit_test(another_kind_is_refused_with_its_sentence),
		cmocka_unit_test(open_or_create_opens_what_is_there),
		cmocka_unit_test(removed_while_open_splits),
		cmocka_unit_test(two_handles_of_one_attachment),
		cmocka_unit_test(handles_are_counted_by_attachment),
		cmocka_unit_test(a_reader_notices_the_removal),
		cmocka_unit_test(many_names),
		cmocka_unit_test(made_and_removed_many_times),
		cmocka_unit_test(an_unfinished_creation_is_undone),
	};
	return PEER_RUN("directory", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
