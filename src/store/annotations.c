#include "store/annotations.h"

#include "crypto/crypto.h"
#include "store/tx.h"

void store_annotation_digest(str key, struct annotation *out)
{
	uint8_t digest[32];

	sha256(key, digest);
	memcpy(out->digest, digest, sizeof(out->digest));
}

bool store_annotation_same(const struct annotation *x, const struct annotation *y)
{
	return x->target == y->target && x->sender == y->sender && x->type == y->type &&
	       memcmp(x->digest, y->digest, sizeof(x->digest)) == 0;
}

static str digest_of(const struct annotation *an) { return (str){ (const char *)an->digest, sizeof(an->digest) }; }

err *store_annotation_find(struct tx *tx, const struct annotation *an, int64_t *out_event)
{
	static const char sql[] =
		"SELECT event FROM annotations WHERE target = $1 AND sender = $2 AND type = $3 AND digest = $4";
	struct row *row;

	TRY(tx_one(tx, sql, BIND(B(an->target), B(an->sender), B(an->type), B(digest_of(an))), &row));
	*out_event = row ? row_i64(row, 0) : 0;
	return NULL;
}

err *store_annotation_save(struct tx *tx, const struct annotation *an, int64_t event)
{
	static const char sql[] =
		"INSERT INTO annotations (target, sender, type, digest, event) VALUES ($1, $2, $3, $4, $5)"
		" ON CONFLICT (target, sender, type, digest) DO UPDATE SET event = excluded.event";

	return tx_run(tx, sql, BIND(B(an->target), B(an->sender), B(an->type), B(digest_of(an)), B(event)));
}

err *store_annotation_drop(struct tx *tx, const struct annotation *an, int64_t event)
{
	static const char sql[] = "DELETE FROM annotations WHERE target = $1 AND sender = $2 AND type = $3"
				  " AND digest = $4 AND event = $5";

	return tx_run(tx, sql, BIND(B(an->target), B(an->sender), B(an->type), B(digest_of(an)), B(event)));
}
