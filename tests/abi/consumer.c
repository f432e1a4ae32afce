/* SPDX-License-Identifier: MIT */
/*
 * A stranger's program: it sees the installed header and library, and strict C99. The commands are
 * those of consumer.py, so that what one language made the other one takes.
 */
#include <zeroipc.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define NUMBERS	   100u
#define TABLE	   16u
#define BLOCK_DATA 4092u

struct block {
	uint32_t length;
	char data[BLOCK_DATA];
};

static int complain(const char *what, int code)
{
	fprintf(stderr, "consumer.c: %s: %s (%s)\n", what, zipc_strerror(code), zipc_last_error());
	return 1;
}

/* Leaves a segment with a queue of the numbers 1 to NUMBERS and an array of squares. */
static int make(zipc_segment *segment)
{
	zipc_queue *queue = NULL;
	zipc_array *array = NULL;
	uint64_t i;
	int rc = zipc_queue_create(segment, "numbers", sizeof(i), NUMBERS, NULL, &queue);

	for (i = 1; rc >= 0 && i <= NUMBERS; i++)
		rc = zipc_queue_push(queue, &i, ZIPC_NOWAIT);
	if (rc >= 0)
		rc = zipc_array_create(segment, "table", sizeof(i), TABLE, NULL, &array);
	for (i = 0; rc >= 0 && i < TABLE; i++) {
		uint64_t square = i * i;
		rc = zipc_array_set(array, i, &square);
	}
	zipc_array_close(array);
	zipc_queue_close(queue);
	return rc < 0 ? complain("make", rc) : 0;
}

static int take_numbers(zipc_queue *queue)
{
	uint64_t i, value = 0;
	int rc;

	for (i = 1; i <= NUMBERS; i++) {
		rc = zipc_queue_pop(queue, &value, ZIPC_NOWAIT);
		if (rc < 0)
			return complain("pop", rc);
		if (value != i)
			return complain("another number was expected", 0);
	}
	rc = zipc_queue_pop(queue, &value, ZIPC_NOWAIT);
	return rc == -EAGAIN ? 0 : complain("the queue should be empty", rc);
}

static int take_table(zipc_array *array)
{
	const uint64_t *direct = (const uint64_t *)zipc_array_data(array);
	uint64_t i, old = 0;
	int rc;

	for (i = 0; i < TABLE; i++) {
		rc = zipc_array_add64(array, i, 1, &old);
		if (rc < 0)
			return complain("add", rc);
		if (old != i * i || direct[i] != i * i + 1)
			return complain("another square was expected", 0);
	}
	return 0;
}

/* Takes what `make` left and checks it. */
static int take(zipc_segment *segment)
{
	zipc_queue *queue = NULL;
	zipc_array *array = NULL;
	int result;
	int rc = zipc_queue_open(segment, "numbers", sizeof(uint64_t), NULL, &queue);

	if (rc >= 0)
		rc = zipc_array_open(segment, "table", sizeof(uint64_t), TABLE, NULL, &array);
	if (rc < 0)
		result = complain("open", rc);
	else
		result = take_numbers(queue) || take_table(array);
	zipc_array_close(array);
	zipc_queue_close(queue);
	if (result == 0 && zipc_segment_verify(segment, NULL, NULL) != 0)
		result = complain("the segment is not sound", 0);
	return result;
}

/* Standard input goes into the queue "bytes", block by block. */
static int send_bytes(zipc_queue *queue)
{
	struct block block;
	int rc = 0;

	while (rc >= 0 && (block.length = (uint32_t)fread(block.data, 1, BLOCK_DATA, stdin)) > 0)
		rc = zipc_queue_push(queue, &block, ZIPC_FOREVER);
	if (rc >= 0)
		rc = zipc_queue_shutdown(queue);
	return rc < 0 ? complain("send", rc) : 0;
}

/* The queue "bytes" goes to standard output, until it is shut down and drained. */
static int receive_bytes(zipc_queue *queue)
{
	struct block block;
	int rc;

	while ((rc = zipc_queue_pop(queue, &block, ZIPC_FOREVER)) == 0) {
		if (block.length > BLOCK_DATA)
			return complain("the block is too long", 0);
		fwrite(block.data, 1, block.length, stdout);
	}
	return rc == -EPIPE ? 0 : complain("receive", rc);
}

static int with_bytes(zipc_segment *segment, int (*command)(zipc_queue *queue))
{
	zipc_queue *queue = NULL;
	int result;
	int rc = zipc_queue_open_or_create(segment, "bytes", sizeof(struct block), 8, NULL, &queue);

	result = rc < 0 ? complain("queue", rc) : command(queue);
	zipc_queue_close(queue);
	return result;
}

int main(int argc, char **argv)
{
	zipc_segment *segment = NULL;
	int result = 2;
	int rc;

	if (argc != 3)
		return 2;
	rc = zipc_segment_open_or_create(argv[2], NULL, &segment);
	if (rc < 0)
		return complain(argv[2], rc);
	if (strcmp(argv[1], "make") == 0)
		result = make(segment);
	else if (strcmp(argv[1], "take") == 0)
		result = take(segment);
	else if (strcmp(argv[1], "send") == 0)
		result = with_bytes(segment, send_bytes);
	else if (strcmp(argv[1], "receive") == 0)
		result = with_bytes(segment, receive_bytes);
	zipc_segment_close(segment);
	return result;
}
