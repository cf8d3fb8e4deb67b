/* SPDX-License-Identifier: MIT */
/*
 * A call is a job of the dispatcher and an ask of the node, joined by a struct that lives as long
 * as both: until the node has told what became of it, or the client does not wait any more.
 */
#include "kv/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv/wire.h"

struct call {
    struct rpc_job *job;
    struct kv_ask *ask;
};

/* ---- The end of a call ---- */

static void refuse(struct rpc_job *job, enum rpc_code code, const char *text)
{
    rpc_answer_message(job, code, &(struct rpc_result){.text = text});
}

/* Ends the call: with a message, or (none) for want of memory. */
static void end(struct call *call, const struct rpc_result *result)
{
    struct rpc_job *job = call->job;
    free(call);
    rpc_answer_message(job, result->bytes ? RPC_OK : RPC_UNAVAILABLE, result);
}

static void end_packed(struct call *call, const ProtobufCMessage *message)
{
    struct rpc_result result = {0};
    message_answer(message, &result);
    end(call, &result);
}

static void end_undecided(struct call *call, const struct kv_outcome *outcome)
{
    char text[80] = "the attempt may have committed, or still may";
    struct rpc_job *job = call->job;
    if (outcome->node != 0)
        snprintf(text, sizeof(text), "node %u has not answered; the attempt may still commit",
                 outcome->node);
    free(call);
    refuse(job, RPC_DEADLINE_EXCEEDED, text);
}

/* ---- Replies ---- */

static void fill_txid(Strait__KvTxid *to, struct kv_txid txid)
{
    strait__kv_txid__init(to);
    to->coordinator = txid.coordinator;
    to->incarnation = txid.incarnation;
    to->sequence = txid.sequence;
}

_Static_assert((int)STRAIT__KV_REFUSAL__REASON__LOCKED == KV_REASON_LOCKED &&
                   (int)STRAIT__KV_REFUSAL__REASON__LARGE == KV_REASON_MAX,
               "the numbers of reasons on the wire are those of messages.h");

Strait__KvRefusal *kv_refusal_message(const struct kv_outcome *outcome,
                                      struct kv_refusal_parts *parts)
{
    const struct kv_refusal *from = &outcome->refusal;
    Strait__KvRefusal *refusal = &parts->refusal;
    strait__kv_refusal__init(refusal);
    if (outcome->end == KV_UNREACHABLE) {
        refusal->reason = STRAIT__KV_REFUSAL__REASON__UNREACHABLE;
        refusal->node = outcome->node;
        return refusal;
    }
    if (from->reason == KV_REASON_NONE)
        return NULL;
    refusal->reason = (Strait__KvRefusal__Reason)from->reason;
    refusal->node = from->node;
    if (outcome->key)
        refusal->key = (ProtobufCBinaryData){outcome->key->length, (uint8_t *)outcome->key->bytes};
    if (from->holder.incarnation != 0) {
        fill_txid(&parts->holder, from->holder);
        refusal->holder = &parts->holder;
    }
    return refusal;
}

/* Of Put and Delete. */
static void told_write(void *context, const struct kv_outcome *outcome)
{
    struct call *call = context;
    Strait__KvWriteReply reply = STRAIT__KV_WRITE_REPLY__INIT;
    struct kv_refusal_parts parts;
    Strait__KvTxid txid;
    const struct kv_result *result = outcome->results[0];
    if (outcome->end == KV_UNDECIDED) {
        end_undecided(call, outcome);
        return;
    }
    reply.committed = outcome->end == KV_COMMITTED_NOW;
    if (reply.committed && result) {
        reply.version = result->version;
        reply.found = result->found;
    }
    if (outcome->txid.incarnation != 0) {
        fill_txid(&txid, outcome->txid);
        reply.txid = &txid;
    }
    reply.refusal = kv_refusal_message(outcome, &parts);
    end_packed(call, &reply.base);
}

static void told_txn(void *context, const struct kv_outcome *outcome)
{
    struct call *call = context;
    Strait__KvTxnReply reply = STRAIT__KV_TXN_REPLY__INIT;
    struct kv_refusal_parts parts;
    struct kv_bytes bytes = {0};
    if (outcome->end == KV_UNDECIDED) {
        end_undecided(call, outcome);
        return;
    }
    if (outcome->end == KV_UNREACHABLE) {
        reply.refusal = kv_refusal_message(outcome, &parts);
        end_packed(call, &reply.base);
        return;
    }
    if (!kv_wire_add_txn_reply(&bytes, outcome))
        kv_bytes_free(&bytes);
    end(call, &(struct rpc_result){.bytes = bytes.bytes, .length = bytes.length});
}

static void told_read(void *context, const struct kv_outcome *outcome)
{
    struct call *call = context;
    Strait__KvGetReply reply = STRAIT__KV_GET_REPLY__INIT;
    struct kv_refusal_parts parts;
    const struct kv_result *result = outcome->results[0];
    if (outcome->end == KV_UNDECIDED) {
        end_undecided(call, outcome);
        return;
    }
    reply.refusal = kv_refusal_message(outcome, &parts);
    if (outcome->end == KV_COMMITTED_NOW && result) {
        reply.found = result->found;
        reply.version = result->version;
        if (result->value)
            reply.value =
                (ProtobufCBinaryData){result->value->length, (uint8_t *)result->value->bytes};
    }
    end_packed(call, &reply.base);
}

/* ---- Requests ---- */

/* Answers what the node has not taken, by the errno that it has left. */
static void refuse_errno(struct rpc_job *job, const struct kv_node *node,
                         const struct kv_request *request)
{
    char text[80];
    const char *limit =
        request && errno == EMSGSIZE ? kv_node_limit(kv_node_cluster(node), request) : NULL;
    snprintf(text, sizeof(text), "it is above the cluster's limit %s", limit ? limit : "key_bytes");
    switch (errno) {
    case EMSGSIZE:
        refuse(job, RPC_INVALID_ARGUMENT, text);
        break;
    case EINVAL:
        refuse(job, RPC_INVALID_ARGUMENT, "the transaction makes no sense");
        break;
    case EAGAIN:
        refuse(job, RPC_RESOURCE_EXHAUSTED, "the node has too many requests");
        break;
    case ESHUTDOWN:
        refuse(job, RPC_RESOURCE_EXHAUSTED, "the node stops");
        break;
    default:
        refuse(job, RPC_RESOURCE_EXHAUSTED, "the node is short of memory");
        break;
    }
}

static struct call *new_call(struct rpc_job *job)
{
    struct call *call = malloc(sizeof(*call));
    if (!call)
        refuse(job, RPC_RESOURCE_EXHAUSTED, "the node is short of memory");
    else
        *call = (struct call){.job = job};
    *rpc_job_state(job) = call;
    return call;
}

/* Joins a call with what the node has begun for it, or refuses it. */
static void join(struct kv_node *node, struct call *call, struct kv_ask *ask,
                 const struct kv_request *request)
{
    struct rpc_job *job = call->job;
    call->ask = ask;
    if (ask)
        return;
    *rpc_job_state(job) = NULL;
    free(call);
    refuse_errno(job, node, request);
}

/* Begins a transaction, whose reference it takes. */
static void begin_txn(struct kv_node *node, struct rpc_job *job, struct kv_request *request,
                      kv_told *told)
{
    struct call *call = new_call(job);
    if (call)
        join(node, call, kv_node_txn(node, request, rpc_job_deadline(job), told, call), request);
    kv_request_release(request);
}

/* A transaction that makes no sense: NULL of it, and why. */
static void refuse_fault(struct rpc_job *job, enum kv_wire_fault fault)
{
    if (fault == KV_WIRE_NO_MEMORY)
        refuse(job, RPC_RESOURCE_EXHAUSTED, "the node is short of memory");
    else
        refuse(job, RPC_INVALID_ARGUMENT, "the transaction makes no sense");
}

static bool has_empty_key(const Strait__KvTxnRequest *txn)
{
    for (size_t i = 0; i < txn->n_operations; i++)
        if (txn->operations[i]->key.len == 0)
            return true;
    return false;
}

static void begin_message(struct kv_node *node, struct rpc_job *job,
                          const Strait__KvTxnRequest *txn, kv_told *told)
{
    enum kv_wire_fault fault;
    if (has_empty_key(txn)) {
        refuse(job, RPC_INVALID_ARGUMENT, "a key is empty");
        return;
    }
    if (txn->n_operations > KV_OPERATIONS_MAX) {
        refuse(job, RPC_INVALID_ARGUMENT, "it is above the cluster's limit transaction_keys");
        return;
    }
    struct kv_request *request = kv_wire_request(txn, &fault);
    if (request)
        begin_txn(node, job, request, told);
    else
        refuse_fault(job, fault);
}

/* Reads a message of a call, or refuses it. */
static ProtobufCMessage *read(struct message_arena *arena, struct rpc_job *job,
                              const ProtobufCMessageDescriptor *d, const uint8_t *bytes,
                              size_t length)
{
    message_arena_init(arena);
    ProtobufCMessage *message = message_unpack(arena, d, bytes, length);
    if (!message)
        refuse(job, RPC_INTERNAL, "the request is no such message");
    return message;
}

static void begin_one(struct kv_node *node, struct rpc_job *job, Strait__KvOperation *operation,
                      Strait__KvIdentity *identity)
{
    Strait__KvTxnRequest txn = STRAIT__KV_TXN_REQUEST__INIT;
    txn.n_operations = 1;
    txn.operations = &operation;
    txn.identity = identity;
    begin_message(node, job, &txn, told_write);
}

static void put_sstub(void *context, struct rpc_job *job, const uint8_t *arguments, size_t length)
{
    struct message_arena arena;
    Strait__KvOperation operation = STRAIT__KV_OPERATION__INIT;
    Strait__KvPutRequest *put = (Strait__KvPutRequest *)read(
        &arena, job, &strait__kv_put_request__descriptor, arguments, length);
    if (put) {
        operation.kind = STRAIT__KV_OPERATION__KIND__PUT;
        operation.key = put->key;
        operation.value = put->value;
        begin_one(context, job, &operation, put->identity);
    }
    message_arena_free(&arena);
}

static void delete_sstub(void *context, struct rpc_job *job, const uint8_t *arguments,
                         size_t length)
{
    struct message_arena arena;
    Strait__KvOperation operation = STRAIT__KV_OPERATION__INIT;
    Strait__KvDeleteRequest *delete = (Strait__KvDeleteRequest *)read(
        &arena, job, &strait__kv_delete_request__descriptor, arguments, length);
    if (delete) {
        operation.kind = STRAIT__KV_OPERATION__KIND__DELETE;
        operation.key = delete->key;
        begin_one(context, job, &operation, delete->identity);
    }
    message_arena_free(&arena);
}

static void txn_sstub(void *context, struct rpc_job *job, const uint8_t *arguments, size_t length)
{
    struct message_arena arena;
    const Strait__KvTxnRequest *txn = (Strait__KvTxnRequest *)read(
        &arena, job, &strait__kv_txn_request__descriptor, arguments, length);
    if (txn)
        begin_message(context, job, txn, told_txn);
    message_arena_free(&arena);
}

static void begin_read(struct kv_node *node, struct rpc_job *job, const Strait__KvGetRequest *get)
{
    if (get->key.len == 0) {
        refuse(job, RPC_INVALID_ARGUMENT, "a key is empty");
        return;
    }
    struct call *call = new_call(job);
    struct kv_blob *key = call ? kv_blob_new(get->key.data, get->key.len) : NULL;
    errno = ENOMEM;
    if (call)
        join(node, call,
             key ? kv_node_read(node, key, get->stale, rpc_job_deadline(job), told_read, call)
                 : NULL,
             NULL);
    kv_blob_release(key);
}

static void get_sstub(void *context, struct rpc_job *job, const uint8_t *arguments, size_t length)
{
    struct message_arena arena;
    const Strait__KvGetRequest *get = (Strait__KvGetRequest *)read(
        &arena, job, &strait__kv_get_request__descriptor, arguments, length);
    if (get)
        begin_read(context, job, get);
    message_arena_free(&arena);
}

/* The client has gone, or its time is over: a transaction goes on without it. */
static void cancelled(void *context, struct rpc_job *job)
{
    struct call *call = *rpc_job_state(job);
    (void)context;
    kv_node_cancel(call->ask);
    free(call);
    refuse(job, RPC_CANCELLED, NULL);
}

/* ---- Status ---- */

static void *allocate(struct message_arena *arena, size_t size)
{
    return arena->allocator.alloc(arena, size);
}

/* Counters, that are counted before there is room for them. */
struct counting {
    struct message_arena *arena;
    Strait__KvStatusReply *reply;
    size_t room;
    bool failed;
};

static void count(void *context, const char *name, uint64_t value)
{
    struct counting *c = context;
    (void)name, (void)value;
    c->room++;
}

static void add_counter(void *context, const char *name, uint64_t value)
{
    struct counting *c = context;
    Strait__KvCounter *counter = allocate(c->arena, sizeof(*counter));
    size_t bytes = strlen(name) + 1;
    if (!counter || c->reply->n_counters == c->room) {
        c->failed = true;
        return;
    }
    strait__kv_counter__init(counter);
    counter->name = allocate(c->arena, bytes);
    if (!counter->name) {
        c->failed = true;
        return;
    }
    memcpy(counter->name, name, bytes);
    counter->value = value;
    c->reply->counters[c->reply->n_counters++] = counter;
}

static bool add_counters(struct kv_node *node, struct message_arena *arena,
                         Strait__KvStatusReply *reply)
{
    struct counting c = {.arena = arena, .reply = reply};
    kv_node_visit_counters(node, count, &c);
    reply->counters = allocate(arena, (c.room + 1) * sizeof(Strait__KvCounter *));
    if (!reply->counters)
        return false;
    kv_node_visit_counters(node, add_counter, &c);
    return !c.failed;
}

static bool add_nodes(struct kv_node *node, struct message_arena *arena,
                      Strait__KvStatusReply *reply, kv_nodes reachable)
{
    const struct kv_cluster *cluster = kv_node_cluster(node);
    kv_nodes left = cluster->placement.members;
    reply->nodes = allocate(arena, KV_NODES_MAX * sizeof(Strait__KvNodeStatus *));
    if (!reply->nodes)
        return false;
    for (uint32_t id; (id = kv_node_take(&left)) != 0;) {
        Strait__KvNodeStatus *n = allocate(arena, sizeof(*n));
        if (!n)
            return false;
        strait__kv_node_status__init(n);
        n->id = id;
        n->address = (ProtobufCBinaryData){sizeof(cluster->addresses[0]),
                                           (uint8_t *)&cluster->addresses[id - 1]};
        n->reachable = (reachable & kv_node_bit(id)) != 0;
        reply->nodes[reply->n_nodes++] = n;
    }
    return true;
}

const char *kv_mode_write(const struct kv_cluster *cluster, char text[KV_MODE_BYTES])
{
    static const char *const words[] = {
        [KV_COORDINATOR_ASKED] = "asked",
        [KV_COORDINATOR_FIXED] = "fixed:",
        [KV_COORDINATOR_RANDOM] = "random",
    };
    const struct kv_coordinator_choice *choice = &cluster->coordinator;
    int n = snprintf(text, KV_MODE_BYTES, "%s", words[choice->mode]);
    if (choice->mode == KV_COORDINATOR_FIXED)
        snprintf(text + n, KV_MODE_BYTES - (size_t)n, "%u", choice->node);
    return text;
}

Strait__KvStatusReply *kv_status_message(struct kv_node *node, struct message_arena *arena)
{
    const struct kv_cluster *cluster = kv_node_cluster(node);
    struct kv_status status;
    Strait__KvStatusReply *reply = allocate(arena, sizeof(*reply));
    char *mode = allocate(arena, KV_MODE_BYTES);
    if (!reply || !mode)
        return NULL;
    kv_node_status(node, &status);
    strait__kv_status_reply__init(reply);
    reply->cluster = (char *)cluster->name;
    reply->id = status.id;
    reply->epoch = cluster->placement.epoch;
    reply->replication = cluster->placement.replication;
    reply->coordinator = (char *)kv_mode_write(cluster, mode);
    reply->incarnation = status.incarnation;
    reply->serving = status.serving;
    reply->keys = status.keys;
    reply->coordinating = status.coordinating;
    reply->in_doubt = status.in_doubt;
    reply->locks = status.locks;
    return add_nodes(node, arena, reply, status.reachable) && add_counters(node, arena, reply)
               ? reply
               : NULL;
}

static enum rpc_code status_sstub(void *context, const uint8_t *arguments, size_t length,
                                  struct rpc_result *result)
{
    struct message_arena arena;
    (void)arguments, (void)length;
    message_arena_init(&arena);
    const Strait__KvStatusReply *reply = kv_status_message(context, &arena);
    enum rpc_code code = reply ? message_answer(&reply->base, result) : RPC_RESOURCE_EXHAUSTED;
    message_arena_free(&arena);
    return code;
}

/* ---- The service ---- */

/* A repetition of a write takes effect once if the request has an identity. */
#define WAITING(label, how, stub)                                                                  \
    {                                                                                              \
        .name = (label), .argument_bytes = RPC_ANY_SIZE, .result_bytes = RPC_ANY_SIZE,             \
        .class = (how), .begin_message = (stub), .cancelled = cancelled                            \
    }

static const struct rpc_procedure procedures[KV_RPC_PROCEDURES] = {
    [KV_RPC_GET] = WAITING("Get", RPC_PURE, get_sstub),
    [KV_RPC_PUT] = WAITING("Put", RPC_ONCE, put_sstub),
    [KV_RPC_DELETE] = WAITING("Delete", RPC_ONCE, delete_sstub),
    [KV_RPC_TXN] = WAITING("Txn", RPC_ONCE, txn_sstub),
    [KV_RPC_STATUS] = {.name = "Status",
                       .argument_bytes = RPC_ANY_SIZE,
                       .result_bytes = RPC_ANY_SIZE,
                       .class = RPC_PURE,
                       .handle = status_sstub},
};

const struct rpc_messages kv_messages = {&strait__kv__descriptor, procedures};

int kv_serve(struct rpc_dispatcher *rpc, struct kv_node *node)
{
    const struct rpc_service service = {
        .name = "kv",
        .procedures = procedures,
        .count = KV_RPC_PROCEDURES,
        .context = node,
        .parallel_max = KV_ASKS_MAX, /* it waits for others, and holds nobody up */
    };
    return rpc_register(rpc, &service);
}

size_t kv_message_max(const struct kv_cluster *cluster)
{
    return cluster->transaction_bytes + KV_MESSAGE_OVERHEAD_BYTES;
}
