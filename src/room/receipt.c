#include "room/receipt.h"

#include "base/clock.h"
#include "bus/bus.h"
#include "room/client_event.h"
#include "room/internal_room.h"
#include "room/thread.h"
#include "room/view.h"
#include "store/account_data.h"
#include "store/events.h"
#include "user/account_data.h"

/* The event that is named, if the user may see it. */
static err *named_event(struct room_view *v, struct tx *tx, struct arena *a, str event_id, const struct event_row **out)
{
	struct event_row *row;
	bool seen = false;

	TRY(store_event_by_id(tx, event_id, &row));
	if (row && row->room == room_view_room(v) && row->stream)
		TRY(room_view_sees(v, (const struct event_row *const[]){ row }, 1, &seen));
	if (!seen)
		return err_new(a, ERR_NOT_FOUND, "no such event in this room");
	*out = row;
	return NULL;
}

struct lookup {
	struct tx *tx;
	struct arena *a;
	int64_t room;
};

static err *content_of_row(struct arena *a, const struct event_row *row, const struct json **out)
{
	struct event_parts parts;
	struct json *content;

	event_parts_of(row->json, &parts);
	TRY(json_parse(a, parts.content, &json_limits_event, &content));
	*out = content;
	return NULL;
}

static err *content_by_id(void *ctx, str event_id, const struct json **out)
{
	const struct lookup *l = ctx;
	struct event_row *row;

	*out = NULL;
	TRY(store_event_by_id(l->tx, event_id, &row));
	return row && row->room == l->room ? content_of_row(l->a, row, out) : NULL;
}

/* "The event_id is not related to the thread_id" is an error. A thread's root counts for its own thread as well. */
static err *check_thread(struct tx *tx, struct arena *a, const struct event_row *row, str thread_id,
			 int64_t *out_thread)
{
	struct lookup l = { tx, a, row->room };
	const struct json *content;
	struct event_row *root_row;
	str root;

	*out_thread = THREAD_NONE;
	if (str_is_none(thread_id))
		return NULL;
	TRY(content_of_row(a, row, &content));
	TRY(thread_root_of(content, content_by_id, &l, &root));
	if (str_eq(thread_id, S("main")) && str_is_none(root)) {
		*out_thread = THREAD_MAIN;
		return NULL;
	}
	if (!str_eq(thread_id, root) && !str_eq(thread_id, row->event_id))
		return err_new(a, ERR_INVALID_PARAM, "the event is not in that thread");
	TRY(store_event_by_id(tx, thread_id, &root_row));
	if (!root_row || root_row->room != row->room)
		return err_new(a, ERR_INVALID_PARAM, "no such thread");
	*out_thread = root_row->nid;
	return NULL;
}

struct receipt_write {
	struct rooms *rs;
	struct receipt_row row;
	bool moved;
};

static err *receipt_late(struct tx *tx, void *arg)
{
	struct receipt_write *w = arg;

	return store_receipt_set(tx, &w->row, &w->moved);
}

/* A private one concerns its user alone. */
static void receipt_after(void *arg, const err *result)
{
	const struct receipt_write *w = arg;

	if (result || !w->moved)
		return;
	if (w->row.kind == RECEIPT_READ_PRIVATE)
		bus_touch_user(w->rs->opt.bus, w->row.user, BUS_RECEIPTS, w->row.stream);
	else
		bus_touch_room(w->rs->opt.bus, w->row.room, BUS_RECEIPTS, w->row.stream);
}

static err *prepare_receipt(struct rooms *rs, struct arena *a, const struct receipt_cmd *cmd, struct receipt_row *out)
{
	AUTO_TX tx = NULL;
	const struct event_row *row;
	struct room_view *v;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(room_view_open(rs, a, tx, cmd->room_id, cmd->by.user, cmd->by.user_id, VIEW_JOINED, &v));
	TRY(named_event(v, tx, a, cmd->event_id, &row));
	*out = (struct receipt_row){ .room = row->room,
				     .user = cmd->by.user,
				     .kind = cmd->kind,
				     .event = row->nid,
				     .upto = row->stream,
				     .ts = clock_ms() };
	return check_thread(tx, a, row, cmd->thread_id, &out->thread);
}

err *room_receipt(struct rooms *rs, struct arena *a, const struct receipt_cmd *cmd)
{
	struct receipt_write w = { .rs = rs };
	struct ticket *ticket;

	TRY(prepare_receipt(rs, a, cmd, &w.row));
	TRY(store_write(rs->opt.store, a, &(struct piece){ .late = receipt_late, .after = receipt_after, .arg = &w },
			&ticket));
	return store_wait(a, ticket);
}

err *room_fully_read(struct rooms *rs, struct users *us, struct arena *a, const struct actor *by, str room_id,
		     str event_id)
{
	AUTO_TX tx = NULL;
	AUTO_BUF b = BUF_INIT(4096);
	struct jw w = jw_to(&b);
	struct account_data_row *old;
	struct event_row *old_row = NULL;
	const struct event_row *row;
	struct json *json = NULL;
	struct room_view *v;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(room_view_open(rs, a, tx, room_id, by->user, by->user_id, VIEW_JOINED, &v));
	TRY(named_event(v, tx, a, event_id, &row));
	TRY(store_account_data(tx, by->user, row->room, S("m.fully_read"), &old));
	if (old)
		TRY(json_parse(a, old->content, &json_limits_request, &json));
	if (json && !str_is_none(json_get_str(json, S("event_id"))))
		TRY(store_event_by_id(tx, json_get_str(json, S("event_id")), &old_row));
	if (old_row && old_row->timeline >= row->timeline)
		return NULL;
	store_read_end(&tx);
	jw_object(&w, NULL);
	jw_str(&w, "event_id", event_id);
	jw_end(&w);
	return user_account_data_set(us, a, by->user, row->room, S("m.fully_read"), buf_str(&b));
}
