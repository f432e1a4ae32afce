/* SPDX-License-Identifier: MIT */
/*
 * Copies between private memory and shared memory that others may write or read at the same moment:
 * word by word with relaxed atomics, so that a torn copy is merely wrong, never undefined. The
 * reader follows with zi_read_barrier() and re-checks whatever tells it that the copy is whole.
 */
#ifndef ZI_BASE_COPY_H
#define ZI_BASE_COPY_H

#include "atomic.h"

#include <stddef.h>
#include <string.h>

/* From shared to private memory. */
static inline void zi_copy_out(void *to, const void *shared, size_t size)
{
	uint8_t *d = to;
	const uint8_t *s = shared;
	for (; size > 0 && ((uintptr_t)s & 7) != 0; size--)
		*d++ = zi_load_relaxed(s++);
	for (; size >= 8; size -= 8, d += 8, s += 8) {
		uint64_t word = zi_load_relaxed((const uint64_t *)(const void *)s);
		memcpy(d, &word, 8);
	}
	for (; size > 0; size--)
		*d++ = zi_load_relaxed(s++);
}

/* From private to shared memory. */
static inline void zi_copy_in(void *shared, const void *from, size_t size)
{
	uint8_t *d = shared;
	const uint8_t *s = from;
	for (; size > 0 && ((uintptr_t)d & 7) != 0; size--)
		zi_store_relaxed(d++, *s++);
	for (; size >= 8; size -= 8, d += 8, s += 8) {
		uint64_t word;
		memcpy(&word, s, 8);
		zi_store_relaxed((uint64_t *)(void *)d, word);
	}
	for (; size > 0; size--)
		zi_store_relaxed(d++, *s++);
}

#endif
