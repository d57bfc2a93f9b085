#include "api/key_answers.h"

void claims_write(struct jw *w, struct arena *a, const struct key_claim *list, size_t n)
{
	str open = STR_NONE;

	for (size_t i = 0; i < n; i++) {
		const struct key_claim *c = &list[i];

		if (!c->found)
			continue;
		if (!str_eq(c->user_id, open)) {
			if (!str_is_none(open))
				jw_end(w);
			jw_key(w, c->user_id);
			jw_object(w, NULL);
			open = c->user_id;
		}
		jw_key(w, c->device_id);
		jw_object(w, NULL);
		jw_key(w, arena_join3(a, c->algorithm, S(":"), c->key_id));
		jw_raw(w, NULL, c->key);
		jw_end(w);
	}
	if (!str_is_none(open))
		jw_end(w);
}

void user_key_write(struct jw *w, str user_id, str key)
{
	if (str_is_none(key))
		return;
	jw_key(w, user_id);
	jw_raw(w, NULL, key);
}

void user_keys_write(struct jw *w, const struct keys_answer *answer)
{
	jw_object(w, "master_keys");
	for (size_t i = 0; i < answer->n; i++)
		user_key_write(w, answer->users[i].user_id, answer->users[i].master);
	jw_end(w);
	jw_object(w, "self_signing_keys");
	for (size_t i = 0; i < answer->n; i++)
		user_key_write(w, answer->users[i].user_id, answer->users[i].self_signing);
	jw_end(w);
}
