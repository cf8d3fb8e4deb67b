/* SPDX-License-Identifier: MIT */
/* What a simulated world tells: its log, its captures, and who gets nowhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pcap/pcap.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "duo.h"
#include "sim/pcap.h"

#define MS UINT64_C(1000000)
#define S  UINT64_C(1000000000)

/* ---- No progress ---- */

struct lines {
    char last[8][256];
    int count;
    bool times_agree;
};

static void take_line(void *context, uint64_t now_ns, const char *line)
{
    struct lines *l = context;
    unsigned long seconds, ns;
    l->times_agree = sscanf(line, "%lu.%9lu ", &seconds, &ns) == 2 && seconds * S + ns == now_ns;
    strncpy(l->last[l->count++ % 8], line, 255);
}

static bool said(const struct lines *l, const char *text)
{
    for (int i = 0; i < 8; i++)
        if (strstr(l->last[i], text))
            return true;
    return false;
}

static void post_again(void *argument)
{
    struct strait_env *env = argument;
    strait_post(env, post_again, env);
}

static void restless_start(void *app, struct strait *stack, struct strait_env *env)
{
    (void)app, (void)stack;
    strait_post(env, post_again, env);
}

static void a_host_that_never_rests_is_found(void **state)
{
    (void)state;
    struct lines lines = {0};
    struct world *w = world_new(1);
    world_log(w, take_line, &lines);
    world_add_host(w, "quiet", NULL, NULL);
    world_add_host(w, "restless", NULL, &(struct world_app){.start = restless_start});
    assert_int_equal(world_run(w, 2 * S), WORLD_NO_PROGRESS);
    assert_int_equal(world_now(w), S);
    assert_true(said(&lines, "no progress: restless had"));
    assert_true(said(&lines, "no progress: quiet had 1 turns") ||
                said(&lines, "no progress: quiet had 2 turns"));
    world_free(w);
}

/* Sends every datagram back to the peer's port 9, as fast as it comes. */
struct mirror {
    struct strait *stack;
    const char *peer;
};

static void mirror_ready(void *argument, int fd, short revents)
{
    struct mirror *m = argument;
    struct sockaddr_in to = duo_at(m->peer, 9);
    char bytes[16];
    (void)revents;
    ssize_t n = strait_recv(m->stack, fd, bytes, sizeof(bytes), 0);
    if (n > 0)
        strait_sendto(m->stack, fd, bytes, (size_t)n, 0, (struct sockaddr *)&to, sizeof(to));
}

static void mirror_start(void *app, struct strait *stack, struct strait_env *env)
{
    struct mirror *m = app;
    struct sockaddr_in here = duo_at("0.0.0.0", 9), to = duo_at(m->peer, 9);
    int fd = strait_socket(stack, AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    (void)env;
    m->stack = stack;
    assert_int_equal(strait_bind(stack, fd, (struct sockaddr *)&here, sizeof(here)), 0);
    assert_int_equal(strait_watch(stack, fd, POLLIN, mirror_ready, m), 0);
    strait_sendto(stack, fd, "ball", 4, 0, (struct sockaddr *)&to, sizeof(to));
}

static void two_hosts_that_answer_each_other_without_delay_are_found(void **state)
{
    (void)state;
    struct lines lines = {0};
    struct mirror left = {.peer = "10.0.0.2"}, right = {.peer = "10.0.0.1"};
    const struct impair_config perfect[2] = {0};
    struct world *w = world_new(1);
    const struct world_end ends[] = {
        {world_add_host(w, "left", NULL, &(struct world_app){.start = mirror_start, .app = &left}),
         duo_ip("10.0.0.1")},
        {world_add_host(w, "right", NULL,
                        &(struct world_app){.start = mirror_start, .app = &right}),
         duo_ip("10.0.0.2")}};
    world_add_link(w, ends, 24, 1500, 0, perfect);
    world_log(w, take_line, &lines);
    assert_int_equal(world_run(w, 2 * S), WORLD_NO_PROGRESS);
    assert_true(said(&lines, "no progress: left-right delivered"));
    assert_true(lines.times_agree);
    world_free(w);
}

/* ---- Looking inside ---- */

static void the_log_tells_what_happens_to_whom(void **state)
{
    (void)state;
    struct lines lines = {0};
    struct duo *d = duo_new(1);
    world_log(d->world, take_line, &lines);
    duo_send_datagram(d, duo_udp_socket(d->left), 100);
    duo_pass(d, 5 * MS);
    assert_string_equal(lines.last[0] + strcspn(lines.last[0], " "), " left > right 128 bytes");
    world_crash(d->right);
    assert_true(said(&lines, "right crashes"));
    duo_pass(d, S);
    assert_true(said(&lines, "left > right 128 bytes, which is down"));
    assert_true(lines.times_agree);
    duo_free(d);
}

static void a_link_is_written_as_its_end_sees_it_with_virtual_times(void **state)
{
    (void)state;
    char path[] = "/tmp/strait-world-XXXXXX", error[PCAP_ERRBUF_SIZE + 200];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    struct duo *d = duo_new(1);
    struct world_pcap *p = world_pcap_open(d->link, 0, path, error, sizeof(error));
    assert_non_null(p);
    uint64_t t = world_now(d->world);
    duo_send_datagram(d, duo_udp_socket(d->left), 100);
    duo_pass(d, S);
    assert_int_equal(world_pcap_close(p, error, sizeof(error)), 0);
    duo_free(d);

    const uint64_t times_ns[] = {t, t + DUO_DELAY_NS + 1};
    pcap_t *file = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, error);
    assert_non_null(file);
    struct pcap_pkthdr *head;
    const u_char *bytes;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pcap_next_ex(file, &head, &bytes), 1);
        assert_int_equal((uint64_t)head->ts.tv_sec * S + (uint64_t)head->ts.tv_usec, times_ns[i]);
        assert_int_equal(head->len, 100 + DUO_HEADERS_BYTES);
        assert_int_equal(head->caplen, head->len);
        /* RFC 791: source at byte 12, destination at 16; the answer has them the other way round.
         */
        struct in_addr left = duo_ip("10.0.0.1"), right = duo_ip("10.0.0.2");
        assert_memory_equal(bytes + (i == 0 ? 12 : 16), &left, sizeof(left));
        assert_memory_equal(bytes + (i == 0 ? 16 : 12), &right, sizeof(right));
    }
    assert_int_equal(pcap_next_ex(file, &head, &bytes), PCAP_ERROR_BREAK);
    pcap_close(file);
    unlink(path);
}

static void a_file_that_cannot_be_written_is_told(void **state)
{
    (void)state;
    char error[PCAP_ERRBUF_SIZE + 200] = "";
    struct duo *d = duo_new(1);
    assert_null(world_pcap_open(d->link, 0, "/nonexistent/file", error, sizeof(error)));
    assert_non_null(strstr(error, "cannot write the capture"));
    duo_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_that_never_rests_is_found),
        cmocka_unit_test(two_hosts_that_answer_each_other_without_delay_are_found),
        cmocka_unit_test(the_log_tells_what_happens_to_whom),
        cmocka_unit_test(a_link_is_written_as_its_end_sees_it_with_virtual_times),
        cmocka_unit_test(a_file_that_cannot_be_written_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
