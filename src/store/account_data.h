/* account_data.h - what clients keep for themselves, globally and per room (tags and read markers among it). */
#pragma once

#include "store/store.h"

struct account_data_row {
	int64_t room; /* 0: global */
	str type;
	int64_t stream;
	str content; /* a JSON object */
};

/* NULL: never set. */
NODISCARD err *store_account_data(struct tx *tx, int64_t user, int64_t room, str type, struct account_data_row **out);
/* All of the user's rows with above < stream <= upto, oldest first; room: 0 global, -1 every room and global. */
NODISCARD err *store_account_data_changed(struct tx *tx, int64_t user, int64_t room, int64_t above, int64_t upto,
					  struct account_data_row **out, size_t *out_n);
/* In a piece's `late`: gives the row its position, which keeps every other writer out until the commit, and then reads
 * what the row was before (NULL: not there). So what is decided by the old content is decided by the last one, in other
 * processes, too. */
NODISCARD err *store_account_data_begin(struct tx *tx, int64_t user, struct account_data_row *row,
					struct account_data_row **out_old);
/* After store_account_data_begin: stores it. */
NODISCARD err *store_account_data_set(struct tx *tx, int64_t user, const struct account_data_row *row);
/* How many rows the user has, for the limit. */
NODISCARD err *store_account_data_count(struct tx *tx, int64_t user, int64_t *out);

/* Push rules: STR_NONE and 0 when the user changed none. */
NODISCARD err *store_push_rules(struct tx *tx, int64_t user, str *out_rules, int64_t *out_stream);
/* In a piece's `late`: as store_account_data_begin. */
NODISCARD err *store_push_rules_begin(struct tx *tx, int64_t user, str *out_rules, int64_t *out_stream);
/* Everybody who changed any. */
NODISCARD err *store_push_rules_owners(struct tx *tx, int64_t **out, size_t *out_n);
/* After store_push_rules_begin. */
NODISCARD err *store_push_rules_set(struct tx *tx, int64_t user, str rules, int64_t stream);

/* Filters. A text the user stored before keeps its number; of more than `max`, the oldest go. */
NODISCARD err *store_filter(struct tx *tx, int64_t user, int64_t filter, str *out_text); /* STR_NONE: none */
NODISCARD err *store_filter_add(struct tx *tx, int64_t user, str digest, str text, int64_t max, int64_t *out_filter);

/* All of the above, of who will never ask for it again: nobody is told. */
NODISCARD err *store_account_data_erase(struct tx *tx, int64_t user);
