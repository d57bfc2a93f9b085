/*
 * view.h - what a user may read of a room: whether at all, which state, and which events. Client-Server API, "Room
 * History Visibility".
 *
 * Every read path opens a view and asks it; none decides by itself. A view belongs to one snapshot of the store and one
 * arena. What it finds out about a state is remembered by the state's root, and consecutive events share one: a page of
 * messages asks the tree once or twice.
 */
#pragma once

#include "matrix/visibility.h"
#include "room/room.h"
#include "store/rooms.h"
#include "store/state_nodes.h"

struct tx;
struct room_view;

/* How much the caller needs to be there for. */
enum view_access {
	VIEW_MEMBER, /* is or was joined (an invitation alone is not enough); or the room is world-readable */
	VIEW_JOINED, /* is joined now */
};
/* ERR_FORBIDDEN for who may read nothing (and for rooms that do not exist), for forgotten rooms, too. */
NODISCARD err *room_view_open(struct rooms *rs, struct arena *a, struct tx *tx, str room_id, int64_t user, str user_id,
			      enum view_access access, struct room_view **out);
/* Is the user joined to the room now? */
NODISCARD err *room_is_joined(struct rooms *rs, struct arena *a, int64_t room, int64_t user, bool *out);
/* For /sync, which knows the membership row: no access check. */
NODISCARD err *room_view_of_member(struct rooms *rs, struct arena *a, struct tx *tx, str room_id,
				   const struct member_row *member, str user_id, struct room_view **out);

struct rooms *room_view_rooms(const struct room_view *v);
int64_t room_view_room(const struct room_view *v);
int64_t room_view_user(const struct room_view *v);
/* The snapshot and the arena that it was opened with. */
struct tx *room_view_tx(const struct room_view *v);
struct arena *room_view_arena(const struct room_view *v);
str room_view_room_id(const struct room_view *v);
const struct room_version *room_view_version(const struct room_view *v);
/* The user's membership now; MEMBER_NONE for one who never had any. */
enum membership room_view_membership(const struct room_view *v);
/* Where the reader's membership ended, if they are not joined: the timeline position of the event that ended their last
 * join (0: never joined). What is there and above is not theirs to read as a member. INT64_MAX for who is joined. */
NODISCARD err *room_view_joined_until(struct room_view *v, int64_t *out);
/* The state that the user sees as the room's: the current one, or for who left, that at their leaving (of their last
 * join: an invitation declined since changes nothing). */
struct state_root room_view_root(const struct room_view *v);
/* The room's states, to read with (valid as long as the view). */
const struct state_tree *room_view_tree(const struct room_view *v);
/* The event under a key in a state; NULL: none. */
NODISCARD err *room_view_state_event(struct room_view *v, struct state_root root, str type, str state_key,
				     struct event_row **out);

/* Which of these rows may the user see? seen[i] for rows[i]. */
NODISCARD err *room_view_sees(struct room_view *v, const struct event_row *const *rows, size_t n, bool *seen);
/* An event of this room that the user may see. ERR_NOT_FOUND: there is none, or it is not for them. */
NODISCARD err *room_view_event(struct room_view *v, str event_id, const struct event_row **out);
/* The user's membership at an event, "including any changes caused by the event": for `unsigned`. */
NODISCARD err *room_view_membership_at(struct room_view *v, const struct event_row *row, str *out);
