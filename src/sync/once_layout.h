/* SPDX-License-Identifier: MIT */
/*
 * The once's part of the format. Word: runner 48 | attempts 14 << 48 | done << 63; bit 62 is 0.
 * Zeroed memory is not done.
 */
#ifndef ZI_SYNC_ONCE_LAYOUT_H
#define ZI_SYNC_ONCE_LAYOUT_H

#include "owner.h"

struct zi_once {
	uint64_t word;
	uint32_t gate; /* who wants it done sleeps here */
	uint8_t pad[128 - 12];
};

static_assert(sizeof(struct zi_once) == 128, "format");

#define ZI_ONCE_DONE	      (UINT64_C(1) << 63)
#define ZI_ONCE_ATTEMPTS_MASK UINT64_C(0x3fff)

static inline uint32_t zi_once_attempts(uint64_t word)
{
	return (uint32_t)(word >> ZI_OWNER_BITS & ZI_ONCE_ATTEMPTS_MASK);
}

static inline uint64_t zi_once_word(uint32_t attempts, uint64_t runner)
{
	return (uint64_t)attempts << ZI_OWNER_BITS | runner;
}

#endif
