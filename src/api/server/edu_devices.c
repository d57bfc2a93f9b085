/* edu_devices.c - m.device_list_update, m.signing_key_update, m.direct_to_device. Server-Server API, "Device
 * Management", "Send-to-device messaging". */
#include "api/server/edus.h"

#include "e2ee/remote_lists.h"
#include "e2ee/to_device.h"

err *edu_device_list(const struct edu *edu)
{
	return remote_list_update(edu->services->e2ee, edu->arena, edu->origin, edu->content);
}

err *edu_signing_key(const struct edu *edu)
{
	return remote_signing_key_update(edu->services->e2ee, edu->arena, edu->origin, edu->content);
}

err *edu_to_device(const struct edu *edu)
{
	return to_device_receive(edu->services->e2ee, edu->arena, edu->origin, edu->content);
}
