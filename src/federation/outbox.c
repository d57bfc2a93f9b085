/*
 * outbox.c - the outbox's doors and its thread.
 *
 * The thread sleeps in the batch of its requests until an answer comes, a timer is due or somebody wakes it. Each turn
 * it starts one transaction, of the destination that has waited longest, and takes one answer. What it looks up in the
 * store, it looks up without the lock.
 */
#include "federation/internal_outbox_txn.h"

#include "base/clock.h"
#include "base/rand.h"

#include <assert.h>
#include <stdio.h>

struct outbox_metrics outbox_metrics;

static void make_metrics(void)
{
	struct outbox_metrics *m = &outbox_metrics;
	static const char *const sent = "hearth_federation_transactions_total";
	static const char *const sent_help = "Transactions to other servers, by what became of them";
	static const char *const dropped = "hearth_federation_edus_dropped_total";
	static const char *const dropped_help = "EDUs that were not sent: too many, too old, or refused";

	if (m->good) /* metrics live for ever, services do not have to */
		return;
	m->good = metric_counter(sent, sent_help, "result=\"taken\"");
	m->failed = metric_counter(sent, sent_help, "result=\"failed\"");
	m->refused = metric_counter(sent, sent_help, "result=\"refused\"");
	m->pdus = metric_counter("hearth_federation_pdus_sent_total", "Events that other servers took", "");
	m->edus = metric_counter("hearth_federation_edus_sent_total", "EDUs that other servers took",
				 "durable=\"false\"");
	m->rows =
		metric_counter("hearth_federation_edus_sent_total", "EDUs that other servers took", "durable=\"true\"");
	m->pdu_errors = metric_counter("hearth_federation_pdu_errors_total",
				       "Events that other servers took and said an error of", "");
	m->left_out = metric_counter("hearth_federation_left_out_total",
				     "Events left out because a server would not take them", "");
	m->edus_dropped = metric_counter(dropped, dropped_help, "what=\"news\"");
	m->messages_dropped = metric_counter(dropped, dropped_help, "what=\"messages_to_devices\"");
	m->failing = metric_gauge("hearth_federation_outbox_failing", "Servers that do not take what is sent", "");
	m->destinations = metric_gauge("hearth_federation_outbox_destinations",
				       "Servers in memory that something is sent to", "");
}

/*
 * Making
 */
static struct destination *left_over(struct outbox *o, int64_t server, int64_t position)
{
	struct destination *d = destination_of(o, server);

	if (!d->behind) {
		d->behind = true;
		d->position = position;
		d->waits_since = o->opt.now();
	}
	return d;
}

/* What the last run left: those that lagged, those that are to get anything above the floor, and rows. */
static err *load(struct outbox *o, struct arena *a)
{
	struct outbox_behind_row *behind;
	int64_t *servers, *with_rows;
	size_t n_behind, n, n_rows;
	AUTO_TX tx = NULL;

	TRY(store_read(o->opt.store, a, &tx));
	TRY(store_stream_head(tx, &o->told));
	TRY(store_outbox_load(tx, &o->floor, &behind, &n_behind));
	TRY(store_outbox_concerned(tx, o->floor, &servers, &n));
	TRY(store_outbox_edu_servers(tx, &with_rows, &n_rows));
	LOCKED(&o->lock);
	for (size_t i = 0; i < n_behind; i++) {
		struct destination *d = left_over(o, behind[i].server, behind[i].position);

		d->listed = true;
		d->saved_position = behind[i].position;
		d->listed_since = behind[i].since;
		destination_schedule(o, d);
	}
	for (size_t i = 0; i < n; i++)
		destination_schedule(o, left_over(o, servers[i], o->floor));
	for (size_t i = 0; i < n_rows; i++) {
		struct destination *d = destination_of(o, with_rows[i]);

		d->has_rows = true;
		destination_schedule(o, d);
	}
	return NULL;
}

void outbox_wake(struct outbox *o)
{
	lock_assert_held(&o->lock);
	if (o->sleeping && o->batch)
		o->wire->wake(o->batch);
	o->sleeping = false;
}

static void on_return(void *ctx, str server_name)
{
	struct outbox *o = ctx;
	struct destination *d;

	LOCKED(&o->lock);
	d = map_get(&o->by_name, server_name);
	if (d)
		destination_attempt(o, d, false);
	outbox_wake(o);
}

void outbox_heard(void *ctx, str server_name)
{
	struct outbox *o = ctx;
	struct destination *d;

	if (!o->n_failing) /* nearly always; with each request that comes in */
		return;
	LOCKED(&o->lock);
	d = map_get(&o->by_name, server_name);
	if (d && destination_heard(o, d))
		outbox_wake(o);
}

err *outbox_new(struct arena *a, const struct outbox_options *opt, struct outbox **out)
{
	struct outbox *o = MEM_NEW(struct outbox);
	uint8_t random[8];
	err *e;

	make_metrics();
	o->opt = *opt;
	if (!o->opt.now)
		o->opt.now = clock_ms;
	if (!o->opt.max_flights)
		o->opt.max_flights = FLIGHTS;
	o->wire = opt->wire ? opt->wire : &outbox_wire_fed;
	o->wire_ctx = opt->wire ? opt->wire_ctx : opt->fed;
	lock_init(&o->lock, RANK_STORE); /* others tell of things under their own locks; below it are the batch's */
	cond_init(&o->saved);
	map_init(&o->by_server, NULL);
	map_init(&o->by_name, NULL);
	map_init(&o->sent, NULL);
	list_init(&o->ready);
	list_init(&o->doubtful);
	list_init(&o->busy);
	list_init(&o->idle);
	list_init(&o->sent_idle);
	wheel_init(&o->wheel, TICK_MS, o->opt.now());
	/* "The transaction ID": unique for ever, also over restarts. */
	rand_bytes(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(o->id_prefix + 2 * i, 3, "%02x", random[i]);
	e = load(o, a);
	if (e) {
		outbox_free(&o);
		return e;
	}
	if (!opt->wire) {
		backoff_on_return(opt->fed, on_return, o);
		backoff_on_heard(opt->fed, outbox_heard, o);
	}
	*out = o;
	return NULL;
}

void outbox_free(struct outbox **op)
{
	struct outbox *o = *op;
	int64_t server;
	void *d;

	if (!o)
		return;
	*op = NULL;
	assert(!o->thread);
	for (size_t i = 0; map_next_i(&o->by_server, &i, &server, &d);)
		destination_free(o, d);
	map_done(&o->by_server);
	map_done(&o->by_name);
	sent_free_all(o);
	save_free(o);
	cond_done(&o->saved);
	lock_done(&o->lock);
	mem_free(o);
}

/*
 * The thread
 */
static void on_timer(void *ctx, struct wheel_timer *t)
{
	struct destination *d = LIST_ITEM(t, struct destination, timer);
	struct outbox *o = ctx;

	if (!d->in_flight) {
		destination_schedule(o, d);
		return;
	}
	d->slow_flight = true;
	o->n_slow_flights++;
}

/* Servers that die at once are not known to be dead yet. Their flights are slow after a while, and then keep nobody on
 * the ground; as long as there are more flights than without slow ones, a new one is hasty. So at most FLIGHTS are slow
 * for a minute, and further ones, however many follow, for as long again as it took them to be called slow, in which
 * time FLIGHTS become so: all together are never more than three times as many, and nobody waits for longer than
 * SLOW_MS for each FLIGHTS before him. Whom that haste did wrong is doubtful the next time, and gets a minute. */
static void take_off(struct outbox *o, struct destination *d)
{
	d->in_flight = true;
	d->doubtful_flight = d->failing_since != 0;
	d->hasty = !d->doubtful_flight && o->n_flights >= o->opt.max_flights;
	o->n_flights++;
	o->n_doubtful_flights += d->doubtful_flight;
	if (!d->doubtful_flight) /* those have their share until they land */
		wheel_set(&o->wheel, &d->timer, o->opt.now() + SLOW_MS);
}

/* Whose turn it is; NULL: nobody's. Those that failed last get a third of the flights. */
static struct destination *next(struct outbox *o)
{
	const size_t most = o->opt.max_flights;
	struct destination *d;
	struct list *node;

	if (o->n_flights - o->n_slow_flights >= most || o->n_flights >= FLIGHTS_FACTOR * most)
		return NULL;
	node = list_pop(&o->ready);
	if (!node && o->n_doubtful_flights < MAX(most / 3, 1))
		node = list_pop(&o->doubtful);
	if (!node)
		return NULL;
	d = LIST_ITEM(node, struct destination, queue);
	take_off(o, d);
	return d;
}

static int64_t until_us(const struct outbox *o)
{
	const int64_t next_ms = MIN(wheel_next(&o->wheel), save_due(o));

	if (next_ms == INT64_MAX)
		return INT64_MAX;
	return clock_mono_us() + MAX(next_ms - o->opt.now(), 0) * 1000;
}

static void run(void *arg)
{
	struct outbox *o = arg;

	for (;;) {
		struct destination *d = NULL;
		struct fed_call *call;
		int64_t until = 0;

		outbox_save_some(o);
		lock_take(&o->lock);
		if (o->stopping) {
			lock_drop(&o->lock);
			return;
		}
		wheel_turn(&o->wheel, o->opt.now(), on_timer, o);
		d = next(o);
		if (!d) {
			destination_forget_idle(o);
			until = until_us(o);
			o->sleeping = true;
		}
		lock_drop(&o->lock);
		if (d)
			txn_launch(o, d);
		call = o->wire->next(o->batch, until);
		lock_take(&o->lock);
		o->sleeping = false;
		lock_drop(&o->lock);
		if (call)
			txn_ended(o, call);
	}
}

void outbox_start(struct outbox *o)
{
	lock_take(&o->lock);
	o->batch = o->wire->open(o->wire_ctx);
	lock_drop(&o->lock);
	o->thread = thread_start("outbox", run, o);
}

void outbox_stop(struct outbox *o)
{
	void *batch;

	if (!o || !o->thread)
		return;
	lock_take(&o->lock);
	o->stopping = true;
	o->wire->wake(o->batch);
	lock_drop(&o->lock);
	thread_join(&o->thread);
	lock_take(&o->lock);
	batch = o->batch;
	o->batch = NULL;
	lock_drop(&o->lock);
	o->wire->close(batch);
	save_all(o);
}

/*
 * What is told
 */
void outbox_event(struct outbox *o, int64_t room, int64_t stream, int64_t event, const int64_t *servers, size_t n)
{
	const struct outbox_event_row item = { .event = event, .room = room, .stream = stream };

	LOCKED(&o->lock);
	o->told = MAX(o->told, stream);
	for (size_t i = 0; i < n; i++) {
		struct destination *d = destination_of(o, servers[i]);

		destination_add(o, d, &item);
		destination_schedule(o, d);
	}
	save_soon(o);
	outbox_wake(o);
}

static struct edu_body *body_new(struct outbox *o, str type, str key, str content)
{
	const size_t name_n = type.n + 1 + key.n;
	struct edu_body *b = mem_alloc(sizeof(*b) + name_n + content.n);
	char *text = (char *)(b + 1);

	memcpy(text, type.p, type.n);
	text[type.n] = '\0';
	if (key.n)
		memcpy(text + type.n + 1, key.p, key.n);
	memcpy(text + name_n, content.p, content.n);
	*b = (struct edu_body){
		.refs = 1,
		.at = o->opt.now(),
		.name = { text, name_n },
		.type = { text, type.n },
		.content = { text + name_n, content.n },
	};
	o->edu_bytes += name_n + content.n;
	return b;
}

/* What happens this moment is of no use to one who hears of it much later; and what the dead will hear of once they
 * live may not take the place of what the living are to hear. */
static bool is_of_use(const struct outbox *o, const struct destination *d, str type, int64_t now)
{
	const int64_t failing_for = d->failing_since ? now - d->failing_since : 0;

	if (!d->failing_since)
		return true;
	if (!str_eq(type, S("m.receipt")))
		return failing_for <= STALE_MS;
	return failing_for <= REPEAT_MS && o->n_edus < EDUS_ALL && o->edu_bytes < EDUS_BYTES / 2;
}

void outbox_edu(struct outbox *o, const int64_t *servers, size_t n, str type, str key, str content)
{
	const bool at_once = str_eq(type, S("m.typing"));
	struct edu_body *body;
	int64_t now;

	LOCKED(&o->lock);
	if (o->edu_bytes >= EDUS_BYTES) {
		metric_add(outbox_metrics.edus_dropped, (int64_t)n);
		return;
	}
	now = o->opt.now();
	body = body_new(o, type, key, content);
	for (size_t i = 0; i < n; i++) {
		struct destination *d = destination_of(o, servers[i]);

		if (!is_of_use(o, d, type, now)) {
			metric_add(outbox_metrics.edus_dropped, 1);
			continue;
		}
		destination_add_edu(o, d, body);
		if (at_once || !d->edus_due)
			d->edus_due = at_once ? now : now + LINGER_MS;
		destination_schedule(o, d);
	}
	edu_unref(o, body);
	outbox_wake(o);
}

err *outbox_edu_write(struct tx *tx, int64_t server, str type, str key, str content)
{
	return store_outbox_edu_add(tx, server, type, key, content, clock_ms());
}

err *outbox_edu_write_all(struct tx *tx, const int64_t *servers, size_t n, str type, str key, str content)
{
	return store_outbox_edu_add_all(tx, servers, n, type, key, content, clock_ms());
}

void outbox_edu_tell(struct outbox *o, const int64_t *servers, size_t n)
{
	LOCKED(&o->lock);
	for (size_t i = 0; i < n; i++) {
		struct destination *d = destination_of(o, servers[i]);

		d->has_rows = true;
		destination_schedule(o, d);
	}
	outbox_wake(o);
}
