/* SPDX-License-Identifier: MIT */
/*
 * Who lives: peers by fork and exec, by fork alone, twice in one process, without descriptors, over
 * a unix socket, in another pid namespace, after exec, after 5,000 others.
 */
#include "support/cmocka_all.h"
#include "support/ledger.h"
#include "support/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECONDS 60u
#define SIZE	24u /* of an item */
#define ALO	ZIPC_QUEUE_AT_LEAST_ONCE

/* What the roles and the test tell each other. */
struct talk {
	struct scene_card card;
	uint32_t step;	  /* raised by the test */
	uint32_t reached; /* raised by roles */
	int32_t code[8];
	uint64_t value[8];
};

static void reach(struct talk *talk)
{
	__atomic_fetch_add(&talk->reached, 1u, __ATOMIC_SEQ_CST);
}

static void wait_step(struct talk *talk, uint32_t step)
{
	if (!wait_until_at_least(&talk->step, step))
		_exit(90);
}

static void go(struct talk *talk, uint32_t step)
{
	__atomic_store_n(&talk->step, step, __ATOMIC_SEQ_CST);
}

static _Noreturn void idle(void)
{
	for (;;)
		pause();
}

static uint32_t id_of(zipc_segment *segment)
{
	zipc_segment_info info = {.struct_size = sizeof info};
	return zipc_segment_get_info(segment, &info) < 0 ? 0 : info.self_id;
}

static uint32_t living(zipc_segment *segment)
{
	zipc_segment_info info = {.struct_size = sizeof info};
	return zipc_segment_get_info(segment, &info) < 0 ? 0 : info.peers;
}

/* "Alive" may be remembered for a millisecond of a coarse clock. */
static void let_memory_fade(void)
{
	nap_us(20000);
}

/* ---- the test's side of a segment with one queue --------------------------------------------- */

static struct talk *open_scene(struct scene *scene, const char *tag, uint32_t flags,
			       uint32_t max_peers)
{
	scene_open(scene, &(struct scene_options){.tag = tag,
						  .seconds = SECONDS,
						  .board = sizeof(struct talk),
						  .element_size = SIZE,
						  .capacity = 8,
						  .flags = flags,
						  .max_peers = max_peers});
	return scene->board.memory;
}

static int push(zipc_queue *queue, uint32_t sequence)
{
	uint8_t item[SIZE];
	item_write(item, SIZE, 0, sequence);
	return zipc_queue_push(queue, item, ZIPC_NOWAIT);
}

/* The sequence number, or what pop says; 0 = torn. */
static int pop(zipc_queue *queue)
{
	uint8_t item[SIZE];
	uint32_t lane, sequence;
	int r = zipc_queue_pop(queue, item, ZIPC_NOWAIT);
	if (r < 0)
		return r;
	return item_read(item, SIZE, &lane, &sequence) ? (int)sequence : 0;
}

static int open_both(const char *name, zipc_segment **segment, zipc_queue **queue)
{
	int r = zipc_segment_open(name, NULL, segment);
	return r < 0 ? r : zipc_queue_open(*segment, "q", SIZE, NULL, queue);
}

/* ---- fork and exec --------------------------------------------------------------------------- */

#define RELAYS	     4u
#define RELAY_ROUNDS 20000u

/* relay <board>: adds one to whatever it pops and pushes it again, until it is large enough. */
static int role_relay(int argc, char **argv)
{
	zipc_segment *segment;
	zipc_queue *queue;
	uint64_t item[3];
	if (argc != 1)
		return 2;
	struct board board = board_join(argv[0]);
	struct talk *talk = board.memory;
	if (open_both(talk->card.segment, &segment, &queue) < 0)
		return 3;
	uint64_t n = 0;
	int r;
	while ((r = zipc_queue_pop(queue, item, 20 * INT64_C(1000000000))) == 0) {
		n++;
		item[0]++;
		if (item[0] >= RELAY_ROUNDS)
			r = zipc_queue_shutdown(queue);
		else
			r = zipc_queue_push(queue, item, ZIPC_FOREVER);
		if (r != 0)
			break;
	}
	__atomic_fetch_add(&talk->value[0], n, __ATOMIC_SEQ_CST);
	zipc_queue_close(queue);
	zipc_segment_close(segment);
	return r == -EPIPE ? 0 : 4;
}

static void test_fork_and_exec(void **state)
{
	(void)state;
	struct scene scene;
	pid_t pids[RELAYS];
	uint64_t item[3] = {0};
	struct talk *talk = open_scene(&scene, "relay", 0, 0);
	for (uint32_t i = 0; i < RELAYS; i++)
		pids[i] = peer_spawn("relay", text_of(scene.board.fd), NULL);
	assert_int_equal(zipc_queue_push(scene.queue, item, ZIPC_NOWAIT), 0);
	for (uint32_t i = 0; i < RELAYS; i++)
		assert_int_equal(peer_wait(pids[i]), 0);
	assert_int_equal(talk->value[0], RELAY_ROUNDS);
	assert_int_equal(living(scene.segment), 1);
	scene_close(&scene);
}

/* ---- fork without exec ----------------------------------------------------------------------- */

/*
 * The grandchild uses the inherited handles and lives on when its parent is killed; it ends by
 * itself when the test says so, or says nothing for ten seconds.
 */
static _Noreturn void grandchild(struct talk *talk, zipc_segment *segment, zipc_queue *queue)
{
	void *element;
	uint64_t ticket;
	talk->code[1] = zipc_queue_acquire(queue, ZIPC_NOWAIT, &element, &ticket);
	talk->value[1] = id_of(segment);
	reach(talk);
	wait_step(talk, 1);
	talk->code[2] = zipc_queue_release(queue, ticket);
	reach(talk);
	wait_step(talk, 2);
	_exit(0);
}

static _Noreturn void child_that_forks(struct talk *talk, zipc_segment *segment, zipc_queue *queue)
{
	void *element;
	uint64_t ticket;
	talk->code[0] = zipc_queue_acquire(queue, ZIPC_NOWAIT, &element, &ticket);
	talk->value[0] = id_of(segment);
	if (fork() == 0)
		grandchild(talk, segment, queue);
	idle();
}

static void test_fork_without_exec(void **state)
{
	(void)state;
	struct scene scene;
	struct talk *talk = open_scene(&scene, "fork", ALO, 0);
	for (uint32_t i = 1; i <= 3; i++)
		assert_int_equal(push(scene.queue, i), 0);
	pid_t child = peer_fork();
	if (child == 0)
		child_that_forks(talk, scene.segment, scene.queue);
	assert_true(wait_until_at_least(&talk->reached, 1));
	assert_int_equal(talk->code[0], 0);
	assert_int_equal(talk->code[1], 0);
	uint32_t self = id_of(scene.segment);
	assert_true(talk->value[0] != 0 && talk->value[1] != 0);
	assert_true(talk->value[0] != self && talk->value[1] != self);
	assert_true(talk->value[0] != talk->value[1]);
	assert_int_equal(living(scene.segment), 3);
	assert_int_equal(pop(scene.queue), 3); /* 1 and 2 are in living hands */
	assert_int_equal(pop(scene.queue), -EAGAIN);
	peer_kill(child);
	let_memory_fade();
	assert_int_equal(living(scene.segment), 2);
	assert_int_equal(pop(scene.queue), 1); /* of the dead one; its child does not keep it */
	assert_int_equal(pop(scene.queue), -EAGAIN);
	go(talk, 1);
	assert_true(wait_until_at_least(&talk->reached, 2));
	assert_int_equal(talk->code[2], 0);
	assert_int_equal(pop(scene.queue), -EAGAIN);
	go(talk, 2);
	scene_close(&scene);
}

/* ---- two in one process ---------------------------------------------------------------------- */

static void test_two_opens(void **state)
{
	(void)state;
	struct scene scene;
	zipc_segment *other;
	zipc_queue *theirs;
	void *element;
	uint64_t ticket;
	struct talk *talk = open_scene(&scene, "two", ZIPC_QUEUE_SINGLE_CONSUMER | ALO, 0);
	assert_int_equal(open_both(talk->card.segment, &other, &theirs), 0);
	assert_true(id_of(scene.segment) != id_of(other) && id_of(other) != 0);
	assert_int_equal(living(other), 2);
	assert_int_equal(push(scene.queue, 1), 0);
	assert_int_equal(push(theirs, 2), 0);
	assert_int_equal(zipc_queue_acquire(theirs, ZIPC_NOWAIT, &element, &ticket), 0);
	assert_int_equal(pop(scene.queue), -EBUSY); /* the role is the other attachment's */
	assert_int_equal(zipc_queue_release(scene.queue, ticket), -ESTALE);
	zipc_segment_close(other);
	assert_int_equal(pop(scene.queue), -EBUSY); /* the queue keeps it attached */
	zipc_queue_close(theirs);
	let_memory_fade();
	assert_int_equal(living(scene.segment), 1);
	assert_int_equal(pop(scene.queue), 2); /* at the head; then what comes back */
	assert_int_equal(pop(scene.queue), 1);
	assert_int_equal(pop(scene.queue), -EAGAIN);
	scene_close(&scene);
}

/* ---- no descriptors left --------------------------------------------------------------------- */

/* descriptors <board>: reserves, closes everything, goes on. */
static int role_descriptors(int argc, char **argv)
{
	zipc_segment *segment;
	zipc_queue *queue;
	void *element;
	uint64_t ticket;
	if (argc != 1)
		return 2;
	struct talk *talk = board_join(argv[0]).memory;
	if (open_both(talk->card.segment, &segment, &queue) < 0)
		return 3;
	if (zipc_queue_reserve(queue, ZIPC_NOWAIT, &element, &ticket) < 0)
		return 4;
	if (syscall(SYS_close_range, 3u, ~0u, 0u) != 0)
		return 5;
	/* the numbers become something else: locks of that file would be asked about */
	if (open("/dev/null", O_RDWR) < 0 || open("/etc/passwd", O_RDONLY) < 0)
		return 6;
	reach(talk);
	wait_step(talk, 1);
	item_write(element, SIZE, 0, 1);
	talk->code[0] = zipc_queue_commit(queue, ticket);
	reach(talk);
	wait_step(talk, 2); /* a dead reservation is at the head now */
	talk->code[1] = pop(queue);
	talk->code[2] = push(queue, 3);
	reach(talk);
	wait_step(talk, 3);
	return 0;
}

/* reserve <board>: dies with a reservation. */
static int role_reserve(int argc, char **argv)
{
	zipc_segment *segment;
	zipc_queue *queue;
	void *element;
	uint64_t ticket;
	if (argc != 1)
		return 2;
	struct talk *talk = board_join(argv[0]).memory;
	if (open_both(talk->card.segment, &segment, &queue) < 0)
		return 3;
	return zipc_queue_reserve(queue, ZIPC_NOWAIT, &element, &ticket) < 0 ? 4 : 0;
}

static void test_close_range(void **state)
{
	(void)state;
	struct scene scene;
	struct talk *talk = open_scene(&scene, "closed", 0, 0);
	pid_t pid = peer_spawn("descriptors", text_of(scene.board.fd), NULL);
	assert_true(wait_until_at_least(&talk->reached, 1));
	for (int i = 0; i < 5; i++) { /* it lives, so its claim holds */
		let_memory_fade();
		assert_int_equal(pop(scene.queue), -EAGAIN);
	}
	assert_int_equal(living(scene.segment), 2);
	assert_int_equal(zipc_segment_gc(scene.segment), 0);
	go(talk, 1);
	assert_true(wait_until_at_least(&talk->reached, 2));
	assert_int_equal(talk->code[0], 0);
	assert_int_equal(pop(scene.queue), 1);
	assert_int_equal(peer_wait(peer_spawn("reserve", text_of(scene.board.fd), NULL)), 0);
	assert_int_equal(push(scene.queue, 2), 0);
	go(talk, 2);
	assert_true(wait_until_at_least(&talk->reached, 3));
	assert_int_equal(talk->code[1], 2); /* it sees who is dead, too */
	assert_int_equal(talk->code[2], 0);
	assert_int_equal(pop(scene.queue), 3);
	go(talk, 3);
	assert_int_equal(peer_wait(pid), 0);
	scene_close(&scene);
}

/* ---- memfd over a unix socket ---------------------------------------------------------------- */

static int send_fd(int to, int fd)
{
	char data = 'x', control[CMSG_SPACE(sizeof fd)] = {0};
	struct iovec iov = {.iov_base = &data, .iov_len = 1};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof control};
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	return sendmsg(to, &message, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int from)
{
	int fd = -1;
	char data, control[CMSG_SPACE(sizeof fd)] = {0};
	struct iovec iov = {.iov_base = &data, .iov_len = 1};
	struct msghdr message = {.msg_iov = &iov,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof control};
	if (recvmsg(from, &message, MSG_CMSG_CLOEXEC) != 1 || CMSG_FIRSTHDR(&message) == NULL)
		return -1;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

/* sender <socket>: makes a memfd segment, takes an item, reserves a slot, sends the descriptor. */
static int role_sender(int argc, char **argv)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	zipc_queue_options queue_options = ZIPC_QUEUE_OPTIONS_INIT;
	zipc_segment *segment;
	zipc_queue *queue;
	void *element;
	uint64_t ticket;
	if (argc != 1)
		return 2;
	options.backing = ZIPC_BACKING_MEMFD;
	queue_options.flags = ALO;
	if (zipc_segment_create("zt-memfd", &options, &segment) < 0 ||
	    zipc_queue_create(segment, "q", SIZE, 8, &queue_options, &queue) < 0)
		return 3;
	if (push(queue, 1) < 0 || push(queue, 2) < 0 ||
	    zipc_queue_acquire(queue, ZIPC_NOWAIT, &element, &ticket) < 0 ||
	    zipc_queue_reserve(queue, ZIPC_NOWAIT, &element, &ticket) < 0)
		return 4;
	int fd = zipc_segment_export_fd(segment);
	if (fd < 0 || send_fd(atoi(argv[0]), fd) < 0)
		return 5;
	idle();
	return 0;
}

static void test_memfd_over_socket(void **state)
{
	(void)state;
	int sockets[2];
	zipc_segment *segment, *second;
	zipc_queue *queue, *other;
	watchdog(SECONDS, "memfd");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	fcntl(sockets[0], F_SETFD, FD_CLOEXEC);
	pid_t sender = peer_spawn("sender", text_of(sockets[1]), NULL);
	int fd = receive_fd(sockets[0]);
	assert_true(fd >= 0);
	assert_int_equal(zipc_segment_open_fd(fd, NULL, &segment), 0);
	assert_int_equal(zipc_queue_open(segment, "q", SIZE, NULL, &queue), 0);
	assert_int_equal(living(segment), 2);
	assert_int_equal(pop(queue), 2); /* 1 is in living hands */
	assert_int_equal(push(queue, 3), 0);
	assert_int_equal(pop(queue), -EAGAIN); /* behind a living reservation */
	peer_kill(sender);
	let_memory_fade();
	/* the received descriptor, the sender's own description, is still open: dead all the same
	 */
	assert_int_equal(living(segment), 1);
	int got[2] = {pop(queue), pop(queue)};
	assert_true((got[0] == 1 && got[1] == 3) || (got[0] == 3 && got[1] == 1));
	assert_int_equal(zipc_segment_open_fd(fd, NULL, &second), 0);
	close(fd);
	assert_int_equal(zipc_queue_open(second, "q", SIZE, NULL, &other), 0);
	assert_int_equal(living(second), 2);
	assert_int_equal(push(queue, 4), 0);
	assert_int_equal(pop(other), 4);
	zipc_queue_close(queue);
	zipc_queue_close(other);
	zipc_segment_close(segment);
	zipc_segment_close(second);
	close(sockets[0]);
	close(sockets[1]);
}

/* ---- ids do not come back -------------------------------------------------------------------- */

#define ATTACHES 5000u

static void test_five_thousand_attaches(void **state)
{
	(void)state;
	struct scene scene;
	zipc_segment *other;
	uint32_t stale = 0, seen_again = 0;
	struct talk *talk = open_scene(&scene, "attaches", 0, 2); /* one slot for all the others */
	zipc_queue *queue;
	void *element;
	uint64_t ticket;
	pid_t pid = peer_fork();
	if (pid == 0) {
		bool good = open_both(talk->card.segment, &other, &queue) == 0 &&
			    zipc_queue_reserve(queue, ZIPC_NOWAIT, &element, &ticket) == 0;
		talk->value[0] = id_of(other);
		_exit(!good);
	}
	assert_int_equal(peer_wait(pid), 0);
	stale = (uint32_t)talk->value[0];
	assert_int_equal(push(scene.queue, 7), 0); /* behind the stale claim; nobody looks yet */
	uint32_t last = stale;
	for (uint32_t i = 0; i < ATTACHES; i++) {
		assert_int_equal(zipc_segment_open(talk->card.segment, NULL, &other), 0);
		uint32_t id = id_of(other);
		assert_true(id != last && id != 0 && id != id_of(scene.segment));
		last = id;
		if (id == stale) { /* a living stranger has the id of the dead one */
			seen_again++;
			let_memory_fade();
			assert_int_equal(pop(scene.queue), 7);
		}
		zipc_segment_close(other);
	}
	assert_int_equal(seen_again, 1); /* else the generations did not wrap */
	assert_int_equal(pop(scene.queue), -EAGAIN);
	scene_close(&scene);
}

/* ---- exec, and too many ---------------------------------------------------------------------- */

/* execs <board>: reserves, then becomes another program with the same pid. */
static int role_execs(int argc, char **argv)
{
	int r = role_reserve(argc, argv);
	if (r != 0)
		return r;
	reach(board_join(argv[0]).memory);
	execl("/proc/self/exe", "idle", "--role", "idle", NULL);
	return 9;
}

static int role_idle(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	idle();
	return 0;
}

static void test_exec_is_an_end(void **state)
{
	(void)state;
	struct scene scene;
	struct talk *talk = open_scene(&scene, "exec", 0, 0);
	pid_t pid = peer_spawn("execs", text_of(scene.board.fd), NULL);
	assert_true(wait_until_at_least(&talk->reached, 1));
	assert_int_equal(push(scene.queue, 1), 0);
	int r = -EAGAIN;
	for (int i = 0; i < 5000 && r == -EAGAIN; i++) {
		nap_us(2000);
		r = pop(scene.queue);
	}
	assert_int_equal(r, 1);
	assert_int_equal(kill(pid, 0), 0);
	peer_kill(pid);
	scene_close(&scene);
}

/* attach <board>: stays. */
static int role_attach(int argc, char **argv)
{
	zipc_segment *segment;
	if (argc != 1)
		return 2;
	struct talk *talk = board_join(argv[0]).memory;
	if (zipc_segment_open(talk->card.segment, NULL, &segment) < 0)
		return 3;
	reach(talk);
	idle();
	return 0;
}

static void test_all_slots_taken(void **state)
{
	(void)state;
	struct scene scene;
	zipc_segment *more;
	struct talk *talk = open_scene(&scene, "slots", 0, 3);
	pid_t pids[2];
	for (uint32_t i = 0; i < 2; i++) {
		pids[i] = peer_spawn("attach", text_of(scene.board.fd), NULL);
		assert_true(wait_until_at_least(&talk->reached, i + 1));
	}
	assert_int_equal(zipc_segment_open(talk->card.segment, NULL, &more), -ENOSPC);
	assert_true(strlen(zipc_last_error()) > 0);
	peer_kill(pids[0]);
	assert_int_equal(zipc_segment_open(talk->card.segment, NULL, &more), 0);
	zipc_segment_close(more);
	peer_kill(pids[1]);
	scene_close(&scene);
}

/* ---- another pid namespace ------------------------------------------------------------------- */

/* Runs in a namespace where it is process 1. */
static int process_one(struct talk *talk)
{
	zipc_segment *segment;
	zipc_queue *queue;
	void *element;
	uint64_t ticket;
	talk->value[0] = (uint64_t)getpid();
	if (open_both(talk->card.segment, &segment, &queue) < 0 ||
	    zipc_queue_acquire(queue, ZIPC_NOWAIT, &element, &ticket) < 0)
		return 3;
	reach(talk);
	wait_step(talk, 1); /* somebody outside died with item 2 meanwhile */
	talk->code[0] = pop(queue);
	reach(talk);
	idle();
	return 0;
}

/* take <board>: dies with an item. */
static int role_take(int argc, char **argv)
{
	zipc_segment *segment;
	zipc_queue *queue;
	void *element;
	uint64_t ticket;
	if (argc != 1)
		return 2;
	struct talk *talk = board_join(argv[0]).memory;
	if (open_both(talk->card.segment, &segment, &queue) < 0)
		return 3;
	return zipc_queue_acquire(queue, ZIPC_NOWAIT, &element, &ticket) < 0 ? 4 : 0;
}

static int enter_namespace(struct talk *talk)
{
	if (unshare(CLONE_NEWPID) != 0)
		return 77;
	pid_t pid = peer_fork();
	if (pid == 0)
		_exit(process_one(talk));
	wait_step(talk, 2);
	peer_kill(pid);
	return 0;
}

static void test_pid_namespace(void **state)
{
	(void)state;
	struct scene scene;
	struct talk *talk = open_scene(&scene, "pidns", ALO, 0);
	assert_int_equal(push(scene.queue, 1), 0);
	assert_int_equal(push(scene.queue, 2), 0);
	pid_t pid = peer_fork();
	if (pid == 0)
		_exit(enter_namespace(talk));
	bool entered = wait_until_at_least(&talk->reached, 1);
	if (!entered && peer_wait(pid) == 77) {
		scene_close(&scene);
		skip_because("unshare(CLONE_NEWPID) is not permitted");
	}
	assert_true(entered);
	assert_int_equal(talk->value[0], 1);
	assert_int_equal(living(scene.segment), 2);
	assert_int_equal(peer_wait(peer_spawn("take", text_of(scene.board.fd), NULL)), 0);
	go(talk, 1);
	assert_true(wait_until_at_least(&talk->reached, 2));
	assert_int_equal(talk->code[0], 2);	     /* the dead outside is seen inside */
	assert_int_equal(pop(scene.queue), -EAGAIN); /* the living inside is seen outside */
	go(talk, 2);
	assert_int_equal(peer_wait(pid), 0);
	let_memory_fade();
	assert_int_equal(pop(scene.queue), 1); /* and so is its death */
	scene_close(&scene);
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork_and_exec),
		cmocka_unit_test(test_fork_without_exec),
		cmocka_unit_test(test_two_opens),
		cmocka_unit_test(test_close_range),
		cmocka_unit_test(test_memfd_over_socket),
		cmocka_unit_test(test_five_thousand_attaches),
		cmocka_unit_test(test_exec_is_an_end),
		cmocka_unit_test(test_all_slots_taken),
		cmocka_unit_test(test_pid_namespace),
	};
	return PEER_RUN("life", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {
		{"relay", role_relay},
		{"descriptors", role_descriptors},
		{"reserve", role_reserve},
		{"sender", role_sender},
		{"execs", role_execs},
		{"idle", role_idle},
		{"attach", role_attach},
		{"take", role_take},
		{NULL, NULL},
	};
	return peer_main(argc, argv, roles, all_tests);
}
