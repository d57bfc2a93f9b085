/*
 * control.h - the socket in the data folder by which commands speak to the running server.
 *
 * One request a connection, a JSON object and a newline; one answer, likewise. Only root and the user that the server
 * runs as are heard. The answer has a member "error" where something was wrong.
 */
#pragma once

#include "base/err.h"

struct control;
struct e2ee;
struct fed;
struct log;
struct outbox;
struct users;

/* What requests are about. */
struct control_services {
	struct users *users;
	struct e2ee *e2ee;
	struct fed *fed;
	struct outbox *outbox;
	bool offline; /* no server runs: this is the command itself */
};

/* Listens on hearth.sock in the data folder, whose lock the caller holds: what lies there is replaced. ERR_CONFIG. */
NODISCARD err *control_start(struct arena *a, str data_dir, const struct control_services *services,
			     const struct log *log, struct control **out);
void control_stop(struct control **c); /* finishes a request that is being carried out, and waits for no other */

/* Asks the server of that data folder. *out is STR_NONE when none runs there; ERR_CONFIG when one does, but does not
 * answer. */
NODISCARD err *control_ask(struct arena *a, str data_dir, str request, str *out);

/* Carries out a request and gives its answer: for the server's thread, and for the command itself where no server runs.
 */
str control_answer(struct arena *a, const struct control_services *services, str request);
