/*
 * auth_add.c - a place in the index for new events.
 *
 * An event goes on with the line of the event under its key that it names, if that is the line's last; else it begins a
 * line. What else it names becomes links, except for what it reaches anyhow: through another parent that names the same
 * (nearly everybody names the create event, and so do the power levels that everybody names), or along its line.
 *
 * One rule needs care, for peers can make circles: nothing may be left out because of something that was left out
 * because of it. So a parent is implied only by one that was not left out itself, and that came before the event, whose
 * own edges are there.
 */
#include "base/map.h"
#include "matrix/auth_index.h"
#include "matrix/event.h"

/*
 * Edges
 */
typedef bool names_fn(const void *ctx, size_t i, size_t k); /* parent i names parent k */

static void reduce(struct auth_parent *p, size_t n, names_fn *names, const void *ctx)
{
	for (size_t k = 0; k < n; k++)
		for (size_t i = 0; i < n && !p[k].implied; i++)
			p[k].implied = i != k && !p[i].implied && names(ctx, i, k);
}

static bool is_in(const int64_t *p, size_t n, int64_t event)
{
	for (size_t i = 0; i < n; i++)
		if (p[i] == event)
			return true;
	return false;
}

static bool names_by_id(const void *ctx, size_t i, size_t k)
{
	const struct event *const *auth = ctx;

	if (!event_is_state(auth[i])) /* has no place, so nothing goes through it */
		return false;
	for (size_t x = 0; x < auth[i]->n_auth_events; x++)
		if (str_eq(auth[i]->auth_events[x], auth[k]->event_id))
			return true;
	return false;
}

const struct auth_parent *auth_parents(struct arena *a, const struct event *ev, const struct event *const *auth,
				       size_t n)
{
	struct auth_parent *p = ARENA_ARRAY(a, struct auth_parent, n);

	for (size_t i = 0; i < n; i++)
		p[i] = (struct auth_parent){
			.event = auth[i]->nid,
			.same_key = event_is_state(ev) && event_is(auth[i], ev->type, ev->state_key),
		};
	reduce(p, n, names_by_id, auth);
	return p;
}

struct by_number {
	const int64_t *auth;
	const struct auth_key *keys;
	const struct auth_list *named;
};

static bool names_by_number(const void *ctx, size_t i, size_t k)
{
	const struct by_number *b = ctx;

	return b->keys[i].key && is_in(b->named[i].p, b->named[i].n, b->auth[k]);
}

const struct auth_parent *auth_parents_of(struct arena *a, struct auth_key key, const int64_t *auth, size_t n,
					  const struct auth_key *keys, const struct auth_list *named)
{
	struct auth_parent *p = ARENA_ARRAY(a, struct auth_parent, n);
	const struct by_number by = { auth, keys, named };

	for (size_t i = 0; i < n; i++)
		p[i] = (struct auth_parent){
			.event = auth[i],
			.same_key = keys[i].type == key.type && keys[i].key == key.key,
		};
	reduce(p, n, names_by_number, &by);
	return p;
}

/*
 * Places
 */
struct standing {
	struct auth_stands s;
	struct auth_entry *entry; /* among those to be added, else NULL */
	bool on_the_way;
};

void auth_outside(struct arena *a, const struct auth_entry *entries, size_t n, struct auth_list *out)
{
	VEC(int64_t) outside = { 0 };
	struct map known;

	map_init(&known, a);
	for (size_t i = 0; i < n; i++)
		map_put_i(&known, entries[i].event, &outside);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < entries[i].n_parents; k++)
			if (!map_put_i(&known, entries[i].parents[k].event, &outside))
				vec_push(a, &outside, entries[i].parents[k].event);
	*out = (struct auth_list){ outside.p, outside.n };
}

static void place(struct map *all, struct standing *st)
{
	struct auth_entry *e = st->entry;

	e->at = (struct auth_place){ e->event, 1 };
	e->continues = 0;
	for (size_t k = 0; k < e->n_parents && !e->continues; k++) {
		struct standing *parent = map_get_i(all, e->parents[k].event);

		if (!e->parents[k].same_key || parent == st || !parent->s.at.line || !parent->s.last)
			continue;
		parent->s.last = false;
		e->continues = e->parents[k].event;
		e->at = (struct auth_place){ parent->s.at.line, parent->s.at.place + 1 };
	}
	st->s = (struct auth_stands){ e->at, true };
}

/* A parent under the event's key that has no place yet, and is not waiting for this very event. */
static struct standing *comes_first(const struct map *all, const struct auth_entry *e)
{
	for (size_t k = 0; k < e->n_parents; k++) {
		struct standing *parent = map_get_i(all, e->parents[k].event);

		if (e->parents[k].same_key && parent->entry && !parent->s.at.line && !parent->on_the_way)
			return parent;
	}
	return NULL;
}

/* Those that it goes on from come first, in whatever order they were given. */
static void place_in_order(struct arena *a, struct map *all, struct standing *st)
{
	VEC(struct standing *) path = { 0 };

	if (st->s.at.line)
		return;
	vec_push(a, &path, st);
	while (path.n > 0) {
		struct standing *top = path.p[path.n - 1], *first;

		top->on_the_way = true;
		first = comes_first(all, top->entry);
		if (first) {
			vec_push(a, &path, first);
			continue;
		}
		place(all, top);
		path.n--;
	}
}

static void link_up(struct arena *a, const struct map *all, struct auth_entry *e)
{
	VEC(struct auth_link) links = { 0 };

	for (size_t k = 0; k < e->n_parents; k++) {
		const struct standing *parent = map_get_i(all, e->parents[k].event);
		const struct auth_place to = parent->s.at;
		bool twice = false;

		if (e->parents[k].implied || !to.line || (to.line == e->at.line && to.place <= e->at.place))
			continue;
		for (size_t i = 0; i < links.n; i++)
			twice |= links.p[i].to.line == to.line && links.p[i].to.place == to.place;
		if (!twice)
			vec_push(a, &links, (struct auth_link){ e->at, to });
	}
	e->links = links.p;
	e->n_links = links.n;
}

void auth_add(struct arena *a, struct auth_entry *entries, size_t n, const struct auth_list *outside,
	      const struct auth_stands *stands)
{
	struct standing *in = ARENA_ARRAY(a, struct standing, n), *out = ARENA_ARRAY(a, struct standing, outside->n);
	struct map all;

	map_init(&all, a);
	for (size_t i = 0; i < outside->n; i++) {
		out[i].s = stands[i];
		map_put_i(&all, outside->p[i], &out[i]);
	}
	for (size_t i = 0; i < n; i++) {
		in[i].entry = &entries[i];
		map_put_i(&all, entries[i].event, &in[i]);
	}
	for (size_t i = 0; i < n; i++)
		place_in_order(a, &all, &in[i]);
	for (size_t i = 0; i < n; i++)
		link_up(a, &all, &entries[i]);
}
