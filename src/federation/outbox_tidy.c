/*
 * outbox_tidy.c - what waits in the store for those who have been away for long, or will never be spoken to.
 *
 * A server that is dead costs rows for as long as others write to its users. Device lists are asked for anew by who
 * missed some; messages to devices wait for weeks, but only so many. All of it goes in pieces that hold the writer up
 * for a moment each, so many at a time; an attempt later the next ones.
 */
#include "federation/internal_outbox_txn.h"

enum { PIECE_ROWS = 500, PIECES_MOST = 20 };

struct tidying {
	struct outbox *o;
	int64_t server, now;
	enum { OLD, ALL, FORGET } what;
	int64_t lists, messages;
};

static err *old_run(struct tx *tx, struct tidying *t)
{
	static const str lists[] = { STR("m.device_list_update"), STR("m.signing_key_update") };
	int64_t n;

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		TRY(store_outbox_edus_trim(tx, t->server, lists[i], ROWS_KEPT, t->now - WEEK_MS, PIECE_ROWS, &n));
		t->lists += n;
	}
	return store_outbox_edus_trim(tx, t->server, S("m.direct_to_device"), MESSAGES_KEPT, t->now - 4 * WEEK_MS,
				      PIECE_ROWS, &t->messages);
}

static err *run(struct tx *tx, void *arg)
{
	struct tidying *t = arg;

	t->lists = t->messages = 0;
	switch (t->what) {
	case OLD:
		return old_run(tx, t);
	case ALL:
		return store_outbox_edus_drop(tx, t->server, PIECE_ROWS, &t->messages);
	case FORGET:
		return store_outbox_forget(tx, t->server);
	}
	return NULL;
}

static void after(void *arg, const err *result)
{
	struct tidying *t = arg;

	if (!result) {
		metric_add(outbox_metrics.edus_dropped, t->lists);
		metric_add(outbox_metrics.messages_dropped, t->messages);
	}
	mem_free(t);
}

/* Nobody waits; where the store is busy, another time. */
static err *write(struct outbox *o, struct arena *a, const struct tidying *what)
{
	struct tidying *t = MEM_NEW(struct tidying);
	err *e;

	*t = *what;
	e = store_write(o->opt.store, a, &(struct piece){ .run = run, .after = after, .arg = t }, NULL);
	if (e)
		mem_free(t);
	return e;
}

static err *write_all(struct outbox *o, struct arena *a, struct tidying t, int64_t n_rows)
{
	const int64_t spare = t.what == OLD ? MESSAGES_KEPT : 0;
	const int64_t pieces = MAX(n_rows - spare, 0) / PIECE_ROWS + 1;
	const bool forget = t.what == FORGET;

	if (forget)
		t.what = ALL;
	for (int64_t i = 0; i < MIN(pieces, PIECES_MOST); i++)
		TRY(write(o, a, &t));
	if (!forget || pieces > PIECES_MOST)
		return NULL;
	t.what = FORGET;
	return write(o, a, &t);
}

/* A server that shares no room any more, and has not been there for a week, is forgotten. */
static err *tidy(struct outbox *o, struct destination *d, struct arena *a, bool old)
{
	struct tidying t = { .o = o, .server = d->server, .now = o->opt.now(), .what = OLD };
	bool anywhere = true;
	int64_t n_rows;
	AUTO_TX tx = NULL;

	TRY(store_read(o->opt.store, a, &tx));
	if (old)
		TRY(store_server_is_anywhere(tx, d->server, &anywhere));
	TRY(store_outbox_edu_count(tx, d->server, &n_rows));
	store_read_end(&tx);
	if (!anywhere) {
		LOCKED(&o->lock);
		destination_forget(o, d);
		t.what = FORGET;
	}
	return write_all(o, a, t, n_rows);
}

void outbox_tidy(struct outbox *o, struct destination *d)
{
	AUTO_ARENA a = arena_new();
	bool old;
	const err *e;

	lock_take(&o->lock);
	old = d->listed && o->opt.now() - d->listed_since > WEEK_MS;
	lock_drop(&o->lock);
	e = tidy(o, d, a, old);
	(void)e; /* with the next attempt */
}

void outbox_discard(struct outbox *o, struct destination *d)
{
	AUTO_ARENA a = arena_new();
	const err *e = write(o, a, &(struct tidying){ .o = o, .server = d->server, .what = ALL });

	(void)e; /* when the next ones come */
}
