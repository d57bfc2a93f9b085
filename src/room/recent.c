/*
 * recent.c - a room's newest events in memory, so that a fan-out to many waiting /syncs reads no SQL.
 *
 * The list gets what is committed, before the bus moves: a reader bounded by the bus's position finds everything up to
 * it. It reaches back to `complete_above`, which rises as the oldest go for want of space. At first nothing is known of
 * what was before: the list is complete from the first event that this process publishes.
 *
 * A first /sync of a room that was busy lately finds its newest page here, too.
 */
#include "room/internal_job.h"

struct recent_item {
	struct list node;
	size_t size;
	bool linear;
	struct event_row row; /* its texts lie behind it; the json may be replaced by a redaction's */
	str json;             /* owned apart when it is not STR_NONE: the redacted form */
};

void recent_init(struct recent *r, size_t limit)
{
	lock_init(&r->lock, RANK_SERVICE);
	list_init(&r->list);
	r->bytes = 0;
	r->limit = limit;
	r->complete_above = INT64_MAX;
	r->jumped = false;
}

static void item_free(struct recent_item *it)
{
	mem_free((void *)it->json.p);
	mem_free(it);
}

void recent_done(struct recent *r)
{
	LIST_EACH_SAFE (&r->list, node)
		item_free(LIST_ITEM(node, struct recent_item, node));
	lock_done(&r->lock);
}

void recent_reset(struct recent *r)
{
	LOCKED(&r->lock);
	LIST_EACH_SAFE (&r->list, node) {
		list_del(node);
		item_free(LIST_ITEM(node, struct recent_item, node));
	}
	r->bytes = 0;
	r->complete_above = INT64_MAX;
	r->jumped = true;
}

static str put(char **at, str s)
{
	const str copy = { *at, s.n };

	if (str_is_none(s))
		return STR_NONE;
	memcpy(*at, s.p, s.n);
	*at += s.n;
	return copy;
}

static struct recent_item *item_new(const struct event_row *row)
{
	const size_t texts = row->event_id.n + row->json.n + row->txn_device.n + row->txn_id.n + row->prevs.n;
	struct recent_item *it = mem_zalloc(sizeof(*it) + texts);
	char *at = (char *)(it + 1);

	it->size = sizeof(*it) + texts;
	it->row = *row;
	it->row.event_id = put(&at, row->event_id);
	it->row.json = put(&at, row->json);
	it->row.txn_device = put(&at, row->txn_device);
	it->row.txn_id = put(&at, row->txn_id);
	it->row.prevs = put(&at, row->prevs);
	it->row.auths = STR_NONE;
	return it;
}

static void redact(struct recent *r, const struct job_event *je)
{
	LIST_EACH (&r->list, node) {
		struct recent_item *it = LIST_ITEM(node, struct recent_item, node);

		if (it->row.nid != je->redact_target || it->row.redacted_by)
			continue;
		it->row.redacted_by = je->row.nid;
		it->row.flags |= EVENT_REDACTED;
		it->json = str_keep(je->redact_json);
		it->row.json = it->json;
	}
}

/* With the lock. */
static void unmark(struct recent *r, int64_t event, unsigned flag)
{
	LIST_EACH (&r->list, node) {
		struct recent_item *it = LIST_ITEM(node, struct recent_item, node);

		if (it->row.nid == event)
			it->row.flags &= ~flag;
	}
}

void recent_close_gap(struct recent *r, int64_t event)
{
	LOCKED(&r->lock);
	unmark(r, event, EVENT_GAP);
}

void recent_publish(struct recent *r, const struct job *job)
{
	LOCKED(&r->lock);
	for (size_t i = 0; i < job->events.n; i++) {
		const struct job_event *je = job->events.p[i];
		struct recent_item *it;

		if (je->redact_target)
			redact(r, je);
		if (je->redact_applied)
			unmark(r, je->redact_applied, EVENT_UNAPPLIED);
		if (!je->shown) {
			r->jumped = r->jumped || je->current_moved;
			continue;
		}
		if (r->complete_above == INT64_MAX)
			r->complete_above = je->stream - 1;
		it = item_new(&je->row);
		it->linear = je->linear && !r->jumped;
		r->jumped = false;
		list_add_tail(&r->list, &it->node);
		r->bytes += it->size;
	}
	while (r->bytes > r->limit) {
		struct recent_item *oldest = LIST_ITEM(r->list.next, struct recent_item, node);

		r->complete_above = oldest->row.stream;
		r->bytes -= oldest->size;
		list_del(&oldest->node);
		item_free(oldest);
	}
}

static struct event_row *row_copy(struct arena *a, const struct event_row *row)
{
	struct event_row *copy = ARENA_NEW(a, struct event_row);

	*copy = *row;
	copy->event_id = arena_keep(a, row->event_id);
	copy->json = arena_keep(a, row->json);
	copy->txn_device = arena_keep(a, row->txn_device);
	copy->txn_id = arena_keep(a, row->txn_id);
	copy->prevs = arena_keep(a, row->prevs);
	return copy;
}

static bool read_recent(struct recent *r, struct arena *a, int64_t above, int64_t upto, struct event_row ***out,
			size_t *out_n, bool *out_linear)
{
	VEC(struct event_row *) list = { 0 };
	struct list *first;

	LOCKED(&r->lock);
	if (above < r->complete_above)
		return false;
	*out_linear = true;
	/* News are at the end: walk back to the first of them. */
	for (first = r->list.prev; first != &r->list; first = first->prev)
		if (LIST_ITEM(first, struct recent_item, node)->row.stream <= above)
			break;
	for (struct list *node = first->next; node != &r->list; node = node->next) {
		const struct recent_item *it = LIST_ITEM(node, struct recent_item, node);

		if (it->row.stream > upto)
			continue;
		vec_push(a, &list, row_copy(a, &it->row));
		*out_linear = *out_linear && it->linear;
	}
	*out = list.p;
	*out_n = list.n;
	return true;
}

static bool read_newest(struct room *room, struct arena *a, int64_t upto, size_t want, struct event_row ***out,
			size_t *out_n)
{
	VEC(struct event_row *) list = { 0 };
	struct recent *r = &room->recent;
	bool first_of_all = false;

	LOCKED(&r->lock);
	for (struct list *node = r->list.prev; node != &r->list && list.n < want; node = node->prev) {
		const struct recent_item *it = LIST_ITEM(node, struct recent_item, node);

		if (it->row.stream > upto)
			continue;
		vec_push(a, &list, row_copy(a, &it->row));
		first_of_all = it->row.type == room->rs->summary_types[SUMMARY_ROOM_TYPE] && it->row.prevs.n == 0;
	}
	*out = list.p;
	*out_n = list.n;
	return list.n == want || first_of_all;
}

/* From the table, if it is there. */
static struct room *room_in_memory(struct rooms *rs, int64_t room_nid)
{
	struct room *room;

	LOCKED(&rs->lock);
	room = map_get_i(&rs->by_nid, room_nid);
	if (room)
		room->refs++;
	return room;
}

bool rooms_newest(struct rooms *rs, struct arena *a, int64_t room_nid, int64_t upto, size_t want,
		  struct event_row ***out, size_t *out_n)
{
	struct room *room = room_in_memory(rs, room_nid);
	bool known;

	if (!room)
		return false;
	known = read_newest(room, a, upto, want, out, out_n);
	rooms_unref(rs, room);
	return known;
}

bool rooms_recent(struct rooms *rs, struct arena *a, int64_t room_nid, int64_t above, int64_t upto,
		  struct event_row ***out, size_t *out_n, bool *out_linear)
{
	struct room *room = room_in_memory(rs, room_nid);
	bool known;

	if (!room)
		return false;
	known = read_recent(&room->recent, a, above, upto, out, out_n, out_linear);
	rooms_unref(rs, room);
	return known;
}
