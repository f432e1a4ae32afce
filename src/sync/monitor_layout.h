/* SPDX-License-Identifier: MIT */
/* The monitor's part of the format: a lock (lock.h), and what is waited for inside. Zeroed memory is a
 * free one. */
#ifndef ZI_SYNC_MONITOR_LAYOUT_H
#define ZI_SYNC_MONITOR_LAYOUT_H

#include "lock.h"

struct zi_monitor {
	struct zi_lock lock;
	uint64_t notified; /* how often; written by who is inside */
	uint32_t gate;	   /* who waits for that sleeps here */
	uint8_t pad[128 - 28];
};

static_assert(offsetof(struct zi_monitor, gate) == 24, "format");
static_assert(sizeof(struct zi_monitor) == 128, "format");

#endif
