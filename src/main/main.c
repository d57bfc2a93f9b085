/* main.c - the program: commands, and the two things that they need wired. */
#include "cli/cli.h"
#include "cli/control.h"
#include "crypto/crypto.h"
#include "main/server.h"
#include "media/imager.h"

/* For commands where no server runs: the same services, without http/. */
static struct server offline;

static err *open_offline(struct arena *a, const struct config *config, struct control_services *out)
{
	static const struct log root;
	err *e;

	offline = (struct server){ .a = a, .config = config, .log = &root };
	log_setup(LOG_WARN, config->log_format);
	drop_privileges();
	e = server_open_services(&offline);
	if (e)
		server_close_services(&offline);
	else
		*out = (struct control_services){
			.users = offline.services.users,
			.e2ee = offline.services.e2ee,
			.fed = offline.services.fed,
			.outbox = offline.services.outbox,
			.offline = true,
		};
	return e;
}

static void close_offline(void) { server_close_services(&offline); }

int main(int argc, char **argv)
{
	static const struct cli_hooks hooks = {
		.serve = serve,
		.open_services = open_offline,
		.close_services = close_offline,
	};

	/* The server starts itself so, for what must not be done in its own process. */
	if (argc == 2 && strcmp(argv[1], IMAGER_COMMAND) == 0)
		return imager_child_main();
	crypto_init();
	return cli_run(argc, argv, &hooks);
}
