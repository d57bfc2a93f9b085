/*
 * auth_rule.h - the authorisation rules by name, and where each stands in the specification.
 *
 * A refusal carries the rule that it rests on (err.detail), which costs nothing while nobody asks. The rules' numbers
 * differ between the room versions: they are counted out of the list in auth_rule.c when one is cited.
 */
#pragma once

#include "base/err.h"
#include "matrix/room_version.h"

/* In the order of the specification's lists. Alternatives of one place ("is the creator", "is the sender of the
 * m.room.create") are one rule. */
#define AUTH_RULES(X)                                                                                                  \
	X(CREATE, "create")                                                                                            \
	X(CREATE_PREV_EVENTS, "create.prev_events")                                                                    \
	X(CREATE_ROOM_ID, "create.room_id")                                                                            \
	X(CREATE_VERSION, "create.version")                                                                            \
	X(CREATE_CREATOR, "create.creator")                                                                            \
	X(CREATE_ADDITIONAL, "create.additional_creators")                                                             \
	X(CREATE_ALLOW, "create.allow")                                                                                \
	X(ROOM, "room")                                                                                                \
	X(AUTH_EVENTS, "auth_events")                                                                                  \
	X(AUTH_EVENTS_TWICE, "auth_events.twice")                                                                      \
	X(AUTH_EVENTS_OTHERS, "auth_events.others")                                                                    \
	X(AUTH_EVENTS_REJECTED, "auth_events.rejected")                                                                \
	X(AUTH_EVENTS_CREATE, "auth_events.create")                                                                    \
	X(AUTH_EVENTS_ROOM, "auth_events.room")                                                                        \
	X(FEDERATE, "federate")                                                                                        \
	X(ALIASES, "aliases")                                                                                          \
	X(ALIASES_STATE_KEY, "aliases.state_key")                                                                      \
	X(ALIASES_DOMAIN, "aliases.domain")                                                                            \
	X(ALIASES_ALLOW, "aliases.allow")                                                                              \
	X(MEMBER, "member")                                                                                            \
	X(MEMBER_FORM, "member.form")                                                                                  \
	X(MEMBER_AUTHORISED, "member.authorised")                                                                      \
	X(MEMBER_AUTHORISED_SIGNED, "member.authorised.signed")                                                        \
	X(JOIN, "join")                                                                                                \
	X(JOIN_FIRST, "join.first")                                                                                    \
	X(JOIN_OTHER, "join.other")                                                                                    \
	X(JOIN_BANNED, "join.banned")                                                                                  \
	X(JOIN_INVITED, "join.invited")                                                                                \
	X(JOIN_RESTRICTED, "join.restricted")                                                                          \
	X(JOIN_RESTRICTED_INVITED, "join.restricted.invited")                                                          \
	X(JOIN_RESTRICTED_AUTHORISER, "join.restricted.authoriser")                                                    \
	X(JOIN_RESTRICTED_ALLOW, "join.restricted.allow")                                                              \
	X(JOIN_PUBLIC, "join.public")                                                                                  \
	X(JOIN_OTHERWISE, "join.otherwise")                                                                            \
	X(INVITE, "invite")                                                                                            \
	X(INVITE_3PID, "invite.3pid")                                                                                  \
	X(INVITE_3PID_BANNED, "invite.3pid.banned")                                                                    \
	X(INVITE_3PID_SIGNED, "invite.3pid.signed")                                                                    \
	X(INVITE_3PID_FORM, "invite.3pid.form")                                                                        \
	X(INVITE_3PID_MXID, "invite.3pid.mxid")                                                                        \
	X(INVITE_3PID_TOKEN, "invite.3pid.token")                                                                      \
	X(INVITE_3PID_SENDER, "invite.3pid.sender")                                                                    \
	X(INVITE_3PID_SIGNATURE, "invite.3pid.signature")                                                              \
	X(INVITE_3PID_OTHERWISE, "invite.3pid.otherwise")                                                              \
	X(INVITE_SENDER, "invite.sender")                                                                              \
	X(INVITE_TARGET, "invite.target")                                                                              \
	X(INVITE_LEVEL, "invite.level")                                                                                \
	X(INVITE_OTHERWISE, "invite.otherwise")                                                                        \
	X(LEAVE, "leave")                                                                                              \
	X(LEAVE_OWN, "leave.own")                                                                                      \
	X(LEAVE_SENDER, "leave.sender")                                                                                \
	X(LEAVE_BANNED, "leave.banned")                                                                                \
	X(LEAVE_KICK, "leave.kick")                                                                                    \
	X(LEAVE_OTHERWISE, "leave.otherwise")                                                                          \
	X(BAN, "ban")                                                                                                  \
	X(BAN_SENDER, "ban.sender")                                                                                    \
	X(BAN_LEVEL, "ban.level")                                                                                      \
	X(BAN_OTHERWISE, "ban.otherwise")                                                                              \
	X(KNOCK, "knock")                                                                                              \
	X(KNOCK_RULE, "knock.rule")                                                                                    \
	X(KNOCK_OTHER, "knock.other")                                                                                  \
	X(KNOCK_ALLOW, "knock.allow")                                                                                  \
	X(KNOCK_OTHERWISE, "knock.otherwise")                                                                          \
	X(MEMBER_UNKNOWN, "member.unknown")                                                                            \
	X(SENDER, "sender")                                                                                            \
	X(THIRD_PARTY_INVITE, "third_party_invite")                                                                    \
	X(THIRD_PARTY_INVITE_LEVEL, "third_party_invite.level")                                                        \
	X(LEVEL, "level")                                                                                              \
	X(STATE_KEY, "state_key")                                                                                      \
	X(LEVELS, "levels")                                                                                            \
	X(LEVELS_FORM, "levels.form")                                                                                  \
	X(LEVELS_FORM_MAPS, "levels.form.maps")                                                                        \
	X(LEVELS_FORM_USERS, "levels.form.users")                                                                      \
	X(LEVELS_CREATORS, "levels.creators")                                                                          \
	X(LEVELS_FIRST, "levels.first")                                                                                \
	X(LEVELS_NAMED, "levels.named")                                                                                \
	X(LEVELS_NAMED_OLD, "levels.named.old")                                                                        \
	X(LEVELS_NAMED_NEW, "levels.named.new")                                                                        \
	X(LEVELS_MAPS_OLD, "levels.maps.old")                                                                          \
	X(LEVELS_MAPS_OLD_HIGHER, "levels.maps.old.higher")                                                            \
	X(LEVELS_MAPS_NEW, "levels.maps.new")                                                                          \
	X(LEVELS_MAPS_NEW_HIGHER, "levels.maps.new.higher")                                                            \
	X(LEVELS_USERS_OLD, "levels.users.old")                                                                        \
	X(LEVELS_USERS_OLD_HIGHER, "levels.users.old.higher")                                                          \
	X(LEVELS_USERS_NEW, "levels.users.new")                                                                        \
	X(LEVELS_USERS_NEW_HIGHER, "levels.users.new.higher")                                                          \
	X(LEVELS_ALLOW, "levels.allow")                                                                                \
	X(REDACTION, "redaction")                                                                                      \
	X(REDACTION_LEVEL, "redaction.level")                                                                          \
	X(REDACTION_DOMAIN, "redaction.domain")                                                                        \
	X(REDACTION_OTHERWISE, "redaction.otherwise")                                                                  \
	X(ALLOW, "allow")                                                                                              \
	/* What other sections say, and what follows from them. */                                                     \
	X(CYCLE, "cycle")                                                                                              \
	X(TARGET, "target")                                                                                            \
	X(LEVEL_TEXT, "level.text")                                                                                    \
	X(LEVEL_RANGE, "level.range")

enum auth_rule {
	RULE_NONE,
#define X(rule, name) RULE_##rule,
	AUTH_RULES(X)
#undef X
		RULES_END
};

/* "join.restricted.allow": the same in every room version. */
str auth_rule_name(enum auth_rule rule);

struct auth_citation {
	str page;    /* "rooms/v6", of https://spec.matrix.org/latest/ */
	str section; /* "Authorisation rules" */
	str number;  /* "4.3.2", as the page shows it; "" where the section has no numbers */
	str text;    /* the sentence */
};
/* False when the room version has no such rule. */
bool auth_rule_cite(struct arena *a, const struct room_version *rv, enum auth_rule rule, struct auth_citation *out);
/* All rules of a version's list in order: the i-th, or RULE_NONE past the last. */
enum auth_rule auth_rule_at(const struct room_version *rv, size_t i);

/* The rule that a refusal of auth.h rests on; RULE_NONE for other errors and for NULL. */
enum auth_rule auth_rule_of(const err *e);
/* rooms/v6, Authorisation rules, 4.3.2: "If the sender does not match state_key, reject." */
str auth_rule_text(struct arena *a, const struct room_version *rv, enum auth_rule rule);
