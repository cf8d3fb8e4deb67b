/* SPDX-License-Identifier: MIT */
#include "ping/fault.h"

#include <stdio.h>

#define TYPE_UNREACHABLE   3
#define TYPE_TIME_EXCEEDED 11
#define TYPE_PARAMETER     12

#define CODE_FRAGMENTATION_NEEDED 4

static const char *const unreachable[] = {
    "Destination Net Unreachable",
    "Destination Host Unreachable",
    "Destination Protocol Unreachable",
    "Destination Port Unreachable",
    [CODE_FRAGMENTATION_NEEDED] = "Frag needed and DF set",
    "Source Route Failed",
    "Destination Net Unknown",
    "Destination Host Unknown",
    "Source Host Isolated",
    "Destination Net Prohibited",
    "Destination Host Prohibited",
    "Destination Net Unreachable for Type of Service",
    "Destination Host Unreachable for Type of Service",
    "Packet filtered",
    "Precedence Violation",
    "Precedence Cutoff",
};

static const char *const exceeded[] = {"Time to live exceeded", "Frag reassembly time exceeded"};

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

void fault_describe(char text[FAULT_BYTES], uint8_t type, uint8_t code, uint32_t mtu)
{
    if (type == TYPE_UNREACHABLE && code == CODE_FRAGMENTATION_NEEDED)
        snprintf(text, FAULT_BYTES, "%s (mtu = %u)", unreachable[code], mtu);
    else if (type == TYPE_UNREACHABLE && code < COUNT(unreachable))
        snprintf(text, FAULT_BYTES, "%s", unreachable[code]);
    else if (type == TYPE_UNREACHABLE)
        snprintf(text, FAULT_BYTES, "Dest Unreachable, Bad Code: %u", code);
    else if (type == TYPE_TIME_EXCEEDED && code < COUNT(exceeded))
        snprintf(text, FAULT_BYTES, "%s", exceeded[code]);
    else if (type == TYPE_TIME_EXCEEDED)
        snprintf(text, FAULT_BYTES, "Time exceeded, Bad Code: %u", code);
    else if (type == TYPE_PARAMETER)
        snprintf(text, FAULT_BYTES, "Parameter problem");
    else
        snprintf(text, FAULT_BYTES, "Bad ICMP type: %u", type);
}
