/* SPDX-License-Identifier: MIT */
/* The checker of the bank. Accounts x and y hold 5 together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bank.h"
#include "diagram.h"

#define BANK(...)                                                                                  \
    struct history h = DIAGRAM(__VA_ARGS__);                                                       \
    struct bank_result r;                                                                          \
    bank_check(&h, X, 2, 5, &r);                                                                   \
    history_free(&h)

static void accepts_the_same_total_in_other_accounts(void **state)
{
    (void)state;
    BANK("[rx3 ry2] [rx3 ry2 wx1 wy4]", //
         "    [rx1 ry4]   [ry0 rx5]    ");
    assert_int_equal(r.answer, HISTORY_YES);
    assert_int_equal(r.looks, 4);
}

static void refuses_another_total(void **state)
{
    (void)state;
    BANK("[rx3 ry2] [rx3 ry4] [rx1 ry1]");
    assert_int_equal(r.answer, HISTORY_NO);
    assert_int_equal(r.transaction, 1);
    assert_int_equal(r.seen, 7);
    assert_string_equal(r.why.text, "the accounts hold 7, not 5, as seen by\n"
                                    "    T1 (client 0, 10.000 to 18.000 ms): "
                                    "read k0 = 3, read k1 = 4\n");
}

static void ignores_who_has_not_seen_all_accounts(void **state)
{
    (void)state;
    BANK("[rx3] [ry9] [rx9 rx9] [rz5] [rx2 rz3]");
    assert_int_equal(r.answer, HISTORY_YES);
    assert_int_equal(r.looks, 0);
}

static void ignores_what_has_failed_or_is_not_known(void **state)
{
    (void)state;
    BANK("[rx9 ry9) [rx8 ry8>");
    assert_int_equal(r.answer, HISTORY_YES);
    assert_int_equal(r.looks, 0);
}

/* The second look into an account would have made it 6. */
static void counts_each_account_once(void **state)
{
    (void)state;
    BANK("[rx1 ry4 rx1]");
    assert_int_equal(r.answer, HISTORY_YES);
    assert_int_equal(r.looks, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_the_same_total_in_other_accounts),
        cmocka_unit_test(refuses_another_total),
        cmocka_unit_test(ignores_who_has_not_seen_all_accounts),
        cmocka_unit_test(ignores_what_has_failed_or_is_not_known),
        cmocka_unit_test(counts_each_account_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
