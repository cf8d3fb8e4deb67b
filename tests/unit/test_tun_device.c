/* SPDX-License-Identifier: MIT */
/*
 * The link over a real device, in a network namespace of the test's own: it needs privilege, and is
 * skipped without.
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
#include <ifaddrs.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "host/tun.h"
#include "tap.h"

#define US     "10.9.0.2"
#define KERNEL "10.9.0.1"

struct notices {
    int count;
    char last[256];
};

static void keep_notice(void *context, const char *message)
{
    struct notices *notices = context;
    notices->count++;
    snprintf(notices->last, sizeof(notices->last), "%s", message);
}

/* Each test has a network namespace of its own. */
static int enter_namespace(void **state)
{
    struct notices *notices = calloc(1, sizeof(*notices));
    *state = notices;
    if (!notices)
        return -1;
    int fd = unshare(CLONE_NEWNET) ? -1 : open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        print_message("no network namespace or no /dev/net/tun: %s\n", strerror(errno));
        free(notices);
        *state = NULL;
        return 0;
    }
    close(fd);
    return 0;
}

static int leave_namespace(void **state)
{
    free(*state);
    return 0;
}

static struct notices *need_device(void **state)
{
    if (!*state) {
        skip();
        __builtin_unreachable(); /* skip leaves the test by longjmp */
    }
    return *state;
}

static struct strait_tun_config config_of(struct notices *notices)
{
    return (struct strait_tun_config){.size = sizeof(struct strait_tun_config),
                                      .name = "tun7",
                                      .peer = {inet_addr(KERNEL)},
                                      .prefix_bits = 24,
                                      .notice = keep_notice,
                                      .notice_context = notices};
}

static struct strait_link *open_with(const struct strait_tun_config *config)
{
    char error[256] = "";
    struct strait_link *link = strait_tun_open(config, error, sizeof(error));
    if (!link)
        fail_msg("%s", error);
    return link;
}

/* Opening fails with `number`, and the one line says `words`. */
static void expect_refusal(const struct strait_tun_config *config, int number, const char *words)
{
    char error[256] = "";
    errno = 0;
    assert_null(strait_tun_open(config, error, sizeof(error)));
    assert_int_equal(errno, number);
    if (!strstr(error, words) || strchr(error, '\n'))
        fail_msg("expected '%s' in one line, got '%s'", words, error);
}

/* Reads (or with `set` changes) a property of tun7. */
static struct ifreq property(unsigned long command, bool *found)
{
    struct ifreq request = {.ifr_name = "tun7"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool ok = ioctl(fd, command, &request) == 0;
    if (found)
        *found = ok;
    else
        assert_true(ok);
    close(fd);
    return request;
}

static void set_flags(bool up)
{
    struct ifreq request = property(SIOCGIFFLAGS, NULL);
    request.ifr_flags = (short)(up ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
    close(fd);
}

/* A persistent tun7, as `ip tuntap add` makes it. */
static void make_persistent(short flags)
{
    struct ifreq request = {.ifr_name = "tun7", .ifr_flags = (short)(IFF_TUN | flags)};
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
    assert_int_equal(ioctl(fd, TUNSETOWNER, getuid()), 0);
    assert_int_equal(ioctl(fd, TUNSETPERSIST, 1), 0);
    close(fd);
}

static void delete_device(void)
{
    struct {
        struct nlmsghdr head;
        struct ifinfomsg message;
    } request = {
        .head = {.nlmsg_len = sizeof(request),
                 .nlmsg_type = RTM_DELLINK,
                 .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
        .message = {.ifi_index = (int)if_nametoindex("tun7")},
    };
    char reply[512];
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    assert_int_equal(send(fd, &request, sizeof(request), 0), (ssize_t)sizeof(request));
    assert_true(recv(fd, reply, sizeof(reply), 0) > 0);
    close(fd);
    assert_int_equal(if_nametoindex("tun7"), 0);
}

/* Takes CAP_NET_ADMIN out of the effective set, or puts it back. */
static void set_privilege(bool have)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    assert_int_equal(syscall(SYS_capget, &head, data), 0);
    if (have)
        data[0].effective |= 1u << CAP_NET_ADMIN;
    else
        data[0].effective &= ~(1u << CAP_NET_ADMIN);
    assert_int_equal(syscall(SYS_capset, &head, data), 0);
}

static int leave_with_privilege(void **state)
{
    if (*state)
        set_privilege(true);
    return leave_namespace(state);
}

static bool has_address(const char *text, const char *mask_text)
{
    struct ifaddrs *all;
    bool found = false;
    assert_int_equal(getifaddrs(&all), 0);
    for (struct ifaddrs *i = all; i; i = i->ifa_next) {
        if (strcmp(i->ifa_name, "tun7") != 0 || !i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in address, mask;
        memcpy(&address, i->ifa_addr, sizeof(address));
        memcpy(&mask, i->ifa_netmask, sizeof(mask));
        found |= address.sin_addr.s_addr == inet_addr(text) &&
                 mask.sin_addr.s_addr == inet_addr(mask_text);
    }
    freeifaddrs(all);
    return found;
}

static void a_device_is_made_and_configured_and_vanishes_when_closed(void **state)
{
    struct notices *notices = need_device(state);
    struct strait_tun_config config = config_of(notices);
    config.mtu = 9000;
    config.queue_packets = 3000;
    struct strait_link *link = open_with(&config);
    assert_string_equal(link->name, "tun7");
    assert_int_equal(link->mtu, 9000);
    assert_int_equal(link->features, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4);
    assert_true(fcntl(link->fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(link->fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(property(SIOCGIFMTU, NULL).ifr_mtu, 9000);
    assert_int_equal(property(SIOCGIFTXQLEN, NULL).ifr_qlen, 3000);
    assert_true(property(SIOCGIFFLAGS, NULL).ifr_flags & IFF_UP);
    assert_true(has_address(KERNEL, "255.255.255.0"));
    assert_int_equal(notices->count, 0);
    link->close(link);
    assert_int_equal(if_nametoindex("tun7"), 0);
}

static void a_device_that_is_made_has_an_mtu_of_1500(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    struct strait_link *link = open_with(&config);
    assert_int_equal(link->mtu, 1500);
    link->close(link);
}

static void what_cannot_be_is_refused_in_one_line(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    static const char *const names[] = {"", "a/b", "..", "a b", "tun%d", "sixteen-letters-"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        config.name = names[i];
        expect_refusal(&config, EINVAL, "cannot be the name");
    }
    config = config_of(*state);
    config.name = "lo";
    expect_refusal(&config, EINVAL, "lo is not a TUN device");
    config = config_of(*state);
    config.mtu = 65536;
    expect_refusal(&config, EINVAL, "68 to 65535");
    config.mtu = 67;
    expect_refusal(&config, EINVAL, "68 to 65535");
    config = config_of(*state);
    config.prefix_bits = 33;
    expect_refusal(&config, EINVAL, "prefix");
    config.prefix_bits = 0;
    expect_refusal(&config, EINVAL, "prefix");
    assert_int_equal(if_nametoindex("tun7"), 0);
}

static void a_device_in_use_is_ebusy(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    struct strait_link *link = open_with(&config);
    expect_refusal(&config, EBUSY, "in use by another program");
    link->close(link);
}

static void a_persistent_device_stays_and_is_opened_again(void **state)
{
    struct notices *notices = need_device(state);
    struct strait_tun_config config = config_of(notices);
    make_persistent(0);
    for (int i = 0; i < 2; i++) {
        struct strait_link *link = open_with(&config);
        assert_int_equal(link->features, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4);
        link->close(link);
        assert_true(has_address(KERNEL, "255.255.255.0"));
    }
    assert_int_equal(notices->count, 0);
}

static void a_persistent_device_of_several_queues_is_opened(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    make_persistent(IFF_MULTI_QUEUE);
    struct strait_link *link = open_with(&config);
    assert_int_equal(link->features, STRAIT_LINK_CHECKSUM | STRAIT_LINK_TSO4);
    link->close(link);
}

static void an_address_is_added_beside_the_one_that_is_there(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    make_persistent(0);
    struct strait_link *link = open_with(&config);
    link->close(link);
    config.peer.s_addr = inet_addr("10.10.0.1");
    config.prefix_bits = 16;
    link = open_with(&config);
    link->close(link);
    assert_true(has_address(KERNEL, "255.255.255.0"));
    assert_true(has_address("10.10.0.1", "255.255.0.0"));
}

static void without_privilege_no_device_can_be_made(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    set_privilege(false);
    expect_refusal(&config, EPERM, "ip tuntap add tun7 mode tun user");
}

static void without_privilege_a_configured_device_of_ours_is_taken(void **state)
{
    struct notices *notices = need_device(state);
    struct strait_tun_config config = config_of(notices);
    make_persistent(0);
    struct strait_link *link = open_with(&config);
    link->close(link);

    set_privilege(false);
    link = open_with(&config);
    link->close(link);
    assert_int_equal(notices->count, 0);

    config.mtu = 1400;
    link = open_with(&config);
    assert_int_equal(link->mtu, 1500);
    link->close(link);
    assert_int_equal(notices->count, 1);
    assert_non_null(strstr(notices->last, "MTU"));

    config = config_of(notices);
    config.peer.s_addr = inet_addr("10.10.0.1");
    link = open_with(&config);
    link->close(link);
    assert_int_equal(notices->count, 2);
    assert_non_null(strstr(notices->last, "address"));
}

static void without_privilege_a_bare_device_is_refused_with_advice(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    make_persistent(0);
    set_privilege(false);
    expect_refusal(&config, EPERM, "ip address add");
    config.peer.s_addr = 0;
    expect_refusal(&config, EPERM, "ip link set tun7 up");
}

/* A socket of the kernel's, bound to its address on tun7. */
static int kernel_socket(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {inet_addr(KERNEL)}};
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

/* Sums pseudo-header and datagram: 0xffff if the checksum is right (RFC 768). */
static uint16_t udp_sum(const uint8_t *packet, size_t length)
{
    uint64_t sum = checksum_add(0, packet + 12, 8);
    sum += 17 + (length - 20);
    return checksum_fold(checksum_add(sum, packet + 20, length - 20));
}

/* Takes what the kernel has sent of its own accord (it looks for IPv6 routers) until nothing waits.
 */
static void empty(struct strait_link *link)
{
    int packets;
    do
        packets = link->drain(link, 0, 65536);
    while (packets > 0);
    assert_int_equal(packets, 0);
}

/* Lets the kernel send a datagram, and takes it (and no IPv6 noise) from the link. */
static void receive_from_kernel(struct strait_link *link, struct seen *seen, const char *text)
{
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(7), .sin_addr = {inet_addr(US)}};
    int fd = kernel_socket(5000);
    tap_listen(link, seen);
    empty(link);
    assert_int_equal(sendto(fd, text, strlen(text), 0, (struct sockaddr *)&to, sizeof(to)),
                     (ssize_t)strlen(text));
    close(fd);
    while (link->drain(link, 0, 1) > 0 && seen->packet[0] != 0x45)
        continue;
    assert_int_equal(seen->packet[0], 0x45);
    assert_int_equal(seen->length, 28 + strlen(text));
    assert_memory_equal(seen->packet + 28, text, strlen(text));
}

static void a_packet_of_the_kernel_has_a_partial_checksum(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    struct strait_link *link = open_with(&config);
    struct seen seen;
    receive_from_kernel(link, &seen, "over the strait");
    assert_int_equal(seen.offload.checksum, STRAIT_CHECKSUM_PARTIAL);
    assert_int_equal(seen.offload.checksum_start, 20);
    assert_int_equal(seen.offload.checksum_offset, 6);
    link->close(link);
}

static void a_plain_device_gets_whole_checksums_even_after_one_with_offload(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    make_persistent(0);
    struct strait_link *link = open_with(&config);
    link->close(link);
    config.plain = true;
    link = open_with(&config);
    assert_int_equal(link->features, 0);
    struct seen seen;
    receive_from_kernel(link, &seen, "over the strait");
    assert_int_equal(seen.offload.checksum, STRAIT_CHECKSUM_COMPLETE);
    assert_int_equal(udp_sum(seen.packet, seen.length), 0xffff);
    link->close(link);
}

/* A datagram from us to the kernel's port 5000. */
static size_t make_datagram(uint8_t packet[64], const char *text)
{
    size_t length = 28 + strlen(text);
    memset(packet, 0, 64);
    packet[0] = 0x45;
    store_be16(packet + 2, (uint16_t)length);
    packet[8] = 64;
    packet[9] = 17;
    memcpy(packet + 12, &(in_addr_t){inet_addr(US)}, 4);
    memcpy(packet + 16, &(in_addr_t){inet_addr(KERNEL)}, 4);
    store_be16(packet + 10, (uint16_t)~checksum_fold(checksum_add(0, packet, 20)));
    store_be16(packet + 20, 7);
    store_be16(packet + 22, 5000);
    store_be16(packet + 24, (uint16_t)(length - 20));
    memcpy(packet + 28, text, length - 28);
    return length;
}

static void the_kernel_finishes_a_partial_checksum(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    struct strait_link *link = open_with(&config);
    int fd = kernel_socket(5000);
    uint8_t packet[64], got[64];
    size_t length = make_datagram(packet, "hello kernel");
    uint64_t pseudo = checksum_add(0, packet + 12, 8) + 17 + (length - 20);
    store_be16(packet + 26, checksum_fold(pseudo));
    struct strait_offload offload = {
        .checksum = STRAIT_CHECKSUM_PARTIAL, .checksum_start = 20, .checksum_offset = 6};
    struct iovec parts[] = {{packet, 28}, {packet + 28, length - 28}};
    assert_int_equal(link->send(link, parts, 2, &offload), 0);
    assert_int_equal(recv(fd, got, sizeof(got), 0), 12);
    assert_memory_equal(got, "hello kernel", 12);

    /* The same bytes, said to be complete, are wrong. */
    offload = (struct strait_offload){0};
    assert_int_equal(link->send(link, parts, 2, &offload), 0);
    assert_int_equal(recv(fd, got, sizeof(got), 0), -1);
    close(fd);
    link->close(link);
}

static void a_device_that_is_down_comes_back(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    struct strait_link *link = open_with(&config);
    struct seen seen;
    tap_listen(link, &seen);
    uint8_t packet[64];
    struct iovec part = {packet, make_datagram(packet, "x")};
    const struct strait_offload none = {0};
    empty(link);

    set_flags(false);
    assert_int_equal(link->send(link, &part, 1, &none), -1);
    assert_int_equal(tap_counter(link, "tun_send_device_down"), 1);
    empty(link);
    set_flags(true);
    assert_int_equal(link->send(link, &part, 1, &none), 0);
    receive_from_kernel(link, &seen, "back again");
    link->close(link);
}

static void a_device_that_is_deleted_is_gone(void **state)
{
    struct strait_tun_config config = config_of(need_device(state));
    struct strait_link *link = open_with(&config);
    struct seen seen;
    tap_listen(link, &seen);
    empty(link);
    delete_device();
    assert_int_equal(link->drain(link, 0, 65536), -1);
    assert_int_equal(errno, ENODEV);
    uint8_t packet[64];
    struct iovec part = {packet, make_datagram(packet, "x")};
    const struct strait_offload none = {0};
    assert_int_equal(link->send(link, &part, 1, &none), -1);
    assert_int_equal(tap_counter(link, "tun_send_device_gone"), 1);
    link->close(link);
}

int main(void)
{
#define DEVICE(name)  cmocka_unit_test_setup_teardown(name, enter_namespace, leave_namespace)
#define WITHOUT(name) cmocka_unit_test_setup_teardown(name, enter_namespace, leave_with_privilege)
    const struct CMUnitTest tests[] = {
        DEVICE(a_device_is_made_and_configured_and_vanishes_when_closed),
        DEVICE(a_device_that_is_made_has_an_mtu_of_1500),
        DEVICE(what_cannot_be_is_refused_in_one_line),
        DEVICE(a_device_in_use_is_ebusy),
        DEVICE(a_persistent_device_stays_and_is_opened_again),
        DEVICE(a_persistent_device_of_several_queues_is_opened),
        DEVICE(an_address_is_added_beside_the_one_that_is_there),
        WITHOUT(without_privilege_no_device_can_be_made),
        WITHOUT(without_privilege_a_configured_device_of_ours_is_taken),
        WITHOUT(without_privilege_a_bare_device_is_refused_with_advice),
        DEVICE(a_packet_of_the_kernel_has_a_partial_checksum),
        DEVICE(a_plain_device_gets_whole_checksums_even_after_one_with_offload),
        DEVICE(the_kernel_finishes_a_partial_checksum),
        DEVICE(a_device_that_is_down_comes_back),
        DEVICE(a_device_that_is_deleted_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
