/* previews.c - the client that asks other servers, and what makes previews of pages with it. */
#include "base/buf.h"
#include "cli/files.h"
#include "http/client.h"
#include "main/server.h"
#include "media/preview.h"

#include <errno.h>

enum { MOST_PROVIDERS = 16 << 20 };

static const struct ip_net *networks(struct arena *a, const struct config_list *list, size_t *out_n)
{
	struct ip_net *nets = ARENA_ARRAY(a, struct ip_net, list->n);
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		n += ip_net_parse(list->p[i], &nets[n]);
	*out_n = n;
	return nets;
}

/* Without a word of the operator's: what is no part of the public internet. */
static struct config_list denied(struct arena *a, const struct config_list *said)
{
	VEC(str) list = { 0 };

	if (said->p)
		return *said;
	for (size_t i = 0; client_private_networks[i]; i++)
		vec_push(a, &list, str_c(client_private_networks[i]));
	return (struct config_list){ list.p, list.n };
}

static str joined(struct arena *a, const struct config_list *list)
{
	AUTO_BUF b = BUF_INIT(1 << 16);

	for (size_t i = 0; i < list->n; i++) {
		buf_add(&b, i == 0 ? S("") : S(", "));
		buf_add(&b, list->p[i]);
	}
	return list->n == 0 ? STR_NONE : arena_keep(a, buf_str(&b));
}

static err *provider_lists(struct server *s, const struct config_list *paths, const str **out)
{
	str *texts = ARENA_ARRAY(s->a, str, paths->n);

	for (size_t i = 0; i < paths->n; i++) {
		texts[i] = file_read(s->a, paths->p[i], MOST_PROVIDERS);
		if (str_is_none(texts[i]))
			return err_new(s->a, ERR_CONFIG, "oembed.additional_providers: cannot read %.*s: %s",
				       STR_ARG(paths->p[i]), strerror(errno));
	}
	*out = texts;
	return NULL;
}

err *server_open_previews(struct server *s)
{
	const struct config_previews *c = &s->config->previews;
	const struct config_list deny = denied(s->a, &c->denied);
	const struct client_options client = {
		.log = s->log,
		.user_agent = S("Hearth/" HEARTH_VERSION " (bot; makes previews of links for Matrix)"),
	};
	struct previews_options opt = {
		.store = s->store,
		.bus = s->services.bus,
		.media = s->services.media,
		.log = s->log,
		.url_rules = c->url_rules,
		.max_bytes = (size_t)c->max_bytes,
		.accept_language = joined(s->a, &c->languages),
		.no_known_providers = c->no_known_providers,
		.n_provider_lists = c->providers.n,
	};

	if (!c->enabled)
		return NULL;
	TRY(client_new(s->a, &client, &s->services.client));
	opt.client = s->services.client;
	opt.nets.deny = networks(s->a, &deny, &opt.nets.n_deny);
	opt.nets.allow = networks(s->a, &c->allowed, &opt.nets.n_allow);
	TRY(provider_lists(s, &c->providers, &opt.provider_lists));
	return previews_new(s->a, &opt, &s->services.previews);
}

void server_close_previews(struct server *s)
{
	if (s->services.client)
		client_stop(s->services.client);
	previews_free(&s->services.previews);
	client_free(&s->services.client);
}
