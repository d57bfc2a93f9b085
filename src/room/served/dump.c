/*
 * dump.c - whole states and auth chains for another server.
 *
 * State is not filtered by the history's visibility: whoever is in the room has to have it, to tell what is allowed in
 * it. It is not kept ready either: of 50,000 members the numbers are found in some ten milliseconds, and what costs is
 * sending them.
 */
#include "room/served/reading.h"

#include "matrix/auth_chain.h"
#include "room/internal_room.h"
#include "store/events.h"

/* What a chain names and the store has. */
static err *auth_events(void *tx, struct arena *a, const int64_t *events, size_t n, struct auth_list *out)
{
	str *packed;

	TRY(store_events_auths(tx, events, n, &packed));
	for (size_t i = 0; i < n; i++) {
		int64_t *nids;
		const size_t all = store_nids_unpack(a, packed[i], &nids);
		size_t known = 0;

		for (size_t k = 0; k < all; k++)
			if (nids[k])
				nids[known++] = nids[k];
		out[i] = (struct auth_list){ nids, known };
	}
	return NULL;
}

err *served_chain(struct tx *tx, struct arena *a, const int64_t *events, size_t n, struct auth_list *out)
{
	const struct auth_graph graph = { .ctx = tx, .auth_events = auth_events };

	*out = (struct auth_list){ 0 };
	return n ? auth_chain(a, &graph, events, n, out) : NULL;
}

/* From version 12 on nobody names the create event, and everything rests upon it. */
static err *add_create(struct served *s, struct arena *a, struct auth_list *chain)
{
	const str id = str_from(served_room_id(s), 1);
	struct event_row *create;
	int64_t *more;

	if (!served_version(s)->create_not_in_auth_events)
		return NULL;
	TRY(store_event_by_id(served_tx(s), arena_join2(a, S("$"), id), &create));
	if (!create || create->room != served_room(s))
		return NULL;
	for (size_t i = 0; i < chain->n; i++)
		if (chain->p[i] == create->nid)
			return NULL;
	more = ARENA_ARRAY(a, int64_t, chain->n + 1);
	if (chain->n)
		memcpy(more, chain->p, chain->n * sizeof(*more));
	more[chain->n] = create->nid;
	*chain = (struct auth_list){ more, chain->n + 1 };
	return NULL;
}

static err *find_chain(struct served *s, struct arena *a, const int64_t *events, size_t n, struct served_state *out)
{
	struct auth_list chain;

	TRY(served_chain(served_tx(s), a, events, n, &chain));
	TRY(add_create(s, a, &chain));
	out->chain = chain.p;
	out->n_chain = chain.n;
	return NULL;
}

/* An event of this room that may be spoken of. */
static err *find_event(struct served *s, struct arena *a, str event_id, unsigned not, struct event_row **out)
{
	TRY(store_event_by_id(served_tx(s), event_id, out));
	if (*out && (*out)->room == served_room(s) && !((*out)->flags & (EVENT_REJECTED | not )))
		return NULL;
	return err_new(a, ERR_NOT_FOUND, "there is no such event here");
}

struct collect {
	struct arena *a;
	int64_t type, key, instead; /* the event's own key, and what was there before it */
	VEC(int64_t) nids;
};

static err *on_entry(void *arg, const struct state_entry *e)
{
	struct collect *c = arg;
	const int64_t nid = c->key && e->type == c->type && e->key == c->key ? c->instead : e->event;

	if (nid)
		vec_push(c->a, &c->nids, nid);
	return NULL;
}

err *served_state_before(struct rooms *rs, struct arena *a, str room_id, str origin, str event_id,
			 struct served_state *out)
{
	struct collect c = { .a = a };
	struct state_root after;
	struct event_row *row;
	AUTO_TX tx = NULL;
	struct served *s;

	TRY(store_read(rooms_options(rs)->store, a, &tx));
	TRY(served_open(rs, a, tx, room_id, origin, SERVED_IN_ROOM, &s));
	TRY(find_event(s, a, event_id, EVENT_OUTLIER, &row));
	if (row->flags & EVENT_STATE) {
		c.type = row->type;
		c.key = row->state_key;
		c.instead = row->replaces;
	}
	TRY(state_root_of(served_tree(s), a, row->root_after, &after));
	TRY(state_each(served_tree(s), a, after, (struct state_pick){ 0 }, on_entry, &c));
	*out = (struct served_state){ .state = c.nids.p, .n_state = c.nids.n };
	return find_chain(s, a, c.nids.p, c.nids.n, out);
}

err *served_auth_chain(struct rooms *rs, struct arena *a, str room_id, str origin, str event_id,
		       struct served_state *out)
{
	struct event_row *row;
	AUTO_TX tx = NULL;
	struct served *s;

	*out = (struct served_state){ 0 };
	TRY(store_read(rooms_options(rs)->store, a, &tx));
	TRY(served_open(rs, a, tx, room_id, origin, SERVED_IN_ROOM, &s));
	TRY(find_event(s, a, event_id, 0, &row));
	return find_chain(s, a, &row->nid, 1, out);
}

err *served_read(struct rooms *rs, struct arena *a, str room_id, const int64_t *nids, size_t n,
		 struct served_texts *out)
{
	str *texts = ARENA_ARRAY(a, str, n);
	const struct room_version *rv;
	struct event_row **rows;
	AUTO_TX tx = NULL;
	size_t n_rows, kept = 0;
	int64_t room;

	TRY(rooms_find(rs, a, room_id, &room, &rv));
	if (!room)
		return err_new(a, ERR_NOT_FOUND, "there is no such room here");
	TRY(store_read(rooms_options(rs)->store, a, &tx));
	TRY(store_events_by_nids(tx, nids, n, &rows, &n_rows));
	for (size_t i = 0; i < n_rows; i++)
		if (rows[i]->room == room && !(rows[i]->flags & EVENT_REJECTED))
			TRY(served_bytes_of(rs, a, rv, rows[i], true, &texts[kept++]));
	*out = (struct served_texts){ texts, kept };
	return NULL;
}

err *served_read_ids(struct rooms *rs, struct arena *a, const int64_t *nids, size_t n, struct served_texts *out)
{
	struct event_name *names;
	AUTO_TX tx = NULL;
	size_t n_names;
	str *ids;

	TRY(store_read(rooms_options(rs)->store, a, &tx));
	TRY(store_event_names(tx, nids, n, &names, &n_names));
	ids = ARENA_ARRAY(a, str, n_names);
	for (size_t i = 0; i < n_names; i++)
		ids[i] = names[i].event_id;
	*out = (struct served_texts){ ids, n_names };
	return NULL;
}
