/*
 * outbox_outcome.c - what becomes of a transaction that was sent.
 *
 * A destination that answers and refuses (400, 413, again and again 500) may do so because of one event. Then half as
 * much is sent, and half of that, until it is one event alone; and an empty transaction says whether the destination
 * takes anything at all. If it does, and refuses that event once more, the event is left out: noted, counted, told in
 * the log. What was taken doubles the next one. So a bad event costs some requests, and never the events behind it.
 */
#include "federation/internal_outbox_txn.h"

void txn_landed(struct outbox *o, struct destination *d)
{
	o->n_flights--;
	o->n_doubtful_flights -= d->doubtful_flight;
	o->n_slow_flights -= d->slow_flight;
	d->in_flight = d->slow_flight = false;
	destination_schedule(o, d);
}

/* It is there, or there was nothing to say of it. */
void txn_done(struct outbox *o, struct destination *d)
{
	struct txn *t = d->txn;

	if (t->n_items)
		d->position = t->items[t->n_items - 1].stream;
	for (size_t i = 0; i < t->n_rows; i++)
		save_edu_acked(o, t->rows[i]);
	if (t->n_rows)
		d->rows_upto = t->rows[t->n_rows - 1];
	d->refused = 0;
	d->proven = false;
	d->most = MIN(2 * d->most, TXN_PDUS);
	d->waits_since = o->opt.now();
	txn_free(o, &d->txn);
	save_soon(o);
}

static void count_good(struct outbox *o, const struct destination *d, const struct txn *t)
{
	const struct json *pdus = json_get_object(t->call.answer, S("pdus"));

	metric_add(outbox_metrics.good, 1);
	metric_add(outbox_metrics.pdus, (int64_t)t->n_items);
	metric_add(outbox_metrics.rows, (int64_t)t->n_rows);
	metric_add(outbox_metrics.edus, (int64_t)t->n_edus);
	JSON_EACH (pdus, m) {
		const str error = json_get_str(m->value, S("error"));

		if (str_is_none(error))
			continue;
		metric_add(outbox_metrics.pdu_errors, 1);
		log_info(o->opt.log, "another server could not process an event of ours", F("destination", d->name),
			 F("event_id", str_head(m->key, MIN(m->key.n, (size_t)255))),
			 F("error", str_head(error, MIN(error.n, (size_t)300))));
	}
}

/* The empty transaction was taken, and the one thing that was sent alone refused before it and after it. */
static void leave_out(struct outbox *o, struct destination *d)
{
	const struct txn *t = d->txn;

	metric_add(outbox_metrics.left_out, 1);
	log_warn(o->opt.log, "another server takes everything but one thing, which is left out",
		 F("destination", d->name), F("event_id", t->event_id), F("status", (int64_t)d->refused_status),
		 F("error", d->last_error));
	if (t->n_items)
		save_bad(o, &(struct outbox_bad_row){ .server = d->server,
						      .event = t->items[0].event,
						      .at = o->opt.now(),
						      .status = d->refused_status,
						      .error = d->last_error });
	txn_done(o, d);
}

/* Half as much, put together anew. */
static void shrink(struct outbox *o, struct destination *d, size_t total)
{
	struct txn *t = d->txn;

	destination_unshift(o, d, t->items, t->n_items);
	d->has_rows = d->has_rows || t->n_rows;
	metric_add(outbox_metrics.edus_dropped, (int64_t)t->n_edus);
	d->most = MAX((unsigned)total / 2, 1);
	d->refused = MIN(d->refused, 1);
	txn_free(o, &d->txn);
}

static void suspect(struct destination *d)
{
	struct txn *t = d->txn;

	d->probing = true;
	if (t->n_items && t->events[0] && str_is_none(t->event_id))
		t->event_id = str_keep(t->events[0]->event_id);
}

/* Gives false where it is no refusal of what was sent, but a failure. */
static bool refused(struct outbox *o, struct destination *d, int status, const err *why)
{
	const int64_t now = o->opt.now();
	const struct txn *t = d->txn;
	const size_t total = t->n_items + t->n_rows;
	const bool unsure = status >= 500;

	if (unsure && d->refused++ == 0) /* it may be better now */
		return false;
	if (unsure && !total)
		return false;
	metric_add(outbox_metrics.refused, 1);
	mem_free((void *)d->last_error.p);
	d->last_error = str_keep(why->msg);
	d->refused_status = status;
	if (d->proven) {
		leave_out(o, d);
		return true;
	}
	d->anyway = true;
	d->retry_at = unsure ? now + PAUSE_LEAST_MS : now;
	if (!total) { /* nothing that has to arrive */
		metric_add(outbox_metrics.edus_dropped, (int64_t)t->n_edus);
		txn_free(o, &d->txn);
	} else if (total > 1 || t->n_edus) {
		shrink(o, d, total);
	} else if (unsure && d->refused <= REFUSED_MOST) {
		d->retry_at = now + PAUSE_LEAST_MS * d->refused;
	} else {
		suspect(d);
	}
	return true;
}

/* 401 and 403 are about us, 404 and 405 about what answers there, 429 about the time; 502 to 504 come from what stands
 * before it. */
static bool refuses_content(int status)
{
	return status == 400 || status == 413 || status == 415 || status == 422 || status == 431 || status == 500;
}

static void ended(struct outbox *o, struct txn *t, int64_t until)
{
	struct destination *d = t->to;
	const err *e = t->call.error;

	if (!e) {
		d->last_sent = o->opt.now();
		if (t->probe) {
			d->probing = false;
			d->proven = d->anyway = true;
		} else {
			count_good(o, d, t);
			txn_done(o, d);
		}
		destination_recovered(o, d);
		return;
	}
	/* It was to be left alone after all: nothing new is known. */
	if (e->detail == FED_BACKED_OFF) {
		destination_failed(o, d, NULL, until);
		return;
	}
	if (!t->probe && refuses_content(t->call.status) && refused(o, d, t->call.status, e))
		return;
	metric_add(outbox_metrics.failed, 1);
	log_debug(o->opt.log, "a transaction did not arrive", F("destination", d->name), F("error", e->msg),
		  F("status", (int64_t)t->call.status));
	d->probing = d->proven = false;
	destination_failed(o, d, e, until);
}

/* What a flight holds, of a transaction that is to be repeated. */
static void release_flight(struct outbox *o, struct txn *t)
{
	if (t->events)
		sent_release(o, t->events, t->n_items);
	mem_free(t->events);
	t->events = NULL;
	arena_free(&t->a);
}

/* "429": when it wants to be asked again; 0: it does not say. */
static int64_t wished(const struct outbox *o, const struct fed_call *call)
{
	if (call->status != 429 || call->retry_after_ms < 0)
		return 0;
	return o->opt.now() + MIN(MAX(call->retry_after_ms, PAUSE_LEAST_MS), PAUSE_MOST_MS);
}

void txn_ended(struct outbox *o, struct fed_call *call)
{
	struct txn *t = (struct txn *)call;
	struct destination *d = t->to;
	int64_t until = 0;
	bool long_gone;

	if (call->error && !o->wire->pauses(o->wire_ctx, d->name, &until))
		until = wished(o, call);
	lock_take(&o->lock);
	ended(o, t, until);
	if (t == d->probe)
		txn_free(o, &d->probe);
	else if (t == d->txn)
		release_flight(o, t);
	long_gone = d->failing_since && o->opt.now() - d->failing_since > PAUSE_MOST_MS;
	lock_drop(&o->lock);
	if (long_gone)
		outbox_tidy(o, d);
	LOCKED(&o->lock);
	txn_landed(o, d);
}
