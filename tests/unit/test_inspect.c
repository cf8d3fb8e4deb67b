/* SPDX-License-Identifier: MIT */
/* The endpoints that a host shows, and what it traces, on a pair of stacks in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "echo/echo.h"
#include "pair.h"
#include "talker.h"

#define SEEN_MAX 4096

/* What was seen: copies, with the times and sums that the tests look at. */
struct view {
    struct strait_endpoint list[SEEN_MAX];
    struct tcp_info info[SEEN_MAX];
    unsigned count;
    unsigned most; /* in one step */
};

static void see(void *context, const struct strait_endpoint *endpoint)
{
    struct view *v = context;
    assert_true(v->count < SEEN_MAX);
    assert_int_equal(endpoint->size, sizeof(*endpoint));
    v->list[v->count] = *endpoint;
    if (endpoint->info)
        v->info[v->count] = *endpoint->info;
    v->count++;
}

/* Looks at all endpoints in steps of about `max`. */
static struct view *view_of(struct strait *stack, unsigned max)
{
    struct view *v = calloc(1, sizeof(*v));
    uint64_t cursor = 0;
    bool more;
    assert_non_null(v);
    do {
        unsigned before = v->count;
        more = strait_inspect(stack, &cursor, max, see, v);
        if (v->count - before > v->most)
            v->most = v->count - before;
    } while (more);
    return v;
}

/* The only one of its kind. */
static const struct strait_endpoint *only(const struct view *v, enum strait_endpoint_kind kind)
{
    const struct strait_endpoint *found = NULL;
    for (unsigned i = 0; i < v->count; i++) {
        if (v->list[i].kind != kind)
            continue;
        assert_null(found);
        found = &v->list[i];
    }
    assert_non_null(found);
    return found;
}

static void expect_name(const struct sockaddr_in *name, const char *address, uint16_t port)
{
    char text[INET_ADDRSTRLEN];
    assert_int_equal(name->sin_family, AF_INET);
    assert_string_equal(inet_ntop(AF_INET, &name->sin_addr, text, sizeof(text)), address);
    assert_int_equal(ntohs(name->sin_port), port);
}

static int datagram_socket(struct strait *stack, int protocol, uint16_t port)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = strait_socket(stack, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, protocol);
    assert_true(fd >= 0);
    assert_int_equal(strait_bind(stack, fd, (struct sockaddr *)&any, sizeof(any)), 0);
    return fd;
}

/* ---- Endpoints ---- */

static void a_host_without_sockets_shows_nothing(void **state)
{
    (void)state;
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct view *v = view_of(pair_stack(pair, 0), 1);
    assert_int_equal(v->count, 0);
    free(v);
    pair_free(pair);
}

static void sockets_without_a_connection_are_shown_with_their_ports(void **state)
{
    (void)state;
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct strait *stack = pair_stack(pair, 0);
    struct server *server = echo_start(stack, pair_env(pair), 7);
    struct sockaddr_in peer = pair_address(1, 53);
    int udp = datagram_socket(stack, 0, 5353);
    datagram_socket(stack, IPPROTO_ICMP, 99);
    assert_int_equal(strait_connect(stack, udp, (struct sockaddr *)&peer, sizeof(peer)), 0);
    assert_true(strait_socket(stack, AF_INET, SOCK_DGRAM, 0) >= 0);  /* has no port */
    assert_true(strait_socket(stack, AF_INET, SOCK_STREAM, 0) >= 0); /* is nothing yet */

    struct view *v = view_of(stack, 1);
    assert_int_equal(v->count, 3);
    const struct strait_endpoint *listener = only(v, STRAIT_ENDPOINT_LISTENER);
    expect_name(&listener->local, "0.0.0.0", 7);
    expect_name(&listener->remote, "0.0.0.0", 0);
    assert_int_equal(listener->state, 10); /* TCP_LISTEN */
    assert_int_equal(listener->receive_queue, 0);
    assert_true(listener->send_queue > 0);
    const struct strait_endpoint *datagrams = only(v, STRAIT_ENDPOINT_UDP);
    expect_name(&datagrams->local, "10.0.0.1", 5353);
    expect_name(&datagrams->remote, "10.0.0.2", 53);
    expect_name(&only(v, STRAIT_ENDPOINT_PING)->local, "0.0.0.0", 99);
    free(v);
    server_free(server);
    pair_free(pair);
}

static void a_connection_is_shown_with_its_queues_and_windows(void **state)
{
    (void)state;
    static const char text[100000];
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct server *server = discard_start(pair_stack(pair, 1), pair_env(pair), 9);
    struct talker *client = talker_connect(pair, 0, 9);
    pair_run(pair, 10 * PAIR_MS);
    talker_say(client, text, sizeof(text));
    pair_run(pair, 3 * PAIR_MS); /* at 1 ms for each way, less than all of it is acknowledged */

    struct view *v = view_of(pair_stack(pair, 0), 8);
    const struct strait_endpoint *c = only(v, STRAIT_ENDPOINT_CONNECTION);
    expect_name(&c->remote, "10.0.0.2", 9);
    assert_int_equal(c->state, 1); /* TCP_ESTABLISHED */
    assert_false(c->orphan);
    const struct tcp_info *info = &v->info[c - v->list];
    assert_true(c->send_queue > 0);
    assert_int_equal(c->send_queue + info->tcpi_bytes_acked, sizeof(text));
    assert_true(c->send_memory_bytes >= c->send_queue);
    assert_int_equal(c->send_limit_bytes, 1 << 20);
    assert_string_equal(c->congestion, "reno");
    assert_string_equal(c->timer, "retransmit");
    assert_true(c->timer_ns > 0 && c->timer_ns <= info->tcpi_rto * UINT64_C(1000));
    assert_int_equal(c->cwnd / info->tcpi_snd_mss, info->tcpi_snd_cwnd);
    assert_true(c->send_window > 0 && c->receive_window > 0);
    free(v);
    talker_close(client);
    server_free(server);
    pair_free(pair);
}

static void what_is_left_of_a_connection_is_shown_until_its_end_rfc9293_3_6_1(void **state)
{
    (void)state;
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct server *server = echo_start(pair_stack(pair, 1), pair_env(pair), 7);
    struct talker *client = talker_connect(pair, 0, 7);
    pair_run(pair, 10 * PAIR_MS);
    talker_close(client); /* first: it is the one that waits */
    pair_run(pair, PAIR_S);

    struct view *v = view_of(pair_stack(pair, 0), 8);
    const struct strait_endpoint *rest = only(v, STRAIT_ENDPOINT_TIME_WAIT);
    expect_name(&rest->remote, "10.0.0.2", 7);
    assert_int_equal(rest->state, 6); /* TCP_TIME_WAIT */
    assert_string_equal(rest->timer, "time-wait");
    assert_true(rest->timer_ns > 58 * PAIR_S && rest->timer_ns < 60 * PAIR_S); /* of 2 MSL */
    free(v);
    pair_run(pair, 60 * PAIR_S);
    v = view_of(pair_stack(pair, 0), 8);
    assert_int_equal(v->count, 0);
    free(v);
    server_free(server);
    pair_free(pair);
}

static bool lose_acknowledgements(void *context, int from, const uint8_t *packet, size_t length)
{
    (void)context;
    (void)packet;
    (void)length;
    return from == 1;
}

static void a_syn_that_waits_for_its_acknowledgement_is_shown(void **state)
{
    (void)state;
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct server *server = echo_start(pair_stack(pair, 1), pair_env(pair), 7);
    struct talker *client = talker_connect(pair, 0, 7);
    pair_run(pair, PAIR_MS / 2); /* the SYN is on its way */
    pair_filter(pair, lose_acknowledgements, NULL);
    pair_run(pair, 100 * PAIR_MS);

    struct view *v = view_of(pair_stack(pair, 1), 8);
    const struct strait_endpoint *half = only(v, STRAIT_ENDPOINT_HALF_OPEN);
    expect_name(&half->local, "10.0.0.2", 7);
    assert_int_equal(half->state, 3); /* TCP_SYN_RECV */
    assert_string_equal(half->timer, "retransmit");
    free(v);
    talker_close(client);
    server_free(server);
    pair_free(pair);
}

/* ---- Steps ---- */

enum { MANY = 700 };

static void many_are_shown_in_small_steps_and_each_once(void **state)
{
    (void)state;
    static struct talker *clients[MANY];
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct server *server = echo_start(pair_stack(pair, 1), pair_env(pair), 7);
    for (int i = 0; i < MANY; i++)
        clients[i] = talker_connect(pair, 0, 7);
    pair_run(pair, PAIR_S);

    struct view *v = view_of(pair_stack(pair, 0), 10);
    assert_int_equal(v->count, MANY);
    assert_true(v->most < 10 + 10); /* a few more than 10, since chains are seen whole */
    static bool seen[UINT16_MAX + 1];
    for (unsigned i = 0; i < v->count; i++) {
        uint16_t port = ntohs(v->list[i].local.sin_port);
        assert_false(seen[port]);
        seen[port] = true;
    }
    free(v);
    for (int i = 0; i < MANY; i++)
        talker_close(clients[i]);
    server_free(server);
    pair_free(pair);
}

static void a_step_through_a_table_that_was_left_is_small_too(void **state)
{
    (void)state;
    static struct talker *clients[MANY];
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct server *server = echo_start(pair_stack(pair, 1), pair_env(pair), 7);
    for (int i = 0; i < MANY; i++)
        clients[i] = talker_connect(pair, 0, 7);
    pair_run(pair, PAIR_S);
    for (int i = 0; i < MANY; i++)
        talker_close(clients[i]);
    pair_run(pair, 120 * PAIR_S);

    struct view *v = calloc(1, sizeof(*v));
    uint64_t cursor = 0;
    assert_true(strait_inspect(pair_stack(pair, 0), &cursor, 1, see, v));
    assert_int_equal(v->count, 0);
    unsigned steps = 1;
    while (strait_inspect(pair_stack(pair, 0), &cursor, 1, see, v))
        steps++;
    assert_true(steps > 10); /* of 16 places each */
    assert_int_equal(v->count, 0);
    free(v);
    server_free(server);
    pair_free(pair);
}

/* ---- Traces ---- */

struct trace {
    struct strait_trace list[SEEN_MAX];
    unsigned count;
};

static void told(void *context, const struct strait_trace *record)
{
    struct trace *t = context;
    if (t->count < SEEN_MAX)
        t->list[t->count++] = *record;
}

/* Loses each 20th packet. */
static bool lose_some(void *context, int from, const uint8_t *packet, size_t length)
{
    unsigned *count = context;
    (void)from;
    (void)packet;
    (void)length;
    return ++*count % 20 != 0;
}

static void trace_a_lossy_transfer(struct trace *t)
{
    static const char text[200000];
    unsigned packets = 0;
    memset(t, 0, sizeof(*t));
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct server *server = discard_start(pair_stack(pair, 1), pair_env(pair), 9);
    strait_trace(pair_stack(pair, 0), told, t);
    pair_filter(pair, lose_some, &packets);
    struct talker *client = talker_connect(pair, 0, 9);
    talker_say(client, text, sizeof(text));
    talker_finish(client);
    talker_hear_end(client);
    talker_close(client);
    server_free(server);
    pair_free(pair);
}

static void the_same_world_gives_the_same_trace(void **state)
{
    (void)state;
    static struct trace one, two;
    trace_a_lossy_transfer(&one);
    trace_a_lossy_transfer(&two);
    assert_true(one.count > 100 && one.count < SEEN_MAX);
    assert_int_equal(one.count, two.count);
    assert_memory_equal(one.list, two.list, one.count * sizeof(one.list[0]));
}

/* What was sent, for the first time and again, is all of the stream; time does not go back. */
static void a_trace_shows_the_whole_stream(void **state)
{
    (void)state;
    static struct trace t;
    uint64_t next = 0, acked = 0, time_ns = 0;
    unsigned resent = 0;
    trace_a_lossy_transfer(&t);
    for (unsigned i = 0; i < t.count; i++) {
        const struct strait_trace *r = &t.list[i];
        assert_true(r->time_ns >= time_ns);
        time_ns = r->time_ns;
        if (r->event == STRAIT_TRACE_SENT) {
            assert_int_equal(r->position, next);
            next += r->length;
        } else if (r->event == STRAIT_TRACE_RESENT) {
            assert_true(r->position + r->length <= next);
            resent++;
        } else if (r->event == STRAIT_TRACE_ACKED) {
            assert_true(r->position >= acked);
            acked = r->position;
        }
    }
    assert_int_equal(next, 200000 + 1); /* and the FIN */
    assert_int_equal(acked, 200000);
    assert_true(resent > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_without_sockets_shows_nothing),
        cmocka_unit_test(sockets_without_a_connection_are_shown_with_their_ports),
        cmocka_unit_test(a_connection_is_shown_with_its_queues_and_windows),
        cmocka_unit_test(what_is_left_of_a_connection_is_shown_until_its_end_rfc9293_3_6_1),
        cmocka_unit_test(a_syn_that_waits_for_its_acknowledgement_is_shown),
        cmocka_unit_test(many_are_shown_in_small_steps_and_each_once),
        cmocka_unit_test(a_step_through_a_table_that_was_left_is_small_too),
        cmocka_unit_test(the_same_world_gives_the_same_trace),
        cmocka_unit_test(a_trace_shows_the_whole_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
