/* test_query.c - what other servers know of names: asked once, kept for a while, and only what is good of it. */
#include "federation/fed_fixture.h"

#include "base/thread.h"
#include "federation/query.h"

static struct {
	struct lock lock;
	struct cond changed;
	unsigned asked, waiting; /* under lock, as is: */
	bool held;
} other;

static _Atomic int64_t now_us;
static int64_t clock_us(void) { return now_us; }

static bool say_no(struct visit *v, int status, const char *errcode)
{
	AUTO_ARENA a = arena_new();
	const str body = arena_printf(a, "{\"errcode\":\"%s\",\"error\":\"no\"}", errcode);

	return say(v, arena_printf(a, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n\r\n%s", status, body.n, body.p));
}

static const char profile[] =
	"{\"displayname\":\"Gert\",\"avatar_url\":7,\"m.tz\":\"UTC\",\"org.x\":null,\"org.y\":[1]}";
static const char alias[] =
	"{\"room_id\":\"!r:b\",\"servers\":[\"b\",7,\"b\",\"not a name\",\"c:8448\",\"b\",\"c:8448\"]}";
static const char rooms[] = "{\"chunk\":[7,{\"room_id\":\"no\"},{\"room_id\":\"!r:b\",\"name\":\"R\",\"topic\":3,"
			    "\"num_joined_members\":-4,\"world_readable\":\"yes\",\"evil\":true,"
			    "\"canonical_alias\":\"none\",\"allowed_room_ids\":[\"!a:b\",4]}],"
			    "\"next_batch\":\"n\",\"prev_batch\":1,\"total_room_count_estimate\":9,\"more\":1}";

static bool answer(struct visit *v)
{
	const str path = path_of(v);

	if (asks(v, "/.well-known/matrix/server"))
		return SAY(v, "HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n");
	lock_take(&other.lock);
	other.asked++;
	other.waiting++;
	cond_broadcast(&other.changed);
	while (other.held)
		cond_wait(&other.changed, &other.lock);
	other.waiting--;
	lock_drop(&other.lock);
	if (str_contains(path, S("nobody")))
		return say_no(v, 404, "M_NOT_FOUND");
	if (str_contains(path, S("broken")))
		return say_no(v, 500, "M_UNKNOWN");
	if (str_contains(path, S("odd")))
		return say_ok(v, S(""), S("{\"room_id\":17,\"servers\":{}}"));
	if (str_contains(path, S("/query/profile")))
		return say_ok(v, S(""), str_c(profile));
	if (str_contains(path, S("/query/directory")))
		return say_ok(v, S(""), str_c(alias));
	if (str_contains(path, S("/publicRooms")))
		return say_ok(v, S(""), str_c(rooms));
	return say_ok(v, S(""), S("[]"));
}

struct world {
	struct fed_world w;
	struct queries *q;
};

static void begin(struct world *t, size_t max_bytes)
{
	other.asked = other.waiting = 0;
	other.held = false;
	now_us = 1000;
	fed_world_begin(&t->w, answer);
	t->q = queries_new(&(struct queries_options){ .fed = t->w.fed, .max_bytes = max_bytes, .now_us = clock_us });
}

static void end(struct world *t)
{
	queries_free(&t->q);
	fed_world_end(&t->w);
}

static str user(struct world *t, const char *name)
{
	return arena_printf(t->w.a, "@%s:%.*s", name, STR_ARG(fed_world_name(&t->w, "b.example")));
}

static err *ask_profile(struct world *t, const char *name, const char *field, const struct json **out)
{
	return query_profile(t->q, t->w.a, user(t, name), str_c(field), in_seconds(20), out);
}

static void an_answer_is_kept_for_a_while(void **state)
{
	const struct json *p;
	struct world t;

	(void)state;
	begin(&t, 0);
	for (int i = 0; i < 3; i++) {
		good(ask_profile(&t, "gert", NULL, &p));
		same_str(json_get_str(p, S("displayname")), S("Gert"));
	}
	assert_int_equal(other.asked, 1);
	good(ask_profile(&t, "hans", NULL, &p));
	assert_int_equal(other.asked, 2);
	now_us += INT64_C(600000000);
	good(ask_profile(&t, "gert", NULL, &p));
	assert_int_equal(other.asked, 3);
	end(&t);
}

/* "No" is kept, for a shorter while; trouble is not. */
static void a_no_is_kept_too(void **state)
{
	const struct json *p;
	struct world t;

	(void)state;
	begin(&t, 0);
	for (int i = 0; i < 3; i++)
		fails_with(ask_profile(&t, "nobody", NULL, &p), ERR_NOT_FOUND);
	assert_int_equal(other.asked, 1);
	now_us += INT64_C(61000000);
	fails_with(ask_profile(&t, "nobody", NULL, &p), ERR_NOT_FOUND);
	assert_int_equal(other.asked, 2);
	fails_with(ask_profile(&t, "broken", NULL, &p), ERR_CONNECTION_FAILED);
	backoff_good(t.w.fed, fed_world_name(&t.w, "b.example"));
	fails_with(ask_profile(&t, "broken", NULL, &p), ERR_CONNECTION_FAILED);
	assert_int_equal(other.asked, 4);
	end(&t);
}

struct asker {
	struct world *t;
	struct arena *a;
	str user_id, name;
};

static void ask_in_thread(void *arg)
{
	struct asker *me = arg;
	const struct json *p;

	good(query_profile(me->t->q, me->a, me->user_id, STR_NONE, in_seconds(20), &p));
	me->name = json_get_str(p, S("displayname"));
}

static void who_asks_the_same_waits(void **state)
{
	struct asker askers[4];
	struct thread *threads[4];
	struct world t;

	(void)state;
	begin(&t, 0);
	other.held = true;
	for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
		askers[i] = (struct asker){ &t, arena_new(), user(&t, "gert"), STR_NONE };
		threads[i] = thread_start("asker", ask_in_thread, &askers[i]);
	}
	lock_take(&other.lock);
	while (other.waiting == 0)
		cond_wait(&other.changed, &other.lock);
	other.held = false;
	cond_broadcast(&other.changed);
	lock_drop(&other.lock);
	for (size_t i = 0; i < ARRAY_LEN(askers); i++) {
		thread_join(&threads[i]);
		same_str(askers[i].name, S("Gert"));
		arena_free(&askers[i].a);
	}
	assert_int_equal(other.asked, 1);
	end(&t);
}

static void memory_is_bounded(void **state)
{
	const struct json *p;
	struct world t;
	unsigned asked;

	(void)state;
	begin(&t, 8000);
	for (int i = 0; i < 100; i++)
		good(ask_profile(&t, arena_printf(t.w.a, "u%d", i).p, NULL, &p));
	asked = other.asked;
	good(ask_profile(&t, "u99", NULL, &p));
	assert_int_equal(other.asked, asked);
	good(ask_profile(&t, "u0", NULL, &p));
	assert_int_equal(other.asked, asked + 1);
	end(&t);
}

static void only_what_is_good_is_shown(void **state)
{
	const struct json *p, *room;
	str room_id, *servers;
	struct world t;
	int64_t joined;
	size_t n;
	unsigned asked;

	(void)state;
	begin(&t, 0);
	good(ask_profile(&t, "gert", NULL, &p));
	assert_null(json_get(p, S("avatar_url")));
	assert_null(json_get(p, S("org.x")));
	assert_non_null(json_get(p, S("org.y")));
	good(ask_profile(&t, "gert", "m.tz", &p));
	assert_int_equal(p->object.n, 1);
	good(query_alias(t.q, t.w.a, arena_join2(t.w.a, S("#a:"), fed_world_name(&t.w, "b.example")), in_seconds(20),
			 &room_id, &servers, &n));
	same_str(room_id, S("!r:b"));
	assert_int_equal(n, 2);
	same_str(servers[1], S("c:8448"));
	asked = other.asked;
	good(query_alias(t.q, t.w.a, arena_join2(t.w.a, S("#a:"), fed_world_name(&t.w, "b.example")), in_seconds(20),
			 &room_id, &servers, &n));
	ok(other.asked == asked + 1, "an alias may name another room by now");
	fails_with(query_alias(t.q, t.w.a, arena_join2(t.w.a, S("#odd:"), fed_world_name(&t.w, "b.example")),
			       in_seconds(20), &room_id, &servers, &n),
		   ERR_CONNECTION_FAILED);
	good(query_public_rooms(t.q, t.w.a, fed_world_name(&t.w, "b.example"), json_new_object(t.w.a), in_seconds(20),
				&p));
	assert_int_equal(json_get_array(p, S("chunk"))->array.n, 1);
	room = json_get_array(p, S("chunk"))->array.items[0];
	assert_null(json_get(room, S("topic")));
	assert_null(json_get(room, S("evil")));
	assert_null(json_get(room, S("canonical_alias")));
	assert_true(json_get_int(room, S("num_joined_members"), &joined) && joined == 0);
	assert_int_equal(json_get_array(room, S("allowed_room_ids"))->array.n, 1);
	assert_null(json_get(p, S("prev_batch")));
	assert_null(json_get(p, S("more")));
	end(&t);
}

static int init(void **state)
{
	(void)state;
	lock_init(&other.lock, RANK_LEAF);
	cond_init(&other.changed);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_kept_for_a_while), cmocka_unit_test(a_no_is_kept_too),
		cmocka_unit_test(who_asks_the_same_waits),       cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(only_what_is_good_is_shown),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, init, NULL);
}
