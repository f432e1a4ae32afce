/* SPDX-License-Identifier: MIT */
/* A segment's header and first tables: laid out at birth, checked at open by the same sums. */
#ifndef ZI_SEGMENT_HEADER_H
#define ZI_SEGMENT_HEADER_H

#include "layout.h"

#include <zeroipc/segment.h>

#define ZI_SLICE_MS_MAX 60000u

/*
 * Reserves in the fresh file fd what the first size needs and writes header and chunk table; the
 * options are complete. 0; -EINVAL; -ENOSPC; -EOPNOTSUPP; -ENOMEM; what the file says.
 */
int zi_header_build(int fd, const zipc_segment_options *options, const char *name);

/*
 * Reads the header of the file fd into *header and checks it from front to back. 0; -EBADMSG;
 * -EPROTONOSUPPORT; what the file says.
 */
int zi_header_check(int fd, const zipc_segment_options *options, struct zi_header *header,
		    const char *name);

#endif
