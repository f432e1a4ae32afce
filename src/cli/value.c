/* SPDX-License-Identifier: MIT */
/*
 * Elements as people and programs write them. A segment says how many bytes an element has, not
 * what they mean; the format says that. A schema that is the name of a format ("u64") is the
 * default for its structure.
 */
#include "cli.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum value_kind { KIND_BYTES, KIND_UNSIGNED, KIND_SIGNED, KIND_FLOAT } value_kind;

typedef struct format_info {
	const char *name;
	value_kind kind;
	size_t width; /* bytes of one number */
} format_info;

static const format_info formats[CLI_FORMATS] = {
	[CLI_FORMAT_AUTO] = {"auto", KIND_BYTES, 0},  [CLI_FORMAT_TEXT] = {"text", KIND_BYTES, 0},
	[CLI_FORMAT_HEX] = {"hex", KIND_BYTES, 0},    [CLI_FORMAT_RAW] = {"raw", KIND_BYTES, 0},
	[CLI_FORMAT_U8] = {"u8", KIND_UNSIGNED, 1},   [CLI_FORMAT_I8] = {"i8", KIND_SIGNED, 1},
	[CLI_FORMAT_U16] = {"u16", KIND_UNSIGNED, 2}, [CLI_FORMAT_I16] = {"i16", KIND_SIGNED, 2},
	[CLI_FORMAT_U32] = {"u32", KIND_UNSIGNED, 4}, [CLI_FORMAT_I32] = {"i32", KIND_SIGNED, 4},
	[CLI_FORMAT_U64] = {"u64", KIND_UNSIGNED, 8}, [CLI_FORMAT_I64] = {"i64", KIND_SIGNED, 8},
	[CLI_FORMAT_F32] = {"f32", KIND_FLOAT, 4},    [CLI_FORMAT_F64] = {"f64", KIND_FLOAT, 8},
};

const char *cli_format_name(cli_format format)
{
	return formats[format].name;
}

bool cli_format_find(const char *name, cli_format *out_format)
{
	for (int i = 0; i < CLI_FORMATS; i++) {
		if (strcmp(formats[i].name, name) == 0) {
			*out_format = (cli_format)i;
			return true;
		}
	}
	return false;
}

size_t cli_format_width(cli_format format)
{
	return formats[format].width;
}

cli_format cli_format_choose(const cli_call *call, const char *schema, cli_format fallback)
{
	cli_format format = CLI_FORMAT_AUTO;

	if (cli_given(call, CLI_OPT_FORMAT) && call->options.format != CLI_FORMAT_AUTO)
		return call->options.format;
	if (cli_format_find(schema, &format) && format != CLI_FORMAT_AUTO)
		return format;
	return fallback;
}

int cli_format_check(cli_format format, const char *name, uint64_t element_size)
{
	size_t width = formats[format].width;

	if (width == 0 || element_size % width == 0)
		return CLI_OK;
	return cli_failed("'%s' has elements of %llu bytes; that is no whole number of %s", name,
			  (unsigned long long)element_size, formats[format].name);
}

/* ---- numbers in memory ---------------------------------------------------------------------- */

/* The machine's byte order is the segment's: both are little-endian. */
static uint64_t load_unsigned(const void *at, size_t width)
{
	uint64_t value = 0;

	memcpy(&value, at, width);
	return value;
}

static int64_t load_signed(const void *at, size_t width)
{
	unsigned shift = 64 - 8 * (unsigned)width;

	return (int64_t)(load_unsigned(at, width) << shift) >> shift;
}

static double load_float(const void *at, size_t width)
{
	double wide;
	float narrow;

	if (width == sizeof(narrow)) {
		memcpy(&narrow, at, width);
		return narrow;
	}
	memcpy(&wide, at, width);
	return wide;
}

/* Digits with which the text reads back as the same number. */
static int digits_of(size_t width)
{
	return width == sizeof(float) ? 9 : 17;
}

static void print_number(const format_info *f, const void *at)
{
	if (f->kind == KIND_UNSIGNED)
		printf("%" PRIu64, load_unsigned(at, f->width));
	else if (f->kind == KIND_SIGNED)
		printf("%" PRId64, load_signed(at, f->width));
	else
		printf("%.*g", digits_of(f->width), load_float(at, f->width));
}

static void json_number(cli_json *json, const format_info *f, const void *at)
{
	if (f->kind == KIND_UNSIGNED)
		cli_json_unsigned(json, load_unsigned(at, f->width));
	else if (f->kind == KIND_SIGNED)
		cli_json_signed(json, load_signed(at, f->width));
	else
		cli_json_double(json, load_float(at, f->width), digits_of(f->width));
}

/* ---- text ----------------------------------------------------------------------------------- */

static size_t text_length(const void *element, size_t size)
{
	const unsigned char *bytes = element;

	while (size > 0 && bytes[size - 1] == 0)
		size--;
	return size;
}

bool cli_value_is_text(const void *element, size_t size)
{
	size_t length = text_length(element, size);

	return length > 0 && cli_is_printable(element, length);
}

static cli_format settle(cli_format format, const void *element, size_t size)
{
	if (format != CLI_FORMAT_AUTO)
		return format;
	return cli_value_is_text(element, size) ? CLI_FORMAT_TEXT : CLI_FORMAT_HEX;
}

static char *hex_text(const void *element, size_t size)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = element;
	char *text = cli_memory(NULL, 2 * size + 1);

	for (size_t i = 0; i < size; i++) {
		text[2 * i] = digits[bytes[i] >> 4];
		text[2 * i + 1] = digits[bytes[i] & 15];
	}
	text[2 * size] = '\0';
	return text;
}

/* ---- printing ------------------------------------------------------------------------------- */

static void print_numbers(const format_info *f, const char *element, size_t size)
{
	for (size_t at = 0; at + f->width <= size; at += f->width) {
		if (at > 0)
			putchar(' ');
		print_number(f, element + at);
	}
	putchar('\n');
}

/* As ls does: a terminal is spared control characters, a pipe gets the bytes as they are. */
static void print_text(const void *element, size_t size)
{
	size_t length = text_length(element, size);

	if (isatty(STDOUT_FILENO))
		cli_put_safe(stdout, element, length);
	else
		fwrite(element, 1, length, stdout);
	putchar('\n');
}

static void print_hex(const void *element, size_t size)
{
	char *text = hex_text(element, size);

	puts(text);
	free(text);
}

void cli_value_print(cli_format format, const void *element, size_t size)
{
	format = settle(format, element, size);
	switch (format) {
	case CLI_FORMAT_TEXT:
		print_text(element, size);
		break;
	case CLI_FORMAT_HEX:
		print_hex(element, size);
		break;
	case CLI_FORMAT_RAW:
		fwrite(element, 1, size, stdout);
		break;
	default:
		print_numbers(&formats[format], element, size);
	}
}

static void json_numbers(cli_json *json, const format_info *f, const char *element, size_t size)
{
	if (size == f->width) {
		json_number(json, f, element);
		return;
	}
	cli_json_open(json, '[');
	for (size_t at = 0; at + f->width <= size; at += f->width)
		json_number(json, f, element + at);
	cli_json_close(json, ']');
}

void cli_value_json(cli_json *json, cli_format format, const void *element, size_t size)
{
	char *text;

	format = settle(format, element, size);
	if (format == CLI_FORMAT_TEXT) {
		cli_json_string(json, element, text_length(element, size));
	} else if (formats[format].width) {
		json_numbers(json, &formats[format], element, size);
	} else {
		text = hex_text(element, size);
		cli_json_string(json, text, 2 * size);
		free(text);
	}
}

/* ---- parsing -------------------------------------------------------------------------------- */

#define PROBLEM 128

static bool parse_text(const char *text, size_t length, void *out_element, size_t size,
		       char out_problem[PROBLEM])
{
	if (length > size) {
		snprintf(out_problem, PROBLEM, "it has %zu bytes, an element only %zu", length,
			 size);
		return false;
	}
	memset(out_element, 0, size);
	memcpy(out_element, text, length);
	return true;
}

static bool parse_raw(const char *text, size_t length, void *out_element, size_t size,
		      char out_problem[PROBLEM])
{
	if (length != size) {
		snprintf(out_problem, PROBLEM, "it has %zu bytes, an element %zu", length, size);
		return false;
	}
	memcpy(out_element, text, size);
	return true;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool parse_hex(const char *text, size_t length, void *out_element, size_t size,
		      char out_problem[PROBLEM])
{
	unsigned char *bytes = out_element;
	size_t digits = 0;

	for (size_t i = 0; i < length; i++) {
		int digit = hex_digit(text[i]);

		if (text[i] == ' ')
			continue;
		if (digit < 0) {
			snprintf(out_problem, PROBLEM, "'%c' is no hexadecimal digit", text[i]);
			return false;
		}
		if (digits < 2 * size)
			bytes[digits / 2] =
				(unsigned char)(digits % 2 ? bytes[digits / 2] << 4 | digit
							   : digit);
		digits++;
	}
	if (digits != 2 * size)
		snprintf(out_problem, PROBLEM,
			 "it has %zu hexadecimal digits, an element takes %zu", digits, 2 * size);
	return digits == 2 * size;
}

static bool fits_unsigned(uint64_t value, size_t width)
{
	return width == 8 || value >> (8 * width) == 0;
}

static bool fits_signed(int64_t value, size_t width)
{
	unsigned shift = 64 - 8 * (unsigned)width;

	return (int64_t)((uint64_t)value << shift) >> shift == value;
}

/* One number up to a blank, a comma or the end; base 0 reads 0x too. */
static bool parse_number(const format_info *f, const char *text, char **out_end, void *at)
{
	bool fits;
	uint64_t u;
	int64_t i;
	double d;
	float narrow;

	errno = 0;
	if (f->kind == KIND_UNSIGNED) {
		u = strtoull(text, out_end, 0);
		fits = text[0] != '-' && fits_unsigned(u, f->width);
		memcpy(at, &u, f->width);
	} else if (f->kind == KIND_SIGNED) {
		i = strtoll(text, out_end, 0);
		fits = fits_signed(i, f->width);
		memcpy(at, &i, f->width);
	} else {
		d = strtod(text, out_end);
		narrow = (float)d;
		fits = errno != ERANGE || fabs(d) < 1;
		memcpy(at, f->width == sizeof(narrow) ? (void *)&narrow : (void *)&d, f->width);
		return *out_end != text && fits;
	}
	return *out_end != text && errno == 0 && fits;
}

static bool parse_numbers(const format_info *f, const char *text, char *out_element, size_t size,
			  char out_problem[PROBLEM])
{
	static const char separators[] = " \t,";
	size_t wanted = size / f->width, count = 0;
	char scratch[8] = "", *end;

	for (text += strspn(text, separators); *text; count++) {
		void *at = count < wanted ? out_element + count * f->width : scratch;

		if (!parse_number(f, text, &end, at) || (*end && !strchr(separators, *end))) {
			snprintf(out_problem, PROBLEM, "'%.40s' is no %s", text, f->name);
			return false;
		}
		text = end + strspn(end, separators);
	}
	if (count != wanted)
		snprintf(out_problem, PROBLEM, "it has %zu number%s, an element takes %zu", count,
			 count == 1 ? "" : "s", wanted);
	return count == wanted;
}

bool cli_value_parse(cli_format format, const char *text, size_t length, void *out_element,
		     size_t size, char out_problem[PROBLEM])
{
	const format_info *f = &formats[format];

	if (format == CLI_FORMAT_HEX)
		return parse_hex(text, length, out_element, size, out_problem);
	if (format == CLI_FORMAT_RAW)
		return parse_raw(text, length, out_element, size, out_problem);
	if (f->width == 0)
		return parse_text(text, length, out_element, size, out_problem);
	if (size % f->width != 0) {
		snprintf(out_problem, PROBLEM, "an element has %zu bytes, no whole number of %s",
			 size, f->name);
		return false;
	}
	return parse_numbers(f, text, out_element, size, out_problem);
}

/* ---- dump ----------------------------------------------------------------------------------- */

#define ROW sizeof(((cli_dump *)0)->row)

static void print_row(const cli_dump *dump)
{
	printf("%08" PRIx64 " ", dump->offset);
	for (size_t i = 0; i < ROW; i++) {
		fputs(i == ROW / 2 ? "  " : " ", stdout);
		if (i < dump->filled)
			printf("%02x", dump->row[i]);
		else
			fputs("  ", stdout);
	}
	fputs("  |", stdout);
	for (size_t i = 0; i < dump->filled; i++)
		putchar(dump->row[i] >= 0x20 && dump->row[i] < 0x7f ? dump->row[i] : '.');
	puts("|");
}

/* A row like the one before shows as "*", once. */
static void end_row(cli_dump *dump)
{
	bool same = dump->started && memcmp(dump->row, dump->last, ROW) == 0;

	if (!same)
		print_row(dump);
	else if (!dump->skipping)
		puts("*");
	dump->skipping = same;
	dump->started = true;
	memcpy(dump->last, dump->row, ROW);
	dump->offset += ROW;
	dump->filled = 0;
}

void cli_dump_bytes(cli_dump *dump, const void *bytes, size_t size)
{
	const unsigned char *next = bytes;

	while (size > 0) {
		size_t room = ROW - dump->filled, n = size < room ? size : room;

		memcpy(dump->row + dump->filled, next, n);
		dump->filled += n;
		next += n;
		size -= n;
		if (dump->filled == ROW)
			end_row(dump);
	}
}

void cli_dump_end(cli_dump *dump)
{
	if (dump->filled > 0)
		print_row(dump);
	printf("%08" PRIx64 "\n", dump->offset + dump->filled);
}
