/* SPDX-License-Identifier: MIT */
/* Who waits, who holds, and who of them can never go on: told by the library and by the tool. */
#include "support/cmocka_all.h"
#include "support/peer.h"

#include <zeroipc/mutex.h>
#include <zeroipc/semaphore.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS 60u
#define MOST	3u

struct talk {
	struct scene_card card;
	uint32_t holding; /* raised by each that has what it takes first */
	uint32_t go;	  /* raised by the test: take what you take second */
	uint32_t through;
};

static void raise_word(uint32_t *word)
{
	__atomic_fetch_add(word, 1u, __ATOMIC_SEQ_CST);
}

static struct talk *open_scene(struct scene *scene, const char *tag)
{
	scene_open(scene, &(struct scene_options){.tag = tag,
						  .seconds = SECONDS,
						  .board = sizeof(struct talk),
						  .element_size = 8,
						  .capacity = 8});
	return scene->board.memory;
}

static void make_mutexes(struct scene *scene)
{
	static const char *const names[MOST] = {"a", "b", "c"};
	for (uint32_t i = 0; i < MOST; i++) {
		zipc_mutex *mutex;
		assert_int_equal(zipc_mutex_create(scene->segment, names[i], NULL, &mutex), 0);
		zipc_mutex_close(mutex);
	}
}

/* ---- roles ----------------------------------------------------------------------------------- */

/* locker <board> <first> <second> */
static int role_locker(int argc, char **argv)
{
	struct scene scene;
	zipc_mutex *first, *second;
	if (argc != 3 || scene_join(&scene, argv[0]) < 0)
		return 2;
	struct talk *talk = scene.board.memory;
	if (zipc_mutex_open(scene.segment, argv[1], NULL, &first) < 0 ||
	    zipc_mutex_open(scene.segment, argv[2], NULL, &second) < 0)
		return 3;
	if (zipc_mutex_lock(first, ZIPC_FOREVER) != 0)
		return 4;
	raise_word(&talk->holding);
	wait_until_at_least(&talk->go, 1);
	int r = zipc_mutex_lock(second, ZIPC_FOREVER);
	if (r == -EOWNERDEAD)
		r = zipc_mutex_consistent(second);
	raise_word(&talk->through);
	return r == 0 && zipc_mutex_unlock(second) == 0 && zipc_mutex_unlock(first) == 0 ? 0 : 5;
}

/* taker <board>: one permit of "s", then one more. */
static int role_taker(int argc, char **argv)
{
	struct scene scene;
	zipc_semaphore *semaphore;
	if (argc != 1 || scene_join(&scene, argv[0]) < 0 ||
	    zipc_semaphore_open(scene.segment, "s", NULL, &semaphore) < 0)
		return 2;
	struct talk *talk = scene.board.memory;
	if (zipc_semaphore_acquire(semaphore, 1, ZIPC_FOREVER) != 0)
		return 3;
	raise_word(&talk->holding);
	wait_until_at_least(&talk->go, 1);
	int r = zipc_semaphore_acquire(semaphore, 1, ZIPC_FOREVER);
	raise_word(&talk->through);
	return r == 0 && zipc_semaphore_release(semaphore, 2) == 0 ? 0 : 4;
}

/* ---- looking --------------------------------------------------------------------------------- */

struct seen {
	uint32_t waiters, holders;
	char waits[MOST][8]; /* names, by process */
	char holds[MOST][8];
	const pid_t *pids;
};

static uint32_t number_of(const struct seen *seen, uint32_t pid)
{
	uint32_t i = 0;
	while (i < MOST && (uint32_t)seen->pids[i] != pid)
		i++;
	assert_true(i < MOST);
	return i;
}

static int see_waiter(const zipc_waiter_entry *entry, void *arg)
{
	struct seen *seen = arg;
	assert_int_equal(entry->struct_size, sizeof *entry);
	assert_int_equal(entry->thread, entry->pid); /* their only thread */
	assert_true(entry->since_ns > UINT64_C(1600000000000000000));
	snprintf(seen->waits[number_of(seen, entry->pid)], 8, "%s", entry->name);
	seen->waiters++;
	return 0;
}

static int see_holder(const zipc_holder_entry *entry, void *arg)
{
	struct seen *seen = arg;
	assert_int_equal(entry->struct_size, sizeof *entry);
	assert_string_equal(entry->type_name, "mutex");
	assert_string_equal(entry->what, "holds");
	assert_int_equal(entry->count, 1);
	snprintf(seen->holds[number_of(seen, entry->pid)], 8, "%s", entry->name);
	seen->holders++;
	return 0;
}

/* What `zeroipc deadlocks` says, and its exit code. */
static int ask_tool(const struct scene *scene, char *out, size_t size)
{
	const struct talk *talk = scene->board.memory;
	char command[400];
	snprintf(command, sizeof command, "%s deadlocks %s 2>&1", getenv("ZIPC_TOOL"),
		 talk->card.segment);
	FILE *pipe = popen(command, "re");
	assert_non_null(pipe);
	size_t n = fread(out, 1, size - 1, pipe);
	out[n] = '\0';
	int status = pclose(pipe);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void all_asleep(struct talk *talk, const pid_t *pids, uint32_t count)
{
	assert_true(wait_until_at_least(&talk->holding, count));
	raise_word(&talk->go);
	for (uint32_t i = 0; i < count; i++)
		assert_true(peer_wait_asleep(pids[i]));
	nap_us(20000); /* asleep at last, not in a nap before */
	for (uint32_t i = 0; i < count; i++)
		assert_true(peer_wait_asleep(pids[i]));
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_circle_of_mutexes(void **state)
{
	(void)state;
	static const char *const names[MOST + 1] = {"a", "b", "c", "a"};
	struct scene scene;
	struct talk *talk = open_scene(&scene, "circle");
	pid_t pids[MOST];
	char text[2000];
	if (getenv("ZIPC_TOOL") == NULL)
		skip_because("ZIPC_TOOL does not say where the tool is");
	make_mutexes(&scene);
	for (uint32_t i = 0; i < MOST; i++)
		pids[i] =
			peer_spawn("locker", text_of(scene.board.fd), names[i], names[i + 1], NULL);
	assert_true(wait_until_at_least(&talk->holding, MOST));
	assert_int_equal(ask_tool(&scene, text, sizeof text), 0);
	assert_string_equal(text, "no deadlocks\n");
	all_asleep(talk, pids, MOST);

	struct seen seen = {.pids = pids};
	assert_int_equal(zipc_segment_waiters(scene.segment, see_waiter, &seen), 0);
	assert_int_equal(zipc_segment_holders(scene.segment, see_holder, &seen), 0);
	assert_int_equal(seen.waiters, MOST);
	assert_int_equal(seen.holders, MOST);
	for (uint32_t i = 0; i < MOST; i++) {
		assert_string_equal(seen.holds[i], names[i]);
		assert_string_equal(seen.waits[i], names[i + 1]);
	}
	assert_int_equal(ask_tool(&scene, text, sizeof text), 1);
	assert_non_null(strstr(text, "deadlock 1:"));
	assert_null(strstr(text, "deadlock 2:"));
	for (uint32_t i = 0; i < MOST; i++) {
		char line[80];
		snprintf(line, sizeof line, "for mutex '%s'", names[i]);
		assert_non_null(strstr(text, line));
		snprintf(line, sizeof line, "process %d", (int)pids[i]);
		assert_non_null(strstr(text, line));
	}

	peer_kill(pids[1]); /* which opens the circle */
	assert_true(wait_until_at_least(&talk->through, 2));
	assert_int_equal(peer_wait(pids[0]), 0);
	assert_int_equal(peer_wait(pids[2]), 0);
	assert_int_equal(ask_tool(&scene, text, sizeof text), 0);
	scene_close(&scene);
}

/* Each has one of three permits and wants another; a third one, who could let go, does not wait. */
static void test_permits(void **state)
{
	(void)state;
	struct scene scene;
	struct talk *talk = open_scene(&scene, "permits");
	zipc_semaphore_options options = ZIPC_SEMAPHORE_OPTIONS_INIT;
	zipc_semaphore *semaphore;
	pid_t pids[2];
	char text[2000];
	if (getenv("ZIPC_TOOL") == NULL)
		skip_because("ZIPC_TOOL does not say where the tool is");
	options.flags = ZIPC_SEMAPHORE_OWNED;
	assert_int_equal(zipc_semaphore_create(scene.segment, "s", 3, 3, &options, &semaphore), 0);
	assert_int_equal(zipc_semaphore_acquire(semaphore, 1, ZIPC_NOWAIT), 0);
	for (uint32_t i = 0; i < 2; i++)
		pids[i] = peer_spawn("taker", text_of(scene.board.fd), NULL);
	all_asleep(talk, pids, 2);
	assert_int_equal(ask_tool(&scene, text, sizeof text), 0);
	peer_kill(pids[0]); /* its permit comes back: the other one has what it wants */
	assert_int_equal(peer_wait(pids[1]), 0);
	zipc_semaphore_close(semaphore);
	scene_close(&scene);
}

static void test_permits_in_a_circle(void **state)
{
	(void)state;
	struct scene scene;
	struct talk *talk = open_scene(&scene, "permit-circle");
	zipc_semaphore_options options = ZIPC_SEMAPHORE_OPTIONS_INIT;
	zipc_semaphore *semaphore;
	pid_t pids[2];
	char text[2000];
	if (getenv("ZIPC_TOOL") == NULL)
		skip_because("ZIPC_TOOL does not say where the tool is");
	options.flags = ZIPC_SEMAPHORE_OWNED;
	assert_int_equal(zipc_semaphore_create(scene.segment, "s", 2, 2, &options, &semaphore), 0);
	zipc_semaphore_close(semaphore);
	for (uint32_t i = 0; i < 2; i++)
		pids[i] = peer_spawn("taker", text_of(scene.board.fd), NULL);
	all_asleep(talk, pids, 2);
	assert_int_equal(ask_tool(&scene, text, sizeof text), 1);
	assert_non_null(strstr(text, "for semaphore 's'"));
	assert_non_null(strstr(text, "has permits"));
	peer_kill(pids[0]);
	assert_int_equal(peer_wait(pids[1]), 0);
	assert_int_equal(ask_tool(&scene, text, sizeof text), 0);
	scene_close(&scene);
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_circle_of_mutexes),
		cmocka_unit_test(test_permits),
		cmocka_unit_test(test_permits_in_a_circle),
	};
	return PEER_RUN("waits_process", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{"locker", role_locker},
		{"taker", role_taker},
		{NULL, NULL},
	};
	return peer_main(argc, argv, roles, all_tests);
}
