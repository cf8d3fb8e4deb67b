/* SPDX-License-Identifier: MIT */
/* Echo, Discard and Character Generator, on a pair of stacks in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "echo/echo.h"
#include "pair.h"
#include "talker.h"

#define BULK         3000000 /* more than all the buffers between the two ends */
#define SESSIONS_MAX 1024    /* as echo.h says */

static char bulk[BULK];

static int fill_bulk(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 1);
    for (size_t i = 0; i < BULK; i++)
        bulk[i] = (char)prng_next(&prng);
    return 0;
}

/* A pair with a service on host 1, port 7. */
struct fixture {
    struct pair *pair;
    struct server *server;
};

static struct fixture serve_with(struct server *(*start)(struct strait *, struct strait_env *,
                                                         uint16_t),
                                 const struct pair_config *config)
{
    struct fixture f = {.pair = pair_new(config)};
    f.server = start(pair_stack(f.pair, 1), pair_env(f.pair), 7);
    assert_non_null(f.server);
    return f;
}

static struct fixture serve(struct server *(*start)(struct strait *, struct strait_env *, uint16_t))
{
    return serve_with(start, &(struct pair_config){0});
}

static void fixture_free(struct fixture *f)
{
    server_free(f->server);
    pair_free(f->pair);
}

static bool no_session(void *server)
{
    return server_sessions(server) == 0;
}

/* ---- Echo ---- */

static void echo_returns_what_it_gets_and_then_closes_rfc862(void **state)
{
    (void)state;
    struct fixture f = serve(echo_start);
    struct talker *client = talker_connect(f.pair, 0, 7);
    talker_say(client, "hello", 5);
    talker_hear(client, 5);
    assert_memory_equal(client->received, "hello", 5);
    assert_int_equal(server_sessions(f.server), 1);
    talker_finish(client);
    talker_hear_end(client);
    assert_int_equal(client->error, 0);
    assert_int_equal(client->received_bytes, 5);
    assert_int_equal(server_sessions(f.server), 0);
    talker_close(client);
    fixture_free(&f);
}

static void echo_returns_bulk_in_order(void **state)
{
    (void)state;
    struct fixture f = serve(echo_start);
    struct talker *client = talker_connect(f.pair, 0, 7);
    talker_say(client, bulk, BULK);
    talker_finish(client);
    talker_hear_end(client);
    assert_int_equal(client->error, 0);
    assert_int_equal(client->received_bytes, BULK);
    assert_memory_equal(client->received, bulk, BULK);
    talker_close(client);
    fixture_free(&f);
}

static bool nothing_passes(void *context, int from, const uint8_t *packet, size_t length)
{
    (void)context;
    (void)from;
    (void)packet;
    (void)length;
    return false;
}

/* The echo of the second byte does not wait for the acknowledgement of the first one's. */
static void echo_answers_at_once_rfc9293_3_7_4(void **state)
{
    (void)state;
    struct fixture f = serve_with(echo_start, &(struct pair_config){.delay_ns = 50 * PAIR_MS});
    struct talker *client = talker_connect(f.pair, 0, 7);
    strait_setsockopt(pair_stack(f.pair, 0), client->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1},
                      sizeof(int));
    pair_run(f.pair, PAIR_S);
    talker_say(client, "a", 1);
    pair_run(f.pair, 10 * PAIR_MS);
    talker_say(client, "b", 1);
    pair_run(f.pair, 105 * PAIR_MS); /* there and back: 100 ms */
    assert_int_equal(client->received_bytes, 2);
    talker_close(client);
    fixture_free(&f);
}

static void ask_early(struct strait_config *config)
{
    config->keepalive_idle_s = 10;
    config->keepalive_interval_s = 1;
}

static void the_session_of_a_peer_that_has_vanished_ends_rfc9293_3_8_4(void **state)
{
    (void)state;
    struct fixture f = serve_with(echo_start, &(struct pair_config){.configure = ask_early});
    struct talker *client = talker_connect(f.pair, 0, 7);
    pair_run(f.pair, 60 * PAIR_S);
    assert_int_equal(server_sessions(f.server), 1); /* a quiet one stays */
    pair_filter(f.pair, nothing_passes, NULL);
    pair_until(f.pair, no_session, f.server);
    talker_close(client);
    fixture_free(&f);
}

static void hold_little(struct strait_config *config)
{
    config->receive_buffer_bytes = 1 << 20;
}

static void echo_reads_no_further_while_the_peer_does_not_read(void **state)
{
    (void)state;
    struct fixture f = serve_with(echo_start, &(struct pair_config){.configure = hold_little});
    struct talker *client = talker_connect(f.pair, 0, 7);
    char *much = calloc(4, BULK);
    assert_non_null(much);
    memcpy(much + BULK, bulk, BULK);
    talker_be_deaf(client, true);
    talker_say(client, much, (size_t)4 * BULK);
    talker_finish(client);
    pair_run(f.pair, 10 * PAIR_S);
    size_t left = client->sending_bytes;
    assert_true(left > 0);
    pair_run(f.pair, 10 * PAIR_S);
    assert_int_equal(client->sending_bytes, left);

    talker_be_deaf(client, false);
    talker_hear_end(client);
    assert_int_equal(client->received_bytes, (size_t)4 * BULK);
    assert_memory_equal(client->received, much, (size_t)4 * BULK);
    talker_close(client);
    fixture_free(&f);
    free(much);
}

static void echo_ends_a_session_that_is_reset(void **state)
{
    (void)state;
    struct fixture f = serve(echo_start);
    struct talker *client = talker_connect(f.pair, 0, 7);
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    talker_be_deaf(client, true);
    talker_say(client, bulk, BULK);
    pair_run(f.pair, PAIR_S);
    assert_int_equal(server_sessions(f.server), 1);
    assert_int_equal(strait_setsockopt(pair_stack(f.pair, 0), client->fd, SOL_SOCKET, SO_LINGER,
                                       &now, sizeof(now)),
                     0);
    talker_close(client);
    pair_until(f.pair, no_session, f.server);
    fixture_free(&f);
}

/* ---- Discard ---- */

static void discard_takes_everything_and_says_nothing_rfc863(void **state)
{
    (void)state;
    struct fixture f = serve(discard_start);
    struct talker *client = talker_connect(f.pair, 0, 7);
    talker_say(client, bulk, BULK);
    talker_finish(client);
    talker_hear_end(client);
    assert_int_equal(client->error, 0);
    assert_int_equal(client->sending_bytes, 0);
    assert_int_equal(client->received_bytes, 0);
    assert_int_equal(server_sessions(f.server), 0);
    talker_close(client);
    fixture_free(&f);
}

/* ---- Character Generator ---- */

/* Byte `i` of the pattern in RFC 864: "one popular pattern". */
static char pattern(size_t i)
{
    size_t line = i / 74, column = i % 74;
    if (column >= 72)
        return column == 72 ? '\r' : '\n';
    return (char)(' ' + (line + column) % 95);
}

static void expect_pattern(const struct talker *client)
{
    for (size_t i = 0; i < client->received_bytes; i++)
        if (client->received[i] != pattern(i))
            fail_msg("byte %zu is %d and not %d", i, client->received[i], pattern(i));
}

static void chargen_sends_the_pattern_of_rfc864(void **state)
{
    (void)state;
    static const char first_lines[] =
        " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n"
        "!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n";
    struct fixture f = serve(chargen_start);
    struct talker *client = talker_connect(f.pair, 0, 7);
    talker_hear(client, BULK);
    assert_memory_equal(client->received, first_lines, strlen(first_lines));
    expect_pattern(client);
    talker_close(client);
    pair_until(f.pair, no_session, f.server);
    fixture_free(&f);
}

static void chargen_goes_on_when_the_peer_has_only_finished_its_own_side(void **state)
{
    (void)state;
    struct fixture f = serve(chargen_start);
    struct talker *client = talker_connect(f.pair, 0, 7);
    talker_say(client, bulk, 100000);
    talker_finish(client);
    talker_hear(client, BULK);
    expect_pattern(client);
    talker_close(client);
    pair_until(f.pair, no_session, f.server);
    fixture_free(&f);
}

static void what_chargen_has_sent_arrives_though_its_server_is_gone(void **state)
{
    (void)state;
    struct fixture f = serve(chargen_start);
    struct talker *client = talker_connect(f.pair, 0, 7);
    talker_be_deaf(client, true);
    pair_run(f.pair, PAIR_S);
    server_stop(f.server);
    pair_run(f.pair, 6 * PAIR_S); /* more than a session waits for the peer to finish */
    assert_int_equal(server_sessions(f.server), 0);
    server_free(f.server);

    talker_be_deaf(client, false);
    talker_hear_end(client);
    assert_int_equal(client->error, 0);
    assert_true(client->received_bytes > 1048576); /* more than the peer's window */
    expect_pattern(client);
    talker_close(client);
    pair_free(f.pair);
}

/* ---- The end of a server ---- */

static void a_stopped_server_finishes_its_sessions_and_accepts_no_more(void **state)
{
    (void)state;
    struct fixture f = serve(echo_start);
    struct talker *quiet = talker_connect(f.pair, 0, 7), *busy = talker_connect(f.pair, 0, 7);
    talker_be_deaf(busy, true);
    talker_say(busy, bulk, BULK);
    pair_run(f.pair, PAIR_S);
    server_stop(f.server);

    talker_hear_end(quiet);
    assert_true(quiet->ended);
    assert_int_equal(server_sessions(f.server), 2);
    struct talker *late = talker_connect(f.pair, 0, 7);
    talker_hear_end(late);
    assert_int_equal(late->error, ECONNREFUSED);

    /* What echo has read it still returns, in order; and then it ends. */
    talker_be_deaf(busy, false);
    talker_hear_end(busy);
    assert_true(busy->ended);
    assert_true(busy->received_bytes > 0);
    assert_memory_equal(busy->received, bulk, busy->received_bytes);
    talker_close(quiet);
    talker_close(busy);
    talker_close(late);
    pair_until(f.pair, no_session, f.server);
    assert_int_equal(pair_counter(f.pair, 1, "tcp_resets_out"), 1);
    fixture_free(&f);
}

static void a_peer_that_never_finishes_is_left_after_five_seconds(void **state)
{
    (void)state;
    struct fixture f = serve(echo_start);
    struct talker *client = talker_connect(f.pair, 0, 7);
    pair_run(f.pair, PAIR_S);
    server_stop(f.server);
    pair_run(f.pair, 4900 * PAIR_MS);
    assert_int_equal(server_sessions(f.server), 1);
    pair_run(f.pair, 200 * PAIR_MS);
    assert_int_equal(server_sessions(f.server), 0);
    talker_close(client);
    fixture_free(&f);
}

static void a_freed_server_resets_what_is_left(void **state)
{
    (void)state;
    struct fixture f = serve(echo_start);
    struct talker *client = talker_connect(f.pair, 0, 7);
    pair_run(f.pair, PAIR_S);
    server_free(f.server);
    talker_hear_end(client);
    assert_int_equal(client->error, ECONNRESET);
    talker_close(client);
    pair_free(f.pair);
}

static void a_port_in_use_is_refused(void **state)
{
    (void)state;
    struct fixture f = serve(echo_start);
    assert_null(discard_start(pair_stack(f.pair, 1), pair_env(f.pair), 7));
    assert_int_equal(errno, EADDRINUSE);
    fixture_free(&f);
}

static void allow_many(struct strait_config *config)
{
    config->sockets_max = 3 * SESSIONS_MAX;
    config->connections_max = 3 * SESSIONS_MAX;
}

static void the_connection_beyond_the_limit_waits_until_one_ends(void **state)
{
    (void)state;
    struct fixture f = serve_with(echo_start, &(struct pair_config){.configure = allow_many});
    struct talker *clients[SESSIONS_MAX];
    for (int i = 0; i < SESSIONS_MAX; i++) {
        clients[i] = talker_connect(f.pair, 0, 7);
        if (i % 64 == 63) /* no more at once than the backlog takes */
            pair_run(f.pair, 100 * PAIR_MS);
    }
    assert_int_equal(server_sessions(f.server), SESSIONS_MAX);
    struct talker *waiting = talker_connect(f.pair, 0, 7);
    talker_say(waiting, "hello", 5);
    pair_run(f.pair, PAIR_S);
    assert_int_equal(server_sessions(f.server), SESSIONS_MAX);
    assert_int_equal(waiting->received_bytes, 0);

    talker_close(clients[0]);
    talker_hear(waiting, 5);
    assert_int_equal(server_sessions(f.server), SESSIONS_MAX);
    for (int i = 1; i < SESSIONS_MAX; i++)
        talker_close(clients[i]);
    talker_close(waiting);
    pair_until(f.pair, no_session, f.server);
    fixture_free(&f);
}

/* ---- UDP ---- */

static int udp_socket(struct pair *pair, uint16_t port)
{
    struct strait *stack = pair_stack(pair, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = strait_socket(stack, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(strait_bind(stack, fd, (struct sockaddr *)&any, sizeof(any)), 0);
    struct sockaddr_in to = pair_address(1, 7);
    assert_int_equal(strait_connect(stack, fd, (struct sockaddr *)&to, sizeof(to)), 0);
    return fd;
}

static void udp_echo_returns_each_datagram_rfc862(void **state)
{
    (void)state;
    char bytes[2000];
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct strait *stack = pair_stack(pair, 0);
    struct echo_udp *echo = echo_udp_start(pair_stack(pair, 1), 7);
    assert_non_null(echo);
    int fd = udp_socket(pair, 5000);
    assert_int_equal(strait_send(stack, fd, bulk, 1400, 0), 1400);
    assert_int_equal(strait_send(stack, fd, "", 0, 0), 0);
    pair_run(pair, 10 * PAIR_MS);
    assert_int_equal(strait_recv(stack, fd, bytes, sizeof(bytes), 0), 1400);
    assert_memory_equal(bytes, bulk, 1400);
    assert_int_equal(strait_recv(stack, fd, bytes, sizeof(bytes), 0), 0);
    echo_udp_stop(echo);
    pair_free(pair);
}

static void udp_echo_does_not_talk_to_another_echo(void **state)
{
    (void)state;
    char byte;
    struct pair *pair = pair_new(&(struct pair_config){0});
    struct strait *stack = pair_stack(pair, 0);
    struct echo_udp *echo = echo_udp_start(pair_stack(pair, 1), 7);
    assert_non_null(echo);
    int fd = udp_socket(pair, 19);
    assert_int_equal(strait_send(stack, fd, "x", 1, 0), 1);
    pair_run(pair, 10 * PAIR_MS);
    assert_int_equal(strait_recv(stack, fd, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    echo_udp_stop(echo);
    pair_free(pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_returns_what_it_gets_and_then_closes_rfc862),
        cmocka_unit_test(echo_returns_bulk_in_order),
        cmocka_unit_test(echo_answers_at_once_rfc9293_3_7_4),
        cmocka_unit_test(the_session_of_a_peer_that_has_vanished_ends_rfc9293_3_8_4),
        cmocka_unit_test(echo_reads_no_further_while_the_peer_does_not_read),
        cmocka_unit_test(echo_ends_a_session_that_is_reset),
        cmocka_unit_test(discard_takes_everything_and_says_nothing_rfc863),
        cmocka_unit_test(chargen_sends_the_pattern_of_rfc864),
        cmocka_unit_test(chargen_goes_on_when_the_peer_has_only_finished_its_own_side),
        cmocka_unit_test(what_chargen_has_sent_arrives_though_its_server_is_gone),
        cmocka_unit_test(a_stopped_server_finishes_its_sessions_and_accepts_no_more),
        cmocka_unit_test(a_peer_that_never_finishes_is_left_after_five_seconds),
        cmocka_unit_test(a_freed_server_resets_what_is_left),
        cmocka_unit_test(a_port_in_use_is_refused),
        cmocka_unit_test(the_connection_beyond_the_limit_waits_until_one_ends),
        cmocka_unit_test(udp_echo_returns_each_datagram_rfc862),
        cmocka_unit_test(udp_echo_does_not_talk_to_another_echo),
    };
    return cmocka_run_group_tests(tests, fill_bulk, NULL);
}
