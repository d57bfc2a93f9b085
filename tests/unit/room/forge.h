/* forge.h - events as other servers might make them, and what they come to. */
#pragma once

#include "world.h"

/* An event as another server might make it: on the given events, authorised by the state that is current now. */
struct forge {
	struct world *w;
	str room_id;
	const struct room_version *rv;
	int64_t ts, depth;
	/* Or NULL: finds events that the room does not know. */
	const struct event *(*unseen)(void *ctx, str event_id);
	void *ctx;
	const struct event *also; /* or NULL: a further auth_event, whatever it is */
	str name;                 /* or none: the next event's id, where its sender gives it */
};

static inline struct forge forge_for(struct world *w, str room_id, const char *version)
{
	return (struct forge){
		.w = w, .room_id = room_id, .rv = room_version_find(str_c(version)), .ts = 1000, .depth = 50
	};
}

/* What who refers to an event says of it beside its id, in versions 1 and 2. */
static inline str hash_of(const struct forge *f, str event_id)
{
	const struct event *unseen;
	str hash = STR_NONE;
	struct event *ev;

	if (f->rv->event_format != EVENT_FORMAT_NAMED)
		return hash;
	unseen = f->unseen ? f->unseen(f->ctx, event_id) : NULL;
	if (unseen) {
		good(event_hash_text(f->w->a, f->rv, unseen, &hash));
		return hash;
	}
	good(event_load(f->w->a, f->rv, event_id, event_row(f->w, event_id)->json, &ev));
	good(event_hash_text(f->w->a, f->rv, ev, &hash));
	return hash;
}

static inline struct event *forge_by(struct forge *f, str sender_id, const char *type, const char *key,
				     const char *content, const str *prevs, size_t n_prevs)
{
	struct world *w = f->w;
	const struct json *c = js(w->a, content);
	struct state_key keys[AUTH_KEYS_MAX];
	str auth[AUTH_KEYS_MAX + 1], auth_hashes[AUTH_KEYS_MAX + 1], *prev_hashes = ARENA_ARRAY(w->a, str, n_prevs);
	struct event_fields fields = {
		.room_id = f->room_id,
		.sender = sender_id,
		.type = str_c(type),
		.state_key = str_c(key),
		.content = c,
		.origin_server_ts = ++f->ts,
		.depth = ++f->depth,
		.prev_events = prevs,
		.n_prev_events = n_prevs,
		.auth_events = auth,
	};
	const size_t n = auth_keys(f->rv, fields.type, fields.state_key, sender_id, c, keys);
	struct event *ev;

	for (size_t i = 0; i < n; i++) {
		const struct event_row *row =
			current(w, f->room_id, arena_cstr(w->a, keys[i].type), arena_cstr(w->a, keys[i].state_key));

		if (!row)
			continue;
		auth[fields.n_auth_events] = row->event_id;
		auth_hashes[fields.n_auth_events++] = hash_of(f, row->event_id);
	}
	if (f->also) {
		auth[fields.n_auth_events] = f->also->event_id;
		auth_hashes[fields.n_auth_events++] = hash_of(f, f->also->event_id);
	}
	if (f->rv->event_format == EVENT_FORMAT_NAMED) {
		for (size_t i = 0; i < n_prevs; i++)
			prev_hashes[i] = hash_of(f, prevs[i]);
		fields.event_id = str_is_none(f->name) ? event_name(w->rs, w->a) : f->name;
		fields.prev_hashes = prev_hashes;
		fields.auth_hashes = auth_hashes;
	}
	good(event_build(w->a, f->rv, &fields, &w->opt.signer, &ev));
	return ev;
}

/* By one of this server's users. */
static inline struct event *forge(struct forge *f, const char *sender, const char *type, const char *key,
				  const char *content, const str *prevs, size_t n_prevs)
{
	return forge_by(f, who(f->w, sender).user_id, type, key, content, prevs, n_prevs);
}

static inline enum append_outcome put(struct world *w, const struct event *ev)
{
	enum append_outcome out;

	good(rooms_append_event(w->rs, w->a, ev, &out));
	return out;
}

static inline size_t n_extremities(struct world *w, str room_id)
{
	struct room_head_row *h;
	AUTO_TX tx = NULL;

	good(store_read(w->b->st, w->a, &tx));
	good(store_head_load(tx, room_nid(w, room_id), &h));
	return h->extremities.n / 8;
}

static inline str open_room(struct world *w, const char *version)
{
	const struct actor alice = who(w, "alice");
	const bool v12 = strcmp(version, "12") == 0;
	const str body = arena_printf(w->a,
				      "{'room_version':'%s','preset':'public_chat','power_level_content_override':"
				      "{'users':{%s'@mod:test':50}}}",
				      version, v12 ? "" : "'@alice:test':100,");
	const str id = make_room(w, alice, body.p);

	good(join(w, who(w, "mod"), id));
	good(join(w, who(w, "bob"), id));
	return id;
}
