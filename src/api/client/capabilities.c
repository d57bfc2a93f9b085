/* capabilities.c - specification: client-server-api, "Capabilities negotiation". */
#include "api/services.h"
#include "config/config.h"
#include "matrix/room_version.h"
#include "user/user.h"

static void write_flag(struct jw *w, const char *name, bool enabled)
{
	jw_object(w, name);
	jw_bool(w, "enabled", enabled);
	jw_end(w);
}

static void write_room_versions(struct jw *w, str by_default)
{
	const struct room_version *v;

	jw_object(w, "m.room_versions");
	jw_str(w, "default", by_default);
	jw_object(w, "available");
	for (size_t i = 0; (v = room_version_at(i)); i++) {
		jw_key(w, v->id);
		jw_str(w, NULL, S("stable"));
	}
	jw_end(w);
	jw_end(w);
}

/* "For backwards compatibility, servers that forbid setting the displayname profile field in the m.profile_fields
 * capability MUST still present this capability with "enabled": false." Of avatar_url likewise. */
static void write_profile_fields(struct jw *w, const struct config_profiles *may)
{
	jw_object(w, "m.profile_fields");
	jw_bool(w, "enabled", true);
	if (!may->set_displayname || !may->set_avatar_url) {
		jw_array(w, "disallowed");
		if (!may->set_displayname)
			jw_str(w, NULL, S("displayname"));
		if (!may->set_avatar_url)
			jw_str(w, NULL, S("avatar_url"));
		jw_end(w);
	}
	jw_end(w);
	write_flag(w, "m.set_displayname", may->set_displayname);
	write_flag(w, "m.set_avatar_url", may->set_avatar_url);
}

static err *get_capabilities(struct req *rq)
{
	const struct config *cfg = rq->services->config;
	struct jw *w = reply_json(rq, 200);

	jw_object(w, "capabilities");
	write_room_versions(w, cfg->rooms.default_version);
	write_flag(w, "m.change_password", !users_options(rq->services->users)->disable_password_login);
	write_profile_fields(w, &cfg->profiles);
	write_flag(w, "m.get_login_token", users_options(rq->services->users)->login_via_existing_session);
	/* Email addresses and telephone numbers are not kept. */
	write_flag(w, "m.3pid_changes", false);
	jw_end(w);
	return NULL;
}

const struct route client_capabilities_routes[] = {
	{ "GET", "/_matrix/client/v3/capabilities", get_capabilities, AUTH_GUEST, RATE_NONE, LANE_FAST },
	{ 0 },
};
