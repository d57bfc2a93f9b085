/*
 * remote_lists.h - the devices and identity keys of other servers' users, as far as their servers keep us told.
 *
 * Server-Server API, "Device Management". A list is fetched whole when somebody asks for a user who shares a room with
 * us, and kept up with m.device_list_update from then on. An update that does not follow on what is here makes the list
 * stale; it is fetched again, at once and until it was had. Lists of users who share no room are nobody's to keep: they
 * are asked for each time (remote_keys.h).
 */
#pragma once

#include "e2ee/e2ee.h"
#include "json/json.h"

enum {
	REMOTE_LIST_BYTES_MAX = 4 << 20, /* of an answer */
	REMOTE_LISTS_MAX = 1000,         /* fetched for one request */
	REMOTE_LISTS_AT_ONCE = 50,       /* asked for */
};

/* EDUs of a server that was authenticated. ERR_FORBIDDEN: the user is not of that server. ERR_BAD_JSON. What is of no
 * concern here is good, and changes nothing. */
NODISCARD err *remote_list_update(struct e2ee *e, struct arena *a, str origin, const struct json *content);
NODISCARD err *remote_signing_key_update(struct e2ee *e, struct arena *a, str origin, const struct json *content);

/* Fetching these users' lists: the calls to make, at most one each (a list that somebody is fetching needs none);
 * making them, but for lists that came meanwhile, and taking each list as it comes; and what came of them. Whoever
 * prepares takes, too, which waits for the others' until the deadline (clock_mono_us). `at`: bus_position before they
 * were made. fetched: the list is here now. _ask_again: those that others fetched in vain. */
struct fed_call;
struct remote_user {
	int64_t user;
	str user_id;
	bool fetched;
	/* private */
	bool waits;
	struct fetching *fetching;
};
NODISCARD size_t remote_lists_prepare(struct e2ee *e, struct arena *a, struct remote_user *users, size_t n,
				      struct fed_call *calls);
struct remote_lists_asking {
	struct remote_user *users;
	size_t n;
	struct fed_call *calls; /* of remote_lists_prepare */
	size_t n_calls;
	struct fed_call *others; /* made at the same time */
	size_t n_others;
	int64_t at;
};
void remote_lists_ask(struct e2ee *e, struct arena *a, const struct remote_lists_asking *k, int64_t deadline_us);
void remote_lists_take(struct e2ee *e, struct arena *a, struct remote_user *users, size_t n,
		       const struct fed_call *calls, int64_t at, int64_t deadline_us);
NODISCARD err *remote_lists_ask_again(struct e2ee *e, struct arena *a, struct remote_user *users, size_t n,
				      int64_t deadline_us);

/* Deletes the lists of who shares no room with us any more. */
NODISCARD err *remote_lists_sweep(struct e2ee *e, struct arena *a); /* a: for nothing else */
/* Somebody left a room: there may be such lists. Any thread, quick; it is done once an hour at most. */
void remote_lists_left(struct e2ee *e);

/* A thread that fetches stale lists again, and sweeps. Stop: before fed is freed. */
void remote_lists_start(struct e2ee *e);
void remote_lists_stop(struct e2ee *e);
