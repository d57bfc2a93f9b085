/*
 * test_receive_outcomes.c - what each outcome of a received event means: is it shown, an extremity, with a state of its
 * own, given to other servers, and known to what stands on it? One table, a row an outcome.
 */
#include "flat.h"
#include "forge.h"

#include "crypto/crypto.h"
#include "room/receive/outlier.h"
#include "room/receive/received.h"
#include "room/served/reading.h"
#include "room/state.h"
#include "room/timeline.h"

enum made { MADE_GOOD, MADE_EVADING, MADE_POWERLESS, MADE_OUTLIER, MADE_PLACED_OUTLIER };

static const struct {
	const char *name;
	enum made made;
	bool state;            /* a state event, else a message */
	bool in_sync;          /* in sync, messages */
	bool extremity;        /* a forward extremity */
	bool has_state;        /* a state after it is known */
	bool own_state;        /* and it is another than the one before: only of a state event */
	bool served;           /* /event */
	bool state_served;     /* /state_ids */
	bool counts_as_prev;   /* what names it as a prev_event does not wait for it */
	bool in_current_state; /* of a state event */
} rows[] = {
	/*                      made                  state  sync   ext.   state  own    served states prev   current */
	{ "accepted message", MADE_GOOD, false, true, true, true, false, true, true, true, false },
	{ "accepted state", MADE_GOOD, true, true, true, true, true, true, true, true, true },
	{ "soft-failed message", MADE_EVADING, false, false, false, true, false, true, true, true, false },
	{ "soft-failed state", MADE_EVADING, true, false, false, true, true, true, true, true, false },
	{ "rejected message", MADE_POWERLESS, false, false, false, true, false, false, false, true, false },
	{ "rejected state", MADE_POWERLESS, true, false, false, true, false, false, false, true, false },
	/* Only states and what authorises is asked for by itself: no message is an outlier. */
	{ "outlier state", MADE_OUTLIER, true, false, false, false, false, true, false, false, false },
	{ "outlier state, received", MADE_PLACED_OUTLIER, true, true, true, true, true, true, true, true, true },
};

static const unsigned flags_of[] = {
	[MADE_GOOD] = 0,
	[MADE_EVADING] = EVENT_SOFT_FAILED,
	[MADE_POWERLESS] = EVENT_REJECTED,
	[MADE_OUTLIER] = EVENT_OUTLIER,
	[MADE_PLACED_OUTLIER] = 0,
};

struct scene {
	struct world *w;
	str id, base;
	struct forge f;
};

/* mod@test may set topics, until mod is banned; gert is of the server that asks, and may not. */
static struct scene open_scene(struct world *w, const char *version)
{
	struct scene sc = { .w = w, .id = open_room(w, version) };
	const struct event *gert;

	sc.f = forge_for(w, sc.id, version);
	sc.base = say(w, who(w, "alice"), sc.id, "base");
	gert = forge_by(&sc.f, S("@gert:other"), "m.room.member", "@gert:other", "{'membership':'join'}", &sc.base, 1);
	assert_int_equal(put(w, gert), APPEND_ACCEPTED);
	sc.base = gert->event_id;
	return sc;
}

static struct event *make(struct scene *sc, str sender, bool state, str prev)
{
	return state ? forge_by(&sc->f, sender, "m.room.topic", "", "{'topic':'T'}", &prev, 1)
		     : forge_by(&sc->f, sender, "m.room.message", NULL, "{'body':'B'}", &prev, 1);
}

static void receive(struct scene *sc, const struct event *ev, enum append_outcome want)
{
	struct received_event r = { .event = ev };

	good(rooms_append_events(sc->w->rs, sc->w->a, sc->id, &r, 1));
	good(r.error);
	assert_int_equal(r.outcome, want);
}

static void keep_outlier(struct scene *sc, struct event *ev)
{
	struct outlier o = { .event = ev };

	good(outliers_store(sc->w->rs, sc->w->a, room_nid(sc->w, sc->id), sc->f.rv, &o, 1));
	ok(o.nid && !o.rejected, "kept");
}

static const struct event *bring_in(struct scene *sc, enum made made, bool state)
{
	struct event *ev = NULL;

	switch (made) {
	case MADE_GOOD:
		ev = make(sc, S("@mod:test"), state, sc->base);
		receive(sc, ev, APPEND_ACCEPTED);
		break;
	case MADE_EVADING:
		ev = make(sc, S("@mod:test"), state, sc->base);
		set_state(sc->w, who(sc->w, "alice"), sc->id, "m.room.member", "@mod:test", "{'membership':'ban'}");
		receive(sc, ev, APPEND_SOFT_FAILED);
		break;
	case MADE_POWERLESS:
		ev = make(sc, state ? S("@bob:test") : S("@nobody:other"), state, sc->base);
		receive(sc, ev, APPEND_REJECTED);
		break;
	case MADE_OUTLIER:
	case MADE_PLACED_OUTLIER:
		ev = make(sc, S("@mod:test"), state, sc->base);
		keep_outlier(sc, ev);
		if (made == MADE_PLACED_OUTLIER)
			receive(sc, ev, APPEND_ACCEPTED);
		break;
	}
	return ev;
}

static bool is_extremity(struct scene *sc, const struct event_row *row)
{
	struct room_head_row *h;
	int64_t *nids;
	AUTO_TX tx = NULL;
	bool found = false;
	size_t n;

	good(store_read(sc->w->b->st, sc->w->a, &tx));
	good(store_head_load(tx, row->room, &h));
	n = store_nids_unpack(sc->w->a, h->extremities, &nids);
	for (size_t i = 0; i < n; i++)
		found = found || nids[i] == row->nid;
	return found;
}

/* In what /sync and /messages walk. */
static bool is_shown(struct scene *sc, const struct event_row *row, bool by_stream)
{
	struct event_row **list;
	AUTO_TX tx = NULL;
	bool found = false;
	size_t n;

	good(store_read(sc->w->b->st, sc->w->a, &tx));
	if (by_stream)
		good(store_events_by_stream(tx, row->room, 0, INT64_MAX, true, 100, &list, &n));
	else
		good(store_events_by_timeline(tx, row->room, INT64_MAX, true, 100, &list, &n));
	for (size_t i = 0; i < n; i++)
		found = found || list[i]->nid == row->nid;
	return found;
}

/* What stands on it alone: does it wait for it? */
static bool counts(struct scene *sc, const struct event *ev)
{
	const struct event *on = make(sc, S("@alice:test"), false, ev->event_id);
	struct received_event r = { .event = on };

	good(rooms_append_events(sc->w->rs, sc->w->a, sc->id, &r, 1));
	ok(!r.error || (r.error->code == ERR_NOT_FOUND && r.n_missing == 1 && str_eq(r.missing[0], ev->event_id)),
	   "it waits for that alone");
	return !r.error;
}

static void check_row(struct world *w, size_t i, const char *version)
{
	struct scene sc = open_scene(w, version);
	const struct event *ev = bring_in(&sc, rows[i].made, rows[i].state);
	const struct event_row *row, *topic;
	struct served_state st;
	str text;
	err *e;

	for (int again = 0; again < 2; again++) { /* as it is in memory, and as it is read back */
		row = event_row(w, ev->event_id);
		assert_non_null(row);
		ok((row->flags & (EVENT_REJECTED | EVENT_SOFT_FAILED | EVENT_OUTLIER)) == flags_of[rows[i].made],
		   "v%s %s: flags", version, rows[i].name);
		ok(is_shown(&sc, row, true) == rows[i].in_sync, "v%s %s: /sync", version, rows[i].name);
		ok(is_shown(&sc, row, false) == rows[i].in_sync, "v%s %s: /messages", version, rows[i].name);
		ok(is_extremity(&sc, row) == rows[i].extremity, "v%s %s: extremity", version, rows[i].name);
		ok((row->root_after != 0) == rows[i].has_state, "v%s %s: state", version, rows[i].name);
		if (rows[i].has_state)
			ok((row->root_after != event_row(w, sc.base)->root_after) == rows[i].own_state,
			   "v%s %s: its own state", version, rows[i].name);
		e = served_event(w->rs, w->a, ev->event_id, S("other"), &text);
		ok(!e == rows[i].served, "v%s %s: /event", version, rows[i].name);
		ok(!e || e->code == ERR_NOT_FOUND, "as good as unknown");
		e = served_state_before(w->rs, w->a, sc.id, S("other"), ev->event_id, &st);
		ok(!e == rows[i].state_served, "v%s %s: /state_ids", version, rows[i].name);
		topic = current(w, sc.id, "m.room.topic", "");
		ok((topic && topic->nid == row->nid) == rows[i].in_current_state, "v%s %s: current state", version,
		   rows[i].name);
		check_flat(w, sc.id);
		if (!again)
			world_restart(w);
	}
	ok(counts(&sc, ev) == rows[i].counts_as_prev, "v%s %s: for what stands on it", version, rows[i].name);
	say(w, who(w, "alice"), sc.id, "goes on");
	check_flat(w, sc.id);
}

static void every_outcome(struct world *w)
{
	static const char *const versions[] = { "2", "11", "12" };

	for (size_t v = 0; v < ARRAY_LEN(versions); v++)
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			check_row(w, i, versions[v]);
}
WORLD(every_outcome)

/* An outlier authorises, and so is part of the auth chain that others are given; being in no state, it is not in one.
 */
static void an_outlier_is_served_with_what_it_authorises(struct world *w)
{
	struct scene sc = open_scene(w, "11");
	struct event *named = forge_by(&sc.f, S("@gert:other"), "m.room.member", "@gert:other",
				       "{'membership':'join','displayname':'G'}", &sc.base, 1),
		     *ev;
	const str auth[] = { current(w, sc.id, "m.room.create", "")->event_id,
			     current(w, sc.id, "m.room.power_levels", "")->event_id, named->event_id };
	const struct event_fields fields = {
		.room_id = sc.id,
		.sender = S("@gert:other"),
		.type = S("m.room.message"),
		.content = js(w->a, "{'body':'x'}"),
		.origin_server_ts = 5,
		.depth = 60,
		.prev_events = &sc.base,
		.n_prev_events = 1,
		.auth_events = auth,
		.n_auth_events = 3,
	};
	struct served_state st;
	const struct event_row *row;
	bool in_chain = false, in_state = false;

	keep_outlier(&sc, named);
	good(event_build(w->a, sc.f.rv, &fields, &w->opt.signer, &ev));
	receive(&sc, ev, APPEND_ACCEPTED);
	row = event_row(w, named->event_id);
	ok(row->flags & EVENT_OUTLIER, "still");
	good(served_auth_chain(w->rs, w->a, sc.id, S("other"), ev->event_id, &st));
	for (size_t i = 0; i < st.n_chain; i++)
		in_chain |= st.chain[i] == row->nid;
	ok(in_chain, "among what authorises");
	good(served_state_before(w->rs, w->a, sc.id, S("other"), ev->event_id, &st));
	for (size_t i = 0; i < st.n_state; i++)
		in_state |= st.state[i] == row->nid;
	ok(!in_state, "in no state");
}
WORLD(an_outlier_is_served_with_what_it_authorises)

/* "It is possible for such events to appear in the current state of the room. In that case the client should be told
 * about the soft failed event in the usual way (e.g. by sending it down in the state section of a sync response)." */
static void what_soft_failed_may_become_current(struct world *w)
{
	struct scene sc = open_scene(w, "11");
	const struct event *level = forge(&sc.f, "alice", "m.room.power_levels", "",
					  "{'users':{'@alice:test':100,'@mod:test':50},'state_default':100}", &sc.base,
					  1),
			   *topic = make(&sc, S("@mod:test"), true, sc.base);
	struct room_view *v;
	struct state_events got;
	str both[2];
	AUTO_TX tx = NULL;

	receive(&sc, level, APPEND_ACCEPTED);
	receive(&sc, topic, APPEND_SOFT_FAILED);
	ok(!current(w, sc.id, "m.room.topic", ""), "not by itself");
	/* Whoever got it first goes on with it; the level that came beside it is set back. */
	both[0] = level->event_id;
	both[1] = topic->event_id;
	const struct event *back = forge(&sc.f, "alice", "m.room.message", NULL, "{'body':'both'}", both, 2);
	receive(&sc, back, APPEND_ACCEPTED);
	const struct event *lower =
		forge(&sc.f, "alice", "m.room.power_levels", "",
		      "{'users':{'@alice:test':100,'@mod:test':50},'state_default':50}", &back->event_id, 1);
	receive(&sc, lower, APPEND_ACCEPTED);
	const struct event *other =
		forge(&sc.f, "mod", "m.room.message", NULL, "{'body':'of the branch'}", &topic->event_id, 1);
	receive(&sc, other, APPEND_ACCEPTED);
	ok(current(w, sc.id, "m.room.topic", "") != NULL, "its branch is part of the room now");
	ok(!event_row(w, topic->event_id)->stream, "and it is not in the timeline");
	check_flat(w, sc.id);
	good(store_read(w->b->st, w->a, &tx));
	good(room_view_open(w->rs, w->a, tx, sc.id, who(w, "bob").user, S("@bob:test"), VIEW_JOINED, &v));
	good(room_state_events(v, room_view_root(v), (struct state_pick){ .only = event_row(w, topic->event_id)->type },
			       &got));
	assert_int_equal(got.n, 1);
	same_str(got.p[0]->event_id, topic->event_id);
}
WORLD(what_soft_failed_may_become_current)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(every_outcome),
		WORLD_TESTS(an_outlier_is_served_with_what_it_authorises),
		WORLD_TESTS(what_soft_failed_may_become_current),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
