/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

#define SMALL 100
#define LARGE 100000
#define HUGE  (4 << 20) /* more than a send buffer */
#define PARTS 64

/* What was lent, and how often it came back. */
struct lent {
    int released;
    int order; /* of its return among all */
    int *returns;
};

static void release(void *context)
{
    struct lent *lent = context;

    lent->released++;
    if (lent->returns)
        lent->order = ++*lent->returns;
}

static uint8_t *pattern(size_t length)
{
    uint8_t *bytes = malloc(length);

    assert_non_null(bytes);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 251);
    return bytes;
}

static ssize_t lend(struct wire *w, int fd, const void *bytes, size_t length, struct lent *lent)
{
    return strait_send_reference(w->left, fd, bytes, length, release, lent);
}

/* Reads exactly so many bytes at the server, and compares them. */
static void expect_bytes(struct wire *w, int server, const uint8_t *bytes, size_t length)
{
    static uint8_t got[65536];
    size_t done = 0;

    for (int rounds = 0; done < length; rounds++) {
        assert_true(rounds < 10000);
        ssize_t n = strait_recv(w->right, server, got, sizeof(got), 0);
        if (n > 0) {
            assert_true(done + (size_t)n <= length);
            assert_memory_equal(got, bytes + done, (size_t)n);
            done += (size_t)n;
        }
        wire_run(w);
    }
}

/* ---- Sending by reference ---- */

static void a_reference_is_sent_and_released_once(void **state)
{
    struct wire *w = *state;
    struct lent lent = {0};
    uint8_t *bytes = pattern(LARGE);
    int client, server;

    wire_established(w, wire_listener(w), &client, &server);
    assert_int_equal(lend(w, client, bytes, LARGE, &lent), LARGE);
    assert_int_equal(strait_memory(w->left), 0); /* nothing was copied */
    assert_int_equal(lent.released, 0);
    expect_bytes(w, server, bytes, LARGE);
    pair_run(w->pair, PAIR_S);
    assert_int_equal(lent.released, 1);
    assert_int_equal(strait_close(w->left, client), 0);
    wire_run(w);
    assert_int_equal(lent.released, 1);
    free(bytes);
}

static void references_and_copies_keep_their_order(void **state)
{
    struct wire *w = *state;
    int returns = 0;
    struct lent lent[3] = {{.returns = &returns}, {.returns = &returns}, {.returns = &returns}};
    uint8_t *bytes = pattern(3 * LARGE);
    int client, server;

    wire_established(w, wire_listener(w), &client, &server);
    assert_int_equal(strait_send(w->left, client, bytes, SMALL, 0), SMALL);
    size_t at = SMALL;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(lend(w, client, bytes + at, LARGE / 2, &lent[i]), LARGE / 2);
        at += LARGE / 2;
        assert_int_equal(strait_send(w->left, client, bytes + at, SMALL, 0), SMALL);
        at += SMALL;
    }
    expect_bytes(w, server, bytes, at);
    pair_run(w->pair, PAIR_S);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lent[i].order, i + 1);
    free(bytes);
}

static bool lose_some(void *context, int from, const uint8_t *packet, size_t length)
{
    int *packets = context;

    (void)from, (void)packet, (void)length;
    return ++*packets % 7 != 0;
}

static void a_reference_is_sent_again_after_a_loss(void **state)
{
    struct wire *w = *state;
    struct lent lent = {0};
    uint8_t *bytes = pattern(LARGE);
    int client, server, packets = 0;

    wire_established(w, wire_listener(w), &client, &server);
    pair_filter(w->pair, lose_some, &packets);
    assert_int_equal(lend(w, client, bytes, LARGE, &lent), LARGE);
    expect_bytes(w, server, bytes, LARGE);
    pair_run(w->pair, 60 * PAIR_S);
    assert_int_equal(lent.released, 1);
    free(bytes);
}

static void a_short_reference_is_copied(void **state)
{
    struct wire *w = *state;
    struct lent lent = {0};
    uint8_t *bytes = pattern(SMALL);
    int client, server;

    wire_established(w, wire_listener(w), &client, &server);
    assert_int_equal(lend(w, client, bytes, SMALL, &lent), SMALL);
    assert_int_equal(lent.released, 0); /* never within the call */
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(lent.released, 1);
    uint8_t was[SMALL];
    memcpy(was, bytes, SMALL);
    memset(bytes, 0, SMALL);
    expect_bytes(w, server, was, SMALL);
    free(bytes);
}

static void a_reference_comes_back_when_the_connection_ends(void **state)
{
    struct wire *w = *state;
    struct lent lents[3] = {{0}};
    uint8_t *bytes = pattern(HUGE);
    int client, server, listener = wire_listener(w);
    struct linger now = {.l_onoff = 1};

    wire_established(w, listener, &client, &server); /* by a reset of ours */
    assert_int_equal(lend(w, client, bytes, HUGE, &lents[0]), HUGE);
    assert_int_equal(strait_setsockopt(w->left, client, SOL_SOCKET, SO_LINGER, &now, sizeof(now)),
                     0);
    assert_int_equal(strait_close(w->left, client), 0);
    assert_int_equal(lents[0].released, 0); /* never within the call */
    assert_int_equal(strait_dispatch(w->left), 1);
    assert_int_equal(lents[0].released, 1);

    wire_established(w, listener, &client, &server); /* by a reset of the peer's */
    assert_int_equal(lend(w, client, bytes, HUGE, &lents[1]), HUGE);
    wire_reset(w, w->right, server);
    wire_run(w);
    assert_int_equal(lents[1].released, 1);

    wire_established(w, listener, &client, &server); /* with the stack itself */
    assert_int_equal(lend(w, client, bytes, HUGE, &lents[2]), HUGE);
    *state = wire_new(NULL);
    wire_free(w);
    for (int i = 0; i < 3; i++)
        assert_int_equal(lents[i].released, 1);
    free(bytes);
}

static void a_close_in_order_sends_what_was_lent(void **state)
{
    struct wire *w = *state;
    struct lent lent = {0};
    uint8_t *bytes = pattern(HUGE);
    int client, server;

    wire_established(w, wire_listener(w), &client, &server);
    assert_int_equal(lend(w, client, bytes, HUGE, &lent), HUGE);
    assert_int_equal(strait_close(w->left, client), 0);
    expect_bytes(w, server, bytes, HUGE);
    assert_int_equal(strait_close(w->right, server), 0);
    pair_run(w->pair, PAIR_S);
    assert_int_equal(lent.released, 1);
    assert_int_equal(strait_connections(w->left), 0);
    free(bytes);
}

/* Who gets his memory back, and has more to send at once. */
struct refill {
    struct strait *stack;
    int fd;
    bool told;
};

static void refill(void *context)
{
    struct refill *r = context;
    struct pollfd one = {.fd = r->fd, .events = POLLOUT};
    char byte = 'x';

    r->told = true;
    assert_errno(strait_send(r->stack, r->fd, &byte, 1, 0), EBADF);
    assert_errno(strait_recv(r->stack, r->fd, &byte, 1, 0), EBADF);
    assert_errno(strait_close(r->stack, r->fd), EBADF);
    assert_errno(strait_socket(r->stack, AF_INET, SOCK_STREAM, 0), EMFILE);
    assert_errno(strait_poll(r->stack, &one, 1, 0), EINVAL);
}

static void who_is_told_by_the_end_of_the_stack_finds_no_socket(void **state)
{
    struct strait_config config;
    uint8_t *bytes = pattern(LARGE);

    (void)state;
    strait_config_init(&config);
    struct strait *stack = strait_new(&config, NULL);
    struct refill lender = {.stack = stack};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof(in);
    int listener = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(strait_bind(stack, listener, (struct sockaddr *)&in, sizeof(in)), 0);
    assert_int_equal(strait_listen(stack, listener, 1), 0);
    assert_int_equal(strait_getsockname(stack, listener, (struct sockaddr *)&in, &length), 0);
    lender.fd = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_errno(strait_connect(stack, lender.fd, (struct sockaddr *)&in, sizeof(in)), EINPROGRESS);
    for (int i = 0; i < 8; i++)
        strait_advance(stack, PAIR_S);
    assert_int_equal(strait_send_reference(stack, lender.fd, bytes, LARGE, refill, &lender), LARGE);
    strait_free(stack);
    assert_true(lender.told);
    free(bytes);
}

static void a_full_buffer_takes_no_reference(void **state)
{
    struct wire *w = *state;
    struct lent lent = {0}, refused = {0};
    uint8_t *bytes = pattern(HUGE);
    int client, server;

    wire_established(w, wire_listener(w), &client, &server);
    assert_int_equal(lend(w, client, bytes, HUGE, &lent), HUGE); /* more than the buffer holds */
    assert_errno(lend(w, client, bytes, LARGE, &refused), EAGAIN);
    assert_errno(lend(w, client, bytes, SMALL, &refused), EAGAIN);
    struct pollfd one = {.fd = client, .events = POLLOUT};
    assert_int_equal(strait_poll(w->left, &one, 1, 0), 0);
    expect_bytes(w, server, bytes, HUGE);
    assert_int_equal(strait_poll(w->left, &one, 1, 0), 1);
    assert_int_equal(refused.released, 0);
    free(bytes);
}

static void references_have_their_errors(void **state)
{
    struct wire *w = *state;
    struct lent lent = {0};
    uint8_t byte = 0;
    int client, server, fresh = wire_stream(w->left, SOCK_NONBLOCK);

    wire_established(w, wire_listener(w), &client, &server);
    assert_errno(lend(w, -1, &byte, 1, &lent), EBADF);
    assert_errno(lend(w, fresh, &byte, 1, &lent), EPIPE);
    assert_errno(lend(w, wire_datagram(w->left, 0, 0), &byte, 1, &lent), EOPNOTSUPP);
    assert_errno(lend(w, client, &byte, 0, &lent), EINVAL);
    assert_errno(lend(w, client, NULL, 1, &lent), EINVAL);
    assert_errno(strait_send_reference(w->left, client, &byte, 1, NULL, NULL), EINVAL);
    assert_errno(lend(w, client, &byte, ((size_t)1 << 29) + 1, &lent), EMSGSIZE);
    assert_int_equal(strait_shutdown(w->left, client, SHUT_WR), 0);
    assert_errno(lend(w, client, &byte, 1, &lent), EPIPE);
    wire_run(w);
    assert_int_equal(lent.released, 0);
}

/* ---- Receiving by borrowing ---- */

static size_t total(const struct iovec *parts, int count)
{
    size_t bytes = 0;

    for (int i = 0; i < count; i++)
        bytes += parts[i].iov_len;
    return bytes;
}

static void what_is_borrowed_is_what_was_sent(void **state)
{
    struct wire *w = *state;
    struct iovec parts[PARTS];
    uint8_t *bytes = pattern(LARGE);
    size_t done = 0;
    int client, server;

    wire_established(w, wire_listener(w), &client, &server);
    assert_errno(strait_recv_borrow(w->right, server, parts, PARTS), EAGAIN);
    assert_int_equal(strait_send(w->left, client, bytes, LARGE, 0), LARGE);
    assert_int_equal(strait_shutdown(w->left, client, SHUT_WR), 0);
    for (int rounds = 0; done < LARGE; rounds++) {
        assert_true(rounds < 1000);
        wire_run(w);
        int count = strait_recv_borrow(w->right, server, parts, 2);
        if (count < 0)
            continue;
        assert_in_range(count, 1, 2);
        for (int i = 0; i < count; i++) {
            assert_memory_equal(parts[i].iov_base, bytes + done, parts[i].iov_len);
            done += parts[i].iov_len;
        }
        assert_int_equal(strait_recv_consume(w->right, server, total(parts, count)), 0);
    }
    wire_run(w);
    assert_int_equal(strait_recv_borrow(w->right, server, parts, PARTS), 0);
    assert_int_equal(strait_memory(w->right), 0);
    free(bytes);
}

static void what_is_borrowed_can_be_consumed_in_part(void **state)
{
    struct wire *w = *state;
    struct iovec part;
    char bytes[8];
    int client, server;

    wire_established(w, wire_listener(w), &client, &server);
    assert_int_equal(strait_send(w->left, client, "abcde", 5, 0), 5);
    wire_run(w);
    assert_int_equal(strait_recv_borrow(w->right, server, &part, 1), 1);
    assert_int_equal(part.iov_len, 5);
    assert_int_equal(strait_recv_consume(w->right, server, 0), 0);
    assert_int_equal(strait_recv_consume(w->right, server, 2), 0);
    assert_int_equal(strait_recv_borrow(w->right, server, &part, 1), 1);
    assert_int_equal(part.iov_len, 3);
    assert_memory_equal(part.iov_base, "cde", 3);
    assert_errno(strait_recv_consume(w->right, server, 4), EINVAL);
    assert_int_equal(strait_recv(w->right, server, bytes, sizeof(bytes), 0), 3);
    assert_memory_equal(bytes, "cde", 3);
}

static void what_is_borrowed_stays_while_more_arrives(void **state)
{
    struct wire *w = *state;
    struct iovec part;
    uint8_t *bytes = pattern(LARGE);
    int client, server;

    wire_established(w, wire_listener(w), &client, &server);
    assert_int_equal(strait_send(w->left, client, bytes, SMALL, 0), SMALL);
    wire_run(w);
    assert_int_equal(strait_recv_borrow(w->right, server, &part, 1), 1);
    assert_int_equal(strait_send(w->left, client, bytes + SMALL, LARGE - SMALL, 0), LARGE - SMALL);
    pair_run(w->pair, PAIR_S);
    assert_memory_equal(part.iov_base, bytes, SMALL);
    expect_bytes(w, server, bytes, LARGE);
    free(bytes);
}

static void consuming_opens_the_window(void **state)
{
    struct wire *w = *state;
    struct iovec parts[PARTS];
    uint8_t *bytes = pattern(HUGE);
    struct lent lent = {0};
    int client, server;

    wire_established(w, wire_listener(w), &client, &server);
    assert_int_equal(lend(w, client, bytes, HUGE, &lent), HUGE);
    for (size_t done = 0; done < HUGE; wire_run(w)) {
        int count = strait_recv_borrow(w->right, server, parts, PARTS);
        if (count < 0)
            continue;
        assert_int_equal(strait_recv_consume(w->right, server, total(parts, count)), 0);
        done += total(parts, count);
    }
    pair_run(w->pair, PAIR_S);
    assert_int_equal(lent.released, 1);
    free(bytes);
}

static void borrowing_stops_at_the_mark(void **state)
{
    struct wire *w = *state;
    struct iovec part;
    int client, server;

    wire_established(w, wire_listener(w), &client, &server);
    assert_int_equal(strait_send(w->left, client, "ab", 2, 0), 2);
    assert_int_equal(strait_send(w->left, client, "!", 1, MSG_OOB), 1);
    wire_run(w);
    assert_int_equal(strait_recv_borrow(w->right, server, &part, 1), 1);
    assert_int_equal(part.iov_len, 2);
    assert_errno(strait_recv_consume(w->right, server, 3), EINVAL);
    assert_int_equal(strait_recv_consume(w->right, server, 2), 0);
    assert_int_equal(strait_sockatmark(w->right, server), 1);
}

static void borrowing_has_its_errors(void **state)
{
    struct wire *w = *state;
    struct iovec part;
    int client, server, udp = wire_datagram(w->right, 0, 0);
    int fresh = wire_stream(w->right, SOCK_NONBLOCK);

    wire_established(w, wire_listener(w), &client, &server);
    assert_errno(strait_recv_borrow(w->right, -1, &part, 1), EBADF);
    assert_errno(strait_recv_consume(w->right, -1, 1), EBADF);
    assert_errno(strait_recv_borrow(w->right, fresh, &part, 1), ENOTCONN);
    assert_errno(strait_recv_consume(w->right, fresh, 1), ENOTCONN);
    assert_errno(strait_recv_borrow(w->right, udp, &part, 1), EOPNOTSUPP);
    assert_errno(strait_recv_consume(w->right, udp, 1), EOPNOTSUPP);
    assert_errno(strait_recv_borrow(w->right, server, &part, 0), EINVAL);
    assert_errno(strait_recv_borrow(w->right, server, NULL, 1), EFAULT);
    wire_reset(w, w->left, client);
    wire_run(w);
    assert_errno(strait_recv_borrow(w->right, server, &part, 1), ECONNRESET);
    assert_int_equal(strait_recv_borrow(w->right, server, &part, 1), 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, wire_setup, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_reference_is_sent_and_released_once),
        TEST(references_and_copies_keep_their_order),
        TEST(a_reference_is_sent_again_after_a_loss),
        TEST(a_short_reference_is_copied),
        TEST(a_reference_comes_back_when_the_connection_ends),
        TEST(a_close_in_order_sends_what_was_lent),
        TEST(who_is_told_by_the_end_of_the_stack_finds_no_socket),

        TEST(a_full_buffer_takes_no_reference),
        TEST(references_have_their_errors),
        TEST(what_is_borrowed_is_what_was_sent),
        TEST(what_is_borrowed_can_be_consumed_in_part),
        TEST(what_is_borrowed_stays_while_more_arrives),
        TEST(consuming_opens_the_window),
        TEST(borrowing_stops_at_the_mark),
        TEST(borrowing_has_its_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
