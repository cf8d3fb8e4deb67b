/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pcap/pcap.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "host/capture.h"

#define NS_PER_S 1000000000

/* A link that gives one packet a drain, and remembers what it was given. */
struct inner {
    struct strait_link link;
    const char *waiting;
    int drained, closed, sent;
    char last[32];
    struct strait_offload offload;
};

struct fixture {
    struct inner inner;
    char file[32];
    int received;
    char last[32];
    uint64_t now_ns;
    int notices;
};

static int inner_send(struct strait_link *link, const struct iovec *parts, int count,
                      const struct strait_offload *offload)
{
    struct inner *inner = container_of(link, struct inner, link);
    size_t length = 0;
    for (int i = 0; i < count; i++) {
        size_t room = sizeof(inner->last) - length;
        size_t part = parts[i].iov_len < room ? parts[i].iov_len : room;
        memcpy(inner->last + length, parts[i].iov_base, part);
        length += part;
    }
    inner->sent++;
    inner->offload = *offload;
    errno = ENOBUFS;
    return inner->sent == 3 ? -1 : 0;
}

static int inner_drain(struct strait_link *link, uint64_t now_ns, size_t budget_bytes)
{
    struct inner *inner = container_of(link, struct inner, link);
    const struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_VALID};
    assert_int_equal(budget_bytes, 4096);
    inner->drained++;
    if (!inner->waiting) {
        errno = ENODEV;
        return -1;
    }
    link->receive(link, inner->waiting, strlen(inner->waiting), &offload, now_ns);
    return 1;
}

static void inner_close(struct strait_link *link)
{
    container_of(link, struct inner, link)->closed++;
}

static void receive(struct strait_link *link, const void *packet, size_t length,
                    const struct strait_offload *offload, uint64_t now_ns)
{
    struct fixture *f = link->upper;
    assert_true(length < sizeof(f->last));
    assert_int_equal(offload->checksum, STRAIT_CHECKSUM_VALID);
    memcpy(f->last, packet, length);
    f->now_ns = now_ns;
    f->received++;
}

static void notice(void *context, const char *message)
{
    struct fixture *f = context;
    assert_non_null(strstr(message, "capture ends"));
    f->notices++;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->inner.link = (struct strait_link){.size = sizeof(struct strait_link),
                                         .name = "inner",
                                         .mtu = 1400,
                                         .features = STRAIT_LINK_CHECKSUM,
                                         .fd = 42,
                                         .send = inner_send,
                                         .drain = inner_drain,
                                         .close = inner_close};
    strcpy(f->file, "/tmp/strait-capture-XXXXXX");
    int fd = mkstemp(f->file);
    assert_true(fd >= 0);
    close(fd);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    unlink(f->file);
    free(f);
    return 0;
}

static struct strait_link *open_capture(struct fixture *f, const char *filter)
{
    char error[256] = "";
    struct strait_link *link = capture_open(&f->inner.link, f->file, filter, error, sizeof(error));
    if (!link) {
        fail_msg("%s", error);
        __builtin_unreachable(); /* fail_msg leaves the test by longjmp */
    }
    link->receive = receive;
    link->upper = f;
    return link;
}

static int send_text(struct strait_link *link, const char *text)
{
    const struct strait_offload none = {0};
    struct iovec part = {(void *)(uintptr_t)text, strlen(text)};
    return link->send(link, &part, 1, &none);
}

/* Opens what has been written so far with libpcap. */
static pcap_t *read_back(struct fixture *f)
{
    char error[PCAP_ERRBUF_SIZE];
    pcap_t *file =
        pcap_open_offline_with_tstamp_precision(f->file, PCAP_TSTAMP_PRECISION_NANO, error);
    if (!file)
        fail_msg("%s", error);
    return file;
}

static void expect_packet(pcap_t *file, const char *text, struct pcap_pkthdr **head)
{
    struct pcap_pkthdr *own;
    const u_char *bytes;
    head = head ? head : &own;
    assert_int_equal(pcap_next_ex(file, head, &bytes), 1);
    assert_int_equal((*head)->caplen, strlen(text));
    assert_int_equal((*head)->len, strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void expect_end(pcap_t *file)
{
    struct pcap_pkthdr *head;
    const u_char *bytes;
    assert_int_equal(pcap_next_ex(file, &head, &bytes), PCAP_ERROR_BREAK);
    pcap_close(file);
}

static void the_wrapping_link_looks_like_the_inner_one(void **state)
{
    struct fixture *f = *state;
    struct strait_link *link = open_capture(f, NULL);
    assert_string_equal(link->name, "inner");
    assert_int_equal(link->mtu, 1400);
    assert_int_equal(link->features, STRAIT_LINK_CHECKSUM);
    assert_int_equal(link->fd, 42);
    link->close(link);
    assert_int_equal(f->inner.closed, 1);
}

static void packets_pass_both_ways_and_are_in_the_file_in_their_order(void **state)
{
    struct fixture *f = *state;
    struct strait_link *link = open_capture(f, NULL);
    f->inner.waiting = "E question";
    assert_int_equal(link->drain(link, 5, 4096), 1);
    assert_int_equal(f->received, 1);
    assert_string_equal(f->last, "E question");
    assert_int_equal(f->now_ns, 5);

    const struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_PARTIAL,
                                           .checksum_start = 20};
    struct iovec parts[] = {{(char[]){"E an"}, 4}, {(char[]){"swer"}, 4}};
    assert_int_equal(link->send(link, parts, 2, &offload), 0);
    assert_int_equal(f->inner.sent, 1);
    assert_string_equal(f->inner.last, "E answer");
    assert_memory_equal(&f->inner.offload, &offload, sizeof(offload));
    link->close(link);

    pcap_t *file = read_back(f);
    assert_int_equal(pcap_datalink(file), DLT_RAW);
    expect_packet(file, "E question", NULL);
    expect_packet(file, "E answer", NULL);
    expect_end(file);
}

static void what_the_inner_link_answers_comes_back(void **state)
{
    struct fixture *f = *state;
    struct strait_link *link = open_capture(f, NULL);
    errno = 0;
    assert_int_equal(link->drain(link, 0, 4096), -1);
    assert_int_equal(errno, ENODEV);
    assert_int_equal(send_text(link, "1"), 0);
    assert_int_equal(send_text(link, "2"), 0);
    errno = 0;
    assert_int_equal(send_text(link, "3"), -1);
    assert_int_equal(errno, ENOBUFS);
    link->close(link);
}

static void the_file_is_complete_while_it_grows(void **state)
{
    struct fixture *f = *state;
    struct strait_link *link = open_capture(f, NULL);
    expect_end(read_back(f));
    send_text(link, "E sent");
    pcap_t *file = read_back(f);
    expect_packet(file, "E sent", NULL);
    expect_end(file);
    f->inner.waiting = "E received";
    link->drain(link, 0, 4096);
    file = read_back(f);
    expect_packet(file, "E sent", NULL);
    expect_packet(file, "E received", NULL);
    expect_end(file);
    link->close(link);
}

static int64_t now_on(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* A packet that arrived a second ago by the monotonic clock did so by the wall clock. */
/* As one that holds packets back does, when their time has come. */
static void a_packet_outside_of_a_drain_is_in_the_file_at_once(void **state)
{
    struct fixture *f = *state;
    const struct strait_offload offload = {.checksum = STRAIT_CHECKSUM_VALID};
    struct strait_link *link = open_capture(f, NULL);
    f->inner.link.receive(&f->inner.link, "E late", 6, &offload, 5);
    assert_string_equal(f->last, "E late");
    pcap_t *file = read_back(f);
    expect_packet(file, "E late", NULL);
    expect_end(file);
    link->close(link);
}

static void timestamps_are_wall_clock_nanoseconds(void **state)
{
    struct fixture *f = *state;
    struct strait_link *link = open_capture(f, NULL);
    int64_t before_ns = now_on(CLOCK_REALTIME);
    f->inner.waiting = "E received";
    link->drain(link, (uint64_t)(now_on(CLOCK_MONOTONIC) - NS_PER_S), 4096);
    send_text(link, "E sent");
    int64_t after_ns = now_on(CLOCK_REALTIME);
    link->close(link);

    const int64_t slack_ns = NS_PER_S / 10; /* the wall clock may be adjusted meanwhile */
    pcap_t *file = read_back(f);
    struct pcap_pkthdr *head;
    expect_packet(file, "E received", &head);
    int64_t arrived_ns = (int64_t)head->ts.tv_sec * NS_PER_S + head->ts.tv_usec;
    assert_true(arrived_ns >= before_ns - NS_PER_S - slack_ns);
    assert_true(arrived_ns <= after_ns - NS_PER_S + slack_ns);
    expect_packet(file, "E sent", &head);
    int64_t sent_ns = (int64_t)head->ts.tv_sec * NS_PER_S + head->ts.tv_usec;
    assert_true(sent_ns >= before_ns - slack_ns && sent_ns <= after_ns + slack_ns);
    assert_true(sent_ns - arrived_ns >= NS_PER_S);
    expect_end(file);
}

/* The answer to a sent packet may come in a batch whose `now` is older than the sending. */
static void time_in_the_file_never_goes_back(void **state)
{
    struct fixture *f = *state;
    struct strait_link *link = open_capture(f, NULL);
    send_text(link, "E question");
    f->inner.waiting = "E answer";
    link->drain(link, (uint64_t)(now_on(CLOCK_MONOTONIC) - NS_PER_S), 4096);
    link->close(link);
    pcap_t *file = read_back(f);
    struct pcap_pkthdr *head;
    expect_packet(file, "E question", &head);
    struct timeval question = head->ts;
    expect_packet(file, "E answer", &head);
    assert_int_equal(head->ts.tv_sec, question.tv_sec);
    assert_int_equal(head->ts.tv_usec, question.tv_usec);
    expect_end(file);
}

static void a_filter_chooses_what_is_written_but_not_what_passes(void **state)
{
    struct fixture *f = *state;
    struct strait_link *link = open_capture(f, "icmp");
    /* IPv4 headers: the protocol (RFC 791: byte 9) is 1, ICMP, or 17, UDP. */
    uint8_t icmp[20] = {0x45, 0, 0, 20, 0, 0, 0, 0, 64, 1};
    uint8_t udp[20] = {0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17};
    const struct strait_offload none = {0};
    assert_int_equal(link->send(link, &(struct iovec){udp, 20}, 1, &none), 0);
    assert_int_equal(link->send(link, &(struct iovec){icmp, 20}, 1, &none), 0);
    assert_int_equal(f->inner.sent, 2);
    link->close(link);
    pcap_t *file = read_back(f);
    struct pcap_pkthdr *head;
    const u_char *bytes;
    assert_int_equal(pcap_next_ex(file, &head, &bytes), 1);
    assert_memory_equal(bytes, icmp, 20);
    expect_end(file);
}

static void a_super_packet_is_written_whole(void **state)
{
    struct fixture *f = *state;
    struct strait_link *link = open_capture(f, NULL);
    static uint8_t packet[65535];
    memset(packet, 0x45, sizeof(packet));
    const struct strait_offload none = {0};
    struct iovec parts[] = {{packet, 40}, {packet + 40, sizeof(packet) - 40}};
    assert_int_equal(link->send(link, parts, 2, &none), 0);
    link->close(link);
    pcap_t *file = read_back(f);
    struct pcap_pkthdr *head;
    const u_char *bytes;
    assert_int_equal(pcap_next_ex(file, &head, &bytes), 1);
    assert_int_equal(head->caplen, 65535);
    assert_memory_equal(bytes, packet, 65535);
    expect_end(file);
}

static void a_bad_filter_is_einval_and_costs_no_file(void **state)
{
    struct fixture *f = *state;
    char error[256] = "";
    struct strait_link *link = open_capture(f, NULL);
    send_text(link, "E older");
    link->close(link);
    errno = 0;
    assert_null(capture_open(&f->inner.link, f->file, "tcp prot 80", error, sizeof(error)));
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(error, "tcp prot 80"));
    assert_int_equal(f->inner.closed, 1); /* by the first capture alone */
    pcap_t *file = read_back(f);
    expect_packet(file, "E older", NULL);
    expect_end(file);
}

static void a_file_that_cannot_be_made_is_said(void **state)
{
    struct fixture *f = *state;
    char error[256] = "";
    errno = 0;
    assert_null(capture_open(&f->inner.link, "/nonexistent/file", NULL, error, sizeof(error)));
    assert_int_equal(errno, ENOENT);
    assert_non_null(strstr(error, "/nonexistent/file"));
    assert_null(capture_open(&f->inner.link, "/dev/full", NULL, error, sizeof(error)));
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(f->inner.closed, 0);
}

/* A limit on the size of files stands for a full disk. */
static void a_full_disk_ends_the_capture_and_not_the_traffic(void **state)
{
    struct fixture *f = *state;
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 100;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);

    struct strait_link *link = open_capture(f, NULL);
    capture_on_failure(link, notice, f);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < 10; i++)
        send_text(link, "E twenty bytes at all");
    f->inner.waiting = "E received";
    assert_int_equal(link->drain(link, 0, 4096), 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(f->notices, 1);
    assert_int_equal(f->inner.sent, 10);
    assert_int_equal(f->received, 1);
    link->close(link);
    assert_int_equal(f->inner.closed, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_wrapping_link_looks_like_the_inner_one),
        TEST(packets_pass_both_ways_and_are_in_the_file_in_their_order),
        TEST(what_the_inner_link_answers_comes_back),
        TEST(the_file_is_complete_while_it_grows),
        TEST(a_packet_outside_of_a_drain_is_in_the_file_at_once),
        TEST(timestamps_are_wall_clock_nanoseconds),
        TEST(time_in_the_file_never_goes_back),
        TEST(a_filter_chooses_what_is_written_but_not_what_passes),
        TEST(a_super_packet_is_written_whole),
        TEST(a_bad_filter_is_einval_and_costs_no_file),
        TEST(a_file_that_cannot_be_made_is_said),
        TEST(a_full_disk_ends_the_capture_and_not_the_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
