/* SPDX-License-Identifier: MIT */
/*
 * Objects: a structure as this process has it open, from its creation or opening to its closing. An
 * open object's attachment has its bit set in the directory entry.
 */
#ifndef ZI_SEGMENT_OBJECT_H
#define ZI_SEGMENT_OBJECT_H

#include "type.h"

/* What every open structure's handle begins with. */
struct zi_object {
	const uint64_t
		*word; /* public: where a header's inline functions look, if the type has any */
	uint32_t id; /* the peer id for which this handle is good; anything else: zi_object_enter */
	uint32_t stale;
	zipc_segment *segment;
	struct zi_view view; /* copied at open; the entry is not read again */
	struct zi_object *next;
};

/* What a structure asks of the directory. */
struct zi_spec {
	const char *name;
	uint32_t type;
	uint32_t flags;
	uint64_t size;		  /* create: bytes of its memory */
	uint64_t element_size;	  /* open: 0 = any */
	uint64_t capacity;	  /* open: 0 = any */
	uint32_t alignment;	  /* of elements; open: 0 = any, else the least */
	uint32_t block_alignment; /* create: of its memory */
	const char *schema;	  /* NULL = none; open: any */
};

/*
 * Claims the name and takes zeroed memory: object->view.memory is the caller's to build in, until
 * zi_object_publish() or zi_object_abandon(). 0; -EEXIST; -EINVAL; -ENOSPC; -EROFS; -EDEADLK;
 * -ECANCELED. CRASH: the claim names us; the next comer undoes it.
 */
int zi_object_create(zipc_segment *segment, const struct zi_spec *spec, struct zi_object *object);
void zi_object_publish(struct zi_object *object);
void zi_object_abandon(struct zi_object *object);

/* Finds the name, checks it against spec, holds it open. 0; -ENOENT; -EPROTOTYPE; -EBADMSG; ... */
int zi_object_open(zipc_segment *segment, const struct zi_spec *spec, struct zi_object *object);

/* Lets go; the last one of a removed structure gives its memory back. */
void zi_object_close(struct zi_object *object);

/*
 * The way in of every operation that writes: object->id when this process is still the one that
 * opened it; in a forked child it attaches and takes hold anew. Returns the id (> 0), -EROFS,
 * -ESTALE, or what attaching says.
 */
int zi_object_enter(struct zi_object *object);

/* A read-only attachment holds nothing open: has the structure gone meanwhile? 0 or -ESTALE. */
int zi_object_still_there(const struct zi_object *object);

/* In a forked child, attached anew: takes hold of what its parent had open, or marks it stale. */
void zi_object_reclaim(zipc_segment *segment);

#endif
