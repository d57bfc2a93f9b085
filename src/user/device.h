/* device.h - a user's devices (specification: client-server-api, "Device Management"). */
#pragma once

#include "user/user.h"

enum {
	DEVICES_PER_USER = 1000, /* beyond that, a login removes the device that was seen longest ago */
	DEVICE_ID_MAX = 255,     /* bytes */
	DEVICE_NAME_MAX = 400,   /* bytes: 100 characters of any script */
};

struct device {
	str device_id;
	str display_name; /* STR_NONE: none was set */
	str seen_ip;      /* STR_NONE: unknown */
	int64_t seen_at;  /* ms; a few minutes late at most */
};
struct devices {
	const struct device *p;
	size_t n;
};

NODISCARD err *devices_list(struct users *us, struct arena *a, int64_t user, struct devices *out);
NODISCARD err *device_get(struct users *us, struct arena *a, int64_t user, str device_id,
			  const struct device **out); /* NULL: none */
/* display_name STR_NONE: unchanged. ERR_NOT_FOUND, ERR_TOO_LARGE. */
NODISCARD err *device_rename(struct users *us, struct arena *a, int64_t user, str device_id, str display_name);
/* With their tokens; unknown ones are passed over. */
NODISCARD err *devices_delete(struct users *us, struct arena *a, int64_t user, const str *device_ids, size_t n);
