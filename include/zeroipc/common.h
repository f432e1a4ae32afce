/* SPDX-License-Identifier: MIT */
/*
 * What every module shares: visibility, return codes, timeouts, names.
 *
 * Return codes. Every call that can fail returns an int: zero or more is success, a negative value
 * is -errno. The codes below mean the same thing in every module:
 *
 *   -EAGAIN           nothing there now (empty, full, or another's unfinished claim is in front)
 *   -ETIMEDOUT        the deadline passed
 *   -ECANCELED        zipc_interrupt() was called on this attachment
 *   -EPIPE            the structure was shut down, the barrier is broken
 *   -EEXIST -ENOENT   the name is taken, the name does not exist
 *   -EPROTOTYPE       the name exists with another type, element size, alignment or schema
 *   -EPROTONOSUPPORT  the segment is of a format that this library does not speak
 *   -EBADMSG          what was read from the segment cannot be right: it is damaged
 *   -ENOSPC           no room: segment at its maximum, file system full, all peer slots taken
 *   -EBUSY            a role (single producer, single consumer) is held by another living process
 *   -ESTALE           the ticket or handle names something that is no longer there
 *   -EOWNERDEAD       the previous owner died while it held this; locks: the caller holds it now
 *   -ENOTRECOVERABLE  a lock that was given back after that without being made consistent
 *   -EPERM            the caller does not hold what it wants to give back, or has not joined
 *   -EOVERFLOW        there would be more than the maximum
 *   -ERANGE           an index, or an amount, beyond what there is
 *   -EINVAL           a parameter that no state of the segment could make right
 *   -E2BIG            an options struct carries settings that this version does not know
 *   -EROFS            a writing call on a read-only attachment
 *   -EDEADLK          a call from within itself (signal handler inside the heap or the directory),
 *                     or for a lock that this thread holds already
 *   -EBADF            the descriptors of this attachment were closed under it and cannot be
 * reopened
 *
 * Timeouts. `timeout_ns` is ZIPC_NOWAIT (0: never sleeps), ZIPC_FOREVER (-1; any negative value),
 * or nanoseconds from now on the monotonic clock. Signals do not end a wait; zipc_interrupt() does.
 *
 * Names of segments and structures: 1 to ZIPC_NAME_MAX bytes of UTF-8 without control characters;
 * "/" may group them ("orders/eu/new") but neither begin nor end a name.
 *
 * Options are structs whose first member, struct_size, is sizeof the struct; all other members
 * zero, or NULL for the whole pointer, mean the defaults.
 */
#ifndef ZEROIPC_COMMON_H
#define ZEROIPC_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ZIPC_API __attribute__((visibility("default")))
#else
#define ZIPC_API
#endif

#define ZIPC_VERSION_MAJOR 0
#define ZIPC_VERSION_MINOR 1
#define ZIPC_VERSION_PATCH 0

/* Version of the in-segment format that this library reads and writes (docs/format.md). */
#define ZIPC_FORMAT_VERSION 3

#define ZIPC_NOWAIT  INT64_C(0)
#define ZIPC_FOREVER INT64_C(-1)

/* Longest name in bytes, without the terminating zero. */
#define ZIPC_NAME_MAX 63
/* Longest schema text in bytes, without the terminating zero. */
#define ZIPC_SCHEMA_MAX 127

/*
 * Version of the library that is running: major << 16 | minor << 8 | patch.
 * Any thread, wait-free, async-signal-safe. Since 0.1.
 */
ZIPC_API uint32_t zipc_version(void);

/*
 * A short text for a return code of this library, for example "-EPROTOTYPE: other type, element
 * size or schema". Never NULL; static storage; knows zero, positive and negative codes.
 * Any thread, wait-free, async-signal-safe. Since 0.1.
 */
ZIPC_API const char *zipc_strerror(int code);

/*
 * A sentence about the last call of this thread that failed, naming the thing and what was wrong
 * with it: "queue 'jobs': element size is 16, you asked for 8". Valid until the thread's next
 * failing call; "" when nothing failed yet. The expected outcomes of hot calls (-EAGAIN,
 * -ETIMEDOUT, -EPIPE, -ECANCELED) leave no sentence behind; zipc_strerror() describes those. Any
 * thread, wait-free. Since 0.1.
 */
ZIPC_API const char *zipc_last_error(void);

#ifdef __cplusplus
}
#endif

#endif
