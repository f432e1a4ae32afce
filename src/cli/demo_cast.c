/* SPDX-License-Identifier: MIT */
/*
 * The cast of the demo: a reader and workers are started, and some workers are killed.
 *
 * How it knows that a worker holds a block when it is killed: each worker writes the number of its
 * block into the shared array "status" between taking and acknowledging it. The conductor stops a
 * worker that shows a number (SIGSTOP), waits until the kernel says that it is stopped, and looks
 * again. If the number is still there, the stopped process is between taking and acknowledging, and
 * SIGKILL hits it exactly there. If not, it goes on (SIGCONT), and another try is made.
 */
#include "demo.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

uint64_t demo_status(const demo *d, uint64_t index)
{
	uint64_t value = 0;

	zipc_array_load64(d->status, index, &value);
	return value;
}

unsigned demo_count_workers(const demo *d)
{
	unsigned count = 0;

	for (unsigned i = 0; i < d->places; i++)
		count += d->workers[i].pid != 0;
	return count;
}

/* ---- processes ------------------------------------------------------------------------------ */

int demo_find_tool(demo *d)
{
	ssize_t length = readlink("/proc/self/exe", d->tool, sizeof(d->tool) - 1);

	if (length < 0)
		return cli_failed("demo: cannot find this program: %s", strerror(errno));
	d->tool[length] = '\0';
	return CLI_OK;
}

/*
 * fork and exec of this very program. The child dies with the conductor, however that ends, and
 * leaves Ctrl-C to it.
 */
static pid_t start_process(demo *d, char *const argv[])
{
	pid_t conductor = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != conductor)
		_exit(CLI_FAILED);
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	execv(d->tool, argv);
	_exit(CLI_FAILED);
}

static char *number_text(char buffer[24], uint64_t number)
{
	snprintf(buffer, 24, "%llu", (unsigned long long)number);
	return buffer;
}

static int start_reader(demo *d)
{
	char limit[24], rounds[24];
	char *head[] = {"zeroipc",
			"demo-reader",
			"--",
			d->name,
			number_text(limit, d->input.limit),
			number_text(rounds, d->input.rounds)};
	size_t fixed = sizeof(head) / sizeof(head[0]);
	char **argv = cli_memory(NULL, (fixed + d->input.count + 1) * sizeof(*argv));

	memcpy(argv, head, sizeof(head));
	memcpy(argv + fixed, d->input.files, d->input.count * sizeof(*argv));
	argv[fixed + d->input.count] = NULL;
	d->reader.pid = start_process(d, argv);
	free(argv);
	if (d->reader.pid > 0)
		return CLI_OK;
	d->reader.pid = 0;
	return cli_failed("demo: cannot start the reader: %s", strerror(errno));
}

static int start_worker(demo *d, unsigned place)
{
	demo_process *worker = &d->workers[place];
	char place_text[24], number[24], nap[24];
	char *argv[] = {"zeroipc",
			"demo-worker",
			"--",
			d->name,
			number_text(place_text, place),
			number_text(number, d->started + 1),
			number_text(nap, d->input.nap_ms),
			NULL};

	/* What a dead worker left there is no news any more. */
	zipc_array_store64(d->status, DEMO_STATUS_WORKER + place, 0);
	worker->pid = start_process(d, argv);
	if (worker->pid < 0) {
		worker->pid = 0;
		return cli_failed("demo: cannot start a worker: %s", strerror(errno));
	}
	worker->number = ++d->started;
	return CLI_OK;
}

int demo_start_cast(demo *d)
{
	int rc = CLI_OK;

	for (unsigned i = 0; rc == CLI_OK && i < d->places; i++)
		rc = start_worker(d, i);
	return rc == CLI_OK ? start_reader(d) : rc;
}

static int worker_ended(demo *d, demo_process *worker, int status)
{
	pid_t pid = worker->pid;

	worker->pid = 0;
	d->idle_ns = 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == CLI_OK) {
		d->all_done = true;
		return CLI_OK;
	}
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) {
		d->strangers++;
		demo_tell("somebody else killed worker %u (process %d)", worker->number, (int)pid);
		return CLI_OK;
	}
	if (WIFSIGNALED(status))
		return cli_failed("demo: worker %u ended by signal %d", worker->number,
				  WTERMSIG(status));
	return cli_failed("demo: worker %u failed", worker->number);
}

static int reader_ended(demo *d, int status)
{
	d->reader.pid = 0;
	d->idle_ns = 0;
	d->reader_done = WIFEXITED(status) && WEXITSTATUS(status) == CLI_OK;
	if (d->reader_done)
		return CLI_OK;
	if (WIFSIGNALED(status))
		return cli_failed("demo: the reader ended by signal %d", WTERMSIG(status));
	return cli_failed("demo: the reader failed");
}

/* Who has ended meanwhile? */
int demo_reap(demo *d)
{
	int status, rc = CLI_OK;

	if (d->reader.pid && waitpid(d->reader.pid, &status, WNOHANG) == d->reader.pid)
		rc = reader_ended(d, status);
	for (unsigned i = 0; rc == CLI_OK && i < d->places; i++) {
		demo_process *worker = &d->workers[i];

		if (worker->pid && waitpid(worker->pid, &status, WNOHANG) == worker->pid)
			rc = worker_ended(d, worker, status);
	}
	return rc;
}

/* The others take over from a dead worker; when there are no others, there has to be a new one. */
int demo_keep_alive(demo *d)
{
	if (d->all_done || demo_count_workers(d) > 0)
		return CLI_OK;
	demo_tell("no worker is left: starting worker %u", d->started + 1);
	return start_worker(d, 0);
}

static void end_process(demo_process *process)
{
	if (process->pid == 0)
		return;
	kill(process->pid, SIGKILL);
	waitpid(process->pid, NULL, 0);
	process->pid = 0;
}

void demo_end_cast(demo *d)
{
	end_process(&d->reader);
	for (unsigned i = 0; i < d->places; i++)
		end_process(&d->workers[i]);
}

/* ---- killing -------------------------------------------------------------------------------- */

/*
 * Spread over the run: the first of one kill comes in its middle, of three at each quarter. One
 * block early, so that the turn of the last one is not missed when there are few blocks.
 */
bool demo_kill_is_due(const demo *d)
{
	uint64_t wanted = d->call->options.kills, volume = d->input.bytes * d->input.rounds;
	double turn = (double)volume * (double)(d->kill_count + 1) / (double)(wanted + 1);

	return d->kill_count < wanted && !d->all_done &&
	       (double)(d->bytes + d->input.limit) >= turn;
}

/* Waits for the kernel's word that the child is stopped or has ended; true = stopped. */
static bool wait_until_stopped(demo *d, demo_process *worker, int *out_rc)
{
	struct timespec moment = {0, 200000};
	int status;

	for (int i = 0; i < 10000; i++) {
		if (waitpid(worker->pid, &status, WNOHANG | WUNTRACED) == worker->pid) {
			if (WIFSTOPPED(status))
				return true;
			*out_rc = worker_ended(d, worker, status);
			return false;
		}
		nanosleep(&moment, NULL);
	}
	*out_rc = cli_failed("demo: worker %u did not stop within 2 s", worker->number);
	return false;
}

static void note_kill(demo *d, const demo_process *worker, uint64_t block)
{
	d->kills = cli_memory(d->kills, (d->kill_count + 1) * sizeof(*d->kills));
	d->kills[d->kill_count++] = (demo_kill){worker->pid, worker->number, block};
	demo_tell("kill -9 of worker %u (process %d), which holds block %llu", worker->number,
		  (int)worker->pid, (unsigned long long)block);
}

/* Kills the worker if it holds a block; out_killed says whether it did. */
static int try_to_kill(demo *d, unsigned place, bool *out_killed)
{
	demo_process *worker = &d->workers[place];
	uint64_t block;
	int rc = CLI_OK;

	*out_killed = false;
	kill(worker->pid, SIGSTOP);
	if (!wait_until_stopped(d, worker, &rc))
		return rc;
	block = demo_status(d, DEMO_STATUS_WORKER + place);
	if (block == 0) {
		kill(worker->pid, SIGCONT);
		return CLI_OK;
	}
	note_kill(d, worker, block - 1);
	end_process(worker);
	*out_killed = true;
	d->idle_ns = 0;
	return CLI_OK;
}

int demo_kill_somebody(demo *d)
{
	bool killed = false;
	int rc = CLI_OK;

	for (unsigned i = 0; rc == CLI_OK && !killed && i < d->places; i++) {
		unsigned place = (d->next_victim + i) % d->places;

		if (d->workers[place].pid && demo_status(d, DEMO_STATUS_WORKER + place) != 0)
			rc = try_to_kill(d, place, &killed);
		if (killed)
			d->next_victim = place + 1;
	}
	return rc;
}
