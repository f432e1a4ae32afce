/* SPDX-License-Identifier: MIT */
/*
 * Figures: medians, the table for people, the bars, JSON lines.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(const double *values, unsigned count)
{
	double sorted[2 * BENCH_RUNS_MAX];

	if (count == 0)
		return 0;
	memcpy(sorted, values, count * sizeof(*values));
	qsort(sorted, count, sizeof(*sorted), compare_doubles);
	return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

void bench_summarise(struct bench_series *series)
{
	series->median = bench_median(series->value, series->runs);
	series->min = series->max = series->runs ? series->value[0] : 0;
	for (unsigned i = 1; i < series->runs; i++) {
		if (series->value[i] < series->min)
			series->min = series->value[i];
		if (series->value[i] > series->max)
			series->max = series->value[i];
	}
}

static const struct bench_series *find_series(const struct bench_report *report, const char *name)
{
	for (unsigned i = 0; i < report->count; i++)
		if (report->series[i].runs && strcmp(report->series[i].subject, name) == 0)
			return &report->series[i];
	return NULL;
}

static const struct bench_series *best_peer(const struct bench_report *report)
{
	const struct bench_series *best = NULL;

	for (unsigned i = 0; i < report->count; i++) {
		const struct bench_series *series = &report->series[i];

		if (series->kind != BENCH_PEER || series->runs == 0)
			continue;
		if (!best || (series->median < best->median) == report->less_is_better)
			best = series;
	}
	return best;
}

/* How fast `series` is when `ours` is 1. */
static double relative_speed(const struct bench_report *report, const struct bench_series *series,
			     const struct bench_series *ours)
{
	if (report->less_is_better)
		return ours->median / series->median;
	return series->median / ours->median;
}

void bench_print_table(const struct bench_report *report)
{
	const struct bench_series *ours = find_series(report, "zeroipc");

	printf("\n%s: %s\n", report->bench, report->title);
	printf("  two-line ping-pong before/after each run, ns:");
	for (unsigned i = 0; i + 1 < report->pingpongs; i += 2)
		printf(" %.0f/%.0f", report->pingpong[i], report->pingpong[i + 1]);
	printf("\n  %-20s %10s %10s %10s  %-11s %9s\n", "subject", "median", "min", "max", "unit",
	       "speed");
	for (unsigned i = 0; i < report->count; i++) {
		const struct bench_series *series = &report->series[i];

		if (series->runs == 0) {
			printf("  %-20s no result\n", series->subject);
			continue;
		}
		printf("  %-20s %10.2f %10.2f %10.2f  %-11s ", series->subject, series->median,
		       series->min, series->max, report->unit);
		if (ours)
			printf("%9.3f", relative_speed(report, series, ours));
		else
			printf("%9s", "");
		printf("%s%s\n", series->note ? "  " : "", series->note ? series->note : "");
	}
}

static bool print_bar(const struct bench_report *report, const struct bench_bar *bar)
{
	const struct bench_series *subject = find_series(report, bar->subject);
	const struct bench_series *other = NULL;
	const char *sign = bar->at_most ? "<=" : ">=";
	bool reached;
	double ratio;

	if (bar->against)
		other = strcmp(bar->against, BENCH_BEST_PEER) == 0
				? best_peer(report)
				: find_series(report, bar->against);
	if (!subject || (bar->against && !other)) {
		printf("  bar: %s %s %g%s%s: not measured\n", bar->subject, sign, bar->factor,
		       bar->against ? " x " : "", bar->against ? bar->against : "");
		return true;
	}
	ratio = other ? subject->median / other->median : subject->median;
	reached = bar->at_most ? ratio <= bar->factor : ratio >= bar->factor;
	if (other)
		printf("  bar: %s %s %g x %s (%s, %.2f): %.2f x, %s\n", bar->subject, sign,
		       bar->factor, bar->against, other->subject, other->median, ratio,
		       reached ? "reached" : "NOT REACHED");
	else
		printf("  bar: %s %s %g %s: %.2f, %s\n", bar->subject, sign, bar->factor,
		       report->unit, ratio, reached ? "reached" : "NOT REACHED");
	return reached;
}

unsigned bench_print_bars(const struct bench_report *report, const struct bench_bar *bars,
			  unsigned count)
{
	unsigned missed = 0;

	for (unsigned i = 0; i < count; i++)
		if (strcmp(bars[i].bench, report->bench) == 0 && !print_bar(report, &bars[i]))
			missed++;
	return missed;
}

void bench_print_json(FILE *file, const struct bench_report *report)
{
	double pingpong = bench_median(report->pingpong, report->pingpongs);

	for (unsigned i = 0; i < report->count; i++) {
		const struct bench_series *series = &report->series[i];

		if (series->runs == 0)
			continue;
		fprintf(file,
			"{\"bench\": \"%s\", \"subject\": \"%s\", \"unit\": \"%s\", "
			"\"median\": %.3f, \"min\": %.3f, \"max\": %.3f, \"runs\": %u, "
			"\"pingpong_ns\": %.1f}\n",
			report->bench, series->subject, report->unit, series->median, series->min,
			series->max, series->runs, pingpong);
	}
	fflush(file);
}
