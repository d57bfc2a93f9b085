/* test_late.c - events come after those that name them: they are news, and no ends of the room. */
#include "fake_scene.h"

static const char *const versions[] = { "1", "3", "6", "11", "12" };

/* A chain on the room's end, of which the first `hidden` are not given to who asks; the last one comes, over a gap. */
static void gap_of(struct scene *s, const struct event **chain, size_t n, size_t hidden, str but)
{
	for (size_t i = 0; i < n; i++) {
		chain[i] = said(s, i ? chain[i - 1]->event_id : s->base);
		if (i < hidden)
			hide(s, chain[i]);
	}
	state_is(s, chain[hidden - 1]->event_id, but, NULL, 0);
	comes(s, chain[n - 1]);
	assert_int_equal(n_gaps(s), 1);
	assert_int_equal(n_extremities(s->w, s->id), 2);
}

static void stands_between(struct scene *s, const struct event *ev, str below, str above)
{
	const struct event_row *row = event_row(s->w, ev->event_id);

	ok(row && row->timeline > event_row(s->w, below)->timeline, "above %.*s", STR_ARG(below));
	ok(row->timeline < event_row(s->w, above)->timeline, "below %.*s", STR_ARG(above));
	ok(row->stream > event_row(s->w, above)->stream, "and it is news");
	ok(row->flags & EVENT_LATE, "and marked as such");
}

static void goes_on(struct scene *s)
{
	check_flat(s->w, s->id);
	world_restart(s->w);
	say(s->w, who(s->w, "alice"), s->id, "goes on");
	assert_int_equal(n_extremities(s->w, s->id), 1);
	check_flat(s->w, s->id);
}

/* C is missing, D and E are there: C comes. */
static void it_stands_below_what_names_it(struct world *w)
{
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		struct scene s;
		const struct event *chain[3];
		struct received_event r;
		str top;

		begin(&s, w, versions[v]);
		gap_of(&s, chain, 3, 1, STR_NONE);
		r = receive_one(&s, chain[0]);
		good(r.error);
		assert_int_equal(r.outcome, APPEND_ACCEPTED);
		stands_between(&s, chain[0], s.base, chain[1]->event_id);
		assert_int_equal(n_extremities(w, s.id), 1);
		top = say(w, who(w, "alice"), s.id, "on top");
		ok(store_nids_are_one(event_row(w, top)->prevs, event_row(w, chain[2]->event_id)->nid),
		   "names E alone");
		goes_on(&s);
		end(&s);
	}
}
WORLD(it_stands_below_what_names_it)

/* A state event that others showed us as part of a state, before it came. */
static void a_state_event_is_in_the_state_already(struct world *w)
{
	struct scene s;
	const struct event *c, *d;

	begin(&s, w, "11");
	s.base = set_state(w, who(w, "alice"), s.id, "m.room.power_levels", "",
			   "{'users':{'@alice:test':100,'@u:far':50}}");
	c = made(&s, "m.room.topic", "", "{'topic':'C'}", s.base);
	hide(&s, c);
	d = said(&s, c->event_id);
	state_is(&s, c->event_id, STR_NONE, NULL, 0);
	comes(&s, said(&s, d->event_id));
	good(receive_one(&s, c).error);
	stands_between(&s, c, s.base, d->event_id);
	assert_int_equal(n_extremities(w, s.id), 1);
	same_str(current(w, s.id, "m.room.topic", "")->event_id, c->event_id);
	goes_on(&s);
	end(&s);
}
WORLD(a_state_event_is_in_the_state_already)

/* The state that was told at C leaves out what the room had then: as long as no event stands on both, both count. */
static void a_state_that_was_made_up_is_not_believed(struct world *w)
{
	struct scene s;
	const struct event *chain[3];
	const struct event *join;
	str topic;

	begin(&s, w, "11");
	topic = set_state(w, who(w, "alice"), s.id, "m.room.topic", "", "{'topic':'T'}");
	join = forge_by(&s.f, S("@u:far"), "m.room.member", "@u:far", "{'membership':'join','displayname':'U'}", &topic,
			1);
	assert_int_equal(put(w, join), APPEND_ACCEPTED);
	s.base = join->event_id;
	gap_of(&s, chain, 3, 1, topic);
	good(receive_one(&s, chain[0]).error);
	stands_between(&s, chain[0], s.base, chain[1]->event_id);
	assert_int_equal(n_extremities(w, s.id), 2);
	assert_non_null(current(w, s.id, "m.room.topic", ""));
	same_str(current(w, s.id, "m.room.topic", "")->event_id, topic);
	goes_on(&s);
	same_str(current(w, s.id, "m.room.topic", "")->event_id, topic);
	end(&s);
}
WORLD(a_state_that_was_made_up_is_not_believed)

static void stand_in_order(struct scene *s, const struct event *const *chain, size_t n)
{
	int64_t timeline = event_row(s->w, s->base)->timeline;

	for (size_t i = 0; i < n; i++) {
		const struct event_row *row = event_row(s->w, chain[i]->event_id);

		ok(row && row->timeline > timeline, "event %zu is above the one before", i);
		timeline = row->timeline;
	}
}

/* What it stands on is fetched, and goes there with it. */
static void what_it_stands_on_goes_with_it(struct world *w)
{
	struct scene s;
	const struct event *chain[12];

	begin(&s, w, "11");
	gap_of(&s, chain, 12, 9, STR_NONE);
	map_done(&s.far->hidden);
	map_init(&s.far->hidden, w->a);
	assert_int_equal(fetch_for(&s, chain[8], "far"), ERR_NONE);
	assert_int_equal(receive_one(&s, chain[8]).outcome, APPEND_KNOWN);
	stand_in_order(&s, chain, 12);
	assert_int_equal(n_extremities(w, s.id), 1);
	goes_on(&s);
	end(&s);
}
WORLD(what_it_stands_on_goes_with_it)

/* The same where they come together, in whatever order; a gap is left below. */
static void they_come_together(struct world *w)
{
	struct scene s;
	const struct event *chain[6];
	struct received_event list[2];

	begin(&s, w, "11");
	gap_of(&s, chain, 6, 4, STR_NONE);
	list[0] = (struct received_event){ .event = chain[3] };
	list[1] = (struct received_event){ .event = chain[2] };
	const struct prev_state at = { .event_id = chain[1]->event_id,
				       .base = event_row(w, chain[4]->event_id)->root_after };
	list[1].prev_states = &at;
	list[1].n_prev_states = 1;
	good(rooms_append_events(w->rs, w->a, s.id, list, 2));
	good(list[0].error);
	good(list[1].error);
	stands_between(&s, chain[3], chain[2]->event_id, chain[4]->event_id);
	ok(event_row(w, chain[2]->event_id)->flags & EVENT_GAP, "what is left of the gap is below it");
	/* And again, below that. */
	list[0] = (struct received_event){ .event = chain[1] };
	list[1] = (struct received_event){ .event = chain[0] };
	good(rooms_append_events(w->rs, w->a, s.id, list, 2));
	good(list[0].error);
	good(list[1].error);
	stand_in_order(&s, chain, 6);
	assert_int_equal(n_extremities(w, s.id), 1);
	goes_on(&s);
	end(&s);
}
WORLD(they_come_together)

/* One names twenty, which come one by one. */
static void there_is_a_place_for_each(struct world *w)
{
	struct scene s;
	const struct event *c[20], *d, *e;
	str prevs[20];

	begin(&s, w, "11");
	for (size_t i = 0; i < 20; i++) {
		c[i] = said(&s, s.base);
		hide(&s, c[i]);
		prevs[i] = c[i]->event_id;
		state_is(&s, prevs[i], STR_NONE, NULL, 0);
	}
	d = forge_by(&s.f, S("@u:far"), "m.room.message", NULL, "{'body':'x'}", prevs, 20);
	vec_push(w->a, &s.far->events, d);
	e = said(&s, d->event_id);
	comes(&s, e);
	for (size_t i = 0; i < 20; i++) {
		good(receive_one(&s, c[i]).error);
		stands_between(&s, c[i], s.base, d->event_id);
		for (size_t k = 0; k < i; k++)
			ok(event_row(w, c[k]->event_id)->timeline != event_row(w, c[i]->event_id)->timeline,
			   "%zu and %zu stand apart", k, i);
	}
	assert_int_equal(n_extremities(w, s.id), 1);
	goes_on(&s);
	end(&s);
}
WORLD(there_is_a_place_for_each)

struct move {
	int64_t nid, timeline;
};

static err *move(struct tx *tx, void *arg)
{
	const struct move *m = arg;

	return tx_run(tx, "UPDATE events SET timeline = $2 WHERE nid = $1", BIND(B(m->nid), B(m->timeline)));
}

/* Between what it stands on and what names it there is no space: it goes on top, not below what it stands on. */
static void without_space_it_goes_on_top(struct world *w)
{
	struct scene s;
	const struct event *chain[3];
	struct move m;

	begin(&s, w, "11");
	gap_of(&s, chain, 3, 1, STR_NONE);
	m = (struct move){ event_row(w, s.base)->nid, event_row(w, chain[1]->event_id)->timeline - 1 };
	good(store_do(w->b->st, w->a, move, &m));
	good(receive_one(&s, chain[0]).error);
	ok(event_row(w, chain[0]->event_id)->timeline > event_row(w, chain[2]->event_id)->timeline, "on top");
	ok(!(event_row(w, chain[0]->event_id)->flags & EVENT_LATE), "and a token of /sync stands above it");
	assert_int_equal(n_extremities(w, s.id), 1);
	goes_on(&s);
	end(&s);
}
WORLD(without_space_it_goes_on_top)

/* Two come together, each below another event; between these two there is no space. */
static void no_two_of_a_batch_share_a_place(struct world *w)
{
	struct scene s;
	const struct event *c[2], *above[2];
	struct received_event list[2] = { 0 };
	struct move m;

	begin(&s, w, "11");
	for (size_t i = 0; i < 2; i++) {
		c[i] = said(&s, s.base);
		hide(&s, c[i]);
		state_is(&s, c[i]->event_id, STR_NONE, NULL, 0);
		above[i] = said(&s, c[i]->event_id);
		comes(&s, said(&s, above[i]->event_id));
		list[i].event = c[i];
	}
	m = (struct move){ event_row(w, above[1]->event_id)->nid, event_row(w, above[0]->event_id)->timeline + 1 };
	good(store_do(w->b->st, w->a, move, &m));
	good(rooms_append_events(w->rs, w->a, s.id, list, 2));
	for (size_t i = 0; i < 2; i++) {
		good(list[i].error);
		stands_between(&s, c[i], s.base, above[i]->event_id);
	}
	ok(event_row(w, c[0]->event_id)->timeline != event_row(w, c[1]->event_id)->timeline, "they stand apart");
	end(&s);
}
WORLD(no_two_of_a_batch_share_a_place)

struct naming {
	int64_t room, events[GAP_EDGES_MOST + 5];
	str prev;
};

static err *name_it(struct tx *tx, void *arg)
{
	const struct naming *x = arg;

	for (size_t i = 0; i < ARRAY_LEN(x->events); i++)
		TRY(store_gap_lacks(tx, x->room, x->events[i], &x->prev, 1));
	return NULL;
}

/* Whoever names what they never send has not all of those events read each time that something of the name comes. */
static void of_many_that_name_it_few_are_read(struct world *w)
{
	struct naming often = { .prev = S("$often") }, once = { .prev = S("$once") };
	const str ids[2] = { often.prev, once.prev };
	struct gap_edge *edges;
	struct scene s;
	size_t n, n_once = 0;
	AUTO_TX tx = NULL;

	begin(&s, w, "11");
	often.room = once.room = room_nid(w, s.id);
	for (size_t i = 0; i < ARRAY_LEN(often.events); i++) {
		often.events[i] = event_row(w, say(w, who(w, "alice"), s.id, "x"))->nid;
		once.events[i] = often.events[0];
	}
	good(store_do(w->b->st, w->a, name_it, &often));
	good(store_do(w->b->st, w->a, name_it, &once));
	good(store_read(w->b->st, w->a, &tx));
	good(store_gap_edges(tx, often.room, ids, 2, &edges, &n));
	for (size_t i = 0; i < n; i++)
		n_once += str_eq(edges[i].prev, once.prev);
	assert_int_equal(n, GAP_EDGES_MOST + 1);
	assert_int_equal(n_once, 1);
	store_read_end(&tx);
	end(&s);
}
WORLD(of_many_that_name_it_few_are_read)

/* A fork off what was missing is another thing: nothing names it. */
static void a_fork_is_an_end(struct world *w)
{
	struct scene s;
	const struct event *chain[3], *fork;

	begin(&s, w, "11");
	gap_of(&s, chain, 3, 1, STR_NONE);
	good(receive_one(&s, chain[0]).error);
	fork = said(&s, chain[0]->event_id);
	good(receive_one(&s, fork).error);
	ok(!(event_row(w, fork->event_id)->flags & EVENT_LATE), "it is not late");
	ok(event_row(w, fork->event_id)->timeline > event_row(w, chain[2]->event_id)->timeline, "it is on top");
	assert_int_equal(n_extremities(w, s.id), 2);
	goes_on(&s);
	end(&s);
}
WORLD(a_fork_is_an_end)

/* Where a token of /sync stands in the timeline, what came late does not decide. */
static void tokens_stand_on_top(struct world *w)
{
	struct scene s;
	const struct event *chain[3];
	int64_t at, place;
	AUTO_TX tx = NULL;

	begin(&s, w, "11");
	gap_of(&s, chain, 3, 1, STR_NONE);
	good(receive_one(&s, chain[0]).error);
	at = event_row(w, chain[0]->event_id)->stream;
	good(store_read(w->b->st, w->a, &tx));
	good(store_timeline_at_stream(tx, room_nid(w, s.id), at, &place));
	store_read_end(&tx);
	assert_int_equal(place, event_row(w, chain[2]->event_id)->timeline);
	end(&s);
}
WORLD(tokens_stand_on_top)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(it_stands_below_what_names_it),
		WORLD_TESTS(a_state_event_is_in_the_state_already),
		WORLD_TESTS(a_state_that_was_made_up_is_not_believed),
		WORLD_TESTS(what_it_stands_on_goes_with_it),
		WORLD_TESTS(they_come_together),
		WORLD_TESTS(there_is_a_place_for_each),
		WORLD_TESTS(without_space_it_goes_on_top),
		WORLD_TESTS(no_two_of_a_batch_share_a_place),
		WORLD_TESTS(of_many_that_name_it_few_are_read),
		WORLD_TESTS(a_fork_is_an_end),
		WORLD_TESTS(tokens_stand_on_top),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
