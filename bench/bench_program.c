/* SPDX-License-Identifier: MIT */
/*
 * The program around a list of benchmarks: command line, calibration, runs.
 */
#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define SUBJECTS_MAX 64
#define RUNS_DEFAULT 5
#define RUNS_QUICK   3

#define TARGET_NS	UINT64_C(200000000) /* length of one measurement */
#define TARGET_QUICK_NS UINT64_C(30000000)
#define LIMIT_S		30 /* after which a measurement counts as hung */
#define BEGIN		1024

static struct {
	unsigned runs;
	bool quick;
	uint64_t target_ns;
	const char *only;
	const char *subject;
	FILE *json;
} options;

static double ns_each(const struct bench_result *result)
{
	return (double)result->ns / (double)result->count;
}

const struct bench_figure bench_ns_each = {"ns", true, ns_each, NULL, NULL};

/* ---- one measurement ------------------------------------------------------------------------- */

struct measured {
	const struct bench_program *program;
	struct bench_work work;
};

static void run_lane(struct bench_lane *lane, void *arg)
{
	const struct measured *measured = arg;

	measured->program->run(lane, &measured->work);
}

static void plan_lanes(const struct bench_program *program, const struct bench_case *bench,
		       uint64_t count, struct bench_lane *lanes)
{
	memset(lanes, 0, BENCH_LANES_MAX * sizeof(*lanes));
	for (unsigned i = 0; i < bench->lanes; i++) {
		lanes[i].cpu = i;
		lanes[i].first = 1;
		lanes[i].count = count;
		lanes[i].yields = bench->lanes > bench_cpus();
	}
	program->plan(bench, count, lanes);
}

/* Does `count` items once. Returns the time that took, 0 when it failed, which it says. */
static uint64_t measure(const struct bench_program *program, const struct bench_case *bench,
			const struct bench_subject *subject, uint64_t count,
			struct bench_lane *lanes)
{
	struct measured measured = {program, {bench, subject, subject->create(subject)}};
	unsigned limit_s = bench->limit_s ? bench->limit_s : LIMIT_S;
	uint64_t ns = 0;
	int rc;

	plan_lanes(program, bench, count, lanes);
	rc = bench_run_lanes(lanes, bench->lanes, subject->threads, limit_s, run_lane, &measured,
			     &ns);
	subject->destroy(measured.work.state);
	if (rc != 0) {
		fprintf(stderr, "%s: %s, %s: failed or hung\n", program->name, bench->name,
			subject->name);
		return 0;
	}
	if (!program->check(bench, lanes)) {
		fprintf(stderr, "%s: %s, %s: what came out is not what went in\n", program->name,
			bench->name, subject->name);
		return 0;
	}
	return ns;
}

/* How many items take about the time we want; 0 when the subject fails. */
static uint64_t calibrate(const struct bench_program *program, const struct bench_case *bench,
			  const struct bench_subject *subject)
{
	uint64_t count = bench->begin ? bench->begin : BEGIN;
	struct bench_lane lanes[BENCH_LANES_MAX];

	if (bench->fixed)
		return options.quick ? bench->fixed_quick : bench->fixed;
	for (;;) {
		uint64_t ns = measure(program, bench, subject, count, lanes);
		double factor = ns ? (double)options.target_ns / (double)ns : 0;

		if (ns == 0)
			return 0;
		if (factor < 4) {
			count = (uint64_t)((double)count * factor);
			return count < 64 ? 64 : count & ~UINT64_C(1);
		}
		count = (uint64_t)((double)count * (factor < 50 ? factor : 50)) & ~UINT64_C(1);
	}
}

/* ---- one benchmark --------------------------------------------------------------------------- */

struct field {
	const struct bench_subject *subjects[SUBJECTS_MAX];
	uint64_t counts[SUBJECTS_MAX];
	unsigned number;
	struct bench_series series[BENCH_FIGURES_MAX][SUBJECTS_MAX];
	struct bench_report report[BENCH_FIGURES_MAX];
	char name[BENCH_FIGURES_MAX][64];
	unsigned figures;
};

static void add_subject(struct field *field, const struct bench_subject *subject)
{
	for (unsigned i = 0; i < BENCH_FIGURES_MAX; i++) {
		struct bench_series *series = &field->series[i][field->number];

		series->subject = subject->name;
		series->note = subject->note;
		series->kind = subject->kind;
	}
	field->subjects[field->number++] = subject;
}

static void gather_subjects(const struct bench_program *program, const struct bench_case *bench,
			    struct field *field)
{
	for (unsigned i = 0; i < program->list_count; i++) {
		for (unsigned k = 0; program->subjects[i][k]; k++) {
			const struct bench_subject *subject = program->subjects[i][k];

			if (!(subject->benches & bench->mask) || field->number == SUBJECTS_MAX)
				continue;
			if (options.subject && strcmp(options.subject, subject->name) != 0)
				continue;
			add_subject(field, subject);
		}
	}
}

static void begin_reports(const struct bench_case *bench, struct field *field)
{
	for (; field->figures < BENCH_FIGURES_MAX && bench->figures[field->figures];
	     field->figures++) {
		const struct bench_figure *figure = bench->figures[field->figures];
		struct bench_report *report = &field->report[field->figures];
		char *name = field->name[field->figures];

		snprintf(name, sizeof(field->name[0]), "%s%s", bench->name,
			 figure->suffix ? figure->suffix : "");
		report->bench = name;
		report->title = figure->title ? figure->title : bench->title;
		report->unit = figure->unit;
		report->less_is_better = figure->less_is_better;
		report->series = field->series[field->figures];
		report->count = field->number;
	}
}

static void note_pingpong(struct field *field)
{
	double ns = bench_pingpong_ns();

	for (unsigned i = 0; i < field->figures; i++)
		field->report[i].pingpong[field->report[i].pingpongs++] = ns;
}

/* Every subject once. Returns false when one of them failed. */
static bool run_once(const struct bench_program *program, const struct bench_case *bench,
		     struct field *field)
{
	bool well = true;

	for (unsigned i = 0; i < field->number; i++) {
		struct bench_lane lanes[BENCH_LANES_MAX];
		struct bench_result result = {lanes, bench->lanes, field->counts[i], 0};

		if (result.count)
			result.ns =
				measure(program, bench, field->subjects[i], result.count, lanes);
		if (result.ns == 0) {
			well = false;
			continue;
		}
		for (unsigned k = 0; k < field->figures; k++) {
			struct bench_series *series = &field->series[k][i];

			series->value[series->runs++] = bench->figures[k]->value(&result);
		}
	}
	return well;
}

static void print_reports(const struct bench_program *program, struct field *field)
{
	for (unsigned i = 0; i < field->figures; i++) {
		for (unsigned k = 0; k < field->number; k++)
			bench_summarise(&field->series[i][k]);
		bench_print_table(&field->report[i]);
		bench_print_bars(&field->report[i], program->bars, program->bar_count);
		fflush(stdout);
		if (options.json)
			bench_print_json(options.json, &field->report[i]);
	}
}

static bool run_bench(const struct bench_program *program, const struct bench_case *bench)
{
	static struct field field;
	unsigned runs = bench->fixed ? 1 : options.runs;
	bool well = true;

	memset(&field, 0, sizeof(field));
	gather_subjects(program, bench, &field);
	begin_reports(bench, &field);
	for (unsigned i = 0; i < field.number; i++)
		field.counts[i] = calibrate(program, bench, field.subjects[i]);
	for (unsigned run = 0; run < runs; run++) {
		note_pingpong(&field);
		well &= run_once(program, bench, &field);
		note_pingpong(&field);
	}
	print_reports(program, &field);
	return well;
}

/* ---- command line ---------------------------------------------------------------------------- */

static void print_usage(const struct bench_program *program, FILE *file)
{
	fprintf(file,
		"usage: %s [--json FILE] [--quick] [--only BENCH] [--subject NAME] [--runs N]\n"
		"  --json FILE     also write one JSON object a line to FILE\n"
		"  --quick         shorter and fewer runs\n"
		"  --only BENCH    one benchmark%s%s%s\n"
		"  --subject NAME  one subject\n"
		"  --runs N        runs of each benchmark, 1 to %d (%d; with --quick %d)\n"
		"  --list          the names of the benchmarks\n",
		program->name, *program->prefix ? ", with or without \"" : "", program->prefix,
		*program->prefix ? "\"" : "", BENCH_RUNS_MAX, RUNS_DEFAULT, RUNS_QUICK);
}

static void list_benches(const struct bench_program *program)
{
	for (unsigned i = 0; i < program->case_count; i++)
		printf("%-24s %s\n", program->cases[i].name, program->cases[i].title);
}

static bool wanted(const struct bench_program *program, const struct bench_case *bench)
{
	return !options.only || strcmp(options.only, bench->name) == 0 ||
	       strcmp(options.only, bench->name + strlen(program->prefix)) == 0;
}

static unsigned parse_runs(const char *text)
{
	char *end;
	unsigned long runs = strtoul(text, &end, 10);

	if (*text == 0 || *end != 0 || runs < 1 || runs > BENCH_RUNS_MAX)
		bench_fail("--runs: 1 to %d, not '%s'", BENCH_RUNS_MAX, text);
	return (unsigned)runs;
}

static FILE *open_json(const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file)
		bench_fail("%s: %s", path, strerror(errno));
	return file;
}

static void parse_options(const struct bench_program *program, int argc, char **argv)
{
	static const struct option known[] = {
		{"json", required_argument, NULL, 'j'}, {"quick", no_argument, NULL, 'q'},
		{"only", required_argument, NULL, 'o'}, {"subject", required_argument, NULL, 's'},
		{"runs", required_argument, NULL, 'r'}, {"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},	{NULL, 0, NULL, 0},
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'j':
			options.json = open_json(optarg);
			break;
		case 'q':
			options.quick = true;
			break;
		case 'o':
			options.only = optarg;
			break;
		case 's':
			options.subject = optarg;
			break;
		case 'r':
			options.runs = parse_runs(optarg);
			break;
		case 'l':
			list_benches(program);
			exit(0);
		case 'h':
			print_usage(program, stdout);
			exit(0);
		default:
			print_usage(program, stderr);
			exit(2);
		}
	}
	options.target_ns = options.quick ? TARGET_QUICK_NS : TARGET_NS;
	if (options.runs == 0)
		options.runs = options.quick ? RUNS_QUICK : RUNS_DEFAULT;
}

static void print_heading(const struct bench_program *program)
{
	printf("%s: %u runs, interleaved; %s\n"
	       "speed: ours is 1, more is faster\n",
	       program->name, options.runs, program->about);
	if (bench_cpus() < 2)
		printf("only one CPU: figures between two processes mean little\n");
#ifndef __OPTIMIZE__
	printf("built without optimisation: the figures mean nothing\n");
#endif
	printf("not built in:%s\n",
	       *program->missing ? program->missing : " nothing, all peers are here");
}

int bench_main(const struct bench_program *program, int argc, char **argv)
{
	unsigned ran = 0;
	bool well = true;

	parse_options(program, argc, argv);
	print_heading(program);
	for (unsigned i = 0; i < program->case_count; i++) {
		if (!wanted(program, &program->cases[i]))
			continue;
		well &= run_bench(program, &program->cases[i]);
		ran++;
	}
	if (ran == 0)
		bench_fail("no benchmark '%s'; --list shows them", options.only);
	if (options.json && fclose(options.json) != 0)
		bench_fail("--json: %s", strerror(errno));
	return well ? 0 : 1;
}
