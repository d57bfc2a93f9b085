/*
 * import_flat.c - the third step of an import (import.c): the flat tables are made to say what the new state says.
 *
 * Of a room that was here before, only what is different is written. The state is read again slice by slice, for its
 * events must not all be in memory. Our own users' rows are not written here but gathered: they become visible with the
 * room, under our event's position.
 */
#include "room/remote/internal_import.h"
#include "store/joins.h"

struct flat { /* a row of current_state, and what hangs on it */
	struct state_row row;
	bool is_member, is_local;
	enum membership membership;
	int64_t sender;
	str displayname, avatar_url;
	enum summary_column summary;
	str value;
};

static err *write_flat(struct tx *tx, struct import *im, const void *list, size_t from, size_t to)
{
	const struct flat *const *flats = list;

	for (size_t i = from; i < to; i++) {
		const struct flat *f = flats[i];
		const struct member_row m = {
			.room = im->room,
			.user = f->row.state_key,
			.membership = f->membership == MEMBER_NONE ? MEMBER_LEAVE : f->membership,
			.event = f->row.event,
			.sender = f->sender,
			.displayname = f->displayname,
			.avatar_url = f->avatar_url,
			.stripped = STR_NONE,
		};

		if (f->row.event)
			TRY(store_state_set(tx, im->room, &f->row));
		else
			TRY(store_state_unset(tx, im->room, f->row.type, f->row.state_key));
		if (f->is_member && !f->is_local)
			TRY(store_member_save(tx, &m));
		if (f->summary)
			TRY(store_summary_set(tx, im->room, f->summary, f->value));
	}
	return NULL;
}

static size_t bytes_of_text(str s) { return str_is_none(s) ? 0 : s.n; }

static size_t bytes_of_flat(const void *list, size_t i)
{
	const struct flat *f = ((const struct flat *const *)list)[i];

	return bytes_of_text(f->displayname) + bytes_of_text(f->avatar_url) + bytes_of_text(f->value);
}

static const struct import_kind flat_kind = { write_flat, bytes_of_flat };

static void count_member(struct import *im, enum membership m, int64_t server)
{
	im->joined += m == MEMBER_JOIN;
	im->invited += m == MEMBER_INVITE;
	if (m != MEMBER_JOIN || !server)
		return;
	const int64_t n = (int64_t)(uintptr_t)map_get_i(&im->servers, server);
	(void)map_put_i(&im->servers, server, (void *)(uintptr_t)(n + 1));
}

/*
 * Our own users' rows are for the last piece. Of those who are in, all: their events have our signature. Of others no
 * more than it can hold, for who made the state may have invited whomever he liked: the rest have rows like other
 * servers' users, which they see with their next whole /sync.
 */
static bool note_local(struct import *im, const struct flat *f)
{
	if (f->membership != MEMBER_JOIN && im->n_out++ >= LOCALS_MOST)
		return false;
	vec_push(im->a, &im->locals,
		 (struct change){
			 .type = im->rs->type_member,
			 .key = f->row.state_key,
			 .now = f->row.event,
			 .sender = f->sender,
			 .is_member = true,
			 .after = f->membership,
			 .displayname = arena_keep(im->a, f->displayname),
			 .avatar_url = arena_keep(im->a, f->avatar_url),
		 });
	return true;
}

static err *describe(struct import *im, struct arena *scratch, const struct event *ev, struct flat *f)
{
	struct change ch = { .type = f->row.type, .key = f->row.state_key };
	int64_t server = 0;

	if (f->row.type != im->rs->type_member) {
		flat_describe_redacted(im->rs, ev, &ch);
		f->summary = ch.summary;
		f->value = ch.value;
		return NULL;
	}
	f->is_member = true;
	f->membership = membership_of_text(event_membership(ev));
	f->displayname = json_get_str(ev->content, S("displayname"));
	f->avatar_url = json_get_str(ev->content, S("avatar_url"));
	if (id_user_valid(ev->state_key)) {
		f->is_local = id_is_of(ev->state_key, im->rs->opt.signer.server_name);
		if (f->membership == MEMBER_JOIN)
			TRY(store_intern_find(im->rs->opt.store, scratch, id_server(ev->state_key), &server));
	}
	count_member(im, f->membership, server);
	return NULL;
}

/* One slice of the state, read again: its events must not all be in memory. `was`: what the table says now. */
static err *write_slice(struct import *im, struct arena *scratch, const struct map *was, size_t from, size_t to)
{
	struct flat *flats = ARENA_ARRAY(scratch, struct flat, to - from);
	const struct flat **list = ARENA_ARRAY(scratch, const struct flat *, to - from);
	size_t n = 0;

	for (size_t i = from; i < to; i++) {
		const struct state_entry *e = &im->entries.p[i];
		const struct state_row *old = map_get(was, (str){ (const char *)e, 2 * sizeof(e->type) });
		struct flat *f = &flats[i - from];
		struct event *ev;

		TRY(outliers_read(im->j->set, scratch, im->recs.p[i], &ev));
		f->row = (struct state_row){ .type = e->type, .state_key = e->key, .event = e->event };
		TRY(store_intern_find(im->rs->opt.store, scratch, ev->sender, &f->sender));
		TRY(describe(im, scratch, ev, f));
		if (old && old->event == e->event)
			continue;
		f->is_local = f->is_local && note_local(im, f);
		list[n++] = f;
	}
	return import_write(im, &flat_kind, list, n);
}

/* What the table has and the state has not. */
static err *write_gone(struct import *im, struct arena *scratch, const struct map *was)
{
	VEC(const struct flat *) list = { 0 };
	struct map now;
	void *value;
	str key;

	map_init(&now, scratch);
	for (size_t i = 0; i < im->entries.n; i++)
		(void)map_put(&now, (str){ (const char *)&im->entries.p[i], 2 * sizeof(im->entries.p[i].type) }, im);
	for (size_t i = 0; map_next(was, &i, &key, &value);) {
		const struct state_row *old = value;
		struct flat *f;
		str text = STR_NONE;

		if (map_get(&now, key))
			continue;
		f = ARENA_NEW(scratch, struct flat);
		f->row = (struct state_row){ .type = old->type, .state_key = old->state_key };
		f->is_member = old->type == im->rs->type_member;
		for (enum summary_column c = SUMMARY_NONE + 1; c < SUMMARY_COLUMNS; c++)
			if (old->state_key == im->rs->empty && old->type == im->rs->summary_types[c])
				f->summary = c;
		if (f->is_member)
			TRY(store_intern_text(im->rs->opt.store, scratch, old->state_key, &text));
		f->is_local = !str_is_none(text) && id_is_of(text, im->rs->opt.signer.server_name);
		f->is_local = f->is_local && note_local(im, f);
		vec_push(scratch, &list, f);
	}
	return import_write(im, &flat_kind, list.p, list.n);
}

static err *write_servers(struct tx *tx, struct import *im, const void *list, size_t from, size_t to)
{
	const int64_t *servers = list;

	for (size_t i = from; i < to; i++)
		TRY(store_room_server_set(tx, im->room, servers[i],
					  (int64_t)(uintptr_t)map_get_i(&im->servers, servers[i]), im->since));
	return NULL;
}

static const struct import_kind servers_kind = { write_servers, NULL };

/* Those that are in, and those that were. Who of this server is in is counted with the last piece. */
static err *make_servers(struct import *im)
{
	AUTO_ARENA scratch = arena_new();
	VEC(int64_t) list = { 0 };
	AUTO_TX tx = NULL;
	int64_t server, *before;
	size_t n;
	void *count;
	err *e;

	(void)map_del_i(&im->servers, im->rs->server);
	e = store_read(im->rs->opt.store, scratch, &tx);
	if (!e)
		e = store_room_servers(tx, im->room, &before, &n);
	if (e)
		return err_keep(im->a, e);
	store_read_end(&tx);
	for (size_t i = 0; i < n; i++)
		if (!map_get_i(&im->servers, before[i]))
			vec_push(scratch, &list, before[i]);
	for (size_t i = 0; map_next_i(&im->servers, &i, &server, &count);)
		vec_push(scratch, &list, server);
	return import_write(im, &servers_kind, list.p, list.n);
}

static err *read_flat(struct import *im, struct arena *a, struct map *out)
{
	struct state_row *rows;
	AUTO_TX tx = NULL;
	size_t n;

	map_init(out, a);
	TRY(store_read(im->rs->opt.store, a, &tx));
	TRY(store_state_list(tx, im->room, &rows, &n));
	for (size_t i = 0; i < n; i++)
		(void)map_put(out, (str){ (const char *)&rows[i], 2 * sizeof(rows[i].type) }, &rows[i]);
	return NULL;
}

err *import_flat(struct import *im, struct arena *a)
{
	AUTO_ARENA scratch = arena_new();
	struct map was;

	TRY(read_flat(im, a, &was));
	map_init(&im->servers, im->a);
	for (size_t from = 0; from < im->entries.n; from += 500) {
		const err *e;

		arena_reset(scratch);
		e = write_slice(im, scratch, &was, from, MIN(from + 500, im->entries.n));
		if (e)
			return err_keep(a, e);
	}
	TRY(write_gone(im, a, &was));
	return make_servers(im);
}
