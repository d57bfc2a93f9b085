/*
 * filter.h - the filters of /sync, /messages, /context and of stored filters. Client-Server API, "Filtering".
 */
#pragma once

#include "json/writer.h"

struct str_list { /* present tells an empty list (nothing passes) from an absent one (everything does) */
	const str *p;
	size_t n;
	bool present;
};

struct event_filter {       /* "EventFilter" and "RoomEventFilter" in one */
	int64_t limit;      /* 0: not given */
	bool limit_is_zero; /* it was given, as 0: "greater than 0", but clients ask for no timeline at all by it */
	struct str_list types, not_types, senders, not_senders, rooms, not_rooms;
	enum { URL_ANY, URL_WITH, URL_WITHOUT } contains_url;
	bool lazy_load_members, include_redundant_members, unread_thread_notifications;
};

struct filter { /* "Filter" */
	struct str_list event_fields;
	bool federation_format;
	struct event_filter presence, account_data;
	struct str_list rooms, not_rooms;
	bool include_leave;
	struct event_filter state, timeline, ephemeral, room_account_data;
};

/* Read strictly: what the schema does not allow is ERR_BAD_JSON with words; unknown members are ignored. Texts are
 * borrowed from the tree. An absent filter (NULL) lets everything through. */
NODISCARD err *filter_parse(struct arena *a, const struct json *json, struct filter *out);
NODISCARD err *event_filter_parse(struct arena *a, const struct json *json, struct event_filter *out);

/* A copy that needs nothing but the arena. */
void filter_keep(struct arena *a, const struct filter *f, struct filter *out);

/* Of a filter's room part: is the room wanted at all? */
bool filter_has_room(const struct filter *f, str room_id);
bool event_filter_has_room(const struct event_filter *f, str room_id);
bool event_filter_has_type(const struct event_filter *f, str type);
bool event_filter_has_sender(const struct event_filter *f, str sender);
/* All of type, sender and contains_url (content is read only where the filter asks). Not: rooms, relations. */
bool event_filter_match(const struct event_filter *f, str type, str sender, const struct json *content);
/* Does it let everything through (but for limit and lazy loading)? */
bool event_filter_is_open(const struct event_filter *f);

/* "event_fields": the members named by dot-separated paths (appendix "Dot-separated property paths"), nothing else, as
 * a new tree. */
const struct json *filter_fields(struct arena *a, const struct json *event, const struct str_list *fields);
/* Takes the next key off such a path, which becomes STR_NONE after its last; `\` escapes dots and itself. */
str json_path_key(struct arena *a, str *path);
