/*
 * remote.c - fetching files of other servers.
 *
 * A file comes as the second part of a multipart body and goes to disk as it comes, like an upload (upload.c): it is
 * bounded by the same size, hashed, and becomes one commit. The first part has nothing to say yet. Where the second has
 * a Location, the file is there: it is asked for through the guarded client, without our signature. A server from
 * before the signed endpoint is asked as clients once did.
 */
#include "media/remote.h"

#include "base/clock.h"
#include "federation/fed.h"
#include "http/disposition.h"
#include "http/multipart.h"
#include "media/internal_media.h"

#include <assert.h>

enum { REDIRECTS = 3, LOCATION_MAX = 4096, FAILED_MOST = 10000 };
#define FAILED_US INT64_C(60000000) /* so long a failure is remembered: many look at one broken picture */
#define FETCH_US  INT64_C(120000000)
#define SPARE_MS  10000 /* that a server may take beyond what it is asked to wait */

struct media_remote {
	struct media_remote_options opt;
	struct lock lock;
	struct cond ended;
	struct map under_way; /* struct flight, by "server/id" */
	struct map failed;    /* struct failure */
};
struct flight {
	str key;
	unsigned waiting;
	bool ended;
	enum err_code code; /* ERR_NONE: it is here */
};
struct failure {
	str key; /* owned */
	enum err_code code;
	int64_t until_us;
};

void media_federate(struct media *m, const struct media_remote_options *opt)
{
	struct media_remote *r = MEM_NEW(struct media_remote);

	r->opt = *opt;
	lock_init(&r->lock, RANK_SERVICE);
	cond_init(&r->ended);
	map_init(&r->under_way, NULL);
	map_init(&r->failed, NULL);
	m->remote = r;
}

static void failure_free(struct media_remote *r, struct failure *f)
{
	(void)map_del(&r->failed, f->key);
	mem_free((void *)f->key.p);
	mem_free(f);
}

static void forget_failures(struct media_remote *r, int64_t now)
{
	void *value;
	str key;

	for (size_t i = 0; map_next(&r->failed, &i, &key, &value);)
		if (((struct failure *)value)->until_us <= now)
			failure_free(r, value);
}

void media_remote_free(struct media *m)
{
	struct media_remote *r = m->remote;

	if (!r)
		return;
	forget_failures(r, INT64_MAX);
	map_done(&r->failed);
	map_done(&r->under_way);
	cond_done(&r->ended);
	lock_done(&r->lock);
	mem_free(r);
	m->remote = NULL;
}

/*
 * One fetch
 */
struct fetch {
	struct media *m;
	struct arena *a;
	str server_name, media_id;
	int64_t deadline_us, wait_ms;
	struct media_upload *up;
	struct multipart parts;
	str location; /* STR_NONE: the file itself came */
	const struct fed_call *plain;
};

/* A little more than is taken, so that it is the upload that says what is too large. */
static size_t most_bytes(const struct fetch *f) { return (size_t)f->m->opt.max_upload_size + (64 << 10); }

static err *begin_file(struct fetch *f, str type, str disposition)
{
	const struct media_upload_cmd cmd = {
		.origin = f->server_name,
		.media_id = f->media_id,
		.content_type = type,
		.filename = disposition_filename(f->a, disposition),
		.length = -1,
	};

	assert(!f->up);
	return media_upload_begin(f->m, f->a, &cmd, &f->up);
}

static err *begin_part(void *ctx, size_t part, str headers)
{
	struct fetch *f = ctx;
	const str location = multipart_header(headers, S("Location"));

	if (part != 1)
		return NULL;
	if (!str_is_none(location)) {
		if (location.n > LOCATION_MAX)
			return err_new(f->a, ERR_CONNECTION_FAILED, "the server has it at too long an address");
		f->location = arena_keep(f->a, location);
		return NULL;
	}
	return begin_file(f, multipart_header(headers, S("Content-Type")),
			  multipart_header(headers, S("Content-Disposition")));
}

static err *take_part(void *ctx, size_t part, str bytes)
{
	struct fetch *f = ctx;

	return part == 1 && f->up ? media_upload_take(f->up, f->a, bytes) : NULL;
}

static err *take_multipart(void *ctx, str bytes)
{
	struct fetch *f = ctx;

	err *e = multipart_take(&f->parts, f->a, bytes);

	/* The client asked well. */
	if (e && e->code == ERR_INVALID_PARAM)
		e->code = ERR_CONNECTION_FAILED;
	return e;
}

static err *no_file(struct fetch *f)
{
	return err_new(f->a, ERR_CONNECTION_FAILED, "what the server %.*s gave is no file", STR_ARG(f->server_name));
}

static err *ask_signed(struct fetch *f)
{
	struct fed_call call = {
		.destination = f->server_name,
		.path = fed_query(f->a,
				  fed_path(f->a, S("/_matrix/federation/v1/media/download/"), f->media_id, STR_NONE),
				  "timeout_ms", arena_printf(f->a, "%" PRId64, f->wait_ms)),
		.any_type = true,
		.silence_ms = (unsigned)f->wait_ms + SPARE_MS,
		.max_bytes = most_bytes(f),
		.take = take_multipart,
		.take_ctx = f,
	};
	err *e;

	multipart_init(&f->parts, &(struct multipart_ops){ begin_part, take_part, f });
	e = fed_one(f->m->remote->opt.fed, f->a, &call, f->deadline_us);
	if (!e && (!multipart_is_whole(&f->parts) || (!f->up && str_is_none(f->location))))
		e = no_file(f);
	multipart_done(&f->parts);
	return e;
}

/*
 * At an address: of a server from before v1.11, or where the file is kept.
 */
static err *take_file(struct fetch *f, const struct client_call *c, str bytes)
{
	if (!f->up)
		TRY(begin_file(f, client_answer_header(c, "Content-Type"),
			       client_answer_header(c, "Content-Disposition")));
	return media_upload_take(f->up, f->a, bytes);
}

static err *take_bytes(void *f, struct client_call *c, str bytes) { return take_file(f, c, bytes); }

/* What is wrong with the address is the server's fault, and not our user's. */
static err *blame_server(struct fetch *f, const err *e)
{
	if (e->detail != CLIENT_BAD_URL && e->detail != CLIENT_REFUSED)
		return (err *)(uintptr_t)e;
	return err_new(f->a, ERR_CONNECTION_FAILED, "%.*s has it where it is not asked for: %.*s",
		       STR_ARG(f->server_name), STR_ARG(e->msg));
}

static err *ask_at(struct fetch *f, str url)
{
	struct client_call call = {
		.url = url,
		.nets = f->m->remote->opt.nets,
		.max_redirects = REDIRECTS,
		.max_bytes = most_bytes(f),
		.take = take_bytes,
		.take_ctx = f,
	};
	const err *e = client_one(f->m->remote->opt.client, f->a, &call, f->deadline_us);

	if (e)
		return blame_server(f, e);
	if (call.status == 404)
		return err_new(f->a, ERR_NOT_FOUND, "Not found");
	if (call.status / 100 != 2)
		return no_file(f);
	return f->up ? NULL : begin_file(f, client_answer_header(&call, "Content-Type"), STR_NONE);
}

static err *take_plain(void *ctx, str bytes)
{
	struct fetch *f = ctx;

	return take_file(f, f->plain->http, bytes);
}

/* A server from before v1.11 answers 404 with M_UNRECOGNIZED. */
static err *ask_as_before(struct fetch *f)
{
	struct fed_call call = {
		.destination = f->server_name,
		.path = fed_query(
			f->a, fed_path(f->a, S("/_matrix/media/v3/download/"), f->server_name, f->media_id, STR_NONE),
			"allow_remote", S("false")),
		.is_unsigned = true,
		.any_type = true,
		.silence_ms = (unsigned)f->wait_ms + SPARE_MS,
		.max_bytes = most_bytes(f),
		.take = take_plain,
		.take_ctx = f,
	};

	f->plain = &call;
	TRY(fed_one(f->m->remote->opt.fed, f->a, &call, f->deadline_us));
	return f->up ? NULL : begin_file(f, call.content_type, STR_NONE); /* an empty one */
}

static err *fetch(struct fetch *f)
{
	const struct media_row *row;
	str mxc;
	err *e;

	/* Who was before us may have brought it since our caller looked; and what is withheld is not fetched anew. */
	TRY(media_row_get(f->m, f->a, f->server_name, f->media_id, &row));
	if (row)
		return NULL;
	e = ask_signed(f);
	if (e && e->code == ERR_UNRECOGNIZED)
		e = ask_as_before(f);
	if (!e && !str_is_none(f->location))
		e = ask_at(f, f->location);
	/* "502: The content is too large for the server to serve." */
	if (e && e->code == ERR_TOO_LARGE)
		e->code = ERR_REMOTE_TOO_LARGE;
	if (e && e->code == ERR_UNRECOGNIZED)
		e->code = ERR_NOT_FOUND;
	TRY(e);
	return media_upload_end(f->up, f->a, &mxc);
}

/*
 * Once for all who wonder
 */
static bool prevented(const struct media_remote *r, str server_name)
{
	for (size_t i = 0; i < r->opt.n_prevented; i++)
		if (str_eq_nocase(r->opt.prevented[i], server_name))
			return true;
	return fed_is_own(r->opt.fed, server_name) || !fed_allowed(r->opt.fed, server_name);
}

static err *as_error(struct arena *a, enum err_code code)
{
	return code == ERR_NONE ? NULL : err_new(a, code, "The file could not be had from its server");
}

static err *wait_for(struct media_remote *r, struct arena *a, struct flight *f, int64_t deadline_us)
{
	enum err_code code;

	f->waiting++;
	while (!f->ended && cond_wait_until(&r->ended, &r->lock, deadline_us))
		continue;
	code = f->ended ? f->code : ERR_CONNECTION_TIMEOUT;
	if (--f->waiting == 0 && f->ended)
		mem_free(f);
	return as_error(a, code);
}

/* What a server does not have now, it will not have in a moment. */
static bool is_lasting(enum err_code code)
{
	return code == ERR_NOT_FOUND || code == ERR_REMOTE_TOO_LARGE || code == ERR_FORBIDDEN ||
	       code == ERR_CONNECTION_FAILED;
}

static void land(struct media_remote *r, struct flight *f, enum err_code code)
{
	const int64_t now = clock_mono_us();
	struct failure *failure;

	LOCKED(&r->lock);
	(void)map_del(&r->under_way, f->key);
	forget_failures(r, now); /* this one's former failure, too */
	if (is_lasting(code) && r->failed.n < FAILED_MOST) {
		failure = MEM_NEW(struct failure);
		*failure = (struct failure){ str_keep(f->key), code, now + FAILED_US };
		(void)map_put(&r->failed, failure->key, failure);
	}
	f->code = code;
	f->ended = true;
	cond_broadcast(&r->ended);
	if (f->waiting == 0)
		mem_free(f);
}

static err *fetch_alone(struct media *m, struct arena *a, struct flight *flight, str server_name, str media_id,
			int64_t wait_until_us)
{
	const int64_t now = clock_mono_us();
	struct fetch f = { .m = m,
			   .a = a,
			   .server_name = server_name,
			   .media_id = media_id,
			   .deadline_us = now + FETCH_US,
			   .wait_ms = MIN(MAX((wait_until_us - now) / 1000, (int64_t)0), (int64_t)MEDIA_MAX_WAIT_MS),
			   .location = STR_NONE };
	err *e = fetch(&f);

	media_upload_drop(&f.up);
	if (e)
		log_info(m->opt.log, "a file of another server could not be had", F("server", server_name),
			 F("media_id", media_id), F("error", e->msg));
	land(m->remote, flight, e ? e->code : ERR_NONE);
	return e;
}

err *media_fetch(struct media *m, struct arena *a, str server_name, str media_id, int64_t wait_until_us)
{
	struct media_remote *r = m->remote;
	const str key = arena_join3(a, server_name, S("/"), media_id);
	const struct failure *failure;
	struct flight *f;
	err *e = NULL;

	if (!r || !media_id_valid(media_id) || prevented(r, server_name))
		return err_new(a, ERR_NOT_FOUND, "Not found");
	lock_take(&r->lock);
	failure = map_get(&r->failed, key);
	f = map_get(&r->under_way, key);
	if (failure && failure->until_us > clock_mono_us()) {
		e = as_error(a, failure->code);
		lock_drop(&r->lock);
		return e;
	}
	if (f) {
		e = wait_for(r, a, f, clock_mono_us() + FETCH_US);
		lock_drop(&r->lock);
		return e;
	}
	f = MEM_NEW(struct flight);
	*f = (struct flight){ .key = key }; /* in the arena of who fetches, which outlives it in the map */
	(void)map_put(&r->under_way, key, f);
	lock_drop(&r->lock);
	return fetch_alone(m, a, f, server_name, media_id, wait_until_us);
}
