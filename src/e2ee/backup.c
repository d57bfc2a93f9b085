/*
 * backup.c - versions of key backups, and the sweeping of what was deleted.
 *
 * Deleting a version, or all its keys, must be done when it is answered, whether it holds three keys or 200,000. So
 * it is one row: the backup's number is given up, and nothing finds the keys any more; a thread deletes them in pieces
 * that are short.
 */
#include "e2ee/backup.h"

#include "base/chore.h"
#include "e2ee/internal_backup.h"

enum { SWEEP_AT_ONCE = 200 };

/* Versions count from 1; what is not written as we write them names none. */
int64_t backup_version_number(struct arena *a, str version)
{
	int64_t n;

	if (!str_to_i64(version, &n) || n < 1 || !str_eq(backup_number_text(a, n), version))
		return -1;
	return n;
}

str backup_number_text(struct arena *a, int64_t n) { return arena_printf(a, "%" PRId64, n); }

err *backup_none(struct arena *a) { return err_new(a, ERR_NOT_FOUND, "Unknown backup version"); }

err *backup_find(struct tx *tx, struct arena *a, int64_t user, str version, const struct key_backup_row **out)
{
	TRY(store_key_backup(tx, user, backup_version_number(a, version), out));
	return *out ? NULL : backup_none(a);
}

struct create {
	int64_t user, backup, version;
	str algorithm, auth_data;
	struct arena *a;
};

static err *create_run(struct tx *tx, void *arg)
{
	const struct key_backup_row *newest;
	struct create *c = arg;

	TRY(store_key_backup(tx, c->user, 0, &newest));
	if (newest && newest->all_versions >= BACKUP_VERSIONS_MAX)
		return err_new(c->a, ERR_RESOURCE_LIMIT, "a user has at most %d backups: delete old ones first",
			       BACKUP_VERSIONS_MAX);
	return store_key_backup_add(tx, c->user, c->backup, c->algorithm, c->auth_data, &c->version);
}

static err *check_auth_data(struct arena *a, str auth_data)
{
	if (auth_data.n > BACKUP_AUTH_DATA_MAX)
		return err_new(a, ERR_TOO_LARGE, "auth_data may have %d bytes", BACKUP_AUTH_DATA_MAX);
	return NULL;
}

err *backup_create(struct e2ee *e, struct arena *a, int64_t user, str algorithm, str auth_data, str *out_version)
{
	struct create c = { .user = user, .algorithm = algorithm, .auth_data = auth_data, .a = a };

	if (algorithm.n == 0 || algorithm.n > BACKUP_ALGORITHM_MAX)
		return err_new(a, ERR_INVALID_PARAM, "the name of an algorithm has 1 to %d bytes",
			       BACKUP_ALGORITHM_MAX);
	TRY(check_auth_data(a, auth_data));
	TRY(store_next_id(e->opt.store, a, SEQ_MISC, 1, &c.backup));
	TRY(store_do(e->opt.store, a, create_run, &c));
	*out_version = backup_number_text(a, c.version);
	return NULL;
}

err *backup_get(struct e2ee *e, struct arena *a, int64_t user, str version, struct backup_version *out)
{
	const struct key_backup_row *row;
	AUTO_TX tx = NULL;

	TRY(store_read(e->opt.store, a, &tx));
	if (str_is_none(version))
		TRY(store_key_backup(tx, user, 0, &row));
	else
		TRY(backup_find(tx, a, user, version, &row));
	if (!row)
		return err_new(a, ERR_NOT_FOUND, "No current backup version");
	*out = (struct backup_version){
		.version = backup_number_text(a, row->version),
		.algorithm = row->algorithm,
		.auth_data = row->auth_data,
		.etag = backup_number_text(a, row->etag),
		.count = row->keys,
	};
	return NULL;
}

struct update {
	int64_t user;
	str version, algorithm, auth_data;
	struct arena *a;
};

static err *update_run(struct tx *tx, void *arg)
{
	const struct key_backup_row *row;
	const struct update *u = arg;

	TRY(backup_find(tx, u->a, u->user, u->version, &row));
	/* "Must be the same as the algorithm currently used by the backup." */
	if (!str_eq(row->algorithm, u->algorithm))
		return err_new(u->a, ERR_INVALID_PARAM, "Algorithm does not match");
	return store_key_backup_set_auth_data(tx, u->user, row->version, u->auth_data);
}

err *backup_update(struct e2ee *e, struct arena *a, int64_t user, str version, str algorithm, str auth_data)
{
	struct update u = { user, version, algorithm, auth_data, a };

	TRY(check_auth_data(a, auth_data));
	return store_do(e->opt.store, a, update_run, &u);
}

static err *delete_run(struct tx *tx, void *arg)
{
	const struct key_backup_row *row;
	const struct update *u = arg;
	const int64_t version = backup_version_number(u->a, u->version);
	int64_t last;

	TRY(store_key_backup(tx, u->user, version, &row));
	if (row)
		return store_key_backup_delete(tx, u->user, row);
	/* "If the backup was previously deleted, the call should succeed rather than returning an error." */
	TRY(store_key_backup_last(tx, u->user, &last));
	return version >= 1 && version <= last ? NULL : backup_none(u->a);
}

err *backup_delete(struct e2ee *e, struct arena *a, int64_t user, str version)
{
	struct update u = { .user = user, .version = version, .a = a };

	TRY(store_do(e->opt.store, a, delete_run, &u));
	backup_sweep_soon(e);
	return NULL;
}

static err *forget_run(struct tx *tx, void *user) { return store_key_backups_delete(tx, *(const int64_t *)user); }

err *backup_forget_user(struct e2ee *e, struct arena *a, int64_t user)
{
	TRY(store_do(e->opt.store, a, forget_run, &user));
	backup_sweep_soon(e);
	return NULL;
}

/*
 * Sweeping
 */
static err *sweep_run(struct tx *tx, void *out_more) { return store_key_backup_sweep(tx, SWEEP_AT_ONCE, out_more); }

static err *sweep(struct chore *c, void *ctx, struct arena *a)
{
	const struct e2ee *e = ctx;
	bool more = true;

	while (more && !chore_stopping(c)) {
		TRY(store_do(e->opt.store, a, sweep_run, &more));
		arena_reset(a);
	}
	return NULL;
}

void backup_sweeping_start(struct e2ee *e)
{
	e->backup_sweeping = chore_new("backup-sweeper", sweep, e, e->opt.log, "deleted key backups are still there");
}

void backup_sweeping_stop(struct e2ee *e) { chore_free(&e->backup_sweeping); }

void backup_sweep_soon(struct e2ee *e)
{
	if (e->backup_sweeping)
		chore_kick(e->backup_sweeping);
}
