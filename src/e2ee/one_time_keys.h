/*
 * one_time_keys.h - keys that begin one conversation each, and the fallback keys that stand in when they have run out.
 * Client-Server API, "One-time and fallback keys".
 *
 * A one-time key is given to one claimer, and is durably gone before the claimer has it. The oldest upload goes first.
 */
#pragma once

#include "e2ee/e2ee.h"
#include "json/json.h"

struct tx;

/* What /keys/upload answers and /sync tells the device, by algorithm. */
struct key_count {
	str algorithm; /* "signed_curve25519" */
	int64_t n;
};
struct key_counts {
	const struct key_count *one_time; /* in order of algorithms; none with n == 0 */
	size_t n_one_time;
	const str *unused_fallback; /* algorithms whose fallback key was not given out yet */
	size_t n_unused_fallback;
	size_t n_algorithms; /* of any key that the device has here */
};
/*
 * As the snapshot has them; in arena a. One statement.
 *
 * Whatever changes a device's counts (an upload, a claim) touches its user with BUS_TO_DEVICE at a position of its
 * own, so that a waiting /sync wakes and reads them; it is no change of the user's device list, and no row of
 * device_lists is written for it.
 */
NODISCARD err *e2ee_key_counts(struct tx *tx, struct arena *a, int64_t user, str device_id, struct key_counts *out);

/* Somebody asks for one key of a device. */
struct key_claim {
	int64_t user; /* 0: of another server */
	str user_id, device_id, algorithm;
	/* set, in the caller's arena */
	bool found;
	str key_id, key; /* key: JSON */
};
struct key_claims {
	struct key_claim *p; /* those of a user stand together; of this server */
	size_t n;
	struct key_claim *remote; /* the same, of other servers: remote_keys_claim asks for them */
	size_t n_remote;
	const str *unreachable; /* servers whose users were asked for, and who did not answer */
	size_t n_unreachable;
};
/* What POST /keys/claim has as `one_time_keys`: algorithms by device id by user id. ERR_BAD_JSON. Users who are not
 * known have no claims. */
NODISCARD err *key_claims_read(struct e2ee *e, struct arena *a, const struct json *by_user, struct key_claims *out);
/* Every key is durably this caller's when it returns; when it fails, keys may have been taken for nobody. */
NODISCARD err *e2ee_keys_claim(struct e2ee *e, struct arena *a, struct key_claims *claims);
