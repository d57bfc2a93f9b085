/* Events of other servers, many at once: each with an outcome of its own, and their keys asked for together. */
#include "federation/fake_fed.h"

#include "base/pool.h"
#include "federation/event_check.h"
#include "federation/internal_key_ring.h"

#define ROOM S("!room:a.example")
#define ID43 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

struct made {
	const char *version; /* NULL: 10 */
	const struct host *by;
	const char *sender;                     /* NULL: @u of `by` */
	str room;                               /* STR_NONE: ROOM */
	int64_t at;                             /* 0: NOW */
	const char *type, *state_key, *content; /* NULL: a message */
};

static const struct room_version *version_of(const char *version)
{
	return room_version_find(str_c(version ? version : "10"));
}

static str made_text(struct ring_world *w, struct made m)
{
	struct arena *a = w->b->a;
	const struct signer by = signer_of(m.by);
	const struct room_version *rv = version_of(m.version);
	const bool named = rv->event_format == EVENT_FORMAT_NAMED;
	const str prev = named ? S("$p:a.example") : S("$" ID43), hash = S(ID43);
	struct json *content;
	struct event *ev;

	good(json_parse(a, str_c(m.content ? m.content : "{\"body\":\"x\"}"), &json_limits_event, &content));
	good(event_build(a, rv,
			 &(struct event_fields){
				 .event_id = named ? arena_join2(a, S("$e:"), m.by->name) : STR_NONE,
				 .prev_hashes = named ? &hash : NULL,
				 .auth_hashes = named ? &hash : NULL,
				 .room_id = str_is_none(m.room) ? ROOM : m.room,
				 .sender = m.sender ? str_c(m.sender) : arena_join2(a, S("@u:"), m.by->name),
				 .type = m.type ? str_c(m.type) : S("m.room.message"),
				 .state_key = m.state_key ? str_c(m.state_key) : STR_NONE,
				 .content = content,
				 .redacts = STR_NONE,
				 .origin_server_ts = m.at ? m.at : NOW,
				 .depth = 1,
				 .prev_events = &prev,
				 .auth_events = &prev,
				 .n_prev_events = 1,
				 .n_auth_events = 1,
			 },
			 &by, &ev));
	return ev->bytes;
}

static struct json *tree(struct ring_world *w, str text)
{
	struct json *json;

	good(json_parse(w->b->a, text, &json_limits_event, &json));
	return json;
}

static const struct json *made(struct ring_world *w, struct made m) { return tree(w, made_text(w, m)); }

/* An event whose text has another word for one. */
static const struct json *changed(struct ring_world *w, str text, str from, str to)
{
	const char *at = memmem(text.p, text.n, from.p, from.n);
	const size_t n = (size_t)(at - text.p);

	assert_non_null(at);
	return tree(w, arena_join3(w->b->a, str_head(text, n), to, str_from(text, n + from.n)));
}

static void check(struct ring_world *w, const char *version, struct checked_event *evs, size_t n)
{
	struct pool *pool = pool_new(2);

	events_check(w->k, pool, w->b->a, version_of(version), ROOM, evs, n, soon());
	pool_free(&pool);
}

static const char *outcome(const struct checked_event *ev)
{
	if (ev->event)
		return ev->event->hash_failed ? "redacted" : "good";
	return err_errcode(ev->error->code);
}

/* One bad event is its own affair. */
static void each_has_its_own_outcome(struct both *b)
{
	struct ring_world w;
	struct host *h, *gone, *thief;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	gone = host_add(&w.f, "gone.example", "ed25519:1", 'g');
	thief = host_add(&w.f, "thief.example", "ed25519:1", 't');
	gone->is_down = true;

	const str plain = made_text(&w, (struct made){ .by = h });
	struct {
		const struct json *json;
		const char *wanted;
	} rows[] = {
		{ tree(&w, plain), "good" },
		{ changed(&w, plain, S("\"body\":\"x\""), S("\"body\":\"y\"")), "redacted" },
		{ changed(&w, plain, S("m.room.message"), S("m.room.massage")), "M_FORBIDDEN" },
		{ changed(&w, plain, S("\"depth\":1"), S("\"depth\":\"1\"")), "M_BAD_JSON" },
		{ made(&w, (struct made){ .by = h, .room = S("!other:a.example") }), "M_INVALID_PARAM" },
		{ made(&w, (struct made){ .by = gone }), "M_CONNECTION_FAILED" },
		{ made(&w, (struct made){ .by = thief, .sender = "@u:a.example" }), "M_FORBIDDEN" },
		{ changed(&w, plain, S("\"ed25519:1\":"), S("\"ed25519:2\":")), "M_CONNECTION_FAILED" },
		{ changed(&w, plain, S("\"ed25519:1\":"), S("\"rsa:1\":")), "M_FORBIDDEN" },
		{ changed(&w, plain, S("\"ed25519:1\":\""), S("\"ed25519:1\":\"%")), "M_FORBIDDEN" },
		{ tree(&w, S("[]")), "M_BAD_JSON" },
		/* A third party's invitation is by whoever sends it: nobody's signature is asked for. */
		{ made(&w, (struct made){ .by = gone,
					  .type = "m.room.member",
					  .state_key = "@x:b.example",
					  .content = "{\"membership\":\"invite\",\"third_party_invite\":{}}" }),
		  "good" },
		/* "If the event is not validly signed by the homeserver of the user ID denoted by the key, reject." */
		{ made(&w, (struct made){ .by = h,
					  .type = "m.room.member",
					  .state_key = "@u:a.example",
					  .content = "{\"membership\":\"join\","
						     "\"join_authorised_via_users_server\":\"@y:thief.example\"}" }),
		  "M_FORBIDDEN" },
	};
	struct checked_event evs[ARRAY_LEN(rows)] = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		evs[i].json = rows[i].json;
	check(&w, NULL, evs, ARRAY_LEN(evs));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ok(strcmp(outcome(&evs[i]), rows[i].wanted) == 0, "%zu: %s instead of %s", i, outcome(&evs[i]),
		   rows[i].wanted);
	assert_int_equal(h->asked, 1);
	assert_int_equal(thief->asked, 0);
	/* What is redacted keeps nothing of what was changed. */
	assert_null(json_get(evs[1].event->content, S("body")));
	ring_end(&w);
}

static void a_restricted_join_is_signed_by_two(struct both *b)
{
	struct ring_world w;
	struct host *h, *other;
	struct checked_event ev = { 0 };
	struct json *json;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	other = host_add(&w.f, "b.example", "ed25519:1", 'b');
	json = tree(&w, made_text(&w, (struct made){
					      .by = h,
					      .type = "m.room.member",
					      .state_key = "@u:a.example",
					      .content = "{\"membership\":\"join\","
							 "\"join_authorised_via_users_server\":\"@y:b.example\"}" }));
	const struct signer by = signer_of(other);
	struct json *redacted = redact_event(b->a, version_of(NULL), json);

	good(sign_json(b->a, redacted, &by));
	json_set(b->a, json, S("signatures"), json_get(redacted, S("signatures")));
	ev.json = json;
	check(&w, NULL, &ev, 1);
	assert_string_equal(outcome(&ev), "good");
	assert_int_equal(h->asked + other->asked, 2);
	ring_end(&w);
}

/* v5: "servers MUST enforce the valid_until_ts property from a key request is at least as large as the
 * origin_server_ts" */
static void the_time_of_an_event_counts_from_version_5_on(struct both *b)
{
	static const struct {
		const char *version, *wanted;
	} rows[] = { { "1", "good" }, { "4", "good" }, { "5", "M_FORBIDDEN" }, { "11", "M_FORBIDDEN" } };
	struct ring_world w;
	struct host *h;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct checked_event evs[2] = { 0 };

		evs[0].json = made(&w, (struct made){ .version = rows[i].version, .by = h, .at = h->valid_until + 1 });
		evs[1].json = made(&w, (struct made){ .version = rows[i].version, .by = h, .at = h->valid_until });
		check(&w, rows[i].version, evs, 2);
		ok(strcmp(outcome(&evs[0]), rows[i].wanted) == 0, "%s: %s", rows[i].version, outcome(&evs[0]));
		ok(strcmp(outcome(&evs[1]), "good") == 0, "%s: %s", rows[i].version, outcome(&evs[1]));
	}
	ring_end(&w);
}

static void an_event_newer_than_the_list_makes_it_be_asked_for_anew(struct both *b)
{
	struct ring_world w;
	struct host *h;
	struct checked_event ev = { 0 };

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	ev.json = made(&w, (struct made){ .by = h });
	check(&w, NULL, &ev, 1);
	assert_string_equal(outcome(&ev), "good");
	fake_now = NOW + 2 * DAY;
	h->valid_until = fake_now + DAY;
	check(&w, NULL, &ev, 1);
	assert_int_equal(h->asked, 1);
	ev.json = made(&w, (struct made){ .by = h, .at = fake_now });
	check(&w, NULL, &ev, 1);
	assert_string_equal(outcome(&ev), "good");
	assert_int_equal(h->asked, 2);
	ring_end(&w);
}

/* A policy server signs with a key that nobody publishes; whoever sends events can invent any number of others. */
static void keys_that_nobody_needs_are_not_asked_for(struct both *b)
{
	struct ring_world w;
	struct host *h;
	struct checked_event ev = { 0 };
	const str text[] = { S("\"ed25519:1\":"), S("\"ed25519:0\":\"" ID43 ID43 "\",\"ed25519:1\":") };

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	ev.json = changed(&w, made_text(&w, (struct made){ .by = h }), text[0], text[1]);
	check(&w, NULL, &ev, 1);
	assert_string_equal(outcome(&ev), "good");
	for (int i = 0; i < 20; i++, fake_now++)
		check(&w, NULL, &ev, 1);
	assert_int_equal(h->asked, 1);
	ring_end(&w);
}

static void versions_1_and_2_want_the_ids_server_as_well(struct both *b)
{
	struct ring_world w;
	struct host *h, *other;
	struct checked_event evs[2] = { 0 };

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	other = host_add(&w.f, "b.example", "ed25519:1", 'b');
	evs[0].json = made(&w, (struct made){ .version = "2", .by = h });
	/* Sent by a's user, with an id of b's and b's signature alone. */
	evs[1].json = made(&w, (struct made){ .version = "2", .by = other, .sender = "@u:a.example" });
	check(&w, "2", evs, 2);
	assert_string_equal(outcome(&evs[0]), "good");
	assert_string_equal(outcome(&evs[1]), "M_FORBIDDEN");
	ring_end(&w);
}

/* Of many servers, some of them gone; and the same whether there are threads or not. */
static void many_at_once(struct both *b)
{
	struct checked_event evs[400] = { 0 };
	struct ring_world w;
	size_t n_good = 0;

	ring_begin(&w, b);
	for (int i = 0; i < 20; i++)
		host_add(&w.f, arena_printf(b->a, "%d.example", i).p, "ed25519:1", (char)('a' + i))->is_down =
			i % 5 == 4;
	for (size_t i = 0; i < ARRAY_LEN(evs); i++)
		evs[i].json = made(&w, (struct made){ .by = &w.f.hosts[i % 20], .at = NOW + (int64_t)i });
	check(&w, NULL, evs, ARRAY_LEN(evs));
	for (size_t i = 0; i < ARRAY_LEN(evs); i++) {
		n_good += evs[i].event != NULL;
		ok(strcmp(outcome(&evs[i]), i % 5 == 4 ? "M_CONNECTION_FAILED" : "good") == 0, "%zu: %s", i,
		   outcome(&evs[i]));
	}
	assert_int_equal(n_good, 320);
	for (size_t i = 0; i < w.f.n; i++)
		assert_int_equal(w.f.hosts[i].asked, 1);
	events_check(w.k, NULL, b->a, version_of(NULL), STR_NONE, evs, ARRAY_LEN(evs), soon());
	for (size_t i = 0; i < ARRAY_LEN(evs); i++)
		assert_int_equal(evs[i].event != NULL, i % 5 != 4);
	ring_end(&w);
}

BOTH(each_has_its_own_outcome)
BOTH(a_restricted_join_is_signed_by_two)
BOTH(the_time_of_an_event_counts_from_version_5_on)
BOTH(an_event_newer_than_the_list_makes_it_be_asked_for_anew)
BOTH(keys_that_nobody_needs_are_not_asked_for)
BOTH(versions_1_and_2_want_the_ids_server_as_well)
BOTH(many_at_once)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(each_has_its_own_outcome),
		BOTH_TESTS(a_restricted_join_is_signed_by_two),
		BOTH_TESTS(the_time_of_an_event_counts_from_version_5_on),
		BOTH_TESTS(an_event_newer_than_the_list_makes_it_be_asked_for_anew),
		BOTH_TESTS(keys_that_nobody_needs_are_not_asked_for),
		BOTH_TESTS(versions_1_and_2_want_the_ids_server_as_well),
		BOTH_TESTS(many_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
