/*
 * config.c - a whole file: read, filled with defaults, checked for what contradicts itself.
 */
#include "config/config.h"

#include "config/internal_options.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_BYTES = 4 << 20 };

/* The bytes of a file, or STR_NONE with errno. */
static str read_file(struct arena *a, str path, size_t most)
{
	const int fd = open(arena_cstr(a, path), O_RDONLY | O_CLOEXEC);
	AUTO_BUF b = BUF_INIT(most);
	ssize_t n = 1;

	if (fd < 0)
		return STR_NONE;
	while (n > 0) {
		char *to = buf_reserve(&b, 16384);

		if (!to) {
			n = -1;
			errno = EFBIG;
			break;
		}
		n = read(fd, to, 16384);
		if (n > 0)
			buf_commit(&b, (size_t)n);
	}
	(void)close(fd);
	return n < 0 ? STR_NONE : arena_keep(a, buf_str(&b));
}

static str in_data_dir(struct arena *a, const struct config *c, str name)
{
	return arena_join3(a, c->data_dir, S("/"), name);
}

/* The defaults that depend on data_dir. */
static void fill_paths(struct arena *a, struct config *c)
{
	for (size_t i = 0; i < config_options_n; i++) {
		const struct option *o = &config_options[i];
		str *field = (str *)(void *)((char *)c + o->at);

		if (o->type == OPT_PATH && o->deflt && str_is_none(*field) && str_starts(str_c(o->deflt), S("{data}/")))
			*field = in_data_dir(a, c, str_from(str_c(o->deflt), 7));
	}
	if (c->database.driver == CONFIG_SQLITE && str_is_none(c->database.path))
		c->database.path = in_data_dir(a, c, S("hearth.db"));
}

static void fill_listeners(struct arena *a, struct config *c)
{
	struct config_listener *l;

	if (c->n_listeners > 0)
		return;
	l = ARENA_NEW(a, struct config_listener);
	*l = (struct config_listener){
		.address = S("127.0.0.1"), .port = 8008, .client = true, .federation = true, .health = true
	};
	c->listeners = l;
	c->n_listeners = 1;
}

static size_t line_of(const struct ynode *root, str key)
{
	const struct ymember *m = ynode_member(root, key);

	return m ? m->line : 1;
}

static void check_registration(struct reader *r, const struct ynode *root)
{
	struct config_registration *reg = &r->conf->registration;

	if (reg->enabled && !reg->requires_token && !reg->without_verification)
		note(r, true, line_of(root, S("enable_registration")), S("enable_registration"),
		     "anybody could register: set registration_requires_token: true, or "
		     "enable_registration_without_verification: true if that is meant");
	if (str_is_none(reg->shared_secret_path))
		return;
	if (!str_is_none(reg->shared_secret)) {
		note(r, true, line_of(root, S("registration_shared_secret_path")), S("registration_shared_secret_path"),
		     "stands beside registration_shared_secret: one of the two");
		return;
	}
	reg->shared_secret = str_trim(read_file(r->a, reg->shared_secret_path, 4096));
	if (str_is_empty(reg->shared_secret))
		note(r, true, line_of(root, S("registration_shared_secret_path")), S("registration_shared_secret_path"),
		     "cannot read a secret from %.*s", STR_ARG(reg->shared_secret_path));
}

static void check_tls(struct reader *r, const struct ynode *root)
{
	for (size_t i = 0; i < r->conf->n_listeners; i++) {
		if (!r->conf->listeners[i].tls)
			continue;
		if (str_is_none(r->conf->tls_certificate_path) || str_is_none(r->conf->tls_private_key_path))
			note(r, true, line_of(root, S("listeners")), S("listeners.tls"),
			     "needs tls_certificate_path and tls_private_key_path");
		return;
	}
}

static void check_sessions(struct reader *r, const struct ynode *root)
{
	const struct config_sessions *s = &r->conf->sessions;
	const struct {
		str key;
		int64_t value;
	} parts[] = {
		{ S("refreshable_access_token_lifetime"), s->refreshable_access_token_lifetime },
		{ S("nonrefreshable_access_token_lifetime"), s->nonrefreshable_access_token_lifetime },
		{ S("refresh_token_lifetime"), s->refresh_token_lifetime },
	};

	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		if (s->lifetime > 0 && parts[i].value > s->lifetime && ynode_member(root, parts[i].key))
			note(r, true, line_of(root, parts[i].key), parts[i].key, "is longer than session_lifetime");
	}
}

static void check_presence(struct reader *r, const struct ynode *root)
{
	const struct ymember *given = ynode_member(root, S("presence"));
	struct config_presence *p = &r->conf->presence;

	if (!p->use_presence && !(given && ynode_member(given->value, S("enabled"))))
		p->enabled = CONFIG_PRESENCE_OFF;
	if (p->idle_timeout <= p->last_active_granularity)
		note(r, true, given ? given->line : 1, S("presence.idle_timeout"),
		     "must be longer than presence.last_active_granularity");
}

static void check_federation(struct reader *r, const struct ynode *root)
{
	const struct config_federation *f = &r->conf->federation;
	const struct ymember *given = ynode_member(root, S("federation"));

	if (f->max_retry < f->min_retry)
		note(r, true, given ? given->line : 1, S("federation.destination_max_retry_interval"),
		     "is shorter than federation.destination_min_retry_interval");
}

const struct config *config_parse(struct arena *a, str name, str text, struct config_notes *notes)
{
	struct config *c = ARENA_NEW(a, struct config);
	struct reader r = { .a = a, .name = name, .conf = c, .notes = notes };
	size_t line;
	str problem;
	struct ynode *root = yaml_read(a, text, &line, &problem);

	c->file = name;
	if (!root) {
		note(&r, true, line, STR_NONE, "%.*s", STR_ARG(problem));
		return NULL;
	}
	if (root->kind != Y_MAP) {
		note(&r, true, root->line, STR_NONE, "expected `key: value` lines");
		return NULL;
	}
	read_defaults(&r, config_options, config_options_n, c);
	default_thumbnails(&c->media);
	read_map(&r, config_options, config_options_n, c, root, S(""));
	if (!ynode_member(root, S("server_name")))
		note(&r, true, 1, S("server_name"), "is missing; set the name that user ids end in");
	fill_paths(a, c);
	fill_listeners(a, c);
	check_registration(&r, root);
	check_tls(&r, root);
	check_sessions(&r, root);
	check_presence(&r, root);
	check_federation(&r, root);
	return notes->n_fatal ? NULL : c;
}

const struct config *config_load(struct arena *a, str path, struct config_notes *notes)
{
	const str text = read_file(a, path, MOST_BYTES);

	if (str_is_none(text)) {
		const int why = errno;

		notes->n_fatal++;
		vec_push(a, &notes->list,
			 (struct config_note){ true, arena_printf(a, "%.*s: %s", STR_ARG(path), strerror(why)) });
		return NULL;
	}
	return config_parse(a, path, text, notes);
}

const struct config *config_default(struct arena *a)
{
	struct config_notes notes = { 0 };
	const struct config *c = config_parse(a, S("defaults"), S("server_name: localhost"), &notes);
	struct config *own;

	assert(c && notes.list.n == 0);
	own = ARENA_NEW(a, struct config);
	*own = *c;
	own->file = STR_NONE;
	return own;
}

static size_t size_of(const struct option *o)
{
	switch (o->type) {
	case OPT_BOOL:
		return sizeof(bool);
	case OPT_INT:
	case OPT_SIZE:
	case OPT_DURATION:
		return sizeof(int64_t);
	case OPT_RATE:
		return sizeof(struct config_rate);
	case OPT_CHOICE:
		return sizeof(unsigned);
	case OPT_TEXT:
	case OPT_PATH:
	case OPT_JSON:
	case OPT_JSON_LIST:
		return sizeof(str);
	case OPT_LIST:
		return sizeof(struct config_list);
	case OPT_OWN:
		break;
	}
	return 0;
}

static bool nets_equal(const struct config_listener *p, const struct config_listener *q)
{
	if (p->n_trusted_proxies != q->n_trusted_proxies)
		return false;
	for (size_t i = 0; i < p->n_trusted_proxies; i++) {
		const struct ip_net *m = &p->trusted_proxies[i], *n = &q->trusted_proxies[i];

		if (m->bits != n->bits || memcmp(&m->base, &n->base, sizeof(m->base)) != 0)
			return false;
	}
	return true;
}

static bool listeners_equal(const struct config *x, const struct config *y)
{
	if (x->n_listeners != y->n_listeners)
		return false;
	for (size_t i = 0; i < x->n_listeners; i++) {
		const struct config_listener *p = &x->listeners[i], *q = &y->listeners[i];

		if (!str_eq(p->address, q->address) || p->port != q->port || p->tls != q->tls ||
		    p->x_forwarded != q->x_forwarded || p->no_gzip != q->no_gzip || p->client != q->client ||
		    p->federation != q->federation || p->metrics != q->metrics || p->health != q->health)
			return false;
		if (!nets_equal(p, q))
			return false;
	}
	return true;
}

static bool policies_equal(const struct config *x, const struct config *y)
{
	if (x->n_policies != y->n_policies)
		return false;
	for (size_t i = 0; i < x->n_policies; i++) {
		const struct config_policy *p = &x->policies[i], *q = &y->policies[i];

		if (!str_eq(p->id, q->id) || !str_eq(p->version, q->version) || !str_eq(p->language, q->language) ||
		    !str_eq(p->name, q->name) || !str_eq(p->url, q->url))
			return false;
	}
	return true;
}

static bool lists_equal(const struct config_list *x, const struct config_list *y)
{
	if (x->n != y->n || !x->p != !y->p)
		return false;
	for (size_t i = 0; i < x->n; i++) {
		if (!str_eq(x->p[i], y->p[i]))
			return false;
	}
	return true;
}

/* Makes one setting of `now` what it is in `old`; was it another? */
static bool keep_old(const struct option *o, struct config *now, const struct config *old)
{
	char *p = (char *)now + o->at;
	const char *q = (const char *)old + o->at;
	bool same;

	if (o->read == read_listeners) {
		same = listeners_equal(now, old);
		now->listeners = old->listeners;
		now->n_listeners = old->n_listeners;
	} else if (o->read == read_policies) {
		same = policies_equal(now, old);
		now->policies = old->policies;
		now->n_policies = old->n_policies;
	} else if (o->read == read_upload_limits) {
		same = upload_limits_equal(&now->media, &old->media);
		now->media.limits = old->media.limits;
		now->media.n_limits = old->media.n_limits;
	} else if (o->read == read_thumbnails) {
		same = thumbnails_equal(&now->media, &old->media);
		now->media.thumbnails = old->media.thumbnails;
		now->media.n_thumbnails = old->media.n_thumbnails;
	} else if (o->read == read_database) {
		same = now->database.driver == old->database.driver && str_eq(now->database.path, old->database.path) &&
		       str_eq(now->database.conninfo, old->database.conninfo);
		now->database = old->database;
	} else {
		if (o->type == OPT_TEXT || o->type == OPT_PATH || o->type == OPT_JSON || o->type == OPT_JSON_LIST)
			same = str_eq(*(str *)(void *)p, *(const str *)(const void *)q);
		else if (o->type == OPT_LIST)
			same = lists_equal((const struct config_list *)(void *)p,
					   (const struct config_list *)(const void *)q);
		else
			same = memcmp(p, q, size_of(o)) == 0;
		memcpy(p, q, size_of(o));
	}
	return !same;
}

const struct config *config_merge(struct arena *a, const struct config *old, const struct config *new,
				  struct config_notes *notes)
{
	struct config *c = ARENA_NEW(a, struct config);

	*c = *new;
	for (size_t i = 0; i < config_options_n; i++) {
		const struct option *o = &config_options[i];

		if (o->live || !keep_old(o, c, old))
			continue;
		vec_push(
			a, &notes->list,
			(struct config_note){
				false, arena_printf(a, "%s: takes effect when the server is started again", o->path) });
	}
	return c;
}
