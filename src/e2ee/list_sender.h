/*
 * list_sender.h - other servers hear of our users' devices. Server-Server API, "Device Management".
 */
#pragma once

#include "e2ee/e2ee.h"

/* A user's devices or identity keys changed, and that is committed. Any thread, quick. */
void list_sender_kick(struct e2ee *e);
/* A user of ours has joined a room with other servers, who may never have heard of their devices. Any thread, quick. */
void list_sender_joined(struct e2ee *e, int64_t user);

/* What GET /user/devices/{userId} says the list's stream_id is. */
NODISCARD err *list_sender_stream_id(struct e2ee *e, struct arena *a, str user_id, int64_t *out);

/* With its thread; _begin: without, for tests, who call _work. */
void list_sender_start(struct e2ee *e);
void list_sender_begin(struct e2ee *e);
NODISCARD err *list_sender_work(struct e2ee *e, struct arena *a);
void list_sender_end(struct e2ee *e);
