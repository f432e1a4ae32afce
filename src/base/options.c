/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "error.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#define STRUCT_SIZE_MAX 4096u /* no struct of any version will be larger */

static int check_size(uint32_t size, const char *what)
{
	if (size < sizeof(uint32_t) || size > STRUCT_SIZE_MAX)
		return zi_fail(-EINVAL, "%s: struct_size is %u; set it to sizeof the struct", what,
			       size);
	return 0;
}

int zi_options_load(void *out, size_t out_size, const void *options, const char *what)
{
	memset(out, 0, out_size);
	if (options == NULL)
		return 0;
	uint32_t size;
	memcpy(&size, options, sizeof size);
	int r = check_size(size, what);
	if (r < 0)
		return r;
	const uint8_t *bytes = options;
	for (size_t i = out_size; i < size; i++)
		if (bytes[i] != 0)
			return zi_fail(-E2BIG,
				       "%s: a setting at byte %zu is unknown to this version", what,
				       i);
	memcpy(out, options, size < out_size ? size : out_size);
	return 0;
}

int zi_result_store(void *out, const void *result, size_t result_size, const char *what)
{
	uint32_t size;
	memcpy(&size, out, sizeof size);
	int r = check_size(size, what);
	if (r < 0)
		return r;
	memset((uint8_t *)out + sizeof size, 0, size - sizeof size);
	size_t n = size < result_size ? size : result_size;
	memcpy((uint8_t *)out + sizeof size, (const uint8_t *)result + sizeof size,
	       n - sizeof size);
	return 0;
}
