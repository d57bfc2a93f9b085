/* internal_to_device.h - what the files of to_device share: queues.c keeps account of what was
 * handed out, queue_bounds.c of how long they are, to_device.c fills them. */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "base/thread.h"
#include "e2ee/internal_e2ee.h"
#include "e2ee/to_device.h"
#include "store/to_device.h"

enum { QUEUE_LEFT_PLACES = 1 << 15 };
struct room_left { /* what may still come to a device before its queue is looked at */
	uint64_t who;
	int32_t messages, kib;
};

struct to_device {
	struct lock lock;
	struct map devices; /* struct handed, by user and device id */
	struct list lru;
	struct list due; /* to be deleted */
	size_t n_due;
	int64_t due_since; /* clock_mono_ms */
	struct room_left *left;
	int64_t walk_user; /* the queue that was looked at last, of all queues in turn */
	str walk_device;   /* owned */
};

/*
 * to_device_elsewhere.c: messages for other servers' users, as EDUs for their servers. Before the transaction: texts,
 * and the servers' numbers. Then in it, and after its commit.
 */
struct edu_out {
	int64_t server;
	str content;
};
struct edus_out {
	const struct edu_out *p;
	size_t n;
};
NODISCARD err *edus_prepare(struct e2ee *e, struct arena *a, const struct to_device_cmd *cmd,
			    const struct json_member *const *users, size_t n, struct edus_out *out);
NODISCARD err *edus_write(struct tx *tx, const struct edus_out *edus);
void edus_tell(struct e2ee *e, const struct edus_out *edus);

/* queues.c */
void queues_init(struct to_device *td);
void queues_done(struct to_device *td);
/* The device was given these; *above is raised to what it acknowledged before. */
void queues_raise(struct to_device *td, int64_t user, str device_id, int64_t *above);
void queues_handed(struct to_device *td, int64_t user, str device_id, int64_t first, int64_t last);

/*
 * queue_bounds.c. In a transaction that has added messages: looks at queues that may have become too long, and shortens
 * those that are.
 */
struct queues_added {
	struct i64s users;
	struct strs device_ids;
	struct i64s sizes;
};
struct queues_dropped { /* the last one of them, for the log */
	int64_t n, user;
	str device_id;
};
NODISCARD err *queues_bound(struct e2ee *e, struct tx *tx, const struct queues_added *added, int64_t now,
			    struct queues_dropped *dropped);
