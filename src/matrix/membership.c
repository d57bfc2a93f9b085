#include "matrix/membership.h"

#include <assert.h>

static const str texts[] = {
	[MEMBER_NONE] = { 0 },         [MEMBER_JOIN] = STR("join"), [MEMBER_INVITE] = STR("invite"),
	[MEMBER_LEAVE] = STR("leave"), [MEMBER_BAN] = STR("ban"),   [MEMBER_KNOCK] = STR("knock"),
};

str membership_text(enum membership m)
{
	assert((size_t)m < ARRAY_LEN(texts));
	return texts[m];
}

enum membership membership_of_text(str s)
{
	for (enum membership m = MEMBER_JOIN; m <= MEMBER_KNOCK; m++)
		if (str_eq(s, texts[m]))
			return m;
	return MEMBER_NONE;
}

/* "The table below represents the various changes over time and how clients and servers must interpret those changes."
 */
static const enum member_change changes[][6] = {
	[MEMBER_INVITE] = { [MEMBER_INVITE] = CHANGE_NOTHING,
			    [MEMBER_JOIN] = CHANGE_JOINED,
			    [MEMBER_LEAVE] = CHANGE_REVOKED,
			    [MEMBER_BAN] = CHANGE_BANNED,
			    [MEMBER_KNOCK] = CHANGE_KNOCKED },
	[MEMBER_JOIN] = { [MEMBER_INVITE] = CHANGE_NEVER,
			  [MEMBER_JOIN] = CHANGE_PROFILE,
			  [MEMBER_LEAVE] = CHANGE_KICKED,
			  [MEMBER_BAN] = CHANGE_KICKED_BANNED,
			  [MEMBER_KNOCK] = CHANGE_NEVER },
	[MEMBER_LEAVE] = { [MEMBER_INVITE] = CHANGE_INVITED,
			   [MEMBER_JOIN] = CHANGE_JOINED,
			   [MEMBER_LEAVE] = CHANGE_NOTHING,
			   [MEMBER_BAN] = CHANGE_BANNED,
			   [MEMBER_KNOCK] = CHANGE_KNOCKED },
	[MEMBER_BAN] = { [MEMBER_INVITE] = CHANGE_NEVER,
			 [MEMBER_JOIN] = CHANGE_NEVER,
			 [MEMBER_LEAVE] = CHANGE_UNBANNED,
			 [MEMBER_BAN] = CHANGE_NOTHING,
			 [MEMBER_KNOCK] = CHANGE_NEVER },
	/* The table says that nobody joins who knocks; the rules let them where the room is public or restricted. */
	[MEMBER_KNOCK] = { [MEMBER_INVITE] = CHANGE_ACCEPTED,
			   [MEMBER_JOIN] = CHANGE_JOINED,
			   [MEMBER_LEAVE] = CHANGE_DENIED,
			   [MEMBER_BAN] = CHANGE_BANNED,
			   [MEMBER_KNOCK] = CHANGE_NOTHING },
};

enum member_change membership_change(enum membership from, enum membership to, bool by_self)
{
	enum member_change change;

	if (to == MEMBER_NONE)
		return CHANGE_NEVER;
	/* "If not present, the user's previous membership must be assumed as leave." */
	change = changes[from == MEMBER_NONE ? MEMBER_LEAVE : from][to];
	if (!by_self)
		return change;
	/* "If the state_key is the same as the sender, the user rejected the invite." Likewise left, retracted. */
	return change == CHANGE_REVOKED  ? CHANGE_REJECTED
	       : change == CHANGE_KICKED ? CHANGE_LEFT
	       : change == CHANGE_DENIED ? CHANGE_RETRACTED
					 : change;
}
