/* SPDX-License-Identifier: MIT */
/*
 * The barrier's part of the format. The block is struct zi_barrier, then as many participants as the
 * entry's capacity, close together: what all of them look at is one cache line if they are few, and
 * comes with the word that is written last.
 *
 * Control word: round 24 | last round that was completed 24 << 24 | version 12 << 48 | flags 4 << 60.
 * At birth round 1, all else 0. A participant that arrived in round r, and sees another round now, was let through if
 * `completed` is r: it cannot have become more without him.
 *
 * Participant word: owner 48 | low bits of a round 14 << 48 | ARRIVED << 62 | DROPPED << 63.
 *
 *   0                 free
 *   owner             has joined; not arrived in the round that is under way
 *   owner, ARRIVED    has arrived in that round
 *   ..., DROPPED      has arrived in that round, and takes no part in the next: free from then on
 *   gone              a participant's thread ended, or gc found it dead: dead, as it names no peer
 */
#ifndef ZI_SYNC_BARRIER_LAYOUT_H
#define ZI_SYNC_BARRIER_LAYOUT_H

#include "owner.h"

struct zi_barrier {
	uint64_t control;
	uint32_t gate; /* who has arrived sleeps here */
	uint32_t pad;
	uint64_t participants[];
};

static_assert(sizeof(struct zi_barrier) == 16, "format");

#define ZI_BARRIER_ROUND_MASK	UINT64_C(0xffffff)
#define ZI_BARRIER_VERSION	(UINT64_C(1) << 48) /* other after somebody has not arrived after all */
#define ZI_BARRIER_VERSION_MASK (UINT64_C(0xfff) << 48)
#define ZI_BARRIER_STARTED	(UINT64_C(1) << 60) /* a round was completed */
#define ZI_BARRIER_BROKEN	(UINT64_C(1) << 61)
#define ZI_BARRIER_BY_DEATH	(UINT64_C(1) << 62) /* ... because a participant died */

#define ZI_PART_ARRIVED	   (UINT64_C(1) << 62)
#define ZI_PART_DROPPED	   (UINT64_C(1) << 63)
#define ZI_PART_ROUND_MASK (UINT64_C(0x3fff) << ZI_OWNER_BITS)
#define ZI_PART_GONE	   (UINT64_C(1) << ZI_ID_BITS) /* a thread of nobody */

static inline uint64_t zi_barrier_round(uint64_t control)
{
	return control & ZI_BARRIER_ROUND_MASK;
}

static inline uint64_t zi_barrier_completed(uint64_t control)
{
	return control >> 24 & ZI_BARRIER_ROUND_MASK;
}

/* The bits of one who has arrived in this round. */
static inline uint64_t zi_part_arrived(uint64_t round)
{
	return ((round << ZI_OWNER_BITS) & ZI_PART_ROUND_MASK) | ZI_PART_ARRIVED;
}

static inline bool zi_part_has_arrived(uint64_t word, uint64_t round)
{
	return (word & (ZI_PART_ROUND_MASK | ZI_PART_ARRIVED)) == zi_part_arrived(round);
}

/* Does nobody take part by this word in this round? */
static inline bool zi_part_is_free(uint64_t word, uint64_t round)
{
	return word == 0 || ((word & ZI_PART_DROPPED) != 0 && !zi_part_has_arrived(word, round));
}

#endif
