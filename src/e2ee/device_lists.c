/*
 * device_lists.c - a user's devices or keys changed: noting it, and finding out who has to know.
 *
 * A client that had everything up to A asks what it has to know at P. Tables hold the newest row of everything, which
 * may be newer than P; such a row counts as if it were not there, and a later token tells what it says. So nothing is
 * missed:
 * - A change of keys in (A, P] is told to who shares a room at P. A newer change hides an older one: it is above P, and
 *   told with the next token. Where a membership above P hides one that was shared at P, either the room is not shared
 *   any more, or it is again, and then the user is told of as one who came.
 * - Who shares a room at P and did not at A came into it, or the reader did, in (A, P]: `since` says when a membership
 *   began. They are told of as changed. Who shared another room throughout need not be; asking is worth it for few.
 *   Who is invited or knocks is told of, too, for rooms may be encrypted for them, but their changes are not: the
 *   specification's "share" is joined on both sides. (Synapse does the same.)
 * - Who left, or was in a room that the reader left, and shares none now is told of as `left`. `began` and `ended` say
 *   from when to when the last join was that ended, so who turned down an invitation learns of no member, nor who was
 *   banned from outside; and of a room that the reader left only those are named who were in it with them, also if they
 *   left it later. Who left it twice since the reader's token may not be named; they are told of when they come again,
 *   so nobody is believed to be known who is not.
 *
 * Cost: one statement for changed keys, one for memberships; more only where somebody came or went.
 */
#include "e2ee/device_lists.h"

#include "base/clock.h"
#include "bus/bus.h"
#include "e2ee/internal_e2ee.h"
#include "e2ee/list_sender.h"
#include "store/device_lists.h"
#include "store/membership.h"
#include "store/tx.h"

#include <stdlib.h>

/* To look whether more than that share another room costs more than clients' asking for their keys again. */
enum { COMPARE_MOST = 1000 };

err *device_list_note_write(struct tx *tx, struct device_list_note *n)
{
	int64_t *rooms;

	TRY(tx_position(tx, &n->position));
	TRY(store_device_list_changed(tx, n->user, n->position, clock_ms()));
	TRY(store_joined_rooms(tx, n->user, &rooms, &n->n_rooms));
	n->rooms = ARENA_ARRAY(n->a, int64_t, n->n_rooms);
	for (size_t i = 0; i < n->n_rooms; i++)
		n->rooms[i] = rooms[i];
	return NULL;
}

void device_list_note_tell(struct bus *bus, const struct device_list_note *n)
{
	bus_touch_user(bus, n->user, BUS_DEVICE_LISTS, n->position);
	for (size_t i = 0; i < n->n_rooms; i++)
		bus_touch_room(bus, n->rooms[i], BUS_DEVICE_LISTS, n->position);
}

void lists_tell(struct e2ee *e, const struct device_list_note *n)
{
	device_list_note_tell(e->opt.bus, n);
	list_sender_kick(e);
}

err *device_list_signed_write(struct tx *tx, struct device_list_note *n, const int64_t *users, size_t n_users)
{
	TRY(tx_position(tx, &n->position));
	n->rooms = NULL;
	n->n_rooms = 0;
	return store_device_lists_signed(tx, n->user, users, n_users, n->position);
}

/*
 * Sets of users
 */
typedef VEC(int64_t) users_vec;

static void add_all(struct arena *a, users_vec *to, const struct user_list *from)
{
	for (size_t i = 0; i < from->n; i++)
		vec_push(a, to, from->p[i]);
}

static int by_number(const void *x, const void *y)
{
	const int64_t p = *(const int64_t *)x, q = *(const int64_t *)y;

	return (p > q) - (p < q);
}

/* Ascending, each once. */
static void make_set(users_vec *v)
{
	size_t n = 0;

	if (v->n)
		qsort(v->p, v->n, sizeof(*v->p), by_number);
	for (size_t i = 0; i < v->n; i++)
		if (n == 0 || v->p[n - 1] != v->p[i])
			v->p[n++] = v->p[i];
	v->n = n;
}

/* What is in `out` is taken from v; both are sets. */
static void subtract(users_vec *v, const int64_t *out, size_t n_out)
{
	size_t n = 0, k = 0;

	for (size_t i = 0; i < v->n; i++) {
		while (k < n_out && out[k] < v->p[i])
			k++;
		if (k == n_out || out[k] != v->p[i])
			v->p[n++] = v->p[i];
	}
	v->n = n;
}

static struct user_list list_of(const users_vec *v) { return (struct user_list){ v->p, v->n }; }

/*
 * Asking
 */
struct between {
	struct tx *tx;
	struct arena *a;
	const struct device_lists_ask *ask;
	users_vec changed, came, went;
};

/* The reader came into rooms, or left them. */
static err *own_moves(struct between *b)
{
	const struct device_lists_ask *ask = b->ask;
	VEC(int64_t) entered = { 0 };
	struct own_move *moves;
	struct user_list list;
	size_t n;

	if (ask->own_same)
		return NULL;
	TRY(store_own_moves(b->tx, ask->viewer, ask->above, &moves, &n));
	for (size_t i = 0; i < n; i++) {
		const struct own_move *m = &moves[i];

		if (m->joined && m->since > ask->above && m->since <= ask->upto)
			vec_push(b->a, &entered, m->room);
		/* Of rooms that the reader is in, others_moves tells. */
		if (ask->above == 0 || m->ended <= ask->above || m->began > ask->upto ||
		    (m->joined && m->since <= ask->upto))
			continue;
		TRY(store_joined_until(b->tx, m->room, ask->above, m->ended, &list));
		add_all(b->a, &b->went, &list);
	}
	TRY(store_joined_to(b->tx, entered.p, entered.n, &list));
	add_all(b->a, &b->came, &list);
	return NULL;
}

static err *others_moves(struct between *b)
{
	const struct device_lists_ask *ask = b->ask;
	struct user_list came, went;

	TRY(store_moves(b->tx, ask->viewer, ask->rooms, ask->n_rooms, ask->above, ask->upto, &came, &went));
	add_all(b->a, &b->came, &came);
	add_all(b->a, &b->went, &went);
	return NULL;
}

/* Who shared a room with the reader all the time did not come. */
static err *drop_known(struct between *b)
{
	struct user_list known;

	make_set(&b->came);
	subtract(&b->came, &b->ask->viewer, 1);
	if (b->came.n == 0 || b->came.n > COMPARE_MOST || b->ask->above == 0)
		return NULL;
	TRY(store_sharing(b->tx, b->ask->viewer, list_of(&b->came), b->ask->above, &known));
	subtract(&b->came, known.p, known.n);
	return NULL;
}

static err *drop_sharing(struct between *b)
{
	struct user_list sharing;

	make_set(&b->went);
	subtract(&b->went, &b->ask->viewer, 1);
	subtract(&b->went, b->changed.p, b->changed.n);
	if (b->went.n == 0)
		return NULL;
	TRY(store_sharing(b->tx, b->ask->viewer, list_of(&b->went), INT64_MAX, &sharing));
	subtract(&b->went, sharing.p, sharing.n);
	return NULL;
}

err *device_lists_between(struct e2ee *e, struct tx *tx, const struct device_lists_ask *ask, struct device_lists *out)
{
	struct between b = { .tx = tx, .a = tx_arena(tx), .ask = ask };
	struct user_list changed = { (int64_t[]){ ask->viewer }, 1 };

	/* From the beginning the reader has come into all their rooms: everybody in them is told of, and of who left
	 * nobody asks. */
	if (ask->above)
		TRY(store_device_lists_changed(tx, ask->viewer, ask->above, ask->upto, &changed));
	TRY(own_moves(&b));
	if (ask->above)
		TRY(others_moves(&b));
	TRY(drop_known(&b));
	add_all(b.a, &b.changed, &changed);
	add_all(b.a, &b.changed, &(struct user_list){ b.came.p, b.came.n });
	make_set(&b.changed);
	TRY(drop_sharing(&b));
	metric_add(e->lists_told, (int64_t)b.changed.n);
	*out = (struct device_lists){ b.changed.p, b.changed.n, b.went.p, b.went.n };
	return NULL;
}
