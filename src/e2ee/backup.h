/*
 * backup.h - keys of rooms, encrypted by a client and kept for the user's other devices.
 * Client-Server API, "Server-side key backups".
 *
 * A user has versions of backups; keys are added to the newest alone. Its etag changes if and only if its keys do.
 */
#pragma once

#include "e2ee/e2ee.h"
#include "json/writer.h"

enum {
	BACKUP_VERSIONS_MAX = 100,          /* of a user, at once */
	BACKUP_ALGORITHM_MAX = 255,         /* bytes */
	BACKUP_AUTH_DATA_MAX = 64 << 10,    /* bytes */
	BACKUP_KEYS_PER_REQUEST_MAX = 5000, /* stored at once */
	BACKUP_KEYS_MAX = 500000,           /* of a user, in all versions */
	BACKUP_BYTES_MAX = 512 << 20,       /* of session_data of a user, in all versions: 1 KiB for each of the keys */
	BACKUP_SESSION_DATA_MAX = 16 << 10, /* bytes of one key's session_data */
};

struct backup_version {
	str version, algorithm;
	str auth_data; /* JSON */
	str etag;
	int64_t count; /* keys */
};
/* Of an algorithm that the server need not know. ERR_RESOURCE_LIMIT: the user has BACKUP_VERSIONS_MAX. */
NODISCARD err *backup_create(struct e2ee *e, struct arena *a, int64_t user, str algorithm, str auth_data,
			     str *out_version);
/* STR_NONE: the newest. ERR_NOT_FOUND. */
NODISCARD err *backup_get(struct e2ee *e, struct arena *a, int64_t user, str version, struct backup_version *out);
/* ERR_NOT_FOUND; ERR_INVALID_PARAM: another algorithm than the version has. */
NODISCARD err *backup_update(struct e2ee *e, struct arena *a, int64_t user, str version, str algorithm, str auth_data);
/* Good, too, when it was deleted before; ERR_NOT_FOUND when it never was. */
NODISCARD err *backup_delete(struct e2ee *e, struct arena *a, int64_t user, str version);

struct backup_key {
	str room_id, session_id;
	int64_t first_message_index, forwarded_count;
	bool is_verified;
	str session_data; /* JSON */
};
/* Which of two keys of one session is kept: the new one? */
bool backup_key_wins(const struct backup_key *new_key, const struct backup_key *old_key);

/* What changing keys answers. */
struct backup_state {
	str etag;
	int64_t count;
};
/*
 * Adds keys, each of another session, where they win. In pieces when they are many: what was added before a failure
 * stays, and adding it again changes nothing. ERR_NOT_FOUND; ERR_WRONG_ROOM_KEYS_VERSION: not the newest version;
 * ERR_RESOURCE_LIMIT: the user would have more than BACKUP_KEYS_MAX, or BACKUP_BYTES_MAX.
 */
NODISCARD err *backup_put_keys(struct e2ee *e, struct arena *a, int64_t user, str version,
			       const struct backup_key *keys, size_t n, struct backup_state *out);
/* All keys; those of a room; that of a session. None there is no error. ERR_NOT_FOUND: no such version. */
NODISCARD err *backup_delete_keys(struct e2ee *e, struct arena *a, int64_t user, str version, str room_id,
				  str session_id, struct backup_state *out);

/* In arena a; *out is NULL when there is none. ERR_NOT_FOUND: no such version. */
NODISCARD err *backup_get_key(struct e2ee *e, struct arena *a, int64_t user, str version, str room_id, str session_id,
			      const struct backup_key **out);
/* Into the object that the writer is in. */
void backup_key_members(struct jw *w, const struct backup_key *k);

/*
 * Reads all keys, or those of a room, as the text {"rooms":{...}} or {"sessions":{...}}: piece by piece, each a
 * snapshot of its own. Keys that come or go meanwhile are in the text or not; the others are.
 */
struct backup_reader;
enum { BACKUP_PAGE_MAX = 1 << 20 }; /* bytes of a piece; where names are not made of escapes, some 100 KiB */
NODISCARD err *backup_reader_new(struct e2ee *e, struct arena *a, int64_t user, str version, str room_id,
				 struct backup_reader **out);
void backup_reader_free(struct backup_reader **r);
#define AUTO_BACKUP_READER CLEANUP(backup_reader_free) struct backup_reader *
/* Writes the next piece, of at least one byte; *out_more is false with the last one. */
NODISCARD err *backup_read(struct backup_reader *r, struct arena *a, struct buf *out, bool *out_more);

/* The account is closed: its backups go with it. */
NODISCARD err *backup_forget_user(struct e2ee *e, struct arena *a, int64_t user);
/* What was deleted is swept away by a thread, from its start on; kicked by what deletes. */
void backup_sweeping_start(struct e2ee *e);
void backup_sweeping_stop(struct e2ee *e);
