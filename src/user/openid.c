#include "user/openid.h"

#include "base/clock.h"
#include "base/rand.h"
#include "store/tokens.h"
#include "user/internal_users.h"

enum { TOKEN_LENGTH = 43, OPENID_TOKENS_PER_USER = 100, OPENID_TOKEN_MS = 3600 * 1000 };

struct openid {
	str hash;
	int64_t user, now;
};

static err *write_token(struct tx *tx, void *arg)
{
	const struct openid *t = arg;
	bool added;

	return store_one_time_add(tx, ONE_TIME_OPENID, t->user, t->hash, t->now + OPENID_TOKEN_MS, t->now,
				  OPENID_TOKENS_PER_USER, &added);
}

err *openid_token_new(struct users *us, struct arena *a, int64_t user, str *out_token, int64_t *out_lifetime_ms)
{
	const str token = arena_join2(a, S("hot_"), rand_alnum(a, TOKEN_LENGTH));
	struct openid t = { .hash = token_hash(a, token), .user = user, .now = clock_ms() };

	TRY(store_do(us->opt.store, a, write_token, &t));
	*out_token = token;
	*out_lifetime_ms = OPENID_TOKEN_MS;
	return NULL;
}

err *openid_token_user(struct users *us, struct arena *a, str token, str *out_user_id)
{
	AUTO_TX tx = NULL;
	int64_t user;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_one_time_find(tx, ONE_TIME_OPENID, token_hash(a, token), clock_ms(), &user));
	if (user < 0)
		return err_new(a, ERR_UNKNOWN_TOKEN, "Access token unknown or expired");
	return store_intern_text(us->opt.store, a, user, out_user_id);
}
