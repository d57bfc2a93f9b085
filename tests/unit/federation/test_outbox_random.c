/*
 * test_outbox_random.c - any outages, restarts, crashes and comings and goings: every server gets every event of ours
 * from the rooms that it was in, each room's in their order, and none of others.
 */
#include "outbox_world.h"

#include "base/rand.h"

enum { SERVERS = 5, STEPS = 220, ROUNDS = 3 };

struct due { /* what a server is to get of a room, in its order */
	VEC(int64_t) list;
};
struct story {
	struct ow *w;
	bool in[SERVERS][ROOMS];
	struct due due[SERVERS][ROOMS];
	str told; /* what was done, for who has to find out */
};

static uint64_t upto(uint64_t n) { return rand_u64() % n; }

static void note(struct story *s, size_t room, int64_t event, const bool was[SERVERS])
{
	for (size_t i = 0; i < SERVERS; i++)
		if (was[i] || s->in[i][room])
			vec_push(s->w->b->a, &s->due[i][room].list, event);
}

static void members_of(const struct story *s, size_t room, bool out[SERVERS])
{
	for (size_t i = 0; i < SERVERS; i++)
		out[i] = s->in[i][room];
}

static const char *speak(struct story *s)
{
	const size_t room = upto(ROOMS), n = upto(10) ? 1 : upto(120);
	bool was[SERVERS];

	members_of(s, room, was);
	for (size_t i = 0; i < n; i++)
		note(s, room, say(s->w, room), was);
	return n == 1 ? "say" : "say much";
}

static const char *move(struct story *s)
{
	const size_t room = upto(ROOMS), i = upto(SERVERS);
	bool was[SERVERS];

	if (!s->in[i][room]) {
		enter(s->w, room, &s->w->peers[i]);
		s->in[i][room] = true;
		return "enter";
	}
	members_of(s, room, was);
	s->in[i][room] = false;
	note(s, room, kick(s->w, room, &s->w->peers[i]), was);
	return "kick";
}

/* A commit that the outbox is not told of, since the process ends. */
static const char *lost_tale(struct story *s)
{
	const size_t room = upto(ROOMS);
	bool was[SERVERS];
	int64_t at;

	members_of(s, room, was);
	note(s, room, ow_write(s->w, room, NULL, NULL, S("@u:test"), &at), was);
	ow_restart(s->w, true);
	return "write and crash";
}

static const char *break_or_mend(struct story *s)
{
	static const int statuses[] = { 0, 0, 500, 502, 403, 400, 200, 200, 200 };
	struct peer *p = &s->w->peers[upto(SERVERS)];

	WITH(s->w, p->status = statuses[upto(ARRAY_LEN(statuses))]; p->loses = upto(4) == 0);
	return "break or mend";
}

static const char *hang(struct story *s)
{
	struct peer *p = &s->w->peers[upto(SERVERS)];

	if (!p->holds) {
		WITH(s->w, p->holds = true);
		return "hang";
	}
	let_go(s->w, p);
	return "let go";
}

static const char *restart(struct story *s)
{
	const bool crash = upto(2);

	ow_restart(s->w, crash);
	return crash ? "crash" : "restart";
}

static const char *wait_a_while(struct story *s)
{
	static const int64_t spans[] = { 100, 1000, 3000, 20000, 700000 };

	pass(s->w, spans[upto(ARRAY_LEN(spans))]);
	return "wait";
}

static void step(struct story *s)
{
	static const char *(*const kinds[])(struct story * s) = { speak,   speak,     speak,        speak,
								  move,    move,      hang,         break_or_mend,
								  restart, lost_tale, wait_a_while, wait_a_while };
	const size_t k = upto(ARRAY_LEN(kinds));
	/* Restarts are dear. */
	const size_t kind = (k == 8 || k == 9) && upto(3) ? 0 : k;

	s->told = arena_join3(s->w->b->a, s->told, S(", "), str_c(kinds[kind](s)));
}

static void mend_all(struct ow *w)
{
	for (size_t i = 0; i < SERVERS; i++) {
		WITH(w, w->peers[i].status = 200; w->peers[i].loses = false);
		if (w->peers[i].holds)
			let_go(w, &w->peers[i]);
	}
	for (int i = 0; i < 8; i++)
		pass(w, 4000000);
}

/* Each room's events for the first time in their order, all of them. */
static void check(const struct story *s, size_t i)
{
	const struct peer *p = &s->w->peers[i];
	size_t total = 0;

	for (size_t r = 0; r < ROOMS; r++) {
		const struct due *due = &s->due[i][r];
		size_t at = 0;

		total += due->list.n;
		for (size_t k = 0; k < p->n_got && at < due->list.n; k++)
			at += p->got[k] == due->list.p[at];
		ok(at == due->list.n, "%.*s never got event %d of room %d, or not in its order\n%.*s", STR_ARG(p->name),
		   (int)due->list.p[at], (int)r, STR_ARG(s->told));
	}
	ok(p->n_got == total, "%.*s got %d events where %d are its\n%.*s", STR_ARG(p->name), (int)p->n_got, (int)total,
	   STR_ARG(s->told));
}

static void nobody_misses_anything(struct ow *w)
{
	struct story s = { .w = w, .told = S("") };

	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < STEPS / ROUNDS; i++)
			step(&s);
		mend_all(w);
		for (size_t i = 0; i < SERVERS; i++)
			check(&s, i);
		ok(w->o->busy.next == &w->o->busy, "somebody has something to do\n%.*s", STR_ARG(s.told));
		ok(w->o->n_items == 0 && w->o->n_flights == 0, "something is left");
	}
}
OUTBOX(nobody_misses_anything)

TEST_MAIN(OUTBOX_TESTS(nobody_misses_anything))
