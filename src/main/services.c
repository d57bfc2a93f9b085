/*
 * services.c - the services, each made with what it stands on, and what passes between them by callback.
 *
 * The order is that of the ranks: settings, store, bus, keys, accounts, rooms, jobs. What a low one needs of a high one
 * is a hook set here. They are taken down in the opposite order, and only after http/ and the control socket have
 * stopped, so that nobody calls into what is gone.
 */
#include "bus/bus.h"
#include "cli/files.h"
#include "e2ee/backup.h"
#include "e2ee/to_device.h"
#include "federation/outbox.h"
#include "flow/deactivate.h"
#include "flow/profile_spread.h"
#include "flow/successor.h"
#include "main/server.h"
#include "media/media.h"
#include "media/preview.h"
#include "media/thumbnail.h"
#include "matrix/push_rules.h"
#include "presence/presence.h"
#include "room/erased.h"
#include "room/notify.h"
#include "room/purge.h"
#include "room/room.h"
#include "room/typing.h"
#include "user/profile.h"
#include "sync/sync.h"
#include "user/user.h"

#include <stdatomic.h>

static err *open_store(struct server *s)
{
	const struct config_database *db = &s->config->database;
	const struct store_options opt = {
		.driver = db->driver == CONFIG_PG ? STORE_PG : STORE_SQLITE,
		.path = db->path,
		.conninfo = db->conninfo,
		.readers = db->readers,
	};

	return store_open(s->a, &opt, &s->store);
}

static void on_commit(void *ctx, int64_t position) { bus_advance(ctx, position); }

/* The bus begins where the database stands, and moves with every commit. */
static err *open_bus(struct server *s)
{
	AUTO_TX tx = NULL;
	int64_t position;

	TRY(store_read(s->store, s->a, &tx));
	TRY(store_stream_head(tx, &position));
	s->services.bus = bus_new((size_t)s->config->limits.max_watched_users);
	bus_advance(s->services.bus, position);
	store_on_commit(s->store, on_commit, s->services.bus);
	return NULL;
}

static const struct user_policy *policies_of(struct server *s)
{
	const struct config *c = s->config;
	struct user_policy *p = ARENA_ARRAY(s->a, struct user_policy, c->n_policies);

	for (size_t i = 0; i < c->n_policies; i++)
		p[i] = (struct user_policy){ c->policies[i].id, c->policies[i].version, c->policies[i].language,
					     c->policies[i].name, c->policies[i].url };
	return p;
}

static err *on_deactivated(void *ctx, struct arena *a, int64_t user, str user_id)
{
	const struct server *s = ctx;

	TRY(backup_forget_user(s->services.e2ee, a, user));
	/* Not yet made where this is what the last run of the server left undone. */
	if (s->services.presence)
		presence_forget(s->services.presence, a, user);
	TRY(rooms_erased_learn(s->services.rooms, a, user));
	return deactivate_rooms(s->services.rooms, s->log, a, user, user_id);
}

static void open_e2ee(struct server *s)
{
	const struct e2ee_options opt = {
		.store = s->store,
		.bus = s->services.bus,
		.log = s->log,
		.server_name = s->config->server_name,
		.tell_device_names = s->config->federation.device_names,
	};

	s->services.e2ee = e2ee_new(&opt);
}

static void open_users(struct server *s)
{
	const struct config *c = s->config;
	const struct config_passwords *pw = &c->passwords;
	const struct users_options opt = {
		.store = s->store,
		.bus = s->services.bus,
		.e2ee = s->services.e2ee,
		.log = s->log,
		.server_name = c->server_name,
		.enable_registration = c->registration.enabled,
		.registration_requires_token = c->registration.requires_token,
		.inhibit_user_in_use_error = c->registration.inhibit_user_in_use_error,
		.disable_password_login = !pw->enabled || !pw->localdb_enabled,
		.registration_shared_secret = c->registration.shared_secret,
		.password_pepper = pw->pepper,
		.cheap_hashes = pw->bcrypt_rounds < 8,
		.password_policy = { pw->policy.enabled, pw->policy.minimum_length, pw->policy.require_digit,
				     pw->policy.require_symbol, pw->policy.require_lowercase,
				     pw->policy.require_uppercase },
		.policies = policies_of(s),
		.n_policies = c->n_policies,
		.session_lifetime_ms = c->sessions.lifetime,
		.refreshable_access_token_lifetime_ms = c->sessions.refreshable_access_token_lifetime,
		.nonrefreshable_access_token_lifetime_ms = c->sessions.nonrefreshable_access_token_lifetime,
		.refresh_token_lifetime_ms = c->sessions.refresh_token_lifetime,
		.uia_session_timeout_ms = c->sessions.ui_auth_timeout,
		.login_via_existing_session = c->sessions.via_existing,
		.login_via_existing_session_needs_uia = c->sessions.via_existing_needs_ui_auth,
		.login_token_lifetime_ms = c->sessions.via_existing_token_timeout,
		.hooks_ctx = s,
		.on_deactivated = on_deactivated,
		.rate_account = { c->rates.login_account.per_second, c->rates.login_account.burst },
		.rate_failed = { c->rates.login_failed.per_second, c->rates.login_failed.burst },
	};

	s->services.users = users_new(&opt);
}

static err *open_media(struct server *s)
{
	const struct config *c = s->config;
	struct media_limit *limits = ARENA_ARRAY(s->a, struct media_limit, c->media.n_limits);
	const struct media_options opt = {
		.store = s->store,
		.bus = s->services.bus,
		.log = s->log,
		.server_name = c->server_name,
		.dir = c->media_store_path,
		.max_upload_size = c->max_upload_size,
		.open = !c->media.authenticated,
		.unused_expiration_ms = c->media.unused_expiration,
		.max_pending = c->media.max_pending,
		.limits = limits,
		.n_limits = c->media.n_limits,
	};

	for (size_t i = 0; i < c->media.n_limits; i++)
		limits[i] = (struct media_limit){ c->media.limits[i].max_size, c->media.limits[i].period,
						  c->media.limits[i].info_uri, c->media.limits[i].can_upgrade };
	return media_new(s->a, &opt, &s->services.media);
}

static void open_thumbnails(struct server *s)
{
	const struct config_media *c = &s->config->media;
	struct thumbnail_size *sizes = ARENA_ARRAY(s->a, struct thumbnail_size, c->n_thumbnails);
	const struct imager_options imager = {
		.log = s->log,
		.max_pixels = c->max_image_pixels,
	};

	for (size_t i = 0; i < c->n_thumbnails; i++)
		sizes[i] = (struct thumbnail_size){ (uint32_t)c->thumbnails[i].width, (uint32_t)c->thumbnails[i].height,
						    c->thumbnails[i].method == CONFIG_CROP };
	s->services.imager = imager_new(&imager);
	const struct thumbnails_options thumbnails = {
		.media = s->services.media,
		.imager = s->services.imager,
		.sizes = sizes,
		.n_sizes = c->n_thumbnails,
		.dynamic = c->dynamic_thumbnails,
	};

	s->services.thumbnails = thumbnails_new(&thumbnails);
}

static err *profile_names(void *ctx, struct arena *a, int64_t user, str *out_displayname, str *out_avatar_url)
{
	return user_profile_names(ctx, a, user, out_displayname, out_avatar_url);
}

static err *open_rooms(struct server *s)
{
	const struct config_rooms *c = &s->config->rooms;
	const struct room_version *version = room_version_find(c->default_version);
	const struct rooms_options opt = {
		.store = s->store,
		.bus = s->services.bus,
		.log = s->log,
		.signer = s->signer,
		.default_version = version,
		.most_extremities = (size_t)c->dummy_events_threshold,
		.profile = profile_names,
		.profile_ctx = s->services.users,
		.power_private_chat = c->power_private_chat,
		.power_trusted_private_chat = c->power_trusted_private_chat,
		.power_public_chat = c->power_public_chat,
		.encrypt_invite_rooms = c->encryption_default == CONFIG_ENCRYPT_INVITE,
		.pool = s->pool,
		.encrypt_all_rooms = c->encryption_default == CONFIG_ENCRYPT_ALL,
	};

	if (!version)
		return err_new(s->a, ERR_CONFIG, "default_room_version: this server does not know version %.*s",
			       STR_ARG(c->default_version));
	return rooms_new(s->a, &opt, &s->services.rooms);
}

static void on_member(void *ctx, const struct rooms_stored *ev)
{
	const bool before = ev->member_before == MEMBER_JOIN, after = ev->member_after == MEMBER_JOIN;

	if (!before && after)
		presence_joined(ctx, ev->row->state_key, ev->room);
	if (before && !after)
		presence_left(ctx, ev->row->state_key, ev->room);
}

static err *open_presence(struct server *s)
{
	const struct config_presence *c = &s->config->presence;
	const struct presence_options opt = {
		.store = s->store,
		.bus = s->services.bus,
		.enabled = c->enabled != CONFIG_PRESENCE_OFF,
		.tracked = c->enabled == CONFIG_PRESENCE_ON,
		.active_ms = c->last_active_granularity,
		.online_ms = c->sync_online_timeout,
		.idle_ms = c->idle_timeout,
		.include_offline = c->include_offline_users_on_sync,
	};

	TRY(presence_new(s->a, &opt, &s->services.presence));
	rooms_on_stored(s->services.rooms, on_member, s->services.presence);
	return NULL;
}

static err *open_syncs(struct server *s)
{
	const struct syncs_options opt = {
		.store = s->store,
		.bus = s->services.bus,
		.users = s->services.users,
		.rooms = s->services.rooms,
		.notify = s->services.notify,
		.e2ee = s->services.e2ee,
		.typing = s->services.typing,
		.presence = s->services.presence,
	};

	return syncs_new(s->a, &opt, &s->services.syncs);
}

/* Accounts whose closing was interrupted leave the rest of their rooms. */
static void finish_deactivations(struct server *s)
{
	const err *e = users_deactivate_rest(s->services.users, s->a);

	if (e)
		log_warn(s->log, "deactivated accounts are still in rooms; tried again at the next start",
			 F("error", e->msg));
}

err *server_open_services(struct server *s)
{
	TRY(folder_make(s->a, s->config->data_dir));
	TRY(folder_lock(s->a, s->config->data_dir));
	TRY(signing_key_load(s->a, s->config->signing_key_path, true, &s->key));
	s->signer = (struct signer){ s->config->server_name, s->key.id, &s->key.key };
	s->services.signer = &s->signer;
	TRY(open_store(s));
	TRY(open_bus(s));
	open_e2ee(s);
	open_users(s);
	TRY(server_open_federation(s));
	TRY(open_media(s));
	open_thumbnails(s);
	TRY(server_open_previews(s));
	TRY(open_rooms(s));
	TRY(server_open_shared_rooms(s));
	push_rules_init();
	s->services.notify = notify_new(s->services.rooms, s->services.users);
	s->services.typing = typing_new(s->services.bus, s->services.rooms);
	TRY(open_presence(s));
	server_tell_of_users(s);
	TRY(open_syncs(s));
	s->services.spread = profile_spread_new(s->services.users, s->services.rooms, s->log);
	s->successors = successors_new(s->services.users, s->services.rooms, s->log);
	rooms_purging_start(s->services.rooms);
	backup_sweeping_start(s->services.e2ee);
	finish_deactivations(s);
	server_start_shared_rooms(s);
	atomic_store(&s->services.config, s->config);
	return NULL;
}

void server_close_services(struct server *s)
{
	struct services *all = &s->services;

	server_stop_shared_rooms(s);
	if (all->rooms)
		rooms_purging_stop(all->rooms);
	if (all->e2ee)
		backup_sweeping_stop(all->e2ee);
	if (all->spread)
		profile_spread_free(&all->spread);
	successors_stop(s->successors);
	syncs_free(&all->syncs);
	thumbnails_free(&all->thumbnails);
	imager_free(&all->imager);
	previews_free(&all->previews);
	media_free(&all->media);
	if (all->users)
		users_free(&all->users);
	if (all->e2ee)
		to_device_flush(all->e2ee);
	presence_stop(all->presence);
	typing_stop(all->typing);
	server_close_federation(s);
	store_close(&s->store);
	outbox_free(&all->outbox);
	if (all->e2ee)
		e2ee_free(&all->e2ee);
	server_close_shared_rooms(s);
	server_close_presence(s);
	presence_free(&all->presence); /* the last commits told them what became of the rooms' events */
	typing_free(&all->typing);
	notify_free(&all->notify);
	successors_free(&s->successors);
	rooms_free(&all->rooms);
	if (all->bus)
		bus_free(&all->bus);
}
