/* A room that comes as a whole: in pieces, between which the writer is others'; stopped, begun anew, lied about. */
#include "far_site.h"

#include "room/receive/pieces.h"
#include "store/joins.h"

#include <stdatomic.h>
#include <stdlib.h>

static size_t count_rows(struct scene *s, const char *sql)
{
	struct row *row;
	AUTO_TX tx = NULL;

	good(store_read(s->w->b->st, s->w->a, &tx));
	good(tx_one(tx, sql, NO_BIND, &row));
	return (size_t)row_i64(row, 0);
}

/* What is left of a join that failed goes by itself. */
static void wait_for_sweeper(struct scene *s)
{
	while (count_rows(s, "SELECT COUNT(*) FROM joins") > 0)
		usleep(1000);
}

/* Somebody else's write, queued while a piece is under way. */
struct watch {
	struct scene *s;
	int64_t shard; /* the room's: so that it goes to the same writer */
	atomic_size_t begun, answered, most_ahead, most_statements;
	size_t stop_at; /* the server stops in this piece; 0: in none */
};
struct other {
	struct watch *w;
	size_t at; /* pieces begun when it was queued */
};

static err *other_run(struct tx *tx, void *arg)
{
	struct row *row;

	(void)arg;
	return tx_one(tx, "SELECT 1", NO_BIND, &row);
}

static void other_after(void *arg, const err *result)
{
	struct other *o = arg;
	const size_t ahead = atomic_load(&o->w->begun) - o->at;

	assert_null(result);
	atomic_store(&o->w->most_ahead, MAX(atomic_load(&o->w->most_ahead), ahead));
	atomic_fetch_add(&o->w->answered, 1);
	free(o);
}

static void on_piece(void *ctx, const struct piece_run *run)
{
	struct watch *w = ctx;
	struct other *o = malloc(sizeof(*o));
	AUTO_ARENA a = arena_new();

	*o = (struct other){ w, atomic_fetch_add(&w->begun, 1) + 1 };
	atomic_store(&w->most_statements, MAX(atomic_load(&w->most_statements), (size_t)run->statements));
	if (w->stop_at == o->at)
		remote_stop(w->s->remote);
	good(store_write(w->s->w->b->st, a,
			 &(struct piece){ .run = other_run, .after = other_after, .arg = o, .shard = w->shard }, NULL));
}

static void watch_begin(struct watch *w, struct scene *s)
{
	*w = (struct watch){ .s = s };
	good(store_intern(s->w->b->st, s->w->a, s->f.room_id, &w->shard));
	s->on_piece = on_piece;
	s->piece_ctx = w;
	scene_restart(s);
}

/* However many members: no piece has more than so many statements, and who queues a write while one is under way waits
 * for no other. */
SCENE(others_write_between_the_pieces, "11")
{
	const char *wanted = getenv("IMPORT_MEMBERS");
	uint64_t members = 4000;
	struct watch w;

	if (wanted)
		assert_true(str_to_u64(str_c(wanted), &members));
	for (size_t i = 0; i < members; i++)
		far_member(&s->f, arena_printf(s->w->a, "u%zu", i).p, "join");
	watch_begin(&w, s);
	good(join_far(s, who(s->w, "alice")));
	assert_int_equal(count_rows(s, "SELECT joined FROM room_heads"), members + 2);
	ok(w.begun >= members * 2 / 500, "%zu pieces", (size_t)w.begun);
	assert_true(w.answered >= w.begun - 1);
	ok(w.most_ahead <= 1, "%zu pieces went before", (size_t)w.most_ahead);
	ok(w.most_statements <= 1600, "%zu statements", (size_t)w.most_statements);
	if (wanted)
		print_message("%zu pieces, at most %zu statements\n", (size_t)w.begun, (size_t)w.most_statements);
}

/* Large events make small pieces: what is written at once is bounded in bytes, too. */
SCENE(long_events_make_small_pieces, "11")
{
	const str admin = far_user(&s->f, "admin");
	char *much = malloc(60001);
	struct watch w;

	memset(much, 'x', 60000);
	much[60000] = 0;
	for (size_t i = 0; i < 60; i++)
		far_state(&s->f, admin, "org.long", arena_printf(s->w->a, "%zu", i),
			  arena_printf(s->w->a, "{'x':'%s'}", much).p);
	free(much);
	watch_begin(&w, s);
	good(join_far(s, who(s->w, "alice")));
	/* 3.6 MB, which as rows would be one piece, like each of seven others. */
	ok(w.begun >= 4 + 7, "%zu pieces", (size_t)w.begun);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM joins"), 0);
}

/* The server stops: nothing more is written than what is queued; what was goes with the next start, but for the
 * invitation that was there before. */
SCENE(a_stop_ends_an_import, "11")
{
	struct world *world = s->w;
	const struct actor by = who(world, "alice");
	struct watch w;

	for (int i = 0; i < 600; i++)
		far_member(&s->f, arena_printf(world->a, "u%d", i).p, "join");
	watch_begin(&w, s);
	w.stop_at = 3;
	fails_with(join_far(s, by), ERR_BUSY);
	ok(w.begun <= 4, "%zu pieces", (size_t)w.begun);
	assert_true(count_rows(s, "SELECT COUNT(*) FROM events") > 0);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM joins"), 1);
	w.stop_at = 0;
	scene_restart(s);
	wait_for_sweeper(s);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM events"), 0);
	good(join_far(s, by));
	assert_int_equal(count_rows(s, "SELECT joined FROM room_heads"), 602);
}

/* A join that fails leaves nothing, also when nobody tries again. */
SCENE(a_failure_is_swept_away, "11")
{
	for (int i = 0; i < 20; i++)
		far_member(&s->f, arena_printf(s->w->a, "u%d", i).p, "join");
	store_fault(s->w->b->st, FAULT_STATEMENT, 150);
	assert_non_null(join_far(s, who(s->w, "alice")));
	store_fault(s->w->b->st, FAULT_STATEMENT, 0);
	wait_for_sweeper(s);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM events"), 0);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM current_state"), 0);
}

/* Who made the state invited whom he liked: the last piece, which makes the room, is no longer for it. */
SCENE(the_last_piece_is_bounded, "11")
{
	struct world *w = s->w;

	for (size_t i = 0; i < 700; i++)
		far_state(&s->f, far_user(&s->f, "admin"), "m.room.member", arena_printf(w->a, "@guest%zu:test", i),
			  "{'membership':'invite'}");
	good(join_far(s, who(w, "alice")));
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM membership WHERE membership = 2 AND stream > 0"), 500);
	assert_int_equal(count_rows(s, "SELECT COUNT(*) FROM membership WHERE membership = 2"), 700);
	assert_int_equal(membership_now(w, s->f.room_id, "guest0"), MEMBER_INVITE);
	assert_int_equal(membership_now(w, s->f.room_id, "guest699"), MEMBER_INVITE);
	good(join(w, who(w, "guest650"), s->f.room_id));
	good(join(w, who(w, "guest651"), s->f.room_id));
	assert_int_equal(membership_now(w, s->f.room_id, "guest650"), MEMBER_JOIN);
}

/* An event that comes twice is one; two events under one key are no state. */
SCENE(what_comes_twice, "11")
{
	struct world *w = s->w;
	const struct event *bob = far_member(&s->f, "bob", "join"), *topic;
	const str right = far_join_answer(&s->f, w->a, STR_NONE);
	const char *at = (const char *)memmem(right.p, right.n, "\"state\":[", 9) + 9;

	topic = far_state(&s->f, far_user(&s->f, "admin"), "m.room.topic", S(""), "{'topic':'a'}");
	s->join_answer = arena_printf(
		w->a, "%.*s%.*s,%.*s,%s", (int)(at - right.p), right.p, STR_ARG(topic->bytes),
		STR_ARG(far_state(&s->f, far_user(&s->f, "admin"), "m.room.topic", S(""), "{'topic':'b'}")->bytes), at);
	fails_with(join_far(s, who(w, "alice")), ERR_CONNECTION_FAILED);
	s->join_answer = arena_printf(w->a, "%.*s%.*s,%.*s,%s", (int)(at - right.p), right.p, STR_ARG(bob->bytes),
				      STR_ARG(s->f.events.p[0]->bytes), at);
	good(join_far(s, who(w, "alice")));
	assert_int_equal(count_rows(s, "SELECT joined FROM room_heads"), 3);
}

TEST_MAIN(WORLD_TESTS(others_write_between_the_pieces), WORLD_TESTS(long_events_make_small_pieces),
	  WORLD_TESTS(a_stop_ends_an_import), WORLD_TESTS(a_failure_is_swept_away),
	  WORLD_TESTS(the_last_piece_is_bounded), WORLD_TESTS(what_comes_twice))
