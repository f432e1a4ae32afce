/* SPDX-License-Identifier: MIT */
/*
 * Segment: a piece of shared memory with a directory of named structures and a heap.
 *
 * Who may call what: every call below may be made by any number of threads and processes at the
 * same time on the same segment; only zipc_segment_close() must not race another use of the same
 * handle. Not async-signal-safe except where a call says so.
 *
 * Progress: creating and removing structures, zipc_alloc() and zipc_free() take a lock that names
 * its owner, so a *stopped* (SIGSTOP) peer inside one of them holds the others up until it
 * continues; a *killed* one does not: its lock goes to the next comer, who finishes or undoes what
 * it had begun. Opening a structure that exists and reading the lists is lock-free.
 *
 * When a process dies, at any instruction: the segment and all structures stay usable; what the
 * dead process held is given back by whoever meets it, at the latest by zipc_segment_gc().
 */
#ifndef ZEROIPC_SEGMENT_H
#define ZEROIPC_SEGMENT_H

#include "common.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zipc_segment zipc_segment;

/* Where a segment's memory lives: zipc_segment_options.backing. */
#define ZIPC_BACKING_SHM   0u /* named POSIX shared memory; the name is a segment name */
#define ZIPC_BACKING_FILE  1u /* regular file on a local file system; the name is a path */
#define ZIPC_BACKING_MEMFD 2u /* anonymous; reached by passing a descriptor over a unix socket */

/* zipc_segment_options.flags */
#define ZIPC_SEGMENT_READ_ONLY 1u /* open: map read-only, take no peer slot */
#define ZIPC_SEGMENT_ANY_OWNER 2u /* open: accept a file that belongs to another user */
#define ZIPC_SEGMENT_NO_MEMBARRIER                                                                 \
	4u /* create: never interrupt other cores (isolated, realtime)                             \
	    */

/* zipc_segment_options.spin_ns: never spin before sleeping. */
#define ZIPC_SPIN_NONE INT64_C(-1)

/*
 * Everything zero but struct_size, or a NULL pointer, means the defaults. Open ignores the members
 * that only creation uses.
 */
typedef struct zipc_segment_options {
	uint32_t struct_size; /* sizeof(zipc_segment_options) */
	uint32_t backing;     /* ZIPC_BACKING_* */
	uint32_t flags;	      /* ZIPC_SEGMENT_* */
	uint32_t mode;	    /* permission bits of the file; 0 = 0600. Open: write bits for group and
			       others that are not in here make open refuse */
	uint64_t size;	    /* create: bytes reserved at once; 0 = 2 MiB or max_size if smaller */
	uint64_t max_size;  /* create: bytes it may grow to; 0 = 64 GiB; at least 256 KiB; costs
			       address space, not memory */
	uint32_t max_peers; /* create: attachments at one time, 1 to 4096; 0 = 256 */
	uint32_t slice_min_ms; /* create: shortest nap between two checks of a waiter; 0 = 50 */
	uint32_t slice_max_ms; /* create: longest one, at least slice_min_ms; 0 = 400 */
	uint32_t reserved;     /* 0 */
	int64_t spin_ns;       /* this attachment: longest spin before a sleep; 0 = adaptive, up to
				  20 us, none on a single core; ZIPC_SPIN_NONE = none */
} zipc_segment_options;

#define ZIPC_SEGMENT_OPTIONS_INIT                                                                  \
	{                                                                                          \
		(uint32_t)sizeof(zipc_segment_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0               \
	}

/* ---- lifecycle ------------------------------------------------------------------------------ */

/*
 * Creates a segment and attaches to it. It appears under its name complete or not at all; an
 * existing one is never touched. For ZIPC_BACKING_MEMFD the name is only a label.
 *
 * Returns 0; -EEXIST; -EINVAL (name, options); -E2BIG; -ENOSPC (file system full); -EACCES, -ENOENT
 * (directory); -EOPNOTSUPP (file system without OFD locks or fallocate, or a network file system;
 * no /proc); -ENOMEM (address space); or another -errno of the kernel.
 * Crash: dying inside leaves nothing behind. Since 0.1.
 */
ZIPC_API int zipc_segment_create(const char *name, const zipc_segment_options *options,
				 zipc_segment **out_segment);

/*
 * Attaches to an existing segment.
 *
 * Returns 0; -ENOENT; -EINVAL; -E2BIG; -EACCES, -EPERM (another owner, or writable by more people
 * than options.mode allows); -ELOOP (symbolic link); -EBADMSG (not a segment, or damaged);
 * -EPROTONOSUPPORT (another format or byte order); -ENOSPC (all peer slots are taken by living
 * processes); -EOPNOTSUPP; -ENOMEM. Each refusal leaves its own sentence in zipc_last_error().
 * Since 0.1.
 */
ZIPC_API int zipc_segment_open(const char *name, const zipc_segment_options *options,
			       zipc_segment **out_segment);

/*
 * Opens the segment, or creates it when it does not exist; with several callers at once exactly one
 * creates. Returns 0 when it was opened and 1 when it was created, else as create and open.
 * Not for ZIPC_BACKING_MEMFD (-EINVAL). Since 0.1.
 */
ZIPC_API int zipc_segment_open_or_create(const char *name, const zipc_segment_options *options,
					 zipc_segment **out_segment);

/*
 * Attaches through a descriptor, for example one received over a unix socket. The descriptor is
 * reopened, neither kept nor locked; the caller closes it whenever it likes.
 * Returns as zipc_segment_open(); -EBADF. Since 0.1.
 */
ZIPC_API int zipc_segment_open_fd(int fd, const zipc_segment_options *options,
				  zipc_segment **out_segment);

/*
 * A fresh descriptor for the segment, close-on-exec, to be passed to another process; the caller
 * owns it. Returns the descriptor (>= 0), -EBADF, -EMFILE, -ENFILE or -ENOENT. Since 0.1.
 */
ZIPC_API int zipc_segment_export_fd(zipc_segment *segment);

/*
 * Gives the handle back. Structures that are still open keep the attachment alive until the last of
 * them is closed; then whatever the attachment still claims is free for others, as after a death.
 * NULL is allowed. Since 0.1.
 */
ZIPC_API void zipc_segment_close(zipc_segment *segment);

/*
 * Removes the name; processes that are attached go on undisturbed, and the memory goes with the
 * last of them. Only options.backing is looked at. A name that is not a segment is refused. Returns
 * 0; -ENOENT; -EINVAL; -EACCES; -EPERM; -EBADMSG (the file is not a segment). Since 0.1.
 */
ZIPC_API int zipc_segment_remove(const char *name, const zipc_segment_options *options);

/* ---- allocation of plain memory -------------------------------------------------------------- */

/*
 * Reserves `size` bytes (1 up to the room that is left), aligned to `alignment` (a power of two up
 * to 65536; 0 = 64), zeroed. The block is the caller's process's until zipc_publish(): if that
 * process dies before, it is given back. Returns 0; -EINVAL; -ENOSPC; -EROFS; -EDEADLK; -ECANCELED.
 * Can be held up by a stopped peer. Since 0.1.
 */
ZIPC_API int zipc_alloc(zipc_segment *segment, uint64_t size, uint64_t alignment,
			uint64_t *out_offset);

/*
 * Makes a block outlive its allocator: from now on it lives until zipc_free().
 * Returns 0 (also when it was published before); -ESTALE (no such block, or another process's);
 * -EROFS; -EDEADLK; -ECANCELED. One store: a crash leaves it published or not. Since 0.1.
 */
ZIPC_API int zipc_publish(zipc_segment *segment, uint64_t offset);

/*
 * Frees a block of zipc_alloc(): the caller's own, or a published one.
 * Returns 0; -ESTALE (not a block, freed before, or another process's); -EROFS; -EDEADLK;
 * -ECANCELED. Since 0.1.
 */
ZIPC_API int zipc_free(zipc_segment *segment, uint64_t offset);

/*
 * The address of [offset, offset + size) in this process, or NULL when that is not inside the
 * segment. Addresses differ between processes, offsets do not. Wait-free. Since 0.1.
 */
ZIPC_API void *zipc_pointer(zipc_segment *segment, uint64_t offset, uint64_t size);

/* ---- waiting --------------------------------------------------------------------------------- */

/*
 * Makes every blocking call of this attachment, running or yet to come, return -ECANCELED until
 * zipc_interrupt_clear(). For shutdown and Ctrl-C. Calls with ZIPC_NOWAIT go on working.
 * Async-signal-safe, wait-free. Since 0.1.
 */
ZIPC_API void zipc_interrupt(zipc_segment *segment);
ZIPC_API void zipc_interrupt_clear(zipc_segment *segment);

/* ---- structures in general ------------------------------------------------------------------- */

/*
 * Removes a structure of any type by its name. Processes that have it open keep it; its memory is
 * reused after the last of them has closed it. A structure made later under the same name is
 * another one.
 * Returns 0; -ENOENT; -EINVAL; -EROFS; -EDEADLK; -ECANCELED. Since 0.1.
 */
ZIPC_API int zipc_remove(zipc_segment *segment, const char *name);

/* ---- looking --------------------------------------------------------------------------------- */

typedef struct zipc_segment_info {
	uint32_t struct_size; /* in: sizeof(zipc_segment_info) */
	uint32_t version;     /* format version */
	uint32_t backing;     /* ZIPC_BACKING_* */
	uint32_t read_only;   /* 1: this attachment is read-only */
	uint64_t size;	      /* bytes reserved now */
	uint64_t max_size;    /* bytes it may grow to */
	uint64_t used;	      /* bytes in use: the segment's own tables and all allocated blocks */
	uint64_t free;	      /* size - used */
	uint32_t max_peers;   /* attachments at one time */
	uint32_t peers;	      /* attachments alive now */
	uint32_t structures;  /* published names */
	uint32_t creator_pid; /* as the creator saw itself */
	uint32_t creator_uid;
	uint32_t self_id;    /* id of this attachment; 0 when read-only */
	uint64_t created_ns; /* nanoseconds since 1970 (CLOCK_REALTIME) */
	uint8_t uuid[16];
	char name[ZIPC_NAME_MAX + 1]; /* the name it was created with; paths: their last part */
} zipc_segment_info;

/* Fills *out_info. Returns 0; -EINVAL (struct_size). Since 0.1. */
ZIPC_API int zipc_segment_get_info(zipc_segment *segment, zipc_segment_info *out_info);

/*
 * Callbacks below get a struct that is valid during the call only, and their own argument. A
 * non-zero return ends the walk and becomes the result of the listing call; else that returns 0.
 */

/* One segment of this machine: zipc_segment_list(). */
typedef struct zipc_segment_entry {
	uint32_t struct_size;
	uint32_t version; /* format version; 0 = not readable by this user */
	const char *name;
	uint64_t size; /* bytes on the file system */
	uint32_t uid;  /* owner */
	uint32_t mode; /* permission bits */
	uint64_t created_ns;
} zipc_segment_entry;

/* Calls fn for every named shared memory segment that this user can see. Since 0.1. */
ZIPC_API int zipc_segment_list(int (*fn)(const zipc_segment_entry *entry, void *arg), void *arg);

/* One attachment: zipc_segment_peers(). */
typedef struct zipc_peer_entry {
	uint32_t struct_size;
	uint32_t id;	/* slot << 12 | generation */
	uint32_t alive; /* 1 as long as the attachment's address space exists, stopped or not */
	uint32_t pid;	/* in the pid namespace of that process, for people only */
	uint32_t uid;
	uint32_t reserved;
	uint64_t attached_ns; /* nanoseconds since 1970 */
	const char *command;  /* as the process called itself */
} zipc_peer_entry;

/*
 * Calls fn for every slot of the peer table that was ever used and holds an attachment that lives
 * or died without detaching; the dead are shown until their slot is used again, or until
 * zipc_segment_gc(). Since 0.1.
 */
ZIPC_API int zipc_segment_peers(zipc_segment *segment,
				int (*fn)(const zipc_peer_entry *entry, void *arg), void *arg);

/* One structure: zipc_segment_structures(). */
typedef struct zipc_structure_entry {
	uint32_t struct_size;
	uint32_t type; /* ZIPC_TYPE_* */
	const char *name;
	const char *type_name; /* "array", "queue", ... or "unknown" */
	const char *schema;    /* "" when none was given */
	uint64_t offset;       /* of its memory in the segment */
	uint64_t size;	       /* bytes of its memory */
	uint64_t element_size;
	uint64_t capacity;   /* elements */
	uint32_t alignment;  /* of elements */
	uint32_t handles;    /* attachments that have it open */
	uint64_t created_ns; /* nanoseconds since 1970 */
	uint32_t creator_pid;
	uint32_t reserved;
} zipc_structure_entry;

#define ZIPC_TYPE_ARRAY	    1u
#define ZIPC_TYPE_QUEUE	    2u
#define ZIPC_TYPE_MUTEX	    16u
#define ZIPC_TYPE_ONCE	    17u
#define ZIPC_TYPE_SEMAPHORE 18u
#define ZIPC_TYPE_EVENT	    19u
#define ZIPC_TYPE_LATCH	    20u
#define ZIPC_TYPE_RWLOCK    21u
#define ZIPC_TYPE_BARRIER   22u
#define ZIPC_TYPE_MONITOR   23u

/* Calls fn for every published structure, in order of creation slot. Since 0.1. */
ZIPC_API int zipc_segment_structures(zipc_segment *segment,
				     int (*fn)(const zipc_structure_entry *entry, void *arg),
				     void *arg);

/* A thread that sleeps: zipc_segment_waiters(). */
typedef struct zipc_waiter_entry {
	uint32_t struct_size;
	uint32_t peer_id;
	uint32_t pid;	       /* for people; 0 = unknown */
	uint32_t thread;       /* its kernel thread id */
	const char *name;      /* of the structure */
	const char *type_name; /* "mutex", "queue", ... */
	uint64_t place;	       /* where it waits: the same for all that wait for the same thing */
	uint64_t since_ns;     /* nanoseconds since 1970 */
} zipc_waiter_entry;

/*
 * Calls fn for every living thread that sleeps in a call of this library, up to 8 of each attachment.
 * A moment's view; those that only spin are not in it. Since 0.1.
 */
ZIPC_API int zipc_segment_waiters(zipc_segment *segment,
				  int (*fn)(const zipc_waiter_entry *entry, void *arg), void *arg);

/* Somebody who holds what others wait for: zipc_segment_holders(). */
typedef struct zipc_holder_entry {
	uint32_t struct_size;
	uint32_t peer_id;
	uint32_t pid;	 /* for people; 0 = unknown */
	uint32_t thread; /* kernel thread id; 0 = any thread of that process */
	uint32_t alive;	 /* 0: what it holds goes to whoever comes next */
	uint32_t count;	 /* how often it holds it, or how many */
	uint32_t flags;	 /* ZIPC_HOLDER_* */
	uint32_t reserved;
	const char *name;      /* of the structure */
	const char *type_name; /* "mutex", ... */
	const char *what;      /* "holds", "reads", "runs", ... */
	uint64_t place;	       /* where those wait that it keeps waiting */
} zipc_holder_entry;

#define ZIPC_HOLDER_ONE_OF 1u /* those who wait can go on as soon as any of the holders lets go */

/* Calls fn for every holder of every structure. A moment's view. Since 0.1. */
ZIPC_API int zipc_segment_holders(zipc_segment *segment,
				  int (*fn)(const zipc_holder_entry *entry, void *arg), void *arg);

/* ---- care ------------------------------------------------------------------------------------ */

/*
 * Gives back everything that dead processes still hold: claims inside structures, half-made and
 * removed structures, memory; then zipc_segment_peers() does not show them any more. Never needed
 * for correctness. Returns how many things were given back (0 = nothing to do); -EROFS; -EDEADLK;
 * -ECANCELED. Can be held up by a stopped peer. Since 0.1.
 */
ZIPC_API int zipc_segment_gc(zipc_segment *segment);

/*
 * Walks everything and calls fn (may be NULL) with one sentence for each thing that cannot be
 * right, naming it. Returns the number of such things, 0 = sound; -EROFS; -EDEADLK; -ECANCELED; or
 * what fn returned when that was not 0. Can be held up by a stopped peer. Since 0.1.
 */
ZIPC_API int zipc_segment_verify(zipc_segment *segment, int (*fn)(const char *problem, void *arg),
				 void *arg);

#ifdef __cplusplus
}
#endif

#endif
