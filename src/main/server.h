/* server.h - the running server: what main/ makes, in the order it is made. */
#pragma once

#include "api/services.h"
#include "cli/control.h"
#include "cli/signing_key.h"
#include "config/config.h"
#include "federation/tls_rules.h"
#include "http/server.h"
#include "matrix/sign.h"
#include "store/store.h"

/* Which file it was, as far as its metadata tell. */
struct file_mark {
	int64_t device, inode, size, seconds, nanoseconds;
};

struct server {
	struct arena *a; /* lives as long as the server: settings, key, names */
	const struct config *config;
	const struct log *log;
	struct signing_key key;
	struct signer signer; /* the same, with its server's name */
	struct store *store;
	struct services services;
	/* federation.c's */
	struct client_nets nets;
	struct tls_rules tls;
	struct discovery *discovery;
	struct pool *pool; /* verifies signatures along with whoever asks */
	struct policies *policies;
	struct missing *missing;
	struct outgoing_presence *outgoing_presence;
	struct successors *successors;
	struct http *http;
	size_t n_listening;                          /* sockets */
	struct file_mark certificate_mark, key_mark; /* as they were last read */
	struct control *control;
};

/* services.c: everything below http/. The data folder is made and locked first. */
NODISCARD err *server_open_services(struct server *s);
void server_close_services(struct server *s);

/*
 * federation.c: part of it, all that asks other servers, which is what a server of one machine alone has no use for:
 * made after store, bus and accounts, before what stands on it (previews, rooms of other servers).
 */
NODISCARD err *server_open_federation(struct server *s);
/* What stands on both: rooms that other servers are in. After the rooms. */
NODISCARD err *server_open_shared_rooms(struct server *s);
/* What of it follows the settings. */
void server_reload_federation(struct server *s);
/* The threads of the two, once every service is made that hears of events; and their end, before any of those goes. */
void server_start_shared_rooms(struct server *s);
void server_stop_shared_rooms(struct server *s);
/* After the store has closed, which tells of the last commits. */
void server_close_shared_rooms(struct server *s);
/* Before http/ waits for its handlers: whoever waits for another server is told that this one stops. */
void server_stop_federation(struct server *s);
/* Before the store closes. */
void server_close_federation(struct server *s);

/* outgoing.c: what goes to other servers. With federation; once there are rooms, before anything is written to them;
 * once there are typing and presence. */
NODISCARD err *server_open_outbox(struct server *s);
void server_tell_of_events(struct server *s);
void server_tell_of_users(struct server *s);
/* outgoing_presence.c: part of it; its thread's end; after the store has closed. */
void server_tell_of_presence(struct server *s);
void server_tell_no_presence(struct server *s);
void server_close_presence(struct server *s);

/* networks.c: an operator's lists as networks. `deny` not said: what is no part of the public internet. */
struct client_nets server_networks(struct arena *a, const struct config_list *deny, const struct config_list *allow);
/* Texts with a comma between; STR_NONE: none. */
str server_joined(struct arena *a, const struct config_list *list);

/* previews.c: part of it. */
NODISCARD err *server_open_previews(struct server *s);

/* certificates.c */
NODISCARD err *certificates_read(struct server *s, struct arena *a, str *out_cert, str *out_key);
void certificates_reload(struct server *s); /* whether they changed or not; the log says why not */
void certificates_look(struct server *s);   /* if they changed */

/* serve.c: runs until a signal ends it; the exit status. */
int serve(struct arena *a, const struct config *config, const struct config_notes *notes, const char *program);

/* rates.c: the settings' buckets as http/'s classes. */
void server_rates(const struct config *c, struct rate_limit out[RATE_CLASSES]);

/* privileges.c: gives up what the process does not need; before any thread is made. */
void drop_privileges(void);
