/* SPDX-License-Identifier: MIT */
/*
 * A row that is being bound to a statement: its columns in their order, and behind them their sum
 * (store.h). Parameters are numbered like the columns.
 */
#ifndef KV_BOUND_H
#define KV_BOUND_H

#include "kv/messages.h"
#include "store.h"

struct kv_bound {
    sqlite3_stmt *statement;
    int column; /* the last that was bound */
    uint64_t sum;
};

/* Begins a row of the table. */
struct kv_bound kv_bind_row(sqlite3_stmt *, const char *table);

void kv_bind_number(struct kv_bound *, uint64_t);
void kv_bind_null(struct kv_bound *);

/* The bytes have to last until the statement is done. Of none there are still no bytes, not NULL.
 */
void kv_bind_bytes(struct kv_bound *, const void *bytes, size_t length);
void kv_bind_blob(struct kv_bound *, const struct kv_blob *); /* NULL: a null */

/* Ends the row. */
void kv_bind_sum(struct kv_bound *);

#endif
