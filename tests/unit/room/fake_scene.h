/* fake_scene.h - a room here, of which another server knows more; events come from there, and what they lack is
 * fetched. */
#pragma once

#include "fake_fed.h"
#include "flat.h"

#include "room/receive/missing.h"
#include "room/receive/outlier.h"
#include "store/gaps.h"

struct scene {
	struct world *w;
	struct fake_fed fed;
	struct fake_server *far;
	struct missing *m;
	struct forge f;
	str id, base; /* the room; its only extremity, which far has, too */
	/* of the errand */
	struct lock lock;
	struct cond cond;
	unsigned done;
	enum err_code why;
};

static inline const struct event *by_far(void *ctx, str event_id) { return fake_event(ctx, event_id); }

static inline void begin(struct scene *s, struct world *w, const char *version)
{
	*s = (struct scene){ .w = w };
	lock_init(&s->lock, RANK_SERVICE);
	cond_init(&s->cond);
	fake_begin(&s->fed, w->a);
	s->far = fake_add(&s->fed, "far");
	s->id = open_room(w, version);
	s->f = forge_for(w, s->id, version);
	s->f.unseen = by_far;
	s->f.ctx = s->far;
	s->base = say(w, who(w, "alice"), s->id, "base");
	const struct event *ev =
		forge_by(&s->f, S("@u:far"), "m.room.member", "@u:far", "{'membership':'join'}", &s->base, 1);
	assert_int_equal(put(w, ev), APPEND_ACCEPTED);
	s->base = ev->event_id;
	const struct missing_options opt = { .rooms = w->rs, .store = w->b->st, .hooks = &s->fed.hooks, .threads = 2 };
	good(missing_new(w->a, &opt, &s->m));
	missing_start(s->m);
}

static inline void end(struct scene *s)
{
	missing_stop(s->m);
	missing_free(&s->m);
	lock_done(&s->lock);
	cond_done(&s->cond);
	lock_done(&s->fed.lock);
}

/* far has made it, and shows it to nobody yet. */
static inline const struct event *made(struct scene *s, const char *type, const char *key, const char *content,
				       str prev)
{
	const struct event *ev = forge_by(&s->f, S("@u:far"), type, key, content, &prev, 1);

	vec_push(s->w->a, &s->far->events, ev);
	return ev;
}

static inline const struct event *said(struct scene *s, str prev)
{
	return made(s, "m.room.message", NULL, "{'body':'x'}", prev);
}

static inline void hide(struct scene *s, const struct event *ev) { (void)map_put(&s->far->hidden, ev->event_id, s); }

static inline void on_done(void *ctx, const err *why)
{
	struct scene *s = ctx;

	LOCKED(&s->lock);
	s->why = why ? why->code : ERR_NONE;
	s->done++;
	cond_broadcast(&s->cond);
}

static inline struct received_event receive_one(struct scene *s, const struct event *ev)
{
	struct received_event r = { .event = ev };

	good(rooms_append_events(s->w->rs, s->w->a, s->id, &r, 1));
	return r;
}

/* The event comes from `origin`: what it lacks is fetched. Gives why it was not. */
static inline enum err_code fetch_for(struct scene *s, const struct event *ev, const char *origin)
{
	const struct received_event r = receive_one(s, ev);
	const struct missing_want want = {
		.room_id = s->id,
		.origin = str_c(origin),
		.event = ev,
		.missing = r.missing,
		.n_missing = r.n_missing,
		.done = on_done,
		.ctx = s,
	};
	const unsigned before = s->done;

	assert_non_null(r.error);
	assert_int_equal(r.error->code, ERR_NOT_FOUND);
	assert_true(missing_begin(s->m, &want));
	LOCKED(&s->lock);
	while (s->done == before)
		cond_wait(&s->cond, &s->lock);
	return s->why;
}

static inline void comes(struct scene *s, const struct event *ev)
{
	struct received_event r;

	assert_int_equal(fetch_for(s, ev, "far"), ERR_NONE);
	r = receive_one(s, ev);
	good(r.error);
	assert_int_equal(r.outcome, APPEND_ACCEPTED);
}

static inline size_t n_gaps(struct scene *s)
{
	struct gap_row *gaps;
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(s->w->b->st, s->w->a, &tx));
	good(store_gaps(tx, room_nid(s->w, s->id), 100, &gaps, &n));
	return n;
}

/* What the room's current state is, as ids. */
static inline const str *state_now(struct scene *s, size_t *out_n)
{
	struct state_row *rows;
	VEC(str) ids = { 0 };
	AUTO_TX tx = NULL;
	size_t n;

	good(store_read(s->w->b->st, s->w->a, &tx));
	good(store_state_list(tx, room_nid(s->w, s->id), &rows, &n));
	for (size_t i = 0; i < n; i++) {
		struct event_row *row;

		good(store_event_by_nid(tx, rows[i].event, &row));
		vec_push(s->w->a, &ids, arena_keep(s->w->a, row->event_id));
	}
	*out_n = n;
	return ids.p;
}

/* far says that the state before the event is the current one, without `but`, and with `more`. */
static inline void state_is(struct scene *s, str event_id, str but, const str *more, size_t n_more)
{
	struct fake_state st = { .event_id = event_id };
	const str *now;
	VEC(str) ids = { 0 };
	size_t n;

	now = state_now(s, &n);
	for (size_t i = 0; i < n; i++)
		if (!str_eq(now[i], but))
			vec_push(s->w->a, &ids, now[i]);
	for (size_t i = 0; i < n_more; i++)
		vec_push(s->w->a, &ids, more[i]);
	st.ids = ids.p;
	st.n_ids = ids.n;
	vec_push(s->w->a, &s->far->states, st);
}
