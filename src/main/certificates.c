/*
 * certificates.c - what the TLS listeners show, and how it is noticed that it was replaced.
 *
 * Whoever renews a certificate may send SIGHUP, but need not: the two files are looked at every few seconds, which also
 * sees what no notification tells of (a link that leads elsewhere now, a network's file system). A pair that does not
 * fit, one half being replaced, is refused and tried again when either file changes once more.
 */
#include "cli/files.h"
#include "main/server.h"

#include <errno.h>
#include <sys/stat.h>

enum { MOST_PEM = 1 << 20 };

static struct file_mark mark_of(struct arena *a, str path)
{
	struct stat st;

	if (str_is_none(path) || stat(arena_cstr(a, path), &st) != 0)
		return (struct file_mark){ 0 };
	return (struct file_mark){ (int64_t)st.st_dev, (int64_t)st.st_ino, (int64_t)st.st_size,
				   (int64_t)st.st_mtim.tv_sec, (int64_t)st.st_mtim.tv_nsec };
}

static err *read_pem(struct arena *a, str path, str *out)
{
	*out = file_read(a, path, MOST_PEM);
	if (str_is_none(*out))
		return err_new(a, ERR_CONFIG, "%.*s: %s", STR_ARG(path), strerror(errno));
	return NULL;
}

/* First the marks: what is written while it is read is another change. */
err *certificates_read(struct server *s, struct arena *a, str *out_cert, str *out_key)
{
	const struct config *c = s->config;

	s->certificate_mark = mark_of(a, c->tls_certificate_path);
	s->key_mark = mark_of(a, c->tls_private_key_path);
	TRY(read_pem(a, c->tls_certificate_path, out_cert));
	return read_pem(a, c->tls_private_key_path, out_key);
}

static bool any_tls(const struct config *c)
{
	for (size_t i = 0; i < c->n_listeners; i++) {
		if (c->listeners[i].tls)
			return true;
	}
	return false;
}

static err *reload(struct server *s, struct arena *a)
{
	str cert, key;

	TRY(certificates_read(s, a, &cert, &key));
	return http_reload_tls(s->http, a, cert, key);
}

void certificates_reload(struct server *s)
{
	AUTO_ARENA a = arena_new();
	const err *e;

	if (!any_tls(s->config))
		return;
	e = reload(s, a);
	if (e)
		log_error(s->log, "certificate not reloaded", F("why", e->msg));
	else
		log_info(s->log, "certificate reloaded");
}

static bool same(const struct file_mark *x, const struct file_mark *y)
{
	return x->device == y->device && x->inode == y->inode && x->size == y->size && x->seconds == y->seconds &&
	       x->nanoseconds == y->nanoseconds;
}

void certificates_look(struct server *s)
{
	AUTO_ARENA a = arena_new();
	const struct file_mark certificate = mark_of(a, s->config->tls_certificate_path),
			       key = mark_of(a, s->config->tls_private_key_path);

	if (!any_tls(s->config))
		return;
	if (!same(&certificate, &s->certificate_mark) || !same(&key, &s->key_mark))
		certificates_reload(s);
}
