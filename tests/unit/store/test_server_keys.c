/* Keys of other servers and their lists: what of a server is kept, and which servers are forgotten. */
#include "both.h"
#include "store/server_keys.h"

static const char key32[] = "01234567890123456789012345678901";

struct save {
	struct server_key_document doc;
	struct server_key_row keys[4];
	size_t n;
};

static err *save_piece(struct tx *tx, void *arg)
{
	const struct save *s = arg;

	return store_server_keys_save(tx, &s->doc, s->keys, s->n);
}

static void save(struct both *b, const char *server, const char *json, int64_t at, const char *one, const char *two)
{
	struct save s = { .doc = { str_c(server), str_c(json), at, at + 100 } };

	s.keys[s.n++] = (struct server_key_row){ str_c(server), str_c(one), { key32, 32 }, at + 50, false };
	if (two)
		s.keys[s.n++] = (struct server_key_row){ str_c(server), str_c(two), { key32, 32 }, at, true };
	both_ok(store_do(b->st, b->a, save_piece, &s));
}

/* "server:json(key,key) ..." */
static const char *lists(struct both *b, struct strs servers)
{
	AUTO_TX tx = NULL;
	struct server_key_document *docs;
	size_t n;
	str out = S("");

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_server_key_documents(tx, servers, &docs, &n));
	for (size_t i = 0; i < n; i++) {
		out = arena_printf(b->a, "%.*s%s%.*s:%.*s(", STR_ARG(out), i ? " " : "", STR_ARG(docs[i].server),
				   STR_ARG(docs[i].json));
		for (size_t k = 0; k < docs[i].n_key_ids; k++)
			out = arena_join3(b->a, out, k ? S(",") : S(""), docs[i].key_ids[k]);
		out = arena_join2(b->a, out, S(")"));
	}
	return out.p;
}

static void a_list_stays_while_it_is_a_keys_newest(struct both *b)
{
	const struct strs both = { (const str[]){ S("b"), S("a"), S("c") }, 3 };

	save(b, "a", "A1", 10, "k1", "k2");
	save(b, "b", "B1", 10, "k1", NULL);
	assert_string_equal(lists(b, both), "a:A1(k1,k2) b:B1(k1)");
	save(b, "a", "A2", 20, "k2", NULL);
	assert_string_equal(lists(b, both), "a:A1(k1) a:A2(k2) b:B1(k1)");
	save(b, "a", "A3", 30, "k1", "k3");
	assert_string_equal(lists(b, both), "a:A2(k2) a:A3(k1,k3) b:B1(k1)");
	save(b, "b", "B2", 30, "k1", NULL);
	assert_string_equal(lists(b, both), "a:A2(k2) a:A3(k1,k3) b:B2(k1)");
}

static void a_list_says_nothing_without_a_key(struct both *b)
{
	struct save s = { .doc = { S("a"), S("A"), 1, 2 } };

	both_ok(store_do(b->st, b->a, save_piece, &s));
	assert_string_equal(lists(b, (struct strs){ (const str[]){ S("a") }, 1 }), "");
}

static void the_newest_say_counts(struct both *b)
{
	AUTO_TX tx = NULL;
	struct server_key_row *rows;
	size_t n;

	save(b, "a", "A1", 10, "k1", NULL);
	save(b, "a", "A2", 20, "k2", "k1");
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_server_keys_of(tx, (struct strs){ (const str[]){ S("a"), S("b") }, 2 }, &rows, &n));
	assert_int_equal(n, 2);
	for (size_t i = 0; i < n; i++) {
		assert_true(str_eq(rows[i].public_key, str_c(key32)));
		if (str_eq(rows[i].key_id, S("k1")))
			assert_true(rows[i].old && rows[i].until == 20);
		else
			assert_true(!rows[i].old && rows[i].until == 70);
	}
}

static err *forget(struct tx *tx, void *arg) { return store_server_keys_forget(tx, *(const struct strs *)arg); }
static err *share_room(struct tx *tx, void *arg)
{
	return tx_run(tx, "INSERT INTO room_servers (room, server, members, since) VALUES (1, $1, 1, 1)",
		      BIND(B(*(const int64_t *)arg)));
}

static void strangers_make_room_for_each_other(struct both *b)
{
	const struct strs all = { (const str[]){ S("a"), S("b"), S("c"), S("d") }, 4 };
	struct strs gone = { 0 };
	AUTO_TX tx = NULL;
	int64_t server;
	size_t n;
	str *names;

	save(b, "a", "A", 10, "k", NULL); /* the oldest, but we share a room */
	save(b, "b", "B", 20, "k", NULL);
	save(b, "c", "C", 40, "k", NULL);
	save(b, "d", "D", 30, "k", NULL);
	both_ok(store_intern(b->st, b->a, S("a"), &server));
	both_ok(store_do(b->st, b->a, share_room, &server));
	both_ok(store_intern(b->st, b->a, S("d"), &server)); /* which is no room */
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(store_server_keys_strangers(tx, 3, 10, &names, &n));
	assert_int_equal(n, 0);
	both_ok(store_server_keys_strangers(tx, 1, 1, &names, &n));
	assert_int_equal(n, 1);
	both_ok(store_server_keys_strangers(tx, 1, 10, &names, &n));
	store_read_end(&tx);
	assert_int_equal(n, 2);
	assert_true(str_eq(names[0], S("d")) && str_eq(names[1], S("b")));
	gone = (struct strs){ names, n };
	both_ok(store_do(b->st, b->a, forget, &gone));
	assert_string_equal(lists(b, all), "a:A(k) c:C(k)");
}

BOTH(a_list_stays_while_it_is_a_keys_newest)
BOTH(a_list_says_nothing_without_a_key)
BOTH(the_newest_say_counts)
BOTH(strangers_make_room_for_each_other)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(a_list_stays_while_it_is_a_keys_newest),
		BOTH_TESTS(a_list_says_nothing_without_a_key),
		BOTH_TESTS(the_newest_say_counts),
		BOTH_TESTS(strangers_make_room_for_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
