/* test_ids.c - numbers are given once, texts have one number: by several threads, after a restart, from two processes.
 */
#include <assert.h>
#include <pthread.h>
#include <sys/wait.h>

#include "both.h"
#include "store/tx.h"

enum { THREADS = 6, EACH = 3000, TEXTS = 120 };

struct taker {
	struct store *st;
	int64_t got[EACH];
	unsigned seed;
};

static void *take_numbers(void *arg)
{
	struct taker *t = arg;
	AUTO_ARENA a = arena_new();

	for (int i = 0; i < EACH;) {
		const int n = i % 7 + 1 > EACH - i ? EACH - i : i % 7 + 1;
		int64_t first;
		const err *e = store_next_id(t->st, a, SEQ_EVENT, (size_t)n, &first);

		assert(!e && first > 0);
		for (int k = 0; k < n; k++)
			t->got[i++] = first + k;
	}
	return NULL;
}

static int by_value(const void *x, const void *y)
{
	const int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

	return (a > b) - (a < b);
}

static void numbers_are_given_once(struct both *b)
{
	static struct taker takers[2 * THREADS];
	static int64_t all[2 * THREADS * EACH];
	pthread_t threads[THREADS];

	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < THREADS; i++) {
			takers[round * THREADS + i].st = b->st;
			assert_int_equal(pthread_create(&threads[i], NULL, take_numbers, &takers[round * THREADS + i]),
					 0);
		}
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		both_reopen(b);
	}
	for (int i = 0; i < 2 * THREADS; i++)
		memcpy(all + i * EACH, takers[i].got, sizeof(takers[i].got));
	qsort(all, ARRAY_LEN(all), sizeof(all[0]), by_value);
	for (size_t i = 1; i < ARRAY_LEN(all); i++)
		assert_true(all[i - 1] < all[i]);
}
BOTH(numbers_are_given_once)

static void a_large_block_is_in_one_piece(struct both *b)
{
	int64_t a, c, d;

	both_ok(store_next_id(b->st, b->a, SEQ_EVENT, 1, &a));
	both_ok(store_next_id(b->st, b->a, SEQ_EVENT, 100000, &c));
	both_ok(store_next_id(b->st, b->a, SEQ_EVENT, 1, &d));
	assert_true(c > a && d >= c + 100000);
}
BOTH(a_large_block_is_in_one_piece)

/* Within a request, numbers come without SQL: half a block is left when the next one is ordered. */
static void most_numbers_cost_no_statement(struct both *b)
{
	uint64_t before;
	int64_t n;

	both_ok(store_next_id(b->st, b->a, SEQ_MISC, 1, &n));
	before = store_statements_here();
	for (int i = 0; i < 1000; i++)
		both_ok(store_next_id(b->st, b->a, SEQ_MISC, 1, &n));
	assert_int_equal(store_statements_here(), before);
}
BOTH(most_numbers_cost_no_statement)

static str text_of(struct arena *a, int i)
{
	return i % 3 ? arena_printf(a, "@user%d:example.org", i) : arena_join2(a, S("a\0b"), arena_printf(a, "%d", i));
}

static void new_texts_share_a_commit(struct both *b)
{
	int64_t ids[4] = { 0 }, known;
	const struct store_text texts[] = {
		{ S("one"), &ids[0] },
		{ S("two"), &ids[1] },
		{ S("one"), &ids[2] },
		{ S("known"), &ids[3] },
	};
	uint64_t before;

	both_ok(store_intern(b->st, b->a, S("known"), &known));
	before = store_commits_here();
	both_ok(store_intern_all(b->st, b->a, texts, ARRAY_LEN(texts)));
	assert_int_equal(store_commits_here() - before, 1);
	assert_true(ids[0] && ids[1] && ids[0] != ids[1]);
	assert_int_equal(ids[2], ids[0]);
	assert_int_equal(ids[3], known);
	before = store_statements_here();
	both_ok(store_intern_all(b->st, b->a, texts, ARRAY_LEN(texts)));
	assert_int_equal(store_statements_here(), before);
	assert_int_equal(ids[2], ids[0]);
}
BOTH(new_texts_share_a_commit)

/* Two thousand known and two thousand new ones, one place for many numbers that nobody wants. */
static void many_texts_are_found_together(struct both *b)
{
	enum { MANY = 4000 };
	struct store_text *texts = ARENA_ARRAY(b->a, struct store_text, MANY + 2);
	int64_t *ids = ARENA_ARRAY(b->a, int64_t, MANY), *again = ARENA_ARRAY(b->a, int64_t, MANY), any, known;
	uint64_t before;

	for (size_t i = 0; i < MANY; i++)
		texts[i] = (struct store_text){ arena_printf(b->a, "text %zu", i), &ids[i] };
	both_ok(store_intern_all(b->st, b->a, texts, MANY / 2));
	both_reopen(b); /* nothing is in the cache */
	texts[MANY] = (struct store_text){ S("a new one"), &any };
	texts[MANY + 1] = (struct store_text){ S("text 1"), &any };
	before = store_statements_here();
	both_ok(store_intern_all(b->st, b->a, texts, MANY + 2));
	/* each new one is inserted; besides, they are looked for in a handful of questions */
	assert_in_range(store_statements_here() - before, MANY / 2 + 1, MANY / 2 + 40);
	both_reopen(b);
	for (size_t i = 0; i < MANY; i++)
		texts[i].nid = &again[i];
	both_ok(store_intern_all(b->st, b->a, texts, MANY));
	assert_memory_equal(ids, again, MANY * sizeof(*ids));
	both_ok(store_intern_find(b->st, b->a, S("a new one"), &known));
	assert_true(known > 0);
}
BOTH(many_texts_are_found_together)

struct interner {
	struct store *st;
	int64_t got[TEXTS];
	int from;
};

static void *intern_all(void *arg)
{
	struct interner *in = arg;
	AUTO_ARENA a = arena_new();

	for (int i = 0; i < TEXTS; i++) {
		const int which = (i + in->from) % TEXTS;
		const err *e = store_intern(in->st, a, text_of(a, which), &in->got[which]);

		assert(!e);
	}
	return NULL;
}

static void a_text_has_one_number(struct both *b)
{
	static struct interner in[THREADS];
	pthread_t threads[THREADS];
	str text;

	for (int i = 0; i < THREADS; i++) {
		in[i] = (struct interner){ .st = b->st, .from = i * 10 };
		assert_int_equal(pthread_create(&threads[i], NULL, intern_all, &in[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 1; i < THREADS; i++)
		assert_memory_equal(in[0].got, in[i].got, sizeof(in[0].got));
	for (int round = 0; round < 2; round++) { /* from the cache, and from the database */
		for (int i = 0; i < TEXTS; i++) {
			int64_t found;

			both_ok(store_intern_find(b->st, b->a, text_of(b->a, i), &found));
			assert_true(found > 0 && found == in[0].got[i]);
			both_ok(store_intern_text(b->st, b->a, found, &text));
			assert_true(str_eq(text, text_of(b->a, i)));
		}
		both_reopen(b);
	}
}
BOTH(a_text_has_one_number)

static void the_empty_text_is_a_text(struct both *b)
{
	int64_t id, again;
	str text;

	both_ok(store_intern(b->st, b->a, S(""), &id));
	both_reopen(b);
	both_ok(store_intern_text(b->st, b->a, id, &text));
	assert_true(!str_is_none(text) && text.n == 0);
	both_ok(store_intern(b->st, b->a, S(""), &again));
	assert_true(id == again);
}
BOTH(the_empty_text_is_a_text)

static void what_was_never_interned_is_not_found(struct both *b)
{
	int64_t id = 7;
	str text;
	err *e;

	both_ok(store_intern_find(b->st, b->a, S("nobody"), &id));
	assert_int_equal(id, 0);
	e = store_intern_text(b->st, b->a, 123456789, &text);
	assert_non_null(e);
	assert_int_equal(e->code, ERR_INTERNAL);
	both_ok(store_intern(b->st, b->a, S("nobody"), &id));
	assert_true(id > 0);
	both_ok(store_intern_find(b->st, b->a, S("nobody"), &id));
	assert_true(id > 0);
}
BOTH(what_was_never_interned_is_not_found)

static void many_texts_cost_few_statements(struct both *b)
{
	enum { MANY = 1100 };
	static int64_t ids[MANY + 2];
	static str texts[MANY + 2];
	struct store_text in[MANY];
	uint64_t before;
	err *e;

	for (int i = 0; i < MANY; i++)
		in[i] = (struct store_text){ i ? text_of(b->a, i) : S(""), &ids[i] };
	both_ok(store_intern_all(b->st, b->a, in, MANY));
	ids[MANY] = ids[3]; /* the same again */
	both_reopen(b);
	both_ok(store_intern_text(b->st, b->a, ids[5], &texts[5]));
	for (int round = 0; round < 2; round++) { /* from the database but for one, and from the cache */
		memset(texts, 0, sizeof(texts));
		before = store_statements_here();
		both_ok(store_intern_texts(b->st, b->a, ids, MANY + 1, texts));
		assert_int_equal(store_statements_here() - before, round ? 0 : 2);
		for (int i = 0; i < MANY; i++)
			assert_true(!str_is_none(texts[i]) && str_eq(texts[i], in[i].text));
		assert_true(str_eq(texts[MANY], texts[3]));
	}
	both_ok(store_intern_texts(b->st, b->a, ids, 0, texts));
	ids[MANY + 1] = 123456789;
	e = store_intern_texts(b->st, b->a, ids, MANY + 2, texts);
	assert_true(e && e->code == ERR_INTERNAL);
}
BOTH(many_texts_cost_few_statements)

static void a_known_text_costs_no_statement(struct both *b)
{
	uint64_t before;
	int64_t id;
	str text;

	both_ok(store_intern(b->st, b->a, S("m.room.message"), &id));
	before = store_statements_here();
	both_ok(store_intern(b->st, b->a, S("m.room.message"), &id));
	both_ok(store_intern_text(b->st, b->a, id, &text));
	assert_int_equal(store_statements_here(), before);
}
BOTH(a_known_text_costs_no_statement)

/* In a read that is open, the look-up goes over its connection: with one connection nobody could wait for another. */
static void texts_are_looked_up_within_a_read(struct both *b)
{
	AUTO_TX tx = NULL;
	struct row *r;
	int64_t id;
	str text;

	b->opt.readers = 1;
	both_ok(store_intern(b->st, b->a, S("x"), &id));
	both_reopen(b);
	both_ok(store_read(b->st, b->a, &tx));
	both_ok(tx_one(tx, "SELECT 1", NO_BIND, &r));
	both_ok(store_intern_text(b->st, b->a, id, &text));
	assert_true(str_eq(text, S("x")));
}
BOTH(texts_are_looked_up_within_a_read)

/* Another process on the same PostgreSQL, interning the same texts at the same time, in the opposite order. */
static void child_interns(const struct both *b, int out)
{
	AUTO_ARENA a = arena_new();
	struct interner in = { .from = TEXTS / 2 };

	assert(!store_open(a, &b->opt, &in.st));
	intern_all(&in);
	store_close(&in.st);
	assert(write(out, in.got, sizeof(in.got)) == sizeof(in.got));
}

static void two_processes_agree_on_numbers(void **state)
{
	struct both both, *b = &both;
	static struct interner in;
	int64_t theirs[TEXTS];
	int fds[2], status;
	pid_t child;

	(void)state;
	both_begin(b, true);
	store_close(&b->st); /* no thread may be there while forking */
	assert_int_equal(pipe(fds), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		child_interns(b, fds[1]);
		_exit(0);
	}
	both_open(b);
	in.st = b->st;
	intern_all(&in);
	assert_int_equal(read(fds[0], theirs, sizeof(theirs)), sizeof(theirs));
	assert_true(waitpid(child, &status, 0) == child && status == 0);
	assert_memory_equal(in.got, theirs, sizeof(theirs));
	close(fds[0]);
	close(fds[1]);
	both_end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(numbers_are_given_once),
		BOTH_TESTS(a_large_block_is_in_one_piece),
		BOTH_TESTS(most_numbers_cost_no_statement),
		BOTH_TESTS(new_texts_share_a_commit),
		BOTH_TESTS(many_texts_are_found_together),
		BOTH_TESTS(a_text_has_one_number),
		BOTH_TESTS(the_empty_text_is_a_text),
		BOTH_TESTS(what_was_never_interned_is_not_found),
		BOTH_TESTS(many_texts_cost_few_statements),
		BOTH_TESTS(a_known_text_costs_no_statement),
		BOTH_TESTS(texts_are_looked_up_within_a_read),
		cmocka_unit_test(two_processes_agree_on_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
