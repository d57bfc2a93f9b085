/*
 * merge.c - a room's forward extremities brought together by an event that says nothing else.
 *
 * Every event of ours does that by the way. Where nobody here says anything, while others send from branches, they
 * would grow: then one of our users sends an event of a type that no client is shown, as other servers know it, too.
 * Who calls this leaves time between two of them, and does not do it when everybody else does: servers that merge at
 * once make new branches.
 */
#include "base/clock.h"
#include "room/internal_job.h"
#include "room/receive/received.h"

enum { USERS_TRIED = 20 };

/* *out_ticket is NULL where there is nothing to do any more. ERR_FORBIDDEN: this user may not. */
static err *queue_merge(struct rooms *rs, struct arena *a, str room_id, size_t most, const struct proposal *p,
			struct ticket **out_ticket)
{
	AUTO_ROOM room = NULL;
	str event_id;

	*out_ticket = NULL;
	TRY(room_hold(rs, a, room_id, &room));
	if (!room || room->tip.n_ext <= most)
		return NULL;
	return room_queue_one(room, p, NULL, &event_id, out_ticket);
}

static err *merge_by(struct rooms *rs, struct arena *a, str room_id, size_t most, int64_t user, bool *out_sent)
{
	struct proposal p = {
		.type = EVENT_TYPE_DUMMY,
		.state_key = STR_NONE,
		.content = json_new_object(a),
		.redacts = STR_NONE,
		.ts = clock_ms(),
		.txn_device = STR_NONE,
		.txn_id = STR_NONE,
	};
	struct ticket *ticket;

	TRY(store_intern_text(rs->opt.store, a, user, &p.sender));
	TRY(proposal_number(rs, a, &p));
	TRY(queue_merge(rs, a, room_id, most, &p, &ticket));
	if (!ticket)
		return NULL;
	TRY(store_wait(a, ticket));
	metric_add(rs->merges, 1);
	*out_sent = true;
	return NULL;
}

err *room_merge(struct rooms *rs, struct arena *a, str room_id, bool newcomer, bool *out_sent)
{
	const size_t most = newcomer ? 1 : rs->opt.most_extremities;
	const int64_t *users;
	size_t n;

	*out_sent = false;
	TRY(room_local_users(rs, a, room_id, &users, &n));
	for (size_t i = 0; i < n && i < USERS_TRIED; i++) {
		err *e = merge_by(rs, a, room_id, most, users[i], out_sent);

		if (!e || e->code != ERR_FORBIDDEN)
			return e;
	}
	return NULL;
}
