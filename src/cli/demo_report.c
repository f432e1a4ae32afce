/* SPDX-License-Identifier: MIT */
/*
 * What people see of the demo: news and progress on stderr while it works, the result on stdout at
 * the end, after the comparison with a plain count.
 */
#include "demo.h"

#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TOP_WORDS 10

double demo_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- progress ------------------------------------------------------------------------------- */

/* A line of news; it takes the place of the progress line. */
void demo_tell(const char *format, ...)
{
	va_list arguments;

	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
}

static void print_progress(demo *d, unsigned percent, const char *end)
{
	double seconds = demo_now() - d->begin;

	fprintf(stderr, "%3u %% counted: %llu blocks, %.0f MB/s, workers: %u%s", percent,
		(unsigned long long)d->merged, (double)d->bytes / 1e6 / (seconds > 0 ? seconds : 1),
		demo_count_workers(d), end);
}

/* A terminal gets a line that changes ten times a second, a log one line for each quarter. */
void demo_progress(demo *d)
{
	uint64_t volume = d->input.bytes * d->input.rounds;
	unsigned percent = volume ? (unsigned)((double)d->bytes * 100 / (double)volume) : 100;

	if (!isatty(STDERR_FILENO)) {
		if (percent / 25 > d->quarters && percent < 100) {
			d->quarters = percent / 25;
			print_progress(d, percent, "\n");
		}
	} else if (demo_now() - d->last_progress > 0.1) {
		d->last_progress = demo_now();
		fputc('\r', stderr);
		print_progress(d, percent, "\033[K");
		fflush(stderr);
	}
}

void demo_end_progress(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

void demo_introduce(const demo *d)
{
	char size[CLI_SHORT], block[CLI_SHORT];

	demo_tell("counting words in %s: %zu file%s, %s", d->input.what, d->input.count,
		  d->input.count == 1 ? "" : "s", cli_size_text(size, d->input.bytes));
	if (d->input.rounds > 1)
		demo_tell("they are read %llu times: %s", (unsigned long long)d->input.rounds,
			  cli_size_text(size, d->input.bytes * d->input.rounds));
	demo_tell("segment '%s': a reader, %u worker%s, blocks of up to %s", d->name, d->places,
		  d->places == 1 ? "" : "s", cli_size_text(block, d->input.limit));
	if (d->input.nap_ms > 0)
		demo_tell(
			"a worker rests %llu ms over each block, so that there is time to kill it",
			(unsigned long long)d->input.nap_ms);
}

/* ---- the reckoning -------------------------------------------------------------------------- */

/* Not only the sum: every single word must have been seen as often as in the plain count. */
static bool same_words(const demo *d, const demo_words *plain)
{
	if (plain->used != d->words.used)
		return false;
	for (size_t i = 0; i < plain->size; i++) {
		const demo_word *word = &plain->slots[i];

		if (word->count && demo_words_count(&d->words, plain->letters + word->at,
						    word->length) != word->count * d->input.rounds)
			return false;
	}
	return true;
}

/* One pass through the files: the further rounds would count the same again. */
int demo_compare(demo *d)
{
	demo_words plain = {0};
	double begin = demo_now();
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < d->input.count; i++) {
		rc = demo_count_file(&plain, d->input.files[i]);
		if (rc < 0)
			cli_failed("demo: '%s': %s", d->input.files[i], strerror(-rc));
	}
	d->plain_seconds = demo_now() - begin;
	d->plain_words = plain.total * d->input.rounds;
	d->equal = rc == 0 && same_words(d, &plain);
	demo_words_free(&plain);
	return rc == 0 ? CLI_OK : CLI_FAILED;
}

static double speed(uint64_t bytes, double seconds)
{
	return seconds > 0 ? (double)bytes / 1e6 / seconds : 0;
}

static void print_top(const demo *d)
{
	demo_word top[TOP_WORDS];
	size_t count = demo_words_top(&d->words, top, TOP_WORDS);

	printf("the %zu most frequent word%s\n", count, count == 1 ? "" : "s");
	for (size_t i = 0; i < count; i++) {
		printf("%12llu  ", (unsigned long long)top[i].count);
		cli_put_safe(stdout, d->words.letters + top[i].at, top[i].length);
		putchar('\n');
	}
}

static void print_people(const demo *d)
{
	uint64_t volume = d->input.bytes * d->input.rounds;

	print_top(d);
	printf("\nblocks       %12llu\n", (unsigned long long)d->merged);
	printf("words        %12llu  %zu different ones\n", (unsigned long long)d->words.total,
	       d->words.used);
	printf("MB/s         %12.1f  %.1f MB in %.2f s by %u worker%s; plain count %.1f MB/s\n",
	       speed(d->bytes, d->seconds), (double)volume / 1e6, d->seconds, d->places,
	       d->places == 1 ? "" : "s", speed(d->input.bytes, d->plain_seconds));
	printf("killed       %12llu  workers, each with a block in its hands\n",
	       (unsigned long long)d->kill_count);
	printf("redelivered  %12llu  blocks of dead workers, counted by others\n",
	       (unsigned long long)d->redelivered);
	printf("twice        %12llu  results that came again and were left out\n",
	       (unsigned long long)d->repeated);
	printf("lost         %12llu\n", (unsigned long long)d->lost);
	printf("plain count  %12llu  %s\n", (unsigned long long)d->plain_words,
	       d->equal ? "words, each as often: equal" : "words: NOT EQUAL");
}

static void json_kills(cli_json *json, const demo *d)
{
	cli_json_key(json, "killed");
	cli_json_open(json, '[');
	for (uint64_t i = 0; i < d->kill_count; i++) {
		cli_json_open(json, '{');
		cli_json_number(json, "worker", d->kills[i].worker);
		cli_json_number(json, "pid", (uint64_t)d->kills[i].pid);
		cli_json_number(json, "block", d->kills[i].block);
		cli_json_close(json, '}');
	}
	cli_json_close(json, ']');
}

static void json_top(cli_json *json, const demo *d)
{
	demo_word top[TOP_WORDS];
	size_t count = demo_words_top(&d->words, top, TOP_WORDS);

	cli_json_key(json, "top");
	cli_json_open(json, '[');
	for (size_t i = 0; i < count; i++) {
		cli_json_open(json, '{');
		cli_json_key(json, "word");
		cli_json_string(json, d->words.letters + top[i].at, top[i].length);
		cli_json_number(json, "count", top[i].count);
		cli_json_close(json, '}');
	}
	cli_json_close(json, ']');
}

static void print_json(const demo *d)
{
	cli_json json = {0};

	cli_json_open(&json, '{');
	cli_json_number(&json, "files", d->input.count);
	cli_json_number(&json, "rounds", d->input.rounds);
	cli_json_number(&json, "workers", d->places);
	cli_json_number(&json, "blocks", d->merged);
	cli_json_number(&json, "bytes", d->bytes);
	cli_json_number(&json, "words", d->words.total);
	cli_json_number(&json, "different_words", d->words.used);
	cli_json_real(&json, "seconds", d->seconds);
	cli_json_real(&json, "mb_per_second", speed(d->bytes, d->seconds));
	json_kills(&json, d);
	cli_json_number(&json, "killed_by_others", d->strangers);
	cli_json_number(&json, "redelivered", d->redelivered);
	cli_json_number(&json, "counted_twice", d->repeated);
	cli_json_number(&json, "lost", d->lost);
	cli_json_number(&json, "plain_words", d->plain_words);
	cli_json_flag(&json, "equal", d->equal);
	json_top(&json, d);
	cli_json_close(&json, '}');
	cli_json_end(&json);
}

int demo_report(const demo *d)
{
	if (cli_given(d->call, CLI_OPT_JSON))
		print_json(d);
	else
		print_people(d);
	if (d->kill_count < d->call->options.kills)
		cli_note("demo: killed %llu of %llu: the text ended first",
			 (unsigned long long)d->kill_count,
			 (unsigned long long)d->call->options.kills);
	if (d->lost > 0)
		return cli_failed("demo: %llu blocks were lost", (unsigned long long)d->lost);
	return d->equal ? CLI_OK : cli_failed("demo: the counts differ");
}
