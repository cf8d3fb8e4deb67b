/* SPDX-License-Identifier: MIT */
/* The links that a loop drains, and the stacks behind them. */
#define _GNU_SOURCE /* pipe2 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/list.h"
#include "host/tun.h"
#include "loop_fixture.h"

/* Notes a turn, and asks for one more as long as there are to be some; then ends the run. */
struct turns {
    struct loop_fixture *fixture;
    int left;
};

static void post_for_turns(void *argument)
{
    struct turns *turns = argument;
    loop_note(turns->fixture, 'a');
    if (--turns->left > 0)
        strait_post(turns->fixture->env, post_for_turns, turns);
    else
        strait_loop_stop(turns->fixture->loop);
}

#define LONG_NS 100000         /* a turn that takes as long is a long one */
#define HELD_NS (20 * LOOP_MS) /* a packet, by a link that delays it */

/* A link over the pipe that notes each drain, and takes one byte by it. */
struct noting {
    struct strait_link link;
    struct loop_fixture *fixture;
    int answer;              /* of the first drain */
    int then;                /* of all others */
    struct turns *posted;    /* by the first drain, if any */
    struct loop_alarm *held; /* started by the first drain that answers 0, if any */
    uint64_t lasts_ns;       /* each drain, at least */
    uint64_t now_ns;
};

static int noting_drain(struct strait_link *link, uint64_t now_ns, size_t budget_bytes)
{
    struct noting *noting = container_of(link, struct noting, link);
    struct strait_env *env = noting->fixture->env;
    char byte;
    assert_in_range(budget_bytes, 65536, 1 << 20);
    loop_note(noting->fixture, 'l');
    noting->now_ns = now_ns;
    int answer = noting->answer;
    noting->answer = noting->then;
    if (noting->posted)
        strait_post(env, post_for_turns, noting->posted);
    noting->posted = NULL;
    if (answer == 0 && noting->held) {
        env->timer_start(env, &noting->held->timer, env->now(env) + HELD_NS);
        noting->held = NULL;
    }
    ssize_t n = read(link->fd, &byte, 1);
    (void)n;
    uint64_t began_ns = env->now(env);
    while (env->now(env) - began_ns < noting->lasts_ns)
        ;
    errno = ENODEV;
    return answer;
}

static int noting_send(struct strait_link *link, const struct iovec *parts, int count,
                       const struct strait_offload *offload)
{
    (void)link;
    (void)parts;
    (void)count;
    (void)offload;
    return 0;
}

static struct noting noting_over(struct loop_fixture *f)
{
    return (struct noting){.link = {.size = sizeof(struct strait_link),
                                    .name = "noting",
                                    .mtu = 1500,
                                    .fd = f->pipe[0],
                                    .send = noting_send,
                                    .drain = noting_drain},
                           .fixture = f,
                           .answer = 1,
                           .then = 1};
}

static struct strait *stack_new(struct loop_fixture *f, struct strait_link *link)
{
    struct strait_config config;
    strait_config_init(&config);
    struct strait *stack = strait_new(&config, f->env);
    assert_non_null(stack);
    assert_int_equal(strait_attach(stack, link, (struct in_addr){inet_addr("10.9.0.2")}, 24), 0);
    assert_int_equal(strait_loop_add(f->loop, stack, link), 0);
    return stack;
}

static void stack_end(struct loop_fixture *f, struct strait *stack, struct strait_link *link)
{
    strait_loop_remove(f->loop, link);
    strait_free(stack);
}

static void a_link_is_drained_while_it_is_readable(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    loop_turn_now(f);
    assert_string_equal(f->calls, "");
    assert_int_equal(write(f->pipe[1], "xx", 2), 2);
    uint64_t before_ns = f->env->now(f->env);
    loop_turn_now(f);
    assert_true(noting.now_ns >= before_ns && noting.now_ns <= f->env->now(f->env));
    loop_turn_now(f);
    loop_turn_now(f);
    assert_string_equal(f->calls, "ll");
    stack_end(f, stack, &noting.link);
}

/* Beyond a number of links the loop waits for them in another way. */
static void each_of_many_links_is_heard(void **state)
{
    enum { LINKS = 20 };
    struct loop_fixture *f = *state;
    struct noting links[LINKS];
    struct strait *stacks[LINKS];
    int ends[LINKS][2];
    for (int i = 0; i < LINKS; i++) {
        assert_int_equal(pipe2(ends[i], O_NONBLOCK), 0);
        links[i] = noting_over(f);
        links[i].link.fd = ends[i][0];
        stacks[i] = stack_new(f, &links[i].link);
    }
    for (int i = 0; i < LINKS; i++) {
        f->calls[0] = '\0';
        assert_int_equal(write(ends[i][1], "x", 1), 1);
        assert_int_equal(strait_loop_turn(f->loop, loop_in_ms(f, 10000)), 0);
        assert_string_equal(f->calls, "l");
        assert_int_equal(links[i].answer, links[i].then);
        loop_turn_now(f);
        assert_string_equal(f->calls, "l");
    }
    for (int i = 0; i < LINKS; i++) {
        stack_end(f, stacks[i], &links[i].link);
        close(ends[i][0]);
        close(ends[i][1]);
    }
}

static void a_link_that_cannot_be_waited_for_is_refused(void **state)
{
    struct loop_fixture *f = *state;
    struct strait_config config;
    struct noting noting = noting_over(f);
    noting.link.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(noting.link.fd >= 0);
    strait_config_init(&config);
    struct strait *stack = strait_new(&config, f->env);
    assert_int_equal(
        strait_attach(stack, &noting.link, (struct in_addr){inet_addr("10.9.0.2")}, 24), 0);
    assert_int_equal(strait_loop_add(f->loop, stack, &noting.link), -1);
    assert_int_equal(errno, EPERM);
    loop_turn_now(f);
    assert_string_equal(f->calls, "");
    strait_free(stack);
    close(noting.link.fd);
}

static bool readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

static void links_of_before_and_after_make_the_descriptor_readable(void **state)
{
    struct loop_fixture *f = *state;
    struct noting before = noting_over(f), after = before;
    int ends[2];
    assert_int_equal(pipe2(ends, O_NONBLOCK), 0);
    after.link.fd = ends[0];
    struct strait *first = stack_new(f, &before.link);
    int fd = strait_loop_descriptor(f->loop);
    struct strait *second = stack_new(f, &after.link);
    loop_turn_now(f);
    assert_false(readable(fd));
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    assert_true(readable(fd));
    loop_turn_now(f);
    assert_false(readable(fd));
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_true(readable(fd));
    loop_turn_now(f);
    assert_string_equal(f->calls, "ll");
    stack_end(f, first, &before.link);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    assert_false(readable(fd));
    stack_end(f, second, &after.link);
    close(ends[0]);
    close(ends[1]);
}

/* What is posted while packets come one after the other waits for some of them, and no longer. */
static void after_a_long_turn_a_link_is_read_before_all_events_are_asked_for(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    struct turns turns = {.fixture = f, .left = 1};
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    noting.posted = &turns;
    noting.lasts_ns = LONG_NS;
    assert_int_equal(strait_loop_run(f->loop), 0);
    assert_string_equal(f->calls, "llllllllllllllll" /* 16 */
                                  "a");
    stack_end(f, stack, &noting.link);
}

static void a_link_that_was_read_in_vain_is_not_read_again(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    struct turns turns = {.fixture = f, .left = 1};
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    noting.posted = &turns;
    noting.then = 0;
    noting.lasts_ns = LONG_NS;
    assert_int_equal(strait_loop_run(f->loop), 0);
    assert_string_equal(f->calls, "lla");
    stack_end(f, stack, &noting.link);
}

/* A turn is short unless the machine is busy, which it is not each time. */
static void after_a_short_turn_all_events_are_asked_for(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    for (int tries = 0; tries < 1000 && strcmp(f->calls, "la") != 0; tries++) {
        struct turns turns = {.fixture = f, .left = 1};
        f->calls[0] = '\0';
        assert_int_equal(write(f->pipe[1], "x", 1), 1);
        noting.posted = &turns;
        assert_int_equal(strait_loop_run(f->loop), 0);
    }
    assert_string_equal(f->calls, "la");
    stack_end(f, stack, &noting.link);
}

static void alarm_ends_the_run(void *owner, struct strait_timer *timer)
{
    struct loop_alarm *alarm = container_of(timer, struct loop_alarm, timer);
    loop_alarm_expired(owner, timer);
    strait_loop_stop(alarm->fixture->loop);
}

/* A link may take a packet and hold it back until a timer of its expires, as one that delays. */
static void check_held_packet(struct loop_fixture *f, struct noting *noting)
{
    struct loop_alarm held = {.timer.expired = alarm_ends_the_run, .fixture = f};
    struct loop_alarm late = held;
    struct strait *stack = stack_new(f, &noting->link);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    noting->then = 0;
    noting->held = &held;
    f->env->timer_start(f->env, &late.timer, loop_in_ms(f, 5000));
    assert_int_equal(strait_loop_run(f->loop), 0);
    f->env->timer_stop(f->env, &late.timer);
    assert_int_equal(late.expired_ns, 0);
    assert_int_not_equal(held.expired_ns, 0);
    stack_end(f, stack, &noting->link);
}

static void a_packet_that_is_held_back_after_a_long_turn_comes_in_time(void **state)
{
    struct noting noting = noting_over(*state);
    noting.lasts_ns = LONG_NS;
    check_held_packet(*state, &noting);
}

static void a_packet_that_is_held_back_from_a_busy_loop_comes_in_time(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    noting.answer = 0;
    noting.lasts_ns = LOOP_MS;
    strait_loop_busy_poll(f->loop, 5000 * LOOP_MS);
    check_held_packet(f, &noting);
}

/* The link would take a packet whenever it is asked; its descriptor does not say so. */
static void a_busy_loop_asks_a_link_before_it_sleeps(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    strait_loop_busy_poll(f->loop, 5000 * LOOP_MS);
    loop_turn_now(f); /* it would not sleep */
    assert_string_equal(f->calls, "");
    uint64_t deadline_ns = loop_in_ms(f, 10000);
    assert_int_equal(strait_loop_turn(f->loop, deadline_ns), 0);
    assert_string_equal(f->calls, "l");
    assert_true(f->env->now(f->env) < deadline_ns);
    strait_loop_busy_poll(f->loop, 0);
    assert_int_equal(strait_loop_turn(f->loop, loop_in_ms(f, 5)), 0);
    assert_string_equal(f->calls, "l");
    stack_end(f, stack, &noting.link);
}

static void a_busy_loop_hears_what_is_no_link(void **state)
{
    struct loop_fixture *f = *state;
    pthread_t thread;
    uint64_t soon_ns = loop_in_ms(f, 5000);
    strait_loop_busy_poll(f->loop, 10000 * LOOP_MS);
    assert_int_equal(pthread_create(&thread, NULL, loop_post_from_thread, f), 0);
    assert_int_equal(strait_loop_turn(f->loop, loop_in_ms(f, 20000)), 0);
    assert_string_equal(f->calls, "a");
    assert_true(f->env->now(f->env) < soon_ns);
    pthread_join(thread, NULL);
}

static void a_busy_loop_keeps_its_deadline(void **state)
{
    struct loop_fixture *f = *state;
    uint64_t deadline_ns = loop_in_ms(f, 20);
    strait_loop_busy_poll(f->loop, 10000 * LOOP_MS);
    assert_int_equal(strait_loop_turn(f->loop, deadline_ns), 0);
    uint64_t now_ns = f->env->now(f->env);
    assert_true(now_ns >= deadline_ns && now_ns < deadline_ns + 500 * LOOP_MS);
}

/* Of what is ready in one turn, packets come first. */
static void links_are_drained_before_callbacks_run(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct loop_alarm alarm = {.timer.expired = loop_alarm_expired, .fixture = f};
    noting.then = 0;
    strait_post(f->env, loop_post_a, f);
    f->env->timer_start(f->env, &alarm.timer, 0);
    struct strait *stack = stack_new(f, &noting.link);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    usleep(1000); /* more than a tick of the wheel */
    loop_turn_now(f);
    assert_string_equal(f->calls + strspn(f->calls, "l"), "ta");
    assert_int_equal(f->calls[0], 'l');
    stack_end(f, stack, &noting.link);
}

static void a_link_that_fails_ends_every_turn_until_it_is_removed(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    noting.answer = -1;
    assert_int_equal(write(f->pipe[1], "xx", 2), 2);
    errno = 0;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(strait_loop_turn(f->loop, STRAIT_NEVER), -1);
        assert_int_equal(errno, ENODEV);
    }
    assert_string_equal(f->calls, "l"); /* it is drained no more */
    strait_loop_remove(f->loop, &noting.link);
    loop_turn_now(f);
    strait_free(stack);
}

static void run_ends_when_a_link_fails(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    noting.answer = -1;
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    errno = 0;
    assert_int_equal(strait_loop_run(f->loop), -1);
    assert_int_equal(errno, ENODEV);
    stack_end(f, stack, &noting.link);
}

static void a_link_with_trouble_and_no_packets_has_failed(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    noting.answer = 0;
    close(f->pipe[1]);
    f->pipe[1] = -1;
    errno = 0;
    assert_int_equal(strait_loop_turn(f->loop, loop_in_ms(f, 1000)), -1);
    assert_int_equal(errno, EIO);
    stack_end(f, stack, &noting.link);
}

static void a_removed_link_is_not_drained_and_can_be_added_again(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    errno = 0;
    assert_int_equal(strait_loop_add(f->loop, stack, &noting.link), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(write(f->pipe[1], "xx", 2), 2);
    strait_loop_remove(f->loop, &noting.link);
    strait_loop_remove(f->loop, &noting.link);
    loop_turn_now(f);
    assert_string_equal(f->calls, "");
    assert_int_equal(strait_loop_add(f->loop, stack, &noting.link), 0);
    loop_turn_now(f);
    assert_string_equal(f->calls, "l");
    stack_end(f, stack, &noting.link);
}

struct ending {
    struct loop_fixture *fixture;
    struct strait *stack;
    struct strait_link *link;
};

static void post_end(void *argument)
{
    struct ending *ending = argument;
    stack_end(ending->fixture, ending->stack, ending->link);
    ending->stack = NULL;
}

static void a_callback_may_end_a_stack(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct ending ending = {f, stack_new(f, &noting.link), &noting.link};
    strait_post(f->env, post_end, &ending);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    loop_turn_now(f);
    assert_null(ending.stack);
    loop_turn_now(f);
    assert_string_equal(f->calls, "l");
}

/* An echo request (RFC 792) to 10.9.0.2 as the kernel would write it into a plain TUN. */
static size_t make_ping(uint8_t packet[64])
{
    memset(packet, 0, 64);
    packet[0] = 0x45;
    store_be16(packet + 2, 32);
    packet[8] = 64;
    packet[9] = 1;
    memcpy(packet + 12, &(in_addr_t){inet_addr("10.9.0.1")}, 4);
    memcpy(packet + 16, &(in_addr_t){inet_addr("10.9.0.2")}, 4);
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    packet[20] = 8;
    store_be16(packet + 26, 77);
    memcpy(packet + 28, (const uint8_t[]){'p', 'i', 'n', 'g'}, 4);
    store_be16(packet + 22, (uint16_t)~checksum_fold(checksum_add(0, packet + 20, 12)));
    return 32;
}

static void a_stack_behind_a_link_answers_in_the_same_turn(void **state)
{
    struct loop_fixture *f = *state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    struct strait_link *link = tun_new(&(struct device){.fd = fds[0], .name = "pair", .mtu = 1500});
    assert_non_null(link);
    struct strait *stack = stack_new(f, link);

    uint8_t packet[64], reply[64];
    size_t length = make_ping(packet);
    assert_int_equal(write(fds[1], packet, length), (ssize_t)length);
    loop_turn_now(f);
    assert_int_equal(read(fds[1], reply, sizeof(reply)), (ssize_t)length);
    assert_int_equal(reply[20], 0); /* echo reply */
    assert_memory_equal(reply + 26, packet + 26, 6);
    assert_memory_equal(reply + 12, packet + 16, 4);

    stack_end(f, stack, link);
    link->close(link);
    close(fds[1]);
}

/* A socket whose callback brings another, as a listener's does. */
struct bringer {
    struct loop_fixture *fixture;
    struct strait *stack;
};

static void brought(void *argument, int fd, short revents)
{
    struct bringer *b = argument;
    (void)revents;
    loop_note(b->fixture, 'b');
    assert_int_equal(strait_close(b->stack, fd), 0);
}

static void bring(void *argument, int fd, short revents)
{
    struct bringer *b = argument;
    (void)revents;
    loop_note(b->fixture, 'a');
    assert_int_equal(strait_close(b->stack, fd), 0);
    int other = strait_socket(b->stack, AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(strait_watch(b->stack, other, POLLOUT, brought, b), 0);
}

static void what_a_callback_brings_is_called_in_the_same_turn(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct bringer b = {f, stack_new(f, &noting.link)};
    int fd = strait_socket(b.stack, AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(strait_watch(b.stack, fd, POLLOUT, bring, &b), 0);
    loop_turn_now(f);
    assert_string_equal(f->calls, "ab");
    stack_end(f, b.stack, &noting.link);
}

struct sender {
    struct loop_fixture *fixture;
    int fd;
};

static void *datagram_from_thread(void *argument)
{
    struct sender *sender = argument;
    uint8_t packet[64];
    size_t length = make_ping(packet);
    packet[9] = 17;
    store_be16(packet + 10, 0);
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    store_be16(packet + 20, 5000);
    store_be16(packet + 22, 7);
    store_be16(packet + 24, 12);
    store_be16(packet + 26, 0); /* RFC 768: no checksum */
    usleep(20000);
    assert_int_equal(write(sender->fd, packet, length), (ssize_t)length);
    return NULL;
}

static void a_blocking_call_drives_the_loop(void **state)
{
    struct loop_fixture *f = *state;
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    struct strait_link *link = tun_new(&(struct device){.fd = fds[0], .name = "pair", .mtu = 1500});
    assert_non_null(link);
    struct strait *stack = stack_new(f, link);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7)};
    int fd = strait_socket(stack, AF_INET, SOCK_DGRAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(strait_bind(stack, fd, (struct sockaddr *)&address, sizeof(address)), 0);

    struct sender sender = {f, fds[1]};
    pthread_t thread;
    char bytes[16];
    assert_int_equal(pthread_create(&thread, NULL, datagram_from_thread, &sender), 0);
    assert_int_equal(strait_recv(stack, fd, bytes, sizeof(bytes), 0), 4);
    assert_memory_equal(bytes, "ping", 4);
    pthread_join(thread, NULL);

    stack_end(f, stack, link);
    link->close(link);
    close(fds[1]);
}

/* What a host says to itself is no event of the loop: no wait may begin while it brings news. */
static void a_host_that_talks_to_itself_does_not_wait_for_an_event(void **state)
{
    struct loop_fixture *f = *state;
    struct noting noting = noting_over(f);
    struct strait *stack = stack_new(f, &noting.link);
    struct loop_alarm late = {.timer.expired = loop_alarm_expired, .fixture = f};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(7)};
    char bytes[16];
    uint64_t soon_ns = loop_in_ms(f, 1000);
    f->env->timer_start(f->env, &late.timer, loop_in_ms(f, 3000)); /* the end of a wait for ever */

    int listener = strait_socket(stack, AF_INET, SOCK_STREAM, 0);
    int client = strait_socket(stack, AF_INET, SOCK_STREAM, 0);
    assert_int_equal(strait_bind(stack, listener, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(strait_listen(stack, listener, 1), 0);
    address.sin_addr.s_addr = inet_addr("127.0.0.1");
    assert_int_equal(strait_connect(stack, client, (struct sockaddr *)&address, sizeof(address)),
                     0);
    int server = strait_accept(stack, listener, NULL, NULL);
    assert_true(server >= 0);
    assert_int_equal(strait_send(stack, server, "hello", 5, 0), 5);
    assert_int_equal(strait_recv(stack, client, bytes, sizeof(bytes), 0), 5);
    assert_true(f->env->now(f->env) < soon_ns);

    f->env->timer_stop(f->env, &late.timer);
    stack_end(f, stack, &noting.link);
}

/* A link that holds packets back: it starts a timer when it is given one. */
struct holding {
    struct strait_link link;
    struct loop_alarm alarm;
};

static int holding_send(struct strait_link *link, const struct iovec *parts, int count,
                        const struct strait_offload *offload)
{
    struct holding *holding = container_of(link, struct holding, link);
    struct loop_fixture *f = holding->alarm.fixture;
    (void)parts;
    (void)count;
    (void)offload;
    f->env->timer_start(f->env, &holding->alarm.timer, loop_in_ms(f, 10));
    return 0;
}

static void a_timer_that_a_link_starts_when_the_stack_sends_ends_the_wait(void **state)
{
    struct loop_fixture *f = *state;
    struct holding holding = {.link = {.size = sizeof(struct strait_link),
                                       .name = "holding",
                                       .mtu = 1500,
                                       .fd = -1,
                                       .send = holding_send},
                              .alarm = {.timer.expired = loop_alarm_expired, .fixture = f}};
    struct strait *stack = stack_new(f, &holding.link);
    struct sockaddr_in peer = {
        .sin_family = AF_INET, .sin_port = htons(7), .sin_addr.s_addr = inet_addr("10.9.0.1")};
    int fd = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(strait_connect(stack, fd, (struct sockaddr *)&peer, sizeof(peer)), -1);
    assert_int_equal(errno, EINPROGRESS);

    uint64_t start_ns = f->env->now(f->env);
    while (!f->calls[0])
        assert_int_equal(strait_loop_turn(f->loop, start_ns + 5000 * LOOP_MS), 0);
    assert_true(holding.alarm.expired_ns <
                start_ns + 500 * LOOP_MS); /* the SYN goes again after 1 s */
    f->env->timer_stop(f->env, &holding.alarm.timer);
    stack_end(f, stack, &holding.link);
}

/* A link whose peer refuses the connection, but what says so comes with the third drain. */
struct refusing {
    struct strait_link link;
    struct loop_fixture *fixture;
    uint8_t syn[128]; /* that was sent last */
    int sent;
    int drains;
};

static int refusing_send(struct strait_link *link, const struct iovec *parts, int count,
                         const struct strait_offload *offload)
{
    struct refusing *refusing = container_of(link, struct refusing, link);
    size_t length = 0;
    (void)offload;
    for (int i = 0; i < count; i++) {
        assert_true(length + parts[i].iov_len <= sizeof(refusing->syn));
        memcpy(refusing->syn + length, parts[i].iov_base, parts[i].iov_len);
        length += parts[i].iov_len;
    }
    refusing->sent++;
    return 0;
}

/* The reset that answers a SYN (RFC 9293 3.5.2). */
static void make_reset(uint8_t packet[40], const uint8_t *syn)
{
    const uint8_t *from = syn + 20;
    memset(packet, 0, 40);
    packet[0] = 0x45;
    store_be16(packet + 2, 40);
    packet[8] = 64;
    packet[9] = 6;
    memcpy(packet + 12, syn + 16, 4);
    memcpy(packet + 16, syn + 12, 4);
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    memcpy(packet + 20, from + 2, 2);
    memcpy(packet + 22, from, 2);
    store_be32(packet + 28, load_be32(from + 4) + 1);
    packet[32] = 5 << 4;
    packet[33] = 0x14; /* RST, ACK */
    uint64_t sum = checksum_add(6 + 20, packet + 12, 8);
    store_be16(packet + 36, (uint16_t)~checksum_fold(checksum_add(sum, packet + 20, 20)));
}

static int refusing_drain(struct strait_link *link, uint64_t now_ns, size_t budget_bytes)
{
    struct refusing *refusing = container_of(link, struct refusing, link);
    static const struct strait_offload ordinary = {0};
    uint8_t packet[40];
    (void)budget_bytes;
    if (++refusing->drains > 3)
        return 0;
    if (refusing->drains == 3) {
        make_reset(packet, refusing->syn);
        link->receive(link, packet, sizeof(packet), &ordinary, now_ns);
    }
    return 1;
}

/* What waits in a link is older than the timer, however long the program did not run. */
static void after_a_pause_a_link_is_drained_before_timers_expire(void **state)
{
    struct loop_fixture *f = *state;
    struct refusing refusing = {.link = noting_over(f).link, .fixture = f};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(7)};
    to.sin_addr.s_addr = inet_addr("10.9.0.1");
    refusing.link.send = refusing_send;
    refusing.link.drain = refusing_drain;
    struct strait *stack = stack_new(f, &refusing.link);
    assert_int_equal(strait_set(stack, "tcp.rto_initial", "15ms"), 0);

    int fd = strait_socket(stack, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(strait_connect(stack, fd, (struct sockaddr *)&to, sizeof(to)), -1);
    assert_int_equal(errno, EINPROGRESS);
    loop_turn_now(f);
    assert_int_equal(refusing.sent, 1);
    assert_int_equal(write(f->pipe[1], "x", 1), 1);
    usleep(40000);
    loop_turn_now(f);
    assert_int_equal(refusing.sent, 1);
    assert_int_equal(strait_send(stack, fd, "x", 1, 0), -1);
    assert_int_equal(errno, ECONNREFUSED);
    stack_end(f, stack, &refusing.link);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_link_is_drained_while_it_is_readable),
        TEST(each_of_many_links_is_heard),
        TEST(a_link_that_cannot_be_waited_for_is_refused),
        TEST(links_of_before_and_after_make_the_descriptor_readable),
        TEST(after_a_long_turn_a_link_is_read_before_all_events_are_asked_for),
        TEST(a_link_that_was_read_in_vain_is_not_read_again),
        TEST(after_a_short_turn_all_events_are_asked_for),
        TEST(a_packet_that_is_held_back_after_a_long_turn_comes_in_time),
        TEST(a_packet_that_is_held_back_from_a_busy_loop_comes_in_time),
        TEST(a_busy_loop_asks_a_link_before_it_sleeps),
        TEST(a_busy_loop_hears_what_is_no_link),
        TEST(a_busy_loop_keeps_its_deadline),
        TEST(links_are_drained_before_callbacks_run),
        TEST(a_link_that_fails_ends_every_turn_until_it_is_removed),
        TEST(run_ends_when_a_link_fails),
        TEST(a_link_with_trouble_and_no_packets_has_failed),
        TEST(a_removed_link_is_not_drained_and_can_be_added_again),
        TEST(a_callback_may_end_a_stack),
        TEST(a_stack_behind_a_link_answers_in_the_same_turn),
        TEST(what_a_callback_brings_is_called_in_the_same_turn),
        TEST(a_blocking_call_drives_the_loop),
        TEST(a_host_that_talks_to_itself_does_not_wait_for_an_event),
        TEST(a_timer_that_a_link_starts_when_the_stack_sends_ends_the_wait),
        TEST(after_a_pause_a_link_is_drained_before_timers_expire),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
