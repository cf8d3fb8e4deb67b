/* SPDX-License-Identifier: MIT */
#include "kv/machine.h"

const char *kv_row_name(enum kv_row_kind kind)
{
    static const char *const names[] = {
        [KV_COORDINATOR_START] = "START",   [KV_COORDINATOR_PREPARE] = "PREPARE",
        [KV_COORDINATOR_COMMIT] = "COMMIT", [KV_COORDINATOR_ABORT] = "ABORT",
        [KV_COORDINATOR_END] = "END",       [KV_WORKER_PREPARE] = "PREPARE",
        [KV_WORKER_COMMIT] = "COMMIT",      [KV_WORKER_ABORT] = "ABORT",
        [KV_WORKER_MARK] = "MARK",
    };
    return names[kind];
}

const char *kv_stop_name(enum kv_stop stop)
{
    static const char *const names[] = {
        [KV_STOP_COMMIT_UNKNOWN] = "told to commit what it has no record of",
        [KV_STOP_PREPARED_ENDED] = "prepared for what has ended",
        [KV_STOP_CONTRADICTION] = "told the opposite of its record",
        [KV_STOP_JOURNAL_REFUTED] = "the journal contradicts itself",
        [KV_STOP_STORE_UNREADABLE] = "a row cannot be read",
    };
    return names[stop];
}

/* Where operation `index` stands among those for a node. */
static uint32_t position_at(const struct kv_request *request, uint32_t index, kv_nodes node)
{
    uint32_t position = 0;

    for (uint32_t i = 0; i < index; i++)
        position += (request->operations[i].replicas & node) != 0;
    return position;
}

const struct kv_result *kv_reply_result(const struct kv_reply *reply, uint32_t index)
{
    kv_nodes replicas = reply->request->operations[index].replicas;

    for (uint32_t node; (node = kv_node_take(&replicas)) != 0;) {
        const struct kv_results *results = reply->results[node - 1];
        uint32_t position = position_at(reply->request, index, kv_node_bit(node));
        if (results && position < results->count)
            return &results->list[position];
    }
    return NULL;
}
