/*
 * keys_query.c - what is told of devices' and users' keys.
 *
 * "To avoid leaking of social graphs, servers will only allow users to see" the signatures of a key's owner, and their
 * own: the former are part of the texts that are kept, the latter are spliced in here. Keys are not parsed.
 *
 * Of who is asked for as a whole, and by another, the answer is kept in memory (shown_keys.h) as everybody is shown it:
 * then only when the user's keys last changed is looked up, and what the asker has signed.
 */
#include "e2ee/keys_query.h"

#include <stdlib.h>

#include "base/map.h"
#include "e2ee/internal_e2ee.h"
#include "e2ee/key_object.h"
#include "e2ee/shown_keys.h"
#include "json/writer.h"
#include "matrix/id.h"
#include "store/cross_signing.h"
#include "store/device_keys.h"
#include "store/device_lists.h"
#include "store/remote_lists.h"

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
};
/* Some of them, ascending; and their numbers. */
struct batch {
	struct queried_user **of;
	int64_t *users;
	size_t n;
};
struct shown_device {
	str device_id, keys, display_name;
};

static struct batch batch_new(const struct query *q, size_t room)
{
	return (struct batch){ ARENA_ARRAY(q->a, struct queried_user *, room), ARENA_ARRAY(q->a, int64_t, room), 0 };
}

static void batch_add(struct batch *b, struct queried_user *u)
{
	b->users[b->n] = u->user;
	b->of[b->n++] = u;
}

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

static void add_user(struct query *q, str user_id, int64_t user, const struct json *asked)
{
	struct queried_user *u = &q->out->users[q->out->n++];

	*u = (struct queried_user){ .user_id = user_id, .asked = asked, .devices = S("{}"), .user = user };
	if (user)
		q->known[q->n_known++] = u;
}

static int by_their_number(const void *x, const void *y)
{
	const struct remote_list_row *p = x, *r = y;

	return (p->user > r->user) - (p->user < r->user);
}

/* How those stand to us whose number is known, by number. */
struct standings {
	struct remote_list_row *p;
	size_t n;
};

static err *read_standings(struct query *q, struct tx *tx, const struct absent_user *list, size_t n,
			   struct standings *out)
{
	struct standings s = { ARENA_ARRAY(q->a, struct remote_list_row, n), 0 };
	int64_t *users = ARENA_ARRAY(q->a, int64_t, n);

	for (size_t i = 0; i < n; i++)
		if (list[i].user)
			s.p[s.n++].user = list[i].user;
	if (s.n)
		qsort(s.p, s.n, sizeof(*s.p), by_their_number);
	for (size_t i = 0; i < s.n; i++)
		users[i] = s.p[i].user;
	*out = s;
	return store_remote_lists(tx, q->e->own_server, users, s.n, s.p);
}

static struct remote_list_row standing_of(const struct standings *s, int64_t user)
{
	const struct remote_list_row key = { .user = user, .told = -1 };
	const struct remote_list_row *at = s->n ? bsearch(&key, s->p, s->n, sizeof(*s->p), by_their_number) : NULL;

	return at ? *at : key;
}

/* Users of other servers whose list we are kept told about are known like ours. */
static err *read_remote(struct query *q, struct tx *tx, struct absent_user *list, size_t n)
{
	struct standings standings;

	q->out->absent = ARENA_ARRAY(q->a, struct absent_user, n);
	for (size_t i = 0; i < n; i++)
		TRY(store_intern_find(q->e->opt.store, q->a, list[i].user_id, &list[i].user));
	TRY(read_standings(q, tx, list, n, &standings));
	for (size_t i = 0; i < n; i++) {
		const struct remote_list_row at = standing_of(&standings, list[i].user);

		list[i].shares = at.shares;
		list[i].is_old = at.told >= 0;
		if (at.kept)
			add_user(q, list[i].user_id, list[i].user, list[i].asked);
		else
			q->out->absent[q->out->n_absent++] = list[i];
	}
	return NULL;
}

static err *read_users(struct query *q, struct tx *tx, const struct json *device_keys)
{
	struct absent_user *remote = ARENA_ARRAY(q->a, struct absent_user, device_keys->object.n);
	size_t n_remote = 0;
	struct map seen;

	map_init(&seen, q->a);
	q->out->users = ARENA_ARRAY(q->a, struct queried_user, device_keys->object.n);
	q->known = ARENA_ARRAY(q->a, struct queried_user *, device_keys->object.n);
	JSON_EACH (device_keys, m) {
		int64_t user;

		if (!are_device_ids(m->value))
			return err_new(q->a, ERR_BAD_JSON, "device_keys must be lists of device ids by user id");
		if (!id_user_valid(m->key) || map_put(&seen, m->key, &seen))
			continue;
		if (!str_eq(id_server(m->key), q->e->opt.server_name)) {
			remote[n_remote++] = (struct absent_user){ .user_id = m->key, .asked = m->value };
			continue;
		}
		TRY(store_intern_find(q->e->opt.store, q->a, m->key, &user));
		add_user(q, m->key, user, m->value);
	}
	if (q->asker && n_remote)
		TRY(read_remote(q, tx, remote, n_remote));
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
		struct shown_device *more = ARENA_ARRAY(q->a, struct shown_device, u->room * 2 + 2);

		if (u->n)
			memcpy(more, u->listed, u->n * sizeof(*more));
		u->listed = more;
		u->room = u->room * 2 + 2;
	}
	u->listed[u->n++] = (struct shown_device){ row->device_id, row->keys, row->display_name };
}

/* None: all devices are asked for, of one of the users at least. */
static str *device_ids(const struct query *q, const struct batch *b, size_t *out_n)
{
	size_t total = 0, got = 0;
	str *ids;

	*out_n = 0;
	for (size_t i = 0; i < b->n; i++) {
		if (b->of[i]->asked->array.n == 0)
			return NULL;
		total += b->of[i]->asked->array.n;
	}
	ids = ARENA_ARRAY(q->a, str, total);
	for (size_t i = 0; i < b->n; i++)
		JSON_ITEMS (b->of[i]->asked, d)
			ids[got++] = b->of[i]->asked->array.items[d]->s;
	*out_n = total;
	return ids;
}

static void write_devices(struct buf *buf, const struct queried_user *u)
{
	struct jw w = jw_to(buf);

	buf_reset(buf);
	jw_object(&w, NULL);
	for (size_t i = 0; i < u->n; i++) {
		const struct shown_device *d = &u->listed[i];

		jw_key(&w, d->device_id);
		jw_object(&w, NULL);
		jw_members(&w, d->keys);
		jw_object(&w, "unsigned");
		if (!str_is_none(d->display_name))
			jw_str(&w, "device_display_name", d->display_name);
		jw_end(&w);
		jw_end(&w);
	}
	jw_end(&w);
}

static err *read_devices(struct query *q, struct tx *tx, const struct batch *b)
{
	AUTO_BUF text = BUF_INIT(SIZE_MAX);
	struct queried_user *u = NULL;
	struct device_keys_row *rows;
	size_t n_rows, n_ids;
	const str *ids = device_ids(q, b, &n_ids);

	TRY(store_device_keys(tx, b->users, b->n, ids, n_ids, &rows, &n_rows));
	for (size_t i = 0; i < n_rows; i++) {
		if (!u || u->user != rows[i].user)
			u = find(q, rows[i].user);

		if (u && is_asked(u, rows[i].device_id))
			add_device(q, u, &rows[i]);
	}
	for (size_t i = 0; i < b->n; i++) {
		if (!b->of[i]->n)
			continue;
		write_devices(&text, b->of[i]);
		b->of[i]->devices = arena_keep(q->a, buf_str(&text));
	}
	return NULL;
}

/*
 * Cross-signing
 */
/* Signatures on other servers' users' keys stay when those change: no other key is shown with one. */
static bool is_of_key(struct query *q, str master, str public_key)
{
	return str_contains(master, arena_join3(q->a, S("\"keys\":{\"ed25519:"), public_key, S("\":")));
}

static err *add_own_signatures(struct query *q, struct tx *tx, const int64_t *users, size_t n)
{
	struct user_signature_row *rows;
	size_t n_rows;

	TRY(store_user_signatures(tx, q->asker, users, n, &rows, &n_rows));
	for (size_t i = 0; i < n_rows; i++) {
		struct queried_user *u = find(q, rows[i].user);

		/* Also those on keys of other users are read, and `users` is sorted. */
		if (u && !str_is_none(u->master) && u->user >= users[0] && u->user <= users[n - 1] &&
		    is_of_key(q, u->master, rows[i].master))
			u->master = key_text_with(q->a, u->master, q->asker_id, rows[i].key_id, rows[i].signature);
	}
	return NULL;
}

static void show(struct query *q, str *key)
{
	if (!str_is_none(*key))
		*key = key_text_shown(q->a, *key);
}

static err *read_cross_signing(struct query *q, struct tx *tx, const struct batch *b)
{
	struct cross_signing_row *rows;
	size_t n_rows;

	TRY(store_cross_signing(tx, q->asker, b->users, b->n, &rows, &n_rows));
	for (size_t i = 0; i < n_rows; i++) {
		struct queried_user *u = find(q, rows[i].user);

		if (!u)
			continue;
		u->master = rows[i].master;
		u->self_signing = rows[i].self_signing;
		/* "USK -- only visible to the user that it belongs to" */
		u->user_signing = u->user == q->asker ? rows[i].user_signing : STR_NONE;
	}
	return NULL;
}

/*
 * All of it
 */
/* The user-signing key is not in memory, nor which devices are some. */
static bool is_whole(const struct query *q, const struct queried_user *u)
{
	return u->asked->array.n == 0 && u->user != q->asker;
}

static struct shown_keys *shown_of(struct shown_keys *list, size_t n, int64_t user)
{
	size_t from = 0, to = n;

	while (from < to) {
		const size_t mid = from + (to - from) / 2;

		if (list[mid].user == user)
			return &list[mid];
		if (list[mid].user < user)
			from = mid + 1;
		else
			to = mid;
	}
	return NULL;
}

/* What is known of the batch's users as they are now. */
static err *recall(struct query *q, struct tx *tx, const struct batch *b, struct shown_keys **out)
{
	struct shown_keys *list = ARENA_ARRAY(q->a, struct shown_keys, b->n);
	struct device_list_row *rows;
	size_t n_rows;

	for (size_t i = 0; i < b->n; i++)
		list[i].user = b->users[i];
	*out = list;
	if (!b->n)
		return NULL;
	TRY(store_device_list_streams(tx, b->users, b->n, &rows, &n_rows));
	for (size_t i = 0; i < n_rows; i++) {
		struct shown_keys *k = shown_of(list, b->n, rows[i].user);

		if (k)
			k->stream = rows[i].stream;
	}
	shown_cache_get(q->e->shown, q->a, list, b->n);
	return NULL;
}

/* The first pass over `whole` takes what is known; the second keeps what was read. */
static err *read_some(struct query *q, struct tx *tx, size_t from, size_t n)
{
	struct batch all = batch_new(q, n), whole = batch_new(q, n), unknown = batch_new(q, n);
	struct shown_keys *shown;

	for (size_t i = from; i < from + n; i++) {
		batch_add(&all, q->known[i]);
		if (is_whole(q, q->known[i]))
			batch_add(&whole, q->known[i]);
	}
	TRY(recall(q, tx, &whole, &shown));
	for (size_t i = 0, w = 0; i < n; i++) {
		struct queried_user *u = all.of[i];
		const struct shown_keys *k = w < whole.n && whole.of[w] == u ? &shown[w++] : NULL;

		if (!k || str_is_none(k->devices)) {
			batch_add(&unknown, u);
			continue;
		}
		u->devices = k->devices;
		u->master = k->master;
		u->self_signing = k->self_signing;
	}
	TRY(read_devices(q, tx, &unknown));
	TRY(read_cross_signing(q, tx, &unknown));
	for (size_t i = 0; i < whole.n; i++) {
		const struct queried_user *u = whole.of[i];

		if (str_is_none(shown[i].devices))
			shown_cache_put(q->e->shown, &(struct shown_keys){ u->user, shown[i].stream, u->devices,
									   u->master, u->self_signing });
	}
	if (q->asker)
		TRY(add_own_signatures(q, tx, all.users, all.n));
	for (size_t i = 0; i < n; i++) {
		show(q, &all.of[i]->master);
		show(q, &all.of[i]->self_signing);
		show(q, &all.of[i]->user_signing);
	}
	return NULL;
}

static err *read_known(struct query *q, struct tx *tx)
{
	if (q->n_known)
		qsort(q->known, q->n_known, sizeof(*q->known), by_number);
	for (size_t from = 0; from < q->n_known; from += USERS_AT_ONCE)
		TRY(read_some(q, tx, from, MIN(q->n_known - from, USERS_AT_ONCE)));
	return NULL;
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
	TRY(read_users(&q, tx, device_keys));
	return read_known(&q, tx);
}

err *e2ee_keys_here(struct e2ee *e, struct arena *a, int64_t asker, str asker_id, struct absent_user *users, size_t n,
		    struct keys_answer *out)
{
	struct query q = { .e = e, .a = a, .asker = asker, .asker_id = asker_id, .out = out };
	struct queried_user *all = ARENA_ARRAY(a, struct queried_user, out->n + n);
	struct standings standings;
	AUTO_TX tx = NULL;

	if (out->n)
		memcpy(all, out->users, out->n * sizeof(*all));
	out->users = all;
	q.known = ARENA_ARRAY(a, struct queried_user *, n);
	TRY(store_read(e->opt.store, a, &tx));
	TRY(read_standings(&q, tx, users, n, &standings));
	for (size_t i = 0; i < n; i++) {
		users[i].is_old = standing_of(&standings, users[i].user).told >= 0;
		if (users[i].is_old)
			add_user(&q, users[i].user_id, users[i].user, users[i].asked);
	}
	return read_known(&q, tx);
}
