/* edu_receipt.c - m.receipt. Server-Server API, "Receipts". */
#include "api/server/edus.h"
#include "room/receipt.h"

enum { RECEIPTS_MAX = 500 }; /* of one EDU: further ones are not read */

struct found {
	struct arena *a;
	VEC(struct received_receipt) list;
};

/* "event_ids: The extremity event IDs that the user has read up to": one, in practice; the last counts. */
static void add(struct found *f, str room_id, str user_id, const struct json *receipt)
{
	const struct json *ids = json_get_array(receipt, S("event_ids")), *data = json_get_object(receipt, S("data"));
	const size_t n = ids ? ids->array.n : 0;
	struct received_receipt r = {
		.room_id = room_id,
		.user_id = user_id,
		.event_id = n ? json_str(ids->array.items[n - 1]) : STR_NONE,
		.thread_id = json_get_str(data, S("thread_id")),
	};

	(void)json_get_int(data, S("ts"), &r.ts);
	if (!str_is_none(r.event_id) && f->list.n < RECEIPTS_MAX)
		vec_push(f->a, &f->list, r);
}

err *edu_receipt(const struct edu *edu)
{
	struct found f = { .a = edu->arena };
	size_t left_out;

	/* "Private read receipts MUST NOT be sent over federation": m.read alone is read. */
	JSON_EACH (edu->content, room)
		JSON_EACH (json_get_object(room->value, S("m.read")), user)
			add(&f, room->key, user->key, user->value);
	if (f.list.n == 0)
		return err_new(edu->arena, ERR_BAD_JSON, "no receipts");
	TRY(room_receipts_received(edu->services->rooms, edu->arena, edu->origin, f.list.p, f.list.n, &left_out));
	return left_out < f.list.n ? NULL : err_new(edu->arena, ERR_FORBIDDEN, "none of the receipts may be taken");
}
