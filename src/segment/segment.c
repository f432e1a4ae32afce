/* SPDX-License-Identifier: MIT */
/*
 * Birth, opening and end of an attachment. A segment is laid out in a file without a name, then
 * linked; who opens one checks it from front to back, copies the geometry and never reads it again.
 */
#include "segment.h"

#include "backing.h"
#include "directory.h"
#include "peers.h"
#include "thread.h"

#include "../base/checked.h"
#include "../base/clock.h"
#include "../base/error.h"
#include "../base/name.h"
#include "../base/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define DEFAULT_SIZE	  (UINT64_C(2) << 20)
#define DEFAULT_MAX_SIZE  (UINT64_C(64) << 30)
#define DEFAULT_PEERS	  256u
#define DEFAULT_SLICE_MIN 50u
#define DEFAULT_SLICE_MAX 400u
#define OPEN_MOST	  1000
#define SLICE_MS_MAX	  60000u
#define DEFAULT_SPIN_NS	  INT64_C(20000)
#define SPIN_NS_MAX	  INT64_C(1000000000)

#define KNOWN_FLAGS (ZIPC_SEGMENT_READ_ONLY | ZIPC_SEGMENT_ANY_OWNER | ZIPC_SEGMENT_NO_MEMBARRIER)

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

/* ---- the process ---------------------------------------------------------------------------- */

static pthread_mutex_t process_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t process_once = PTHREAD_ONCE_INIT;
static __thread bool inside_process_lock;
static __thread int cancel_state; /* of this thread, from before it got the lock */
static zipc_segment *segments;	  /* all attachments of this process, for the fork handler */

static void before_fork(void)
{
	if (!inside_process_lock) /* else a signal handler forks inside it */
		pthread_mutex_lock(&process_mutex);
}

static void after_fork_in_parent(void)
{
	if (!inside_process_lock)
		pthread_mutex_unlock(&process_mutex);
}

/*
 * The kernel wipes the id and leaves out the lock's mapping by itself (MADV_WIPEONFORK,
 * MADV_DONTFORK); this does it again for emulators that ignore both.
 */
static void after_fork_in_child(void)
{
	zi_thread_forked();
	for (zipc_segment *s = segments; s != NULL; s = s->next) {
		if (s->life_page != NULL && s->life_inherited)
			munmap(s->life_page, ZI_PAGE);
		s->life_page = NULL;
		memset(s->self, 0, sizeof *s->self);
		memset(s->waiting, 0, sizeof s->waiting);
		s->interrupted = 0;
		s->interrupting = 0;
	}
	after_fork_in_parent();
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

int zi_process_lock(void)
{
	if (inside_process_lock)
		return zi_fail(-EDEADLK, "segment: called from a signal handler inside itself");
	int state;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state); /* or others would wait for ever */
	inside_process_lock = true;
	pthread_mutex_lock(&process_mutex);
	cancel_state = state;
	return 0;
}

void zi_process_unlock(void)
{
	int state = cancel_state;
	pthread_mutex_unlock(&process_mutex);
	inside_process_lock = false;
	pthread_setcancelstate(state, NULL);
}

zipc_segment *zi_process_segments(void)
{
	return segments;
}

/* ---- size ---- */

uint64_t zi_segment_size(zipc_segment *segment)
{
	/* SIZE-R1 acquire: the pages below are reserved. Pairs with SIZE-W1. */
	uint64_t size = zi_load_acquire(&zi_header(segment)->size);
	if (zi_unlikely(size < segment->least_size))
		return segment->least_size; /* damaged */
	if (zi_likely(size <= zi_load_relaxed(&segment->known_size)))
		return size;
	struct stat st;
	uint64_t known = zi_load_relaxed(&segment->known_size);
	if (fstat(segment->query_fd, &st) == 0 && st.st_dev == segment->device &&
	    st.st_ino == segment->inode && (uint64_t)st.st_size > known) {
		known = (uint64_t)st.st_size;
		if (known > segment->max_size)
			known = segment->max_size;
		zi_store_relaxed(&segment->known_size, known);
	}
	return size < known ? size : known;
}

/* ---- options -------------------------------------------------------------------------------- */

static int check_limits(const zipc_segment_options *o, const char *name)
{
	if (o->max_size < ZI_MAX_SIZE_LEAST || o->max_size > ZI_MAX_SIZE_MOST)
		return zi_fail(-EINVAL, "segment '%s': max_size is %llu, allowed are %llu to %llu",
			       name, (unsigned long long)o->max_size,
			       (unsigned long long)ZI_MAX_SIZE_LEAST,
			       (unsigned long long)ZI_MAX_SIZE_MOST);
	if (o->size > o->max_size)
		return zi_fail(-EINVAL, "segment '%s': size %llu is more than max_size %llu", name,
			       (unsigned long long)o->size, (unsigned long long)o->max_size);
	if (o->max_peers > ZI_PEERS_MAX)
		return zi_fail(-EINVAL, "segment '%s': max_peers is %u, at most %u", name,
			       o->max_peers, ZI_PEERS_MAX);
	if (o->slice_max_ms > SLICE_MS_MAX || o->slice_min_ms > o->slice_max_ms)
		return zi_fail(-EINVAL,
			       "segment '%s': slices of %u to %u ms; allowed are 1 to %u, in order",
			       name, o->slice_min_ms, o->slice_max_ms, SLICE_MS_MAX);
	return 0;
}

/* Fills in the defaults of what only creation uses, and checks it. */
static int complete_options(zipc_segment_options *o, const char *name)
{
	if (o->max_size == 0)
		o->max_size = o->size > DEFAULT_MAX_SIZE ? o->size : DEFAULT_MAX_SIZE;
	if (o->size == 0)
		o->size = o->max_size < DEFAULT_SIZE ? o->max_size : DEFAULT_SIZE;
	if (o->max_peers == 0)
		o->max_peers = DEFAULT_PEERS;
	if (o->slice_min_ms == 0)
		o->slice_min_ms = o->slice_max_ms != 0 && o->slice_max_ms < DEFAULT_SLICE_MIN
					  ? o->slice_max_ms
					  : DEFAULT_SLICE_MIN;
	if (o->slice_max_ms == 0)
		o->slice_max_ms =
			o->slice_min_ms > DEFAULT_SLICE_MAX ? o->slice_min_ms : DEFAULT_SLICE_MAX;
	return check_limits(o, name);
}

static int load_options(zipc_segment_options *o, const zipc_segment_options *given,
			const char *name)
{
	int r = zi_options_load(o, sizeof *o, given, "segment options");
	if (r < 0)
		return r;
	if (o->backing > ZIPC_BACKING_MEMFD || (o->flags & ~KNOWN_FLAGS) != 0 ||
	    (o->mode & ~0777u) != 0 || o->reserved != 0)
		return zi_fail(-EINVAL, "segment '%s': unknown backing %u, flags %#x or mode %#o",
			       name, o->backing, o->flags, o->mode);
	return 0;
}

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
	h->directory_offset =
		zi_align_up(h->peers_offset + (uint64_t)h->max_peers * h->peer_stride, ZI_PAGE);
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

static int build_file(int fd, const zipc_segment_options *o, const char *name)
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
	    h->slice_max_ms > SLICE_MS_MAX)
		return false;
	struct zi_header expected = {0};
	zipc_segment_options o = {.max_size = h->max_size, .max_peers = h->max_peers, .size = 1};
	lay_out(&expected, &o);
	return h->max_size == expected.max_size && h->peer_stride == expected.peer_stride &&
	       h->entry_stride == expected.entry_stride &&
	       h->directory_first == expected.directory_first &&
	       h->peers_offset == expected.peers_offset &&
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

static int check_header(int fd, const zipc_segment_options *o, struct zi_header *h,
			const char *name)
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

/* ---- attaching ------------------------------------------------------------------------------ */

static void copy_geometry(zipc_segment *s, const struct zi_header *h)
{
	s->max_size = h->max_size;
	s->chunks_offset = h->chunks_offset;
	s->first_chunk = h->first_chunk;
	s->peers_offset = h->peers_offset;
	s->hash_seed = h->hash_seed;
	s->max_peers = h->max_peers;
	s->entry_stride = h->entry_stride;
	s->slice_min_ms = h->slice_min_ms;
	s->slice_max_ms = h->slice_max_ms;
}

static int64_t choose_spin(const zipc_segment_options *o)
{
	if (o->spin_ns < 0 || sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return 0;
	if (o->spin_ns == 0)
		return DEFAULT_SPIN_NS;
	return o->spin_ns < SPIN_NS_MAX ? o->spin_ns : SPIN_NS_MAX;
}

static void destroy(zipc_segment *s)
{
	if (s->base != NULL)
		munmap(s->base, s->max_size);
	if (s->self != NULL)
		munmap(s->self, ZI_PAGE);
	if (zi_backing_is(s->query_fd, s->device, s->inode)) /* not somebody else's by now */
		close(s->query_fd);
	free(s->alive_cache);
	free(s);
}

/* Maps the whole maximum: growing later needs no new mapping, and pages cost nothing until used. */
static int map_segment(zipc_segment *s, uint64_t directory_offset, const char *name)
{
	int protection = s->read_only ? PROT_READ : PROT_READ | PROT_WRITE;
	void *base =
		mmap(NULL, s->max_size, protection, MAP_SHARED | MAP_NORESERVE, s->query_fd, 0);
	if (base == MAP_FAILED)
		return zi_fail_errno(-errno, "segment '%s': cannot map %llu bytes of address space",
				     name, (unsigned long long)s->max_size);
	s->base = base;
	s->directory_blocks[0] = s->base + directory_offset;
	madvise(base, s->max_size, MADV_DONTDUMP);
	return 0;
}

/* The page of the id must read zero in a child; without that promise fork would forge identities.
 */
static int map_self(zipc_segment *s, const char *name)
{
	void *page =
		mmap(NULL, ZI_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s->alive_cache = calloc(s->max_peers, sizeof *s->alive_cache);
	if (page == MAP_FAILED || s->alive_cache == NULL)
		return zi_fail(-ENOMEM, "segment '%s': out of memory", name);
	s->self = page;
	madvise(page, ZI_PAGE, MADV_WIPEONFORK); /* where ignored, the fork handler does it */
	return 0;
}

/* A new handle for a file that was checked; fd is reopened, not kept. */
static int make_handle(int fd, const char *path, const struct stat *st, const struct zi_header *h,
		       const zipc_segment_options *o, const char *name, zipc_segment **out)
{
	zipc_segment *s = calloc(1, sizeof *s);
	if (s == NULL)
		return zi_fail(-ENOMEM, "segment '%s': out of memory", name);
	copy_geometry(s, h);
	s->backing = o->backing;
	s->read_only = (o->flags & ZIPC_SEGMENT_READ_ONLY) != 0;
	s->spin_ns = choose_spin(o);
	s->device = st->st_dev;
	s->inode = st->st_ino;
	s->references = 1;
	strncpy(s->path, path, sizeof s->path - 1);
	s->query_fd =
		zi_backing_reopen(fd, path, s->device, s->inode, s->read_only ? O_RDONLY : O_RDWR);
	s->least_size = s->known_size = h->size;
	int r = s->query_fd < 0 ? s->query_fd : map_segment(s, h->directory_offset, name);
	if (r == -EBADF)
		r = zi_fail(-EOPNOTSUPP, "segment '%s' cannot be reopened: /proc is not mounted",
			    name);
	if (r == 0)
		r = map_self(s, name);
	if (r < 0) {
		destroy(s);
		return r;
	}
	*out = s;
	return 0;
}

/* Attaches the handle and puts it on the list that the fork handler walks. */
static int enlist(zipc_segment *s, zipc_segment **out)
{
	pthread_once(&process_once, watch_forks);
	int r = zi_process_lock();
	if (r == 0) {
		if (!s->read_only)
			r = zi_peer_attach(s);
		if (r == 0) {
			s->next = segments;
			segments = s;
			*out = s;
		}
		zi_process_unlock();
	}
	if (r < 0)
		destroy(s);
	return r;
}

static int attach(int fd, const char *path, const zipc_segment_options *o, const char *name,
		  zipc_segment **out)
{
	struct stat st;
	struct zi_header *h = malloc(sizeof *h);
	if (h == NULL)
		return zi_fail(-ENOMEM, "segment '%s': out of memory", name);
	zipc_segment *s = NULL;
	int r = zi_backing_check(fd, o, name, &st);
	if (r == 0)
		r = check_header(fd, o, h, name);
	if (r == 0)
		r = make_handle(fd, path, &st, h, o, name, &s);
	free(h);
	return r < 0 ? r : enlist(s, out);
}

/* A path that stays right when the process changes its directory. */
static void absolute_path(const char *path, char *out, size_t size)
{
	char cwd[sizeof((zipc_segment *)0)->path];
	if (path[0] != '/' && getcwd(cwd, sizeof cwd) != NULL &&
	    strlen(cwd) + 1 + strlen(path) < size) {
		strcpy(out, cwd);
		strcat(out, "/");
		strcat(out, path);
		return;
	}
	strcpy(out, path);
}

static int find_path(const char *name, const zipc_segment_options *o, char *out, size_t size)
{
	char path[sizeof((zipc_segment *)0)->path];
	if (o->backing == ZIPC_BACKING_MEMFD) {
		out[0] = '\0';
		return zi_name_check(name, "segment");
	}
	int r = zi_backing_path(name, o->backing, path, sizeof path);
	if (r == 0)
		absolute_path(path, out, size);
	return r;
}

/* ---- the calls ------------------------------------------------------------------------------ */

int zipc_segment_create(const char *name, const zipc_segment_options *options,
			zipc_segment **out_segment)
{
	zipc_segment_options o;
	char path[sizeof((zipc_segment *)0)->path];
	int r = load_options(&o, options, name != NULL ? name : "");
	if (r == 0 && (o.flags & ZIPC_SEGMENT_READ_ONLY) != 0)
		r = zi_fail(-EINVAL, "segment: ZIPC_SEGMENT_READ_ONLY is for opening");
	if (r == 0)
		r = complete_options(&o, name != NULL ? name : "");
	if (r == 0)
		r = find_path(name, &o, path, sizeof path);
	if (r == 0 && path[0] != '\0' && access(path, F_OK) == 0)
		r = zi_fail(-EEXIST, "segment '%s' exists already", name); /* the link decides */
	if (r < 0)
		return r;
	int fd = zi_backing_create(path, &o, name);
	if (fd < 0)
		return fd;
	zipc_segment *segment = NULL;
	zipc_segment_options own = o;
	own.mode |= 0777; /* our own file, as we made it */
	r = build_file(fd, &o, name);
	if (r == 0)
		r = attach(fd, path, &own, name, &segment);
	if (r == 0)
		r = zi_backing_publish(fd, path, o.backing, name);
	if (r < 0) {
		zipc_segment_close(segment);
		zi_backing_discard(fd, path, o.backing);
		return r;
	}
	close(fd);
	*out_segment = segment;
	return 0;
}

int zipc_segment_open(const char *name, const zipc_segment_options *options,
		      zipc_segment **out_segment)
{
	zipc_segment_options o;
	char path[sizeof((zipc_segment *)0)->path];
	int r = load_options(&o, options, name != NULL ? name : "");
	if (r == 0 && o.backing == ZIPC_BACKING_MEMFD)
		r = zi_fail(-EINVAL, "segment: a memfd is opened by zipc_segment_open_fd()");
	if (r == 0)
		r = find_path(name, &o, path, sizeof path);
	if (r < 0)
		return r;
	int fd = zi_backing_open(path, &o, name);
	if (fd < 0)
		return fd;
	r = attach(fd, path, &o, name, out_segment);
	close(fd);
	return r;
}

int zipc_segment_open_or_create(const char *name, const zipc_segment_options *options,
				zipc_segment **out_segment)
{
	if (options != NULL && options->struct_size >= 8 && options->backing == ZIPC_BACKING_MEMFD)
		return zi_fail(-EINVAL, "segment: a memfd has no name to be opened by");
	for (int i = 0; i < OPEN_MOST; i++) {
		int r = zipc_segment_open(name, options, out_segment);
		if (r != -ENOENT)
			return r;
		r = zipc_segment_create(name, options, out_segment);
		if (r != -EEXIST)
			return r == 0 ? 1 : r;
	}
	return zi_fail(-EBUSY, "segment '%s' is created and removed by others all the time", name);
}

int zipc_segment_open_fd(int fd, const zipc_segment_options *options, zipc_segment **out_segment)
{
	zipc_segment_options o;
	char name[32];
	snprintf(name, sizeof name, "descriptor %d", fd);
	int r = load_options(&o, options, name);
	if (r < 0)
		return r;
	char path[sizeof((zipc_segment *)0)->path];
	o.backing = zi_backing_of(fd, path, sizeof path);
	return attach(fd, path, &o, name, out_segment);
}

int zipc_segment_export_fd(zipc_segment *segment)
{
	return zi_backing_reopen(segment->query_fd, segment->path, segment->device, segment->inode,
				 segment->read_only ? O_RDONLY : O_RDWR);
}

void zi_segment_release(zipc_segment *segment)
{
	if (zi_process_lock() < 0)
		return;
	bool last = --segment->references == 0;
	if (last) {
		zipc_segment **link = &segments;
		while (*link != NULL && *link != segment)
			link = &(*link)->next;
		if (*link == segment)
			*link = segment->next;
		zi_peer_detach(segment);
	}
	zi_process_unlock();
	if (last)
		destroy(segment);
}

void zipc_segment_close(zipc_segment *segment)
{
	if (segment == NULL || segment->closed)
		return;
	segment->closed = true;
	zi_segment_release(segment);
}

int zipc_segment_remove(const char *name, const zipc_segment_options *options)
{
	zipc_segment_options o;
	char path[sizeof((zipc_segment *)0)->path];
	int r = load_options(&o, options, name != NULL ? name : "");
	if (r == 0 && o.backing == ZIPC_BACKING_MEMFD)
		r = zi_fail(-EINVAL, "segment: a memfd has no name to be removed");
	if (r == 0)
		r = find_path(name, &o, path, sizeof path);
	if (r < 0)
		return r;
	o.flags |= ZIPC_SEGMENT_READ_ONLY;
	int fd = zi_backing_open(path, &o, name);
	if (fd < 0)
		return fd;
	uint32_t magic = 0;
	bool ours = pread(fd, &magic, sizeof magic, 0) == sizeof magic && magic == ZI_MAGIC;
	close(fd);
	if (!ours)
		return zi_fail(-EBADMSG, "'%s' is not a zeroipc segment; not removed", name);
	if (unlink(path) != 0)
		return zi_fail_errno(-errno, "segment '%s': cannot remove %s", name, path);
	return 0;
}
