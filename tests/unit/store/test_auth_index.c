/* test_auth_index.c - the index of auth chains at rest: the same answers as the closure of the graph, however its rows
 * came there. */
#include "both.h"
#include "matrix/auth_graphs.h"
#include "store/auth_index.h"
#include "store/events.h"
#include "store/internal_store.h"
#include "store/tx.h"

enum { ROOM = 7 };

/*
 * The index as it is read
 */
static err *places(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_place *out)
{
	(void)a;
	return store_auth_places(ctx, events, n, out);
}

static err *keys(void *ctx, struct arena *a, const int64_t *lines, size_t n, struct auth_key *out)
{
	(void)a;
	return store_auth_keys(ctx, lines, n, out);
}

static err *named(void *ctx, struct arena *a, const int64_t *lines, size_t n, bool *out)
{
	(void)a;
	return store_auth_named(ctx, lines, n, out);
}

static err *above(void *ctx, struct arena *a, struct auth_span to, size_t limit, struct auth_cursor *at,
		  const struct auth_link **out, size_t *out_n)
{
	(void)a;
	return store_auth_above(ctx, to, 1 + limit % 3, at, out, out_n); /* many small pages */
}

static err *below(void *ctx, struct arena *a, const struct auth_span *from, size_t n, const struct auth_link **out,
		  size_t *out_n)
{
	(void)a;
	return store_auth_below(ctx, from, n, out, out_n);
}

static void check_graph(struct both *b, struct graph *g, uint64_t from)
{
	struct states *s = ARENA_NEW(g->a, struct states);
	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, g->a, &tx));
	const struct auth_index index = {
		.ctx = tx, .places = places, .keys = keys, .named = named, .above = above, .below = below
	};

	g->g.index = &index;
	for (int round = 0; round < 6; round++) {
		int64_t events[6];
		size_t n = 0;

		draw_states(s, g, 2 + draw(3));
		check_difference(s, from, "stored");
		for (size_t i = 0; i < s->s.n_starts && n < ARRAY_LEN(events); i++)
			events[n++] = s->s.starts[i].event;
		if (n > 0)
			check_subgraph(g, events, n, from, "stored");
	}
	g->g.index = NULL;
}

/*
 * Rows
 */
static str id_of(struct arena *a, int64_t event) { return arena_printf(a, "$event%" PRId64, event); }

/* Event x of the graph; of what it names, only what is there (or all of it) has a number. */
static err *insert_event(struct tx *tx, struct graph *g, int x, bool all)
{
	const struct auth_key key = key_of(g, x);
	int64_t auths[NAMES] = { 0 };
	struct event_row row = {
		.nid = 10 * x,
		.room = ROOM,
		.type = key.type,
		.state_key = key.key,
		.flags = EVENT_STATE,
		.event_id = id_of(g->a, 10 * x),
		.json = S("{}"),
		.prevs = store_nids_pack(g->a, NULL, 0),
	};

	for (int k = 0; k < g->n_auth[x]; k++)
		if (all || g->there[g->auth[x][k]])
			auths[k] = 10 * g->auth[x][k];
	row.auths = store_nids_pack(g->a, auths, (size_t)g->n_auth[x]);
	return store_event_insert(tx, &row);
}

struct adding {
	struct graph *g;
	const int *order;
	int from, n;
	bool more;
};

/* Events as outliers come: what is missing is waited for, and what waited for them gets its edges. */
static err *add_piece(struct tx *tx, void *arg)
{
	struct adding *p = arg;
	struct graph *g = p->g;
	struct auth_entry *entries = ARENA_ARRAY(g->a, struct auth_entry, (size_t)p->n);
	str *ids = ARENA_ARRAY(g->a, str, (size_t)p->n);

	for (int i = 0; i < p->n; i++)
		g->there[p->order[p->from + i]] = false; /* it may be the second time */
	for (int i = 0; i < p->n; i++) {
		const int x = p->order[p->from + i];
		int64_t auth[NAMES];
		struct auth_key auth_keys[NAMES];
		struct auth_list named[NAMES];
		size_t n = 0;

		TRY(insert_event(tx, g, x, false));
		for (int k = 0; k < g->n_auth[x]; k++) {
			const int y = g->auth[x][k];

			if (!g->there[y]) {
				TRY(store_auth_wait(tx, id_of(g->a, 10 * y), 10 * x, (size_t)k));
				continue;
			}
			auth[n] = 10 * y;
			auth_keys[n] = key_of(g, y);
			graph_ok(auth_events(g, g->a, &auth[n], 1, &named[n]));
			n++;
		}
		entries[i] = (struct auth_entry){
			.event = 10 * x,
			.parents = auth_parents_of(g->a, key_of(g, x), auth, n, auth_keys, named),
			.n_parents = n,
		};
		ids[i] = id_of(g->a, 10 * x);
		g->there[x] = true;
	}
	TRY(store_auth_add(tx, entries, (size_t)p->n));
	return store_auth_late(tx, ids, (size_t)p->n, 1000, &p->more);
}

static void remove_all(struct both *b);

static void any_order_of_arrival(struct both *b)
{
	for (uint64_t s = 1; s <= 8; s++) {
		AUTO_ARENA a = arena_new();
		struct graph *g = ARENA_NEW(a, struct graph);
		int order[MOST];
		struct adding p = { .g = g, .order = order };

		seed = s * 0x9e3779b97f4a7c15u + 5;
		draw_graph(g, a, (enum shape)(s % SHAPES));
		for (int i = 0; i < g->n; i++)
			order[i] = i + 1;
		for (int i = g->n - 1; s > 2 && i > 0; i--) {
			const int k = draw(i + 1), x = order[i];

			order[i] = order[k];
			order[k] = x;
		}
		for (p.from = 0; p.from < g->n; p.from += p.n) {
			p.n = draw(2) ? 1 : 1 + draw(20);
			p.n = MIN(p.n, g->n - p.from);
			both_ok(store_do(b->st, a, add_piece, &p));
		}
		check_graph(b, g, s);
		/* What the rows say is complete now, too. */
		AUTO_TX tx = NULL;
		both_ok(store_read(b->st, a, &tx));
		for (int x = 1; x <= g->n; x++) {
			const int64_t event = 10 * x;
			int64_t *auths;
			str *packed;

			both_ok(store_events_auths(tx, &event, 1, &packed));
			assert_int_equal(store_nids_unpack(a, packed[0], &auths), g->n_auth[x]);
			for (int k = 0; k < g->n_auth[x]; k++)
				assert_int_equal(auths[k], 10 * g->auth[x][k]);
		}
		store_read_end(&tx);
		remove_all(b);
	}
}
BOTH(any_order_of_arrival)

/*
 * An older database
 */
static err *remove_run(struct tx *tx, void *arg)
{
	static const char *const tables[] = { "events", "auth_places", "auth_links", "auth_waiting" };

	for (size_t i = arg ? 1 : 0; i < ARRAY_LEN(tables); i++)
		TRY(tx_run(tx, arena_printf(tx_arena(tx), "DELETE FROM %s", tables[i]).p, NO_BIND));
	return arg ? tx_run(tx, "DELETE FROM meta WHERE name = $1", BIND(B(S("auth_index")))) : NULL;
}

static void remove_all(struct both *b) { both_ok(store_do(b->st, b->a, remove_run, NULL)); }

static int64_t count(struct both *b, const char *table)
{
	AUTO_TX tx = NULL;
	struct row *r;

	both_ok(store_read(b->st, b->a, &tx));
	both_ok(tx_one(tx, arena_printf(b->a, "SELECT count(*) FROM %s", table).p, NO_BIND, &r));
	return row_i64(r, 0);
}

struct filling {
	struct graph *g;
	int copies; /* of the graph, for more pieces than one; with numbers that rise by and large */
	bool done;
};

/* Copies of events whose numbers are out of order now and then, with messages between them. */
static int64_t number_in(const struct graph *g, int copy, int x)
{
	return ((int64_t)copy * (g->n + 1) + (x % 7 == 0 && x < g->n ? x + 1 : x % 7 == 1 && x > 1 ? x - 1 : x)) * 10;
}

static err *insert_old(struct tx *tx, void *arg)
{
	struct filling *f = arg;
	struct graph *g = f->g;

	for (int copy = 0; copy < f->copies; copy++)
		for (int x = 1; x <= g->n; x++) {
			const int64_t nid = number_in(g, copy, x);
			struct event_row row = {
				.nid = nid,
				.room = ROOM,
				.type = key_of(g, x).type,
				.state_key = key_of(g, x).key,
				.flags = EVENT_STATE,
				.event_id = id_of(tx_arena(tx), nid),
				.json = S("{}"),
				.prevs = S(""),
			};
			int64_t auths[NAMES];

			for (int k = 0; k < g->n_auth[x]; k++)
				auths[k] = number_in(g, copy, g->auth[x][k]);
			row.auths = store_nids_pack(tx_arena(tx), auths, (size_t)g->n_auth[x]);
			TRY(store_event_insert(tx, &row));
			row.nid++;
			row.state_key = 0;
			row.event_id = id_of(tx_arena(tx), nid + 1);
			TRY(store_event_insert(tx, &row));
		}
	return NULL;
}

static err *fill_step(struct tx *tx, void *arg) { return auth_fill_step(tx, &((struct filling *)arg)->done); }

/* Of any two events of any copy: is one reached from the other? */
static void check_copies(struct both *b, struct filling *f)
{
	struct graph *g = f->g;
	AUTO_TX tx = NULL;

	both_ok(store_read(b->st, g->a, &tx));
	for (int copy = 0; copy < f->copies; copy += 1 + f->copies / 4)
		for (int round = 0; round < 40; round++) {
			const int x = 1 + draw(g->n), y = 1 + draw(g->n);
			const int64_t from = number_in(g, copy, x), to = number_in(g, copy, y);
			VEC(struct auth_span) todo = { 0 };
			struct auth_place at[2];
			bool met = false;

			both_ok(store_auth_places(tx, (const int64_t[]){ from, to }, 2, at));
			vec_push(g->a, &todo, (struct auth_span){ at[0].line, 1, at[0].place + 1 });
			for (size_t i = 0; i < todo.n && !met; i++) {
				const struct auth_link *links;
				size_t n;

				met = at[1].line == todo.p[i].line && at[1].place < todo.p[i].below;
				both_ok(store_auth_below(tx, &todo.p[i], 1, &links, &n));
				for (size_t k = 0; k < n; k++) {
					const struct auth_span next = { links[k].to.line, 1, links[k].to.place + 1 };
					bool known = false;

					for (size_t t = 0; t < todo.n; t++)
						known |= todo.p[t].line == next.line && todo.p[t].below >= next.below;
					if (!known)
						vec_push(g->a, &todo, next);
				}
			}
			if (met != (x == y || g->reach[x][y]))
				fail_msg("copy %d: %d to %d", copy, x, y);
		}
}

static void an_older_database_is_filled(struct both *b)
{
	struct graph *g = ARENA_NEW(b->a, struct graph);
	struct filling f = { .g = g, .copies = 60 };
	int64_t places, links;

	seed = 99;
	draw_graph(g, b->a, LIKE_A_ROOM);
	while (g->n < 100)
		draw_graph(g, b->a, LIKE_A_ROOM);
	both_ok(store_do(b->st, b->a, insert_old, &f));
	both_ok(store_do(b->st, b->a, remove_run, &f)); /* as if there had never been an index */
	both_reopen(b);
	assert_int_equal(count(b, "auth_places"), f.copies * g->n);
	assert_int_equal(count(b, "auth_waiting"), 0);
	check_copies(b, &f);
	places = count(b, "auth_places");
	links = count(b, "auth_links");
	both_reopen(b);
	assert_int_equal(count(b, "auth_places"), places);
	/* Killed in the middle: the first piece is there, the next opening does the others. */
	both_ok(store_do(b->st, b->a, remove_run, &f));
	both_ok(store_do(b->st, b->a, fill_step, &f));
	assert_false(f.done);
	assert_true(count(b, "auth_places") > 0 && count(b, "auth_places") < places);
	both_reopen(b);
	assert_int_equal(count(b, "auth_places"), places);
	assert_int_equal(count(b, "auth_links"), links);
	check_copies(b, &f);
}
BOTH(an_older_database_is_filled)

/*
 * A parent whom very many wait for
 */
enum { WAITING = 2500 };

static err *many_wait(struct tx *tx, void *arg)
{
	(void)arg;
	for (int i = 1; i <= WAITING; i++) {
		struct auth_entry e = { .event = 10 + i };
		const int64_t missing = 0;
		struct event_row row = {
			.nid = 10 + i,
			.room = ROOM,
			.type = 1,
			.state_key = 10 + i,
			.flags = EVENT_STATE,
			.event_id = id_of(tx_arena(tx), 10 + i),
			.json = S("{}"),
			.prevs = S(""),
			.auths = store_nids_pack(tx_arena(tx), &missing, 1),
		};

		TRY(store_event_insert(tx, &row));
		TRY(store_auth_add(tx, &e, 1));
		TRY(store_auth_wait(tx, S("$late"), 10 + i, 0));
	}
	return NULL;
}

static err *it_comes(struct tx *tx, void *arg)
{
	const str id = S("$late");
	struct auth_entry e = { .event = 5 };
	const struct event_row row = {
		.nid = 5,
		.room = ROOM,
		.type = 2,
		.state_key = 1,
		.event_id = id,
		.json = S("{}"),
		.prevs = S(""),
		.auths = S(""),
		.flags = EVENT_STATE,
	};

	TRY(store_event_insert(tx, &row));
	TRY(store_auth_add(tx, &e, 1));
	return store_auth_late(tx, &id, 1, 300, arg);
}

static err *nothing(struct tx *tx, void *arg)
{
	(void)tx;
	(void)arg;
	return NULL;
}

static void a_late_parent_is_put_in_by_pieces(struct both *b)
{
	bool more = false;

	both_ok(store_do(b->st, b->a, many_wait, NULL));
	both_ok(store_do(b->st, b->a, it_comes, &more));
	assert_true(more);
	assert_int_equal(count(b, "auth_waiting"), WAITING - 300);
	store_auth_catch_up(b->st);
	while (count(b, "auth_waiting") > 0) /* each waits for a commit: those before it have run */
		both_ok(store_do(b->st, b->a, nothing, NULL));
	assert_int_equal(count(b, "auth_links"), WAITING);
	/* Or, where the end came between, at the next opening. */
	both_ok(store_do(b->st, b->a, remove_run, NULL));
	both_ok(store_do(b->st, b->a, many_wait, NULL));
	both_ok(store_do(b->st, b->a, it_comes, &more));
	assert_int_equal(count(b, "auth_waiting"), WAITING - 300);
	both_reopen(b);
	assert_int_equal(count(b, "auth_waiting"), 0);
}
BOTH(a_late_parent_is_put_in_by_pieces)

static err *forget(struct tx *tx, void *arg)
{
	int64_t events[WAITING];

	(void)arg;
	for (int i = 0; i < WAITING; i++)
		events[i] = 11 + i;
	return store_auth_forget(tx, events, WAITING);
}

static void a_purge_leaves_nothing(struct both *b)
{
	bool more;

	both_ok(store_do(b->st, b->a, many_wait, NULL));
	both_ok(store_do(b->st, b->a, it_comes, &more));
	both_ok(store_do(b->st, b->a, forget, NULL));
	assert_int_equal(count(b, "auth_links"), 0);
	assert_int_equal(count(b, "auth_waiting"), 0);
	assert_int_equal(count(b, "auth_places"), 1);
}
BOTH(a_purge_leaves_nothing)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH_TESTS(any_order_of_arrival),
		BOTH_TESTS(an_older_database_is_filled),
		BOTH_TESTS(a_late_parent_is_put_in_by_pieces),
		BOTH_TESTS(a_purge_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
