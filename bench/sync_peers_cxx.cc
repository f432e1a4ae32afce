/* SPDX-License-Identifier: MIT */
/*
 * Peers in C++: Boost.Interprocess.
 */
#include "sync_subject.h"

#include <new>

#ifdef HAVE_BOOST_INTERPROCESS
#include <boost/interprocess/sync/interprocess_condition.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <boost/interprocess/sync/interprocess_semaphore.hpp>
#include <boost/interprocess/sync/interprocess_sharable_mutex.hpp>
#include <boost/interprocess/sync/scoped_lock.hpp>
#endif

#ifdef HAVE_BOOST_INTERPROCESS
namespace
{

namespace ipc = boost::interprocess;

/* ---- objects in shared memory ---------------------------------------------------------------- */

template <typename Object> struct alignas(128) Placed {
	Object object;

	explicit Placed(unsigned variant) : object(variant)
	{
	}
};

template <typename Object> void *create(const bench_subject *self)
{
	void *memory = bench_share(BENCH_PAIR * sizeof(Placed<Object>));

	for (unsigned i = 0; i < BENCH_PAIR; i++)
		new (static_cast<Placed<Object> *>(memory) + i) Placed<Object>(self->variant);
	return memory;
}

template <typename Object> void destroy(void *state)
{
	bench_unshare(state, BENCH_PAIR * sizeof(Placed<Object>));
}

template <typename Object> void *attach(void *state, unsigned index, unsigned)
{
	return &(static_cast<Placed<Object> *>(state) + index)->object;
}

template <typename Object>
bench_subject subject(const char *name, unsigned benches, unsigned variant,
		      const bench_loops *loops)
{
	bench_subject made{};

	made.name = name;
	made.note = "Boost.Interprocess";
	made.kind = BENCH_PEER;
	made.benches = benches;
	made.variant = variant;
	made.create = create<Object>;
	made.destroy = destroy<Object>;
	made.attach = attach<Object>;
	made.detach = bench_detach_nothing;
	made.loops = loops;
	return made;
}

/* ---- mutex ----------------------------------------------------------------------------------- */

struct Mutex : ipc::interprocess_mutex {
	explicit Mutex(unsigned)
	{
	}
};

BENCH_INLINE void mutex_lock(void *end)
{
	static_cast<Mutex *>(end)->lock();
}

BENCH_INLINE void mutex_unlock(void *end)
{
	static_cast<Mutex *>(end)->unlock();
}

SYNC_MUTEX_LOOPS(mutex, mutex_lock, mutex_unlock, nullptr, nullptr);

/* ---- reader-writer lock ---------------------------------------------------------------------- */

struct Sharable : ipc::interprocess_sharable_mutex {
	explicit Sharable(unsigned)
	{
	}
};

BENCH_INLINE void read_lock(void *end)
{
	static_cast<Sharable *>(end)->lock_sharable();
}

BENCH_INLINE void read_unlock(void *end)
{
	static_cast<Sharable *>(end)->unlock_sharable();
}

BENCH_INLINE void write_lock(void *end)
{
	static_cast<Sharable *>(end)->lock();
}

BENCH_INLINE void write_unlock(void *end)
{
	static_cast<Sharable *>(end)->unlock();
}

SYNC_RWLOCK_LOOPS(sharable, read_lock, read_unlock, write_lock, write_unlock);

/* ---- semaphore ------------------------------------------------------------------------------- */

using Semaphore = ipc::interprocess_semaphore;

BENCH_INLINE void semaphore_acquire(void *end)
{
	static_cast<Semaphore *>(end)->wait();
}

BENCH_INLINE void semaphore_release(void *end)
{
	static_cast<Semaphore *>(end)->post();
}

SYNC_SEMAPHORE_LOOPS(semaphore, semaphore_acquire, semaphore_release);

/* ---- condition variable ---------------------------------------------------------------------- */

struct Condition {
	ipc::interprocess_mutex mutex;
	ipc::interprocess_condition changed;

	explicit Condition(unsigned)
	{
	}
};

BENCH_INLINE void condition_enter(void *end)
{
	static_cast<Condition *>(end)->mutex.lock();
}

BENCH_INLINE void condition_leave(void *end)
{
	static_cast<Condition *>(end)->mutex.unlock();
}

BENCH_INLINE void condition_wait(void *end)
{
	Condition *condition = static_cast<Condition *>(end);
	ipc::scoped_lock<ipc::interprocess_mutex> lock(condition->mutex, ipc::accept_ownership);

	condition->changed.wait(lock);
	lock.release();
}

BENCH_INLINE void condition_notify(void *end)
{
	static_cast<Condition *>(end)->changed.notify_one();
}

SYNC_MONITOR_LOOPS(condition, condition_enter, condition_leave, condition_wait, condition_notify);

/* ---- subjects -------------------------------------------------------------------------------- */

const bench_subject boost_mutex =
	subject<Mutex>("boost_mutex", MUTEX_ALONE | MUTEX_HAMMER, 0, &mutex_loops);
const bench_subject boost_sharable =
	subject<Sharable>("boost_sharable", RWLOCK_READ | RWLOCK_2R | RWLOCK_90_10 | RWLOCK_WRITER,
			  0, &sharable_loops);
/* The variant is the number of permits at the beginning. */
const bench_subject boost_semaphore =
	subject<Semaphore>("boost_semaphore", SEM_ALONE, 1, &semaphore_loops);
const bench_subject boost_semaphores =
	subject<Semaphore>("boost_semaphore", SEM_SLEEPING, 0, &semaphore_loops);
const bench_subject boost_condition =
	subject<Condition>("boost_condition", MONITOR_SLEEPING, 0, &condition_loops);

} /* namespace */
#endif

const struct bench_subject *const sync_cxx_subjects[] = {
#ifdef HAVE_BOOST_INTERPROCESS
	&boost_mutex, &boost_sharable, &boost_semaphore, &boost_semaphores, &boost_condition,
#endif
	nullptr,
};
