/* SPDX-License-Identifier: MIT */
/*
 * What is called fast makes no system call: a child works alone on a structure, traced, and every
 * call of it into the kernel is counted. Nobody sleeps there, and there is room, or an item; or
 * there is none, and the call says so.
 */
#include "support/cmocka_all.h"
#include "support/peer.h"
#include "support/victim.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECONDS	  60u
#define CAPACITY  16u
#define BATCH	  8u
#define SIZE_MOST 100u
#define PAIRS	  1000u

#define SP ZIPC_QUEUE_SINGLE_PRODUCER
#define SC ZIPC_QUEUE_SINGLE_CONSUMER

struct subject {
	zipc_segment *segment;
	zipc_queue *queue;
	zipc_array *array;
};

/* What is done again and again: 0, or what a call said that it should not. */
typedef int (*act)(struct subject *subject);

/* ---- counting -------------------------------------------------------------------------------- */

static _Noreturn void be_traced(struct subject *subject, act deed, uint32_t times,
				struct victim_notes *notes)
{
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	int r = deed(subject); /* a forked child attaches and takes its roles at its first call */
	raise(SIGSTOP);
	notes->phase = VICTIM_RUNNING;
	for (uint32_t i = 0; i < times && r == 0; i++)
		r = deed(subject);
	notes->phase = VICTIM_RETURNED;
	notes->result = r;
	_exit(0);
}

/* System calls while the child does it so many times. */
static long count_calls(struct subject *subject, act deed, uint32_t times)
{
	struct victim_notes *notes = notes_make();
	assert_non_null(notes);
	pid_t pid = peer_fork();
	if (pid == 0)
		be_traced(subject, deed, times, notes);
	int status;
	long stops = 0;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
	while (notes->phase != VICTIM_RETURNED) {
		assert_int_equal(ptrace(PTRACE_SYSCALL, pid, 0, 0), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == (SIGTRAP | 0x80));
		stops += notes->phase == VICTIM_RUNNING;
	}
	assert_int_equal(ptrace(PTRACE_DETACH, pid, 0, 0), 0);
	assert_int_equal(peer_wait(pid), 0);
	assert_int_equal(notes->result, 0);
	notes_close(notes);
	return (stops + 1) / 2; /* one on the way in, one on the way out */
}

static void expect_none(struct subject *subject, act deed, const char *what)
{
	long few = count_calls(subject, deed, PAIRS), many = count_calls(subject, deed, 10 * PAIRS);
	if (few != 0 || many != 0)
		print_error("%s: %ld system calls in %u rounds, %ld in %u\n", what, few, PAIRS,
			    many, 10 * PAIRS);
	assert_int_equal(few, 0);
	assert_int_equal(many, 0);
}

/* ---- scenes ---------------------------------------------------------------------------------- */

static const char *name;

static void open_subject(struct subject *subject)
{
	memset(subject, 0, sizeof *subject);
	if (!victim_supported())
		skip();
	watchdog(SECONDS, "syscall_process");
	name = unique_name("syscall");
	assert_int_equal(zipc_segment_create(name, NULL, &subject->segment), 0);
}

static void close_subject(struct subject *subject)
{
	zipc_queue_close(subject->queue);
	zipc_array_close(subject->array);
	zipc_segment_close(subject->segment);
	assert_int_equal(zipc_segment_remove(name, NULL), 0);
}

/* ---- the counter itself ----------------------------------------------------------------------- */

static int ask_the_kernel(struct subject *subject)
{
	(void)subject;
	return getppid() > 0 ? 0 : -1;
}

static void test_calls_are_seen(void **state)
{
	(void)state;
	struct subject subject;
	open_subject(&subject);
	assert_int_equal(count_calls(&subject, ask_the_kernel, 7), 7);
	close_subject(&subject);
}

/* ---- queues ---------------------------------------------------------------------------------- */

static int pair(struct subject *s)
{
	uint8_t element[SIZE_MOST] = {0};
	int r = zipc_queue_push(s->queue, element, ZIPC_FOREVER);
	return r < 0 ? r : zipc_queue_pop(s->queue, element, ZIPC_FOREVER);
}

/* Until it is full, and once more; until it is empty, and once more. */
static int fill_and_drain(struct subject *s)
{
	uint8_t element[SIZE_MOST] = {0};
	int r = 0;
	for (uint32_t i = 0; i < CAPACITY && r == 0; i++)
		r = zipc_queue_push(s->queue, element, ZIPC_NOWAIT);
	if (r != 0 || zipc_queue_push(s->queue, element, ZIPC_NOWAIT) != -EAGAIN)
		return -1;
	for (uint32_t i = 0; i < CAPACITY && r == 0; i++)
		r = zipc_queue_pop(s->queue, element, ZIPC_NOWAIT);
	return r != 0 || zipc_queue_pop(s->queue, element, ZIPC_NOWAIT) != -EAGAIN ? -1 : 0;
}

static int batch(struct subject *s)
{
	uint8_t elements[BATCH * SIZE_MOST] = {0};
	int r = zipc_queue_push_n(s->queue, elements, BATCH, ZIPC_FOREVER);
	if (r == (int)BATCH)
		r = zipc_queue_pop_n(s->queue, elements, BATCH, ZIPC_FOREVER);
	return r == (int)BATCH ? 0 : -1;
}

static int in_place(struct subject *s)
{
	void *element;
	uint64_t ticket;
	int r = zipc_queue_reserve(s->queue, ZIPC_FOREVER, &element, &ticket);
	if (r == 0)
		r = zipc_queue_commit(s->queue, ticket);
	if (r == 0)
		r = zipc_queue_acquire(s->queue, ZIPC_FOREVER, &element, &ticket);
	return r < 0 ? r : zipc_queue_release(s->queue, ticket);
}

static void check_queue(uint32_t flags, uint64_t size)
{
	static const struct {
		act deed;
		const char *name;
	} deeds[] = {
		{pair, "push, pop"},
		{fill_and_drain, "to full and empty"},
		{batch, "batches"},
		{in_place, "in place"},
	};
	for (size_t i = 0; i < sizeof deeds / sizeof deeds[0]; i++) {
		struct subject subject;
		zipc_queue_options options = ZIPC_QUEUE_OPTIONS_INIT;
		char what[64];
		options.flags = flags;
		open_subject(&subject);
		assert_int_equal(zipc_queue_create(subject.segment, "q", size, CAPACITY, &options,
						   &subject.queue),
				 0);
		snprintf(what, sizeof what, "flags %u, %u bytes, %s", flags, (unsigned)size,
			 deeds[i].name);
		expect_none(&subject, deeds[i].deed, what);
		close_subject(&subject);
	}
}

static void check_both_sizes(uint32_t flags)
{
	check_queue(flags, 8);
	check_queue(flags, 100);
}

static void test_many_to_many(void **state)
{
	(void)state;
	check_both_sizes(0);
}

static void test_one_to_many(void **state)
{
	(void)state;
	check_both_sizes(SP);
}

static void test_many_to_one(void **state)
{
	(void)state;
	check_both_sizes(SC);
}

static void test_one_to_one(void **state)
{
	(void)state;
	check_both_sizes(SP | SC);
}

static void test_at_least_once(void **state)
{
	(void)state;
	check_both_sizes(ZIPC_QUEUE_AT_LEAST_ONCE);
	check_both_sizes(ZIPC_QUEUE_AT_LEAST_ONCE | SP | SC);
}

/* ---- arrays ---------------------------------------------------------------------------------- */

static int set_and_get(struct subject *s)
{
	uint8_t element[SIZE_MOST] = {0};
	int r = zipc_array_set(s->array, 3, element);
	return r < 0 ? r : zipc_array_get(s->array, 3, element);
}

static int atomically(struct subject *s)
{
	uint64_t value;
	int r = zipc_array_store64(s->array, 5, 7);
	return r < 0 ? r : zipc_array_load64(s->array, 5, &value);
}

static void check_array(uint64_t size, act deed, const char *what)
{
	struct subject subject;
	open_subject(&subject);
	assert_int_equal(
		zipc_array_create(subject.segment, "a", size, CAPACITY, NULL, &subject.array), 0);
	expect_none(&subject, deed, what);
	close_subject(&subject);
}

static void test_array(void **state)
{
	(void)state;
	check_array(8, set_and_get, "array, 8 bytes");
	check_array(100, set_and_get, "array, 100 bytes");
	check_array(8, atomically, "array, atomic");
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_are_seen), cmocka_unit_test(test_many_to_many),
		cmocka_unit_test(test_one_to_many),    cmocka_unit_test(test_many_to_one),
		cmocka_unit_test(test_one_to_one),     cmocka_unit_test(test_at_least_once),
		cmocka_unit_test(test_array),
	};
	return PEER_RUN("syscall_process", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, all_tests);
}
