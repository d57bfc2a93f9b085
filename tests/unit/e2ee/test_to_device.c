/* test_to_device.c - messages to devices: once, in order, to everybody meant, for as long as it takes, and no longer.
 */
#include "store/both.h"

#include "test.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/thread.h"
#include "bus/bus.h"
#include "crypto/crypto.h"
#include "e2ee/internal_to_device.h"
#include "store/devices.h"
#include "store/fault.h"
#include "store/tx.h"

struct world {
	struct both *b;
	struct arena *a;
	struct bus *bus;
	struct e2ee *e;
	int64_t alice, bob;
};

static void on_commit(void *ctx, int64_t position) { bus_advance(ctx, position); }

static void open_world(struct world *w)
{
	int64_t position;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(store_stream_head(tx, &position));
	w->bus = bus_new(100);
	bus_advance(w->bus, position);
	store_on_commit(w->b->st, on_commit, w->bus);
	w->e = e2ee_new(&(struct e2ee_options){ .store = w->b->st, .bus = w->bus, .server_name = S("x.org") });
}

static void close_world(struct world *w)
{
	to_device_flush(w->e);
	store_close(&w->b->st);
	e2ee_free(&w->e);
	bus_free(&w->bus);
}

static void restart(struct world *w)
{
	close_world(w);
	both_open(w->b);
	open_world(w);
}

struct devices {
	int64_t user;
	int from, n;
};

static err *add_devices(struct tx *tx, void *arg)
{
	const struct devices *d = arg;
	bool added;

	for (int i = d->from; i < d->from + d->n; i++) {
		const str id = arena_printf(tx_arena(tx), "D%d", i);

		TRY(store_device_add(tx, &(struct device_row){ .user = d->user, .device_id = id }, &added));
	}
	return NULL;
}

static void devices(struct world *w, int64_t user, int n)
{
	good(store_do(w->b->st, w->a, add_devices, &(struct devices){ user, 0, n }));
}

static struct world begin(struct both *b)
{
	struct world w = { .b = b, .a = b->a };
	static bool ready;

	if (!ready)
		crypto_init();
	ready = true;
	open_world(&w);
	good(store_intern(b->st, w.a, S("@alice:x.org"), &w.alice));
	good(store_intern(b->st, w.a, S("@bob:x.org"), &w.bob));
	devices(&w, w.alice, 1);
	devices(&w, w.bob, 3);
	return w;
}

static const struct json *js(struct arena *a, str text)
{
	struct json *j;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == '\'')
			((char *)text.p)[i] = '"';
	good(json_parse(a, text, &json_limits_request, &j));
	return j;
}

/* messages: JSON with ' for ". From alice's D0. */
static err *try_send(struct world *w, const char *txn, str messages)
{
	const struct to_device_cmd cmd = {
		.sender = w->alice,
		.sender_id = S("@alice:x.org"),
		.device_id = S("D0"),
		.type = S("m.test"),
		.txn_id = str_c(txn),
		.txn_path = S("/sendToDevice/m.test/"),
		.messages = js(w->a, arena_keep(w->a, messages)),
	};

	return to_device_send(w->e, w->a, &cmd);
}

static void send(struct world *w, const char *txn, const char *messages) { good(try_send(w, txn, str_c(messages))); }

/* What a device is given above a position, up to now. */
static struct to_device_batch given(struct world *w, int64_t user, const char *device_id, int64_t above)
{
	struct to_device_batch batch;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(to_device_waiting(w->e, tx, user, str_c(device_id), above, bus_position(w->bus), &batch));
	return batch;
}

/* The contents of a batch, one after another. */
static str texts(struct world *w, const struct to_device_batch *b)
{
	str all = S("");

	for (size_t i = 0; i < b->n; i++) {
		same_str(b->p[i].sender, S("@alice:x.org"));
		same_str(b->p[i].type, S("m.test"));
		all = arena_join2(w->a, all, b->p[i].content);
	}
	return all;
}

#define GIVEN(w, user, device_id, ...)                                                                                 \
	do {                                                                                                           \
		const struct to_device_batch given_b_ = given((w), (user), (device_id), 0);                            \
		same_str(texts((w), &given_b_), __VA_ARGS__);                                                          \
	} while (0)

static int64_t count(struct world *w, const char *sql)
{
	struct row *r;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(tx_one(tx, sql, NO_BIND, &r));
	return row_i64(r, 0);
}

static int64_t rows(struct world *w) { return count(w, "SELECT COUNT(*) FROM to_device"); }
static int64_t shared_rows(struct world *w) { return count(w, "SELECT COUNT(*) FROM to_device_shared"); }

/* What was queued without a waiter is written. */
static err *nothing(struct tx *tx, void *arg)
{
	(void)tx, (void)arg;
	return NULL;
}
static void settle(struct world *w)
{
	to_device_flush(w->e);
	good(store_do(w->b->st, w->a, nothing, NULL));
}

/*
 * To whom
 */
static void reaches_those_who_are_there(struct both *b)
{
	struct world w = begin(b);

	send(&w, "1",
	     "{'@bob:x.org':{'D0':{'a':1},'D2':{'a':2},'none':{'a':3}},'@nobody:x.org':{'*':{}},"
	     "'@bob:other.org':{'*':{}},'bob':{'*':{}},'@alice:x.org':{'D0':{'a':4}}}");
	GIVEN(&w, w.bob, "D0", S("{\"a\":1}"));
	GIVEN(&w, w.bob, "D1", S(""));
	GIVEN(&w, w.bob, "D2", S("{\"a\":2}"));
	GIVEN(&w, w.alice, "D0", S("{\"a\":4}"));
	assert_int_equal(rows(&w), 3);
	close_world(&w);
}
BOTH(reaches_those_who_are_there)

static void a_star_is_every_device_but_those_named(struct both *b)
{
	struct world w = begin(b);

	send(&w, "1", "{'@bob:x.org':{'D1':{'own':1},'*':{'all':1}},'@alice:x.org':{'*':{'all':2}}}");
	GIVEN(&w, w.bob, "D0", S("{\"all\":1}"));
	GIVEN(&w, w.bob, "D1", S("{\"own\":1}"));
	GIVEN(&w, w.bob, "D2", S("{\"all\":1}"));
	GIVEN(&w, w.alice, "D0", S("{\"all\":2}"));
	assert_int_equal(rows(&w), 4);
	close_world(&w);
}
BOTH(a_star_is_every_device_but_those_named)

static str long_content(struct world *w, char c)
{
	char *p = arena_alloc(w->a, 300);

	memset(p, c, 300);
	return arena_join3(w->a, S("{'x':'"), (str){ p, 300 }, S("'}"));
}

static void a_long_content_is_stored_once(struct both *b)
{
	struct world w = begin(b);
	const str content = long_content(&w, 'y'), other = long_content(&w, 'z');
	const str want = js(w.a, arena_keep(w.a, content))->raw;

	good(try_send(&w, "1", arena_join3(w.a, S("{'@bob:x.org':{'*':"), content, S("}}"))));
	assert_int_equal(shared_rows(&w), 1);
	good(try_send(&w, "2",
		      arena_join2(w.a, arena_join3(w.a, S("{'@bob:x.org':{'D0':"), content, S(",'D1':")),
				  arena_join3(w.a, content, arena_join2(w.a, S(",'D2':"), other), S("}}")))));
	assert_int_equal(shared_rows(&w), 2);
	GIVEN(&w, w.bob, "D1", arena_join2(w.a, want, want));
	GIVEN(&w, w.bob, "D2", arena_join2(w.a, want, js(w.a, arena_keep(w.a, other))->raw));
	/* It goes with the last one that has it. */
	for (int i = 0; i < 3; i++) {
		const str id = arena_printf(w.a, "D%d", i);

		(void)given(&w, w.bob, id.p, 0);
		to_device_acknowledge(w.e, w.bob, id, bus_position(w.bus));
		settle(&w);
		assert_int_equal(shared_rows(&w), i < 1 ? 2 : i < 2 ? 1 : 0);
	}
	assert_int_equal(rows(&w), 0);
	close_world(&w);
}
BOTH(a_long_content_is_stored_once)

/* Nor is it stored for devices that are not there: nothing would ever take it away. */
static void a_long_content_for_nobody_is_not_stored(struct both *b)
{
	struct world w = begin(b);
	const str content = long_content(&w, 'y');

	good(try_send(
		&w, "1",
		arena_join3(w.a, arena_join3(w.a, S("{'@bob:x.org':{'N0':"), content, S(",'N1':")), content, S("}}"))));
	assert_int_equal(shared_rows(&w), 0);
	good(try_send(
		&w, "2",
		arena_join3(w.a, arena_join3(w.a, S("{'@bob:x.org':{'N0':"), content, S(",'D1':")), content, S("}}"))));
	assert_int_equal(shared_rows(&w), 1);
	assert_int_equal(rows(&w), 1);
	close_world(&w);
}
BOTH(a_long_content_for_nobody_is_not_stored)

/* Whichever of both is stored apart. */
static void a_long_content_for_one_goes_before_a_star(struct both *b)
{
	struct world w = begin(b);
	const str content = long_content(&w, 'y');

	good(try_send(&w, "1",
		      arena_join3(w.a, S("{'@bob:x.org':{'D0':"), content,
				  arena_join3(w.a, S(",'D1':"), content, S(",'*':{}}}")))));
	GIVEN(&w, w.bob, "D0", js(w.a, arena_keep(w.a, content))->raw);
	GIVEN(&w, w.bob, "D2", S("{}"));
	close_world(&w);
}
BOTH(a_long_content_for_one_goes_before_a_star)

static void bad_requests_store_nothing(struct both *b)
{
	struct world w = begin(b);
	char *big = arena_alloc(w.a, TO_DEVICE_CONTENT_MAX + 1);
	AUTO_BUF users = BUF_INIT(1 << 20);

	memset(big, 'x', TO_DEVICE_CONTENT_MAX + 1);
	fails_with(try_send(&w, "1", S("[]")), ERR_BAD_JSON);
	fails_with(try_send(&w, "1", S("{'@bob:x.org':1}")), ERR_BAD_JSON);
	fails_with(try_send(&w, "1", S("{'@bob:x.org':{'D0':{'a':1},'D1':'text'}}")), ERR_BAD_JSON);
	fails_with(try_send(&w, "1",
			    arena_join3(w.a, S("{'@bob:x.org':{'D1':{},'D0':{'a':'"),
					(str){ big, TO_DEVICE_CONTENT_MAX + 1 }, S("'}}}"))),
		   ERR_TOO_LARGE);
	for (int i = 0; i <= TO_DEVICE_DEVICES_MAX; i++)
		buf_printf(&users, "%s'@u%d:x.org':{}", i ? "," : "{", i);
	buf_byte(&users, '}');
	fails_with(try_send(&w, "1", buf_str(&users)), ERR_TOO_LARGE);
	assert_int_equal(rows(&w), 0);
	/* Nothing of them was remembered as done. */
	send(&w, "1", "{'@bob:x.org':{'D0':{'a':1}}}");
	assert_int_equal(rows(&w), 1);
	close_world(&w);
}
BOTH(bad_requests_store_nothing)

/*
 * Once
 */
static void a_transaction_is_done_once(struct both *b)
{
	struct world w = begin(b);

	send(&w, "1", "{'@bob:x.org':{'D0':{'a':1}}}");
	send(&w, "1", "{'@bob:x.org':{'D0':{'a':1}}}");
	restart(&w);
	send(&w, "1", "{'@bob:x.org':{'D0':{'a':1}}}");
	GIVEN(&w, w.bob, "D0", S("{\"a\":1}"));
	send(&w, NULL, "{'@bob:x.org':{'D0':{'a':2}}}");
	send(&w, NULL, "{'@bob:x.org':{'D0':{'a':2}}}");
	GIVEN(&w, w.bob, "D0", S("{\"a\":1}{\"a\":2}{\"a\":2}"));
	close_world(&w);
}
BOTH(a_transaction_is_done_once)

static void a_failed_commit_is_not_remembered(struct both *b)
{
	struct world w = begin(b);

	store_fault(b->st, FAULT_COMMIT, 1);
	ok(try_send(&w, "1", S("{'@bob:x.org':{'D0':{'a':1}}}")), "the commit was good");
	assert_int_equal(rows(&w), 0);
	send(&w, "1", "{'@bob:x.org':{'D0':{'a':1}}}");
	GIVEN(&w, w.bob, "D0", S("{\"a\":1}"));
	close_world(&w);
}
BOTH(a_failed_commit_is_not_remembered)

struct racer {
	struct world *w;
	int n;
};

static void race(void *arg)
{
	struct racer *r = arg;
	struct world mine = *r->w;

	mine.a = arena_new();
	for (int i = 0; i < r->n; i++)
		good(try_send(&mine, arena_printf(mine.a, "t%d", i).p, S("{'@bob:x.org':{'*':{'a':1}}}")));
	arena_free(&mine.a);
}

static void once_for_who_comes_at_the_same_time(struct both *b)
{
	struct world w = begin(b);
	struct racer r = { &w, 20 };
	struct thread *t[4];

	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		t[i] = thread_start("racer", race, &r);
	for (size_t i = 0; i < ARRAY_LEN(t); i++)
		thread_join(&t[i]);
	assert_int_equal(rows(&w), 60);
	close_world(&w);
}
BOTH(once_for_who_comes_at_the_same_time)

/*
 * In order, a part at a time, until it is acknowledged
 */
static void hands_out_in_parts(struct both *b)
{
	struct world w = begin(b);
	struct to_device_batch batch;
	int64_t above = 0;
	int next = 0;

	for (int i = 0; i < 2 * TO_DEVICE_AT_ONCE + 50; i++)
		send(&w, NULL, arena_printf(w.a, "{'@bob:x.org':{'D0':{'n':%d}}}", i).p);
	for (int part = 0; part < 3; part++) {
		batch = given(&w, w.bob, "D0", above);
		assert_int_equal(batch.n, part < 2 ? TO_DEVICE_AT_ONCE : 50);
		for (size_t i = 0; i < batch.n; i++)
			same_str(batch.p[i].content, arena_printf(w.a, "{\"n\":%d}", next++));
		ok(part == 2 ? batch.upto == bus_position(w.bus) : batch.upto < bus_position(w.bus), "upto");
		above = batch.upto;
	}
	assert_int_equal(given(&w, w.bob, "D0", above).n, 0);
	/* The answer was lost: the same again. */
	assert_int_equal(given(&w, w.bob, "D0", 0).n, TO_DEVICE_AT_ONCE);
	close_world(&w);
}
BOTH(hands_out_in_parts)

static void what_is_acknowledged_goes(struct both *b)
{
	struct world w = begin(b);
	struct to_device_batch first;

	send(&w, NULL, "{'@bob:x.org':{'*':{'n':1}}}");
	first = given(&w, w.bob, "D0", 0);
	send(&w, NULL, "{'@bob:x.org':{'*':{'n':2}}}");
	/* Not before its token comes back. */
	to_device_acknowledge(w.e, w.bob, S("D0"), 0);
	settle(&w);
	assert_int_equal(rows(&w), 6);
	to_device_acknowledge(w.e, w.bob, S("D0"), first.upto);
	/* It does not come again, whatever the token, also while it is there. */
	GIVEN(&w, w.bob, "D0", S("{\"n\":2}"));
	assert_int_equal(rows(&w), 6);
	settle(&w);
	assert_int_equal(rows(&w), 5);
	/* That was D0's alone. */
	GIVEN(&w, w.bob, "D1", S("{\"n\":1}{\"n\":2}"));
	to_device_acknowledge(w.e, w.bob, S("D0"), bus_position(w.bus));
	to_device_acknowledge(w.e, w.bob, S("D1"), bus_position(w.bus));
	settle(&w);
	assert_int_equal(rows(&w), 2);
	close_world(&w);
}
BOTH(what_is_acknowledged_goes)

/* Also what was handed out before a restart, of which memory knows nothing. */
static void what_was_left_over_goes(struct both *b)
{
	struct world w = begin(b);
	struct to_device_batch first;
	AUTO_TX tx = NULL;

	send(&w, NULL, "{'@bob:x.org':{'D0':{'n':1}}}");
	first = given(&w, w.bob, "D0", 0);
	send(&w, NULL, "{'@bob:x.org':{'D0':{'n':2}}}");
	restart(&w);
	to_device_acknowledge(w.e, w.bob, S("D0"), first.upto);
	settle(&w);
	assert_int_equal(rows(&w), 2);
	good(store_read(w.b->st, w.a, &tx));
	good(to_device_acknowledge_left(w.e, tx, w.bob, S("D0"), first.upto));
	store_read_end(&tx);
	settle(&w);
	assert_int_equal(rows(&w), 1);
	GIVEN(&w, w.bob, "D0", S("{\"n\":2}"));
	close_world(&w);
}
BOTH(what_was_left_over_goes)

static err *delete_device(struct tx *tx, void *arg)
{
	const struct world *w = arg;

	return store_devices_delete(tx, w->bob, &(str){ "D1", 2 }, 1, NULL);
}

static void a_device_that_goes_takes_its_messages(struct both *b)
{
	struct world w = begin(b);

	good(try_send(&w, "1",
		      arena_join3(w.a, S("{'@bob:x.org':{'D1':{'n':1}},'@alice:x.org':{'*':"), long_content(&w, 'x'),
				  S("}}"))));
	good(try_send(&w, "2", arena_join3(w.a, S("{'@bob:x.org':{'*':"), long_content(&w, 'y'), S("}}"))));
	good(store_do(b->st, w.a, delete_device, &w));
	assert_int_equal(rows(&w), 3);
	assert_int_equal(shared_rows(&w), 2);
	/* Another device with this id begins with nothing. */
	devices(&w, w.bob, 2);
	GIVEN(&w, w.bob, "D1", S(""));
	close_world(&w);
}
BOTH(a_device_that_goes_takes_its_messages)

/*
 * Bounds
 */
struct fill {
	struct world *w;
	int64_t sender, n, size, created;
};

/* A queue that grew elsewhere: n messages at positions of their own, as if they had these sizes. */
static err *fill_late(struct tx *tx, void *arg)
{
	struct fill *f = arg;
	const struct i64s users = { &f->w->bob, 1 }, sizes = { &f->size, 1 };
	const struct strs ids = { &(str){ "D0", 2 }, 1 }, contents = { &(str){ "{}", 2 }, 1 };

	for (int64_t i = 0; i < f->n; i++) {
		struct to_device_head head = { .created = f->created, .sender = f->sender, .type = S("m.test") };
		int64_t made;

		TRY(tx_position(tx, &head.stream));
		TRY(store_to_device_add(tx, &head, users, ids, sizes, contents, &made));
	}
	return NULL;
}

static void fill_from(struct world *w, int64_t sender, int64_t n, int64_t size, int64_t created)
{
	struct fill f = { .w = w, .sender = sender, .n = n, .size = size, .created = created };
	struct ticket *ticket;

	good(store_write(w->b->st, w->a, &(struct piece){ .late = fill_late, .arg = &f, .positions = n }, &ticket));
	good(store_wait(w->a, ticket));
}

static void fill(struct world *w, int64_t n, int64_t size, int64_t created)
{
	fill_from(w, w->alice, n, size, created);
}

enum { LONG_AGO = 1 };
static int64_t recent(void) { return clock_ms(); }

static void a_long_queue_loses_its_oldest(struct both *b)
{
	struct world w = begin(b);

	fill(&w, TO_DEVICE_QUEUE_MAX, 2, recent());
	send(&w, NULL, "{'@bob:x.org':{'D0':{'n':'last'}}}");
	ok(rows(&w) <= TO_DEVICE_QUEUE_MAX && rows(&w) >= TO_DEVICE_QUEUE_MAX / 8 * 7, "%d rows", (int)rows(&w));
	assert_int_equal(metric_value(w.e->to_device_dropped) > 0, 1);
	assert_int_equal(count(&w, "SELECT n FROM to_device_lost"), TO_DEVICE_QUEUE_MAX + 1 - rows(&w));
	assert_int_equal(count(&w, "SELECT COUNT(*) FROM to_device WHERE stream = (SELECT MAX(stream) FROM to_device)"
				   " AND size = 12"),
			 1);
	close_world(&w);
}
BOTH(a_long_queue_loses_its_oldest)

static void a_large_queue_loses_its_oldest(struct both *b)
{
	struct world w = begin(b);

	fill(&w, 600, TO_DEVICE_CONTENT_MAX, recent());
	send(&w, NULL, "{'@bob:x.org':{'D0':{'n':'last'}}}");
	ok(rows(&w) <= TO_DEVICE_QUEUE_BYTES / TO_DEVICE_CONTENT_MAX && rows(&w) > 400, "%d rows", (int)rows(&w));
	close_world(&w);
}
BOTH(a_large_queue_loses_its_oldest)

static void what_is_very_old_goes(struct both *b)
{
	struct world w = begin(b);

	fill(&w, 10, 2, LONG_AGO);
	fill(&w, 10, 2, recent());
	send(&w, NULL, "{'@bob:x.org':{'D0':{'n':'last'}}}");
	assert_int_equal(rows(&w), 11);
	close_world(&w);
}
BOTH(what_is_very_old_goes)

/* Who floods a device pushes out what they sent, not the keys that others sent before. */
static void who_sends_most_loses(struct both *b)
{
	static const char others[] = "SELECT COUNT(*) FROM to_device WHERE sender IN (7, 8)";
	struct world w = begin(b);

	fill_from(&w, 7, 300, 2, recent());
	fill_from(&w, 8, 500, 2, recent());
	fill(&w, TO_DEVICE_QUEUE_MAX - 700, 2, recent());
	send(&w, NULL, "{'@bob:x.org':{'D0':{'n':'last'}}}");
	assert_int_equal(rows(&w), TO_DEVICE_QUEUE_MAX / 8 * 7);
	assert_int_equal(count(&w, others), 800);
	/* Large ones: the same of bytes. The first are the oldest, and most in number. */
	fill(&w, 600, TO_DEVICE_CONTENT_MAX, recent());
	send(&w, NULL, "{'@alice:x.org':{'D0':{}}}");
	for (int i = 0; i < 200 && count(&w, "SELECT SUM(size) FROM to_device") > TO_DEVICE_QUEUE_BYTES; i++)
		send(&w, NULL, "{'@alice:x.org':{'D0':{}}}");
	ok(count(&w, "SELECT SUM(size) FROM to_device") <= TO_DEVICE_QUEUE_BYTES, "not shortened");
	assert_int_equal(count(&w, others), 800);
	/* Several who send as much as they can share alike. */
	fill_from(&w, 7, TO_DEVICE_QUEUE_MAX, 2, recent());
	for (int i = 0; i < 200 && rows(&w) > TO_DEVICE_QUEUE_MAX; i++)
		send(&w, NULL, "{'@alice:x.org':{'D0':{}}}");
	ok(count(&w, "SELECT COUNT(*) FROM to_device WHERE sender = 7") > TO_DEVICE_QUEUE_MAX / 3, "not shared");
	assert_int_equal(count(&w, "SELECT COUNT(*) FROM to_device WHERE sender = 8"), 500);
	close_world(&w);
}
BOTH(who_sends_most_loses)

struct overfull {
	struct world *w;
	int64_t n;
};

static err *overfull_late(struct tx *tx, void *arg)
{
	const struct overfull *o = arg;
	struct to_device_head head = { .created = recent(), .sender = o->w->alice, .type = S("m.test") };
	int64_t made, size = TO_DEVICE_QUEUE_BYTES + 1;

	TRY(tx_position(tx, &head.stream));
	for (int64_t i = 0; i < o->n; i++) {
		const str id = arena_printf(tx_arena(tx), "D%d", (int)i);

		TRY(store_to_device_add(tx, &head, (struct i64s){ &o->w->bob, 1 }, (struct strs){ &id, 1 },
					(struct i64s){ &size, 1 }, (struct strs){ &(str){ "{}", 2 }, 1 }, &made));
	}
	return NULL;
}

/* Who reaches many devices with every request must not fill them faster than they are looked at. */
static void who_reaches_many_looks_at_more(struct both *b)
{
	struct world w = begin(b);
	struct overfull o = { &w, 1024 };
	struct ticket *ticket;

	devices(&w, w.bob, (int)o.n);
	good(store_write(b->st, w.a, &(struct piece){ .late = overfull_late, .arg = &o }, &ticket));
	good(store_wait(w.a, ticket));
	send(&w, NULL, "{'@bob:x.org':{'*':{}}}");
	ok(count(&w, "SELECT COUNT(*) FROM to_device_lost") >= 8, "few were looked at");
	close_world(&w);
}
BOTH(who_reaches_many_looks_at_more)

/* Of devices, too, to which nothing comes any more. */
static void what_is_very_old_goes_from_forgotten_devices(struct both *b)
{
	struct world w = begin(b);

	fill(&w, 10, 2, LONG_AGO);
	for (int i = 0; i < 400 && rows(&w) > 1; i++) {
		send(&w, NULL, "{'@alice:x.org':{'D0':{}}}");
		(void)given(&w, w.alice, "D0", 0);
		to_device_acknowledge(w.e, w.alice, S("D0"), bus_position(w.bus));
		settle(&w);
	}
	assert_int_equal(rows(&w), 0);
	close_world(&w);
}
BOTH(what_is_very_old_goes_from_forgotten_devices)

/*
 * Who is told, and other servers
 */
static void watch(struct world *w, int64_t user)
{
	assert_true(bus_watch_begin(w->bus, user));
	bus_watch_rooms(w->bus, user, bus_position(w->bus), NULL, 0);
}

static void wakes_those_to_whom_it_goes(struct both *b)
{
	struct world w = begin(b);
	struct bus_known alice, bob;

	send(&w, NULL, "{'@bob:x.org':{'D0':{}}}");
	watch(&w, w.alice);
	watch(&w, w.bob);
	send(&w, "1", "{'@bob:x.org':{'D0':{}}}");
	assert_true(bus_known(w.bus, w.alice, &alice) && bus_known(w.bus, w.bob, &bob));
	assert_int_equal(alice.own[BUS_TO_DEVICE], 0);
	assert_int_equal(bob.own[BUS_TO_DEVICE], bus_position(w.bus));
	/* Not again, and not for nothing. */
	send(&w, "1", "{'@bob:x.org':{'D0':{}}}");
	send(&w, "2", "{'@bob:x.org':{'none':{}}}");
	assert_true(bus_known(w.bus, w.bob, &alice));
	assert_int_equal(alice.own[BUS_TO_DEVICE], bob.own[BUS_TO_DEVICE]);
	close_world(&w);
}
BOTH(wakes_those_to_whom_it_goes)

TEST_MAIN(BOTH_TESTS(reaches_those_who_are_there), BOTH_TESTS(a_star_is_every_device_but_those_named),
	  BOTH_TESTS(a_long_content_is_stored_once), BOTH_TESTS(a_long_content_for_one_goes_before_a_star),
	  BOTH_TESTS(bad_requests_store_nothing), BOTH_TESTS(a_transaction_is_done_once),
	  BOTH_TESTS(a_failed_commit_is_not_remembered), BOTH_TESTS(once_for_who_comes_at_the_same_time),
	  BOTH_TESTS(hands_out_in_parts), BOTH_TESTS(what_is_acknowledged_goes), BOTH_TESTS(what_was_left_over_goes),
	  BOTH_TESTS(a_device_that_goes_takes_its_messages), BOTH_TESTS(a_long_queue_loses_its_oldest),
	  BOTH_TESTS(a_large_queue_loses_its_oldest), BOTH_TESTS(what_is_very_old_goes),
	  BOTH_TESTS(who_sends_most_loses), BOTH_TESTS(who_reaches_many_looks_at_more),
	  BOTH_TESTS(a_long_content_for_nobody_is_not_stored), BOTH_TESTS(what_is_very_old_goes_from_forgotten_devices),
	  BOTH_TESTS(wakes_those_to_whom_it_goes))
