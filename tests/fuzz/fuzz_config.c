/* Configurations: any text gives settings, or says why not. */
#include "config/config.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_ARENA a = arena_new();
	struct config_notes notes = { 0 };
	const str text = { size ? (const char *)data : "", size };
	const struct config *c = config_parse(a, S("f"), text, &notes);

	assert((c == NULL) == (notes.n_fatal > 0));
	return 0;
}
