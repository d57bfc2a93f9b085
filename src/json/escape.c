/*
 * escape.c - strings as canonical JSON writes them: the shortest form.
 *
 * https://spec.matrix.org/latest/appendices/#grammar: escapes are \b \t \n \f \r \" \\ and, for the other control
 * characters below U+0020, \u00xx in lower case. Everything else, U+007F and '/' included, stands for itself.
 */
#include <assert.h>

#include "base/utf8.h"
#include "json/internal_json.h"

static const char short_escape[0x20] = { ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r' };

/* What stands for the special byte at p: its bytes (in `out`), and how many bytes of the text it covers. */
static str escape_one(const char *p, const char *end, char out[8], size_t *covers)
{
	const unsigned char c = (unsigned char)*p;

	*covers = 1;
	if (c >= 0x80) {
		const size_t len = utf8_sequence((str){ p, (size_t)(end - p) });

		if (len == 0)
			return S("\xef\xbf\xbd");
		*covers = len;
		return (str){ p, len };
	}
	out[0] = '\\';
	if (c == '"' || c == '\\' || short_escape[c]) {
		out[1] = c < 0x20 ? short_escape[c] : (char)c;
		return (str){ out, 2 };
	}
	memcpy(out + 1, "u00", 3);
	out[4] = (char)('0' + (c >> 4));
	out[5] = "0123456789abcdef"[c & 15];
	return (str){ out, 6 };
}

size_t json_written_str_size(str s)
{
	const char *p = s.p, *const end = s.p + s.n;
	size_t n = s.n + 2, covers;
	char text[8];

	while ((p = json_first_special(p, end)) < end) {
		n += escape_one(p, end, text, &covers).n;
		n -= covers;
		p += covers;
	}
	return n;
}

char *json_put_str(char *o, const char *limit, str s)
{
	const char *p = s.p, *const end = s.p + s.n, *special = json_first_special(p, end);

	/* The usual string has nothing special: that is known before it is written. */
	assert((size_t)(limit - o) >= (special == end ? s.n + 2 : json_written_str_size(s)));
	*o++ = '"';
	while (p < end) {
		char text[8];
		size_t covers;
		str one;

		memcpy(o, p, (size_t)(special - p));
		o += special - p;
		p = special;
		/* What is special comes in runs: text of another script. */
		while (p < end && json_is_special(*p)) {
			one = escape_one(p, end, text, &covers);
			memcpy(o, one.p, one.n);
			o += one.n;
			p += covers;
		}
		special = json_first_special(p, end);
	}
	*o++ = '"';
	return o;
}

void json_write_str(struct buf *out, str s)
{
	const size_t n = json_first_special(s.p, s.p + s.n) == s.p + s.n ? s.n + 2 : json_written_str_size(s);
	char *o = buf_reserve(out, n);

	if (o)
		buf_commit(out, (size_t)(json_put_str(o, o + n, s) - o));
}
