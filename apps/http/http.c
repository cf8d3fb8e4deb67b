/* SPDX-License-Identifier: MIT */
/*
 * A session goes round between three phases. It *waits*, holding neither a request nor a buffer. It
 * *receives* a request: bytes are looked at in the socket (MSG_PEEK) and taken from it only as far
 * as they belong to requests that can be answered at once, so that further pipelined ones wait in
 * the socket and nowhere else. It *sends* the response: the head, and a body that is in memory or
 * is read from its file piece by piece as the peer takes it.
 *
 * The bytes of a file are lent to the stack, not copied, except where there are so few that a loan
 * would cost more than the copy. When all memory for files is on its way to slow peers, a piece is
 * read into memory that the sessions share, and copied; what the socket does not take of it is read
 * again.
 *
 * A request for a gate may be answered later: until then its session waits, and the next requests
 * wait in the socket.
 *
 * Most responses are taken by the socket whole and at once. Then the three phases are one pass
 * through `receive`, and nothing is allocated but the request.
 */
#include "http/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "http/answer.h"
#include "http/log.h"
#include "http/request.h"
#include "http/site.h"

#define SESSIONS_MAX 1024
#define NS_PER_S     UINT64_C(1000000000)
#define HEAD_NS      (10 * NS_PER_S)
#define IDLE_NS      (60 * NS_PER_S)
#define PEEK_BYTES   ((size_t)65536)
#define PIECE_BYTES  BLOCK_BYTES     /* of a file, read at once */
#define PIECES_MAX   16              /* sent in one callback */
#define LEND_MIN     ((size_t)16384) /* what is shorter is copied */
#define REQUESTS_MAX 16              /* answered in one callback */

TAILQ_HEAD(http_sessions, http_session);

struct http_session {
    struct session session;
    struct http_sessions *list; /* that it stands on: `waiting` or `receiving`; NULL: neither */
    TAILQ_ENTRY(http_session) link;
    struct in_addr peer;          /* if there is a log */
    struct http_request *request; /* what has arrived of it, and until it is answered; else NULL */

    bool in_gate; /* the gate has the request, and its answer may come */
    void *asked;  /* what is to be cancelled then; NULL: nothing */

    /* The response under way. */
    bool sending;
    bool close_after; /* it is the last one */
    struct http_answer answer;
    int64_t time;            /* when it began */
    const char *head, *body; /* what is in memory, and waits to be sent */
    size_t head_left, body_left;
    struct block *block;        /* that the body is in if it is to be lent, else NULL */
    bool in_piece;              /* the body is in http.piece, which other sessions use too */
    uint64_t offset, file_left; /* what is still to be read from the answer's file */
    uint64_t body_sent;
    char *head_rest; /* memory for the head; NULL: none */
};

struct http {
    void (*log)(void *log_context, const char *line, size_t length);
    void *log_context;
    struct strait_env *env;
    struct site *site; /* NULL: the built-in page */
    struct http_gate gates[HTTP_GATES_MAX];
    size_t gate_count;
    size_t bodies;                  /* bytes of memory for those that are kept */
    struct http_sessions waiting;   /* for a request, the longest first */
    struct http_sessions receiving; /* one that has not come whole at once, likewise */
    int64_t date_time;              /* of `date` */
    char date[HTTP_DATE_BYTES];
    char head[HTTP_ANSWER_HEAD_BYTES];
    char line[HTTP_LOG_BYTES];
    char peek[PEEK_BYTES];
    char piece[PIECE_BYTES]; /* of a file, until the callback ends */
};

/* How far a response has come. */
enum progress {
    SENT,    /* the session waits for a request */
    PENDING, /* the session waits for its socket */
    GONE,    /* the session has ended, or is about to, and is not to be touched */
};

static struct http *http_of(struct http_session *h)
{
    return server_context(h->session.server);
}

/* ---- Waiting ---- */

static void leave_list(struct http_session *h)
{
    if (h->list)
        TAILQ_REMOVE(h->list, h, link);
    h->list = NULL;
}

/* On both lists stand those that can be spared, if need be. */
static void join_list(struct http_session *h, struct http_sessions *list)
{
    leave_list(h);
    TAILQ_INSERT_TAIL(list, h, link);
    h->list = list;
    server_room_is_near(h->session.server);
}

static void wait_for_request(struct http_session *h)
{
    session_active(&h->session);
    session_watch(&h->session, POLLIN);
    join_list(h, &http_of(h)->waiting);
}

/*
 * RFC 9112 9.5: a connection that waits may be closed at any time. If none does, the oldest request
 * that is not complete is the slowest: without that, few peers who send a byte now and then would
 * keep all others out.
 */
static bool make_room(void *context)
{
    struct http *http = context;
    struct http_session *longest = TAILQ_FIRST(&http->waiting);
    if (!longest)
        longest = TAILQ_FIRST(&http->receiving);
    if (longest)
        session_close(&longest->session);
    return longest != NULL;
}

/* ---- Sending ---- */

static void log_answer(struct http_session *h)
{
    struct http *http = http_of(h);
    struct http_record record = {
        .peer = h->peer,
        .time = h->time,
        .request = h->request,
        .status = h->answer.status,
        .body_bytes = h->body_sent,
    };
    if (http->log)
        http->log(http->log_context, http->line, http_log_line(&record, http->line));
}

/* Releases what request and response hold. */
static void end_response(struct http_session *h)
{
    if (h->sending) {
        log_answer(h);
        http_answer_release(&h->answer, http_of(h)->site);
    }
    h->sending = false;
    if (h->request)
        http_request_release(h->request);
    free(h->request);
    free(h->head_rest);
    if (h->block)
        block_release(h->block);
    h->request = NULL;
    h->head_rest = NULL;
    h->block = NULL;
}

/* Makes the next piece of the file the body. Returns false when the file is not what it was. */
static bool next_piece(struct http_session *h)
{
    struct http *http = http_of(h);
    size_t length = h->file_left < PIECE_BYTES ? (size_t)h->file_left : PIECE_BYTES;
    h->block = http->site && length >= LEND_MIN ? site_block(http->site, PIECE_BYTES) : NULL;
    char *bytes = h->block ? h->block->bytes : http->piece;
    struct http_source *source = h->answer.source;
    size_t got = source ? source->read(source, bytes, length, h->offset)
                        : site_read(http->site, h->answer.file, bytes, length, h->offset);
    h->in_piece = !h->block;
    h->body = bytes;
    h->body_left = got;
    h->offset += got;
    h->file_left -= got;
    return got > 0;
}

/* Keeps what is left in memory that all sessions share: the head, or a piece, to be read again. */
static bool keep_rest(struct http_session *h)
{
    if (h->in_piece) {
        h->offset -= h->body_left;
        h->file_left += h->body_left;
        h->body_left = 0;
        h->in_piece = false;
    }
    if (h->head_left == 0 || h->head_rest)
        return true;
    h->head_rest = malloc(h->head_left);
    if (!h->head_rest)
        return false;
    memcpy(h->head_rest, h->head, h->head_left);
    h->head = h->head_rest;
    return true;
}

/* Lends the block to the stack. Returns the bytes that the socket took, or -1. */
static ssize_t lend_block(struct http_session *h)
{
    ssize_t sent = session_lend(&h->session, h->body, h->body_left, block_release, h->block);
    if (sent <= 0)
        return sent;
    h->block = NULL;
    h->body_left = 0;
    h->body_sent += (uint64_t)sent;
    return sent;
}

/* Sends the head, and a body that is not to be lent. Returns the bytes that were taken, or -1. */
static ssize_t copy_parts(struct http_session *h)
{
    struct iovec parts[] = {{(void *)(uintptr_t)h->head, h->head_left},
                            {(void *)(uintptr_t)h->body, h->block ? 0 : h->body_left}};
    if (parts[0].iov_len + parts[1].iov_len == 0)
        return 0;
    ssize_t sent = session_sendv(&h->session, parts, 2);
    if (sent < 0)
        return -1;
    size_t of_head = (size_t)sent < h->head_left ? (size_t)sent : h->head_left;
    size_t of_body = (size_t)sent - of_head;
    h->head += of_head;
    h->head_left -= of_head;
    if (of_body > 0) /* where there is none, it is NULL */
        h->body += of_body;
    h->body_left -= of_body;
    h->body_sent += of_body;
    return sent;
}

/* Sends what is in memory. Returns the bytes that the socket took, or -1. */
static ssize_t send_parts(struct http_session *h)
{
    ssize_t sent = copy_parts(h);
    if (sent < 0 || h->head_left > 0 || !h->block)
        return sent;
    ssize_t lent = lend_block(h);
    return lent < 0 ? -1 : sent + lent;
}

/* Content-Length has been promised: only a reset tells the peer that it is not kept. */
static enum progress break_off(struct http_session *h)
{
    session_abort(&h->session);
    return GONE;
}

static enum progress send_pieces(struct http_session *h)
{
    bool active = false;
    for (int i = 0; i < PIECES_MAX; i++) {
        ssize_t sent = send_parts(h);
        if (sent < 0)
            return break_off(h);
        active = active || sent > 0;
        if (h->head_left + h->body_left > 0)
            break;
        if (h->file_left == 0)
            return SENT;
        if (!next_piece(h))
            return break_off(h);
    }
    if (!keep_rest(h))
        return break_off(h);
    if (active)
        session_active(&h->session);
    session_watch(&h->session, POLLOUT);
    return PENDING;
}

static enum progress send_response(struct http_session *h)
{
    enum progress progress = send_pieces(h);
    if (progress != SENT)
        return progress;
    end_response(h);
    if (h->close_after) {
        session_finish(&h->session);
        return GONE;
    }
    wait_for_request(h);
    return SENT;
}

static const char *date_of(struct http *http, int64_t now)
{
    if (http->date_time != now)
        http_date_format(now, http->date);
    http->date_time = now;
    return http->date;
}

/* Sends the answer, which is known. */
static enum progress begin_response(struct http_session *h)
{
    struct http *http = http_of(h);
    const struct http_request *r = h->request;
    struct http_answer *a = &h->answer;
    h->sending = true;
    h->close_after = h->close_after || !r->keep_alive;
    h->head = http->head;
    h->head_left = http_answer_head(a, r, date_of(http, h->time), h->close_after, http->head);
    h->body = a->text;
    h->body_left = h->body_sent = h->file_left = 0;
    h->in_piece = false;
    uint64_t body = r->head ? 0 : a->length;
    if (a->text) {
        h->body_left = (size_t)body;
    } else if (a->file && a->file->content) {
        h->body = a->file->content->bytes + a->first;
        h->body_left = (size_t)body;
        if (body >= LEND_MIN)
            h->block = block_hold(a->file->content);
    } else if (a->file || a->source) {
        h->offset = a->first;
        h->file_left = body;
        if (body > 0 && !next_piece(h))
            return break_off(h);
    }
    return send_response(h);
}

/* ---- The gate ---- */

void http_exchange_answer(struct http_exchange *exchange, const struct http_reply *reply)
{
    struct http_session *h = (struct http_session *)(void *)exchange;
    bool later = h->asked != NULL;
    h->in_gate = false;
    h->asked = NULL;
    http_answer_reply(&h->answer, reply);
    if (later)
        begin_response(h);
}

/* Lets the gate answer a request. */
static enum progress ask(struct http_session *h)
{
    const struct http_gate *gate = h->request->gate;
    h->in_gate = true;
    void *asked = gate->ask(gate->context, (struct http_exchange *)(void *)h, h->request);
    if (!h->in_gate)
        return begin_response(h);
    h->asked = asked;
    session_watch(&h->session, 0);
    return PENDING;
}

/* Lets the gate word what HTTP refuses. Returns false if it has not. */
static bool gate_refuses(struct http_session *h)
{
    const struct http_gate *gate = h->request->gate;
    if (!gate || !gate->refuse)
        return false;
    h->in_gate = true;
    gate->refuse(gate->context, (struct http_exchange *)(void *)h, h->request);
    bool answered = !h->in_gate;
    h->in_gate = false;
    return answered;
}

/* Answers the request, which is done. */
static enum progress respond(struct http_session *h)
{
    struct http *http = http_of(h);
    leave_list(h);
    h->time = http->env->wall_clock(http->env) / (int64_t)NS_PER_S;
    if (h->request->gate && h->request->status == 0)
        return ask(h);
    if (!gate_refuses(h))
        http_answer(&h->answer, http->site, h->request, h->time);
    return begin_response(h);
}

/* ---- Receiving ---- */

static bool begin_request(struct http_session *h)
{
    h->request = malloc(sizeof(*h->request));
    if (!h->request) {
        session_abort(&h->session);
        return false;
    }
    struct http *http = http_of(h);
    http_request_init(h->request);
    h->request->gates = http->gates;
    h->request->gate_count = http->gate_count;
    h->request->memory = &http->bodies;
    leave_list(h);
    return true;
}

/* Starts the time of a request that is not done when it begins to be read, and when its head is. */
static void limit_time(struct http_session *h, bool began, bool head_was_done)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    /* RFC 9110 10.1.1. Whom it does not reach, for want of room, sends the body in a while anyway.
     */
    if (h->request->continues && !head_was_done)
        session_send(&h->session, go_on, sizeof(go_on) - 1);
    if (began)
        join_list(h, &http_of(h)->receiving);
    if (h->request->head_done != head_was_done)
        session_active(&h->session);
    else if (began)
        session_active_for(&h->session, HEAD_NS);
}

/* Answers the requests in `bytes`. Returns how many bytes belong to them. */
static size_t take_requests(struct http_session *h, const char *bytes, size_t length,
                            enum progress *progress)
{
    size_t taken = 0;
    *progress = SENT;
    for (int i = 0; i < REQUESTS_MAX && taken < length && *progress == SENT; i++) {
        bool begins = !h->request;
        if (begins && !begin_request(h)) {
            *progress = GONE;
            break;
        }
        bool head_was_done = h->request->head_done;
        taken += http_request_feed(h->request, bytes + taken, length - taken);
        if (h->request->done)
            *progress = respond(h);
        else
            limit_time(h, begins, head_was_done);
    }
    return taken;
}

static void receive(struct http_session *h)
{
    struct session *s = &h->session;
    struct http *http = http_of(h);
    enum progress progress;
    bool end;
    ssize_t seen = session_recv(s, http->peek, sizeof(http->peek), MSG_PEEK, &end);
    if (seen < 0 || end) {
        session_close(s);
        return;
    }
    if (seen == 0)
        return;
    size_t taken = take_requests(h, http->peek, (size_t)seen, &progress);
    if (progress != GONE && session_recv(s, http->peek, taken, 0, &end) < 0)
        session_close(s);
}

/* ---- The service ---- */

static void opened(struct session *s)
{
    struct http_session *h = (struct http_session *)s;
    struct sockaddr_in peer = {0};
    if (http_of(h)->log)
        stream_peer(&s->stream, &peer);
    h->peer = peer.sin_addr;
    wait_for_request(h);
}

static void ready(struct session *s, short revents)
{
    (void)revents;
    struct http_session *h = (struct http_session *)s;
    if (h->in_gate)
        session_close(s); /* it has failed */
    else if (h->sending)
        send_response(h);
    else
        receive(h);
}

/* A peer that has stopped reading would keep the response for ever: it is cut off. */
static void idle(struct session *s)
{
    struct http_session *h = (struct http_session *)s;
    if (h->in_gate) {
        session_active(s); /* the gate keeps its own time */
    } else if (h->sending) {
        session_abort(s);
    } else if (h->request) {
        h->request->status = HTTP_STATUS_REQUEST_TIMEOUT;
        h->request->keep_alive = false;
        respond(h);
    } else {
        leave_list(h);
        session_finish(s);
    }
}

static void stop(struct session *s)
{
    struct http_session *h = (struct http_session *)s;
    h->close_after = true;
    if (h->sending || h->in_gate)
        return;
    leave_list(h);
    session_finish(s);
}

static void closed(struct session *s)
{
    struct http_session *h = (struct http_session *)s;
    leave_list(h);
    if (h->asked)
        h->request->gate->cancel(h->asked);
    end_response(h);
}

static void release(void *context)
{
    struct http *http = context;
    if (http->site)
        site_close(http->site);
    free(http);
}

static const struct service service = {
    .session_bytes = sizeof(struct http_session),
    .sessions_max = SESSIONS_MAX,
    .idle_ns = IDLE_NS,
    .make_room = make_room,
    .opened = opened,
    .ready = ready,
    .idle = idle,
    .stop = stop,
    .closed = closed,
    .release = release,
};

struct server *http_start_at(const struct stream_host *host, const struct http_config *config)
{
    const struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(config->port)};
    struct http *http = calloc(1, sizeof(*http));
    if (!http)
        return NULL;
    http->log = config->log;
    http->log_context = config->log_context;
    while (http->gate_count < HTTP_GATES_MAX && config->gates[http->gate_count]) {
        http->gates[http->gate_count] = *config->gates[http->gate_count];
        http->gate_count++;
    }
    http->env = host->env;
    http->date_time = -1;
    TAILQ_INIT(&http->waiting);
    TAILQ_INIT(&http->receiving);
    http->site = config->root ? site_open(host->env, config->root) : NULL;
    if (config->root && !http->site) {
        int error = errno;
        free(http);
        errno = error;
        return NULL;
    }
    return server_start_at(host, &service, &any, http);
}

struct server *http_start(struct strait *stack, struct strait_env *env,
                          const struct http_config *config)
{
    const struct stream_host host = stream_host_strait(stack, env);
    return http_start_at(&host, config);
}
