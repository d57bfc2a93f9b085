/* cli.h - the commands of `hearth`. */
#pragma once

#include "config/config.h"

struct control_services;

/* What commands need of main/, which alone can wire services together. */
struct cli_hooks {
	/* Runs the server until it is told to end; the exit status. `config` is valid; `notes` are its warnings. */
	int (*serve)(struct arena *a, const struct config *config, const struct config_notes *notes,
		     const char *program);
	/* The same services on the store itself, for as long as the process lives: where no server runs. */
	err *(*open_services)(struct arena *a, const struct config *config, struct control_services *out);
	void (*close_services)(void);
};

/* The whole command line; the exit status: 0 good, 1 it failed, 2 it was not understood. */
int cli_run(int argc, char **argv, const struct cli_hooks *hooks);
