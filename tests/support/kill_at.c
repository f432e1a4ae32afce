/* SPDX-License-Identifier: MIT */
#include "kill_at.h"

#include "cmocka_all.h"
#include "peer.h"

#include "segment/segment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECONDS	    120u
#define PRINTED	    5
#define SAMPLES	    6  /* instructions in between that are tried, too */
#define INTERESTING 48 /* moments that are tried; if there are more, evenly chosen ones */
#define FULL_LIMIT  100000
#define PLACES	    4096

#define MOMENTS_MAX ((long)(sizeof((struct moments *)0)->step / sizeof(long)))

static bool want_all(void)
{
	const char *text = getenv("ZIPC_TEST_FULL");
	return text != NULL && strcmp(text, "0") != 0;
}

static void print_complaint(const char *how, const struct world *world)
{
	printf("COMPLAINT %s, %s, mood %u, after instruction %ld, phase %u, mark %u: %s\n", how,
	       world->scenario->name, world->mood, world->step, world->notes->phase,
	       world->notes->mark, world->complaint);
}

/* ---- which instructions --------------------------------------------------------------------- */

static void add_moment(struct moments *moments, long step)
{
	if (moments->count < MOMENTS_MAX &&
	    (moments->count == 0 || moments->step[moments->count - 1] != step))
		moments->step[moments->count++] = step;
}

/* The bytes of the segment as they were, to see when they change. */
struct shadow {
	const uint8_t *bytes;
	uint8_t *last;
	size_t size;
};

static bool has_changed(struct shadow *shadow)
{
	if (memcmp(shadow->last, shadow->bytes, shadow->size) == 0)
		return false;
	memcpy(shadow->last, shadow->bytes, shadow->size);
	return true;
}

/* Remembers where the victim stands; makes room as it goes. */
static bool note_place(struct moments *out, const struct victim *victim)
{
	if ((victim->steps & (PLACES - 1)) == 0) {
		uint64_t *more = realloc(out->ip, sizeof *more * (size_t)(victim->steps + PLACES));
		if (more == NULL)
			return false;
		out->ip = more;
	}
	out->ip[victim->steps] = victim->ip;
	out->total = victim->steps;
	return true;
}

static void trace(struct world *world, struct victim *victim, struct moments *out)
{
	struct shadow shadow = {.bytes = world->segment->base,
				.size = zi_header(world->segment)->size};
	shadow.last = calloc(1, shadow.size);
	if (shadow.last == NULL)
		return;
	has_changed(&shadow);
	bool in_call = victim_where(victim);
	add_moment(out, 0);
	while (note_place(out, victim)) {
		bool was_call = in_call;
		if (was_call)
			add_moment(out, victim->steps);
		if (!victim_step(victim))
			break;
		if (has_changed(&shadow) || was_call)
			add_moment(out, victim->steps);
		in_call = victim_where(victim);
	}
	free(shadow.last);
}

static int with_fresh_world(const struct scenario *scenario,
			    void (*act)(struct world *, struct victim *, void *), void *arg,
			    const char *how)
{
	const char *directory = directory_make(NULL);
	char path[300];
	snprintf(path, sizeof path, "%s/segment", directory);
	struct victim_notes *notes = notes_make();
	struct world world = {.path = path};
	struct victim victim = {0};
	int r = world_make(&world, scenario, notes);
	if (r == 0) {
		r = victim_start(&victim, &world);
		if (r < 0)
			complain(&world, "the victim does not start: %d", r);
	}
	if (r == 0)
		act(&world, &victim, arg);
	victim_kill(&victim);
	r = world.complaint[0] != '\0' ? -EBADMSG : 0;
	if (r < 0)
		print_complaint(how, &world);
	world_end(&world);
	notes_close(notes);
	directory_remove(directory);
	return r;
}

static void act_trace(struct world *world, struct victim *victim, void *arg)
{
	trace(world, victim, arg);
	if (victim->crash != 0)
		complain(world, "the victim got signal %d", victim->crash);
}

int moments_find(const struct scenario *scenario, struct moments *out)
{
	*out = (struct moments){0};
	return with_fresh_world(scenario, act_trace, out, "trace");
}

void moments_free(struct moments *moments)
{
	free(moments->ip);
	moments->ip = NULL;
}

void victim_walk(struct victim *victim, const struct moments *moments, long step)
{
	if (step > moments->total)
		step = moments->total;
	long visit = 0;
	for (long i = 0; i <= step; i++)
		visit += moments->ip[i] == moments->ip[step];
	victim_run_to(victim, moments->ip[step], visit);
	victim->steps = step;
}

/* Interesting ones, some in between, or all. Increasing; returns how many, at most `limit`. */
static long choose(const struct moments *moments, long *steps, long limit)
{
	long n = 0, next = 0, gap = want_all() ? 1 : moments->total / SAMPLES + 1;
	long every = want_all() ? 1 : moments->count / INTERESTING + 1;
	for (long k = 0; k <= moments->total && n < limit; k++) {
		bool interesting = next < moments->count && moments->step[next] == k;
		bool chosen = interesting && next % every == 0;
		next += interesting;
		if (chosen || k % gap == 0)
			steps[n++] = k;
	}
	return n;
}

/* ---- killing -------------------------------------------------------------------------------- */

struct deed {
	const struct moments *moments;
	long step;
	uint32_t mood;
};

static void walk_to(struct world *world, struct victim *victim, const struct deed *deed)
{
	world->mood = deed->mood;
	victim_walk(victim, deed->moments, deed->step);
	world->step = victim->steps;
	if (victim->crash != 0)
		complain(world, "the victim got signal %d", victim->crash);
}

static void act_kill(struct world *world, struct victim *victim, void *arg)
{
	walk_to(world, victim, arg);
	victim_kill(victim);
	world->scenario->check(world);
}

static void act_stop(struct world *world, struct victim *victim, void *arg)
{
	walk_to(world, victim, arg);
	world->victim = victim;
	world->scenario->stopped(world);
	victim_finish(victim);
	if (victim->crash != 0)
		complain(world, "the victim got signal %d", victim->crash);
	if (world->notes->phase != VICTIM_RETURNED)
		complain(world, "the victim did not come to its end");
	world->scenario->finished(world);
}

/* In each moment once, in one of the moods in turn; or `each` times, in as many moods. */
static long run_all(const struct scenario *scenario, struct kill_report *report, const char *how,
		    uint32_t each, void (*act)(struct world *, struct victim *, void *))
{
	struct moments moments = {0};
	watchdog(SECONDS, scenario->name);
	report->scenarios++;
	long *steps = calloc(FULL_LIMIT, sizeof *steps);
	if (steps == NULL || moments_find(scenario, &moments) < 0) {
		report->complaints++;
		free(steps);
		moments_free(&moments);
		return 0;
	}
	long n = choose(&moments, steps, FULL_LIMIT) * each, printed = 0;
	for (long i = 0; i < n && printed < PRINTED; i++) {
		struct deed deed = {.moments = &moments,
				    .step = steps[i / each],
				    .mood = (uint32_t)i % (each > 1 ? each : scenario->moods)};
		if (with_fresh_world(scenario, act, &deed, how) < 0)
			printed++;
		watchdog(SECONDS, scenario->name);
	}
	report->complaints += printed;
	free(steps);
	moments_free(&moments);
	watchdog(0, "");
	return n;
}

long kill_at_run(const struct scenario *scenario, struct kill_report *report)
{
	long n = run_all(scenario, report, "kill", 1, act_kill);
	report->kills += n;
	return n;
}

long stop_at_run(const struct scenario *scenario, struct kill_report *report)
{
	uint32_t each = scenario->stop_moods > 0 ? scenario->stop_moods : 1;
	long n = run_all(scenario, report, "stop", each, act_stop);
	report->stops += n;
	return n;
}

void kill_at_run_all(const struct scenario *scenarios, size_t count, struct kill_report *report)
{
	if (!victim_supported())
		skip();
	long before = report->complaints;
	for (size_t i = 0; i < count; i++)
		assert_true(kill_at_run(&scenarios[i], report) > 2);
	assert_int_equal(report->complaints - before, 0);
}

void stop_at_run_all(const struct scenario *scenarios, size_t count, struct kill_report *report)
{
	if (!victim_supported())
		skip();
	long before = report->complaints;
	for (size_t i = 0; i < count; i++)
		assert_true(stop_at_run(&scenarios[i], report) > 2);
	assert_int_equal(report->complaints - before, 0);
}

void kill_at_print(const char *test, const struct kill_report *report)
{
	printf("%s: %ld scenarios, %ld kills, %ld stops, %ld complaints\n", test, report->scenarios,
	       report->kills, report->stops, report->complaints);
}
