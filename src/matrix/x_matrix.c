/*
 * x_matrix.c - reading and writing Authorization headers of the scheme X-Matrix.
 *
 * What is written keeps to the narrow form that the oldest servers read; what is read is the grammar of RFC 9110,
 * section 11.4, and colons outside of quotes, as the oldest servers write them.
 */
#include "matrix/x_matrix.h"

#include "base/b64.h"
#include "matrix/id.h"

/* RFC 9110, 5.6.2: tchar. "the recipient should allow colons to be included in values without requiring the value to be
 * enclosed in quotes." */
static bool is_token(char c, bool value)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c)) || (value && c == ':');
}

struct cursor {
	str rest;
	bool bad;
};

static char peek(const struct cursor *c) { return c->rest.n > 0 ? c->rest.p[0] : '\0'; }

static void skip_blanks(struct cursor *c)
{
	while (peek(c) == ' ' || peek(c) == '\t')
		c->rest = str_from(c->rest, 1);
}

static bool take(struct cursor *c, char wanted)
{
	if (c->rest.n == 0 || c->rest.p[0] != wanted)
		return false;
	c->rest = str_from(c->rest, 1);
	return true;
}

static str take_token(struct cursor *c, bool value)
{
	size_t n = 0;
	str token;

	while (n < c->rest.n && is_token(c->rest.p[n], value))
		n++;
	token = str_head(c->rest, n);
	c->rest = str_from(c->rest, n);
	c->bad |= n == 0;
	return token;
}

/* "a backslash-character pair is replaced by the character that follows the backslash." The opening quote is taken. */
static str take_quoted(struct cursor *c, struct arena *a)
{
	char *text = arena_alloc(a, c->rest.n + 1);
	size_t n = 0;

	while (!take(c, '"')) {
		(void)take(c, '\\');
		c->bad |= c->rest.n == 0;
		if (c->bad)
			break;
		text[n++] = c->rest.p[0];
		c->rest = str_from(c->rest, 1);
	}
	return (str){ text, n };
}

static void set_once(struct cursor *c, str *field, str value)
{
	c->bad |= !str_is_none(*field);
	*field = value;
}

/* name=value. "The names are case insensitive [...] Unknown parameters are ignored." */
static void take_parameter(struct cursor *c, struct arena *a, struct x_matrix *out)
{
	const str name = take_token(c, false);
	str value;

	skip_blanks(c);
	c->bad |= !take(c, '=');
	skip_blanks(c);
	value = take(c, '"') ? take_quoted(c, a) : take_token(c, true);
	if (str_eq_nocase(name, S("origin")))
		set_once(c, &out->origin, value);
	else if (str_eq_nocase(name, S("destination")))
		set_once(c, &out->destination, value);
	else if (str_eq_nocase(name, S("key")))
		set_once(c, &out->key_id, value);
	else if (str_eq_nocase(name, S("sig")))
		set_once(c, &out->signature, value);
}

/* RFC 9110, 5.6.1: blanks around commas, and empty elements, which the recipient passes over. */
static void take_list(struct cursor *c, struct arena *a, struct x_matrix *out)
{
	for (;;) {
		skip_blanks(c);
		while (take(c, ','))
			skip_blanks(c);
		if (c->rest.n == 0 || c->bad)
			return;
		take_parameter(c, a, out);
		skip_blanks(c);
		c->bad |= c->rest.n > 0 && peek(c) != ',';
	}
}

bool x_matrix_parse(struct arena *a, str header, struct x_matrix *out)
{
	struct x_matrix x = { .origin = STR_NONE, .destination = STR_NONE, .key_id = STR_NONE, .signature = STR_NONE };
	struct cursor c = { .rest = header };

	if (!str_starts_nocase(header, S("X-Matrix ")))
		return false;
	c.rest = str_from(header, S("X-Matrix").n);
	take_list(&c, a, &x);
	if (c.bad || str_is_none(x.key_id) || str_is_none(x.signature) || !id_server_name_valid(x.origin) ||
	    (!str_is_none(x.destination) && !id_server_name_valid(x.destination)))
		return false;
	*out = x;
	return true;
}

err *x_matrix_bytes(struct arena *a, const struct x_matrix_request *rq, str *out)
{
	struct json *o = json_new_object(a);

	json_set(a, o, S("method"), json_new_str(a, rq->method));
	json_set(a, o, S("uri"), json_new_str(a, rq->uri));
	json_set(a, o, S("origin"), json_new_str(a, rq->origin));
	json_set(a, o, S("destination"), json_new_str(a, rq->destination));
	if (rq->content)
		json_set(a, o, S("content"), rq->content);
	return sign_bytes(a, o, out);
}

err *x_matrix_write(struct arena *a, const struct x_matrix_request *rq, const struct signer *by, str *out)
{
	uint8_t signature[64];
	str bytes;

	TRY(x_matrix_bytes(a, rq, &bytes));
	ed25519_sign(by->key, bytes, signature);
	*out = arena_printf(a, "X-Matrix origin=\"%.*s\",destination=\"%.*s\",key=\"%.*s\",sig=\"%.*s\"",
			    STR_ARG(rq->origin), STR_ARG(rq->destination), STR_ARG(by->key_id),
			    STR_ARG(b64_encode(a, (str){ (const char *)signature, sizeof(signature) })));
	return NULL;
}
