/* Whole configurations: what good ones mean, and what is said of bad ones, word for word. */
#include "test.h"

#include "base/buf.h"
#include "config/config.h"

static str notes_text(struct arena *a, const struct config_notes *notes)
{
	str all = S("");

	for (size_t i = 0; i < notes->list.n; i++)
		all = arena_join3(a, all, notes->list.p[i].text, i + 1 < notes->list.n ? S("\n") : S(""));
	return all;
}

/* The configuration of a text that must be good, with nothing to say about it. */
static const struct config *read_good(struct arena *a, const char *text)
{
	struct config_notes notes = { 0 };
	const struct config *c = config_parse(a, S("f"), str_c(text), &notes);

	if (!c || notes.list.n)
		fail_msg("%s:\n%.*s", text, STR_ARG(notes_text(a, &notes)));
	return c;
}

#define assert_str(s, lit)                                                                                             \
	do {                                                                                                           \
		const str got_ = (s);                                                                                  \
		if (!str_eq(got_, S(lit)))                                                                             \
			fail_msg("found \"%.*s\", expected \"%s\"", STR_ARG(got_), lit);                               \
	} while (0)

static void without_a_file_everything_is_in_data(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct config *c = config_default(a);

	(void)state;
	assert_str(c->server_name, "localhost");
	assert_str(c->data_dir, "data");
	assert_str(c->database.path, "data/hearth.db");
	assert_str(c->signing_key_path, "data/signing.key");
	assert_str(c->media_store_path, "data/media");
	assert_int_equal(c->n_listeners, 1);
	assert_str(c->listeners[0].address, "127.0.0.1");
	assert_int_equal(c->listeners[0].port, 8008);
	assert_true(c->listeners[0].client && c->listeners[0].health);
	assert_false(c->listeners[0].metrics || c->listeners[0].tls);
	assert_false(c->registration.enabled);
	assert_true(str_is_none(c->public_baseurl));
	assert_str(c->rooms.default_version, "12");
	assert_int_equal(c->max_upload_size, 50 << 20);
	assert_true(c->media.authenticated);
	assert_int_equal(c->media.unused_expiration, 24 * 3600 * 1000);
	assert_int_equal(c->media.max_pending, 5);
	assert_int_equal(c->media.n_limits, 0);
	assert_true(c->rates.media_create.per_second > 9.9 && c->rates.media_create.burst > 49.9);
	assert_true(c->rates.login_address.burst > 4.9 && c->rates.login_address.burst < 5.1);
	assert_int_equal(c->sessions.refreshable_access_token_lifetime, 300000);
	assert_int_equal(c->log_level, LOG_INFO);
}

static void every_kind_of_value_is_read(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct config *c = read_good(
		a, "server_name: example.org:8448\n"
		   "public_baseurl: https://m.example.org\n"
		   "data_dir: /var/lib/hearth\n"
		   "media_store_path: /media\n"
		   "max_upload_size: 1G\n"
		   "media_upload_limits:\n"
		   "  - {time_period: 1d, max_size: 1G, info_uri: \"https://x.org/quota\", can_upgrade: true}\n"
		   "  - {time_period: 1h, max_size: 50M}\n"
		   "url_preview_ip_range_whitelist: [10.0.0.1, 'fd00::/8']\n"
		   "url_preview_url_blacklist: [{port: 25}, {netloc: '^[0-9.]+$', scheme: http}]\n"
		   "enable_registration: yes\n"
		   "registration_requires_token: True\n"
		   "bcrypt_rounds: 4\n"
		   "password_config: {pepper: \"123\", policy: {enabled: on, minimum_length: 15}}\n"
		   "session_lifetime: 24w\n"
		   "refreshable_access_token_lifetime: null\n"
		   "default_room_version: 11\n"
		   "encryption_enabled_by_default_for_room_type: invite\n"
		   "default_power_level_content_override:\n"
		   "  private_chat: {events: {m.room.name: 50, \"quoted\": \"50\"}, list: [1, true]}\n"
		   "rc_message: {per_second: 7.5}\n"
		   "rc_login:\n"
		   "  address: {per_second: 1, burst_count: 2}\n"
		   "log: {level: warning, format: json}\n");

	(void)state;
	assert_str(c->server_name, "example.org:8448");
	assert_str(c->public_baseurl, "https://m.example.org/");
	assert_str(c->signing_key_path, "/var/lib/hearth/signing.key");
	assert_str(c->database.path, "/var/lib/hearth/hearth.db");
	assert_str(c->media_store_path, "/media");
	assert_int_equal(c->max_upload_size, 1 << 30);
	assert_int_equal(c->media.n_limits, 2);
	assert_int_equal(c->media.limits[0].period, 24 * 3600 * 1000);
	assert_int_equal(c->media.limits[0].max_size, 1 << 30);
	assert_str(c->media.limits[0].info_uri, "https://x.org/quota");
	assert_true(c->media.limits[0].can_upgrade && !c->media.limits[1].can_upgrade);
	assert_int_equal(c->media.limits[1].max_size, 50 << 20);
	assert_true(str_is_none(c->media.limits[1].info_uri));
	assert_int_equal(c->previews.allowed.n, 2);
	assert_str(c->previews.allowed.p[1], "fd00::/8");
	assert_null(c->previews.denied.p);
	assert_str(c->previews.url_rules, "[{\"port\":25},{\"netloc\":\"^[0-9.]+$\",\"scheme\":\"http\"}]");
	assert_str(c->previews.languages.p[0], "en");
	assert_true(c->registration.enabled && c->registration.requires_token);
	assert_int_equal(c->passwords.bcrypt_rounds, 4);
	assert_str(c->passwords.pepper, "123");
	assert_true(c->passwords.policy.enabled && c->passwords.enabled);
	assert_int_equal(c->passwords.policy.minimum_length, 15);
	assert_int_equal(c->sessions.lifetime, INT64_C(24) * 7 * 86400 * 1000);
	assert_int_equal(c->sessions.refreshable_access_token_lifetime, 0);
	assert_str(c->rooms.default_version, "11");
	assert_int_equal(c->rooms.encryption_default, CONFIG_ENCRYPT_INVITE);
	assert_str(c->rooms.power_private_chat,
		   "{\"events\":{\"m.room.name\":50,\"quoted\":\"50\"},\"list\":[1,true]}");
	assert_true(c->rates.message.per_second > 7.4 && c->rates.message.per_second < 7.6);
	assert_true(c->rates.message.burst > 9.9); /* the default stays where only one of the two is said */
	assert_true(c->rates.login_address.burst > 1.9 && c->rates.login_account.burst > 4.9);
	assert_int_equal(c->log_level, LOG_WARN);
	assert_int_equal(c->log_format, LOG_JSON);
}

static void a_bare_off_chooses_off(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct config *c = read_good(a, "server_name: x\nencryption_enabled_by_default_for_room_type: off\n");

	(void)state;
	assert_int_equal(c->rooms.encryption_default, CONFIG_ENCRYPT_OFF);
}

static void listeners_are_spread_over_addresses(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct config *c =
		read_good(a, "server_name: x\n"
			     "tls_certificate_path: c.pem\n"
			     "tls_private_key_path: k.pem\n"
			     "listeners:\n"
			     "  - {port: 8008, bind_addresses: ['127.0.0.1', '::1'], type: http, x_forwarded: true,\n"
			     "     resources: [{names: [client], compress: false}, {names: [federation]}]}\n"
			     "  - port: 8448\n"
			     "    tls: true\n"
			     "  - {port: 9000, type: metrics, bind_address: 10.0.0.1}\n");

	(void)state;
	assert_int_equal(c->n_listeners, 5);
	assert_str(c->listeners[1].address, "::1");
	assert_true(c->listeners[1].client && c->listeners[1].federation && c->listeners[1].x_forwarded);
	assert_int_equal(c->listeners[1].n_trusted_proxies, 8); /* this machine and private networks */
	assert_true(c->listeners[1].no_gzip && !c->listeners[1].tls && !c->listeners[1].metrics);
	assert_str(c->listeners[2].address, "::");
	assert_str(c->listeners[3].address, "0.0.0.0");
	assert_true(c->listeners[3].tls && c->listeners[3].client && !c->listeners[3].no_gzip);
	assert_int_equal(c->listeners[3].port, 8448);
	assert_str(c->listeners[4].address, "10.0.0.1");
	assert_true(c->listeners[4].metrics && !c->listeners[4].client);
}

static void a_database_becomes_a_connection_string(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct config *c =
		read_good(a, "server_name: x\n"
			     "database: {name: psycopg2, args: {user: synapse, database: s, host: '/run/p g',\n"
			     "  password: \"it's \\\\\", port: 5433, cp_min: 5, cp_max: 10, keepalives_idle: 10}}\n");

	(void)state;
	assert_int_equal(c->database.driver, CONFIG_PG);
	assert_int_equal(c->database.readers, 10);
	assert_str(c->database.conninfo, "user='synapse' dbname='s' host='/run/p g' password='it\\'s \\\\' port='5433' "
					 "keepalives_idle='10'");
	c = read_good(a, "server_name: x\ndatabase:\n  name: sqlite3\n  args:\n    database: /srv/homeserver.db\n");
	assert_int_equal(c->database.driver, CONFIG_SQLITE);
	assert_str(c->database.path, "/srv/homeserver.db");
}

static void terms_and_support(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct config *c = read_good(
		a, "server_name: x\n"
		   "terms:\n  policies:\n    privacy:\n      version: 1.0\n"
		   "      en: {name: Privacy, url: https://x/p}\n      de: {name: Datenschutz, url: https://x/d}\n"
		   "well_known_support: {contacts: [{role: m.role.admin, matrix_id: '@a:x'}]}\n");

	(void)state;
	assert_int_equal(c->n_policies, 2);
	assert_str(c->policies[1].id, "privacy");
	assert_str(c->policies[1].version, "1.0");
	assert_str(c->policies[1].language, "de");
	assert_str(c->policies[1].url, "https://x/d");
	assert_str(c->wellknown.support, "{\"contacts\":[{\"role\":\"m.role.admin\",\"matrix_id\":\"@a:x\"}]}");
}

/* A line that is wrong, behind "server_name: x\n": the message, whole. */
static const struct {
	const char *text, *message;
	bool fatal;
} complaints[] = {
	{ "max_upload_size: lots", "f:2: max_upload_size: expected a size such as 50M, found \"lots\"", true },
	{ "media_upload_limits: 5",
	  "f:2: media_upload_limits: expected a list such as "
	  "[{time_period: 1w, max_size: 1G}], found \"5\"",
	  true },
	{ "media_upload_limits: [5]",
	  "f:2: media_upload_limits: expected a map such as "
	  "{time_period: 1w, max_size: 1G}, found \"5\"",
	  true },
	{ "media_upload_limits: [{max_size: 1G}]", "f:2: media_upload_limits: expected a time_period and a max_size",
	  true },
	{ "media_upload_limits: [{max_size: x, time_period: 1d}]",
	  "f:2: media_upload_limits.max_size: expected a size such as 50M, found \"x\"", true },
	{ "media_upload_limits: [{max_size: 1M, time_period: 1d, info_uri: here}]",
	  "f:2: media_upload_limits.info_uri: expected an address such as https://example.org/limits, found \"here\"",
	  true },
	{ "max_pending_media_uploads: 0",
	  "f:2: max_pending_media_uploads: expected a whole number from 1 to 1000000, found 0", true },
	{ "max_upload_size: [1]", "f:2: max_upload_size: expected a size such as 50M, found a list", true },
	{ "max_upload_size: 0", "f:2: max_upload_size: expected a size from 1 to 1099511627776 bytes, found 0", true },
	{ "\n\nenable_registration: perhaps", "f:4: enable_registration: expected true or false, found \"perhaps\"",
	  true },
	{ "enable_registration: 'true'", "f:2: enable_registration: expected true or false, found \"true\"", true },
	{ "enable_registration: true",
	  "f:2: enable_registration: anybody could register: set registration_requires_token: true, or "
	  "enable_registration_without_verification: true if that is meant",
	  true },
	{ "trusted_key_servers: [matrix.org]",
	  "f:2: trusted_key_servers: expected a list such as [{server_name: example.org, verify_keys: "
	  "{\"ed25519:auto\": ...}}], found a list",
	  true },
	{ "trusted_key_servers: [{server_name: a.example, verify_keys: {\"ed25519:a\": short}}]",
	  "f:2: trusted_key_servers: expected a list such as [{server_name: example.org, verify_keys: "
	  "{\"ed25519:auto\": ...}}], found a list",
	  true },
	{ "bcrypt_rounds: 3", "f:2: bcrypt_rounds: expected a whole number from 4 to 31, found 3", true },
	{ "bcrypt_rounds: few", "f:2: bcrypt_rounds: expected a whole number from 4 to 31, found \"few\"", true },
	{ "session_lifetime: 9223372036854775807",
	  "f:2: session_lifetime: expected a duration of at most 1000y, found 9223372036854775807", true },
	{ "session_lifetime: soon", "f:2: session_lifetime: expected a duration such as 5m or 7d, found \"soon\"",
	  true },
	{ "limits: {request_timeout: 1ms}",
	  "f:2: limits.request_timeout: expected a duration from 1s to 3600s, found 1ms", true },
	{ "session_lifetime: 1h\nrefresh_token_lifetime: 2h",
	  "f:3: refresh_token_lifetime: is longer than session_lifetime", true },
	{ "default_room_version: 99",
	  "f:2: default_room_version: expected one of 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, found \"99\"", true },
	{ "public_baseurl: example.org",
	  "f:2: public_baseurl: expected an address such as https://matrix.example.org/, found \"example.org\"", true },
	{ "encryption_enabled_by_default_for_room_type: some",
	  "f:2: encryption_enabled_by_default_for_room_type: expected one of off, invite, all, found \"some\"", true },
	{ "rc_message: 5", "f:2: rc_message: expected a map such as {per_second: 0.2, burst_count: 10}, found \"5\"",
	  true },
	{ "rc_message: {per_second: fast}", "f:2: rc_message.per_second: expected a number not below 0, found \"fast\"",
	  true },
	{ "rc_message: {per_minute: 5}",
	  "f:2: rc_message.per_minute: unknown and ignored; a rate has per_second and burst_count", false },
	{ "rc_login: 5", "f:2: rc_login: expected a map, found \"5\"", true },
	{ "signing_key_path: [a]", "f:2: signing_key_path: expected a path, found a list", true },
	{ "default_power_level_content_override: {private_chat: 5}",
	  "f:2: default_power_level_content_override.private_chat: expected a map, found \"5\"", true },
	{ "listeners: 8008", "f:2: listeners: expected a list, found \"8008\"", true },
	{ "listeners: [{port: 1, trusted_proxies: [10.0.0.0/8, example.org, 1.2.3.4/40]}]",
	  "f:2: listeners.trusted_proxies: expected a list of addresses or networks such as [10.0.0.0/8], found "
	  "\"example.org\"\n"
	  "f:2: listeners.trusted_proxies: expected a list of addresses or networks such as [10.0.0.0/8], found "
	  "\"1.2.3.4/40\"",
	  true },
	{ "listeners: [8008]",
	  "f:2: listeners: expected a map such as {port: 8008, bind_addresses: [127.0.0.1]}, found \"8008\"", true },
	{ "listeners:\n  - {tls: false}", "f:3: listeners: expected a port", true },
	{ "listeners:\n  - {port: }", "f:3: listeners: expected a port", true },
	{ "listeners:\n  - {port: 1, bind_addresses: ['']}",
	  "f:3: listeners.bind_addresses: expected a list of addresses such as [127.0.0.1], found \"\"", true },
	{ "a: &a 127.0.0.1\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
	  "listeners: [{port: 1, bind_addresses: *b}, {port: 2, bind_addresses: *b}, {port: 3, bind_addresses: *b}]",
	  "f:2: a: unknown and ignored\nf:3: b: unknown and ignored\nf:4: listeners: expected at most 32 addresses in all",
	  true },
	{ "listeners:\n  - {port: 70000}", "f:3: listeners.port: expected a whole number from 0 to 65535, found 70000",
	  true },
	{ "listeners:\n  - port: 1\n    resources: [{names: [cleint]}]",
	  "f:4: listeners.resources.names: expected client, federation, metrics or health, found \"cleint\"", true },
	{ "listeners:\n  - {port: 1, tls: true}",
	  "f:2: listeners.tls: needs tls_certificate_path and tls_private_key_path", true },
	{ "listeners:\n  - {port: 1, prot: 2}",
	  "f:3: listeners.prot: unknown and ignored; did you mean listeners.port?", false },
	{ "database: x",
	  "f:2: database: expected a map such as {name: sqlite3, args: {database: hearth.db}}, found \"x\"", true },
	{ "database: {name: mysql}", "f:2: database.name: expected sqlite3 or psycopg2, found \"mysql\"", true },
	{ "database: {name: sqlite3, args: {database: ''}}", "f:2: database.args.database: expected a file", true },
	{ "database: {name: sqlite3, args: {database: ':memory:'}}", "f:2: database.args.database: expected a file",
	  true },
	{ "database: {name: psycopg2, args: {cp_max: 0}}",
	  "f:2: database.args.cp_max: expected a whole number from 1 to 1000, found \"0\"", true },
	{ "terms: {policies: {p: {version: 1}}}",
	  "f:2: terms.policies.p: expected a name and a url in one language at least", true },
	{ "well_known_support: {contacts: [{role: m.role.admin}]}",
	  "f:2: well_known_support.contacts: expected a role with a matrix_id or an email_address, found a map", true },
	{ "max_upload_siez: 5M", "f:2: max_upload_siez: unknown and ignored; did you mean max_upload_size?", false },
	{ "password_config: {peper: x}",
	  "f:2: password_config.peper: unknown and ignored; did you mean password_config.pepper?", false },
	{ "foo: 1", "f:2: foo: unknown and ignored", false },
	{ "qwertyuiop: 1", "f:2: qwertyuiop: unknown and ignored", false },
	{ "log_config: /x", "f:2: log_config: has no meaning here; ignored (see log.level and log.format)", false },
	{ "report_stats: true", "f:2: report_stats: ignored: this server reports nothing to anybody", false },
	{ "rc_joins: {remote: {per_second: 1}}", "f:2: rc_joins.remote: is not offered by this version; ignored",
	  false },
	{ "max_upload_size: 1M\nmax_upload_size: 2M", "f:2: max_upload_size: stands again in line 3, which counts",
	  false },
	{ "server_name: 'not valid!'",
	  "f:1: server_name: stands again in line 2, which counts\n"
	  "f:2: server_name: expected a server name such as example.org or example.org:8448, found \"not valid!\"",
	  true },
	{ "registration_shared_secret: a\nregistration_shared_secret_path: b",
	  "f:3: registration_shared_secret_path: stands beside registration_shared_secret: one of the two", true },
	{ "registration_shared_secret_path: /nonexistent/file",
	  "f:2: registration_shared_secret_path: cannot read a secret from /nonexistent/file", true },
	{ "bcrypt_rounds: 99\nmax_upload_size: x",
	  "f:2: bcrypt_rounds: expected a whole number from 4 to 31, found 99\n"
	  "f:3: max_upload_size: expected a size such as 50M, found \"x\"",
	  true },
	{ "a: &x [*x]", "f:2: nested too deeply", true },
	/* Bug: a hundred thousand brackets took libyaml 20 s. Nobody reads on to see that these are never closed. */
	{ "a:\n [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\n b", "f:3: nested too deeply", true },
	{ "[a]: b", "f:2: a key must be a word", true },
	{ "a: [b", "f:3: did not find expected ',' or ']'", true },
	{ "url_preview_ip_range_blacklist: [10.0.0.0/8, 10.0.0.0/99]",
	  "f:2: url_preview_ip_range_blacklist: expected an address or a network such as 10.0.0.0/8, found "
	  "\"10.0.0.0/99\"",
	  true },
	{ "url_preview_ip_range_blacklist: 10.0.0.0/8",
	  "f:2: url_preview_ip_range_blacklist: expected a list, found \"10.0.0.0/8\"", true },
	{ "ip_range_blacklist: [x]",
	  "f:2: ip_range_blacklist: expected an address or a network such as 10.0.0.0/8, found \"x\"", true },
	{ "dns_servers: ['192.0.2.1', '192.0.2.1:53', '2001:db8::1', '[2001:db8::1]', '[2001:db8::1]:53', dns.example]",
	  "f:2: dns_servers: expected an address such as 192.0.2.1 or [2001:db8::1]:53, found \"dns.example\"", true },
	{ "federation_domain_whitelist: [example.org, 'a b']",
	  "f:2: federation_domain_whitelist: expected a server name such as example.org, found \"a b\"", true },
	{ "federation_client_minimum_tls_version: 1.1",
	  "f:2: federation_client_minimum_tls_version: is 1.2 at least: older versions are not spoken", false },
	{ "federation: {max_short_retries: 5, client_timeout: 30s}",
	  "f:2: federation.max_short_retries: has no meaning here; ignored (see "
	  "federation.destination_min_retry_interval)",
	  false },
	{ "federation: {destination_max_retry_interval: 1s}",
	  "f:2: federation.destination_max_retry_interval: is shorter than federation.destination_min_retry_interval",
	  true },
	{ "url_preview_url_blacklist: [example.org]",
	  "f:2: url_preview_url_blacklist: expected a map such as {hostname: example.org}, found \"example.org\"",
	  true },
};

static void complaints_name_the_place_and_the_way_out(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(complaints); i++) {
		AUTO_ARENA a = arena_new();
		struct config_notes notes = { 0 };
		const str text = arena_join3(a, S("server_name: x\n"), str_c(complaints[i].text), S("\n"));
		const struct config *c = config_parse(a, S("f"), text, &notes);
		const str said = notes_text(a, &notes);

		if (!str_eq(said, str_c(complaints[i].message)) || (c == NULL) != complaints[i].fatal)
			fail_msg("%s\nsaid:     %.*s\nexpected: %s", complaints[i].text, STR_ARG(said),
				 complaints[i].message);
	}
}

static void a_file_needs_a_server_name(void **state)
{
	static const char *const texts[] = { "", "# nothing\n", "max_upload_size: 1M\n" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		AUTO_ARENA a = arena_new();
		struct config_notes notes = { 0 };

		assert_null(config_parse(a, S("f"), str_c(texts[i]), &notes));
		assert_str(notes_text(a, &notes), "f:1: server_name: is missing; set the name that user ids end in");
	}
}

static void what_is_no_yaml_is_refused(void **state)
{
	static const struct {
		str text, said;
	} cases[] = {
		{ STR("- a\n- b\n"), STR("f:1: expected `key: value` lines") },
		{ STR("\xff\xfe"), STR("f:1: not UTF-8") },
		{ STR("a: b: c\n"), STR("f:1: mapping values are not allowed in this context") },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA a = arena_new();
		struct config_notes notes = { 0 };

		assert_null(config_parse(a, S("f"), cases[i].text, &notes));
		if (!str_eq(notes_text(a, &notes), cases[i].said))
			fail_msg("%.*s", STR_ARG(notes_text(a, &notes)));
	}
}

/* Bug: what a few lines of aliases unfold to was written out to the end, though nobody had room for it. */
static void aliases_of_aliases_end(void **state)
{
	static const struct {
		const char *form;
		size_t lines;
	} cases[] = { { "[*x%zu, *x%zu, *x%zu, *x%zu, *x%zu, *x%zu, *x%zu, *x%zu]", 20 },
		      { "[[[[[[[[[[[[[[[*x%zu]]]]]]]]]]]]]]]", 1000 } };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_ARENA a = arena_new();
		AUTO_BUF text = BUF_INIT(1 << 20);
		struct config_notes notes = { 0 };
		str said;

		buf_add(&text, S("server_name: x\nextra_well_known_client_content:\n  x0: &x0 1\n"));
		for (size_t k = 1; k <= cases[i].lines; k++) {
			str rest = str_c(cases[i].form), piece;

			buf_printf(&text, "  x%zu: &x%zu ", k, k);
			while (str_split_next(&rest, '%', &piece)) {
				buf_add(&text, str_starts(piece, S("zu")) ? str_from(piece, 2) : piece);
				if (!str_is_none(rest))
					buf_printf(&text, "%zu", k - 1);
			}
			buf_byte(&text, '\n');
		}
		assert_null(config_parse(a, S("f"), buf_str(&text), &notes));
		said = notes_text(a, &notes);
		assert_str(said, "f:3: extra_well_known_client_content: is too long, or nested too deeply");
	}
}

static void a_missing_file_is_told(void **state)
{
	AUTO_ARENA a = arena_new();
	struct config_notes notes = { 0 };

	(void)state;
	assert_null(config_load(a, S("/nonexistent.yaml"), &notes));
	assert_str(notes_text(a, &notes), "/nonexistent.yaml: No such file or directory");
	assert_int_equal(notes.n_fatal, 1);
}

/* The file that Synapse's benchmark runs on: flow maps over a line each, empty lines between, keys we do not have. */
static void a_file_of_synapse_is_a_start(void **state)
{
	static const char text[] =
		"server_name: \"bench\"\npublic_baseurl: \"http://127.0.0.1:8208/\"\npid_file: /d/synapse.pid\n"
		"report_stats: false\nsuppress_key_server_warning: true\nlisteners:\n"
		"  - {port: 8208, bind_addresses: [127.0.0.1], type: http, tls: false, x_forwarded: false, resources: "
		"[{names: [client, federation]}]}\n\n\n"
		"database: {name: sqlite3, args: {database: '/d/homeserver.db'}}\nlog_config: /d/log.yaml\n"
		"media_store_path: /d/media\nsigning_key_path: /d/signing.key\nregistration_shared_secret: \"s\"\n"
		"macaroon_secret_key: m\nform_secret: f\nenable_registration: true\n"
		"enable_registration_without_verification: true\nbcrypt_rounds: 4\npresence: {enabled: false}\n"
		"max_upload_size: 50M\nurl_preview_enabled: false\ntrusted_key_servers: []\n"
		"federation_verify_certificates: false\nip_range_blacklist: []\n"
		"rc_message: {per_second: 1000000, burst_count: 1000000}\n"
		"rc_login: {address: {per_second: 1000000, burst_count: 1000000}, account: {per_second: 1000000, "
		"burst_count: 1000000}, failed_attempts: {per_second: 1000000, burst_count: 1000000}}\n"
		"rc_federation: {window_size: 1000, sleep_limit: 100000, sleep_delay: 1, reject_limit: 100000, "
		"concurrent: 100}\nrc_presence: {per_user: {per_second: 1, burst_count: 1}}\n";
	AUTO_ARENA a = arena_new();
	struct config_notes notes = { 0 };
	const struct config *c = config_parse(a, S("f"), str_c(text), &notes);

	(void)state;
	assert_non_null(c);
	assert_int_equal(notes.n_fatal, 0);
	assert_int_equal(notes.list.n, 9); /* one a key that means nothing here */
	assert_str(c->server_name, "bench");
	assert_true(c->rates.message.burst > 999999);
	assert_str(c->registration.shared_secret, "s");
}

/* A server without verify_keys is asked what it publishes; each key of one that has them is an entry. */
static void notaries_are_read(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct config_federation *c =
		&read_good(a,
			   "server_name: x\ntrusted_key_servers: [{server_name: a.example}, {server_name: b.example, "
			   "verify_keys: {\"ed25519:1\": VGhpcyBzaG91bGQgYmUgYSByZWFsIGVkMjU1MTkgcGE, "
			   "\"ed25519:2\": l8Hft5qXKn1vfHrg3p4+W8gELQVo8N13JkluMfmn2sQ}, accept_keys_insecurely: "
			   "true}]\n")
			 ->federation;

	(void)state;
	assert_int_equal(c->n_notaries, 3);
	assert_str(c->notaries[0].server_name, "a.example");
	assert_true(str_is_none(c->notaries[0].key_id) && !c->notaries[0].insecure);
	assert_str(c->notaries[1].server_name, "b.example");
	assert_str(c->notaries[1].key_id, "ed25519:1");
	assert_memory_equal(c->notaries[1].public_key, "This should be a real ed25519 pa", 32);
	assert_str(c->notaries[2].key_id, "ed25519:2");
	assert_true(c->notaries[2].insecure);
}

static void a_reload_changes_what_may_change(void **state)
{
	AUTO_ARENA a = arena_new();
	struct config_notes notes = { 0 };
	const struct config *old =
		read_good(a, "server_name: x\nmax_upload_size: 1M\nrc_message: {per_second: 1}\n"
			     "media_upload_limits: [{max_size: 1M, time_period: 1d}]\n"
			     "url_preview_accept_language: [de]\nurl_preview_ip_range_whitelist: ['::1']\n");
	const struct config *new =
		read_good(a, "server_name: y\nmax_upload_size: 1M\nrc_message: {per_second: 2}\n"
			     "media_upload_limits: [{max_size: 2M, time_period: 1d}]\n"
			     "url_preview_accept_language: [fr]\nurl_preview_ip_range_whitelist: ['::1']\n"
			     "rc_login: {account: {burst_count: 77}}\n"
			     "listeners: [{port: 1, bind_addresses: [127.0.0.1]}]\nlog: {level: error}\n");
	const struct config *now = config_merge(a, old, new, &notes);

	(void)state;
	assert_str(now->server_name, "x");
	assert_int_equal(now->listeners[0].port, 8008);
	assert_int_equal(now->media.limits[0].max_size, 1 << 20);
	assert_int_equal(now->log_level, LOG_ERROR);
	assert_true(now->rates.message.per_second > 1.9);
	assert_str(notes_text(a, &notes), "server_name: takes effect when the server is started again\n"
					  "listeners: takes effect when the server is started again\n"
					  "media_upload_limits: takes effect when the server is started again\n"
					  "url_preview_accept_language: takes effect when the server is started again\n"
					  "rc_login.account: takes effect when the server is started again");
	notes = (struct config_notes){ 0 };
	now = config_merge(a, old, old, &notes);
	assert_int_equal(notes.list.n, 0);
}

/* What generate-config writes is a good file, also with every example in it taken out of its comment. */
static void the_generated_file_is_good(void **state)
{
	AUTO_ARENA a = arena_new();
	AUTO_BUF out = BUF_INIT(1 << 20), bare = BUF_INIT(1 << 20);
	const struct config *c;
	str text, line;

	(void)state;
	config_generate(&out, S("example.org"), S("/srv/h"));
	text = arena_keep(a, buf_str(&out));
	c = read_good(a, text.p);
	assert_str(c->server_name, "example.org");
	assert_str(c->signing_key_path, "/srv/h/signing.key");
	{
		AUTO_BUF odd = BUF_INIT(1 << 20);

		config_generate(&odd, S("example.org"), S("/srv/\"h\\"));
		assert_str(read_good(a, arena_keep(a, buf_str(&odd)).p)->data_dir, "/srv/\"h\\");
	}
	while (str_split_next(&text, '\n', &line)) {
		const str rest = line.n > 1 && line.p[0] == '#' ? str_from(line, 1) : line;

		/* Prose is "# ...", a setting "#key: ..." or "#  key: ...": prose within a group is "#  # ...". */
		if (rest.p == line.p || rest.p[0] != ' ' || str_starts(rest, S("  "))) {
			if (!str_starts(rest, S("registration_shared_secret_path")) && !str_starts(rest, S("#")))
				buf_add(&bare, rest);
			buf_byte(&bare, '\n');
		}
	}
	c = read_good(a, arena_keep(a, buf_str(&bare)).p);
	assert_int_equal(c->database.driver, CONFIG_PG);
	assert_int_equal(c->n_policies, 1);
	assert_true(c->rates.login_failed.burst > 2.9 && c->rates.login_failed.burst < 3.1);
}

static void the_manual_names_every_option(void **state)
{
	AUTO_BUF out = BUF_INIT(1 << 20);

	(void)state;
	config_write_man(&out);
	assert_false(out.overflow);
	assert_true(str_contains(buf_str(&out), S(".B password_config.policy.minimum_length\n")));
	assert_true(str_contains(buf_str(&out), S("(number; default: 12; 4 to 31)\n")));
	assert_true(str_contains(buf_str(&out), S(".B listeners.port\n")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_file_everything_is_in_data),
		cmocka_unit_test(every_kind_of_value_is_read),
		cmocka_unit_test(a_bare_off_chooses_off),
		cmocka_unit_test(listeners_are_spread_over_addresses),
		cmocka_unit_test(a_database_becomes_a_connection_string),
		cmocka_unit_test(terms_and_support),
		cmocka_unit_test(complaints_name_the_place_and_the_way_out),
		cmocka_unit_test(a_file_needs_a_server_name),
		cmocka_unit_test(what_is_no_yaml_is_refused),
		cmocka_unit_test(aliases_of_aliases_end),
		cmocka_unit_test(a_missing_file_is_told),
		cmocka_unit_test(a_file_of_synapse_is_a_start),
		cmocka_unit_test(notaries_are_read),
		cmocka_unit_test(a_reload_changes_what_may_change),
		cmocka_unit_test(the_generated_file_is_good),
		cmocka_unit_test(the_manual_names_every_option),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
