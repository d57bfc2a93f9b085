/*
 * outbox_destination.c - what waits for a server, and when it is that server's turn.
 *
 * A destination with nothing to send costs its entry in a table, and no more: no timer, no wake-up. One that has
 * something is queued, unless a transaction is under way or it is to be left alone, for which it has a timer. Those
 * that failed last have a queue and a share of the flights of their own: however many are dead, the living wait for
 * none.
 *
 * Of a destination that fails nothing is kept in memory but its position (and for a while the transaction that failed,
 * which has to be repeated as it was): what it is to get is in the store.
 */
#include "federation/internal_outbox_txn.h"

#include "base/rand.h"

struct destination *destination_of(struct outbox *o, int64_t server)
{
	struct destination *d = map_get_i(&o->by_server, server);

	lock_assert_held(&o->lock);
	if (d)
		return d;
	d = MEM_NEW(struct destination);
	d->server = server;
	d->most = TXN_PDUS;
	list_init(&d->queue);
	list_init(&d->edus);
	map_init(&d->edus_by_name, NULL);
	wheel_timer_init(&d->timer);
	(void)map_put_i(&o->by_server, server, d);
	d->is_idle = true;
	list_add_tail(&o->idle, &d->all);
	o->n_idle++;
	metric_set(outbox_metrics.destinations, (int64_t)o->by_server.n);
	return d;
}

void destination_free(struct outbox *o, struct destination *d)
{
	destination_forget(o, d);
	txn_free(o, &d->probe);
	destination_recovered(o, d);
	map_done(&d->edus_by_name);
	mem_free(d->pending);
	(void)map_del_i(&o->by_server, d->server);
	if (!str_is_none(d->name) && map_get(&o->by_name, d->name) == d)
		(void)map_del(&o->by_name, d->name);
	wheel_stop(&o->wheel, &d->timer);
	list_del(&d->queue);
	list_del(&d->all);
	o->n_idle -= d->is_idle;
	mem_free((void *)d->name.p);
	mem_free((void *)d->last_error.p);
	mem_free(d);
}

void destination_named(struct outbox *o, struct destination *d, str name)
{
	d->name = str_keep(name);
	(void)map_put(&o->by_name, d->name, d);
}

bool destination_has_events(const struct destination *d)
{
	return d->n || d->behind || d->scanning || (d->txn && d->txn->n_items);
}

/*
 * Events
 */
static void room_for(struct destination *d, size_t n)
{
	if (d->head + d->n + n <= d->cap)
		return;
	if (d->head) {
		memmove(d->pending, d->pending + d->head, d->n * sizeof(d->pending[0]));
		d->head = 0;
	}
	if (d->n + n <= d->cap)
		return;
	d->cap = MAX(2 * d->cap, d->n + n);
	d->pending = mem_realloc(d->pending, d->cap * sizeof(d->pending[0]));
}

void destination_add(struct outbox *o, struct destination *d, const struct outbox_event_row *item)
{
	if (!destination_has_events(d)) {
		d->position = item->stream - 1;
		d->waits_since = o->opt.now();
		/* It fails: what waits is in the store. */
		d->behind = d->failing_since != 0;
	}
	if (d->behind)
		return;
	if (d->n >= PENDING_MOST || o->n_items >= PENDING_ALL) {
		d->behind = true;
		return;
	}
	room_for(d, 1);
	d->pending[d->head + d->n++] = *item;
	o->n_items++;
}

void destination_unshift(struct outbox *o, struct destination *d, const struct outbox_event_row *items, size_t n)
{
	if (n == 0)
		return;
	if (d->head < n) {
		room_for(d, n + d->head); /* so that what is there fits behind them */
		memmove(d->pending + n, d->pending + d->head, d->n * sizeof(d->pending[0]));
		d->head = n;
	}
	d->head -= n;
	memcpy(d->pending + d->head, items, n * sizeof(items[0]));
	d->n += n;
	o->n_items += n;
}

void destination_drop_pending(struct outbox *o, struct destination *d)
{
	o->n_items -= d->n;
	d->n = d->head = d->cap = 0;
	mem_free(d->pending);
	d->pending = NULL;
}

/*
 * EDUs that may be lost
 */
void edu_unref(struct outbox *o, struct edu_body *body)
{
	if (--body->refs)
		return;
	o->edu_bytes -= body->name.n + body->content.n;
	mem_free(body); /* one piece with its texts */
}

static void drop_edu(struct outbox *o, struct destination *d, struct edu *edu)
{
	(void)map_del(&d->edus_by_name, edu->body->name);
	list_del(&edu->node);
	d->n_edus--;
	o->n_edus--;
	edu_unref(o, edu->body);
	mem_free(edu);
}

void destination_add_edu(struct outbox *o, struct destination *d, struct edu_body *body)
{
	struct edu *edu = map_get(&d->edus_by_name, body->name);

	if (edu)
		drop_edu(o, d, edu);
	if (d->n_edus >= EDUS_MOST) {
		drop_edu(o, d, LIST_ITEM(d->edus.next, struct edu, node));
		metric_add(outbox_metrics.edus_dropped, 1);
	}
	edu = MEM_NEW(struct edu);
	edu->body = body;
	body->refs++;
	list_add_tail(&d->edus, &edu->node);
	(void)map_put(&d->edus_by_name, body->name, edu);
	d->n_edus++;
	o->n_edus++;
}

struct edu_body *destination_take_edu(struct outbox *o, struct destination *d)
{
	struct edu_body *body;
	struct edu *edu;

	if (list_is_empty(&d->edus))
		return NULL;
	edu = LIST_ITEM(d->edus.next, struct edu, node);
	body = edu->body;
	body->refs++;
	drop_edu(o, d, edu);
	return body;
}

void destination_failed(struct outbox *o, struct destination *d, const err *why, int64_t until)
{
	const int64_t now = o->opt.now();

	if (!d->failing_since) {
		d->failing_since = now;
		metric_set(outbox_metrics.failing, (int64_t)++o->n_failing);
	}
	d->retry_at = until;
	d->paused_at = until ? 0 : now;
	if (!until) {
		/* Not all at the same time: an eighth more or less. */
		d->pause_ms = MIN(MAX(2 * d->pause_ms, PAUSE_LEAST_MS), PAUSE_MOST_MS);
		d->retry_at = now + d->pause_ms * 7 / 8 + (int64_t)(rand_u64() % (uint64_t)(d->pause_ms / 4));
	}
	if (why) {
		mem_free((void *)d->last_error.p);
		d->last_error = str_keep(why->msg);
	}
	d->behind = d->behind || d->n;
	destination_drop_pending(o, d);
	if (now - d->failing_since < REPEAT_MS)
		return;
	if (d->txn) {
		d->behind = d->behind || d->txn->n_items;
		d->has_rows = d->has_rows || d->txn->n_rows;
	}
	d->probing = d->proven = false;
	txn_free(o, &d->txn);
	destination_drop_edus(o, d);
}

void destination_forget(struct outbox *o, struct destination *d)
{
	txn_free(o, &d->txn);
	destination_drop_pending(o, d);
	destination_drop_edus(o, d);
	d->behind = d->has_rows = d->probing = d->proven = false;
	save_soon(o);
}

/* What it answered may be over: a proxy before it that said 404, a database that was put back. But who refuses us and
 * talks on is not asked each time. */
bool destination_heard(struct outbox *o, struct destination *d)
{
	const int64_t now = o->opt.now();

	if (!d->paused_at || d->retry_at <= now || now - d->paused_at < MIN(d->pause_ms / HEARD_SHARE, HEARD_MOST_MS))
		return false;
	d->retry_at = 0;
	destination_schedule(o, d);
	return true;
}

void destination_recovered(struct outbox *o, struct destination *d)
{
	if (d->failing_since)
		metric_set(outbox_metrics.failing, (int64_t)--o->n_failing);
	d->failing_since = d->retry_at = d->pause_ms = d->paused_at = 0;
	mem_free((void *)d->last_error.p);
	d->last_error = STR_NONE;
}

void destination_drop_edus(struct outbox *o, struct destination *d)
{
	metric_add(outbox_metrics.edus_dropped, (int64_t)d->n_edus);
	LIST_EACH_SAFE (&d->edus, node)
		drop_edu(o, d, LIST_ITEM(node, struct edu, node));
	map_done(&d->edus_by_name);
	map_init(&d->edus_by_name, NULL);
	d->edus_due = 0;
}

/*
 * Turns
 */
static void set_idle(struct outbox *o, struct destination *d, bool idle)
{
	if (d->is_idle == idle)
		return;
	d->is_idle = idle;
	list_del(&d->all);
	list_add_tail(idle ? &o->idle : &o->busy, &d->all);
	if (idle)
		o->n_idle++;
	else
		o->n_idle--;
}

static bool is_due(const struct destination *d, int64_t now)
{
	return d->txn || d->n || d->behind || d->has_rows || (d->edus_due && d->edus_due <= now);
}

void destination_schedule(struct outbox *o, struct destination *d)
{
	const int64_t now = o->opt.now();
	const bool due = is_due(d, now);

	lock_assert_held(&o->lock);
	set_idle(o, d, !due && !d->in_flight && !d->edus_due && !d->listed);
	if (!list_is_empty(&d->queue)) /* it keeps its turn */
		return;
	if (d->in_flight)
		return;
	wheel_stop(&o->wheel, &d->timer);
	if (!due && !d->edus_due)
		return;
	if (d->retry_at > now)
		wheel_set(&o->wheel, &d->timer, d->retry_at);
	else if (!due)
		wheel_set(&o->wheel, &d->timer, d->edus_due);
	else
		list_add_tail(d->failing_since ? &o->doubtful : &o->ready, &d->queue);
}

void destination_forget_idle(struct outbox *o)
{
	while (o->n_idle > IDLE_MOST) {
		struct destination *d = LIST_ITEM(o->idle.next, struct destination, all);

		destination_free(o, d);
	}
}

void destination_attempt(struct outbox *o, struct destination *d, bool anyway)
{
	d->retry_at = d->pause_ms = 0;
	d->anyway = d->anyway || anyway;
	destination_schedule(o, d);
}
