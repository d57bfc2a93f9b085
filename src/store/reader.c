/*
 * reader.c - connections to read from, lent for one transaction.
 *
 * Connections are opened when they are first needed and taken again last in, first out, so that a quiet server holds
 * few. When all are lent, a thread waits for one, except where waiting could be for ever: a thread that reads already,
 * or that holds a lock (which a reader may want), gets one more connection, closed afterwards.
 */
#include <assert.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/internal_store.h"

enum { LEAST_READERS = 4, MOST_READERS = 16, WAIT_AT_MOST_US = 30 * 1000 * 1000 };

void pool_init(struct read_pool *p, unsigned most)
{
	const long cores = sysconf(_SC_NPROCESSORS_ONLN);

	lock_init(&p->lock, RANK_STORE);
	cond_init(&p->freed);
	list_init(&p->idle);
	p->most = most ? most : (unsigned)MIN(MAX(2 * cores, LEAST_READERS), MOST_READERS);
}

void pool_done(struct store *st)
{
	struct read_pool *p = &st->pool;

	assert(p->lent == 0);
	LIST_EACH_SAFE (&p->idle, it) {
		struct conn *c = (struct conn *)LIST_ITEM(it, struct conn_base, node);

		list_del(it);
		st->drv->disconnect(&c);
	}
	cond_done(&p->freed);
	lock_done(&p->lock);
}

/* An idle connection, NULL where a new one may be opened, or an error: none became free in time. */
static err *take(struct store *st, struct arena *a, struct conn **out)
{
	const bool may_wait = !tx_here(st) && !lock_any_held();
	const int64_t deadline = clock_mono_us() + WAIT_AT_MOST_US;
	struct read_pool *p = &st->pool;

	LOCKED(&p->lock);
	while (may_wait && list_is_empty(&p->idle) && p->lent >= p->most)
		if (!cond_wait_until(&p->freed, &p->lock, deadline))
			return err_new(a, ERR_BUSY, "every connection to read from stays in use");
	*out = NULL;
	if (!list_is_empty(&p->idle)) {
		struct list *first = p->idle.next;

		list_del(first);
		p->n_idle--;
		*out = (struct conn *)LIST_ITEM(first, struct conn_base, node);
	}
	p->lent++;
	return NULL;
}

static void give(struct store *st, struct conn *c)
{
	struct read_pool *p = &st->pool;
	bool keep;

	lock_take(&p->lock);
	p->lent--;
	keep = c && p->n_idle < p->most && st->drv->health(c) != CONN_LOST;
	if (keep) {
		list_add_head(&p->idle, &((struct conn_base *)c)->node);
		p->n_idle++;
	}
	cond_signal(&p->freed);
	lock_drop(&p->lock);
	if (c && !keep)
		st->drv->disconnect(&c);
}

/* A connection that sat idle may have been closed by the other side: one fresh one is tried. */
static err *begin(struct store *st, struct tx *tx)
{
	err *e;

	if (tx->conn) {
		e = st->drv->begin(tx);
		if (!e || st->drv->health(tx->conn) != CONN_LOST)
			return e;
		st->drv->disconnect(&tx->conn);
	}
	TRY(st->drv->connect(st, tx->arena, CONN_READ, &tx->conn));
	return st->drv->begin(tx);
}

err *store_read(struct store *st, struct arena *a, struct tx **out)
{
	struct tx *tx = ARENA_NEW(a, struct tx);
	struct conn *c = NULL;
	err *e;

	TRY(take(st, a, &c));
	*tx = tx_plain(st, c, a);
	e = begin(st, tx);
	if (e) {
		give(st, tx->conn);
		return e;
	}
	tx_enter(tx);
	*out = tx;
	return NULL;
}

void store_read_end(struct tx **txp)
{
	struct tx *tx = *txp;

	if (!tx)
		return;
	*txp = NULL;
	tx_leave(tx);
	tx_close_rows(tx);
	tx->st->drv->rollback(tx);
	give(tx->st, tx->conn);
}
