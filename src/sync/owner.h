/* SPDX-License-Identifier: MIT */
/*
 * Owners that are threads: peer id 24 | thread 24 << 24, in the low 48 bits of a word. The high 16
 * are the word's own.
 */
#ifndef ZI_SYNC_OWNER_H
#define ZI_SYNC_OWNER_H

#include "../segment/directory.h"
#include "../segment/peers.h"
#include "../segment/thread.h"
#include "../structure/open.h"

#define ZI_OWNER_BITS 48u
#define ZI_OWNER_MASK ((UINT64_C(1) << ZI_OWNER_BITS) - 1)

/* One of many such words, on a line of its own. */
struct zi_named {
	uint64_t word;
	uint8_t pad[ZI_LINE - 8];
};

static_assert(sizeof(struct zi_named) == 64, "format");

#define ZI_NAMED_HINTS 16u

/* Private: which of them each thread had last, by its number; relaxed, as it is a hint. */
struct zi_named_hints {
	uint32_t last[ZI_NAMED_HINTS];
};

static inline uint64_t zi_owner_make(uint32_t id, uint32_t thread)
{
	return (uint64_t)thread << ZI_ID_BITS | id;
}

static inline uint32_t zi_owner_id(uint64_t word)
{
	return (uint32_t)word & ZI_ID_MASK;
}

static inline uint32_t zi_owner_thread(uint64_t word)
{
	return (uint32_t)(word >> ZI_ID_BITS) & ZI_ID_MASK;
}

/*
 * The caller as an owner, without a look at whether it may write. Where it is not attached (a forked
 * child) the id is 0, and where it never held anything the thread is ZI_THREAD_NONE: no word says so.
 */
static inline uint64_t zi_owner_self(const struct zi_self *self)
{
	return zi_owner_make(zi_load_relaxed(&self->id), zi_thread_number);
}

/* The way in of an operation that writes its owner: 0, or a refusal. */
static inline int zi_owner_enter(struct zi_object *object, uint64_t *out_owner)
{
	int id = zi_structure_enter(object);
	if (id < 0)
		return id;
	uint32_t thread = zi_thread_self();
	*out_owner = zi_owner_make((uint32_t)id, thread);
	return thread != 0 ? 0 : -ENOMEM;
}

static inline uint32_t *zi_named_hint(struct zi_named_hints *hints, uint64_t me)
{
	return &hints->last[zi_owner_thread(me) % ZI_NAMED_HINTS];
}

/* Of `count` words, each `stride` words behind the one before, the first that has this name and none of
 * the bits in `without`, the likely one first; or NULL. */
static inline uint64_t *zi_named_find(uint64_t *words, uint32_t stride, uint32_t count,
				      struct zi_named_hints *hints, uint64_t me, uint64_t without)
{
	uint32_t *hint = zi_named_hint(hints, me), at = zi_load_relaxed(hint);
	/* relaxed: our own store, or not ours */
	if (at < count &&
	    (zi_load_relaxed(&words[(size_t)at * stride]) & (ZI_OWNER_MASK | without)) == me)
		return &words[(size_t)at * stride];
	for (uint32_t i = 0; i < count; i++) {
		uint64_t *word = &words[(size_t)i * stride];
		if ((zi_load_relaxed(word) & (ZI_OWNER_MASK | without)) == me) {
			zi_store_relaxed(hint, i);
			return word;
		}
	}
	return NULL;
}

/* 1 = the owner in this word is dead, 0 = it lives, -EBADF. A thread's end is written down by itself,
 * so a word that still names a thread says as much about it as about its process. */
static inline int zi_owner_dead(zipc_segment *segment, uint64_t word)
{
	return zi_peer_dead(segment, zi_owner_id(word));
}

#endif
