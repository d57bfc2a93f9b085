/*
 * preview.h - what is behind an address: previews of pages. Client-Server API, "GET
 * /_matrix/client/v1/media/preview_url".
 *
 * Nobody waits in here. previews_get answers from the table of what was found lately, or sets a thread of this service
 * to work and says how to wait; all who ask about one address wait for the same work. A user who asks for much gets his
 * turns beside others, not before them.
 */
#pragma once

#include "base/err.h"
#include "base/log.h"
#include "http/client.h"

struct bus;
struct media;
struct previews;
struct store;

struct previews_options { /* borrowed for the life of the service */
	struct store *store;
	struct bus *bus;
	struct media *media;
	struct client *client;
	const struct log *log;
	struct client_nets nets;
	str url_rules;       /* JSON, preview_rules.h; STR_NONE: none */
	size_t max_bytes;    /* of a page or an image */
	str accept_language; /* STR_NONE: none */
	str user_agent;      /* STR_NONE: the client's */
	bool no_known_providers;
	const str *provider_lists; /* texts, preview_oembed.h */
	size_t n_provider_lists;
	int64_t timeout_ms; /* for one address, with all that it leads to; 0: 30 s */
};
NODISCARD err *previews_new(struct arena *a, const struct previews_options *opt, struct previews **out);
/* The client was stopped before: what is under way ends at once. */
void previews_free(struct previews **pv);

struct preview_wait { /* req_park on user and seq, and ask again */
	int64_t user;
	uint64_t seq;
};
/*
 * The preview of `url` as it was at `ts` (milliseconds since 1970), or is now: a JSON object, in a; STR_NONE: not known
 * yet, wait. ERR_INVALID_PARAM: no http or https URL; ERR_FORBIDDEN: not to be fetched; ERR_CONNECTION_FAILED: it could
 * not be had (why is in the log alone: whoever asks is not told what answers in the server's own network);
 * ERR_LIMIT_EXCEEDED: the user has too many under way; ERR_BUSY.
 */
NODISCARD err *previews_get(struct previews *pv, struct arena *a, int64_t user, str url, int64_t ts, str *out_json,
			    struct preview_wait *wait);
