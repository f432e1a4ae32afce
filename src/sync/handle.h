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

/* Flags of 0 are not compared, nor are sizes. */
int zi_sync_open(zipc_segment *segment, const struct zi_sync_kind *kind, struct zi_spec spec,
		 void **out_handle);

/* 0 = opened, 1 = created. */
int zi_sync_open_or_create(zipc_segment *segment, const struct zi_sync_kind *kind,
			   struct zi_spec spec, uint64_t argument, void **out_handle);

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

/*
 * zipc_WHAT_create, _open, _open_or_create, _close and _remove of a kind whose create takes options and
 * nothing else. Needs `kind`, and load_spec(), which fills a zi_spec from them.
 */
#define ZI_SYNC_LIFECYCLE(what)                                                                    \
	int zipc_##what##_create(zipc_segment *segment, const char *name,                          \
				 const zipc_##what##_options *options, zipc_##what **out_##what)   \
	{                                                                                          \
		struct zi_spec spec;                                                               \
		void *handle;                                                                      \
		int r = load_spec(name, options, &spec);                                           \
		if (r == 0)                                                                        \
			r = zi_sync_create(segment, &kind, spec, 0, &handle);                      \
		if (r == 0)                                                                        \
			*out_##what = handle;                                                      \
		return r;                                                                          \
	}                                                                                          \
                                                                                                   \
	int zipc_##what##_open(zipc_segment *segment, const char *name,                            \
			       const zipc_##what##_options *options, zipc_##what **out_##what)     \
	{                                                                                          \
		struct zi_spec spec;                                                               \
		void *handle;                                                                      \
		int r = load_spec(name, options, &spec);                                           \
		if (r == 0)                                                                        \
			r = zi_sync_open(segment, &kind, spec, &handle);                           \
		if (r == 0)                                                                        \
			*out_##what = handle;                                                      \
		return r;                                                                          \
	}                                                                                          \
                                                                                                   \
	int zipc_##what##_open_or_create(zipc_segment *segment, const char *name,                  \
					 const zipc_##what##_options *options,                     \
					 zipc_##what **out_##what)                                 \
	{                                                                                          \
		struct zi_spec spec;                                                               \
		void *handle;                                                                      \
		int r = load_spec(name, options, &spec);                                           \
		if (r == 0)                                                                        \
			r = zi_sync_open_or_create(segment, &kind, spec, 0, &handle);              \
		if (r >= 0)                                                                        \
			*out_##what = handle;                                                      \
		return r;                                                                          \
	}                                                                                          \
                                                                                                   \
	void zipc_##what##_close(zipc_##what *what)                                                \
	{                                                                                          \
		zi_sync_close(what);                                                               \
	}                                                                                          \
                                                                                                   \
	int zipc_##what##_remove(zipc_segment *segment, const char *name)                          \
	{                                                                                          \
		return zi_directory_remove(segment, name, kind.type);                              \
	}

#endif
