/* SPDX-License-Identifier: MIT */
/*
 * What the files of the zeroipc tool share. The tool stands on the public API only: whatever it
 * does, any other program can do with <zeroipc.h>.
 *
 * A command is a cli_command that its file defines and main.c lists. It gets its parsed options and
 * arguments and returns the exit code. Data goes to stdout; everything else goes to stderr.
 */
#ifndef ZIPC_CLI_H
#define ZIPC_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <zeroipc.h>

/* ---- exit codes ----------------------------------------------------------------------------- */

#define CLI_OK	   0   /* done */
#define CLI_FAILED 1   /* the operation failed, or found problems */
#define CLI_USAGE  2   /* the command line makes no sense */
#define CLI_SIGNAL 128 /* + signal number: ended by Ctrl-C or SIGTERM */

/* ---- options and commands ------------------------------------------------------------------- */

/* How elements are written and read. The order is that of the table in value.c. */
typedef enum cli_format {
	CLI_FORMAT_AUTO,
	CLI_FORMAT_TEXT,
	CLI_FORMAT_HEX,
	CLI_FORMAT_RAW,
	CLI_FORMAT_U8,
	CLI_FORMAT_I8,
	CLI_FORMAT_U16,
	CLI_FORMAT_I16,
	CLI_FORMAT_U32,
	CLI_FORMAT_I32,
	CLI_FORMAT_U64,
	CLI_FORMAT_I64,
	CLI_FORMAT_F32,
	CLI_FORMAT_F64,
	CLI_FORMATS,
} cli_format;

/* One bit per option: which ones a command takes, and which ones were given. */
#define CLI_OPT_JSON		UINT32_C(0x00000001)
#define CLI_OPT_HELP		UINT32_C(0x00000002)
#define CLI_OPT_TRUST		UINT32_C(0x00000004)
#define CLI_OPT_FORMAT		UINT32_C(0x00000008)
#define CLI_OPT_COUNT		UINT32_C(0x00000010)
#define CLI_OPT_WAIT		UINT32_C(0x00000020)
#define CLI_OPT_FOLLOW		UINT32_C(0x00000040)
#define CLI_OPT_ALL		UINT32_C(0x00000080)
#define CLI_OPT_FIRST		UINT32_C(0x00000100)
#define CLI_OPT_SIZE		UINT32_C(0x00000200)
#define CLI_OPT_MAX_SIZE	UINT32_C(0x00000400)
#define CLI_OPT_MAX_PEERS	UINT32_C(0x00000800)
#define CLI_OPT_MODE		UINT32_C(0x00001000)
#define CLI_OPT_TYPE		UINT32_C(0x00002000)
#define CLI_OPT_ELEMENT_SIZE	UINT32_C(0x00004000)
#define CLI_OPT_CAPACITY	UINT32_C(0x00008000)
#define CLI_OPT_ALIGNMENT	UINT32_C(0x00010000)
#define CLI_OPT_SCHEMA		UINT32_C(0x00020000)
#define CLI_OPT_SINGLE_PRODUCER UINT32_C(0x00040000)
#define CLI_OPT_SINGLE_CONSUMER UINT32_C(0x00080000)
#define CLI_OPT_AT_LEAST_ONCE	UINT32_C(0x00100000)
#define CLI_OPT_SEGMENT		UINT32_C(0x00200000)
#define CLI_OPT_WORKERS		UINT32_C(0x00400000)
#define CLI_OPT_KILL		UINT32_C(0x00800000)
#define CLI_OPT_ROUNDS		UINT32_C(0x01000000)

typedef struct cli_options {
	uint32_t given; /* CLI_OPT_* */
	cli_format format;
	uint64_t count;
	uint64_t first;
	uint64_t size;
	uint64_t max_size;
	uint64_t max_peers;
	uint64_t mode;
	uint64_t element_size;
	uint64_t capacity;
	uint64_t alignment;
	uint64_t workers;
	uint64_t kills;
	uint64_t rounds;
	int64_t wait_ns;
	const char *type;
	const char *schema;
} cli_options;

struct cli_command;

typedef struct cli_call {
	const struct cli_command *command;
	cli_options options;
	int argc; /* arguments that are not options */
	char **argv;
} cli_call;

typedef struct cli_command {
	const char *name;
	const char *arguments; /* "SEG/NAME [VALUE...]" */
	const char *summary;   /* one line; NULL = not shown */
	const char *help;      /* what it does, its options, examples */
	uint32_t options;      /* CLI_OPT_*; CLI_OPT_HELP is always taken */
	int least, most;       /* arguments; most -1 = any number */
	int (*run)(const cli_call *call);
} cli_command;

extern const cli_command cli_list, cli_show, cli_cat, cli_push, cli_pop, cli_set, cli_shutdown;
extern const cli_command cli_create, cli_rm, cli_gc, cli_verify, cli_deadlocks, cli_demo;
extern const cli_command cli_demo_reader, cli_demo_worker;

/* True when the option was on the command line. */
bool cli_given(const cli_call *call, uint32_t option);

/* Parses what follows the command's name. Returns CLI_OK, or CLI_USAGE after saying why. */
int cli_parse(const cli_command *command, int argc, char **argv, cli_call *out_call);

/* "64", "64K", "1.5M", "2GiB" in bytes, 1024 based. */
bool cli_parse_size(const char *text, uint64_t *out_size);

/* A whole number from least to most. */
bool cli_parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *out_number);

/* ---- text.c: words for people --------------------------------------------------------------- */

#define CLI_PRINTF(text, values) __attribute__((format(printf, text, values)))

/* Bytes of the UTF-8 character at text, 0 when there is no valid one. */
size_t cli_utf8(const char *text, size_t length);

/* True for valid UTF-8 without control characters (tabs are let through). */
bool cli_is_printable(const char *text, size_t length);

/* Writes text so that no byte of it can harm a terminal: the rest becomes \xNN. */
void cli_put_safe(FILE *out, const char *text, size_t length);

/* "zeroipc: ..." on stderr. cli_failed() returns CLI_FAILED, cli_misused() CLI_USAGE and a hint. */
void cli_note(const char *format, ...) CLI_PRINTF(1, 2);
int cli_failed(const char *format, ...) CLI_PRINTF(1, 2);
int cli_misused(const cli_command *command, const char *format, ...) CLI_PRINTF(2, 3);

/* The library's sentence about the call that just returned rc. */
const char *cli_reason(int rc);

/* The candidate nearest to text, or NULL when none is near. Start with a zeroed cli_nearest. */
typedef struct cli_nearest {
	const char *text;
	char best[256];
	size_t distance;
} cli_nearest;
void cli_nearest_offer(cli_nearest *nearest, const char *candidate);

/* Short forms: "1.5 MiB", "3 min", "2026-11-23 00:28:42". They return buffer. */
#define CLI_SHORT 32
char *cli_size_text(char buffer[CLI_SHORT], uint64_t bytes);
char *cli_rate_text(char buffer[CLI_SHORT], double per_second);
char *cli_age_text(char buffer[CLI_SHORT], uint64_t since_ns);
char *cli_time_text(char buffer[CLI_SHORT], uint64_t since_1970_ns, bool for_json);
char *cli_user_text(char buffer[CLI_SHORT], uint32_t uid);

/* Nanoseconds since 1970. */
uint64_t cli_now_ns(void);

/* malloc and realloc that end the program when there is no memory. */
void *cli_memory(void *old, size_t size);
char *cli_copy(const char *text, size_t length);

/* A table of cells: fill row by row, then print, which also frees it. */
typedef struct cli_table {
	const char *columns; /* one letter each: l left, r right */
	char **cells;
	size_t count;
} cli_table;
void cli_table_cell(cli_table *table, const char *format, ...) CLI_PRINTF(2, 3);
void cli_table_head(cli_table *table, const char *names);
void cli_table_print(cli_table *table, const char *indent);

/* ---- json.c: words for programs -------------------------------------------------------------- */

/* Writes JSON to stdout piece by piece; it keeps the commas. Start with a zeroed cli_json. */
typedef struct cli_json {
	uint64_t filled; /* bit d: something stands in the object or array of depth d */
	unsigned depth;
	bool after_key;
} cli_json;
void cli_json_open(cli_json *json, char bracket);
void cli_json_close(cli_json *json, char bracket);
void cli_json_end(cli_json *json); /* the line is complete */
void cli_json_key(cli_json *json, const char *key);
void cli_json_string(cli_json *json, const char *text, size_t length);
void cli_json_unsigned(cli_json *json, uint64_t value);
void cli_json_signed(cli_json *json, int64_t value);
void cli_json_double(cli_json *json, double value, int digits);
void cli_json_bool(cli_json *json, bool value);
void cli_json_null(cli_json *json);

/* A member: its key and its value. */
void cli_json_text(cli_json *json, const char *key, const char *text);
void cli_json_number(cli_json *json, const char *key, uint64_t value);
void cli_json_real(cli_json *json, const char *key, double value);
void cli_json_flag(cli_json *json, const char *key, bool value);
void cli_json_time(cli_json *json, const char *key, uint64_t since_1970_ns);

/* ---- value.c: elements ---------------------------------------------------------------------- */

/* The format's name, and back. */
const char *cli_format_name(cli_format format);
bool cli_format_find(const char *name, cli_format *out_format);

/* Bytes of one number, 0 for the formats that are not numbers. */
size_t cli_format_width(cli_format format);

/* What to use: the option; else the schema when it is the name of a format; else fallback. */
cli_format cli_format_choose(const cli_call *call, const char *schema, cli_format fallback);

/* Numbers must fill an element exactly: CLI_FAILED after saying that they do not. */
int cli_format_check(cli_format format, const char *name, uint64_t element_size);

/* What help says about formats. */
#define CLI_FORMATS_HELP                                                                           \
	"Formats: text (padded with zero bytes), hex, raw (the bytes alone), and u8 i8 u16 i16\n"  \
	"u32 i32 u64 i64 f32 f64 (an element may hold several numbers, with blanks between).\n"    \
	"Without --format: the structure's schema where it is the name of a format"

/* Text that is padded with zero bytes to the element's size, and not empty. */
bool cli_value_is_text(const void *element, size_t size);

/* One element as one line, or as a JSON value. AUTO = text where it is text, else hex. */
void cli_value_print(cli_format format, const void *element, size_t size);
void cli_value_json(cli_json *json, cli_format format, const void *element, size_t size);

/* Fills the element; false = out_problem says in words why the text does not fit. */
bool cli_value_parse(cli_format format, const char *text, size_t length, void *out_element,
		     size_t size, char out_problem[128]);

/* Rows of 16 bytes with their offset, equal rows left out as "*". */
typedef struct cli_dump {
	uint64_t offset;
	size_t filled;
	bool skipping, started;
	unsigned char row[16], last[16];
} cli_dump;
void cli_dump_bytes(cli_dump *dump, const void *bytes, size_t size);
void cli_dump_end(cli_dump *dump);

/* ---- target.c: what an argument names -------------------------------------------------------- */

/* How to attach. */
#define CLI_LOOK 0 /* read-only */
#define CLI_WORK 1 /* read and write */

/* How to read the argument. */
#define CLI_SEGMENT   0 /* SEG */
#define CLI_STRUCTURE 1 /* SEG/NAME */
#define CLI_EITHER    2 /* the whole as SEG, else SEG/NAME */

typedef struct cli_target {
	zipc_segment *segment;
	uint32_t backing;
	char *segment_name; /* name or path of the segment */
	const char *name;   /* structure; "" = the segment itself */
} cli_target;

/*
 * Finds the segment and attaches to it. In SEG/NAME the longest leading part that is an existing
 * segment is SEG. Returns CLI_OK, or CLI_FAILED after saying why; then nothing is held.
 */
int cli_attach(const cli_call *call, const char *argument, int access, int kind,
	       cli_target *out_target);
void cli_detach(cli_target *target);

/* ZIPC_BACKING_FILE for "/...", "./..." and "../...", else ZIPC_BACKING_SHM. */
uint32_t cli_backing_of(const char *segment_name);

/* True when there is something under that name, whatever it is. */
bool cli_segment_exists(const char *segment_name);

/* The structure's type, element size and schema. CLI_FAILED after saying that it is not there. */
typedef struct cli_structure {
	uint32_t type;
	uint64_t element_size;
	uint64_t capacity;
	char type_name[16];
	char schema[ZIPC_SCHEMA_MAX + 1];
} cli_structure;
int cli_find_structure(const cli_target *target, cli_structure *out_structure);
bool cli_has_structure(zipc_segment *segment, const char *name);

/* Opens the structure the target names; CLI_FAILED after saying why not. */
int cli_open_queue(const cli_target *target, const cli_structure *structure,
		   zipc_queue **out_queue);
int cli_open_array(const cli_target *target, const cli_structure *structure,
		   zipc_array **out_array);

/* From here on SIGINT, SIGTERM and SIGHUP end every wait of this segment; NULL = default again. */
void cli_catch_signals(zipc_segment *segment);
/* 0, or CLI_SIGNAL + the signal that came. */
int cli_caught(void);
/* While true a signal ends the process at once: for reads that zipc_interrupt() cannot end. */
void cli_exit_on_signal(bool at_once);

/* ---- waits.c: who waits for whom ------------------------------------------------------------- */

typedef struct cli_waiter {
	zipc_waiter_entry entry; /* with a copy of its name */
	bool stuck;		 /* can never go on */
	bool printed;
} cli_waiter;

typedef struct cli_waits {
	cli_waiter *waiters;
	size_t waiter_count;
	zipc_holder_entry *holders; /* with copies of their names */
	size_t holder_count;
	zipc_peer_entry *peers; /* with copies of their commands */
	size_t peer_count;
} cli_waits;

/* Needs an attached target. CLI_OK or CLI_FAILED; drop it in either case. */
int cli_take_waits(const cli_target *target, cli_waits *w);
void cli_drop_waits(cli_waits *w);

/* As the process called itself; "?" when it is gone. */
const char *cli_waits_command(const cli_waits *w, uint32_t peer_id);

/* Members of an object: pid, peer, thread, command. */
void cli_json_thread(cli_json *json, const cli_waits *w, uint32_t peer_id, uint32_t pid,
		     uint32_t thread);

/* show_waits.c: of the structures of the target, or of the one that it names. */
void cli_print_waits(const cli_target *target, const cli_waits *w);
void cli_json_waits(cli_json *json, const cli_target *target, const cli_waits *w);

/* Marks those that can never go on: everybody who could let them is one of them. How many. */
size_t cli_find_stuck(cli_waits *w);

/* Who holds what this stuck one waits for and is stuck too, and what keeps that one; or NULL. */
const zipc_holder_entry *cli_waits_for(const cli_waits *w, const cli_waiter *waiter,
				       cli_waiter **out_next);

#endif
