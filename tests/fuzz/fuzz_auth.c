/*
 * fuzz_auth.c - who may do what, in rooms made of bytes, in every version.
 *
 * A room grows event by event: what the rules allow becomes state. Of each verdict: it is the same when asked again and
 * in whatever order the state lies; it was made from what auth_lookups names; and what was allowed keeps the promises
 * that people rely on: nobody is given more power than who gave it had, nobody acts on one of equal power, only members
 * act, who is banned does not join. Now and then a refused event becomes state all the same (state resolution may leave
 * a room anywhere): then only the first two promises are asked for.
 */
#include "matrix/id.h"
#include "room.h"

enum { STATE_MAX = 48, STEPS = 40 };

struct state {
	const struct event *ev[STATE_MAX];
	size_t n;
	bool forced;
};
struct look {
	const struct state *s;
	struct state_key named[AUTH_LOOKUPS_MAX];
	size_t n_named;
	bool backwards;
};

static const struct event *held(const struct state *s, str type, str state_key)
{
	for (size_t i = 0; i < s->n; i++)
		if (event_is(s->ev[i], type, state_key))
			return s->ev[i];
	return NULL;
}

static const struct event *look_up(void *ctx, str type, str state_key)
{
	const struct look *l = ctx;
	bool named = false;

	for (size_t i = 0; i < l->n_named; i++)
		named = named || (str_eq(l->named[i].type, type) && str_eq(l->named[i].state_key, state_key));
	assert(named);
	return held(l->s, type, state_key);
}

static err *verdict(struct room *r, const struct state *s, const struct event *ev)
{
	struct look l = { .s = s };

	l.n_named = auth_lookups(r->rv, ev->type, ev->state_key, ev->sender, ev->content, l.named);
	assert(l.n_named <= AUTH_LOOKUPS_MAX);
	return auth_check(r->a, r->rv, ev, look_up, &l);
}

static void apply(struct state *s, const struct event *ev)
{
	for (size_t i = 0; i < s->n; i++)
		if (event_is(s->ev[i], ev->type, ev->state_key)) {
			s->ev[i] = ev;
			return;
		}
	if (s->n < STATE_MAX)
		s->ev[s->n++] = ev;
}

static struct power_levels levels(struct room *r, const struct state *s)
{
	return power_levels_of(r->rv, held(s, S("m.room.create"), S("")), held(s, S("m.room.power_levels"), S("")));
}

static str membership(const struct state *s, str user) { return event_membership(held(s, S("m.room.member"), user)); }

/* A new m.room.power_levels over an old one: no power out of nothing. */
static void check_no_gain(struct room *r, const struct state *before, const struct event *ev)
{
	const struct power_levels old = levels(r, before);
	const struct power_levels now = power_levels_of(r->rv, old.create, ev);
	const int64_t sender = power_of_user(&old, ev->sender), floor = MAX(power_of_user(&old, S("@nobody:else")), 0);

	for (size_t i = 0; i < ARRAY_LEN(room_users); i++) {
		const str user = room_users[i];
		const int64_t had = power_of_user(&old, user), has = power_of_user(&now, user);

		assert(has <= MAX(MAX(sender, had), floor));
		/* "If the current value is greater than or equal to the sender's current power level, reject." */
		if (!str_eq(user, ev->sender) && json_get(json_get(old.content, S("users")), user) && had >= sender)
			assert(has == had);
	}
	assert(power_of_user(&now, S("@nobody:else")) <= MAX(sender, floor));
	for (enum power_action act = POWER_INVITE; act <= POWER_REDACT; act++)
		if (power_for(&now, act) < power_for(&old, act)) /* made easier, by one who may do it anyway */
			assert(power_for(&old, act) <= MAX(sender, 50));
}

static void check_member(struct room *r, const struct state *before, const struct event *ev)
{
	const struct power_levels pl = levels(r, before);
	const int64_t sender = power_of_user(&pl, ev->sender), target = power_of_user(&pl, ev->state_key);
	const str to = event_membership(ev), was = membership(before, ev->state_key);
	const bool self = str_eq(ev->sender, ev->state_key), joined = str_eq(membership(before, ev->sender), S("join"));
	const bool first = ev->n_prev_events == 1 && str_eq(ev->prev_events[0], pl.create->event_id);

	assert(id_user_valid(ev->state_key));
	if (str_eq(to, S("join")))
		assert(first || (self && !str_eq(was, S("ban"))));
	else if (str_eq(to, S("ban")))
		assert(joined && target < sender && sender >= power_for(&pl, POWER_BAN));
	else if (str_eq(to, S("leave")))
		assert(self || (joined && target < sender && sender >= power_for(&pl, POWER_KICK)));
	else if (str_eq(to, S("knock")))
		assert(r->rv->knock && self && !str_eq(was, S("ban")) && !str_eq(was, S("join")));
	else
		assert(str_eq(to, S("invite")) && !str_eq(was, S("ban")) &&
		       (json_get(ev->content, S("third_party_invite")) || (joined && !str_eq(was, S("join")))));
}

static void check_promises(struct room *r, const struct state *before, const struct event *ev)
{
	const struct event *create = held(before, S("m.room.create"), S(""));
	const struct json *federate = create ? json_get(create->content, S("m.federate")) : NULL;
	const struct power_levels pl = levels(r, before);

	if (str_eq(ev->type, S("m.room.create"))) {
		assert(ev->n_prev_events == 0);
		return;
	}
	assert(create && !create->rejected && str_eq(ev->room_id, create->room_id));
	if (json_is(federate, JSON_BOOL) && !federate->b)
		assert(id_is_of(ev->sender, id_server(create->sender)));
	if (str_eq(ev->type, S("m.room.member"))) {
		check_member(r, before, ev);
		return;
	}
	if (str_eq(ev->type, S("m.room.aliases")) && r->rv->aliases_rule) {
		assert(id_is_of(ev->sender, ev->state_key));
		return;
	}
	assert(str_eq(membership(before, ev->sender), S("join")));
	if (str_eq(ev->type, S("m.room.third_party_invite"))) {
		assert(power_may(&pl, ev->sender, POWER_INVITE));
		return;
	}
	assert(power_may_send(&pl, ev->sender, ev->type, event_is_state(ev)));
	assert(!str_starts(ev->state_key, S("@")) || str_eq(ev->state_key, ev->sender));
	if (str_eq(ev->type, S("m.room.power_levels")) && pl.content)
		check_no_gain(r, before, ev);
}

/* The rules on auth_events: what the selection gives is accepted; a foreign, doubled, rejected or far one is not. */
static void check_auth_events(struct room *r, const struct state *s, struct event *ev)
{
	struct state_key keys[AUTH_KEYS_MAX];
	const size_t n_keys = auth_keys(r->rv, ev->type, ev->state_key, ev->sender, ev->content, keys);
	const struct event *list[AUTH_KEYS_MAX + 1];
	str ids[AUTH_KEYS_MAX + 1];
	bool good = true, create = r->rv->create_not_in_auth_events || str_eq(ev->type, S("m.room.create"));
	size_t n = 0;

	for (size_t i = 0; i < n_keys; i++) {
		const struct event *entry = held(s, keys[i].type, keys[i].state_key);

		if (!entry)
			continue;
		good = good && !entry->rejected && str_eq(entry->room_id, ev->room_id);
		create = create || str_eq(entry->type, S("m.room.create"));
		ids[n] = entry->event_id;
		list[n++] = entry;
	}
	ev->auth_events = ids;
	ev->n_auth_events = n;
	assert((auth_check_auth_events(r->a, r->rv, ev, list, n) == NULL) == (good && create));
	if (n > 0 && !str_eq(ev->type, S("m.room.create"))) { /* one twice */
		ids[n] = ids[0];
		list[n] = list[0];
		ev->n_auth_events = n + 1;
		assert(auth_check_auth_events(r->a, r->rv, ev, list, n + 1) != NULL);
	}
	ev->auth_events = NULL;
	ev->n_auth_events = 0;
}

static void step(struct room *r, struct state *s, struct event *ev)
{
	struct state turned = { .n = s->n };
	err *e = verdict(r, s, ev), *again;

	assert(!e || e->code == ERR_FORBIDDEN);
	for (size_t i = 0; i < s->n; i++)
		turned.ev[i] = s->ev[s->n - 1 - i];
	again = verdict(r, &turned, ev);
	assert((e == NULL) == (again == NULL) && (!e || str_eq(e->msg, again->msg)));
	check_auth_events(r, s, ev);
	if (!e && !s->forced)
		check_promises(r, s, ev);
	if (!event_is_state(ev) || ev->rejected)
		return;
	/* "m.room.create" passes its own rule; that a room has one is for the receiver to see. */
	if (!e && !str_eq(ev->type, S("m.room.create"))) {
		apply(s, ev);
	} else if (e && feed_once_in(r->f, 40)) {
		s->forced = true;
		apply(s, ev);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA a = arena_new();
	struct feed f = feed_of(data, size);
	struct state s = { 0 };
	struct room r;
	const struct event *last;

	room_init(&r, a, &f);
	last = room_create(&r);
	if (verdict(&r, &s, last))
		s.forced = true;
	apply(&s, last);
	for (size_t i = 0; i < STEPS && f.n > 0; i++) {
		struct event *ev = room_event(&r, last);

		step(&r, &s, ev);
		last = ev;
	}
	return 0;
}
