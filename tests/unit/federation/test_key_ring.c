/* Other servers' keys: where they are looked for, whom is believed, and who is left alone. */
#include "federation/fake_fed.h"

#include "federation/internal_key_ring.h"

static const struct server_key *get(struct ring_world *w, struct key_want want, int64_t deadline)
{
	struct key_set *set;

	good(key_ring_get(w->k, w->b->a, &want, 1, deadline, &set));
	return key_set_find(set, want.server, want.key_id);
}

static const struct server_key *key_at(struct ring_world *w, const char *server, const char *key_id, int64_t valid_at)
{
	return get(w, (struct key_want){ str_c(server), str_c(key_id), valid_at, false }, soon());
}

static bool is_key(const struct server_key *key, const struct host *h)
{
	return key && memcmp(key->public_key, h->key.public_key, 32) == 0;
}

static void a_key_is_asked_for_once_and_kept(struct both *b)
{
	struct ring_world w;
	struct host *h;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	/* No network: nothing. */
	assert_null(get(&w, (struct key_want){ h->name, h->key_id, NOW, false }, 0));
	assert_int_equal(h->asked, 0);
	assert_true(is_key(key_at(&w, "a.example", "ed25519:1", NOW), h));
	assert_true(is_key(key_at(&w, "a.example", "ed25519:1", NOW), h));
	assert_int_equal(h->asked, 1);
	/* Another life of the process: from the store. */
	ring_again(&w);
	assert_true(is_key(get(&w, (struct key_want){ h->name, h->key_id, NOW, false }, 0), h));
	assert_int_equal(h->asked, 1);
	ring_end(&w);
}

static void own_keys_are_known(struct both *b)
{
	static const char old[] = "{\"ed25519:0ld\":{\"expired_ts\":1500000000000,"
				  "\"key\":\"VGhpcyBzaG91bGQgYmUgYSByZWFsIGVkMjU1MTkgcGE\"}}";
	const struct server_key *key;
	struct ring_world w;
	struct json *json;

	ring_begin(&w, b);
	good(json_parse(b->a, str_c(old), &json_limits_request, &json));
	w.opt.own_old_keys = json;
	ring_again(&w);
	key = get(&w, (struct key_want){ OWN, S("ed25519:own"), NOW + 30 * DAY, false }, soon());
	assert_memory_equal(key->public_key, w.key.public_key, 32);
	assert_true(key->until >= NOW + 30 * DAY);
	key = get(&w, (struct key_want){ OWN, S("ed25519:0ld"), 0, false }, soon());
	assert_true(key->old && key->until == INT64_C(1500000000000));
	assert_null(get(&w, (struct key_want){ OWN, S("ed25519:no"), 0, false }, soon()));
	/* The operator takes them out of the settings, or writes them in, while all runs. */
	key_ring_set_old(w.k, NULL);
	assert_null(get(&w, (struct key_want){ OWN, S("ed25519:0ld"), 0, false }, soon()));
	assert_non_null(get(&w, (struct key_want){ OWN, S("ed25519:own"), NOW, false }, soon()));
	key_ring_set_old(w.k, json);
	assert_non_null(get(&w, (struct key_want){ OWN, S("ed25519:0ld"), 0, false }, soon()));
	ring_end(&w);
}

static void a_list_that_has_run_out_is_asked_for_anew(struct both *b)
{
	struct ring_world w;
	struct host *h;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	key_at(&w, "a.example", "ed25519:1", NOW);
	/* An old event, or one of a room version that ignores the time. */
	fake_now = NOW + 2 * DAY;
	h->valid_until = fake_now + DAY;
	key_at(&w, "a.example", "ed25519:1", NOW - 900 * DAY);
	key_at(&w, "a.example", "ed25519:1", INT64_MIN);
	assert_int_equal(h->asked, 1);
	assert_int_equal(key_at(&w, "a.example", "ed25519:1", fake_now)->until, fake_now + DAY);
	assert_int_equal(h->asked, 2);
	/* It cannot be had: the known one stays, whoever verifies sees that it does not reach. */
	fake_now += 2 * DAY;
	h->is_down = true;
	assert_int_equal(key_at(&w, "a.example", "ed25519:1", fake_now)->until, h->valid_until);
	ring_end(&w);
}

/* Peers write any time and any key id on an event. */
static void what_cannot_be_had_is_not_asked_for_again_and_again(struct both *b)
{
	struct ring_world w;
	struct host *h;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	for (int i = 0; i < 50; i++, fake_now++)
		assert_null(key_at(&w, "a.example", i % 2 ? "ed25519:even" : "ed25519:less", NOW));
	assert_int_equal(h->asked, KEY_RING_BURST);
	fake_now += KEY_RING_PAUSE_MS;
	key_at(&w, "a.example", "ed25519:1", INT64_MAX);
	assert_int_equal(h->asked, KEY_RING_BURST); /* no list reaches so far */
	/* A new key is found soon, though somebody asks for nonsense all the time. */
	h->key_id = S("ed25519:2");
	assert_true(is_key(key_at(&w, "a.example", "ed25519:2", fake_now), h));
	assert_int_equal(h->asked, KEY_RING_BURST + 1);
	ring_end(&w);
}

static void who_fails_is_left_alone_for_ever_longer(struct both *b)
{
	struct ring_world w;
	struct host *h;
	unsigned before;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	h->is_down = true;
	for (int minutes = 0; minutes < 600; minutes++, fake_now += KEY_RING_PAUSE_MS)
		assert_null(key_at(&w, "a.example", "ed25519:1", NOW));
	assert_in_range(h->asked, 600 / 15, 600 / 15 + 5);
	assert_int_equal(h->patience, FED_ASK);
	/* It talks to us, so it lives: but strangers may say that they were it. */
	before = h->asked;
	for (int i = 0; i < 50; i++, fake_now++)
		get(&w, (struct key_want){ h->name, h->key_id, fake_now, true }, soon());
	assert_in_range(h->asked - before, KEY_RING_BURST - 1, KEY_RING_BURST);
	assert_int_equal(h->patience, FED_ANYWAY);
	fake_now += KEY_RING_PAUSE_MS;
	h->is_down = false;
	assert_non_null(get(&w, (struct key_want){ h->name, h->key_id, NOW, true }, soon()));
	ring_end(&w);
}

static void some_are_not_asked(struct both *b)
{
	static const char *const names[] = { "denied.example", "no/name", "", "a.example\nb" };
	struct ring_world w;

	ring_begin(&w, b);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct host *h = host_add(&w.f, names[i], "ed25519:1", 'a');

		ok(!key_at(&w, names[i], "ed25519:1", NOW) && h->asked == 0, "%s", names[i]);
	}
	ring_end(&w);
}

static void a_list_has_to_be_the_servers_own(struct both *b)
{
	struct ring_world w;
	struct host *h, *other;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	other = host_add(&w.f, "b.example", "ed25519:1", 'b');
	h->list = list_of(b->a, other);
	assert_null(key_at(&w, "a.example", "ed25519:1", NOW));
	assert_null(key_at(&w, "b.example", "ed25519:no", NOW));
	assert_int_equal(h->asked, 1);
	ring_end(&w);
}

static void a_key_that_was_given_up(struct both *b)
{
	struct ring_world w;
	struct host *h;
	const struct server_key *key;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	key_at(&w, "a.example", "ed25519:1", NOW);
	h->old = wired(b->a, json_get(list_of(b->a, h), S("verify_keys")));
	json_set(b->a, (struct json *)json_get(h->old, S("ed25519:1")), S("expired_ts"), json_new_int(b->a, NOW + 5));
	h->key_id = S("ed25519:2");
	fake_now += 2 * DAY;
	assert_non_null(key_at(&w, "a.example", "ed25519:2", NOW));
	for (int i = 0; i < 2; i++) {
		key = key_at(&w, "a.example", "ed25519:1", NOW);
		assert_true(key->old);
		assert_int_equal(key->until, NOW + 5);
		ring_again(&w);
	}
	/* What it cannot be any more is not asked for. */
	key_at(&w, "a.example", "ed25519:1", fake_now);
	assert_int_equal(h->asked, 2);
	ring_end(&w);
}

/*
 * Notaries
 */
static struct key_notary notary_of(const struct host *h)
{
	struct key_notary n = { .server_name = h->name, .key_id = h->key_id };

	memcpy(n.public_key, h->key.public_key, sizeof(n.public_key));
	return n;
}

static void notaries_are_asked_first(struct both *b)
{
	struct ring_world w;
	struct host *notary, *gone, *here;
	struct key_notary notaries[1];
	struct key_set *set;

	ring_begin(&w, b);
	notary = host_add(&w.f, "n.example", "ed25519:n", 'n');
	gone = host_add(&w.f, "gone.example", "ed25519:1", 'g');
	here = host_add(&w.f, "here2.example", "ed25519:1", 'h');
	notary->is_notary = gone->is_down = true;
	vouch(&w.f, notary, list_of(b->a, gone));
	notaries[0] = notary_of(notary);
	w.opt.notaries = notaries;
	w.opt.n_notaries = 1;
	ring_again(&w);

	const struct key_want wants[] = {
		{ gone->name, gone->key_id, NOW - 5, false },
		{ here->name, here->key_id, NOW, false },
		{ here->name, here->key_id, NOW - 7, false },
	};

	good(key_ring_get(w.k, b->a, wants, ARRAY_LEN(wants), soon(), &set));
	assert_true(is_key(key_set_find(set, gone->name, gone->key_id), gone));
	assert_true(is_key(key_set_find(set, here->name, here->key_id), here));
	assert_int_equal(w.f.questions, 1);
	assert_int_equal(gone->asked, 0);
	assert_int_equal(here->asked, 1); /* which the notary did not know */
	same_str(json_get(w.f.query, S("server_keys"))->raw,
		 arena_printf(b->a,
			      "{\"gone.example\":{\"ed25519:1\":{\"minimum_valid_until_ts\":%" PRId64 "}},"
			      "\"here2.example\":{\"ed25519:1\":{\"minimum_valid_until_ts\":%" PRId64 "}}}",
			      NOW - 5, NOW));
	/* Both are in the store. */
	ring_again(&w);
	good(key_ring_get(w.k, b->a, wants, ARRAY_LEN(wants), 0, &set));
	assert_true(is_key(key_set_find(set, gone->name, gone->key_id), gone));
	assert_true(is_key(key_set_find(set, here->name, here->key_id), here));
	ring_end(&w);
}

/* Nor what nobody asked for. */
static void a_notary_tells_of_those_it_was_asked_of(struct both *b)
{
	struct ring_world w;
	struct host *notary, *gone, *other;
	struct key_notary notaries[1];

	ring_begin(&w, b);
	notary = host_add(&w.f, "n.example", "ed25519:n", 'n');
	gone = host_add(&w.f, "gone.example", "ed25519:1", 'g');
	other = host_add(&w.f, "other.example", "ed25519:1", 'o');
	notary->is_notary = notary->is_talkative = gone->is_down = true;
	vouch(&w.f, notary, list_of(b->a, other));
	vouch(&w.f, notary, list_of(b->a, gone));
	notaries[0] = notary_of(notary);
	w.opt.notaries = notaries;
	w.opt.n_notaries = 1;
	ring_again(&w);
	assert_true(is_key(key_at(&w, "gone.example", "ed25519:1", NOW), gone));
	assert_null(get(&w, (struct key_want){ other->name, other->key_id, NOW, false }, 0));
	ring_end(&w);
}

/* Its signature shows that it saw the list: without it, anybody in between could have given us any. */
static void a_notary_has_to_sign(struct both *b)
{
	struct ring_world w;
	struct host *notary, *gone, *thief;
	struct key_notary notaries[1];

	ring_begin(&w, b);
	notary = host_add(&w.f, "n.example", "ed25519:n", 'n');
	gone = host_add(&w.f, "gone.example", "ed25519:1", 'g');
	thief = host_add(&w.f, "n.example", "ed25519:n", 't');
	notary->is_notary = gone->is_down = true;
	notaries[0] = notary_of(notary);
	w.opt.notaries = notaries;
	w.opt.n_notaries = 1;
	ring_again(&w);
	w.f.vouched[w.f.n_vouched++] = list_of(b->a, gone);
	vouch(&w.f, thief, list_of(b->a, gone));
	assert_null(key_at(&w, "gone.example", "ed25519:1", NOW));
	assert_int_equal(w.f.questions, 1);
	/* Nor may it make keys up. */
	fake_now += KEY_RING_MOST_MS;
	thief->name = gone->name;
	vouch(&w.f, notary, wired(b->a, list_of(b->a, gone)));
	json_set(b->a, (struct json *)w.f.vouched[2], S("verify_keys"),
		 json_get(list_of(b->a, thief), S("verify_keys")));
	assert_null(key_at(&w, "gone.example", "ed25519:1", NOW));
	assert_int_equal(w.f.questions, 2);
	ring_end(&w);
}

static void a_notary_without_a_key_signs_with_what_it_publishes(struct both *b)
{
	struct ring_world w;
	struct host *notary, *gone;
	struct key_notary notaries[1] = { { .server_name = S("n.example"), .key_id = STR_NONE } };

	ring_begin(&w, b);
	notary = host_add(&w.f, "n.example", "ed25519:n", 'n');
	gone = host_add(&w.f, "gone.example", "ed25519:1", 'g');
	notary->is_notary = gone->is_down = true;
	vouch(&w.f, notary, list_of(b->a, gone));
	w.opt.notaries = notaries;
	w.opt.n_notaries = 1;
	ring_again(&w);
	assert_true(is_key(key_at(&w, "gone.example", "ed25519:1", NOW), gone));
	assert_int_equal(notary->asked, 1);
	/* The notary's own keys come from itself alone. */
	assert_true(is_key(key_at(&w, "n.example", "ed25519:n", NOW), notary));
	assert_int_equal(w.f.questions, 1);
	ring_end(&w);
}

/* Nobody knows how old a notary's list is. */
static void a_notary_does_not_bring_back_what_was_given_up(struct both *b)
{
	struct ring_world w;
	struct host *notary, *h;
	struct key_notary notaries[1];
	const struct json *before;

	ring_begin(&w, b);
	notary = host_add(&w.f, "n.example", "ed25519:n", 'n');
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	before = list_of(b->a, h);
	h->old = wired(b->a, json_get(before, S("verify_keys")));
	json_set(b->a, (struct json *)json_get(h->old, S("ed25519:1")), S("expired_ts"), json_new_int(b->a, NOW - DAY));
	h->key_id = S("ed25519:2");
	key_at(&w, "a.example", "ed25519:2", NOW);
	notaries[0] = notary_of(notary);
	notary->is_notary = h->is_down = true;
	w.opt.notaries = notaries;
	w.opt.n_notaries = 1;
	ring_again(&w);
	fake_now += KEY_RING_PAUSE_MS;
	vouch(&w.f, notary, before);
	key_at(&w, "a.example", "ed25519:3", NOW);
	assert_int_equal(w.f.questions, 1);
	assert_true(key_at(&w, "a.example", "ed25519:1", NOW)->old);
	ring_end(&w);
}

/* A notary can sign a list of anybody's with a key that it made itself: then it must not be that server. */
static void a_notary_does_not_replace_a_valid_key(struct both *b)
{
	struct ring_world w;
	struct host *notary, *h, forged;
	struct key_notary notaries[1];
	uint8_t seed[32] = { 'f' };

	ring_begin(&w, b);
	notary = host_add(&w.f, "n.example", "ed25519:n", 'n');
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	key_at(&w, "a.example", "ed25519:1", NOW);
	notaries[0] = notary_of(notary);
	notary->is_notary = h->is_down = true;
	w.opt.notaries = notaries;
	w.opt.n_notaries = 1;
	ring_again(&w);
	fake_now += KEY_RING_PAUSE_MS;
	forged = *h;
	forged.valid_until = NOW + 3 * DAY;
	ed25519_from_seed(&forged.key, seed);
	vouch(&w.f, notary, list_of(b->a, &forged));
	assert_true(is_key(key_at(&w, "a.example", "ed25519:1", NOW + 2 * DAY), h));
	assert_int_equal(w.f.questions, 1);
	/* Behind its end there is no other word than the notary's, which is trusted. */
	fake_now = NOW + 2 * DAY;
	assert_true(is_key(key_at(&w, "a.example", "ed25519:1", fake_now), &forged));
	ring_end(&w);
}

/*
 * Many
 */
static void one_servers_keys_are_bounded(struct both *b)
{
	struct ring_world w;
	struct host *h;
	const struct strs names = { (const str[]){ S("a.example") }, 1 };
	AUTO_TX tx = NULL;
	struct server_key_document *docs;
	struct server_key_row *rows;
	size_t n, n_docs;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	for (int i = 0; i < 130; i++) {
		h->key_id = arena_printf(b->a, "ed25519:%d", i);
		h->valid_until = fake_now + DAY;
		assert_non_null(key_at(&w, "a.example", (const char *)h->key_id.p, fake_now));
		fake_now += KEY_RING_PAUSE_MS;
	}
	assert_int_equal(h->asked, 130);
	assert_int_equal(w.k->n_known, SERVER_KEYS_MAX + 1);
	good(store_read(b->st, b->a, &tx));
	good(store_server_keys_of(tx, names, &rows, &n));
	assert_int_equal(n, STORE_SERVER_KEYS);
	good(store_server_key_documents(tx, names, &docs, &n_docs));
	assert_int_equal(n_docs, STORE_SERVER_DOCUMENTS);
	assert_null(key_at(&w, "a.example", "ed25519:0", INT64_MIN));
	assert_non_null(key_at(&w, "a.example", "ed25519:129", INT64_MIN));
	ring_end(&w);
}

static void memory_is_bounded(struct both *b)
{
	struct ring_world w;

	ring_begin(&w, b);
	w.opt.max_known = 6;
	ring_again(&w);
	for (int i = 0; i < 9; i++)
		host_add(&w.f, arena_printf(b->a, "%d.example", i).p, "ed25519:1", (char)('a' + i));
	for (int i = 0; i < 9; i++)
		assert_non_null(key_at(&w, w.f.hosts[i].name.p, "ed25519:1", NOW));
	assert_true(w.k->n_known <= 6);
	for (int i = 0; i < 9; i++) {
		assert_non_null(key_at(&w, w.f.hosts[i].name.p, "ed25519:1", NOW));
		assert_int_equal(w.f.hosts[i].asked, 1); /* the store has it still */
	}
	ring_end(&w);
}

/* More servers than are asked at once, some of them gone. */
static void many_servers_at_once(struct both *b)
{
	struct key_want wants[300];
	struct ring_world w;
	struct key_set *set;
	size_t found = 0;

	ring_begin(&w, b);
	for (int i = 0; i < 20; i++)
		host_add(&w.f, arena_printf(b->a, "%d.example", i * 13).p, "ed25519:1", (char)('a' + i));
	for (int i = 0; i < 300; i++)
		wants[i] = (struct key_want){ arena_printf(b->a, "%d.example", i), S("ed25519:1"), NOW, false };
	good(key_ring_get(w.k, b->a, wants, ARRAY_LEN(wants), soon(), &set));
	for (int i = 0; i < 300; i++)
		found += key_set_find(set, wants[i].server, wants[i].key_id) != NULL;
	assert_int_equal(found, 20);
	ring_end(&w);
}

struct wanter {
	struct ring_world *w;
	struct thread *thread;
	struct key_want want;
	bool found;
};

static void want(void *arg)
{
	struct wanter *x = arg;
	AUTO_ARENA a = arena_new();
	struct key_set *set;

	x->found = !key_ring_get(x->w->k, a, &x->want, 1, soon(), &set) &&
		   key_set_find(set, x->want.server, x->want.key_id);
}

static void many_want_one_key(struct both *b)
{
	struct wanter wanters[12];
	struct ring_world w;
	struct host *h;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	w.f.held = true;
	for (size_t i = 0; i < ARRAY_LEN(wanters); i++) {
		wanters[i] = (struct wanter){ .w = &w };
		wanters[i].want = (struct key_want){ h->name, i % 3 ? h->key_id : S("ed25519:no"), NOW, false };
		wanters[i].thread = thread_start("want", want, &wanters[i]);
	}
	wait_until_held(&w.f, 1);
	let_go(&w.f);
	for (size_t i = 0; i < ARRAY_LEN(wanters); i++) {
		thread_join(&wanters[i].thread);
		assert_int_equal(wanters[i].found, i % 3 != 0);
	}
	assert_int_equal(h->asked, 1);
	ring_end(&w);
}

/* Whoever waits for one server is not held up by another that somebody else asks at the same time. */
static void a_slow_one_holds_up_nobody_else(struct both *b)
{
	struct ring_world w;
	struct wanter slow;
	struct host *h, *other;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	other = host_add(&w.f, "b.example", "ed25519:1", 'b');
	key_at(&w, "b.example", "ed25519:1", NOW);
	w.f.held = true;
	slow = (struct wanter){ .w = &w, .want = { h->name, h->key_id, NOW, false } };
	slow.thread = thread_start("want", want, &slow);
	wait_until_held(&w.f, 1);
	assert_true(is_key(key_at(&w, "b.example", "ed25519:1", NOW), other));
	/* Nor for longer than it wants to wait. */
	assert_null(get(&w, (struct key_want){ h->name, h->key_id, NOW, false }, clock_mono_us() + 1000));
	let_go(&w.f);
	thread_join(&slow.thread);
	assert_true(slow.found);
	ring_end(&w);
}

/*
 * A notary ourselves
 */
static size_t documents(struct ring_world *w, const char *server, const char *key_id, int64_t valid_at,
			struct json ***out)
{
	const struct key_want want = { str_c(server), str_c(key_id), valid_at, false };
	size_t n;

	good(key_ring_documents(w->k, w->b->a, &want, 1, soon(), out, &n));
	return n;
}

static void lists_are_handed_on_signed(struct both *b)
{
	struct ring_world w;
	struct json **docs;
	struct host *h;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	assert_int_equal(documents(&w, "a.example", NULL, INT64_MIN, &docs), 1);
	assert_true(sign_verify(b->a, docs[0], h->name, h->key_id, h->key.public_key));
	assert_true(sign_verify(b->a, docs[0], OWN, S("ed25519:own"), w.key.public_key));
	same_str(json_get(docs[0], S("verify_keys"))->raw, json_get(list_of(b->a, h), S("verify_keys"))->raw);
	/* For half of its life it is handed on as it is. */
	fake_now = NOW + DAY / 2 - 1;
	h->valid_until = NOW + 3 * DAY;
	assert_int_equal(documents(&w, "a.example", NULL, INT64_MIN, &docs), 1);
	assert_int_equal(documents(&w, "a.example", "ed25519:1", NOW + DAY, &docs), 1);
	assert_int_equal(h->asked, 1);
	assert_int_equal(documents(&w, "a.example", "ed25519:1", NOW + DAY + 1, &docs), 1);
	assert_int_equal(h->asked, 2);
	fake_now = NOW + 2 * DAY;
	documents(&w, "a.example", NULL, INT64_MIN, &docs);
	assert_int_equal(h->asked, 3);
	/* "If the server fails to respond to this request, intermediate notary servers should continue to return the
	 * last response they received from the server" */
	fake_now = NOW + 30 * DAY;
	h->is_down = true;
	assert_int_equal(documents(&w, "a.example", NULL, INT64_MIN, &docs), 1);
	assert_int_equal(documents(&w, "nobody.example", NULL, INT64_MIN, &docs), 0);
	assert_int_equal(documents(&w, "denied.example", NULL, INT64_MIN, &docs), 0);
	ring_end(&w);
}

static void a_list_with_a_key_that_is_gone_is_kept(struct both *b)
{
	struct ring_world w;
	struct json **docs;
	struct host *h;

	ring_begin(&w, b);
	h = host_add(&w.f, "a.example", "ed25519:1", 'a');
	documents(&w, "a.example", NULL, INT64_MIN, &docs);
	h->key_id = S("ed25519:2");
	fake_now += DAY;
	h->valid_until = fake_now + DAY;
	assert_int_equal(documents(&w, "a.example", "ed25519:1", INT64_MIN, &docs), 1);
	assert_non_null(json_get(json_get(docs[0], S("verify_keys")), S("ed25519:1")));
	assert_int_equal(documents(&w, "a.example", "ed25519:2", INT64_MIN, &docs), 1);
	assert_non_null(json_get(json_get(docs[0], S("verify_keys")), S("ed25519:2")));
	assert_int_equal(documents(&w, "a.example", NULL, INT64_MIN, &docs), 2);
	ring_end(&w);
}

BOTH(a_key_is_asked_for_once_and_kept)
BOTH(own_keys_are_known)
BOTH(a_list_that_has_run_out_is_asked_for_anew)
BOTH(what_cannot_be_had_is_not_asked_for_again_and_again)
BOTH(who_fails_is_left_alone_for_ever_longer)
BOTH(some_are_not_asked)
BOTH(a_list_has_to_be_the_servers_own)
BOTH(a_key_that_was_given_up)
BOTH(notaries_are_asked_first)
BOTH(a_notary_tells_of_those_it_was_asked_of)
BOTH(a_notary_has_to_sign)
BOTH(a_notary_without_a_key_signs_with_what_it_publishes)
BOTH(a_notary_does_not_bring_back_what_was_given_up)
BOTH(a_notary_does_not_replace_a_valid_key)
BOTH(one_servers_keys_are_bounded)
BOTH(memory_is_bounded)
BOTH(many_servers_at_once)
BOTH(many_want_one_key)
BOTH(a_slow_one_holds_up_nobody_else)
BOTH(lists_are_handed_on_signed)
BOTH(a_list_with_a_key_that_is_gone_is_kept)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(a_key_is_asked_for_once_and_kept),
		BOTH_TESTS(own_keys_are_known),
		BOTH_TESTS(a_list_that_has_run_out_is_asked_for_anew),
		BOTH_TESTS(what_cannot_be_had_is_not_asked_for_again_and_again),
		BOTH_TESTS(who_fails_is_left_alone_for_ever_longer),
		BOTH_TESTS(some_are_not_asked),
		BOTH_TESTS(a_list_has_to_be_the_servers_own),
		BOTH_TESTS(a_key_that_was_given_up),
		BOTH_TESTS(notaries_are_asked_first),
		BOTH_TESTS(a_notary_tells_of_those_it_was_asked_of),
		BOTH_TESTS(a_notary_has_to_sign),
		BOTH_TESTS(a_notary_without_a_key_signs_with_what_it_publishes),
		BOTH_TESTS(a_notary_does_not_bring_back_what_was_given_up),
		BOTH_TESTS(a_notary_does_not_replace_a_valid_key),
		BOTH_TESTS(one_servers_keys_are_bounded),
		BOTH_TESTS(memory_is_bounded),
		BOTH_TESTS(many_servers_at_once),
		BOTH_TESTS(many_want_one_key),
		BOTH_TESTS(a_slow_one_holds_up_nobody_else),
		BOTH_TESTS(lists_are_handed_on_signed),
		BOTH_TESTS(a_list_with_a_key_that_is_gone_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
