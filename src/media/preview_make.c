/*
 * preview_make.c - from an address to its preview.
 *
 * Only the page itself must be had. What it leads to, its picture and what it says by oEmbed, is left out where it
 * cannot be had. What the page says comes before what its oEmbed says: many sites that live on scripts write good Open
 * Graph and an empty oEmbed.
 */
#include "media/internal_preview.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "media/image_head.h"
#include "media/media.h"
#include "media/preview_charset.h"
#include "media/preview_html.h"

static const int64_t hour_ms = 3600 * 1000, day_ms = INT64_C(24) * 3600 * 1000, least_ms = 60 * 1000;

struct making {
	struct previews *pv;
	struct arena *a;
	const struct client_url *url; /* what was asked about */
	int64_t deadline_us;
	struct og og;
	str author;
	str image; /* its URI, when it is kept */
	int64_t lifetime_ms;
};

static bool is_type(const struct fetched *f, str start) { return str_starts_nocase(str_trim(f->content_type), start); }
static bool is_html(const struct fetched *f)
{
	return is_type(f, S("text/html")) || is_type(f, S("application/xhtml"));
}
static bool is_image(const struct fetched *f) { return is_type(f, S("image/")); }

/* ---- images ---- */

static bool read_bytes(void *ctx, uint64_t at, void *p, size_t n)
{
	const struct fetched *f = ctx;

	if (at > f->bytes.n || n > f->bytes.n - at)
		return false;
	memcpy(p, f->bytes.p + at, n);
	return true;
}

static str essence(str type) { return str_trim(str_head(type, str_find(type, ';'))); }

/* Keeps it as media of this server's, and says what it is: by its bytes where they are known, else as it was said. */
static err *keep_image(struct making *m, struct fetched *f)
{
	struct image_head head = { 0 };
	const bool known = image_head_read(read_bytes, f, f->bytes.n, &head);
	const str type = known ? str_c(image_kind_type(head.kind)) : essence(f->content_type);
	const struct media_upload_cmd cmd = {
		.content_type = type,
		.filename = f->filename,
		.length = (int64_t)f->bytes.n,
	};

	TRY(media_put(m->pv->opt.media, m->a, &cmd, f->bytes, &m->image));
	og_set(m->a, &m->og, S("og:image"), m->image);
	og_set(m->a, &m->og, S("og:image:type"), arena_keep(m->a, type));
	og_set_number(m->a, &m->og, S("matrix:image:size"), (int64_t)f->bytes.n);
	if (!known)
		return NULL;
	og_set_number(m->a, &m->og, S("og:image:width"), image_turned(&head) ? head.height : head.width);
	og_set_number(m->a, &m->og, S("og:image:height"), image_turned(&head) ? head.width : head.height);
	return NULL;
}

static err *fetch_image(struct making *m, const struct fetched *page, str link)
{
	struct fetched f;
	struct client_url u;

	if (!str_starts_nocase(link, S("data:"))) {
		TRY(client_url_join(m->a, page->is_data ? m->url->text : page->url.text, link, &u));
		link = u.text;
	}
	TRY(preview_fetch(m->pv, m->a, link, true, m->deadline_us, &f));
	if (!is_image(&f) || f.bytes.n == 0)
		return err_new(m->a, ERR_CONNECTION_FAILED, "The page's picture is none");
	return keep_image(m, &f);
}

/* og:image becomes a URI of ours, or goes, with what the page said of it. */
static void take_image(struct making *m, const struct fetched *page)
{
	static const char *const about[] = { "og:image",        "og:image:type",       "og:image:width",
					     "og:image:height", "og:image:secure_url", "og:image:url" };
	const str link = og_text(&m->og, S("og:image"));
	const err *e;

	for (size_t i = 0; i < ARRAY_LEN(about); i++)
		og_remove(&m->og, str_c(about[i]));
	og_remove(&m->og, S("matrix:image:size"));
	if (str_is_empty(link))
		return;
	e = fetch_image(m, page, link);
	if (e)
		log_debug(m->pv->opt.log, "no picture for a preview", F("error", e->msg));
}

/* ---- pages ---- */

static void take_oembed(struct making *m, const struct fetched *f)
{
	struct oembed o;

	if (!is_type(f, S("application/json")) || !oembed_read(m->a, m->url->text, f->bytes, &o))
		return;
	og_merge(m->a, &m->og, &o.og);
	m->author = o.author;
	if (o.cache_ms >= 0)
		m->lifetime_ms = o.cache_ms;
}

/* What the page says that it says elsewhere. */
static void follow_oembed(struct making *m, const struct fetched *page, const struct html *h)
{
	const str link = oembed_discover(m->a, h);
	struct client_url u;
	struct fetched f;
	const err *e;

	if (str_is_none(link))
		return;
	e = client_url_join(m->a, page->url.text, link, &u);
	if (!e)
		e = preview_fetch(m->pv, m->a, u.text, false, m->deadline_us, &f);
	if (e)
		log_debug(m->pv->opt.log, "no oEmbed for a preview", F("error", e->msg));
	else
		take_oembed(m, &f);
}

static void take_page(struct making *m, const struct fetched *f)
{
	const str bytes = str_head(f->bytes, MIN(f->bytes.n, (size_t)PREVIEW_MAX_HTML));
	AUTO_HTML *h = html_read(preview_utf8(m->a, bytes, f->content_type));

	if (!h)
		return;
	og_from_html(m->a, h, &m->og);
	follow_oembed(m, f, h);
	take_image(m, f);
}

static err *take_answer(struct making *m, struct fetched *f, bool from_provider)
{
	if (is_image(f)) {
		if (!str_is_none(f->filename))
			og_set(m->a, &m->og, S("og:description"), f->filename);
		return keep_image(m, f);
	}
	if (is_html(f)) {
		take_page(m, f);
	} else if (from_provider) {
		take_oembed(m, f);
		take_image(m, f);
	}
	return NULL;
}

err *preview_make(struct previews *pv, struct arena *a, const struct client_url *url, struct preview *out)
{
	const str provider = oembed_endpoint(a, &pv->providers, url->text);
	struct making m = {
		.pv = pv,
		.a = a,
		.url = url,
		.deadline_us = clock_mono_us() + pv->opt.timeout_ms * 1000,
		.lifetime_ms = hour_ms,
	};
	struct fetched f;

	TRY(preview_fetch(pv, a, str_is_none(provider) ? url->text : provider, false, m.deadline_us, &f));
	TRY(take_answer(&m, &f, !str_is_none(provider)));
	if (!og_has(&m.og, S("og:title")) && !str_is_empty(m.author))
		og_set(a, &m.og, S("og:title"), m.author);
	*out = (struct preview){
		.json = og_json(a, &m.og),
		.image = m.image,
		.lifetime_ms = MAX(MIN(m.lifetime_ms, day_ms), least_ms),
	};
	return NULL;
}
