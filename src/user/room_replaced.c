/*
 * room_replaced.c - what a user keeps for a room, for its successor, too: tags, m.direct, push rules.
 *
 * Client-Server API, "Room Upgrades": "When a user joins the new room, the server should automatically
 * transfer/replicate some of the user's personalized settings such as notifications, tags, etc."
 *
 * Done once for a user and a room, and never again, for afterwards the user may have changed their mind there: the new
 * room's m.tag is written last, and where there is one, all was done.
 */
#include "matrix/push_rules.h"
#include "store/account_data.h"
#include "user/account_data.h"
#include "user/internal_users.h"

static err *copy_rules(struct arena *a, str stored, void *arg, str *out)
{
	const struct room_replaced *r = arg;

	return push_rules_follow_room(a, stored, r->old_id, r->new_id, out);
}

struct kept { /* what there is to carry */
	bool done;
	str tags, direct;
	bool rules;
};

static err *look(struct users *us, struct arena *a, int64_t user, const struct room_replaced *r, struct kept *out)
{
	struct account_data_row *done, *tags, *direct;
	AUTO_TX tx = NULL;
	str rules = STR_NONE;
	int64_t stream;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_account_data(tx, user, r->new_room, S("m.tag"), &done));
	TRY(store_account_data(tx, user, r->old_room, S("m.tag"), &tags));
	TRY(store_account_data(tx, user, 0, S("m.direct"), &direct));
	if (user_has_push_rules(us, user))
		TRY(store_push_rules(tx, user, &rules, &stream));
	*out = (struct kept){
		.done = done != NULL,
		.tags = tags ? tags->content : STR_NONE,
		.direct = direct ? direct->content : STR_NONE,
		.rules = push_rules_name_room(a, rules, r->old_id),
	};
	return NULL;
}

err *user_room_replaced(struct users *us, struct arena *a, int64_t user, const struct room_replaced *r)
{
	struct room_replaced arg = *r;
	struct kept kept;
	bool direct;

	TRY(look(us, a, user, r, &kept));
	direct = direct_lists(a, kept.direct, r->old_id);
	if (kept.done || (str_is_none(kept.tags) && !kept.rules && !direct))
		return NULL;
	if (kept.rules)
		TRY(user_push_rules_change(us, a, user, copy_rules, &arg));
	if (direct)
		TRY(user_direct_follow(us, a, user, r->old_id, r->new_id));
	return user_account_data_set(us, a, user, r->new_room, S("m.tag"),
				     str_is_none(kept.tags) ? S("{\"tags\":{}}") : kept.tags);
}
