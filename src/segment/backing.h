/* SPDX-License-Identifier: MIT */
/* Files behind segments: opening, sanity and permission checks, reserving pages, naming. */
#ifndef ZI_SEGMENT_BACKING_H
#define ZI_SEGMENT_BACKING_H

#include <zeroipc/segment.h>

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define ZI_SHM_DIRECTORY "/dev/shm"
#define ZI_SHM_PREFIX	 "zipc."

/* The path of a named segment; checks the name. 0 or -EINVAL. */
int zi_backing_path(const char *name, uint32_t backing, char *out_path, size_t size);

/* The name behind a file name in ZI_SHM_DIRECTORY; false when it is not one of ours. */
bool zi_backing_name(const char *file, char *out_name, size_t size);

/*
 * Opens a file that exists: a descriptor, or a refusal with its sentence. It never blocks on a FIFO
 * and never follows a symbolic link in the last part.
 */
int zi_backing_open(const char *path, const zipc_segment_options *options, const char *name);

/* Is this file one that we want to map? Regular, ours, permissions, size; 0 or a refusal. */
int zi_backing_check(int fd, const zipc_segment_options *options, const char *name,
		     struct stat *out_stat);

/* A file without a name yet, of mode options->mode: a descriptor or a refusal. */
int zi_backing_create(const char *path, const zipc_segment_options *options, const char *name);

/* Gives a file of zi_backing_create its name, if that is free: 0, -EEXIST, ... */
int zi_backing_publish(int fd, const char *path, uint32_t backing, const char *name);

/* Forgets a file of zi_backing_create that will not be published. Closes fd. */
void zi_backing_discard(int fd, const char *path, uint32_t backing);

/* What kind of file this descriptor is on, and by which path it could be opened again ("" = none).
 */
uint32_t zi_backing_of(int fd, char *out_path, size_t size);

/* Is this descriptor open, and on that file? */
bool zi_backing_is(int fd, dev_t device, ino_t inode);

/*
 * An open file description of its own for the same file: through /proc/self/fd, else by path and
 * compared by device and inode. Returns a descriptor; -EBADF, -EMFILE or -ENFILE with a sentence.
 */
int zi_backing_reopen(int fd, const char *path, dev_t device, ino_t inode, int open_flags);

/* Reserves [from, to) of the file for good. 0, -ENOSPC, -EFBIG, -EOPNOTSUPP, ... */
int zi_backing_reserve(int fd, uint64_t from, uint64_t to);

#endif
