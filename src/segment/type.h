/* SPDX-License-Identifier: MIT */
/*
 * What the segment has to know about each type of structure to care for it: how to resolve what the
 * dead have claimed inside, and how to verify it. The table stands above the structures' floors.
 */
#ifndef ZI_SEGMENT_TYPE_H
#define ZI_SEGMENT_TYPE_H

#include "segment.h"

/* A structure's entry, copied; `memory` is its block, inside the segment. */
struct zi_view {
	uint32_t index;
	uint32_t generation;
	uint32_t type;
	uint32_t flags;
	uint64_t offset;
	uint64_t size;
	uint64_t element_size;
	uint64_t capacity;
	uint32_t alignment;
	uint32_t creator_pid;
	uint64_t created_ns;
	uint8_t *memory;
	char name[ZIPC_NAME_MAX + 1];
	char schema[ZIPC_SCHEMA_MAX + 1];
};

/* Collects the sentences of verify. */
struct zi_report {
	int found;
	char *text; /* one after the other, each with its zero */
	size_t length;
};

void zi_report_add(struct zi_report *report, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Somebody, dead or alive, who holds something that others wait for. */
struct zi_holder {
	uint32_t id;
	uint32_t thread; /* 0 = any thread of that process */
	uint32_t count;	 /* how often, or how many */
	uint32_t flags;	 /* ZIPC_HOLDER_* */
	const char *what;
	const uint32_t *gate; /* where they wait */
};

typedef int (*zi_holder_fn)(const struct zi_holder *holder, void *arg);

struct zi_type {
	uint32_t code; /* ZIPC_TYPE_*; 0 ends the table */
	const char *name;
	/* Gives back what dead owners hold inside; returns how many things, or -errno. */
	int (*resolve)(zipc_segment *segment, const struct zi_view *view);
	void (*verify)(zipc_segment *segment, const struct zi_view *view, struct zi_report *report);
	/* A thread of this process has ended: what still names it is a dead owner's. NULL = nothing
	 * here names threads. Must not block. */
	void (*thread_ended)(zipc_segment *segment, const struct zi_view *view, uint32_t id,
			     uint32_t thread);
	/* Names all holders; NULL = nothing of it is ever held. Stops, and returns what fn returned,
	 * when that is not 0. */
	int (*holders)(zipc_segment *segment, const struct zi_view *view, zi_holder_fn fn,
		       void *arg);
};

extern const struct zi_type zi_types[];

/* NULL when unknown (made by a newer library). */
const struct zi_type *zi_type_find(uint32_t code);

/* For sentences: "queue"; "structure" when unknown. */
const char *zi_type_name(uint32_t code);

#endif
