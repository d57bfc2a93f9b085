/* push_rules.c - a user's push rules: one stored text, changed in one transaction, kept compiled for the next event. */
#include "base/map.h"
#include "base/thread.h"
#include "bus/bus.h"
#include "store/account_data.h"
#include "user/account_data.h"
#include "user/internal_rule_sets.h"
#include "user/internal_users.h"

err *user_push_rules_hold(struct users *us, struct arena *a, int64_t user, struct rule_set **out)
{
	AUTO_TX tx = NULL;
	uint64_t epoch;
	int64_t stream;
	str stored;

	*out = rule_sets_hold(us->rules, user, us->opt.token_recheck_ms, &epoch);
	if (*out)
		return NULL;
	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_push_rules(tx, user, &stored, &stream));
	*out = rule_sets_make(us->rules, user, stored, epoch);
	return NULL;
}

void user_push_rules_release(struct rule_set **set) { rule_sets_release(set); }
const struct push_rules *user_push_rules_held(const struct rule_set *set) { return rule_set_rules(set); }

err *user_push_rules(struct users *us, struct arena *a, int64_t user, const struct push_rules **out)
{
	AUTO_RULES set = NULL;

	TRY(user_push_rules_hold(us, a, user, &set));
	*out = push_rules_load(a, arena_keep(a, rule_set_stored(set)));
	return NULL;
}

/* Users with rules of their own. */
struct rule_owners {
	struct lock lock;
	struct map users;
	bool loaded;
	int64_t loaded_ms;
};

struct rule_owners *rule_owners_new(void)
{
	struct rule_owners *o = MEM_NEW(struct rule_owners);

	lock_init(&o->lock, RANK_LEAF);
	map_init(&o->users, NULL);
	return o;
}

void rule_owners_free(struct rule_owners **o)
{
	if (!*o)
		return;
	map_done(&(*o)->users);
	lock_done(&(*o)->lock);
	mem_free(*o);
	*o = NULL;
}

static void note_owner(struct rule_owners *o, int64_t user)
{
	LOCKED(&o->lock);
	(void)map_put_i(&o->users, user, o);
}

static err *load_owners(struct users *us)
{
	AUTO_ARENA a = arena_new();
	AUTO_TX tx = NULL;
	int64_t *list;
	size_t n;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_push_rules_owners(tx, &list, &n));
	for (size_t i = 0; i < n; i++)
		note_owner(us->owners, list[i]);
	LOCKED(&us->owners->lock);
	us->owners->loaded = true;
	us->owners->loaded_ms = clock_mono_ms();
	return NULL;
}

/* Makes the list good enough to be asked; false: the store did not answer. */
static bool owners_ready(struct users *us)
{
	struct rule_owners *o = us->owners;
	bool fresh;

	lock_take(&o->lock);
	fresh = o->loaded && (!us->opt.token_recheck_ms || clock_mono_ms() - o->loaded_ms < us->opt.token_recheck_ms);
	lock_drop(&o->lock);
	return fresh || !load_owners(us);
}

bool user_has_push_rules(struct users *us, int64_t user)
{
	if (!owners_ready(us))
		return true;
	LOCKED(&us->owners->lock);
	return map_get_i(&us->owners->users, user) != NULL;
}

/* The keys of the smaller map that the other one has, too. */
static void in_both(struct arena *a, const struct map *p, const struct map *q, const int64_t **out, size_t *out_n)
{
	const struct map *few = p->n < q->n ? p : q, *many = few == p ? q : p;
	VEC(int64_t) found = { 0 };
	int64_t user;
	void *value;

	for (size_t i = 0; map_next_i(few, &i, &user, &value);)
		if (few == many || map_get_i(many, user))
			vec_push(a, &found, user);
	*out = found.p;
	*out_n = found.n;
}

void user_push_rules_owners(struct users *us, struct arena *a, const struct map *users, const int64_t **out,
			    size_t *out_n)
{
	if (!owners_ready(us)) {
		in_both(a, users, users, out, out_n);
		return;
	}
	LOCKED(&us->owners->lock);
	in_both(a, users, &us->owners->users, out, out_n);
}

struct rules_change {
	struct users *us;
	struct arena *arena;
	int64_t user, position;
	push_rules_edit *edit;
	void *arg;
};

static err *change_late(struct tx *tx, void *arg)
{
	struct rules_change *c = arg;
	str stored;

	TRY(store_push_rules_begin(tx, c->user, &stored, &c->position));
	TRY(c->edit(c->arena, stored, c->arg, &stored));
	return store_push_rules_set(tx, c->user, stored, c->position);
}

static void change_after(void *arg, const err *result)
{
	const struct rules_change *c = arg;

	if (result)
		return;
	note_owner(c->us->owners, c->user);
	rule_sets_drop(c->us->rules, c->user);
	bus_touch_user(c->us->opt.bus, c->user, BUS_ACCOUNT_DATA, c->position);
}

err *user_push_rules_change(struct users *us, struct arena *a, int64_t user, push_rules_edit *edit, void *arg)
{
	struct rules_change c = { .us = us, .arena = a, .user = user, .edit = edit, .arg = arg };
	struct ticket *ticket;

	TRY(store_write(us->opt.store, a, &(struct piece){ .late = change_late, .after = change_after, .arg = &c },
			&ticket));
	return store_wait(a, ticket);
}
