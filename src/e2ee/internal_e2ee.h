/* internal_e2ee.h - the inside of struct e2ee, for the files of e2ee/ alone. */
#pragma once

#include "base/map.h"
#include "base/metrics.h"
#include "base/thread.h"
#include "e2ee/e2ee.h"

struct e2ee {
	struct e2ee_options opt;
	struct to_device *to_device;
	struct shown_cache *shown; /* keys_query.c */
	struct metric *to_device_queued, *to_device_delivered, *to_device_dropped, *lists_told;
	/* one_time_keys.c */
	struct metric *keys_uploaded, *claims_one_time, *claims_fallback, *claims_none;
	struct metric *backup_keys_kept, *backup_keys_worse, *backup_wrong_version;
	struct chore *backup_sweeping; /* backup.c; or NULL */
	struct fed *fed;               /* NULL: no other server is spoken to */
	struct outbox *outbox;
	int64_t own_server;         /* this server's name, interned; 0 without fed */
	struct chore *remote_lists; /* remote_lists.c; or NULL */
	int64_t sweep_us;           /* its own: when it looks next for lists that nobody needs */
	struct lock fetching_lock;  /* over: */
	struct cond fetching_ended;
	struct map fetching;             /* remote_lists.c: users whose lists are being asked for */
	struct list_sender *list_sender; /* list_sender.c; or NULL */
};

struct device_list_note;
/* device_lists.c: device_list_note_tell, for a list of this server's, of which others are told, too. */
void lists_tell(struct e2ee *e, const struct device_list_note *n);

/* one_time_keys.c: makes the counters. */
void one_time_keys_init(struct e2ee *e);
void backup_counters(struct e2ee *e);
/* to_device.c: its counters, and those of device_lists.c; what it keeps in memory. */
void to_device_counters(struct e2ee *e);
void to_device_init(struct e2ee *e);
void to_device_done(struct e2ee *e);
