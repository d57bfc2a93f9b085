/*
 * at_time.c - see at_time.h.
 *
 * Events have no index by time, which all would pay for at every message. The timeline is one as good: halved again
 * and again, some twenty times for a million events, each time by what most of a few events around the middle say. Then
 * the events around that place are looked at one by one.
 */
#include "room/at_time.h"

#include "base/arena.h"
#include "store/events.h"

#include <stdlib.h>

enum { PROBE = 5, AROUND = 250, PAGES = 4, HALVINGS_MOST = 64 };

static int by_ts(const void *x, const void *y)
{
	const int64_t p = ((const struct event_time *)x)->origin_server_ts,
		      q = ((const struct event_time *)y)->origin_server_ts;

	return (p > q) - (p < q);
}

/* What most events just above a place say: one liar or two among them are outvoted. */
static int64_t median(struct event_time *list, size_t n)
{
	qsort(list, n, sizeof(*list), by_ts);
	return list[n / 2].origin_server_ts;
}

static err *edge(struct tx *tx, int64_t room, bool newest, int64_t *out)
{
	struct event_time *list;
	size_t n;

	TRY(store_event_times(tx, room, newest ? INT64_MAX : 0, newest, 1, &list, &n));
	*out = n ? list[0].timeline : 0;
	return NULL;
}

/* A place below which most events were sent before ts, and above which most were not. */
static err *find_place(struct tx *tx, int64_t room, int64_t ts, int64_t *out)
{
	int64_t low, high;

	TRY(edge(tx, room, false, &low));
	TRY(edge(tx, room, true, &high));
	for (int i = 0; i < HALVINGS_MOST && high - low > 1; i++) {
		const int64_t middle = low + (high - low) / 2;
		struct event_time *list;
		size_t n;

		TRY(store_event_times(tx, room, middle, false, PROBE, &list, &n));
		if (n == 0 || list[0].timeline > high) { /* nothing between the middle and the upper end */
			high = middle;
			continue;
		}
		if (median(list, n) < ts)
			low = middle;
		else
			high = middle;
	}
	*out = low;
	return NULL;
}

struct search {
	int64_t ts;
	bool forwards;
	struct event_time best; /* nid 0: none */
};

/* Among equals the one that is first on the way. */
static void look_at(struct search *s, const struct event_time *e)
{
	const int64_t t = e->origin_server_ts, b = s->best.origin_server_ts;

	if (s->forwards ? t < s->ts : t > s->ts)
		return;
	if (s->best.nid && (s->forwards ? t > b : t < b))
		return;
	if (s->best.nid && t == b && (s->forwards ? e->timeline > s->best.timeline : e->timeline < s->best.timeline))
		return;
	s->best = *e;
}

static err *look_around(struct tx *tx, int64_t room, int64_t from, bool backwards, struct search *s, int64_t *out_next)
{
	struct event_time *list;
	size_t n;

	TRY(store_event_times(tx, room, from, backwards, AROUND, &list, &n));
	for (size_t i = 0; i < n; i++)
		look_at(s, &list[i]);
	*out_next = n == AROUND ? list[n - 1].timeline : 0;
	return NULL;
}

err *room_at_time(struct tx *tx, int64_t room, int64_t ts, bool forwards, int64_t *out)
{
	struct search s = { .ts = ts, .forwards = forwards };
	int64_t place, on, back;

	TRY(find_place(tx, room, ts, &place));
	TRY(look_around(tx, room, place, true, &s, &back));
	TRY(look_around(tx, room, place - 1, false, &s, &on));
	/* Around there nobody says a time on the right side: on in the direction asked for. */
	for (int i = 0; i < PAGES && !s.best.nid && (forwards ? on : back); i++)
		TRY(look_around(tx, room, forwards ? on : back, !forwards, &s, forwards ? &on : &back));
	*out = s.best.nid;
	return NULL;
}
