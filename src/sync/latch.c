/* SPDX-License-Identifier: MIT */
/* Latch: a number that goes down to zero, and stays there. */
#include "latch.h"

#include "handle.h"
#include "latch_layout.h"

#include "../base/options.h"
#include "../wait/gate.h"

#include <zeroipc/latch.h>

#include <errno.h>

struct zipc_latch {
	struct zi_object object;

	/* constant after open */
	struct zi_latch *shared;
	zipc_segment *segment;
};

/* ---- care ----------------------------------------------------------------------------------- */

int zi_latch_resolve(zipc_segment *segment, const struct zi_view *view)
{
	(void)segment;
	(void)view;
	return 0;
}

void zi_latch_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report)
{
	const struct zi_latch *shared = zi_sync_block(view, sizeof *shared);
	(void)segment;
	if (shared == NULL)
		zi_report_add(report, "latch '%s': it does not fit its memory", view->name);
	else if (zi_load_relaxed(&shared->count) > view->capacity)
		zi_report_add(report, "latch '%s': %u are left of %llu", view->name,
			      zi_load_relaxed(&shared->count), (unsigned long long)view->capacity);
}

/* ---- lifecycle ------------------------------------------------------------------------------ */

static int bind(void *handle)
{
	zipc_latch *latch = handle;
	latch->shared = zi_sync_block(&latch->object.view, sizeof *latch->shared);
	latch->segment = latch->object.segment;
	return latch->shared == NULL ? zi_sync_too_small(&latch->object.view, "latch") : 0;
}

static void build(void *handle, uint64_t count)
{
	zipc_latch *latch = handle;
	zi_store_relaxed(&latch->shared->count, (uint32_t)count);
}

static const struct zi_sync_kind kind = {
	.what = "latch",
	.type = ZIPC_TYPE_LATCH,
	.handle_size = sizeof(zipc_latch),
	.bind = bind,
	.build = build,
};

static int load_spec(const char *name, const zipc_latch_options *options, struct zi_spec *spec)
{
	zipc_latch_options o;
	int r = zi_options_load(&o, sizeof o, options, "latch options");
	if (r == 0)
		r = zi_sync_check_flags(&kind, name, o.flags);
	*spec = (struct zi_spec){.name = name, .size = sizeof(struct zi_latch)};
	return r;
}

static int complete_spec(struct zi_spec *spec, uint32_t count)
{
	if (count == 0 || count > ZIPC_LATCH_MAX)
		return zi_fail(-EINVAL, "latch '%s': count is %u, allowed are 1 to %u",
			       spec->name != NULL ? spec->name : "", count, ZIPC_LATCH_MAX);
	spec->capacity = count;
	return 0;
}

int zipc_latch_create(zipc_segment *segment, const char *name, uint32_t count,
		      const zipc_latch_options *options, zipc_latch **out_latch)
{
	struct zi_spec spec;
	void *handle;
	int r = load_spec(name, options, &spec);
	if (r == 0)
		r = complete_spec(&spec, count);
	if (r == 0)
		r = zi_sync_create(segment, &kind, spec, count, &handle);
	if (r == 0)
		*out_latch = handle;
	return r;
}

int zipc_latch_open(zipc_segment *segment, const char *name, const zipc_latch_options *options,
		    zipc_latch **out_latch)
{
	struct zi_spec spec;
	void *handle;
	int r = load_spec(name, options, &spec);
	if (r == 0)
		r = zi_sync_open(segment, &kind, spec, &handle);
	if (r == 0)
		*out_latch = handle;
	return r;
}

int zipc_latch_open_or_create(zipc_segment *segment, const char *name, uint32_t count,
			      const zipc_latch_options *options, zipc_latch **out_latch)
{
	struct zi_spec spec;
	void *handle;
	int r = load_spec(name, options, &spec);
	if (r == 0)
		r = complete_spec(&spec, count);
	if (r == 0)
		r = zi_sync_open_or_create(segment, &kind, spec, count, &handle);
	if (r >= 0)
		*out_latch = handle;
	return r;
}

void zipc_latch_close(zipc_latch *latch)
{
	zi_sync_close(latch);
}

int zipc_latch_remove(zipc_segment *segment, const char *name)
{
	return zi_directory_remove(segment, name, ZIPC_TYPE_LATCH);
}

/* ---- operations ----------------------------------------------------------------------------- */

int zipc_latch_count_down(zipc_latch *latch, uint32_t n)
{
	int me = zi_structure_enter(&latch->object);
	if (me < 0)
		return me;
	if (n == 0)
		return zi_fail(-EINVAL, "latch '%s': nothing to count down",
			       latch->object.view.name);
	uint32_t *count = &latch->shared->count, seen = zi_load_relaxed(count);
	do {
		if (n > seen)
			return zi_fail(-ERANGE, "latch '%s': %u are left, not %u",
				       latch->object.view.name, seen, n);
		/* LATCH-W1 release: what was written before; and acquire, so that the last one passes on
		 * what the others wrote. Pairs with LATCH-R1. CRASH: counted; if it was the last, the
		 * sleepers learn it at the end of their slices. */
	} while (!zi_cas_acq_rel(count, &seen, seen - n));
	if (seen == n)
		zi_gate_wake_all(&latch->shared->gate);
	return 0;
}

static int attempt(void *arg, bool *named)
{
	const zipc_latch *latch = arg;
	(void)named;
	return zipc_latch_count(latch) == 0 ? 0 : -EAGAIN;
}

int zipc_latch_wait(zipc_latch *latch, int64_t timeout_ns)
{
	int me = zi_structure_enter(&latch->object);
	if (me < 0)
		return me;
	if (zipc_latch_count(latch) == 0)
		return 0;
	if (timeout_ns == ZIPC_NOWAIT)
		return -EAGAIN;
	return zi_gate_wait(latch->segment, &latch->shared->gate, timeout_ns, attempt, latch);
}

int zipc_latch_arrive_and_wait(zipc_latch *latch, int64_t timeout_ns)
{
	int r = zipc_latch_count_down(latch, 1);
	return r < 0 ? r : zipc_latch_wait(latch, timeout_ns);
}

/* ---- looking -------------------------------------------------------------------------------- */

uint32_t zipc_latch_count(const zipc_latch *latch)
{
	/* LATCH-R1 acquire: what was written before it was counted down. Pairs with LATCH-W1. */
	return zi_load_acquire(&latch->shared->count);
}
