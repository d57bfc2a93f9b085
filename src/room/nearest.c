/*
 * nearest.c - see nearest.h.
 *
 * By what the events themselves say, and nothing else: who claims another time is found at that time, wherever the
 * event stands. If there is a gap beside what was found, on the side of the time, an event in it may be nearer: the
 * room's servers are asked for it, and it stands alone in the gap from then on.
 */
#include "room/nearest.h"

#include "room/internal_room.h"
#include "room/remote/backfill.h"
#include "store/events.h"

enum { CHUNK = 50, LOOK_MOST = 1000 };

struct nearest {
	const struct nearest_cmd *cmd;
	struct arena *a;
	struct tx *tx;
	struct room_view *view;
	const struct event_row *found; /* NULL: none */
	int64_t above_gap;             /* the event above a gap that the time is in; 0: it is in none */
};

/* The first of these rows that is for the reader's eyes. */
static err *take_visible(struct nearest *x, struct event_row **rows, size_t n)
{
	bool *seen = ARENA_ARRAY(x->a, bool, n);

	TRY(room_view_sees(x->view, (const struct event_row *const *)rows, n, seen));
	for (size_t i = 0; i < n && !x->found; i++)
		if (seen[i])
			x->found = rows[i];
	return NULL;
}

/* From the nearest event on, in the direction that was asked for. */
static err *find_visible(struct nearest *x, struct event_row *first)
{
	const int64_t room = room_view_room(x->view);
	const struct event_row *last = first;

	TRY(take_visible(x, &first, 1));
	for (size_t looked = 0; looked < LOOK_MOST && !x->found; looked += CHUNK) {
		struct event_row **rows;
		size_t n;

		TRY(store_events_by_time(x->tx, room, last->origin_server_ts, last->timeline, !x->cmd->forwards, CHUNK,
					 &rows, &n));
		TRY(take_visible(x, rows, n));
		if (n < CHUNK)
			break;
		last = rows[n - 1];
	}
	return NULL;
}

/* Is what lies between the time and the event missing in part? */
static err *find_gap(struct nearest *x, const struct event_row *nearest)
{
	struct event_row **above;
	size_t n;

	if (x->cmd->forwards) {
		x->above_gap = nearest && nearest->flags & EVENT_GAP ? nearest->nid : 0;
		return NULL;
	}
	TRY(store_events_by_timeline(x->tx, room_view_room(x->view), nearest ? nearest->timeline : 0, false, 1, &above,
				     &n));
	x->above_gap = n && above[0]->flags & EVENT_GAP ? above[0]->nid : 0;
	return NULL;
}

static err *look(struct nearest *x, struct rooms *rs, struct tx **tx)
{
	const struct nearest_cmd *cmd = x->cmd;
	struct event_row *row;

	x->found = NULL;
	TRY(store_read(rs->opt.store, x->a, tx));
	x->tx = *tx;
	TRY(room_view_open(rs, x->a, *tx, cmd->room_id, cmd->view->user, cmd->view->user_id, VIEW_MEMBER, &x->view));
	TRY(store_event_at_time(*tx, room_view_room(x->view), cmd->ts, !cmd->forwards, &row));
	TRY(find_gap(x, row));
	return row ? find_visible(x, row) : NULL;
}

/* *out_again: there is an event that is nearer. */
static err *ask_others(struct nearest *x, bool *out_again)
{
	const struct nearest_cmd *cmd = x->cmd;
	const struct backfill_time q = {
		.room_id = cmd->room_id,
		.above = x->above_gap,
		.ts = cmd->ts,
		.forwards = cmd->forwards,
		.known = x->found != NULL,
		.known_ts = x->found ? x->found->origin_server_ts : 0,
		.deadline_us = cmd->gaps->deadline_us,
	};
	int64_t event;

	TRY(backfill_at_time(cmd->gaps->backfill, x->a, &q, &event));
	*out_again = event != 0;
	return NULL;
}

err *room_nearest(struct rooms *rs, struct arena *a, const struct nearest_cmd *cmd, str *out_event_id, int64_t *out_ts)
{
	struct nearest x = { .cmd = cmd, .a = a };
	bool again = false;
	AUTO_TX tx = NULL;

	TRY(look(&x, rs, &tx));
	if (x.above_gap && cmd->gaps) {
		store_read_end(&tx);
		cmd->gaps->wants_to_ask = !cmd->gaps->may_ask;
		if (cmd->gaps->wants_to_ask)
			return NULL;
		TRY(ask_others(&x, &again));
		if (again)
			TRY(look(&x, rs, &tx));
	}
	if (!x.found)
		return err_new(a, ERR_NOT_FOUND, "Unable to find event from %" PRId64 " in %s direction", cmd->ts,
			       cmd->forwards ? "forward" : "backward");
	*out_event_id = x.found->event_id;
	*out_ts = x.found->origin_server_ts;
	return NULL;
}
