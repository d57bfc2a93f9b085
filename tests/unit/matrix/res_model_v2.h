/* res_model_v2.h - the part of res_model.h that is version 2 and 2.1. */
#pragma once

static inline void model_checks(struct model *m, const int *list, int n, struct model_state *state)
{
	/* "applying the state event to the room state if the state event is allowed by the authorisation rules. If the
	 * state event is not allowed by the authorisation rules, then the event is ignored." */
	for (int i = 0; i < n; i++)
		if (model_allowed(m, list[i], state, true))
			state->event[m->key_of[list[i]]] = list[i];
}

/* "A power event is a state event with type m.room.power_levels or m.room.join_rules, or a state event with type
 * m.room.member where the membership is leave or ban and the sender does not match the state_key." */
static inline bool model_is_power_event(const struct event *ev)
{
	if (event_is(ev, S("m.room.power_levels"), S("")) || event_is(ev, S("m.room.join_rules"), S("")))
		return true;
	return str_eq(ev->type, S("m.room.member")) && !str_eq(ev->sender, ev->state_key) &&
	       (str_eq(event_membership(ev), S("leave")) || str_eq(event_membership(ev), S("ban")));
}

/* "Ci is the full auth chain of Si": of the events of the state, and those themselves. */
static inline void model_full_chain(const struct model *m, const struct model_state *s, struct model_set *out)
{
	*out = (struct model_set){ 0 };
	for (int k = 0; k < m->n_keys; k++)
		for (int x = 1; s->event[k] && x <= m->n; x++)
			if (x == s->event[k] || m->chain[s->event[k]].has[x])
				out->has[x] = true;
}

/* "the auth difference is the union of the Ci without their intersection" */
static inline void model_auth_difference(struct model *m, const struct model_state *s, int n, struct model_set *out)
{
	int in_chains[MODEL_EVENTS + 1] = { 0 };
	struct model_set chain;

	for (int i = 0; i < n; i++) {
		model_full_chain(m, &s[i], &chain);
		for (int x = 1; x <= m->n; x++)
			in_chains[x] += chain.has[x];
	}
	for (int x = 1; x <= m->n; x++)
		out->has[x] = in_chains[x] > 0 && in_chains[x] < n;
}

/* "Starting from an event in the conflicted state set and following auth_events edges may lead to another event in the
 * conflicted state set. The union of all such paths between any pair of events in the conflicted state set (including
 * endpoints)" */
static inline void model_subgraph(const struct model *m, const struct model_set *conflicted, struct model_set *out)
{
	for (int x = 1; x <= m->n; x++) {
		bool from = conflicted->has[x], to = conflicted->has[x];

		for (int y = 1; y <= m->n; y++) {
			from = from || (conflicted->has[y] && m->chain[y].has[x]);
			to = to || (conflicted->has[y] && m->chain[x].has[y]);
		}
		out->has[x] = from && to;
	}
}

/* Counts how often an event that differences alone would take for a difference is saved by what all states have. */
static inline int model_saved(struct model *m, const struct model_state *s, int n,
			      const struct model_state *unconflicted, const struct model_set *difference)
{
	struct model_state parts[8];
	struct model_set naive;
	int saved = 0;

	assert(n <= 8);
	for (int i = 0; i < n; i++) {
		parts[i] = s[i];
		for (int k = 0; k < m->n_keys; k++)
			if (unconflicted->event[k])
				parts[i].event[k] = 0;
	}
	model_auth_difference(m, parts, n, &naive);
	for (int x = 1; x <= m->n; x++)
		saved += naive.has[x] && !difference->has[x] &&
			 !(m->key_of[x] >= 0 && unconflicted->event[m->key_of[x]] == x);
	return saved;
}

static inline void model_v2(struct model *m, const struct model_state *s, int n, struct model_state *out)
{
	struct model_set conflicted = { 0 }, difference = { 0 }, subgraph = { 0 }, full = { 0 }, x_set = { 0 },
			 rest = { 0 };
	struct model_state unconflicted = { 0 }, state = { 0 };
	int list[MODEL_EVENTS], n_list;

	/* "If a given key K is present in every Si with the same value V in each state map, then the pair (K, V)
	 * belongs to the unconflicted state map. Otherwise, V belongs to the conflicted state set." */
	for (int k = 0; k < m->n_keys; k++) {
		bool same = true;

		for (int i = 1; i < n; i++)
			same = same && s[i].event[k] == s[0].event[k];
		if (same)
			unconflicted.event[k] = s[0].event[k];
		for (int i = 0; !same && i < n; i++)
			conflicted.has[s[i].event[k]] = true;
		m->met.conflicted += !same;
	}
	conflicted.has[0] = false;
	model_auth_difference(m, s, n, &difference);
	if (m->rv->state_res == STATE_RES_V2_1)
		model_subgraph(m, &conflicted, &subgraph);
	/* "The full conflicted set is the union of the conflicted state set, the conflicted state subgraph, and the
	 * auth difference." */
	for (int x = 1; x <= m->n; x++) {
		full.has[x] = conflicted.has[x] || difference.has[x] || subgraph.has[x];
		m->met.full += full.has[x];
		m->met.difference += difference.has[x] && !conflicted.has[x];
		m->met.subgraph += subgraph.has[x] && !conflicted.has[x] && !difference.has[x];
		m->met.rejected += full.has[x] && m->ev[x]->rejected;
	}
	m->met.saved = model_saved(m, s, n, &unconflicted, &difference);
	/* "1. Select the set X of all power events that appear in the full conflicted set. For each such power event P,
	 * enlarge X by adding the events in the auth chain of P which also belong to the full conflicted set." Along
	 * paths within the full conflicted set. */
	for (int x = m->n; x > 0; x--) {
		if (full.has[x] && model_is_power_event(m->ev[x]))
			x_set.has[x] = true;
		for (int i = 0; x_set.has[x] && i < m->n_auth[x]; i++)
			if (full.has[m->auth[x][i]])
				x_set.has[m->auth[x][i]] = true;
	}
	n_list = model_sort_by_power(m, &x_set, list);
	/* "2. Apply the iterative auth checks algorithm, starting from the unconflicted state map" (v12: "an empty
	 * state map") */
	if (m->rv->state_res == STATE_RES_V2)
		state = unconflicted;
	model_checks(m, list, n_list, &state);
	/* "3. Take all remaining events that weren't picked in step 1 and order them by the mainline ordering based on
	 * the power level in the partially resolved state obtained in step 2." */
	for (int x = 1; x <= m->n; x++)
		rest.has[x] = full.has[x] && !x_set.has[x];
	n_list = model_sort_by_mainline(m, state.event[model_key(m, S("m.room.power_levels"), S(""))], rest, list);
	/* "4. Apply the iterative auth checks algorithm on the partial resolved state" */
	model_checks(m, list, n_list, &state);
	/* "5. Update the result by replacing any event with the event with the same key from the unconflicted state
	 * map" */
	for (int k = 0; k < m->n_keys; k++)
		if (unconflicted.event[k])
			state.event[k] = unconflicted.event[k];
	*out = state;
}
