/* SPDX-License-Identifier: MIT */
/*
 * zeroipc: looks into shared memory segments, moves items in and out of their queues, takes care of
 * them, and shows what the library does. Here: which commands there are, and help.
 */
#include "cli.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static const char introduction[] = "zeroipc: named queues, arrays and locks in shared memory that "
				   "survive kill -9 of their users.\n"
				   "\n"
				   "usage: zeroipc COMMAND [ARGUMENTS] [OPTIONS]\n";

static const char conventions[] =
	"SEG is the name of a segment in shared memory, or, beginning with /, ./ or ../, the path\n"
	"of a file that is one. SEG/NAME is a structure in it. Both names may contain slashes: "
	"the\n"
	"longest leading part that is an existing segment is SEG. SEG//NAME says it outright.\n"
	"\n"
	"Every command takes --json (one JSON document, or one object per line, on stdout) and\n"
	"--help. --trust opens segments that other users own or may write to.\n"
	"Exit codes: 0 done; 1 failed or found problems; 2 wrong usage; 130 ended by Ctrl-C.\n"
	"\n"
	"Two commands to start with:\n"
	"  zeroipc demo                  counts words with several processes and kills one of "
	"them\n"
	"  zeroipc help create           makes a segment and a queue to play with\n";

static int run_help(const cli_call *call);

static const cli_command cli_help = {
	.name = "help",
	.arguments = "[COMMAND]",
	.summary = "explain a command, with examples",
	.help = "Without COMMAND: the list of all commands. 'zeroipc COMMAND --help' is the "
		"same.\n",
	.options = CLI_OPT_JSON,
	.most = 1,
	.run = run_help,
};

static const cli_command *const commands[] = {
	&cli_list,   &cli_show, &cli_cat,	  &cli_push,	    &cli_pop,	 &cli_set,
	&cli_create, &cli_rm,	&cli_shutdown,	  &cli_gc,	    &cli_verify, &cli_deadlocks,
	&cli_demo,   &cli_help, &cli_demo_reader, &cli_demo_worker,
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const cli_command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}

static int unknown_command(const char *name)
{
	cli_nearest nearest = {.text = name};

	for (size_t i = 0; i < COMMANDS; i++) {
		if (commands[i]->summary)
			cli_nearest_offer(&nearest, commands[i]->name);
	}
	if (nearest.best[0])
		cli_note("there is no command '%s'; did you mean '%s'?", name, nearest.best);
	else
		cli_note("there is no command '%s'; 'zeroipc help' lists them", name);
	return CLI_USAGE;
}

/* ---- help ----------------------------------------------------------------------------------- */

static void list_commands(void)
{
	puts(introduction);
	for (size_t i = 0; i < COMMANDS; i++) {
		if (commands[i]->summary)
			printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
	}
	printf("\n%s", conventions);
}

static void list_commands_json(void)
{
	cli_json json = {0};

	cli_json_open(&json, '[');
	for (size_t i = 0; i < COMMANDS; i++) {
		if (!commands[i]->summary)
			continue;
		cli_json_open(&json, '{');
		cli_json_text(&json, "command", commands[i]->name);
		cli_json_text(&json, "arguments", commands[i]->arguments);
		cli_json_text(&json, "summary", commands[i]->summary);
		cli_json_close(&json, '}');
	}
	cli_json_close(&json, ']');
	cli_json_end(&json);
}

static int explain(const cli_command *command, bool json)
{
	cli_json out = {0};

	if (!json) {
		printf("usage: zeroipc %s %s\n%s\n\n%s", command->name, command->arguments,
		       command->summary ? command->summary : "", command->help);
		return CLI_OK;
	}
	cli_json_open(&out, '{');
	cli_json_text(&out, "command", command->name);
	cli_json_text(&out, "arguments", command->arguments);
	cli_json_text(&out, "help", command->help);
	cli_json_close(&out, '}');
	cli_json_end(&out);
	return CLI_OK;
}

static int run_help(const cli_call *call)
{
	bool json = cli_given(call, CLI_OPT_JSON);
	const cli_command *command;

	if (call->argc == 1) {
		command = find_command(call->argv[0]);
		return command ? explain(command, json) : unknown_command(call->argv[0]);
	}
	if (json)
		list_commands_json();
	else
		list_commands();
	return CLI_OK;
}

static int show_version(bool as_json)
{
	uint32_t version = zipc_version();
	char library[CLI_SHORT], tool[CLI_SHORT];
	cli_json json = {0};

	snprintf(tool, sizeof(tool), "%d.%d.%d", ZIPC_VERSION_MAJOR, ZIPC_VERSION_MINOR,
		 ZIPC_VERSION_PATCH);
	snprintf(library, sizeof(library), "%u.%u.%u", version >> 16, version >> 8 & 0xff,
		 version & 0xff);
	if (!as_json) {
		printf("zeroipc %s (library %s, segment format %d)\n", tool, library,
		       ZIPC_FORMAT_VERSION);
		return CLI_OK;
	}
	cli_json_open(&json, '{');
	cli_json_text(&json, "version", tool);
	cli_json_text(&json, "library", library);
	cli_json_number(&json, "format", ZIPC_FORMAT_VERSION);
	cli_json_close(&json, '}');
	cli_json_end(&json);
	return CLI_OK;
}

/* ---- dispatch ------------------------------------------------------------------------------- */

static int run_command(const cli_command *command, int argc, char **argv)
{
	cli_call call;
	int rc = cli_parse(command, argc, argv, &call);

	if (rc == CLI_OK && cli_given(&call, CLI_OPT_HELP))
		rc = explain(command, cli_given(&call, CLI_OPT_JSON));
	else if (rc == CLI_OK)
		rc = command->run(&call);
	free(call.argv);
	return rc;
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
	return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static int dispatch(int argc, char **argv)
{
	const cli_command *command;

	if (argc < 2) {
		list_commands();
		return CLI_USAGE;
	}
	if (is_one_of(argv[1], "--version", "-V"))
		return show_version(argc > 2 && is_one_of(argv[2], "--json", "-j"));
	if (is_one_of(argv[1], "--help", "-h"))
		return run_command(&cli_help, argc - 2, argv + 2);
	command = find_command(argv[1]);
	return command ? run_command(command, argc - 2, argv + 2) : unknown_command(argv[1]);
}

/* Output that could not be written makes a success a failure. A reader that left is no news. */
static int finish_output(int rc)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return rc;
	if (errno != EPIPE)
		cli_failed("cannot write the output: %s", strerror(errno));
	return rc == CLI_OK ? CLI_FAILED : rc;
}

int main(int argc, char **argv)
{
	/* A closed pipe shall be an error that pop sees before it gives up an item. */
	signal(SIGPIPE, SIG_IGN);
	return finish_output(dispatch(argc, argv));
}
