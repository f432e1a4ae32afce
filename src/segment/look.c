/* SPDX-License-Identifier: MIT */
/* What people and tools ask: segments of this machine, numbers, peers, structures. */
#include "backing.h"
#include "directory.h"
#include "heap.h"
#include "peers.h"
#include "waiters.h"

#include "../base/clock.h"
#include "../base/copy.h"
#include "../base/error.h"
#include "../base/options.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- segments ------------------------------------------------------------------------------- */

/* Fills what the file tells; false when it is not a segment. */
static bool describe_file(int directory, const char *file, const char *name,
			  zipc_segment_entry *entry)
{
	struct stat st;
	if (fstatat(directory, file, &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(st.st_mode))
		return false;
	*entry = (zipc_segment_entry){
		.struct_size = sizeof *entry,
		.name = name,
		.size = (uint64_t)st.st_blocks * 512,
		.uid = st.st_uid,
		.mode = st.st_mode & 07777,
	};
	int fd = openat(directory, file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return true;
	struct zi_header h;
	size_t front = offsetof(struct zi_header, name);
	bool ours = pread(fd, &h, front, 0) == (ssize_t)front && h.magic == ZI_MAGIC;
	close(fd);
	entry->version = h.version;
	entry->created_ns = h.created_ns;
	return ours;
}

int zipc_segment_list(int (*fn)(const zipc_segment_entry *entry, void *arg), void *arg)
{
	DIR *directory = opendir(ZI_SHM_DIRECTORY);
	if (directory == NULL)
		return zi_fail_errno(-errno, "cannot list %s", ZI_SHM_DIRECTORY);
	int r = 0;
	for (struct dirent *d; r == 0 && (d = readdir(directory)) != NULL;) {
		char name[ZIPC_NAME_MAX + 1];
		zipc_segment_entry entry;
		if (zi_backing_name(d->d_name, name, sizeof name) &&
		    describe_file(dirfd(directory), d->d_name, name, &entry))
			r = fn(&entry, arg);
	}
	closedir(directory);
	return r;
}

/* ---- numbers -------------------------------------------------------------------------------- */

static int count_one(zipc_segment *segment, const struct zi_view *view, void *arg)
{
	(void)segment;
	(void)view;
	++*(uint32_t *)arg;
	return 0;
}

static uint32_t count_peers(zipc_segment *segment)
{
	uint32_t n = 0;
	for (uint32_t slot = 0; slot < segment->max_peers; slot++)
		/* relaxed: generation 0 = never used, nothing to ask about */
		n += zi_load_relaxed(&zi_peer_at(segment, slot)->generation) != 0 &&
		     zi_peer_slot_alive(segment, slot);
	return n;
}

int zipc_segment_get_info(zipc_segment *segment, zipc_segment_info *out_info)
{
	struct zi_header h;
	zi_copy_out(&h, zi_header(segment), offsetof(struct zi_header, pad0));
	uint64_t size = zi_segment_size(segment);
	zipc_segment_info info = {
		.version = h.version,
		.backing = segment->backing,
		.read_only = segment->read_only,
		.size = zi_heap_reserved(segment, size),
		.max_size = segment->max_size,
		.used = zi_heap_reserved(segment, size) - (size - segment->first_chunk) +
			zi_heap_used(segment),
		.max_peers = segment->max_peers,
		.peers = count_peers(segment),
		.creator_pid = h.creator_pid,
		.creator_uid = h.creator_uid,
		.self_id = zi_self_id(segment),
		.created_ns = h.created_ns,
	};
	info.free = info.size > info.used ? info.size - info.used : 0;
	memcpy(info.uuid, h.uuid, sizeof info.uuid);
	memcpy(info.name, h.name, ZIPC_NAME_MAX);
	zi_directory_walk(segment, ZI_ENTRY_PUBLISHED, count_one, &info.structures);
	return zi_result_store(out_info, &info, sizeof info, "zipc_segment_info");
}

/* ---- peers ---------------------------------------------------------------------------------- */

int zipc_segment_peers(zipc_segment *segment, int (*fn)(const zipc_peer_entry *entry, void *arg),
		       void *arg)
{
	for (uint32_t slot = 0; slot < segment->max_peers; slot++) {
		struct zi_peer peer;
		zi_copy_out(&peer, zi_peer_at(segment, slot), sizeof peer);
		peer.command[sizeof peer.command - 1] = '\0';
		uint32_t id = zi_id_make(slot, peer.generation & ZI_GENERATION_MASK);
		if (peer.generation == 0 || peer.pid == 0)
			continue;
		zipc_peer_entry entry = {
			.struct_size = sizeof entry,
			.id = id,
			.alive = zi_peer_dead(segment, id) != 1,
			.pid = peer.pid,
			.uid = peer.uid,
			.attached_ns = peer.attached_ns,
			.command = peer.command,
		};
		int r = fn(&entry, arg);
		if (r != 0)
			return r;
	}
	return 0;
}

/* ---- structures ----------------------------------------------------------------------------- */

struct structure_walk {
	int (*fn)(const zipc_structure_entry *entry, void *arg);
	void *arg;
};

static int show_structure(zipc_segment *segment, const struct zi_view *view, void *arg)
{
	const struct structure_walk *walk = arg;
	const struct zi_type *type = zi_type_find(view->type);
	zipc_structure_entry entry = {
		.struct_size = sizeof entry,
		.type = view->type,
		.name = view->name,
		.type_name = type != NULL ? type->name : "unknown",
		.schema = view->schema,
		.offset = view->offset,
		.size = view->size,
		.element_size = view->element_size,
		.capacity = view->capacity,
		.alignment = view->alignment,
		.handles = zi_directory_handles(segment, view->index),
		.created_ns = view->created_ns,
		.creator_pid = view->creator_pid,
	};
	return walk->fn(&entry, walk->arg);
}

int zipc_segment_structures(zipc_segment *segment,
			    int (*fn)(const zipc_structure_entry *entry, void *arg), void *arg)
{
	struct structure_walk walk = {fn, arg};
	return zi_directory_walk(segment, ZI_ENTRY_PUBLISHED, show_structure, &walk);
}

/* ---- who waits, who holds ------------------------------------------------------------------- */

struct waiter_walk {
	int (*fn)(const zipc_waiter_entry *entry, void *arg);
	void *arg;
	const struct zi_waiter *waiter;
};

/* The one whose memory the gate lies in. */
static int show_waiter(zipc_segment *segment, const struct zi_view *view, void *arg)
{
	const struct waiter_walk *walk = arg;
	const struct zi_waiter *w = walk->waiter;
	const struct zi_type *type = zi_type_find(view->type);
	uint32_t id = (uint32_t)w->owner & ZI_ID_MASK;
	if (w->gate - view->offset >= view->size)
		return 0;
	zipc_waiter_entry entry = {
		.struct_size = sizeof entry,
		.peer_id = id,
		.pid = zi_peer_pid(segment, id),
		.thread = (uint32_t)(w->owner >> ZI_ID_BITS) & ZI_ID_MASK,
		.name = view->name,
		.type_name = type != NULL ? type->name : "unknown",
		.place = w->gate,
		.since_ns = zi_wall_ns() - ((uint64_t)zi_now_ns() - w->since_ns),
	};
	return walk->fn(&entry, walk->arg);
}

int zipc_segment_waiters(zipc_segment *segment,
			 int (*fn)(const zipc_waiter_entry *entry, void *arg), void *arg)
{
	struct zi_waiter waiter;
	struct waiter_walk walk = {fn, arg, &waiter};
	for (uint32_t slot = 0; slot < segment->max_peers; slot++) {
		for (uint32_t i = 0; i < ZI_WAITERS_PER_PEER; i++) {
			if (!zi_waiter_read(segment, slot, i, &waiter) ||
			    zi_peer_dead(segment, (uint32_t)waiter.owner & ZI_ID_MASK) == 1)
				continue;
			int r = zi_directory_walk(segment, ZI_ENTRY_PUBLISHED, show_waiter, &walk);
			if (r != 0)
				return r;
		}
	}
	return 0;
}

struct holder_walk {
	int (*fn)(const zipc_holder_entry *entry, void *arg);
	void *arg;
	zipc_segment *segment;
	const struct zi_view *view;
	const struct zi_type *type;
};

static int show_holder(const struct zi_holder *holder, void *arg)
{
	const struct holder_walk *walk = arg;
	zipc_holder_entry entry = {
		.struct_size = sizeof entry,
		.peer_id = holder->id,
		.pid = zi_peer_pid(walk->segment, holder->id),
		.thread = holder->thread,
		.alive = zi_peer_dead(walk->segment, holder->id) != 1,
		.count = holder->count,
		.flags = holder->flags,
		.name = walk->view->name,
		.type_name = walk->type->name,
		.what = holder->what,
		.place = (uint64_t)((const uint8_t *)holder->gate - walk->segment->base),
	};
	return walk->fn(&entry, walk->arg);
}

static int show_holders(zipc_segment *segment, const struct zi_view *view, void *arg)
{
	struct holder_walk *walk = arg;
	walk->view = view;
	walk->type = zi_type_find(view->type);
	if (walk->type == NULL || walk->type->holders == NULL)
		return 0;
	return walk->type->holders(segment, view, show_holder, walk);
}

int zipc_segment_holders(zipc_segment *segment,
			 int (*fn)(const zipc_holder_entry *entry, void *arg), void *arg)
{
	struct holder_walk walk = {.fn = fn, .arg = arg, .segment = segment};
	return zi_directory_walk(segment, ZI_ENTRY_PUBLISHED, show_holders, &walk);
}

int zipc_remove(zipc_segment *segment, const char *name)
{
	return zi_directory_remove(segment, name, 0);
}
