/* SPDX-License-Identifier: MIT */
/*
 * Rwlock: many readers, or one writer.
 *
 * Who may call what. It is held by threads, not by handles, as a mutex. A thread that reads may take
 * the reader's lock again, up to 4,095 times, even past a waiting writer. Taking the other lock on
 * top is refused (-EDEADLK). A writer can become a reader (zipc_rwlock_downgrade()); a reader cannot
 * become a writer, as two that tried would wait for each other for ever: unlock, lock, and look again.
 * A forked child holds nothing.
 *
 * Up to max_holders threads can hold or want the reader's lock at the same time; each has a cache line
 * of its own, so readers do not disturb each other.
 *
 * Progress. Blocking. Nobody starves: a writer that waits keeps new readers out, and a writer that
 * leaves lets in all readers that sleep at that moment, so that a reader waits for two writers at most.
 * Among writers there is no queue. A *stopped* holder holds up the others; so does a stopped waiting
 * reader that was let in.
 *
 * When a reader dies, at any instruction, or its thread ends, its lock is given back. When a writer
 * does while it writes, the lock is given back too, and everybody who gets it from then on gets it
 * with -EOWNERDEAD: he *has* it, but what it protects may be half written. A reader may look, or
 * unlock and take the writer's lock; a writer repairs and calls zipc_rwlock_consistent(). A writer
 * that unlocks without makes it unusable for good (-ENOTRECOVERABLE). A death is noticed at once by who
 * asks then, and by who sleeps within 80 ms; a wake-up that dies with a waiter is made good at the end
 * of a slice. Unlock before closing the last handle: what is held without one is given back by the end
 * of the process only.
 *
 * Algorithm: readers and writer write their names first and look for each other afterwards, as in
 * big-reader locks; the hand-over to waiting readers is that of phase-fair locks (B. Brandenburg,
 * J. Anderson, 2010).
 */
#ifndef ZEROIPC_RWLOCK_H
#define ZEROIPC_RWLOCK_H

#include "segment.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zipc_rwlock zipc_rwlock;

#define ZIPC_RWLOCK_HOLDERS_MAX UINT32_C(4096)

typedef struct zipc_rwlock_options {
	uint32_t struct_size; /* sizeof(zipc_rwlock_options) */
	uint32_t flags;	      /* 0 */
	uint32_t max_holders; /* threads that hold or want the reader's lock at the same time, up to
				 ZIPC_RWLOCK_HOLDERS_MAX; 0 = 64. Open: not compared */
	uint32_t reserved;    /* 0 */
} zipc_rwlock_options;

#define ZIPC_RWLOCK_OPTIONS_INIT                                                                   \
	{                                                                                          \
		(uint32_t)sizeof(zipc_rwlock_options), 0, 0, 0                                     \
	}

/* ---- lifecycle ------------------------------------------------------------------------------ */

/*
 * Creates a free one.
 * Returns 0; -EEXIST; -EINVAL; -E2BIG; -ENOSPC; -EROFS; -EDEADLK; -ECANCELED. Since 0.1.
 */
ZIPC_API int zipc_rwlock_create(zipc_segment *segment, const char *name,
				const zipc_rwlock_options *options, zipc_rwlock **out_rwlock);

/* 0; -ENOENT; -EPROTOTYPE (not a rwlock, other flags); -EINVAL; -E2BIG; -EBADMSG. Since 0.1. */
ZIPC_API int zipc_rwlock_open(zipc_segment *segment, const char *name,
			      const zipc_rwlock_options *options, zipc_rwlock **out_rwlock);

/* Opens it (returns 0), or creates it when it does not exist (returns 1). Since 0.1. */
ZIPC_API int zipc_rwlock_open_or_create(zipc_segment *segment, const char *name,
					const zipc_rwlock_options *options,
					zipc_rwlock **out_rwlock);

/* Closes the handle; NULL is allowed. Does not unlock. Since 0.1. */
ZIPC_API void zipc_rwlock_close(zipc_rwlock *rwlock);

/* As zipc_remove(), and -EPROTOTYPE when the name is not a rwlock. Since 0.1. */
ZIPC_API int zipc_rwlock_remove(zipc_segment *segment, const char *name);

/* ---- operations ----------------------------------------------------------------------------- */

/*
 * Takes the reader's or the writer's lock, waiting up to timeout_ns nanoseconds.
 * Both return 0 and -EOWNERDEAD with the lock held, the latter when a writer died and nobody has said
 * yet that what it wrote is consistent. Without it: -EAGAIN (with ZIPC_NOWAIT); -ETIMEDOUT; -EDEADLK
 * (this thread holds it already, see above); -ENOTRECOVERABLE; -ECANCELED; -EROFS; -ESTALE (after fork,
 * and the rwlock was removed); -ENOMEM, as zipc_mutex_lock(); read_lock also -ENOSPC (max_holders) and
 * -EOVERFLOW (4,095 times already). A reader that is let in at the moment its time is over has the
 * lock. Blocking. Since 0.1.
 */
ZIPC_API int zipc_rwlock_read_lock(zipc_rwlock *rwlock, int64_t timeout_ns);
ZIPC_API int zipc_rwlock_write_lock(zipc_rwlock *rwlock, int64_t timeout_ns);

/*
 * Give it back. Both return 0; -EPERM (this thread does not hold it so: nothing happened). After
 * -EOWNERDEAD and without zipc_rwlock_consistent() a write_unlock makes it unusable. Wait-free but for
 * the wake-ups; write_unlock O(max_holders) when readers sleep. Since 0.1.
 */
ZIPC_API int zipc_rwlock_read_unlock(zipc_rwlock *rwlock);
ZIPC_API int zipc_rwlock_write_unlock(zipc_rwlock *rwlock);

/*
 * Turns the writer's lock into the reader's, without a moment in between. Returns 0; -EPERM (this
 * thread does not write); -EINVAL (zipc_rwlock_consistent() is missing); -ENOSPC (max_holders): still
 * a writer then. O(max_holders). Since 0.1.
 */
ZIPC_API int zipc_rwlock_downgrade(zipc_rwlock *rwlock);

/*
 * After -EOWNERDEAD, by the writer: what it protects is in order again. Returns 0; -EPERM (this thread
 * does not write); -EINVAL (there is nothing to be said). Wait-free. Since 0.1.
 */
ZIPC_API int zipc_rwlock_consistent(zipc_rwlock *rwlock);

/* ---- looking -------------------------------------------------------------------------------- */

typedef struct zipc_rwlock_info {
	uint32_t struct_size;	  /* in: sizeof(zipc_rwlock_info) */
	uint32_t max_holders;	  /* fixed at creation */
	uint32_t readers;	  /* threads that read, the dead included */
	uint32_t waiting_readers; /* threads that want to, likewise */
	uint32_t writer_id;	  /* attachment that writes or waits for readers; 0 = none */
	uint32_t writer_pid;	  /* for people; 0 = unknown */
	uint32_t writer_thread;	  /* its kernel thread id */
	uint32_t writing;	  /* 1: it writes; 0: it waits for readers, or is none */
	uint32_t suspect; /* 1: a writer died, zipc_rwlock_consistent() was not called yet */
	uint32_t lost;	  /* 1: not recoverable */
} zipc_rwlock_info;

/* A moment's view; read-only attachments too. 0; -EINVAL (struct_size). O(max_holders). Since 0.1. */
ZIPC_API int zipc_rwlock_get_info(zipc_rwlock *rwlock, zipc_rwlock_info *out_info);

#ifdef __cplusplus
}
#endif

#endif
