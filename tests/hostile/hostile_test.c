/* SPDX-License-Identifier: MIT */
/*
 * Segments whose bytes are lies: damaged at rest and opened, or scribbled on while operations run.
 * Whatever is read may be refused; it may not crash, reach outside, or go on for ever.
 *
 * The victim of the lies is a child, so that its crash is seen, and has a deadline, so that its
 * endless loop is.
 */
#include "support/cmocka_all.h"
#include "support/peer.h"

#include "segment/layout.h"
#include "segment/segment.h"
#include "structure/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECONDS	   120u
#define CHILD_ENDS 30u /* seconds of one child, at most */
#define PEERS	   8u
#define SIZE	   24u

struct watch {
	uint32_t stop;
	uint32_t ready;
	uint32_t strange; /* a return code that says nothing about damage */
	int32_t code;
	uint64_t rounds;
	uint64_t successes;
	char call[48];
	char path[300];
};

/* ---- what any call may say ------------------------------------------------------------------- */

static void judge(struct watch *watch, const char *call, int code)
{
	static const int fine[] = {-EAGAIN,	-ETIMEDOUT,  -ECANCELED,       -EPIPE,	 -EEXIST,
				   -ENOENT,	-EPROTOTYPE, -EPROTONOSUPPORT, -EBADMSG, -ENOSPC,
				   -EBUSY,	-ESTALE,     -EOWNERDEAD,      -EINVAL,	 -ERANGE,
				   -EOPNOTSUPP, -ENOMEM,     -EPERM,	       -EDEADLK};
	watch->successes += code >= 0;
	for (size_t i = 0; i < sizeof fine / sizeof fine[0]; i++)
		if (code >= 0 || code == fine[i])
			return;
	snprintf(watch->call, sizeof watch->call, "%s", call);
	watch->code = code;
	watch->strange++;
}

static int touch_structure(const zipc_structure_entry *entry, void *arg)
{
	volatile size_t sum = strlen(entry->name) + strlen(entry->schema);
	(void)sum;
	(void)arg;
	return 0;
}

static int touch_peer(const zipc_peer_entry *entry, void *arg)
{
	volatile size_t sum = strlen(entry->command);
	(void)sum;
	(void)arg;
	return 0;
}

static int touch_problem(const char *problem, void *arg)
{
	volatile size_t sum = strlen(problem);
	(void)sum;
	(void)arg;
	return 0;
}

/* ---- using whatever is there ----------------------------------------------------------------- */

static void use_queue(struct watch *watch, zipc_queue *queue)
{
	size_t size = zipc_queue_element_size(queue);
	void *place, *element = calloc(4, size);
	uint64_t ticket;
	zipc_queue_stats stats = {.struct_size = sizeof stats};
	if (element == NULL)
		return;
	for (int i = 0; i < 6; i++) {
		judge(watch, "push", zipc_queue_push(queue, element, ZIPC_NOWAIT));
		judge(watch, "push_n", zipc_queue_push_n(queue, element, 3, ZIPC_NOWAIT));
		int r = zipc_queue_reserve(queue, ZIPC_NOWAIT, &place, &ticket);
		judge(watch, "reserve", r);
		if (r == 0) {
			memset(place, 1, size);
			judge(watch, "commit",
			      i % 2 == 0 ? zipc_queue_commit(queue, ticket)
					 : zipc_queue_abort(queue, ticket));
		}
		judge(watch, "peek", zipc_queue_peek(queue, element));
		judge(watch, "pop", zipc_queue_pop(queue, element, ZIPC_NOWAIT));
		judge(watch, "pop, waiting", zipc_queue_pop(queue, element, 1000));
		judge(watch, "pop_n", zipc_queue_pop_n(queue, element, 4, ZIPC_NOWAIT));
		r = zipc_queue_acquire(queue, ZIPC_NOWAIT, &place, &ticket);
		judge(watch, "acquire", r);
		if (r == 0) {
			memcpy(element, place, size);
			judge(watch, "deliveries", zipc_queue_deliveries(queue, ticket));
			judge(watch, "release",
			      i % 2 == 0 ? zipc_queue_release(queue, ticket)
					 : zipc_queue_requeue(queue, ticket));
		}
		if (zipc_queue_size(queue) > zipc_queue_capacity(queue))
			judge(watch, "size", -E2BIG);
		zipc_queue_is_empty(queue);
		zipc_queue_is_full(queue);
		judge(watch, "stats", zipc_queue_get_stats(queue, &stats));
	}
	free(element);
}

static void use_array(struct watch *watch, zipc_array *array)
{
	uint64_t length = zipc_array_length(array), size = zipc_array_element_size(array);
	if (size > 4096)
		return;
	uint8_t element[4096];
	uint64_t places[] = {0, length / 2, length - 1, length, UINT64_MAX};
	for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
		judge(watch, "get", zipc_array_get(array, places[i], element));
		judge(watch, "set", zipc_array_set(array, places[i], element));
		judge(watch, "add", zipc_array_add64(array, places[i], 1, NULL));
	}
}

static void open_all(struct watch *watch, zipc_segment *segment)
{
	static const char *const names[] = {"queue", "large", "single", "array", "new"};
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		zipc_queue *queue;
		zipc_array *array;
		int r = zipc_queue_open(segment, names[i], 0, NULL, &queue);
		judge(watch, "queue open", r);
		if (r == 0) {
			use_queue(watch, queue);
			zipc_queue_close(queue);
		}
		r = zipc_array_open(segment, names[i], 0, 0, NULL, &array);
		judge(watch, "array open", r);
		if (r == 0) {
			use_array(watch, array);
			zipc_array_close(array);
		}
	}
}

static void use_heap(struct watch *watch, zipc_segment *segment)
{
	uint64_t offset;
	static const uint64_t sizes[] = {100, 5000, 70000};
	for (size_t i = 0; i < 3; i++) {
		int r = zipc_alloc(segment, sizes[i], 0, &offset);
		judge(watch, "alloc", r);
		if (r < 0)
			continue;
		void *block = zipc_pointer(segment, offset, sizes[i]);
		if (block != NULL)
			memset(block, 0x77, sizes[i]);
		if (i != 1)
			judge(watch, "publish", zipc_publish(segment, offset));
		judge(watch, "free", zipc_free(segment, offset));
	}
	judge(watch, "free nothing", zipc_free(segment, 64));
}

static void create_and_remove(struct watch *watch, zipc_segment *segment)
{
	zipc_queue *queue;
	int r = zipc_queue_open_or_create(segment, "new", 40, 10, NULL, &queue);
	judge(watch, "open_or_create", r);
	if (r >= 0) {
		use_queue(watch, queue);
		judge(watch, "remove", zipc_queue_remove(segment, "new"));
		zipc_queue_close(queue);
	}
	judge(watch, "remove", zipc_remove(segment, "nothing"));
}

static void use_everything(struct watch *watch, zipc_segment *segment)
{
	zipc_segment_info info = {.struct_size = sizeof info};
	judge(watch, "info", zipc_segment_get_info(segment, &info));
	judge(watch, "structures", zipc_segment_structures(segment, touch_structure, NULL));
	judge(watch, "peers", zipc_segment_peers(segment, touch_peer, NULL));
	open_all(watch, segment);
	create_and_remove(watch, segment);
	use_heap(watch, segment);
	judge(watch, "gc", zipc_segment_gc(segment));
	judge(watch, "verify", zipc_segment_verify(segment, touch_problem, NULL));
}

/* ---- a segment to be spoiled ------------------------------------------------------------------
 */

static zipc_segment_options file_options(void)
{
	zipc_segment_options options = ZIPC_SEGMENT_OPTIONS_INIT;
	options.backing = ZIPC_BACKING_FILE;
	options.size = 512 << 10;
	options.max_size = 4 << 20;
	options.max_peers = PEERS;
	options.spin_ns = ZIPC_SPIN_NONE;
	return options;
}

static void create_queue(zipc_segment *segment, const char *name, uint64_t size, uint32_t flags)
{
	zipc_queue_options options = ZIPC_QUEUE_OPTIONS_INIT;
	zipc_queue *queue;
	uint8_t element[1000] = {0};
	options.flags = flags;
	assert_int_equal(zipc_queue_create(segment, name, size, 16, &options, &queue), 0);
	for (int i = 0; i < 40; i++) {
		assert_int_equal(zipc_queue_push(queue, element, ZIPC_NOWAIT), 0);
		if (i < 32)
			assert_int_equal(zipc_queue_pop(queue, element, ZIPC_NOWAIT), 0);
	}
	zipc_queue_close(queue);
}

static void create_file(const char *path)
{
	zipc_segment_options options = file_options();
	zipc_segment *segment;
	zipc_array *array;
	uint64_t offset;
	assert_int_equal(zipc_segment_create(path, &options, &segment), 0);
	create_queue(segment, "queue", SIZE, ZIPC_QUEUE_AT_LEAST_ONCE);
	create_queue(segment, "large", 1000, 0);
	create_queue(segment, "single", 8, ZIPC_QUEUE_SINGLE_PRODUCER | ZIPC_QUEUE_SINGLE_CONSUMER);
	assert_int_equal(zipc_array_create(segment, "array", 8, 1000, NULL, &array), 0);
	zipc_array_close(array);
	assert_int_equal(zipc_alloc(segment, 3000, 0, &offset), 0);
	assert_int_equal(zipc_publish(segment, offset), 0);
	zipc_segment_close(segment);
}

struct target {
	struct board board;
	struct watch *watch;
	const char *directory;
	uint8_t *image; /* of the sound file */
	uint8_t *bytes; /* of the file, mapped */
	size_t size;
};

static void target_open(struct target *target, const char *what)
{
	watchdog(SECONDS, what);
	target->board = board_make(sizeof(struct watch));
	target->watch = target->board.memory;
	target->directory = directory_make(NULL);
	snprintf(target->watch->path, sizeof target->watch->path, "%s/segment", target->directory);
	create_file(target->watch->path);
	int fd = open(target->watch->path, O_RDWR | O_CLOEXEC);
	struct stat st;
	assert_int_equal(fstat(fd, &st), 0);
	target->size = (size_t)st.st_size;
	target->bytes = mmap(NULL, target->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(target->bytes, MAP_FAILED);
	close(fd);
	target->image = malloc(target->size);
	assert_non_null(target->image);
	memcpy(target->image, target->bytes, target->size);
}

static void target_close(struct target *target)
{
	munmap(target->bytes, target->size);
	free(target->image);
	directory_remove(target->directory);
	board_close(&target->board);
}

static void report(const struct target *target, const char *what, int status)
{
	const struct watch *watch = target->watch;
	if (status != 0 || watch->strange != 0)
		print_error("%s: status %d; %s said %d (%u such)\n", what, status, watch->call,
			    watch->code, watch->strange);
	assert_int_equal(status, 0);
	assert_int_equal(watch->strange, 0);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* What a liar would write: borders, signs, neighbours, nonsense. */
static uint64_t lie(uint64_t *seed, uint64_t truth)
{
	static const uint64_t lies[] = {
		0,	    1,		UINT64_MAX, INT64_MAX,	UINT32_MAX, INT32_MAX,
		0x1000,	    0x10000,	1u << 20,   1ull << 32, 1ull << 36, 1ull << 62,
		1ull << 63, 0xfffff000, 4095,	    64,
	};
	switch (random_below(seed, 5)) {
	case 0:
		return lies[random_below(seed, sizeof lies / sizeof lies[0])];
	case 1:
		return truth ^ UINT64_C(1) << random_below(seed, 64);
	case 2:
		return truth + random_below(seed, 17) - 8;
	case 3:
		return truth << random_below(seed, 40);
	default:
		return random_next(seed);
	}
}

/* One to four lies of 1, 2, 4 or 8 bytes in [from, to). */
static void spoil(uint8_t *bytes, size_t from, size_t to, uint64_t *seed)
{
	uint32_t count = 1 + random_below(seed, 4);
	for (uint32_t i = 0; i < count; i++) {
		size_t width = (size_t)1 << random_below(seed, 4);
		size_t at = from + random_below(seed, (uint32_t)(to - from - 8)) / width * width;
		uint64_t value = 0;
		memcpy(&value, bytes + at, width);
		value = lie(seed, value);
		memcpy(bytes + at, &value, width);
	}
}

/* ---- damaged at rest ------------------------------------------------------------------------- */

/* Where the format keeps what is read at open and afterwards. */
static void fuzz_range(uint32_t what, size_t size, size_t *from, size_t *to)
{
	const size_t directory = ZI_HEADER_SIZE + PEERS * sizeof(struct zi_peer);
	switch (what % 5) {
	case 0: /* constant part of the header */
		*from = 0;
		*to = offsetof(struct zi_header, pad0) + 8;
		return;
	case 1: /* the changing part */
		*from = offsetof(struct zi_header, size);
		*to = offsetof(struct zi_header, peer_cursor) + 64;
		return;
	case 2: /* peers and the first entries of the directory */
		*from = ZI_HEADER_SIZE;
		*to = directory + 6 * 4096;
		return;
	case 3: /* tables */
		*from = directory;
		*to = 65536;
		return;
	default:
		*from = 65536;
		*to = size;
	}
}

static void open_once(struct watch *watch, const char *path)
{
	zipc_segment_options options = file_options();
	zipc_segment *segment;
	int r = zipc_segment_open(path, &options, &segment);
	judge(watch, "open", r);
	watch->rounds++;
	if (r < 0)
		return;
	use_everything(watch, segment);
	zipc_segment_close(segment);
}

/* In the child: spoils, opens, uses, restores; on and on. */
static int fuzz(struct target *target, uint64_t seed, uint32_t rounds)
{
	alarm(CHILD_ENDS);
	for (uint32_t i = 0; i < rounds; i++) {
		size_t from, to;
		memcpy(target->bytes, target->image, target->size);
		if (truncate(target->watch->path, (off_t)target->size) != 0)
			return 2;
		fuzz_range(i, target->size, &from, &to);
		spoil(target->bytes, from, to, &seed);
		open_once(target->watch, target->watch->path);
	}
	return 0;
}

static void test_damaged_at_rest(void **state)
{
	(void)state;
	struct target target;
	uint64_t seed = seed_for("damaged at rest");
	target_open(&target, "damaged at rest");
	for (uint32_t i = 0; i < 8; i++) {
		uint64_t mine = random_next(&seed) | 1;
		pid_t pid = peer_fork();
		if (pid == 0)
			_exit(fuzz(&target, mine, 500));
		int status = peer_wait(pid);
		if (status != 0)
			print_error("child's seed %llu, after %llu rounds\n",
				    (unsigned long long)mine,
				    (unsigned long long)target.watch->rounds);
		report(&target, "damaged at rest", status);
	}
	print_message("damaged at rest: %llu segments, %llu calls succeeded\n",
		      (unsigned long long)target.watch->rounds,
		      (unsigned long long)target.watch->successes);
	assert_true(target.watch->rounds == 4000 && target.watch->successes > 4000);
	target_close(&target);
}

/* Each byte of the header's constant part, alone. */
static void test_every_header_byte(void **state)
{
	(void)state;
	struct target target;
	target_open(&target, "every header byte");
	pid_t pid = peer_fork();
	if (pid == 0) {
		alarm(CHILD_ENDS);
		for (size_t at = 0; at < offsetof(struct zi_header, pad0); at++) {
			memcpy(target.bytes, target.image, target.size);
			target.bytes[at] ^= 0xff;
			open_once(target.watch, target.watch->path);
		}
		_exit(0);
	}
	report(&target, "every header byte", peer_wait(pid));
	assert_int_equal(target.watch->rounds, offsetof(struct zi_header, pad0));
	target_close(&target);
}

/* ---- geometry that lies -----------------------------------------------------------------------
 */

struct attack {
	const char *what;
	size_t field; /* of the entry */
	size_t width;
	uint64_t value;
};

#define ENTRY(field, value)                                                                        \
	{                                                                                          \
#field " = " #value, offsetof(struct zi_entry, field),                             \
			sizeof(((struct zi_entry *)0)->field), value                               \
	}

static const struct attack attacks[] = {
	ENTRY(offset, 0),
	ENTRY(offset, 4096),
	ENTRY(offset, 65535),
	ENTRY(offset, UINT64_MAX),
	ENTRY(offset, UINT64_MAX - 63),
	ENTRY(offset, UINT64_C(4) << 20),
	ENTRY(offset, (UINT64_C(4) << 20) - 64),
	ENTRY(size, 0),
	ENTRY(size, 1),
	ENTRY(size, UINT64_MAX),
	ENTRY(size, UINT64_MAX / 2),
	ENTRY(size, UINT64_C(1) << 30),
	ENTRY(element_size, 0),
	ENTRY(element_size, 1),
	ENTRY(element_size, UINT64_MAX),
	ENTRY(element_size, UINT64_C(1) << 63),
	ENTRY(element_size, UINT64_C(1) << 40),
	ENTRY(element_size, 4096),
	ENTRY(capacity, 0),
	ENTRY(capacity, 3),
	ENTRY(capacity, UINT64_C(1) << 63),
	ENTRY(capacity, UINT64_C(1) << 61),
	ENTRY(capacity, UINT64_C(1) << 30),
	ENTRY(capacity, UINT64_MAX),
	ENTRY(alignment, 0),
	ENTRY(alignment, 3),
	ENTRY(alignment, 1u << 31),
	ENTRY(alignment, UINT32_MAX),
	ENTRY(alignment, 65536),
	ENTRY(flags, UINT32_MAX),
	ENTRY(flags, 0),
	ENTRY(type, 0),
	ENTRY(type, 1),
	ENTRY(type, 2),
	ENTRY(type, UINT32_MAX),
};

/* Where the entry of this name begins. */
static struct zi_entry *find_entry(const struct target *target, const char *name)
{
	for (size_t at = ZI_HEADER_SIZE; at + sizeof(struct zi_entry) < 65536; at += 8) {
		struct zi_entry *entry = (struct zi_entry *)(void *)(target->bytes + at);
		if (strcmp(entry->name, name) == 0 &&
		    zi_entry_state(entry->state) == ZI_ENTRY_PUBLISHED)
			return entry;
	}
	return NULL;
}

static int attack_all(struct target *target, const char *name)
{
	alarm(CHILD_ENDS);
	for (size_t i = 0; i < sizeof attacks / sizeof attacks[0]; i++) {
		memcpy(target->bytes, target->image, target->size);
		struct zi_entry *entry = find_entry(target, name);
		if (entry == NULL)
			return 2;
		snprintf(target->watch->call, sizeof target->watch->call, "%s", attacks[i].what);
		memcpy((uint8_t *)entry + attacks[i].field, &attacks[i].value, attacks[i].width);
		open_once(target->watch, target->watch->path);
	}
	/* names and schemas without an end */
	memcpy(target->bytes, target->image, target->size);
	struct zi_entry *entry = find_entry(target, name);
	memset(entry->name, 'n', sizeof entry->name);
	memset(entry->schema, 's', sizeof entry->schema);
	open_once(target->watch, target->watch->path);
	return 0;
}

static void test_geometry_attacks(void **state)
{
	(void)state;
	static const char *const names[] = {"queue", "large", "single", "array"};
	struct target target;
	target_open(&target, "geometry attacks");
	for (size_t i = 0; i < 4; i++) {
		pid_t pid = peer_fork();
		if (pid == 0)
			_exit(attack_all(&target, names[i]));
		int status = peer_wait(pid);
		if (status != 0)
			print_error("'%s', %s\n", names[i], target.watch->call);
		report(&target, "geometry attacks", status);
	}
	assert_int_equal(target.watch->rounds, 4 * (sizeof attacks / sizeof attacks[0] + 1));
	target_close(&target);
}

/* ---- scribbled on while it runs ----------------------------------------------------------------
 */

static zipc_segment *to_interrupt;

static void on_signal(int number)
{
	(void)number;
	zipc_interrupt(to_interrupt);
}

/*
 * In the child: everything again and again, with handles that stay open and new ones. A scribbled
 * lock may name a living process, for which a blocking call waits: SIGUSR1 gets it out of there.
 */
static int be_scribbled_on(struct watch *watch)
{
	zipc_segment_options options = file_options();
	zipc_segment *segment;
	zipc_queue *queues[3];
	if (zipc_segment_open(watch->path, &options, &segment) < 0 ||
	    zipc_queue_open(segment, "queue", 0, NULL, &queues[0]) < 0 ||
	    zipc_queue_open(segment, "large", 0, NULL, &queues[1]) < 0 ||
	    zipc_queue_open(segment, "single", 0, NULL, &queues[2]) < 0)
		return 2;
	to_interrupt = segment;
	struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGUSR1, &action, NULL);
	__atomic_store_n(&watch->ready, 1u, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(&watch->stop, __ATOMIC_SEQ_CST) == 0) {
		for (int i = 0; i < 3; i++)
			use_queue(watch, queues[i]);
		use_everything(watch, segment);
		zipc_interrupt_clear(segment);
		watch->rounds++;
	}
	return 0;
}

/* Words of the segment change under the child's hands. The test has no attachment of its own. */
static void scribble(struct target *target, uint64_t *seed, pid_t pid, size_t from, size_t to)
{
	uint64_t *words = (uint64_t *)(void *)target->bytes;
	size_t first = from / 8, count = (to - from) / 8;
	for (uint32_t i = 0; i < 60000; i++) {
		size_t at = first + random_below(seed, (uint32_t)count);
		uint64_t truth = __atomic_load_n(&words[at], __ATOMIC_RELAXED);
		__atomic_store_n(&words[at], lie(seed, truth), __ATOMIC_RELAXED);
		if (i % 16 == 0)
			nap_us(20);
		if (i % 3000 == 0) { /* sound again, so that there is something to be spoiled */
			memcpy(target->bytes, target->image, target->size);
			kill(pid, SIGUSR1);
		}
	}
}

static void end_scribbled(struct target *target, pid_t pid, const char *what)
{
	__atomic_store_n(&target->watch->stop, 1u, __ATOMIC_SEQ_CST);
	for (int i = 0; i < 1000; i++) {
		kill(pid, SIGUSR1);
		nap_us(1000);
	}
	int status = peer_wait(pid);
	print_message("%s: %llu rounds, %llu calls succeeded\n", what,
		      (unsigned long long)target->watch->rounds,
		      (unsigned long long)target->watch->successes);
	report(target, what, status);
	assert_true(target->watch->rounds > 20);
}

static void scribble_on(const char *what, size_t from, size_t to)
{
	struct target target;
	uint64_t seed = seed_for(what);
	target_open(&target, what);
	pid_t pid = peer_fork();
	if (pid == 0) {
		alarm(CHILD_ENDS);
		_exit(be_scribbled_on(target.watch));
	}
	assert_true(wait_until_at_least(&target.watch->ready, 1));
	scribble(&target, &seed, pid, from, to != 0 ? to : target.size);
	end_scribbled(&target, pid, what);
	target_close(&target);
}

static void test_scribbled_header(void **state)
{
	(void)state;
	scribble_on("scribbled header", 0, ZI_HEADER_SIZE);
}

static void test_scribbled_tables(void **state)
{
	(void)state;
	scribble_on("scribbled tables", ZI_HEADER_SIZE, 65536);
}

static void test_scribbled_structures(void **state)
{
	(void)state;
	scribble_on("scribbled structures", 65536, 0);
}

static void test_scribbled_everywhere(void **state)
{
	(void)state;
	scribble_on("scribbled everywhere", 0, 0);
}

static int all_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_header_byte),
		cmocka_unit_test(test_damaged_at_rest),
		cmocka_unit_test(test_geometry_attacks),
		cmocka_unit_test(test_scribbled_header),
		cmocka_unit_test(test_scribbled_tables),
		cmocka_unit_test(test_scribbled_structures),
		cmocka_unit_test(test_scribbled_everywhere),
	};
	return PEER_RUN("hostile", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, all_tests);
}
