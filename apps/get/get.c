/* SPDX-License-Identifier: MIT */
/*
 * The states of a download follow one another, and after a redirection begin anew:
 *
 *     connecting -> the head of the answer -> its body
 *
 * Each has its own function for the readiness of the socket.
 */
#include "get/get.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "get/response.h"

#define REQUEST_BYTES (URL_HOST_BYTES + URL_TARGET_BYTES + 256)
#define ERROR_BYTES   (URL_HOST_BYTES + 256)

struct get {
    struct get_config config;
    struct strait_timer timer; /* of the begin */
    int fd;                    /* -1: none */
    unsigned redirections;
    bool in_body; /* what comes is wanted */
    bool refused; /* by a function of the configuration */
    bool ended;
    struct response response;
    size_t from, to; /* in `bytes`, what has been received and not been fed */
    char bytes[GET_PIECE_BYTES];
    char error[ERROR_BYTES];
};

static void get_connect(struct get *g);

static void drop_connection(struct get *g)
{
    if (g->fd >= 0)
        strait_close(g->config.stack, g->fd);
    g->fd = -1;
}

static void end(struct get *g, bool whole, const char *error)
{
    if (g->ended)
        return;
    g->ended = true;
    drop_connection(g);
    g->config.ended(g->config.context, whole, error);
}

__attribute__((format(printf, 2, 3))) static void fail(struct get *g, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(g->error, sizeof(g->error), format, arguments);
    va_end(arguments);
    end(g, false, g->error);
}

/* Said by its number: the words for it are the caller's C library's. */
static void fail_by(struct get *g, const char *what, int number)
{
    fail(g, "%s: %s", what, g->config.words(number));
}

/* ---- Redirections ---------------------------------------------------------------------------- */

/* Reads "10.7.0.1"; a redirection may lead there, since no name has to be looked up. */
static bool read_address(const char *text, struct in_addr *address)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char *end_of_number;
        if (!isdigit((unsigned char)*text))
            return false;
        unsigned long byte = strtoul(text, &end_of_number, 10);
        if (byte > 255 || *end_of_number != (i < 3 ? '.' : '\0'))
            return false;
        value = value << 8 | (uint32_t)byte;
        text = end_of_number + 1;
    }
    address->s_addr = htonl(value);
    return true;
}

static void follow(struct get *g)
{
    struct url next;
    if (++g->redirections > GET_REDIRECTIONS_MAX) {
        fail(g, "more than %d redirections", GET_REDIRECTIONS_MAX);
        return;
    }
    const char *wrong = url_join(&next, &g->config.url, g->response.location);
    if (wrong) {
        fail(g, "redirected: %s", wrong);
        return;
    }
    if (strcasecmp(next.host, g->config.url.host) != 0 &&
        !read_address(next.host, &g->config.address)) {
        fail(g, "redirected to %s; names are not looked up any more: ask there yourself",
             next.host);
        return;
    }
    g->config.url = next;
    drop_connection(g);
    get_connect(g);
}

/* ---- The head of the answer ------------------------------------------------------------------ */

static void begin(struct get *g, uint64_t first, uint64_t total)
{
    g->in_body = true;
    if (!g->config.begin(g->config.context, first, total))
        g->refused = true;
}

/* RFC 9110 15.3.7: what the server sends need not be what was asked for. */
static void begin_part(struct get *g)
{
    const struct response *r = &g->response;
    bool fits = r->range_first == g->config.have &&
                (r->range_total == RESPONSE_UNKNOWN || r->range_last == r->range_total - 1);
    if (g->config.have == 0 || !fits)
        fail(g, "the server sends another part than was asked for");
    else
        begin(g, r->range_first, r->range_total);
}

/* RFC 9110 15.5.17: nothing is left to be sent, or less is there than we have. */
static void no_part(struct get *g)
{
    if (g->config.have > 0 && g->response.range_total == g->config.have)
        end(g, true, NULL);
    else
        fail(g, "the file is not a part of what the server has; remove it to begin anew");
}

static void look_at_head(struct get *g)
{
    const struct response *r = &g->response;
    switch (r->status) {
    case 200:
        begin(g, 0, r->length);
        return;
    case 206:
        begin_part(g);
        return;
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        if (r->location[0] != '\0') {
            follow(g);
            return;
        }
        break;
    case 416:
        no_part(g);
        return;
    default:
        break;
    }
    fail(g, "the server answers %u %s", r->status, r->reason);
}

/* ---- Receiving ------------------------------------------------------------------------------- */

static void take_body(void *context, const char *bytes, size_t length)
{
    struct get *g = context;
    if (!g->refused && !g->config.body(g->config.context, bytes, length))
        g->refused = true;
}

/* Whether the download has come to an end, which is told. */
static bool check_end(struct get *g)
{
    if (g->ended)
        return true;
    if (g->refused)
        end(g, false, NULL);
    else if (g->response.error)
        fail(g, "%s", g->response.error);
    else if (g->in_body && g->response.done)
        end(g, true, NULL);
    return g->ended;
}

/* Feeds what has been received. Returns false when that has ended the download or the connection.
 */
static bool feed(struct get *g)
{
    while (g->from < g->to) {
        int fd = g->fd;
        g->from += response_feed(&g->response, g->bytes + g->from, g->to - g->from);
        if (g->response.head_done && !g->in_body && !g->response.error)
            look_at_head(g);
        if (check_end(g) || g->fd != fd)
            return false;
    }
    return true;
}

static void answer_ready(void *argument, int fd, short revents)
{
    struct get *g = argument;
    (void)revents;
    while (!g->config.full(g->config.context)) {
        ssize_t n = strait_recv(g->config.stack, fd, g->bytes, sizeof(g->bytes), 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (n < 0) {
            fail_by(g, "connection", errno);
            return;
        }
        g->from = 0;
        g->to = (size_t)n;
        if (n == 0)
            response_close(&g->response);
        if (n == 0 ? check_end(g) : !feed(g))
            return;
    }
    strait_watch(g->config.stack, fd, 0, NULL, NULL);
}

void get_resume(struct get *g)
{
    if (g->fd >= 0)
        strait_watch(g->config.stack, g->fd, POLLIN, answer_ready, g);
}

/* ---- Asking ---------------------------------------------------------------------------------- */

/* RFC 9110 14.1.2; without compression, or the bytes of a part would be those of something else. */
static void ask(struct get *g)
{
    const struct url *url = &g->config.url;
    char request[REQUEST_BYTES], port[8] = "", range[64] = "";
    if (url->port != 80)
        snprintf(port, sizeof(port), ":%u", url->port);
    if (g->config.have > 0)
        snprintf(range, sizeof(range), "Range: bytes=%" PRIu64 "-\r\n", g->config.have);
    int length = snprintf(request, sizeof(request),
                          "GET %s HTTP/1.1\r\nHost: %s%s\r\nUser-Agent: strait/" STRAIT_VERSION
                          "\r\nAccept: */*\r\nAccept-Encoding: identity\r\n%sConnection: close\r\n"
                          "\r\n",
                          url->target, url->host, port, range);
    /* The send buffer of a new connection takes all of it. */
    ssize_t sent = strait_send(g->config.stack, g->fd, request, (size_t)length, MSG_NOSIGNAL);
    if (sent != length) {
        fail_by(g, "connection", sent < 0 ? errno : ENOBUFS);
        return;
    }
    response_init(&g->response, take_body, g);
    g->in_body = false;
    strait_watch(g->config.stack, g->fd, POLLIN, answer_ready, g);
}

static void connect_ready(void *argument, int fd, short revents)
{
    struct get *g = argument;
    int number = 0;
    socklen_t length = sizeof(number);
    (void)revents;
    strait_getsockopt(g->config.stack, fd, SOL_SOCKET, SO_ERROR, &number, &length);
    if (number)
        fail_by(g, g->config.url.host, number);
    else
        ask(g);
}

static void get_connect(struct get *g)
{
    struct strait *stack = g->config.stack;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(g->config.url.port),
                             .sin_addr = g->config.address};
    g->fd = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (g->fd < 0 || (strait_connect(stack, g->fd, (struct sockaddr *)&to, sizeof(to)) < 0 &&
                      errno != EINPROGRESS)) {
        fail_by(g, g->config.url.host, errno);
        return;
    }
    strait_watch(stack, g->fd, POLLOUT, connect_ready, g);
}

/* ---- Begin and end --------------------------------------------------------------------------- */

static void timer_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    get_connect((struct get *)(void *)((char *)timer - offsetof(struct get, timer)));
}

struct get *get_start(const struct get_config *config)
{
    struct get *g = calloc(1, sizeof(*g));
    if (!g)
        return NULL;
    g->config = *config;
    g->fd = -1;
    g->timer.expired = timer_expired;
    config->env->timer_start(config->env, &g->timer, config->env->now(config->env));
    return g;
}

void get_free(struct get *g)
{
    if (!g)
        return;
    g->config.env->timer_stop(g->config.env, &g->timer);
    drop_connection(g);
    free(g);
}
