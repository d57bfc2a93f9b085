/*
 * id.h - the grammars of identifiers (appendix "Identifier Grammar").
 *
 * Nothing here allocates: the parts of an identifier are slices of it. Two grammars exist for users: the historical
 * one, which every event must be accepted with, and the strict one, for accounts that are made today.
 */
#pragma once

#include "matrix/room_version.h"

enum { ID_MAX = 255 }; /* bytes: users, rooms, aliases, event ids, types, state keys */

/* Server names: hostname or IP literal, with or without a port. */
bool id_server_name_valid(str name);
/* Its parts: a hostname, an IPv4 address, or an IPv6 address in its brackets; the port (any number of five digits), or
 * -1 where there is none. False: no server's name. */
bool id_server_name_split(str name, str *out_host, int *out_port);
/* "four decimal numbers in the range 0 to 255, separated by `.`" (a host without port). */
bool id_is_ipv4(str host);

/* "@localpart:server", localpart of any characters but ':' and NUL, even none ("Historical User IDs"). */
bool id_user_valid(str id);
/* What new accounts may be called: [a-z0-9._=/+-]+ (the length is checked for the whole id). */
bool id_localpart_strict(str localpart);
/* Historical ids outside U+0021..U+007E, or without localpart, are not shown outside of events. */
bool id_user_compliant(str id);

/* "!opaque:server", or "!" and a hash as room version 12 has it. */
bool id_room_valid(str id);
/* The one of them that the version's rooms have. */
bool id_room_fits(str id, const struct room_version *rv);
/* "#alias:server". */
bool id_alias_valid(str id);
/* "$opaque", of any room version. */
bool id_event_valid(str id);
/* "$opaque:server", as room versions 1 and 2 have it. */
bool id_event_named_valid(str id);
/* As the version's "Event IDs" has it: "$opaque_id:domain", or "$" and the reference hash in one of two alphabets. */
bool id_event_fits(str id, const struct room_version *rv);

/* The server's name: what follows the first ':'; STR_NONE where there is none (room ids of version 12). */
str id_server(str id);
/* What stands between the sigil and the first ':' (or the end). `id` must not be empty. */
str id_localpart(str id);
/* Is the id of this server? */
bool id_is_of(str id, str server_name);

/* "Opaque Identifier Grammar": 1 to 255 of [0-9A-Za-z._~-]: media ids, session ids, device ids we make. */
bool id_opaque_valid(str id);
/* "Common Namespaced Identifier Grammar": [a-z][a-z0-9._-]*, at most 255. */
bool id_namespaced_valid(str id);
