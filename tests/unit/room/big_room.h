/*
 * big_room.h - a room with very many members, made in seconds: their events, state and places in the auth index are
 * written in bulk, as a join of a large room does, instead of one by one. The flat tables do not know them. For tests
 * and benchmarks of what a state costs; of errors the caller makes what it likes.
 */
#pragma once

#include "base/clock.h"
#include "room/internal_job.h"
#include "store/tx.h"

enum { BIG_PIECE = 1000 };

struct big_room {
	struct rooms *rs;
	struct store *st;
	struct arena *a;
	str room_id, create_id, levels_id, rules_id; /* create_id: STR_NONE where nobody names it */
	int64_t room, first, root, next_node;
	const struct room_version *rv;
	const struct event *auth[3];
	size_t n_auth, members;
	str last_id;          /* a message, the only extremity: its state is that of all members */
	int64_t index_us, us; /* what the index took, and everything */
	/* of the piece under way */
	size_t from, n;
	struct auth_entry *entries;
	const struct node_row *rows;
	size_t n_rows;
};

static inline str big_user(struct arena *a, size_t i) { return arena_printf(a, "@user%zu:test", i); }
static inline str big_member_id(const struct big_room *b, size_t i)
{
	return arena_printf(b->a, "$m%06" PRId64 "-%035zu", b->room, i);
}

static inline str big_event(struct big_room *b, str type, str state_key, str sender, str content, str *out_id, size_t i)
{
	str auth = S("");

	for (size_t k = 0; k < b->n_auth; k++)
		auth = arena_printf(b->a, "%.*s%s\"%.*s\"", STR_ARG(auth), k ? "," : "", STR_ARG(b->auth[k]->event_id));
	if (!str_is_none(state_key))
		state_key = arena_printf(b->a, "\"state_key\":\"%.*s\",", STR_ARG(state_key));
	*out_id = str_is_none(state_key) ? arena_printf(b->a, "$the-last-message-of-room-%06" PRId64, b->room)
					 : big_member_id(b, i);
	return arena_printf(
		b->a,
		"{\"auth_events\":[%.*s],\"content\":%.*s,\"depth\":20,\"hashes\":{\"sha256\":\"%043d\"},"
		"\"origin_server_ts\":1700000000000,\"prev_events\":[\"%.*s\"],\"room_id\":\"%.*s\","
		"\"sender\":\"%.*s\",\"signatures\":{\"test\":{\"ed25519:1\":\"%086d\"}},%.*s\"type\":\"%.*s\"}",
		STR_ARG(auth), STR_ARG(content), 0, STR_ARG(b->levels_id), STR_ARG(b->room_id), STR_ARG(sender), 0,
		str_is_none(state_key) ? 0 : (int)state_key.n, str_is_none(state_key) ? "" : state_key.p,
		STR_ARG(type));
}

static inline err *big_row(struct tx *tx, struct big_room *b, str type, str state_key, str sender, str content,
			   size_t i)
{
	int64_t auths[3] = { 0 };
	struct event_row row = { .nid = b->first + (int64_t)i, .room = b->room, .depth = 20, .root_after = b->root };

	for (size_t k = 0; k < b->n_auth; k++)
		auths[k] = b->auth[k]->nid;
	row.json = big_event(b, type, state_key, sender, content, &row.event_id, i);
	row.auths = store_nids_pack(b->a, auths, b->n_auth);
	row.prevs = store_nids_pack(b->a, NULL, 0);
	TRY(store_intern_find(b->st, b->a, type, &row.type));
	TRY(store_intern_find(b->st, b->a, sender, &row.sender));
	if (str_is_none(state_key)) {
		row.timeline = INT64_C(1) << 40;
		b->last_id = row.event_id;
	} else {
		TRY(store_intern_find(b->st, b->a, state_key, &row.state_key));
		row.flags = EVENT_STATE;
	}
	return store_event_insert(tx, &row);
}

static inline err *big_members(struct tx *tx, void *arg)
{
	struct big_room *b = arg;
	struct row *dummy;
	int64_t t;

	for (size_t i = b->from; i < b->from + b->n; i++) {
		const str user = big_user(b->a, i);

		TRY(big_row(tx, b, S("m.room.member"), user, user,
			    arena_printf(b->a, "{\"displayname\":\"User %zu\",\"membership\":\"join\"}", i), i));
	}
	t = clock_mono_us();
	TRY(store_auth_add(tx, b->entries, b->n));
	TRY(tx_one(tx, "SELECT 1", NO_BIND, &dummy)); /* what is on its way has arrived */
	b->index_us += clock_mono_us() - t;
	return NULL;
}

static inline err *big_state(struct tx *tx, void *arg)
{
	struct big_room *b = arg;
	const int64_t last = b->first + (int64_t)b->members;
	struct room_head_row *h;

	TRY(store_nodes_save(tx, b->room, b->rows, b->n_rows));
	TRY(big_row(tx, b, S("m.room.message"), STR_NONE, big_user(b->a, 0), S("{}"), b->members));
	TRY(store_head_load(tx, b->room, &h));
	h->extremities = store_nids_pack(b->a, &last, 1);
	h->root = b->root;
	h->timeline_top = INT64_C(1) << 40;
	return store_head_update(tx, h);
}

static inline err *big_open(struct big_room *b)
{
	static const char *const types[] = { "m.room.create", "m.room.power_levels", "m.room.join_rules" };
	str *ids[] = { &b->create_id, &b->levels_id, &b->rules_id };
	AUTO_ROOM room = NULL;

	TRY(room_hold(b->rs, b->a, b->room_id, &room));
	b->room = room->nid;
	b->rv = room->rv;
	b->next_node = room->tip.next_node;
	b->root = room->tip.root.node;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		const struct event *ev;
		struct event *copy;

		TRY(room_current_text(room, str_c(types[i]), S(""), &ev));
		if (i == 0 && room->rv->create_not_in_auth_events)
			continue;
		TRY(event_load(b->a, room->rv, arena_keep(b->a, ev->event_id), arena_keep(b->a, ev->bytes), &copy));
		copy->nid = ev->nid;
		b->auth[b->n_auth++] = copy;
		*ids[i] = copy->event_id;
	}
	return NULL;
}

/* A tree with all of them. */
static inline err *big_tree(struct big_room *b)
{
	struct node_cache *cache = node_cache_new(b->st, 0);
	struct node_source src = { .cache = cache, .room = b->room };
	const struct state_tree tree = node_source_tree(&src);
	struct state_entry *entries = ARENA_ARRAY(b->a, struct state_entry, b->members);
	struct state_builder builder;
	struct state_root old, root;
	int64_t type;
	err *e;

	TRY(store_intern_find(b->st, b->a, S("m.room.member"), &type));
	for (size_t i = 0; i < b->members; i++) {
		entries[i] = (struct state_entry){ .type = type, .event = b->first + (int64_t)i };
		TRY(store_intern_find(b->st, b->a, big_user(b->a, i), &entries[i].key));
	}
	state_builder_init(&builder, b->a, &tree);
	e = state_root_of(&tree, b->a, b->root, &old);
	if (!e)
		e = state_apply(&builder, old, entries, b->members, &root);
	if (!e) {
		state_seal(&builder, &root, 1, &b->next_node);
		b->root = root.node;
		b->rows = builder.rows;
		b->n_rows = builder.n_rows;
	}
	node_cache_free(&cache);
	return e;
}

static inline err *big_intern(struct big_room *b)
{
	for (size_t from = 0; from < b->members; from += BIG_PIECE) {
		struct store_text texts[BIG_PIECE];
		int64_t nids[BIG_PIECE];
		size_t n = 0;

		for (size_t i = from; i < MIN(b->members, from + BIG_PIECE); i++, n++)
			texts[n] = (struct store_text){ big_user(b->a, i), &nids[n] };
		TRY(store_intern_all(b->st, b->a, texts, n));
	}
	return NULL;
}

/* The room, just made and with nobody waiting, gets this many members more, @user0:test and so on. The arena must live
 * as long as b. */
static inline err *big_room_fill(struct big_room *b, struct rooms *rs, struct store *st, struct arena *a, str room_id,
				 size_t members)
{
	const int64_t t = clock_mono_us();

	*b = (struct big_room){ .rs = rs, .st = st, .a = a, .room_id = room_id, .members = members };
	TRY(big_open(b));
	TRY(big_intern(b));
	TRY(store_next_id(st, a, SEQ_EVENT, members + 1, &b->first));
	for (b->from = 0; b->from < members; b->from += b->n) {
		b->n = MIN(members - b->from, (size_t)BIG_PIECE);
		b->entries = ARENA_ARRAY(a, struct auth_entry, b->n);
		for (size_t i = 0; i < b->n; i++) {
			const struct auth_parent *parents;
			struct event ev = { .type = S("m.room.member"),
					    .state_key = big_user(a, b->from + i),
					    .event_id = big_member_id(b, b->from + i) };

			parents = auth_parents(a, &ev, b->auth, b->n_auth);
			b->entries[i] = (struct auth_entry){ .event = b->first + (int64_t)(b->from + i),
							     .parents = parents,
							     .n_parents = b->n_auth };
		}
		TRY(store_do(st, a, big_members, b));
	}
	TRY(big_tree(b));
	TRY(store_do(st, a, big_state, b));
	rooms_forget_heads(rs);
	b->us = clock_mono_us() - t;
	return NULL;
}

/* An event on one that is there; `auth` are ids. */
static inline err *big_forge(struct big_room *b, str sender, str type, str state_key, str content, str prev,
			     const str *auth, size_t n_auth, int64_t ts, const struct event **out)
{
	struct json *json;
	struct event *ev;
	struct event_fields f = {
		.room_id = b->room_id,
		.sender = sender,
		.type = type,
		.state_key = state_key,
		.origin_server_ts = ts,
		.depth = 30,
		.prev_events = &prev,
		.n_prev_events = 1,
		.auth_events = auth,
		.n_auth_events = n_auth,
	};

	TRY(json_parse(b->a, content, &json_limits_event, &json));
	f.content = json;
	TRY(event_build(b->a, b->rv, &f, &b->rs->opt.signer, &ev));
	*out = ev;
	return NULL;
}
