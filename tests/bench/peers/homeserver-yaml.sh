# Writes $DIR/homeserver.yaml, which both Synapse and Hearth read: sourced by their start scripts, after common.sh and DB are set.
FREE='{per_second: 1000000, burst_count: 1000000}'
cat > "$DIR/homeserver.yaml" <<Y
server_name: "$NAME"
public_baseurl: "http://127.0.0.1:$PORT/"
pid_file: $DIR/synapse.pid
report_stats: false
suppress_key_server_warning: true
listeners:
  - {port: $PORT, bind_addresses: [127.0.0.1], type: http, tls: false, x_forwarded: false, resources: [{names: [client, federation]}]}
$([ -n "$FEDPORT" ] && echo "  - {port: $FEDPORT, bind_addresses: [127.0.0.1], type: http, tls: true, resources: [{names: [client, federation]}]}")
$([ -n "$FEDPORT" ] && printf 'tls_certificate_path: %s/tls.crt\ntls_private_key_path: %s/tls.key\n' "$DIR" "$DIR")
database: $DB
log_config: $DIR/log.yaml
media_store_path: $DIR/media
signing_key_path: $DIR/signing.key
registration_shared_secret: "$SECRET"
macaroon_secret_key: bench-macaroon
form_secret: bench-form
enable_registration: true
enable_registration_without_verification: true
$([ -n "$BCRYPT" ] && echo "bcrypt_rounds: $BCRYPT")
presence: {enabled: $PRESENCE}
max_upload_size: 50M
url_preview_enabled: false
trusted_key_servers: []
federation_verify_certificates: false
ip_range_blacklist: []
rc_message: $FREE
rc_registration: $FREE
rc_registration_token_validity: $FREE
rc_login: {address: $FREE, account: $FREE, failed_attempts: $FREE}
rc_admin_redaction: $FREE
rc_joins: {local: $FREE, remote: $FREE}
rc_joins_per_room: $FREE
rc_3pid_validation: $FREE
rc_invites: {per_room: $FREE, per_user: $FREE, per_issuer: $FREE}
rc_third_party_invite: $FREE
rc_media_create: $FREE
rc_federation: {window_size: 1000, sleep_limit: 100000, sleep_delay: 1, reject_limit: 100000, concurrent: 100}
rc_presence: {per_user: $FREE}
rc_delayed_event_mgmt: $FREE
rc_reports: $FREE
rc_room_creation: $FREE
rc_user_directory: $FREE
Y
