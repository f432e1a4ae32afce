/* SPDX-License-Identifier: MIT */
/* Arithmetic that says when it does not fit. */
#ifndef ZI_BASE_CHECKED_H
#define ZI_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

static inline bool zi_is_power_of_two(uint64_t x)
{
	return x != 0 && (x & (x - 1)) == 0;
}

/* Rounds up to a multiple of a power of two; the caller knows that it fits. */
static inline uint64_t zi_align_up(uint64_t x, uint64_t alignment)
{
	return (x + alignment - 1) & ~(alignment - 1);
}

/* Smallest n with 1 << n >= x, for 1 <= x <= 2^63. */
static inline uint32_t zi_log2_ceil(uint64_t x)
{
	return x <= 1 ? 0 : 64 - (uint32_t)__builtin_clzll(x - 1);
}

/* *out = a * b + c, or false when that overflows. */
static inline bool zi_mul_add(uint64_t a, uint64_t b, uint64_t c, uint64_t *out)
{
	uint64_t product;
	return !__builtin_mul_overflow(a, b, &product) && !__builtin_add_overflow(product, c, out);
}

/* Is [offset, offset + size) inside [0, limit)? */
static inline bool zi_within(uint64_t offset, uint64_t size, uint64_t limit)
{
	return size <= limit && offset <= limit - size;
}

#endif
