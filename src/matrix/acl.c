#include "matrix/acl.h"

#include "matrix/glob.h"
#include "matrix/id.h"

/* "the suspect server's port number must not be considered" */
static str host_of(str server_name)
{
	if (str_starts(server_name, S("[")))
		return str_head(server_name, MIN(str_find(server_name, ']') + 1, server_name.n));
	return str_head(server_name, str_find(server_name, ':'));
}

static bool is_listed(const struct json *list, str host)
{
	JSON_ITEMS (list, i) {
		const str pattern = json_str(list->array.items[i]);

		if (!str_is_none(pattern) && glob_match(pattern, host))
			return true;
	}
	return false;
}

bool acl_allows(const struct json *content, str server_name)
{
	const str host = host_of(server_name);

	/* "1. If there is no m.room.server_acl event in the room state, allow." */
	if (!content)
		return true;
	/* "2. If the server name is an IP address (v4 or v6) literal, and allow_ip_literals is present and false,
	 * deny." */
	if (!json_get_bool(content, S("allow_ip_literals"), true) && (str_starts(host, S("[")) || id_is_ipv4(host)))
		return false;
	/* "3. If the server name matches an entry in the deny list, deny." */
	if (is_listed(json_get_array(content, S("deny")), host))
		return false;
	/* "4. If the server name matches an entry in the allow list, allow. 5. Otherwise, deny." */
	return is_listed(json_get_array(content, S("allow")), host);
}
