/* SPDX-License-Identifier: MIT */
#include "peers.h"

#include "backing.h"
#include "care.h"
#include "directory.h"
#include "waiters.h"
#include "guard.h"
#include "object.h"

#include "../base/clock.h"
#include "../base/copy.h"
#include "../base/error.h"
#include "../base/membarrier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_BASE (INT64_C(1) << 62)
#define SLOT_IDS  ((int64_t)ZI_GENERATION_MASK + 1)

#define ALIVE_MS      1 /* how long "alive" may be believed without asking again */
#define CACHE_MS_MASK ((UINT64_C(1) << 40) - 1)

/* ---- locks ---------------------------------------------------------------------------------- */

static struct flock byte_range(int type, int64_t first, int64_t count)
{
	return (struct flock){
		.l_type = (short)type,
		.l_whence = SEEK_SET,
		.l_start = LOCK_BASE + first,
		.l_len = count,
	};
}

static int set_lock(int fd, int type, int64_t first, int64_t count)
{
	struct flock lock = byte_range(type, first, count);
	int r;
	do
		r = fcntl(fd, F_OFD_SETLK, &lock);
	while (r != 0 && errno == EINTR);
	return r == 0 ? 0 : -errno;
}

/*
 * 1 = somebody holds a lock in the range, 0 = nobody, negative = cannot tell. Asks with F_RDLCK: a
 * reader that locks the range for reading must not make everybody look alive.
 */
static int is_locked(int fd, int64_t first, int64_t count)
{
	struct flock lock = byte_range(F_RDLCK, first, count);
	if (fcntl(fd, F_OFD_GETLK, &lock) != 0)
		return -errno;
	return lock.l_type != F_UNLCK;
}

/* ---- asking --------------------------------------------------------------------------------- */

/* While this thread attaches: the id that the others of the process shall not use yet. */
static __thread const zipc_segment *attaching;
static __thread uint32_t attaching_id;

uint32_t zi_peer_self(const zipc_segment *segment)
{
	return segment == attaching ? attaching_id : zi_self_id(segment);
}

static bool is_ours(const zipc_segment *segment, int fd)
{
	return zi_backing_is(fd, segment->device, segment->inode);
}

/* Would this descriptor see a living one? It must be on our file, and see our own lock. */
static bool query_works(const zipc_segment *segment, int fd)
{
	uint32_t me = zi_peer_self(segment);
	return is_ours(segment, fd) && (me == 0 || is_locked(fd, me, 1) == 1);
}

/* The descriptor was closed or replaced under us. 0 or -EBADF. */
static int restore_query(zipc_segment *segment)
{
	if (zi_exchange_acq_rel(&segment->self->reopening, 1u) != 0)
		return 0; /* another thread is at it: until then nobody is dead */
	int r = 0, old = zi_load_acquire(&segment->query_fd);
	if (!query_works(segment, old)) {
		int fd = zi_backing_reopen(old, segment->path, segment->device, segment->inode,
					   segment->read_only ? O_RDONLY : O_RDWR);
		r = fd < 0 ? fd : query_works(segment, fd) ? 0 : -EBADF;
		if (r == 0)
			zi_store_release(&segment->query_fd, fd);
		else if (fd >= 0)
			close(fd);
		/* the old one stays open if it is ours: another thread may be asking through it */
	}
	zi_store_release(&segment->self->reopening, 0u);
	return r;
}

/*
 * Is any byte of this range locked? 1, 0, or -EBADF when nobody can be asked. The descriptor's
 * number is read once: the question and the control that it was the right one to ask go to the
 * same.
 */
static int ask(zipc_segment *segment, int64_t first, int64_t count)
{
	for (int attempt = 0; attempt < 2; attempt++) {
		int fd = zi_load_acquire(&segment->query_fd);
		int locked = is_ours(segment, fd) ? is_locked(fd, first, count) : -EBADF;
		if (locked == 1)
			return 1;
		if (locked == 0 && query_works(segment, fd))
			return 0;
		int r = restore_query(segment);
		if (r < 0)
			return r;
	}
	return 1; /* in doubt they live */
}

static uint64_t cache_clock(void)
{
	return (uint64_t)(zi_now_coarse_ns() / ZI_NS_PER_MS) & CACHE_MS_MASK;
}

static bool cached_alive(const zipc_segment *segment, uint32_t id)
{
	/* relaxed: private to the process, a hint that lasts a millisecond */
	uint64_t entry = zi_load_relaxed(&segment->alive_cache[zi_id_slot(id)]);
	return entry >> 40 == id && cache_clock() <= (entry & CACHE_MS_MASK);
}

static void cache_alive(zipc_segment *segment, uint32_t id)
{
	uint64_t until = (cache_clock() + ALIVE_MS) & CACHE_MS_MASK;
	zi_store_relaxed(&segment->alive_cache[zi_id_slot(id)], (uint64_t)id << 40 | until);
}

int zi_peer_dead(zipc_segment *segment, uint32_t id)
{
	if (zi_id_generation(id) == 0 || zi_id_slot(id) >= segment->max_peers)
		return 1;
	if (id == zi_peer_self(segment) || cached_alive(segment, id))
		return 0;
	int locked = ask(segment, id, 1);
	if (locked == 1)
		cache_alive(segment, id);
	return locked < 0 ? locked : locked == 0;
}

bool zi_peer_slot_alive(zipc_segment *segment, uint32_t slot)
{
	return slot < segment->max_peers && ask(segment, (int64_t)slot * SLOT_IDS, SLOT_IDS) != 0;
}

uint32_t zi_peer_pid(const zipc_segment *segment, uint32_t id)
{
	if (zi_id_slot(id) >= segment->max_peers)
		return 0;
	const struct zi_peer *peer = zi_peer_at(segment, zi_id_slot(id));
	/* relaxed: for people */
	bool same = zi_load_relaxed(&peer->generation) == zi_id_generation(id);
	return same ? zi_load_relaxed(&peer->pid) : 0;
}

/* ---- the rows of the dead -------------------------------------------------------------------- */

int zi_peer_list_dead(zipc_segment *segment, struct zi_dead_row *rows)
{
	int n = 0;
	for (uint32_t slot = 0; slot < segment->max_peers; slot++) {
		/* relaxed: for people; the CAS of zi_peer_forget() looks again */
		struct zi_peer peer = {.row = zi_load_relaxed(&zi_peer_at(segment, slot)->row)};
		if (peer.generation == 0 || peer.pid == 0)
			continue;
		uint32_t id = zi_id_make(slot, peer.generation & ZI_GENERATION_MASK);
		int dead = zi_peer_dead(segment, id);
		if (dead < 0)
			return dead;
		if (dead == 1)
			rows[n++] = (struct zi_dead_row){slot, peer.row};
	}
	return n;
}

/*
 * The generation stays. An attachment that enters the slot raises it first of all, so a row that
 * still reads as it did is nobody else's. CRASH: shown or not, row by row.
 */
void zi_peer_forget(zipc_segment *segment, const struct zi_dead_row *rows, int count)
{
	for (int i = 0; i < count; i++) {
		struct zi_peer gone = {.row = rows[i].row};
		uint64_t seen = rows[i].row;
		gone.pid = 0;
		zi_cas_relaxed(&zi_peer_at(segment, rows[i].slot)->row, &seen, gone.row);
	}
}

/* ---- attaching ------------------------------------------------------------------------------ */

/* Locks one whole slot that no living attachment has a byte of: its number, or a refusal. */
static int take_slot(zipc_segment *segment, int fd)
{
	uint32_t n = segment->max_peers;
	/* relaxed: any start will do; it rotates so that generations wear evenly */
	uint32_t start = zi_add_relaxed(&zi_header(segment)->peer_cursor, 1u) % n;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t slot = (start + i) % n;
		uint32_t last = zi_load_relaxed(&zi_peer_at(segment, slot)->generation);
		if ((last & ZI_GENERATION_MASK) == ZI_GENERATION_MASK)
			continue; /* its sweepers died 96 times in a row */
		int r = set_lock(fd, F_WRLCK, (int64_t)slot * SLOT_IDS, SLOT_IDS);
		if (r == 0)
			return (int)slot;
		if (r != -EAGAIN && r != -EACCES)
			return zi_fail_errno(r == -EINVAL ? -EOPNOTSUPP : r,
					     "segment: its file system has no OFD locks");
	}
	return zi_fail(-ENOSPC,
		       "segment: all %u peer slots are taken by living processes "
		       "(max_peers)",
		       n);
}

/* The whole slot is locked: gives up all of it but the byte of one id. */
static int narrow_lock(int fd, uint32_t id)
{
	int64_t first = (int64_t)zi_id_slot(id) * SLOT_IDS;
	int r = set_lock(fd, F_UNLCK, first, id - first);
	if (r == 0)
		r = set_lock(fd, F_UNLCK, (int64_t)id + 1, first + SLOT_IDS - id - 1);
	return r < 0 ? zi_fail_errno(r, "segment: cannot lock its file") : 0;
}

/* Only the holder of the slot's lock writes here. CRASH: a number is skipped. */
static void choose_id(zipc_segment *segment, uint32_t id)
{
	struct zi_peer *peer = zi_peer_at(segment, zi_id_slot(id));
	zi_store_relaxed(&peer->generation, zi_id_generation(id));
	attaching_id = id;
}

/* For people. */
static void describe_self(zipc_segment *segment, uint32_t slot)
{
	struct zi_peer *peer = zi_peer_at(segment, slot);
	char command[sizeof peer->command] = "";
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		ssize_t n = read(fd, command, sizeof command - 1);
		command[n > 0 ? n - 1 : 0] = '\0'; /* without the newline */
		close(fd);
	}
	zi_copy_in(peer->command, command, sizeof command);
	zi_store_relaxed(&peer->uid, (uint32_t)geteuid());
	zi_store_relaxed(&peer->attached_ns, zi_wall_ns());
	zi_store_relaxed(&peer->pid, (uint32_t)getpid());
}

/*
 * The generations of this slot are used up. Before they start over, every claim that an old one
 * left anywhere is resolved, so that no stale word can name a living stranger. The sweeper uses an
 * id that ordinary attachments never have; one that dies is followed by the next.
 */
static int sweep_and_restart(zipc_segment *segment, int fd, uint32_t slot, uint32_t last)
{
	uint32_t sweeper = last < ZI_GENERATION_SWEEP ? ZI_GENERATION_SWEEP : last + 1;
	uint32_t sweeper_id = zi_id_make(slot, sweeper), first_id = zi_id_make(slot, 1);
	choose_id(segment, sweeper_id);
	int r = narrow_lock(fd, sweeper_id); /* now all the others of this slot read as dead */
	if (r == 0)
		r = zi_care_resolve_all(segment);
	if (r < 0)
		return r;
	r = set_lock(fd, F_WRLCK, first_id, 1);
	if (r < 0)
		return zi_fail_errno(r, "segment: cannot lock its file");
	choose_id(segment, first_id);
	return set_lock(fd, F_UNLCK, sweeper_id, 1);
}

/* With the whole slot locked: chooses the next generation and narrows the lock to it. */
static int enter_slot(zipc_segment *segment, int fd, uint32_t slot)
{
	zi_directory_clear_handles(segment, slot);
	zi_waiters_clear(segment, slot);
	uint32_t last =
		zi_load_relaxed(&zi_peer_at(segment, slot)->generation) & ZI_GENERATION_MASK;
	memset(&segment->alive_cache[slot], 0, sizeof segment->alive_cache[slot]);
	if (last >= ZI_GENERATION_LAST)
		return sweep_and_restart(segment, fd, slot, last);
	uint32_t id = zi_id_make(slot, last + 1);
	choose_id(segment, id);
	return narrow_lock(fd, id);
}

/*
 * Did the kernel take MADV_DONTFORK ("dc" among the VmFlags)? Emulators ignore it, and a child must
 * then unmap the page itself; where it is taken it must not, for something else may be there by
 * then.
 */
static bool fork_leaves_out(const void *page)
{
	static int known; /* 1 = yes, 2 = no; relaxed: every thread finds the same */
	if (zi_load_relaxed(&known) != 0)
		return zi_load_relaxed(&known) == 1;
	char line[512], start[24];
	bool inside = false, taken = false;
	int n = snprintf(start, sizeof start, "%lx-", (unsigned long)(uintptr_t)page);
	FILE *smaps = fopen("/proc/self/smaps", "re");
	while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL) {
		if (strncmp(line, start, (size_t)n) == 0)
			inside = true;
		if (!inside || strncmp(line, "VmFlags:", 8) != 0)
			continue;
		taken = strstr(line, " dc") != NULL;
		break;
	}
	if (smaps != NULL)
		fclose(smaps);
	zi_store_relaxed(&known, taken ? 1 : 2);
	return taken;
}

/* Moves the lock's life from the descriptor to a mapping that fork does not copy. */
static int map_life(zipc_segment *segment, int fd)
{
	void *page = mmap(NULL, ZI_PAGE, PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return zi_fail_errno(-errno, "segment: cannot map its first page");
	madvise(page, ZI_PAGE, MADV_DONTFORK);
	segment->life_inherited = !fork_leaves_out(page);
	segment->life_page = page;
	return 0;
}

static void choose_barriers(zipc_segment *segment)
{
	bool allowed =
		(zi_load_relaxed(&zi_header(segment)->flags) & ZI_SEGMENT_NO_MEMBARRIER) == 0;
	segment->membarrier = allowed && zi_membarrier_register();
	zi_store_relaxed(&segment->self->fence_needed, segment->membarrier ? 0u : 1u);
}

/* Everything of attaching that needs the lock's descriptor. */
static int attach_through(zipc_segment *segment, int fd)
{
	int r = take_slot(segment, fd);
	if (r >= 0)
		r = enter_slot(segment, fd, (uint32_t)r);
	if (r == 0)
		r = map_life(segment, fd);
	return r;
}

int zi_peer_attach(zipc_segment *segment)
{
	int fd = zi_backing_reopen(segment->query_fd, segment->path, segment->device,
				   segment->inode, O_RDWR);
	if (fd < 0)
		return fd;
	choose_barriers(segment);
	attaching = segment;
	attaching_id = 0;
	int r = attach_through(segment, fd);
	close(fd);
	if (r == 0) {
		zi_object_reclaim(segment);
		describe_self(segment, zi_id_slot(attaching_id));
		/* release: from here the other threads of this process use the id; the lock and the
		 * handles' bits stand behind it. Pairs with the process lock that they took first. */
		zi_store_release(&segment->self->id, attaching_id);
	}
	attaching = NULL;
	return r;
}

void zi_peer_detach(zipc_segment *segment)
{
	uint32_t id = zi_self_id(segment);
	if (id == 0 || segment->life_page == NULL)
		return;
	zi_store_relaxed(&zi_peer_at(segment, zi_id_slot(id))->pid, 0u);
	zi_store_relaxed(&segment->self->id, 0u);
	munmap(segment->life_page, ZI_PAGE);
	segment->life_page = NULL;
}

int zi_peer_id(zipc_segment *segment)
{
	uint32_t id = zi_peer_self(segment);
	if (zi_likely(id != 0))
		return (int)id;
	if (segment->read_only)
		return zi_fail(-EROFS, "segment: this attachment is read-only");
	int r = zi_process_lock();
	if (r < 0)
		return r;
	if (zi_self_id(segment) == 0) { /* a forked child: its own peer from here on */
		segment->life_page = NULL;
		r = zi_peer_attach(segment);
	}
	zi_process_unlock();
	return r < 0 ? r : (int)zi_self_id(segment);
}
