/* SPDX-License-Identifier: MIT */
/* `strait ping`, answered by the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "client.h"
#include "kernel.h"

#define OUTPUT_BYTES 8192

static void expect(int expected_status, const char *expected, const char *arguments)
{
    char output[OUTPUT_BYTES];
    int status = run_command(output, sizeof(output), CLIENT("ping") "%s", arguments);
    if (status != expected_status || strstr(output, expected) == NULL)
        fail_msg("ping %s: status %d instead of %d, or `%s` is missing in: %s", arguments, status,
                 expected_status, expected, output);
}

static void the_kernel_answers(void **state)
{
    (void)state;
    expect(0, "PING 10.7.0.1 (10.7.0.1) 56(84) bytes of data.\n64 bytes from 10.7.0.1: icmp_seq=1 ",
           "-c 3 -i 0.01 " KERNEL_ADDRESS);
    expect(0, "\n50 packets transmitted, 50 received, 0% packet loss, time ",
           "-c 50 -i 0.002 -s 1472 --no-offload " KERNEL_ADDRESS);
    expect(0,
           "\n65515 bytes from 10.7.0.1: icmp_seq=1 ttl=64 time=", "-c 1 -s 65507 " KERNEL_ADDRESS);
}

static void a_silent_host_is_status_1(void **state)
{
    (void)state;
    expect(1, "\n2 packets transmitted, 0 received, 100% packet loss, time ",
           "-c 2 -i 0.05 -W 0.2 10.7.0.77");
}

static void an_interrupt_ends_it_with_the_statistics(void **state)
{
    char output[OUTPUT_BYTES];
    (void)state;
    int status = run_command(output, sizeof(output), "timeout -s INT 2 %s",
                             PLAIN_CLIENT("ping") "-i 0.1 " KERNEL_ADDRESS);
    assert_non_null(strstr(output, " received, 0% packet loss, time "));
    assert_int_equal(status, 124); /* that of timeout, for whom it was too long */
}

/* The kernel is a router from now on, with this route. */
static void route(const char *kind)
{
    char output[OUTPUT_BYTES];
    int status =
        run_command(output, sizeof(output),
                    "ip route replace %s && cd /proc/sys/net/ipv4 && echo 1 >ip_forward && "
                    "echo 0 >icmp_ratelimit",
                    kind);
    if (status != 0)
        fail_msg("ip route replace %s: %s", kind, output);
}

static void what_a_router_says_is_told(void **state)
{
    (void)state;
    route("prohibit 10.9.0.0/16");
    expect(1,
           "\nFrom 10.7.0.1 icmp_seq=1 Packet filtered\n"
           "\n"
           "--- 10.9.0.1 ping statistics ---\n"
           "1 packets transmitted, 0 received, +1 errors, 100% packet loss, time ",
           "-c 1 10.9.0.1");
    route("unreachable 10.9.0.0/16");
    expect(1, "\nFrom 10.7.0.1 icmp_seq=1 Destination Host Unreachable\n", "-c 1 10.9.0.1");
}

static void a_time_to_live_ends_at_a_router(void **state)
{
    (void)state;
    route("10.8.0.0/16 dev lo");
    expect(1,
           "PING 10.8.0.1 (10.8.0.1) 56(84) bytes of data.\n"
           "From 10.7.0.1 icmp_seq=1 Time to live exceeded\n"
           "From 10.7.0.1 icmp_seq=2 Time to live exceeded\n"
           "From 10.7.0.1 icmp_seq=3 Time to live exceeded\n"
           "\n"
           "--- 10.8.0.1 ping statistics ---\n"
           "3 packets transmitted, 0 received, +3 errors, 100% packet loss, time ",
           "-t 1 -c 3 -i 0.01 10.8.0.1");
    expect(0, "\n64 bytes from 10.7.0.1: icmp_seq=1 ttl=64 time=", "-t 1 -c 1 " KERNEL_ADDRESS);
}

static void names_are_found_before_the_device_is_opened(void **state)
{
    (void)state;
    expect(0, "PING localhost (127.0.0.1) 56(84)", "-c 1 localhost");
    expect(2, "strait: nowhere.invalid: ", "-c 1 nowhere.invalid");
}

static void wrong_command_lines_are_status_2_and_one_line(void **state)
{
    (void)state;
    client_refuses("ping", 2, "the host to ping is missing", "");
    client_refuses("ping", 2, "unexpected \"10.7.0.9\"", "10.7.0.1 10.7.0.9");
    client_refuses("ping", 2, "-c 0: must be", "-c 0 10.7.0.1");
    client_refuses("ping", 2, "-i 0.001: must be", "-i 0.001 10.7.0.1");
    client_refuses("ping", 2, "-i 1s: must be", "-i 1s 10.7.0.1");
    client_refuses("ping", 2, "-s 65508: must be", "-s 65508 10.7.0.1");
    client_refuses("ping", 2, "-t 0: must be", "-t 0 10.7.0.1");
    client_refuses("ping", 2, "-t 256: must be", "-t 256 10.7.0.1");
    client_refuses("ping", 2, "-W -1: must be", "-W -1 10.7.0.1");
    client_refuses("ping", 2, "unknown option -x; see strait ping --help", "-x 10.7.0.1");
    client_refuses("ping", 2, "a-name-that-is-too-long", "--tun a-name-that-is-too-long 10.7.0.1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_kernel_answers),
        cmocka_unit_test(a_silent_host_is_status_1),
        cmocka_unit_test(an_interrupt_ends_it_with_the_statistics),
        cmocka_unit_test(what_a_router_says_is_told),
        cmocka_unit_test(a_time_to_live_ends_at_a_router),
        cmocka_unit_test(names_are_found_before_the_device_is_opened),
        cmocka_unit_test(wrong_command_lines_are_status_2_and_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
