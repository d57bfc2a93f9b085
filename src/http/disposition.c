/*
 * disposition.c - reading Content-Disposition as strangers write it.
 *
 * Parameters are names and tokens or quoted strings; "filename*" is UTF-8''percent-encoded (RFC 8187). A name is only
 * ever shown: whatever looks like a path is cut down to its last part.
 */
#include "http/disposition.h"

#include "base/buf.h"
#include "base/utf8.h"

enum { NAME_MAX_BYTES = 1024 };

/* A quoted string's text; *rest is what stands behind it. */
static str unquote(struct arena *a, str s, str *rest)
{
	AUTO_BUF b = BUF_INIT(4 * NAME_MAX_BYTES);
	size_t i = 1;

	for (; i < s.n && s.p[i] != '"'; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		buf_byte(&b, s.p[i]);
	}
	*rest = str_from(s, MIN(i + 1, s.n));
	return b.overflow ? STR_NONE : arena_keep(a, buf_str(&b));
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 32) >= 'a' && (c | 32) <= 'f')
		return (c | 32) - 'a' + 10;
	return -1;
}

/* UTF-8''na%C3%AFve */
static str decode(struct arena *a, str s)
{
	AUTO_BUF b = BUF_INIT(4 * NAME_MAX_BYTES);
	const size_t language = str_find(s, '\'');
	size_t i;

	if (language == s.n || !str_eq_nocase(str_head(s, language), S("utf-8")))
		return STR_NONE;
	i = language + 1 + str_find(str_from(s, language + 1), '\'') + 1;
	for (; i < s.n; i++) {
		const int hi = s.p[i] == '%' && i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
		const int lo = hi >= 0 ? hex_digit(s.p[i + 2]) : -1;

		buf_byte(&b, lo >= 0 ? (char)(hi * 16 + lo) : s.p[i]);
		i += lo >= 0 ? 2 : 0;
	}
	return b.overflow ? STR_NONE : arena_keep(a, buf_str(&b));
}

static str cleaned(str name)
{
	size_t slash = str_rfind(name, '/');

	if (slash < name.n)
		name = str_from(name, slash + 1);
	slash = str_rfind(name, '\\');
	if (slash < name.n)
		name = str_from(name, slash + 1);
	if (name.n == 0 || name.n > NAME_MAX_BYTES || !utf8_valid(name))
		return STR_NONE;
	for (size_t i = 0; i < name.n; i++)
		if ((unsigned char)name.p[i] < ' ' || name.p[i] == 127)
			return STR_NONE;
	return name;
}

str disposition_filename(struct arena *a, str header)
{
	str rest = str_from(header, str_find(header, ';')), plain = STR_NONE, extended = STR_NONE;

	while (rest.n > 1) {
		const str at = str_trim(str_from(rest, 1));
		const size_t equals = str_find(at, '=');
		str name, value;

		if (equals == at.n)
			break;
		name = str_trim(str_head(at, equals));
		value = str_trim(str_from(at, equals + 1));
		if (value.n && *value.p == '"') {
			value = unquote(a, value, &rest);
			rest = str_from(rest, str_find(rest, ';'));
		} else {
			rest = str_from(value, str_find(value, ';'));
			value = str_trim(str_head(value, value.n - rest.n));
		}
		if (str_eq_nocase(name, S("filename")))
			plain = value;
		else if (str_eq_nocase(name, S("filename*")))
			extended = decode(a, value);
	}
	extended = cleaned(extended);
	return str_is_none(extended) ? cleaned(plain) : extended;
}
