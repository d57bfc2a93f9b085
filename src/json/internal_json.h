/* internal_json.h - what the files of json/ share. */
#pragma once

#include "json/json.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Objects with more members than this have an index, and look-ups in it are hashed under the process's secret key. */
#define JSON_INDEX_FROM 16

struct json_index;
struct json_index *json_index_build(struct arena *a, const struct json *object, bool *out_dup);

/* Writes a string with its quotes, with the fewest escapes (canonical JSON's grammar). Bytes that are no UTF-8 become
 * U+FFFD. */
void json_write_str(struct buf *out, str s);
/* How many bytes json_write_str writes. */
size_t json_written_str_size(str s);
/* The same at `o`, where there is room up to `limit` (asserted); gives the end of what was written. */
char *json_put_str(char *o, const char *limit, str s);
/* Writes a value without white space, keys in the order they have; values that have raw bytes as those. */
void json_write_tree(struct buf *out, const struct json *v);

/* The double nearest to a number's text, written in the fewest digits that read back as the same (Python's repr). Gives
 * the length, 0 when no finite double is near. number.c */
enum { JSON_DOUBLE_MAX = 32 };
size_t json_double_text(struct arena *a, str text, char out[JSON_DOUBLE_MAX]);

static inline bool json_is_special(char c) { return (signed char)c < 0x20 || c == '"' || c == '\\'; }

/*
 * The first byte of [p, end) that a string's text cannot simply pass over: a quote, a backslash, a control character,
 * or anything that is not ASCII; `end` when there is none. The hot loop of reading and writing.
 */
static inline const char *json_first_special(const char *p, const char *end)
{
#ifdef __SSE2__
	while (end - p >= 16) {
		const __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		/* Signed: bytes from 0x80 on are negative, and so are below 0x20, too. */
		const __m128i low = _mm_cmplt_epi8(v, _mm_set1_epi8(0x20));
		const __m128i quote = _mm_cmpeq_epi8(v, _mm_set1_epi8('"'));
		const __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('\\'));
		const unsigned hit = (unsigned)_mm_movemask_epi8(_mm_or_si128(low, _mm_or_si128(quote, slash)));

		if (hit)
			return p + __builtin_ctz(hit);
		p += 16;
	}
#endif
	for (; p < end; p++)
		if (json_is_special(*p))
			break;
	return p;
}
