/* SPDX-License-Identifier: MIT */
/*
 * The commands that ask a cluster. They use the sockets of the machine's kernel, which needs no
 * privilege; with --addr they are a host on a TUN device. Exit statuses:
 *
 *     0   done
 *     1   failed: nothing has happened, nor will; or there is no such key
 *     2   the command line is wrong
 *     3   unknown: it may have happened, or still may
 */
#ifndef KV_ASKING_H
#define KV_ASKING_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kv/messages.h"
#include "station.h"

#define EXIT_UNKNOWN 3

/* What the command line says. */
struct kv_settings {
    const char *nodes;   /* HOST[,HOST...] */
    uint64_t timeout_ns; /* of a call */
    bool stale, in_doubt, read;
    long clients, seconds, value_bytes;
};

/* What a command is carried out with. */
struct kv_asking {
    const struct kv_settings *settings;
    char **operands;
    struct station station;
    struct stream_host host;
    struct sockaddr_in nodes[KV_NODES_MAX]; /* of gRPC */
    size_t node_count;
    int status; /* to exit with */
};

/* Waits until the loop is stopped. Returns the status that has been set then, or EXIT_UNKNOWN. */
int kv_asking_wait(struct kv_asking *);

/*
 * What a node shows by HTTP: itself, its transactions, the life of one as every node knows it, its
 * database. Return the exit status.
 */
int kv_look_status(struct kv_asking *);
int kv_look_txns(struct kv_asking *);
int kv_look_explain(struct kv_asking *);
int kv_look_backup(struct kv_asking *);

#endif
