/* synced.h - a world with a sync service, and clients that ask it. Answers are read as JSON. */
#pragma once

#include "room/notified.h"

#include "e2ee/to_device.h"
#include "room/typing.h"
#include "sync/internal_sync.h"

struct synced {
	struct notified n;
	struct world *w;
	struct typing *typing;
	struct e2ee *e2ee;
	struct syncs *ss;
};

static inline void synced_open(struct synced *t, struct world *w)
{
	struct syncs_options opt = { .store = w->b->st, .bus = w->bus, .rooms = w->rs };

	t->w = w;
	notified_open(&t->n, w);
	t->typing = typing_new(w->bus, w->rs);
	opt.users = t->n.us;
	opt.notify = t->n.n;
	opt.typing = t->typing;
	t->e2ee = e2ee_new(&(struct e2ee_options){ .store = w->b->st, .bus = w->bus, .server_name = S("test") });
	opt.e2ee = t->e2ee;
	good(syncs_new(w->a, &opt, &t->ss));
}

/* Closes the store, too. */
static inline void synced_close(struct synced *t)
{
	syncs_free(&t->ss);
	to_device_flush(t->e2ee);
	store_close(&t->w->b->st);
	e2ee_free(&t->e2ee);
	typing_free(&t->typing);
	world_end(t->w);
	notified_close(&t->n);
}

/* As after a restart. */
static inline void synced_restart(struct synced *t)
{
	struct world *w = t->w;

	synced_close(t);
	both_open(w->b);
	world_open(w);
	synced_open(t, w);
}

struct client {
	struct actor by;
	const char *filter; /* JSON with ' for ", or NULL */
	bool state_after, full_state;
	str token; /* STR_NONE: none yet */
};

static inline err *try_sync(struct synced *t, struct client *c, const struct json **out, bool *out_news)
{
	struct world *w = t->w;
	AUTO_BUF b = BUF_INIT(64 << 20);
	struct jw jw = jw_to(&b);
	const struct sync_request rq = {
		.user = c->by.user,
		.user_id = c->by.user_id,
		.device_id = c->by.device_id,
		.since = c->token,
		.filter = c->filter ? js(w->a, c->filter)->raw : STR_NONE,
		.full_state = c->full_state,
		.state_after = c->state_after,
		.max_timeline = 100,
		.now = 1,
	};
	struct sync_answer *answer;
	struct json *json;
	uint64_t seq;

	TRY(sync_v3(t->ss, w->a, &rq, &answer));
	*out_news = sync_answer_has_news(answer, &seq);
	jw_object(&jw, NULL);
	sync_answer_write(answer, &jw);
	jw_end(&jw);
	assert_true(jw_good(&jw));
	TRY(json_parse(w->a, arena_keep(w->a, buf_str(&b)), &json_limits_request, &json));
	*out = json;
	return NULL;
}

/* Asks, and moves the client's token on. */
static inline const struct json *ask(struct synced *t, struct client *c)
{
	const struct json *answer;
	bool news;

	good(try_sync(t, c, &answer, &news));
	c->token = json_get_str(answer, S("next_batch"));
	return answer;
}

/* Statements that an answer cost; the answer must have news, or none. */
static inline uint64_t cost(struct synced *t, struct client *c, bool want_news)
{
	const uint64_t before = store_statements_here();
	const struct json *answer;
	bool news;

	good(try_sync(t, c, &answer, &news));
	ok(news == want_news, "%.*s", (int)MIN(answer->raw.n, 2000), answer->raw.p);
	c->token = json_get_str(answer, S("next_batch"));
	return store_statements_here() - before;
}

/* A room's part of an answer; NULL: not told. */
static inline const struct json *part(const struct json *answer, const char *section, str room_id)
{
	return json_get(json_get(json_get(answer, S("rooms")), str_c(section)), room_id);
}

static inline const struct json *events_of(const struct json *of, const char *where)
{
	return json_get_array(json_get(of, str_c(where)), S("events"));
}

static inline size_t count(const struct json *list) { return list ? list->array.n : 0; }

static inline void synced_run(void (*test)(struct synced *t), bool pg)
{
	struct both b;
	struct world w;
	struct synced t;

	both_begin(&b, pg);
	world_begin(&w, &b);
	synced_open(&t, &w);
	test(&t);
	synced_close(&t);
	both_end(&b);
}

#define SYNCED(name)                                                                                                   \
	static void name##_on_sqlite(void **state)                                                                     \
	{                                                                                                              \
		(void)state;                                                                                           \
		synced_run(name, false);                                                                               \
	}                                                                                                              \
	static void name##_on_pg(void **state)                                                                         \
	{                                                                                                              \
		(void)state;                                                                                           \
		synced_run(name, true);                                                                                \
	}
#define SYNCED_TESTS(name) cmocka_unit_test(name##_on_sqlite), cmocka_unit_test(name##_on_pg)
