/* service.h - a users service on a new store, for the tests of user/. */
#pragma once

#include "store/both.h"

#include "bus/bus.h"
#include "crypto/crypto.h"
#include "user/user.h"

static inline struct users_options service_options(struct both *b)
{
	static struct bus *bus; /* nobody listens */
	static bool ready;

	if (!ready) {
		crypto_init();
		bus = bus_new(100);
		log_setup(LOG_WARN, LOG_TEXT);
	}
	ready = true;
	return (struct users_options){
		.store = b->st,
		.bus = bus,
		.server_name = S("x.org"),
		.enable_registration = true,
		.cheap_hashes = true,
		.refreshable_access_token_lifetime_ms = 300000,
	};
}

/* The call must fail with this code. */
#define refused(call, want)                                                                                            \
	do {                                                                                                           \
		const err *refused_e_ = (call);                                                                        \
		if (!refused_e_)                                                                                       \
			fail_msg("%s: succeeded", #call);                                                              \
		if (refused_e_->code != (want))                                                                        \
			fail_msg("%s: %s: %.*s", #call, err_errcode(refused_e_->code), STR_ARG(refused_e_->msg));      \
	} while (0)

static inline void eq(str got, str want)
{
	if (!str_eq(got, want))
		fail_msg("got \"%.*s\", want \"%.*s\"", STR_ARG(got), STR_ARG(want));
}
