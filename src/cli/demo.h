/* SPDX-License-Identifier: MIT */
/*
 * zeroipc demo counts words with several processes that share one segment:
 *
 *   reader --> queue "blocks" --> workers --> queue "results" --> collector
 *
 * The reader reads files straight into slots of "blocks". Each worker takes a block, counts its
 * words where it lies, writes the counts straight into a slot of "results", and only then
 * acknowledges the block. "blocks" is an at-least-once queue: when a worker is killed with a block
 * in its hands, the block comes back to another worker.
 *
 * At least once means that a block may be counted twice: by a worker that was killed after it had
 * sent the result and before it acknowledged the block, and by the next one. Therefore a result
 * carries the number of its block, and the collector takes each number once. Both halves belong
 * together wherever at-least-once is used: redelivery, and a receiver to whom it does no harm.
 *
 * demo.c           the stage, and the collector who merges the results
 * demo_cast.c      starts reader and workers, and kills some
 * demo_report.c    progress, comparison with a plain count, the table at the end
 * demo_roles.c     the reader and the worker, which run as processes of their own
 * demo_words.c     tables of words and the plain count
 * demo_input.c     which files, how often, in blocks of which size
 */
#ifndef ZIPC_CLI_DEMO_H
#define ZIPC_CLI_DEMO_H

#include "cli.h"

#include <limits.h>
#include <sys/types.h>

/* ---- what lies in the segment ---------------------------------------------------------------- */

/* A longer run of letters counts as several words of this length. */
#define DEMO_WORD_MAX 256

/* Text of one block; whole words of the greatest length fill it without a rest. */
#define DEMO_TEXT_MAX (255 * DEMO_WORD_MAX)

/*
 * Counts of one block. An entry takes 3 + n bytes for a word of n letters, and each different word
 * takes at least n + 1 bytes of the text (the last one n): 3 + n <= 2 * (n + 1), so that twice the
 * text always holds them all.
 */
#define DEMO_TABLE_MAX (2 * (DEMO_TEXT_MAX + 1))

#define DEMO_BLOCKS  "blocks"
#define DEMO_RESULTS "results"

/* Array of u64 that tells the conductor where everybody is. */
#define DEMO_STATUS	   "status"
#define DEMO_STATUS_READER 0 /* blocks that the reader has put in */
#define DEMO_STATUS_WORKER 1 /* + worker's place: number + 1 of the block it holds, 0 = none */

typedef struct demo_block {
	uint64_t number; /* 0, 1, 2, ... */
	uint32_t length; /* bytes of text */
	uint32_t reserved;
	char text[DEMO_TEXT_MAX];
} demo_block;

typedef struct demo_result {
	uint64_t block;	     /* number of the block */
	uint32_t length;     /* bytes of its text */
	uint32_t worker;     /* who counted */
	uint32_t deliveries; /* how often the block was handed out, this time included */
	uint32_t used;	     /* bytes of table */
	unsigned char table[DEMO_TABLE_MAX]; /* of each word: u16 count, u8 length - 1, letters */
} demo_result;

/* ---- demo_words.c --------------------------------------------------------------------------- */

typedef struct demo_word {
	uint64_t count; /* 0 = the slot is free */
	uint32_t hash;
	uint32_t at; /* in letters */
	uint32_t length;
} demo_word;

/* A hash table; start with a zeroed one. */
typedef struct demo_words {
	demo_word *slots;
	size_t size, used; /* size is a power of two */
	char *letters;
	size_t letters_used, letters_room;
	uint64_t total; /* sum of all counts */
} demo_words;

void demo_words_add(demo_words *words, const void *letters, size_t length, uint64_t count);
uint64_t demo_words_count(const demo_words *words, const void *letters, size_t length);
void demo_words_clear(demo_words *words);
void demo_words_free(demo_words *words);

/* The most frequent words, at most `count`; returns how many there are. */
size_t demo_words_top(const demo_words *words, demo_word *out_top, size_t count);

/* The lower-case letter, or 0 for a byte that is none. Bytes of 0x80 and more are letters. */
unsigned char demo_letter(unsigned char byte);

/* Counts the words of a text that neither begins nor ends within a word. */
void demo_count_text(demo_words *words, const char *text, size_t length);

/* Packs and unpacks a result's table. unpack returns false when it cannot be right. */
size_t demo_pack(const demo_words *words, unsigned char out_table[DEMO_TABLE_MAX]);
bool demo_unpack(demo_words *words, const unsigned char *table, size_t used);

/* Counts a file the plain way: one process, byte by byte, no blocks. */
int demo_count_file(demo_words *words, const char *path);

/* ---- demo_input.c --------------------------------------------------------------------------- */

typedef struct demo_input {
	char **files;
	size_t count;
	uint64_t bytes;	 /* of all files, once */
	uint64_t rounds; /* how often they are read */
	uint64_t limit;	 /* bytes of text in a block */
	uint64_t blocks; /* there will be at least so many */
	uint64_t nap_ms; /* how long a worker rests over each block */
	const char *what;
} demo_input;

int demo_choose_input(const cli_call *call, demo_input *out_input);
void demo_drop_input(demo_input *input);

/* ---- the conductor -------------------------------------------------------------------------- */

#define DEMO_WORKERS_MAX 64

typedef struct demo_process {
	pid_t pid; /* 0 = none */
	unsigned number;
} demo_process;

typedef struct demo_kill {
	pid_t pid;
	unsigned worker;
	uint64_t block;
} demo_kill;

typedef struct demo {
	const cli_call *call;
	demo_input input;
	char tool[PATH_MAX]; /* this program, to be started again as reader and worker */
	char name[ZIPC_NAME_MAX + 1];
	zipc_segment *segment;
	zipc_queue *blocks, *results;
	zipc_array *status;
	demo_process reader;
	bool reader_done; /* it has put in everything and left */
	bool all_done;	  /* a worker has seen the end: every block is acknowledged */
	demo_process workers[DEMO_WORKERS_MAX];
	unsigned places, started, strangers; /* strangers: workers killed by somebody else */
	demo_kill *kills;
	uint64_t kill_count;
	unsigned next_victim;
	bool *seen; /* by block number: its result was merged */
	uint64_t seen_size, merged, repeated, came_back, bytes;
	demo_words words;
	int64_t idle_ns; /* waited through since something happened */
	double begin, seconds, plain_seconds, last_look, last_progress;
	unsigned quarters;
	uint64_t redelivered, lost, plain_words;
	bool equal;
} demo;

/* demo_cast.c: who plays. All return CLI_OK, or an exit code after saying what went wrong. */
int demo_find_tool(demo *d);
int demo_start_cast(demo *d);
int demo_reap(demo *d);	      /* who has ended meanwhile? */
int demo_keep_alive(demo *d); /* there has to be a worker until all is counted */
bool demo_kill_is_due(const demo *d);
int demo_kill_somebody(demo *d); /* nobody, when no worker holds a block just now */
void demo_end_cast(demo *d);
unsigned demo_count_workers(const demo *d);
uint64_t demo_status(const demo *d, uint64_t index);

/* demo_report.c: what people see. */
double demo_now(void);
void demo_tell(const char *format, ...) CLI_PRINTF(1, 2);
void demo_introduce(const demo *d);
void demo_progress(demo *d);
void demo_end_progress(void);
int demo_compare(demo *d); /* with the plain count */
int demo_report(const demo *d);

/* ---- waiting -------------------------------------------------------------------------------- */

/*
 * Nobody here waits without an end. A deadline is counted in slices that were waited through, not
 * read from a clock: a demo that is suspended (Ctrl-Z) shall not find its deadline passed.
 */
#define DEMO_SLICE_NS	 INT64_C(100000000)
#define DEMO_PATIENCE_NS INT64_C(15000000000)
#define DEMO_PATIENCE_S	 15

#endif
