/*
 * resolve.c - what state resolution asks of a room: its events and their auth_events, queued or stored.
 */
#include "room/internal_job.h"

struct resolving {
	struct room *room;
	struct map rows; /* event -> struct event_row: read and not looked at yet */
	struct auth_index index;
};

static err *io_event(void *ctx, struct arena *a, int64_t nid, const struct event **out)
{
	struct resolving *r = ctx;
	const struct event_row *row = map_get_i(&r->rows, nid);

	(void)a; /* events live as long as the hold */
	return row ? room_event_of_row(r->room, row, out) : room_event(r->room, nid, out);
}

static err *io_will_need(void *ctx, struct arena *a, const int64_t *nids, size_t n)
{
	struct resolving *r = ctx;
	int64_t *stored = ARENA_ARRAY(a, int64_t, n);
	struct event_row **rows;
	size_t n_stored = 0, n_rows;
	struct tx *tx;

	for (size_t i = 0; i < n; i++)
		if (!map_get_i(&r->room->pending, nids[i]) && !map_get_i(&r->rows, nids[i]))
			stored[n_stored++] = nids[i];
	if (n_stored == 0)
		return NULL;
	TRY(room_tx(r->room, &tx));
	TRY(store_events_by_nids(tx, stored, n_stored, &rows, &n_rows));
	for (size_t i = 0; i < n_rows; i++)
		map_put_i(&r->rows, rows[i]->nid, rows[i]);
	return NULL;
}

static err *io_number(void *ctx, str text, int64_t *out)
{
	const struct resolving *r = ctx;
	struct room *room = r->room;

	return store_intern_find(room->rs->opt.store, room->a, text, out);
}

static void unpack(struct arena *a, str packed, struct auth_list *out)
{
	int64_t *nids;

	out->n = store_nids_unpack(a, packed, &nids);
	out->p = nids;
}

static err *io_auth_events(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_list *out)
{
	struct resolving *r = ctx;
	struct room *room = r->room;
	int64_t *stored = ARENA_ARRAY(a, int64_t, n);
	size_t *place = ARENA_ARRAY(a, size_t, n), n_stored = 0;
	struct tx *tx;
	str *packed;

	for (size_t i = 0; i < n; i++) {
		const struct job_event *je = map_get_i(&room->pending, events[i]);

		if (je) {
			unpack(a, je->row.auths, &out[i]);
			continue;
		}
		place[n_stored] = i;
		stored[n_stored++] = events[i];
	}
	if (n_stored == 0)
		return NULL;
	TRY(room_tx(room, &tx));
	TRY(store_events_auths(tx, stored, n_stored, &packed));
	for (size_t i = 0; i < n_stored; i++)
		unpack(a, packed[i], &out[place[i]]);
	return NULL;
}

err *draft_resolve(struct draft *d, const struct state_root *roots, size_t n, struct state_root *out)
{
	struct room *room = d->room;
	struct state_root *different = ARENA_ARRAY(room->a, struct state_root, STATE_RES_MAX_ROOTS);
	struct resolving r = { .room = room, .index = chains_index(room) };
	const struct state_res_io io = {
		.ctx = &r,
		.event = io_event,
		.will_need = io_will_need,
		.number = io_number,
		.auth = { .ctx = &r, .auth_events = io_auth_events, .index = &r.index },
	};
	size_t n_different = 0;

	/* The newest stand last; beyond what a resolution takes, the oldest do not count. */
	for (size_t i = n; i-- > 0 && n_different < STATE_RES_MAX_ROOTS;) {
		bool known = false;

		for (size_t k = 0; k < n_different; k++)
			known |= state_same(different[k], roots[i]);
		if (!known)
			different[n_different++] = roots[i];
	}
	if (n_different == 0) {
		*out = STATE_EMPTY;
		return NULL;
	}
	if (n_different == 1) {
		*out = different[0];
		return NULL;
	}
	map_init(&r.rows, room->a);
	return state_resolve(room->a, room->rv, &d->builder, different, n_different, &io, out, NULL);
}
