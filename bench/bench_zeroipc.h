/* SPDX-License-Identifier: MIT */
/*
 * What all of our own subjects have in common: a segment, to which each lane attaches by itself.
 */
#ifndef ZEROIPC_BENCH_ZEROIPC_H
#define ZEROIPC_BENCH_ZEROIPC_H

#include "bench.h"

#include <zeroipc/segment.h>

/* bench_subject.variant, beside the program's own bits */
#define BENCH_SPIN_NONE 0x80000000u /* waiters go to sleep at once */

struct bench_zeroipc {
	unsigned variant;
	int fd;
	zipc_segment *segment; /* the driver's attachment */
	zipc_segment *here;    /* the lane's attachment, made by its first attach */
};

/* The names of the structures that are measured. */
extern const char *const bench_zeroipc_names[BENCH_PAIR];

void bench_zeroipc_fail(int rc, const char *call) __attribute__((noreturn, cold));

/* Ends the process when rc is an error. */
BENCH_INLINE void bench_zeroipc_check(int rc, const char *call)
{
	if (rc < 0)
		bench_zeroipc_fail(rc, call);
}

/* In the driver: a segment, still empty. */
struct bench_zeroipc *bench_zeroipc_create(const struct bench_subject *self);
void bench_zeroipc_destroy(void *state);

/* In the lane: its attachment. */
zipc_segment *bench_zeroipc_here(struct bench_zeroipc *state);

#endif
