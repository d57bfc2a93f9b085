/*
 * options.c - every option: the one place that says what it is called, its type, range, default and meaning.
 *
 * The names are those of Synapse's homeserver.yaml wherever the meaning is the same; data_dir, log, limits, terms and
 * well_known_support are our own. An option is here when something reads it; what Synapse has and this server has not
 * stands in ignored.c.
 */
#include "config/internal_options.h"

#include "matrix/id.h"
#include "matrix/room_version.h"
#include "matrix/server_keys.h"

static void check_server_name(struct reader *r, const struct option *o, const struct ynode *n)
{
	if (!id_server_name_valid(n->text))
		note_expected(r, o, n, "a server name such as example.org or example.org:8448");
}

static void check_url(struct reader *r, const struct option *o, const struct ynode *n)
{
	str *field = (str *)(void *)((char *)r->conf + o->at);

	if (!str_starts(n->text, S("https://")) && !str_starts(n->text, S("http://")))
		note_expected(r, o, n, "an address such as https://matrix.example.org/");
	else if (!str_ends(n->text, S("/")))
		*field = arena_join2(r->a, n->text, S("/"));
}

static void check_room_version(struct reader *r, const struct option *o, const struct ynode *n)
{
	AUTO_BUF list = BUF_INIT(400);

	if (room_version_find(n->text))
		return;
	for (size_t i = 0; room_version_at(i); i++)
		buf_printf(&list, "%s%.*s", i == 0 ? "one of " : ", ", STR_ARG(room_version_at(i)->id));
	buf_byte(&list, '\0');
	note_expected(r, o, n, list.p);
}

static void check_old_keys(struct reader *r, const struct option *o, const struct ynode *n)
{
	struct json *old;

	if (json_parse(r->a, r->conf->federation.old_signing_keys, &json_limits_request, &old) ||
	    !server_keys_old_valid(r->a, old))
		note_expected(r, o, n, "by key id (ed25519:name) the public key and expired_ts, when it was given up");
}

static const char *const encrypt_choices[] = { "off", "invite", "all", NULL };
static const char *const presence_choices[] = { "off", "on", "untracked", NULL };
static const char *const tls_choices[] = { "1", "1.1", "1.2", "1.3", NULL };
static const char *const level_choices[] = { "debug", "info", "warning", "error", NULL };
static const char *const format_choices[] = { "text", "json", NULL };

/* What main/ turns into networks is one. */
static void check_networks(struct reader *r, const struct option *o, const struct ynode *n)
{
	struct ip_net net;

	for (size_t i = 0; i < n->n; i++) {
		if (!ip_net_parse(n->items[i]->text, &net))
			note_expected(r, o, n->items[i], "an address or a network such as 10.0.0.0/8");
	}
}

static bool is_dns_server(str text)
{
	struct ip ip;
	str host;
	int port;

	if (ip_parse(text, &ip))
		return true;
	if (!id_server_name_split(text, &host, &port) || port > UINT16_MAX)
		return false;
	return ip_parse(str_starts(host, S("[")) ? (str){ host.p + 1, host.n - 2 } : host, &ip);
}

static void check_dns_servers(struct reader *r, const struct option *o, const struct ynode *n)
{
	for (size_t i = 0; i < n->n; i++) {
		if (!is_dns_server(n->items[i]->text))
			note_expected(r, o, n->items[i], "an address such as 192.0.2.1 or [2001:db8::1]:53");
	}
}

static void check_domains(struct reader *r, const struct option *o, const struct ynode *n)
{
	for (size_t i = 0; i < n->n; i++) {
		if (!id_server_name_valid(n->items[i]->text))
			note_expected(r, o, n->items[i], "a server name such as example.org");
	}
}

static void check_minimum_tls(struct reader *r, const struct option *o, const struct ynode *n)
{
	if (r->conf->federation.minimum_tls < CONFIG_TLS_12)
		note(r, false, n->line, str_c(o->path), "is 1.2 at least: older versions are not spoken");
}

static void check_url_rules(struct reader *r, const struct option *o, const struct ynode *n)
{
	for (size_t i = 0; i < n->n; i++) {
		if (n->items[i]->kind != Y_MAP || n->items[i]->n == 0)
			note_expected(r, o, n->items[i], "a map such as {hostname: example.org}");
	}
}

#define AT(field)               .at = offsetof(struct config, field)
#define TEXT(field)             .type = OPT_TEXT, AT(field)
#define PATH(field)             .type = OPT_PATH, AT(field)
#define BOOL(field, d)          .type = OPT_BOOL, AT(field), .deflt = (d)
#define INT(field, d, from, to) .type = OPT_INT, AT(field), .deflt = (d), .min = (from), .max = (to)
#define SIZE(field, d)          .type = OPT_SIZE, AT(field), .deflt = (d)
#define DURATION(field, d)      .type = OPT_DURATION, AT(field), .deflt = (d)
#define RATE_FIXED(field, d)    .type = OPT_RATE, AT(field), .deflt = (d)
#define RATE(field, d)          RATE_FIXED(field, d), .live = true
#define LIST(field)             .type = OPT_LIST, AT(field)
#define OWN(fn)                 .type = OPT_OWN, .read = (fn)

const struct option config_options[] = {
	{ "server_name", TEXT(server_name), .read = check_server_name, .example = "example.org", .section = "Server",
	  .doc = "The name after the colon in user ids and aliases. It can never be changed later." },
	{ "public_baseurl", TEXT(public_baseurl), .read = check_url, .live = true,
	  .example = "https://matrix.example.org/",
	  .doc = "Where clients reach this server; told to them by /.well-known/matrix/client." },
	{ "data_dir", PATH(data_dir), .deflt = "data",
	  .doc = "The folder for everything the server writes where nothing else is said: the embedded database, the "
		 "signing key, media, the socket of `hearth user`. Relative paths are relative to the folder that the "
		 "server is started in." },
	{ "signing_key_path", PATH(signing_key_path), .deflt = "{data}/signing.key",
	  .doc = "The key that signs events. Made when it is missing; keep it safe, and keep it." },
	{ "old_signing_keys", .type = OPT_JSON, AT(federation.old_signing_keys), .read = check_old_keys, .live = true,
	  .example =
		  "{\"ed25519:auto\": {key: VGhpcyBzaG91bGQgYmUgYSByZWFsIGVkMjU1MTkgcGE, expired_ts: 1576767829750}}",
	  .doc = "Public keys that this server signed events with before, and until when (milliseconds since 1970): old "
		 "events are checked with them." },
	{ "key_refresh_interval", DURATION(federation.key_refresh_interval, "1d"), .min = 3600 * 1000,
	  .max = INT64_C(7) * 24 * 3600 * 1000, .live = true,
	  .doc = "How long other servers may believe the keys that this one publishes before they ask again." },
	{ "allow_device_name_lookup_over_federation", BOOL(federation.device_names, "false"), .live = true,
	  .doc = "Are the names that people give their devices told to other servers?" },
	{ "trusted_key_servers", .type = OPT_JSON_LIST, AT(federation.trusted_key_servers), .read = read_notaries,
	  .example = "[{server_name: matrix.org, verify_keys: "
		     "{\"ed25519:a_RXGa\": l8Hft5qXKn1vfHrg3p4+W8gELQVo8N13JkluMfmn2sQ}}]",
	  .doc = "Servers (notaries) that are asked for other servers' keys before these themselves are: one question "
		 "for many, and the keys of servers that are gone. None, unless they are named here: whoever is asked "
		 "learns with whom this server speaks. Without verify_keys an answer is believed that is signed with a "
		 "key which the notary itself publishes." },
	{ "serve_server_wellknown", BOOL(federation.serve_well_known, "false"), .live = true,
	  .doc = "Answer /.well-known/matrix/server with this server's name and port 443: for a server that others "
		 "reach there, and not on port 8448." },
	{ "listeners", OWN(read_listeners),
	  .example = "\n  - {port: 8008, bind_addresses: [127.0.0.1], type: http, tls: false, x_forwarded: false, "
		     "resources: [{names: [client, federation]}]}",
	  .doc = "What to listen on. Without it: 127.0.0.1:8008, for clients." },
	{ "tls_certificate_path", PATH(tls_certificate_path), .live = true, .example = "/etc/hearth/fullchain.pem",
	  .doc = "The certificate with its chain, PEM, for listeners with tls: true. Read again when it changes." },
	{ "tls_private_key_path", PATH(tls_private_key_path), .live = true, .example = "/etc/hearth/privkey.pem",
	  .doc = "Its private key, PEM." },
	{ "extra_well_known_client_content", .type = OPT_JSON, AT(wellknown.client_extra), .live = true,
	  .example = "{org.example.key: value}", .doc = "Further members of /.well-known/matrix/client." },
	{ "default_identity_server", TEXT(wellknown.identity_server), .live = true, .example = "https://id.example.org",
	  .doc = "The identity server that /.well-known/matrix/client names." },
	{ "well_known_support", .type = OPT_JSON, AT(wellknown.support), .read = read_support, .live = true,
	  .example = "\n  contacts: [{matrix_id: \"@admin:example.org\", email_address: admin@example.org, role: "
		     "m.role.admin}]\n  support_page: https://example.org/help",
	  .doc = "What /.well-known/matrix/support answers: whom to ask for help, and where to report security "
		 "problems." },

	{ "database", OWN(read_database), .section = "Storage",
	  .example = "{name: psycopg2, args: {user: hearth, dbname: hearth, host: /run/postgresql}}",
	  .doc = "name: sqlite3 with args.database, the file; or psycopg2 (PostgreSQL) with any of libpq's connection "
		 "parameters as args. Without it: hearth.db in data_dir." },
	{ "media_store_path", PATH(media_store_path), .deflt = "{data}/media",
	  .doc = "Where uploaded files are kept." },
	{ "max_upload_size", SIZE(max_upload_size, "50M"), .min = 1, .max = INT64_C(1) << 40,
	  .doc = "The largest file that may be uploaded." },
	{ "enable_authenticated_media", BOOL(media.authenticated, "true"),
	  .doc = "Files uploaded while this is true are shown only to those who are logged in. With false, every file is "
		 "shown to whoever knows its address, and what is uploaded meanwhile stays so." },
	{ "unused_expiration_time", DURATION(media.unused_expiration, "24h"), .min = 1000,
	  .max = INT64_C(1000) * 3600 * 24 * 366,
	  .doc = "An address that was made for a file to be uploaded later lives so long without it." },
	{ "max_pending_media_uploads", INT(media.max_pending, "5", 1, 1000000),
	  .doc = "So many of these may one user have at a time." },
	{ "media_upload_limits", OWN(read_upload_limits),
	  .example = "\n  - {time_period: 1w, max_size: 1G, info_uri: \"https://example.org/limits\"}",
	  .doc = "How much one user may upload in how much time; every limit of the list holds. info_uri is shown to whom "
		 "it stops, and can_upgrade says that it can be raised." },

	{ "prevent_media_downloads_from", LIST(media.prevented), .example = "[bad.example.org]",
	  .doc = "Servers whose files are not fetched." },
	{ "max_image_pixels", SIZE(media.max_image_pixels, "32M"), .min = 1, .max = INT64_C(1) << 30,
	  .doc = "Of larger images no thumbnails are made." },
	{ "thumbnail_sizes", OWN(read_thumbnails), .example = "[{width: 96, height: 96, method: crop}]",
	  .doc = "The thumbnails that are made when somebody asks for their size or a smaller one; method is crop or scale. "
		 "For larger ones, and crops of other shapes, there are further steps. Without it: 32x32 and 96x96 crop, "
		 "320x240, 640x480 and 800x600 scale." },
	{ "dynamic_thumbnails", BOOL(media.dynamic_thumbnails, "false"),
	  .doc = "Make thumbnails of exactly the size that is asked for instead." },

	{ "url_preview_enabled", BOOL(previews.enabled, "false"), .section = "URL previews",
	  .doc = "May users ask what is behind an address? Then this server fetches what users name." },
	{ "url_preview_ip_range_blacklist", LIST(previews.denied), .read = check_networks,
	  .example = "['127.0.0.0/8', '10.0.0.0/8', '192.168.0.0/16', '::1/128', 'fe80::/10', 'fc00::/7']",
	  .doc = "Networks in which nothing is fetched. Without it: this machine, private networks and all others that are "
		 "no part of the public internet." },
	{ "url_preview_ip_range_whitelist", LIST(previews.allowed), .read = check_networks,
	  .example = "['192.168.1.1']", .doc = "Where something may be fetched all the same." },
	{ "url_preview_url_blacklist", .type = OPT_JSON_LIST, AT(previews.url_rules), .read = check_url_rules,
	  .example = "[{scheme: http, netloc: '^[0-9.]+$'}, {hostname: '*.example.org', path: '/private/*'}]",
	  .doc = "Addresses that are not fetched: maps from a part (scheme, netloc, hostname, port, path, query, fragment) to "
		 "what it is like: a pattern with * and ?, or a regular expression, which begins with ^. An address is "
		 "refused when all parts of one map match." },
	{ "max_spider_size", SIZE(previews.max_bytes, "10M"), .min = 1, .max = INT64_C(1) << 30,
	  .doc = "The largest page or image that is fetched." },
	{ "url_preview_accept_language", LIST(previews.languages), .deflt = "[en]",
	  .doc = "The languages that pages are asked for in, the best first, as in Accept-Language." },
	{ "oembed.disable_default_providers", BOOL(previews.no_known_providers, "false"),
	  .doc = "Ask no provider of oEmbed that this server knows of itself." },
	{ "oembed.additional_providers", LIST(previews.providers), .example = "[/etc/hearth/oembed.json]",
	  .doc = "Files with further providers, in the form of https://oembed.com/providers.json." },

	{ "federation_domain_whitelist", LIST(federation.whitelist), .read = check_domains, .section = "Federation",
	  .example = "[example.org, matrix.example.net]",
	  .doc = "The only servers that this one speaks with. Without it: all; an empty list is none." },
	{ "ip_range_blacklist", LIST(federation.denied), .read = check_networks,
	  .example = "['127.0.0.0/8', '10.0.0.0/8', '192.168.0.0/16', '::1/128', 'fe80::/10', 'fc00::/7']",
	  .doc = "Networks in which no other server is asked. Without it: this machine, private networks and all others "
		 "that are no part of the public internet; an empty list denies none." },
	{ "ip_range_whitelist", LIST(federation.allowed), .read = check_networks, .example = "['192.168.1.1']",
	  .doc = "Where other servers may be asked all the same." },
	{ "dns_servers", LIST(federation.dns_servers), .read = check_dns_servers,
	  .example = "['192.0.2.1', '[2001:db8::1]:53']",
	  .doc = "Who is asked where other servers are. Without it: those of the machine." },
	{ "federation_verify_certificates", BOOL(federation.verify_certificates, "true"),
	  .doc = "Must other servers prove by a certificate who they are? With false, whoever stands between two servers "
		 "can be either." },
	{ "federation_certificate_verification_whitelist", LIST(federation.trusted), .example = "['*.onion']",
	  .doc = "Hosts that need not: patterns with * and ?." },
	{ "federation_client_minimum_tls_version", .type = OPT_CHOICE, AT(federation.minimum_tls), .deflt = "1.2",
	  .choices = tls_choices, .read = check_minimum_tls,
	  .doc = "The oldest version of TLS that is spoken with them: 1.2 or 1.3." },
	{ "federation_custom_ca_list", LIST(federation.authorities), .example = "[/etc/hearth/ca.pem]",
	  .doc = "Files with the authorities' certificates, PEM, that are believed for other servers instead of the "
		 "machine's." },
	{ "federation.client_timeout", DURATION(federation.client_timeout, "60s"), .min = 1000, .max = 3600 * 1000,
	  .doc = "A server that says nothing for so long is given up." },
	{ "federation.destination_min_retry_interval", DURATION(federation.min_retry, "5s"), .min = 1,
	  .max = INT64_C(86400000), .doc = "A server that did not answer is left alone for so long first." },
	{ "federation.destination_retry_multiplier", INT(federation.retry_multiplier, "2", 1, 100),
	  .doc = "Each further time so many times longer." },
	{ "federation.destination_max_retry_interval", DURATION(federation.max_retry, "1d"), .min = 1,
	  .max = INT64_C(366) * 86400000,
	  .doc = "But no longer than this. A server that talks to this one is asked again at once." },

	{ "enable_registration", BOOL(registration.enabled, "false"), .section = "Registration",
	  .doc = "May people make accounts themselves? Needs registration_requires_token, or "
		 "enable_registration_without_verification." },
	{ "enable_registration_without_verification", BOOL(registration.without_verification, "false"),
	  .doc = "Anybody may make an account, with nothing asked: an invitation to spammers." },
	{ "registration_requires_token", BOOL(registration.requires_token, "false"),
	  .doc = "An account needs a token that an administrator made." },
	{ "registration_shared_secret", TEXT(registration.shared_secret), .example = "a long random text",
	  .doc = "Who knows it may make any account through /_synapse/admin/v1/register. Without it nobody can." },
	{ "registration_shared_secret_path", PATH(registration.shared_secret_path),
	  .example = "/etc/hearth/registration_secret", .doc = "The same, in a file." },
	{ "inhibit_user_in_use_error", BOOL(registration.inhibit_user_in_use_error, "false"),
	  .doc = "Do not tell whether a name is taken until an account is really made." },
	{ "terms", OWN(read_policies),
	  .example =
		  "\n  policies:\n    privacy_policy:\n      version: \"1.0\"\n      en: {name: Privacy Policy, url: "
		  "\"https://example.org/privacy\"}",
	  .doc = "Documents that a new user must accept (m.login.terms): by id a version, and by language a name and "
		 "an address." },

	{ "bcrypt_rounds", INT(passwords.bcrypt_rounds, "12", 4, 31), .section = "Passwords and sessions",
	  .doc = "New passwords are kept as argon2id; a value below 8 chooses the cheapest hash there is, for tests." },
	{ "password_config.enabled", BOOL(passwords.enabled, "true"), .doc = "May people log in with a password?" },
	{ "password_config.localdb_enabled", BOOL(passwords.localdb_enabled, "true"),
	  .doc = "Are passwords kept in this server's database accepted?" },
	{ "password_config.pepper", TEXT(passwords.pepper), .example = "a secret",
	  .doc = "The secret that was mixed into the bcrypt hashes which came from Synapse." },
	{ "password_config.policy.enabled", BOOL(passwords.policy.enabled, "false"),
	  .doc = "Must new passwords be of a certain kind?" },
	{ "password_config.policy.minimum_length", INT(passwords.policy.minimum_length, "0", 0, 512),
	  .doc = "In characters." },
	{ "password_config.policy.require_digit", BOOL(passwords.policy.require_digit, "false"), .doc = "A digit." },
	{ "password_config.policy.require_symbol", BOOL(passwords.policy.require_symbol, "false"),
	  .doc = "Something that is neither letter nor digit." },
	{ "password_config.policy.require_lowercase", BOOL(passwords.policy.require_lowercase, "false"),
	  .doc = "A small letter." },
	{ "password_config.policy.require_uppercase", BOOL(passwords.policy.require_uppercase, "false"),
	  .doc = "A capital letter." },
	{ "session_lifetime", DURATION(sessions.lifetime, NULL), .example = "24w",
	  .doc = "A login ends so long after it began. Without it: never." },
	{ "refreshable_access_token_lifetime", DURATION(sessions.refreshable_access_token_lifetime, "5m"),
	  .doc = "How long an access token lives that the client can refresh." },
	{ "refresh_token_lifetime", DURATION(sessions.refresh_token_lifetime, NULL), .example = "24h",
	  .doc = "How long a refresh token lives that is not used. Without it: for ever." },
	{ "nonrefreshable_access_token_lifetime", DURATION(sessions.nonrefreshable_access_token_lifetime, NULL),
	  .example = "24h", .doc = "How long any other access token lives. Without it: for ever." },
	{ "ui_auth.session_timeout", DURATION(sessions.ui_auth_timeout, "0"),
	  .doc = "Who proved a password within this time is not asked for it again." },
	{ "login_via_existing_session.enabled", BOOL(sessions.via_existing, "false"),
	  .doc = "May a logged-in client get a token that logs in another one?" },
	{ "login_via_existing_session.require_ui_auth", BOOL(sessions.via_existing_needs_ui_auth, "true"),
	  .doc = "Is the password asked for it?" },
	{ "login_via_existing_session.token_timeout", DURATION(sessions.via_existing_token_timeout, "5m"),
	  .doc = "How long such a token lives." },

	{ "default_room_version", TEXT(rooms.default_version), .deflt = "12", .read = check_room_version,
	  .section = "Rooms", .doc = "The version of new rooms where the client asks for none." },
	{ "dummy_events_threshold", INT(rooms.dummy_events_threshold, "10", 1, 60),
	  .doc = "A room with more forward extremities gets an event that brings them together, which no client is shown." },
	{ "default_power_level_content_override.private_chat", .type = OPT_JSON, AT(rooms.power_private_chat),
	  .example = "{state_default: 50}", .doc = "Put over the power levels of new rooms with this preset." },
	{ "default_power_level_content_override.trusted_private_chat", .type = OPT_JSON,
	  AT(rooms.power_trusted_private_chat), .example = "{state_default: 50}", .doc = "The same." },
	{ "default_power_level_content_override.public_chat", .type = OPT_JSON, AT(rooms.power_public_chat),
	  .example = "{state_default: 50}", .doc = "The same." },
	{ "encryption_enabled_by_default_for_room_type", .type = OPT_CHOICE, AT(rooms.encryption_default),
	  .deflt = "off", .choices = encrypt_choices,
	  .doc = "New rooms are encrypted: never by default, those with the private presets (invite), or all." },
	{ "allow_public_rooms_without_auth", BOOL(rooms.public_without_auth, "false"), .live = true,
	  .doc = "May the list of public rooms be read without a login?" },
	{ "enable_room_list_search", BOOL(rooms.list_search, "true"), .live = true,
	  .doc = "Off: the list of public rooms is empty for everybody." },
	{ "allow_public_rooms_over_federation", BOOL(rooms.public_to_servers, "false"), .live = true,
	  .doc = "May other servers read the list of public rooms?" },
	{ "filter_timeline_limit", INT(rooms.filter_timeline_limit, "100", -1, 1000),
	  .doc = "The most events of one room that a filter may ask /sync for; -1: 1000." },

	{ "require_auth_for_profile_requests", BOOL(profiles.require_auth, "false"), .live = true,
	  .section = "Profiles", .doc = "Must one be logged in to read a profile?" },
	{ "allow_profile_lookup_over_federation", BOOL(profiles.to_servers, "true"), .live = true,
	  .doc = "May other servers read the profiles of people here?" },
	{ "enable_set_displayname", BOOL(profiles.set_displayname, "true"), .live = true,
	  .doc = "May people change their display name once it is set?" },
	{ "enable_set_avatar_url", BOOL(profiles.set_avatar_url, "true"), .live = true,
	  .doc = "May people change their avatar once it is set?" },
	{ "user_directory.enabled", BOOL(user_directory.enabled, "true"), .live = true,
	  .doc = "May people be searched for?" },
	{ "user_directory.search_all_users", BOOL(user_directory.search_all_users, "false"), .live = true,
	  .doc = "Find every local user, not only those in public rooms and those one shares a room with." },

	{ "experimental_features.msc3814_enabled", BOOL(experimental.dehydrated_devices, "true"), .live = true,
	  .section = "Experimental features",
	  .doc = "May clients leave a dehydrated device here, which receives keys of rooms while they are logged out?" },

	{ "presence.enabled", .type = OPT_CHOICE, AT(presence.enabled), .deflt = "on", .choices = presence_choices,
	  .section = "Presence",
	  .doc = "Do people see who is online, of those they share rooms with? on (or true), off (or false); untracked: "
		 "what local users do is not shown." },
	{ "presence.include_offline_users_on_sync", BOOL(presence.include_offline_users_on_sync, "false"),
	  .doc = "Tell a client that begins of those who are offline, too." },
	{ "presence.last_active_granularity", DURATION(presence.last_active_granularity, "1m"), .min = 100,
	  .max = INT64_C(86400000), .doc = "So long after an action somebody is currently active." },
	{ "presence.sync_online_timeout", DURATION(presence.sync_online_timeout, "30s"), .min = 100,
	  .max = INT64_C(86400000), .doc = "So long after a client's last /sync it is taken for gone." },
	{ "presence.idle_timeout", DURATION(presence.idle_timeout, "5m"), .min = 100, .max = INT64_C(86400000),
	  .doc = "So long after the last action somebody is shown as unavailable." },
	{ "use_presence", BOOL(presence.use_presence, "true"),
	  .doc = "The older name of presence.enabled, which counts where both stand." },

	{ "rc_message", RATE(rates.message, "{per_second: 0.2, burst_count: 10}"), .section = "Rate limits",
	  .doc = "How often a user may send events: a bucket of burst_count that refills at per_second. With "
		 "burst_count: 0 there is no limit. So it is with all of these." },
	{ "rc_registration", RATE(rates.registration, "{per_second: 0.17, burst_count: 3}"),
	  .doc = "Registrations from one address." },
	{ "rc_registration_token_validity",
	  RATE(rates.registration_token_validity, "{per_second: 0.1, burst_count: 5}"),
	  .doc = "Questions about registration tokens from one address." },
	{ "rc_login.address", RATE(rates.login_address, "{per_second: 0.003, burst_count: 5}"),
	  .doc = "Logins from one address." },
	{ "rc_login.account", RATE_FIXED(rates.login_account, "{per_second: 0.003, burst_count: 5}"),
	  .doc = "Logins into one account." },
	{ "rc_login.failed_attempts", RATE_FIXED(rates.login_failed, "{per_second: 0.17, burst_count: 3}"),
	  .doc = "Failed logins into one account." },
	{ "rc_joins.local", RATE(rates.joins_local, "{per_second: 0.1, burst_count: 10}"),
	  .doc = "Joins by one user of rooms that this server is in." },
	{ "rc_joins_per_room", RATE(rates.joins_per_room, "{per_second: 1, burst_count: 10}"),
	  .doc = "Joins of one room." },
	{ "rc_invites.per_room", RATE(rates.invites_per_room, "{per_second: 0.3, burst_count: 10}"),
	  .doc = "Invites to one room." },
	{ "rc_invites.per_user", RATE(rates.invites_per_user, "{per_second: 0.003, burst_count: 5}"),
	  .doc = "Invites of one user." },
	{ "rc_invites.per_issuer", RATE(rates.invites_per_issuer, "{per_second: 0.3, burst_count: 10}"),
	  .doc = "Invites by one user." },
	{ "rc_room_creation", RATE(rates.room_creation, "{per_second: 0.016, burst_count: 10}"),
	  .doc = "Rooms made by one user." },
	{ "rc_user_directory", RATE(rates.user_directory, "{per_second: 0.016, burst_count: 200}"),
	  .doc = "Searches for people by one user." },
	{ "rc_media_create", RATE(rates.media_create, "{per_second: 10, burst_count: 50}"),
	  .doc = "Addresses for files to be uploaded later, made by one user." },
	{ "rc_presence.per_user", RATE(rates.presence, "{per_second: 0.1, burst_count: 1}"),
	  .doc = "Changes of presence by one user. With /sync further ones are ignored." },
	{ "rc_federation.concurrent", INT(federation.origin_running, "8", 1, 1024),
	  .doc = "Requests of one other server that are worked on at once (of limits.federation_workers for all)." },
	{ "rc_federation.reject_limit", INT(federation.origin_waiting, "50", 1, 1000000),
	  .doc = "Requests of one other server that wait for that; further ones are refused." },
	{ "rc_reports", RATE(rates.reports, "{per_second: 1, burst_count: 5}"), .doc = "Reports by one user." },

	{ "limits.max_connections", INT(limits.max_connections, "10000", 16, 1000000), .section = "Limits and logs",
	  .doc = "The most connections at once." },
	{ "limits.request_timeout", DURATION(limits.request_timeout, "60s"), .min = 1000, .max = 3600 * 1000,
	  .doc = "A request must have come whole, and its answer been taken, within this time." },
	{ "limits.shutdown_timeout", DURATION(limits.shutdown_timeout, "10s"), .min = 0, .max = 600 * 1000,
	  .doc = "How long requests that are being answered may take when the server stops." },
	{ "limits.workers", INT(limits.workers_fast, "64", 64, 1024),
	  .doc = "The most threads that answer ordinary requests. They wait for commits, so there are many; idle ones "
		 "cost nothing." },
	{ "limits.slow_workers", INT(limits.workers_slow, "8", 1, 256),
	  .doc = "The most threads that hash passwords and the like." },
	{ "limits.federation_workers", INT(limits.workers_federation, "32", 4, 1024),
	  .doc = "The most threads that answer other servers." },
	{ "limits.remote_workers", INT(limits.workers_remote, "64", 4, 1024),
	  .doc = "The most requests of clients that wait for other servers at once: each holds a thread." },
	{ "limits.watched_users", INT(limits.max_watched_users, "100000", 100, 100000000),
	  .doc = "For so many users, those who synced last, it is known from memory whether there is news." },
	{ "log.level", .type = OPT_CHOICE, AT(log_level), .deflt = "info", .choices = level_choices, .live = true,
	  .doc = "What is worth a line on standard error: debug, info, warning or error." },
	{ "log.format", .type = OPT_CHOICE, AT(log_format), .deflt = "text", .choices = format_choices, .live = true,
	  .doc = "Lines for people (text) or for machines (json)." },
};
const size_t config_options_n = ARRAY_LEN(config_options);
