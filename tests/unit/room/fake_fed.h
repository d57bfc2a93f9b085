/*
 * fake_fed.h - other servers, for what asks them: they know events and states, and say of them what a test lets them.
 *
 * Every request is noted as "server what about", in order.
 */
#pragma once

#include "forge.h"

#include "base/map.h"
#include "room/receive/internal_fetch.h"

struct fake_state {
	str event_id;
	const str *ids, *auth;
	size_t n_ids, n_auth;
};
struct fake_server {
	str name;
	bool silent;
	int refuses;                      /* every request, with this status; 0: does not */
	VEC(const struct event *) events; /* by id, and for /backfill and /get_missing_events */
	struct map hidden;                /* ids that it does not give to /get_missing_events and /backfill */
	VEC(struct fake_state) states;
	VEC(str) chatter; /* events (JSON) it puts into every answer beside what was asked for */
};
struct fake_fed {
	struct arena *a;
	struct fake_server server[3];
	size_t n_servers;
	VEC(str) asked;
	struct lock lock;
	struct fetch_hooks hooks;
	void (*meanwhile)(void *ctx); /* done once, while the next question is under way; or NULL */
	void *meanwhile_ctx;
};

static inline const struct event *fake_event(const struct fake_server *s, str id)
{
	for (size_t i = 0; i < s->events.n; i++)
		if (str_eq(s->events.p[i]->event_id, id))
			return s->events.p[i];
	return NULL;
}

static inline bool fake_listed(str id, const struct json *list)
{
	JSON_ITEMS (list, i)
		if (str_eq(json_str(list->array.items[i]), id))
			return true;
	return false;
}

/* Breadth first from the events named, as servers do. */
static inline void fake_walk(struct arena *a, const struct fake_server *s, const str *from, size_t n,
			     const struct json *earliest, size_t limit, bool with_first, struct buf *out)
{
	VEC(str) queue = { 0 };
	struct map seen;
	size_t given = 0;

	map_init(&seen, a);
	for (size_t i = 0; i < n; i++)
		vec_push(a, &queue, from[i]);
	for (size_t i = 0; i < queue.n && given < limit; i++) {
		const struct event *ev = fake_event(s, queue.p[i]);

		if (map_put(&seen, queue.p[i], &seen) || !ev || map_get(&s->hidden, queue.p[i]))
			continue;
		if (i >= n || with_first) {
			buf_add(out, given++ ? S(",") : S(""));
			buf_add(out, ev->bytes);
		}
		for (size_t k = 0; k < ev->n_prev_events; k++)
			if (!fake_listed(ev->prev_events[k], earliest))
				vec_push(a, &queue, ev->prev_events[k]);
	}
	for (size_t i = 0; i < s->chatter.n; i++) {
		buf_add(out, given++ ? S(",") : S(""));
		buf_add(out, s->chatter.p[i]);
	}
}

static inline void fake_ids(struct buf *out, const char *key, const str *ids, size_t n)
{
	buf_printf(out, "\"%s\":[", key);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%s\"%.*s\"", i ? "," : "", STR_ARG(ids[i]));
	buf_add(out, S("]"));
}

static inline void fake_no(struct arena *a, struct fed_call *c)
{
	c->status = 404;
	c->error = err_new(a, ERR_NOT_FOUND, "unknown");
}

static inline void fake_yes(struct arena *a, struct fed_call *c, str body)
{
	const str kept = arena_keep(a, body);

	c->status = 200;
	if (c->take) { /* in pieces, as it comes */
		for (size_t i = 0; i < kept.n && !c->error; i += 7)
			c->error = c->take(c->take_ctx, str_from((str){ kept.p, MIN(i + 7, kept.n) }, i));
		return;
	}
	good(json_parse(a, kept, &json_limits_request, &c->answer));
}

static inline bool fake_path(struct arena *a, str path, const char *begin, str *out_rest)
{
	const str b = arena_printf(a, "/_matrix/federation/v1/%s", begin);

	if (!str_starts(path, b))
		return false;
	*out_rest = str_from(path, b.n);
	return true;
}

static inline str fake_unescape(struct arena *a, str s)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned v = 0;

		if (s.p[i] != '%' || i + 2 >= s.n) {
			p[n++] = s.p[i];
			continue;
		}
		for (size_t k = 1; k <= 2; k++)
			v = v * 16 + (unsigned)(s.p[i + k] <= '9' ? s.p[i + k] - '0' : (s.p[i + k] | 32) - 'a' + 10);
		p[n++] = (char)v;
		i += 2;
	}
	return (str){ p, n };
}

static inline str fake_query(struct arena *a, str path, const char *name)
{
	const str key = arena_printf(a, "%s=", name);

	for (size_t i = 0; i + key.n <= path.n; i++) {
		size_t end = i + key.n;

		if (!str_starts(str_from(path, i), key) || (path.p[i - 1] != '?' && path.p[i - 1] != '&'))
			continue;
		while (end < path.n && path.p[end] != '&')
			end++;
		return fake_unescape(a, (str){ path.p + i + key.n, end - i - key.n });
	}
	return STR_NONE;
}

static inline void fake_nearest(struct fake_fed *f, struct arena *a, const struct fake_server *s, struct fed_call *c)
{
	const bool forwards = str_eq(fake_query(a, c->path, "dir"), S("f"));
	const struct event *best = NULL;
	int64_t ts = 0;

	vec_push(f->a, &f->asked, arena_printf(f->a, "%.*s time", STR_ARG(s->name)));
	assert_true(str_to_i64(fake_query(a, c->path, "ts"), &ts));
	for (size_t i = 0; i < s->events.n; i++) {
		const struct event *ev = s->events.p[i];
		const int64_t t = ev->origin_server_ts;

		if (forwards ? t < ts : t > ts)
			continue;
		if (!best || (forwards ? t < best->origin_server_ts : t > best->origin_server_ts))
			best = ev;
	}
	if (best)
		fake_yes(a, c,
			 arena_printf(a, "{\"event_id\":\"%.*s\",\"origin_server_ts\":%" PRId64 "}",
				      STR_ARG(best->event_id), best->origin_server_ts));
	else
		fake_no(a, c);
}

static inline void fake_answer(struct fake_fed *f, struct arena *a, const struct fake_server *s, struct fed_call *c)
{
	AUTO_BUF b = BUF_INIT(1 << 22);
	str rest;

	if (fake_path(a, c->path, "get_missing_events/", &rest)) {
		const struct json *latest = json_get_array(c->content, S("latest_events"));
		str from[64];
		size_t n = 0;

		JSON_ITEMS (latest, i)
			from[n++] = json_str(latest->array.items[i]);
		buf_add(&b, S("{\"events\":["));
		fake_walk(a, s, from, n, json_get_array(c->content, S("earliest_events")), 20, false, &b);
		buf_add(&b, S("]}"));
		fake_yes(a, c, buf_str(&b));
		for (size_t i = 0; i < n; i++)
			vec_push(f->a, &f->asked,
				 arena_printf(f->a, "%.*s missing %.*s", STR_ARG(s->name), STR_ARG(from[i])));
	} else if (fake_path(a, c->path, "backfill/", &rest)) {
		const str v = fake_query(a, c->path, "v");

		buf_add(&b, S("{\"pdus\":["));
		fake_walk(a, s, &v, 1, NULL, (size_t)100, true, &b);
		buf_add(&b, S("]}"));
		fake_yes(a, c, buf_str(&b));
		vec_push(f->a, &f->asked, arena_printf(f->a, "%.*s backfill %.*s", STR_ARG(s->name), STR_ARG(v)));
	} else if (fake_path(a, c->path, "event/", &rest)) {
		const str id = fake_unescape(a, rest);
		const struct event *ev = fake_event(s, id);

		vec_push(f->a, &f->asked, arena_printf(f->a, "%.*s event %.*s", STR_ARG(s->name), STR_ARG(id)));
		if (!ev) {
			fake_no(a, c);
			return;
		}
		fake_yes(a, c, arena_printf(a, "{\"pdus\":[%.*s]}", STR_ARG(ev->bytes)));
	} else if (fake_path(a, c->path, "state_ids/", &rest)) {
		const str id = fake_query(a, c->path, "event_id");

		vec_push(f->a, &f->asked, arena_printf(f->a, "%.*s state %.*s", STR_ARG(s->name), STR_ARG(id)));
		for (size_t i = 0; i < s->states.n; i++) {
			const struct fake_state *st = &s->states.p[i];

			if (!str_eq(st->event_id, id))
				continue;
			buf_add(&b, S("{"));
			fake_ids(&b, "pdu_ids", st->ids, st->n_ids);
			buf_add(&b, S(","));
			fake_ids(&b, "auth_chain_ids", st->auth, st->n_auth);
			buf_add(&b, S("}"));
			fake_yes(a, c, buf_str(&b));
			return;
		}
		fake_no(a, c);
	} else if (fake_path(a, c->path, "state/", &rest)) {
		const str id = fake_query(a, c->path, "event_id");
		bool first = true;

		vec_push(f->a, &f->asked, arena_printf(f->a, "%.*s whole %.*s", STR_ARG(s->name), STR_ARG(id)));
		buf_add(&b, S("{\"auth_chain\":[7,{}],\"pdus\":["));
		for (size_t i = 0; i < s->states.n; i++)
			for (size_t k = 0; str_eq(s->states.p[i].event_id, id) && k < s->states.p[i].n_ids; k++) {
				const struct event *ev = fake_event(s, s->states.p[i].ids[k]);

				if (ev)
					buf_printf(&b, "%s%.*s", first ? "" : ",", STR_ARG(ev->bytes));
				first = first && !ev;
			}
		buf_add(&b, S("]}"));
		fake_yes(a, c, buf_str(&b));
	} else if (fake_path(a, c->path, "timestamp_to_event/", &rest)) {
		fake_nearest(f, a, s, c);
	} else {
		fake_no(a, c);
	}
}

static inline void fake_ask(void *ctx, struct arena *a, struct fed_call *calls, size_t n, int64_t deadline_us)
{
	struct fake_fed *f = ctx;

	void (*meanwhile)(void *) = f->meanwhile;

	(void)deadline_us;
	f->meanwhile = NULL;
	if (meanwhile)
		meanwhile(f->meanwhile_ctx);
	LOCKED(&f->lock);
	for (size_t i = 0; i < n; i++) {
		const struct fake_server *s = NULL;

		for (size_t k = 0; k < f->n_servers; k++)
			if (str_eq(f->server[k].name, calls[i].destination))
				s = &f->server[k];
		if (s && s->refuses) {
			calls[i].status = s->refuses;
			calls[i].error = err_new(a, ERR_CONNECTION_FAILED, "not now");
		} else if (s && !s->silent) {
			fake_answer(f, a, s, &calls[i]);
		} else {
			vec_push(f->a, &f->asked, arena_printf(f->a, "%.*s in vain", STR_ARG(calls[i].destination)));
			calls[i].error = err_new(a, ERR_CONNECTION_FAILED, "no answer");
		}
	}
}

/* Signatures are events_check's own tests' business. */
static inline void fake_check(void *ctx, struct arena *a, const struct room_version *rv, str room_id,
			      struct checked_event *evs, size_t n, int64_t deadline_us)
{
	(void)ctx;
	(void)deadline_us;
	for (size_t i = 0; i < n; i++) {
		evs[i].event = NULL;
		evs[i].error = event_parse_json(a, rv, evs[i].json, &evs[i].event);
		if (!evs[i].error && !str_eq(evs[i].event->room_id, room_id))
			evs[i].error = err_new(a, ERR_INVALID_PARAM, "of another room");
		if (evs[i].error)
			evs[i].event = NULL;
	}
}

static inline struct fake_server *fake_add(struct fake_fed *f, const char *name)
{
	struct fake_server *s = &f->server[f->n_servers++];

	s->name = str_c(name);
	map_init(&s->hidden, f->a);
	return s;
}

static inline void fake_begin(struct fake_fed *f, struct arena *a)
{
	*f = (struct fake_fed){ .a = a };
	lock_init(&f->lock, RANK_LEAF);
	f->hooks = (struct fetch_hooks){ fake_ask, fake_check, f };
}

static inline size_t fake_asked(const struct fake_fed *f, const char *what)
{
	size_t n = 0;

	for (size_t i = 0; i < f->asked.n; i++)
		n += str_contains(f->asked.p[i], str_c(what));
	return n;
}
