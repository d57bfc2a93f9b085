/* tls_site.h - a server on loopback that speaks TLS: with a certificate of its own, and one answer for everybody. */
#pragma once

#include "http/site.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <time.h>

struct tls_site {
	int fd;
	uint16_t port;
	const char *priority; /* GnuTLS's words for the versions it speaks */
	const char *answer;   /* a whole HTTP answer */
	gnutls_certificate_credentials_t credentials;
	char pem[4096];           /* its certificate, which is its own authority */
	_Atomic unsigned n_asked; /* over TLS */
	struct tls_visit {
		struct tls_site *site;
		int fd;
		struct thread *thread;
	} visits[128];
	_Atomic size_t n_visits; /* connections */
	struct thread *thread;
};

static void tls_site_certificate(struct tls_site *s, const char *name)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t crt;
	gnutls_datum_t d;

	gnutls_x509_privkey_init(&key);
	gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	gnutls_x509_crt_init(&crt);
	gnutls_x509_crt_set_version(crt, 3);
	gnutls_x509_crt_set_serial(crt, "\x01", 1);
	gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60);
	gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 3600);
	gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, "test", 4);
	gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, name, (unsigned)strlen(name), GNUTLS_FSAN_SET);
	gnutls_x509_crt_set_key(crt, key);
	assert_int_equal(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &d), 0);
	assert_in_range(d.size, 1, sizeof(s->pem) - 1);
	memcpy(s->pem, d.data, d.size);
	gnutls_free(d.data);
	gnutls_certificate_allocate_credentials(&s->credentials);
	assert_int_equal(gnutls_certificate_set_x509_key(s->credentials, &crt, 1, key), 0);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_privkey_deinit(key);
}

static void tls_visit_run(void *visit)
{
	struct tls_visit *v = visit;
	struct tls_site *s = v->site;
	gnutls_session_t session;
	char in[8192];

	gnutls_init(&session, GNUTLS_SERVER);
	gnutls_priority_set_direct(session, s->priority, NULL);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, s->credentials);
	gnutls_transport_set_int(session, v->fd);
	if (gnutls_handshake(session) == 0) {
		while (gnutls_record_recv(session, in, sizeof(in)) > 0) {
			s->n_asked++;
			gnutls_record_send(session, s->answer, strlen(s->answer));
		}
	}
	gnutls_deinit(session);
	shutdown(v->fd, SHUT_RDWR);
}

static void tls_site_run(void *site)
{
	struct tls_site *s = site;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0) {
		struct tls_visit *v = &s->visits[s->n_visits];

		assert_true(s->n_visits < ARRAY_LEN(s->visits));
		*v = (struct tls_visit){ .site = s, .fd = fd };
		v->thread = thread_start("visit", tls_visit_run, v);
		s->n_visits++;
	}
}

/* For this name, and answering with this body. */
static struct tls_site *tls_site_open(const char *name, const char *priority, const char *answer)
{
	struct tls_site *s = MEM_NEW(struct tls_site);

	s->priority = priority;
	s->answer = answer;
	tls_site_certificate(s, name);
	s->fd = listen_at(S("127.0.0.1"), &s->port);
	s->thread = thread_start("tls", tls_site_run, s);
	return s;
}

static void tls_site_close(struct tls_site *s)
{
	shutdown(s->fd, SHUT_RDWR);
	thread_join(&s->thread);
	for (size_t i = 0; i < s->n_visits; i++) {
		shutdown(s->visits[i].fd, SHUT_RDWR);
		thread_join(&s->visits[i].thread);
		close(s->visits[i].fd);
	}
	close(s->fd);
	gnutls_certificate_free_credentials(s->credentials);
	mem_free(s);
}
