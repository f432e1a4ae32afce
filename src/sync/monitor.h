/* SPDX-License-Identifier: MIT */
/* What the segment needs to know about monitors. */
#ifndef ZI_SYNC_MONITOR_H
#define ZI_SYNC_MONITOR_H

#include "../segment/type.h"

int zi_monitor_resolve(zipc_segment *segment, const struct zi_view *view);
void zi_monitor_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report);
void zi_monitor_thread_ended(zipc_segment *segment, const struct zi_view *view, uint32_t id,
			     uint32_t thread);

int zi_monitor_holders(zipc_segment *segment, const struct zi_view *view, zi_holder_fn fn,
		       void *arg);

#endif
