#include "room/receipt.h"

#include "base/clock.h"
#include "bus/bus.h"
#include "room/client_event.h"
#include "room/internal_room.h"
#include "room/server_acl.h"
#include "room/thread.h"
#include "room/view.h"
#include "store/account_data.h"
#include "store/events.h"

struct lookup {
	struct tx *tx;
	struct arena *a;
	int64_t room;
};

static err *content_by_id(void *ctx, str event_id, const struct json **out)
{
	const struct lookup *l = ctx;
	struct event_row *row;
	struct json *content;

	*out = NULL;
	TRY(store_event_by_id(l->tx, event_id, &row));
	if (!row || row->room != l->room)
		return NULL;
	TRY(event_content_of(l->a, row, &content));
	*out = content;
	return NULL;
}

/* The root of the event's thread; NULL for the main timeline: also where what is called the root is not there. */
static err *thread_of(struct tx *tx, struct arena *a, const struct event_row *row, struct event_row **out_root)
{
	struct lookup l = { tx, a, row->room };
	struct json *content;
	str root;

	*out_root = NULL;
	TRY(event_content_of(a, row, &content));
	TRY(thread_root_of(content, content_by_id, &l, &root));
	if (str_is_none(root))
		return NULL;
	TRY(store_event_by_id(tx, root, out_root));
	if (*out_root && (*out_root)->room != row->room)
		*out_root = NULL;
	return NULL;
}

/* "The event_id is not related to the thread_id" is an error. An event of the main timeline may be named for the thread
 * that it is, or would be, the root of. */
static err *check_thread(struct tx *tx, struct arena *a, const struct event_row *row, str thread_id,
			 int64_t *out_thread)
{
	struct event_row *root;

	*out_thread = THREAD_NONE;
	if (str_is_none(thread_id))
		return NULL;
	TRY(thread_of(tx, a, row, &root));
	if (!root && str_eq(thread_id, S("main")))
		*out_thread = THREAD_MAIN;
	else if (str_eq(thread_id, root ? root->event_id : row->event_id))
		*out_thread = root ? root->nid : row->nid;
	else
		return err_new(a, ERR_INVALID_PARAM, "the event is not in that thread");
	return NULL;
}

struct receipt_write {
	struct rooms *rs;
	struct receipt_row row;
	bool is_own_event;
	bool moved;
};

static err *receipt_late(struct tx *tx, void *arg)
{
	struct receipt_write *w = arg;

	return store_receipt_set(tx, &w->row, &w->moved);
}

/* A private one, too, is told as the room's, so that the user's devices know where to look: nobody else will find
 * anything. */
static void receipt_after(void *arg, const err *result)
{
	const struct receipt_write *w = arg;

	if (!result && w->moved)
		bus_touch_room(w->rs->opt.bus, w->row.room, BUS_RECEIPTS, w->row.stream);
}

static err *prepare_receipt(struct rooms *rs, struct tx *tx, struct arena *a, const struct receipt_cmd *cmd,
			    struct receipt_row *out, bool *out_is_own_event)
{
	const struct event_row *row;
	struct room_view *v;

	TRY(room_view_open(rs, a, tx, cmd->room_id, cmd->by.user, cmd->by.user_id, VIEW_JOINED, &v));
	TRY(room_view_event(v, cmd->event_id, &row));
	*out = (struct receipt_row){ .room = row->room,
				     .user = cmd->by.user,
				     .kind = cmd->kind,
				     .event = row->nid,
				     .upto = row->stream,
				     .ts = clock_ms() };
	*out_is_own_event = row->sender == cmd->by.user;
	return check_thread(tx, a, row, cmd->thread_id, &out->thread);
}

void rooms_on_receipt(struct rooms *rs, receipt_fn *fn, void *ctx)
{
	rs->on_receipt = fn;
	rs->on_receipt_ctx = ctx;
}

err *room_receipt(struct rooms *rs, struct arena *a, const struct receipt_cmd *cmd)
{
	struct receipt_write w = { .rs = rs };
	struct ticket *ticket;
	AUTO_TX tx = NULL;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(prepare_receipt(rs, tx, a, cmd, &w.row, &w.is_own_event));
	store_read_end(&tx);
	/* Older than everything that /sync ever showed: no receipt moves on to it. */
	if (!w.row.upto)
		return NULL;
	TRY(store_write(rs->opt.store, a, &(struct piece){ .late = receipt_late, .after = receipt_after, .arg = &w },
			&ticket));
	TRY(store_wait(a, ticket));
	/* "Read receipts for events that a user sent do not need to be sent." */
	if (rs->on_receipt && w.moved && cmd->kind == RECEIPT_READ && !w.is_own_event)
		rs->on_receipt(rs->on_receipt_ctx, cmd, w.row.ts);
	return NULL;
}

/*
 * What other servers tell
 */
struct receipts_write {
	struct receipt_write *p;
	size_t n;
};

static err *receipts_late(struct tx *tx, void *arg)
{
	const struct receipts_write *w = arg;

	for (size_t i = 0; i < w->n; i++)
		TRY(receipt_late(tx, &w->p[i]));
	return NULL;
}

static void receipts_after(void *arg, const err *result)
{
	const struct receipts_write *w = arg;

	for (size_t i = 0; i < w->n; i++)
		receipt_after(&w->p[i], result);
}

/* "Servers MUST ignore receipts of users that are not theirs" in short; the ACL goes by rooms. */
static err *prepare_received(struct rooms *rs, struct tx *tx, struct arena *a, str origin,
			     const struct received_receipt *r, struct receipt_write *out)
{
	struct receipt_cmd cmd = {
		.by = { .user_id = r->user_id, .device_id = STR_NONE },
		.room_id = r->room_id,
		.event_id = r->event_id,
		.kind = RECEIPT_READ,
		.thread_id = r->thread_id,
	};

	if (!id_user_valid(r->user_id) || !id_is_of(r->user_id, origin))
		return err_new(a, ERR_FORBIDDEN, "not a user of that server");
	TRY(store_intern_find(rs->opt.store, a, r->user_id, &cmd.by.user));
	if (!cmd.by.user)
		return err_new(a, ERR_FORBIDDEN, "nobody here knows that user");
	TRY(room_acl_check(rs, a, r->room_id, origin));
	TRY(prepare_receipt(rs, tx, a, &cmd, &out->row, &out->is_own_event));
	if (r->ts > 0)
		out->row.ts = r->ts;
	return NULL;
}

static bool is_theirs(const err *e) { return e->code != ERR_STORE && e->code != ERR_BUSY && e->code != ERR_INTERNAL; }

err *room_receipts_received(struct rooms *rs, struct arena *a, str origin, const struct received_receipt *list,
			    size_t n, size_t *out_left_out)
{
	struct receipts_write w = { .p = ARENA_ARRAY(a, struct receipt_write, n) };
	struct ticket *ticket;
	AUTO_TX tx = NULL;

	TRY(store_read(rs->opt.store, a, &tx));
	for (size_t i = 0; i < n; i++) {
		struct receipt_write *one = &w.p[w.n];
		err *e = prepare_received(rs, tx, a, origin, &list[i], one);

		if (e && !is_theirs(e))
			return e;
		one->rs = rs;
		w.n += !e && one->row.upto != 0;
	}
	store_read_end(&tx);
	*out_left_out = n - w.n;
	if (w.n == 0)
		return NULL;
	TRY(store_write(
		rs->opt.store, a,
		&(struct piece){ .late = receipts_late, .after = receipts_after, .arg = &w, .positions = (int64_t)w.n },
		&ticket));
	return store_wait(a, ticket);
}

/*
 * Fully read markers
 */
struct marker_write {
	struct rooms *rs;
	struct arena *arena;
	int64_t user, timeline; /* where the event is */
	struct account_data_row row;
	bool moved;
};

/* Where an m.fully_read stands; 0: nowhere. */
static err *marker_place(struct tx *tx, struct arena *a, str content, int64_t room, int64_t *out)
{
	struct event_row *event;
	struct json *json;
	str id;

	*out = 0;
	TRY(json_parse(a, content, &json_limits_request, &json));
	id = json_get_str(json, S("event_id"));
	if (str_is_none(id))
		return NULL;
	TRY(store_event_by_id(tx, id, &event));
	if (event && event->room == room)
		*out = event->timeline;
	return NULL;
}

static err *marker_late(struct tx *tx, void *arg)
{
	struct marker_write *w = arg;
	struct account_data_row *old;
	int64_t place = 0;

	TRY(store_account_data_begin(tx, w->user, &w->row, &old));
	if (old)
		TRY(marker_place(tx, w->arena, old->content, w->row.room, &place));
	w->moved = place < w->timeline;
	return w->moved ? store_account_data_set(tx, w->user, &w->row) : NULL;
}

static void marker_after(void *arg, const err *result)
{
	const struct marker_write *w = arg;

	if (!result && w->moved)
		bus_touch_user(w->rs->opt.bus, w->user, BUS_ROOM_DATA, w->row.stream);
}

static err *prepare_marker(struct rooms *rs, struct arena *a, const struct actor *by, str room_id, str event_id,
			   struct marker_write *w)
{
	AUTO_TX tx = NULL;
	AUTO_BUF b = BUF_INIT(4096);
	struct jw jw = jw_to(&b);
	const struct event_row *row;
	struct room_view *v;

	TRY(store_read(rs->opt.store, a, &tx));
	TRY(room_view_open(rs, a, tx, room_id, by->user, by->user_id, VIEW_JOINED, &v));
	TRY(room_view_event(v, event_id, &row));
	jw_object(&jw, NULL);
	jw_str(&jw, "event_id", row->event_id);
	jw_end(&jw);
	*w = (struct marker_write){
		.rs = rs,
		.arena = a,
		.user = by->user,
		.timeline = row->timeline,
		.row = { .room = row->room, .type = S("m.fully_read"), .content = arena_keep(a, buf_str(&b)) },
	};
	return NULL;
}

err *room_fully_read(struct rooms *rs, struct arena *a, const struct actor *by, str room_id, str event_id)
{
	struct marker_write w;
	struct ticket *ticket;

	TRY(prepare_marker(rs, a, by, room_id, event_id, &w));
	TRY(store_write(rs->opt.store, a, &(struct piece){ .late = marker_late, .after = marker_after, .arg = &w },
			&ticket));
	return store_wait(a, ticket);
}
