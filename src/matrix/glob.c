/*
 * Globs come from users and from other servers' room state, and are matched against text that others choose. Trying
 * again from the last `*` takes pattern times text then; so all positions in the pattern are followed at once, as bits
 * of an array ("shift-and"): one pass over the text, a few words of work a byte.
 *
 * State i means: the tokens before i (literals and `?`) have matched. A `*` before token i lets state i stay on any
 * byte; after a `?` the state stays on the continuation bytes of the character that the `?` took.
 */
#include "matrix/glob.h"

#define BITS      64
#define MAX_WORDS ((GLOB_MAX + BITS) / BITS)

struct glob {
	bool exact;                     /* letters of the other case do not match */
	size_t n, words;                /* tokens, words of a set of states 0..n */
	uint8_t literal[GLOB_MAX + 1];  /* token's byte, folded */
	uint64_t any[MAX_WORDS];        /* states whose token is `?` */
	uint64_t stay[MAX_WORDS];       /* states before which stands a `*` */
	uint64_t inside[MAX_WORDS];     /* states after a `?` */
	bool known[256];                /* is takes[] made for this byte? */
	uint64_t takes[256][MAX_WORDS]; /* states whose token takes the byte: made when first met */
};

static void set(uint64_t *states, size_t i) { states[i / BITS] |= UINT64_C(1) << (i % BITS); }
static bool has(const uint64_t *states, size_t i) { return states[i / BITS] >> (i % BITS) & 1; }
static uint8_t fold(char c) { return (uint8_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c); }
static uint8_t token(const struct glob *g, char c) { return g->exact ? (uint8_t)c : fold(c); }
static bool is_continuation(char c) { return ((uint8_t)c & 0xc0) == 0x80; }
static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* False when the pattern is too long. */
static bool compile(struct glob *g, str pattern, bool exact)
{
	g->n = 0;
	g->exact = exact;
	memset(g->any, 0, sizeof(g->any));
	memset(g->stay, 0, sizeof(g->stay));
	memset(g->inside, 0, sizeof(g->inside));
	memset(g->known, 0, sizeof(g->known));
	for (size_t i = 0; i < pattern.n; i++) {
		const char c = pattern.p[i];

		if (c == '*') {
			set(g->stay, g->n);
			continue;
		}
		if (g->n == GLOB_MAX)
			return false;
		g->literal[g->n] = token(g, c);
		if (c == '?' && !exact) {
			set(g->any, g->n);
			set(g->inside, g->n + 1);
		}
		g->n++;
	}
	g->words = g->n / BITS + 1;
	return true;
}

static const uint64_t *takes(struct glob *g, char c)
{
	const uint8_t byte = token(g, c);
	uint64_t *states = g->takes[byte];

	if (g->known[byte])
		return states;
	memset(states, 0, g->words * sizeof(*states));
	for (size_t i = 0; i < g->n; i++)
		if (has(g->any, i) ? !is_continuation(c) : g->literal[i] == byte)
			set(states, i);
	g->known[byte] = true;
	return states;
}

/* All states one byte further. */
static void step(struct glob *g, uint64_t *states, char c)
{
	const uint64_t *takers = takes(g, c);
	const uint64_t inside = is_continuation(c) ? UINT64_MAX : 0;
	uint64_t carry = 0;

	for (size_t w = 0; w < g->words; w++) {
		const uint64_t moved = states[w] & takers[w];
		const uint64_t stayed = states[w] & (g->stay[w] | (g->inside[w] & inside));

		states[w] = moved << 1 | carry | stayed;
		carry = moved >> (BITS - 1);
	}
}

static bool match(str pattern, str text, bool words, bool exact)
{
	struct glob g;
	uint64_t states[MAX_WORDS] = { 0 };

	if (!compile(&g, pattern, exact))
		return false;
	for (size_t i = 0; i <= text.n; i++) {
		const bool boundary_before = i == 0 || !is_word(text.p[i - 1]);
		const bool boundary_after = i == text.n || !is_word(text.p[i]);

		if (i == 0 || (words && boundary_before && !(i < text.n && is_continuation(text.p[i]))))
			set(states, 0);
		if (has(states, g.n) && (words ? boundary_after : i == text.n))
			return true;
		if (i < text.n)
			step(&g, states, text.p[i]);
	}
	return false;
}

/* Is `needle` (not empty) in the text, between boundaries? At each end of it, `both`: the two characters must not both be of
 * words; else: the one outside must not. */
static bool has_literal(str text, str needle, bool both)
{
	const uint8_t first = fold(needle.p[0]);

	for (size_t i = 0; i + needle.n <= text.n; i++) {
		const size_t end = i + needle.n;

		if (fold(text.p[i]) != first)
			continue;
		if (i > 0 && is_word(text.p[i - 1]) && !(both && !is_word(text.p[i])))
			continue;
		if (end < text.n && is_word(text.p[end]) && !(both && !is_word(text.p[end - 1])))
			continue;
		if (str_eq_nocase((str){ text.p + i, needle.n }, needle))
			return true;
	}
	return false;
}

static bool is_literal(str pattern) { return pattern.n > 0 && pattern.n <= GLOB_MAX && !glob_is_wild(pattern); }

bool glob_is_wild(str pattern) { return str_find(pattern, '*') < pattern.n || str_find(pattern, '?') < pattern.n; }

bool glob_match(str pattern, str text)
{
	return is_literal(pattern) ? str_eq_nocase(pattern, text) : match(pattern, text, false, false);
}

bool glob_match_exact(str pattern, str text) { return match(pattern, text, false, true); }

bool glob_match_word(str pattern, str text)
{
	return is_literal(pattern) ? has_literal(text, pattern, false) : match(pattern, text, true, false);
}

bool glob_has_words(str text, str name) { return name.n > 0 && has_literal(text, name, true); }
