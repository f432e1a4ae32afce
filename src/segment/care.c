/* SPDX-License-Identifier: MIT */
#include "care.h"

#include "directory.h"
#include "guard.h"
#include "heap.h"
#include "peers.h"

#include "../base/error.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPORT_MAX ((size_t)1 << 20) /* bytes of sentences; the rest is only counted */

const struct zi_type *zi_type_find(uint32_t code)
{
	for (const struct zi_type *type = zi_types; type->code != 0; type++)
		if (type->code == code)
			return type;
	return NULL;
}

const char *zi_type_name(uint32_t code)
{
	const struct zi_type *type = zi_type_find(code);
	return type != NULL ? type->name : "structure";
}

/* ---- gc ------------------------------------------------------------------------------------- */

static int resolve_structure(zipc_segment *segment, const struct zi_view *view, void *arg)
{
	const struct zi_type *type = zi_type_find(view->type);
	if (type == NULL || view->memory == NULL)
		return 0;
	int n = type->resolve(segment, view);
	if (n < 0)
		return n;
	*(int *)arg += n;
	return 0;
}

/* Under the directory guard nothing is freed behind our back. */
static int resolve_locked(zipc_segment *segment)
{
	int inside = 0, entries = zi_directory_resolve(segment);
	int r = entries < 0 ? entries
			    : zi_directory_walk(segment, ZI_ENTRY_PUBLISHED, resolve_structure,
						&inside);
	/* removed, but still open somewhere: the dead may hold things inside these too */
	if (r == 0)
		r = zi_directory_walk(segment, ZI_ENTRY_REMOVED, resolve_structure, &inside);
	if (r < 0)
		return r;
	r = zi_heap_resolve(segment);
	return r < 0 ? r : entries + inside + r;
}

int zi_care_resolve(zipc_segment *segment)
{
	uint64_t *lock = &zi_header(segment)->directory_lock;
	int r = zi_guard_lock(segment, lock);
	if (r < 0)
		return r;
	r = resolve_locked(segment);
	zi_guard_unlock(segment, lock);
	return r;
}

static int check_known(zipc_segment *segment, const struct zi_view *view, void *arg)
{
	(void)segment;
	(void)arg;
	if (zi_type_find(view->type) != NULL)
		return 0;
	return zi_fail(-EOPNOTSUPP,
		       "segment: '%s' is of a type that this library does not know, so "
		       "it cannot clear this peer slot",
		       view->name);
}

int zi_care_resolve_all(zipc_segment *segment)
{
	int r = zi_directory_walk(segment, ZI_ENTRY_PUBLISHED, check_known, NULL);
	return r < 0 ? r : zi_care_resolve(segment);
}

static int find_unknown(zipc_segment *segment, const struct zi_view *view, void *arg)
{
	(void)segment;
	(void)arg;
	return zi_type_find(view->type) == NULL;
}

/* Is there a structure in which claims of the dead may have stayed? */
static bool any_unknown(zipc_segment *segment)
{
	return zi_directory_walk(segment, ZI_ENTRY_PUBLISHED, find_unknown, NULL) != 0 ||
	       zi_directory_walk(segment, ZI_ENTRY_REMOVED, find_unknown, NULL) != 0;
}

/*
 * The table goes on showing a dead peer until a sweep that began after its death came to its end:
 * then nothing names it any more. The handle bits of its slot do not either; they count only while
 * somebody lives there.
 */
int zipc_segment_gc(zipc_segment *segment)
{
	if (segment->read_only)
		return zi_fail(-EROFS, "segment: gc needs an attachment that may write");
	struct zi_dead_row *rows = malloc(segment->max_peers * sizeof *rows);
	int dead = rows != NULL ? zi_peer_list_dead(segment, rows) : 0;
	int r = zi_care_resolve(segment);
	if (r >= 0 && dead > 0 && !any_unknown(segment))
		zi_peer_forget(segment, rows, dead);
	free(rows);
	return r;
}

/* ---- verify --------------------------------------------------------------------------------- */

/* Sentences are kept until the locks are given back: who reads them may take his time. */
void zi_report_add(struct zi_report *report, const char *format, ...)
{
	if (report->found < INT_MAX)
		report->found++;
	char problem[256];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(problem, sizeof problem, format, args);
	va_end(args);
	size_t length = n < 0 ? 0 : (size_t)n < sizeof problem ? (size_t)n + 1 : sizeof problem;
	if (length == 0 || report->length + length > REPORT_MAX)
		return;
	char *text = realloc(report->text, report->length + length);
	if (text == NULL)
		return;
	memcpy(text + report->length, problem, length);
	report->text = text;
	report->length += length;
}

static int verify_locked(zipc_segment *segment, struct zi_report *report)
{
	uint64_t *lock = &zi_header(segment)->directory_lock;
	int r = zi_guard_lock(segment, lock);
	if (r < 0)
		return r;
	zi_directory_verify(segment, report);
	zi_guard_unlock(segment, lock);
	r = zi_guard_lock(segment, &zi_header(segment)->heap_lock);
	if (r < 0)
		return r;
	zi_heap_verify(segment, report);
	zi_guard_unlock(segment, &zi_header(segment)->heap_lock);
	return 0;
}

int zipc_segment_verify(zipc_segment *segment, int (*fn)(const char *problem, void *arg), void *arg)
{
	if (segment->read_only)
		return zi_fail(-EROFS,
			       "segment: verify needs an attachment that may write, for its "
			       "locks");
	struct zi_report report = {0};
	int r = verify_locked(segment, &report);
	for (size_t at = 0; r == 0 && fn != NULL && at < report.length;) {
		r = fn(report.text + at, arg);
		at += strlen(report.text + at) + 1;
	}
	free(report.text);
	return r != 0 ? r : report.found;
}
