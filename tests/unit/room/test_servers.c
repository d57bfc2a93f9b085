/* test_servers.c - which other servers get an event from us: those in the room before or after it, and nobody else. */
#include "forge.h"

#include "base/rand.h"
#include "crypto/crypto.h"
#include "store/outbox.h"

static int by_text(const void *x, const void *y) { return str_cmp(*(const str *)x, *(const str *)y); }

static str names_of(struct world *w, struct arena *a, const int64_t *servers, size_t n)
{
	str *names = ARENA_ARRAY(a, str, n), all = S("");

	for (size_t i = 0; i < n; i++)
		good(store_intern_text(w->b->st, a, servers[i], &names[i]));
	if (n)
		qsort(names, n, sizeof(names[0]), by_text);
	for (size_t i = 0; i < n; i++) {
		ok(i == 0 || !str_eq(names[i], names[i - 1]), "a server twice");
		all = i ? arena_join3(a, all, S(" "), names[i]) : names[i];
	}
	return all;
}

/* On a writer's thread, one at a time; read once its writer was answered. Names are looked up afterwards. */
static struct {
	int64_t list[64];
	size_t n;
	int64_t event, stream;
	unsigned flags;
	bool told;
} last;

static void on_stored(void *ctx, const struct rooms_stored *ev)
{
	(void)ctx;
	assert_true(ev->n_servers <= ARRAY_LEN(last.list));
	last.n = ev->n_servers;
	last.event = ev->row->nid;
	last.stream = ev->row->stream;
	last.flags = ev->row->flags;
	last.told = true;
	if (ev->n_servers)
		memcpy(last.list, ev->servers, ev->n_servers * sizeof(last.list[0]));
}

static void listen(struct world *w) { rooms_on_stored(w->rs, on_stored, NULL); }

/* Whom the last event went to. */
static str went_to(struct world *w)
{
	assert_true(last.told);
	last.told = false;
	assert_true(((last.flags & EVENT_TO_SEND) != 0) == (last.n > 0));
	return names_of(w, w->a, last.list, last.n);
}

/* The event of another server's user, upon the room's newest; through us where `resident`. */
static void far_event(struct world *w, struct forge *f, const char *user, const char *type, const char *key,
		      const char *content, bool resident)
{
	AUTO_ARENA a = arena_new();
	const str user_id = str_c(user);
	struct proposal p = { .type = str_c(type), .state_key = str_c(key), .sender = user_id, .resident = resident };
	struct ticket *ticket;
	enum append_outcome outcome;
	struct room_head_row *h;
	int64_t *nids;
	size_t n;
	str prevs[8];

	{
		AUTO_TX tx = NULL;

		good(store_read(w->b->st, w->a, &tx));
		good(store_head_load(tx, room_nid(w, f->room_id), &h));
		n = store_nids_unpack(w->a, h->extremities, &nids);
		assert_true(n <= ARRAY_LEN(prevs));
		for (size_t i = 0; i < n; i++) {
			struct event_row *row;

			good(store_event_by_nid(tx, nids[i], &row));
			prevs[i] = row->event_id;
		}
	}
	struct event *ev = forge_by(f, user_id, type, key, content, prevs, n);
	good(proposal_number(w->rs, a, &p));
	{
		AUTO_ROOM room = NULL;
		AUTO_DRAFT d = NULL;

		good(room_hold(w->rs, a, f->room_id, &room));
		draft_begin(room, &d);
		good(draft_add_received(d, ev, &p, NULL, &outcome));
		assert_int_equal(outcome, APPEND_ACCEPTED);
		good(draft_queue(&d, &ticket));
	}
	good(store_wait(a, ticket));
}

static void comes(struct world *w, struct forge *f, const char *user)
{
	far_event(w, f, user, "m.room.member", user, "{'membership':'join'}", true);
}
static void goes(struct world *w, struct forge *f, const char *user)
{
	far_event(w, f, user, "m.room.member", user, "{'membership':'leave'}", true);
}

static void a_local_room_goes_nowhere(struct world *w)
{
	const struct actor alice = who(w, "alice");

	listen(w);
	const str id = make_room(w, alice, "{'preset':'public_chat'}");
	uint64_t before;
	(void)say(w, alice, id, "first");
	same_str(went_to(w), S(""));
	world_restart(w);
	listen(w);
	(void)say(w, alice, id, "after a restart");
	same_str(went_to(w), S(""));
	before = store_statements_here();
	(void)say(w, alice, id, "again");
	assert_int_equal(store_statements_here() - before, 4); /* docs/internals/room-store.md */
}
WORLD(a_local_room_goes_nowhere)

static void those_before_and_after_get_it(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str id = open_room(w, "11");
	struct forge f = forge_for(w, id, "11");
	const int64_t *servers;
	size_t n;

	listen(w);
	comes(w, &f, "@x:far");
	same_str(went_to(w), S("")); /* where it came from has it */
	(void)say(w, alice, id, "hello");
	same_str(went_to(w), S("far"));
	comes(w, &f, "@y:other");
	same_str(went_to(w), S("far"));
	comes(w, &f, "@z:far");
	same_str(went_to(w), S("other"));
	/* What another server makes known itself is not ours to spread. */
	far_event(w, &f, "@x:far", "m.room.message", NULL, "{'body':'hello'}", false);
	same_str(went_to(w), S(""));
	world_restart(w);
	listen(w);
	(void)say(w, bob, id, "still here?");
	same_str(went_to(w), S("far other"));
	goes(w, &f, "@x:far");
	same_str(went_to(w), S("other"));
	(void)say(w, bob, id, "one of them");
	same_str(went_to(w), S("far other"));
	good(room_other_servers(w->rs, w->a, id, &servers, &n));
	same_str(names_of(w, w->a, servers, n), S("far other"));
	/* The kick goes to whom it puts out. */
	const struct member_cmd kick = { .by = alice, .room_id = id, .target = S("@z:far") };
	good(room_kick(w->rs, w->a, &kick));
	same_str(went_to(w), S("far other"));
	(void)say(w, bob, id, "gone");
	same_str(went_to(w), S("other"));
	/* What is said of who is not in the room goes to those who are. */
	const struct member_cmd ban = { .by = alice, .room_id = id, .target = S("@new:third") };
	good(room_ban(w->rs, w->a, &ban));
	same_str(went_to(w), S("other"));
	goes(w, &f, "@y:other");
	same_str(went_to(w), S(""));
	(void)say(w, bob, id, "alone");
	same_str(went_to(w), S(""));
	good(room_other_servers(w->rs, w->a, id, &servers, &n));
	assert_int_equal(n, 0);
	good(room_other_servers(w->rs, w->a, S("!nowhere:test"), &servers, &n));
	assert_int_equal(n, 0);
}
WORLD(those_before_and_after_get_it)

/* An invitation taken back, a knock refused: nobody but us can tell, while their server is not in the room. */
static void who_is_turned_away_hears_of_it(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id =
		make_room(w, alice,
			  "{'preset':'public_chat','room_version':'11','initial_state':[{'type':'m.room.join_rules',"
			  "'state_key':'','content':{'join_rule':'knock'}}]}");
	struct forge f = forge_for(w, id, "11");
	static const char *const users[] = { "@invited:far", "@knocking:far", "@banned:far", "@refuses:far" };
	int64_t far;

	listen(w);
	for (size_t i = 0; i < ARRAY_LEN(users); i++) {
		const struct member_cmd away = { .by = alice, .room_id = id, .target = str_c(users[i]) };

		far_event(w, &f, i == 1 ? users[i] : "@alice:test", "m.room.member", users[i],
			  i == 1 ? "{'membership':'knock'}" : "{'membership':'invite'}", true);
		same_str(went_to(w), S(""));
		if (i == 3) {
			goes(w, &f, users[i]);
			same_str(went_to(w), S("")); /* it came from there */
			continue;
		}
		good(i == 2 ? room_ban(w->rs, w->a, &away) : room_kick(w->rs, w->a, &away));
		same_str(went_to(w), S("far"));
		good(store_intern_find(w->b->st, w->a, S("far"), &far));
		{
			struct outbox_event_row *rows;
			size_t n;
			AUTO_TX tx = NULL;

			good(store_read(w->b->st, w->a, &tx));
			good(store_outbox_events(tx, far, 0, INT64_MAX, 10, &rows, &n));
			assert_int_equal(n, i + 1);
			assert_int_equal(rows[i].event, last.event);
		}
		/* Once. */
		(void)say(w, alice, id, "among ourselves");
		same_str(went_to(w), S(""));
	}
}
WORLD(who_is_turned_away_hears_of_it)

/* What replaces the room is told in it. */
static void a_tombstone_is_sent(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = open_room(w, "11");
	struct forge f = forge_for(w, id, "11");
	const struct upgrade_cmd cmd = { .by = alice, .room_id = id, .new_version = S("11") };
	struct event_row *row;
	str successor;

	comes(w, &f, "@x:far");
	good(room_upgrade(w->rs, w->a, &cmd, &successor));
	row = current(w, id, "m.room.tombstone", "");
	assert_non_null(row);
	ok(row->flags & EVENT_TO_SEND, "other servers do not hear of the successor");
}
WORLD(a_tombstone_is_sent)

/* A draft that is dropped has changed nothing. */
static void what_was_not_queued_counts_for_nothing(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = open_room(w, "11");
	struct forge f = forge_for(w, id, "11");

	listen(w);
	comes(w, &f, "@x:far");
	(void)say(w, alice, id, "one");
	same_str(went_to(w), S("far"));
	for (int i = 0; i < 2; i++) {
		AUTO_ARENA a = arena_new();
		struct proposal p = { .type = S("m.room.member"),
				      .state_key = S("@x:far"),
				      .sender = alice.user_id,
				      .content = js(a, "{'membership':'leave'}"),
				      .ts = 1 };
		const struct event *ev;
		AUTO_ROOM room = NULL;
		AUTO_DRAFT d = NULL;

		good(proposal_number(w->rs, a, &p));
		good(room_hold(w->rs, a, id, &room));
		draft_begin(room, &d);
		good(draft_add(d, &p, &ev));
		draft_drop(&d);
		room_release(&room);
		(void)say(w, alice, id, "two");
		same_str(went_to(w), S("far"));
	}
}
WORLD(what_was_not_queued_counts_for_nothing)

/*
 * Many at once: what each event's servers are is compared with what went before it in the order of the commits. Whoever
 * holds the room makes it forget the list now and then, so that it is read while jobs that change it are queued.
 */
enum { FAR = 6, STEPS = 60, SAYERS = 2 };
static const char *const far_users[FAR] = { "@a:far", "@b:far", "@c:other", "@d:other", "@e:third", "@f:third" };

static struct {
	struct world *w;
	str room_id;
	int64_t users[FAR], servers[FAR]; /* of each user */
	bool in[FAR];
	char wrong[256];
	size_t n_events;
	atomic_bool end;
} model;

static void follow(void *ctx, const struct rooms_stored *ev)
{
	bool before[FAR], after, expected = false;
	size_t want = 0;

	(void)ctx;
	memcpy(before, model.in, sizeof(before));
	for (size_t i = 0; i < FAR; i++)
		if (ev->row->state_key == model.users[i] && ev->member_before != ev->member_after)
			model.in[i] = ev->member_after == MEMBER_JOIN;
	/* Two users of each server, side by side. */
	for (size_t i = 0; i < FAR; i += 2) {
		bool found = false;

		after = model.in[i] || model.in[i + 1];
		expected = (before[i] || before[i + 1] || after) &&
			   !id_is_of(ev->event->sender, id_server(str_c(far_users[i])));
		want += expected;
		for (size_t k = 0; k < ev->n_servers; k++)
			found = found || ev->servers[k] == model.servers[i];
		if (found != expected && !model.wrong[0])
			(void)snprintf(model.wrong, sizeof(model.wrong), "event %zu (%.*s) goes %s%.*s", model.n_events,
				       STR_ARG(ev->event->type), found ? "to " : "not to ",
				       STR_ARG(id_server(str_c(far_users[i]))));
	}
	if (want != ev->n_servers && !model.wrong[0])
		(void)snprintf(model.wrong, sizeof(model.wrong), "event %zu goes to %zu servers", model.n_events,
			       ev->n_servers);
	model.n_events++;
}

static bool far_is_in(struct world *w, size_t i)
{
	struct member_row *m;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(store_member(tx, room_nid(w, model.room_id), model.users[i], &m));
	return m && m->membership == MEMBER_JOIN;
}

static void forget_list(struct world *w, struct arena *a)
{
	AUTO_ROOM room = NULL;

	good(room_hold(w->rs, a, model.room_id, &room));
	room_servers_clear(room, false);
}

static void sayer(void *arg)
{
	const struct actor *by = arg;

	for (unsigned i = 0; !atomic_load(&model.end); i++) {
		AUTO_ARENA a = arena_new();
		const struct send_cmd cmd = { .by = *by,
					      .room_id = model.room_id,
					      .type = S("m.room.message"),
					      .content = js(a, "{'body':'x'}") };
		str id;

		if (i % 3 == 0)
			forget_list(model.w, a);
		good(room_send(model.w->rs, a, &cmd, &id));
	}
}

static void queued_changes_count_once(struct world *w)
{
	const struct actor alice = who(w, "alice");
	struct actor by[SAYERS] = { who(w, "mod"), who(w, "bob") };
	struct thread *threads[SAYERS];
	struct forge f;

	memset(&model, 0, sizeof(model));
	model.w = w;
	model.room_id = open_room(w, "11");
	f = forge_for(w, model.room_id, "11");
	for (size_t i = 0; i < FAR; i++) {
		good(store_intern(w->b->st, w->a, str_c(far_users[i]), &model.users[i]));
		good(store_intern(w->b->st, w->a, id_server(str_c(far_users[i])), &model.servers[i]));
	}
	rooms_on_stored(w->rs, follow, NULL);
	for (size_t i = 0; i < SAYERS; i++)
		threads[i] = thread_start("sayer", sayer, &by[i]);
	for (int step = 0; step < STEPS; step++) {
		const size_t i = rand_u64() % FAR;
		AUTO_ARENA a = arena_new();
		const struct member_cmd kick = { .by = alice, .room_id = model.room_id, .target = str_c(far_users[i]) };

		if (!far_is_in(w, i))
			comes(w, &f, far_users[i]);
		else if (rand_u64() % 2)
			goes(w, &f, far_users[i]);
		else
			good(room_kick(w->rs, a, &kick));
		if (step % 4 == 0)
			forget_list(w, a);
	}
	atomic_store(&model.end, true);
	for (size_t i = 0; i < SAYERS; i++)
		thread_join(&threads[i]);
	ok(!model.wrong[0], "%s", model.wrong);
	ok(model.n_events > STEPS, "only %d events", (int)model.n_events);
}
WORLD(queued_changes_count_once)

/* What the tables say of who was there when, and what a server is to get by them. */
static void tables_tell_who_was_there_when(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str id = open_room(w, "11");
	struct forge f = forge_for(w, id, "11");
	struct outbox_event_row *rows;
	int64_t far, want[8];
	size_t n_want = 0, n;
	AUTO_TX tx = NULL;

	(void)say(w, alice, id, "before");
	comes(w, &f, "@x:far");
	want[n_want++] = event_row(w, say(w, alice, id, "hello"))->nid;
	comes(w, &f, "@y:far");
	const struct member_cmd x = { .by = alice, .room_id = id, .target = S("@x:far") };
	const struct member_cmd y = { .by = alice, .room_id = id, .target = S("@y:far") };
	good(room_kick(w->rs, w->a, &x));
	want[n_want++] = current(w, id, "m.room.member", "@x:far")->nid;
	want[n_want++] = event_row(w, say(w, alice, id, "one is left"))->nid;
	good(room_kick(w->rs, w->a, &y));
	want[n_want++] = current(w, id, "m.room.member", "@y:far")->nid;
	(void)say(w, alice, id, "nobody hears");
	comes(w, &f, "@x:far");
	want[n_want++] = event_row(w, say(w, alice, id, "back"))->nid;

	good(store_intern(w->b->st, w->a, S("far"), &far));
	good(store_read(w->b->st, w->a, &tx));
	good(store_outbox_events(tx, far, 0, INT64_MAX, 100, &rows, &n));
	/* Theirs are found as well: whose they are is looked at when they are sent. */
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		struct event_row *row;

		good(store_event_by_nid(tx, rows[i].event, &row));
		str sender;
		good(store_intern_text(w->b->st, w->a, row->sender, &sender));
		if (id_is_of(sender, S("far")))
			continue;
		ok(k < n_want && rows[i].event == want[k], "event %d of what far is to get", (int)k);
		k++;
	}
	assert_int_equal(k, n_want);
}
WORLD(tables_tell_who_was_there_when)

int main(void)
{
	const struct CMUnitTest tests[] = { WORLD_TESTS(a_local_room_goes_nowhere),
					    WORLD_TESTS(those_before_and_after_get_it),
					    WORLD_TESTS(who_is_turned_away_hears_of_it),
					    WORLD_TESTS(a_tombstone_is_sent),
					    WORLD_TESTS(what_was_not_queued_counts_for_nothing),
					    WORLD_TESTS(queued_changes_count_once),
					    WORLD_TESTS(tables_tell_who_was_there_when) };

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
