/* SPDX-License-Identifier: MIT */
/*
 * Barrier. The state is one control word and one word per participant (barrier_layout.h).
 *
 *   arriving   store ARRIVED(r) into the own word, seq_cst; then look at all words. Of two that are
 *              last at the same time one at least sees all words.
 *   completing CAS of the control word from round r to r + 1, completed = r, by whoever sees all words
 *              arrived in r. The one CAS that succeeds makes its caller the leader.
 *   breaking   CAS of the control word from round r to the same and BROKEN. It races with completing
 *              on one word, so a round is completed or broken for everybody.
 *
 * Arrived words stay until their thread has seen the outcome; they name the round, so that the next
 * one cannot take them for its own.
 */
#include "barrier.h"

#include "barrier_layout.h"
#include "handle.h"

#include "../base/clock.h"
#include "../base/options.h"
#include "../wait/gate.h"

#include <zeroipc/barrier.h>

#include <errno.h>

#define CAS_TRIES   64
#define SPINS	    150 /* looks at the control word before the gate is asked to wait */
#define SPINS_AWAKE 50	/* of them without a pause in between */

struct zipc_barrier {
	struct zi_object object;

	/* constant after open */
	_Alignas(128) struct zi_barrier *shared;
	const struct zi_self *self;
	zipc_segment *segment;
	uint32_t participants;
	bool open;		     /* the first round needs nobody in particular */
	struct zi_named_hints hints; /* of participants */
};

/* ---- care ----------------------------------------------------------------------------------- */

static uint64_t block_size(uint64_t participants)
{
	return sizeof(struct zi_barrier) + participants * sizeof(uint64_t);
}

static struct zi_barrier *block_of(const struct zi_view *view)
{
	bool sound = view->capacity >= 1 && view->capacity <= ZIPC_BARRIER_MAX;
	return sound ? zi_sync_block(view, block_size(view->capacity)) : NULL;
}

/* A dead one keeps counting, without its name. */
static uint64_t without_name(uint64_t word)
{
	return (word & ~ZI_OWNER_MASK) | ZI_PART_GONE;
}

int zi_barrier_resolve(zipc_segment *segment, const struct zi_view *view)
{
	struct zi_barrier *shared = block_of(view);
	int n = 0;
	for (uint64_t i = 0; shared != NULL && i < view->capacity; i++) {
		uint64_t *word = &shared->participants[i], w = zi_load_relaxed(word);
		int dead = zi_owner_id(w) == 0 ? 0 : zi_owner_dead(segment, w);
		if (dead < 0)
			return dead;
		/* CRASH: each word for itself; the next one goes on */
		n += dead == 1 && zi_cas_acq_rel(word, &w, without_name(w));
	}
	return n;
}

void zi_barrier_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report)
{
	const struct zi_barrier *shared = block_of(view);
	(void)segment;
	if (shared == NULL) {
		zi_report_add(report, "barrier '%s': its sizes do not fit its memory", view->name);
		return;
	}
	uint64_t c = zi_load_relaxed(&shared->control);
	if (zi_barrier_round(c) == zi_barrier_completed(c))
		zi_report_add(report, "barrier '%s': its control word %#llx cannot be", view->name,
			      (unsigned long long)c);
	for (uint64_t i = 0; i < view->capacity; i++) {
		uint64_t w = zi_load_relaxed(&shared->participants[i]);
		if (w != 0 && zi_owner_thread(w) == 0)
			zi_report_add(report, "barrier '%s': its participant %#llx cannot be",
				      view->name, (unsigned long long)w);
	}
}

/* The thread that ends is this one: nobody else changes its word. */
void zi_barrier_thread_ended(zipc_segment *segment, const struct zi_view *view, uint32_t id,
			     uint32_t thread)
{
	struct zi_barrier *shared = block_of(view);
	for (uint64_t i = 0; shared != NULL && i < view->capacity; i++) {
		uint64_t *word = &shared->participants[i], w = zi_load_relaxed(word);
		if ((w & ZI_OWNER_MASK) != zi_owner_make(id, thread))
			continue;
		/* CRASH: dead by name, or gone: the same */
		zi_store_seq_cst(word, without_name(w));
		zi_gate_wake_all(&shared->gate);
	}
	(void)segment;
}

/* Those who have arrived wait for those who have not. */
int zi_barrier_holders(zipc_segment *segment, const struct zi_view *view, zi_holder_fn fn,
		       void *arg)
{
	const struct zi_barrier *shared = block_of(view);
	int r = 0;
	(void)segment;
	for (uint64_t i = 0; shared != NULL && i < view->capacity && r == 0; i++) {
		/* relaxed: for people */
		uint64_t w = zi_load_relaxed(&shared->participants[i]);
		uint64_t round = zi_barrier_round(zi_load_relaxed(&shared->control));
		struct zi_holder holder = {
			.id = zi_owner_id(w),
			.thread = zi_owner_thread(w),
			.count = 1,
			.what = "has not arrived",
			.gate = &shared->gate,
		};
		if (holder.id != 0 && !zi_part_is_free(w, round) && !zi_part_has_arrived(w, round))
			r = fn(&holder, arg);
	}
	return r;
}

/* ---- lifecycle ------------------------------------------------------------------------------ */

static int bind(void *handle)
{
	zipc_barrier *barrier = handle;
	const struct zi_view *view = &barrier->object.view;
	barrier->shared = block_of(view);
	if (barrier->shared == NULL)
		return zi_sync_too_small(view, "barrier");
	barrier->segment = barrier->object.segment;
	barrier->self = barrier->segment->self;
	barrier->participants = (uint32_t)view->capacity;
	barrier->open = (view->flags & ZIPC_BARRIER_OPEN) != 0;
	return 0;
}

static void build(void *handle, uint64_t argument)
{
	zipc_barrier *barrier = handle;
	(void)argument;
	zi_store_relaxed(&barrier->shared->control, UINT64_C(1));
}

static const struct zi_sync_kind kind = {
	.what = "barrier",
	.type = ZIPC_TYPE_BARRIER,
	.flags = ZIPC_BARRIER_OPEN,
	.handle_size = sizeof(zipc_barrier),
	.bind = bind,
	.build = build,
};

static int load_spec(const char *name, const zipc_barrier_options *options, struct zi_spec *spec)
{
	zipc_barrier_options o;
	int r = zi_options_load(&o, sizeof o, options, "barrier options");
	if (r == 0)
		r = zi_sync_check_flags(&kind, name, o.flags);
	*spec = (struct zi_spec){.name = name, .flags = o.flags};
	return r;
}

static int complete_spec(struct zi_spec *spec, uint32_t participants)
{
	if (participants == 0 || participants > ZIPC_BARRIER_MAX)
		return zi_fail(-EINVAL, "barrier '%s': %u participants, allowed are 1 to %u",
			       spec->name != NULL ? spec->name : "", participants,
			       ZIPC_BARRIER_MAX);
	spec->capacity = participants;
	spec->size = block_size(participants);
	return 0;
}

int zipc_barrier_create(zipc_segment *segment, const char *name, uint32_t participants,
			const zipc_barrier_options *options, zipc_barrier **out_barrier)
{
	struct zi_spec spec;
	void *handle;
	int r = load_spec(name, options, &spec);
	if (r == 0)
		r = complete_spec(&spec, participants);
	if (r == 0)
		r = zi_sync_create(segment, &kind, spec, participants, &handle);
	if (r == 0)
		*out_barrier = handle;
	return r;
}

int zipc_barrier_open(zipc_segment *segment, const char *name, const zipc_barrier_options *options,
		      zipc_barrier **out_barrier)
{
	struct zi_spec spec;
	void *handle;
	int r = load_spec(name, options, &spec);
	if (r == 0)
		r = zi_sync_open(segment, &kind, spec, &handle);
	if (r == 0)
		*out_barrier = handle;
	return r;
}

int zipc_barrier_open_or_create(zipc_segment *segment, const char *name, uint32_t participants,
				const zipc_barrier_options *options, zipc_barrier **out_barrier)
{
	struct zi_spec spec;
	void *handle;
	int r = load_spec(name, options, &spec);
	if (r == 0)
		r = complete_spec(&spec, participants);
	if (r == 0)
		r = zi_sync_open_or_create(segment, &kind, spec, participants, &handle);
	if (r >= 0)
		*out_barrier = handle;
	return r;
}

void zipc_barrier_close(zipc_barrier *barrier)
{
	zi_sync_close(barrier);
}

int zipc_barrier_remove(zipc_segment *segment, const char *name)
{
	return zi_directory_remove(segment, name, ZIPC_TYPE_BARRIER);
}

/* ---- the round ------------------------------------------------------------------------------ */

/* What a look at all participants of a round found. */
struct muster {
	uint32_t joined;
	uint32_t arrived;
	bool dead; /* one that has not arrived */
};

/* One participant: 0, or -EBADF when nobody can tell who lives. */
static int count_one(zipc_barrier *barrier, uint64_t word, uint64_t round, struct muster *m)
{
	if (zi_part_is_free(word, round))
		return 0;
	m->joined++;
	if (zi_part_has_arrived(word, round)) {
		m->arrived++;
		return 0;
	}
	int dead = zi_owner_dead(barrier->segment, word);
	m->dead = m->dead || dead == 1;
	return dead < 0 ? dead : 0;
}

static int count_all(zipc_barrier *barrier, uint64_t round, struct muster *m)
{
	*m = (struct muster){0};
	for (uint32_t i = 0; i < barrier->participants; i++) {
		/* BARRIER-R1 seq_cst: after the own word was written; and acquire: what it wrote before
		 * it arrived. Pairs with BARRIER-W1. */
		uint64_t w = zi_load_seq_cst(&barrier->shared->participants[i]);
		int r = count_one(barrier, w, round, m);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_complete(const zipc_barrier *barrier, uint64_t control, const struct muster *m)
{
	bool enough = barrier->open || (control & ZI_BARRIER_STARTED) != 0 ||
		      m->joined == barrier->participants;
	return enough && m->joined > 0 && m->arrived == m->joined;
}

/* Those who dropped out in this round are free now. Spares others to find that out by the round. */
static void release_dropped(zipc_barrier *barrier, uint64_t round)
{
	for (uint32_t i = 0; i < barrier->participants; i++) {
		uint64_t *word = &barrier->shared->participants[i];
		uint64_t w = zi_load_relaxed(word);
		if ((w & ZI_PART_DROPPED) != 0 && zi_part_has_arrived(w, round))
			zi_cas_acq_rel(word, &w, UINT64_C(0));
	}
}

/* Round r of *control is over: true = by this call, which is the leader's. */
static bool complete(zipc_barrier *barrier, uint64_t *control)
{
	uint64_t round = zi_barrier_round(*control);
	uint64_t next = ((round + 1) & ZI_BARRIER_ROUND_MASK) | round << 24 | ZI_BARRIER_STARTED;
	/* BARRIER-W2 release: what all wrote before they arrived. Pairs with BARRIER-R2.
	 * CRASH: before it the others see that all have arrived, and one of them does it; after it they
	 * learn it at the end of their slices. */
	if (!zi_cas_seq_cst(&barrier->shared->control, control, next))
		return false;
	release_dropped(barrier, round);
	zi_gate_signal_all(barrier->segment, &barrier->shared->gate);
	return true;
}

/* Breaks the round of *control, unless it is over. */
static void break_round(zipc_barrier *barrier, uint64_t *control, uint64_t why)
{
	/* CRASH: broken; the others learn it at the end of their slices */
	if (zi_cas_seq_cst(&barrier->shared->control, control, *control | ZI_BARRIER_BROKEN | why))
		zi_gate_signal_all(barrier->segment, &barrier->shared->gate);
}

/*
 * The round as it is, for one that has arrived in it: 1 = completed by this call, -EAGAIN = under way,
 * -EPIPE = broken, by this call or before. When the control word changes: -ESTALE, look again.
 */
static int judge(zipc_barrier *barrier, uint64_t *control)
{
	struct muster m;
	int r = count_all(barrier, zi_barrier_round(*control), &m);
	if (r < 0)
		return r;
	if (is_complete(barrier, *control, &m))
		return complete(barrier, control) ? 1 : -ESTALE;
	if (m.dead) {
		break_round(barrier, control, ZI_BARRIER_BY_DEATH);
		return -ESTALE;
	}
	return -EAGAIN;
}

struct request {
	zipc_barrier *barrier;
	uint64_t round;
	int64_t looked_ns; /* at the others, last; 0 = never */
};

/*
 * The last to arrive completes the round; the others only have to see to it that it was not killed in
 * between, or somebody else was, and look at each other once in a while.
 */
static int attempt(void *arg, bool *named)
{
	struct request *r = arg;
	*named = true;
	for (int i = 0; i < CAS_TRIES; i++) {
		/* BARRIER-R2 seq_cst: the outcome, and acquire: what all wrote. Pairs with BARRIER-W2. */
		uint64_t c = zi_load_seq_cst(&r->barrier->shared->control);
		if (zi_barrier_round(c) != r->round)
			return zi_barrier_completed(c) == r->round ? 0 : -EPIPE;
		if ((c & ZI_BARRIER_BROKEN) != 0)
			return -EPIPE;
		/* the first time at once */
		int64_t now = r->looked_ns == 0 ? 1 : zi_now_coarse_ns();
		if (now == r->looked_ns)
			return -EAGAIN;
		int result = judge(r->barrier, &c);
		if (result == -EAGAIN)
			r->looked_ns = now;
		if (result != -ESTALE)
			return result;
	}
	return -EAGAIN;
}

/* The others are near, as a rule. True = the round is over, one way or another. */
static bool spin(const struct request *r)
{
	/* relaxed: a private setting */
	if (r->barrier->segment->spin_ns <= 0)
		return false;
	for (int i = 0; i < SPINS; i++) {
		/* relaxed: attempt() looks again */
		uint64_t c = zi_load_relaxed(&r->barrier->shared->control);
		if (zi_barrier_round(c) != r->round || (c & ZI_BARRIER_BROKEN) != 0)
			return true;
		if (i >= SPINS_AWAKE)
			zi_pause();
	}
	return false;
}

/* ---- participants --------------------------------------------------------------------------- */

static int say(const zipc_barrier *barrier, int code)
{
	const char *name = barrier->object.view.name;
	if (code == -EPERM)
		return zi_fail(code, "barrier '%s': this thread has not joined", name);
	if (code == -EEXIST)
		return zi_fail(code, "barrier '%s': this thread has joined already", name);
	if (code == -ENOSPC)
		return zi_fail(code, "barrier '%s': it has all its %u participants", name,
			       barrier->participants);
	return code;
}

static uint64_t *find_own(zipc_barrier *barrier, uint64_t me)
{
	return zi_named_find(barrier->shared->participants, 1, barrier->participants,
			     &barrier->hints, me, ZI_PART_DROPPED);
}

int zipc_barrier_join(zipc_barrier *barrier)
{
	uint64_t me;
	int r = zi_owner_enter(&barrier->object, &me);
	if (r < 0)
		return r;
	if (find_own(barrier, me) != NULL)
		return say(barrier, -EEXIST);
	for (uint32_t i = 0; i < barrier->participants; i++) {
		uint64_t round = zi_barrier_round(zi_load_seq_cst(&barrier->shared->control));
		uint64_t *word = &barrier->shared->participants[i];
		uint64_t w = zi_load_relaxed(word);
		/* CRASH: a dead participant */
		if (zi_part_is_free(w, round) && zi_cas_seq_cst(word, &w, me)) {
			zi_store_relaxed(zi_named_hint(&barrier->hints, me), i);
			return 0;
		}
	}
	return say(barrier, -ENOSPC);
}

/* Have all others arrived, so that the caller would be the last? 1, 0, -EPIPE, -EBADF. */
static int would_be_last(zipc_barrier *barrier, uint64_t control)
{
	struct muster m;
	int r = count_all(barrier, zi_barrier_round(control), &m);
	m.arrived++; /* the caller */
	return r < 0 ? r : is_complete(barrier, control, &m);
}

/* Writes down that the caller has arrived in this round. */
static void arrive(uint64_t *own, uint64_t me, uint64_t round, uint64_t dropped)
{
	/* BARRIER-W1 seq_cst: before the others are looked at; and release: what was written before.
	 * Pairs with BARRIER-R1. CRASH: arrived; if it was the last, the others see it at the end of
	 * their slices. */
	zi_store_seq_cst(own, me | zi_part_arrived(round) | dropped);
}

/* Its time is over, or it was interrupted: nobody shall wait for it. The outcome of the round. */
static int give_up(struct request *r, int result)
{
	uint64_t c = zi_load_seq_cst(&r->barrier->shared->control);
	while (zi_barrier_round(c) == r->round && (c & ZI_BARRIER_BROKEN) == 0)
		break_round(r->barrier, &c, 0);
	return zi_barrier_completed(c) == r->round ? 0 : result;
}

/*
 * It must not wait after all, as another joined just now: it has not arrived. Whoever saw that it had
 * may be about to complete the round, by CAS of the control word: that has another version now.
 */
static int withdraw(struct request *r, uint64_t *own, uint64_t me)
{
	zi_store_seq_cst(own, me);
	uint64_t c = zi_load_seq_cst(&r->barrier->shared->control), next;
	do {
		if (zi_barrier_round(c) != r->round)
			return zi_barrier_completed(c) == r->round ? 0 : -EPIPE;
		if ((c & ZI_BARRIER_BROKEN) != 0)
			return -EPIPE;
		next = (c & ~ZI_BARRIER_VERSION_MASK) |
		       ((c + ZI_BARRIER_VERSION) & ZI_BARRIER_VERSION_MASK);
		/* CRASH: it has not arrived, and is dead */
	} while (!zi_cas_seq_cst(&r->barrier->shared->control, &c, next));
	return -EAGAIN;
}

int zipc_barrier_wait(zipc_barrier *barrier, int64_t timeout_ns)
{
	uint64_t me = zi_owner_self(barrier->self);
	uint64_t *own = find_own(barrier, me);
	bool named;
	if (own == NULL)
		return say(barrier, -EPERM);
	uint64_t c = zi_load_seq_cst(&barrier->shared->control);
	if ((c & ZI_BARRIER_BROKEN) != 0)
		return -EPIPE;
	if (timeout_ns == ZIPC_NOWAIT) {
		int last = would_be_last(barrier, c);
		if (last <= 0)
			return last < 0 ? last : -EAGAIN;
	}
	struct request request = {barrier, zi_barrier_round(c), 0};
	arrive(own, me, request.round, 0);
	int r = attempt(&request, &named);
	if (r == -EAGAIN && timeout_ns == ZIPC_NOWAIT)
		return withdraw(&request, own, me);
	if (r == -EAGAIN && spin(&request))
		r = attempt(&request, &named);
	if (r == -EAGAIN)
		r = zi_gate_wait(barrier->segment, &barrier->shared->gate, timeout_ns, attempt,
				 &request);
	if (r < 0 && r != -EPIPE)
		r = give_up(&request, r);
	/* else the word stays as it is until it arrives again: it names the round.
	 * CRASH: arrived in a round that is over. */
	if (r < 0)
		zi_store_release(own, me);
	return r;
}

int zipc_barrier_arrive_and_drop(zipc_barrier *barrier)
{
	uint64_t me = zi_owner_self(barrier->self);
	uint64_t *own = find_own(barrier, me);
	bool named;
	if (own == NULL)
		return say(barrier, -EPERM);
	uint64_t c = zi_load_seq_cst(&barrier->shared->control);
	if ((c & ZI_BARRIER_BROKEN) != 0) {
		zi_store_release(own, UINT64_C(0));
		return -EPIPE;
	}
	struct request request = {barrier, zi_barrier_round(c), 0};
	arrive(own, me, request.round, ZI_PART_DROPPED);
	int r = attempt(&request, &named);
	return r == -EAGAIN ? 0 : r;
}

int zipc_barrier_reset(zipc_barrier *barrier)
{
	int r = zi_structure_enter(&barrier->object);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < barrier->participants; i++) {
		uint64_t *word = &barrier->shared->participants[i];
		uint64_t w = zi_load_relaxed(word);
		int over = (w & ZI_PART_DROPPED) != 0 ? 1
			   : w == 0		      ? 0
						      : zi_owner_dead(barrier->segment, w);
		if (over < 0)
			return over;
		/* what names an old round must not be taken for a new one when the count comes round.
		 * CRASH: some are gone; the barrier is as broken as before */
		if (over == 1 || (w & ZI_PART_ARRIVED) != 0)
			zi_cas_acq_rel(word, &w, over == 1 ? UINT64_C(0) : w & ZI_OWNER_MASK);
	}
	uint64_t c = zi_load_seq_cst(&barrier->shared->control), next;
	do {
		next = (zi_barrier_round(c) + 1) & ZI_BARRIER_ROUND_MASK;
		if (next == zi_barrier_completed(c))
			next = (next + 1) & ZI_BARRIER_ROUND_MASK;
		next |= zi_barrier_completed(c) << 24 | (c & ZI_BARRIER_STARTED);
		/* CRASH: reset; who waits learns it at the end of its slice */
	} while (!zi_cas_seq_cst(&barrier->shared->control, &c, next));
	zi_gate_wake_all(&barrier->shared->gate);
	return 0;
}

/* ---- looking -------------------------------------------------------------------------------- */

int zipc_barrier_get_info(zipc_barrier *barrier, zipc_barrier_info *out_info)
{
	uint64_t c = zi_load_seq_cst(&barrier->shared->control), round = zi_barrier_round(c);
	zipc_barrier_info info = {
		.participants = barrier->participants,
		.round = (uint32_t)round,
		.broken = (c & ZI_BARRIER_BROKEN) != 0,
		.by_death = (c & ZI_BARRIER_BY_DEATH) != 0,
	};
	for (uint32_t i = 0; i < barrier->participants; i++) {
		/* relaxed: for people */
		uint64_t w = zi_load_relaxed(&barrier->shared->participants[i]);
		info.joined += !zi_part_is_free(w, round);
		info.arrived += zi_part_has_arrived(w, round);
	}
	return zi_result_store(out_info, &info, sizeof info, "barrier info");
}
