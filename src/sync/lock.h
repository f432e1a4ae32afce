/* SPDX-License-Identifier: MIT */
/*
 * Lock: one word that says who holds it, one gate. Mutex and monitor are made of it.
 *
 * Word: owner 48 | depth 12 << 48 | flags 4 << 60; 0 = free.
 *
 *   0                 free
 *   owner             held; depth = how often its holder has taken it once more
 *   owner, SUSPECT    held by one who was told -EOWNERDEAD and has not said that all is well again
 *   SUSPECT alone     its holder died: the next comer is told
 *   LOST              released while SUSPECT; for ever
 *
 * Free and SUSPECT alone are taken by CAS; so is the word of a dead owner. A held word is the holder's
 * alone: nobody else writes it while its owner lives, so it is given back by a plain store. Sleepers
 * leave their mark in the gate, not here.
 */
#ifndef ZI_SYNC_LOCK_H
#define ZI_SYNC_LOCK_H

#include "owner.h"

#include "../base/atomic.h"
#include "../wait/gate.h"

struct zi_lock {
	uint64_t word;
	uint32_t gate; /* who wants it sleeps here */
	uint32_t pad;
};

static_assert(sizeof(struct zi_lock) == 16, "format");

#define ZI_LOCK_DEPTH	   (UINT64_C(1) << ZI_OWNER_BITS)
#define ZI_LOCK_DEPTH_MASK (UINT64_C(0xfff) << ZI_OWNER_BITS)
#define ZI_LOCK_SUSPECT	   (UINT64_C(1) << 60)
#define ZI_LOCK_LOST	   (UINT64_C(1) << 61)

static inline uint32_t zi_lock_depth(uint64_t word)
{
	return (uint32_t)((word & ZI_LOCK_DEPTH_MASK) >> ZI_OWNER_BITS);
}

/* Takes a lock that is free and nothing else. */
static inline bool zi_lock_take_free(struct zi_lock *lock, uint64_t me)
{
	uint64_t free = 0;
	/* LOCK-R1 acquire: what earlier holders wrote. Pairs with LOCK-W1.
	 * CRASH: before it, nothing; after it the word names us, and the next comer takes it over. */
	return zi_cas_acquire(&lock->word, &free, me);
}

/*
 * Takes it as it comes, waiting up to timeout_ns. 0; -EOWNERDEAD (taken; the last holder died);
 * -EAGAIN; -ETIMEDOUT; -EDEADLK (the caller has it, and it is not `recursive`); -EOVERFLOW (has it
 * 4,096 times); -ENOTRECOVERABLE; -ECANCELED; -EBADF.
 */
int zi_lock_take(zipc_segment *segment, struct zi_lock *lock, uint64_t me, bool recursive,
		 int64_t timeout_ns);

/*
 * Gives it back once: 0; -EPERM when the caller does not hold it. What is SUSPECT becomes LOST.
 */
int zi_lock_give(zipc_segment *segment, struct zi_lock *lock, uint64_t me);

/* The usual case of it: held once, nobody died. False = see zi_lock_give(). */
static inline bool zi_lock_give_plain(struct zi_lock *lock, uint64_t me)
{
	/* relaxed: our own store, or not ours */
	if (zi_unlikely(zi_load_relaxed(&lock->word) != me))
		return false;
	/* LOCK-W1 release: what we wrote. Pairs with LOCK-R1. A plain store is enough: a living
	 * owner is never overruled. CRASH: free; a sleeper looks again at the end of its slice. */
	zi_store_release(&lock->word, UINT64_C(0));
	return true;
}

/* SUSPECT no longer: 0; -EPERM when the caller does not hold it; -EINVAL when nothing is suspect. */
int zi_lock_consistent(struct zi_lock *lock, uint64_t me);

/* Leaves the sentence for one of the codes above; returns it. */
int zi_lock_say(int code, const char *what, const char *name);

/* The word without the dead: 1 when there was one, 0, or -EBADF. */
int zi_lock_resolve(zipc_segment *segment, struct zi_lock *lock);

/* That thread of this process has ended: did it hold the lock? */
bool zi_lock_thread_ended(zipc_segment *segment, struct zi_lock *lock, uint64_t owner);

/* Names its holder, if there is one; returns what fn says. */
int zi_lock_holder(const struct zi_lock *lock, zi_holder_fn fn, void *arg);

void zi_lock_verify(const struct zi_lock *lock, const char *what, const char *name,
		    struct zi_report *report);

#endif
