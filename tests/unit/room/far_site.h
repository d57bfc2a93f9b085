/*
 * far_site.h - rooms with other servers about: one of them (far_room.h) is played by a site on loopback, which gives
 * templates, takes events, and says no when the test wants it to. Others by other names are at the same site.
 */
#pragma once

/* Both have a word for it. */
#define say site_say
#include "federation/fed_fixture.h"
#undef say

#include "far_room.h"
#include "world.h"

#include "base/pool.h"
#include "federation/query.h"
#include "json/writer.h"
#include "matrix/server_keys.h"
#include "room/remote/remote.h"

struct far_no { /* what a server says to a kind of request; status 0: it answers as it should */
	const char *server, *part;
	int status;
	const char *errcode;
};
struct scene {
	struct world *w;
	struct site *site;
	struct client *client;
	struct discovery *discovery;
	struct fed *fed;
	struct key_ring *keys;
	struct pool *pool;
	struct queries *queries;
	struct remote *remote;
	struct far f;
	str far_name; /* "far.example:PORT" */
	struct far_no no[8];
	/* The answers; the site's threads read, the test writes between requests. */
	str template_text; /* instead of the right one, or STR_NONE */
	str join_answer;
	bool no_voucher_signature;
	/* Of the service; from the next scene_restart on. */
	void (*on_piece)(void *ctx, const struct piece_run *run);
	void *piece_ctx;
	/* what was asked: under lock */
	struct lock lock;
	struct cond cond;
	struct arena *a;
	VEC(str) asked; /* "far make_join" */
	str sent;       /* the newest body of a PUT */
	int hold;       /* requests for a join wait until it is 0 */
	bool hold_make; /* ... those for its template, too */
	int held;
};
static struct scene *on_stage;

static inline str scene_decode(struct arena *a, str s)
{
	char *p = arena_alloc(a, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && i + 2 < s.n) {
			const char hex[3] = { s.p[i + 1], s.p[i + 2], 0 };

			p[n++] = (char)strtoul(hex, NULL, 16);
			i += 2;
		} else {
			p[n++] = s.p[i];
		}
	}
	return (str){ p, n };
}

static inline bool scene_say(struct visit *v, int status, str body)
{
	AUTO_BUF b = BUF_INIT((size_t)1 << 30);

	buf_printf(&b, "HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n", status,
		   body.n);
	buf_add(&b, body);
	return site_say(v, buf_str(&b));
}

static inline str scene_host(const struct visit *v)
{
	const char *p = memmem(v->request.p, v->request.n, "Host: ", 6);
	str host = { p + 6, (size_t)(v->request.p + v->request.n - p) - 6 };

	host = str_head(host, str_find(host, '\r'));
	return str_head(host, str_find(host, ':'));
}

static inline bool scene_keys(struct visit *v, struct arena *a, struct scene *s, str host)
{
	AUTO_BUF b = BUF_INIT(1 << 16);
	struct jw w = jw_to(&b);
	struct signer who = s->f.signer;
	struct json *doc;

	who.server_name = arena_printf(a, "%.*s:%u", STR_ARG(host), s->site->port);
	good(server_keys_write(a, &who, NULL, clock_ms() + 86400000, &doc));
	jw_json(&w, NULL, doc);
	return scene_say(v, 200, buf_str(&b));
}

/* A membership event as it could be now, unsigned: what stands on the room's newest event. */
static inline str scene_template(struct scene *s, struct arena *a, str user, const char *membership, bool voucher)
{
	AUTO_BUF b = BUF_INIT(1 << 16);
	struct jw w = jw_to(&b);
	struct json *content = json_new_object(a), *ev;
	struct state_key keys[AUTH_KEYS_MAX];
	struct event *auth[AUTH_KEYS_MAX];
	struct far f = s->f;
	size_t n, n_auth = 0;

	f.a = a;
	json_set(a, content, S("membership"), json_new_str(a, str_c(membership)));
	if (voucher)
		json_set(a, content, S("join_authorised_via_users_server"), json_new_str(a, far_user(&f, "admin")));
	n = auth_keys(f.rv, S("m.room.member"), user, user, content, keys);
	for (size_t i = 0; i < n; i++) {
		struct event *e = map_get(&f.state, far_key(&f, keys[i].type, keys[i].state_key));

		if (e)
			auth[n_auth++] = e;
	}
	ev = json_copy(a, far_build(&f, user, "m.room.member", user, content, auth, n_auth)->json);
	json_del(ev, S("signatures"));
	json_del(ev, S("hashes"));
	json_del(ev, S("event_id"));
	jw_object(&w, NULL);
	jw_str(&w, "room_version", f.rv->id);
	jw_json(&w, "event", ev);
	jw_end(&w);
	return arena_keep(a, buf_str(&b));
}

/* The answer to a join: the state, and everything else as its auth chain. event: STR_NONE, or what came signed along.
 */
static inline str far_join_answer(struct far *f, struct arena *a, str event)
{
	AUTO_BUF b = BUF_INIT((size_t)1 << 30);
	struct jw w = jw_to(&b);
	void *value;
	str key;

	jw_object(&w, NULL);
	jw_array(&w, "servers_in_room");
	jw_end(&w);
	jw_array(&w, "state");
	for (size_t i = 0; map_next(&f->state, &i, &key, &value);)
		jw_raw(&w, NULL, ((struct event *)value)->bytes);
	jw_end(&w);
	jw_array(&w, "auth_chain");
	for (size_t i = 0; i < f->events.n; i++)
		if (event_is_state(f->events.p[i]) &&
		    map_get(&f->state, far_key(f, f->events.p[i]->type, f->events.p[i]->state_key)) != f->events.p[i])
			jw_raw(&w, NULL, f->events.p[i]->bytes);
	jw_end(&w);
	if (!str_is_none(event))
		jw_raw(&w, "event", event);
	jw_end(&w);
	return arena_keep(a, buf_str(&b));
}

/* The event as it came, with far's signature too. */
static inline str scene_cosigned(struct scene *s, struct arena *a, str body)
{
	struct event *ev, *both;

	good(event_parse(a, s->f.rv, body, &ev));
	good(event_sign(a, s->f.rv, ev, &s->f.signer, &both));
	return both->bytes;
}

static inline str scene_body(const struct visit *v)
{
	const char *end = memmem(v->request.p, v->request.n, "\r\n\r\n", 4);

	return (str){ end + 4, (size_t)(v->request.p + v->request.n - end) - 4 };
}

static inline bool scene_answer_kind(struct visit *v, struct arena *a, struct scene *s, str version, str kind, str last)
{
	struct far far = s->f; /* with memory of this thread */
	const str body = scene_body(v);
	const struct event *rules;
	bool restricted;
	struct json *j;

	far.a = a;
	rules = far_current(&far, "m.room.join_rules", S(""));
	restricted = rules && str_eq(json_get_str(rules->content, S("join_rule")), S("restricted"));
	if (str_starts(kind, S("make_")) && !str_is_none(s->template_text))
		return scene_say(v, 200, s->template_text);
	if (str_eq(kind, S("make_join")))
		return scene_say(v, 200, scene_template(s, a, last, "join", restricted));
	if (str_eq(kind, S("make_leave")))
		return scene_say(v, 200, scene_template(s, a, last, "leave", false));
	if (str_eq(kind, S("make_knock")))
		return scene_say(v, 200, scene_template(s, a, last, "knock", false));
	if (str_eq(kind, S("send_join")) && !str_is_none(s->join_answer))
		return scene_say(v, 200, s->join_answer);
	if (str_eq(kind, S("send_join"))) {
		const str event = restricted && !s->no_voucher_signature ? scene_cosigned(s, a, body) : STR_NONE;
		const str answer = far_join_answer(&far, a, event);

		return scene_say(v, 200,
				 str_eq(version, S("v1")) ? arena_printf(a, "[200, %.*s]", STR_ARG(answer)) : answer);
	}
	if (str_eq(kind, S("send_leave")))
		return scene_say(v, 200, S("{}"));
	if (str_eq(kind, S("send_knock")))
		return scene_say(v, 200,
				 arena_printf(a, "{\"knock_room_state\":[%.*s,{\"type\":\"m.room.name\"}]}",
					      STR_ARG(s->f.events.p[0]->bytes)));
	if (str_eq(kind, S("invite"))) {
		good(json_parse(a, body, &json_limits_request, &j));
		if (json_get(j, S("event"))) {
			const str ev = json_get(j, S("event"))->raw;

			return scene_say(v, 200,
					 arena_printf(a, "{\"event\":%.*s}", STR_ARG(scene_cosigned(s, a, ev))));
		}
		json_del(j, S("unsigned"));
		str text;
		good(json_canonical(a, j, JSON_CANON_LOOSE, &text));
		return scene_say(v, 200,
				 arena_printf(a, "[200,{\"event\":%.*s}]", STR_ARG(scene_cosigned(s, a, text))));
	}
	if (str_eq(kind, S("directory")))
		return scene_say(v, 200,
				 arena_printf(a, "{\"room_id\":\"%.*s\",\"servers\":[\"%.*s\"]}", STR_ARG(s->f.room_id),
					      STR_ARG(s->far_name)));
	return scene_say(v, 404, S("{\"errcode\":\"M_UNRECOGNIZED\",\"error\":\"\"}"));
}

static bool scene_answer(struct visit *v)
{
	struct scene *s = on_stage;
	AUTO_ARENA a = arena_new();
	const str host = scene_host(v);
	str rest = path_of(v), piece, parts[8] = { 0 };
	size_t n = 0;

	rest = str_head(rest, str_find(rest, '?'));
	while (n < 8 && str_split_next(&rest, '/', &piece))
		parts[n++] = scene_decode(a, piece);
	if (n > 2 && str_eq(parts[2], S("key")))
		return scene_keys(v, a, s, host);
	if (n < 5)
		return scene_say(v, 404, S("{}"));
	{
		const str kind = str_eq(parts[4], S("query")) ? parts[5] : parts[4];

		lock_take(&s->lock);
		vec_push(s->a, &s->asked, arena_printf(s->a, "%.*s %.*s", STR_ARG(host), STR_ARG(kind)));
		if (str_starts(v->request, S("PUT")))
			s->sent = arena_keep(s->a, scene_body(v));
		s->held++;
		cond_broadcast(&s->cond);
		while (s->hold && (str_eq(kind, S("send_join")) || (s->hold_make && str_eq(kind, S("make_join")))))
			cond_wait(&s->cond, &s->lock);
		s->held--;
		lock_drop(&s->lock);
		for (size_t i = 0; i < ARRAY_LEN(s->no); i++)
			if (s->no[i].status && str_eq(host, str_c(s->no[i].server)) &&
			    str_eq(kind, str_c(s->no[i].part)) &&
			    (!s->no[i].errcode || s->no[i].errcode[0] != 'v' || str_eq(parts[3], S("v2"))))
				return scene_say(v, s->no[i].status,
						 arena_printf(a, "{\"errcode\":\"%s\",\"error\":\"no\"}",
							      s->no[i].errcode && s->no[i].errcode[0] == 'M'
								      ? s->no[i].errcode
								      : "M_UNRECOGNIZED"));
		return scene_answer_kind(v, a, s, parts[3], kind, parts[n - 1]);
	}
}

static inline void scene_open(struct scene *s)
{
	static const struct log quiet;
	struct world *w = s->w;
	const struct fed_options fed = { .client = s->client,
					 .discovery = s->discovery,
					 .store = w->b->st,
					 .log = &quiet,
					 .signer = &w->opt.signer,
					 .nets = &here,
					 .plain = true };
	good(fed_new(w->a, &fed, &s->fed));
	good(key_ring_new(
		w->a,
		&(struct key_ring_options){ .store = w->b->st, .fed = s->fed, .log = &quiet, .own = &w->opt.signer },
		&s->keys));
	s->queries = queries_new(&(struct queries_options){ .fed = s->fed });
	good(remote_new(w->a,
			&(struct remote_options){ .rooms = w->rs,
						  .store = w->b->st,
						  .fed = s->fed,
						  .keys = s->keys,
						  .queries = s->queries,
						  .pool = s->pool,
						  .log = &quiet,
						  .on_piece = s->on_piece,
						  .piece_ctx = s->piece_ctx },
			&s->remote));
}

static inline void scene_close(struct scene *s)
{
	remote_free(&s->remote);
	key_ring_free(&s->keys);
	queries_free(&s->queries);
	fed_free(&s->fed);
}

static inline void scene_begin(struct scene *s, struct world *w, const char *version)
{
	*s = (struct scene){ .w = w, .template_text = STR_NONE, .join_answer = STR_NONE };
	nets_init(NULL);
	log_setup(LOG_ERROR, LOG_TEXT);
	lock_init(&s->lock, RANK_SERVICE);
	cond_init(&s->cond);
	s->a = arena_new();
	s->site = site_open(S("127.0.0.1"), scene_answer);
	s->client = client_with(w->a, (struct client_options){ .resolve = everybody_is_here });
	s->discovery = discovery_new(
		&(struct discovery_options){ .client = s->client, .nets = &here, .plain_port = s->site->port });
	s->pool = pool_new(1);
	s->far_name = arena_printf(w->a, "far.example:%u", s->site->port);
	far_begin(&s->f, w->a, version, arena_cstr(w->a, s->far_name));
	on_stage = s;
	scene_open(s);
}

static inline void scene_end(struct scene *s)
{
	scene_close(s);
	discovery_free(&s->discovery);
	client_stop(s->client);
	client_free(&s->client);
	site_close(s->site);
	pool_free(&s->pool);
	cond_done(&s->cond);
	lock_done(&s->lock);
	arena_free(&s->a);
}

/* As after a restart. */
static inline void scene_restart(struct scene *s)
{
	scene_close(s);
	world_restart(s->w);
	scene_open(s);
}

static inline bool scene_was_asked(struct scene *s, const char *what)
{
	LOCKED(&s->lock);
	for (size_t i = 0; i < s->asked.n; i++)
		if (str_eq(s->asked.p[i], str_c(what)))
			return true;
	return false;
}

/* How often. */
static inline size_t scene_count(struct scene *s, const char *what)
{
	size_t n = 0;

	LOCKED(&s->lock);
	for (size_t i = 0; i < s->asked.n; i++)
		n += str_eq(s->asked.p[i], str_c(what));
	return n;
}

static inline str scene_server(struct scene *s, const char *name)
{
	return arena_printf(s->w->a, "%s:%u", name, s->site->port);
}

/* Joins by way of the servers. */
static inline err *join_via(struct scene *s, struct actor by, str room, const str *via, size_t n)
{
	const struct member_cmd cmd = { .by = by, .room_id = room, .via = via, .n_via = n };
	str id;

	return room_join(s->w->rs, s->w->a, &cmd, &id);
}
static inline err *join_far(struct scene *s, struct actor by) { return join_via(s, by, s->f.room_id, &s->far_name, 1); }

#define SCENE(name, version)                                                                                           \
	static void name##_in(struct scene *s);                                                                        \
	static void name(struct world *w)                                                                              \
	{                                                                                                              \
		struct scene s;                                                                                        \
                                                                                                                       \
		scene_begin(&s, w, version);                                                                           \
		name##_in(&s);                                                                                         \
		scene_end(&s);                                                                                         \
	}                                                                                                              \
	WORLD(name)                                                                                                    \
	static void name##_in(struct scene *s)
