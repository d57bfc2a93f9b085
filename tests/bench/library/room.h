/*
 * room.h - what the library's bench works on: a room of version 12, small but whole, made by the library itself with
 * fixed keys and times, so that every run (and another library, which reads them from a file) measures the same bytes.
 */
#pragma once

#include "json/json.h"
#include "matrix/auth.h"
#include "matrix/state_res.h"

enum {
	ROOM_MEMBERS = 20,
	ROOM_EVENTS = 64,
	MESSAGE_BYTES = 1024, /* of the message's canonical JSON */
	BATCH = 64,           /* events verified together */
};

struct bench_room {
	struct arena *a;
	const struct room_version *rv;
	struct ed25519_key key;
	struct signer by;
	const struct event *events[ROOM_EVENTS]; /* number n at n - 1, in order */
	size_t n;
	const struct event *current[ROOM_EVENTS]; /* the state, as a list */
	size_t n_current;
	struct event_fields message_fields;                  /* of `message` */
	const struct event *message, *notice, *join, *power; /* may come next: not part of the room */
	const struct event *auth[4][AUTH_LOOKUPS_MAX]; /* of message, notice, join, power: what auth_check asks for */
	size_t n_auth[4];
	const struct event *batch[BATCH];
	str document;            /* JSON, anything but canonical */
	const struct event *acl; /* m.room.server_acl with 200 denials */
	str own_rules;           /* a user's push rules, as stored: 20 words, 5 rooms */
	struct state_tree tree;  /* of the two states */
	struct state_root fork[2];
	struct state_res_io io;
	struct room_numbers *numbers;
};

/* Ends the process when anything of it fails. */
void bench_room_make(struct bench_room *r, struct arena *a);
/* All of it as one JSON text, for measuring another library with. */
str bench_room_json(struct arena *a, const struct bench_room *r);
/* Says what went wrong and ends the process. */
void must(const err *e);
