/*
 * list_sender.c - telling other servers which of our users' devices are others now.
 *
 * Whoever changes a list does no more than they always did: note the user's newest change. A thread goes through the
 * notes in their order, compares each user's devices with what was told of them (a digest each), and puts an EDU for
 * each difference into the outbox of every server that shares a room with the user. Ten devices in a room of thousands
 * of servers are tens of thousands of rows: they are written in pieces. The first one takes the numbers, the last one
 * keeps the digests and how far this thread came; so after a stop in between everything is told anew, under new numbers
 * that follow on the old ones, and who had a part of those sees a gap or nothing new. Nothing is missed by a restart.
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
enum { ROWS_AT_ONCE = 500 }; /* of a piece, which holds up whoever wants a position */
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
struct list_edu {
	str type, key, content;
};
struct telling {
	struct e2ee *e;
	struct arena *a;
	int64_t user, upto;
	str user_id;
	bool again;
	int64_t *servers;
	size_t n_servers;
	int64_t stream_id, before;
	VEC(struct list_edu) edus; /* in the order of their numbers */
	VEC(struct told_device) told;
	/* A piece: these of the rows, which are each EDU's for all servers, one EDU after the other. */
	size_t from, to;
};

static str digest_of(struct arena *a, str text, str more)
{
	const str both = arena_join3(a, text, S("\n"), more);
	uint8_t digest[32];

	sha256(both, digest);
	return arena_keep(a, (str){ (const char *)digest, sizeof(digest) });
}

static void add(struct telling *t, str type, str about, str content)
{
	const struct list_edu edu = { type, arena_join3(t->a, t->user_id, S("\n"), about), arena_keep(t->a, content) };

	vec_push(t->a, &t->edus, edu);
}

/* keys STR_NONE: the device is gone. */
static void tell_device(struct telling *t, const struct device_keys_row *d, bool is_new)
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
	add(t, S("m.device_list_update"), d->device_id, buf_str(&buf));
}

static void tell_identity(struct telling *t, const struct cross_signing_row *keys)
{
	AUTO_BUF buf = BUF_INIT(SIZE_MAX);
	struct jw w = jw_to(&buf);

	jw_object(&w, NULL);
	jw_str(&w, "user_id", t->user_id);
	jw_raw(&w, "master_key", keys->master);
	if (!str_is_none(keys->self_signing))
		jw_raw(&w, "self_signing_key", keys->self_signing);
	jw_end(&w);
	add(t, S("m.signing_key_update"), identity, buf_str(&buf));
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
		tell_device(t, &rows[i], is_new);
		if (is_new)
			vec_push(t->a, &t->told, now);
	}
	for (size_t i = 0; i < n_told; i++) {
		const struct device_keys_row gone = { .user = t->user, .device_id = told[i].device_id };

		if (str_eq(gone.device_id, identity) || is_there(rows, n, gone.device_id))
			continue;
		tell_device(t, &gone, true);
		vec_push(t->a, &t->told, ((struct told_device){ gone.device_id, STR_NONE }));
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
	tell_identity(t, &keys);
	vec_push(t->a, &t->told, now);
	return NULL;
}

static err *save_cursor(struct tx *tx, int64_t position)
{
	return store_meta_set(tx, cursor_name, arena_printf(tx_arena(tx), "%" PRId64, position));
}

static size_t n_rows(const struct telling *t) { return t->edus.n * t->n_servers; }

static err *write_end(struct tx *tx, const struct telling *t)
{
	if (t->n_servers == 0)
		TRY(store_told_forget(tx, t->user));
	for (size_t i = 0; i < t->told.n; i++)
		TRY(store_told_device(tx, t->user, &t->told.p[i]));
	return t->upto ? save_cursor(tx, t->upto) : NULL;
}

static err *tell_late(struct tx *tx, void *arg)
{
	const struct telling *t = arg;

	if (t->from == 0 && t->edus.n)
		TRY(store_told_stream_id(tx, t->user, t->stream_id));
	for (size_t at = t->from, n; at < t->to; at += n) {
		const struct list_edu *edu = &t->edus.p[at / t->n_servers];
		const size_t first = at % t->n_servers;

		n = MIN(t->n_servers - first, t->to - at);
		TRY(outbox_edu_write_all(tx, t->servers + first, n, edu->type, edu->key, edu->content));
	}
	return t->to == n_rows(t) ? write_end(tx, t) : NULL;
}

static void tell_after(void *arg, const err *result)
{
	const struct telling *t = arg;

	if (!result && t->to > 0 && t->to == n_rows(t) && t->e->outbox)
		outbox_edu_tell(t->e->outbox, t->servers, t->n_servers);
}

/* Whoever comes into the user's rooms after this snapshot is told by list_sender_joined; what of the devices changes
 * after it is noted behind `upto`. */
static err *look(struct telling *t, bool *out_any)
{
	struct told_device *told;
	size_t n_told;
	AUTO_TX tx = NULL;

	TRY(store_read(t->e->opt.store, t->a, &tx));
	TRY(store_servers_of_user(tx, t->e->own_server, t->user, &t->servers, &t->n_servers));
	TRY(store_told(tx, t->user, &t->stream_id, &told, &n_told));
	*out_any = t->n_servers + n_told > 0; /* somebody to tell, or something to forget */
	if (t->n_servers == 0)
		return NULL;
	TRY(tell_devices(t, tx, told, n_told));
	return tell_keys(t, tx, told, n_told);
}

static err *tell(struct e2ee *e, struct arena *a, int64_t user, int64_t upto, bool again)
{
	struct telling t = { .e = e, .a = a, .user = user, .upto = upto, .again = again };
	struct piece piece = { .late = tell_late, .after = tell_after, .arg = &t };
	struct ticket *ticket;
	bool any;

	TRY(store_intern_text(e->opt.store, a, user, &t.user_id));
	if (!id_is_of(t.user_id, e->opt.server_name))
		return NULL;
	TRY(look(&t, &any));
	if (!any)
		return NULL;
	do {
		t.from = t.to;
		t.to = MIN(t.from + ROWS_AT_ONCE, n_rows(&t));
		piece.positions = (int64_t)(t.to - t.from);
		TRY(store_write(e->opt.store, a, &piece, &ticket));
		TRY(store_wait(a, ticket));
	} while (t.to < n_rows(&t));
	return NULL;
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
