/*
 * upload.c - how bytes become an item.
 *
 * They are hashed and written as they come, and made durable; then one commit makes the content (or counts one more
 * reference to it) and the item; then the file is moved into place. docs/internals/media.md says why in this order.
 */
#include "media/internal_media.h"

#include "base/clock.h"
#include "base/metrics.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "bus/bus.h"
#include "store/tx.h"

#include <assert.h>

enum { MEDIA_ID_LENGTH = 24 };

struct media_upload {
	struct media *m;
	struct new_file *file;
	struct media_row row; /* its texts with one owner */
	int64_t content;      /* of new bytes */
	bool fills;           /* an item that was created before */
};

/* A type and a subtype (RFC 9110, "Media Type"), then perhaps parameters, all in printable ASCII. */
static bool is_type(str s)
{
	const str essence = str_trim(str_head(s, str_find(s, ';')));
	const size_t slash = str_find(essence, '/');

	if (s.n > MEDIA_MAX_TYPE || slash == 0 || slash + 1 >= essence.n)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	for (size_t i = 0; i < essence.n; i++)
		if (i != slash && memchr(" \"(),/:;<=>?@[\\]{}", essence.p[i], 18))
			return false;
	return true;
}

/* "Defaults to application/octet-stream if it is not set." What is no type at all is taken for none. */
static str type_of(str s)
{
	s = str_trim(s);
	return is_type(s) ? s : S("application/octet-stream");
}

static err *check_cmd(const struct media *m, struct arena *a, const struct media_upload_cmd *cmd)
{
	if (cmd->length > m->opt.max_upload_size)
		return err_new(a, ERR_TOO_LARGE, "Files may have %" PRId64 " bytes at most", m->opt.max_upload_size);
	if (cmd->filename.n > MEDIA_MAX_FILENAME || !utf8_valid(cmd->filename))
		return err_new(a, ERR_INVALID_PARAM, "A file name is UTF-8 of %d bytes at most", MEDIA_MAX_FILENAME);
	return NULL;
}

/* The item that was created for this upload. */
static err *find_created(struct media *m, struct arena *a, const struct media_upload_cmd *cmd, int64_t *out_media)
{
	const struct media_row *row;

	TRY(media_row_get(m, a, m->opt.server_name, cmd->media_id, &row));
	if (!row)
		return err_new(a, ERR_NOT_FOUND, "Unknown media ID");
	if (row->uploader != cmd->user)
		return err_new(a, ERR_FORBIDDEN, "This media ID was created by another user");
	if (row->content)
		return err_new(a, ERR_CANNOT_OVERWRITE_MEDIA, "Media already uploaded");
	if (row->expires_at <= clock_ms())
		return err_new(a, ERR_NOT_FOUND, "This media ID has expired");
	*out_media = row->media;
	return NULL;
}

static err *check_quota(struct media *m, struct arena *a, const struct media_upload_cmd *cmd)
{
	AUTO_TX tx = NULL;

	if (m->opt.n_limits == 0 || cmd->length < 0)
		return NULL;
	TRY(store_read(m->opt.store, a, &tx));
	return quota_check(m, tx, a, cmd->user, cmd->length, clock_ms());
}

static uintptr_t uploads_of(const struct media *m, int64_t user)
{
	lock_assert_held(&m->lock);
	return (uintptr_t)map_get_i(&m->uploading, user);
}

/* The count is kept in place of a pointer. */
static err *enter(struct media *m, struct arena *a, int64_t user)
{
	LOCKED(&m->lock);
	const uintptr_t n = uploads_of(m, user);

	if (user && n >= MEDIA_MAX_UPLOADS)
		return err_new(a, ERR_LIMIT_EXCEEDED, "Too many uploads of yours are under way");
	map_put_i(&m->uploading, user, (void *)(n + 1));
	return NULL;
}

static void leave(struct media *m, int64_t user)
{
	LOCKED(&m->lock);
	const uintptr_t n = uploads_of(m, user);

	assert(n > 0);
	if (n == 1)
		map_del_i(&m->uploading, user);
	else
		map_put_i(&m->uploading, user, (void *)(n - 1));
}

static err *begin_file(struct media *m, struct arena *a, int64_t user, int64_t content, struct new_file **out)
{
	err *e;

	TRY(enter(m, a, user));
	e = new_file_begin(m->files, a, content, out);
	if (e)
		leave(m, user);
	return e;
}

err *media_upload_begin(struct media *m, struct arena *a, const struct media_upload_cmd *cmd, struct media_upload **out)
{
	const bool copies = !str_is_none(cmd->origin), fills = !copies && !str_is_none(cmd->media_id);
	int64_t numbers, media = 0, origin = 0;
	struct media_upload *up;
	struct new_file *file;

	TRY(check_cmd(m, a, cmd));
	if (fills)
		TRY(find_created(m, a, cmd, &media));
	if (copies)
		TRY(store_intern(m->opt.store, a, cmd->origin, &origin));
	TRY(check_quota(m, a, cmd));
	TRY(store_next_id(m->opt.store, a, SEQ_MISC, 2, &numbers));
	TRY(begin_file(m, a, cmd->user, numbers, &file));
	up = MEM_NEW(struct media_upload);
	*up = (struct media_upload){ .m = m, .file = file, .content = numbers, .fills = fills };
	up->row = (struct media_row){
		.media = fills ? media : numbers + 1,
		.origin = origin,
		.media_id = str_keep(fills || copies ? cmd->media_id : rand_alpha(a, MEDIA_ID_LENGTH)),
		.uploader = cmd->user,
		.content_type = str_keep(type_of(cmd->content_type)),
		.filename = str_is_empty(cmd->filename) ? STR_NONE : str_keep(cmd->filename),
		.authenticated = !m->opt.open,
	};
	*out = up;
	return NULL;
}

err *media_upload_take(struct media_upload *up, struct arena *a, str bytes)
{
	const int64_t most = up->m->opt.max_upload_size;

	/* Content-Length may lie, or be absent. */
	if ((int64_t)bytes.n > most - new_file_size(up->file))
		return err_new(a, ERR_TOO_LARGE, "Files may have %" PRId64 " bytes at most", most);
	return new_file_write(up->file, a, bytes);
}

struct write {
	const struct media_upload *up;
	struct media_row row;
	struct store_content c;
	int64_t content; /* that the row refers to */
};

static err *write_item(struct tx *tx, void *arg)
{
	struct write *w = arg;

	TRY(quota_check(w->up->m, tx, tx_arena(tx), w->row.uploader, w->c.size, w->row.uploaded_at));
	if (w->up->fills)
		return store_media_fill(tx, &w->row, &w->c, &w->content);
	return store_media_add(tx, &w->row, &w->c, &w->content);
}

/* Somebody was quicker, or it expired while the bytes came. */
static err *why_not_filled(struct media_upload *up, struct arena *a, err *e)
{
	const struct media_upload_cmd cmd = { .user = up->row.uploader, .media_id = up->row.media_id };
	int64_t media;

	TRY(find_created(up->m, a, &cmd, &media));
	return e;
}

static err *commit(struct media_upload *up, struct arena *a, const uint8_t hash[32], int64_t *out_content)
{
	struct write w = {
		.up = up,
		.row = up->row,
		.c = { up->content, { (const char *)hash, 32 }, new_file_size(up->file) },
	};
	err *e;

	w.row.created_at = w.row.uploaded_at = clock_ms();
	e = store_do(up->m->opt.store, a, write_item, &w);
	if (!e) {
		*out_content = w.content;
		return NULL;
	}
	if (e->code == ERR_CANNOT_OVERWRITE_MEDIA)
		return why_not_filled(up, a, e);
	if (e->code == ERR_STORE)
		new_file_leave(up->file);
	return e;
}

err *media_upload_end(struct media_upload *up, struct arena *a, str *out_mxc)
{
	struct media *m = up->m;
	uint8_t hash[32];
	int64_t content;

	TRY(new_file_seal(up->file, a, hash));
	TRY(commit(up, a, hash, &content));
	new_file_keep(up->file, content);
	if (up->fills)
		bus_touch_user(m->opt.bus, media_wait_key(up->row.media), BUS_PRESENCE, bus_next_serial(m->opt.bus));
	metric_add(up->row.origin ? media_metrics.copies : media_metrics.uploads, 1);
	metric_add(up->row.origin ? media_metrics.copied_bytes : media_metrics.uploaded_bytes, new_file_size(up->file));
	*out_mxc = media_mxc(m, a, up->row.media_id);
	return NULL;
}

void media_upload_drop(struct media_upload **upp)
{
	struct media_upload *up = *upp;

	if (!up)
		return;
	new_file_drop(&up->file);
	leave(up->m, up->row.uploader);
	mem_free((void *)up->row.media_id.p);
	mem_free((void *)up->row.content_type.p);
	mem_free((void *)up->row.filename.p);
	mem_free(up);
	*upp = NULL;
}

static err *take_and_end(struct media_upload *up, struct arena *a, str bytes, str *out_mxc)
{
	TRY(media_upload_take(up, a, bytes));
	return media_upload_end(up, a, out_mxc);
}

err *media_put(struct media *m, struct arena *a, const struct media_upload_cmd *cmd, str bytes, str *out_mxc)
{
	struct media_upload *up;
	err *e;

	TRY(media_upload_begin(m, a, cmd, &up));
	e = take_and_end(up, a, bytes, out_mxc);
	media_upload_drop(&up);
	return e;
}

struct create {
	const struct media *m;
	struct media_row row;
};

/* "the server should limit the number of concurrent pending media uploads a given user can have": counted by who
 * writes, so that many at once count each other. */
static err *write_created(struct tx *tx, void *arg)
{
	const struct create *c = arg;
	int64_t n, first;
	err *e;

	TRY(store_media_pending(tx, c->row.uploader, c->row.created_at, &n, &first));
	if (n < c->m->opt.max_pending)
		return store_media_add(tx, &c->row, NULL, NULL);
	e = err_new(tx_arena(tx), ERR_LIMIT_EXCEEDED, "Too many uploads of yours are pending");
	e->extra = arena_printf(tx_arena(tx), "\"retry_after_ms\":%" PRId64, MAX(first - c->row.created_at, 1));
	return e;
}

err *media_create(struct media *m, struct arena *a, int64_t user, str *out_mxc, int64_t *out_expires_at)
{
	struct create c = { .m = m };

	TRY(store_next_id(m->opt.store, a, SEQ_MISC, 1, &c.row.media));
	c.row.media_id = rand_alpha(a, MEDIA_ID_LENGTH);
	c.row.uploader = user;
	c.row.created_at = clock_ms();
	c.row.expires_at = c.row.created_at + m->opt.unused_expiration_ms;
	c.row.authenticated = !m->opt.open;
	TRY(store_do(m->opt.store, a, write_created, &c));
	*out_mxc = media_mxc(m, a, c.row.media_id);
	*out_expires_at = c.row.expires_at;
	return NULL;
}
