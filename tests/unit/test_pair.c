/* SPDX-License-Identifier: MIT */
/* Two stacks against each other in virtual time, through nothing but strait.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "base/siphash.h"
#include "pair.h"
#include "talker.h"

#define PORT 1000

/* ---- Helpers ---- */

static int listen_on(struct pair *pair, int host, int type)
{
    struct strait *stack = pair_stack(pair, host);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int fd = strait_socket(stack, AF_INET, type, 0);
    assert_true(fd >= 0);
    assert_int_equal(strait_bind(stack, fd, (struct sockaddr *)&any, sizeof(any)), 0);
    if ((type & ~SOCK_NONBLOCK) == SOCK_STREAM)
        assert_int_equal(strait_listen(stack, fd, 16), 0);
    return fd;
}

/* A connection from host 0 to host 1. */
struct call {
    struct pair *pair;
    struct talker *client, *server;
};

static struct call call_new(const struct pair_config *config)
{
    struct call call = {.pair = pair_new(config)};
    struct strait *stack = pair_stack(call.pair, 1);
    int listener = listen_on(call.pair, 1, SOCK_STREAM | SOCK_NONBLOCK);
    call.client = talker_connect(call.pair, 0, PORT);
    pair_run(call.pair, 100 * PAIR_MS);
    int fd = strait_accept4(stack, listener, NULL, NULL, SOCK_NONBLOCK);
    call.server = talker_adopt(call.pair, 1, fd);
    assert_int_equal(strait_close(stack, listener), 0);
    return call;
}

static void call_free(struct call *call)
{
    talker_close(call->client);
    talker_close(call->server);
    pair_free(call->pair);
}

/* Bytes of which no two stretches are alike. */
static char *noise(size_t length, uint64_t seed)
{
    struct prng prng;
    char *bytes = malloc(length);
    assert_non_null(bytes);
    prng_seed(&prng, seed);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)prng_next(&prng);
    return bytes;
}

static void expect_heard(const struct talker *t, const char *bytes, size_t length)
{
    assert_int_equal(t->received_bytes, length);
    assert_memory_equal(t->received, bytes, length);
}

/* ---- TCP ---- */

static void a_handshake_connects_both_ends(void **state)
{
    (void)state;
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct strait *left = pair_stack(pair, 0), *right = pair_stack(pair, 1);
    int listener = listen_on(pair, 1, SOCK_STREAM | SOCK_NONBLOCK);
    int fd = strait_socket(left, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in to = pair_address(1, PORT);
    assert_int_equal(strait_accept(right, listener, NULL, NULL), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(strait_connect(left, fd, (struct sockaddr *)&to, sizeof(to)), -1);
    assert_int_equal(errno, EINPROGRESS);

    /* Half a round trip is not enough for the caller. */
    struct pollfd poll = {.fd = fd, .events = POLLOUT};
    pair_run(pair, PAIR_MS);
    assert_int_equal(strait_poll(left, &poll, 1, 0), 0);
    pair_run(pair, 2 * PAIR_MS);
    assert_int_equal(strait_poll(left, &poll, 1, 0), 1);
    assert_int_equal(poll.revents, POLLOUT);
    /* SYN, SYN-ACK, ACK and nothing else. */
    assert_int_equal(pair_packets(pair, 0), 2);
    assert_int_equal(pair_packets(pair, 1), 1);

    struct sockaddr_in from, name;
    socklen_t from_bytes = sizeof(from), name_bytes = sizeof(name);
    int accepted = strait_accept(right, listener, (struct sockaddr *)&from, &from_bytes);
    assert_true(accepted >= 0);
    assert_int_equal(from.sin_addr.s_addr, pair_address(0, 0).sin_addr.s_addr);
    assert_int_equal(strait_getsockname(left, fd, (struct sockaddr *)&name, &name_bytes), 0);
    assert_int_equal(name.sin_addr.s_addr, from.sin_addr.s_addr);
    assert_int_equal(name.sin_port, from.sin_port);
    assert_int_equal(strait_getpeername(left, fd, (struct sockaddr *)&name, &name_bytes), 0);
    assert_int_equal(name.sin_addr.s_addr, to.sin_addr.s_addr);
    assert_int_equal(name.sin_port, to.sin_port);
    pair_free(pair);
}

/* Megabytes both ways at once; afterwards both sides finish. */
static void expect_exchange(const struct pair_config *config, size_t length)
{
    char *question = noise(length, 1), *answer = noise(length, 2);
    struct call call = call_new(config);
    talker_say(call.client, question, length);
    talker_say(call.server, answer, length);
    talker_finish(call.client);
    talker_finish(call.server);
    talker_hear_end(call.server);
    talker_hear_end(call.client);
    expect_heard(call.server, question, length);
    expect_heard(call.client, answer, length);
    for (int host = 0; host < 2; host++) {
        assert_int_equal(pair_counter(call.pair, host, "tcp_retransmitted_segments"), 0);
        assert_int_equal(pair_counter(call.pair, host, "tcp_resets_out"), 0);
    }
    call_free(&call);
    free(question);
    free(answer);
}

static void data_goes_both_ways_and_nothing_is_sent_twice(void **state)
{
    (void)state;
    expect_exchange(&(struct pair_config){0}, 3000000);
}

static void data_goes_through_any_mtu(void **state)
{
    (void)state;
    expect_exchange(&(struct pair_config){.mtu = 68}, 20000);
    expect_exchange(&(struct pair_config){.mtu = 576}, 300000);
    expect_exchange(&(struct pair_config){.mtu = 65535}, 3000000);
}

static void data_goes_in_super_packets(void **state)
{
    (void)state;
    expect_exchange(&(struct pair_config){.features = STRAIT_LINK_CHECKSUM}, 300000);
    expect_exchange(&(struct pair_config){.features = STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4},
                    3000000);
}

static void half_closed_the_other_half_still_carries_data_rfc9293_3_6(void **state)
{
    (void)state;
    char *answer = noise(100000, 3);
    struct call call = call_new(&(struct pair_config){0});
    talker_say(call.client, "question", 8);
    talker_finish(call.client);
    talker_hear_end(call.server);
    expect_heard(call.server, "question", 8);
    pair_run(call.pair, PAIR_S);
    assert_false(call.client->ended);

    talker_say(call.server, answer, 100000);
    talker_hear(call.client, 100000);
    assert_false(call.client->ended);
    talker_finish(call.server);
    talker_hear_end(call.client);
    expect_heard(call.client, answer, 100000);
    assert_int_equal(pair_counter(call.pair, 0, "tcp_resets_out"), 0);
    assert_int_equal(pair_counter(call.pair, 1, "tcp_resets_out"), 0);
    call_free(&call);
    free(answer);
}

static void a_reset_is_heard_as_econnreset(void **state)
{
    (void)state;
    struct call call = call_new(&(struct pair_config){0});
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    struct strait *left = pair_stack(call.pair, 0);
    assert_int_equal(
        strait_setsockopt(left, call.client->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    talker_close(call.client);
    talker_hear_end(call.server);
    assert_int_equal(call.server->error, ECONNRESET);
    assert_int_equal(pair_counter(call.pair, 0, "tcp_resets_out"), 1);
    assert_int_equal(pair_counter(call.pair, 1, "tcp_resets_out"), 0);
    talker_close(call.server);
    pair_free(call.pair);
}

static void a_port_where_nobody_listens_refuses(void **state)
{
    (void)state;
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct talker *client = talker_connect(pair, 0, PORT);
    talker_say(client, "x", 1);
    talker_hear_end(client);
    assert_int_equal(client->error, ECONNREFUSED);
    talker_close(client);
    pair_free(pair);
}

/* Loses every 20th packet of either side. */
static bool lose_some(void *context, int from, const uint8_t *packet, size_t length)
{
    (void)from;
    (void)packet;
    (void)length;
    unsigned *count = context;
    return ++*count % 20 != 0;
}

static void what_is_lost_is_sent_again(void **state)
{
    (void)state;
    enum { LENGTH = 300000 };
    unsigned count = 0;
    char *question = noise(LENGTH, 4);
    struct call call = call_new(&(struct pair_config){0});
    pair_filter(call.pair, lose_some, &count);
    talker_say(call.client, question, LENGTH);
    talker_finish(call.client);
    talker_hear_end(call.server);
    assert_int_equal(call.server->error, 0);
    expect_heard(call.server, question, LENGTH);
    assert_true(pair_counter(call.pair, 0, "tcp_retransmitted_segments") > 0);
    call_free(&call);
    free(question);
}

static void a_reader_that_sleeps_stops_the_sender_and_gets_everything(void **state)
{
    (void)state;
    enum { LENGTH = 8000000 };
    char *question = noise(LENGTH, 5);
    struct call call = call_new(&(struct pair_config){0});
    talker_be_deaf(call.server, true);
    talker_say(call.client, question, LENGTH);
    talker_finish(call.client);
    pair_run(call.pair, 30 * PAIR_S);
    size_t left = call.client->sending_bytes;
    assert_true(left > 0);
    pair_run(call.pair, 30 * PAIR_S);
    assert_int_equal(call.client->sending_bytes, left);
    talker_be_deaf(call.server, false);
    talker_hear_end(call.server);
    expect_heard(call.server, question, LENGTH);
    call_free(&call);
    free(question);
}

static void blocking_calls_drive_the_world(void **state)
{
    (void)state;
    char bytes[16];
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct strait *left = pair_stack(pair, 0), *right = pair_stack(pair, 1);
    int listener = listen_on(pair, 1, SOCK_STREAM);
    int client = strait_socket(left, AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in to = pair_address(1, PORT);
    assert_int_equal(strait_connect(left, client, (struct sockaddr *)&to, sizeof(to)), 0);
    int server = strait_accept(right, listener, NULL, NULL);
    assert_true(server >= 0);
    assert_int_equal(strait_send(left, client, "ping", 4, 0), 4);
    assert_int_equal(strait_recv(right, server, bytes, sizeof(bytes), 0), 4);
    assert_memory_equal(bytes, "ping", 4);
    assert_int_equal(strait_close(right, server), 0);
    assert_int_equal(strait_recv(left, client, bytes, sizeof(bytes), 0), 0);
    pair_free(pair);
}

static void a_closed_socket_counts_as_a_connection_until_everything_is_acknowledged(void **state)
{
    (void)state;
    struct call call = call_new(&(struct pair_config){0});
    struct strait *left = pair_stack(call.pair, 0);
    assert_int_equal(strait_connections(left), 1);
    talker_be_deaf(call.server, true);
    talker_say(call.client, "question", 8);
    talker_finish(call.client);
    talker_finish(call.server);
    pair_run(call.pair, PAIR_MS + PAIR_MS / 2);
    talker_close(call.client);
    assert_int_equal(strait_connections(left), 1);
    pair_run(call.pair, PAIR_S);
    assert_int_equal(strait_connections(left), 0);
    talker_close(call.server);
    pair_free(call.pair);
}

/* ---- UDP ---- */

static void a_datagram_comes_whole_and_its_answer_goes_back(void **state)
{
    (void)state;
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct strait *left = pair_stack(pair, 0), *right = pair_stack(pair, 1);
    int server = listen_on(pair, 1, SOCK_DGRAM | SOCK_NONBLOCK);
    int client = strait_socket(left, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in to = pair_address(1, PORT), from;
    socklen_t from_bytes = sizeof(from);
    char *question = noise(1400, 6), bytes[2000];
    const struct sockaddr *destination = (struct sockaddr *)&to;
    assert_int_equal(strait_sendto(left, client, question, 1400, 0, destination, sizeof(to)), 1400);
    assert_int_equal(strait_sendto(left, client, "", 0, 0, destination, sizeof(to)), 0);
    pair_run(pair, 10 * PAIR_MS);

    struct sockaddr *source = (struct sockaddr *)&from;
    assert_int_equal(strait_recvfrom(right, server, bytes, sizeof(bytes), 0, source, &from_bytes),
                     1400);
    assert_memory_equal(bytes, question, 1400);
    assert_int_equal(from.sin_addr.s_addr, pair_address(0, 0).sin_addr.s_addr);
    assert_int_equal(strait_recv(right, server, bytes, sizeof(bytes), 0), 0);
    assert_int_equal(strait_recv(right, server, bytes, sizeof(bytes), 0), -1);
    assert_int_equal(errno, EAGAIN);

    assert_int_equal(strait_sendto(right, server, "answer", 6, 0, source, from_bytes), 6);
    pair_run(pair, 10 * PAIR_MS);
    assert_int_equal(strait_recv(left, client, bytes, sizeof(bytes), 0), 6);
    assert_memory_equal(bytes, "answer", 6);
    pair_free(pair);
    free(question);
}

/* RFC 791 3.2: in fragments of 68 bytes at the least, 1365 of them. */
static void the_longest_datagram_comes_whole_over_any_mtu(void **state)
{
    static const uint32_t mtus[] = {68, 576, 1500, 9000};
    (void)state;
    enum { LENGTH = 65507 };
    char *question = noise(LENGTH + 1, 8), *bytes = malloc(LENGTH + 1);
    assert_non_null(bytes);
    for (size_t i = 0; i < sizeof(mtus) / sizeof(mtus[0]); i++) {
        struct pair *pair = pair_new(&(struct pair_config){.mtu = mtus[i]});
        struct strait *left = pair_stack(pair, 0), *right = pair_stack(pair, 1);
        int server = listen_on(pair, 1, SOCK_DGRAM | SOCK_NONBLOCK);
        int client = strait_socket(left, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        struct sockaddr_in to = pair_address(1, PORT);
        assert_int_equal(strait_connect(left, client, (struct sockaddr *)&to, sizeof(to)), 0);
        assert_int_equal(strait_send(left, client, question, LENGTH + 1, 0), -1);
        assert_int_equal(errno, EMSGSIZE);
        assert_int_equal(strait_send(left, client, question, LENGTH, 0), LENGTH);
        pair_run(pair, 10 * PAIR_MS);
        assert_int_equal(strait_recv(right, server, bytes, LENGTH + 1, 0), LENGTH);
        assert_memory_equal(bytes, question, LENGTH);
        size_t unit = (mtus[i] - 20) / 8 * 8;
        assert_int_equal(pair_packets(pair, 0), (LENGTH + 8 + unit - 1) / unit);
        pair_free(pair);
    }
    free(bytes);
    free(question);
}

/* Loses the first of all packets. */
static bool lose_first(void *context, int from, const uint8_t *packet, size_t length)
{
    unsigned *packets = context;
    (void)from, (void)packet, (void)length;
    return (*packets)++ > 0;
}

/* RFC 1122 3.3.2: the deadline that strait_advance tells is that of the fragments, too. */
static void a_datagram_that_lacks_a_fragment_is_forgotten_after_thirty_seconds(void **state)
{
    (void)state;
    unsigned packets = 0;
    struct pair *pair = pair_new(&(struct pair_config){0});
    listen_on(pair, 1, SOCK_DGRAM | SOCK_NONBLOCK);
    struct sockaddr_in to = pair_address(1, PORT);
    static const char bytes[5000];
    pair_filter(pair, lose_first, &packets);
    int client = strait_socket(pair_stack(pair, 0), AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(strait_sendto(pair_stack(pair, 0), client, bytes, sizeof(bytes), 0,
                                   (struct sockaddr *)&to, sizeof(to)),
                     sizeof(bytes));
    pair_run(pair, 30 * PAIR_S);
    assert_int_equal(pair_counter(pair, 1, "ip_fragments_in"), 3);
    assert_int_equal(pair_counter(pair, 1, "ip_reassembly_timed_out"), 0);
    pair_run(pair, 2 * PAIR_MS);
    assert_int_equal(pair_counter(pair, 1, "ip_reassembly_timed_out"), 1);
    assert_int_equal(pair_packets(pair, 1), 0);
    pair_free(pair);
}

static void a_datagram_to_nobody_comes_back_as_econnrefused_rfc1122_4_1_3_3(void **state)
{
    (void)state;
    char byte;
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct strait *left = pair_stack(pair, 0);
    int client = strait_socket(left, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in to = pair_address(1, PORT);
    assert_int_equal(strait_connect(left, client, (struct sockaddr *)&to, sizeof(to)), 0);
    assert_int_equal(strait_send(left, client, "x", 1, 0), 1);
    pair_run(pair, 10 * PAIR_MS);
    assert_int_equal(strait_recv(left, client, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNREFUSED);
    pair_free(pair);
}

/* ---- Determinism ---- */

struct trace {
    uint64_t hash;
    uint64_t packets;
};

static bool note_packet(void *context, int from, const uint8_t *packet, size_t length)
{
    static const uint8_t key[16] = {0};
    struct trace *trace = context;
    trace->hash = trace->hash * 31 + siphash(key, packet, length) + (uint64_t)from;
    return ++trace->packets % 50 != 0;
}

static struct trace run_once(void)
{
    enum { LENGTH = 200000 };
    struct trace trace = {0};
    char *question = noise(LENGTH, 7);
    struct call call = call_new(&(struct pair_config){0});
    pair_filter(call.pair, note_packet, &trace);
    talker_say(call.client, question, LENGTH);
    talker_finish(call.client);
    talker_hear_end(call.server);
    call_free(&call);
    free(question);
    return trace;
}

static void the_same_run_sends_the_same_packets(void **state)
{
    (void)state;
    struct trace first = run_once(), second = run_once();
    assert_true(first.packets > 100);
    assert_int_equal(first.packets, second.packets);
    assert_true(first.hash == second.hash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_handshake_connects_both_ends),
        cmocka_unit_test(data_goes_both_ways_and_nothing_is_sent_twice),
        cmocka_unit_test(data_goes_through_any_mtu),
        cmocka_unit_test(data_goes_in_super_packets),
        cmocka_unit_test(half_closed_the_other_half_still_carries_data_rfc9293_3_6),
        cmocka_unit_test(a_reset_is_heard_as_econnreset),
        cmocka_unit_test(a_port_where_nobody_listens_refuses),
        cmocka_unit_test(what_is_lost_is_sent_again),
        cmocka_unit_test(a_reader_that_sleeps_stops_the_sender_and_gets_everything),
        cmocka_unit_test(blocking_calls_drive_the_world),
        cmocka_unit_test(a_closed_socket_counts_as_a_connection_until_everything_is_acknowledged),
        cmocka_unit_test(a_datagram_comes_whole_and_its_answer_goes_back),
        cmocka_unit_test(the_longest_datagram_comes_whole_over_any_mtu),
        cmocka_unit_test(a_datagram_that_lacks_a_fragment_is_forgotten_after_thirty_seconds),
        cmocka_unit_test(a_datagram_to_nobody_comes_back_as_econnrefused_rfc1122_4_1_3_3),
        cmocka_unit_test(the_same_run_sends_the_same_packets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
