/* request.c - the user of a request, for http/'s authentication callback. */
#include "user/internal_users.h"

/* "When an account is locked, servers MUST return M_USER_LOCKED on all but the following Client-Server APIs: /logout,
 * /logout/all." */
static err *locked(const struct req *rq)
{
	const str path = str_c(rq->route->path);
	err *e;

	if (str_ends(path, S("/logout")) || str_ends(path, S("/logout/all")))
		return NULL;
	e = err_new(rq->arena, ERR_USER_LOCKED, "This account has been locked");
	e->extra = S("\"soft_logout\":true");
	return e;
}

err *users_authenticate(struct users *us, struct req *rq, enum auth auth)
{
	const str token = req_access_token(rq);
	struct cached_token t;
	bool seen;

	seen_tick(us->seen, clock_mono_ms());
	if (auth == AUTH_NONE || (auth == AUTH_OPTIONAL && str_is_none(token)))
		return NULL;
	if (str_is_empty(token))
		return err_new(rq->arena, ERR_MISSING_TOKEN, "Missing access token");
	TRY(token_look_up(us, rq->arena, token, &t, &seen));
	if (t.id.is_locked)
		TRY(locked(rq));
	if (t.id.is_guest && auth == AUTH_USER)
		return err_new(rq->arena, ERR_GUEST_FORBIDDEN, "Guests may not do this");
	if (auth == AUTH_ADMIN && !t.id.is_admin)
		return err_new(rq->arena, ERR_FORBIDDEN, "You are not a server administrator");
	rq->user = t.id.user;
	rq->user_id = t.id.user_id;
	rq->device_id = t.id.device_id;
	rq->token_id = t.id.token_id;
	rq->is_guest = t.id.is_guest;
	rq->is_admin = t.id.is_admin;
	if (seen)
		seen_note(us->seen, t.id.user, t.id.device_id, rq->address, req_header(rq, "User-Agent"), clock_ms(),
			  clock_mono_ms());
	return NULL;
}
