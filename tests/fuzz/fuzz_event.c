/* Events from outside, in every room version: refused, or whole. */
#include "fuzz.h"
#include "matrix/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const str text = { size ? (const char *)data : "", size };

	for (size_t i = 0; room_version_at(i); i++) {
		AUTO_ARENA a = arena_new();
		struct event *ev, *again;
		str redacted;

		if (event_parse(a, room_version_at(i), text, &ev))
			continue;
		assert(ev->event_id.n > 0);
		if (!event_redact(a, room_version_at(i), ev, &redacted)) {
			err *e = event_load(a, room_version_at(i), ev->event_id, redacted, &again);

			assert(!e);
		}
	}
	return 0;
}
