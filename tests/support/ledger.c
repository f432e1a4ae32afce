/* SPDX-License-Identifier: MIT */
#include "ledger.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How far an item came, in the lower bits; deliveries above. */
enum { UNUSED = 0, OPENED = 1, ACCEPTED = 2, REFUSED = 3 };
#define STAGE	 3u
#define DELIVERY 4u

struct lane {
	uint32_t opened; /* last number that a producer began with */
	uint32_t pad[15];
};

struct ledger {
	uint32_t sequences;
	uint32_t torn;
	uint32_t strange;
	uint32_t reordered;
	uint32_t pad[12];
	struct lane lanes[LEDGER_LANES];
	uint32_t marks[]; /* lane after lane: stage | deliveries * DELIVERY */
};

static uint8_t pattern(uint32_t lane, uint32_t sequence, size_t at)
{
	uint32_t x = (sequence * 2654435761u) ^ (lane * 40503u) ^ ((uint32_t)at * 2246822519u);
	return (uint8_t)(x >> 24 ^ x >> 11);
}

void item_write(void *element, size_t size, uint32_t lane, uint32_t sequence)
{
	uint8_t *bytes = element;
	memcpy(bytes, &lane, 4);
	memcpy(bytes + 4, &sequence, 4);
	for (size_t i = 8; i < size; i++)
		bytes[i] = pattern(lane, sequence, i);
}

bool item_read(const void *element, size_t size, uint32_t *out_lane, uint32_t *out_sequence)
{
	const uint8_t *bytes = element;
	memcpy(out_lane, bytes, 4);
	memcpy(out_sequence, bytes + 4, 4);
	for (size_t i = 8; i < size; i++)
		if (bytes[i] != pattern(*out_lane, *out_sequence, i))
			return false;
	return true;
}

size_t ledger_size(uint32_t sequences)
{
	return sizeof(struct ledger) + (size_t)LEDGER_LANES * (sequences + 1) * sizeof(uint32_t);
}

void ledger_start(struct ledger *ledger, uint32_t sequences)
{
	memset(ledger, 0, sizeof *ledger);
	ledger->sequences = sequences;
}

static uint32_t *mark_of(struct ledger *ledger, uint32_t lane, uint32_t sequence)
{
	return &ledger->marks[(size_t)lane * (ledger->sequences + 1) + sequence];
}

uint32_t ledger_next(struct ledger *ledger, uint32_t lane)
{
	uint32_t sequence = ledger->lanes[lane].opened + 1;
	if (sequence > ledger->sequences)
		return 0;
	/* a store, so that whoever follows a killed producer may do it again */
	__atomic_store_n(mark_of(ledger, lane, sequence), OPENED, __ATOMIC_SEQ_CST);
	__atomic_store_n(&ledger->lanes[lane].opened, sequence, __ATOMIC_SEQ_CST);
	return sequence;
}

/* One instruction, so that a kill leaves the stage before or after, nothing else. */
void ledger_accepted(struct ledger *ledger, uint32_t lane, uint32_t sequence)
{
	__atomic_fetch_add(mark_of(ledger, lane, sequence), ACCEPTED - OPENED, __ATOMIC_SEQ_CST);
}

void ledger_refused(struct ledger *ledger, uint32_t lane, uint32_t sequence)
{
	__atomic_fetch_add(mark_of(ledger, lane, sequence), REFUSED - OPENED, __ATOMIC_SEQ_CST);
}

int ledger_seen(struct ledger *ledger, struct ledger_view *view, const void *element, size_t size,
		bool again)
{
	uint32_t lane, sequence;
	if (!item_read(element, size, &lane, &sequence)) {
		__atomic_fetch_add(&ledger->torn, 1u, __ATOMIC_SEQ_CST);
		return -1;
	}
	if (lane >= LEDGER_LANES || sequence == 0 || sequence > ledger->sequences) {
		__atomic_fetch_add(&ledger->strange, 1u, __ATOMIC_SEQ_CST);
		return -1;
	}
	if (sequence <= view->last[lane] && !again)
		__atomic_fetch_add(&ledger->reordered, 1u, __ATOMIC_SEQ_CST);
	if (sequence > view->last[lane])
		view->last[lane] = sequence;
	uint32_t before =
		__atomic_fetch_add(mark_of(ledger, lane, sequence), DELIVERY, __ATOMIC_SEQ_CST);
	return (int)(before / DELIVERY);
}

static void add_mark(struct ledger_sum *sum, uint32_t mark)
{
	uint32_t stage = mark & STAGE, deliveries = mark / DELIVERY;
	sum->delivered += deliveries;
	sum->doubled += deliveries > 1 ? deliveries - 1 : 0;
	sum->accepted += stage == ACCEPTED;
	sum->lost += stage == ACCEPTED && deliveries == 0;
	sum->doubtful += stage == OPENED;
	sum->arrived += stage == OPENED && deliveries > 0;
	sum->strange += (stage == UNUSED || stage == REFUSED) && deliveries > 0;
}

struct ledger_sum ledger_sum(const struct ledger *ledger)
{
	struct ledger_sum sum = {
		.torn = ledger->torn,
		.strange = ledger->strange,
		.reordered = ledger->reordered,
	};
	for (uint32_t lane = 0; lane < LEDGER_LANES; lane++)
		for (uint32_t i = 1; i <= ledger->lanes[lane].opened; i++)
			add_mark(&sum, ledger->marks[(size_t)lane * (ledger->sequences + 1) + i]);
	return sum;
}

void ledger_print(const char *test, const struct ledger_sum *sum)
{
	printf("%s: %" PRIu64 " accepted, %" PRIu64 " in doubt (%" PRIu64
	       " of them arrived), %" PRIu64 " delivered; lost %" PRIu64 ", doubled %" PRIu64
	       ", reordered %" PRIu64 ", torn %" PRIu64 ", strange %" PRIu64 "\n",
	       test, sum->accepted, sum->doubtful, sum->arrived, sum->delivered, sum->lost,
	       sum->doubled, sum->reordered, sum->torn, sum->strange);
}
