/* filters.c - filters that clients store once and name in every /sync. */
#include "crypto/crypto.h"
#include "store/account_data.h"
#include "user/account_data.h"
#include "user/internal_filter_cache.h"
#include "user/internal_user_cache.h"
#include "user/internal_users.h"

struct filter_add {
	int64_t user, id;
	str digest, text;
};

static err *add_run(struct tx *tx, void *arg)
{
	struct filter_add *f = arg;

	return store_filter_add(tx, f->user, f->digest, f->text, FILTERS_MAX, &f->id);
}

err *user_filter_add(struct users *us, struct arena *a, int64_t user, const struct json *json, str *out_id)
{
	uint8_t digest[32];
	struct filter filter;
	struct filter_add f = { .user = user };
	struct json *again;

	TRY(filter_parse(a, json, &filter));
	TRY(json_canonical(a, json, JSON_CANON_LOOSE, &f.text));
	/* What is stored must be readable: members that no filter has may be nested as deeply as a request. */
	TRY(json_parse(a, f.text, &filter_limits, &again));
	sha256(f.text, digest);
	f.digest = (str){ (const char *)digest, sizeof(digest) };
	TRY(store_do(us->opt.store, a, add_run, &f));
	*out_id = arena_printf(a, "%" PRId64, f.id);
	return NULL;
}

err *user_filter_get(struct users *us, struct arena *a, int64_t user, str id, str *out_text)
{
	uint64_t epoch;
	int64_t number;

	*out_text = STR_NONE;
	if (!str_to_i64(id, &number) || number < 0)
		return err_new(a, ERR_NOT_FOUND, "no such filter");
	if (!user_cache_get(us->texts, a, user, number, 0, out_text, &epoch)) {
		AUTO_TX tx = NULL;

		TRY(store_read(us->opt.store, a, &tx));
		TRY(store_filter(tx, user, number, out_text));
		if (!str_is_none(*out_text))
			user_cache_fill(us->texts, user, number, *out_text, epoch);
	}
	if (str_is_none(*out_text))
		return err_new(a, ERR_NOT_FOUND, "no such filter");
	return NULL;
}

err *user_filter_resolve(struct users *us, struct arena *a, int64_t user, str id_or_json, struct filter *out)
{
	str text = id_or_json;

	if (str_is_empty(id_or_json))
		return filter_cache_parse(us->filters, a, STR_NONE, out);
	/* "The server will detect whether it is an ID or a JSON object by whether the first character is a "{" open
	 * brace." */
	if (id_or_json.p[0] != '{')
		TRY(user_filter_get(us, a, user, id_or_json, &text));
	return filter_cache_parse(us->filters, a, text, out);
}
