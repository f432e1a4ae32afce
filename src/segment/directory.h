/* SPDX-License-Identifier: MIT */
/*
 * Directory: names and what they stand for.
 *
 * An entry's life is one word {generation, owner, state}: FREE -> CLAIMED(creator) -> PUBLISHED ->
 * REMOVED -> FREEING(owner) -> FREE. Claiming, removing and freeing happen under the directory
 * guard; lookup takes no lock. Who opens sets its bit in the entry, passes a full barrier and looks
 * again whether the entry is still published; who removes takes the name away first and looks for
 * bits of the living afterwards: one of the two sees the other. A dead creator's claim is undone
 * and a dead freer's work finished by the next that holds the guard.
 */
#ifndef ZI_SEGMENT_DIRECTORY_H
#define ZI_SEGMENT_DIRECTORY_H

#include "object.h"
#include "type.h"

#define ZI_NO_ENTRY UINT32_MAX

/* NULL when the entry's block is not there. */
struct zi_entry *zi_directory_entry(zipc_segment *segment, uint32_t index);

/* Finds a name in the given state: its index and a copy, or ZI_NO_ENTRY. Lock-free. */
uint32_t zi_directory_find(zipc_segment *segment, const char *name, enum zi_entry_state state,
			   struct zi_view *view);

/* Where the block of an entry is, or NULL when it cannot be there. */
uint8_t *zi_directory_memory(zipc_segment *segment, const struct zi_view *view);

/*
 * Claims a free entry for a name and fills it, all but the place of its memory. 0; -EEXIST;
 * -ENOSPC; -EBADMSG; what the guard says. CRASH: the claim names us; the next comer undoes it.
 */
int zi_directory_claim(zipc_segment *segment, const struct zi_spec *spec, struct zi_view *view);

/* Waits while a living process is just creating this name. 0; -ETIMEDOUT after 10 s; -ECANCELED. */
int zi_directory_settle(zipc_segment *segment, const char *name);

/* PUBLISHED -> REMOVED, and its memory back when nobody has it open. type 0 = any. */
int zi_directory_remove(zipc_segment *segment, const char *name, uint32_t type);

/*
 * This attachment's bit of the entry was cleared: frees it if it is removed. Under no lock of ours:
 * takes the guard if it can be had. What it cannot do is left to gc.
 */
void zi_directory_drop(zipc_segment *segment, const struct zi_view *view);

/* Does entry `index` exist with this generation (18 bits of it), in any state but FREE? */
bool zi_directory_owns(zipc_segment *segment, uint32_t index, uint32_t generation);

/* Nobody lives in this slot: its handle bits mean nothing any more. */
void zi_directory_clear_handles(zipc_segment *segment, uint32_t slot);

/* Undoes and finishes what the dead left in the entries; under the guard. Returns how many. */
int zi_directory_resolve(zipc_segment *segment);

/* Calls fn for every entry in the given state; a non-zero return ends the walk and is returned. */
int zi_directory_walk(zipc_segment *segment, enum zi_entry_state state,
		      int (*fn)(zipc_segment *segment, const struct zi_view *view, void *arg),
		      void *arg);

/* How many attachments that live have this entry open. */
uint32_t zi_directory_handles(zipc_segment *segment, uint32_t index);

void zi_directory_verify(zipc_segment *segment, struct zi_report *report);

#endif
