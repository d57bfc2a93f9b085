/*
 * resolve_bench.c - what state resolution and the index of auth chains cost on a real store.
 *
 * Usage: bench-resolve DIRECTORY [MEMBERS]        (SQLite, in that directory; 50,000 members)
 *
 * A room gets its members in bulk, as a join of it would bring them. Then: two states of it that differ in five keys
 * are resolved, with caches that are empty (a restart) and that are not; as many branches as a resolution takes; and
 * 10,000 branches that come one by one and are merged ten at a time.
 */
#include <stdio.h>
#include <stdlib.h>

#include "bus/bus.h"
#include "room/big_room.h"

enum { KEYS = 5, WARM = 200, FORKS = 10000, MERGED = 10 };

struct bench {
	struct arena *a;
	struct store_options opt;
	struct store *st;
	struct bus *bus;
	struct rooms *rs;
	struct ed25519_key key;
	struct big_room big;
	str alice, alice_id;
};

static void good(const err *e)
{
	if (!e)
		return;
	fprintf(stderr, "bench-resolve: %.*s (%s)\n", STR_ARG(e->msg), e->where);
	exit(1);
}

static void advance(void *ctx, int64_t position) { bus_advance(ctx, position); }

static void start(struct bench *b)
{
	struct rooms_options opt = { .signer = { S("test"), S("ed25519:1"), &b->key } };

	good(store_open(b->a, &b->opt, &b->st));
	b->bus = bus_new(1000);
	store_on_commit(b->st, advance, b->bus);
	opt.store = b->st;
	opt.bus = b->bus;
	opt.default_version = room_version_find(S("12"));
	good(rooms_new(b->a, &opt, &b->rs));
	b->big.rs = b->rs;
	b->big.st = b->st;
}

static void stop(struct bench *b)
{
	store_close(&b->st);
	rooms_free(&b->rs);
	bus_free(&b->bus);
}

static void make_room(struct bench *b, str version, size_t members)
{
	struct create_cmd cmd = { .by = { .user_id = b->alice, .device_id = S("D") } };
	struct json *body;
	AUTO_TX tx = NULL;
	int64_t member, nid;
	struct event_row *row;
	str id;

	good(json_parse(b->a,
			arena_printf(b->a, "{\"preset\":\"public_chat\",\"room_version\":\"%.*s\"}", STR_ARG(version)),
			&json_limits_request, &body));
	cmd.body = body;
	good(store_intern(b->st, b->a, b->alice, &cmd.by.user));
	good(room_create(b->rs, b->a, &cmd, &id));
	good(big_room_fill(&b->big, b->rs, b->st, b->a, id, members));
	good(store_intern_find(b->st, b->a, S("m.room.member"), &member));
	good(store_read(b->st, b->a, &tx));
	good(store_state_get(tx, b->big.room, member, cmd.by.user, &nid));
	good(store_event_by_nid(tx, nid, &row));
	b->alice_id = row->event_id;
}

/* One of the events of a branch: members change their names, alice the topic. */
static const struct event *branch_event(struct bench *b, size_t user, int64_t ts, str prev)
{
	struct big_room *r = &b->big;
	const bool member = user < r->members;
	const str sender = member ? big_user(b->a, user) : b->alice,
		  auth[] = { r->levels_id, member ? big_member_id(r, user) : b->alice_id,
			     member ? r->rules_id : r->create_id, r->create_id };
	const size_t named = str_is_none(r->create_id) ? 0 : 1;
	const struct event *ev = NULL;

	good(big_forge(r, sender, member ? S("m.room.member") : S("m.room.topic"), member ? sender : S(""),
		       member ? arena_printf(b->a, "{\"displayname\":\"%" PRId64 "\",\"membership\":\"join\"}", ts)
			      : arena_printf(b->a, "{\"topic\":\"%" PRId64 "\"}", ts),
		       prev, auth, 2 + (size_t)member + named, ts, &ev));
	return ev;
}

static struct state_root root_of(struct bench *b, str event_id)
{
	struct event_row *row;
	struct state_root root;
	AUTO_TX tx = NULL;

	good(store_read(b->st, b->a, &tx));
	good(store_event_by_id(tx, event_id, &row));
	good(store_root_load(tx, b->big.room, row->root_after, &root));
	return root;
}

/* us of the thread's CPU, which on SQLite is all there is to it; *out_statements: how many. */
static int64_t resolve(struct bench *b, const struct state_root *roots, size_t n, uint64_t *out_statements)
{
	AUTO_ARENA a = arena_new();
	AUTO_ROOM room = NULL;
	AUTO_DRAFT d = NULL;
	struct state_root out;
	uint64_t before;
	int64_t t;

	good(room_hold(b->rs, a, b->big.room_id, &room));
	draft_begin(room, &d);
	before = store_statements_here();
	t = clock_thread_us();
	good(draft_resolve(d, roots, n, &out));
	t = clock_thread_us() - t;
	*out_statements = store_statements_here() - before;
	return t;
}

static int by_size(const void *x, const void *y)
{
	const int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

	return a < b ? -1 : a > b;
}

static void measure(struct bench *b, const char *what, const struct state_root *roots, size_t n)
{
	int64_t us[WARM], cold;
	uint64_t cold_statements, statements = 0;

	stop(b);
	start(b);
	cold = resolve(b, roots, n, &cold_statements);
	for (size_t i = 0; i < WARM; i++)
		us[i] = resolve(b, roots, n, &statements);
	qsort(us, WARM, sizeof(us[0]), by_size);
	printf("%-44s cold %6" PRId64 " us (%d statements), warm p50 %5" PRId64 " us, least %5" PRId64
	       " us (%d statements)\n",
	       what, cold, (int)cold_statements, us[WARM / 2], us[0], (int)statements);
}

static void append(struct bench *b, const struct event *ev)
{
	enum append_outcome out;
	AUTO_ARENA a = arena_new();

	good(rooms_append_event(b->rs, a, ev, &out));
	if (out != APPEND_ACCEPTED) {
		fprintf(stderr, "bench-resolve: a branch was refused\n");
		exit(1);
	}
}

static void five_keys(struct bench *b, const char *what)
{
	struct state_root roots[2];

	for (int branch = 0; branch < 2; branch++) {
		str prev = b->big.last_id;

		for (size_t i = 0; i < KEYS; i++) {
			const struct event *ev = branch_event(b, i == KEYS - 1 ? b->big.members : 10 + i,
							      1700000200000 + 10 * (int64_t)i + branch, prev);

			append(b, ev);
			prev = ev->event_id;
		}
		roots[branch] = root_of(b, prev);
	}
	measure(b, what, roots, 2);
}

/* Branches of one event each, that all change one key and one of their own. */
static void most_roots(struct bench *b)
{
	struct state_root roots[STATE_RES_MAX_ROOTS];

	for (size_t i = 0; i < STATE_RES_MAX_ROOTS; i++) {
		const struct event *topic = branch_event(b, b->big.members, 1700000300000 + (int64_t)i, b->big.last_id),
				   *name = branch_event(b, 100 + i, 1700000300000 + (int64_t)i, topic->event_id);

		append(b, topic);
		append(b, name);
		roots[i] = root_of(b, name->event_id);
	}
	measure(b, "64 states, each with two events of its own:", roots, STATE_RES_MAX_ROOTS);
}

static str merge(struct bench *b, struct arena *a)
{
	struct send_cmd cmd = { .by = { .user_id = b->alice, .device_id = S("D") },
				.room_id = b->big.room_id,
				.type = S("m.room.message"),
				.state_key = STR_NONE,
				.content = json_new_object(a),
				.txn_id = STR_NONE };
	str id;

	good(store_intern(b->st, a, b->alice, &cmd.by.user));
	good(room_send(b->rs, a, &cmd, &id));
	return id;
}

/* The room forks into ten, each branch with a state event, and a message of ours takes them in; a thousand times. */
static void many_forks(struct bench *b)
{
	struct arena *const whole = b->a;
	int64_t lap = clock_mono_us(), slowest = 0;
	str base = STR_NONE;

	for (int i = 0; i < 8; i++) /* takes in what is open */
		base = merge(b, whole);
	for (int i = 0; i < FORKS; i++) {
		AUTO_ARENA a = arena_new();
		int64_t t = clock_mono_us();

		b->a = b->big.a = a;
		append(b, branch_event(b, i % 3 ? 1000 + (size_t)i : b->big.members, 1700000400000 + i, base));
		if (i % MERGED == MERGED - 1)
			base = arena_keep(whole, merge(b, a));
		b->a = b->big.a = whole;
		t = clock_mono_us() - t;
		slowest = MAX(slowest, t);
		if (i % (FORKS / 5) == FORKS / 5 - 1) {
			printf("%-44s %6" PRId64 " us a branch (%d to %d)\n",
			       i < FORKS / 5 ? "10,000 branches, ten at a time:" : "",
			       (clock_mono_us() - lap) / (FORKS / 5), i + 2 - FORKS / 5, i + 1);
			lap = clock_mono_us();
		}
	}
	printf("%-44s slowest %" PRId64 " us\n", "", slowest);
}

static void bytes(struct bench *b)
{
	static const char sql[] =
		"SELECT name, SUM(pgsize) FROM dbstat WHERE name LIKE 'auth_%' OR name = 'events' GROUP BY name";
	AUTO_TX tx = NULL;
	struct rows *rs;

	good(store_read(b->st, b->a, &tx));
	good(tx_query(tx, sql, NO_BIND, &rs));
	while (rows_next(rs)) {
		const str name = rows_str(rs, 0);

		printf("  %-42.*s %6.1f bytes a member\n", STR_ARG(name),
		       (double)rows_i64(rs, 1) / (double)b->big.members);
	}
	good(rows_end(&rs));
}

static void one_version(struct bench *b, const char *dir, str version, size_t members)
{
	b->a = arena_new();
	b->opt = (struct store_options){ .driver = STORE_SQLITE,
					 .path = arena_printf(b->a, "%s/resolve-%.*s.db", dir, STR_ARG(version)) };
	b->alice = S("@alice:test");
	b->big = (struct big_room){ 0 };
	start(b);
	printf("room version %.*s, %zu members\n", STR_ARG(version), members);
	make_room(b, version, members);
	printf("%-44s %6" PRId64 " ms, of it the index %" PRId64 " ms\n", "written in bulk:", b->big.us / 1000,
	       b->big.index_us / 1000);
	bytes(b);
	five_keys(b, "two states that differ in 5 keys:");
	most_roots(b);
	many_forks(b);
	stop(b);
	arena_free(&b->a);
}

int main(int argc, char **argv)
{
	int64_t members = 50000;
	struct bench b = { 0 };

	if (argc < 2 || (argc > 2 && (!str_to_i64(str_c(argv[2]), &members) || members < 12000))) {
		fprintf(stderr, "usage: bench-resolve DIRECTORY [MEMBERS, at least 12000]\n");
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	crypto_init();
	ed25519_from_seed(&b.key, (const uint8_t[32]){ 7 });
	one_version(&b, argv[1], S("11"), (size_t)members);
	one_version(&b, argv[1], S("12"), (size_t)members);
	return 0;
}
