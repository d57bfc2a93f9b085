/*
 * why.c - a user's devices, keys, messages and backup, looked at for what makes messages undecryptable.
 *
 * A message is encrypted for every device that published keys, in a conversation begun with a one-time key, or with the
 * fallback key; its key goes to the device as a to-device message. So a device misses messages when it has no keys,
 * when no conversation can be begun with it, when it has not fetched what waits for it, or when that was dropped; and
 * others may refuse to send to a device that its user has not signed.
 *
 * Nor is a message encrypted for a device that the sender has not heard of. What a client knows is not stored; but a
 * client that has not fetched a message has heard of nothing that came after it, and one that was not here since a
 * change has not heard of that. Devices that are behind without either are not found.
 */
#include "e2ee/why.h"

#include "base/clock.h"
#include "e2ee/internal_e2ee.h"
#include "e2ee/to_device.h"
#include "e2ee/user_key.h"
#include "store/cross_signing.h"
#include "store/dehydrated.h"
#include "store/device_keys.h"
#include "store/device_lists.h"
#include "store/devices.h"
#include "store/key_backup.h"
#include "store/to_device.h"
#include "store/users.h"

struct look {
	struct tx *tx;
	struct arena *a;
	int64_t user, now;
	struct user_key *self_signing; /* NULL: none */
	str dehydrated;
	struct why *y;
	VEC(struct why_finding) found[WHY_GRADES];
};

PRINTF(5, 6)
static void find(struct look *l, enum why_grade grade, const char *what, const struct why_device *d, const char *fmt,
		 ...)
{
	struct why_finding f = { .grade = grade, .what = what, .device_id = d ? d->device_id : STR_NONE };
	va_list args;

	va_start(args, fmt);
	f.text = arena_vprintf(l->a, fmt, args);
	va_end(args);
	vec_push(l->a, &l->found[grade], f);
}

static str span_text(struct arena *a, int64_t ms)
{
	static const struct {
		int64_t ms;
		const char *name;
	} units[] = { { 86400000, "day" }, { 3600000, "hour" }, { 60000, "minute" }, { 1000, "second" } };

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		const int64_t n = ms / units[i].ms;

		if (n > 0)
			return arena_printf(a, "%" PRId64 " %s%s", n, units[i].name, n == 1 ? "" : "s");
	}
	return S("a moment");
}

/*
 * A device
 */
static err *look_at_keys(struct look *l, struct why_device *d)
{
	struct key_count_row *counts;
	struct key_object object;
	str text;
	size_t n;

	TRY(store_device_keys_get(l->tx, l->user, d->device_id, &text));
	d->has_keys = !str_is_none(text);
	if (!d->has_keys)
		return NULL;
	TRY(key_object_parse(l->a, text, l->y->user_id, &object));
	d->is_signed = l->self_signing && user_key_signed(l->a, l->self_signing, &object);
	TRY(store_key_counts(l->tx, l->user, d->device_id, &counts, &n));
	for (size_t i = 0; i < n; i++) {
		if (!str_eq(counts[i].algorithm, S("signed_curve25519")))
			continue;
		d->one_time = counts[i].one_time;
		d->fallback = counts[i].unused_fallback ? WHY_FALLBACK_UNUSED
			      : counts[i].has_fallback  ? WHY_FALLBACK_USED
							: WHY_FALLBACK_NONE;
	}
	return NULL;
}

/* *out_first: the position of the first that waits; 0: none does. */
static err *look_at_messages(struct look *l, struct why_device *d, int64_t *out_first)
{
	struct to_device_sum sum;

	TRY(store_to_device_sum(l->tx, l->user, d->device_id, &sum));
	d->waiting = sum.n;
	d->waiting_bytes = sum.bytes;
	d->waiting_since = sum.first_created;
	*out_first = sum.first_stream;
	return store_to_device_lost(l->tx, l->user, d->device_id, &d->lost, &d->lost_at);
}

/* Whose changes it cannot have heard of; first_waiting: as above. */
static err *look_at_lists(struct e2ee *e, struct look *l, struct why_device *d, int64_t first_waiting)
{
	const int64_t above = first_waiting ? first_waiting - 1 : INT64_MAX;
	struct unheard_row *rows;
	bool was_here;
	str user_id;
	size_t n;

	if (!d->has_keys || d->is_dehydrated)
		return NULL;
	TRY(store_lists_unheard(l->tx, l->user, above, d->seen_at + WHY_SEEN_SLACK_MS, WHY_MEMBERS_MAX, &rows, &n));
	d->stale_lists = (int64_t)n;
	if (n == 0)
		return NULL;
	was_here = d->seen_at > rows[n - 1].changed + WHY_SEEN_SLACK_MS;
	TRY(store_intern_text(e->opt.store, l->a, rows[0].user, &user_id));
	find(l, was_here ? WHY_WARNING : WHY_NOTE, "stale_lists", d,
	     "has not heard of changed devices of %zu%s user%s in encrypted rooms, the last of %.*s, %.*s ago%s: what "
	     "it sends until it syncs is not encrypted for their new devices",
	     n, n == WHY_MEMBERS_MAX ? " or more" : "", n == 1 ? "" : "s", STR_ARG(user_id),
	     STR_ARG(span_text(l->a, clock_since(l->now, rows[0].changed))),
	     was_here ? ", though it was here since" : "");
	return NULL;
}

static void judge_keys(struct look *l, const struct why_device *d)
{
	const bool empty = d->one_time == 0;

	if (!d->has_keys) {
		find(l, WHY_WARNING, "no_keys", d,
		     "has published no keys: nobody can encrypt for it (a client without encryption, or one that "
		     "failed)");
		return;
	}
	if (empty && d->fallback == WHY_FALLBACK_NONE)
		find(l, WHY_PROBLEM, "no_one_time_keys", d,
		     "has no one-time key left and no fallback key: whoever has not spoken to it before cannot send "
		     "it keys of rooms");
	else if (empty && d->fallback == WHY_FALLBACK_USED)
		find(l, WHY_WARNING, "fallback_in_use", d,
		     "has no one-time key left: new conversations begin with its fallback key, which was used before");
	else if (empty)
		find(l, WHY_NOTE, "no_one_time_keys_left", d,
		     "has no one-time key left: the next conversation begins with its fallback key");
	else if (d->one_time < WHY_FEW_KEYS && !d->is_dehydrated)
		find(l, WHY_NOTE, "few_one_time_keys", d, "has only %" PRId64 " one-time keys left", d->one_time);
	if (l->self_signing && !d->is_signed)
		find(l, WHY_WARNING, "unsigned", d,
		     "is not signed by its user: others see a warning, and clients may refuse to send it keys of rooms");
}

static void judge_messages(struct look *l, const struct why_device *d)
{
	const int64_t age = clock_since(l->now, d->waiting_since);

	if (d->lost)
		find(l, WHY_PROBLEM, "lost_messages", d,
		     "lost %" PRId64
		     " messages that it had not fetched, the last %.*s ago: keys of rooms may have been "
		     "among them",
		     d->lost, STR_ARG(span_text(l->a, clock_since(l->now, d->lost_at))));
	if (!d->waiting)
		return;
	if (d->waiting > TO_DEVICE_QUEUE_MAX / 8 * 7 || d->waiting_bytes > TO_DEVICE_QUEUE_BYTES / 8 * 7)
		find(l, WHY_PROBLEM, "queue_full", d,
		     "has %" PRId64 " messages waiting (%" PRId64 " KiB): the oldest are dropped", d->waiting,
		     d->waiting_bytes / 1024);
	else
		find(l, age > WHY_LATE_MS && !d->is_dehydrated ? WHY_WARNING : WHY_NOTE, "undelivered", d,
		     "has not fetched %" PRId64 " message%s (%" PRId64 " KiB), the oldest of %.*s ago%s", d->waiting,
		     d->waiting == 1 ? "" : "s", (d->waiting_bytes + 1023) / 1024, STR_ARG(span_text(l->a, age)),
		     d->is_dehydrated ? ", as a dehydrated device does" : "");
}

static void judge_device(struct look *l, const struct why_device *d)
{
	const int64_t unseen = clock_since(l->now, d->seen_at);

	judge_keys(l, d);
	judge_messages(l, d);
	if (!d->is_dehydrated && unseen > WHY_UNSEEN_DAYS * (int64_t)86400000)
		find(l, WHY_NOTE, "unseen", d,
		     "was not seen for %.*s: what is sent to it waits, and is dropped after %d days",
		     STR_ARG(span_text(l->a, unseen)), TO_DEVICE_AGE_DAYS);
}

static err *look_at_devices(struct e2ee *e, struct look *l)
{
	struct device_row *rows = ARENA_ARRAY(l->a, struct device_row, WHY_DEVICES_MAX);
	struct why_device *devices;
	bool usable = false;
	size_t n;

	TRY(store_devices_list(l->tx, l->user, WHY_DEVICES_MAX, rows, &n));
	devices = ARENA_ARRAY(l->a, struct why_device, n);
	for (size_t i = 0; i < n; i++) {
		struct why_device *d = &devices[i];
		int64_t first_waiting;

		d->device_id = arena_keep(l->a, rows[i].device_id);
		d->display_name = arena_keep(l->a, rows[i].display_name);
		d->seen_at = rows[i].seen_at;
		d->is_dehydrated = str_eq(d->device_id, l->dehydrated);
		TRY(look_at_keys(l, d));
		TRY(look_at_messages(l, d, &first_waiting));
		TRY(look_at_lists(e, l, d, first_waiting));
		judge_device(l, d);
		usable = usable || d->has_keys;
	}
	l->y->devices = devices;
	l->y->n_devices = n;
	if (n == 0)
		find(l, WHY_WARNING, "no_devices", NULL,
		     "is logged in nowhere: keys of rooms that are sent now reach nobody");
	else if (!usable)
		find(l, WHY_PROBLEM, "no_device_with_keys", NULL,
		     "has no device with keys: encrypted messages of others cannot be read");
	return NULL;
}

/*
 * The user
 */
static err *look_at_identity(struct look *l)
{
	struct cross_signing_row row;
	struct why *y = l->y;
	bool found;

	TRY(store_cross_signing_get(l->tx, l->user, &row, &found));
	if (!found) {
		find(l, WHY_NOTE, "no_cross_signing", NULL,
		     "has no cross-signing keys: nobody can tell the user's own devices from foreign ones");
		return NULL;
	}
	y->master = !str_is_none(row.master);
	y->self_signing = !str_is_none(row.self_signing);
	y->user_signing = !str_is_none(row.user_signing);
	if (!y->self_signing)
		find(l, WHY_WARNING, "no_self_signing_key", NULL,
		     "has cross-signing keys without a self-signing key: devices cannot be signed");
	if (!y->user_signing)
		find(l, WHY_NOTE, "no_user_signing_key", NULL,
		     "has cross-signing keys without a user-signing key: others cannot be verified");
	return user_key_parse(l->a, row.self_signing, y->user_id, KEY_SELF_SIGNING, &l->self_signing);
}

static err *look_at_backup(struct look *l)
{
	const struct key_backup_row *row;

	TRY(store_key_backup(l->tx, l->user, 0, &row));
	if (!row)
		find(l, WHY_NOTE, "no_backup", NULL,
		     "has no key backup: a new device reads no message from before its login");
	else if (row->keys == 0)
		find(l, WHY_NOTE, "empty_backup", NULL, "has a key backup (version %" PRId64 ") without keys",
		     row->version);
	l->y->backup_version = row ? row->version : 0;
	l->y->backup_keys = row ? row->keys : 0;
	return NULL;
}

/* Users of other servers have no keys here: of them nothing is said. */
static err *look_at_others(struct e2ee *e, struct look *l)
{
	struct keyless_member *members;
	size_t n;

	TRY(store_members_without_keys(l->tx, l->user, WHY_MEMBERS_MAX, &members, &n));
	for (size_t i = 0; i < n; i++) {
		str user_id;

		TRY(store_intern_text(e->opt.store, l->a, members[i].user, &user_id));
		find(l, WHY_WARNING, "member_without_keys", NULL,
		     "shares %" PRId64
		     " encrypted room%s with %.*s, who has no device with keys and reads nothing there",
		     members[i].rooms, members[i].rooms == 1 ? "" : "s", STR_ARG(user_id));
		l->found[WHY_WARNING].p[l->found[WHY_WARNING].n - 1].user_id = user_id;
	}
	return NULL;
}

/* Others' devices that do not know the user's. */
static err *look_at_who_knows(struct e2ee *e, struct look *l)
{
	struct unaware_row *rows;
	size_t n;

	TRY(store_devices_unaware(l->tx, l->user, WHY_SEEN_SLACK_MS, WHY_MEMBERS_MAX, &rows, &n));
	for (size_t i = 0; i < n; i++) {
		const enum why_grade grade = rows[i].active ? WHY_WARNING : WHY_NOTE;
		str user_id;

		TRY(store_intern_text(e->opt.store, l->a, rows[i].user, &user_id));
		find(l, grade, "devices_unheard_of", NULL,
		     "has devices that changed %.*s ago, of which %" PRId64
		     " device%s of %.*s cannot have heard%s: what is sent from there until it syncs is not encrypted "
		     "for new ones",
		     STR_ARG(span_text(l->a, clock_since(l->now, rows[i].changed))), rows[i].devices,
		     rows[i].devices == 1 ? "" : "s", STR_ARG(user_id), rows[i].active ? ", though in use since" : "");
		l->found[grade].p[l->found[grade].n - 1].user_id = user_id;
	}
	return NULL;
}

static err *look_at_account(struct look *l)
{
	const struct account_row *account;

	TRY(store_account_find(l->tx, l->y->user_id, &account));
	if (!account)
		return err_new(l->a, ERR_NOT_FOUND, "There is no such account");
	l->user = account->nid;
	if (account->deactivated_at)
		find(l, WHY_NOTE, "deactivated", NULL, "has closed the account");
	return NULL;
}

static void put_findings(struct look *l)
{
	VEC(struct why_finding) all = { 0 };

	for (int grade = WHY_GRADES - 1; grade >= 0; grade--)
		for (size_t i = 0; i < l->found[grade].n; i++)
			vec_push(l->a, &all, l->found[grade].p[i]);
	l->y->findings = all.p;
	l->y->n_findings = all.n;
}

err *e2ee_why(struct e2ee *e, struct arena *a, str user_id, int64_t now, struct why *out)
{
	struct look l = { .a = a, .now = now, .y = out };
	AUTO_TX tx = NULL;
	str data;

	*out = (struct why){ .user_id = user_id };
	TRY(store_read(e->opt.store, a, &tx));
	l.tx = tx;
	TRY(look_at_account(&l));
	TRY(look_at_identity(&l));
	TRY(store_dehydrated(tx, l.user, &l.dehydrated, &data));
	TRY(look_at_devices(e, &l));
	TRY(look_at_backup(&l));
	TRY(look_at_others(e, &l));
	TRY(look_at_who_knows(e, &l));
	put_findings(&l);
	return NULL;
}

/*
 * As JSON
 */
str why_grade_name(enum why_grade grade)
{
	static const str names[WHY_GRADES] = { STR("note"), STR("warning"), STR("problem") };

	return names[grade];
}

static void write_device(struct jw *w, const struct why_device *d)
{
	static const str fallbacks[] = { STR("none"), STR("used"), STR("unused") };

	jw_object(w, NULL);
	jw_str(w, "device_id", d->device_id);
	jw_str_or_null(w, "display_name", d->display_name);
	jw_int(w, "seen", d->seen_at);
	jw_bool(w, "keys", d->has_keys);
	jw_bool(w, "signed", d->is_signed);
	jw_bool(w, "dehydrated", d->is_dehydrated);
	jw_int(w, "one_time_keys", d->one_time);
	jw_str(w, "fallback_key", fallbacks[d->fallback]);
	jw_object(w, "waiting");
	jw_int(w, "messages", d->waiting);
	jw_int(w, "bytes", d->waiting_bytes);
	jw_int(w, "since", d->waiting_since);
	jw_end(w);
	jw_int(w, "stale_lists", d->stale_lists);
	jw_object(w, "lost");
	jw_int(w, "messages", d->lost);
	jw_int(w, "last", d->lost_at);
	jw_end(w);
	jw_end(w);
}

static void write_finding(struct jw *w, const struct why_finding *f)
{
	jw_object(w, NULL);
	jw_str(w, "grade", why_grade_name(f->grade));
	jw_str(w, "what", str_c(f->what));
	if (!str_is_none(f->device_id))
		jw_str(w, "device_id", f->device_id);
	if (!str_is_none(f->user_id))
		jw_str(w, "user_id", f->user_id);
	jw_str(w, "text", f->text);
	jw_end(w);
}

void why_write(struct jw *w, const struct why *y)
{
	jw_str(w, "user_id", y->user_id);
	jw_array(w, "devices");
	for (size_t i = 0; i < y->n_devices; i++)
		write_device(w, &y->devices[i]);
	jw_end(w);
	jw_object(w, "cross_signing");
	jw_bool(w, "master", y->master);
	jw_bool(w, "self_signing", y->self_signing);
	jw_bool(w, "user_signing", y->user_signing);
	jw_end(w);
	jw_object(w, "backup");
	jw_int(w, "version", y->backup_version);
	jw_int(w, "keys", y->backup_keys);
	jw_end(w);
	jw_array(w, "findings");
	for (size_t i = 0; i < y->n_findings; i++)
		write_finding(w, &y->findings[i]);
	jw_end(w);
}
