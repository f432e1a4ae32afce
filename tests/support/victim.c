/* SPDX-License-Identifier: MIT */
#include "victim.h"

#include "peer.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define SMALL_SEGMENT (UINT64_C(256) << 10)
#define SMALL_PEERS   8u

bool complain(struct world *world, const char *format, ...)
{
	if (world->complaint[0] != '\0')
		return false;
	va_list list;
	va_start(list, format);
	vsnprintf(world->complaint, sizeof world->complaint, format, list);
	va_end(list);
	return false;
}

bool expect(struct world *world, bool condition, const char *what)
{
	return condition || complain(world, "%s", what);
}

/* ---- worlds --------------------------------------------------------------------------------- */

zipc_segment_options world_options(const struct scenario *scenario)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	options.backing = ZIPC_BACKING_FILE;
	options.size = scenario->size != 0 ? scenario->size : SMALL_SEGMENT;
	options.max_size = scenario->max_size != 0 ? scenario->max_size : options.size;
	options.max_peers = scenario->max_peers != 0 ? scenario->max_peers : SMALL_PEERS;
	options.spin_ns = ZIPC_SPIN_NONE;
	return options;
}

int world_attach(struct world *world)
{
	zipc_segment_options options = world_options(world->scenario);
	return zipc_segment_open(world->path, &options, &world->segment);
}

int world_setup(struct world *world)
{
	int r = world->scenario->setup == NULL ? 0 : world->scenario->setup(world);
	if (r < 0) {
		complain(world, "setup says %d: %s", r, zipc_last_error());
		return r;
	}
	if (world->used == 0) /* else setup knows better */
		world->used = segment_used(world->segment);
	return 0;
}

int world_make(struct world *world, const struct scenario *scenario, struct victim_notes *notes)
{
	world->scenario = scenario;
	world->notes = notes;
	memset(notes, 0, sizeof *notes);
	zipc_segment_options options = world_options(scenario);
	int r = zipc_segment_create(world->path, &options, &world->segment);
	if (r < 0) {
		complain(world, "create says %d: %s", r, zipc_last_error());
		return r;
	}
	return world_setup(world);
}

void world_end(struct world *world)
{
	zipc_segment_close(world->segment);
	world->segment = NULL;
	unlink(world->path);
}

static int note_problem(const char *problem, void *arg)
{
	complain(arg, "verify: %s", problem);
	return 0;
}

bool world_is_clean(struct world *world)
{
	uint64_t before = world->used;
	int r = zipc_segment_gc(world->segment);
	if (r < 0)
		return complain(world, "gc says %d: %s", r, zipc_last_error());
	r = zipc_segment_gc(world->segment);
	if (r != 0)
		return complain(world, "a second gc finds %d more", r);
	r = zipc_segment_verify(world->segment, note_problem, world);
	if (r != 0)
		return complain(world, "verify says %d", r);
	zipc_segment_info info = {.struct_size = sizeof info};
	r = zipc_segment_get_info(world->segment, &info);
	if (r < 0 || info.used != before)
		return complain(world, "%llu bytes in use, %llu before",
				(unsigned long long)info.used, (unsigned long long)before);
	return true;
}

struct victim_notes *notes_make(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return page == MAP_FAILED ? NULL : page;
}

void notes_close(struct victim_notes *notes)
{
	munmap(notes, 4096);
}

/* ---- stepping ------------------------------------------------------------------------------- */

void victim_prefer_loops(char **argv)
{
	static const char name[] = "GLIBC_TUNABLES";
	if (getenv(name) != NULL)
		return;
	setenv(name,
	       "glibc.cpu.x86_rep_stosb_threshold=1000000000:"
	       "glibc.cpu.x86_rep_movsb_threshold=1000000000",
	       1);
	execv("/proc/self/exe", argv); /* when it cannot be done, it only takes longer */
}

#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__)

#define SYSCALL_OPCODE 0x050fu

static bool try_tracing(void)
{
	pid_t pid = peer_fork();
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
			_exit(1);
		raise(SIGTRAP);
		_exit(0);
	}
	int status = 0;
	waitpid(pid, &status, 0);
	bool works = WIFSTOPPED(status) && ptrace(PTRACE_SINGLESTEP, pid, 0, 0) == 0;
	peer_kill(pid);
	return works;
}

bool victim_supported(void)
{
	static int known;
	if (known == 0) {
		known = try_tracing() ? 1 : -1;
		if (known < 0)
			printf("skipped: ptrace is not permitted here\n");
	}
	return known > 0;
}

/*
 * Both on one processor: a step is then two plain context switches, no message between cores.
 * Chosen anew each time, for others may keep it busy.
 */
static void share_processor(void)
{
	static cpu_set_t allowed;
	cpu_set_t one;
	if (CPU_COUNT(&allowed) == 0)
		sched_getaffinity(0, sizeof allowed, &allowed);
	sched_setaffinity(0, sizeof allowed, &allowed);
	nap_us(1); /* whoever wakes up is put where there is room */
	int cpu = sched_getcpu();
	CPU_ZERO(&one);
	CPU_SET(cpu < 0 ? 0 : (unsigned)cpu, &one);
	sched_setaffinity(0, sizeof one, &one);
}

static _Noreturn void be_victim(struct world *world)
{
	struct victim_notes *notes = world->notes;
	ptrace(PTRACE_TRACEME, 0, 0, 0);
	int r = world->scenario->prepare != NULL ? world->scenario->prepare(world)
						 : world_attach(world);
	notes->prepared = r;
	notes->phase = VICTIM_READY;
	raise(SIGTRAP);
	notes->phase = VICTIM_RUNNING;
	notes->result = world->scenario->operate(world);
	notes->phase = VICTIM_RETURNED;
	raise(SIGTRAP);
	_exit(0);
}

/* After a wait: is it stopped by our doing? Else it is over. */
static bool still_ours(struct victim *victim, int status)
{
	if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
		return true;
	victim->over = true;
	if (WIFSTOPPED(status))
		victim->crash = WSTOPSIG(status);
	else if (WIFSIGNALED(status))
		victim->crash = WTERMSIG(status);
	return false;
}

static bool resume_and_wait(struct victim *victim, int request)
{
	int status;
	if (ptrace((enum __ptrace_request)request, victim->pid, 0, 0) != 0 ||
	    waitpid(victim->pid, &status, 0) != victim->pid) {
		victim->over = true;
		return false;
	}
	return still_ours(victim, status);
}

int victim_start(struct victim *victim, struct world *world)
{
	struct victim_notes *notes = world->notes;
	memset(notes, 0, sizeof *notes);
	*victim = (struct victim){.notes = notes};
	share_processor();
	victim->pid = peer_fork();
	if (victim->pid == 0)
		be_victim(world);
	int status;
	if (waitpid(victim->pid, &status, 0) < 0 || !still_ours(victim, status))
		return -ECHILD;
	ptrace(PTRACE_SETOPTIONS, victim->pid, 0, PTRACE_O_EXITKILL);
	if (notes->phase != VICTIM_READY || notes->prepared < 0)
		return notes->prepared < 0 ? notes->prepared : -ECHILD;
	while (notes->phase == VICTIM_READY)
		if (!resume_and_wait(victim, PTRACE_SINGLESTEP))
			return -ECHILD;
	return 0;
}

bool victim_step(struct victim *victim)
{
	if (victim->over || !resume_and_wait(victim, PTRACE_SINGLESTEP))
		return false;
	victim->steps++;
	if (victim->notes->phase == VICTIM_RETURNED)
		victim->over = true;
	return !victim->over;
}

#define RIP offsetof(struct user_regs_struct, rip)

/* At a breakpoint the processor has passed the trap already. False = it stopped for another reason.
 */
static bool step_back(struct victim *victim, uint64_t ip)
{
	long at = ptrace(PTRACE_PEEKUSER, victim->pid, RIP, 0);
	return (uint64_t)at == ip + 1 && ptrace(PTRACE_POKEUSER, victim->pid, RIP, ip) == 0;
}

static void set_text(const struct victim *victim, uint64_t ip, long text)
{
	ptrace(PTRACE_POKETEXT, victim->pid, ip, text);
}

void victim_run_to(struct victim *victim, uint64_t ip, long visit)
{
	long at = ptrace(PTRACE_PEEKUSER, victim->pid, RIP, 0);
	long text = ptrace(PTRACE_PEEKTEXT, victim->pid, ip, 0);
	long trap = (text & ~0xffL) | 0xcc;
	bool here = (uint64_t)at == ip;
	visit -= here;
	while (visit > 0 && !victim->over) {
		if (here && !resume_and_wait(victim, PTRACE_SINGLESTEP))
			return;
		here = ptrace(PTRACE_PEEKUSER, victim->pid, RIP, 0) == (long)ip;
		if (!here) {
			set_text(victim, ip, trap);
			bool stopped = resume_and_wait(victim, PTRACE_CONT);
			set_text(victim, ip, text);
			here = stopped && step_back(victim, ip);
			victim->over = victim->over || !here;
		}
		visit -= here;
	}
}

bool victim_where(struct victim *victim)
{
	errno = 0;
	long ip = ptrace(PTRACE_PEEKUSER, victim->pid, RIP, 0);
	if (errno != 0)
		return false;
	Dl_info info;
	victim->ip = (uint64_t)ip;
	victim->ip_offset = 0;
	if (dladdr((void *)(uintptr_t)ip, &info) != 0)
		victim->ip_offset = (uint64_t)ip - (uint64_t)(uintptr_t)info.dli_fbase;
	long next = ptrace(PTRACE_PEEKTEXT, victim->pid, ip, 0);
	return errno == 0 && (next & 0xffff) == SYSCALL_OPCODE;
}

void victim_finish(struct victim *victim)
{
	if (victim->notes->phase != VICTIM_RETURNED && !victim->over)
		resume_and_wait(victim, PTRACE_CONT);
}

void victim_kill(struct victim *victim)
{
	if (victim->pid > 0)
		peer_kill(victim->pid);
	victim->pid = 0;
}

#else

bool victim_supported(void)
{
	static bool said;
	if (!said)
		printf("skipped: single-stepping is for x86-64, without ThreadSanitizer\n");
	said = true;
	return false;
}

int victim_start(struct victim *victim, struct world *world)
{
	(void)world;
	*victim = (struct victim){.over = true};
	return -ENOSYS;
}

bool victim_step(struct victim *victim)
{
	(void)victim;
	return false;
}

void victim_run_to(struct victim *victim, uint64_t ip, long visit)
{
	(void)victim;
	(void)ip;
	(void)visit;
}

bool victim_where(struct victim *victim)
{
	(void)victim;
	return false;
}

void victim_finish(struct victim *victim)
{
	(void)victim;
}

void victim_kill(struct victim *victim)
{
	(void)victim;
}

#endif
