/* TLS listeners: certificates made here, and swapped while the server runs. */
#include "stream_fixture.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <time.h>

struct pem {
	str cert, key;
};

static str datum(struct arena *a, gnutls_datum_t d)
{
	const str s = arena_keep(a, (str){ (const char *)d.data, d.size });

	gnutls_free(d.data);
	return s;
}

static struct pem make_cert(struct arena *a, const char *name)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	gnutls_datum_t d;
	struct pem pem;

	gnutls_x509_privkey_init(&key);
	assert_int_equal(
		gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
		0);
	gnutls_x509_crt_init(&crt);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, "\x01", 1);
	gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60);
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600);
	gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
	gnutls_x509_crt_set_key(crt, key);
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &d), 0);
	pem.cert = datum(a, d);
	assert_int_equal(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &d), 0);
	pem.key = datum(a, d);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
	return pem;
}

struct tls_client {
	gnutls_session_t session;
	gnutls_certificate_credentials_t cred;
	int fd;
};

/* True: they agreed. */
static bool tls_try(const struct http *h, struct tls_client *c, const char *versions)
{
	int rc;

	c->fd = dial(h);
	gnutls_certificate_allocate_credentials(&c->cred);
	gnutls_init(&c->session, GNUTLS_CLIENT);
	assert_int_equal(gnutls_priority_set_direct(c->session, versions, NULL), 0);
	gnutls_credentials_set(c->session, GNUTLS_CRD_CERTIFICATE, c->cred);
	gnutls_transport_set_int(c->session, c->fd);
	do
		rc = gnutls_handshake(c->session);
	while (rc < 0 && !gnutls_error_is_fatal(rc));
	return rc == 0;
}

static void tls_dial(const struct http *h, struct tls_client *c) { assert_true(tls_try(h, c, "NORMAL")); }

static void tls_hang_up(struct tls_client *c)
{
	gnutls_bye(c->session, GNUTLS_SHUT_WR);
	gnutls_deinit(c->session);
	gnutls_certificate_free_credentials(c->cred);
	close(c->fd);
}

static str subject(struct arena *a, const struct tls_client *c)
{
	unsigned n;
	const gnutls_datum_t *chain = gnutls_certificate_get_peers(c->session, &n);
	gnutls_x509_crt_t crt;
	char name[100];
	size_t size = sizeof(name);

	assert_true(n > 0);
	gnutls_x509_crt_init(&crt);
	assert_int_equal(gnutls_x509_crt_import(crt, chain, GNUTLS_X509_FMT_DER), 0);
	assert_int_equal(gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size), 0);
	gnutls_x509_crt_deinit(crt);
	return arena_keep(a, (str){ name, size });
}

static void tls_ask(const struct tls_client *c, str request, const char *expected)
{
	AUTO_BUF got = BUF_INIT(1 << 20);

	if (request.n > 0)
		assert_int_equal(gnutls_record_send(c->session, request.p, request.n), request.n);
	while (!str_contains(buf_str(&got), str_c(expected))) {
		char piece[4096];
		const ssize_t n = gnutls_record_recv(c->session, piece, sizeof(piece));

		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			continue;
		assert_true(n > 0);
		buf_add(&got, (str){ piece, (size_t)n });
	}
}

static struct http *start_tls(const struct pem *pem)
{
	return start_server(
		(struct http_options){ .request_timeout_s = 1 },
		(struct http_listener){ .client = true, .tls = true, .cert_pem = pem->cert, .key_pem = pem->key });
}

static void requests_parks_and_reloads(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct pem old = make_cert(a, "old"), new = make_cert(a, "new");
	struct tls_client first, second;
	struct http *h;

	(void)state;
	world_init();
	h = start_tls(&old);
	tls_dial(h, &first);
	assert_true(str_eq(subject(a, &first), S("old")));
	tls_ask(&first, S(GET(C "hello")), "{\"hello\":\"127.0.0.1\"}");
	tls_ask(&first, S(GET(C "wait?since=9&timeout=10")), "{\"expired\":true}");
	assert_null(http_reload_tls(h, a, new.cert, new.key));
	tls_dial(h, &second);
	assert_true(str_eq(subject(a, &second), S("new")));
	tls_ask(&second, S(GET(C "big")), ",998,999]}");
	tls_ask(&first, S(GET(C "hello")), "{\"hello\":\"127.0.0.1\"}"); /* goes on under the old one */
	tls_hang_up(&first);
	tls_hang_up(&second);
	await_connections(h, 0);
	http_stop(&h, 5);
	world_done();
}

static void hang_ups_are_seen_while_parked(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct pem pem = make_cert(a, "x");
	struct tls_client c;
	struct http *h;
	const str poll = S(GET(C "wait?since=9&timeout=60000"));

	(void)state;
	world_init();
	h = start_tls(&pem);
	tls_dial(h, &c);
	assert_int_equal(gnutls_record_send(c.session, poll.p, poll.n), poll.n);
	await_parked(h, 1);
	tls_hang_up(&c);
	await_connections(h, 0);
	assert_int_equal(bus_count(world.bus).waiters, 0);
	http_stop(&h, 5);
	world_done();
}

static void who_does_not_speak_tls_is_cut_off(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct pem pem = make_cert(a, "x");
	struct http *h;
	int plain, silent;

	(void)state;
	world_init();
	h = start_tls(&pem);
	plain = dial(h);
	silent = dial(h);
	put(plain, S(GET(C "hello")));
	while (!is_closed(plain)) /* an alert, perhaps */
		continue;
	assert_true(is_closed(silent));
	close(plain);
	close(silent);
	http_stop(&h, 5);
	world_done();
}

static void old_versions_are_not_spoken(void **state)
{
	static const struct {
		const char *versions;
		bool spoken;
	} rows[] = {
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.0:%VERIFY_ALLOW_SIGN_WITH_SHA1", false },
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.1:%VERIFY_ALLOW_SIGN_WITH_SHA1", false },
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.2", true },
		{ "NORMAL:-VERS-ALL:+VERS-TLS1.3", true },
	};
	AUTO_ARENA a = arena_new();
	const struct pem pem = make_cert(a, "x");
	struct http *h;

	(void)state;
	world_init();
	h = start_tls(&pem);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct tls_client c;

		if (tls_try(h, &c, rows[i].versions) != rows[i].spoken)
			fail_msg("%s", rows[i].versions);
		tls_hang_up(&c);
	}
	await_connections(h, 0);
	http_stop(&h, 5);
	world_done();
}

static void bad_certificates_are_told(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct pem one = make_cert(a, "one"), two = make_cert(a, "two");
	struct tls_client c;
	struct http *h;
	err *e;

	(void)state;
	world_init();
	h = start_tls(&one);
	e = http_reload_tls(h, a, one.cert, two.key);
	assert_true(str_contains(e->msg, S("not the certificate's")));
	e = http_reload_tls(h, a, S("nonsense"), two.key);
	assert_true(str_contains(e->msg, S("certificate cannot be read")));
	e = http_reload_tls(h, a, one.cert, S(""));
	assert_true(str_contains(e->msg, S("key cannot be read")));
	tls_dial(h, &c); /* the one in force stays */
	assert_true(str_eq(subject(a, &c), S("one")));
	tls_hang_up(&c);
	http_stop(&h, 5);
	world_done();
}

static str whole_head(str s)
{
	for (size_t i = 4; i <= s.n; i++)
		if (memcmp(s.p + i - 4, "\r\n\r\n", 4) == 0)
			return str_head(s, i);
	return S("");
}

static void bodies_and_answers_go_in_pieces(void **state)
{
	enum { SIZE = 20 * PIECE + 7 };
	AUTO_ARENA a = arena_new();
	const struct pem pem = make_cert(a, "x");
	char *p = arena_alloc(a, SIZE), *q = arena_alloc(a, 2 * SIZE);
	struct http_listener l = { .client = true, .tls = true, .cert_pem = pem.cert, .key_pem = pem.key };
	struct tls_client c;
	struct http *h;
	str request, head;
	size_t got = 0;

	(void)state;
	world_init();
	memset(&seen, 0, sizeof(seen));
	h = start_server((struct http_options){ .tables = stream_tables }, l);
	tls_dial(h, &c);
	for (size_t i = 0; i < SIZE; i++)
		p[i] = at(i);
	for (int i = 0; i < 2; i++) {
		request = arena_printf(a, "PUT " C "sink HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", SIZE);
		assert_int_equal(gnutls_record_send(c.session, request.p, request.n), request.n);
		for (size_t sent = 0; sent < SIZE;) {
			const ssize_t n = gnutls_record_send(c.session, p + sent, SIZE - sent);

			assert_true(n > 0);
			sent += (size_t)n;
		}
		tls_ask(&c, S(""), arena_cstr(a, arena_printf(a, "{\"taken\":%d,\"length\":%d}", SIZE, SIZE)));
		request = arena_printf(a, "GET " C "source?n=%d HTTP/1.1\r\nHost: x\r\n\r\n", SIZE);
		assert_int_equal(gnutls_record_send(c.session, request.p, request.n), request.n);
		for (got = 0, head = S(""); got < head.n + SIZE;) {
			const ssize_t n = gnutls_record_recv(c.session, q + got, 2 * SIZE - got);

			if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
				continue;
			assert_true(n > 0);
			got += (size_t)n;
			if (head.n == 0)
				head = whole_head((str){ q, got });
		}
		assert_int_equal(got, head.n + SIZE);
		assert_memory_equal(q + head.n, p, SIZE);
	}
	tls_hang_up(&c);
	stop(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_parks_and_reloads),        cmocka_unit_test(hang_ups_are_seen_while_parked),
		cmocka_unit_test(who_does_not_speak_tls_is_cut_off), cmocka_unit_test(old_versions_are_not_spoken),
		cmocka_unit_test(bad_certificates_are_told),         cmocka_unit_test(bodies_and_answers_go_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
