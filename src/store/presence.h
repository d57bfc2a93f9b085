/*
 * presence.h - what users last said of themselves, so that a restart does not forget it.
 *
 * Written now and then; what is newer is in memory (presence/).
 */
#pragma once

#include "store/store.h"

struct presence_row {
	int64_t user, state;
	str status_msg;      /* STR_NONE: none */
	int64_t last_active; /* ms since 1970; 0: never */
	int64_t changed;     /* ms since 1970 */
};

/* No user twice. */
NODISCARD err *store_presence_save(struct tx *tx, const struct presence_row *rows, size_t n);
NODISCARD err *store_presence_delete(struct tx *tx, int64_t user);
NODISCARD err *store_presence_of(struct tx *tx, int64_t user, struct presence_row **out); /* NULL: none */
/* Those whose state is not `but`, and those that changed after `since`: the newest `most`. */
NODISCARD err *store_presence_recent(struct tx *tx, int64_t but, int64_t since, size_t most, struct presence_row **out,
				     size_t *out_n);
