/*
 * remote_form.h - internal: what is taken of keys that another server gives, whether they are kept (remote_lists.h) or
 * passed on (remote_keys.h).
 *
 * A client is shown nothing that does not have the form that the Client-Server API promises, and nothing that says it
 * belongs to somebody else; what does not is as if it had not been given.
 */
#pragma once

#include "e2ee/user_key.h"
#include "store/device_keys.h"

enum { REMOTE_DEVICES_MAX = 1000 }; /* of one user; more are not looked at */

bool remote_device_id_good(str device_id);
/* The name that is shown of it; STR_NONE: there is none that would be. */
str remote_device_name(str given);
/* As they are handed out, in arena a; STR_NONE: they are none of that device's or user's. */
str remote_device_keys(struct arena *a, str user_id, str device_id, const struct json *given);
str remote_user_key(struct arena *a, str user_id, enum user_key_usage usage, const struct json *given);
/* One device with keys; false: it is not to be shown. */
NODISCARD bool remote_device_read(struct arena *a, str user_id, str device_id, const struct json *keys, str name,
				  struct device_keys_row *out);
