/*
 * client_answer.c - what comes back: headers and bytes, counted before they are kept.
 *
 * Both run on the loop's thread, from within libcurl; to return another number than was given ends the transfer. The
 * bytes of a body come here decompressed, in pieces of at most 16 KiB, so that a bomb ends at the limit.
 */
#include "http/internal_client.h"

enum { STOP_HERE = 0 };

/* "HTTP/1.1 200 OK": what came before (100 Continue) counts no more. */
static void begin_head(struct client_hop *h)
{
	buf_reset(&h->head);
	h->n_head = 0;
}

static void keep_header(struct client_hop *h, str line)
{
	const size_t colon = str_find(line, ':');

	if (colon == 0 || colon == line.n || memchr(line.p, 0, line.n))
		return;
	buf_add(&h->head, str_trim(str_head(line, colon)));
	buf_byte(&h->head, '\0');
	buf_add(&h->head, str_trim(str_from(line, colon + 1)));
	buf_byte(&h->head, '\0');
	h->n_head++;
}

size_t hop_take_header(char *p, size_t size, size_t n, void *hop)
{
	struct client_hop *h = hop;
	const str line = str_trim((str){ p, size * n });

	h->head_bytes += size * n;
	if (h->head_bytes > CLIENT_MAX_HEAD || h->n_head >= CLIENT_MAX_HEADERS) {
		hop_fail(h, CLIENT_TOO_LARGE, "the headers of its answer are more than is read");
		return STOP_HERE;
	}
	if (h->has_body)
		return size * n; /* a trailer */
	if (str_starts(line, S("HTTP/")))
		begin_head(h);
	else
		keep_header(h, line);
	return size * n;
}

str hop_header(const struct client_hop *h, str name)
{
	const char *p = h->head.p;

	for (size_t i = 0; i < h->n_head; i++) {
		const str key = str_c(p), value = str_c(p + key.n + 1);

		if (str_eq_nocase(key, name))
			return value;
		p = value.p + value.n + 1;
	}
	return STR_NONE;
}

bool hop_is_redirect(const struct client_hop *h)
{
	const bool moved = (h->status >= 301 && h->status <= 303) || h->status == 307 || h->status == 308;

	return moved && h->may_redirect && hop_header(h, S("Location")).n > 0;
}

static bool is_success(const struct client_hop *h) { return h->status >= 200 && h->status <= 299; }

static bool too_large(struct client_hop *h)
{
	hop_fail(h, CLIENT_TOO_LARGE, "its answer is larger than %zu bytes", h->call->max_bytes);
	return false;
}

static bool is_wanted(const struct client_hop *h)
{
	const str type = hop_header(h, S("Content-Type"));
	const char *const *wanted = h->call->types;

	if (!wanted || !is_success(h))
		return true;
	for (; *wanted; wanted++) {
		if (str_starts_nocase(type, str_c(*wanted)))
			return true;
	}
	return false;
}

/* The first bytes: what they are is known now. */
static bool begin_body(struct client_hop *h)
{
	const bool passes = h->call->take != NULL;
	str encoding;
	uint64_t length;
	long status = 0;

	h->has_body = true;
	curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	h->status = (int)status;
	h->body.max = passes ? CLIENT_MAX_ERROR_BODY : h->call->max_bytes;
	if (hop_is_redirect(h) || (passes && !is_success(h)))
		return true;
	if (!is_wanted(h)) {
		hop_fail(h, CLIENT_WRONG_TYPE, "its answer is of another type than is wanted");
		return false;
	}
	if (str_to_u64(hop_header(h, S("Content-Length")), &length) && length > h->call->max_bytes)
		return too_large(h);
	encoding = hop_header(h, S("Content-Encoding"));
	if (passes && encoding.n > 0 && !str_eq_nocase(encoding, S("identity"))) {
		hop_fail(h, CLIENT_BROKEN, "its answer is compressed, which was not asked for");
		return false;
	}
	return true;
}

/* Hands bytes to the caller's thread. False: it has enough for now. */
static bool pass_on(struct client_hop *h, str bytes)
{
	struct client_group *g = h->group;
	LOCKED(&g->lock);

	if (h->pending.n > 0 && h->pending.n + bytes.n > CLIENT_TAKE_BYTES) {
		h->paused = true;
		return false;
	}
	h->pending.max = SIZE_MAX;
	buf_add(&h->pending, bytes);
	list_del(&h->ready);
	list_add_tail(&g->ready, &h->ready);
	cond_signal(&g->cond);
	return true;
}

static size_t enough(struct client_hop *h)
{
	h->is_enough = true;
	return STOP_HERE;
}

/* What the caller collects. */
static size_t collect(struct client_hop *h, str bytes)
{
	buf_add(&h->body, str_head(bytes, MIN(bytes.n, h->body.max - h->body.n)));
	return h->call->take && h->body.n == h->body.max ? enough(h) : bytes.n;
}

size_t hop_take_body(char *p, size_t size, size_t n, void *hop)
{
	struct client_hop *h = hop;
	const str bytes = { p, size * n };
	const bool passes = h->call->take != NULL;

	if (!h->has_body && !begin_body(h))
		return STOP_HERE;
	if (hop_is_redirect(h))
		return enough(h);
	if (passes && !is_success(h))
		return collect(h, bytes);
	if (bytes.n > h->call->max_bytes - h->body_bytes && !too_large(h))
		return STOP_HERE;
	if (passes && !pass_on(h, bytes))
		return CURL_WRITEFUNC_PAUSE; /* the same bytes come again */
	h->body_bytes += bytes.n;
	return passes ? bytes.n : collect(h, bytes);
}
