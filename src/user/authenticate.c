/*
 * authenticate.c - whose request it is.
 *
 * The cache answers; the store is asked for a token that was not seen lately, and, where other processes can log people
 * out as well, once in token_recheck_ms. The first use of an access token that came from a refresh confirms the refresh
 * (see login.c), before the request goes on.
 */
#include "crypto/crypto.h"
#include "user/internal_users.h"

struct confirm {
	int64_t refresh_id, previous_id;
};

static err *confirm_write(struct tx *tx, void *arg)
{
	const struct confirm *c = arg;

	return store_refresh_confirm(tx, c->refresh_id, c->previous_id);
}

static err *unknown_token(struct arena *a, bool soft)
{
	err *e = err_new(a, ERR_UNKNOWN_TOKEN, soft ? "The access token has expired" : "Unrecognised access token");

	e->extra = soft ? S("\"soft_logout\":true") : S("\"soft_logout\":false");
	return e;
}

static struct cached_token cached_of(const struct token_row *row, int64_t now, int64_t mono)
{
	/* What the store knows of the device's last use counts as a note made then. */
	const int64_t age = MAX(now - row->seen_at, 0);

	return (struct cached_token){
		.id = {
			.user = row->user,
			.user_id = row->user_id,
			.device_id = row->device_id,
			.token_id = row->id,
			.is_guest = row->is_guest,
			.is_admin = row->is_admin,
			.is_locked = row->is_locked,
			.is_suspended = row->is_suspended,
		},
		.expires_at = row->expires_at,
		.read_ms = mono,
		.seen_ms = mono - MIN(age, SEEN_EVERY_MS),
	};
}

static err *token_row(struct users *us, struct arena *a, const uint8_t hash[32], const struct token_row **out)
{
	AUTO_TX tx = NULL;

	TRY(store_read(us->opt.store, a, &tx));
	return store_token_find(tx, (str){ (const char *)hash, 32 }, out);
}

/* From the store, and into the cache. *out_seen (or NULL) as token_cache_get. */
static err *token_read(struct users *us, struct arena *a, const uint8_t hash[32], int64_t mono,
		       struct cached_token *out, bool *out_seen)
{
	uint64_t mark = token_cache_mark(us->tokens);
	const struct token_row *row;

	TRY(token_row(us, a, hash, &row));
	if (row && row->previous_id) {
		TRY(store_do(us->opt.store, a, confirm_write, &(struct confirm){ row->refresh_id, row->previous_id }));
		token_cache_drop_device(us->tokens, row->user, row->device_id);
		mark = token_cache_mark(us->tokens);
		/* Another successor may have been confirmed first: then this token is gone. */
		TRY(token_row(us, a, hash, &row));
	}
	if (!row)
		return unknown_token(a, false);
	*out = cached_of(row, clock_ms(), mono);
	if (out_seen) {
		*out_seen = mono - out->seen_ms >= SEEN_EVERY_MS;
		if (*out_seen)
			out->seen_ms = mono;
	}
	token_cache_put(us->tokens, hash, out, mark);
	return NULL;
}

err *token_look_up(struct users *us, struct arena *a, str token, struct cached_token *out, bool *out_seen)
{
	const int64_t mono = clock_mono_ms(), recheck = us->opt.token_recheck_ms;
	uint8_t hash[32];

	sha256(token, hash);
	if (!token_cache_get(us->tokens, a, hash, mono, SEEN_EVERY_MS, out, out_seen) ||
	    (recheck && mono - out->read_ms >= recheck))
		TRY(token_read(us, a, hash, mono, out, out_seen));
	if (out->expires_at && out->expires_at <= clock_ms())
		return unknown_token(a, true);
	return NULL;
}

err *users_authenticate_token(struct users *us, struct arena *a, str token, struct identity *out)
{
	struct cached_token t;

	TRY(token_look_up(us, a, token, &t, NULL));
	*out = t.id;
	return NULL;
}
