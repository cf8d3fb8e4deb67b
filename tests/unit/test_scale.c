/* SPDX-License-Identifier: MIT */
/*
 * What the sockets that are not ready cost those that are: nothing. A dispatch is timed with few
 * sockets and with many, of which the same number is ready; a poll with a few descriptors of many.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>

#include "strait.h"

#define FEW    100
#define MANY   100000
#define READY  10
#define ROUNDS 2000
#define TRIALS 5
#define FACTOR 20 /* by which it may be slower: a walk over all would take 1000 times as long */

struct host {
    struct strait *stack;
    int *fds, count;
    int told;
};

static void ready(void *argument, int fd, short revents)
{
    struct host *h = argument;

    (void)fd;
    assert_int_equal(revents, POLLIN);
    h->told++;
}

/* A host of which the first READY sockets have a datagram to be read. All are watched. */
static void host_init(struct host *h, int count)
{
    struct strait_config config;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};

    strait_config_init(&config);
    *h = (struct host){.stack = strait_new(&config, NULL), .count = count};
    h->fds = calloc((size_t)count, sizeof(*h->fds));
    assert_non_null(h->stack);
    assert_non_null(h->fds);
    strait_advance(h->stack, 1);
    for (int i = 0; i < count; i++) {
        h->fds[i] = strait_socket(h->stack, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        assert_true(h->fds[i] >= 0);
        assert_int_equal(strait_watch(h->stack, h->fds[i], POLLIN, ready, h), 0);
    }
    for (int i = 0; i < READY; i++) {
        to.sin_port = htons((uint16_t)(5000 + i));
        assert_int_equal(strait_bind(h->stack, h->fds[i], (const struct sockaddr *)&to, sizeof(to)),
                         0);
        assert_int_equal(
            strait_sendto(h->stack, h->fds[i], "x", 1, 0, (const struct sockaddr *)&to, sizeof(to)),
            1);
    }
    strait_advance(h->stack, 2);
    strait_dispatch(h->stack); /* all have been looked at once, since they are new */
}

static void host_finish(struct host *h)
{
    strait_free(h->stack);
    free(h->fds);
}

static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The best of a few trials, so that nobody else's work counts. */
static uint64_t time_dispatch(struct host *h)
{
    uint64_t best_ns = UINT64_MAX;

    for (int trial = 0; trial < TRIALS; trial++) {
        uint64_t start_ns = cpu_ns();
        h->told = 0;
        for (int i = 0; i < ROUNDS; i++)
            assert_int_equal(strait_dispatch(h->stack), READY);
        best_ns = lesser(best_ns, cpu_ns() - start_ns);
        assert_int_equal(h->told, ROUNDS * READY);
    }
    return best_ns;
}

static uint64_t time_poll(struct host *h)
{
    struct pollfd fds[2 * READY];
    uint64_t best_ns = UINT64_MAX;

    for (int i = 0; i < 2 * READY; i++)
        fds[i] = (struct pollfd){.fd = h->fds[i], .events = POLLIN};
    for (int trial = 0; trial < TRIALS; trial++) {
        uint64_t start_ns = cpu_ns();
        for (int i = 0; i < ROUNDS; i++)
            assert_int_equal(strait_poll(h->stack, fds, 2 * READY, 0), READY);
        best_ns = lesser(best_ns, cpu_ns() - start_ns);
    }
    return best_ns;
}

static void compare(uint64_t (*measure)(struct host *))
{
    struct host few, many;

    host_init(&few, FEW);
    host_init(&many, MANY);
    uint64_t few_ns = measure(&few), many_ns = measure(&many);
    print_message("%u ns with %d sockets, %u ns with %d\n", (unsigned)(few_ns / ROUNDS), FEW,
                  (unsigned)(many_ns / ROUNDS), MANY);
    assert_true(many_ns < FACTOR * few_ns);
    host_finish(&few);
    host_finish(&many);
}

static void a_dispatch_costs_as_much_as_there_is_ready(void **state)
{
    (void)state;
    compare(time_dispatch);
}

static void a_poll_costs_as_much_as_is_asked_for(void **state)
{
    (void)state;
    compare(time_poll);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_dispatch_costs_as_much_as_there_is_ready),
        cmocka_unit_test(a_poll_costs_as_much_as_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
