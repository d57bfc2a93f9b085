/* request.c - what was asked: the filter, the token, and how much of everything. */
#include "sync/v3/internal_v3.h"

#include "store/tx.h"
#include "user/account_data.h"

enum { TIMELINE_DEFAULT = 10, TIMELINE_MOST = 1000 };

err *run_tx(struct run *r, struct tx **out)
{
	if (!r->tx)
		TRY(store_read(r->ss->opt.store, r->a, &r->tx));
	*out = r->tx;
	return NULL;
}

static err *read_filter(struct run *r)
{
	err *e = user_filter_resolve(r->ss->opt.users, r->a, r->rq->user, r->rq->filter, &r->filter);

	if (e && e->code == ERR_NOT_FOUND)
		return err_new(r->a, ERR_INVALID_PARAM, "No such filter");
	return e;
}

static size_t timeline_limit(const struct run *r)
{
	const struct event_filter *f = &r->filter.timeline;
	const int64_t most = r->rq->max_timeline < 0 ? TIMELINE_MOST : MIN(r->rq->max_timeline, TIMELINE_MOST);
	const int64_t asked = f->limit_is_zero ? 0 : f->limit ? f->limit : TIMELINE_DEFAULT;

	return (size_t)MIN(asked, most);
}

/* Of another database, or from after what this one remembers: a backup was restored. */
static err *is_of_another_history(struct run *r, bool *out)
{
	struct tx *tx;
	int64_t head;

	*out = r->since.epoch != r->ss->epoch;
	if (*out || r->since.stream <= bus_position(r->ss->opt.bus))
		return NULL;
	TRY(run_tx(r, &tx));
	TRY(store_stream_head(tx, &head));
	*out = r->since.stream > head;
	store_read_end(&r->tx);
	return NULL;
}

static err *read_token(struct run *r)
{
	r->initial = str_is_none(r->rq->since);
	if (!r->initial) {
		if (!sync_token_read(r->rq->since, &r->since))
			return err_new(r->a, ERR_INVALID_PARAM, "since is no token that this server gave");
		TRY(is_of_another_history(r, &r->broken));
		r->initial = r->broken;
		r->foreign = r->since.process != r->ss->process;
	}
	if (r->initial)
		r->since = (struct sync_token){ 0 };
	r->foreign = r->foreign || r->initial;
	if (r->foreign)
		r->since.serial = r->since.presence = r->since.presence_told = 0;
	return NULL;
}

err *run_begin(struct run *r, const struct filter *filter)
{
	if (filter)
		r->filter = *filter;
	else
		TRY(read_filter(r));
	TRY(read_token(r));
	r->limit = timeline_limit(r);
	r->full_state = r->initial || r->rq->full_state;
	/* "Lazy-loading members is only supported on the state part of a RoomFilter for this endpoint." */
	r->lazy = r->filter.state.lazy_load_members;
	r->device = (struct lazy_device){ r->rq->user, r->rq->device_id };
	if (r->lazy && r->initial)
		lazy_forget(r->ss->lazy, r->device);
	return NULL;
}

err *row_passes(struct run *r, const struct event_filter *f, const struct event_row *row, bool *out)
{
	struct json *content = NULL;
	str type, sender;

	*out = true;
	if (event_filter_is_open(f))
		return NULL;
	TRY(store_intern_text(r->ss->opt.store, r->a, row->type, &type));
	TRY(store_intern_text(r->ss->opt.store, r->a, row->sender, &sender));
	if (f->contains_url != URL_ANY)
		TRY(event_content_of(r->a, row, &content));
	*out = event_filter_match(f, type, sender, content);
	return NULL;
}
