/*
 * list_sender.c - telling other servers which of our users' devices are others now.
 *
 * Whoever changes a list does no more than they always did: note the user's newest change. A thread goes through the
 * notes in their order, compares each user's devices with what was told of them (a digest each), and puts an EDU for
 * each difference into the outbox of every server that shares a room with the user, together with the digests, in one
 * transaction. How far it came is kept, so nothing is missed by a restart, and nothing told twice.
 *
 * stream_id is a number of the list's own, one for each EDU; prev_id names the one before. A server that did not get
 * that one (it shared no room then, or its row was replaced by a newer one) sees a gap and fetches the list: so no
 * account is kept of who got what. When a user comes into a room with others, their devices are told again under the
 * newest number: who knows them finds nothing new, who does not has heard that there is a list.
 */
#include "e2ee/list_sender.h"

#include "base/chore.h"
#include "base/map.h"
#include "base/thread.h"
#include "crypto/crypto.h"
#include "e2ee/internal_e2ee.h"
#include "federation/outbox.h"
#include "json/writer.h"
#include "matrix/id.h"
#include "store/meta.h"
#include "store/remote_lists.h"
#include "store/tx.h"

enum { USERS_AT_ONCE = 100, DEVICES_MOST = 1000, JOINED_MOST = 10000, CURSOR_EVERY = 1000 };
static const str cursor_name = STR("device_lists_told");
static const str identity = STR(""); /* in place of a device's id */

struct list_sender {
	struct chore *_Atomic chore; /* its thread looks for it before it is here */
	struct lock lock;
	struct map joined; /* users: who is to be told of anew */
	int64_t cursor;    /* the chore's own */
	int64_t saved;
	bool known;
};

void list_sender_kick(struct e2ee *e)
{
	if (e->list_sender && e->list_sender->chore)
		chore_kick(e->list_sender->chore);
}

void list_sender_joined(struct e2ee *e, int64_t user)
{
	struct list_sender *s = e->list_sender;

	if (!s)
		return;
	lock_take(&s->lock);
	if (s->joined.n < JOINED_MOST)
		map_put_i(&s->joined, user, s);
	lock_drop(&s->lock);
	list_sender_kick(e);
}

err *list_sender_stream_id(struct e2ee *e, struct arena *a, str user_id, int64_t *out)
{
	struct told_device *devices;
	int64_t user;
	size_t n;
	AUTO_TX tx = NULL;

	TRY(store_intern_find(e->opt.store, a, user_id, &user));
	TRY(store_read(e->opt.store, a, &tx));
	return store_told(tx, user, out, &devices, &n);
}

/*
 * One user
 */
struct telling {
	struct e2ee *e;
	struct arena *a;
	int64_t user, upto;
	str user_id;
	bool again;
	/* of one run */
	int64_t *servers;
	size_t n_servers;
	int64_t stream_id, before;
	bool any;
};

static str digest_of(struct arena *a, str text, str more)
{
	const str both = arena_join3(a, text, S("\n"), more);
	uint8_t digest[32];

	sha256(both, digest);
	return arena_keep(a, (str){ (const char *)digest, sizeof(digest) });
}

static err *send(struct telling *t, struct tx *tx, str type, str about, str content)
{
	const str key = arena_join3(tx_arena(tx), t->user_id, S("\n"), about);

	for (size_t i = 0; i < t->n_servers; i++)
		TRY(outbox_edu_write(tx, t->servers[i], type, key, content));
	t->any = true;
	return NULL;
}

/* keys STR_NONE: the device is gone. */
static err *tell_device(struct telling *t, struct tx *tx, const struct device_keys_row *d, bool is_new)
{
	AUTO_BUF buf = BUF_INIT(SIZE_MAX);
	struct jw w = jw_to(&buf);

	t->before = t->stream_id;
	t->stream_id += is_new;
	jw_object(&w, NULL);
	jw_str(&w, "user_id", t->user_id);
	jw_str(&w, "device_id", d->device_id);
	jw_int(&w, "stream_id", t->stream_id);
	jw_array(&w, "prev_id");
	if (is_new && t->before)
		jw_int(&w, NULL, t->before);
	jw_end(&w);
	if (str_is_none(d->keys)) {
		jw_bool(&w, "deleted", true);
	} else {
		jw_raw(&w, "keys", d->keys);
		if (!str_is_none(d->display_name) && t->e->opt.tell_device_names)
			jw_str(&w, "device_display_name", d->display_name);
	}
	jw_end(&w);
	return send(t, tx, S("m.device_list_update"), d->device_id, arena_keep(tx_arena(tx), buf_str(&buf)));
}

static err *tell_identity(struct telling *t, struct tx *tx, const struct cross_signing_row *keys)
{
	AUTO_BUF buf = BUF_INIT(SIZE_MAX);
	struct jw w = jw_to(&buf);

	jw_object(&w, NULL);
	jw_str(&w, "user_id", t->user_id);
	jw_raw(&w, "master_key", keys->master);
	if (!str_is_none(keys->self_signing))
		jw_raw(&w, "self_signing_key", keys->self_signing);
	jw_end(&w);
	return send(t, tx, S("m.signing_key_update"), identity, arena_keep(tx_arena(tx), buf_str(&buf)));
}

static const struct told_device *told_of(const struct told_device *list, size_t n, str device_id)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(list[i].device_id, device_id))
			return &list[i];
	return NULL;
}

static bool is_there(const struct device_keys_row *rows, size_t n, str device_id)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(rows[i].device_id, device_id))
			return true;
	return false;
}

static err *tell_devices(struct telling *t, struct tx *tx, const struct told_device *told, size_t n_told)
{
	struct device_keys_row *rows;
	size_t n;

	TRY(store_device_keys(tx, &t->user, 1, NULL, 0, &rows, &n));
	n = MIN(n, (size_t)DEVICES_MOST);
	for (size_t i = 0; i < n; i++) {
		const struct told_device now = { rows[i].device_id,
						 digest_of(tx_arena(tx), rows[i].keys, rows[i].display_name) };
		const struct told_device *before = told_of(told, n_told, now.device_id);
		const bool is_new = !before || !str_eq(before->digest, now.digest);

		if (!is_new && !t->again)
			continue;
		TRY(tell_device(t, tx, &rows[i], is_new));
		if (is_new)
			TRY(store_told_device(tx, t->user, &now));
	}
	for (size_t i = 0; i < n_told; i++) {
		const struct device_keys_row gone = { .user = t->user, .device_id = told[i].device_id };

		if (str_eq(gone.device_id, identity) || is_there(rows, n, gone.device_id))
			continue;
		TRY(tell_device(t, tx, &gone, true));
		TRY(store_told_device(tx, t->user, &(struct told_device){ gone.device_id, STR_NONE }));
	}
	return NULL;
}

static err *tell_keys(struct telling *t, struct tx *tx, const struct told_device *told, size_t n_told)
{
	const struct told_device *before = told_of(told, n_told, identity);
	struct cross_signing_row keys = { 0 };
	struct told_device now = { identity, STR_NONE };
	bool found;

	TRY(store_cross_signing_get(tx, t->user, &keys, &found));
	if (!found || str_is_none(keys.master))
		return NULL;
	now.digest = digest_of(tx_arena(tx), keys.master, keys.self_signing);
	if (before && str_eq(before->digest, now.digest) && !t->again)
		return NULL;
	TRY(tell_identity(t, tx, &keys));
	return store_told_device(tx, t->user, &now);
}

static err *save_cursor(struct tx *tx, int64_t position)
{
	return store_meta_set(tx, cursor_name, arena_printf(tx_arena(tx), "%" PRId64, position));
}

static err *tell_late(struct tx *tx, void *arg)
{
	struct telling *t = arg;
	struct told_device *told;
	size_t n_told;

	t->any = false;
	TRY(store_servers_of_user(tx, t->e->own_server, t->user, &t->servers, &t->n_servers));
	if (t->n_servers == 0)
		return store_told_forget(tx, t->user);
	TRY(store_told(tx, t->user, &t->stream_id, &told, &n_told));
	TRY(tell_devices(t, tx, told, n_told));
	TRY(tell_keys(t, tx, told, n_told));
	TRY(store_told_stream_id(tx, t->user, t->stream_id));
	return t->upto ? save_cursor(tx, t->upto) : NULL;
}

static void tell_after(void *arg, const err *result)
{
	const struct telling *t = arg;

	if (!result && t->any && t->e->outbox)
		outbox_edu_tell(t->e->outbox, t->servers, t->n_servers);
}

static err *tell(struct e2ee *e, struct arena *a, int64_t user, int64_t upto, bool again)
{
	struct telling t = { .e = e, .a = a, .user = user, .upto = upto, .again = again };
	struct piece piece = { .late = tell_late, .after = tell_after, .arg = &t };
	struct told_device *told;
	struct ticket *ticket;
	int64_t *servers;
	size_t n, n_told;
	AUTO_TX tx = NULL;

	TRY(store_intern_text(e->opt.store, a, user, &t.user_id));
	if (!id_is_of(t.user_id, e->opt.server_name))
		return NULL;
	TRY(store_read(e->opt.store, a, &tx));
	TRY(store_servers_of_user(tx, e->own_server, user, &servers, &n));
	TRY(store_told(tx, user, &piece.positions, &told, &n_told));
	store_read_end(&tx);
	if (n == 0 && n_told == 0)
		return NULL; /* nobody to tell, nothing to forget */
	piece.positions = (int64_t)(n * (n_told + 4)) + 1;
	TRY(store_write(e->opt.store, a, &piece, &ticket));
	return store_wait(a, ticket);
}

/*
 * All of them
 */
static err *load_cursor(struct e2ee *e, struct arena *a)
{
	struct list_sender *s = e->list_sender;
	str text;
	AUTO_TX tx = NULL;

	if (s->known)
		return NULL;
	TRY(store_read(e->opt.store, a, &tx));
	TRY(store_meta_get(tx, cursor_name, &text));
	/* Before there was federation nobody had to be told of anything. */
	if (str_is_none(text) || !str_to_i64(text, &s->cursor))
		TRY(store_stream_head(tx, &s->cursor));
	s->saved = str_is_none(text) ? INT64_MIN / 2 : s->cursor;
	s->known = true;
	return NULL;
}

static err *cursor_write(struct tx *tx, void *arg) { return save_cursor(tx, *(int64_t *)arg); }

/* Now and then also where nobody had to be told: a restart begins there. */
static err *keep_cursor(struct e2ee *e, struct arena *a)
{
	struct list_sender *s = e->list_sender;

	if (s->cursor - s->saved < CURSOR_EVERY)
		return NULL;
	TRY(store_do(e->opt.store, a, cursor_write, &s->cursor));
	s->saved = s->cursor;
	return NULL;
}

static bool stopping(const struct e2ee *e) { return e->list_sender->chore && chore_stopping(e->list_sender->chore); }

static err *tell_changed(struct e2ee *e, struct arena *a, size_t *out_n)
{
	struct list_sender *s = e->list_sender;
	struct changed_list *list;
	AUTO_TX tx = NULL;

	TRY(store_read(e->opt.store, a, &tx));
	TRY(store_lists_changed_above(tx, s->cursor, USERS_AT_ONCE, &list, out_n));
	store_read_end(&tx);
	for (size_t i = 0; i < *out_n && !stopping(e); i++) {
		TRY(tell(e, a, list[i].user, list[i].stream, false));
		s->cursor = list[i].stream;
	}
	return keep_cursor(e, a);
}

/* Who joined since it was asked last. */
static size_t take_joined(struct list_sender *s, struct arena *a, int64_t **out)
{
	size_t at = 0, n = 0;
	int64_t user;
	void *value;

	LOCKED(&s->lock);
	*out = ARENA_ARRAY(a, int64_t, s->joined.n);
	while (map_next_i(&s->joined, &at, &user, &value))
		(*out)[n++] = user;
	map_done(&s->joined);
	map_init(&s->joined, NULL);
	return n;
}

err *list_sender_work(struct e2ee *e, struct arena *a)
{
	int64_t *joined;
	size_t n_joined, n = 1;

	TRY(load_cursor(e, a));
	while (n && !stopping(e)) {
		AUTO_ARENA round = arena_new();

		TRY(tell_changed(e, round, &n));
	}
	n_joined = take_joined(e->list_sender, a, &joined);
	for (size_t i = 0; i < n_joined && !stopping(e); i++) {
		AUTO_ARENA round = arena_new();

		TRY(tell(e, round, joined[i], 0, true));
	}
	return NULL;
}

static err *work(struct chore *c, void *ctx, struct arena *a)
{
	(void)c;
	return list_sender_work(ctx, a);
}

void list_sender_begin(struct e2ee *e)
{
	struct list_sender *s = MEM_NEW(struct list_sender);

	lock_init(&s->lock, RANK_SERVICE);
	map_init(&s->joined, NULL);
	e->list_sender = s;
}

void list_sender_start(struct e2ee *e)
{
	list_sender_begin(e);
	e->list_sender->chore =
		chore_new("list-sender", work, e, e->opt.log, "other servers did not hear of changed devices");
}

void list_sender_end(struct e2ee *e)
{
	struct list_sender *s = e->list_sender;
	struct chore *chore;

	if (!s)
		return;
	chore = s->chore;
	chore_free(&chore);
	map_done(&s->joined);
	lock_done(&s->lock);
	e->list_sender = NULL;
	mem_free(s);
}
