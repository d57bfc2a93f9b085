/*
 * uia.c - user-interactive authentication.
 *
 * A session is one row, found by the hash of its id. What it holds (operation, parameters, completed stages) is JSON,
 * sealed with a key made from the id, for the parameters of a registration are a password, and the store does not know
 * the id. A request that completes a flow at once needs no session, and writes none.
 *
 * What is binding: "the same request with the addition of an auth key". Method, path and user are, from the start; so
 * are the parameters, as soon as something was proven for them. Before that a client may change them: many ask for the
 * flows with an empty body first. A request with nothing but `auth` means the parameters of the session, as the
 * specification's own example of the fallback does.
 */
#include "user/uia.h"

#include <assert.h>

#include "base/rand.h"
#include "crypto/crypto.h"
#include "crypto/secretbox.h"
#include "json/writer.h"
#include "store/uia.h"
#include "user/internal_uia.h"
#include "user/internal_users.h"
#include "user/register.h"

enum {
	SESSION_ID = 32,             /* characters, 190 bits */
	SESSION_MS = 60 * 60 * 1000, /* also how long a registration answers its repetition */
	SESSIONS_PER_USER = 20,
	SESSIONS_OF_NOBODY = 20000, /* registrations under way */
	STATE_MAX = 32 * 1024,      /* what a session remembers, bytes */
};

struct uia_state {
	bool stored; /* the store has the session */
	str operation;
	enum uia_stage order[UIA_STAGES]; /* completed, in order */
	size_t n_done;
	bool changed;            /* since it was stored */
	const struct json *auth; /* of the request; NULL: none */
};

static const char *const stage_names[UIA_STAGES] = {
	[UIA_PASSWORD] = "m.login.password",
	[UIA_DUMMY] = "m.login.dummy",
	[UIA_TERMS] = "m.login.terms",
	[UIA_REGISTRATION_TOKEN] = "m.login.registration_token",
};

const char *uia_stage_name(enum uia_stage stage)
{
	assert(stage < UIA_STAGES);
	return stage_names[stage];
}

static bool stage_of(str name, enum uia_stage *out)
{
	for (size_t i = 0; i < UIA_STAGES; i++)
		if (str_eq(name, str_c(stage_names[i]))) {
			*out = (enum uia_stage)i;
			return true;
		}
	return false;
}

/*
 * Storing
 */
str uia_session_hash(struct arena *a, str session) { return token_hash(a, arena_join2(a, S("uia-row:"), session)); }

static void session_key(struct arena *a, str session, uint8_t out[32])
{
	sha256(arena_join2(a, S("uia-key:"), session), out);
}

err *uia_seal(struct arena *a, const struct uia *u, str *out)
{
	AUTO_BUF b = BUF_INIT(STATE_MAX);
	struct jw w = jw_to(&b);
	uint8_t key[32];

	jw_object(&w, NULL);
	jw_str(&w, "op", u->in->operation);
	jw_json(&w, "params", u->params);
	jw_array(&w, "done");
	for (size_t i = 0; i < u->in->n_done; i++)
		jw_str(&w, NULL, str_c(stage_names[u->in->order[i]]));
	jw_end(&w);
	jw_end(&w);
	if (!jw_good(&w))
		return err_new(a, ERR_TOO_LARGE, "The request is too large to authenticate for");
	session_key(a, u->session, key);
	*out = secret_seal(a, key, buf_str(&b));
	crypto_wipe(b.p, b.n);
	crypto_wipe(key, sizeof(key));
	return NULL;
}

struct session_write {
	str hash;
	struct uia_row row;
	bool is_new;
};

static err *session_write(struct tx *tx, void *arg)
{
	const struct session_write *w = arg;
	int64_t max = SESSIONS_PER_USER;

	if (!w->is_new)
		return store_uia_update(tx, w->hash, w->row.sealed, w->row.registration_token);
	/* Counting to a large number is for one session in 256; the sum is bounded all the same. */
	if (w->row.user == 0)
		max = w->hash.p[0] == 0 ? SESSIONS_OF_NOBODY : 0;
	return store_uia_add(tx, w->hash, &w->row, max);
}

static err *session_save(struct users *us, struct arena *a, struct uia *u)
{
	const int64_t now = clock_ms();
	struct session_write w = { .is_new = !u->in->stored };

	if (u->in->stored && !u->in->changed)
		return NULL;
	if (w.is_new)
		u->session = rand_alnum(a, SESSION_ID);
	w.hash = uia_session_hash(a, u->session);
	w.row = (struct uia_row){
		.user = u->rq.user,
		.registration_token = u->registration_token,
		.created_at = now,
		.expires_at = now + SESSION_MS,
	};
	TRY(uia_seal(a, u, &w.row.sealed));
	TRY(store_do(us->opt.store, a, session_write, &w));
	u->in->stored = true;
	u->in->changed = false;
	return NULL;
}

static err *session_delete(struct tx *tx, void *hash) { return store_uia_delete(tx, *(const str *)hash); }

/* The session's row and what it sealed; NULL in *out_state when there is none. */
static err *session_read(struct users *us, struct arena *a, str session, const struct uia_row **out_row,
			 struct json **out_state)
{
	AUTO_TX tx = NULL;
	uint8_t key[32];
	str text;

	*out_state = NULL;
	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_uia_get(tx, uia_session_hash(a, session), clock_ms(), out_row));
	if (!*out_row)
		return NULL;
	session_key(a, session, key);
	text = secret_open(a, key, (*out_row)->sealed);
	crypto_wipe(key, sizeof(key));
	if (str_is_none(text))
		return err_new(a, ERR_INTERNAL, "An authentication session does not open");
	return json_parse(a, text, &json_limits_request, out_state);
}

static void state_into(struct uia *u, const struct uia_row *row, const struct json *state)
{
	const struct json *done = json_get_array(state, S("done"));
	enum uia_stage stage;

	u->in->stored = true;
	u->in->operation = json_get_str(state, S("op"));
	u->params = json_get_object(state, S("params"));
	u->registration_token = row->registration_token;
	u->result = row->result;
	JSON_ITEMS (done, i) {
		if (!stage_of(json_str(done->array.items[i]), &stage) || u->done[stage])
			continue;
		u->done[stage] = true;
		u->in->order[u->in->n_done++] = stage;
	}
}

/*
 * Opening
 */
static err *operation_changed(struct arena *a)
{
	return err_new(a, ERR_FORBIDDEN, "The requested operation has changed during the authentication session");
}

/* The session that the request names, into u. One that is unknown or has expired is as none: a new one begins. */
static err *resume(struct users *us, struct arena *a, struct uia *u, str operation, const struct json *params)
{
	const str session = json_get_str(u->in->auth, S("session"));
	const struct uia_row *row;
	struct json *state;

	if (str_is_empty(session) || session.n > 255)
		return NULL;
	TRY(session_read(us, a, session, &row, &state));
	if (!state)
		return NULL;
	if (row->user != u->rq.user || !str_eq(json_get_str(state, S("op")), operation))
		return operation_changed(a);
	u->session = session;
	state_into(u, row, state);
	if (params->object.n == 0 || json_equal(params, u->params))
		return NULL;
	if (u->in->n_done > 0 || u->result)
		return operation_changed(a);
	u->params = params;
	u->in->changed = true;
	return NULL;
}

err *uia_open(struct users *us, struct arena *a, const struct uia_request *rq, struct uia **out)
{
	const struct json *auth = json_get(rq->body, S("auth"));
	const str operation = arena_join3(a, rq->method, S(" "), rq->path);
	struct json *params = json_copy(a, rq->body);
	struct uia *u = ARENA_NEW(a, struct uia);

	assert(rq->n_flows > 0 || rq->user);
	if (auth && auth->kind != JSON_OBJECT && auth->kind != JSON_NULL)
		return err_new(a, ERR_BAD_JSON, "auth must be an object");
	json_del(params, S("auth"));
	*u = (struct uia){ .rq = *rq, .params = params, .in = ARENA_NEW(a, struct uia_state) };
	u->in->operation = operation;
	u->in->auth = json_is(auth, JSON_OBJECT) ? auth : NULL;
	TRY(resume(us, a, u, operation, params));
	*out = u;
	return NULL;
}

/*
 * Asking
 */
static void write_policies(struct jw *w, const struct users_options *opt)
{
	jw_object(w, stage_names[UIA_TERMS]);
	jw_object(w, "policies");
	for (size_t i = 0; i < opt->n_policies; i++) {
		const struct user_policy *p = &opt->policies[i];

		/* The languages of a document stand one after another. */
		if (i == 0 || !str_eq(p->id, opt->policies[i - 1].id)) {
			if (i > 0)
				jw_end(w);
			jw_key(w, p->id);
			jw_object(w, NULL);
			jw_str(w, "version", p->version);
		}
		jw_key(w, p->language);
		jw_object(w, NULL);
		jw_str(w, "name", p->name);
		jw_str(w, "url", p->url);
		jw_end(w);
	}
	if (opt->n_policies)
		jw_end(w);
	jw_end(w);
	jw_end(w);
}

static bool flows_have(const struct uia_request *rq, enum uia_stage stage)
{
	for (size_t i = 0; i < rq->n_flows; i++)
		for (size_t j = 0; j < rq->flows[i].n; j++)
			if (rq->flows[i].stages[j] == stage)
				return true;
	return false;
}

static void write_flows(struct jw *w, const struct uia_request *rq)
{
	jw_array(w, "flows");
	for (size_t i = 0; i < rq->n_flows; i++) {
		jw_object(w, NULL);
		jw_array(w, "stages");
		for (size_t j = 0; j < rq->flows[i].n; j++)
			jw_str(w, NULL, str_c(stage_names[rq->flows[i].stages[j]]));
		jw_end(w);
		jw_end(w);
	}
	jw_end(w);
}

/* The 401 that asks for the next stage; with errcode and words where a stage was tried in vain. */
static err *ask(struct users *us, struct arena *a, struct uia *u, const char *errcode, str words)
{
	AUTO_BUF b = BUF_INIT(STATE_MAX);
	struct jw w = jw_to(&b);
	err *e;

	TRY(session_save(us, a, u));
	jw_object(&w, NULL);
	if (errcode) {
		jw_str(&w, "errcode", str_c(errcode));
		jw_str(&w, "error", words);
	}
	jw_str(&w, "session", u->session);
	write_flows(&w, &u->rq);
	jw_object(&w, "params");
	if (flows_have(&u->rq, UIA_TERMS))
		write_policies(&w, &us->opt);
	jw_end(&w);
	if (errcode || u->in->n_done) {
		jw_array(&w, "completed");
		for (size_t i = 0; i < u->in->n_done; i++)
			jw_str(&w, NULL, str_c(stage_names[u->in->order[i]]));
		jw_end(&w);
	}
	jw_end(&w);
	if (!jw_good(&w))
		return err_new(a, ERR_INTERNAL, "The policies are too large to be shown");
	e = err_new(a, ERR_UIA, "Authentication is needed");
	e->body = arena_keep(a, buf_str(&b));
	return e;
}

/*
 * Stages. Each says whether it was passed, and else why, in words for the client.
 */
struct verdict {
	bool good;
	const char *errcode;
	str words;
};

static struct verdict refused(const char *errcode, str words) { return (struct verdict){ false, errcode, words }; }

/* The name in an identifier object, or in the older `user`; STR_NONE: none is given. */
static err *typed_name(struct arena *a, const struct json *auth, str *out)
{
	const struct json *identifier = json_get_object(auth, S("identifier"));

	*out = json_get_str(identifier ? identifier : auth, S("user"));
	/* "In the case that the homeserver does not know about the supplied 3PID, the homeserver must respond with 403"
	 */
	if (identifier && !str_eq(json_get_str(identifier, S("type")), S("m.id.user")))
		return err_new(a, ERR_FORBIDDEN, "This identifier is not known");
	return NULL;
}

static err *prove_validated(struct tx *tx, void *token_id)
{
	return store_token_set_validated(tx, *(const int64_t *)token_id, clock_ms());
}

static err *prove_password(struct users *us, struct arena *a, const struct uia *u, const struct json *auth,
			   struct verdict *out)
{
	const str password = json_get_str(auth, S("password"));
	const struct account *acc;
	int64_t token_id = u->rq.token_id;
	str name;
	err *e;

	TRY(typed_name(a, auth, &name));
	if (!str_is_none(name)) {
		TRY(login_find(us, a, name, &acc));
		if (!acc || acc->user != u->rq.user)
			return err_new(a, ERR_FORBIDDEN, "This is not the account that is logged in");
	}
	if (str_is_none(password)) {
		*out = refused("M_MISSING_PARAM", S("The password is missing"));
		return NULL;
	}
	e = login_password(us, a, u->rq.user_id, password, &acc);
	if (e && e->code != ERR_LOGIN_FAILED)
		return e;
	*out = e ? refused("M_FORBIDDEN", S("Invalid password")) : (struct verdict){ .good = true };
	return out->good && us->opt.uia_session_timeout_ms && token_id
		       ? store_do(us->opt.store, a, prove_validated, &token_id)
		       : NULL;
}

static err *prove_registration_token(struct users *us, struct arena *a, struct uia *u, str token, struct verdict *out)
{
	TRY(registration_token_valid(us, a, token, &out->good));
	if (!out->good)
		*out = refused("M_UNAUTHORIZED", S("Invalid registration token"));
	else
		u->registration_token = token;
	return NULL;
}

static err *prove_stage(struct users *us, struct arena *a, struct uia *u, enum uia_stage stage, const struct json *auth,
			struct verdict *out)
{
	*out = (struct verdict){ .good = true };
	switch (stage) {
	case UIA_PASSWORD:
		return prove_password(us, a, u, auth, out);
	case UIA_REGISTRATION_TOKEN:
		return prove_registration_token(us, a, u, json_get_str(auth, S("token")), out);
	case UIA_DUMMY:
	case UIA_TERMS:
	case UIA_STAGES:
		return NULL;
	}
	return NULL;
}

/* Does a flow begin with what is done, followed by the stage (or, with UIA_STAGES, end there)? */
static bool flow_goes_on(const struct uia *u, enum uia_stage next)
{
	for (size_t i = 0; i < u->rq.n_flows; i++) {
		const struct uia_flow *f = &u->rq.flows[i];
		size_t j = 0;

		while (j < u->in->n_done && j < f->n && f->stages[j] == u->in->order[j])
			j++;
		if (j == u->in->n_done && (next == UIA_STAGES ? j == f->n : j < f->n && f->stages[j] == next))
			return true;
	}
	return false;
}

static void stage_done(struct uia *u, enum uia_stage stage)
{
	u->done[stage] = true;
	u->in->order[u->in->n_done++] = stage;
	u->in->changed = true;
}

/* "Homeservers may allow requests [...] if the session recently passed UIA". */
static err *proven_lately(struct users *us, struct arena *a, const struct uia *u, bool *out)
{
	int64_t at;
	AUTO_TX tx = NULL;

	*out = false;
	if (!u->rq.may_skip || !us->opt.uia_session_timeout_ms || !u->rq.token_id)
		return NULL;
	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_token_validated(tx, u->rq.token_id, &at));
	*out = at && clock_ms() - at < us->opt.uia_session_timeout_ms;
	return NULL;
}

static err *finish(struct users *us, struct arena *a, struct uia *u)
{
	str hash;

	/* A registration's session stays, to answer its repetition; register_account writes the result into it. */
	if (!u->in->stored || u->rq.user == 0)
		return NULL;
	hash = uia_session_hash(a, u->session);
	return store_do(us->opt.store, a, session_delete, &hash);
}

err *uia_prove(struct users *us, struct arena *a, struct uia *u)
{
	const str type = json_get_str(u->in->auth, S("type"));
	struct verdict v;
	enum uia_stage stage;
	bool skip;

	TRY(proven_lately(us, a, u, &skip));
	if (skip || u->result)
		return NULL;
	if (str_is_none(type))
		return flow_goes_on(u, UIA_STAGES) ? finish(us, a, u) : ask(us, a, u, NULL, STR_NONE);
	if (!stage_of(type, &stage) || !flows_have(&u->rq, stage))
		return ask(us, a, u, "M_UNRECOGNIZED", S("This authentication type is not offered here"));
	/* "Completed stages cannot be retried by clients, therefore servers must return either a 401 response with the
	 * completed stages, or the result of the API call". */
	if (!u->done[stage]) {
		/* "the flow's stages must be completed in order" */
		if (!flow_goes_on(u, stage))
			return ask(us, a, u, "M_FORBIDDEN", S("The stages must be completed in order"));
		TRY(prove_stage(us, a, u, stage, u->in->auth, &v));
		if (!v.good)
			return ask(us, a, u, v.errcode, v.words);
		stage_done(u, stage);
	}
	return flow_goes_on(u, UIA_STAGES) ? finish(us, a, u) : ask(us, a, u, NULL, STR_NONE);
}

err *uia_password(struct users *us, struct req *rq, const struct json *body, bool may_skip,
		  const struct json **out_params)
{
	static const struct uia_flow flow = { .stages = { UIA_PASSWORD }, .n = 1 };
	const struct uia_request request = {
		.method = rq->method,
		.path = rq->path,
		.body = body,
		.user = rq->user,
		.user_id = rq->user_id,
		.token_id = rq->token_id,
		.may_skip = may_skip,
		.flows = &flow,
		.n_flows = 1,
	};
	struct uia *u;

	TRY(uia_open(us, rq->arena, &request, &u));
	*out_params = u->params;
	return uia_prove(us, rq->arena, u);
}

/*
 * The fallback: the same stages, answered by a person in a web page that knows the session alone.
 */
static const struct json *fallback_auth(struct arena *a, str answer)
{
	struct json *auth = json_new_object(a);

	json_set(a, auth, S("token"), json_new_str(a, answer));
	json_set(a, auth, S("password"), json_new_str(a, answer));
	return auth;
}

err *uia_fallback(struct users *us, struct arena *a, str session, str type, str answer, bool *out_good)
{
	struct uia_flow flow = { .stages = { UIA_PASSWORD }, .n = 1 };
	struct uia u = { .session = session, .in = ARENA_NEW(a, struct uia_state) };
	const struct uia_row *row;
	struct verdict v;
	enum uia_stage stage;
	struct json *state;

	if (str_is_empty(session) || session.n > 255 || !stage_of(type, &stage))
		return err_new(a, ERR_NOT_FOUND, "Unknown session");
	TRY(session_read(us, a, session, &row, &state));
	if (!state)
		return err_new(a, ERR_NOT_FOUND, "Unknown session");
	if (row->user == 0)
		register_flows(us, &flow);
	else
		TRY(store_intern_text(us->opt.store, a, row->user, &u.rq.user_id));
	u.rq.user = row->user;
	u.rq.flows = &flow;
	u.rq.n_flows = 1;
	state_into(&u, row, state);
	*out_good = u.done[stage];
	if (*out_good)
		return NULL;
	if (!flow_goes_on(&u, stage))
		return err_new(a, ERR_NOT_FOUND, "This session does not ask for this");
	TRY(prove_stage(us, a, &u, stage, fallback_auth(a, answer), &v));
	if (!v.good)
		return NULL;
	stage_done(&u, stage);
	TRY(session_save(us, a, &u));
	*out_good = true;
	return NULL;
}
