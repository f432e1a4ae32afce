/* SPDX-License-Identifier: MIT */
/*
 * What the demo reads: the files that were named, or texts that most machines have, or the sample
 * that comes along. Little text is read several times, so that there is time to see something.
 */
#include "demo.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LICENCES   "/usr/share/common-licenses"
#define DICTIONARY "/usr/share/dict/words"
#define SAMPLE	   "sample.txt"

/* Where the installed sample is; the build says it. */
#ifndef ZIPC_EXAMPLES_DIR
#define ZIPC_EXAMPLES_DIR "/usr/local/share/zeroipc/examples"
#endif

/* About a second of work for a few workers. */
#define DEFAULT_VOLUME (UINT64_C(256) << 20)

/* ---- files ---------------------------------------------------------------------------------- */

static bool is_regular(const char *path, bool follow)
{
	struct stat st;

	return (follow ? stat(path, &st) : lstat(path, &st)) == 0 && S_ISREG(st.st_mode);
}

static void add_file(demo_input *input, const char *path)
{
	input->files = cli_memory(input->files, (input->count + 1) * sizeof(*input->files));
	input->files[input->count++] = cli_copy(path, strlen(path));
}

static int by_path(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Symbolic links there only give a licence a second name. */
static void add_licences(demo_input *input)
{
	DIR *directory = opendir(LICENCES);
	struct dirent *entry;
	char path[PATH_MAX];

	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		snprintf(path, sizeof(path), LICENCES "/%s", entry->d_name);
		if (is_regular(path, false))
			add_file(input, path);
	}
	closedir(directory);
	if (input->count > 0)
		qsort(input->files, input->count, sizeof(*input->files), by_path);
}

/* Installed, or in the tree that the tool was built in: next to the build directory or above it. */
static bool add_sample(demo_input *input)
{
	static const char *const ways[] = {"/../share/zeroipc/examples/" SAMPLE,
					   "/examples/" SAMPLE, "/../examples/" SAMPLE,
					   "/../../examples/" SAMPLE, "/../../../examples/" SAMPLE};
	char tool[PATH_MAX], path[PATH_MAX + 64];
	ssize_t length = readlink("/proc/self/exe", tool, sizeof(tool) - 1);

	if (is_regular(ZIPC_EXAMPLES_DIR "/" SAMPLE, true)) {
		add_file(input, ZIPC_EXAMPLES_DIR "/" SAMPLE);
		return true;
	}
	tool[length > 0 ? length : 0] = '\0';
	tool[strrchr(tool, '/') ? strrchr(tool, '/') - tool : 0] = '\0';
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", tool, ways[i]);
		if (is_regular(path, true)) {
			add_file(input, path);
			return true;
		}
	}
	return false;
}

static int add_defaults(demo_input *input)
{
	add_licences(input);
	input->what = "the licence texts of this machine";
	if (is_regular(DICTIONARY, true)) {
		add_file(input, DICTIONARY);
		input->what = input->count > 1
				      ? "the licence texts and the dictionary of this machine"
				      : "the dictionary of this machine";
	}
	if (input->count > 0)
		return CLI_OK;
	input->what = "the text that comes with zeroipc";
	if (add_sample(input))
		return CLI_OK;
	return cli_failed("demo: there are no texts in " LICENCES " and no " DICTIONARY
			  " on this machine; name a file to count: 'zeroipc demo FILE...'");
}

/* Every file is opened once, so that what cannot be read is said before anything starts. */
static int measure_file(demo_input *input, const char *path)
{
	struct stat st;
	FILE *file = fopen(path, "re");

	if (!file)
		return cli_failed("demo: cannot read '%s': %s", path, strerror(errno));
	if (fstat(fileno(file), &st) < 0 || !S_ISREG(st.st_mode)) {
		fclose(file);
		return cli_failed("demo: '%s' is not a regular file (it is read more than once)",
				  path);
	}
	fclose(file);
	input->bytes += (uint64_t)st.st_size;
	return CLI_OK;
}

/* ---- amounts -------------------------------------------------------------------------------- */

/* A file's last block is rarely full, and lines are not cut: there may be more than this. */
static uint64_t least_blocks(const demo_input *input)
{
	uint64_t blocks = (input->bytes + input->limit - 1) / input->limit;

	return blocks * input->rounds;
}

/* Blocks small enough that every worker gets several; whole multiples of the longest word. */
static uint64_t block_limit(uint64_t volume, uint64_t workers)
{
	uint64_t limit = volume / (workers * 16) / DEMO_WORD_MAX * DEMO_WORD_MAX;

	if (limit < 4 * DEMO_WORD_MAX)
		return 4 * DEMO_WORD_MAX;
	return limit < DEMO_TEXT_MAX ? limit : DEMO_TEXT_MAX;
}

#define NAP_LEAST_MS 4
#define NAP_MOST_MS  200

/*
 * Little work would be done before anybody can be killed: then workers rest over each block, about
 * a second altogether, and also when nearly every block shall cost a worker.
 */
static uint64_t nap(const demo_input *input, uint64_t kills)
{
	uint64_t ms = input->blocks ? 1000 / input->blocks : 0;

	if (kills == 0)
		return 0;
	if (ms < NAP_LEAST_MS)
		return 4 * kills > input->blocks ? NAP_LEAST_MS : 0;
	return ms < NAP_MOST_MS ? ms : NAP_MOST_MS;
}

static uint64_t choose_rounds(const cli_call *call, const demo_input *input)
{
	if (cli_given(call, CLI_OPT_ROUNDS))
		return call->options.rounds;
	if (call->argc > 0 || input->bytes == 0 || input->bytes > DEFAULT_VOLUME)
		return 1;
	return DEFAULT_VOLUME / input->bytes;
}

int demo_choose_input(const cli_call *call, demo_input *out_input)
{
	demo_input input = {.what = "the files named"};
	uint64_t workers = call->options.workers;
	int rc = call->argc > 0 ? CLI_OK : add_defaults(&input);

	for (int i = 0; i < call->argc; i++)
		add_file(&input, call->argv[i]);
	for (size_t i = 0; rc == CLI_OK && i < input.count; i++)
		rc = measure_file(&input, input.files[i]);
	if (rc != CLI_OK) {
		demo_drop_input(&input);
		return rc;
	}
	input.rounds = choose_rounds(call, &input);
	input.limit = block_limit(input.bytes * input.rounds, workers);
	input.blocks = least_blocks(&input);
	input.nap_ms = nap(&input, call->options.kills);
	*out_input = input;
	return CLI_OK;
}

void demo_drop_input(demo_input *input)
{
	for (size_t i = 0; i < input->count; i++)
		free(input->files[i]);
	free(input->files);
	*input = (demo_input){0};
}
