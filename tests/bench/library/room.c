#include "room.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/b64.h"
#include "base/map.h"
#include "json/writer.h"
#include "matrix/nodes.h"

#define ALICE S("@alice:domain")
#define BOB   S("@bob:domain")
#define CAROL S("@carol:elsewhere")

struct room_numbers {
	struct map of_text;
	int64_t last;
	struct nodes nodes;
	struct auth_list auth[ROOM_EVENTS + 1];
	const struct event *events[ROOM_EVENTS + 1];
};

void must(const err *e)
{
	if (!e)
		return;
	fprintf(stderr, "%.*s (%s)\n", STR_ARG(e->msg), e->where);
	exit(1);
}

static const struct json *parsed(struct arena *a, str text)
{
	struct json *out;

	must(json_parse(a, text, &json_limits_request, &out));
	return out;
}

/* --- events --- */

/* Fields of the next event; its auth_events come from the current state. */
static struct event_fields fields_of(struct bench_room *r, str sender, str type, str state_key, str content)
{
	str *prev = ARENA_ARRAY(r->a, str, 1), *auth = ARENA_ARRAY(r->a, str, AUTH_KEYS_MAX);
	const struct json *json = parsed(r->a, content);
	struct state_key keys[AUTH_KEYS_MAX];
	const size_t n_keys = auth_keys(r->rv, type, state_key, sender, json, keys);
	size_t n_auth = 0;

	for (size_t i = 0; i < n_keys; i++) {
		const struct event *ev = state_list_lookup(&(struct state_list){ r->current, r->n_current },
							   keys[i].type, keys[i].state_key);

		if (ev)
			auth[n_auth++] = ev->event_id;
	}
	if (r->n > 0)
		prev[0] = r->events[r->n - 1]->event_id;
	return (struct event_fields){
		.room_id = r->n ? r->events[0]->room_id : STR_NONE,
		.sender = sender,
		.type = type,
		.state_key = state_key,
		.content = json,
		.redacts = STR_NONE,
		.origin_server_ts = INT64_C(1700000000000) + (int64_t)r->n,
		.depth = (int64_t)r->n + 1,
		.prev_events = prev,
		.n_prev_events = r->n > 0,
		.auth_events = auth,
		.n_auth_events = n_auth,
	};
}

static struct event *make(struct bench_room *r, str sender, str type, str state_key, str content)
{
	const struct event_fields f = fields_of(r, sender, type, state_key, content);
	struct event *ev;

	must(event_build(r->a, r->rv, &f, &r->by, &ev));
	return ev;
}

/* Adds an event to the room; `is_current`: it replaces what the state holds under its key. */
static const struct event *add(struct bench_room *r, str sender, str type, str state_key, str content, bool is_current)
{
	struct event *ev = make(r, sender, type, state_key, content);
	size_t i = 0;

	must(auth_check(r->a, r->rv, ev, state_list_lookup, &(struct state_list){ r->current, r->n_current }));
	ev->nid = (int64_t)r->n + 1;
	r->events[r->n++] = ev;
	if (!is_current)
		return ev;
	while (i < r->n_current && !event_is(r->current[i], type, state_key))
		i++;
	r->current[i] = ev;
	r->n_current = MAX(r->n_current, i + 1);
	return ev;
}

static void open_room(struct bench_room *r)
{
	const str empty = S("");

	add(r, ALICE, S("m.room.create"), empty, S("{\"room_version\":\"12\"}"), true);
	add(r, ALICE, S("m.room.member"), ALICE, S("{\"membership\":\"join\",\"displayname\":\"Alice\"}"), true);
	add(r, ALICE, S("m.room.power_levels"), empty,
	    S("{\"users\":{\"@bob:domain\":50},\"users_default\":0,\"events\":{\"m.room.name\":50,\"m.room.power_levels\":100,"
	      "\"m.room.tombstone\":150},\"events_default\":0,\"state_default\":50,\"ban\":50,\"kick\":50,\"redact\":50,"
	      "\"invite\":0,\"notifications\":{\"room\":50}}"),
	    true);
	add(r, ALICE, S("m.room.join_rules"), empty, S("{\"join_rule\":\"public\"}"), true);
	add(r, ALICE, S("m.room.history_visibility"), empty, S("{\"history_visibility\":\"shared\"}"), true);
	add(r, ALICE, S("m.room.name"), empty, S("{\"name\":\"A room to measure in\"}"), true);
	add(r, BOB, S("m.room.member"), BOB, S("{\"membership\":\"join\",\"displayname\":\"Bob\"}"), true);
	for (int i = 0; i < ROOM_MEMBERS - 2; i++) {
		const str user = arena_printf(r->a, "@member%d:domain", i);

		add(r, user, S("m.room.member"), user, S("{\"membership\":\"join\",\"displayname\":\"A Member\"}"),
		    true);
	}
}

/* The events that auth_check will ask for. */
static void find_auth(struct bench_room *r, size_t which, const struct event *ev)
{
	struct state_key keys[AUTH_LOOKUPS_MAX];
	const size_t n = auth_lookups(r->rv, ev->type, ev->state_key, ev->sender, ev->content, keys);

	for (size_t i = 0; i < n; i++) {
		const struct event *found = state_list_lookup(&(struct state_list){ r->current, r->n_current },
							      keys[i].type, keys[i].state_key);

		if (found)
			r->auth[which][r->n_auth[which]++] = found;
	}
	must(auth_check(r->a, r->rv, ev, state_list_lookup, &(struct state_list){ r->auth[which], r->n_auth[which] }));
}

static void make_next(struct bench_room *r)
{
	AUTO_BUF body = BUF_INIT(MESSAGE_BYTES);
	size_t missing = 0;

	for (int round = 0; round < 2; round++) { /* the second time it is as long as wanted */
		buf_reset(&body);
		buf_add(&body, S("{\"msgtype\":\"m.text\",\"body\":\""));
		for (size_t i = 0; i < missing; i++)
			buf_byte(&body, "the quick brown fox jumps over a lazy dog, "[i % 43]);
		buf_add(&body, S("\"}"));
		r->message_fields = fields_of(r, BOB, S("m.room.message"), STR_NONE, arena_keep(r->a, buf_str(&body)));
		struct event *ev;

		must(event_build(r->a, r->rv, &r->message_fields, &r->by, &ev));
		missing = MESSAGE_BYTES - ev->bytes.n;
		r->message = ev;
	}
	r->notice = make(r, BOB, S("m.room.message"), STR_NONE, S("{\"msgtype\":\"m.notice\",\"body\":\"done\"}"));
	r->join = make(r, CAROL, S("m.room.member"), CAROL, S("{\"membership\":\"join\",\"displayname\":\"Carol\"}"));
	r->power = make(
		r, ALICE, S("m.room.power_levels"), S(""),
		S("{\"users\":{\"@bob:domain\":50,\"@member1:domain\":50},\"users_default\":0,\"events\":{\"m.room.name\":50,"
		  "\"m.room.power_levels\":100,\"m.room.tombstone\":150},\"events_default\":0,\"state_default\":50,\"ban\":50,"
		  "\"kick\":50,\"redact\":50,\"invite\":0,\"notifications\":{\"room\":50}}"));
	find_auth(r, 0, r->message);
	find_auth(r, 1, r->notice);
	find_auth(r, 2, r->join);
	find_auth(r, 3, r->power);
	for (size_t i = 0; i < BATCH; i++)
		r->batch[i] =
			make(r, BOB, S("m.room.message"), STR_NONE,
			     arena_printf(r->a, "{\"msgtype\":\"m.text\",\"body\":\"message %zu of a batch\"}", i));
}

/* --- the rest of the input --- */

static void make_texts(struct bench_room *r)
{
	AUTO_BUF b = BUF_INIT(1 << 20);

	buf_add(&b, S("{"));
	for (int i = 300; i-- > 0;)
		buf_printf(
			&b,
			"%s\n  \"key%03d\" : { \"z\": [ 1, 22, 333, -4444, true, null ], \"text\": \"a \\u00e9\\n\\\"word\\\" %d\", \"m\\u002ex\": "
			"{ \"b\": \"some more text\", \"a\": \"\\ud83d\\ude00\" } }",
			i == 299 ? "" : ",", i, i);
	buf_add(&b, S("\n}"));
	r->document = arena_keep(r->a, buf_str(&b));

	buf_reset(&b);
	buf_add(&b, S("{\"allow\":[\"*\"],\"allow_ip_literals\":false,\"deny\":["));
	for (int i = 0; i < 200; i++)
		buf_printf(&b, "%s\"%sspam%d.example\"", i ? "," : "", i % 2 ? "*." : "", i);
	buf_add(&b, S("]}"));
	r->acl = make(r, ALICE, S("m.room.server_acl"), S(""), arena_keep(r->a, buf_str(&b)));

	buf_reset(&b);
	buf_add(&b, S("{\"rules\":{\"content\":["));
	for (int i = 0; i < 20; i++)
		buf_printf(&b, "%s{\"rule_id\":\"w%d\",\"actions\":[\"notify\"],\"pattern\":\"word%d%s\"}",
			   i ? "," : "", i, i, i % 4 ? "" : "*");
	buf_add(&b, S("],\"room\":["));
	for (int i = 0; i < 5; i++)
		buf_printf(&b, "%s{\"rule_id\":\"!room%d:domain\",\"actions\":[]}", i ? "," : "", i);
	buf_add(&b, S("]}}"));
	r->own_rules = arena_keep(r->a, buf_str(&b));
}

/* --- two states to resolve --- */

static int64_t number_of(struct room_numbers *n, struct arena *a, str text)
{
	int64_t known = (int64_t)(intptr_t)map_get(&n->of_text, text);

	if (!known) {
		known = ++n->last;
		map_put(&n->of_text, arena_keep(a, text), (void *)(intptr_t)known);
	}
	return known;
}

static err *io_number(void *ctx, str text, int64_t *out)
{
	const struct room_numbers *n = ctx;

	*out = (int64_t)(intptr_t)map_get(&n->of_text, text);
	return NULL;
}

static err *io_event(void *ctx, struct arena *a, int64_t nid, const struct event **out)
{
	const struct room_numbers *n = ctx;

	(void)a;
	*out = n->events[nid];
	return NULL;
}

static err *io_auth(void *ctx, struct arena *a, const int64_t *events, size_t n, struct auth_list *out)
{
	const struct room_numbers *numbers = ctx;

	(void)a;
	for (size_t i = 0; i < n; i++)
		out[i] = numbers->auth[events[i]];
	return NULL;
}

static void index_events(struct bench_room *r)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct event *ev = r->events[i];
		int64_t *auth = ARENA_ARRAY(r->a, int64_t, ev->n_auth_events);

		for (size_t k = 0; k < ev->n_auth_events; k++)
			for (size_t j = 0; j < i; j++)
				if (str_eq(r->events[j]->event_id, ev->auth_events[k]))
					auth[k] = r->events[j]->nid;
		r->numbers->events[ev->nid] = ev;
		r->numbers->auth[ev->nid] = (struct auth_list){ auth, ev->n_auth_events };
	}
}

/* One side bans a member and changes the power levels; on the other that member and Bob go on. */
static void fork_room(struct bench_room *r)
{
	const str empty = S(""), victim = S("@member3:domain");
	struct room_numbers *n = r->numbers = ARENA_NEW(r->a, struct room_numbers);
	const struct event *left[3], *right[4];
	struct state_builder b;

	map_init(&n->of_text, r->a);
	nodes_init(&n->nodes, r->a);
	left[0] = add(r, ALICE, S("m.room.power_levels"), empty,
		      S("{\"users\":{\"@bob:domain\":50,\"@member5:domain\":50},\"state_default\":50}"), false);
	left[1] = add(r, BOB, S("m.room.member"), victim, S("{\"membership\":\"ban\"}"), false);
	left[2] = add(r, ALICE, S("m.room.topic"), empty, S("{\"topic\":\"left\"}"), false);
	right[0] = add(r, victim, S("m.room.member"), victim,
		       S("{\"membership\":\"join\",\"displayname\":\"Another\"}"), false);
	right[1] = add(r, BOB, S("m.room.topic"), empty, S("{\"topic\":\"right\"}"), false);
	right[2] = add(r, BOB, S("m.room.name"), empty, S("{\"name\":\"right\"}"), false);
	right[3] = add(r, CAROL, S("m.room.member"), CAROL, S("{\"membership\":\"join\"}"), false);
	index_events(r);
	state_builder_init(&b, r->a, &n->nodes.tree);
	struct state_root base = STATE_EMPTY;

#define PUT(root, ev)                                                                                                  \
	must(state_set(&b, root, number_of(n, r->a, (ev)->type), number_of(n, r->a, (ev)->state_key), (ev)->nid,       \
		       &(root)))
	for (size_t i = 0; i < r->n_current; i++)
		PUT(base, r->current[i]);
	r->fork[0] = r->fork[1] = base;
	for (size_t i = 0; i < ARRAY_LEN(left); i++)
		PUT(r->fork[0], left[i]);
	for (size_t i = 0; i < ARRAY_LEN(right); i++)
		PUT(r->fork[1], right[i]);
#undef PUT
	nodes_seal(&n->nodes, &b, r->fork, 2);
	r->tree = n->nodes.tree;
	r->io = (struct state_res_io){
		.ctx = n,
		.event = io_event,
		.number = io_number,
		.auth = { .ctx = n, .auth_events = io_auth },
	};
}

void bench_room_make(struct bench_room *r, struct arena *a)
{
	*r = (struct bench_room){ .a = a, .rv = room_version_find(S("12")) };
	ed25519_from_seed(&r->key, (const uint8_t *)b64_decode(a, S("YJDBA9Xnr2sVqXD9Vj7XVUnmFZcZrlw8Md7kMW+3XA1")).p);
	r->by = (struct signer){ .server_name = S("domain"), .key_id = S("ed25519:1"), .key = &r->key };
	open_room(r);
	make_next(r);
	make_texts(r);
	fork_room(r);
}

/* --- for others --- */

static void write_event(struct jw *w, const char *key, const struct event *ev)
{
	jw_object(w, key);
	jw_str(w, "event_id", ev->event_id);
	jw_str(w, "pdu", ev->bytes);
	jw_end(w);
}

struct listing {
	struct jw *w;
	const struct bench_room *r;
};

static err *list_entry(void *arg, const struct state_entry *e)
{
	const struct listing *l = arg;

	jw_str(l->w, NULL, l->r->events[e->event - 1]->event_id);
	return NULL;
}

str bench_room_json(struct arena *a, const struct bench_room *r)
{
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	jw_str(&w, "seed", b64_encode(a, (str){ (const char *)r->key.seed, 32 }));
	jw_str(&w, "public_key", b64_encode(a, (str){ (const char *)r->key.public_key, 32 }));
	write_event(&w, "message", r->message);
	write_event(&w, "notice", r->notice);
	write_event(&w, "join", r->join);
	write_event(&w, "power", r->power);
	write_event(&w, "acl", r->acl);
	jw_str(&w, "document", r->document);
	jw_str(&w, "own_rules", r->own_rules);
	jw_array(&w, "events");
	for (size_t i = 0; i < r->n; i++)
		write_event(&w, NULL, r->events[i]);
	jw_end(&w);
	jw_array(&w, "batch");
	for (size_t i = 0; i < BATCH; i++)
		write_event(&w, NULL, r->batch[i]);
	jw_end(&w);
	jw_array(&w, "states");
	for (size_t i = 0; i < 2; i++) {
		jw_array(&w, NULL);
		must(state_each(&r->tree, a, r->fork[i], (struct state_pick){ 0 }, list_entry,
				&(struct listing){ &w, r }));
		jw_end(&w);
	}
	jw_end(&w);
	jw_end(&w);
	return arena_keep(a, buf_str(&b));
}
