/* SPDX-License-Identifier: MIT */
/* Rwlock: readers and writers; see rwlock.h for the protocol. */
#include "rwlock.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../wait/gate.h"

#include <errno.h>

#define CAS_TRIES 64

struct request {
	zipc_rwlock *rwlock;
	uint64_t me;
	struct zi_named *reader; /* the own one */
	uint32_t drained;	 /* reader words below it have let the writer pass */
};

static int say(const zipc_rwlock *rwlock, int code)
{
	const char *name = rwlock->object.view.name;
	switch (code) {
	case -EPERM:
		return zi_fail(code, "rwlock '%s': this thread does not hold it so", name);
	case -EDEADLK:
		return zi_fail(code, "rwlock '%s': this thread holds it already", name);
	case -EOVERFLOW:
		return zi_fail(code, "rwlock '%s': this thread holds it 4,095 times", name);
	case -ENOSPC:
		return zi_fail(code, "rwlock '%s': %u threads hold it or wait (max_holders)", name,
			       rwlock->max_holders);
	case -ENOTRECOVERABLE:
		return zi_fail(
			code,
			"rwlock '%s': a writer died, and the next gave it back without saying "
			"that it is consistent",
			name);
	default:
		return code;
	}
}

/* ---- the writer word ------------------------------------------------------------------------ */

void zi_rwlock_wake_all(zipc_segment *segment, struct zi_rwlock *shared)
{
	zi_gate_order(segment->self);
	if (zi_unlikely(zi_gate_occupied(&shared->readers_gate)))
		zi_gate_wake_all(&shared->readers_gate);
	if (zi_unlikely(zi_gate_occupied(&shared->writers_gate)))
		zi_gate_wake_one(&shared->writers_gate);
}

/*
 * The writer word says *seen. 0 = it has no owner now (*seen is what it says then); -EAGAIN = a
 * living one; -ENOTRECOVERABLE; -EBADF.
 */
static int free_of_writer(const struct request *r, uint64_t *seen)
{
	struct zi_rwlock *shared = r->rwlock->shared;
	for (int i = 0; i < CAS_TRIES; i++) {
		if ((*seen & ZI_WRITER_LOST) != 0)
			return -ENOTRECOVERABLE;
		if (zi_owner_id(*seen) == 0)
			return 0;
		int dead = zi_owner_dead(r->rwlock->segment, *seen);
		if (dead <= 0)
			return dead < 0 ? dead : -EAGAIN;
		uint64_t without = zi_writer_without_owner(*seen);
		/* CRASH: named by a dead one, or by nobody: whoever comes next goes on */
		if (zi_cas_seq_cst(&shared->writer, seen, without)) {
			*seen = without;
			zi_rwlock_wake_all(r->rwlock->segment, shared);
		}
	}
	return -EAGAIN;
}

/* What the call says that has just got the lock. Nobody can write while it holds it. */
static int got(uint64_t writer)
{
	return (writer & ZI_WRITER_SUSPECT) != 0 ? -EOWNERDEAD : 0;
}

/* ---- reader words --------------------------------------------------------------------------- */

static struct zi_named *find_own(zipc_rwlock *rwlock, uint64_t me)
{
	struct zi_named *readers = rwlock->shared->readers;
	uint32_t used = zi_rwlock_used(rwlock->shared, rwlock->max_holders);
	return (struct zi_named *)(void *)zi_named_find(&readers->word,
							sizeof *readers / sizeof readers->word,
							used, &rwlock->hints, me, 0);
}

/* The reader word that this thread used last, perhaps. */
static inline struct zi_named *likely_own(zipc_rwlock *rwlock, uint64_t me)
{
	return &rwlock->shared->readers[zi_load_relaxed(zi_named_hint(&rwlock->hints, me))];
}

/* Makes a word that nobody needs count 1 for us. */
static bool claim(const struct request *r, struct zi_named *reader, uint64_t word)
{
	/* RWLOCK-W1 seq_cst: before the writer word is looked at. Pairs with RWLOCK-R1.
	 * CRASH: a reader that is dead; the next writer takes the name away. */
	return zi_cas_seq_cst(&reader->word, &word, r->me | ZI_READER_ONE);
}

/* Is this word to be had? 1, 0, -EBADF. What living threads had last is left to them at first. */
static int can_be_had(const struct request *r, uint64_t word, bool idle_too)
{
	if (word == 0 || (idle_too && (word & ZI_READER_BUSY) == 0))
		return 1;
	return zi_owner_dead(r->rwlock->segment, word);
}

/* Takes reader word i if it is to be had: 1, 0, -EBADF. */
static int claim_at(struct request *r, uint32_t i, bool idle_too)
{
	struct zi_rwlock *shared = r->rwlock->shared;
	struct zi_named *reader = &shared->readers[i];
	uint64_t w = zi_load_relaxed(&reader->word);
	int had = can_be_had(r, w, idle_too);
	if (had <= 0)
		return had;
	uint32_t used = zi_load_relaxed(&shared->used);
	/* RWLOCK-W4 seq_cst: writers look as far as this, before the word is used. Pairs with
	 * RWLOCK-R4. CRASH: they look at one more. */
	while (used <= i && !zi_cas_seq_cst(&shared->used, &used, i + 1))
		;
	if (!claim(r, reader, w))
		return 0;
	r->reader = reader;
	zi_store_relaxed(zi_named_hint(&r->rwlock->hints, r->me), i);
	return 1;
}

/* A word that is free, or was a dead one's, or else an idle one's: 1; -ENOSPC; -EBADF. */
static int claim_any(struct request *r)
{
	for (int idle_too = 0; idle_too < 2; idle_too++) {
		for (uint32_t i = 0; i < r->rwlock->max_holders; i++) {
			int result = claim_at(r, i, idle_too != 0);
			if (result != 0)
				return result;
		}
	}
	return -ENOSPC;
}

/* Counts no longer. The word stays ours by name, for the next time. */
static void stop_reading(zipc_rwlock *rwlock, struct zi_named *reader, uint64_t word)
{
	/* RWLOCK-W2 release: we have read what we wanted. Pairs with RWLOCK-R2. A plain store: the
	 * word is ours while it counts. CRASH: gone; a writer looks again at the end of its slice. */
	zi_store_release(&reader->word, word);
	zi_gate_signal(rwlock->segment, &rwlock->shared->drain_gate);
}

/* ---- reading -------------------------------------------------------------------------------- */

/*
 * The own word counts. With no writer that is it; else it is WAITING, and -EAGAIN. On a refusal it
 * is free.
 */
static int settle_reader(struct request *r)
{
	/* RWLOCK-R3 seq_cst: after the own word was written; and acquire: what the writer wrote. Pairs
	 * with RWLOCK-W3. */
	uint64_t seen = zi_load_seq_cst(&r->rwlock->shared->writer);
	int result = free_of_writer(r, &seen);
	if (result == 0)
		return got(seen);
	stop_reading(r->rwlock, r->reader, result == -EAGAIN ? r->me | ZI_READER_WAITING : r->me);
	return result;
}

/* The own word is WAITING, or a writer that left has made it count. */
static int attempt_read(void *arg, bool *named)
{
	struct request *r = arg;
	/* RWLOCK-R5 acquire: what the writer wrote that let us in. Pairs with RWLOCK-W5. */
	uint64_t w = zi_load_acquire(&r->reader->word);
	uint64_t waiting = r->me | ZI_READER_WAITING;
	/* RWLOCK-R3, as above */
	uint64_t seen = zi_load_seq_cst(&r->rwlock->shared->writer);
	if (w != waiting)
		return w == (r->me | ZI_READER_ONE) ? got(seen) : -EBADMSG;
	int result = free_of_writer(r, &seen);
	*named = result == -EAGAIN;
	if (result < 0)
		return result;
	if (!claim(r, r->reader, waiting))
		return got(zi_load_seq_cst(&r->rwlock->shared->writer)); /* let in just now */
	return settle_reader(r);
}

static int wait_to_read(struct request *r, int64_t timeout_ns)
{
	int result = -EAGAIN;
	if (timeout_ns != ZIPC_NOWAIT)
		result = zi_gate_wait(r->rwlock->segment, &r->rwlock->shared->readers_gate,
				      timeout_ns, attempt_read, r);
	if (result == 0 || result == -EOWNERDEAD)
		return result;
	uint64_t waiting = r->me | ZI_READER_WAITING;
	/* acquire when it fails: a writer has let it in, as RWLOCK-R5. CRASH: as if it still wanted; a
	 * dead one holds nobody up. */
	if (zi_cas_acq_rel(&r->reader->word, &waiting, r->me) || waiting != (r->me | ZI_READER_ONE))
		return result;
	return got(zi_load_seq_cst(&r->rwlock->shared->writer));
}

/* Has a word already: once more, or at all. -EAGAIN = another has taken the word. */
static int read_by_own(struct request *r)
{
	uint64_t w = zi_load_relaxed(&r->reader->word);
	if ((w & ZI_OWNER_MASK) != r->me)
		return -EAGAIN;
	if ((w & ZI_READER_COUNT_MASK) == ZI_READER_COUNT_MASK)
		return -EOVERFLOW;
	if ((w & ZI_READER_COUNT_MASK) == 0)
		return claim(r, r->reader, w) ? 1 : -EAGAIN;
	/* inside already: no writer can be, and one that waits waits for us. CRASH: as often as it
	 * says, and dead */
	zi_store_relaxed(&r->reader->word, w + ZI_READER_ONE);
	return got(zi_load_relaxed(&r->rwlock->shared->writer));
}

static __attribute__((noinline)) int read_slowly(zipc_rwlock *rwlock, int64_t timeout_ns)
{
	struct request r = {.rwlock = rwlock};
	int result = zi_owner_enter(&rwlock->object, &r.me);
	if (result < 0)
		return result;
	if ((zi_load_relaxed(&rwlock->shared->writer) & ZI_OWNER_MASK) == r.me)
		return say(rwlock, -EDEADLK);
	r.reader = find_own(rwlock, r.me);
	result = r.reader != NULL ? read_by_own(&r) : -EAGAIN;
	if (result == -EAGAIN)
		result = claim_any(&r);
	if (result == 1)
		result = settle_reader(&r);
	return say(rwlock, result == -EAGAIN ? wait_to_read(&r, timeout_ns) : result);
}

/* The own word counts already, but there is something about the writer. */
static __attribute__((noinline)) int
read_beside_writer(zipc_rwlock *rwlock, struct zi_named *reader, uint64_t me, int64_t timeout_ns)
{
	struct request r = {.rwlock = rwlock, .me = me, .reader = reader};
	if ((zi_load_relaxed(&rwlock->shared->writer) & ZI_OWNER_MASK) == me) {
		stop_reading(rwlock, reader, me);
		return say(rwlock, -EDEADLK);
	}
	int result = settle_reader(&r);
	return say(rwlock, result == -EAGAIN ? wait_to_read(&r, timeout_ns) : result);
}

int zipc_rwlock_read_lock(zipc_rwlock *rwlock, int64_t timeout_ns)
{
	uint32_t id = zi_load_relaxed(&rwlock->self->id), thread = zi_thread_number;
	uint64_t me = zi_owner_make(id, thread), idle = me;
	if (zi_unlikely(id != rwlock->object.id || thread == ZI_THREAD_NONE))
		return read_slowly(rwlock, timeout_ns);
	struct zi_named *reader = likely_own(rwlock, me);
	/* RWLOCK-W1, as in claim() */
	if (zi_unlikely(!zi_cas_seq_cst(&reader->word, &idle, me | ZI_READER_ONE)))
		return read_slowly(rwlock, timeout_ns);
	/* RWLOCK-R3, as in settle_reader() */
	if (zi_unlikely(zi_load_seq_cst(&rwlock->shared->writer) != 0))
		return read_beside_writer(rwlock, reader, me, timeout_ns);
	return 0;
}

static __attribute__((noinline)) int read_unlock_slowly(zipc_rwlock *rwlock)
{
	uint64_t me = zi_owner_self(rwlock->self);
	struct zi_named *reader = find_own(rwlock, me);
	/* relaxed: our own store, or not ours */
	uint64_t w = reader == NULL ? 0 : zi_load_relaxed(&reader->word);
	if ((w & ZI_READER_COUNT_MASK) == 0)
		return say(rwlock, -EPERM);
	if (w - ZI_READER_ONE == me)
		stop_reading(rwlock, reader, me);
	else
		zi_store_relaxed(&reader->word, w - ZI_READER_ONE);
	return 0;
}

static __attribute__((noinline, cold)) int wake_writer(zipc_rwlock *rwlock)
{
	zi_gate_wake_one(&rwlock->shared->drain_gate);
	return 0;
}

int zipc_rwlock_read_unlock(zipc_rwlock *rwlock)
{
	uint64_t me = zi_owner_self(rwlock->self);
	struct zi_named *reader = likely_own(rwlock, me);
	/* relaxed: our own store, or not ours */
	if (zi_unlikely(zi_load_relaxed(&reader->word) != (me | ZI_READER_ONE)))
		return read_unlock_slowly(rwlock);
	zi_store_release(&reader->word, me); /* RWLOCK-W2, as in stop_reading() */
	zi_gate_order(rwlock->self);
	return zi_unlikely(zi_gate_occupied(&rwlock->shared->drain_gate)) ? wake_writer(rwlock) : 0;
}

/* ---- writing -------------------------------------------------------------------------------- */

static int attempt_claim(void *arg, bool *named)
{
	const struct request *r = arg;
	/* relaxed: the CAS decides */
	uint64_t seen = zi_load_relaxed(&r->rwlock->shared->writer);
	int result = free_of_writer(r, &seen);
	*named = result == -EAGAIN;
	if (result < 0)
		return result;
	/* RWLOCK-W3 seq_cst: before the reader words are looked at; and acquire: what the last writer
	 * wrote. Pairs with RWLOCK-R3. CRASH: named, and not ACTIVE: nothing was written. */
	return zi_cas_seq_cst(&r->rwlock->shared->writer, &seen, seen | r->me) ? 0 : -EAGAIN;
}

/* Has this reader let us pass? 0; -EAGAIN; -EDEADLK; -EBADF. */
static int pass_reader(const struct request *r, struct zi_named *reader)
{
	/* RWLOCK-R1 seq_cst: after the writer word was written. Pairs with RWLOCK-W1.
	 * RWLOCK-R2 as well: what it read, it has read. */
	uint64_t w = zi_load_seq_cst(&reader->word);
	if ((w & ZI_READER_COUNT_MASK) == 0)
		return 0;
	if ((w & ZI_OWNER_MASK) == r->me)
		return -EDEADLK;
	int dead = zi_owner_dead(r->rwlock->segment, w);
	if (dead < 0)
		return dead;
	/* CRASH: a dead reader, or none: the next writer looks again */
	return dead == 1 && zi_cas_acq_rel(&reader->word, &w, UINT64_C(0)) ? 0 : -EAGAIN;
}

/* Readers come no more: those who count now leave, or find our name and wait. */
static int attempt_drain(void *arg, bool *named)
{
	struct request *r = arg;
	uint32_t used = zi_rwlock_used(r->rwlock->shared, r->rwlock->max_holders);
	for (; r->drained < used; r->drained++) {
		/* RWLOCK-R2 acquire, in pass_reader(): they have read. Pairs with RWLOCK-W2. */
		int result = pass_reader(r, &r->rwlock->shared->readers[r->drained]);
		*named = result == -EAGAIN;
		if (result < 0)
			return result;
	}
	return 0;
}

/* Every reader that waits is inside from now on, by its own name. */
static void let_readers_in(zipc_rwlock *rwlock)
{
	uint32_t used = zi_rwlock_used(rwlock->shared, rwlock->max_holders);
	for (uint32_t i = 0; i < used; i++) {
		uint64_t *word = &rwlock->shared->readers[i].word, w = zi_load_relaxed(word);
		/* RWLOCK-W5 release: what we wrote. Pairs with RWLOCK-R5. Fails if it gives up.
		 * CRASH: some are in, the others find a dead writer that was not ACTIVE. */
		if ((w & ZI_READER_WAITING) != 0)
			zi_cas_acq_rel(word, &w, (w & ZI_OWNER_MASK) | ZI_READER_ONE);
	}
}

/* Takes our name away: `rest` is what stays. */
static void leave(zipc_rwlock *rwlock, uint64_t me, uint64_t rest)
{
	struct zi_rwlock *shared = rwlock->shared;
	if (zi_unlikely(zi_gate_occupied(&shared->readers_gate))) {
		/* CRASH: from here on we do not write any more, and our death is told to nobody */
		zi_store_release(&shared->writer, me | rest);
		let_readers_in(rwlock);
	}
	/* RWLOCK-W3 release: what we wrote. Pairs with RWLOCK-R3. A plain store: the word is ours.
	 * CRASH: gone; sleepers look again at the end of their slices. */
	zi_store_release(&shared->writer, rest);
	zi_rwlock_wake_all(rwlock->segment, shared);
}

/* Waits for the readers; `end` is when, 0 = timeout_ns from now. */
static int drain(struct request *r, int64_t timeout_ns, int64_t end)
{
	bool named = false;
	int result = attempt_drain(r, &named);
	if (result != -EAGAIN || timeout_ns == ZIPC_NOWAIT)
		return result;
	if (end != 0 && end != INT64_MAX) {
		timeout_ns = end - zi_now_ns();
		if (timeout_ns <= 0)
			return -ETIMEDOUT;
	}
	return zi_gate_wait(r->rwlock->segment, &r->rwlock->shared->drain_gate, timeout_ns,
			    attempt_drain, r);
}

/* Our name is in the writer word. */
static int become_active(struct request *r, int64_t timeout_ns, int64_t end)
{
	struct zi_rwlock *shared = r->rwlock->shared;
	int result = drain(r, timeout_ns, end);
	/* relaxed: our own word */
	uint64_t rest = zi_load_relaxed(&shared->writer) & ZI_WRITER_SUSPECT;
	if (result < 0) {
		leave(r->rwlock, r->me, rest);
		return say(r->rwlock, result);
	}
	/* relaxed: for who finds us dead. CRASH: before it nothing was written. */
	zi_store_relaxed(&shared->writer, r->me | rest | ZI_WRITER_ACTIVE);
	return got(rest);
}

int zipc_rwlock_write_lock(zipc_rwlock *rwlock, int64_t timeout_ns)
{
	struct request r = {.rwlock = rwlock};
	bool named = false;
	int64_t end = 0;
	int result = zi_owner_enter(&rwlock->object, &r.me);
	if (zi_unlikely(result < 0))
		return result;
	result = attempt_claim(&r, &named);
	if (zi_unlikely(result == -EAGAIN)) {
		if ((zi_load_relaxed(&rwlock->shared->writer) & ZI_OWNER_MASK) == r.me)
			return say(rwlock, -EDEADLK);
		if (timeout_ns == ZIPC_NOWAIT)
			return -EAGAIN;
		end = zi_deadline(timeout_ns);
		result = zi_gate_wait(rwlock->segment, &rwlock->shared->writers_gate, timeout_ns,
				      attempt_claim, &r);
	}
	return result < 0 ? say(rwlock, result) : become_active(&r, timeout_ns, end);
}

int zipc_rwlock_write_unlock(zipc_rwlock *rwlock)
{
	uint64_t me = zi_owner_self(rwlock->self);
	/* relaxed: our own store, or not ours */
	uint64_t w = zi_load_relaxed(&rwlock->shared->writer);
	if (zi_likely(w == (me | ZI_WRITER_ACTIVE))) {
		leave(rwlock, me, 0);
		return 0;
	}
	if (w != (me | ZI_WRITER_ACTIVE | ZI_WRITER_SUSPECT))
		return say(rwlock, -EPERM);
	/* CRASH: before it SUSPECT is told on; after it LOST, which sleepers learn by themselves */
	zi_store_release(&rwlock->shared->writer, ZI_WRITER_LOST);
	zi_gate_wake_all(&rwlock->shared->readers_gate);
	zi_gate_wake_all(&rwlock->shared->writers_gate);
	return 0;
}

int zipc_rwlock_downgrade(zipc_rwlock *rwlock)
{
	struct request r = {.rwlock = rwlock, .me = zi_owner_self(rwlock->self)};
	/* relaxed: our own store, or not ours */
	uint64_t w = zi_load_relaxed(&rwlock->shared->writer);
	if (w == (r.me | ZI_WRITER_ACTIVE | ZI_WRITER_SUSPECT))
		return zi_fail(-EINVAL, "rwlock '%s': say first that it is consistent",
			       rwlock->object.view.name);
	if (w != (r.me | ZI_WRITER_ACTIVE))
		return say(rwlock, -EPERM);
	r.reader = find_own(rwlock, r.me);
	int result = r.reader != NULL && claim(&r, r.reader, r.me) ? 1 : claim_any(&r);
	if (result < 0)
		return say(rwlock, result);
	/* CRASH: dead as a writer and as a reader */
	leave(rwlock, r.me, 0);
	return 0;
}

int zipc_rwlock_consistent(zipc_rwlock *rwlock)
{
	uint64_t me = zi_owner_self(rwlock->self) | ZI_WRITER_ACTIVE;
	/* relaxed: our own store, or not ours */
	uint64_t w = zi_load_relaxed(&rwlock->shared->writer);
	if ((w & ~ZI_WRITER_SUSPECT) != me)
		return say(rwlock, -EPERM);
	if (w == me)
		return zi_fail(-EINVAL, "rwlock '%s': no writer of it has died",
			       rwlock->object.view.name);
	/* release, as zi_lock_consistent(). CRASH: ACTIVE: told in either case. */
	zi_store_release(&rwlock->shared->writer, me);
	return 0;
}
