/* SPDX-License-Identifier: MIT */
/*
 * Creating, opening and end of an attachment. A segment is built in a file without a name, then
 * linked; who opens one checks it from front to back, copies the geometry and never reads it again
 * (header.c).
 */
#include "segment.h"

#include "backing.h"
#include "header.h"
#include "peers.h"
#include "thread.h"

#include "../base/error.h"
#include "../base/name.h"
#include "../base/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEFAULT_SIZE	  (UINT64_C(2) << 20)
#define DEFAULT_MAX_SIZE  (UINT64_C(64) << 30)
#define DEFAULT_PEERS	  256u
#define DEFAULT_SLICE_MIN 50u
#define DEFAULT_SLICE_MAX 400u
#define OPEN_MOST	  1000
#define DEFAULT_SPIN_NS	  INT64_C(20000)
#define SPIN_NS_MAX	  INT64_C(1000000000)

#define KNOWN_FLAGS (ZIPC_SEGMENT_READ_ONLY | ZIPC_SEGMENT_ANY_OWNER | ZIPC_SEGMENT_NO_MEMBARRIER)

#ifndef MAP_NORESERVE
#define MAP_NORESERVE 0
#endif

#define WIPED_BYTES ((size_t)ZI_WIPED_SIZE * ZI_WIPED_COUNT)

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
		if (s->self->id != 0)
			memset(s->self, 0, WIPED_BYTES);
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
	if (o->slice_max_ms > ZI_SLICE_MS_MAX || o->slice_min_ms > o->slice_max_ms)
		return zi_fail(-EINVAL,
			       "segment '%s': slices of %u to %u ms; allowed are 1 to %u, in order",
			       name, o->slice_min_ms, o->slice_max_ms, ZI_SLICE_MS_MAX);
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

/* ---- attaching ------------------------------------------------------------------------------ */

static void copy_geometry(zipc_segment *s, const struct zi_header *h)
{
	s->max_size = h->max_size;
	s->chunks_offset = h->chunks_offset;
	s->first_chunk = h->first_chunk;
	s->peers_offset = h->peers_offset;
	s->waiters_offset = h->waiters_offset;
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
		munmap(s->self, WIPED_BYTES);
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

/* The id must read zero in a child; without that promise fork would forge identities. Pages beyond
 * the first cost nothing until a piece of them is used. */
static int map_self(zipc_segment *s, const char *name)
{
	void *page =
		mmap(NULL, WIPED_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	s->alive_cache = calloc(s->max_peers, sizeof *s->alive_cache);
	if (page == MAP_FAILED || s->alive_cache == NULL)
		return zi_fail(-ENOMEM, "segment '%s': out of memory", name);
	s->self = page;
	/* not the first two of each page: what is hot in a structure's header lies there in its page,
	 * and processors take addresses that differ by whole pages for equal at first */
	memset(s->wiped_used, 0, sizeof s->wiped_used);
	for (uint32_t i = 0; i < ZI_WIPED_COUNT; i++)
		if (i % (ZI_PAGE / ZI_WIPED_SIZE) < 2)
			s->wiped_used[i / 64] |= UINT64_C(1) << i % 64;
	madvise(page, WIPED_BYTES, MADV_WIPEONFORK); /* where ignored, the fork handler does it */
	return 0;
}

void *zi_wiped_new(zipc_segment *segment)
{
	for (uint32_t i = 0; i < ZI_WIPED_COUNT / 64; i++) {
		/* relaxed: a piece is handed from one thread to another by more than this */
		uint64_t used = zi_load_relaxed(&segment->wiped_used[i]);
		while (~used != 0) {
			uint32_t bit = (uint32_t)__builtin_ctzll(~used);
			if (!zi_cas_acq_rel(&segment->wiped_used[i], &used,
					    used | UINT64_C(1) << bit))
				continue;
			void *piece =
				(uint8_t *)segment->self + ((size_t)i * 64 + bit) * ZI_WIPED_SIZE;
			return memset(piece, 0, ZI_WIPED_SIZE);
		}
	}
	return NULL;
}

void zi_wiped_free(zipc_segment *segment, void *piece)
{
	size_t i = (size_t)((uint8_t *)piece - (uint8_t *)segment->self) / ZI_WIPED_SIZE;
	zi_and_seq_cst(&segment->wiped_used[i / 64], ~(UINT64_C(1) << i % 64));
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
		r = zi_header_check(fd, o, h, name);
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
	r = zi_header_build(fd, &o, name);
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
