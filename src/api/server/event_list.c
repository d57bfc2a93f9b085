/*
 * event_list.c - see event_list.h.
 *
 * A state has as many events as the room has members, and who asks for it may read slowly. So what is kept is their
 * numbers; the events are read some at a time, when the connection can take more, each time in a snapshot of its own.
 */
#include "api/server/event_list.h"

#include <assert.h>

#include "api/services.h"
#include "base/buf.h"

enum {
	LISTS_MAX = 2,
	EVENTS_AT_ONCE = 64,
	IDS_AT_ONCE = 2000,
	PAGE_MAX = 8 << 20, /* bytes: 64 events of the largest size, and ids of 255 bytes */
};

struct source {
	struct arena *a; /* holds it */
	struct rooms *rooms;
	str room_id;
	bool ids;
	struct event_list_frame frame;
	struct event_list lists[LISTS_MAX];
	size_t n_lists, list, at; /* where it is; at: in the list */
	struct buf page;
	struct jw w;
	size_t sent;
	bool begun, ended;
};

static err *write_some(struct source *s, struct arena *a)
{
	const struct event_list *list = &s->lists[s->list];
	const size_t n = MIN(list->n - s->at, (size_t)(s->ids ? IDS_AT_ONCE : EVENTS_AT_ONCE));
	struct served_texts texts;

	if (s->ids)
		TRY(served_read_ids(s->rooms, a, list->nids + s->at, n, &texts));
	else
		TRY(served_read(s->rooms, a, s->room_id, list->nids + s->at, n, &texts));
	for (size_t i = 0; i < texts.n; i++) {
		if (s->ids)
			jw_str(&s->w, NULL, texts.p[i]);
		else
			jw_raw(&s->w, NULL, texts.p[i]);
	}
	s->at += n;
	return NULL;
}

static void begin_list(struct source *s)
{
	s->at = 0;
	if (s->list < s->n_lists) {
		jw_array(&s->w, s->lists[s->list].key);
		return;
	}
	jw_end(&s->w);
	if (s->frame.with_status)
		jw_end(&s->w);
	s->ended = true;
}

static void begin(struct source *s)
{
	s->begun = true;
	s->w = jw_to(&s->page);
	if (s->frame.with_status) {
		jw_array(&s->w, NULL);
		jw_int(&s->w, NULL, 200);
	}
	jw_object(&s->w, NULL);
	if (!str_is_empty(s->frame.members))
		jw_members(&s->w, s->frame.members);
	begin_list(s);
}

static err *next_page(struct source *s, struct arena *a)
{
	buf_reset(&s->page);
	s->sent = 0;
	if (!s->begun) {
		begin(s);
	} else if (s->at < s->lists[s->list].n) {
		TRY(write_some(s, a));
	} else {
		jw_end(&s->w);
		s->list++;
		begin_list(s);
	}
	return s->page.overflow ? err_new(a, ERR_INTERNAL, "events larger than they can be") : NULL;
}

static err *fill(void *source, struct arena *a, char *p, size_t max, size_t *out_n)
{
	struct source *s = source;

	while (s->sent == s->page.n && !s->ended)
		TRY(next_page(s, a));
	*out_n = MIN(max, s->page.n - s->sent);
	memcpy(p, buf_str(&s->page).p + s->sent, *out_n);
	s->sent += *out_n;
	return NULL;
}

static void drop(void *source)
{
	struct source *s = source;
	struct arena *a = s->a;

	buf_done(&s->page);
	arena_free(&a);
}

static const int64_t *keep(struct arena *a, const int64_t *nids, size_t n)
{
	int64_t *copy = ARENA_ARRAY(a, int64_t, n);

	if (n)
		memcpy(copy, nids, n * sizeof(*copy));
	return copy;
}

static struct source *source_new(struct req *rq, str room_id, const struct event_list *lists, size_t n)
{
	struct arena *a = arena_new();
	struct source *s = ARENA_NEW(a, struct source);

	assert(n > 0 && n <= LISTS_MAX);
	*s = (struct source){
		.a = a,
		.rooms = rq->services->rooms,
		.room_id = arena_keep(a, room_id),
		.n_lists = n,
		.page = BUF_INIT(PAGE_MAX),
	};
	for (size_t i = 0; i < n; i++)
		s->lists[i] = (struct event_list){ lists[i].key, keep(a, lists[i].nids, lists[i].n), lists[i].n };
	return s;
}

static const struct source_ops list_ops = { fill, drop };

void reply_event_lists(struct req *rq, str room_id, bool ids, const struct event_list *lists, size_t n)
{
	struct source *s = source_new(rq, room_id, lists, n);

	s->ids = ids;
	reply_stream(rq, 200, S("application/json"), HTTP_LENGTH_UNKNOWN, &list_ops, s);
}

void reply_event_lists_in(struct req *rq, str room_id, const struct event_list_frame *frame,
			  const struct event_list *lists, size_t n)
{
	struct source *s = source_new(rq, room_id, lists, n);

	s->frame = *frame;
	s->frame.members = arena_keep(s->a, frame->members);
	reply_stream(rq, 200, S("application/json"), HTTP_LENGTH_UNKNOWN, &list_ops, s);
}
