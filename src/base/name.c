/* SPDX-License-Identifier: MIT */
#include "name.h"

#include "error.h"

#include <zeroipc/common.h>

#include <errno.h>
#include <string.h>

/* Length of the UTF-8 sequence at s (at most n bytes), 0 when it is none. */
static size_t sequence_length(const uint8_t *s, size_t n)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
	if (length <= 1)
		return length;
	if (s[0] > 0xf4 || length > n)
		return 0;
	uint32_t point = s[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (s[i] & 0x3fu);
	}
	bool surrogate = point >= 0xd800 && point <= 0xdfff;
	bool control = point < 0xa0; /* C1 */
	return point < least[length] || point > 0x10ffff || surrogate || control ? 0 : length;
}

bool zi_text_valid(const char *text, size_t size)
{
	const uint8_t *s = (const uint8_t *)text;
	for (size_t i = 0; i < size;) {
		size_t length = sequence_length(s + i, size - i);
		if (length == 0 || (length == 1 && (s[i] < 0x20 || s[i] == 0x7f)))
			return false;
		i += length;
	}
	return true;
}

int zi_name_check(const char *name, const char *what)
{
	if (name == NULL || name[0] == '\0')
		return zi_fail(-EINVAL, "%s: the name is empty", what);
	size_t n = strnlen(name, ZIPC_NAME_MAX + 1);
	if (n > ZIPC_NAME_MAX)
		return zi_fail(-EINVAL, "%s '%.40s...': the name is longer than %d bytes", what,
			       name, ZIPC_NAME_MAX);
	if (!zi_text_valid(name, n))
		return zi_fail(-EINVAL, "%s: the name is not UTF-8 text without control characters",
			       what);
	if (name[0] == '/' || name[n - 1] == '/')
		return zi_fail(-EINVAL, "%s '%s': the name begins or ends with '/'", what, name);
	return 0;
}
