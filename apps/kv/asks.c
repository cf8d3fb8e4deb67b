/* SPDX-License-Identifier: MIT */
/*
 * A request that is under way, from its beginning to the moment when whoever asked is told:
 *
 *     a transaction --> the coordinator of this node -----------.
 *                   `-> the node that is to coordinate: peers --|
 *     a read        --> the worker of this node ----------------+--> ended --turn--> told, freed
 *                   `-> a replica, and then another one: peers -|   (both, if it is locked here)
 *     the deadline, or the node stops --------------------------'
 *
 * What the coordinator has begun goes on when its ask has ended: the ask then stays, unseen, until
 * the coordinator has replied.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kv/coordinator.h"
#include "kv/node_state.h"
#include "kv/worker.h"

#define ASKS_MAX      16384
#define ASK_BYTES_MAX (256u << 20) /* of keys and values of all of them */

/* A node that answers for this one has a little less time, so that its answer is heard. */
#define MARGIN_NS (100 * RPC_MS)

/* A read that waits so long for a lock here asks other replicas as well: one that has not voted, or
 * knows the outcome, can answer. */
#define LOCKED_NS (200 * RPC_MS)

/* ---- How they end ---- */

static size_t bytes_of(const struct kv_request *request)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        bytes += o->key->length + (o->value ? o->value->length : 0);
    }
    return bytes;
}

/* It is in no list. */
static void free_ask(struct kv_ask *a)
{
    struct kv_node *node = a->node;
    node->env->timer_stop(node->env, &a->deadline);
    node->ask_count--;
    if (a->request)
        node->ask_bytes -= bytes_of(a->request);
    kv_request_release(a->request);
    kv_blob_release(a->key);
    kv_blob_release(a->outcome_key);
    kv_results_release(a->results);
    free(a);
}

static void count_end(struct kv_ask_counters *counters, enum kv_end end)
{
    counters->committed += end == KV_COMMITTED_NOW;
    counters->refused += end == KV_REFUSED;
    counters->unreachable += end == KV_UNREACHABLE;
    counters->undecided += end == KV_UNDECIDED;
}

/* The rest of the outcome has been filled in. */
static void end(struct kv_ask *a, enum kv_end how)
{
    struct kv_node *node = a->node;
    a->ended = true;
    a->outcome.end = how;
    count_end(&node->counters, how);
    node->env->timer_stop(node->env, &a->deadline);
    TAILQ_REMOVE(&node->asks, a, link);
    TAILQ_INSERT_TAIL(&node->ended, a, link);
    kv_node_wake(node);
}

static void end_without_answer(struct kv_ask *a, enum kv_end how, uint32_t who)
{
    a->outcome.node = who;
    end(a, how);
}

static uint64_t name_of(const struct kv_ask *a)
{
    return (uint64_t)(uintptr_t)a;
}

static struct kv_ask *ask_named(uint64_t caller)
{
    return (struct kv_ask *)(uintptr_t)caller;
}

/* The worker forgets a read at once; the coordinator goes on, and owes its reply. */
static void leave_machine(struct kv_ask *a)
{
    if (!a->owed || a->kind != ASK_READ)
        return;
    a->owed = false;
    kv_node_step_worker(a->node,
                        &(struct kv_event){.kind = KV_EVENT_READ_CANCEL, .caller = name_of(a)});
}

static enum rpc_outcome leave_peer(struct kv_ask *a)
{
    enum rpc_outcome outcome = a->call ? kv_peers_cancel(a->call) : RPC_NOT_EXECUTED;
    a->call = NULL;
    return outcome;
}

/* Whoever holds the lock that a read has waited for. */
static bool is_locked(const struct kv_ask *a)
{
    return a->kind == ASK_READ && a->owed && !worker_readable(a->node->worker, a->key);
}

static void refuse_as_locked(struct kv_ask *a)
{
    struct kv_node *node = a->node;
    a->outcome.refusal =
        (struct kv_refusal){.reason = KV_REASON_LOCKED,
                            .node = node->id,
                            .holder = kv_locks_writer(worker_locks(node->worker), a->key)};
    a->outcome_key = kv_blob_hold(a->key);
    leave_machine(a);
    leave_peer(a);
    end(a, KV_REFUSED);
}

static void give_up(struct kv_ask *a)
{
    uint32_t who = a->call ? a->at : a->owed ? a->node->id : 0;
    enum rpc_outcome outcome = leave_peer(a);
    bool may_commit = a->kind == ASK_TXN && (a->owed || outcome == RPC_UNKNOWN);
    leave_machine(a);
    end_without_answer(a, may_commit ? KV_UNDECIDED : KV_UNREACHABLE, who);
}

static void ask_a_replica(struct kv_ask *a);

static void deadline_due(void *owner, struct strait_timer *timer)
{
    struct kv_ask *a = (struct kv_ask *)(void *)((char *)timer - offsetof(struct kv_ask, deadline));
    struct strait_env *env = owner;
    if (env->now(env) < a->deadline_ns) {
        env->timer_start(env, timer, a->deadline_ns);
        ask_a_replica(a);
        return;
    }
    if (is_locked(a))
        refuse_as_locked(a);
    else
        give_up(a);
}

/* ---- Who is told ---- */

static void tell(struct kv_ask *a)
{
    struct kv_outcome *outcome = &a->outcome;

    if (!a->told)
        return;
    outcome->count = a->request ? a->request->count : 1;
    outcome->key = a->outcome_key;
    for (uint32_t i = 0; i < outcome->count; i++)
        outcome->results[i] = a->results && a->known[i] ? &a->results->list[i] : NULL;
    a->told(a->context, outcome);
}

/* Those that end while others are told wait for the next turn. */
void kv_asks_tell(struct kv_node *node)
{
    struct kv_asks ended = TAILQ_HEAD_INITIALIZER(ended);

    TAILQ_CONCAT(&ended, &node->ended, link);
    for (struct kv_ask *a; (a = TAILQ_FIRST(&ended));) {
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was freed is off the list */
        tell(a);
        a->told = NULL;
        a->over = true;
        TAILQ_REMOVE(&ended, a, link);
        if (a->owed)
            TAILQ_INSERT_TAIL(&node->asks, a, link);
        else
            free_ask(a);
    }
}

void kv_node_cancel(struct kv_ask *a)
{
    a->told = NULL;
    if (a->ended || a->kind == ASK_TXN)
        return;
    leave_peer(a);
    leave_machine(a);
    TAILQ_REMOVE(&a->node->asks, a, link);
    free_ask(a);
}

void kv_asks_end_all(struct kv_node *node)
{
    struct kv_ask *next;
    for (struct kv_ask *a = TAILQ_FIRST(&node->asks); a; a = next) {
        next = TAILQ_NEXT(a, link);
        if (!a->ended)
            give_up(a);
    }
}

void kv_asks_free_all(struct kv_node *node)
{
    TAILQ_CONCAT(&node->asks, &node->ended, link);
    for (struct kv_ask *a; (a = TAILQ_FIRST(&node->asks));) {
        TAILQ_REMOVE(&node->asks, a, link);
        leave_peer(a);
        free_ask(a);
    }
}

/* ---- What the machines reply ---- */

/* Returns whether somebody waits for the reply that was owed. */
static bool take_reply(struct kv_ask *a)
{
    a->owed = false;
    if (!a->over)
        return !a->ended;
    TAILQ_REMOVE(&a->node->asks, a, link);
    free_ask(a);
    return false;
}

/* An empty value does not travel. */
static void restore_empty(struct kv_result *r)
{
    if (r->found && !r->value)
        r->value = kv_blob_new(NULL, 0);
}

static bool keep_results(struct kv_ask *a, const struct kv_reply *reply)
{
    a->results = kv_results_new(reply->request->count);
    for (uint32_t i = 0; a->results && i < reply->request->count; i++) {
        const struct kv_result *r = kv_reply_result(reply, i);
        a->known[i] = r != NULL;
        if (!r)
            continue;
        a->results->list[i] = *r;
        kv_blob_hold(r->value);
        if (reply->request->operations[i].kind == KV_GET)
            restore_empty(&a->results->list[i]);
    }
    return a->results != NULL;
}

/* The key that a worker has refused: it counts the operations for itself. */
static struct kv_blob *refused_key(const struct kv_request *request, const struct kv_refusal *r)
{
    uint32_t position = 0;
    if (r->reason != KV_REASON_LOCKED && r->reason != KV_REASON_CONDITION &&
        r->reason != KV_REASON_DAMAGED)
        return NULL;
    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        if ((o->replicas & kv_node_bit(r->node)) && position++ == r->operation)
            return o->key;
    }
    return NULL;
}

void kv_asks_replied(struct kv_node *node, const struct kv_reply *reply)
{
    struct kv_ask *a = ask_named(reply->caller);
    if (!take_reply(a))
        return;
    a->outcome.txid = reply->txid;
    a->outcome.refusal = reply->refusal;
    if (!reply->success) {
        a->outcome_key = kv_blob_hold(refused_key(reply->request, &reply->refusal));
        end(a, KV_REFUSED);
    } else if (keep_results(a, reply)) {
        end(a, KV_COMMITTED_NOW);
    } else {
        end_without_answer(a, KV_UNDECIDED, node->id);
    }
}

static bool keep_result(struct kv_ask *a, const struct kv_result *r)
{
    a->results = kv_results_new(1);
    if (!a->results)
        return false;
    a->results->list[0] = *r;
    a->known[0] = true;
    kv_blob_hold(r->value);
    return true;
}

static void end_read(struct kv_ask *a, const struct kv_result *r, enum kv_reason reason)
{
    a->outcome.refusal = (struct kv_refusal){.reason = reason, .node = a->node->id};
    if (reason == KV_REASON_NONE && keep_result(a, r)) {
        end(a, KV_COMMITTED_NOW);
        return;
    }
    if (reason == KV_REASON_NONE)
        a->outcome.refusal.reason = KV_REASON_BUSY;
    a->outcome_key = kv_blob_hold(a->key);
    end(a, KV_REFUSED);
}

/* What this node refuses, as for a damaged row, another replica may tell. */
static void answered_here(struct kv_ask *a, const struct kv_result *r, enum kv_reason reason)
{
    struct kv_node *node = a->node;
    if (reason == KV_REASON_NONE || (a->left == 0 && !a->call)) {
        leave_peer(a);
        end_read(a, r, reason);
        return;
    }
    node->counters.reads_passed_on++;
    node->env->timer_start(node->env, &a->deadline, a->deadline_ns);
    if (!a->call)
        ask_a_replica(a);
}

void kv_asks_read_replied(struct kv_node *node, const struct kv_action *action)
{
    struct kv_ask *a = ask_named(action->caller);
    (void)node;
    if (take_reply(a))
        answered_here(a, action->result, action->reason);
}

/* ---- What other nodes answer ---- */

/* Takes over what has been read. */
static void end_as_told(struct kv_ask *a, const struct kv_answer_read *answer)
{
    a->outcome.txid = answer->txid;
    a->outcome.refusal = answer->refusal;
    a->outcome_key = answer->key;
    a->results = answer->results;
    memcpy(a->known, answer->known, sizeof(a->known));
    for (uint32_t i = 0; a->results && i < a->results->count; i++) {
        if (a->kind == ASK_READ || a->request->operations[i].kind == KV_GET)
            restore_empty(&a->results->list[i]);
    }
    end(a, answer->committed ? KV_COMMITTED_NOW : KV_REFUSED);
}

/* Whether a server has refused to look at the request. Any other failure, an answer that was too
 * long for one, may come of a transaction that has committed. */
static bool has_done_nothing(struct rpc_reply reply)
{
    return reply.outcome == RPC_NOT_EXECUTED ||
           (reply.outcome == RPC_ERROR &&
            (reply.code == RPC_INVALID_ARGUMENT || reply.code == RPC_FAILED_PRECONDITION ||
             reply.code == RPC_UNIMPLEMENTED));
}

static void coordinated(void *context, struct rpc_reply reply, const uint8_t *result,
                        size_t result_bytes)
{
    struct kv_ask *a = context;
    struct kv_answer_read answer;
    a->call = NULL;
    if (reply.outcome == RPC_RESULT &&
        kv_wire_read_txn_reply(&a->node->cluster, result, result_bytes, a->request->count, &answer))
        end_as_told(a, &answer);
    else
        end_without_answer(a, has_done_nothing(reply) ? KV_UNREACHABLE : KV_UNDECIDED, a->at);
}

/* What one replica refuses another one may tell, this node's among them. */
static void was_read(void *context, struct rpc_reply reply, const uint8_t *result,
                     size_t result_bytes)
{
    struct kv_ask *a = context;
    struct kv_answer_read answer;
    a->call = NULL;
    bool is_answer = reply.outcome == RPC_RESULT &&
                     kv_wire_read_get_reply(&a->node->cluster, result, result_bytes, &answer);
    if (is_answer && (answer.committed || (a->left == 0 && !a->owed))) {
        leave_machine(a);
        end_as_told(a, &answer);
        return;
    }
    if (is_answer)
        kv_blob_release(answer.key);
    ask_a_replica(a);
}

/* ---- How they begin ---- */

static uint64_t now_of(const struct kv_node *node)
{
    return node->env->now(node->env);
}

/* Returns NULL with errno. */
static struct kv_ask *new_ask(struct kv_node *node, enum ask_kind kind, uint64_t deadline_ns,
                              kv_told *told, void *context)
{
    if (node->draining || node->failing) {
        errno = ESHUTDOWN;
        return NULL;
    }
    if (node->ask_count == ASKS_MAX) {
        node->counters.rejected_busy++;
        errno = EAGAIN;
        return NULL;
    }
    struct kv_ask *a = calloc(1, sizeof(*a));
    if (!a)
        return NULL;
    a->node = node;
    a->kind = kind;
    a->deadline_ns = deadline_ns;
    a->deadline.expired = deadline_due;
    a->told = told;
    a->context = context;
    TAILQ_INSERT_TAIL(&node->asks, a, link);
    node->ask_count++;
    node->env->timer_start(node->env, &a->deadline, deadline_ns);
    return a;
}

/* Checks and places a request. Returns 0 or an errno. */
static int check_txn(struct kv_node *node, struct kv_request *request)
{
    for (uint32_t i = 0; i < request->count; i++) {
        if (!request->operations[i].key || request->operations[i].key->length == 0) {
            node->counters.rejected_invalid++;
            return EINVAL;
        }
    }
    if (kv_node_limit(&node->cluster, request)) {
        node->counters.rejected_size++;
        return EMSGSIZE;
    }
    kv_place(&node->cluster.placement, request);
    if (!kv_request_valid(request)) {
        node->counters.rejected_invalid++;
        return EINVAL;
    }
    if (bytes_of(request) > ASK_BYTES_MAX - node->ask_bytes) {
        node->counters.rejected_busy++;
        return EAGAIN;
    }
    return 0;
}

static struct kv_ask *new_txn(struct kv_node *node, struct kv_request *request,
                              uint64_t deadline_ns, kv_told *told, void *context)
{
    int error = check_txn(node, request);
    if (error != 0) {
        errno = error;
        return NULL;
    }
    struct kv_ask *a = new_ask(node, ASK_TXN, deadline_ns, told, context);
    if (!a)
        return NULL;
    a->request = kv_request_hold(request);
    node->ask_bytes += bytes_of(request);
    node->counters.transactions++;
    return a;
}

static uint32_t timeout_ms(const struct kv_node *node, uint64_t deadline_ns)
{
    uint64_t now_ns = now_of(node);
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;
    uint64_t margin_ns = left_ns / 4 < MARGIN_NS ? left_ns / 4 : MARGIN_NS;
    uint64_t left_ms = (left_ns - margin_ns) / RPC_MS;
    return left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX;
}

struct kv_ask *kv_asks_txn_here(struct kv_node *node, struct kv_request *request,
                                uint64_t deadline_ns, kv_told *told, void *context)
{
    struct kv_ask *a = new_txn(node, request, deadline_ns, told, context);
    if (!a)
        return NULL;
    a->owed = true;
    kv_node_step_coordinator(node, &(struct kv_event){.kind = KV_EVENT_REQUEST,
                                                      .request = request,
                                                      .caller = name_of(a),
                                                      .deadline_ns = deadline_ns});
    return a;
}

static struct kv_ask *pass_on(struct kv_node *node, uint32_t to, struct kv_request *request,
                              uint64_t deadline_ns, kv_told *told, void *context)
{
    struct kv_ask *a = new_txn(node, request, deadline_ns, told, context);
    if (!a)
        return NULL;
    const struct kv_forward forward = {
        .from = node->id, .request = request, .timeout_ms = timeout_ms(node, deadline_ns)};
    a->at = to;
    a->call = kv_peers_forward(node->peers, to, &forward, deadline_ns, coordinated, a);
    if (!a->call)
        end_without_answer(a, KV_UNREACHABLE, to);
    return a;
}

struct kv_ask *kv_node_txn(struct kv_node *node, struct kv_request *request, uint64_t deadline_ns,
                           kv_told *told, void *context)
{
    if (node->failing) {
        errno = ESHUTDOWN;
        return NULL;
    }
    kv_nodes candidates = kv_peers_reachable(node->peers) | kv_node_bit(node->id);
    uint32_t coordinator =
        kv_coordinator(&node->cluster.coordinator, candidates, node->id, kv_node_draw(node));
    if (coordinator == node->id)
        return kv_asks_txn_here(node, request, deadline_ns, told, context);
    return pass_on(node, coordinator, request, deadline_ns, told, context);
}

/* ---- Reads ---- */

static struct kv_ask *new_read(struct kv_node *node, struct kv_blob *key, bool stale,
                               uint64_t deadline_ns, kv_told *told, void *context)
{
    if (key->length == 0 || key->length > node->cluster.key_bytes) {
        node->counters.rejected_size += key->length > 0;
        node->counters.rejected_invalid += key->length == 0;
        errno = key->length == 0 ? EINVAL : EMSGSIZE;
        return NULL;
    }
    struct kv_ask *a = new_ask(node, ASK_READ, deadline_ns, told, context);
    if (!a)
        return NULL;
    a->key = kv_blob_hold(key);
    a->stale = stale;
    node->counters.reads++;
    node->counters.reads_stale += stale;
    return a;
}

static void read_stale(struct kv_ask *a)
{
    const struct kv_store *store = kv_journal_store(a->node->journal);
    struct kv_result r = {0};
    bool is_sound = store->get(store->context, a->key, &r);
    answered_here(a, &r, is_sound ? KV_REASON_NONE : KV_REASON_DAMAGED);
    kv_blob_release(r.value);
}

/* Where others are left they are asked if the lock stays. */
static void read_here(struct kv_ask *a)
{
    struct kv_node *node = a->node;
    if (a->stale) {
        read_stale(a);
        return;
    }
    a->owed = true;
    if (a->left != 0 && now_of(node) + LOCKED_NS < a->deadline_ns)
        node->env->timer_start(node->env, &a->deadline, now_of(node) + LOCKED_NS);
    kv_node_step_worker(
        node, &(struct kv_event){.kind = KV_EVENT_READ, .key = a->key, .caller = name_of(a)});
}

/* One of a set that is not empty. */
static uint32_t draw_of(struct kv_node *node, kv_nodes nodes)
{
    const struct kv_coordinator_choice any = {.mode = KV_COORDINATOR_RANDOM};
    return kv_coordinator(&any, nodes, 0, kv_node_draw(node));
}

/* Asks a replica that has not been asked, those first that seem to be there. While there are
 * others, it has half of the time that is left. With none left to ask the read ends, unless it
 * waits here. */
static void ask_a_replica(struct kv_ask *a)
{
    struct kv_node *node = a->node;
    uint64_t now_ns = now_of(node);
    kv_nodes first = a->left & kv_peers_reachable(node->peers);

    if (a->left == 0 || now_ns >= a->deadline_ns) {
        if (!a->owed)
            end_without_answer(a, KV_UNREACHABLE, a->at);
        return;
    }
    a->at = draw_of(node, first ? first : a->left);
    a->left &= ~kv_node_bit(a->at);
    uint64_t by_ns = a->left ? now_ns + (a->deadline_ns - now_ns) / 2 : a->deadline_ns;
    const struct kv_forward forward = {
        .from = node->id, .key = a->key, .stale = a->stale, .timeout_ms = timeout_ms(node, by_ns)};
    a->call = kv_peers_forward(node->peers, a->at, &forward, by_ns, was_read, a);
    if (!a->call && !a->owed)
        end_without_answer(a, KV_UNREACHABLE, a->at);
}

struct kv_ask *kv_asks_read_here(struct kv_node *node, struct kv_blob *key, bool stale,
                                 uint64_t deadline_ns, kv_told *told, void *context)
{
    if (!(kv_replicas(&node->cluster.placement, key) & kv_node_bit(node->id))) {
        node->counters.rejected_invalid++;
        errno = EINVAL;
        return NULL;
    }
    struct kv_ask *a = new_read(node, key, stale, deadline_ns, told, context);
    if (a)
        read_here(a);
    return a;
}

struct kv_ask *kv_node_read(struct kv_node *node, struct kv_blob *key, bool stale,
                            uint64_t deadline_ns, kv_told *told, void *context)
{
    struct kv_ask *a = new_read(node, key, stale, deadline_ns, told, context);
    if (!a)
        return NULL;
    a->left = kv_replicas(&node->cluster.placement, key);
    bool is_here = (a->left & kv_node_bit(node->id)) != 0;
    a->left &= ~kv_node_bit(node->id);
    if (is_here)
        read_here(a);
    else
        ask_a_replica(a);
    return a;
}
