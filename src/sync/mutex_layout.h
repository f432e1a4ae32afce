/* SPDX-License-Identifier: MIT */
/* The mutex's part of the format: a lock (lock.h) on lines of its own. Zeroed memory is a free one. */
#ifndef ZI_SYNC_MUTEX_LAYOUT_H
#define ZI_SYNC_MUTEX_LAYOUT_H

#include "lock.h"

struct zi_mutex {
	struct zi_lock lock;
	uint8_t pad[128 - 16];
};

static_assert(sizeof(struct zi_mutex) == 128, "format");

#endif
