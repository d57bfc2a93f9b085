#include "sync/key_changes.h"

#include "e2ee/device_lists.h"
#include "sync/internal_sync.h"

static err *name_users(struct syncs *ss, struct arena *a, const int64_t *users, size_t n, const str **out)
{
	str *names = ARENA_ARRAY(a, str, n);

	TRY(store_intern_texts(ss->opt.store, a, users, n, names));
	*out = names;
	return NULL;
}

err *sync_key_changes(struct syncs *ss, struct arena *a, int64_t user, str from, str to, struct key_changes *out)
{
	struct device_lists_ask ask = { .viewer = user, .upto = bus_position(ss->opt.bus) };
	struct sync_token since, until;
	struct device_lists lists;
	AUTO_TX tx = NULL;

	if (!sync_token_read(from, &since))
		return err_new(a, ERR_INVALID_PARAM, "from is no token of /sync");
	if (!str_is_none(to) && !sync_token_read(to, &until))
		return err_new(a, ERR_INVALID_PARAM, "to is no token of /sync");
	/* Of another history nothing is known: everybody may have changed. */
	ask.above = since.epoch == ss->epoch && since.stream <= ask.upto ? since.stream : 0;
	TRY(store_read(ss->opt.store, a, &tx));
	TRY(device_lists_between(ss->opt.e2ee, tx, &ask, &lists));
	store_read_end(&tx);
	out->n_changed = lists.n_changed;
	out->n_left = lists.n_left;
	TRY(name_users(ss, a, lists.changed, lists.n_changed, &out->changed));
	return name_users(ss, a, lists.left, lists.n_left, &out->left);
}
