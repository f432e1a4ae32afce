/* SPDX-License-Identifier: MIT */
/*
 * What people read: messages, sizes, times, tables. Names, schemas and commands come out of shared
 * memory and may hold anything, so nothing reaches a terminal unescaped.
 */
#include "cli.h"

#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- UTF-8 ---------------------------------------------------------------------------------- */

static size_t sequence_length(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead < 0xe0)
		return 2;
	if (lead >= 0xe0 && lead < 0xf0)
		return 3;
	if (lead >= 0xf0 && lead < 0xf5)
		return 4;
	return 0;
}

size_t cli_utf8(const char *text, size_t length)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = length ? sequence_length(p[0]) : 0;

	if (n > length)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	}
	/* overlong forms, surrogates, beyond U+10FFFF */
	if ((n == 3 && p[0] == 0xe0 && p[1] < 0xa0) || (n == 3 && p[0] == 0xed && p[1] > 0x9f) ||
	    (n == 4 && p[0] == 0xf0 && p[1] < 0x90) || (n == 4 && p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

/* C0 controls, DEL, and the C1 controls U+0080 to U+009F, which some terminals obey. */
static bool is_control(const char *text, size_t n)
{
	unsigned char c = (unsigned char)text[0];

	if (n == 1)
		return c < 0x20 || c == 0x7f;
	return n == 2 && c == 0xc2 && (unsigned char)text[1] < 0xa0;
}

bool cli_is_printable(const char *text, size_t length)
{
	for (size_t i = 0; i < length;) {
		size_t n = cli_utf8(text + i, length - i);

		if (n == 0 || (is_control(text + i, n) && text[i] != '\t'))
			return false;
		i += n;
	}
	return true;
}

void cli_put_safe(FILE *out, const char *text, size_t length)
{
	for (size_t i = 0; i < length;) {
		size_t n = cli_utf8(text + i, length - i);

		if (n == 0 || is_control(text + i, n)) {
			fprintf(out, "\\x%02x", (unsigned char)text[i]);
			i++;
			continue;
		}
		fwrite(text + i, 1, n, out);
		i += n;
	}
}

/* ---- messages ------------------------------------------------------------------------------- */

static _Noreturn void out_of_memory(void)
{
	fputs("zeroipc: out of memory\n", stderr);
	exit(CLI_FAILED);
}

void *cli_memory(void *old, size_t size)
{
	void *memory = realloc(old, size ? size : 1);

	if (!memory)
		out_of_memory();
	return memory;
}

char *cli_copy(const char *text, size_t length)
{
	char *copy = cli_memory(NULL, length + 1);

	memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

static CLI_PRINTF(1, 0) char *format_text(const char *format, va_list arguments)
{
	char *text;

	if (vasprintf(&text, format, arguments) < 0)
		out_of_memory();
	return text;
}

static CLI_PRINTF(2, 0) void say(const char *command, const char *format, va_list arguments)
{
	char *text = format_text(format, arguments);

	fflush(stdout);
	fprintf(stderr, "zeroipc%s%s: ", command ? " " : "", command ? command : "");
	cli_put_safe(stderr, text, strlen(text));
	fputc('\n', stderr);
	free(text);
}

void cli_note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(NULL, format, arguments);
	va_end(arguments);
}

int cli_failed(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(NULL, format, arguments);
	va_end(arguments);
	return CLI_FAILED;
}

int cli_misused(const cli_command *command, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say(command->name, format, arguments);
	va_end(arguments);
	fprintf(stderr, "usage: zeroipc %s %s\n('zeroipc help %s' explains it)\n", command->name,
		command->arguments, command->name);
	return CLI_USAGE;
}

/* The expected outcomes of queue calls leave no sentence behind: an older one would be wrong. */
static bool leaves_sentence(int rc)
{
	return rc != -EAGAIN && rc != -ETIMEDOUT && rc != -EPIPE && rc != -ECANCELED;
}

const char *cli_reason(int rc)
{
	const char *sentence = zipc_last_error();

	if (leaves_sentence(rc) && sentence[0])
		return sentence;
	return zipc_strerror(rc);
}

/* ---- "did you mean" ------------------------------------------------------------------------- */

#define NEAREST_MAX 255

static size_t smallest(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Levenshtein: how many letters to insert, delete or replace. */
static size_t edit_distance(const char *a, const char *b)
{
	size_t row[NEAREST_MAX + 1], width = strnlen(b, NEAREST_MAX);

	for (size_t j = 0; j <= width; j++)
		row[j] = j;
	for (size_t i = 0; i < NEAREST_MAX && a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 1; j <= width; j++) {
			size_t above = row[j];

			row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (a[i] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[width];
}

void cli_nearest_offer(cli_nearest *nearest, const char *candidate)
{
	size_t limit = 1 + strlen(nearest->text) / 4;
	size_t distance = edit_distance(nearest->text, candidate);

	if (distance > limit || (nearest->best[0] && distance >= nearest->distance))
		return;
	nearest->distance = distance;
	snprintf(nearest->best, sizeof(nearest->best), "%s", candidate);
}

/* ---- numbers and times ---------------------------------------------------------------------- */

static char *scaled(char buffer[CLI_SHORT], double value, double step, const char *const units[])
{
	int unit = 0;

	while (value >= step && units[unit + 1]) {
		value /= step;
		unit++;
	}
	snprintf(buffer, CLI_SHORT, unit || value < 10 ? "%.1f%s" : "%.0f%s", value, units[unit]);
	return buffer;
}

char *cli_size_text(char buffer[CLI_SHORT], uint64_t bytes)
{
	static const char *const units[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", NULL};

	if (bytes < 1024)
		snprintf(buffer, CLI_SHORT, "%u B", (unsigned)bytes);
	else
		scaled(buffer, (double)bytes, 1024, units);
	return buffer;
}

char *cli_rate_text(char buffer[CLI_SHORT], double per_second)
{
	static const char *const units[] = {"", " k", " M", " G", NULL};

	return scaled(buffer, per_second, 1000, units);
}

uint64_t cli_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

char *cli_age_text(char buffer[CLI_SHORT], uint64_t since_ns)
{
	uint64_t now = cli_now_ns(), s = now > since_ns ? (now - since_ns) / 1000000000 : 0;

	if (s < 120)
		snprintf(buffer, CLI_SHORT, "%u s", (unsigned)s);
	else if (s < 7200)
		snprintf(buffer, CLI_SHORT, "%u min", (unsigned)(s / 60));
	else if (s < 172800)
		snprintf(buffer, CLI_SHORT, "%u h", (unsigned)(s / 3600));
	else
		snprintf(buffer, CLI_SHORT, "%u d", (unsigned)(s / 86400));
	return buffer;
}

char *cli_time_text(char buffer[CLI_SHORT], uint64_t since_1970_ns, bool for_json)
{
	time_t seconds = (time_t)(since_1970_ns / 1000000000);
	struct tm tm;

	if (for_json) {
		gmtime_r(&seconds, &tm);
		strftime(buffer, CLI_SHORT, "%Y-%m-%dT%H:%M:%SZ", &tm);
	} else {
		localtime_r(&seconds, &tm);
		strftime(buffer, CLI_SHORT, "%Y-%m-%d %H:%M:%S", &tm);
	}
	return buffer;
}

char *cli_user_text(char buffer[CLI_SHORT], uint32_t uid)
{
	struct passwd *user = getpwuid((uid_t)uid);

	if (user)
		snprintf(buffer, CLI_SHORT, "%s", user->pw_name);
	else
		snprintf(buffer, CLI_SHORT, "%u", uid);
	return buffer;
}

/* ---- tables --------------------------------------------------------------------------------- */

static char *make_safe(const char *text)
{
	char *safe = NULL;
	size_t length = 0;
	FILE *stream = open_memstream(&safe, &length);

	if (!stream)
		out_of_memory();
	cli_put_safe(stream, text, strlen(text));
	if (fclose(stream) != 0)
		out_of_memory();
	return safe;
}

void cli_table_cell(cli_table *table, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = format_text(format, arguments);
	va_end(arguments);
	table->cells = cli_memory(table->cells, (table->count + 1) * sizeof(*table->cells));
	table->cells[table->count++] = make_safe(text);
	free(text);
}

void cli_table_head(cli_table *table, const char *names)
{
	while (*names) {
		size_t length = strcspn(names, "|");

		cli_table_cell(table, "%.*s", (int)length, names);
		names += length + (names[length] == '|');
	}
}

/* Characters, not bytes: continuation bytes take no column. */
static size_t width_of(const char *text)
{
	size_t width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

#define COLUMNS_MAX 16

static void measure(const cli_table *table, size_t columns, size_t widths[COLUMNS_MAX])
{
	for (size_t i = 0; i < table->count; i++) {
		size_t width = width_of(table->cells[i]), *widest = &widths[i % columns];

		*widest = width > *widest ? width : *widest;
	}
}

static void print_cell(const char *text, char align, size_t width, bool last)
{
	int pad = (int)(width - width_of(text));

	if (align == 'r')
		printf("%*s%s", pad, "", text);
	else
		printf("%s%*s", text, last ? 0 : pad, "");
	fputs(last ? "\n" : "  ", stdout);
}

void cli_table_print(cli_table *table, const char *indent)
{
	size_t columns = strlen(table->columns), widths[COLUMNS_MAX] = {0};

	measure(table, columns, widths);
	for (size_t i = 0; i < table->count; i++) {
		size_t column = i % columns;

		if (column == 0)
			fputs(indent, stdout);
		print_cell(table->cells[i], table->columns[column], widths[column],
			   column == columns - 1);
		free(table->cells[i]);
	}
	free(table->cells);
	*table = (cli_table){0};
}
