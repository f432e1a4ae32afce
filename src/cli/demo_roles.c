/* SPDX-License-Identifier: MIT */
/*
 * The reader and the worker of the demo. The conductor starts them as programs of their own, so
 * that they map the segment at other addresses and share nothing but what lies in it.
 */
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* What both roles have open. */
typedef struct workplace {
	zipc_segment *segment;
	zipc_queue *blocks;
	zipc_queue *results;
	zipc_array *status;
} workplace;

/* Element sizes are given, so that the library refuses a queue of another shape. */
static int open_workplace(const char *segment_name, workplace *w)
{
	int rc;

	*w = (workplace){0};
	rc = zipc_segment_open(segment_name, NULL, &w->segment);
	if (rc >= 0)
		rc = zipc_queue_open(w->segment, DEMO_BLOCKS, sizeof(demo_block), NULL, &w->blocks);
	if (rc >= 0)
		rc = zipc_queue_open(w->segment, DEMO_RESULTS, sizeof(demo_result), NULL,
				     &w->results);
	if (rc >= 0)
		rc = zipc_array_open(w->segment, DEMO_STATUS, sizeof(uint64_t), 0, NULL,
				     &w->status);
	return rc < 0 ? cli_failed("demo: %s", cli_reason(rc)) : CLI_OK;
}

static void close_workplace(workplace *w)
{
	zipc_array_close(w->status);
	zipc_queue_close(w->results);
	zipc_queue_close(w->blocks);
	zipc_segment_close(w->segment);
}

/* The next free slot of a queue; -ETIMEDOUT when all patience is used up. */
static int reserve(zipc_queue *queue, void **out_element, uint64_t *out_ticket)
{
	int rc = -ETIMEDOUT;

	for (int64_t ns = 0; rc == -ETIMEDOUT && ns < DEMO_PATIENCE_NS; ns += DEMO_SLICE_NS)
		rc = zipc_queue_reserve(queue, DEMO_SLICE_NS, out_element, out_ticket);
	return rc;
}

static int acquire(zipc_queue *queue, void **out_element, uint64_t *out_ticket)
{
	int rc = -ETIMEDOUT;

	for (int64_t ns = 0; rc == -ETIMEDOUT && ns < DEMO_PATIENCE_NS; ns += DEMO_SLICE_NS)
		rc = zipc_queue_acquire(queue, DEMO_SLICE_NS, out_element, out_ticket);
	return rc;
}

/* ---- reader --------------------------------------------------------------------------------- */

typedef struct reader {
	workplace place;
	uint64_t next;	/* number of the next block */
	uint64_t limit; /* bytes of text in a block */
} reader;

/*
 * Where a full block may end: behind the last line; else, in a line longer than the block, behind
 * the last complete word; else the block is one run of letters and is counted in pieces of
 * DEMO_WORD_MAX anyhow, of which it holds a whole number.
 */
static size_t cut(const char *text, size_t length)
{
	const char *newline = memrchr(text, '\n', length);
	size_t end = length;

	if (newline)
		return (size_t)(newline - text) + 1;
	while (end > 0 && demo_letter((unsigned char)text[end - 1]))
		end--;
	return end > 0 ? end : length / DEMO_WORD_MAX * DEMO_WORD_MAX;
}

/* Reads until the block is full or the file ends. Returns the bytes, or -errno. */
static ssize_t read_text(int fd, char *text, size_t limit, off_t offset)
{
	size_t got = 0;

	while (got < limit) {
		ssize_t n = pread(fd, text + got, limit - got, offset + (off_t)got);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		got += n > 0 ? (size_t)n : 0;
	}
	return (ssize_t)got;
}

/* The file's bytes go from the kernel straight into the slot. Returns bytes used up, or -errno. */
static ssize_t fill_block(reader *r, int fd, off_t offset, demo_block *block)
{
	ssize_t got = read_text(fd, block->text, r->limit, offset);

	if (got <= 0)
		return got;
	block->number = r->next;
	block->length =
		(uint32_t)((size_t)got < r->limit ? (size_t)got : cut(block->text, (size_t)got));
	return block->length;
}

/* Puts the block that begins at offset into the queue. Returns its length, 0 at the end. */
static ssize_t send_block(reader *r, int fd, off_t offset)
{
	void *slot;
	uint64_t ticket;
	ssize_t used;
	int rc = reserve(r->place.blocks, &slot, &ticket);

	if (rc < 0)
		return rc;
	used = fill_block(r, fd, offset, slot);
	if (used <= 0) {
		/* Nothing to send after all: consumers skip the slot. */
		zipc_queue_abort(r->place.blocks, ticket);
		return used;
	}
	rc = zipc_queue_commit(r->place.blocks, ticket);
	if (rc < 0)
		return rc;
	r->next++;
	zipc_array_store64(r->place.status, DEMO_STATUS_READER, r->next);
	return used;
}

static int read_failed(const char *path, ssize_t rc)
{
	if (rc == -ETIMEDOUT)
		return cli_failed("demo: the reader waited %d s for a free block: no worker takes "
				  "any",
				  DEMO_PATIENCE_S);
	return cli_failed("demo: '%s': %s", path, strerror((int)-rc));
}

static int read_file(reader *r, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t used = 1;

	if (fd < 0 || fstat(fd, &st) < 0) {
		used = -errno;
		if (fd >= 0)
			close(fd);
		return read_failed(path, used);
	}
	for (off_t offset = 0; used > 0 && offset < st.st_size; offset += used)
		used = send_block(r, fd, offset);
	close(fd);
	return used < 0 ? read_failed(path, used) : CLI_OK;
}

static int read_all(const cli_call *call, reader *r, uint64_t rounds)
{
	int rc = CLI_OK;

	for (uint64_t round = 0; rc == CLI_OK && round < rounds; round++) {
		for (int i = 3; rc == CLI_OK && i < call->argc; i++)
			rc = read_file(r, call->argv[i]);
	}
	/* Workers get what is there and then -EPIPE: the word that this was all. */
	if (rc == CLI_OK && zipc_queue_shutdown(r->place.blocks) < 0)
		rc = cli_failed("demo: %s", zipc_last_error());
	return rc;
}

/* demo-reader SEGMENT LIMIT ROUNDS FILE... */
static int run_reader(const cli_call *call)
{
	reader r = {0};
	uint64_t rounds;
	int rc;

	if (!cli_parse_number(call->argv[1], DEMO_WORD_MAX, DEMO_TEXT_MAX, &r.limit) ||
	    !cli_parse_number(call->argv[2], 1, UINT64_MAX, &rounds))
		return cli_misused(call->command, "wrong numbers");
	rc = open_workplace(call->argv[0], &r.place);
	if (rc == CLI_OK)
		rc = read_all(call, &r, rounds);
	close_workplace(&r.place);
	return rc;
}

/* ---- worker --------------------------------------------------------------------------------- */

typedef struct worker {
	workplace place;
	uint64_t index;	 /* its place in the status array */
	uint64_t number; /* what people call it */
	uint64_t nap_ms;
	demo_words words;
} worker;

static void rest(uint64_t ms)
{
	struct timespec nap = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};

	if (ms > 0)
		nanosleep(&nap, NULL);
}

/* Tells the conductor which block is in these hands, so that it knows whom to kill. */
static void tell_status(worker *w, uint64_t value)
{
	zipc_array_store64(w->place.status, DEMO_STATUS_WORKER + w->index, value);
}

/* Counting is done before the slot is reserved: others cannot pass a reserved slot. */
static int send_result(worker *w, const demo_block *block, uint32_t length, int deliveries)
{
	demo_result *result;
	void *slot;
	uint64_t ticket;
	int rc = reserve(w->place.results, &slot, &ticket);

	if (rc < 0)
		return rc;
	result = slot;
	result->block = block->number;
	result->length = length;
	result->worker = (uint32_t)w->number;
	result->deliveries = deliveries > 0 ? (uint32_t)deliveries : 1;
	result->used = (uint32_t)demo_pack(&w->words, result->table);
	return zipc_queue_commit(w->place.results, ticket);
}

static int count_block(worker *w, const demo_block *block, int deliveries)
{
	/* One look: what lies in shared memory may change between two. */
	uint32_t length = *(const volatile uint32_t *)&block->length;

	if (length > DEMO_TEXT_MAX)
		return -EBADMSG;
	rest(w->nap_ms);
	demo_words_clear(&w->words);
	demo_count_text(&w->words, block->text, length);
	return send_result(w, block, length, deliveries);
}

/*
 * Take, count, send the result, acknowledge: in this order a death at any point loses nothing. Dead
 * before the release: the block goes to another worker. Dead after sending the result: it is
 * counted again, and the collector knows its number.
 */
static int do_one_block(worker *w)
{
	void *slot;
	uint64_t ticket;
	int rc = acquire(w->place.blocks, &slot, &ticket);

	if (rc < 0)
		return rc;
	tell_status(w, ((const demo_block *)slot)->number + 1);
	rc = count_block(w, slot, zipc_queue_deliveries(w->place.blocks, ticket));
	tell_status(w, 0);
	if (rc < 0) {
		zipc_queue_requeue(w->place.blocks, ticket);
		return rc;
	}
	return zipc_queue_release(w->place.blocks, ticket);
}

static int work(worker *w)
{
	int rc;

	do
		rc = do_one_block(w);
	while (rc >= 0);
	/* Shut down, and every block was acknowledged: everything is counted. */
	if (rc == -EPIPE)
		return CLI_OK;
	if (rc == -ETIMEDOUT)
		return cli_failed("demo: worker %u waited %d s and got no block",
				  (unsigned)w->number, DEMO_PATIENCE_S);
	return cli_failed("demo: worker %u: %s", (unsigned)w->number, cli_reason(rc));
}

/* demo-worker SEGMENT PLACE NUMBER NAP */
static int run_worker(const cli_call *call)
{
	worker w = {0};
	int rc;

	if (!cli_parse_number(call->argv[1], 0, UINT32_MAX, &w.index) ||
	    !cli_parse_number(call->argv[2], 0, UINT32_MAX, &w.number) ||
	    !cli_parse_number(call->argv[3], 0, UINT32_MAX, &w.nap_ms))
		return cli_misused(call->command, "wrong numbers");
	rc = open_workplace(call->argv[0], &w.place);
	if (rc == CLI_OK)
		rc = work(&w);
	close_workplace(&w.place);
	demo_words_free(&w.words);
	return rc;
}

/* ---- hidden commands ------------------------------------------------------------------------ */

const cli_command cli_demo_reader = {
	.name = "demo-reader",
	.arguments = "SEGMENT LIMIT ROUNDS FILE...",
	.help = "The reader of the demo, which starts it.\n",
	.least = 3,
	.most = -1,
	.run = run_reader,
};

const cli_command cli_demo_worker = {
	.name = "demo-worker",
	.arguments = "SEGMENT PLACE NUMBER NAP",
	.help = "A worker of the demo, which starts it.\n",
	.least = 4,
	.most = 4,
	.run = run_worker,
};
