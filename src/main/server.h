/* server.h - the running server: what main/ makes, in the order it is made. */
#pragma once

#include "api/services.h"
#include "cli/control.h"
#include "cli/signing_key.h"
#include "config/config.h"
#include "http/server.h"
#include "matrix/sign.h"
#include "store/store.h"

struct server {
	struct arena *a; /* lives as long as the server: settings, key, names */
	const struct config *config;
	const struct log *log;
	struct signing_key key;
	struct signer signer; /* the same, with its server's name */
	struct store *store;
	struct services services;
	struct http *http;
	size_t n_listening; /* sockets */
	struct control *control;
};

/* services.c: everything below http/. The data folder is made and locked first. */
NODISCARD err *server_open_services(struct server *s);
void server_close_services(struct server *s);

/* previews.c: part of it. */
NODISCARD err *server_open_previews(struct server *s);
void server_close_previews(struct server *s);

/* serve.c: runs until a signal ends it; the exit status. */
int serve(struct arena *a, const struct config *config, const struct config_notes *notes, const char *program);

/* rates.c: the settings' buckets as http/'s classes. */
void server_rates(const struct config *c, struct rate_limit out[RATE_CLASSES]);

/* privileges.c: gives up what the process does not need; before any thread is made. */
void drop_privileges(void);
