/*
 * tls.c - certificates.
 *
 * GnuTLS asks for the certificate at each handshake; the answer is the listener's newest. A replaced one is kept
 * until the end, because a handshake may still be using it: reloads are rare, and a chain is a few KB.
 */
#include "http/internal_http.h"

#include <assert.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>

enum { MAX_CHAIN = 16 };

struct tls_cert {
	struct tls_cert *next;
	gnutls_pcert_st chain[MAX_CHAIN];
	unsigned n;
	gnutls_privkey_t key;
};

struct tls_cert **tls_cert_next(struct tls_cert *c) { return &c->next; }

void tls_cert_free(struct tls_cert **cp)
{
	struct tls_cert *c = *cp;

	if (!c)
		return;
	for (unsigned i = 0; i < c->n; i++)
		gnutls_pcert_deinit(&c->chain[i]);
	if (c->key)
		gnutls_privkey_deinit(c->key);
	mem_free(c);
	*cp = NULL;
}

static bool key_fits(const struct tls_cert *c)
{
	unsigned char of_cert[64], of_key[64];
	size_t n_cert = sizeof(of_cert), n_key = sizeof(of_key);
	gnutls_pubkey_t pub;
	bool fits;

	if (gnutls_pubkey_init(&pub) != 0)
		return false;
	fits = gnutls_pubkey_import_privkey(pub, c->key, 0, 0) == 0 &&
	       gnutls_pubkey_get_key_id(pub, 0, of_key, &n_key) == 0 &&
	       gnutls_pubkey_get_key_id(c->chain[0].pubkey, 0, of_cert, &n_cert) == 0 && n_key == n_cert &&
	       memcmp(of_cert, of_key, n_key) == 0;
	gnutls_pubkey_deinit(pub);
	return fits;
}

err *tls_cert_load(struct arena *a, str cert_pem, str key_pem, struct tls_cert **out)
{
	const gnutls_datum_t cert = { (unsigned char *)(uintptr_t)cert_pem.p, (unsigned)cert_pem.n };
	const gnutls_datum_t key = { (unsigned char *)(uintptr_t)key_pem.p, (unsigned)key_pem.n };
	struct tls_cert *c = MEM_NEW(struct tls_cert);
	unsigned n = MAX_CHAIN;
	err *e = NULL;
	int rc;

	rc = gnutls_pcert_list_import_x509_raw(c->chain, &n, &cert, GNUTLS_X509_FMT_PEM, 0);
	if (rc != 0)
		e = err_new(a, ERR_CONFIG, "the TLS certificate cannot be read: %s", gnutls_strerror(rc));
	else
		c->n = n;
	if (!e) {
		rc = gnutls_privkey_init(&c->key);
		assert(rc == 0);
		rc = gnutls_privkey_import_x509_raw(c->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
		if (rc != 0)
			e = err_new(a, ERR_CONFIG, "the TLS key cannot be read: %s", gnutls_strerror(rc));
		else if (!key_fits(c))
			e = err_new(a, ERR_CONFIG, "the TLS key is not the certificate's");
	}
	if (e) {
		tls_cert_free(&c);
		return e;
	}
	*out = c;
	return NULL;
}

static int choose(gnutls_session_t session, const gnutls_datum_t *ca, int n_ca, const gnutls_pk_algorithm_t *algos,
		  int n_algos, gnutls_pcert_st **chain, unsigned *n, gnutls_privkey_t *key)
{
	struct MHD_Connection *mhd = gnutls_session_get_ptr(session);
	const struct conn *conn = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
	struct tls_cert *c = atomic_load(&conn->listener->cert);

	(void)ca;
	(void)n_ca;
	(void)algos;
	(void)n_algos;
	*chain = c->chain;
	*n = c->n;
	*key = c->key;
	return 0;
}

void *tls_chooser(void) { return (void *)(uintptr_t)choose; }
