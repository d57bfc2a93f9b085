/*
 * summary.c - what a client needs to name a room without knowing its members. Client-Server API, "RoomSummary".
 *
 * Told with a whole state, and when a membership, the name or the canonical alias changed. The numbers are those of the snapshot, which
 * may be younger than the position: what changed above it is told again.
 */
#include "sync/v3/internal_v3.h"

#include "store/rooms.h"

#include <stdlib.h>

enum { HEROES = 5 };

static bool names_room(const struct run *r, const struct event_row *row)
{
	return row->state_key == r->ss->empty && (row->type == r->ss->type_name || row->type == r->ss->type_alias);
}

static bool is_due(const struct run *r, const struct task *t, const struct sync_room *room)
{
	bool due = t->full || t->members_changed;

	for (size_t i = 0; i < room->n_state && !due; i++)
		due = names_room(r, room->state[i]);
	for (size_t i = 0; i < room->timeline.n && !due; i++)
		due = names_room(r, room->timeline.rows[i]);
	return due;
}

static int by_text(const void *x, const void *y) { return str_cmp(*(const str *)x, *(const str *)y); }

/*
 * "This should be the first 5 members of the room, ordered by stream ordering, which are joined or invited. The list must never include
 * the client's own user ID. When no joined or invited members are available, this should consist of the banned and left users."
 */
static err *find_heroes(struct run *r, struct task *t, struct sync_room *out)
{
	const unsigned here = MEMBER_MASK(MEMBER_JOIN) | MEMBER_MASK(MEMBER_INVITE),
		       gone = MEMBER_MASK(MEMBER_LEAVE) | MEMBER_MASK(MEMBER_BAN);
	int64_t users[HEROES], events[HEROES];
	struct member_row *rows;
	struct tx *tx;
	str *heroes;
	size_t n;

	TRY(run_tx(r, &tx));
	TRY(store_members_first(tx, t->room, here, r->rq->user, HEROES, &rows, &n));
	if (n == 0)
		TRY(store_members_first(tx, t->room, gone, r->rq->user, HEROES, &rows, &n));
	heroes = ARENA_ARRAY(r->a, str, n);
	for (size_t i = 0; i < n; i++) {
		TRY(store_intern_text(r->ss->opt.store, r->a, rows[i].user, &heroes[i]));
		users[i] = rows[i].user;
		events[i] = rows[i].event;
	}
	if (n)
		qsort(heroes, n, sizeof(*heroes), by_text);
	out->summary.has_heroes = true;
	out->summary.heroes = heroes;
	out->summary.n_heroes = n;
	/* "When lazy-loading room members is enabled, the membership events for the heroes MUST be included in the state, unless they
	 * are redundant." */
	return r->lazy ? state_add_heroes(r, t, users, events, n, out) : NULL;
}

err *summary_gather(struct run *r, struct task *t, struct sync_room *out)
{
	struct summary_row names;
	struct room_head_row *head;
	struct tx *tx;

	if (!t->events || !is_due(r, t, out))
		return NULL;
	TRY(run_tx(r, &tx));
	TRY(store_head_load(tx, t->room, &head));
	if (!head)
		return NULL;
	out->summary.told = true;
	out->summary.joined = head->joined;
	out->summary.invited = head->invited;
	/* "Required if the room's m.room.name or m.room.canonical_alias state events are unset or empty." */
	TRY(store_summary_load(tx, t->room, &names));
	return str_is_empty(names.name) && str_is_empty(names.canonical_alias) ? find_heroes(r, t, out) : NULL;
}
