/*
 * fuzz_keys.c - the list of a server's keys, as itself or a notary gives it. The list is signed with a key of ours
 * before it is read, so that one which names that key is believed: then it has at most so many keys, each of a known
 * kind and for no longer than is allowed; and it is believed by its text alone, whatever is written around it, and not
 * with a member more than was signed.
 */
#include "fuzz.h"
#include "matrix/server_keys.h"

#define NOW  INT64_C(1700000000000)
#define WEEK INT64_C(604800000)

static const struct json_limits limits = { .max_bytes = 32 * 1024, .max_depth = 64, .max_values = 4096 };

static void check_keys(const struct server_keys *keys)
{
	assert(keys->n > 0 && keys->n <= SERVER_KEYS_MAX);
	for (size_t i = 0; i < keys->n; i++) {
		assert(str_starts(keys->p[i].key_id, S("ed25519:")) && keys->p[i].key_id.n <= SERVER_KEY_ID_MAX);
		assert(keys->p[i].key.old || keys->p[i].key.until <= NOW + WEEK);
	}
}

static bool are_equal(const struct server_keys *x, const struct server_keys *y)
{
	if (x->n != y->n || x->valid_until_ts != y->valid_until_ts)
		return false;
	for (size_t i = 0; i < x->n; i++) {
		const struct server_key *p = &x->p[i].key, *q = &y->p[i].key;

		if (!str_eq(x->p[i].key_id, y->p[i].key_id) || memcmp(p->public_key, q->public_key, 32) != 0 ||
		    p->until != q->until || p->old != q->old)
			return false;
	}
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t seed[32] = { 1 };
	AUTO_ARENA a = arena_new();
	struct ed25519_key key;
	struct server_keys keys, again;
	struct json *doc, *other;
	str text;

	ed25519_from_seed(&key, seed);
	if (json_parse(a, (str){ (const char *)data, size }, &limits, &doc) || !json_is(doc, JSON_OBJECT))
		return 0;
	const struct signer by = { S("a.example"), S("ed25519:1"), &key };

	if (sign_json(a, doc, &by) || server_keys_read(a, doc, S("a.example"), NOW, &keys))
		return 0;
	check_keys(&keys);
	assert(server_keys_read(a, doc, S("b.example"), NOW, &again));
	/* As the text that is kept and handed on. */
	if (json_canonical(a, doc, JSON_CANON_DOUBLES, &text))
		return 0;
	assert(!json_parse(a, text, &json_limits_request, &other));
	assert(!server_keys_read(a, other, S("a.example"), NOW, &again));
	assert(keys.n == again.n && keys.valid_until_ts == again.valid_until_ts);
	assert(!server_keys_read(a, doc, S("a.example"), NOW, &again) && are_equal(&keys, &again));
	other = json_copy(a, doc);
	json_set(a, other, S("not signed"), json_new_int(a, 1));
	assert(json_get(doc, S("not signed")) || server_keys_read(a, other, S("a.example"), NOW, &again));
	return 0;
}
