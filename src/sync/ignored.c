/*
 * ignored.c - whom a user ignores. Client-Server API, "Ignoring Users".
 *
 * The list is in the user's m.ignored_user_list. It is read once, and good as long as the bus knows that no account
 * data changed.
 */
#include "sync/internal_sync.h"

#include "store/account_data.h"
#include "user/account_data.h"

#include <stdlib.h>

enum { ENTRIES_MAX = 50000, USERS_MAX = 10000 };

struct entry {
	struct list lru;
	int64_t user, as_of;
	size_t n;
	int64_t users[];
};
struct ignored {
	struct lock lock;
	struct map users;
	struct list lru;
};

struct ignored *ignored_new(void)
{
	struct ignored *ig = MEM_NEW(struct ignored);

	lock_init(&ig->lock, RANK_SERVICE);
	map_init(&ig->users, NULL);
	list_init(&ig->lru);
	return ig;
}

static void drop(struct ignored *ig, struct entry *e)
{
	(void)map_del_i(&ig->users, e->user);
	list_del(&e->lru);
	mem_free(e);
}

void ignored_free(struct ignored **igp)
{
	struct ignored *ig = *igp;

	if (!ig)
		return;
	LIST_EACH_SAFE (&ig->lru, it)
		drop(ig, LIST_ITEM(it, struct entry, lru));
	map_done(&ig->users);
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
	e = map_get_i(&ig->users, user);
	if (!e || e->as_of < known->since || e->as_of < known->last[BUS_ACCOUNT_DATA])
		return false;
	list_del(&e->lru);
	list_add_head(&ig->lru, &e->lru);
	users = ARENA_ARRAY(a, int64_t, e->n);
	if (e->n)
		memcpy(users, e->users, e->n * sizeof(*users));
	*out = (struct ignored_list){ users, e->n };
	return true;
}

static void keep(struct ignored *ig, int64_t user, const struct bus_known *known, const struct ignored_list *list)
{
	struct entry *e = mem_zalloc(sizeof(*e) + list->n * sizeof(*list->users)), *old;

	e->user = user;
	e->as_of = known->position;
	e->n = list->n;
	if (list->n)
		memcpy(e->users, list->users, list->n * sizeof(*list->users));
	list_init(&e->lru);

	LOCKED(&ig->lock);
	old = map_get_i(&ig->users, user);
	if (old)
		drop(ig, old);
	(void)map_put_i(&ig->users, user, e);
	list_add_head(&ig->lru, &e->lru);
	while (ig->users.n > ENTRIES_MAX)
		drop(ig, LIST_ITEM(ig->lru.prev, struct entry, lru));
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
