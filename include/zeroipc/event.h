/* SPDX-License-Identifier: MIT */
/*
 * Event: something that has happened, or not yet.
 *
 *   manual  (the default) once set it lets everybody through, until it is reset
 *   auto    (ZIPC_EVENT_AUTO) once set it lets one through, and is reset by that
 *
 * Who may call what. Anybody, anything, at any time; handles may be shared by threads.
 *
 * Progress. set, reset and pulse are lock-free; wait is lock-free when it need not wait, else
 * blocking. Nobody owns an event, so a stopped peer holds up nobody.
 *
 * When a process dies, at any instruction: its set, reset or pulse was done or not. One that died
 * after an auto event let it through has used it up. A wake-up that dies with a waiter is made good at
 * the end of a slice.
 *
 * Algorithm: one 64-bit word {round, set}, changed by compare-and-swap. A waiter remembers the round
 * in which it came: when that is over it is through, whatever the event is then.
 */
#ifndef ZEROIPC_EVENT_H
#define ZEROIPC_EVENT_H

#include "segment.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zipc_event zipc_event;

/* zipc_event_options.flags */
#define ZIPC_EVENT_AUTO 1u

typedef struct zipc_event_options {
	uint32_t struct_size; /* sizeof(zipc_event_options) */
	uint32_t flags;	      /* ZIPC_EVENT_*; open: 0 = any, else must be equal */
} zipc_event_options;

#define ZIPC_EVENT_OPTIONS_INIT                                                                    \
	{                                                                                          \
		(uint32_t)sizeof(zipc_event_options), 0                                            \
	}

/* ---- lifecycle ------------------------------------------------------------------------------ */

/*
 * Creates one that is not set.
 * Returns 0; -EEXIST; -EINVAL; -E2BIG; -ENOSPC; -EROFS; -EDEADLK; -ECANCELED. Since 0.1.
 */
ZIPC_API int zipc_event_create(zipc_segment *segment, const char *name,
			       const zipc_event_options *options, zipc_event **out_event);

/* 0; -ENOENT; -EPROTOTYPE (not an event, other flags); -EINVAL; -E2BIG; -EBADMSG. Since 0.1. */
ZIPC_API int zipc_event_open(zipc_segment *segment, const char *name,
			     const zipc_event_options *options, zipc_event **out_event);

/* Opens it (returns 0), or creates it when it does not exist (returns 1). Since 0.1. */
ZIPC_API int zipc_event_open_or_create(zipc_segment *segment, const char *name,
				       const zipc_event_options *options, zipc_event **out_event);

/* Closes the handle; NULL is allowed. Since 0.1. */
ZIPC_API void zipc_event_close(zipc_event *event);

/* As zipc_remove(), and -EPROTOTYPE when the name is not an event. Since 0.1. */
ZIPC_API int zipc_event_remove(zipc_segment *segment, const char *name);

/* ---- operations ----------------------------------------------------------------------------- */

/*
 * Sets it; when it is set already nothing changes. Manual: everybody who waits now is let through,
 * even if it is reset at once. Returns 0; -EROFS; -ESTALE (after fork, and the event was removed).
 * Lock-free but for the wake-ups. Since 0.1.
 */
ZIPC_API int zipc_event_set(zipc_event *event);

/* Not set any more. Returns as zipc_event_set(). Lock-free. Since 0.1. */
ZIPC_API int zipc_event_reset(zipc_event *event);

/*
 * Lets exactly those through who wait at this moment, of either kind, and leaves it not set: who
 * comes later waits, and when nobody waits nothing happens. Returns as zipc_event_set(). Lock-free but
 * for the wake-ups. Since 0.1.
 */
ZIPC_API int zipc_event_pulse(zipc_event *event);

/*
 * Waits up to timeout_ns nanoseconds until it is set, or pulsed. What was written before the set is
 * visible then.
 * Returns 0; -EAGAIN (not set, with ZIPC_NOWAIT); -ETIMEDOUT; -ECANCELED; -EROFS; -ESTALE. Since 0.1.
 */
ZIPC_API int zipc_event_wait(zipc_event *event, int64_t timeout_ns);

/* ---- looking -------------------------------------------------------------------------------- */

/* Is it set at this moment? Read-only attachments too. Wait-free. Since 0.1. */
ZIPC_API bool zipc_event_is_set(const zipc_event *event);

/* Fixed at creation. Since 0.1. */
ZIPC_API uint32_t zipc_event_flags(const zipc_event *event);

#ifdef __cplusplus
}
#endif

#endif
