/* SPDX-License-Identifier: MIT */
/*
 * Once: something that is done a single time, by whoever needs it first.
 *
 * Who may call what. Any thread of any process calls zipc_once_call() with a function; one runs it,
 * the others wait until it is done. Each process brings its own function: they ought to do the same.
 *
 * Progress. Done: wait-free, one load. Else blocking: a *stopped* runner holds up the others.
 *
 * When the runner dies, at any instruction, or its thread ends inside the function, or the function
 * fails, the next caller runs its own. The function learns which attempt it is, so that it can clean
 * up after the ones before it. A runner that dies after its function returned, but before this was
 * noted, has not done it: the function must be able to run again. A death is noticed at once by who
 * asks then, and by who sleeps within 80 ms.
 *
 * Algorithm: one 64-bit word {done, attempts, runner}, taken by compare-and-swap.
 */
#ifndef ZEROIPC_ONCE_H
#define ZEROIPC_ONCE_H

#include "segment.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zipc_once zipc_once;

typedef struct zipc_once_options {
	uint32_t struct_size; /* sizeof(zipc_once_options) */
	uint32_t flags;	      /* 0 */
} zipc_once_options;

#define ZIPC_ONCE_OPTIONS_INIT                                                                     \
	{                                                                                          \
		(uint32_t)sizeof(zipc_once_options), 0                                             \
	}

/* ---- lifecycle ------------------------------------------------------------------------------ */

/* Creates one that is not done. 0; -EEXIST; -EINVAL; -E2BIG; -ENOSPC; -EROFS; -EDEADLK; -ECANCELED.
 * Since 0.1. */
ZIPC_API int zipc_once_create(zipc_segment *segment, const char *name,
			      const zipc_once_options *options, zipc_once **out_once);

/* 0; -ENOENT; -EPROTOTYPE (not a once); -EINVAL; -E2BIG; -EBADMSG. Since 0.1. */
ZIPC_API int zipc_once_open(zipc_segment *segment, const char *name,
			    const zipc_once_options *options, zipc_once **out_once);

/* Opens it (returns 0), or creates it when it does not exist (returns 1). Since 0.1. */
ZIPC_API int zipc_once_open_or_create(zipc_segment *segment, const char *name,
				      const zipc_once_options *options, zipc_once **out_once);

/* Closes the handle; NULL is allowed. Since 0.1. */
ZIPC_API void zipc_once_close(zipc_once *once);

/* As zipc_remove(), and -EPROTOTYPE when the name is not a once. Since 0.1. */
ZIPC_API int zipc_once_remove(zipc_segment *segment, const char *name);

/* ---- operations ----------------------------------------------------------------------------- */

/*
 * What is to be done. `attempt` is 1 for the first one that runs, 2 for the next, ... (at most
 * 16,383). Returns 0 or more when it is done, a negative code when not. It may end its thread; it
 * must not call zipc_once_call() for the same once.
 */
typedef int (*zipc_once_fn)(void *arg, uint32_t attempt);

/*
 * Makes sure that it is done, waiting up to timeout_ns nanoseconds for others; the own function may
 * take as long as it likes.
 * Returns 0 (it was done by another), 1 (done by this call); the negative code of fn; -EAGAIN
 * (another is at it, with ZIPC_NOWAIT); -ETIMEDOUT; -EDEADLK (called from within fn); -EPERM (fn
 * forked, and this is the child: nothing was noted); -ECANCELED; -EROFS (not done, and the attachment
 * is read-only); -ESTALE; -ENOMEM, as zipc_mutex_lock(). Since 0.1.
 */
ZIPC_API int zipc_once_call(zipc_once *once, zipc_once_fn fn, void *arg, int64_t timeout_ns);

/* Is it done? What was done before is visible then. Read-only attachments too. Wait-free. Since 0.1.
 */
ZIPC_API bool zipc_once_is_done(const zipc_once *once);

/*
 * As zipc_once_call(), without a call when it is done: one load. (A handle's first word points at the
 * word whose highest bit says so; nothing else of a handle is public.) Since 0.1.
 */
static inline int zipc_once_ensure(zipc_once *once, zipc_once_fn fn, void *arg, int64_t timeout_ns)
{
	const uint64_t *word = *(const uint64_t *const *)(const void *)once;
	if (__atomic_load_n(word, __ATOMIC_ACQUIRE) >> 63 != 0)
		return 0;
	return zipc_once_call(once, fn, arg, timeout_ns);
}

/* ---- looking -------------------------------------------------------------------------------- */

typedef struct zipc_once_info {
	uint32_t struct_size;	/* in: sizeof(zipc_once_info) */
	uint32_t done;		/* 1 */
	uint32_t attempts;	/* runs so far, also the one under way */
	uint32_t runner_id;	/* attachment that is at it, dead or not; 0 = nobody */
	uint32_t runner_pid;	/* for people; 0 = unknown */
	uint32_t runner_thread; /* its kernel thread id */
} zipc_once_info;

/* A moment's view; read-only attachments too. 0; -EINVAL (struct_size). Wait-free. Since 0.1. */
ZIPC_API int zipc_once_get_info(zipc_once *once, zipc_once_info *out_info);

#ifdef __cplusplus
}
#endif

#endif
