/* test_upgrade.c - a room and its successor, in every pair of versions; what old rooms may hold; and what a failure
 * leaves. */
#include "flat.h"
#include "forge.h"

#include "store/fault.h"

static err *try_upgrade(struct world *w, struct actor by, str room_id, const char *version, str *out)
{
	const struct upgrade_cmd cmd = { .by = by, .room_id = room_id, .new_version = str_c(version) };

	return room_upgrade(w->rs, w->a, &cmd, out);
}

static str upgrade(struct world *w, struct actor by, str room_id, const char *version)
{
	str id;

	good(try_upgrade(w, by, room_id, version, &id));
	return id;
}

static const struct json *state_of(struct world *w, str room_id, const char *type)
{
	return content_of(w, current(w, room_id, type, ""));
}

static void check_pair(struct world *w, str old, str new, const char *version)
{
	const struct json *create = state_of(w, new, "m.room.create"),
			  *predecessor = json_get(create, S("predecessor"));
	const struct event_row *tombstone = current(w, old, "m.room.tombstone", "");
	str named, none;

	same_str(json_get_str(content_of(w, tombstone), S("replacement_room")), new);
	same_str(json_get_str(predecessor, S("room_id")), old);
	same_str(json_get_str(create, S("room_version")), str_c(version));
	if (strcmp(version, "12") != 0)
		same_str(json_get_str(predecessor, S("event_id")), tombstone->event_id);
	same_str(json_get_str(state_of(w, new, "m.room.name"), S("name")), S("Tea"));
	good(room_predecessor(w->rs, w->a, new, &named));
	same_str(named, old);
	good(room_predecessor(w->rs, w->a, old, &none));
	ok(str_is_none(none), "the old one replaces nothing");
	check_flat(w, old);
	check_flat(w, new);
}

/* Neighbours, and the ends of the list. */
static bool worthwhile(size_t from, size_t to)
{
	return from <= to + 1 && to <= from + 1 ? true : to == 0 || !room_version_at(to + 1);
}

static void versions_give_way_to_others(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const struct room_version *from, *to;

	for (size_t i = 0; (from = room_version_at(i)); i++) {
		for (size_t k = 0; (to = room_version_at(k)); k++) {
			if (!worthwhile(i, k))
				continue;
			const char *body = arena_printf(w->a, "{'room_version':'%.*s','name':'Tea'}", STR_ARG(from->id))
						   .p,
				   *version = arena_cstr(w->a, to->id);
			const str old = make_room(w, alice, body), new = upgrade(w, alice, old, version);

			check_pair(w, old, new, version);
			say(w, alice, new, "hello");
		}
	}
}
WORLD(versions_give_way_to_others)

/* What is read back from the store is what the next events are built on: ids, and hashes where those are named. */
static void after_a_restart_it_goes_on(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const struct room_version *rv;

	for (size_t i = 0; (rv = room_version_at(i)); i++) {
		const str id = make_room(w, alice, arena_printf(w->a, "{'room_version':'%.*s'}", STR_ARG(rv->id)).p);
		const str first = say(w, alice, id, "before");
		struct event *ev;
		str hash = STR_NONE;

		if (rv->event_format == EVENT_FORMAT_NAMED) {
			good(event_load(w->a, rv, first, event_row(w, first)->json, &ev));
			good(event_hash_text(w->a, rv, ev, &hash));
		}
		world_restart(w);
		const struct event_row *row = event_row(w, say(w, alice, id, "after"));
		struct json *json, *prev;

		good(json_parse(w->a, row->json, &json_limits_event, &json));
		prev = json_get_array(json, S("prev_events"))->array.items[0];
		same_str(json_str(str_is_none(hash) ? prev : prev->array.items[0]), first);
		if (!str_is_none(hash))
			same_str(json_get_str(prev->array.items[1], S("sha256")), hash);
		good(event_parse(w->a, rv, row->json, &ev));
		ok(!ev->hash_failed, "what was made is what a server takes");
	}
}
WORLD(after_a_restart_it_goes_on)

/* An event as another server may have made it, where the client's door would not let it through. */
static void force_state(struct world *w, str room_id, const char *version, const char *type, const char *content)
{
	const struct room_version *rv = room_version_find(str_c(version));
	const struct json *c = js(w->a, content);
	struct state_key keys[AUTH_KEYS_MAX];
	str auth[AUTH_KEYS_MAX], auth_hashes[AUTH_KEYS_MAX], prev, prev_hash, sender = who(w, "alice").user_id;
	struct event_fields f = {
		.room_id = room_id,
		.sender = sender,
		.type = str_c(type),
		.state_key = S(""),
		.content = c,
		.origin_server_ts = 5,
		.depth = 20,
		.prev_events = &prev,
		.n_prev_events = 1,
		.auth_events = auth,
	};
	const size_t n = auth_keys(rv, f.type, f.state_key, sender, c, keys);
	enum append_outcome out;
	struct event *ev;

	prev = say(w, who(w, "alice"), room_id, "tip");
	if (rv->event_format == EVENT_FORMAT_NAMED) {
		f.event_id = event_name(w->rs, w->a);
		f.prev_hashes = &prev_hash;
		f.auth_hashes = auth_hashes;
		good(event_load(w->a, rv, prev, event_row(w, prev)->json, &ev));
		good(event_hash_text(w->a, rv, ev, &prev_hash));
	}
	for (size_t i = 0; i < n; i++) {
		const struct event_row *row =
			current(w, room_id, arena_cstr(w->a, keys[i].type), arena_cstr(w->a, keys[i].state_key));

		if (!row)
			continue;
		auth[f.n_auth_events] = row->event_id;
		if (f.auth_hashes) {
			good(event_load(w->a, rv, row->event_id, row->json, &ev));
			good(event_hash_text(w->a, rv, ev, &auth_hashes[f.n_auth_events]));
		}
		f.n_auth_events++;
	}
	good(event_build(w->a, rv, &f, &w->opt.signer, &ev));
	good(rooms_append_event(w->rs, w->a, ev, &out));
	assert_int_equal(out, APPEND_ACCEPTED);
}

static const struct {
	const char *from, *to, *levels, *becomes;
} levels[] = {
	{ "1", "10", "{'users':{'@alice:test':'100'},'ban':'40','kick':' 60 ','events':{'m.room.name':'+7'}}",
	  "{'users':{'@alice:test':100},'ban':40,'kick':60,'events':{'m.room.name':7}}" },
	{ "9", "11", "{'users':{'@alice:test':'100'},'ban':'0045','org.example':'text','org.list':[1]}",
	  "{'users':{'@alice:test':100},'ban':45}" },
	{ "5", "6", "{'users':{'@alice:test':100.9},'ban':-3.0}", "{'users':{'@alice:test':100},'ban':-3}" },
	{ "5", "11", "{'users':{'@alice:test':1.0e2,'@bob:test':'9'},'kick':5e1}",
	  "{'users':{'@alice:test':100,'@bob:test':9},'kick':50}" },
	{ "9", "12", "{'users':{'@alice:test':'100','@bob:test':'50'}}", "{'users':{'@bob:test':50}}" },
};

static void levels_become_integers(struct world *w)
{
	const struct actor alice = who(w, "alice");

	for (size_t i = 0; i < ARRAY_LEN(levels); i++) {
		const str id = make_room(w, alice, arena_printf(w->a, "{'room_version':'%s'}", levels[i].from).p);

		force_state(w, id, levels[i].from, "m.room.power_levels", levels[i].levels);
		const struct json *got = state_of(w, upgrade(w, alice, id, levels[i].to), "m.room.power_levels");

		ok(json_equal(got, js(w->a, levels[i].becomes)), "%s to %s", levels[i].from, levels[i].to);
	}
}
WORLD(levels_become_integers)

static void silence_is_above_the_default_level(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str id = make_room(w, alice, "{'room_version':'10','preset':'public_chat'}");
	str new, none;

	good(join(w, bob, id));
	force_state(w, id, "10", "m.room.power_levels", "{'users':{'@alice:test':100},'users_default':50}");
	new = upgrade(w, alice, id, "11");
	ok(json_equal(state_of(w, id, "m.room.power_levels"),
		      js(w->a, "{'users':{'@alice:test':100},'users_default':50,'events_default':51,'invite':51}")),
	   "above the default");
	assert_int_equal(try_upgrade(w, bob, new, "12", &none)->code, ERR_FORBIDDEN);
}
WORLD(silence_is_above_the_default_level)

/* Whichever commit fails: either the room is replaced and its names have moved, or nothing of that is. */
static void a_failure_leaves_the_room_as_it_was(struct world *w)
{
	const struct actor alice = who(w, "alice");
	size_t failed = 0, done = 0;

	upgrade(w, alice, make_room(w, alice, "{'room_version':'10'}"), "11"); /* its texts have numbers */
	for (int nth = 1; nth <= 6; nth++) {
		for (int k = 0; k < 2; k++) {
			const str alias = arena_printf(w->a, "#n%d-%d:test", nth, k);
			const str body = arena_printf(
				w->a, "{'room_version':'10','visibility':'public','room_alias_name':'n%d-%d'}", nth, k);
			const str id = make_room(w, alice, body.p);
			str new = STR_NONE, found;
			bool listed;
			err *e;

			store_fault(w->b->st, FAULT_COMMIT, nth);
			e = try_upgrade(w, alice, id, k ? "12" : "11", &new);
			store_fault(w->b->st, FAULT_COMMIT, 0);
			good(room_alias_find(w->rs, w->a, alias, &found));
			good(room_published(w->rs, w->a, id, &listed));
			same_str(found, e ? id : new);
			ok(listed == (e != NULL), "in the directory");
			ok((current(w, id, "m.room.tombstone", "") == NULL) == (e != NULL), "the tombstone");
			failed += e != NULL;
			done += e == NULL;
			check_flat(w, id);
			if (!e)
				continue;
			new = upgrade(w, alice, id, "11"); /* tried again */
			same_str(json_get_str(state_of(w, id, "m.room.tombstone"), S("replacement_room")), new);
		}
	}
	ok(failed >= 4 && done >= 2, "%zu failed, %zu did not", failed, done);
}
WORLD(a_failure_leaves_the_room_as_it_was)

/* Somebody else's change of the old room, queued while the successor's first commit is still being told. */
struct meanwhile {
	struct world *w;
	str old;
	struct proposal p;
	struct lock lock;
	struct cond cond;
	bool begun, done;
};

static void when_the_successor_is_there(void *ctx, const struct rooms_stored *ev)
{
	struct meanwhile *m = ctx;

	if (!str_eq(ev->event->type, S("m.room.create")) || str_eq(ev->room_id, m->old) || str_is_none(m->old))
		return;
	LOCKED(&m->lock);
	m->begun = true;
	cond_broadcast(&m->cond);
	while (!m->done)
		cond_wait(&m->cond, &m->lock);
}

static void queue_the_change(struct meanwhile *m, struct arena *a, struct ticket **out)
{
	AUTO_ROOM room = NULL;
	str id;

	good(room_hold(m->w->rs, a, m->old, &room));
	good(room_queue_one(room, &m->p, NULL, &id, out));
}

static void change_meanwhile(void *arg)
{
	struct meanwhile *m = arg;
	AUTO_ARENA a = arena_new();
	struct ticket *ticket = NULL;

	lock_take(&m->lock);
	while (!m->begun)
		cond_wait(&m->cond, &m->lock);
	lock_drop(&m->lock);
	queue_the_change(m, a, &ticket);
	lock_take(&m->lock);
	m->done = true;
	cond_broadcast(&m->cond);
	lock_drop(&m->lock);
	good(store_wait(a, ticket));
}

static void a_change_meanwhile_is_not_undone(struct world *w)
{
	static const char *const versions[] = { "11", "12" };
	struct meanwhile m = { .w = w, .old = STR_NONE };

	lock_init(&m.lock, RANK_LEAF);
	cond_init(&m.cond);
	rooms_on_stored(w->rs, when_the_successor_is_there, &m);
	for (size_t i = 0; i < ARRAY_LEN(versions); i++) {
		const str id = make_room(w, who(w, "alice"), "{'room_version':'10','preset':'public_chat'}");
		struct thread *t;

		m.p = (struct proposal){
			.type = S("m.room.power_levels"),
			.state_key = S(""),
			.sender = S("@alice:test"),
			.content = js(w->a, "{'users':{'@alice:test':100},'kick':77,'events_default':3}"),
			.ts = 1,
		};
		good(proposal_number(w->rs, w->a, &m.p));
		m.begun = m.done = false;
		m.old = id;
		t = thread_start("meanwhile", change_meanwhile, &m);
		upgrade(w, who(w, "alice"), id, versions[i]);
		thread_join(&t);
		m.old = STR_NONE;
		ok(json_equal(state_of(w, id, "m.room.power_levels"),
			      js(w->a, "{'users':{'@alice:test':100},'kick':77,'events_default':50,'invite':50}")),
		   "what was changed meanwhile, and silence");
		check_flat(w, id);
	}
	lock_done(&m.lock);
	cond_done(&m.cond);
}
WORLD(a_change_meanwhile_is_not_undone)

/* By its own word alone. */
static str make_successor(struct world *w, struct actor by, str old)
{
	return make_room(w, by,
			 arena_printf(w->a, "{'creation_content':{'predecessor':{'room_id':'%.*s'}}}", STR_ARG(old)).p);
}

static void only_both_together_make_a_successor(struct world *w)
{
	const struct actor alice = who(w, "alice"), bob = who(w, "bob");
	const str old = make_room(w, alice, "{'preset':'public_chat'}");
	const str trap = make_successor(w, bob, old);
	const str new = upgrade(w, alice, old, "11");
	str named;

	good(room_predecessor(w->rs, w->a, trap, &named));
	ok(str_is_none(named), "the old room says otherwise");
	good(room_predecessor(w->rs, w->a, new, &named));
	same_str(named, old);
	good(room_predecessor(w->rs, w->a, S("!none:test"), &named));
	ok(str_is_none(named), "no room");
}
WORLD(only_both_together_make_a_successor)

static void count_tombstones(void *ctx, const struct rooms_stored *ev) { *(size_t *)ctx += ev->tombstoned; }

/* A tombstone alone, whoever sends it, takes nothing along; and ours are upgrades, which have taken it. */
static void a_successor_elsewhere_says_so_itself(struct world *w)
{
	const struct actor alice = who(w, "alice");
	const str old = make_room(w, alice, "{'preset':'public_chat','room_version':'11'}"),
		  another = make_room(w, alice, "{}");
	const str new = make_successor(w, alice, old), trap = make_successor(w, alice, another);
	const struct {
		const char *by;
		str names, want;
	} rows[] = {
		{ "@zoe:far", new, new },          { "@zoe:far", trap, STR_NONE },
		{ "@zoe:far", another, STR_NONE }, { "@zoe:far", old, STR_NONE },
		{ "@zoe:far", new, new },          { "@zoe:far", S("!none:far"), STR_NONE },
		{ "@zoe:far", S("x"), STR_NONE },  { "@alice:test", new, STR_NONE },
	};
	struct forge f = forge_for(w, old, "11");
	str at = set_state(w, alice, old, "m.room.power_levels", "",
			   "{'users':{'@alice:test':100},'users_default':50}"),
	    named;
	size_t told = 0;
	int64_t nid;

	rooms_on_stored(w->rs, count_tombstones, &told);
	good(store_intern_all(w->b->st, w->a, &(struct store_text){ S("@zoe:far"), &nid }, 1));
	for (size_t i = 0; i < 1 + ARRAY_LEN(rows); i++) {
		const str content =
			i ? arena_printf(w->a, "{'body':'','replacement_room':'%.*s'}", STR_ARG(rows[i - 1].names))
			  : S("{'membership':'join'}");
		struct event *ev =
			forge_by(&f, str_c(i ? rows[i - 1].by : "@zoe:far"), i ? "m.room.tombstone" : "m.room.member",
				 i ? "" : "@zoe:far", content.p, &at, 1);

		assert_int_equal(put(w, ev), APPEND_ACCEPTED);
		at = ev->event_id;
		assert_int_equal(told, i);
		good(room_replaced_elsewhere(w->rs, w->a, old, &named));
		ok(str_eq(named, i ? rows[i - 1].want : STR_NONE) &&
			   str_is_none(named) == (!i || str_is_none(rows[i - 1].want)),
		   "row %zu: %.*s", i, STR_ARG(named));
	}
}
WORLD(a_successor_elsewhere_says_so_itself)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(versions_give_way_to_others),
		WORLD_TESTS(after_a_restart_it_goes_on),
		WORLD_TESTS(levels_become_integers),
		WORLD_TESTS(silence_is_above_the_default_level),
		WORLD_TESTS(a_failure_leaves_the_room_as_it_was),
		WORLD_TESTS(a_change_meanwhile_is_not_undone),
		WORLD_TESTS(only_both_together_make_a_successor),
		WORLD_TESTS(a_successor_elsewhere_says_so_itself),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
