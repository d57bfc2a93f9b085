/* test_missing.c - events come whose ancestors, auth events or states other servers have: or say that they have. */
#include "fake_scene.h"

static const char *const versions[] = { "1", "3", "6", "11", "12" };

/* One question, for what is between the room's end and the event; everything is there afterwards, in order. */
static void ancestors_are_asked_for(struct world *w)
{
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		struct scene s;
		const struct event *chain[6];
		int64_t stream = 0, timeline = 0;

		begin(&s, w, versions[v]);
		for (size_t i = 0; i < 6; i++)
			chain[i] = said(&s, i ? chain[i - 1]->event_id : s.base);
		comes(&s, chain[5]);
		ok(s.fed.asked.n == 1, "one question, version %s: %zu", versions[v], s.fed.asked.n);
		same_str(s.fed.asked.p[0], arena_printf(w->a, "far missing %.*s", STR_ARG(chain[5]->event_id)));
		for (size_t i = 0; i < 6; i++) {
			const struct event_row *row = event_row(w, chain[i]->event_id);

			ok(row && row->stream > stream && row->timeline > timeline && row->flags == 0, "event %zu", i);
			stream = row->stream;
			timeline = row->timeline;
		}
		assert_int_equal(n_extremities(w, s.id), 1);
		assert_int_equal(n_gaps(&s), 0);
		end(&s);
	}
}
WORLD(ancestors_are_asked_for)

/* More than an answer holds: asked for again, from where it ended. */
static void long_ways_take_several_questions(struct world *w)
{
	struct scene s;
	const struct event *chain[45];

	begin(&s, w, "11");
	for (size_t i = 0; i < ARRAY_LEN(chain); i++)
		chain[i] = said(&s, i ? chain[i - 1]->event_id : s.base);
	comes(&s, chain[44]);
	assert_int_equal(s.fed.asked.n, 3);
	assert_int_equal(n_gaps(&s), 0);
	assert_int_equal(n_extremities(w, s.id), 1);
	end(&s);
}
WORLD(long_ways_take_several_questions)

/* Further down than we ask: the state there is asked for, and below it is a gap. */
static void very_long_ways_end_in_a_gap(struct world *w)
{
	struct scene s;
	const struct event *chain[150];

	begin(&s, w, "11");
	for (size_t i = 0; i < ARRAY_LEN(chain); i++)
		chain[i] = said(&s, i ? chain[i - 1]->event_id : s.base);
	for (size_t i = 0; i < ARRAY_LEN(chain); i++)
		state_is(&s, chain[i]->event_id, STR_NONE, NULL, 0);
	comes(&s, chain[149]);
	assert_int_equal(fake_asked(&s.fed, "missing"), 5);
	assert_int_equal(fake_asked(&s.fed, "state"), 1);
	assert_int_equal(n_gaps(&s), 1);
	end(&s);
}
WORLD(very_long_ways_end_in_a_gap)

/* E comes, D is given, C below it is not: the state at C counts. As Sytest's "requests missing prev_events and then
 * asks for /state_ids". */
static void a_state_stands_for_what_is_missing(struct world *w)
{
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		struct scene s;
		const struct event *b, *c, *d, *e;
		struct event_row *row;

		begin(&s, w, versions[v]);
		set_state(w, who(w, "alice"), s.id, "m.room.power_levels", "",
			  strcmp(versions[v], "12") == 0 ? "{'users':{'@u:far':50}}"
							 : "{'users':{'@alice:test':100,'@u:far':50}}");
		b = made(&s, "m.room.topic", "", "{'topic':'far away'}", s.base);
		hide(&s, b);
		c = made(&s, "m.room.name", "", "{'name':'C'}", b->event_id);
		hide(&s, c);
		d = said(&s, c->event_id);
		e = said(&s, d->event_id);
		state_is(&s, c->event_id, STR_NONE, &b->event_id, 1);
		comes(&s, e);
		same_str(s.fed.asked.p[0], arena_printf(w->a, "far missing %.*s", STR_ARG(e->event_id)));
		same_str(s.fed.asked.p[1], arena_printf(w->a, "far state %.*s", STR_ARG(c->event_id)));
		assert_int_equal(fake_asked(&s.fed, "missing"), 1);
		assert_int_equal(fake_asked(&s.fed, "state"), 1);
		row = event_row(w, d->event_id);
		ok(row->flags & EVENT_GAP && row->stream && row->timeline, "the gap is below D");
		ok(!(event_row(w, e->event_id)->flags & EVENT_GAP), "and not below E");
		row = event_row(w, c->event_id);
		ok(row->flags & EVENT_OUTLIER && !row->timeline && !row->stream, "C has no place");
		assert_int_equal(n_gaps(&s), 1);
		/* What the room was is not thrown away: it is resolved with what came. */
		assert_int_equal(n_extremities(w, s.id), 2);
		same_str(current(w, s.id, "m.room.topic", "")->event_id, b->event_id);
		same_str(current(w, s.id, "m.room.name", "")->event_id, c->event_id);
		check_flat(w, s.id);
		world_restart(w);
		say(w, who(w, "alice"), s.id, "goes on");
		check_flat(w, s.id);
		end(&s);
	}
}
WORLD(a_state_stands_for_what_is_missing)

/* An outlier that comes properly has its place then, under the number by which states know it. */
static void an_outlier_gets_its_place(struct world *w)
{
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		struct scene s;
		const struct event *c, *d, *e;
		struct received_event r;
		struct event_row *row;
		int64_t nid;

		begin(&s, w, versions[v]);
		c = made(&s, "m.room.member", "@u:far", "{'membership':'join','displayname':'C'}", s.base);
		hide(&s, c);
		d = said(&s, c->event_id);
		e = said(&s, d->event_id);
		state_is(&s, c->event_id, STR_NONE, NULL, 0);
		comes(&s, e);
		nid = event_row(w, c->event_id)->nid;
		r = receive_one(&s, c);
		good(r.error);
		assert_int_equal(r.outcome, APPEND_ACCEPTED);
		row = event_row(w, c->event_id);
		ok(row->nid == nid && row->timeline && row->stream && !(row->flags & EVENT_OUTLIER) && row->root_after,
		   "it is an event as any other");
		assert_int_equal(receive_one(&s, c).outcome, APPEND_KNOWN);
		check_flat(w, s.id);
		world_restart(w);
		say(w, who(w, "alice"), s.id, "goes on");
		assert_int_equal(n_extremities(w, s.id), 1);
		check_flat(w, s.id);
		end(&s);
	}
}
WORLD(an_outlier_gets_its_place)

/* Nobody says what it stands on: no state is asked for, and the event is not taken. */
static void what_nobody_has_is_not_made_up(struct world *w)
{
	struct scene s;
	const struct event *c, *d;

	begin(&s, w, "6");
	c = said(&s, s.base);
	hide(&s, c);
	d = said(&s, c->event_id);
	state_is(&s, c->event_id, STR_NONE, NULL, 0);
	assert_int_equal(fetch_for(&s, d, "far"), ERR_NOT_FOUND);
	assert_int_equal(s.fed.asked.n, 1);
	ok(!event_row(w, d->event_id) && !event_row(w, c->event_id), "neither is stored");
	end(&s);
}
WORLD(what_nobody_has_is_not_made_up)

/* A fork off what is missing below a gap that is known: the state there is known, and nobody is asked. */
static void a_known_gap_is_no_news(struct world *w)
{
	struct scene s;
	const struct event *c, *d, *e, *fork;
	size_t asked;

	begin(&s, w, "11");
	c = said(&s, s.base);
	hide(&s, c);
	d = said(&s, c->event_id);
	e = said(&s, d->event_id);
	state_is(&s, c->event_id, STR_NONE, NULL, 0);
	comes(&s, e);
	asked = s.fed.asked.n;
	fork = said(&s, c->event_id);
	assert_int_equal(fetch_for(&s, fork, "far"), ERR_NONE);
	assert_int_equal(s.fed.asked.n, asked);
	ok(event_row(w, fork->event_id)->flags & EVENT_GAP, "it stands above the gap, too");
	ok(!event_row(w, c->event_id), "which is not filled for it");
	check_flat(w, s.id);
	end(&s);
}
WORLD(a_known_gap_is_no_news)

/* What the room stands on is shown to us again, on a state of somebody's making in which it was not allowed. */
static void what_is_in_force_is_not_judged_anew(struct world *w)
{
	struct scene s;
	const struct event *z, *c, *d, *e, *topic;
	struct event_row *row;

	begin(&s, w, "11");
	set_state(w, who(w, "alice"), s.id, "m.room.power_levels", "", "{'users':{'@alice:test':100,'@u:far':50}}");
	z = said(&s, s.base);
	topic = made(&s, "m.room.topic", "", "{'topic':'T'}", z->event_id);
	c = said(&s, s.base);
	hide(&s, c);
	d = said(&s, c->event_id);
	e = said(&s, d->event_id);
	state_is(&s, c->event_id, STR_NONE, &topic->event_id, 1);
	comes(&s, e);
	row = event_row(w, topic->event_id);
	ok(row->flags & EVENT_OUTLIER && str_eq(current(w, s.id, "m.room.topic", "")->event_id, topic->event_id),
	   "in force, by the state alone");
	/* Now it comes itself, over a state in which far's user has not joined. */
	const struct prev_state before = {
		.event_id = z->event_id,
		.base = current(w, s.id, "m.room.member", "@bob:test")->root_after,
	};
	struct received_event r = { .event = topic, .prev_states = &before, .n_prev_states = 1 };
	good(rooms_append_events(w->rs, w->a, s.id, &r, 1));
	assert_non_null(r.error);
	assert_int_equal(r.error->code, ERR_FORBIDDEN);
	ok(!(event_row(w, topic->event_id)->flags & EVENT_REJECTED), "not rejected");
	check_flat(w, s.id);
	end(&s);
}
WORLD(what_is_in_force_is_not_judged_anew)

/* Its server is gone: another one of the room knows. */
static void others_are_asked(struct world *w)
{
	struct scene s;
	const struct event *c, *d;
	struct fake_server *near;

	begin(&s, w, "11");
	near = fake_add(&s.fed, "near");
	const struct event *member =
		forge_by(&s.f, S("@n:near"), "m.room.member", "@n:near", "{'membership':'join'}", &s.base, 1);
	assert_int_equal(put(w, member), APPEND_ACCEPTED);
	c = said(&s, member->event_id);
	d = said(&s, c->event_id);
	s.far->silent = true;
	near->silent = true;
	assert_int_equal(fetch_for(&s, d, "far"), ERR_CONNECTION_FAILED);
	near->silent = false;
	assert_int_equal(fetch_for(&s, d, "far"), ERR_CONNECTION_FAILED);
	vec_push(w->a, &near->events, c);
	comes(&s, d);
	end(&s);
}
WORLD(others_are_asked)

struct arriving {
	struct scene *s;
	const struct event *event;
};

static void arrives(void *arg)
{
	const struct arriving *x = arg;

	good(receive_one(x->s, x->event).error);
}

/* One of two that it stands on comes by /send while both are asked for: that one is not given up for the other's sake.
 */
static void some_of_it_comes_meanwhile(struct world *w)
{
	struct scene s;
	const struct event *one, *other, *ev;

	begin(&s, w, "11");
	one = said(&s, s.base);
	other = said(&s, s.base);
	const str prevs[] = { one->event_id, other->event_id };
	ev = forge_by(&s.f, S("@u:far"), "m.room.message", NULL, "{'body':'both'}", prevs, 2);
	vec_push(w->a, &s.far->events, ev);
	s.fed.meanwhile = arrives;
	s.fed.meanwhile_ctx = &(struct arriving){ &s, one };
	comes(&s, ev);
	assert_int_equal(n_gaps(&s), 0);
	assert_int_equal(n_extremities(w, s.id), 1);
	end(&s);
}
WORLD(some_of_it_comes_meanwhile)

/* Who has no time, or does not believe that it is us, has not said that there is no such event: it is asked again. */
static void a_refusal_is_no_answer(struct world *w)
{
	static const struct {
		int status;
		enum err_code why;
	} cases[] = {
		{ 401, ERR_CONNECTION_FAILED }, { 429, ERR_CONNECTION_FAILED }, { 200, ERR_CONNECTION_FAILED },
		{ 502, ERR_CONNECTION_FAILED }, { 403, ERR_NOT_FOUND },         { 404, ERR_NOT_FOUND },
	};
	struct scene s;
	const struct event *c, *d;

	begin(&s, w, "11");
	c = said(&s, s.base);
	d = said(&s, c->event_id);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		s.far->refuses = cases[i].status;
		ok(fetch_for(&s, d, "far") == cases[i].why, "status %d", cases[i].status);
	}
	s.far->refuses = 0;
	comes(&s, d);
	end(&s);
}
WORLD(a_refusal_is_no_answer)

/* What an answer holds beside what was asked for goes nowhere. */
static void chatter_is_ignored(struct world *w)
{
	struct scene s;
	const struct event *c, *d, *stray, *foreign;
	str other;

	begin(&s, w, "11");
	other = open_room(w, "11");
	stray = forge_by(&s.f, S("@u:far"), "m.room.message", NULL, "{'body':'stray'}", &s.base, 1);
	s.f.room_id = other;
	foreign = forge(&s.f, "bob", "m.room.message", NULL, "{'body':'foreign'}", &s.base, 1);
	s.f.room_id = s.id;
	c = said(&s, s.base);
	d = said(&s, c->event_id);
	vec_push(w->a, &s.far->chatter, stray->bytes);
	vec_push(w->a, &s.far->chatter, foreign->bytes);
	vec_push(w->a, &s.far->chatter, S("{}"));
	vec_push(w->a, &s.far->chatter, S("7"));
	comes(&s, d);
	ok(!event_row(w, stray->event_id) && !event_row(w, foreign->event_id), "none of it is stored");
	end(&s);
}
WORLD(chatter_is_ignored)

/* Of a state, what is no state of this room is left out; without its create event it is refused. */
static void bad_states(struct world *w)
{
	struct scene s;
	const struct event *c, *d, *e, *message, *levels;
	str other, more[5];

	begin(&s, w, "11");
	other = open_room(w, "11");
	message = said(&s, s.base);
	/* It gives itself all power, which its auth_events do not allow. */
	levels = made(&s, "m.room.power_levels", "", "{'users':{'@u:far':100}}", s.base);
	c = said(&s, s.base);
	hide(&s, c);
	d = said(&s, c->event_id);
	e = said(&s, d->event_id);
	more[0] = message->event_id;
	more[1] = levels->event_id;
	more[2] = current(w, other, "m.room.join_rules", "")->event_id;
	more[3] = S("$nobody-has-this");
	state_is(&s, c->event_id, current(w, s.id, "m.room.create", "")->event_id, more, 4);
	assert_int_equal(fetch_for(&s, e, "far"), ERR_NOT_FOUND);
	s.far->states.n = 0;
	state_is(&s, c->event_id, current(w, s.id, "m.room.power_levels", "")->event_id, more, 4);
	comes(&s, e);
	ok(event_row(w, levels->event_id)->flags & EVENT_REJECTED, "what its auth_events refuse is rejected");
	ok(!str_eq(current(w, s.id, "m.room.power_levels", "")->event_id, levels->event_id), "and in no state");
	check_flat(w, s.id);
	end(&s);
}
WORLD(bad_states)

/* Of the state nearly nothing is known: it comes as a whole, not event by event. */
static void large_states_come_as_a_whole(struct world *w)
{
	struct scene s;
	const struct event *c, *d, *e;
	str more[300];

	begin(&s, w, "11");
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		const char *user = arena_printf(w->a, "@m%zu:far", i).p;
		const struct event *ev =
			forge_by(&s.f, str_c(user), "m.room.member", user, "{'membership':'join'}", &s.base, 1);

		vec_push(w->a, &s.far->events, ev);
		more[i] = ev->event_id;
	}
	c = said(&s, s.base);
	hide(&s, c);
	d = said(&s, c->event_id);
	e = said(&s, d->event_id);
	state_is(&s, c->event_id, STR_NONE, more, ARRAY_LEN(more));
	comes(&s, e);
	assert_int_equal(fake_asked(&s.fed, "whole"), 1);
	assert_int_equal(fake_asked(&s.fed, "event"), 1); /* C itself */
	ok(current(w, s.id, "m.room.member", "@m299:far") != NULL, "all of them are in the room");
	check_flat(w, s.id);
	end(&s);
}
WORLD(large_states_come_as_a_whole)

/* A rejected event over a gap has no place: the gap is below what stands on it. */
static void gaps_show_through_what_is_rejected(struct world *w)
{
	struct scene s;
	const struct event *c, *d, *e;

	begin(&s, w, "11");
	c = said(&s, s.base);
	hide(&s, c);
	d = forge_by(&s.f, S("@nobody:far"), "m.room.message", NULL, "{}", &c->event_id, 1);
	vec_push(w->a, &s.far->events, d);
	e = said(&s, d->event_id);
	state_is(&s, c->event_id, STR_NONE, NULL, 0);
	comes(&s, e);
	ok(event_row(w, d->event_id)->flags & EVENT_REJECTED, "D");
	ok(event_row(w, e->event_id)->flags & EVENT_GAP, "E");
	assert_int_equal(n_gaps(&s), 1);
	end(&s);
}
WORLD(gaps_show_through_what_is_rejected)

/* Auth events that we do not have are fetched, and those that they name. */
static void auth_events_are_asked_for(struct world *w)
{
	struct scene s;
	const struct event *named, *hello;
	struct event *ev;

	begin(&s, w, "11");
	/* Made on a branch that we have not seen, and named by its events alone. */
	named = made(&s, "m.room.member", "@u:far", "{'membership':'join','displayname':'U'}", s.base);
	const str auth[] = { current(w, s.id, "m.room.create", "")->event_id,
			     current(w, s.id, "m.room.power_levels", "")->event_id, named->event_id };
	const struct event_fields fields = {
		.room_id = s.id,
		.sender = S("@u:far"),
		.type = S("m.room.message"),
		.content = js(w->a, "{'body':'x'}"),
		.origin_server_ts = 5,
		.depth = 60,
		.prev_events = &s.base,
		.n_prev_events = 1,
		.auth_events = auth,
		.n_auth_events = 3,
	};

	good(event_build(w->a, s.f.rv, &fields, &w->opt.signer, &ev));
	s.far->silent = true;
	assert_int_equal(fetch_for(&s, ev, "far"), ERR_CONNECTION_FAILED);
	s.far->silent = false;
	comes(&s, ev);
	assert_int_equal(fake_asked(&s.fed, "missing"), 0);
	ok(event_row(w, named->event_id)->flags & EVENT_OUTLIER, "what it names is known now");
	hello = said(&s, ev->event_id);
	good(receive_one(&s, hello).error);
	check_flat(w, s.id);
	end(&s);
}
WORLD(auth_events_are_asked_for)

/* As Sytest's "outliers whose auth_events are in a different room are correctly rejected": Q names a membership of
 * another room, R is by its user, S is good. */
static void auth_events_of_another_room_reject(struct world *w)
{
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		struct scene s;
		struct forge other;
		const struct event *q, *r, *t, *foreign;
		const struct event_row *row;
		str room, base;

		begin(&s, w, versions[v]);
		room = open_room(w, versions[v]);
		other = forge_for(w, room, versions[v]);
		base = say(w, who(w, "alice"), room, "base");
		foreign = forge_by(&other, S("@v:far"), "m.room.member", "@v:far", "{'membership':'join'}", &base, 1);
		assert_int_equal(put(w, foreign), APPEND_ACCEPTED);
		s.f.also = foreign;
		q = made(&s, "m.room.member", "@v:far", "{'membership':'join','displayname':'Q'}", s.base);
		hide(&s, q);
		s.f.also = q;
		r = said(&s, q->event_id);
		s.f.also = NULL;
		t = said(&s, r->event_id);
		state_is(&s, q->event_id, STR_NONE, NULL, 0);
		comes(&s, t);
		row = event_row(w, q->event_id);
		ok(row && row->flags & EVENT_REJECTED, "Q, version %s", versions[v]);
		row = event_row(w, r->event_id);
		ok(row && row->flags & EVENT_REJECTED, "R, version %s", versions[v]);
		assert_int_equal(membership_now(w, s.id, "v"), MEMBER_NONE);
		/* Also one that comes itself. */
		s.f.also = foreign;
		const struct event *direct = said(&s, t->event_id);
		struct received_event in = receive_one(&s, direct);
		good(in.error);
		assert_int_equal(in.outcome, APPEND_REJECTED);
		check_flat(w, s.id);
		end(&s);
	}
}
WORLD(auth_events_of_another_room_reject)

struct storer {
	struct scene *s;
	const struct event *const *events;
	size_t n;
	atomic_size_t turn; /* up to this one they may be stored */
};

static void store_them(void *arg)
{
	struct storer *x = arg;
	int64_t room;

	for (size_t i = 0; i < x->n; i++) {
		AUTO_ARENA a = arena_new();
		struct outlier one = { 0 };
		err *e;

		while (atomic_load(&x->turn) <= i)
			;
		good(rooms_find(x->s->w->rs, a, x->s->id, &room, NULL));
		good(event_load(a, x->s->f.rv, x->events[i]->event_id, x->events[i]->bytes, &one.event));
		do
			e = outliers_store(x->s->w->rs, a, room, x->s->f.rv, &one, 1);
		while (e && e->code == ERR_BUSY);
		good(e);
	}
}

/* The same events come by /send and as a state's outliers: each is stored once, and nobody else's are lost for it. */
static void the_same_event_from_two_sides(struct world *w)
{
	enum { EVENTS = 64 };
	const struct event *events[EVENTS];
	struct storer x;
	struct scene s;
	struct thread *t;

	begin(&s, w, "11");
	for (size_t i = 0; i < EVENTS; i++) {
		const char *user = arena_printf(w->a, "@m%zu:far", i).p;

		events[i] = forge_by(&s.f, str_c(user), "m.room.member", user, "{'membership':'join'}", &s.base, 1);
	}
	x = (struct storer){ .s = &s, .events = events, .n = EVENTS };
	t = thread_start("outliers", store_them, &x);
	for (size_t i = 0; i < EVENTS; i++) {
		struct received_event r;
		err *e;

		atomic_store(&x.turn, i + 1);
		do {
			r = (struct received_event){ .event = events[i] };
			e = rooms_append_events(w->rs, w->a, s.id, &r, 1);
			e = e ? e : r.error;
		} while (e && e->code == ERR_BUSY);
		good(e);
		assert_int_equal(r.outcome, APPEND_ACCEPTED);
		say(w, who(w, "alice"), s.id, "beside");
	}
	thread_join(&t);
	for (size_t i = 0; i < EVENTS; i++)
		ok(!(event_row(w, events[i]->event_id)->flags & EVENT_OUTLIER), "event %zu", i);
	check_flat(w, s.id);
	end(&s);
}
WORLD(the_same_event_from_two_sides)

/* Everything that waits is told when the server stops, and nothing more is taken. */
static void nothing_waits_for_ever(struct world *w)
{
	struct scene s;
	const struct event *c, *d;

	begin(&s, w, "11");
	c = said(&s, s.base);
	d = said(&s, c->event_id);
	const struct missing_want want = { s.id, S("far"), d, &c->event_id, 1, on_done, &s };
	for (unsigned i = 0; i < 20; i++)
		assert_true(missing_begin(s.m, &want));
	missing_stop(s.m);
	assert_int_equal(s.done, 20);
	assert_false(missing_begin(s.m, &want));
	end(&s);
}
WORLD(nothing_waits_for_ever)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(ancestors_are_asked_for),
		WORLD_TESTS(long_ways_take_several_questions),
		WORLD_TESTS(very_long_ways_end_in_a_gap),
		WORLD_TESTS(a_state_stands_for_what_is_missing),
		WORLD_TESTS(an_outlier_gets_its_place),
		WORLD_TESTS(what_nobody_has_is_not_made_up),
		WORLD_TESTS(a_known_gap_is_no_news),
		WORLD_TESTS(what_is_in_force_is_not_judged_anew),
		WORLD_TESTS(others_are_asked),
		WORLD_TESTS(some_of_it_comes_meanwhile),
		WORLD_TESTS(a_refusal_is_no_answer),
		WORLD_TESTS(chatter_is_ignored),
		WORLD_TESTS(bad_states),
		WORLD_TESTS(large_states_come_as_a_whole),
		WORLD_TESTS(gaps_show_through_what_is_rejected),
		WORLD_TESTS(auth_events_are_asked_for),
		WORLD_TESTS(auth_events_of_another_room_reject),
		WORLD_TESTS(the_same_event_from_two_sides),
		WORLD_TESTS(nothing_waits_for_ever),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
