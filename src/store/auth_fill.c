/*
 * auth_fill.c - the index of auth chains for what was stored before there was one.
 *
 * At opening, before anybody writes: the events of an older database get their places in the order of their numbers, in
 * bounded pieces, each a transaction that also says how far it came; so whatever ends it, the next opening goes on.
 * Numbers rise by and large, so some events are met before what they name: their edges wait, as those of any event
 * whose auth events come late, and are put in at the end.
 */
#include "store/auth_index.h"

#include "base/map.h"
#include "store/events.h"
#include "store/internal_store.h"
#include "store/meta.h"
#include "store/tx.h"

enum { PIECE = 4000, LATE = 1000 };

struct stored { /* a state event, by its row */
	int64_t event;
	struct auth_key key;
	str event_id;
	int64_t *auths;
	size_t n_auths;
	size_t turn; /* in this piece, from 1; 0: of an earlier piece, or of a later one */
};
struct fill {
	struct tx *tx;
	struct arena *a;
	int64_t upto; /* events up to this have a place now */
	VEC(struct stored *) piece;
	struct map known; /* event -> struct stored */
};

static struct stored *stored_of_row(struct fill *f, const struct rows *rs)
{
	struct stored *s = ARENA_NEW(f->a, struct stored);

	s->event = rows_i64(rs, 0);
	s->event_id = rows_str(rs, 1);
	s->key = (struct auth_key){ rows_i64(rs, 2), rows_i64(rs, 3) };
	s->n_auths = store_nids_unpack(f->a, rows_str(rs, 4), &s->auths);
	map_put_i(&f->known, s->event, s);
	return s;
}

static err *read_piece(struct fill *f, int64_t after, size_t *out_rows)
{
	static const char sql[] = "SELECT nid, event_id, type, state_key, auths FROM events"
				  " WHERE nid > $1 ORDER BY nid LIMIT $2";
	struct rows *rs;

	*out_rows = 0;
	TRY(tx_query(f->tx, sql, BIND(B(after), B((int64_t)PIECE)), &rs));
	for (; rows_next(rs); ++*out_rows) {
		f->upto = rows_i64(rs, 0);
		if (rows_i64(rs, 3) == 0)
			continue; /* a message */
		struct stored *s = stored_of_row(f, rs);

		vec_push(f->a, &f->piece, s);
		s->turn = f->piece.n;
	}
	return rows_end(&rs);
}

/* What the piece names of other pieces. */
static err *read_named(struct fill *f)
{
	static const char sql[] = "SELECT nid, event_id, type, state_key, auths FROM events WHERE nid IN $1";
	VEC(int64_t) named = { 0 };
	struct map asked;
	struct rows *rs;

	map_init(&asked, f->a);
	for (size_t i = 0; i < f->piece.n; i++)
		for (size_t k = 0; k < f->piece.p[i]->n_auths; k++) {
			const int64_t event = f->piece.p[i]->auths[k];

			if (event && !map_get_i(&f->known, event) && !map_put_i(&asked, event, f))
				vec_push(f->a, &named, event);
		}
	if (named.n == 0)
		return NULL;
	const struct i64s list = { named.p, named.n };

	TRY(tx_query(f->tx, sql, BIND(B(list)), &rs));
	while (rows_next(rs))
		(void)stored_of_row(f, rs);
	return rows_end(&rs);
}

static err *entry_of(struct fill *f, const struct stored *s, struct auth_entry *out)
{
	int64_t *auth = ARENA_ARRAY(f->a, int64_t, s->n_auths);
	struct auth_key *keys = ARENA_ARRAY(f->a, struct auth_key, s->n_auths);
	struct auth_list *named = ARENA_ARRAY(f->a, struct auth_list, s->n_auths);
	size_t n = 0;

	for (size_t k = 0; k < s->n_auths; k++) {
		const struct stored *p = map_get_i(&f->known, s->auths[k]);

		if (!p || !p->key.key)
			continue;
		if (p->event > f->upto) {
			TRY(store_auth_wait(f->tx, p->event_id, s->event, k));
			continue;
		}
		auth[n] = p->event;
		keys[n] = p->key;
		if (p->turn < s->turn)
			named[n] = (struct auth_list){ p->auths, p->n_auths };
		n++;
	}
	*out = (struct auth_entry){
		.event = s->event,
		.parents = auth_parents_of(f->a, s->key, auth, n, keys, named),
		.n_parents = n,
	};
	return NULL;
}

/* The next piece after event *at; *out_done: there was nothing left. */
static err *fill_piece(struct tx *tx, int64_t *at, bool *out_done)
{
	struct fill f = { .tx = tx, .a = tx_arena(tx), .upto = *at };
	struct auth_entry *entries;
	size_t rows;

	map_init(&f.known, f.a);
	TRY(read_piece(&f, *at, &rows));
	TRY(read_named(&f));
	entries = ARENA_ARRAY(f.a, struct auth_entry, f.piece.n);
	for (size_t i = 0; i < f.piece.n; i++)
		TRY(entry_of(&f, f.piece.p[i], &entries[i]));
	TRY(store_auth_add(tx, entries, f.piece.n));
	*at = f.upto;
	*out_done = rows < PIECE;
	return NULL;
}

/*
 * How far it came is kept as text: "all", or an event's number.
 */
static const str KEPT = STR("auth_index");

err *auth_fill_step(struct tx *tx, bool *out_done)
{
	struct arena *a = tx_arena(tx);
	int64_t at = 0;
	bool filled, more = false;
	str kept;

	TRY(store_meta_get(tx, KEPT, &kept));
	filled = str_eq(kept, S("all"));
	if (!filled && !str_is_none(kept) && !str_to_i64(kept, &at))
		return err_new(a, ERR_STORE, "meta has a damaged %.*s", STR_ARG(KEPT));
	if (!filled) {
		TRY(fill_piece(tx, &at, &filled));
		TRY(store_meta_set(tx, KEPT, filled ? S("all") : arena_printf(a, "%" PRId64, at)));
		*out_done = false;
		return NULL;
	}
	TRY(store_auth_late(tx, NULL, 0, LATE, &more));
	*out_done = !more;
	return NULL;
}

static err *fill_all(struct store *st, struct conn *c, struct arena *a)
{
	bool done = false;

	while (!done) {
		AUTO_ARENA piece = arena_new();
		struct tx tx = tx_plain(st, c, piece);
		err *e, *why = NULL;

		TRY(st->drv->begin(&tx));
		e = auth_fill_step(&tx, &done);
		tx_close_rows(&tx);
		if (e)
			st->drv->rollback(&tx);
		else if (st->drv->commit(&tx, &why) != COMMIT_DONE)
			e = why;
		if (e)
			return err_new(a, ERR_STORE, "filling the index of auth chains: %.*s", STR_ARG(e->msg));
	}
	return NULL;
}

err *auth_fill(struct store *st, struct conn *c, struct arena *a)
{
	err *e, *unlock;

	TRY(st->drv->migrate_lock(c, a)); /* one process at a time */
	e = fill_all(st, c, a);
	unlock = st->drv->migrate_unlock(c, a);
	return e ? e : unlock;
}

/*
 * While running: the edges that a piece left over
 */
struct catch_up {
	struct store *st;
	bool more;
};

static err *catch_up_run(struct tx *tx, void *arg)
{
	struct catch_up *c = arg;

	return store_auth_late(tx, NULL, 0, LATE, &c->more);
}

static void catch_up_after(void *arg, const err *result)
{
	struct catch_up *c = arg;

	if (!result && c->more)
		store_auth_catch_up(c->st);
	mem_free(c);
}

void store_auth_catch_up(struct store *st)
{
	struct catch_up *c = MEM_NEW(struct catch_up);
	const struct piece piece = { .run = catch_up_run, .after = catch_up_after, .arg = c };
	AUTO_ARENA a = arena_new();
	err *e;

	c->st = st;
	e = store_write(st, a, &piece, NULL);
	if (e)
		mem_free(c); /* too busy, or closing: the next opening does it */
}
