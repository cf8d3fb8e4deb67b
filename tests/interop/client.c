/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "transfer.h"

int client_peer(int type, uint16_t *port)
{
    int fd = kernel_socket(type);
    struct sockaddr_in at = address_of("0.0.0.0", 0);
    socklen_t size = sizeof(at);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

int client_connect(uint16_t port)
{
    struct sockaddr_in to = address_of(STRAIT_ADDRESS, port);
    for (uint64_t end = now_ms() + WAIT_MS; now_ms() < end; usleep(10000)) {
        int fd = kernel_socket(SOCK_STREAM);
        if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
            return fd;
        close(fd);
    }
    fail_msg("nobody listens at port %u", port);
    return -1;
}

void client_refuses(const char *name, int expected_status, const char *expected,
                    const char *arguments)
{
    char output[4096];
    int status = run_command(output, sizeof(output),
                             "timeout 30 \"$STRAIT\" %s --addr " STRAIT_NETWORK
                             " --peer " KERNEL_ADDRESS " %s",
                             name, arguments);
    const char *end = strchr(output, '\n');
    if (status != expected_status)
        fail_msg("%s %s: status %d instead of %d: %s", name, arguments, status, expected_status,
                 output);
    if (end == NULL || end[1] != '\0' || strstr(output, expected) == NULL)
        fail_msg("%s %s: not one line with \"%s\": %s", name, arguments, expected, output);
}
