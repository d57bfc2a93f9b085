/*
 * one_time_keys.h - keys that begin one conversation each, and the fallback keys that stand in when they have run out.
 * Client-Server API, "One-time and fallback keys".
 *
 * A one-time key is given to one claimer, and is durably gone before the claimer has it. The oldest upload goes first.
 */
#pragma once

#include "e2ee/e2ee.h"

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
};
/*
 * As the snapshot has them; in its arena. One statement.
 *
 * Whatever changes a device's counts (an upload, a claim) touches its user with BUS_TO_DEVICE at a position of its
 * own, so that a waiting /sync wakes and reads them; it is no change of the user's device list, and no row of
 * device_lists is written for it.
 */
NODISCARD err *e2ee_key_counts(struct tx *tx, int64_t user, str device_id, struct key_counts *out);
