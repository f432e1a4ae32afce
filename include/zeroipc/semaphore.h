/* SPDX-License-Identifier: MIT */
/*
 * Semaphore: permits, in two kinds.
 *
 *   counting   a number. Anybody may release, whether it acquired or not: for signalling, and for
 *              counting what stands elsewhere. It knows no holders, so nothing comes back from the
 *              dead: a permit acquired by one who died is gone.
 *   owned      (ZIPC_SEMAPHORE_OWNED) each permit knows which process has it. Only that process can
 *              release it, and when it dies its permits come back. A permit belongs to the process,
 *              not to the thread: any of its threads may release it, through any handle of the same
 *              attachment. A forked child does not hold what its parent holds.
 *
 * Who may call what. Anybody, anything, at any time; handles may be shared by threads.
 *
 * Progress. Permits there: a counting semaphore is lock-free; an owned one too for one permit at a
 * time, while for several at once a *stopped* peer that is just collecting holds up the others that
 * want several. None there: blocking. acquire(n) takes all n or none; there is no queue, so single
 * ones may overtake it for as long as they come.
 *
 * When a process dies, at any instruction: counting, its release was done or not, its acquire too.
 * Owned, its permits are given to who comes next: at once to who asks then, within 80 ms to who
 * sleeps. A wake-up that dies with a waiter is made good at the end of a slice.
 *
 * Algorithm: counting, a compare-and-swap on the value; owned, an array of owner words, one permit
 * each, taken and given back by compare-and-swap.
 */
#ifndef ZEROIPC_SEMAPHORE_H
#define ZEROIPC_SEMAPHORE_H

#include "segment.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zipc_semaphore zipc_semaphore;

/* zipc_semaphore_options.flags */
#define ZIPC_SEMAPHORE_OWNED 1u

#define ZIPC_SEMAPHORE_MAX	 UINT32_C(0x7fffffff) /* permits of a counting one */
#define ZIPC_SEMAPHORE_OWNED_MAX UINT32_C(65535)      /* permits of an owned one */

typedef struct zipc_semaphore_options {
	uint32_t struct_size; /* sizeof(zipc_semaphore_options) */
	uint32_t flags;	      /* ZIPC_SEMAPHORE_*; open: 0 = any, else must be equal */
} zipc_semaphore_options;

#define ZIPC_SEMAPHORE_OPTIONS_INIT                                                                \
	{                                                                                          \
		(uint32_t)sizeof(zipc_semaphore_options), 0                                        \
	}

/* ---- lifecycle ------------------------------------------------------------------------------ */

/*
 * Creates one with `initial` permits there and never more than `maximum`: 1 to ZIPC_SEMAPHORE_MAX,
 * owned to ZIPC_SEMAPHORE_OWNED_MAX. An owned one begins with all of them: initial = maximum.
 * Returns 0; -EEXIST; -EINVAL; -E2BIG; -ENOSPC; -EROFS; -EDEADLK; -ECANCELED. Since 0.1.
 */
ZIPC_API int zipc_semaphore_create(zipc_segment *segment, const char *name, uint32_t initial,
				   uint32_t maximum, const zipc_semaphore_options *options,
				   zipc_semaphore **out_semaphore);

/* 0; -ENOENT; -EPROTOTYPE (not a semaphore, other flags); -EINVAL; -E2BIG; -EBADMSG. Since 0.1. */
ZIPC_API int zipc_semaphore_open(zipc_segment *segment, const char *name,
				 const zipc_semaphore_options *options,
				 zipc_semaphore **out_semaphore);

/*
 * Opens it (returns 0), or creates it when it does not exist (returns 1). An existing one keeps its
 * value and its maximum. Since 0.1.
 */
ZIPC_API int zipc_semaphore_open_or_create(zipc_segment *segment, const char *name,
					   uint32_t initial, uint32_t maximum,
					   const zipc_semaphore_options *options,
					   zipc_semaphore **out_semaphore);

/* Closes the handle; NULL is allowed. Permits stay with the process. Since 0.1. */
ZIPC_API void zipc_semaphore_close(zipc_semaphore *semaphore);

/* As zipc_remove(), and -EPROTOTYPE when the name is not a semaphore. Since 0.1. */
ZIPC_API int zipc_semaphore_remove(zipc_segment *segment, const char *name);

/* ---- operations ----------------------------------------------------------------------------- */

/*
 * Takes n permits, all or none, waiting up to timeout_ns nanoseconds until they are there.
 * Returns 0; -EAGAIN (not there, with ZIPC_NOWAIT); -ETIMEDOUT; -EINVAL (n is 0 or more than the
 * maximum); -ECANCELED; -EROFS; -ESTALE (after fork, and the semaphore was removed); -EBADF. Blocking.
 * Crash: taken or not. Since 0.1.
 */
ZIPC_API int zipc_semaphore_acquire(zipc_semaphore *semaphore, uint32_t n, int64_t timeout_ns);

/*
 * Gives back n permits. Returns 0; -EOVERFLOW (counting: there would be more than the maximum; nothing
 * happened); -EPERM (owned: this process does not have that many; nothing happened); -EINVAL (n is 0);
 * -EROFS; -ESTALE. Lock-free but for the wake-ups. Crash: counting, all or nothing; owned, all come
 * back anyway. Since 0.1.
 */
ZIPC_API int zipc_semaphore_release(zipc_semaphore *semaphore, uint32_t n);

/* ---- looking -------------------------------------------------------------------------------- */

/* Permits that are there at this moment, those of the dead included. Read-only attachments too.
 * Wait-free; owned: O(maximum). Since 0.1. */
ZIPC_API uint32_t zipc_semaphore_value(zipc_semaphore *semaphore);

/* Fixed at creation. Since 0.1. */
ZIPC_API uint32_t zipc_semaphore_maximum(const zipc_semaphore *semaphore);
ZIPC_API uint32_t zipc_semaphore_flags(const zipc_semaphore *semaphore);

/* Owned: how many permits this process has. Counting: 0. Since 0.1. */
ZIPC_API uint32_t zipc_semaphore_held(zipc_semaphore *semaphore);

#ifdef __cplusplus
}
#endif

#endif
