/* SPDX-License-Identifier: MIT */
#include "offer.h"

#include <arpa/inet.h>

#include "primes/stubs.h"
#include "rpc/classic.h"
#include "rpc/grpc.h"
#include "rpc/reflection.h"

const struct rpc_messages *const offer_messages[] = {
    &primes_messages, &health_messages, &reflection_v1_messages, &reflection_v1alpha_messages, NULL,
};

int offer_open(struct offer *o, struct strait_env *env, const struct rpc_messages *const *messages)
{
    *o = (struct offer){.rpc = rpc_new(env), .messages = messages};
    if (!o->rpc)
        return -1;
    o->health = health_serve(o->rpc, messages);
    o->connect = connect_new(o->rpc, env, messages);
    if (!o->health || !o->connect)
        return -1;
    return reflection_serve(o->rpc, messages, rpc_descriptors, rpc_descriptors_bytes);
}

int offer_init(struct offer *o, struct strait_env *env)
{
    return offer_open(o, env, offer_messages) < 0 ? -1 : primes_serve(o->rpc);
}

static struct sockaddr_in any(uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
}

int offer_classic(struct offer *o, const struct stream_host *host, uint16_t port)
{
    const struct classic_config config = {.address = any(port)};
    o->classic = classic_start(host, o->rpc, &config);
    return o->classic ? 0 : -1;
}

int offer_grpc(struct offer *o, const struct stream_host *host, uint16_t port)
{
    const struct grpc_config config = {
        .address = any(port), .messages = o->messages, .message_max = o->message_max};
    o->grpc = grpc_start(host, o->rpc, &config);
    return o->grpc ? 0 : -1;
}

void offer_stop(struct offer *o)
{
    health_set(o->health, false);
    if (o->classic)
        server_stop(o->classic);
    if (o->grpc)
        server_stop(o->grpc);
}

void offer_close(struct offer *o)
{
    server_free(o->classic);
    server_free(o->grpc);
    o->classic = o->grpc = NULL;
}

void offer_free(struct offer *o)
{
    offer_close(o);
    connect_free(o->connect);
    rpc_free(o->rpc);
    o->connect = NULL;
    o->rpc = NULL;
}
