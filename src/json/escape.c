/*
 * escape.c - strings as canonical JSON writes them: the shortest form.
 *
 * https://spec.matrix.org/latest/appendices/#grammar: escapes are \b \t \n \f \r \" \\ and, for the other control
 * characters below U+0020, \u00xx in lower case. Everything else, U+007F and '/' included, stands for itself.
 */
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

void json_write_str(struct buf *out, str s)
{
	const char *p = s.p, *const end = s.p + s.n;
	char *o = buf_reserve(out, s.n + 2);

	/* The usual string has nothing special: written at once. */
	if (o && json_first_special(p, end) == end) {
		o[0] = '"';
		if (s.n)
			memcpy(o + 1, p, s.n);
		o[s.n + 1] = '"';
		buf_commit(out, s.n + 2);
		return;
	}
	buf_byte(out, '"');
	while (p < end) {
		const char *special = json_first_special(p, end);
		char text[8];
		size_t covers;

		buf_add(out, (str){ p, (size_t)(special - p) });
		p = special;
		while (p < end && json_first_special(p, p + 1) == p) {
			buf_add(out, escape_one(p, end, text, &covers));
			p += covers;
		}
	}
	buf_byte(out, '"');
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
