/* SPDX-License-Identifier: MIT */
/* Lines: one producer, one consumer. What only the right moment shows, made to happen. */
#include "queue_rig.h"

#include "structure/queue_lines.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a moment: when somebody asks whether a peer is dead --------------------------------------- */

static void (*at_question)(void);

int fcntl64(int fd, int command, ...);

/* Stands in front of the C library's. */
int fcntl64(int fd, int command, ...)
{
	static int (*real)(int, int, ...);
	va_list list;
	va_start(list, command);
	void *argument = va_arg(list, void *);
	va_end(list);
	if (real == NULL)
		*(void **)&real = dlsym(RTLD_NEXT, "fcntl64");
	if (at_question != NULL && command == F_OFD_GETLK) {
		void (*happens)(void) = at_question;
		at_question = NULL;
		happens();
	}
	return real(fd, command, argument);
}

static pid_t producer;
static struct board board;

struct steps {
	uint32_t reserved, commit, committed;
};

static void producer_commits_and_dies(void)
{
	struct steps *steps = board.memory;
	__atomic_store_n(&steps->commit, 1u, __ATOMIC_SEQ_CST);
	assert_true(wait_until_at_least(&steps->committed, 1));
	peer_kill(producer);
}

static void reserve_and_wait(zipc_queue *q)
{
	struct steps *steps = board.memory;
	void *element;
	uint64_t ticket;
	if (zipc_queue_reserve(q, ZIPC_NOWAIT, &element, &ticket) != 0)
		_exit(1);
	*(uint64_t *)element = 42;
	__atomic_store_n(&steps->reserved, 1u, __ATOMIC_SEQ_CST);
	wait_until_at_least(&steps->commit, 1);
	if (zipc_queue_commit(q, ticket) != 0)
		_exit(2);
	__atomic_store_n(&steps->committed, 1u, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
}

/* A reservation was seen, then it was committed, then its producer died: it counts. */
static void committed_just_before_death(void **state)
{
	(void)state;
	for (int peeks = 0; peeks < 2; peeks++) {
		zipc_segment *segment = rig_make(1 * MIB);
		zipc_queue *q = rig_queue(segment, 8, 8, SP | SC);
		uint64_t value = 0;
		board = board_make(sizeof(struct steps));
		producer = peer_fork();
		if (producer == 0)
			reserve_and_wait(q);
		assert_true(wait_until_at_least(&((struct steps *)board.memory)->reserved, 1));
		nap_us(5000); /* "alive" may be remembered for a millisecond */
		at_question = producer_commits_and_dies;
		int r = peeks ? zipc_queue_peek(q, &value) : zipc_queue_pop(q, &value, ZIPC_NOWAIT);
		assert_null(at_question);
		assert_ok(r);
		assert_int_equal(value, 42);
		assert_int_equal(rig_stats(q).dropped, 0);
		rig_drop(segment, q);
		zipc_segment_close(segment);
		board_close(&board);
	}
}

/* ---- many short lives --------------------------------------------------------------------------- */

/* Producers that fill one line each, or less, and never come to the next one. */
static void producers_of_one_line(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	for (uint64_t each = 1; each <= 8; each++) {
		zipc_queue *q = rig_queue(segment, 8, 8, SP | SC);
		for (uint64_t round = 0; round < 60; round++) {
			zipc_queue *in = rig_open(segment);
			for (uint64_t i = 0; i < each; i++)
				push_u64(in, round * each + i);
			for (uint64_t i = 0; i < each; i++)
				pop_u64(q, round * each + i);
			zipc_queue_close(in);
			assert_int_equal(zipc_queue_size(q), 0);
		}
		assert_sound(segment);
		rig_drop(segment, q);
	}
	zipc_segment_close(segment);
}

/* What is acquired and released out of turn, with pops in between, gives all of its room back. */
static void releases_out_of_turn(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	zipc_queue *q = rig_queue(segment, 8, 8, SP | SC);
	uint64_t next = 0, tickets[4];
	void *element;
	for (int round = 0; round < 200; round++) {
		for (uint64_t i = 0; i < 8; i++)
			push_u64(q, next + i);
		assert_true(zipc_queue_is_full(q));
		for (uint64_t i = 0; i < 4; i++) {
			assert_ok(zipc_queue_acquire(q, ZIPC_NOWAIT, &element, &tickets[i]));
			assert_int_equal(*(uint64_t *)element, next + 2 * i);
			pop_u64(q, next + 2 * i + 1);
		}
		assert_int_equal(zipc_queue_size(q), 0);
		assert_int_equal(try_push(q), -EAGAIN); /* the first one is in use */
		for (uint64_t i = 4; i-- > 1;)
			assert_ok(zipc_queue_release(q, tickets[i]));
		assert_int_equal(zipc_queue_release(q, tickets[3]), -ESTALE);
		assert_int_equal(try_push(q), -EAGAIN);
		assert_ok(zipc_queue_release(q, tickets[0]));
		assert_false(zipc_queue_is_full(q));
		next += 8;
	}
	rig_drop(segment, q);
	zipc_segment_close(segment);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(committed_just_before_death),
		cmocka_unit_test(producers_of_one_line),
		cmocka_unit_test(releases_out_of_turn),
	};
	return PEER_RUN("queue lines", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
