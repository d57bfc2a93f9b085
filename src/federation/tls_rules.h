/* tls_rules.h - whose certificates are checked, and how: the operator's settings for all of federation. */
#pragma once

#include "http/client.h"

struct tls_rules {
	struct client_tls checked, unchecked;
	const str *trusted; /* globs of hosts whose certificates are not checked */
	size_t n_trusted;
	bool none; /* nobody's is */
};
/* For a host as it stands in a URL. rules NULL: as the client does it anyway. */
const struct client_tls *tls_rules_for(const struct tls_rules *rules, str host);
