/* event_list.h - answers with whole states and auth chains, which are sent as they are read. */
#pragma once

#include "http/http.h"
#include "room/served/reading.h"

struct event_list {
	const char *key; /* in the answer's object */
	const int64_t *nids;
	size_t n;
};
struct event_list_frame { /* what stands around the lists; all zero: nothing */
	str members;      /* an object's text, whose members come first */
	bool with_status; /* [200, {...}], as v1 of some endpoints answers */
};
/* Answers with an object of these lists: of the events themselves, or of their ids. What is given is copied. */
void reply_event_lists(struct req *rq, str room_id, bool ids, const struct event_list *lists, size_t n);
void reply_event_lists_in(struct req *rq, str room_id, const struct event_list_frame *frame,
			  const struct event_list *lists, size_t n);
