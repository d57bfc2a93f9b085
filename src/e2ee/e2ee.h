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
	str server_name;        /* borrowed, as are the rest */
	bool tell_device_names; /* other servers see what our users call their devices */
};

struct fed;
struct outbox;
/* From now on other servers are asked and told. Before that, their users cannot be reached. Starts threads;
 * e2ee_leave_federation ends them, before what they use is freed. */
NODISCARD err *e2ee_federate(struct e2ee *e, struct arena *a, struct fed *fed, struct outbox *outbox);
void e2ee_leave_federation(struct e2ee *e);

/* Thread-safe; the options are copied. */
struct e2ee *e2ee_new(const struct e2ee_options *opt);
void e2ee_free(struct e2ee **e);
