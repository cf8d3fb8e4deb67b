/* SPDX-License-Identifier: MIT */
/* A client that takes all the memory which an HTTP server has for bodies, and holds it. */
#ifndef TESTS_UNIT_GLUTTON_H
#define TESTS_UNIT_GLUTTON_H

#include "http/gate.h"
#include "talker.h"

/* What it talks to; to be the first gate of the server. */
extern const struct http_gate glutton_gate;

/* Says the most of a body to this port of host 1; ends with talker_close. */
struct talker *glutton_connect(struct pair *, uint16_t port);

#endif
