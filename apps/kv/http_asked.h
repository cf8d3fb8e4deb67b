/* SPDX-License-Identifier: MIT */
/*
 * Private to the store's HTTP: http.c has the gates, transactions and backups, http_key.c a single
 * key.
 */
#ifndef KV_HTTP_ASKED_H
#define KV_HTTP_ASKED_H

#include "http/gate.h"
#include "kv/document.h"
#include "kv/http.h"

#define KV_HTTP_FIELDS_BYTES HTTP_REPLY_FIELDS_BYTES
#define KV_HTTP_PATH_BYTES   4096

struct kv_http {
    struct kv_node *node;
    struct strait_env *env;
    struct http_gate gates[KV_HTTP_GATES];
    char backup_path[KV_HTTP_PATH_BYTES];
    bool backing_up;                    /* one at a time: they share a file's name */
    struct kv_http_asked *backup_asked; /* who waits for it; NULL: nobody */
};

/* A request under way. */
struct kv_http_asked {
    struct kv_http *of;
    struct http_exchange *exchange;
    struct kv_ask *ask; /* NULL: it is a backup */
    unsigned method;
    bool conditional;          /* a write with If-Match or If-None-Match */
    struct http_request *read; /* of a GET with conditions; or NULL */
    Strait__KvTxnRequest *txn; /* of POST /txn, in the arena */
    struct message_arena arena;
};

/* ---- What is asked ---- */

/* The target of a request, behind the gate's prefix. */
struct kv_http_target {
    const char *path, *query; /* without '?'; not ended by NUL */
    size_t path_bytes, query_bytes;
};

/* Behind so many bytes of the request's target. */
struct kv_http_target kv_http_target_of(const struct http_request *, size_t skipped);

/* Whether the bytes are this word. */
bool kv_http_is(const char *bytes, size_t length, const char *word);

/* Who asks. Returns false if what is said of it makes no sense. */
bool kv_http_read_identity(const struct http_request *, Strait__KvIdentity *);

/* Returns NULL, and has answered, if memory is short. */
struct kv_http_asked *kv_http_asked_new(struct kv_http *, struct http_exchange *,
                                        const struct http_request *);
void kv_http_asked_free(struct kv_http_asked *);

/* Lets the node begin a transaction, whose reference this takes. Returns what the gate returns. */
void *kv_http_begin_txn(struct kv_http_asked *, struct kv_request *, kv_told *);

/* What the gate of the keys asks. */
void *kv_http_ask_key(void *context, struct http_exchange *, const struct http_request *);

/* ---- What is answered ---- */

/* Takes the text, which may be NULL: memory is short. */
void kv_http_answer(struct http_exchange *, unsigned status, char *json, const char *fields);

/* What is wrong with a request. Return NULL, as `ask` of a gate. */
void *kv_http_refuse(struct http_exchange *, unsigned status, const char *reason,
                     const char *message);
void *kv_http_refuse_method(struct http_exchange *, const char *allowed);

/* The same of what has not begun, and is freed. */
void *kv_http_refuse_asked(struct kv_http_asked *, unsigned status, const char *reason,
                           const char *message);

/* Answers what the node has not taken, by the errno that it has left. Returns NULL. */
void *kv_http_refuse_errno(struct kv_http *, struct http_exchange *, const struct kv_request *);

/* Answers what has not committed, and frees it. */
void kv_http_answer_failure(struct kv_http_asked *, const struct kv_outcome *);

#endif
