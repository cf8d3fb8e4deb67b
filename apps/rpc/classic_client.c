/* SPDX-License-Identifier: MIT */
/*
 * One connection for each attempt: connecting -> sending -> receiving. Nothing runs at the server
 * before the last byte of the request is there: what fails before it has been handed to the stream
 * has not been executed, and what fails later is unknown.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rpc/classic.h"
#include "rpc/client.h"

struct rpc_attempt {
    struct rpc_request request;
    struct stream stream;
    bool connected;
    size_t size, sent; /* of the request */
    size_t got;        /* of the result */
    uint8_t bytes[CLASSIC_ID_BYTES + RPC_BYTES_MAX];
    uint8_t result[RPC_BYTES_MAX + 1];
};

static void ready(void *argument, int fd, short revents);

static bool not_now(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static void end(struct rpc_attempt *a, enum rpc_outcome outcome)
{
    const struct rpc_reply reply = {outcome, outcome == RPC_RESULT ? RPC_OK : RPC_UNAVAILABLE};
    stream_close(&a->stream);
    a->request.ended(a->request.owner, reply, outcome == RPC_RESULT ? a->result : NULL);
    free(a);
}

/* How an attempt ends that goes no further. */
static enum rpc_outcome broken(const struct rpc_attempt *a)
{
    return a->sent == a->size ? RPC_UNKNOWN : RPC_NOT_EXECUTED;
}

static void receive_result(struct rpc_attempt *a)
{
    size_t size = a->request.procedure->result_bytes;
    ssize_t n = stream_recv(&a->stream, a->result + a->got, size + 1 - a->got, 0);
    if (n < 0 && not_now())
        return;
    if (n <= 0) {
        end(a, broken(a));
        return;
    }
    a->got += (size_t)n;
    if (a->got >= size) /* more than the result is none: the server speaks of something else */
        end(a, a->got == size ? RPC_RESULT : RPC_UNKNOWN);
}

static void send_request(struct rpc_attempt *a)
{
    ssize_t n = stream_send(&a->stream, a->bytes + a->sent, a->size - a->sent);
    if (n < 0 && not_now())
        return;
    if (n < 0) {
        end(a, broken(a));
        return;
    }
    a->sent += (size_t)n;
    if (a->sent == a->size)
        stream_watch(&a->stream, POLLIN, ready, a);
}

static void ready(void *argument, int fd, short revents)
{
    struct rpc_attempt *a = argument;
    (void)fd;
    (void)revents;
    int error = a->connected ? 0 : stream_error(&a->stream);
    if (error != 0) {
        rpc_detail_unconnected(a->request.detail, error);
        end(a, broken(a));
        return;
    }
    a->connected = true;
    if (a->sent < a->size)
        send_request(a);
    else
        receive_result(a);
}

static struct rpc_attempt *begin(const struct rpc_request *request)
{
    struct rpc_attempt *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->request = *request;
    rpc_put32(a->bytes, request->procedure->id);
    memcpy(a->bytes + CLASSIC_ID_BYTES, request->arguments, request->procedure->argument_bytes);
    a->size = CLASSIC_ID_BYTES + request->procedure->argument_bytes;
    if (stream_connect(&a->stream, request->host, request->server) == 0) {
        if (stream_watch(&a->stream, POLLOUT, ready, a) == 0)
            return a;
        stream_close(&a->stream);
    }
    free(a);
    return NULL;
}

/* The reset cancels the call, if the server has it. */
static enum rpc_outcome abandon(struct rpc_attempt *a)
{
    enum rpc_outcome outcome = broken(a);
    if (!a->connected)
        rpc_detail_unconnected(a->request.detail, ETIMEDOUT);
    stream_reset(&a->stream);
    free(a);
    return outcome;
}

const struct rpc_wire rpc_classic_wire = {.begin = begin, .abandon = abandon};
