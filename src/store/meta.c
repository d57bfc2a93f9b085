/*
 * meta.c - single values by name, and what a new database is given: its epoch and the key of its state trees.
 */
#include "base/rand.h"
#include "store/internal_store.h"
#include "store/meta.h"

err *store_meta_get(struct tx *tx, str name, str *out)
{
	struct row *r;

	TRY(tx_one(tx, "SELECT value FROM meta WHERE name = $1", BIND(B(name)), &r));
	*out = r ? row_str(r, 0) : STR_NONE;
	return NULL;
}

err *store_meta_set(struct tx *tx, str name, str value)
{
	static const char sql[] = "INSERT INTO meta (name, value) VALUES ($1, $2)"
				  " ON CONFLICT (name) DO UPDATE SET value = excluded.value";

	return tx_run(tx, sql, BIND(B(name), B(value)));
}

err *store_meta_once(struct tx *tx, str name, str value, str *out)
{
	static const char sql[] = "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";

	TRY(tx_run(tx, sql, BIND(B(name), B(value))));
	TRY(store_meta_get(tx, name, out));
	return str_is_none(*out) ? err_new(tx_arena(tx), ERR_STORE, "a value of meta is there and is not") : NULL;
}

err *store_stream_head(struct tx *tx, int64_t *out)
{
	struct row *r;

	TRY(tx_one(tx, "SELECT position FROM stream_head", NO_BIND, &r));
	if (!r)
		return err_new(tx_arena(tx), ERR_STORE, "the row of stream_head is missing");
	*out = row_i64(r, 0);
	return NULL;
}

static err *make_and_read(struct tx *tx, struct store *st)
{
	static const char new_epoch[] = "INSERT INTO stream_head (one, position, epoch) VALUES (1, 0, $1)"
					" ON CONFLICT (one) DO NOTHING";
	const int64_t epoch = (int64_t)(rand_u64() >> 33) + 1;
	char key[sizeof(st->tree_key)];
	struct row *r;
	str kept;

	rand_bytes(key, sizeof(key));
	TRY(tx_run(tx, new_epoch, BIND(B(epoch))));
	TRY(tx_one(tx, "SELECT epoch FROM stream_head", NO_BIND, &r));
	TRY(store_meta_once(tx, S("tree_key"), (str){ key, sizeof(key) }, &kept));
	if (!r || kept.n != sizeof(st->tree_key))
		return err_new(tx_arena(tx), ERR_STORE, "the database lacks its epoch or its key");
	st->epoch = row_i64(r, 0);
	memcpy(st->tree_key, kept.p, kept.n);
	return NULL;
}

err *meta_open(struct store *st, struct conn *c, struct arena *a)
{
	struct tx tx = tx_plain(st, c, a);
	err *e, *why = NULL;

	TRY(st->drv->begin(&tx));
	e = make_and_read(&tx, st);
	tx_close_rows(&tx);
	if (e)
		st->drv->rollback(&tx);
	else if (st->drv->commit(&tx, &why) != COMMIT_DONE)
		e = why;
	return e;
}

void store_tree_key(const struct store *st, uint8_t out[16]) { memcpy(out, st->tree_key, sizeof(st->tree_key)); }
int64_t store_epoch(const struct store *st) { return st->epoch; }
