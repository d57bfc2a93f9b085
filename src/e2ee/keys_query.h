/*
 * keys_query.h - POST /keys/query: the keys of devices and of users, as one asker may see them.
 *
 * Two statements for all users together whose keys are known since they changed last; four for others (and one more
 * for an asker who has signed many).
 */
#pragma once

#include "e2ee/e2ee.h"
#include "json/json.h"

struct queried_user {
	str user_id;
	str devices;                            /* JSON: an object by device id, as the answer has it */
	str master, self_signing, user_signing; /* JSON; STR_NONE: none, or none of the asker's business */
	/* private */
	int64_t user;
	const struct json *asked; /* a list of device ids; empty: all */
	struct shown_device *listed;
	size_t n, room;
};
/* A user of another server whose keys are not here: remote_keys.h asks for them. */
struct absent_user {
	str user_id;
	const struct json *asked;
	int64_t user; /* 0: never heard of */
	bool shares;  /* a room with us */
	bool is_old;  /* there are keys here, but they may have changed since */
};
struct keys_answer {
	struct queried_user *users; /* those who are known here, and ours, known or not */
	size_t n;
	struct absent_user *absent;
	size_t n_absent;
	const str *unreachable; /* servers whose users were asked for, and who did not answer */
	size_t n_unreachable;
};
/* `device_keys` of the request: lists of device ids by user id. ERR_BAD_JSON. The asker 0: another server, who is told
 * of our users alone. */
NODISCARD err *e2ee_keys_query(struct e2ee *e, struct arena *a, int64_t asker, str asker_id,
			       const struct json *device_keys, struct keys_answer *out);
/* What is here of these users, new or old, is added to the answer. is_old is found anew: who shares no room any more
 * has nothing here, which is not to be shown as a list without devices. */
NODISCARD err *e2ee_keys_here(struct e2ee *e, struct arena *a, int64_t asker, str asker_id, struct absent_user *users,
			      size_t n, struct keys_answer *out);
