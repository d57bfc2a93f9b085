/*
 * resolve.c - what state resolution asks of a room: its events and their auth_events, queued or stored.
 */
#include "room/internal_job.h"

static err *io_event(void *ctx, struct arena *a, int64_t nid, const struct event **out)
{
	(void)a; /* events live as long as the hold */
	return room_event(ctx, nid, out);
}

static err *io_number(void *ctx, str text, int64_t *out)
{
	struct room *room = ctx;

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
	struct room *room = ctx;
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
	const struct state_res_io io = {
		.ctx = room,
		.event = io_event,
		.number = io_number,
		.auth = { .ctx = room, .auth_events = io_auth_events },
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
	return state_resolve(room->a, room->rv, &d->builder, different, n_different, &io, out, NULL);
}
