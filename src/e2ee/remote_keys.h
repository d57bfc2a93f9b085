/*
 * remote_keys.h - keys of other servers' users, asked for on behalf of ours. Server-Server API, "End-to-End
 * Encryption".
 *
 * Waits for other servers until the deadline (clock_mono_us); who did not answer is in `unreachable`.
 */
#pragma once

#include "e2ee/keys_query.h"
#include "e2ee/one_time_keys.h"

/* Fills in who is absent from an answer of e2ee_keys_query. */
NODISCARD err *remote_keys_query(struct e2ee *e, struct arena *a, int64_t asker, str asker_id,
				 struct keys_answer *answer, int64_t deadline_us);
/* Claims for other servers' users (key_claims_read has them in `remote`), as they answered. */
NODISCARD err *remote_keys_claim(struct e2ee *e, struct arena *a, struct key_claims *claims, int64_t deadline_us);
