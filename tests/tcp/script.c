/* SPDX-License-Identifier: MIT */
#include "script.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/seq.h"

#undef recv

/* A turn that never ends is a bug of Strait; one that is this long has none. */
#define TURNS_MAX 1000

struct sent {
    struct sent *next;
    struct packet packet;
    struct flow *flow; /* NULL if its ports belong to none */
    size_t length;
    uint8_t bytes[];
};

/* ---- Relative numbers ---------------------------------------------------------------------- */

/* The packet with numbers as its line in the notation has them, whichever way it goes. */

static struct packet relative(const struct flow *f, const struct packet *p, bool from_strait)
{
    struct packet r = *p;
    if (!f || p->protocol != IPPROTO_TCP)
        return r;
    uint32_t own = from_strait ? f->local_iss : f->remote_iss;
    uint32_t other = from_strait ? f->remote_iss : f->local_iss;
    /* A RST in answer to a segment without ACK has the sequence number 0 (RFC 9293 3.10.7.1). */
    bool absolute = from_strait && p->flags & TCP_RST && p->flags & TCP_ACK && p->seq == 0;
    r.seq -= absolute ? 0 : own;
    r.ack -= p->flags & TCP_ACK ? other : 0;
    for (unsigned i = 0; i < r.options; i++) {
        struct option *o = &r.option[i];
        if (o->kind == OPTION_TS && from_strait)
            o->value[0] -= f->local_ts;
        else if (o->kind == OPTION_TS && o->value[1])
            o->value[1] -= f->local_ts;
        for (unsigned j = 0; o->kind == OPTION_SACK && j < o->values; j++)
            o->value[j] -= other;
    }
    return r;
}

/* The packet from the remote that a line means. */
static struct packet absolute_from_remote(const struct flow *f, const struct packet *line)
{
    struct packet p = *line;
    if (p.protocol != IPPROTO_TCP)
        return p;
    p.seq += f->remote_iss;
    p.ack += p.flags & TCP_ACK ? f->local_iss : 0;
    for (unsigned i = 0; i < p.options; i++) {
        struct option *o = &p.option[i];
        if (o->kind == OPTION_TS && p.flags & TCP_ACK)
            o->value[1] += f->local_ts;
        for (unsigned j = 0; o->kind == OPTION_SACK && j < o->values; j++)
            o->value[j] += f->local_iss;
    }
    return p;
}

static const struct option *find_option(const struct packet *p, unsigned kind)
{
    for (unsigned i = 0; i < p->options; i++)
        if (p->option[i].kind == kind)
            return &p->option[i];
    return NULL;
}

/* ---- Reports ------------------------------------------------------------------------------- */

static void trace(struct script *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void trace(struct script *s, const char *format, ...)
{
    char *line = s->trace[s->traced++ % SCRIPT_TRACE];
    int used = snprintf(line, LINE_BYTES, "%12.6f ", (double)(s->now_ns - START_NS) / 1e9);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + used, LINE_BYTES - (size_t)used, format, arguments);
    va_end(arguments);
}

static void trace_packet(struct script *s, const struct flow *f, const struct packet *p,
                         bool from_strait)
{
    struct pattern line = {.packet = relative(f, p, from_strait)};
    if (p->protocol == IPPROTO_TCP && f == &s->flows[0])
        line.open = FIELD_BIT(FIELD_PORTS);
    if (p->protocol == IPPROTO_ICMP && p->type != 0 && p->type != 8)
        line.open = FIELD_BIT(FIELD_ACK);
    char text[LINE_BYTES];
    notation_format(&line, text);
    trace(s, "%c %s%s%s", from_strait ? '>' : '<', text, p->problem[0] ? " !! " : "", p->problem);
}

static void default_failed(struct script *s, struct place place, const char *report)
{
    s->over = true;
    fputs(report, stderr);
    fflush(stderr);
    _fail(place.file, place.line);
}

_Noreturn void script_fail(struct script *s, struct place place, const char *format, ...)
{
    char report[LINE_BYTES * (SCRIPT_TRACE + 6)];
    size_t used = (size_t)snprintf(report, sizeof report, "%s:%d: at %.6f s: ", place.file,
                                   place.line, (double)(s->now_ns - START_NS) / 1e9);
    va_list arguments;
    va_start(arguments, format);
    used += (size_t)vsnprintf(report + used, LINE_BYTES * 5, format, arguments);
    va_end(arguments);
    used += (size_t)snprintf(report + used, LINE_BYTES,
                             "\n  trace (< to Strait, > from Strait, seconds):\n");
    unsigned first = s->traced > SCRIPT_TRACE ? s->traced - SCRIPT_TRACE : 0;
    for (unsigned i = first; i < s->traced; i++)
        used += (size_t)snprintf(report + used, LINE_BYTES, "  %.*s\n", LINE_BYTES - 4,
                                 s->trace[i % SCRIPT_TRACE]);
    s->failed(s, place, report);
    abort();
}

/* ---- What Strait sends --------------------------------------------------------------------- */

/* The flow of a packet from Strait; a flow that has no local port yet gets it from a SYN. */
static struct flow *flow_of(struct script *s, const struct packet *p)
{
    for (unsigned i = 0; i < SCRIPT_FLOWS; i++) {
        struct flow *f = &s->flows[i];
        if (f->remote_port != p->destination_port)
            continue;
        if (f->local_port == 0 && p->flags & TCP_SYN)
            f->local_port = p->source_port;
        if (f->local_port == p->source_port)
            return f;
    }
    return NULL;
}

static void learn_from_strait(struct script *s, struct flow *f, const struct packet *p)
{
    const struct option *ts = find_option(p, OPTION_TS);
    if (p->flags & TCP_SYN) {
        const struct option *scale = find_option(p, OPTION_WSCALE);
        f->local_scale = scale ? (int)scale->value[0] : NO_WINDOW_SCALING;
        f->local_ts_offered = ts;
    }
    if (p->flags & TCP_SYN && !f->local_iss_known) {
        f->local_iss = p->seq;
        f->local_iss_known = true;
    }
    if (ts && !f->local_ts_known) {
        f->local_ts = ts->value[0] - (uint32_t)script_now_ms(s);
        f->local_ts_known = true;
    }
    if (ts)
        f->local_ts_last = ts->value[0];
}

static void examine_payload(const struct flow *f, struct packet *p)
{
    uint32_t position = p->seq - f->local_iss - (p->flags & TCP_SYN ? 0 : 1);
    size_t good = stream_check(STREAM_STRAIT, position, p->payload, p->payload_bytes);
    if (good < p->payload_bytes)
        packet_problem(p, "byte %zu of the payload is not that of the stream", good);
}

/* RFC 9293 3.8.6: a receiver SHOULD NOT shrink its window. RFC 7323 2.4: scaling may, by rounding.
 */
static void examine_window(struct flow *f, struct packet *p)
{
    bool scaled = f->local_scale >= 0 && f->remote_scale >= 0 && !(p->flags & TCP_SYN);
    unsigned scale = scaled ? (unsigned)f->local_scale : 0;
    uint32_t edge = p->ack + ((uint32_t)p->window << scale);
    if (f->edge_known && seq_lt(edge + (1u << scale) - 1, f->edge))
        packet_problem(p, "the right edge of the window moves left by %u", f->edge - edge);
    if (!f->edge_known || seq_gt(edge, f->edge))
        f->edge = edge;
    f->edge_known = true;
}

static void examine_segment(struct script *s, struct flow *f, struct packet *p)
{
    learn_from_strait(s, f, p);
    examine_payload(f, p);
    if (p->flags & TCP_RST)
        return;
    if (f->local_ts_offered && f->remote_ts_offered && !find_option(p, OPTION_TS))
        packet_problem(p, "no timestamp (RFC 7323 3.2)");
    if (p->flags & TCP_ACK && !f->remote_fin)
        examine_window(f, p);
}

static void examine_offload(const struct script *s, struct packet *p, size_t length)
{
    size_t payload = p->payload_bytes;
    const struct strait_offload *o = &p->offload;
    if (o->checksum == STRAIT_CHECKSUM_PARTIAL &&
        !(s->link.features & (STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4)))
        packet_problem(p, "a partial checksum on a link without checksum offload");
    if (o->gso == STRAIT_GSO_NONE) {
        if (length > s->link.mtu)
            packet_problem(p, "%zu bytes on a link with an MTU of %u", length, s->link.mtu);
        return;
    }
    if (o->gso != STRAIT_GSO_TCP4 || !(s->link.features & STRAIT_LINK_TSO4))
        packet_problem(p, "a super-packet of kind %u on a link without it", o->gso);
    if (o->checksum != STRAIT_CHECKSUM_PARTIAL)
        packet_problem(p, "a super-packet without a partial checksum");
    if (o->header_bytes != length - payload)
        packet_problem(p, "header_bytes %u of %zu", o->header_bytes, length - payload);
    if (o->gso_size == 0 || o->gso_size >= payload)
        packet_problem(p, "gso_size %u for %zu bytes of payload", o->gso_size, payload);
    if (o->gso_size + length - payload > s->link.mtu)
        packet_problem(p, "gso_size %u is above the MTU %u", o->gso_size, s->link.mtu);
}

/* Takes down a packet that Strait sends; what is wrong with it will be told by the next step. */
static int link_send(struct strait_link *link, const struct iovec *parts, int count,
                     const struct strait_offload *offload)
{
    struct script *s = (struct script *)((char *)link - offsetof(struct script, link));
    size_t length = 0;
    for (int i = 0; i < count; i++)
        length += parts[i].iov_len;
    struct sent *sent = calloc(1, sizeof *sent + length);
    if (!sent)
        abort();
    for (int i = 0; i < count; i++) {
        memcpy(sent->bytes + sent->length, parts[i].iov_base, parts[i].iov_len);
        sent->length += parts[i].iov_len;
    }
    struct packet *p = &sent->packet;
    const struct strait_offload none = {0};
    packet_parse(p, sent->bytes, length, offload ? offload : &none);
    p->time_ns = s->now_ns;
    if (p->source != LOCAL_ADDRESS || p->destination != REMOTE_ADDRESS)
        packet_problem(p, "from %08x to %08x", p->source, p->destination);
    examine_offload(s, p, length);
    if (p->protocol == IPPROTO_TCP && (sent->flow = flow_of(s, p)))
        examine_segment(s, sent->flow, p);
    if (p->protocol == IPPROTO_UDP &&
        stream_check(STREAM_STRAIT, 0, p->payload, p->payload_bytes) != p->payload_bytes)
        packet_problem(p, "the payload is not that of the stream");
    trace_packet(s, sent->flow, p, true);

    *s->last = sent;
    s->last = &sent->next;
    return 0;
}

/* Takes the first packet of the queue; it is kept until the next one is taken. */
static struct sent *take_sent(struct script *s)
{
    struct sent *sent = s->first;
    s->first = sent->next;
    if (!s->first)
        s->last = &s->first;
    free(s->matched);
    s->matched = sent;
    return sent;
}

void script_expect_nothing(struct script *s, struct place place)
{
    s->last_step = place;
    if (s->batch || !s->first)
        return;
    char line[LINE_BYTES];
    struct pattern sent = {.packet = relative(s->first->flow, &s->first->packet, true)};
    notation_format(&sent, line);
    const char *problem = s->first->packet.problem;
    script_fail(s, place, "Strait has sent what nothing expects\n    actual: %s%s%s", line,
                problem[0] ? "\n   problem: " : "", problem);
}

unsigned script_take_all(struct script *s, struct place place)
{
    unsigned packets = 0;
    for (; s->first; packets++) {
        const struct packet *p = &take_sent(s)->packet;
        if (p->problem[0])
            script_fail(s, place, "a packet is wrong: %s", p->problem);
    }
    return packets;
}

const uint8_t *script_bytes(const struct script *s, const struct packet *p, size_t *length)
{
    if (!s->matched || p != &s->matched->packet)
        abort();
    *length = s->matched->length;
    return s->matched->bytes;
}

/* ---- Time ---------------------------------------------------------------------------------- */

/* The driver's turn, until there is nothing left to do at this time. */
static void turn(struct script *s, struct place place)
{
    for (int turns = 0; turns < TURNS_MAX; turns++) {
        strait_dispatch(s->stack);
        s->next_ns = strait_advance(s->stack, s->now_ns);
        if (s->next_ns > s->now_ns)
            return;
    }
    script_fail(s, place, "Strait does not come to rest");
}

void script_step_begins(struct script *s, struct place place, const char *format, ...)
{
    script_expect_nothing(s, place);
    char what[LINE_BYTES / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    trace(s, "  app: %s", what);
}

void script_step_ends(struct script *s, struct place place)
{
    if (!s->batch)
        turn(s, place);
}

/* Time passes to `until_ns`, or to the first packet that is sent if that is asked for. */
static void run(struct script *s, struct place place, uint64_t until_ns, bool to_packet)
{
    while (s->next_ns <= until_ns) {
        s->now_ns = s->next_ns;
        turn(s, place);
        if (to_packet && s->first)
            return;
    }
    s->now_ns = until_ns;
    turn(s, place);
}

uint64_t script_now_ms(const struct script *s)
{
    return (s->now_ns - START_NS) / MS;
}

uint32_t script_remote_ts(const struct script *s)
{
    return REMOTE_TS + (uint32_t)script_now_ms(s);
}

void script_at(struct script *s, struct place place, uint64_t ms)
{
    uint64_t until_ns = START_NS + ms * MS;
    if (until_ns < s->now_ns)
        script_fail(s, place, "%llu ms are over", (unsigned long long)ms);
    script_expect_nothing(s, place);
    run(s, place, until_ns, false);
}

void script_after(struct script *s, struct place place, uint64_t ms)
{
    script_expect_nothing(s, place);
    run(s, place, s->now_ns + ms * MS, false);
}

void script_quiet(struct script *s, struct place place, uint64_t ms)
{
    script_after(s, place, ms);
    script_expect_nothing(s, place);
}

/* ---- Packets in ---------------------------------------------------------------------------- */

static void parse_line(struct script *s, struct place place, struct pattern *pattern,
                       const char *format, va_list arguments)
{
    char line[LINE_BYTES], error[LINE_BYTES];
    vsnprintf(line, sizeof line, format, arguments);
    if (!notation_parse(line, pattern, error, sizeof error))
        script_fail(s, place, "no line of the notation: %s\n  %s", line, error);
}

static void learn_from_remote(struct flow *f, const struct packet *p)
{
    if (p->flags & TCP_SYN) {
        const struct option *scale = find_option(p, OPTION_WSCALE);
        f->remote_scale = scale ? (int)scale->value[0] : NO_WINDOW_SCALING;
        f->remote_ts_offered = find_option(p, OPTION_TS);
    }
    f->remote_fin |= p->flags & TCP_FIN;
}

/* Fills in what a line for an arriving segment may leave out. */
static void complete_segment(struct script *s, struct pattern *line)
{
    struct flow *f = s->flow;
    struct packet *p = &line->packet;
    if (line->open & FIELD_BIT(FIELD_WINDOW))
        p->window = f->remote_window;
    bool timestamps = f->local_ts_offered && f->remote_ts_offered && !(p->flags & TCP_SYN);
    if (line->open & FIELD_BIT(FIELD_OPTIONS) && timestamps) {
        p->options = 3;
        p->option[0].kind = p->option[1].kind = OPTION_NOP;
        p->option[2] = (struct option){.kind = OPTION_TS, .values = 2};
        p->option[2].value[0] = script_remote_ts(s);
        p->option[2].value[1] = f->local_ts_last - f->local_ts;
    }
}

/* Makes the bytes of the packet that a line means and traces it; returns their length. */
static size_t build_line(struct script *s, struct place place, struct pattern *line, uint8_t *bytes)
{
    struct flow *f = s->flow;
    unsigned may_be_open =
        FIELD_BIT(FIELD_PORTS) | FIELD_BIT(FIELD_WINDOW) | FIELD_BIT(FIELD_OPTIONS);
    if (line->packet.protocol == IPPROTO_ICMP)
        may_be_open = FIELD_BIT(FIELD_ACK) | FIELD_BIT(FIELD_RANGE);
    if (line->open & ~may_be_open)
        script_fail(s, place, "a packet that arrives leaves nothing open");
    if (line->packet.protocol == IPPROTO_TCP)
        complete_segment(s, line);

    struct packet p = absolute_from_remote(f, &line->packet);
    p.ttl = 64;
    p.source = REMOTE_ADDRESS;
    p.destination = LOCAL_ADDRESS;
    if (line->open & FIELD_BIT(FIELD_PORTS)) {
        p.source_port = f->remote_port;
        p.destination_port = f->local_port;
    }
    static const uint8_t nothing;
    uint8_t payload[PACKET_BYTES_MAX];
    uint32_t position = 0;
    if (p.protocol == IPPROTO_TCP)
        position = line->packet.seq - (p.flags & TCP_SYN ? 0 : 1);
    stream_fill(STREAM_REMOTE, position, payload, p.payload_bytes);
    p.payload = p.payload_bytes ? payload : &nothing;
    size_t length = packet_build(&p, bytes, PACKET_BYTES_MAX);
    if (length == 0)
        script_fail(s, place, "the packet is too large, or its options are");
    if (p.protocol == IPPROTO_TCP)
        learn_from_remote(f, &p);
    trace_packet(s, f, &p, false);
    return length;
}

static void deliver(struct script *s, struct place place, const void *bytes, size_t length,
                    const struct strait_offload *offload)
{
    script_expect_nothing(s, place);
    /* A copy of the exact size: the sanitizer sees any read behind it. */
    uint8_t *packet = malloc(length ? length : 1);
    if (!packet)
        abort();
    memcpy(packet, bytes, length);
    strait_input(s->stack, &s->link, packet, length, offload, s->now_ns);
    memset(packet, 0xdd, length); /* it was borrowed for the call only */
    free(packet);
    script_step_ends(s, place);
}

void script_recv(struct script *s, struct place place, const char *format, ...)
{
    struct pattern line;
    uint8_t bytes[PACKET_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    parse_line(s, place, &line, format, arguments);
    va_end(arguments);
    script_expect_nothing(s, place);
    size_t length = build_line(s, place, &line, bytes);
    deliver(s, place, bytes, length, NULL);
}

void script_recv_super(struct script *s, struct place place, uint16_t gso_size, const char *format,
                       ...)
{
    struct pattern line;
    uint8_t bytes[PACKET_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    parse_line(s, place, &line, format, arguments);
    va_end(arguments);
    script_expect_nothing(s, place);
    size_t length = build_line(s, place, &line, bytes);
    struct strait_offload offload = {.gso = STRAIT_GSO_TCP4, .gso_size = gso_size};
    packet_make_partial(bytes, length, &offload);
    deliver(s, place, bytes, length, &offload);
}

size_t script_build(struct script *s, struct place place, uint8_t bytes[PACKET_BYTES_MAX],
                    const char *format, ...)
{
    struct pattern line;
    va_list arguments;
    va_start(arguments, format);
    parse_line(s, place, &line, format, arguments);
    va_end(arguments);
    return build_line(s, place, &line, bytes);
}

void script_recv_raw(struct script *s, struct place place, const void *bytes, size_t length)
{
    trace(s, "< %zu bytes by hand", length);
    deliver(s, place, bytes, length, NULL);
}

void script_recv_icmp_error(struct script *s, struct place place, uint8_t type, uint8_t code,
                            const struct packet *sent)
{
    size_t quoted = 0;
    struct packet p = {.protocol = IPPROTO_ICMP, .ttl = 64, .type = type, .code = code};
    p.payload = script_bytes(s, sent, &quoted);
    p.payload_bytes = quoted < 28 ? quoted : 28;
    p.source = REMOTE_ADDRESS;
    p.destination = LOCAL_ADDRESS;
    uint8_t bytes[128];
    size_t length = packet_build(&p, bytes, sizeof bytes);
    trace_packet(s, NULL, &p, false);
    deliver(s, place, bytes, length, NULL);
}

void script_begin_batch(struct script *s, struct place place)
{
    script_expect_nothing(s, place);
    s->batch = true;
}

void script_end_batch(struct script *s, struct place place)
{
    s->batch = false;
    turn(s, place);
}

/* ---- Packets out --------------------------------------------------------------------------- */

/* Takes the next packet and compares it; ends the test if it is another than the line says. */
static const struct packet *match(struct script *s, struct place place, struct pattern *line)
{
    char text[LINE_BYTES * 4];
    if (!s->first) {
        notation_format(line, text);
        script_fail(s, place, "Strait has sent nothing more\n  expected: %s", text);
    }
    struct sent *sent = take_sent(s);
    struct packet actual = relative(sent->flow, &sent->packet, true);
    if (line->packet.protocol == IPPROTO_TCP) {
        line->packet.source_port = s->flow->local_port;
        line->packet.destination_port = s->flow->remote_port;
        line->open &= ~FIELD_BIT(FIELD_PORTS);
    }
    unsigned differing = notation_compare(line, &actual);
    if (!(differing & FIELD_BIT(FIELD_PORTS)))
        line->open |= FIELD_BIT(FIELD_PORTS);
    if (differing) {
        notation_side_by_side(line, &actual, differing, text, sizeof text);
        script_fail(s, place, "Strait has sent something else\n%s", text);
    }
    if (actual.problem[0]) {
        notation_format(line, text);
        script_fail(s, place, "Strait has sent a wrong packet: %s\n  expected: %s", actual.problem,
                    text);
    }
    return &sent->packet;
}

const struct packet *script_expect(struct script *s, struct place place, const char *format, ...)
{
    struct pattern line;
    va_list arguments;
    va_start(arguments, format);
    parse_line(s, place, &line, format, arguments);
    va_end(arguments);
    return match(s, place, &line);
}

const struct packet *script_expect_between(struct script *s, struct place place, uint64_t from_ms,
                                           uint64_t to_ms, const char *format, ...)
{
    struct pattern line;
    va_list arguments;
    va_start(arguments, format);
    parse_line(s, place, &line, format, arguments);
    va_end(arguments);
    script_expect_nothing(s, place);
    uint64_t start_ns = s->now_ns;
    run(s, place, start_ns + to_ms * MS + TIMER_TICK_NS, true);
    const struct packet *packet = match(s, place, &line);
    if (packet->time_ns < start_ns + from_ms * MS)
        script_fail(s, place, "Strait has sent this too early, after %.6f s and not %.6f s",
                    (double)(packet->time_ns - start_ns) / 1e9, (double)from_ms / 1e3);
    return packet;
}

/* ---- A test -------------------------------------------------------------------------------- */

static void reset_flow(struct flow *f, uint32_t iss)
{
    f->local_iss = 0;
    f->remote_iss = iss;
    f->app_sent = f->app_received = 0;
    f->local_iss_known = f->local_ts_known = false;
    f->local_ts = f->local_ts_last = 0;
    f->local_ts_offered = f->remote_ts_offered = false;
    f->local_scale = f->remote_scale = NO_WINDOW_SCALING;
    f->edge_known = f->remote_fin = false;
}

void script_on(struct script *s, struct place place, unsigned index)
{
    if (index >= SCRIPT_FLOWS)
        script_fail(s, place, "there is no flow %u", index);
    s->flow = &s->flows[index];
}

void script_next_connection(struct script *s, struct place place, uint32_t iss)
{
    script_expect_nothing(s, place);
    reset_flow(s->flow, iss);
}

void script_remake(struct script *s, struct place place)
{
    if (s->stack)
        strait_free(s->stack);
    s->listener = -1;
    s->batch = false;
    for (unsigned i = 0; i < SCRIPT_FLOWS; i++) {
        struct flow *f = &s->flows[i];
        *f = (struct flow){.fd = -1, .remote_window = DEFAULT_WINDOW, .local_port = LOCAL_PORT};
        f->remote_port = (uint16_t)(REMOTE_PORT + i);
        reset_flow(f, REMOTE_ISS);
    }
    s->flow = &s->flows[0];
    s->stack = strait_new(&s->config, NULL);
    struct in_addr local = {htonl(LOCAL_ADDRESS)};
    if (!s->stack || strait_attach(s->stack, &s->link, local, 24) != 0)
        script_fail(s, place, "no stack: %s", strerror(errno));
    turn(s, place);
}

int script_setup(void **state)
{
    struct script *s = calloc(1, sizeof *s);
    if (!s)
        return -1;
    s->now_ns = START_NS;
    s->last = &s->first;
    s->failed = default_failed;
    strait_config_init(&s->config);
    memcpy(s->config.secret, "scripts' secret!", sizeof s->config.secret);
    s->link = (struct strait_link){.size = sizeof s->link, .name = "script", .mtu = 1500, .fd = -1};
    s->link.send = link_send;
    *state = s;
    script_remake(s, HERE);
    return 0;
}

int script_teardown(void **state)
{
    struct script *s = *state;
    s->batch = false;
    if (!s->over)
        script_expect_nothing(s, s->last_step);
    while (s->first)
        take_sent(s);
    free(s->matched);
    strait_free(s->stack);
    free(s);
    return 0;
}

/* ---- Counters ------------------------------------------------------------------------------ */

struct wanted_counter {
    const char *name;
    bool found;
    uint64_t value;
};

static void visit_counter(void *context, const char *name, uint64_t value)
{
    struct wanted_counter *wanted = context;
    if (strcmp(name, wanted->name) != 0)
        return;
    wanted->found = true;
    wanted->value = value;
}

uint64_t script_counter(struct script *s, struct place place, const char *name)
{
    struct wanted_counter wanted = {.name = name};
    strait_counters(s->stack, visit_counter, &wanted);
    if (!wanted.found)
        script_fail(s, place, "there is no counter %s", name);
    return wanted.value;
}
