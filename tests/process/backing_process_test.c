/* SPDX-License-Identifier: MIT */
/*
 * Files that are not what they should be, each with its own refusal; and a file system that is
 * full.
 */
#include "support/cmocka_all.h"
#include "support/peer.h"

#include "segment/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECONDS	 60u
#define STRANGER 12345

/* ---- refusals -------------------------------------------------------------------------------- */

struct refusal {
	const char *what;
	void (*spoil)(const char *path);
	int code;
	int other_code; /* allowed as well, 0 = none */
};

static void write_at(const char *path, off_t offset, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, size, offset), size);
	close(fd);
}

static void write_u32(const char *path, size_t offset, uint32_t value)
{
	write_at(path, (off_t)offset, &value, sizeof value);
}

static void cut_to_nothing(const char *path)
{
	assert_int_equal(truncate(path, 0), 0);
}

static void cut_in_header(const char *path)
{
	assert_int_equal(truncate(path, 100), 0);
}

static void cut_in_heap(const char *path)
{
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 4096), 0);
}

static void older_version(const char *path)
{
	write_u32(path, offsetof(struct zi_header, version), 2);
}

static void newer_version(const char *path)
{
	write_u32(path, offsetof(struct zi_header, version), 4);
}

static void other_byte_order(const char *path)
{
	write_u32(path, offsetof(struct zi_header, version), __builtin_bswap32(3));
	write_u32(path, offsetof(struct zi_header, byte_order), __builtin_bswap32(ZI_BYTE_ORDER));
}

static void new_feature(const char *path)
{
	write_u32(path, offsetof(struct zi_header, features_incompatible), 0x80);
}

static void not_a_segment(const char *path)
{
	write_u32(path, offsetof(struct zi_header, magic), 0x464c457f);
}

static void become_fifo(const char *path)
{
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void become_directory(const char *path)
{
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
}

static void become_symlink(const char *path)
{
	char target[300];
	snprintf(target, sizeof target, "%s-target", path);
	assert_int_equal(rename(path, target), 0);
	assert_int_equal(symlink(target, path), 0);
}

static void become_device(const char *path)
{
	unlink(path);
	assert_int_equal(symlink("/dev/zero", path), 0);
}

static void open_to_all(const char *path)
{
	assert_int_equal(chmod(path, 0666), 0);
}

static void open_to_group(const char *path)
{
	assert_int_equal(chmod(path, 0620), 0);
}

static void vanish(const char *path)
{
	unlink(path);
}

static const struct refusal refusals[] = {
	{"empty file", cut_to_nothing, -EBADMSG, 0},
	{"cut in the header", cut_in_header, -EBADMSG, 0},
	{"cut in the heap", cut_in_heap, -EBADMSG, 0},
	{"format 2", older_version, -EPROTONOSUPPORT, 0},
	{"format 4", newer_version, -EPROTONOSUPPORT, 0},
	{"other byte order", other_byte_order, -EPROTONOSUPPORT, 0},
	{"unknown feature", new_feature, -EPROTONOSUPPORT, 0},
	{"not a segment", not_a_segment, -EBADMSG, 0},
	{"fifo", become_fifo, -EBADMSG, 0},
	{"directory", become_directory, -EBADMSG, 0},
	{"symbolic link", become_symlink, -ELOOP, 0},
	{"symbolic link to a device", become_device, -ELOOP, 0},
	{"mode 0666", open_to_all, -EPERM, -EACCES},
	{"mode 0620", open_to_group, -EPERM, -EACCES},
	{"nothing there", vanish, -ENOENT, 0},
};
#define REFUSALS (sizeof refusals / sizeof refusals[0])

static zipc_segment_options file_options(void)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	options.backing = ZIPC_BACKING_FILE;
	options.size = 256 << 10;
	options.max_size = 1 << 20;
	return options;
}

static void make_file(const char *path)
{
	zipc_segment_options options = file_options();
	zipc_segment *segment;
	assert_int_equal(zipc_segment_create(path, &options, &segment), 0);
	zipc_segment_close(segment);
}

/* The sentence without the path, which differs in any case. */
static void keep_sentence(char *out, size_t size)
{
	const char *text = strrchr(zipc_last_error(), '\'');
	snprintf(out, size, "%s", text != NULL ? text : zipc_last_error());
}

static int try_open(const char *path, uint32_t mode, uint32_t flags)
{
	zipc_segment_options options = file_options();
	zipc_segment *segment;
	options.mode = mode;
	options.flags = flags;
	int r = zipc_segment_open(path, &options, &segment);
	if (r == 0)
		zipc_segment_close(segment);
	return r;
}

static void test_refusals(void **state)
{
	(void)state;
	static char sentences[REFUSALS][256];
	watchdog(SECONDS, "refusals"); /* a fifo must not block */
	const char *directory = directory_make(NULL);
	for (size_t i = 0; i < REFUSALS; i++) {
		char path[300];
		snprintf(path, sizeof path, "%s/%zu", directory, i);
		make_file(path);
		assert_int_equal(try_open(path, 0, 0), 0);
		refusals[i].spoil(path);
		int r = try_open(path, 0, 0);
		if (r != refusals[i].code && r != refusals[i].other_code)
			print_error("%s: %d %s\n", refusals[i].what, r, zipc_last_error());
		assert_true(r == refusals[i].code || r == refusals[i].other_code);
		keep_sentence(sentences[i], sizeof sentences[i]);
		assert_true(strlen(sentences[i]) > 10);
		rmdir(path);
	}
	/* what is refused for another reason says so in another way */
	assert_string_not_equal(sentences[0], sentences[7]);
	assert_string_not_equal(sentences[3], sentences[5]);
	assert_string_not_equal(sentences[7], sentences[8]);
	assert_string_not_equal(sentences[10], sentences[12]);
	directory_remove(directory);
}

static void test_mode_is_policy(void **state)
{
	(void)state;
	char path[300];
	const char *directory = directory_make(NULL);
	struct stat st;
	snprintf(path, sizeof path, "%s/shared", directory);
	zipc_segment_options options = file_options();
	zipc_segment *segment;
	options.mode = 0666;
	mode_t mask = umask(077);
	assert_int_equal(zipc_segment_create(path, &options, &segment), 0);
	umask(mask);
	zipc_segment_close(segment);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666); /* as asked, whatever the mask */
	assert_int_equal(try_open(path, 0, 0), -EPERM);
	assert_int_equal(try_open(path, 0660, 0), -EPERM);
	assert_int_equal(try_open(path, 0666, 0), 0);
	directory_remove(directory);
}

static void test_owner(void **state)
{
	(void)state;
	char path[300];
	const char *directory = directory_make(NULL);
	snprintf(path, sizeof path, "%s/theirs", directory);
	make_file(path);
	if (chown(path, STRANGER, STRANGER) != 0) {
		directory_remove(directory);
		skip_because("chown needs root");
	}
	assert_int_equal(try_open(path, 0, 0), -EPERM);
	assert_true(strstr(zipc_last_error(), "12345") != NULL);
	assert_int_equal(try_open(path, 0, ZIPC_SEGMENT_ANY_OWNER), 0);
	directory_remove(directory);
}

/* Without the right to write, and without the right to anything. */
static void test_permissions(void **state)
{
	(void)state;
	char path[300];
	const char *directory = directory_make(NULL);
	snprintf(path, sizeof path, "%s/mine", directory);
	make_file(path);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(directory, 0755), 0);
	pid_t pid = peer_fork();
	if (pid == 0) {
		if (setgid(STRANGER) != 0 || setuid(STRANGER) != 0)
			_exit(77);
		bool good = try_open(path, 0, ZIPC_SEGMENT_ANY_OWNER) == -EACCES &&
			    try_open(path, 0, ZIPC_SEGMENT_READ_ONLY) == 0;
		_exit(good ? 0 : 1);
	}
	int status = peer_wait(pid);
	directory_remove(directory);
	if (status == 77)
		skip_because("setuid needs root");
	assert_int_equal(status, 0);
}

/* ---- remove refuses what is not a segment ---------------------------------------------------- */

static void test_remove_refuses(void **state)
{
	(void)state;
	char path[300];
	const char *directory = directory_make(NULL);
	zipc_segment_options options = file_options();
	snprintf(path, sizeof path, "%s/letter", directory);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "a letter to somebody else", 25), 25);
	close(fd);
	assert_int_equal(zipc_segment_remove(path, &options), -EBADMSG);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	assert_int_equal(zipc_segment_remove(path, &options), -ENOENT);
	directory_remove(directory);
}

/* ---- a full file system ---------------------------------------------------------------------- */

/* Runs where a mount is nobody else's. The exit code tells the line that was not as expected. */
#define MUST(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "line %d: %s; %s\n", __LINE__, #condition,                 \
				zipc_last_error());                                                \
			return 1;                                                                  \
		}                                                                                  \
	} while (0)

static uint64_t free_of(zipc_segment *segment)
{
	zipc_segment_info info = {.struct_size = sizeof info};
	zipc_segment_get_info(segment, &info);
	return info.free;
}

static int use_queue(zipc_queue *queue)
{
	uint64_t item = 0;
	for (uint64_t i = 0; i < 100; i++) {
		MUST(zipc_queue_push(queue, &i, ZIPC_NOWAIT) == 0);
		MUST(zipc_queue_pop(queue, &item, ZIPC_NOWAIT) == 0 && item == i);
	}
	return 0;
}

/* Takes all there is; every byte of it can be written. */
static int exhaust(zipc_segment *segment, uint64_t size, uint64_t *offsets, uint32_t *count)
{
	int r;
	while ((r = zipc_alloc(segment, size, 0, &offsets[*count])) == 0) {
		memset(zipc_pointer(segment, offsets[*count], size), 0x5a, size);
		MUST(++*count < 4096);
	}
	MUST(r == -ENOSPC);
	MUST(strlen(zipc_last_error()) > 0);
	return 0;
}

static int fill_file_system(const char *directory)
{
	static char block[4096];
	char path[300];
	snprintf(path, sizeof path, "%s/ballast", directory);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	MUST(fd >= 0);
	while (write(fd, block, sizeof block) == (ssize_t)sizeof block)
		;
	close(fd);
	return 0;
}

static int use_full_file_system(const char *directory)
{
	static uint64_t offsets[4096];
	char path[300], second[300];
	uint32_t count = 0;
	zipc_segment_options options = file_options();
	zipc_segment *segment, *other;
	zipc_queue *queue;
	options.max_size = 64 << 20;
	snprintf(path, sizeof path, "%s/segment", directory);
	snprintf(second, sizeof second, "%s/second", directory);
	MUST(zipc_segment_create(path, &options, &segment) == 0);
	MUST(zipc_queue_create(segment, "q", 8, 16, NULL, &queue) == 0);
	MUST(exhaust(segment, 100000, offsets, &count) == 0);
	MUST(fill_file_system(directory) == 0);
	MUST(exhaust(segment, 64, offsets, &count) == 0);
	MUST(use_queue(queue) == 0);
	MUST(zipc_segment_create(second, &options, &other) == -ENOSPC);
	MUST(access(second, F_OK) != 0);
	zipc_queue *more;
	MUST(zipc_queue_create(segment, "more", 1000, 1000, NULL, &more) == -ENOSPC);
	MUST(zipc_queue_open(segment, "more", 0, NULL, &more) == -ENOENT);
	MUST(zipc_segment_open(path, &options, &other) == 0);
	zipc_segment_close(other);
	while (count > 0)
		MUST(zipc_free(segment, offsets[--count]) == 0);
	uint64_t left = free_of(segment);
	MUST(zipc_queue_create(segment, "more", 1000, 64, NULL, &more) == 0);
	MUST(free_of(segment) < left);
	zipc_queue_close(more);
	MUST(use_queue(queue) == 0);
	MUST(zipc_segment_verify(segment, NULL, NULL) == 0);
	zipc_queue_close(queue);
	zipc_segment_close(segment);
	return 0;
}

static int in_small_tmpfs(const char *directory)
{
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return 77;
	if (mount("tmpfs", directory, "tmpfs", 0, "size=1m") != 0)
		return 77;
	return use_full_file_system(directory);
}

static void test_full_tmpfs(void **state)
{
	(void)state;
	watchdog(SECONDS, "full tmpfs");
	const char *directory = directory_make("/tmp");
	pid_t pid = peer_fork();
	if (pid == 0)
		_exit(in_small_tmpfs(directory));
	int status = peer_wait(pid);
	directory_remove(directory);
	if (status == 77)
		skip_because("mounting a tmpfs is not permitted");
	assert_int_equal(status, 0);
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),       cmocka_unit_test(test_mode_is_policy),
		cmocka_unit_test(test_owner),	       cmocka_unit_test(test_permissions),
		cmocka_unit_test(test_remove_refuses), cmocka_unit_test(test_full_tmpfs),
	};
	return PEER_RUN("backing", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, all_tests);
}
