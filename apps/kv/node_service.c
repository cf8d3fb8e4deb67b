/* SPDX-License-Identifier: MIT */
#include "kv/node_service.h"

#include <errno.h>
#include <stdlib.h>

#include "rpc/grpc.h"

#define MESSAGE_SPARE_BYTES (512u << 10) /* around the keys and values of a request */

struct kv_node_service {
    struct kv_node *node;
    struct kv_node_service_counters counters;
    struct rpc_dispatcher *rpc;
    struct server *server;
};

size_t kv_node_message_max(const struct kv_cluster *cluster)
{
    size_t bytes = cluster->transaction_bytes + MESSAGE_SPARE_BYTES;
    return bytes > RPC_MESSAGE_MAX ? bytes : RPC_MESSAGE_MAX;
}

static enum rpc_code code_of(struct kv_node_service *s, enum kv_wire_fault fault)
{
    s->counters.foreign += fault == KV_WIRE_FOREIGN;
    s->counters.other_file += fault == KV_WIRE_OTHER_FILE;
    s->counters.deliveries_refused += fault == KV_WIRE_MALFORMED;
    switch (fault) {
    case KV_WIRE_SOUND:
        return RPC_OK;
    case KV_WIRE_FOREIGN:
    case KV_WIRE_OTHER_FILE:
        return RPC_FAILED_PRECONDITION;
    case KV_WIRE_NO_MEMORY:
        return RPC_RESOURCE_EXHAUSTED;
    default:
        return RPC_INVALID_ARGUMENT;
    }
}

/* ---- Messages ---- */

static void hear(void *context, const struct kv_message *m)
{
    struct kv_node_service *s = context;
    s->counters.messages_heard++;
    kv_node_hear(s->node, m);
}

static enum rpc_code deliver(void *context, const uint8_t *arguments, size_t argument_bytes,
                             struct rpc_result *result)
{
    static const Strait__KvDelivered delivered = STRAIT__KV_DELIVERED__INIT;
    struct kv_node_service *s = context;
    enum kv_wire_fault fault = kv_wire_read(&s->node->cluster, s->node->id, arguments,
                                            argument_bytes, hear, s, &s->counters.messages_refused);
    if (fault == KV_WIRE_SOUND)
        return message_answer(&delivered.base, result);
    if (fault == KV_WIRE_FOREIGN)
        result->text = "of another cluster, or for another node";
    if (fault == KV_WIRE_OTHER_FILE)
        result->text = "the nodes have different files of the cluster";
    return code_of(s, fault);
}

/* ---- Requests ---- */

static struct kv_ask **ask_of(struct rpc_job *job)
{
    return (struct kv_ask **)rpc_job_state(job);
}

static void answer(struct rpc_job *job, const struct kv_outcome *outcome,
                   bool (*add)(struct kv_bytes *, const struct kv_outcome *))
{
    struct kv_bytes content = {0};
    enum rpc_code code = RPC_RESOURCE_EXHAUSTED;

    if (outcome->end == KV_UNDECIDED) {
        code = RPC_DEADLINE_EXCEEDED;
    } else if (outcome->end == KV_UNREACHABLE) {
        code = RPC_UNAVAILABLE;
    } else if (add(&content, outcome)) {
        rpc_send(job, content.bytes, content.length);
        code = RPC_OK;
    }
    kv_bytes_free(&content);
    rpc_end(job, code, NULL);
}

static void answer_txn(void *job, const struct kv_outcome *outcome)
{
    answer(job, outcome, kv_wire_add_txn_reply);
}

static void answer_read(void *job, const struct kv_outcome *outcome)
{
    answer(job, outcome, kv_wire_add_get_reply);
}

/* Nothing has been begun, for the reason in errno. */
static void refuse(const struct kv_node_service *s, struct rpc_job *job, kv_told *told)
{
    bool is_wrong = errno == EMSGSIZE || errno == EINVAL;
    const struct kv_outcome outcome = {
        .end = KV_REFUSED,
        .refusal = {.reason = is_wrong ? KV_REASON_INVALID : KV_REASON_BUSY, .node = s->node->id},
    };
    told(job, &outcome);
}

static void begin(struct kv_node_service *s, struct rpc_job *job, const struct kv_forward *f)
{
    struct strait_env *env = s->node->env;
    uint64_t deadline_ns = env->now(env) + f->timeout_ms * RPC_MS;
    kv_told *told = f->request ? answer_txn : answer_read;

    if (f->request)
        *ask_of(job) = kv_asks_txn_here(s->node, f->request, deadline_ns, told, job);
    else
        *ask_of(job) = kv_asks_read_here(s->node, f->key, f->stale, deadline_ns, told, job);
    if (!*ask_of(job))
        refuse(s, job, told);
}

static void request_came(struct kv_node_service *s, struct rpc_job *job, const uint8_t *bytes,
                         size_t length, bool is_read)
{
    struct kv_forward forward;
    enum kv_wire_fault fault =
        kv_wire_read_forward(&s->node->cluster, s->node->id, bytes, length, &forward);

    if (fault == KV_WIRE_SOUND && is_read != (forward.key != NULL))
        fault = KV_WIRE_MALFORMED;
    if (fault == KV_WIRE_SOUND)
        begin(s, job, &forward);
    else
        rpc_end(job, code_of(s, fault), NULL);
    kv_request_release(forward.request);
    kv_blob_release(forward.key);
}

static void coordinate(void *context, struct rpc_job *job, const uint8_t *bytes, size_t length)
{
    request_came(context, job, bytes, length, false);
}

static void read_for(void *context, struct rpc_job *job, const uint8_t *bytes, size_t length)
{
    request_came(context, job, bytes, length, true);
}

static void cancelled(void *context, struct rpc_job *job)
{
    (void)context;
    if (*ask_of(job))
        kv_node_cancel(*ask_of(job));
}

static const struct rpc_streaming coordinating = {.message = coordinate, .cancelled = cancelled};
static const struct rpc_streaming reading = {.message = read_for, .cancelled = cancelled};

/* ---- The service ---- */

const struct rpc_procedure kv_node_procedures[KV_NODE_PROCEDURES] = {
    [KV_NODE_DELIVER] = {.name = "Deliver",
                         .argument_bytes = RPC_ANY_SIZE,
                         .result_bytes = RPC_ANY_SIZE,
                         .class = RPC_IDEMPOTENT,
                         .handle = deliver},
    [KV_NODE_COORDINATE] = {.name = "Coordinate",
                            .argument_bytes = RPC_ANY_SIZE,
                            .result_bytes = RPC_ANY_SIZE,
                            .class = RPC_ONCE,
                            .streaming = &coordinating},
    [KV_NODE_READ] = {.name = "Read",
                      .argument_bytes = RPC_ANY_SIZE,
                      .result_bytes = RPC_ANY_SIZE,
                      .class = RPC_PURE,
                      .streaming = &reading},
};

const struct rpc_messages kv_node_messages = {&strait__kv_node__descriptor, kv_node_procedures};

struct kv_node_service *kv_node_service_start(struct kv_node *node)
{
    static const struct rpc_messages *const list[] = {&kv_node_messages, NULL};
    struct kv_node_service *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->node = node;
    s->rpc = rpc_new(node->env);
    if (!s->rpc) {
        free(s);
        return NULL;
    }
    rpc_register(s->rpc, &(struct rpc_service){.name = "strait.KvNode",
                                               .procedures = kv_node_procedures,
                                               .count = KV_NODE_PROCEDURES,
                                               .context = s});
    s->server = grpc_start(
        &node->config.host, s->rpc,
        &(struct grpc_config){.address = {.sin_family = AF_INET,
                                          .sin_port = htons(KV_NODE_PORT),
                                          .sin_addr = node->cluster.addresses[node->id - 1]},
                              .messages = list,
                              .message_max = kv_node_message_max(&node->cluster)});
    if (s->server)
        return s;
    int error = errno;
    kv_node_service_free(s);
    errno = error;
    return NULL;
}

void kv_node_service_free(struct kv_node_service *s)
{
    if (!s)
        return;
    server_free(s->server);
    rpc_free(s->rpc);
    free(s);
}

const struct kv_node_service_counters *kv_node_service_counters(const struct kv_node_service *s)
{
    return &s->counters;
}
