/* SPDX-License-Identifier: MIT */
/*
 * Who is attached and who lives. The only place that knows how death is seen.
 *
 * Each attachment holds one open-file-description lock on one byte of the segment's file, at
 * ZI_LOCK_BASE + id, far behind its end. The description is reached by nothing but a one-page
 * mapping that is not inherited by fork: so the lock lives exactly as long as the address space. It
 * survives close_range(), is not shared with children, and falls at exec and after the last
 * thread's last instruction. dead(id) = that byte is not locked, asked through another description
 * that holds no lock. The table in the segment is for people.
 */
#ifndef ZI_SEGMENT_PEERS_H
#define ZI_SEGMENT_PEERS_H

#include "segment.h"

/*
 * Takes a slot and becomes its next id; under zi_process_lock(). 0; -ENOSPC; -EOPNOTSUPP; -EBADF;
 * -ENOMEM. CRASH: the lock falls with the process; a raised generation is merely skipped.
 */
int zi_peer_attach(zipc_segment *segment);

/* This attachment's id, also for the thread that is just attaching and may not publish it yet. */
uint32_t zi_peer_self(const zipc_segment *segment);

/* Ends this attachment's life; whatever its id still names is a dead owner's now. */
void zi_peer_detach(zipc_segment *segment);

/*
 * Attaches again when this is a forked child's first call. Returns the id (> 0), or what attaching
 * says; -EROFS on a read-only attachment.
 */
int zi_peer_id(zipc_segment *segment);

/*
 * 1 = the attachment `id` is dead or never was, 0 = it lives (or nobody can tell: errors mean
 * alive), -EBADF = this attachment has lost the means to ask, with a sentence. About 0.5 us, 1 ms
 * cached.
 */
int zi_peer_dead(zipc_segment *segment, uint32_t id);

/* Does anybody live in this slot, whatever its generation? For the handle bits. Errors mean yes. */
bool zi_peer_slot_alive(zipc_segment *segment, uint32_t slot);

/* Pid that the table has for this id, 0 when it has another. For sentences and people. */
uint32_t zi_peer_pid(const zipc_segment *segment, uint32_t id);

/*
 * Rows of the table that show attachments which have died: writes up to max_peers of them to rows
 * and returns how many, or -EBADF. They are taken off the table by zi_peer_forget(), each unless
 * its slot was entered again meanwhile.
 */
struct zi_dead_row {
	uint32_t slot;
	uint64_t row; /* as it was */
};

int zi_peer_list_dead(zipc_segment *segment, struct zi_dead_row *rows);
void zi_peer_forget(zipc_segment *segment, const struct zi_dead_row *rows, int count);

#endif
