/* SPDX-License-Identifier: MIT */
/* The event's part of the format. Word: round 63 << 1 | set. Zeroed memory is one that is not set. */
#ifndef ZI_SYNC_EVENT_LAYOUT_H
#define ZI_SYNC_EVENT_LAYOUT_H

#include "../segment/layout.h"

struct zi_event {
	uint64_t word;
	uint32_t gate; /* who waits sleeps here */
	uint8_t pad[128 - 12];
};

static_assert(sizeof(struct zi_event) == 128, "format");

#define ZI_EVENT_SET   UINT64_C(1)
#define ZI_EVENT_ROUND UINT64_C(2)

static inline uint64_t zi_event_round(uint64_t word)
{
	return word / ZI_EVENT_ROUND;
}

#endif
