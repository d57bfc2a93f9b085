/*
 * client_event.h - events as clients see them. Client-Server API, "Room event format", "Stripped state", `unsigned`.
 *
 * An event is stored as the canonical JSON that servers exchange. What a client gets are slices of those bytes: hashes,
 * signatures, depth and edges are left out, event_id and `unsigned` are put in. Nothing is parsed for it: canonical
 * JSON has no white space and sorted keys, so the top level is found by one walk.
 */
#pragma once

#include "json/writer.h"
#include "room/room.h"
#include "store/events.h"

struct filter;
struct tx;

/* The members of a stored event that a client sees, as JSON text; STR_NONE where absent. */
struct event_parts {
	str content, origin_server_ts, redacts, room_id, sender, state_key, type;
};
/* Asserts that the bytes are an object of our own store. */
void event_parts_of(str canonical, struct event_parts *out);
NODISCARD err *event_content_of(struct arena *a, const struct event_row *row, struct json **out);

/* For whom and how. */
struct client_view {
	int64_t user; /* who reads: 0 for nobody in particular (no transaction ids, no membership) */
	str user_id, device_id;
	int64_t now;                 /* ms since 1970, for `age` */
	bool without_room_id;        /* inside /sync's rooms */
	bool federation_format;      /* filter's event_format: the whole event as servers exchange it, and unsigned */
	bool legacy;                 /* the form before r0: also user_id, age and prev_content at the top */
	const struct filter *fields; /* a filter with event_fields, or NULL */
};

/* What `unsigned` shows of other events: read for many rows at once by client_events_load. */
struct client_extra {
	const struct event_row *replaced;  /* the state event that this one replaced: prev_content, replaces_state */
	const struct event_row *redaction; /* redacted_because */
	str membership;                    /* the reader's at the event: "join" ...; STR_NONE: not said */
	str instead;                       /* canonical JSON that is shown for the event's own (erased.h); STR_NONE */
};
struct client_extras {
	struct client_extra *p; /* one a row */
};
/* Reads what the rows' unsigned need: at most one query, none where nothing is needed. prev_content is shown to those
 * who may see the event itself. */
NODISCARD err *client_events_load(struct tx *tx, struct arena *a, const struct event_row *const *rows, size_t n,
				  struct client_extras *out);

/* One event; key NULL inside arrays. room_id: the room's, for a version 12 create event does not carry it. extra may be
 * NULL. */
void client_event_write(struct arena *a, struct jw *w, const char *key, const struct event_row *row, str room_id,
			const struct client_extra *extra, const struct client_view *view);
/* Stripped: content, sender, state_key, type. */
void stripped_event_write(struct jw *w, const struct event_row *row);
