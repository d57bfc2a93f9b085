/*
 * notify.h - whom an event notifies, decided with the event itself and stored in its transaction; and how much is
 * unread.
 *
 * Nearly all users of a room have the same, default rules. So one evaluation with those says what the event means to
 * everybody
 * ("plain"), and only users for whom it may be different are looked at one by one: those with rules of their own, those
 * it mentions, the one it invites. A message in a room of a thousand costs one row and a handful of evaluations.
 * docs/internals/notify.md.
 */
#pragma once

#include "bus/bus.h"
#include "room/room.h"
#include "store/receipts.h"

struct users;
struct notify;

/* Registers itself with rooms_on_prepare. */
struct notify *notify_new(struct rooms *rs, struct users *us);
void notify_free(struct notify **n);

/*
 * Unread counts of one user in one room. Client-Server API, "Receiving notifications".
 */
struct unread_count {
	int64_t notify, highlight;
};
struct unread_thread {
	int64_t root; /* the root event's number */
	struct unread_count count;
};
struct unread {
	struct unread_count all;             /* the whole room, threads included */
	struct unread_count main;            /* the main timeline alone */
	const struct unread_thread *threads; /* those with something unread */
	size_t n_threads;
};
/* Of which room, for whom, and up to where. */
struct unread_query {
	int64_t room, user;
	int64_t since; /* the user's joining: what was before it is not theirs to read */
	int64_t upto;  /* counted is what is at or below this stream position: the bus's, taken before the snapshot */
	const int64_t *ignored; /* users, ascending: their events count for nothing */
	size_t n_ignored;
	const struct bus_room_news *news; /* the room's, or NULL where not known */
};
/* Kept in memory from call to call: only new rows are read, and a room's newest are in memory, too. No SQL when neither
 * the room's notifications nor the user's receipts in it have changed since the last call, nor after a few new
 * messages. *tx is opened when it is needed and NULL; it is the caller's to end. */
NODISCARD err *notify_unread(struct notify *n, struct arena *a, struct tx **tx, const struct unread_query *q,
			     struct unread *out);
