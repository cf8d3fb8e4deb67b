/* SPDX-License-Identifier: MIT */
/*
 * Transactions in JSON, as POST /txn and the command line have them. What is asked for:
 *
 *     {"put": {"a": "1", "b": {"value_base64": "/w=="}}, "delete": ["c"], "get": ["d"],
 *      "if": {"a": {"version": 3}, "e": {"version": 0}}}
 *
 * and what becomes of it:
 *
 *     {"committed": true, "txid": "1.2.7", "put": {"a": {"version": 4}, ...},
 *      "delete": {"c": {"version": 9, "found": true}},
 *      "get": {"d": {"version": 2, "found": true, "value": "x"}}}
 *     {"committed": false, "outcome": "failed", "reason": "locked", "key": "a",
 *      "holder": "2.1.4", "node": 2, "message": "..."}
 *
 * Bytes that are no UTF-8 stand in base64, in a member whose name says so: value_base64,
 * key_base64.
 */
#ifndef KV_DOCUMENT_H
#define KV_DOCUMENT_H

#include <jansson.h>

#include "kv/kv.pb-c.h"
#include "kv/messages.h"
#include "rpc/message.h"

#define KV_FAULT_BYTES 160
#define KV_TXID_BYTES  48 /* room for any */

/* "COORDINATOR.INCARNATION.SEQUENCE". Returns `text`. */
const char *kv_txid_write(struct kv_txid, char text[KV_TXID_BYTES]);

/* Returns whether the text is one. */
bool kv_txid_read(const char *text, size_t length, struct kv_txid *);

/*
 * Reads what is asked for, in the arena. Returns NULL with errno, and what is wrong in `fault`, in
 * UTF-8: EINVAL, EMSGSIZE (more than KV_OPERATIONS_MAX keys) or ENOMEM.
 */
Strait__KvTxnRequest *kv_document_read(struct message_arena *, const char *text, size_t length,
                                       char fault[KV_FAULT_BYTES]);

/* What becomes of it, to be freed; NULL if memory is short. */
char *kv_document_txn(const Strait__KvTxnRequest *, const Strait__KvTxnReply *);

/* The same of one that has not committed. */
char *kv_document_refusal(const Strait__KvRefusal *);

/*
 * {"outcome": "failed" or "unknown", "reason": ..., "message": ...}, likewise. `node` 0 and
 * `txid.incarnation` 0 are left out.
 */
char *kv_document_error(const char *outcome, const char *reason, const char *message, uint32_t node,
                        struct kv_txid txid);

/* A reason of KvRefusal in one word: "locked" ..., "unreachable". */
const char *kv_reason_word(int reason);

/* The same in a sentence, for people. */
const char *kv_reason_sentence(int reason);

/* Sets the member `name`, or NAME_base64. Returns 0, or -1 if memory is short. */
int kv_json_set_bytes(json_t *, const char *name, const void *bytes, size_t length);

/* The text of an object, to be freed; NULL if there is none. Takes the object. */
char *kv_json_text(json_t *);

#endif
