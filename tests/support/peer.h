/* SPDX-License-Identifier: MIT */
/*
 * Tests with several processes: children that never outlive the test, roles of the same binary
 * that are started by fork and exec (so that they map the segment at other addresses), memory that
 * all of them see, names that are unique per run, and a look at what a test left behind.
 *
 * A program with roles has this main():
 *
 *	int main(int argc, char **argv)
 *	{
 *		return peer_main(argc, argv, roles, all_tests);
 *	}
 */
#ifndef TESTS_SUPPORT_PEER_H
#define TESTS_SUPPORT_PEER_H

#include <zeroipc.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* ---- programs with roles -------------------------------------------------------------------- */

struct role {
	const char *name; /* NULL ends the table */
	int (*run)(int argc, char **argv);
};

/* With "--role name args..." runs that role, with the args; else tests(). */
int peer_main(int argc, char **argv, const struct role *roles, int (*tests)(void));

/*
 * Runs cmocka tests, each between a look at what there is and one at what is left: children, which
 * are killed, segments and directories, which are removed, descriptors and mappings. A test that
 * leaves something behind has failed. ZIPC_TEST_ONLY is a pattern of the names of tests to be run.
 */
struct CMUnitTest;
int peer_run_tests(const char *name, const struct CMUnitTest *tests, size_t count);
#define PEER_RUN(name, tests) peer_run_tests(name, tests, sizeof(tests) / sizeof(tests)[0])

/* Kills and prints `what` when the seconds have passed; 0 = off. Children die with the parent. */
void watchdog(unsigned seconds, const char *what);

/* ---- children ------------------------------------------------------------------------------- */

/* As fork(); the child is killed when its parent ends. */
pid_t peer_fork(void);

/* fork and exec of this program in a role; further arguments are strings, NULL ends them. */
pid_t peer_spawn(const char *role, ...) __attribute__((sentinel));

/* Waits for a child: its exit status, or 256 + the signal that ended it. */
int peer_wait(pid_t pid);

/* SIGKILL, then waits until it is gone. */
void peer_kill(pid_t pid);

/* Whatever is still running. */
void peer_kill_all(void);

/* Number of children that are not reaped yet. */
int peer_count(void);

/* Waits until the child sleeps in the kernel (state S of /proc), at most about ten seconds. */
bool peer_wait_asleep(pid_t pid);

/* ---- shared memory of the test itself ------------------------------------------------------- */

struct board {
	int fd;
	size_t size;
	void *memory;
};

/* Zeroed; the descriptor is inherited by exec. Ends the program when there is no memory. */
struct board board_make(size_t size);

/* In a role: the board whose descriptor number is in `text`. */
struct board board_join(const char *text);

void board_close(struct board *board);

/* The descriptor as text, for peer_spawn(); in one of a few static buffers. */
const char *text_of(long long number);

/* ---- scenes --------------------------------------------------------------------------------- */

/* A segment with one queue "q", and a board: what most tests with roles begin with. */
struct scene {
	struct board board; /* its memory begins with a struct scene_card */
	zipc_segment *segment;
	zipc_queue *queue;
};

struct scene_card {
	char segment[80]; /* its name */
};

struct scene_options {
	const char *tag; /* of the names, and for the watchdog */
	uint32_t seconds;
	size_t board; /* bytes */
	uint64_t element_size;
	uint64_t capacity;
	uint32_t flags;	    /* of the queue */
	uint32_t max_peers; /* 0 = default, as all below */
	uint32_t slice_ms;
};

/* In a cmocka test. Closing kills all children first, and the segment must be sound then. */
void scene_open(struct scene *scene, const struct scene_options *options);
void scene_close(struct scene *scene);

/* In a role: the board whose descriptor number is in `text`, the segment without spinning, "q". */
int scene_join(struct scene *scene, const char *text);

/* ---- names, random numbers, waiting --------------------------------------------------------- */

/* "zt-<pid>-<n>-<tag>": unique on this machine while the test runs. In a few static buffers. */
const char *unique_name(const char *tag);

/* Bytes in use, 0 when the segment does not say. */
uint64_t segment_used(zipc_segment *segment);

/* A fresh directory below `parent` (NULL = /dev/shm), mode 0700; removed by directory_remove(). */
const char *directory_make(const char *parent);
void directory_remove(const char *path);

/* Seed from ZIPC_TEST_SEED, else from the clock; printed once with the name of the test. */
uint64_t seed_for(const char *test);
uint64_t random_next(uint64_t *state);
uint32_t random_below(uint64_t *state, uint32_t limit);

uint64_t now_ns(void);
void nap_us(unsigned us);

/* Naps until *word is at least `value`; false after about ten seconds. */
bool wait_until_at_least(const uint32_t *word, uint32_t value);

/* ---- skipping -------------------------------------------------------------------------------- */

/* Skips the running cmocka test, saying why. */
#define skip_because(...)                                                                          \
	do {                                                                                       \
		print_message("skipped: " __VA_ARGS__);                                            \
		print_message("\n");                                                               \
		skip();                                                                            \
	} while (0)

#endif
