/*
 * key_upload.c - what a device publishes.
 *
 * Clients send the same upload again when an answer was lost, and send an empty one to learn the counts: what is there
 * already is no change, and a body without keys is only read. The signature that a device puts on its own keys is kept
 * and not verified here: Synapse takes any, and who uses a key has to verify it in any case.
 */
#include "e2ee/key_upload.h"

#include "base/map.h"
#include "bus/bus.h"
#include "e2ee/internal_e2ee.h"
#include "e2ee/key_object.h"
#include "store/device_keys.h"
#include "store/tx.h"

/*
 * Reading
 */
/* "The names of the properties should be in the format <algorithm>:<device_id>." Clients exist that write something
 * else for the device. Other servers pass on names of any form; who reads a key looks for it under the device's id. */
static bool are_named(const struct json *keys)
{
	JSON_EACH (keys, m) {
		const size_t colon = str_find(m->key, ':');

		if (colon == 0 || colon == m->key.n)
			return false;
	}
	return true;
}

static err *read_device_keys(struct arena *a, const struct json *json, struct key_upload *u)
{
	struct key_object *k = ARENA_NEW(a, struct key_object);

	/* "Must match the user ID used when logging in." "Must match the device ID used when logging in." */
	TRY(key_device_read(a, json, u->user_id, u->device_id, k));
	if (!are_named(json_get_object(json, S("keys"))))
		return err_new(a, ERR_BAD_JSON, "device_keys: keys must be named <algorithm>:<device_id>");
	if (!json_get_object(json, S("signatures")))
		return err_new(a, ERR_BAD_JSON, "device_keys: signatures is missing");
	u->device_keys = k;
	return NULL;
}

/* A text, or a KeyObject: `key` and `signatures`, and perhaps `fallback`. */
static err *check_key(struct arena *a, str id, const struct json *value)
{
	const struct json *fallback = json_get(value, S("fallback"));

	if (value->kind == JSON_STR)
		return NULL;
	if (str_is_none(json_get_str(value, S("key"))) || !key_signatures_valid(json_get(value, S("signatures"))))
		return err_new(a, ERR_BAD_JSON, "%.*s must be a text, or an object with key and signatures",
			       STR_ARG(id));
	if (fallback && fallback->kind != JSON_BOOL && fallback->kind != JSON_NULL)
		return err_new(a, ERR_BAD_JSON, "%.*s: fallback must be a boolean", STR_ARG(id));
	return NULL;
}

err *one_time_key_read(struct arena *a, str id, const struct json *value, struct one_time_key_row *out)
{
	const size_t colon = str_find(id, ':');

	/* "in the format <algorithm>:<key_id>" */
	if (id.n > KEY_ID_MAX || colon == 0 || colon + 1 >= id.n ||
	    str_find(str_from(id, colon + 1), ':') < id.n - colon - 1)
		return err_new(a, ERR_BAD_JSON, "A key's name is <algorithm>:<key_id>, of %d bytes at most",
			       (int)KEY_ID_MAX);
	TRY(check_key(a, id, value));
	out->algorithm = str_head(id, colon);
	out->key_id = str_from(id, colon + 1);
	TRY(json_canonical(a, value, JSON_CANON_LOOSE, &out->key));
	if (out->key.n > ONE_TIME_KEY_MAX)
		return err_new(a, ERR_TOO_LARGE, "A key has at most %d bytes", (int)ONE_TIME_KEY_MAX);
	return NULL;
}

static err *read_keys(struct arena *a, const struct json *body, str name, struct one_time_key_row **out, size_t *out_n)
{
	const struct json *keys = json_get(body, name);
	struct one_time_key_row *list;
	size_t n = 0;

	*out_n = 0;
	if (!keys || keys->kind == JSON_NULL)
		return NULL;
	if (keys->kind != JSON_OBJECT || keys->dup)
		return err_new(a, ERR_BAD_JSON, "%.*s must be an object", STR_ARG(name));
	if (keys->object.n > ONE_TIME_KEYS_MAX)
		return err_new(a, ERR_TOO_MANY_KEYS, "At most %d keys at once", (int)ONE_TIME_KEYS_MAX);
	list = ARENA_ARRAY(a, struct one_time_key_row, keys->object.n);
	JSON_EACH (keys, m)
		TRY(one_time_key_read(a, m->key, m->value, &list[n++]));
	*out = list;
	*out_n = n;
	return NULL;
}

/* "There can only be at most one key per algorithm uploaded" */
static err *check_one_per_algorithm(struct arena *a, const struct one_time_key_row *keys, size_t n)
{
	if (n > KEY_ALGORITHMS_MAX)
		return err_new(a, ERR_TOO_MANY_KEYS, "Keys of at most %d algorithms", (int)KEY_ALGORITHMS_MAX);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			if (str_eq(keys[i].algorithm, keys[j].algorithm))
				return err_new(a, ERR_BAD_JSON, "fallback_keys: two keys of algorithm %.*s",
					       STR_ARG(keys[i].algorithm));
	return NULL;
}

err *key_upload_read(struct e2ee *e, struct arena *a, const struct json *body, struct key_upload *u)
{
	const struct json *device_keys = json_get(body, S("device_keys"));

	u->a = a;
	if (device_keys)
		TRY(read_device_keys(a, device_keys, u));
	TRY(read_keys(a, body, S("one_time_keys"), &u->one_time, &u->n_one_time));
	TRY(read_keys(a, body, S("fallback_keys"), &u->fallback, &u->n_fallback));
	TRY(check_one_per_algorithm(a, u->fallback, u->n_fallback));
	if (u->n_one_time)
		TRY(store_next_id(e->opt.store, a, SEQ_MISC, 1, &u->place));
	return NULL;
}

/*
 * Writing
 */
static err *gone(struct tx *tx) { return err_new(tx_arena(tx), ERR_UNKNOWN_TOKEN, "The device was deleted"); }

/* What others signed stays as long as the keys are the same. */
static err *run_device_keys(struct tx *tx, struct key_upload *u)
{
	struct key_object k = *u->device_keys, old;
	struct arena *a = tx_arena(tx);
	str before, text;
	bool saved;

	TRY(store_device_keys_get(tx, u->user, u->device_id, &before));
	if (!str_is_none(before)) {
		TRY(key_object_parse(a, before, u->user_id, &old));
		if (str_eq(old.bare, k.bare)) {
			JSON_EACH (k.signatures, m)
				json_set(a, old.signatures, m->key, m->value);
			k.signatures = old.signatures;
		}
	}
	TRY(key_object_text(a, &k, &text));
	if (str_eq(text, before))
		return NULL;
	TRY(store_device_keys_save(tx, u->user, u->device_id, text, &saved));
	u->keys_changed = true;
	return saved ? NULL : gone(tx);
}

/* The same key, whatever its signatures: another attempt may have signed it anew. */
static err *same_key(struct tx *tx, const struct one_time_key_row *old, const struct one_time_key_row *new)
{
	struct arena *a = tx_arena(tx);
	struct json *x, *y;

	if (str_eq(old->key, new->key))
		return NULL;
	TRY(json_parse(a, old->key, &json_limits_request, &x));
	TRY(json_parse(a, new->key, &json_limits_request, &y));
	if (x->kind == JSON_OBJECT && y->kind == JSON_OBJECT) {
		json_del(x, S("signatures"));
		json_del(y, S("signatures"));
	}
	if (json_equal(x, y))
		return NULL;
	return err_new(a, ERR_UNKNOWN, "One time key %.*s:%.*s already exists, and is another one",
		       STR_ARG(new->algorithm), STR_ARG(new->key_id));
}

/* Takes those out of `keys` that are there already. */
static err *drop_known(struct tx *tx, const struct key_upload *u, struct one_time_key_row *keys, size_t *n)
{
	str *ids = ARENA_ARRAY(tx_arena(tx), str, *n);
	struct one_time_key_row *old;
	struct map known;
	size_t n_old, kept = 0;

	for (size_t i = 0; i < *n; i++)
		ids[i] = keys[i].key_id;
	TRY(store_one_time_keys_find(tx, u->user, u->device_id, ids, *n, &old, &n_old));
	map_init(&known, tx_arena(tx));
	for (size_t i = 0; i < n_old; i++)
		map_put(&known, arena_join3(tx_arena(tx), old[i].algorithm, S(":"), old[i].key_id), &old[i]);
	for (size_t i = 0; i < *n; i++) {
		const str id = arena_join3(tx_arena(tx), keys[i].algorithm, S(":"), keys[i].key_id);
		const struct one_time_key_row *same = map_get(&known, id);

		if (same)
			TRY(same_key(tx, same, &keys[i]));
		else
			keys[kept++] = keys[i];
	}
	*n = kept;
	return NULL;
}

static err *run_one_time_keys(struct tx *tx, struct key_upload *u)
{
	struct one_time_key_row *keys = ARENA_ARRAY(tx_arena(tx), struct one_time_key_row, u->n_one_time);
	size_t n = u->n_one_time, added;

	memcpy(keys, u->one_time, n * sizeof(*keys));
	TRY(drop_known(tx, u, keys, &n));
	if (!n)
		return NULL;
	TRY(store_one_time_keys_add(tx, u->user, u->device_id, u->place, keys, n, &added));
	u->counts_changed = true;
	u->added += added;
	return added == n ? NULL : gone(tx);
}

static err *check_counts(struct tx *tx, const struct key_counts *c)
{
	int64_t all = 0;

	for (size_t i = 0; i < c->n_one_time; i++) {
		all += c->one_time[i].n;
		if (c->one_time[i].n > ONE_TIME_KEYS_MAX || all > ONE_TIME_KEYS_ALL)
			return err_new(tx_arena(tx), ERR_TOO_MANY_KEYS,
				       "A device holds at most %d unclaimed one-time keys of an algorithm, %d in all",
				       (int)ONE_TIME_KEYS_MAX, (int)ONE_TIME_KEYS_ALL);
	}
	if (c->n_algorithms > KEY_ALGORITHMS_MAX)
		return err_new(tx_arena(tx), ERR_TOO_MANY_KEYS, "Keys of at most %d algorithms",
			       (int)KEY_ALGORITHMS_MAX);
	return NULL;
}

err *key_upload_run(struct tx *tx, void *arg)
{
	struct key_upload *u = arg;

	u->keys_changed = u->counts_changed = false;
	u->added = 0;
	if (u->device_keys)
		TRY(run_device_keys(tx, u));
	if (u->n_one_time)
		TRY(run_one_time_keys(tx, u));
	if (u->n_fallback) {
		size_t changed;

		TRY(store_fallback_keys_save(tx, u->user, u->device_id, u->fallback, u->n_fallback, &changed));
		u->counts_changed |= changed > 0;
		u->added += changed;
	}
	TRY(e2ee_key_counts(tx, u->a, u->user, u->device_id, &u->counts));
	return u->counts_changed ? check_counts(tx, &u->counts) : NULL;
}

err *key_upload_late(struct tx *tx, void *arg)
{
	struct key_upload *u = arg;

	if (u->keys_changed) {
		u->note = (struct device_list_note){ .user = u->user, .a = u->a };
		TRY(device_list_note_write(tx, &u->note));
	}
	return u->counts_changed ? tx_position(tx, &u->position) : NULL;
}

void key_upload_tell(struct e2ee *e, const struct key_upload *u)
{
	if (u->keys_changed)
		lists_tell(e, &u->note);
	if (u->counts_changed)
		bus_touch_user(e->opt.bus, u->user, BUS_TO_DEVICE, u->position);
	metric_add(e->keys_uploaded, (int64_t)u->added);
}

struct job {
	struct e2ee *e;
	struct key_upload *u;
};

static err *upload_run(struct tx *tx, void *arg) { return key_upload_run(tx, ((struct job *)arg)->u); }

static err *upload_late(struct tx *tx, void *arg) { return key_upload_late(tx, ((struct job *)arg)->u); }

static void upload_after(void *arg, const err *result)
{
	const struct job *j = arg;

	if (!result)
		key_upload_tell(j->e, j->u);
}

err *e2ee_keys_upload(struct e2ee *e, struct arena *a, const struct json *body, struct key_upload *u)
{
	struct job j = { e, u };
	const struct piece piece = {
		.run = upload_run, .late = upload_late, .after = upload_after, .arg = &j, .positions = 2
	};
	struct ticket *ticket;

	TRY(key_upload_read(e, a, body, u));
	if (!u->device_keys && !u->n_one_time && !u->n_fallback) {
		AUTO_TX tx = NULL;

		TRY(store_read(e->opt.store, a, &tx));
		return e2ee_key_counts(tx, a, u->user, u->device_id, &u->counts);
	}
	TRY(store_write(e->opt.store, a, &piece, &ticket));
	return store_wait(a, ticket);
}
