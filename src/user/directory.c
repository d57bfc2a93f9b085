/*
 * directory.c - finding users by what they are called.
 *
 * Each user has a row per word of their user id and display name, folded to lower case. A search cuts its term the same
 * way; every word of it must begin one of the user's. So "ali won" finds Alice Wonderland, by an index and in any order
 * of words. CJK and other scripts without spaces are cut into characters, so that any part of a name is found.
 */
#include "base/utf8.h"
#include "matrix/id.h"
#include "store/profiles.h"
#include "user/internal_directory.h"
#include "user/internal_users.h"

#include <stdlib.h>

enum { WORDS_MAX = 32, WORD_BYTES = 128, CANDIDATES_MAX = 2000, RESULTS_MAX = 50 };

struct words {
	str p[WORDS_MAX];
	size_t n;
};

static bool is_separator(uint32_t c)
{
	return c <= ' ' ||
	       (c < 0x80 && !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) ||
	       (c >= 0x2000 && c <= 0x206f) || c == 0xa0 || c == 0x3000;
}

/* Scripts that are written without spaces: each character is a word. */
static bool stands_alone(uint32_t c)
{
	return (c >= 0x3040 && c <= 0x30ff) || (c >= 0x3400 && c <= 0x9fff) || (c >= 0x0e00 && c <= 0x0eff) ||
	       c >= 0x20000;
}

static void add_word(struct words *w, str word)
{
	for (size_t i = 0; i < w->n; i++)
		if (str_eq(w->p[i], word))
			return;
	if (word.n > 0 && w->n < WORDS_MAX)
		w->p[w->n++] = word;
}

static void cut_words(struct arena *a, str text, struct words *w)
{
	char *p = arena_alloc(a, 4 * text.n + 1); /* no fold is longer than four bytes */
	size_t n = 0;

	while (text.n) {
		const uint32_t c = utf8_fold(utf8_next(&text));

		if (is_separator(c) || stands_alone(c)) {
			add_word(w, utf8_cut((str){ p, n }, WORD_BYTES));
			p += n;
			n = 0;
		}
		if (is_separator(c))
			continue;
		n += utf8_put(p + n, c);
		if (stands_alone(c)) {
			add_word(w, (str){ p, n });
			p += n;
			n = 0;
		}
	}
	add_word(w, utf8_cut((str){ p, n }, WORD_BYTES));
}

err *directory_index(struct tx *tx, struct arena *a, int64_t user, str user_id, str displayname)
{
	struct words w = { .n = 0 };

	add_word(&w, account_fold(a, user_id)); /* the whole id, as it is typed or pasted */
	cut_words(a, id_localpart(user_id), &w);
	if (!str_is_none(displayname))
		cut_words(a, displayname, &w);
	return store_user_words_set(tx, user, w.p, w.n);
}

static int longest_first(const void *x, const void *y)
{
	const size_t p = ((const str *)x)->n, q = ((const str *)y)->n;

	return (p < q) - (p > q);
}

/* Users each of whose words in the term begins one of theirs. Begun with the longest word, for that leaves the fewest;
 * where even those are too many, *out_cut says that not all were looked at. */
static err *candidates(struct tx *tx, struct arena *a, str term, int64_t **out, size_t *out_n, bool *out_cut)
{
	struct words w = { .n = 0 };

	*out_n = 0;
	*out_cut = false;
	if (str_starts(term, S("@")) && str_find(term, ':') < term.n)
		add_word(&w, account_fold(a, term));
	else
		cut_words(a, term, &w);
	if (!w.n)
		return NULL;
	qsort(w.p, w.n, sizeof(w.p[0]), longest_first);
	TRY(store_users_by_word(tx, w.p[0], CANDIDATES_MAX, out, out_n));
	*out_cut = *out_n == CANDIDATES_MAX;
	for (size_t i = 1; i < w.n && *out_n; i++)
		TRY(store_users_with_word(tx, w.p[i], *out, *out_n, out, out_n));
	return NULL;
}

static err *write_result(struct users *us, struct tx *tx, struct arena *a, int64_t user, struct jw *w)
{
	str id, name, avatar;

	TRY(store_intern_text(us->opt.store, a, user, &id));
	TRY(store_profile_field(tx, user, S("displayname"), &name));
	TRY(store_profile_field(tx, user, S("avatar_url"), &avatar));
	jw_object(w, NULL);
	jw_str(w, "user_id", id);
	if (!str_is_none(name))
		jw_raw(w, "display_name", name);
	if (!str_is_none(avatar))
		jw_raw(w, "avatar_url", avatar);
	jw_end(w);
	return NULL;
}

err *user_directory_search(struct users *us, struct arena *a, const struct directory_search *s, struct jw *w)
{
	const size_t limit = (size_t)MIN(MAX(s->limit, 0), RESULTS_MAX);
	AUTO_TX tx = NULL;
	int64_t *users = NULL;
	size_t n, written = 0;
	bool cut;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(candidates(tx, a, s->term, &users, &n, &cut));
	if (!s->everybody && n)
		TRY(store_users_visible(tx, s->viewer, users, n, &users, &n));
	jw_array(w, "results");
	for (size_t i = 0; i < n && written <= limit; i++) {
		if (users[i] == s->viewer)
			continue;
		if (written++ < limit)
			TRY(write_result(us, tx, a, users[i], w));
	}
	jw_end(w);
	jw_bool(w, "limited", cut || written > limit);
	return NULL;
}
