/* test_successor.c - what users keep for a room follows into a successor that was made elsewhere; and a room that
 * cannot be read keeps no other waiting. */
#include "room/forge.h"

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/crypto.h"
#include "flow/successor.h"
#include "user/account_data.h"

static const struct log quiet;
static const char tags[] = "{\"tags\":{\"u.tea\":{}}}";

enum { ROOMS = 3 };
struct following {
	struct world *w;
	struct users *us;
	struct actor alice;
	struct pair {
		str old, new, at;
		struct forge f;
	} rooms[ROOMS];
	int log; /* what is written to standard error meanwhile */
};

static void tombstone(struct following *s, struct pair *r, const char *type, const char *key, str content)
{
	const struct event *ev = forge_by(&r->f, S("@zoe:far"), type, key, content.p, &r->at, 1);

	assert_int_equal(put(s->w, ev), APPEND_ACCEPTED);
	r->at = ev->event_id;
}

static void replace(struct following *s, struct pair *r)
{
	tombstone(s, r, "m.room.tombstone", "",
		  arena_printf(s->w->a, "{'body':'','replacement_room':'%.*s'}", STR_ARG(r->new)));
}

static void furnish(struct following *s)
{
	const struct users_options opt = { .store = s->w->b->st, .bus = s->w->bus, .server_name = S("test") };
	struct world *w = s->w;
	int64_t nid;

	s->alice = who(w, "alice");
	s->us = users_new(&opt);
	good(store_intern_all(w->b->st, w->a, &(struct store_text){ S("@zoe:far"), &nid }, 1));
	for (size_t i = 0; i < ROOMS; i++) {
		struct pair *r = &s->rooms[i];

		r->old = make_room(w, s->alice, "{'preset':'public_chat','room_version':'11'}");
		r->new = make_room(
			w, s->alice,
			arena_printf(w->a, "{'creation_content':{'predecessor':{'room_id':'%.*s'}}}", STR_ARG(r->old))
				.p);
		r->f = forge_for(w, r->old, "11");
		r->at = set_state(w, s->alice, r->old, "m.room.power_levels", "",
				  "{'users':{'@alice:test':100},'users_default':50}");
		tombstone(s, r, "m.room.member", "@zoe:far", S("{'membership':'join'}"));
		good(user_account_data_set(s->us, w->a, s->alice.user, room_nid(w, r->old), S("m.tag"), str_c(tags)));
	}
}

static size_t complaints(const struct following *s)
{
	static char text[1 << 20];
	const ssize_t n = pread(s->log, text, sizeof(text) - 1, 0);
	size_t count = 0;

	assert_true(n >= 0);
	text[n] = 0;
	for (const char *at = text; (at = strstr(at, "names did not follow")); at++)
		count++;
	return count;
}

static bool followed(struct following *s, const struct pair *r)
{
	str there;

	good(user_account_data(s->us, s->w->a, s->alice.user, room_nid(s->w, r->new), S("m.tag"), &there));
	return !str_is_none(there);
}

static void await_followed(struct following *s, const struct pair *r)
{
	const int64_t deadline = clock_mono_us() + INT64_C(20) * 1000000; /* less than a pause after a failure */

	while (!followed(s, r) && clock_mono_us() < deadline)
		sched_yield();
	ok(followed(s, r), "%.*s", STR_ARG(r->new));
}

static void await_complaint(struct following *s)
{
	const int64_t deadline = clock_mono_us() + INT64_C(20) * 1000000;

	while (complaints(s) == 0 && clock_mono_us() < deadline)
		sched_yield();
	ok(complaints(s) > 0, "what fails is said");
}

struct text {
	int64_t event;
	str json;
};

static err *write_text(struct tx *tx, void *arg)
{
	const struct text *t = arg;

	return tx_run(tx, "UPDATE events SET json = $2 WHERE nid = $1", BIND(B(t->event), B(t->json)));
}

static void store_text(struct following *s, int64_t event, str json)
{
	struct text t = { event, json };

	good(store_do(s->w->b->st, s->w->a, write_text, &t));
}

static void a_room_that_cannot_be_read_keeps_none_waiting(struct world *w)
{
	struct following s = { .w = w, .log = memfd_create("log", 0) };
	const int saved = dup(STDERR_FILENO);
	const struct event_row *create;
	struct successors *successors;

	furnish(&s);
	create = current(w, s.rooms[0].new, "m.room.create", "");
	store_text(&s, create->nid, S("x"));
	rooms_free(&w->rs); /* it is in memory */
	good(rooms_new(w->a, &w->opt, &w->rs));
	dup2(s.log, STDERR_FILENO);
	successors = successors_new(s.us, w->rs, &quiet);
	replace(&s, &s.rooms[0]);
	await_complaint(&s);
	for (size_t i = 1; i < ROOMS; i++) {
		replace(&s, &s.rooms[i]);
		await_followed(&s, &s.rooms[i]);
	}
	for (size_t i = 0; i < 20; i++)
		say(w, s.alice, s.rooms[1].new, "time goes by");
	/* A run at the start, and one for each tombstone. */
	ok(complaints(&s) <= 1 + ROOMS, "it is tried again when others come, not at once: %zu", complaints(&s));
	store_text(&s, create->nid, create->json);
	replace(&s, &s.rooms[1]);
	await_followed(&s, &s.rooms[0]);
	successors_stop(successors);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(s.log);
	rooms_free(&w->rs);
	successors_free(&successors);
	users_free(&s.us);
	good(rooms_new(w->a, &w->opt, &w->rs));
}
WORLD(a_room_that_cannot_be_read_keeps_none_waiting)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TESTS(a_room_that_cannot_be_read_keeps_none_waiting),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
