/*
 * pg_value.c - parameters and columns in PostgreSQL's binary form: big-endian numbers, bytes as they are, arrays with a
 * header. All our columns are BIGINT or BYTEA; what expressions give besides (integers of other widths, booleans, the
 * NUMERIC of sum()) is read as a number, too.
 */
#include <assert.h>
#include <endian.h>

#include "store/driver/internal_pg.h"

enum { OID_BOOL = 16, OID_BYTEA = 17, OID_INT8 = 20, OID_INT2 = 21, OID_INT4 = 23, OID_NUMERIC = 1700 };
enum { OID_BYTEA_ARRAY = 1001, OID_INT8_ARRAY = 1016 };

static void put_u32(char **at, uint32_t v)
{
	const uint32_t big = htobe32(v);

	memcpy(*at, &big, sizeof(big));
	*at += sizeof(big);
}

static void put_i64(char **at, int64_t v)
{
	const uint64_t big = htobe64((uint64_t)v);

	memcpy(*at, &big, sizeof(big));
	*at += sizeof(big);
}

/* Header of an array: dimensions, has it NULLs, type of the items; for the one dimension its length and lower bound. */
static void put_array_head(char **at, uint32_t type, size_t n)
{
	put_u32(at, n ? 1 : 0);
	put_u32(at, 0);
	put_u32(at, type);
	if (n) {
		put_u32(at, (uint32_t)n);
		put_u32(at, 1);
	}
}

static str ints_array(struct arena *a, struct i64s v)
{
	char *start = arena_alloc(a, 20 + v.n * 12), *at = start;

	put_array_head(&at, OID_INT8, v.n);
	for (size_t i = 0; i < v.n; i++) {
		put_u32(&at, 8);
		put_i64(&at, v.p[i]);
	}
	return (str){ start, (size_t)(at - start) };
}

static str strs_array(struct arena *a, struct strs v)
{
	size_t size = 20;
	char *start, *at;

	for (size_t i = 0; i < v.n; i++)
		size += 4 + v.p[i].n;
	assert(size <= INT32_MAX);
	start = at = arena_alloc(a, size);
	put_array_head(&at, OID_BYTEA, v.n);
	for (size_t i = 0; i < v.n; i++) {
		put_u32(&at, (uint32_t)v.p[i].n);
		if (v.p[i].n)
			memcpy(at, v.p[i].p, v.p[i].n);
		at += v.p[i].n;
	}
	return (str){ start, (size_t)(at - start) };
}

void pg_params_fill(struct pg_params *p, struct arena *a, const struct bind *b, size_t n)
{
	assert(n <= SQL_MAX_PARAMS);
	p->n = (int)n;
	for (size_t i = 0; i < n; i++) {
		char *number = p->numbers[i];
		str v = STR_NONE;

		p->types[i] = 0;
		switch (b[i].kind) {
		case BIND_NULL:
			break;
		case BIND_INT:
			p->types[i] = OID_INT8;
			put_i64(&number, b[i].i);
			v = (str){ p->numbers[i], 8 };
			break;
		case BIND_STR:
			p->types[i] = OID_BYTEA;
			v = b[i].s;
			break;
		case BIND_STRS:
			p->types[i] = OID_BYTEA_ARRAY;
			v = strs_array(a, b[i].ss);
			break;
		case BIND_INTS:
			p->types[i] = OID_INT8_ARRAY;
			v = ints_array(a, b[i].ii);
			break;
		}
		assert(v.n <= INT32_MAX);
		p->values[i] = v.p;
		p->lengths[i] = (int)v.n;
		p->formats[i] = 1;
	}
}

static uint16_t u16_at(const char *p)
{
	uint16_t big;

	memcpy(&big, p, sizeof(big));
	return be16toh(big);
}

/* NUMERIC: digits in base 10,000, weight of the first one, sign (0x4000: negative), decimals; then the digits. A
 * fraction is cut off. */
static int64_t from_numeric(const char *p)
{
	const int n = u16_at(p), weight = (int16_t)u16_at(p + 2);
	int64_t v = 0;

	for (int i = 0; i <= weight; i++)
		if (__builtin_mul_overflow(v, 10000, &v) ||
		    __builtin_add_overflow(v, i < n ? u16_at(p + 8 + 2 * i) : 0, &v))
			return INT64_MAX;
	return u16_at(p + 4) == 0x4000 ? -v : v;
}

int64_t pg_number(const PGresult *r, int row, int col)
{
	const char *p = PQgetvalue(r, row, col);
	uint64_t big8;
	uint32_t big4;

	if (PQgetisnull(r, row, col))
		return 0;
	switch (PQftype(r, col)) {
	case OID_INT8:
		memcpy(&big8, p, sizeof(big8));
		return (int64_t)be64toh(big8);
	case OID_INT4:
		memcpy(&big4, p, sizeof(big4));
		return (int32_t)be32toh(big4);
	case OID_INT2:
		return (int16_t)u16_at(p);
	case OID_BOOL:
		return *p != 0;
	case OID_NUMERIC:
		return from_numeric(p);
	default:
		return 0;
	}
}

str pg_bytes(const PGresult *r, int row, int col)
{
	if (PQgetisnull(r, row, col))
		return STR_NONE;
	switch (PQftype(r, col)) {
	case OID_INT8:
	case OID_INT4:
	case OID_INT2:
	case OID_BOOL:
	case OID_NUMERIC:
		return STR_NONE;
	default:
		return (str){ PQgetvalue(r, row, col), (size_t)PQgetlength(r, row, col) };
	}
}
