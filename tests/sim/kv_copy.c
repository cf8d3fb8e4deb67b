/* SPDX-License-Identifier: MIT */
#include "kv_copy.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

#define FOLDER "copy"

struct kv_copy {
    struct cluster *cluster;
    struct cluster_node *node;
    uint64_t at_ns;
    bool made;
    void (*violated)(void *context, const char *line);
    void *context;
};

static void violate(struct kv_copy *b, const char *what)
{
    char line[STORE_MESSAGE_BYTES + 64];
    snprintf(line, sizeof(line), "the backup of node %" PRIu32 ": %s", b->node->id, what);
    b->violated(b->context, line);
}

/* ---- Making ---- */

static void done(void *context, const char *error)
{
    struct kv_copy *b = context;
    b->made = !error;
}

static void begin(void *argument)
{
    struct kv_copy *b = argument;
    struct kv_node *node = b->node->node;
    if (!node || b->node->stopped[0] != '\0')
        return;
    world_act_as(b->node->host);
    kv_journal_backup(kv_node_journal(node), FOLDER "/" KV_JOURNAL_FILE, done, b);
}

struct kv_copy *kv_copy_new(struct cluster *cluster, uint32_t id, uint64_t at_ns,
                            void (*violated)(void *context, const char *line), void *context)
{
    struct kv_copy *b = calloc(1, sizeof(*b));
    CHECK(b);
    b->cluster = cluster;
    b->node = &cluster->nodes[id - 1];
    b->at_ns = at_ns;
    b->violated = violated;
    b->context = context;
    CHECK(world_at(cluster->world, at_ns, begin, b) == 0);
    return b;
}

void kv_copy_free(struct kv_copy *b)
{
    free(b);
}

void kv_copy_tell(const struct kv_copy *b, FILE *file)
{
    fprintf(file, "  %.6f s: backup, at %" PRIu32 "\n", (double)b->at_ns / 1e9, b->node->id);
}

/* ---- Opening ---- */

static void durable(void *context, enum kv_row_kind kind, struct kv_txid txid)
{
    (void)context, (void)kind, (void)txid;
}

static void failed(void *context, const char *message)
{
    violate(context, message);
}

/* Adds what an account has. Returns whether it is held here. */
static bool add_account(struct kv_copy *b, const struct kv_store *store, uint32_t key,
                        uint64_t *total)
{
    char name[8];
    kv_value_key(key, name);
    struct kv_blob *blob = kv_blob_new(name, strlen(name));
    struct kv_result r = {0};
    struct kv_seen seen = {0};
    CHECK(blob);
    bool held = kv_replicas(&b->cluster->file.placement, blob) & kv_node_bit(b->node->id);
    if (held && (!store->get(store->context, blob, &r) || !r.found ||
                 !kv_value_read(key, r.value->bytes, r.value->length, &seen)))
        violate(b, "an account cannot be read");
    *total += seen.number;
    kv_blob_release(r.value);
    kv_blob_release(blob);
    return held;
}

static bool check_total(struct kv_copy *b, const struct kv_store *store)
{
    uint64_t total = 0;
    bool all = true;
    for (uint32_t i = 0; i < KV_ACCOUNTS; i++)
        all = add_account(b, store, KV_FIRST_ACCOUNT + i, &total) && all;
    if (all && total != KV_LOAD_TOTAL)
        violate(b, "the bank's total is wrong");
    return all;
}

/* Whose it is, as the node has written it: "test (nodes 1 2 3, replication 3)". */
static void describe(const struct kv_cluster *c, uint32_t count, char text[128])
{
    int n = snprintf(text, 128, "%s (nodes", c->name);
    for (uint32_t id = 1; id <= count; id++)
        n += snprintf(text + n, 128 - (size_t)n, " %" PRIu32, id);
    snprintf(text + n, 128 - (size_t)n, ", replication %" PRIu32 ")", c->placement.replication);
}

bool kv_copy_check(struct kv_copy *b)
{
    char cluster[128], error[STORE_MESSAGE_BYTES];
    const struct kv_journal_config config = {.directory = FOLDER,
                                             .cluster = cluster,
                                             .node = b->node->id,
                                             .durable = durable,
                                             .failed = failed,
                                             .context = b};
    if (!b->made)
        return false;
    describe(&b->cluster->file, b->cluster->count, cluster);
    world_act_as(b->node->host);
    struct kv_journal *journal = kv_journal_open(world_env(b->node->host), &config, error);
    if (!journal) {
        violate(b, error);
        return false;
    }
    bool all = check_total(b, kv_journal_store(journal));
    kv_journal_free(journal);
    return all;
}
