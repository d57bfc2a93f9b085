/*
 * membership.h - the states a user can be in towards a room, and what going from one to another means. m.room.member,
 * its table; Client-Server API, "Room membership". Who may do it is for the authorisation rules (auth.h).
 */
#pragma once

#include "base/str.h"

enum membership { MEMBER_NONE, MEMBER_JOIN, MEMBER_INVITE, MEMBER_LEAVE, MEMBER_BAN, MEMBER_KNOCK };
#define MEMBER_MASK(m) (1u << (m))
#define MEMBER_ANY     (~0u)

/* "join" for MEMBER_JOIN; STR_NONE for MEMBER_NONE. */
str membership_text(enum membership m);
enum membership membership_of_text(str s); /* MEMBER_NONE for anything else */

enum member_change {
	CHANGE_NOTHING,       /* the same as before */
	CHANGE_NEVER,         /* "Must never happen" */
	CHANGE_INVITED,       /* a new invitation */
	CHANGE_JOINED,        /* uninvited, or by accepting an invitation */
	CHANGE_PROFILE,       /* from join to join: "displayname or avatar_url changed" */
	CHANGE_LEFT,          /* out of the room, of one's own will */
	CHANGE_KICKED,        /* by another */
	CHANGE_REJECTED,      /* the user did not want the invitation */
	CHANGE_REVOKED,       /* another took it back */
	CHANGE_KNOCKED,       /* also again, when invited already */
	CHANGE_ACCEPTED,      /* the knock was answered by an invitation */
	CHANGE_RETRACTED,     /* the knock, by who knocked */
	CHANGE_DENIED,        /* the knock, by another */
	CHANGE_BANNED,        /* from outside of the room */
	CHANGE_KICKED_BANNED, /* who was in */
	CHANGE_UNBANNED,
};
/* by_self: state_key and sender are the same. MEMBER_NONE before counts as leave; `to` is none of an event's:
 * CHANGE_NEVER. */
enum member_change membership_change(enum membership from, enum membership to, bool by_self);
