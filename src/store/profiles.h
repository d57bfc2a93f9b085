/* profiles.h - what users say of themselves, and the words by which the user directory finds them. */
#pragma once

#include "store/store.h"

struct profile_field {
	str field, value; /* value: JSON */
};

NODISCARD err *store_profile(struct tx *tx, int64_t user, struct profile_field **out, size_t *out_n);
NODISCARD err *store_profile_field(struct tx *tx, int64_t user, str field, str *out_value); /* STR_NONE: not set */
NODISCARD err *store_profile_set(struct tx *tx, int64_t user, str field, str value);
NODISCARD err *store_profile_unset(struct tx *tx, int64_t user, str field);
NODISCARD err *store_profile_erase(struct tx *tx, int64_t user);

/* The spread of a new name or avatar into the user's rooms: begun (again) from the first room, moved on, ended. */
struct spread_row {
	int64_t user, room, turn;
};
NODISCARD err *store_spread_begin(struct tx *tx, int64_t user);
/* Both do nothing when the profile has changed again since the row was read. */
NODISCARD err *store_spread_reached(struct tx *tx, const struct spread_row *at);
NODISCARD err *store_spread_end(struct tx *tx, const struct spread_row *at);
NODISCARD err *store_spreads(struct tx *tx, struct spread_row **out, size_t *out_n);

/* Replaces the user's words. */
NODISCARD err *store_user_words_set(struct tx *tx, int64_t user, const str *words, size_t n);
/* Users that have a word which begins with `prefix` (not empty), at most `limit`, by number. */
NODISCARD err *store_users_by_word(struct tx *tx, str prefix, size_t limit, int64_t **out, size_t *out_n);
/* Of these users, those that have one, by number. */
NODISCARD err *store_users_with_word(struct tx *tx, str prefix, const int64_t *users, size_t n, int64_t **out,
				     size_t *out_n);
/* Of these users, those in a room that `viewer` is joined to, or in a room whose join rule is public or whose history
 * anyone may read. */
NODISCARD err *store_users_visible(struct tx *tx, int64_t viewer, const int64_t *users, size_t n, int64_t **out,
				   size_t *out_n);
