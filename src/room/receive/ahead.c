/*
 * ahead.c - what a batch of received events asks of the store, read for all of them at once.
 *
 * Each event asks: am I known, are those that I name, does a redaction wait for me? Of a hundred events that follow on
 * each other nearly every answer is no, or in memory already. What is read here lives in the holder's arena, and is
 * true for the hold: what the room adds meanwhile stands in its pending events, which are asked first.
 */
#include "room/internal_job.h"

struct ahead {
	struct map rows;   /* event id -> struct event_row, or `absent` */
	struct map events; /* number -> struct event */
	struct map waited; /* event id: a redaction waits for it */
};

static struct event_row absent;

static err *read_rows(struct room *room, struct tx *tx, const str *ids, size_t n)
{
	struct event_row **rows;
	size_t n_rows;

	TRY(store_events_by_ids(tx, ids, n, &rows, &n_rows));
	for (size_t i = 0; i < n; i++)
		(void)map_put(&room->ahead->rows, ids[i], &absent);
	for (size_t i = 0; i < n_rows; i++)
		(void)map_put(&room->ahead->rows, rows[i]->event_id, rows[i]);
	return NULL;
}

err *room_read_ahead(struct room *room, const str *event_ids, size_t n)
{
	struct tx *tx;
	str *waited;
	size_t n_waited;

	if (n == 0)
		return NULL;
	TRY(room_tx(room, &tx));
	TRY(store_redactions_waited(tx, event_ids, n, &waited, &n_waited));
	if (!room->ahead) {
		room->ahead = ARENA_NEW(room->a, struct ahead);
		map_init(&room->ahead->rows, room->a);
		map_init(&room->ahead->events, room->a);
		map_init(&room->ahead->waited, room->a);
	}
	for (size_t i = 0; i < n_waited; i++)
		(void)map_put(&room->ahead->waited, waited[i], &absent);
	return read_rows(room, tx, event_ids, n);
}

bool ahead_row(const struct room *room, str event_id, struct event_row **out)
{
	struct event_row *row = room->ahead ? map_get(&room->ahead->rows, event_id) : NULL;

	*out = row == &absent ? NULL : row;
	return row != NULL;
}

const struct event *ahead_event(const struct room *room, int64_t nid)
{
	return room->ahead ? map_get_i(&room->ahead->events, nid) : NULL;
}

void ahead_keep(struct room *room, const struct event *ev)
{
	if (room->ahead)
		(void)map_put_i(&room->ahead->events, ev->nid, (void *)ev);
}

bool ahead_may_wait(const struct room *room, str event_id)
{
	return !room->ahead || !map_get(&room->ahead->rows, event_id) || map_get(&room->ahead->waited, event_id);
}
