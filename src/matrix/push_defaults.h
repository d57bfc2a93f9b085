/* push_defaults.h - the predefined rules of v1.19, in order of priority within their kind. A "pattern_type" or
 * "value_type" of user_id stands for the user's own id. */
#pragma once

#include "base/str.h"

static const str push_defaults_override = STR(
	"[{\"rule_id\":\".m.rule.master\",\"enabled\":false,\"conditions\":[],\"actions\":[]},"
	"{\"rule_id\":\".m.rule.suppress_notices\",\"conditions\":["
	"{\"kind\":\"event_match\",\"key\":\"content.msgtype\",\"pattern\":\"m.notice\"}],\"actions\":[]},"
	"{\"rule_id\":\".m.rule.invite_for_me\",\"conditions\":["
	"{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"m.room.member\"},"
	"{\"kind\":\"event_match\",\"key\":\"content.membership\",\"pattern\":\"invite\"},"
	"{\"kind\":\"event_match\",\"key\":\"state_key\",\"pattern_type\":\"user_id\"}],"
	"\"actions\":[\"notify\",{\"set_tweak\":\"sound\",\"value\":\"default\"}]},"
	"{\"rule_id\":\".m.rule.member_event\",\"conditions\":["
	"{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"m.room.member\"}],\"actions\":[]},"
	"{\"rule_id\":\".m.rule.is_user_mention\",\"conditions\":["
	"{\"kind\":\"event_property_contains\",\"key\":\"content.m\\\\.mentions.user_ids\",\"value_type\":\"user_id\"}],"
	"\"actions\":[\"notify\",{\"set_tweak\":\"sound\",\"value\":\"default\"},{\"set_tweak\":\"highlight\"}]},"
	"{\"rule_id\":\".m.rule.is_room_mention\",\"conditions\":["
	"{\"kind\":\"event_property_is\",\"key\":\"content.m\\\\.mentions.room\",\"value\":true},"
	"{\"kind\":\"sender_notification_permission\",\"key\":\"room\"}],"
	"\"actions\":[\"notify\",{\"set_tweak\":\"highlight\"}]},"
	"{\"rule_id\":\".m.rule.tombstone\",\"conditions\":["
	"{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"m.room.tombstone\"},"
	"{\"kind\":\"event_match\",\"key\":\"state_key\",\"pattern\":\"\"}],"
	"\"actions\":[\"notify\",{\"set_tweak\":\"highlight\"}]},"
	"{\"rule_id\":\".m.rule.reaction\",\"conditions\":["
	"{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"m.reaction\"}],\"actions\":[]},"
	"{\"rule_id\":\".m.rule.room.server_acl\",\"conditions\":["
	"{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"m.room.server_acl\"},"
	"{\"kind\":\"event_match\",\"key\":\"state_key\",\"pattern\":\"\"}],\"actions\":[]},"
	"{\"rule_id\":\".m.rule.suppress_edits\",\"conditions\":["
	"{\"kind\":\"event_property_is\",\"key\":\"content.m\\\\.relates_to.rel_type\",\"value\":\"m.replace\"}],"
	"\"actions\":[]}]");

static const str push_defaults_underride =
	STR("[{\"rule_id\":\".m.rule.call\",\"conditions\":["
	    "{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"m.call.invite\"}],"
	    "\"actions\":[\"notify\",{\"set_tweak\":\"sound\",\"value\":\"ring\"}]},"
	    "{\"rule_id\":\".m.rule.encrypted_room_one_to_one\",\"conditions\":["
	    "{\"kind\":\"room_member_count\",\"is\":\"2\"},"
	    "{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"m.room.encrypted\"}],"
	    "\"actions\":[\"notify\",{\"set_tweak\":\"sound\",\"value\":\"default\"}]},"
	    "{\"rule_id\":\".m.rule.room_one_to_one\",\"conditions\":["
	    "{\"kind\":\"room_member_count\",\"is\":\"2\"},"
	    "{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"m.room.message\"}],"
	    "\"actions\":[\"notify\",{\"set_tweak\":\"sound\",\"value\":\"default\"}]},"
	    "{\"rule_id\":\".m.rule.message\",\"conditions\":["
	    "{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"m.room.message\"}],\"actions\":[\"notify\"]},"
	    "{\"rule_id\":\".m.rule.encrypted\",\"conditions\":["
	    "{\"kind\":\"event_match\",\"key\":\"type\",\"pattern\":\"m.room.encrypted\"}],\"actions\":[\"notify\"]}]");
