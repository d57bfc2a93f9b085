/*
 * ignored.c - whom a user ignores. Client-Server API, "Ignoring Users".
 *
 * The list is in the user's m.ignored_user_list. It is read once, and good as long as the bus knows that no account
 * data changed.
 */
#include "sync/internal_sync.h"

#include "base/lru.h"
#include "store/account_data.h"
#include "user/account_data.h"

#include <stdlib.h>

enum { ENTRIES_MAX = 50000, USERS_MAX = 10000 };

struct entry {
	struct lru_node node;
	int64_t as_of;
	size_t n;
	int64_t users[];
};
struct ignored {
	struct lock lock;
	struct lru users;
};

struct ignored *ignored_new(void)
{
	struct ignored *ig = MEM_NEW(struct ignored);

	lock_init(&ig->lock, RANK_SERVICE);
	lru_init(&ig->users, ENTRIES_MAX, NULL);
	return ig;
}

void ignored_free(struct ignored **igp)
{
	struct ignored *ig = *igp;

	if (!ig)
		return;
	lru_done(&ig->users);
	lock_done(&ig->lock);
	mem_free(ig);
	*igp = NULL;
}

static bool take(struct ignored *ig, struct arena *a, int64_t user, const struct bus_known *known,
		 struct ignored_list *out)
{
	struct entry *e;
	int64_t *users;

	LOCKED(&ig->lock);
	e = lru_get_i(&ig->users, user);
	if (!e || e->as_of < known->since || e->as_of < known->last[BUS_ACCOUNT_DATA])
		return false;
	users = ARENA_ARRAY(a, int64_t, e->n);
	if (e->n)
		memcpy(users, e->users, e->n * sizeof(*users));
	*out = (struct ignored_list){ users, e->n };
	return true;
}

static void keep(struct ignored *ig, int64_t user, const struct bus_known *known, const struct ignored_list *list)
{
	struct entry *e = mem_zalloc(sizeof(*e) + list->n * sizeof(*list->users));

	e->as_of = known->position;
	e->n = list->n;
	if (list->n)
		memcpy(e->users, list->users, list->n * sizeof(*list->users));

	LOCKED(&ig->lock);
	lru_put_i(&ig->users, user, e, 1);
}

static int by_number(const void *x, const void *y)
{
	const int64_t p = *(const int64_t *)x, q = *(const int64_t *)y;

	return (p > q) - (p < q);
}

/* {"ignored_users": {"@someone:else": {}}}: users whom nobody here has heard of have no number, and send nothing; but
 * they may come, so a list with such is not kept. */
static err *parse(struct syncs *ss, struct arena *a, str content, struct ignored_list *out, bool *out_whole)
{
	VEC(int64_t) users = { 0 };
	struct json *json;
	err *e = json_parse(a, content, &json_limits_request, &json);

	if (e)
		return e;
	JSON_EACH (json_get_object(json, S("ignored_users")), m) {
		int64_t user;

		if (users.n == USERS_MAX)
			break;
		TRY(store_intern_find(ss->opt.store, a, m->key, &user));
		if (user)
			vec_push(a, &users, user);
		*out_whole = *out_whole && user;
	}
	if (users.n)
		qsort(users.p, users.n, sizeof(*users.p), by_number);
	*out = (struct ignored_list){ users.p, users.n };
	return NULL;
}

err *ignored_of(struct syncs *ss, struct arena *a, int64_t user, const struct bus_known *known,
		struct ignored_list *out)
{
	bool whole = true;
	str content;

	*out = (struct ignored_list){ 0 };
	if (known && take(ss->ignored, a, user, known, out))
		return NULL;
	TRY(user_account_data(ss->opt.users, a, user, 0, S("m.ignored_user_list"), &content));
	if (!str_is_none(content))
		TRY(parse(ss, a, content, out, &whole));
	if (known && whole)
		keep(ss->ignored, user, known, out);
	return NULL;
}

bool ignored_has(const struct ignored_list *l, int64_t user)
{
	return l->n && bsearch(&user, l->users, l->n, sizeof(*l->users), by_number);
}
