/* SPDX-License-Identifier: MIT */
#include "kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <linux/tcp.h> /* for tcpi_dsack_dups, which that of libc lacks */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "transfer.h"

struct sockaddr_in address_of(const char *address, uint16_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    assert_int_equal(inet_pton(AF_INET, address, &a.sin_addr), 1);
    return a;
}

int kernel_socket(int type)
{
    int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct timeval limit = {.tv_sec = WAIT_MS / 1000};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)), 0);
    if (type == SOCK_STREAM && setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5) != 0)
        assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), 0);
    return fd;
}

int kernel_connect(uint16_t port)
{
    int fd = kernel_socket(SOCK_STREAM);
    struct sockaddr_in to = address_of(STRAIT_ADDRESS, port);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        fail_msg("connecting to port %u: %m", port);
    return fd;
}

int kernel_listen(uint16_t *port)
{
    int fd = kernel_socket(SOCK_STREAM);
    struct sockaddr_in at = address_of(KERNEL_ADDRESS, 0);
    socklen_t size = sizeof(at);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 256), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

void kernel_close_by_reset(int fd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once)), 0);
    close(fd);
}

/* Packets that the kernel could not put into the device's queue, since the device is there. */
static uint32_t device_drops(void)
{
    char line[400];
    unsigned drops = 0;
    FILE *file = fopen("/proc/net/dev", "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        /* The fourth of what was sent, behind eight numbers of what was received. */
        if (sscanf(line, " " DEVICE ": %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %*u %u", &drops) ==
            1)
            break;
    }
    if (file != NULL)
        fclose(file);
    return drops;
}

/* A counter of /proc/net/netstat, where a line of names stands above a line of numbers; or 0. */
static uint32_t namespace_counter(const char *wanted)
{
    char names[8192], numbers[8192];
    uint32_t value = 0;
    FILE *file = fopen("/proc/net/netstat", "re");
    while (file != NULL && fgets(names, sizeof(names), file) != NULL &&
           fgets(numbers, sizeof(numbers), file) != NULL) {
        char *next_name = NULL, *next_number = NULL;
        char *name = strtok_r(names, " \n", &next_name);
        char *number = strtok_r(numbers, " \n", &next_number);
        for (; name != NULL && number != NULL;
             name = strtok_r(NULL, " \n", &next_name), number = strtok_r(NULL, " \n", &next_number))
            if (strcmp(name, wanted) == 0)
                value = (uint32_t)strtoul(number, NULL, 10);
    }
    if (file != NULL)
        fclose(file);
    return value;
}

uint32_t kernel_repeats_by_time(void)
{
    return namespace_counter("TCPLossProbes") + namespace_counter("TCPTimeouts");
}

uint32_t kernel_retransmissions(int fd)
{
    struct tcp_info info = {0};
    socklen_t size = sizeof(info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0)
        return UINT32_MAX;
    uint32_t explained = info.tcpi_dsack_dups + device_drops() + kernel_repeats_by_time();
    return info.tcpi_total_retrans > explained ? info.tcpi_total_retrans - explained : 0;
}

void check_echo(uint64_t seed, uint64_t bytes)
{
    char error[200] = "";
    struct transfer t;
    int fd = kernel_connect(PORT_ECHO);
    transfer_init_echo(&t, fd, seed, bytes);
    /* A floor of 20 MB/s both ways, and time to start. */
    int timeout_ms = WAIT_MS + (int)(bytes / (20 * KB));
    int result = transfer_run(&kernel_transport, &t, 1, timeout_ms, error, sizeof(error));
    transfer_finish(&t);
    if (result != 0)
        fail_msg("echo of %llu bytes: %s", (unsigned long long)bytes, error);
    assert_int_equal(kernel_retransmissions(fd), 0);
    close(fd);
}

static FILE *start(const char *format, va_list arguments)
{
    char line[1024];
    int prefix = snprintf(line, sizeof(line), "exec 2>&1 </dev/null; ");
    int length =
        vsnprintf(line + prefix, sizeof(line) - (size_t)prefix, format, arguments) + prefix;
    assert_true(length < (int)sizeof(line));
    FILE *pipe = popen(line, "re");
    assert_non_null(pipe);
    return pipe;
}

FILE *start_command(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    FILE *pipe = start(format, arguments);
    va_end(arguments);
    return pipe;
}

int finish_command(FILE *pipe, char *output, size_t output_bytes)
{
    size_t total = 0;
    char piece[4096];
    size_t n;
    while ((n = fread(piece, 1, sizeof(piece), pipe)) > 0) {
        size_t room = output_bytes - 1 - total;
        size_t part = n < room ? n : room;
        memcpy(output + total, piece, part);
        total += part;
    }
    output[total] = '\0';
    int status = pclose(pipe);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

int run_command(char *output, size_t output_bytes, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    FILE *pipe = start(format, arguments);
    va_end(arguments);
    return finish_command(pipe, output, output_bytes);
}
