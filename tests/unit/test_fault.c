/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ping/fault.h"

static void icmp_errors_are_said_in_the_words_of_iputils(void **state)
{
    static const struct {
        uint8_t type, code;
        const char *words;
    } cases[] = {
        {3, 0, "Destination Net Unreachable"},
        {3, 1, "Destination Host Unreachable"},
        {3, 3, "Destination Port Unreachable"},
        {3, 4, "Frag needed and DF set (mtu = 1400)"},
        {3, 5, "Source Route Failed"},
        {3, 12, "Destination Host Unreachable for Type of Service"},
        {3, 13, "Packet filtered"},
        {3, 15, "Precedence Cutoff"},
        {3, 16, "Dest Unreachable, Bad Code: 16"},
        {11, 0, "Time to live exceeded"},
        {11, 1, "Frag reassembly time exceeded"},
        {11, 255, "Time exceeded, Bad Code: 255"},
        {12, 0, "Parameter problem"},
        {200, 0, "Bad ICMP type: 200"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[FAULT_BYTES];
        fault_describe(text, cases[i].type, cases[i].code, 1400);
        assert_string_equal(text, cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(icmp_errors_are_said_in_the_words_of_iputils),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
