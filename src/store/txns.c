/*
 * txns.c - client transactions: a digest for a key, so that a row is small whatever the client's path and id.
 */
#include "store/txns.h"
#include "base/buf.h"
#include "crypto/crypto.h"
#include "store/tx.h"

static void add_part(struct buf *b, str part)
{
	buf_i64(b, (int64_t)part.n); /* lengths keep ("ab", "c") and ("a", "bc") apart */
	buf_byte(b, ':');
	buf_add(b, part);
}

struct txn_digest store_txn_digest(const struct txn_key *k)
{
	AUTO_BUF b = BUF_INIT(SIZE_MAX);
	struct txn_digest out;
	uint8_t digest[32];

	buf_i64(&b, k->user);
	buf_byte(&b, ':');
	add_part(&b, k->device_id);
	add_part(&b, k->path);
	add_part(&b, k->txn_id);
	sha256(buf_str(&b), digest);
	memcpy(out.bytes, digest, sizeof(out.bytes));
	return out;
}

static str bytes_of(const struct txn_digest *k) { return (str){ (const char *)k->bytes, sizeof(k->bytes) }; }

err *store_txn_save(struct tx *tx, const struct txn_digest *k, int64_t event, int64_t now)
{
	return tx_run(tx, "INSERT INTO client_txns (digest, event, created) VALUES ($1, $2, $3)",
		      BIND(B(bytes_of(k)), B(event), B(now)));
}

err *store_txn_claim(struct tx *tx, const struct txn_digest *k, int64_t now, bool *out_known)
{
	static const char sql[] = "INSERT INTO client_txns (digest, event, created) VALUES ($1, 0, $2)"
				  " ON CONFLICT (digest) DO NOTHING";
	int64_t made;

	TRY(tx_run_count(tx, sql, BIND(B(bytes_of(k)), B(now)), &made));
	*out_known = made == 0;
	return NULL;
}

err *store_txn_find(struct tx *tx, const struct txn_digest *k, bool *out_known, int64_t *out_event)
{
	struct row *row;

	TRY(tx_one(tx, "SELECT event FROM client_txns WHERE digest = $1", BIND(B(bytes_of(k))), &row));
	*out_known = row != NULL;
	*out_event = row ? row_i64(row, 0) : 0;
	return NULL;
}

err *store_txns_prune(struct tx *tx, int64_t before, size_t limit, int64_t *out_n)
{
	static const char sql[] = "DELETE FROM client_txns WHERE digest IN"
				  " (SELECT digest FROM client_txns WHERE created < $1 LIMIT $2)";

	return tx_run_count(tx, sql, BIND(B(before), B((int64_t)limit)), out_n);
}
