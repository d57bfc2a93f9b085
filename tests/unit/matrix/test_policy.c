/* A room's policy server: which m.room.policy names one, and what counts as its signature. */
#include "matrix/fixture.h"

#include "base/b64.h"
#include "matrix/policy.h"

static struct event *policy_event(const char *content)
{
	const struct event_fields f = {
		.room_id = S("!r:domain"),
		.sender = S("@a:domain"),
		.type = S("m.room.policy"),
		.state_key = S(""),
		.content = parse(content),
		.origin_server_ts = 1,
		.depth = 2,
	};
	struct event *ev;

	must(event_build(A, room_version_find(S("11")), &f, &SIGNER, &ev));
	return ev;
}

static void a_policy_is_valid_or_none(void **state)
{
	static const struct {
		const char *what, *content;
		bool valid, has_key;
	} cases[] = {
		{ "as it should be",
		  "{\"via\":\"p.example\",\"public_keys\":{\"ed25519\":\"XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI\"}}",
		  true, true },
		{ "with more",
		  "{\"via\":\"p.example:8448\",\"public_keys\":{\"x\":1,\"ed25519\":\"XGX0JRS2Af3be3knz2fBiRbApjm2Dh61gXDJA8kcJNI\"}}",
		  true, true },
		{ "emptied", "{}", false, false },
		{ "without a server", "{\"public_keys\":{\"ed25519\":\"x\"}}", false, false },
		{ "a server that is none", "{\"via\":\"p example\",\"public_keys\":{\"ed25519\":\"x\"}}", false,
		  false },
		{ "a server of the wrong kind", "{\"via\":[],\"public_keys\":{\"ed25519\":\"x\"}}", false, false },
		{ "without keys", "{\"via\":\"p.example\"}", false, false },
		{ "keys of the wrong kind", "{\"via\":\"p.example\",\"public_keys\":[\"ed25519\"]}", false, false },
		{ "without the key", "{\"via\":\"p.example\",\"public_keys\":{\"rsa\":\"x\"}}", false, false },
		{ "a key of the wrong kind", "{\"via\":\"p.example\",\"public_keys\":{\"ed25519\":1}}", false, false },
		/* It is a string, so the room uses a policy server, of which no signature is good. */
		{ "a key that is none", "{\"via\":\"p.example\",\"public_keys\":{\"ed25519\":\"x\"}}", true, false },
		{ "no text", "{\"via\":\"p.example\",\"public_keys\":{\"ed25519\":\"\"}}", true, false },
	};
	struct policy_server by;

	(void)state;
	assert_false(policy_server_of(A, NULL, &by));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const bool valid = policy_server_of(A, policy_event(cases[i].content), &by);

		if (valid != cases[i].valid || (valid && by.has_key != cases[i].has_key))
			fail_msg("%s", cases[i].what);
	}
}

static void only_its_key_of_the_room_signs(void **state)
{
	const struct room_version *rv = room_version_find(S("11"));
	struct policy_server by = { .name = S("p.example"), .has_key = true };
	const struct signer good = { S("p.example"), POLICY_KEY_ID, &KEY },
			    other_name = { S("q.example"), POLICY_KEY_ID, &KEY },
			    other_key = { S("p.example"), S("ed25519:1"), &KEY };
	struct event *ev = policy_event("{}"), *signed_by;

	(void)state;
	memcpy(by.key, KEY.public_key, sizeof(by.key));
	assert_false(policy_has_signed(A, rv, ev, &by));
	must(event_sign(A, rv, ev, &other_name, &signed_by));
	assert_false(policy_has_signed(A, rv, signed_by, &by));
	/* What it is known by as a homeserver is another key: "to keep [the two] separate". */
	must(event_sign(A, rv, ev, &other_key, &signed_by));
	assert_false(policy_has_signed(A, rv, signed_by, &by));
	must(event_sign(A, rv, ev, &good, &signed_by));
	assert_true(policy_has_signed(A, rv, signed_by, &by));
	by.has_key = false;
	assert_false(policy_has_signed(A, rv, signed_by, &by));
	by.has_key = true;
	by.key[0] ^= 1;
	assert_false(policy_has_signed(A, rv, signed_by, &by));
	/* Which key counts is said by this event alone. */
	assert_true(policy_exempts(ev));
	ev->state_key = S("x");
	assert_false(policy_exempts(ev));
	ev->state_key = STR_NONE;
	assert_false(policy_exempts(ev));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_policy_is_valid_or_none),
		TEST(only_its_key_of_the_room_signs),
	};

	return cmocka_run_group_tests_name("matrix/policy", tests, NULL, NULL);
}
