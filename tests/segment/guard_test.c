/* SPDX-License-Identifier: MIT */
/* The owner-named lock: exclusion, take-over from the dead, waking, re-entry, interrupting. */
#include "segment/rig.h"

#include "segment/guard.h"

#include <pthread.h>

#define ID_MASK	 ZI_ID_MASK
#define SLEEPERS (UINT64_C(1) << ZI_ID_BITS)

static void it_names_its_owner_and_counts(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	uint64_t word = 0, before;
	assert_ok(zi_guard_lock(segment, &word));
	assert_int_equal(word & ID_MASK, rig_info(segment).self_id);
	before = word >> (ZI_ID_BITS + 1);
	zi_guard_unlock(segment, &word);
	assert_int_equal(word & (ID_MASK | SLEEPERS), 0);
	assert_ok(zi_guard_lock(segment, &word));
	assert_int_equal(word >> (ZI_ID_BITS + 1), before + 1);
	zi_guard_unlock(segment, &word);
	zipc_segment_close(segment);
}

static void re_entry_is_refused(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	uint64_t one = 0, two = 0;
	assert_ok(zi_guard_lock(segment, &one));
	assert_int_equal(zi_guard_lock(segment, &one), -EDEADLK);
	assert_ok(zi_guard_lock(segment, &two)); /* two guards may nest */
	assert_int_equal(zi_guard_lock(segment, &one), -EDEADLK);
	assert_int_equal(zi_guard_lock(segment, &two), -EDEADLK);
	zi_guard_unlock(segment, &one);
	assert_int_equal(zi_guard_lock(segment, &two), -EDEADLK);
	assert_ok(zi_guard_lock(segment, &one));
	zi_guard_unlock(segment, &two);
	zi_guard_unlock(segment, &one);
	assert_ok(zi_guard_lock(segment, &one));
	zi_guard_unlock(segment, &one);
	zipc_segment_close(segment);
}

/* As in a signal handler inside the heap or the directory. */
static void calls_from_within_themselves_are_refused(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	uint64_t offset, *heap = &zi_header(segment)->heap_lock;
	uint64_t *directory = &zi_header(segment)->directory_lock;
	zipc_array *array;
	assert_ok(zi_guard_lock(segment, heap));
	assert_int_equal(zipc_alloc(segment, 8, 0, &offset), -EDEADLK);
	assert_int_equal(zipc_publish(segment, 65536), -EDEADLK);
	assert_int_equal(zipc_free(segment, 65536), -EDEADLK);
	zi_guard_unlock(segment, heap);
	assert_ok(zi_guard_lock(segment, directory));
	assert_int_equal(zipc_array_create(segment, "x", 8, 1, NULL, &array), -EDEADLK);
	assert_int_equal(zipc_remove(segment, "x"), -EDEADLK);
	assert_int_equal(zipc_segment_gc(segment), -EDEADLK);
	assert_int_equal(zipc_segment_verify(segment, NULL, NULL), -EDEADLK);
	assert_int_equal(zipc_array_open(segment, "x", 8, 1, NULL, &array), -ENOENT); /* no lock */
	zi_guard_unlock(segment, directory);
	assert_ok(zipc_alloc(segment, 8, 0, &offset));
	assert_ok(zipc_free(segment, offset));
	zipc_segment_close(segment);
}

static void a_dead_owner_is_followed_at_once(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(1 * MIB), *b = rig_again(a, 0);
	uint32_t id_b = rig_info(b).self_id;
	zipc_segment_close(b);
	uint64_t word = UINT64_C(77) << (ZI_ID_BITS + 1) | id_b;
	uint64_t start = now_ns();
	assert_ok(zi_guard_lock(a, &word));
	assert_true(now_ns() - start < 10000000);
	assert_int_equal(word & ID_MASK, rig_info(a).self_id);
	assert_int_equal(word >> (ZI_ID_BITS + 1), 78);
	zi_guard_unlock(a, &word);
	word = zi_id_make(9, 0); /* nobody's name */
	assert_ok(zi_guard_lock(a, &word));
	zi_guard_unlock(a, &word);
	zipc_segment_close(a);
}

/* Damage may name the very one that reads it: nobody would ever give that back. */
static void a_word_that_names_us_falsely_is_nobodys(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	uint64_t offset;
	watchdog(60, "false owner");
	zi_header(segment)->heap_lock = rig_info(segment).self_id | SLEEPERS;
	zi_header(segment)->directory_lock = rig_info(segment).self_id;
	assert_ok(zipc_alloc(segment, 8, 0, &offset));
	assert_ok(zipc_free(segment, offset));
	assert_ok(zipc_segment_gc(segment));
	assert_ok(zipc_segment_verify(segment, NULL, NULL));
	zipc_segment_close(segment);
}

struct turn {
	zipc_segment *segment;
	uint64_t *word;
	uint64_t *counter;
	int result;
};

static void *take_turns(void *arg)
{
	struct turn *t = arg;
	for (int i = 0; i < 3000; i++) {
		t->result = zi_guard_lock(t->segment, t->word);
		if (t->result < 0)
			return NULL;
		++*t->counter; /* plain: only the guard orders it */
		zi_guard_unlock(t->segment, t->word);
	}
	return NULL;
}

static void one_at_a_time(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(1 * MIB), *b = rig_again(a, 0);
	uint64_t word = 0, counter = 0;
	struct turn turns[4];
	pthread_t threads[4];
	for (int i = 0; i < 4; i++) {
		turns[i] = (struct turn){i % 2 == 0 ? a : b, &word, &counter, -1};
		assert_ok(pthread_create(&threads[i], NULL, take_turns, &turns[i]));
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		assert_ok(turns[i].result);
	}
	assert_int_equal(counter, 4 * 3000);
	assert_int_equal(word & ID_MASK, 0);
	zipc_segment_close(b);
	zipc_segment_close(a);
}

static void *lock_once(void *arg)
{
	struct turn *t = arg;
	t->result = zi_guard_lock(t->segment, t->word);
	if (t->result == 0)
		zi_guard_unlock(t->segment, t->word);
	return NULL;
}

/* The sleeper marks the word; unlocking wakes it long before its slice ends. */
static void unlocking_wakes(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	uint64_t word = 0, waited = 0;
	for (int round = 0; round < 8; round++) {
		struct turn t = {segment, &word, NULL, -1};
		pthread_t thread;
		assert_ok(zi_guard_lock(segment, &word));
		assert_ok(pthread_create(&thread, NULL, lock_once, &t));
		while ((__atomic_load_n(&word, __ATOMIC_SEQ_CST) & SLEEPERS) == 0)
			nap_us(100);
		nap_us(300);
		uint64_t start = now_ns();
		zi_guard_unlock(segment, &word);
		pthread_join(thread, NULL);
		waited += now_ns() - start;
		assert_ok(t.result);
	}
	assert_true(waited < 8 * UINT64_C(5000000)); /* the shortest slice is 10 ms */
	zipc_segment_close(segment);
}

static void interrupting_ends_the_wait(void **state)
{
	(void)state;
	zipc_segment *segment = rig_make(1 * MIB);
	uint64_t word = 0;
	struct turn t = {segment, &word, NULL, -1};
	pthread_t thread;
	assert_ok(zi_guard_lock(segment, &word));
	assert_ok(pthread_create(&thread, NULL, lock_once, &t));
	while ((__atomic_load_n(&word, __ATOMIC_SEQ_CST) & SLEEPERS) == 0)
		nap_us(100);
	zipc_interrupt(segment);
	pthread_join(thread, NULL);
	assert_int_equal(t.result, -ECANCELED);
	zi_guard_unlock(segment, &word);
	zipc_interrupt_clear(segment);
	assert_ok(zi_guard_lock(segment, &word));
	zi_guard_unlock(segment, &word);
	zipc_segment_close(segment);
}

static void readers_have_no_name(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(1 * MIB), *reader = rig_again(a, ZIPC_SEGMENT_READ_ONLY);
	uint64_t word = 0;
	assert_int_equal(zi_guard_lock(reader, &word), -EROFS);
	assert_int_equal(word, 0);
	zipc_segment_close(reader);
	zipc_segment_close(a);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_names_its_owner_and_counts),
		cmocka_unit_test(re_entry_is_refused),
		cmocka_unit_test(calls_from_within_themselves_are_refused),
		cmocka_unit_test(a_dead_owner_is_followed_at_once),
		cmocka_unit_test(a_word_that_names_us_falsely_is_nobodys),
		cmocka_unit_test(one_at_a_time),
		cmocka_unit_test(unlocking_wakes),
		cmocka_unit_test(interrupting_ends_the_wait),
		cmocka_unit_test(readers_have_no_name),
	};
	return PEER_RUN("guard", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
