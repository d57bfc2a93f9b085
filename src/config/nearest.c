/* nearest.c - "did you mean": the known key with the smallest edit distance. */
#include "config/internal_options.h"

enum { LONGEST = 80 };

/* Insertions, deletions, replacements and swaps of neighbours that turn x into y. */
static size_t distance(str x, str y)
{
	size_t rows[3][LONGEST + 1];
	size_t *before = rows[0], *last = rows[1], *now = rows[2];

	if (x.n > LONGEST || y.n > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= y.n; j++)
		last[j] = j;
	for (size_t i = 1; i <= x.n; i++) {
		size_t *spare = before;

		now[0] = i;
		for (size_t j = 1; j <= y.n; j++) {
			const size_t cost = x.p[i - 1] == y.p[j - 1] ? 0 : 1;

			now[j] = MIN(MIN(last[j] + 1, now[j - 1] + 1), last[j - 1] + cost);
			if (i > 1 && j > 1 && x.p[i - 1] == y.p[j - 2] && x.p[i - 2] == y.p[j - 1])
				now[j] = MIN(now[j], before[j - 2] + 1);
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[y.n];
}

str nearest_key(const struct option *table, size_t n, str path)
{
	size_t best = LONGEST;
	str found = STR_NONE;

	for (size_t i = 0; i < n; i++) {
		/* Both the whole name and what stands before its first '.' may be meant. */
		const str whole = str_c(table[i].path);
		const str names[] = { whole, str_head(whole, str_find(whole, '.')) };

		for (size_t k = 0; k < ARRAY_LEN(names); k++) {
			const size_t d = distance(path, names[k]);

			if (d < best) {
				best = d;
				found = names[k];
			}
		}
	}
	return best <= MAX((size_t)2, path.n / 3) && 2 * best <= path.n ? found : STR_NONE;
}
