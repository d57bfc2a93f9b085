/*
 * state_bench.c - what a state costs, by the size of the room and the fan-out of the trees: bytes in the file and in
 * the WAL for each state event, and the time of every operation, through the real tables and the real cache.
 *
 * Usage: bench-state-N FILE, N being the fan-out (4, 8, 16, 32; 8 is what the server has). FILE is made anew. Figures
 * go to docs/benchmarks.md. A state event here is a member's, at random, in a room with ten other types; 20 of them are
 * one commit.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "store/state_nodes.h"
#include "store/tx.h"

enum { EVENTS = 2000, BATCH = 20, MEMBER = 100, OTHERS = 10, GETS = 20000, DIFFS = 500, DIFFER = 5 };

struct bench {
	struct arena *a;
	struct store *st;
	sqlite3 *db; /* an outsider's, for the figures */
	struct node_cache *cache;
	struct node_source src;
	struct state_tree tree;
	struct state_root root;
	int64_t next, event;
	int64_t members;
	uint64_t seed;
};

static void must(const err *e)
{
	if (!e)
		return;
	fprintf(stderr, "%.*s\n", STR_ARG(e->msg));
	exit(1);
}

static int64_t draw(struct bench *b, int64_t below)
{
	b->seed ^= b->seed << 13;
	b->seed ^= b->seed >> 7;
	b->seed ^= b->seed << 17;
	return (int64_t)(b->seed % (uint64_t)below);
}

/* A number out of a PRAGMA's first row. */
static int64_t pragma(struct bench *b, const char *sql, int column)
{
	sqlite3_stmt *s;
	int64_t n = -1;

	if (sqlite3_prepare_v2(b->db, sql, -1, &s, NULL) == SQLITE_OK && sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int64(s, column);
	sqlite3_finalize(s);
	return n;
}

struct rows_of {
	VEC(struct node_row) rows;
	int64_t room;
	struct arena *a;
};

static err *save(struct tx *tx, void *arg)
{
	const struct rows_of *r = arg;

	return store_nodes_save(tx, r->room, r->rows.p, r->rows.n);
}

static void take(struct bench *b, struct rows_of *to, const struct state_builder *sb)
{
	for (size_t i = 0; i < sb->n_rows; i++) {
		struct node_row row = sb->rows[i];

		row.bytes = arena_keep(to->a, row.bytes);
		vec_push(to->a, &to->rows, row);
	}
	node_cache_queued(b->cache, b->src.room, sb->rows, sb->n_rows);
}

static void commit(struct bench *b, struct rows_of *r)
{
	must(store_do(b->st, r->a, save, r));
	node_cache_committed(b->cache, b->src.room, b->next);
}

static err *count(void *arg, const struct state_entry *e)
{
	(void)e;
	++*(size_t *)arg;
	return NULL;
}
static err *count_change(void *arg, int64_t type, int64_t key, int64_t old, int64_t now)
{
	(void)type, (void)key, (void)old, (void)now;
	++*(size_t *)arg;
	return NULL;
}

static double build_whole(struct bench *b)
{
	AUTO_ARENA a = arena_new();
	const size_t n = (size_t)b->members + OTHERS;
	struct state_entry *e = ARENA_ARRAY(a, struct state_entry, n);
	struct rows_of rows = { .a = a, .room = b->src.room };
	struct state_builder sb;
	int64_t start;

	for (size_t i = 0; i < n; i++)
		e[i] = i < OTHERS ? (struct state_entry){ 1 + (int64_t)i, 1, ++b->event }
				  : (struct state_entry){ MEMBER, 1000 + (int64_t)i * 3, ++b->event };
	start = clock_mono_us();
	state_builder_init(&sb, a, &b->tree);
	must(state_apply(&sb, STATE_EMPTY, e, n, &b->root));
	state_seal(&sb, &b->root, 1, &b->next);
	const double us = (double)(clock_mono_us() - start);

	take(b, &rows, &sb);
	commit(b, &rows);
	return us;
}

static int64_t some_member(struct bench *b) { return 1000 + (OTHERS + draw(b, b->members)) * 3; }

/* Microseconds of a set, without the commit. */
static double state_events(struct bench *b)
{
	int64_t us = 0;

	for (int i = 0; i < EVENTS / BATCH; i++) {
		AUTO_ARENA a = arena_new();
		struct rows_of rows = { .a = a, .room = b->src.room };

		for (int k = 0; k < BATCH; k++) {
			const int64_t key = some_member(b), start = clock_mono_us();
			struct state_builder sb;

			b->event += 3;
			state_builder_init(&sb, a, &b->tree);
			must(state_set(&sb, b->root, MEMBER, key, b->event, &b->root));
			state_seal(&sb, &b->root, 1, &b->next);
			us += clock_mono_us() - start;
			take(b, &rows, &sb);
		}
		commit(b, &rows);
	}
	return (double)us / EVENTS;
}

static double get(struct bench *b)
{
	const int64_t start = clock_mono_us();
	AUTO_ARENA a = arena_new();

	for (int i = 0; i < GETS; i++) {
		int64_t event;

		must(state_get(&b->tree, a, b->root, MEMBER, some_member(b), &event));
		if (i % 1000 == 0)
			arena_reset(a);
	}
	return (double)(clock_mono_us() - start) / GETS;
}

static double enumerate(struct bench *b, struct state_pick pick)
{
	AUTO_ARENA a = arena_new();
	const int64_t start = clock_mono_us();
	size_t n = 0;

	must(state_each(&b->tree, a, b->root, pick, count, &n));
	return (double)(clock_mono_us() - start);
}

static double diff(struct bench *b)
{
	AUTO_ARENA a = arena_new();
	struct state_root to = b->root;
	struct state_builder sb;
	struct rows_of rows = { .a = a, .room = b->src.room };
	int64_t start;
	size_t n = 0;

	state_builder_init(&sb, a, &b->tree);
	for (int i = 0; i < DIFFER; i++)
		must(state_set(&sb, to, MEMBER, some_member(b), ++b->event, &to));
	state_seal(&sb, &to, 1, &b->next);
	take(b, &rows, &sb);
	commit(b, &rows);
	start = clock_mono_us();
	for (int i = 0; i < DIFFS; i++)
		must(state_diff(&b->tree, a, b->root, to, (struct state_pick){ 0 }, count_change, &n));
	return (double)(clock_mono_us() - start) / DIFFS;
}

static void open_cache(struct bench *b)
{
	if (b->cache)
		node_cache_free(&b->cache);
	b->cache = node_cache_new(b->st, 0);
	b->src.cache = b->cache;
	b->tree = node_source_tree(&b->src);
}

static void measure(struct bench *b, int64_t members)
{
	b->src.room++;
	b->members = members;
	b->next = 1;
	b->root = STATE_EMPTY;
	open_cache(b);
	const double whole = build_whole(b);

	pragma(b, "PRAGMA wal_checkpoint(TRUNCATE)", 0);
	const int64_t pages = pragma(b, "PRAGMA page_count", 0);
	const double set = state_events(b);
	const int64_t frames = pragma(b, "PRAGMA wal_checkpoint(PASSIVE)", 1);
	const double in_file = (double)(pragma(b, "PRAGMA page_count", 0) - pages) * 4096 / EVENTS;
	const double warm = get(b), all = enumerate(b, (struct state_pick){ 0 });
	const double rest = enumerate(b, (struct state_pick){ .but = MEMBER }), between = diff(b);

	open_cache(b); /* nothing is known */
	const double cold = enumerate(b, (struct state_pick){ 0 });

	printf("| %d | %" PRId64 " | %.0f | %.0f | %.2f | %.1f | %.1f | %.1f | %.2f | %.2f | %.2f |\n", STATE_FAN,
	       members, in_file, (double)frames * 4120 / EVENTS, warm, set, between, rest, all / 1000, cold / 1000,
	       whole / 1000);
}

int main(int argc, char **argv)
{
	static const int64_t sizes[] = { 100, 5000, 50000 };
	AUTO_ARENA a = arena_new();
	struct bench b = { .a = a, .seed = 88172645463325252 };

	if (argc != 2)
		return 2;
	for (int i = 0; i < 4; i++) {
		static const char *const ends[] = { "", "-wal", "-shm", ".lock" };

		unlink(arena_printf(a, "%s%s", argv[1], ends[i]).p);
	}
	must(store_open(a, &(struct store_options){ .driver = STORE_SQLITE, .path = str_c(argv[1]) }, &b.st));
	if (sqlite3_open_v2(argv[1], &b.db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return 1;
	sqlite3_busy_timeout(b.db, 10000);
	printf("| fan-out | members | file B | WAL B | get us | set us | diff us | without members us | all ms | all, cold ms |"
	       " build ms |\n");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		measure(&b, sizes[i]);
	sqlite3_close(b.db);
	node_cache_free(&b.cache);
	store_close(&b.st);
	return 0;
}
