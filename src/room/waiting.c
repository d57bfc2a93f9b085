/* waiting.c - see waiting.h. */
#include "room/waiting.h"

#include <assert.h>

void waiting_init(struct waiting *w)
{
	lock_init(&w->lock, RANK_SERVICE);
	for (size_t i = 0; i < WAITING_PLACES; i++)
		w->names[i] = STR_NONE;
}

void waiting_done(struct waiting *w) { lock_done(&w->lock); }

bool waiting_begin(struct waiting *w, const struct waiting_bounds *b, str name, size_t *out_place)
{
	size_t n = 0, place = WAITING_PLACES;

	assert(b->to <= WAITING_PLACES && !str_is_none(name));
	LOCKED(&w->lock);
	for (size_t i = b->from; i < b->to; i++) {
		n += str_eq(w->names[i], name);
		if (str_is_none(w->names[i]))
			place = i;
	}
	if (place == WAITING_PLACES || n >= b->of_one)
		return false;
	w->names[place] = name;
	*out_place = place;
	return true;
}

void waiting_end(struct waiting *w, size_t place)
{
	LOCKED(&w->lock);
	w->names[place] = STR_NONE;
}
