/*
 * visibility.h - may a user see an event? (Client-Server API, "Room History Visibility".)
 *
 * "The rules governing whether a user is allowed to see an event depend on the state of the room at that event", that
 * is on the state before it; for the two kinds of events that change the answer themselves, on the state after it as
 * well.
 */
#pragma once

#include "matrix/event.h"

enum history_visibility { HISTORY_SHARED, HISTORY_WORLD_READABLE, HISTORY_INVITED, HISTORY_JOINED };
/* "if no history_visibility is set, or if the value is not understood, the visibility is assumed to be shared". */
enum history_visibility history_visibility_parse(str value);
/* Of an m.room.history_visibility event, or NULL. */
enum history_visibility history_visibility_of(const struct event *ev);

/* What a user's membership allows; knock, leave, ban and none are alike here. */
enum visibility_member { VISIBILITY_OUTSIDE, VISIBILITY_INVITED, VISIBILITY_JOINED };
enum visibility_member visibility_member_parse(str membership);
/* Of the user's m.room.member event, or NULL. */
enum visibility_member visibility_member_of(const struct event *ev);

/* How a room looks to a user at one state. Equal for all events that share the state: remember it by root. */
struct visibility_view {
	enum history_visibility history;
	enum visibility_member member;
};

struct visibility_question {
	struct visibility_view before; /* in the state before the event */
	bool joined_later;             /* "the user joined the room at any point after the event was sent" */
};
/* The view that a state event leaves behind: differs from `before` only for m.room.history_visibility and for the
 * user's own m.room.member. */
struct visibility_view visibility_after(struct visibility_view before, const struct event *ev, str user_id);
/* The rules for an event, in one. */
bool visibility_allows(const struct visibility_question *q, const struct event *ev, str user_id);
/* The rules for any event but the two kinds, without the event itself. */
bool visibility_allows_view(struct visibility_view view, bool joined_later);
