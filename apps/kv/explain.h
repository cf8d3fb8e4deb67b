/* SPDX-License-Identifier: MIT */
/* The life of a transaction, as a node tells it (GET /txns/TXID), in words. */
#ifndef KV_EXPLAIN_H
#define KV_EXPLAIN_H

#include <stdbool.h>
#include <stdio.h>

/* Prints what a node says, in JSON. Returns whether it knows anything of the transaction. */
bool kv_explain_print(FILE *, const char *node, const char *json);

#endif
