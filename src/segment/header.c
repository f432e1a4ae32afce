/* SPDX-License-Identifier: MIT */
#include "header.h"

#include "backing.h"

#include "../base/checked.h"
#include "../base/clock.h"
#include "../base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- birth ---------------------------------------------------------------------------------- */

static uint32_t entry_stride(uint32_t max_peers)
{
	return (uint32_t)zi_align_up(sizeof(struct zi_entry) + (max_peers + 63) / 64 * 8, ZI_LINE);
}

static uint64_t directory_bytes(const struct zi_header *h)
{
	return (uint64_t)h->directory_first * (sizeof(uint64_t) + h->entry_stride);
}

/* Places the tables one after the other; the size covers them and at least one chunk. */
static void lay_out(struct zi_header *h, const zipc_segment_options *o)
{
	h->max_peers = o->max_peers;
	h->peer_stride = sizeof(struct zi_peer);
	h->entry_stride = entry_stride(o->max_peers);
	h->directory_first = ZI_DIRECTORY_FIRST;
	h->chunk_shift = ZI_CHUNK_SHIFT;
	h->max_size = o->max_size & ~(ZI_CHUNK - 1);
	h->peers_offset = ZI_HEADER_SIZE;
	h->waiters_per_peer = ZI_WAITERS_PER_PEER;
	h->waiter_stride = sizeof(struct zi_waiter);
	h->waiters_offset =
		zi_align_up(h->peers_offset + (uint64_t)h->max_peers * h->peer_stride, ZI_PAGE);
	h->directory_offset = zi_align_up(
		h->waiters_offset + (uint64_t)h->max_peers * h->waiters_per_peer * h->waiter_stride,
		ZI_PAGE);
	h->chunks_offset = zi_align_up(h->directory_offset + directory_bytes(h), ZI_PAGE);
	uint64_t table = (h->max_size >> ZI_CHUNK_SHIFT) * sizeof(uint64_t);
	h->first_chunk = zi_align_up(h->chunks_offset + table, ZI_CHUNK);
	/* what was asked for is heap; the sparse chunk table costs next to nothing */
	uint64_t heap = zi_align_up(o->size, ZI_CHUNK);
	uint64_t room = h->max_size > h->first_chunk ? h->max_size - h->first_chunk : 0;
	h->size = h->first_chunk + (heap < room ? heap : room);
}

static void read_boot_id(uint8_t id[16])
{
	char text[40] = "";
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : 0;
	if (fd >= 0)
		close(fd);
	memset(id, 0, 16);
	for (ssize_t i = 0, digits = 0; i < n && digits < 32; i++) {
		char c = text[i];
		int value = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
						   : -1;
		if (value < 0)
			continue;
		id[digits / 2] = (uint8_t)(id[digits / 2] << 4 | value);
		digits++;
	}
}

/* Random where the kernel gives it; else at least different each time. */
static void fill_random(void *to, size_t size)
{
	if (getrandom(to, size, GRND_NONBLOCK) == (ssize_t)size)
		return;
	uint64_t x = zi_wall_ns() ^ (uint64_t)zi_now_ns() << 20 ^ (uint64_t)getpid() << 44;
	for (size_t i = 0; i < size; i++) {
		x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		((uint8_t *)to)[i] = (uint8_t)(x >> 56);
	}
}

static void fill_header(struct zi_header *h, const zipc_segment_options *o, const char *name)
{
	h->magic = ZI_MAGIC;
	h->version = ZIPC_FORMAT_VERSION;
	h->byte_order = ZI_BYTE_ORDER;
	h->header_size = ZI_HEADER_SIZE;
	h->page_size = ZI_PAGE;
	h->line_size = ZI_LINE;
	fill_random(h->uuid, sizeof h->uuid);
	fill_random(&h->hash_seed, sizeof h->hash_seed);
	h->uuid[6] = (uint8_t)((h->uuid[6] & 0x0f) | 0x40); /* version 4, variant 1 */
	h->uuid[8] = (uint8_t)((h->uuid[8] & 0x3f) | 0x80);
	read_boot_id(h->boot_id);
	h->created_ns = zi_wall_ns();
	h->creator_pid = (uint32_t)getpid();
	h->creator_uid = (uint32_t)geteuid();
	h->slice_min_ms = o->slice_min_ms;
	h->slice_max_ms = o->slice_max_ms;
	h->flags = (o->flags & ZIPC_SEGMENT_NO_MEMBARRIER) != 0 ? ZI_SEGMENT_NO_MEMBARRIER : 0;
	const char *slash = o->backing == ZIPC_BACKING_FILE ? strrchr(name, '/') : NULL;
	strncpy(h->name, slash != NULL ? slash + 1 : name, ZIPC_NAME_MAX);
	h->chunk_hint = (uint32_t)(h->first_chunk >> ZI_CHUNK_SHIFT);
}

static int write_all(int fd, const void *data, size_t size, uint64_t offset)
{
	const uint8_t *bytes = data;
	while (size > 0) {
		ssize_t n = pwrite(fd, bytes, size, (off_t)offset);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			bytes += n;
			size -= (size_t)n;
			offset += (uint64_t)n;
		}
	}
	return 0;
}

/* Reserves what the first size needs and writes header and chunk table. */
static int write_file(int fd, const struct zi_header *h)
{
	uint64_t chunks = h->size >> ZI_CHUNK_SHIFT;
	uint64_t table_end = zi_align_up(h->chunks_offset + chunks * sizeof(uint64_t), ZI_PAGE);
	int r = zi_backing_reserve(fd, 0, table_end);
	if (r == 0)
		r = zi_backing_reserve(fd, h->first_chunk, h->size);
	uint64_t table = zi_chunk_word(ZI_CHUNK_TABLE, 0, 0);
	for (uint64_t c = 0; c < h->first_chunk >> ZI_CHUNK_SHIFT && r == 0; c++)
		r = write_all(fd, &table, sizeof table, h->chunks_offset + c * sizeof table);
	if (r == 0)
		r = write_all(fd, h, sizeof *h, 0);
	return r;
}

int zi_header_build(int fd, const zipc_segment_options *o, const char *name)
{
	struct zi_header *h = calloc(1, sizeof *h);
	if (h == NULL)
		return zi_fail(-ENOMEM, "segment '%s': out of memory", name);
	lay_out(h, o);
	fill_header(h, o, name);
	int r;
	if (h->size < h->first_chunk + ZI_CHUNK)
		r = zi_fail(
			-EINVAL,
			"segment '%s': max_size %llu leaves no room beside tables of %llu bytes",
			name, (unsigned long long)o->max_size, (unsigned long long)h->first_chunk);
	else
		r = write_file(fd, h);
	if (r == -EOPNOTSUPP)
		r = zi_fail(r, "segment '%s': its file system cannot reserve space (fallocate)",
			    name);
	else if (r < 0 && r != -EINVAL)
		r = zi_fail_errno(r, "segment '%s': cannot reserve %llu bytes", name,
				  (unsigned long long)(h->size - h->first_chunk));
	free(h);
	return r;
}

/* ---- checking what is opened ------------------------------------------------------------------
 */

static int check_identity(const struct zi_header *h, const char *name)
{
	if (h->magic != ZI_MAGIC)
		return zi_fail(-EBADMSG, "segment '%s' is not a zeroipc segment", name);
	if (h->version == __builtin_bswap32(ZIPC_FORMAT_VERSION) ||
	    h->byte_order == __builtin_bswap32(ZI_BYTE_ORDER))
		return zi_fail(-EPROTONOSUPPORT, "segment '%s' is of the other byte order", name);
	if (h->version == 1 || h->version == 2)
		return zi_fail(
			-EPROTONOSUPPORT,
			"segment '%s' has format %u of an older implementation; this library "
			"reads format %u",
			name, h->version, ZIPC_FORMAT_VERSION);
	if (h->version != ZIPC_FORMAT_VERSION || h->features_incompatible != 0)
		return zi_fail(
			-EPROTONOSUPPORT,
			"segment '%s' has format %u, features %#llx; this library reads format "
			"%u",
			name, h->version, (unsigned long long)h->features_incompatible,
			ZIPC_FORMAT_VERSION);
	return 0;
}

/* Is every number of the geometry what a creator would have written? */
static bool geometry_sound(const struct zi_header *h, uint64_t size, uint64_t file_size)
{
	if (h->byte_order != ZI_BYTE_ORDER || h->header_size != ZI_HEADER_SIZE ||
	    h->page_size != ZI_PAGE || h->line_size != ZI_LINE ||
	    h->chunk_shift != ZI_CHUNK_SHIFT || h->max_peers == 0 || h->max_peers > ZI_PEERS_MAX ||
	    h->max_size < ZI_MAX_SIZE_LEAST || h->max_size > ZI_MAX_SIZE_MOST ||
	    h->slice_min_ms == 0 || h->slice_min_ms > h->slice_max_ms ||
	    h->slice_max_ms > ZI_SLICE_MS_MAX)
		return false;
	struct zi_header expected = {0};
	zipc_segment_options o = {.max_size = h->max_size, .max_peers = h->max_peers, .size = 1};
	lay_out(&expected, &o);
	return h->max_size == expected.max_size && h->peer_stride == expected.peer_stride &&
	       h->entry_stride == expected.entry_stride &&
	       h->directory_first == expected.directory_first &&
	       h->peers_offset == expected.peers_offset &&
	       h->waiters_offset == expected.waiters_offset &&
	       h->waiters_per_peer == expected.waiters_per_peer &&
	       h->waiter_stride == expected.waiter_stride &&
	       h->directory_offset == expected.directory_offset &&
	       h->chunks_offset == expected.chunks_offset &&
	       h->first_chunk == expected.first_chunk && size >= h->first_chunk + ZI_CHUNK &&
	       size <= h->max_size && size % ZI_CHUNK == 0 && size <= file_size;
}

static int read_header(int fd, struct zi_header *h, const char *name)
{
	ssize_t n = pread(fd, h, sizeof *h, 0);
	if (n < 0)
		return zi_fail_errno(-errno, "segment '%s': cannot read its header", name);
	return n == (ssize_t)sizeof *h
		       ? 0
		       : zi_fail(-EBADMSG, "segment '%s' is too short for a segment", name);
}

int zi_header_check(int fd, const zipc_segment_options *o, struct zi_header *h, const char *name)
{
	int r = read_header(fd, h, name);
	if (r == 0)
		r = check_identity(h, name);
	if (r < 0)
		return r;
	struct stat st; /* after the header was read: the segment may just be growing */
	uint64_t file_size = fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	if (!geometry_sound(h, h->size, file_size))
		return zi_fail(
			-EBADMSG,
			"segment '%s' is damaged: its header does not fit its file of %llu bytes",
			name, (unsigned long long)file_size);
	if (h->features_read_only != 0 && (o->flags & ZIPC_SEGMENT_READ_ONLY) == 0)
		return zi_fail(-EPROTONOSUPPORT,
			       "segment '%s' has features %#llx; this library may only read it",
			       name, (unsigned long long)h->features_read_only);
	return 0;
}
