/* device.c - a user's devices. */
#include "user/device.h"

#include "e2ee/device_lists.h"
#include "e2ee/list_sender.h"
#include "store/devices.h"
#include "user/internal_users.h"

static struct device device_public(const struct device_row *row)
{
	return (struct device){
		.device_id = row->device_id,
		.display_name = row->display_name,
		.seen_ip = row->seen_ip,
		.seen_at = row->seen_at,
	};
}

err *devices_list(struct users *us, struct arena *a, int64_t user, struct devices *out)
{
	struct device_row *rows = ARENA_ARRAY(a, struct device_row, DEVICES_PER_USER);
	struct device *list;
	AUTO_TX tx = NULL;
	size_t n;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_devices_list(tx, user, DEVICES_PER_USER, rows, &n));
	list = ARENA_ARRAY(a, struct device, n);
	for (size_t i = 0; i < n; i++)
		list[i] = device_public(&rows[i]);
	*out = (struct devices){ list, n };
	return NULL;
}

err *device_get(struct users *us, struct arena *a, int64_t user, str device_id, const struct device **out)
{
	const struct device_row *row;
	struct device *d;
	AUTO_TX tx = NULL;

	TRY(store_read(us->opt.store, a, &tx));
	TRY(store_device_get(tx, user, device_id, &row));
	*out = NULL;
	if (!row)
		return NULL;
	d = ARENA_NEW(a, struct device);
	*d = device_public(row);
	*out = d;
	return NULL;
}

/*
 * Changes
 */
struct devices_piece {
	store_fn *run;
	void *arg;
	const int64_t *changed;
	const struct users *us;
	struct device_list_note note;
};

static err *piece_run(struct tx *tx, void *arg)
{
	const struct devices_piece *p = arg;

	return p->run(tx, p->arg);
}

static err *piece_late(struct tx *tx, void *arg)
{
	struct devices_piece *p = arg;

	p->note.user = *p->changed;
	return p->note.user ? device_list_note_write(tx, &p->note) : NULL;
}

static void piece_after(void *arg, const err *result)
{
	const struct devices_piece *p = arg;

	if (result || !p->note.user)
		return;
	device_list_note_tell(p->us->opt.bus, &p->note);
	if (p->us->opt.e2ee)
		list_sender_kick(p->us->opt.e2ee);
}

err *devices_do(struct users *us, struct arena *a, store_fn *run, void *arg, const int64_t *changed)
{
	struct devices_piece p = { .run = run, .arg = arg, .changed = changed, .us = us, .note.a = a };
	const struct piece piece = { .run = piece_run, .late = piece_late, .after = piece_after, .arg = &p };
	struct ticket *ticket;

	TRY(store_write(us->opt.store, a, &piece, &ticket));
	return store_wait(a, ticket);
}

struct rename {
	int64_t user;
	str device_id, display_name;
	bool found;
	int64_t changed;
};

static err *rename_write(struct tx *tx, void *arg)
{
	struct rename *r = arg;
	const struct device_row *row;

	r->changed = 0;
	TRY(store_device_get(tx, r->user, r->device_id, &row));
	r->found = row != NULL;
	if (!row || str_is_none(r->display_name) || str_eq(r->display_name, row->display_name))
		return NULL;
	r->changed = r->user;
	return store_device_rename(tx, r->user, r->device_id, r->display_name, &r->found);
}

err *device_rename(struct users *us, struct arena *a, int64_t user, str device_id, str display_name)
{
	struct rename r = { .user = user, .device_id = device_id, .display_name = display_name };

	if (display_name.n > DEVICE_NAME_MAX)
		return err_new(a, ERR_TOO_LARGE, "A device's name has at most %d bytes", (int)DEVICE_NAME_MAX);
	TRY(devices_do(us, a, rename_write, &r, &r.changed));
	return r.found ? NULL : err_new(a, ERR_NOT_FOUND, "There is no such device");
}

struct delete
{
	int64_t user;
	const str *device_ids;
	size_t n;
	int64_t changed;
};

static err *delete_write(struct tx *tx, void *arg)
{
	struct delete *d = arg;
	int64_t gone;

	TRY(store_devices_delete(tx, d->user, d->device_ids, d->n, &gone));
	d->changed = gone ? d->user : 0;
	return NULL;
}

err *devices_delete(struct users *us, struct arena *a, int64_t user, const str *device_ids, size_t n)
{
	struct delete d = { .user = user, .device_ids = device_ids, .n = n };

	if (n == 0)
		return NULL;
	TRY(devices_do(us, a, delete_write, &d, &d.changed));
	for (size_t i = 0; i < n; i++)
		token_cache_drop_device(us->tokens, user, device_ids[i]);
	return NULL;
}
