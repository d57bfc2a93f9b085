/*
 * server_acl.c - see server_acl.h.
 *
 * A list may have thousands of patterns, and is asked for every event that comes from elsewhere. So what is remembered,
 * with the room's head, is what it said of each server: few talk in a room, and each of them often. An answer that is
 * not known yet costs holding the room and one pass over the list. What is remembered goes whenever the current
 * m.room.server_acl moves on in memory, also by an event that is only queued, and with anything that makes the head
 * doubtful.
 */
#include "room/server_acl.h"

#include "matrix/acl.h"
#include "room/internal_room.h"

enum { VERDICTS_MOST = 512 }; /* servers remembered a room: past it it begins anew */

/* What a verdict points at. */
static const char allowed_mark, denied_mark;

void acl_known_init(struct acl_known *k) { lock_init(&k->lock, RANK_SERVICE); }

static void forget(struct acl_known *k)
{
	k->none = false;
	k->verdicts = (struct map){ 0 };
	arena_free(&k->a);
}

void acl_known_forget(struct acl_known *k)
{
	LOCKED(&k->lock);
	forget(k);
}

void acl_known_done(struct acl_known *k)
{
	forget(k);
	lock_done(&k->lock);
}

static bool find_verdict(struct room *room, str server_name, bool *out)
{
	const void *mark;

	if (room_is_broken(room)) /* what is known is of a state that never was */
		return false;
	LOCKED(&room->acl.lock);
	if (room->acl.none) {
		*out = true;
		return true;
	}
	mark = room->acl.a ? map_get(&room->acl.verdicts, server_name) : NULL;
	*out = mark == &allowed_mark;
	return mark != NULL;
}

/* Under the room's lock: the list cannot move on meanwhile. */
static void keep_verdict(struct acl_known *k, str server_name, bool none, bool allowed)
{
	LOCKED(&k->lock);
	if (none || k->verdicts.n >= VERDICTS_MOST)
		forget(k);
	k->none = none;
	if (none)
		return;
	if (!k->a) {
		k->a = arena_new();
		map_init(&k->verdicts, k->a);
	}
	(void)map_put(&k->verdicts, arena_keep(k->a, server_name), (void *)(allowed ? &allowed_mark : &denied_mark));
}

static err *ask_list(struct rooms *rs, struct arena *a, str room_id, str server_name, bool *out)
{
	AUTO_ROOM room = NULL;
	const struct event *list;

	*out = true;
	TRY(room_hold(rs, a, room_id, &room));
	if (!room)
		return NULL;
	TRY(room_current(room, rs->type_acl, rs->empty, &list));
	*out = !list || acl_allows(list->content, server_name);
	keep_verdict(&room->acl, server_name, !list, *out);
	return NULL;
}

err *room_acl_allows(struct rooms *rs, struct arena *a, str room_id, str server_name, bool *out)
{
	struct room *room;
	bool known;

	TRY(rooms_enter(rs, a, room_id, &room));
	if (!room) {
		*out = true;
		return NULL;
	}
	known = find_verdict(room, server_name, out);
	rooms_unref(rs, room);
	return known ? NULL : ask_list(rs, a, room_id, server_name, out);
}

err *room_acl_check(struct rooms *rs, struct arena *a, str room_id, str server_name)
{
	bool allowed;

	TRY(room_acl_allows(rs, a, room_id, server_name, &allowed));
	return allowed ? NULL : err_new(a, ERR_FORBIDDEN, "the room's server ACL does not let this server take part");
}
