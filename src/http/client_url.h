/* client_url.h - http and https addresses, taken apart by the library that will use them. */
#pragma once

#include "base/err.h"

struct client_url {
	str text; /* normalised: what is asked for, without a fragment */
	bool tls;
	str host; /* in small letters, punycode, IPv4 in its usual form, no brackets */
	uint16_t port;
	str path, query, fragment; /* query and fragment STR_NONE: none */
	str origin;                /* "https://host:port" */
};
/* ERR_INVALID_PARAM: no http or https URL, credentials in it, no host, too long, control characters. */
NODISCARD err *client_url_parse(struct arena *a, str text, struct client_url *out);
/* The same, and path and query are what was written: ERR_INVALID_PARAM, too, where they hold what would have to be
 * encoded. */
NODISCARD err *client_url_parse_as_is(struct arena *a, str text, struct client_url *out);
/* What a link in the document at `base` means. */
NODISCARD err *client_url_join(struct arena *a, str base, str link, struct client_url *out);
