/*
 * outbox_transaction.c - a transaction: put together, sent, and what becomes of it.
 *
 * "The sending server must wait and retry for a 200 OK response before sending a transaction with a different txnId":
 * one is under way at a time, and one that failed is repeated under its id, until the destination has been failing for
 * so long that it would not remember it.
 */
#include "federation/internal_outbox_txn.h"

#include "base/clock.h"

#include <stdio.h>

struct loaded { /* what a transaction says */
	struct sent *events[TXN_PDUS];
	struct outbox_edu_row *rows;
	size_t n_rows;
};

void txn_free(struct outbox *o, struct txn **tp)
{
	struct txn *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	if (t->events)
		sent_release(o, t->events, t->n_items);
	for (size_t i = 0; i < t->n_edus; i++)
		edu_unref(o, t->edus[i]);
	arena_free(&t->a);
	mem_free(t->events);
	mem_free(t->items);
	mem_free(t->rows);
	mem_free(t->edus);
	mem_free((void *)t->event_id.p);
	mem_free(t);
}

struct txn *txn_new(struct outbox *o, struct destination *d)
{
	struct txn *t = MEM_NEW(struct txn);

	t->to = d;
	t->ts = o->opt.now();
	(void)snprintf(t->id, sizeof(t->id), "%s.%" PRIu64, o->id_prefix, ++o->next_txn);
	return t;
}

/*
 * What waits in the store
 */
static err *look_up(struct tx *tx, const struct destination *d, int64_t upto, struct outbox_event_row **out,
		    size_t *out_n, bool *out_more)
{
	int64_t n;

	TRY(store_outbox_count(tx, d->server, d->position, upto, CATCH_UP_ALL + 1, &n));
	TRY((n > CATCH_UP_ALL ? store_outbox_newest : store_outbox_events)(tx, d->server, d->position, upto,
									   PENDING_MOST, out, out_n));
	*out_more = *out_n == PENDING_MOST;
	return NULL;
}

/* Everything above its position, or the beginning of it. Whatever was told until now is committed, so the snapshot has
 * it; what is told from now on is put into memory. Nothing falls between. */
static err *catch_up(struct outbox *o, struct destination *d, struct arena *a)
{
	struct outbox_event_row *list = NULL;
	int64_t upto;
	bool more = false;
	size_t n = 0;
	AUTO_TX tx = NULL;
	err *e;

	lock_take(&o->lock);
	upto = o->told;
	d->behind = false;
	d->scanning = true;
	lock_drop(&o->lock);
	e = store_read(o->opt.store, a, &tx);
	if (!e)
		e = look_up(tx, d, upto, &list, &n, &more);
	LOCKED(&o->lock);
	d->scanning = false;
	if (e || more) {
		destination_drop_pending(o, d);
		d->behind = true;
	}
	if (!e)
		destination_unshift(o, d, list, n);
	return e;
}

/*
 * Putting it together
 */

/* How many of the events fit; one always does. */
static size_t fitting(struct sent *const *events, size_t n, size_t *bytes)
{
	size_t i = 0;

	for (; i < n; i++) {
		const size_t more = events[i] ? events[i]->bytes : 0;

		if (i && *bytes + more > TXN_BYTES)
			break;
		*bytes += more;
	}
	return i;
}

static bool stale(const struct edu_body *b, int64_t now)
{
	if (str_eq(b->type, S("m.typing")))
		return now - b->at > STALE_MS;
	return str_eq(b->type, S("m.presence")) && now - b->at > 10 * STALE_MS;
}

/* EDUs that may be lost, as many as there may be. Under the lock. */
static void take_edus(struct outbox *o, struct destination *d, struct txn *t, size_t bytes)
{
	const int64_t now = o->opt.now();
	struct edu_body *taken[TXN_EDUS];
	struct edu_body *body;

	while (t->n_rows + t->n_edus < TXN_EDUS && bytes < TXN_BYTES && (body = destination_take_edu(o, d))) {
		if (stale(body, now)) {
			metric_add(outbox_metrics.edus_dropped, 1);
			edu_unref(o, body);
			continue;
		}
		bytes += body->content.n;
		taken[t->n_edus++] = body;
	}
	d->edus_due = d->n_edus ? now : 0;
	if (!t->n_edus)
		return;
	t->edus = mem_alloc(t->n_edus * sizeof(struct edu_body *));
	memcpy(t->edus, taken, t->n_edus * sizeof(struct edu_body *));
}

static void take_rows(struct txn *t, struct loaded *l, size_t *bytes)
{
	size_t n = 0;

	for (; n < l->n_rows && (!n || *bytes + l->rows[n].content.n <= TXN_BYTES); n++)
		*bytes += l->rows[n].content.n;
	l->n_rows = t->n_rows = n;
	if (n)
		t->rows = mem_alloc(n * sizeof(t->rows[0]));
	for (size_t i = 0; i < n; i++)
		t->rows[i] = l->rows[i].id;
}

static size_t rows_wanted(const struct destination *d, size_t n_items)
{
	return d->most < TXN_PDUS ? d->most - MIN(n_items, d->most) : TXN_EDUS;
}

static err *load(struct outbox *o, struct tx *tx, const struct destination *d, const struct outbox_event_row *items,
		 size_t n, int64_t rows_above, size_t n_rows, struct loaded *l)
{
	err *e;

	TRY(sent_load(o, tx, items, n, l->events));
	e = n_rows ? store_outbox_edus(tx, d->server, rows_above, n_rows, &l->rows, &l->n_rows) : NULL;
	if (e)
		sent_release(o, l->events, n);
	return e;
}

/* A new one of what waits in memory, and of rows. */
static err *compose(struct outbox *o, struct destination *d, struct tx *tx, struct loaded *l)
{
	struct outbox_event_row items[TXN_PDUS];
	struct txn *t = txn_new(o, d);
	size_t n, read, bytes = 0, want = 0;
	err *e;

	lock_take(&o->lock);
	n = MIN(d->n, MIN((size_t)d->most, TXN_PDUS));
	if (n)
		memcpy(items, d->pending + d->head, n * sizeof(items[0]));
	if (d->has_rows)
		want = rows_wanted(d, n);
	if (want) /* whoever tells of more from now on sets it again */
		d->has_rows = false;
	lock_drop(&o->lock);

	e = load(o, tx, d, items, n, want ? d->rows_upto : INT64_MAX, want, l);
	LOCKED(&o->lock);
	if (e) {
		d->has_rows = d->has_rows || want;
		txn_free(o, &t);
		return e;
	}
	t->n_items = fitting(l->events, n, &bytes);
	sent_release(o, l->events + t->n_items, n - t->n_items);
	if (t->n_items) {
		t->items = mem_alloc(t->n_items * sizeof(items[0]));
		memcpy(t->items, items, t->n_items * sizeof(items[0]));
	}
	read = l->n_rows;
	take_rows(t, l, &bytes);
	d->has_rows = d->has_rows || (want && (read == want || t->n_rows < read));
	d->head += t->n_items;
	d->n -= t->n_items;
	o->n_items -= t->n_items;
	if (d->most == TXN_PDUS)
		take_edus(o, d, t, bytes);
	d->txn = t;
	return NULL;
}

/* The one that failed: the same, but for what was redacted, or replaced, since. */
static err *reload(struct outbox *o, struct txn *t, struct tx *tx, struct loaded *l)
{
	size_t n = 0;

	TRY(load(o, tx, t->to, t->items, t->n_items, t->n_rows ? t->rows[0] - 1 : 0, t->n_rows, l));
	while (n < l->n_rows && l->rows[n].id <= t->rows[t->n_rows - 1])
		n++;
	l->n_rows = n;
	return NULL;
}

static void add_edu(struct outbox *o, struct arena *a, struct json *edus, str type, str content)
{
	struct json *edu = json_new_object(a), *parsed;
	err *e = json_parse(a, arena_keep(a, content), &json_limits_request, &parsed);

	if (e) { /* ours */
		log_error(o->opt.log, "an EDU cannot be read", F("type", type), F("error", e->msg));
		return;
	}
	json_set(a, edu, S("edu_type"), json_new_str(a, arena_keep(a, type)));
	json_set(a, edu, S("content"), parsed);
	json_append(a, edus, edu);
}

/* NULL: there is nothing to say. */
static const struct json *body_of(struct outbox *o, const struct destination *d, const struct txn *t,
				  const struct loaded *l)
{
	struct arena *a = t->a;
	struct json *body = json_new_object(a), *pdus = json_new_array(a), *edus = json_new_array(a);

	for (size_t i = 0; i < t->n_items; i++)
		if (l->events[i] && !str_eq(l->events[i]->sender_server, d->name))
			json_append(a, pdus, l->events[i]->json);
	for (size_t i = 0; i < l->n_rows; i++)
		add_edu(o, a, edus, l->rows[i].type, l->rows[i].content);
	for (size_t i = 0; i < t->n_edus; i++)
		add_edu(o, a, edus, t->edus[i]->type, t->edus[i]->content);
	if (!t->probe && pdus->array.n + edus->array.n == 0)
		return NULL;
	json_set(a, body, S("origin"), json_new_str(a, o->opt.server_name));
	json_set(a, body, S("origin_server_ts"), json_new_int(a, t->ts));
	json_set(a, body, S("pdus"), pdus);
	if (edus->array.n)
		json_set(a, body, S("edus"), edus);
	return body;
}

/*
 * Sending
 */
static err *name_it(struct outbox *o, struct destination *d, struct arena *a)
{
	str name;

	if (!str_is_none(d->name))
		return NULL;
	TRY(store_intern_text(o->opt.store, a, d->server, &name));
	LOCKED(&o->lock);
	destination_named(o, d, name);
	return NULL;
}

static err *prepare(struct outbox *o, struct destination *d, struct arena *a, struct txn **out,
		    const struct json **out_body)
{
	struct loaded l = { .n_rows = 0 };
	struct txn *t;
	bool look, probing;
	AUTO_TX tx = NULL;

	lock_take(&o->lock);
	look = !d->txn && !d->n && d->behind;
	probing = d->probing;
	lock_drop(&o->lock);
	if (look)
		TRY(catch_up(o, d, a));
	if (probing) {
		d->probe = txn_new(o, d);
		d->probe->probe = true;
	} else {
		TRY(store_read(o->opt.store, a, &tx));
		TRY(d->txn ? reload(o, d->txn, tx, &l) : compose(o, d, tx, &l));
	}
	t = probing ? d->probe : d->txn;
	t->events = mem_alloc((t->n_items + 1) * sizeof(t->events[0]));
	memcpy(t->events, l.events, t->n_items * sizeof(t->events[0]));
	t->a = arena_new();
	*out = t;
	*out_body = body_of(o, d, t, &l);
	return NULL;
}

/* Nothing goes to servers that we do not speak with. */
static void renounce(struct outbox *o, struct destination *d)
{
	bool had_rows;

	lock_take(&o->lock);
	had_rows = d->has_rows;
	destination_forget(o, d);
	lock_drop(&o->lock);
	if (had_rows)
		outbox_discard(o, d);
	LOCKED(&o->lock);
	txn_landed(o, d);
}

static void put_off(struct outbox *o, struct destination *d, const err *why, int64_t until)
{
	if (why)
		log_warn(o->opt.log, "what is to be sent could not be read", F("error", why->msg));
	LOCKED(&o->lock);
	if (why)
		d->retry_at = o->opt.now() + PAUSE_LEAST_MS;
	else
		destination_failed(o, d, NULL, until);
	txn_landed(o, d);
}

void txn_launch(struct outbox *o, struct destination *d)
{
	AUTO_ARENA a = arena_new();
	const struct json *body = NULL;
	struct txn *t = NULL;
	int64_t until;
	bool anyway;
	err *e;

	lock_take(&o->lock);
	anyway = d->anyway;
	d->anyway = false;
	lock_drop(&o->lock);
	e = name_it(o, d, a);
	if (!e && !o->wire->allowed(o->wire_ctx, d->name)) {
		renounce(o, d);
		return;
	}
	if (!e && !anyway && o->wire->pauses(o->wire_ctx, d->name, &until) && until > o->opt.now()) {
		put_off(o, d, NULL, until);
		return;
	}
	if (!e)
		e = prepare(o, d, a, &t, &body);
	if (e) {
		put_off(o, d, e, 0);
		return;
	}
	if (!body) {
		LOCKED(&o->lock);
		txn_done(o, d);
		txn_landed(o, d);
		return;
	}
	t->call = (struct fed_call){
		.destination = d->name,
		.method = S("PUT"),
		.path = arena_printf(t->a, "/_matrix/federation/v1/send/%s", t->id),
		.content = body,
		.patience = anyway ? FED_ANYWAY : FED_ASK,
	};
	o->wire->start(o->batch, t->a, &t->call, clock_mono_us() + INT64_C(1000) * (d->hasty ? HASTY_MS : ANSWER_MS));
}
