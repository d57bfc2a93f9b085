/* internal_control.h - what may be asked of the server about other servers (control_fed.c). */
#pragma once

#include "cli/control.h"
#include "json/writer.h"

typedef err *control_fn(struct arena *a, const struct control_services *on, const struct json *rq, struct jw *w);
control_fn control_fed_status, control_fed_retry, control_fed_reset;
