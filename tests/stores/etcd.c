/* SPDX-License-Identifier: MIT */
/*
 * Puts or gets by a node of etcd, by gRPC over the kernel's sockets: clients that each make one
 * call after another, each on a connection of its own, or all on one. As `strait kv bench` does it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "rpc/client.h"
#include "rpc/message.h"
#include "stores/etcd.pb-c.h"

#define ETCD_PORT  2379
#define CALL_NS    (10 * RPC_S)
#define ROOM_BYTES 256 /* of a request */

enum { RANGE, PUT };

static const struct rpc_procedure procedures[] = {
    [RANGE] = {.name = "Range",
               .argument_bytes = RPC_ANY_SIZE,
               .result_bytes = RPC_ANY_SIZE,
               .class = RPC_PURE},
    [PUT] = {.name = "Put",
             .argument_bytes = RPC_ANY_SIZE,
             .result_bytes = RPC_ANY_SIZE,
             .class = RPC_ONCE},
};

static const struct rpc_messages kv = {&etcdserverpb__kv__descriptor, procedures};
static const struct rpc_messages *const services[] = {&kv, NULL};

struct load;

struct customer {
    struct load *load;
    struct rpc_channel *channel;
    uint32_t number, calls;
    uint64_t began_ns;
};

struct load {
    struct measure measure;
    struct strait_env *env;
    struct customer customers[CLIENTS_MAX];
    bool filling; /* each client puts all of its keys, and is done */
    uint64_t end_ns;
    uint32_t waiting;
    struct times times;
};

static void next_call(struct customer *);

static void told(void *context, struct rpc_reply reply, const uint8_t *result,
                 const struct rpc_detail *detail)
{
    struct customer *c = context;
    struct load *l = c->load;
    (void)result;
    if (reply.outcome != RPC_RESULT)
        fail("etcd: %s %s", rpc_code_text(reply.code), detail->text);
    l->waiting--;
    if (!l->filling)
        times_add(&l->times, now_ns() - c->began_ns);
    next_call(c);
}

static size_t pack(const struct customer *c, bool read, uint8_t room[ROOM_BYTES])
{
    Etcdserverpb__PutRequest put = ETCDSERVERPB__PUT_REQUEST__INIT;
    Etcdserverpb__RangeRequest range = ETCDSERVERPB__RANGE_REQUEST__INIT;
    char key[KEY_BYTES];
    uint8_t value[VALUE_BYTES];
    memset(value, 'v', sizeof(value));
    range.key.data = (uint8_t *)key;
    range.key.len = key_of(key, c->number, c->calls);
    put.key = range.key;
    put.value = (ProtobufCBinaryData){sizeof(value), value};
    return protobuf_c_message_pack(read ? &range.base : &put.base, room);
}

static void next_call(struct customer *c)
{
    struct load *l = c->load;
    bool read = l->measure.read && !l->filling;
    uint8_t room[ROOM_BYTES];
    if (l->filling ? c->calls == CLIENT_KEYS : now_ns() >= l->end_ns)
        return;
    size_t length = pack(c, read, room);
    c->calls++;
    c->began_ns = now_ns();
    if (!rpc_message_start(c->channel, &procedures[read ? RANGE : PUT], room, length,
                           l->env->now(l->env) + CALL_NS, told, c))
        fail("etcd: %s", strerror(errno));
    l->waiting++;
}

/* Lets all customers go on until none waits. */
static void run(struct load *l)
{
    for (uint32_t i = 0; i < l->measure.clients; i++)
        next_call(&l->customers[i]);
    while (l->waiting > 0)
        if (l->env->wait(l->env, STRAIT_NEVER) < 0 && errno != EINTR)
            fail("etcd: %s", strerror(errno));
}

static void open_channels(struct load *l)
{
    struct rpc_channel_config config = {
        .host = stream_host_kernel(l->env),
        .server = {.sin_family = AF_INET, .sin_port = htons(ETCD_PORT)},
        .wire = &rpc_grpc_wire,
        .attempts_max = 1,
        .messages = services,
    };
    if (inet_pton(AF_INET, l->measure.server, &config.server.sin_addr) != 1)
        fail("etcd: --server %s is no address", l->measure.server);
    for (uint32_t i = 0; i < l->measure.clients; i++) {
        struct rpc_channel *first = l->customers[0].channel;
        bool shares = l->measure.one_connection && first;
        l->customers[i] = (struct customer){
            .load = l, .number = i, .channel = shares ? first : rpc_channel_new(&config)};
        if (!l->customers[i].channel)
            fail("etcd: no memory");
    }
}

static void close_channels(struct load *l)
{
    for (uint32_t i = 0; i < (l->measure.one_connection ? 1 : l->measure.clients); i++)
        rpc_channel_free(l->customers[i].channel);
}

int main(int argc, char *argv[])
{
    struct load *l = calloc(1, sizeof(*l));
    struct strait_loop *loop = strait_loop_new();
    if (!l || !loop)
        fail("etcd: no memory");
    measure_read(&l->measure, argc, argv);
    l->env = strait_loop_env(loop);
    open_channels(l);
    l->filling = true;
    run(l);
    l->filling = false;
    uint64_t begin_ns = now_ns();
    l->end_ns = begin_ns + (uint64_t)(l->measure.seconds * 1e9);
    run(l);
    print_figures((double)l->times.count * 1e9 / (double)(now_ns() - begin_ns), &l->times);
    close_channels(l);
    strait_loop_free(loop);
    times_free(&l->times);
    free(l);
    return 0;
}
