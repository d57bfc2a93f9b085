/*
 * log.c - what changed in each room.
 *
 * One entry a change and room, at the end. A change of the same user makes the earlier entry void, without a look at
 * it: the user has another serial. Void entries are taken out when the array is full; so it is at most twice as long as
 * there are users in it, at the cost of one more look at each entry.
 *
 * Who joins a room is entered there with the change that was told of them last, in its place: nobody else is told anew.
 */
#include "presence/internal_presence.h"

size_t log_above(const struct room_log *log, int64_t serial)
{
	size_t low = 0;

	for (size_t high = log->n; low < high;) {
		const size_t mid = low + (high - low) / 2;

		if (log->p[mid].serial > serial)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static bool is_valid(const struct presence *p, const struct room_entry *e)
{
	const struct who *w = map_get_i(&p->users, e->user);

	return w && w->serial == e->serial;
}

static void make_room(struct presence *p, struct room_log *log)
{
	size_t n = 0;

	for (size_t i = 0; i < log->n; i++)
		if (is_valid(p, &log->p[i]))
			log->p[n++] = log->p[i];
	p->counts.log -= log->n - n;
	log->n = n;
	if (n < log->cap / 2)
		return;
	log->cap = MAX(2 * log->cap, 2);
	log->p = mem_realloc(log->p, log->cap * sizeof(*log->p));
}

static struct room_log *log_with_room(struct presence *p, int64_t room)
{
	struct room_log *log = map_get_i(&p->logs, room);

	if (!log) {
		log = MEM_NEW(struct room_log);
		(void)map_put_i(&p->logs, room, log);
	}
	if (log->n == log->cap)
		make_room(p, log);
	return log;
}

void log_add(struct presence *p, int64_t room, int64_t serial, int64_t user)
{
	struct room_log *log = log_with_room(p, room);

	log->p[log->n++] = (struct room_entry){ serial, user };
	p->counts.log++;
}

void log_insert(struct presence *p, int64_t room, int64_t serial, int64_t user)
{
	struct room_log *log = log_with_room(p, room);
	const size_t at = log_above(log, serial);

	if (at > 0 && log->p[at - 1].serial == serial)
		return;
	memmove(log->p + at + 1, log->p + at, (log->n - at) * sizeof(*log->p));
	log->p[at] = (struct room_entry){ serial, user };
	log->n++;
	p->counts.log++;
}

static void drop(struct presence *p, struct room_log *log)
{
	p->counts.log -= log->n;
	mem_free(log->p);
	mem_free(log);
}

void log_remove(struct presence *p, int64_t room, int64_t user)
{
	struct room_log *log = map_get_i(&p->logs, room);
	size_t n = 0;

	if (!log)
		return;
	for (size_t i = 0; i < log->n; i++)
		if (log->p[i].user != user)
			log->p[n++] = log->p[i];
	p->counts.log -= log->n - n;
	log->n = n;
	if (n > 0)
		return;
	(void)map_del_i(&p->logs, room);
	drop(p, log);
}

void log_free_all(struct presence *p)
{
	void *log;
	int64_t room;

	for (size_t i = 0; map_next_i(&p->logs, &i, &room, &log);)
		drop(p, log);
	map_done(&p->logs);
}
