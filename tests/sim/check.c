/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* asprintf */
#include "check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/prng.h"
#include "check_state.h"

/* How long a side of TCP tries at least: RFC 9293 3.8.3, R2; for a SYN-ACK less is usual. */
#define PATIENCE_DATA_NS (100 * CHECK_NS_PER_S)
#define PATIENCE_SYN_NS  (60 * CHECK_NS_PER_S)
#define SYN_REPETITIONS  3 /* at least */

#define NS_PER_MS (CHECK_NS_PER_S / 1000)

static bool scenario_corrupts(const struct scenario *s)
{
    for (uint32_t i = 0; i < scenario_link_count(s); i++)
        if (s->paths[i][0].corrupt_ppm > 0 || s->paths[i][1].corrupt_ppm > 0)
            return true;
    for (uint32_t i = 0; i < s->fault_count; i++)
        if (s->faults[i].path.corrupt_ppm > 0)
            return true;
    return false;
}

struct check *check_new(const struct scenario *scenario)
{
    struct check *check = calloc(1, sizeof(*check));
    struct prng prng;

    CHECK(check != NULL);
    check->scenario = scenario;
    check->corruption = scenario_corrupts(scenario);
    prng_seed(&prng, 0);
    for (size_t i = 0; i < CHECK_PERIOD; i += 8) {
        uint64_t word = prng_next(&prng);
        for (size_t j = 0; j < 8 && i + j < CHECK_PERIOD; j++)
            check->content[i + j] = (uint8_t)(word >> 8 * j);
    }
    for (size_t i = CHECK_PERIOD; i < sizeof(check->content); i++)
        check->content[i] = check->content[i - CHECK_PERIOD];
    return check;
}

void check_free(struct check *check)
{
    for (uint32_t i = 0; i < SCENARIO_CONNECTIONS; i++) {
        for (int side = 0; side < 2; side++) {
            ranges_clear(&check->connections[i].side[side].arrived);
            ranges_clear(&check->connections[i].side[side].surely);
            ranges_clear(&check->connections[i].side[side].twice);
            ranges_clear(&check->connections[i].side[side].sacked);
        }
    }
    for (uint32_t i = 0; i < CHECK_TEXTS; i++)
        free(check->texts[i]);
    free(check);
}

bool check_iss(const struct check *check, uint32_t connection, uint32_t side, uint32_t *iss)
{
    const struct side *x = &check->connections[connection].side[side];

    *iss = x->iss;
    return x->syn_sent;
}

void check_log(struct check *check, FILE *file)
{
    check->log = file;
}

/* ---- What is wrong --------------------------------------------------------------------------- */

static char *describe(const struct check *check, uint32_t connection, int side, const char *format,
                      va_list arguments)
{
    char what[512], *text;

    CHECK(vsnprintf(what, sizeof(what), format, arguments) >= 0);
    uint64_t s = check->now_ns / CHECK_NS_PER_S, ns = check->now_ns % CHECK_NS_PER_S;
    int n;
    if (side < 0)
        n = asprintf(&text, "%" PRIu64 ".%09" PRIu64 " host %c: %s", s, ns, 'a' + (int)connection,
                     what);
    else
        n = asprintf(&text, "%" PRIu64 ".%09" PRIu64 " connection %" PRIu32 ", host %c: %s", s, ns,
                     connection, 'a' + (int)check_host_of(check, connection, (uint32_t)side), what);
    CHECK(n >= 0);
    return text;
}

void check_violated(struct check *check, uint32_t connection, int side, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    char *text = describe(check, connection, side, format, arguments);
    va_end(arguments);

    if (check->log)
        fprintf(check->log, "VIOLATED: %s\n", text);
    if (check->violations < CHECK_TEXTS)
        check->texts[check->violations] = text;
    else
        free(text);
    check->violations++;
}

void check_note(struct check *check, uint32_t connection, int side, const char *format, ...)
{
    if (!check->log)
        return;
    va_list arguments;
    va_start(arguments, format);
    char *text = describe(check, connection, side, format, arguments);
    va_end(arguments);
    fprintf(check->log, "%s\n", text);
    free(text);
}

uint32_t check_violations(const struct check *check)
{
    return check->violations;
}

const char *check_violation(const struct check *check, uint32_t number)
{
    return number < CHECK_TEXTS ? check->texts[number] : NULL;
}

/* ---- What is known --------------------------------------------------------------------------- */

const uint8_t *check_content(const struct check *check, uint32_t connection, uint32_t side,
                             uint64_t position)
{
    uint64_t key = (connection * 2 + side) * UINT64_C(7919);

    return check->content + (key + position) % CHECK_PERIOD;
}

uint16_t check_port(const struct scenario *scenario, uint32_t connection, uint32_t side)
{
    const struct scenario_connection *c = &scenario->connections[connection];

    if (side == 0)
        return (uint16_t)(10000 + connection);
    return (uint16_t)(c->simultaneous ? 20000 + connection : CHECK_LISTEN_PORT);
}

struct wanted {
    const char *name;
    uint64_t value;
    bool found;
};

static void visit_counter(void *context, const char *name, uint64_t value)
{
    struct wanted *wanted = context;

    if (strcmp(name, wanted->name) != 0)
        return;
    wanted->value = value;
    wanted->found = true;
}

uint64_t check_counter(const struct check *check, uint32_t host, const char *name)
{
    struct wanted wanted = {.name = name};

    if (!check->hosts[host].stack)
        return 0;
    strait_counters(check->hosts[host].stack, visit_counter, &wanted);
    CHECK(wanted.found);
    return wanted.value;
}

bool check_was_short(const struct check *check, uint32_t host)
{
    return check_counter(check, host, "tcp_memory_short") > 0 ||
           check_counter(check, host, "tcp_out_of_order_limited") > 0 ||
           check_counter(check, host, "tcp_out_of_order_pruned") > 0;
}

bool check_may_refuse(const struct check *check, uint32_t connection, uint32_t side)
{
    uint32_t host = check_host_of(check, connection, side);
    const struct side *x = &check->connections[connection].side[side];

    if (check->hosts[host].has_crashed || check->hosts[host].has_unlistened)
        return true;
    if (check->scenario->connections[connection].simultaneous && !x->syn_sent)
        return true; /* the other SYN came first, and nobody listens there */
    /* A half-open record does not wait for ever. */
    if (x->syns > SYN_REPETITIONS && check->now_ns - x->syn_ns >= PATIENCE_SYN_NS)
        return true;
    return check_counter(check, host, "tcp_connections_limited") > 0 ||
           check_counter(check, host, "tcp_half_open_limited") > 0 ||
           check_counter(check, host, "tcp_accept_queue_full") > 0;
}

bool check_lost_patience(const struct check *check, uint32_t connection, uint32_t side)
{
    const struct scenario_side *plan = &check->scenario->connections[connection].side[side];
    const struct side *x = &check->connections[connection].side[side];
    uint64_t user_ns = plan->user_timeout_ms * NS_PER_MS;
    uint64_t probing_ns = plan->keepalive_s * CHECK_NS_PER_S;
    uint64_t heard_ns = x->heard_ns > 0 ? x->heard_ns : x->syn_ns;
    uint64_t silent_ns = check->now_ns - (heard_ns > 0 ? heard_ns : check->now_ns);

    if (x->patience_over)
        return true;
    if (user_ns > 0 && x->waiting_ns > 0 && check->now_ns - x->waiting_ns >= user_ns)
        return true;
    if (probing_ns == 0)
        return false;
    if (user_ns > 0) /* it takes the place of the number of probes */
        return silent_ns >= 2 * probing_ns && silent_ns >= user_ns;
    return silent_ns >= (1 + SCENARIO_KEEPALIVES) * probing_ns;
}

static struct side *side_of(struct check *check, uint64_t now_ns, uint32_t connection,
                            uint32_t side)
{
    check->now_ns = now_ns;
    return &check->connections[connection].side[side];
}

/* ---- The applications' story ----------------------------------------------------------------- */

void check_started(struct check *check, uint64_t now_ns, uint32_t connection, uint32_t side)
{
    side_of(check, now_ns, connection, side)->started = true;
    check_note(check, connection, (int)side, "connects");
}

void check_opened(struct check *check, uint64_t now_ns, uint32_t connection, uint32_t side)
{
    struct side *x = side_of(check, now_ns, connection, side);

    x->started = x->opened = true;
    check_note(check, connection, (int)side, "is open");
}

void check_wrote(struct check *check, uint64_t now_ns, uint32_t connection, uint32_t side,
                 size_t length)
{
    struct side *x = side_of(check, now_ns, connection, side);

    if (x->sent_end == x->written + 1)
        x->unsent_ns = now_ns;
    if (x->acked_surely >= x->written + 1)
        x->waiting_ns = now_ns;
    x->written += length;
    if (check->scenario->connections[connection].side[side].urgent)
        x->urgent_end = x->written + 1;
    check_note(check, connection, (int)side, "has written %zu, in all %" PRIu64, length,
               x->written);
}

void check_read(struct check *check, uint64_t now_ns, uint32_t connection, uint32_t side,
                const void *bytes, size_t length)
{
    struct side *x = side_of(check, now_ns, connection, side);
    const struct side *y = &check->connections[connection].side[1 - side];

    CHECK(length <= CHECK_CONTENT_BYTES);
    if (memcmp(bytes, check_content(check, connection, 1 - side, x->read), length) != 0)
        check_violated(check, connection, (int)side,
                       "reads bytes at %" PRIu64 " (%zu of them) that were not written there",
                       x->read, length);
    x->read += length;
    x->read_ns = now_ns;
    if (x->read > y->written)
        check_violated(check, connection, (int)side,
                       "has read %" PRIu64 " bytes, but only %" PRIu64 " were written", x->read,
                       y->written);
    check_note(check, connection, (int)side, "has read %zu, in all %" PRIu64, length, x->read);
}

void check_eof(struct check *check, uint64_t now_ns, uint32_t connection, uint32_t side)
{
    struct side *x = side_of(check, now_ns, connection, side);
    const struct side *y = &check->connections[connection].side[1 - side];

    x->eof = true;
    if (!y->shut && !y->closed)
        check_violated(check, connection, (int)side,
                       "reads an end of the stream, but the peer has not closed");
    if (x->read != y->written)
        check_violated(check, connection, (int)side,
                       "reads the end at %" PRIu64 ", but %" PRIu64 " were written", x->read,
                       y->written);
    check_note(check, connection, (int)side, "has read the end, at %" PRIu64, x->read);
}

/* The reasons that the other side has, where both are on one host and nothing is seen. */
static bool resets_itself(const struct check *check, uint32_t connection, uint32_t side)
{
    const struct side *y = &check->connections[connection].side[1 - side];

    if (!check->scenario->connections[connection].own)
        return false;
    return y->abandoned || y->error != 0 || y->closed ||
           check_may_refuse(check, connection, 1 - side);
}

/* The times that its user has set, where both are on one host and no silence is seen. */
static bool outlasts_itself(const struct check *check, uint32_t connection, uint32_t side)
{
    const struct scenario_connection *plan = &check->scenario->connections[connection];
    uint64_t user_ns = plan->side[side].user_timeout_ms * NS_PER_MS;
    uint64_t probing_ns = plan->side[side].keepalive_s * CHECK_NS_PER_S;

    if (!plan->own)
        return false;
    if (user_ns > 0)
        return check->now_ns >= user_ns;
    return probing_ns > 0 && check->now_ns >= (1 + SCENARIO_KEEPALIVES) * probing_ns;
}

/* What has to have happened for this errno, and has not; NULL if it has. */
static const char *unexplained(const struct check *check, uint32_t connection, uint32_t side,
                               int error)
{
    const struct side *x = &check->connections[connection].side[side];
    uint64_t waited_ns = check->now_ns - (x->progress_ns > 0 ? x->progress_ns : check->now_ns);

    switch (error) {
    case ECONNRESET:
    case ECONNREFUSED:
    case EPIPE:
        if (x->reset_arrived || resets_itself(check, connection, side))
            return NULL;
        /* An ICMP error that does not end the connection may be what a timeout is called by. */
        if (check->hosts[check_host_of(check, connection, side)].error_arrived &&
            (check_lost_patience(check, connection, side) || waited_ns >= PATIENCE_DATA_NS))
            return NULL;
        return "no RST has arrived";
    case ENETUNREACH:
    case EHOSTUNREACH: /* what a router has said explains a timeout, and nothing else */
        if (!check->hosts[check_host_of(check, connection, side)].error_arrived)
            return "no router has said so";
        /* fall through */
    case ETIMEDOUT:
        if (check_lost_patience(check, connection, side) ||
            outlasts_itself(check, connection, side) ||
            waited_ns >= (x->opened ? PATIENCE_DATA_NS : PATIENCE_SYN_NS))
            return NULL;
        return "it has not tried for long enough";
    case ENOBUFS:
        if (check_counter(check, check_host_of(check, connection, side),
                          "tcp_connections_limited") > 0)
            return NULL;
        return "there is room";
    default:
        return "it should not occur";
    }
}

void check_error(struct check *check, uint64_t now_ns, uint32_t connection, uint32_t side,
                 int error)
{
    struct side *x = side_of(check, now_ns, connection, side);

    check_note(check, connection, (int)side, "has failed: %s", strerror(error));
    const char *wrong = unexplained(check, connection, side, error);
    if (wrong)
        check_violated(check, connection, (int)side, "has failed with \"%s\", but %s",
                       strerror(error), wrong);
    x->started = true;
    x->error = error;
}

void check_ended(struct check *check, uint64_t now_ns, uint32_t connection, uint32_t side,
                 enum check_ending ending)
{
    static const char *const texts[] = {"shuts its sending", "closes", "closes early"};
    struct side *x = side_of(check, now_ns, connection, side);

    check_note(check, connection, (int)side, "%s", texts[ending]);
    x->patience_over |= check_lost_patience(check, connection, side);
    if (!x->shut && x->acked_surely >= x->written + 1)
        x->waiting_ns = now_ns;
    if (ending == CHECK_SHUT) {
        x->shut = true;
        return;
    }
    x->closed = true;
    x->closed_ns = now_ns;
    x->abandoned = ending == CHECK_ABANDONED;
    if (x->abandoned)
        duty_abandoned(check, connection, side);
}

void check_stranger(struct check *check, uint64_t now_ns, uint32_t host, uint16_t port)
{
    check->now_ns = now_ns;
    check_violated(check, host, -1, "has accepted a connection from port %u that nobody has opened",
                   port);
}

void check_unlistened(struct check *check, uint64_t now_ns, uint32_t host)
{
    check->now_ns = now_ns;
    check->hosts[host].has_unlistened = true;
    check_note(check, host, -1, "closes its listener");
}

bool check_is_over(const struct check *check, uint32_t connection, uint32_t side)
{
    const struct side *x = &check->connections[connection].side[side];

    return x->closed || x->crashed || x->error != 0;
}

static bool is_complete(const struct side *x)
{
    return x->closed && !x->abandoned && !x->crashed && x->error == 0;
}

bool check_is_settled(const struct check *check, uint32_t connection, uint32_t side)
{
    const struct side *x = &check->connections[connection].side[side];
    const struct side *y = &check->connections[connection].side[1 - side];

    if (x->started)
        return check_is_over(check, connection, side);
    return check_is_over(check, connection, 1 - side) && !is_complete(y);
}

bool check_is_open(const struct check *check, uint32_t connection, uint32_t side)
{
    return check->connections[connection].side[side].opened &&
           !check_is_over(check, connection, side);
}

/* ---- The hosts' story ------------------------------------------------------------------------ */

void check_host_up(struct check *check, uint64_t now_ns, uint32_t host, struct strait *stack)
{
    struct host *h = &check->hosts[host];

    check->now_ns = now_ns;
    h->stack = stack;
    h->segments_out = h->packets_out = h->bytes_out = h->packets_in = 0;
    h->id_count = 0;
}

static bool has_own_connection(const struct scenario *s, uint32_t host)
{
    for (uint32_t i = 0; i < s->connection_count; i++)
        if (s->connections[i].own && scenario_host_of(&s->connections[i], 0) == host)
            return true;
    return false;
}

/* What the stack has counted is what was seen, but for what no link has seen. */
static void add_up(struct check *check, uint32_t host)
{
    const struct host *h = &check->hosts[host];
    bool talks_to_itself = has_own_connection(check->scenario, host);
    const struct {
        const char *name;
        uint64_t seen;
    } counts[] = {
        {"tcp_segments_out", h->segments_out},
        {"link_packets_out", h->packets_out},
        {"link_bytes_out", h->bytes_out},
        {"link_packets_in", h->packets_in},
    };
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        uint64_t counted = check_counter(check, host, counts[i].name);
        if (talks_to_itself ? counted < counts[i].seen : counted != counts[i].seen)
            check_violated(check, host, -1, "%s is %" PRIu64 ", but %" PRIu64 " were seen",
                           counts[i].name, counted, counts[i].seen);
    }

    static const char *const damage[] = {
        "ip_checksum_wrong", "ip_header_short",  "ip_total_length_wrong", "tcp_checksum_wrong",
        "tcp_header_wrong",  "tcp_option_wrong", "link_offload_wrong",    "ip_too_big",
    };
    for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]) && !check->corruption; i++)
        if (check_counter(check, host, damage[i]) > 0)
            check_violated(check, host, -1, "%s is %" PRIu64 ", but no packet was damaged",
                           damage[i], check_counter(check, host, damage[i]));
}

void check_host_down(struct check *check, uint64_t now_ns, uint32_t host)
{
    struct host *h = &check->hosts[host];

    check->now_ns = now_ns;
    if (!h->stack)
        return;
    add_up(check, host);
    h->stack = NULL;
    h->has_crashed = true;
    for (uint32_t i = 0; i < check->scenario->connection_count; i++)
        for (uint32_t side = 0; side < 2; side++)
            if (check_host_of(check, i, side) == host && check->connections[i].side[side].started)
                check->connections[i].side[side].crashed = true;
    check_note(check, host, -1, "crashes");
}

/* ---- Verdicts -------------------------------------------------------------------------------- */

/* Whether the host may have given up what its application has closed, or would wait for. */
static bool may_have_given_up(const struct check *check, uint32_t connection, uint32_t side)
{
    const struct side *x = &check->connections[connection].side[side];
    uint32_t host = check_host_of(check, connection, side);

    return x->patience_over ||
           (x->closed && check_counter(check, host, "tcp_orphans_timed_out") > 0);
}

/* A side that waits for a peer that has gone without a word waits for ever: TCP cannot know. */
static bool peer_is_gone(const struct check *check, uint32_t connection, uint32_t side)
{
    const struct side *y = &check->connections[connection].side[1 - side];

    uint32_t host = check_host_of(check, connection, 1 - side);

    if (y->crashed || y->error != 0 || (y->closed && y->abandoned) ||
        may_have_given_up(check, connection, 1 - side))
        return true;
    if (y->opened)
        return false;
    /* No SYN-ACK with a cookie is sent again, to be acknowledged again: RFC 4987 3.6 */
    return check_counter(check, host, "tcp_cookies_sent") > 0 ||
           check_may_refuse(check, connection, 1 - side);
}

/* Whether keep-alives show that a peer has gone: it waits, and has nothing in flight. */
static bool has_to_notice(const struct check *check, uint32_t connection, uint32_t side)
{
    const struct side *x = &check->connections[connection].side[side];

    return check->scenario->connections[connection].side[side].keepalive_s > 0 &&
           x->acked == x->written + 1 + x->shut;
}

static void check_side(struct check *check, uint32_t connection, uint32_t side)
{
    const struct side *x = &check->connections[connection].side[side];
    const struct side *y = &check->connections[connection].side[1 - side];

    if (x->started && !check_is_over(check, connection, side)) {
        if (!x->opened || has_to_notice(check, connection, side) ||
            !peer_is_gone(check, connection, side))
            check_violated(check, connection, (int)side,
                           "has not finished: %" PRIu64 " of %" PRIu64 " bytes read", x->read,
                           y->written);
        return;
    }
    if (!is_complete(x))
        return;
    if (!y->opened && !may_have_given_up(check, connection, side) &&
        !peer_is_gone(check, connection, side))
        check_violated(check, connection, (int)side, "has finished, but its peer never opened");
    if (is_complete(y) && y->read != x->written)
        check_violated(check, connection, (int)side,
                       "and its peer have finished, but %" PRIu64 " bytes of %" PRIu64 " were read",
                       y->read, x->written);
}

void check_finished(struct check *check, uint64_t now_ns)
{
    check->now_ns = now_ns;
    for (uint32_t i = 0; i < check->scenario->connection_count; i++)
        for (uint32_t side = 0; side < 2; side++)
            check_side(check, i, side);
}

/* Nothing in the scenario can make a timer expire: no loss, no limit that drops, no fault. */
static bool scenario_is_clean(const struct scenario *s)
{
    if (s->fault_count > 0)
        return false;
    for (uint32_t i = 0; i < scenario_link_count(s); i++)
        if (!scenario_path_is_clean(&s->paths[i][0]) || !scenario_path_is_clean(&s->paths[i][1]))
            return false;
    for (uint32_t i = 0; i < scenario_host_count(s); i++)
        if (s->hosts[i].memory_bytes > 0 || s->hosts[i].half_open_max > 0 ||
            s->hosts[i].connections_max > 0 || s->hosts[i].backlog > 0 || s->hosts[i].accept_ms > 0)
            return false;
    for (uint32_t i = 0; i < s->connection_count; i++)
        if (s->connections[i].side[0].end >= END_ABANDON ||
            s->connections[i].side[1].end >= END_ABANDON)
            return false;
    return true;
}

/* What a host has sent to itself, it has got. */
static void own_at_rest(struct check *check, uint32_t host)
{
    const struct host *h = &check->hosts[host];
    uint64_t sent = check_counter(check, host, "link_packets_out") - h->packets_out;
    uint64_t got = check_counter(check, host, "link_packets_in") - h->packets_in +
                   check_counter(check, host, "ip_loopback_full");

    if (sent != got)
        check_violated(check, host, -1, "has sent itself %" PRIu64 " packets, and got %" PRIu64,
                       sent, got);
}

void check_at_rest(struct check *check, uint64_t now_ns)
{
    bool clean = scenario_is_clean(check->scenario);

    check->now_ns = now_ns;
    for (uint32_t i = 0; i < scenario_host_count(check->scenario); i++) {
        struct strait *stack = check->hosts[i].stack;
        CHECK(stack != NULL); /* all hosts are up after healing */
        if (strait_connections(stack) > 0)
            check_violated(check, i, -1, "still has %" PRIu32 " connections",
                           strait_connections(stack));
        if (strait_memory(stack) > 0)
            check_violated(check, i, -1, "still holds %zu bytes", strait_memory(stack));
        if (clean && check_counter(check, i, "tcp_retransmission_timeouts") > 0)
            check_violated(check, i, -1, "has had %" PRIu64 " timeouts, though nothing was lost",
                           check_counter(check, i, "tcp_retransmission_timeouts"));
        add_up(check, i);
        path_at_rest(check, i);
        if (clean)
            datagrams_at_rest(check, i);
        own_at_rest(check, i);
    }
}

void check_livelock(struct check *check, uint64_t now_ns)
{
    check->now_ns = now_ns;
    check_violated(check, 0, -1, "or another makes no progress: too much happens at one instant");
}

void check_link(struct check *check, uint32_t link, uint64_t packets_in, uint64_t packets_out)
{
    check_violated(check, 0, -1,
                   "or another has a link, number %" PRIu32 ", that took %" PRIu64
                   " packets and let go %" PRIu64,
                   link, packets_in, packets_out);
}
