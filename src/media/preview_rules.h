/* preview_rules.h - addresses that the operator does not want to be fetched (url_preview_url_blacklist). */
#pragma once

#include "base/err.h"

struct client_url;
struct url_rules;

/* From a JSON list of {part: pattern}; STR_NONE: none. The parts are scheme, netloc, hostname, port, path, query,
 * fragment; username and password are known and match nothing, since no address with them is ever fetched. ERR_CONFIG.
 */
NODISCARD err *url_rules_new(struct arena *a, str json, struct url_rules **out);
void url_rules_free(struct url_rules **rules);
/* Do all parts of one of the maps match? */
bool url_rules_match(const struct url_rules *rules, const struct client_url *url);
