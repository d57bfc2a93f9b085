/* auth_rows.h - an auth index in memory, as rows without any cleverness: what a store keeps, for tests and benchmarks.
 */
#pragma once

#include <stdlib.h>

#include "base/map.h"
#include "matrix/auth_index.h"

struct auth_row {
	struct auth_stands stands;
	struct auth_key key;
};
struct auth_rows {
	struct arena *a;
	struct map rows; /* event -> struct auth_row */
	VEC(struct auth_link) up, down;
	bool sorted;
	size_t asked, links; /* questions, and links given out */
	struct auth_index index;
};

static inline int auth_rows_cmp(const struct auth_place *x, const struct auth_place *y)
{
	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

static inline int auth_rows_by_end(const void *x, const void *y)
{
	const struct auth_link *p = x, *q = y;
	const int c = auth_rows_cmp(&p->to, &q->to);

	return c ? c : auth_rows_cmp(&p->from, &q->from);
}

static inline int auth_rows_by_begin(const void *x, const void *y)
{
	const struct auth_link *p = x, *q = y;
	const int c = auth_rows_cmp(&p->from, &q->from);

	return c ? c : auth_rows_cmp(&p->to, &q->to);
}

static inline void auth_rows_sort(struct auth_rows *r)
{
	if (r->sorted)
		return;
	r->sorted = true;
	if (r->up.n == 0)
		return;
	qsort(r->up.p, r->up.n, sizeof(r->up.p[0]), auth_rows_by_end);
	qsort(r->down.p, r->down.n, sizeof(r->down.p[0]), auth_rows_by_begin);
}

static inline err *auth_rows_places(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_place *out)
{
	struct auth_rows *r = ctx;

	(void)a;
	r->asked++;
	for (size_t i = 0; i < n; i++) {
		const struct auth_row *row = map_get_i(&r->rows, events[i]);

		out[i] = row ? row->stands.at : (struct auth_place){ 0 };
	}
	return NULL;
}

static inline err *auth_rows_keys(void *ctx, struct arena *a, const int64_t *lines, size_t n, struct auth_key *out)
{
	struct auth_rows *r = ctx;

	(void)a;
	r->asked++;
	for (size_t i = 0; i < n; i++)
		out[i] = ((struct auth_row *)map_get_i(&r->rows, lines[i]))->key;
	return NULL;
}

/* The first that is not before `x`. */
static inline size_t auth_rows_find(const struct auth_link *p, size_t n, const struct auth_link *x,
				    int (*cmp)(const void *, const void *))
{
	size_t lo = 0, hi = n;

	while (lo < hi) {
		const size_t mid = (lo + hi) / 2;

		if (cmp(&p[mid], x) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static inline err *auth_rows_named(void *ctx, struct arena *a, const int64_t *lines, size_t n, bool *out)
{
	struct auth_rows *r = ctx;

	(void)a;
	auth_rows_sort(r);
	r->asked++;
	for (size_t i = 0; i < n; i++) {
		const struct auth_link begin = { .to = { lines[i], 0 } };
		const size_t at = auth_rows_find(r->up.p, r->up.n, &begin, auth_rows_by_end);

		out[i] = at < r->up.n && r->up.p[at].to.line == lines[i];
	}
	return NULL;
}

static inline err *auth_rows_above(void *ctx, struct arena *a, struct auth_span to, size_t limit,
				   struct auth_cursor *at, const struct auth_link **out, size_t *out_n)
{
	struct auth_rows *r = ctx;
	const struct auth_link begin = { .to = { to.line, to.from } };
	size_t from, n = 0;

	(void)a;
	auth_rows_sort(r);
	r->asked++;
	from = auth_rows_find(r->up.p, r->up.n, at->begun ? &at->last : &begin, auth_rows_by_end);
	from += at->begun;
	while (n < limit && from + n < r->up.n && r->up.p[from + n].to.line == to.line &&
	       r->up.p[from + n].to.place < to.below)
		n++;
	at->end = n < limit;
	at->begun = true;
	if (n > 0)
		at->last = r->up.p[from + n - 1];
	r->links += n;
	*out = r->up.p + from;
	*out_n = n;
	return NULL;
}

static inline err *auth_rows_below(void *ctx, struct arena *a, const struct auth_span *from, size_t n,
				   const struct auth_link **out, size_t *out_n)
{
	struct auth_rows *r = ctx;
	VEC(struct auth_link) found = { 0 };

	auth_rows_sort(r);
	r->asked++;
	for (size_t i = 0; i < n; i++) {
		const struct auth_link begin = { .from = { from[i].line, from[i].from } };

		for (size_t k = auth_rows_find(r->down.p, r->down.n, &begin, auth_rows_by_begin);
		     k < r->down.n && r->down.p[k].from.line == from[i].line && r->down.p[k].from.place < from[i].below;
		     k++)
			vec_push(a, &found, r->down.p[k]);
	}
	r->links += found.n;
	*out = found.p;
	*out_n = found.n;
	return NULL;
}

static inline void auth_rows_init(struct auth_rows *r, struct arena *a)
{
	*r = (struct auth_rows){ .a = a };
	map_init(&r->rows, a);
	r->index = (struct auth_index){
		.ctx = r,
		.places = auth_rows_places,
		.keys = auth_rows_keys,
		.named = auth_rows_named,
		.above = auth_rows_above,
		.below = auth_rows_below,
	};
}

static inline void auth_rows_link(struct auth_rows *r, struct auth_link link)
{
	vec_push(r->a, &r->up, link);
	vec_push(r->a, &r->down, link);
	r->sorted = false;
}

/* keys[i] is that of entries[i]. */
static inline void auth_rows_add(struct auth_rows *r, struct auth_entry *entries, const struct auth_key *keys, size_t n)
{
	struct auth_list outside;
	struct auth_stands *stands;

	auth_outside(r->a, entries, n, &outside);
	stands = ARENA_ARRAY(r->a, struct auth_stands, outside.n);
	for (size_t i = 0; i < outside.n; i++) {
		const struct auth_row *row = map_get_i(&r->rows, outside.p[i]);

		stands[i] = row ? row->stands : (struct auth_stands){ 0 };
	}
	auth_add(r->a, entries, n, &outside, stands);
	for (size_t i = 0; i < n; i++) {
		struct auth_row *row = ARENA_NEW(r->a, struct auth_row);

		*row = (struct auth_row){ { entries[i].at, true }, keys[i] };
		map_put_i(&r->rows, entries[i].event, row);
	}
	for (size_t i = 0; i < n; i++) {
		if (entries[i].continues)
			((struct auth_row *)map_get_i(&r->rows, entries[i].continues))->stands.last = false;
		for (size_t k = 0; k < entries[i].n_links; k++)
			auth_rows_link(r, entries[i].links[k]);
	}
}

/* An edge that became known after both of its events were added. */
static inline void auth_rows_late(struct auth_rows *r, int64_t event, int64_t parent)
{
	const struct auth_row *e = map_get_i(&r->rows, event), *p = map_get_i(&r->rows, parent);

	if (e->stands.at.line != p->stands.at.line || e->stands.at.place < p->stands.at.place)
		auth_rows_link(r, (struct auth_link){ e->stands.at, p->stands.at });
}
