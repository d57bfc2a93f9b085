/* uia.h - rows of user-interactive authentication: found by the hash of the session's id, contents sealed by user/. */
#pragma once

#include "store/store.h"

struct uia_row {
	int64_t user; /* 0: nobody is logged in */
	str sealed;
	str registration_token; /* STR_NONE: none is held */
	int64_t result;         /* the account that the session made; 0: none */
	int64_t created_at, expires_at;
};

/* Clears expired sessions, and the user's oldest beyond `max` (0: not this time; that walks `max` rows of an index). */
NODISCARD err *store_uia_add(struct tx *tx, str hash, const struct uia_row *row, int64_t max);
/* NULL in *out when there is none, or it has expired. */
NODISCARD err *store_uia_get(struct tx *tx, str hash, int64_t now, const struct uia_row **out);
NODISCARD err *store_uia_update(struct tx *tx, str hash, str sealed, str registration_token);
NODISCARD err *store_uia_set_result(struct tx *tx, str hash, str sealed, int64_t user);
NODISCARD err *store_uia_delete(struct tx *tx, str hash);
/* Those that the user asked for, and the one that made the account. */
NODISCARD err *store_uia_delete_user(struct tx *tx, int64_t user);
