/*
 * device_lists.c - whose devices and keys a client has to look up again, and whose no longer concern it. Client-Server
 * API, "Tracking the device list for a user".
 *
 * The bus says whether anything can have changed, and in which rooms: a change of somebody's keys touches the rooms
 * they are in, and so does a membership that begins or ends.
 */
#include "sync/v3/internal_v3.h"

#include "base/metrics.h"

static err *name_users(struct run *r, const int64_t *users, size_t n, struct sync_users *out)
{
	str *names = ARENA_ARRAY(r->a, str, n);

	TRY(store_intern_texts(r->ss->opt.store, r->a, users, n, names));
	*out = (struct sync_users){ names, n };
	return NULL;
}

/* Rooms of which the bus knows that somebody came or went, or has other keys. */
static void touched_rooms(struct run *r, struct device_lists_ask *ask)
{
	int64_t *rooms = ARENA_ARRAY(r->a, int64_t, r->n_news + 1);

	for (size_t i = 0; i < r->n_news; i++)
		if (r->news[i].last[BUS_DEVICE_LISTS] > ask->above || r->news[i].since > ask->above)
			rooms[ask->n_rooms++] = r->news[i].room;
	ask->rooms = rooms;
	ask->own_same = r->bus.own[BUS_EVENTS] <= ask->above;
}

err *device_lists_gather(struct run *r)
{
	struct device_lists_ask ask = { .viewer = r->rq->user, .above = r->since.stream, .upto = r->position };
	struct device_lists lists;
	struct tx *tx;

	/* "Note: only present on an incremental sync." Who comes with a token of another history has lists of devices,
	 * and nobody knows how old: every user is told. */
	if ((r->initial && !r->broken) || !run_changed(r, BUS_DEVICE_LISTS))
		return NULL;
	if (r->exact && !r->full_state)
		touched_rooms(r, &ask);
	TRY(run_tx(r, &tx));
	TRY(device_lists_between(r->ss->opt.e2ee, tx, &ask, &lists));
	TRY(name_users(r, lists.changed, lists.n_changed, &r->answer->lists_changed));
	return name_users(r, lists.left, lists.n_left, &r->answer->lists_left);
}
