/*
 * auth.h - the authorisation rules (rooms/vN, "Authorisation rules"; Server-Server API, "Auth events selection").
 *
 * The order of the checks stands in README.md. A refusal is ERR_FORBIDDEN, made in the arena: in words for people, and
 * with the rule it rests on, which auth_rule_of and auth_rule_text (auth_rule.h) tell.
 */
#pragma once

#include "matrix/auth_rule.h"
#include "matrix/event.h"

/* The state an event is checked against: the event under the key, or NULL. In versions where the room's id is its
 * create event's hash, the create event is asked for, too, though it is in nobody's auth_events. */
typedef const struct event *state_lookup(void *ctx, str type, str state_key);

/* All rules but those on auth_events: the create event's own, and those that depend on state. */
NODISCARD err *auth_check(struct arena *a, const struct room_version *rv, const struct event *ev, state_lookup *state,
			  void *ctx);
/* The same, and by which rule it was decided, either way. */
NODISCARD err *auth_check_by(struct arena *a, const struct room_version *rv, const struct event *ev,
			     state_lookup *state, void *ctx, enum auth_rule *out_by);

/* "Considering the event's auth_events": the events themselves, in the order of ev->auth_events, none missing (each
 * with `rejected` set where it was, and all of them events that went through this before: who receives does not take an
 * event whose auth_events it does not have, so that nothing can rest on itself by a detour). The first rule of the list
 * that is broken decides. Needed for events from outside; ours are selected as the rules want. */
NODISCARD err *auth_check_auth_events(struct arena *a, const struct room_version *rv, const struct event *ev,
				      const struct event *const *auth_events, size_t n);

/* "Auth events selection": the keys whose current events an event names in auth_events. No duplicates. */
struct state_key {
	str type, state_key;
};
enum { AUTH_KEYS_MAX = 6 };
size_t auth_keys(const struct room_version *rv, str type, str state_key, str sender, const struct json *content,
		 struct state_key out[AUTH_KEYS_MAX]);
/* The same plus the create event where the rules need it though it is not selected: what auth_check will ask for, at
 * most. */
enum { AUTH_LOOKUPS_MAX = AUTH_KEYS_MAX + 1 };
size_t auth_lookups(const struct room_version *rv, str type, str state_key, str sender, const struct json *content,
		    struct state_key out[AUTH_LOOKUPS_MAX]);

/* A state made of a few events: a state_lookup for auth events, tests and new rooms. ctx is a struct state_list. */
struct state_list {
	const struct event *const *events;
	size_t n;
};
const struct event *state_list_lookup(void *ctx, str type, str state_key);
