/*
 * str.h - text as pointer and length.
 *
 * A str borrows: it never owns what it points at, may hold NUL bytes, and is passed by value. `char *` appears only at
 * libc's door. STR_NONE (a NULL pointer) is "absent", which is not the same as S("").
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NODISCARD    __attribute__((warn_unused_result))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))
#define CLEANUP(fn)  __attribute__((cleanup(fn)))
#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MAX(a, b)    ((a) > (b) ? (a) : (b))

typedef struct str {
	const char *p;
	size_t n;
} str;

/* clang-format off */
#define STR(lit)   { "" lit "", sizeof(lit) - 1 } /* in static initialisers */
#define S(lit)     ((str)STR(lit))                /* in expressions */
#define STR_NONE   ((str){ NULL, 0 })
#define STR_ARG(s) (int)(s).n, (s).p              /* for "%.*s" */
/* clang-format on */

static inline bool str_is_none(str s) { return s.p == NULL; }
static inline bool str_is_empty(str s) { return s.n == 0; } /* true for STR_NONE, too */
static inline bool str_eq(str a, str b) { return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0); }
static inline str str_c(const char *c) { return c ? (str){ c, strlen(c) } : STR_NONE; } /* from libc's door */
static inline bool str_starts(str s, str prefix) { return s.n >= prefix.n && str_eq((str){ s.p, prefix.n }, prefix); }
static inline bool str_ends(str s, str suffix)
{
	return s.n >= suffix.n && str_eq((str){ s.p + (s.n - suffix.n), suffix.n }, suffix);
}
/* The part of s from byte `from` (at most s.n) on. */
static inline str str_from(str s, size_t from) { return (str){ s.p + from, s.n - from }; }
/* The first n bytes of s (n at most s.n). */
static inline str str_head(str s, size_t n) { return (str){ s.p, n }; }

/* Byte order, shorter first among equal prefixes: the order of canonical JSON keys and of every sorted list here. */
int str_cmp(str a, str b);
/* ASCII case folded; bytes above 0x7f must be equal. */
bool str_eq_nocase(str a, str b);
bool str_starts_nocase(str s, str prefix);
/* Position of the first/last byte c, or s.n where there is none. */
size_t str_find(str s, char c);
size_t str_rfind(str s, char c);
/* Is `needle` somewhere in s? */
bool str_contains(str s, str needle);
/* White space (space, tab, CR, LF) taken off both ends. */
str str_trim(str s);
/* The whole of s as a decimal integer, optional '-', nothing else: false when it is not one or does not fit. */
bool str_to_i64(str s, int64_t *out);
bool str_to_u64(str s, uint64_t *out);
/* Takes the text up to the next `sep` off the front of *rest (which becomes STR_NONE after the last piece). False when
 * *rest is STR_NONE. */
bool str_split_next(str *rest, char sep, str *out_piece);
/* Constant in time for equal lengths: for secrets. */
bool str_eq_secret(str a, str b);
