/*
 * media.h - the content repository: files found by mxc:// URI. Client-Server API, "Content repository".
 *
 * A file is stored once, by the hash of its content (media/files.h); an *item* is what a URI leads to. Everything that
 * reads an item finds it first: media_find is the one place that knows what may be seen (quarantine, the freeze of the
 * endpoints without login, expiry), and media_open takes what it gave.
 */
#pragma once

#include "base/err.h"
#include "base/log.h"

struct bus;
struct store;
struct media;
struct source_ops;

/* At most so many bytes by one user in so much time; what is beyond it is answered with info_uri (STR_NONE: the
 * server's own address). */
struct media_limit {
	int64_t max_bytes, period_ms;
	str info_uri;
	bool can_upgrade;
};
struct media_options { /* borrowed for the life of the service */
	struct store *store;
	struct bus *bus;
	const struct log *log;
	str server_name;
	str dir; /* made where it is missing */
	int64_t max_upload_size;
	bool open; /* enable_authenticated_media: false. What is uploaded now stays open to everybody */
	int64_t unused_expiration_ms;
	int64_t max_pending;
	const struct media_limit *limits;
	size_t n_limits;
	bool no_keeper; /* no thread looks after things: for tests, which call media_keep */
};
/* Also takes up what the last run left behind. */
NODISCARD err *media_new(struct arena *a, const struct media_options *opt, struct media **out);
void media_free(struct media **m);
const struct media_options *media_options(const struct media *m);

enum {
	MEDIA_MAX_FILENAME = 1024, /* bytes */
	MEDIA_MAX_TYPE = 255,
	MEDIA_MAX_WAIT_MS = 60000, /* of timeout_ms */
	MEDIA_MAX_UPLOADS = 32,    /* of one user at a time: what is not whole yet counts in no limit */
};

/*
 * Uploads
 */
struct media_upload_cmd {
	int64_t user; /* 0: nobody, where the server itself keeps something */
	str user_id;
	str content_type; /* STR_NONE, or what is none: application/octet-stream */
	str filename;     /* STR_NONE: none */
	int64_t length;   /* as announced; -1: unknown */
	str media_id;     /* STR_NONE: a new item; else one that media_create made */
	str origin;       /* STR_NONE: this server; else a copy of that server's item, media_id */
};
struct media_upload;
/* ERR_TOO_LARGE, ERR_USER_LIMIT, ERR_LIMIT_EXCEEDED (MEDIA_MAX_UPLOADS), ERR_BUSY, ERR_INVALID_PARAM; of one that was
 * created: ERR_NOT_FOUND (none such, or expired), ERR_FORBIDDEN (another user's), ERR_CANNOT_OVERWRITE_MEDIA. */
NODISCARD err *media_upload_begin(struct media *m, struct arena *a, const struct media_upload_cmd *cmd,
				  struct media_upload **out);
/* The next bytes, any number. ERR_TOO_LARGE, ERR_DISK_FULL. */
NODISCARD err *media_upload_take(struct media_upload *up, struct arena *a, str bytes);
/* On disk when it returns. *out_mxc: its URI, in a. The upload is to be dropped afterwards all the same. */
NODISCARD err *media_upload_end(struct media_upload *up, struct arena *a, str *out_mxc);
/* Unless it was ended well, nothing remains of it. NULL and a NULL upload are fine. */
void media_upload_drop(struct media_upload **up);
/* All at once. */
NODISCARD err *media_put(struct media *m, struct arena *a, const struct media_upload_cmd *cmd, str bytes, str *out_mxc);
/* A URI to upload to later: until *out_expires_at. ERR_LIMIT_EXCEEDED: too many of the user's wait already. */
NODISCARD err *media_create(struct media *m, struct arena *a, int64_t user, str *out_mxc, int64_t *out_expires_at);

/*
 * Items
 */
struct media_item {
	int64_t media, content; /* content: same number, same bytes; what is made of them hangs on it */
	str server_name, media_id;
	str content_type; /* never empty */
	str filename;     /* STR_NONE: none */
	int64_t size;
	uint8_t hash[32]; /* SHA-256 */
	int64_t created_at, uploader;
	bool authenticated; /* younger than the freeze */
	bool quarantined;
};
struct media_find_cmd {
	str server_name, media_id;
	bool legacy;           /* asked without login: what is younger than the freeze is not there */
	bool quarantined_also; /* for administrators */
};
/* Where an item is not uploaded yet: req_park on user and seq, and ask again. */
struct media_wait {
	int64_t user;
	uint64_t seq;
};
/* ERR_NOT_FOUND: no such item, or not for this reader, or its time to be uploaded is over; ERR_NOT_YET_UPLOADED: *wait
 * (or NULL) says how to wait. ERR_INVALID_PARAM: no server's name. Strings in a. Counts as an access. */
NODISCARD err *media_find(struct media *m, struct arena *a, const struct media_find_cmd *cmd, struct media_wait *wait,
			  struct media_item *out);
bool media_is_local(const struct media *m, str server_name);
/* Its bytes, to read from; the caller closes. ERR_NOT_FOUND: it was deleted meanwhile; ERR_BUSY: too many files are
 * open. */
NODISCARD err *media_open(struct media *m, struct arena *a, const struct media_item *item, int *out_fd);
/* `length` bytes of an open file from `from` on, for reply_stream; closes fd in the end. */
void *media_source(int fd, int64_t from, int64_t length);
extern const struct source_ops media_source_ops;

/*
 * For administrators, and for what spans users: functions that forget
 */
/* The item, and all others of the same bytes, also future ones. `by`: a user id. ERR_NOT_FOUND. */
NODISCARD err *media_quarantine(struct media *m, struct arena *a, str server_name, str media_id, str by);
NODISCARD err *media_unquarantine(struct media *m, struct arena *a, str server_name, str media_id);
/* A protected item is not quarantined. */
NODISCARD err *media_protect(struct media *m, struct arena *a, str media_id, bool is_protected);
/* The item goes now; its bytes when nothing refers to them any more. ERR_NOT_FOUND. */
NODISCARD err *media_delete(struct media *m, struct arena *a, str server_name, str media_id);
/* All that a user uploaded. */
NODISCARD err *media_delete_user(struct media *m, struct arena *a, int64_t user, int64_t *out_n);
/* What the keeper's thread does every minute, and when something was deleted: accesses are noted, expired items
 * dropped, unused contents swept. One thread at a time. */
NODISCARD err *media_keep(struct media *m, struct arena *a);
