/* SPDX-License-Identifier: MIT */
/* Time: monotonic nanoseconds, deadlines from timeouts, wall clock for people. */
#ifndef ZI_BASE_CLOCK_H
#define ZI_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define ZI_NS_PER_MS INT64_C(1000000)

static inline int64_t zi_clock_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static inline int64_t zi_now_ns(void)
{
	return zi_clock_ns(CLOCK_MONOTONIC);
}

/* Some milliseconds behind, but a few nanoseconds cheap. */
static inline int64_t zi_now_coarse_ns(void)
{
	return zi_clock_ns(CLOCK_MONOTONIC_COARSE);
}

static inline uint64_t zi_wall_ns(void)
{
	return (uint64_t)zi_clock_ns(CLOCK_REALTIME);
}

/* The moment at which a relative timeout ends; INT64_MAX = never. */
static inline int64_t zi_deadline(int64_t timeout_ns)
{
	int64_t end;
	if (timeout_ns < 0 || __builtin_add_overflow(zi_now_ns(), timeout_ns, &end))
		return INT64_MAX;
	return end;
}

#endif
