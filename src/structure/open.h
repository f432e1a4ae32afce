/* SPDX-License-Identifier: MIT */
/* What the lifecycle calls of all structures share. */
#ifndef ZI_STRUCTURE_OPEN_H
#define ZI_STRUCTURE_OPEN_H

#include "../base/error.h"
#include "../segment/directory.h"
#include "../segment/object.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A zeroed handle on cache lines of its own, or NULL with a sentence. */
static inline void *zi_structure_new(size_t size, const char *what)
{
	void *handle = aligned_alloc(128, (size + 127) & ~(size_t)127);
	if (handle == NULL)
		zi_fail(-ENOMEM, "%s: out of memory", what);
	else
		memset(handle, 0, size);
	return handle;
}

/*
 * The way in of every writing operation: the id of this process (> 0), or a refusal. One comparison
 * unless this is a forked child's first call or a read-only attachment.
 */
static inline int zi_structure_enter(struct zi_object *object)
{
	uint32_t id = zi_self_id(object->segment);
	return zi_likely(id == object->id) ? (int)id : zi_object_enter(object);
}

#define ZI_CREATE_MOST 1000 /* times that another creator may come and go in between */

static inline int zi_structure_undecided(const char *name, const char *what)
{
	return zi_fail(-EBADMSG,
		       "%s '%s' can be neither opened nor created: its directory entry is "
		       "damaged",
		       what, name);
}

/*
 * open_or_create, after the create: 1 when it created; -EAGAIN = open again, now that the other
 * creator is done; or what went wrong.
 */
static inline int zi_structure_created(zipc_segment *segment, const char *name, int result)
{
	if (result == 0)
		return 1;
	if (result != -EEXIST)
		return result;
	int r = zi_directory_settle(segment, name);
	return r < 0 ? r : -EAGAIN;
}

#endif
