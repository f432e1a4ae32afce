/* SPDX-License-Identifier: MIT */
/*
 * JSON on stdout, written as it goes. Strings may hold any bytes: what is not valid UTF-8 becomes
 * U+FFFD, so that the output can be parsed whatever lay in the segment.
 */
#include "cli.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static void begin_value(cli_json *json)
{
	uint64_t bit = UINT64_C(1) << json->depth;

	if (!json->after_key && (json->filled & bit))
		putchar(',');
	json->filled |= bit;
	json->after_key = false;
}

void cli_json_open(cli_json *json, char bracket)
{
	begin_value(json);
	putchar(bracket);
	json->depth++;
	json->filled &= ~(UINT64_C(1) << json->depth);
}

void cli_json_close(cli_json *json, char bracket)
{
	putchar(bracket);
	json->depth--;
}

void cli_json_end(cli_json *json)
{
	putchar('\n');
	*json = (cli_json){0};
}

static void put_ascii(unsigned char c)
{
	if (c == '"' || c == '\\')
		printf("\\%c", c);
	else if (c < 0x20 || c == 0x7f)
		printf("\\u%04x", c);
	else
		putchar(c);
}

static void put_quoted(const char *text, size_t length)
{
	putchar('"');
	for (size_t i = 0; i < length;) {
		size_t n = cli_utf8(text + i, length - i);

		if (n == 0)
			fputs("\\ufffd", stdout);
		else if (n == 1)
			put_ascii((unsigned char)text[i]);
		else
			fwrite(text + i, 1, n, stdout);
		i += n ? n : 1;
	}
	putchar('"');
}

void cli_json_key(cli_json *json, const char *key)
{
	begin_value(json);
	put_quoted(key, strlen(key));
	putchar(':');
	json->after_key = true;
}

void cli_json_string(cli_json *json, const char *text, size_t length)
{
	begin_value(json);
	put_quoted(text, length);
}

void cli_json_unsigned(cli_json *json, uint64_t value)
{
	begin_value(json);
	printf("%" PRIu64, value);
}

void cli_json_signed(cli_json *json, int64_t value)
{
	begin_value(json);
	printf("%" PRId64, value);
}

/* JSON has no word for infinities and not-a-number: they become strings. */
void cli_json_double(cli_json *json, double value, int digits)
{
	begin_value(json);
	if (isnan(value))
		fputs("\"NaN\"", stdout);
	else if (isinf(value))
		fputs(value > 0 ? "\"Infinity\"" : "\"-Infinity\"", stdout);
	else
		printf("%.*g", digits, value);
}

void cli_json_bool(cli_json *json, bool value)
{
	begin_value(json);
	fputs(value ? "true" : "false", stdout);
}

void cli_json_null(cli_json *json)
{
	begin_value(json);
	fputs("null", stdout);
}

void cli_json_text(cli_json *json, const char *key, const char *text)
{
	cli_json_key(json, key);
	cli_json_string(json, text, strlen(text));
}

void cli_json_number(cli_json *json, const char *key, uint64_t value)
{
	cli_json_key(json, key);
	cli_json_unsigned(json, value);
}

void cli_json_real(cli_json *json, const char *key, double value)
{
	cli_json_key(json, key);
	cli_json_double(json, value, 9);
}

void cli_json_flag(cli_json *json, const char *key, bool value)
{
	cli_json_key(json, key);
	cli_json_bool(json, value);
}

/* Both forms: text for eyes and date libraries, nanoseconds for arithmetic. 0 = not known. */
void cli_json_time(cli_json *json, const char *key, uint64_t since_1970_ns)
{
	char text[CLI_SHORT], ns_key[64];

	cli_json_key(json, key);
	if (since_1970_ns) {
		cli_time_text(text, since_1970_ns, true);
		cli_json_string(json, text, strlen(text));
	} else {
		cli_json_null(json);
	}
	snprintf(ns_key, sizeof(ns_key), "%s_ns", key);
	cli_json_number(json, ns_key, since_1970_ns);
}
