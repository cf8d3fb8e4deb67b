/* SPDX-License-Identifier: MIT */
/*
 * How the machines are driven. An event goes into a machine, whose actions are carried out at once
 * where they lead to no further event: a row is handed to the journal, a timer is set, a message to
 * another node is packed. What does lead on is put off to the next turn, a timer that is due as
 * soon as it is started:
 *
 *     socket, timer, journal --> step --> row, timer, packed message
 *                                   `---> message to itself, reply --> turn --> step, told; flush
 *
 * So a machine is never stepped within a step, whoever is told may ask anew, and messages that
 * arise together travel together.
 *
 * Linearizable reads. A read is answered by one replica alone, without a lease and without asking
 * the others, once the key is not locked exclusively there. Why this is enough, as long as there is
 * one epoch:
 *
 *   - A write that has committed had the vote of every replica of the key. Each of them held the
 *     lock from before its vote until the new value was durable with it, and lets go only then. So
 *     from the decision on no replica shows the old value: it shows the new one, or waits. A
 *     client hears of success after the decision, so whoever reads later sees the write, whether
 *     or not all have acknowledged. A replica that is cut off from the rest needs no exception: it
 *     has voted, and waits, or it has not, and the write has not committed.
 *   - A replica shows the new value when its COMMIT row is durable: the decision is durable then,
 *     too, and what is read can be read again. All other replicas have voted and so hold the lock
 *     or show the new value: no later read at another replica sees the old one.
 *   - What a replica has promised survives a crash: the PREPARE row was durable before the vote,
 *     and the locks of all that are prepared are taken back (KV_EVENT_START) before the node
 *     listens. Of a transaction whose PREPARE was not durable no vote was sent, so it has not
 *     committed.
 *   - "Already" is success, too. It comes from a replica where the earlier attempt has committed:
 *     for that attempt all of the above holds.
 *
 * A read that waits resolves the lock: it inquires at once (worker.c). After a while it asks other
 * replicas, too, whose answers are as good by the same reasons, and ends at its deadline as refused
 * by the holder. Stale reads show what is durable here, under whatever lock.
 *
 * Deadlines are times of the environment's monotonic clock. The time of day is only written into
 * the journal, for people.
 */
#include "kv/node.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kv/coordinator.h"
#include "kv/node_service.h"
#include "kv/node_state.h"
#include "kv/worker.h"

/* A transaction that cannot end, since a participant is away, lets so many others begin. */
#define WINDOW         8192
#define LOCKS_MAX      65536
#define READERS_MAX    1024
#define VOTE_NS        (3 * RPC_S)
#define NEAR_NS        (200 * RPC_MS)
#define RESEND_NS      (500 * RPC_MS)
#define RESEND_MAX_NS  (4 * RPC_S)
#define INQUIRE_NS     (500 * RPC_MS)
#define INQUIRE_MAX_NS (4 * RPC_S)

#define PLACEMENT_BYTES 128 /* as text */

#define INBOX_MIN     64
#define DRAIN_POLL_NS (5 * RPC_MS)

/* ---- Events and actions ---- */

static void coordinator_timer_due(void *owner, struct strait_timer *timer)
{
    struct txn_timer *t = (struct txn_timer *)(void *)timer;
    (void)owner;
    kv_node_step_coordinator(t->node,
                             &(struct kv_event){.kind = KV_EVENT_TIMEOUT, .txid = t->txid});
}

static void worker_timer_due(void *owner, struct strait_timer *timer)
{
    struct txn_timer *t = (struct txn_timer *)(void *)timer;
    (void)owner;
    kv_node_step_worker(t->node, &(struct kv_event){.kind = KV_EVENT_TIMEOUT, .txid = t->txid});
}

/* A machine keeps at most one transaction in each place, and stops its timer before it lets go. */
static void set_timer(struct kv_node *node, struct txn_timer *t, const struct kv_action *action,
                      void (*due)(void *owner, struct strait_timer *))
{
    if (action->at_ns == STRAIT_NEVER) {
        node->env->timer_stop(node->env, &t->timer);
        return;
    }
    t->timer.expired = due;
    t->node = node;
    t->txid = action->txid;
    node->env->timer_start(node->env, &t->timer, action->at_ns);
}

static bool grow(struct inbox *inbox)
{
    uint32_t room = inbox->room ? 2 * inbox->room : INBOX_MIN;
    struct kv_message *messages = realloc(inbox->messages, room * sizeof(*messages));
    if (!messages)
        return false;
    inbox->messages = messages;
    inbox->room = room;
    return true;
}

static void send_to_itself(struct kv_node *node, const struct kv_message *m)
{
    struct inbox *inbox = &node->inbox;
    if (inbox->count == inbox->room && !grow(inbox)) {
        node->messages_lost++;
        return;
    }
    struct kv_message *copy = &inbox->messages[inbox->count++];
    *copy = *m;
    kv_request_hold(copy->request);
    kv_results_hold(copy->results);
}

static void write_row(struct kv_node *node, const struct kv_row *row)
{
    if (!node->failing && kv_journal_write(node->journal, row) < 0)
        kv_node_fail(node, "the journal does not take a row: %s", strerror(errno));
}

/* What both machines do alike. */
static void carry_out(struct kv_node *node, const struct kv_action *action)
{
    switch (action->kind) {
    case KV_SEND:
        if (action->message->to == node->id)
            send_to_itself(node, action->message);
        else
            kv_peers_send(node->peers, action->message);
        break;
    case KV_JOURNAL:
        write_row(node, action->row);
        break;
    case KV_REPLY:
        kv_asks_replied(node, action->reply);
        break;
    case KV_READ_REPLY:
        kv_asks_read_replied(node, action);
        break;
    case KV_STOP:
        kv_node_fail(node,
                     "%s (transaction %" PRIu32 ".%" PRIu32 ".%" PRIu64
                     "): this node has lost what it had promised, and has to be rebuilt",
                     kv_stop_name(action->stop), action->txid.coordinator, action->txid.incarnation,
                     action->txid.sequence);
        break;
    default:
        break;
    }
}

static void coordinator_acts(void *context, const struct kv_action *action)
{
    struct kv_node *node = context;
    if (action->kind == KV_TIMER)
        set_timer(node, &node->coordinator_timers[action->txid.sequence % WINDOW], action,
                  coordinator_timer_due);
    else
        carry_out(node, action);
}

static void worker_acts(void *context, const struct kv_action *action)
{
    struct kv_node *node = context;
    if (action->kind != KV_TIMER) {
        carry_out(node, action);
        return;
    }
    const struct worker_txn *t = worker_find(node->worker, action->txid);
    set_timer(node, &node->worker_timers[t - node->worker->records], action, worker_timer_due);
}

void kv_node_step_coordinator(struct kv_node *node, const struct kv_event *event)
{
    if (node->failing)
        return;
    coordinator_step(node->coordinator, event, node->env->now(node->env),
                     &(struct kv_sink){coordinator_acts, node});
    kv_node_wake(node);
}

void kv_node_step_worker(struct kv_node *node, const struct kv_event *event)
{
    if (node->failing)
        return;
    worker_step(node->worker, event, node->env->now(node->env), kv_journal_store(node->journal),
                &(struct kv_sink){worker_acts, node});
    kv_node_wake(node);
}

void kv_node_hear(struct kv_node *node, const struct kv_message *m)
{
    struct kv_event event = {.kind = KV_EVENT_MESSAGE, .message = m, .txid = m->txid};
    switch (m->kind) {
    case KV_VOTE_COMMIT:
    case KV_VOTE_ABORT:
    case KV_ACK:
    case KV_INQUIRE_COORDINATOR:
        kv_node_step_coordinator(node, &event);
        break;
    default:
        kv_node_step_worker(node, &event);
        break;
    }
}

static void row_durable(void *context, enum kv_row_kind kind, struct kv_txid txid)
{
    struct kv_event event = {.kind = KV_EVENT_DURABLE, .row = kind, .txid = txid};
    if (kv_row_is_worker(kind))
        kv_node_step_worker(context, &event);
    else
        kv_node_step_coordinator(context, &event);
}

static void journal_failed(void *context, const char *message)
{
    kv_node_fail(context, "the journal has failed: %s", message);
}

static void journal_warns(void *context, const char *line)
{
    const struct kv_node *node = context;
    if (node->config.warn)
        node->config.warn(node->config.context, line);
}

/* SplitMix64 (Steele, Lea, Flood, 2014). */
uint64_t kv_node_draw(struct kv_node *node)
{
    uint64_t x = node->random += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* ---- Turns ---- */

void kv_node_wake(struct kv_node *node)
{
    if (node->awake)
        return;
    node->awake = true;
    node->env->timer_start(node->env, &node->turn, STRAIT_AT_ONCE);
}

static void hear_itself(struct kv_node *node)
{
    struct inbox inbox = node->inbox;
    node->inbox = (struct inbox){0};
    for (uint32_t i = 0; i < inbox.count; i++) {
        kv_node_hear(node, &inbox.messages[i]);
        kv_request_release(inbox.messages[i].request);
        kv_results_release(inbox.messages[i].results);
    }
    if (node->inbox.messages) {
        free(inbox.messages);
        return;
    }
    inbox.count = 0;
    node->inbox = inbox;
}

static void stop_timers(struct kv_node *node)
{
    for (uint32_t i = 0; node->coordinator_timers && i < WINDOW; i++)
        node->env->timer_stop(node->env, &node->coordinator_timers[i].timer);
    for (uint32_t i = 0; node->worker_timers && i < node->worker_timer_count; i++)
        node->env->timer_stop(node->env, &node->worker_timers[i].timer);
}

/* The node does nothing any more; its memory stays, for whoever looks at it. */
static void halt(struct kv_node *node)
{
    node->stopped = true;
    stop_timers(node);
    kv_asks_end_all(node);
    kv_node_service_free(node->service);
    node->service = NULL;
    kv_peers_free(node->peers);
    node->peers = NULL;
    kv_asks_tell(node);
    node->config.stopped(node->config.context, node->why);
}

static bool is_idle(const struct kv_node *node)
{
    return node->ask_count == 0 && node->coordinator->first == node->coordinator->next &&
           kv_locks_held(worker_locks(node->worker)) == 0 && node->inbox.count == 0 &&
           kv_journal_is_idle(node->journal) && kv_peers_are_idle(node->peers);
}

static void go_on_draining(struct kv_node *node)
{
    uint64_t now_ns = node->env->now(node->env);
    if (!is_idle(node) && now_ns < node->drain_by_ns) {
        node->env->timer_start(node->env, &node->turn, now_ns + DRAIN_POLL_NS);
        return;
    }
    void (*idle)(void *) = node->idle;
    node->idle = NULL;
    idle(node->idle_context);
}

static void turn_due(void *owner, struct strait_timer *timer)
{
    struct kv_node *node =
        (struct kv_node *)(void *)((char *)timer - offsetof(struct kv_node, turn));
    (void)owner;
    node->awake = false;
    if (node->stopped)
        return;
    if (node->failing) {
        halt(node);
        return;
    }
    hear_itself(node);
    kv_asks_tell(node);
    kv_peers_flush(node->peers);
    if (node->idle)
        go_on_draining(node);
}

void kv_node_fail(struct kv_node *node, const char *format, ...)
{
    va_list arguments;
    if (node->failing)
        return;
    node->failing = true;
    va_start(arguments, format);
    vsnprintf(node->why, sizeof(node->why), format, arguments);
    va_end(arguments);
    kv_node_wake(node);
}

/* ---- Life ---- */

static bool make_machines(struct kv_node *node)
{
    node->worker_timer_count = WINDOW * kv_node_count(node->cluster.placement.members);
    node->coordinator = coordinator_new(&(struct coordinator_config){
        .id = node->id,
        .members = node->cluster.placement.members,
        .window = WINDOW,
        .vote_ns = VOTE_NS,
        .resend_ns = RESEND_NS,
        .resend_max_ns = RESEND_MAX_NS,
        .near_ns = NEAR_NS,
        .results_bytes = node->cluster.transaction_bytes,
    });
    node->worker = worker_new(&(struct worker_config){
        .id = node->id,
        .epoch = node->cluster.placement.epoch,
        .records_max = node->worker_timer_count,
        .locks_max = LOCKS_MAX,
        .readers_max = READERS_MAX,
        .inquire_ns = INQUIRE_NS,
        .inquire_max_ns = INQUIRE_MAX_NS,
    });
    node->coordinator_timers = calloc(WINDOW, sizeof(struct txn_timer));
    /* NOLINTNEXTLINE(clang-analyzer-optin.portability.UnixAPI): this node is a member at least */
    node->worker_timers = calloc(node->worker_timer_count, sizeof(struct txn_timer));
    return node->coordinator && node->worker && node->coordinator_timers && node->worker_timers;
}

/*
 * The rows that may wait: of each of the coordinator's transactions the END of the one that had its
 * place and its own PREPARE, or its decision; of each of the worker's records PREPARE and ABORT;
 * the START, and marks. A row more would be a fault of a machine, and stops the node.
 */
static size_t rows_max(const struct kv_node *node)
{
    return 1 + 2 * (size_t)WINDOW + 2 * (size_t)node->worker_timer_count + KV_NODES_MAX;
}

/* "shop (nodes 1 2 3, replication 3)" */
static void describe(const struct kv_cluster *c, char *text, size_t bytes)
{
    size_t length = (size_t)snprintf(text, bytes, "%s (nodes", c->name);
    kv_nodes left = c->placement.members;
    for (uint32_t id; (id = kv_node_take(&left));)
        length += (size_t)snprintf(text + length, bytes - length, " %" PRIu32, id);
    snprintf(text + length, bytes - length, ", replication %" PRIu32 ")", c->placement.replication);
}

/* Data that was placed otherwise is another cluster's: values would be looked for where they are
 * not. */
static bool recover(struct kv_node *node, char error[KV_NODE_ERROR_BYTES])
{
    char message[STORE_MESSAGE_BYTES], cluster[KV_CLUSTER_NAME_BYTES + PLACEMENT_BYTES];

    describe(&node->cluster, cluster, sizeof(cluster));
    node->journal = kv_journal_open(node->env,
                                    &(struct kv_journal_config){.directory = node->directory,
                                                                .cluster = cluster,
                                                                .queue_max = rows_max(node),
                                                                .node = node->id,
                                                                .durable = row_durable,
                                                                .failed = journal_failed,
                                                                .warn = journal_warns,
                                                                .context = node},
                                    message);
    if (node->journal && kv_journal_load(node->journal, node->coordinator, node->worker, message))
        return true;
    snprintf(error, KV_NODE_ERROR_BYTES, "%s", message);
    return false;
}

static bool join(struct kv_node *node, char error[KV_NODE_ERROR_BYTES])
{
    node->peers = kv_peers_new(&(struct kv_peers_config){
        .host = node->config.host, .cluster = &node->cluster, .id = node->id});
    if (!node->peers) {
        snprintf(error, KV_NODE_ERROR_BYTES, "no memory");
        return false;
    }
    const struct kv_event start = {.kind = KV_EVENT_START};
    kv_node_step_coordinator(node, &start);
    kv_node_step_worker(node, &start);
    if (node->failing) {
        snprintf(error, KV_NODE_ERROR_BYTES, "%s", node->why);
        return false;
    }
    node->service = kv_node_service_start(node);
    if (!node->service)
        snprintf(error, KV_NODE_ERROR_BYTES, "cannot listen for the other nodes: %s",
                 strerror(errno));
    return node->service != NULL;
}

struct kv_node *kv_node_start(const struct kv_node_config *config, char error[KV_NODE_ERROR_BYTES])
{
    if (!(config->cluster->placement.members & kv_node_bit(config->id))) {
        snprintf(error, KV_NODE_ERROR_BYTES, "node %u is not in the cluster's file",
                 (unsigned)config->id);
        return NULL;
    }
    snprintf(error, KV_NODE_ERROR_BYTES, "no memory");
    struct kv_node *node = calloc(1, sizeof(*node));
    if (!node)
        return NULL;
    node->config = *config;
    node->cluster = *config->cluster;
    node->directory = strdup(config->directory);
    node->env = config->host.env;
    node->id = config->id;
    node->random = config->random;
    node->turn.expired = turn_due;
    TAILQ_INIT(&node->asks);
    TAILQ_INIT(&node->ended);
    if (node->directory && make_machines(node) && recover(node, error) && join(node, error))
        return node;
    kv_node_free(node);
    return NULL;
}

void kv_node_free(struct kv_node *node)
{
    if (!node)
        return;
    node->failing = node->stopped = true;
    node->env->timer_stop(node->env, &node->turn);
    kv_node_service_free(node->service); /* it cancels asks */
    kv_asks_free_all(node);
    kv_peers_free(node->peers);
    stop_timers(node);
    for (uint32_t i = 0; i < node->inbox.count; i++) {
        kv_request_release(node->inbox.messages[i].request);
        kv_results_release(node->inbox.messages[i].results);
    }
    free(node->inbox.messages);
    coordinator_free(node->coordinator);
    worker_free(node->worker);
    kv_journal_free(node->journal);
    free(node->coordinator_timers);
    free(node->worker_timers);
    free(node->directory);
    free(node);
}

void kv_node_drain(struct kv_node *node, uint64_t deadline_ns, void (*idle)(void *context),
                   void *context)
{
    node->draining = true;
    node->idle = idle;
    node->idle_context = context;
    node->drain_by_ns = deadline_ns;
    kv_node_wake(node);
}
