/*
 * profile.h - what users say of themselves, and how others find them. Client-Server API "Profiles", "User Directory".
 *
 * A changed display name or avatar also stands in every room the user is in: the change and the note that it is to be
 * spread are one transaction; flow/profile_spread.h does the spreading.
 */
#pragma once

#include "json/writer.h"
#include "user/user.h"

enum { PROFILE_MAX_BYTES = 65536, PROFILE_MAX_KEY = 255, PROFILE_MAX_NAME = 1024, PROFILE_MAX_URL = 1000 };

/* All fields as members of the object being written. ERR_NOT_FOUND: no such local user. */
NODISCARD err *user_profile_write(struct users *us, struct arena *a, str user_id, struct jw *w);
/* One field's value as JSON text; STR_NONE for a displayname or avatar_url that is not set. ERR_NOT_FOUND: no such
 * user, no such other field; ERR_INVALID_PARAM: no field's name. */
NODISCARD err *user_profile_field(struct users *us, struct arena *a, str user_id, str field, str *out);
/* Sets a field; NULL removes it. *out_spread: rooms have to hear of it. ERR_PROFILE_TOO_LARGE, ERR_KEY_TOO_LARGE,
 * ERR_INVALID_PARAM, ERR_BAD_JSON. */
NODISCARD err *user_profile_set(struct users *us, struct arena *a, int64_t user, str user_id, str field,
				const struct json *value, bool *out_spread);
/* Display name and avatar as they stand in member events; STR_NONE where not set. */
NODISCARD err *user_profile_names(struct users *us, struct arena *a, int64_t user, str *out_displayname,
				  str *out_avatar_url);

/* The spread's memory: users whose rooms are not all told yet, and how far they are. */
struct user_spread {
	int64_t user, room; /* rooms with numbers up to this one know */
	int64_t turn;       /* which change it is: an older one's progress is not taken for a newer one's */
};
NODISCARD err *user_spreads(struct users *us, struct arena *a, struct user_spread **out, size_t *out_n);
NODISCARD err *user_spread_reached(struct users *us, struct arena *a,
				   const struct user_spread *at); /* room 0: all are told */
/* The rooms to tell from there on, in order of their numbers, and the user's id. */
NODISCARD err *user_spread_rooms(struct users *us, struct arena *a, const struct user_spread *at, str *out_user_id,
				 int64_t **out_rooms, str **out_ids, size_t *out_n);

/* The user directory. A new user is found by their user id from the start, a deactivated one no more. */
struct directory_search {
	int64_t viewer;
	str term;
	int64_t limit;
	bool everybody; /* not only those in public rooms or in rooms shared with the viewer */
};
/* Writes "results" and "limited". */
NODISCARD err *user_directory_search(struct users *us, struct arena *a, const struct directory_search *s, struct jw *w);
