/* test_receive_inbound.c - transactions of other servers: their answers, what becomes of their events, and when. */
#include "flat.h"
#include "inbound.h"

#include "base/clock.h"

/* A room of alice, mod and bob, and the last event in it. */
struct scene {
	struct received_world rw;
	struct forge f;
	str id, base;
};

static void begin(struct scene *s, struct world *w)
{
	inbound_begin(&s->rw, w);
	s->id = open_room(w, "12");
	s->base = say(w, who(w, "alice"), s->id, "base");
	s->f = forge_for(w, s->id, "12");
}

static struct event *message(struct scene *s, const char *body, str prev)
{
	return forge(&s->f, "bob", "m.room.message", NULL, arena_printf(s->rw.w->a, "{'body':'%s'}", body).p, &prev, 1);
}

static bool is_here(struct scene *s, const struct event *ev) { return event_row(s->rw.w, ev->event_id) != NULL; }

enum { CHAIN = 50 };
static void chain(struct scene *s, const struct event **out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = message(s, "x", i ? out[i - 1]->event_id : s->base);
}

static void what_was_answered_is_in_the_room(struct world *w)
{
	const struct event *list[CHAIN], *turned[CHAIN];
	struct scene s;
	str first, again;

	begin(&s, w);
	inbound_start(s.rw.in);
	chain(&s, list, CHAIN);
	for (size_t i = 0; i < CHAIN; i++)
		turned[i] = list[CHAIN - 1 - i];
	const struct json *answer = send_events(&s.rw, turned, CHAIN);
	for (size_t i = 0; i < CHAIN; i++)
		ok(str_is_none(told_of(answer, list[i])), "taken");
	inbound_await_idle(s.rw.in);
	for (size_t i = 0; i < CHAIN; i++)
		ok(event_row(w, list[i]->event_id)->stream, "%zu is shown", i);
	for (size_t i = 1; i < CHAIN; i++)
		ok(place_stored(&s.rw, list[i - 1]->event_id) < place_stored(&s.rw, list[i]->event_id), "in order");
	assert_int_equal(n_staged(&s.rw), 0);
	assert_int_equal(s.rw.in->staged.n, 0);
	/* A repetition is answered as it was, and changes nothing; so is one whose first is answered meanwhile. */
	const str text = message(&s, "y", list[CHAIN - 1]->event_id)->bytes;
	good(try_take(&s.rw, "other", "again", &text, 1, &first));
	good(inbound_answered(s.rw.in, w->a, S("other"), S("again"), &again));
	same_str(again, first);
	const struct event *late = message(&s, "late", list[CHAIN - 1]->event_id);
	good(try_take(&s.rw, "other", "again", &late->bytes, 1, &again));
	same_str(again, first);
	good(inbound_answered(s.rw.in, w->a, S("another"), S("again"), &again));
	ok(str_is_none(again), "a transaction of that name of another server");
	inbound_await_idle(s.rw.in);
	ok(!is_here(&s, late) && n_staged(&s.rw) == 0 && s.rw.in->staged.n == 0, "not looked at");
	check_flat(w, s.id);
	inbound_end(&s.rw);
}
WORLD(what_was_answered_is_in_the_room)

/* The text with the last character of `at`, where that is first found, changed. */
static void spoil(struct buf *out, str text, str at, char to)
{
	size_t i = 0;

	while (i + at.n < text.n && memcmp(text.p + i, at.p, at.n - 1) != 0)
		i++;
	buf_add(out, text);
	out->p[i + at.n - 1] = out->p[i + at.n - 1] == to ? 'C' : to;
}

static void each_stands_for_itself(struct world *w)
{
	struct scene s;

	begin(&s, w);
	inbound_start(s.rw.in);
	const struct event *good_one = message(&s, "good", s.base), *forged = message(&s, "forged", s.base),
			   *elsewhere = message(&s, "elsewhere", s.base);
	AUTO_BUF changed = BUF_INIT(100000);
	AUTO_BUF unsigned_ = BUF_INIT(100000);
	const struct json *answer;
	struct event *redacted;

	/* Its content was changed: what counts is its redacted form, of the same id. */
	spoil(&changed, forged->bytes, S("\"body\":\"f"), 'F');
	/* What should be its sender's server's signature is another. */
	spoil(&unsigned_, elsewhere->bytes, S("\"ed25519:1\":\"A"), 'B');

	const str texts[] = {
		good_one->bytes,
		S("17"),
		S("{}"),
		S("{\"room_id\":17}"),
		S("{\"room_id\":\"!nowhere:test\",\"event_id\":\"$named:test\"}"),
		arena_printf(w->a, "{\"room_id\":\"%.*s\",\"content\":[]}", STR_ARG(s.id)),
		buf_str(&changed),
		buf_str(&unsigned_),
		good_one->bytes,
	};

	answer = send_texts(&s.rw, texts, ARRAY_LEN(texts));
	inbound_await_idle(s.rw.in);
	ok(is_here(&s, good_one) && str_is_none(told_of(answer, good_one)), "the good one is in");
	ok(is_here(&s, forged) && str_is_none(told_of(answer, forged)), "what was changed is taken redacted");
	good(event_load(w->a, s.f.rv, forged->event_id, event_row(w, forged->event_id)->json, &redacted));
	ok(!json_get(redacted->content, S("body")), "without what was changed");
	ok(!is_here(&s, elsewhere), "a bad signature is refused");
	same_str(json_get_str(json_get(answer, S("$named:test")), S("error")), S("this server does not know the room"));
	assert_int_equal(answer->object.n, 4); /* the last is the one whose signature is bad */
	inbound_end(&s.rw);
}
WORLD(each_stands_for_itself)

static void the_acl_is_for_who_sends(struct world *w)
{
	struct scene s;

	begin(&s, w);
	inbound_start(s.rw.in);
	set_state(w, who(w, "alice"), s.id, "m.room.server_acl", "", "{'allow':['*'],'deny':['other']}");
	const struct event *ev = message(&s, "x", s.base);
	same_str(told_of(send_events(&s.rw, &ev, 1), ev),
		 S("the room's server ACL does not let this server take part"));
	assert_int_equal(n_staged(&s.rw), 0);
	str answer;
	good(try_take(&s.rw, "third", "1", &ev->bytes, 1, &answer));
	inbound_await_idle(s.rw.in);
	ok(is_here(&s, ev), "it came from one who may");
	inbound_end(&s.rw);
}
WORLD(the_acl_is_for_who_sends)

static void nobody_here_is_in_the_room(struct world *w)
{
	static const char *const names[] = { "bob", "mod", "alice" };
	struct scene s;

	begin(&s, w);
	inbound_start(s.rw.in);
	const struct event *ev = message(&s, "x", s.base);
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		good(member(w, room_leave, who(w, names[i]), s.id, NULL));
	same_str(told_of(send_events(&s.rw, &ev, 1), ev), S("this server is not in the room"));
	ok(!is_here(&s, ev) && n_staged(&s.rw) == 0, "not taken");
	inbound_end(&s.rw);
}
WORLD(nobody_here_is_in_the_room)

static void others_overtake_what_waits(struct world *w)
{
	struct scene s;

	begin(&s, w);
	inbound_start(s.rw.in);
	const struct event *first = message(&s, "first", s.base), *second = message(&s, "second", first->event_id),
			   *third = message(&s, "third", second->event_id), *beside = message(&s, "beside", s.base);

	send_events(&s.rw, (const struct event *[]){ third, second }, 2);
	send_events(&s.rw, &beside, 1);
	inbound_await_idle(s.rw.in);
	ok(is_here(&s, beside) && !is_here(&s, second) && !is_here(&s, third), "overtaken");
	assert_int_equal(n_staged(&s.rw), 2);
	send_events(&s.rw, &first, 1);
	inbound_await_idle(s.rw.in);
	ok(is_here(&s, first) && is_here(&s, second) && is_here(&s, third), "what it waited for has come");
	ok(place_stored(&s.rw, second->event_id) < place_stored(&s.rw, third->event_id), "in order");
	assert_int_equal(n_staged(&s.rw), 0);
	inbound_end(&s.rw);
}
WORLD(others_overtake_what_waits)

/* What missing.h does, here by hand. */
struct fetcher {
	struct scene *s;
	const struct event *brings; /* NULL: nobody has it */
	enum err_code why;
	str asked[40];
	size_t n_asked;
};

static bool fetch(void *ctx, const struct missing_want *want)
{
	struct fetcher *f = ctx;
	struct received_event r = { .event = f->brings };
	AUTO_ARENA a = arena_new();

	same_str(want->origin, S("other"));
	f->asked[f->n_asked++] = arena_keep(f->s->rw.stored_in, want->event->event_id);
	if (f->brings) {
		good(rooms_append_events(f->s->rw.w->rs, a, f->s->id, &r, 1));
		good(r.error);
	}
	want->done(want->ctx, f->brings || f->why == ERR_NONE ? NULL : err_new(a, f->why, "no"));
	return true;
}

static void what_is_missing_is_fetched(struct world *w)
{
	struct fetcher f = { .why = ERR_NOT_FOUND };
	struct scene s;

	begin(&s, w);
	f.s = &s;
	inbound_on_missing(s.rw.in, fetch, &f);
	s.rw.opt.workers = 1;
	inbound_start(s.rw.in);
	const struct event *first = message(&s, "first", s.base), *second = message(&s, "second", first->event_id),
			   *lost = message(&s, "lost", s.base), *after = message(&s, "after", lost->event_id),
			   *on = message(&s, "on", after->event_id);

	f.brings = first;
	send_events(&s.rw, &second, 1);
	inbound_await_idle(s.rw.in);
	ok(is_here(&s, first) && is_here(&s, second), "fetched");
	assert_int_equal(f.n_asked, 1);
	/* Nobody has it: what stands on it is dropped, and what stands on that asks for itself. */
	f.brings = NULL;
	send_events(&s.rw, &after, 1);
	inbound_await_idle(s.rw.in);
	assert_int_equal(f.n_asked, 2);
	assert_int_equal(n_staged(&s.rw), 0);
	send_events(&s.rw, &on, 1);
	inbound_await_idle(s.rw.in);
	assert_int_equal(f.n_asked, 3);
	same_str(f.asked[2], on->event_id);
	assert_int_equal(n_staged(&s.rw), 0);
	send_events(&s.rw, (const struct event *[]){ on, after }, 2);
	inbound_await_idle(s.rw.in);
	assert_int_equal(f.n_asked, 5);
	same_str(f.asked[3], after->event_id);
	same_str(f.asked[4], on->event_id);
	assert_int_equal(n_staged(&s.rw), 0);
	/* Who may have it does not answer: it waits, is asked for again with the next that names it, and takes what
	 * comes by itself. */
	f.why = ERR_CONNECTION_FAILED;
	send_events(&s.rw, &after, 1);
	inbound_await_idle(s.rw.in);
	assert_int_equal(f.n_asked, 6);
	send_events(&s.rw, &on, 1);
	inbound_await_idle(s.rw.in);
	assert_int_equal(f.n_asked, 7);
	same_str(f.asked[6], on->event_id);
	assert_int_equal(n_staged(&s.rw), 2);
	send_events(&s.rw, &lost, 1);
	inbound_await_idle(s.rw.in);
	ok(is_here(&s, lost) && is_here(&s, after) && is_here(&s, on), "all of them");
	assert_int_equal(n_staged(&s.rw), 0);
	inbound_end(&s.rw);
}
WORLD(what_is_missing_is_fetched)

/* What was fetched is not what was lacking: it is not asked for again and again at once, and given up for that. */
static void in_vain_is_not_at_once_again(struct world *w)
{
	struct fetcher f = { .why = ERR_NONE };
	struct scene s;

	begin(&s, w);
	f.s = &s;
	inbound_on_missing(s.rw.in, fetch, &f);
	inbound_start(s.rw.in);
	const struct event *lost = message(&s, "lost", s.base), *after = message(&s, "after", lost->event_id);

	send_events(&s.rw, &after, 1);
	inbound_await_idle(s.rw.in);
	assert_int_equal(f.n_asked, 1);
	assert_int_equal(n_staged(&s.rw), 1);
	send_events(&s.rw, &lost, 1);
	inbound_await_idle(s.rw.in);
	ok(is_here(&s, lost) && is_here(&s, after), "both");
	inbound_end(&s.rw);
}
WORLD(in_vain_is_not_at_once_again)

/* As after hours in which nobody answered. */
static void let_rest(struct scene *s)
{
	struct inbound *in = s->rw.in;
	struct inbound_origin *o;

	LOCKED(&in->lock);
	o = map_get(&in->origins, S("other"));
	o->woken_us = 0;
	LIST_EACH (&o->waiting, it)
		LIST_ITEM(it, struct staged, by_origin)->again_us = clock_mono_us() + INT64_C(3600) * 1000000;
}

static const struct event *whatever(void *ctx, str event_id) { return str_starts(event_id, S("$named-")) ? ctx : NULL; }

/* In version 1 the sender names events: these name each other, in a ring. */
static void ring(struct scene *s, const struct event **out, size_t n)
{
	struct world *w = s->rw.w;

	s->id = open_room(w, "1");
	s->f = forge_for(w, s->id, "1");
	s->base = say(w, who(w, "bob"), s->id, "base");
	s->f.ctx = (void *)message(s, "any", s->base);
	s->f.unseen = whatever;
	for (size_t i = 0; i < n; i++) {
		s->f.name = arena_printf(w->a, "$named-%zu-%zu:test", n, i);
		out[i] = message(s, "ring", arena_printf(w->a, "$named-%zu-%zu:test", n, (i + 1) % n));
	}
}

/* None of them comes before the others: who waits for itself in the end asks, and goes when nobody has what it lacks.
 */
static void events_do_not_wait_for_themselves(struct world *w)
{
	const struct event *events[4];
	struct fetcher f = { 0 };
	struct scene s;
	str answer;

	begin(&s, w);
	f.s = &s;
	inbound_on_missing(s.rw.in, fetch, &f);
	s.rw.opt.workers = 1;
	inbound_start(s.rw.in);
	for (size_t n = 1; n <= ARRAY_LEN(events); n++) {
		f.n_asked = 0;
		f.why = ERR_NONE;
		ring(&s, events, n);
		send_events(&s.rw, events, n);
		inbound_await_idle(s.rw.in);
		assert_int_equal(n_staged(&s.rw), n);
		ok(f.n_asked > 0, "a ring of %zu: somebody asks", n);
		f.why = ERR_NOT_FOUND;
		let_rest(&s);
		good(try_take(&s.rw, "other", arena_printf(w->a, "again %zu", n).p, NULL, 0, &answer));
		inbound_await_idle(s.rw.in);
		assert_int_equal(n_staged(&s.rw), 0);
	}
	inbound_end(&s.rw);
}
WORLD(events_do_not_wait_for_themselves)

/* However often nobody answered, it waits: a week. Its server is there again: it is asked for at once. */
static void silence_is_no_answer(struct world *w)
{
	struct fetcher f = { .why = ERR_CONNECTION_FAILED };
	struct scene s;
	str answer;

	begin(&s, w);
	f.s = &s;
	inbound_on_missing(s.rw.in, fetch, &f);
	inbound_start(s.rw.in);
	const struct event *lost = message(&s, "lost", s.base), *after = message(&s, "after", lost->event_id);

	send_events(&s.rw, &after, 1);
	inbound_await_idle(s.rw.in);
	for (unsigned i = 0; i < 20; i++) {
		assert_int_equal(f.n_asked, i + 1);
		assert_int_equal(n_staged(&s.rw), 1);
		good(try_take(&s.rw, "third", arena_printf(w->a, "t%u", i).p, NULL, 0, &answer));
		let_rest(&s);
		good(try_take(&s.rw, "other", arena_printf(w->a, "o%u", i).p, NULL, 0, &answer));
		inbound_await_idle(s.rw.in);
	}
	good(try_take(&s.rw, "other", "soon again", NULL, 0, &answer));
	inbound_await_idle(s.rw.in);
	assert_int_equal(f.n_asked, 21);
	f.brings = lost;
	let_rest(&s);
	good(try_take(&s.rw, "other", "there again", NULL, 0, &answer));
	inbound_await_idle(s.rw.in);
	assert_int_equal(n_staged(&s.rw), 0);
	ok(is_here(&s, lost) && is_here(&s, after), "both");
	inbound_end(&s.rw);
}
WORLD(silence_is_no_answer)

/* More wait than may: the oldest of who has the most goes, and what others sent stays. */
static void the_oldest_of_too_many_goes(struct world *w)
{
	enum { MANY = 130, MOST = 100 };
	const struct event *list[MANY];
	struct inbound_row *rows;
	struct scene s;
	AUTO_TX tx = NULL;
	str answer;
	size_t n;

	begin(&s, w);
	inbound_start(s.rw.in);
	for (size_t i = 0; i < MANY; i++)
		list[i] = message(&s, "x", message(&s, "lost", s.base)->event_id);
	good(try_take(&s.rw, "third", "1", &list[0]->bytes, 1, &answer));
	for (size_t i = 1; i < MANY; i += 10) {
		send_events(&s.rw, &list[i], MIN((size_t)10, MANY - i));
		inbound_await_idle(s.rw.in);
	}
	good(store_read(w->b->st, w->a, &tx));
	good(store_inbound_list(tx, 0, 1000, &rows, &n));
	assert_int_equal(n, MOST + 1);
	same_str(rows[0].event_id, list[0]->event_id);
	for (size_t i = 1; i < n; i++)
		same_str(rows[i].event_id, list[MANY - MOST - 1 + i]->event_id);
	store_read_end(&tx);
	inbound_end(&s.rw);
}
WORLD(the_oldest_of_too_many_goes)

static void a_restart_goes_on_where_it_was(struct world *w)
{
	const struct event *list[CHAIN];
	struct scene s;

	begin(&s, w);
	chain(&s, list, CHAIN);
	send_events(&s.rw, list, CHAIN / 2); /* no worker runs */
	send_events(&s.rw, list + CHAIN / 2, CHAIN / 2);
	assert_int_equal(n_staged(&s.rw), CHAIN);
	inbound_restart(&s.rw);
	inbound_start(s.rw.in);
	inbound_await_idle(s.rw.in);
	for (size_t i = 1; i < CHAIN; i++)
		ok(place_stored(&s.rw, list[i - 1]->event_id) < place_stored(&s.rw, list[i]->event_id), "in order");
	assert_int_equal(n_staged(&s.rw), 0);
	inbound_end(&s.rw);
}
WORLD(a_restart_goes_on_where_it_was)

/* Whichever commit fails: what was answered is in the room in the end, and what was not is not staged. */
static void failing_commits_lose_nothing(struct world *w)
{
	const struct event *list[6];
	struct scene s;
	str answer;

	begin(&s, w);
	chain(&s, list, ARRAY_LEN(list));
	store_fault(w->b->st, FAULT_COMMIT, 1);
	fails_with(try_take(&s.rw, "other", "1", &list[0]->bytes, 1, &answer), ERR_STORE);
	store_fault(w->b->st, FAULT_COMMIT, 0);
	assert_int_equal(n_staged(&s.rw), 0);
	assert_int_equal(s.rw.in->staged.n, 0);
	ok(!s.rw.in->rooms.n && !s.rw.in->origins.n, "nothing is kept of it");
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		send_events(&s.rw, &list[i], 1);
	store_fault(w->b->st, FAULT_COMMIT, 2);
	inbound_start(s.rw.in);
	inbound_await_idle(s.rw.in);
	inbound_restart(&s.rw);
	inbound_start(s.rw.in);
	inbound_await_idle(s.rw.in);
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		ok(is_here(&s, list[i]), "%zu", i);
	assert_int_equal(n_staged(&s.rw), 0);
	check_flat(w, s.id);
	inbound_end(&s.rw);
}
WORLD(failing_commits_lose_nothing)

static void what_waits_is_bounded(struct world *w)
{
	const struct event *list[8];
	struct scene s;
	str answer;

	begin(&s, w);
	inbound_close(&s.rw);
	world_restart(w);
	s.rw.opt.max_waiting_room = 3;
	s.rw.opt.max_waiting_origin = 5;
	inbound_open(&s.rw);
	chain(&s, list, ARRAY_LEN(list));
	const struct json *told = send_events(&s.rw, list, 5);
	for (size_t i = 0; i < 5; i++)
		ok(str_is_none(told_of(told, list[i])) == (i < 3), "%zu", i);
	assert_int_equal(n_staged(&s.rw), 3);
	/* In another room there is space; and then this server has enough of "other", but not of a third. */
	struct scene two = { .rw = s.rw, .id = open_room(w, "12") };
	two.base = say(w, who(w, "alice"), two.id, "base");
	two.f = forge_for(w, two.id, "12");
	chain(&two, list, 3);
	send_events(&s.rw, list, 2);
	assert_int_equal(n_staged(&s.rw), 5);
	fails_with(try_take(&s.rw, "other", "2", &list[2]->bytes, 1, &answer), ERR_LIMIT_EXCEEDED);
	good(try_take(&s.rw, "other", "3", NULL, 0, &answer));
	good(try_take(&s.rw, "third", "2", &list[2]->bytes, 1, &answer));
	assert_int_equal(n_staged(&s.rw), 6);
	str many[51];
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = S("{}");
	fails_with(try_take(&s.rw, "other", "4", many, ARRAY_LEN(many), &answer), ERR_INVALID_PARAM);
	inbound_start(s.rw.in);
	inbound_await_idle(s.rw.in);
	assert_int_equal(s.rw.in->staged.n, 0);
	inbound_end(&s.rw);
}
WORLD(what_waits_is_bounded)

/* One worker: a room's flood lets the other rooms have their turns, whether they came first or last. */
static void a_flood_delays_no_other_room(struct world *w)
{
	enum { FLOOD = 6 * CHAIN };
	const struct event *flood[FLOOD], *quiet[2];
	struct scene s, other;

	begin(&s, w);
	chain(&s, flood, FLOOD);
	for (size_t i = 0; i < 2; i++) {
		other = (struct scene){ .rw = s.rw, .id = open_room(w, "12") };
		other.base = say(w, who(w, "alice"), other.id, "base");
		other.f = forge_for(w, other.id, "12");
		chain(&other, &quiet[i], 1);
	}
	send_events(&s.rw, &quiet[0], 1);
	for (size_t i = 0; i < FLOOD; i += CHAIN)
		send_events(&s.rw, flood + i, CHAIN);
	send_events(&s.rw, &quiet[1], 1);
	s.rw.in->n_workers = 1;
	inbound_start(s.rw.in);
	inbound_await_idle(s.rw.in);
	for (size_t i = 0; i < 2; i++)
		ok(place_stored(&s.rw, quiet[i]->event_id) < place_stored(&s.rw, flood[2 * BATCH_MOST]->event_id),
		   "after a turn of the flood");
	ok(is_here(&s, flood[FLOOD - 1]), "which is in, too");
	inbound_end(&s.rw);
}
WORLD(a_flood_delays_no_other_room)

static void what_comes_during_a_join_is_kept(struct world *w)
{
	struct scene s;

	begin(&s, w);
	inbound_start(s.rw.in);
	const struct event *ev = message(&s, "x", s.base);
	good(inbound_joining(s.rw.in, w->a, s.id, s.f.rv));
	send_events(&s.rw, &ev, 1);
	inbound_await_idle(s.rw.in);
	ok(!is_here(&s, ev) && n_staged(&s.rw) == 1, "not yet");
	inbound_joined(s.rw.in, s.id);
	inbound_await_idle(s.rw.in);
	ok(is_here(&s, ev) && n_staged(&s.rw) == 0, "the room is there");
	/* The join failed: the room is not. */
	const str nowhere = S("!nowhere:test");
	good(inbound_joining(s.rw.in, w->a, nowhere, room_version_find(S("11"))));
	const struct event_fields fields = { .room_id = nowhere,
					     .sender = S("@bob:test"),
					     .type = S("m.room.message"),
					     .content = js(w->a, "{}"),
					     .prev_events = &s.base,
					     .n_prev_events = 1,
					     .auth_events = &s.base,
					     .n_auth_events = 1 };
	struct event *lost;
	good(event_build(w->a, room_version_find(S("11")), &fields, &w->opt.signer, &lost));
	send_events(&s.rw, (const struct event *[]){ lost }, 1);
	assert_int_equal(n_staged(&s.rw), 1);
	inbound_joined(s.rw.in, nowhere);
	inbound_await_idle(s.rw.in);
	assert_int_equal(n_staged(&s.rw), 0);
	ok(!s.rw.in->rooms.n, "nothing is kept of it");
	inbound_end(&s.rw);
}
WORLD(what_comes_during_a_join_is_kept)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(what_was_answered_is_in_the_room),
		WORLD_TESTS(each_stands_for_itself),
		WORLD_TESTS(the_acl_is_for_who_sends),
		WORLD_TESTS(nobody_here_is_in_the_room),
		WORLD_TESTS(others_overtake_what_waits),
		WORLD_TESTS(what_is_missing_is_fetched),
		WORLD_TESTS(events_do_not_wait_for_themselves),
		WORLD_TESTS(in_vain_is_not_at_once_again),
		WORLD_TESTS(silence_is_no_answer),
		WORLD_TESTS(the_oldest_of_too_many_goes),
		WORLD_TESTS(a_restart_goes_on_where_it_was),
		WORLD_TESTS(failing_commits_lose_nothing),
		WORLD_TESTS(what_waits_is_bounded),
		WORLD_TESTS(a_flood_delays_no_other_room),
		WORLD_TESTS(what_comes_during_a_join_is_kept),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
