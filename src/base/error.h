/* SPDX-License-Identifier: MIT */
/* The sentence behind zipc_last_error(). */
#ifndef ZI_BASE_ERROR_H
#define ZI_BASE_ERROR_H

/*
 * Leaves a sentence for this thread and returns `code` (negative errno), so that a refusal reads
 *     return zi_fail(-EINVAL, "queue '%s': capacity is 0", name);
 */
int zi_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* zi_fail with ": <text of the errno>" appended, for refusals of the kernel. */
int zi_fail_errno(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
