/*
 * Every kind of event in every room version as another implementation hashes, signs, names and redacts it, and what
 * must hold of any event: it reads back as itself however it is spelled, and redaction changes neither its id nor its
 * signatures.
 */
#include "matrix/event_verify.h"
#include "matrix/vectors.h"

static struct server_key OURS;

static const struct server_key *find_ours(void *ctx, str server, str key_id)
{
	(void)ctx;
	return str_eq(server, S("domain")) && str_eq(key_id, S("ed25519:1")) ? &OURS : NULL;
}

/* The event in another spelling: members the other way round, space wherever it may be, something unsigned. */
static str respelled(const struct json *event)
{
	str text = S(" \n}\t");

	JSON_EACH (event, m) {
		str key = STR_NONE;

		must(json_canonical(A, json_new_str(A, m->key), JSON_CANON_STRICT, &key));
		text = arena_join3(A, arena_join3(A, S(" , "), key, S(" : ")), m->value->raw, text);
	}
	return arena_join3(A, S(" {\t\"unsigned\":{\"age\":1.5}\r"), text, S(" "));
}

static bool wants(const struct json *row, const char *member, str got)
{
	const str wanted = json_get_str(row, str_c(member));

	if (!str_eq(got, wanted))
		print_error("v%.*s, %.*s: %s is %.*s\n  wanted %.*s\n", STR_ARG(json_get_str(row, S("room_version"))),
			    STR_ARG(json_get_str(row, S("about"))), member, STR_ARG(got), STR_ARG(wanted));
	return str_eq(got, wanted);
}

static bool is_well_signed(const struct room_version *v, const struct event *ev)
{
	str servers[EVENT_MAX_SIGNERS];
	const size_t n = event_signers(v, ev, servers);

	/* What only another server could sign is not well signed by this one. */
	for (size_t i = 0; i < n; i++)
		if (!str_eq(servers[i], S("domain")))
			return !event_well_signed(A, v, ev, find_ours, NULL, NULL);
	return event_well_signed(A, v, ev, find_ours, NULL, NULL) &&
	       event_verify(A, v, ev, S("domain"), S("ed25519:1"), KEY.public_key);
}

/* Both ways of redacting give the same; once is as good as twice; the id and the signatures live on. */
static void redacts_as_wanted(const struct json *row, const struct room_version *v, const struct event *ev)
{
	str once, twice, of_tree, content, reference;
	struct event *redacted, *received;

	must(event_redact(A, v, ev, &once));
	must(json_canonical(A, redact_event(A, v, ev->json), JSON_CANON_DOUBLES, &of_tree));
	assert_str(once, of_tree);
	must(event_load(A, v, ev->event_id, once, &redacted));
	must(json_canonical(A, redacted->content, JSON_CANON_DOUBLES, &content));
	assert_true(wants(row, "redacted_content", content));
	must(event_redact(A, v, redacted, &twice));
	assert_str(twice, once);
	assert_true(is_well_signed(v, redacted) ||
		    event_signers(v, ev, (str[EVENT_MAX_SIGNERS]){ { 0 } }) !=
			    event_signers(v, redacted, (str[EVENT_MAX_SIGNERS]){ { 0 } }));
	must(event_hash_text(A, v, ev, &reference));
	assert_true(wants(row, "reference", reference));
	must(event_hash_text(A, v, redacted, &reference));
	assert_true(wants(row, "reference", reference));
	must(event_parse(A, v, once, &received));
	assert_str(received->event_id, ev->event_id);
	assert_str(received->bytes, once);
}

static bool is_one_of(str key, const char *words)
{
	str rest = str_c(words), word;

	while (str_split_next(&rest, ' ', &word))
		if (str_eq(key, word))
			return true;
	return false;
}

/* Has our event_build no way to write it? */
static bool is_foreign(const struct room_version *v, const struct event *ev)
{
	JSON_EACH (ev->json, m) {
		if (is_one_of(m->key,
			      "auth_events content depth event_id hashes origin_server_ts prev_events room_id sender "
			      "signatures state_key type"))
			continue;
		if (str_eq(m->key, S("redacts")) && !v->redacts_in_content)
			continue;
		return true;
	}
	return ev->depth < 0 || ev->origin_server_ts > EVENT_MAX_DEPTH || ev->content->dup;
}

static const str *hashes_of(const struct json *refs)
{
	str *hashes = ARENA_ARRAY(A, str, refs->array.n + 1);

	JSON_ITEMS (refs, i)
		hashes[i] = json_get_str(refs->array.items[i]->array.items[1], S("sha256"));
	return hashes;
}

static struct event_fields fields_of(const struct room_version *v, const struct event *ev)
{
	const bool named = v->event_format == EVENT_FORMAT_NAMED;

	return (struct event_fields){
		.event_id = named ? ev->event_id : STR_NONE,
		.room_id = json_get_str(ev->json, S("room_id")),
		.sender = ev->sender,
		.type = ev->type,
		.state_key = ev->state_key,
		.content = ev->content,
		.redacts = v->redacts_in_content ? STR_NONE : json_get_str(ev->json, S("redacts")),
		.origin_server_ts = ev->origin_server_ts,
		.depth = ev->depth,
		.prev_events = ev->prev_events,
		.n_prev_events = ev->n_prev_events,
		.prev_hashes = named ? hashes_of(json_get(ev->json, S("prev_events"))) : NULL,
		.auth_events = ev->auth_events,
		.n_auth_events = ev->n_auth_events,
		.auth_hashes = named ? hashes_of(json_get(ev->json, S("auth_events"))) : NULL,
	};
}

static void agrees_with(const struct json *row)
{
	const struct room_version *v = room_version_find(json_get_str(row, S("room_version")));
	struct event *ev, *again, *built;

	must(event_parse_json(A, v, vector_event(row), &ev));
	assert_true(wants(row, "event_id", ev->event_id));
	assert_true(wants(row, "room_id", ev->room_id));
	ok(!ev->hash_failed, "v%.*s, %.*s: content hash", STR_ARG(v->id), STR_ARG(json_get_str(row, S("about"))));
	assert_true(is_well_signed(v, ev));
	redacts_as_wanted(row, v, ev);

	must(event_parse(A, v, ev->bytes, &again));
	assert_str(again->bytes, ev->bytes);
	assert_str(again->event_id, ev->event_id);
	must(event_parse(A, v, respelled(ev->json), &again));
	assert_str(again->bytes, ev->bytes);
	assert_str(again->event_id, ev->event_id);
	assert_str(again->signed_bytes, ev->signed_bytes);
	assert_false(again->hash_failed);

	if (is_foreign(v, ev))
		return;
	const struct event_fields f = fields_of(v, ev);

	must(event_build(A, v, &f, &SIGNER, &built));
	assert_str(built->bytes, ev->bytes);
	assert_str(built->event_id, ev->event_id);
	assert_str(built->signed_bytes, ev->signed_bytes);
}

static void agrees_with_another_implementation(void **state)
{
	const struct json *events =
		json_get_array(parse(arena_cstr(A, slurp("tests/vectors/events.json"))), S("events"));
	size_t rows[13] = { 0 };

	(void)state;
	memcpy(OURS.public_key, KEY.public_key, 32);
	OURS.until = INT64_MAX;
	JSON_ITEMS (events, i) {
		agrees_with(events->array.items[i]);
		rows[room_version_find(json_get_str(events->array.items[i], S("room_version")))->number]++;
	}
	for (size_t n = 1; n <= 12; n++)
		ok(rows[n] >= 20, "version %zu has only %zu rows", n, rows[n]);
}

/* event_redacted_text walks both lists at once. */
static void what_stays_is_sorted(void **state)
{
	(void)state;
	for (size_t i = 0; room_version_at(i); i++)
		for (const str *key = room_version_at(i)->redact_top; !str_is_none(key[1]); key++)
			assert_true(str_cmp(key[0], key[1]) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(agrees_with_another_implementation),
		TEST(what_stays_is_sorted),
	};

	return cmocka_run_group_tests_name("matrix/event_vectors", tests, NULL, NULL);
}
