/*
 * remote_lists.c - lists of other servers' users: taking updates in, fetching what is missing.
 *
 * "If the receiving server does not recognise any of the `prev_ids`, it means an EDU has been lost and the server
 * should query a snapshot of the device list". Updates are numbered upwards by their server; one at or below the number
 * that is here, which says what is here, was repeated. If it says something else, their server counts anew (its
 * database is an older one, or it gives all the same number so as to have the list fetched), and the snapshot is asked
 * for as well; so it is where an update follows on nothing at all. An update for a user whose list is not kept says no
 * more than that it changed: clients are told, and the list is fetched, once; where that fails, whoever asks has it
 * fetched.
 *
 * Clients are told of a list that comes for the first time, too: those who asked while its server was down, and were
 * told so, ask again.
 *
 * A fetched list is written with the position that was visible before it was asked for. It is good as long as both the
 * user and this server have been in a room together since then (store/remote_lists.c), for then their server had to
 * tell us of every change. An update that comes between the question and its answer may be newer than the answer, and
 * is overwritten by it: such a list is written as a stale one, and fetched again.
 *
 * A list is fetched once at a time: whoever else wants it waits for that, and asks again where it came to nothing, or
 * was no longer good for them (the user left and came back while it was under way). Each is taken as soon as it has
 * come: a server that answers slowly, or never, keeps nobody from the lists that are asked for beside its own.
 *
 * A list of who shares no room any more is good for nothing: it is not kept up, and would be fetched again. Now and
 * then such lists are looked for and deleted, if their users share none in that transaction either; a list that is put
 * there after it, because it was being fetched, is found the next time. Whoever reads one finds it gone
 * (e2ee_keys_here).
 */
#include "e2ee/remote_lists.h"

#include "base/chore.h"
#include "base/clock.h"
#include "bus/bus.h"
#include "e2ee/device_lists.h"
#include "e2ee/internal_e2ee.h"
#include "e2ee/remote_form.h"
#include "federation/fed.h"
#include "matrix/id.h"
#include "store/remote_lists.h"
#include "store/tx.h"

#include <assert.h>

#define FETCH_US INT64_C(30000000)
#define SWEEP_US (INT64_C(3600) * 1000000)
enum { PREV_IDS_MAX = 1000 };
enum { SWEEP_LOOK = 200, SWEEP_DELETE = 10 }; /* lists at once; each may have REMOTE_DEVICES_MAX rows */

/*
 * Users who are being asked for
 */
struct fetching {
	unsigned n;     /* who fetches, and who waits for that */
	bool fetched;   /* the list is here */
	bool ended;     /* and is nobody's to join any more */
	int64_t heard;  /* highest stream_id of an update since it began */
	bool signs_new; /* an update of identity keys came since, which have no number */
};

static void fetching_begin(struct e2ee *e, struct remote_user *u)
{
	LOCKED(&e->fetching_lock);
	u->fetching = map_get_i(&e->fetching, u->user);
	u->waits = u->fetching != NULL;
	if (!u->fetching) {
		u->fetching = MEM_NEW(struct fetching);
		*u->fetching = (struct fetching){ .heard = -1 };
		(void)map_put_i(&e->fetching, u->user, u->fetching);
	}
	u->fetching->n++;
}

static void fetching_drop(struct e2ee *e, struct remote_user *u)
{
	lock_assert_held(&e->fetching_lock);
	if (--u->fetching->n == 0)
		mem_free(u->fetching);
	u->fetching = NULL;
}

static void fetching_end(struct e2ee *e, struct remote_user *u)
{
	LOCKED(&e->fetching_lock);
	(void)map_del_i(&e->fetching, u->user);
	u->fetching->ended = true;
	u->fetching->fetched = u->fetched;
	cond_broadcast(&e->fetching_ended);
	fetching_drop(e, u);
}

static void fetching_wait(struct e2ee *e, struct remote_user *u, int64_t deadline_us)
{
	LOCKED(&e->fetching_lock);
	while (!u->fetching->ended && cond_wait_until(&e->fetching_ended, &e->fetching_lock, deadline_us))
		;
	u->fetched = u->fetching->fetched;
	fetching_drop(e, u);
}

/* Before the update's piece is queued: a fetched list whose piece comes first sees it here, one whose piece comes later
 * is followed by the update. */
static void fetching_heard(struct e2ee *e, int64_t user, const int64_t *stream_id)
{
	struct fetching *f;

	LOCKED(&e->fetching_lock);
	f = map_get_i(&e->fetching, user);
	if (f && stream_id)
		f->heard = MAX(f->heard, *stream_id);
	else if (f)
		f->signs_new = true;
}

static bool fetching_overtaken(struct e2ee *e, const struct remote_list *l)
{
	const struct fetching *f;

	LOCKED(&e->fetching_lock);
	f = map_get_i(&e->fetching, l->user);
	return f && (f->signs_new || f->heard > l->told);
}

/*
 * Updates
 */
struct update {
	struct e2ee *e;
	struct arena *a;
	str user_id;
	int64_t user;
	int64_t stream_id;
	int64_t newest_prev;
	bool follows; /* on any; the first of all does not */
	bool deleted;
	struct device_keys_row device;
	bool is_identity;
	str master, self_signing;
	/* of one run */
	struct remote_list_row known;
	bool applied, missed;
	struct device_list_note note;
};

static err *missed(struct tx *tx, struct update *u)
{
	u->missed = true;
	return store_remote_list_stale(tx, u->user);
}

/* "Cross signing keys which have been updated": what is lacking has not been, and stays what it was. */
static err *apply_identity(struct tx *tx, struct update *u)
{
	struct cross_signing_row known = { 0 };
	bool found;

	if (str_is_none(u->master) && str_is_none(u->self_signing))
		return NULL;
	TRY(store_cross_signing_get(tx, u->user, &known, &found));
	if (str_is_none(u->master) && !found)
		return missed(tx, u);
	u->applied = true;
	return store_remote_list_identity(tx, u->user, str_is_none(u->master) ? known.master : u->master,
					  str_is_none(u->self_signing) ? known.self_signing : u->self_signing);
}

static err *is_known(struct tx *tx, const struct update *u, bool *out)
{
	struct device_keys_row *here;
	size_t n;

	TRY(store_device_keys(tx, &u->user, 1, &u->device.device_id, 1, &here, &n));
	*out = n ? device_keys_same(&here[0], &u->device) : u->deleted;
	return NULL;
}

static err *apply(struct tx *tx, struct update *u)
{
	bool known = false;

	if (u->is_identity)
		return apply_identity(tx, u);
	if (u->stream_id <= u->known.told)
		TRY(is_known(tx, u, &known));
	if (known)
		return NULL;
	if (u->stream_id <= u->known.told || u->newest_prev > u->known.told || (!u->follows && u->known.told))
		return missed(tx, u);
	u->applied = true;
	return store_remote_list_device(tx, u->user, u->stream_id, &u->device, REMOTE_DEVICES_MAX);
}

static err *update_run(struct tx *tx, void *arg)
{
	struct update *u = arg;

	u->applied = u->missed = false;
	TRY(store_remote_lists(tx, u->e->own_server, &u->user, 1, &u->known));
	if (!u->known.shares)
		return NULL;
	if (u->known.kept)
		return apply(tx, u);
	/* Not here, or no longer good: it changed, that is all. */
	u->applied = true;
	u->missed = u->known.told >= 0;
	return u->missed ? store_remote_list_stale(tx, u->user) : store_remote_list_want(tx, u->user);
}

static err *update_late(struct tx *tx, void *arg)
{
	struct update *u = arg;

	/* What was missed is told of once it was fetched: before, nobody could have it. */
	return u->known.shares && u->applied && !u->missed ? device_list_note_write(tx, &u->note) : NULL;
}

static void update_after(void *arg, const err *result)
{
	const struct update *u = arg;

	if (result || !u->known.shares)
		return;
	if (u->applied && !u->missed)
		device_list_note_tell(u->e->opt.bus, &u->note);
	if ((u->missed || !u->known.kept) && u->e->remote_lists)
		chore_kick(u->e->remote_lists);
}

static err *take(struct update *u)
{
	const struct piece piece = { .run = update_run, .late = update_late, .after = update_after, .arg = u };
	struct ticket *ticket;

	TRY(store_intern_find(u->e->opt.store, u->a, u->user_id, &u->user));
	if (!u->user)
		return NULL; /* never seen: shares nothing */
	u->note = (struct device_list_note){ .user = u->user, .a = u->a };
	fetching_heard(u->e, u->user, u->is_identity ? NULL : &u->stream_id);
	TRY(store_write(u->e->opt.store, u->a, &piece, &ticket));
	return store_wait(u->a, ticket);
}

static err *read_user(struct update *u, str origin, const struct json *content)
{
	u->user_id = json_get_str(content, S("user_id"));
	if (!id_user_valid(u->user_id))
		return err_new(u->a, ERR_BAD_JSON, "user_id is lacking");
	if (!id_is_of(u->user_id, origin))
		return err_new(u->a, ERR_FORBIDDEN, "the user is not of that server");
	return NULL;
}

static err *read_prev(struct update *u, const struct json *list)
{
	if (!list)
		return NULL;
	if (list->kind != JSON_ARRAY || list->array.n > PREV_IDS_MAX)
		return err_new(u->a, ERR_BAD_JSON, "prev_id must be a list of numbers");
	JSON_ITEMS (list, i) {
		if (list->array.items[i]->kind != JSON_INT)
			return err_new(u->a, ERR_BAD_JSON, "prev_id must be a list of numbers");
		u->newest_prev = MAX(u->newest_prev, list->array.items[i]->i);
		u->follows = true;
	}
	return NULL;
}

err *remote_list_update(struct e2ee *e, struct arena *a, str origin, const struct json *content)
{
	struct update u = { .e = e, .a = a };
	const struct json *stream_id = json_get(content, S("stream_id"));

	TRY(read_user(&u, origin, content));
	TRY(read_prev(&u, json_get(content, S("prev_id"))));
	u.device.device_id = json_get_str(content, S("device_id"));
	if (!json_is(stream_id, JSON_INT) || stream_id->i < 0 || !remote_device_id_good(u.device.device_id))
		return err_new(a, ERR_BAD_JSON, "stream_id or device_id is lacking");
	u.stream_id = stream_id->i;
	u.device.display_name = remote_device_name(json_get_str(content, S("device_display_name")));
	u.deleted = json_get_bool(content, S("deleted"), false);
	u.device.keys = u.deleted ? STR_NONE
				  : remote_device_keys(a, u.user_id, u.device.device_id, json_get(content, S("keys")));
	return take(&u);
}

err *remote_signing_key_update(struct e2ee *e, struct arena *a, str origin, const struct json *content)
{
	struct update u = { .e = e, .a = a, .is_identity = true };

	TRY(read_user(&u, origin, content));
	u.master = remote_user_key(a, u.user_id, KEY_MASTER, json_get(content, S("master_key")));
	u.self_signing = remote_user_key(a, u.user_id, KEY_SELF_SIGNING, json_get(content, S("self_signing_key")));
	return take(&u);
}

/*
 * Fetching
 */
struct fetch {
	struct e2ee *e;
	struct arena *a;
	struct remote_list list;
	bool changed;
	struct device_list_note note;
};

static err *fetch_run(struct tx *tx, void *arg)
{
	struct fetch *f = arg;

	f->list.stale = fetching_overtaken(f->e, &f->list);
	return store_remote_list_replace(tx, &f->list, &f->changed);
}

static err *fetch_late(struct tx *tx, void *arg)
{
	struct fetch *f = arg;

	return f->changed ? device_list_note_write(tx, &f->note) : NULL;
}

static void fetch_after(void *arg, const err *result)
{
	const struct fetch *f = arg;

	if (!result && f->changed)
		device_list_note_tell(f->e->opt.bus, &f->note);
	if (!result && f->list.stale && f->e->remote_lists)
		chore_kick(f->e->remote_lists);
}

static size_t read_devices(struct arena *a, str user_id, const struct json *list, struct device_keys_row *out)
{
	size_t n = 0;

	for (size_t i = 0; i < list->array.n && n < REMOTE_DEVICES_MAX; i++) {
		const struct json *d = list->array.items[i];
		struct device_keys_row row;
		bool twice = false;

		if (!remote_device_read(a, user_id, json_get_str(d, S("device_id")), json_get(d, S("keys")),
					json_get_str(d, S("device_display_name")), &row))
			continue;
		for (size_t k = 0; k < n; k++)
			twice |= str_eq(out[k].device_id, row.device_id);
		if (!twice)
			out[n++] = row;
	}
	return n;
}

/* What a server answers is a whole list, or nothing. */
static err *keep(struct e2ee *e, struct arena *a, const struct remote_user *user, const struct json *answer, int64_t at)
{
	const struct json *devices = json_get(answer, S("devices")), *stream_id = json_get(answer, S("stream_id"));
	struct fetch f = { .e = e, .a = a, .note = { .user = user->user, .a = a } };
	const struct piece piece = { .run = fetch_run, .late = fetch_late, .after = fetch_after, .arg = &f };
	struct device_keys_row *rows;
	struct ticket *ticket;

	if (!str_eq(json_get_str(answer, S("user_id")), user->user_id) || !json_is(devices, JSON_ARRAY) ||
	    !json_is(stream_id, JSON_INT) || stream_id->i < 0)
		return err_new(a, ERR_BAD_JSON, "that is no list of devices");
	rows = ARENA_ARRAY(a, struct device_keys_row, MIN(devices->array.n, (size_t)REMOTE_DEVICES_MAX));
	f.list = (struct remote_list){
		.user = user->user,
		.told = stream_id->i,
		.at = at,
		.devices = rows,
		.n = read_devices(a, user->user_id, devices, rows),
		.master = remote_user_key(a, user->user_id, KEY_MASTER, json_get(answer, S("master_key"))),
		.self_signing =
			remote_user_key(a, user->user_id, KEY_SELF_SIGNING, json_get(answer, S("self_signing_key"))),
	};
	TRY(store_write(e->opt.store, a, &piece, &ticket));
	return store_wait(a, ticket);
}

static void take_list(struct e2ee *e, struct arena *a, struct remote_user *u, const struct fed_call *call, int64_t at)
{
	const err *why = call->error;

	if (!why)
		why = keep(e, a, u, call->answer, at);
	u->fetched = why == NULL;
	fetching_end(e, u);
	if (why)
		log_info(e->opt.log, "a list of devices could not be fetched", F("user_id", u->user_id),
			 F("error", why->msg));
}

/* Many answers are in memory at once: then each may be less long. */
static size_t most_bytes(size_t n)
{
	const size_t at_once = (size_t)REMOTE_LISTS_AT_ONCE * REMOTE_LIST_BYTES_MAX;

	return n <= REMOTE_LISTS_AT_ONCE ? REMOTE_LIST_BYTES_MAX : at_once / n;
}

size_t remote_lists_prepare(struct e2ee *e, struct arena *a, struct remote_user *users, size_t n,
			    struct fed_call *calls)
{
	size_t n_calls = 0;

	assert(n <= REMOTE_LISTS_MAX);
	for (size_t i = 0; i < n; i++) {
		fetching_begin(e, &users[i]);
		if (users[i].waits)
			continue;
		calls[n_calls++] = (struct fed_call){
			.destination = id_server(users[i].user_id),
			.path = fed_path(a, S("/_matrix/federation/v1/user/devices/"), users[i].user_id, STR_NONE),
			.max_bytes = most_bytes(n),
		};
	}
	return n_calls;
}

/* The list that this call is for; another call is none of these. */
static void take_ended(struct e2ee *e, struct arena *a, struct remote_user *users, size_t n,
		       const struct fed_call *calls, const struct fed_call *ended, int64_t at)
{
	for (size_t i = 0, c = 0; i < n; i++)
		if (!users[i].waits && &calls[c++] == ended)
			take_list(e, a, &users[i], ended, at);
}

/* Whoever looked for a list before somebody else's fetching brought it, and began after that had ended, needs no other:
 * the calls that are still to be made. */
static size_t calls_to_make(struct e2ee *e, struct arena *a, const struct remote_lists_asking *k, struct fed_call **out)
{
	size_t n = 0;
	AUTO_TX tx = NULL;

	for (size_t i = 0, c = 0; i < k->n; i++) {
		struct remote_user *u = &k->users[i];
		struct remote_list_row row = { 0 };

		if (u->waits)
			continue;
		/* What cannot be read is fetched. */
		u->fetched = (tx || !store_read(e->opt.store, a, &tx)) &&
			     !store_remote_lists(tx, e->own_server, &u->user, 1, &row) && row.kept;
		if (u->fetched)
			fetching_end(e, u);
		else
			out[n++] = &k->calls[c];
		c++;
	}
	return n;
}

void remote_lists_ask(struct e2ee *e, struct arena *a, const struct remote_lists_asking *k, int64_t deadline_us)
{
	struct fed_call **calls = ARENA_ARRAY(a, struct fed_call *, k->n_calls);
	const size_t n = calls_to_make(e, a, k, calls);
	struct fed_batch *batch;

	if (n + k->n_others == 0)
		return;
	batch = fed_batch_new(e->fed);
	for (size_t i = 0; i < k->n_others; i++)
		fed_batch_start(batch, a, &k->others[i], deadline_us);
	for (size_t i = 0; i < n; i++)
		fed_batch_start(batch, a, calls[i], deadline_us);
	for (size_t i = 0; i < n + k->n_others; i++)
		take_ended(e, a, k->users, k->n, k->calls, fed_batch_next(batch, INT64_MAX), k->at);
	fed_batch_free(&batch);
}

void remote_lists_take(struct e2ee *e, struct arena *a, struct remote_user *users, size_t n,
		       const struct fed_call *calls, int64_t at, int64_t deadline_us)
{
	for (size_t i = 0, c = 0; i < n; i++) {
		if (users[i].waits)
			continue;
		if (users[i].fetching)
			take_list(e, a, &users[i], &calls[c], at);
		c++;
	}
	/* Only now: who waits for these may have others that are waited for here. */
	for (size_t i = 0; i < n; i++)
		if (users[i].waits)
			fetching_wait(e, &users[i], deadline_us);
}

/* Of those that somebody else fetched, for whom it may have been too late, or too early. */
static err *to_ask_again(struct e2ee *e, struct arena *a, struct remote_user *users, size_t n, struct remote_user **out,
			 size_t *out_n)
{
	struct remote_list_row row;
	AUTO_TX tx = NULL;

	for (size_t i = 0; i < n; i++) {
		if (!users[i].waits)
			continue;
		if (!tx)
			TRY(store_read(e->opt.store, a, &tx));
		TRY(store_remote_lists(tx, e->own_server, &users[i].user, 1, &row));
		users[i].fetched = row.kept;
		if (!row.kept)
			out[(*out_n)++] = &users[i];
	}
	return NULL;
}

err *remote_lists_ask_again(struct e2ee *e, struct arena *a, struct remote_user *users, size_t n, int64_t deadline_us)
{
	struct remote_user **which = ARENA_ARRAY(a, struct remote_user *, n), *again;
	const int64_t at = bus_position(e->opt.bus);
	struct fed_call *calls;
	size_t n_again = 0, n_calls;

	TRY(to_ask_again(e, a, users, n, which, &n_again));
	if (n_again == 0)
		return NULL;
	again = ARENA_ARRAY(a, struct remote_user, n_again);
	calls = ARENA_ARRAY(a, struct fed_call, n_again);
	for (size_t i = 0; i < n_again; i++)
		again[i] = (struct remote_user){ .user = which[i]->user, .user_id = which[i]->user_id };
	n_calls = remote_lists_prepare(e, a, again, n_again, calls);
	remote_lists_ask(e, a, &(struct remote_lists_asking){ again, n_again, calls, n_calls, NULL, 0, at },
			 deadline_us);
	remote_lists_take(e, a, again, n_again, calls, at, deadline_us);
	for (size_t i = 0; i < n_again; i++)
		which[i]->fetched = again[i].fetched;
	return NULL;
}

/*
 * Stale ones, and those that are not here yet
 */
struct users {
	const struct remote_user *p;
	size_t n;
};

static err *give_up_run(struct tx *tx, void *arg)
{
	const struct users *not_fetched = arg;

	for (size_t i = 0; i < not_fetched->n; i++)
		if (!not_fetched->p[i].fetched)
			TRY(store_remote_list_unwant(tx, not_fetched->p[i].user));
	return NULL;
}

/* A list that was here is fetched until it comes; one that never was is not, however many a server tells of. */
static err *give_up(struct e2ee *e, struct arena *a, const struct remote_user *users, size_t n, size_t *failed)
{
	struct users all = { users, n };
	size_t lacking = 0;

	for (size_t i = 0; i < n; i++)
		lacking += !users[i].fetched;
	*failed += lacking;
	return lacking ? store_do(e->opt.store, a, give_up_run, &all) : NULL;
}

static err *fetch_stale(struct e2ee *e, struct arena *a, int64_t *above, size_t *out_n, size_t *failed)
{
	struct remote_user *users;
	const int64_t deadline_us = clock_mono_us() + FETCH_US;
	struct fed_call *calls;
	int64_t *nids, at;
	size_t n_calls;
	str *texts;
	AUTO_TX tx = NULL;

	TRY(store_read(e->opt.store, a, &tx));
	TRY(store_remote_lists_to_fetch(tx, e->own_server, *above, REMOTE_LISTS_AT_ONCE, &nids, out_n));
	if (*out_n == 0)
		return NULL;
	texts = ARENA_ARRAY(a, str, *out_n);
	TRY(store_intern_texts(e->opt.store, a, nids, *out_n, texts));
	users = ARENA_ARRAY(a, struct remote_user, *out_n);
	for (size_t i = 0; i < *out_n; i++)
		users[i] = (struct remote_user){ .user = nids[i], .user_id = texts[i] };
	*above = nids[*out_n - 1];
	store_read_end(&tx);
	calls = ARENA_ARRAY(a, struct fed_call, *out_n);
	at = bus_position(e->opt.bus);
	n_calls = remote_lists_prepare(e, a, users, *out_n, calls);
	remote_lists_ask(e, a, &(struct remote_lists_asking){ users, *out_n, calls, n_calls, NULL, 0, at },
			 deadline_us);
	remote_lists_take(e, a, users, *out_n, calls, at, deadline_us);
	return give_up(e, a, users, *out_n, failed);
}

/*
 * Those of who is gone
 */
struct sweeping {
	struct e2ee *e;
	const int64_t *users;
	size_t n;
};

static err *only_unshared(struct e2ee *e, struct tx *tx, const int64_t *users, size_t n, int64_t **out, size_t *out_n)
{
	struct remote_list_row *rows = ARENA_ARRAY(tx_arena(tx), struct remote_list_row, n);
	int64_t *found = ARENA_ARRAY(tx_arena(tx), int64_t, n);
	size_t n_found = 0;

	TRY(store_remote_lists(tx, e->own_server, users, n, rows));
	for (size_t i = 0; i < n; i++)
		if (!rows[i].shares)
			found[n_found++] = rows[i].user;
	*out = found;
	*out_n = n_found;
	return NULL;
}

static err *sweep_run(struct tx *tx, void *arg)
{
	const struct sweeping *s = arg;
	int64_t *users;
	size_t n;

	TRY(only_unshared(s->e, tx, s->users, s->n, &users, &n));
	return store_remote_lists_forget(tx, users, n);
}

/* Of the lists above this number; it becomes that of the last one. */
static err *sweep_some(struct e2ee *e, struct arena *a, struct chore *c, int64_t *above, bool *out_more)
{
	int64_t *all, *users;
	size_t n_all, n;
	AUTO_TX tx = NULL;

	TRY(store_read(e->opt.store, a, &tx));
	TRY(store_remote_lists_above(tx, *above, SWEEP_LOOK, &all, &n_all));
	TRY(only_unshared(e, tx, all, n_all, &users, &n));
	*out_more = n_all == SWEEP_LOOK;
	if (n_all)
		*above = all[n_all - 1];
	store_read_end(&tx);
	for (size_t i = 0; i < n && !(c && chore_stopping(c)); i += SWEEP_DELETE) {
		struct sweeping s = { e, users + i, MIN(n - i, (size_t)SWEEP_DELETE) };

		TRY(store_do(e->opt.store, a, sweep_run, &s));
	}
	return NULL;
}

static err *sweep(struct e2ee *e, struct arena *a, struct chore *c)
{
	int64_t above = 0;
	bool more = true;

	while (more && !(c && chore_stopping(c))) {
		TRY(sweep_some(e, a, c, &above, &more));
		arena_reset(a);
	}
	return NULL;
}

err *remote_lists_sweep(struct e2ee *e, struct arena *a) { return sweep(e, a, NULL); }

void remote_lists_left(struct e2ee *e)
{
	if (e->remote_lists)
		chore_kick(e->remote_lists);
}

static err *sweep_if_due(struct e2ee *e, struct arena *a, struct chore *c)
{
	const int64_t now = clock_mono_us();

	if (now < e->sweep_us)
		return NULL;
	e->sweep_us = now + SWEEP_US;
	return sweep(e, a, c);
}

/* An error makes the chore try again a while later. */
static err *fetch_all_stale(struct chore *c, void *ctx, struct arena *a)
{
	struct e2ee *e = ctx;
	int64_t above = 0;
	size_t n = 1, failed = 0;

	TRY(sweep_if_due(e, a, c));
	while (n && !chore_stopping(c)) {
		AUTO_ARENA round = arena_new();

		TRY(fetch_stale(e, round, &above, &n, &failed));
	}
	return failed && !chore_stopping(c)
		       ? err_new(a, ERR_CONNECTION_FAILED, "%zu lists of devices are stale", failed)
		       : NULL;
}

void remote_lists_start(struct e2ee *e)
{
	e->remote_lists =
		chore_new("device-lists", fetch_all_stale, e, e->opt.log, "lists of other servers' devices are stale");
}

void remote_lists_stop(struct e2ee *e) { chore_free(&e->remote_lists); }
