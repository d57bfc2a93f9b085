/*
 * services.h - what handlers may call: pointers to the services that main/ made and owns.
 *
 * A handler reaches them as rq->services. Nothing here is the store: handlers speak to services, services to the store.
 */
#pragma once

#include "http/http.h"

struct config;
struct signer;
struct e2ee;
struct users;
struct rooms;
struct syncs;
struct media;
struct thumbnails;
struct imager;
struct client;
struct previews;
struct bus;
struct notify;
struct presence;
struct profile_spread;
struct typing;
struct fed;
struct key_ring;
struct outbox;
struct queries;
struct inbound;
struct remote;
struct backfill;
struct admit;

struct services {
	/* The settings in force. A reload swaps the pointer; what it pointed at before stays readable for ever, so a
	 * handler that needs two settings to agree reads the pointer once. */
	const struct config *_Atomic config;
	const struct signer *signer; /* the key of this server */
	struct users *users;
	struct e2ee *e2ee;
	struct rooms *rooms;
	struct syncs *syncs;
	struct media *media;
	struct imager *imager;
	struct thumbnails *thumbnails;
	struct client *client;     /* asks other servers */
	struct previews *previews; /* NULL: none are made */
	struct profile_spread *spread;
	struct notify *notify;
	struct typing *typing;
	struct presence *presence;
	struct bus *bus;
	struct fed *fed; /* federation: requests to other servers, their keys, what goes to them, what came from them */
	struct key_ring *keys;
	struct queries *queries; /* what others know of names */
	struct outbox *outbox;
	struct inbound *inbound;
	struct remote *remote;
	struct backfill *backfill; /* history that other servers have */
	struct admit *admit;       /* users of other servers enter and leave rooms */
};
