/* SPDX-License-Identifier: MIT */
/* The latch's part of the format. The entry's capacity is the count that it began with. */
#ifndef ZI_SYNC_LATCH_LAYOUT_H
#define ZI_SYNC_LATCH_LAYOUT_H

#include "../segment/layout.h"

struct zi_latch {
	uint32_t count; /* what is left; 0 = open */
	uint32_t gate;	/* who waits sleeps here */
	uint8_t pad[128 - 8];
};

static_assert(sizeof(struct zi_latch) == 128, "format");

#endif
