/* SPDX-License-Identifier: MIT */
/*
 * A victim: a forked child that performs one operation on a segment, instruction by instruction,
 * under the control of the test. What is done to it between two instructions (copying the segment,
 * killing it, leaving it stopped) is the business of oracle.h and kill_at.h; both use the scenarios
 * that are described here.
 */
#ifndef TESTS_SUPPORT_VICTIM_H
#define TESTS_SUPPORT_VICTIM_H

#include <zeroipc.h>

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum victim_phase {
	VICTIM_PREPARING = 0,
	VICTIM_READY = 1,    /* prepared, not begun */
	VICTIM_RUNNING = 2,  /* somewhere in the operation */
	VICTIM_RETURNED = 3, /* the operation said `result` */
};

/* Shared page: written by the victim, read by the test. */
struct victim_notes {
	volatile uint32_t phase;
	volatile uint32_t mark;	    /* how far an operation of several calls has come */
	volatile int32_t prepared;  /* what prepare returned */
	volatile int32_t result;    /* what operate returned */
	volatile uint64_t value[6]; /* whatever the scenario wants to tell */
};

struct world;

/*
 * One operation and its surroundings. Callbacks return 0, or a negative code that ends the run as a
 * failure of the test itself.
 */
struct scenario {
	const char *name;
	const void *arg; /* for the callbacks */
	uint32_t moods;	 /* in how many ways the survivor behaves: world.mood = 0 to moods - 1 */
	uint32_t stop_moods; /* likewise `stopped` and `finished`; 0 = 1 */
	uint64_t size;	     /* of the segment at birth; 0 = 256 KiB */
	uint64_t max_size;   /* 0 = size */
	uint32_t max_peers;  /* 0 = 8 */

	/* The test, on a fresh segment: what the victim finds. Closes every handle it opens. NULL =
	 * the empty segment. */
	int (*setup)(struct world *world);
	/* The victim, not stepped. NULL = attaches by opening the segment once more. */
	int (*prepare)(struct world *world);
	/* The victim, stepped. */
	int (*operate)(struct world *world);
	/* A survivor finds the segment as the victim left it: complains, or is content. */
	void (*check)(struct world *world);
	/* The victim is stopped, not dead: others go on. NULL = not checked. */
	void (*stopped)(struct world *world);
	/* After that the victim has come to its end. */
	void (*finished)(struct world *world);
};

struct victim;

struct world {
	const struct scenario *scenario;
	struct victim *victim; /* for `stopped` and `finished` */
	const char *path;      /* ZIPC_BACKING_FILE */
	zipc_segment *segment;
	struct victim_notes *notes;
	uint64_t used; /* bytes in use after setup, which may say otherwise */
	uint32_t mood;
	long step;	   /* instructions since the operation began */
	void *handle;	   /* the victim's */
	uint64_t tally[8]; /* what `stopped` tells `finished`; zeroed before `stopped` */
	char complaint[400];
};

/* The first complaint about a world stays. Always returns false. */
bool complain(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Complains unless the condition holds; its value. */
bool expect(struct world *world, bool condition, const char *what);

/* ---- worlds --------------------------------------------------------------------------------- */

/* Options of the scenario's segment. */
zipc_segment_options world_options(const struct scenario *scenario);

/* In the victim: an attachment of its own instead of the inherited one. */
int world_attach(struct world *world);

/*
 * Creates the segment at world->path, attaches, sets up and measures. 0 or -errno, with a
 * complaint.
 */
int world_make(struct world *world, const struct scenario *scenario, struct victim_notes *notes);
void world_end(struct world *world);

/* Setup and measuring only, for a segment that is attached already. */
int world_setup(struct world *world);

/* gc, verify, and no more memory in use than after setup. */
bool world_is_clean(struct world *world);

struct victim_notes *notes_make(void);
void notes_close(struct victim_notes *notes);

/* ---- stepping ------------------------------------------------------------------------------- */

/* Can this machine step a process? If not, says why (once). */
bool victim_supported(void);

/*
 * To be called first of all in main(): string instructions are stepped byte by byte, so memcpy and
 * memset shall use loops. Starts the program again for that, once.
 */
void victim_prefer_loops(char **argv);

struct victim {
	pid_t pid;
	struct victim_notes *notes;
	long steps;	    /* taken since the operation began */
	bool over;	    /* the operation has returned, or the victim is gone */
	int crash;	    /* signal that it died of or got, 0 = none */
	uint64_t ip;	    /* after victim_where() */
	uint64_t ip_offset; /* the same in its object file, for addr2line */
};

/* Forks, prepares and steps to the first instruction of the operation. 0 or a negative code. */
int victim_start(struct victim *victim, struct world *world);

/* One instruction. false = over. */
bool victim_step(struct victim *victim);

/* Runs until it stands before this instruction for the `visit`th time, or to its end. */
void victim_run_to(struct victim *victim, uint64_t ip, long visit);

/* Looks where it stands. true = the next instruction is a system call. */
bool victim_where(struct victim *victim);

/* Lets it run to the end of its operation, without stepping. */
void victim_finish(struct victim *victim);

/* SIGKILL, and waits until nothing of it is left. */
void victim_kill(struct victim *victim);

#endif
