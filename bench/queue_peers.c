/* SPDX-License-Identifier: MIT */
/*
 * Peers in C: the kernel's own (pipe, unix socket), Concurrency Kit's ck_ring, ZeroMQ over ipc.
 */
#include "queue_subject.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#ifdef HAVE_CK
#include <ck_ring.h>
#endif
#ifdef HAVE_ZMQ
#include <zmq.h>
#endif

/* ---- pipe and unix socket -------------------------------------------------------------------- */

/* bench_subject.variant */
#define PIPE   0u
#define SOCKET 1u

/* One queue: what is written to `in` is read from `out`. */
struct channel {
	int in, out;
};

static void *channel_create(const struct bench_subject *self)
{
	struct channel *channels = calloc(BENCH_PAIR, sizeof(*channels));
	int size = 1 << 20; /* as much as we may have */

	if (!channels)
		bench_fail("out of memory");
	for (unsigned i = 0; i < BENCH_PAIR; i++) {
		int fds[2];
		int rc = self->variant == PIPE ? pipe(fds)
					       : socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds);

		if (rc != 0)
			bench_fail("%s: %s", self->name, strerror(errno));
		channels[i].out = fds[0];
		channels[i].in = fds[1];
		if (self->variant == PIPE)
			fcntl(fds[1], F_SETPIPE_SZ, size);
		else
			setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	return channels;
}

static void channel_destroy(void *state)
{
	struct channel *channels = state;

	for (unsigned i = 0; i < BENCH_PAIR; i++) {
		close(channels[i].in);
		close(channels[i].out);
	}
	free(channels);
}

static void *channel_attach(void *state, unsigned queue, unsigned roles)
{
	(void)roles;
	return (struct channel *)state + queue;
}

static void channel_write(const struct channel *channel, const void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t now = write(channel->in, (const char *)data + done, size - done);

		if (now < 0 && errno != EINTR)
			bench_fail("write: %s", strerror(errno));
		if (now > 0)
			done += (size_t)now;
	}
}

static void channel_read(const struct channel *channel, void *out_data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t now = read(channel->out, (char *)out_data + done, size - done);

		if (now == 0)
			bench_fail("read: the other side is gone");
		if (now < 0 && errno != EINTR)
			bench_fail("read: %s", strerror(errno));
		if (now > 0)
			done += (size_t)now;
	}
}

BENCH_INLINE bool channel_push(void *end, uint64_t value)
{
	channel_write(end, &value, sizeof(value));
	return true;
}

BENCH_INLINE bool channel_pop(void *end, uint64_t *out_value)
{
	channel_read(end, out_value, sizeof(*out_value));
	return true;
}

BENCH_INLINE bool channel_send(void *end, const void *block)
{
	channel_write(end, block, QUEUE_BLOCK);
	return true;
}

BENCH_INLINE bool channel_receive(void *end, void *out_block)
{
	channel_read(end, out_block, QUEUE_BLOCK);
	return true;
}

QUEUE_LOOPS(channel, channel_push, channel_pop);
QUEUE_COPY_LOOPS(channel_blocks, channel_send, channel_receive);

#define CHANNEL(label, text, where, how, loop_table)                                               \
	&(const struct bench_subject)                                                              \
	{                                                                                          \
		.name = (label), .note = (text), .kind = BENCH_PEER, .benches = (where),           \
		.variant = (how), .create = channel_create, .destroy = channel_destroy,            \
		.attach = channel_attach, .detach = bench_detach_nothing, .loops = &(loop_table)   \
	}

#define CHANNEL_BENCHES (QUEUE_SPSC | QUEUE_MPMC_1P1C | QUEUE_MPMC_2P2C | QUEUE_SLEEPING)

/* ---- Concurrency Kit ------------------------------------------------------------------------- */

#ifdef HAVE_CK
struct ck_queue {
	_Alignas(128) ck_ring_t ring;
	_Alignas(128) ck_ring_buffer_t buffer[QUEUE_CAPACITY];
};

static void *ck_create(const struct bench_subject *self)
{
	struct ck_queue *queues = bench_share(BENCH_PAIR * sizeof(*queues));

	(void)self;
	for (unsigned i = 0; i < BENCH_PAIR; i++)
		ck_ring_init(&queues[i].ring, QUEUE_CAPACITY);
	return queues;
}

static void ck_destroy(void *state)
{
	bench_unshare(state, BENCH_PAIR * sizeof(struct ck_queue));
}

static void *ck_attach(void *state, unsigned queue, unsigned roles)
{
	(void)roles;
	return (struct ck_queue *)state + queue;
}

static void ck_detach(void *end)
{
	(void)end;
}

BENCH_INLINE bool ck_push_single(void *end, uint64_t value)
{
	struct ck_queue *queue = end;

	return ck_ring_enqueue_spsc(&queue->ring, queue->buffer, (void *)(uintptr_t)value);
}

BENCH_INLINE bool ck_pop_single(void *end, uint64_t *out_value)
{
	struct ck_queue *queue = end;
	void *value;

	if (!ck_ring_dequeue_spsc(&queue->ring, queue->buffer, &value))
		return false;
	*out_value = (uintptr_t)value;
	return true;
}

BENCH_INLINE bool ck_push_multi(void *end, uint64_t value)
{
	struct ck_queue *queue = end;

	return ck_ring_enqueue_mpmc(&queue->ring, queue->buffer, (void *)(uintptr_t)value);
}

BENCH_INLINE bool ck_pop_multi(void *end, uint64_t *out_value)
{
	struct ck_queue *queue = end;
	void *value;

	if (!ck_ring_dequeue_mpmc(&queue->ring, queue->buffer, &value))
		return false;
	*out_value = (uintptr_t)value;
	return true;
}

QUEUE_LOOPS(ck_single, ck_push_single, ck_pop_single);
QUEUE_LOOPS(ck_multi, ck_push_multi, ck_pop_multi);

#define CK(text, where, loop_table)                                                                \
	&(const struct bench_subject)                                                              \
	{                                                                                          \
		.name = "ck_ring", .note = (text), .kind = BENCH_PEER, .benches = (where),         \
		.create = ck_create, .destroy = ck_destroy, .attach = ck_attach,                   \
		.detach = ck_detach, .loops = &(loop_table)                                        \
	}
#endif

/* ---- ZeroMQ ---------------------------------------------------------------------------------- */

#ifdef HAVE_ZMQ
/* bench_subject.variant */
#define BLOCKS 1u

struct zmq_state {
	unsigned number; /* makes the address unique */
	unsigned variant;
	atomic_bool bound[BENCH_PAIR];	/* the consumer can be reached */
	atomic_bool served[BENCH_PAIR]; /* and has all that it wanted */
};

struct zmq_end {
	void *context;
	void *socket;
	atomic_bool *served;
	bool produces;
};

static void *zeromq_create(const struct bench_subject *self)
{
	static unsigned number;
	struct zmq_state *state = bench_share(sizeof(*state));

	state->number = ++number;
	state->variant = self->variant;
	return state;
}

static void zeromq_destroy(void *state)
{
	bench_unshare(state, sizeof(struct zmq_state));
}

static void zeromq_send(const struct zmq_end *end, const void *data, size_t size)
{
	while (zmq_send(end->socket, data, size, 0) < 0)
		if (zmq_errno() != EINTR)
			bench_fail("zmq_send: %s", zmq_strerror(zmq_errno()));
}

static void zeromq_receive(const struct zmq_end *end, void *out_data, size_t size)
{
	int got;

	while ((got = zmq_recv(end->socket, out_data, size, 0)) < 0)
		if (zmq_errno() != EINTR)
			bench_fail("zmq_recv: %s", zmq_strerror(zmq_errno()));
	if ((size_t)got != size)
		bench_fail("zmq_recv: %d bytes of %zu", got, size);
}

static void zeromq_bind(struct zmq_state *state, unsigned queue, const struct zmq_end *end,
			const char *address)
{
	if (zmq_bind(end->socket, address) != 0)
		bench_fail("zmq_bind: %s: %s", address, zmq_strerror(zmq_errno()));
	atomic_store(&state->bound[queue], true);
}

static void zeromq_connect(struct zmq_state *state, unsigned queue, const struct zmq_end *end,
			   const char *address)
{
	while (!atomic_load(&state->bound[queue]))
		bench_yield();
	if (zmq_connect(end->socket, address) != 0)
		bench_fail("zmq_connect: %s: %s", address, zmq_strerror(zmq_errno()));
}

/* The context and its thread start in the lane: they do not survive a fork. */
static void *zeromq_attach(void *arg, unsigned queue, unsigned roles)
{
	struct zmq_state *state = arg;
	struct zmq_end *end = calloc(1, sizeof(*end));
	int limit = state->variant == BLOCKS ? QUEUE_BLOCK_SLOTS : QUEUE_CAPACITY;
	char address[64];

	if (!end)
		bench_fail("out of memory");
	end->produces = roles & QUEUE_PRODUCER;
	end->served = &state->served[queue];
	snprintf(address, sizeof(address), "ipc://@zeroipc-bench-%ld-%u-%u", (long)getppid(),
		 state->number, queue);
	end->context = zmq_ctx_new();
	end->socket = zmq_socket(end->context, end->produces ? ZMQ_PUSH : ZMQ_PULL);
	if (!end->socket)
		bench_fail("zmq_socket: %s", zmq_strerror(zmq_errno()));
	zmq_setsockopt(end->socket, ZMQ_SNDHWM, &limit, sizeof(limit));
	zmq_setsockopt(end->socket, ZMQ_RCVHWM, &limit, sizeof(limit));
	if (end->produces)
		zeromq_connect(state, queue, end, address);
	else
		zeromq_bind(state, queue, end, address);
	return end;
}

/* A producer that hangs up while its messages are on their way may lose some of them. */
static void zeromq_detach(void *arg)
{
	struct zmq_end *end = arg;

	if (!end->produces)
		atomic_store(end->served, true);
	while (!atomic_load(end->served))
		bench_yield();
	zmq_close(end->socket);
	zmq_ctx_term(end->context);
	free(end);
}

BENCH_INLINE bool zeromq_push(void *end, uint64_t value)
{
	zeromq_send(end, &value, sizeof(value));
	return true;
}

BENCH_INLINE bool zeromq_pop(void *end, uint64_t *out_value)
{
	zeromq_receive(end, out_value, sizeof(*out_value));
	return true;
}

BENCH_INLINE bool zeromq_send_block(void *end, const void *block)
{
	zeromq_send(end, block, QUEUE_BLOCK);
	return true;
}

BENCH_INLINE bool zeromq_receive_block(void *end, void *out_block)
{
	zeromq_receive(end, out_block, QUEUE_BLOCK);
	return true;
}

QUEUE_LOOPS(zeromq, zeromq_push, zeromq_pop);
QUEUE_COPY_LOOPS(zeromq_blocks, zeromq_send_block, zeromq_receive_block);

#define ZEROMQ(where, how, loop_table)                                                             \
	&(const struct bench_subject)                                                              \
	{                                                                                          \
		.name = "zeromq", .note = "ipc, push/pull", .kind = BENCH_PEER,                    \
		.benches = (where), .variant = (how), .create = zeromq_create,                     \
		.destroy = zeromq_destroy, .attach = zeromq_attach, .detach = zeromq_detach,       \
		.loops = &(loop_table)                                                             \
	}
#endif

/* ---- subjects -------------------------------------------------------------------------------- */

const struct bench_subject *const queue_peer_subjects[] = {
#ifdef HAVE_CK
	CK("spsc", QUEUE_SPSC | QUEUE_PINGPONG, ck_single_loops),
	CK("mpmc", QUEUE_MPMC_1P1C | QUEUE_MPMC_2P2C | QUEUE_ALONE, ck_multi_loops),
#endif
#ifdef HAVE_ZMQ
	ZEROMQ(QUEUE_SPSC | QUEUE_MPMC_1P1C | QUEUE_SLEEPING, 0, zeromq_loops),
	ZEROMQ(QUEUE_64K, BLOCKS, zeromq_blocks_loops),
#endif
	CHANNEL("unix_socket", "seqpacket", CHANNEL_BENCHES, SOCKET, channel_loops),
	CHANNEL("unix_socket", "seqpacket", QUEUE_64K, SOCKET, channel_blocks_loops),
	CHANNEL("pipe", NULL, CHANNEL_BENCHES, PIPE, channel_loops),
	CHANNEL("pipe", NULL, QUEUE_64K, PIPE, channel_blocks_loops),
	NULL,
};
