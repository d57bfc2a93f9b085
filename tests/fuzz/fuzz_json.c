/* The JSON parser: whatever it takes, it writes in a form that it takes again, with the same value. */
#include "fuzz.h"
#include "json/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA a = arena_new();
	const str text = { size ? (const char *)data : "", size };
	struct json *value, *again;
	str canonical;

	if (json_parse(a, text, &json_limits_request, &value))
		return 0;
	if (json_canonical(a, value, false, &canonical))
		return 0;
	{
		err *e = json_parse(a, canonical, &json_limits_request, &again);

		assert(!e);
	}
	/* Of a key that stood twice, the last value is what counts, and all that the canonical form has. */
	{
		str twice;
		err *e = json_canonical(a, again, false, &twice);

		assert(!e && str_eq(canonical, twice));
	}
	if (!json_canonical(a, value, true, &canonical))
		assert(json_equal(value, again));
	return 0;
}
