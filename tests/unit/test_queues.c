/* SPDX-License-Identifier: MIT */
/*
 * A real device with several queues, in a network namespace of the test's own: which queue gets
 * what the kernel sends. It needs privilege and is skipped without.
 */
#define _GNU_SOURCE /* unshare */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/shard.h"
#include "host/tun.h"

#define DEVICE "tun7"
#define KERNEL "10.77.0.1"
#define US     "10.77.0.2"
#define QUEUES 3

struct fixture {
    int home; /* the namespace to go back to; -1: no device can be made here */
    struct strait_tun_config tun;
    struct strait_config host;
    struct shard_rule rule;
    struct strait_link *links[STRAIT_SHARDS_MAX];
    int open; /* how many of them */
    char noticed[256];
    unsigned datagrams; /* that came from a link, the last of them: */
    uint64_t local, remote;
};

static void keep_notice(void *context, const char *message)
{
    struct fixture *f = context;
    strncpy(f->noticed, message, sizeof(f->noticed) - 1);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    *state = f;
    f->tun = (struct strait_tun_config){.size = sizeof(f->tun),
                                        .name = DEVICE,
                                        .peer = {inet_addr(KERNEL)},
                                        .prefix_bits = 24,
                                        .notice = keep_notice,
                                        .notice_context = f};
    strait_config_init(&f->host);
    memset(f->host.secret, 0x2b, sizeof(f->host.secret));
    f->host.shards = QUEUES;
    shard_rule_init(&f->rule, &f->host);
    f->home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (f->home >= 0 && (unshare(CLONE_NEWNET) < 0 || access("/dev/net/tun", R_OK | W_OK) < 0)) {
        close(f->home);
        f->home = -1;
    }
    return 0;
}

static void close_queues(struct fixture *f)
{
    for (int i = 0; i < f->open; i++)
        f->links[i]->close(f->links[i]);
    f->open = 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    close_queues(f);
    int result = 0;
    if (f->home >= 0) {
        result = setns(f->home, CLONE_NEWNET);
        close(f->home);
    }
    free(f);
    return result;
}

static struct fixture *need_device(void **state)
{
    struct fixture *f = *state;
    if (f->home < 0) {
        print_message("skipped: no device can be made here\n");
        skip();
    }
    return f;
}

static void open_queues(struct fixture *f)
{
    char error[256] = "";
    f->open = strait_tun_open_queues(&f->tun, &f->host, f->links, error, sizeof(error));
    if (f->open < 0)
        fail_msg("%s", error);
}

/* Skips where the kernel lets nobody steer. */
static void open_all_queues(struct fixture *f)
{
    open_queues(f);
    if (f->open == 1 && strstr(f->noticed, "steer")) {
        print_message("skipped: %s\n", f->noticed);
        skip();
    }
    assert_int_equal(f->open, QUEUES);
    assert_string_equal(f->noticed, "");
}

/* Takes note of UDP packets, and not of what the kernel sends of its own accord. */
static void see(struct strait_link *link, const void *packet, size_t length,
                const struct strait_offload *offload, uint64_t now_ns)
{
    struct fixture *f = link->upper;
    const uint8_t *ip = packet;
    (void)offload, (void)now_ns;
    if (length < 28 || ip[0] != 0x45 || ip[9] != IPPROTO_UDP)
        return;
    f->datagrams++;
    f->remote = shard_endpoint(load_be32(ip + 12), load_be16(ip + 20));
    f->local = shard_endpoint(load_be32(ip + 16), load_be16(ip + 22));
}

/* Sends an empty datagram to a port, from one that the kernel chooses. */
static void send_to(uint16_t port)
{
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {inet_addr(US)}};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(sendto(fd, "", 0, 0, (const struct sockaddr *)&to, sizeof(to)), 0);
    close(fd);
}

static void each_packet_comes_to_the_queue_of_its_shard(void **state)
{
    struct fixture *f = need_device(state);
    unsigned by_queue[QUEUES] = {0};
    open_all_queues(f);
    for (int i = 0; i < QUEUES; i++) {
        f->links[i]->receive = see;
        f->links[i]->upper = f;
    }
    for (uint16_t i = 0; i < 300; i++) {
        f->datagrams = 0;
        send_to(i % 2 ? 7 : (uint16_t)(f->host.port_first + i));
        for (uint32_t queue = 0; queue < QUEUES; queue++) {
            unsigned before = f->datagrams;
            while (f->links[queue]->drain(f->links[queue], 0, 1) > 0)
                continue;
            if (f->datagrams == before)
                continue;
            assert_int_equal(queue, shard_of(&f->rule, f->local, f->remote));
            by_queue[queue]++;
        }
        assert_int_equal(f->datagrams, 1);
    }
    for (int i = 0; i < QUEUES; i++)
        assert_true(by_queue[i] > 50);
}

static void a_packet_may_be_sent_through_any_queue(void **state)
{
    struct fixture *f = need_device(state);
    open_all_queues(f);
    const uint8_t echo[] = {0x45, 0, 0,  28, 0, 0, 0, 0, 64,   1,    0x66, 0x43, 10, 77,
                            0,    2, 10, 77, 0, 1, 8, 0, 0xf7, 0xff, 0,    0,    0,  0};
    const struct strait_offload ordinary = {0};
    struct iovec part = {(void *)(uintptr_t)echo, sizeof(echo)};
    for (int i = 0; i < QUEUES; i++)
        assert_int_equal(f->links[i]->send(f->links[i], &part, 1, &ordinary), 0);
}

/* A persistent device, as `ip tuntap add` makes it. */
static void make_persistent(short flags)
{
    struct ifreq request = {.ifr_name = DEVICE, .ifr_flags = (short)(IFF_TUN | flags)};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
    assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
    close(fd);
}

static void a_device_that_was_made_for_one_queue_has_one(void **state)
{
    struct fixture *f = need_device(state);
    make_persistent(IFF_NO_PI);
    open_queues(f);
    assert_int_equal(f->open, 1);
    assert_non_null(strstr(f->noticed, "one queue"));
    assert_non_null(strstr(f->noticed, "multi_queue"));
}

static void a_persistent_device_of_several_queues_is_opened_again_and_again(void **state)
{
    struct fixture *f = need_device(state);
    make_persistent(IFF_NO_PI | IFF_MULTI_QUEUE);
    for (int i = 0; i < 3; i++) {
        open_all_queues(f);
        close_queues(f);
    }
}

static void set_capability(int capability, bool have)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    uint32_t bit = 1u << capability % 32;
    assert_int_equal(syscall(SYS_capget, &head, data), 0);
    uint32_t *effective = &data[capability / 32].effective;
    *effective = have ? *effective | bit : *effective & ~bit;
    assert_int_equal(syscall(SYS_capset, &head, data), 0);
}

static int teardown_with_privilege(void **state)
{
    struct fixture *f = *state;
    if (f->home >= 0) {
        set_capability(CAP_SYS_ADMIN, true);
        set_capability(CAP_BPF, true);
    }
    return teardown(state);
}

/* With the kernel's own choice each queue would see packets of all shards. */
static void without_the_right_to_steer_there_is_one_queue(void **state)
{
    struct fixture *f = need_device(state);
    set_capability(CAP_SYS_ADMIN, false);
    set_capability(CAP_BPF, false);
    open_queues(f);
    if (f->open == QUEUES) {
        print_message("skipped: this kernel lets everybody load eBPF programs\n");
        skip();
    }
    assert_int_equal(f->open, 1);
    assert_non_null(strstr(f->noticed, "going on with one"));
    f->links[0]->receive = see;
    f->links[0]->upper = f;
    for (uint16_t port = 1; port <= 20; port++)
        send_to(port);
    while (f->links[0]->drain(f->links[0], 0, 65536) > 0)
        continue;
    assert_int_equal(f->datagrams, 20);
}

static void too_many_queues_are_refused_in_one_line(void **state)
{
    struct fixture *f = *state;
    char error[256] = "";
    f->host.shards = STRAIT_SHARDS_MAX + 1;
    assert_int_equal(strait_tun_open_queues(&f->tun, &f->host, f->links, error, sizeof(error)), -1);
    assert_int_equal(errno, EINVAL);
    assert_non_null(strstr(error, "1 to 32"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(each_packet_comes_to_the_queue_of_its_shard),
        TEST(a_packet_may_be_sent_through_any_queue),
        TEST(a_device_that_was_made_for_one_queue_has_one),
        TEST(a_persistent_device_of_several_queues_is_opened_again_and_again),
        cmocka_unit_test_setup_teardown(without_the_right_to_steer_there_is_one_queue, setup,
                                        teardown_with_privilege),
        TEST(too_many_queues_are_refused_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
