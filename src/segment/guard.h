/* SPDX-License-Identifier: MIT */
/*
 * Guard: the owner-named lock for the segment's own short sections (heap, directory).
 *
 * Word: sequence << 25 | somebody may sleep << 24 | owner id 24. Each acquisition raises the
 * sequence, so that a verdict about an old owner cannot be used against a later one. A dead owner's
 * lock goes to the next comer at once; what it protects is written so that every prefix of a
 * section is a valid state, therefore nothing has to be repaired first.
 */
#ifndef ZI_SEGMENT_GUARD_H
#define ZI_SEGMENT_GUARD_H

#include "segment.h"

/*
 * 0; -EDEADLK when this thread holds a guard of that word already (a signal handler);
 * -ECANCELED; -EROFS; or what attaching anew says. Sleeps in slices; a stopped owner holds it up.
 */
int zi_guard_lock(zipc_segment *segment, uint64_t *word);
void zi_guard_unlock(zipc_segment *segment, uint64_t *word);

#endif
