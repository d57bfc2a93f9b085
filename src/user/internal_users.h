/* internal_users.h - the inside of struct users, for the files of user/ alone. */
#pragma once

#include "base/thread.h"
#include "store/store.h"
#include "user/token_cache.h"
#include "user/user.h"

struct seen_queue;
struct tries;

struct users {
	struct users_options opt;
	struct token_cache *tokens;
	struct seen_queue *seen;      /* devices seen, not yet written */
	struct tries *tried_accounts; /* passwords tried, by account */
	struct tries *failed_accounts;
};
