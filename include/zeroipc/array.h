/* SPDX-License-Identifier: MIT */
/*
 * Array: a fixed number of elements of one size, contiguous, 64-byte aligned, zeroed at creation.
 *
 * Who may call what: everything by any number of threads and processes at once. get, set, fill and
 * plain access through the pointer are ordinary copies: two that overlap at the same time may see
 * each other's halves. The 32 and 64 bit operations are atomic and sequentially consistent.
 *
 * Progress: every operation is wait-free (the atomic ones where the machine's are).
 * When a participant dies: what it had written stays, an element it was just copying may be half
 * old and half new. Nothing is held, nothing has to be given back.
 */
#ifndef ZEROIPC_ARRAY_H
#define ZEROIPC_ARRAY_H

#include "segment.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct zipc_array zipc_array;

typedef struct zipc_array_options {
	uint32_t struct_size; /* sizeof(zipc_array_options) */
	uint32_t alignment;   /* of the first element, a power of two up to 65536; 0 = 64. Open: 0 =
				 any, else the least that is accepted */
	const char *schema; /* what an element is, for people and bindings ("f64 price; u32 n"), up
			       to ZIPC_SCHEMA_MAX bytes; open: NULL = any, else must be equal */
} zipc_array_options;

#define ZIPC_ARRAY_OPTIONS_INIT                                                                    \
	{                                                                                          \
		(uint32_t)sizeof(zipc_array_options), 0, NULL                                      \
	}

/* ---- lifecycle ------------------------------------------------------------------------------ */

/*
 * Creates an array of `length` (1 or more) elements of `element_size` (1 or more) bytes, all zero.
 * Returns 0; -EEXIST; -EINVAL; -E2BIG; -ENOSPC; -EROFS; -EDEADLK; -ECANCELED. Since 0.1.
 */
ZIPC_API int zipc_array_create(zipc_segment *segment, const char *name, uint64_t element_size,
			       uint64_t length, const zipc_array_options *options,
			       zipc_array **out_array);

/*
 * Opens an array. element_size and length must match; 0 = any.
 * Returns 0; -ENOENT; -EPROTOTYPE (not an array, or other sizes); -EINVAL; -E2BIG; -EBADMSG.
 * Since 0.1.
 */
ZIPC_API int zipc_array_open(zipc_segment *segment, const char *name, uint64_t element_size,
			     uint64_t length, const zipc_array_options *options,
			     zipc_array **out_array);

/* Opens it (returns 0), or creates it when it does not exist (returns 1). Since 0.1. */
ZIPC_API int zipc_array_open_or_create(zipc_segment *segment, const char *name,
				       uint64_t element_size, uint64_t length,
				       const zipc_array_options *options, zipc_array **out_array);

/* Closes the handle; NULL is allowed. Since 0.1. */
ZIPC_API void zipc_array_close(zipc_array *array);

/* As zipc_remove(), and -EPROTOTYPE when the name is not an array. Since 0.1. */
ZIPC_API int zipc_array_remove(zipc_segment *segment, const char *name);

/* ---- plain access --------------------------------------------------------------------------- */

/*
 * The first element, valid until the handle is closed; never NULL. Do not write through it when the
 * attachment is read-only (the process would get SIGSEGV). Since 0.1.
 */
ZIPC_API void *zipc_array_data(zipc_array *array);

/* Number of elements; bytes of one element. Since 0.1. */
ZIPC_API uint64_t zipc_array_length(const zipc_array *array);
ZIPC_API uint64_t zipc_array_element_size(const zipc_array *array);

/*
 * Copies one element out, or in. Returns 0; -ERANGE (index); -EROFS; -ESTALE (read-only attachment,
 * and the array was removed meanwhile). Since 0.1.
 */
ZIPC_API int zipc_array_get(zipc_array *array, uint64_t index, void *out_element);
ZIPC_API int zipc_array_set(zipc_array *array, uint64_t index, const void *element);

/*
 * Sets `count` elements from `first` on to the same value; NULL = all bytes zero.
 * Returns 0; -ERANGE (any of them outside: nothing is written); -EROFS. Since 0.1.
 */
ZIPC_API int zipc_array_fill(zipc_array *array, uint64_t first, uint64_t count,
			     const void *element);

/*
 * A checked view of `count` elements from `first` on: the address of the first of them.
 * Returns 0; -ERANGE. Since 0.1.
 */
ZIPC_API int zipc_array_slice(zipc_array *array, uint64_t first, uint64_t count,
			      void **out_elements);

/* ---- atomic access -------------------------------------------------------------------------- */

/*
 * Sequentially consistent operations on element `index`, which must be 4 (…32) or 8 (…64) bytes.
 * add wraps around. The previous value goes to *out_old (may be NULL). cas returns 1 when the
 * element was *expected and is now `desired`; else 0, and *expected holds what is there.
 * Else they return 0; -ERANGE (index); -EPROTOTYPE (element size); -EROFS. Since 0.1.
 */
ZIPC_API int zipc_array_load32(zipc_array *array, uint64_t index, uint32_t *out_value);
ZIPC_API int zipc_array_store32(zipc_array *array, uint64_t index, uint32_t value);
ZIPC_API int zipc_array_add32(zipc_array *array, uint64_t index, uint32_t value, uint32_t *out_old);
ZIPC_API int zipc_array_exchange32(zipc_array *array, uint64_t index, uint32_t value,
				   uint32_t *out_old);
ZIPC_API int zipc_array_cas32(zipc_array *array, uint64_t index, uint32_t *expected,
			      uint32_t desired);
ZIPC_API int zipc_array_load64(zipc_array *array, uint64_t index, uint64_t *out_value);
ZIPC_API int zipc_array_store64(zipc_array *array, uint64_t index, uint64_t value);
ZIPC_API int zipc_array_add64(zipc_array *array, uint64_t index, uint64_t value, uint64_t *out_old);
ZIPC_API int zipc_array_exchange64(zipc_array *array, uint64_t index, uint64_t value,
				   uint64_t *out_old);
ZIPC_API int zipc_array_cas64(zipc_array *array, uint64_t index, uint64_t *expected,
			      uint64_t desired);

#ifdef __cplusplus
}
#endif

#endif
