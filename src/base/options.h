/* SPDX-License-Identifier: MIT */
/* Structs that cross the ABI begin with their size; these read and fill them. */
#ifndef ZI_BASE_OPTIONS_H
#define ZI_BASE_OPTIONS_H

#include <stddef.h>

/*
 * Copies the caller's options into *out (out_size bytes, first member uint32_t struct_size). NULL
 * gives all zero. A shorter struct of an older caller is filled up with zero; a longer one of a
 * newer caller is taken if its unknown part is zero, else -E2BIG. -EINVAL when struct_size makes no
 * sense.
 */
int zi_options_load(void *out, size_t out_size, const void *options, const char *what);

/*
 * Copies a result struct to the caller, as much of it as its struct_size has room for, and leaves
 * struct_size as the caller set it. -EINVAL when that makes no sense.
 */
int zi_result_store(void *out, const void *result, size_t result_size, const char *what);

#endif
