/* outbox_status.c - how it stands with a destination, for operators, and what they can wish. */
#include "federation/internal_outbox_txn.h"

enum { COUNT_MOST = 100000, BAD_MOST = 100 };

static err *server_number(struct outbox *o, struct arena *a, str server_name, int64_t *out)
{
	TRY(store_intern_find(o->opt.store, a, server_name, out));
	return *out ? NULL : err_new(a, ERR_NOT_FOUND, "this server never met %.*s", STR_ARG(server_name));
}

struct looked {
	int64_t server, above;
	bool behind;
};

/* What memory says. */
static void look(struct outbox *o, struct arena *a, int64_t server, struct outbox_status *out, struct looked *l)
{
	struct destination *d;

	LOCKED(&o->lock);
	d = map_get_i(&o->by_server, server);
	*l = (struct looked){ .server = server };
	if (!d) {
		out->sent_upto = o->told;
		return;
	}
	out->sent_upto = destination_has_events(d) ? d->position : o->told;
	out->events_waiting = (int64_t)(d->n + (d->txn ? d->txn->n_items : 0));
	out->edus_waiting = (int64_t)(d->n_edus + (d->txn ? d->txn->n_edus : 0));
	out->catching_up = l->behind = d->behind;
	out->in_flight = d->in_flight;
	out->last_sent = d->last_sent;
	l->above = out->sent_upto;
	if (!d->failing_since)
		return;
	out->destination.failing_since = d->failing_since;
	out->destination.retry_at = d->retry_at;
	out->destination.pause_ms = d->pause_ms;
	out->destination.last_error = arena_keep(a, d->last_error);
}

/* Back-off knows of every request to the server, the outbox of what it answered to transactions. */
static void merge(struct outbox_status *out, const struct destination_status *other)
{
	struct destination_status *own = &out->destination;

	if (!own->failing_since && !other->failing_since) {
		own->last_success = MAX(other->last_success, out->last_sent);
		return;
	}
	if (!own->failing_since || (other->failing_since && other->failing_since < own->failing_since))
		own->failing_since = other->failing_since;
	own->retry_at = MAX(own->retry_at, other->retry_at);
	own->pause_ms = MAX(own->pause_ms, other->pause_ms);
	own->last_success = MAX(other->last_success, out->last_sent);
	if (str_is_none(own->last_error))
		own->last_error = other->last_error;
}

static err *status_of(struct outbox *o, struct arena *a, int64_t server, str server_name, struct outbox_status *out)
{
	struct destination_status other = { .last_error = STR_NONE };
	struct outbox_status s = { .destination = { .server_name = server_name, .last_error = STR_NONE } };
	struct looked l;
	AUTO_TX tx = NULL;
	int64_t n;

	look(o, a, server, &s, &l);
	TRY(o->wire->status(o->wire_ctx, a, server_name, &other));
	merge(&s, &other);
	TRY(store_read(o->opt.store, a, &tx));
	if (l.behind)
		TRY(store_outbox_count(tx, server, l.above, INT64_MAX, COUNT_MOST, &s.events_waiting));
	TRY(store_outbox_edu_count(tx, server, &n));
	s.edus_waiting += n;
	TRY(store_outbox_bad_count(tx, server, &n));
	s.bad_events = (size_t)n;
	*out = s;
	return NULL;
}

err *outbox_status(struct outbox *o, struct arena *a, str server_name, struct outbox_status *out)
{
	int64_t server;

	TRY(server_number(o, a, server_name, &server));
	return status_of(o, a, server, server_name, out);
}

err *outbox_status_all(struct outbox *o, struct arena *a, struct outbox_status **out, size_t *out_n)
{
	struct outbox_status *list;
	int64_t *servers;
	str *names;
	size_t n = 0;

	lock_take(&o->lock);
	servers = ARENA_ARRAY(a, int64_t, o->by_server.n);
	LIST_EACH (&o->busy, node)
		servers[n++] = LIST_ITEM(node, struct destination, all)->server;
	LIST_EACH (&o->idle, node)
		if (LIST_ITEM(node, struct destination, all)->failing_since)
			servers[n++] = LIST_ITEM(node, struct destination, all)->server;
	lock_drop(&o->lock);
	names = ARENA_ARRAY(a, str, n);
	list = ARENA_ARRAY(a, struct outbox_status, n);
	TRY(store_intern_texts(o->opt.store, a, servers, n, names));
	for (size_t i = 0; i < n; i++)
		TRY(status_of(o, a, servers[i], names[i], &list[i]));
	*out = list;
	*out_n = n;
	return NULL;
}

err *outbox_bad_events(struct outbox *o, struct arena *a, str server_name, struct outbox_bad **out, size_t *out_n)
{
	struct outbox_bad_row *rows;
	int64_t server;
	size_t n;
	AUTO_TX tx = NULL;

	TRY(server_number(o, a, server_name, &server));
	TRY(store_read(o->opt.store, a, &tx));
	TRY(store_outbox_bad(tx, server, BAD_MOST, &rows, &n));
	*out = ARENA_ARRAY(a, struct outbox_bad, n);
	for (size_t i = 0; i < n; i++)
		(*out)[i] = (struct outbox_bad){ rows[i].event_id, rows[i].at, (int)rows[i].status, rows[i].error };
	*out_n = n;
	return NULL;
}

err *outbox_retry(struct outbox *o, struct arena *a, str server_name)
{
	struct destination *d;
	int64_t server;

	TRY(server_number(o, a, server_name, &server));
	LOCKED(&o->lock);
	d = map_get_i(&o->by_server, server);
	if (d)
		destination_attempt(o, d, true);
	outbox_wake(o);
	return NULL;
}
