/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* strerrorname_np, POLLRDHUP */
#include "trial.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../tcp/notation.h"
#include "base/check.h"
#include "base/seq.h"

#define FIRST_PEER  0x0a090100u /* 10.9.1.0 */
#define FIRST_PORT  10000
#define PEER_PORT   40000
#define PEER_ISS    1000000u
#define PEER_TS     1000u
#define PEER_WINDOW 65535
#define APP_BYTES   65536

/* ---- Writing down -------------------------------------------------------------------------- */

static void append(char *text, size_t bytes, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void append(char *text, size_t bytes, const char *format, ...)
{
    size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text + used, bytes - used, format, arguments);
    va_end(arguments);
    CHECK(length >= 0 && (size_t)length < bytes - used);
}

static void begin_step(struct trial *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void begin_step(struct trial *t, const char *format, ...)
{
    CHECK(t->step_count < TRIAL_STEPS);
    struct step *s = &t->steps[t->step_count++];
    if (t->flow != &t->flows[0])
        append(s->what, sizeof s->what, "[%td] ", t->flow - t->flows);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(s->what + strlen(s->what), sizeof s->what - strlen(s->what), format, arguments);
    va_end(arguments);
}

static void note(struct trial *t, const char *text)
{
    struct step *s = &t->steps[t->step_count - 1];
    append(s->outcome, sizeof s->outcome, "%s%s", s->outcome[0] ? " | " : "", text);
}

static void end_step(struct trial *t, unsigned ms)
{
    t->subject->run(t->subject, ms);
    t->now_ms += ms;
}

/* ---- What the subject sends ---------------------------------------------------------------- */

static const struct option *find_option(const struct packet *p, unsigned kind)
{
    for (unsigned i = 0; i < p->options; i++)
        if (p->option[i].kind == kind)
            return &p->option[i];
    return NULL;
}

static struct flow *flow_of(struct trial *t, const struct packet *p)
{
    if (p->source_port != t->port)
        return NULL;
    for (unsigned i = 0; i < TRIAL_FLOWS; i++)
        if (t->flows[i].peer_port == p->destination_port)
            return &t->flows[i];
    return NULL;
}

static void learn(struct flow *f, const struct packet *p)
{
    const struct option *ts = find_option(p, OPTION_TS);
    if (p->flags & TCP_SYN && !(f->iss_known && p->seq == f->iss)) { /* a connection begins */
        f->iss = p->seq;
        f->iss_known = true;
        f->ts_sent = ts;
        f->end = 0;
    }
    if (ts)
        f->ts_last = ts->value[0];
    if (p->flags & TCP_RST)
        return;
    bool syn = p->flags & TCP_SYN, fin = p->flags & TCP_FIN;
    f->end = seq_max(f->end, p->seq - f->iss + syn + (uint32_t)p->payload_bytes + fin);
}

/* In the order of their kinds, which is no matter of the RFCs, and without values. */
static void write_options(const struct flow *f, const struct packet *p, char *text, size_t bytes)
{
    static const struct {
        unsigned kind;
        const char *name;
    } known[] = {{OPTION_MSS, "mss"},
                 {OPTION_WSCALE, "wscale"},
                 {OPTION_SACK_OK, "sackOK"},
                 {OPTION_TS, "TS"}};
    char list[200] = "";
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
        if (find_option(p, known[i].kind))
            append(list, sizeof list, "%s%s", list[0] ? "," : "", known[i].name);
    const struct option *sack = find_option(p, OPTION_SACK);
    for (unsigned i = 0; sack && i + 1 < sack->values; i += 2)
        append(list, sizeof list, "%s%s%u:%u", list[0] && i == 0 ? "," : "", i ? " " : "sack ",
               sack->value[i] - f->peer_iss, sack->value[i + 1] - f->peer_iss);
    if (list[0])
        append(text, bytes, " <%s>", list);
}

static void write_segment(const struct trial *t, const struct flow *f, const struct packet *p,
                          char *text, size_t bytes)
{
    static const char letters[] = "FSRP.UEW"; /* bit by bit */
    if (f != &t->flows[0])
        append(text, bytes, "[%td] ", f - t->flows);
    for (unsigned i = 0; letters[i]; i++)
        if (p->flags & 1u << i && !(t->hides_push && letters[i] == 'P'))
            append(text, bytes, "%c", letters[i]);
    if (!p->flags)
        append(text, bytes, "-");
    /* A RST in answer to a segment without ACK has the sequence number 0 (RFC 9293 3.10.7.1). */
    bool absolute = p->flags & TCP_RST && p->flags & TCP_ACK && p->seq == 0;
    uint32_t seq = absolute ? 0 : p->seq - f->iss;
    append(text, bytes, " %u:%u(%zu)", seq, seq + (uint32_t)p->payload_bytes, p->payload_bytes);
    if (p->flags & TCP_ACK)
        append(text, bytes, " ack %u", p->ack - f->peer_iss);
    if (p->flags & TCP_URG)
        append(text, bytes, " urg %u", p->urgent);
    write_options(f, p, text, bytes);

    uint32_t position = seq - (p->flags & TCP_SYN ? 0 : 1);
    if (stream_check(STREAM_STRAIT, position, p->payload, p->payload_bytes) < p->payload_bytes)
        append(text, bytes, " with wrong bytes");
}

static void subject_sends(void *context, const uint8_t *bytes, size_t length)
{
    struct trial *t = context;
    const struct strait_offload none = {0};
    char text[400] = "";
    struct packet p;

    if (length == 0 || bytes[0] >> 4 != 4)
        return; /* the kernel looks for IPv6 neighbours */
    packet_parse(&p, bytes, length, &none);
    if (p.source != SUBJECT_ADDRESS || p.destination != t->peer_address)
        return;
    if (p.protocol == IPPROTO_ICMP) {
        append(text, sizeof text, "icmp %u/%u", p.type, p.code);
    } else {
        struct flow *f = p.protocol == IPPROTO_TCP ? flow_of(t, &p) : NULL;
        if (!f)
            return; /* of a trial that is over */
        learn(f, &p);
        write_segment(t, f, &p, text, sizeof text);
        t->last_sent_bytes = length < sizeof t->last_sent ? length : sizeof t->last_sent;
        memcpy(t->last_sent, bytes, t->last_sent_bytes);
    }
    if (p.problem[0])
        append(text, sizeof text, " !! %s", p.problem);
    note(t, text);
}

/* ---- The peer ------------------------------------------------------------------------------ */

static void add_timestamp(const struct trial *t, struct packet *p)
{
    p->option[p->options++] = (struct option){
        .kind = OPTION_TS,
        .values = 2,
        .value = {PEER_TS + t->now_ms},
    };
}

/* What a line means for the current flow. */
static struct packet absolute(struct trial *t, const struct pattern *line)
{
    struct flow *f = t->flow;
    struct packet p = line->packet;
    if (line->open & FIELD_BIT(FIELD_WINDOW))
        p.window = PEER_WINDOW;
    if (line->open & FIELD_BIT(FIELD_OPTIONS) && f->ts_sent && f->ts_offered)
        add_timestamp(t, &p);
    if (p.flags & TCP_SYN)
        f->ts_offered = find_option(&p, OPTION_TS);
    p.seq += f->peer_iss;
    p.ack += p.flags & TCP_ACK ? f->iss : 0;
    for (unsigned i = 0; i < p.options; i++) {
        struct option *o = &p.option[i];
        if (o->kind == OPTION_TS && p.flags & TCP_ACK)
            o->value[1] = f->ts_last;
        for (unsigned j = 0; o->kind == OPTION_SACK && j < o->values; j++)
            o->value[j] += f->iss;
    }
    p.source = t->peer_address;
    p.destination = SUBJECT_ADDRESS;
    p.source_port = f->peer_port;
    p.destination_port = t->port;
    p.ttl = 64;
    return p;
}

static void inject(struct trial *t, const struct packet *p)
{
    uint8_t bytes[SUBJECT_MTU];
    size_t length = packet_build(p, bytes, sizeof bytes);
    CHECK(length > 0);
    t->subject->inject(t->subject, bytes, length);
}

static void peer_line(struct trial *t, unsigned ms, const char *text)
{
    struct pattern line;
    char error[128];
    if (!notation_parse(text, &line, error, sizeof error)) {
        fprintf(stderr, "in the line \"%s\": %s\n", text, error);
        abort();
    }
    begin_step(t, "peer: %s", text);
    struct packet p = absolute(t, &line);
    uint8_t payload[SUBJECT_MTU];
    CHECK(p.payload_bytes <= sizeof payload);
    uint32_t position = line.packet.seq - (p.flags & TCP_SYN ? 0 : 1);
    stream_fill(STREAM_REMOTE, position, payload, p.payload_bytes);
    p.payload = payload;
    inject(t, &p);
    end_step(t, ms);
}

void peer(struct trial *t, const char *format, ...)
{
    char text[WHAT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    peer_line(t, STEP_MS, text);
}

void peer_then_rest(struct trial *t, const char *format, ...)
{
    char text[WHAT_BYTES];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    peer_line(t, REST_MS, text);
}

void peer_icmp(struct trial *t, uint8_t type, uint8_t code, uint16_t mtu)
{
    struct packet p = {
        .protocol = IPPROTO_ICMP,
        .ttl = 64,
        .source = t->peer_address,
        .destination = SUBJECT_ADDRESS,
        .type = type,
        .code = code,
        .sequence = mtu,
        .payload = t->last_sent,
        .payload_bytes = t->last_sent_bytes,
    };
    begin_step(t, "peer: icmp %u/%u", type, code);
    inject(t, &p);
    end_step(t, STEP_MS);
}

void rest(struct trial *t, unsigned ms)
{
    begin_step(t, "%u ms pass", ms);
    end_step(t, ms);
}

void on_flow(struct trial *t, unsigned index)
{
    CHECK(index < TRIAL_FLOWS);
    t->flow = &t->flows[index];
}

void next_connection(struct trial *t, uint32_t above)
{
    t->flow->peer_iss += above;
    t->flow->iss_known = false;
    t->flow->sent = t->flow->received = 0;
    t->flow->fd = -1;
}

uint32_t peer_next(const struct trial *t)
{
    return t->flow->next;
}

uint32_t peer_acks(const struct trial *t)
{
    return t->flow->end;
}

/* ---- The application ----------------------------------------------------------------------- */

/* Puts the result of the step's call before the packets that were sent meanwhile. */
static void note_first(struct trial *t, const char *text)
{
    struct step *s = &t->steps[t->step_count - 1];
    struct step packets = *s;
    s->outcome[0] = '\0';
    note(t, text);
    if (packets.outcome[0])
        note(t, packets.outcome);
}

/* Ends a step that was a call: its result (a descriptor is a mere 0), or the name of its errno. */
static void end_call(struct trial *t, long result, bool descriptor)
{
    char text[32];
    if (result < 0)
        snprintf(text, sizeof text, "%s", strerrorname_np(errno));
    else
        snprintf(text, sizeof text, "= %ld", descriptor ? 0 : result);
    note_first(t, text);
    end_step(t, STEP_MS);
}

static struct sockaddr_in address_of(uint32_t address, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port)};
}

/* A socket at the subject's port; it is an error of the script if there is none to be had. */
static int bound_socket(struct trial *t)
{
    struct subject *s = t->subject;
    struct sockaddr_in at = address_of(SUBJECT_ADDRESS, t->port);
    int on = 1, fd = s->socket(s);
    CHECK(fd >= 0);
    CHECK(s->setsockopt(s, fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    CHECK(s->bind(s, fd, (struct sockaddr *)&at, sizeof at) == 0);
    return fd;
}

void app_listen(struct trial *t, int backlog)
{
    begin_step(t, "app: listen %d", backlog);
    t->listener = bound_socket(t);
    end_call(t, t->subject->listen(t->subject, t->listener, backlog), false);
}

void app_accept(struct trial *t)
{
    begin_step(t, "app: accept");
    t->flow->fd = t->subject->accept(t->subject, t->listener);
    end_call(t, t->flow->fd, true);
}

void app_socket(struct trial *t)
{
    begin_step(t, "app: socket");
    t->flow->fd = bound_socket(t);
    end_call(t, t->flow->fd, true);
}

void app_connect(struct trial *t)
{
    struct sockaddr_in to = address_of(t->peer_address, t->flow->peer_port);
    if (t->flow->fd < 0)
        app_socket(t);
    begin_step(t, "app: connect");
    end_call(t, t->subject->connect(t->subject, t->flow->fd, (struct sockaddr *)&to, sizeof to),
             false);
}

static void send_stream(struct trial *t, size_t bytes, int flags)
{
    uint8_t buffer[APP_BYTES];
    CHECK(bytes <= sizeof buffer);
    stream_fill(STREAM_STRAIT, t->flow->sent, buffer, bytes);
    ssize_t taken = t->subject->send(t->subject, t->flow->fd, buffer, bytes, flags);
    t->flow->sent += taken > 0 ? (uint32_t)taken : 0;
    end_call(t, taken, false);
}

void app_send(struct trial *t, size_t bytes)
{
    begin_step(t, "app: send %zu", bytes);
    send_stream(t, bytes, 0);
}

void app_send_more(struct trial *t, size_t bytes)
{
    begin_step(t, "app: send %zu with MSG_MORE", bytes);
    send_stream(t, bytes, MSG_MORE);
}

void app_recv(struct trial *t, size_t bytes)
{
    uint8_t buffer[APP_BYTES];
    CHECK(bytes <= sizeof buffer);
    begin_step(t, "app: recv %zu", bytes);
    ssize_t taken = t->subject->recv(t->subject, t->flow->fd, buffer, bytes, 0);
    int error = errno;
    if (taken > 0 &&
        stream_check(STREAM_REMOTE, t->flow->received, buffer, (size_t)taken) < (size_t)taken)
        note(t, "wrong bytes");
    t->flow->received += taken > 0 ? (uint32_t)taken : 0;
    errno = error;
    end_call(t, taken, false);
}

void app_shutdown(struct trial *t, int how)
{
    static const char *const names[] = {[SHUT_RD] = "RD", [SHUT_WR] = "WR", [SHUT_RDWR] = "RDWR"};
    begin_step(t, "app: shutdown %s", names[how]);
    end_call(t, t->subject->shutdown(t->subject, t->flow->fd, how), false);
}

void app_close(struct trial *t)
{
    begin_step(t, "app: close");
    end_call(t, t->subject->close(t->subject, t->flow->fd), false);
    t->flow->fd = -1;
}

void app_close_listener(struct trial *t)
{
    begin_step(t, "app: close the listener");
    end_call(t, t->subject->close(t->subject, t->listener), false);
    t->listener = -1;
}

void app_linger(struct trial *t, int seconds)
{
    struct linger linger = {.l_onoff = 1, .l_linger = seconds};
    begin_step(t, "app: SO_LINGER %d", seconds);
    end_call(t,
             t->subject->setsockopt(t->subject, t->flow->fd, SOL_SOCKET, SO_LINGER, &linger,
                                    sizeof linger),
             false);
}

void trial_set(struct trial *t, int level, int option, const char *name, int value)
{
    int fd = t->flow->fd >= 0 ? t->flow->fd : t->listener;
    begin_step(t, "app: %s %d", name, value);
    end_call(t, t->subject->setsockopt(t->subject, fd, level, option, &value, sizeof value), false);
}

void app_error(struct trial *t)
{
    int error = 0;
    socklen_t bytes = sizeof error;
    begin_step(t, "app: SO_ERROR");
    int result =
        t->subject->getsockopt(t->subject, t->flow->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
    note(t, strerrorname_np(result < 0 ? errno : error));
    end_step(t, STEP_MS);
}

void app_events(struct trial *t)
{
    static const struct {
        short event;
        const char *name;
    } all[] = {
        {POLLIN, "IN"}, {POLLOUT, "OUT"}, {POLLRDHUP, "RDHUP"}, {POLLHUP, "HUP"}, {POLLERR, "ERR"}};
    char text[40] = "";
    begin_step(t, "app: poll");
    short events = t->subject->events(t->subject, t->flow->fd, POLLIN | POLLOUT | POLLRDHUP);
    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++)
        if (events & all[i].event)
            append(text, sizeof text, "%s%s", text[0] ? " " : "", all[i].name);
    note(t, text[0] ? text : "no events");
    end_step(t, STEP_MS);
}

/* ---- States -------------------------------------------------------------------------------- */

void syn_sent(struct trial *t)
{
    app_connect(t);
}

void syn_received(struct trial *t)
{
    app_listen(t, 8);
    peer(t, "S 0:0(0) <mss 1460>");
    t->flow->next = 1;
}

void established(struct trial *t)
{
    syn_received(t);
    peer(t, ". 1:1(0) ack 1");
    app_accept(t);
}

void fin_wait_1(struct trial *t)
{
    established(t);
    app_shutdown(t, SHUT_WR);
}

void fin_wait_2(struct trial *t)
{
    fin_wait_1(t);
    peer(t, ". 1:1(0) ack 2");
}

void closing(struct trial *t)
{
    fin_wait_1(t);
    peer(t, "F. 1:1(0) ack 1");
    t->flow->next = 2;
}

void time_wait(struct trial *t)
{
    fin_wait_2(t);
    peer(t, "F. 1:1(0) ack 2");
    t->flow->next = 2;
}

void close_wait(struct trial *t)
{
    established(t);
    peer_then_rest(t, "F. 1:1(0) ack 1");
    t->flow->next = 2;
}

void last_ack(struct trial *t)
{
    close_wait(t);
    app_shutdown(t, SHUT_WR);
}

/* ---- A trial ------------------------------------------------------------------------------- */

struct trial *trial_run(const struct script *script, struct subject *subject, unsigned number)
{
    struct trial *t = calloc(1, sizeof *t);
    CHECK(t);
    t->subject = subject;
    t->peer_address = FIRST_PEER + number;
    t->port = (uint16_t)(FIRST_PORT + number);
    t->listener = -1;
    t->flow = &t->flows[0];
    for (unsigned i = 0; i < TRIAL_FLOWS; i++) {
        t->flows[i].peer_port = (uint16_t)(PEER_PORT + i);
        t->flows[i].peer_iss = PEER_ISS;
        t->flows[i].fd = -1;
    }
    subject->renew(subject);
    subject->sent = subject_sends;
    subject->context = t;
    if (script->state)
        script->state(t);
    script->run(t);
    return t;
}
