/* SPDX-License-Identifier: MIT */
/* Who is attached: ids, slots, generations, life and death, descriptors that were closed. */
#include "segment/rig.h"

#include "segment/directory.h"
#include "segment/peers.h"

static zipc_segment *make_with_peers(uint32_t max_peers)
{
	zipc_segment_options o = rig_options(ZIPC_BACKING_SHM, 4 * MIB);
	zipc_segment *segment = NULL;
	const char *name = unique_name("peers");
	o.max_peers = max_peers;
	assert_ok(zipc_segment_create(name, &o, &segment));
	assert_ok(zipc_segment_remove(name, NULL));
	return segment;
}

static void ids_differ_and_end(void **state)
{
	(void)state;
	zipc_segment *a = make_with_peers(4), *b = rig_again(a, 0);
	uint32_t id_a = rig_info(a).self_id, id_b = rig_info(b).self_id;
	assert_int_not_equal(id_a, id_b);
	assert_int_not_equal(zi_id_slot(id_a), zi_id_slot(id_b));
	assert_int_not_equal(zi_id_generation(id_a), 0);
	assert_int_equal(zi_peer_id(a), id_a);
	assert_int_equal(zi_peer_dead(a, id_a), 0);
	assert_int_equal(zi_peer_dead(b, id_a), 0);
	assert_int_equal(zi_peer_dead(a, id_b), 0);
	assert_true(zi_peer_slot_alive(a, zi_id_slot(id_b)));
	assert_int_equal(zi_peer_pid(a, id_b), getpid());
	rig_close_and_wait(b);
	assert_int_equal(zi_peer_dead(a, id_b), 1);
	assert_false(zi_peer_slot_alive(a, zi_id_slot(id_b)));
	assert_int_equal(zi_peer_dead(a, id_a), 0);
	zipc_segment_close(a);
}

static void nobody_is_dead(void **state)
{
	(void)state;
	zipc_segment *a = make_with_peers(4);
	uint32_t id = rig_info(a).self_id;
	assert_int_equal(zi_peer_dead(a, 0), 1);
	assert_int_equal(zi_peer_dead(a, zi_id_make(2, 0)), 1); /* generation 0 never names one */
	assert_int_equal(zi_peer_dead(a, zi_id_make(4, 1)), 1); /* no such slot */
	assert_int_equal(zi_peer_dead(a, ZI_ID_MASK), 1);
	assert_int_equal(zi_peer_dead(a, id + 1), 1); /* a later generation */
	assert_false(zi_peer_slot_alive(a, 4));
	assert_false(zi_peer_slot_alive(a, UINT32_MAX));
	assert_int_equal(zi_peer_pid(a, zi_id_make(9, 1)), 0);
	assert_int_equal(zi_peer_pid(a, id + 1), 0);
	zipc_segment_close(a);
}

static void slots_run_out_and_come_back(void **state)
{
	(void)state;
	zipc_segment *all[4] = {make_with_peers(4)}, *more;
	zipc_segment_options o = ZIPC_SEGMENT_OPTIONS_INIT;
	for (int i = 1; i < 4; i++)
		all[i] = rig_again(all[0], 0);
	assert_int_equal(rig_info(all[0]).peers, 4);
	int fd = zipc_segment_export_fd(all[0]);
	assert_int_equal(zipc_segment_open_fd(fd, &o, &more), -ENOSPC);
	assert_said("all 4 peer slots");
	o.flags = ZIPC_SEGMENT_READ_ONLY; /* needs none */
	assert_ok(zipc_segment_open_fd(fd, &o, &more));
	zipc_segment_close(more);
	close(fd);
	uint32_t gone = rig_info(all[2]).self_id;
	zipc_segment_close(all[2]);
	all[2] = rig_again(all[0], 0);
	assert_int_equal(zi_id_slot(rig_info(all[2]).self_id), zi_id_slot(gone));
	assert_int_not_equal(rig_info(all[2]).self_id, gone);
	assert_int_equal(zi_peer_dead(all[0], gone), 1);
	for (int i = 3; i >= 0; i--)
		zipc_segment_close(all[i]);
}

/* One slot, many lives; generations start over after 3999 and old ids stay dead. */
static void generations_start_over(void **state)
{
	(void)state;
	zipc_segment *a = make_with_peers(2);
	uint32_t slot = 1 - zi_id_slot(rig_info(a).self_id);
	struct zi_peer *peer = zi_peer_at(a, slot);
	peer->generation = ZI_GENERATION_LAST - 1;
	zipc_segment *b = rig_again(a, 0);
	assert_int_equal(rig_info(b).self_id, zi_id_make(slot, ZI_GENERATION_LAST));
	uint64_t used = rig_used(a), left;
	assert_ok(zipc_alloc(b, 200000, 0, &left)); /* a claim of the last generation */
	zipc_segment_close(b);
	b = rig_again(a, 0);
	assert_int_equal(rig_info(b).self_id, zi_id_make(slot, 1));
	assert_int_equal(rig_used(a), used); /* swept before the number could name a stranger */
	zipc_segment_close(b);
	peer->generation = ZI_GENERATION_SWEEP + 7; /* sweepers that died */
	b = rig_again(a, 0);
	assert_int_equal(rig_info(b).self_id, zi_id_make(slot, 1));
	zipc_segment_close(b);
	peer->generation = ZI_GENERATION_MASK; /* no sweeper is left: the slot is given up */
	zipc_segment_options o = ZIPC_SEGMENT_OPTIONS_INIT;
	int fd = zipc_segment_export_fd(a);
	assert_int_equal(zipc_segment_open_fd(fd, &o, &b), -ENOSPC);
	close(fd);
	zipc_segment_close(a);
}

struct seen {
	uint32_t count, alive, dead, id, pid, uid;
	uint64_t attached_ns;
	char command[64];
	int stop;
};

static int note(const zipc_peer_entry *entry, void *arg)
{
	struct seen *seen = arg;
	assert_int_equal(entry->struct_size, sizeof *entry);
	seen->count++;
	seen->alive += entry->alive;
	if (!entry->alive)
		seen->dead = entry->id;
	seen->id = entry->id;
	seen->pid = entry->pid;
	seen->uid = entry->uid;
	seen->attached_ns = entry->attached_ns;
	snprintf(seen->command, sizeof seen->command, "%s", entry->command);
	return seen->stop;
}

static void the_table_is_for_people(void **state)
{
	(void)state;
	zipc_segment *a = make_with_peers(8), *b = rig_again(a, 0);
	char command[64] = "";
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, command, sizeof command - 1);
	close(fd);
	assert_true(n > 1);
	command[n - 1] = '\0';
	struct seen seen = {0};
	assert_ok(zipc_segment_peers(a, note, &seen));
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.alive, 2);
	assert_int_equal(seen.pid, getpid());
	assert_int_equal(seen.uid, geteuid());
	assert_string_equal(seen.command, command);
	int64_t age = (int64_t)time(NULL) - (int64_t)(seen.attached_ns / 1000000000);
	assert_true(age >= -1 && age <= 2);
	seen = (struct seen){.stop = 42};
	assert_int_equal(zipc_segment_peers(a, note, &seen), 42);
	assert_int_equal(seen.count, 1);
	zipc_segment *reader = rig_again(a, ZIPC_SEGMENT_READ_ONLY);
	seen = (struct seen){0};
	assert_ok(zipc_segment_peers(reader, note, &seen));
	assert_int_equal(seen.alive, 2);
	zipc_segment_close(reader);
	zipc_segment_close(b); /* in good order: not shown any more */
	seen = (struct seen){0};
	assert_ok(zipc_segment_peers(a, note, &seen));
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.id, rig_info(a).self_id);
	zipc_segment_close(a);
}

/* A child that ended without detaching is shown, as dead. */
static void the_dead_are_shown_as_dead(void **state)
{
	(void)state;
	zipc_segment *a = make_with_peers(8);
	for (uint32_t slot = 0; slot < 8; slot++)
		if (slot != zi_id_slot(rig_info(a).self_id))
			zi_peer_at(a, slot)->generation = 40;
	pid_t child = peer_fork();
	if (child == 0) {
		uint64_t offset;
		_exit(zipc_alloc(a, 100, 0, &offset) == 0 ? 0 : 1);
	}
	assert_int_equal(peer_wait(child), 0);
	struct seen seen = {0};
	assert_ok(zipc_segment_peers(a, note, &seen));
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.alive, 1);
	assert_int_equal(rig_info(a).peers, 1);
	uint32_t gone = seen.dead;
	uint32_t generation = zi_peer_at(a, zi_id_slot(gone))->generation;
	assert_int_equal(zipc_segment_gc(a), 1);
	assert_int_equal(zipc_segment_gc(a), 0);
	seen = (struct seen){0};
	assert_ok(zipc_segment_peers(a, note, &seen)); /* nothing of it is left to be shown */
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.id, rig_info(a).self_id);
	assert_int_equal(zi_peer_at(a, zi_id_slot(gone))->generation, generation);
	assert_int_equal(zi_peer_dead(a, gone), 1);
	zipc_segment_close(a);
}

/* A forked child's attachment, ended without detaching. */
static void attach_and_die(zipc_segment *a)
{
	pid_t child = peer_fork();
	if (child == 0)
		_exit(zi_peer_id(a) > 0 ? 0 : 1);
	assert_int_equal(peer_wait(child), 0);
}

/* Where an unknown type may hide claims of the dead, they go on being shown. */
static void the_dead_stay_while_claims_may(void **state)
{
	(void)state;
	zipc_segment *a = make_with_peers(8);
	zipc_array *array;
	assert_ok(zipc_array_create(a, "strange", 8, 1, NULL, &array));
	uint32_t *type = &zi_directory_entry(a, 0)->type;
	attach_and_die(a);
	*type += 1000;
	assert_int_equal(zipc_segment_gc(a), 0);
	struct seen seen = {0};
	assert_ok(zipc_segment_peers(a, note, &seen));
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.alive, 1);
	*type -= 1000;
	assert_int_equal(zipc_segment_gc(a), 0);
	seen = (struct seen){0};
	assert_ok(zipc_segment_peers(a, note, &seen));
	assert_int_equal(seen.count, 1);
	zipc_array_close(array);
	zipc_segment_close(a);
}

/* The slot was entered again between the look and the sweep: its row is the new one's. */
static void a_new_peer_is_not_swept(void **state)
{
	(void)state;
	zipc_segment *a = make_with_peers(2);
	struct zi_dead_row rows[2];
	attach_and_die(a);
	nap_us(12000); /* nobody is remembered as living */
	assert_int_equal(zi_peer_list_dead(a, rows), 1);
	zipc_segment *b = rig_again(a, 0);
	assert_int_equal(zi_id_slot(rig_info(b).self_id), rows[0].slot);
	/* the same process as the dead one, after an exec */
	struct zi_peer dead = {.row = rows[0].row};
	dead.pid = (uint32_t)getpid();
	rows[0].row = dead.row;
	zi_peer_forget(a, rows, 1);
	assert_int_equal(zi_peer_pid(a, rig_info(b).self_id), getpid());
	struct seen seen = {0};
	assert_ok(zipc_segment_peers(a, note, &seen));
	assert_int_equal(seen.alive, 2);
	zipc_segment_close(b);
	zipc_segment_close(a);
}

/* Somebody closes descriptors that are not his: the attachment asks through a new one. */
static void a_closed_descriptor_is_reopened(void **state)
{
	(void)state;
	const char *name = unique_name("closed");
	zipc_segment_options o = rig_options(ZIPC_BACKING_SHM, 8 * MIB);
	zipc_segment *a, *b;
	assert_ok(zipc_segment_create(name, &o, &a));
	assert_ok(zipc_segment_open(name, NULL, &b));
	uint32_t id_b = rig_info(b).self_id;
	close(a->query_fd);
	int other = open("/dev/null", O_RDWR | O_CLOEXEC); /* takes the number */
	nap_us(12000);
	assert_int_equal(zi_peer_dead(a, id_b), 0);
	assert_true(zi_peer_slot_alive(a, zi_id_slot(id_b)));
	assert_int_not_equal(a->query_fd, other);
	assert_int_equal(fcntl(other, F_GETFD), FD_CLOEXEC); /* the stranger's is left alone */
	uint64_t offset;
	assert_ok(zipc_alloc(a, 4 * MIB, 0, &offset)); /* and it can grow */
	zipc_segment_close(b);
	zipc_segment_close(a);
	if (fcntl(other, F_GETFD) >= 0)
		close(other);
	assert_ok(zipc_segment_remove(name, NULL));
}

/* Where it cannot be reopened nobody is dead, and the call says why. */
static void without_descriptors_nobody_is_dead(void **state)
{
	(void)state;
	zipc_segment *a = rig_make(8 * MIB), *b = rig_again(a, 0);
	uint32_t id_b = rig_info(b).self_id;
	close(b->query_fd);
	close(a->query_fd);
	nap_us(12000);
	assert_int_equal(zi_peer_dead(a, id_b), -EBADF);
	assert_true(zi_peer_slot_alive(a, zi_id_slot(id_b)));
	assert_true(zi_peer_slot_alive(a, 7)); /* errors mean alive */
	assert_int_equal(zipc_segment_export_fd(a), -EBADF);
	uint64_t offset;
	assert_int_equal(zipc_alloc(a, 4 * MIB, 0, &offset), -EBADF);
	assert_ok(zipc_alloc(a, 100, 0, &offset)); /* what needs nobody goes on */
	a->query_fd = -1;
	b->query_fd = -1;
	zipc_segment_close(a);
	zipc_segment_close(b);
}

static int run(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(ids_differ_and_end),
		cmocka_unit_test(nobody_is_dead),
		cmocka_unit_test(slots_run_out_and_come_back),
		cmocka_unit_test(generations_start_over),
		cmocka_unit_test(the_table_is_for_people),
		cmocka_unit_test(the_dead_are_shown_as_dead),
		cmocka_unit_test(the_dead_stay_while_claims_may),
		cmocka_unit_test(a_new_peer_is_not_swept),
		cmocka_unit_test(a_closed_descriptor_is_reopened),
		cmocka_unit_test(without_descriptors_nobody_is_dead),
	};
	return PEER_RUN("peers", tests);
}

int main(int argc, char **argv)
{
	static const struct role roles[] = {{NULL, NULL}};
	return peer_main(argc, argv, roles, run);
}
