/*
 * outbox_cache.c - events on their way out, parsed once for all destinations.
 *
 * An event goes to hundreds of servers within a second, so it stays for a while after the last one took it; not for
 * long, because a redaction changes what the store has of it.
 */
#include "federation/internal_outbox_txn.h"

#include "matrix/id.h"
#include "store/events.h"

static void sent_free(struct outbox *o, struct sent *s)
{
	struct arena *a = s->a; /* holds the entry itself */

	(void)map_del_i(&o->sent, s->event);
	list_del(&s->idle);
	o->sent_bytes -= s->bytes;
	arena_free(&a);
}

/* The oldest stand first. */
static void evict(struct outbox *o, int64_t now)
{
	LIST_EACH_SAFE (&o->sent_idle, node) {
		struct sent *s = LIST_ITEM(node, struct sent, idle);

		if (o->sent_bytes <= CACHE_BYTES && now - s->at < CACHE_MS)
			return;
		sent_free(o, s);
	}
}

/* Who sent an event through us has it; but not an invitation by a third-party id, which was made here. */
static str whose(const struct json *json)
{
	const str membership = json_get_str(json_get(json, S("content")), S("membership"));

	if (str_eq(json_get_str(json, S("type")), S("m.room.member")) && str_eq(membership, S("invite")))
		return STR_NONE;
	return id_server(json_get_str(json, S("sender")));
}

static err *add(struct outbox *o, const struct event_row *row, int64_t now)
{
	struct arena *a = arena_new();
	struct sent *s = ARENA_NEW(a, struct sent);
	struct json *json;
	err *e = json_parse(a, arena_keep(a, row->json), &json_limits_event, &json);

	if (e) { /* not what we once stored */
		log_error(o->opt.log, "a stored event cannot be read", F("event_id", row->event_id),
			  F("error", e->msg));
		arena_free(&a);
		return NULL;
	}
	list_init(&s->idle);
	s->a = a;
	s->event = row->nid;
	s->at = now;
	s->bytes = row->json.n;
	s->json = json;
	s->event_id = arena_keep(a, row->event_id);
	s->sender_server = whose(json);
	o->sent_bytes += s->bytes;
	(void)map_put_i(&o->sent, s->event, s);
	return NULL;
}

err *sent_load(struct outbox *o, struct tx *tx, const struct outbox_event_row *items, size_t n, struct sent **out)
{
	const int64_t now = o->opt.now();
	int64_t lacking[TXN_PDUS];
	struct event_row **rows;
	size_t n_lacking = 0, n_rows = 0;

	evict(o, now);
	for (size_t i = 0; i < n; i++)
		if (!map_get_i(&o->sent, items[i].event))
			lacking[n_lacking++] = items[i].event;
	if (n_lacking)
		TRY(store_events_by_nids(tx, lacking, n_lacking, &rows, &n_rows));
	for (size_t i = 0; i < n_rows; i++)
		TRY(add(o, rows[i], now));
	for (size_t i = 0; i < n; i++) {
		out[i] = map_get_i(&o->sent, items[i].event);
		if (!out[i])
			continue;
		out[i]->refs++;
		list_del(&out[i]->idle);
	}
	return NULL;
}

void sent_release(struct outbox *o, struct sent **list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] && --list[i]->refs == 0)
			list_add_tail(&o->sent_idle, &list[i]->idle);
}

void sent_free_all(struct outbox *o)
{
	int64_t event;
	void *s;

	for (size_t i = 0; map_next_i(&o->sent, &i, &event, &s);)
		sent_free(o, s);
	map_done(&o->sent);
}
