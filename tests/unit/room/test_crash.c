/* test_crash.c - kill -9 under load: every acknowledged event is there once, in one chain; its transaction is known. */
#include "flat.h"

enum { ROUNDS = 3, SENDERS = 6, ACKS = 60, MOST = 4000 };

struct ack {
	int sender, n;
	char id[64];
};

struct writing {
	struct world *w;
	struct actor by;
	str room_id;
	int sender, out;
};

static void write_for_ever(void *arg)
{
	struct writing *s = arg;

	for (int i = 0;; i++) {
		AUTO_ARENA a = arena_new();
		struct ack ack = { .sender = s->sender, .n = i };
		str id;
		err *e = try_send(s->w, a, s->by, s->room_id, "m.room.message", NULL, "{'body':'x'}",
				  arena_printf(a, "%d-%d", s->sender, i).p, &id);

		if (e || id.n >= sizeof(ack.id))
			_exit(3);
		memcpy(ack.id, id.p, id.n);
		if (write(s->out, &ack, sizeof(ack)) != sizeof(ack))
			_exit(4);
	}
}

/* In the child: a server of its own on the same database, until it is killed. */
static void child_writes(struct both *b, str room_id, int first, int out)
{
	static struct writing s[SENDERS];
	static struct world w;

	both_open(b);
	world_begin(&w, b);
	for (int i = 0; i < SENDERS; i++) {
		s[i] = (struct writing){ &w, who(&w, "alice"), room_id, first + i, out };
		thread_start("writer", write_for_ever, &s[i]);
	}
	for (;;)
		pause();
}

static size_t acks_until_killed(struct both *b, str room_id, int first, struct ack *acks)
{
	int fds[2], status;
	size_t n = 0;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(fds[0]);
		child_writes(b, room_id, first, fds[1]);
	}
	close(fds[1]);
	while (n < MOST && read(fds[0], &acks[n], sizeof(acks[n])) == sizeof(acks[n]))
		if (++n == ACKS)
			kill(child, SIGKILL);
	close(fds[0]);
	assert_int_equal(waitpid(child, &status, 0), child);
	ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "the child ended by itself: %d", status);
	return n;
}

/* How many events the room shows; each stands on the one before. */
static size_t check_chain(struct world *w, str room_id)
{
	struct event_row **rows;
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(w->b->st, w->a, &tx));
	good(store_events_by_stream(tx, room_nid(w, room_id), 0, INT64_MAX, false, 100000, &rows, &n));
	for (size_t i = 1; i < n; i++) {
		int64_t *prevs;

		assert_int_equal(store_nids_unpack(w->a, rows[i]->prevs, &prevs), 1);
		ok(prevs[0] == rows[i - 1]->nid, "event %d does not follow the one before", (int)i);
	}
	return n;
}

static void acknowledged_is_there_once(struct world *w)
{
	static struct ack acks[MOST];
	const struct actor alice = who(w, "alice");
	const str id = make_room(w, alice, "{}");

	for (int round = 0; round < ROUNDS; round++) {
		const int first = round * SENDERS;
		size_t n, before;

		world_end(w); /* no thread may be there while forking */
		n = acks_until_killed(w->b, id, first, acks);
		both_open(w->b);
		world_open(w);
		before = check_chain(w, id);
		for (size_t i = 0; i < n; i++) {
			const struct event_row *row = event_row(w, str_c(acks[i].id));

			ok(row && row->stream, "acknowledged, and not there");
		}
		/* The client that heard nothing asks again: the same event, no second one. */
		for (size_t i = 0; i < MIN(n, (size_t)20); i++) {
			const str txn = arena_printf(w->a, "%d-%d", acks[i].sender, acks[i].n);
			str again;

			good(try_send(w, w->a, alice, id, "m.room.message", NULL, "{'body':'x'}", txn.p, &again));
			same_str(again, str_c(acks[i].id));
		}
		assert_int_equal(check_chain(w, id), before);
		say(w, alice, id, "and on it goes");
		check_flat(w, id);
	}
}
WORLD(acknowledged_is_there_once)

int main(void)
{
	const struct CMUnitTest tests[] = { WORLD_TESTS(acknowledged_is_there_once) };

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
