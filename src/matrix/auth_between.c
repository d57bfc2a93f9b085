/*
 * auth_between.c - what lies between events: on a path from one of them to one of them.
 *
 * Such a place is reached from an event, and reaches one. Either side alone may be large and have nothing to do with
 * the other: all who joined under some power levels stand above these, and below a member may be a long history. So
 * both are searched for in turns, on lines and links, the one that cost less so far first, until one of them is known
 * as a whole:
 * - all that is above: the question is answered;
 * - all that is below: then every path lies in it, and what is above is found among its links.
 * The caller, who comes from above, asks only for vertices that are reached from an event.
 */
#include <stdlib.h>

#include "base/map.h"
#include "matrix/internal_auth_index.h"

enum { PAGE = 64, PAGE_MOST = 2048, LINES = 256 };

struct between_line {
	int64_t id;
	int64_t upto;                     /* below: reached as high as this; 0: not at all */
	int64_t from;                     /* above: leads to an event from here on; INT64_MAX: nowhere */
	VEC(const struct auth_link *) in; /* links found on the way down that end here */
	bool sorted, asked, is_named;     /* is_named, once it was asked: links end here */
	size_t taken;                     /* of them, the highest first, on the way up again */
};
struct between_span {
	struct between_line *line;
	struct auth_span at;
	struct auth_cursor cursor;
};
struct auth_between {
	struct arena *a;
	const struct auth_index *index;
	struct map lines; /* number -> struct between_line */
	VEC(struct auth_span) down;
	VEC(struct between_span) up;
	size_t next_up, down_cost, up_cost, limit;
};

static struct between_line *line_of(struct auth_between *b, int64_t id)
{
	struct between_line *l = map_get_i(&b->lines, id);

	if (l)
		return l;
	l = ARENA_NEW(b->a, struct between_line);
	l->id = id;
	l->from = INT64_MAX;
	map_put_i(&b->lines, id, l);
	return l;
}

static void reach_down(struct auth_between *b, struct auth_place to)
{
	struct between_line *l = line_of(b, to.line);

	if (to.place <= l->upto)
		return;
	vec_push(b->a, &b->down, (struct auth_span){ to.line, l->upto + 1, to.place + 1 });
	l->upto = to.place;
}

static err *step_down(struct auth_between *b)
{
	const size_t n = MIN(b->down.n, (size_t)LINES), left = b->down.n - n;
	struct auth_span *spans = ARENA_ARRAY(b->a, struct auth_span, n);
	const struct auth_link *links;
	size_t n_links;

	memcpy(spans, b->down.p + left, n * sizeof(*spans));
	b->down.n = left;
	TRY(b->index->below(b->index->ctx, b->a, spans, n, &links, &n_links));
	b->down_cost += n + n_links;
	for (size_t i = 0; i < n_links; i++) {
		struct between_line *to = line_of(b, links[i].to.line);

		vec_push(b->a, &to->in, &links[i]);
		reach_down(b, links[i].to);
	}
	return NULL;
}

static bool reach_up(struct between_line *l, int64_t place, struct auth_span *out)
{
	if (place >= l->from)
		return false;
	*out = (struct auth_span){ l->id, place, l->from };
	l->from = place;
	return true;
}

static void push_up(struct auth_between *b, struct auth_place at)
{
	struct between_span s = { .line = line_of(b, at.line) };

	if (reach_up(s.line, at.place, &s.at))
		vec_push(b->a, &b->up, s);
}

static err *learn_named(struct auth_between *b)
{
	int64_t ids[LINES] = { 0 };
	struct between_line *lines[LINES];
	bool named[LINES];
	size_t n = 0;

	for (size_t i = b->next_up; i < b->up.n && n < LINES; i++) {
		struct between_line *l = b->up.p[i].line;

		if (l->asked)
			continue;
		l->asked = true;
		ids[n] = l->id;
		lines[n++] = l;
	}
	TRY(b->index->named(b->index->ctx, b->a, ids, n, named));
	for (size_t i = 0; i < n; i++)
		lines[i]->is_named = named[i];
	b->up_cost += n;
	return NULL;
}

static err *step_up(struct auth_between *b)
{
	struct between_span s = b->up.p[b->next_up];
	const struct auth_link *links;
	size_t n;

	if (!s.line->asked)
		TRY(learn_named(b));
	b->next_up++;
	if (!s.line->is_named)
		return NULL;
	TRY(b->index->above(b->index->ctx, b->a, s.at, b->limit, &s.cursor, &links, &n));
	b->limit = MIN(2 * b->limit, (size_t)PAGE_MOST);
	b->up_cost += 1 + n;
	for (size_t i = 0; i < n; i++)
		push_up(b, links[i].from);
	if (!s.cursor.end)
		vec_push(b->a, &b->up, s);
	return NULL;
}

static int by_end(const void *x, const void *y)
{
	const struct auth_link *p = *(const struct auth_link *const *)x, *q = *(const struct auth_link *const *)y;

	return p->to.place > q->to.place ? -1 : p->to.place < q->to.place;
}

/* Everything below is known: what of it is above, by the links between. */
static void up_within(struct auth_between *b, const struct auth_place *at, size_t n)
{
	struct between_line *l;
	void *value;
	int64_t id;

	for (size_t i = 0;
	     map_next_i(&b->lines, &i, &id, &value);) /* what the search upwards got to is not all of it */
		((struct between_line *)value)->from = INT64_MAX;
	b->up.n = b->next_up = 0;
	for (size_t i = 0; i < n; i++)
		if (at[i].line)
			push_up(b, at[i]);
	while (b->next_up < b->up.n) {
		const struct auth_span s = b->up.p[b->next_up].at;

		l = b->up.p[b->next_up++].line;
		if (!l->sorted && l->in.n > 0)
			qsort(l->in.p, l->in.n, sizeof(l->in.p[0]), by_end);
		l->sorted = true;
		for (; l->taken < l->in.n && l->in.p[l->taken]->to.place >= s.from; l->taken++)
			push_up(b, l->in.p[l->taken]->from);
	}
}

err *auth_between_find(struct arena *a, const struct auth_index *index, const int64_t *events, size_t n,
		       struct auth_between **out)
{
	struct auth_between *b = ARENA_NEW(a, struct auth_between);
	struct auth_place *at = ARENA_ARRAY(a, struct auth_place, n);

	b->a = a;
	b->index = index;
	b->limit = PAGE;
	map_init(&b->lines, a);
	TRY(index->places(index->ctx, a, events, n, at));
	for (size_t i = 0; i < n; i++) {
		if (!at[i].line)
			continue;
		reach_down(b, at[i]);
		push_up(b, at[i]);
	}
	while (b->down.n > 0 && b->next_up < b->up.n)
		TRY(b->down_cost + PAGE < b->up_cost ? step_down(b) : step_up(b)); /* mostly there is nothing above */
	if (b->down.n == 0)
		up_within(b, at, n);
	*out = b;
	return NULL;
}

err *auth_between_has(struct auth_between *b, const int64_t *events, size_t n, bool *out)
{
	struct auth_place *at = ARENA_ARRAY(b->a, struct auth_place, n);

	if (n == 0)
		return NULL;
	TRY(b->index->places(b->index->ctx, b->a, events, n, at));
	for (size_t i = 0; i < n; i++) {
		const struct between_line *l = at[i].line ? map_get_i(&b->lines, at[i].line) : NULL;

		out[i] = l && at[i].place >= l->from;
	}
	return NULL;
}
