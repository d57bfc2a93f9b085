/*
 * preview_charset.c - the encodings of the web, and no others.
 *
 * iconv knows encodings that nobody uses and whose converters nobody looks at, and the page says which one runs: so it
 * is only ever given a name out of this table, which holds what browsers know (WHATWG's Encoding Standard). "latin1" is
 * windows-1252 there and here: that is what people meant.
 */
#include "media/preview_charset.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <errno.h>
#include <iconv.h>

static const struct {
	str label;
	const char *name; /* iconv's; NULL: UTF-8 */
} charsets[] = {
	{ STR("utf-8"), NULL },
	{ STR("utf8"), NULL },
	{ STR("windows-1252"), "CP1252" },
	{ STR("iso-8859-1"), "CP1252" },
	{ STR("iso8859-1"), "CP1252" },
	{ STR("latin1"), "CP1252" },
	{ STR("ascii"), "CP1252" },
	{ STR("us-ascii"), "CP1252" },
	{ STR("cp1252"), "CP1252" },
	{ STR("iso-8859-2"), "ISO-8859-2" },
	{ STR("latin2"), "ISO-8859-2" },
	{ STR("iso-8859-3"), "ISO-8859-3" },
	{ STR("iso-8859-4"), "ISO-8859-4" },
	{ STR("iso-8859-5"), "ISO-8859-5" },
	{ STR("iso-8859-6"), "ISO-8859-6" },
	{ STR("iso-8859-7"), "ISO-8859-7" },
	{ STR("iso-8859-8"), "ISO-8859-8" },
	{ STR("iso-8859-9"), "CP1254" },
	{ STR("iso-8859-10"), "ISO-8859-10" },
	{ STR("iso-8859-11"), "CP874" },
	{ STR("iso-8859-13"), "ISO-8859-13" },
	{ STR("iso-8859-14"), "ISO-8859-14" },
	{ STR("iso-8859-15"), "ISO-8859-15" },
	{ STR("latin-9"), "ISO-8859-15" },
	{ STR("iso-8859-16"), "ISO-8859-16" },
	{ STR("windows-1250"), "CP1250" },
	{ STR("cp1250"), "CP1250" },
	{ STR("windows-1251"), "CP1251" },
	{ STR("cp1251"), "CP1251" },
	{ STR("windows-1253"), "CP1253" },
	{ STR("windows-1254"), "CP1254" },
	{ STR("windows-1255"), "CP1255" },
	{ STR("windows-1256"), "CP1256" },
	{ STR("windows-1257"), "CP1257" },
	{ STR("windows-1258"), "CP1258" },
	{ STR("windows-874"), "CP874" },
	{ STR("tis-620"), "CP874" },
	{ STR("koi8-r"), "KOI8-R" },
	{ STR("koi8-u"), "KOI8-U" },
	{ STR("ibm866"), "IBM866" },
	{ STR("macintosh"), "MACINTOSH" },
	{ STR("shift_jis"), "CP932" },
	{ STR("shift-jis"), "CP932" },
	{ STR("sjis"), "CP932" },
	{ STR("x-sjis"), "CP932" },
	{ STR("windows-31j"), "CP932" },
	{ STR("euc-jp"), "EUC-JP" },
	{ STR("iso-2022-jp"), "ISO-2022-JP" },
	{ STR("euc-kr"), "UHC" },
	{ STR("ks_c_5601-1987"), "UHC" },
	{ STR("windows-949"), "UHC" },
	{ STR("gb2312"), "GB18030" },
	{ STR("gbk"), "GB18030" },
	{ STR("gb18030"), "GB18030" },
	{ STR("big5"), "BIG5-HKSCS" },
	{ STR("big5-hkscs"), "BIG5-HKSCS" },
	{ STR("utf-16"), "UTF-16LE" },
	{ STR("utf-16le"), "UTF-16LE" },
	{ STR("utf-16be"), "UTF-16BE" },
};

enum { PRESCAN = 1024, LONG = 4096 };
#define REPLACEMENT S("\xef\xbf\xbd")

/* In the table? */
static bool find_charset(str label, const char **out)
{
	label = str_trim(label);
	for (size_t i = 0; i < ARRAY_LEN(charsets); i++) {
		if (!str_eq_nocase(label, charsets[i].label))
			continue;
		*out = charsets[i].name;
		return true;
	}
	return false;
}

static bool starts_at(str s, size_t at, str word) { return str_starts_nocase(str_from(s, at), word); }

/* The value behind `word` and "=" in s, without its quotes; STR_NONE: none. */
static str value_after(str s, str word)
{
	for (size_t i = 0; i + word.n < s.n; i++) {
		str rest;
		size_t n = 0;

		if (!starts_at(s, i, word))
			continue;
		rest = str_trim(str_from(s, i + word.n));
		if (!str_starts(rest, S("=")))
			continue;
		rest = str_trim(str_from(rest, 1));
		if (rest.n > 0 && (rest.p[0] == '"' || rest.p[0] == '\''))
			return str_head(str_from(rest, 1), str_find(str_from(rest, 1), rest.p[0]));
		while (n < rest.n && !memchr(" \t\r\n;>\"'/", rest.p[n], 9))
			n++;
		return str_head(rest, n);
	}
	return STR_NONE;
}

/* What the page says of itself in its first bytes. What could be read until here is no UTF-16. */
static bool find_declared(str page, const char **out)
{
	const str head = str_head(page, MIN(page.n, (size_t)PRESCAN));

	if (str_starts(head, S("<?xml"))) {
		const str declaration = str_head(head, str_find(head, '>'));

		if (find_charset(value_after(declaration, S("encoding")), out))
			return true;
	}
	for (size_t i = 0; i < head.n; i++) {
		const str rest = str_from(head, i);

		if (!starts_at(head, i, S("<meta")) ||
		    !find_charset(value_after(str_head(rest, str_find(rest, '>')), S("charset")), out))
			continue;
		if (*out && str_starts(str_c(*out), S("UTF-16")))
			*out = NULL;
		return true;
	}
	return false;
}

/* A byte order mark is taken off. */
static bool take_mark(str *bytes, const char **out)
{
	static const struct {
		str mark;
		const char *name;
	} marks[] = { { STR("\xef\xbb\xbf"), NULL }, { STR("\xff\xfe"), "UTF-16LE" }, { STR("\xfe\xff"), "UTF-16BE" } };

	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		if (!str_starts(*bytes, marks[i].mark))
			continue;
		*bytes = str_from(*bytes, marks[i].mark.n);
		*out = marks[i].name;
		return true;
	}
	return false;
}

/* A long page may have been cut off in the middle of a character. */
static bool is_utf8(str bytes)
{
	const size_t most = bytes.n > LONG ? 3 : 0;

	for (size_t cut = 0; cut <= most; cut++) {
		if (utf8_valid(str_head(bytes, bytes.n - cut)))
			return true;
	}
	return false;
}

static void choose(str *bytes, str content_type, const char **out)
{
	if (take_mark(bytes, out) || find_charset(value_after(content_type, S("charset")), out) ||
	    find_declared(*bytes, out))
		return;
	*out = is_utf8(*bytes) ? NULL : "CP1252";
}

static void add_utf8(struct buf *out, str s)
{
	while (s.n > 0) {
		const size_t n = s.p[0] ? utf8_sequence(s) : 0;

		if (n > 0)
			buf_add(out, str_head(s, n));
		else
			buf_add(out, s.p[0] ? REPLACEMENT : S(" "));
		s = str_from(s, MAX(n, 1));
	}
}

static void convert(struct buf *out, iconv_t cd, str s)
{
	char *in = (char *)s.p, piece[4096];
	size_t left = s.n;

	while (left > 0) {
		char *to = piece;
		size_t room = sizeof(piece);
		const size_t rc = iconv(cd, &in, &left, &to, &room);

		add_utf8(out, (str){ piece, sizeof(piece) - room });
		if (rc != (size_t)-1 || errno == E2BIG)
			continue;
		buf_add(out, REPLACEMENT);
		if (errno != EILSEQ)
			return; /* the last character is cut off */
		in++;
		left--;
	}
}

str preview_utf8(struct arena *a, str bytes, str content_type)
{
	AUTO_BUF out = BUF_INIT(bytes.n * 4 + 16);
	const char *name = NULL;
	iconv_t cd;

	choose(&bytes, content_type, &name);
	cd = name ? iconv_open("UTF-8", name) : (iconv_t)-1;
	if (cd == (iconv_t)-1) {
		add_utf8(&out, bytes);
	} else {
		convert(&out, cd, bytes);
		iconv_close(cd);
	}
	return arena_keep(a, buf_str(&out));
}
