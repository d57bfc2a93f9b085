/*
 * tokens.h - rows of what a client shows to be let in: access, refresh and one-time tokens.
 *
 * Only hashes are stored (SHA-256 of the token, 32 bytes). Strings in results live in the transaction's arena.
 */
#pragma once

#include "store/store.h"

struct token_row {
	int64_t id, user;
	str device_id;
	int64_t expires_at;   /* 0: never */
	int64_t validated_at; /* when its holder last showed a password */
	int64_t refresh_id;   /* 0: it cannot be refreshed */
	/* read only: from its refresh token, device and account */
	int64_t previous_id; /* not 0: this token was never used; the refresh token before its own is still good */
	int64_t seen_at;     /* of its device */
	str user_id;
	bool is_admin, is_guest, is_locked, is_suspended;
};

NODISCARD err *store_token_add(struct tx *tx, const struct token_row *row, str hash, int64_t now);
NODISCARD err *store_token_find(struct tx *tx, str hash, const struct token_row **out);
NODISCARD err *store_token_set_validated(struct tx *tx, int64_t id, int64_t now);
NODISCARD err *store_token_validated(struct tx *tx, int64_t id, int64_t *out); /* 0: no such token */

struct refresh_row {
	int64_t id, user;
	str device_id;
	int64_t expires_at, session_expires_at; /* 0: never */
	int64_t previous_id;
};

NODISCARD err *store_refresh_add(struct tx *tx, const struct refresh_row *row, str hash);
NODISCARD err *store_refresh_find(struct tx *tx, str hash, const struct refresh_row **out);
/* "The old refresh token remains valid until the new access token or refresh token is used": refresh token `id` or its
 * access token was used, so `previous_id`, its other successors, and their access tokens end. Nothing when `id` is no
 * successor of it. */
NODISCARD err *store_refresh_confirm(struct tx *tx, int64_t id, int64_t previous_id);
/* Keeps the newest `keep` successors of a refresh token that nobody used yet. */
NODISCARD err *store_refresh_trim(struct tx *tx, int64_t previous_id, int64_t keep);

/* Every token of a device: it is logged in anew. */
NODISCARD err *store_tokens_delete_device(struct tx *tx, int64_t user, str device_id);

/* In the database: numbers stay what they are. */
enum one_time_kind { ONE_TIME_LOGIN = 1, ONE_TIME_NONCE = 2, ONE_TIME_OPENID = 3 /* that one may be shown again */ };

/* At most `max` of a kind per user: the ones that end first make room. Expired ones of everybody are cleared. False in
 * *out_added when it is there already. */
NODISCARD err *store_one_time_add(struct tx *tx, enum one_time_kind kind, int64_t user, str hash, int64_t expires_at,
				  int64_t now, int64_t max, bool *out_added);
/* Uses it up. *out_user is -1 when it is not there, or expired. */
NODISCARD err *store_one_time_take(struct tx *tx, enum one_time_kind kind, str hash, int64_t now, int64_t *out_user);
/* The same, and it stays. */
NODISCARD err *store_one_time_find(struct tx *tx, enum one_time_kind kind, str hash, int64_t now, int64_t *out_user);
NODISCARD err *store_one_time_delete_user(struct tx *tx, int64_t user);
