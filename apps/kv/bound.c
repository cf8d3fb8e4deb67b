/* SPDX-License-Identifier: MIT */
#include "kv/bound.h"

struct kv_bound kv_bind_row(sqlite3_stmt *statement, const char *table)
{
    return (struct kv_bound){statement, 0, store_sum_text(STORE_SUM, table)};
}

void kv_bind_number(struct kv_bound *b, uint64_t number)
{
    b->sum = store_sum_number(b->sum, (int64_t)number);
    sqlite3_bind_int64(b->statement, ++b->column, (int64_t)number);
}

void kv_bind_null(struct kv_bound *b)
{
    b->sum = store_sum_null(b->sum);
    sqlite3_bind_null(b->statement, ++b->column);
}

void kv_bind_bytes(struct kv_bound *b, const void *bytes, size_t length)
{
    b->sum = store_sum_bytes(b->sum, bytes, length);
    sqlite3_bind_blob64(b->statement, ++b->column, length > 0 ? bytes : "", length, SQLITE_STATIC);
}

void kv_bind_blob(struct kv_bound *b, const struct kv_blob *blob)
{
    if (blob)
        kv_bind_bytes(b, blob->bytes, blob->length);
    else
        kv_bind_null(b);
}

void kv_bind_sum(struct kv_bound *b)
{
    sqlite3_bind_int64(b->statement, ++b->column, (int64_t)b->sum);
}
