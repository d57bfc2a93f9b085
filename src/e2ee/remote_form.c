#include "e2ee/remote_form.h"

enum { DEVICE_ID_MAX = 512, DISPLAY_NAME_MAX = 1024 };

bool remote_device_id_good(str device_id) { return device_id.n > 0 && device_id.n <= DEVICE_ID_MAX; }

str remote_device_name(str given) { return given.n <= DISPLAY_NAME_MAX ? given : STR_NONE; }

str remote_device_keys(struct arena *a, str user_id, str device_id, const struct json *given)
{
	struct key_object k;
	str text;

	if (key_device_read(a, given, user_id, device_id, &k) || key_object_text(a, &k, &text))
		return STR_NONE;
	return text;
}

str remote_user_key(struct arena *a, str user_id, enum user_key_usage usage, const struct json *given)
{
	struct user_key k;
	str text;

	if (user_key_read(a, given, user_id, usage, &k) || key_object_text(a, &k.object, &text))
		return STR_NONE;
	return text;
}

bool remote_device_read(struct arena *a, str user_id, str device_id, const struct json *keys, str name,
			struct device_keys_row *out)
{
	if (!remote_device_id_good(device_id))
		return false;
	*out = (struct device_keys_row){
		.device_id = device_id,
		.keys = remote_device_keys(a, user_id, device_id, keys),
		.display_name = remote_device_name(name),
	};
	return !str_is_none(out->keys);
}
