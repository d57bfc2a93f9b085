/*
 * join.c - the way into a restricted room (Client-Server API, "Restricted rooms"; rooms/v8 and later).
 *
 * The join rule lists rooms; who is in one of them may join, if a member of this room who may invite vouches for it:
 * content.join_authorised_via_users_server names that member, whose server signs the event along (here: the same
 * server).
 */
#include "room/internal_job.h"

/* Is the user in a room that the rule names? Another room is read by snapshot, as the store has it. */
static err *meets_condition(struct room *room, const struct proposal *p, const struct json *allow, bool *out)
{
	struct store *st = room->rs->opt.store;
	struct tx *tx;

	*out = false;
	TRY(room_tx(room, &tx));
	JSON_ITEMS (allow, i) {
		const struct json *condition = allow->array.items[i];
		struct member_row *m = NULL;
		int64_t other;

		if (!str_eq(json_get_str(condition, S("type")), S("m.room_membership")))
			continue; /* "unknown types are ignored" */
		if (str_is_none(json_get_str(condition, S("room_id"))))
			continue;
		TRY(store_intern_find(st, room->a, json_get_str(condition, S("room_id")), &other));
		if (other)
			TRY(store_member(tx, other, p->sender_nid, &m));
		if (m && m->membership == MEMBER_JOIN) {
			*out = true;
			return NULL;
		}
	}
	return NULL;
}

/* A joined user of this server whose power suffices to invite; STR_NONE: nobody. */
static err *find_voucher(struct room *room, str *out)
{
	struct store *st = room->rs->opt.store;
	struct power_levels pl;
	const struct map *locals;
	int64_t user;
	void *value;

	*out = STR_NONE;
	TRY(room_power(room, &pl));
	TRY(room_locals(room, &locals));
	for (size_t i = 0; map_next_i(locals, &i, &user, &value);) {
		str user_id;

		TRY(store_intern_text(st, room->a, user, &user_id));
		if (!power_may(&pl, user_id, POWER_INVITE))
			continue;
		*out = user_id;
		return NULL;
	}
	return NULL;
}

err *join_authorise(struct room *room, struct proposal *p)
{
	const struct event *rules;
	struct json *content = json_copy(room->a, p->content);
	str rule, voucher;
	bool met;

	json_del(content, S("join_authorised_via_users_server")); /* nobody's to choose but ours */
	p->content = content;
	TRY(room_current_text(room, S("m.room.join_rules"), S(""), &rules));
	rule = rules ? json_get_str(rules->content, S("join_rule")) : STR_NONE;
	if (!str_eq(rule, S("restricted")) && !str_eq(rule, S("knock_restricted")))
		return NULL;
	TRY(meets_condition(room, p, json_get_array(rules->content, S("allow")), &met));
	if (!met)
		return err_new(room->a, ERR_FORBIDDEN, "you are in none of the rooms whose members may join this one");
	TRY(find_voucher(room, &voucher));
	if (str_is_none(voucher))
		return err_new(room->a, ERR_UNABLE_TO_GRANT_JOIN, "nobody here may vouch for who joins this room");
	json_set(room->a, content, S("join_authorised_via_users_server"), json_new_str(room->a, voucher));
	return NULL;
}
