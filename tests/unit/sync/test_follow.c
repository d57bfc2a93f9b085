/*
 * test_follow.c - clients that follow a room in which anything happens.
 *
 * Whatever is sent, forks and resolutions among it, with whatever limits a client asks, and however many answers it
 * loses: a client that takes `state_after` has the room's state, one that takes `state` and the timeline has it where
 * nothing forked, and what it saw is what the store gives in the order of /sync, nothing twice, with gaps where it was
 * told of one.
 */
#include "synced.h"

#include "base/map.h"

#include <stdlib.h>

enum { STEPS = 120, CLIENTS = 4 };

struct follower {
	struct client c;
	struct map state; /* "type\0key" > event id */
	VEC(str) seen;    /* since the last gap */
};

static str entry_key(struct arena *a, str type, str state_key)
{
	return arena_join3(a, type, (str){ "", 1 }, state_key);
}

static void apply(struct synced *t, struct follower *f, const struct json *events)
{
	JSON_ITEMS (events, i) {
		const struct json *e = events->array.items[i];
		const str type = json_get_str(e, S("type")), key = json_get_str(e, S("state_key"));
		str *id = ARENA_NEW(t->w->a, str);

		if (str_is_none(key))
			continue;
		*id = json_get_str(e, S("event_id"));
		(void)map_put(&f->state, entry_key(t->w->a, type, key), id);
	}
}

static const char *random_filter(struct synced *t, bool lazy)
{
	static const int limits[] = { 1, 2, 3, 10, 50 };

	return arena_printf(t->w->a, "{'room':{'timeline':{'limit':%d}%s}}", limits[rand() % 5],
			    lazy ? ",'state':{'lazy_load_members':true}" : "")
		.p;
}

static void follow(struct synced *t, struct follower *f, str room)
{
	const str before = f->c.token;
	const bool lost = !str_is_none(before) && rand() % 5 == 0;
	const struct json *timeline, *events, *p;

	f->c.filter = random_filter(t, false);
	p = part(ask(t, &f->c), "join", room);
	if (lost) {
		f->c.token = before;
		return;
	}
	if (!p)
		return;
	timeline = json_get(p, S("timeline"));
	events = json_get_array(timeline, S("events"));
	apply(t, f, events_of(p, f->c.state_after ? "state_after" : "state"));
	if (!f->c.state_after)
		apply(t, f, events);
	if (json_get_bool(timeline, S("limited"), false))
		f->seen.n = 0;
	JSON_ITEMS (events, i)
		vec_push(t->w->a, &f->seen, json_get_str(events->array.items[i], S("event_id")));
}

static void check_state(struct synced *t, struct follower *f, str room)
{
	struct state_row *rows;
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(t->w->b->st, t->w->a, &tx));
	good(store_state_list(tx, room_nid(t->w, room), &rows, &n));
	for (size_t i = 0; i < n; i++) {
		struct event_row *row;
		const str *has;
		str type, key;

		good(store_event_by_nid(tx, rows[i].event, &row));
		good(store_intern_text(t->w->b->st, t->w->a, rows[i].type, &type));
		good(store_intern_text(t->w->b->st, t->w->a, rows[i].state_key, &key));
		has = map_get(&f->state, entry_key(t->w->a, type, key));
		ok(has && str_eq(*has, row->event_id), "%.*s %.*s", STR_ARG(type), STR_ARG(key));
	}
}

/* What was seen since the last gap is the newest of the store, in its order. */
static void check_timeline(struct synced *t, struct follower *f, str room)
{
	struct event_row **rows;
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(t->w->b->st, t->w->a, &tx));
	good(store_events_by_stream(tx, room_nid(t->w, room), 0, INT64_MAX, true, f->seen.n, &rows, &n));
	assert_int_equal(n, f->seen.n);
	for (size_t i = 0; i < n; i++)
		same_str(f->seen.p[n - 1 - i], rows[i]->event_id);
}

/* An event on an older one, as another server might send it, authorised by the state that is current now. */
static void fork_off(struct synced *t, str room, const char *sender, str base)
{
	static int64_t ts = 1000;
	struct world *w = t->w;
	const struct json *content = js(w->a, arena_printf(w->a, "{'n':%d}", rand()).p);
	const struct room_version *rv = room_version_find(ROOM_VERSION_DEFAULT);
	const str sender_id = who(w, sender).user_id;
	const bool is_state = rand() % 2 == 0;
	struct state_key keys[AUTH_KEYS_MAX];
	str auth[AUTH_KEYS_MAX];
	struct event_fields fields = {
		.room_id = room,
		.sender = sender_id,
		.type = is_state ? S("org.example.state") : S("org.example.message"),
		.state_key = is_state ? arena_printf(w->a, "k%d", rand() % 3) : STR_NONE,
		.content = content,
		.origin_server_ts = ++ts,
		.depth = 50 + ts,
		.prev_events = &base,
		.n_prev_events = 1,
		.auth_events = auth,
	};
	const size_t n = auth_keys(rv, fields.type, fields.state_key, sender_id, content, keys);
	enum append_outcome outcome;
	struct event *ev;

	for (size_t i = 0; i < n; i++) {
		const struct event_row *row =
			current(w, room, arena_cstr(w->a, keys[i].type), arena_cstr(w->a, keys[i].state_key));

		if (row)
			auth[fields.n_auth_events++] = row->event_id;
	}
	good(event_build(w->a, rv, &fields, &w->opt.signer, &ev));
	good(rooms_append_event(w->rs, w->a, ev, &outcome));
}

struct story {
	str room;
	bool forks;
	VEC(str) sent;
};

static void step(struct synced *t, struct story *s)
{
	static const char *const names[] = { "alice", "bob", "carol", "dave" };
	const char *const name = names[rand() % 4];
	const struct actor by = who(t->w, name);
	struct world *w = t->w;

	switch (rand() % (s->forks ? 9 : 7)) {
	case 0:
	case 1:
	case 2:
		vec_push(w->a, &s->sent, say(w, by, s->room, "x"));
		break;
	case 3:
	case 4:
		vec_push(w->a, &s->sent,
			 set_state(w, by, s->room, "org.example.state", arena_printf(w->a, "k%d", rand() % 3).p,
				   arena_printf(w->a, "{'n':%d}", rand()).p));
		break;
	case 5:
		if (membership_now(w, s->room, "erin") == MEMBER_JOIN)
			good(member(w, room_leave, who(w, "erin"), s->room, NULL));
		else
			good(join(w, who(w, "erin"), s->room));
		break;
	case 6:
		set_state(w, by, s->room, "m.room.member", by.user_id.p,
			  arena_printf(w->a, "{'membership':'join','displayname':'n%d'}", rand() % 5).p);
		break;
	default:
		if (s->sent.n)
			fork_off(t, s->room, name, s->sent.p[(size_t)rand() % s->sent.n]);
	}
}

static const char room_body[] =
	"{'preset':'public_chat','power_level_content_override':{'events':{'org.example.state':0}}}";

static void run(struct synced *t, unsigned seed, bool forks)
{
	static const char *const names[CLIENTS] = { "alice", "bob", "carol", "dave" };
	struct follower f[CLIENTS] = { 0 };
	struct story s = { .forks = forks };

	srand(seed);
	s.room = make_room(t->w, who(t->w, "alice"), room_body);
	for (int i = 0; i < CLIENTS; i++) {
		f[i].c.by = who(t->w, names[i]);
		f[i].c.state_after = forks || i % 2;
		map_init(&f[i].state, t->w->a);
		if (i)
			good(join(t->w, f[i].c.by, s.room));
	}
	for (int i = 0; i < STEPS; i++) {
		step(t, &s);
		follow(t, &f[rand() % CLIENTS], s.room);
	}
	for (int i = 0; i < CLIENTS; i++) {
		/* Not all of them are lost. */
		for (int k = 0; k < 12; k++)
			follow(t, &f[i], s.room);
		check_state(t, &f[i], s.room);
		check_timeline(t, &f[i], s.room);
	}
}

static void clients_follow_a_room(struct synced *t)
{
	for (unsigned seed = 1; seed <= 6; seed++)
		run(t, seed, false);
}
SYNCED(clients_follow_a_room)

static void clients_follow_a_room_that_forks(struct synced *t)
{
	for (unsigned seed = 1; seed <= 6; seed++)
		run(t, 100 + seed, true);
}
SYNCED(clients_follow_a_room_that_forks)

/* Lazy members: the client has the membership event in force of whoever spoke. */
static void lazy_clients_know_the_senders(struct synced *t)
{
	struct follower f = { .c.by = who(t->w, "bob") };
	struct story s = { 0 };

	srand(7);
	s.room = make_room(t->w, who(t->w, "alice"), room_body);
	for (const char *const *name = (const char *const[]){ "bob", "carol", "dave", NULL }; *name; name++)
		good(join(t->w, who(t->w, *name), s.room));
	map_init(&f.state, t->w->a);
	for (int i = 0; i < 2 * STEPS; i++) {
		const str before = f.c.token;
		const struct json *p, *events;

		step(t, &s);
		f.c.filter = random_filter(t, true);
		p = part(ask(t, &f.c), "join", s.room);
		if (!str_is_none(before) && rand() % 5 == 0) {
			f.c.token = before;
			continue;
		}
		apply(t, &f, events_of(p, "state"));
		events = events_of(p, "timeline");
		apply(t, &f, events);
		JSON_ITEMS (events, k) {
			const str sender = json_get_str(events->array.items[k], S("sender"));
			const struct event_row *row =
				current(t->w, s.room, "m.room.member", arena_cstr(t->w->a, sender));
			const str *has = map_get(&f.state, entry_key(t->w->a, S("m.room.member"), sender));

			ok(has && str_eq(*has, row->event_id), "step %d: %.*s", i, STR_ARG(sender));
		}
	}
}
SYNCED(lazy_clients_know_the_senders)

TEST_MAIN(SYNCED_TESTS(clients_follow_a_room), SYNCED_TESTS(clients_follow_a_room_that_forks),
	  SYNCED_TESTS(lazy_clients_know_the_senders))
