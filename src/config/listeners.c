/*
 * listeners.c - what the server listens on.
 *
 * One entry of the file may name several addresses: each becomes a listener of its own. `port: 0` takes any free port.
 */
#include "config/internal_options.h"

struct entry { /* as it stands in the file */
	int64_t port;
	unsigned type;
	bool tls, x_forwarded;
	const struct ynode *addresses, *resources, *proxies;
	struct config_listener groups;
};
enum { TYPE_HTTP, TYPE_METRICS, TYPE_MANHOLE };

static const char *const types[] = { "http", "metrics", "manhole", NULL };

static const char *const no_meaning[] = {
	"mode",          "tag", "request_id_header", "additional_resources", "enable_ipv6", "require_ip_pinning",
	"proxy_protocol"
};

const struct option listener_options[] = {
	{ "listeners.port", OPT_INT, offsetof(struct entry, port), .min = 0, .max = 65535,
	  .doc = "The TCP port; 0: any free one." },
	{ "listeners.bind_addresses", OPT_OWN, .deflt = NULL, .doc = "The addresses. Without it: every one." },
	{ "listeners.bind_address", OPT_OWN, .doc = "A single one." },
	{ "listeners.type", OPT_CHOICE, offsetof(struct entry, type), .deflt = "http", .choices = types,
	  .doc = "http, or metrics." },
	{ "listeners.tls", OPT_BOOL, offsetof(struct entry, tls), .deflt = "false",
	  .doc = "TLS, with tls_certificate_path and tls_private_key_path." },
	{ "listeners.x_forwarded", OPT_BOOL, offsetof(struct entry, x_forwarded), .deflt = "false",
	  .doc = "A proxy stands before it, whose X-Forwarded-For names the client." },
	{ "listeners.trusted_proxies", OPT_OWN,
	  .doc = "With x_forwarded: the addresses and networks whose X-Forwarded-For is believed. Without it: this machine "
		 "and private networks." },
	{ "listeners.resources", OPT_OWN,
	  .doc = "A list of {names: [client, federation, metrics, health]}. /health is always served. With compress: "
		 "false, answers are not compressed." },
};
const size_t listener_options_n = ARRAY_LEN(listener_options);

/* What Synapse calls the parts of its surface, and what they are here. */
static const struct {
	str name;
	bool client, federation, metrics;
} resources[] = {
	{ STR("client"), .client = true },
	{ STR("media"), .client = true },
	{ STR("consent"), .client = true },
	{ STR("static"), .client = true },
	{ STR("webclient"), .client = true },
	{ STR("federation"), .federation = true },
	{ STR("keys"), .federation = true },
	{ STR("openid"), .federation = true },
	{ STR("metrics"), .metrics = true },
	{ STR("health") },
	{ STR("replication") },
};

static void read_resource(struct reader *r, struct entry *e, const struct ynode *name)
{
	for (size_t i = 0; i < ARRAY_LEN(resources); i++) {
		if (name->kind != Y_SCALAR || !str_eq(name->text, resources[i].name))
			continue;
		e->groups.client |= resources[i].client;
		e->groups.federation |= resources[i].federation;
		e->groups.metrics |= resources[i].metrics;
		return;
	}
	{
		const str found = ynode_describe(r->a, name);

		note(r, true, name->line, S("listeners.resources.names"),
		     "expected client, federation, metrics or health, found %.*s", STR_ARG(found));
	}
}

static void read_resources(struct reader *r, struct entry *e, const struct ynode *list)
{
	if (list->kind != Y_LIST) {
		const str found = ynode_describe(r->a, list);

		note(r, true, list->line, S("listeners.resources"),
		     "expected a list such as [{names: [client]}], found %.*s", STR_ARG(found));
		return;
	}
	for (size_t i = 0; i < list->n; i++) {
		const struct ymember *names = ynode_member(list->items[i], S("names"));

		const struct ymember *compress = ynode_member(list->items[i], S("compress"));
		bool yes;

		if (compress && ynode_bool(compress->value, &yes) && !yes)
			e->groups.no_gzip = true;
		if (!names || (names->value->kind != Y_LIST && names->value->kind != Y_SCALAR)) {
			note(r, true, list->items[i]->line, S("listeners.resources"), "expected {names: [...]}");
		} else if (names->value->kind == Y_SCALAR) {
			read_resource(r, e, names->value);
		} else {
			for (size_t k = 0; k < names->value->n; k++)
				read_resource(r, e, names->value->items[k]);
		}
	}
}

static bool has_no_meaning(str key)
{
	for (size_t i = 0; i < ARRAY_LEN(no_meaning); i++) {
		if (str_eq(key, str_c(no_meaning[i])))
			return true;
	}
	return false;
}

/* Takes what is ours to take; gives the rest to read_map. */
static void read_entry(struct reader *r, struct entry *e, const struct ynode *map)
{
	struct ynode rest = *map;

	rest.n = 0;
	rest.members = ARENA_ARRAY(r->a, struct ymember, map->n);
	for (size_t i = 0; i < map->n; i++) {
		const struct ymember *m = &map->members[i];

		if (str_eq(m->key, S("bind_addresses")) || str_eq(m->key, S("bind_address")))
			e->addresses = m->value;
		else if (str_eq(m->key, S("resources")))
			e->resources = m->value;
		else if (str_eq(m->key, S("trusted_proxies")))
			e->proxies = m->value;
		else if (has_no_meaning(m->key))
			note(r, false, m->line, arena_join2(r->a, S("listeners."), m->key),
			     "has no meaning here; ignored");
		else
			rest.members[rest.n++] = *m;
	}
	read_map(r, listener_options, listener_options_n, e, &rest, S("listeners."));
}

/* Where a proxy of one's own stands, and nobody else. */
static const char *const near_networks[] = { "127.0.0.0/8",    "::1/128",       "10.0.0.0/8", "172.16.0.0/12",
					     "192.168.0.0/16", "100.64.0.0/10", "fc00::/7",   "fe80::/10" };

static void read_proxies(struct reader *r, struct entry *e)
{
	const struct ynode *list = e->proxies;
	const bool named = list && list->kind != Y_NULL;
	const size_t n = !named ? ARRAY_LEN(near_networks) : list->kind == Y_LIST ? list->n : 1;
	struct ip_net *nets = ARENA_ARRAY(r->a, struct ip_net, n);

	for (size_t i = 0; i < n; i++) {
		const struct ynode *item = !named ? NULL : list->kind == Y_LIST ? list->items[i] : list;

		if (ip_net_parse(item ? item->text : str_c(near_networks[i]), &nets[i]))
			continue;
		const str found = ynode_describe(r->a, item);

		note(r, true, item->line, S("listeners.trusted_proxies"),
		     "expected a list of addresses or networks such as [10.0.0.0/8], found %.*s", STR_ARG(found));
	}
	e->groups.trusted_proxies = nets;
	e->groups.n_trusted_proxies = n;
}

typedef VEC(struct config_listener) listener_list;

static void add_address(struct reader *r, listener_list *out, const struct entry *e, const struct ynode *address)
{
	struct config_listener l = e->groups;

	if (address->kind != Y_SCALAR || address->text.n == 0) {
		const str found = ynode_describe(r->a, address);

		note(r, true, address->line, S("listeners.bind_addresses"),
		     "expected a list of addresses such as [127.0.0.1], found %.*s", STR_ARG(found));
		return;
	}
	l.address = address->text;
	vec_push(r->a, out, l);
}

static void add_entry(struct reader *r, listener_list *out, struct entry *e)
{
	static const struct ynode all[] = {
		{ .kind = Y_SCALAR, .text = STR("::") },
		{ .kind = Y_SCALAR, .text = STR("0.0.0.0") },
	};

	e->groups.port = (uint16_t)e->port;
	e->groups.tls = e->tls;
	e->groups.x_forwarded = e->x_forwarded;
	e->groups.health = true;
	read_proxies(r, e);
	if (e->type == TYPE_METRICS)
		e->groups.metrics = true;
	else if (e->resources && e->resources->kind != Y_NULL)
		read_resources(r, e, e->resources);
	else
		e->groups.client = e->groups.federation = true;

	if (!e->addresses || e->addresses->kind == Y_NULL || (e->addresses->kind == Y_LIST && e->addresses->n == 0)) {
		for (size_t i = 0; i < ARRAY_LEN(all); i++)
			add_address(r, out, e, &all[i]);
	} else if (e->addresses->kind == Y_LIST) {
		for (size_t i = 0; i < e->addresses->n && out->n <= CONFIG_MOST_LISTENERS; i++)
			add_address(r, out, e, e->addresses->items[i]);
	} else {
		add_address(r, out, e, e->addresses);
	}
}

static void note_no_port(struct reader *r, const struct ynode *entry)
{
	const struct ymember *port = ynode_member(entry, S("port"));

	if (!port || port->value->kind == Y_NULL)
		note(r, true, entry->line, S("listeners"), "expected a port");
}

void read_listeners(struct reader *r, const struct option *o, const struct ynode *n)
{
	listener_list out = { 0 };

	if (n->kind != Y_LIST) {
		note_expected(r, o, n, "a list");
		return;
	}
	for (size_t i = 0; i < n->n && out.n <= CONFIG_MOST_LISTENERS; i++) {
		struct entry e = { .port = -1 };

		if (n->items[i]->kind != Y_MAP) {
			note_expected(r, o, n->items[i], "a map such as {port: 8008, bind_addresses: [127.0.0.1]}");
			continue;
		}
		read_entry(r, &e, n->items[i]);
		if (e.type == TYPE_MANHOLE)
			note(r, false, n->items[i]->line, S("listeners"), "a manhole has no meaning here; ignored");
		else if (e.port < 0) /* missing, unless it was complained of */
			note_no_port(r, n->items[i]);
		else
			add_entry(r, &out, &e);
	}
	if (out.n > CONFIG_MOST_LISTENERS)
		note(r, true, n->line, S("listeners"), "expected at most %d addresses in all", CONFIG_MOST_LISTENERS);
	r->conf->listeners = out.p;
	r->conf->n_listeners = out.n;
}
