/* test_wal.c - what is written to SQLite's WAL beside its writers (zeros ahead of them, the schema before them) harms
 * nobody: neither those of the store, nor an operator's program that writes to the same file. */
#include <sched.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "both.h"
#include "test.h"

#include "base/thread.h"
#include "store/tx.h"

enum { MAKERS = 8, EACH = 12 };
struct maker {
	const char *dir;
	int number;
	str wrong;
	struct arena *a;
};

static err *fill(struct tx *tx, void *arg)
{
	const struct maker *m = arg;

	for (int i = 0; i < 300; i++)
		TRY(tx_run(tx, "INSERT INTO meta (name, value) VALUES ($1, $2)",
			   BIND(B(arena_printf(m->a, "%d", i)), B(arena_printf(m->a, "%0400d", i)))));
	return NULL;
}

static err *check(struct store *st, struct arena *a, str *out)
{
	struct row *row;
	AUTO_TX tx = NULL;

	TRY(store_read(st, a, &tx));
	TRY(tx_one(tx, "PRAGMA integrity_check", NO_BIND, &row));
	*out = row_str(row, 0);
	return NULL;
}

static err *make_one(struct maker *m, int i)
{
	const struct store_options opt = { .driver = STORE_SQLITE,
					   .path = arena_printf(m->a, "%s/%d-%d.db", m->dir, m->number, i) };
	struct store *st;
	str result = STR_NONE;
	err *e;

	TRY(store_open(m->a, &opt, &st));
	e = store_do(st, m->a, fill, m);
	if (!e)
		e = check(st, m->a, &result);
	store_close(&st);
	if (!e && !str_eq(result, S("ok")))
		e = err_new(m->a, ERR_STORE, "%.*s", STR_ARG(result));
	for (int k = 0; k < 4; k++) {
		static const char *const ends[] = { "", "-wal", "-shm", ".lock" };

		unlink(arena_printf(m->a, "%.*s%s", STR_ARG(opt.path), ends[k]).p);
	}
	return e;
}

static void maker_main(void *arg)
{
	struct maker *m = arg;

	for (int i = 0; i < EACH && str_is_none(m->wrong); i++) {
		const err *e = make_one(m, i);

		if (e)
			m->wrong = e->msg;
	}
}

/* The schema is made by a connection that no gate knows of, while the thread that lengthens the WAL is there already.
 */
static void new_databases_are_sound(void **state)
{
	char dir[64];
	struct maker m[MAKERS];
	struct thread *threads[MAKERS];

	(void)state;
	snprintf(dir, sizeof(dir), "%s/hearth-test-XXXXXX", both_tmp());
	assert_non_null(mkdtemp(dir));
	for (int i = 0; i < MAKERS; i++) {
		m[i] = (struct maker){ dir, i, STR_NONE, arena_new() };
		threads[i] = thread_start("maker", maker_main, &m[i]);
	}
	for (int i = 0; i < MAKERS; i++) {
		thread_join(&threads[i]);
		ok(str_is_none(m[i].wrong), "%.*s", STR_ARG(m[i].wrong));
		arena_free(&m[i].a);
	}
	rmdir(dir);
}

/*
 * Outsiders: writers that come through no gate of ours. One is a thread with a connection of its own, one another
 * process.
 */
enum { OUTSIDERS = 2, TURNS = 30, ROWS = 300, ROW_BYTES = 4000, TRUNCATE_EVERY = 12 };
enum { TRIES = 200, COMMITS = 2 };
static struct shared {            /* by both processes */
	_Atomic int64_t inside;   /* pieces that the store has run */
	_Atomic int64_t tries;    /* how often an outsider found the database locked */
	_Atomic int64_t commits;  /* of outsiders */
	_Atomic int running;      /* outsiders */
	_Atomic bool lengthening; /* the first zeros are about to be written */
	_Atomic int64_t lengthened;
} * shared;

/* Takes the place of libc's (pwrite64: off_t has 64 bits), for SQLite's library, too: when zeros are to be written into
 * the WAL, outsiders have the time to write as much as they can. They write until they find themselves locked out, or
 * have written more than is kept ahead. */
ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	static const char zeros[64 << 10];

	if (shared && n == sizeof(zeros) && memcmp(p, zeros, n) == 0 && !shared->lengthening) {
		const int64_t tries = shared->tries, commits = shared->commits;

		shared->lengthening = true;
		while (shared->running > 0 && shared->tries < tries + TRIES && shared->commits < commits + COMMITS)
			sched_yield();
		shared->lengthening = false;
		shared->lengthened++;
	}
	return syscall(SYS_pwrite64, fd, p, n, at);
}

static int again(void *ctx, int count)
{
	(void)ctx, (void)count;
	shared->tries++;
	sched_yield();
	return 1;
}

static bool outside_run(sqlite3 *db, const char *sql)
{
	char *why = NULL;
	const int rc = sqlite3_exec(db, sql, NULL, NULL, &why);

	if (rc != SQLITE_OK)
		print_error("outsider: %s: %s\n", sql, why ? why : sqlite3_errstr(rc));
	sqlite3_free(why);
	return rc == SQLITE_OK;
}

static bool outside_writes(const char *path, int who)
{
	char sql[512];
	sqlite3 *db;
	bool good = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK;

	sqlite3_busy_handler(db, again, NULL);
	good = good && outside_run(db, "PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF");
	for (int turn = 0; good && turn < TURNS; turn++) {
		for (const int64_t seen = shared->inside; shared->inside == seen && !shared->lengthening;)
			sched_yield();
		snprintf(sql, sizeof(sql),
			 "BEGIN IMMEDIATE; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
			 " INSERT INTO outside (who, turn, bytes) SELECT %d, %d, zeroblob(%d) FROM n; COMMIT;",
			 ROWS, who, turn, ROW_BYTES);
		good = outside_run(db, sql);
		shared->commits++;
		if (good && turn % TRUNCATE_EVERY == TRUNCATE_EVERY - 1)
			good = outside_run(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	}
	sqlite3_close(db);
	shared->running--;
	return good;
}

struct outsider {
	const char *path;
	bool good;
};

static void outsider_main(void *arg)
{
	struct outsider *o = arg;

	o->good = outside_writes(o->path, 1);
}

/* Begun before this process has threads or the file open; it writes when the pipe is closed. */
static pid_t outside_process(const char *path, int *out_go)
{
	int fds[2];
	char c;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	fflush(NULL);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		close(fds[1]);
		_exit(read(fds[0], &c, 1) == 0 && outside_writes(path, 2) ? 0 : 1);
	}
	close(fds[0]);
	*out_go = fds[1];
	return child;
}

static err *make_outside(struct tx *tx, void *arg)
{
	(void)arg;
	TRY(tx_run(tx, "CREATE TABLE outside (who INT, turn INT, bytes BLOB)", NO_BIND));
	return tx_run(tx, "CREATE TABLE inside (turn INT, bytes BLOB)", NO_BIND);
}

static err *write_inside(struct tx *tx, void *arg)
{
	(void)arg;
	return tx_run(tx, "INSERT INTO inside (turn, bytes) VALUES ($1, zeroblob(300000))", BIND(B(shared->inside)));
}

static int64_t asked(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *s;
	int64_t n = -1;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
	if (sqlite3_step(s) == SQLITE_ROW)
		n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

static void check_outside(const char *path)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	ok(asked(db, "SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'") == 1, "%s is damaged",
	   path);
	ok(asked(db, "SELECT count(*) FROM outside") == OUTSIDERS * TURNS * ROWS, "an outsider's rows are lost");
	ok(asked(db, "SELECT count(DISTINCT turn) FROM inside") == shared->inside, "the store's rows are lost");
	sqlite3_close(db);
}

static void copy_file(const char *from, const char *to)
{
	static char bytes[1 << 20];
	const int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ssize_t n;

	while ((n = read(in, bytes, sizeof(bytes))) > 0)
		if (write(out, bytes, (size_t)n) != n)
			_exit(1);
	close(in);
	close(out);
}

/* What is left when the machine stops now: the index is lost, the WAL is read to its end. A child copies, for a process
 * that closes the database's file loses its locks on it. */
static void check_recovery(const char *dir, const char *path)
{
	char copy[128], from[160], to[160];
	int status = 1;
	pid_t child;

	snprintf(copy, sizeof(copy), "%s/copy.db", dir);
	snprintf(from, sizeof(from), "%s-wal", path);
	snprintf(to, sizeof(to), "%s-wal", copy);
	child = fork();
	if (child == 0) {
		copy_file(path, copy);
		copy_file(from, to);
		_exit(0);
	}
	ok(child > 0 && waitpid(child, &status, 0) == child && status == 0, "no copy");
	check_outside(copy);
	unlink(copy);
	unlink(to);
}

static void outsiders_lose_nothing(void **state)
{
	AUTO_ARENA a = arena_new();
	char dir[64], path[96];
	struct outsider outsider = { .path = path };
	struct thread *t;
	struct store *st;
	int go, status = 0;
	pid_t process;

	(void)state;
	snprintf(dir, sizeof(dir), "%s/hearth-test-XXXXXX", both_tmp());
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/test.db", dir);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(shared != MAP_FAILED);
	process = outside_process(path, &go);
	good(store_open(a, &(struct store_options){ .driver = STORE_SQLITE, .path = str_c(path) }, &st));
	good(store_do(st, a, make_outside, NULL));
	shared->running = OUTSIDERS;
	close(go);
	t = thread_start("outsider", outsider_main, &outsider);
	while (shared->running > 0) {
		good(store_do(st, a, write_inside, NULL));
		shared->inside++;
	}
	thread_join(&t);
	assert_int_equal(waitpid(process, &status, 0), process);
	ok(outsider.good && WIFEXITED(status) && WEXITSTATUS(status) == 0, "an outsider could not write");
	ok(shared->lengthened > 3, "nothing was lengthened");
	check_outside(path);
	check_recovery(dir, path);
	store_close(&st);
	check_outside(path);
	both_remove_dir(dir);
	munmap(shared, sizeof(*shared));
	shared = NULL;
}

TEST_MAIN(cmocka_unit_test(outsiders_lose_nothing), cmocka_unit_test(new_databases_are_sound))
