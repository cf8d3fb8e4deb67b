/* SPDX-License-Identifier: MIT */
/* What is common to all worlds of a scenario, and the numbers by which its parts are known. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "parts.h"

#define RECORDS_MAX 6
#define LOCKS_MAX   6
#define READERS_MAX 1
#define WINDOW      3

/* ---- The universe ---- */

/* Copies of worlds hold no references of their own, but release them: what they refer to is freed
 * with the universe. */
#define FOR_EVER (SIZE_MAX / 2)

static struct kv_blob *new_blob(const char *byte)
{
    struct kv_blob *blob = kv_blob_new(byte, 1);

    CHECK(blob);
    blob->references = FOR_EVER;
    return blob;
}

/* Reads "a=1 b?" into operations. The value of a put is the request itself. */
static struct kv_request *read_request(struct universe *u, const struct scenario_request *from)
{
    struct kv_request *request = kv_request_new(OPERATIONS_MAX);

    CHECK(request);
    request->references = FOR_EVER;
    request->client = from->client;
    request->sequence = from->sequence;
    request->epoch = 1;
    request->count = 0;
    for (const char *p = from->text; *p; p++) {
        if (*p == ' ')
            continue;
        struct kv_operation *o = &request->operations[request->count++];
        uint32_t key = (uint32_t)(*p++ - 'a');
        o->key = u->keys[key];
        o->replicas = u->scenario->replicas[key];
        o->kind = *p == '=' ? KV_PUT : *p == '-' ? KV_DELETE : *p == '?' ? KV_GET : KV_CHECK;
        if (o->kind == KV_PUT)
            o->value = new_blob(++p);
        else if (o->kind == KV_CHECK)
            o->version = (uint64_t)(*++p - '0');
        request->participants |= o->replicas;
    }
    return request;
}

struct universe *universe_new(const struct scenario *scenario)
{
    struct universe *u = calloc(1, sizeof(*u));

    CHECK(u);
    u->sendings = calloc(SENDINGS_MAX, sizeof(u->sendings[0]));
    CHECK(u->sendings);
    u->scenario = scenario;
    for (uint32_t k = 0; k < KEYS_MAX; k++)
        u->keys[k] = new_blob(&"ab"[k]);
    while (u->request_count < REQUESTS_MAX && scenario->requests[u->request_count].text) {
        u->requests[u->request_count] = read_request(u, &scenario->requests[u->request_count]);
        u->request_count++;
    }
    for (uint32_t i = 0; i < scenario->coordinators; i++) {
        u->empty_coordinators[i] = coordinator_new(&(struct coordinator_config){
            .id = i + 1,
            .members = (UINT32_C(1) << scenario->workers) - 1,
            .window = WINDOW,
            .vote_ns = DEADLINE_NS,
            .resend_ns = 1,
            .resend_max_ns = 1,
        });
        CHECK(coordinator_bytes(u->empty_coordinators[i]) <= COORDINATOR_BYTES);
    }
    for (uint32_t i = 0; i < scenario->workers; i++) {
        u->empty_workers[i] = worker_new(&(struct worker_config){
            .id = i + 1,
            .epoch = 1,
            .records_max = RECORDS_MAX,
            .locks_max = LOCKS_MAX,
            .readers_max = READERS_MAX,
            .inquire_ns = 1,
            .inquire_max_ns = 1,
        });
        CHECK(worker_bytes(u->empty_workers[i]) <= WORKER_BYTES);
    }
    return u;
}

void universe_free(struct universe *u)
{
    for (uint32_t i = 0; i < COORDINATORS_MAX; i++)
        coordinator_free(u->empty_coordinators[i]);
    for (uint32_t i = 0; i < WORKERS_MAX; i++)
        worker_free(u->empty_workers[i]);
    for (uint32_t i = 0; i < u->result_count; i++)
        free(u->results[i]);
    for (uint32_t r = 0; r < u->request_count; r++) {
        for (uint32_t i = 0; i < u->requests[r]->count; i++)
            free(u->requests[r]->operations[i].value);
        free(u->requests[r]);
    }
    for (uint32_t k = 0; k < KEYS_MAX; k++)
        free(u->keys[k]);
    map_free(&u->quiet);
    map_free(&u->settled);
    free(u->sendings);
    free(u);
}

uint8_t txid_index(struct universe *u, struct kv_txid id)
{
    if (id.incarnation == 0)
        return NONE;
    for (uint32_t i = 0; i < u->txid_count; i++) {
        if (kv_txid_equal(u->txids[i], id))
            return (uint8_t)i;
    }
    CHECK(u->txid_count < TXIDS_MAX);
    u->txids[u->txid_count] = id;
    return (uint8_t)u->txid_count++;
}

struct kv_txid txid_at(const struct universe *u, uint8_t index)
{
    return index == NONE ? (struct kv_txid){0} : u->txids[index];
}

uint8_t request_index(const struct universe *u, const struct kv_request *request)
{
    for (uint32_t i = 0; i < u->request_count; i++) {
        if (u->requests[i] == request)
            return (uint8_t)i;
    }
    return NONE;
}

static bool results_equal(const struct kv_results *a, const struct kv_results *b)
{
    bool equal = a->count == b->count;

    for (uint32_t i = 0; equal && i < a->count; i++)
        equal = a->list[i].found == b->list[i].found && a->list[i].version == b->list[i].version &&
                a->list[i].value == b->list[i].value;
    return equal;
}

uint8_t results_index(struct universe *u, struct kv_results *results)
{
    if (!results)
        return NONE;
    for (uint32_t i = 0; i < u->result_count; i++) {
        if (u->results[i] == results || results_equal(u->results[i], results))
            return (uint8_t)i;
    }
    CHECK(u->result_count < RESULTS_MAX);
    results->references += FOR_EVER;
    u->results[u->result_count] = results;
    return (uint8_t)u->result_count++;
}

static bool messages_equal(const struct kv_message *a, const struct kv_message *b)
{
    return a->kind == b->kind && a->from == b->from && a->to == b->to &&
           kv_txid_equal(a->txid, b->txid) && kv_txid_equal(a->mark, b->mark) &&
           a->request == b->request && a->results == b->results &&
           a->refusal.reason == b->refusal.reason && a->refusal.operation == b->refusal.operation &&
           kv_txid_equal(a->refusal.holder, b->refusal.holder) &&
           a->participants == b->participants && a->answer == b->answer;
}

uint32_t receiver(const struct kv_message *m)
{
    bool to_coordinator = m->kind == KV_VOTE_COMMIT || m->kind == KV_VOTE_ABORT ||
                          m->kind == KV_ACK || m->kind == KV_INQUIRE_COORDINATOR;

    return to_coordinator ? m->to - 1 : COORDINATORS_MAX + m->to - 1;
}

uint32_t message_index(struct universe *u, const struct kv_message *message)
{
    struct kv_message m = *message;
    uint8_t results = results_index(u, m.results);

    m.results = results == NONE ? NULL : u->results[results];
    for (uint32_t i = 0; i < u->message_count; i++) {
        if (messages_equal(&u->messages[i], &m))
            return i;
    }
    CHECK(u->message_count < MESSAGES_MAX);
    u->messages[u->message_count] = m;
    uint64_t *addressed = u->addressed[receiver(&m)];
    addressed[u->message_count / 64] |= UINT64_C(1) << (u->message_count % 64);
    return u->message_count++;
}

/* The first request with this client and sequence stands for all of them. */
uint8_t past_index(const struct universe *u, uint64_t client, uint64_t sequence)
{
    for (uint32_t i = 0; i < u->request_count; i++) {
        if (u->requests[i]->client == client && u->requests[i]->sequence == sequence)
            return (uint8_t)i;
    }
    return NONE;
}
