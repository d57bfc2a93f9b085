/*
 * successor.c - see successor.h.
 *
 * A tombstone that comes from another server is heard of on the store's writer, which waits for nobody. So the room is
 * noted there, and looked at by a thread: as it is by then, not as the event said. Thus a server that replaces its room
 * again and again costs one look at a time, and a room one place in the list.
 */
#include "flow/successor.h"

#include "base/chore.h"
#include "base/map.h"
#include "base/thread.h"
#include "room/room.h"
#include "user/account_data.h"

static err *find(struct rooms *rs, struct arena *a, str old_room, str new_room, struct room_replaced *out)
{
	*out = (struct room_replaced){ .old_id = old_room, .new_id = new_room };
	TRY(rooms_find(rs, a, old_room, &out->old_room, NULL));
	return rooms_find(rs, a, new_room, &out->new_room, NULL);
}

/* The room is replaced, or entered, all the same. */
static void complain(struct rooms *rs, const struct room_replaced *r, int64_t user, const err *e)
{
	if (e)
		log_warn(rooms_options(rs)->log, "not everything followed into a room's successor", F("user", user),
			 F("old_room", r->old_id), F("new_room", r->new_id), F("error", e->msg));
}

void successor_carry_over(struct users *us, struct rooms *rs, struct arena *a, str old_room, str new_room)
{
	struct room_replaced r;
	const int64_t *local = NULL;
	size_t n = 0;
	err *e = find(rs, a, old_room, new_room, &r);

	if (!e)
		e = room_local_users(rs, a, old_room, &local, &n);
	complain(rs, &r, 0, e);
	for (size_t i = 0; i < n; i++) {
		AUTO_ARENA user_arena = arena_new();

		complain(rs, &r, local[i], user_room_replaced(us, user_arena, local[i], &r));
	}
}

void successor_entered(struct users *us, struct rooms *rs, struct arena *a, int64_t user, str room_id)
{
	struct room_replaced r = { .new_id = room_id };
	str old_room = STR_NONE;
	err *e = room_predecessor(rs, a, room_id, &old_room);

	if (!e && str_is_none(old_room))
		return;
	if (!e)
		e = find(rs, a, old_room, room_id, &r);
	if (!e)
		complain(rs, &r, 0, room_names_follow(rs, a, old_room, room_id));
	if (!e)
		e = user_room_replaced(us, a, user, &r);
	complain(rs, &r, user, e);
}

/*
 * Replaced elsewhere
 */
struct successors {
	struct users *users;
	struct rooms *rooms;
	struct lock lock;
	struct map noted;    /* ids of rooms, kept, whose tombstones are new */
	struct chore *chore; /* NULL: ended */
};

static void note(struct successors *s, str room_id, bool now)
{
	LOCKED(&s->lock);
	if (!s->chore)
		return;
	if (!map_get(&s->noted, room_id))
		(void)map_put(&s->noted, str_keep(room_id), s);
	if (now)
		chore_kick(s->chore);
}

static void on_stored(void *ctx, const struct rooms_stored *ev)
{
	if (ev->tombstoned)
		note(ctx, ev->room_id, true);
}

static size_t take_all(struct successors *s, struct arena *a, str **out)
{
	VEC(str) list = { 0 };
	size_t i = 0;
	void *value;
	str kept;

	LOCKED(&s->lock);
	while (map_next(&s->noted, &i, &kept, &value)) {
		vec_push(a, &list, arena_keep(a, kept));
		(void)map_del(&s->noted, kept);
		mem_free((void *)kept.p);
	}
	*out = list.p;
	return list.n;
}

/* Who is not in the successor yet is seen to when they join. */
static err *follow(struct successors *s, struct chore *c, struct arena *a, str old_room)
{
	struct room_replaced r;
	const int64_t *local;
	str new_room;
	size_t n;

	TRY(room_replaced_elsewhere(s->rooms, a, old_room, &new_room));
	if (str_is_none(new_room))
		return NULL;
	TRY(room_local_users(s->rooms, a, new_room, &local, &n));
	if (n == 0)
		return NULL;
	TRY(find(s->rooms, a, old_room, new_room, &r));
	TRY(room_names_follow(s->rooms, a, old_room, new_room));
	for (size_t i = 0; i < n && !chore_stopping(c); i++) {
		AUTO_ARENA user_arena = arena_new();

		complain(s->rooms, &r, local[i], user_room_replaced(s->users, user_arena, local[i], &r));
	}
	return NULL;
}

/* Where it fails it is tried again, a while later: a room may be at fault itself, and keeps no other waiting. */
static err *follow_all(struct chore *c, void *ctx, struct arena *a)
{
	struct successors *s = ctx;
	str *room_ids;
	const size_t n = take_all(s, a, &room_ids);
	err *first = NULL;

	for (size_t i = 0; i < n && !chore_stopping(c); i++) {
		AUTO_ARENA room_arena = arena_new();
		err *e = follow(s, c, room_arena, room_ids[i]);

		if (!e)
			continue;
		note(s, room_ids[i], false);
		first = first ? first : err_keep(a, e);
	}
	return first;
}

struct successors *successors_new(struct users *us, struct rooms *rs, const struct log *log)
{
	struct successors *s = MEM_NEW(struct successors);

	*s = (struct successors){ .users = us, .rooms = rs };
	lock_init(&s->lock, RANK_SERVICE);
	map_init(&s->noted, NULL);
	lock_take(&s->lock);
	s->chore = chore_new("successors", follow_all, s, log, "names did not follow into rooms' successors");
	lock_drop(&s->lock);
	rooms_on_stored(rs, on_stored, s);
	return s;
}

void successors_stop(struct successors *s)
{
	struct chore *chore;

	if (!s)
		return;
	lock_take(&s->lock);
	chore = s->chore;
	s->chore = NULL;
	lock_drop(&s->lock);
	chore_free(&chore);
}

void successors_free(struct successors **successors)
{
	struct successors *s = *successors;
	void *value;
	str kept;

	if (!s)
		return;
	successors_stop(s);
	for (size_t i = 0; map_next(&s->noted, &i, &kept, &value);) {
		(void)map_del(&s->noted, kept);
		mem_free((void *)kept.p);
	}
	map_done(&s->noted);
	lock_done(&s->lock);
	mem_free(s);
	*successors = NULL;
}
