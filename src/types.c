/* SPDX-License-Identifier: MIT */
/* The types of structures that this library knows; the one file that stands above their floors. */
#include "structure/array.h"
#include "structure/queue.h"
#include "sync/barrier.h"
#include "sync/event.h"
#include "sync/latch.h"
#include "sync/monitor.h"
#include "sync/mutex.h"
#include "sync/once.h"
#include "sync/rwlock.h"
#include "sync/semaphore.h"

const struct zi_type zi_types[] = {
	{ZIPC_TYPE_ARRAY, "array", zi_array_resolve, zi_array_verify, NULL, NULL},
	{ZIPC_TYPE_QUEUE, "queue", zi_queue_resolve, zi_queue_verify, NULL, NULL},
	{ZIPC_TYPE_MUTEX, "mutex", zi_mutex_resolve, zi_mutex_verify, zi_mutex_thread_ended,
	 zi_mutex_holders},
	{ZIPC_TYPE_ONCE, "once", zi_once_resolve, zi_once_verify, zi_once_thread_ended,
	 zi_once_holders},
	{ZIPC_TYPE_SEMAPHORE, "semaphore", zi_semaphore_resolve, zi_semaphore_verify, NULL,
	 zi_semaphore_holders},
	{ZIPC_TYPE_EVENT, "event", zi_event_resolve, zi_event_verify, NULL, NULL},
	{ZIPC_TYPE_LATCH, "latch", zi_latch_resolve, zi_latch_verify, NULL, NULL},
	{ZIPC_TYPE_RWLOCK, "rwlock", zi_rwlock_resolve, zi_rwlock_verify, zi_rwlock_thread_ended,
	 zi_rwlock_holders},
	{ZIPC_TYPE_BARRIER, "barrier", zi_barrier_resolve, zi_barrier_verify,
	 zi_barrier_thread_ended, zi_barrier_holders},
	{ZIPC_TYPE_MONITOR, "monitor", zi_monitor_resolve, zi_monitor_verify,
	 zi_monitor_thread_ended, zi_monitor_holders},
	{0, NULL, NULL, NULL, NULL, NULL},
};
