/* SPDX-License-Identifier: MIT */
/* A line is a word and what it says; each word has a function that takes its values. */
#include "kv/cluster.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES 256 /* with the NUL */
#define WORDS_MAX  3   /* of a line that makes sense */

#define KEY_BYTES         1024
#define VALUE_BYTES       (1u << 20)
#define TRANSACTION_KEYS  KV_OPERATIONS_MAX
#define TRANSACTION_BYTES 4128768u /* with what describes it, less than one gRPC message */
#define REPLICATION       3

struct reader {
    struct kv_cluster *cluster;
    unsigned line; /* 0: the file as a whole */
    bool failed;
    uint32_t seen; /* bits of `settings` */
    char *error;
};

__attribute__((format(printf, 2, 3))) static void fail(struct reader *r, const char *format, ...)
{
    va_list arguments;
    int n = 0;

    if (r->failed)
        return;
    r->failed = true;
    if (r->line > 0)
        n = snprintf(r->error, KV_CLUSTER_ERROR_BYTES, "line %u: ", r->line);
    va_start(arguments, format);
    vsnprintf(r->error + n, (size_t)(KV_CLUSTER_ERROR_BYTES - n), format, arguments);
    va_end(arguments);
}

/* ---- Values ---- */

/* Reads a number of [1, max]; 0: it is none. */
static uint32_t number(const char *text, uint32_t max)
{
    size_t length = strspn(text, "0123456789");

    if (length == 0 || length > 9 || text[length] != '\0')
        return 0;
    unsigned long value = strtoul(text, NULL, 10);
    return value <= max ? (uint32_t)value : 0;
}

static void take_number(struct reader *r, const char *text, uint32_t max, uint32_t *value)
{
    *value = number(text, max);
    if (*value == 0)
        fail(r, "'%s' is not a number from 1 to %u", text, (unsigned)max);
}

static bool is_name(const char *text)
{
    for (const char *c = text; *c; c++) {
        bool is_word = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                       (*c >= '0' && *c <= '9') || strchr("-_.", *c) != NULL;
        if (!is_word)
            return false;
    }
    return strlen(text) < KV_CLUSTER_NAME_BYTES;
}

static void take_name(struct reader *r, const char *text)
{
    if (is_name(text))
        memcpy(r->cluster->name, text, strlen(text) + 1);
    else
        fail(r, "'%s' is no name: at most %d letters, digits and - _ .", text,
             KV_CLUSTER_NAME_BYTES - 1);
}

static void take_replication(struct reader *r, const char *text)
{
    take_number(r, text, KV_NODES_MAX, &r->cluster->placement.replication);
}

static void take_coordinator(struct reader *r, const char *text)
{
    if (!kv_coordinator_parse(text, &r->cluster->coordinator))
        fail(r, "'%s' is none of: asked, random, fixed:ID", text);
}

static void take_key_bytes(struct reader *r, const char *text)
{
    take_number(r, text, KV_KEY_BYTES_MAX, &r->cluster->key_bytes);
}

static void take_value_bytes(struct reader *r, const char *text)
{
    take_number(r, text, KV_VALUE_BYTES_MAX, &r->cluster->value_bytes);
}

static void take_transaction_keys(struct reader *r, const char *text)
{
    take_number(r, text, KV_OPERATIONS_MAX, &r->cluster->transaction_keys);
}

static void take_transaction_bytes(struct reader *r, const char *text)
{
    take_number(r, text, KV_TRANSACTION_BYTES_MAX, &r->cluster->transaction_bytes);
}

static void take_node(struct reader *r, const char *id_text, const char *address_text)
{
    struct kv_cluster *c = r->cluster;
    uint32_t id = number(id_text, KV_NODES_MAX);
    struct in_addr address;

    if (id == 0) {
        fail(r, "'%s' is not an id from 1 to %d", id_text, KV_NODES_MAX);
        return;
    }
    if (c->placement.members & kv_node_bit(id)) {
        fail(r, "node %u is there already", (unsigned)id);
        return;
    }
    if (inet_pton(AF_INET, address_text, &address) != 1 || address.s_addr == INADDR_ANY) {
        fail(r, "'%s' is not an IPv4 address", address_text);
        return;
    }
    for (kv_nodes rest = c->placement.members; rest;) {
        uint32_t other = kv_node_take(&rest);
        if (c->addresses[other - 1].s_addr != address.s_addr)
            continue;
        fail(r, "%s is the address of node %u", address_text, (unsigned)other);
        return;
    }
    c->placement.members |= kv_node_bit(id);
    c->addresses[id - 1] = address;
}

/* ---- Lines ---- */

/* Words that are given at most once, with one value. */
static const struct {
    const char *word;
    void (*take)(struct reader *, const char *value);
} settings[] = {
    {"cluster", take_name},
    {"replication", take_replication},
    {"coordinator", take_coordinator},
    {"key_bytes", take_key_bytes},
    {"value_bytes", take_value_bytes},
    {"transaction_keys", take_transaction_keys},
    {"transaction_bytes", take_transaction_bytes},
};

#define SETTINGS (sizeof(settings) / sizeof(settings[0]))

static void take_setting(struct reader *r, char *const *words, int count)
{
    for (size_t i = 0; i < SETTINGS; i++) {
        if (strcmp(words[0], settings[i].word) != 0)
            continue;
        if (r->seen & UINT32_C(1) << i)
            fail(r, "'%s' is given twice", words[0]);
        else if (count != 2)
            fail(r, "'%s' takes one value", words[0]);
        else
            settings[i].take(r, words[1]);
        r->seen |= UINT32_C(1) << i;
        return;
    }
    fail(r, "unknown word '%s'", words[0]);
}

static void take_line(struct reader *r, char *line)
{
    char *words[WORDS_MAX + 1], *rest;
    int count = 0;

    line[strcspn(line, "#")] = '\0';
    for (char *word = strtok_r(line, " \t\r", &rest); word && count <= WORDS_MAX;
         word = strtok_r(NULL, " \t\r", &rest))
        words[count++] = word;
    if (count == 0)
        return;
    if (strcmp(words[0], "node") != 0)
        take_setting(r, words, count);
    else if (count != 3)
        fail(r, "'node' takes an id and an address");
    else
        take_node(r, words[1], words[2]);
}

/* ---- The file ---- */

/* FNV-1a, of a number's bytes, the lowest first. */
static uint64_t digest(uint64_t hash, uint64_t number)
{
    for (size_t i = 0; i < sizeof(number); i++)
        hash = (hash ^ (number >> 8 * i & 0xff)) * UINT64_C(0x100000001b3);
    return hash;
}

/* The same for two files that say the same, in whatever words, order or comments. */
static uint64_t digest_of(const struct kv_cluster *c)
{
    const uint64_t numbers[] = {
        c->placement.epoch,  c->placement.replication, c->placement.members,
        c->coordinator.mode, c->coordinator.node,      c->key_bytes,
        c->value_bytes,      c->transaction_keys,      c->transaction_bytes};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (const char *at = c->name; *at; at++)
        hash = digest(hash, (uint8_t)*at);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        hash = digest(hash, numbers[i]);
    for (size_t i = 0; i < KV_NODES_MAX; i++)
        hash = digest(hash, ntohl(c->addresses[i].s_addr));
    return hash;
}

/* What can be said only when all of it has been read. */
static void check_whole(struct reader *r)
{
    const struct kv_cluster *c = r->cluster;
    uint32_t nodes = kv_node_count(c->placement.members);

    r->line = 0;
    if (c->name[0] == '\0')
        fail(r, "there is no 'cluster'");
    if (nodes == 0)
        fail(r, "there is no 'node'");
    if (c->placement.replication > nodes)
        fail(r, "replication is %u, and the number of nodes %u", (unsigned)c->placement.replication,
             (unsigned)nodes);
    if (c->coordinator.mode == KV_COORDINATOR_FIXED &&
        !(c->placement.members & kv_node_bit(c->coordinator.node)))
        fail(r, "the coordinator, %u, is no node", (unsigned)c->coordinator.node);
    if (c->transaction_bytes < c->key_bytes || c->transaction_bytes - c->key_bytes < c->value_bytes)
        fail(r, "transaction_bytes is less than key_bytes and value_bytes together");
}

bool kv_cluster_parse(const char *text, size_t length, struct kv_cluster *cluster,
                      char error[KV_CLUSTER_ERROR_BYTES])
{
    struct reader r = {.cluster = cluster, .error = error};
    char line[LINE_BYTES];

    *cluster = (struct kv_cluster){
        .placement = {.epoch = 1, .replication = REPLICATION},
        .coordinator = {.mode = KV_COORDINATOR_ASKED},
        .key_bytes = KEY_BYTES,
        .value_bytes = VALUE_BYTES,
        .transaction_keys = TRANSACTION_KEYS,
        .transaction_bytes = TRANSACTION_BYTES,
    };
    for (size_t at = 0; at < length && !r.failed;) {
        const char *end = memchr(text + at, '\n', length - at);
        size_t n = end ? (size_t)(end - text) - at : length - at;
        r.line++;
        if (n >= LINE_BYTES || memchr(text + at, '\0', n)) {
            fail(&r, "no text, or more than %d bytes", LINE_BYTES - 1);
            break;
        }
        memcpy(line, text + at, n);
        line[n] = '\0';
        take_line(&r, line);
        at += n + 1;
    }
    if (!r.failed)
        check_whole(&r);
    cluster->digest = digest_of(cluster);
    return !r.failed;
}

const char *kv_node_limit(const struct kv_cluster *cluster, const struct kv_request *request)
{
    size_t total = 0;

    if (request->count > cluster->transaction_keys)
        return "transaction_keys";
    for (uint32_t i = 0; i < request->count; i++) {
        const struct kv_operation *o = &request->operations[i];
        size_t value_bytes = o->value ? o->value->length : 0;
        if (o->key->length > cluster->key_bytes)
            return "key_bytes";
        if (value_bytes > cluster->value_bytes)
            return "value_bytes";
        total += o->key->length + value_bytes;
    }
    return total > cluster->transaction_bytes ? "transaction_bytes" : NULL;
}
