/*
 * config.h - the settings of the server, read from YAML under the names of Synapse's homeserver.yaml.
 *
 * One table (config/options.c) says of every option what it is called, its type, range, default and meaning; parsing,
 * `generate-config`, the manual page and the error messages all come from it. A `struct config` is immutable: a reload
 * makes a new one. Its strings live as long as the arena it was loaded in. Sizes in bytes, times in milliseconds.
 */
#pragma once

#include "base/err.h"
#include "base/ip.h"
#include "base/log.h"

struct buf;

/* How often something may be done: a bucket of `burst`, refilled at `per_second`. */
struct config_rate {
	double per_second, burst;
};

enum { CONFIG_MOST_LISTENERS = 32 }; /* as many as http/ takes */
struct config_listener {             /* one for every address that a listener names */
	str address;
	uint16_t port;
	bool tls, x_forwarded, no_gzip;
	bool client, federation, metrics, health;
	const struct ip_net *trusted_proxies; /* whose X-Forwarded-For is believed, with x_forwarded */
	size_t n_trusted_proxies;
};

struct config_database {
	enum { CONFIG_SQLITE, CONFIG_PG } driver;
	str path;         /* SQLite: the file */
	str conninfo;     /* PostgreSQL: for libpq */
	unsigned readers; /* PostgreSQL: cp_max; 0: chosen by the store */
};

/* A document that a new user accepts (m.login.terms), in one language. */
struct config_policy {
	str id, version, language, name, url;
};

struct config_registration {
	bool enabled, without_verification, requires_token, inhibit_user_in_use_error;
	str shared_secret; /* STR_NONE: none */
	str shared_secret_path;
};

struct config_passwords { /* how people prove who they are, and what new passwords must be like */
	bool enabled, localdb_enabled;
	str pepper;
	int64_t bcrypt_rounds;
	struct {
		bool enabled;
		int64_t minimum_length;
		bool require_digit, require_symbol, require_lowercase, require_uppercase;
	} policy;
};

struct config_sessions { /* 0: without end; refreshable 0: refresh tokens are not given */
	int64_t lifetime, refreshable_access_token_lifetime, nonrefreshable_access_token_lifetime,
		refresh_token_lifetime;
	int64_t ui_auth_timeout;
	bool via_existing, via_existing_needs_ui_auth;
	int64_t via_existing_token_timeout;
};

struct config_rates { /* burst 0: no limit */
	struct config_rate message, registration, registration_token_validity, login_address, login_account,
		login_failed;
	struct config_rate joins_local, joins_per_room, invites_per_room, invites_per_user, invites_per_issuer;
	struct config_rate room_creation, user_directory, reports, media_create, presence;
};

struct config_rooms {
	str default_version;
	int64_t dummy_events_threshold;
	/* Members to put over a preset's power levels ("power_level_content_override" of createRoom), as JSON;
	 * STR_NONE: none. */
	str power_private_chat, power_trusted_private_chat, power_public_chat;
	enum { CONFIG_ENCRYPT_OFF, CONFIG_ENCRYPT_INVITE, CONFIG_ENCRYPT_ALL } encryption_default;
	bool public_without_auth, public_to_servers, list_search;
	int64_t filter_timeline_limit;
};

struct config_profiles { /* may people read them without a login, and change their own */
	bool require_auth, to_servers, set_displayname, set_avatar_url;
};

struct config_experimental { /* what is no part of the specification yet */
	bool dehydrated_devices;
};

struct config_user_directory { /* searching for people */
	bool enabled, search_all_users;
};

struct config_presence { /* milliseconds */
	enum { CONFIG_PRESENCE_OFF, CONFIG_PRESENCE_ON, CONFIG_PRESENCE_UNTRACKED } enabled;
	bool use_presence; /* the older name; `enabled` has it in it */
	bool include_offline_users_on_sync;
	int64_t last_active_granularity, sync_online_timeout, idle_timeout;
};

struct config_wellknown {
	str client_extra;    /* further members of /.well-known/matrix/client, as a JSON object; or STR_NONE */
	str support;         /* the whole of /.well-known/matrix/support, as a JSON object; or STR_NONE */
	str identity_server; /* default_identity_server */
};

struct config_list { /* of texts; p NULL: not said */
	const str *p;
	size_t n;
};

struct config_previews {
	bool enabled;
	struct config_list denied, allowed; /* networks */
	str url_rules;                      /* JSON: a list of {part: pattern}; STR_NONE: none */
	int64_t max_bytes;                  /* of a page or an image */
	struct config_list languages;
	bool no_known_providers;      /* of oEmbed */
	struct config_list providers; /* files that list further ones */
};

/* Uploads by one user within a time. */
struct config_upload_limit {
	int64_t period, max_size;
	str info_uri; /* STR_NONE: none */
	bool can_upgrade;
};
struct config_thumbnail {
	int64_t width, height;
	enum config_thumbnail_method { CONFIG_SCALE, CONFIG_CROP } method;
};
struct config_media {
	bool authenticated; /* what is uploaded now is shown to nobody without a login */
	int64_t unused_expiration, max_pending;
	const struct config_upload_limit *limits;
	size_t n_limits;
	const struct config_thumbnail *thumbnails;
	size_t n_thumbnails;
	bool dynamic_thumbnails;
	int64_t max_image_pixels;
	struct config_list prevented; /* servers whose files are not fetched */
};

struct config_limits { /* connections, milliseconds, threads, users */
	int64_t max_connections, request_timeout, shutdown_timeout;
	int64_t workers_fast, workers_slow, workers_federation, workers_remote, max_watched_users;
};

struct config_notary {
	str server_name, key_id; /* key_id STR_NONE: any that it publishes */
	uint8_t public_key[32];
	bool insecure; /* accept_keys_insecurely */
};

struct config_federation {
	str old_signing_keys;                   /* JSON: key id to {"key", "expired_ts"}; STR_NONE: none */
	int64_t key_refresh_interval;           /* milliseconds */
	int64_t origin_running, origin_waiting; /* requests of one server */
	str trusted_key_servers;                /* JSON, as it was given; read, it is: */
	const struct config_notary *notaries;   /* those of one server follow each other */
	size_t n_notaries;
	bool serve_well_known;
	struct config_list whitelist;       /* domains; n 0: none; not said: all */
	struct config_list denied, allowed; /* networks */
	struct config_list dns_servers;
	struct config_list authorities; /* files */
	bool verify_certificates;
	struct config_list trusted; /* globs of hosts whose certificates are not checked */
	enum { CONFIG_TLS_10, CONFIG_TLS_11, CONFIG_TLS_12, CONFIG_TLS_13 } minimum_tls;
	int64_t client_timeout, min_retry, max_retry; /* milliseconds */
	int64_t retry_multiplier;
	bool device_names; /* are they told to other servers */
};

struct config {
	str file; /* as it was given; STR_NONE: none, all defaults */
	str server_name;
	str public_baseurl; /* STR_NONE: not said */
	str data_dir;
	str signing_key_path, media_store_path;
	int64_t max_upload_size;
	struct config_media media;
	struct config_previews previews;
	str tls_certificate_path, tls_private_key_path;
	const struct config_listener *listeners;
	size_t n_listeners;
	struct config_database database;
	struct config_registration registration;
	struct config_passwords passwords;
	struct config_sessions sessions;
	struct config_rates rates;
	struct config_rooms rooms;
	struct config_profiles profiles;
	struct config_user_directory user_directory;
	struct config_experimental experimental;
	struct config_presence presence;
	struct config_wellknown wellknown;
	struct config_limits limits;
	struct config_federation federation;
	const struct config_policy *policies;
	size_t n_policies;
	enum log_level log_level;
	enum log_format log_format;
};

/* What the reader of a configuration should hear: "homeserver.yaml:12: max_upload_size: expected ..., found ...". */
struct config_note {
	bool fatal; /* the server does not start with it */
	str text;
};
struct config_notes {
	VEC(struct config_note) list;
	size_t n_fatal;
};

/* The settings of a YAML text called `name` in messages. NULL where a note is fatal; every bad value has a note. */
const struct config *config_parse(struct arena *a, str name, str text, struct config_notes *notes);
/* The settings of a file. NULL when it cannot be read or is wrong: the notes say why. */
const struct config *config_load(struct arena *a, str path, struct config_notes *notes);
/* The settings without a file: server_name localhost, 127.0.0.1:8008, everything in ./data. */
const struct config *config_default(struct arena *a);
/* The settings after a reload: those of `new` that may change while the server runs, the others still as in `old`; each
 * of these that differs has a note. Both must live as long as the result. */
const struct config *config_merge(struct arena *a, const struct config *old, const struct config *new,
				  struct config_notes *notes);

/* A commented file with every option: `hearth generate-config`. */
void config_generate(struct buf *out, str server_name, str data_dir);
/* The manual page's section on options, in man(7) macros. */
void config_write_man(struct buf *out);
