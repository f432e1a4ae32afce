/* SPDX-License-Identifier: MIT */
/*
 * A segment is born without a name (O_TMPFILE where the file system has it, else a temporary name)
 * and linked when it is complete, so that nobody ever opens half of one. Pages are reserved with
 * fallocate before anybody may touch them: a full file system is -ENOSPC and never SIGBUS.
 */
#include "backing.h"

#include "layout.h"

#include "../base/clock.h"
#include "../base/error.h"
#include "../base/name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#define GROUP_OTHER_WRITE 0022u

/* ---- names ---------------------------------------------------------------------------------- */

/* "/" and "%" cannot stand in a file name as they are: %2F, %25. */
static void encode_name(const char *name, char *out)
{
	for (; *name != '\0'; name++) {
		if (*name == '/' || *name == '%')
			out += sprintf(out, "%%%02X", (unsigned)*name);
		else
			*out++ = *name;
	}
	*out = '\0';
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool zi_backing_name(const char *file, char *out_name, size_t size)
{
	size_t prefix = strlen(ZI_SHM_PREFIX);
	if (strncmp(file, ZI_SHM_PREFIX, prefix) != 0)
		return false;
	size_t n = 0;
	for (const char *s = file + prefix; *s != '\0'; s++) {
		char c = *s;
		if (c == '%') {
			int high = hex_digit(s[1]), low = high < 0 ? -1 : hex_digit(s[2]);
			if (low < 0)
				return false;
			c = (char)(high << 4 | low);
			s += 2;
		}
		if (n + 1 >= size)
			return false;
		out_name[n++] = c;
	}
	out_name[n] = '\0';
	return n > 0 && zi_text_valid(out_name, n);
}

int zi_backing_path(const char *name, uint32_t backing, char *out_path, size_t size)
{
	if (backing == ZIPC_BACKING_FILE) {
		if (name == NULL || name[0] == '\0')
			return zi_fail(-EINVAL, "segment: the path is empty");
		if (strlen(name) >= size)
			return zi_fail(-EINVAL, "segment: the path is longer than %zu bytes",
				       size - 1);
		strcpy(out_path, name);
		return 0;
	}
	int r = zi_name_check(name, "segment");
	if (r < 0)
		return r;
	char encoded[3 * ZIPC_NAME_MAX + 1];
	encode_name(name, encoded);
	snprintf(out_path, size, "%s/%s%s", ZI_SHM_DIRECTORY, ZI_SHM_PREFIX, encoded);
	return 0;
}

/* The directory part of a path, "." when it has none. */
static void directory_of(const char *path, char *out, size_t size)
{
	const char *slash = strrchr(path, '/');
	if (slash == NULL)
		snprintf(out, size, ".");
	else
		snprintf(out, size, "%.*s", (int)(slash == path ? 1 : slash - path), path);
}

/* ---- opening -------------------------------------------------------------------------------- */

int zi_backing_open(const char *path, const zipc_segment_options *options, const char *name)
{
	bool read_only = (options->flags & ZIPC_SEGMENT_READ_ONLY) != 0;
	int access_mode = read_only ? O_RDONLY : O_RDWR;
	int fd = open(path, access_mode | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	int e = errno;
	switch (e) {
	case ENOENT:
		return zi_fail(-ENOENT, "segment '%s' does not exist", name);
	case ELOOP:
		return zi_fail(-ELOOP, "segment '%s' is a symbolic link; refused", name);
	case EISDIR:
	case ENXIO:
		return zi_fail(-EBADMSG, "segment '%s' is not a regular file", name);
	case EACCES:
		return zi_fail(-EACCES, "segment '%s': no permission to open it for %s", name,
			       read_only ? "reading" : "reading and writing");
	default:
		return zi_fail_errno(-e, "segment '%s': cannot open %s", name, path);
	}
}

static int check_file_system(int fd, const char *name)
{
	static const struct {
		unsigned long magic;
		const char *text;
	} refused[] = {
		{0x6969, "NFS"},      {0x01021997, "9p"},   {0x65735546, "FUSE"},
		{0xff534d42, "CIFS"}, {0xfe534d42, "SMB2"}, {0x00c36400, "Ceph"},
	};
	struct statfs fs;
	if (fstatfs(fd, &fs) != 0)
		return zi_fail_errno(-errno, "segment '%s': cannot look at its file system", name);
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
		if ((unsigned long)(fs.f_type & 0xffffffffL) == refused[i].magic)
			return zi_fail(
				-EOPNOTSUPP,
				"segment '%s' lies on %s, which cannot tell who is alive; use a "
				"local file system",
				name, refused[i].text);
	return 0;
}

static int check_permissions(const struct stat *st, const zipc_segment_options *options,
			     const char *name)
{
	bool any_owner = (options->flags & ZIPC_SEGMENT_ANY_OWNER) != 0;
	if (st->st_uid != geteuid() && st->st_uid != 0 && !any_owner)
		return zi_fail(
			-EPERM,
			"segment '%s' belongs to user %u, you are %u; ZIPC_SEGMENT_ANY_OWNER "
			"accepts that",
			name, (unsigned)st->st_uid, (unsigned)geteuid());
	uint32_t more = st->st_mode & GROUP_OTHER_WRITE & ~options->mode;
	if (more != 0)
		return zi_fail(
			-EPERM,
			"segment '%s' has mode %04o: more people may write it than you accept; "
			"pass that mode in the options if it is meant so",
			name, (unsigned)(st->st_mode & 07777));
	return 0;
}

int zi_backing_check(int fd, const zipc_segment_options *options, const char *name,
		     struct stat *out_stat)
{
	if (fstat(fd, out_stat) != 0)
		return zi_fail_errno(-errno, "segment '%s': cannot look at its file", name);
	if (!S_ISREG(out_stat->st_mode))
		return zi_fail(-EBADMSG, "segment '%s' is not a regular file", name);
	int r = check_file_system(fd, name);
	if (r == 0)
		r = check_permissions(out_stat, options, name);
	if (r == 0 && out_stat->st_size < (off_t)ZI_HEADER_SIZE)
		r = zi_fail(-EBADMSG, "segment '%s' is %lld bytes long: too short for a segment",
			    name, (long long)out_stat->st_size);
	return r;
}

bool zi_backing_is(int fd, dev_t device, ino_t inode)
{
	struct stat st;
	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* Opens one name of the file; what turns out to be another file is -EBADF. */
static int reopen_as(const char *name, dev_t device, ino_t inode, int open_flags)
{
	int fd = open(name, open_flags | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (zi_backing_is(fd, device, inode))
		return fd;
	close(fd);
	return -EBADF;
}

int zi_backing_reopen(int fd, const char *path, dev_t device, ino_t inode, int open_flags)
{
	int r = -EBADF;
	/* looked at before it is opened again: closing a descriptor of somebody else's file would
	 * take the classic locks that this process has on it */
	if (zi_backing_is(fd, device, inode)) {
		char link[32];
		snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
		r = reopen_as(link, device, inode, open_flags);
	}
	struct stat st;
	if (r < 0 && r != -EMFILE && r != -ENFILE && path[0] != '\0' && lstat(path, &st) == 0 &&
	    st.st_dev == device && st.st_ino == inode)
		r = reopen_as(path, device, inode, open_flags | O_NOFOLLOW);
	if (r == -EMFILE || r == -ENFILE)
		return zi_fail_errno(r, "segment: its file cannot be reopened");
	if (r < 0)
		return zi_fail(-EBADF, "segment: its file cannot be reopened (its descriptor was "
				       "closed, and it has no name or there is no /proc)");
	return r;
}

uint32_t zi_backing_of(int fd, char *out_path, size_t size)
{
	char link[32];
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, out_path, size - 1);
	struct stat st;
	bool named = n > 0 && (size_t)n < size - 1 && fstat(fd, &st) == 0 && st.st_nlink > 0;
	out_path[named ? n : 0] = '\0';
	if (!named)
		return ZIPC_BACKING_MEMFD;
	bool shm = strncmp(out_path, ZI_SHM_DIRECTORY "/", strlen(ZI_SHM_DIRECTORY) + 1) == 0;
	return shm ? ZIPC_BACKING_SHM : ZIPC_BACKING_FILE;
}

/* ---- birth ---------------------------------------------------------------------------------- */

static int create_memfd(const char *name)
{
	int fd = (int)syscall(SYS_memfd_create, name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd >= 0 ? fd : zi_fail_errno(-errno, "segment '%s': memfd_create", name);
}

static __thread uint64_t birth_mark; /* of the file that this thread is just making */

static void temporary_path(const char *path, char *out, size_t size)
{
	char directory[256];
	directory_of(path, directory, sizeof directory);
	snprintf(out, size, "%s/.zipc-birth.%llx", directory, (unsigned long long)birth_mark);
}

static int create_unnamed(const char *path, uint32_t mode, const char *name)
{
	char directory[256];
	directory_of(path, directory, sizeof directory);
	int fd = open(directory, O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd >= 0 ? fd
			       : zi_fail_errno(-errno, "segment '%s': cannot create a file in %s",
					       name, directory);
	char temporary[320];
	birth_mark = zi_wall_ns() ^ (uint64_t)getpid() << 48;
	temporary_path(path, temporary, sizeof temporary);
	fd = open(temporary, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, mode);
	return fd >= 0 ? fd
		       : zi_fail_errno(-errno, "segment '%s': cannot create a file in %s", name,
				       directory);
}

int zi_backing_create(const char *path, const zipc_segment_options *options, const char *name)
{
	uint32_t mode = options->mode != 0 ? options->mode : 0600;
	int fd = options->backing == ZIPC_BACKING_MEMFD ? create_memfd(name)
							: create_unnamed(path, mode, name);
	if (fd < 0)
		return fd;
	int r = check_file_system(fd, name);
	if (r == 0 && fchmod(fd, mode) != 0) /* not what the umask made of it */
		r = zi_fail_errno(-errno, "segment '%s': cannot set mode %04o", name, mode);
	if (r < 0) {
		zi_backing_discard(fd, path, options->backing);
		return r;
	}
	return fd;
}

static int publish_memfd(int fd, const char *name)
{
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) != 0)
		return zi_fail_errno(-errno, "segment '%s': cannot seal its memfd", name);
	return 0;
}

int zi_backing_publish(int fd, const char *path, uint32_t backing, const char *name)
{
	if (backing == ZIPC_BACKING_MEMFD)
		return publish_memfd(fd, name);
	char temporary[320], link[32];
	temporary_path(path, temporary, sizeof temporary);
	struct stat st;
	bool unnamed = fstat(fd, &st) == 0 && st.st_nlink == 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	int r = linkat(AT_FDCWD, unnamed ? link : temporary, AT_FDCWD, path,
		       unnamed ? AT_SYMLINK_FOLLOW : 0);
	if (r != 0 && errno == EEXIST)
		return zi_fail(-EEXIST, "segment '%s' exists already", name);
	if (r != 0)
		return zi_fail_errno(
			-errno, "segment '%s': cannot give it its name (is /proc there?)", name);
	if (!unnamed)
		unlink(temporary);
	return 0;
}

void zi_backing_discard(int fd, const char *path, uint32_t backing)
{
	struct stat st;
	if (backing != ZIPC_BACKING_MEMFD && fstat(fd, &st) == 0 && st.st_nlink > 0) {
		char temporary[320];
		temporary_path(path, temporary, sizeof temporary);
		unlink(temporary);
	}
	close(fd);
}

/* ---- pages ---------------------------------------------------------------------------------- */

/*
 * In steps of 2 MiB: older kernels give up a large fallocate at the first signal, and under a timer
 * would never finish one.
 */
int zi_backing_reserve(int fd, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t n = to - from < ZI_GROW_STEP ? to - from : ZI_GROW_STEP;
		if (fallocate(fd, 0, (off_t)from, (off_t)n) == 0)
			from += n;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}
