/* test_keys.c - uploads, queries and claims: what they cost, who is woken, and that what is no change makes none. */
#include "store/both.h"

#include "test.h"

#include "bus/bus.h"
#include "e2ee/cross_signing.h"
#include "e2ee/key_upload.h"
#include "e2ee/keys_query.h"
#include "store/cross_signing.h"
#include "store/devices.h"

struct world {
	struct both *b;
	struct bus *bus;
	struct e2ee *e;
};

static void on_commit(void *ctx, int64_t position) { bus_advance(ctx, position); }

static struct world begin(struct both *b)
{
	struct world w = { .b = b, .bus = bus_new(100) };
	const struct e2ee_options opt = { .store = b->st, .bus = w.bus, .server_name = S("x.org") };

	store_on_commit(b->st, on_commit, w.bus);
	w.e = e2ee_new(&opt);
	return w;
}

static void end(struct world *w)
{
	store_on_commit(w->b->st, NULL, NULL);
	e2ee_free(&w->e);
	bus_free(&w->bus);
}

static err *add_device(struct tx *tx, void *arg)
{
	const struct device_row row = { .user = *(int64_t *)arg, .device_id = S("D"), .display_name = S("phone") };
	bool added;

	return store_device_add(tx, &row, &added);
}

/* "@u<n>:x.org" with the device "D", watched by the bus. */
static struct key_upload user(struct world *w, int n)
{
	struct key_upload u = { .user_id = arena_printf(w->b->a, "@u%d:x.org", n), .device_id = S("D") };

	both_ok(store_intern(w->b->st, w->b->a, u.user_id, &u.user));
	both_ok(store_do(w->b->st, w->b->a, add_device, &u.user));
	bus_watch_begin(w->bus, u.user);
	bus_watch_rooms(w->bus, u.user, bus_position(w->bus), NULL, 0);
	return u;
}

static const struct json *parsed(struct world *w, str text)
{
	struct json *json;

	both_ok(json_parse(w->b->a, text, &json_limits_request, &json));
	return json;
}

static str device_keys(struct world *w, const struct key_upload *u, const char *more)
{
	return arena_printf(w->b->a,
			    "{\"device_keys\":{\"user_id\":\"%.*s\",\"device_id\":\"D\",\"algorithms\":[],\"keys\":"
			    "{\"ed25519:D\":\"k\"},\"signatures\":{\"%.*s\":{\"ed25519:D\":\"s\"}}%s}}",
			    STR_ARG(u->user_id), STR_ARG(u->user_id), more);
}

static void upload(struct world *w, struct key_upload *u, str body)
{
	*u = (struct key_upload){ .user = u->user, .user_id = u->user_id, .device_id = u->device_id };
	both_ok(e2ee_keys_upload(w->e, w->b->a, parsed(w, body), u));
}

/* Where the kind last changed for the user. */
static int64_t last(struct world *w, const struct key_upload *u, enum bus_kind kind)
{
	struct bus_known k;

	assert_true(bus_known(w->bus, u->user, &k));
	return k.last[kind];
}

static void only_changed_device_keys_are_a_change(struct both *b)
{
	struct world w = begin(b);
	struct key_upload u = user(&w, 1);
	int64_t at;

	assert_int_equal(last(&w, &u, BUS_DEVICE_LISTS), 0);
	upload(&w, &u, device_keys(&w, &u, ""));
	at = last(&w, &u, BUS_DEVICE_LISTS);
	assert_true(at > 0);
	upload(&w, &u, device_keys(&w, &u, ""));
	upload(&w, &u, device_keys(&w, &u, ",\"unsigned\":{\"x\":1}"));
	assert_int_equal(last(&w, &u, BUS_DEVICE_LISTS), at);
	upload(&w, &u, device_keys(&w, &u, ",\"more\":1"));
	assert_true(last(&w, &u, BUS_DEVICE_LISTS) > at);
	assert_int_equal(last(&w, &u, BUS_TO_DEVICE), 0);
	end(&w);
}
BOTH(only_changed_device_keys_are_a_change)

static struct key_claims claims(struct world *w, const struct key_upload *of, const char *algorithm)
{
	struct key_claims c;

	both_ok(key_claims_read(
		w->e, w->b->a,
		parsed(w, arena_printf(w->b->a, "{\"%.*s\":{\"D\":\"%s\"}}", STR_ARG(of->user_id), algorithm)), &c));
	both_ok(e2ee_keys_claim(w->e, w->b->a, &c));
	return c;
}

static void whoever_changes_the_counts_wakes_their_owner(struct both *b)
{
	struct world w = begin(b);
	struct key_upload u = user(&w, 1);
	int64_t at, then;

	upload(&w, &u, S("{\"one_time_keys\":{\"x:1\":\"k\"},\"fallback_keys\":{\"x:2\":\"f\"}}"));
	at = last(&w, &u, BUS_TO_DEVICE);
	assert_true(at > 0);
	upload(&w, &u, S("{\"one_time_keys\":{\"x:1\":\"k\"},\"fallback_keys\":{\"x:2\":\"f\"}}"));
	upload(&w, &u, S("{}"));
	assert_int_equal(u.counts.n_one_time, 1);
	assert_int_equal(last(&w, &u, BUS_TO_DEVICE), at);

	same_str(claims(&w, &u, "x").p[0].key, S("\"k\""));
	then = last(&w, &u, BUS_TO_DEVICE);
	assert_true(then > at);
	same_str(claims(&w, &u, "x").p[0].key, S("\"f\"")); /* marks the fallback key */
	assert_true(last(&w, &u, BUS_TO_DEVICE) > then);
	then = last(&w, &u, BUS_TO_DEVICE);
	assert_true(claims(&w, &u, "x").p[0].found); /* marked already: nothing is new */
	assert_false(claims(&w, &u, "y").p[0].found);
	assert_int_equal(last(&w, &u, BUS_TO_DEVICE), then);
	assert_int_equal(last(&w, &u, BUS_DEVICE_LISTS), 0);
	end(&w);
}
BOTH(whoever_changes_the_counts_wakes_their_owner)

static void a_device_that_is_gone_uploads_nothing(struct both *b)
{
	struct world w = begin(b);
	struct key_upload u = user(&w, 1);

	u.device_id = S("GONE");
	fails_with(e2ee_keys_upload(w.e, b->a, parsed(&w, S("{\"one_time_keys\":{\"x:1\":\"k\"}}")), &u),
		   ERR_UNKNOWN_TOKEN);
	end(&w);
}
BOTH(a_device_that_is_gone_uploads_nothing)

enum { CROWD = 100, ME = 1000000 };

static void costs_are_statements_for_all_together(struct both *b)
{
	struct world w = begin(b);
	AUTO_BUF ask = BUF_INIT(SIZE_MAX), keys = BUF_INIT(SIZE_MAX);
	struct key_upload u = { 0 };
	struct keys_answer answer;
	struct key_claims many;
	const struct json *asked;
	uint64_t before;

	buf_byte(&ask, '{');
	for (int i = 0; i < CROWD; i++) {
		u = user(&w, i);
		upload(&w, &u, device_keys(&w, &u, ""));
		buf_printf(&ask, "%s\"%.*s\":[]", i ? "," : "", STR_ARG(u.user_id));
		buf_printf(&keys, "%s\"x:%d\":\"k\"", i ? "," : "{\"one_time_keys\":{", i);
	}
	buf_byte(&ask, '}');
	buf_add(&keys, S("}}"));

	asked = parsed(&w, buf_str(&ask));
	before = store_statements_here();
	both_ok(e2ee_keys_query(w.e, b->a, u.user, u.user_id, asked, &answer));
	ok(store_statements_here() - before <= 4, "a query of %d users took %d statements", (int)CROWD,
	   (int)(store_statements_here() - before));
	for (int again = 0; again < 2; again++) {
		assert_int_equal(answer.n, CROWD);
		for (size_t i = 0; i < CROWD; i++) {
			assert_true(str_starts(answer.users[i].devices, S("{\"D\":{")));
			assert_true(str_contains(answer.users[i].devices, answer.users[i].user_id));
			assert_true(str_contains(answer.users[i].devices, S("\"device_display_name\":\"phone\"")));
		}
		before = store_statements_here();
		both_ok(e2ee_keys_query(w.e, b->a, ME, S("@me:x.org"), asked, &answer));
		/* When they changed, and what the asker signed. */
		ok(store_statements_here() - before <= (again ? 2 : 4), "the next one took %d",
		   (int)(store_statements_here() - before));
	}

	before = store_statements_here();
	upload(&w, &u, buf_str(&keys)); /* finds, adds, counts, and takes a position */
	assert_int_equal(u.counts.one_time[0].n, CROWD);
	ok(store_statements_here() - before <= 5, "an upload of %d keys took %d statements", (int)CROWD,
	   (int)(store_statements_here() - before));
	before = store_statements_here();
	assert_true(claims(&w, &u, "x").p[0].found); /* finds, deletes, and takes a position */
	ok(store_statements_here() - before <= 4, "a claim took %d statements",
	   (int)(store_statements_here() - before));
	/* Devices that are unknown, or have no keys, are no work for the writer. */
	buf_reset(&ask);
	for (int i = 0; i < CROWD; i++)
		buf_printf(&ask, "%s\"@u%d:x.org\":{\"D\":\"y\",\"E\":\"x\"}", i ? "," : "{", i);
	buf_byte(&ask, '}');
	both_ok(key_claims_read(w.e, b->a, parsed(&w, buf_str(&ask)), &many));
	assert_int_equal(many.n, 2 * CROWD);
	before = store_statements_here();
	both_ok(e2ee_keys_claim(w.e, b->a, &many));
	ok(store_statements_here() - before <= 3, "%d claims took %d statements", 2 * (int)CROWD,
	   (int)(store_statements_here() - before));
	end(&w);
}
BOTH(costs_are_statements_for_all_together)

static void no_ones_keys_are_shown_for_another(struct both *b)
{
	struct world w = begin(b);
	struct key_upload one = user(&w, 1), two = user(&w, 2);
	struct keys_answer answer;

	upload(&w, &one, device_keys(&w, &one, ""));
	upload(&w, &two, device_keys(&w, &two, ""));
	/* Both lists are read with one statement; "D" is asked of the second alone. */
	both_ok(e2ee_keys_query(
		w.e, b->a, one.user, one.user_id,
		parsed(&w, S("{\"@u1:x.org\":[\"E\"],\"@u2:x.org\":[\"D\",\"E\"],\"@u2:x.org\":[\"D\"]}")), &answer));
	assert_int_equal(answer.n, 2);
	same_str(answer.users[0].devices, S("{}"));
	assert_true(str_starts(answer.users[1].devices, S("{\"D\":{")));
	end(&w);
}
BOTH(no_ones_keys_are_shown_for_another)

static err *sign_all(struct tx *tx, void *arg)
{
	const struct key_upload *u = arg;

	TRY(store_cross_signing_save(tx, &(struct cross_signing_row){
						 .user = u->user,
						 .master = S("{\"keys\":{\"ed25519:M\":\"M\"},\"signatures\":{}}"),
						 .user_signing = S("{\"u\":1,\"signatures\":{}}"),
					 }));
	return store_user_signature_save(tx,
					 &(struct user_signature_row){ ME, u->user, S("M"), S("ed25519:U"), S("s") });
}

/* More than are read at once: what was read with the first must not come again with the next. */
static void a_large_query_is_that_of_each_user(struct both *b)
{
	static const str signed_key =
		STR("{\"keys\":{\"ed25519:M\":\"M\"},\"signatures\":{\"@me:x.org\":{\"ed25519:U\":\"s\"}}}");
	struct world w = begin(b);
	AUTO_BUF ask = BUF_INIT(SIZE_MAX);
	struct keys_answer answer;
	struct key_upload u[3];

	buf_byte(&ask, '{');
	for (int i = 0; i < 1200; i++) {
		const str id = arena_printf(b->a, "@u%d:x.org", i);
		int64_t nid;

		both_ok(store_intern(b->st, b->a, id, &nid));
		buf_printf(&ask, "%s\"%.*s\":[]", i ? "," : "", STR_ARG(id));
	}
	buf_byte(&ask, '}');
	for (int i = 0; i < 3; i++) {
		u[i] = user(&w, i * 599);
		both_ok(store_do(b->st, b->a, sign_all, &u[i]));
	}
	both_ok(e2ee_keys_query(w.e, b->a, ME, S("@me:x.org"), parsed(&w, buf_str(&ask)), &answer));
	assert_int_equal(answer.n, 1200);
	for (int i = 0; i < 3; i++) {
		same_str(answer.users[i * 599].master, signed_key);
		same_str(answer.users[i * 599].user_signing, STR_NONE);
	}
	end(&w);
}
BOTH(a_large_query_is_that_of_each_user)

static err *save_keys_of(struct tx *tx, void *arg) { return store_cross_signing_save(tx, arg); }

/* A name in the request costs its own bytes, not those of the key that it is not the name of. */
static void names_of_keys_that_are_none_cost_little(struct both *b)
{
	struct world w = begin(b);
	struct key_upload me = user(&w, 1), other = user(&w, 2);
	AUTO_BUF large = BUF_INIT(SIZE_MAX), body = BUF_INIT(SIZE_MAX);
	const str id = arena_join2(b->a, S("ed25519:"), arena_printf(b->a, "%043d", 0));
	struct cross_signing_row row = { .user = other.user };
	struct signatures_cmd cmd = { .user = me.user, .user_id = me.user_id };
	struct signature_failures failures;
	size_t before;

	buf_printf(&large, "{\"keys\":{\"%.*s\":\"%.*s\"},\"usage\":[\"master\"],\"user_id\":\"%.*s\",\"x\":[0",
		   STR_ARG(id), STR_ARG(str_from(id, 8)), STR_ARG(other.user_id));
	for (int i = 0; i < 5000; i++)
		buf_add(&large, S(",0"));
	buf_add(&large, S("],\"signatures\":{}}"));
	row.master = buf_str(&large);
	both_ok(store_do(b->st, b->a, save_keys_of, &row));
	row = (struct cross_signing_row){
		.user = me.user,
	};
	row.master = arena_printf(b->a, "{\"keys\":{\"%.*s\":\"%.*s\"},\"usage\":[\"master\"],\"user_id\":\"%.*s\"}",
				  STR_ARG(id), STR_ARG(str_from(id, 8)), STR_ARG(me.user_id));
	row.user_signing = arena_printf(b->a,
					"{\"keys\":{\"%.*s\":\"%.*s\"},\"usage\":[\"user_signing\"],"
					"\"user_id\":\"%.*s\",\"signatures\":{}}",
					STR_ARG(id), STR_ARG(str_from(id, 8)), STR_ARG(me.user_id));
	both_ok(store_do(b->st, b->a, save_keys_of, &row));

	for (int i = 0; i < 1000; i++)
		buf_printf(&body, "%s\"k%d\":{}", i ? "," : "", i);
	cmd.body = parsed(&w, arena_printf(b->a, "{\"%.*s\":{%.*s}}", STR_ARG(other.user_id), STR_ARG(buf_str(&body))));
	before = arena_used(b->a);
	both_ok(e2ee_signatures_upload(w.e, b->a, &cmd, &failures));
	assert_int_equal(failures.n, 1000);
	ok(arena_used(b->a) - before < 4 << 20, "%d bytes", (int)(arena_used(b->a) - before));
	end(&w);
}
BOTH(names_of_keys_that_are_none_cost_little)

/* Other servers' users' keys are here as they came: no key of any use spoils what else the request says. */
static void a_key_that_is_none_is_not_signed(struct both *b)
{
	struct world w = begin(b);
	struct key_upload me = user(&w, 1), other = user(&w, 2);
	struct cross_signing_row row = { .user = other.user };
	struct signatures_cmd cmd = { .user = me.user, .user_id = me.user_id };
	struct signature_failures failures;
	const str id = arena_join2(b->a, S("ed25519:"), arena_printf(b->a, "%043d", 0));

	row.master = arena_printf(b->a, "{\"keys\":{\"a\":\"b\",\"c\":\"d\"},\"user_id\":\"%.*s\",\"signatures\":{}}",
				  STR_ARG(other.user_id));
	both_ok(store_do(b->st, b->a, save_keys_of, &row));
	row = (struct cross_signing_row){ .user = me.user };
	row.master = row.user_signing = arena_printf(
		b->a,
		"{\"keys\":{\"%.*s\":\"%.*s\"},\"usage\":[\"master\",\"user_signing\"],\"user_id\":\"%.*s\","
		"\"signatures\":{}}",
		STR_ARG(id), STR_ARG(str_from(id, 8)), STR_ARG(me.user_id));
	both_ok(store_do(b->st, b->a, save_keys_of, &row));
	cmd.body = parsed(&w, arena_printf(b->a, "{\"%.*s\":{\"b\":{\"x\":1}}}", STR_ARG(other.user_id)));
	both_ok(e2ee_signatures_upload(w.e, b->a, &cmd, &failures));
	assert_int_equal(failures.n, 1);
	assert_int_equal(failures.p[0].why->code, ERR_NOT_FOUND);
	end(&w);
}
BOTH(a_key_that_is_none_is_not_signed)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(only_changed_device_keys_are_a_change),
		BOTH_TESTS(whoever_changes_the_counts_wakes_their_owner),
		BOTH_TESTS(a_device_that_is_gone_uploads_nothing),
		BOTH_TESTS(costs_are_statements_for_all_together),
		BOTH_TESTS(no_ones_keys_are_shown_for_another),
		BOTH_TESTS(a_large_query_is_that_of_each_user),
		BOTH_TESTS(names_of_keys_that_are_none_cost_little),
		BOTH_TESTS(a_key_that_is_none_is_not_signed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
