/*
 * tree.c - looking into trees, and building them.
 *
 * An object with few members is searched from its end (so that the last of duplicate keys wins). One with many carries
 * an index: a table of member numbers placed by a keyed hash, at most half full, which the parser builds and json_set
 * keeps.
 */
#include <assert.h>

#include "base/map.h"
#include "json/internal_json.h"

struct slot {
	uint32_t hash;
	uint32_t member; /* its number + 1; 0: free */
};

struct json_index {
	size_t cap; /* a power of two */
	struct slot slots[];
};

static struct slot *find_slot(struct json_index *ix, const struct json *object, str key, uint32_t hash)
{
	for (size_t at = hash & (ix->cap - 1);; at = (at + 1) & (ix->cap - 1)) {
		struct slot *s = &ix->slots[at];

		if (s->member == 0)
			return s;
		if (s->hash == hash && str_eq(object->object.members[s->member - 1].key, key))
			return s;
	}
}

/* Puts member i into the index; true when its key was there before (then the later one stays). */
static bool index_add(struct json_index *ix, const struct json *object, size_t i)
{
	const str key = object->object.members[i].key;
	const uint32_t hash = (uint32_t)hash_str(key);
	struct slot *s = find_slot(ix, object, key, hash);
	const bool there = s->member != 0;

	*s = (struct slot){ hash, (uint32_t)(i + 1) };
	return there;
}

struct json_index *json_index_build(struct arena *a, const struct json *object, bool *out_dup)
{
	struct json_index *ix;
	size_t cap = 2 * JSON_INDEX_FROM;

	assert(object->object.n < UINT32_MAX / 4);
	/* Room to double before it is built again. */
	while (cap < 4 * object->object.n)
		cap *= 2;
	ix = arena_zalloc(a, sizeof(*ix) + cap * sizeof(ix->slots[0]));
	ix->cap = cap;
	for (size_t i = 0; i < object->object.n; i++)
		if (index_add(ix, object, i))
			*out_dup = true;
	return ix;
}

static struct json_member *find(const struct json *object, str key)
{
	if (!json_is(object, JSON_OBJECT))
		return NULL;
	if (object->object.index) {
		const struct slot *s = find_slot(object->object.index, object, key, (uint32_t)hash_str(key));

		return s->member ? &object->object.members[s->member - 1] : NULL;
	}
	for (size_t i = object->object.n; i-- > 0;)
		if (str_eq(object->object.members[i].key, key))
			return &object->object.members[i];
	return NULL;
}

const struct json *json_get(const struct json *object, str key)
{
	const struct json_member *m = find(object, key);

	return m ? m->value : NULL;
}

str json_get_str(const struct json *object, str key) { return json_str(json_get(object, key)); }

bool json_get_int(const struct json *object, str key, int64_t *out)
{
	const struct json *v = json_get(object, key);

	if (!json_is(v, JSON_INT))
		return false;
	*out = v->i;
	return true;
}

bool json_get_bool(const struct json *object, str key, bool otherwise)
{
	const struct json *v = json_get(object, key);

	return json_is(v, JSON_BOOL) ? v->b : otherwise;
}

const struct json *json_get_object(const struct json *object, str key)
{
	const struct json *v = json_get(object, key);

	return json_is(v, JSON_OBJECT) ? v : NULL;
}

const struct json *json_get_array(const struct json *object, str key)
{
	const struct json *v = json_get(object, key);

	return json_is(v, JSON_ARRAY) ? v : NULL;
}

bool json_lists(const struct json *array, str text)
{
	JSON_ITEMS (array, i)
		if (json_is(array->array.items[i], JSON_STR) && str_eq(array->array.items[i]->s, text))
			return true;
	return false;
}

static struct json *new_value(struct arena *a, enum json_kind kind)
{
	struct json *v = ARENA_NEW(a, struct json);

	v->kind = kind;
	return v;
}

struct json *json_new_object(struct arena *a) { return new_value(a, JSON_OBJECT); }

struct json *json_new_array(struct arena *a) { return new_value(a, JSON_ARRAY); }

struct json *json_new_str(struct arena *a, str s)
{
	struct json *v = new_value(a, JSON_STR);

	v->s = str_is_none(s) ? S("") : s;
	return v;
}

struct json *json_new_int(struct arena *a, int64_t i)
{
	struct json *v = new_value(a, JSON_INT);

	v->i = i;
	return v;
}

struct json *json_new_bool(struct arena *a, bool b)
{
	struct json *v = new_value(a, JSON_BOOL);

	v->b = b;
	return v;
}

struct json *json_new_null(struct arena *a) { return new_value(a, JSON_NULL); }

/* Room for one more of `item` bytes after the n at p: where there is none, a copy with room for a power of two. */
static void *make_room(struct arena *a, struct json *v, void *p, size_t n, size_t item)
{
	void *bigger;

	if (v->room && n < (size_t)1 << v->room)
		return p;
	v->room = 2;
	while ((size_t)1 << v->room <= n)
		v->room++;
	bigger = arena_calloc(a, (size_t)1 << v->room, item);
	if (n)
		memcpy(bigger, p, n * item);
	return bigger;
}

static void remove_member(struct json *object, size_t i)
{
	struct json_member *m = object->object.members;

	memmove(m + i, m + i + 1, (object->object.n - i - 1) * sizeof(*m));
	object->object.n--;
}

/* The index after members moved: emptied and filled again (it never needs to be larger than it was). */
static void refill_index(struct json *object)
{
	struct json_index *ix = object->object.index;

	if (!ix)
		return;
	memset(ix->slots, 0, ix->cap * sizeof(ix->slots[0]));
	for (size_t i = 0; i < object->object.n; i++)
		index_add(ix, object, i);
}

/* Of duplicate keys, only the last stays. */
static void settle(struct json *object)
{
	size_t kept = 0;

	object->raw = STR_NONE;
	if (!object->dup)
		return;
	/* Which ones are last is asked of the members as they were: the answer must not depend on those already
	 * moved. */
	for (size_t i = 0; i < object->object.n; i++)
		if (find(object, object->object.members[i].key) != &object->object.members[i])
			object->object.members[i].value = NULL;
	for (size_t i = 0; i < object->object.n; i++)
		if (object->object.members[i].value)
			object->object.members[kept++] = object->object.members[i];
	object->object.n = kept;
	object->dup = false;
	refill_index(object);
}

void json_set(struct arena *a, struct json *object, str key, const struct json *value)
{
	struct json_member *m;
	bool dup = false;

	assert(json_is(object, JSON_OBJECT) && value && !str_is_none(key));
	settle(object);
	m = find(object, key);
	if (m) {
		m->value = (struct json *)value;
		return;
	}
	object->object.members =
		make_room(a, object, object->object.members, object->object.n, sizeof(*object->object.members));
	object->object.members[object->object.n++] = (struct json_member){ key, (struct json *)value };
	if (object->object.index && 2 * object->object.n <= object->object.index->cap)
		index_add(object->object.index, object, object->object.n - 1);
	else if (object->object.n > JSON_INDEX_FROM)
		object->object.index = json_index_build(a, object, &dup);
	assert(!dup);
}

void json_del(struct json *object, str key)
{
	struct json_member *m;

	assert(json_is(object, JSON_OBJECT));
	m = find(object, key);
	if (!m)
		return;
	settle(object);
	remove_member(object, (size_t)(find(object, key) - object->object.members));
	refill_index(object);
}

void json_append(struct arena *a, struct json *array, const struct json *value)
{
	assert(json_is(array, JSON_ARRAY) && value);
	array->raw = STR_NONE;
	array->array.items = make_room(a, array, array->array.items, array->array.n, sizeof(*array->array.items));
	array->array.items[array->array.n++] = (struct json *)value;
}

static struct json_index *copy_index(struct arena *a, const struct json_index *ix)
{
	const size_t size = sizeof(*ix) + ix->cap * sizeof(ix->slots[0]);

	return memcpy(arena_alloc(a, size), ix, size);
}

struct json *json_copy(struct arena *a, const struct json *object)
{
	struct json *c = new_value(a, JSON_OBJECT);

	assert(json_is(object, JSON_OBJECT));
	*c = *object;
	c->room = 0;
	/* With room for more: copies are made to be added to. */
	if (c->object.n)
		c->object.members = make_room(a, c, c->object.members, c->object.n, sizeof(*c->object.members));
	if (c->object.index)
		c->object.index = copy_index(a, c->object.index);
	return c;
}

/* The members that count: all, but for those that a later one with the same key overrides. */
static size_t count_effective(const struct json *object)
{
	size_t n = object->object.n;

	if (!object->dup)
		return n;
	for (size_t i = 0; i < object->object.n; i++)
		n -= find(object, object->object.members[i].key) != &object->object.members[i];
	return n;
}

static bool equal_objects(const struct json *a, const struct json *b)
{
	if (count_effective(a) != count_effective(b))
		return false;
	JSON_EACH (a, m) {
		const struct json *other = json_get(b, m->key);

		if (a->dup && find(a, m->key) != m)
			continue;
		if (!other || !json_equal(m->value, other))
			return false;
	}
	return true;
}

bool json_equal(const struct json *a, const struct json *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->kind != b->kind)
		return false;
	switch (a->kind) {
	case JSON_NULL:
		return true;
	case JSON_BOOL:
		return a->b == b->b;
	case JSON_INT:
		return a->i == b->i;
	case JSON_NUMBER:
		return str_eq(a->raw, b->raw);
	case JSON_STR:
		return str_eq(a->s, b->s);
	case JSON_ARRAY:
		if (a->array.n != b->array.n)
			return false;
		for (size_t i = 0; i < a->array.n; i++)
			if (!json_equal(a->array.items[i], b->array.items[i]))
				return false;
		return true;
	case JSON_OBJECT:
		return equal_objects(a, b);
	}
	return false;
}
