/*
 * fuzz_wire.c - what clients write around their JSON: paths, queries, forms, tokens, encodings, and the headers of
 * other servers. The first byte chooses. Every path is looked up among the server's own routes; decoded text is UTF-8;
 * what is encoded is decoded to the same; a token that reads is written as one that reads the same.
 */
#include "api/routes.h"
#include "base/b64.h"
#include "base/utf8.h"
#include "crypto/secretbox.h"
#include "fuzz.h"
#include "http/internal_http.h"
#include "matrix/id.h"
#include "matrix/x_matrix.h"
#include "sync/internal_sync.h"

static void encodings(struct arena *a, struct feed *f)
{
	const str text = feed_rest(f), bytes = b64_decode(a, text), url = b64url_decode(a, text),
		  hex = hex_decode(a, text);

	assert(str_eq(b64_decode(a, b64_encode(a, text)), text) &&
	       str_eq(b64url_decode(a, b64url_encode(a, text)), text));
	assert(str_eq(hex_decode(a, hex_encode(a, text)), text));
	assert(str_is_none(url) || str_eq(url, bytes)); /* b64_decode takes both alphabets */
	assert(str_is_none(hex) || hex.n * 2 == text.n);
	if (!str_is_none(bytes))
		assert(str_eq(b64_decode(a, b64_encode(a, bytes)), bytes) && bytes.n <= text.n);
}

static void numbers(struct arena *a, struct feed *f)
{
	const str text = feed_rest(f);
	uint64_t u;
	int64_t i;

	if (str_to_i64(text, &i)) {
		int64_t again;

		assert(str_to_i64(arena_printf(a, "%" PRId64, i), &again) && again == i);
		assert(text.n > 0 && (text.p[0] == '-' || (text.p[0] >= '0' && text.p[0] <= '9')));
	}
	if (str_to_u64(text, &u)) {
		uint64_t again;

		assert(str_to_u64(arena_printf(a, "%" PRIu64, u), &again) && again == u);
		assert(u > INT64_MAX || (str_to_i64(text, &i) && (uint64_t)i == u));
	}
}

static void texts(struct arena *a, struct feed *f)
{
	const str text = feed_rest(f);
	const str cut = utf8_cut(text, text.n / 2);
	AUTO_BUF b = BUF_INIT(1 << 20);
	struct jw w = jw_to(&b);
	struct json *j;
	bool valid = true;

	assert(cut.n <= text.n / 2);
	for (str rest = text; rest.n > 0 && valid;) {
		const size_t n = utf8_sequence(rest);

		valid = n > 0;
		rest = str_from(rest, n);
	}
	assert(utf8_valid(text) == valid && (!valid || utf8_valid(cut)));
	for (str rest = text; valid && rest.n > 0;) {
		const str before = rest;
		char again[4];
		const uint32_t cp = utf8_next(&rest);
		const size_t n = utf8_put(again, cp);

		assert(str_eq(str_head(before, before.n - rest.n), (str){ again, n }));
	}
	/* "bytes that are not become U+FFFD" */
	jw_str(&w, NULL, text);
	assert(jw_good(&w) && utf8_valid(buf_str(&b)));
	assert(!json_parse(a, arena_keep(a, buf_str(&b)), &json_limits_request, &j) && json_is(j, JSON_STR));
	assert(!valid || str_eq(j->s, text));
}

static void tokens(struct arena *a, struct feed *f)
{
	static const uint8_t key[32] = "a key for tests, of 32 bytes....";
	const str text = feed_rest(f);
	struct sync_token t, again;
	int64_t stream;

	if (sync_token_read(text, &t)) {
		const str written = sync_token_write(a, &t);

		assert(sync_token_read(written, &again) && again.epoch == t.epoch && again.stream == t.stream);
		assert(again.process == t.process && again.serial == t.serial);
		assert(t.stream >= 0 && t.serial >= 0);
		assert(sync_token_stream(text, &stream) && stream == t.stream);
	}
	assert(str_is_none(secret_open(a, key, text)));
	assert(str_eq(secret_open(a, key, secret_seal(a, key, text)), text));
	(void)gzip_accepted(text);
}

/* What reads is read the same when it is written in the plain form. */
static void authorization(struct arena *a, struct feed *f)
{
	const str text = feed_rest(f);
	struct x_matrix x, again;
	AUTO_BUF b = BUF_INIT(1 << 20);

	if (!x_matrix_parse(a, text, &x))
		return;
	assert(id_server_name_valid(x.origin));
	if (str_find(x.signature, '"') < x.signature.n || str_find(x.signature, '\\') < x.signature.n)
		return;
	buf_add(&b, S("X-Matrix key=k,sig=\""));
	buf_add(&b, x.signature);
	buf_add(&b, S("\",origin=\""));
	buf_add(&b, x.origin);
	buf_byte(&b, '"');
	assert(x_matrix_parse(a, buf_str(&b), &again));
	assert(str_eq(again.origin, x.origin) && str_eq(again.signature, x.signature));
	assert(str_is_none(again.destination));
}

static void check_text(str s) { assert(str_is_none(s) || utf8_valid(s)); }

static void requests(struct arena *a, struct feed *f)
{
	static struct router *router;
	static const char *const names[] = { "from", "limit", "access_token", "ts", "" };
	const enum method m = (enum method)feed_below(f, METHODS + 1);
	const str uri = feed_line(f), body = feed_rest(f);
	struct req_internal *r = ARENA_NEW(a, struct req_internal);
	str query = uri, path, all[8];
	const struct json *j;
	int64_t number;
	bool flag;

	if (!router)
		router = router_new(api_route_tables);
	str_split_next(&query, '?', &path);
	(void)router_group(path);
	router_find(router, path, m, &r->hit);
	assert(!r->hit.found || r->hit.allowed >> m & 1);
	if (!r->hit.found)
		router_find(router, S("/_matrix/client/versions"), M_GET, &r->hit);
	assert(r->hit.found && r->hit.found->n_params <= HTTP_MAX_PARAMS);
	for (unsigned i = 0; i < r->hit.found->n_params; i++)
		assert(r->hit.params[i].p >= path.p && r->hit.params[i].p + r->hit.params[i].n <= path.p + path.n);
	r->rq.arena = a;
	r->rq.in = r;
	r->rq.route = r->hit.found->route;
	r->rq.path = path;
	r->query = query;
	r->body = (struct buf){ .max = 1 << 20 };
	buf_add(&r->body, body);
	if (!args_prepare(r)) {
		for (unsigned i = 0; i < r->hit.found->n_params; i++)
			check_text(r->params[i]);
		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			const str value = req_query(&r->rq, names[i]);
			const size_t n = req_query_all(&r->rq, names[i], all, ARRAY_LEN(all));

			check_text(value);
			check_text(req_form(&r->rq, names[i]));
			assert((n > 0) == !str_is_none(value) && (n == 0 || str_eq(all[0], value)));
			(void)!req_query_int(&r->rq, names[i], 7, &number);
			(void)!req_query_bool(&r->rq, names[i], true, &flag);
		}
		if (!req_body_object(&r->rq, &j))
			assert(json_is(j, JSON_OBJECT));
		if (!req_body_object_or_empty(&r->rq, &j))
			assert(json_is(j, JSON_OBJECT));
	}
	buf_done(&r->body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA a = arena_new();
	struct feed f = feed_of(data, size);

	switch (feed_byte(&f) % 8) {
	case 0:
		encodings(a, &f);
		break;
	case 1:
		numbers(a, &f);
		break;
	case 2:
		texts(a, &f);
		break;
	case 3:
		tokens(a, &f);
		break;
	case 4:
		authorization(a, &f);
		break;
	default:
		requests(a, &f);
	}
	return 0;
}
