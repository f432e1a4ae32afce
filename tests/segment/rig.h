/* SPDX-License-Identifier: MIT */
/*
 * What the one-process tests share: small segments without a name, a second attachment of the same
 * segment, sentences, numbers of a segment.
 */
#ifndef TESTS_SEGMENT_RIG_H
#define TESTS_SEGMENT_RIG_H

#include "support/cmocka_all.h"
#include "support/peer.h"

#include <zeroipc.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define MIB (UINT64_C(1024) * 1024)

#define assert_ok(call) assert_int_equal((call), 0)

/* The sentence that the last refusal left contains this. */
static inline void assert_said(const char *part)
{
	if (strstr(zipc_last_error(), part) == NULL)
		fail_msg("expected a sentence with \"%s\", got \"%s\"", part, zipc_last_error());
}

static inline zipc_segment_options rig_options(uint32_t backing, uint64_t max_size)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	options.backing = backing;
	options.max_size = max_size;
	options.max_peers = 16;
	options.slice_max_ms = 50;
	return options;
}

/* A memfd segment that may grow to max_size. */
static inline zipc_segment *rig_make(uint64_t max_size)
{
	zipc_segment_options options = rig_options(ZIPC_BACKING_MEMFD, max_size);
	options.size = 256 * KIB;
	zipc_segment *segment = NULL;
	assert_ok(zipc_segment_create(unique_name("rig"), &options, &segment));
	return segment;
}

/* One more attachment of this process to the same segment. */
static inline zipc_segment *rig_again(zipc_segment *segment, uint32_t flags)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	zipc_segment *again = NULL;
	options.flags = flags;
	int fd = zipc_segment_export_fd(segment);
	assert_true(fd >= 0);
	assert_ok(zipc_segment_open_fd(fd, &options, &again));
	close(fd);
	return again;
}

static inline zipc_segment_info rig_info(zipc_segment *segment)
{
	zipc_segment_info info = {.struct_size = sizeof info};
	assert_ok(zipc_segment_get_info(segment, &info));
	return info;
}

static inline uint64_t rig_used(zipc_segment *segment)
{
	return rig_info(segment).used;
}

/* "Alive" may be believed for a millisecond, by a clock that ticks every few. */
static inline void rig_close_and_wait(zipc_segment *segment)
{
	zipc_segment_close(segment);
	nap_us(12000);
}

/* Prints what verify finds, so that a failing test says it. */
static inline int rig_print_problem(const char *problem, void *arg)
{
	(void)arg;
	print_message("verify: %s\n", problem);
	return 0;
}

static inline void assert_sound(zipc_segment *segment)
{
	assert_int_equal(zipc_segment_verify(segment, rig_print_problem, NULL), 0);
}

/* Nothing to give back, nothing wrong, nothing beyond `used`; closes it. */
static inline void rig_close(zipc_segment *segment, uint64_t used)
{
	assert_int_equal(zipc_segment_gc(segment), 0);
	assert_sound(segment);
	assert_int_equal(rig_used(segment), used);
	zipc_segment_close(segment);
}

#endif
