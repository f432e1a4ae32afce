/* SPDX-License-Identifier: MIT */
/* Files behind segments: modes, owners, refusals, memfd, paths. */
#include "segment/rig.h"

#include "segment/backing.h"
#include "segment/layout.h"

#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#define STRANGER 65533

/* Writes `value` of `size` bytes at `offset` of the file. */
static void scribble(const char *path, size_t offset, const void *value, size_t size)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, value, size, (off_t)offset), size);
	close(fd);
}

/* Creates a file segment below a fresh directory and closes it; its path. */
static const char *make_file(const char *directory, const char *file)
{
	static char path[512];
	snprintf(path, sizeof path, "%s/%s", directory, file);
	zipc_segment_options o = rig_options(ZIPC_BACKING_FILE, 1 * MIB);
	zipc_segment *segment;
	assert_ok(zipc_segment_create(path, &o, &segment));
	zipc_segment_close(segment);
	return path;
}

static int open_file(const char *path, uint32_t flags, uint32_t mode)
{
	zipc_segment_options o = ZIPC_SEGMENT_OPTIONS_INIT;
	o.backing = ZIPC_BACKING_FILE;
	o.flags = flags;
	o.mode = mode;
	zipc_segment *segment = NULL;
	int r = zipc_segment_open(path, &o, &segment);
	if (r == 0)
		zipc_segment_close(segment);
	return r;
}

static int remove_file(const char *path)
{
	zipc_segment_options o = ZIPC_SEGMENT_OPTIONS_INIT;
	o.backing = ZIPC_BACKING_FILE;
	return zipc_segment_remove(path, &o);
}

/* ---- modes and owners ----------------------------------------------------------------------- */

static uint32_t mode_of(const char *name)
{
	char path[256];
	struct stat st;
	assert_ok(zi_backing_path(name, ZIPC_BACKING_SHM, path, sizeof path));
	assert_ok(stat(path, &st));
	return st.st_mode & 07777;
}

static void the_mode_is_what_was_asked_for(void **state)
{
	(void)state;
	static const uint32_t modes[] = {0, 0600, 0640, 0660, 0666, 0622, 0777};
	mode_t old = umask(077);
	for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
		const char *name = unique_name("mode");
		zipc_segment_options o = rig_options(ZIPC_BACKING_SHM, 1 * MIB);
		zipc_segment *segment;
		o.mode = modes[i];
		assert_ok(zipc_segment_create(name, &o, &segment));
		assert_int_equal(mode_of(name), modes[i] == 0 ? 0600 : modes[i]);
		zipc_segment_close(segment);
		assert_ok(zipc_segment_remove(name, NULL));
	}
	umask(old);
}

static void more_writers_than_accepted_are_refused(void **state)
{
	(void)state;
	const char *path = make_file(directory_make(NULL), "s");
	assert_ok(chmod(path, 0662));
	assert_int_equal(open_file(path, 0, 0), -EPERM);
	assert_said(path);
	assert_said("0662");
	assert_int_equal(open_file(path, 0, 0660), -EPERM);
	assert_int_equal(open_file(path, 0, 0602), -EPERM);
	assert_int_equal(open_file(path, ZIPC_SEGMENT_READ_ONLY, 0), -EPERM);
	assert_ok(open_file(path, 0, 0662));
	assert_ok(open_file(path, 0, 0666));
	assert_ok(chmod(path, 0644)); /* readers are no danger */
	assert_ok(open_file(path, 0, 0));
	assert_ok(remove_file(path));
}

static void another_owner_is_refused(void **state)
{
	(void)state;
	const char *path = make_file(directory_make(NULL), "s");
	if (geteuid() != 0 || chown(path, STRANGER, STRANGER) != 0)
		skip_because("only root can give files away");
	assert_int_equal(open_file(path, 0, 0), -EPERM);
	assert_said(path);
	assert_said("65533");
	assert_said("ANY_OWNER");
	assert_ok(open_file(path, ZIPC_SEGMENT_ANY_OWNER, 0));
	assert_ok(remove_file(path));
}

/* As somebody who may not. */
static void permissions_are_said(void **state)
{
	(void)state;
	const char *directory = directory_make(NULL), *path = make_file(directory, "s");
	if (geteuid() != 0)
		skip_because("only root can become somebody else");
	assert_ok(chmod(directory, 0755));
	assert_ok(seteuid(STRANGER));
	int rw = open_file(path, 0, 0);
	char sentence[320];
	snprintf(sentence, sizeof sentence, "%s", zipc_last_error());
	int ro = open_file(path, ZIPC_SEGMENT_READ_ONLY, 0), gone = remove_file(path);
	zipc_segment_options o = rig_options(ZIPC_BACKING_FILE, 1 * MIB);
	zipc_segment *segment;
	char other[512];
	snprintf(other, sizeof other, "%s/t", directory);
	int made = zipc_segment_create(other, &o, &segment);
	assert_ok(seteuid(0));
	assert_int_equal(rw, -EACCES);
	assert_non_null(strstr(sentence, path));
	assert_int_equal(ro, -EACCES);
	assert_int_equal(gone, -EACCES);
	assert_int_equal(made, -EACCES);
	assert_ok(remove_file(path));
}

/* ---- what is not a segment ------------------------------------------------------------------- */

static void other_things_are_refused(void **state)
{
	(void)state;
	const char *directory = directory_make(NULL);
	char path[512], link[512];
	snprintf(path, sizeof path, "%s/fifo", directory);
	assert_ok(mkfifo(path, 0600));
	assert_int_equal(open_file(path, 0, 0), -EBADMSG);
	assert_int_equal(open_file(path, ZIPC_SEGMENT_READ_ONLY, 0), -EBADMSG);
	assert_said(path);
	assert_said("not a regular file");
	assert_int_equal(remove_file(path), -EBADMSG);
	assert_int_equal(open_file(directory, 0, 0), -EBADMSG);
	assert_int_equal(open_file(directory, ZIPC_SEGMENT_READ_ONLY, 0), -EBADMSG);
	assert_int_equal(open_file("/dev/null", ZIPC_SEGMENT_READ_ONLY, 0), -EBADMSG);
	snprintf(path, sizeof path, "%s/short", directory);
	close(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	assert_int_equal(open_file(path, 0, 0), -EBADMSG);
	assert_said("too short");
	assert_int_equal(remove_file(path), -EBADMSG);
	assert_said("not removed");
	assert_ok(truncate(path, 64 * 1024));
	assert_int_equal(open_file(path, 0, 0), -EBADMSG);
	assert_said("not a zeroipc segment");
	snprintf(link, sizeof link, "%s/link", directory);
	assert_ok(symlink(path, link));
	assert_int_equal(open_file(link, 0, 0), -ELOOP);
	assert_said("symbolic link");
	assert_int_equal(remove_file(link), -ELOOP);
	snprintf(path, sizeof path, "%s/none/s", directory);
	assert_int_equal(open_file(path, 0, 0), -ENOENT);
	zipc_segment_options o = rig_options(ZIPC_BACKING_FILE, 1 * MIB);
	zipc_segment *segment;
	assert_int_equal(zipc_segment_create(path, &o, &segment), -ENOENT);
	assert_said(path);
}

struct damage {
	const char *what;
	size_t offset;
	uint64_t value;
	size_t size;
	int code;
	const char *sentence;
};

#define AT(member) offsetof(struct zi_header, member)

static const struct damage damages[] = {
	{"magic", AT(magic), 1, 4, -EBADMSG, "not a zeroipc segment"},
	{"version 1", AT(version), 1, 4, -EPROTONOSUPPORT, "format 1 of an older"},
	{"version 2", AT(version), 2, 4, -EPROTONOSUPPORT, "format 2 of an older"},
	{"version 4", AT(version), 4, 4, -EPROTONOSUPPORT, "has format 4"},
	{"feature", AT(features_incompatible), 1, 8, -EPROTONOSUPPORT, "features 0x1"},
	{"feature", AT(features_read_only), 2, 8, -EPROTONOSUPPORT, "only read"},
	{"feature", AT(features_compatible), 4, 8, 0, ""},
	{"big endian", AT(version), 0x03000000, 4, -EPROTONOSUPPORT, "byte order"},
	{"byte order", AT(byte_order), 0x04030201, 4, -EPROTONOSUPPORT, "byte order"},
	{"byte order", AT(byte_order), 0, 4, -EBADMSG, "damaged"},
	{"header size", AT(header_size), 8192, 4, -EBADMSG, "damaged"},
	{"page size", AT(page_size), 0, 4, -EBADMSG, "damaged"},
	{"line size", AT(line_size), 128, 4, -EBADMSG, "damaged"},
	{"max size", AT(max_size), UINT64_MAX, 8, -EBADMSG, "damaged"},
	{"max size", AT(max_size), 1, 8, -EBADMSG, "damaged"},
	{"peers", AT(peers_offset), 0, 8, -EBADMSG, "damaged"},
	{"directory", AT(directory_offset), UINT64_MAX, 8, -EBADMSG, "damaged"},
	{"chunks", AT(chunks_offset), 8, 8, -EBADMSG, "damaged"},
	{"heap", AT(first_chunk), 0, 8, -EBADMSG, "damaged"},
	{"max peers", AT(max_peers), 0, 4, -EBADMSG, "damaged"},
	{"max peers", AT(max_peers), 4097, 4, -EBADMSG, "damaged"},
	{"peer stride", AT(peer_stride), 64, 4, -EBADMSG, "damaged"},
	{"entry stride", AT(entry_stride), 8, 4, -EBADMSG, "damaged"},
	{"directory", AT(directory_first), 128, 4, -EBADMSG, "damaged"},
	{"chunk shift", AT(chunk_shift), 12, 4, -EBADMSG, "damaged"},
	{"slices", AT(slice_min_ms), 0, 4, -EBADMSG, "damaged"},
	{"slices", AT(slice_max_ms), 1, 4, -EBADMSG, "damaged"},
	{"slices", AT(slice_max_ms), 0xffffffff, 4, -EBADMSG, "damaged"},
	{"size", AT(size), 0, 8, -EBADMSG, "damaged"},
	{"size", AT(size), 4096, 8, -EBADMSG, "damaged"},
	{"size", AT(size), UINT64_MAX, 8, -EBADMSG, "damaged"},
	{"size", AT(size), 1 << 20 | 1, 8, -EBADMSG, "damaged"},
};

static void damaged_headers_are_refused(void **state)
{
	(void)state;
	const char *path = make_file(directory_make(NULL), "s");
	struct zi_header sound;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(pread(fd, &sound, sizeof sound, 0), sizeof sound);
	close(fd);
	for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
		const struct damage *d = &damages[i];
		scribble(path, d->offset, &d->value, d->size);
		int r = open_file(path, 0, 0);
		if (r != d->code)
			fail_msg("%s (%zu): %d, not %d", d->what, i, r, d->code);
		if (d->code != 0) {
			assert_said(d->sentence);
			assert_said(path);
		}
		scribble(path, 0, &sound, AT(pad0));
		scribble(path, AT(size), &sound.size, 8);
	}
	uint64_t feature = 2; /* may be read all the same */
	scribble(path, AT(features_read_only), &feature, sizeof feature);
	assert_ok(open_file(path, ZIPC_SEGMENT_READ_ONLY, 0));
	feature = 0;
	scribble(path, AT(features_read_only), &feature, sizeof feature);
	assert_ok(open_file(path, 0, 0));
	assert_ok(truncate(path, (off_t)sound.size - 1)); /* shorter than it says */
	assert_int_equal(open_file(path, 0, 0), -EBADMSG);
	assert_ok(truncate(path, 4096));
	assert_int_equal(open_file(path, 0, 0), -EBADMSG);
	assert_ok(remove_file(path));
}

/* ---- files ---------------------------------------------------------------------------------- */

static void a_file_keeps_what_is_in_it(void **state)
{
	(void)state;
	const char *directory = directory_make(NULL);
	char path[512];
	snprintf(path, sizeof path, "%s/data.zipc", directory);
	zipc_segment_options o = rig_options(ZIPC_BACKING_FILE, 4 * MIB);
	zipc_segment *segment;
	zipc_array *array;
	uint64_t value = 0;
	assert_int_equal(zipc_segment_open_or_create(path, &o, &segment), 1);
	assert_string_equal(rig_info(segment).name, "data.zipc");
	assert_int_equal(rig_info(segment).backing, ZIPC_BACKING_FILE);
	assert_ok(zipc_array_create(segment, "x", 8, 10, NULL, &array));
	assert_ok(zipc_array_store64(array, 9, 123));
	zipc_array_close(array);
	zipc_segment_close(segment);
	assert_int_equal(zipc_segment_open_or_create(path, &o, &segment), 0);
	assert_ok(zipc_array_open(segment, "x", 8, 10, NULL, &array));
	assert_ok(zipc_array_load64(array, 9, &value));
	assert_int_equal(value, 123);
	zipc_array_close(array);
	zipc_segment_close(segment);
	assert_ok(remove_file(path));
	assert_ok(rmdir(directory)); /* no temporary file is left */
}

static void paths_may_be_relative(void **state)
{
	(void)state;
	const char *directory = directory_make(NULL);
	char here[512];
	assert_non_null(getcwd(here, sizeof here));
	assert_ok(chdir(directory));
	zipc_segment_options o = rig_options(ZIPC_BACKING_FILE, 1 * MIB);
	zipc_segment *segment;
	int made = zipc_segment_create("s", &o, &segment);
	assert_ok(chdir(here));
	assert_ok(made);
	int fd = zipc_segment_export_fd(segment);
	assert_true(fd >= 0);
	close(fd);
	zipc_segment_close(segment);
	char path[512];
	snprintf(path, sizeof path, "%s/s", directory);
	assert_ok(remove_file(path));
	char longer[600];
	memset(longer, 'p', sizeof longer - 1);
	longer[sizeof longer - 1] = '\0';
	assert_int_equal(zipc_segment_create(longer, &o, &segment), -EINVAL);
	assert_int_equal(zipc_segment_create("", &o, &segment), -EINVAL);
	assert_int_equal(zipc_segment_create(NULL, &o, &segment), -EINVAL);
}

static void file_names_of_segments(void **state)
{
	(void)state;
	char path[256], name[ZIPC_NAME_MAX + 1];
	assert_ok(zi_backing_path("a/b%c", ZIPC_BACKING_SHM, path, sizeof path));
	assert_string_equal(path, "/dev/shm/zipc.a%2Fb%25c");
	assert_true(zi_backing_name("zipc.a%2Fb%25c", name, sizeof name));
	assert_string_equal(name, "a/b%c");
	static const char *const strange[] = {"other.a",  "zipc.",     "zipc.%",
					      "zipc.%2",  "zipc.%zz",  "zipc.%2f",
					      "zipc.%00", "zipc.\x01", "zipc"};
	for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++)
		assert_false(zi_backing_name(strange[i], name, sizeof name));
	assert_false(zi_backing_name("zipc.abcd", name, 4));
}

/* ---- memfd and descriptors ------------------------------------------------------------------- */

static int pass_through_socket(int fd)
{
	int ends[2], received = -1;
	assert_ok(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	char byte = 'x', room[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec io = {&byte, 1};
	struct msghdr m = {.msg_iov = &io,
			   .msg_iovlen = 1,
			   .msg_control = room,
			   .msg_controllen = sizeof room};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	assert_int_equal(sendmsg(ends[0], &m, 0), 1);
	assert_int_equal(recvmsg(ends[1], &m, 0), 1);
	memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof received);
	close(ends[0]);
	close(ends[1]);
	return received;
}

static void a_descriptor_is_enough(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(1 * MIB), *b;
	int exported = zipc_segment_export_fd(a);
	assert_true(exported >= 0);
	assert_int_equal(fcntl(exported, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	int received = pass_through_socket(exported);
	close(exported);
	assert_ok(zipc_segment_open_fd(received, NULL, &b));
	close(received); /* not kept */
	assert_int_equal(rig_info(b).peers, 2);
	assert_int_equal(rig_info(b).backing, ZIPC_BACKING_MEMFD);
	assert_memory_equal(rig_info(a).uuid, rig_info(b).uuid, 16);
	zipc_array *one, *two;
	assert_ok(zipc_array_create(a, "x", 4, 1, NULL, &one));
	assert_ok(zipc_array_open(b, "x", 4, 1, NULL, &two));
	zipc_array_close(one);
	zipc_segment_close(a); /* the creator goes */
	uint32_t value = 0;
	assert_ok(zipc_array_store32(two, 0, 9));
	assert_ok(zipc_array_load32(two, 0, &value));
	assert_int_equal(value, 9);
	zipc_array_close(two);
	zipc_segment_close(b);
}

static void a_memfd_cannot_shrink(void **state)
{
	(void)state;
	zipc_segment_options o = rig_options(ZIPC_BACKING_MEMFD, 8 * MIB);
	zipc_segment *segment;
	o.mode = 0640;
	assert_ok(zipc_segment_create(unique_name("seal"), &o, &segment));
	int fd = zipc_segment_export_fd(segment);
	int seals = fcntl(fd, F_GET_SEALS);
	assert_int_equal(seals, F_SEAL_SHRINK | F_SEAL_SEAL);
	assert_int_equal(ftruncate(fd, 4096), -1);
	assert_int_equal(errno, EPERM);
	struct stat st;
	assert_ok(fstat(fd, &st));
	assert_int_equal(st.st_mode & 0777, 0640);
	close(fd);
	uint64_t offset; /* but it can grow */
	assert_ok(zipc_alloc(segment, 5 * MIB, 0, &offset));
	zipc_segment_close(segment);
}

static void bad_descriptors_are_refused(void **state)
{
	(void)state;
	zipc_segment *segment;
	assert_int_equal(zipc_segment_open_fd(-1, NULL, &segment), -EBADF);
	assert_int_equal(zipc_segment_open_fd(100000, NULL, &segment), -EBADF);
	assert_said("100000");
	int ends[2];
	assert_ok(pipe(ends));
	assert_int_equal(zipc_segment_open_fd(ends[0], NULL, &segment), -EBADMSG);
	close(ends[0]);
	close(ends[1]);
	int fd = memfd_create("zt-empty", MFD_CLOEXEC);
	assert_ok(fchmod(fd, 0600));
	assert_int_equal(zipc_segment_open_fd(fd, NULL, &segment), -EBADMSG);
	assert_ok(ftruncate(fd, 65536));
	assert_int_equal(zipc_segment_open_fd(fd, NULL, &segment), -EBADMSG);
	close(fd);
}

/* A descriptor of any backing will do. */
static void a_named_segment_through_a_descriptor(void **state)
{
	(void)state;
	const char *name = unique_name("fd");
	zipc_segment_options o = rig_options(ZIPC_BACKING_SHM, 1 * MIB);
	zipc_segment *a, *b;
	assert_ok(zipc_segment_create(name, &o, &a));
	b = rig_again(a, 0);
	assert_string_equal(rig_info(b).name, name);
	zipc_segment *reader = rig_again(a, ZIPC_SEGMENT_READ_ONLY);
	assert_int_equal(rig_info(reader).peers, 2);
	zipc_segment_close(reader);
	zipc_segment_close(b);
	zipc_segment_close(a);
	assert_ok(zipc_segment_remove(name, NULL));
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mode_is_what_was_asked_for),
		cmocka_unit_test(more_writers_than_accepted_are_refused),
		cmocka_unit_test(another_owner_is_refused),
		cmocka_unit_test(permissions_are_said),
		cmocka_unit_test(other_things_are_refused),
		cmocka_unit_test(damaged_headers_are_refused),
		cmocka_unit_test(a_file_keeps_what_is_in_it),
		cmocka_unit_test(paths_may_be_relative),
		cmocka_unit_test(file_names_of_segments),
		cmocka_unit_test(a_descriptor_is_enough),
		cmocka_unit_test(a_memfd_cannot_shrink),
		cmocka_unit_test(bad_descriptors_are_refused),
		cmocka_unit_test(a_named_segment_through_a_descriptor),
	};
	return PEER_RUN("backing", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
