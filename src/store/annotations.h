/* annotations.h - which annotations (m.annotation relations: reactions) an event has. */
#pragma once

#include "store/store.h"

struct annotation {
	int64_t target, sender, type; /* the annotated event; who annotates; the annotation's type */
	uint8_t digest[16];           /* of the annotation's key */
};
/* The annotation's key as a digest, whatever its length. */
void store_annotation_digest(str key, struct annotation *out);
bool store_annotation_same(const struct annotation *x, const struct annotation *y);
/* The event that is this annotation; 0: none. */
NODISCARD err *store_annotation_find(struct tx *tx, const struct annotation *an, int64_t *out_event);
/* Of two equal ones (from elsewhere) the newer counts. */
NODISCARD err *store_annotation_save(struct tx *tx, const struct annotation *an, int64_t event);
/* Unless it is another event's by now. */
NODISCARD err *store_annotation_drop(struct tx *tx, const struct annotation *an, int64_t event);
