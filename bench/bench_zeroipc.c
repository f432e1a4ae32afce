/* SPDX-License-Identifier: MIT */
#include "bench_zeroipc.h"

#include <stdlib.h>
#include <unistd.h>

const char *const bench_zeroipc_names[BENCH_PAIR] = {"there", "back"};

void bench_zeroipc_fail(int rc, const char *call)
{
	bench_fail("zeroipc: %s: %s (%s)", call, zipc_strerror(rc), zipc_last_error());
}

struct bench_zeroipc *bench_zeroipc_create(const struct bench_subject *self)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	struct bench_zeroipc *state = calloc(1, sizeof(*state));

	if (!state)
		bench_fail("out of memory");
	state->variant = self->variant;
	options.backing = ZIPC_BACKING_MEMFD;
	bench_zeroipc_check(zipc_segment_create("bench", &options, &state->segment), "create");
	state->fd = zipc_segment_export_fd(state->segment);
	bench_zeroipc_check(state->fd, "export");
	return state;
}

void bench_zeroipc_destroy(void *arg)
{
	struct bench_zeroipc *state = arg;

	zipc_segment_close(state->segment);
	close(state->fd);
	free(state);
}

zipc_segment *bench_zeroipc_here(struct bench_zeroipc *state)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;

	if (state->variant & BENCH_SPIN_NONE)
		options.spin_ns = ZIPC_SPIN_NONE;
	if (!state->here)
		bench_zeroipc_check(zipc_segment_open_fd(state->fd, &options, &state->here),
				    "open");
	return state->here;
}
