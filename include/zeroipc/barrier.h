/* SPDX-License-Identifier: MIT */
/*
 * Barrier: threads of all processes meet, round after round.
 *
 * Who may call what. A thread joins, and is a participant from then on: no round is complete without
 * it, until it drops out. Any handle of the same attachment will do. A forked child has not joined.
 * The first round needs as many participants as the barrier was created for (unless it is
 * ZIPC_BARRIER_OPEN); later rounds need those that take part then.
 *
 * Progress. Blocking, by nature. The rest is lock-free.
 *
 * When a participant dies, at any instruction, or its thread ends, without having arrived, or when one
 * that has arrived gives up (its time is over, it was interrupted), the barrier is *broken*: everybody
 * who waits in this round, and everybody who comes, gets -EPIPE, until zipc_barrier_reset(). A death
 * is noticed by who waits, within 80 ms. One that dies after it arrived breaks the next round. Every
 * participant of a round is told the same: it was completed for all of them or for none. A wake-up
 * that dies with a waiter is made good at the end of a slice.
 *
 * Algorithm: each participant has a word that says who it is and in which round it arrived; nothing is
 * counted, so nothing can be miscounted. Whoever sees all words in the same round raises the round by
 * compare-and-swap: that one is the leader.
 */
#ifndef ZEROIPC_BARRIER_H
#define ZEROIPC_BARRIER_H

#include "segment.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zipc_barrier zipc_barrier;

/* zipc_barrier_options.flags */
#define ZIPC_BARRIER_OPEN 1u /* the first round does not wait for all to have joined */

#define ZIPC_BARRIER_MAX UINT32_C(4096)

typedef struct zipc_barrier_options {
	uint32_t struct_size; /* sizeof(zipc_barrier_options) */
	uint32_t flags;	      /* ZIPC_BARRIER_*; open: 0 = any, else must be equal */
} zipc_barrier_options;

#define ZIPC_BARRIER_OPTIONS_INIT                                                                  \
	{                                                                                          \
		(uint32_t)sizeof(zipc_barrier_options), 0                                          \
	}

/* ---- lifecycle ------------------------------------------------------------------------------ */

/*
 * Creates one for that many participants: 1 to ZIPC_BARRIER_MAX.
 * Returns 0; -EEXIST; -EINVAL; -E2BIG; -ENOSPC; -EROFS; -EDEADLK; -ECANCELED. Since 0.1.
 */
ZIPC_API int zipc_barrier_create(zipc_segment *segment, const char *name, uint32_t participants,
				 const zipc_barrier_options *options, zipc_barrier **out_barrier);

/* 0; -ENOENT; -EPROTOTYPE (not a barrier, other flags); -EINVAL; -E2BIG; -EBADMSG. Since 0.1. */
ZIPC_API int zipc_barrier_open(zipc_segment *segment, const char *name,
			       const zipc_barrier_options *options, zipc_barrier **out_barrier);

/* Opens it (returns 0), or creates it when it does not exist (returns 1). An
 * existing one keeps its number of participants. Since 0.1. */
ZIPC_API int zipc_barrier_open_or_create(zipc_segment *segment, const char *name,
					 uint32_t participants, const zipc_barrier_options *options,
					 zipc_barrier **out_barrier);

/* Closes the handle; NULL is allowed. Drop out first: a participant stays one until
 * its thread ends. Since 0.1. */
ZIPC_API void zipc_barrier_close(zipc_barrier *barrier);

/* As zipc_remove(), and -EPROTOTYPE when the name is not a barrier. Since 0.1. */
ZIPC_API int zipc_barrier_remove(zipc_segment *segment, const char *name);
/* ---- operations ----------------------------------------------------------------------------- */

/*
 * The calling thread takes part from now on, also in the round that is under way. Returns 0; -EEXIST
 * (it does already); -ENOSPC (there are as many as the barrier was created for; the dead count until
 * zipc_barrier_reset()); -EROFS; -ESTALE; -ENOMEM, as zipc_mutex_lock(). Lock-free. Crash: a dead
 * participant, or none. Since 0.1.
 */
ZIPC_API int zipc_barrier_join(zipc_barrier *barrier);

/*
 * Arrives, and waits up to timeout_ns nanoseconds until all have.
 * Returns 1 to one of the participants of the round, its leader, and 0 to the others. Else -EPIPE
 * (broken, or reset meanwhile); -ETIMEDOUT and -ECANCELED, which have broken it; -EAGAIN (with
 * ZIPC_NOWAIT, and the others have not all arrived: nothing happened); -EPERM (this thread has not
 * joined). A round that is completed at the moment its time is over is completed. Since 0.1.
 */
ZIPC_API int zipc_barrier_wait(zipc_barrier *barrier, int64_t timeout_ns);

/*
 * Arrives, does not wait, and takes no part any more. Returns 1 (it was the last, and thereby the
 * leader of the round) or 0; -EPIPE (broken; it takes no part any more all the same); -EPERM (this
 * thread has not joined). Lock-free. Since 0.1.
 */
ZIPC_API int zipc_barrier_arrive_and_drop(zipc_barrier *barrier);

/*
 * Makes it usable again, broken or not: the dead and those who dropped out are no participants any
 * more, the others stay. Who waits at this moment gets -EPIPE. Returns 0; -EROFS; -ESTALE; -EBADF.
 * Lock-free. Since 0.1.
 */
ZIPC_API int zipc_barrier_reset(zipc_barrier *barrier);

/* ---- looking -------------------------------------------------------------------------------- */

typedef struct zipc_barrier_info {
	uint32_t struct_size;  /* in: sizeof(zipc_barrier_info) */
	uint32_t participants; /* as many as it was created for */
	uint32_t joined;       /* take part now, the dead included */
	uint32_t arrived;      /* of these, in the round under way */
	uint32_t round;	       /* number of that round, modulo 2^24; a reset begins a new one */
	uint32_t broken;       /* 1 */
	uint32_t by_death;     /* 1: because a participant died */
	uint32_t reserved;
} zipc_barrier_info;

/* A moment's view; read-only attachments too. 0; -EINVAL (struct_size). Since 0.1. */
ZIPC_API int zipc_barrier_get_info(zipc_barrier *barrier, zipc_barrier_info *out_info);

#ifdef __cplusplus
}
#endif

#endif
