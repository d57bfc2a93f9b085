/*
 * event_check.c - the "Checks performed on receipt of a PDU" (Server-Server API), 1 to 5, one by one.
 *
 * The library does all of them and this only asks: what it makes of the whole (event_parse) is taken apart here, so
 * that each check has its own line. After a failure the next checks are made nevertheless, where they can be: who looks
 * for the reason of a refusal wants all of them.
 */
#include "cli/event_check.h"

#include "base/b64.h"
#include "base/map.h"
#include "cli/event_file.h"
#include "matrix/id.h"

/* Far above any room that is known. */
static const struct json_limits file_limits = { .max_bytes = 1u << 30, .max_depth = 1000, .max_values = 1u << 27 };

struct work {
	struct arena *a;
	const struct json *file;
	struct event_report *out;
	VEC(struct event *) auth, state;
	struct map by_id;    /* auth: id -> event */
	struct map rejected; /* ids */
};

static struct check *add(struct work *w, const char *name, enum check_result result, str says)
{
	vec_push(w->a, &w->out->checks, (struct check){ .name = name, .result = result, .says = says });
	return &w->out->checks.p[w->out->checks.n - 1];
}

static void cite(struct check *c, str page, str section, str text)
{
	c->cites = (struct auth_citation){ .page = page, .section = section, .number = S(""), .text = text };
}

static void cite_rule(struct work *w, struct check *c, enum auth_rule rule)
{
	if (auth_rule_cite(w->a, w->out->rv, rule, &c->cites))
		c->rule = rule;
}

static str page(const struct work *w) { return arena_join2(w->a, S("rooms/v"), w->out->rv->id); }

/* --- the file --- */

/* Events of a room's state, as clients get them, do not always say the room. */
static err *read_event(struct work *w, const struct json *json, struct event **out)
{
	TRY(event_file_read(w->a, w->out->rv, json, out));
	if (str_is_none((*out)->room_id))
		(*out)->room_id = json_get_str(json_get(w->file, S("event")), S("room_id"));
	return NULL;
}

static bool is_rejected(const struct work *w, str event_id) { return map_get(&w->rejected, event_id); }

static void read_rejected(struct work *w)
{
	const struct json *rejected = json_get_array(w->file, S("rejected"));

	map_init(&w->rejected, w->a);
	JSON_ITEMS (rejected, i) {
		if (json_is(rejected->array.items[i], JSON_STR))
			map_put(&w->rejected, json_str(rejected->array.items[i]), w);
	}
}

static err *read_auth_events(struct work *w)
{
	const struct json *list = json_get_array(w->file, S("auth_events"));

	map_init(&w->by_id, w->a);
	JSON_ITEMS (list, i) {
		struct event *ev;
		err *e = read_event(w, list->array.items[i], &ev);

		if (e)
			return err_new(w->a, ERR_BAD_JSON, "auth_events[%zu]: %.*s", i, STR_ARG(e->msg));
		ev->rejected = ev->rejected || is_rejected(w, ev->event_id);
		vec_push(w->a, &w->auth, ev);
		map_put(&w->by_id, ev->event_id, ev);
	}
	return NULL;
}

static err *read_state(struct work *w)
{
	const struct json *list = json_get_array(w->file, S("state"));
	struct map keys;

	map_init(&keys, w->a);
	JSON_ITEMS (list, i) {
		struct event *ev;
		err *e = read_event(w, list->array.items[i], &ev);

		if (e)
			return err_new(w->a, ERR_BAD_JSON, "state[%zu]: %.*s", i, STR_ARG(e->msg));
		if (!event_is_state(ev))
			return err_new(w->a, ERR_BAD_JSON, "state[%zu]: %.*s is no state event", i,
				       STR_ARG(ev->event_id));
		if (map_put(&keys,
			    arena_printf(w->a, "%zu %.*s%.*s", ev->type.n, STR_ARG(ev->type), STR_ARG(ev->state_key)),
			    ev))
			return err_new(w->a, ERR_BAD_JSON, "state has two events under %.*s \"%.*s\"",
				       STR_ARG(ev->type), STR_ARG(ev->state_key));
		ev->rejected = ev->rejected || is_rejected(w, ev->event_id);
		vec_push(w->a, &w->state, ev);
	}
	return NULL;
}

static err *find_version(struct work *w)
{
	static const str lists[] = { STR("state"), STR("auth_events") };
	str version = json_get_str(w->file, S("room_version"));

	if (str_is_none(version))
		version = event_file_version(json_get(w->file, S("event")));
	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		const struct json *list = json_get_array(w->file, lists[l]);

		for (size_t i = 0; str_is_none(version) && list && i < list->array.n; i++)
			version = event_file_version(list->array.items[i]);
	}
	if (str_is_none(version))
		return err_new(w->a, ERR_BAD_JSON, "there is no room_version, and no create event to take it from");
	w->out->rv = room_version_find(version);
	if (!w->out->rv)
		return err_new(w->a, ERR_UNSUPPORTED_ROOM_VERSION, "no room version %.*s is known", STR_ARG(version));
	return NULL;
}

/* --- "Is a valid event", and "Passes hash checks" --- */

static void check_canonical(struct work *w, const struct json *json)
{
	struct json *bare = json_copy(w->a, json);
	struct check *c;
	str bytes;
	err *e;

	/* Taking a member out of an object drops duplicates, which are what is looked for. */
	if (!json->dup)
		json_del(bare, S("unsigned"));
	e = json_canonical(w->a, json->dup ? json : bare, w->out->rv->strict_json, &bytes);
	c = add(w, "canonical JSON", e ? CHECK_FAILED : CHECK_PASSED,
		e ? e->msg : arena_printf(w->a, "%zu bytes", bytes.n));
	cite(c, page(w), S("Canonical JSON"),
	     w->out->rv->strict_json ? S("Servers MUST strictly enforce the JSON format specified in the appendices.")
				     : S("Servers MUST NOT strictly enforce the JSON format specified in the "
					 "appendices for the reasons described there."));
	if (e)
		return;
	c = add(w, "size", bytes.n > EVENT_MAX_BYTES ? CHECK_FAILED : CHECK_PASSED,
		arena_printf(w->a, "%zu of %d bytes", bytes.n, EVENT_MAX_BYTES));
	cite(c, S("client-server-api"), S("Size limits"),
	     S("The complete event MUST NOT be larger than 65536 bytes, when formatted with the federation event format, "
	       "including any signatures, and encoded as Canonical JSON."));
}

static void check_id(struct work *w, str named, const struct event *ev)
{
	const bool same = str_is_none(named) || str_eq(named, ev->event_id);
	struct check *c = add(w, "event ID", same ? CHECK_PASSED : CHECK_FAILED,
			      same ? ev->event_id
				   : arena_printf(w->a, "%.*s is really %.*s", STR_ARG(named), STR_ARG(ev->event_id)));

	if (w->out->rv->event_format == EVENT_FORMAT_NAMED)
		cite(c, page(w), S("Event IDs"),
		     S("An event has exactly one event ID. Event IDs take the form $opaque_id:domain"));
	else
		cite(c, page(w), S("Event IDs"), S("The event ID is the reference hash of the event."));
}

static void check_hash(struct work *w, const struct event *ev)
{
	struct check *c = add(w, "content hash", ev->hash_failed ? CHECK_REDACTED : CHECK_PASSED,
			      ev->hash_failed ? S("It does not fit: what goes on is the redacted copy.")
					      : json_get_str(json_get(ev->json, S("hashes")), S("sha256")));

	cite(c, S("server-server-api"), S("Validating hashes and signatures on received events"),
	     S("If the hash check fails, then it is assumed that this is because we have only been given a redacted "
	       "version of the event. To enforce this, the receiving server should use the redacted copy it calculated "
	       "rather than the full copy it received."));
}

static struct event *check_format(struct work *w)
{
	const struct json *json = json_get(w->file, S("event"));
	struct event *ev = NULL;
	struct check *c;
	str named;
	err *e;

	json = event_file_bare(w->a, w->out->rv, json, &named);
	check_canonical(w, json);
	e = event_parse_json(w->a, w->out->rv, json, &ev);
	c = add(w, "format", e ? CHECK_FAILED : CHECK_PASSED,
		e ? e->msg
		  : arena_printf(w->a, "%.*s of %.*s in %.*s", STR_ARG(ev->type), STR_ARG(ev->sender),
				 STR_ARG(ev->room_id)));
	cite(c, S("server-server-api"), S("Checks performed on receipt of a PDU"),
	     S("Is a valid event, otherwise it is dropped. For an event to be valid, it must comply with the event format "
	       "of that room version."));
	if (e)
		return NULL;
	ev->rejected = ev->rejected || is_rejected(w, ev->event_id);
	check_id(w, named, ev);
	check_hash(w, ev);
	return ev;
}

/* --- "Passes signature checks" --- */

struct signatures {
	unsigned good, bad, unknown;
};

static struct signatures count_signatures(struct work *w, const struct event *ev, str server)
{
	const struct json *theirs = json_get(json_get(ev->json, S("signatures")), server);
	const struct json *keys = json_get(json_get(w->file, S("keys")), server);
	struct signatures n = { 0 };

	JSON_EACH (theirs, m) {
		const str key = b64_decode(w->a, json_get_str(keys, m->key));

		if (key.n != 32)
			n.unknown++;
		else if (event_verify(w->a, w->out->rv, ev, server, m->key, (const uint8_t *)key.p))
			n.good++;
		else
			n.bad++;
	}
	return n;
}

static void check_signature(struct work *w, const struct event *ev, str server)
{
	const bool keys_given = json_get_object(w->file, S("keys")) != NULL;
	const struct signatures n = count_signatures(w, ev, server);
	const str authoriser = json_get_str(ev->content, S("join_authorised_via_users_server"));
	const bool of_sender = str_eq(server, id_server(ev->sender));
	enum check_result result = CHECK_FAILED;
	struct check *c;
	str says;

	if (n.good + n.bad + n.unknown == 0)
		says = arena_printf(w->a, "%.*s has not signed", STR_ARG(server));
	else if (n.bad > 0)
		says = arena_printf(w->a, "a signature of %.*s is wrong", STR_ARG(server));
	else if (keys_given && n.good == 0)
		says = arena_printf(w->a, "%.*s has signed with none of the keys that were given", STR_ARG(server));
	else {
		result = CHECK_PASSED;
		says = arena_printf(
			w->a, n.good ? "%.*s has validly signed" : "%.*s has signed (not verified: no keys were given)",
			STR_ARG(server));
	}
	c = add(w, "signature", result, says);
	if (!of_sender && w->out->rv->restricted && !str_is_none(authoriser))
		cite_rule(w, c, RULE_MEMBER_AUTHORISED_SIGNED);
	else if (!of_sender)
		cite(c, S("server-server-api"), S("Validating hashes and signatures on received events"),
		     S("Room versions 1 and 2 also require that a signature is present from the domain in the event_id, if "
		       "it differs from the originating server."));
	else
		cite(c, S("server-server-api"), S("Validating hashes and signatures on received events"),
		     S("The event is redacted following the redaction algorithm, and the resultant object is checked for "
		       "signatures from the originating server"));
}

static void check_signatures(struct work *w, const struct event *ev)
{
	str servers[EVENT_MAX_SIGNERS];
	const size_t n = event_signers(w->out->rv, ev, servers);

	for (size_t i = 0; i < n; i++)
		check_signature(w, ev, servers[i]);
	if (n > 0)
		return;
	cite(add(w, "signature", CHECK_PASSED, S("none is needed: an invite by a third party")), S("server-server-api"),
	     S("Validating hashes and signatures on received events"),
	     S("If the event is a 3rd party invite, the sender must already match the 3rd party invite, and the server "
	       "which actually sends the event may be a different server."));
}

/* --- "Passes authorisation rules" --- */

/* Whether the event is among what its auth_events rest on: possible where servers choose event ids. Depth first, each
 * given event once. */
static bool rests_on_itself(struct work *w, const struct event *ev)
{
	VEC(const struct event *) stack = { 0 };
	struct map seen;

	map_init(&seen, w->a);
	vec_push(w->a, &stack, ev);
	while (stack.n > 0) {
		const struct event *at = stack.p[--stack.n];

		for (size_t i = 0; i < at->n_auth_events; i++) {
			const struct event *next = map_get(&w->by_id, at->auth_events[i]);

			if (str_eq(at->auth_events[i], ev->event_id))
				return true;
			if (next && !map_put(&seen, next->event_id, (void *)next))
				vec_push(w->a, &stack, next);
		}
	}
	return false;
}

/* The events that are named, or NULL with a failed check. */
static const struct event **find_auth_events(struct work *w, const struct event *ev)
{
	const struct event **out = ARENA_ARRAY(w->a, const struct event *, ev->n_auth_events + 1);

	for (size_t i = 0; i < ev->n_auth_events; i++) {
		out[i] = map_get(&w->by_id, ev->auth_events[i]);
		if (out[i])
			continue;
		cite(add(w, "auth_events", CHECK_FAILED,
			 arena_printf(w->a, "%.*s was not given", STR_ARG(ev->auth_events[i]))),
		     S("server-server-api"), S("Checks performed on receipt of a PDU"),
		     S("Passes authorisation rules based on the event's auth events, otherwise it is rejected."));
		return NULL;
	}
	return out;
}

/* The room's create event, which no auth_events hold where the room's id names it. */
static const struct event *create_of(const struct work *w, const struct event *ev)
{
	for (size_t i = 0; i < w->auth.n; i++)
		if (event_is(w->auth.p[i], S("m.room.create"), S("")) && str_eq(w->auth.p[i]->room_id, ev->room_id))
			return w->auth.p[i];
	for (size_t i = 0; i < w->state.n; i++)
		if (event_is(w->state.p[i], S("m.room.create"), S("")) && str_eq(w->state.p[i]->room_id, ev->room_id))
			return w->state.p[i];
	return NULL;
}

static void check_against(struct work *w, const struct event *ev, const char *name, const struct event *const *events,
			  size_t n)
{
	struct state_list list = { events, n };
	enum auth_rule by;
	const err *e = auth_check_by(w->a, w->out->rv, ev, state_list_lookup, &list, &by);

	cite_rule(w, add(w, name, e ? CHECK_FAILED : CHECK_PASSED, e ? e->msg : S("allowed")), by);
}

static void skip(struct work *w, const char *name, const char *why) { add(w, name, CHECK_SKIPPED, str_c(why)); }

static void check_by_auth_events(struct work *w, const struct event *ev)
{
	static const char name[] = "rules, by auth_events";
	const struct event **entries;
	size_t n = ev->n_auth_events;
	err *e;

	if (!json_get_array(w->file, S("auth_events")) && !str_eq(ev->type, S("m.room.create"))) {
		skip(w, "auth_events", "none were given");
		skip(w, name, "no auth_events were given");
		return;
	}
	if (rests_on_itself(w, ev)) {
		cite_rule(w, add(w, "auth_events", CHECK_FAILED, S("The event is among those its auth_events rest on")),
			  RULE_CYCLE);
		skip(w, name, "its auth_events cannot be trusted");
		return;
	}
	entries = find_auth_events(w, ev);
	if (!entries) {
		skip(w, name, "an event of auth_events is missing");
		return;
	}
	e = auth_check_auth_events(w->a, w->out->rv, ev, entries, n);
	cite_rule(w,
		  add(w, "auth_events", e ? CHECK_FAILED : CHECK_PASSED,
		      e ? e->msg : arena_printf(w->a, "%zu, all of them selected", n)),
		  e ? auth_rule_of(e) : RULE_AUTH_EVENTS);
	if (w->out->rv->create_not_in_auth_events) {
		entries[n] = create_of(w, ev);
		n += entries[n] != NULL;
	}
	check_against(w, ev, name, entries, n);
}

static void check_by_state(struct work *w, const struct event *ev)
{
	static const char name[] = "rules, by the state";

	if (json_get_array(w->file, S("state")))
		check_against(w, ev, name, (const struct event *const *)w->state.p, w->state.n);
	else
		skip(w, name, "no state was given");
}

/* What the first failure means for the event. */
static const char *verdict(const struct event_report *r, size_t n_before_auth)
{
	for (size_t i = 0; i < r->checks.n; i++)
		if (r->checks.p[i].result == CHECK_FAILED)
			return i < n_before_auth ? "dropped" : "rejected";
	return "accepted";
}

err *event_check(struct arena *a, str text, struct event_report *out)
{
	struct work w = { .a = a, .out = out };
	struct json *file;
	struct event *ev;
	size_t n_before_auth;

	*out = (struct event_report){ 0 };
	TRY(json_parse(a, text, &file_limits, &file));
	w.file = file;
	if (!json_get_object(file, S("event")))
		return err_new(a, ERR_BAD_JSON, "there is no object \"event\"");
	TRY(find_version(&w));
	read_rejected(&w);
	TRY(read_auth_events(&w));
	TRY(read_state(&w));
	ev = check_format(&w);
	out->event = ev;
	if (ev)
		check_signatures(&w, ev);
	n_before_auth = out->checks.n;
	if (ev) {
		check_by_auth_events(&w, ev);
		check_by_state(&w, ev);
	}
	out->verdict = verdict(out, n_before_auth);
	return NULL;
}
