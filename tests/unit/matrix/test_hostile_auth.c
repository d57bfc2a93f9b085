/*
 * Events against the authorisation rules by the rows of tests/vectors/hostile/auth.json, and hostile states resolved by
 * those of resolve.json. Every row in every version it is for.
 */
#include "matrix/fixture.h"

#include "dag.h"
#include "matrix/auth.h"
#include "matrix/hostile.h"

static const struct json *file_of(const char *path) { return parse(arena_cstr(A, slurp(path))); }

enum { STATE_MAX = 16 };
struct world {
	const struct room_version *rv;
	const struct json *named;
	struct ed25519_key identity; /* the identity server's, of third-party invites */
	const struct event *state[STATE_MAX];
	struct state_list list;
};

static str room_of(const struct room_version *rv) { return rv->room_id_is_create_hash ? S("!create") : S("!r:a"); }

static str id_of(const struct room_version *rv, const char *name)
{
	return arena_printf(A, rv->event_format == EVENT_FORMAT_NAMED ? "$%s:a" : "$%s", name);
}

/* Texts may have the identity server's key in them. */
static const struct json *with_key(struct world *w, const struct json *content)
{
	str text, key = b64_encode(A, (str){ (const char *)w->identity.public_key, 32 });
	AUTO_BUF b = BUF_INIT(1 << 20);

	must(json_canonical(A, content, JSON_CANON_LOOSE, &text));
	for (size_t i = 0; i < text.n;) {
		if (str_starts(str_from(text, i), S("<<key>>"))) {
			buf_add(&b, key);
			i += 7;
		} else {
			buf_byte(&b, text.p[i++]);
		}
	}
	return hostile_read(A, arena_keep(A, buf_str(&b)));
}

/* The content, or what it changes in that of a named event. */
static const struct json *content_of(struct world *w, const struct json *spec)
{
	const struct json *content = json_get(spec, S("content"));
	const struct json *under = json_get(json_get(w->named, json_get_str(spec, S("over"))), S("content"));
	struct json *merged;

	if (!under)
		return with_key(w, content);
	merged = json_copy(A, under);
	JSON_EACH (content, m)
		json_set(A, merged, m->key, m->value);
	return with_key(w, merged);
}

/* Before version 12 the creator has a level like others: 100, in all the rows. */
static const struct json *with_creator(const struct room_version *rv, const struct json *content)
{
	const struct json *users = json_get_object(content, S("users"));
	struct json *more, *changed;

	if (rv->creators_above_all || !users)
		return content;
	more = json_copy(A, users);
	changed = json_copy(A, content);
	json_set(A, more, S("@alice:a"), json_new_int(A, 100));
	json_set(A, changed, S("users"), more);
	return changed;
}

static void add_signatures(struct event *ev, const struct json *signers)
{
	static const char all[] =
		"{\"a\":{\"ed25519:1\":\"x\"},\"b\":{\"ed25519:1\":\"x\"},\"n\":{\"ed25519:1\":\"x\"}}";
	struct json *top = json_new_object(A), *some = json_new_object(A);

	JSON_ITEMS (signers, i)
		json_set(A, some, json_str(signers->array.items[i]), parse("{\"ed25519:1\":\"x\"}"));
	json_set(A, top, S("signatures"), signers ? some : parse(all));
	json_set(A, top, S("type"), json_new_str(A, ev->type));
	json_set(A, top, S("content"), ev->content);
	if (!str_is_none(ev->room_id))
		json_set(A, top, S("room_id"), json_new_str(A, ev->room_id));
	ev->json = top;
}

static struct event *make(struct world *w, const struct json *spec, str id)
{
	struct event *ev = ARENA_NEW(A, struct event);
	const struct json *prev = json_get_array(spec, S("prev"));
	const str room_id = json_get_str(spec, S("room_id")), event_id = json_get_str(spec, S("event_id"));
	const bool is_create = str_eq(json_get_str(spec, S("type")), S("m.room.create"));
	str *prevs = ARENA_ARRAY(A, str, 2);

	ev->type = json_get_str(spec, S("type"));
	ev->sender = json_get_str(spec, S("sender"));
	ev->state_key = json_get_str(spec, S("key"));
	ev->redacts = json_get_str(spec, S("redacts"));
	ev->event_id = str_is_none(event_id) ? id : event_id;
	ev->content = content_of(w, spec);
	if (str_eq(ev->type, S("m.room.power_levels")))
		ev->content = with_creator(w->rv, ev->content);
	ev->rejected = json_get_bool(spec, S("rejected"), false);
	ev->room_id = str_is_none(room_id) ? room_of(w->rv) : room_id;
	prevs[0] = id_of(w->rv, "other");
	ev->prev_events = prevs;
	ev->n_prev_events = prev ? prev->array.n : 1;
	JSON_ITEMS (prev, i)
		prevs[i] = str_eq(json_str(prev->array.items[i]), S("create")) ? id_of(w->rv, "create")
									       : json_str(prev->array.items[i]);
	/* From version 12 on no good create event carries the id. */
	if (w->rv->room_id_is_create_hash && is_create && str_is_none(room_id))
		ev->room_id = STR_NONE;
	add_signatures(ev, json_get_array(spec, S("signed")));
	if (str_is_none(ev->room_id))
		ev->room_id = room_of(w->rv);
	return ev;
}

static void put_state(struct world *w, const struct json *spec, size_t i)
{
	const str type = json_get_str(spec, S("type")), key = json_get_str(spec, S("key"));
	const bool gone = !json_get(spec, S("over")) && !json_is(json_get(spec, S("content")), JSON_OBJECT);
	const bool create = str_eq(type, S("m.room.create"));
	size_t at = 0;

	while (at < w->list.n && !event_is(w->state[at], type, key))
		at++;
	if (gone) {
		assert_true(at < w->list.n);
		w->state[at] = w->state[--w->list.n];
		return;
	}
	assert_true(at < STATE_MAX);
	w->state[at] = make(w, spec, create ? id_of(w->rv, "create") : arena_printf(A, "$state%zu:a", i));
	w->list.n = MAX(w->list.n, at + 1);
}

static void begin(struct world *w, const struct room_version *rv, const struct json *row)
{
	static const char usual[] =
		"[{'type':'m.room.create','key':'','sender':'@alice:a','content':{'creator':'@alice:a'}},"
		"{'type':'m.room.member','key':'@alice:a','sender':'@alice:a','content':{'membership':'join'}},"
		"{'type':'m.room.power_levels','key':'','sender':'@alice:a','content':{'users':{'@mod:a':50}}},"
		"{'type':'m.room.join_rules','key':'','sender':'@alice:a','content':{'join_rule':'public'}},"
		"{'type':'m.room.member','key':'@mod:a','sender':'@mod:a','content':{'membership':'join'}},"
		"{'type':'m.room.member','key':'@bob:b','sender':'@bob:b','content':{'membership':'join'}}]";
	const str text = arena_keep(A, str_c(usual));
	const struct json *state = json_get_array(row, S("state")), *first;

	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == '\'')
			((char *)text.p)[i] = '"';
	first = parse(arena_cstr(A, text));
	w->rv = rv;
	w->list = (struct state_list){ w->state, 0 };
	JSON_ITEMS (first, i)
		put_state(w, first->array.items[i], i);
	JSON_ITEMS (state, i) {
		const struct json *spec = state->array.items[i];

		put_state(w, json_is(spec, JSON_STR) ? json_get(w->named, spec->s) : spec, 100 + i);
	}
}

/* Signs, or forges, what a third-party invite says. */
static void sign_third_party(struct world *w, struct event *ev, str forge)
{
	const struct json *invite = json_get(ev->content, S("third_party_invite"));
	const struct json *said = json_get_object(invite, S("signed"));
	const struct signer by = { S("id.server"), S("ed25519:0"), &w->identity };
	struct json *content, *outer, *inner;

	if (!said)
		return;
	content = json_copy(A, ev->content);
	outer = json_copy(A, invite);
	inner = json_copy(A, said);
	if (str_eq(forge, S("other key"))) {
		const struct signer other = { S("id.server"), S("ed25519:0"), &KEY };

		must(sign_json(A, inner, &other));
	} else if (str_eq(forge, S("types"))) {
		json_set(A, inner, S("signatures"),
			 parse("{\"id.server\":{\"ed25519:0\":5,\"x\":[]},\"y\":null,\"z\":[]}"));
	} else if (str_eq(forge, S("small order"))) {
		json_set(
			A, inner, S("signatures"),
			parse("{\"i\":{\"ed25519:0\":\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
			      "AAAAAAAA\"}}"));
	} else if (str_eq(forge, S("many"))) {
		const str text = hostile_expand(A, S("{<<\"s#\":{\"ed25519:0\":\"AAAA\"},*500>>\"z\":{}}"), 0);

		json_set(A, inner, S("signatures"), parse(arena_cstr(A, text)));
	} else if (!str_eq(forge, S("none"))) {
		must(sign_json(A, inner, &by));
	}
	if (str_eq(forge, S("other text")))
		json_set(A, inner, S("more"), json_new_int(A, 1));
	json_set(A, outer, S("signed"), inner);
	json_set(A, content, S("third_party_invite"), outer);
	ev->content = content;
}

static bool is_named(const struct json *list, const struct event *ev)
{
	JSON_ITEMS (list, i)
		if (str_eq(json_str(list->array.items[i]), arena_join3(A, ev->type, S("|"), ev->state_key)))
			return true;
	return false;
}

/* The rules on auth_events, of the selection as the row spoils it. */
static err *check_auth_events(struct world *w, const struct json *row, struct event *ev)
{
	const struct json *more = json_get_array(row, S("auth_more")), *less = json_get_array(row, S("auth_less"));
	const struct event *list[2 * STATE_MAX];
	struct state_key keys[AUTH_KEYS_MAX];
	const size_t n_keys = auth_keys(w->rv, ev->type, ev->state_key, ev->sender, ev->content, keys);
	size_t n = 0;

	for (size_t i = 0; i < n_keys; i++) {
		const struct event *found = state_list_lookup(&w->list, keys[i].type, keys[i].state_key);

		if (found && !is_named(less, found))
			list[n++] = found;
	}
	for (size_t i = 0; i < w->list.n; i++)
		if (is_named(more, w->state[i]))
			list[n++] = w->state[i];
	ev->n_auth_events = n;
	return auth_check_auth_events(A, w->rv, ev, list, n);
}

static err *verdict(struct world *w, const struct json *row, str *out_before)
{
	struct event *ev = make(w, json_get(row, S("event")), id_of(w->rv, "event"));
	str after;
	err *e;

	sign_third_party(w, ev, json_get_str(json_get(row, S("event")), S("forge")));
	must(json_canonical(A, ev->content, JSON_CANON_LOOSE, out_before));
	e = json_get(row, S("auth")) ? check_auth_events(w, row, ev)
				     : auth_check(A, w->rv, ev, state_list_lookup, &w->list);
	must(json_canonical(A, ev->content, JSON_CANON_LOOSE, &after));
	assert_str(after, *out_before);
	return e;
}

static void verdicts_are_what_the_rows_say(void **state)
{
	const struct json *file = file_of("tests/vectors/hostile/auth.json"), *rows = json_get_array(file, S("rows"));
	size_t asked = 0, allowed = 0;

	(void)state;
	JSON_ITEMS (rows, i) {
		const struct json *row = rows->array.items[i];
		const str want = json_get_str(row, S("expect"));

		for (size_t v = 0; room_version_at(v); v++) {
			struct world w = { .named = json_get(file, S("named")) };
			str before;

			if (!hostile_is_for(json_get_str(row, S("versions")), room_version_at(v)->number))
				continue;
			ed25519_from_seed(&w.identity, (const uint8_t[32]){ 9 });
			begin(&w, room_version_at(v), row);
			const err *e = verdict(&w, row, &before);
			const str got = e ? str_c(err_errcode(e->code)) : S("allow");

			ok(str_eq(got, want), "version %zu: %.*s: %.*s (%.*s)", v + 1,
			   STR_ARG(json_get_str(row, S("what"))), STR_ARG(got), STR_ARG(e ? e->msg : S("")));
			asked++;
			allowed += !e;
		}
	}
	ok(rows->array.n >= 350 && asked >= 2500 && allowed >= 150, "%zu rows, %zu asked, %zu allowed", rows->array.n,
	   asked, allowed);
}

/* --- state resolution --- */

static str name_of(const struct json *j) { return arena_join2(A, S("$"), json_str(j)); }

/* The events as they are given, with all their numbers known before their edges: circles are possible. */
static void load(struct dag *d, const struct json *events)
{
	JSON_ITEMS (events, i) {
		const struct json *spec = events->array.items[i];
		struct event *ev = ARENA_NEW(A, struct event);
		str *prev = ARENA_ARRAY(A, str, 1);

		ev->event_id = name_of(json_get(spec, S("id")));
		ev->room_id = room_of(d->rv);
		ev->type = json_get_str(spec, S("type"));
		ev->sender = json_get_str(spec, S("sender"));
		ev->state_key = json_get_str(spec, S("key"));
		ev->content = with_creator(d->rv, json_get(spec, S("content")));
		ev->json = json_new_object(A);
		ev->rejected = json_get_bool(spec, S("rejected"), false);
		ev->nid = (int64_t)++d->n;
		ev->origin_server_ts = ev->depth = ev->nid;
		(void)json_get_int(spec, S("ts"), &ev->origin_server_ts);
		(void)json_get_int(spec, S("depth"), &ev->depth);
		ev->prev_events = prev;
		ev->n_prev_events = d->n > 1;
		prev[0] = d->n > 1 ? d->ev[d->n - 1]->event_id : STR_NONE;
		d->ev[d->n] = ev;
		assert_null(map_put(&d->by_id, ev->event_id, ev));
	}
	JSON_ITEMS (events, i) {
		const struct json *list = json_get_array(events->array.items[i], S("auth"));
		struct event *ev = d->ev[i + 1];
		str *ids = ARENA_ARRAY(A, str, EVENT_MAX_AUTH);
		int64_t *nids = ARENA_ARRAY(A, int64_t, EVENT_MAX_AUTH);

		JSON_ITEMS (list, k) {
			/* "m.room.create MUST NOT be selected" */
			if (d->rv->create_not_in_auth_events && str_eq(json_str(list->array.items[k]), S("create")))
				continue;
			ids[ev->n_auth_events] = name_of(list->array.items[k]);
			nids[ev->n_auth_events] = dag_event(d, arena_cstr(A, ids[ev->n_auth_events]))->nid;
			ev->n_auth_events++;
		}
		ev->auth_events = ids;
		d->auth[i + 1] = (struct auth_list){ nids, ev->n_auth_events };
	}
}

static struct state_root state_of(struct dag *d, const struct json *names)
{
	struct state_root root = STATE_EMPTY;

	JSON_ITEMS (names, i)
		root = dag_set(d, root, dag_event(d, arena_cstr(A, name_of(names->array.items[i]))));
	return root;
}

static void check_resolution(const struct room_version *rv, const struct json *row)
{
	struct dag *d = ARENA_NEW(A, struct dag);
	const struct json *states = json_get_array(row, S("states"));
	const str what = json_get_str(row, S("what"));
	struct state_root roots[8], turned[8], got;
	const size_t n = states->array.n;

	dag_init(d, A, rv->id);
	load(d, json_get_array(row, S("events")));
	for (size_t i = 0; i < n; i++)
		roots[i] = state_of(d, states->array.items[i]);
	if (json_is(json_get(row, S("expect")), JSON_STR)) {
		struct state_builder b;

		state_builder_init(&b, A, &d->nodes.tree);
		const err *e = state_resolve(A, rv, &b, roots, n, &d->io, &got, NULL);

		ok(e && e->code == ERR_INTERNAL, "version %u: %.*s: resolved", rv->number, STR_ARG(what));
		return;
	}
	got = dag_resolve(d, roots, n);
	for (size_t turn = 1; turn < n; turn++) {
		for (size_t i = 0; i < n; i++)
			turned[i] = roots[(i + turn) % n];
		ok(state_same(dag_resolve(d, turned, n), got), "version %u: %.*s: order matters", rv->number,
		   STR_ARG(what));
	}
	JSON_EACH (json_get(row, S("expect")), m) {
		str key = m->key, type;

		str_split_next(&key, '|', &type);
		const str held = dag_held(d, got, arena_cstr(A, type), arena_cstr(A, key));
		const str want = json_is(m->value, JSON_STR) ? name_of(m->value) : S("");

		ok(str_eq(held, want), "version %u: %.*s: %.*s is %.*s, wanted %.*s", rv->number, STR_ARG(what),
		   STR_ARG(m->key), STR_ARG(held), STR_ARG(want));
	}
}

static void resolutions_are_what_the_rows_say(void **state)
{
	const struct json *rows = json_get_array(file_of("tests/vectors/hostile/resolve.json"), S("rows"));
	size_t asked = 0;

	(void)state;
	JSON_ITEMS (rows, i)
		for (size_t v = 0; room_version_at(v); v++)
			if (hostile_is_for(json_get_str(rows->array.items[i], S("versions")),
					   room_version_at(v)->number)) {
				check_resolution(room_version_at(v), rows->array.items[i]);
				asked++;
			}
	ok(rows->array.n >= 10 && asked >= 80, "%zu rows, %zu asked", rows->array.n, asked);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(verdicts_are_what_the_rows_say),
		TEST(resolutions_are_what_the_rows_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
