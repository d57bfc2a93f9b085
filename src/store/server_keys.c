/* server_keys.c - the tables of other servers' keys. */
#include "store/server_keys.h"

err *store_server_keys_of(struct tx *tx, struct strs servers, struct server_key_row **out, size_t *out_n)
{
	static const char sql[] = "SELECT server, key_id, public_key, until, old FROM server_keys WHERE server IN $1";
	VEC(struct server_key_row) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(servers)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list,
			 (struct server_key_row){ rows_str(rs, 0), rows_str(rs, 1), rows_str(rs, 2), rows_i64(rs, 3),
						  rows_i64(rs, 4) != 0 });
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

static err *next_number(struct tx *tx, str server, int64_t *out)
{
	struct row *r;

	TRY(tx_one(tx, "SELECT MAX(number) FROM server_key_documents WHERE server = $1", BIND(B(server)), &r));
	*out = r ? row_i64(r, 0) + 1 : 1;
	return NULL;
}

static err *add_document(struct tx *tx, const struct server_key_document *doc, int64_t number)
{
	static const char sql[] = "INSERT INTO server_key_documents (server, number, received_at, valid_until, json)"
				  " VALUES ($1, $2, $3, $4, $5)";

	return tx_run(tx, sql, BIND(B(doc->server), B(number), B(doc->received_at), B(doc->valid_until), B(doc->json)));
}

static err *save_key(struct tx *tx, const struct server_key_row *k, int64_t document)
{
	static const char sql[] = "INSERT INTO server_keys (server, key_id, public_key, until, old, document)"
				  " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (server, key_id) DO UPDATE SET"
				  " public_key = excluded.public_key, until = excluded.until, old = excluded.old,"
				  " document = excluded.document";

	return tx_run(tx, sql,
		      BIND(B(k->server), B(k->key_id), B(k->public_key), B(k->until), B((int64_t)k->old), B(document)));
}

/* A list that is the newest of no key says nothing. */
static err *trim(struct tx *tx, str server)
{
	static const char keys[] =
		"DELETE FROM server_keys WHERE server = $1 AND key_id NOT IN"
		" (SELECT key_id FROM server_keys WHERE server = $1 ORDER BY until DESC, key_id LIMIT $2)";
	static const char unused[] = "DELETE FROM server_key_documents WHERE server = $1 AND number NOT IN"
				     " (SELECT document FROM server_keys WHERE server = $1)";
	static const char oldest[] =
		"DELETE FROM server_key_documents WHERE server = $1 AND number NOT IN"
		" (SELECT number FROM server_key_documents WHERE server = $1 ORDER BY number DESC LIMIT $2)";

	TRY(tx_run(tx, keys, BIND(B(server), B((int64_t)STORE_SERVER_KEYS))));
	TRY(tx_run(tx, unused, BIND(B(server))));
	return tx_run(tx, oldest, BIND(B(server), B((int64_t)STORE_SERVER_DOCUMENTS)));
}

err *store_server_keys_save(struct tx *tx, const struct server_key_document *doc, const struct server_key_row *keys,
			    size_t n)
{
	int64_t number;

	if (n == 0)
		return NULL;
	TRY(next_number(tx, doc->server, &number));
	TRY(add_document(tx, doc, number));
	for (size_t i = 0; i < n; i++)
		TRY(save_key(tx, &keys[i], number));
	return trim(tx, doc->server);
}

static int compare(str server, int64_t number, str other, int64_t other_number)
{
	const int by_name = str_cmp(server, other);

	return by_name != 0 ? by_name : (number > other_number) - (number < other_number);
}

/* Rows come ordered as the documents do. */
static err *add_key_ids(struct tx *tx, struct strs servers, struct server_key_document *docs, const int64_t *numbers,
			size_t n)
{
	static const char sql[] = "SELECT server, document, key_id FROM server_keys WHERE server IN $1"
				  " ORDER BY server, document, key_id";
	VEC(str) ids = { 0 };
	struct rows *rs;
	size_t at = 0;

	TRY(tx_query(tx, sql, BIND(B(servers)), &rs));
	while (rows_next(rs)) {
		const str server = rows_str(rs, 0);
		const int64_t number = rows_i64(rs, 1);

		for (; at < n && compare(docs[at].server, numbers[at], server, number) < 0; at++)
			ids.n = ids.cap = 0;
		if (at == n || compare(docs[at].server, numbers[at], server, number) > 0) /* its list was dropped */
			continue;
		vec_push(tx_arena(tx), &ids, rows_str(rs, 2));
		docs[at].key_ids = ids.p;
		docs[at].n_key_ids = ids.n;
	}
	return rows_end(&rs);
}

err *store_server_key_documents(struct tx *tx, struct strs servers, struct server_key_document **out, size_t *out_n)
{
	static const char sql[] = "SELECT server, json, received_at, valid_until, number FROM server_key_documents"
				  " WHERE server IN $1 ORDER BY server, number";
	VEC(struct server_key_document) list = { 0 };
	VEC(int64_t) numbers = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B(servers)), &rs));
	while (rows_next(rs)) {
		vec_push(tx_arena(tx), &list,
			 (struct server_key_document){ .server = rows_str(rs, 0),
						       .json = rows_str(rs, 1),
						       .received_at = rows_i64(rs, 2),
						       .valid_until = rows_i64(rs, 3) });
		vec_push(tx_arena(tx), &numbers, rows_i64(rs, 4));
	}
	TRY(rows_end(&rs));
	if (list.n > 0)
		TRY(add_key_ids(tx, servers, list.p, numbers.p, list.n));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_server_keys_strangers(struct tx *tx, size_t keep, size_t limit, str **out, size_t *out_n)
{
	static const char sql[] = "SELECT d.server FROM server_key_documents d WHERE NOT EXISTS"
				  " (SELECT 1 FROM interned i JOIN room_servers r ON r.server = i.id"
				  " WHERE i.text = d.server AND r.since > 0)"
				  " GROUP BY d.server ORDER BY MAX(d.received_at) DESC, d.server LIMIT $1 OFFSET $2";
	VEC(str) list = { 0 };
	struct rows *rs;

	TRY(tx_query(tx, sql, BIND(B((int64_t)limit), B((int64_t)keep)), &rs));
	while (rows_next(rs))
		vec_push(tx_arena(tx), &list, rows_str(rs, 0));
	TRY(rows_end(&rs));
	*out = list.p;
	*out_n = list.n;
	return NULL;
}

err *store_server_keys_forget(struct tx *tx, struct strs servers)
{
	TRY(tx_run(tx, "DELETE FROM server_key_documents WHERE server IN $1", BIND(B(servers))));
	return tx_run(tx, "DELETE FROM server_keys WHERE server IN $1", BIND(B(servers)));
}
