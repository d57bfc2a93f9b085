/*
 * one_time_keys.c - keys that begin one conversation each, and what stands in for them.
 *
 * A claim takes the row away in the piece that answers it: whoever waits for the commit is the only one who ever gets
 * the key, and what was taken when the server was killed is gone, never given twice. Requests for many devices are cut
 * into pieces, so that no one holds up the writer.
 */
#include "e2ee/one_time_keys.h"

#include "base/map.h"
#include "bus/bus.h"
#include "e2ee/internal_e2ee.h"
#include "matrix/id.h"
#include "store/device_keys.h"
#include "store/tx.h"

enum { CLAIMS_PER_PIECE = 200 };

void one_time_keys_init(struct e2ee *e)
{
	static const char claims[] = "Keys that were asked for with /keys/claim, by what was given.";

	e->keys_uploaded = metric_counter("hearth_e2ee_keys_uploaded_total",
					  "One-time and fallback keys that devices uploaded.", "");
	e->claims_one_time = metric_counter("hearth_e2ee_claims_total", claims, "given=\"one_time\"");
	e->claims_fallback = metric_counter("hearth_e2ee_claims_total", claims, "given=\"fallback\"");
	e->claims_none = metric_counter("hearth_e2ee_claims_total", claims, "given=\"none\"");
}

err *e2ee_key_counts(struct tx *tx, struct arena *a, int64_t user, str device_id, struct key_counts *out)
{
	struct key_count_row *rows;
	struct key_count *counts;
	struct key_counts c = { 0 };
	str *unused;
	size_t n;

	TRY(store_key_counts(tx, user, device_id, &rows, &n));
	counts = ARENA_ARRAY(a, struct key_count, n);
	unused = ARENA_ARRAY(a, str, n);
	for (size_t i = 0; i < n; i++) {
		const str algorithm = arena_keep(a, rows[i].algorithm);

		if (rows[i].one_time)
			counts[c.n_one_time++] = (struct key_count){ algorithm, rows[i].one_time };
		if (rows[i].unused_fallback)
			unused[c.n_unused_fallback++] = algorithm;
	}
	c.one_time = counts;
	c.unused_fallback = unused;
	c.n_algorithms = n;
	*out = c;
	return NULL;
}

/*
 * Reading claims
 */
static err *read_user(struct arena *a, int64_t user, const struct json_member *of, struct key_claim *p, size_t *n)
{
	JSON_EACH (of->value, m) {
		if (m->value->kind != JSON_STR)
			return err_new(a, ERR_BAD_JSON, "one_time_keys must be algorithms by device id by user id");
		p[(*n)++] = (struct key_claim){
			.user = user, .user_id = of->key, .device_id = m->key, .algorithm = m->value->s
		};
	}
	return NULL;
}

err *key_claims_read(struct e2ee *e, struct arena *a, const struct json *by_user, struct key_claims *out)
{
	struct key_claims c = { 0 };
	AUTO_TX tx = NULL;
	struct map seen;
	struct key_claim *nobody;
	size_t n = 0, n_nobody = 0;

	if (!json_is(by_user, JSON_OBJECT))
		return err_new(a, ERR_BAD_JSON, "one_time_keys must be an object");
	JSON_EACH (by_user, user) {
		if (user->value->kind != JSON_OBJECT || user->value->dup)
			return err_new(a, ERR_BAD_JSON, "one_time_keys must be algorithms by device id by user id");
		n += user->value->object.n;
	}
	/* Many may be unknown: one snapshot to look for them in. */
	if (by_user->object.n > 8)
		TRY(store_read(e->opt.store, a, &tx));
	c.p = ARENA_ARRAY(a, struct key_claim, n);
	c.remote = ARENA_ARRAY(a, struct key_claim, n);
	nobody = ARENA_ARRAY(a, struct key_claim, n);
	map_init(&seen, a);
	JSON_EACH (by_user, of) {
		int64_t user = 0;

		if (!id_user_valid(of->key) || map_put(&seen, of->key, &seen))
			continue;
		if (!str_eq(id_server(of->key), e->opt.server_name)) {
			TRY(read_user(a, 0, of, c.remote, &c.n_remote));
			continue;
		}
		TRY(store_intern_find(e->opt.store, a, of->key, &user));
		/* Of who is not known only the form counts. */
		TRY(read_user(a, user, of, user ? c.p : nobody, user ? &c.n : &n_nobody));
	}
	*out = c;
	return NULL;
}

/*
 * Taking keys
 */
struct taking {
	struct e2ee *e;
	struct arena *a;
	struct key_claim *claims;
	size_t n;
	/* set by each run */
	size_t one_time, fallback;
	bool counts_changed; /* of any of the devices */
	int64_t position;
};

static err *take_run(struct tx *tx, void *arg)
{
	struct taking *t = arg;
	struct key_taking *list = ARENA_ARRAY(tx_arena(tx), struct key_taking, t->n);

	t->one_time = t->fallback = 0;
	t->counts_changed = false;
	for (size_t i = 0; i < t->n; i++)
		list[i] = (struct key_taking){ t->claims[i].user, t->claims[i].device_id, t->claims[i].algorithm };
	/* "The returned key is a one-time key if one is available, and otherwise a fallback key." */
	TRY(store_one_time_keys_take(tx, list, t->n));
	for (size_t i = 0; i < t->n; i++)
		t->one_time += !str_is_none(list[i].key_id);
	t->counts_changed = t->one_time > 0;
	if (t->one_time < t->n)
		TRY(store_fallback_keys_use(tx, list, t->n));
	for (size_t i = 0; i < t->n; i++) {
		struct key_claim *c = &t->claims[i];

		c->found = !str_is_none(list[i].key_id);
		c->key_id = arena_keep(t->a, list[i].key_id);
		c->key = arena_keep(t->a, list[i].key);
		t->fallback += c->found;
		t->counts_changed |= list[i].first;
	}
	t->fallback -= t->one_time;
	return NULL;
}

static err *take_late(struct tx *tx, void *arg)
{
	struct taking *t = arg;

	return t->counts_changed ? tx_position(tx, &t->position) : NULL;
}

static void take_after(void *arg, const err *result)
{
	const struct taking *t = arg;

	if (result || !t->counts_changed)
		return;
	for (size_t i = 0; i < t->n; i++)
		if (t->claims[i].found &&
		    (i == 0 || t->claims[i].user != t->claims[i - 1].user || !t->claims[i - 1].found))
			bus_touch_user(t->e->opt.bus, t->claims[i].user, BUS_TO_DEVICE, t->position);
}

err *e2ee_keys_claim(struct e2ee *e, struct arena *a, struct key_claims *claims)
{
	for (size_t from = 0; from < claims->n; from += CLAIMS_PER_PIECE) {
		struct taking t = { .e = e, .a = a, .claims = claims->p + from };
		const struct piece piece = { .run = take_run, .late = take_late, .after = take_after, .arg = &t };
		struct ticket *ticket;

		t.n = MIN(claims->n - from, CLAIMS_PER_PIECE);
		TRY(store_write(e->opt.store, a, &piece, &ticket));
		TRY(store_wait(a, ticket));
		metric_add(e->claims_one_time, (int64_t)t.one_time);
		metric_add(e->claims_fallback, (int64_t)t.fallback);
		metric_add(e->claims_none, (int64_t)(t.n - t.one_time - t.fallback));
	}
	return NULL;
}
