/*
 * backoff.c - the table of pauses.
 *
 * A pause begins with seconds, since most failures are a restart or a hiccup of the network, and doubles up to a day;
 * a week, as elsewhere, would mean that a server which was away for a month is told nothing for another week. Pauses
 * vary by a fifth, so that those who lost a server together do not all come back to it together.
 *
 * Each server that we spoke with lately has an entry, of a bounded number: their names are chosen by strangers. Those
 * that fail for a minute or longer have a row in the store as well, written when the pause grows and deleted when it
 * ends. Rows are written in the order of the changes, for they are queued under the lock, and nobody waits for them.
 */
#include "federation/internal_fed.h"

#include "base/clock.h"
#include "base/list.h"
#include "base/metrics.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "store/destinations.h"

#include <assert.h>

#define WRITTEN_FROM_MS INT64_C(60000)  /* a restart forgets shorter pauses */
#define HEARD_MOST_MS   INT64_C(300000) /* a server that we hear, but cannot reach, is tried so often at most */
#define LOGGED_FROM_MS  INT64_C(30000)
enum { MAX_KNOWN = 20000, HEARD_SHARE = 8, MOST_ERROR = 300 };

struct destination {
	struct list node; /* backoff.by_use */
	str name;
	int64_t failing_since, failed_at, retry_at, pause_ms, last_success;
	str last_error; /* owned */
	bool is_written;
};

static struct metric *failing;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void register_once(void)
{
	failing = metric_gauge("hearth_federation_destinations_failing",
			       "Servers that do not answer, and are left alone for a while", "");
}

/* ---- rows ---- */

struct row_piece {
	struct destination_row row; /* server_name and last_error are its own */
	bool is_gone;
};

static err *write_row(struct tx *tx, void *arg)
{
	const struct row_piece *p = arg;

	return p->is_gone ? store_destination_delete(tx, p->row.server_name) : store_destination_save(tx, &p->row);
}

static void row_piece_free(void *arg, const err *result)
{
	struct row_piece *p = arg;

	(void)result; /* memory is right, and the next change writes again */
	mem_free((void *)p->row.server_name.p);
	mem_free((void *)p->row.last_error.p);
	mem_free(p);
}

/* Under the lock. */
static void save(struct fed *f, struct destination *d)
{
	struct row_piece *p = MEM_NEW(struct row_piece);
	const struct piece piece = { .run = write_row, .after = row_piece_free, .arg = p };
	const bool is_gone = d->failing_since == 0;
	AUTO_ARENA a = arena_new();

	*p = (struct row_piece){
		.row = { str_keep(d->name), d->failing_since, d->failed_at, d->retry_at, d->pause_ms,
			 str_keep(str_is_none(d->last_error) ? S("") : d->last_error) },
		.is_gone = is_gone,
	};
	if (store_write(f->opt.store, a, &piece, NULL))
		row_piece_free(p, NULL);
	else
		d->is_written = !is_gone; /* the piece may be gone already */
}

/* ---- entries ---- */

static void forget_failure(struct destination *d)
{
	mem_free((void *)d->last_error.p);
	d->last_error = STR_NONE;
	d->failing_since = d->failed_at = d->retry_at = d->pause_ms = 0;
}

static void count(const struct destination *d, int n)
{
	if (d->failing_since)
		metric_add(failing, n);
}

/* Under the lock. Ends the pause, with its row. */
static void clear(struct fed *f, struct destination *d)
{
	count(d, -1);
	forget_failure(d);
	if (d->is_written)
		save(f, d);
}

static void destination_free(struct backoff *b, struct destination *d)
{
	map_del(&b->known, d->name);
	list_del(&d->node);
	mem_free((void *)d->last_error.p);
	mem_free((void *)d->name.p);
	mem_free(d);
}

/* Under the lock, as all below. The least lately used go, their rows with them. */
static struct destination *make(struct fed *f, str name)
{
	struct backoff *b = &f->backoff;
	struct destination *d;

	if (b->known.n >= b->opt.max_known) {
		d = LIST_ITEM(b->by_use.next, struct destination, node);
		clear(f, d);
		destination_free(b, d);
	}
	d = MEM_NEW(struct destination);
	d->name = str_keep(name);
	list_init(&d->node);
	map_put(&b->known, d->name, d);
	return d;
}

static struct destination *of_name(struct fed *f, str name)
{
	struct destination *d = map_get(&f->backoff.known, name);

	if (!d)
		d = make(f, name);
	list_del(&d->node);
	list_add_tail(&f->backoff.by_use, &d->node);
	return d;
}

/* What lies further ahead than any pause was written while the clock was wrong. */
static int64_t retry_at(const struct fed *f, const struct destination *d)
{
	const bool is_wrong = d && clock_since(d->retry_at, f->opt.now()) > 2 * f->backoff.opt.most_ms;

	return !d || is_wrong ? 0 : d->retry_at;
}

static bool pauses(const struct fed *f, const struct destination *d) { return f->opt.now() < retry_at(f, d); }

/* Without a lock. */
static void tell(struct fed *f, str server_name)
{
	for (size_t i = 0; i < f->backoff.n_hooks; i++)
		f->backoff.hooks[i].fn(f->backoff.hooks[i].ctx, server_name);
}

/* ---- what happens ---- */

bool backoff_pauses(struct fed *f, str server_name, int64_t *out_until)
{
	LOCKED(&f->backoff.lock);
	const struct destination *d = map_get(&f->backoff.known, server_name);

	if (!pauses(f, d))
		return false;
	if (out_until)
		*out_until = d->retry_at;
	return true;
}

static int64_t grown(const struct backoff_options *opt, int64_t pause_ms)
{
	const double next = (double)pause_ms * opt->multiplier;

	if (pause_ms == 0)
		return opt->first_ms;
	return next < (double)opt->most_ms ? MAX((int64_t)next, opt->first_ms) : opt->most_ms;
}

static int64_t varied(int64_t ms) { return ms - ms / 10 + (int64_t)(rand_u64() % (uint64_t)(ms / 5 + 1)); }

void backoff_failed_since(struct fed *f, str server_name, int64_t began_ms, const err *why)
{
	struct backoff *b = &f->backoff;
	const int64_t now = f->opt.now();
	int64_t pause_ms = 0;

	lock_take(&b->lock);
	struct destination *d = of_name(f, server_name);

	if (began_ms >= retry_at(f, d)) {
		d->failing_since = d->failing_since ? d->failing_since : now;
		count(d, d->failed_at ? 0 : 1);
		pause_ms = d->pause_ms = grown(&b->opt, d->pause_ms);
		d->failed_at = now;
		d->retry_at = now + varied(pause_ms);
		mem_free((void *)d->last_error.p);
		d->last_error = str_keep(utf8_cut(why->msg, MOST_ERROR));
		if (pause_ms >= WRITTEN_FROM_MS)
			save(f, d);
	}
	lock_drop(&b->lock);
	if (pause_ms >= LOGGED_FROM_MS)
		log_info(f->opt.log, "a server does not answer", F("destination", server_name), F("error", why->msg),
			 F("pause_ms", pause_ms));
}

void backoff_failed(struct fed *f, str server_name, const err *why)
{
	backoff_failed_since(f, server_name, f->opt.now(), why);
}

void backoff_good(struct fed *f, str server_name)
{
	struct backoff *b = &f->backoff;
	int64_t failed_for = 0;
	bool paused;

	lock_take(&b->lock);
	struct destination *d = of_name(f, server_name);

	paused = pauses(f, d);
	d->last_success = f->opt.now();
	if (d->failing_since) {
		failed_for = d->pause_ms >= LOGGED_FROM_MS ? d->last_success - d->failing_since : 0;
		clear(f, d);
	}
	lock_drop(&b->lock);
	if (failed_for)
		log_info(f->opt.log, "a server answers again", F("destination", server_name),
			 F("after_ms", failed_for));
	if (paused)
		tell(f, server_name);
}

void backoff_heard(struct fed *f, str server_name)
{
	struct backoff *b = &f->backoff;
	bool ends;

	lock_take(&b->lock);
	struct destination *d = map_get(&b->known, server_name);

	ends = pauses(f, d) && f->opt.now() >= d->failed_at + MIN(d->pause_ms / HEARD_SHARE, HEARD_MOST_MS);
	if (ends)
		d->retry_at = f->opt.now();
	lock_drop(&b->lock);
	if (ends)
		tell(f, server_name);
	if (b->heard)
		b->heard(b->heard_ctx, server_name);
}

/* ---- the operator ---- */

static err *delete_row(struct tx *tx, void *server_name) { return store_destination_delete(tx, *(str *)server_name); }

err *backoff_reset(struct fed *f, struct arena *a, str server_name)
{
	struct backoff *b = &f->backoff;

	lock_take(&b->lock);
	struct destination *d = map_get(&b->known, server_name);

	if (d) {
		clear(f, d);
		d->is_written = false;
	}
	lock_drop(&b->lock);
	tell(f, server_name);
	return store_do(f->opt.store, a, delete_row, &server_name);
}

static struct destination_status status_of(struct arena *a, const struct destination *d)
{
	return (struct destination_status){
		.server_name = arena_keep(a, d->name),
		.failing_since = d->failing_since,
		.retry_at = d->retry_at,
		.pause_ms = d->pause_ms,
		.last_success = d->last_success,
		.last_error = arena_keep(a, d->last_error),
	};
}

err *backoff_status(struct fed *f, struct arena *a, str server_name, struct destination_status *out)
{
	LOCKED(&f->backoff.lock);
	const struct destination *d = map_get(&f->backoff.known, server_name);

	*out = (struct destination_status){ .server_name = arena_keep(a, server_name) };
	if (d)
		*out = status_of(a, d);
	return NULL;
}

err *backoff_all(struct fed *f, struct arena *a, struct destination_status **out, size_t *out_n)
{
	VEC(struct destination_status) list = { 0 };
	LOCKED(&f->backoff.lock);

	LIST_EACH (&f->backoff.by_use, it) {
		const struct destination *d = LIST_ITEM(it, struct destination, node);

		if (d->failing_since)
			vec_push(a, &list, status_of(a, d));
	}
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

void backoff_on_return(struct fed *f, void (*fn)(void *ctx, str server_name), void *ctx)
{
	struct backoff *b = &f->backoff;

	assert(b->n_hooks < BACKOFF_HOOKS);
	b->hooks[b->n_hooks].fn = fn;
	b->hooks[b->n_hooks++].ctx = ctx;
}

void backoff_on_heard(struct fed *f, void (*fn)(void *ctx, str server_name), void *ctx)
{
	assert(!f->backoff.heard);
	f->backoff.heard = fn;
	f->backoff.heard_ctx = ctx;
}

/* ---- start ---- */

static void choose(struct backoff_options *o)
{
	o->first_ms = o->first_ms ? o->first_ms : BACKOFF_FIRST_MS;
	o->most_ms = MAX(o->most_ms ? o->most_ms : BACKOFF_MOST_MS, o->first_ms);
	o->multiplier = o->multiplier >= 1 ? o->multiplier : BACKOFF_MULTIPLIER;
	o->max_known = o->max_known ? o->max_known : MAX_KNOWN;
}

static err *read_rows(struct fed *f, struct arena *a)
{
	struct destination_row *rows;
	AUTO_TX tx = NULL;
	size_t n;

	TRY(store_read(f->opt.store, a, &tx));
	TRY(store_destinations(tx, f->backoff.opt.max_known, &rows, &n));
	for (size_t i = n; i-- > 0;) {
		struct destination *d = of_name(f, rows[i].server_name);

		d->failing_since = rows[i].failing_since;
		d->failed_at = rows[i].failed_at;
		d->retry_at = rows[i].retry_at;
		d->pause_ms = rows[i].pause_ms;
		d->last_error = str_keep(rows[i].last_error);
		d->is_written = true;
		count(d, 1);
	}
	return NULL;
}

err *backoff_open(struct fed *f, struct arena *a)
{
	struct backoff *b = &f->backoff;
	AUTO_ARENA rows = arena_new();
	err *e;

	b->opt = f->opt.backoff;
	choose(&b->opt);
	lock_init(&b->lock, RANK_SERVICE);
	map_init(&b->known, NULL);
	list_init(&b->by_use);
	pthread_once(&once, register_once);
	e = read_rows(f, rows);
	return e ? err_keep(a, e) : NULL;
}

void backoff_close(struct fed *f)
{
	struct backoff *b = &f->backoff;

	while (!list_is_empty(&b->by_use)) {
		struct destination *d = LIST_ITEM(b->by_use.next, struct destination, node);

		count(d, -1);
		destination_free(b, d);
	}
	map_done(&b->known);
	lock_done(&b->lock);
}
