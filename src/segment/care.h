/* SPDX-License-Identifier: MIT */
/* Giving back what the dead hold, all over the segment. */
#ifndef ZI_SEGMENT_CARE_H
#define ZI_SEGMENT_CARE_H

#include "segment.h"

/*
 * Resolves every claim of dead owners in entries, structures and heap. Returns how many things were
 * given back, or what the guard says. CRASH: idempotent, the next one goes on.
 */
int zi_care_resolve(zipc_segment *segment);

/*
 * The same, but refuses with -EOPNOTSUPP when there is a structure whose type this library does not
 * know: what the dead claimed inside it would stay.
 */
int zi_care_resolve_all(zipc_segment *segment);

#endif
