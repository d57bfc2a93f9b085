/*
 * invite_permission.c - who wants no invitations. Client-Server API, "Invite permission".
 *
 * Said in the account data m.invite_permission_config. "A missing, invalid or unsupported value means that the user
 * wants to receive invites as normal."
 */
#include "room/internal_job.h"

#include "store/account_data.h"

err *room_blocks_invites(struct tx *tx, struct arena *a, int64_t user, bool *out)
{
	struct account_data_row *row;
	struct json *content;

	*out = false;
	TRY(store_account_data(tx, user, 0, S("m.invite_permission_config"), &row));
	if (!row)
		return NULL;
	TRY(json_parse(a, row->content, &json_limits_request, &content));
	*out = str_eq(json_get_str(content, S("default_action")), S("block"));
	return NULL;
}

err *invite_permitted(struct rooms *rs, struct arena *a, str user_id)
{
	bool blocked = false;
	AUTO_TX tx = NULL;
	int64_t user;

	if (!id_is_of(user_id, rs->opt.signer.server_name)) /* their server's to say */
		return NULL;
	TRY(store_intern_find(rs->opt.store, a, user_id, &user));
	if (!user)
		return NULL;
	TRY(store_read(rs->opt.store, a, &tx));
	TRY(room_blocks_invites(tx, a, user, &blocked));
	return blocked ? err_new(a, ERR_INVITE_BLOCKED, "%.*s accepts no invitations", STR_ARG(user_id)) : NULL;
}
