/* SPDX-License-Identifier: MIT */
/*
 * A call is a series of attempts, with pauses between:
 *
 *     call --> attempt --done, or a refusal that others would repeat--> told
 *               ^   `--another refusal, or no answer--> pause, the next node
 *               `-----------------------------------------'
 *
 * An attempt has half of the time that is left, so that a node that is silent leaves some for
 * another one. A refusal says that the attempt has left nothing behind; no answer says nothing. So
 * a call that has been refused ends a little early: its last attempt would have too little time for
 * an answer, and would make unknown what is known.
 */
#include "kv/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "kv/document.h"
#include "rpc/retry.h"

/* What an attempt has at least, if there is so much left. */
#define ATTEMPT_MIN_NS (200 * RPC_MS)

/* What must be left for another one, if nothing has happened yet. */
#define REPEAT_MIN_NS (500 * RPC_MS)

struct kv_client_call {
    TAILQ_ENTRY(kv_client_call) link;
    struct kv_client *client;
    unsigned procedure;
    uint64_t sequence; /* of a write; else 0 */
    uint64_t deadline_ns;
    struct rpc_call *attempt;  /* NULL: it pauses */
    struct strait_timer pause; /* idle during an attempt */
    size_t node;               /* that is asked */
    unsigned attempts;
    bool unknown; /* an attempt may have committed, or still may */
    bool refused; /* `text` is of a refusal, which tells more than that a node is not there */
    kv_client_told *told;
    void *context;
    char text[KV_CLIENT_TEXT_BYTES];
    size_t length;
    uint8_t bytes[]; /* the message */
};

struct kv_client {
    struct strait_env *env;
    struct rpc_channel *channels[KV_NODES_MAX];
    struct sockaddr_in nodes[KV_NODES_MAX];
    size_t node_count;
    size_t preferred; /* the node that has answered last */
    uint64_t id;      /* drawn */
    uint64_t sequence;
    TAILQ_HEAD(, kv_client_call) calls; /* as they began: sequences grow */
    size_t call_count;
};

static const struct rpc_messages *const messages[] = {&kv_messages, NULL};

/* ---- The client ---- */

struct kv_client *kv_client_new(const struct kv_client_config *config)
{
    struct kv_client *c = calloc(1, sizeof(*c));
    if (!c)
        return NULL;
    c->env = config->host.env;
    c->preferred = config->first;
    TAILQ_INIT(&c->calls);
    while (c->id == 0)
        c->env->random(c->env, &c->id, sizeof(c->id));
    for (; c->node_count < config->node_count; c->node_count++) {
        const struct rpc_channel_config channel = {
            .host = config->host,
            .server = config->nodes[c->node_count],
            .wire = &rpc_grpc_wire,
            .attempts_max = 1,
            .messages = messages,
            .message_max = config->message_max,
        };
        c->nodes[c->node_count] = config->nodes[c->node_count];
        c->channels[c->node_count] = rpc_channel_new(&channel);
        if (!c->channels[c->node_count]) {
            kv_client_free(c);
            return NULL;
        }
    }
    return c;
}

/* Nothing of it happens any more. */
static void detach(struct kv_client_call *call)
{
    struct kv_client *c = call->client;
    c->env->timer_stop(c->env, &call->pause);
    TAILQ_REMOVE(&c->calls, call, link);
    c->call_count--;
}

void kv_client_free(struct kv_client *c)
{
    if (!c)
        return;
    for (struct kv_client_call *call; (call = TAILQ_FIRST(&c->calls));) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed is off the list */
        if (call->attempt)
            rpc_call_cancel(call->attempt);
        detach(call);
        free(call);
    }
    for (size_t i = 0; i < c->node_count; i++)
        rpc_channel_free(c->channels[i]);
    free(c);
}

/* ---- The end of a call ---- */

static void tell(struct kv_client_call *call, enum kv_client_end end,
                 const ProtobufCMessage *message)
{
    const struct kv_client_reply reply = {
        .end = end, .message = message, .text = call->text, .attempts = call->attempts};
    detach(call); /* who is told may begin the next one, or free the client */
    call->told(call->context, &reply);
    free(call);
}

static void fail(struct kv_client_call *call)
{
    tell(call, call->unknown ? KV_CLIENT_UNKNOWN : KV_CLIENT_FAILED, NULL);
}

/* ---- What an attempt has come to ---- */

/* Whether another attempt may have more luck. */
static bool is_passing(const Strait__KvRefusal *refusal)
{
    switch (refusal->reason) {
    case STRAIT__KV_REFUSAL__REASON__CONDITION:
    case STRAIT__KV_REFUSAL__REASON__RETIRED:
    case STRAIT__KV_REFUSAL__REASON__DAMAGED:
    case STRAIT__KV_REFUSAL__REASON__INVALID:
    case STRAIT__KV_REFUSAL__REASON__LARGE:
        return false;
    default:
        return true;
    }
}

static void note_refusal(struct kv_client_call *call, const Strait__KvRefusal *r)
{
    char holder[KV_TXID_BYTES + 16] = "", node[32] = "";
    call->refused = true;
    if (r->holder)
        snprintf(holder, sizeof(holder), ", held by %u.%u.%llu", r->holder->coordinator,
                 r->holder->incarnation, (unsigned long long)r->holder->sequence);
    if (r->node != 0)
        snprintf(node, sizeof(node), ", at node %u", r->node);
    snprintf(call->text, sizeof(call->text), "%s: %s%s%s%s%.*s", kv_reason_word((int)r->reason),
             kv_reason_sentence((int)r->reason), holder, node, r->key.len > 0 ? ", key " : "",
             (int)(r->key.len < 40 ? r->key.len : 40), (const char *)r->key.data);
}

/* The refusal in a reply; NULL: it is what was asked for. */
static const Strait__KvRefusal *refusal_of(unsigned procedure, const ProtobufCMessage *message)
{
    static const Strait__KvRefusal none = STRAIT__KV_REFUSAL__INIT;
    const Strait__KvRefusal *refusal = NULL;
    bool done = true;
    if (procedure == KV_RPC_GET) {
        refusal = ((const Strait__KvGetReply *)message)->refusal;
        done = !refusal;
    } else if (procedure == KV_RPC_TXN) {
        refusal = ((const Strait__KvTxnReply *)message)->refusal;
        done = ((const Strait__KvTxnReply *)message)->committed;
    } else if (procedure != KV_RPC_STATUS) {
        refusal = ((const Strait__KvWriteReply *)message)->refusal;
        done = ((const Strait__KvWriteReply *)message)->committed;
    }
    if (done)
        return NULL;
    return refusal ? refusal : &none;
}

static void pause_or_end(struct kv_client_call *);

/* An attempt may have taken effect, or still may; but not one that only reads. */
static void note_unknown(struct kv_client_call *call)
{
    call->unknown = call->unknown || call->sequence != 0;
}

/* There is a reply. */
static void take_reply(struct kv_client_call *call, const uint8_t *bytes, size_t length)
{
    const ProtobufCMessageDescriptor *d = kv_messages.service->methods[call->procedure].output;
    struct message_arena arena;
    message_arena_init(&arena);
    const ProtobufCMessage *message = message_unpack(&arena, d, bytes, length);
    const Strait__KvRefusal *refusal = message ? refusal_of(call->procedure, message) : NULL;
    if (refusal)
        note_refusal(call, refusal);
    if (message && !refusal) {
        call->client->preferred = call->node;
        tell(call, KV_CLIENT_DONE, message);
    } else if (message && !is_passing(refusal)) {
        fail(call);
    } else {
        if (!message)
            note_unknown(call);
        pause_or_end(call);
    }
    message_arena_free(&arena);
}

/* A reply that is longer than this client takes: the request has been carried out, and the next
 * reply would be as long. */
static bool is_too_long(struct rpc_reply reply)
{
    return reply.outcome == RPC_ERROR && reply.code == RPC_RESOURCE_EXHAUSTED;
}

/* What the service says of a request that nothing has happened of (kv/service.h). */
static bool says_nothing_happened(struct rpc_reply reply)
{
    return reply.code == RPC_INVALID_ARGUMENT || reply.code == RPC_UNIMPLEMENTED ||
           (reply.code == RPC_RESOURCE_EXHAUSTED && !is_too_long(reply));
}

/* What there is to say of an attempt that has brought no reply. */
static void note_failure(struct kv_client_call *call, const char *what, const char *more)
{
    char name[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &call->client->nodes[call->node].sin_addr, name, sizeof(name));
    if (!call->refused)
        snprintf(call->text, sizeof(call->text), "%s: %s%s%s", name, what,
                 more[0] != '\0' ? ": " : "", more);
}

static void attempt_ended(void *context, struct rpc_reply reply, const uint8_t *result,
                          const struct rpc_detail *detail)
{
    struct kv_client_call *call = context;
    call->attempt = NULL;
    if (result) {
        take_reply(call, result, detail->result_bytes);
        return;
    }
    note_failure(call, rpc_code_text(reply.code), detail->text);
    if (reply.outcome != RPC_NOT_EXECUTED && !says_nothing_happened(reply))
        note_unknown(call);
    if (reply.code == RPC_INVALID_ARGUMENT || reply.code == RPC_UNIMPLEMENTED || is_too_long(reply))
        fail(call);
    else
        pause_or_end(call);
}

/* ---- Attempts ---- */

static void attempt(struct kv_client_call *call)
{
    struct kv_client *c = call->client;
    const struct rpc_procedure *procedure = &kv_messages.procedures[call->procedure];
    uint64_t now_ns = c->env->now(c->env);
    uint64_t left_ns = call->deadline_ns > now_ns ? call->deadline_ns - now_ns : 0;
    uint64_t time_ns = left_ns / 2 > ATTEMPT_MIN_NS ? left_ns / 2 : left_ns;
    call->attempts++;
    call->attempt = rpc_message_start(c->channels[call->node], procedure, call->bytes, call->length,
                                      now_ns + time_ns, attempt_ended, call);
    if (call->attempt)
        return;
    note_failure(call, strerror(errno), "");
    pause_or_end(call);
}

static void pause_over(void *owner, struct strait_timer *timer)
{
    (void)owner;
    struct kv_client_call *call =
        (struct kv_client_call *)(void *)((char *)timer - offsetof(struct kv_client_call, pause));
    attempt(call);
}

/* Pauses before the next attempt, if there is time for one. */
static void pause_or_end(struct kv_client_call *call)
{
    struct strait_env *env = call->client->env;
    uint64_t now_ns = env->now(env);
    uint32_t random;
    env->random(env, &random, sizeof(random));
    uint64_t pause_ns = rpc_backoff(call->attempts, random);
    uint64_t least_ns = call->refused && !call->unknown ? REPEAT_MIN_NS : 0;
    if (now_ns + pause_ns + least_ns >= call->deadline_ns) {
        fail(call);
        return;
    }
    call->node = (call->node + 1) % call->client->node_count;
    env->timer_start(env, &call->pause, now_ns + pause_ns);
}

/* ---- Calls ---- */

/* The lowest sequence that is still asked for. */
static uint64_t lowest(const struct kv_client *c, uint64_t newest)
{
    const struct kv_client_call *call;
    TAILQ_FOREACH(call, &c->calls, link)
        if (call->sequence != 0)
            return call->sequence;
    return newest;
}

/* Where a message has its identity; NULL: it is of no write. */
static Strait__KvIdentity **identity_of(unsigned procedure, ProtobufCMessage *message)
{
    switch (procedure) {
    case KV_RPC_PUT:
        return &((Strait__KvPutRequest *)message)->identity;
    case KV_RPC_DELETE:
        return &((Strait__KvDeleteRequest *)message)->identity;
    case KV_RPC_TXN:
        return &((Strait__KvTxnRequest *)message)->identity;
    default:
        return NULL;
    }
}

static struct kv_client_call *new_call(struct kv_client *c, const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    struct kv_client_call *call = calloc(1, sizeof(*call) + length);
    if (!call)
        return NULL;
    call->client = c;
    call->length = protobuf_c_message_pack(message, call->bytes);
    call->pause.expired = pause_over;
    call->node = c->preferred;
    return call;
}

struct kv_client_call *kv_client_call(struct kv_client *c, unsigned procedure,
                                      ProtobufCMessage *message, uint64_t deadline_ns,
                                      kv_client_told *told, void *context)
{
    Strait__KvIdentity identity = STRAIT__KV_IDENTITY__INIT;
    Strait__KvIdentity **place = identity_of(procedure, message);
    if (c->call_count == KV_CLIENT_CALLS_MAX) {
        errno = EAGAIN;
        return NULL;
    }
    identity.client = c->id;
    identity.sequence = c->sequence + 1;
    identity.lowest = lowest(c, identity.sequence);
    if (place)
        *place = &identity;
    struct kv_client_call *call = new_call(c, message);
    if (place)
        *place = NULL;
    if (!call)
        return NULL;
    if (place)
        call->sequence = ++c->sequence;
    call->procedure = procedure;
    call->deadline_ns = deadline_ns;
    call->told = told;
    call->context = context;
    TAILQ_INSERT_TAIL(&c->calls, call, link);
    c->call_count++;
    /* From a callback, since an attempt may end at once, and the call with it. */
    c->env->timer_start(c->env, &call->pause, STRAIT_AT_ONCE);
    return call;
}
