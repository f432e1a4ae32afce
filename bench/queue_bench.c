/* SPDX-License-Identifier: MIT */
/*
 * How fast the queue is, beside its peers and some yardsticks; README.md says how to read it.
 */
#include "queue_subject.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#define SUBJECTS_MAX 64
#define RUNS_DEFAULT 5
#define RUNS_QUICK   3

#define TARGET_NS	UINT64_C(200000000) /* length of one measurement */
#define TARGET_QUICK_NS UINT64_C(30000000)
#define LIMIT_S		30 /* after which a measurement counts as hung */

enum shape { ONE_TO_ONE, TWO_TO_TWO, ALONE, ROUND_TRIP };

/* How an elapsed time becomes a figure. */
enum figure { M_ITEMS_PER_S, GB_PER_S, NS_EACH };

struct bench {
	const char *name;
	const char *title;
	enum queue_bench mask;
	enum shape shape;
	enum figure figure;
};

static const struct bench benches[] = {
	{"queue_spsc", "one producer, one consumer; ours in single/single mode", QUEUE_SPSC,
	 ONE_TO_ONE, M_ITEMS_PER_S},
	{"queue_mpmc_1p1c", "queues for many, one producer and one consumer", QUEUE_MPMC_1P1C,
	 ONE_TO_ONE, M_ITEMS_PER_S},
	{"queue_mpmc_2p2c", "two producers and two consumers, one of each on either CPU",
	 QUEUE_MPMC_2P2C, TWO_TO_TWO, M_ITEMS_PER_S},
	{"queue_alone", "push and pop in turn, one process", QUEUE_ALONE, ALONE, NS_EACH},
	{"queue_batch32", "batches of 32 items", QUEUE_BATCH32, ONE_TO_ONE, M_ITEMS_PER_S},
	{"queue_64k_in_place", "64 KiB elements, every byte written and read", QUEUE_64K,
	 ONE_TO_ONE, GB_PER_S},
	{"queue_pingpong", "round trip through two queues, polling", QUEUE_PINGPONG, ROUND_TRIP,
	 NS_EACH},
	{"queue_sleeping", "round trip through two queues, waiting", QUEUE_SLEEPING, ROUND_TRIP,
	 NS_EACH},
};

static const char *const unit_of[] = {"M items/s", "GB/s", "ns"};

static const struct bench_bar bars[] = {
	{"queue_spsc", "zeroipc", NULL, 250, false},
	{"queue_spsc", "zeroipc", BENCH_BEST_PEER, 1, false},
	{"queue_pingpong", "zeroipc", "two_lines", 1.15, true},
	{"queue_mpmc_1p1c", "zeroipc", BENCH_BEST_PEER, 2.5, false},
	{"queue_mpmc_2p2c", "zeroipc", BENCH_BEST_PEER, 1, false},
	{"queue_alone", "zeroipc", "vyukov", 1.3, true},
	{"queue_batch32", "zeroipc", "boost_spsc", 0.8, false},
	{"queue_64k_in_place", "zeroipc", "copying_queue", 2, false},
	{"queue_64k_in_place", "zeroipc", "unix_socket", 5, false},
	{"queue_sleeping", "zeroipc", "futex_pair", 1.2, true},
	{"queue_sleeping", "zeroipc_spin", NULL, 1000, true},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct queue_subject *const *const subject_lists[] = {
	queue_zeroipc_subjects, queue_yardsticks,
#ifdef HAVE_RTE_RING
	queue_dpdk_subjects,
#endif
	queue_peer_subjects,
#ifdef HAVE_CXX_PEERS
	queue_cxx_subjects,
#endif
};

static struct {
	unsigned runs;
	uint64_t target_ns;
	const char *only;
	const char *subject;
	FILE *json;
} options;

/* ---- one measurement ------------------------------------------------------------------------- */

struct measurement {
	const struct bench *bench;
	const struct queue_subject *subject;
	void *state;
};

static void run_one_to_one(struct bench_lane *lane, const struct measurement *work, bool produces)
{
	const struct queue_subject *subject = work->subject;
	void *end = subject->attach(work->state, 0, produces ? QUEUE_PRODUCER : QUEUE_CONSUMER);

	if (produces)
		subject->loops->produce(lane, end, NULL);
	else if (work->bench->shape == TWO_TO_TWO)
		subject->loops->consume_mixed(lane, NULL, end);
	else
		subject->loops->consume(lane, NULL, end);
	subject->detach(end);
}

static void run_alone(struct bench_lane *lane, const struct measurement *work)
{
	void *end = work->subject->attach(work->state, 0, QUEUE_PRODUCER | QUEUE_CONSUMER);

	work->subject->loops->alone(lane, end, end);
	work->subject->detach(end);
}

static void run_round_trip(struct bench_lane *lane, const struct measurement *work)
{
	const struct queue_subject *subject = work->subject;
	unsigned me = lane->index;
	void *in = subject->attach(work->state, 1 - me, QUEUE_CONSUMER);
	void *out = subject->attach(work->state, me, QUEUE_PRODUCER);

	if (me == 0)
		subject->loops->ping(lane, out, in);
	else
		subject->loops->pong(lane, out, in);
	subject->detach(in);
	subject->detach(out);
}

static void run_lane(struct bench_lane *lane, void *arg)
{
	const struct measurement *work = arg;

	switch (work->bench->shape) {
	case ONE_TO_ONE:
		run_one_to_one(lane, work, lane->index == 0);
		break;
	case TWO_TO_TWO:
		run_one_to_one(lane, work, lane->index < 2);
		break;
	case ALONE:
		run_alone(lane, work);
		break;
	case ROUND_TRIP:
		run_round_trip(lane, work);
		break;
	}
}

/* Sum of first, first + 1, ... */
static uint64_t sum_of(uint64_t first, uint64_t count)
{
	uint64_t half = count % 2 ? count * ((count - 1) / 2) : count / 2 * (count - 1);

	return first * count + half;
}

/* Fills in the lanes for `count` items together. Returns how many lanes there are. */
static unsigned plan_lanes(const struct bench *bench, uint64_t count, struct bench_lane *lanes)
{
	unsigned number = bench->shape == ALONE ? 1 : bench->shape == TWO_TO_TWO ? 4 : 2;

	memset(lanes, 0, BENCH_LANES_MAX * sizeof(*lanes));
	for (unsigned i = 0; i < number; i++) {
		lanes[i].cpu = i;
		lanes[i].first = 1;
		lanes[i].count = count;
		lanes[i].yields = number > bench_cpus();
		if (bench->shape == TWO_TO_TWO) {
			lanes[i].cpu = i % 2;
			lanes[i].first = ((uint64_t)(i + 1) << QUEUE_TAG_SHIFT) + 1;
			lanes[i].count = count / 2;
		}
	}
	return number;
}

/* Whether what was received is what was sent. */
static bool items_right(const struct bench *bench, const struct bench_lane *lanes, unsigned number)
{
	uint64_t sum = 0, expected = 0, wrong = 0;
	unsigned senders = bench->shape == TWO_TO_TWO ? 2 : 1;

	for (unsigned i = 0; i < number; i++) {
		sum += lanes[i].sum;
		wrong |= lanes[i].wrong;
	}
	for (unsigned i = 0; i < senders; i++)
		expected += sum_of(lanes[i].first, lanes[i].count);
	return wrong == 0 && sum == expected;
}

/* Moves `count` items once. Returns the time that took, 0 when it failed, which it says. */
static uint64_t measure(const struct bench *bench, const struct queue_subject *subject,
			uint64_t count)
{
	struct bench_lane lanes[BENCH_LANES_MAX];
	unsigned number = plan_lanes(bench, count, lanes);
	struct measurement work = {bench, subject, subject->create(subject)};
	uint64_t ns = 0;
	int rc = bench_run_lanes(lanes, number, subject->threads, LIMIT_S, run_lane, &work, &ns);

	subject->destroy(work.state);
	if (rc != 0) {
		fprintf(stderr, "queue_bench: %s, %s: failed or hung\n", bench->name,
			subject->name);
		return 0;
	}
	if (!items_right(bench, lanes, number)) {
		fprintf(stderr, "queue_bench: %s, %s: what came out is not what went in\n",
			bench->name, subject->name);
		return 0;
	}
	return ns;
}

/* How many items take about the time we want; 0 when the subject fails. */
static uint64_t calibrate(const struct bench *bench, const struct queue_subject *subject)
{
	uint64_t count = bench->figure == GB_PER_S ? 64 : 1024;

	for (;;) {
		uint64_t ns = measure(bench, subject, count);
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

static double figure_of(const struct bench *bench, uint64_t count, uint64_t ns)
{
	switch (bench->figure) {
	case M_ITEMS_PER_S:
		return (double)count * 1e3 / (double)ns;
	case GB_PER_S:
		return (double)count * QUEUE_BLOCK / (double)ns;
	default:
		return (double)ns / (double)count;
	}
}

/* ---- one benchmark --------------------------------------------------------------------------- */

struct field {
	const struct queue_subject *subjects[SUBJECTS_MAX];
	uint64_t counts[SUBJECTS_MAX];
	struct bench_series series[SUBJECTS_MAX];
	unsigned number;
};

static void gather_subjects(const struct bench *bench, struct field *field)
{
	for (unsigned i = 0; i < COUNT(subject_lists); i++) {
		for (unsigned k = 0; subject_lists[i][k]; k++) {
			const struct queue_subject *subject = subject_lists[i][k];
			struct bench_series *series = &field->series[field->number];

			if (!(subject->benches & bench->mask) || field->number == SUBJECTS_MAX)
				continue;
			if (options.subject && strcmp(options.subject, subject->name) != 0)
				continue;
			series->subject = subject->name;
			series->note = subject->note;
			series->kind = subject->kind;
			field->subjects[field->number++] = subject;
		}
	}
}

static void note_pingpong(struct bench_report *report)
{
	report->pingpong[report->pingpongs++] = bench_pingpong_ns();
}

/* Every subject once. Returns false when one of them failed. */
static bool run_once(const struct bench *bench, struct field *field)
{
	bool well = true;

	for (unsigned i = 0; i < field->number; i++) {
		struct bench_series *series = &field->series[i];
		uint64_t ns = 0;

		if (field->counts[i])
			ns = measure(bench, field->subjects[i], field->counts[i]);
		if (ns)
			series->value[series->runs++] = figure_of(bench, field->counts[i], ns);
		else
			well = false;
	}
	return well;
}

static bool run_bench(const struct bench *bench)
{
	static struct field field;
	static struct bench_report report;
	bool well = true;

	memset(&field, 0, sizeof(field));
	memset(&report, 0, sizeof(report));
	report.bench = bench->name;
	report.title = bench->title;
	report.unit = unit_of[bench->figure];
	report.less_is_better = bench->figure == NS_EACH;
	report.series = field.series;
	gather_subjects(bench, &field);
	report.count = field.number;
	for (unsigned i = 0; i < field.number; i++)
		field.counts[i] = calibrate(bench, field.subjects[i]);
	for (unsigned run = 0; run < options.runs; run++) {
		note_pingpong(&report);
		well &= run_once(bench, &field);
		note_pingpong(&report);
	}
	for (unsigned i = 0; i < field.number; i++)
		bench_summarise(&field.series[i]);
	bench_print_table(&report);
	bench_print_bars(&report, bars, COUNT(bars));
	fflush(stdout);
	if (options.json)
		bench_print_json(options.json, &report);
	return well;
}

/* ---- command line ---------------------------------------------------------------------------- */

static const char usage[] =
	"usage: queue_bench [--json FILE] [--quick] [--only BENCH] [--subject NAME] [--runs N]\n"
	"  --json FILE     also write one JSON object a line to FILE\n"
	"  --quick         shorter and fewer runs\n"
	"  --only BENCH    one benchmark, with or without \"queue_\"\n"
	"  --subject NAME  one subject\n"
	"  --runs N        runs of each benchmark, 1 to 99 (5; with --quick 3)\n"
	"  --list          the names of the benchmarks\n";

static void list_benches(void)
{
	for (unsigned i = 0; i < COUNT(benches); i++)
		printf("%-20s %s\n", benches[i].name, benches[i].title);
}

static bool wanted(const struct bench *bench)
{
	return !options.only || strcmp(options.only, bench->name) == 0 ||
	       strcmp(options.only, bench->name + strlen("queue_")) == 0;
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

static void parse_options(int argc, char **argv)
{
	static const struct option known[] = {
		{"json", required_argument, NULL, 'j'}, {"quick", no_argument, NULL, 'q'},
		{"only", required_argument, NULL, 'o'}, {"subject", required_argument, NULL, 's'},
		{"runs", required_argument, NULL, 'r'}, {"list", no_argument, NULL, 'l'},
		{"help", no_argument, NULL, 'h'},	{NULL, 0, NULL, 0},
	};
	bool quick = false;
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (option) {
		case 'j':
			options.json = open_json(optarg);
			break;
		case 'q':
			quick = true;
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
			list_benches();
			exit(0);
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	options.target_ns = quick ? TARGET_QUICK_NS : TARGET_NS;
	if (options.runs == 0)
		options.runs = quick ? RUNS_QUICK : RUNS_DEFAULT;
}

static void print_heading(void)
{
	printf("queue_bench: %u runs, interleaved; items of 8 bytes, capacity %d, batches of %d\n"
	       "speed: ours is 1, more is faster\n",
	       options.runs, QUEUE_CAPACITY, QUEUE_BATCH);
	if (bench_cpus() < 2)
		printf("only one CPU: figures between two processes mean little\n");
#ifndef __OPTIMIZE__
	printf("built without optimisation: the figures mean nothing\n");
#endif
	printf("not built in:"
#ifndef HAVE_RTE_RING
	       " rte_ring"
#endif
#ifndef HAVE_CK
	       " ck_ring"
#endif
#ifndef HAVE_MOODYCAMEL
	       " moodycamel"
#endif
#ifndef HAVE_READERWRITERQUEUE
	       " readerwriterqueue"
#endif
#ifndef HAVE_BOOST
	       " boost"
#endif
#ifndef HAVE_ZMQ
	       " zeromq"
#endif
#if defined(HAVE_RTE_RING) && defined(HAVE_CK) && defined(HAVE_MOODYCAMEL) &&                      \
	defined(HAVE_READERWRITERQUEUE) && defined(HAVE_BOOST) && defined(HAVE_ZMQ)
	       " nothing, all peers are here"
#endif
	       "\n");
}

int main(int argc, char **argv)
{
	unsigned ran = 0;
	bool well = true;

	parse_options(argc, argv);
	print_heading();
	for (unsigned i = 0; i < COUNT(benches); i++) {
		if (!wanted(&benches[i]))
			continue;
		well &= run_bench(&benches[i]);
		ran++;
	}
	if (ran == 0)
		bench_fail("no benchmark '%s'; --list shows them", options.only);
	if (options.json && fclose(options.json) != 0)
		bench_fail("--json: %s", strerror(errno));
	return well ? 0 : 1;
}
