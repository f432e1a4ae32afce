/* SPDX-License-Identifier: MIT */
#include "guard.h"

#include "peers.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/futex.h"

#include <errno.h>

#define SLEEPERS    (UINT64_C(1) << ZI_ID_BITS)
#define SEQUENCE    (UINT64_C(1) << (ZI_ID_BITS + 1))
#define SPINS	    100
#define SLICE_LEAST (10 * ZI_NS_PER_MS)
#define SLICE_MOST  (80 * ZI_NS_PER_MS)

/* Guards this thread is inside of; a second entry can only come from a signal handler. */
static __thread const uint64_t *held[2];

static __thread int cancel_state; /* of this thread, from before it held any */

/* No cancellation inside: a living process that never gives back would hold up the others. */
static int enter(const uint64_t *word)
{
	int state;
	for (int i = 0; i < 2; i++)
		if (held[i] == word)
			return zi_fail(-EDEADLK,
				       "segment: called from a signal handler inside itself");
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	if (held[0] == NULL && held[1] == NULL)
		cancel_state = state;
	held[held[0] != NULL] = word;
	return 0;
}

static void leave(const uint64_t *word)
{
	held[held[0] != word] = NULL;
	if (held[0] == NULL && held[1] == NULL)
		pthread_setcancelstate(cancel_state, NULL);
}

/* The low half of the word, on which sleepers wait. */
static const uint32_t *futex_of(const uint64_t *word)
{
	return (const uint32_t *)(const void *)word;
}

/* How many threads of this attachment may be the owner that a guard's word names. */
static uint32_t *guarding(zipc_segment *segment, const uint64_t *word)
{
	return &segment->self->guarding[word == &zi_header(segment)->heap_lock];
}

/* Named is this very attachment, but no thread of it is inside: the word is damaged. */
static bool is_false(zipc_segment *segment, const uint64_t *word, uint32_t owner, uint64_t me)
{
	/* relaxed: after the word was read, under GUARD-R2. Who took it had counted itself before,
	 * and who has gone since has changed the word, which the CAS on it will show. */
	return owner == me && zi_load_relaxed(guarding(segment, word)) == 0;
}

/* One attempt: 1 = ours, 0 = held by a living owner (*seen), negative = cannot tell who lives. */
static int try_lock(zipc_segment *segment, uint64_t *word, uint64_t me, uint64_t mark,
		    uint64_t *seen)
{
	/* GUARD-R2 acquire: who is named is counted, see is_false(). Pairs with GUARD-W2. */
	uint64_t w = zi_load_acquire(word);
	for (int i = 0; i < 1000; i++) {
		uint32_t owner = (uint32_t)w & ZI_ID_MASK;
		*seen = w;
		if (owner != 0 && !is_false(segment, word, owner, me)) {
			int dead = zi_peer_dead(segment, owner);
			if (dead <= 0)
				return dead;
		}
		uint64_t mine = (((w & ~(SEQUENCE - 1)) + SEQUENCE) | (w & SLEEPERS) | mark | me);
		/* GUARD-W2 release, that of the CAS: counted first, then named. Pairs with GUARD-R2. */
		zi_add_seq_cst(guarding(segment, word), 1u);
		/* GUARD-R1 acquire: what earlier owners wrote. Pairs with GUARD-W1.
		 * CRASH: from here the word names us; the next comer takes it over. */
		if (zi_cas_acq_rel(word, &w, mine))
			return 1;
		zi_add_seq_cst(guarding(segment, word), UINT32_MAX);
	}
	return 0;
}

/* Sleeps until the word changes, for a slice at most. CRASH: the mark costs one needless wake-up.
 */
static void sleep_once(uint64_t *word, uint64_t seen, int64_t slice)
{
	uint64_t marked = seen | SLEEPERS;
	if (seen != marked && !zi_cas_relaxed(word, &seen, marked))
		return;
	zi_futex_wait(futex_of(word), (uint32_t)marked, slice);
}

static int lock_slowly(zipc_segment *segment, uint64_t *word, uint64_t me)
{
	int64_t slice = SLICE_LEAST;
	for (;;) {
		uint64_t seen;
		/* having slept, we cannot know who else does: keep the mark */
		int r = try_lock(segment, word, me, SLEEPERS, &seen);
		if (r != 0)
			return r;
		if (zi_load_relaxed(&segment->interrupted) != 0)
			return -ECANCELED;
		sleep_once(word, seen, slice);
		slice = slice * 2 > SLICE_MOST ? SLICE_MOST : slice * 2;
	}
}

int zi_guard_lock(zipc_segment *segment, uint64_t *word)
{
	int me = zi_peer_id(segment);
	if (me < 0)
		return me;
	int r = enter(word);
	if (r < 0)
		return r;
	uint64_t seen;
	r = 0;
	for (int i = 0; i < SPINS && r == 0; i++) {
		if (i > 0)
			zi_pause();
		r = try_lock(segment, word, (uint64_t)me, 0, &seen);
	}
	if (r == 0)
		r = lock_slowly(segment, word, (uint64_t)me);
	if (r < 0)
		leave(word);
	return r < 0 ? r : 0;
}

void zi_guard_unlock(zipc_segment *segment, uint64_t *word)
{
	/* relaxed: only sleepers' marks change while we own it */
	uint64_t w = zi_load_relaxed(word);
	/* GUARD-W1 release: what we wrote. Pairs with GUARD-R1. */
	while (!zi_cas_acq_rel(word, &w, w & ~(SEQUENCE - 1)))
		;
	zi_add_seq_cst(guarding(segment, word), UINT32_MAX);
	leave(word);
	/* CRASH: dying here leaves a sleeper to the end of its slice */
	if ((w & SLEEPERS) != 0)
		zi_futex_wake(futex_of(word), 1);
}
