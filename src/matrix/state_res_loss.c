/*
 * state_res_loss.c - what a resolution took away, and why: the facts of the state-reset guard.
 *
 * A membership, power levels or join rules that a state had may be refused for a good reason: an event which that state
 * had not seen forbids them (the sender was banned meanwhile). Or for a bad one: they are judged by less, or by older
 * things, than they were sent under, and the room falls back to something that was over: a state reset. Version 1 is
 * known for that, version 2 does it rarely (MSC4297 has the cases).
 *
 * The difference shows where the event's own auth_events and the result disagree. What the result holds there is the
 * cause if the state with the event does not hold it and the event's auth chain does not, either. If the event's own
 * auth event was refused in the same resolution, that one's cause is the cause.
 */
#include <stdlib.h>

#include "matrix/internal_state_res.h"

struct lost {
	struct state_res_loss loss;
	const struct event *ev;
	uint64_t in; /* the states that have it */
};
/* How many refused auth events are followed from one to the next. */
enum { FAR_ENOUGH = 16 };
struct losses {
	struct res *r;
	struct state_root out;
	struct map by_event; /* number -> struct lost */
	VEC(struct lost *) all;
};

static bool matters(const struct event *ev)
{
	return str_eq(ev->type, S("m.room.member")) || event_is(ev, S("m.room.power_levels"), S("")) ||
	       event_is(ev, S("m.room.join_rules"), S(""));
}

/* The refused events of the key that some state has. */
static err *collect(struct losses *ls, const struct res_conflict *c)
{
	struct res *r = ls->r;
	int64_t held;

	TRY(state_get(r->tree, r->a, ls->out, c->key[0], c->key[1], &held));
	for (size_t s = 0; s < r->n_roots; s++) {
		const struct event *ev = c->event[s] ? map_get_i(&r->refused, c->event[s]) : NULL;
		struct lost *l;

		if (!ev || c->event[s] == held || !matters(ev))
			continue;
		l = map_get_i(&ls->by_event, ev->nid);
		if (!l) {
			l = ARENA_NEW(r->a, struct lost);
			l->ev = ev;
			l->loss = (struct state_res_loss){ c->key[0], c->key[1], ev->nid, held, 0 };
			map_put_i(&ls->by_event, ev->nid, l);
			vec_push(r->a, &ls->all, l);
		}
		l->in |= UINT64_C(1) << s;
	}
	return NULL;
}

/* Does a state that has the lost event hold this one, too? */
static err *was_seen(const struct losses *ls, const struct lost *l, const int64_t key[2], int64_t event, bool *out)
{
	const struct res *r = ls->r;

	*out = false;
	for (size_t s = 0; s < r->n_roots && !*out; s++) {
		int64_t had = 0;

		if (l->in >> s & 1)
			TRY(state_get(r->tree, r->a, r->roots[s], key[0], key[1], &had));
		*out = had == event;
	}
	return NULL;
}

static err *is_below(const struct losses *ls, int64_t event, int64_t below, bool *out)
{
	struct auth_list chain;

	*out = false;
	TRY(auth_chain(ls->r->a, &ls->r->io->auth, &event, 1, &chain));
	for (size_t i = 0; i < chain.n && !*out; i++)
		*out = chain.p[i] == below;
	return NULL;
}

/* Under one key that the rules asked for: did something unseen take the place of the event's own auth event? */
static err *cause_under(struct losses *ls, const struct lost *of, const struct event *ev, const struct auth_list *auth,
			const struct state_key *asked, int64_t *out)
{
	struct res *r = ls->r;
	const struct event *own;
	int64_t key[2], now;
	bool known, seen = true;

	*out = 0;
	TRY(res_key(r, asked->type, asked->state_key, key, &known));
	if (!known)
		return NULL;
	TRY(state_get(r->tree, r->a, ls->out, key[0], key[1], &now));
	TRY(res_among(r, auth, asked->type, asked->state_key, &own));
	if (now == 0 || now == ev->nid || (own && own->nid == now))
		return NULL;
	TRY(was_seen(ls, of, key, now, &seen));
	if (!seen)
		TRY(is_below(ls, ev->nid, now, &seen));
	*out = seen ? 0 : now;
	return NULL;
}

/* From the event up its auth events, as far as they were refused, too, until a cause is found. */
static err *find_cause(struct losses *ls, struct lost *of)
{
	struct res *r = ls->r;
	const struct event *path[FAR_ENOUGH] = { of->ev };
	size_t n_path = 1;
	int64_t cause = 0;

	for (size_t at = 0; at < n_path && !cause; at++) {
		const struct event *ev = path[at];
		struct state_key asked[AUTH_LOOKUPS_MAX];
		const size_t n = auth_lookups(r->rv, ev->type, ev->state_key, ev->sender, ev->content, asked);
		struct auth_list auth;

		TRY(r->io->auth.auth_events(r->io->auth.ctx, r->a, &ev->nid, 1, &auth));
		for (size_t i = 0; i < n && !cause; i++)
			TRY(cause_under(ls, of, ev, &auth, &asked[i], &cause));
		for (size_t i = 0; i < auth.n && n_path < FAR_ENOUGH; i++) {
			const struct event *below = map_get_i(&r->refused, auth.p[i]);

			for (size_t k = 0; k < n_path && below; k++)
				if (path[k] == below)
					below = NULL;
			if (below)
				path[n_path++] = below;
		}
	}
	of->loss.cause = cause;
	return NULL;
}

static int by_number(const void *p, const void *q)
{
	const struct lost *x = *(const struct lost *const *)p, *y = *(const struct lost *const *)q;

	return x->loss.lost < y->loss.lost ? -1 : x->loss.lost > y->loss.lost;
}

err *res_losses(struct res *r, struct state_root out)
{
	struct losses ls = { .r = r, .out = out };
	struct state_res_loss *losses;
	size_t n;
	void *value;
	str key;

	if (r->refused.n == 0)
		return NULL;
	map_init(&ls.by_event, r->a);
	for (size_t i = 0; map_next(&r->conflicts, &i, &key, &value);)
		TRY(collect(&ls, value));
	if (ls.all.n == 0)
		return NULL;
	qsort(ls.all.p, ls.all.n, sizeof(*ls.all.p), by_number);
	n = MIN(ls.all.n, STATE_RES_MAX_LOSSES);
	losses = ARENA_ARRAY(r->a, struct state_res_loss, n);
	for (size_t i = 0; i < n; i++) {
		TRY(find_cause(&ls, ls.all.p[i]));
		losses[i] = ls.all.p[i]->loss;
	}
	r->facts.losses = losses;
	r->facts.n_losses = n;
	r->facts.lost = ls.all.n;
	return NULL;
}
