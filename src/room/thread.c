#include "room/thread.h"

enum { HOPS_MAX = 3 };

struct relation relation_of(const struct json *content)
{
	const struct json *relates = json_get_object(content, S("m.relates_to"));

	return (struct relation){ json_get_str(relates, S("rel_type")), json_get_str(relates, S("event_id")) };
}

err *thread_root_of(const struct json *content, err *(*content_of)(void *ctx, str event_id, const struct json **out),
		    void *ctx, str *out_root)
{
	*out_root = STR_NONE;
	for (int hop = 0; content && hop <= HOPS_MAX; hop++) {
		const struct relation r = relation_of(content);

		if (str_is_none(r.event_id))
			return NULL;
		if (str_eq(r.rel_type, S("m.thread"))) {
			*out_root = r.event_id;
			return NULL;
		}
		TRY(content_of(ctx, r.event_id, &content));
	}
	return NULL;
}
