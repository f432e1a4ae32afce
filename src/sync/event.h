/* SPDX-License-Identifier: MIT */
/* What the segment needs to know about events. */
#ifndef ZI_SYNC_EVENT_H
#define ZI_SYNC_EVENT_H

#include "../segment/type.h"

int zi_event_resolve(zipc_segment *segment, const struct zi_view *view);
void zi_event_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report);

#endif
