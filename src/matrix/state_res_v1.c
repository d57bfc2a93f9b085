/*
 * state_res_v1.c - state resolution of room version 1.
 *
 * Only keys under which the states have different events are in conflict; a key that some states do not have is taken
 * from those that do, without a check. The conflicts are settled in four passes: power levels, join rules, members, all
 * others. Each pass is judged by R, the state as it is after the pass before: what the same pass settles for other keys
 * is not in it yet, so that the order of the keys within a pass makes no difference. Nothing is ever looked up in an
 * event's own auth_events.
 *
 * depth decides here, though every server writes into it what it likes: that is one of the reasons why there is a
 * version 2.
 *
 * https://spec.matrix.org/latest/rooms/v1/#state-resolution; how the text is read: docs/internals/state-resolution.md.
 */
#include <assert.h>
#include <stdlib.h>

#include "matrix/internal_state_res.h"

struct rival {
	const struct event *ev;
	uint8_t sha1[20]; /* of the event id */
};
struct contest {
	int64_t key[2];
	enum state_res_step pass;
	struct rival *rivals; /* the highest depth first, of equal ones the lowest sha1 */
	size_t n;
	int64_t winner;
};
struct contests {
	struct contest *p;
	size_t n, cap;
};

/* "the highest depth and lowest sha1(event_id)" */
static int by_depth(const void *p, const void *q)
{
	const struct rival *x = p, *y = q;

	if (x->ev->depth != y->ev->depth)
		return x->ev->depth > y->ev->depth ? -1 : 1;
	return memcmp(x->sha1, y->sha1, sizeof(x->sha1));
}

static enum state_res_step pass_of(const struct event *ev)
{
	if (event_is(ev, S("m.room.power_levels"), S("")))
		return STATE_RES_LEVELS;
	if (str_eq(ev->type, S("m.room.join_rules")))
		return STATE_RES_RULES;
	return str_eq(ev->type, S("m.room.member")) ? STATE_RES_MEMBERS : STATE_RES_OTHERS;
}

static err *open_contest(struct res *r, const int64_t key[2], const int64_t *events, size_t n, struct contest *out)
{
	*out = (struct contest){ .key = { key[0], key[1] }, .rivals = ARENA_ARRAY(r->a, struct rival, n), .n = n };
	for (size_t i = 0; i < n; i++) {
		struct rival *rival = &out->rivals[i];

		TRY(res_event(r, events[i], &rival->ev));
		if (!event_is_state(rival->ev))
			return err_new(r->a, ERR_INTERNAL, "%.*s in a state, and no state event",
				       STR_ARG(rival->ev->event_id));
		sha1(rival->ev->event_id, rival->sha1);
		res_note(r, STATE_RES_CONFLICTED, rival->ev, NULL);
	}
	qsort(out->rivals, n, sizeof(*out->rivals), by_depth);
	out->pass = pass_of(out->rivals[0].ev);
	return NULL;
}

/* "Start by setting R to the union of the states to be resolved, excluding any conflicting events." [...] "A conflict
 * occurs between states where those states have different event_ids for the same (event_type, state_key)." */
static err *find_contests(struct res *r, struct contests *out)
{
	int64_t *different = ARENA_ARRAY(r->a, int64_t, r->n_roots);
	void *value;
	str key;

	for (size_t i = 0; map_next(&r->conflicts, &i, &key, &value);) {
		const struct res_conflict *c = value;
		struct contest contest;
		size_t n = 0;

		for (size_t s = 0; s < r->n_roots; s++) {
			size_t k = 0;

			while (k < n && different[k] != c->event[s])
				k++;
			if (c->event[s] && k == n)
				different[n++] = c->event[s];
		}
		if (n == 1) {
			res_put(r, c->key, different[0]);
			continue;
		}
		TRY(res_will_need(r, different, n));
		TRY(open_contest(r, c->key, different, n, &contest));
		vec_push(r->a, out, contest);
		r->facts.full += n;
	}
	for (size_t i = 0; i < out->n; i++)
		for (size_t k = 0; k < out->p[i].n; k++)
			res_note(r, STATE_RES_FULL, out->p[i].rivals[k].ev, NULL);
	return NULL;
}

/* "would be allowed by the authorisation rules for a room in state R" */
static err *is_allowed(struct res *r, const struct contest *c, const struct event *ev, bool *out)
{
	struct res_lookups l;

	l.n = auth_lookups(r->rv, ev->type, ev->state_key, ev->sender, ev->content, l.key);
	for (size_t i = 0; i < l.n; i++)
		TRY(res_current(r, l.key[i].type, l.key[i].state_key, &l.ev[i]));
	*out = res_allowed(r, c->pass, ev, &l);
	return NULL;
}

/*
 * "Sort the list by ascending depth then descending sha1(event_id). Add the first event in the list to R. For each
 * subsequent event in the list, check that the event would be allowed by the authorisation rules for a room in state R.
 * If the event would be allowed, then update R with the event and continue with the next event in the list. If it would
 * not be allowed, stop".
 */
static err *climb(struct res *r, struct contest *c)
{
	size_t i = c->n - 1;
	bool allowed = true;

	c->winner = c->rivals[i].ev->nid;
	res_note(r, c->pass, c->rivals[i].ev, NULL);
	while (i-- > 0 && allowed) {
		res_put(r, c->key, c->winner);
		TRY(is_allowed(r, c, c->rivals[i].ev, &allowed));
		if (allowed)
			c->winner = c->rivals[i].ev->nid;
		else
			for (size_t k = i; k-- > 0;)
				res_refuse(r, c->pass, c->rivals[k].ev,
					   err_new(r->a, ERR_FORBIDDEN, "An event of lesser depth was refused"));
	}
	map_del(&r->resolved, res_pair(c->key)); /* not in R until the pass is over */
	return NULL;
}

/* "just pick the event with the highest depth and lowest sha1(event_id) that passes authentication in R and add it to
 * R." If none does: the one that would have been tried last. */
static err *pick(struct res *r, struct contest *c)
{
	bool allowed = false;

	for (size_t i = 0; i < c->n && !allowed; i++) {
		c->winner = c->rivals[i].ev->nid;
		TRY(is_allowed(r, c, c->rivals[i].ev, &allowed));
	}
	return NULL;
}

/* "First we resolve conflicts between m.room.power_levels events. [...] Repeat the above process for conflicts between
 * m.room.join_rules events. Repeat the above process for conflicts between m.room.member events. No other events affect
 * the authorisation rules, so for all other conflicts" */
err *res_v1(struct res *r)
{
	struct contests all = { 0 };

	TRY(find_contests(r, &all));
	for (enum state_res_step pass = STATE_RES_LEVELS; pass <= STATE_RES_OTHERS; pass++) {
		for (size_t i = 0; i < all.n; i++)
			if (all.p[i].pass == pass)
				TRY(pass == STATE_RES_OTHERS ? pick(r, &all.p[i]) : climb(r, &all.p[i]));
		for (size_t i = 0; i < all.n; i++)
			if (all.p[i].pass == pass)
				res_put(r, all.p[i].key, all.p[i].winner);
	}
	return NULL;
}
