/* SPDX-License-Identifier: MIT */
/*
 * A session goes round between two phases. It *receives* a request: bytes are looked at in the
 * socket (MSG_PEEK) and taken from it only as far as they belong to the request, so that pipelined
 * requests wait in the socket and nowhere else. It *sends* the response: the head and as much of
 * the file as fits stand in a buffer, which is filled again as the peer takes it. An idle session
 * holds neither a request nor a buffer.
 */
#include "http/http.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/media.h"
#include "http/request.h"

#define SESSIONS_MAX   256
#define IDLE_NS        (30 * UINT64_C(1000000000))
#define PEEK_BYTES     ((size_t)65536)
#define PIECE_BYTES    ((size_t)256 * 1024) /* of a file, in memory for each response under way */
#define HEAD_BYTES_MAX ((size_t)512)        /* of a response, without the Location */
#define ROUND          4                    /* pieces sent in one callback */

struct http {
    char *root; /* NULL: the built-in page */
    char peek[PEEK_BYTES];
};

struct http_session {
    struct session session;
    struct http_request *request; /* what has arrived of it; else NULL */

    char *buffer; /* the response under way, of which [start, end) waits to be sent; else NULL */
    size_t start, end, capacity;
    int file; /* where the rest of the body comes from; -1: there is none */
    uint64_t file_offset, file_left;
    bool close_after; /* this response is the last one */
};

/* What is to be answered. */
struct answer {
    unsigned status;
    const char *type;
    const char *text; /* the body, if there is no file */
    int file;         /* or -1 */
    uint64_t length;
    const char *moved; /* with 301: the path to which a slash is to be added */
    size_t moved_bytes;
    char words[64]; /* room for a text */
};

static const char built_in_page[] =
    "<!DOCTYPE html>\n"
    "<html lang=\"en\">\n"
    "<title>Strait</title>\n"
    "<h1>Strait</h1>\n"
    "<p>This page comes from Strait, a TCP/IP stack that runs in user space on a TUN device.\n"
    "<p>Start it with <code>--root DIR</code> and it serves the files of that directory.\n"
    "</html>\n";

/* ---- What to answer ---- */

/* Fills in an answer that is nothing but its status. */
static void answer_status(struct answer *a, unsigned status)
{
    a->status = status;
    a->type = "text/plain; charset=utf-8";
    a->text = a->words;
    int n = snprintf(a->words, sizeof(a->words), "%u %s\n", status,
                     http_status_str((enum http_status)status));
    a->length = (uint64_t)n;
}

static unsigned status_of_errno(void)
{
    switch (errno) {
    case ENOENT:
    case ENOTDIR:
    case ELOOP:
        return HTTP_STATUS_NOT_FOUND;
    case ENAMETOOLONG:
        return HTTP_STATUS_URI_TOO_LONG;
    case EACCES:
    case EPERM:
        return HTTP_STATUS_FORBIDDEN;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        return HTTP_STATUS_SERVICE_UNAVAILABLE;
    default:
        return HTTP_STATUS_INTERNAL_SERVER_ERROR;
    }
}

/* Opens a file for the answer. Returns 0, or -1 with errno: EISDIR for a directory. */
static int open_file(struct strait_env *env, const char *path, struct answer *a)
{
    int directory = env->file_open(env, path, O_RDONLY | O_DIRECTORY);
    if (directory >= 0) {
        env->file_close(env, directory);
        errno = EISDIR;
        return -1;
    }
    int file = env->file_open(env, path, O_RDONLY);
    if (file < 0)
        return -1;
    int64_t size = env->file_size(env, file);
    if (size < 0) {
        int error = errno;
        env->file_close(env, file);
        errno = error;
        return -1;
    }
    a->file = file;
    a->length = (uint64_t)size;
    return 0;
}

static unsigned find_built_in(const char *path, struct answer *a)
{
    if (strcmp(path, "/") != 0)
        return HTTP_STATUS_NOT_FOUND;
    a->text = built_in_page;
    a->type = "text/html; charset=utf-8";
    a->length = sizeof(built_in_page) - 1;
    return HTTP_STATUS_OK;
}

/* Finds what the request asks for. Returns the status; with 200 the answer is filled in. */
static unsigned find(struct server *server, const struct http_request *r, struct answer *a)
{
    static const char index_html[] = "index.html";
    const struct http *http = server_context(server);
    char path[PATH_MAX];
    size_t root_bytes = http->root ? strlen(http->root) : 0;
    if (root_bytes + sizeof(index_html) >= sizeof(path))
        return HTTP_STATUS_URI_TOO_LONG;
    memcpy(path, http->root ? http->root : "", root_bytes);
    char *asked = path + root_bytes;
    unsigned status = http_request_path(r, &a->moved, &a->moved_bytes, asked,
                                        sizeof(path) - root_bytes - sizeof(index_html));
    if (status != 0)
        return status;
    if (!http->root)
        return find_built_in(asked, a);

    size_t asked_bytes = strlen(asked);
    bool slash = asked[asked_bytes - 1] == '/';
    if (slash)
        memcpy(asked + asked_bytes, index_html, sizeof(index_html));
    a->type = http_media_type(asked);
    if (open_file(server_env(server), path, a) == 0)
        return HTTP_STATUS_OK;
    if (errno == EISDIR)
        return slash ? HTTP_STATUS_NOT_FOUND : HTTP_STATUS_MOVED_PERMANENTLY;
    return status_of_errno();
}

/* ---- Sending ---- */

/* Appends to the buffer, whose capacity has been chosen to suffice. */
__attribute__((format(printf, 2, 3))) static void append(struct http_session *h, const char *format,
                                                         ...)
{
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(h->buffer + h->end, h->capacity - h->end, format, arguments);
    va_end(arguments);
    h->end += (size_t)n;
}

/* Releases what the response holds. */
static void end_response(struct http_session *h)
{
    struct strait_env *env = server_env(h->session.server);
    if (h->file >= 0)
        env->file_close(env, h->file);
    h->file = -1;
    free(h->buffer);
    h->buffer = NULL;
}

/* Fills the buffer's free end from the file. Returns false when the file is not what it was. */
static bool fill(struct http_session *h)
{
    struct strait_env *env = server_env(h->session.server);
    size_t room = h->capacity - h->end;
    if (room > h->file_left)
        room = (size_t)h->file_left;
    if (room == 0)
        return true;
    ssize_t got = env->file_read(env, h->file, h->buffer + h->end, room, h->file_offset);
    if (got <= 0)
        return false;
    h->end += (size_t)got;
    h->file_offset += (uint64_t)got;
    h->file_left -= (uint64_t)got;
    return true;
}

/* Whether everything has been handed to the socket; if not, the session waits or has ended. */
static bool send_pieces(struct http_session *h)
{
    struct session *s = &h->session;
    for (int i = 0; i < ROUND; i++) {
        ssize_t sent = session_send(s, h->buffer + h->start, h->end - h->start);
        if (sent < 0) {
            session_close(s);
            return false;
        }
        h->start += (size_t)sent;
        if (sent > 0)
            session_active(s);
        if (h->start < h->end)
            break;
        if (h->file_left == 0)
            return true;
        h->start = h->end = 0;
        /* Content-Length has been promised: only a reset tells the peer that it is not kept. */
        if (!fill(h)) {
            session_abort(s);
            return false;
        }
    }
    session_watch(s, POLLOUT);
    return false;
}

static void send_response(struct http_session *h)
{
    if (!send_pieces(h))
        return;
    end_response(h);
    if (h->close_after)
        session_finish(&h->session);
    else
        session_watch(&h->session, POLLIN);
}

/* Writes the head into the buffer. */
static void append_head(struct http_session *h, const struct answer *a,
                        const struct http_request *r)
{
    append(h, "HTTP/1.1 %u %s\r\n", a->status, http_status_str((enum http_status)a->status));
    append(h, "Server: Strait\r\nContent-Type: %s\r\nContent-Length: %" PRIu64 "\r\n", a->type,
           a->length);
    if (a->status == HTTP_STATUS_METHOD_NOT_ALLOWED)
        append(h, "Allow: GET, HEAD\r\n");
    if (a->status == HTTP_STATUS_MOVED_PERMANENTLY)
        append(h, "Location: %.*s/\r\n", (int)a->moved_bytes, a->moved);
    if (h->close_after)
        append(h, "Connection: close\r\n");
    else if (r->version_1_0)
        append(h, "Connection: keep-alive\r\n");
    append(h, "\r\n");
}

/* Makes the response in a buffer. Returns false when memory is short. */
static bool begin_response(struct http_session *h, const struct answer *a,
                           const struct http_request *r)
{
    uint64_t body = r->head ? 0 : a->length;
    size_t head = HEAD_BYTES_MAX + a->moved_bytes;
    h->capacity = head + (body < PIECE_BYTES ? (size_t)body : PIECE_BYTES);
    h->start = h->end = 0;
    h->buffer = malloc(h->capacity);
    h->file = a->file;
    h->file_offset = 0;
    h->file_left = a->file >= 0 ? body : 0;
    if (!h->buffer)
        return false;
    append_head(h, a, r);
    if (a->file >= 0)
        return fill(h);
    memcpy(h->buffer + h->end, a->text, (size_t)body);
    h->end += (size_t)body;
    return true;
}

/* Answers the request, which is done, and forgets it. */
static void respond(struct http_session *h)
{
    struct http_request *r = h->request;
    struct answer a = {.file = -1};
    a.status = r->status != 0 ? r->status : find(h->session.server, r, &a);
    if (a.status != HTTP_STATUS_OK)
        answer_status(&a, a.status);
    /* RFC 3986 4.2: a reference that begins with two slashes would name another host. */
    while (a.moved_bytes > 1 && a.moved[1] == '/') {
        a.moved++;
        a.moved_bytes--;
    }
    h->close_after = h->close_after || !r->keep_alive;
    bool begun = begin_response(h, &a, r);
    free(h->request);
    h->request = NULL;
    if (begun)
        send_response(h);
    else
        session_abort(&h->session);
}

/* ---- Receiving ---- */

static void receive_request(struct http_session *h)
{
    struct session *s = &h->session;
    struct http *http = server_context(s->server);
    bool end;
    ssize_t seen = session_recv(s, http->peek, sizeof(http->peek), MSG_PEEK, &end);
    if (seen < 0 || end) {
        session_close(s);
        return;
    }
    if (seen == 0)
        return;
    if (!h->request) {
        h->request = malloc(sizeof(*h->request));
        if (!h->request) {
            session_abort(s);
            return;
        }
        http_request_init(h->request);
        session_active(s); /* and not again: all of a request has to arrive in the idle time */
    }
    size_t taken = http_request_feed(h->request, http->peek, (size_t)seen);
    if (taken > 0 && session_recv(s, http->peek, taken, 0, &end) < 0)
        session_close(s);
    else if (h->request->done)
        respond(h);
}

/* ---- The service ---- */

static void opened(struct session *s)
{
    ((struct http_session *)s)->file = -1;
}

static void ready(struct session *s, short revents)
{
    (void)revents;
    struct http_session *h = (struct http_session *)s;
    if (h->buffer)
        send_response(h);
    else
        receive_request(h);
}

/* A peer that has stopped reading would keep the response for ever: it is cut off. */
static void idle(struct session *s)
{
    if (((struct http_session *)s)->buffer)
        session_abort(s);
    else
        session_finish(s);
}

static void stop(struct session *s)
{
    struct http_session *h = (struct http_session *)s;
    h->close_after = true;
    if (!h->buffer)
        session_finish(s);
}

static void closed(struct session *s)
{
    struct http_session *h = (struct http_session *)s;
    end_response(h);
    free(h->request);
}

static void release(void *context)
{
    struct http *http = context;
    free(http->root);
    free(http);
}

static const struct service service = {
    .session_bytes = sizeof(struct http_session),
    .sessions_max = SESSIONS_MAX,
    .idle_ns = IDLE_NS,
    .opened = opened,
    .ready = ready,
    .idle = idle,
    .stop = stop,
    .closed = closed,
    .release = release,
};

struct server *http_start(struct strait *stack, struct strait_env *env, uint16_t port,
                          const char *root)
{
    struct http *http = malloc(sizeof(*http));
    if (http) {
        http->root = root ? strdup(root) : NULL;
        if (root && !http->root) {
            free(http);
            http = NULL;
        }
    }
    return server_start(stack, env, &service, port, http);
}
