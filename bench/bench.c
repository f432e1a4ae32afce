/* SPDX-License-Identifier: MIT */
#include "bench.h"

#include <errno.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PINGPONG_TRIES	 5
#define PINGPONG_ROUNDS	 20000
#define PINGPONG_LIMIT_S 20

/* Shared by the driver and its workers for the time of one measurement. */
struct bench_crew {
	_Alignas(128) atomic_uint arrived;
	_Alignas(128) unsigned over;
	_Alignas(128) unsigned lanes;
	bool threads;
	bench_lane_fn *fn;
	void *arg;
	_Alignas(128) struct bench_lane lane[BENCH_LANES_MAX];
};

/* ---- small helpers -------------------------------------------------------------------------- */

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void bench_fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	fputs("bench: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	_exit(1);
}

void *bench_share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		bench_fail("cannot map %zu bytes: %s", size, strerror(errno));
	return memory;
}

void bench_unshare(void *memory, size_t size)
{
	munmap(memory, size);
}

void bench_yield(void)
{
	sched_yield();
}

unsigned bench_cpus(void)
{
	cpu_set_t allowed;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return 1;
	return (unsigned)CPU_COUNT(&allowed);
}

/* The nth CPU of the parent's set; with fewer CPUs than that, the last one. */
static int nth_cpu(const cpu_set_t *allowed, unsigned nth)
{
	int last = -1;

	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, allowed))
			continue;
		last = cpu;
		if (nth-- == 0)
			break;
	}
	return last;
}

static void pin(const cpu_set_t *allowed, unsigned nth)
{
	cpu_set_t one;
	int cpu = nth_cpu(allowed, nth);

	if (cpu < 0)
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (pthread_setaffinity_np(pthread_self(), sizeof(one), &one) != 0)
		bench_fail("cannot pin to CPU %d", cpu);
}

/* ---- lanes ---------------------------------------------------------------------------------- */

struct thread_start {
	struct bench_lane *lane;
	cpu_set_t allowed;
};

void bench_start(struct bench_lane *lane)
{
	struct bench_crew *crew = lane->crew;
	unsigned turns = 0;

	atomic_fetch_add(&crew->arrived, 1);
	while (atomic_load(&crew->arrived) < crew->lanes) {
		bench_pause();
		if ((++turns & 63) == 0)
			bench_yield();
	}
	lane->start_ns = bench_now_ns();
}

void bench_stop(struct bench_lane *lane)
{
	lane->stop_ns = bench_now_ns();
}

void bench_leave(struct bench_lane *lane, uint64_t done)
{
	__atomic_store_n(lane->over, 1, __ATOMIC_RELAXED);
	bench_stop(lane);
	lane->done = done;
}

static void *run_thread(void *arg)
{
	struct thread_start *start = arg;
	struct bench_crew *crew = start->lane->crew;

	pin(&start->allowed, start->lane->cpu);
	/* Where we may, other work on this machine stands back. */
	(void)setpriority(PRIO_PROCESS, 0, -20);
	crew->fn(start->lane, crew->arg);
	return NULL;
}

/* The body of a child: one lane, or all of them as threads. */
static void run_child(struct bench_crew *crew, unsigned index, pid_t parent)
{
	struct thread_start starts[BENCH_LANES_MAX];
	pthread_t threads[BENCH_LANES_MAX];
	unsigned count = crew->threads ? crew->lanes : 1;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	for (unsigned i = 0; i < count; i++) {
		starts[i].lane = &crew->lane[index + i];
		sched_getaffinity(0, sizeof(starts[i].allowed), &starts[i].allowed);
	}
	if (count == 1) {
		run_thread(&starts[0]);
		_exit(0);
	}
	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&threads[i], NULL, run_thread, &starts[i]) != 0)
			bench_fail("cannot start a thread");
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

/* Starts the children; each holds `tether` open until it ends. Returns how many were started. */
static unsigned start_children(struct bench_crew *crew, pid_t *children)
{
	unsigned wanted = crew->threads ? 1 : crew->lanes;
	pid_t parent = getpid();
	unsigned started;

	fflush(NULL);
	for (started = 0; started < wanted; started++) {
		children[started] = fork();
		if (children[started] == 0)
			run_child(crew, started, parent);
		if (children[started] < 0)
			break;
	}
	return started;
}

/* Sleeps until every holder of the tether is gone. Returns false when that took too long. */
static bool await_children(int tether, unsigned limit_s)
{
	struct pollfd gone = {.fd = tether, .events = POLLIN};
	uint64_t end = bench_now_ns() + limit_s * UINT64_C(1000000000);

	for (;;) {
		uint64_t now = bench_now_ns();
		int rc;

		if (now >= end)
			return false;
		rc = poll(&gone, 1, (int)((end - now) / 1000000 + 1));
		if (rc > 0)
			return true;
		if (rc < 0 && errno != EINTR)
			return false;
	}
}

/* Reaps the children, first killing them unless they ended in time. Returns true if all did well.
 */
static bool reap_children(const pid_t *children, unsigned count, bool in_time)
{
	bool well = in_time;

	for (unsigned i = 0; i < count; i++) {
		int status = 0;

		if (!in_time)
			kill(children[i], SIGKILL);
		while (waitpid(children[i], &status, 0) < 0 && errno == EINTR)
			;
		if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
			well = false;
	}
	return well;
}

static uint64_t elapsed_ns(const struct bench_lane *lanes, unsigned count)
{
	uint64_t first = lanes[0].start_ns, last = lanes[0].stop_ns;

	for (unsigned i = 1; i < count; i++) {
		if (lanes[i].start_ns < first)
			first = lanes[i].start_ns;
		if (lanes[i].stop_ns > last)
			last = lanes[i].stop_ns;
	}
	return last > first ? last - first : 1;
}

int bench_run_lanes(struct bench_lane *lanes, unsigned count, bool threads, unsigned limit_s,
		    bench_lane_fn *fn, void *arg, uint64_t *out_ns)
{
	struct bench_crew *crew = bench_share(sizeof(*crew));
	pid_t children[BENCH_LANES_MAX];
	unsigned started;
	int tether[2];
	bool well;

	if (pipe(tether) != 0)
		bench_fail("cannot make a pipe: %s", strerror(errno));
	crew->lanes = count;
	crew->threads = threads;
	crew->fn = fn;
	crew->arg = arg;
	for (unsigned i = 0; i < count; i++) {
		crew->lane[i] = lanes[i];
		crew->lane[i].crew = crew;
		crew->lane[i].over = &crew->over;
		crew->lane[i].index = i;
	}
	started = start_children(crew, children);
	close(tether[1]);
	well = started == (threads ? 1 : count) && await_children(tether[0], limit_s);
	well = reap_children(children, started, well);
	close(tether[0]);
	if (well) {
		memcpy(lanes, crew->lane, count * sizeof(*lanes));
		*out_ns = elapsed_ns(lanes, count);
	}
	bench_unshare(crew, sizeof(*crew));
	return well ? 0 : -1;
}

/* ---- round trips ---------------------------------------------------------------------------- */

void bench_ping(struct bench_lane *lane, struct bench_two_lines *lines)
{
	bench_start(lane);
	for (uint64_t i = 1; i <= lane->count; i++) {
		__atomic_store_n(&lines->there, i, __ATOMIC_RELEASE);
		while (__atomic_load_n(&lines->back, __ATOMIC_ACQUIRE) != i)
			;
	}
	bench_stop(lane);
}

void bench_pong(struct bench_lane *lane, struct bench_two_lines *lines)
{
	bench_start(lane);
	for (uint64_t i = 1; i <= lane->count; i++) {
		while (__atomic_load_n(&lines->there, __ATOMIC_ACQUIRE) != i)
			;
		__atomic_store_n(&lines->back, i, __ATOMIC_RELEASE);
	}
	bench_stop(lane);
}

static void pingpong_lane(struct bench_lane *lane, void *arg)
{
	if (lane->index == 0)
		bench_ping(lane, arg);
	else
		bench_pong(lane, arg);
}

static double one_pingpong_ns(void)
{
	struct bench_two_lines *lines = bench_share(sizeof(*lines));
	struct bench_lane lanes[2];
	uint64_t ns;
	int rc;

	memset(lanes, 0, sizeof(lanes));
	for (unsigned i = 0; i < 2; i++) {
		lanes[i].cpu = i;
		lanes[i].count = PINGPONG_ROUNDS;
	}
	rc = bench_run_lanes(lanes, 2, false, PINGPONG_LIMIT_S, pingpong_lane, lines, &ns);
	bench_unshare(lines, sizeof(*lines));
	return rc == 0 ? (double)ns / PINGPONG_ROUNDS : 0;
}

/* The best of some: what the machine's other work adds says nothing about the cores. */
double bench_pingpong_ns(void)
{
	double best = 0;

	for (unsigned i = 0; i < PINGPONG_TRIES; i++) {
		double ns = one_pingpong_ns();

		if (ns > 0 && (best == 0 || ns < best))
			best = ns;
	}
	return best;
}

static void futex_post(unsigned *word, unsigned value)
{
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void futex_await(unsigned *word, unsigned value)
{
	unsigned seen;

	while ((seen = __atomic_load_n(word, __ATOMIC_ACQUIRE)) != value)
		if (syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0) != 0 &&
		    errno != EAGAIN && errno != EINTR)
			bench_fail("futex: %s", strerror(errno));
}

void bench_futex_ping(struct bench_lane *lane, struct bench_futex_pair *pair)
{
	bench_start(lane);
	for (uint64_t i = 1; i <= lane->count; i++) {
		futex_post(&pair->there, (unsigned)i);
		futex_await(&pair->back, (unsigned)i);
	}
	bench_stop(lane);
}

void bench_futex_pong(struct bench_lane *lane, struct bench_futex_pair *pair)
{
	bench_start(lane);
	for (uint64_t i = 1; i <= lane->count; i++) {
		futex_await(&pair->there, (unsigned)i);
		futex_post(&pair->back, (unsigned)i);
	}
	bench_stop(lane);
}

union round_trip {
	struct bench_two_lines lines;
	struct bench_futex_pair futexes;
};

void *bench_trip_create(const struct bench_subject *self)
{
	(void)self;
	return bench_share(sizeof(union round_trip));
}

void bench_trip_destroy(void *state)
{
	bench_unshare(state, sizeof(union round_trip));
}

void *bench_trip_attach(void *state, unsigned index, unsigned roles)
{
	(void)index, (void)roles;
	return state;
}

void bench_detach_nothing(void *end)
{
	(void)end;
}
