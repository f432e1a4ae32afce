/* SPDX-License-Identifier: MIT */
#include "thread.h"

#include "directory.h"

#include "../base/error.h"

#include <errno.h>
#include <pthread.h>
#include <unistd.h>

/* Rounds of destructors that others get to give back what they hold, before it counts as left. */
#define ROUNDS 3

__thread uint32_t zi_thread_number = ZI_THREAD_NONE;

static __thread int rounds;
static pthread_key_t key;
static bool has_key;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void end_in(zipc_segment *segment, uint32_t thread)
{
	uint32_t id = zi_self_id(segment);
	for (struct zi_object *o = segment->objects; o != NULL && id != 0; o = o->next) {
		const struct zi_type *type = zi_type_find(o->view.type);
		if (o->stale == 0 && type != NULL && type->thread_ended != NULL)
			type->thread_ended(segment, &o->view, id, thread);
	}
}

static void end_thread(void *value)
{
	if (++rounds < ROUNDS) {
		pthread_setspecific(key, value);
		return;
	}
	uint32_t thread = zi_thread_number;
	if (thread == ZI_THREAD_NONE || zi_process_lock() < 0)
		return;
	for (zipc_segment *s = zi_process_segments(); s != NULL; s = s->next)
		end_in(s, thread);
	zi_process_unlock();
	zi_thread_number = ZI_THREAD_NONE;
}

static void make_key(void)
{
	has_key = pthread_key_create(&key, end_thread) == 0;
}

uint32_t zi_thread_enlist(void)
{
	pthread_once(&key_once, make_key);
	if (!has_key || pthread_setspecific(key, &key) != 0) {
		zi_fail(-ENOMEM, "no thread-specific key left: the end of this thread could not "
				 "be noticed");
		return 0;
	}
	zi_thread_number = (uint32_t)gettid();
	return zi_thread_number;
}

void zi_thread_forked(void)
{
	zi_thread_number = ZI_THREAD_NONE;
}
