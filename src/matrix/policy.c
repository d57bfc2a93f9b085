#include "matrix/policy.h"

#include "base/b64.h"
#include "matrix/id.h"

bool policy_server_of(struct arena *a, const struct event *policy, struct policy_server *out)
{
	const struct json *content = policy ? policy->content : NULL;
	const str via = json_get_str(content, S("via")),
		  text = json_get_str(json_get_object(content, S("public_keys")), S("ed25519"));
	str key;

	/* "Valid means content contains at least: A string value for via. An object value for public_keys containing at
	 * least a string value for ed25519." No user is of what is no server's name. */
	if (!id_server_name_valid(via) || str_is_none(text))
		return false;
	key = text.n <= 64 ? b64_decode(a, text) : STR_NONE;
	*out = (struct policy_server){ .name = via, .has_key = key.n == sizeof(out->key) };
	if (out->has_key)
		memcpy(out->key, key.p, sizeof(out->key));
	return true;
}

bool policy_exempts(const struct event *ev) { return event_is(ev, S("m.room.policy"), S("")); }

bool policy_has_signed(struct arena *a, const struct room_version *rv, const struct event *ev,
		       const struct policy_server *by)
{
	return by->has_key && event_verify(a, rv, ev, by->name, POLICY_KEY_ID, by->key);
}
