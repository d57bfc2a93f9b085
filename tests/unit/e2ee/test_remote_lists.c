/*
 * test_remote_lists.c - lists of devices between servers: what is taken of updates, when a list is good, and what
 * others are told of ours.
 */
#include "store/both.h"

#include "test.h"

#include "bus/bus.h"
#include "crypto/crypto.h"
#include "e2ee/internal_e2ee.h"
#include "e2ee/keys_query.h"
#include "e2ee/list_sender.h"
#include "e2ee/remote_form.h"
#include "e2ee/remote_lists.h"
#include "e2ee/to_device.h"
#include "federation/fed.h"
#include "store/device_lists.h"
#include "store/devices.h"
#include "store/membership.h"
#include "store/fault.h"
#include "store/outbox.h"
#include "store/remote_lists.h"
#include "store/rooms.h"
#include "store/tx.h"

enum { ROOM = 900 };

struct world {
	struct both *b;
	struct arena *a;
	struct bus *bus;
	struct e2ee *e;
	int64_t own, other, alice, bob; /* bob is of the other server */
};

static void on_commit(void *ctx, int64_t position) { bus_advance(ctx, position); }

static struct world begin(struct both *b)
{
	struct world w = { .b = b, .a = b->a, .bus = bus_new(100) };
	int64_t position;
	AUTO_TX tx = NULL;

	crypto_init();
	good(store_read(b->st, w.a, &tx));
	good(store_stream_head(tx, &position));
	store_read_end(&tx);
	bus_advance(w.bus, position);
	store_on_commit(b->st, on_commit, w.bus);
	w.e = e2ee_new(&(struct e2ee_options){ .store = b->st, .bus = w.bus, .server_name = S("x.org") });
	good(e2ee_federate(w.e, w.a, NULL, NULL));
	e2ee_leave_federation(w.e); /* its threads: the tests do their work by hand */
	good(store_intern(b->st, w.a, S("x.org"), &w.own));
	good(store_intern(b->st, w.a, S("other.org"), &w.other));
	good(store_intern(b->st, w.a, S("@alice:x.org"), &w.alice));
	good(store_intern(b->st, w.a, S("@bob:other.org"), &w.bob));
	return w;
}

static void end(struct world *w)
{
	to_device_flush(w->e);
	store_close(&w->b->st);
	e2ee_free(&w->e);
	bus_free(&w->bus);
}

static struct json *js(struct arena *a, const char *text)
{
	str copy = arena_keep(a, str_c(text));
	struct json *j;

	for (size_t i = 0; i < copy.n; i++)
		if (copy.p[i] == '\'')
			((char *)copy.p)[i] = '"';
	good(json_parse(a, copy, &json_limits_request, &j));
	return j;
}

/*
 * Who is in the room
 */
struct move {
	int64_t room, user, server;
	bool in, local;
};

static err *move_late(struct tx *tx, void *arg)
{
	const struct move *m = arg;
	struct member_row row = { .room = m->room, .user = m->user, .membership = m->in ? MEMBER_JOIN : MEMBER_LEAVE };

	TRY(tx_position(tx, &row.stream));
	row.since = row.stream;
	TRY(store_member_save(tx, &row));
	return store_room_server_add(tx, m->room, m->server, m->in ? 1 : -1, m->local ? -row.stream : row.stream);
}

static void late(struct world *w, store_fn *fn, void *arg)
{
	struct ticket *ticket;

	good(store_write(w->b->st, w->a, &(struct piece){ .late = fn, .arg = arg, .positions = 10 }, &ticket));
	good(store_wait(w->a, ticket));
}

static void moves_in(struct world *w, int64_t room, int64_t user, bool in)
{
	const bool local = user == w->alice;

	late(w, move_late, &(struct move){ room, user, local ? w->own : w->other, in, local });
}

static void moves(struct world *w, int64_t user, bool in) { moves_in(w, ROOM, user, in); }

/*
 * Bob's list
 */
#define KEYS(id, key)                                                                                                  \
	"{'algorithms':[],'device_id':'" id "','keys':{'curve25519:" id "':'" key "'},'signatures':{'@bob:other.org':" \
	"{'ed25519:" id "':'c2ln'}},'user_id':'@bob:other.org'}"

static err *list_write(struct tx *tx, void *arg)
{
	bool changed;

	return store_remote_list_replace(tx, arg, &changed);
}

/* One device, A, as of his server's number 5. */
static void keep_list(struct world *w)
{
	static const char keys[] = "{\"algorithms\":[],\"device_id\":\"A\",\"keys\":{\"curve25519:A\":\"one\"},"
				   "\"user_id\":\"@bob:other.org\",\"signatures\":{}}";
	const struct device_keys_row a = { .device_id = S("A"), .keys = str_c(keys), .display_name = S("phone") };
	struct remote_list l = { .user = w->bob, .told = 5, .at = bus_position(w->bus), .devices = &a, .n = 1 };

	good(store_do(w->b->st, w->a, list_write, &l));
}

static struct remote_list_row standing(struct world *w)
{
	struct remote_list_row row;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(store_remote_lists(tx, w->own, &w->bob, 1, &row));
	return row;
}

/* His devices, as Alice gets them without his server being asked; STR_NONE: it has to be. */
static str devices(struct world *w)
{
	struct keys_answer answer;

	good(e2ee_keys_query(w->e, w->a, w->alice, S("@alice:x.org"), js(w->a, "{'@bob:other.org':[]}"), &answer));
	assert_int_equal(answer.n + answer.n_absent, 1);
	return answer.n ? answer.users[0].devices : STR_NONE;
}

static int64_t newest_change(struct world *w, int64_t user)
{
	struct device_list_row *rows;
	size_t n;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(store_device_list_streams(tx, &user, 1, &rows, &n));
	return n ? rows[0].stream : 0;
}

static err *update(struct world *w, const char *content)
{
	return remote_list_update(w->e, w->a, S("other.org"), js(w->a, content));
}

static bool has(str text, const char *part) { return str_contains(text, str_c(part)); }

static struct world sharing(struct both *b)
{
	struct world w = begin(b);

	moves(&w, w.alice, true);
	moves(&w, w.bob, true);
	keep_list(&w);
	return w;
}

static void a_list_is_good_while_a_room_is_shared(struct both *b)
{
	struct world w = begin(b);

	moves(&w, w.alice, true);
	moves(&w, w.bob, true);
	assert_true(str_is_none(devices(&w))); /* never fetched */
	assert_true(standing(&w).shares);
	keep_list(&w);
	assert_true(has(devices(&w), "\"one\""));
	assert_true(has(devices(&w), "\"device_display_name\":\"phone\""));
	/* Where one of them was out for a while, updates were not sent to us. */
	moves(&w, w.bob, false);
	assert_true(str_is_none(devices(&w)));
	assert_false(standing(&w).shares);
	moves(&w, w.bob, true);
	assert_true(standing(&w).shares);
	assert_false(standing(&w).kept);
	keep_list(&w);
	assert_true(standing(&w).kept);
	moves(&w, w.alice, false);
	assert_false(standing(&w).kept);
	moves(&w, w.alice, true);
	assert_false(standing(&w).kept);
	end(&w);
}
BOTH(a_list_is_good_while_a_room_is_shared)

static void updates_that_follow_are_taken(struct both *b)
{
	struct world w = sharing(b);
	int64_t before = newest_change(&w, w.bob);

	good(update(&w, "{'user_id':'@bob:other.org','device_id':'B','stream_id':6,'prev_id':[5],"
			"'device_display_name':'tablet','keys':" KEYS("B", "two") "}"));
	assert_true(has(devices(&w), "\"one\"") && has(devices(&w), "\"two\"") && has(devices(&w), "tablet"));
	assert_true(newest_change(&w, w.bob) > before);
	before = newest_change(&w, w.bob);
	/* Again, or from before: nothing new. */
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'B','stream_id':6,'prev_id':[5],"
			"'device_display_name':'tablet','keys':" KEYS("B", "two") "}"));
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'C','stream_id':3,'prev_id':[2],'deleted':true}"));
	assert_true(has(devices(&w), "\"one\"") && has(devices(&w), "\"two\""));
	assert_int_equal(newest_change(&w, w.bob), before);
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'A','stream_id':7,'prev_id':[6],'deleted':true}"));
	assert_false(has(devices(&w), "\"one\""));
	assert_true(has(devices(&w), "\"two\""));
	end(&w);
}
BOTH(updates_that_follow_are_taken)

static void a_gap_makes_the_list_stale(struct both *b)
{
	struct world w = sharing(b);
	const int64_t before = newest_change(&w, w.bob);

	good(update(&w, "{'user_id':'@bob:other.org','device_id':'A','stream_id':9,'prev_id':[8],'deleted':true}"));
	assert_true(str_is_none(devices(&w)));
	assert_true(standing(&w).told == 5 && standing(&w).shares);
	/* Clients are told once it was fetched: before, nobody could have it. */
	assert_int_equal(newest_change(&w, w.bob), before);
	end(&w);
}
BOTH(a_gap_makes_the_list_stale)

static void nothing_is_believed_of_others(struct both *b)
{
	struct world w = sharing(b);
	err *e;

	e = remote_list_update(w.e, w.a, S("evil.org"),
			       js(w.a, "{'user_id':'@bob:other.org','device_id':'A','stream_id':6,'prev_id':[5],"
				       "'deleted':true}"));
	assert_int_equal(e->code, ERR_FORBIDDEN);
	/* Keys that say that they are another device's, or another user's, are none. */
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'B','stream_id':6,'prev_id':[5],'keys':" KEYS(
				"C", "two") "}"));
	assert_false(has(devices(&w), "\"two\""));
	assert_int_equal(update(&w, "{'user_id':'@bob:other.org','stream_id':6}")->code, ERR_BAD_JSON);
	assert_int_equal(update(&w, "{'user_id':'@bob:other.org','device_id':'A','stream_id':'6'}")->code,
			 ERR_BAD_JSON);
	assert_int_equal(update(&w, "{'user_id':'@bob:other.org','device_id':'A','stream_id':7,'prev_id':['x']}")->code,
			 ERR_BAD_JSON);
	assert_true(has(devices(&w), "\"one\""));
	end(&w);
}
BOTH(nothing_is_believed_of_others)

/* A device that is dropped for how its keys are named is one that a client is never shown. */
static void keys_are_taken_under_names_of_any_form(struct both *b)
{
	static const struct {
		const char *keys, *shown; /* shown NULL: they are none */
	} rows[] = {
		{ "{'ed25519:B':'k1'}", "\"ed25519:B\":\"k1\"" },
		{ "{'B':'k2'}", "\"B\":\"k2\"" },
		{ "{'':'k3'}", "\"\":\"k3\"" },
		{ "{':':'k4'}", "\":\":\"k4\"" },
		{ "{':B':'k5'}", "\":B\":\"k5\"" },
		{ "{'ed25519:':'k6'}", "\"ed25519:\":\"k6\"" },
		{ "{'ed25519:A':'k7'}", "\"ed25519:A\":\"k7\"" },
		{ "{'ed25519:B:C':'k8'}", "\"ed25519:B:C\":\"k8\"" },
		{ "{'x y\\n':'k9'}", "\"x y\\n\":\"k9\"" },
		{ "{'ed25519:B':'','B':'k10'}", "\"B\":\"k10\",\"ed25519:B\":\"\"" },
		{ "{}", "\"keys\":{}" },
		{ "{'B':5}", NULL },
		{ "{'B':null}", NULL },
		{ "{'B':{'ed25519:B':'k'}}", NULL },
		{ "{'ed25519:B':'k','B':['k']}", NULL },
		{ "['k']", NULL },
		{ "'k'", NULL },
		{ "null", NULL },
	};
	struct world w = sharing(b);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const str content = arena_printf(
			w.a,
			"{'user_id':'@bob:other.org','device_id':'B','stream_id':%zu,'prev_id':[%zu],'keys':{"
			"'algorithms':[],'device_id':'B','user_id':'@bob:other.org','signatures':{},'keys':%s}}",
			i + 6, i + 5, rows[i].keys);

		good(update(&w, arena_cstr(w.a, content)));
		assert_true(has(devices(&w), "\"one\""));
		assert_int_equal(has(devices(&w), "\"B\":{"), rows[i].shown != NULL);
		assert_true(!rows[i].shown || has(devices(&w), rows[i].shown));
	}
	end(&w);
}
BOTH(keys_are_taken_under_names_of_any_form)

static void who_shares_no_room_is_nobodys_news(struct both *b)
{
	struct world w = begin(b);

	good(update(&w, "{'user_id':'@bob:other.org','device_id':'A','stream_id':6,'prev_id':[],'keys':" KEYS(
				"A", "x") "}"));
	good(update(&w, "{'user_id':'@never:other.org','device_id':'A','stream_id':6,'prev_id':[]}"));
	assert_int_equal(newest_change(&w, w.bob), 0);
	/* Who shares one and was never asked for: clients hear that something changed. */
	moves(&w, w.alice, true);
	moves(&w, w.bob, true);
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'A','stream_id':7,'prev_id':[6],'keys':" KEYS(
				"A", "x") "}"));
	assert_true(newest_change(&w, w.bob) > 0);
	assert_true(str_is_none(devices(&w)));
	end(&w);
}
BOTH(who_shares_no_room_is_nobodys_news)

struct wanted {
	int64_t own;
	size_t n;
};

static err *wanted_read(struct tx *tx, void *arg)
{
	struct wanted *wanted = arg;
	int64_t *users;

	return store_remote_lists_to_fetch(tx, wanted->own, 0, 10, &users, &wanted->n);
}

static size_t to_fetch(struct world *w)
{
	struct wanted wanted = { .own = w->own };

	good(store_do(w->b->st, w->a, wanted_read, &wanted));
	return wanted.n;
}

static err *unwant(struct tx *tx, void *arg) { return store_remote_list_unwant(tx, *(int64_t *)arg); }

static void a_list_that_was_never_here_is_wanted_once(struct both *b)
{
	static const char news[] = "{'user_id':'@bob:other.org','device_id':'A','stream_id':7,'prev_id':[6]}";
	struct world w = begin(b);
	int64_t before;

	moves(&w, w.alice, true);
	assert_int_equal(to_fetch(&w), 0);
	good(update(&w, news));
	assert_int_equal(to_fetch(&w), 0); /* he shares no room */
	moves(&w, w.bob, true);
	good(update(&w, news));
	assert_int_equal(to_fetch(&w), 1);
	assert_false(standing(&w).kept);
	assert_true(str_is_none(devices(&w)));
	/* His server did not give it: only his next change, or who asks, has it fetched. */
	good(store_do(w.b->st, w.a, unwant, &w.bob));
	assert_int_equal(to_fetch(&w), 0);
	good(update(&w, news));
	/* That he changed, clients heard then. */
	before = newest_change(&w, w.bob);
	keep_list(&w);
	assert_true(standing(&w).kept);
	assert_int_equal(to_fetch(&w), 0);
	assert_int_equal(newest_change(&w, w.bob), before);
	/* Of one that is here nothing is given up. */
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'A','stream_id':9,'prev_id':[8]}"));
	good(store_do(w.b->st, w.a, unwant, &w.bob));
	assert_int_equal(to_fetch(&w), 1);
	end(&w);
}
BOTH(a_list_that_was_never_here_is_wanted_once)

/* It would be shown as a list without devices, and remembered as that when it has come. */
static void a_list_that_was_never_here_is_not_an_old_one(struct both *b)
{
	struct world w = begin(b);
	struct keys_answer answer;

	moves(&w, w.alice, true);
	moves(&w, w.bob, true);
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'A','stream_id':5,'prev_id':[4],'deleted':true}"));
	good(e2ee_keys_query(w.e, w.a, w.alice, S("@alice:x.org"), js(w.a, "{'@bob:other.org':[]}"), &answer));
	assert_int_equal(answer.n_absent, 1);
	assert_true(answer.absent[0].shares && !answer.absent[0].is_old);
	end(&w);
}
BOTH(a_list_that_was_never_here_is_not_an_old_one)

struct news_of_list {
	struct remote_list list;
	bool changed;
};

static err *replace(struct tx *tx, void *arg)
{
	struct news_of_list *of = arg;

	return store_remote_list_replace(tx, &of->list, &of->changed);
}

static void which_list_is_news(struct both *b)
{
	static const char keys[] = "{}";
	const struct device_keys_row d = { .device_id = S("A"), .keys = str_c(keys) };
	struct world w = begin(b);
	struct news_of_list of = { .list = { .user = w.bob, .told = 5, .devices = &d, .n = 1 } };

	good(store_do(b->st, w.a, replace, &of));
	assert_true(of.changed); /* the first one */
	good(store_do(b->st, w.a, replace, &of));
	assert_false(of.changed);
	of.list.n = 0;
	good(store_do(b->st, w.a, replace, &of));
	assert_true(of.changed);
	of.list.user = w.alice;
	good(store_do(b->st, w.a, replace, &of));
	assert_true(of.changed); /* none was here: what was shown before it was deleted is not known */
	good(store_do(b->st, w.a, replace, &of));
	assert_false(of.changed);
	end(&w);
}
BOTH(which_list_is_news)

/* 43 characters, for two that tell them apart. */
#define PUBLIC(key) key "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
static void identity_keys_come_with_updates(struct both *b)
{
	struct world w = sharing(b);
	struct keys_answer answer;

	good(remote_signing_key_update(
		w.e, w.a, S("other.org"),
		js(w.a,
		   "{'user_id':'@bob:other.org','master_key':{'user_id':'@bob:other.org','usage':['master'],"
		   "'keys':{'ed25519:" PUBLIC("M0") "':'" PUBLIC(
			   "M0") "'}},'self_signing_key':{'user_id':'@eve:other.org',"
				 "'usage':['self_signing'],'keys':{'ed25519:" PUBLIC("S0") "':'" PUBLIC("S0") "'}}}")));
	good(e2ee_keys_query(w.e, w.a, w.alice, S("@alice:x.org"), js(w.a, "{'@bob:other.org':[]}"), &answer));
	assert_true(has(answer.users[0].master, "ed25519:M0"));
	assert_true(str_is_none(answer.users[0].self_signing)); /* another's */
	end(&w);
}
BOTH(identity_keys_come_with_updates)

static struct queried_user identity(struct world *w)
{
	struct keys_answer answer;

	good(e2ee_keys_query(w->e, w->a, w->alice, S("@alice:x.org"), js(w->a, "{'@bob:other.org':[]}"), &answer));
	assert_int_equal(answer.n, 1);
	return answer.users[0];
}

static void signing_update(struct world *w, const char *keys)
{
	const str content = arena_printf(w->a, "{'user_id':'@bob:other.org'%s}", keys);

	good(remote_signing_key_update(w->e, w->a, S("other.org"), js(w->a, arena_cstr(w->a, content))));
}

#define IDENTITY(usage, key)                                                                                           \
	",'" usage "_key':{'user_id':'@bob:other.org','usage':['" usage                                                \
	"'],'keys':{'ed25519:" PUBLIC(key) "':'" PUBLIC(key) "'}}"

/* Some servers name only the key that changed. */
static void an_identity_key_alone_leaves_the_other(struct both *b)
{
	struct world w = sharing(b);
	int64_t before;

	signing_update(&w, IDENTITY("master", "M1"));
	signing_update(&w, IDENTITY("self_signing", "S1"));
	assert_true(has(identity(&w).master, "M1") && has(identity(&w).self_signing, "S1"));
	signing_update(&w, IDENTITY("master", "M2"));
	assert_true(has(identity(&w).master, "M2") && has(identity(&w).self_signing, "S1"));
	before = newest_change(&w, w.bob);
	signing_update(&w, "");
	assert_true(has(identity(&w).master, "M2") && has(identity(&w).self_signing, "S1"));
	assert_int_equal(newest_change(&w, w.bob), before);
	end(&w);
}
BOTH(an_identity_key_alone_leaves_the_other)

static err *sign_bob(struct tx *tx, void *arg)
{
	const struct world *w = arg;
	const struct user_signature_row row = { w->alice, w->bob, S(PUBLIC("M1")), S("ed25519:alices"), S("c2ln") };

	return store_user_signature_save(tx, &row);
}

static void a_signature_is_shown_with_the_key_that_was_signed(struct both *b)
{
	struct world w = sharing(b);

	signing_update(&w, IDENTITY("master", "M1"));
	good(store_do(b->st, w.a, sign_bob, &w));
	assert_true(has(identity(&w).master, "\"@alice:x.org\":{\"ed25519:alices\":\"c2ln\"}"));
	signing_update(&w, IDENTITY("master", "M2"));
	assert_true(has(identity(&w).master, "M2") && !has(identity(&w).master, "alices"));
	signing_update(&w, IDENTITY("master", "M1"));
	assert_true(has(identity(&w).master, "M1") && has(identity(&w).master, "alices"));
	end(&w);
}
BOTH(a_signature_is_shown_with_the_key_that_was_signed)

static void a_self_signing_key_of_nobody_known_has_the_list_fetched(struct both *b)
{
	struct world w = sharing(b);

	signing_update(&w, IDENTITY("self_signing", "S1"));
	assert_true(str_is_none(devices(&w)));
	end(&w);
}
BOTH(a_self_signing_key_of_nobody_known_has_the_list_fetched)

/*
 * Fetching
 */
static struct fed_call ask(struct world *w, struct remote_user *bob)
{
	struct fed_call call;

	*bob = (struct remote_user){ .user = w->bob, .user_id = S("@bob:other.org") };
	assert_int_equal(remote_lists_prepare(w->e, w->a, bob, 1, &call), 1);
	return call;
}

static void answers(struct world *w, struct remote_user *bob, struct fed_call *call, int64_t at, const char *answer)
{
	call->answer = js(w->a, answer);
	remote_lists_take(w->e, w->a, bob, 1, call, at, 0);
	assert_true(bob->fetched);
}

#define LIST(stream_id, devices) "{'user_id':'@bob:other.org','stream_id':" stream_id ",'devices':[" devices "]}"
#define DEVICE(id, key)          "{'device_id':'" id "','keys':" KEYS(id, key) "}"

static void an_update_during_a_fetch_is_not_lost(struct both *b)
{
	static const char new_b[] =
		"{'user_id':'@bob:other.org','device_id':'B','stream_id':6,'prev_id':[5],'keys':" KEYS("B", "two") "}";
	struct world w = begin(b);
	struct remote_user bob;
	struct fed_call call;
	int64_t at;

	moves(&w, w.alice, true);
	moves(&w, w.bob, true);
	/* The answer is from before the update, which finds no list to be put into. */
	call = ask(&w, &bob);
	at = bus_position(w.bus);
	good(update(&w, new_b));
	answers(&w, &bob, &call, at, LIST("5", DEVICE("A", "one")));
	assert_false(standing(&w).kept);
	/* Nothing came in between; the answer has it. */
	call = ask(&w, &bob);
	answers(&w, &bob, &call, bus_position(w.bus), LIST("5", DEVICE("A", "one")));
	assert_true(standing(&w).kept);
	/* The update is put into the list, and the older answer would take it out again. */
	call = ask(&w, &bob);
	good(update(&w, new_b));
	answers(&w, &bob, &call, bus_position(w.bus), LIST("6", DEVICE("A", "one") "," DEVICE("B", "two")));
	assert_true(standing(&w).kept);
	call = ask(&w, &bob);
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'B','stream_id':6,'prev_id':[5],'keys':" KEYS(
				"B", "two") "}"));
	assert_true(has(devices(&w), "\"two\""));
	answers(&w, &bob, &call, bus_position(w.bus), LIST("5", DEVICE("A", "one")));
	assert_false(standing(&w).kept);
	/* Identity keys are not numbered. */
	call = ask(&w, &bob);
	good(remote_signing_key_update(w.e, w.a, S("other.org"), js(w.a, "{'user_id':'@bob:other.org'}")));
	answers(&w, &bob, &call, bus_position(w.bus), LIST("6", DEVICE("A", "one")));
	assert_false(standing(&w).kept);
	call = ask(&w, &bob);
	answers(&w, &bob, &call, bus_position(w.bus), LIST("6", DEVICE("A", "one")));
	assert_true(standing(&w).kept);
	end(&w);
}
BOTH(an_update_during_a_fetch_is_not_lost)

struct waiting {
	struct world *w;
	struct remote_user bob;
};

static void wait_for_it(void *arg)
{
	struct waiting *v = arg;
	AUTO_ARENA a = arena_new();

	remote_lists_take(v->w->e, a, &v->bob, 1, NULL, 0, INT64_MAX);
}

static void who_asks_while_a_list_is_fetched_waits_for_it(struct both *b)
{
	struct world w = begin(b);
	struct waiting other = { &w, { .user = w.bob, .user_id = S("@bob:other.org") } };
	struct remote_user bob, late;
	struct thread *thread;
	struct fed_call call;

	moves(&w, w.alice, true);
	moves(&w, w.bob, true);
	call = ask(&w, &bob);
	assert_int_equal(remote_lists_prepare(w.e, w.a, &other.bob, 1, NULL), 0);
	late = (struct remote_user){ .user = w.bob, .user_id = S("@bob:other.org") };
	assert_int_equal(remote_lists_prepare(w.e, w.a, &late, 1, NULL), 0);
	remote_lists_take(w.e, w.a, &late, 1, NULL, 0, 0);
	assert_false(late.fetched); /* its time was over */
	thread = thread_start("waits", wait_for_it, &other);
	answers(&w, &bob, &call, bus_position(w.bus), LIST("5", DEVICE("A", "one")));
	thread_join(&thread);
	assert_true(other.bob.fetched);
	/* It is here, and good: nobody is asked again. */
	good(remote_lists_ask_again(w.e, w.a, &other.bob, 1, 0));
	assert_true(other.bob.fetched);
	/* What came to nothing for one came to nothing for the other, who may ask then. */
	call = ask(&w, &bob);
	assert_int_equal(remote_lists_prepare(w.e, w.a, &other.bob, 1, NULL), 0);
	call.error = err_new(w.a, ERR_CONNECTION_FAILED, "no");
	remote_lists_take(w.e, w.a, &bob, 1, &call, 0, 0);
	remote_lists_take(w.e, w.a, &other.bob, 1, NULL, 0, 0);
	assert_false(bob.fetched || other.bob.fetched);
	call = ask(&w, &other.bob);
	answers(&w, &other.bob, &call, bus_position(w.bus), LIST("5", DEVICE("A", "one")));
	end(&w);
}
BOTH(who_asks_while_a_list_is_fetched_waits_for_it)

/* It came between somebody's look for it and their beginning: here nobody is there to be asked. */
static void a_list_that_came_meanwhile_is_not_fetched_again(struct both *b)
{
	struct world w = begin(b);
	struct remote_user bob;
	struct fed_call call;

	moves(&w, w.alice, true);
	moves(&w, w.bob, true);
	call = ask(&w, &bob);
	keep_list(&w);
	remote_lists_ask(w.e, w.a, &(struct remote_lists_asking){ &bob, 1, &call, 1, NULL, 0, 0 }, INT64_MAX);
	assert_true(bob.fetched);
	remote_lists_take(w.e, w.a, &bob, 1, &call, 0, 0);
	assert_true(bob.fetched);
	call = ask(&w, &bob); /* by whoever comes next */
	call.error = err_new(w.a, ERR_CONNECTION_FAILED, "no");
	remote_lists_take(w.e, w.a, &bob, 1, &call, 0, 0);
	end(&w);
}
BOTH(a_list_that_came_meanwhile_is_not_fetched_again)

/* A server whose database is an older one counts anew, and one that wants its list fetched gives each update one number
 * and no other before it. Updates that are no repetitions were once left out, for their numbers were known. */
static void whoever_counts_anew_is_asked_for_the_list(struct both *b)
{
	static const char *const anew[] = {
		"{'user_id':'@bob:other.org','device_id':'B','stream_id':2,'prev_id':[1],'keys':" KEYS("B", "two") "}",
		"{'user_id':'@bob:other.org','device_id':'A','stream_id':5,'prev_id':[4],'deleted':true}",
		"{'user_id':'@bob:other.org','device_id':'placeholder','stream_id':1,'prev_id':[]}",
		"{'user_id':'@bob:other.org','device_id':'B','stream_id':9,'keys':" KEYS("B", "two") "}",
	};
	struct world w = sharing(b);
	struct remote_user bob;
	struct fed_call call;

	for (size_t i = 0; i < ARRAY_LEN(anew); i++) {
		assert_true(standing(&w).kept);
		good(update(&w, anew[i]));
		assert_false(standing(&w).kept);
		keep_list(&w);
	}
	/* From then on its new numbers count. */
	good(update(&w, anew[0]));
	call = ask(&w, &bob);
	answers(&w, &bob, &call, bus_position(w.bus), LIST("2", DEVICE("B", "two")));
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'C','stream_id':3,'prev_id':[2],'keys':" KEYS(
				"C", "three") "}"));
	assert_true(standing(&w).kept);
	assert_true(has(devices(&w), "\"two\"") && has(devices(&w), "\"three\"") && !has(devices(&w), "\"one\""));
	end(&w);
}
BOTH(whoever_counts_anew_is_asked_for_the_list)

/* Nothing comes before the first of all. */
static void the_first_update_of_all_is_taken(struct both *b)
{
	struct world w = begin(b);
	struct remote_user bob;
	struct fed_call call;

	moves(&w, w.alice, true);
	moves(&w, w.bob, true);
	call = ask(&w, &bob);
	answers(&w, &bob, &call, bus_position(w.bus), LIST("0", DEVICE("A", "one")));
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'B','stream_id':1,'prev_id':[],'keys':" KEYS(
				"B", "two") "}"));
	assert_true(standing(&w).kept);
	assert_true(has(devices(&w), "\"one\"") && has(devices(&w), "\"two\""));
	end(&w);
}
BOTH(the_first_update_of_all_is_taken)

static void updates_do_not_make_a_list_endless(struct both *b)
{
	struct world w = begin(b);
	struct device_keys_row *many = ARENA_ARRAY(w.a, struct device_keys_row, REMOTE_DEVICES_MAX);
	struct remote_list l = { .user = w.bob, .told = 5, .devices = many, .n = REMOTE_DEVICES_MAX };

	moves(&w, w.alice, true);
	moves(&w, w.bob, true);
	for (size_t i = 0; i < REMOTE_DEVICES_MAX; i++)
		many[i] = (struct device_keys_row){ .device_id = arena_printf(w.a, "D%zu", i), .keys = S("{\"a\":1}") };
	l.at = bus_position(w.bus);
	good(store_do(b->st, w.a, list_write, &l));
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'ONE_MORE','stream_id':6,'prev_id':[5],'keys':" KEYS(
				"ONE_MORE", "more") "}"));
	assert_false(has(devices(&w), "ONE_MORE"));
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'D7','stream_id':7,'prev_id':[6],'keys':" KEYS(
				"D7", "seven") "}"));
	assert_true(has(devices(&w), "\"seven\""));
	end(&w);
}
BOTH(updates_do_not_make_a_list_endless)

/*
 * Lists of who is gone
 */
static void sweep(struct world *w)
{
	AUTO_ARENA a = arena_new();

	good(remote_lists_sweep(w->e, a));
}

static struct queried_user *here(struct world *w, struct absent_user *bob)
{
	struct keys_answer answer = { 0 };

	*bob = (struct absent_user){ S("@bob:other.org"), js(w->a, "[]"), w->bob, true, true };
	good(e2ee_keys_here(w->e, w->a, w->alice, S("@alice:x.org"), bob, 1, &answer));
	return answer.n ? answer.users : NULL;
}

static void a_list_goes_with_the_last_shared_room(struct both *b)
{
	struct world w = sharing(b);
	struct absent_user bob;
	struct remote_user asked_for;
	struct fed_call call;

	signing_update(&w, IDENTITY("master", "M1"));
	moves_in(&w, ROOM + 1, w.alice, true);
	moves_in(&w, ROOM + 1, w.bob, true);
	moves(&w, w.bob, false);
	sweep(&w);
	assert_int_equal(standing(&w).told, 5); /* there is another */
	moves_in(&w, ROOM + 1, w.alice, false);
	assert_non_null(here(&w, &bob));
	call = ask(&w, &asked_for);
	sweep(&w);
	assert_int_equal(standing(&w).told, -1);
	/* Who has just had it fetched is not told that he has no devices. */
	assert_null(here(&w, &bob));
	assert_false(bob.is_old);
	/* Who asks now asks for a stranger. */
	assert_true(str_is_none(devices(&w)));
	/* It was being fetched: it comes, and goes. */
	answers(&w, &asked_for, &call, bus_position(w.bus), LIST("6", DEVICE("B", "two")));
	assert_true(standing(&w).told == 6 && !standing(&w).kept);
	sweep(&w);
	assert_int_equal(standing(&w).told, -1);
	/* They meet again: nothing old is shown, and an update has his list fetched. */
	moves(&w, w.bob, true);
	assert_true(str_is_none(devices(&w)));
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'B','stream_id':8,'prev_id':[7],'deleted':true}"));
	sweep(&w);
	assert_int_equal(to_fetch(&w), 1);
	keep_list(&w);
	sweep(&w);
	assert_true(has(identity(&w).devices, "\"one\"") && str_is_none(identity(&w).master));
	end(&w);
}
BOTH(a_list_goes_with_the_last_shared_room)

/* What was in memory of it is of before. */
static void a_list_that_comes_again_without_devices_is_news(struct both *b)
{
	struct world w = sharing(b);
	struct remote_user bob;
	struct fed_call call;

	assert_true(has(devices(&w), "\"one\""));
	moves(&w, w.bob, false);
	sweep(&w);
	moves(&w, w.bob, true);
	call = ask(&w, &bob);
	answers(&w, &bob, &call, bus_position(w.bus), LIST("5", ""));
	assert_true(standing(&w).kept);
	assert_true(str_eq(devices(&w), S("{}")));
	end(&w);
}
BOTH(a_list_that_comes_again_without_devices_is_news)

static void many_lists_are_swept(struct both *b)
{
	enum { MANY = 450 };
	struct world w = sharing(b);
	int64_t *left;
	size_t n;
	AUTO_TX tx = NULL;

	for (size_t i = 0; i < MANY; i++) {
		struct remote_list l = { .told = 1 };

		good(store_intern(b->st, w.a, arena_printf(w.a, "@u%zu:other.org", i), &l.user));
		good(store_do(b->st, w.a, list_write, &l));
	}
	sweep(&w);
	good(store_read(b->st, w.a, &tx));
	good(store_remote_lists_above(tx, 0, MANY, &left, &n));
	assert_true(n == 1 && left[0] == w.bob);
	store_read_end(&tx);
	end(&w);
}
BOTH(many_lists_are_swept)

/* Its server has told of nothing yet. */
static void a_list_of_number_0_is_here(struct both *b)
{
	struct world w = begin(b);
	struct keys_answer answer;
	struct remote_user bob;
	struct fed_call call;

	moves(&w, w.alice, true);
	moves(&w, w.bob, true);
	call = ask(&w, &bob);
	answers(&w, &bob, &call, bus_position(w.bus), LIST("0", DEVICE("A", "one")));
	good(update(&w, "{'user_id':'@bob:other.org','device_id':'B','stream_id':9,'prev_id':[8],'deleted':true}"));
	good(e2ee_keys_query(w.e, w.a, w.alice, S("@alice:x.org"), js(w.a, "{'@bob:other.org':[]}"), &answer));
	assert_int_equal(answer.n_absent, 1);
	assert_true(answer.absent[0].is_old);
	end(&w);
}
BOTH(a_list_of_number_0_is_here)

/*
 * Ours
 */
struct own_device {
	int64_t user;
	const char *id, *keys; /* keys NULL: it goes */
};

static err *own_device_write(struct tx *tx, void *arg)
{
	const struct own_device *d = arg;
	int64_t position;
	bool done;

	TRY(tx_position(tx, &position));
	TRY(store_device_list_changed(tx, d->user, position, 1));
	if (!d->keys)
		return tx_run(tx, "DELETE FROM device_keys WHERE user_nid = $1", BIND(B(d->user)));
	TRY(store_device_add(tx, &(struct device_row){ .user = d->user, .device_id = str_c(d->id) }, &done));
	return store_device_keys_save(tx, d->user, str_c(d->id), str_c(d->keys), &done);
}

static void own_device(struct world *w, const char *id, const char *keys)
{
	late(w, own_device_write, &(struct own_device){ w->alice, id, keys });
	good(list_sender_work(w->e, w->a));
}

static struct outbox_edu_row *edus(struct world *w, int64_t server, size_t *n)
{
	struct outbox_edu_row *rows;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(store_outbox_edus(tx, server, 0, 100, &rows, n));
	for (size_t i = 0; i < *n; i++) {
		rows[i].type = arena_keep(w->a, rows[i].type);
		rows[i].content = arena_keep(w->a, rows[i].content);
	}
	return rows;
}

static struct world sending(struct both *b)
{
	struct world w = begin(b);

	list_sender_begin(w.e);
	good(list_sender_work(w.e, w.a));
	moves(&w, w.alice, true);
	return w;
}

static void others_hear_of_each_device_once(struct both *b)
{
	struct world w = sending(b);
	struct outbox_edu_row *rows;
	size_t n;

	own_device(&w, "D", "{\"keys\":1}"); /* nobody is there */
	(void)edus(&w, w.other, &n);
	assert_int_equal(n, 0);
	moves(&w, w.bob, true);
	own_device(&w, "E", "{\"keys\":2}");
	rows = edus(&w, w.other, &n);
	assert_int_equal(n, 2); /* D was never told of */
	same_str(rows[0].type, S("m.device_list_update"));
	assert_true(has(rows[0].content, "\"stream_id\":1,\"prev_id\":[]"));
	assert_true(has(rows[1].content, "\"stream_id\":2,\"prev_id\":[1]"));
	good(list_sender_work(w.e, w.a));
	(void)edus(&w, w.other, &n);
	assert_int_equal(n, 2);
	own_device(&w, NULL, NULL);
	rows = edus(&w, w.other, &n);
	assert_int_equal(n, 2); /* in place of what was not sent yet */
	assert_true(has(rows[0].content, "\"deleted\":true") && has(rows[1].content, "\"deleted\":true"));
	assert_true(has(rows[1].content, "\"stream_id\":4,\"prev_id\":[3]"));
	list_sender_end(w.e);
	end(&w);
}
BOTH(others_hear_of_each_device_once)

static void a_restart_tells_what_is_left_and_nothing_twice(struct both *b)
{
	struct world w = sending(b);
	size_t n;

	moves(&w, w.bob, true);
	own_device(&w, "D", "{\"keys\":1}");
	late(&w, own_device_write, &(struct own_device){ w.alice, "E", "{\"keys\":2}" });
	list_sender_end(w.e);
	list_sender_begin(w.e);
	good(list_sender_work(w.e, w.a));
	(void)edus(&w, w.other, &n);
	assert_int_equal(n, 2);
	list_sender_end(w.e);
	end(&w);
}
BOTH(a_restart_tells_what_is_left_and_nothing_twice)

/* So many rows in one piece held up everybody who wanted a position; and a stop between two pieces loses nothing: who
 * has a part of what was told sees a gap. */
static err *many_servers_late(struct tx *tx, void *arg)
{
	const int64_t *first = arg;
	int64_t position;

	TRY(tx_position(tx, &position));
	for (int64_t i = 0; i < 600; i++)
		TRY(store_room_server_add(tx, ROOM, *first + i, 1, position));
	return NULL;
}

static void a_list_for_many_servers_is_told_in_pieces(struct both *b)
{
	struct world w = sending(b);
	const int64_t first = w.other + 100000;
	struct outbox_edu_row *rows;
	size_t n;

	late(&w, many_servers_late, &(int64_t){ first });
	late(&w, own_device_write, &(struct own_device){ w.alice, "D", "{\"keys\":1}" });
	late(&w, own_device_write, &(struct own_device){ w.alice, "E", "{\"keys\":2}" });
	store_fault(b->st, FAULT_COMMIT, 2);
	assert_non_null(list_sender_work(w.e, w.a));
	list_sender_end(w.e);
	list_sender_begin(w.e);
	good(list_sender_work(w.e, w.a));
	for (int64_t i = 0; i < 600; i++) {
		rows = edus(&w, first + i, &n);
		assert_int_equal(n, 2);
		assert_true(has(rows[0].content, "\"stream_id\":3,\"prev_id\":[2]"));
		assert_true(has(rows[1].content, "\"stream_id\":4,\"prev_id\":[3]"));
		assert_true(rows[0].id < rows[1].id);
	}
	good(list_sender_work(w.e, w.a));
	(void)edus(&w, first, &n);
	assert_int_equal(n, 2);
	list_sender_end(w.e);
	end(&w);
}
BOTH(a_list_for_many_servers_is_told_in_pieces)

static void who_comes_into_a_room_is_told_of(struct both *b)
{
	struct world w = sending(b);
	struct outbox_edu_row *rows;
	size_t n;

	moves(&w, w.bob, true);
	own_device(&w, "D", "{\"keys\":1}");
	list_sender_joined(w.e, w.alice);
	good(list_sender_work(w.e, w.a));
	rows = edus(&w, w.other, &n);
	assert_int_equal(n, 1);
	assert_true(has(rows[0].content, "\"stream_id\":1,\"prev_id\":[]"));
	list_sender_end(w.e);
	end(&w);
}
BOTH(who_comes_into_a_room_is_told_of)

/*
 * Messages
 */
static err *devices_write(struct tx *tx, void *arg)
{
	struct world *w = arg;
	bool added;

	return store_device_add(tx, &(struct device_row){ .user = w->alice, .device_id = S("D") }, &added);
}

static err *send(struct world *w, const char *txn, const char *messages)
{
	const struct to_device_cmd cmd = { .sender = w->alice,
					   .sender_id = S("@alice:x.org"),
					   .device_id = S("D"),
					   .type = S("m.test"),
					   .txn_id = str_c(txn),
					   .txn_path = S("/x"),
					   .messages = js(w->a, messages) };

	return to_device_send(w->e, w->a, &cmd);
}

static void messages_go_out_once_each_server(struct both *b)
{
	struct world w = begin(b);
	struct outbox_edu_row *rows;
	int64_t third;
	size_t n;

	good(send(&w, "1",
		  "{'@bob:other.org':{'A':{'n':1},'*':{'n':2}},'@c:third.org':{'B':{'n':3}},'@d:other.org':{'C':{}}}"));
	good(send(&w, "1", "{'@bob:other.org':{'A':{'n':1}}}"));
	rows = edus(&w, w.other, &n);
	assert_int_equal(n, 1);
	same_str(rows[0].type, S("m.direct_to_device"));
	assert_true(has(rows[0].content, "\"sender\":\"@alice:x.org\",\"type\":\"m.test\",\"message_id\":\""));
	assert_true(has(rows[0].content, "\"messages\":{\"@bob:other.org\":{\"A\":{\"n\":1},\"*\":{\"n\":2}},"
					 "\"@d:other.org\":{\"C\":{}}}}"));
	good(store_intern_find(b->st, w.a, S("third.org"), &third));
	(void)edus(&w, third, &n);
	assert_int_equal(n, 1);
	assert_int_equal(send(&w, "2", "{'@bob:other.org':{'A':5}}")->code, ERR_BAD_JSON);
	end(&w);
}
BOTH(messages_go_out_once_each_server)

static void long_messages_are_several_edus(struct both *b)
{
	struct world w = begin(b);
	AUTO_BUF text = BUF_INIT(1 << 20);
	size_t n;

	buf_add(&text, S("{'@bob:other.org':{"));
	for (int i = 0; i < 10; i++)
		buf_printf(&text, "%s'D%d':{'body':'%020000d'}", i ? "," : "", i, 7);
	buf_add(&text, S("}}"));
	buf_add(&text, (str){ "", 1 });
	good(send(&w, "1", buf_str(&text).p));
	for (size_t i = 0; i < 1; i++) {
		const struct outbox_edu_row *rows = edus(&w, w.other, &n);

		assert_int_equal(n, 5);
		for (size_t k = 0; k < n; k++)
			assert_true(rows[k].content.n < (48 << 10));
	}
	end(&w);
}
BOTH(long_messages_are_several_edus)

static size_t waiting(struct world *w)
{
	struct to_device_batch batch;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(to_device_waiting(w->e, tx, w->alice, S("D"), 0, INT64_MAX, &batch));
	return batch.n;
}

static void messages_come_in_once(struct both *b)
{
	struct world w = begin(b);
	const char *edu = "{'sender':'@bob:other.org','type':'m.test','message_id':'m1',"
			  "'messages':{'@alice:x.org':{'D':{'n':1}},'@c:third.org':{'B':{}}}}";
	size_t n;
	int64_t third;

	good(store_do(b->st, w.a, devices_write, &w));
	good(to_device_receive(w.e, w.a, S("other.org"), js(w.a, edu)));
	good(to_device_receive(w.e, w.a, S("other.org"), js(w.a, edu)));
	assert_int_equal(waiting(&w), 1);
	/* What comes from a server goes on to none. */
	good(store_intern_find(b->st, w.a, S("third.org"), &third));
	if (third)
		(void)edus(&w, third, &n);
	assert_true(!third || n == 0);
	assert_int_equal(to_device_receive(w.e, w.a, S("evil.org"), js(w.a, edu))->code, ERR_FORBIDDEN);
	assert_int_equal(to_device_receive(w.e, w.a, S("other.org"), js(w.a, "{'sender':'@bob:other.org'}"))->code,
			 ERR_BAD_JSON);
	end(&w);
}
BOTH(messages_come_in_once)

static void names_of_strangers_are_not_kept_for_nothing(struct both *b)
{
	struct world w = begin(b);
	int64_t eve;

	good(to_device_receive(w.e, w.a, S("other.org"),
			       js(w.a, "{'sender':'@eve:other.org','type':'m.test','message_id':'m1','messages':{"
				       "'@nobody:x.org':{'D':{}},'@c:third.org':{'B':{}},'@alice:x.org':{}}}")));
	good(store_intern_find(b->st, w.a, S("@eve:other.org"), &eve));
	assert_int_equal(eve, 0);
	end(&w);
}
BOTH(names_of_strangers_are_not_kept_for_nothing)

TEST_MAIN(BOTH_TESTS(who_asks_while_a_list_is_fetched_waits_for_it), BOTH_TESTS(an_update_during_a_fetch_is_not_lost),
	  BOTH_TESTS(whoever_counts_anew_is_asked_for_the_list), BOTH_TESTS(the_first_update_of_all_is_taken),
	  BOTH_TESTS(a_list_that_was_never_here_is_not_an_old_one), BOTH_TESTS(updates_do_not_make_a_list_endless),
	  BOTH_TESTS(names_of_strangers_are_not_kept_for_nothing), BOTH_TESTS(a_list_is_good_while_a_room_is_shared),
	  BOTH_TESTS(updates_that_follow_are_taken), BOTH_TESTS(a_gap_makes_the_list_stale),
	  BOTH_TESTS(nothing_is_believed_of_others), BOTH_TESTS(who_shares_no_room_is_nobodys_news),
	  BOTH_TESTS(a_list_that_was_never_here_is_wanted_once), BOTH_TESTS(which_list_is_news),
	  BOTH_TESTS(identity_keys_come_with_updates), BOTH_TESTS(an_identity_key_alone_leaves_the_other),
	  BOTH_TESTS(a_self_signing_key_of_nobody_known_has_the_list_fetched),
	  BOTH_TESTS(others_hear_of_each_device_once), BOTH_TESTS(a_restart_tells_what_is_left_and_nothing_twice),
	  BOTH_TESTS(who_comes_into_a_room_is_told_of), BOTH_TESTS(a_list_for_many_servers_is_told_in_pieces),
	  BOTH_TESTS(messages_go_out_once_each_server), BOTH_TESTS(long_messages_are_several_edus),
	  BOTH_TESTS(messages_come_in_once), BOTH_TESTS(keys_are_taken_under_names_of_any_form),
	  BOTH_TESTS(a_list_goes_with_the_last_shared_room), BOTH_TESTS(a_list_of_number_0_is_here),
	  BOTH_TESTS(a_list_that_comes_again_without_devices_is_news), BOTH_TESTS(many_lists_are_swept),
	  BOTH_TESTS(a_signature_is_shown_with_the_key_that_was_signed),
	  BOTH_TESTS(a_list_that_came_meanwhile_is_not_fetched_again))
