/* glob.h - glob-style matching (appendix "Glob-style matching"): `*` is any number of characters, `?` exactly one.
 * Letters match in either case (utf8_fold). Time grows with the text alone, whatever the pattern. */
#pragma once

#include "base/str.h"

/* A pattern may hold this many characters beside its `*`; a longer one matches nothing (nor could it, in shorter
 * texts). */
enum { GLOB_MAX = 1023 };

/* Is it more than a text? Matching one that is takes some ten nanoseconds a byte for each 64 characters of the pattern.
 */
bool glob_is_wild(str pattern);
/* Does the whole text match? Both must be valid UTF-8. */
bool glob_match(str pattern, str text);
/* The same with the case of letters, and `?` stands for itself: event types in filters. */
bool glob_match_exact(str pattern, str text);
/* Does some part of the text match that begins and ends at a word boundary: the text's ends, or any character not in
 * [A-Za-z0-9_]? Push rules on content.body. */
bool glob_match_word(str pattern, str text);
/* Does the text hold this name (no pattern, at most GLOB_MAX bytes) between word boundaries, letters in either case? */
bool glob_has_words(str text, str name);
