/* SPDX-License-Identifier: MIT */
/*
 * Queue: a bounded first-in first-out queue of elements of one size.
 *
 * Who may call what. A queue is created with many or one producer and many or one consumer. Handles
 * may be shared by threads. A single role is taken by the first push or pop through a handle; other
 * processes, and other handles of the same process, get -EBUSY until that handle is closed or its
 * process dies; one thread at a time may use it. One handle may hold both roles.
 *
 * Progress. There is no lock, and no operation waits for another inside the library. Still a
 * *stopped* peer can hold the ring up, so push and pop are not called lock-free here: one stopped
 * between claim and publish (a few instructions wide for push; as long as the caller likes for
 * reserve and acquire) keeps consumers from what was pushed behind it, and producers, one lap
 * later, from its slot. All others get -EAGAIN or sleep, and go on when it goes on or dies. For
 * long work use short claims and a pool of blocks beside the queue. Order is first-in first-out by
 * claim.
 *
 * When a process dies, at any instruction: its unfinished push vanishes. An item that it had taken
 * and not finished with
 *   - comes back to the next consumer, with its delivery count, in ZIPC_QUEUE_AT_LEAST_ONCE mode;
 *   - otherwise is still there if the pop had not come to its point of no return, else dropped (at
 *     most once). A dead batch consumer may so lose what it had taken, its whole batch at most.
 * A redelivery needs no room, never happens while the taker lives, and may come after younger
 * elements. Nothing else is lost, doubled or reordered.
 *
 * Algorithm: one 64-bit word per slot {lap, owner, state} in the manner of D. Vyukov's bounded MPMC
 * queue, with the owner's name written by the very compare-and-swap that takes the slot. With one
 * producer, one consumer and elements below 48 bytes: one word per cache line of elements, which
 * the producer alone writes, after FastForward (J. Giacomoni, T. Moseley, M. Vachharajani, 2008).
 */
#ifndef ZEROIPC_QUEUE_H
#define ZEROIPC_QUEUE_H

#include "segment.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zipc_queue zipc_queue;

/* zipc_queue_options.flags */
#define ZIPC_QUEUE_SINGLE_PRODUCER 1u /* one process pushes */
#define ZIPC_QUEUE_SINGLE_CONSUMER 2u /* one process pops */
#define ZIPC_QUEUE_AT_LEAST_ONCE   4u /* what a dead consumer had taken is delivered again */

#define ZIPC_QUEUE_ELEMENT_MAX	(UINT64_C(1) << 20) /* bytes */
#define ZIPC_QUEUE_CAPACITY_MAX (UINT64_C(1) << 30) /* elements */

typedef struct zipc_queue_options {
	uint32_t struct_size; /* sizeof(zipc_queue_options) */
	uint32_t flags;	      /* ZIPC_QUEUE_*; open: 0 = any, else must be equal */
	uint32_t alignment; /* of elements, a power of two up to 4096; 0 = the largest power of two
			       up to 64 (up to 8 below 48 bytes) that divides the element size.
			       Open: 0 = any, else the least that is accepted */
	uint32_t reserved;  /* 0 */
	const char *schema; /* what an element is, for people and bindings, up to ZIPC_SCHEMA_MAX
			       bytes; open: NULL = any, else must be equal */
} zipc_queue_options;

#define ZIPC_QUEUE_OPTIONS_INIT                                                                    \
	{                                                                                          \
		(uint32_t)sizeof(zipc_queue_options), 0, 0, 0, NULL                                \
	}

/* ---- lifecycle ------------------------------------------------------------------------------ */

/*
 * Creates a queue for at least `capacity` elements (1 to ZIPC_QUEUE_CAPACITY_MAX, rounded up to a
 * power of two) of `element_size` bytes (1 to ZIPC_QUEUE_ELEMENT_MAX).
 * Returns 0; -EEXIST; -EINVAL; -E2BIG; -ENOSPC; -EROFS; -EDEADLK; -ECANCELED. Since 0.1.
 */
ZIPC_API int zipc_queue_create(zipc_segment *segment, const char *name, uint64_t element_size,
			       uint64_t capacity, const zipc_queue_options *options,
			       zipc_queue **out_queue);

/*
 * Opens a queue. element_size must match, 0 = any.
 * Returns 0; -ENOENT; -EPROTOTYPE (not a queue, other element size, flags, alignment or schema);
 * -EINVAL; -E2BIG; -EBADMSG. Read-only attachments may peek and look. Since 0.1.
 */
ZIPC_API int zipc_queue_open(zipc_segment *segment, const char *name, uint64_t element_size,
			     const zipc_queue_options *options, zipc_queue **out_queue);

/*
 * Opens it (returns 0), or creates it when it does not exist (returns 1). An existing one keeps its
 * capacity. Since 0.1.
 */
ZIPC_API int zipc_queue_open_or_create(zipc_segment *segment, const char *name,
				       uint64_t element_size, uint64_t capacity,
				       const zipc_queue_options *options, zipc_queue **out_queue);

/*
 * Closes the handle and gives back the roles that it took; NULL is allowed. The queue and its items
 * stay. Commit, abort, release or requeue what the handle has claimed first: a claim left open
 * stays this process's until it ends (or is given up, where one process pushes and one pops).
 * Since 0.1.
 */
ZIPC_API void zipc_queue_close(zipc_queue *queue);

/* As zipc_remove(), and -EPROTOTYPE when the name is not a queue. Since 0.1. */
ZIPC_API int zipc_queue_remove(zipc_segment *segment, const char *name);

/* ---- operations ----------------------------------------------------------------------------- */

/*
 * Appends a copy of *element, waiting for room up to timeout_ns nanoseconds.
 * Returns 0; -EAGAIN (full, with ZIPC_NOWAIT); -ETIMEDOUT; -EPIPE (shut down: nothing was added);
 * -EBUSY (single producer, and another process is it); -ECANCELED; -EROFS; -ESTALE (after fork, and
 * the queue was removed); -EBADMSG. Held up by a stopped peer, see above. Since 0.1.
 */
ZIPC_API int zipc_queue_push(zipc_queue *queue, const void *element, int64_t timeout_ns);

/*
 * Takes the oldest element and copies it to *out_element, waiting up to timeout_ns nanoseconds.
 * -EAGAIN means "nothing finished at the head": a push that is still under way in front of finished
 * ones counts as nothing. Just after one's own push this can happen.
 * Returns 0; -EAGAIN (with ZIPC_NOWAIT); -ETIMEDOUT; -EPIPE (shut down and drained; in
 * ZIPC_QUEUE_AT_LEAST_ONCE mode only when every item was also acknowledged); -EBUSY; -ECANCELED;
 * -EROFS; -ESTALE; -EBADMSG. Held up by a stopped peer, see above. Since 0.1.
 */
ZIPC_API int zipc_queue_pop(zipc_queue *queue, void *out_element, int64_t timeout_ns);

/*
 * As push and pop for up to `count` elements that lie one after the other (each element_size
 * bytes). Waits until at least one could be moved and moves what fits then. With many producers the
 * elements of others may come in between. Returns how many were moved, 1 to count (at most
 * INT_MAX); 0 when count is 0; else as push and pop. Since 0.1.
 */
ZIPC_API int zipc_queue_push_n(zipc_queue *queue, const void *elements, size_t count,
			       int64_t timeout_ns);
ZIPC_API int zipc_queue_pop_n(zipc_queue *queue, void *out_elements, size_t count,
			      int64_t timeout_ns);

/*
 * Copies the oldest element without taking it. Any attachment may, also a read-only one, also one
 * that does not hold the consumer's role.
 * Returns 0; -EAGAIN (nothing finished at the head); -EPIPE (shut down and drained; where one process
 * pushes and one pops perhaps not before a pop said so); -ESTALE (read-only, and the queue was
 * removed); -EBADMSG. Since 0.1.
 */
ZIPC_API int zipc_queue_peek(zipc_queue *queue, void *out_element);

/* ---- writing in place ----------------------------------------------------------------------- */

/*
 * Claims the next slot and gives its address, to be filled in place; the content is undefined
 * before. Several may be open at a time. Returns as push.
 * The ticket goes to exactly one of commit and abort, by any thread of this process (through the
 * handle that holds the role, and not beside another call on it, where one process pushes and one
 * pops). Crash: the slot of a dead
 * process is skipped. Since 0.1.
 */
ZIPC_API int zipc_queue_reserve(zipc_queue *queue, int64_t timeout_ns, void **out_element,
				uint64_t *out_ticket);

/*
 * commit makes the element visible, abort gives the slot up (consumers skip it).
 * Both return 0; -ESTALE (not a ticket that this process holds). Wait-free. Since 0.1.
 */
ZIPC_API int zipc_queue_commit(zipc_queue *queue, uint64_t ticket);
ZIPC_API int zipc_queue_abort(zipc_queue *queue, uint64_t ticket);

/* ---- reading in place ----------------------------------------------------------------------- */

/*
 * Takes the oldest element and gives its address; it may be read (and scribbled on) until release.
 * Returns as pop. The ticket goes to exactly one of release and requeue, by any thread (through the
 * handle that holds the role, where one process pushes and one pops). Since 0.1.
 */
ZIPC_API int zipc_queue_acquire(zipc_queue *queue, int64_t timeout_ns, void **out_element,
				uint64_t *out_ticket);

/*
 * release is the acknowledgement: the slot is free again. requeue puts the element back where it
 * was, for the next consumer (ZIPC_QUEUE_AT_LEAST_ONCE; else -EOPNOTSUPP). Both return 0; -ESTALE
 * (not a ticket that this process holds). Wait-free. Since 0.1.
 */
ZIPC_API int zipc_queue_release(zipc_queue *queue, uint64_t ticket);
ZIPC_API int zipc_queue_requeue(zipc_queue *queue, uint64_t ticket);

/*
 * How often the element under this ticket was handed to a consumer, this time included: 1, 2, ...
 * (at most INT_MAX). ZIPC_QUEUE_AT_LEAST_ONCE; else -EOPNOTSUPP. -ESTALE. Since 0.1.
 */
ZIPC_API int zipc_queue_deliveries(zipc_queue *queue, uint64_t ticket);

/* ---- end ------------------------------------------------------------------------------------ */

/*
 * Shuts the queue down for everybody, for good: pushes return -EPIPE from now on, consumers get
 * what was accepted and then -EPIPE; all waiters wake up. What push accepted is always delivered.
 * Returns 0 (also the second time); -EROFS. Wait-free but for the wake-ups. Since 0.1.
 */
ZIPC_API int zipc_queue_shutdown(zipc_queue *queue);

/* ---- looking -------------------------------------------------------------------------------- */

/* Fixed at creation. Since 0.1. */
ZIPC_API uint64_t zipc_queue_capacity(const zipc_queue *queue);
ZIPC_API uint64_t zipc_queue_element_size(const zipc_queue *queue);
ZIPC_API uint32_t zipc_queue_flags(const zipc_queue *queue);

/*
 * A moment's view, right when nobody else is at work: elements between head and tail, finished or
 * not, and in ZIPC_QUEUE_AT_LEAST_ONCE mode those that wait to be delivered again. What consumers
 * have taken and not released is not counted. Lock-free; O(log capacity) at worst, and in
 * ZIPC_QUEUE_AT_LEAST_ONCE mode O(outstanding). Since 0.1.
 */
ZIPC_API uint64_t zipc_queue_size(zipc_queue *queue);
ZIPC_API bool zipc_queue_is_empty(zipc_queue *queue);
ZIPC_API bool zipc_queue_is_full(zipc_queue *queue);

typedef struct zipc_queue_stats {
	uint32_t struct_size; /* in: sizeof(zipc_queue_stats) */
	uint32_t shut_down;   /* 1 after zipc_queue_shutdown() */
	uint64_t pushed;      /* slots claimed by producers since creation */
	uint64_t popped;      /* slots that consumers have taken or skipped since creation */
	uint64_t size;	      /* as zipc_queue_size() */
	uint64_t outstanding; /* at-least-once: taken and not acknowledged */
	uint64_t
		high_water; /* largest size seen; sampled at every 64th push, when full, and here */
	uint64_t dropped;   /* slots given up: aborted, or of dead processes and not redelivered */
	uint64_t redelivered;  /* at-least-once: handed out once more */
	uint32_t producer_pid; /* single producer: who holds the role, 0 = nobody; for people */
	uint32_t consumer_pid; /* single consumer: likewise */
} zipc_queue_stats;

/* Fills *out_stats. Returns 0; -EINVAL (struct_size). Lock-free. Since 0.1. */
ZIPC_API int zipc_queue_get_stats(zipc_queue *queue, zipc_queue_stats *out_stats);

#ifdef __cplusplus
}
#endif

#endif
