/*
 * test_device.c - what /sync tells a device of itself: messages sent to it, how many keys it has left, and whose
 * devices changed; with what the bus knows, and without.
 */
#include "test.h"

#include "synced.h"

#include "e2ee/device_lists.h"
#include "store/devices.h"

struct add {
	int64_t user;
	str device_id;
};

static err *add_device(struct tx *tx, void *arg)
{
	const struct add *d = arg;
	bool added;

	return store_device_add(tx, &(struct device_row){ .user = d->user, .device_id = d->device_id }, &added);
}

/* With the device that its tokens name. */
static struct actor person(struct world *w, const char *name)
{
	struct actor by = who(w, name);

	good(store_do(w->b->st, w->a, add_device, &(struct add){ by.user, by.device_id }));
	return by;
}

static void tell(struct synced *t, struct actor from, struct actor to, int n)
{
	const str messages = arena_printf(t->w->a, "{'%.*s':{'DEV':{'n':%d}}}", STR_ARG(to.user_id), n);
	const struct to_device_cmd cmd = { .sender = from.user,
					   .sender_id = from.user_id,
					   .device_id = from.device_id,
					   .type = S("m.test"),
					   .messages = js(t->w->a, messages.p) };

	good(to_device_send(t->e2ee, t->w->a, &cmd));
}

static struct client client_of(struct actor by) { return (struct client){ .by = by }; }

static const struct json *messages(const struct json *answer) { return events_of(answer, "to_device"); }

static void one_part_after_another(struct synced *t)
{
	struct world *w = t->w;
	const struct actor alice = person(w, "alice"), bob = person(w, "bob");
	struct client c = client_of(bob);
	struct sync_token token;
	const struct json *got;
	int64_t next = 0;

	(void)ask(t, &c);
	for (int i = 0; i < 250; i++)
		tell(t, alice, bob, i);
	for (size_t part = 0; part < 3; part++) {
		const str before = c.token;

		got = ask(t, &c);
		assert_int_equal(count(messages(got)), part < 2 ? 100 : 50);
		assert_true(sync_token_read(c.token, &token));
		assert_int_equal(token.to_device < token.stream, part < 2);
		/* Lost, and asked for again; once over a restart. */
		if (part == 1)
			synced_restart(t);
		c.token = before;
		got = ask(t, &c);
		JSON_ITEMS (messages(got), i) {
			int64_t n;

			ok(json_get_int(json_get(messages(got)->array.items[i], S("content")), S("n"), &n) && n == next,
			   "out of order at %d", (int)next);
			next++;
		}
	}
	assert_int_equal(next, 250);
	assert_int_equal(cost(t, &c, false), 0);
}
SYNCED(one_part_after_another)

static void nothing_new_asks_nothing(struct synced *t)
{
	struct world *w = t->w;
	const struct actor alice = person(w, "alice"), bob = person(w, "bob");
	struct client c = client_of(bob);

	(void)ask(t, &c);
	(void)ask(t, &c);
	assert_int_equal(cost(t, &c, false), 0);
	tell(t, alice, bob, 1);
	assert_true(cost(t, &c, true) <= 2);
	assert_int_equal(cost(t, &c, false), 0);
	assert_int_equal(cost(t, &c, false), 0);
	/* Of somebody else. */
	tell(t, bob, alice, 1);
	assert_int_equal(cost(t, &c, false), 0);
}
SYNCED(nothing_new_asks_nothing)

/*
 * Device lists: real rooms, and what the bus knows of them
 */
enum { PEOPLE = 5, PLACES = 3 };

struct town {
	struct synced *t;
	struct actor people[PEOPLE];
	str rooms[PLACES];
	int versions[PEOPLE];
	struct client clients[PEOPLE];
	int known[PEOPLE][PEOPLE]; /* by client */
	uint64_t seed;
	int told;
};

static uint64_t draw(struct town *o, uint64_t n)
{
	o->seed = o->seed * 6364136223846793005u + 1442695040888963407u;
	return (o->seed >> 33) % n;
}

static err *note_late(struct tx *tx, void *arg) { return device_list_note_write(tx, arg); }

static void change_keys(struct town *o, size_t who_)
{
	struct world *w = o->t->w;
	struct device_list_note note = { .user = o->people[who_].user, .a = w->a };
	struct ticket *ticket;

	/* As a piece's `after` would, but on this thread: the bus is told before anybody asks. */
	good(store_write(w->b->st, w->a, &(struct piece){ .late = note_late, .arg = &note }, &ticket));
	good(store_wait(w->a, ticket));
	device_list_note_tell(w->bus, &note);
	o->versions[who_]++;
}

static bool shares(struct town *o, size_t x, size_t y)
{
	bool is;
	AUTO_TX tx = NULL;

	good(store_read(o->t->w->b->st, o->t->w->a, &tx));
	good(store_share_room(tx, o->people[x].user, o->people[y].user, &is));
	return is;
}

static void look_up_all(struct town *o, size_t c)
{
	for (size_t u = 0; u < PEOPLE; u++)
		o->known[c][u] = u == c || shares(o, c, u) ? o->versions[u] : -1;
}

static void follow(struct town *o, size_t c)
{
	const struct json *lists = json_get(ask(o->t, &o->clients[c]), S("device_lists"));

	for (size_t u = 0; u < PEOPLE; u++) {
		const bool shared = u == c || shares(o, c, u);

		if (json_lists(json_get(lists, S("changed")), o->people[u].user_id)) {
			o->known[c][u] = o->versions[u];
			o->told++;
		}
		if (json_lists(json_get(lists, S("left")), o->people[u].user_id)) {
			ok(!shared, "%zu is told that %zu left", c, u);
			o->known[c][u] = -1;
		}
		ok(!shared || o->known[c][u] == o->versions[u], "%zu has keys %d of %zu, who has %d", c, o->known[c][u],
		   u, o->versions[u]);
		if (!shared)
			o->known[c][u] = -1;
	}
}

static void something(struct town *o)
{
	struct world *w = o->t->w;
	const size_t u = draw(o, PEOPLE), r = draw(o, PLACES), other = draw(o, PEOPLE);
	const err *e = NULL; /* what is not allowed just does not happen */

	switch (draw(o, 8)) {
	case 0:
	case 1:
		e = join(w, o->people[u], o->rooms[r]);
		break;
	case 2:
		e = member(w, room_leave, o->people[u], o->rooms[r], NULL);
		break;
	case 3:
		e = member(w, room_kick, o->people[0], o->rooms[r], arena_printf(w->a, "u%zu", other).p);
		break;
	case 4:
		e = member(w, room_invite, o->people[u], o->rooms[r], arena_printf(w->a, "u%zu", other).p);
		break;
	case 5:
		if (membership_now(w, o->rooms[r], arena_printf(w->a, "u%zu", u).p) == MEMBER_JOIN)
			(void)say(w, o->people[u], o->rooms[r], "hello");
		break;
	default:
		change_keys(o, u);
	}
	(void)e;
}

static void nobody_is_forgotten(struct synced *t)
{
	struct town o = { .t = t, .seed = 11 };
	struct world *w = t->w;
	const size_t steps = w->b->pg ? 200 : 600;

	for (size_t i = 0; i < PEOPLE; i++)
		o.people[i] = person(w, arena_printf(w->a, "u%zu", i).p);
	for (size_t i = 0; i < PLACES; i++)
		o.rooms[i] = make_room(w, o.people[0], "{'preset':'public_chat'}");
	for (size_t i = 0; i < PEOPLE; i++) {
		o.clients[i] = client_of(o.people[i]);
		(void)ask(t, &o.clients[i]);
		look_up_all(&o, i);
	}
	for (size_t n = 0; n < steps; n++) {
		something(&o);
		for (uint64_t k = draw(&o, 3); k > 0; k--)
			follow(&o, draw(&o, PEOPLE));
		if (draw(&o, 60) == 0)
			synced_restart(t);
	}
	ok(o.told > (int)steps / 4, "told %d", o.told);
}
SYNCED(nobody_is_forgotten)

TEST_MAIN(SYNCED_TESTS(one_part_after_another), SYNCED_TESTS(nothing_new_asks_nothing),
	  SYNCED_TESTS(nobody_is_forgotten))
