/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <strings.h>

static const char *const state_names[] = {
    [0] = "UNCONN",
    [TCP_ESTABLISHED] = "ESTAB",
    [TCP_SYN_SENT] = "SYN-SENT",
    [TCP_SYN_RECV] = "SYN-RECV",
    [TCP_FIN_WAIT1] = "FIN-WAIT-1",
    [TCP_FIN_WAIT2] = "FIN-WAIT-2",
    [TCP_TIME_WAIT] = "TIME-WAIT",
    [TCP_CLOSE] = "CLOSE",
    [TCP_CLOSE_WAIT] = "CLOSE-WAIT",
    [TCP_LAST_ACK] = "LAST-ACK",
    [TCP_LISTEN] = "LISTEN",
    [TCP_CLOSING] = "CLOSING",
};
#define STATES (sizeof(state_names) / sizeof(state_names[0]))

const char *state_name(unsigned state)
{
    return state < STATES ? state_names[state] : state_names[0];
}

bool state_is_known(const char *name)
{
    for (size_t i = 0; i < STATES; i++)
        if (strcasecmp(state_names[i], name) == 0)
            return true;
    return false;
}

const char *socket_name(const struct sockaddr_in *name, char text[NAME_BYTES])
{
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &name->sin_addr, address, sizeof(address));
    snprintf(text, NAME_BYTES, "%s:%u", address, ntohs(name->sin_port));
    return text;
}
