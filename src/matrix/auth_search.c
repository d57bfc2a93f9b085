/*
 * auth_search.c - whose chain holds an event?
 *
 * A state holds an event in its chain if one of the state's own events reaches it. The search goes up from the event:
 * along its line, then over the links that end there, to the lines these come from, and so on; and at each line it asks
 * what the states have under that line's key. It ends when every state was met, which is soon: what everybody names
 * (power levels, join rules) is followed on its own line by what the states have now, and an old event that somebody
 * joined under is met at the first who is still there. Only what a state really does not reach has to be searched for
 * to the end, and that is what the difference consists of.
 *
 * What a search finds out about a line is kept for the next: which states reach how high (`known`), and from where on
 * there is nothing of some states (`barren`).
 */
#include "base/map.h"
#include "matrix/internal_auth_index.h"

enum { PAGE = 32, PAGE_MOST = 2048, LINES = 256 };

struct known { /* these states' chains hold everything up to the place */
	int64_t place;
	uint64_t states;
};
struct line {
	int64_t id;
	bool keyed; /* what the states have under its key is among `known` */
	bool asked; /* whether links end here: */
	bool is_named;
	VEC(struct known) known;
	int64_t barren; /* from here on nothing is in the chains of barren_of; 0: not known */
	uint64_t barren_of;
	uint64_t search; /* the last that came by, and how far down it goes from */
	int64_t from;
};
struct span {
	struct line *line;
	struct auth_span at;
	struct auth_cursor cursor;
};

struct auth_search {
	struct arena *a;
	const struct auth_index *index;
	const struct auth_states *states;
	uint64_t everywhere;
	struct map lines;           /* number -> struct line */
	struct map places;          /* event -> struct auth_place */
	uint64_t count;             /* of searches */
	VEC(struct line *) visited; /* by the search under way */
	VEC(struct span) todo;
};

/*
 * Lines
 */
static struct line *line_of(struct auth_search *se, int64_t id)
{
	struct line *l = map_get_i(&se->lines, id);

	if (l)
		return l;
	l = ARENA_NEW(se->a, struct line);
	l->id = id;
	map_put_i(&se->lines, id, l);
	return l;
}

static uint64_t states_at(const struct line *l, int64_t place)
{
	uint64_t states = 0;

	for (size_t i = 0; i < l->known.n; i++)
		if (l->known.p[i].place >= place)
			states |= l->known.p[i].states;
	return states;
}

static void know(struct auth_search *se, struct line *l, int64_t place, uint64_t states)
{
	if ((states_at(l, place) & states) == states)
		return;
	for (size_t i = 0; i < l->known.n; i++)
		if (l->known.p[i].states == states) {
			l->known.p[i].place = place; /* higher, or it would have been known */
			return;
		}
	vec_push(se->a, &l->known, (struct known){ place, states });
}

/* Where events stand, asked for all at once; then by place_of. */
static err *learn_places(struct auth_search *se, const int64_t *events, size_t n)
{
	int64_t *ask = ARENA_ARRAY(se->a, int64_t, n);
	struct auth_place *places;
	size_t n_ask = 0;

	for (size_t i = 0; i < n; i++)
		if (events[i] && !map_get_i(&se->places, events[i])) {
			map_put_i(&se->places, events[i], se);
			ask[n_ask++] = events[i];
		}
	if (n_ask == 0)
		return NULL;
	places = ARENA_ARRAY(se->a, struct auth_place, n_ask);
	TRY(se->index->places(se->index->ctx, se->a, ask, n_ask, places));
	for (size_t i = 0; i < n_ask; i++)
		map_put_i(&se->places, ask[i], &places[i]);
	return NULL;
}

static const struct auth_place *place_of(const struct auth_search *se, int64_t event)
{
	return map_get_i(&se->places, event);
}

/* What the states have under the keys of these lines. */
static err *learn_keys(struct auth_search *se, struct line *const *lines, size_t n)
{
	const size_t n_states = se->states->n_states;
	int64_t *ids = ARENA_ARRAY(se->a, int64_t, n), *held;
	struct line **ask = ARENA_ARRAY(se->a, struct line *, n);
	struct auth_key *keys;
	size_t n_ask = 0;

	for (size_t i = 0; i < n; i++) {
		if (lines[i]->keyed)
			continue;
		lines[i]->keyed = true;
		ids[n_ask] = lines[i]->id;
		ask[n_ask++] = lines[i];
	}
	if (n_ask == 0)
		return NULL;
	keys = ARENA_ARRAY(se->a, struct auth_key, n_ask);
	held = ARENA_ARRAY(se->a, int64_t, n_ask * n_states);
	TRY(se->index->keys(se->index->ctx, se->a, ids, n_ask, keys));
	for (size_t i = 0; i < n_ask; i++)
		TRY(se->states->at(se->states->ctx, keys[i].type, keys[i].key, held + i * n_states));
	TRY(learn_places(se, held, n_ask * n_states));
	for (size_t i = 0; i < n_ask * n_states; i++) {
		const struct auth_place *at = held[i] ? place_of(se, held[i]) : NULL;

		if (at && at->line == ask[i / n_states]->id)
			know(se, ask[i / n_states], at->place, UINT64_C(1) << i % n_states);
	}
	return NULL;
}

/*
 * One search
 */
static void visit(struct auth_search *se, struct line *l, int64_t place, uint64_t missing)
{
	int64_t below = INT64_MAX;

	if (l->search != se->count) {
		l->search = se->count;
		vec_push(se->a, &se->visited, l);
	} else if (l->from <= place) {
		return;
	} else {
		below = l->from;
	}
	l->from = place;
	if (l->barren && (missing & l->barren_of) == missing)
		below = MIN(below, l->barren);
	if (place < below)
		vec_push(se->a, &se->todo, (struct span){ l, { l->id, place, below } });
}

/* The links of one page: the lines they come from. *missing loses the states that are met there. */
static err *follow(struct auth_search *se, const struct auth_link *links, size_t n, uint64_t *missing)
{
	struct line **from = ARENA_ARRAY(se->a, struct line *, n);

	for (size_t i = 0; i < n; i++)
		from[i] = line_of(se, links[i].from.line);
	TRY(learn_keys(se, from, n));
	for (size_t i = 0; i < n; i++)
		*missing &= ~states_at(from[i], links[i].from.place);
	for (size_t i = 0; *missing && i < n; i++)
		visit(se, from[i], links[i].from.place, *missing);
	return NULL;
}

/* Do links end on the lines that are to be followed next? */
static err *learn_named(struct auth_search *se, size_t from)
{
	int64_t ids[LINES] = { 0 };
	struct line *lines[LINES];
	bool named[LINES];
	size_t n = 0;

	for (size_t i = from; i < se->todo.n && n < LINES; i++) {
		struct line *l = se->todo.p[i].line;

		if (l->asked)
			continue;
		l->asked = true;
		ids[n] = l->id;
		lines[n++] = l;
	}
	TRY(se->index->named(se->index->ctx, se->a, ids, n, named));
	for (size_t i = 0; i < n; i++)
		lines[i]->is_named = named[i];
	return NULL;
}

/* Which of the states `missing` have the place in their chains? *missing keeps those that do not. */
static err *search(struct auth_search *se, struct line *l, int64_t place, uint64_t *missing)
{
	size_t limit = PAGE;

	se->count++;
	se->visited.n = 0;
	se->todo.n = 0;
	visit(se, l, place, *missing);
	for (size_t i = 0; *missing && i < se->todo.n; i++) {
		struct span s = se->todo.p[i];
		const struct auth_link *links;
		size_t n;

		if (!s.line->asked)
			TRY(learn_named(se, i));
		if (!s.line->is_named)
			continue;
		TRY(se->index->above(se->index->ctx, se->a, s.at, limit, &s.cursor, &links, &n));
		TRY(follow(se, links, n, missing));
		if (!s.cursor.end) /* a page of everything before a second one of anything */
			vec_push(se->a, &se->todo, s);
		limit = MIN(2 * limit, (size_t)PAGE_MOST);
	}
	if (!*missing)
		return NULL;
	for (size_t i = 0; i < se->visited.n; i++) {
		struct line *v = se->visited.p[i];

		if (v->barren && v->barren < v->from && (*missing & v->barren_of) == *missing)
			continue;
		v->barren = v->from;
		v->barren_of = *missing;
	}
	return NULL;
}

err *auth_search_begin(struct arena *a, const struct auth_index *index, const struct auth_states *s,
		       struct auth_search **out)
{
	struct auth_search *se = ARENA_NEW(a, struct auth_search);
	int64_t *events = ARENA_ARRAY(a, int64_t, s->n_starts);

	se->a = a;
	se->index = index;
	se->states = s;
	se->everywhere = s->n_states == 64 ? UINT64_MAX : (UINT64_C(1) << s->n_states) - 1;
	map_init(&se->lines, a);
	map_init(&se->places, a);
	for (size_t i = 0; i < s->n_starts; i++)
		events[i] = s->starts[i].event;
	TRY(learn_places(se, events, s->n_starts));
	for (size_t i = 0; i < s->n_starts; i++) {
		const struct auth_place *at = place_of(se, events[i]);

		if (at->line)
			know(se, line_of(se, at->line), at->place, s->starts[i].in);
	}
	*out = se;
	return NULL;
}

err *auth_search_states(struct auth_search *se, const int64_t *events, size_t n, uint64_t *in)
{
	struct line **lines = ARENA_ARRAY(se->a, struct line *, n);
	size_t n_lines = 0;

	TRY(learn_places(se, events, n));
	for (size_t i = 0; i < n; i++) {
		const struct auth_place *at = place_of(se, events[i]);

		if (!at->line) {
			in[i] = se->everywhere;
			continue;
		}
		lines[n_lines++] = line_of(se, at->line);
		know(se, lines[n_lines - 1], at->place, in[i]);
	}
	TRY(learn_keys(se, lines, n_lines));
	for (size_t i = 0; i < n; i++) {
		const struct auth_place *at = place_of(se, events[i]);
		struct line *l = at->line ? line_of(se, at->line) : NULL;
		uint64_t missing;

		if (!l)
			continue;
		missing = se->everywhere & ~states_at(l, at->place);
		if (missing)
			TRY(search(se, l, at->place, &missing));
		in[i] = se->everywhere & ~missing;
		know(se, l, at->place, in[i]);
	}
	return NULL;
}
