/* SPDX-License-Identifier: MIT */
/* What the segment needs to know about semaphores. */
#ifndef ZI_SYNC_SEMAPHORE_H
#define ZI_SYNC_SEMAPHORE_H

#include "../segment/type.h"

int zi_semaphore_resolve(zipc_segment *segment, const struct zi_view *view);
void zi_semaphore_verify(zipc_segment *segment, const struct zi_view *view,
			 struct zi_report *report);

int zi_semaphore_holders(zipc_segment *segment, const struct zi_view *view, zi_holder_fn fn,
			 void *arg);

#endif
