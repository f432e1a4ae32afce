/* SPDX-License-Identifier: MIT */
/*
 * Directory: names and what they stand for.
 *
 * An entry's life is one word {generation, owner, state}: FREE -> CLAIMED(creator) -> PUBLISHED ->
 * REMOVED -> FREEING(owner) -> FREE. Claiming, removing and freeing happen under the directory
 * guard; lookup takes no lock. Who opens sets its bit in the entry, passes a full barrier and looks
 * again whether the entry is still published; who removes takes the name away first and looks for
 * bits of the living afterwards: one of the two sees the other. A dead creator's claim is undone
 * and a dead freer's work finished by the next that holds the guard.
 */
#ifndef ZI_SEGMENT_DIRECTORY_H
#define ZI_SEGMENT_DIRECTORY_H

#include "type.h"

/* What every open structure's handle begins with. */
struct zi_object {
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

/* Waits while a living process is just creating this name. 0; -ETIMEDOUT after 10 s; -ECANCELED. */
int zi_directory_settle(zipc_segment *segment, const char *name);

/* PUBLISHED -> REMOVED, and its memory back when nobody has it open. type 0 = any. */
int zi_directory_remove(zipc_segment *segment, const char *name, uint32_t type);

/* Does entry `index` exist with this generation (18 bits of it), in any state but FREE? */
bool zi_directory_owns(zipc_segment *segment, uint32_t index, uint32_t generation);

/* Nobody lives in this slot: its handle bits mean nothing any more. */
void zi_directory_clear_handles(zipc_segment *segment, uint32_t slot);

/* In a forked child, attached anew: takes hold of what its parent had open, or marks it stale. */
void zi_directory_reclaim_handles(zipc_segment *segment);

/* Undoes and finishes what the dead left in the entries; under the guard. Returns how many. */
int zi_directory_resolve(zipc_segment *segment);

/* Calls fn for every entry in the given state; a non-zero return ends the walk and is returned. */
int zi_directory_walk(zipc_segment *segment, enum zi_entry_state state,
		      int (*fn)(zipc_segment *segment, const struct zi_view *view, void *arg),
		      void *arg);

/* How many attachments that live have this entry open. */
uint32_t zi_directory_handles(zipc_segment *segment, uint32_t index);

void zi_directory_verify(zipc_segment *segment, struct zi_report *report);

#endif
