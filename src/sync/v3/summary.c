/*
 * summary.c - what a client needs to name a room without knowing its members. Client-Server API, "RoomSummary".
 *
 * Told with a whole state, and when a membership, the name or the canonical alias changed. The numbers are those of the
 * snapshot, which may be younger than the position: what changed above it is told again.
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

/* Reads what the summary needs of the room, whoever asks. */
static err *load(struct run *r, struct task *t, struct room_facts *f)
{
	const unsigned here = MEMBER_MASK(MEMBER_JOIN) | MEMBER_MASK(MEMBER_INVITE);
	struct summary_row names;
	struct room_head_row *head;
	struct member_row *rows;
	struct tx *tx;

	TRY(run_tx(r, &tx));
	TRY(store_head_load(tx, t->room, &head));
	TRY(store_summary_load(tx, t->room, &names));
	TRY(store_members_first(tx, t->room, here, 0, FACTS_FIRST, &rows, &f->n_first));
	f->joined = head ? head->joined : 0;
	f->invited = head ? head->invited : 0;
	f->named = !str_is_empty(names.name) || !str_is_empty(names.canonical_alias);
	for (size_t i = 0; i < f->n_first; i++) {
		f->first[i].user = rows[i].user;
		f->first[i].event = rows[i].event;
	}
	f->has_summary = true;
	facts_keep(r->ss->facts, t->room, f);
	return NULL;
}

struct heroes {
	int64_t users[HEROES], events[HEROES];
	size_t n;
};

/* Nobody is there but the reader: those who were. */
static err *find_gone(struct run *r, struct task *t, struct heroes *h)
{
	const unsigned gone = MEMBER_MASK(MEMBER_LEAVE) | MEMBER_MASK(MEMBER_BAN);
	struct member_row *rows;
	struct tx *tx;

	TRY(run_tx(r, &tx));
	TRY(store_members_first(tx, t->room, gone, r->rq->user, HEROES, &rows, &h->n));
	for (size_t i = 0; i < h->n; i++) {
		h->users[i] = rows[i].user;
		h->events[i] = rows[i].event;
	}
	return NULL;
}

/*
 * "This should be the first 5 members of the room, ordered by stream ordering, which are joined or invited. The list
 * must never include the client's own user ID. When no joined or invited members are available, this should consist of
 * the banned and left users."
 */
static err *find_heroes(struct run *r, struct task *t, const struct room_facts *f, struct sync_room *out)
{
	struct heroes h = { 0 };
	str *heroes;

	for (size_t i = 0; i < f->n_first && h.n < HEROES; i++) {
		if (f->first[i].user == r->rq->user)
			continue;
		h.users[h.n] = f->first[i].user;
		h.events[h.n++] = f->first[i].event;
	}
	if (h.n == 0)
		TRY(find_gone(r, t, &h));
	heroes = ARENA_ARRAY(r->a, str, h.n);
	for (size_t i = 0; i < h.n; i++)
		TRY(store_intern_text(r->ss->opt.store, r->a, h.users[i], &heroes[i]));
	if (h.n)
		qsort(heroes, h.n, sizeof(*heroes), by_text);
	out->summary.has_heroes = true;
	out->summary.heroes = heroes;
	out->summary.n_heroes = h.n;
	/* "When lazy-loading room members is enabled, the membership events for the heroes MUST be included in the
	 * state, unless they are redundant." */
	return r->lazy ? state_add_heroes(r, t, h.users, h.events, h.n, out) : NULL;
}

err *summary_gather(struct run *r, struct task *t, struct sync_room *out)
{
	struct room_facts *f;

	if (!t->events || !is_due(r, t, out))
		return NULL;
	f = task_facts(r, t);
	if (!f->has_summary)
		TRY(load(r, t, f));
	out->summary.told = true;
	out->summary.joined = f->joined;
	out->summary.invited = f->invited;
	/* "Required if the room's m.room.name or m.room.canonical_alias state events are unset or empty." */
	return f->named ? NULL : find_heroes(r, t, f, out);
}
