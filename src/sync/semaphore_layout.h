/* SPDX-License-Identifier: MIT */
/*
 * The semaphore's part of the format. The entry's capacity is the maximum. Counting: `value` is all
 * there is to it. Owned: value is not used, and behind the struct lie `maximum` permits: the id of who
 * has it, 0 = it is there.
 */
#ifndef ZI_SYNC_SEMAPHORE_LAYOUT_H
#define ZI_SYNC_SEMAPHORE_LAYOUT_H

#include "../segment/layout.h"

struct zi_semaphore {
	uint32_t value;
	uint32_t gate;	     /* who wants permits sleeps here */
	uint32_t several;    /* 1 for ever after one waited for more than one permit */
	uint32_t collecting; /* owned: id of who is just taking several at once */
	uint8_t pad[128 - 16];
	uint32_t permits[];
};

static_assert(offsetof(struct zi_semaphore, collecting) == 12, "format");
static_assert(sizeof(struct zi_semaphore) == 128, "format");

#endif
