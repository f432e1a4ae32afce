/* SPDX-License-Identifier: MIT */
/*
 * Exact accounting of tagged items. An item of any size from 8 bytes up carries its producer, its
 * sequence number and, in every byte after them, a pattern made of both, so that an item that is
 * torn apart is told from one that is lost, doubled or out of order. The ledger lies in memory that
 * all processes of the test share, and a process that is killed leaves its entries behind.
 *
 * A lane is a line of producers, one at a time: who replaces a killed one goes on with the next
 * sequence number. Numbers start at 1.
 */
#ifndef TESTS_SUPPORT_LEDGER_H
#define TESTS_SUPPORT_LEDGER_H

#include "peer.h"

#define LEDGER_LANES 8

/* ---- items ---------------------------------------------------------------------------------- */

void item_write(void *element, size_t size, uint32_t lane, uint32_t sequence);

/* false = torn: not as item_write() left it. */
bool item_read(const void *element, size_t size, uint32_t *out_lane, uint32_t *out_sequence);

/* ---- ledger --------------------------------------------------------------------------------- */

struct ledger;

/* What one consumer has seen of each lane; private to it. */
struct ledger_view {
	uint32_t last[LEDGER_LANES];
};

struct ledger_sum {
	uint64_t accepted;  /* push said yes */
	uint64_t doubtful;  /* the producer died in push */
	uint64_t delivered; /* deliveries altogether */
	uint64_t lost;	    /* accepted and never delivered */
	uint64_t doubled;   /* deliveries beyond the first */
	uint64_t reordered; /* a consumer got it after a later one of the same lane */
	uint64_t torn;
	uint64_t strange; /* never pushed */
	uint64_t arrived; /* of the doubtful: delivered */
};

/* Bytes for `sequences` items in each lane. */
size_t ledger_size(uint32_t sequences);
void ledger_start(struct ledger *ledger, uint32_t sequences);

/*
 * The producer's side: the next number to push, 0 = the lane is full; then whether push took it.
 * A number that was opened and not closed when the next one is asked for is doubtful.
 */
uint32_t ledger_next(struct ledger *ledger, uint32_t lane);
void ledger_accepted(struct ledger *ledger, uint32_t lane, uint32_t sequence);
void ledger_refused(struct ledger *ledger, uint32_t lane, uint32_t sequence);

/*
 * The consumer's side: checks and enters one element. `again` = the queue said that this is a
 * redelivery, which may be out of order. Returns how often it was delivered before, -1 when torn or
 * strange.
 */
int ledger_seen(struct ledger *ledger, struct ledger_view *view, const void *element, size_t size,
		bool again);

struct ledger_sum ledger_sum(const struct ledger *ledger);
void ledger_print(const char *test, const struct ledger_sum *sum);

#endif
