#include "e2ee/user_key.h"

static const str usages[KEY_USAGES] = { STR("master"), STR("self_signing"), STR("user_signing") };
static const str members[KEY_USAGES] = { STR("master_key"), STR("self_signing_key"), STR("user_signing_key") };

str user_key_member(enum user_key_usage usage) { return members[usage]; }

static bool are_usages(const struct json *list)
{
	JSON_ITEMS (list, i) {
		const str usage = json_str(list->array.items[i]);
		bool known = false;

		for (size_t u = 0; u < KEY_USAGES; u++)
			known |= str_eq(usage, usages[u]);
		if (!known)
			return false;
	}
	return true;
}

static err *invalid(struct arena *a, enum user_key_usage usage, const char *why)
{
	return err_new(a, ERR_INVALID_PARAM, "Invalid %.*s: %s", STR_ARG(members[usage]), why);
}

err *user_key_read(struct arena *a, const struct json *json, str user_id, enum user_key_usage usage,
		   struct user_key *out)
{
	const struct json *keys = json_get_object(json, S("keys"));
	struct user_key k;

	if (!json_is(json, JSON_OBJECT))
		return invalid(a, usage, "it must be an object");
	if (!str_eq(json_get_str(json, S("user_id")), user_id))
		return invalid(a, usage, "user_id is another user's");
	if (!json_lists(json_get_array(json, S("usage")), usages[usage]))
		return invalid(a, usage, "usage does not say so");
	if (!are_usages(json_get_array(json, S("usage"))))
		return invalid(a, usage, "usage says what there is not");
	/* "The object must have exactly one property, whose name is in the form
	 * <algorithm>:<unpadded_base64_public_key>, and whose value is the unpadded base64 public key." */
	if (!keys || keys->object.n != 1)
		return invalid(a, usage, "it must have exactly one key");
	k.id = keys->object.members[0].key;
	k.name = json_str(keys->object.members[0].value);
	if (!str_starts(k.id, S("ed25519:")) || str_is_none(k.name) || !str_eq(str_from(k.id, 8), k.name))
		return invalid(a, usage, "its name must be ed25519: and the key");
	if (k.name.n != 43 || !key_decode(a, k.name, k.public_key))
		return invalid(a, usage, "the key must be 32 bytes in unpadded base64");
	TRY(key_object_read(a, json, user_id, &k.object));
	*out = k;
	return NULL;
}

err *user_key_parse(struct arena *a, str text, str user_id, enum user_key_usage usage, struct user_key **out)
{
	struct json *json;

	*out = NULL;
	if (str_is_none(text))
		return NULL;
	*out = ARENA_NEW(a, struct user_key);
	TRY(json_parse(a, text, &json_limits_request, &json));
	return user_key_read(a, json, user_id, usage, *out);
}

bool user_key_signed(struct arena *a, const struct user_key *by, const struct key_object *object)
{
	return key_object_verify(a, object, by->id, by->public_key);
}
