/* dehydrated.c - the dehydrated device: put, woken up, deleted. */
#include "e2ee/dehydrated.h"

#include "base/clock.h"
#include "e2ee/internal_e2ee.h"
#include "e2ee/key_upload.h"
#include "store/cross_signing.h"
#include "store/dehydrated.h"
#include "store/devices.h"
#include "store/to_device.h"

struct put {
	struct e2ee *e;
	const struct dehydrated_cmd *cmd;
	struct key_upload keys;
	struct arena *a;
	int64_t now;
};

static err *take_away(struct tx *tx, int64_t user, str *out_device_id)
{
	str data;

	TRY(store_dehydrated(tx, user, out_device_id, &data));
	return str_is_none(*out_device_id) ? NULL : store_devices_delete(tx, user, out_device_id, 1, NULL);
}

static err *put_run(struct tx *tx, void *arg)
{
	struct put *p = arg;
	const struct dehydrated_cmd *cmd = p->cmd;
	const struct device_row device = { .user = cmd->user,
					   .device_id = cmd->device_id,
					   .display_name = cmd->display_name,
					   .created_at = p->now,
					   .seen_at = p->now };
	bool added, taken;
	str old;

	TRY(store_cross_signing_has(tx, cmd->user, cmd->device_id, &taken));
	if (taken)
		return err_new(p->a, ERR_FORBIDDEN, "This device id is the name of a cross-signing key");
	TRY(take_away(tx, cmd->user, &old));
	TRY(store_device_add(tx, &device, &added));
	if (!added)
		return err_new(p->a, ERR_INVALID_PARAM, "A device that is not dehydrated has this id");
	TRY(store_dehydrated_save(tx, cmd->user, cmd->device_id, cmd->data));
	return key_upload_run(tx, &p->keys);
}

static err *put_late(struct tx *tx, void *arg) { return key_upload_late(tx, &((struct put *)arg)->keys); }

static void put_after(void *arg, const err *result)
{
	const struct put *p = arg;

	if (!result)
		key_upload_tell(p->e, &p->keys);
}

err *dehydrated_put(struct e2ee *e, struct arena *a, const struct dehydrated_cmd *cmd)
{
	struct put p = { .e = e,
			 .cmd = cmd,
			 .a = a,
			 .now = clock_ms(),
			 .keys = { .user = cmd->user, .user_id = cmd->user_id, .device_id = cmd->device_id } };
	const struct piece piece = { .run = put_run, .late = put_late, .after = put_after, .arg = &p, .positions = 2 };
	struct ticket *ticket;

	if (cmd->data.n > DEHYDRATED_DATA_MAX)
		return err_new(a, ERR_TOO_LARGE, "device_data may have %d bytes", DEHYDRATED_DATA_MAX);
	TRY(key_upload_read(e, a, cmd->keys, &p.keys));
	if (!p.keys.device_keys)
		return err_new(a, ERR_MISSING_PARAM, "device_keys is missing");
	TRY(store_write(e->opt.store, a, &piece, &ticket));
	return store_wait(a, ticket);
}

err *dehydrated_get(struct e2ee *e, struct arena *a, int64_t user, str *out_device_id, str *out_data)
{
	AUTO_TX tx = NULL;

	TRY(store_read(e->opt.store, a, &tx));
	return store_dehydrated(tx, user, out_device_id, out_data);
}

struct delete
{
	struct e2ee *e;
	struct device_list_note note;
	int64_t user;
	str device_id;
};

static err *delete_late(struct tx *tx, void *arg)
{
	struct delete *d = arg;

	TRY(take_away(tx, d->user, &d->device_id));
	d->device_id = arena_keep(d->note.a, d->device_id);
	return str_is_none(d->device_id) ? NULL : device_list_note_write(tx, &d->note);
}

static void delete_after(void *arg, const err *result)
{
	const struct delete *d = arg;

	if (!result && !str_is_none(d->device_id))
		lists_tell(d->e, &d->note);
}

err *dehydrated_delete(struct e2ee *e, struct arena *a, int64_t user, str *out_device_id)
{
	struct delete d = { .e = e, .user = user, .note = { .user = user, .a = a } };
	struct ticket *ticket;

	TRY(store_write(e->opt.store, a, &(struct piece){ .late = delete_late, .after = delete_after, .arg = &d },
			&ticket));
	TRY(store_wait(a, ticket));
	*out_device_id = d.device_id;
	return NULL;
}

/*
 * Messages
 */
static err *read_token(struct arena *a, str from, int64_t *out)
{
	*out = 0;
	if (str_is_none(from))
		return NULL;
	if (str_starts(from, S("d")) && str_to_i64(str_from(from, 1), out) && *out >= 0)
		return NULL;
	return err_new(a, ERR_INVALID_PARAM, "This is no token of a dehydrated device's messages");
}

static err *check_device(struct tx *tx, struct arena *a, int64_t user, str device_id)
{
	str own, data;

	TRY(store_dehydrated(tx, user, &own, &data));
	if (str_is_none(own))
		return err_new(a, ERR_FORBIDDEN, "No dehydrated device exists");
	if (!str_eq(own, device_id))
		return err_new(a, ERR_FORBIDDEN, "You may only fetch messages for your dehydrated device");
	return NULL;
}

err *dehydrated_events(struct e2ee *e, struct arena *a, int64_t user, str device_id, str from, size_t limit,
		       struct dehydrated_events *out)
{
	struct to_device_row *rows;
	struct dehydrated_event *events;
	int64_t above, upto;
	AUTO_TX tx = NULL;
	size_t n;

	TRY(read_token(a, from, &above));
	TRY(store_read(e->opt.store, a, &tx));
	TRY(check_device(tx, a, user, device_id));
	TRY(store_stream_head(tx, &upto));
	limit = MIN(limit, DEHYDRATED_EVENTS_MAX);
	TRY(store_to_device_read(tx, user, device_id, above, upto, limit + 1, &rows, &n));
	out->limited = n > limit;
	n = MIN(n, limit);
	events = ARENA_ARRAY(a, struct dehydrated_event, n);
	for (size_t i = 0; i < n; i++) {
		events[i] = (struct dehydrated_event){ .type = rows[i].type, .content = rows[i].content };
		TRY(store_intern_text(e->opt.store, a, rows[i].sender, &events[i].sender));
	}
	/* A message that comes while this one is read has a position above: it is not passed over. */
	out->next_batch = arena_printf(a, "d%" PRId64, out->limited && n ? rows[n - 1].stream : MAX(above, upto));
	out->p = events;
	out->n = n;
	return NULL;
}
