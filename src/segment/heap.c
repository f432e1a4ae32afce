/* SPDX-License-Identifier: MIT */
/*
 * Crash windows. Every change is one store of a word:
 *   - a run is taken body by body and becomes a block when its first word turns into RUN; bodies
 *     without a RUN in front are garbage;
 *   - a slab's words are zeroed in the ledger before the chunk's word points to them;
 *   - a slab or ledger that is empty is freed by one store; a ledger's "part in use" is set before
 * a slab uses the part and cleared after, a slab's "full" is cleared after a block is free: a death
 *     in between leaves them set for nothing, until the next sweep counts anew;
 *   - growing reserves pages first and stores the size last.
 * So whoever gets the guard next, after whatever death, finds a valid heap.
 */
#include "heap.h"

#include "backing.h"
#include "directory.h"
#include "guard.h"
#include "peers.h"

#include "../base/checked.h"
#include "../base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Block sizes of the slab classes: multiples of 64, 64 KiB / n. */
static const uint32_t class_size[] = {
	128,  192,  256,  384,	512,   768,   1024,  1536,  2048,
	3072, 4096, 6144, 8192, 10880, 16384, 21824, 32768,
};
#define CLASSES (sizeof class_size / sizeof class_size[0])

#define SLAB_USED UINT64_C(1)
#define NO_CHUNK  UINT32_MAX

/* ---- words ---------------------------------------------------------------------------------- */

static uint64_t *chunk_words(zipc_segment *segment)
{
	return (uint64_t *)(void *)(segment->base + segment->chunks_offset);
}

static uint32_t chunk_count(zipc_segment *segment)
{
	return (uint32_t)(zi_segment_size(segment) >> ZI_CHUNK_SHIFT);
}

/* relaxed: words change under the guard; unlocked readers only count */
static uint64_t chunk_get(zipc_segment *segment, uint32_t chunk)
{
	return zi_load_relaxed(&chunk_words(segment)[chunk]);
}

static void chunk_set(zipc_segment *segment, uint32_t chunk, uint64_t word)
{
	zi_store_relaxed(&chunk_words(segment)[chunk], word);
}

static bool chunk_is(zipc_segment *segment, uint32_t chunk, enum zi_chunk_state state)
{
	return zi_chunk_state(chunk_get(segment, chunk)) == state;
}

static uint32_t chunk_of(uint64_t offset)
{
	return (uint32_t)(offset >> ZI_CHUNK_SHIFT);
}

static uint32_t heap_start(zipc_segment *segment)
{
	return chunk_of(segment->first_chunk);
}

static uint32_t slab_blocks(uint32_t class)
{
	return (uint32_t)(ZI_CHUNK / class_size[class]);
}

static uint32_t class_of(uint64_t slab)
{
	return zi_chunk_argument(slab) & (ZI_SLAB_FULL - 1);
}

/* A slab's word names the place of its block words: ledger chunk << 4 | part. NULL = damaged. */
static uint64_t *slab_words(zipc_segment *segment, uint64_t slab)
{
	uint64_t place = zi_chunk_tag(slab);
	uint32_t ledger = (uint32_t)(place >> 4), part = place & (ZI_LEDGER_SLABS - 1);
	if (zi_chunk_state(slab) != ZI_CHUNK_SLAB || place >> 4 >= chunk_count(segment) ||
	    class_of(slab) >= CLASSES || !chunk_is(segment, ledger, ZI_CHUNK_LEDGER))
		return NULL;
	return (uint64_t *)(void *)(segment->base + ((uint64_t)ledger << ZI_CHUNK_SHIFT)) +
	       (size_t)part * ZI_SLAB_WORDS;
}

static uint32_t class_for(uint64_t size, uint64_t alignment)
{
	for (uint32_t c = 0; c < CLASSES; c++)
		if (class_size[c] >= size &&
		    (alignment <= ZI_LINE || class_size[c] % alignment == 0))
			return c;
	return CLASSES;
}

/* ---- growing -------------------------------------------------------------------------------- */

static uint64_t table_end(zipc_segment *segment, uint64_t size)
{
	uint64_t bytes = (size >> ZI_CHUNK_SHIFT) * sizeof(uint64_t);
	return zi_align_up(segment->chunks_offset + bytes, ZI_PAGE);
}

uint64_t zi_heap_reserved(zipc_segment *segment, uint64_t size)
{
	return table_end(segment, size) + (size - segment->first_chunk);
}

static int reserve(zipc_segment *segment, uint64_t old, uint64_t size)
{
	if (!zi_backing_is(segment->query_fd, segment->device, segment->inode))
		return -EBADF;
	int r = zi_backing_reserve(segment->query_fd, table_end(segment, old) - ZI_PAGE,
				   table_end(segment, size));
	return r < 0 ? r : zi_backing_reserve(segment->query_fd, old, size);
}

/* Makes room for `chunks` more, if the maximum and the file system allow. Under the guard. */
static int grow(zipc_segment *segment, uint32_t chunks)
{
	uint64_t old = zi_segment_size(segment), most = segment->max_size & ~(ZI_CHUNK - 1);
	uint64_t need = (uint64_t)chunks << ZI_CHUNK_SHIFT;
	if (old > most || need > most - old)
		return zi_fail(-ENOSPC, "segment: its maximum size of %llu bytes is reached",
			       (unsigned long long)segment->max_size);
	uint64_t step = need > ZI_GROW_STEP ? need : ZI_GROW_STEP;
	uint64_t size = old + (step < most - old ? step : most - old);
	int r = reserve(segment, old, size);
	if (r == -ENOSPC && size > old + need) { /* perhaps just what is needed still fits */
		size = old + need;
		r = reserve(segment, old, size);
	}
	if (r < 0)
		return zi_fail_errno(r, "segment: cannot grow from %llu to %llu bytes",
				     (unsigned long long)old, (unsigned long long)size);
	/* SIZE-W1 release: the pages are reserved. Pairs with SIZE-R1.
	 * CRASH: before this store the file is merely longer than it says. */
	zi_store_release(&zi_header(segment)->size, size);
	return 0;
}

/* ---- runs of chunks ------------------------------------------------------------------------- */

/* First free run of n chunks from `from` on; NO_CHUNK, and *out_tail = free chunks at the end. */
static uint32_t find_run(zipc_segment *segment, uint32_t from, uint32_t n, uint32_t *out_tail)
{
	uint32_t count = chunk_count(segment), length = 0;
	for (uint32_t c = from; c < count; c++) {
		length = chunk_is(segment, c, ZI_CHUNK_FREE) ? length + 1 : 0;
		if (length == n)
			return c - n + 1;
	}
	*out_tail = length;
	return NO_CHUNK;
}

static uint32_t search_start(zipc_segment *segment)
{
	/* relaxed: a hint; whatever it says, the words decide */
	uint32_t hint = zi_load_relaxed(&zi_header(segment)->chunk_hint);
	uint32_t start = heap_start(segment);
	return hint >= start && hint < chunk_count(segment) ? hint : start;
}

/* A free run, growing the segment when there is none: 0 and *out_chunk, or -ENOSPC, -EBADF. */
static int find_or_grow(zipc_segment *segment, uint32_t n, uint32_t *out_chunk)
{
	uint32_t tail = 0, chunk = find_run(segment, search_start(segment), n, &tail);
	if (chunk == NO_CHUNK)
		chunk = find_run(segment, heap_start(segment), n, &tail);
	if (chunk == NO_CHUNK) {
		int r = grow(segment, n - tail);
		if (r < 0)
			return r;
		chunk = find_run(segment, heap_start(segment), n, &tail);
	}
	if (chunk == NO_CHUNK)
		return zi_fail(-EBADMSG, "segment: its chunk table is damaged");
	*out_chunk = chunk;
	return 0;
}

static void lower_hint(zipc_segment *segment, uint32_t chunk)
{
	uint32_t *hint = &zi_header(segment)->chunk_hint;
	if (chunk < zi_load_relaxed(hint))
		zi_store_relaxed(hint, chunk);
}

static int take_run(zipc_segment *segment, uint32_t n, uint64_t tag, uint32_t *out_chunk)
{
	int r = find_or_grow(segment, n, out_chunk);
	if (r < 0)
		return r;
	uint32_t first = *out_chunk;
	for (uint32_t i = 0; i < n;
	     i++) /* CRASH: bodies without a RUN in front, which a sweep frees */
		chunk_set(segment, first + i, zi_chunk_word(ZI_CHUNK_BODY, 0, 0));
	chunk_set(segment, first, zi_chunk_word(ZI_CHUNK_RUN, n, tag));
	if (search_start(segment) == first)
		zi_store_relaxed(&zi_header(segment)->chunk_hint, first + n);
	return 0;
}

static void free_run(zipc_segment *segment, uint32_t first)
{
	uint32_t n = zi_chunk_argument(chunk_get(segment, first)), count = chunk_count(segment);
	/* CRASH: from here there are only bodies, which the next sweep frees */
	chunk_set(segment, first, zi_chunk_word(ZI_CHUNK_BODY, 0, 0));
	for (uint32_t i = 0; i < n && first + i < count; i++)
		if (chunk_is(segment, first + i, ZI_CHUNK_BODY))
			chunk_set(segment, first + i, 0);
	lower_hint(segment, first);
}

/* ---- slabs ---------------------------------------------------------------------------------- */

static void set_parts(zipc_segment *segment, uint32_t ledger, uint32_t parts)
{
	chunk_set(segment, ledger, zi_chunk_word(ZI_CHUNK_LEDGER, parts, 0));
}

/* A part of a ledger that no slab uses: its place in *out; takes a new ledger if need be. */
static int take_part(zipc_segment *segment, uint64_t *out_place)
{
	uint32_t all = (1u << ZI_LEDGER_SLABS) - 1, count = chunk_count(segment);
	uint32_t c = heap_start(segment), parts = all;
	for (; c < count; c++) {
		uint64_t word = chunk_get(segment, c);
		parts = zi_chunk_state(word) == ZI_CHUNK_LEDGER ? zi_chunk_argument(word) & all
								: all;
		if (parts != all)
			break;
	}
	if (c >= count) {
		int r = find_or_grow(segment, 1, &c);
		if (r < 0)
			return r;
		parts = 0;
	}
	uint32_t part = (uint32_t)__builtin_ctz(~parts);
	set_parts(segment, c, parts | 1u << part);
	*out_place = (uint64_t)c << 4 | part;
	return 0;
}

static void free_part(zipc_segment *segment, uint64_t place)
{
	uint32_t ledger = (uint32_t)(place >> 4);
	if (place >> 4 >= chunk_count(segment) || !chunk_is(segment, ledger, ZI_CHUNK_LEDGER))
		return;
	uint32_t parts = zi_chunk_argument(chunk_get(segment, ledger)) &
			 ~(1u << (place & (ZI_LEDGER_SLABS - 1)));
	if (parts != 0) {
		set_parts(segment, ledger, parts);
		return;
	}
	chunk_set(segment, ledger, 0);
	lower_hint(segment, ledger);
}

static int make_slab(zipc_segment *segment, uint32_t class, uint32_t *out_chunk)
{
	uint64_t place;
	int r = take_part(segment, &place);
	if (r < 0)
		return r;
	r = find_or_grow(segment, 1, out_chunk);
	uint64_t word = zi_chunk_word(ZI_CHUNK_SLAB, class, place);
	uint64_t *words = slab_words(segment, word);
	if (r == 0 && words == NULL)
		r = zi_fail(-EBADMSG, "segment: its chunk table is damaged");
	if (r < 0) {
		free_part(segment, place);
		return r;
	}
	for (uint32_t i = 0; i < ZI_SLAB_WORDS; i++)
		zi_store_relaxed(&words[i], 0u);
	chunk_set(segment, *out_chunk, word);
	return 0;
}

/* Takes a block of this slab: true and *out_offset, or false when it is full or of another class.
 */
static bool take_from(zipc_segment *segment, uint32_t chunk, uint32_t class, uint64_t tag,
		      uint64_t *out_offset)
{
	uint64_t slab = chunk_get(segment, chunk);
	if (zi_chunk_state(slab) != ZI_CHUNK_SLAB || zi_chunk_argument(slab) != class)
		return false;
	uint64_t *words = slab_words(segment, slab);
	for (uint32_t i = 0; words != NULL && i < slab_blocks(class); i++) {
		if (zi_load_relaxed(&words[i]) != 0)
			continue;
		zi_store_relaxed(&words[i], tag << 1 | SLAB_USED); /* CRASH: found by its tag */
		*out_offset = ((uint64_t)chunk << ZI_CHUNK_SHIFT) + (uint64_t)i * class_size[class];
		return true;
	}
	chunk_set(segment, chunk,
		  zi_chunk_word(ZI_CHUNK_SLAB, class | ZI_SLAB_FULL, zi_chunk_tag(slab)));
	return false;
}

static int take_block(zipc_segment *segment, uint32_t class, uint64_t tag, uint64_t *out_offset)
{
	/* relaxed: this process's hint where the last block of the class was; under the guard */
	uint32_t hint = zi_load_relaxed(&segment->slab_hint[class]);
	if (hint < chunk_count(segment) && take_from(segment, hint, class, tag, out_offset))
		return 0;
	uint32_t chunk = heap_start(segment), count = chunk_count(segment);
	while (chunk < count && !take_from(segment, chunk, class, tag, out_offset))
		chunk++;
	int r = 0;
	if (chunk >= count) {
		r = make_slab(segment, class, &chunk);
		if (r == 0 && !take_from(segment, chunk, class, tag, out_offset))
			r = zi_fail(-EBADMSG, "segment: its chunk table is damaged");
	}
	zi_store_relaxed(&segment->slab_hint[class], chunk);
	return r;
}

/* A block of this slab has become free: the slab is not full any more, and perhaps empty. */
static void slab_changed(zipc_segment *segment, uint32_t chunk, uint64_t slab)
{
	const uint64_t *words = slab_words(segment, slab);
	uint32_t class = class_of(slab), i = 0;
	if (words == NULL)
		return;
	while (i < slab_blocks(class) && zi_load_relaxed(&words[i]) == 0)
		i++;
	if (i < slab_blocks(class)) {
		chunk_set(segment, chunk, zi_chunk_word(ZI_CHUNK_SLAB, class, zi_chunk_tag(slab)));
		return;
	}
	chunk_set(segment, chunk, 0);
	lower_hint(segment, chunk);
	free_part(segment, zi_chunk_tag(slab));
}

/* ---- blocks of both kinds ------------------------------------------------------------------- */

/* The word that says whom the block at this offset belongs to; NULL = no block begins there. */
static uint64_t *block_word(zipc_segment *segment, uint64_t offset)
{
	uint32_t chunk = chunk_of(offset);
	if (offset < segment->first_chunk || chunk >= chunk_count(segment))
		return NULL;
	uint64_t word = chunk_get(segment, chunk), inside = offset & (ZI_CHUNK - 1);
	if (zi_chunk_state(word) == ZI_CHUNK_RUN)
		return inside == 0 ? &chunk_words(segment)[chunk] : NULL;
	uint64_t *words = zi_chunk_state(word) == ZI_CHUNK_SLAB ? slab_words(segment, word) : NULL;
	if (words == NULL)
		return NULL;
	uint32_t size = class_size[class_of(word)];
	bool begins = inside % size == 0 && inside / size < ZI_CHUNK / size;
	return begins && zi_load_relaxed(&words[inside / size]) != 0 ? &words[inside / size] : NULL;
}

static bool is_chunk_word(zipc_segment *segment, const uint64_t *word)
{
	return word >= chunk_words(segment) && word < chunk_words(segment) + chunk_count(segment);
}

static uint64_t tag_of(zipc_segment *segment, const uint64_t *word)
{
	uint64_t w = zi_load_relaxed(word);
	return is_chunk_word(segment, word) ? zi_chunk_tag(w) : w >> 1;
}

static void set_tag(zipc_segment *segment, uint64_t *word, uint64_t tag)
{
	uint64_t w = zi_load_relaxed(word);
	uint64_t changed = is_chunk_word(segment, word)
				   ? zi_chunk_word(ZI_CHUNK_RUN, zi_chunk_argument(w), tag)
				   : (tag << 1 | SLAB_USED);
	zi_store_relaxed(word, changed);
}

static void free_at(zipc_segment *segment, uint64_t *word, uint64_t offset)
{
	if (is_chunk_word(segment, word)) {
		free_run(segment, chunk_of(offset));
		return;
	}
	zi_store_relaxed(word, 0u);
	slab_changed(segment, chunk_of(offset), chunk_get(segment, chunk_of(offset)));
}

static int take(zipc_segment *segment, uint64_t size, uint64_t alignment, uint64_t tag,
		uint64_t *out_offset)
{
	int r = zi_guard_lock(segment, &zi_header(segment)->heap_lock);
	if (r < 0)
		return r;
	uint32_t class = class_for(size, alignment), chunk;
	if (class < CLASSES) {
		r = take_block(segment, class, tag, out_offset);
	} else {
		uint32_t n = (uint32_t)(zi_align_up(size, ZI_CHUNK) >> ZI_CHUNK_SHIFT);
		r = take_run(segment, n, tag, &chunk);
		if (r == 0)
			*out_offset = (uint64_t)chunk << ZI_CHUNK_SHIFT;
	}
	zi_guard_unlock(segment, &zi_header(segment)->heap_lock);
	return r;
}

int zi_heap_alloc(zipc_segment *segment, uint64_t size, uint64_t alignment, uint64_t tag,
		  uint64_t *out_offset)
{
	if (size > segment->max_size - segment->first_chunk)
		return zi_fail(-ENOSPC,
			       "segment: %llu bytes are more than its maximum size of %llu",
			       (unsigned long long)size, (unsigned long long)segment->max_size);
	int r = take(segment, size, alignment, tag, out_offset);
	if (r < 0)
		return r;
	memset(segment->base + *out_offset, 0, size);
	return 0;
}

int zi_heap_free(zipc_segment *segment, uint64_t offset, uint64_t tag)
{
	int r = zi_guard_lock(segment, &zi_header(segment)->heap_lock);
	if (r < 0)
		return r;
	uint64_t *word = block_word(segment, offset);
	if (word != NULL && tag_of(segment, word) == tag)
		free_at(segment, word, offset);
	else
		r = -ESTALE;
	zi_guard_unlock(segment, &zi_header(segment)->heap_lock);
	return r;
}

int zi_heap_retag(zipc_segment *segment, uint64_t offset, uint64_t from, uint64_t to)
{
	int r = zi_guard_lock(segment, &zi_header(segment)->heap_lock);
	if (r < 0)
		return r;
	uint64_t *word = block_word(segment, offset);
	uint64_t tag = word == NULL ? 0 : tag_of(segment, word);
	if (word == NULL || (tag != from && tag != to))
		r = -ESTALE;
	else
		set_tag(segment, word, to);
	zi_guard_unlock(segment, &zi_header(segment)->heap_lock);
	return r;
}

/* ---- sweeping ------------------------------------------------------------------------------- */

typedef bool (*tag_test)(zipc_segment *segment, uint64_t tag, uint64_t wanted);

static int sweep_slab(zipc_segment *segment, uint32_t chunk, tag_test test, uint64_t wanted)
{
	uint64_t word = chunk_get(segment, chunk);
	uint64_t *words = slab_words(segment, word);
	int freed = 0;
	for (uint32_t i = 0; words != NULL && i < slab_blocks(class_of(word)); i++) {
		uint64_t w = zi_load_relaxed(&words[i]);
		if (w != 0 && test(segment, w >> 1, wanted)) {
			zi_store_relaxed(&words[i], 0u);
			freed++;
		}
	}
	slab_changed(segment, chunk, word);
	return freed;
}

/* Corrects the ledgers' "parts in use", which a death may have left set for nothing. */
static void recount_ledgers(zipc_segment *segment)
{
	uint32_t count = chunk_count(segment);
	uint16_t *parts = calloc(count, sizeof *parts);
	if (parts == NULL)
		return; /* they stay as they are */
	for (uint32_t c = heap_start(segment); c < count; c++) {
		uint64_t word = chunk_get(segment, c), place = zi_chunk_tag(word);
		if (zi_chunk_state(word) == ZI_CHUNK_SLAB && place >> 4 < count)
			parts[place >> 4] |= (uint16_t)(1u << (place & (ZI_LEDGER_SLABS - 1)));
	}
	for (uint32_t c = heap_start(segment); c < count; c++) {
		if (!chunk_is(segment, c, ZI_CHUNK_LEDGER))
			continue;
		if (parts[c] != 0)
			set_parts(segment, c, parts[c]);
		else
			chunk_set(segment, c, 0);
	}
	free(parts);
}

/*
 * Frees all blocks whose tag passes the test, and bodies that no block reaches. Under the guard.
 * `chunk` walks block by block: what lies inside a block is skipped with it.
 */
static int sweep(zipc_segment *segment, tag_test test, uint64_t wanted)
{
	int freed = 0;
	uint32_t count = chunk_count(segment);
	for (uint32_t c = heap_start(segment), next; c < count; c = next) {
		uint64_t word = chunk_get(segment, c);
		next = c + 1;
		switch (zi_chunk_state(word)) {
		case ZI_CHUNK_RUN:
			if (zi_chunk_argument(word) > 1 && zi_chunk_argument(word) <= count - c)
				next = c + zi_chunk_argument(word);
			if (test(segment, zi_chunk_tag(word), wanted)) {
				free_run(segment, c);
				freed++;
			}
			break;
		case ZI_CHUNK_BODY: /* no block in front: its taker or freer died */
			chunk_set(segment, c, 0);
			lower_hint(segment, c);
			freed++;
			break;
		case ZI_CHUNK_SLAB:
			freed += sweep_slab(segment, c, test, wanted);
			break;
		default:
			break;
		}
	}
	recount_ledgers(segment);
	return freed;
}

static int sweep_locked(zipc_segment *segment, tag_test test, uint64_t wanted)
{
	int r = zi_guard_lock(segment, &zi_header(segment)->heap_lock);
	if (r < 0)
		return r;
	r = sweep(segment, test, wanted);
	zi_guard_unlock(segment, &zi_header(segment)->heap_lock);
	return r;
}

static bool is_tag(zipc_segment *segment, uint64_t tag, uint64_t wanted)
{
	(void)segment;
	return tag == wanted;
}

int zi_heap_free_tag(zipc_segment *segment, uint64_t tag)
{
	return sweep_locked(segment, is_tag, tag);
}

static bool is_orphan(zipc_segment *segment, uint64_t tag, uint64_t unused)
{
	(void)unused;
	switch (tag >> 38) {
	case ZI_TAG_PEER:
		return zi_peer_dead(segment, (uint32_t)tag & ZI_ID_MASK) == 1;
	case ZI_TAG_ENTRY:
		return !zi_directory_owns(segment, (uint32_t)(tag >> 18) & 0xfffff,
					  (uint32_t)tag & ZI_TAG_GENERATION_MASK);
	default:
		return false;
	}
}

int zi_heap_resolve(zipc_segment *segment)
{
	return sweep_locked(segment, is_orphan, 0);
}

/* ---- looking -------------------------------------------------------------------------------- */

static uint64_t slab_used(zipc_segment *segment, uint64_t word)
{
	const uint64_t *words = slab_words(segment, word);
	if (words == NULL)
		return 0;
	uint32_t used = 0;
	for (uint32_t i = 0; i < slab_blocks(class_of(word)); i++)
		used += zi_load_relaxed(&words[i]) != 0;
	return (uint64_t)used * class_size[class_of(word)];
}

uint64_t zi_heap_used(zipc_segment *segment)
{
	uint64_t used = 0;
	for (uint32_t c = heap_start(segment); c < chunk_count(segment); c++) {
		uint64_t word = chunk_get(segment, c);
		if (zi_chunk_state(word) == ZI_CHUNK_SLAB)
			used += slab_used(segment, word);
		else if (zi_chunk_state(word) != ZI_CHUNK_FREE)
			used += ZI_CHUNK;
	}
	return used;
}

static void verify_slab(zipc_segment *segment, uint32_t chunk, struct zi_report *report)
{
	uint64_t word = chunk_get(segment, chunk);
	const uint64_t *words = slab_words(segment, word);
	if (words == NULL)
		zi_report_add(report, "heap: chunk %u is a slab without a ledger", chunk);
}

static uint32_t verify_run(zipc_segment *segment, uint32_t chunk, struct zi_report *report)
{
	uint64_t word = chunk_get(segment, chunk);
	uint32_t n = zi_chunk_argument(word), count = chunk_count(segment);
	if (n == 0 || n > count - chunk) {
		zi_report_add(report, "heap: chunk %u claims a run of %u chunks", chunk, n);
		return chunk + 1;
	}
	for (uint32_t i = 1; i < n; i++)
		if (!chunk_is(segment, chunk + i, ZI_CHUNK_BODY))
			zi_report_add(report, "heap: chunk %u inside the run at %u is not its own",
				      chunk + i, chunk);
	return chunk + n;
}

static void verify_table(zipc_segment *segment, struct zi_report *report)
{
	for (uint32_t c = 0; c < heap_start(segment); c++)
		if (!chunk_is(segment, c, ZI_CHUNK_TABLE))
			zi_report_add(report, "heap: chunk %u holds tables but is not marked so",
				      c);
}

void zi_heap_verify(zipc_segment *segment, struct zi_report *report)
{
	verify_table(segment, report);
	for (uint32_t c = heap_start(segment), next; c < chunk_count(segment); c = next) {
		next = c + 1;
		uint64_t word = chunk_get(segment, c);
		switch (zi_chunk_state(word)) {
		case ZI_CHUNK_FREE:
		case ZI_CHUNK_LEDGER:
			break;
		case ZI_CHUNK_RUN:
			next = verify_run(segment, c, report);
			break;
		case ZI_CHUNK_SLAB:
			verify_slab(segment, c, report);
			break;
		case ZI_CHUNK_BODY: /* what a death left; the next sweep frees it */
			break;
		default:
			zi_report_add(report, "heap: chunk %u has the unknown state %u", c,
				      (unsigned)zi_chunk_state(word));
		}
	}
}
