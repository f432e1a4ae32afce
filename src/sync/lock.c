/* SPDX-License-Identifier: MIT */
#include "lock.h"

#include "../base/error.h"

#include <errno.h>

#define SPINS	    128 /* pauses before the gate is asked to wait */
#define SPIN_PAUSES 16	/* of them between two looks, at most */
#define CAS_TRIES   64

struct request {
	zipc_segment *segment;
	struct zi_lock *lock;
	uint64_t me;
};

/* ---- taking --------------------------------------------------------------------------------- */

/* What the word becomes when it is taken as it is: SUSPECT sticks, and a dead owner makes it so. */
static uint64_t taken(uint64_t word, uint64_t me)
{
	bool suspect = (word & ZI_LOCK_SUSPECT) != 0 || zi_owner_id(word) != 0;
	return suspect ? me | ZI_LOCK_SUSPECT : me;
}

/*
 * One attempt. The verdict about an owner and the CAS on the word that named it belong together: ids
 * are not used again before the whole segment was swept, so the same word is the same owner's.
 */
static int attempt(void *arg, bool *named)
{
	struct request *r = arg;
	/* relaxed: the CAS decides */
	uint64_t w = zi_load_relaxed(&r->lock->word);
	for (int i = 0; i < CAS_TRIES; i++) {
		if ((w & ZI_LOCK_LOST) != 0)
			return -ENOTRECOVERABLE;
		if (zi_owner_id(w) != 0) {
			int dead = zi_owner_dead(r->segment, w);
			if (dead < 0)
				return dead;
			if (dead == 0) {
				*named = true;
				return -EAGAIN;
			}
		}
		uint64_t mine = taken(w, r->me);
		/* LOCK-R1 acquire, as in zi_lock_take_free(). CRASH: the word names us, and SUSPECT
		 * stays with it: whoever comes next is told. */
		if (zi_cas_acquire(&r->lock->word, &w, mine))
			return (mine & ZI_LOCK_SUSPECT) != 0 ? -EOWNERDEAD : 0;
	}
	return -EAGAIN; /* it changes hands all the time */
}

/*
 * Others hold it for moments only, as a rule. Each look takes the line away from the holder, who wants
 * it once more to give it back, so the looks come less and less often.
 */
static bool spin(const struct request *r)
{
	/* relaxed: a private setting */
	if (r->segment->spin_ns <= 0)
		return false;
	for (int pauses = 1, sum = 0; sum < SPINS; sum += pauses) {
		for (int i = 0; i < pauses; i++)
			zi_pause();
		/* relaxed: the CAS decides */
		if (zi_load_relaxed(&r->lock->word) == 0 && zi_lock_take_free(r->lock, r->me))
			return true;
		if (pauses < SPIN_PAUSES)
			pauses *= 2;
	}
	return false;
}

/* The holder comes once more. Its own word: a plain store. CRASH: as deep as it says, and dead. */
static int take_again(struct zi_lock *lock, uint64_t word, bool recursive)
{
	if (!recursive)
		return -EDEADLK;
	if ((word & ZI_LOCK_DEPTH_MASK) == ZI_LOCK_DEPTH_MASK)
		return -EOVERFLOW;
	zi_store_relaxed(&lock->word, word + ZI_LOCK_DEPTH);
	return 0;
}

int zi_lock_take(zipc_segment *segment, struct zi_lock *lock, uint64_t me, bool recursive,
		 int64_t timeout_ns)
{
	struct request request = {segment, lock, me};
	bool named = false;
	/* relaxed: our own store, or not ours */
	uint64_t w = zi_load_relaxed(&lock->word);
	if ((w & ZI_OWNER_MASK) == me)
		return take_again(lock, w, recursive);
	if (timeout_ns != ZIPC_NOWAIT && spin(&request))
		return 0;
	int r = attempt(&request, &named);
	if (r != -EAGAIN || timeout_ns == ZIPC_NOWAIT)
		return r;
	return zi_gate_wait(segment, &lock->gate, timeout_ns, attempt, &request);
}

/* ---- giving back ---------------------------------------------------------------------------- */

int zi_lock_give(zipc_segment *segment, struct zi_lock *lock, uint64_t me)
{
	/* relaxed: our own store, or not ours */
	uint64_t w = zi_load_relaxed(&lock->word);
	if ((w & ZI_OWNER_MASK) != me)
		return -EPERM;
	if (zi_lock_depth(w) > 0) {
		zi_store_relaxed(&lock->word, w - ZI_LOCK_DEPTH);
		return 0;
	}
	if ((w & ZI_LOCK_SUSPECT) != 0) {
		/* CRASH: before it the word names us, and SUSPECT is told on; after it LOST, which
		 * sleepers learn at the end of their slices */
		zi_store_release(&lock->word, ZI_LOCK_LOST);
		zi_gate_wake_all(&lock->gate);
		return 0;
	}
	zi_store_release(&lock->word, UINT64_C(0)); /* LOCK-W1, as in zi_lock_give_plain() */
	zi_gate_signal(segment, &lock->gate);
	return 0;
}

int zi_lock_consistent(struct zi_lock *lock, uint64_t me)
{
	/* relaxed: our own store, or not ours */
	uint64_t w = zi_load_relaxed(&lock->word);
	if ((w & ZI_OWNER_MASK) != me)
		return -EPERM;
	if ((w & ZI_LOCK_SUSPECT) == 0)
		return -EINVAL;
	/* release: what was repaired, for whoever is told that we died later. CRASH: suspect or not;
	 * as the next holder finds the word named by a dead one, it is told in either case. */
	zi_store_release(&lock->word, w & ~ZI_LOCK_SUSPECT);
	return 0;
}

int zi_lock_say(int code, const char *what, const char *name)
{
	switch (code) {
	case -EPERM:
		return zi_fail(code, "%s '%s': this thread does not hold it", what, name);
	case -EDEADLK:
		return zi_fail(code, "%s '%s': this thread holds it already", what, name);
	case -EOVERFLOW:
		return zi_fail(code, "%s '%s': this thread holds it 4,096 times", what, name);
	case -EINVAL:
		return zi_fail(code, "%s '%s': no holder of it has died", what, name);
	case -ENOTRECOVERABLE:
		return zi_fail(code,
			       "%s '%s': its holder died, and who came next gave it back without "
			       "saying that it is consistent",
			       what, name);
	default:
		return code;
	}
}

/* ---- care ----------------------------------------------------------------------------------- */

int zi_lock_resolve(zipc_segment *segment, struct zi_lock *lock)
{
	/* relaxed: the CAS decides */
	uint64_t w = zi_load_relaxed(&lock->word);
	if (zi_owner_id(w) == 0)
		return 0;
	int dead = zi_owner_dead(segment, w);
	if (dead <= 0)
		return dead;
	/* CRASH: one store; before it dead, after it SUSPECT: the next comer is told */
	if (!zi_cas_acq_rel(&lock->word, &w, ZI_LOCK_SUSPECT))
		return 0;
	zi_gate_signal(segment, &lock->gate);
	return 1;
}

bool zi_lock_thread_ended(zipc_segment *segment, struct zi_lock *lock, uint64_t owner)
{
	/* relaxed: a store of the thread that is just ending, which is this one, or not ours */
	if ((zi_load_relaxed(&lock->word) & ZI_OWNER_MASK) != owner)
		return false;
	/* LOCK-W1 release, as in zi_lock_give_plain(). CRASH: named until the process ends, which is
	 * now. */
	zi_store_release(&lock->word, ZI_LOCK_SUSPECT);
	zi_gate_signal(segment, &lock->gate);
	return true;
}

int zi_lock_holder(const struct zi_lock *lock, zi_holder_fn fn, void *arg)
{
	/* relaxed: for people */
	uint64_t w = zi_load_relaxed(&lock->word);
	struct zi_holder holder = {
		.id = zi_owner_id(w),
		.thread = zi_owner_thread(w),
		.count = zi_lock_depth(w) + 1,
		.what = "holds",
		.gate = &lock->gate,
	};
	return holder.id == 0 ? 0 : fn(&holder, arg);
}

void zi_lock_verify(const struct zi_lock *lock, const char *what, const char *name,
		    struct zi_report *report)
{
	uint64_t w = zi_load_relaxed(&lock->word);
	uint64_t flags = w & ~(ZI_OWNER_MASK | ZI_LOCK_DEPTH_MASK);
	bool owned = zi_owner_id(w) != 0;
	bool sound = (flags & ~(ZI_LOCK_SUSPECT | ZI_LOCK_LOST)) == 0 &&
		     (owned == (zi_owner_thread(w) != 0)) && (owned || zi_lock_depth(w) == 0) &&
		     ((w & ZI_LOCK_LOST) == 0 || w == ZI_LOCK_LOST);
	if (!sound)
		zi_report_add(report, "%s '%s': its word %#llx cannot be", what, name,
			      (unsigned long long)w);
}
