/* SPDX-License-Identifier: MIT */
#include "kv_world.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../history/bank.h"
#include "../history/linear.h"
#include "../history/serial.h"
#include "base/check.h"
#include "base/prng.h"
#include "kv_copy.h"

#define S UINT64_C(1000000000)

#define TROUBLE_NS (8 * S) /* in which faults strike */
#define FINISH_NS                                                                                  \
    (15 * S)             /* for what has been begun: the longest deadline, and resent messages     \
                          */
#define LAST_NS (25 * S) /* for what is asked after all is well; its deadline is in it */

struct kv_world {
    struct cluster *cluster;
    struct kv_load *load;
    struct kv_faults *faults;
    struct kv_copy *backup;
    uint64_t seed;
    char words[64]; /* of the cluster's file */
    uint32_t clients;
    uint32_t violations;
    uint64_t too_large, backups;
    FILE *told;
};

static void tell_options(const struct kv_world *w, FILE *file)
{
    fprintf(file, "seed %" PRIu64 ": %" PRIu32 " nodes, %.*s, %" PRIu32 " clients\n", w->seed,
            w->cluster->count, (int)strcspn(w->words, "\n"), w->words, w->clients);
    fprintf(file, "  %s\n", strchr(w->words, '\n') + 1);
    if (w->faults)
        kv_faults_tell(w->faults, file);
    if (w->backup)
        kv_copy_tell(w->backup, file);
}

static void violate(void *context, const char *line)
{
    struct kv_world *w = context;
    if (w->violations++ == 0)
        tell_options(w, w->told);
    fprintf(w->told, "  violated: %s\n", line);
}

/* ---- Making ---- */

static void draw_words(struct prng *prng, uint32_t nodes, char words[64])
{
    char mode[16] = "asked";
    uint64_t choice = prng_below(prng, 3);
    if (choice == 1)
        snprintf(mode, sizeof(mode), "fixed:%u", (unsigned)prng_below(prng, nodes) % 10 + 1);
    else if (choice == 2)
        snprintf(mode, sizeof(mode), "random");
    snprintf(words, 64, "replication %u\ncoordinator %s",
             (unsigned)prng_below(prng, nodes) % 10 + 1, mode);
}

struct kv_world *kv_world_new(uint64_t seed)
{
    struct kv_world *w = calloc(1, sizeof(*w));
    struct prng prng;
    CHECK(w);
    w->seed = seed;
    w->told = stdout;
    prng_seed(&prng, seed);
    uint32_t nodes = (uint32_t)prng_below(&prng, 2) == 0 ? 3 : 3 + (uint32_t)prng_below(&prng, 3);
    draw_words(&prng, nodes, w->words);
    w->cluster = cluster_new(seed, nodes, w->words);
    w->clients = 1 + (uint32_t)prng_below(&prng, KV_LOAD_CLIENTS);
    w->load = kv_load_new(w->cluster, w->clients, violate, w);
    return w;
}

void kv_world_free(struct kv_world *w)
{
    cluster_free(w->cluster);
    kv_load_free(w->load);
    kv_faults_free(w->faults);
    kv_copy_free(w->backup);
    free(w);
}

static void log_line(void *context, uint64_t now_ns, const char *line)
{
    (void)now_ns;
    fprintf(context, "%s\n", line);
}

void kv_world_log(struct kv_world *w, FILE *file)
{
    world_log(w->cluster->world, log_line, file);
}

/* ---- The tables of all nodes ---- */

static bool read_table(struct kv_world *w, const struct cluster_node *n, struct kv_blob *key,
                       struct kv_result *r)
{
    const struct kv_store *store = kv_journal_store(kv_node_journal(n->node));
    char line[64];
    world_act_as(n->host);
    *r = (struct kv_result){0};
    if (store->get(store->context, key, r))
        return true;
    snprintf(line, sizeof(line), "node %u has a damaged row", (unsigned)n->id);
    violate(w, line);
    return false;
}

static void compare(struct kv_world *w, const char *name, uint32_t id, const struct kv_result *r,
                    const struct kv_result *first)
{
    bool same = r->found == first->found && r->version == first->version &&
                (!r->found || kv_blob_equal(r->value, first->value));
    char line[120];
    if (same)
        return;
    snprintf(line, sizeof(line), "node %u has %s in version %" PRIu64 ", another in %" PRIu64,
             (unsigned)id, name, r->version, first->version);
    violate(w, line);
}

static void check_version(struct kv_world *w, uint32_t key, const char *name, uint64_t version)
{
    uint64_t least, most;
    char line[160];
    kv_load_writes(w->load, key, &least, &most);
    if (version >= least && version <= most)
        return;
    snprintf(line, sizeof(line),
             "%s has had %" PRIu64 " writes, but %" PRIu64 " were done, and no more than %" PRIu64
             " asked for",
             name, version, least, most);
    violate(w, line);
}

static void check_key(struct kv_world *w, uint32_t key)
{
    char name[8], line[120];
    kv_value_key(key, name);
    struct kv_blob *blob = kv_blob_new(name, strlen(name));
    kv_nodes replicas = kv_replicas(&w->cluster->file.placement, blob);
    struct kv_result first = {0};
    bool have_first = false;
    for (uint32_t id = 1; id <= w->cluster->count; id++) {
        struct kv_result r;
        if (!read_table(w, &w->cluster->nodes[id - 1], blob, &r))
            continue;
        if (!(replicas & kv_node_bit(id))) {
            snprintf(line, sizeof(line), "node %u has %s, and is no replica", (unsigned)id, name);
            if (r.version != 0)
                violate(w, line);
            kv_blob_release(r.value);
        } else if (have_first) {
            compare(w, name, id, &r, &first);
            kv_blob_release(r.value);
        } else {
            have_first = true;
            first = r;
        }
    }
    check_version(w, key, name, first.version);
    kv_load_record_table(w->load, key, first.found ? (const void *)first.value->bytes : NULL,
                         first.found ? first.value->length : 0);
    kv_blob_release(first.value);
    kv_blob_release(blob);
}

/* ---- The nodes ---- */

/* One that has stopped has to have a reason, and one that has lost its work has none. */
static void check_stop(struct kv_world *w, const struct cluster_node *n, bool is_healed)
{
    char line[2 * KV_NODE_ERROR_BYTES];
    const char *why = n->node ? n->stopped : n->error;
    bool is_loss = strstr(why, "to be rebuilt") && !strstr(why, "read");
    if (!world_is_up(n->host) || why[0] == '\0' ||
        (kv_faults_excuse(w->faults, n->id) && !is_loss && !is_healed))
        return;
    snprintf(line, sizeof(line), "node %u has stopped: %s", (unsigned)n->id, why);
    violate(w, line);
}

/* Returns whether all nodes go on. */
static bool check_stops(struct kv_world *w, bool is_healed)
{
    uint32_t before = w->violations;
    for (uint32_t i = 0; i < w->cluster->count; i++)
        check_stop(w, &w->cluster->nodes[i], is_healed);
    return w->violations == before;
}

static void check_rest(struct kv_world *w, const struct cluster_node *n)
{
    struct kv_status status;
    char line[200];
    kv_node_status(n->node, &status);
    if (status.locks == 0 && status.in_doubt == 0 && status.coordinating == 0)
        return;
    snprintf(line, sizeof(line),
             "node %u still has %" PRIu64 " locks, %" PRIu64 " transactions in doubt, and %" PRIu64
             " that it coordinates",
             (unsigned)n->id, status.locks, status.in_doubt, status.coordinating);
    violate(w, line);
}

/* ---- The histories ---- */

static void judge(struct kv_world *w, enum history_answer answer, const char *what,
                  const struct history_text *why)
{
    char line[sizeof(why->text) + 100];
    w->too_large += answer == HISTORY_TOO_LARGE;
    if (answer != HISTORY_NO)
        return;
    snprintf(line, sizeof(line), "%s: %s", what, why->text);
    violate(w, line);
}

static void check_history(struct kv_world *w)
{
    const struct history *h = kv_load_history(w->load);
    struct linear_result linear;
    struct serial_result serial;
    struct bank_result bank;
    linear_check(h, &linear);
    judge(w, linear.answer, "a key is not linearizable", &linear.why);
    serial_check(h, true, &serial);
    judge(w, serial.answer, "the lists are not serializable", &serial.why);
    bank_check(h, KV_FIRST_ACCOUNT, KV_ACCOUNTS, KV_LOAD_TOTAL, &bank);
    judge(w, bank.answer, "the bank's total has changed", &bank.why);
}

/* ---- The run ---- */

static void run(struct kv_world *w, uint64_t ns)
{
    struct world *world = w->cluster->world;
    if (world_run(world, world_now(world) + ns) == WORLD_NO_PROGRESS)
        violate(w, "nothing goes on");
}

static void check_end(struct kv_world *w)
{
    if (!kv_load_is_idle(w->load))
        violate(w, "a client still waits");
    for (uint32_t i = 0; i < w->cluster->count; i++)
        check_rest(w, &w->cluster->nodes[i]);
    for (uint32_t key = 0; key < KV_KEYS; key++)
        check_key(w, key);
    check_history(w);
    w->backups += kv_copy_check(w->backup);
}

/* At any node, while there are faults. */
static struct kv_copy *new_backup(struct kv_world *w)
{
    struct world *world = w->cluster->world;
    struct prng *prng = world_prng(world);
    uint32_t id = 1 + (uint32_t)prng_below(prng, w->cluster->count);
    return kv_copy_new(w->cluster, id, world_now(world) + prng_below(prng, TROUBLE_NS), violate, w);
}

uint32_t kv_world_run(struct kv_world *w, FILE *file)
{
    w->told = file;
    run(w, S / 10);
    kv_load_go_on(w->load, KV_LOAD_SET_UP);
    run(w, S);
    w->faults = kv_faults_new(w->cluster, w->load, w->clients, TROUBLE_NS);
    w->backup = new_backup(w);
    kv_load_go_on(w->load, KV_LOAD_WORK);
    run(w, TROUBLE_NS);
    check_stops(w, false);
    kv_load_go_on(w->load, KV_LOAD_REST);
    kv_faults_heal(w->faults);
    run(w, FINISH_NS);
    if (!check_stops(w, true))
        return w->violations;
    kv_load_go_on(w->load, KV_LOAD_LAST);
    run(w, LAST_NS);
    if (check_stops(w, true))
        check_end(w);
    return w->violations;
}

uint64_t kv_world_hash(const struct kv_world *w)
{
    return world_hash(w->cluster->world);
}

void kv_world_add(const struct kv_world *w, struct kv_world_totals *sum)
{
    sum->virtual_ns += world_now(w->cluster->world);
    sum->too_large += w->too_large;
    sum->backups += w->backups;
    kv_load_add(w->load, &sum->load);
    kv_faults_add(w->faults, &sum->faults);
}
