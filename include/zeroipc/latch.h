/* SPDX-License-Identifier: MIT */
/*
 * Latch: opens for good when it was counted down to zero.
 *
 * Who may call what. Anybody, anything, at any time; handles may be shared by threads.
 *
 * Progress. count_down is lock-free; wait is wait-free on an open latch, else blocking. Nobody owns a
 * latch, so a stopped peer holds up nobody (but by not counting down).
 *
 * When a process dies, at any instruction: its count_down was done or not. Nothing says who ought to
 * have counted down, so a latch does not notice that one of them died: wait with a timeout, or take a
 * barrier, whose participants are known. A wake-up that dies with a waiter is made good at the end of a
 * slice.
 *
 * Algorithm: compare-and-swap on the count.
 */
#ifndef ZEROIPC_LATCH_H
#define ZEROIPC_LATCH_H

#include "segment.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zipc_latch zipc_latch;

#define ZIPC_LATCH_MAX UINT32_C(0x7fffffff)

typedef struct zipc_latch_options {
	uint32_t struct_size; /* sizeof(zipc_latch_options) */
	uint32_t flags;	      /* 0 */
} zipc_latch_options;

#define ZIPC_LATCH_OPTIONS_INIT                                                                    \
	{                                                                                          \
		(uint32_t)sizeof(zipc_latch_options), 0                                            \
	}

/* ---- lifecycle ------------------------------------------------------------------------------ */

/*
 * Creates one that opens after `count` (1 to ZIPC_LATCH_MAX) was counted down.
 * Returns 0; -EEXIST; -EINVAL; -E2BIG; -ENOSPC; -EROFS; -EDEADLK; -ECANCELED. Since 0.1.
 */
ZIPC_API int zipc_latch_create(zipc_segment *segment, const char *name, uint32_t count,
			       const zipc_latch_options *options, zipc_latch **out_latch);

/* 0; -ENOENT; -EPROTOTYPE (not a latch, other flags); -EINVAL; -E2BIG; -EBADMSG. Since 0.1. */
ZIPC_API int zipc_latch_open(zipc_segment *segment, const char *name,
			     const zipc_latch_options *options, zipc_latch **out_latch);

/* Opens it (returns 0), or creates it when it does not exist (returns 1).
 * An existing one keeps its count. Since 0.1. */
ZIPC_API int zipc_latch_open_or_create(zipc_segment *segment, const char *name, uint32_t count,
				       const zipc_latch_options *options, zipc_latch **out_latch);

/* Closes the handle; NULL is allowed. Since 0.1. */
ZIPC_API void zipc_latch_close(zipc_latch *latch);

/* As zipc_remove(), and -EPROTOTYPE when the name is not a latch. Since 0.1. */
ZIPC_API int zipc_latch_remove(zipc_segment *segment, const char *name);

/* ---- operations ----------------------------------------------------------------------------- */

/*
 * Counts down by n; at zero everybody is let through. Returns 0; -ERANGE (n is more than what is left:
 * nothing happened); -EINVAL (n is 0); -EROFS; -ESTALE (after fork, and the latch was removed).
 * Lock-free but for the wake-ups. Since 0.1.
 */
ZIPC_API int zipc_latch_count_down(zipc_latch *latch, uint32_t n);

/*
 * Waits up to timeout_ns nanoseconds until it is open. What the others wrote before they counted down
 * is visible then. Returns 0; -EAGAIN (with ZIPC_NOWAIT); -ETIMEDOUT; -ECANCELED; -EROFS; -ESTALE.
 * Since 0.1.
 */
ZIPC_API int zipc_latch_wait(zipc_latch *latch, int64_t timeout_ns);

/*
 * count_down by 1, then wait; returns as these. What was counted stays counted, also when the waiting
 * comes to nothing. Since 0.1.
 */
ZIPC_API int zipc_latch_arrive_and_wait(zipc_latch *latch, int64_t timeout_ns);

/* ---- looking -------------------------------------------------------------------------------- */

/* What is left at this moment, 0 = open. Read-only attachments too. Wait-free. Since 0.1. */
ZIPC_API uint32_t zipc_latch_count(const zipc_latch *latch);

#ifdef __cplusplus
}
#endif

#endif
