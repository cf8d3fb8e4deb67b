/* SPDX-License-Identifier: MIT */
/* One host: the layers side by side, as stack.c joins them and the socket calls find them. */
#ifndef STACK_H
#define STACK_H

#include "base/core.h"
#include "ip/ip.h"
#include "socket/socket.h"
#include "strait.h"
#include "tcp/tcp.h"
#include "udp/udp.h"

struct strait {
    struct core core;
    struct ip ip;
    struct udp udp;
    struct tcp tcp;
    struct sockets sockets;
    struct strait_env *env; /* for blocking calls; NULL if nothing may block; not owned */
};

#endif
