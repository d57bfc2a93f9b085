/* vectors.h - reading tests/vectors/events.json. */
#pragma once

#include "matrix/fixture.h"

/* A row's event with the hash and the signature that stand beside it. */
static inline struct json *vector_event(const struct json *row)
{
	const struct json *source = json_get(row, S("event"));
	struct json *hashes = json_new_object(A), *ours = json_new_object(A), *signatures = json_new_object(A);
	struct json *event = source->kind == JSON_STR ? parse(arena_cstr(A, source->s)) : json_copy(A, source);

	json_set(A, hashes, S("sha256"), json_get(row, S("sha256")));
	json_set(A, event, S("hashes"), hashes);
	json_set(A, ours, S("ed25519:1"), json_get(row, S("signature")));
	json_set(A, signatures, S("domain"), ours);
	json_set(A, event, S("signatures"), signatures);
	return event;
}
