/* SPDX-License-Identifier: MIT */
/*
 * Once: a word that names who runs it, until it says that it is done. A failed or dead runner leaves
 * the number of attempts behind, and the next comer takes the word.
 */
#include "once.h"

#include "handle.h"
#include "once_layout.h"

#include "../base/options.h"
#include "../wait/gate.h"

#include <zeroipc/once.h>

#include <errno.h>

#define CAS_TRIES 64

static_assert(offsetof(struct zi_object, word) == 0, "ABI");
static_assert(ZI_ONCE_DONE == UINT64_C(1) << 63, "ABI");

struct zipc_once {
	struct zi_object object;

	/* constant after open */
	struct zi_once *shared;
	zipc_segment *segment;
};

/* ---- care ----------------------------------------------------------------------------------- */

/* Nobody runs it any more; the next one that wants it done does. */
static void give_up(zipc_segment *segment, struct zi_once *shared, uint64_t word)
{
	/* ONCE-W1 release: what this attempt wrote. Pairs with ONCE-R1. The word names this thread,
	 * so it is ours. CRASH: before it we are dead, which says the same. */
	zi_store_release(&shared->word, zi_once_word(zi_once_attempts(word), 0));
	zi_gate_signal(segment, &shared->gate);
}

int zi_once_resolve(zipc_segment *segment, const struct zi_view *view)
{
	struct zi_once *shared = zi_sync_block(view, sizeof *shared);
	/* relaxed: the CAS decides */
	uint64_t w = shared == NULL ? 0 : zi_load_relaxed(&shared->word);
	if (zi_owner_id(w) == 0)
		return 0;
	int dead = zi_owner_dead(segment, w);
	/* CRASH: named by a dead one, or by nobody: the same */
	if (dead <= 0 || !zi_cas_acq_rel(&shared->word, &w, zi_once_word(zi_once_attempts(w), 0)))
		return dead < 0 ? dead : 0;
	zi_gate_signal(segment, &shared->gate);
	return 1;
}

void zi_once_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report)
{
	const struct zi_once *shared = zi_sync_block(view, sizeof *shared);
	(void)segment;
	if (shared == NULL) {
		zi_report_add(report, "once '%s': it does not fit its memory", view->name);
		return;
	}
	uint64_t w = zi_load_relaxed(&shared->word), runner = w & ZI_OWNER_MASK;
	bool done = (w & ZI_ONCE_DONE) != 0;
	bool sound = (w & ZI_ONCE_DONE >> 1) == 0 && (!done || runner == 0) &&
		     (runner == 0 || (zi_owner_id(w) != 0 && zi_owner_thread(w) != 0));
	if (!sound)
		zi_report_add(report, "once '%s': its word %#llx cannot be", view->name,
			      (unsigned long long)w);
}

void zi_once_thread_ended(zipc_segment *segment, const struct zi_view *view, uint32_t id,
			  uint32_t thread)
{
	struct zi_once *shared = zi_sync_block(view, sizeof *shared);
	/* relaxed: a store of the thread that is just ending, which is this one, or not ours */
	uint64_t w = shared == NULL ? 0 : zi_load_relaxed(&shared->word);
	if ((w & ZI_OWNER_MASK) == zi_owner_make(id, thread))
		give_up(segment, shared, w);
}

int zi_once_holders(zipc_segment *segment, const struct zi_view *view, zi_holder_fn fn, void *arg)
{
	const struct zi_once *shared = zi_sync_block(view, sizeof *shared);
	/* relaxed: for people */
	uint64_t w = shared == NULL ? 0 : zi_load_relaxed(&shared->word);
	(void)segment;
	if (zi_owner_id(w) == 0)
		return 0;
	struct zi_holder holder = {
		.id = zi_owner_id(w),
		.thread = zi_owner_thread(w),
		.count = 1,
		.what = "runs",
		.gate = &shared->gate,
	};
	return fn(&holder, arg);
}

/* ---- lifecycle ------------------------------------------------------------------------------ */

static int bind(void *handle)
{
	zipc_once *once = handle;
	once->shared = zi_sync_block(&once->object.view, sizeof *once->shared);
	once->segment = once->object.segment;
	once->object.word = &once->shared->word;
	return once->shared == NULL ? zi_sync_too_small(&once->object.view, "once") : 0;
}

static const struct zi_sync_kind kind = {
	.what = "once",
	.type = ZIPC_TYPE_ONCE,
	.handle_size = sizeof(zipc_once),
	.bind = bind,
};

static int load_spec(const char *name, const zipc_once_options *options, struct zi_spec *spec)
{
	zipc_once_options o;
	int r = zi_options_load(&o, sizeof o, options, "once options");
	if (r == 0)
		r = zi_sync_check_flags(&kind, name, o.flags);
	*spec = (struct zi_spec){.name = name, .size = sizeof(struct zi_once)};
	return r;
}

ZI_SYNC_LIFECYCLE(once)

/* ---- operations ----------------------------------------------------------------------------- */

struct request {
	zipc_once *once;
	uint64_t me;
	uint64_t claimed; /* the word, when it is ours */
};

/* 0 = it is done; 1 = ours to run; -EAGAIN = another is at it. */
static int attempt(void *arg, bool *named)
{
	struct request *r = arg;
	uint64_t *word = &r->once->shared->word;
	/* ONCE-R1 acquire: what was done. Pairs with ONCE-W1 and ONCE-W2. */
	uint64_t w = zi_load_acquire(word);
	for (int i = 0; i < CAS_TRIES; i++) {
		if ((w & ZI_ONCE_DONE) != 0)
			return 0;
		int dead = zi_owner_id(w) == 0 ? 1 : zi_owner_dead(r->once->segment, w);
		if (dead < 0)
			return dead;
		if (dead == 0) {
			*named = true;
			return -EAGAIN;
		}
		uint32_t attempts = zi_once_attempts(w);
		if (attempts < ZI_ONCE_ATTEMPTS_MASK)
			attempts++;
		r->claimed = zi_once_word(attempts, r->me);
		/* acquire: what the attempt before wrote. CRASH: named by a dead one; the next comer
		 * takes it from there. */
		if (zi_cas_acq_rel(word, &w, r->claimed))
			return 1;
	}
	return -EAGAIN;
}

static int run(struct request *r, zipc_once_fn fn, void *arg)
{
	struct zi_once *shared = r->once->shared;
	int result = fn(arg, zi_once_attempts(r->claimed));
	if (zi_owner_self(r->once->segment->self) != r->me)
		return zi_fail(-EPERM, "once '%s': its function forked, and this is the child",
			       r->once->object.view.name);
	if (result < 0) {
		give_up(r->once->segment, shared, r->claimed);
		return result;
	}
	/* ONCE-W2 release: what was done. Pairs with ONCE-R1 and ONCE-R2. A plain store: the word is
	 * ours. CRASH: before it the attempt was in vain, after it done for good; sleepers learn it at
	 * the end of their slices. */
	zi_store_release(&shared->word,
			 ZI_ONCE_DONE | zi_once_word(zi_once_attempts(r->claimed), 0));
	zi_gate_signal_all(r->once->segment, &shared->gate);
	return 1;
}

static __attribute__((noinline)) int call_slowly(zipc_once *once, zipc_once_fn fn, void *arg,
						 int64_t timeout_ns)
{
	struct request request = {.once = once};
	bool named = false;
	int r = zi_owner_enter(&once->object, &request.me);
	if (r < 0)
		return r;
	/* relaxed: our own store, or not ours */
	if ((zi_load_relaxed(&once->shared->word) & ZI_OWNER_MASK) == request.me)
		return zi_fail(-EDEADLK, "once '%s' is called from within its own function",
			       once->object.view.name);
	r = attempt(&request, &named);
	if (r == -EAGAIN && timeout_ns != ZIPC_NOWAIT)
		r = zi_gate_wait(once->segment, &once->shared->gate, timeout_ns, attempt, &request);
	return r == 1 ? run(&request, fn, arg) : r;
}

int zipc_once_call(zipc_once *once, zipc_once_fn fn, void *arg, int64_t timeout_ns)
{
	return zi_likely(zipc_once_is_done(once)) ? 0 : call_slowly(once, fn, arg, timeout_ns);
}

bool zipc_once_is_done(const zipc_once *once)
{
	/* ONCE-R2 acquire: what was done. Pairs with ONCE-W2. */
	return (zi_load_acquire(&once->shared->word) & ZI_ONCE_DONE) != 0;
}

/* ---- looking -------------------------------------------------------------------------------- */

int zipc_once_get_info(zipc_once *once, zipc_once_info *out_info)
{
	/* relaxed: for people */
	uint64_t w = zi_load_relaxed(&once->shared->word);
	uint32_t id = zi_owner_id(w);
	zipc_once_info info = {
		.done = (w & ZI_ONCE_DONE) != 0,
		.attempts = zi_once_attempts(w),
		.runner_id = id,
		.runner_pid = id == 0 ? 0 : zi_peer_pid(once->segment, id),
		.runner_thread = zi_owner_thread(w),
	};
	return zi_result_store(out_info, &info, sizeof info, "once info");
}
