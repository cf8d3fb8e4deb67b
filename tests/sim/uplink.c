/* SPDX-License-Identifier: MIT */
/*
 * The uplink's bottleneck: how many writes a second a cluster carries whose nodes send through
 * links of a limited rate, when one node coordinates all of them, and when each request draws its
 * coordinator at random. In worlds: the node's own code and TCP, virtual time, one seed.
 *
 * Prints a table, a line for each cluster: nodes, replicas, bytes of a value, coordinator, writes a
 * second, the bound, and the share of it that was reached.
 *
 * The bound: a value goes once to each replica, but not from a coordinator that is a replica to
 * itself, which with N nodes and R replicas is R (1 - 1/N) copies from the coordinator; and from
 * the node that was asked to the coordinator, when that is another, which is 1 - 1/N copies more. A
 * fixed coordinator sends all of the former by its own uplink. Drawn at random, all N uplinks share
 * both:
 *
 *     fixed     rate / (R (1 - 1/N) bytes)
 *     random    N rate / ((R + 1) (1 - 1/N) bytes)
 *
 * so that the second is N R / (R + 1) times the first. It knows only of values: headers, votes and
 * decisions come on top, and weigh the more the smaller the value is.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "cluster.h"

#define S        UINT64_C(1000000000)
#define MS       UINT64_C(1000000)
#define SEED     1
#define RATE_BPS UINT64_C(20000000) /* of each node's uplink */
#define FIXED    1                  /* the coordinator */

#define NODES_MIN     3
#define REPLICATION   3
#define CUSTOMERS_MIN 4
#define CUSTOMERS_MAX 256
#define QUEUE_S       0.3 /* of writes that wait at once, if the bound is reached */

/* How much is written in a world. */
struct size {
    uint32_t value_bytes;
    uint64_t warm_up_ns, measure_ns;
};

static const struct size sizes[] = {
    {100, S / 2, S / 2},
    {10000, S, 4 * S},
    {100000, 2 * S, 20 * S},
};

struct uplink;

/* Has a key of its own, and writes it again and again. */
struct customer {
    struct uplink *uplink;
    struct kv_blob *key;
    uint32_t node; /* that it asks */
};

struct uplink {
    struct cluster *cluster;
    struct kv_blob *value;
    struct customer customers[CUSTOMERS_MAX];
    uint32_t customer_count;
    uint64_t done, failed;
};

/* ---- Customers ---- */

static void write_again(struct customer *);

static void told(void *context, const struct kv_outcome *outcome)
{
    struct customer *c = context;
    if (outcome->end == KV_COMMITTED_NOW)
        c->uplink->done++;
    else
        c->uplink->failed++;
    write_again(c);
}

static void write_again(struct customer *c)
{
    struct cluster *cluster = c->uplink->cluster;
    struct kv_request *request = kv_request_new(1);
    CHECK(request);
    request->operations[0].kind = KV_PUT;
    request->operations[0].key = kv_blob_hold(c->key);
    request->operations[0].value = kv_blob_hold(c->uplink->value);
    uint64_t deadline_ns = world_now(cluster->world) + KV_DEADLINE_NS;
    CHECK(kv_node_txn(cluster->nodes[c->node - 1].node, request, deadline_ns, told, c));
    kv_request_release(request);
}

static void add_customer(struct uplink *u, uint32_t number)
{
    char name[16];
    int length = snprintf(name, sizeof(name), "customer %" PRIu32, number);
    struct customer *c = &u->customers[number];
    *c = (struct customer){
        .uplink = u,
        .key = kv_blob_new(name, (size_t)length),
        .node = number % u->cluster->count + 1,
    };
    CHECK(c->key);
}

/* ---- A world ---- */

static void open_cluster(struct uplink *u, uint32_t nodes, uint32_t replicas, bool random)
{
    const struct impair_config slow = {.delay_ns = MS / 5, .rate_bps = RATE_BPS};
    char words[64];
    snprintf(words, sizeof(words),
             random ? "replication %" PRIu32 "\ncoordinator random"
                    : "replication %" PRIu32 "\ncoordinator fixed:%d",
             replicas, FIXED);
    u->cluster = cluster_new(SEED, nodes, words);
    for (uint32_t i = 0; i < nodes; i++)
        world_impair(u->cluster->nodes[i].link, 0, &slow);
}

/* Enough of them to keep the uplinks busy, and no more: whose votes take too long is aborted. */
static void open_customers(struct uplink *u, const struct size *size, double bound)
{
    uint8_t *bytes = calloc(1, size->value_bytes);
    u->value = bytes ? kv_blob_new(bytes, size->value_bytes) : NULL;
    CHECK(u->value);
    free(bytes);
    double count = bound * QUEUE_S;
    count = count < CUSTOMERS_MIN ? CUSTOMERS_MIN : count > CUSTOMERS_MAX ? CUSTOMERS_MAX : count;
    while (u->customer_count < (uint32_t)count)
        add_customer(u, u->customer_count++);
}

/* Writes a second, after a warming up. */
static double measure(struct uplink *u, const struct size *size)
{
    for (uint32_t i = 0; i < u->customer_count; i++)
        write_again(&u->customers[i]);
    cluster_run(u->cluster, size->warm_up_ns);
    uint64_t before = u->done;
    cluster_run(u->cluster, size->measure_ns);
    return (double)(u->done - before) * 1e9 / (double)size->measure_ns;
}

static void close_all(struct uplink *u)
{
    cluster_free(u->cluster);
    kv_blob_release(u->value);
    for (uint32_t i = 0; i < u->customer_count; i++)
        kv_blob_release(u->customers[i].key);
    free(u);
}

static double bound_of(uint32_t nodes, uint32_t replicas, uint32_t value_bytes, bool random)
{
    double away = 1 - 1.0 / nodes; /* the part of what is sent that leaves its node */
    double copies = random ? (replicas + 1) * away / nodes : replicas * away;
    return (double)RATE_BPS / 8 / (copies * value_bytes);
}

static void report(const struct size *size, uint32_t nodes, uint32_t replicas, bool random)
{
    struct uplink *u = calloc(1, sizeof(*u));
    CHECK(u);
    open_cluster(u, nodes, replicas, random);
    double bound = bound_of(nodes, replicas, size->value_bytes, random);
    open_customers(u, size, bound);
    double rate = measure(u, size);
    printf("%5" PRIu32 " %8" PRIu32 " %8" PRIu32 " %11s %10.1f %10.1f %6.2f\n", nodes, replicas,
           size->value_bytes, random ? "random" : "fixed", rate, bound, rate / bound);
    if (u->failed > 0)
        printf("# %" PRIu64 " of these have failed\n", u->failed);
    fflush(stdout);
    close_all(u);
}

/* What gnuplot draws as curves are blocks of lines. */
static void report_all(const struct size *size, bool everywhere, bool random)
{
    for (uint32_t nodes = NODES_MIN; nodes <= CLUSTER_NODES_MAX; nodes++)
        report(size, nodes, everywhere ? nodes : REPLICATION, random);
    printf("\n\n");
}

int main(void)
{
    printf("# uplinks of %.0f Mbit/s, seed %d\n", (double)RATE_BPS / 1e6, SEED);
    printf("#nodes replicas    bytes coordinator   writes/s      bound  share\n");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int how = 0; how < 4; how++)
            report_all(&sizes[i], how & 2, how & 1);
    }
    return 0;
}
