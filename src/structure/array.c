/* SPDX-License-Identifier: MIT */
/*
 * Array: the block is the elements and nothing else; sizes stand in the directory entry and were
 * checked against the block at open. There is nothing to claim, so the dead leave nothing behind.
 */
#include "array.h"

#include "open.h"

#include "../base/atomic.h"
#include "../base/checked.h"
#include "../base/error.h"
#include "../base/options.h"

#include <zeroipc/array.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_ALIGNMENT 64u
#define ALIGNMENT_MAX	  65536u

struct zipc_array {
	struct zi_object object;
	uint8_t *elements;
	uint64_t element_size;
	uint64_t length;
};

/* ---- care ----------------------------------------------------------------------------------- */

static bool sizes_sound(const struct zi_view *view)
{
	uint64_t bytes;
	return view->element_size != 0 && view->capacity != 0 &&
	       zi_mul_add(view->element_size, view->capacity, 0, &bytes) && bytes <= view->size;
}

int zi_array_resolve(zipc_segment *segment, const struct zi_view *view)
{
	(void)segment;
	(void)view;
	return 0;
}

void zi_array_verify(zipc_segment *segment, const struct zi_view *view, struct zi_report *report)
{
	(void)segment;
	if (!sizes_sound(view))
		zi_report_add(report, "array '%s': its elements do not fit its memory", view->name);
}

/* ---- lifecycle ------------------------------------------------------------------------------ */

static int load_spec(const char *name, uint64_t element_size, uint64_t length,
		     const zipc_array_options *options, struct zi_spec *spec)
{
	zipc_array_options o;
	int r = zi_options_load(&o, sizeof o, options, "array options");
	if (r < 0)
		return r;
	if (o.alignment != 0 && (!zi_is_power_of_two(o.alignment) || o.alignment > ALIGNMENT_MAX))
		return zi_fail(-EINVAL, "array '%s': alignment %u is not a power of two up to %u",
			       name != NULL ? name : "", o.alignment, ALIGNMENT_MAX);
	*spec = (struct zi_spec){
		.name = name,
		.type = ZIPC_TYPE_ARRAY,
		.element_size = element_size,
		.capacity = length,
		.alignment = o.alignment,
		.schema = o.schema,
	};
	return 0;
}

static int bind(zipc_array *array)
{
	const struct zi_view *view = &array->object.view;
	if (view->flags != 0)
		return zi_fail(-EPROTONOSUPPORT,
			       "array '%s' has the flags %#x, unknown to this library", view->name,
			       view->flags);
	if (!sizes_sound(view))
		return zi_fail(-EBADMSG, "array '%s': its elements do not fit its memory",
			       view->name);
	array->elements = view->memory;
	array->element_size = view->element_size;
	array->length = view->capacity;
	return 0;
}

static int size_memory(struct zi_spec *spec)
{
	if (spec->element_size == 0 || spec->capacity == 0 ||
	    !zi_mul_add(spec->element_size, spec->capacity, 0, &spec->size))
		return zi_fail(-EINVAL, "array '%s': %llu elements of %llu bytes cannot be",
			       spec->name != NULL ? spec->name : "",
			       (unsigned long long)spec->capacity,
			       (unsigned long long)spec->element_size);
	if (spec->alignment < DEFAULT_ALIGNMENT)
		spec->alignment = DEFAULT_ALIGNMENT;
	spec->block_alignment = spec->alignment;
	return 0;
}

int zipc_array_create(zipc_segment *segment, const char *name, uint64_t element_size,
		      uint64_t length, const zipc_array_options *options, zipc_array **out_array)
{
	struct zi_spec spec;
	int r = load_spec(name, element_size, length, options, &spec);
	if (r == 0)
		r = size_memory(&spec);
	if (r < 0)
		return r;
	zipc_array *array = zi_structure_new(sizeof *array, "array");
	if (array == NULL)
		return -ENOMEM;
	r = zi_object_create(segment, &spec, &array->object);
	if (r < 0) {
		free(array);
		return r;
	}
	bind(array);
	zi_object_publish(&array->object);
	*out_array = array;
	return 0;
}

int zipc_array_open(zipc_segment *segment, const char *name, uint64_t element_size, uint64_t length,
		    const zipc_array_options *options, zipc_array **out_array)
{
	struct zi_spec spec;
	int r = load_spec(name, element_size, length, options, &spec);
	if (r < 0)
		return r;
	zipc_array *array = zi_structure_new(sizeof *array, "array");
	if (array == NULL)
		return -ENOMEM;
	r = zi_object_open(segment, &spec, &array->object);
	if (r < 0) {
		free(array);
		return r;
	}
	r = bind(array);
	if (r < 0)
		zipc_array_close(array);
	else
		*out_array = array;
	return r;
}

int zipc_array_open_or_create(zipc_segment *segment, const char *name, uint64_t element_size,
			      uint64_t length, const zipc_array_options *options,
			      zipc_array **out_array)
{
	for (int i = 0; i < ZI_CREATE_MOST; i++) {
		int r = zipc_array_open(segment, name, element_size, length, options, out_array);
		if (r != -ENOENT)
			return r;
		r = zipc_array_create(segment, name, element_size, length, options, out_array);
		r = zi_structure_created(segment, name, r);
		if (r != -EAGAIN)
			return r;
	}
	return zi_structure_undecided(name, "array");
}

void zipc_array_close(zipc_array *array)
{
	if (array == NULL)
		return;
	zi_object_close(&array->object);
	free(array);
}

int zipc_array_remove(zipc_segment *segment, const char *name)
{
	return zi_directory_remove(segment, name, ZIPC_TYPE_ARRAY);
}

/* ---- plain access --------------------------------------------------------------------------- */

void *zipc_array_data(zipc_array *array)
{
	return array->elements;
}

uint64_t zipc_array_length(const zipc_array *array)
{
	return array->length;
}

uint64_t zipc_array_element_size(const zipc_array *array)
{
	return array->element_size;
}

static int check_range(const zipc_array *array, uint64_t first, uint64_t count)
{
	if (zi_within(first, count, array->length))
		return 0;
	return zi_fail(-ERANGE, "array '%s': %llu elements from %llu on; it has %llu",
		       array->object.view.name, (unsigned long long)count,
		       (unsigned long long)first, (unsigned long long)array->length);
}

/* May this process write, and are those elements there? */
static int check_write(zipc_array *array, uint64_t first, uint64_t count)
{
	int r = zi_structure_enter(&array->object);
	return r < 0 ? r : check_range(array, first, count);
}

/* Is it there? A forked child takes hold of the array anew at its first call. */
static int check_read(zipc_array *array, uint64_t index)
{
	int r = array->object.segment->read_only ? 0 : zi_structure_enter(&array->object);
	return r < 0 ? r : check_range(array, index, 1);
}

int zipc_array_get(zipc_array *array, uint64_t index, void *out_element)
{
	int r = check_read(array, index);
	if (r < 0)
		return r;
	memcpy(out_element, array->elements + index * array->element_size, array->element_size);
	return array->object.segment->read_only ? zi_object_still_there(&array->object) : 0;
}

int zipc_array_set(zipc_array *array, uint64_t index, const void *element)
{
	int r = check_write(array, index, 1);
	if (r < 0)
		return r;
	memcpy(array->elements + index * array->element_size, element, array->element_size);
	return 0;
}

int zipc_array_fill(zipc_array *array, uint64_t first, uint64_t count, const void *element)
{
	int r = check_write(array, first, count);
	if (r < 0)
		return r;
	uint8_t *to = array->elements + first * array->element_size;
	if (element == NULL) {
		memset(to, 0, count * array->element_size);
		return 0;
	}
	for (uint64_t i = 0; i < count; i++, to += array->element_size)
		memcpy(to, element, array->element_size);
	return 0;
}

int zipc_array_slice(zipc_array *array, uint64_t first, uint64_t count, void **out_elements)
{
	int r = check_range(array, first, count);
	if (r < 0)
		return r;
	*out_elements = array->elements + first * array->element_size;
	return 0;
}

/* ---- atomic access -------------------------------------------------------------------------- */

static int check_width(const zipc_array *array, uint64_t width)
{
	if (array->element_size == width)
		return 0;
	return zi_fail(-EPROTOTYPE, "array '%s': element size is %llu; this call is for %llu",
		       array->object.view.name, (unsigned long long)array->element_size,
		       (unsigned long long)width);
}

static int check_atomic_write(zipc_array *array, uint64_t index, uint64_t width)
{
	int r = check_width(array, width);
	return r < 0 ? r : check_write(array, index, 1);
}

static int check_atomic_read(zipc_array *array, uint64_t index, uint64_t width)
{
	int r = check_width(array, width);
	return r < 0 ? r : check_read(array, index);
}

/* The five operations for one width. */
#define ATOMIC_OPERATIONS(bits)                                                                    \
	static uint##bits##_t *at##bits(zipc_array *array, uint64_t index)                         \
	{                                                                                          \
		return (uint##bits##_t *)(void *)array->elements + index;                          \
	}                                                                                          \
                                                                                                   \
	int zipc_array_load##bits(zipc_array *array, uint64_t index, uint##bits##_t *out_value)    \
	{                                                                                          \
		int r = check_atomic_read(array, index, sizeof *out_value);                        \
		if (r < 0)                                                                         \
			return r;                                                                  \
		*out_value = zi_load_seq_cst(at##bits(array, index));                              \
		return array->object.segment->read_only ? zi_object_still_there(&array->object)    \
							: 0;                                       \
	}                                                                                          \
                                                                                                   \
	int zipc_array_store##bits(zipc_array *array, uint64_t index, uint##bits##_t value)        \
	{                                                                                          \
		int r = check_atomic_write(array, index, sizeof value);                            \
		if (r == 0)                                                                        \
			zi_store_seq_cst(at##bits(array, index), value);                           \
		return r;                                                                          \
	}                                                                                          \
                                                                                                   \
	int zipc_array_add##bits(zipc_array *array, uint64_t index, uint##bits##_t value,          \
				 uint##bits##_t *out_old)                                          \
	{                                                                                          \
		int r = check_atomic_write(array, index, sizeof value);                            \
		if (r < 0)                                                                         \
			return r;                                                                  \
		uint##bits##_t old = zi_add_seq_cst(at##bits(array, index), value);                \
		if (out_old != NULL)                                                               \
			*out_old = old;                                                            \
		return 0;                                                                          \
	}                                                                                          \
                                                                                                   \
	int zipc_array_exchange##bits(zipc_array *array, uint64_t index, uint##bits##_t value,     \
				      uint##bits##_t *out_old)                                     \
	{                                                                                          \
		int r = check_atomic_write(array, index, sizeof value);                            \
		if (r < 0)                                                                         \
			return r;                                                                  \
		uint##bits##_t old = zi_exchange_seq_cst(at##bits(array, index), value);           \
		if (out_old != NULL)                                                               \
			*out_old = old;                                                            \
		return 0;                                                                          \
	}                                                                                          \
                                                                                                   \
	int zipc_array_cas##bits(zipc_array *array, uint64_t index, uint##bits##_t *expected,      \
				 uint##bits##_t desired)                                           \
	{                                                                                          \
		int r = check_atomic_write(array, index, sizeof desired);                          \
		return r < 0 ? r : zi_cas_seq_cst(at##bits(array, index), expected, desired);      \
	}

ATOMIC_OPERATIONS(32)
ATOMIC_OPERATIONS(64)
