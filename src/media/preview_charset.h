/* preview_charset.h - pages are in any encoding; from here on they are UTF-8. */
#pragma once

#include "base/arena.h"

/*
 * The text as UTF-8. What it is encoded in is told by a byte order mark, else by content_type (the header's value, or
 * STR_NONE), else by the page itself (<meta>, <?xml ?>), else it is UTF-8 where it can be, and windows-1252 where it
 * cannot. What means nothing becomes U+FFFD, a NUL a space.
 */
str preview_utf8(struct arena *a, str bytes, str content_type);
