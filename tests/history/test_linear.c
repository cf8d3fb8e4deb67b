/* SPDX-License-Identifier: MIT */
/*
 * The checker of linearizability: histories that are, that are not, and for small ones at random
 * the answer of trying every order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/prng.h"
#include "diagram.h"
#include "linear.h"

static struct linear_result check_and_free(struct history *h)
{
    struct linear_result r;

    linear_check(h, &r);
    history_free(h);
    return r;
}

#define assert_linearizable(...)                                                                   \
    do {                                                                                           \
        struct history drawn = DIAGRAM(__VA_ARGS__);                                               \
        struct linear_result result = check_and_free(&drawn);                                      \
        assert_string_equal(result.why.text, "");                                                  \
        assert_int_equal(result.answer, HISTORY_YES);                                              \
    } while (0)

/* The transaction whose end cannot be explained is given by its place among the beginnings. */
#define assert_not_linearizable(last, ...)                                                         \
    do {                                                                                           \
        struct history drawn = DIAGRAM(__VA_ARGS__);                                               \
        struct linear_result result = check_and_free(&drawn);                                      \
        assert_int_equal(result.answer, HISTORY_NO);                                               \
        assert_int_equal(result.transaction, last);                                                \
    } while (0)

/* ---- Reads and writes ---- */

static void accepts_what_happens_one_after_another(void **state)
{
    (void)state;
    assert_linearizable("[rx0] [wx1] [rx1] [wx2] [rx2]");
    assert_linearizable("[rx0]");
    assert_linearizable("");
}

/* Herlihy and Wing: an operation takes effect at one moment between its beginning and its end. */
static void accepts_either_order_of_what_overlaps(void **state)
{
    (void)state;
    assert_linearizable("[wx1    ] [rx1]", //
                        " [wx2  ]       ");
    assert_linearizable("[wx1    ] [rx2]", //
                        " [wx2  ]       ");
    assert_linearizable("[wx1        ]", //
                        " [rx0] [rx1] ");
    assert_linearizable("[wx1          ]    ", //
                        "  [rx1]       [rx1]", " [rx0           ]  ");
}

static void refuses_a_stale_read(void **state)
{
    (void)state;
    assert_not_linearizable(2, "[wx1] [wx2]      ", //
                            "            [rx1]");
    assert_not_linearizable(1, "[wx1]      ", //
                            "      [rx0]");
}

static void refuses_a_value_that_nobody_wrote(void **state)
{
    (void)state;
    assert_not_linearizable(1, "[wx1] [rx2]");
}

static void refuses_a_read_of_the_future(void **state)
{
    (void)state;
    assert_not_linearizable(0, "[rx1] [wx1]");
}

/* Two readers must agree on the order of two writes. */
static void refuses_two_orders_of_the_same_writes(void **state)
{
    (void)state;
    assert_not_linearizable(4, "[wx1                 ]", //
                            "[wx2                 ]",    //
                            "    [rx1]  [rx2]      ",    //
                            "                 [rx1]");
}

/* Once one read has seen the new value, no later one sees the old. */
static void refuses_a_value_that_goes_back(void **state)
{
    (void)state;
    assert_not_linearizable(2, "[wx1               ]", //
                            "  [rx1]             ",    //
                            "         [rx0]      ");
}

static void accepts_ends_and_beginnings_that_touch(void **state)
{
    (void)state;
    assert_linearizable("[wx1]    ", //
                        "    [rx0]");
    assert_not_linearizable(1, "[wx1]     ", //
                            "     [rx0]");
}

static void judges_each_key_alone(void **state)
{
    (void)state;
    assert_linearizable("[wx1] [wy1] [rx1] [ry1]");
    assert_not_linearizable(3, "[wx1] [wy1] [rx1] [ry0]");
}

static void counts_a_transaction_for_each_key_in_one_step(void **state)
{
    (void)state;
    assert_linearizable("[rx0 wx1 ry0 wy1] [rx1 ry1]", //
                        "  [ry1 wy2        ]        ");
    assert_not_linearizable(2, "[wx1 wy1] [rx1 ry1]", //
                            "   [rx0 wx2   ]    ",    //
                            "   [rx0 wx3   ]    ");
}

/* ---- Deletions and conditions ---- */

static void deletes(void **state)
{
    (void)state;
    assert_linearizable("[wx1] [dx] [rx0] [dx-] [wx2] [dx+] [rx0]");
    assert_not_linearizable(2, "[wx1] [dx] [rx1]");
    assert_not_linearizable(2, "[wx1] [dx] [dx+]");
    assert_not_linearizable(1, "[wx1] [dx-]");
}

static void writes_on_condition(void **state)
{
    (void)state;
    assert_linearizable("[ix0 wx1] [ix1 wx2] [ux1 wx3] [rx3]");
    assert_not_linearizable(1, "[wx1] [ix2 wx3]");
    assert_not_linearizable(1, "[wx1] [ux1 wx3]");
}

/* Both have found 1 there, and replaced it. */
static void refuses_a_lost_update(void **state)
{
    (void)state;
    assert_not_linearizable(2, "[wx1] [ix1 wx2   ]", //
                            "        [ix1 wx3   ]");
    assert_not_linearizable(2, "[wx1] [rx1 wx2   ]", //
                            "        [rx1 wx3   ]");
}

static void takes_a_refusal_for_a_look_at_the_value(void **state)
{
    (void)state;
    assert_linearizable("[wx1] [ix2 wx3} [rx1]");
    assert_not_linearizable(1, "[wx1] [ix1 wx3} [rx1]");
    assert_linearizable("[wx1    ]", //
                        " [ix1 wx3} ");
    assert_not_linearizable(1, "[wx1] [ux2 wx3} [rx1]");
}

/* ---- Outcomes ---- */

static void ignores_what_has_failed(void **state)
{
    (void)state;
    assert_linearizable("[wx1] [wx2) [rx1]");
    assert_not_linearizable(2, "[wx1] [wx2) [rx2]");
}

static void lets_an_unknown_write_appear_late(void **state)
{
    (void)state;
    assert_linearizable("[wx1] [wx2>                  ", //
                        "             [rx1] [rx1] [rx2]");
}

static void lets_an_unknown_write_never_appear(void **state)
{
    (void)state;
    assert_linearizable("[wx1] [wx2>                  ", //
                        "             [rx1] [rx1] [rx1]");
}

static void refuses_an_unknown_write_before_its_beginning(void **state)
{
    (void)state;
    assert_not_linearizable(0, "      [wx2>", //
                            "[rx2]      ");
}

static void refuses_an_unknown_write_that_appears_twice(void **state)
{
    (void)state;
    assert_not_linearizable(5, "[wx1]   [wx3]         ", //
                            " [wx2>                ",    //
                            "      [rx2]  [rx3] [rx2]");
}

static void lets_an_unknown_delete_appear(void **state)
{
    (void)state;
    assert_linearizable("[wx1] [dx>            ", //
                        "            [rx1] [rx0]");
}

/* The second can only follow the first: its condition needs it. */
static void chains_unknown_writes(void **state)
{
    (void)state;
    assert_linearizable("[wx1] [ix2 wx3>      ", //
                        "   [ix1 wx2>         ", //
                        "                [rx3]");
    assert_not_linearizable(3, "[wx1] [ix2 wx3>      ", //
                            "   [ix4 wx2>         ",    //
                            "                [rx3]");
}

static void lets_a_refusal_be_due_to_an_unknown_write(void **state)
{
    (void)state;
    assert_linearizable("[wx1] [wx2>          ", //
                        "            [ix1 wx3}");
}

static void ignores_what_a_read_without_an_answer_was_told(void **state)
{
    (void)state;
    assert_linearizable("[wx1] [rx9> [rx1]");
}

/* ---- What it says ---- */

static void tells_where_it_is_stuck(void **state)
{
    (void)state;
    struct history h = DIAGRAM("[wx1] [wx2]      ", //
                               "            [rx1]");
    struct linear_result r;

    linear_check(&h, &r);
    assert_string_equal(r.why.text,
                        "k0 is not linearizable: no order explains it up to the end of\n"
                        "    T2 (client 1, 12.000 to 16.000 ms): read k0 = 1\n"
                        "The order that goes furthest places 2 transactions:\n"
                        "    T0 (client 0, 0.000 to 4.000 ms): write k0 = 1\n"
                        "    T1 (client 0, 6.000 to 10.000 ms): write k0 = 2\n"
                        "The key is then 2, and none of these can follow:\n"
                        "    T2 (client 1, 12.000 to 16.000 ms): read k0 = 1\n");
    history_free(&h);
}

/* ---- Every order ---- */

#define SMALL_MAX 7

/* A small history, and the part of it that is looked at: what has ended by `until`, is done. */
struct small {
    const struct history *h;
    uint64_t until;
};

/* Does the transaction to the value. Written without regard to the checker. */
static bool apply(const struct history *h, uint32_t transaction, uint64_t *value)
{
    const struct history_transaction *t = &h->transactions[transaction];

    for (uint32_t i = t->first; i < t->first + t->count; i++) {
        enum history_kind kind = h->operations[i].kind;
        uint64_t argument = h->operations[i].value;
        if (kind == HISTORY_READ && t->outcome == HISTORY_OK && *value != argument)
            return false;
        if (kind == HISTORY_IF && *value != argument)
            return false;
        if (kind == HISTORY_UNLESS && *value == argument)
            return false;
        if (kind == HISTORY_DELETE && argument == HISTORY_FOUND && *value == 0)
            return false;
        if (kind == HISTORY_DELETE && argument == HISTORY_MISSED && *value != 0)
            return false;
        if (kind == HISTORY_DELETE)
            *value = 0;
        if (kind == HISTORY_WRITE)
            *value = argument;
    }
    return true;
}

static bool must_stand(const struct small *s, uint32_t transaction)
{
    return s->h->transactions[transaction].ended <= s->until;
}

/* Whether the transactions of `rest`, and those open as far as they help, have an order. */
static bool any_order(const struct small *s, uint32_t rest, uint64_t value)
{
    uint64_t first_end = UINT64_MAX;

    for (uint32_t i = 0; i < s->h->transaction_count; i++)
        if ((rest >> i & 1) && must_stand(s, i) && s->h->transactions[i].ended < first_end)
            first_end = s->h->transactions[i].ended;
    if (first_end == UINT64_MAX)
        return true;
    for (uint32_t i = 0; i < s->h->transaction_count; i++) {
        uint64_t after = value;
        if ((rest >> i & 1) && s->h->transactions[i].begun < first_end && apply(s->h, i, &after) &&
            any_order(s, rest & ~(UINT32_C(1) << i), after))
            return true;
    }
    return false;
}

static bool small_is_linearizable(const struct history *h, uint64_t until)
{
    struct small s = {.h = h, .until = until};
    uint32_t all = 0;

    for (uint32_t i = 0; i < h->transaction_count; i++)
        if (h->transactions[i].outcome != HISTORY_FAILED)
            all |= UINT32_C(1) << i;
    return any_order(&s, all, 0);
}

static void add_random_operation(struct history *h, struct prng *r)
{
    static const enum history_kind kinds[] = {HISTORY_READ,  HISTORY_READ,  HISTORY_WRITE,
                                              HISTORY_WRITE, HISTORY_WRITE, HISTORY_DELETE,
                                              HISTORY_IF,    HISTORY_UNLESS};
    enum history_kind kind = kinds[prng_below(r, sizeof(kinds) / sizeof(kinds[0]))];

    history_add(h, kind, 0, prng_below(r, 3));
}

static void end_random(struct history *h, struct prng *r, uint32_t transaction)
{
    CHECK(transaction < h->transaction_count);
    const struct history_transaction *t = &h->transactions[transaction];
    enum history_kind kind = h->operations[t->first].kind;
    uint64_t dice = prng_below(r, 8);

    if ((kind == HISTORY_IF || kind == HISTORY_UNLESS) && dice < 2)
        history_refuse(h, t->first, 0);
    else
        history_end(h, transaction, dice == 7 ? HISTORY_FAILED : HISTORY_OK, 0);
}

/* Three clients; what is read and found is whatever. */
static struct history random_small(struct prng *r)
{
    struct history h = {0};
    uint32_t running[3] = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
    uint32_t count = 3 + (uint32_t)prng_below(r, SMALL_MAX - 2);

    while (h.transaction_count < count) {
        uint32_t client = (uint32_t)prng_below(r, 3);
        if (running[client] == UINT32_MAX) {
            running[client] = history_begin(&h, client, 0);
            for (uint64_t i = 1 + (prng_below(r, 3) == 0); i > 0; i--)
                add_random_operation(&h, r);
            continue;
        }
        if (prng_below(r, 4) > 0)
            end_random(&h, r, running[client]);
        running[client] = UINT32_MAX;
    }
    return h;
}

/* Cuts the history off behind each of its events, until it has no order. */
static uint64_t shortest_prefix(const struct history *h)
{
    uint64_t until = 0;

    while (small_is_linearizable(h, until))
        until++;
    return until;
}

static void agrees_with_trying_every_order(void **state)
{
    (void)state;
    struct prng r;
    uint32_t counts[3] = {0};

    prng_seed(&r, 1);
    for (uint32_t i = 0; i < 20000; i++) {
        struct history h = random_small(&r);
        struct linear_result result;
        linear_check(&h, &result);
        counts[result.answer]++;
        bool expected = small_is_linearizable(&h, UINT64_MAX - 1);
        assert_int_equal(result.answer, expected ? HISTORY_YES : HISTORY_NO);
        if (!expected)
            assert_int_equal(h.transactions[result.transaction].ended, shortest_prefix(&h));
        history_free(&h);
    }
    assert_true(counts[HISTORY_YES] > 4000);
    assert_true(counts[HISTORY_NO] > 4000);
}

/* ---- A true register ---- */

#define CLIENTS      8
#define NOBODY_WROTE 5000

/* Where a client stands with its transaction. */
struct client {
    enum { IDLE, BEGUN, DONE } stage;
    uint32_t transaction;
};

/* Takes effect, and learns what there is to learn. */
static void execute(struct history *h, uint32_t transaction, uint64_t *value)
{
    uint32_t first = h->transactions[transaction].first;
    const struct history_operation *o = &h->operations[first];

    if (o->kind == HISTORY_READ)
        history_read(h, first, *value);
    if (o->kind == HISTORY_WRITE)
        *value = o->value;
}

/* A register as it should be, used by CLIENTS at once; some clients never hear of the outcome. */
static struct history play_register(struct prng *r, uint32_t count, uint32_t unknown_in_1000)
{
    struct history h = {0};
    struct client clients[CLIENTS] = {0};
    uint64_t value = 0;

    while (h.transaction_count < count) {
        struct client *c = &clients[prng_below(r, CLIENTS)];
        switch (c->stage) {
        case IDLE:
            c->transaction = history_begin(&h, (uint32_t)(c - clients), 0);
            history_add(&h, prng_below(r, 2) ? HISTORY_READ : HISTORY_WRITE, 0, c->transaction + 1);
            break;
        case BEGUN:
            execute(&h, c->transaction, &value);
            break;
        case DONE:
            if (prng_below(r, 1000) >= unknown_in_1000)
                history_end(&h, c->transaction, HISTORY_OK, 0);
            break;
        }
        c->stage = c->stage == DONE ? IDLE : c->stage + 1;
    }
    return h;
}

static void accepts_a_true_register_in_few_steps(void **state)
{
    (void)state;
    struct prng r;

    prng_seed(&r, 2);
    for (uint32_t i = 0; i < 50; i++) {
        struct history h = play_register(&r, 1000, i % 2 ? 100 : 0);
        struct linear_result result = check_and_free(&h);
        assert_string_equal(result.why.text, "");
        assert_int_equal(result.answer, HISTORY_YES);
        assert_true(result.steps < 200000);
    }
}

/* Of every ten one is of unknown outcome; most of what they wrote was never read. */
static void accepts_many_unknown_outcomes_in_few_steps(void **state)
{
    (void)state;
    struct prng r;

    prng_seed(&r, 6);
    struct history h = play_register(&r, 10000, 100);
    struct linear_result result = check_and_free(&h);
    assert_int_equal(result.answer, HISTORY_YES);
    assert_true(result.steps < 2000000);
}

static void refuses_a_lie_at_the_end_of_a_long_history_in_few_steps(void **state)
{
    (void)state;
    struct prng r;

    prng_seed(&r, 3);
    for (uint32_t i = 0; i < 20; i++) {
        struct history h = play_register(&r, 1000, i % 2 ? 20 : 0);
        uint32_t reader = history_begin(&h, CLIENTS, 0);
        history_add(&h, HISTORY_READ, 0, NOBODY_WROTE);
        history_end(&h, reader, HISTORY_OK, 0);
        struct linear_result result = check_and_free(&h);
        assert_int_equal(result.answer, HISTORY_NO);
        assert_int_equal(result.transaction, reader);
        assert_true(result.steps < 2000000);
    }
}

/* Writers that all overlap, and a read that none explains: all sets of them are tried. */
static void says_so_when_it_is_too_large(void **state)
{
    (void)state;
    struct history h = {0};

    for (uint32_t i = 0; i < 30; i++) {
        history_begin(&h, i, 0);
        history_add(&h, HISTORY_WRITE, 0, i + 1);
    }
    uint32_t reader = history_begin(&h, 30, 0);
    history_add(&h, HISTORY_READ, 0, 77);
    for (uint32_t i = 0; i < 30; i++)
        history_end(&h, i, HISTORY_OK, 0);
    history_end(&h, reader, HISTORY_OK, 0);
    struct linear_result result = check_and_free(&h);
    assert_int_equal(result.answer, HISTORY_TOO_LARGE);
    assert_non_null(strstr(result.why.text, "k0 is too large"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_happens_one_after_another),
        cmocka_unit_test(accepts_either_order_of_what_overlaps),
        cmocka_unit_test(refuses_a_stale_read),
        cmocka_unit_test(refuses_a_value_that_nobody_wrote),
        cmocka_unit_test(refuses_a_read_of_the_future),
        cmocka_unit_test(refuses_two_orders_of_the_same_writes),
        cmocka_unit_test(refuses_a_value_that_goes_back),
        cmocka_unit_test(accepts_ends_and_beginnings_that_touch),
        cmocka_unit_test(judges_each_key_alone),
        cmocka_unit_test(counts_a_transaction_for_each_key_in_one_step),
        cmocka_unit_test(deletes),
        cmocka_unit_test(writes_on_condition),
        cmocka_unit_test(refuses_a_lost_update),
        cmocka_unit_test(takes_a_refusal_for_a_look_at_the_value),
        cmocka_unit_test(ignores_what_has_failed),
        cmocka_unit_test(lets_an_unknown_write_appear_late),
        cmocka_unit_test(lets_an_unknown_write_never_appear),
        cmocka_unit_test(refuses_an_unknown_write_before_its_beginning),
        cmocka_unit_test(refuses_an_unknown_write_that_appears_twice),
        cmocka_unit_test(lets_an_unknown_delete_appear),
        cmocka_unit_test(chains_unknown_writes),
        cmocka_unit_test(lets_a_refusal_be_due_to_an_unknown_write),
        cmocka_unit_test(ignores_what_a_read_without_an_answer_was_told),
        cmocka_unit_test(tells_where_it_is_stuck),
        cmocka_unit_test(agrees_with_trying_every_order),
        cmocka_unit_test(accepts_a_true_register_in_few_steps),
        cmocka_unit_test(accepts_many_unknown_outcomes_in_few_steps),
        cmocka_unit_test(refuses_a_lie_at_the_end_of_a_long_history_in_few_steps),
        cmocka_unit_test(says_so_when_it_is_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
