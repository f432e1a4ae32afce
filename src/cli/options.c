/* SPDX-License-Identifier: MIT */
/*
 * The command line: one table knows every option of every command, so that an option means the same
 * thing wherever it is taken. Options and arguments may be mixed; "--" ends the options; "-" and
 * negative numbers are arguments.
 */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef enum option_kind {
	KIND_FLAG,
	KIND_TEXT,
	KIND_NUMBER,
	KIND_SIZE,
	KIND_OCTAL,
	KIND_SECONDS,
	KIND_FORMAT,
} option_kind;

typedef struct option_info {
	const char *name;
	char letter;
	option_kind kind;
	uint32_t bit;
	size_t offset; /* in cli_options */
	uint64_t least, most;
} option_info;

#define AT(member) offsetof(cli_options, member)
#define NO_MEMBER  0

static const option_info options[] = {
	{"json", 'j', KIND_FLAG, CLI_OPT_JSON, NO_MEMBER, 0, 0},
	{"help", 'h', KIND_FLAG, CLI_OPT_HELP, NO_MEMBER, 0, 0},
	{"trust", 0, KIND_FLAG, CLI_OPT_TRUST, NO_MEMBER, 0, 0},
	{"format", 'f', KIND_FORMAT, CLI_OPT_FORMAT, AT(format), 0, 0},
	{"count", 'n', KIND_NUMBER, CLI_OPT_COUNT, AT(count), 0, UINT64_MAX},
	{"wait", 'w', KIND_SECONDS, CLI_OPT_WAIT, AT(wait_ns), 0, 0},
	{"follow", 'F', KIND_FLAG, CLI_OPT_FOLLOW, NO_MEMBER, 0, 0},
	{"all", 'a', KIND_FLAG, CLI_OPT_ALL, NO_MEMBER, 0, 0},
	{"first", 0, KIND_NUMBER, CLI_OPT_FIRST, AT(first), 0, UINT64_MAX},
	{"size", 0, KIND_SIZE, CLI_OPT_SIZE, AT(size), 1, UINT64_MAX},
	{"max-size", 0, KIND_SIZE, CLI_OPT_MAX_SIZE, AT(max_size), 1, UINT64_MAX},
	{"max-peers", 0, KIND_NUMBER, CLI_OPT_MAX_PEERS, AT(max_peers), 1, UINT32_MAX},
	{"mode", 0, KIND_OCTAL, CLI_OPT_MODE, AT(mode), 1, 0777},
	{"type", 't', KIND_TEXT, CLI_OPT_TYPE, AT(type), 0, 0},
	{"element-size", 'e', KIND_SIZE, CLI_OPT_ELEMENT_SIZE, AT(element_size), 1, UINT64_MAX},
	{"capacity", 'c', KIND_SIZE, CLI_OPT_CAPACITY, AT(capacity), 1, UINT64_MAX},
	{"alignment", 0, KIND_NUMBER, CLI_OPT_ALIGNMENT, AT(alignment), 1, UINT32_MAX},
	{"schema", 0, KIND_TEXT, CLI_OPT_SCHEMA, AT(schema), 0, 0},
	{"single-producer", 0, KIND_FLAG, CLI_OPT_SINGLE_PRODUCER, NO_MEMBER, 0, 0},
	{"single-consumer", 0, KIND_FLAG, CLI_OPT_SINGLE_CONSUMER, NO_MEMBER, 0, 0},
	{"at-least-once", 0, KIND_FLAG, CLI_OPT_AT_LEAST_ONCE, NO_MEMBER, 0, 0},
	{"segment", 0, KIND_FLAG, CLI_OPT_SEGMENT, NO_MEMBER, 0, 0},
	{"workers", 0, KIND_NUMBER, CLI_OPT_WORKERS, AT(workers), 1, 64},
	{"kill", 0, KIND_NUMBER, CLI_OPT_KILL, AT(kills), 0, 1000},
	{"rounds", 0, KIND_NUMBER, CLI_OPT_ROUNDS, AT(rounds), 1, 1000000},
};

#define OPTIONS (sizeof(options) / sizeof(options[0]))

bool cli_given(const cli_call *call, uint32_t option)
{
	return (call->options.given & option) != 0;
}

/* ---- values --------------------------------------------------------------------------------- */

/* Digits only: strtoull would let signs and blanks through. */
static bool parse_digits(const char *text, int base, uint64_t *out_number)
{
	char *end;

	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	*out_number = strtoull(text, &end, base);
	return errno == 0 && *end == '\0';
}

bool cli_parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *out_number)
{
	uint64_t number;

	if (!parse_digits(text, 10, &number) || number < least || number > most)
		return false;
	*out_number = number;
	return true;
}

/* "" or B = 1, K or KB or KiB = 1024 and so on; 0 = no such unit. */
static double unit_of(const char *suffix)
{
	static const char letters[] = "KMGTPE";
	const char *letter;
	double unit = 1024;

	if (suffix[0] == '\0' || strcasecmp(suffix, "b") == 0)
		return 1;
	letter = strchr(letters, toupper((unsigned char)suffix[0]));
	if (!letter || (suffix[1] && strcasecmp(suffix + 1, "b") && strcasecmp(suffix + 1, "ib")))
		return 0;
	for (; letter > letters; letter--)
		unit *= 1024;
	return unit;
}

bool cli_parse_size(const char *text, uint64_t *out_size)
{
	char *end;
	double value, unit;

	if (parse_digits(text, 10, out_size))
		return true;
	if (!isdigit((unsigned char)text[0]) || (text[0] == '0' && tolower(text[1]) == 'x'))
		return false;
	value = strtod(text, &end);
	unit = unit_of(end);
	if (unit == 0 || value * unit >= 18446744073709549568.0)
		return false;
	*out_size = (uint64_t)(value * unit);
	return true;
}

static bool parse_seconds(const char *text, int64_t *out_ns)
{
	char *end;
	double seconds;

	if (strcmp(text, "forever") == 0) {
		*out_ns = ZIPC_FOREVER;
		return true;
	}
	if (!isdigit((unsigned char)text[0]) && text[0] != '.')
		return false;
	seconds = strtod(text, &end);
	if (end == text || *end != '\0' || !(seconds <= 1e9))
		return false;
	*out_ns = (int64_t)(seconds * 1e9);
	return true;
}

static const char *kind_text(option_kind kind)
{
	switch (kind) {
	case KIND_SIZE:
		return "a size, for example 4096, 64K or 1.5M";
	case KIND_OCTAL:
		return "permission bits, for example 0660";
	case KIND_SECONDS:
		return "seconds, for example 0.5, or 'forever'";
	case KIND_FORMAT:
		return "text, hex, raw, u8, i8, u16, i16, u32, i32, u64, i64, f32, f64 or auto";
	default:
		return "a whole number";
	}
}

static bool in_range(const option_info *o, uint64_t number)
{
	return number >= o->least && number <= o->most;
}

static bool store_value(const option_info *o, const char *text, cli_options *out)
{
	void *member = (char *)out + o->offset;

	switch (o->kind) {
	case KIND_FLAG:
		return true;
	case KIND_TEXT:
		*(const char **)member = text;
		return true;
	case KIND_NUMBER:
		return parse_digits(text, 10, member) && in_range(o, *(uint64_t *)member);
	case KIND_SIZE:
		return cli_parse_size(text, member) && in_range(o, *(uint64_t *)member);
	case KIND_OCTAL:
		return parse_digits(text, 8, member) && in_range(o, *(uint64_t *)member);
	case KIND_SECONDS:
		return parse_seconds(text, member);
	case KIND_FORMAT:
		return cli_format_find(text, member);
	}
	return false;
}

static int set_option(const option_info *o, const char *text, cli_call *call)
{
	call->options.given |= o->bit;
	if (store_value(o, text, &call->options))
		return CLI_OK;
	if (o->kind == KIND_NUMBER && o->most != UINT64_MAX)
		return cli_misused(call->command, "--%s takes a number from %llu to %llu, not '%s'",
				   o->name, (unsigned long long)o->least,
				   (unsigned long long)o->most, text);
	return cli_misused(call->command, "--%s takes %s, not '%s'", o->name, kind_text(o->kind),
			   text);
}

/* ---- words ---------------------------------------------------------------------------------- */

static bool takes(const cli_command *command, const option_info *o)
{
	return ((command->options | CLI_OPT_HELP) & o->bit) != 0;
}

static const option_info *find_long(const cli_command *command, const char *name, size_t length)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		if (takes(command, &options[i]) && strlen(options[i].name) == length &&
		    memcmp(options[i].name, name, length) == 0)
			return &options[i];
	}
	return NULL;
}

static const option_info *find_short(const cli_command *command, char letter)
{
	for (size_t i = 0; i < OPTIONS; i++) {
		if (takes(command, &options[i]) && options[i].letter == letter)
			return &options[i];
	}
	return NULL;
}

static int unknown_option(const cli_command *command, const char *word)
{
	cli_nearest nearest = {.text = word + strspn(word, "-")};

	for (size_t i = 0; i < OPTIONS; i++) {
		if (takes(command, &options[i]))
			cli_nearest_offer(&nearest, options[i].name);
	}
	if (nearest.best[0] && word[1] == '-')
		return cli_misused(command, "there is no option '%s'; did you mean '--%s'?", word,
				   nearest.best);
	return cli_misused(command, "there is no option '%s'", word);
}

/* The words of a command line that are still to be read. */
typedef struct words {
	int argc;
	char **argv;
	int next;
} words;

/* The value stands behind "=" (or right behind the letter), else it is the next word. */
static int read_value(const option_info *o, const char *attached, words *w, cli_call *call)
{
	if (o->kind == KIND_FLAG && attached)
		return cli_misused(call->command, "--%s takes no value", o->name);
	if (o->kind == KIND_FLAG || attached)
		return set_option(o, attached, call);
	if (w->next >= w->argc)
		return cli_misused(call->command, "--%s needs a value: %s", o->name,
				   kind_text(o->kind));
	return set_option(o, w->argv[w->next++], call);
}

static int read_long(const char *word, words *w, cli_call *call)
{
	const char *name = word + 2, *equals = strchr(name, '=');
	size_t length = equals ? (size_t)(equals - name) : strlen(name);
	const option_info *o = find_long(call->command, name, length);

	if (!o)
		return unknown_option(call->command, word);
	return read_value(o, equals ? equals + 1 : NULL, w, call);
}

/* "-n5", "-n 5", "-Fj" */
static int read_short(const char *word, words *w, cli_call *call)
{
	for (const char *letter = word + 1; *letter; letter++) {
		const option_info *o = find_short(call->command, *letter);
		int rc;

		if (!o)
			return unknown_option(call->command, word);
		if (o->kind != KIND_FLAG)
			return read_value(o, letter[1] ? letter + 1 : NULL, w, call);
		rc = set_option(o, NULL, call);
		if (rc != CLI_OK)
			return rc;
	}
	return CLI_OK;
}

/* "-" is standard input and "-5" or "-.5" a number. */
static bool is_argument(const char *word)
{
	return word[0] != '-' || word[1] == '\0' || word[1] == '.' ||
	       isdigit((unsigned char)word[1]);
}

static int read_words(words *w, cli_call *call)
{
	int rc = CLI_OK;

	while (rc == CLI_OK && w->next < w->argc) {
		char *word = w->argv[w->next++];

		if (strcmp(word, "--") == 0) {
			while (w->next < w->argc)
				call->argv[call->argc++] = w->argv[w->next++];
		} else if (is_argument(word)) {
			call->argv[call->argc++] = word;
		} else if (word[1] == '-') {
			rc = read_long(word, w, call);
		} else {
			rc = read_short(word, w, call);
		}
	}
	return rc;
}

int cli_parse(const cli_command *command, int argc, char **argv, cli_call *out_call)
{
	words w = {.argc = argc, .argv = argv};
	int rc;

	*out_call = (cli_call){.command = command};
	out_call->argv = cli_memory(NULL, ((size_t)argc + 1) * sizeof(char *));
	rc = read_words(&w, out_call);
	if (rc != CLI_OK || cli_given(out_call, CLI_OPT_HELP))
		return rc;
	if (out_call->argc < command->least)
		return cli_misused(command, "something is missing after '%s'", command->name);
	if (command->most >= 0 && out_call->argc > command->most)
		return cli_misused(command, "'%s' is one argument too many",
				   out_call->argv[command->most]);
	return CLI_OK;
}
