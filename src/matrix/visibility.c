/* visibility.c - https://spec.matrix.org/latest/client-server-api/#room-history-visibility, "Server behaviour". */
#include "matrix/visibility.h"

enum history_visibility history_visibility_parse(str value)
{
	if (str_eq(value, S("world_readable")))
		return HISTORY_WORLD_READABLE;
	if (str_eq(value, S("invited")))
		return HISTORY_INVITED;
	if (str_eq(value, S("joined")))
		return HISTORY_JOINED;
	return HISTORY_SHARED;
}

enum history_visibility history_visibility_of(const struct event *ev)
{
	return history_visibility_parse(ev ? json_get_str(ev->content, S("history_visibility")) : STR_NONE);
}

enum visibility_member visibility_member_parse(str membership)
{
	if (str_eq(membership, S("join")))
		return VISIBILITY_JOINED;
	if (str_eq(membership, S("invite")))
		return VISIBILITY_INVITED;
	return VISIBILITY_OUTSIDE;
}

enum visibility_member visibility_member_of(const struct event *ev)
{
	return visibility_member_parse(event_membership(ev));
}

struct visibility_view visibility_after(struct visibility_view before, const struct event *ev, str user_id)
{
	struct visibility_view after = before;

	if (event_is(ev, S("m.room.history_visibility"), S("")))
		after.history = history_visibility_of(ev);
	if (event_is(ev, S("m.room.member"), user_id))
		after.member = visibility_member_of(ev);
	return after;
}

bool visibility_allows_view(struct visibility_view view, bool joined_later)
{
	/* "1. If the history_visibility was set to world_readable, allow." */
	if (view.history == HISTORY_WORLD_READABLE)
		return true;
	/* "2. If the user's membership was join, allow." */
	if (view.member == VISIBILITY_JOINED)
		return true;
	/* "3. If history_visibility was set to shared, and the user joined the room at any point after the event was
	 * sent, allow." */
	if (view.history == HISTORY_SHARED && joined_later)
		return true;
	/* "4. If the user's membership was invite, and the history_visibility was set to invited, allow." */
	if (view.member == VISIBILITY_INVITED && view.history == HISTORY_INVITED)
		return true;
	/* "5. Otherwise, deny." */
	return false;
}

bool visibility_allows(const struct visibility_question *q, const struct event *ev, str user_id)
{
	/* "For m.room.history_visibility events themselves, the user should be allowed to see the event if the
	 * history_visibility before or after the event would allow them to see it. ... Likewise, for the user's own
	 * m.room.member events, the user should be allowed to see the event if their membership before or after the
	 * event would allow them to see it." For every other event, after is before. */
	return visibility_allows_view(q->before, q->joined_later) ||
	       visibility_allows_view(visibility_after(q->before, ev, user_id), q->joined_later);
}
