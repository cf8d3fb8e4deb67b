/* SPDX-License-Identifier: MIT */
/*
 * One HTTP/1 request as it arrives, a byte at a time if need be (RFC 9112, parsed by http-parser),
 * and the path that it asks for. Everything about it is bounded; what the bounds or the protocol
 * forbid ends it with the status to answer.
 */
#ifndef APPS_HTTP_REQUEST_H
#define APPS_HTTP_REQUEST_H

#include <http_parser.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_HEAD_BYTES_MAX   8192        /* request line and header fields; beyond it 431 */
#define HTTP_TARGET_BYTES_MAX 8000        /* RFC 9112 3 wants that much at least; beyond it 414 */
#define HTTP_BODY_BYTES_MAX   (64 * 1024) /* of a body that nobody wants; beyond it 413 */
#define HTTP_BODIES_MAX       (64u << 20) /* of the bodies for gates, of a server; beyond it 503 */
#define HTTP_FIELDS_MAX       16          /* field lines that are kept; beyond it 431 */

/* The header fields whose values are kept. */
enum http_field_name {
    HTTP_HOST,
    HTTP_IF_MATCH,
    HTTP_IF_NONE_MATCH,
    HTTP_IF_MODIFIED_SINCE,
    HTTP_IF_UNMODIFIED_SINCE,
    HTTP_IF_RANGE,
    HTTP_RANGE,
    HTTP_REFERER,
    HTTP_USER_AGENT,
    HTTP_TRANSFER_ENCODING,
    HTTP_CONTENT_TYPE,
    HTTP_CONTENT_ENCODING,
    HTTP_CONNECT_TIMEOUT, /* connect-timeout-ms, of the Connect protocol */
    HTTP_ONCE,            /* strait-once-bin: rpc/grpc_field.h */
    HTTP_CLIENT,          /* strait-client, -sequence, -lowest: kv/http.h */
    HTTP_SEQUENCE,
    HTTP_LOWEST,
    HTTP_OTHER, /* none of these */
};

/* One field line; its value is a part of http_request.text. */
struct http_field {
    uint8_t name; /* enum http_field_name */
    uint16_t offset, length;
};

struct http_gate;

struct http_request {
    /* The gates that there are, and where bytes of bodies are counted; set behind
     * http_request_init. */
    const struct http_gate *gates;
    size_t gate_count;
    size_t *memory;

    /* The result, once `done`. */
    bool done;
    unsigned
        status; /* the error to answer; 0: a GET or HEAD of `target`, or for the gate, in order */
    const struct http_gate *gate; /* whom it is for; NULL: it is for the files */
    bool continues;               /* the peer waits for 100 (Continue) before it sends the body */
    char *body;                   /* of a request for a gate, `body_bytes` of it */
    size_t body_bytes;
    unsigned method;  /* enum http_method */
    bool head;        /* HEAD: the answer has no body */
    bool keep_alive;  /* another request may follow on the connection */
    bool version_1_0; /* the peer takes a connection for closed unless it is told */
    bool head_done;   /* what is missing, if anything, is the body */
    size_t target_bytes;
    size_t field_count;
    struct http_field fields[HTTP_FIELDS_MAX]; /* in the order of arrival */

    /* Private to request.c. */
    http_parser parser;
    size_t head_bytes;
    size_t body_room;
    unsigned bound_status; /* the status for a bound that the head has passed; 0: none */
    bool in_value;         /* the last thing seen of the header was (a part of) a value */
    bool in_field;         /* and it is kept */
    bool expects;
    size_t name_bytes;
    char name[24]; /* of the field under way, as much as fits */

    /* The target, then the values of fields: parts of one head, so that there is room for all. */
    size_t text_bytes;
    char text[HTTP_HEAD_BYTES_MAX];
};

/* Makes ready for a request. */
void http_request_init(struct http_request *);

/* Frees the body. */
void http_request_release(struct http_request *);

/*
 * Takes bytes of the connection until the request is done; `length` is at least 1. Returns how many
 * belong to this request. When it is done with a status and without keep_alive, the rest of the
 * stream has no meaning.
 */
size_t http_request_feed(struct http_request *, const char *bytes, size_t length);

/*
 * The value of the field at `index` or behind it, without white space around it; NULL if there is
 * none of that name. `*index` becomes that of the next one, so that all lines of a field can be
 * visited. The value is not ended by NUL.
 */
const char *http_request_field(const struct http_request *, enum http_field_name, size_t *index,
                               size_t *length);

/*
 * Finds the path of a request's target, in origin or absolute form, without the query. `*raw` of
 * `*raw_bytes` is set to the path as it was sent (within the target, "/" if it is empty). The path,
 * percent-decoded and ended by NUL, goes to `path`. Returns 0, or the status to answer: 400 (no
 * valid target, or a NUL in it), 403 (a segment ".."), 414 (longer than path_bytes - 1).
 */
unsigned http_request_path(const struct http_request *, const char **raw, size_t *raw_bytes,
                           char *path, size_t path_bytes);

#endif
