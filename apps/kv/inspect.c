/* SPDX-License-Identifier: MIT */
#include "kv/inspect.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "kv/document.h"
#include "kv/service.h"

/* ---- Parts ---- */

static json_t *ids_of(kv_nodes nodes)
{
    json_t *ids = json_array();
    for (uint32_t id; (id = kv_node_take(&nodes)) != 0;)
        json_array_append_new(ids, json_integer((json_int_t)id));
    return ids;
}

/* RFC 3986 2.3: what is unreserved stands for itself, and here the slash too. */
static json_t *key_of(const struct kv_blob *key)
{
    static const char digits[] = "0123456789ABCDEF";
    char *text = malloc(3 * key->length + 1);
    size_t n = 0;
    if (!text)
        return NULL;
    for (size_t i = 0; i < key->length; i++) {
        uint8_t c = key->bytes[i];
        if (c < 0x80 && (isalnum(c) || (c != 0 && strchr("-._~/", c)))) {
            text[n++] = (char)c;
            continue;
        }
        text[n++] = '%';
        text[n++] = digits[c >> 4];
        text[n++] = digits[c & 15];
    }
    json_t *json = json_stringn(text, n);
    free(text);
    return json;
}

static void set_keys(json_t *json, const struct kv_request *request)
{
    json_t *keys = json_array();
    for (uint32_t i = 0; i < request->count; i++)
        json_array_append_new(keys, key_of(request->operations[i].key));
    json_object_set_new(json, "keys", keys);
}

static void set_number(json_t *json, const char *name, uint64_t number)
{
    json_object_set_new(json, name, json_integer((json_int_t)number));
}

static void set_phase(json_t *json, const char *phase)
{
    json_object_set_new(json, "phase", json_string(phase));
}

/* ---- Status ---- */

static void add_counter(void *context, const char *name, uint64_t value)
{
    set_number(context, name, value);
}

static json_t *nodes_of(const struct kv_cluster *cluster, kv_nodes reachable)
{
    kv_nodes left = cluster->placement.members;
    json_t *nodes = json_array();
    for (uint32_t id; (id = kv_node_take(&left)) != 0;) {
        char address[INET_ADDRSTRLEN];
        inet_ntop(AF_INET, &cluster->addresses[id - 1], address, sizeof(address));
        json_t *node = json_object();
        set_number(node, "id", id);
        json_object_set_new(node, "address", json_string(address));
        json_object_set_new(node, "reachable", json_boolean(reachable & kv_node_bit(id)));
        json_array_append_new(nodes, node);
    }
    return nodes;
}

char *kv_inspect_status(struct kv_node *node)
{
    const struct kv_cluster *cluster = kv_node_cluster(node);
    struct kv_status status;
    char mode[KV_MODE_BYTES];
    json_t *json = json_object(), *counters = json_object();
    kv_node_status(node, &status);
    json_object_set_new(json, "cluster", json_string(cluster->name));
    set_number(json, "id", status.id);
    json_object_set_new(json, "serving", json_boolean(status.serving));
    set_number(json, "epoch", cluster->placement.epoch);
    set_number(json, "replication", cluster->placement.replication);
    json_object_set_new(json, "coordinator", json_string(kv_mode_write(cluster, mode)));
    set_number(json, "incarnation", status.incarnation);
    set_number(json, "keys", status.keys);
    set_number(json, "coordinating", status.coordinating);
    set_number(json, "in_doubt", status.in_doubt);
    set_number(json, "locks", status.locks);
    json_object_set_new(json, "nodes", nodes_of(cluster, status.reachable));
    kv_node_visit_counters(node, add_counter, counters);
    json_object_set_new(json, "counters", counters);
    return kv_json_text(json);
}

/* ---- Transactions ---- */

/* What is asked for, as far as one of the machines still has it; or NULL. */
static const struct kv_request *request_of(const struct kv_txn_view *view)
{
    if (view->coordinator && view->coordinator->request)
        return view->coordinator->request;
    return view->worker ? view->worker->request : NULL;
}

static void describe(json_t *json, const struct kv_txn_view *view)
{
    const struct coordinator_txn *c = view->coordinator;
    const struct worker_txn *w = view->worker;
    if (c) {
        json_t *part = json_object();
        set_phase(part, coordinator_phase_name(c->phase));
        json_object_set_new(part, "participants", ids_of(c->participants));
        json_object_set_new(part, "voted", ids_of(c->voted));
        json_object_set_new(part, "acknowledged", ids_of(c->acknowledged));
        json_object_set_new(json, "coordinator", part);
    }
    if (w) {
        json_t *part = json_object();
        set_phase(part, worker_phase_name(w->phase));
        json_object_set_new(json, "worker", part);
    }
    const struct kv_request *request = request_of(view);
    if (request)
        set_keys(json, request);
}

static json_t *named(struct kv_txid txid)
{
    char text[KV_TXID_BYTES];
    json_t *json = json_object();
    json_object_set_new(json, "txid", json_string(kv_txid_write(txid, text)));
    return json;
}

struct listing {
    json_t *txns;
    size_t key_bytes;
    bool more;
};

static size_t key_bytes_of(const struct kv_request *request)
{
    size_t bytes = 0;
    for (uint32_t i = 0; request && i < request->count; i++)
        bytes += request->operations[i].key->length;
    return bytes;
}

static void list_txn(void *context, const struct kv_txn_view *view)
{
    struct listing *l = context;
    l->key_bytes += key_bytes_of(request_of(view));
    l->more = l->more || json_array_size(l->txns) == KV_INSPECT_TXNS_MAX ||
              l->key_bytes > KV_INSPECT_KEY_BYTES;
    if (l->more)
        return;
    json_t *txn = named(view->txid);
    describe(txn, view);
    json_array_append_new(l->txns, txn);
}

char *kv_inspect_txns(struct kv_node *node, bool in_doubt_only)
{
    struct listing l = {.txns = json_array()};
    json_t *json = json_object();
    kv_node_visit_txns(node, in_doubt_only, list_txn, &l);
    json_object_set_new(json, "txns", l.txns);
    json_object_set_new(json, "more", json_boolean(l.more));
    return kv_json_text(json);
}

struct search {
    struct kv_txid txid;
    json_t *json;
    bool found;
};

static void match_txn(void *context, const struct kv_txn_view *view)
{
    struct search *s = context;
    if (!kv_txid_equal(view->txid, s->txid))
        return;
    describe(s->json, view);
    s->found = true;
}

static void add_row(void *context, const struct kv_journal_entry *entry)
{
    json_t *rows = context, *row = json_object();
    bool of_worker = entry->kind >= KV_WORKER_PREPARE;
    json_object_set_new(row, "machine", json_string(of_worker ? "worker" : "coordinator"));
    json_object_set_new(row, "row", json_string(kv_row_name(entry->kind)));
    json_object_set_new(row, "time_ms", json_integer((json_int_t)entry->time_ms));
    if (entry->participants != 0)
        json_object_set_new(row, "participants", ids_of(entry->participants));
    json_array_append_new(rows, row);
}

char *kv_inspect_txn(struct kv_node *node, struct kv_txid txid, bool *known)
{
    struct search s = {.txid = txid, .json = named(txid)};
    json_t *rows = json_array();
    kv_node_visit_txns(node, false, match_txn, &s);
    kv_journal_visit(kv_node_journal(node), txid, add_row, rows);
    *known = s.found || json_array_size(rows) > 0;
    json_object_set_new(s.json, "journal", rows);
    return kv_json_text(s.json);
}
