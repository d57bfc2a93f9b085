/*
 * keys_query.c - what is told of devices' and users' keys.
 *
 * "To avoid leaking of social graphs, servers will only allow users to see" the signatures of a key's owner, and their
 * own: the former are part of the texts that are kept, the latter are spliced in here. Keys are not parsed.
 */
#include "e2ee/keys_query.h"

#include <stdlib.h>

#include "base/map.h"
#include "e2ee/internal_e2ee.h"
#include "e2ee/key_object.h"
#include "matrix/id.h"
#include "store/cross_signing.h"
#include "store/device_keys.h"

/* So many users are read at once: lists in statements stay short. */
enum { USERS_AT_ONCE = 1000 };

struct query {
	struct e2ee *e;
	struct arena *a;
	int64_t asker;
	str asker_id;
	struct keys_answer *out;
	struct queried_user **known; /* by number */
	size_t n_known;
	bool some; /* no user is asked for with all devices */
};

static bool are_device_ids(const struct json *list)
{
	if (!json_is(list, JSON_ARRAY))
		return false;
	JSON_ITEMS (list, i)
		if (!json_is(list->array.items[i], JSON_STR))
			return false;
	return true;
}

static int by_number(const void *x, const void *y)
{
	const struct queried_user *const *p = x, *const *q = y;

	return ((*p)->user > (*q)->user) - ((*p)->user < (*q)->user);
}

static err *read_users(struct query *q, const struct json *device_keys)
{
	VEC(str) servers = { 0 };
	struct map seen;

	map_init(&seen, q->a);
	q->out->users = ARENA_ARRAY(q->a, struct queried_user, device_keys->object.n);
	q->known = ARENA_ARRAY(q->a, struct queried_user *, device_keys->object.n);
	q->some = true;
	JSON_EACH (device_keys, m) {
		const str server = id_server(m->key);
		struct queried_user *u;

		if (!are_device_ids(m->value))
			return err_new(q->a, ERR_BAD_JSON, "device_keys must be lists of device ids by user id");
		if (!id_user_valid(m->key) || map_put(&seen, m->key, &seen))
			continue;
		if (!str_eq(server, q->e->opt.server_name)) {
			if (!map_put(&seen, server, &seen))
				vec_push(q->a, &servers, server);
			continue;
		}
		u = &q->out->users[q->out->n++];
		u->user_id = m->key;
		u->asked = m->value;
		TRY(store_intern_find(q->e->opt.store, q->a, m->key, &u->user));
		if (!u->user)
			continue;
		q->known[q->n_known++] = u;
		q->some = q->some && m->value->array.n > 0;
	}
	if (q->n_known)
		qsort(q->known, q->n_known, sizeof(*q->known), by_number);
	q->out->unreachable = servers.p;
	q->out->n_unreachable = servers.n;
	return NULL;
}

static struct queried_user *find(const struct query *q, int64_t user)
{
	const struct queried_user key = { .user = user }, *const p = &key;
	struct queried_user **at = bsearch(&p, q->known, q->n_known, sizeof(*q->known), by_number);

	return at ? *at : NULL;
}

/*
 * Devices
 */
static bool is_asked(const struct queried_user *u, str device_id)
{
	return u->asked->array.n == 0 || json_lists(u->asked, device_id);
}

static void add_device(struct query *q, struct queried_user *u, const struct device_keys_row *row)
{
	if (u->n == u->room) {
		struct queried_device *more = ARENA_ARRAY(q->a, struct queried_device, u->room * 2 + 2);

		if (u->n)
			memcpy(more, u->devices, u->n * sizeof(*more));
		u->devices = more;
		u->room = u->room * 2 + 2;
	}
	u->devices[u->n++] = (struct queried_device){ row->device_id, row->keys, row->display_name };
}

static str *device_ids(const struct query *q, size_t from, size_t n, size_t *out_n)
{
	size_t total = 0, got = 0;
	str *ids;

	*out_n = 0;
	if (!q->some)
		return NULL;
	for (size_t i = from; i < from + n; i++)
		total += q->known[i]->asked->array.n;
	ids = ARENA_ARRAY(q->a, str, total);
	for (size_t i = from; i < from + n; i++)
		JSON_ITEMS (q->known[i]->asked, d)
			ids[got++] = q->known[i]->asked->array.items[d]->s;
	*out_n = total;
	return ids;
}

static err *read_devices(struct query *q, struct tx *tx, size_t from, const int64_t *users, size_t n)
{
	struct queried_user *u = NULL;
	struct device_keys_row *rows;
	size_t n_rows, n_ids;
	const str *ids = device_ids(q, from, n, &n_ids);

	TRY(store_device_keys(tx, users, n, ids, n_ids, &rows, &n_rows));
	for (size_t i = 0; i < n_rows; i++) {
		if (!u || u->user != rows[i].user)
			u = find(q, rows[i].user);

		if (u && is_asked(u, rows[i].device_id))
			add_device(q, u, &rows[i]);
	}
	return NULL;
}

/*
 * Cross-signing
 */
static err *add_own_signatures(struct query *q, struct tx *tx, const int64_t *users, size_t n)
{
	struct user_signature_row *rows;
	size_t n_rows;

	TRY(store_user_signatures(tx, q->asker, users, n, &rows, &n_rows));
	for (size_t i = 0; i < n_rows; i++) {
		struct queried_user *u = find(q, rows[i].user);

		/* Also those on keys of other users are read, and `users` is sorted. */
		if (u && !str_is_none(u->master) && u->user >= users[0] && u->user <= users[n - 1])
			u->master = key_text_with(q->a, u->master, q->asker_id, rows[i].key_id, rows[i].signature);
	}
	return NULL;
}

static void show(struct query *q, str *key)
{
	if (!str_is_none(*key))
		*key = key_text_shown(q->a, *key);
}

static err *read_cross_signing(struct query *q, struct tx *tx, size_t from, const int64_t *users, size_t n)
{
	struct cross_signing_row *rows;
	size_t n_rows;

	TRY(store_cross_signing(tx, q->asker, users, n, &rows, &n_rows));
	for (size_t i = 0; i < n_rows; i++) {
		struct queried_user *u = find(q, rows[i].user);

		if (!u)
			continue;
		u->master = rows[i].master;
		u->self_signing = rows[i].self_signing;
		/* "USK -- only visible to the user that it belongs to" */
		u->user_signing = u->user == q->asker ? rows[i].user_signing : STR_NONE;
	}
	if (q->asker && n_rows)
		TRY(add_own_signatures(q, tx, users, n));
	for (size_t i = from; i < from + n; i++) {
		show(q, &q->known[i]->master);
		show(q, &q->known[i]->self_signing);
		show(q, &q->known[i]->user_signing);
	}
	return NULL;
}

static err *read_some(struct query *q, struct tx *tx, size_t from, size_t n)
{
	int64_t *users = ARENA_ARRAY(q->a, int64_t, n);

	for (size_t i = 0; i < n; i++)
		users[i] = q->known[from + i]->user;
	TRY(read_devices(q, tx, from, users, n));
	return read_cross_signing(q, tx, from, users, n);
}

err *e2ee_keys_query(struct e2ee *e, struct arena *a, int64_t asker, str asker_id, const struct json *device_keys,
		     struct keys_answer *out)
{
	struct query q = { .e = e, .a = a, .asker = asker, .asker_id = asker_id, .out = out };
	AUTO_TX tx = NULL;

	*out = (struct keys_answer){ 0 };
	if (!json_is(device_keys, JSON_OBJECT))
		return err_new(a, ERR_BAD_JSON, "device_keys must be an object");
	/* One snapshot, in which also users who are not known are looked for. */
	TRY(store_read(e->opt.store, a, &tx));
	TRY(read_users(&q, device_keys));
	for (size_t from = 0; from < q.n_known; from += USERS_AT_ONCE)
		TRY(read_some(&q, tx, from, MIN(q.n_known - from, USERS_AT_ONCE)));
	return NULL;
}
