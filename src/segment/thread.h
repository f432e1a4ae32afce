/* SPDX-License-Identifier: MIT */
/*
 * Threads as owners. A peer id names a process; where a thread matters, an owner is {id, thread}.
 *
 * A thread's number is its kernel id: unique among the living threads of its process, and with at
 * most 22 bits it fits the 24 of an owner. Others cannot see a single thread die, so its end is told
 * by itself: a thread-specific key, whose destructor goes through everything that the process has
 * open. (A thread that ends by a bare exit system call tells nobody; what it holds is its process's.)
 */
#ifndef ZI_SEGMENT_THREAD_H
#define ZI_SEGMENT_THREAD_H

#include "../base/atomic.h"

#include <stdint.h>

#define ZI_THREAD_NONE 0xffffffu /* no thread has this number */

/* NONE = has no number yet. In the static block: no call to find it. */
extern __thread uint32_t zi_thread_number
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Gives this thread its number and arranges for its end; 0 when that cannot be done. */
uint32_t zi_thread_enlist(void);

/* This thread's number, or 0 when it cannot have one. */
static inline uint32_t zi_thread_self(void)
{
	uint32_t number = zi_thread_number;
	return zi_likely(number != ZI_THREAD_NONE) ? number : zi_thread_enlist();
}

/* In a forked child: its one thread is another one now. */
void zi_thread_forked(void);

#endif
