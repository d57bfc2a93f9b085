/* event_list.h - answers with whole states and auth chains, which are sent as they are read. */
#pragma once

#include "http/http.h"
#include "room/served/reading.h"

struct event_list {
	const char *key; /* in the answer's object */
	const int64_t *nids;
	size_t n;
};
/* Answers with an object of these lists: of the events themselves, or of their ids. What is given is copied. */
void reply_event_lists(struct req *rq, str room_id, bool ids, const struct event_list *lists, size_t n);
