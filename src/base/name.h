/* SPDX-License-Identifier: MIT */
/* What may be a name: 1 to 63 bytes of UTF-8, no control characters, "/" only in between. */
#ifndef ZI_BASE_NAME_H
#define ZI_BASE_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Returns 0 or -EINVAL with a sentence; `what` is "segment", "queue", ... */
int zi_name_check(const char *name, const char *what);

/* Is this text of at most `size` bytes valid UTF-8 without control characters? */
bool zi_text_valid(const char *text, size_t size);

#endif
