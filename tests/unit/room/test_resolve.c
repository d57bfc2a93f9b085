/*
 * test_resolve.c - what resolving costs in a room on a real store: a big room whose branches differ in five keys, cold
 * and warm; and branches that are still queued, which the index of auth chains has not got yet.
 */
#include "flat.h"
#include "room/big_room.h"
#include "store/gate.h"

struct branches {
	struct big_room big;
	str tip[2]; /* the last event of each */
};

static void grow(struct world *w, struct branches *f, const char *version, size_t members)
{
	const bool v12 = strcmp(version, "12") == 0;
	const str body = arena_printf(w->a, "{'preset':'public_chat','room_version':'%s'}", version);
	const str id = make_room(w, who(w, "alice"), body.p);
	const str alice_id = current(w, id, "m.room.member", "@alice:test")->event_id;
	struct big_room *b = &f->big;

	good(big_room_fill(b, w->rs, w->b->st, w->a, id, members));
	for (int branch = 0; branch < 2; branch++) {
		str prev = b->last_id;

		for (size_t i = 0; i < 5; i++) {
			const bool member = i < 3;
			const str user = member ? big_user(w->a, i) : S("@alice:test"),
				  mine = member ? big_member_id(b, i) : alice_id,
				  auth[] = { b->levels_id, mine, member ? b->rules_id : b->create_id, b->create_id };
			const str content =
				member   ? arena_printf(w->a, "{\"displayname\":\"branch %d\",\"membership\":\"join\"}",
							branch)
				: i == 3 ? arena_printf(w->a, "{\"topic\":\"branch %d\"}", branch)
					 : arena_printf(w->a, "{\"users\":{%s\"%.*s\":50}}",
							v12 ? "" : "\"@alice:test\":100,",
							STR_ARG(big_user(w->a, 10 + (size_t)branch)));
			const str type = member   ? S("m.room.member")
					 : i == 3 ? S("m.room.topic")
						  : S("m.room.power_levels");
			const struct event *ev = NULL;
			enum append_outcome out;

			good(big_forge(b, user, type, member ? user : S(""), content, prev, auth,
				       v12 ? 2 + (size_t)member : 3 + (size_t)member,
				       1700000100000 + 10 * (int64_t)i + branch, &ev));
			good(rooms_append_event(w->rs, w->a, ev, &out));
			assert_int_equal(out, APPEND_ACCEPTED);
			prev = ev->event_id;
		}
		f->tip[branch] = prev;
	}
}

struct cost {
	uint64_t cold, warm;
	size_t cold_bytes, warm_bytes;
};

static uint64_t resolve(struct world *w, const struct branches *f, size_t *out_bytes, struct state_root *out)
{
	AUTO_ARENA a = arena_new();
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;
	struct state_root roots[2];
	uint64_t before;
	size_t used;
	struct tx *tx;

	good(room_hold(w->rs, a, f->big.room_id, &room));
	good(room_tx(room, &tx));
	for (int i = 0; i < 2; i++)
		good(store_root_load(tx, room->nid, event_row(w, f->tip[i])->root_after, &roots[i]));
	draft_begin(room, &d);
	before = store_statements_here();
	used = arena_used(a);
	good(draft_resolve(d, roots, 2, out));
	*out_bytes = arena_used(a) - used;
	return store_statements_here() - before;
}

static void is_held(struct world *w, const struct branches *f, struct state_root root, const char *type,
		    const char *key, const char *field, const char *value)
{
	struct node_source src = { .cache = w->rs->node_cache, .room = f->big.room };
	const struct state_tree tree = node_source_tree(&src);
	int64_t t, k, nid;
	struct event_row *row;
	AUTO_TX tx = NULL;

	good(store_intern_find(w->b->st, w->a, str_c(type), &t));
	good(store_intern_find(w->b->st, w->a, str_c(key), &k));
	good(state_get(&tree, w->a, root, t, k, &nid));
	good(store_read(w->b->st, w->a, &tx));
	good(store_event_by_nid(tx, nid, &row));
	same_str(json_get_str(content_of(w, row), str_c(field)), str_c(value));
}

static struct cost cost_of(struct world *w, const char *version, size_t members)
{
	struct branches f = { 0 };
	struct state_root root;
	struct cost c;

	grow(w, &f, version, members);
	world_restart(w);
	f.big.rs = w->rs;
	c.cold = resolve(w, &f, &c.cold_bytes, &root);
	c.warm = resolve(w, &f, &c.warm_bytes, &root);
	print_message("%zu members, version %s: %d statements cold, %d warm; %zu and %zu bytes\n", members, version,
		      (int)c.cold, (int)c.warm, c.cold_bytes, c.warm_bytes);
	return c;
}

/* What is common to both branches costs nothing, however much it is: neither statements nor events, which would need
 * memory. */
static void five_keys(struct world *w, const char *version)
{
	const struct cost few = cost_of(w, version, 300), many = cost_of(w, version, 50000);

	ok(many.warm <= 18, "%d statements, warm", (int)many.warm);
	ok(many.warm <= few.warm + 1, "%d and %d statements, warm", (int)few.warm, (int)many.warm);
	ok(many.cold <= few.cold + 60, "%d and %d statements, cold", (int)few.cold, (int)many.cold); /* nodes */
	ok(many.warm_bytes < few.warm_bytes + few.warm_bytes / 2, "%zu and %zu bytes", few.warm_bytes, many.warm_bytes);
}
static void five_keys_of_50000_v11(struct world *w) { five_keys(w, "11"); }
WORLD(five_keys_of_50000_v11)
static void five_keys_of_50000_v12(struct world *w) { five_keys(w, "12"); }
WORLD(five_keys_of_50000_v12)

static void the_newest_wins(struct world *w)
{
	struct branches f = { 0 };
	struct state_root root;
	size_t bytes;

	grow(w, &f, "12", 300);
	(void)resolve(w, &f, &bytes, &root);
	is_held(w, &f, root, "m.room.member", "@user0:test", "displayname", "branch 1");
	is_held(w, &f, root, "m.room.topic", "", "topic", "branch 1");
	is_held(w, &f, root, "m.room.member", "@user200:test", "displayname", "User 200");
}
WORLD(the_newest_wins)

/*
 * Queued branches
 */
struct fork_step {
	const char *sender, *type, *key, *content;
	int prev; /* a step, or -1: the last of the room before */
};

/* Two branches: the moderator is banned on one, and changes much on the other before it; levels change twice. */
static const struct fork_step fork_steps[] = {
	{ "@alice:test", "m.room.power_levels", "", "{\"users\":{\"@mod:test\":75}}", -1 },
	{ "@alice:test", "m.room.power_levels", "", "{\"users\":{\"@mod:test\":50}}", 0 },
	{ "@bob:test", "m.room.member", "@bob:test", "{\"membership\":\"join\",\"displayname\":\"B\"}", 1 },
	{ "@mod:test", "m.room.topic", "", "{\"topic\":\"of mod\"}", -1 },
	{ "@mod:test", "m.room.member", "@bob:test", "{\"membership\":\"leave\"}", 3 },
	{ "@bob:test", "m.room.member", "@bob:test", "{\"membership\":\"join\"}", 4 },
	{ "@alice:test", "m.room.member", "@mod:test", "{\"membership\":\"ban\"}", 2 },
	{ "@alice:test", "m.room.topic", "", "{\"topic\":\"of alice\"}", 6 },
};

struct forked {
	struct world *w;
	str id;
	const struct event *step[ARRAY_LEN(fork_steps)];
	struct ticket *ticket[ARRAY_LEN(fork_steps)];
};

/* The auth_events of a step: what it selects from the last events before it on its branch. */
static const struct event *selected(const struct forked *f, int at, str type, str key)
{
	struct event *ev;
	const struct event_row *row;

	for (; at >= 0; at = fork_steps[at].prev)
		if (event_is(f->step[at], type, key))
			return f->step[at];
	row = current(f->w, f->id, arena_cstr(f->w->a, type), arena_cstr(f->w->a, key));
	if (!row)
		return NULL;
	good(event_load(f->w->a, room_version_find(S("12")), row->event_id, row->json, &ev));
	return ev;
}

static void forge_steps(struct forked *f, str last)
{
	const struct room_version *rv = room_version_find(S("12"));
	struct world *w = f->w;

	for (size_t i = 0; i < ARRAY_LEN(fork_steps); i++) {
		const struct fork_step *s = &fork_steps[i];
		const str prev = s->prev < 0 ? last : f->step[s->prev]->event_id, sender = str_c(s->sender);
		const struct json *content = js(w->a, s->content);
		struct state_key keys[AUTH_KEYS_MAX];
		const size_t n = auth_keys(rv, str_c(s->type), str_c(s->key), sender, content, keys);
		str auth[AUTH_KEYS_MAX];
		size_t n_auth = 0;
		struct event *ev;

		for (size_t k = 0; k < n; k++) {
			const struct event *named = selected(f, s->prev, keys[k].type, keys[k].state_key);

			if (named)
				auth[n_auth++] = named->event_id;
		}
		const struct event_fields fields = {
			.room_id = f->id,
			.sender = sender,
			.type = str_c(s->type),
			.state_key = str_c(s->key),
			.content = content,
			.origin_server_ts = 1000 + (int64_t)i,
			.depth = 50,
			.prev_events = &prev,
			.n_prev_events = 1,
			.auth_events = auth,
			.n_auth_events = n_auth,
		};

		good(event_build(w->a, rv, &fields, &w->opt.signer, &ev));
		f->step[i] = ev;
	}
}

static void queue_step(struct forked *f, size_t i)
{
	struct world *w = f->w;
	struct proposal p = { .type = f->step[i]->type,
			      .state_key = f->step[i]->state_key,
			      .sender = f->step[i]->sender };
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;
	enum append_outcome out;

	good(proposal_number(w->rs, w->a, &p));
	good(room_hold(w->rs, w->a, f->id, &room));
	draft_begin(room, &d);
	good(draft_add_received(d, f->step[i], &p, NULL, &out));
	good(draft_queue(&d, &f->ticket[i]));
}

/* The same branches, once each step committed before the next, and once with the first `waiting` steps in the queue. */
static void branches(struct world *w, struct forked *f, size_t waiting)
{
	const struct actor alice = who(w, "alice");
	struct gate gate;
	int64_t nid;

	f->w = w;
	f->id = make_room(w, alice,
			  "{'room_version':'12','preset':'public_chat','power_level_content_override':"
			  "{'users':{'@mod:test':50}}}");
	good(join(w, who(w, "mod"), f->id));
	good(join(w, who(w, "bob"), f->id));
	forge_steps(f, say(w, alice, f->id, "base"));
	for (size_t i = 0; i < ARRAY_LEN(fork_steps); i++) { /* texts are made durable first */
		struct proposal p = { .type = f->step[i]->type,
				      .state_key = f->step[i]->state_key,
				      .sender = f->step[i]->sender };

		good(proposal_number(w->rs, w->a, &p));
	}
	good(rooms_find(w->rs, w->a, f->id, &nid, NULL));
	if (waiting)
		gate_shut(&gate, w->b, nid);
	for (size_t i = 0; i < ARRAY_LEN(fork_steps); i++) {
		queue_step(f, i);
		if (i + 1 < waiting)
			continue;
		if (i + 1 == waiting)
			gate_open(&gate, w->b);
		for (size_t k = 0; k <= i; k++) {
			if (f->ticket[k])
				good(store_wait(w->a, f->ticket[k]));
			f->ticket[k] = NULL;
		}
	}
	check_flat(w, f->id);
}

static void what_is_queued_counts(struct world *w)
{
	static const char *const keys[][2] = {
		{ "m.room.topic", "" },
		{ "m.room.power_levels", "" },
		{ "m.room.member", "@bob:test" },
		{ "m.room.member", "@mod:test" },
	};
	struct forked first = { 0 };

	branches(w, &first, 0);
	for (size_t waiting = 2; waiting <= ARRAY_LEN(fork_steps); waiting++) {
		struct forked f = { 0 };

		branches(w, &f, waiting);
		for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
			const struct event_row *want = current(w, first.id, keys[k][0], keys[k][1]),
					       *got = current(w, f.id, keys[k][0], keys[k][1]);

			assert_int_equal(want == NULL, got == NULL);
			if (want)
				assert_int_equal(want->origin_server_ts == got->origin_server_ts ||
							 want->origin_server_ts > 100000,
						 true);
			if (want)
				same_str(json_get_str(content_of(w, got), S("membership")),
					 json_get_str(content_of(w, want), S("membership")));
		}
	}
}
WORLD(what_is_queued_counts)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(five_keys_of_50000_v11),
		WORLD_TESTS(five_keys_of_50000_v12),
		WORLD_TESTS(the_newest_wins),
		WORLD_TESTS(what_is_queued_counts),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
