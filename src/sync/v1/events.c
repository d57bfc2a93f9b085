/*
 * events.c - GET /events: what came since a token, one event after the other, oldest first.
 *
 * The same knowledge and the same rooms as /sync. When there are more events than asked for, the answer ends with the
 * last that fits, and so does its token; what has no place in a room's order (account data, receipts, typing) comes
 * with the last of such answers.
 */
#include "base/clock.h"
#include "room/erased.h"
#include "store/rooms.h"
#include "sync/legacy.h"
#include "sync/v3/internal_v3.h"

#include <stdlib.h>

enum { LIMIT_DEFAULT = 100, LIMIT_MOST = 1000 };

struct found {
	const struct event_row *row;
	const struct client_extra *extra;
	str room_id;
};
struct legacy_events {
	struct arena *a;
	struct client_view view;
	str start, end;
	VEC(struct found) events;
	VEC(str) others; /* JSON objects */
};

/* The older form says which room an ephemeral event, or account data, is of. */
str legacy_with_room(struct arena *a, str json, str room_id)
{
	AUTO_BUF b = BUF_INIT(64 * 1024);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	jw_str(&w, "room_id", room_id);
	jw_end(&w);
	/* {"room_id":"!x:y"} and {"content":...}: one object of both. */
	return arena_join3(a, str_head(buf_str(&b), b.n - 1), S(","), str_from(json, 1));
}

static err *take_rows(struct run *r, struct task *t, struct event_row **rows, size_t n, struct legacy_events *out)
{
	bool *seen = ARENA_ARRAY(r->a, bool, n);
	struct client_extras extras;
	struct room_view *v;

	if (n == 0)
		return NULL;
	TRY(task_view(r, t, &v));
	TRY(room_view_sees(v, (const struct event_row *const *)rows, n, seen));
	TRY(client_events_load(room_view_tx(v), r->a, (const struct event_row *const *)rows, n, &extras));
	TRY(room_view_erase(v, (const struct event_row *const *)rows, n, extras.p));
	for (size_t i = 0; i < n; i++) {
		const bool own = rows[i]->type == r->ss->type_member && rows[i]->state_key == r->rq->user;

		if ((seen[i] || own) && (rows[i]->state_key || !ignored_has(&r->ignored, rows[i]->sender)))
			vec_push(r->a, &out->events, (struct found){ rows[i], &extras.p[i], t->room_id });
	}
	return NULL;
}

static err *gather_room(struct run *r, struct task *t, struct legacy_events *out)
{
	struct event_row **rows, *own;
	struct tx *tx;
	size_t n;

	TRY(run_tx(r, &tx));
	if (t->member && t->member->membership != MEMBER_JOIN && (t->only_own || !t->upto)) {
		TRY(store_event_by_nid(tx, t->member->event, &own));
		return own ? take_rows(r, t, &own, 1, out) : NULL;
	}
	TRY(store_events_by_stream(tx, t->room, r->since.stream, t->upto, false, r->limit + 1, &rows, &n));
	return take_rows(r, t, rows, n, out);
}

static int by_stream(const void *x, const void *y)
{
	const struct found *p = x, *q = y;

	return (p->row->stream > q->row->stream) - (p->row->stream < q->row->stream);
}

static void add_other(struct run *r, struct legacy_events *out, str type, str content, str room_id)
{
	AUTO_BUF b = BUF_INIT(16 << 20);
	struct jw w = jw_to(&b);
	str json;

	jw_object(&w, NULL);
	jw_raw(&w, "content", content);
	jw_str(&w, "type", type);
	jw_end(&w);
	json = arena_keep(r->a, buf_str(&b));
	vec_push(r->a, &out->others, str_is_none(room_id) ? json : legacy_with_room(r->a, json, room_id));
}

static err *gather_presence(struct run *r, struct tasks *tasks, struct legacy_events *out)
{
	TRY(presence_gather(r, tasks));
	for (size_t i = 0; i < r->answer->presence.n; i++) {
		AUTO_BUF b = BUF_INIT(64 * 1024);
		struct jw w = jw_to(&b);

		presence_write(&r->answer->presence.p[i], &w, true);
		vec_push(r->a, &out->others, arena_keep(r->a, buf_str(&b)));
	}
	return NULL;
}

static err *gather_ephemeral(struct run *r, struct task *t, struct legacy_events *out)
{
	struct sync_room room = { 0 };

	TRY(ephemeral_gather(r, t, &room));
	for (size_t i = 0; i < room.ephemeral.n; i++)
		vec_push(r->a, &out->others, legacy_with_room(r->a, room.ephemeral.p[i], t->room_id));
	return NULL;
}

static err *gather_others(struct run *r, struct tasks *tasks, struct legacy_events *out)
{
	for (size_t i = 0; i < r->answer->account_data.n; i++)
		add_other(r, out, r->answer->account_data.p[i].type, r->answer->account_data.p[i].content, STR_NONE);
	for (size_t i = 0; i < tasks->list.n; i++) {
		struct task *t = &tasks->list.p[i];
		struct sync_room room = { 0 };

		if (t->member->membership != MEMBER_JOIN)
			continue;
		TRY(gather_ephemeral(r, t, out));
		TRY(account_data_gather(r, t, &room));
		for (size_t k = 0; k < room.account_data.n; k++)
			add_other(r, out, room.account_data.p[k].type, room.account_data.p[k].content, t->room_id);
	}
	return NULL;
}

/* A room that the reader is not in: whoever may look may listen. The bus tells them of it from now on. */
static err *peek(struct run *r, const struct legacy_request *rq, struct tasks *tasks)
{
	struct task t = { .room_id = rq->room_id, .above = r->since.stream, .upto = r->position, .events = true };
	struct tx *tx;

	TRY(run_tx(r, &tx));
	TRY(room_view_open(r->ss->opt.rooms, r->a, tx, rq->room_id, rq->user, rq->user_id, VIEW_MEMBER, &t.view));
	t.room = room_view_room(t.view);
	bus_user_peeks(r->ss->opt.bus, rq->user, t.room);
	/* Who was a member, and is none, sees no more of who is there. */
	r->only_room = room_view_membership(t.view) <= MEMBER_JOIN ? t.room : NO_ROOM;
	for (size_t i = 0; i < r->n_news; i++)
		if (r->news[i].room == t.room)
			t.news = &r->news[i];
	for (size_t i = 0; i < tasks->list.n; i++)
		if (tasks->list.p[i].room == t.room) {
			t = tasks->list.p[i];
			tasks->list.p[0] = t;
			tasks->list.n = 1;
			return NULL;
		}
	tasks->list.n = 0;
	if (room_view_membership(t.view) != MEMBER_JOIN || !r->exact) {
		struct member_row *none = ARENA_NEW(r->a, struct member_row);

		none->room = t.room;
		none->user = rq->user;
		t.member = none;
		vec_push(r->a, &tasks->list, t);
	}
	return NULL;
}

static err *gather(struct run *r, const struct legacy_request *rq, struct legacy_events *out)
{
	struct sync_token end = r->answer->next;
	struct tasks tasks = { 0 };

	TRY(ignored_of(r->ss, r->a, r->rq->user, r->known ? &r->bus : NULL, &r->ignored));
	TRY(account_data_load(r));
	TRY(account_data_global(r));
	TRY(tasks_find(r, &tasks));
	if (!str_is_none(rq->room_id))
		TRY(peek(r, rq, &tasks));
	for (size_t i = 0; i < tasks.list.n; i++)
		if (tasks.list.p[i].events)
			TRY(gather_room(r, &tasks.list.p[i], out));
	if (out->events.n)
		qsort(out->events.p, out->events.n, sizeof(*out->events.p), by_stream);
	if (out->events.n > r->limit) {
		out->events.n = r->limit;
		end.stream = r->limit ? out->events.p[r->limit - 1].row->stream : r->since.stream;
		end.serial = r->since.serial;
	} else {
		if (str_is_none(rq->room_id))
			TRY(gather_others(r, &tasks, out));
		else if (tasks.list.n)
			TRY(gather_ephemeral(r, &tasks.list.p[0], out));
		TRY(gather_presence(r, &tasks, out));
		end.presence = r->answer->next.presence;
		end.presence_told = r->answer->next.presence_told;
	}
	out->end = sync_token_write(r->a, &end);
	return NULL;
}

/* From now on: nothing can have come yet. Messages to the device are no part of these answers: /sync gives them. */
static str token_of_now(struct syncs *ss, struct arena *a)
{
	const int64_t presence = presence_enabled(ss->opt.presence) ? presence_serial(ss->opt.presence) : 0;
	const int64_t position = bus_position(ss->opt.bus);
	const struct sync_token t = {
		.epoch = ss->epoch,
		.stream = position,
		.process = ss->process,
		.serial = bus_serial(ss->opt.bus),
		.presence = presence,
		.presence_told = presence,
	};

	return sync_token_write(a, &t);
}

err *legacy_events(struct syncs *ss, struct arena *a, const struct legacy_request *rq, struct legacy_events **out,
		   uint64_t *out_seq)
{
	struct sync_request request = {
		.user = rq->user,
		.user_id = rq->user_id,
		.device_id = rq->device_id,
		.since = rq->from,
		.max_timeline = -1,
		.now = rq->now,
	};
	const struct filter filter = { .timeline.limit = rq->limit < 0 ? LIMIT_DEFAULT : MIN(rq->limit, LIMIT_MOST),
				       .timeline.limit_is_zero = rq->limit == 0 };
	struct run r = { .ss = ss, .a = a, .rq = &request };
	struct legacy_events *ev = ARENA_NEW(a, struct legacy_events);
	err *e;

	if (str_is_none(rq->from))
		request.since = token_of_now(ss, a);
	ev->a = a;
	ev->start = request.since;
	ev->view = (struct client_view){
		.user = rq->user, .user_id = rq->user_id, .device_id = rq->device_id, .now = rq->now, .legacy = true
	};
	TRY(run_open(&r, &filter));
	/* A token of another history: from now on. */
	e = r.initial ? NULL : gather(&r, rq, ev);
	store_read_end(&r.tx);
	if (e)
		return e;
	if (r.initial)
		ev->end = token_of_now(ss, a);
	*out_seq = r.bus.seq;
	*out = ev;
	return NULL;
}

bool legacy_events_any(const struct legacy_events *ev) { return ev->events.n || ev->others.n; }

void legacy_events_write(const struct legacy_events *ev, struct jw *w)
{
	jw_str(w, "start", ev->start);
	jw_str(w, "end", ev->end);
	jw_array(w, "chunk");
	for (size_t i = 0; i < ev->events.n; i++)
		client_event_write(ev->a, w, NULL, ev->events.p[i].row, ev->events.p[i].room_id, ev->events.p[i].extra,
				   &ev->view);
	for (size_t i = 0; i < ev->others.n; i++)
		jw_raw(w, NULL, ev->others.p[i]);
	jw_end(w);
}

err *legacy_event_room(struct syncs *ss, struct arena *a, str event_id, str *out_room_id)
{
	AUTO_TX tx = NULL;
	struct event_row *row;

	TRY(store_read(ss->opt.store, a, &tx));
	TRY(store_event_by_id(tx, event_id, &row));
	if (!row)
		return err_new(a, ERR_NOT_FOUND, "no such event");
	return store_intern_text(ss->opt.store, a, row->room, out_room_id);
}
