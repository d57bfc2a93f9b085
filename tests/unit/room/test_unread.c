/* test_unread.c - tallies: threads, receipts of all kinds, and that what memory says is what a count from the beginning
 * says. */
#include "notified.h"

#include <stdlib.h>

struct pair {
	struct actor alice, bob;
	str room;
};

static struct pair pair(struct notified *t)
{
	struct pair p = { who(t->w, "alice"), who(t->w, "bob"), STR_NONE };

	p.room = make_room(t->w, p.alice, "{'preset':'public_chat','power_level_content_override':{'redact':0}}");
	good(join(t->w, p.bob, p.room));
	return p;
}

static int64_t in_thread(struct notified *t, const struct unread *u, str root)
{
	const int64_t nid = event_row(t->w, root)->nid;

	for (size_t i = 0; i < u->n_threads; i++)
		if (u->threads[i].root == nid)
			return u->threads[i].count.notify;
	return 0;
}

static void threads_are_counted_apart(struct notified *t)
{
	const struct pair p = pair(t);
	const str one = say(t->w, p.alice, p.room, "root"), two = say(t->w, p.alice, p.room, "other root");
	const str reply = say_in_thread(t->w, p.alice, p.room, one);
	struct unread u;

	say_in_thread(t->w, p.alice, p.room, one);
	say_in_thread(t->w, p.alice, p.room, two);
	u = unread_of(t, p.bob, p.room);
	ok(u.all.notify == 5 && u.main.notify == 2 && u.n_threads == 2, "all %d, main %d", (int)u.all.notify,
	   (int)u.main.notify);
	ok(in_thread(t, &u, one) == 2 && in_thread(t, &u, two) == 1, "threads");
	/* Own events end what is unread in their own thread; a reaction's is that of what it is about. */
	react(t->w, p.bob, p.room, reply);
	u = unread_of(t, p.bob, p.room);
	ok(in_thread(t, &u, one) == 0 && in_thread(t, &u, two) == 1 && u.main.notify == 2, "reaction in a thread");
	react(t->w, p.bob, p.room, two); /* a root is in the main timeline */
	u = unread_of(t, p.bob, p.room);
	ok(in_thread(t, &u, two) == 1 && u.main.notify == 0 && u.all.notify == 1, "reaction in the main timeline");
	say_in_thread(t->w, p.bob, p.room, two);
	counts(unread_of(t, p.bob, p.room), 0, 0);
	/* What is called a root and is not there makes no thread. */
	say_in_thread(t->w, p.alice, p.room, S("$nowhere"));
	u = unread_of(t, p.bob, p.room);
	ok(u.main.notify == 1 && u.n_threads == 0, "main %d", (int)u.main.notify);
}
NOTIFIED(threads_are_counted_apart)

static void receipts_end_what_they_cover(struct notified *t)
{
	const struct pair p = pair(t);
	const str root = say(t->w, p.alice, p.room, "1"), inside = say_in_thread(t->w, p.alice, p.room, root),
		  three = say(t->w, p.alice, p.room, "3");
	struct unread u;

	say_in_thread(t->w, p.alice, p.room, root);
	say(t->w, p.alice, p.room, "5");
	counts(unread_of(t, p.bob, p.room), 5, 0);
	good(receipt(t, p.bob, p.room, three, RECEIPT_READ, S("main")));
	u = unread_of(t, p.bob, p.room);
	ok(u.main.notify == 1 && in_thread(t, &u, root) == 2, "main alone");
	good(receipt(t, p.bob, p.room, inside, RECEIPT_READ_PRIVATE, root));
	u = unread_of(t, p.bob, p.room);
	ok(u.main.notify == 1 && in_thread(t, &u, root) == 1, "the thread alone");
	/* Unthreaded, private: everything up to it, and nothing comes back by a public one behind it. */
	good(receipt(t, p.bob, p.room, say(t->w, p.alice, p.room, "6"), RECEIPT_READ_PRIVATE, STR_NONE));
	counts(unread_of(t, p.bob, p.room), 0, 0);
	good(receipt(t, p.bob, p.room, three, RECEIPT_READ, STR_NONE));
	counts(unread_of(t, p.bob, p.room), 0, 0);
	say(t->w, p.alice, p.room, "7");
	counts(unread_of(t, p.bob, p.room), 1, 0);
	notified_restart(t);
	counts(unread_of(t, p.bob, p.room), 1, 0);
}
NOTIFIED(receipts_end_what_they_cover)

static void ignored_users_count_for_nothing(struct notified *t)
{
	const struct pair p = pair(t);
	const struct actor carol = who(t->w, "carol");
	const int64_t ignored[] = { p.alice.user, carol.user };

	good(join(t->w, carol, p.room));
	say(t->w, p.alice, p.room, "1");
	say(t->w, carol, p.room, "2");
	mention(t->w, carol, p.room, p.bob);
	counts(unread_of(t, p.bob, p.room), 3, 1);
	for (int round = 0; round < 2; round++) { /* what was counted before is not taken for it */
		const int64_t now = bus_position(t->w->bus);

		counts(unread_upto(t, p.bob, p.room, now, &ignored[1], 1), 1, 0);
		counts(unread_upto(t, p.bob, p.room, now, ignored, 2), 0, 0);
		counts(unread_of(t, p.bob, p.room), 3, 1);
	}
}
NOTIFIED(ignored_users_count_for_nothing)

static void each_position_has_its_own_count(struct notified *t)
{
	const struct pair p = pair(t);
	int64_t at[6];

	for (int i = 0; i < 6; i++) {
		say(t->w, p.alice, p.room, "x");
		at[i] = bus_position(t->w->bus);
	}
	counts(unread_upto(t, p.bob, p.room, at[2], NULL, 0), 3, 0);
	counts(unread_upto(t, p.bob, p.room, at[5], NULL, 0), 6, 0);
	counts(unread_upto(t, p.bob, p.room, at[0], NULL, 0), 1, 0); /* an earlier reader, late */
	counts(unread_upto(t, p.bob, p.room, at[5], NULL, 0), 6, 0);
}
NOTIFIED(each_position_has_its_own_count)

static uint64_t statements_for(struct notified *t, struct actor by, str room, const struct bus_room_news *news)
{
	const struct member_row *m = membership_row(t->w, room, "bob");
	struct unread_query q = { .room = room_nid(t->w, room),
				  .user = by.user,
				  .since = m->since,
				  .upto = bus_position(t->w->bus),
				  .news = news };
	struct unread u;
	uint64_t before;
	AUTO_TX tx = NULL;

	good(store_read(t->w->b->st, t->w->a, &tx));
	before = store_statements_here();
	good(notify_unread(t->n, t->w->a, &tx, &q, &u));
	return store_statements_here() - before;
}

static void nothing_new_costs_no_statement(struct notified *t)
{
	const struct pair p = pair(t);
	const int64_t room = room_nid(t->w, p.room);
	struct bus_room_news *news;
	struct bus_known known;
	size_t n;

	ok(bus_watch_begin(t->w->bus, p.bob.user), "watched already");
	bus_watch_rooms(t->w->bus, p.bob.user, bus_position(t->w->bus), &room, 1);
	say(t->w, p.alice, p.room, "x");
	assert_int_equal(statements_for(t, p.bob, p.room, NULL), 2); /* receipts, rows */
	assert_int_equal(statements_for(t, p.bob, p.room, NULL), 0);
	/* A few new rows are in memory, many are not. */
	say(t->w, p.alice, p.room, "y");
	assert_int_equal(statements_for(t, p.bob, p.room, NULL), 0);
	for (int i = 0; i < 20; i++)
		say(t->w, p.alice, p.room, "z");
	assert_int_equal(statements_for(t, p.bob, p.room, NULL), 1);
	/* Somebody's receipt elsewhere: the room's own news say that it was not here. */
	{
		const str other = make_room(t->w, p.bob, "{}");
		const str event = say(t->w, p.bob, other, "x");

		good(receipt(t, p.bob, other, event, RECEIPT_READ, STR_NONE));
	}
	assert_true(bus_news(t->w->bus, t->w->a, p.bob.user, -1, -1, &known, &news, &n));
	for (size_t i = 0; i < n; i++)
		if (news[i].room == room)
			assert_int_equal(statements_for(t, p.bob, p.room, &news[i]), 0);
}
NOTIFIED(nothing_new_costs_no_statement)

/*
 * Memory against the model: whatever happens in whatever order, the tally that moved along says what a service says
 * that never counted before.
 */
enum { STEPS = 250, KEPT = 12 };

static str random_event(struct notified *t, const struct pair *p, struct actor by, const str *events, size_t n)
{
	const str any = n ? events[(size_t)rand() % n] : STR_NONE;

	switch (n ? rand() % 6 : 0) {
	case 0:
	case 1:
		return say(t->w, by, p->room, "x");
	case 2:
		return say_in_thread(t->w, by, p->room, any);
	case 3:
		return react(t->w, by, p->room, any);
	case 4:
		redact(t->w, by, p->room, any);
		return say(t->w, by, p->room, "redacted one");
	default:
		return mention(t->w, by, p->room, p->bob);
	}
}

static void random_receipt(struct notified *t, const struct pair *p, str event)
{
	static const enum receipt_kind kinds[] = { RECEIPT_READ, RECEIPT_READ_PRIVATE };
	static const str threads[] = { { NULL, 0 }, STR("main") };

	/* For the thread that the event is not in: refused, and nothing changes. */
	if (receipt(t, p->bob, p->room, event, kinds[rand() % 2], threads[rand() % 2]))
		good(receipt(t, p->bob, p->room, event, RECEIPT_READ, STR_NONE));
}

static bool same_unread(const struct unread *x, const struct unread *y)
{
	if (x->n_threads != y->n_threads || memcmp(&x->all, &y->all, sizeof(x->all)) != 0 ||
	    memcmp(&x->main, &y->main, sizeof(x->main)) != 0)
		return false;
	for (size_t i = 0; i < x->n_threads; i++) {
		size_t k = 0;

		while (k < y->n_threads && y->threads[k].root != x->threads[i].root)
			k++;
		if (k == y->n_threads ||
		    memcmp(&x->threads[i].count, &y->threads[k].count, sizeof(x->threads[i].count)))
			return false;
	}
	return true;
}

static struct unread counted_afresh(struct notified *t, struct actor by, str room, int64_t upto)
{
	struct notify fresh = { .rooms = t->w->rs, .users = t->us };
	struct notified alone = { t->w, t->us, &fresh };
	struct unread u;

	unread_cache_init(&fresh.unread);
	u = unread_upto(&alone, by, room, upto, NULL, 0);
	unread_cache_done(&fresh.unread);
	return u;
}

static void tallies_say_what_a_fresh_count_says(struct notified *t)
{
	const struct pair p = pair(t);
	str events[KEPT] = { STR_NONE };
	size_t n = 0;

	srand(7);
	for (int i = 0; i < STEPS; i++) {
		const size_t known = MIN(n, (size_t)KEPT);
		const int64_t before = bus_position(t->w->bus);
		const int what = rand() % 8;
		struct unread kept, fresh;

		if (what == 0 && n) {
			random_receipt(t, &p, events[(size_t)rand() % known]);
		} else {
			events[n % KEPT] = random_event(t, &p, what == 1 ? p.bob : p.alice, events, known);
			n++;
		}
		if (rand() % 3 == 0)
			(void)unread_upto(t, p.bob, p.room, before, NULL, 0);
		kept = unread_of(t, p.bob, p.room);
		fresh = counted_afresh(t, p.bob, p.room, bus_position(t->w->bus));
		ok(same_unread(&kept, &fresh), "step %d: kept %d/%d, counted %d/%d", i, (int)kept.all.notify,
		   (int)kept.all.highlight, (int)fresh.all.notify, (int)fresh.all.highlight);
	}
}
NOTIFIED(tallies_say_what_a_fresh_count_says)

/* Writers, readers and receipts at once: no count is ever more than what was sent by then, and at rest the count is
 * right. */
struct crowd {
	struct notified *t;
	const struct pair *p;
	struct actor by;
	str last; /* the event that the receipts name */
	int64_t at_most;
	bool wrong;
};
enum { SAID = 60 };

static void crowd_say(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < SAID; i++) {
		AUTO_ARENA a = arena_new();
		str id;

		if (try_send(c->t->w, a, c->by, c->p->room, "m.room.message", NULL, "{'body':'x'}", NULL, &id))
			c->wrong = true;
	}
}

static void crowd_count(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < 3 * SAID; i++) {
		AUTO_ARENA a = arena_new();
		struct unread_query q = { .user = c->by.user, .upto = bus_position(c->t->w->bus) };
		struct member_row *m = NULL;
		struct unread u;
		AUTO_TX tx = NULL;

		if (rooms_find(c->t->w->rs, a, c->p->room, &q.room, NULL) || store_read(c->t->w->b->st, a, &tx) ||
		    store_member(tx, q.room, c->by.user, &m) || !m) {
			c->wrong = true;
			return;
		}
		q.since = m->since;
		if (notify_unread(c->t->n, a, &tx, &q, &u) || u.all.notify > c->at_most || u.all.notify < 0)
			c->wrong = true;
	}
}

static void crowd_read(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < SAID / 4; i++) {
		AUTO_ARENA a = arena_new();
		const struct receipt_cmd cmd = { .by = c->by,
						 .room_id = c->p->room,
						 .event_id = c->last,
						 .kind = i % 2 ? RECEIPT_READ : RECEIPT_READ_PRIVATE,
						 .thread_id = STR_NONE };

		if (room_receipt(c->t->w->rs, a, &cmd))
			c->wrong = true;
	}
}

static void counts_hold_among_writers_and_receipts(struct notified *t)
{
	const struct pair p = pair(t);
	const str last = say(t->w, p.alice, p.room, "first");
	const struct actor carol = who(t->w, "carol");
	struct crowd c[6];
	struct thread *threads[6];

	good(join(t->w, carol, p.room));
	for (size_t i = 0; i < 6; i++)
		c[i] = (struct crowd){ t, &p, i < 2 ? p.alice : p.bob, last, 2 * SAID + 1, false };
	c[5].by = carol;
	threads[0] = thread_start("say", crowd_say, &c[0]);
	threads[1] = thread_start("say", crowd_say, &c[1]);
	threads[2] = thread_start("count", crowd_count, &c[2]);
	threads[3] = thread_start("count", crowd_count, &c[3]);
	threads[4] = thread_start("read", crowd_read, &c[4]);
	threads[5] = thread_start("count", crowd_count, &c[5]);
	for (size_t i = 0; i < 6; i++) {
		thread_join(&threads[i]);
		ok(!c[i].wrong, "thread %d", (int)i);
	}
	counts(unread_of(t, p.bob, p.room), 2 * SAID, 0);
	counts(unread_of(t, carol, p.room), 2 * SAID, 0);
}
NOTIFIED(counts_hold_among_writers_and_receipts)

TEST_MAIN(NOTIFIED_TESTS(threads_are_counted_apart), NOTIFIED_TESTS(receipts_end_what_they_cover),
	  NOTIFIED_TESTS(ignored_users_count_for_nothing), NOTIFIED_TESTS(each_position_has_its_own_count),
	  NOTIFIED_TESTS(nothing_new_costs_no_statement), NOTIFIED_TESTS(tallies_say_what_a_fresh_count_says),
	  NOTIFIED_TESTS(counts_hold_among_writers_and_receipts))
