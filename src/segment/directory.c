/* SPDX-License-Identifier: MIT */
#include "directory.h"

#include "guard.h"
#include "heap.h"
#include "peers.h"

#include "../base/checked.h"
#include "../base/clock.h"
#include "../base/copy.h"
#include "../base/error.h"
#include "../base/futex.h"
#include "../base/name.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define SETTLE_NS    (INT64_C(10000) * ZI_NS_PER_MS)
#define SETTLE_SLICE (10 * ZI_NS_PER_MS)

/* ---- entries -------------------------------------------------------------------------------- */

/* Number of the block that holds entry `index`, and the index of the block's first entry. */
static uint32_t block_of(uint32_t index, uint32_t *out_first)
{
	uint32_t k = 31 - (uint32_t)__builtin_clz(index / ZI_DIRECTORY_FIRST + 1);
	*out_first = ZI_DIRECTORY_FIRST * ((1u << k) - 1);
	return k;
}

static uint64_t block_size(zipc_segment *segment, uint32_t k)
{
	uint64_t n = (uint64_t)ZI_DIRECTORY_FIRST << k;
	return n * sizeof(uint64_t) + n * segment->entry_stride;
}

/*
 * Start of block k: its hashes, then its entries. NULL = not there. Blocks never move, so what was
 * found once is kept in the handle, whatever becomes of the word in the segment.
 */
static uint8_t *block_at(zipc_segment *segment, uint32_t k)
{
	if (k >= ZI_DIRECTORY_BLOCKS)
		return NULL;
	/* acquire: the thread that stored it saw the block zeroed. Pairs with the release below. */
	uint8_t *known = zi_load_acquire(&segment->directory_blocks[k]);
	if (known != NULL)
		return known;
	/* BLOCK-R1 acquire: the block is zeroed. Pairs with BLOCK-W1. */
	uint64_t offset = zi_load_acquire(&zi_header(segment)->directory_blocks[k]);
	bool sound = offset >= segment->first_chunk && offset % ZI_LINE == 0 &&
		     zi_within(offset, block_size(segment, k), zi_segment_size(segment));
	if (!sound)
		return NULL;
	zi_store_release(&segment->directory_blocks[k], segment->base + offset);
	return segment->base + offset;
}

struct zi_entry *zi_directory_entry(zipc_segment *segment, uint32_t index)
{
	uint32_t first, k = block_of(index, &first);
	uint8_t *block = block_at(segment, k);
	if (block == NULL)
		return NULL;
	uint64_t hashes = ((uint64_t)ZI_DIRECTORY_FIRST << k) * sizeof(uint64_t);
	return (struct zi_entry *)(void *)(block + hashes +
					   (uint64_t)(index - first) * segment->entry_stride);
}

static uint64_t *hash_at(zipc_segment *segment, uint32_t index)
{
	uint32_t first, k = block_of(index, &first);
	return (uint64_t *)(void *)block_at(segment, k) + (index - first);
}

static uint32_t entry_count(zipc_segment *segment)
{
	uint32_t k = 1;
	while (k < ZI_DIRECTORY_BLOCKS && block_at(segment, k) != NULL)
		k++;
	return ZI_DIRECTORY_FIRST * ((1u << k) - 1);
}

/* Never 0: that stands for "no name". FNV-1a, seeded per segment. */
static uint64_t hash_name(zipc_segment *segment, const char *name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ segment->hash_seed;
	for (; *name != '\0'; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return h | 1;
}

/*
 * Copies an entry that is in `state`; false when it is not, or changed under the copy. Everything
 * in it is as untrusted as the rest of the segment.
 */
static bool copy_entry(zipc_segment *segment, uint32_t index, enum zi_entry_state state,
		       struct zi_view *view)
{
	const struct zi_entry *entry = zi_directory_entry(segment, index);
	if (entry == NULL)
		return false;
	/* ENTRY-R1 acquire: the fields that the state vouches for. Pairs with ENTRY-W1. */
	uint64_t word = zi_load_acquire(&entry->state);
	if (zi_entry_state(word) != state)
		return false;
	struct zi_entry copy;
	zi_copy_out(&copy, entry, sizeof copy);
	zi_read_barrier();
	if (zi_load_relaxed(&entry->state) != word)
		return false;
	*view = (struct zi_view){
		.index = index,
		.generation = zi_entry_generation(word),
		.type = copy.type,
		.flags = copy.flags,
		.offset = copy.offset,
		.size = copy.size,
		.element_size = copy.element_size,
		.capacity = copy.capacity,
		.alignment = copy.alignment,
		.creator_pid = copy.creator_pid,
		.created_ns = copy.created_ns,
	};
	memcpy(view->name, copy.name, ZIPC_NAME_MAX);
	memcpy(view->schema, copy.schema, ZIPC_SCHEMA_MAX);
	return true;
}

uint32_t zi_directory_find(zipc_segment *segment, const char *name, enum zi_entry_state state,
			   struct zi_view *view)
{
	uint64_t hash = hash_name(segment, name);
	uint32_t count = entry_count(segment);
	for (uint32_t i = 0; i < count; i++) {
		/* relaxed: a filter; the state under ENTRY-R1 decides */
		const uint64_t *h = hash_at(segment, i);
		if (zi_load_relaxed(h) == hash && copy_entry(segment, i, state, view) &&
		    strcmp(view->name, name) == 0)
			return i;
	}
	return ZI_NO_ENTRY;
}

uint8_t *zi_directory_memory(zipc_segment *segment, const struct zi_view *view)
{
	bool sound = view->offset >= segment->first_chunk && view->offset % ZI_LINE == 0 &&
		     zi_within(view->offset, view->size, zi_segment_size(segment));
	return sound ? segment->base + view->offset : NULL;
}

/* ---- freeing, under the guard ---------------------------------------------------------------- */

static bool anybody_has_open(zipc_segment *segment, const struct zi_entry *entry)
{
	for (uint32_t w = 0; w < (segment->max_peers + 63) / 64; w++) {
		/* HANDLE-R2 seq_cst: after REMOVED was stored. Pairs with HANDLE-W1. */
		uint64_t bits = zi_load_seq_cst(&entry->handles[w]);
		for (; bits != 0; bits &= bits - 1)
			if (zi_peer_slot_alive(segment, w * 64 + (uint32_t)__builtin_ctzll(bits)))
				return true;
	}
	return false;
}

/* The entry is FREEING(me). CRASH: a dead FREEING is done again from the start; all steps can be.
 */
static int give_back(zipc_segment *segment, uint32_t index, uint32_t generation)
{
	struct zi_entry *entry = zi_directory_entry(segment, index);
	uint64_t tag = zi_tag_entry(index, generation), offset = zi_load_relaxed(&entry->offset);
	int r = zi_heap_free(segment, offset, tag);
	if (r == -ESTALE) /* dead creator, or freed in part: look everywhere */
		r = zi_heap_free_tag(segment, tag);
	if (r < 0)
		return r;
	zi_store_relaxed(hash_at(segment, index), 0u);
	/* ENTRY-W2 release: nothing of this generation is left. Pairs with ENTRY-R2. */
	zi_store_release(&entry->state, zi_entry_word(generation, 0, ZI_ENTRY_FREE));
	return 1;
}

/* Frees an entry that is in `word` if that is due; 1 when it was, 0 when not, negative = error. */
static int settle_entry(zipc_segment *segment, uint32_t index, uint64_t word)
{
	struct zi_entry *entry = zi_directory_entry(segment, index);
	uint32_t generation = zi_entry_generation(word);
	switch (zi_entry_state(word)) {
	case ZI_ENTRY_CLAIMED:
	case ZI_ENTRY_FREEING: {
		int dead = zi_entry_owner(word) == zi_peer_self(segment) &&
					   zi_entry_state(word) == ZI_ENTRY_FREEING
				   ? 1 /* ours, interrupted before */
				   : zi_peer_dead(segment, zi_entry_owner(word));
		if (dead <= 0)
			return dead;
		break;
	}
	case ZI_ENTRY_REMOVED:
		if (anybody_has_open(segment, entry))
			return 0;
		break;
	default:
		return 0;
	}
	uint64_t mine = zi_entry_word(generation, zi_peer_self(segment), ZI_ENTRY_FREEING);
	return zi_cas_acq_rel(&entry->state, &word, mine) ? give_back(segment, index, generation)
							  : 0;
}

/* ---- creating ------------------------------------------------------------------------------- */

/* Adds the next block of entries. CRASH: what was allocated and not stored, the next one frees. */
static int add_block(zipc_segment *segment)
{
	uint32_t k = 1;
	while (k < ZI_DIRECTORY_BLOCKS && block_at(segment, k) != NULL)
		k++;
	if (k == ZI_DIRECTORY_BLOCKS)
		return zi_fail(-ENOSPC, "segment: the directory is full");
	uint64_t offset;
	/* the tag of the block's own first entry, generation 0: no entry ever has that one */
	uint64_t tag = zi_tag_entry(ZI_DIRECTORY_FIRST * ((1u << k) - 1), 0);
	int r = zi_heap_free_tag(segment, tag); /* of one who died right here */
	if (r >= 0)
		r = zi_heap_alloc(segment, block_size(segment, k), ZI_LINE, tag, &offset);
	if (r < 0)
		return r;
	/* BLOCK-W1 release: the block is zeroed. Pairs with BLOCK-R1. */
	zi_store_release(&zi_header(segment)->directory_blocks[k], offset);
	return 0;
}

/*
 * Under the guard names do not change, but a creator may publish at any moment: so the name is compared
 * without regard to the state.
 */
static bool has_name(const struct zi_entry *entry, const char *name)
{
	char copy[ZIPC_NAME_MAX + 1];
	zi_copy_out(copy, entry->name, sizeof copy);
	copy[ZIPC_NAME_MAX] = '\0';
	return strcmp(copy, name) == 0;
}

/*
 * Looks at every entry that has this name, or none. Returns a free one (ZI_NO_ENTRY when all are
 * taken), -EEXIST through *out_error when the name is taken. On the way it settles what the dead
 * left there.
 */
static uint32_t look_for_place(zipc_segment *segment, const struct zi_spec *spec, int *out_error)
{
	uint64_t hash = hash_name(segment, spec->name);
	uint32_t place = ZI_NO_ENTRY, count = entry_count(segment);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t h = zi_load_relaxed(hash_at(segment, i));
		if (h != 0 && h != hash)
			continue;
		struct zi_entry *entry = zi_directory_entry(segment, i);
		/* ENTRY-R2 acquire: whoever freed it is done. Pairs with ENTRY-W2. */
		uint64_t word = zi_load_acquire(&entry->state);
		if (settle_entry(segment, i, word) == 1)
			word = zi_load_acquire(&entry->state);
		enum zi_entry_state state = zi_entry_state(word);
		if (state == ZI_ENTRY_FREE && place == ZI_NO_ENTRY)
			place = i;
		bool taken = state == ZI_ENTRY_PUBLISHED || state == ZI_ENTRY_CLAIMED;
		if (taken && has_name(entry, spec->name)) {
			*out_error =
				zi_fail(-EEXIST, "%s '%s' %s", zi_type_name(spec->type), spec->name,
					state == ZI_ENTRY_PUBLISHED
						? "exists already"
						: "is just being created by another process");
			return ZI_NO_ENTRY;
		}
	}
	return place;
}

/* Under the guard. CRASH: CLAIMED(dead) with or without the name; undone by whoever looks. */
static int claim_entry(zipc_segment *segment, const struct zi_spec *spec, struct zi_view *view)
{
	int r = 0;
	uint32_t index = look_for_place(segment, spec, &r);
	if (index == ZI_NO_ENTRY && r == 0) { /* first what the dead left under other names */
		r = zi_directory_resolve(segment);
		if (r == 0)
			r = add_block(segment);
		if (r >= 0) {
			r = 0;
			index = look_for_place(segment, spec, &r);
		}
	}
	if (index == ZI_NO_ENTRY)
		return r < 0 ? r : zi_fail(-EBADMSG, "segment: the directory is damaged");
	struct zi_entry *entry = zi_directory_entry(segment, index);
	uint64_t word = zi_load_acquire(&entry->state);
	uint32_t generation = zi_entry_generation(word) + 1;
	if ((generation & ZI_TAG_GENERATION_MASK) == 0)
		generation++;
	if (!zi_cas_acq_rel(&entry->state, &word,
			    zi_entry_word(generation, zi_peer_self(segment), ZI_ENTRY_CLAIMED)))
		return zi_fail(-EBADMSG, "segment: directory entry %u changed under its lock",
			       index);
	*view = (struct zi_view){.index = index,
				 .generation = generation,
				 .size = spec->size,
				 .type = spec->type,
				 .flags = spec->flags,
				 .element_size = spec->element_size,
				 .capacity = spec->capacity,
				 .alignment = spec->alignment,
				 .creator_pid = (uint32_t)getpid(),
				 .created_ns = zi_wall_ns()};
	strcpy(view->name, spec->name);
	strcpy(view->schema, spec->schema != NULL ? spec->schema : "");
	return 0;
}

/* Fills an entry that is CLAIMED by us, with relaxed words: a reader may still copy the old one. */
static void write_entry(zipc_segment *segment, const struct zi_view *view)
{
	struct zi_entry *entry = zi_directory_entry(segment, view->index);
	struct zi_entry fresh = {
		.type = view->type,
		.flags = view->flags,
		.offset = view->offset,
		.size = view->size,
		.element_size = view->element_size,
		.capacity = view->capacity,
		.alignment = view->alignment,
		.creator_pid = view->creator_pid,
		.created_ns = view->created_ns,
	};
	memcpy(fresh.name, view->name, sizeof fresh.name);
	memcpy(fresh.schema, view->schema, sizeof fresh.schema);
	size_t from = offsetof(struct zi_entry, type);
	zi_copy_in((uint8_t *)entry + from, (uint8_t *)&fresh + from, sizeof fresh - from);
	zi_store_relaxed(hash_at(segment, view->index), hash_name(segment, view->name));
}

int zi_directory_claim(zipc_segment *segment, const struct zi_spec *spec, struct zi_view *view)
{
	int r = zi_guard_lock(segment, &zi_header(segment)->directory_lock);
	if (r < 0)
		return r;
	r = claim_entry(segment, spec, view);
	if (r == 0)
		write_entry(segment, view);
	zi_guard_unlock(segment, &zi_header(segment)->directory_lock);
	return r;
}

/* ---- removing ------------------------------------------------------------------------------- */

static int remove_locked(zipc_segment *segment, const char *name, uint32_t type)
{
	struct zi_view view;
	uint32_t index = zi_directory_find(segment, name, ZI_ENTRY_PUBLISHED, &view);
	if (index == ZI_NO_ENTRY)
		return zi_fail(-ENOENT, "%s '%s' does not exist", zi_type_name(type), name);
	if (type != 0 && view.type != type)
		return zi_fail(-EPROTOTYPE, "'%s' is of type %s, not %s", name,
			       zi_type_name(view.type), zi_type_name(type));
	struct zi_entry *entry = zi_directory_entry(segment, index);
	uint64_t removed = zi_entry_word(view.generation, 0, ZI_ENTRY_REMOVED);
	/* HANDLE-W2 seq_cst: before the bits are looked at. Pairs with HANDLE-R1.
	 * CRASH: REMOVED; whoever looks for a free entry, or gc, gives its memory back. */
	zi_store_seq_cst(&entry->state, removed);
	zi_store_relaxed(hash_at(segment, index), 0u);
	settle_entry(segment, index, removed);
	return 0;
}

int zi_directory_remove(zipc_segment *segment, const char *name, uint32_t type)
{
	int r = zi_name_check(name, zi_type_name(type));
	if (r == 0)
		r = zi_guard_lock(segment, &zi_header(segment)->directory_lock);
	if (r < 0)
		return r;
	r = remove_locked(segment, name, type);
	zi_guard_unlock(segment, &zi_header(segment)->directory_lock);
	return r;
}

void zi_directory_drop(zipc_segment *segment, const struct zi_view *view)
{
	uint64_t *lock = &zi_header(segment)->directory_lock;
	struct zi_entry *entry = zi_directory_entry(segment, view->index);
	/* seq_cst: after our bit was cleared; the remover looks at bits after it stored REMOVED */
	uint64_t removed = zi_entry_word(view->generation, 0, ZI_ENTRY_REMOVED);
	if (zi_load_seq_cst(&entry->state) != removed || zi_guard_lock(segment, lock) < 0)
		return;
	settle_entry(segment, view->index, zi_load_acquire(&entry->state));
	zi_guard_unlock(segment, lock);
}

int zi_directory_settle(zipc_segment *segment, const char *name)
{
	struct zi_view view;
	int64_t end = zi_deadline(SETTLE_NS);
	uint32_t index;
	while ((index = zi_directory_find(segment, name, ZI_ENTRY_CLAIMED, &view)) != ZI_NO_ENTRY) {
		struct zi_entry *entry = zi_directory_entry(segment, index);
		uint64_t word = zi_load_acquire(&entry->state);
		uint32_t owner = zi_entry_owner(word);
		int dead = zi_entry_state(word) != ZI_ENTRY_CLAIMED || zi_peer_dead(segment, owner);
		if (dead != 0)
			return dead < 0 ? dead : 0;
		if (zi_load_relaxed(&segment->interrupted) != 0)
			return -ECANCELED;
		if (zi_now_ns() >= end)
			return zi_fail(-ETIMEDOUT,
				       "'%s' has been claimed but not built for 10 s by "
				       "process %u; is it stopped?",
				       name, zi_peer_pid(segment, owner));
		zi_futex_wait((const uint32_t *)(const void *)&entry->state, (uint32_t)word,
			      SETTLE_SLICE);
	}
	return 0;
}

/* ---- care and looking ------------------------------------------------------------------------ */

bool zi_directory_owns(zipc_segment *segment, uint32_t index, uint32_t generation)
{
	if (generation == 0) { /* a block of the directory itself */
		uint32_t first, k = block_of(index, &first);
		return block_at(segment, k) != NULL;
	}
	const struct zi_entry *entry =
		index < entry_count(segment) ? zi_directory_entry(segment, index) : NULL;
	if (entry == NULL)
		return false;
	uint64_t word = zi_load_acquire(&entry->state);
	return zi_entry_state(word) != ZI_ENTRY_FREE &&
	       (zi_entry_generation(word) & ZI_TAG_GENERATION_MASK) == generation;
}

void zi_directory_clear_handles(zipc_segment *segment, uint32_t slot)
{
	uint32_t count = entry_count(segment);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t *word = &zi_directory_entry(segment, i)->handles[slot / 64];
		uint64_t bit = UINT64_C(1) << slot % 64;
		/* relaxed: set by a dead owner of this slot, seen through its lock; else not set */
		if ((zi_load_relaxed(word) & bit) != 0)
			zi_and_seq_cst(word, ~bit);
	}
}

int zi_directory_resolve(zipc_segment *segment)
{
	int settled = 0;
	uint32_t count = entry_count(segment);
	for (uint32_t i = 0; i < count; i++) {
		int r = settle_entry(segment, i,
				     zi_load_acquire(&zi_directory_entry(segment, i)->state));
		if (r < 0)
			return r;
		settled += r;
	}
	return settled;
}

int zi_directory_walk(zipc_segment *segment, enum zi_entry_state state,
		      int (*fn)(zipc_segment *segment, const struct zi_view *view, void *arg),
		      void *arg)
{
	uint32_t count = entry_count(segment);
	for (uint32_t i = 0; i < count; i++) {
		struct zi_view view;
		if (!copy_entry(segment, i, state, &view))
			continue;
		view.memory = zi_directory_memory(segment, &view);
		int r = fn(segment, &view, arg);
		if (r != 0)
			return r;
	}
	return 0;
}

uint32_t zi_directory_handles(zipc_segment *segment, uint32_t index)
{
	const struct zi_entry *entry = zi_directory_entry(segment, index);
	uint32_t n = 0;
	for (uint32_t slot = 0; slot < segment->max_peers; slot++) {
		uint64_t bits = zi_load_relaxed(&entry->handles[slot / 64]);
		if ((bits >> slot % 64 & 1) != 0 && zi_peer_slot_alive(segment, slot))
			n++;
	}
	return n;
}

static int verify_entry(zipc_segment *segment, const struct zi_view *view, void *arg)
{
	struct zi_report *report = arg;
	struct zi_view other;
	size_t n = strnlen(view->name, ZIPC_NAME_MAX);
	if (n == 0 || !zi_text_valid(view->name, n))
		zi_report_add(report, "directory: entry %u has no proper name", view->index);
	else if (zi_directory_find(segment, view->name, ZI_ENTRY_PUBLISHED, &other) != view->index)
		zi_report_add(report, "directory: '%s' is not found, or found twice", view->name);
	if (view->memory == NULL)
		zi_report_add(report, "directory: '%s' lies outside the heap", view->name);
	else if (zi_heap_retag(segment, view->offset, zi_tag_entry(view->index, view->generation),
			       zi_tag_entry(view->index, view->generation)) < 0)
		zi_report_add(report, "directory: the memory of '%s' belongs to something else",
			      view->name);
	const struct zi_type *type = zi_type_find(view->type);
	if (type != NULL && view->memory != NULL)
		type->verify(segment, view, report);
	return 0;
}

void zi_directory_verify(zipc_segment *segment, struct zi_report *report)
{
	for (uint32_t k = 1; k < ZI_DIRECTORY_BLOCKS; k++)
		if (block_at(segment, k) == NULL &&
		    zi_load_relaxed(&zi_header(segment)->directory_blocks[k]) != 0)
			zi_report_add(report, "directory: block %u lies outside the heap", k);
	zi_directory_walk(segment, ZI_ENTRY_PUBLISHED, verify_entry, report);
}
