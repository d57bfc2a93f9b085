/*
 * why.h - what the server sees that could make messages undecryptable, for a user or to others because of the user.
 *
 * The server reads no message. But it knows which devices published keys, which have none left to begin a conversation
 * with, what they did not fetch, what was dropped before they did, and who signed them.
 */
#pragma once

#include "e2ee/e2ee.h"
#include "json/writer.h"

enum {
	WHY_FEW_KEYS = 5,       /* one-time keys left: fewer are told of */
	WHY_LATE_MS = 86400000, /* messages that waited so long are told of as a warning */
	WHY_UNSEEN_DAYS = 30,   /* devices that were not seen for so long */
	/* When a device was last seen is written a few minutes late, and its long poll may end as much later. */
	WHY_SEEN_SLACK_MS = 15 * 60000,
	WHY_DEVICES_MAX = 1000, /* looked at */
	WHY_MEMBERS_MAX = 100,  /* named */
};

enum why_grade {
	WHY_NOTE,    /* explains what people may wonder about */
	WHY_WARNING, /* may cost messages, or already cost some */
	WHY_PROBLEM, /* costs messages now */
	WHY_GRADES
};
struct why_finding {
	enum why_grade grade;
	const char *what;       /* a word for machines: "no_keys" */
	str device_id, user_id; /* or STR_NONE; user_id: of somebody else */
	str text;               /* for people */
};
enum why_fallback { WHY_FALLBACK_NONE, WHY_FALLBACK_USED, WHY_FALLBACK_UNUSED };
struct why_device {
	str device_id, display_name;
	int64_t seen_at; /* ms; 0: never */
	bool has_keys, is_signed, is_dehydrated;
	int64_t one_time; /* signed_curve25519 keys left */
	enum why_fallback fallback;
	int64_t waiting, waiting_bytes, waiting_since; /* since: ms; 0: nothing waits */
	int64_t stale_lists;                           /* users whose devices changed, of which it cannot know */
	int64_t lost, lost_at;                         /* messages that were dropped unfetched; ms */
};
struct why {
	str user_id;
	const struct why_device *devices;
	size_t n_devices;
	bool master, self_signing, user_signing;
	int64_t backup_version, backup_keys; /* 0: none */
	const struct why_finding *findings;  /* the worst first */
	size_t n_findings;
};
/* In arena a. now: ms since 1970. ERR_NOT_FOUND: no such account. */
NODISCARD err *e2ee_why(struct e2ee *e, struct arena *a, str user_id, int64_t now, struct why *out);
/* "note", "warning", "problem". */
str why_grade_name(enum why_grade grade);
/* Its members, into the object that the writer is in. */
void why_write(struct jw *w, const struct why *y);
