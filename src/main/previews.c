/* previews.c - what makes previews of pages. */
#include "cli/files.h"
#include "http/client.h"
#include "main/server.h"
#include "media/preview.h"

#include <errno.h>

enum { MOST_PROVIDERS = 16 << 20 };

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
	struct previews_options opt = {
		.store = s->store,
		.bus = s->services.bus,
		.media = s->services.media,
		.log = s->log,
		.client = s->services.client,
		.user_agent = S("Hearth/" HEARTH_VERSION " (bot; makes previews of links for Matrix)"),
		.nets = server_networks(s->a, &c->denied, &c->allowed),
		.url_rules = c->url_rules,
		.max_bytes = (size_t)c->max_bytes,
		.accept_language = server_joined(s->a, &c->languages),
		.no_known_providers = c->no_known_providers,
		.n_provider_lists = c->providers.n,
	};

	if (!c->enabled)
		return NULL;
	TRY(provider_lists(s, &c->providers, &opt.provider_lists));
	return previews_new(s->a, &opt, &s->services.previews);
}
