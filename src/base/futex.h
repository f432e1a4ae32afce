/* SPDX-License-Identifier: MIT */
/* The futex operations on words that are shared between processes. */
#ifndef ZI_BASE_FUTEX_H
#define ZI_BASE_FUTEX_H

#include <errno.h>
#include <linux/futex.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * Sleeps while *word == value, at most ns nanoseconds. Returns 0 when woken, else -EAGAIN (value
 * differs), -ETIMEDOUT or -EINTR: all of them mean "look again".
 */
static inline int zi_futex_wait(const uint32_t *word, uint32_t value, int64_t ns)
{
	struct timespec t = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	long r = syscall(SYS_futex, word, FUTEX_WAIT, value, &t, NULL, 0);
	return r < 0 ? -errno : 0;
}

/* Wakes up to n sleepers; returns how many it woke. */
static inline int zi_futex_wake(const uint32_t *word, int n)
{
	long r = syscall(SYS_futex, word, FUTEX_WAKE, n, NULL, NULL, 0);
	return r < 0 ? 0 : (int)r;
}

/*
 * Moves up to n sleepers from one word to another without waking them, if *from == value. Returns how
 * many it moved, or -EAGAIN (value differs), or another refusal.
 */
static inline int zi_futex_move(const uint32_t *from, const uint32_t *to, int n, uint32_t value)
{
	long r = syscall(SYS_futex, from, FUTEX_CMP_REQUEUE, 0, (unsigned long)n, to, value);
	return r < 0 ? -errno : (int)r;
}

#endif
