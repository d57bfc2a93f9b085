/*
 * users.h - rows of accounts and registration tokens, for the services of user/.
 *
 * Functions with a `struct tx` run inside a piece or a snapshot of the caller. Strings in results live in the
 * transaction's arena. "Not there" is NULL.
 */
#pragma once

#include "store/store.h"

struct account_row {
	int64_t nid; /* of user_id */
	str user_id, password;
	bool is_admin, is_guest, is_locked, is_suspended;
	int64_t created_at, deactivated_at;
};

/* False in *out_added when the user id has an account already. */
NODISCARD err *store_account_add(struct tx *tx, const struct account_row *row, str folded, bool *out_added);
NODISCARD err *store_account_get(struct tx *tx, int64_t nid, const struct account_row **out);
NODISCARD err *store_account_find(struct tx *tx, str user_id, const struct account_row **out);
/* The accounts whose folded id is this: usually one; several only when capitals came from elsewhere. At most max. */
NODISCARD err *store_accounts_folded(struct tx *tx, str folded, size_t max, struct account_row *out, size_t *out_n);
/* By user id, from the one after `after` on. */
NODISCARD err *store_accounts_list(struct tx *tx, str after, size_t max, struct account_row *out, size_t *out_n);
NODISCARD err *store_account_set_password(struct tx *tx, int64_t nid, str hash);
/* Only where the hash is still the old one: somebody may have set another password meanwhile. */
NODISCARD err *store_account_rehash(struct tx *tx, int64_t nid, str old_hash, str new_hash);
NODISCARD err *store_account_set_admin(struct tx *tx, int64_t nid, bool admin);
NODISCARD err *store_account_set_locked(struct tx *tx, int64_t nid, bool locked);
NODISCARD err *store_account_set_suspended(struct tx *tx, int64_t nid, bool suspended);
/* Password gone, deactivated_at set (an earlier date stays), erased remembered; the account is closing until
 * store_account_closed.
 */
NODISCARD err *store_account_deactivate(struct tx *tx, int64_t nid, int64_t now, bool erase);
/* Is what they sent to be shown as little as possible (deactivated with `erase`)? False, too, for who has no account.
 */
NODISCARD err *store_account_is_erased(struct tx *tx, int64_t nid, bool *out);
NODISCARD err *store_accounts_erased(struct tx *tx, int64_t **out, size_t *out_n); /* all of them */
NODISCARD err *store_account_closed(struct tx *tx, int64_t nid);
NODISCARD err *store_accounts_closing(struct tx *tx, size_t max, struct account_row *out, size_t *out_n);
NODISCARD err *store_policy_accept(struct tx *tx, int64_t nid, str policy, str version, int64_t now);

/*
 * Registration tokens
 */
struct registration_token_row {
	str token;
	int64_t uses_allowed; /* -1: any number */
	int64_t completed, pending;
	int64_t expires_at; /* 0: never */
};

NODISCARD err *store_registration_token_add(struct tx *tx, const struct registration_token_row *row, int64_t now,
					    bool *out_added);
/* With what is pending: registrations under way that hold it. */
NODISCARD err *store_registration_token_get(struct tx *tx, str token, int64_t now,
					    const struct registration_token_row **out);
NODISCARD err *store_registration_tokens_list(struct tx *tx, int64_t now, size_t max,
					      struct registration_token_row *out, size_t *out_n);
NODISCARD err *store_registration_token_update(struct tx *tx, str token, int64_t uses_allowed, int64_t expires_at);
NODISCARD err *store_registration_token_delete(struct tx *tx, str token, bool *out_deleted);
/* Counts one use. False when it is used up or gone. */
NODISCARD err *store_registration_token_use(struct tx *tx, str token, bool *out_used);
