/* SPDX-License-Identifier: MIT */
#include "object.h"

#include "care.h"
#include "directory.h"
#include "guard.h"
#include "heap.h"
#include "peers.h"

#include "../base/error.h"
#include "../base/futex.h"
#include "../base/name.h"

#include <errno.h>
#include <string.h>

#define OPEN_MOST 1000 /* looks at an entry that changes each time */

/* ---- holding -------------------------------------------------------------------------------- */

/* Sets the bit of this attachment. Under zi_process_lock(). */
static void hold(zipc_segment *segment, uint32_t index)
{
	uint32_t slot = zi_id_slot(zi_peer_self(segment));
	struct zi_entry *entry = zi_directory_entry(segment, index);
	/* HANDLE-W1 seq_cst: before the state is looked at again. Pairs with HANDLE-R2. */
	zi_or_seq_cst(&entry->handles[slot / 64], UINT64_C(1) << slot % 64);
}

/* Clears it, unless another handle of this attachment needs it. Under zi_process_lock(). */
static void unhold(zipc_segment *segment, uint32_t index)
{
	for (struct zi_object *o = segment->objects; o != NULL; o = o->next)
		if (o->view.index == index && o->stale == 0)
			return;
	uint32_t slot = zi_id_slot(zi_peer_self(segment));
	struct zi_entry *entry = zi_directory_entry(segment, index);
	zi_and_seq_cst(&entry->handles[slot / 64], ~(UINT64_C(1) << slot % 64));
}

static void link_object(zipc_segment *segment, struct zi_object *object)
{
	object->segment = segment;
	object->next = segment->objects;
	segment->objects = object;
	segment->references++;
}

/* Under the directory guard nothing becomes FREEING: a bit set now holds. */
void zi_object_reclaim(zipc_segment *segment)
{
	uint64_t *lock = &zi_header(segment)->directory_lock;
	bool locked = segment->objects != NULL && zi_guard_lock(segment, lock) == 0;
	for (struct zi_object *o = segment->objects; o != NULL; o = o->next) {
		uint64_t word = zi_load_acquire(&zi_directory_entry(segment, o->view.index)->state);
		bool there = zi_entry_generation(word) == o->view.generation &&
			     (zi_entry_state(word) == ZI_ENTRY_PUBLISHED ||
			      zi_entry_state(word) == ZI_ENTRY_REMOVED);
		if (locked && there)
			hold(segment, o->view.index);
		else
			o->stale = 1;
	}
	if (locked)
		zi_guard_unlock(segment, lock);
}

/* ---- creating ------------------------------------------------------------------------------- */

static int check_spec(const struct zi_spec *spec)
{
	const char *what = zi_type_name(spec->type);
	int r = zi_name_check(spec->name, what);
	if (r < 0)
		return r;
	size_t n = spec->schema == NULL ? 0 : strnlen(spec->schema, ZIPC_SCHEMA_MAX + 1);
	if (n > ZIPC_SCHEMA_MAX || (n > 0 && !zi_text_valid(spec->schema, n)))
		return zi_fail(-EINVAL, "%s '%s': the schema is not UTF-8 text of at most %d bytes",
			       what, spec->name, ZIPC_SCHEMA_MAX);
	return 0;
}

/* Memory for a claimed entry. When there is no room, what the dead hold is given back first. */
static int take_memory(zipc_segment *segment, const struct zi_spec *spec, struct zi_view *view)
{
	uint64_t tag = zi_tag_entry(view->index, view->generation);
	int r = zi_heap_alloc(segment, spec->size, spec->block_alignment, tag, &view->offset);
	if (r == -ENOSPC && zi_care_resolve(segment) > 0)
		r = zi_heap_alloc(segment, spec->size, spec->block_alignment, tag, &view->offset);
	if (r < 0)
		return r;
	view->memory = segment->base + view->offset;
	struct zi_entry *entry = zi_directory_entry(segment, view->index);
	zi_store_relaxed(&entry->offset, view->offset);
	return 0;
}

int zi_object_create(zipc_segment *segment, const struct zi_spec *spec, struct zi_object *object)
{
	int r = check_spec(spec);
	if (r == 0)
		r = zi_directory_claim(segment, spec, &object->view);
	if (r < 0)
		return r;
	object->segment = segment;
	object->id = zi_peer_self(segment);
	r = zi_process_lock();
	if (r == 0) {
		hold(segment, object->view.index);
		link_object(segment, object);
		zi_process_unlock();
		r = take_memory(segment, spec, &object->view);
	}
	if (r < 0)
		zi_object_abandon(object);
	return r;
}

void zi_object_publish(struct zi_object *object)
{
	zipc_segment *segment = object->segment;
	struct zi_entry *entry = zi_directory_entry(segment, object->view.index);
	/* ENTRY-W1 release: the entry and what was built behind it. Pairs with ENTRY-R1.
	 * CRASH: before this store the name does not exist, after it everything does. */
	zi_store_release(&entry->state,
			 zi_entry_word(object->view.generation, 0, ZI_ENTRY_PUBLISHED));
	zi_futex_wake((const uint32_t *)(const void *)&entry->state, INT32_MAX);
}

void zi_object_abandon(struct zi_object *object)
{
	zipc_segment *segment = object->segment;
	struct zi_entry *entry = zi_directory_entry(segment, object->view.index);
	uint32_t generation = object->view.generation;
	/* release: nothing to see; the word says that nobody will publish it. Pairs with ENTRY-R2.
	 */
	zi_store_release(&entry->state, zi_entry_word(generation, 0, ZI_ENTRY_REMOVED));
	zi_futex_wake((const uint32_t *)(const void *)&entry->state, INT32_MAX);
	zi_object_close(object);
}

/* ---- opening -------------------------------------------------------------------------------- */

static int check_view(const struct zi_view *view, const struct zi_spec *spec)
{
	const char *what = zi_type_name(spec->type), *name = spec->name;
	if (view->type != spec->type)
		return zi_fail(-EPROTOTYPE, "'%s' is of type %s, not %s", name,
			       zi_type_name(view->type), what);
	if (spec->element_size != 0 && view->element_size != spec->element_size)
		return zi_fail(-EPROTOTYPE, "%s '%s': element size is %llu, you asked for %llu",
			       what, name, (unsigned long long)view->element_size,
			       (unsigned long long)spec->element_size);
	if (spec->capacity != 0 && view->capacity != spec->capacity)
		return zi_fail(-EPROTOTYPE, "%s '%s': has %llu elements, you asked for %llu", what,
			       name, (unsigned long long)view->capacity,
			       (unsigned long long)spec->capacity);
	if (spec->alignment > view->alignment)
		return zi_fail(-EPROTOTYPE, "%s '%s': alignment is %u, you asked for %u", what,
			       name, view->alignment, spec->alignment);
	if (spec->flags != 0 && spec->flags != view->flags)
		return zi_fail(-EPROTOTYPE, "%s '%s': flags are %u, you asked for %u", what, name,
			       view->flags, spec->flags);
	if (spec->schema != NULL && strcmp(spec->schema, view->schema) != 0)
		return zi_fail(-EPROTOTYPE, "%s '%s': schema is \"%s\", you asked for \"%s\"", what,
			       name, view->schema, spec->schema);
	return 0;
}

/* Finds, holds, looks again. 0, -ENOENT, or -EAGAIN when it went away in between. */
static int find_and_hold(zipc_segment *segment, const struct zi_spec *spec, struct zi_view *view)
{
	uint32_t index = zi_directory_find(segment, spec->name, ZI_ENTRY_PUBLISHED, view);
	if (index == ZI_NO_ENTRY)
		return zi_fail(-ENOENT, "%s '%s' does not exist", zi_type_name(spec->type),
			       spec->name);
	int r = check_view(view, spec);
	if (r < 0)
		return r;
	view->memory = zi_directory_memory(segment, view);
	if (view->memory == NULL)
		return zi_fail(-EBADMSG, "%s '%s': its directory entry is damaged",
			       zi_type_name(spec->type), spec->name);
	if (segment->read_only)
		return 0;
	hold(segment, index);
	/* HANDLE-R1 seq_cst: after the bit was set. Pairs with HANDLE-W2. */
	uint64_t word = zi_load_seq_cst(&zi_directory_entry(segment, index)->state);
	if (word == zi_entry_word(view->generation, 0, ZI_ENTRY_PUBLISHED))
		return 0;
	unhold(segment, index);
	return -EAGAIN;
}

int zi_object_open(zipc_segment *segment, const struct zi_spec *spec, struct zi_object *object)
{
	int r = check_spec(spec);
	if (r == 0 && !segment->read_only)
		r = zi_peer_id(segment);
	if (r >= 0)
		r = zi_process_lock();
	if (r < 0)
		return r;
	r = -EAGAIN; /* each time somebody removed it, and somebody made it again */
	for (int i = 0; i < OPEN_MOST && r == -EAGAIN; i++)
		r = find_and_hold(segment, spec, &object->view);
	if (r == -EAGAIN)
		r = zi_fail(-EBADMSG, "%s '%s': its directory entry is damaged",
			    zi_type_name(spec->type), spec->name);
	if (r == 0) {
		/* a read-only attachment has no id: every writing call goes to zi_object_enter */
		object->id = segment->read_only ? UINT32_MAX : zi_peer_self(segment);
		link_object(segment, object);
	}
	zi_process_unlock();
	return r;
}

/* ---- using and closing ---------------------------------------------------------------------- */

void zi_object_close(struct zi_object *object)
{
	zipc_segment *segment = object->segment;
	struct zi_view view = object->view;
	if (zi_process_lock() < 0)
		return;
	struct zi_object **link = &segment->objects;
	while (*link != NULL && *link != object)
		link = &(*link)->next;
	bool linked = *link == object;
	if (linked)
		*link = object->next;
	bool holding = !segment->read_only && object->stale == 0 && zi_peer_self(segment) != 0;
	if (holding)
		unhold(segment, view.index);
	zi_process_unlock();
	if (holding)
		zi_directory_drop(segment, &view);
	if (linked)
		zi_segment_release(segment);
}

int zi_object_enter(struct zi_object *object)
{
	int id = zi_peer_id(object->segment);
	if (id < 0)
		return id;
	if (object->stale != 0)
		return zi_fail(-ESTALE,
			       "%s '%s' was removed before this process, a forked child, "
			       "used it",
			       zi_type_name(object->view.type), object->view.name);
	object->id = (uint32_t)id;
	return id;
}

int zi_object_still_there(const struct zi_object *object)
{
	const struct zi_entry *entry = zi_directory_entry(object->segment, object->view.index);
	zi_read_barrier(); /* after the copy that the caller made */
	uint64_t word = zi_load_relaxed(&entry->state);
	if (word == zi_entry_word(object->view.generation, 0, ZI_ENTRY_PUBLISHED))
		return 0;
	return zi_fail(-ESTALE, "%s '%s' was removed", zi_type_name(object->view.type),
		       object->view.name);
}
