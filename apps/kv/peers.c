/* SPDX-License-Identifier: MIT */
/*
 * What there is to say to a peer waits in parcels, each a delivery that is packed already:
 *
 *     kv_peers_send --> [open parcel] --flush--> DELIVERIES_MAX under way --> acknowledged, or lost
 *
 * Deliveries that are under way let the next parcel grow: the slower the peer, or the more there is
 * to say, the more messages share a call.
 *
 * A connection to a host that has gone without a word is silent for as long as TCP tries. So while
 * a delivery is under way, its connection is looked at: where for a while no byte has been
 * acknowledged or has come, both channels of the peer are made anew, and what was on them is told
 * as lost. Behind a slow link a delivery may take long, with megabytes in front of it, and is
 * waited for as long as bytes move. A peer that is not spoken to is asked by an empty delivery now
 * and then, so that it is known whether it is there.
 *
 * Who says something again, since nobody has answered, adds to what waits on a slow link. What is
 * known to wait still is not said again.
 */
#include "kv/peers.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "kv/node_service.h"
#include "rpc/grpc.h"

#define DELIVERIES_MAX  4 /* under way to a peer */
#define PARCEL_BYTES    KV_NODE_PARCEL_BYTES
#define PARCEL_MESSAGES 1024
#define QUEUE_BYTES     (16u << 20) /* that wait for a peer, beyond one of the largest messages */
#define SILENCE_NS      (2 * RPC_S) /* without a byte from the peer, while something is under way */
#define LOOK_NS         (250 * RPC_MS)
#define DELIVERY_NS     (60 * RPC_S) /* until a delivery is lost, however many bytes move */
#define PROBE_NS        (2 * RPC_S)  /* without a delivery */

struct parcel {
    TAILQ_ENTRY(parcel) link;
    struct kv_bytes content;
    uint32_t messages;
    uint64_t since_ns; /* when it was begun */
};

struct delivery {
    struct peer *peer;
    struct rpc_call *call; /* NULL: free */
    uint64_t since_ns;     /* when the first of its messages was sent */
    uint32_t messages;     /* 0: it only asks whether the peer is there */
};

struct peer {
    struct kv_peers *peers;
    uint32_t id;
    struct rpc_channel *messages, *requests;
    TAILQ_HEAD(parcels, parcel) parcels;
    size_t waiting_bytes;
    struct delivery deliveries[DELIVERIES_MAX];
    bool reachable;
    uint64_t sent_ns;     /* the last delivery */
    uint64_t progress;    /* of the channel of messages, when it was looked at last ... */
    uint64_t progress_ns; /* ... and since when it has not changed */
    struct strait_timer look;
    bool looking; /* `look` runs: as long as a delivery is under way */
    struct strait_timer probe;
    TAILQ_HEAD(, kv_peer_call) calls;
};

struct kv_peer_call {
    TAILQ_ENTRY(kv_peer_call) link;
    struct peer *peer;
    struct rpc_call *call; /* NULL: it has ended, and nobody has been told yet */
    enum rpc_outcome outcome;
    kv_peer_ended *ended;
    void *context;
};

struct kv_peers {
    struct kv_peers_config config;
    struct kv_peers_counters counters;
    size_t message_max;
    const struct rpc_messages *messages[2];
    struct peer *list[KV_NODES_MAX]; /* of node id at [id - 1]; NULL: none, or this node */
    struct parcel *spare;
};

static struct strait_env *env_of(const struct peer *peer)
{
    return peer->peers->config.host.env;
}

/* ---- Channels ---- */

static struct rpc_channel *new_channel(const struct peer *peer)
{
    const struct kv_peers *peers = peer->peers;
    return rpc_channel_new(&(struct rpc_channel_config){
        .host = peers->config.host,
        .server = {.sin_family = AF_INET,
                   .sin_port = htons(KV_NODE_PORT),
                   .sin_addr = peers->config.cluster->addresses[peer->id - 1]},
        .wire = &rpc_grpc_wire,
        .attempts_max = 1,
        .messages = peers->messages,
        .message_max = peers->message_max,
    });
}

/* With no memory for another one the old one goes on. */
static void renew(struct rpc_channel **channel, const struct peer *peer)
{
    struct rpc_channel *fresh = new_channel(peer);
    if (!fresh)
        return;
    rpc_channel_free(*channel);
    *channel = fresh;
}

/*
 * Calls that end so stand in front of those that are begun by who is told of it; an ended one may
 * still be cancelled.
 */
static void end_calls(struct peer *peer)
{
    struct kv_peer_call *call;
    TAILQ_FOREACH(call, &peer->calls, link) {
        call->outcome = rpc_call_cancel(call->call);
        call->call = NULL;
    }
    renew(&peer->requests, peer);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed is off the list */
    while ((call = TAILQ_FIRST(&peer->calls)) && !call->call) {
        kv_peer_ended *ended = call->ended;
        void *context = call->context;
        ended(context, (struct rpc_reply){kv_peers_cancel(call), RPC_UNAVAILABLE}, NULL, 0);
    }
}

static void reconnect(struct peer *peer)
{
    struct kv_peers *peers = peer->peers;
    for (uint32_t i = 0; i < DELIVERIES_MAX; i++) {
        struct delivery *d = &peer->deliveries[i];
        if (!d->call)
            continue;
        rpc_call_cancel(d->call);
        d->call = NULL;
        peers->counters.deliveries_lost++;
    }
    peer->reachable = false;
    peers->counters.reconnections++;
    renew(&peer->messages, peer);
    end_calls(peer);
}

/* ---- Deliveries ---- */

static struct parcel *new_parcel(struct peer *peer)
{
    struct kv_peers *peers = peer->peers;
    struct parcel *parcel = peers->spare ? peers->spare : calloc(1, sizeof(*parcel));
    peers->spare = NULL;
    if (!parcel)
        return NULL;
    parcel->messages = 0;
    parcel->since_ns = env_of(peer)->now(env_of(peer));
    if (!kv_wire_begin(&parcel->content, peers->config.cluster, peers->config.id, peer->id)) {
        kv_bytes_free(&parcel->content);
        free(parcel);
        return NULL;
    }
    TAILQ_INSERT_TAIL(&peer->parcels, parcel, link);
    peer->waiting_bytes += parcel->content.length;
    return parcel;
}

static void free_parcel(struct kv_peers *peers, struct parcel *parcel)
{
    if (!peers->spare && parcel->content.room <= 2 * PARCEL_BYTES) {
        parcel->content.length = 0;
        peers->spare = parcel;
        return;
    }
    kv_bytes_free(&parcel->content);
    free(parcel);
}

static void send_parcels(struct peer *peer);

/* What is said to a peer that does not know better is lost; nothing of it is told to the sender. */
static void delivery_ended(void *context, struct rpc_reply reply, const uint8_t *result,
                           const struct rpc_detail *detail)
{
    struct delivery *d = context;
    struct peer *peer = d->peer;
    (void)result, (void)detail;

    d->call = NULL;
    peer->reachable = reply.outcome == RPC_RESULT;
    if (!peer->reachable)
        peer->peers->counters.deliveries_lost++;
    send_parcels(peer);
}

static bool is_under_way(const struct peer *peer)
{
    for (uint32_t i = 0; i < DELIVERIES_MAX; i++) {
        if (peer->deliveries[i].call)
            return true;
    }
    return false;
}

/* Something is awaited from now on. */
static void look_from(struct peer *peer, uint64_t now_ns)
{
    struct strait_env *env = env_of(peer);

    peer->progress = rpc_channel_progress(peer->messages);
    peer->progress_ns = now_ns;
    if (!peer->looking)
        env->timer_start(env, &peer->look, now_ns + LOOK_NS);
    peer->looking = true;
}

static void begin_delivery(struct peer *peer, struct delivery *d, const struct parcel *parcel)
{
    const struct kv_bytes *content = &parcel->content;
    struct strait_env *env = env_of(peer);
    uint64_t now_ns = env->now(env);

    d->messages = parcel->messages;
    d->since_ns = parcel->since_ns;
    peer->sent_ns = now_ns;
    if (!is_under_way(peer))
        look_from(peer, now_ns);
    d->call =
        rpc_message_start(peer->messages, &kv_node_procedures[KV_NODE_DELIVER], content->bytes,
                          content->length, now_ns + DELIVERY_NS, delivery_ended, d);
    if (d->call)
        peer->peers->counters.deliveries++;
    else
        peer->peers->counters.deliveries_lost++;
}

static struct delivery *free_delivery(struct peer *peer)
{
    for (uint32_t i = 0; i < DELIVERIES_MAX; i++) {
        if (!peer->deliveries[i].call)
            return &peer->deliveries[i];
    }
    return NULL;
}

static void send_parcels(struct peer *peer)
{
    struct parcel *parcel;
    struct delivery *d;

    while ((parcel = TAILQ_FIRST(&peer->parcels)) && (d = free_delivery(peer))) {
        TAILQ_REMOVE(&peer->parcels, parcel, link);
        peer->waiting_bytes -= parcel->content.length;
        begin_delivery(peer, d, parcel);
        free_parcel(peer->peers, parcel);
    }
}

void kv_peers_flush(struct kv_peers *peers)
{
    for (uint32_t i = 0; i < KV_NODES_MAX; i++) {
        if (peers->list[i])
            send_parcels(peers->list[i]);
    }
}

/* A parcel that takes another message. */
static struct parcel *open_parcel(struct peer *peer)
{
    struct parcel *last = TAILQ_LAST(&peer->parcels, parcels);
    if (last && last->content.length < PARCEL_BYTES && last->messages < PARCEL_MESSAGES)
        return last;
    return new_parcel(peer);
}

/* Takes back what has been added last. */
static void drop(struct peer *peer, struct parcel *parcel, size_t length)
{
    parcel->content.length = length;
    peer->peers->counters.messages_dropped++;
}

/*
 * A vote to commit whose results are longer than any delivery would never arrive. A vote to abort
 * in its place is true as well: the coordinator, who has not got the other one, aborts.
 */
static void refuse_instead(struct kv_peers *peers, const struct kv_message *vote)
{
    struct kv_message m = *vote;
    m.kind = KV_VOTE_ABORT;
    m.results = NULL;
    m.refusal = (struct kv_refusal){.reason = KV_REASON_LARGE, .node = m.from};
    kv_peers_send(peers, &m);
}

/*
 * Whether the message was said before, and that copy has not arrived: messages keep their order,
 * and one that is as old still waits, or is under way.
 */
static bool waits_still(const struct peer *peer, const struct kv_message *m)
{
    uint64_t now_ns;

    if (m->said_ns == 0 || !peer)
        return false;
    now_ns = env_of(peer)->now(env_of(peer));
    const struct parcel *parcel = TAILQ_FIRST(&peer->parcels);
    if (parcel && parcel->messages > 0 && now_ns - parcel->since_ns >= m->said_ns)
        return true;
    for (uint32_t i = 0; i < DELIVERIES_MAX; i++) {
        const struct delivery *d = &peer->deliveries[i];
        if (d->call && d->messages > 0 && now_ns - d->since_ns >= m->said_ns)
            return true;
    }
    return false;
}

void kv_peers_send(struct kv_peers *peers, const struct kv_message *m)
{
    struct peer *peer = peers->list[m->to - 1];

    peers->counters.messages++;
    if (waits_still(peer, m)) {
        peers->counters.messages_spared++;
        return;
    }
    struct parcel *parcel = peer ? open_parcel(peer) : NULL;
    if (!parcel) {
        peers->counters.messages_dropped++;
        return;
    }
    size_t before = parcel->content.length;
    if (!kv_wire_add(&parcel->content, m)) {
        drop(peer, parcel, before);
        return;
    }
    size_t added = parcel->content.length - before;
    bool is_long = added > peers->message_max - PARCEL_BYTES;
    if (is_long || peer->waiting_bytes + added > QUEUE_BYTES + peers->message_max) {
        drop(peer, parcel, before);
        if (is_long && m->kind == KV_VOTE_COMMIT)
            refuse_instead(peers, m);
        return;
    }
    parcel->messages++;
    peer->waiting_bytes += added;
}

/* ---- Whether the peer is there ---- */

static void look_due(void *owner, struct strait_timer *timer)
{
    struct strait_env *env = owner;
    struct peer *peer = (struct peer *)(void *)((char *)timer - offsetof(struct peer, look));
    uint64_t now_ns = env->now(env), progress = rpc_channel_progress(peer->messages);

    peer->looking = false;
    if (!is_under_way(peer))
        return;
    if (progress == peer->progress && now_ns - peer->progress_ns >= SILENCE_NS) {
        reconnect(peer);
        send_parcels(peer);
        return;
    }
    uint64_t since_ns = progress == peer->progress ? peer->progress_ns : now_ns;
    look_from(peer, now_ns);
    peer->progress_ns = since_ns;
}

static void probe_due(void *owner, struct strait_timer *timer)
{
    struct strait_env *env = owner;
    struct peer *peer = (struct peer *)(void *)((char *)timer - offsetof(struct peer, probe));
    uint64_t now_ns = env->now(env);

    if (now_ns - peer->sent_ns >= PROBE_NS && TAILQ_EMPTY(&peer->parcels))
        new_parcel(peer);
    send_parcels(peer);
    env->timer_start(env, timer, now_ns + PROBE_NS);
}

/* ---- Requests ---- */

static void call_ended(void *context, struct rpc_reply reply, const uint8_t *result,
                       const struct rpc_detail *detail)
{
    struct kv_peer_call *call = context;
    kv_peer_ended *ended = call->ended;
    void *owner = call->context;

    TAILQ_REMOVE(&call->peer->calls, call, link);
    free(call);
    ended(owner, reply, result, detail->result_bytes);
}

struct kv_peer_call *kv_peers_forward(struct kv_peers *peers, uint32_t to,
                                      const struct kv_forward *forward, uint64_t deadline_ns,
                                      kv_peer_ended *ended, void *context)
{
    struct peer *peer = peers->list[to - 1];
    struct kv_peer_call *call = calloc(1, sizeof(*call));
    struct kv_bytes content = {0};
    int procedure = forward->request ? KV_NODE_COORDINATE : KV_NODE_READ;

    errno = ENOMEM;
    if (call && kv_wire_add_forward(&content, peers->config.cluster, to, forward))
        call->call =
            rpc_message_start(peer->requests, &kv_node_procedures[procedure], content.bytes,
                              content.length, deadline_ns, call_ended, call);
    kv_bytes_free(&content);
    if (!call || !call->call) {
        free(call);
        return NULL;
    }
    call->peer = peer;
    call->ended = ended;
    call->context = context;
    TAILQ_INSERT_TAIL(&peer->calls, call, link);
    peers->counters.forwards++;
    return call;
}

enum rpc_outcome kv_peers_cancel(struct kv_peer_call *call)
{
    enum rpc_outcome outcome = call->call ? rpc_call_cancel(call->call) : call->outcome;

    TAILQ_REMOVE(&call->peer->calls, call, link);
    free(call);
    return outcome;
}

/* ---- The whole ---- */

static struct peer *new_peer(struct kv_peers *peers, uint32_t id)
{
    struct strait_env *env = peers->config.host.env;
    struct peer *peer = calloc(1, sizeof(*peer));

    if (!peer)
        return NULL;
    peer->peers = peers;
    peer->id = id;
    TAILQ_INIT(&peer->parcels);
    TAILQ_INIT(&peer->calls);
    for (uint32_t i = 0; i < DELIVERIES_MAX; i++)
        peer->deliveries[i].peer = peer;
    peer->look.expired = look_due;
    peer->probe.expired = probe_due;
    peer->messages = new_channel(peer);
    peer->requests = new_channel(peer);
    if (peer->messages && peer->requests) {
        new_parcel(peer);
        env->timer_start(env, &peer->probe, env->now(env));
        return peer;
    }
    rpc_channel_free(peer->messages);
    rpc_channel_free(peer->requests);
    free(peer);
    return NULL;
}

static void free_peer(struct peer *peer)
{
    env_of(peer)->timer_stop(env_of(peer), &peer->look);
    env_of(peer)->timer_stop(env_of(peer), &peer->probe);
    for (struct kv_peer_call *call; (call = TAILQ_FIRST(&peer->calls));)
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed is off the list */
        kv_peers_cancel(call);
    rpc_channel_free(peer->messages);
    rpc_channel_free(peer->requests);
    for (struct parcel *parcel; (parcel = TAILQ_FIRST(&peer->parcels));) {
        TAILQ_REMOVE(&peer->parcels, parcel, link);
        kv_bytes_free(&parcel->content);
        free(parcel);
    }
    free(peer);
}

struct kv_peers *kv_peers_new(const struct kv_peers_config *config)
{
    struct kv_peers *peers = calloc(1, sizeof(*peers));

    if (!peers)
        return NULL;
    peers->config = *config;
    peers->message_max = kv_node_message_max(config->cluster);
    peers->messages[0] = &kv_node_messages;
    kv_nodes others = config->cluster->placement.members & ~kv_node_bit(config->id);
    for (uint32_t id; (id = kv_node_take(&others)) != 0;) {
        peers->list[id - 1] = new_peer(peers, id);
        if (peers->list[id - 1])
            continue;
        kv_peers_free(peers);
        return NULL;
    }
    return peers;
}

void kv_peers_free(struct kv_peers *peers)
{
    if (!peers)
        return;
    for (uint32_t i = 0; i < KV_NODES_MAX; i++) {
        if (peers->list[i])
            free_peer(peers->list[i]);
    }
    if (peers->spare)
        kv_bytes_free(&peers->spare->content);
    free(peers->spare);
    free(peers);
}

bool kv_peers_are_idle(const struct kv_peers *peers)
{
    for (uint32_t i = 0; i < KV_NODES_MAX; i++) {
        const struct peer *peer = peers->list[i];
        if (!peer)
            continue;
        const struct parcel *parcel = TAILQ_FIRST(&peer->parcels);
        if ((parcel && parcel->messages > 0) || !TAILQ_EMPTY(&peer->calls))
            return false;
        for (uint32_t j = 0; j < DELIVERIES_MAX; j++) {
            if (peer->deliveries[j].call && peer->deliveries[j].messages > 0)
                return false;
        }
    }
    return true;
}

kv_nodes kv_peers_reachable(const struct kv_peers *peers)
{
    kv_nodes reachable = 0;
    for (uint32_t i = 0; i < KV_NODES_MAX; i++) {
        if (peers->list[i] && peers->list[i]->reachable)
            reachable |= kv_node_bit(i + 1);
    }
    return reachable;
}

const struct kv_peers_counters *kv_peers_counters(const struct kv_peers *peers)
{
    return &peers->counters;
}
