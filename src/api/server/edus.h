/*
 * edus.h - what comes beside the events of a transaction, by type.
 *
 * Server-Server API, "EDUs". A type that is not in the table (edus.c) is left aside. `origin` is the server that signed
 * the transaction, and the only authority: a handler looks at every user, device and room that the content names before
 * it believes anything. The content is hostile: a handler bounds what it takes of it.
 */
#pragma once

#include "api/services.h"
#include "base/arena.h"

struct edu {
	struct arena *arena; /* gone with the request */
	const struct services *services;
	const struct log *log;
	str origin, type;
	const struct json *content; /* an object */
};
/*
 * NULL: taken, or ignored as it deserves. An error that says that this server could not (ERR_STORE, ERR_BUSY) fails the
 * transaction, so that it is sent again: what is durable (messages to devices, device lists) is not lost. Any other
 * error is counted, and costs this EDU alone.
 */
typedef err *edu_handler(const struct edu *edu);

/* Those with a file of their own: api/server/edu_*.c. */
edu_handler edu_typing, edu_receipt, edu_presence, edu_device_list, edu_signing_key, edu_to_device;

enum { EDUS_MAX = 100 }; /* "they can have at most 50 PDUs and 100 EDUs" */
/* All of a transaction, in order. */
NODISCARD err *edus_take(struct req *rq, const struct json *edus);
