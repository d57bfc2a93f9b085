/*
 * versions.c - what this server speaks: Client-Server API, sections "Server discovery" and "API standards".
 *
 * A version is advertised only when everything it demands in the areas that clients switch on by version is served:
 * a client that reads v1.4 here asks for /threads, one that reads v1.11 asks for authenticated media. What is served
 * beyond the advertised version is found by clients that try, or by its flag under unstable_features.
 */
#include "api/services.h"
#include "config/config.h"

static const char *const spec_versions[] = { "v1.1" };

/* Features that clients look for by name while the version that made them stable is not advertised. */
static const char *const features[] = {
	"m.lazy_load_members",          /* members only of those who speak */
	"org.matrix.e2e_cross_signing", /* keys that stand for users */
	"org.matrix.msc2285.stable",    /* private read receipts */
	"org.matrix.msc3771",           /* read receipts for threads */
	"org.matrix.msc3827.stable",    /* public rooms filtered by room type */
	"org.matrix.msc3916.stable",    /* media for those who are logged in */
	"uk.tcpip.msc4133.stable",      /* profiles with fields of one's own */
};

static err *get_versions(struct req *rq)
{
	const struct config_rooms *rooms = &rq->services->config->rooms;
	const bool all = rooms->encryption_default == CONFIG_ENCRYPT_ALL;
	const bool invited = all || rooms->encryption_default == CONFIG_ENCRYPT_INVITE;
	struct jw *w = reply_json(rq, 200);

	jw_array(w, "versions");
	for (size_t i = 0; i < ARRAY_LEN(spec_versions); i++)
		jw_str(w, NULL, str_c(spec_versions[i]));
	jw_end(w);
	jw_object(w, "unstable_features");
	for (size_t i = 0; i < ARRAY_LEN(features); i++)
		jw_bool(w, features[i], true);
	/* Whether rooms of a preset come out encrypted, whatever the client asks for. */
	jw_bool(w, "io.element.e2ee_forced.public", all);
	jw_bool(w, "io.element.e2ee_forced.private", invited);
	jw_bool(w, "io.element.e2ee_forced.trusted_private", invited);
	jw_end(w);
	return NULL;
}

const struct route client_versions_routes[] = {
	{ "GET", "/_matrix/client/versions", get_versions, AUTH_NONE, RATE_NONE, LANE_LOOP },
	{ 0 },
};
