/* account_data.c - what the user's clients keep on the server, globally and per room, push rules among it. */
#include "store/account_data.h"

#include "matrix/push_rules.h"
#include "sync/v3/internal_v3.h"
#include "user/account_data.h"

err *account_data_load(struct run *r)
{
	const int64_t above = r->full_state ? 0 : r->since.stream;
	struct tx *tx;

	if (!r->full_state && !run_changed(r, BUS_ACCOUNT_DATA) && !run_changed(r, BUS_ROOM_DATA))
		return NULL;
	TRY(run_tx(r, &tx));
	return store_account_data_changed(tx, r->rq->user, -1, above, r->position, &r->data, &r->n_data);
}

/* {"global": {...}} */
static err *rules_content(struct run *r, str stored, str *out)
{
	AUTO_BUF b = BUF_INIT(4 * PUSH_RULES_BYTES);
	struct jw w = jw_to(&b);

	jw_object(&w, NULL);
	jw_object(&w, "global");
	push_rules_write(&w, push_rules_load(r->a, stored), r->rq->user_id);
	jw_end(&w);
	jw_end(&w);
	if (!jw_good(&w))
		return err_new(r->a, ERR_INTERNAL, "the push rules could not be written");
	*out = arena_keep(r->a, buf_str(&b));
	return NULL;
}

static err *add_push_rules(struct run *r)
{
	const str type = S("m.push_rules");
	str stored, content;
	int64_t stream;
	struct tx *tx;

	if ((!r->full_state && !run_changed(r, BUS_ACCOUNT_DATA)) ||
	    !event_filter_has_type(&r->filter.account_data, type))
		return NULL;
	TRY(run_tx(r, &tx));
	TRY(store_push_rules(tx, r->rq->user, &stored, &stream));
	/* Changed again above the position: told now, and once more. */
	if (!r->full_state && stream <= r->since.stream)
		return NULL;
	TRY(rules_content(r, stored, &content));
	vec_push(r->a, &r->answer->account_data, (struct sync_content){ type, content });
	return NULL;
}

err *account_data_global(struct run *r)
{
	TRY(add_push_rules(r));
	for (size_t i = 0; i < r->n_data; i++) {
		const struct account_data_row *row = &r->data[i];

		if (row->room == 0 && event_filter_has_type(&r->filter.account_data, row->type) &&
		    event_filter_has_sender(&r->filter.account_data, r->rq->user_id))
			vec_push(r->a, &r->answer->account_data, (struct sync_content){ row->type, row->content });
	}
	return NULL;
}

err *account_data_gather(struct run *r, struct task *t, struct sync_room *out)
{
	const struct event_filter *f = &r->filter.room_account_data;
	struct account_data_row *rows = r->data;
	size_t n = r->n_data;
	struct tx *tx;

	if (!event_filter_has_room(f, t->room_id))
		return NULL;
	if (t->newly_joined && !r->full_state) {
		TRY(run_tx(r, &tx));
		TRY(store_account_data_changed(tx, r->rq->user, t->room, 0, r->position, &rows, &n));
	}
	for (size_t i = 0; i < n; i++)
		if (rows[i].room == t->room && event_filter_has_type(f, rows[i].type) &&
		    event_filter_has_sender(f, r->rq->user_id))
			vec_push(r->a, &out->account_data, (struct sync_content){ rows[i].type, rows[i].content });
	return NULL;
}
