/* test_dehydrated.c - one dehydrated device a user, replaced as a whole; its messages read from any token on. */
#include "store/both.h"

#include "test.h"

#include "bus/bus.h"
#include "crypto/crypto.h"
#include "e2ee/dehydrated.h"
#include "e2ee/one_time_keys.h"
#include "store/device_keys.h"
#include "store/devices.h"
#include "store/to_device.h"

static const int64_t ALICE = 7;

struct world {
	struct both *b;
	struct bus *bus;
	struct e2ee *e;
	int64_t sender;
};

static struct world begin(struct both *b)
{
	static const struct log root;
	struct world w = { .b = b, .bus = bus_new(10) };

	crypto_init();
	log_setup(LOG_ERROR, LOG_TEXT);
	w.e = e2ee_new(&(struct e2ee_options){ .store = b->st, .bus = w.bus, .log = &root, .server_name = S("x.org") });
	good(store_intern(b->st, b->a, S("@bob:x.org"), &w.sender));
	return w;
}

static void end(struct world *w)
{
	e2ee_free(&w->e);
	bus_free(&w->bus);
}

static err *put(struct world *w, const char *device_id, const char *one_time_keys)
{
	struct arena *a = w->b->a;
	struct dehydrated_cmd cmd = { .user = ALICE,
				      .user_id = S("@alice:x.org"),
				      .device_id = str_c(device_id),
				      .data = S("{\"algorithm\":\"a\"}") };
	struct json *keys;

	good(json_parse(
		a,
		arena_printf(a,
			     "{\"device_keys\":{\"user_id\":\"@alice:x.org\",\"device_id\":\"%s\",\"algorithms\":[],"
			     "\"keys\":{\"ed25519:%s\":\"x\"},\"signatures\":{}},\"one_time_keys\":%s}",
			     device_id, device_id, one_time_keys),
		&json_limits_request, &keys));
	cmd.keys = keys;
	return dehydrated_put(w->e, a, &cmd);
}

static void expect(struct world *w, str device_id, int64_t keys)
{
	struct key_counts counts;
	str id, data;
	AUTO_TX tx = NULL;

	good(dehydrated_get(w->e, w->b->a, ALICE, &id, &data));
	same_str(id, device_id);
	if (str_is_none(device_id))
		return;
	same_str(data, S("{\"algorithm\":\"a\"}"));
	good(store_read(w->b->st, w->b->a, &tx));
	good(e2ee_key_counts(tx, w->b->a, ALICE, device_id, &counts));
	assert_int_equal(counts.n_one_time ? counts.one_time[0].n : 0, keys);
}

static size_t devices(struct world *w)
{
	struct device_row rows[8];
	size_t n;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->b->a, &tx));
	good(store_devices_list(tx, ALICE, ARRAY_LEN(rows), rows, &n));
	return n;
}

static void one_takes_the_place_of_another(struct both *b)
{
	struct world w = begin(b);
	str id;

	expect(&w, STR_NONE, 0);
	good(put(&w, "D1", "{\"k:1\":\"a\",\"k:2\":\"b\"}"));
	expect(&w, S("D1"), 2);
	good(put(&w, "D1", "{\"k:1\":\"c\"}"));
	expect(&w, S("D1"), 1);
	good(put(&w, "D2", "{}"));
	expect(&w, S("D2"), 0);
	assert_int_equal(devices(&w), 1);
	good(dehydrated_delete(w.e, b->a, ALICE, &id));
	same_str(id, S("D2"));
	expect(&w, STR_NONE, 0);
	assert_int_equal(devices(&w), 0);
	good(dehydrated_delete(w.e, b->a, ALICE, &id));
	assert_true(str_is_none(id));
	end(&w);
}
BOTH(one_takes_the_place_of_another)

static err *add_device(struct tx *tx, void *arg)
{
	const struct device_row row = { .user = ALICE, .device_id = S("MINE"), .created_at = 1, .seen_at = 1 };
	bool added;

	(void)arg;
	return store_device_add(tx, &row, &added);
}

/* What cannot be put leaves the one before as it was, keys and all. */
static void a_refused_one_changes_nothing(struct both *b)
{
	struct world w = begin(b);

	good(store_do(b->st, b->a, add_device, NULL));
	good(put(&w, "D1", "{\"k:1\":\"a\"}"));
	fails_with(put(&w, "MINE", "{}"), ERR_INVALID_PARAM);
	fails_with(put(&w, "D2", "{\"nocolon\":\"a\"}"), ERR_BAD_JSON);
	expect(&w, S("D1"), 1);
	assert_int_equal(devices(&w), 2);
	end(&w);
}
BOTH(a_refused_one_changes_nothing)

static err *send_late(struct tx *tx, void *arg)
{
	struct world *w = arg;
	const str device = S("D1"), content = S("{}");
	const int64_t size = 2;
	struct to_device_head head = { .created = 1, .sender = w->sender, .type = S("t") };
	int64_t made;

	TRY(tx_position(tx, &head.stream));
	return store_to_device_add(tx, &head, (struct i64s){ &ALICE, 1 }, (struct strs){ &device, 1 },
				   (struct i64s){ &size, 1 }, (struct strs){ &content, 1 }, &made);
}

static void send(struct world *w, int n)
{
	for (int i = 0; i < n; i++) {
		struct ticket *ticket;

		good(store_write(w->b->st, w->b->a, &(struct piece){ .late = send_late, .arg = w }, &ticket));
		good(store_wait(w->b->a, ticket));
	}
}

static void messages_come_in_pages_and_stay(struct both *b)
{
	struct world w = begin(b);
	struct dehydrated_events ev;

	good(put(&w, "D1", "{}"));
	send(&w, 5);
	for (int again = 0; again < 2; again++) {
		str from = STR_NONE;

		for (size_t left = 5; left > 0; left -= ev.n) {
			good(dehydrated_events(w.e, b->a, ALICE, S("D1"), from, 2, &ev));
			assert_int_equal(ev.n, MIN(left, 2));
			assert_int_equal(ev.limited, left > 2);
			same_str(ev.p[0].sender, S("@bob:x.org"));
			from = ev.next_batch;
		}
		good(dehydrated_events(w.e, b->a, ALICE, S("D1"), from, 2, &ev));
		assert_int_equal(ev.n, 0);
	}
	send(&w, 1);
	good(dehydrated_events(w.e, b->a, ALICE, S("D1"), ev.next_batch, 2, &ev));
	assert_int_equal(ev.n, 1);
	end(&w);
}
BOTH(messages_come_in_pages_and_stay)

static const struct {
	const char *device_id, *from;
	enum err_code code;
} refused[] = {
	{ "D2", NULL, ERR_FORBIDDEN },      { "MINE", NULL, ERR_FORBIDDEN },    { "D1", "", ERR_INVALID_PARAM },
	{ "D1", "d", ERR_INVALID_PARAM },   { "D1", "5", ERR_INVALID_PARAM },   { "D1", "d-1", ERR_INVALID_PARAM },
	{ "D1", "d1x", ERR_INVALID_PARAM }, { "D1", "dd1", ERR_INVALID_PARAM },
};

static void only_its_own_messages_from_its_own_tokens(struct both *b)
{
	struct world w = begin(b);
	struct dehydrated_events ev;

	good(store_do(b->st, b->a, add_device, NULL));
	fails_with(dehydrated_events(w.e, b->a, ALICE, S("MINE"), STR_NONE, 2, &ev), ERR_FORBIDDEN);
	good(put(&w, "D1", "{}"));
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		const err *e = dehydrated_events(w.e, b->a, ALICE, str_c(refused[i].device_id), str_c(refused[i].from),
						 2, &ev);

		ok(e && e->code == refused[i].code, "%s from %s", refused[i].device_id, refused[i].from);
	}
	fails_with(dehydrated_events(w.e, b->a, ALICE + 1, S("D1"), STR_NONE, 2, &ev), ERR_FORBIDDEN);
	end(&w);
}
BOTH(only_its_own_messages_from_its_own_tokens)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(one_takes_the_place_of_another),
		BOTH_TESTS(a_refused_one_changes_nothing),
		BOTH_TESTS(messages_come_in_pages_and_stay),
		BOTH_TESTS(only_its_own_messages_from_its_own_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
