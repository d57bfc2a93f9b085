/*
 * fed_request.c - what is sent: the address, the proof, the body.
 *
 * "All HTTP requests made by homeservers are authenticated using public key digital signatures. The request method,
 * target and body are signed by wrapping them in a JSON object and signing it." What is signed is canonical, so the
 * body goes out in the same form.
 */
#include "federation/internal_fed.h"

#include "matrix/x_matrix.h"

#include <stdarg.h>

static str method_of(const struct fed_call *call) { return str_is_none(call->method) ? S("GET") : call->method; }

static err *sign(const struct fed_flight *fl, str *out)
{
	const struct fed_call *call = fl->call;
	const struct signer *by = fl->fed->opt.signer;
	const struct x_matrix_request rq = {
		.method = method_of(call),
		.uri = call->path,
		.origin = by->server_name,
		.destination = call->destination,
		.content = call->content,
	};

	return x_matrix_write(fl->arena, &rq, by, out);
}

static err *take(void *flight, struct client_call *c, str bytes)
{
	struct fed_flight *fl = flight;

	fl->call->http = c;
	fl->not_taken = fl->call->take(fl->call->take_ctx, bytes);
	return fl->not_taken;
}

static err *set_headers(struct fed_flight *fl)
{
	struct client_header *headers = ARENA_ARRAY(fl->arena, struct client_header, 2);
	str proof;
	size_t n = 0;

	if (!fl->call->is_unsigned) {
		TRY(sign(fl, &proof));
		headers[n++] = (struct client_header){ S("Authorization"), proof };
	}
	if (fl->call->content)
		headers[n++] = (struct client_header){ S("Content-Type"), S("application/json") };
	fl->http.headers = headers;
	fl->http.n_headers = n;
	return NULL;
}

static unsigned silence(const struct fed_flight *fl)
{
	if (fl->call->patient)
		return UINT32_MAX;
	return fl->call->silence_ms ? fl->call->silence_ms : (unsigned)fl->fed->opt.silence_ms;
}

err *fed_request(struct fed_flight *fl)
{
	const struct server_place *place = &fl->search.place;
	const struct fed_call *call = fl->call;

	fl->http = (struct client_call){
		.method = method_of(call),
		.url = arena_join3(fl->arena, fl->fed->opt.plain ? S("http://") : S("https://"), place->authority,
				   call->path),
		.path_as_is = true,
		.nets = fl->fed->opt.nets,
		.tls = place->tls,
		.connect_host = place->connect_host,
		.connect_port = place->connect_port,
		.connect_srv = place->srv,
		.n_connect_srv = place->n_srv,
		.max_bytes = call->max_bytes ? call->max_bytes : FED_ANSWER_MAX,
		.slow_ms = silence(fl),
		.take = call->take ? take : NULL,
		.take_ctx = fl,
		.owner = fl,
	};
	/* As it is signed: numbers that are no canonical JSON included, which events of old rooms hold. */
	if (call->content)
		TRY(json_canonical(fl->arena, call->content, JSON_CANON_DOUBLES, &fl->http.body));
	return set_headers(fl);
}

/* ---- addresses ---- */

/* RFC 3986, 2.3: all but the unreserved characters. */
static void add_escaped(struct buf *b, str text)
{
	for (size_t i = 0; i < text.n; i++) {
		const unsigned char c = (unsigned char)text.p[i];
		const bool is_letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z';

		if (is_letter || (c >= '0' && c <= '9') || (c && memchr("-._~", c, 4)))
			buf_byte(b, (char)c);
		else
			buf_printf(b, "%%%02X", c);
	}
}

str fed_path(struct arena *a, str begin, ...)
{
	AUTO_BUF b = BUF_INIT(SIZE_MAX);
	va_list args;
	str arg;

	buf_add(&b, begin);
	va_start(args, begin);
	for (size_t i = 0; !str_is_none(arg = va_arg(args, str)); i++) {
		if (i > 0)
			buf_byte(&b, '/');
		add_escaped(&b, arg);
	}
	va_end(args);
	return arena_keep(a, buf_str(&b));
}

str fed_query(struct arena *a, str path, const char *name, str value)
{
	AUTO_BUF b = BUF_INIT(SIZE_MAX);

	buf_add(&b, path);
	buf_byte(&b, str_find(path, '?') < path.n ? '&' : '?');
	buf_add(&b, str_c(name));
	buf_byte(&b, '=');
	add_escaped(&b, value);
	return arena_keep(a, buf_str(&b));
}
