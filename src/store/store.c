/* store.c - opening and closing, and the faults that tests order. */
#include <assert.h>

#include "store/internal_migrate.h"
#include "store/internal_store.h"

static err *open_parts(struct store *st, struct arena *a)
{
	const struct migrations all = { store_migrations, store_n_migrations };
	struct conn *c;
	err *e;

	TRY(st->drv->open(st, a));
	TRY(st->drv->connect(st, a, CONN_WRITE, &c));
	e = store_migrate(st, c, a, all);
	if (!e)
		e = meta_open(st, c, a);
	if (!e)
		e = auth_fill(st, c, a);
	st->drv->disconnect(&c);
	TRY(e);
	return writers_start(st, a);
}

err *store_open(struct arena *a, const struct store_options *opt, struct store **out)
{
	struct store *st = MEM_NEW(struct store);
	err *e;

	assert(opt->driver == STORE_SQLITE ? opt->path.n > 0 : !str_is_none(opt->conninfo));
	st->drv = opt->driver == STORE_SQLITE ? &driver_sqlite : &driver_pg;
	st->path = str_keep(opt->path);
	st->conninfo = str_keep(opt->conninfo);
	st->n_writers = opt->writers;
	st->queue_limit = opt->queue_limit;
	lock_init(&st->turns.lock, RANK_STORE);
	cond_init(&st->turns.moved);
	pool_init(&st->pool, opt->readers);
	ids_init(st);
	intern_init(&st->interned);
	e = open_parts(st, a);
	if (e) {
		store_close(&st);
		return e;
	}
	*out = st;
	return NULL;
}

void store_close(struct store **stp)
{
	struct store *st = *stp;

	if (!st)
		return;
	*stp = NULL;
	writers_stop(st);
	cond_done(&st->turns.moved);
	lock_done(&st->turns.lock);
	pool_done(st);
	ids_done(st);
	intern_done(&st->interned);
	st->drv->close(st);
	mem_free((void *)st->path.p);
	mem_free((void *)st->conninfo.p);
	mem_free(st);
}

void store_on_commit(struct store *st, void (*hook)(void *ctx, int64_t position), void *ctx)
{
	LOCKED(&st->turns.lock);
	st->hook = hook;
	st->hook_ctx = ctx;
}

void store_tell_position(struct store *st, int64_t position)
{
	void (*hook)(void *ctx, int64_t pos);
	void *ctx;

	lock_take(&st->turns.lock);
	hook = st->hook;
	ctx = st->hook_ctx;
	lock_drop(&st->turns.lock);
	if (hook)
		hook(ctx, position);
}

void store_fault(struct store *st, enum store_fault what, int64_t nth) { atomic_store(&st->faults[what], nth); }

bool store_fault_hits(struct store *st, enum store_fault what)
{
	if (atomic_load_explicit(&st->faults[what], memory_order_relaxed) <= 0)
		return false;
	return atomic_fetch_sub(&st->faults[what], 1) == 1;
}
