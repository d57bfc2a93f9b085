/*
 * ignored.c - keys of Synapse's homeserver.yaml that are not taken, each with what the operator should know.
 *
 * A key stands here with all that is below it. One warning a key: a file that was Synapse's stays readable, and nothing
 * in it is dropped in silence.
 */
#include "config/internal_options.h"

#define NOT_HERE  "has no meaning here; ignored"
#define NOT_BUILT "is not offered by this version; ignored"

static const struct {
	const char *keys; /* separated by spaces */
	const char *reason;
} ignored[] = {
	{ "log_config log_file", "has no meaning here; ignored (see log.level and log.format)" },
	{ "report_stats report_stats_endpoint", "ignored: this server reports nothing to anybody" },
	{ "user_consent", "is not offered by this version; ignored (see terms)" },
	{ "enable_metrics metrics_flags metrics_port metrics_bind_host",
	  "has no meaning here; ignored (a listener with the resource `metrics` serves them)" },
	{ "federation.max_short_retry_delay federation.max_long_retry_delay federation.max_short_retries "
	  "federation.max_long_retries",
	  "has no meaning here; ignored (see federation.destination_min_retry_interval)" },
	{ "pid_file daemonize print_pidfile use_frozen_dicts soft_file_limit gc_thresholds gc_min_interval manhole "
	  "manhole_settings event_cache_size caches macaroon_secret_key macaroon_secret_key_path form_secret "
	  "form_secret_path suppress_key_server_warning modules server_context templates "
	  "password_providers spam_checker third_party_event_rules stats opentracing sentry background_updates "
	  "worker_replication_secret worker_replication_secret_path start_pushers pusher_instances send_federation "
	  "federation_sender_instances instance_map stream_writers outbound_federation_restricted_to "
	  "run_background_tasks_on update_user_directory_from_worker notify_appservices_from_worker "
	  "media_instance_running_background_jobs redis worker_app worker_name worker_listeners worker_manhole "
	  "worker_daemonize worker_pid_file worker_log_config databases bind_host bind_port no_tls",
	  NOT_HERE },
	{ "user_agent_suffix web_client_location "
	  "limit_profile_requests_to_users_who_share_rooms user_directory.prefer_local_users "
	  "user_directory.show_locked_users presence.presence_router include_profile_data_on_invite "
	  "block_non_admin_invites enable_search "
	  "http_proxy https_proxy no_proxy_hosts matrix_authentication_service delete_stale_devices_after email "
	  "max_event_delay_duration user_types admin_contact hs_disabled hs_disabled_message limit_usage_by_mau "
	  "max_mau_value mau_trial_days mau_appservice_trial_days mau_limit_alerting mau_stats_only "
	  "mau_limit_reserved_threepids limit_remote_rooms require_membership_for_aliases allow_per_room_profiles "
	  "max_avatar_size allowed_avatar_mimetypes redaction_retention_period forgotten_room_retention_period "
	  "user_ips_max_age request_token_inhibit_3pid_errors next_link_domain_whitelist retention "
	  "federation_whitelist_endpoint_enabled federation_metrics_domains "
	  "rc_admin_redaction rc_joins.remote rc_3pid_validation "
	  "rc_third_party_invite rc_federation.window_size rc_federation.sleep_limit rc_federation.sleep_delay rc_delayed_event_mgmt rc_profile "
	  "federation_rr_transactions_per_room_per_second enable_media_repo "
	  "enable_local_media_storage media_storage_providers "
	  "remote_media_download_burst_count remote_media_download_per_second "
	  "media_retention "
	  "recaptcha_public_key recaptcha_public_key_path recaptcha_private_key "
	  "recaptcha_private_key_path enable_registration_captcha recaptcha_siteverify_api turn_uris turn_shared_secret "
	  "turn_shared_secret_path turn_username turn_password turn_user_lifetime turn_allow_guests matrix_rtc "
	  "registrations_require_3pid disable_msisdn_registration allowed_local_3pids enable_3pid_lookup "
	  "allow_guest_access account_threepid_delegates enable_3pid_changes auto_join_rooms "
	  "autocreate_auto_join_rooms autocreate_auto_join_rooms_federated autocreate_auto_join_room_preset "
	  "auto_join_mxid_localpart auto_join_rooms_for_guests allow_underscore_prefixed_registration room_prejoin_state "
	  "track_puppeted_user_ips app_service_config_files track_appservice_user_ips use_appservice_legacy_authorization "
	  "key_server_signing_keys_path saml2_config "
	  "oidc_providers cas_config sso jwt_config push user_directory.exclude_remote_users server_notices "
	  "alias_creation_rules room_list_publication_rules forget_rooms_on_leave exclude_rooms_from_sync "
	  "exclude_rooms_from_presence auto_accept_invites account_validity",
	  NOT_BUILT },
};

const char *ignored_reason(str path)
{
	for (size_t i = 0; i < ARRAY_LEN(ignored); i++) {
		str rest = str_c(ignored[i].keys), key;

		while (str_split_next(&rest, ' ', &key)) {
			if (str_eq(key, path))
				return ignored[i].reason;
		}
	}
	return NULL;
}
