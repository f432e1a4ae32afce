/* SPDX-License-Identifier: MIT */
#include "handle.h"

/* A handle before it is bound: all zero. */
static int make(const struct zi_sync_kind *kind, struct zi_object **out_object)
{
	*out_object = zi_structure_new(kind->handle_size, kind->what);
	return *out_object == NULL ? -ENOMEM : 0;
}

static int bind_checked(const struct zi_sync_kind *kind, struct zi_object *object)
{
	const struct zi_view *view = &object->view;
	if ((view->flags & ~kind->flags) != 0)
		return zi_fail(-EPROTONOSUPPORT,
			       "%s '%s' has the flags %#x, unknown to this library", kind->what,
			       view->name, view->flags);
	return kind->bind(object);
}

int zi_sync_create(zipc_segment *segment, const struct zi_sync_kind *kind, struct zi_spec spec,
		   uint64_t argument, void **out_handle)
{
	struct zi_object *object;
	spec.type = kind->type;
	spec.block_alignment = 2 * ZI_LINE; /* processors fetch lines in pairs */
	int r = make(kind, &object);
	if (r < 0)
		return r;
	r = zi_object_create(segment, &spec, object);
	if (r < 0) {
		free(object);
		return r;
	}
	kind->bind(object);
	if (kind->build != NULL)
		kind->build(object, argument);
	zi_object_publish(object);
	*out_handle = object;
	return 0;
}

int zi_sync_open(zipc_segment *segment, const struct zi_sync_kind *kind, struct zi_spec spec,
		 void **out_handle)
{
	struct zi_object *object;
	spec.type = kind->type;
	spec.capacity = 0; /* any: an existing one keeps its own */
	int r = make(kind, &object);
	if (r < 0)
		return r;
	r = zi_object_open(segment, &spec, object);
	if (r < 0) {
		free(object);
		return r;
	}
	r = bind_checked(kind, object);
	if (r < 0)
		zi_sync_close(object);
	else
		*out_handle = object;
	return r;
}

int zi_sync_open_or_create(zipc_segment *segment, const struct zi_sync_kind *kind,
			   struct zi_spec spec, uint64_t argument, void **out_handle)
{
	for (int i = 0; i < ZI_CREATE_MOST; i++) {
		int r = zi_sync_open(segment, kind, spec, out_handle);
		if (r != -ENOENT)
			return r;
		r = zi_sync_create(segment, kind, spec, argument, out_handle);
		r = zi_structure_created(segment, spec.name, r);
		if (r != -EAGAIN)
			return r;
	}
	return zi_structure_undecided(spec.name, kind->what);
}

void zi_sync_close(void *handle)
{
	if (handle == NULL)
		return;
	zi_object_close(handle);
	free(handle);
}

int zi_sync_check_flags(const struct zi_sync_kind *kind, const char *name, uint32_t flags)
{
	if ((flags & ~kind->flags) == 0)
		return 0;
	return zi_fail(-EINVAL, "%s '%s': unknown flags %#x", kind->what, name != NULL ? name : "",
		       flags);
}

int zi_sync_too_small(const struct zi_view *view, const char *what)
{
	return zi_fail(-EBADMSG, "%s '%s': its sizes do not fit its memory", what, view->name);
}
