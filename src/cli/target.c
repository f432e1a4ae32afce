/* SPDX-License-Identifier: MIT */
/*
 * What an argument names. In SEG/NAME both parts may contain slashes, so the longest leading part
 * that is an existing segment is taken; "//" fixes the place by hand. The same rule serves files:
 * "./data.zipc/jobs" can only be split where the file ends.
 */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Write permission for anybody: what --trust lets pass. */
#define ANY_MODE 0777

uint32_t cli_backing_of(const char *segment_name)
{
	bool path = segment_name[0] == '/' || strncmp(segment_name, "./", 2) == 0 ||
		    strncmp(segment_name, "../", 3) == 0;

	return path ? ZIPC_BACKING_FILE : ZIPC_BACKING_SHM;
}

/* ---- finding -------------------------------------------------------------------------------- */

/* A directory is a step on the way to a segment, not one. */
static bool file_exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

bool cli_segment_exists(const char *segment_name)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	zipc_segment *segment;
	int rc;

	if (cli_backing_of(segment_name) == ZIPC_BACKING_FILE)
		return file_exists(segment_name);
	options.flags = ZIPC_SEGMENT_READ_ONLY;
	rc = zipc_segment_open(segment_name, &options, &segment);
	if (rc >= 0)
		zipc_segment_close(segment);
	/* Refused is also there; a name that can be none is not. */
	return rc != -ENOENT && rc != -EINVAL && rc != -ENAMETOOLONG;
}

/* Does text[0, length) name a segment? */
static bool prefix_exists(const char *text, size_t length)
{
	char *prefix = cli_copy(text, length);
	bool exists = cli_segment_exists(prefix);

	free(prefix);
	return exists;
}

/* "SEG//NAME": where SEG ends, 0 when the text has no such mark. */
static size_t marked_split(const char *text)
{
	const char *mark = strstr(text + strspn(text, "/"), "//");

	return mark && mark[2] ? (size_t)(mark - text) : 0;
}

/* The longest SEG with something behind it, 0 when there is none. */
static size_t longest_split(const char *text)
{
	for (size_t i = strlen(text); i-- > 1;) {
		if (text[i] == '/' && text[i - 1] != '/' && text[i + 1] != '\0' &&
		    prefix_exists(text, i))
			return i;
	}
	return 0;
}

static size_t find_split(const char *text)
{
	size_t marked = marked_split(text);

	return marked && prefix_exists(text, marked) ? marked : longest_split(text);
}

/* ---- saying what is not there --------------------------------------------------------------- */

static int offer_segment(const zipc_segment_entry *entry, void *arg)
{
	cli_nearest_offer(arg, entry->name);
	return 0;
}

/* A segment under the words as they stand, or a file that only lacks "./". */
static int no_segment(const char *name)
{
	cli_nearest nearest = {.text = name};

	if (cli_backing_of(name) == ZIPC_BACKING_FILE)
		return cli_failed("no segment file '%s'", name);
	zipc_segment_list(offer_segment, &nearest);
	if (nearest.best[0])
		return cli_failed("no segment '%s'; did you mean '%s'?", name, nearest.best);
	if (file_exists(name))
		return cli_failed("no segment '%s'; for the file of that name write './%s'", name,
				  name);
	return cli_failed("no segment '%s'; 'zeroipc list' shows those there are", name);
}

/* "jobs/inbox" and nothing of it exists: most likely the first part is the segment meant. */
static int nothing_of(const char *argument)
{
	size_t length = cli_backing_of(argument) == ZIPC_BACKING_FILE ? strlen(argument)
								      : strcspn(argument, "/");
	char *name = cli_copy(argument, length);
	int rc = no_segment(name);

	free(name);
	return rc;
}

static int list_name(const zipc_structure_entry *entry, void *arg)
{
	char *names = arg;
	size_t used = strlen(names);

	if (used > 200)
		return 1;
	snprintf(names + used, 300 - used, "%s%s", used ? ", " : "", entry->name);
	return 0;
}

/* The argument is a segment where a structure in it was wanted. */
static int lacks_structure(const cli_call *call, const char *argument)
{
	char names[300] = "";
	cli_target target;

	if (cli_attach(call, argument, CLI_LOOK, CLI_SEGMENT, &target) != CLI_OK)
		return CLI_FAILED;
	zipc_segment_structures(target.segment, list_name, names);
	cli_detach(&target);
	return cli_failed("'%s' is a segment; name a structure in it, '%s/NAME'%s%s", argument,
			  argument, names[0] ? ": it has " : " (it has none yet)", names);
}

static int refused(const cli_call *call, const char *name, int rc)
{
	bool may_trust = rc == -EPERM && !cli_given(call, CLI_OPT_TRUST);

	if (rc == -ENOENT)
		return no_segment(name);
	return cli_failed("%s%s", cli_reason(rc), may_trust ? " (--trust opens it anyway)" : "");
}

/* ---- attaching ------------------------------------------------------------------------------ */

static int open_segment(const cli_call *call, int access, cli_target *target)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	int rc;

	options.backing = target->backing;
	if (access == CLI_LOOK)
		options.flags |= ZIPC_SEGMENT_READ_ONLY;
	if (cli_given(call, CLI_OPT_TRUST)) {
		options.flags |= ZIPC_SEGMENT_ANY_OWNER;
		options.mode = ANY_MODE;
	}
	rc = zipc_segment_open(target->segment_name, &options, &target->segment);
	return rc < 0 ? refused(call, target->segment_name, rc) : CLI_OK;
}

/* Where SEG ends in the argument; the whole length = there is no structure's name. */
static size_t segment_part(const char *argument, int kind)
{
	size_t length = strlen(argument), split;

	if (kind == CLI_SEGMENT)
		return length;
	if (kind == CLI_EITHER && cli_segment_exists(argument))
		return length;
	split = find_split(argument);
	return split ? split : length;
}

int cli_attach(const cli_call *call, const char *argument, int access, int kind,
	       cli_target *out_target)
{
	size_t part = segment_part(argument, kind);
	cli_target target = {.segment_name = cli_copy(argument, part)};
	int rc;

	target.name = argument + part + strspn(argument + part, "/");
	target.backing = cli_backing_of(argument);
	if (kind == CLI_STRUCTURE && !target.name[0])
		rc = cli_segment_exists(argument) ? lacks_structure(call, argument)
						  : nothing_of(argument);
	else
		rc = open_segment(call, access, &target);
	if (rc != CLI_OK)
		free(target.segment_name);
	else
		*out_target = target;
	return rc;
}

void cli_detach(cli_target *target)
{
	cli_catch_signals(NULL);
	zipc_segment_close(target->segment);
	free(target->segment_name);
}

/* ---- structures ----------------------------------------------------------------------------- */

typedef struct structure_search {
	const char *name;
	cli_structure *found;
	cli_nearest nearest;
} structure_search;

static int match_structure(const zipc_structure_entry *entry, void *arg)
{
	structure_search *search = arg;

	cli_nearest_offer(&search->nearest, entry->name);
	if (strcmp(entry->name, search->name) != 0)
		return 0;
	search->found->type = entry->type;
	search->found->element_size = entry->element_size;
	search->found->capacity = entry->capacity;
	snprintf(search->found->type_name, sizeof(search->found->type_name), "%s",
		 entry->type_name);
	snprintf(search->found->schema, sizeof(search->found->schema), "%s", entry->schema);
	return 1;
}

int cli_find_structure(const cli_target *target, cli_structure *out_structure)
{
	structure_search search = {
		.name = target->name, .found = out_structure, .nearest = {.text = target->name}};
	int rc = zipc_segment_structures(target->segment, match_structure, &search);

	if (rc < 0)
		return cli_failed("%s", cli_reason(rc));
	if (rc > 0)
		return CLI_OK;
	if (search.nearest.best[0])
		return cli_failed("no structure '%s' in segment '%s'; did you mean '%s'?",
				  target->name, target->segment_name, search.nearest.best);
	return cli_failed("no structure '%s' in segment '%s'; 'zeroipc show %s' lists those there "
			  "are",
			  target->name, target->segment_name, target->segment_name);
}

bool cli_has_structure(zipc_segment *segment, const char *name)
{
	cli_structure structure;
	structure_search search = {.name = name, .found = &structure, .nearest = {.text = name}};

	return zipc_segment_structures(segment, match_structure, &search) > 0;
}

static int wrong_type(const cli_target *target, const cli_structure *structure, const char *wanted)
{
	return cli_failed("'%s' in segment '%s' is of type %s; this needs %s", target->name,
			  target->segment_name, structure->type_name, wanted);
}

int cli_open_queue(const cli_target *target, const cli_structure *structure, zipc_queue **out_queue)
{
	int rc;

	if (structure->type != ZIPC_TYPE_QUEUE)
		return wrong_type(target, structure, "a queue");
	rc = zipc_queue_open(target->segment, target->name, 0, NULL, out_queue);
	return rc < 0 ? cli_failed("%s", cli_reason(rc)) : CLI_OK;
}

int cli_open_array(const cli_target *target, const cli_structure *structure, zipc_array **out_array)
{
	int rc;

	if (structure->type != ZIPC_TYPE_ARRAY)
		return wrong_type(target, structure, "an array");
	rc = zipc_array_open(target->segment, target->name, 0, 0, NULL, out_array);
	return rc < 0 ? cli_failed("%s", cli_reason(rc)) : CLI_OK;
}

/* ---- signals -------------------------------------------------------------------------------- */

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};

static zipc_segment *volatile waiting_segment;
static volatile sig_atomic_t caught_signal;
static volatile sig_atomic_t exit_at_once;

/* zipc_interrupt() may be called from a handler; every wait then returns -ECANCELED. */
static void on_signal(int number)
{
	zipc_segment *segment = waiting_segment;

	if (exit_at_once)
		_exit(CLI_SIGNAL + number);
	caught_signal = number;
	if (segment)
		zipc_interrupt(segment);
}

void cli_catch_signals(zipc_segment *segment)
{
	struct sigaction action = {.sa_handler = segment ? on_signal : SIG_DFL};

	waiting_segment = segment;
	for (size_t i = 0; i < sizeof(ending_signals) / sizeof(ending_signals[0]); i++) {
		struct sigaction old;

		/* What the parent had ignored (nohup) stays ignored. */
		if (sigaction(ending_signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(ending_signals[i], &action, NULL);
	}
}

int cli_caught(void)
{
	return caught_signal ? CLI_SIGNAL + caught_signal : 0;
}

void cli_exit_on_signal(bool at_once)
{
	exit_at_once = at_once;
	/* It may have come between the last look and the line above. */
	if (at_once && caught_signal)
		_exit(CLI_SIGNAL + caught_signal);
}
