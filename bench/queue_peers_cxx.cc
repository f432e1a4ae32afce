/* SPDX-License-Identifier: MIT */
/*
 * Peers in C++: moodycamel's two queues, Boost.Lockfree, Boost.Interprocess' message_queue.
 */
#include "queue_subject.h"

#include <memory>
#include <new>
#include <optional>
#include <string>

#include <unistd.h>

#ifdef HAVE_MOODYCAMEL
/* gcc 12 takes the queue's end marker, a null block, for one that is written to. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#endif
#include <concurrentqueue/concurrentqueue.h>
#endif
#ifdef HAVE_READERWRITERQUEUE
#include <readerwriterqueue/readerwriterqueue.h>
#endif
#ifdef HAVE_BOOST
#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>
#endif

namespace
{

bench_subject subject(const char *name, const char *note, bool threads, unsigned benches)
{
	bench_subject made{};

	made.name = name;
	made.note = note;
	made.kind = BENCH_PEER;
	made.threads = threads;
	made.benches = benches;
	made.detach = bench_detach_nothing;
	return made;
}

/* ---- queues whose objects lie in shared memory, or in the one process ------------------------ */

template <typename Queue> struct alignas(128) Placed {
	Queue queue;
};

template <typename Queue> void *create_placed(const bench_subject *)
{
	void *memory = bench_share(BENCH_PAIR * sizeof(Placed<Queue>));

	for (unsigned i = 0; i < BENCH_PAIR; i++)
		new (static_cast<Placed<Queue> *>(memory) + i) Placed<Queue>();
	return memory;
}

template <typename Queue> void destroy_placed(void *state)
{
	bench_unshare(state, BENCH_PAIR * sizeof(Placed<Queue>));
}

/* What points to memory of its own stays in one process; each lane's process has its own copy. */
template <typename Queue> void *create_private(const bench_subject *)
{
	return new Placed<Queue>[BENCH_PAIR];
}

template <typename Queue> void destroy_private(void *state)
{
	delete[] static_cast<Placed<Queue> *>(state);
}

template <typename Queue> void *attach_placed(void *state, unsigned queue, unsigned)
{
	return &(static_cast<Placed<Queue> *>(state) + queue)->queue;
}

template <typename Queue>
bench_subject placed(const char *name, const char *note, bool threads, unsigned benches,
		     const bench_loops *loops)
{
	bench_subject made = subject(name, note, threads, benches);

	made.create = threads ? create_private<Queue> : create_placed<Queue>;
	made.destroy = threads ? destroy_private<Queue> : destroy_placed<Queue>;
	made.attach = attach_placed<Queue>;
	made.loops = loops;
	return made;
}

/* ---- moodycamel ------------------------------------------------------------------------------ */

#ifdef HAVE_MOODYCAMEL
/* Bounded as the others are, though by its nature for each producer; it allocates only to begin. */
struct CamelTraits : moodycamel::ConcurrentQueueDefaultTraits {
	static const size_t MAX_SUBQUEUE_SIZE = QUEUE_CAPACITY;
};

struct Camel : moodycamel::ConcurrentQueue<uint64_t, CamelTraits> {
	Camel() : moodycamel::ConcurrentQueue<uint64_t, CamelTraits>(QUEUE_CAPACITY, 2, 2)
	{
	}
};

BENCH_INLINE bool camel_push(void *end, uint64_t value)
{
	return static_cast<Camel *>(end)->enqueue(value);
}

BENCH_INLINE bool camel_pop(void *end, uint64_t *out_value)
{
	return static_cast<Camel *>(end)->try_dequeue(*out_value);
}

QUEUE_LOOPS(camel, camel_push, camel_pop);

/* With a token for each thread, which its author recommends where speed matters. */
struct CamelEnd {
	Camel *queue;
	std::optional<moodycamel::ProducerToken> producer;
	std::optional<moodycamel::ConsumerToken> consumer;

	CamelEnd(Camel *camel, unsigned roles) : queue(camel)
	{
		if (roles & QUEUE_PRODUCER)
			producer.emplace(*camel);
		if (roles & QUEUE_CONSUMER)
			consumer.emplace(*camel);
	}
};

void *camel_attach(void *state, unsigned queue, unsigned roles)
{
	return new CamelEnd(static_cast<Camel *>(attach_placed<Camel>(state, queue, 0)), roles);
}

void camel_detach(void *end)
{
	delete static_cast<CamelEnd *>(end);
}

BENCH_INLINE bool camel_token_push(void *arg, uint64_t value)
{
	CamelEnd *end = static_cast<CamelEnd *>(arg);

	return end->queue->enqueue(*end->producer, value);
}

BENCH_INLINE bool camel_token_pop(void *arg, uint64_t *out_value)
{
	CamelEnd *end = static_cast<CamelEnd *>(arg);

	return end->queue->try_dequeue(*end->consumer, *out_value);
}

BENCH_INLINE size_t camel_push_n(void *arg, const uint64_t *values, size_t count)
{
	CamelEnd *end = static_cast<CamelEnd *>(arg);

	return end->queue->enqueue_bulk(*end->producer, values, count) ? count : 0;
}

BENCH_INLINE size_t camel_pop_n(void *arg, uint64_t *out_values, size_t count)
{
	CamelEnd *end = static_cast<CamelEnd *>(arg);

	return end->queue->try_dequeue_bulk(*end->consumer, out_values, count);
}

QUEUE_LOOPS(camel_token, camel_token_push, camel_token_pop);
QUEUE_BATCH_LOOPS(camel_bulk, camel_push_n, camel_pop_n);

bench_subject with_tokens(const char *note, unsigned benches, const bench_loops *loops)
{
	bench_subject made = placed<Camel>("moodycamel_tokens", note, true, benches, loops);

	made.attach = camel_attach;
	made.detach = camel_detach;
	return made;
}

constexpr unsigned camel_benches = QUEUE_MPMC_1P1C | QUEUE_MPMC_2P2C | QUEUE_ALONE;

const bench_subject camel =
	placed<Camel>("moodycamel", "ConcurrentQueue; threads", true, camel_benches, &camel_loops);
const bench_subject camel_tokens =
	with_tokens("ConcurrentQueue; threads", camel_benches, &camel_token_loops);
const bench_subject camel_bulk =
	with_tokens("ConcurrentQueue, bulk; threads", QUEUE_BATCH32, &camel_bulk_loops);
#endif

#ifdef HAVE_READERWRITERQUEUE
struct ReaderWriter : moodycamel::ReaderWriterQueue<uint64_t> {
	ReaderWriter() : moodycamel::ReaderWriterQueue<uint64_t>(QUEUE_CAPACITY)
	{
	}
};

BENCH_INLINE bool reader_writer_push(void *end, uint64_t value)
{
	return static_cast<ReaderWriter *>(end)->try_enqueue(value);
}

BENCH_INLINE bool reader_writer_pop(void *end, uint64_t *out_value)
{
	return static_cast<ReaderWriter *>(end)->try_dequeue(*out_value);
}

QUEUE_LOOPS(reader_writer, reader_writer_push, reader_writer_pop);

const bench_subject reader_writer =
	placed<ReaderWriter>("readerwriterqueue", "moodycamel; threads", true,
			     QUEUE_SPSC | QUEUE_PINGPONG, &reader_writer_loops);
#endif

/* ---- Boost.Lockfree -------------------------------------------------------------------------- */

#ifdef HAVE_BOOST
using BoostSpsc = boost::lockfree::spsc_queue<uint64_t, boost::lockfree::capacity<QUEUE_CAPACITY>>;
using BoostQueue = boost::lockfree::queue<uint64_t, boost::lockfree::capacity<QUEUE_CAPACITY>>;

BENCH_INLINE bool boost_spsc_push(void *end, uint64_t value)
{
	return static_cast<BoostSpsc *>(end)->push(value);
}

BENCH_INLINE bool boost_spsc_pop(void *end, uint64_t *out_value)
{
	return static_cast<BoostSpsc *>(end)->pop(*out_value);
}

BENCH_INLINE size_t boost_spsc_push_n(void *end, const uint64_t *values, size_t count)
{
	return static_cast<BoostSpsc *>(end)->push(values, count);
}

BENCH_INLINE size_t boost_spsc_pop_n(void *end, uint64_t *out_values, size_t count)
{
	return static_cast<BoostSpsc *>(end)->pop(out_values, count);
}

BENCH_INLINE bool boost_queue_push(void *end, uint64_t value)
{
	return static_cast<BoostQueue *>(end)->push(value);
}

BENCH_INLINE bool boost_queue_pop(void *end, uint64_t *out_value)
{
	return static_cast<BoostQueue *>(end)->pop(*out_value);
}

QUEUE_LOOPS(boost_spsc, boost_spsc_push, boost_spsc_pop);
QUEUE_BATCH_LOOPS(boost_spsc_bursts, boost_spsc_push_n, boost_spsc_pop_n);
QUEUE_LOOPS(boost_queue, boost_queue_push, boost_queue_pop);

const bench_subject boost_spsc = placed<BoostSpsc>("boost_spsc", "lockfree::spsc_queue", false,
						   QUEUE_SPSC | QUEUE_PINGPONG, &boost_spsc_loops);
const bench_subject boost_spsc_bursts =
	placed<BoostSpsc>("boost_spsc", "lockfree::spsc_queue, bursts", false, QUEUE_BATCH32,
			  &boost_spsc_bursts_loops);
const bench_subject boost_queue =
	placed<BoostQueue>("boost_queue", "lockfree::queue", false,
			   QUEUE_MPMC_1P1C | QUEUE_MPMC_2P2C | QUEUE_ALONE, &boost_queue_loops);

/* ---- Boost.Interprocess ---------------------------------------------------------------------- */

namespace ipc = boost::interprocess;

struct Messages {
	std::unique_ptr<ipc::message_queue> queues[BENCH_PAIR];
};

/* The mappings come through fork; the names go at once, so that nothing is left behind. */
void *messages_create(const bench_subject *)
{
	Messages *state = new Messages;

	for (unsigned i = 0; i < BENCH_PAIR; i++) {
		std::string name =
			"zeroipc-bench-" + std::to_string(getpid()) + "-" + std::to_string(i);

		try {
			ipc::message_queue::remove(name.c_str());
			state->queues[i] = std::make_unique<ipc::message_queue>(
				ipc::create_only, name.c_str(), QUEUE_CAPACITY, sizeof(uint64_t));
			ipc::message_queue::remove(name.c_str());
		} catch (const ipc::interprocess_exception &error) {
			bench_fail("message_queue: %s", error.what());
		}
	}
	return state;
}

void messages_destroy(void *state)
{
	delete static_cast<Messages *>(state);
}

void *messages_attach(void *state, unsigned queue, unsigned)
{
	return static_cast<Messages *>(state)->queues[queue].get();
}

BENCH_INLINE bool messages_push(void *end, uint64_t value)
{
	static_cast<ipc::message_queue *>(end)->send(&value, sizeof(value), 0);
	return true;
}

BENCH_INLINE bool messages_pop(void *end, uint64_t *out_value)
{
	ipc::message_queue::size_type size;
	unsigned priority;

	static_cast<ipc::message_queue *>(end)->receive(out_value, sizeof(*out_value), size,
							priority);
	return true;
}

QUEUE_LOOPS(messages, messages_push, messages_pop);

bench_subject message_queue()
{
	bench_subject made = subject("boost_message_queue", "Boost.Interprocess", false,
				     QUEUE_SPSC | QUEUE_MPMC_1P1C | QUEUE_MPMC_2P2C | QUEUE_ALONE |
					     QUEUE_SLEEPING);

	made.create = messages_create;
	made.destroy = messages_destroy;
	made.attach = messages_attach;
	made.loops = &messages_loops;
	return made;
}

const bench_subject messages = message_queue();
#endif

} /* namespace */

const struct bench_subject *const queue_cxx_subjects[] = {
#ifdef HAVE_READERWRITERQUEUE
	&reader_writer,
#endif
#ifdef HAVE_MOODYCAMEL
	&camel,		&camel_tokens, &camel_bulk,
#endif
#ifdef HAVE_BOOST
	&boost_spsc,	&boost_queue,  &boost_spsc_bursts, &messages,
#endif
	nullptr,
};
