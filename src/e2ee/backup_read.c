/*
 * backup_read.c - keys out of a backup: one of them, or all as a text that is made page by page.
 *
 * A restore fetches the whole backup in one answer, which may be hundreds of megabytes: so it is never held. A page is
 * bounded in bytes, for as many are in memory as there are slow clients, and has a snapshot of its own, so that none is
 * held while a client is slow. What the client sent as session_data is spliced in as it came.
 */
#include "e2ee/internal_backup.h"

enum { KEYS_PER_PAGE = 200, DATA_PER_PAGE = 64 << 10 };
_Static_assert(DATA_PER_PAGE + BACKUP_SESSION_DATA_MAX + KEYS_PER_PAGE * (6 * 2 * 255 + 200) < BACKUP_PAGE_MAX,
	       "a page has room");

static struct backup_key public_key(const struct key_backup_key_row *row)
{
	return (struct backup_key){
		.room_id = row->room,
		.session_id = row->session,
		.first_message_index = row->first_message_index,
		.forwarded_count = row->forwarded_count,
		.is_verified = row->is_verified,
		.session_data = row->session_data,
	};
}

/* The slot of the room; 0: the backup has no key of it. */
static err *slot_of(struct tx *tx, int64_t backup, str room_id, int64_t *out)
{
	struct key_backup_room_row *rows;
	size_t n;

	TRY(store_key_backup_rooms(tx, backup, (struct strs){ &room_id, 1 }, &rows, &n));
	*out = n ? rows[0].slot : 0;
	return NULL;
}

err *backup_get_key(struct e2ee *e, struct arena *a, int64_t user, str version, str room_id, str session_id,
		    const struct backup_key **out)
{
	const struct key_backup_key_row *row;
	const struct key_backup_row *backup;
	struct backup_key *k;
	int64_t slot;
	AUTO_TX tx = NULL;

	TRY(store_read(e->opt.store, a, &tx));
	TRY(backup_find(tx, a, user, version, &backup));
	TRY(slot_of(tx, backup->backup, room_id, &slot));
	TRY(store_key_backup_key(tx, backup->backup, slot, session_id, &row));
	*out = NULL;
	if (!row)
		return NULL;
	k = ARENA_NEW(a, struct backup_key);
	*k = public_key(row);
	*out = k;
	return NULL;
}

void backup_key_members(struct jw *w, const struct backup_key *k)
{
	jw_int(w, "first_message_index", k->first_message_index);
	jw_int(w, "forwarded_count", k->forwarded_count);
	jw_bool(w, "is_verified", k->is_verified);
	jw_raw(w, "session_data", k->session_data);
}

struct backup_reader {
	struct store *st;
	struct jw w; /* its levels, between the pieces of the text */
	int64_t backup;
	int64_t only;         /* the slot of the one room; 0: all rooms */
	bool one_room, empty; /* empty: of the one room there is nothing */
	bool begun, room_open;
	int64_t slot; /* the last key that was written */
	char session[256];
	size_t session_n;
};

err *backup_reader_new(struct e2ee *e, struct arena *a, int64_t user, str version, str room_id,
		       struct backup_reader **out)
{
	const struct key_backup_row *backup;
	struct backup_reader *r;
	int64_t slot = 0;
	AUTO_TX tx = NULL;

	TRY(store_read(e->opt.store, a, &tx));
	TRY(backup_find(tx, a, user, version, &backup));
	if (!str_is_none(room_id))
		TRY(slot_of(tx, backup->backup, room_id, &slot));
	r = MEM_NEW(struct backup_reader);
	r->st = e->opt.store;
	r->backup = backup->backup;
	r->one_room = !str_is_none(room_id);
	r->only = slot;
	r->empty = r->one_room && !slot;
	*out = r;
	return NULL;
}

void backup_reader_free(struct backup_reader **r)
{
	mem_free(*r);
	*r = NULL;
}

static void write_key(struct backup_reader *r, const struct key_backup_key_row *row)
{
	const struct backup_key k = public_key(row);

	if (!r->one_room && row->slot != r->slot) {
		if (r->room_open) {
			jw_end(&r->w);
			jw_end(&r->w);
		}
		jw_key(&r->w, row->room);
		jw_object(&r->w, NULL);
		jw_object(&r->w, "sessions");
		r->room_open = true;
	}
	jw_key(&r->w, row->session);
	jw_object(&r->w, NULL);
	backup_key_members(&r->w, &k);
	jw_end(&r->w);
	r->slot = row->slot;
	r->session_n = MIN(row->session.n, sizeof(r->session));
	memcpy(r->session, row->session.p, r->session_n);
}

err *backup_read(struct backup_reader *r, struct arena *a, struct buf *out, bool *out_more)
{
	struct key_backup_key_row *rows = NULL;
	size_t n = 0, bytes = 0;
	AUTO_TX tx = NULL;

	if (!r->empty) {
		TRY(store_read(r->st, a, &tx));
		TRY(store_key_backup_page(tx, r->backup, r->only, r->slot, (str){ r->session, r->session_n },
					  KEYS_PER_PAGE, DATA_PER_PAGE, &rows, &n));
	}
	r->w.out = out;
	if (!r->begun) {
		jw_object(&r->w, NULL);
		jw_object(&r->w, r->one_room ? "sessions" : "rooms");
		r->begun = true;
	}
	for (size_t i = 0; i < n; i++) {
		write_key(r, &rows[i]);
		bytes += rows[i].session_data.n;
	}
	*out_more = n == KEYS_PER_PAGE || bytes >= DATA_PER_PAGE;
	while (!*out_more && r->w.depth)
		jw_end(&r->w);
	return r->w.failed || out->overflow ? err_new(a, ERR_INTERNAL, "a key backup could not be written") : NULL;
}
