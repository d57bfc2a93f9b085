/*
 * privileges.c - gives up what a homeserver does not need.
 *
 * It needs no root. Started as root all the same (in a container, by a test), it keeps the two capabilities that
 * starting so is usually meant for: ports below 1024, and files that others own. Nothing it may later execute gains
 * more than it has. Capabilities belong to threads, so this comes before the first one is made.
 */
#include "main/server.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

void drop_privileges(void)
{
	static const unsigned kept[] = { CAP_NET_BIND_SERVICE, CAP_DAC_OVERRIDE };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct has[2] = { 0 }, keep[2] = { 0 };

	(void)umask(0077);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_capget, &header, has) != 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
		const unsigned bit = 1U << (kept[i] % 32);

		keep[kept[i] / 32].effective |= has[kept[i] / 32].effective & bit;
		keep[kept[i] / 32].permitted |= has[kept[i] / 32].permitted & bit;
	}
	(void)syscall(SYS_capset, &header, keep); /* a kernel that refuses leaves us what we had */
}
