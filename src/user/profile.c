#include "user/profile.h"

#include "matrix/id.h"
#include "store/membership.h"
#include "store/profiles.h"
#include "user/internal_directory.h"
#include "user/internal_users.h"

static const struct json_limits limits = { PROFILE_MAX_BYTES, 32, 10000 };

static err *check_key(struct arena *a, str field)
{
	if (field.n > PROFILE_MAX_KEY)
		return err_new(a, ERR_KEY_TOO_LARGE, "the name of a profile field has at most 255 bytes");
	if (!str_eq(field, S("avatar_url")) && !str_eq(field, S("displayname")) && !id_namespaced_valid(field))
		return err_new(a, ERR_INVALID_PARAM, "that is no name for a profile field");
	return NULL;
}

/* The number of a local user that has an account. */
static err *local_user(struct users *us, struct arena *a, str user_id, int64_t *out)
{
	const struct account *account = NULL;

	if (users_is_local(us, user_id))
		TRY(users_find(us, a, user_id, &account));
	if (!account)
		return err_new(a, ERR_NOT_FOUND, "no such user");
	*out = account->user;
	return NULL;
}

err *user_profile_write(struct users *us, struct arena *a, str user_id, struct jw *w)
{
	AUTO_TX tx = NULL;
	struct profile_field *fields;
	size_t n;
	int64_t user;

	TRY(local_user(us, a, user_id, &user));
	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_profile(tx, user, &fields, &n));
	for (size_t i = 0; i < n; i++) {
		jw_key(w, fields[i].field);
		jw_raw(w, NULL, fields[i].value);
	}
	return NULL;
}

err *user_profile_field(struct users *us, struct arena *a, str user_id, str field, str *out)
{
	AUTO_TX tx = NULL;
	int64_t user;

	TRY(check_key(a, field));
	TRY(local_user(us, a, user_id, &user));
	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_profile_field(tx, user, field, out));
	/* Every user has the two oldest fields, if only empty: other servers answer so, and clients count on it. */
	if (str_is_none(*out) && !str_eq(field, S("displayname")) && !str_eq(field, S("avatar_url")))
		return err_new(a, ERR_NOT_FOUND, "the user has no such profile field");
	return NULL;
}

static str text_of(struct arena *a, str json_text)
{
	struct json *j = NULL;

	if (str_is_none(json_text) || json_parse(a, json_text, &limits, &j))
		return STR_NONE;
	return json_str(j);
}

err *user_profile_names(struct users *us, struct arena *a, int64_t user, str *out_displayname, str *out_avatar_url)
{
	AUTO_TX tx = NULL;
	str name, avatar;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_profile_field(tx, user, S("displayname"), &name));
	TRY(store_profile_field(tx, user, S("avatar_url"), &avatar));
	*out_displayname = text_of(a, name);
	*out_avatar_url = text_of(a, avatar);
	return NULL;
}

struct profile_change {
	struct arena *arena;
	int64_t user;
	str user_id, field, value; /* value STR_NONE: remove */
	bool spreads;
};

static err *check_size(struct tx *tx, const struct profile_change *c)
{
	struct profile_field *fields;
	size_t n, bytes = c->field.n + c->value.n + 4;

	TRY(store_profile(tx, c->user, &fields, &n));
	for (size_t i = 0; i < n; i++)
		if (!str_eq(fields[i].field, c->field))
			bytes += fields[i].field.n + fields[i].value.n + 4;
	if (bytes > PROFILE_MAX_BYTES)
		return err_new(c->arena, ERR_PROFILE_TOO_LARGE, "the whole profile has at most 64 KiB");
	return NULL;
}

static err *change_run(struct tx *tx, void *arg)
{
	const struct profile_change *c = arg;

	if (str_is_none(c->value)) {
		TRY(store_profile_unset(tx, c->user, c->field));
	} else {
		TRY(check_size(tx, c));
		TRY(store_profile_set(tx, c->user, c->field, c->value));
	}
	if (str_eq(c->field, S("displayname")))
		TRY(directory_index(tx, c->arena, c->user, c->user_id, text_of(c->arena, c->value)));
	return c->spreads ? store_spread_begin(tx, c->user) : NULL;
}

/* displayname and avatar_url are strings of bounded length; null and, as other servers have it, "" remove them. */
static err *check_name(struct arena *a, str field, const struct json **value)
{
	const size_t max = str_eq(field, S("displayname")) ? PROFILE_MAX_NAME : PROFILE_MAX_URL;

	if (*value && ((*value)->kind == JSON_NULL || (json_is(*value, JSON_STR) && (*value)->s.n == 0)))
		*value = NULL;
	if (!*value)
		return NULL;
	if ((*value)->kind != JSON_STR)
		return err_new(a, ERR_INVALID_PARAM, "%.*s is a string", STR_ARG(field));
	if ((*value)->s.n > max)
		return err_new(a, ERR_INVALID_PARAM, "%.*s has at most %zu bytes", STR_ARG(field), max);
	return NULL;
}

err *user_profile_set(struct users *us, struct arena *a, int64_t user, str user_id, str field, const struct json *value,
		      bool *out_spread)
{
	struct profile_change c = { .arena = a, .user = user, .user_id = user_id, .field = field, .value = STR_NONE };

	TRY(check_key(a, field));
	c.spreads = str_eq(field, S("displayname")) || str_eq(field, S("avatar_url"));
	if (c.spreads)
		TRY(check_name(a, field, &value));
	if (value)
		TRY(json_canonical(a, value, JSON_CANON_LOOSE, &c.value));
	TRY(store_do(us->opt.store, a, change_run, &c));
	*out_spread = c.spreads;
	return NULL;
}

err *user_spreads(struct users *us, struct arena *a, struct user_spread **out, size_t *out_n)
{
	AUTO_TX tx = NULL;
	struct spread_row *rows;
	size_t n;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_spreads(tx, &rows, &n));
	*out = ARENA_ARRAY(a, struct user_spread, n);
	for (size_t i = 0; i < n; i++)
		(*out)[i] = (struct user_spread){ rows[i].user, rows[i].room, rows[i].turn };
	*out_n = n;
	return NULL;
}

static err *reached_run(struct tx *tx, void *arg)
{
	const struct user_spread *at = arg;
	const struct spread_row row = { at->user, at->room, at->turn };

	return at->room ? store_spread_reached(tx, &row) : store_spread_end(tx, &row);
}

err *user_spread_reached(struct users *us, struct arena *a, const struct user_spread *at)
{
	struct user_spread copy = *at;

	return store_do(us->opt.store, a, reached_run, &copy);
}

err *user_spread_rooms(struct users *us, struct arena *a, const struct user_spread *at, str *out_user_id,
		       int64_t **out_rooms, str **out_ids, size_t *out_n)
{
	AUTO_TX tx = NULL;
	int64_t *rooms;
	size_t n, kept = 0;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_joined_rooms(tx, at->user, &rooms, &n));
	*out_ids = ARENA_ARRAY(a, str, n);
	for (size_t i = 0; i < n; i++) {
		if (rooms[i] <= at->room)
			continue;
		TRY(store_intern_text(us->opt.store, a, rooms[i], &(*out_ids)[kept]));
		rooms[kept++] = rooms[i];
	}
	TRY(store_intern_text(us->opt.store, a, at->user, out_user_id));
	*out_rooms = rooms;
	*out_n = kept;
	return NULL;
}
