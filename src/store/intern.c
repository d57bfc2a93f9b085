/*
 * intern.c - texts that repeat (users, rooms, types, state keys) and their numbers.
 *
 * A pair of text and number never changes and never goes away, so a cache can only be right or empty: it is filled from
 * committed rows alone, by whoever misses. A new text gets its number from a reserved block, is inserted unless another
 * process was faster, and the number that stands in the database counts: on PostgreSQL the insert of a text that
 * another transaction is inserting waits for that one's end. A look-up inside of a transaction goes over that one's
 * connection.
 */
#include <assert.h>

#include "store/internal_store.h"

enum { MOST_BYTES = 16 << 20, ENTRY_COST = 160, TEXTS_AT_ONCE = 1000 };

struct entry {
	struct lru_node node;
	int64_t id;
	char text[];
};

static void entry_gone(struct lru *by_text, void *entry)
{
	struct entry *e = entry;

	map_del_i(&LIST_ITEM(by_text, struct intern_cache, by_text)->by_id, e->id);
	mem_free(e);
}

static void remember(struct intern_cache *c, int64_t id, str text)
{
	struct entry *e;

	LOCKED(&c->lock);
	if (lru_get(&c->by_text, text))
		return;
	e = mem_alloc(sizeof(*e) + text.n);
	memcpy(e->text, text.p, text.n);
	e->id = id;
	map_put_i(&c->by_id, id, e);
	lru_put(&c->by_text, (str){ e->text, text.n }, e, text.n + ENTRY_COST);
}

static int64_t cached_id(struct intern_cache *c, str text)
{
	struct entry *e;

	LOCKED(&c->lock);
	e = lru_get(&c->by_text, text);
	return e ? e->id : 0;
}

static str cached_text(struct intern_cache *c, struct arena *a, int64_t id)
{
	struct entry *e;

	LOCKED(&c->lock);
	e = map_get_i(&c->by_id, id);
	if (!e)
		return STR_NONE;
	lru_use(&c->by_text, e);
	return arena_keep(a, e->node.key);
}

void intern_init(struct intern_cache *c)
{
	lock_init(&c->lock, RANK_STORE);
	lru_init(&c->by_text, MOST_BYTES, entry_gone);
	map_init(&c->by_id, NULL);
}

void intern_done(struct intern_cache *c)
{
	lru_done(&c->by_text);
	map_done(&c->by_id);
	lock_done(&c->lock);
}

static err *select_id(struct tx *tx, str text, int64_t *out)
{
	struct row *r;

	TRY(tx_one(tx, "SELECT id FROM interned WHERE text = $1", BIND(B(text)), &r));
	*out = r ? row_i64(r, 0) : 0;
	return NULL;
}

static err *select_text(struct tx *tx, int64_t id, str *out)
{
	struct row *r;

	TRY(tx_one(tx, "SELECT text FROM interned WHERE id = $1", BIND(B(id)), &r));
	*out = r ? row_str(r, 0) : STR_NONE;
	return NULL;
}

err *store_intern_find(struct store *st, struct arena *a, str text, int64_t *out)
{
	struct tx *tx = tx_here(st);
	AUTO_TX own = NULL;
	int64_t id;

	assert(!str_is_none(text));
	id = cached_id(&st->interned, text);
	if (!id) {
		if (!tx)
			TRY(store_read(st, a, &own));
		TRY(select_id(tx ? tx : own, text, &id));
		/* A writer sees rows of its own that may yet be undone. */
		if (id && !(tx && tx->writer))
			remember(&st->interned, id, text);
	}
	*out = id;
	return NULL;
}

err *store_intern_text(struct store *st, struct arena *a, int64_t nid, str *out)
{
	struct tx *tx = tx_here(st);
	AUTO_TX own = NULL;
	str text;

	text = cached_text(&st->interned, a, nid);
	if (str_is_none(text)) {
		if (!tx)
			TRY(store_read(st, a, &own));
		TRY(select_text(tx ? tx : own, nid, &text));
		if (str_is_none(text))
			return err_new(a, ERR_INTERNAL, "no text has the number %" PRId64, nid);
		if (!(tx && tx->writer))
			remember(&st->interned, nid, text);
		text = arena_keep(a, text);
	}
	*out = text;
	return NULL;
}

/* Adds what is found to the map. */
static err *select_texts(struct store *st, struct tx *tx, struct arena *a, struct i64s ids, struct map *found)
{
	struct rows *rs;

	TRY(tx_query(tx, "SELECT id, text FROM interned WHERE id IN $1", BIND(B(ids)), &rs));
	while (rows_next(rs)) {
		const int64_t id = rows_i64(rs, 0);
		str *text = ARENA_NEW(a, str);

		*text = arena_keep(a, rows_str(rs, 1));
		(void)map_put_i(found, id, text);
		if (!tx->writer)
			remember(&st->interned, id, *text);
	}
	return rows_end(&rs);
}

err *store_intern_texts(struct store *st, struct arena *a, const int64_t *nids, size_t n, str *out)
{
	struct tx *tx = tx_here(st);
	VEC(int64_t) missing = { 0 };
	struct map found;
	AUTO_TX own = NULL;

	for (size_t i = 0; i < n; i++) {
		out[i] = cached_text(&st->interned, a, nids[i]);
		if (str_is_none(out[i]))
			vec_push(a, &missing, nids[i]);
	}
	if (missing.n && !tx)
		TRY(store_read(st, a, &own));
	map_init(&found, a);
	for (size_t from = 0; from < missing.n; from += TEXTS_AT_ONCE) {
		const struct i64s ids = { missing.p + from, MIN(missing.n - from, TEXTS_AT_ONCE) };

		TRY(select_texts(st, tx ? tx : own, a, ids, &found));
	}
	for (size_t i = 0; missing.n && i < n; i++) {
		const str *text = str_is_none(out[i]) ? map_get_i(&found, nids[i]) : &out[i];

		if (!text)
			return err_new(a, ERR_INTERNAL, "no text has the number %" PRId64, nids[i]);
		out[i] = *text;
	}
	return NULL;
}

struct interning {
	str text;
	int64_t proposed, id;
	int64_t *out;
};
struct interning_all {
	VEC(struct interning) list;
};

static err *insert(struct tx *tx, void *arg)
{
	static const char sql[] = "INSERT INTO interned (id, text) VALUES ($1, $2) ON CONFLICT (text) DO NOTHING";
	struct interning *in = arg;
	int64_t made;

	TRY(tx_run_count(tx, sql, BIND(B(in->proposed), B(in->text)), &made));
	in->id = in->proposed;
	if (!made)
		TRY(select_id(tx, in->text, &in->id));
	return in->id ? NULL : err_new(tx_arena(tx), ERR_STORE, "an interned text is there and is not");
}

static err *insert_all(struct tx *tx, void *arg)
{
	struct interning_all *all = arg;

	for (size_t i = 0; i < all->list.n; i++)
		TRY(insert(tx, &all->list.p[i]));
	return NULL;
}

static err *make_all(struct store *st, struct arena *a, struct interning_all *all)
{
	int64_t first;

	TRY(store_next_id(st, a, SEQ_INTERN, all->list.n, &first));
	for (size_t i = 0; i < all->list.n; i++)
		all->list.p[i].proposed = first + (int64_t)i;
	TRY(store_do(st, a, insert_all, all));
	for (size_t i = 0; i < all->list.n; i++) {
		*all->list.p[i].out = all->list.p[i].id;
		remember(&st->interned, all->list.p[i].id, all->list.p[i].text);
	}
	return NULL;
}

/* Adds the numbers of those that are stored to the map. */
static err *select_ids(struct store *st, struct tx *tx, struct strs texts, struct map *found)
{
	struct rows *rs;

	TRY(tx_query(tx, "SELECT id, text FROM interned WHERE text IN $1", BIND(B(texts)), &rs));
	while (rows_next(rs)) {
		const int64_t id = rows_i64(rs, 0);
		const str text = rows_str(rs, 1);

		(void)map_put(found, text, (void *)(uintptr_t)id);
		if (!tx->writer)
			remember(&st->interned, id, text);
	}
	return rows_end(&rs);
}

/* Those that are not in the cache: a statement a thousand. out: 0 for what is nowhere. */
static err *find_all(struct store *st, struct arena *a, const str *wanted, size_t n, int64_t *out)
{
	struct tx *tx = tx_here(st);
	struct map found;
	AUTO_TX own = NULL;

	if (!tx)
		TRY(store_read(st, a, &own));
	map_init(&found, a);
	for (size_t from = 0; from < n; from += TEXTS_AT_ONCE)
		TRY(select_ids(st, tx ? tx : own, (struct strs){ wanted + from, MIN(n - from, (size_t)TEXTS_AT_ONCE) },
			       &found));
	for (size_t i = 0; i < n; i++)
		out[i] = (int64_t)(uintptr_t)map_get(&found, wanted[i]);
	return NULL;
}

err *store_intern_all(struct store *st, struct arena *a, const struct store_text *texts, size_t n)
{
	struct interning_all fresh = { 0 };
	VEC(size_t) missing = { 0 };
	VEC(str) wanted = { 0 };
	int64_t *found;

	for (size_t i = 0; i < n; i++) {
		assert(!str_is_none(texts[i].text));
		*texts[i].nid = cached_id(&st->interned, texts[i].text);
		if (*texts[i].nid)
			continue;
		vec_push(a, &missing, i);
		vec_push(a, &wanted, texts[i].text);
	}
	if (missing.n == 0)
		return NULL;
	found = ARENA_ARRAY(a, int64_t, missing.n);
	TRY(find_all(st, a, wanted.p, missing.n, found));
	for (size_t i = 0; i < missing.n; i++) {
		const struct store_text *t = &texts[missing.p[i]];

		*t->nid = found[i];
		if (!found[i])
			vec_push(a, &fresh.list, (struct interning){ .text = t->text, .out = t->nid });
	}
	return fresh.list.n ? make_all(st, a, &fresh) : NULL;
}

err *store_intern(struct store *st, struct arena *a, str text, int64_t *out)
{
	return store_intern_all(st, a, &(struct store_text){ text, out }, 1);
}

err *store_intern_new(struct tx *tx, str text, int64_t id)
{
	struct interning in = { .text = text, .proposed = id };

	TRY(insert(tx, &in));
	return in.id == id ? NULL : err_new(tx_arena(tx), ERR_STORE, "a text that was to be new has a number already");
}
