/*
 * e2ee.h - what end-to-end encryption asks of the server, as one service for the server's whole life.
 *
 * Its doors: e2ee/device_keys.h, e2ee/one_time_keys.h, e2ee/cross_signing.h and e2ee/signatures.h (keys that devices
 * and users publish), e2ee/device_lists.h (who has to know that they changed), e2ee/to_device.h (messages between
 * devices), e2ee/backup.h and e2ee/dehydrated.h. Everything that it knows is in the store.
 */
#pragma once

#include "base/log.h"
#include "store/store.h"

struct bus;
struct e2ee;

struct e2ee_options {
	struct store *store;
	struct bus *bus;
	const struct log *log;
	str server_name; /* borrowed, as are the rest */
};

/* Thread-safe; the options are copied. */
struct e2ee *e2ee_new(const struct e2ee_options *opt);
void e2ee_free(struct e2ee **e);
