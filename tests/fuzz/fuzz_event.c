/*
 * fuzz_event.c - events from outside, in every room version: refused, or whole and within all limits.
 *
 * What is accepted is read again from its own bytes and is the same; its id and what its signatures cover survive
 * redaction, which changes nothing a second time; `unsigned` and signatures do not count. A signature by a key that
 * never signed is none. And an event of ours with the same content is one that every other server takes.
 */
#include "base/b64.h"
#include "fuzz.h"
#include "matrix/event.h"
#include "matrix/event_verify.h"
#include "matrix/id.h"

static const uint8_t seed[32] = "a seed for tests of 32 bytes....";

static str covered(struct arena *a, const struct room_version *rv, const struct json *json)
{
	str bytes;
	err *e = sign_bytes(a, redact_event(a, rv, json), &bytes);

	assert(!e);
	return bytes;
}

static void check_limits(const struct room_version *rv, const struct event *ev)
{
	assert(ev->bytes.n <= EVENT_MAX_BYTES);
	assert(ev->event_id.n >= 2 && ev->event_id.n <= ID_MAX && ev->event_id.p[0] == '$');
	assert(ev->sender.n <= ID_MAX && ev->room_id.n <= ID_MAX && ev->type.n <= ID_MAX && ev->state_key.n <= ID_MAX);
	assert(id_user_valid(ev->sender) && id_room_valid(ev->room_id));
	if (rv->event_format == EVENT_FORMAT_NAMED)
		assert(id_event_fits(ev->event_id, rv));
	if (!rv->room_id_is_create_hash || str_eq(ev->type, S("m.room.create")))
		assert(id_room_fits(ev->room_id, rv));
	assert(ev->n_prev_events <= EVENT_MAX_PREV && ev->n_auth_events <= EVENT_MAX_AUTH);
	for (size_t i = 0; i < ev->n_prev_events; i++)
		assert(id_event_valid(ev->prev_events[i]));
	for (size_t i = 0; i < ev->n_auth_events; i++)
		assert(id_event_valid(ev->auth_events[i]));
	assert(json_is(ev->content, JSON_OBJECT));
}

static void same(const struct event *x, const struct event *y)
{
	assert(str_eq(x->event_id, y->event_id) && str_eq(x->room_id, y->room_id) && str_eq(x->type, y->type));
	assert(str_eq(x->sender, y->sender) && str_eq(x->bytes, y->bytes) && x->depth == y->depth);
	assert(str_is_none(x->state_key) == str_is_none(y->state_key) && str_eq(x->state_key, y->state_key));
	assert(x->n_prev_events == y->n_prev_events && x->n_auth_events == y->n_auth_events);
	assert(json_equal(x->json, y->json));
}

static void check_read_again(struct arena *a, const struct room_version *rv, const struct event *ev)
{
	struct event *again;
	struct json *with = json_copy(a, ev->json), *u = json_new_object(a);
	str text;

	assert(!event_parse(a, rv, ev->bytes, &again));
	same(ev, again);
	assert(!event_load(a, rv, ev->event_id, ev->bytes, &again));
	same(ev, again);
	/* "unsigned" is nobody's word. */
	json_set(a, u, S("age"), json_new_int(a, 1));
	json_set(a, with, S("unsigned"), u);
	assert(!json_canonical(a, with, JSON_CANON_DOUBLES, &text));
	assert(!event_parse(a, rv, text, &again));
	same(ev, again);
}

static void check_redacted(struct arena *a, const struct room_version *rv, const struct event *ev)
{
	struct event *gone;
	str bytes, again;

	assert(!event_redact(a, rv, ev, &bytes));
	assert(bytes.n <= ev->bytes.n);
	assert(!event_load(a, rv, ev->event_id, bytes, &gone));
	assert(!event_redact(a, rv, gone, &again) && str_eq(bytes, again));
	assert(str_eq(covered(a, rv, ev->json), covered(a, rv, gone->json)));
	/* Another server is sent the redacted copy: the same event. */
	assert(!event_parse(a, rv, bytes, &gone));
	assert(str_eq(gone->event_id, ev->event_id) && str_eq(gone->room_id, ev->room_id) &&
	       str_eq(gone->bytes, bytes));
}

static void check_signatures(struct arena *a, const struct room_version *rv, const struct event *ev)
{
	struct ed25519_key key;
	struct json *redacted = redact_event(a, rv, ev->json);
	struct json *whole = json_copy(a, ev->json);
	struct event *signed_event;
	str servers[EVENT_MAX_SIGNERS], text;
	const size_t n = event_signers(rv, ev, servers);

	ed25519_from_seed(&key, seed);
	assert(n <= EVENT_MAX_SIGNERS);
	for (size_t i = 0; i < n; i++) {
		const struct signer by = { servers[i], S("ed25519:f"), &key };

		assert(id_server_name_valid(servers[i]));
		for (size_t k = 0; k < i; k++)
			assert(!str_eq(servers[i], servers[k]));
		assert(!event_verify(a, rv, ev, servers[i], S("ed25519:none"), key.public_key));
		assert(!sign_json(a, redacted, &by));
	}
	json_set(a, whole, S("signatures"), json_get(redacted, S("signatures")));
	if (json_canonical(a, whole, JSON_CANON_DOUBLES, &text) || text.n > EVENT_MAX_BYTES)
		return;
	assert(!event_parse(a, rv, text, &signed_event));
	assert(str_eq(signed_event->event_id, ev->event_id));
	for (size_t i = 0; i < n; i++)
		assert(event_verify(a, rv, signed_event, servers[i], S("ed25519:f"), key.public_key));
}

static const struct server_key *find_key(void *ctx, str server, str key_id)
{
	return str_eq(server, S("here")) && str_eq(key_id, S("ed25519:f")) ? ctx : NULL;
}

/* What we would make of it is taken as we made it. */
static void check_ours(struct arena *a, const struct room_version *rv, const struct event *ev)
{
	const bool create = str_eq(ev->type, S("m.room.create"));
	const bool named = rv->event_format == EVENT_FORMAT_NAMED;
	const str hash = S("AAAA");
	struct ed25519_key key;
	struct server_key known = { .until = INT64_MAX };
	const struct signer by = { S("here"), S("ed25519:f"), &key };
	const struct event_fields fields = {
		.event_id = named ? S("$e:here") : STR_NONE,
		.prev_hashes = named ? &hash : NULL,
		.auth_hashes = named ? &hash : NULL,
		.room_id = create && rv->room_id_is_create_hash ? STR_NONE : ev->room_id,
		.sender = S("@us:here"),
		.type = ev->type,
		.state_key = ev->state_key,
		.content = ev->content,
		.redacts = ev->redacts,
		.origin_server_ts = 5,
		.depth = event_depth_after(ev->depth),
		.prev_events = ev->prev_events,
		.n_prev_events = MIN(ev->n_prev_events, 1),
		.auth_events = ev->auth_events,
		.n_auth_events = MIN(ev->n_auth_events, 1),
	};
	struct event *ours, *again;
	str lacking;

	ed25519_from_seed(&key, seed);
	memcpy(known.public_key, key.public_key, sizeof(known.public_key));
	if (event_build(a, rv, &fields, &by, &ours))
		return;
	check_limits(rv, ours);
	assert(!event_parse(a, rv, ours->bytes, &again) && !again->hash_failed);
	same(ours, again);
	assert(str_eq(ours->signed_bytes, again->signed_bytes));
	/* Who must sign beside us (the authoriser of a restricted join) has not. */
	if (event_well_signed(a, rv, again, find_key, &known, &lacking))
		assert(str_is_none(lacking));
	else
		assert(!str_eq(lacking, S("here")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const str text = { size ? (const char *)data : "", size };

	for (size_t i = 0; room_version_at(i); i++) {
		const struct room_version *rv = room_version_at(i);
		AUTO_ARENA a = arena_new();
		struct event *ev;
		uint8_t hash[32], again[32];

		if (event_parse(a, rv, text, &ev))
			continue;
		check_limits(rv, ev);
		assert(!event_reference_hash(a, rv, ev->json, hash));
		assert(!event_reference_hash(a, rv, redact_event(a, rv, ev->json), again) &&
		       memcmp(hash, again, 32) == 0);
		check_read_again(a, rv, ev);
		check_redacted(a, rv, ev);
		check_signatures(a, rv, ev);
		check_ours(a, rv, ev);
	}
	return 0;
}
