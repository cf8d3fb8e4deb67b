/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tcp/holds.h"

#define PORT 80

struct fixture {
    struct holds holds;
    struct address any, one, two;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    assert_true(holds_init(&f->holds));
    f->any = address_v4(INADDR_ANY);
    f->one = address_v4(0x0a000001);
    f->two = address_v4(0x0a000002);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    holds_finish(&f->holds); /* which checks that all were removed */
    free(f);
    return 0;
}

static void add(struct fixture *f, const struct address *address, uint8_t sharing)
{
    assert_true(holds_add(&f->holds, address, PORT, sharing));
}

static void take(struct fixture *f, const struct address *address, uint8_t sharing)
{
    holds_remove(&f->holds, address, PORT, sharing);
}

/* Whether a binding that shares with nobody may not have the address and port. */
static bool held(struct fixture *f, const struct address *address, uint16_t port)
{
    struct binding alone = {0};
    return holds_exclude(&f->holds, &alone, address, port);
}

static void a_port_is_held_by_its_address_and_against_all_of_them(void **state)
{
    struct fixture *f = *state;
    add(f, &f->one, 0);
    assert_true(held(f, &f->one, PORT));
    assert_true(held(f, &f->any, PORT));
    assert_false(held(f, &f->two, PORT));
    assert_false(held(f, &f->any, PORT + 1));
    assert_false(held(f, &f->one, PORT + 16)); /* the same chain of the table */
    take(f, &f->one, 0);
    assert_false(held(f, &f->any, PORT));
}

static void a_port_is_held_until_the_last_has_gone(void **state)
{
    struct fixture *f = *state;
    add(f, &f->one, 0);
    add(f, &f->one, 0);
    add(f, &f->two, 0);
    take(f, &f->one, 0);
    assert_true(held(f, &f->one, PORT));
    take(f, &f->one, 0);
    assert_false(held(f, &f->one, PORT));
    assert_true(held(f, &f->any, PORT));
    take(f, &f->two, 0);
    assert_false(held(f, &f->any, PORT));
}

/* Linux: both say SO_REUSEADDR, or both SO_REUSEPORT. */
static void one_that_does_not_share_excludes_however_many_do(void **state)
{
    static const bool excluded[HOLD_KINDS][HOLD_KINDS] = {
        {true, true, true, true},   /* who holds shares with nobody */
        {true, false, true, false}, /* SO_REUSEADDR */
        {true, true, false, false}, /* SO_REUSEPORT */
        {true, false, false, false},
    };
    struct fixture *f = *state;
    uint8_t both = HOLD_REUSE_ADDRESS | HOLD_REUSE_PORT;
    for (uint8_t holds = 0; holds < HOLD_KINDS; holds++) {
        add(f, &f->one, both);
        add(f, &f->one, both);
        holds_change(&f->holds, &f->one, PORT, both, holds);
        for (uint8_t wants = 0; wants < HOLD_KINDS; wants++) {
            struct binding b = {
                .reuse_address = wants & HOLD_REUSE_ADDRESS,
                .reuse_port = wants & HOLD_REUSE_PORT,
            };
            assert_int_equal(holds_sharing(&b), wants);
            assert_int_equal(holds_exclude(&f->holds, &b, &f->any, PORT), excluded[holds][wants]);
        }
        take(f, &f->one, holds);
        take(f, &f->one, both);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_port_is_held_by_its_address_and_against_all_of_them),
        TEST(a_port_is_held_until_the_last_has_gone),
        TEST(one_that_does_not_share_excludes_however_many_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
