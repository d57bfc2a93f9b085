/* syncs.c - the service: made, and taken down. */
#include "base/rand.h"
#include "room/timeline.h"
#include "sync/internal_sync.h"

static err *intern_all(struct syncs *ss, struct arena *a)
{
	const struct store_text texts[] = {
		{ S(""), &ss->empty },
		{ S("m.room.member"), &ss->type_member },
		{ S("m.room.name"), &ss->type_name },
		{ S("m.room.canonical_alias"), &ss->type_alias },
		{ S("m.room.redaction"), &ss->type_redaction },
	};

	return store_intern_all(ss->opt.store, a, texts, ARRAY_LEN(texts));
}

err *syncs_new(struct arena *a, const struct syncs_options *opt, struct syncs **out)
{
	struct syncs *ss = MEM_NEW(struct syncs);
	err *e;

	ss->opt = *opt;
	ss->epoch = store_epoch(opt->store);
	rand_bytes(&ss->process, sizeof(uint32_t));
	ss->lazy = lazy_new(opt->lazy_bytes);
	ss->members = members_new(opt->member_bytes);
	ss->ignored = ignored_new();
	ss->facts = facts_new();
	ss->keys = key_cache_new();
	e = intern_all(ss, a);
	if (e) {
		syncs_free(&ss);
		return e;
	}
	timeline_on_sync_token(sync_token_stream);
	*out = ss;
	return NULL;
}

void syncs_free(struct syncs **ssp)
{
	struct syncs *ss = *ssp;

	if (!ss)
		return;
	lazy_free(&ss->lazy);
	members_free(&ss->members);
	ignored_free(&ss->ignored);
	facts_free(&ss->facts);
	key_cache_free(&ss->keys);
	mem_free(ss);
	*ssp = NULL;
}
