/*
 * registration_token.c - tokens that let people register (m.login.registration_token).
 *
 * A token's uses are those completed and those pending; pending are the registrations under way whose session holds it,
 * so that a session that expires gives its use back by itself.
 */
#include "base/rand.h"
#include "matrix/id.h"
#include "user/internal_users.h"
#include "user/register.h"

enum { TOKEN_MAX = 64, TOKEN_MADE = 16, LIST_MAX = 10000 };

static struct registration_token token_public(const struct registration_token_row *row)
{
	return (struct registration_token){
		.token = row->token,
		.uses_allowed = row->uses_allowed,
		.pending = row->pending,
		.completed = row->completed,
		.expires_at = row->expires_at,
	};
}

err *registration_token_get(struct users *us, struct arena *a, str token, const struct registration_token **out)
{
	const struct registration_token_row *row;
	struct registration_token *t;
	AUTO_TX tx = NULL;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_registration_token_get(tx, token, clock_ms(), &row));
	*out = NULL;
	if (!row)
		return NULL;
	t = ARENA_NEW(a, struct registration_token);
	*t = token_public(row);
	*out = t;
	return NULL;
}

err *registration_token_valid(struct users *us, struct arena *a, str token, bool *out)
{
	const struct registration_token *t;

	*out = false;
	if (str_is_empty(token) || token.n > TOKEN_MAX)
		return NULL;
	TRY(registration_token_get(us, a, token, &t));
	*out = t && registration_token_usable(t, clock_ms());
	return NULL;
}

err *registration_tokens_list(struct users *us, struct arena *a, struct registration_tokens *out)
{
	struct registration_token_row *rows = ARENA_ARRAY(a, struct registration_token_row, LIST_MAX);
	struct registration_token *list;
	AUTO_TX tx = NULL;
	size_t n;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_registration_tokens_list(tx, clock_ms(), LIST_MAX, rows, &n));
	list = ARENA_ARRAY(a, struct registration_token, n);
	for (size_t i = 0; i < n; i++)
		list[i] = token_public(&rows[i]);
	*out = (struct registration_tokens){ list, n };
	return NULL;
}

struct token_write {
	struct registration_token_row row;
	int64_t now;
	bool done;
};

static err *add_write(struct tx *tx, void *arg)
{
	struct token_write *w = arg;

	return store_registration_token_add(tx, &w->row, w->now, &w->done);
}

err *registration_token_add(struct users *us, struct arena *a, struct registration_token *token)
{
	struct token_write w = { .now = clock_ms() };

	if (str_is_none(token->token))
		token->token = rand_alnum(a, TOKEN_MADE);
	if (!id_opaque_valid(token->token) || token->token.n > TOKEN_MAX)
		return err_new(a, ERR_INVALID_PARAM, "A token has 1 to %d characters of A-Z a-z 0-9 . _ ~ -",
			       (int)TOKEN_MAX);
	w.row = (struct registration_token_row){
		.token = token->token,
		.uses_allowed = token->uses_allowed,
		.expires_at = token->expires_at,
	};
	TRY(store_do(us->opt.store, a, add_write, &w));
	return w.done ? NULL : err_new(a, ERR_INVALID_PARAM, "This token exists already");
}

static err *update_write(struct tx *tx, void *arg)
{
	struct token_write *w = arg;
	const struct registration_token_row *row;

	TRY(store_registration_token_get(tx, w->row.token, w->now, &row));
	w->done = row != NULL;
	return w->done ? store_registration_token_update(tx, w->row.token, w->row.uses_allowed, w->row.expires_at)
		       : NULL;
}

static err *no_such_token(struct arena *a) { return err_new(a, ERR_NOT_FOUND, "No such registration token"); }

err *registration_token_update(struct users *us, struct arena *a, const struct registration_token *token)
{
	struct token_write w = {
		.now = clock_ms(),
		.row = { .token = token->token, .uses_allowed = token->uses_allowed, .expires_at = token->expires_at },
	};

	TRY(store_do(us->opt.store, a, update_write, &w));
	return w.done ? NULL : no_such_token(a);
}

static err *delete_write(struct tx *tx, void *arg)
{
	struct token_write *w = arg;

	return store_registration_token_delete(tx, w->row.token, &w->done);
}

err *registration_token_delete(struct users *us, struct arena *a, str token)
{
	struct token_write w = { .row.token = token };

	TRY(store_do(us->opt.store, a, delete_write, &w));
	return w.done ? NULL : no_such_token(a);
}
