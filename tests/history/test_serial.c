/* SPDX-License-Identifier: MIT */
/*
 * The checker of serializability: each anomaly by its name, and for small histories at random the
 * answer of trying every serial order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/prng.h"
#include "diagram.h"
#include "serial.h"

enum { LOOSE, STRICT };

static struct serial_result check_and_free(struct history *h, bool strict)
{
    struct serial_result r;

    serial_check(h, strict, &r);
    history_free(h);
    return r;
}

#define assert_serializable(strict, ...)                                                           \
    do {                                                                                           \
        struct history drawn = DIAGRAM(__VA_ARGS__);                                               \
        struct serial_result result = check_and_free(&drawn, strict);                              \
        assert_string_equal(result.why.text, "");                                                  \
        assert_int_equal(result.answer, HISTORY_YES);                                              \
    } while (0)

/* An anomaly that real time has no part in: it is seen with and without. */
#define assert_anomaly(name, ...)                                                                  \
    do {                                                                                           \
        for (int strict = LOOSE; strict <= STRICT; strict++) {                                     \
            struct history drawn = DIAGRAM(__VA_ARGS__);                                           \
            struct serial_result result = check_and_free(&drawn, strict);                          \
            assert_int_equal(result.answer, HISTORY_NO);                                           \
            assert_string_equal(serial_anomaly_name(result.anomaly), name);                        \
            assert_false(result.realtime);                                                         \
            assert_memory_equal(result.why.text, name, strlen(name));                              \
        }                                                                                          \
    } while (0)

/* An anomaly only of strict serializability. */
#define assert_realtime_anomaly(name, ...)                                                         \
    do {                                                                                           \
        assert_serializable(LOOSE, __VA_ARGS__);                                                   \
        struct history strictly = DIAGRAM(__VA_ARGS__);                                            \
        struct serial_result answer = check_and_free(&strictly, STRICT);                           \
        assert_int_equal(answer.answer, HISTORY_NO);                                               \
        assert_string_equal(serial_anomaly_name(answer.anomaly), name);                            \
        assert_true(answer.realtime);                                                              \
    } while (0)

static void accepts_what_happens_one_after_another(void **state)
{
    (void)state;
    assert_serializable(STRICT, "[lx ax1 ly] [lx1 ax2 lx12 ay1] [lx12 ly1]");
    assert_serializable(STRICT, "");
}

static void accepts_either_order_of_what_overlaps(void **state)
{
    (void)state;
    assert_serializable(STRICT, "[ax1 ay1    ]          ", //
                        " [ax2 ay2   ]          ",         //
                        "             [lx12 ly12]");
    assert_serializable(STRICT, "[ax1 ay1    ]          ", //
                        " [ax2 ay2   ]          ",         //
                        "             [lx21 ly21]");
}

/* ---- What needs no cycle ---- */

static void names_garbage(void **state)
{
    (void)state;
    assert_anomaly("garbage", "[ax1] [lx17]");
    assert_anomaly("garbage", "[ax1 ax2] [lx12] [lx7]");
}

static void names_a_duplicate(void **state)
{
    (void)state;
    assert_anomaly("duplicate", "[ax1] [lx11]");
}

static void names_a_transaction_that_contradicts_itself(void **state)
{
    (void)state;
    assert_anomaly("internal", "[ax1 lx]");
    assert_anomaly("internal", "[lx ax1 lx21]", //
                   " [ax2       ]");
    assert_anomaly("internal", "[lx lx1]", //
                   "[ax1   ]");
    assert_anomaly("internal", "[lx1 ax1]");
    assert_anomaly("internal", "[ax1 ax2 lx21]");
}

static void names_an_aborted_read_g1a(void **state)
{
    (void)state;
    assert_anomaly("G1a", "[ax1) [lx1]");
    assert_anomaly("G1a", "[ax1) [ax2] [ax3] [lx1] [lx23]");
}

static void names_an_incompatible_order(void **state)
{
    (void)state;
    assert_anomaly("incompatible order", "[ax1     ] [lx12]", //
                   "[ax2     ] [lx21]");
    assert_anomaly("incompatible order", "[ax1 ax2] [lx21]");
    assert_anomaly("incompatible order", "[ax1 ax2] [lx2]");
}

static void names_an_intermediate_read_g1b(void **state)
{
    (void)state;
    assert_anomaly("G1b", "[ax1 ax2]", //
                   " [lx1]   ");
}

/* ---- Cycles ---- */

static void names_a_cycle_of_writes_g0(void **state)
{
    (void)state;
    assert_anomaly("G0", "[ax1 ay1]            ", //
                   "[ax2 ay2]            ",       //
                   "          [lx12 ly21]");
}

static void names_circular_information_flow_g1c(void **state)
{
    (void)state;
    assert_anomaly("G1c", "[ax1 ly1]", //
                   "[ay1 lx1]");
}

static void names_a_fractured_read_g_single(void **state)
{
    (void)state;
    assert_anomaly("G-single", "[ax1 ay1]", //
                   "[lx1 ly ]");
}

static void names_a_lost_update_g_single(void **state)
{
    (void)state;
    assert_anomaly("G-single", "[lx ax1]       ", //
                   "[lx ax2]       ",             //
                   "         [lx12]");
}

static void names_write_skew_g2(void **state)
{
    (void)state;
    assert_anomaly("G2", "[lx ly ax1]", //
                   "[lx ly ay1]");
    assert_anomaly("G2", "[lx ly ax1]           ", //
                   "[lx ly ay1]           ",       //
                   "            [lx1 ly1] ");
}

/* Fekete, O'Neil, O'Neil: A read-only transaction anomaly under snapshot isolation, 2004. */
static void names_the_read_only_anomaly_g2(void **state)
{
    (void)state;
    assert_anomaly("G2", "[lx ly           ax1]", //
                   "   [ly ay1]          ",       //
                   "           [lx ly1]  ");
    assert_serializable(STRICT, "[lx ly           ax1]", //
                        "   [ly ay1]          ");
}

/* The worse one is named, wherever both are. */
static void names_the_worst(void **state)
{
    (void)state;
    assert_anomaly("G0", "[lx ax1 az1        ]                  ", //
                   "[lx ax2 az2        ]                  ",       //
                   "                      [lx12 lz21]");
}

/* ---- Time ---- */

static void names_a_stale_read_in_real_time(void **state)
{
    (void)state;
    assert_realtime_anomaly("G-single", "[ax1]      ", //
                            "       [lx]");
}

static void names_a_read_of_the_future(void **state)
{
    (void)state;
    assert_realtime_anomaly("G1c", "      [ax1]", //
                            "[lx1]      ");
}

static void names_writes_turned_around_in_real_time(void **state)
{
    (void)state;
    assert_realtime_anomaly("G0", "[ax1] [ax2] [lx21]");
}

/* Neither reader has seen the other append, and each append had ended before the other reader. */
static void names_a_long_fork_in_real_time(void **state)
{
    (void)state;
    assert_anomaly("G2", "[ax1]   [lx1 ly]", //
                   "[ay1]   [lx ly1]");
}

/* The order in time goes over some that have nothing to do with it, and are not told of. */
static void sees_time_through_others(void **state)
{
    (void)state;
    struct history h = DIAGRAM("[ax1]                   ", //
                               "      [ay1]             ", //
                               "             [ay2)      ", //
                               "                   [lx] ");
    struct serial_result r = check_and_free(&h, STRICT);

    assert_int_equal(r.anomaly, SERIAL_G_SINGLE);
    assert_true(r.realtime);
    assert_non_null(strstr(r.why.text, "a cycle of 2 transactions"));
}

static void lets_overlapping_ones_stand_either_way(void **state)
{
    (void)state;
    assert_serializable(STRICT, "[ax1]   ", //
                        "    [lx]");
}

/* ---- Outcomes ---- */

static void forgets_what_has_failed(void **state)
{
    (void)state;
    assert_serializable(STRICT, "[ax1) [ax2] [lx2]");
}

static void lets_an_unknown_one_take_effect_or_not(void **state)
{
    (void)state;
    assert_serializable(STRICT, "[ax1>            ", //
                        "       [lx] [lx1]");
    assert_serializable(STRICT, "[ax1>           ", //
                        "       [lx] [lx]");
}

static void takes_an_unknown_one_that_was_read_for_done(void **state)
{
    (void)state;
    assert_anomaly("G-single", "[ax1 ay1>          ", //
                   "          [lx1 ly]");
    assert_realtime_anomaly("G1c", "      [ax1>", //
                            "[lx1]      ");
}

/* ---- What it says ---- */

static void tells_the_cycle(void **state)
{
    (void)state;
    struct history h = DIAGRAM("[ax1 ay1]", //
                               "[lx1 ly ]");
    struct serial_result r;

    serial_check(&h, STRICT, &r);
    assert_string_equal(r.why.text,
                        "G-single: a cycle of 2 transactions\n"
                        "    T1 -rw-> T0, which has appended what the first did not read of k1: 1\n"
                        "    T0 -wr-> T1, which has read the append to k0: 1\n"
                        "T1 (client 1, 0.000 to 8.000 ms): list k0 = [1], list k1 = []\n"
                        "T0 (client 0, 0.000 to 8.000 ms): append k0 + 1, append k1 + 1\n");
    history_free(&h);
}

static void tells_real_time(void **state)
{
    (void)state;
    struct history h = DIAGRAM("[ax1] [lx]");
    struct serial_result r;

    serial_check(&h, STRICT, &r);
    assert_string_equal(r.why.text,
                        "G-single-realtime: a cycle of 2 transactions\n"
                        "    T1 -rw-> T0, which has appended what the first did not read of k0: 1\n"
                        "    T0 -rt-> T1, which began later than the first ended\n"
                        "T1 (client 0, 6.000 to 9.000 ms): list k0 = []\n"
                        "T0 (client 0, 0.000 to 4.000 ms): append k0 + 1\n");
    history_free(&h);
}

/* ---- Every order ---- */

#define LISTS        2
#define ELEMENTS_MAX 16
#define SMALL_MAX    6

#define NOBODY_APPENDED 999

struct store {
    uint64_t list[LISTS][ELEMENTS_MAX];
    uint32_t count[LISTS];
};

static void append(struct store *s, uint32_t list, uint64_t element)
{
    assert_true(s->count[list] < ELEMENTS_MAX);
    s->list[list][s->count[list]++] = element;
}

/* Runs the transaction alone. Written without regard to the checker. */
static bool apply(const struct history *h, uint32_t transaction, struct store *s)
{
    const struct history_transaction *t = &h->transactions[transaction];

    for (uint32_t i = t->first; i < t->first + t->count; i++) {
        const struct history_operation *o = &h->operations[i];
        if (o->kind == HISTORY_APPEND) {
            append(s, o->key, o->value);
            continue;
        }
        if (t->outcome != HISTORY_OK)
            continue;
        if (o->count != s->count[o->key])
            return false;
        for (uint32_t j = 0; j < o->count; j++)
            if (h->elements[o->first + j] != s->list[o->key][j])
                return false;
    }
    return true;
}

static bool must_wait(const struct history *h, uint32_t rest, uint32_t transaction)
{
    for (uint32_t i = 0; i < h->transaction_count; i++)
        if ((rest >> i & 1) && h->transactions[i].ended < h->transactions[transaction].begun)
            return true;
    return false;
}

/* Whether the transactions of `rest` can run one after another; those open may be left out. */
static bool any_order(const struct history *h, uint32_t rest, const struct store *s, bool strict)
{
    bool done = true;

    for (uint32_t i = 0; i < h->transaction_count; i++)
        if ((rest >> i & 1) && h->transactions[i].outcome == HISTORY_OK)
            done = false;
    for (uint32_t i = 0; i < h->transaction_count && !done; i++) {
        struct store after = *s;
        if (!(rest >> i & 1) || (strict && must_wait(h, rest, i)))
            continue;
        done = apply(h, i, &after) && any_order(h, rest & ~(UINT32_C(1) << i), &after, strict);
    }
    return done;
}

static bool small_is_serializable(const struct history *h, bool strict)
{
    struct store empty = {0};
    uint32_t all = 0;

    for (uint32_t i = 0; i < h->transaction_count; i++)
        if (h->transactions[i].outcome != HISTORY_FAILED)
            all |= UINT32_C(1) << i;
    return any_order(h, all, &empty, strict);
}

/* A client of a store without any isolation, or with as much as chance gives. */
struct client {
    bool running;
    bool isolated; /* does all its operations at once */
    bool lost;     /* does none of them */
    uint32_t transaction;
    uint32_t next; /* operation */
};

static void begin(struct history *h, struct prng *r, struct client *c)
{
    *c = (struct client){
        .running = true,
        .isolated = prng_below(r, 2) == 0,
        .lost = prng_below(r, 6) == 0,
        .transaction = history_begin(h, 0, 0),
    };
    for (uint64_t i = 1 + prng_below(r, 3); i > 0; i--)
        history_add(h, prng_below(r, 2) ? HISTORY_APPEND : HISTORY_LIST,
                    (uint32_t)prng_below(r, LISTS), h->operation_count);
    c->next = h->transactions[c->transaction].first;
}

static void do_next(struct history *h, struct client *c, struct store *s)
{
    uint32_t i = c->next++;
    const struct history_operation *o = &h->operations[i];

    if (o->kind == HISTORY_LIST)
        history_list(h, i, s->list[o->key], s->count[o->key]);
    else if (!c->lost)
        append(s, o->key, o->value);
}

/* Now and then with an outcome that is not true. */
static void end(struct history *h, struct prng *r, struct client *c)
{
    uint64_t dice = prng_below(r, 16);

    c->running = false;
    if (dice < 2)
        return;
    if (dice == 2 || (c->lost && dice < 9))
        history_end(h, c->transaction, HISTORY_FAILED, 0);
    else
        history_end(h, c->transaction, HISTORY_OK, 0);
}

static struct history random_small(struct prng *r)
{
    struct history h = {0};
    struct store s = {0};
    struct client clients[3] = {0};
    uint32_t count = 2 + (uint32_t)prng_below(r, SMALL_MAX - 1);
    bool running = true;

    while (running || h.transaction_count < count) {
        struct client *c = &clients[prng_below(r, 3)];
        const struct history_transaction *t = &h.transactions[c->transaction];
        if (!c->running && h.transaction_count < count)
            begin(&h, r, c);
        else if (c->running && c->next == t->first + t->count)
            end(&h, r, c);
        else if (c->running)
            do
                do_next(&h, c, &s);
            while (c->isolated && c->next < t->first + t->count);
        running = clients[0].running || clients[1].running || clients[2].running;
    }
    return h;
}

/* Two elements of what was read change places, one stands there twice, or none has heard of it. */
static void spoil_elements(uint64_t *elements, uint32_t count, struct prng *r)
{
    uint64_t *a = &elements[prng_below(r, count)];
    uint64_t *b = &elements[prng_below(r, count)];
    uint64_t dice = prng_below(r, 8);
    uint64_t was = *a;

    *a = dice == 0 ? NOBODY_APPENDED : *b;
    if (dice >= 4)
        *b = was;
}

/* A read comes to lack its last element, has others, or is another one's. */
static void spoil(struct history *h, struct prng *r)
{
    CHECK(h->operation_count > 0);
    struct history_operation *o = &h->operations[prng_below(r, h->operation_count)];
    const struct history_operation *other = &h->operations[prng_below(r, h->operation_count)];

    if (o->kind != HISTORY_LIST || other->kind != HISTORY_LIST)
        return;
    if (o->count > 1 && prng_below(r, 4) > 0)
        spoil_elements(h->elements + o->first, o->count, r);
    else if (o == other && o->count > 0)
        o->count--;
    else if (o->key == other->key) {
        o->first = other->first;
        o->count = other->count;
    }
}

static void agrees_with_trying_every_order(void **state)
{
    (void)state;
    struct prng r;
    uint32_t answers[2] = {0}, anomalies[SERIAL_G2 + 1] = {0}, realtime = 0;

    prng_seed(&r, 1);
    for (uint32_t i = 0; i < 20000; i++) {
        struct history h = random_small(&r);
        if (i % 2)
            spoil(&h, &r);
        for (int strict = LOOSE; strict <= STRICT; strict++) {
            struct serial_result result;
            serial_check(&h, strict, &result);
            bool expected = small_is_serializable(&h, strict);
            assert_int_equal(result.answer, expected ? HISTORY_YES : HISTORY_NO);
            answers[result.answer]++;
            anomalies[result.anomaly]++;
            realtime += result.realtime;
        }
        history_free(&h);
    }
    assert_true(answers[HISTORY_YES] > 5000 && answers[HISTORY_NO] > 5000);
    for (enum serial_anomaly a = SERIAL_NONE; a <= SERIAL_G2; a++)
        assert_true(anomalies[a] >= 20);
    assert_true(realtime > 100);
}

/* ---- Many transactions ---- */

#define CLIENTS   8
#define MANY      10000
#define BIG_LISTS 200
#define BIG_MAX   1000

struct big_store {
    uint64_t list[BIG_LISTS][BIG_MAX];
    uint32_t count[BIG_LISTS];
};

static void execute(struct history *h, uint32_t transaction, struct big_store *s)
{
    const struct history_transaction *t = &h->transactions[transaction];

    for (uint32_t i = t->first; i < t->first + t->count; i++) {
        uint32_t list = h->operations[i].key;
        if (h->operations[i].kind == HISTORY_APPEND)
            s->list[list][s->count[list]++] = h->operations[i].value;
        else
            history_list(h, i, s->list[list], s->count[list]);
    }
}

/* A store as it should be, with CLIENTS at once. */
static struct history play_many(struct prng *r)
{
    struct big_store *s = calloc(1, sizeof(*s));
    struct history h = {0};
    uint32_t running[CLIENTS];

    assert_non_null(s);
    for (uint32_t i = 0; i < MANY; i++) {
        uint32_t client = i % CLIENTS;
        if (i >= CLIENTS)
            history_end(&h, running[client], HISTORY_OK, i);
        running[client] = history_begin(&h, client, i);
        for (uint32_t j = 0; j < 4; j++)
            history_add(&h, prng_below(r, 2) ? HISTORY_APPEND : HISTORY_LIST,
                        (uint32_t)prng_below(r, BIG_LISTS), h.operation_count);
        execute(&h, running[client], s);
    }
    free(s);
    return h;
}

static void accepts_many_transactions(void **state)
{
    (void)state;
    struct prng r;

    prng_seed(&r, 4);
    struct history h = play_many(&r);
    struct serial_result result = check_and_free(&h, STRICT);
    assert_string_equal(result.why.text, "");
    assert_int_equal(result.answer, HISTORY_YES);
}

/* Two that see both lists before either has appended to its own. */
static void finds_write_skew_among_many_transactions(void **state)
{
    (void)state;
    struct prng r;

    prng_seed(&r, 5);
    struct history h = play_many(&r);
    for (uint32_t i = 0; i < 2; i++) {
        history_begin(&h, i, MANY);
        history_add(&h, HISTORY_LIST, BIG_LISTS, 0);
        history_add(&h, HISTORY_LIST, BIG_LISTS + 1, 0);
        history_add(&h, HISTORY_APPEND, BIG_LISTS + i, 1);
    }
    history_end(&h, MANY, HISTORY_OK, MANY);
    history_end(&h, MANY + 1, HISTORY_OK, MANY);
    struct serial_result result = check_and_free(&h, STRICT);
    assert_int_equal(result.answer, HISTORY_NO);
    assert_int_equal(result.anomaly, SERIAL_G2);
    assert_non_null(strstr(result.why.text, "a cycle of 2 transactions"));
}

/* Each reader has a dependency on each writer, as nobody has read anything. */
static void says_so_when_it_is_too_large(void **state)
{
    (void)state;
    struct history h = {0};
    struct serial_result result;

    for (uint32_t i = 0; i < 4000; i++) {
        uint32_t transaction = history_begin(&h, 0, i);
        history_add(&h, i % 2 ? HISTORY_LIST : HISTORY_APPEND, 0, i);
        history_end(&h, transaction, HISTORY_OK, i);
    }
    serial_check(&h, LOOSE, &result);
    assert_int_equal(result.answer, HISTORY_TOO_LARGE);
    assert_non_null(strstr(result.why.text, "dependencies"));
    serial_check(&h, STRICT, &result);
    assert_int_equal(result.answer, HISTORY_NO);
    assert_int_equal(result.anomaly, SERIAL_G_SINGLE);
    history_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_happens_one_after_another),
        cmocka_unit_test(accepts_either_order_of_what_overlaps),
        cmocka_unit_test(names_garbage),
        cmocka_unit_test(names_a_duplicate),
        cmocka_unit_test(names_a_transaction_that_contradicts_itself),
        cmocka_unit_test(names_an_aborted_read_g1a),
        cmocka_unit_test(names_an_incompatible_order),
        cmocka_unit_test(names_an_intermediate_read_g1b),
        cmocka_unit_test(names_a_cycle_of_writes_g0),
        cmocka_unit_test(names_circular_information_flow_g1c),
        cmocka_unit_test(names_a_fractured_read_g_single),
        cmocka_unit_test(names_a_lost_update_g_single),
        cmocka_unit_test(names_write_skew_g2),
        cmocka_unit_test(names_the_read_only_anomaly_g2),
        cmocka_unit_test(names_the_worst),
        cmocka_unit_test(names_a_stale_read_in_real_time),
        cmocka_unit_test(names_a_read_of_the_future),
        cmocka_unit_test(names_writes_turned_around_in_real_time),
        cmocka_unit_test(names_a_long_fork_in_real_time),
        cmocka_unit_test(sees_time_through_others),
        cmocka_unit_test(lets_overlapping_ones_stand_either_way),
        cmocka_unit_test(forgets_what_has_failed),
        cmocka_unit_test(lets_an_unknown_one_take_effect_or_not),
        cmocka_unit_test(takes_an_unknown_one_that_was_read_for_done),
        cmocka_unit_test(tells_the_cycle),
        cmocka_unit_test(tells_real_time),
        cmocka_unit_test(agrees_with_trying_every_order),
        cmocka_unit_test(accepts_many_transactions),
        cmocka_unit_test(finds_write_skew_among_many_transactions),
        cmocka_unit_test(says_so_when_it_is_too_large),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
