/* SPDX-License-Identifier: MIT */
/*
 * Mutex: one thread of all processes at a time.
 *
 * Who may call what. A mutex is held by a thread of a process, not by a handle: any handle of the
 * same attachment will do to unlock, another thread will not. Handles may be shared by threads. It
 * knows who holds it: a second lock by the holder is refused (or counted, ZIPC_MUTEX_RECURSIVE), and
 * so is an unlock by anybody else. A forked child does not hold what its parent holds.
 *
 * Progress. Blocking: whoever wants a held mutex spins for some microseconds, then sleeps. Free, it
 * is taken with one compare-and-swap and given back with one store. There is no queue: who comes at
 * the right moment gets it. A *stopped* holder holds up the others, until it goes on or dies.
 *
 * When the holder dies, at any instruction, or its thread ends (pthread_exit, cancellation, return),
 * the next comer gets the mutex with -EOWNERDEAD: it *has* it, and should look at what the mutex
 * protects. Having repaired that, it calls zipc_mutex_consistent(); if it unlocks without, the mutex
 * is unusable for good (-ENOTRECOVERABLE). A holder's death is noticed at once by who asks then, and
 * by who sleeps within 80 ms. Waiters that die leave nothing behind; a wake-up that dies with one is
 * made good by the same 80 ms. Destructors of thread-specific data may still unlock what their thread
 * holds. Unlock before closing the last handle: what is held without one is given back by the end of
 * the process only.
 *
 * Algorithm: one 64-bit owner word {peer, thread, depth, flags} taken by compare-and-swap, as in
 * robust futexes (U. Drepper, "Futexes Are Tricky"); sleepers wait at a gate beside it.
 */
#ifndef ZEROIPC_MUTEX_H
#define ZEROIPC_MUTEX_H

#include "segment.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zipc_mutex zipc_mutex;

/* zipc_mutex_options.flags */
#define ZIPC_MUTEX_RECURSIVE 1u /* its holder may lock it up to 4,096 times */

typedef struct zipc_mutex_options {
	uint32_t struct_size; /* sizeof(zipc_mutex_options) */
	uint32_t flags;	      /* ZIPC_MUTEX_*; open: 0 = any, else must be equal */
} zipc_mutex_options;

#define ZIPC_MUTEX_OPTIONS_INIT                                                                    \
	{                                                                                          \
		(uint32_t)sizeof(zipc_mutex_options), 0                                            \
	}

/* ---- lifecycle ------------------------------------------------------------------------------ */

/* Creates a free one. 0; -EEXIST; -EINVAL; -E2BIG; -ENOSPC; -EROFS; -EDEADLK; -ECANCELED. Since 0.1.
 */
ZIPC_API int zipc_mutex_create(zipc_segment *segment, const char *name,
			       const zipc_mutex_options *options, zipc_mutex **out_mutex);

/* 0; -ENOENT; -EPROTOTYPE (not a mutex, other flags); -EINVAL; -E2BIG; -EBADMSG. Since 0.1. */
ZIPC_API int zipc_mutex_open(zipc_segment *segment, const char *name,
			     const zipc_mutex_options *options, zipc_mutex **out_mutex);

/* Opens it (returns 0), or creates it when it does not exist (returns 1). Since 0.1. */
ZIPC_API int zipc_mutex_open_or_create(zipc_segment *segment, const char *name,
				       const zipc_mutex_options *options, zipc_mutex **out_mutex);

/* Closes the handle; NULL is allowed. Does not unlock. Since 0.1. */
ZIPC_API void zipc_mutex_close(zipc_mutex *mutex);

/* As zipc_remove(), and -EPROTOTYPE when the name is not a mutex. Since 0.1. */
ZIPC_API int zipc_mutex_remove(zipc_segment *segment, const char *name);

/* ---- operations ----------------------------------------------------------------------------- */

/*
 * Takes the mutex, waiting up to timeout_ns nanoseconds.
 * Returns 0 and -EOWNERDEAD with the mutex held, the latter when its last holder died. Without it:
 * -EAGAIN (held, with ZIPC_NOWAIT); -ETIMEDOUT; -EDEADLK (this thread holds it already); -EOVERFLOW
 * (recursive, and it holds it 4,096 times); -ENOTRECOVERABLE; -ECANCELED; -EROFS; -ESTALE (after
 * fork, and the mutex was removed); -ENOMEM (the first lock of a thread, and no thread-specific key
 * is left). Blocking. Since 0.1.
 */
ZIPC_API int zipc_mutex_lock(zipc_mutex *mutex, int64_t timeout_ns);

/*
 * Gives it back (recursive: once). Returns 0; -EPERM (this thread does not hold it: nothing
 * happened). After -EOWNERDEAD and without zipc_mutex_consistent() it is unusable from here on.
 * Wait-free but for the wake-up. Crash: given back, or held by a dead one. Since 0.1.
 */
ZIPC_API int zipc_mutex_unlock(zipc_mutex *mutex);

/*
 * After -EOWNERDEAD, by its holder: what it protects is in order again. Returns 0; -EPERM (this
 * thread does not hold it); -EINVAL (there is nothing to be said). Wait-free. Since 0.1.
 */
ZIPC_API int zipc_mutex_consistent(zipc_mutex *mutex);

/* ---- looking -------------------------------------------------------------------------------- */

typedef struct zipc_mutex_info {
	uint32_t struct_size;  /* in: sizeof(zipc_mutex_info) */
	uint32_t held;	       /* how often its holder has it; 0 = free */
	uint32_t owner_id;     /* attachment of the holder, dead or not; 0 = free */
	uint32_t owner_pid;    /* for people; 0 = unknown */
	uint32_t owner_thread; /* the holder's kernel thread id */
	uint32_t suspect;      /* 1: a holder died and zipc_mutex_consistent() was not called yet */
	uint32_t lost;	       /* 1: not recoverable */
	uint32_t reserved;
} zipc_mutex_info;

/* A moment's view; read-only attachments too. 0; -EINVAL (struct_size). Wait-free. Since 0.1. */
ZIPC_API int zipc_mutex_get_info(zipc_mutex *mutex, zipc_mutex_info *out_info);

#ifdef __cplusplus
}
#endif

#endif
