/* SPDX-License-Identifier: MIT */
/* The program and its surroundings: devices, privileges, captures, and command lines it refuses. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <net/if.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel.h"
#include "program.h"

#define USAGE_STATUS   2
#define FAILURE_STATUS 1
#define TUN_MINOR      200

/* The options of an ordinary start, to which a test adds its own. */
#define ORDINARY "serve", "--tun", DEVICE, "--addr", STRAIT_NETWORK, "--peer", KERNEL_ADDRESS

static uid_t nobody(void)
{
    const struct passwd *entry = getpwnam("nobody");
    assert_non_null(entry);
    return entry->pw_uid;
}

static void shell(const char *line)
{
    char output[1024];
    if (run_command(output, sizeof(output), "%s", line) != 0)
        fail_msg("%s: %s", line, output);
}

/* ---- Devices ------------------------------------------------------------------------------- */

static void the_device_is_gone_when_the_program_is(void **state)
{
    for (int i = 0; i < 5; i++) {
        program_start(*state, NULL);
        assert_int_not_equal(if_nametoindex(DEVICE), 0);
        program_stop(*state, i % 2 == 0 ? SIGTERM : SIGINT);
        assert_int_equal(if_nametoindex(DEVICE), 0);
    }
}

static void the_device_has_the_mtu_and_address_that_were_asked_for(void **state)
{
    char output[1024];
    program_start(*state, "--mtu", "1280", NULL);
    assert_int_equal(run_command(output, sizeof(output), "ip -o link show " DEVICE), 0);
    assert_non_null(strstr(output, " mtu 1280 "));
    assert_int_equal(run_command(output, sizeof(output), "ip -o -4 address show " DEVICE), 0);
    assert_non_null(strstr(output, "inet " KERNEL_ADDRESS "/24 "));
    program_stop(*state, SIGTERM);
}

/* Makes /dev/net/tun open for everybody, as udev does, for this process and its children only. */
static bool open_device_node(void)
{
    struct stat node;
    if (stat("/dev/net/tun", &node) == 0 && (node.st_mode & 0006) == 0006)
        return true;
    return unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", "/dev/net", "tmpfs", 0, NULL) == 0 &&
           mknod("/dev/net/tun", S_IFCHR | 0600, makedev(10, TUN_MINOR)) == 0 &&
           chmod("/dev/net/tun", 0666) == 0;
}

static void a_persistent_device_of_an_ordinary_user_needs_no_privilege(void **state)
{
    static const char *const options[] = {"--tun", DEVICE, "--addr", STRAIT_NETWORK, NULL};
    if (!open_device_node()) {
        print_message("cannot make a device node that everybody may open: %m\n");
        skip();
    }
    shell("ip tuntap add " DEVICE " mode tun user nobody");
    shell("ip address add " KERNEL_ADDRESS "/24 dev " DEVICE);
    shell("ip link set " DEVICE " up");
    for (int i = 0; i < 2; i++) {
        program_start_as(*state, nobody(), options);
        check_echo((uint64_t)i, 1 * MB);
        program_stop(*state, SIGTERM);
        assert_int_not_equal(if_nametoindex(DEVICE), 0);
    }
    shell("ip link delete " DEVICE);
}

static void a_device_that_somebody_uses_is_refused(void **state)
{
    static const char *const ordinary[] = {ORDINARY, NULL};
    void *second;
    program_start(*state, NULL);
    assert_int_equal(program_setup(&second), 0);
    program_refuses(second, 0, FAILURE_STATUS, DEVICE, ordinary);
    program_teardown(&second);
    check_echo(1, 1000);
    program_stop(*state, SIGTERM);
}

/* ---- Privileges ---------------------------------------------------------------------------- */

static void without_privilege_and_device_it_says_how_to_get_them(void **state)
{
    static const char *const ordinary[] = {ORDINARY, NULL};
    program_refuses(*state, nobody(), FAILURE_STATUS, "root", ordinary);
}

static void root_is_given_up_once_the_device_is_open(void **state)
{
    char output[1024], expected[64];
    program_start(*state, NULL);
    int status = run_command(output, sizeof(output),
                             "grep -E '^(Uid|CapEff|CapPrm)' /proc/%d/status", program_pid(*state));
    assert_int_equal(status, 0);
    unsigned uid = nobody();
    snprintf(expected, sizeof(expected), "Uid:\t%u\t%u\t%u\t%u\n", uid, uid, uid, uid);
    assert_non_null(strstr(output, expected));
    assert_non_null(strstr(output, "CapPrm:\t0000000000000000\n"));
    assert_non_null(strstr(output, "CapEff:\t0000000000000000\n"));
    program_stop(*state, SIGTERM);
}

/* ---- Captures ------------------------------------------------------------------------------ */

static void a_capture_can_be_read_by_tcpdump(void **state)
{
    char file[] = "/tmp/strait-capture.XXXXXX", output[16384];
    int fd = mkstemp(file);
    assert_true(fd >= 0);
    close(fd);
    program_start(*state, "--no-offload", "--capture", file, "--filter", "tcp port 7", NULL);
    shell("ping -n -q -c 1 -w 5 " STRAIT_ADDRESS);
    check_echo(1, 1000);
    program_stop(*state, SIGTERM);
    int status = run_command(output, sizeof(output), "tcpdump -n -v -r %s 2>&1", file);
    unlink(file);
    assert_int_equal(status, 0);
    assert_non_null(strstr(output, "Flags [S]"));
    assert_non_null(strstr(output, "Flags [S.]"));
    assert_non_null(strstr(output, "length 1000"));
    assert_non_null(strstr(output, "(correct)"));
    assert_null(strstr(output, "incorrect"));
    assert_null(strstr(output, "ICMP"));
}

/* ---- Settings ------------------------------------------------------------------------------ */

static void a_setting_on_the_command_line_is_in_force_rfc1122_3_2_1_7(void **state)
{
    char output[4096];
    program_start(*state, "--set", "ip.ttl=77", NULL);
    assert_int_equal(run_command(output, sizeof(output), "ping -c 1 -W 5 " STRAIT_ADDRESS), 0);
    assert_non_null(strstr(output, "ttl=77 "));
    program_stop(*state, SIGTERM);
}

/* ---- Refusals ------------------------------------------------------------------------------ */

static void wrong_usage_is_status_2_and_one_line(void **state)
{
    static const struct {
        const char *expected;
        const char *const arguments[12];
    } cases[] = {
        {"--help", {NULL}},
        {"juggle", {"juggle", NULL}},
        {"--addr", {"serve", NULL}},
        {"10.7.0.256/24", {"serve", "--addr", "10.7.0.256/24", NULL}},
        {"host.example", {"serve", "--addr", "host.example", NULL}},
        {"10.7.0.2/33", {"serve", "--addr", "10.7.0.2/33", NULL}},
        {"10.7.0", {"serve", "--addr", "10.7.0.2/24", "--peer", "10.7.0", NULL}},
        {"--peer", {"serve", "--addr", "10.7.0.2/24", "--peer", "10.7.0.2", NULL}},
        {"--peer", {"serve", "--addr", "10.7.0.2/24", "--peer", "10.8.0.1", NULL}},
        {"67", {ORDINARY, "--mtu", "67", NULL}},
        {"65536", {ORDINARY, "--mtu", "65536", NULL}},
        {"1500x", {ORDINARY, "--mtu", "1500x", NULL}},
        {"--capture", {ORDINARY, "--filter", "tcp", NULL}},
        {"--root", {ORDINARY, "--root", NULL}},
        {"ip.ttl=0", {ORDINARY, "--set", "ip.ttl=0", NULL}},
        {"--fly", {ORDINARY, "--fly", NULL}},
        {"more", {ORDINARY, "more", NULL}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        program_refuses(*state, 0, USAGE_STATUS, cases[i].expected, cases[i].arguments);
    assert_int_equal(if_nametoindex(DEVICE), 0);
}

static void what_cannot_be_done_is_status_1_and_one_line(void **state)
{
    static const struct {
        const char *expected;
        const char *const arguments[12];
    } cases[] = {
        {"/nonexistent", {ORDINARY, "--root", "/nonexistent", NULL}},
        {"/etc/passwd", {ORDINARY, "--root", "/etc/passwd", NULL}},
        {"/nonexistent/x", {ORDINARY, "--capture", "/nonexistent/x", NULL}},
        {"nonsense", {ORDINARY, "--capture", "/dev/null", "--filter", "nonsense", NULL}},
        {"a-name-that-is-too-long",
         {"serve", "--addr", STRAIT_NETWORK, "--tun", "a-name-that-is-too-long", NULL}},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        program_refuses(*state, 0, FAILURE_STATUS, cases[i].expected, cases[i].arguments);
    assert_int_equal(if_nametoindex(DEVICE), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, program_setup, program_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_device_is_gone_when_the_program_is),
        TEST(the_device_has_the_mtu_and_address_that_were_asked_for),
        TEST(a_persistent_device_of_an_ordinary_user_needs_no_privilege),
        TEST(a_device_that_somebody_uses_is_refused),
        TEST(without_privilege_and_device_it_says_how_to_get_them),
        TEST(root_is_given_up_once_the_device_is_open),
        TEST(a_capture_can_be_read_by_tcpdump),
        TEST(a_setting_on_the_command_line_is_in_force_rfc1122_3_2_1_7),
        TEST(wrong_usage_is_status_2_and_one_line),
        TEST(what_cannot_be_done_is_status_1_and_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
