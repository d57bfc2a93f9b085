/* Events: hashes, signatures, ids, formats, redaction, and everything a peer can do to one. */
#include "matrix/fixture.h"
#include "matrix/vectors.h"

#define ID43 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static const struct room_version *rv(const char *id) { return room_version_find(str_c(id)); }

/* --- the specification's own vectors: appendix "Cryptographic Test Vectors" --- */

static void signs_json_as_the_specification_does(void **state)
{
	static const struct {
		const char *json, *signature;
	} cases[] = {
		{ "{}", "K8280/U9SSy9IVtjBuVeLr+HpOB4BQFWbg+UZaADMtTdGYI7Geitb76LTrr5QV/7Xg4ahLwYGYZzuHGZKM5ZAQ" },
		{ "{\"one\":1,\"two\":\"Two\"}",
		  "KqmLSbO39/Bzb0QIYE82zqLwsA+PDzYIpIRA2sRQ4sL53+sN6/fpNSoqE7BP7vBZhG6kYdD13EIMJpvhJI+6Bw" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct json *j = parse(cases[i].json);

		must(sign_json(A, j, &SIGNER));
		assert_str(json_get_str(json_get(json_get(j, S("signatures")), S("domain")), S("ed25519:1")),
			   str_c(cases[i].signature));
		assert_true(sign_verify(A, j, S("domain"), S("ed25519:1"), KEY.public_key));
		assert_true(sign_is_by(j, S("domain")));
		assert_false(sign_is_by(j, S("other")));
		/* What is unsigned may change, what is signed may not; nobody else has signed. */
		json_set(A, j, S("unsigned"), parse("{\"age\":1}"));
		assert_true(sign_verify(A, j, S("domain"), S("ed25519:1"), KEY.public_key));
		assert_false(sign_verify(A, j, S("other"), S("ed25519:1"), KEY.public_key));
		assert_false(sign_verify(A, j, S("domain"), S("ed25519:2"), KEY.public_key));
		json_set(A, j, S("one"), json_new_int(A, 2));
		assert_false(sign_verify(A, j, S("domain"), S("ed25519:1"), KEY.public_key));
	}
}

static void a_second_signature_leaves_the_first(void **state)
{
	const struct signer other = { S("other"), S("ed25519:x"), &KEY };
	const struct signer newer = { S("domain"), S("ed25519:2"), &KEY };
	struct json *j = parse("{\"a\":1}");

	(void)state;
	must(sign_json(A, j, &SIGNER));
	must(sign_json(A, j, &other));
	must(sign_json(A, j, &newer));
	assert_true(sign_verify(A, j, S("domain"), S("ed25519:1"), KEY.public_key));
	assert_true(sign_verify(A, j, S("domain"), S("ed25519:2"), KEY.public_key));
	assert_true(sign_verify(A, j, S("other"), S("ed25519:x"), KEY.public_key));
}

static void hashes_and_signs_events_as_the_specification_does(void **state)
{
	const struct json *events =
		json_get_array(parse(arena_cstr(A, slurp("tests/vectors/signing.json"))), S("events"));

	(void)state;
	assert_int_equal(events->array.n, 2);
	JSON_ITEMS (events, i) {
		const struct json *wanted = json_get(events->array.items[i], S("signed"));
		struct json *j = json_copy(A, json_get(events->array.items[i], S("given")));
		struct json *hashes = json_new_object(A), *redacted;
		uint8_t hash[32];

		must(event_content_hash(A, j, hash));
		json_set(A, hashes, S("sha256"), json_new_str(A, b64_encode(A, (str){ (const char *)hash, 32 })));
		json_set(A, j, S("hashes"), hashes);
		redacted = redact_event(A, rv("1"), j);
		must(sign_json(A, redacted, &SIGNER));
		json_set(A, j, S("signatures"), json_get(redacted, S("signatures")));
		json_del(j, S("unsigned"));
		struct json *whole = json_copy(A, wanted);

		json_del(whole, S("unsigned"));
		assert_str(canonical(j), canonical(whole));
	}
}

/* --- building --- */

static struct event_fields message(const char *content)
{
	static const str ids[] = { STR("$" ID43) };

	return (struct event_fields){
		.room_id = S("!r:domain"),
		.sender = S("@a:domain"),
		.type = S("m.room.message"),
		.content = parse(content),
		.origin_server_ts = 1,
		.depth = 2,
		.prev_events = ids,
		.n_prev_events = 1,
		.auth_events = ids,
		.n_auth_events = 1,
	};
}

/* The same for any version. */
static struct event_fields message_in(const struct room_version *v, const char *content)
{
	static const str named[] = { STR("$a:domain") }, hashes[] = { STR(ID43) };
	struct event_fields f = message(content);

	if (v->room_id_is_create_hash)
		f.room_id = S("!" ID43);
	if (v->event_format == EVENT_FORMAT_NAMED) {
		f.event_id = S("$event:domain");
		f.prev_events = f.auth_events = named;
		f.prev_hashes = f.auth_hashes = hashes;
	}
	return f;
}

static void a_built_event_reads_back_the_same(void **state)
{
	struct event_fields f =
		message("{\"body\":\"\\u0001\\u001f\\b\\\"\\\\/\\u00e9\\u007f\",\"b\":{\"z\":1,\"a\":[]}}");
	struct event *ev, *stored, *received;

	(void)state;
	f.type = S("odd \"type\"\n\x01 \xc3\xa9");
	f.state_key = S("");
	must(event_build(A, rv("11"), &f, &SIGNER, &ev));
	assert_str(ev->bytes, canonical(ev->json));
	assert_str(ev->type, f.type);
	assert_str(ev->state_key, S(""));
	assert_str(ev->room_id, S("!r:domain"));
	assert_int_equal(ev->depth, 2);
	assert_int_equal(ev->n_prev_events, 1);
	assert_str(ev->auth_events[0], S("$" ID43));
	assert_true(event_is_state(ev));
	assert_int_equal(ev->nid, 0);
	must(event_load(A, rv("11"), ev->event_id, ev->bytes, &stored));
	assert_str(stored->type, ev->type);
	assert_true(json_equal(stored->json, ev->json));
	must(event_parse(A, rv("11"), ev->bytes, &received));
	assert_str(received->event_id, ev->event_id);
	assert_str(received->bytes, ev->bytes);
	assert_false(received->hash_failed);
	assert_true(event_verify(A, rv("11"), received, S("domain"), S("ed25519:1"), KEY.public_key));
}

static void a_version_12_room_is_named_by_its_create_event(void **state)
{
	struct event_fields f = message("{\"room_version\":\"12\"}");
	struct event *create, *back, *join;

	(void)state;
	f.type = S("m.room.create");
	f.state_key = S("");
	assert_non_null(event_build(A, rv("12"), &f, &SIGNER, &create)); /* with a room_id */
	f.room_id = STR_NONE;
	assert_non_null(event_build(A, rv("11"), &f, &SIGNER, &create)); /* without one */
	f.n_prev_events = f.n_auth_events = 0;
	must(event_build(A, rv("12"), &f, &SIGNER, &create));
	assert_null(json_get(create->json, S("room_id")));
	assert_int_equal(create->room_id.p[0], '!');
	assert_str(str_from(create->room_id, 1), str_from(create->event_id, 1));
	assert_int_equal(create->event_id.n, 44);
	must(event_parse(A, rv("12"), create->bytes, &back));
	assert_str(back->room_id, create->room_id);
	f = message("{\"membership\":\"join\"}");
	f.room_id = create->room_id;
	must(event_build(A, rv("12"), &f, &SIGNER, &join));
	assert_str(json_get_str(join->json, S("room_id")), create->room_id);
}

static void redacts_stands_where_the_version_wants_it(void **state)
{
	struct event_fields f = message("{\"reason\":\"x\"}");
	struct event *ev;

	(void)state;
	f.type = S("m.room.redaction");
	f.redacts = S("$t");
	must(event_build(A, rv("10"), &f, &SIGNER, &ev));
	assert_str(ev->redacts, S("$t"));
	assert_str(json_get_str(ev->json, S("redacts")), S("$t"));
	assert_null(json_get(ev->content, S("redacts")));
	must(event_build(A, rv("11"), &f, &SIGNER, &ev));
	assert_str(ev->redacts, S("$t"));
	assert_null(json_get(ev->json, S("redacts")));
	assert_str(json_get_str(ev->content, S("redacts")), S("$t"));
	/* Version 11 keeps it under redaction, version 10 does not; a message's redacts means nothing. */
	must(event_redact(A, rv("11"), ev, &ev->bytes));
	must(event_load(A, rv("11"), ev->event_id, ev->bytes, &ev));
	assert_str(ev->redacts, S("$t"));
	f = message("{\"redacts\":\"$t\"}");
	must(event_build(A, rv("11"), &f, &SIGNER, &ev));
	assert_true(str_is_none(ev->redacts));
}

static str repeat(char c, size_t n)
{
	char *p = arena_alloc(A, n + 1);

	memset(p, c, n);
	p[n] = '\0';
	return (str){ p, n };
}

/* A damaged store is not read over. */
/* Whoever reads it does not look at them, and who makes it may not have all of them. */
static void a_reference_may_lack_its_hash(void **state)
{
	static const str some[] = { { NULL, 0 } };
	struct event_fields f = message_in(rv("1"), "{}");
	struct event *ev, *received;

	(void)state;
	f.auth_hashes = some;
	must(event_build(A, rv("1"), &f, &SIGNER, &ev));
	assert_str(canonical(json_get(ev->json, S("auth_events"))), S("[[\"$a:domain\",{}]]"));
	must(event_parse(A, rv("1"), ev->bytes, &received));
	assert_str(received->auth_events[0], S("$a:domain"));
}

static void loads_only_what_was_stored(void **state)
{
	static const char *const damaged[] = {
		"{\"auth_events\":[],\"content\":{},\"room_id\":\"!r:d\",\"sender\":\"@a:d\",\"type\":\"x\"}",
		"{\"content\":{},\"prev_events\":[],\"room_id\":\"!r:d\",\"sender\":\"@a:d\",\"type\":\"x\"}",
		"{\"auth_events\":[],\"content\":{},\"prev_events\":[],\"room_id\":\"!r:d\",\"sender\":\"@a:d\","
		"\"state_key\":1,\"type\":\"x\"}",
	};
	const struct event_fields f = message_in(rv("1"), "{}");
	struct event *ev, *loaded;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(damaged); i++)
		ok(event_load(A, rv("11"), S("$" ID43), str_c(damaged[i]), &loaded) != NULL, "%s", damaged[i]);
	must(event_build(A, rv("1"), &f, &SIGNER, &ev));
	must(event_load(A, rv("1"), ev->event_id, ev->bytes, &loaded));
	ok(event_load(A, rv("1"), S("$another:domain"), ev->bytes, &loaded) != NULL, "the row of another event");
}

static void refuses_to_build_what_others_would_refuse(void **state)
{
	struct event *ev;
	struct event_fields f;
	const err *e;

#define REFUSED(content, change, error)                                                                                \
	do {                                                                                                           \
		f = message(content);                                                                                  \
		change;                                                                                                \
		e = event_build(A, rv("11"), &f, &SIGNER, &ev);                                                        \
		ok(e && e->code == (error), "%s with %s", content, #change);                                           \
	} while (0)
	(void)state;
	REFUSED("{\"a\":1.0}", (void)0, ERR_BAD_JSON);
	REFUSED("{\"a\":1e2}", (void)0, ERR_BAD_JSON);
	REFUSED("{\"a\":9007199254740992}", (void)0, ERR_BAD_JSON);
	REFUSED("{\"a\":-9007199254740992}", (void)0, ERR_BAD_JSON);
	REFUSED("{\"a\":{\"b\":[184467440737095516160]}}", (void)0, ERR_BAD_JSON);
	REFUSED("{\"a\":1,\"a\":1}", (void)0, ERR_BAD_JSON);
	REFUSED("[]", (void)0, ERR_BAD_JSON);
	REFUSED("{}", f.sender = S("a:domain"), ERR_INVALID_PARAM);
	REFUSED("{}", f.sender = S("@a"), ERR_INVALID_PARAM);
	REFUSED("{}", f.room_id = S("r:domain"), ERR_INVALID_PARAM);
	REFUSED("{}", f.type = repeat('t', 256), ERR_TOO_LARGE);
	REFUSED("{}", f.state_key = repeat('t', 256), ERR_TOO_LARGE);
	REFUSED("{}", f.origin_server_ts = INT64_MAX, ERR_BAD_JSON);
	REFUSED("{}", f.origin_server_ts = INT64_MIN, ERR_BAD_JSON);
#undef REFUSED
	f = message_in(rv("1"), "{}");
	f.event_id = S("$" ID43);
	e = event_build(A, rv("1"), &f, &SIGNER, &ev);
	ok(e && e->code == ERR_INVALID_PARAM, "an event_id without a domain in version 1");
	f = message("{}");
	f.type = repeat('t', 255);
	f.state_key = repeat('k', 255);
	must(event_build(A, rv("11"), &f, &SIGNER, &ev));
}

static void an_event_is_65536_bytes_at_most(void **state)
{
	struct event_fields f = message("{}");
	struct json *content = json_new_object(A);
	struct event *ev, *back;
	const err *e;
	size_t frame;

	(void)state;
	json_set(A, content, S("b"), json_new_str(A, S("")));
	f.content = content;
	must(event_build(A, rv("11"), &f, &SIGNER, &ev));
	frame = ev->bytes.n;
	json_set(A, content, S("b"), json_new_str(A, repeat('x', 65536 - frame)));
	must(event_build(A, rv("11"), &f, &SIGNER, &ev));
	assert_int_equal(ev->bytes.n, 65536);
	must(event_parse(A, rv("11"), ev->bytes, &back));
	/* White space and what is unsigned do not count. */
	must(event_parse(A, rv("11"),
			 arena_join3(A, S("{ \n \"unsigned\": {\"age\": 12345}, "), str_from(ev->bytes, 1), S("\n")),
			 &back));
	assert_str(back->bytes, ev->bytes);

	/* Nor is a larger one taken as its redacted copy. */
	e = event_parse(A, rv("11"), arena_join2(A, S("{\"a\":1,"), str_from(ev->bytes, 1)), &back);
	assert_true(e && e->code == ERR_TOO_LARGE);
	e = event_parse(A, rv("11"), arena_join2(A, ev->bytes, repeat(' ', 8 * 65536)), &back);
	assert_true(e && e->code == ERR_TOO_LARGE);

	json_set(A, content, S("b"), json_new_str(A, repeat('x', 65537 - frame)));
	e = event_build(A, rv("11"), &f, &SIGNER, &ev);
	assert_true(e && e->code == ERR_TOO_LARGE);
	/* Quotes double their size. */
	json_set(A, content, S("b"), json_new_str(A, repeat('"', 40000)));
	e = event_build(A, rv("11"), &f, &SIGNER, &ev);
	assert_true(e && e->code == ERR_TOO_LARGE);
	json_set(A, content, S("b"), json_new_str(A, repeat('x', 1000000)));
	e = event_build(A, rv("11"), &f, &SIGNER, &ev);
	assert_true(e && e->code == ERR_TOO_LARGE);
}

/* --- receiving (R30, R31: one bad event is refused alone) --- */

/* A good event with one member replaced; NULL takes it away. */
static struct json *good_but(const char *version, const char *key, const char *value)
{
	struct event_fields f = message_in(rv(version), "{\"body\":\"hi\"}");
	struct event *ev;

	must(event_build(A, rv(version), &f, &SIGNER, &ev));
	struct json *j = json_copy(A, ev->json);

	if (value)
		json_set(A, j, str_c(key), parse(value));
	else
		json_del(j, str_c(key));
	return j;
}

#define IDS10 "\"$1\",\"$2\",\"$3\",\"$4\",\"$5\",\"$6\",\"$7\",\"$8\",\"$9\",\"$10\""
#define PAIR  "[\"$a:b\",{\"sha256\":\"x\"}]"
#define PAIR5 PAIR "," PAIR "," PAIR "," PAIR "," PAIR

/* Which versions refuse it: from the first to the last. */
static const struct {
	const char *key, *value;
	unsigned from, to;
} wrong_forms[] = {
	{ "type", NULL, 1, 12 },
	{ "type", "null", 1, 12 },
	{ "type", "1", 1, 12 },
	{ "sender", NULL, 1, 12 },
	{ "sender", "\"a:b\"", 1, 12 },
	{ "sender", "\"@a\"", 1, 12 },
	{ "sender", "\"@a:b c\"", 1, 12 },
	{ "sender", "\"@a\\u0000:b\"", 1, 12 },
	{ "sender", "{}", 1, 12 },
	{ "room_id", NULL, 1, 12 },
	{ "room_id", "\"r\"", 1, 12 },
	{ "room_id", "[]", 1, 12 },
	{ "room_id", "\"!" ID43 "\"", 1, 11 },
	{ "state_key", "null", 1, 12 },
	{ "state_key", "0", 1, 12 },
	{ "content", NULL, 1, 12 },
	{ "content", "\"{}\"", 1, 12 },
	{ "content", "[]", 1, 12 },
	/* No double is near: canonicaljson refuses it, too. */
	{ "content", "{\"a\":1e400}", 1, 12 },
	{ "content", "{\"a\":1.5}", 6, 12 },
	{ "content", "{\"a\":1e2}", 6, 12 },
	{ "content", "{\"a\":-9007199254740992}", 6, 12 },
	{ "content", "{\"a\":184467440737095516160}", 6, 12 },
	{ "content", "{\"a\":1,\"a\":2}", 6, 12 },
	{ "origin_server_ts", NULL, 1, 12 },
	{ "origin_server_ts", "\"1\"", 1, 12 },
	{ "origin_server_ts", "1.0", 1, 12 },
	{ "origin_server_ts", "9007199254740992", 6, 12 },
	{ "depth", NULL, 1, 12 },
	{ "depth", "\"5\"", 1, 12 },
	{ "depth", "5.0", 1, 12 },
	{ "depth", "1e2", 1, 12 },
	{ "depth", "1e400", 1, 12 },
	{ "depth", "null", 1, 12 },
	{ "depth", "9007199254740992", 6, 12 },
	{ "depth", "9223372036854775807", 6, 12 },
	{ "depth", "18446744073709551616", 6, 12 },
	{ "hashes", NULL, 1, 12 },
	{ "hashes", "{}", 1, 12 },
	{ "hashes", "{\"sha256\":1}", 1, 12 },
	{ "signatures", NULL, 1, 12 },
	{ "signatures", "[]", 1, 12 },
	{ "signatures", "{\"domain\":[]}", 1, 12 },
	{ "signatures", "{\"domain\":{\"ed25519:1\":{}}}", 1, 12 },
	{ "event_id", NULL, 1, 2 },
	{ "event_id", "\"$x\"", 1, 12 },
	{ "event_id", "\"x:domain\"", 1, 12 },
	{ "event_id", "\"$x:do main\"", 1, 12 },
	{ "event_id", "1", 1, 12 },
	{ "event_id", "\"$x:domain\"", 3, 12 },
	{ "prev_events", NULL, 1, 12 },
	{ "prev_events", "{}", 1, 12 },
	{ "prev_events", "[1]", 1, 12 },
	{ "prev_events", "[\"\"]", 1, 12 },
	{ "prev_events", "[\"$a\"]", 1, 2 },
	{ "prev_events", "[[\"$a:b\"]]", 1, 12 },
	{ "prev_events", "[[\"$a:b\",1]]", 1, 12 },
	{ "prev_events", "[[{\"sha256\":\"x\"},\"$a:b\"]]", 1, 12 },
	{ "prev_events", "[[\"$a:b\",{\"sha256\":\"x\"},{}]]", 1, 12 },
	{ "prev_events", "[" PAIR "]", 3, 12 },
	{ "prev_events", "[" IDS10 "," IDS10 ",\"$21\"]", 1, 12 },
	{ "prev_events", "[" PAIR5 "," PAIR5 "," PAIR5 "," PAIR5 "," PAIR "]", 1, 12 },
	{ "prev_events", "[" PAIR5 "," PAIR5 "," PAIR5 "," PAIR5 "]", 3, 12 },
	{ "prev_events", "[" IDS10 "," IDS10 "]", 1, 2 },
	{ "auth_events", NULL, 1, 12 },
	{ "auth_events", "[null]", 1, 12 },
	{ "auth_events", "[" IDS10 ",\"$11\"]", 1, 12 },
	{ "auth_events", "[" IDS10 "]", 1, 2 },
	{ "auth_events", "[" PAIR5 "," PAIR5 "," PAIR "]", 1, 12 },
	{ "auth_events", "[" PAIR5 "," PAIR5 "]", 3, 12 },
	{ "extra", "1.5", 6, 12 },
	/* What is not signed is not asked for its form. */
	{ "unsigned", "{\"a\":[1.5,1e400],\"b\":1,\"b\":2}", 0, 0 },
	{ "unsigned", "1e400", 0, 0 },
	{ "redacts", "1", 0, 0 },
	{ "membership", "{}", 0, 0 },
	{ "prev_state", "1", 0, 0 },
	{ "origin", "null", 0, 0 },
	{ "type", "\"\"", 0, 0 },
	{ "hashes", "{\"sha256\":\"\"}", 0, 0 },
	{ "signatures", "{}", 0, 0 },
};

static void refuses_events_of_a_wrong_form(void **state)
{
	struct event *ev;

	(void)state;
	for (size_t n = 0; room_version_at(n); n++) {
		const struct room_version *v = room_version_at(n);
		const char *version = arena_cstr(A, v->id);

		must(event_parse_json(A, v, good_but(version, "unsigned", "{}"), &ev));
		assert_false(ev->hash_failed);
		for (size_t i = 0; i < ARRAY_LEN(wrong_forms); i++) {
			const char *key = wrong_forms[i].key, *value = wrong_forms[i].value;
			const bool refused = v->number >= wrong_forms[i].from && v->number <= wrong_forms[i].to;
			const err *e = event_parse_json(A, v, good_but(version, key, value), &ev);

			ok((e != NULL) == refused && (!e || e->code == ERR_BAD_JSON), "v%s: %s = %s", version, key,
			   value ? value : "(absent)");
		}
	}
}

/* "Size limits": bytes, not characters, in every version. */
static void fields_have_255_bytes_at_most(void **state)
{
	static const struct {
		const char *key, *before, *after;
		unsigned to;
	} fields[] = {
		{ "type", "", "", 12 },
		{ "state_key", "", "", 12 },
		{ "sender", "@", ":domain", 12 },
		{ "room_id", "!", ":domain", 12 },
		{ "event_id", "$", ":domain", 2 },
	};
	struct event *ev;

	(void)state;
	for (size_t n = 0; room_version_at(n); n++) {
		for (size_t i = 0; i < ARRAY_LEN(fields) && room_version_at(n)->number <= fields[i].to; i++) {
			const struct room_version *v = room_version_at(n);
			const str before = str_c(fields[i].before), after = str_c(fields[i].after);
			const size_t room = 255 - before.n - after.n;
			const str most = arena_join3(A, before, repeat('x', room), after);
			const str more = arena_join3(A, before, repeat('x', room + 1), after);
			const str wide =
				arena_join3(A, before, arena_join2(A, repeat('x', room - 1), S("\xc3\xa9")), after);
			const char *version = arena_cstr(A, v->id), *key = fields[i].key;

#define WITH(text) good_but(version, key, arena_cstr(A, arena_join3(A, S("\""), text, S("\""))))
			must(event_parse_json(A, v, WITH(most), &ev));
			ok(event_parse_json(A, v, WITH(more), &ev) != NULL, "v%s: %s of 256 bytes", version, key);
			ok(event_parse_json(A, v, WITH(wide), &ev) != NULL, "v%s: %s of 255 letters", version, key);
#undef WITH
		}
	}
}

/* R30: depth and time are peers' words. */
static void takes_any_depth_and_time_that_json_can_hold(void **state)
{
	static const struct {
		const char *text;
		int64_t held;
		unsigned to; /* the last version that takes it */
	} numbers[] = {
		{ "0", 0, 12 },
		{ "-0", 0, 12 },
		{ "-1", -1, 12 },
		{ "9007199254740991", 9007199254740991, 12 },
		{ "-9007199254740991", -9007199254740991, 12 },
		{ "9007199254740992", 9007199254740992, 5 },
		{ "9223372036854775807", INT64_MAX, 5 },
		{ "9223372036854775808", INT64_MAX, 5 },
		{ "-9223372036854775809", INT64_MIN, 5 },
		{ "123456789012345678901234567890", INT64_MAX, 5 },
	};
	struct event *ev;

	(void)state;
	for (size_t n = 0; room_version_at(n); n++) {
		for (size_t i = 0; i < ARRAY_LEN(numbers) && room_version_at(n)->number <= numbers[i].to; i++) {
			const struct room_version *v = room_version_at(n);
			const char *version = arena_cstr(A, v->id), *text = numbers[i].text;

			must(event_parse_json(A, v, good_but(version, "depth", text), &ev));
			assert_int_equal(ev->depth, numbers[i].held);
			must(event_parse_json(A, v, good_but(version, "origin_server_ts", text), &ev));
			assert_int_equal(ev->origin_server_ts, numbers[i].held);
			assert_true(ev->hash_failed); /* it was changed after hashing */
			/* The bytes say what was said. */
			if (!str_eq(str_c(text), S("-0")))
				assert_true(str_contains(ev->bytes, arena_printf(A, "\"origin_server_ts\":%s,", text)));
			must(event_load(A, v, ev->event_id, ev->bytes, &ev));
			assert_int_equal(ev->origin_server_ts, numbers[i].held);
		}
	}
	assert_int_equal(event_depth_after(0), 1);
	assert_int_equal(event_depth_after(41), 42);
	assert_int_equal(event_depth_after(-7), 1);
	assert_int_equal(event_depth_after(INT64_MIN), 1);
	assert_int_equal(event_depth_after(EVENT_MAX_DEPTH - 1), EVENT_MAX_DEPTH);
	assert_int_equal(event_depth_after(EVENT_MAX_DEPTH), EVENT_MAX_DEPTH);
	assert_int_equal(event_depth_after(INT64_MAX), EVENT_MAX_DEPTH);
}

static void refuses_text_that_is_no_event(void **state)
{
	static const struct {
		str text;
		enum err_code code;
	} cases[] = {
		{ STR(""), ERR_NOT_JSON },
		{ STR("{"), ERR_NOT_JSON },
		{ STR("{\"a\":NaN}"), ERR_NOT_JSON },
		{ STR("{\"a\":Infinity}"), ERR_NOT_JSON },
		{ STR("{\"a\":\"\xff\"}"), ERR_NOT_JSON },
		{ STR("{\"a\":\"\\ud800\"}"), ERR_NOT_JSON },
		{ STR("[]"), ERR_BAD_JSON },
		{ STR("null"), ERR_BAD_JSON },
		{ STR("\"\""), ERR_BAD_JSON },
		{ STR("{}"), ERR_BAD_JSON },
	};
	struct event *ev;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const err *e = event_parse(A, rv("12"), cases[i].text, &ev);

		ok(e && e->code == cases[i].code, "%.*s", STR_ARG(cases[i].text));
	}
	/* Deep, but an event all the same; deeper than that is refused, not recursed into. */
	const str open = repeat('[', 5000), close = repeat(']', 5000);
	const str deep =
		arena_join3(A, S("{\"a\":"), arena_join2(A, str_head(open, 500), str_head(close, 500)), S("}"));
	const str too_deep = arena_join3(A, S("{\"a\":"), arena_join2(A, open, close), S("}"));
	struct event_fields f = message(arena_cstr(A, deep));

	must(event_build(A, rv("12"), &f, &SIGNER, &ev));
	must(event_parse(A, rv("12"), ev->bytes, &ev));
	assert_non_null(event_parse(A, rv("12"), too_deep, &ev));
}

static void a_changed_event_becomes_its_redacted_copy(void **state)
{
	struct event *original, *ev, *again;
	struct event_fields f = message("{\"membership\":\"join\",\"displayname\":\"A\"}");
	struct json *j;

	(void)state;
	f.type = S("m.room.member");
	f.state_key = S("@a:domain");
	must(event_build(A, rv("11"), &f, &SIGNER, &original));
	j = json_copy(A, original->json);
	json_set(A, j, S("content"), parse("{\"membership\":\"join\",\"displayname\":\"Mallory\"}"));
	must(event_parse_json(A, rv("11"), j, &ev));
	assert_true(ev->hash_failed);
	assert_str(ev->event_id, original->event_id);
	assert_str(canonical(ev->content), S("{\"membership\":\"join\"}"));
	assert_true(event_verify(A, rv("11"), ev, S("domain"), S("ed25519:1"), KEY.public_key));
	/* The copy is what redacting the original would have given; received itself, it stays what it is. */
	must(event_redact(A, rv("11"), original, &original->bytes));
	assert_str(ev->bytes, original->bytes);
	must(event_parse(A, rv("11"), ev->bytes, &again));
	assert_str(again->bytes, ev->bytes);
	assert_str(again->event_id, ev->event_id);
	/* What redaction keeps cannot be changed unseen: another id, and no signature. */
	json_set(A, j, S("content"), parse("{\"membership\":\"leave\"}"));
	must(event_parse_json(A, rv("11"), j, &ev));
	assert_false(str_eq(ev->event_id, original->event_id));
	assert_false(event_verify(A, rv("11"), ev, S("domain"), S("ed25519:1"), KEY.public_key));
}

static void names_the_servers_that_must_have_signed(void **state)
{
#define RESTRICTED(user) "{\"membership\":\"join\",\"join_authorised_via_users_server\":" user "}"
	static const struct {
		const char *version, *type, *event_id, *content;
		const char *servers; /* one space between; -: the empty name */
	} cases[] = {
		{ "11", "m.room.message", "$x", "{}", "domain" },
		{ "11", "m.room.member", "$x", "{\"membership\":\"join\"}", "domain" },
		{ "11", "m.room.member", "$x", RESTRICTED("\"@x:other\""), "domain other" },
		{ "11", "m.room.member", "$x", RESTRICTED("\"@x:domain\""), "domain" },
		{ "8", "m.room.member", "$x", RESTRICTED("\"@x:other\""), "domain other" },
		{ "7", "m.room.member", "$x", RESTRICTED("\"@x:other\""), "domain" },
		{ "1", "m.room.member", "$x:domain", RESTRICTED("\"@x:other\""), "domain" },
		/* Nobody can sign for a user who is none. */
		{ "8", "m.room.member", "$x", RESTRICTED("\"other\""), "domain -" },
		{ "8", "m.room.member", "$x", RESTRICTED("null"), "domain -" },
		{ "11", "m.room.member", "$x", "{\"membership\":\"invite\",\"third_party_invite\":{}}", "" },
		{ "11", "m.room.member", "$x", "{\"membership\":\"join\",\"third_party_invite\":{}}", "domain" },
		{ "11", "m.room.member", "$x", "{\"membership\":\"invite\"}", "domain" },
		{ "11", "m.room.message", "$x",
		  "{\"third_party_invite\":{},\"join_authorised_via_users_server\":\"@x:other\"}", "domain" },
		{ "1", "m.room.message", "$x:elsewhere:80", "{}", "domain elsewhere:80" },
		{ "2", "m.room.message", "$x:elsewhere", "{}", "domain elsewhere" },
		{ "2", "m.room.message", "$x:domain", "{}", "domain" },
		{ "3", "m.room.message", "$x:elsewhere", "{}", "domain" },
		{ "2", "m.room.member", "$x:elsewhere", "{\"membership\":\"invite\",\"third_party_invite\":{}}",
		  "elsewhere" },
	};
#undef RESTRICTED

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct event ev = { .type = str_c(cases[i].type),
					  .event_id = str_c(cases[i].event_id),
					  .sender = S("@a:domain"),
					  .state_key = S("@a:domain"),
					  .content = parse(cases[i].content) };
		str servers[EVENT_MAX_SIGNERS], rest = str_c(cases[i].servers), server;
		const size_t n = event_signers(rv(cases[i].version), &ev, servers);
		size_t wanted = 0;

		while (rest.n && str_split_next(&rest, ' ', &server)) {
			ok(wanted < n && str_eq(servers[wanted], str_eq(server, S("-")) ? S("") : server),
			   "row %zu: %.*s", i, STR_ARG(server));
			wanted++;
		}
		ok(n == wanted, "row %zu: %zu servers", i, n);
	}
}

/* What must hold of any event that is taken, whatever it is: it reads back as itself, and redaction is idempotent and
 * keeps its id. */
static void keeps_its_invariants(const struct room_version *v, const struct event *ev)
{
	struct event *again, *redacted;
	str once, twice;

	must(event_parse(A, v, ev->bytes, &again));
	assert_str(again->event_id, ev->event_id);
	assert_str(again->bytes, ev->bytes);
	assert_true(ev->bytes.n <= EVENT_MAX_BYTES);
	must(event_redact(A, v, ev, &once));
	must(event_load(A, v, ev->event_id, once, &redacted));
	must(event_redact(A, v, redacted, &twice));
	assert_str(twice, once);
	must(event_parse(A, v, once, &again));
	assert_str(again->event_id, ev->event_id);
	assert_str(again->room_id, ev->room_id);
}

/* The events of the vectors as they are sent, with their hashes and signatures. */
static const str *events_as_sent(const struct room_version **out_versions[], size_t *out_n)
{
	const struct json *events = json_get(parse(arena_cstr(A, slurp("tests/vectors/events.json"))), S("events"));
	str *texts = ARENA_ARRAY(A, str, events->array.n);

	*out_versions = ARENA_ARRAY(A, const struct room_version *, events->array.n);
	*out_n = events->array.n;
	JSON_ITEMS (events, i) {
		struct event *ev;

		(*out_versions)[i] = room_version_find(json_get_str(events->array.items[i], S("room_version")));
		must(event_parse_json(A, (*out_versions)[i], vector_event(events->array.items[i]), &ev));
		texts[i] = ev->bytes;
	}
	return texts;
}

static void damaged_events_are_refused_or_sound(void **state)
{
	static const char *const spare[] = { "{}",      "[]",   "null",     "-1",
					     "1e9",     "\"\"", "\"@a:b\"", "9007199254740992",
					     "\\u0000", "\xff", "1.50",     "5e-324" };
	const struct room_version **versions;
	struct arena *keep = A;
	uint64_t seed = 42, taken = 0;
	size_t n;
	const str *texts = events_as_sent(&versions, &n);

	(void)state;
	A = arena_new();
	for (size_t round = 0; round < 30000; round++) {
		const struct room_version *v = versions[round % n];
		const size_t edits = 1 + round / n % 3;
		struct event *ev;
		str text = texts[round % n];

		arena_reset(A);
		for (size_t i = 0; i < edits; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			const size_t at = (size_t)(seed >> 33) % text.n, cut = (size_t)(seed >> 20) % 4;
			const str with = str_c(spare[(size_t)(seed >> 40) % ARRAY_LEN(spare)]);
			const size_t from = at + cut < text.n ? at + cut : text.n;

			/* Digits and letters changed in place leave an event more often than what is put in. */
			if (seed >> 62)
				text = arena_join3(A, str_head(text, at), (str){ text.p + (at * 7) % text.n, 1 },
						   str_from(text, at + 1));
			else
				text = arena_join3(A, str_head(text, at), with, str_from(text, from));
		}
		if (!event_parse(A, v, text, &ev)) {
			taken++;
			keeps_its_invariants(v, ev);
		}
	}
	arena_free(&A);
	A = keep;
	assert_true(taken > 3000);
}

/* --- redaction: what each version keeps --- */

static void redaction_keeps_what_the_version_says(void **state)
{
	static const struct {
		const char *type, *content, *v10, *v11;
	} cases[] = {
		{ "m.room.create", "{\"creator\":\"@a:b\",\"room_version\":\"11\",\"x\":{}}", "{\"creator\":\"@a:b\"}",
		  "{\"creator\":\"@a:b\",\"room_version\":\"11\",\"x\":{}}" },
		{ "m.room.member",
		  "{\"displayname\":\"A\",\"join_authorised_via_users_server\":\"@a:b\",\"membership\":\"join\",\"reason\":\"r\"}",
		  "{\"join_authorised_via_users_server\":\"@a:b\",\"membership\":\"join\"}",
		  "{\"join_authorised_via_users_server\":\"@a:b\",\"membership\":\"join\"}" },
		{ "m.room.member",
		  "{\"membership\":\"invite\",\"third_party_invite\":{\"display_name\":\"x\",\"signed\":{\"t\":1}}}",
		  "{\"membership\":\"invite\"}",
		  "{\"membership\":\"invite\",\"third_party_invite\":{\"signed\":{\"t\":1}}}" },
		{ "m.room.join_rules", "{\"allow\":[],\"join_rule\":\"restricted\",\"x\":1}",
		  "{\"allow\":[],\"join_rule\":\"restricted\"}", "{\"allow\":[],\"join_rule\":\"restricted\"}" },
		{ "m.room.power_levels",
		  "{\"ban\":1,\"events\":{},\"events_default\":2,\"invite\":3,\"kick\":4,\"notifications\":{},\"redact\":5,"
		  "\"state_default\":6,\"users\":{},\"users_default\":7}",
		  "{\"ban\":1,\"events\":{},\"events_default\":2,\"kick\":4,\"redact\":5,\"state_default\":6,\"users\":{},"
		  "\"users_default\":7}",
		  "{\"ban\":1,\"events\":{},\"events_default\":2,\"invite\":3,\"kick\":4,\"redact\":5,\"state_default\":6,"
		  "\"users\":{},\"users_default\":7}" },
		{ "m.room.history_visibility", "{\"history_visibility\":\"joined\",\"x\":1}",
		  "{\"history_visibility\":\"joined\"}", "{\"history_visibility\":\"joined\"}" },
		{ "m.room.redaction", "{\"reason\":\"r\",\"redacts\":\"$x\"}", "{}", "{\"redacts\":\"$x\"}" },
		{ "m.room.aliases", "{\"aliases\":[]}", "{}", "{}" },
		{ "m.room.message", "{\"body\":\"b\",\"membership\":\"join\"}", "{}", "{}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct json *content = parse(cases[i].content);
		const str type = str_c(cases[i].type);

		assert_str(canonical(redact_content(A, rv("10"), type, content)), str_c(cases[i].v10));
		assert_str(canonical(redact_content(A, rv("11"), type, content)), str_c(cases[i].v11));
		assert_str(canonical(redact_content(A, rv("12"), type, content)), str_c(cases[i].v11));
	}
}

static void redaction_strips_the_top_level(void **state)
{
	const struct json *j =
		parse("{\"auth_events\":[],\"content\":{\"a\":1},\"depth\":1,\"event_id\":\"$x\",\"hashes\":{},"
		      "\"membership\":\"join\",\"origin\":\"o\",\"origin_server_ts\":1,\"prev_events\":[],"
		      "\"prev_state\":[],\"redacts\":\"$r\",\"room_id\":\"!r:d\",\"sender\":\"@a:d\",\"signatures\":{},"
		      "\"state_key\":\"\",\"type\":\"x\",\"unsigned\":{},\"age_ts\":1,\"custom\":1}");

	(void)state;
	assert_str(
		canonical(redact_event(A, rv("10"), j)),
		S("{\"auth_events\":[],\"content\":{},\"depth\":1,\"event_id\":\"$x\",\"hashes\":{},\"membership\":\"join\","
		  "\"origin\":\"o\",\"origin_server_ts\":1,\"prev_events\":[],\"prev_state\":[],\"room_id\":\"!r:d\","
		  "\"sender\":\"@a:d\",\"signatures\":{},\"state_key\":\"\",\"type\":\"x\"}"));
	assert_str(
		canonical(redact_event(A, rv("11"), j)),
		S("{\"auth_events\":[],\"content\":{},\"depth\":1,\"event_id\":\"$x\",\"hashes\":{},\"origin_server_ts\":1,"
		  "\"prev_events\":[],\"room_id\":\"!r:d\",\"sender\":\"@a:d\",\"signatures\":{},\"state_key\":\"\","
		  "\"type\":\"x\"}"));
}

/* --- further signatures --- */

static void a_further_signature_changes_nothing_else(void **state)
{
	static const char *const versions[] = { "1", "6", "11", "12" };
	const struct signer other = { S("other"), S("ed25519:x"), &KEY };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const struct room_version *v = rv(versions[i]);
		struct event_fields f = message_in(v, "{\"body\":\"hi\"}");
		struct event *ev, *read, *signed_too, *received;

		must(event_build(A, v, &f, &SIGNER, &ev));
		must(event_load(A, v, ev->event_id, ev->bytes, &read));
		must(event_sign(A, v, read, &other, &signed_too));
		assert_str(signed_too->event_id, ev->event_id);
		/* What others make of it: the same event, whole, with both signatures. */
		must(event_parse(A, v, signed_too->bytes, &received));
		assert_str(received->event_id, ev->event_id);
		assert_false(received->hash_failed);
		assert_true(event_verify(A, v, received, S("domain"), S("ed25519:1"), KEY.public_key));
		assert_true(event_verify(A, v, received, S("other"), S("ed25519:x"), KEY.public_key));
		/* Nobody's signature is taken away by one of the same server. */
		must(event_add_signature(A, v, signed_too, S("other"), S("ed25519:y"), S("AAAA"), &signed_too));
		must(event_parse(A, v, signed_too->bytes, &received));
		assert_true(event_verify(A, v, received, S("other"), S("ed25519:x"), KEY.public_key));
	}
}

static void a_further_signature_must_fit(void **state)
{
	char text[EVENT_MAX_BYTES];
	struct event_fields f = message("{}");
	struct json *content = parse("{}");
	struct event *ev, *signed_too;
	const err *e;

	(void)state;
	memset(text, 'x', sizeof(text));
	json_set(A, content, S("body"), json_new_str(A, (str){ text, 65000 }));
	f.content = content;
	must(event_build(A, rv("11"), &f, &SIGNER, &ev));
	e = event_add_signature(A, rv("11"), ev, S("other"), S("ed25519:x"), (str){ text, 200 }, &signed_too);
	assert_non_null(e);
	assert_int_equal(e->code, ERR_TOO_LARGE);
}

static void knows_its_versions(void **state)
{
	(void)state;
	assert_null(room_version_find(S("")));
	assert_null(room_version_find(STR_NONE));
	assert_null(room_version_find(S("13")));
	assert_null(room_version_find(S("1 0")));
	assert_non_null(room_version_find(ROOM_VERSION_DEFAULT));
	assert_true(rv("10")->creator_in_content && !rv("10")->redacts_in_content && !rv("10")->creators_above_all);
	assert_true(!rv("11")->creator_in_content && rv("11")->redacts_in_content && !rv("11")->room_id_is_create_hash);
	assert_true(rv("12")->redacts_in_content && rv("12")->room_id_is_create_hash &&
		    rv("12")->create_not_in_auth_events && rv("12")->creators_above_all);
	assert_true(rv("10")->state_res == STATE_RES_V2 && rv("11")->state_res == STATE_RES_V2 &&
		    rv("12")->state_res == STATE_RES_V2_1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(signs_json_as_the_specification_does),
		TEST(a_second_signature_leaves_the_first),
		TEST(hashes_and_signs_events_as_the_specification_does),
		TEST(a_built_event_reads_back_the_same),
		TEST(a_version_12_room_is_named_by_its_create_event),
		TEST(redacts_stands_where_the_version_wants_it),
		TEST(a_reference_may_lack_its_hash),
		TEST(loads_only_what_was_stored),
		TEST(refuses_to_build_what_others_would_refuse),
		TEST(an_event_is_65536_bytes_at_most),
		TEST(refuses_events_of_a_wrong_form),
		TEST(fields_have_255_bytes_at_most),
		TEST(takes_any_depth_and_time_that_json_can_hold),
		TEST(refuses_text_that_is_no_event),
		TEST(a_changed_event_becomes_its_redacted_copy),
		TEST(names_the_servers_that_must_have_signed),
		TEST(damaged_events_are_refused_or_sound),
		TEST(redaction_keeps_what_the_version_says),
		TEST(redaction_strips_the_top_level),
		TEST(a_further_signature_changes_nothing_else),
		TEST(a_further_signature_must_fit),
		TEST(knows_its_versions),
	};

	return cmocka_run_group_tests_name("matrix/event", tests, NULL, NULL);
}
