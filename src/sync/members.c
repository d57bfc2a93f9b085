/*
 * members.c - a user's memberships in memory.
 *
 * The rows of every room that a user is in, invited to or knocking at: read once, and good as long as the bus knows
 * that none changed. A list says up to which position it was read: `as_of` is the bus's position before the snapshot,
 * and the list is believed while the bus knows the user back to that position and has heard of no change of membership
 * above it.
 */
#include "sync/internal_sync.h"

#include "base/lru.h"

#include <stdlib.h>

struct entry {
	struct lru_node node;
	int64_t as_of;
	size_t n;
	struct member_row rows[]; /* by room; their texts lie behind them */
};
struct members {
	struct lock lock;
	struct lru users;
};
enum { DEFAULT_BYTES = 32 << 20 };

struct members *members_new(size_t max_bytes)
{
	struct members *m = MEM_NEW(struct members);

	lock_init(&m->lock, RANK_SERVICE);
	lru_init(&m->users, max_bytes ? max_bytes : DEFAULT_BYTES, NULL);
	return m;
}

void members_free(struct members **mp)
{
	struct members *m = *mp;

	if (!m)
		return;
	lru_done(&m->users);
	lock_done(&m->lock);
	mem_free(m);
	*mp = NULL;
}

static struct member_row *copy(struct arena *a, const struct member_row *rows, size_t n)
{
	struct member_row *list = ARENA_ARRAY(a, struct member_row, n);

	for (size_t i = 0; i < n; i++) {
		list[i] = rows[i];
		list[i].displayname = arena_keep(a, rows[i].displayname);
		list[i].avatar_url = arena_keep(a, rows[i].avatar_url);
		list[i].stripped = arena_keep(a, rows[i].stripped);
	}
	return list;
}

static struct entry *fitting(struct members *m, int64_t user, const struct bus_known *known)
{
	struct entry *e = lru_get_i(&m->users, user);

	if (!e || e->as_of < known->since || e->as_of < known->own[BUS_EVENTS])
		return NULL;
	return e;
}

bool members_known(struct members *m, struct arena *a, int64_t user, const struct bus_known *known,
		   struct member_list *out)
{
	const struct entry *e;

	LOCKED(&m->lock);
	e = fitting(m, user, known);
	if (e)
		*out = (struct member_list){ copy(a, e->rows, e->n), e->n };
	return e != NULL;
}

bool members_one(struct members *m, struct arena *a, int64_t user, const struct bus_known *known, int64_t room,
		 const struct member_row **out)
{
	const struct entry *e;
	size_t low = 0, high;

	LOCKED(&m->lock);
	e = fitting(m, user, known);
	if (!e)
		return false;
	for (high = e->n; low < high;) {
		const size_t mid = low + (high - low) / 2;

		if (e->rows[mid].room < room)
			low = mid + 1;
		else
			high = mid;
	}
	*out = low < e->n && e->rows[low].room == room ? copy(a, &e->rows[low], 1) : NULL;
	return true;
}

static int by_room(const void *x, const void *y)
{
	const struct member_row *p = x, *q = y;

	return (p->room > q->room) - (p->room < q->room);
}

static str put(char **at, str s)
{
	const str there = { *at, s.n };

	if (s.n == 0)
		return str_is_none(s) ? STR_NONE : S("");
	memcpy(*at, s.p, s.n);
	*at += s.n;
	return there;
}

static struct entry *entry_new(const struct member_row *rows, size_t n, size_t *out_size)
{
	size_t size = sizeof(struct entry) + n * sizeof(*rows);
	struct entry *e;
	char *at;

	for (size_t i = 0; i < n; i++)
		size += rows[i].displayname.n + rows[i].avatar_url.n + rows[i].stripped.n;
	e = mem_zalloc(size);
	e->n = n;
	*out_size = size;
	at = (char *)&e->rows[n];
	for (size_t i = 0; i < n; i++) {
		e->rows[i] = rows[i];
		e->rows[i].displayname = put(&at, rows[i].displayname);
		e->rows[i].avatar_url = put(&at, rows[i].avatar_url);
		e->rows[i].stripped = put(&at, rows[i].stripped);
	}
	if (n)
		qsort(e->rows, n, sizeof(*e->rows), by_room);
	return e;
}

void members_keep(struct members *m, int64_t user, const struct bus_known *known, const struct member_row *rows,
		  size_t n)
{
	size_t size;
	struct entry *e = entry_new(rows, n, &size);

	e->as_of = known->position;
	LOCKED(&m->lock);
	lru_put_i(&m->users, user, e, size);
}
