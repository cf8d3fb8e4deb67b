/* SPDX-License-Identifier: MIT */
#include "client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

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
