/* SPDX-License-Identifier: MIT */
/*
 * The tables of the journal (journal.h shows them) as jobs of the store write them: all of this
 * runs on the executor's thread, in a job.
 */
#ifndef KV_TABLES_H
#define KV_TABLES_H

#include <sys/queue.h>

#include "kv/clients.h"
#include "kv/machine.h"
#include "store.h"

#define KV_TABLES_VERSION 1

/* How many of the newest transactions that have ended their coordinator keeps, to be explained. */
#define KV_ENDED_KEPT 1000

/* The statements that make them, for store_config.schema; NULL ends them. */
extern const char *const kv_tables_schema[];

/*
 * The id of a row of the journal, its primary key. Rows lie together by machine, coordinator and
 * sequence, which grows from one incarnation to the next: those of one transaction are neighbours,
 * those below a mark a range.
 */
static inline int64_t kv_row_id(bool is_worker, uint32_t coordinator, uint64_t sequence,
                                unsigned kind)
{
    return (int64_t)(((uint64_t)is_worker << 5 | (coordinator - 1)) << 57 | sequence << 4 |
                     (kind & 15));
}

/* A row that waits to be written. */
struct kv_queued {
    STAILQ_ENTRY(kv_queued) link;
    struct kv_row row;
    int64_t number;
    int64_t time_ms;  /* since 1970 */
    int64_t lease_ms; /* since which leases are counted: clients.h */

    /* Of a commit that is written: what its client's row says then. */
    struct kv_known_client client;
};

struct kv_tables {
    struct store *store;
    uint32_t node;
    int64_t keys; /* that have a value */

    sqlite3_stmt *put_row, *put_mark, *drop_rows;
    sqlite3_stmt *change_value, *put_value, *new_value, *put_keys;
    sqlite3_stmt *put_once, *drop_once;
    struct kv_clients clients; /* prepared by whoever opens the tables */

    /* For the end of the job: the highest marks, incarnation 0 if there is none. */
    struct kv_txid worker_marks[KV_NODES_MAX], coordinator_mark;
    int64_t keys_before;

    uint8_t *room; /* for a column */
    size_t room_bytes;
};

/* Prepares the statements; keys is what the tables say. False: memory is short, or no tables. */
bool kv_tables_prepare(struct kv_tables *, struct store *, uint32_t node, int64_t keys);
void kv_tables_free(struct kv_tables *);

/* Carries out the rows, in their order. False: the store has failed. */
STAILQ_HEAD(kv_queue, kv_queued);
bool kv_tables_write(struct kv_tables *, struct kv_queue *);

#endif
