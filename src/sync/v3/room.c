/* room.c - one room's part of an answer. */
#include "sync/v3/internal_v3.h"

static enum sync_section section_of(const struct task *t)
{
	switch (t->member->membership) {
	case MEMBER_INVITE:
		return SECTION_INVITE;
	case MEMBER_KNOCK:
		return SECTION_KNOCK;
	case MEMBER_LEAVE:
	case MEMBER_BAN:
		return SECTION_LEAVE;
	case MEMBER_JOIN:
	case MEMBER_NONE:
		break;
	}
	return SECTION_JOIN;
}

static bool has_news(const struct run *r, const struct task *t, const struct sync_room *room)
{
	return room->section != SECTION_JOIN || t->full || r->full_state || room->timeline.n ||
	       room->timeline.limited || room->n_state || room->account_data.n || room->ephemeral.n;
}

static err *gather_joined(struct run *r, struct task *t, struct sync_room *out)
{
	TRY(timeline_gather(r, t, out));
	TRY(state_gather(r, t, out));
	TRY(summary_gather(r, t, out));
	TRY(account_data_gather(r, t, out));
	TRY(ephemeral_gather(r, t, out));
	return NULL;
}

static err *gather_left(struct run *r, struct task *t, struct sync_room *out)
{
	TRY(timeline_gather(r, t, out));
	TRY(state_gather(r, t, out));
	return account_data_gather(r, t, out);
}

/* Invitations by who is ignored are not told, and none where the user wants none. */
static err *invite_is_told(struct run *r, const struct task *t, bool *out)
{
	bool blocked;
	struct tx *tx;

	*out = false;
	if (ignored_has(&r->ignored, t->member->sender))
		return NULL;
	TRY(run_tx(r, &tx));
	TRY(room_blocks_invites(tx, r->a, r->rq->user, &blocked));
	*out = !blocked;
	return NULL;
}

static err *gather(struct run *r, struct task *t, struct sync_room *room, bool *told)
{
	*told = true;
	switch (room->section) {
	case SECTION_INVITE:
		TRY(invite_is_told(r, t, told));
		/* fall through */
	case SECTION_KNOCK:
		room->stripped = str_is_empty(t->member->stripped) ? S("[]") : t->member->stripped;
		return NULL;
	case SECTION_LEAVE:
		TRY(gather_left(r, t, room));
		break;
	case SECTION_JOIN:
	case SECTIONS:
		TRY(gather_joined(r, t, room));
		break;
	}
	*told = has_news(r, t, room);
	if (*told && r->lazy)
		state_remember(r, t, room);
	return *told && room->section == SECTION_JOIN ? unread_gather(r, t, room) : NULL;
}

err *room_gather(struct run *r, struct task *t, struct sync_room **out)
{
	struct sync_room *room = ARENA_NEW(r->a, struct sync_room);
	bool told;

	room->room = t->room;
	room->room_id = t->room_id;
	room->section = section_of(t);
	TRY(gather(r, t, room, &told));
	*out = told ? room : NULL;
	return NULL;
}
