/* SPDX-License-Identifier: MIT */
#include "peer.h"

#include "cmocka_all.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILDREN_MAX 256
#define ARGS_MAX     16
#define TEXTS	     16

static char self_path[4096];
static pid_t children[CHILDREN_MAX];
static pid_t children_of; /* whose table it is: a forked child starts with an empty one */

static _Noreturn void give_up(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	_exit(98);
}

/* ---- programs with roles -------------------------------------------------------------------- */

static int run_role(int argc, char **argv, const struct role *roles)
{
	for (; roles->name != NULL; roles++)
		if (strcmp(roles->name, argv[0]) == 0)
			return roles->run(argc - 1, argv + 1);
	fprintf(stderr, "no role '%s'\n", argv[0]);
	return 97;
}

int peer_main(int argc, char **argv, const struct role *roles, int (*tests)(void))
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	ssize_t n = readlink("/proc/self/exe", self_path, sizeof self_path - 1);
	if (n < 0)
		give_up("/proc/self/exe");
	self_path[n] = '\0';
	if (argc > 2 && strcmp(argv[1], "--role") == 0)
		return run_role(argc - 2, argv + 2, roles);
	return tests();
}

static const char *watched;

static void on_alarm(int signal_number)
{
	static const char text[] = "watchdog: time is up in ";
	(void)signal_number;
	if (write(STDERR_FILENO, text, sizeof text - 1) < 0 ||
	    write(STDERR_FILENO, watched, strlen(watched)) < 0 || write(STDERR_FILENO, "\n", 1) < 0)
		_exit(96);
	_exit(99);
}

void watchdog(unsigned seconds, const char *what)
{
	static char text[256];
	snprintf(text, sizeof text, "%s", what);
	watched = text;
	signal(SIGALRM, on_alarm);
	alarm(seconds);
}

/* ---- children ------------------------------------------------------------------------------- */

static void forget_children(void)
{
	if (children_of != getpid()) {
		memset(children, 0, sizeof children);
		children_of = getpid();
	}
}

static void remember(pid_t pid)
{
	for (int i = 0; i < CHILDREN_MAX; i++) {
		if (children[i] == 0) {
			children[i] = pid;
			return;
		}
	}
	errno = ECHILD;
	give_up("too many children");
}

static void forget(pid_t pid)
{
	for (int i = 0; i < CHILDREN_MAX; i++)
		if (children[i] == pid)
			children[i] = 0;
}

pid_t peer_fork(void)
{
	forget_children();
	fflush(NULL);
	pid_t parent = getpid(), pid = fork();
	if (pid < 0)
		give_up("fork");
	if (pid > 0) {
		remember(pid);
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent && getppid() != 0) /* 0: first of a new pid namespace */
		_exit(95);
	return 0;
}

pid_t peer_spawn(const char *role, ...)
{
	char *argv[ARGS_MAX + 1] = {self_path, strdup("--role"), strdup(role)};
	int n = 3;
	va_list list;
	va_start(list, role);
	for (const char *s = va_arg(list, const char *); s != NULL && n < ARGS_MAX;
	     s = va_arg(list, const char *))
		argv[n++] = strdup(s);
	va_end(list);
	pid_t pid = peer_fork();
	if (pid == 0) {
		execv(self_path, argv);
		give_up(self_path);
	}
	for (int i = 1; i < n; i++)
		free(argv[i]);
	return pid;
}

int peer_wait(pid_t pid)
{
	int status = 0;
	do {
		if (waitpid(pid, &status, 0) < 0 && errno != EINTR)
			give_up("waitpid");
	} while (!WIFEXITED(status) && !WIFSIGNALED(status));
	forget(pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

void peer_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	peer_wait(pid);
}

void peer_kill_all(void)
{
	forget_children();
	for (int i = 0; i < CHILDREN_MAX; i++)
		if (children[i] != 0)
			peer_kill(children[i]);
}

int peer_count(void)
{
	int n = 0;
	forget_children();
	for (int i = 0; i < CHILDREN_MAX; i++)
		n += children[i] != 0;
	return n;
}

static char state_of(pid_t pid)
{
	char path[64], text[512] = "";
	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return '?';
	if (read(fd, text, sizeof text - 1) < 0)
		text[0] = '\0';
	close(fd);
	const char *end = strrchr(text, ')');
	return end != NULL && end[1] == ' ' ? end[2] : '?';
}

bool peer_wait_asleep(pid_t pid)
{
	for (int i = 0; i < 10000; i++) {
		if (state_of(pid) == 'S')
			return true;
		nap_us(1000);
	}
	return false;
}

/* ---- shared memory of the test itself ------------------------------------------------------- */

static void board_map(struct board *board)
{
	board->memory = mmap(NULL, board->size, PROT_READ | PROT_WRITE, MAP_SHARED, board->fd, 0);
	if (board->memory == MAP_FAILED)
		give_up("board");
}

struct board board_make(size_t size)
{
	struct board board = {.fd = memfd_create("board", 0), .size = size};
	if (board.fd < 0 || ftruncate(board.fd, (off_t)size) != 0)
		give_up("board");
	board_map(&board);
	return board;
}

struct board board_join(const char *text)
{
	struct board board = {.fd = atoi(text)};
	struct stat st;
	if (fstat(board.fd, &st) != 0)
		give_up("board");
	board.size = (size_t)st.st_size;
	board_map(&board);
	return board;
}

void board_close(struct board *board)
{
	munmap(board->memory, board->size);
	close(board->fd);
}

const char *text_of(long long number)
{
	static char texts[TEXTS][32];
	static unsigned turn;
	char *text = texts[turn++ % TEXTS];
	snprintf(text, sizeof texts[0], "%lld", number);
	return text;
}

/* ---- scenes --------------------------------------------------------------------------------- */

void scene_open(struct scene *scene, const struct scene_options *o)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	zipc_queue_options queue_options = ZIPC_QUEUE_OPTIONS_INIT;
	watchdog(o->seconds, o->tag);
	scene->board = board_make(o->board);
	struct scene_card *card = scene->board.memory;
	snprintf(card->segment, sizeof card->segment, "%s", unique_name(o->tag));
	options.max_peers = o->max_peers;
	options.slice_min_ms = o->slice_ms;
	options.slice_max_ms = o->slice_ms;
	queue_options.flags = o->flags;
	assert_int_equal(zipc_segment_create(card->segment, &options, &scene->segment), 0);
	assert_int_equal(zipc_queue_create(scene->segment, "q", o->element_size, o->capacity,
					   &queue_options, &scene->queue),
			 0);
}

void scene_close(struct scene *scene)
{
	const struct scene_card *card = scene->board.memory;
	peer_kill_all();
	zipc_queue_close(scene->queue);
	assert_true(zipc_segment_gc(scene->segment) >= 0);
	assert_int_equal(zipc_segment_verify(scene->segment, NULL, NULL), 0);
	zipc_segment_close(scene->segment);
	assert_int_equal(zipc_segment_remove(card->segment, NULL), 0);
	board_close(&scene->board);
}

int scene_join(struct scene *scene, const char *text)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	options.spin_ns = ZIPC_SPIN_NONE;
	scene->board = board_join(text);
	const struct scene_card *card = scene->board.memory;
	int r = zipc_segment_open(card->segment, &options, &scene->segment);
	return r < 0 ? r : zipc_queue_open(scene->segment, "q", 0, NULL, &scene->queue);
}

/* ---- names, random numbers, waiting --------------------------------------------------------- */

const char *unique_name(const char *tag)
{
	static char names[TEXTS][ZIPC_NAME_MAX + 1];
	static unsigned turn;
	char *name = names[turn % TEXTS];
	snprintf(name, sizeof names[0], "zt-%d-%u-%s", (int)getpid(), turn++, tag);
	return name;
}

uint64_t segment_used(zipc_segment *segment)
{
	zipc_segment_info info = {.struct_size = sizeof info};
	return zipc_segment_get_info(segment, &info) < 0 ? 0 : info.used;
}

const char *directory_make(const char *parent)
{
	static char paths[TEXTS][256];
	static unsigned turn;
	char *path = paths[turn++ % TEXTS];
	snprintf(path, sizeof paths[0], "%s/zt-%d-XXXXXX", parent == NULL ? "/dev/shm" : parent,
		 (int)getpid());
	if (mkdtemp(path) == NULL)
		give_up(path);
	return path;
}

void directory_remove(const char *path)
{
	DIR *directory = opendir(path);
	if (directory == NULL)
		return;
	for (struct dirent *e; (e = readdir(directory)) != NULL;)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			unlinkat(dirfd(directory), e->d_name, 0);
	closedir(directory);
	rmdir(path);
}

uint64_t seed_for(const char *test)
{
	const char *text = getenv("ZIPC_TEST_SEED");
	uint64_t seed = text != NULL ? strtoull(text, NULL, 0) : (now_ns() | 1);
	printf("%s: seed %llu (ZIPC_TEST_SEED repeats it)\n", test, (unsigned long long)seed);
	return seed != 0 ? seed : 1;
}

uint64_t random_next(uint64_t *state)
{
	uint64_t x = *state;
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*state = x;
	return x * UINT64_C(0x2545f4914f6cdd1d);
}

uint32_t random_below(uint64_t *state, uint32_t limit)
{
	return (uint32_t)((random_next(state) >> 32) * limit >> 32);
}

uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void nap_us(unsigned us)
{
	struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = (long)(us % 1000000) * 1000};
	nanosleep(&t, NULL);
}

bool wait_until_at_least(const uint32_t *word, uint32_t value)
{
	for (int i = 0; i < 50000; i++) {
		if (__atomic_load_n(word, __ATOMIC_SEQ_CST) >= value)
			return true;
		nap_us(200);
	}
	return false;
}

/* ---- what is left behind -------------------------------------------------------------------- */

struct residue {
	int descriptors;
	int mappings; /* of segments */
	int segments; /* of this process's names */
};

static struct residue before;

static int count_descriptors(void)
{
	int n = 0;
	DIR *directory = opendir("/proc/self/fd");
	if (directory == NULL)
		give_up("/proc/self/fd");
	while (readdir(directory) != NULL)
		n++;
	closedir(directory);
	return n;
}

static int count_mappings(void)
{
	int n = 0;
	char line[4352];
	FILE *maps = fopen("/proc/self/maps", "re");
	if (maps == NULL)
		give_up("/proc/self/maps");
	while (fgets(line, sizeof line, maps) != NULL)
		n += strstr(line, "/dev/shm/") != NULL || strstr(line, "memfd:zt-") != NULL ||
		     strstr(line, "/zt-") != NULL;
	fclose(maps);
	return n;
}

static bool is_ours(const zipc_segment_entry *entry)
{
	char prefix[32];
	int n = snprintf(prefix, sizeof prefix, "zt-%d-", (int)getpid());
	return strncmp(entry->name, prefix, (size_t)n) == 0;
}

static int count_segment(const zipc_segment_entry *entry, void *arg)
{
	*(int *)arg += is_ours(entry);
	return 0;
}

static int remove_segment(const zipc_segment_entry *entry, void *arg)
{
	(void)arg;
	if (is_ours(entry))
		zipc_segment_remove(entry->name, NULL);
	return 0;
}

static struct residue residue_now(void)
{
	struct residue now = {.descriptors = count_descriptors(), .mappings = count_mappings()};
	zipc_segment_list(count_segment, &now.segments);
	return now;
}

static void remove_directories(void)
{
	char prefix[32], path[512];
	int n = snprintf(prefix, sizeof prefix, "zt-%d-", (int)getpid());
	DIR *directory = opendir("/dev/shm");
	for (struct dirent *e; directory != NULL && (e = readdir(directory)) != NULL;) {
		if (strncmp(e->d_name, prefix, (size_t)n) != 0)
			continue;
		snprintf(path, sizeof path, "/dev/shm/%s", e->d_name);
		directory_remove(path);
	}
	if (directory != NULL)
		closedir(directory);
}

static int before_test(void **state)
{
	(void)state;
	before = residue_now();
	return 0;
}

static int after_test(void **state)
{
	(void)state;
	watchdog(0, "");
	int children_left = peer_count();
	peer_kill_all();
	struct residue after = residue_now();
	bool same = memcmp(&before, &after, sizeof before) == 0 && children_left == 0;
	if (!same)
		print_error("left behind: %d children, %d descriptors, %d mappings, %d segments\n",
			    children_left, after.descriptors - before.descriptors,
			    after.mappings - before.mappings, after.segments - before.segments);
	zipc_segment_list(remove_segment, NULL);
	remove_directories();
	return same ? 0 : -1;
}

int peer_run_tests(const char *name, const struct CMUnitTest *tests, size_t count)
{
	const char *only = getenv("ZIPC_TEST_ONLY");
	if (only != NULL)
		cmocka_set_test_filter(only);
	struct CMUnitTest *copy = calloc(count, sizeof *copy);
	if (copy == NULL)
		give_up(name);
	memcpy(copy, tests, count * sizeof *copy);
	for (size_t i = 0; i < count; i++) {
		copy[i].setup_func = before_test;
		copy[i].teardown_func = after_test;
	}
	int r = _cmocka_run_group_tests(name, copy, count, NULL, NULL);
	free(copy);
	return r;
}
