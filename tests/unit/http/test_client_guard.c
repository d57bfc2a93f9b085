/* Where the client goes: addresses, names and certificates. */
#include "tls_site.h"

#include "http/client_url.h"

#include <stdlib.h>
#include <time.h>

/* ---- networks ---- */

static void test_private_addresses_in_every_form(void **state)
{
	static const struct {
		const char *address;
		bool allowed;
	} cases[] = {
		{ "127.0.0.1", false },
		{ "10.255.255.255", false },
		{ "11.0.0.0", true },
		{ "172.16.0.1", false },
		{ "172.32.0.1", true },
		{ "192.168.1.1", false },
		{ "100.64.0.1", false },
		{ "169.254.169.254", false },
		{ "192.0.2.1", false },
		{ "224.0.0.1", false },
		{ "255.255.255.255", false },
		{ "0.0.0.0", false },
		{ "0.1.2.3", false },
		{ "8.8.8.8", true },
		{ "::", false },
		{ "::1", false },
		{ "fe80::1", false },
		{ "fd00::1", false },
		{ "fec0::1", false },
		{ "ff02::1", false },
		{ "2001:db8::1", false },
		{ "2001:2::1", false },
		{ "2001:10::1", false },
		{ "2001:20::1", false },
		{ "2001:30::1", true },
		{ "3fff::1", false },
		{ "5f00::1", false },
		{ "2606:4700::1111", true },
		{ "::ffff:127.0.0.1", false },
		{ "::ffff:8.8.8.8", true },
		{ "::127.0.0.1", false },
		{ "::8.8.8.8", true },
		{ "::ffff:0:10.0.0.1", false },
		{ "::ffff:0:8.8.8.8", true },
		{ "64:ff9b::10.0.0.1", false },
		{ "64:ff9b::8.8.8.8", true },
		{ "64:ff9b:1::8.8.8.8", false },
		{ "2002:7f00:1::", false },
		{ "2002:0a00:0001::5", false },
		{ "2002:808:808::", true },
		{ "2001:0:a00:1:0:0:f7f7:f7f7", false },   /* Teredo: the server is 10.0.0.1 */
		{ "2001:0:808:808:0:0:f5ff:fffe", false }, /* Teredo: the client is 10.0.0.1 */
		{ "2001:0:808:808:0:0:f7f7:f7f7", true },
		{ "2606:4700::5efe:10.0.0.1", false }, /* ISATAP */
		{ "2606:4700::200:5efe:10.0.0.1", false },
		{ "2606:4700::5efe:8.8.8.8", true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ip ip;

		assert_true(ip_parse(str_c(cases[i].address), &ip));
		ok(client_nets_allow(&public_only, &ip) == cases[i].allowed, "%s", cases[i].address);
	}
}

static void test_what_is_allowed_is_allowed(void **state)
{
	struct ip_net ten, one;
	struct client_nets nets = public_only;
	struct ip ip;

	(void)state;
	assert_true(ip_net_parse(S("10.0.0.0/8"), &ten) && ip_net_parse(S("0.0.0.0"), &one));
	nets.allow = &ten;
	nets.n_allow = 1;
	assert_true(ip_parse(S("10.1.2.3"), &ip));
	ok(client_nets_allow(&nets, &ip), "in spite of what is denied");
	assert_true(ip_parse(S("192.168.0.1"), &ip));
	ok(!client_nets_allow(&nets, &ip), "but nothing else");
	assert_true(ip_parse(S("0.0.0.0"), &ip));
	ok(!client_nets_allow(NULL, &ip), "the address that is all addresses is none");
	assert_true(ip_parse(S("127.0.0.1"), &ip));
	ok(client_nets_allow(NULL, &ip), "who denies nothing is denied nothing");
}

/* ---- addresses as text ---- */

static void test_urls(void **state)
{
	static const struct {
		const char *text, *host; /* NULL: refused */
		unsigned port;
		const char *asked;
	} cases[] = {
		{ "http://example.org", "example.org", 80, "http://example.org/" },
		{ "HTTPS://Example.ORG:8448/A?b=c#d", "example.org", 8448, "https://example.org:8448/A?b=c" },
		{ " http://example.org/a b\xc3\xa9 ", "example.org", 80, "http://example.org/a%20b%c3%a9" },
		{ "http://0x7f000001/", "127.0.0.1", 80, "http://127.0.0.1/" },
		{ "http://127.1/", "127.0.0.1", 80, "http://127.0.0.1/" },
		{ "http://2130706433/", "127.0.0.1", 80, "http://127.0.0.1/" },
		{ "http://0177.0.0.01/", "127.0.0.1", 80, "http://127.0.0.1/" },
		{ "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/", "127.0.0.1", 80, "http://127.0.0.1/" },
		{ "http://[::1]:8008/", "::1", 8008, "http://[::1]:8008/" },
		{ "http://b\xc3\xbc"
		  "cher.example/",
		  "xn--bcher-kva.example", 80, "http://xn--bcher-kva.example/" },
		{ "http://user@example.org/", NULL, 0, NULL },
		{ "http://user:pass@example.org/", NULL, 0, NULL },
		{ "http://@example.org/", NULL, 0, NULL },
		{ "http://:@example.org/", NULL, 0, NULL },
		{ "http://good.example\\@evil.example/", NULL, 0, NULL },
		{ "http://[fe80::1%25eth0]/", NULL, 0, NULL },
		{ "http://example.org:0/", NULL, 0, NULL },
		{ "http://example.org:99999/", NULL, 0, NULL },
		{ "http://", NULL, 0, NULL },
		{ "example.org", NULL, 0, NULL },
		{ "//example.org/", NULL, 0, NULL },
		{ "ftp://example.org/", NULL, 0, NULL },
		{ "file:///etc/passwd", NULL, 0, NULL },
		{ "javascript:alert(1)", NULL, 0, NULL },
		{ "http://exam\tple.org/", NULL, 0, NULL },
		{ "http://example.org/\r\nX: y", NULL, 0, NULL },
		{ "", NULL, 0, NULL },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct client_url u = { 0 };
		const err *e = client_url_parse(a, str_c(cases[i].text), &u);

		ok((e != NULL) == (cases[i].host == NULL), "%s: %.*s", cases[i].text, STR_ARG(u.host));
		if (e) {
			assert_int_equal(e->detail, CLIENT_BAD_URL);
			continue;
		}
		same_str(u.host, str_c(cases[i].host));
		same_str(u.text, str_c(cases[i].asked));
		assert_int_equal(u.port, cases[i].port);
	}
}

static void test_links(void **state)
{
	static const char *const cases[][2] = {
		{ "/img.png", "https://example.org/img.png" },
		{ "img.png", "https://example.org/a/img.png" },
		{ "../img.png", "https://example.org/img.png" },
		{ "?q", "https://example.org/a/b?q" },
		{ "//other.example/x y", "https://other.example/x%20y" },
		{ "http://other.example/#f", "http://other.example/" },
		{ "mailto:a@example.org", NULL },
		{ "data:image/png;base64,AAAA", NULL },
		{ "javascript:alert(1)", NULL },
	};
	AUTO_ARENA a = arena_new();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct client_url u = { 0 };
		const err *e = client_url_join(a, S("https://example.org/a/b"), str_c(cases[i][0]), &u);

		ok((e != NULL) == (cases[i][1] == NULL), "%s: %.*s", cases[i][0], STR_ARG(u.text));
		if (!e)
			same_str(u.text, str_c(cases[i][1]));
	}
}

/* ---- who is asked ---- */

struct names { /* what the name means at each asking */
	const char *answers[4][3];
	_Atomic unsigned asked;
};

static size_t answer_names(void *ctx, str host, struct ip *out, size_t max)
{
	struct names *n = ctx;
	const unsigned at = n->asked++;
	size_t i = 0;

	(void)host;
	for (; at < 4 && i < 3 && i < max && n->answers[at][i]; i++)
		assert_true(ip_parse(str_c(n->answers[at][i]), &out[i]));
	return i;
}

static bool echo(struct visit *v) { return say_ok(v, S(""), v->request); }

/* Every way to write this machine's address, against the networks that everybody uses. */
static void test_this_machine_by_other_names(void **state)
{
	static const char *const hosts[] = {
		"127.0.0.1",
		"0x7f000001",
		"127.1",
		"2130706433",
		"0177.0.0.1",
		"127.0.0.1.",
		"[::1]",
		"[::ffff:127.0.0.1]",
		"[::127.0.0.1]",
		"[64:ff9b::7f00:1]",
		"[2002:7f00:1::]",
		"0.0.0.0",
		"0",
		"[::]",
		"name.example",
	};
	AUTO_ARENA a = arena_new();
	struct names names = { .answers = { { "127.0.0.1" }, { "127.0.0.1" } } };
	struct client *cl = client_with(a, (struct client_options){ .resolve = answer_names, .resolve_ctx = &names });
	struct site *s = site_open(S("127.0.0.1"), echo);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
		struct client_call c = call_to(a, s, "/");

		c.url = arena_printf(a, "http://%s:%u/", hosts[i], s->port);
		c.nets = &public_only;
		breaks_with(cl, a, c, CLIENT_REFUSED);
	}
	assert_int_equal(s->n_visits, 0);
	client_free(&cl);
	site_close(s);
}

static void test_a_name_is_asked_once(void **state)
{
	AUTO_ARENA a = arena_new();
	struct names names = { .answers = { { "127.0.0.1" }, { "10.0.0.1" }, { "10.0.0.1" } } };
	struct client *cl = client_with(a, (struct client_options){ .resolve = answer_names, .resolve_ctx = &names });
	struct site *s = site_open(S("127.0.0.1"), echo);
	struct client_call c = call_to(a, s, "/");

	(void)state;
	c.url = arena_printf(a, "http://rebinds.example:%u/", s->port);
	good(client_one(cl, a, &c, in_seconds(20)));
	ok(str_contains(c.answer, S("Host: rebinds.example:")), "it is asked by its name");
	ok(names.asked == 1, "between check and use nobody is asked again");
	/* There is a connection to it, but the name means something else now. */
	breaks_with(cl, a, c, CLIENT_REFUSED);
	assert_int_equal(names.asked, 2);
	client_free(&cl);
	site_close(s);
}

static void test_a_connection_is_not_for_those_who_may_not_go_there(void **state)
{
	AUTO_ARENA a = arena_new();
	struct names names = { .answers = { { "127.0.0.1" }, { "127.0.0.1" } } };
	struct client *cl = client_with(a, (struct client_options){ .resolve = answer_names, .resolve_ctx = &names });
	struct site *s = site_open(S("127.0.0.1"), echo);
	struct client_call c = call_to(a, s, "/");

	(void)state;
	c.url = arena_printf(a, "http://name.example:%u/", s->port);
	good(client_one(cl, a, &c, in_seconds(20)));
	c.nets = &public_only;
	breaks_with(cl, a, c, CLIENT_REFUSED);
	client_free(&cl);
	site_close(s);
}

static void test_addresses_are_tried_in_turn(void **state)
{
	AUTO_ARENA a = arena_new();
	struct names names = { .answers = { { "10.0.0.1", "::1", "127.0.0.1" }, { "::1" }, { NULL } } };
	struct client *cl = client_with(a, (struct client_options){ .resolve = answer_names, .resolve_ctx = &names });
	struct site *s = site_open(S("127.0.0.1"), echo);
	struct client_call c = call_to(a, s, "/");

	(void)state;
	c.url = arena_printf(a, "http://name.example:%u/", s->port);
	good(client_one(cl, a, &c, in_seconds(20))); /* the first is not allowed, at the second nobody listens */
	breaks_with(cl, a, c, CLIENT_NO_CONNECT);
	breaks_with(cl, a, c, CLIENT_NO_HOST);
	client_free(&cl);
	site_close(s);
}

static void test_ipv6_literals(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("::1"), echo);
	struct client_call c = call_to(a, s, "/");

	(void)state;
	c.url = arena_printf(a, "http://[::1]:%u/", s->port);
	good(client_one(cl, a, &c, in_seconds(20)));
	ok(str_contains(c.answer, S("Host: [::1]:")), "%.*s", STR_ARG(c.answer));
	client_free(&cl);
	site_close(s);
}

static void test_a_delegated_server(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), echo);
	struct client_call c = call_to(a, s, "/");

	(void)state;
	c.url = S("http://matrix.example/");
	c.connect_host = S("127.0.0.1");
	c.connect_port = s->port;
	good(client_one(cl, a, &c, in_seconds(20)));
	ok(str_contains(c.answer, S("Host: matrix.example\r\n")), "%.*s", STR_ARG(c.answer));
	c.nets = &public_only;
	breaks_with(cl, a, c, CLIENT_REFUSED);
	client_free(&cl);
	site_close(s);
}

/* Through c-ares: a name of the hosts file, and one that nobody has. */
static void test_real_names(void **state)
{
	AUTO_ARENA a = arena_new();
	struct client *cl = client_with(a, (struct client_options){ 0 });
	struct site *s = site_open(S("127.0.0.1"), echo);
	struct client_call c = call_to(a, s, "/");

	(void)state;
	c.url = arena_printf(a, "http://localhost:%u/", s->port);
	good(client_one(cl, a, &c, in_seconds(20)));
	c.nets = &public_only;
	breaks_with(cl, a, c, CLIENT_REFUSED);
	c.url = S("http://no-such-name.onion/");
	breaks_with(cl, a, c, CLIENT_NO_HOST);
	client_free(&cl);
	site_close(s);
}

/* ---- certificates ---- */

#define SAFE "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsafe"

static void test_certificates(void **state)
{
	AUTO_ARENA a = arena_new();
	char path[] = "/tmp/hearth-ca-XXXXXX";
	const int fd = mkstemp(path);
	struct tls_site *s = tls_site_open("matrix.example", "NORMAL", SAFE);
	struct site *plain = site_open_greeting(S("127.0.0.1"), echo, S("220 hello\r\n"));
	struct client *knows, *stranger;
	struct client_call c = { .nets = &here, .max_bytes = 100, .connect_host = S("127.0.0.1") };

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, s->pem, strlen(s->pem)), strlen(s->pem));
	knows = client_with(a, (struct client_options){ .ca_file = str_c(path) });
	stranger = client_with(a, (struct client_options){ 0 });
	c.url = S("https://matrix.example/");
	c.connect_port = s->port;
	good(client_one(knows, a, &c, in_seconds(20)));
	same_str(c.answer, S("safe"));
	breaks_with(stranger, a, c, CLIENT_TLS);
	c.url = S("https://other.example/");
	breaks_with(knows, a, c, CLIENT_TLS);
	c.url = S("https://127.0.0.1/");
	breaks_with(knows, a, c, CLIENT_TLS);
	c.url = S("https://matrix.example/");
	c.connect_port = plain->port;
	breaks_with(knows, a, c, CLIENT_TLS);
	client_free(&knows);
	client_free(&stranger);
	tls_site_close(s);
	site_close(plain);
	close(fd);
	unlink(path);
}

/* What one call asks of a certificate is nothing for the next one's connection. */
static void test_certificates_by_call(void **state)
{
	AUTO_ARENA a = arena_new();
	struct tls_site *s = tls_site_open("matrix.example", "NORMAL", SAFE),
			*old = tls_site_open("matrix.example", "NORMAL:-VERS-TLS1.3", SAFE);
	struct client *cl = client_with(a, (struct client_options){ 0 });
	const struct client_tls knows = { .ca_pem = str_c(s->pem) }, other = { .ca_pem = str_c(old->pem) },
				any = { .unverified = true }, new_only = { .unverified = true, .only_13 = true };
	struct client_call c = { .url = S("https://matrix.example/"),
				 .nets = &here,
				 .max_bytes = 100,
				 .connect_host = S("127.0.0.1"),
				 .connect_port = s->port };

	(void)state;
	for (int i = 0; i < 2; i++) {
		c.connect_port = s->port;
		c.tls = &any;
		good(client_one(cl, a, &c, in_seconds(20)));
		c.tls = &other;
		breaks_with(cl, a, c, CLIENT_TLS);
		c.tls = NULL;
		breaks_with(cl, a, c, CLIENT_TLS);
		c.tls = &knows;
		good(client_one(cl, a, &c, in_seconds(20)));
		c.url = S("https://other.example/");
		breaks_with(cl, a, c, CLIENT_TLS);
		c.tls = &new_only;
		good(client_one(cl, a, &c, in_seconds(20)));
		c.connect_port = old->port;
		breaks_with(cl, a, c, CLIENT_TLS);
		c.tls = &any;
		good(client_one(cl, a, &c, in_seconds(20)));
		c.url = S("https://matrix.example/");
	}
	client_free(&cl);
	tls_site_close(s);
	tls_site_close(old);
}

static void test_a_file_of_authorities_must_be_there(void **state)
{
	AUTO_ARENA a = arena_new();
	const struct client_options opt = { .user_agent = S("x"), .ca_file = S("/nowhere/ca.pem") };
	struct client *cl;

	(void)state;
	fails_with(client_new(a, &opt, &cl), ERR_CONFIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_private_addresses_in_every_form),
		cmocka_unit_test(test_what_is_allowed_is_allowed),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_this_machine_by_other_names),
		cmocka_unit_test(test_a_name_is_asked_once),
		cmocka_unit_test(test_a_connection_is_not_for_those_who_may_not_go_there),
		cmocka_unit_test(test_addresses_are_tried_in_turn),
		cmocka_unit_test(test_ipv6_literals),
		cmocka_unit_test(test_a_delegated_server),
		cmocka_unit_test(test_real_names),
		cmocka_unit_test(test_certificates),
		cmocka_unit_test(test_certificates_by_call),
		cmocka_unit_test(test_a_file_of_authorities_must_be_there),
	};

	return cmocka_run_group_tests(tests, nets_init, NULL);
}
