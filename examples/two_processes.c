/* SPDX-License-Identifier: MIT */
/*
 * Two processes, one queue. In one terminal:  ./two_processes consume
 * in another, as often as you like:           ls | ./two_processes produce
 */
#include <stdio.h>
#include <string.h>
#include <zeroipc.h>

int main(int argc, char **argv)
{
	zipc_segment *segment;
	zipc_queue *queue;
	char line[128] = "";
	int rc = 0;

	/* Whoever comes first creates them. */
	if (zipc_segment_open_or_create("greetings", NULL, &segment) < 0 ||
	    zipc_queue_open_or_create(segment, "lines", sizeof(line), 64, NULL, &queue) < 0) {
		fprintf(stderr, "%s\n", zipc_last_error());
		return 1;
	}
	if (argc > 1 && strcmp(argv[1], "produce") == 0) {
		while (rc == 0 && fgets(line, sizeof(line), stdin))
			rc = zipc_queue_push(queue, line, ZIPC_FOREVER);
	} else {
		while ((rc = zipc_queue_pop(queue, line, INT64_C(10000000000))) == 0)
			fputs(line, stdout);
	}
	if (rc < 0)
		fprintf(stderr, "%s\n", zipc_strerror(rc)); /* the consumer: 10 s of silence */
	zipc_queue_close(queue);
	zipc_segment_close(segment);
	return rc < 0;
}
