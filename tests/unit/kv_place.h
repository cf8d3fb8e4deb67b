/* SPDX-License-Identifier: MIT */
/*
 * A world with one host, the journal of a node in it, and the machines that its rows are loaded
 * into; for tests of the journal and of its tables.
 */
#ifndef TESTS_UNIT_KV_PLACE_H
#define TESTS_UNIT_KV_PLACE_H

#include "kv/journal.h"
#include "sim/world.h"

#define MS     UINT64_C(1000000)
#define S      UINT64_C(1000000000)
#define NODE   2
#define SELF   2u /* its bit */
#define FILE_1 "d/node.db"

struct place {
    struct world *world;
    struct world_host *host;
    struct strait_env *env;
    struct kv_journal_config config;
    struct kv_journal *journal;
    struct coordinator *coordinator;
    struct worker *worker;

    char told[400]; /* what is durable: "PREPARE 1.1.1, ..." */
    int failures;
    char message[STORE_MESSAGE_BYTES];
    int warnings;
    char warned[700]; /* the last line */
    int backups;
    char backup_error[STORE_MESSAGE_BYTES];
};

/* Of a test of cmocka: the journal is open then, and empty. */
int place_setup(void **state);
int place_teardown(void **state);

void place_open(struct place *);

/* Makes new machines; and gives them the rows. */
void place_machines(struct place *);
void place_load(struct place *);

/* Runs until nothing happens any more. */
void place_settle(struct place *);

/* The power is cut, and a new life has what is durable. */
void place_crash(struct place *);

struct kv_journal_counters place_counters(struct place *);

/* ---- Requests and results ---- */

struct kv_blob *blob_of(const char *text);
struct kv_operation operation(enum kv_operation_kind, const char *key, const char *value);
struct kv_request *request_of(uint64_t client, uint64_t sequence, uint64_t retired,
                              struct kv_operation only);
struct kv_results *results_of(bool found, uint64_t version);

/* One operation of each kind, with an empty key and an empty value among them. */
struct kv_request *all_kinds(void);
void assert_same_request(const struct kv_request *, const struct kv_request *);

/* Three: of a value, of an empty one, of none. */
struct kv_results *all_results(void);

/* ---- Rows ---- */

static const struct kv_txid no_mark;

static inline struct kv_txid txid(uint32_t coordinator, uint64_t sequence)
{
    return (struct kv_txid){coordinator, 1, sequence};
}

/* Writes a row, and takes over its references. */
void place_write(struct place *, struct kv_row);

/* A COMMIT of transaction 1.1.SEQUENCE that puts a value, or deletes it: NULL. */
void place_put(struct place *, uint64_t sequence, const char *key, const char *value,
               uint64_t version);

/* A COMMIT of transaction 1.1.TXN that puts something for a client. */
void place_commit(struct place *, uint64_t txn, uint64_t client, uint64_t sequence,
                  uint64_t retired);

void place_row(struct place *, enum kv_row_kind, bool forced, struct kv_txid, struct kv_txid mark);
void place_prepare(struct place *, enum kv_row_kind, struct kv_txid);

/* ---- What the tables say ---- */

/* What the key is, as "value version", "- version" or "damaged"; until the next call. */
const char *place_get(struct place *, const char *key);

enum kv_past place_past(struct place *, uint64_t client, uint64_t sequence);
enum kv_past place_past_of(struct place *, uint64_t client, uint64_t sequence, uint64_t retired);

#endif
