/* X-Matrix: every way in which a header may be written, what is none, and signatures that another implementation made.
 */
#include "matrix/fixture.h"

#include "matrix/x_matrix.h"

static void read_in_every_form(void **state)
{
	static const char *const rows[] = {
		"X-Matrix origin=\"a.b\",destination=\"c.d:1\",key=\"ed25519:1\",sig=\"AB+/\"",
		"x-mAtRiX origin=\"a.b\",destination=\"c.d:1\",key=\"ed25519:1\",sig=\"AB+/\"",
		"X-Matrix   origin=\"a.b\",destination=\"c.d:1\",key=\"ed25519:1\",sig=\"AB+/\"  ",
		"X-Matrix ORIGIN=\"a.b\",Destination=\"c.d:1\",KEY=\"ed25519:1\",Sig=\"AB+/\"",
		"X-Matrix sig=\"AB+/\" \t,\t key=\"ed25519:1\" ,destination=\"c.d:1\", origin=\"a.b\"",
		"X-Matrix origin=a.b,destination=c.d:1,key=ed25519:1,sig=\"AB+/\"",
		"X-Matrix origin = a.b , destination=\t\"c.d:1\",key=ed25519:1,sig=\"AB+/\"",
		"X-Matrix origin=\"\\a.b\",destination=\"c\\.d:1\",key=\"ed25519:1\",sig=\"A\\B+/\"",
		"X-Matrix ,,origin=a.b, ,destination=c.d:1,key=ed25519:1,sig=\"AB+/\",",
		"X-Matrix origin=a.b,other=\"x,sig=\\\"\",destination=c.d:1,key=ed25519:1,sig=\"AB+/\",more=1,more=2",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct x_matrix x;

		ok(x_matrix_parse(A, str_c(rows[i]), &x), "%s", rows[i]);
		assert_str(x.origin, S("a.b"));
		assert_str(x.destination, S("c.d:1"));
		assert_str(x.key_id, S("ed25519:1"));
		assert_str(x.signature, S("AB+/"));
	}
}

/* "For compatibility with older servers, recipients should accept requests without this parameter" */
static void destination_may_be_absent(void **state)
{
	struct x_matrix x;

	(void)state;
	assert_true(x_matrix_parse(A, S("X-Matrix origin=a.b,key=k,sig=s"), &x));
	assert_true(str_is_none(x.destination));
}

static void refused(void **state)
{
	static const char *const rows[] = {
		"",
		"X-Matrix",
		"X-Matrix ",
		"Bearer origin=a.b,key=k,sig=s",
		"X-Matrixorigin=a.b,key=k,sig=s",
		"X-Matrix\torigin=a.b,key=k,sig=s",
		"X-Matrix key=k,sig=s",
		"X-Matrix origin=a.b,sig=s",
		"X-Matrix origin=a.b,key=k",
		"X-Matrix origin=\"\",key=k,sig=s",
		"X-Matrix origin=\"a b\",key=k,sig=s",
		"X-Matrix origin=\"a/b\",key=k,sig=s",
		"X-Matrix origin=a.b,destination=\"c/d\",key=k,sig=s",
		"X-Matrix origin=a.b,destination=\"\",key=k,sig=s",
		"X-Matrix origin=a.b,origin=a.b,key=k,sig=s",
		"X-Matrix origin=a.b,key=k,sig=s,SIG=t",
		"X-Matrix origin=a.b key=k,sig=s",
		"X-Matrix origin=a.b;key=k;sig=s",
		"X-Matrix origin=a.b,key=k,sig=s;x=y",
		"X-Matrix origin,key=k,sig=s",
		"X-Matrix origin=,key=k,sig=s",
		"X-Matrix =a.b,key=k,sig=s",
		"X-Matrix or:igin=a.b,origin=a.b,key=k,sig=s",
		"X-Matrix origin=a.b,key=k,sig=\"s",
		"X-Matrix origin=a.b,key=k,sig=\"",
		"X-Matrix origin=a.b,key=k,sig=\"s\\",
		"X-Matrix origin=a.b,key=k,sig=\"s\\\"",
		"X-Matrix origin=a.b,key=k,sig=\"s\"t",
	};
	struct x_matrix x = { .origin = STR("untouched") };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		ok(!x_matrix_parse(A, str_c(rows[i]), &x), "%s", rows[i]);
	assert_false(x_matrix_parse(A, S("X-Matrix origin=a.b,key=k\0,sig=s"), &x));
	assert_str(x.origin, S("untouched"));
}

/* Made with Synapse's own library (signedjson) and the seed 00 01 02 ... 1f. */
static void signed_as_others_sign(void **state)
{
	static const char body[] = "{\"pdus\":[],\"\u00e4\":\"\u00df\"}";
	const struct x_matrix_request rows[] = {
		{ S("PUT"), S("/_matrix/federation/v1/send/1?a=%20b"), S("a.example"), S("b.example:8448"),
		  parse(body) },
		{ S("GET"), S("/_matrix/key/v2/x"), S("a.example"), S("b.example"), NULL },
	};
	static const char *const signatures[] = {
		"UT3L55D9un0xW1retaUSOsrfMzHeUJDwtO8i6cN63QdUHCZO7thfUUPcZNhuc0Pb3hOUlFK5aE5a6JiBvixWAw",
		"Xmqh3Dp6uY37qBz2oSgzJHI/KWIOOXwWaKSHomKb10SfO7Ex6olHe9Vphgk0kRPmHMO12qou/9e+BE7UnfuJDw",
	};
	struct ed25519_key key;
	uint8_t seed[32];

	(void)state;
	for (uint8_t i = 0; i < sizeof(seed); i++)
		seed[i] = i;
	ed25519_from_seed(&key, seed);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct signer by = { rows[i].origin, S("ed25519:a_1"), &key };
		struct x_matrix x;
		str header, bytes;

		must(x_matrix_write(A, &rows[i], &by, &header));
		assert_true(x_matrix_parse(A, header, &x));
		assert_str(x.origin, rows[i].origin);
		assert_str(x.destination, rows[i].destination);
		assert_str(x.key_id, S("ed25519:a_1"));
		assert_str(x.signature, str_c(signatures[i]));
		must(x_matrix_bytes(A, &rows[i], &bytes));
		assert_true(sign_verify_bytes(A, bytes, x.signature, key.public_key));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(read_in_every_form),
		TEST(destination_may_be_absent),
		TEST(refused),
		TEST(signed_as_others_sign),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
