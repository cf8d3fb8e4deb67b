/* SPDX-License-Identifier: MIT */
/*
 * Stands in for a node of the key-value store where its front ends are tested: notes what it is
 * asked, and lets each ask end as the test says, some time later. A test program that uses it is
 * linked so that the front ends call it (STANDIN in the Makefile).
 */
#ifndef TESTS_UNIT_STANDIN_H
#define TESTS_UNIT_STANDIN_H

#include "kv/node.h"

#define STANDIN_DELAY_NS (5 * RPC_MS) /* from an ask to its end */

struct standin {
    struct strait_env *env;
    struct kv_cluster cluster;
    /* What is asked. */
    int txns, reads, cancelled;
    struct kv_request *request; /* the last one; held */
    char key[64];               /* that was read last */
    bool stale;
    uint64_t deadline_ns;
    /* How asks end. */
    int refuse;                /* errno with which nothing begins; 0: it begins */
    bool silent;               /* nothing ends */
    struct kv_outcome outcome; /* its results are `results`, one for each operation */
    struct kv_result results[4];
    bool unknown[4]; /* of these, there is none */
    /* After so many asks the outcome is `then`. */
    int change_after;
    struct kv_outcome then;
    /* What it shows. */
    struct coordinator_txn coordinator;
    struct worker_txn worker;
    const char *backup_error; /* NULL: a file is made */
    bool backup_silent;
    void (*backup_done)(void *context, const char *error);
    void *backup_context;
    size_t asks; /* that have not ended */
    void *open;  /* these */
};

struct kv_node *standin_new(struct standin *, struct strait_env *);
void standin_free(struct standin *);

#endif
