/* SPDX-License-Identifier: MIT */
/* Lifecycle of what stands in src/sync: a handle that begins with its zi_object, a fixed block. */
#ifndef ZI_SYNC_HANDLE_H
#define ZI_SYNC_HANDLE_H

#include "../segment/directory.h"
#include "../structure/open.h"

struct zi_sync_kind {
	const char *what; /* "mutex" */
	uint32_t type;
	uint32_t flags; /* those that this library knows */
	size_t handle_size;
	/* Makes the handle's pointers from its view: 0 or -EBADMSG. */
	int (*bind)(void *handle);
	/* The first content of a zeroed block; NULL = zero is right. */
	void (*build)(void *handle, uint64_t argument);
};

/* spec->type and block_alignment are filled in; `argument` is for build(). */
int zi_sync_create(zipc_segment *segment, const struct zi_sync_kind *kind, struct zi_spec spec,
		   uint64_t argument, void **out_handle);

/* What is 0 in spec is not compared. */
int zi_sync_open(zipc_segment *segment, const struct zi_sync_kind *kind, struct zi_spec spec,
		 void **out_handle);

/* 0 = opened with `wanted`, 1 = created with `spec`. */
int zi_sync_open_or_create(zipc_segment *segment, const struct zi_sync_kind *kind,
			   struct zi_spec wanted, struct zi_spec spec, uint64_t argument,
			   void **out_handle);

/* NULL is allowed. */
void zi_sync_close(void *handle);

/* -EINVAL with a sentence unless the options are among the known flags. */
int zi_sync_check_flags(const struct zi_sync_kind *kind, const char *name, uint32_t flags);

/* The block of a view, if it can be of this kind and has `size` bytes; else NULL. */
static inline void *zi_sync_block(const struct zi_view *view, uint64_t size)
{
	return view->memory != NULL && view->size >= size ? view->memory : NULL;
}

/* For bind(): a block that is too small. */
int zi_sync_too_small(const struct zi_view *view, const char *what);

#endif
