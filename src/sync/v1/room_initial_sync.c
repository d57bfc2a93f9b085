/*
 * room_initial_sync.c - GET /rooms/{roomId}/initialSync: one room, which may be one that the reader left, or that
 * anybody may read.
 */
#include "room/state.h"

#include "room/erased.h"
#include "store/account_data.h"
#include "store/rooms.h"
#include "sync/legacy.h"
#include "sync/v3/internal_v3.h"

enum { LIMIT_DEFAULT = 10, LIMIT_MOST = 1000, SCAN_MOST = 2000, PRESENCE_MOST = 1000 };

struct job {
	struct syncs *ss;
	struct arena *a;
	const struct legacy_request *rq;
	struct tx *tx;
	struct room_view *view;
	int64_t position;
	struct client_view reader;
};

/* The newest events that the reader may see, newest first. */
static err *newest(struct job *j, size_t limit, const struct event_row ***out, size_t *out_n)
{
	const struct event_row **found = ARENA_ARRAY(j->a, const struct event_row *, limit);
	int64_t upto = j->position;

	*out = found;
	*out_n = 0;
	for (size_t scanned = 0; *out_n < limit && scanned < SCAN_MOST;) {
		const size_t want = MAX(limit, (size_t)20);
		struct event_row **rows;
		bool *seen;
		size_t n;

		TRY(store_events_by_stream(j->tx, room_view_room(j->view), 0, upto, true, want, &rows, &n));
		seen = ARENA_ARRAY(j->a, bool, n);
		TRY(room_view_sees(j->view, (const struct event_row *const *)rows, n, seen));
		for (size_t i = 0; i < n && *out_n < limit; i++)
			if (seen[i])
				found[(*out_n)++] = rows[i];
		scanned += n;
		if (n < want)
			return NULL;
		upto = rows[n - 1]->stream - 1;
	}
	return NULL;
}

static err *write_rows(struct job *j, struct jw *w, const char *key, const struct event_row *const *rows, size_t n)
{
	struct client_extras extras;

	TRY(client_events_load(j->tx, j->a, rows, n, &extras));
	TRY(room_view_erase(j->view, rows, n, extras.p));
	jw_array(w, key);
	for (size_t i = 0; i < n; i++)
		client_event_write(j->a, w, NULL, rows[i], j->rq->room_id, &extras.p[i], &j->reader);
	jw_end(w);
	return NULL;
}

static err *write_messages(struct job *j, struct jw *w)
{
	const struct sync_token end = { .epoch = j->ss->epoch, .stream = j->position, .process = j->ss->process };
	const str end_text = sync_token_write(j->a, &end);
	const size_t limit = j->rq->limit < 0 ? LIMIT_DEFAULT : (size_t)MIN(j->rq->limit, LIMIT_MOST);
	const struct event_row **rows;
	size_t n;

	TRY(newest(j, limit, &rows, &n));
	for (size_t i = 0; i < n / 2; i++) {
		const struct event_row *x = rows[i];

		rows[i] = rows[n - 1 - i];
		rows[n - 1 - i] = x;
	}
	jw_object(w, "messages");
	jw_str(w, "start", n ? sync_token_before(j->a, &end, rows, n) : end_text);
	jw_str(w, "end", end_text);
	TRY(write_rows(j, w, "chunk", rows, n));
	jw_end(w);
	return NULL;
}

static err *write_state(struct job *j, struct jw *w)
{
	struct state_events state;

	TRY(room_state_events(j->view, room_view_root(j->view), (struct state_pick){ 0 }, &state));
	return write_rows(j, w, "state", state.p, state.n);
}

static err *write_account_data(struct job *j, struct jw *w)
{
	struct account_data_row *rows;
	size_t n;

	TRY(store_account_data_changed(j->tx, j->rq->user, room_view_room(j->view), 0, j->position, &rows, &n));
	jw_array(w, "account_data");
	for (size_t i = 0; i < n; i++) {
		jw_object(w, NULL);
		jw_raw(w, "content", rows[i].content);
		jw_str(w, "type", rows[i].type);
		jw_end(w);
	}
	jw_end(w);
	return NULL;
}

static err *write_receipts(struct job *j, struct jw *w)
{
	const struct sync_request request = { .user = j->rq->user, .user_id = j->rq->user_id };
	struct run r = { .ss = j->ss, .a = j->a, .rq = &request, .tx = j->tx, .position = j->position };
	struct task t = { .room = room_view_room(j->view), .room_id = j->rq->room_id, .full = true };
	struct sync_room room = { 0 };

	jw_array(w, "receipts");
	if (room_view_membership(j->view) == MEMBER_JOIN)
		TRY(ephemeral_gather(&r, &t, &room));
	for (size_t i = 0; i < room.ephemeral.n; i++)
		jw_raw(w, NULL, legacy_with_room(j->a, room.ephemeral.p[i], j->rq->room_id));
	jw_end(w);
	return NULL;
}

/* Of the members, as they are now: also of those who are offline. */
static err *write_presence(struct job *j, struct jw *w)
{
	const struct sync_request request = { .user = j->rq->user, .user_id = j->rq->user_id };
	struct sync_answer answer = { 0 };
	struct run r = { .ss = j->ss, .a = j->a, .rq = &request, .tx = j->tx, .answer = &answer };
	struct member_row *members;
	size_t n = 0;

	if (room_view_membership(j->view) == MEMBER_JOIN && presence_enabled(j->ss->opt.presence))
		TRY(store_members(j->tx, room_view_room(j->view), MEMBER_MASK(MEMBER_JOIN), PRESENCE_MOST, &members,
				  &n));
	TRY(ignored_of(j->ss, j->a, j->rq->user, NULL, &r.ignored));
	for (size_t i = 0; i < n; i++) {
		struct presence_view view;

		presence_known(j->ss->opt.presence, j->a, members[i].user, &view);
		TRY(presence_add(&r, &view, 1));
	}
	jw_array(w, "presence");
	for (size_t i = 0; i < answer.presence.n; i++)
		presence_write(&answer.presence.p[i], w, true);
	jw_end(w);
	return NULL;
}

static err *write_all(struct job *j, struct jw *w)
{
	struct room_row *row;
	const enum membership m = room_view_membership(j->view);

	TRY(store_room_by_nid(j->tx, room_view_room(j->view), &row));
	jw_str(w, "room_id", j->rq->room_id);
	if (m != MEMBER_NONE)
		jw_str(w, "membership", membership_text(m));
	jw_str(w, "visibility", row && row->published ? S("public") : S("private"));
	TRY(write_messages(j, w));
	TRY(write_state(j, w));
	TRY(write_account_data(j, w));
	TRY(write_receipts(j, w));
	return write_presence(j, w);
}

err *legacy_room_initial_sync(struct syncs *ss, struct arena *a, const struct legacy_request *rq, struct jw *w)
{
	struct job j = { .ss = ss, .a = a, .rq = rq, .position = bus_position(ss->opt.bus) };
	AUTO_TX tx = NULL;

	j.reader = (struct client_view){
		.user = rq->user, .user_id = rq->user_id, .device_id = rq->device_id, .now = rq->now, .legacy = true
	};
	TRY(store_read(ss->opt.store, a, &tx));
	j.tx = tx;
	TRY(room_view_open(ss->opt.rooms, a, tx, rq->room_id, rq->user, rq->user_id, VIEW_MEMBER, &j.view));
	return write_all(&j, w);
}
