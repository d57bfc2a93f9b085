/*
 * join.c - the way into a restricted room (Client-Server API, "Restricted rooms"; rooms/v8 and later).
 *
 * The join rule lists rooms; who is in one of them may join, if a member of this room who may invite vouches for it:
 * content.join_authorised_via_users_server names that member, whose server signs the event along (here: the same
 * server).
 */
#include "room/internal_job.h"

/* Is the user in a room that the rule names? Another room is read by snapshot, as the store has it; only where this
 * server is in it does it know. */
static err *meets_condition(struct room *room, int64_t user, const struct json *allow, enum join_condition *out)
{
	struct store *st = room->rs->opt.store;
	enum join_condition met = JOIN_FAILS;
	struct tx *tx;

	TRY(room_tx(room, &tx));
	JSON_ITEMS (allow, i) {
		const struct json *condition = allow->array.items[i];
		const str other_id = json_get_str(condition, S("room_id"));
		struct member_row *m = NULL;
		bool inside = false;
		int64_t other;

		if (!str_eq(json_get_str(condition, S("type")), S("m.room_membership")))
			continue; /* "unknown types are ignored" */
		if (!id_room_valid(other_id))
			continue;
		TRY(store_intern_find(st, room->a, other_id, &other));
		if (other)
			TRY(store_room_has_server(tx, other, room->rs->server, &inside));
		if (inside && user)
			TRY(store_member(tx, other, user, &m));
		if (m && m->membership == MEMBER_JOIN) {
			*out = JOIN_MEETS;
			return NULL;
		}
		if (!inside)
			met = JOIN_UNKNOWN;
	}
	*out = met;
	return NULL;
}

err *join_condition(struct room *room, int64_t user, enum join_condition *out)
{
	const struct event *rules;
	str rule;

	TRY(room_current_text(room, S("m.room.join_rules"), S(""), &rules));
	rule = rules ? json_get_str(rules->content, S("join_rule")) : STR_NONE;
	*out = JOIN_UNCONDITIONAL;
	if (!(room->rv->restricted && str_eq(rule, S("restricted"))) &&
	    !(room->rv->knock_restricted && str_eq(rule, S("knock_restricted"))))
		return NULL;
	return meets_condition(room, user, json_get_array(rules->content, S("allow")), out);
}

/* A joined user of this server whose power suffices to invite; STR_NONE: nobody. */
err *join_voucher(struct room *room, str *out)
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
	struct json *content = json_copy(room->a, p->content);
	enum join_condition condition;
	str voucher;

	json_del(content, S("join_authorised_via_users_server")); /* nobody's to choose but ours */
	p->content = content;
	TRY(join_condition(room, p->sender_nid, &condition));
	if (condition == JOIN_UNCONDITIONAL)
		return NULL;
	if (condition != JOIN_MEETS)
		return err_new(room->a, ERR_FORBIDDEN, "you are in none of the rooms whose members may join this one");
	TRY(join_voucher(room, &voucher));
	if (str_is_none(voucher))
		return err_new(room->a, ERR_UNABLE_TO_GRANT_JOIN, "nobody here may vouch for who joins this room");
	json_set(room->a, content, S("join_authorised_via_users_server"), json_new_str(room->a, voucher));
	return NULL;
}
