/* SPDX-License-Identifier: MIT */
/*
 * Monitor: a mutex, and a way to wait inside it for what others do inside it.
 *
 * Who may call what. One thread of all processes is inside at a time; it belongs to the thread, as a
 * mutex does, and the same rules hold for handles, threads and forked children. wait, notify_one,
 * notify_all and leave are for the one inside.
 *
 * wait leaves, sleeps until it is notified, and enters again before it returns. Notifications are not
 * stored: they reach those who wait at that moment, and when nobody waits nothing happens. A wait may
 * also return without one: look again at what was waited for, or take zipc_monitor_wait_until(), which
 * does.
 *
 * Progress. Blocking. A *stopped* thread inside holds up the others. notify_one and notify_all are
 * wait-free but for one system call: who is notified goes on sleeping until the notifier leaves, and
 * then enters one after the other.
 *
 * When the thread inside dies, at any instruction, or ends, the next one that enters or returns from
 * wait does so with -EOWNERDEAD, as with a mutex: it *is* inside, repairs, and calls
 * zipc_monitor_consistent(); if it leaves without, the monitor is unusable for good. Those who wait
 * for a notification notice that death too, within a slice (400 ms at most), and one of them is told.
 * One that dies while it waits leaves nothing behind; a notification that dies with it reaches the
 * others at the end of a slice.
 *
 * Algorithm: the owner word of the mutex, and a count of notifications that waiters compare with what
 * it was when they came; sleepers are moved from one futex to the other, not woken.
 */
#ifndef ZEROIPC_MONITOR_H
#define ZEROIPC_MONITOR_H

#include "segment.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zipc_monitor zipc_monitor;

typedef struct zipc_monitor_options {
	uint32_t struct_size; /* sizeof(zipc_monitor_options) */
	uint32_t flags;	      /* 0 */
} zipc_monitor_options;

#define ZIPC_MONITOR_OPTIONS_INIT                                                                  \
	{                                                                                          \
		(uint32_t)sizeof(zipc_monitor_options), 0                                          \
	}

/* ---- lifecycle ------------------------------------------------------------------------------ */

/*
 * Creates one with nobody inside.
 * Returns 0; -EEXIST; -EINVAL; -E2BIG; -ENOSPC; -EROFS; -EDEADLK; -ECANCELED. Since 0.1.
 */
ZIPC_API int zipc_monitor_create(zipc_segment *segment, const char *name,
				 const zipc_monitor_options *options, zipc_monitor **out_monitor);

/* 0; -ENOENT; -EPROTOTYPE (not a monitor, other flags); -EINVAL; -E2BIG; -EBADMSG. Since 0.1. */
ZIPC_API int zipc_monitor_open(zipc_segment *segment, const char *name,
			       const zipc_monitor_options *options, zipc_monitor **out_monitor);

/* Opens it (returns 0), or creates it when it does not exist (returns 1). Since 0.1. */
ZIPC_API int zipc_monitor_open_or_create(zipc_segment *segment, const char *name,
					 const zipc_monitor_options *options,
					 zipc_monitor **out_monitor);

/* Closes the handle; NULL is allowed. Does not leave. Since 0.1. */
ZIPC_API void zipc_monitor_close(zipc_monitor *monitor);

/* As zipc_remove(), and -EPROTOTYPE when the name is not a monitor. Since 0.1. */
ZIPC_API int zipc_monitor_remove(zipc_segment *segment, const char *name);

/* ---- operations ----------------------------------------------------------------------------- */

/*
 * Enters, waiting up to timeout_ns nanoseconds. Returns as zipc_mutex_lock(): inside after 0 and
 * -EOWNERDEAD, not inside after anything else. Since 0.1.
 */
ZIPC_API int zipc_monitor_enter(zipc_monitor *monitor, int64_t timeout_ns);

/* Leaves. Returns 0; -EPERM (this thread is not inside). As zipc_mutex_unlock(). Since 0.1. */
ZIPC_API int zipc_monitor_leave(zipc_monitor *monitor);

/*
 * Leaves, waits up to timeout_ns nanoseconds for a notification, and enters again, however long that
 * takes. Returns 0 (notified, or for no reason); -ETIMEDOUT; -EOWNERDEAD (as enter): inside. -EAGAIN
 * (with ZIPC_NOWAIT), -EINVAL (zipc_monitor_consistent() is missing): still inside, nothing happened.
 * -EPERM (this thread is not inside); -ECANCELED; -ENOTRECOVERABLE; -EBADF: not inside. Since 0.1.
 */
ZIPC_API int zipc_monitor_wait(zipc_monitor *monitor, int64_t timeout_ns);

/* Is it so? Called inside; non-zero = yes. */
typedef int (*zipc_monitor_predicate)(void *arg);

/*
 * Waits, as often as it takes, until the predicate says yes; without waiting if it does so at once.
 * Returns 0 only then; else as zipc_monitor_wait(). With ZIPC_NOWAIT it asks once. Since 0.1.
 */
ZIPC_API int zipc_monitor_wait_until(zipc_monitor *monitor, zipc_monitor_predicate predicate,
				     void *arg, int64_t timeout_ns);

/*
 * Notifies one of those who wait, or all of them. Both return 0; -EPERM (this thread is not inside).
 * Crash: notified or not; who was, notices at the end of its slice. Since 0.1.
 */
ZIPC_API int zipc_monitor_notify_one(zipc_monitor *monitor);
ZIPC_API int zipc_monitor_notify_all(zipc_monitor *monitor);

/* As zipc_mutex_consistent(). Since 0.1. */
ZIPC_API int zipc_monitor_consistent(zipc_monitor *monitor);

/* ---- looking -------------------------------------------------------------------------------- */

typedef struct zipc_monitor_info {
	uint32_t struct_size;  /* in: sizeof(zipc_monitor_info) */
	uint32_t owner_id;     /* attachment of the one inside, dead or not; 0 = nobody */
	uint32_t owner_pid;    /* for people; 0 = unknown */
	uint32_t owner_thread; /* its kernel thread id */
	uint32_t suspect;  /* 1: one inside died, zipc_monitor_consistent() was not called yet */
	uint32_t lost;	   /* 1: not recoverable */
	uint64_t notified; /* notifications since creation */
} zipc_monitor_info;

/* A moment's view; read-only attachments too. 0; -EINVAL (struct_size). Wait-free. Since 0.1. */
ZIPC_API int zipc_monitor_get_info(zipc_monitor *monitor, zipc_monitor_info *out_info);

#ifdef __cplusplus
}
#endif

#endif
