/* SPDX-License-Identifier: MIT */
/* Rwlock: lifecycle, care, numbers. Readers and writers have a file of their own. */
#include "rwlock.h"

#include "handle.h"

#include "../base/options.h"
#include "../wait/gate.h"

#include <errno.h>

#define DEFAULT_HOLDERS 64u

/* ---- care ----------------------------------------------------------------------------------- */

static uint64_t block_size(uint64_t max_holders)
{
	return sizeof(struct zi_rwlock) + max_holders * sizeof(struct zi_named);
}

static struct zi_rwlock *block_of(const struct zi_view *view)
{
	bool sound = view->capacity >= 1 && view->capacity <= ZIPC_RWLOCK_HOLDERS_MAX;
	return sound ? zi_sync_block(view, block_size(view->capacity)) : NULL;
}

static int resolve_writer(zipc_segment *segment, struct zi_rwlock *shared)
{
	/* relaxed: the CAS decides */
	uint64_t w = zi_load_relaxed(&shared->writer);
	int dead = zi_owner_id(w) == 0 ? 0 : zi_owner_dead(segment, w);
	if (dead <= 0 || !zi_cas_seq_cst(&shared->writer, &w, zi_writer_without_owner(w)))
		return dead < 0 ? dead : 0;
	return 1;
}

/* A name that only marks a word as somebody's first choice is taken away too, but not counted. */
static int resolve_reader(zipc_segment *segment, struct zi_named *reader)
{
	/* relaxed: the CAS decides */
	uint64_t w = zi_load_relaxed(&reader->word);
	int dead = w == 0 ? 0 : zi_owner_dead(segment, w);
	if (dead <= 0 || !zi_cas_acq_rel(&reader->word, &w, UINT64_C(0)))
		return dead < 0 ? dead : 0;
	return (w & ZI_READER_BUSY) != 0;
}

int zi_rwlock_resolve(zipc_segment *segment, const struct zi_view *view)
{
	struct zi_rwlock *shared = block_of(view);
	/* CRASH: each word for itself; the next one goes on */
	int n = shared == NULL ? 0 : resolve_writer(segment, shared);
	for (uint64_t i = 0; shared != NULL && i < view->capacity && n >= 0; i++) {
		int r = resolve_reader(segment, &shared->readers[i]);
		n = r < 0 ? r : n + r;
	}
	if (n > 0) {
		zi_rwlock_wake_all(segment, shared);
		zi_gate_wake_all(&shared->drain_gate);
	}
	return n;
}

void zi_rwlock_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report)
{
	const struct zi_rwlock *shared = block_of(view);
	const uint64_t flags = ZI_WRITER_ACTIVE | ZI_WRITER_SUSPECT | ZI_WRITER_LOST;
	(void)segment;
	if (shared == NULL) {
		zi_report_add(report, "rwlock '%s': its sizes do not fit its memory", view->name);
		return;
	}
	uint64_t w = zi_load_relaxed(&shared->writer);
	bool owned = zi_owner_id(w) != 0;
	if ((w & ~(ZI_OWNER_MASK | flags)) != 0 || owned != (zi_owner_thread(w) != 0) ||
	    (!owned && (w & ZI_WRITER_ACTIVE) != 0) ||
	    ((w & ZI_WRITER_LOST) != 0 && w != ZI_WRITER_LOST))
		zi_report_add(report, "rwlock '%s': its writer word %#llx cannot be", view->name,
			      (unsigned long long)w);
	uint32_t used = zi_load_relaxed(&shared->used);
	for (uint64_t i = 0; i < view->capacity; i++) {
		w = zi_load_relaxed(&shared->readers[i].word);
		if (w != 0 && (i >= used || zi_owner_id(w) == 0 || zi_owner_thread(w) == 0))
			zi_report_add(report, "rwlock '%s': its reader word %#llx cannot be",
				      view->name, (unsigned long long)w);
	}
}

/* The thread that ends is this one: nobody else changes its words but who lets it in. */
void zi_rwlock_thread_ended(zipc_segment *segment, const struct zi_view *view, uint32_t id,
			    uint32_t thread)
{
	struct zi_rwlock *shared = block_of(view);
	uint64_t owner = zi_owner_make(id, thread), w;
	bool had = false;
	if (shared == NULL)
		return;
	for (uint64_t i = 0; i < view->capacity; i++) {
		uint64_t *word = &shared->readers[i].word;
		w = zi_load_relaxed(word);
		while ((w & ZI_OWNER_MASK) == owner && !zi_cas_acq_rel(word, &w, UINT64_C(0)))
			;
		had = had || ((w & ZI_OWNER_MASK) == owner && (w & ZI_READER_BUSY) != 0);
	}
	w = zi_load_relaxed(&shared->writer);
	if ((w & ZI_OWNER_MASK) == owner) {
		/* RWLOCK-W3 release, as when a writer leaves */
		zi_store_release(&shared->writer, zi_writer_without_owner(w));
		had = true;
	}
	if (!had)
		return;
	zi_rwlock_wake_all(segment, shared);
	zi_gate_signal(segment, &shared->drain_gate);
}

/* A writer keeps out whoever comes; so does one that waits for readers to leave. */
static int name_writer(const struct zi_rwlock *shared, zi_holder_fn fn, void *arg)
{
	/* relaxed: for people */
	uint64_t w = zi_load_relaxed(&shared->writer);
	struct zi_holder holder = {
		.id = zi_owner_id(w),
		.thread = zi_owner_thread(w),
		.count = 1,
		.what = (w & ZI_WRITER_ACTIVE) != 0 ? "writes" : "wants to write",
		.gate = &shared->writers_gate,
	};
	int r = holder.id == 0 ? 0 : fn(&holder, arg);
	holder.gate = &shared->readers_gate;
	return holder.id == 0 || r != 0 ? r : fn(&holder, arg);
}

int zi_rwlock_holders(zipc_segment *segment, const struct zi_view *view, zi_holder_fn fn, void *arg)
{
	const struct zi_rwlock *shared = block_of(view);
	int r = shared == NULL ? 0 : name_writer(shared, fn, arg);
	(void)segment;
	for (uint64_t i = 0; shared != NULL && i < view->capacity && r == 0; i++) {
		uint64_t w = zi_load_relaxed(&shared->readers[i].word);
		struct zi_holder holder = {
			.id = zi_owner_id(w),
			.thread = zi_owner_thread(w),
			.count = (uint32_t)((w & ZI_READER_COUNT_MASK) >> ZI_OWNER_BITS),
			.what = "reads",
			.gate = &shared->drain_gate,
		};
		r = holder.id == 0 || holder.count == 0 ? 0 : fn(&holder, arg);
	}
	return r;
}

/* ---- lifecycle ------------------------------------------------------------------------------ */

static int bind(void *handle)
{
	zipc_rwlock *rwlock = handle;
	const struct zi_view *view = &rwlock->object.view;
	rwlock->shared = block_of(view);
	if (rwlock->shared == NULL)
		return zi_sync_too_small(view, "rwlock");
	rwlock->segment = rwlock->object.segment;
	rwlock->self = rwlock->segment->self;
	rwlock->max_holders = (uint32_t)view->capacity;
	return 0;
}

static const struct zi_sync_kind kind = {
	.what = "rwlock",
	.type = ZIPC_TYPE_RWLOCK,
	.handle_size = sizeof(zipc_rwlock),
	.bind = bind,
};

static int load_spec(const char *name, const zipc_rwlock_options *options, struct zi_spec *spec)
{
	zipc_rwlock_options o;
	int r = zi_options_load(&o, sizeof o, options, "rwlock options");
	if (r == 0)
		r = zi_sync_check_flags(&kind, name, o.flags);
	if (r == 0 && o.max_holders > ZIPC_RWLOCK_HOLDERS_MAX)
		r = zi_fail(-EINVAL, "rwlock '%s': max_holders is %u, at most %u",
			    name != NULL ? name : "", o.max_holders, ZIPC_RWLOCK_HOLDERS_MAX);
	uint32_t max_holders = o.max_holders != 0 ? o.max_holders : DEFAULT_HOLDERS;
	*spec = (struct zi_spec){
		.name = name, .capacity = max_holders, .size = block_size(max_holders)};
	return r;
}

ZI_SYNC_LIFECYCLE(rwlock)

/* ---- looking -------------------------------------------------------------------------------- */

int zipc_rwlock_get_info(zipc_rwlock *rwlock, zipc_rwlock_info *out_info)
{
	/* relaxed: for people */
	uint64_t w = zi_load_relaxed(&rwlock->shared->writer);
	uint32_t id = zi_owner_id(w);
	zipc_rwlock_info info = {
		.max_holders = rwlock->max_holders,
		.writer_id = id,
		.writer_pid = id == 0 ? 0 : zi_peer_pid(rwlock->segment, id),
		.writer_thread = zi_owner_thread(w),
		.writing = (w & ZI_WRITER_ACTIVE) != 0,
		.suspect = (w & (ZI_WRITER_SUSPECT | ZI_WRITER_LOST)) == ZI_WRITER_SUSPECT,
		.lost = (w & ZI_WRITER_LOST) != 0,
	};
	for (uint32_t i = 0; i < rwlock->max_holders; i++) {
		w = zi_load_relaxed(&rwlock->shared->readers[i].word);
		info.readers += (w & ZI_READER_COUNT_MASK) != 0;
		info.waiting_readers += (w & ZI_READER_WAITING) != 0;
	}
	return zi_result_store(out_info, &info, sizeof info, "rwlock info");
}
