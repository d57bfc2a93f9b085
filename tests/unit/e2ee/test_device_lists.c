/*
 * test_device_lists.c - who is told that whose keys changed, against a slow model.
 *
 * People come into rooms and leave them, change their keys and sign one another; clients ask now and then, for any
 * position that they may have reached, and lose some answers. The model remembers the whole past. A client that has
 * caught up must have looked up everybody with whom it shares a room after that one's keys last changed, and after they
 * began to share it; it must not have been told that somebody left with whom it shares a room, but of everybody with
 * whom it no longer does; and never of people whom it cannot know of.
 */
#include "store/both.h"

#include "test.h"

#include "bus/bus.h"
#include "e2ee/device_lists.h"
#include "store/device_lists.h"
#include "store/membership.h"
#include "store/tx.h"

enum { USERS = 6, ROOMS = 4, CLIENTS = 9, STEPS_MAX = 6000, FIRST_USER = 100, FIRST_ROOM = 200 };

struct moment { /* after a step */
	int64_t position;
	uint8_t is[USERS][ROOMS]; /* enum membership */
	int versions[USERS];      /* of their keys */
	int signatures[USERS][USERS];
};
struct follower {
	size_t viewer, token; /* token: the moment up to which it was told */
	int known[USERS];     /* the version that it looked up; -1: none */
	size_t told[USERS];   /* the moment as of which it was told to, or that it knows of nobody */
	int known_signatures[USERS];
};
struct model {
	struct both *b;
	struct bus *bus;
	struct e2ee *e;
	struct moment *past;
	size_t n;
	struct follower followers[CLIENTS];
	uint64_t seed;
	uint64_t told, left; /* that anything was tested at all */
};

static uint64_t draw(struct model *m, uint64_t n)
{
	m->seed = m->seed * 6364136223846793005u + 1442695040888963407u;
	return (m->seed >> 33) % n;
}

static struct moment *now_of(struct model *m) { return &m->past[m->n - 1]; }

static bool shares(const struct moment *t, size_t u, size_t v)
{
	for (size_t r = 0; r < ROOMS; r++)
		if (t->is[u][r] == MEMBER_JOIN && t->is[v][r] == MEMBER_JOIN)
			return true;
	return false;
}

/* What a member sees of a room: everybody who ever was anything in it. */
static bool could_see(const struct model *m, size_t v, size_t u)
{
	for (size_t r = 0; r < ROOMS; r++) {
		bool known = false;

		for (size_t i = 0; i < m->n; i++) {
			known = known || m->past[i].is[u][r] != MEMBER_NONE;
			if (known && m->past[i].is[v][r] == MEMBER_JOIN)
				return true;
		}
	}
	return false;
}

/*
 * Steps
 */
struct change {
	enum { MOVE, KEYS, SIGN } what;
	size_t user, room, other;
	enum membership to;
	struct device_list_note note;
};

static err *change_late(struct tx *tx, void *arg)
{
	struct change *c = arg;
	struct member_row row = { .room = FIRST_ROOM + (int64_t)c->room,
				  .user = FIRST_USER + (int64_t)c->user,
				  .membership = c->to };
	const int64_t other = FIRST_USER + (int64_t)c->other;

	c->note.user = FIRST_USER + (int64_t)c->user;
	switch (c->what) {
	case MOVE:
		TRY(tx_position(tx, &row.stream));
		row.since = c->note.position = row.stream;
		return store_member_save(tx, &row);
	case KEYS:
		return device_list_note_write(tx, &c->note);
	case SIGN:
		return device_list_signed_write(tx, &c->note, &other, 1);
	}
	return NULL;
}

static void step(struct model *m, struct change c)
{
	struct moment *t = &m->past[m->n];
	AUTO_ARENA a = arena_new();
	struct ticket *ticket;

	assert_true(m->n < STEPS_MAX);
	c.note.a = a;
	both_ok(store_write(m->b->st, a, &(struct piece){ .late = change_late, .arg = &c }, &ticket));
	both_ok(store_wait(a, ticket));
	*t = m->n ? m->past[m->n - 1] : (struct moment){ 0 };
	t->position = c.note.position;
	if (c.what == MOVE)
		t->is[c.user][c.room] = (uint8_t)c.to;
	else if (c.what == KEYS)
		t->versions[c.user]++;
	else
		t->signatures[c.user][c.other]++;
	m->n++;
}

static void random_step(struct model *m)
{
	static const enum membership ways[][4] = {
		[MEMBER_NONE] = { MEMBER_JOIN, MEMBER_JOIN, MEMBER_INVITE, MEMBER_BAN },
		[MEMBER_JOIN] = { MEMBER_LEAVE, MEMBER_LEAVE, MEMBER_BAN, MEMBER_JOIN },
		[MEMBER_INVITE] = { MEMBER_JOIN, MEMBER_JOIN, MEMBER_LEAVE, MEMBER_BAN },
		[MEMBER_LEAVE] = { MEMBER_JOIN, MEMBER_INVITE, MEMBER_KNOCK, MEMBER_BAN },
		[MEMBER_BAN] = { MEMBER_LEAVE, MEMBER_LEAVE, MEMBER_LEAVE, MEMBER_LEAVE },
		[MEMBER_KNOCK] = { MEMBER_INVITE, MEMBER_LEAVE, MEMBER_BAN, MEMBER_JOIN },
	};
	struct change c = { .user = draw(m, USERS), .room = draw(m, ROOMS), .other = draw(m, USERS) };
	const uint64_t what = draw(m, 10);

	c.what = what < 6 ? MOVE : what < 9 || c.user == c.other ? KEYS : SIGN;
	c.to = ways[now_of(m)->is[c.user][c.room]][draw(m, 4)];
	step(m, c);
}

/*
 * Clients
 */

/* Looks up the keys of everybody with whom it shares a room, as after a first answer. */
static void begin_to_follow(struct model *m, struct follower *f, size_t viewer)
{
	f->viewer = viewer;
	f->token = m->n - 1;
	for (size_t u = 0; u < USERS; u++) {
		f->known[u] = u == viewer || shares(now_of(m), u, viewer) ? now_of(m)->versions[u] : -1;
		f->known_signatures[u] = now_of(m)->signatures[viewer][u];
		f->told[u] = m->n - 1;
	}
}

/* Rooms of which the bus would say that somebody came or went; and others. */
static void touched(struct model *m, const struct follower *f, struct device_lists_ask *ask, int64_t rooms[ROOMS])
{
	if (draw(m, 2))
		return;
	for (size_t r = 0; r < ROOMS; r++) {
		bool moved = draw(m, 3) == 0;

		for (size_t i = f->token; i + 1 < m->n; i++)
			for (size_t u = 0; u < USERS; u++)
				moved = moved || m->past[i].is[u][r] != m->past[i + 1].is[u][r];
		if (moved)
			rooms[ask->n_rooms++] = FIRST_ROOM + (int64_t)r;
	}
	ask->rooms = rooms;
	ask->own_same = true;
	for (size_t i = f->token; i + 1 < m->n; i++)
		if (memcmp(m->past[i].is[f->viewer], m->past[i + 1].is[f->viewer], ROOMS) != 0)
			ask->own_same = false;
}

static bool has(const int64_t *list, size_t n, size_t user)
{
	for (size_t i = 0; i < n; i++)
		if (list[i] == FIRST_USER + (int64_t)user)
			return true;
	return false;
}

static size_t departures(const struct model *m, size_t from, size_t user, size_t room)
{
	size_t n = 0;

	for (size_t i = from; i + 1 < m->n; i++)
		n += m->past[i].is[user][room] == MEMBER_JOIN && m->past[i + 1].is[user][room] != MEMBER_JOIN;
	return n;
}

/*
 * Did the two share a room at `from` or later, and part in a way that can be told: neither left it a second time? (The
 * server remembers the last join of each that ended.)
 */
static bool parted(const struct model *m, size_t from, size_t u, size_t v)
{
	size_t last = m->n - 1;

	while (last > from && !shares(&m->past[last], u, v))
		last--;
	for (size_t r = 0; r < ROOMS; r++)
		if (m->past[last].is[u][r] == MEMBER_JOIN && m->past[last].is[v][r] == MEMBER_JOIN &&
		    departures(m, last, u, r) <= 1 && departures(m, last, v, r) <= 1)
			return true;
	return false;
}

/* Was `u` ever in a room in which `v` was then, or came to be? Who comes after one has gone is none of one's business.
 */
static bool could_meet(const struct model *m, size_t v, size_t u)
{
	for (size_t r = 0; r < ROOMS; r++) {
		bool was = false;

		for (size_t i = 0; i < m->n; i++) {
			was = was || m->past[i].is[u][r] == MEMBER_JOIN;
			if (was && m->past[i].is[v][r] == MEMBER_JOIN)
				return true;
		}
	}
	return false;
}

static void check_told(struct model *m, const struct follower *f, const struct device_lists *l)
{
	const size_t v = f->viewer;

	for (size_t u = 0; u < USERS; u++) {
		const bool changed = has(l->changed, l->n_changed, u), left = has(l->left, l->n_left, u);

		assert_false(changed && left);
		ok(!left || (u != v && !shares(now_of(m), u, v)), "%zu is told that %zu left, and shares a room", v, u);
		ok(u == v || (!changed && !left) || could_see(m, v, u) || now_of(m)->signatures[v][u],
		   "%zu cannot know of %zu", v, u);
		ok(!left || could_meet(m, v, u), "%zu is told that %zu left, and never met them", v, u);
	}
}

static void check_caught_up(struct model *m, const struct follower *f)
{
	for (size_t u = 0; u < USERS; u++) {
		if (u == f->viewer || shares(now_of(m), u, f->viewer))
			ok(f->known[u] == now_of(m)->versions[u], "%zu has keys %d of %zu, who has %d by now",
			   f->viewer, f->known[u], u, now_of(m)->versions[u]);
		else
			ok(f->known[u] < 0 || !parted(m, f->told[u], u, f->viewer), "%zu is not told that %zu left",
			   f->viewer, u);
		assert_int_equal(f->known_signatures[u], now_of(m)->signatures[f->viewer][u]);
	}
}

static void ask(struct model *m, struct follower *f)
{
	const size_t upto = draw(m, 3) ? m->n - 1 : f->token + draw(m, m->n - f->token);
	struct device_lists_ask q = { .viewer = FIRST_USER + (int64_t)f->viewer,
				      .above = m->past[f->token].position,
				      .upto = m->past[upto].position };
	int64_t rooms[ROOMS];
	struct device_lists l;
	AUTO_ARENA a = arena_new();
	AUTO_TX tx = NULL;

	touched(m, f, &q, rooms);
	both_ok(store_read(m->b->st, a, &tx));
	both_ok(device_lists_between(m->e, tx, &q, &l));
	check_told(m, f, &l);
	m->told += l.n_changed;
	m->left += l.n_left;
	if (draw(m, 5) == 0) /* the answer is lost */
		return;
	f->token = upto;
	for (size_t u = 0; u < USERS; u++) {
		if (has(l.changed, l.n_changed, u)) {
			f->known[u] = now_of(m)->versions[u];
			f->known_signatures[u] = now_of(m)->signatures[f->viewer][u];
			f->told[u] = upto;
		}
		if (has(l.left, l.n_left, u))
			f->known[u] = -1;
	}
	if (upto != m->n - 1)
		return;
	check_caught_up(m, f);
	/* Nobody has to keep what concerns them no more: who shares a room again has to be told of. */
	for (size_t u = 0; u < USERS; u++)
		if (u != f->viewer && !shares(now_of(m), u, f->viewer))
			f->known[u] = -1;
}

static void open_e2ee(struct model *m)
{
	m->bus = bus_new(100);
	m->e = e2ee_new(&(struct e2ee_options){ .store = m->b->st, .bus = m->bus, .server_name = S("x.org") });
}

static void close_e2ee(struct model *m)
{
	e2ee_free(&m->e);
	bus_free(&m->bus);
}

static void follow(struct both *b, uint64_t seed, size_t steps)
{
	struct model m = { .b = b, .seed = seed, .past = mem_zalloc(STEPS_MAX * sizeof(struct moment)) };

	open_e2ee(&m);
	step(&m, (struct change){ .what = KEYS });
	for (size_t i = 0; i < 20; i++)
		random_step(&m);
	for (size_t i = 0; i < CLIENTS; i++)
		begin_to_follow(&m, &m.followers[i], i % USERS);
	while (m.n < steps) {
		for (uint64_t i = 0, n = draw(&m, 6); i < n; i++)
			random_step(&m);
		for (uint64_t i = 0, n = draw(&m, 4); i < n; i++)
			ask(&m, &m.followers[draw(&m, CLIENTS)]);
		if (draw(&m, 40) == 0)
			begin_to_follow(&m, &m.followers[draw(&m, CLIENTS)], draw(&m, USERS));
		if (draw(&m, 400) == 0) {
			close_e2ee(&m);
			both_reopen(b);
			open_e2ee(&m);
		}
	}
	ok(m.told > steps / 4 && m.left > steps / 40, "told %d, left %d", (int)m.told, (int)m.left);
	close_e2ee(&m);
	mem_free(m.past);
}

static void nobody_is_forgotten(struct both *b) { follow(b, 1, b->pg ? 800 : 3000); }
BOTH(nobody_is_forgotten)

static void with_other_seeds(void **state)
{
	(void)state;
	for (uint64_t seed = 2; seed <= 20; seed++) {
		struct both b;

		both_begin(&b, false);
		follow(&b, seed, 2500);
		both_end(&b);
	}
}

/*
 * Single cases
 */
/* from: a moment; 0: the token says nothing here. */
static size_t changed_of(struct model *m, size_t viewer, size_t from, struct device_lists *l)
{
	const struct device_lists_ask q = { .viewer = FIRST_USER + (int64_t)viewer,
					    .above = from ? m->past[from].position : 0,
					    .upto = now_of(m)->position };
	AUTO_TX tx = NULL;

	both_ok(store_read(m->b->st, m->b->a, &tx));
	both_ok(device_lists_between(m->e, tx, &q, l));
	return l->n_changed;
}

static void move(struct model *m, size_t user, size_t room, enum membership to)
{
	step(m, (struct change){ .what = MOVE, .user = user, .room = room, .to = to });
}

static void tells_what_the_specification_says(struct both *b)
{
	struct model m = { .b = b, .past = mem_zalloc(STEPS_MAX * sizeof(struct moment)) };
	struct device_lists l;
	size_t from;

	open_e2ee(&m);
	move(&m, 0, 0, MEMBER_JOIN);
	move(&m, 1, 0, MEMBER_JOIN);
	move(&m, 2, 1, MEMBER_JOIN);
	/* "who now share an encrypted room with the client": another room with the same one is no news. */
	from = m.n - 1;
	move(&m, 0, 2, MEMBER_JOIN);
	move(&m, 1, 2, MEMBER_JOIN);
	assert_int_equal(changed_of(&m, 0, from, &l), 0);
	/* Neither is a change of who shares none. */
	step(&m, (struct change){ .what = KEYS, .user = 2 });
	assert_int_equal(changed_of(&m, 0, from, &l), 0);
	/* Of the two rooms that are shared one remains. */
	from = m.n - 1;
	move(&m, 1, 0, MEMBER_LEAVE);
	assert_int_equal(changed_of(&m, 0, from, &l), 0);
	assert_int_equal(l.n_left, 0);
	move(&m, 1, 2, MEMBER_BAN);
	assert_int_equal(changed_of(&m, 0, from, &l), 0);
	ok(l.n_left == 1 && has(l.left, 1, 1), "%zu left", l.n_left);
	/* Who turns down an invitation learns of nobody. */
	from = m.n - 1;
	move(&m, 3, 1, MEMBER_INVITE);
	move(&m, 3, 1, MEMBER_LEAVE);
	assert_int_equal(changed_of(&m, 3, from, &l), 0);
	assert_int_equal(l.n_left, 0);
	/* Nor does who is in the room lose anybody. */
	assert_int_equal(changed_of(&m, 2, from, &l), 0);
	assert_int_equal(l.n_left, 0);
	/* One's own other devices. */
	step(&m, (struct change){ .what = KEYS, .user = 3 });
	ok(changed_of(&m, 3, from, &l) == 1 && has(l.changed, 1, 3), "not told of own keys");
	/* Who left before learns nothing from being banned. */
	move(&m, 4, 1, MEMBER_JOIN);
	move(&m, 4, 1, MEMBER_LEAVE);
	from = m.n - 1;
	move(&m, 4, 1, MEMBER_BAN);
	assert_int_equal(changed_of(&m, 4, from, &l), 0);
	assert_int_equal(l.n_left, 0);
	/* A token of another history: everybody who shares a room, and oneself. */
	move(&m, 3, 1, MEMBER_JOIN);
	ok(changed_of(&m, 3, 0, &l) == 2 && has(l.changed, 2, 2) && has(l.changed, 2, 3), "%zu changed", l.n_changed);
	close_e2ee(&m);
	mem_free(m.past);
}
BOTH(tells_what_the_specification_says)

/* More came than are compared: they are told without looking whether they share another room. */
static err *many_join(struct tx *tx, void *arg)
{
	const int64_t from = *(int64_t *)arg;

	for (int64_t i = 0; i < 600; i++) {
		struct member_row row = { .room = FIRST_ROOM, .user = 1000 + from + i, .membership = MEMBER_JOIN };

		TRY(tx_position(tx, &row.stream));
		row.since = row.stream;
		TRY(store_member_save(tx, &row));
	}
	return NULL;
}

static void a_large_room_is_told_whole(struct both *b)
{
	struct model m = { .b = b, .past = mem_zalloc(STEPS_MAX * sizeof(struct moment)) };
	struct device_lists l;
	size_t from;

	open_e2ee(&m);
	for (int64_t k = 0; k < 2; k++) {
		int64_t first = k * 600;
		struct ticket *ticket;

		both_ok(store_write(b->st, b->a, &(struct piece){ .late = many_join, .arg = &first, .positions = 600 },
				    &ticket));
		both_ok(store_wait(b->a, ticket));
	}
	step(&m, (struct change){ .what = KEYS });
	step(&m, (struct change){ .what = KEYS });
	from = m.n - 1;
	move(&m, 1, 0, MEMBER_JOIN);
	assert_int_equal(changed_of(&m, 1, from, &l), 1200);
	from = m.n - 1;
	move(&m, 1, 0, MEMBER_LEAVE);
	assert_int_equal(changed_of(&m, 1, from, &l), 0);
	assert_int_equal(l.n_left, 1200);
	close_e2ee(&m);
	mem_free(m.past);
}
BOTH(a_large_room_is_told_whole)

TEST_MAIN(BOTH_TESTS(tells_what_the_specification_says), BOTH_TESTS(nobody_is_forgotten),
	  cmocka_unit_test(with_other_seeds), BOTH_TESTS(a_large_room_is_told_whole))
