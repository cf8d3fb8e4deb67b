/* SPDX-License-Identifier: MIT */
/*
 * Answers questions about a running program on its UNIX socket (control/socket.h). The protocol: a
 * request is a line of at most CONTROL_REQUEST_MAX bytes, its words parted by single spaces:
 *
 *     endpoints         an object for each connection, listener and other socket
 *     counters          one object whose members are the counters
 *     get [NAME]        one object whose members are the settings, or the one of that name
 *     set NAME VALUE    changes a setting
 *
 * The answer is JSON, an object on each line. The last line is {"done": true}, or {"error": "why"}
 * if the request was not understood or has failed. Then there may be another request.
 *
 * Nothing of this holds up the loop: endpoints are told a few in each turn, as the client takes
 * them. There are at most CONTROL_CLIENTS_MAX clients; others wait. Who does not finish a request,
 * or takes no more of an answer, within the time of `patience_ns` is cut.
 */
#ifndef APPS_CONTROL_CONTROL_H
#define APPS_CONTROL_CONTROL_H

#include <stdint.h>

#include "control/socket.h"
#include "strait.h"

#define CONTROL_REQUEST_MAX 512
#define CONTROL_CLIENTS_MAX 4
#define CONTROL_PATIENCE_NS UINT64_C(5000000000) /* a good choice */

struct control_config {
    struct strait *stack;
    struct strait_env *env;
    int fd; /* of a control_socket; it is not closed here */
    uint64_t patience_ns;
    /* Calls visit(context, name, value) for each counter. */
    void (*counters)(void *counters_context,
                     void (*visit)(void *context, const char *name, uint64_t value), void *context);
    void *counters_context;
};

struct control;

/* Answers from now on. Returns NULL with errno. */
struct control *control_start(const struct control_config *);

/* Cuts all clients. NULL is allowed. */
void control_stop(struct control *);

#endif
