/* res_property_cases.h - the part of res_property.h that makes cases and judges them. */
#pragma once

/* Every refused and lost event that the facts speak of is one: some state has it, the result does not. */
static inline bool res_losses_hold(struct res_trees *t, const struct model_state *s, int n,
				   const struct model_state *result, const struct state_res_facts *facts)
{
	const struct model *m = &t->room->m;

	for (size_t i = 0; i < facts->n_losses; i++) {
		const struct state_res_loss *l = &facts->losses[i];
		const int x = t->event[l->lost], k = m->key_of[x], held = result->event[k];
		bool had = false, caused = l->cause == 0;

		for (int j = 0; j < n; j++)
			had = had || s[j].event[k] == x;
		for (int j = 0; j < m->n_keys; j++)
			caused = caused || (l->cause && result->event[j] == t->event[l->cause]);
		if (!had || !caused || held == x || (held ? t->number[held] : 0) != l->held)
			return false;
	}
	return true;
}

static inline const char *res_case(struct res_trees *t, const struct model_state *s, int n,
				   const struct model_state *wanted, struct state_res_facts *facts)
{
	const struct state_root want = res_tree(t, wanted);
	struct state_root roots[9], turned[9];

	for (int i = 0; i < n; i++)
		roots[i] = res_tree(t, &s[i]);
	if (!state_same(res_resolve(t, roots, n, facts), want))
		return "not what the model says";
	if (!res_losses_hold(t, s, n, wanted, facts))
		return "a loss that is none";
	for (int i = 0; i < n; i++)
		turned[i] = roots[n - 1 - i];
	if (!state_same(res_resolve(t, turned, n, NULL), want))
		return "depends on the order of the states";
	for (int i = 0; i < n; i++)
		turned[i] = roots[(i + 1) % n];
	turned[n] = roots[n / 2];
	if (!state_same(res_resolve(t, turned, n + 1, NULL), want))
		return "depends on a state given twice";
	turned[0] = turned[1] = want;
	if (res_resolve(t, turned, 2, NULL).node != want.node || res_resolve(t, roots, 1, NULL).node != roots[0].node)
		return "a state with itself is another";
	t->io.auth.index = &t->rows.index;
	if (!state_same(res_resolve(t, roots, n, NULL), want))
		return "differs with an index";
	t->io.auth.index = NULL;
	return NULL;
}

static inline void res_count(struct res_seen *seen, const struct model_met *met, int n,
			     const struct state_res_facts *facts)
{
	seen->cases++;
	seen->conflicts += met->conflicted > 0;
	seen->refused += met->refused > 0;
	seen->difference += met->difference > 0;
	seen->saved += met->saved > 0;
	seen->subgraph += met->subgraph > 0;
	seen->rejected += met->rejected > 0;
	seen->climbs += met->climbs > 0;
	seen->many += n > 4;
	seen->losses += facts->n_losses > 0;
	for (size_t i = 0; i < facts->n_losses; i++)
		seen->resets += facts->losses[i].cause == 0;
}

/* A room of about `events` events (at most MODEL_EVENTS), and `cases` resolutions. */
static inline const char *res_property(struct arena *a, const struct room_version *rv, struct draws d, int events,
				       int cases, struct res_seen *seen)
{
	struct res_room *r = ARENA_NEW(a, struct res_room);
	struct res_trees *t = ARENA_NEW(a, struct res_trees), *back = ARENA_NEW(a, struct res_trees);

	r->d = d;
	res_open(r, a, rv);
	res_grow(r, events);
	res_trees_init(t, r, false);
	res_trees_init(back, r, true);
	seen->rooms++;
	seen->events += (size_t)r->m.n;
	for (int i = 0; i < cases; i++) {
		struct model_state s[8], wanted;
		struct state_res_facts facts, back_facts;
		const int n = res_draw_states(r, s);
		const char *complaint;

		model_resolve(&r->m, s, n, &wanted);
		complaint = res_case(t, s, n, &wanted, &facts);
		if (!complaint && res_case(back, s, n, &wanted, &back_facts))
			complaint = "depends on the numbers of the events";
		if (!complaint && (facts.conflicted != (size_t)r->m.met.conflicted ||
				   facts.full != (size_t)r->m.met.full || facts.lost != back_facts.lost))
			complaint = "miscounts";
		if (complaint)
			return complaint;
		res_count(seen, &r->m.met, n, &facts);
	}
	return NULL;
}
