/* rates.c - the settings' rate limits as the classes that routes name. */
#include "main/server.h"

enum { STEPS = 10 };

void server_rates(const struct config *c, struct rate_limit out[RATE_CLASSES])
{
	const struct config_rates *r = &c->rates;
	const struct {
		enum rate_class class;
		const struct config_rate *rate;
	} map[] = {
		{ RATE_MESSAGE, &r->message },
		{ RATE_REGISTRATION, &r->registration },
		{ RATE_LOGIN, &r->login_address },
		{ RATE_JOIN, &r->joins_local },
		{ RATE_INVITE, &r->invites_per_issuer },
		{ RATE_ROOM_CREATION, &r->room_creation },
		{ RATE_USER_DIRECTORY, &r->user_directory },
		{ RATE_REGISTRATION_TOKEN, &r->registration_token_validity },
		{ RATE_REPORT, &r->reports },
		{ RATE_MEDIA_CREATE, &r->media_create },
		{ RATE_PRESENCE, &r->presence },
		{ RATE_JOIN_ROOM, &r->joins_per_room },
		{ RATE_INVITE_ROOM, &r->invites_per_room },
		{ RATE_INVITE_USER, &r->invites_per_user },
	};

	memset(out, 0, sizeof(*out) * RATE_CLASSES);
	for (size_t i = 0; i < ARRAY_LEN(map); i++)
		out[map[i].class] = (struct rate_limit){ map[i].rate->per_second, map[i].rate->burst };
	/* A registration is asked for in several requests, and names are tried while they are typed. */
	out[RATE_REGISTRATION_STEP] =
		(struct rate_limit){ STEPS * r->registration.per_second, STEPS * r->registration.burst };
}
