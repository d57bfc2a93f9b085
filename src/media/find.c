/*
 * find.c - what a URI leads to, for this reader, now.
 *
 * Waiting for an upload that was announced. Whoever asks for such an item parks on a key of the bus that is the item's
 * own: the negative of its number, where no user's number is. The key is watched before the row is read once more, so
 * an upload in between is seen by one of the two. Wires between processes carry the wake-up as they carry any other.
 */
#include "media/internal_media.h"

#include "base/clock.h"
#include "bus/bus.h"
#include "http/http.h"
#include "matrix/id.h"

#include <assert.h>
#include <errno.h>
#include <unistd.h>

static err *not_found(struct arena *a) { return err_new(a, ERR_NOT_FOUND, "Not found"); }

static bool may_see(const struct media *m, const struct media_find_cmd *cmd, const struct media_row *row)
{
	/* "any media uploaded after (or during) the freeze SHOULD only be accessible through the new, authenticated,
	 * endpoints." */
	if (cmd->legacy && row->authenticated && !m->opt.open)
		return false;
	return str_is_none(row->quarantined_by) || cmd->quarantined_also;
}

void media_begin_wait(struct media *m, int64_t number, struct media_wait *wait)
{
	const int64_t key = media_wait_key(number);
	struct bus_known known = { 0 };

	if (bus_watch_begin(m->opt.bus, key))
		bus_watch_rooms(m->opt.bus, key, bus_position(m->opt.bus), NULL, 0);
	(void)bus_known(m->opt.bus, key, &known); /* not known (any more): then nobody sleeps on it */
	*wait = (struct media_wait){ key, known.seq };
}

static err *row_for(struct media *m, struct arena *a, const struct media_find_cmd *cmd, const struct media_row **out)
{
	TRY(media_row_get(m, a, cmd->server_name, cmd->media_id, out));
	if (!*out || !may_see(m, cmd, *out) || (!(*out)->content && (*out)->expires_at <= clock_ms()))
		return not_found(a);
	return NULL;
}

err *media_find(struct media *m, struct arena *a, const struct media_find_cmd *cmd, struct media_wait *wait,
		struct media_item *out)
{
	const struct media_row *row;

	if (!id_server_name_valid(cmd->server_name))
		return err_new(a, ERR_INVALID_PARAM, "This is no server's name");
	TRY(row_for(m, a, cmd, &row));
	if (!row->content && wait) {
		media_begin_wait(m, row->media, wait);
		TRY(row_for(m, a, cmd, &row));
	}
	if (!row->content)
		return err_new(a, ERR_NOT_YET_UPLOADED, "Media has not been uploaded yet");
	assert(row->hash.n == sizeof(out->hash));
	*out = (struct media_item){
		.media = row->media,
		.content = row->content,
		.server_name = cmd->server_name,
		.media_id = row->media_id,
		.content_type = row->content_type,
		.filename = row->filename,
		.size = row->size,
		.created_at = row->created_at,
		.uploader = row->uploader,
		.authenticated = row->authenticated,
		.quarantined = !str_is_none(row->quarantined_by),
	};
	memcpy(out->hash, row->hash.p, sizeof(out->hash));
	media_note_access(m, row->media);
	return NULL;
}

err *media_open(struct media *m, struct arena *a, const struct media_item *item, int *out_fd)
{
	TRY(files_open(m->files, a, item->content, item->hash, out_fd));
	if (*out_fd >= 0)
		return NULL;
	log_warn(m->opt.log, "a file of the content repository is not there", F("media_id", item->media_id),
		 F("content", item->content));
	return not_found(a);
}

/*
 * Reading
 */
struct source {
	int fd;
	int64_t at, left;
};

static err *source_fill(void *source, struct arena *a, char *p, size_t max, size_t *out_n)
{
	struct source *s = source;
	ssize_t n;

	do
		n = pread(s->fd, p, (size_t)MIN((int64_t)max, s->left), s->at);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return err_new(a, ERR_STORE, "media: reading: %s", n < 0 ? strerror(errno) : "the file is too short");
	s->at += n;
	s->left -= n;
	*out_n = (size_t)n;
	return NULL;
}

static void source_drop(void *source)
{
	struct source *s = source;

	close(s->fd);
	mem_free(s);
}

const struct source_ops media_source_ops = { source_fill, source_drop };

void *media_source(int fd, int64_t from, int64_t length)
{
	struct source *s = MEM_NEW(struct source);

	assert(fd >= 0 && from >= 0 && length >= 0);
	*s = (struct source){ fd, from, length };
	return s;
}
