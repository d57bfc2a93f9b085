/*
 * chains.c - the index of auth chains, with what is queued of a room.
 *
 * The writer gives a state event its place in the index, so one that is queued has none yet. Until then it is a line of
 * its own, with links to all that it names: a poorer index of the same graph. Events are queued for the time of a
 * commit, so there are few of them.
 */
#include "room/internal_job.h"

struct chains {
	struct room *room;
	bool linked;
	VEC(struct auth_link) queued;
};

static const struct job_event *queued(const struct chains *c, int64_t event)
{
	const struct job_event *je = map_get_i(&c->room->pending, event);

	return je && event_is_state(je->ev) ? je : NULL;
}

static err *places(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_place *out)
{
	struct chains *c = ctx;
	int64_t *stored = ARENA_ARRAY(a, int64_t, n);
	struct auth_place *at = ARENA_ARRAY(a, struct auth_place, n);
	size_t *index = ARENA_ARRAY(a, size_t, n), n_stored = 0;
	struct tx *tx;

	for (size_t i = 0; i < n; i++) {
		out[i] = (struct auth_place){ events[i], 1 };
		if (queued(c, events[i]))
			continue;
		index[n_stored] = i;
		stored[n_stored++] = events[i];
	}
	if (n_stored == 0)
		return NULL;
	TRY(room_tx(c->room, &tx));
	TRY(store_auth_places(tx, stored, n_stored, at));
	for (size_t i = 0; i < n_stored; i++)
		out[index[i]] = at[i];
	return NULL;
}

static err *keys(void *ctx, struct arena *a, const int64_t *lines, size_t n, struct auth_key *out)
{
	struct chains *c = ctx;
	int64_t *stored = ARENA_ARRAY(a, int64_t, n);
	struct auth_key *found = ARENA_ARRAY(a, struct auth_key, n);
	size_t *index = ARENA_ARRAY(a, size_t, n), n_stored = 0;
	struct tx *tx;

	for (size_t i = 0; i < n; i++) {
		const struct job_event *je = queued(c, lines[i]);

		if (je) {
			out[i] = (struct auth_key){ je->row.type, je->row.state_key };
			continue;
		}
		index[n_stored] = i;
		stored[n_stored++] = lines[i];
	}
	if (n_stored == 0)
		return NULL;
	TRY(room_tx(c->room, &tx));
	TRY(store_auth_keys(tx, stored, n_stored, found));
	for (size_t i = 0; i < n_stored; i++)
		out[index[i]] = found[i];
	return NULL;
}

/* The queued events' links, once. */
static err *link_queued(struct chains *c)
{
	struct arena *a = c->room->a;
	VEC(int64_t) named = { 0 };
	VEC(struct auth_link) links = { 0 };
	struct auth_place *at;
	void *value;
	int64_t nid;

	if (c->linked)
		return NULL;
	c->linked = true;
	for (size_t i = 0; map_next_i(&c->room->pending, &i, &nid, &value);) {
		const struct job_event *je = value;
		int64_t *auths;
		const size_t n = store_nids_unpack(a, je->row.auths, &auths);

		for (size_t k = 0; event_is_state(je->ev) && k < n; k++) {
			vec_push(a, &named, auths[k]);
			vec_push(a, &links, (struct auth_link){ .from = { nid, 1 } });
		}
	}
	at = ARENA_ARRAY(a, struct auth_place, named.n);
	TRY(places(c, a, named.p, named.n, at));
	for (size_t i = 0; i < named.n; i++) {
		if (!at[i].line)
			continue;
		links.p[i].to = at[i];
		vec_push(a, &c->queued, links.p[i]);
	}
	return NULL;
}

/* Both kinds of links, the queued ones first. */
static void put_before(struct arena *a, const struct auth_link *first, size_t n_first, const struct auth_link **out,
		       size_t *out_n)
{
	struct auth_link *all = ARENA_ARRAY(a, struct auth_link, n_first + *out_n);

	if (n_first == 0)
		return;
	memcpy(all, first, n_first * sizeof(*all));
	if (*out_n)
		memcpy(all + n_first, *out, *out_n * sizeof(*all));
	*out = all;
	*out_n += n_first;
}

static err *named(void *ctx, struct arena *a, const int64_t *lines, size_t n, bool *out)
{
	struct chains *c = ctx;
	struct tx *tx;

	(void)a;
	TRY(link_queued(c));
	TRY(room_tx(c->room, &tx));
	TRY(store_auth_named(tx, lines, n, out));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < c->queued.n; k++)
			out[i] |= c->queued.p[k].to.line == lines[i];
	return NULL;
}

static err *above(void *ctx, struct arena *a, struct auth_span to, size_t limit, struct auth_cursor *at,
		  const struct auth_link **out, size_t *out_n)
{
	struct chains *c = ctx;
	VEC(struct auth_link) first = { 0 };
	struct tx *tx;

	TRY(link_queued(c));
	for (size_t i = 0; !at->begun && i < c->queued.n; i++) {
		const struct auth_place end = c->queued.p[i].to;

		if (end.line == to.line && end.place >= to.from && end.place < to.below)
			vec_push(a, &first, c->queued.p[i]);
	}
	TRY(room_tx(c->room, &tx));
	TRY(store_auth_above(tx, to, limit, at, out, out_n));
	put_before(a, first.p, first.n, out, out_n);
	return NULL;
}

static err *below(void *ctx, struct arena *a, const struct auth_span *from, size_t n, const struct auth_link **out,
		  size_t *out_n)
{
	struct chains *c = ctx;
	VEC(struct auth_link) first = { 0 };
	struct tx *tx;

	TRY(link_queued(c));
	for (size_t i = 0; i < c->queued.n; i++)
		for (size_t k = 0; k < n; k++)
			if (from[k].line == c->queued.p[i].from.line)
				vec_push(a, &first, c->queued.p[i]);
	TRY(room_tx(c->room, &tx));
	TRY(store_auth_below(tx, from, n, out, out_n));
	put_before(a, first.p, first.n, out, out_n);
	return NULL;
}

struct auth_index chains_index(struct room *room)
{
	struct chains *c = ARENA_NEW(room->a, struct chains);

	c->room = room;
	return (struct auth_index){
		.ctx = c, .places = places, .keys = keys, .named = named, .above = above, .below = below
	};
}
