/* SPDX-License-Identifier: MIT */
/* What the segment needs to know about arrays. */
#ifndef ZI_STRUCTURE_ARRAY_H
#define ZI_STRUCTURE_ARRAY_H

#include "../segment/type.h"

int zi_array_resolve(zipc_segment *segment, const struct zi_view *view);
void zi_array_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report);

#endif
