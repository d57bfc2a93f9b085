/*
 * Events from outside by the rows of tests/vectors/hostile/format.json: refused, redacted, or whole, as the
 * specification has it; and signatures by those of signatures.json. Every row in every version it is for.
 */
#include "matrix/fixture.h"

#include "matrix/event_verify.h"
#include "matrix/hostile.h"

static const struct json *rows_of(const char *path)
{
	return json_get_array(parse(arena_cstr(A, slurp(path))), S("rows"));
}

static struct hostile_base base_of(struct arena *a, const struct room_version *rv)
{
	const bool named = rv->event_format == EVENT_FORMAT_NAMED;

	return (struct hostile_base){
		.rv = rv,
		.by = &SIGNER,
		.room_id =
			rv->room_id_is_create_hash ? S("!AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") : S("!r:domain"),
		.sender = S("@alice:domain"),
		.event_id = S("$e:domain"),
		.prev = named ? S("[[\"$p:domain\",{\"sha256\":\"AAAA\"}]]")
			      : S("[\"$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"]"),
		.auth = hostile_refs(a, rv, 2),
	};
}

/* "ok" and "redacted" are whole and within limits, and read back as the same. */
static void check_taken(struct arena *a, const struct room_version *rv, const struct event *ev, str what)
{
	struct event *again;

	ok(ev->bytes.n <= EVENT_MAX_BYTES && ev->type.n <= 255 && ev->state_key.n <= 255, "%.*s", STR_ARG(what));
	must(event_parse(a, rv, ev->bytes, &again));
	ok(str_eq(again->event_id, ev->event_id) && str_eq(again->bytes, ev->bytes), "%.*s: another event",
	   STR_ARG(what));
}

static void events_are_what_the_rows_say(void **state)
{
	const struct json *rows = rows_of("tests/vectors/hostile/format.json");
	size_t asked = 0, taken = 0;

	(void)state;
	JSON_ITEMS (rows, i) {
		const struct json *row = rows->array.items[i];
		const str what = json_get_str(row, S("what")), want = json_get_str(row, S("expect"));

		for (size_t v = 0; room_version_at(v); v++) {
			const struct room_version *rv = room_version_at(v);
			AUTO_ARENA a = arena_new();
			const struct hostile_base base = base_of(a, rv);
			struct event *ev = NULL;

			if (!hostile_is_for(json_get_str(row, S("versions")), rv->number))
				continue;
			const err *e = event_parse(a, rv, hostile_text(a, &base, row), &ev);
			const str got = e ? str_c(err_errcode(e->code)) : ev->hash_failed ? S("redacted") : S("ok");

			ok(str_eq(got, want) || (e && str_eq(want, S("refused"))),
			   "version %u: %.*s: got %.*s (%.*s), wanted %.*s", rv->number, STR_ARG(what), STR_ARG(got),
			   STR_ARG(e ? e->msg : S("")), STR_ARG(want));
			if (!e)
				check_taken(a, rv, ev, what);
			asked++;
			taken += !e;
		}
	}
	ok(rows->array.n >= 450 && asked >= 3900 && taken >= 500, "%zu rows, %zu asked, %zu taken", rows->array.n,
	   asked, taken);
}

/* --- signatures --- */

struct keys {
	struct server_key known;
};

static const struct server_key *find_key(void *ctx, str server, str key_id)
{
	const struct keys *k = ctx;

	return str_eq(server, S("domain")) && str_eq(key_id, S("ed25519:1")) ? &k->known : NULL;
}

/* S + n L: what a careless verifier takes for the same signature. */
static void add_order(uint8_t signature[64], unsigned n)
{
	static const uint8_t order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
					   0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };

	for (; n > 0; n--)
		for (unsigned i = 0, carry = 0; i < 32; i++) {
			carry += (unsigned)signature[32 + i] + order[i];
			signature[32 + i] = (uint8_t)carry;
			carry >>= 8;
		}
}

static str b64_of(struct arena *a, const uint8_t *p, size_t n) { return b64_encode(a, (str){ (const char *)p, n }); }

/* What becomes of a good signature's text. */
static str spoil_signature(struct arena *a, str change, str text)
{
	uint8_t s[65] = { 0 };

	memcpy(s, b64_decode(a, text).p, 64);
	if (str_eq(change, S("flip first")))
		s[0] ^= 1;
	else if (str_eq(change, S("flip last")))
		s[40] ^= 1;
	else if (str_eq(change, S("S+L")))
		add_order(s, 1);
	else if (str_eq(change, S("S+2L")))
		add_order(s, 2);
	else if (str_eq(change, S("short")))
		return b64_of(a, s, 63);
	else if (str_eq(change, S("long")))
		return b64_of(a, s, 65);
	else if (str_eq(change, S("empty")))
		return S("");
	else if (str_eq(change, S("huge")))
		return hostile_expand(a, S("<<A*60000>>"), 0);
	else if (str_eq(change, S("line feed")))
		return arena_join3(a, str_head(text, 40), S("\n"), str_from(text, 40));
	else if (str_eq(change, S("space")))
		return arena_join2(a, S(" "), text);
	else if (str_eq(change, S("one pad")))
		return arena_join2(a, text, S("="));
	else if (str_eq(change, S("padded")))
		return arena_join2(a, text, S("=="));
	else if (str_eq(change, S("hex")))
		return hex_encode(a, (str){ (const char *)s, 64 });
	else if (str_eq(change, S("small order R"))) {
		memset(s, 0, 32);
		s[0] = 1;
	} else if (str_starts(change, S("small order key")) || str_eq(change, S("zero key")) ||
		   str_eq(change, S("no point"))) {
		memset(s, 0, 64);
		s[0] = 1;
	} else
		return text;
	return b64_of(a, s, 64);
}

static void spoil_key(str change, struct server_key *key)
{
	if (str_eq(change, S("other key")))
		key->public_key[0] ^= 1;
	if (str_eq(change, S("small order key")))
		memcpy(key->public_key, (const uint8_t[32]){ 1 }, 32);
	if (str_eq(change, S("small order key 2"))) {
		memset(key->public_key, 0xff, 32);
		key->public_key[0] = 0xec;
		key->public_key[31] = 0x7f;
	}
	if (str_eq(change, S("zero key")))
		memset(key->public_key, 0, 32);
	if (str_eq(change, S("no point")))
		memcpy(key->public_key, (const uint8_t[32]){ 2 }, 32);
}

/* What is changed in the event after it was signed. */
static void spoil_event(struct arena *a, str change, struct json *event)
{
	static const struct {
		str change, name, text;
	} edits[] = {
		{ STR("content"), STR("content"), STR("{\"body\":\"another\"}") },
		{ STR("sender"), STR("sender"), STR("\"@mallory:domain\"") },
		{ STR("depth"), STR("depth"), STR("6") },
		{ STR("type"), STR("type"), STR("\"m.room.topic\"") },
		{ STR("room"), STR("room_id"), STR("\"!BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB\"") },
		{ STR("prev"), STR("prev_events"), STR("[]") },
		{ STR("hashes"), STR("hashes"), STR("{\"sha256\":\"AAAA\"}") },
		{ STR("unsigned"), STR("unsigned"), STR("{\"a\":1}") },
	};

	for (size_t i = 0; i < ARRAY_LEN(edits); i++)
		if (str_eq(change, edits[i].change)) {
			str text = edits[i].text;

			if (str_eq(change, S("room")) &&
			    str_find(json_get_str(event, S("room_id")), ':') < json_get_str(event, S("room_id")).n)
				text = S("\"!else:domain\"");
			json_set(a, event, edits[i].name,
				 hostile_read(a, arena_join3(a, S("{\"v\":"), text, S("}")))->object.members[0].value);
		}
}

static struct json *signatures_of(struct arena *a, str change, str text)
{
	struct json *all = json_new_object(a), *ours = json_new_object(a);
	const str server = str_eq(change, S("other server")) ? S("elsewhere") : S("domain");
	const str key_id = str_eq(change, S("unknown key id")) ? S("ed25519:2")
			   : str_eq(change, S("algorithm"))    ? S("ed448:1")
							       : S("ed25519:1");

	if (str_eq(change, S("none")))
		return all;
	json_set(a, ours, key_id, json_new_str(a, spoil_signature(a, change, text)));
	json_set(a, all, server, ours);
	return all;
}

static bool is_well_signed(struct arena *a, const struct room_version *rv, const struct json *row)
{
	struct hostile_base base = base_of(a, rv);
	const str change = json_get_str(row, S("change")), event_id = json_get_str(row, S("event_id"));
	const struct json *content = json_get(row, S("content"));
	struct json *made = json_new_object(a), *put = json_new_object(a), *event;
	struct keys keys = { .known = { .until = INT64_MAX, .old = json_get_bool(row, S("old"), false) } };
	struct event *ev;
	int64_t ts;
	str text;

	if (!str_is_none(event_id))
		base.event_id = event_id;
	if (content && json_canonical(a, content, JSON_CANON_LOOSE, &text) == NULL)
		json_set(a, put, S("content"), json_new_str(a, text));
	for (size_t i = 0; i < 2; i++) {
		const str name = i ? S("state_key") : S("type"), value = json_get_str(row, name);

		if (!str_is_none(value))
			json_set(a, put, name, json_new_str(a, arena_printf(a, "\"%.*s\"", STR_ARG(value))));
	}
	if (json_get_int(row, S("ts"), &ts))
		json_set(a, put, S("origin_server_ts"), json_new_str(a, arena_printf(a, "%" PRId64, ts)));
	json_set(a, made, S("put"), put);
	event = json_copy(a, hostile_read(a, hostile_text(a, &base, made)));
	const struct json *good = json_get(json_get(json_get(event, S("signatures")), S("domain")), S("ed25519:1"));

	json_set(a, event, S("signatures"), signatures_of(a, change, json_str(good)));
	spoil_event(a, change, event);
	memcpy(keys.known.public_key, KEY.public_key, 32);
	spoil_key(change, &keys.known);
	(void)json_get_int(row, S("until"), &keys.known.until);
	must(json_canonical(a, event, JSON_CANON_LOOSE, &text));
	must(event_parse(a, rv, text, &ev));
	return event_well_signed(a, rv, ev, find_key, &keys, NULL);
}

static void signatures_are_what_the_rows_say(void **state)
{
	const struct json *rows = rows_of("tests/vectors/hostile/signatures.json");
	size_t asked = 0;

	(void)state;
	JSON_ITEMS (rows, i) {
		const struct json *row = rows->array.items[i];
		const bool want = json_get_bool(row, S("expect"), false);

		for (size_t v = 0; room_version_at(v); v++) {
			AUTO_ARENA a = arena_new();

			if (!hostile_is_for(json_get_str(row, S("versions")), room_version_at(v)->number))
				continue;
			ok(is_well_signed(a, room_version_at(v), row) == want, "version %u: %.*s: %s",
			   room_version_at(v)->number, STR_ARG(json_get_str(row, S("what"))),
			   want ? "refused" : "taken");
			asked++;
		}
	}
	ok(rows->array.n >= 45 && asked >= 400, "%zu rows, %zu asked", rows->array.n, asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(events_are_what_the_rows_say),
		TEST(signatures_are_what_the_rows_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
