/* utf8.h - strict UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once

#include "base/str.h"

bool utf8_valid(str s);
/* Bytes (1 to 4) of the well-formed character at the front of s; 0 when there is none. */
size_t utf8_sequence(str s);
/* Takes one code point off the front of *s, which must be valid UTF-8 and not empty. */
uint32_t utf8_next(str *s);
/* Writes a code point; the number of bytes (1 to 4). */
size_t utf8_put(char out[4], uint32_t cp);
/* The longest head of s with at most n bytes that does not end inside a character. */
str utf8_cut(str s, size_t n);
/* The lower case of a letter, where the script has cases and the pair is simple (Latin, Greek, Cyrillic, Armenian); any
 * other code point as it is. Takes as many bytes as the letter itself. */
uint32_t utf8_fold(uint32_t cp);
