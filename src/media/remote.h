/*
 * remote.h - files of other servers: fetched when somebody first asks, and kept like ours from then on. Server-Server
 * API, "Content Repository".
 */
#pragma once

#include "http/client.h"
#include "media/media.h"

struct fed;
struct media_remote_options { /* borrowed for the life of the service */
	struct fed *fed;
	struct client *client;          /* for files that a server has elsewhere (Location) */
	const struct client_nets *nets; /* where that may be */
	const str *prevented;           /* prevent_media_downloads_from: servers */
	size_t n_prevented;
};
/* At start. Without it nothing of other servers is found. */
void media_federate(struct media *m, const struct media_remote_options *opt);

/*
 * Fetches an item, which takes two minutes at most; whoever asks for one that is being fetched waits for the same
 * outcome. One that is not uploaded yet is waited for until wait_until_us (clock_mono_us). Afterwards media_find has
 * it. ERR_NOT_FOUND: the server does not have it, or is not asked; ERR_TOO_LARGE, ERR_NOT_YET_UPLOADED,
 * ERR_CONNECTION_FAILED, ERR_CONNECTION_TIMEOUT. Waits: no lock may be held.
 */
NODISCARD err *media_fetch(struct media *m, struct arena *a, str server_name, str media_id, int64_t wait_until_us);
