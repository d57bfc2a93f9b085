/*
 * key_backup.h - server-side backups of room keys: their versions, and the keys in them.
 *
 * A backup's keys lie under its number and their room's slot, so that deleting many is one row here and sweeping later
 * (store_key_backup_sweep). Whatever writes here runs in shard 0, as store/device_keys.h, so that what is read and
 * written in one piece is of one moment. Strings in results live in the transaction's arena.
 */
#pragma once

#include "store/tx.h"

struct key_backup_row {
	int64_t version, backup, etag, keys, slots;
	int64_t bytes; /* of its keys' session_data */
	str algorithm, auth_data;
	int64_t all_keys, all_bytes, all_versions; /* of all the user's backups */
};
/* version 0: the newest. *out is NULL when there is none. */
NODISCARD err *store_key_backup(struct tx *tx, int64_t user, int64_t version, const struct key_backup_row **out);
/* The highest version that the user ever made; 0: none. */
NODISCARD err *store_key_backup_last(struct tx *tx, int64_t user, int64_t *out);
/* `backup` is a new number; the version is given here, by counting. */
NODISCARD err *store_key_backup_add(struct tx *tx, int64_t user, int64_t backup, str algorithm, str auth_data,
				    int64_t *out_version);
NODISCARD err *store_key_backup_set_auth_data(struct tx *tx, int64_t user, int64_t version, str auth_data);
/* Number, etag, keys, bytes and slots as the row has them. */
NODISCARD err *store_key_backup_set(struct tx *tx, int64_t user, const struct key_backup_row *row);
/* With all its keys. */
NODISCARD err *store_key_backup_delete(struct tx *tx, int64_t user, const struct key_backup_row *row);
/* Every version, as when the account is closed. Versions that will be made go on counting. */
NODISCARD err *store_key_backups_delete(struct tx *tx, int64_t user);
/* All keys of the backup (slot 0), or of the room in this slot, which nothing names any more, go in time. */
NODISCARD err *store_key_backup_give_up(struct tx *tx, int64_t backup, int64_t slot);

struct key_backup_room_row {
	int64_t slot, keys, bytes;
	str room;
};
/* Those of the rooms that are in the backup. */
NODISCARD err *store_key_backup_rooms(struct tx *tx, int64_t backup, struct strs rooms,
				      struct key_backup_room_row **out, size_t *out_n);
/* New ones, and the counts of those that are there. */
NODISCARD err *store_key_backup_rooms_save(struct tx *tx, int64_t backup, const struct key_backup_room_row *rows,
					   size_t n);
/* The room's row; its keys are to be given up. */
NODISCARD err *store_key_backup_room_delete(struct tx *tx, int64_t backup, int64_t slot);

struct key_backup_key_row {
	int64_t slot;
	str room, session; /* room: set by reading pages alone */
	int64_t first_message_index, forwarded_count;
	bool is_verified;
	str session_data;
};
/* Which of the keys' sessions are there: `place` is the index of the one asked for; of session_data only
 * the size is read. */
struct key_backup_found_row {
	int64_t place, first_message_index, forwarded_count, bytes;
	bool is_verified;
};
NODISCARD err *store_key_backup_keys_find(struct tx *tx, int64_t backup, const struct key_backup_key_row *keys,
					  size_t n, struct key_backup_found_row **out, size_t *out_n);
/* Over those that are there. No session twice. */
NODISCARD err *store_key_backup_keys_save(struct tx *tx, int64_t backup, const struct key_backup_key_row *keys,
					  size_t n);
/* *out_bytes: what its session_data took; -1: there is no such key. */
NODISCARD err *store_key_backup_key_delete(struct tx *tx, int64_t backup, int64_t slot, str session,
					   int64_t *out_bytes);
NODISCARD err *store_key_backup_key(struct tx *tx, int64_t backup, int64_t slot, str session,
				    const struct key_backup_key_row **out);
/* Up to max keys behind (slot, session) in that order, the last one that which fills max_bytes of session_data; of one
 * slot, or of all (only 0). */
NODISCARD err *store_key_backup_page(struct tx *tx, int64_t backup, int64_t only, int64_t slot, str session, size_t max,
				     size_t max_bytes, struct key_backup_key_row **out, size_t *out_n);

/* Deletes at most max rows of what was given up; false in *out_more: nothing is left. */
NODISCARD err *store_key_backup_sweep(struct tx *tx, int64_t max, bool *out_more);
