/*
 * membership.h - who is what in which room: the current state's m.room.member events, flat.
 *
 * A row per room and user who ever had one. Besides what the event says it has what only its user sees: the stripped
 * state that came with an invite or knock, and whether the room was forgotten.
 */
#pragma once

#include "matrix/membership.h"
#include "store/store.h"

struct member_row {
	int64_t room, user;
	enum membership membership;
	/* The m.room.member event's number. 0: a resolution took it out of the state; or it is of a room that this
	 * server is not in (store/outsiders.h), invite and knock always are then. */
	int64_t event;
	int64_t sender; /* its sender: who invited, kicked, banned */
	int64_t stream; /* where this event became current */
	int64_t since; /* where this *membership* began: unchanged by a new display name or avatar. (The row knows, too,
			* where the last join ended: store/device_lists.h) */
	bool forgotten;
	str displayname, avatar_url; /* of the event's content; STR_NONE: absent or no string */
	str stripped;                /* invite, knock: a JSON array of stripped state events; else STR_NONE */
};

/* Inserts or replaces; `since` is kept where the membership is the same as before. */
NODISCARD err *store_member_save(struct tx *tx, const struct member_row *m);
/* The display name and avatar that came with this event are gone: it was redacted. */
NODISCARD err *store_member_clear_profile(struct tx *tx, int64_t room, int64_t user, int64_t event);
/* Until the next store_member_save. */
NODISCARD err *store_member_forget(struct tx *tx, int64_t room, int64_t user);

NODISCARD err *store_member(struct tx *tx, int64_t room, int64_t user, struct member_row **out); /* NULL: none */
/* Of a room, those whose membership is in the mask, by user number; at most limit (0: all). */
NODISCARD err *store_members(struct tx *tx, int64_t room, unsigned mask, size_t limit, struct member_row **out,
			     size_t *out_n);
/* Everybody who ever had a membership, and what is current of it, in no particular order. */
struct member_brief {
	int64_t user, event; /* event 0: none in the state */
	enum membership membership;
};
NODISCARD err *store_members_brief(struct tx *tx, int64_t room, struct member_brief **out, size_t *out_n);
/* The same, those whose event came first, without one user; at most limit. */
NODISCARD err *store_members_first(struct tx *tx, int64_t room, unsigned mask, int64_t but, size_t limit,
				   struct member_row **out, size_t *out_n);
/* Of a user, those whose membership is in the mask; forgotten rooms only if asked for. */
NODISCARD err *store_memberships_of(struct tx *tx, int64_t user, unsigned mask, bool with_forgotten,
				    struct member_row **out, size_t *out_n);
/* The same for rows that changed with above < stream <= upto. */
NODISCARD err *store_memberships_changed(struct tx *tx, int64_t user, int64_t above, int64_t upto,
					 struct member_row **out, size_t *out_n);
/* Only the numbers of the rooms that the user is joined to. */
NODISCARD err *store_joined_rooms(struct tx *tx, int64_t user, int64_t **out, size_t *out_n);
/* Those of the users who are joined to any room. */
NODISCARD err *store_joined_anywhere(struct tx *tx, const int64_t *users, size_t n, int64_t **out, size_t *out_n);
/* Do the two share a room that both are joined to? */
NODISCARD err *store_share_room(struct tx *tx, int64_t user, int64_t other, bool *out);
