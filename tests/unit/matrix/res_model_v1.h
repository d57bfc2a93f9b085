/* res_model_v1.h - the part of res_model.h that is version 1. */
#pragma once

/* "A conflict occurs between states where those states have different event_ids for the same (event_type, state_key)."
 * A state without the key is in no conflict about it. */
static inline int model_rivals(const struct model_state *s, int n, int k, struct model_set *out)
{
	int rivals = 0;

	*out = (struct model_set){ 0 };
	for (int i = 0; i < n; i++) {
		rivals += s[i].event[k] && !out->has[s[i].event[k]];
		out->has[s[i].event[k]] = true;
	}
	out->has[0] = false;
	return rivals;
}

static inline int model_pass(const struct state_key *key)
{
	if (str_eq(key->type, S("m.room.power_levels")) && str_eq(key->state_key, S("")))
		return 1;
	if (str_eq(key->type, S("m.room.join_rules")))
		return 2;
	return str_eq(key->type, S("m.room.member")) ? 3 : 4;
}

/* One key. `r` is R; what the same pass does to other keys is not in it. */
static inline int model_settle(struct model *m, int k, struct model_set left, int rivals, const struct model_state *r)
{
	struct model_state now = *r;
	int list[MODEL_EVENTS];

	for (int i = 0; i < rivals; i++) { /* "ascending depth then descending sha1(event_id)" */
		list[i] = 0;
		for (int x = 1; x <= m->n; x++)
			if (left.has[x] && (!list[i] || model_less_by_depth(m, x, list[i])))
				list[i] = x;
		left.has[list[i]] = false;
	}
	if (model_pass(&m->key[k]) == 4) {
		/* "just pick the event with the highest depth and lowest sha1(event_id) that passes authentication in
		 * R" */
		for (int i = rivals - 1; i > 0; i--)
			if (model_allowed(m, list[i], r, false))
				return list[i];
		(void)model_allowed(m, list[0], r, false); /* the last one is taken in any case */
		return list[0];
	}
	m->met.climbs++;
	/* "Add the first event in the list to R. For each subsequent event in the list, check that the event would be
	 * allowed by the authorisation rules for a room in state R. If the event would be allowed, then update R with
	 * the event and continue with the next event in the list. If it would not be allowed, stop" */
	now.event[k] = list[0];
	for (int i = 1; i < rivals; i++) {
		if (!model_allowed(m, list[i], &now, false))
			break;
		now.event[k] = list[i];
	}
	return now.event[k];
}

static inline void model_v1(struct model *m, const struct model_state *s, int n, struct model_state *out)
{
	struct model_state r = { 0 };
	struct model_set set;

	/* "Start by setting R to the union of the states to be resolved, excluding any conflicting events." */
	for (int k = 0; k < m->n_keys; k++) {
		const int rivals = model_rivals(s, n, k, &set);

		for (int i = 0; i < n; i++)
			if (rivals == 1 && s[i].event[k])
				r.event[k] = s[i].event[k];
		for (int i = 0; i < n; i++)
			if (s[i].event[k] != s[0].event[k]) {
				m->met.conflicted++;
				break;
			}
	}
	for (int pass = 1; pass <= 4; pass++) {
		struct model_state next = r;

		for (int k = 0; k < m->n_keys; k++) {
			const int rivals = model_rivals(s, n, k, &set);

			if (rivals > 1 && model_pass(&m->key[k]) == pass)
				next.event[k] = model_settle(m, k, set, rivals, &r);
			if (rivals > 1 && pass == 1)
				m->met.full += rivals;
		}
		r = next;
	}
	*out = r;
}
