/*
 * remote_keys.c - asking other servers for their users' keys.
 *
 * Of users who share a room with us the whole list is fetched and kept (remote_lists.h): whoever asks next has it from
 * here. Of others the keys are passed on as they came, once it is clear that they are those users' own, and keys
 * (remote_form.h). A server that does not answer, or with nonsense, is named in `failures`; the others' keys go out
 * without it.
 */
#include "e2ee/remote_keys.h"

#include "base/map.h"
#include "bus/bus.h"
#include "e2ee/internal_e2ee.h"
#include "e2ee/key_upload.h"
#include "e2ee/remote_form.h"
#include "e2ee/remote_lists.h"
#include "federation/fed.h"
#include "json/writer.h"
#include "matrix/id.h"

enum { ANSWER_BYTES_MAX = 16 << 20, ANSWERS_BYTES_MAX = 256 << 20, SERVERS_MAX = 1000 };

/* Requests, one a server. */
struct asking {
	struct e2ee *e;
	struct arena *a;
	struct map by_server; /* struct server_ask */
	VEC(struct server_ask *) list;
	VEC(str) failed;
	struct map failed_once;
};
struct server_ask {
	str server;
	struct json *about; /* by user id */
};

static void asking_init(struct asking *k, struct e2ee *e, struct arena *a)
{
	*k = (struct asking){ .e = e, .a = a };
	map_init(&k->by_server, a);
	map_init(&k->failed_once, a);
}

static void fail(struct asking *k, str server)
{
	if (!map_put(&k->failed_once, server, k))
		vec_push(k->a, &k->failed, server);
}

static struct json *about(struct asking *k, str server)
{
	struct server_ask *ask = map_get(&k->by_server, server);

	if (ask)
		return ask->about;
	if (k->list.n == SERVERS_MAX) {
		fail(k, server);
		return NULL;
	}
	ask = ARENA_NEW(k->a, struct server_ask);
	*ask = (struct server_ask){ server, json_new_object(k->a) };
	map_put(&k->by_server, server, ask);
	vec_push(k->a, &k->list, ask);
	return ask->about;
}

/* calls[i] becomes that of k->list.p[i]. */
static void prepare(const struct asking *k, const char *path, const char *member, struct fed_call *calls)
{
	for (size_t i = 0; i < k->list.n; i++) {
		struct json *body = json_new_object(k->a);

		json_set(k->a, body, str_c(member), k->list.p[i]->about);
		calls[i] = (struct fed_call){
			.destination = k->list.p[i]->server,
			.method = S("POST"),
			.path = str_c(path),
			.content = body,
			.max_bytes = MIN((size_t)ANSWER_BYTES_MAX, ANSWERS_BYTES_MAX / k->list.n),
		};
	}
}

static void note_failures(struct asking *k, const struct fed_call *calls)
{
	for (size_t i = 0; i < k->list.n; i++)
		if (calls[i].error)
			fail(k, calls[i].destination);
}

/*
 * Device and identity keys
 */
static bool write_device(struct jw *w, struct arena *a, str user_id, str device_id, const struct json *given)
{
	const str name = json_get_str(json_get(given, S("unsigned")), S("device_display_name"));
	struct device_keys_row d;

	if (!remote_device_read(a, user_id, device_id, given, name, &d))
		return false;
	jw_key(w, device_id);
	jw_object(w, NULL);
	jw_members(w, d.keys);
	jw_object(w, "unsigned");
	if (!str_is_none(d.display_name))
		jw_str(w, "device_display_name", d.display_name);
	jw_end(w);
	jw_end(w);
	return true;
}

/* Each device once, however often the client asked for it, or the server gave it. */
static str devices_text(struct arena *a, const struct absent_user *u, const struct json *devices)
{
	AUTO_BUF buf = BUF_INIT(SIZE_MAX);
	struct jw w = jw_to(&buf);
	struct map seen;
	size_t n = 0;

	map_init(&seen, a);
	jw_object(&w, NULL);
	JSON_ITEMS (u->asked, i) {
		const str id = u->asked->array.items[i]->s;

		if (n < REMOTE_DEVICES_MAX && !map_put(&seen, id, &seen))
			n += write_device(&w, a, u->user_id, id, json_get(devices, id));
	}
	if (u->asked->array.n == 0)
		JSON_EACH (devices, d)
			if (n < REMOTE_DEVICES_MAX && !map_put(&seen, d->key, &seen))
				n += write_device(&w, a, u->user_id, d->key, json_get(devices, d->key));
	jw_end(&w);
	return arena_keep(a, buf_str(&buf));
}

static str identity(struct arena *a, const struct json *answer, enum user_key_usage usage, str user_id)
{
	const str member = arena_join2(a, user_key_member(usage), S("s")); /* "master_keys" */
	const str text = remote_user_key(a, user_id, usage, json_get(json_get_object(answer, member), user_id));

	return str_is_none(text) ? STR_NONE : key_text_shown(a, text);
}

static void add_strangers(struct asking *k, const struct fed_call *calls, const struct absent_user *users, size_t n,
			  struct keys_answer *out)
{
	struct queried_user *all = ARENA_ARRAY(k->a, struct queried_user, out->n + n);

	if (out->n)
		memcpy(all, out->users, out->n * sizeof(*all));
	for (size_t i = 0; i < k->list.n; i++) {
		const struct json *given = json_get_object(calls[i].answer, S("device_keys"));

		for (size_t u = 0; u < n && !calls[i].error; u++) {
			const struct json *devices = id_is_of(users[u].user_id, calls[i].destination)
							     ? json_get_object(given, users[u].user_id)
							     : NULL;

			if (!devices)
				continue;
			all[out->n++] = (struct queried_user){
				.user_id = users[u].user_id,
				.devices = devices_text(k->a, &users[u], devices),
				.master = identity(k->a, calls[i].answer, KEY_MASTER, users[u].user_id),
				.self_signing = identity(k->a, calls[i].answer, KEY_SELF_SIGNING, users[u].user_id),
			};
		}
	}
	out->users = all;
}

/* Those who share a room with us, and the others, by the servers to ask. */
static void sort_out(struct asking *k, const struct keys_answer *answer, struct absent_user *sharing, size_t *n_sharing,
		     struct absent_user *strangers, size_t *n_strangers)
{
	for (size_t i = 0; i < answer->n_absent; i++) {
		const struct absent_user *u = &answer->absent[i];
		struct json *by_user;

		if (u->shares && *n_sharing == REMOTE_LISTS_MAX) {
			fail(k, id_server(u->user_id));
			continue;
		}
		if (u->shares) {
			sharing[(*n_sharing)++] = *u;
			continue;
		}
		by_user = about(k, id_server(u->user_id));
		if (!by_user)
			continue;
		json_set(k->a, by_user, u->user_id, u->asked);
		strangers[(*n_strangers)++] = *u;
	}
}

err *remote_keys_query(struct e2ee *e, struct arena *a, int64_t asker, str asker_id, struct keys_answer *answer,
		       int64_t deadline_us)
{
	struct absent_user *sharing = ARENA_ARRAY(a, struct absent_user, answer->n_absent);
	struct absent_user *strangers = ARENA_ARRAY(a, struct absent_user, answer->n_absent);
	const int64_t at = bus_position(e->opt.bus);
	size_t n_sharing = 0, n_strangers = 0, here = 0;
	struct remote_lists_asking asked;
	struct remote_user *lists;
	struct fed_call *calls;
	struct asking k;

	asking_init(&k, e, a);
	for (size_t i = 0; i < answer->n_absent && !e->fed; i++)
		fail(&k, id_server(answer->absent[i].user_id));
	if (!e->fed)
		answer->n_absent = 0;
	sort_out(&k, answer, sharing, &n_sharing, strangers, &n_strangers);
	lists = ARENA_ARRAY(a, struct remote_user, n_sharing);
	for (size_t i = 0; i < n_sharing; i++)
		lists[i] = (struct remote_user){ .user = sharing[i].user, .user_id = sharing[i].user_id };
	calls = ARENA_ARRAY(a, struct fed_call, k.list.n + n_sharing);
	prepare(&k, "/_matrix/federation/v1/user/keys/query", "device_keys", calls);
	asked = (struct remote_lists_asking){ lists, n_sharing, calls + k.list.n, 0, calls, k.list.n, at };
	asked.n_calls = remote_lists_prepare(e, a, lists, n_sharing, asked.calls);
	remote_lists_ask(e, a, &asked, deadline_us);
	note_failures(&k, calls);
	add_strangers(&k, calls, strangers, n_strangers, answer);
	remote_lists_take(e, a, lists, n_sharing, asked.calls, at, deadline_us);
	TRY(remote_lists_ask_again(e, a, lists, n_sharing, deadline_us));
	for (size_t i = 0; i < n_sharing; i++) {
		if (!lists[i].fetched)
			fail(&k, id_server(lists[i].user_id));
		if (lists[i].fetched || sharing[i].is_old)
			sharing[here++] = sharing[i];
	}
	TRY(e2ee_keys_here(e, a, asker, asker_id, sharing, here, answer));
	for (size_t i = 0; i < here; i++)
		if (!sharing[i].is_old)
			fail(&k, id_server(sharing[i].user_id));
	answer->unreachable = k.failed.p;
	answer->n_unreachable = k.failed.n;
	return NULL;
}

/*
 * One-time keys
 */
/* The first of the answer that is a key of the algorithm that was asked for. */
static void take_claim(struct arena *a, struct key_claim *c, const struct json *given)
{
	const struct json *keys = json_get_object(json_get_object(given, c->user_id), c->device_id);

	JSON_EACH (keys, m) {
		struct one_time_key_row key;

		if (one_time_key_read(a, m->key, m->value, &key) || !str_eq(key.algorithm, c->algorithm) ||
		    (str_starts(key.algorithm, S("signed_")) && m->value->kind != JSON_OBJECT))
			continue;
		c->found = true;
		c->key_id = key.key_id;
		c->key = key.key;
		return;
	}
}

/* What is asked for of each server. A user's claims stand together. */
static void sort_claims(struct asking *k, const struct key_claims *claims)
{
	struct json *devices = NULL, *by_user;
	str of = STR_NONE;

	for (size_t i = 0; i < claims->n_remote; i++) {
		const struct key_claim *c = &claims->remote[i];

		if (!str_eq(c->user_id, of)) {
			of = c->user_id;
			by_user = about(k, id_server(of));
			devices = by_user ? json_new_object(k->a) : NULL;
			if (by_user)
				json_set(k->a, by_user, of, devices);
		}
		if (devices)
			json_set(k->a, devices, c->device_id, json_new_str(k->a, c->algorithm));
	}
}

err *remote_keys_claim(struct e2ee *e, struct arena *a, struct key_claims *claims, int64_t deadline_us)
{
	struct fed_call *calls;
	struct asking k;

	asking_init(&k, e, a);
	for (size_t i = 0; i < claims->n_remote && !e->fed; i++)
		fail(&k, id_server(claims->remote[i].user_id));
	if (e->fed)
		sort_claims(&k, claims);
	calls = ARENA_ARRAY(a, struct fed_call, k.list.n);
	prepare(&k, "/_matrix/federation/v1/user/keys/claim", "one_time_keys", calls);
	if (k.list.n)
		fed_all(e->fed, a, calls, k.list.n, deadline_us);
	note_failures(&k, calls);
	for (size_t i = 0; i < k.list.n; i++)
		for (size_t c = 0; c < claims->n_remote && !calls[i].error; c++)
			if (id_is_of(claims->remote[c].user_id, calls[i].destination))
				take_claim(a, &claims->remote[c], json_get_object(calls[i].answer, S("one_time_keys")));
	claims->unreachable = k.failed.p;
	claims->n_unreachable = k.failed.n;
	return NULL;
}
