/*
 * to_device.h - messages to devices. Client-Server API, "Send-to-Device messaging".
 *
 * Each local device has a queue in the store. All messages of one request have one stream position, and a device gets
 * one of them at most: user, device and position name a message. /sync hands a queue out from its beginning, a bounded
 * number at a time, and says in its token how far it came; what that token carried is deleted when it comes back.
 */
#pragma once

#include "e2ee/e2ee.h"
#include "json/json.h"

struct tx;

enum {
	TO_DEVICE_AT_ONCE = 100,          /* "100 messages is recommended as a reasonable limit" */
	TO_DEVICE_CONTENT_MAX = 64 << 10, /* bytes of one content: what a federation transaction can carry */
	TO_DEVICE_DEVICES_MAX = 10000,    /* reached by one request; it names as many users at most */
	TO_DEVICE_QUEUE_MAX = 10000,      /* messages that wait for one device; more, and some go: queue_bounds.c */
	TO_DEVICE_QUEUE_BYTES = 32 << 20, /* the same of their contents */
	TO_DEVICE_AGE_DAYS = 90,          /* what nobody fetched for so long goes */
};

struct to_device_cmd {
	int64_t sender;
	str sender_id, device_id; /* of who sends */
	str type;
	str txn_id, txn_path;        /* STR_NONE: not to be recognised when it is repeated */
	bool from_elsewhere;         /* of another server's user: only what is for ours counts */
	const struct json *messages; /* user id > device id or "*" > content */
};
/*
 * Stored, with its transaction, in one commit; a known transaction changes nothing and is good. Users and devices that
 * do not exist are passed over. What is for other servers' users goes into the outbox in that same commit.
 * ERR_BAD_JSON, ERR_TOO_LARGE, ERR_INVALID_PARAM.
 */
NODISCARD err *to_device_send(struct e2ee *e, struct arena *a, const struct to_device_cmd *cmd);

/* m.direct_to_device of a server that was authenticated: Server-Server API, "Send-to-device messaging". The same
 * message_id of the same sender is taken once. ERR_FORBIDDEN: the sender is not of that server. ERR_BAD_JSON. */
NODISCARD err *to_device_receive(struct e2ee *e, struct arena *a, str origin, const struct json *content);

/* What waits for a device, oldest first. */
struct to_device_message {
	str sender, type, content; /* content: JSON */
};
struct to_device_batch {
	const struct to_device_message *p;
	size_t n;
	int64_t upto; /* the device has everything up to here with this batch: `upto` asked for, or lower if more wait
		       */
};
/*
 * Those with above < position <= upto, TO_DEVICE_AT_ONCE at most, in the transaction's arena. What was acknowledged
 * lately and is not deleted yet does not come again, even with above = 0.
 */
NODISCARD err *to_device_waiting(struct e2ee *e, struct tx *tx, int64_t user, str device_id, int64_t above,
				 int64_t upto, struct to_device_batch *out);
/*
 * The device came back with a token that says it has everything up to there. No SQL here: what was handed out is
 * deleted a little later, many devices in one commit.
 */
void to_device_acknowledge(struct e2ee *e, int64_t user, str device_id, int64_t upto);
/* Where memory may have forgotten what was handed out (a restart): the store says whether something is left over. */
NODISCARD err *to_device_acknowledge_left(struct e2ee *e, struct tx *tx, int64_t user, str device_id, int64_t upto);
/* What was acknowledged so far is queued for deletion now: before the store closes. */
void to_device_flush(struct e2ee *e);
