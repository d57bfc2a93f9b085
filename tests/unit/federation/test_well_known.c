/* What /.well-known/matrix/server may say, and for how long it is believed. */
#include "test.h"

#include "federation/well_known.h"

#define NOW  INT64_C(784111777000) /* Sun, 06 Nov 1994 08:49:37 GMT */
#define HOUR INT64_C(3600000)

static struct well_known read_answer(struct arena *a, int status, const char *body, const char *header,
				     const char *value)
{
	const struct client_header h = { str_c(header), str_c(value) };
	const struct client_call call = {
		.status = status, .answer = str_c(body), .answer_headers = &h, .n_answer_headers = header ? 1 : 0
	};
	struct well_known w;

	well_known_read(a, &call, NOW, &w);
	return w;
}

static void delegations(void **state)
{
	static const struct {
		int status;
		const char *body, *delegated; /* NULL: none */
		bool passing;
	} rows[] = {
		{ 200, "{\"m.server\":\"a.example\"}", "a.example", false },
		{ 200, "{\"m.server\":\"a.example:443\",\"more\":1}", "a.example:443", false },
		{ 200, "{\"m.server\":\"[::1]:8448\"}", "[::1]:8448", false },
		{ 200, "{\"m.server\":\"https://a.example\"}", NULL, false },
		{ 200, "{\"m.server\":\"a.example/x\"}", NULL, false },
		{ 200, "{\"m.server\":\"\"}", NULL, false },
		{ 200, "{\"m.server\":5}", NULL, false },
		{ 200, "{}", NULL, false },
		{ 200, "[\"m.server\"]", NULL, false },
		{ 200, "<html>", NULL, false },
		{ 200, "", NULL, false },
		{ 201, "{\"m.server\":\"a.example\"}", NULL, false },
		{ 302, "{\"m.server\":\"a.example\"}", NULL, false },
		{ 404, "{\"m.server\":\"a.example\"}", NULL, false },
		{ 429, "", NULL, true },
		{ 500, "{\"m.server\":\"a.example\"}", NULL, true },
		{ 503, "", NULL, true },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct well_known w = read_answer(a, rows[i].status, rows[i].body, NULL, NULL);

		ok(w.found == (rows[i].delegated != NULL), "%d %s", rows[i].status, rows[i].body);
		ok(!w.found || str_eq(w.delegated, str_c(rows[i].delegated)), "%s", rows[i].body);
		ok(w.passing == rows[i].passing, "%d %s", rows[i].status, rows[i].body);
	}
}

static void failures(void **state)
{
	static const struct {
		enum client_failure failure;
		bool passing;
	} rows[] = {
		{ CLIENT_REFUSED, false },   { CLIENT_TOO_LARGE, false }, { CLIENT_NO_HOST, true },
		{ CLIENT_NO_CONNECT, true }, { CLIENT_TLS, true },        { CLIENT_TIMEOUT, true },
		{ CLIENT_BUSY, true },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		err e = { .code = ERR_CONNECTION_FAILED, .detail = rows[i].failure };
		const struct client_call call = { .error = &e };
		struct well_known w;

		well_known_read(a, &call, NOW, &w);
		ok(!w.found && w.passing == rows[i].passing, "%zu", i);
	}
}

static void lifetimes(void **state)
{
	static const struct {
		const char *header, *value;
		int64_t ms;
	} rows[] = {
		{ NULL, NULL, 24 * HOUR },
		{ "Cache-Control", "max-age=7200", 2 * HOUR },
		{ "cache-control", "public, MAX-AGE=7200, immutable", 2 * HOUR },
		{ "Cache-Control", "max-age=999999", 48 * HOUR },
		{ "Cache-Control", "max-age=18446744073709551615", 48 * HOUR },
		{ "Cache-Control", "max-age=0", HOUR / 12 },
		{ "Cache-Control", "no-store", HOUR / 12 },
		{ "Cache-Control", "no-cache, max-age=7200", HOUR / 12 },
		{ "Cache-Control", "max-age=x", 24 * HOUR },
		{ "Cache-Control", "s-maxage=7200", 24 * HOUR },
		{ "Expires", "Sun, 06 Nov 1994 11:49:37 GMT", 3 * HOUR },
		{ "Expires", "Sun, 06 Nov 1994 07:49:37 GMT", HOUR / 12 },
		{ "Expires", "Mon, 06 Nov 2034 07:49:37 GMT", 48 * HOUR },
		{ "Expires", "0", HOUR / 12 },
		{ "Expires", "Sun, 06 Nov 1994 11:49:37 GMT and more", HOUR / 12 },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct well_known w = read_answer(a, 200, "{\"m.server\":\"a\"}", rows[i].header, rows[i].value);

		ok(w.found && w.for_ms == rows[i].ms, "%s: %s: %" PRId64, rows[i].header, rows[i].value, w.for_ms);
	}
}

TEST_MAIN(cmocka_unit_test(delegations), cmocka_unit_test(failures), cmocka_unit_test(lifetimes))
