/* SPDX-License-Identifier: MIT */
/* What the loopback of tests/posix cannot show: paths that carry less, and limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/errqueue.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "udp/udp.h"
#include "wire.h"

#define PORT         7000
#define MTU          1500
#define FLAGS_AT     6 /* in the IPv4 header */
#define ID_AT        4
#define DF           0x4000u
#define TOO_LONG     (MTU - 20 - 8 + 1)
#define SHORT        600 /* of which fragments could be made, RFC 6864 4 */
#define ROUNDS       (3 * UDP_FAILURES_MAX)
#define FAILURE_SIZE (sizeof(struct sock_extended_err) + sizeof(struct sockaddr_in))

/* The packets that the left host has sent. */
struct seen {
    int packets;
    uint16_t flags, id; /* of the last one's header */
};

static bool look(void *context, int from, const uint8_t *packet, size_t length)
{
    struct seen *seen = context;

    assert_true(length >= 20);
    if (from == 0) {
        seen->packets++;
        seen->flags = load_be16(packet + FLAGS_AT);
        seen->id = load_be16(packet + ID_AT);
    }
    return true;
}

/* A socket of the left host that is connected to the right one, where nobody receives. */
static int connected(struct wire *w, int discover)
{
    struct sockaddr_in there = pair_address(1, PORT);
    int fd = wire_datagram(w->left, 0, SOCK_NONBLOCK);

    assert_int_equal(strait_connect(w->left, fd, (struct sockaddr *)&there, sizeof(there)), 0);
    assert_int_equal(
        strait_setsockopt(w->left, fd, IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof(discover)),
        0);
    return fd;
}

static void keep_failures(struct wire *w, int fd)
{
    int on = 1;

    assert_int_equal(strait_setsockopt(w->left, fd, IPPROTO_IP, IP_RECVERR, &on, sizeof(on)), 0);
}

/* Takes a failure that is there. */
static struct sock_extended_err take_failure(struct wire *w, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(FAILURE_SIZE)];
    } control;
    struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof(control)};
    struct sock_extended_err error;

    assert_true(strait_recvmsg(w->left, fd, &message, MSG_ERRQUEUE) >= 0);
    assert_int_equal(control.header.cmsg_len, CMSG_LEN(FAILURE_SIZE));
    memcpy(&error, CMSG_DATA(&control.header), sizeof(error));
    return error;
}

/* Sends so much, and looks at the last packet that has left. */
static ssize_t send_bytes(struct wire *w, int fd, size_t length, struct seen *seen)
{
    static char bytes[2 * MTU];

    *seen = (struct seen){0};
    pair_filter(w->pair, look, seen);
    ssize_t sent = strait_send(w->left, fd, bytes, length, 0);
    pair_filter(w->pair, NULL, NULL);
    return sent;
}

/* ---- IP_MTU_DISCOVER ---- */

static void discovery_decides_on_df_and_fragments(void **state)
{
    static const struct {
        int discover;
        bool df, cuts;
    } kinds[] = {
        {IP_PMTUDISC_DONT, false, true},       {IP_PMTUDISC_WANT, true, true},
        {IP_PMTUDISC_DO, true, false},         {IP_PMTUDISC_PROBE, true, false},
        {IP_PMTUDISC_INTERFACE, false, false}, {IP_PMTUDISC_OMIT, false, true},
    };
    struct wire *w = *state;
    struct seen seen;

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        int fd = connected(w, kinds[i].discover);
        assert_int_equal(send_bytes(w, fd, SHORT, &seen), SHORT);
        assert_int_equal(seen.packets, 1);
        assert_int_equal(seen.flags, kinds[i].df ? DF : 0);
        if (kinds[i].cuts) {
            assert_int_equal(send_bytes(w, fd, TOO_LONG, &seen), TOO_LONG);
            assert_int_equal(seen.packets, 2);
            assert_int_equal(seen.flags & DF, 0);
        } else {
            assert_errno(send_bytes(w, fd, TOO_LONG, &seen), EMSGSIZE);
            assert_int_equal(seen.packets, 0);
        }
        assert_int_equal(strait_close(w->left, fd), 0);
    }
}

/* RFC 6864 4: what routers may cut is not atomic. */
static void what_may_be_cut_has_an_identification_of_its_own_rfc6864_4(void **state)
{
    struct wire *w = *state;
    struct seen first, second;
    int fd = connected(w, IP_PMTUDISC_DONT);

    assert_int_equal(send_bytes(w, fd, SHORT, &first), SHORT);
    assert_int_equal(send_bytes(w, fd, SHORT, &second), SHORT);
    assert_int_not_equal(first.id, second.id);
}

static void what_is_too_long_to_be_sent_is_kept_with_the_mtu(void **state)
{
    struct wire *w = *state;
    struct seen seen;
    int fd = connected(w, IP_PMTUDISC_DO);

    keep_failures(w, fd);
    assert_errno(send_bytes(w, fd, TOO_LONG, &seen), EMSGSIZE);
    struct pollfd one = {.fd = fd, .events = POLLIN};
    assert_int_equal(strait_poll(w->left, &one, 1, 0), 1);
    assert_int_equal(one.revents, POLLERR);
    struct sock_extended_err error = take_failure(w, fd);
    assert_int_equal(error.ee_errno, EMSGSIZE);
    assert_int_equal(error.ee_origin, SO_EE_ORIGIN_LOCAL);
    assert_int_equal(error.ee_info, MTU);
    assert_int_equal(send_bytes(w, fd, SHORT, &seen), SHORT); /* no error is pending */
}

static void a_stream_lets_routers_cut_if_it_is_to(void **state)
{
    struct wire *w = *state;
    static const char bytes[SHORT];
    struct seen seen;
    int client, server, discover = IP_PMTUDISC_DONT;

    wire_established(w, wire_listener(w), &client, &server);
    pair_filter(w->pair, look, &seen);
    assert_int_equal(strait_send(w->left, client, bytes, SHORT, 0), SHORT);
    pair_run(w->pair, PAIR_S); /* until it is acknowledged */
    assert_int_equal(seen.flags, DF);
    assert_int_equal(strait_setsockopt(w->left, client, IPPROTO_IP, IP_MTU_DISCOVER, &discover,
                                       sizeof(discover)),
                     0);
    assert_int_equal(strait_send(w->left, client, bytes, SHORT, 0), SHORT);
    wire_run(w);
    assert_int_equal(seen.flags, 0);
}

/* ---- IP_RECVERR ---- */

static void failures_that_nobody_reads_are_limited(void **state)
{
    struct wire *w = *state;
    struct seen seen;
    int fd = connected(w, IP_PMTUDISC_DO);

    keep_failures(w, fd);
    for (int i = 0; i < ROUNDS; i++)
        assert_errno(send_bytes(w, fd, TOO_LONG, &seen), EMSGSIZE);
    assert_int_equal(pair_counter(w->pair, 0, "udp_failures_limited"), ROUNDS - UDP_FAILURES_MAX);
    for (int i = 0; i < UDP_FAILURES_MAX; i++)
        take_failure(w, fd);
    struct msghdr message = {.msg_iovlen = 0};
    assert_errno(strait_recvmsg(w->left, fd, &message, MSG_ERRQUEUE), EAGAIN);
    assert_int_equal(strait_memory(w->left), 0);
}

static void close_drops_the_failures(void **state)
{
    struct wire *w = *state;
    struct seen seen;
    int fd = connected(w, IP_PMTUDISC_DO);

    keep_failures(w, fd);
    assert_errno(send_bytes(w, fd, TOO_LONG, &seen), EMSGSIZE);
    assert_true(strait_memory(w->left) > 0);
    assert_int_equal(strait_close(w->left, fd), 0);
    assert_int_equal(strait_memory(w->left), 0);
}

struct watch {
    struct strait *stack;
    short events; /* that it was told of; then it ends */
};

static void told(void *argument, int fd, short revents)
{
    struct watch *watch = argument;

    watch->events = revents;
    strait_watch(watch->stack, fd, 0, NULL, NULL);
}

static void a_watch_is_told_of_a_failure(void **state)
{
    struct wire *w = *state;
    struct seen seen;
    struct watch watch = {.stack = w->left};
    int fd = connected(w, IP_PMTUDISC_DO);

    keep_failures(w, fd);
    assert_int_equal(strait_watch(w->left, fd, POLLIN, told, &watch), 0);
    wire_run(w);
    assert_int_equal(watch.events, 0);
    assert_errno(send_bytes(w, fd, TOO_LONG, &seen), EMSGSIZE);
    wire_run(w);
    assert_int_equal(watch.events, POLLERR);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, wire_setup, wire_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(discovery_decides_on_df_and_fragments),
        TEST(what_may_be_cut_has_an_identification_of_its_own_rfc6864_4),
        TEST(what_is_too_long_to_be_sent_is_kept_with_the_mtu),
        TEST(a_stream_lets_routers_cut_if_it_is_to),
        TEST(failures_that_nobody_reads_are_limited),
        TEST(close_drops_the_failures),
        TEST(a_watch_is_told_of_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
