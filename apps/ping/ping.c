/* SPDX-License-Identifier: MIT */
#include "ping/ping.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ping/fault.h"

#define HEADER_BYTES 8 /* RFC 792: type, code, checksum, identifier, sequence number */
#define TYPE_REQUEST 8
#define TYPE_REPLY   0
#define IP_BYTES     20 /* of its header */

#define LINE_BYTES    256
#define ADDRESS_BYTES 16
#define US_NS         UINT64_C(1000)
#define MS_NS         UINT64_C(1000000)

/* Requests whose times are remembered; an answer to an older one counts as a duplicate. */
#define REMEMBERED 4096

struct request {
    uint64_t sent_ns;
    uint16_t sequence;
    bool waits; /* for its first reply */
};

struct ping {
    struct ping_config config;
    struct strait *stack;
    struct strait_env *env;
    int fd;
    struct strait_timer timer; /* of the next request, or of the end */
    uint64_t started_ns, due_ns;
    uint32_t sent, received, duplicates, corrupted, errors;
    uint64_t min_us, max_us, sum_us; /* of the round trips */
    double sum_of_squares;           /* of the same */
    bool ended;
    struct request requests[REMEMBERED]; /* by sequence number */
    uint8_t message[HEADER_BYTES + PING_DATA_MAX];
    uint8_t reply[HEADER_BYTES + PING_DATA_MAX];
};

__attribute__((format(printf, 2, 3))) static void say_line(const struct ping *p, const char *format,
                                                           ...)
{
    char line[LINE_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    p->config.line(p->config.context, line);
}

static void end(struct ping *p)
{
    if (p->ended)
        return;
    p->ended = true;
    p->env->timer_stop(p->env, &p->timer);
    strait_watch(p->stack, p->fd, 0, NULL, NULL);
    p->config.ended(p->config.context);
}

/* A request has failed in the host itself, or nobody knows which. */
static void fail(struct ping *p, int number)
{
    p->errors++;
    p->config.error(p->config.context, number);
}

static bool all_sent(const struct ping *p)
{
    return p->config.count > 0 && p->sent >= p->config.count;
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void send_request(struct ping *p)
{
    size_t length = HEADER_BYTES + p->config.data_bytes;
    uint16_t sequence = (uint16_t)++p->sent;
    p->message[6] = (uint8_t)(sequence >> 8);
    p->message[7] = (uint8_t)sequence;
    p->requests[sequence % REMEMBERED] =
        (struct request){.sent_ns = p->env->now(p->env), .sequence = sequence, .waits = true};
    if (strait_send(p->stack, p->fd, p->message, length, 0) < 0)
        fail(p, errno);
}

/* How long replies are waited for after the last request. */
static uint64_t patience_ns(const struct ping *p)
{
    uint64_t twice_ns = 2 * p->max_us * US_NS;
    if (p->received == 0)
        return p->config.wait_ns;
    return twice_ns > p->config.interval_ns ? twice_ns : p->config.interval_ns;
}

static void timer_expired(void *owner, struct strait_timer *timer)
{
    (void)owner;
    struct ping *p = (struct ping *)(void *)((char *)timer - offsetof(struct ping, timer));
    if (all_sent(p)) {
        end(p);
        return;
    }
    send_request(p);
    uint64_t now_ns = p->env->now(p->env);
    p->due_ns += p->config.interval_ns; /* from when it was due: what is late does not add up */
    if (p->due_ns < now_ns)
        p->due_ns = now_ns;
    p->env->timer_start(p->env, &p->timer, all_sent(p) ? now_ns + patience_ns(p) : p->due_ns);
}

/* ---- What comes back, and with it -------------------------------------------------------------
 */

/* What comes with a reply, or with a request that has failed. */
struct arrival {
    struct sockaddr_in from; /* failed: where it was sent to */
    int ttl;                 /* 0: not told */
    struct sock_extended_err failure;
    struct sockaddr_in teller; /* who has told of the failure */
};

static void read_control(const struct cmsghdr *c, struct arrival *a)
{
    size_t length = c->cmsg_len - CMSG_LEN(0);
    if (c->cmsg_level != IPPROTO_IP)
        return;
    if (c->cmsg_type == IP_TTL && length == sizeof(a->ttl))
        memcpy(&a->ttl, CMSG_DATA(c), length);
    if (c->cmsg_type == IP_RECVERR && length == sizeof(a->failure) + sizeof(a->teller)) {
        memcpy(&a->failure, CMSG_DATA(c), sizeof(a->failure));
        memcpy(&a->teller, CMSG_DATA(c) + sizeof(a->failure), sizeof(a->teller));
    }
}

/* Takes the next reply into p->reply; or with MSG_ERRQUEUE a request that has failed. Returns its
 * length, or -1 with errno of recvmsg. */
static ssize_t receive(struct ping *p, int flags, struct arrival *a)
{
    union {
        struct cmsghdr first; /* aligns the bytes */
        char bytes[256];
    } control;
    struct iovec part = {.iov_base = p->reply, .iov_len = sizeof(p->reply)};
    struct msghdr message = {
        .msg_name = &a->from,
        .msg_namelen = sizeof(a->from),
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got = strait_recvmsg(p->stack, p->fd, &message, flags | MSG_DONTWAIT);
    if (got < 0)
        return -1;
    a->ttl = 0;
    a->failure = (struct sock_extended_err){0};
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
        read_control(c, a);
    return got;
}

/* "10.7.0.1", until the next call with the same text. */
static const char *address_text(const struct sockaddr_in *in, char text[ADDRESS_BYTES])
{
    uint32_t address = ntohl(in->sin_addr.s_addr);
    snprintf(text, ADDRESS_BYTES, "%u.%u.%u.%u", address >> 24, address >> 16 & 255,
             address >> 8 & 255, address & 255);
    return text;
}

/* The sequence number of the message in p->reply, which has a whole header. */
static uint16_t sequence_of(const struct ping *p)
{
    return (uint16_t)(p->reply[6] << 8 | p->reply[7]);
}

/* A request has not got through, and somebody says why: that stands for its reply. */
static void take_failure(struct ping *p, size_t length, const struct arrival *a)
{
    char from[ADDRESS_BYTES], why[FAULT_BYTES];
    const struct sock_extended_err *failure = &a->failure;
    if (failure->ee_origin != SO_EE_ORIGIN_ICMP || length < HEADER_BYTES)
        return; /* send has told of it */
    p->errors++;
    fault_describe(why, failure->ee_type, failure->ee_code, failure->ee_info);
    say_line(p, "From %s icmp_seq=%u %s", address_text(&a->teller, from), sequence_of(p), why);
}

/* ---- Replies --------------------------------------------------------------------------------- */

/* Writes a round trip as iputils does: four digits, or as many as there are before the point. */
static void format_trip(char *text, size_t bytes, uint64_t us)
{
    if (us >= 99950)
        snprintf(text, bytes, "%llu", (unsigned long long)((us + 500) / 1000));
    else if (us >= 9995)
        snprintf(text, bytes, "%u.%01u", (unsigned)((us + 50) / 1000),
                 (unsigned)((us + 50) / 100 % 10));
    else if (us >= 1000)
        snprintf(text, bytes, "%u.%02u", (unsigned)((us + 5) / 1000),
                 (unsigned)((us + 5) / 10 % 100));
    else
        snprintf(text, bytes, "0.%03u", (unsigned)us);
}

static void add_trip(struct ping *p, uint64_t us)
{
    if (p->received == 0 || us < p->min_us)
        p->min_us = us;
    if (us > p->max_us)
        p->max_us = us;
    p->sum_us += us;
    p->sum_of_squares += (double)us * (double)us;
    p->received++;
}

/* What is wrong with a reply's data, in words for its line. */
static const char *data_fault(const struct ping *p, size_t length)
{
    size_t expected = HEADER_BYTES + p->config.data_bytes;
    if (length < expected)
        return " (truncated)";
    if (length > expected ||
        memcmp(p->reply + HEADER_BYTES, p->message + HEADER_BYTES, p->config.data_bytes) != 0)
        return " (wrong data)";
    return "";
}

/* A reply of `length` bytes has come. */
static void take_reply(struct ping *p, size_t length, const struct arrival *a)
{
    uint64_t now_ns = p->env->now(p->env);
    if (length < HEADER_BYTES || p->reply[0] != TYPE_REPLY)
        return;
    uint16_t sequence = sequence_of(p);
    struct request *request = &p->requests[sequence % REMEMBERED];
    bool known = request->sent_ns > 0 && request->sequence == sequence;
    bool first = known && request->waits;
    const char *fault = data_fault(p, length);
    char from[ADDRESS_BYTES], ttl[16] = "", time[64] = "", trip[32];
    if (a->ttl > 0)
        snprintf(ttl, sizeof(ttl), " ttl=%d", a->ttl);
    if (known) {
        uint64_t us = (now_ns - request->sent_ns) / US_NS;
        format_trip(trip, sizeof(trip), us);
        snprintf(time, sizeof(time), " time=%s ms", trip);
        if (first)
            add_trip(p, us);
        request->waits = false;
    }
    p->duplicates += !first;
    p->corrupted += *fault != '\0';
    say_line(p, "%zu bytes from %s: icmp_seq=%u%s%s%s%s", length, address_text(&a->from, from),
             sequence, ttl, time, first ? "" : " (DUP!)", fault);
}

static void socket_ready(void *argument, int fd, short revents)
{
    struct ping *p = argument;
    struct arrival a;
    ssize_t got;
    (void)fd, (void)revents;
    while ((got = receive(p, MSG_ERRQUEUE, &a)) >= 0)
        take_failure(p, (size_t)got, &a);
    for (;;) {
        got = receive(p, 0, &a);
        if (got >= 0)
            take_reply(p, (size_t)got, &a);
        else if (errno == EAGAIN)
            break;
        else
            fail(p, errno);
    }
    if (all_sent(p) && p->received + p->errors >= p->config.count)
        end(p);
}

/* ---- Begin, statistics, end ------------------------------------------------------------------ */

static int set_option(struct ping *p, int name, int value)
{
    return strait_setsockopt(p->stack, p->fd, IPPROTO_IP, name, &value, sizeof(value));
}

static int open_socket(struct ping *p)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = p->config.to};
    p->fd = strait_socket(p->stack, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, IPPROTO_ICMP);
    if (p->fd < 0)
        return -1;
    if (set_option(p, IP_RECVTTL, 1) < 0 || set_option(p, IP_RECVERR, 1) < 0 ||
        (p->config.ttl > 0 && set_option(p, IP_TTL, p->config.ttl) < 0))
        return -1;
    /* Connected, it hears of nobody else. */
    if (strait_connect(p->stack, p->fd, (struct sockaddr *)&to, sizeof(to)) < 0)
        return -1;
    return strait_watch(p->stack, p->fd, POLLIN, socket_ready, p);
}

struct ping *ping_start(struct strait *stack, struct strait_env *env,
                        const struct ping_config *config)
{
    struct ping *p = calloc(1, sizeof(*p));
    if (!p)
        return NULL;
    p->config = *config;
    p->stack = stack;
    p->env = env;
    p->timer.expired = timer_expired;
    p->message[0] = TYPE_REQUEST;
    for (size_t i = 0; i < config->data_bytes; i++)
        p->message[HEADER_BYTES + i] = (uint8_t)i;
    if (open_socket(p) < 0) {
        int error = errno;
        ping_free(p);
        errno = error;
        return NULL;
    }
    struct sockaddr_in to = {.sin_addr = config->to};
    char text[ADDRESS_BYTES];
    say_line(p, "PING %s (%s) %zu(%zu) bytes of data.", config->name, address_text(&to, text),
             config->data_bytes, config->data_bytes + HEADER_BYTES + IP_BYTES);
    p->started_ns = p->due_ns = env->now(env);
    env->timer_start(env, &p->timer, p->started_ns);
    return p;
}

/* The integer square root, by Newton's method. */
static uint64_t square_root(uint64_t n)
{
    uint64_t root = n, next = (n + 1) / 2;
    while (next < root) {
        root = next;
        next = (root + n / root) / 2;
    }
    return root;
}

static void say_trips(const struct ping *p)
{
    double mean = (double)p->sum_us / p->received;
    double variance = p->sum_of_squares / p->received - mean * mean;
    uint64_t deviation = variance > 0 ? square_root((uint64_t)variance) : 0;
    const uint64_t us[] = {p->min_us, p->sum_us / p->received, p->max_us, deviation};
    char text[4][32];
    for (int i = 0; i < 4; i++)
        snprintf(text[i], sizeof(text[i]), "%llu.%03u", (unsigned long long)(us[i] / 1000),
                 (unsigned)(us[i] % 1000));
    say_line(p, "rtt min/avg/max/mdev = %s/%s/%s/%s ms", text[0], text[1], text[2], text[3]);
}

/* Adds ", +N WORD" to the line if there is any. */
static size_t append_count(char *line, size_t length, uint32_t count, const char *word)
{
    if (count == 0)
        return length;
    return length + (size_t)snprintf(line + length, LINE_BYTES - length, ", +%u %s", count, word);
}

void ping_summary(const struct ping *p)
{
    char line[LINE_BYTES];
    uint64_t time_ms = (p->env->now(p->env) - p->started_ns) / MS_NS;
    size_t length = (size_t)snprintf(line, sizeof(line), "%u packets transmitted, %u received",
                                     p->sent, p->received);
    length = append_count(line, length, p->duplicates, "duplicates");
    length = append_count(line, length, p->corrupted, "corrupted");
    length = append_count(line, length, p->errors, "errors");
    if (p->sent > 0)
        snprintf(line + length, sizeof(line) - length, ", %g%% packet loss, time %llums",
                 (p->sent - p->received) * 100.0 / p->sent, (unsigned long long)time_ms);
    say_line(p, "%s", "");
    say_line(p, "--- %s ping statistics ---", p->config.name);
    say_line(p, "%s", line);
    if (p->received > 0)
        say_trips(p);
}

bool ping_heard(const struct ping *p)
{
    return p->received > 0;
}

void ping_free(struct ping *p)
{
    if (!p)
        return;
    p->env->timer_stop(p->env, &p->timer);
    if (p->fd >= 0)
        strait_close(p->stack, p->fd);
    free(p);
}
