/* device_lists.c - noting that a user's devices or keys changed. */
#include "e2ee/device_lists.h"

#include "bus/bus.h"
#include "e2ee/internal_e2ee.h"
#include "store/device_lists.h"
#include "store/membership.h"
#include "store/tx.h"

err *device_list_note_write(struct tx *tx, struct device_list_note *n)
{
	int64_t *rooms;

	TRY(tx_position(tx, &n->position));
	TRY(store_device_list_changed(tx, n->user, n->position));
	TRY(store_joined_rooms(tx, n->user, &rooms, &n->n_rooms));
	n->rooms = ARENA_ARRAY(n->a, int64_t, n->n_rooms);
	for (size_t i = 0; i < n->n_rooms; i++)
		n->rooms[i] = rooms[i];
	return NULL;
}

void device_list_note_tell(struct bus *bus, const struct device_list_note *n)
{
	bus_touch_user(bus, n->user, BUS_DEVICE_LISTS, n->position);
	for (size_t i = 0; i < n->n_rooms; i++)
		bus_touch_room(bus, n->rooms[i], BUS_DEVICE_LISTS, n->position);
}
