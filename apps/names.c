/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>

const char *state_name(unsigned state)
{
    static const char *const names[] = {
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
    return state < sizeof(names) / sizeof(names[0]) ? names[state] : names[0];
}

const char *socket_name(const struct sockaddr_in *name, char text[NAME_BYTES])
{
    char address[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &name->sin_addr, address, sizeof(address));
    snprintf(text, NAME_BYTES, "%s:%u", address, ntohs(name->sin_port));
    return text;
}
