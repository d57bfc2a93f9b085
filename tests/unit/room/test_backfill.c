/* test_backfill.c - history that is missing here is fetched where somebody reads it, and stands where it belongs. */
#include "fake_scene.h"

#include "base/clock.h"
#include "room/nearest.h"
#include "room/purge.h"
#include "room/remote/backfill.h"
#include "room/timeline.h"

static int64_t later; /* us: how much later it is than it is */
static int64_t test_now(void) { return clock_mono_us() + later; }

struct reading {
	struct scene s;
	struct backfill *b;
};

static void open_reading(struct reading *r, struct world *w, const char *version)
{
	begin(&r->s, w, version);
	const struct backfill_options opt = {
		.rooms = w->rs, .store = w->b->st, .hooks = &r->s.fed.hooks, .now = test_now
	};
	later = 0;
	good(backfill_new(w->a, &opt, &r->b));
}

static void close_reading(struct reading *r)
{
	backfill_free(&r->b);
	end(&r->s);
}

static struct jw *answer_of(void *ctx) { return ctx; }

/* A page of alice's: event ids, and the token that leads on. */
struct read {
	const struct json *chunk;
	str end;
	bool wants_to_ask;
};
static struct read read_page(struct reading *r, str from, bool backwards, int64_t limit, bool may_ask)
{
	struct world *w = r->s.w;
	const struct actor alice = who(w, "alice");
	const struct client_view view = { .user = alice.user, .user_id = alice.user_id };
	AUTO_BUF b = BUF_INIT(1 << 22);
	struct jw jw = jw_to(&b);
	struct timeline_gaps gaps = {
		.backfill = r->b,
		.may_ask = may_ask,
		.deadline_us = clock_mono_us() + 20000000,
		.answer = answer_of,
		.ctx = &jw,
	};
	const struct messages_cmd cmd = {
		.room_id = r->s.id, .from = from, .backwards = backwards, .limit = limit, .view = &view, .gaps = &gaps
	};
	struct read out = { .end = STR_NONE };
	struct json *j;

	jw_object(&jw, NULL);
	good(room_messages(w->rs, w->a, &cmd, NULL));
	jw_end(&jw);
	out.wants_to_ask = gaps.wants_to_ask;
	good(json_parse(w->a, arena_keep(w->a, buf_str(&b)), &json_limits_request, &j));
	out.chunk = json_get_array(j, S("chunk"));
	out.end = json_get_str(j, S("end"));
	return out;
}

static str id_at(const struct read *r, size_t i) { return json_get_str(r->chunk->array.items[i], S("event_id")); }

/* The whole room from the top, page by page. */
static size_t read_all(struct reading *r, size_t limit, str *ids, size_t most)
{
	str from = STR_NONE;
	size_t n = 0;

	for (unsigned pages = 0; pages < 500; pages++) {
		const struct read page = read_page(r, from, true, (int64_t)limit, true);

		for (size_t i = 0; i < page.chunk->array.n && n < most; i++)
			ids[n++] = id_at(&page, i);
		if (str_is_none(page.end))
			break;
		from = page.end;
	}
	return n;
}

/* n events on `base`, of which the first `hidden` are not given to who asks; the last one comes, over a gap. */
static void gap_of(struct reading *r, const struct event **chain, size_t n, size_t hidden, size_t topic_at)
{
	struct scene *s = &r->s;

	for (size_t i = 0; i < n; i++) {
		const str prev = i ? chain[i - 1]->event_id : s->base;

		chain[i] = i == topic_at ? made(s, "m.room.topic", "", "{'topic':'T'}", prev) : said(s, prev);
		if (i < hidden)
			hide(s, chain[i]);
	}
	state_is(s, chain[hidden - 1]->event_id, STR_NONE, topic_at < hidden ? &chain[topic_at]->event_id : NULL,
		 topic_at < hidden);
	comes(s, chain[n - 1]);
	assert_int_equal(n_gaps(s), 1);
	map_done(&s->far->hidden);
	map_init(&s->far->hidden, s->w->a);
	s->fed.asked.n = 0;
}

static void stands_in_order(struct reading *r, const struct event *const *chain, size_t n)
{
	int64_t timeline = event_row(r->s.w, r->s.base)->timeline;

	for (size_t i = 0; i < n; i++) {
		const struct event_row *row = event_row(r->s.w, chain[i]->event_id);

		ok(row && row->timeline > timeline, "event %zu is above the one before", i);
		timeline = row->timeline;
	}
}

static const char *const versions[] = { "1", "3", "11", "12" };

/* What was missing stands between what is around it, has no stream position, and the gap is gone. */
static void a_gap_is_filled(struct world *w)
{
	for (size_t v = 0; v < ARRAY_LEN(versions); v++) {
		struct reading r;
		const struct event *chain[12];
		str ids[100];
		size_t n;

		open_reading(&r, w, versions[v]);
		gap_of(&r, chain, 12, 10, SIZE_MAX);
		n = read_all(&r, 5, ids, ARRAY_LEN(ids));
		ok(n > 12, "%zu events", n);
		for (size_t i = 0; i < 12; i++)
			same_str(ids[i], chain[11 - i]->event_id);
		same_str(ids[12], r.s.base);
		stands_in_order(&r, chain, 12);
		ok(!event_row(w, chain[4]->event_id)->stream, "it is no news");
		assert_int_equal(n_gaps(&r.s), 0);
		assert_int_equal(fake_asked(&r.s.fed, "backfill"), 1);
		assert_int_equal(fake_asked(&r.s.fed, "state"), 0);
		ok(!(event_row(w, chain[10]->event_id)->flags & EVENT_GAP), "the flag is gone");
		/* The way forward and back in the graph is whole. */
		ok(store_nids_are_one(event_row(w, chain[10]->event_id)->prevs, event_row(w, chain[9]->event_id)->nid),
		   "what it stands on has a number");
		check_flat(w, r.s.id);
		say(w, who(w, "alice"), r.s.id, "goes on");
		check_flat(w, r.s.id);
		close_reading(&r);
	}
}
WORLD(a_gap_is_filled)

/* More than an answer holds: the gap moves down, and closes at last. */
static void a_gap_moves_down(struct world *w)
{
	struct reading r;
	const struct event *chain[260];
	str ids[400];
	size_t n;

	open_reading(&r, w, "11");
	gap_of(&r, chain, 260, 258, SIZE_MAX);
	n = read_all(&r, 30, ids, ARRAY_LEN(ids));
	ok(n > 260, "%zu events", n);
	for (size_t i = 0; i < 260; i++)
		same_str(ids[i], chain[259 - i]->event_id);
	stands_in_order(&r, chain, 260);
	assert_int_equal(n_gaps(&r.s), 0);
	assert_int_equal(fake_asked(&r.s.fed, "backfill"), 3);
	assert_int_equal(fake_asked(&r.s.fed, "state"), 0);
	close_reading(&r);
}
WORLD(a_gap_moves_down)

static int64_t topic_after(struct reading *r, const struct event *ev)
{
	struct world *w = r->s.w;
	struct node_source src = { .cache = w->rs->node_cache, .room = room_nid(w, r->s.id) };
	const struct state_tree tree = node_source_tree(&src);
	struct state_root root;
	int64_t type, nid;

	good(store_intern_find(w->b->st, w->a, S("m.room.topic"), &type));
	good(state_root_of(&tree, w->a, event_row(w, ev->event_id)->root_after, &root));
	good(state_get(&tree, w->a, root, type, w->rs->empty, &nid));
	return nid;
}

/* Each event knows the room as it was: before the topic was set, and after. */
static void states_are_carried_upwards(struct world *w)
{
	struct reading r;
	const struct event *chain[150];
	str ids[400];
	int64_t topic;

	open_reading(&r, w, "11");
	set_state(w, who(w, "alice"), r.s.id, "m.room.power_levels", "", "{'users':{'@alice:test':100,'@u:far':50}}");
	gap_of(&r, chain, 150, 148, 120);
	/* The lowest of the first page stands on what is still missing: its state is asked for. */
	state_is(&r.s, chain[47]->event_id, chain[120]->event_id, NULL, 0);
	read_all(&r, 50, ids, ARRAY_LEN(ids));
	stands_in_order(&r, chain, 150);
	assert_int_equal(n_gaps(&r.s), 0);
	assert_int_equal(fake_asked(&r.s.fed, "state"), 1);
	topic = event_row(w, chain[120]->event_id)->nid;
	assert_int_equal(topic_after(&r, chain[149]), topic);
	assert_int_equal(topic_after(&r, chain[120]), topic);
	assert_int_equal(topic_after(&r, chain[119]), 0);
	assert_int_equal(topic_after(&r, chain[60]), 0);
	assert_int_equal(topic_after(&r, chain[10]), 0);
	ok(!(event_row(w, chain[120]->event_id)->flags & EVENT_OUTLIER), "it was an outlier, and has its place");
	check_flat(w, r.s.id);
	close_reading(&r);
}
WORLD(states_are_carried_upwards)

/* What one server gave in vain says nothing of the page of the next: without a state event in it, the state at its
 * lowest is that before the event above, and nobody has to tell it. */
static void each_page_is_judged_by_itself(struct world *w)
{
	struct reading r;
	struct fake_server *near;
	const struct event *chain[30], *member;
	str ids[400];

	open_reading(&r, w, "11");
	near = fake_add(&r.s.fed, "near");
	member = forge_by(&r.s.f, S("@n:near"), "m.room.member", "@n:near", "{'membership':'join'}", &r.s.base, 1);
	assert_int_equal(put(w, member), APPEND_ACCEPTED);
	r.s.base = member->event_id;
	set_state(w, who(w, "alice"), r.s.id, "m.room.power_levels", "", "{'users':{'@alice:test':100,'@u:far':50}}");
	gap_of(&r, chain, 30, 28, 10);
	/* far gives the topic, too, and cannot say on what state its page stands; near has what is above that. */
	for (size_t i = 0; i < 5; i++)
		hide(&r.s, chain[i]);
	for (size_t i = 11; i < 28; i++)
		vec_push(w->a, &near->events, chain[i]);
	read_all(&r, 50, ids, ARRAY_LEN(ids));
	ok(fake_asked(&r.s.fed, "state") > 0, "far was asked for the state");
	stands_in_order(&r, chain + 11, 19);
	ok(!event_row(w, chain[5]->event_id), "far's page was not taken");
	close_reading(&r);
}
WORLD(each_page_is_judged_by_itself)

/* Who may not wait says so, and nothing is written; nobody was asked. */
static void who_may_not_wait_asks_nobody(struct world *w)
{
	struct reading r;
	const struct event *chain[5];
	struct read page;

	open_reading(&r, w, "11");
	gap_of(&r, chain, 5, 3, SIZE_MAX);
	page = read_page(&r, STR_NONE, true, 2, false);
	ok(!page.wants_to_ask && page.chunk->array.n == 2, "a page that is full above the gap is a page");
	page = read_page(&r, STR_NONE, true, 10, false);
	ok(page.wants_to_ask && !page.chunk, "nothing written");
	page = read_page(&r, arena_keep(w->a, read_page(&r, STR_NONE, true, 2, false).end), true, 10, false);
	ok(page.wants_to_ask, "also where it begins at the gap");
	assert_int_equal(r.s.fed.asked.n, 0);
	close_reading(&r);
}
WORLD(who_may_not_wait_asks_nobody)

/* Nobody has it: the page goes on below the gap, and nobody is asked again for a while. */
static void gaps_that_nobody_fills_are_passed(struct world *w)
{
	struct reading r;
	const struct event *chain[5];
	struct read page;

	open_reading(&r, w, "11");
	gap_of(&r, chain, 5, 3, SIZE_MAX);
	r.s.far->silent = true;
	page = read_page(&r, STR_NONE, true, 10, true);
	same_str(id_at(&page, 0), chain[4]->event_id);
	same_str(id_at(&page, 1), chain[3]->event_id);
	same_str(id_at(&page, 2), r.s.base);
	assert_int_equal(r.s.fed.asked.n, 1);
	page = read_page(&r, STR_NONE, true, 10, true);
	assert_int_equal(page.chunk->array.n, 10);
	page = read_page(&r, STR_NONE, true, 10, false);
	ok(!page.wants_to_ask && page.chunk->array.n == 10, "nor is it worth while to wait");
	assert_int_equal(r.s.fed.asked.n, 1);
	/* A while later it is. */
	later += INT64_C(40) * 1000000;
	r.s.far->silent = false;
	page = read_page(&r, STR_NONE, true, 10, true);
	same_str(id_at(&page, 2), chain[2]->event_id);
	assert_int_equal(n_gaps(&r.s), 0);
	close_reading(&r);
}
WORLD(gaps_that_nobody_fills_are_passed)

/* What does not hang together with what is missing is not history. */
static void stray_history_is_ignored(struct world *w)
{
	struct reading r;
	const struct event *chain[5], *stray;
	str ids[100];

	open_reading(&r, w, "11");
	gap_of(&r, chain, 5, 3, SIZE_MAX);
	stray = forge_by(&r.s.f, S("@u:far"), "m.room.message", NULL, "{'body':'stray'}", &r.s.base, 1);
	vec_push(w->a, &r.s.far->chatter, stray->bytes);
	read_all(&r, 10, ids, ARRAY_LEN(ids));
	ok(!event_row(w, stray->event_id), "not stored");
	assert_int_equal(n_gaps(&r.s), 0);
	close_reading(&r);
}
WORLD(stray_history_is_ignored)

/* History with an event that was not allowed: that one is not shown, what stands on it is. */
static void history_is_authorised(struct world *w)
{
	struct reading r;
	struct scene *s = &r.s;
	const struct event *a, *bad, *c, *d;
	str ids[100];
	size_t n;

	open_reading(&r, w, "11");
	a = said(s, s->base);
	bad = made(s, "m.room.topic", "", "{'topic':'by nobody'}", a->event_id);
	c = said(s, bad->event_id);
	d = said(s, c->event_id);
	hide(s, a);
	hide(s, bad);
	state_is(s, bad->event_id, STR_NONE, NULL, 0);
	comes(s, d);
	map_done(&s->far->hidden);
	map_init(&s->far->hidden, w->a);
	n = read_all(&r, 10, ids, ARRAY_LEN(ids));
	same_str(ids[0], d->event_id);
	same_str(ids[1], c->event_id);
	same_str(ids[2], a->event_id);
	same_str(ids[3], s->base);
	ok(n > 3, "and so on");
	ok(event_row(w, bad->event_id)->flags & EVENT_REJECTED, "the topic is rejected");
	ok(!current(w, s->id, "m.room.topic", ""), "and in no state");
	assert_int_equal(n_gaps(s), 0);
	check_flat(w, s->id);
	close_reading(&r);
}
WORLD(history_is_authorised)

struct reader {
	struct reading *r;
	enum backfill_outcome outcome;
	int64_t above;
};
static void reader_main(void *arg)
{
	struct reader *x = arg;
	AUTO_ARENA a = arena_new();

	good(backfill_below(x->r->b, a, x->r->s.id, x->above, clock_mono_us() + 20000000, &x->outcome));
}

/* Many read there at once: one asks, all have it. */
static void one_asks_for_all(struct world *w)
{
	struct reading r;
	struct reader readers[6];
	struct thread *threads[6];
	const struct event *chain[8];

	open_reading(&r, w, "11");
	gap_of(&r, chain, 8, 6, SIZE_MAX);
	const int64_t above = event_row(w, chain[6]->event_id)->nid;
	for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
		readers[i] = (struct reader){ &r, BACKFILL_LATE, above };
		threads[i] = thread_start("reader", reader_main, &readers[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		thread_join(&threads[i]);
	for (size_t i = 0; i < ARRAY_LEN(readers); i++)
		ok(readers[i].outcome == BACKFILL_MORE, "reader %zu", i);
	assert_int_equal(fake_asked(&r.s.fed, "backfill"), 1);
	assert_int_equal(n_gaps(&r.s), 0);
	close_reading(&r);
}
WORLD(one_asks_for_all)

static int64_t *by_timeline(struct world *w, int64_t room, size_t *out_n)
{
	struct event_time *list;
	int64_t *nids;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(store_event_times(tx, room, 0, false, 10000, &list, out_n));
	nids = ARENA_ARRAY(w->a, int64_t, *out_n);
	for (size_t i = 0; i < *out_n; i++) {
		ok(i == 0 || list[i].timeline > list[i - 1].timeline, "%zu has a place of its own", i);
		nids[i] = list[i].nid;
	}
	return nids;
}

/* Where there is no space left between two events, those around make some, and stay in their order: in a small room,
 * and in one where more stand on both sides than are moved. */
static void space_is_made(struct world *w)
{
	for (size_t crowd = 0; crowd <= 400; crowd += 400) {
		struct reading r;
		const struct event *chain[12];
		int64_t *before, *after, room;
		size_t n, m, same = 0;

		open_reading(&r, w, "11");
		for (size_t i = 0; i < crowd; i++)
			r.s.base = say(w, who(w, "alice"), r.s.id, "below");
		gap_of(&r, chain, 12, 10, SIZE_MAX);
		for (size_t i = 0; i < crowd; i++)
			say(w, who(w, "alice"), r.s.id, "above");
		squeeze_timeline(w, r.s.id, 2);
		room = room_nid(w, r.s.id);
		before = by_timeline(w, room, &n);
		read_page(&r, timeline_token(w->a, event_row(w, chain[10]->event_id)->nid, true), true, 5, true);
		assert_int_equal(n_gaps(&r.s), 0);
		stands_in_order(&r, chain, 12);
		after = by_timeline(w, room, &m);
		assert_int_equal(m, n + 10);
		for (size_t i = 0; i < m; i++)
			same += same < n && after[i] == before[same];
		assert_int_equal(same, n);
		const str next = say(w, who(w, "alice"), r.s.id, "goes on");
		after = by_timeline(w, room, &m);
		assert_int_equal(after[m - 1], event_row(w, next)->nid);
		close_reading(&r);
	}
}
WORLD(space_is_made)

/* What a purge took, others may still have: also what stayed here without a place. To the room's beginning. */
static void purged_history_comes_back(struct world *w)
{
	static const char *const of[] = { "1", "11", "12" };

	for (size_t v = 0; v < ARRAY_LEN(of); v++) {
		struct reading r;
		struct event_row **rows;
		const struct event *chain[6];
		str before[100], ids[100];
		size_t n_before, n, n_rows;
		int64_t purge;

		open_reading(&r, w, of[v]);
		for (size_t i = 0; i < ARRAY_LEN(chain); i++) {
			chain[i] = said(&r.s, i ? chain[i - 1]->event_id : r.s.base);
			good(receive_one(&r.s, chain[i]).error);
		}
		n_before = read_all(&r, 10, before, ARRAY_LEN(before));
		{ /* far has it all */
			AUTO_TX tx = NULL;

			good(store_read(w->b->st, w->a, &tx));
			good(store_events_by_timeline(tx, room_nid(w, r.s.id), 0, false, 100, &rows, &n_rows));
		}
		for (size_t i = 0; i < n_rows; i++) {
			struct event *ev;

			good(event_load(w->a, r.s.f.rv, rows[i]->event_id, rows[i]->json, &ev));
			if (!fake_event(r.s.far, ev->event_id))
				vec_push(w->a, &r.s.far->events, ev);
		}
		const struct purge_cmd cmd = { .room_id = r.s.id,
					       .before_event = chain[5]->event_id,
					       .with_local = true };
		good(rooms_purge_history(w->rs, w->a, &cmd, &purge));
		good(rooms_purge_run(w->rs, w->a, NULL, NULL));
		assert_int_equal(n_gaps(&r.s), 1);
		r.s.far->silent = true;
		assert_int_equal(read_all(&r, 10, ids, ARRAY_LEN(ids)), 1);
		r.s.far->silent = false;
		later += INT64_C(40) * 1000000;
		n = read_all(&r, 10, ids, ARRAY_LEN(ids));
		ok(n == n_before, "version %s: %zu of %zu", of[v], n, n_before);
		for (size_t i = 0; i < n; i++)
			same_str(ids[i], before[i]);
		assert_int_equal(n_gaps(&r.s), 0);
		assert_int_equal(fake_asked(&r.s.fed, "state"), 0);
		check_flat(w, r.s.id);
		say(w, who(w, "alice"), r.s.id, "goes on");
		check_flat(w, r.s.id);
		close_reading(&r);
	}
}
WORLD(purged_history_comes_back)

static str nearest(struct reading *r, int64_t ts, bool forwards, bool may_ask, bool *out_wants)
{
	struct world *w = r->s.w;
	const struct actor alice = who(w, "alice");
	const struct client_view view = { .user = alice.user, .user_id = alice.user_id };
	struct timeline_gaps gaps = { .backfill = r->b, .may_ask = may_ask, .deadline_us = clock_mono_us() + 20000000 };
	const struct nearest_cmd cmd = { r->s.id, ts, forwards, &view, &gaps };
	str id = STR_NONE;
	int64_t when = 0;
	const err *e = room_nearest(w->rs, w->a, &cmd, &id, &when);

	ok(!e || e->code == ERR_NOT_FOUND, "not another error");
	if (out_wants)
		*out_wants = gaps.wants_to_ask;
	return e ? STR_NONE : id;
}

/* The time falls into a gap: another server knows what was then. It stands alone until history grows together. */
static void a_time_in_a_gap(struct world *w)
{
	struct reading r;
	const struct event *chain[40];
	const struct event_row *row;
	str ids[100];
	bool wants;
	size_t n;

	open_reading(&r, w, "11");
	r.s.f.ts = clock_ms() + 100000;
	gap_of(&r, chain, 40, 38, SIZE_MAX);
	state_is(&r.s, chain[20]->event_id, STR_NONE, NULL, 0);
	(void)nearest(&r, chain[20]->origin_server_ts, true, false, &wants);
	ok(wants, "who may not wait is told to");
	assert_int_equal(r.s.fed.asked.n, 0);
	same_str(nearest(&r, chain[20]->origin_server_ts, true, true, NULL), chain[20]->event_id);
	row = event_row(w, chain[20]->event_id);
	ok(row->flags & EVENT_GAP && !row->stream, "alone");
	ok(row->timeline > event_row(w, r.s.base)->timeline &&
		   row->timeline < event_row(w, chain[38]->event_id)->timeline,
	   "within the gap");
	assert_int_equal(n_gaps(&r.s), 2);
	same_str(nearest(&r, chain[20]->origin_server_ts, false, true, NULL), chain[20]->event_id);
	n = read_all(&r, 7, ids, ARRAY_LEN(ids));
	ok(n > 40, "%zu events", n);
	for (size_t i = 0; i < 40; i++)
		same_str(ids[i], chain[39 - i]->event_id);
	stands_in_order(&r, chain, 40);
	assert_int_equal(n_gaps(&r.s), 0);
	close_reading(&r);
}
WORLD(a_time_in_a_gap)

/* No gap there: nobody is asked, whatever they know. And what they claim must be nearer. */
static void times_that_are_here(struct world *w)
{
	struct reading r;
	const struct event *chain[6];

	open_reading(&r, w, "11");
	r.s.f.ts = clock_ms() + 100000;
	gap_of(&r, chain, 6, 4, SIZE_MAX);
	same_str(nearest(&r, chain[5]->origin_server_ts, true, true, NULL), chain[5]->event_id);
	same_str(nearest(&r, chain[5]->origin_server_ts + 10, false, true, NULL), chain[5]->event_id);
	ok(str_is_none(nearest(&r, chain[5]->origin_server_ts + 10, true, true, NULL)), "nothing after the last");
	assert_int_equal(r.s.fed.asked.n, 0);
	r.s.far->events.n = 0;
	same_str(nearest(&r, chain[1]->origin_server_ts, true, true, NULL), chain[4]->event_id);
	ok(r.s.fed.asked.n > 0, "asked in vain");
	close_reading(&r);
}
WORLD(times_that_are_here)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(a_gap_is_filled),
		WORLD_TESTS(a_gap_moves_down),
		WORLD_TESTS(states_are_carried_upwards),
		WORLD_TESTS(each_page_is_judged_by_itself),
		WORLD_TESTS(who_may_not_wait_asks_nobody),
		WORLD_TESTS(gaps_that_nobody_fills_are_passed),
		WORLD_TESTS(stray_history_is_ignored),
		WORLD_TESTS(history_is_authorised),
		WORLD_TESTS(one_asks_for_all),
		WORLD_TESTS(space_is_made),
		WORLD_TESTS(purged_history_comes_back),
		WORLD_TESTS(a_time_in_a_gap),
		WORLD_TESTS(times_that_are_here),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
