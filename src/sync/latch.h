/* SPDX-License-Identifier: MIT */
/* What the segment needs to know about latches. */
#ifndef ZI_SYNC_LATCH_H
#define ZI_SYNC_LATCH_H

#include "../segment/type.h"

int zi_latch_resolve(zipc_segment *segment, const struct zi_view *view);
void zi_latch_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report);

#endif
