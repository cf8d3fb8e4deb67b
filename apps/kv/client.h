/* SPDX-License-Identifier: MIT */
/*
 * A client of the key-value store: asks one node, and others when it fails, until there is an
 * answer or time is over. Writes have an identity, so that however often they are tried they take
 * effect once. What becomes of a call:
 *
 *     done       by one of its attempts
 *     failed     every attempt has failed: nothing has happened, nor will
 *     unknown    some attempt may have committed, or still may
 *
 * It runs on streams of any kind, and never blocks.
 */
#ifndef KV_CLIENT_H
#define KV_CLIENT_H

#include "kv/service.h"
#include "rpc/client.h"

#define KV_CLIENT_CALLS_MAX  1024 /* at a time */
#define KV_CLIENT_TEXT_BYTES 256

struct kv_client;

struct kv_client_config {
    struct stream_host host;
    const struct sockaddr_in *nodes; /* of their gRPC service; borrowed */
    size_t node_count;               /* from 1 to KV_NODES_MAX */
    size_t first;                    /* which of them is asked first */
    size_t message_max;              /* bytes of a reply; 0: RPC_MESSAGE_MAX */
};

/* Returns NULL when memory is short. */
struct kv_client *kv_client_new(const struct kv_client_config *);

/* Ends the calls that are left, untold, and frees it. NULL is allowed. */
void kv_client_free(struct kv_client *);

enum kv_client_end { KV_CLIENT_DONE, KV_CLIENT_FAILED, KV_CLIENT_UNKNOWN };

struct kv_client_reply {
    enum kv_client_end end;
    const ProtobufCMessage *message; /* of DONE: the procedure's reply; else NULL */
    const char *text;                /* what there is to say of the last failure, or "" */
    unsigned attempts;
};

/* Once, from a callback. What it gets is borrowed. */
typedef void kv_client_told(void *context, const struct kv_client_reply *);

struct kv_client_call;

/*
 * Calls a procedure (KV_RPC_GET and so on) with its message, which is copied; the identity of a
 * write is the client's matter. The deadline is a time. Returns NULL with errno, and then `told` is
 * not called: ENOMEM, EAGAIN (KV_CLIENT_CALLS_MAX).
 */
struct kv_client_call *kv_client_call(struct kv_client *, unsigned procedure, ProtobufCMessage *,
                                      uint64_t deadline_ns, kv_client_told *told, void *context);

#endif
