/*
 * servers.c - the other servers in a room, and which of them get an event from us.
 *
 * Our own events, and those that others brought into the room through us, are for every server that has users in the
 * room before or after the event: who is kicked hears of the kick, and so does who was only invited or had knocked,
 * for from nobody else could their server know that they are not any more. In memory is how many joined members each
 * server has, read when it is first needed and moved on with the current state, like the head; a room where nobody else
 * is costs nothing, for the head says so. The list of them is made once and shared by all events until it changes: a
 * room's job may be committed long after its builder has moved on.
 */
#include "room/internal_job.h"

#include <assert.h>

struct server_list {
	atomic_uint refs;
	size_t n;
	int64_t p[];
};

static void list_unref(struct server_list **list)
{
	struct server_list *l = *list;

	*list = NULL;
	if (l && atomic_fetch_sub(&l->refs, 1) == 1)
		mem_free(l);
}

/* Counts are never 0. */
static void *from_count(int64_t n) { return (void *)(uintptr_t)n; }
static int64_t to_count(const void *p) { return (int64_t)(uintptr_t)p; }

void room_servers_clear(struct room *room, bool none)
{
	map_done(&room->servers);
	map_init(&room->servers, NULL);
	list_unref(&room->server_list);
	room->servers_known = none;
}

static bool moves(const struct room *room, const struct change *ch)
{
	return ch->is_member && ch->server && ch->server != room->rs->server &&
	       (ch->before == MEMBER_JOIN) != (ch->after == MEMBER_JOIN);
}

/* Gives whether the server is out now. */
static bool count(struct room *room, const struct change *ch)
{
	const int64_t had = to_count(map_get_i(&room->servers, ch->server)),
		      has = had + (ch->after == MEMBER_JOIN) - (ch->before == MEMBER_JOIN);

	if (has > 0)
		(void)map_put_i(&room->servers, ch->server, from_count(has));
	else
		(void)map_del_i(&room->servers, ch->server);
	if ((had > 0) != (has > 0))
		list_unref(&room->server_list);
	return had > 0 && has <= 0;
}

static void count_job(struct room *room, const struct job *job)
{
	for (size_t i = 0; i < job->events.n; i++)
		for (size_t c = 0; c < job->events.p[i]->n_changes; c++)
			if (moves(room, &job->events.p[i]->changes[c]))
				(void)count(room, &job->events.p[i]->changes[c]);
}

/* Those of the queued jobs that the snapshot does not show are counted on top. Its head's root says which: the servers
 * of a room follow from its state, so of equal roots any will do. */
static err *load(struct room *room)
{
	const struct list *shown = &room->jobs;
	struct room_server_row *rows;
	struct room_head_row *h;
	struct tx *tx;
	size_t n;

	TRY(room_tx(room, &tx));
	TRY(store_head_load(tx, room->nid, &h));
	TRY(store_room_others(tx, room->nid, &rows, &n));
	room_servers_clear(room, true);
	for (size_t i = 0; i < n; i++)
		if (rows[i].server != room->rs->server)
			(void)map_put_i(&room->servers, rows[i].server, from_count(rows[i].members));
	LIST_EACH (&room->jobs, node)
		if (h && LIST_ITEM(node, struct job, node)->head.root == h->root)
			shown = node;
	for (const struct list *node = shown->next; node != &room->jobs; node = node->next)
		count_job(room, LIST_ITEM(node, struct job, node));
	if (room->draft)
		count_job(room, room->draft->job);
	return NULL;
}

static err *known(struct room *room) { return room->servers_known ? NULL : load(room); }

err *room_has_others(struct room *room, bool *out)
{
	TRY(known(room));
	*out = room->servers.n > 0;
	return NULL;
}

err *room_has_server(struct room *room, str server_name, bool *out)
{
	const struct map *locals;
	int64_t server;

	if (str_eq(server_name, room->rs->opt.signer.server_name)) {
		TRY(room_locals(room, &locals));
		*out = locals->n > 0;
		return NULL;
	}
	TRY(known(room));
	TRY(store_intern_find(room->rs->opt.store, room->a, server_name, &server));
	*out = server && map_get_i(&room->servers, server);
	return NULL;
}

/* An invitation taken back, a knock refused; by somebody else: where users turn away themselves, it is known. */
static bool turns_away(const struct room *room, const struct job_event *je, const struct change *ch)
{
	return ch->is_member && ch->server && ch->server != room->rs->server && ch->now == je->row.nid &&
	       ch->sender != ch->key && (ch->before == MEMBER_INVITE || ch->before == MEMBER_KNOCK) &&
	       (ch->after == MEMBER_LEAVE || ch->after == MEMBER_BAN);
}

err *room_servers_note(struct draft *d, struct job_event *je, struct change *changes, size_t n)
{
	struct room *room = d->room;
	bool moved = false, turned = false;

	for (size_t i = 0; i < n; i++) {
		moved = moved || moves(room, &changes[i]);
		turned = turned || turns_away(room, je, &changes[i]);
	}
	if (!moved && !turned)
		return NULL;
	TRY(known(room)); /* the draft's earlier events are in it, this one is not */
	d->moved_servers = d->moved_servers || moved;
	for (size_t i = 0; i < n; i++) {
		struct change *ch = &changes[i];

		ch->turned_away = turns_away(room, je, ch) && !map_get_i(&room->servers, ch->server);
		if (ch->turned_away || (moves(room, ch) && count(room, ch)))
			vec_push(d->job->a, &je->left, ch->server);
	}
	return NULL;
}

static struct server_list *shared_list(struct room *room)
{
	struct server_list *l = room->server_list;
	int64_t server;
	void *n;

	if (!l) {
		l = mem_alloc(sizeof(*l) + room->servers.n * sizeof(l->p[0]));
		atomic_init(&l->refs, 1);
		l->n = 0;
		for (size_t i = 0; map_next_i(&room->servers, &i, &server, &n);)
			l->p[l->n++] = server;
		room->server_list = l;
	}
	return l;
}

/* "The sender's server has it": but not where we made it for them, as an invitation by a third-party id is. */
static err *sender_server(struct room *room, const struct job_event *je, int64_t *out)
{
	*out = 0;
	if (!je->received || str_eq(event_membership(je->ev), S("invite")))
		return NULL;
	return store_intern_find(room->rs->opt.store, room->a, id_server(je->ev->sender), out);
}

err *room_servers_send(struct draft *d, struct job_event *je)
{
	struct room *room = d->room;
	struct server_list *all;
	int64_t has_it;

	if (je->received && !je->resident)
		return NULL;
	TRY(known(room));
	if (room->servers.n + je->left.n == 0)
		return NULL;
	TRY(sender_server(room, je, &has_it));
	all = shared_list(room);
	if (!je->left.n && !has_it) {
		atomic_fetch_add(&all->refs, 1);
		je->shared_servers = all;
		je->servers = all->p;
		je->n_servers = all->n;
		je->row.flags |= EVENT_TO_SEND;
		return NULL;
	}
	int64_t *own = ARENA_ARRAY(d->job->a, int64_t, all->n + je->left.n);
	for (size_t i = 0; i < all->n + je->left.n; i++) {
		const int64_t server = i < all->n ? all->p[i] : je->left.p[i - all->n];

		if (server != has_it)
			own[je->n_servers++] = server;
	}
	je->servers = own;
	je->row.flags |= je->n_servers ? EVENT_TO_SEND : 0;
	return NULL;
}

void room_servers_release(struct job_event *je) { list_unref(&je->shared_servers); }

err *room_other_servers(struct rooms *rs, struct arena *a, str room_id, const int64_t **out, size_t *out_n)
{
	AUTO_ROOM room = NULL;
	int64_t server, *list;
	size_t found = 0;
	void *n;

	*out = NULL;
	*out_n = 0;
	TRY(room_hold(rs, a, room_id, &room));
	if (!room)
		return NULL;
	TRY(known(room));
	list = ARENA_ARRAY(a, int64_t, room->servers.n);
	for (size_t i = 0; map_next_i(&room->servers, &i, &server, &n);)
		list[found++] = server;
	*out = list;
	*out_n = found;
	return NULL;
}
