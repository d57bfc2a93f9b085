/* key_answers.h - keys of users and devices in answers, to clients as to servers. */
#pragma once

#include "e2ee/keys_query.h"
#include "e2ee/one_time_keys.h"
#include "json/writer.h"

/* One-time keys that were claimed and found, as members of an object that is begun: keys by device id by user id. */
void claims_write(struct jw *w, struct arena *a, const struct key_claim *list, size_t n);

/* A user's cross-signing key as a member of an object that is begun; none for STR_NONE. */
void user_key_write(struct jw *w, str user_id, str key);
/* What everybody may see of users: master_keys and self_signing_keys. */
void user_keys_write(struct jw *w, const struct keys_answer *answer);
