/* account_data.c - account data and tags: rows with a position, so that /sync finds what changed. */
#include "user/account_data.h"

#include "bus/bus.h"
#include "json/writer.h"
#include "store/account_data.h"
#include "user/internal_users.h"

err *user_account_data(struct users *us, struct arena *a, int64_t user, int64_t room, str type, str *out)
{
	AUTO_TX tx = NULL;
	struct account_data_row *row;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_account_data(tx, user, room, type, &row));
	*out = row ? row->content : STR_NONE;
	return NULL;
}

struct change {
	struct users *us;
	struct arena *arena;
	int64_t user;
	struct account_data_row row;
	/* Makes row.content out of what is there (NULL: nothing), in the transaction, so that two devices do not undo
	 * each other's change; or NULL: the whole is new. */
	err *(*merge)(struct change *c, const struct account_data_row *old);
	str tag;
	const struct json *tag_content; /* NULL: removed */
	str old_room, new_room;         /* ids */
};

/* The m.tag with one tag set or removed. */
static err *merge_tag(struct change *c, const struct account_data_row *old)
{
	AUTO_BUF b = BUF_INIT(ACCOUNT_DATA_MAX_BYTES);
	struct jw w = jw_to(&b);
	struct json *json = NULL, *tags, *content;

	if (old && json_parse(c->arena, old->content, &json_limits_request, &json))
		json = NULL;
	content = json_is(json, JSON_OBJECT) ? json_copy(c->arena, json) : json_new_object(c->arena);
	json = (struct json *)json_get_object(content, S("tags"));
	tags = json ? json_copy(c->arena, json) : json_new_object(c->arena);
	if (c->tag_content)
		json_set(c->arena, tags, c->tag, c->tag_content);
	else
		json_del(tags, c->tag);
	json_set(c->arena, content, S("tags"), tags);
	jw_json(&w, NULL, content);
	if (!jw_good(&w))
		return err_new(c->arena, ERR_TOO_LARGE, "too many tags");
	c->row.content = arena_keep(c->arena, buf_str(&b));
	/* The next change must be able to read it: a tag nested as deeply as a request may be would cost all the
	 * others. */
	return json_parse(c->arena, c->row.content, &json_limits_request, &json);
}

static err *change_late(struct tx *tx, void *arg)
{
	struct account_data_row *old;
	struct change *c = arg;
	int64_t rows = 0;

	TRY(store_account_data_begin(tx, c->user, &c->row, &old));
	if (!old)
		TRY(store_account_data_count(tx, c->user, &rows));
	/* A full house takes nothing new; what is there still changes. */
	if (rows >= ACCOUNT_DATA_MAX_ROWS)
		return err_new(c->arena, ERR_TOO_LARGE, "too much account data");
	if (c->merge)
		TRY(c->merge(c, old));
	return store_account_data_set(tx, c->user, &c->row);
}

static void change_after(void *arg, const err *result)
{
	const struct change *c = arg;

	if (!result)
		bus_touch_user(c->us->opt.bus, c->user, c->row.room ? BUS_ROOM_DATA : BUS_ACCOUNT_DATA, c->row.stream);
}

static err *change(struct users *us, struct arena *a, struct change *c)
{
	struct ticket *ticket;

	c->us = us;
	c->arena = a;
	TRY(store_write(us->opt.store, a, &(struct piece){ .late = change_late, .after = change_after, .arg = c },
			&ticket));
	return store_wait(a, ticket);
}

err *user_account_data_set(struct users *us, struct arena *a, int64_t user, int64_t room, str type, str content)
{
	if (content.n > ACCOUNT_DATA_MAX_BYTES)
		return err_new(a, ERR_TOO_LARGE, "account data may have %d bytes", ACCOUNT_DATA_MAX_BYTES);
	if (type.n == 0 || type.n > 255)
		return err_new(a, ERR_INVALID_PARAM, "the type of account data has 1 to 255 bytes");
	return change(us, a,
		      &(struct change){ .user = user, .row = { .room = room, .type = type, .content = content } });
}

err *user_tag_set(struct users *us, struct arena *a, int64_t user, int64_t room, str tag, const struct json *content)
{
	/* "The name of a tag MUST NOT exceed 255 bytes." */
	if (tag.n == 0 || tag.n > 255)
		return err_new(a, ERR_INVALID_PARAM, "a tag has 1 to 255 bytes");
	return change(us, a,
		      &(struct change){ .user = user,
					.row = { .room = room, .type = S("m.tag") },
					.merge = merge_tag,
					.tag = tag,
					.tag_content = content });
}

/*
 * m.direct: users, and the rooms in which the user speaks with them alone
 */
bool direct_lists(struct arena *a, str content, str room_id)
{
	struct json *json;

	if (str_is_none(content) || json_parse(a, content, &json_limits_request, &json))
		return false;
	JSON_EACH (json, m)
		if (json_lists(m->value, room_id))
			return true;
	return false;
}

static err *merge_direct(struct change *c, const struct account_data_row *old)
{
	AUTO_BUF b = BUF_INIT(ACCOUNT_DATA_MAX_BYTES);
	struct jw w = jw_to(&b);
	struct json *json = NULL, *content = json_new_object(c->arena);

	if (old && json_parse(c->arena, old->content, &json_limits_request, &json))
		json = NULL;
	JSON_EACH (json, m) {
		struct json *rooms = json_new_array(c->arena);

		json_set(c->arena, content, m->key, m->value);
		if (!json_lists(m->value, c->old_room) || json_lists(m->value, c->new_room))
			continue;
		JSON_ITEMS (m->value, i)
			json_append(c->arena, rooms, m->value->array.items[i]);
		json_append(c->arena, rooms, json_new_str(c->arena, c->new_room));
		json_set(c->arena, content, m->key, rooms);
	}
	jw_json(&w, NULL, content);
	if (!jw_good(&w))
		return err_new(c->arena, ERR_TOO_LARGE, "m.direct would be too large");
	c->row.content = arena_keep(c->arena, buf_str(&b));
	return NULL;
}

err *user_direct_follow(struct users *us, struct arena *a, int64_t user, str old_room, str new_room)
{
	return change(us, a,
		      &(struct change){ .user = user,
					.row = { .type = S("m.direct") },
					.merge = merge_direct,
					.old_room = old_room,
					.new_room = new_room });
}
