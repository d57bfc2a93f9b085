/*
 * ephemeral.c - who is typing, and who has read how far. Client-Server API, "Typing Notifications", "Receipts".
 *
 * "Receipts SHOULD be batched into one event per room and thread": the thread of a receipt stands beside its time,
 * where two receipts of one user for one event would take each other's place.
 */
#include "sync/v3/internal_v3.h"

#include "room/typing.h"
#include "store/events.h"
#include "store/receipts.h"

#include <stdlib.h>

enum { TYPING_USERS_MAX = 200, EPHEMERAL_MAX = 8 << 20 };

/* Serials of another process say nothing, and before a room had a watcher the bus was not listening: then it is told if
 * anybody types. */
static bool is_told_anew(const struct run *r) { return r->full_state || r->foreign || !r->exact; }

bool typing_is_news(const struct run *r, int64_t room, const struct bus_room_news *news)
{
	int64_t user, serial;

	if (is_told_anew(r))
		return typing_list(r->ss->opt.typing, room, &user, 1, &serial) > 0;
	return news && news->last[BUS_TYPING] > r->since.serial;
}

static err *add_typing(struct run *r, struct task *t, struct sync_room *out)
{
	AUTO_BUF b = BUF_INIT(EPHEMERAL_MAX);
	struct jw w = jw_to(&b);
	int64_t users[TYPING_USERS_MAX], serial;
	size_t n;

	if ((!t->full && !typing_is_news(r, t->room, t->news)) ||
	    !event_filter_has_type(&r->filter.ephemeral, S("m.typing")))
		return NULL;
	n = typing_list(r->ss->opt.typing, t->room, users, ARRAY_LEN(users), &serial);
	/* Who is shown the room anew may still know from before that somebody types: a client that starts over. */
	if (n == 0 && (t->full ? serial == 0 : is_told_anew(r)))
		return NULL;
	jw_object(&w, NULL);
	jw_object(&w, "content");
	jw_array(&w, "user_ids");
	for (size_t i = 0; i < n; i++) {
		str user_id;

		TRY(store_intern_text(r->ss->opt.store, r->a, users[i], &user_id));
		jw_str(&w, NULL, user_id);
	}
	jw_end(&w);
	jw_end(&w);
	jw_str(&w, "type", S("m.typing"));
	jw_end(&w);
	vec_push(r->a, &out->ephemeral, arena_keep(r->a, buf_str(&b)));
	return NULL;
}

/*
 * Receipts
 */
struct receipts {
	struct run *r;
	struct receipt_row *rows;
	size_t n;
	struct event_name *names; /* by number */
	size_t n_names;
};

static str name_of(const struct receipts *rc, int64_t nid)
{
	for (size_t low = 0, high = rc->n_names; low < high;) {
		const size_t mid = low + (high - low) / 2;

		if (rc->names[mid].nid == nid)
			return rc->names[mid].event_id;
		if (rc->names[mid].nid < nid)
			low = mid + 1;
		else
			high = mid;
	}
	return STR_NONE;
}

/* Rows by thread, event, kind and user: what stands together is written together. */
static int by_place(const void *x, const void *y)
{
	const struct receipt_row *p = x, *q = y;

	if (p->thread != q->thread)
		return p->thread < q->thread ? -1 : 1;
	if (p->event != q->event)
		return p->event < q->event ? -1 : 1;
	if (p->kind != q->kind)
		return p->kind < q->kind ? -1 : 1;
	return (p->user > q->user) - (p->user < q->user);
}

static err *write_receipt(const struct receipts *rc, struct jw *w, const struct receipt_row *row)
{
	str user_id;

	TRY(store_intern_text(rc->r->ss->opt.store, rc->r->a, row->user, &user_id));
	jw_key(w, user_id);
	jw_object(w, NULL);
	if (row->thread != THREAD_NONE)
		jw_str(w, "thread_id", row->thread == THREAD_MAIN ? S("main") : name_of(rc, row->thread));
	jw_int(w, "ts", row->ts);
	jw_end(w);
	return NULL;
}

/* Those of one event, from *at on. */
static err *write_event(const struct receipts *rc, struct jw *w, size_t *at)
{
	const struct receipt_row *first = &rc->rows[*at];
	const str event_id = name_of(rc, first->event);

	jw_key(w, event_id);
	jw_object(w, NULL);
	while (*at < rc->n && rc->rows[*at].thread == first->thread && rc->rows[*at].event == first->event) {
		const enum receipt_kind kind = rc->rows[*at].kind;

		jw_object(w, kind == RECEIPT_READ ? "m.read" : "m.read.private");
		for (; *at < rc->n && rc->rows[*at].thread == first->thread && rc->rows[*at].event == first->event &&
		       rc->rows[*at].kind == kind;
		     (*at)++)
			TRY(write_receipt(rc, w, &rc->rows[*at]));
		jw_end(w);
	}
	jw_end(w);
	return NULL;
}

static err *write_thread(const struct receipts *rc, size_t *at, str *out)
{
	AUTO_BUF b = BUF_INIT(EPHEMERAL_MAX);
	const int64_t thread = rc->rows[*at].thread;
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	jw_object(&w, "content");
	while (*at < rc->n && rc->rows[*at].thread == thread)
		TRY(write_event(rc, &w, at));
	jw_end(&w);
	jw_str(&w, "type", S("m.receipt"));
	jw_end(&w);
	if (!jw_good(&w))
		return err_new(rc->r->a, ERR_INTERNAL, "too many receipts to write");
	*out = arena_keep(rc->r->a, buf_str(&b));
	return NULL;
}

static err *name_events(struct receipts *rc, struct tx *tx)
{
	int64_t *nids = ARENA_ARRAY(rc->r->a, int64_t, 2 * rc->n);
	size_t n = 0;

	for (size_t i = 0; i < rc->n; i++) {
		nids[n++] = rc->rows[i].event;
		if (rc->rows[i].thread > 0)
			nids[n++] = rc->rows[i].thread;
	}
	return store_event_names(tx, nids, n, &rc->names, &rc->n_names);
}

/* Receipts for events that are gone (a purge) are nobody's news. */
static void drop_nameless(struct receipts *rc)
{
	size_t n = 0;

	for (size_t i = 0; i < rc->n; i++)
		if (!str_is_none(name_of(rc, rc->rows[i].event)) &&
		    (rc->rows[i].thread <= 0 || !str_is_none(name_of(rc, rc->rows[i].thread))))
			rc->rows[n++] = rc->rows[i];
	rc->n = n;
}

static bool may_have_receipts(const struct run *r, const struct task *t)
{
	return t->full || !r->exact || !t->news || t->news->last[BUS_RECEIPTS] > r->since.stream ||
	       r->bus.own[BUS_RECEIPTS] > r->since.stream;
}

static err *add_receipts(struct run *r, struct task *t, struct sync_room *out)
{
	struct receipts rc = { .r = r };
	struct tx *tx;

	if (!may_have_receipts(r, t) || !event_filter_has_type(&r->filter.ephemeral, S("m.receipt")))
		return NULL;
	TRY(run_tx(r, &tx));
	TRY(store_receipts_changed(tx, t->room, r->rq->user, t->full ? 0 : t->above, r->position, &rc.rows, &rc.n));
	if (rc.n == 0)
		return NULL;
	TRY(name_events(&rc, tx));
	drop_nameless(&rc);
	if (rc.n)
		qsort(rc.rows, rc.n, sizeof(*rc.rows), by_place);
	for (size_t at = 0; at < rc.n;) {
		str event;

		TRY(write_thread(&rc, &at, &event));
		vec_push(r->a, &out->ephemeral, event);
	}
	return NULL;
}

err *ephemeral_gather(struct run *r, struct task *t, struct sync_room *out)
{
	if (!event_filter_has_room(&r->filter.ephemeral, t->room_id))
		return NULL;
	TRY(add_receipts(r, t, out));
	return add_typing(r, t, out);
}
