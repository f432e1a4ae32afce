/* SPDX-License-Identifier: MIT */
#include "oracle.h"

#include "cmocka_all.h"
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECONDS	       120u
#define PRINTED	       5
#define LONG_RUN       128 /* changes in a row: a block is being copied or filled, ... */
#define LONG_RUN_EVERY 61  /* ... and only some of its bytes are visited */

/* A segment's file as bytes, without the library. */
struct image {
	int fd;
	uint8_t *bytes;
	uint64_t mapped; /* the most it may become */
	uint64_t size;	 /* of the file */
};

struct oracle {
	struct image original;
	struct image copy;
	uint8_t *last;	    /* the bytes of the original when looked at last */
	uint64_t last_size; /* and how many */
	struct world source;
	struct world survivor;
	struct victim victim;
	struct oracle_report *report;
	long states;
	long run; /* changes in a row */
	int printed;
	char paths[2][300];
};

/* ---- images --------------------------------------------------------------------------------- */

static int image_open(struct image *image, const char *path, uint64_t most)
{
	struct stat st;
	image->fd = open(path, O_RDWR | O_CLOEXEC);
	if (image->fd < 0 || fstat(image->fd, &st) != 0)
		return -errno;
	image->size = (uint64_t)st.st_size;
	image->mapped = most > image->size ? most : image->size;
	void *map = mmap(NULL, image->mapped, PROT_READ | PROT_WRITE, MAP_SHARED, image->fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	image->bytes = map;
	return 0;
}

static void image_close(struct image *image)
{
	if (image->bytes != NULL)
		munmap(image->bytes, image->mapped);
	if (image->fd >= 0)
		close(image->fd);
}

static void image_measure(struct image *image)
{
	struct stat st;
	if (fstat(image->fd, &st) == 0 && (uint64_t)st.st_size <= image->mapped)
		image->size = (uint64_t)st.st_size;
}

/* A second file with the same bytes. */
static int copy_file(const char *from, const char *to)
{
	struct image image = {.fd = -1};
	int r = image_open(&image, from, 0);
	int fd = r < 0 ? r : open(to, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (r == 0 && fd < 0)
		r = -errno;
	if (r == 0 && write(fd, image.bytes, image.size) != (ssize_t)image.size)
		r = -EIO;
	if (fd >= 0)
		close(fd);
	image_close(&image);
	return r;
}

/* ---- beginning and end ---------------------------------------------------------------------- */

static int same_id(const struct oracle *oracle)
{
	zipc_segment_info a = {.struct_size = sizeof a}, b = a;
	zipc_segment_get_info(oracle->source.segment, &a);
	zipc_segment_get_info(oracle->survivor.segment, &b);
	return a.self_id == b.self_id ? 0 : -EXDEV;
}

/* Two files of the same bytes, and the test attached to each of them under the same id. */
static int make_twins(struct oracle *oracle)
{
	zipc_segment_options options = world_options(oracle->source.scenario);
	zipc_segment *first;
	int r = zipc_segment_create(oracle->paths[0], &options, &first);
	if (r < 0)
		return r;
	zipc_segment_close(first);
	r = copy_file(oracle->paths[0], oracle->paths[1]);
	if (r == 0)
		r = world_attach(&oracle->source);
	if (r == 0)
		r = world_attach(&oracle->survivor);
	if (r == 0)
		r = image_open(&oracle->original, oracle->paths[0], options.max_size);
	if (r == 0)
		r = image_open(&oracle->copy, oracle->paths[1], options.max_size);
	return r == 0 ? same_id(oracle) : r;
}

static int begin(struct oracle *oracle)
{
	int r = make_twins(oracle);
	if (r < 0) {
		complain(&oracle->source, "twins: %d %s", r, zipc_last_error());
		return r;
	}
	r = world_setup(&oracle->source);
	if (r < 0)
		return r;
	oracle->survivor.used = oracle->source.used;
	oracle->last = calloc(1, oracle->original.mapped);
	if (oracle->last == NULL)
		return -ENOMEM;
	r = victim_start(&oracle->victim, &oracle->source);
	if (r < 0)
		complain(&oracle->source, "the victim does not start: %d", r);
	return r;
}

static void end(struct oracle *oracle)
{
	victim_kill(&oracle->victim);
	zipc_segment_close(oracle->source.segment);
	zipc_segment_close(oracle->survivor.segment);
	image_close(&oracle->original);
	image_close(&oracle->copy);
	free(oracle->last);
}

/* ---- one state ------------------------------------------------------------------------------ */

static void print_complaint(struct oracle *oracle, const struct world *world)
{
	oracle->report->complaints++;
	if (oracle->printed++ >= PRINTED)
		return;
	victim_where(&oracle->victim);
	printf("COMPLAINT oracle, %s, mood %u, after instruction %ld (next +0x%llx), phase %u, "
	       "mark %u: %s\n",
	       world->scenario->name, world->mood, oracle->victim.steps,
	       (unsigned long long)oracle->victim.ip_offset, world->notes->phase,
	       world->notes->mark, world->complaint);
}

/* true = the original's bytes are others than at the last look; takes them. */
static bool take_change(struct oracle *oracle)
{
	struct image *original = &oracle->original;
	if (original->mapped > original->size)
		image_measure(original);
	if (oracle->last_size == original->size &&
	    memcmp(oracle->last, original->bytes, original->size) == 0)
		return false;
	memcpy(oracle->last, original->bytes, original->size);
	oracle->last_size = original->size;
	return true;
}

/* Makes the copy what the original was at the last look. */
static void rewind_copy(struct oracle *oracle)
{
	image_measure(&oracle->copy);
	if (oracle->copy.size < oracle->last_size &&
	    ftruncate(oracle->copy.fd, (off_t)oracle->last_size) == 0)
		oracle->copy.size = oracle->last_size;
	memcpy(oracle->copy.bytes, oracle->last, oracle->last_size);
	if (oracle->copy.size > oracle->last_size)
		memset(oracle->copy.bytes + oracle->last_size, 0,
		       oracle->copy.size - oracle->last_size);
}

static void visit(struct oracle *oracle)
{
	struct world *survivor = &oracle->survivor;
	oracle->states++;
	for (uint32_t mood = 0; mood < survivor->scenario->moods; mood++) {
		rewind_copy(oracle);
		survivor->mood = mood;
		survivor->step = oracle->victim.steps;
		survivor->complaint[0] = '\0';
		survivor->scenario->check(survivor);
		oracle->report->points++;
		if (survivor->complaint[0] != '\0')
			print_complaint(oracle, survivor);
	}
}

static void look(struct oracle *oracle)
{
	if (!take_change(oracle)) {
		oracle->run = 0;
		return;
	}
	if (++oracle->run < LONG_RUN || oracle->run % LONG_RUN_EVERY == 0)
		visit(oracle);
}

static void walk(struct oracle *oracle)
{
	take_change(oracle);
	visit(oracle);
	while (victim_step(&oracle->victim)) {
		oracle->report->boundaries++;
		look(oracle);
	}
	take_change(oracle);
	if (oracle->victim.crash != 0)
		complain(&oracle->source, "the victim got signal %d", oracle->victim.crash);
	else
		visit(oracle); /* the operation has returned: more is promised now */
}

/* ---- */

long oracle_run(const struct scenario *scenario, struct oracle_report *report)
{
	struct victim_notes *notes = notes_make();
	struct oracle oracle = {
		.original.fd = -1,
		.copy.fd = -1,
		.report = report,
		.source = {.scenario = scenario, .notes = notes, .path = oracle.paths[0]},
		.survivor = {.scenario = scenario, .notes = notes, .path = oracle.paths[1]},
	};
	const char *directory = directory_make(NULL);
	snprintf(oracle.paths[0], sizeof oracle.paths[0], "%s/original", directory);
	snprintf(oracle.paths[1], sizeof oracle.paths[1], "%s/copy", directory);
	watchdog(SECONDS, scenario->name);
	report->scenarios++;
	if (begin(&oracle) == 0)
		walk(&oracle);
	if (oracle.source.complaint[0] != '\0')
		print_complaint(&oracle, &oracle.source);
	end(&oracle);
	directory_remove(directory);
	notes_close(notes);
	watchdog(0, "");
	return oracle.states;
}

void oracle_run_all(const struct scenario *scenarios, size_t count, long least,
		    struct oracle_report *report)
{
	if (!victim_supported())
		skip();
	long before = report->complaints;
	for (size_t i = 0; i < count; i++) {
		long states = oracle_run(&scenarios[i], report);
		if (states < least)
			print_error("%s: only %ld states\n", scenarios[i].name, states);
		assert_true(states >= least);
	}
	assert_int_equal(report->complaints - before, 0);
}

void oracle_print(const char *test, const struct oracle_report *report)
{
	printf("%s: %ld scenarios, %ld instruction boundaries, %ld crash points, %ld complaints\n",
	       test, report->scenarios, report->boundaries, report->points, report->complaints);
}
