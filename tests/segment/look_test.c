/* SPDX-License-Identifier: MIT */
/* Listing, describing, verifying: of sound segments and of damaged ones. */
#include "segment/rig.h"

#include "segment/directory.h"
#include "segment/peers.h"
#include "structure/queue_layout.h"

/* ---- listing -------------------------------------------------------------------------------- */

struct wanted {
	const char *name;
	zipc_segment_entry entry;
	int found;
	int stop;
};

static int match(const zipc_segment_entry *entry, void *arg)
{
	struct wanted *w = arg;
	assert_int_equal(entry->struct_size, sizeof *entry);
	if (w->name != NULL && strcmp(entry->name, w->name) == 0) {
		w->entry = *entry;
		w->found++;
	}
	return w->stop;
}

static void segments_are_listed_by_name(void **state)
{
	(void)state;
	char name[64];
	snprintf(name, sizeof name, "%s/\xc3\xbc%%", unique_name("list"));
	zipc_segment_options o = rig_options(ZIPC_BACKING_SHM, 1 * MIB);
	zipc_segment *segment;
	struct wanted w = {.name = name};
	assert_ok(zipc_segment_list(match, &w));
	assert_int_equal(w.found, 0);
	o.mode = 0644;
	assert_ok(zipc_segment_create(name, &o, &segment));
	assert_ok(zipc_segment_list(match, &w));
	assert_int_equal(w.found, 1);
	assert_int_equal(w.entry.version, ZIPC_FORMAT_VERSION);
	assert_int_equal(w.entry.uid, geteuid());
	assert_int_equal(w.entry.mode, 0644);
	assert_true(w.entry.size >= 256 * KIB && w.entry.size <= 2 * MIB);
	assert_true(w.entry.created_ns == rig_info(segment).created_ns);
	w = (struct wanted){.stop = -7};
	assert_int_equal(zipc_segment_list(match, &w), -7);
	zipc_segment_close(segment);
	assert_ok(zipc_segment_remove(name, NULL));
	w = (struct wanted){.name = name};
	assert_ok(zipc_segment_list(match, &w));
	assert_int_equal(w.found, 0);
}

/* What only looks like a segment is not listed. */
static void other_files_are_not_listed(void **state)
{
	(void)state;
	const char *name = unique_name("fake");
	char path[256];
	snprintf(path, sizeof path, "/dev/shm/zipc.%s", name);
	int fd = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	struct wanted w = {.name = name};
	assert_ok(zipc_segment_list(match, &w));
	assert_ok(ftruncate(fd, 65536));
	assert_ok(zipc_segment_list(match, &w));
	close(fd);
	assert_ok(unlink(path));
	assert_int_equal(w.found, 0);
}

static int note_structure(const zipc_structure_entry *entry, void *arg)
{
	zipc_structure_entry *out = arg;
	assert_int_equal(entry->struct_size, sizeof *entry);
	*out = *entry;
	assert_string_equal(entry->name, entry->type == ZIPC_TYPE_ARRAY ? "numbers" : "jobs");
	assert_string_equal(entry->type_name, entry->type == ZIPC_TYPE_ARRAY ? "array" : "queue");
	assert_string_equal(entry->schema, entry->type == ZIPC_TYPE_ARRAY ? "u64 n" : "");
	return entry->type == ZIPC_TYPE_QUEUE ? 11 : 0;
}

static void structures_are_described(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	zipc_array_options o = ZIPC_ARRAY_OPTIONS_INIT;
	zipc_array *array;
	zipc_queue *queue;
	zipc_structure_entry e = {0};
	o.schema = "u64 n";
	o.alignment = 4096;
	assert_ok(zipc_array_create(segment, "numbers", 8, 100, &o, &array));
	assert_ok(zipc_segment_structures(segment, note_structure, &e));
	assert_int_equal(e.element_size, 8);
	assert_int_equal(e.capacity, 100);
	assert_int_equal(e.alignment, 4096);
	assert_int_equal(e.size, 800);
	assert_int_equal(e.handles, 1);
	assert_int_equal(e.creator_pid, getpid());
	assert_int_equal((int64_t)(e.created_ns / 1000000000) / 10, (int64_t)time(NULL) / 10);
	assert_ptr_equal(zipc_pointer(segment, e.offset, e.size), zipc_array_data(array));
	assert_ok(zipc_queue_create(segment, "jobs", 24, 100, NULL, &queue));
	assert_int_equal(zipc_segment_structures(segment, note_structure, &e), 11);
	assert_int_equal(e.element_size, 24);
	assert_int_equal(e.capacity, 128);
	assert_int_equal(e.alignment, 8);
	zipc_array_close(array);
	zipc_queue_close(queue);
	zipc_segment_close(segment);
}

/* ---- verifying ------------------------------------------------------------------------------ */

struct problems {
	int count;
	int stop;
	char text[512];
};

static int collect(const char *problem, void *arg)
{
	struct problems *p = arg;
	p->count++;
	snprintf(p->text, sizeof p->text, "%s", problem);
	return p->stop;
}

static struct zi_entry *first_entry(zipc_segment *segment)
{
	return (struct zi_entry *)(void *)(segment->base + zi_header(segment)->directory_offset +
					   ZI_DIRECTORY_FIRST * sizeof(uint64_t));
}

static uint64_t *chunk_table(zipc_segment *segment)
{
	return (uint64_t *)(void *)(segment->base + segment->chunks_offset);
}

/* Puts a value somewhere, sees that verify says so, and puts the old one back. */
static void damage(zipc_segment *segment, void *at, uint64_t value, size_t size, const char *said)
{
	uint64_t old = 0;
	struct problems p = {0};
	memcpy(&old, at, size);
	memcpy(at, &value, size);
	int found = zipc_segment_verify(segment, collect, &p);
	if (found < 1 || found != p.count || strstr(p.text, said) == NULL)
		fail_msg("%d problems, the last \"%s\"; expected \"%s\"", found, p.text, said);
	assert_int_equal(zipc_segment_verify(segment, NULL, NULL), found);
	p = (struct problems){.stop = -33};
	assert_int_equal(zipc_segment_verify(segment, collect, &p), -33);
	assert_int_equal(p.count, 1);
	memcpy(at, &old, size);
	assert_sound(segment);
}

static void damaged_entries_are_found(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	zipc_array *array;
	assert_ok(zipc_array_create(segment, "numbers", 8, 100, NULL, &array));
	assert_sound(segment);
	struct zi_entry *e = first_entry(segment);
	assert_string_equal(e->name, "numbers");
	damage(segment, &e->offset, 64, 8, "'numbers' lies outside the heap");
	damage(segment, &e->offset, e->offset + 64, 8, "belongs to something else");
	damage(segment, &e->offset, UINT64_MAX - 63, 8, "outside the heap");
	damage(segment, &e->size, UINT64_MAX, 8, "outside the heap");
	damage(segment, &e->element_size, 0, 8, "array 'numbers'");
	damage(segment, &e->element_size, UINT64_MAX, 8, "do not fit");
	damage(segment, &e->capacity, 101, 8, "do not fit");
	damage(segment, e->name, 0, 1, "has no proper name");
	damage(segment, e->name, '\n', 1, "has no proper name");
	damage(segment, e->name, 'N', 1, "is not found");
	damage(segment, zi_header(segment)->directory_blocks + 1, 64, 8, "block 1");
	uint64_t capacity = e->capacity;
	zipc_array *again; /* and opening says so too */
	e->capacity = 101;
	assert_int_equal(zipc_array_open(segment, "numbers", 8, 0, NULL, &again), -EBADMSG);
	assert_said("numbers");
	e->capacity = capacity;
	uint64_t offset = e->offset;
	e->offset = UINT64_MAX - 63;
	assert_int_equal(zipc_array_open(segment, "numbers", 8, 0, NULL, &again), -EBADMSG);
	assert_said("numbers");
	e->offset = offset;
	zipc_array_close(array);
	zipc_segment_close(segment);
}

static void damaged_heaps_are_found(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	uint64_t small, run;
	assert_ok(zipc_alloc(segment, 100, 0, &small));
	assert_ok(zipc_alloc(segment, 200000, 0, &run));
	assert_sound(segment);
	uint64_t *table = chunk_table(segment);
	uint64_t s = small >> ZI_CHUNK_SHIFT, r = run >> ZI_CHUNK_SHIFT;
	damage(segment, &table[0], 0, 8, "chunk 0 holds tables");
	damage(segment, &table[s], zi_chunk_word(ZI_CHUNK_SLAB, 0, 0), 8, "without a ledger");
	damage(segment, &table[s], zi_chunk_word(ZI_CHUNK_SLAB, 99, 0), 8, "without a ledger");
	damage(segment, &table[r], zi_chunk_word(ZI_CHUNK_RUN, 0, 0), 8, "run of 0 chunks");
	damage(segment, &table[r], zi_chunk_word(ZI_CHUNK_RUN, 999, 0), 8, "run of 999 chunks");
	damage(segment, &table[r + 2], 0, 8, "inside the run");
	damage(segment, &table[r + 5], 7, 8, "unknown state 7");
	assert_ok(zipc_free(segment, small));
	assert_ok(zipc_free(segment, run));
	zipc_segment_close(segment);
}

static uint64_t *slot_word(zipc_segment *segment, uint32_t i)
{
	struct zi_entry *e = first_entry(segment);
	return (uint64_t *)(void *)(segment->base + e->offset + sizeof(struct zi_queue) + i * 16);
}

static void damaged_queues_are_found(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(2 * MIB);
	zipc_queue *queue;
	uint64_t item = 1;
	assert_ok(zipc_queue_create(segment, "jobs", 8, 8, NULL, &queue));
	for (int i = 0; i < 11; i++) {
		assert_ok(zipc_queue_push(queue, &item, ZIPC_NOWAIT));
		if (i % 3 == 0)
			assert_ok(zipc_queue_pop(queue, &item, ZIPC_NOWAIT));
		assert_sound(segment);
	}
	struct zi_entry *e = first_entry(segment);
	damage(segment, slot_word(segment, 5), zi_slot_make(9, 0, ZI_SLOT_READY), 8,
	       "queue 'jobs': slot 5 holds a word that cannot be");
	damage(segment, slot_word(segment, 5), zi_slot_make(0, 9, ZI_SLOT_READY), 8, "slot 5");
	damage(segment, slot_word(segment, 5), zi_slot_make(1, 9, ZI_SLOT_FREE), 8, "slot 5");
	damage(segment, &e->capacity, 7, 8, "queue 'jobs': its sizes");
	damage(segment, &e->capacity, 1 << 20, 8, "queue 'jobs': its sizes");
	damage(segment, &e->alignment, 3, 4, "queue 'jobs': its sizes");
	damage(segment, &e->element_size, 0, 8, "queue 'jobs': its sizes");
	damage(segment, &e->flags, 64, 4, "queue 'jobs': its sizes");
	e->flags = 64;
	zipc_queue *again;
	assert_int_equal(zipc_queue_open(segment, "jobs", 8, NULL, &again), -EPROTONOSUPPORT);
	assert_said("jobs");
	e->flags = 0;
	zipc_queue_close(queue);
	zipc_segment_close(segment);
}

/* Made by a newer library: shown, kept, removable, not opened as anything else. */
static void unknown_types_are_shown(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	uint64_t used = rig_used(segment);
	zipc_array *array;
	assert_ok(zipc_array_create(segment, "future", 8, 1, NULL, &array));
	zipc_array_close(array);
	first_entry(segment)->type = 99;
	assert_sound(segment);
	assert_int_equal(zipc_array_open(segment, "future", 8, 1, NULL, &array), -EPROTOTYPE);
	assert_said("future");
	assert_int_equal(zipc_segment_gc(segment), 0);
	assert_int_equal(rig_info(segment).structures, 1);
	assert_ok(zipc_remove(segment, "future"));
	rig_close(segment, used);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(segments_are_listed_by_name),
		cmocka_unit_test(other_files_are_not_listed),
		cmocka_unit_test(structures_are_described),
		cmocka_unit_test(damaged_entries_are_found),
		cmocka_unit_test(damaged_heaps_are_found),
		cmocka_unit_test(damaged_queues_are_found),
		cmocka_unit_test(unknown_types_are_shown),
	};
	return PEER_RUN("look", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
