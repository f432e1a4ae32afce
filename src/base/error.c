/* SPDX-License-Identifier: MIT */
#include "error.h"

#include <zeroipc/common.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static __thread char last_error[320];

int zi_fail(int code, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(last_error, sizeof last_error, format, args);
	va_end(args);
	return code;
}

int zi_fail_errno(int code, const char *format, ...)
{
	char reason[64];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(last_error, sizeof last_error, format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < sizeof last_error)
		snprintf(last_error + n, sizeof last_error - (size_t)n, ": %s",
			 strerror_r(-code, reason, sizeof reason));
	return code;
}

const char *zipc_last_error(void)
{
	return last_error;
}

uint32_t zipc_version(void)
{
	return ZIPC_VERSION_MAJOR << 16 | ZIPC_VERSION_MINOR << 8 | ZIPC_VERSION_PATCH;
}

static const struct {
	int code;
	const char *text;
} texts[] = {
	{EAGAIN, "-EAGAIN: nothing there now, try again"},
	{ETIMEDOUT, "-ETIMEDOUT: the deadline passed"},
	{ECANCELED, "-ECANCELED: interrupted by zipc_interrupt()"},
	{EPIPE, "-EPIPE: shut down"},
	{EEXIST, "-EEXIST: the name is taken"},
	{ENOENT, "-ENOENT: no such name"},
	{EPROTOTYPE, "-EPROTOTYPE: other type, element size, alignment or schema"},
	{EPROTONOSUPPORT, "-EPROTONOSUPPORT: a format that this library does not speak"},
	{EBADMSG, "-EBADMSG: damaged"},
	{ENOSPC, "-ENOSPC: no room"},
	{EBUSY, "-EBUSY: held by another living process"},
	{ESTALE, "-ESTALE: no longer there"},
	{EOWNERDEAD, "-EOWNERDEAD: the previous owner died"},
	{ENOTRECOVERABLE, "-ENOTRECOVERABLE: left inconsistent for good"},
	{EINVAL, "-EINVAL: bad parameter"},
	{E2BIG, "-E2BIG: options that this version does not know"},
	{EROFS, "-EROFS: the attachment is read-only"},
	{EDEADLK, "-EDEADLK: called from within itself"},
	{EBADF, "-EBADF: the descriptors of this attachment were closed"},
	{ERANGE, "-ERANGE: index out of range"},
	{EOPNOTSUPP, "-EOPNOTSUPP: not supported here"},
	{EACCES, "-EACCES: permission denied"},
	{EPERM, "-EPERM: not permitted"},
	{ELOOP, "-ELOOP: a symbolic link"},
	{ENOMEM, "-ENOMEM: out of memory or address space"},
	{EMFILE, "-EMFILE: too many open files in this process"},
	{ENFILE, "-ENFILE: too many open files in the system"},
	{EOVERFLOW, "-EOVERFLOW: beyond the maximum"},
};

const char *zipc_strerror(int code)
{
	if (code >= 0)
		return "success";
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		if (-texts[i].code == code)
			return texts[i].text;
	const char *text = code == INT32_MIN ? NULL : strerrordesc_np(-code);
	return text != NULL ? text : "unknown error code";
}
