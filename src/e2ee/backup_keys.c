/*
 * backup_keys.c - keys in a backup: adding them where they win, and deleting them.
 *
 * An upload of hundreds of keys costs seven statements: the version, its rooms, the keys that are there, and what
 * changed of the three. Counts are kept beside the keys (in the version and in each room), so nothing is ever counted.
 */
#include "base/map.h"
#include "e2ee/internal_backup.h"

/* Some 5 ms of the writer's time. */
enum { KEYS_PER_PIECE = 200, DATA_PER_PIECE = 256 << 10 };

bool backup_key_wins(const struct backup_key *new_key, const struct backup_key *old_key)
{
	/* "If the keys have different values for is_verified, then it will keep the key that has is_verified set to
	 * true;" */
	if (new_key->is_verified != old_key->is_verified)
		return new_key->is_verified;
	/* "if they have the same values for is_verified, then it will keep the key with a lower first_message_index;"
	 */
	if (new_key->first_message_index != old_key->first_message_index)
		return new_key->first_message_index < old_key->first_message_index;
	/* "and finally, if is_verified and first_message_index are equal, then it will keep the key with a lower
	 * forwarded_count." Equal keys change nothing. */
	return new_key->forwarded_count < old_key->forwarded_count;
}

void backup_counters(struct e2ee *e)
{
	static const char keys[] = "Keys of rooms that clients put into backups, by what became of them.";

	e->backup_keys_kept = metric_counter("hearth_key_backup_keys_total", keys, "outcome=\"kept\"");
	e->backup_keys_worse = metric_counter("hearth_key_backup_keys_total", keys, "outcome=\"not better\"");
	e->backup_wrong_version = metric_counter("hearth_key_backup_wrong_version_total",
						 "Uploads to a backup that is not the newest.", "");
}

static struct backup_state state_of(struct arena *a, const struct key_backup_row *row)
{
	return (struct backup_state){ .etag = backup_number_text(a, row->etag), .count = row->keys };
}

/*
 * Adding
 */
struct put {
	int64_t user;
	str version;
	const struct backup_key *keys;
	size_t n;
	struct arena *a;
	struct backup_state state;
	size_t kept;
};

/* "Keys can only be written to the most recently created version of the backup." */
static err *find_newest(struct tx *tx, const struct put *p, const struct key_backup_row **out)
{
	const struct key_backup_row *newest, *asked;
	err *e;

	TRY(store_key_backup(tx, p->user, 0, &newest));
	if (newest && newest->version == backup_version_number(p->a, p->version)) {
		*out = newest;
		return NULL;
	}
	TRY(backup_find(tx, p->a, p->user, p->version, &asked));
	e = err_new(p->a, ERR_WRONG_ROOM_KEYS_VERSION, "Wrong backup version");
	e->extra = arena_printf(p->a, "\"current_version\":\"%" PRId64 "\"", newest->version);
	return e;
}

/* The keys' rooms, each once: those in the backup, and new ones in slots of their own. */
struct rooms_of_keys {
	struct key_backup_room_row *rows;
	size_t n;
	struct map by_id;
};

static err *find_rooms(struct tx *tx, const struct put *p, struct key_backup_row *now, struct rooms_of_keys *out)
{
	struct arena *a = tx_arena(tx);
	struct key_backup_room_row *known, *room;
	str *ids = ARENA_ARRAY(a, str, p->n);
	size_t n_known;

	*out = (struct rooms_of_keys){ .rows = ARENA_ARRAY(a, struct key_backup_room_row, p->n) };
	map_init(&out->by_id, a);
	for (size_t i = 0; i < p->n; i++) {
		if (map_get(&out->by_id, p->keys[i].room_id))
			continue;
		room = &out->rows[out->n];
		room->room = ids[out->n++] = p->keys[i].room_id;
		map_put(&out->by_id, room->room, room);
	}
	TRY(store_key_backup_rooms(tx, now->backup, (struct strs){ ids, out->n }, &known, &n_known));
	for (size_t i = 0; i < n_known; i++) {
		room = map_get(&out->by_id, known[i].room);
		room->slot = known[i].slot;
		room->keys = known[i].keys;
		room->bytes = known[i].bytes;
	}
	for (size_t i = 0; i < out->n; i++)
		if (!out->rows[i].slot)
			out->rows[i].slot = ++now->slots;
	return NULL;
}

static struct key_backup_key_row row_of(const struct backup_key *k, int64_t slot)
{
	return (struct key_backup_key_row){ .slot = slot,
					    .session = k->session_id,
					    .first_message_index = k->first_message_index,
					    .forwarded_count = k->forwarded_count,
					    .is_verified = k->is_verified,
					    .session_data = k->session_data };
}

/* Leaves in rows[0 .. *n] those that win or are new, and counts them in their rooms and in
 * `now`: the new ones, and their bytes in place of those that they replace. */
static err *choose(struct tx *tx, const struct put *p, struct key_backup_row *now, const struct rooms_of_keys *rooms,
		   struct key_backup_key_row *rows, size_t *n)
{
	struct key_backup_found_row *found, **at = ARENA_ARRAY(tx_arena(tx), struct key_backup_found_row *, p->n);
	size_t n_found, kept = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct key_backup_room_row *room = map_get(&rooms->by_id, p->keys[i].room_id);

		rows[i] = row_of(&p->keys[i], room->slot);
	}
	TRY(store_key_backup_keys_find(tx, now->backup, rows, p->n, &found, &n_found));
	for (size_t i = 0; i < n_found; i++)
		at[found[i].place] = &found[i];
	for (size_t i = 0; i < p->n; i++) {
		struct key_backup_room_row *room = map_get(&rooms->by_id, p->keys[i].room_id);
		const int64_t more = (int64_t)p->keys[i].session_data.n - (at[i] ? at[i]->bytes : 0);

		if (at[i]) {
			const struct backup_key old = { .first_message_index = at[i]->first_message_index,
							.forwarded_count = at[i]->forwarded_count,
							.is_verified = at[i]->is_verified };

			if (!backup_key_wins(&p->keys[i], &old))
				continue;
		} else {
			room->keys++;
			now->keys++;
		}
		room->bytes += more;
		now->bytes += more;
		rows[kept++] = rows[i];
	}
	*n = kept;
	return NULL;
}

static err *put_run(struct tx *tx, void *arg)
{
	struct put *p = arg;
	struct key_backup_key_row *rows = ARENA_ARRAY(tx_arena(tx), struct key_backup_key_row, p->n);
	const struct key_backup_row *was;
	struct rooms_of_keys rooms;
	struct key_backup_row now;
	size_t n = 0;

	p->kept = 0;
	TRY(find_newest(tx, p, &was));
	now = *was;
	if (p->n) {
		TRY(find_rooms(tx, p, &now, &rooms));
		TRY(choose(tx, p, &now, &rooms, rows, &n));
	}
	if (n == 0) {
		p->state = state_of(p->a, was);
		return NULL;
	}
	if (now.keys > was->keys && was->all_keys + (now.keys - was->keys) > BACKUP_KEYS_MAX)
		return err_new(p->a, ERR_RESOURCE_LIMIT, "a user's backups hold at most %d keys", BACKUP_KEYS_MAX);
	if (now.bytes > was->bytes && was->all_bytes + (now.bytes - was->bytes) > BACKUP_BYTES_MAX)
		return err_new(p->a, ERR_RESOURCE_LIMIT, "a user's backups hold at most %d MiB",
			       BACKUP_BYTES_MAX >> 20);
	now.etag++;
	TRY(store_key_backup_rooms_save(tx, now.backup, rooms.rows, rooms.n));
	TRY(store_key_backup_keys_save(tx, now.backup, rows, n));
	TRY(store_key_backup_set(tx, p->user, &now));
	p->state = state_of(p->a, &now);
	p->kept = n;
	return NULL;
}

static err *check_key(struct arena *a, const struct backup_key *k)
{
	if (k->room_id.n == 0 || k->room_id.n > 255)
		return err_new(a, ERR_INVALID_PARAM, "a room id has 1 to 255 bytes");
	if (k->session_id.n == 0 || k->session_id.n > 255)
		return err_new(a, ERR_INVALID_PARAM, "a session id has 1 to 255 bytes");
	if (k->first_message_index < 0 || k->forwarded_count < 0)
		return err_new(a, ERR_INVALID_PARAM, "first_message_index and forwarded_count are not negative");
	if (k->session_data.n > BACKUP_SESSION_DATA_MAX)
		return err_new(a, ERR_TOO_LARGE, "session_data may have %d bytes", BACKUP_SESSION_DATA_MAX);
	return NULL;
}

/* How many of the keys go in one piece: at least one. */
static size_t piece_of(const struct backup_key *keys, size_t n)
{
	size_t bytes = 0, i = 0;

	while (i < MIN(n, KEYS_PER_PIECE) && bytes < DATA_PER_PIECE)
		bytes += keys[i++].session_data.n;
	return i;
}

err *backup_put_keys(struct e2ee *e, struct arena *a, int64_t user, str version, const struct backup_key *keys,
		     size_t n, struct backup_state *out)
{
	struct put p = { .user = user, .version = version, .a = a };
	size_t from = 0;
	err *why;

	if (n > BACKUP_KEYS_PER_REQUEST_MAX)
		return err_new(a, ERR_TOO_LARGE, "a request stores at most %d keys", BACKUP_KEYS_PER_REQUEST_MAX);
	for (size_t i = 0; i < n; i++)
		TRY(check_key(a, &keys[i]));
	do {
		p.keys = keys + from;
		p.n = piece_of(p.keys, n - from);
		why = store_do(e->opt.store, a, put_run, &p);
		if (why && why->code == ERR_WRONG_ROOM_KEYS_VERSION)
			metric_add(e->backup_wrong_version, 1);
		TRY(why);
		metric_add(e->backup_keys_kept, (int64_t)p.kept);
		metric_add(e->backup_keys_worse, (int64_t)(p.n - p.kept));
		from += p.n;
	} while (from < n);
	*out = p.state;
	return NULL;
}

/*
 * Deleting
 */
struct take_away {
	int64_t user, fresh; /* fresh: a number for what is left of a backup when all of it goes */
	str version, room_id, session_id;
	struct arena *a;
	struct backup_state state;
};

static err *find_room(struct tx *tx, int64_t backup, str room_id, struct key_backup_room_row **out)
{
	size_t n;

	TRY(store_key_backup_rooms(tx, backup, (struct strs){ &room_id, 1 }, out, &n));
	if (!n)
		*out = NULL;
	return NULL;
}

static err *take_all(struct tx *tx, const struct take_away *t, struct key_backup_row *now)
{
	if (!now->keys)
		return NULL;
	TRY(store_key_backup_give_up(tx, now->backup, 0));
	now->backup = t->fresh;
	now->keys = now->bytes = now->slots = 0;
	return NULL;
}

static err *take_room(struct tx *tx, const struct take_away *t, struct key_backup_row *now)
{
	struct key_backup_room_row *room;

	TRY(find_room(tx, now->backup, t->room_id, &room));
	if (!room)
		return NULL;
	now->keys -= room->keys;
	now->bytes -= room->bytes;
	TRY(store_key_backup_room_delete(tx, now->backup, room->slot));
	return store_key_backup_give_up(tx, now->backup, room->slot);
}

static err *take_key(struct tx *tx, const struct take_away *t, struct key_backup_row *now)
{
	struct key_backup_room_row *room;
	int64_t bytes;

	TRY(find_room(tx, now->backup, t->room_id, &room));
	if (!room)
		return NULL;
	TRY(store_key_backup_key_delete(tx, now->backup, room->slot, t->session_id, &bytes));
	if (bytes < 0)
		return NULL;
	now->keys--;
	now->bytes -= bytes;
	room->bytes -= bytes;
	if (--room->keys == 0)
		return store_key_backup_room_delete(tx, now->backup, room->slot);
	return store_key_backup_rooms_save(tx, now->backup, room, 1);
}

static err *take_run(struct tx *tx, void *arg)
{
	const struct key_backup_row *was;
	struct take_away *t = arg;
	struct key_backup_row now;

	TRY(backup_find(tx, t->a, t->user, t->version, &was));
	now = *was;
	if (!str_is_none(t->session_id))
		TRY(take_key(tx, t, &now));
	else if (!str_is_none(t->room_id))
		TRY(take_room(tx, t, &now));
	else
		TRY(take_all(tx, t, &now));
	if (now.keys != was->keys) {
		now.etag++;
		TRY(store_key_backup_set(tx, t->user, &now));
	}
	t->state = state_of(t->a, &now);
	return NULL;
}

err *backup_delete_keys(struct e2ee *e, struct arena *a, int64_t user, str version, str room_id, str session_id,
			struct backup_state *out)
{
	struct take_away t = { .user = user, .version = version, .room_id = room_id, .session_id = session_id, .a = a };

	TRY(store_next_id(e->opt.store, a, SEQ_MISC, 1, &t.fresh));
	TRY(store_do(e->opt.store, a, take_run, &t));
	backup_sweep_soon(e);
	*out = t.state;
	return NULL;
}
