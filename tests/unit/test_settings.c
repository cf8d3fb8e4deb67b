/* SPDX-License-Identifier: MIT */
/*
 * Settings by name: the table, and what it takes and refuses. What each of them changes is shown
 * where that happens: in tests/tcp/test_tuning.c, test_tuning.c here, and the tests of the layers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/quantity.h"
#include "strait.h"
#include "wire.h"

static int setup(void **state)
{
    struct strait_config config;
    strait_config_init(&config);
    *state = strait_new(&config, NULL);
    assert_non_null(*state);
    return 0;
}

static int teardown(void **state)
{
    strait_free(*state);
    return 0;
}

#define HOST_TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static void reads_as(const struct strait *stack, const char *name, const char *expected)
{
    char value[STRAIT_SETTING_BYTES];
    assert_int_equal(strait_get(stack, name, value, sizeof(value)), 0);
    assert_string_equal(value, expected);
}

/* A value is taken, and read back as it was written. */
static void takes(struct strait *stack, const char *name, const char *value)
{
    assert_int_equal(strait_set(stack, name, value), 0);
    reads_as(stack, name, value);
}

/* A value is refused with an errno, and the setting stays as it is. */
static void refuses(struct strait *stack, const char *name, const char *value, int number)
{
    char before[STRAIT_SETTING_BYTES];
    assert_int_equal(strait_get(stack, name, before, sizeof(before)), 0);
    assert_errno(strait_set(stack, name, value), number);
    reads_as(stack, name, before);
}

static bool is_word(const struct strait_setting *s)
{
    return s->minimum == NULL;
}

static bool is_number(const struct strait_setting *s)
{
    return !is_word(s) && strcmp(s->unit, "ports") != 0;
}

static const struct quantity_unit *units_of(const struct strait_setting *s)
{
    if (strcmp(s->unit, "time") == 0)
        return quantity_times;
    if (strcmp(s->unit, "bytes") == 0)
        return quantity_bytes;
    return strcmp(s->unit, "%") == 0 ? quantity_shares : quantity_counts;
}

/* ---- The table ------------------------------------------------------------------------------- */

static void a_row_is_whole_and_its_name_its_own(void **state)
{
    (void)state;
    const struct strait_setting *s, *other;
    for (size_t i = 0; (s = strait_setting(i)); i++) {
        assert_non_null(strchr(s->name, '.'));
        assert_true(strlen(s->meaning) > 0 && strlen(s->unit) > 0);
        assert_int_equal(s->minimum == NULL, s->maximum == NULL);
        for (size_t j = i + 1; (other = strait_setting(j)); j++)
            assert_string_not_equal(s->name, other->name);
    }
    assert_null(strait_setting(SIZE_MAX));
}

static void a_host_begins_with_the_defaults(void **state)
{
    const struct strait_setting *s;
    for (size_t i = 0; (s = strait_setting(i)); i++)
        reads_as(*state, s->name, s->default_value);
}

/* No two rows share a field: a change of one is seen in no other. */
static void a_setting_changes_nothing_but_itself(void **state)
{
    (void)state;
    const struct strait_setting *s, *other;
    for (size_t i = 0; (s = strait_setting(i)); i++) {
        struct strait_config config;
        strait_config_init(&config);
        const char *value = is_word(s) ? s->unit : is_number(s) ? s->maximum : "1-65535";
        char word[STRAIT_SETTING_BYTES];
        snprintf(word, sizeof(word), "%.*s", (int)strcspn(value, "|"), value);
        assert_int_equal(strait_config_set(&config, s->name, word), 0);
        struct strait *changed = strait_new(&config, NULL);
        assert_non_null(changed);
        reads_as(changed, s->name, word);
        for (size_t j = 0; (other = strait_setting(j)); j++)
            if (other != s)
                reads_as(changed, other->name, other->default_value);
        strait_free(changed);
    }
}

/* ---- What is taken --------------------------------------------------------------------------- */

static void both_ends_of_a_range_are_taken_and_nothing_beyond(void **state)
{
    (void)state;
    const struct strait_setting *s;
    struct strait_config config;
    strait_config_init(&config);
    for (size_t i = 0; (s = strait_setting(i)); i++) {
        char beyond[STRAIT_SETTING_BYTES];
        uint64_t least, most;
        if (!is_number(s))
            continue;
        assert_int_equal(strait_config_set(&config, s->name, s->minimum), 0);
        assert_int_equal(strait_config_set(&config, s->name, s->maximum), 0);
        assert_true(quantity_read(s->minimum, units_of(s), &least));
        assert_true(quantity_read(s->maximum, units_of(s), &most));
        assert_true(least < most);
        quantity_write(most + 1, units_of(s), beyond, sizeof(beyond));
        assert_errno(strait_config_set(&config, s->name, beyond), ERANGE);
        if (least == 0)
            continue;
        quantity_write(least - 1, units_of(s), beyond, sizeof(beyond));
        assert_errno(strait_config_set(&config, s->name, beyond), ERANGE);
    }
}

static void each_word_is_taken_and_no_other(void **state)
{
    const struct strait_setting *s;
    for (size_t i = 0; (s = strait_setting(i)); i++) {
        char word[STRAIT_SETTING_BYTES];
        if (!is_word(s))
            continue;
        for (const char *at = s->unit; *at; at += strcspn(at, "|"), at += *at == '|') {
            snprintf(word, sizeof(word), "%.*s", (int)strcspn(at, "|"), at);
            takes(*state, s->name, word);
        }
        static const char *const others[] = {"", "o", "offf", "OFF", "on ", "|", "off|on", "1"};
        for (size_t j = 0; j < sizeof(others) / sizeof(others[0]); j++)
            refuses(*state, s->name, others[j], EINVAL);
    }
}

/* The words stand for the values of strait.h. */
static void words_are_what_a_program_sets(void **state)
{
    (void)state;
    struct strait_config config;
    strait_config_init(&config);
    assert_int_equal(strait_config_set(&config, "tcp.ecn", "off"), 0);
    assert_int_equal(config.ecn, STRAIT_ECN_OFF);
    assert_int_equal(strait_config_set(&config, "tcp.ecn", "answer"), 0);
    assert_int_equal(config.ecn, STRAIT_ECN_ANSWER);
    assert_int_equal(strait_config_set(&config, "tcp.ecn", "request"), 0);
    assert_int_equal(config.ecn, STRAIT_ECN_REQUEST);
    assert_int_equal(strait_config_set(&config, "tcp.syn_cookies", "off"), 0);
    assert_int_equal(config.syn_cookies, STRAIT_SYN_COOKIES_OFF);
    assert_int_equal(strait_config_set(&config, "tcp.syn_cookies", "full"), 0);
    assert_int_equal(config.syn_cookies, STRAIT_SYN_COOKIES_FULL);
    assert_int_equal(strait_config_set(&config, "tcp.syn_cookies", "always"), 0);
    assert_int_equal(config.syn_cookies, STRAIT_SYN_COOKIES_ALWAYS);
    assert_int_equal(strait_config_set(&config, "tcp.congestion", "reno"), 0);
    assert_int_equal(config.congestion, STRAIT_CONGESTION_RENO);
    assert_int_equal(strait_config_set(&config, "tcp.sack", "off"), 0);
    assert_false(config.sack);
    assert_int_equal(strait_config_set(&config, "tcp.sack", "on"), 0);
    assert_true(config.sack);
}

/* Fields of all widths and units, as a program that fills in a configuration would write them. */
static void numbers_are_what_a_program_sets(void **state)
{
    (void)state;
    struct strait_config config;
    strait_config_init(&config);
    assert_int_equal(strait_config_set(&config, "tcp.rto_min", "10ms"), 0);
    assert_int_equal(config.rto_min_us, 10000);
    assert_int_equal(strait_config_set(&config, "tcp.rto_max", "1h"), 0);
    assert_int_equal(config.rto_max_us, 3600000000u);
    assert_int_equal(strait_config_set(&config, "tcp.fin_timeout", "2min"), 0);
    assert_int_equal(config.fin_timeout_ms, 120000);
    assert_int_equal(strait_config_set(&config, "tcp.keepalive_idle", "1h"), 0);
    assert_int_equal(config.keepalive_idle_s, 3600);
    assert_int_equal(strait_config_set(&config, "ip.ttl", "255"), 0);
    assert_int_equal(config.ttl, 255);
    assert_int_equal(strait_config_set(&config, "tcp.backlog", "65535"), 0);
    assert_int_equal(config.backlog_max, 65535);
    assert_int_equal(strait_config_set(&config, "socket.memory", "1TiB"), 0);
    assert_int_equal(config.memory_max_bytes, UINT64_C(1) << 40);
    assert_int_equal(strait_config_set(&config, "tcp.out_of_order_share", "25%"), 0);
    assert_int_equal(config.out_of_order_share, 25);
    assert_int_equal(strait_config_set(&config, "ip.local_ports", "1024-2047"), 0);
    assert_int_equal(config.port_first, 1024);
    assert_int_equal(config.port_last, 2047);
}

static void a_value_is_read_back_in_its_shortest_form(void **state)
{
    struct strait *stack = *state;
    assert_int_equal(strait_set(stack, "tcp.rto_min", "0300000us"), 0);
    reads_as(stack, "tcp.rto_min", "300ms");
    assert_int_equal(strait_set(stack, "tcp.send_buffer", "2048KiB"), 0);
    reads_as(stack, "tcp.send_buffer", "2MiB");
    assert_int_equal(strait_set(stack, "ip.local_ports", "040000-050000"), 0);
    reads_as(stack, "ip.local_ports", "40000-50000");
}

/* ---- What is refused ------------------------------------------------------------------------- */

static void an_unknown_name_is_enoent(void **state)
{
    char value[STRAIT_SETTING_BYTES];
    static const char *const names[] = {"", "tcp", "tcp.", "tcp.rto_minimum", "TCP.RTO_MIN"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_errno(strait_set(*state, names[i], "1s"), ENOENT);
        assert_errno(strait_get(*state, names[i], value, sizeof(value)), ENOENT);
    }
}

static void what_cannot_be_read_is_einval(void **state)
{
    struct strait *stack = *state;
    static const char *const times[] = {"", "200", "200 ms", "-1s", "1.5s", "soon", "1s 1ms"};
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
        refuses(stack, "tcp.rto_min", times[i], EINVAL);
    refuses(stack, "tcp.send_buffer", "64k", EINVAL);
    refuses(stack, "tcp.out_of_order_share", "50", EINVAL);
    refuses(stack, "tcp.retries", "7s", EINVAL);
    refuses(stack, "tcp.fin_timeout", "1500000us1", EINVAL);
}

/* In milliseconds and in seconds. */
static void what_is_finer_than_the_setting_is_einval(void **state)
{
    refuses(*state, "tcp.fin_timeout", "1500001us", EINVAL);
    takes(*state, "tcp.fin_timeout", "1500ms");
    refuses(*state, "tcp.keepalive_idle", "1500ms", EINVAL);
    takes(*state, "tcp.keepalive_idle", "2s");
}

static void ports_are_two_numbers_in_their_order(void **state)
{
    struct strait *stack = *state;
    static const char *const broken[] = {
        "",     "-",     "1",   "1-",    "-2",
        "1--2", "1-2-3", "a-b", "1 - 2", "11111111111111111111111111111111111111111111-2",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++)
        refuses(stack, "ip.local_ports", broken[i], EINVAL);
    refuses(stack, "ip.local_ports", "0-9", ERANGE);
    refuses(stack, "ip.local_ports", "1-65536", ERANGE);
    refuses(stack, "ip.local_ports", "2-1", ERANGE);
    takes(stack, "ip.local_ports", "1-65535");
    takes(stack, "ip.local_ports", "5-5");
}

static void a_number_that_no_field_holds_is_erange(void **state)
{
    refuses(*state, "tcp.retries", "256", ERANGE); /* 0 in eight bits */
    refuses(*state, "ip.ttl", "320", ERANGE);      /* 64 */
    refuses(*state, "tcp.rto_max", "18446744073709551616us", ERANGE);
    refuses(*state, "tcp.half_open", "4294967297", ERANGE); /* 1 in 32 */
}

static void what_is_settled_at_the_start_is_eperm(void **state)
{
    const struct strait_setting *s;
    size_t settled = 0;
    for (size_t i = 0; (s = strait_setting(i)); i++) {
        bool at_start = s->effect == STRAIT_SETTING_AT_START;
        if (at_start)
            refuses(*state, s->name, s->default_value, EPERM);
        else
            takes(*state, s->name, s->default_value);
        settled += at_start;
    }
    assert_int_equal(settled, 2); /* socket.max and socket.memory */
}

static void a_value_that_does_not_fit_is_enospc(void **state)
{
    char value[6];
    assert_errno(strait_get(*state, "tcp.rto_min", value, 5), ENOSPC); /* "200ms" and its zero */
    assert_int_equal(strait_get(*state, "tcp.rto_min", value, 6), 0);
    assert_string_equal(value, "200ms");
    assert_errno(strait_get(*state, "tcp.rto_min", NULL, 0), ENOSPC);
}

static void an_older_configuration_has_only_the_settings_of_its_fields(void **state)
{
    (void)state;
    struct strait_config config;
    strait_config_init(&config);
    config.size = offsetof(struct strait_config, rto_min_us) + 3;
    assert_errno(strait_config_set(&config, "tcp.rto_min", "1s"), ENOENT);
    assert_int_equal(config.rto_min_us, 200000);
    config.size++;
    assert_int_equal(strait_config_set(&config, "tcp.rto_min", "1s"), 0);
    assert_int_equal(config.rto_min_us, 1000000);
}

/* ---- A configuration as a whole -------------------------------------------------------------- */

/* What strait_new finds wrong, in fields of each kind. */
static void a_field_out_of_its_range_makes_no_host(void **state)
{
    (void)state;
#define REFUSED_WITH(field, number)                                                                \
    do {                                                                                           \
        struct strait_config config;                                                               \
        strait_config_init(&config);                                                               \
        config.field = (number);                                                                   \
        errno = 0;                                                                                 \
        assert_null(strait_new(&config, NULL));                                                    \
        assert_int_equal(errno, EINVAL);                                                           \
    } while (0)

    REFUSED_WITH(ttl, 0);
    REFUSED_WITH(ecn, 3);
    REFUSED_WITH(syn_cookies, 3);
    REFUSED_WITH(congestion, 1);
    REFUSED_WITH(initial_window, 101);
    REFUSED_WITH(rto_max_us, 59999999);
    REFUSED_WITH(delayed_ack_ms, 500); /* RFC 9293 3.8.6.3, MUST-40 */
    REFUSED_WITH(keepalive_probes, 128);
    REFUSED_WITH(out_of_order_share, 101);
    REFUSED_WITH(port_first, 61000);
    REFUSED_WITH(memory_max_bytes, SIZE_MAX);
    REFUSED_WITH(icmp_errors_per_second, 0);
#undef REFUSED_WITH
}

static void the_number_of_sockets_is_settled_at_the_start(void **state)
{
    (void)state;
    struct strait_config config;
    strait_config_init(&config);
    assert_int_equal(strait_config_set(&config, "socket.max", "2"), 0);
    struct strait *stack = strait_new(&config, NULL);
    assert_non_null(stack);
    assert_true(strait_socket(stack, AF_INET, SOCK_STREAM, 0) >= 0);
    assert_true(strait_socket(stack, AF_INET, SOCK_STREAM, 0) >= 0);
    assert_errno(strait_socket(stack, AF_INET, SOCK_STREAM, 0), EMFILE);
    strait_free(stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_whole_and_its_name_its_own),
        HOST_TEST(a_host_begins_with_the_defaults),
        cmocka_unit_test(a_setting_changes_nothing_but_itself),
        cmocka_unit_test(both_ends_of_a_range_are_taken_and_nothing_beyond),
        HOST_TEST(each_word_is_taken_and_no_other),
        cmocka_unit_test(words_are_what_a_program_sets),
        cmocka_unit_test(numbers_are_what_a_program_sets),
        HOST_TEST(a_value_is_read_back_in_its_shortest_form),
        HOST_TEST(an_unknown_name_is_enoent),
        HOST_TEST(what_cannot_be_read_is_einval),
        HOST_TEST(what_is_finer_than_the_setting_is_einval),
        HOST_TEST(ports_are_two_numbers_in_their_order),
        HOST_TEST(a_number_that_no_field_holds_is_erange),
        HOST_TEST(what_is_settled_at_the_start_is_eperm),
        HOST_TEST(a_value_that_does_not_fit_is_enospc),
        cmocka_unit_test(an_older_configuration_has_only_the_settings_of_its_fields),
        cmocka_unit_test(a_field_out_of_its_range_makes_no_host),
        cmocka_unit_test(the_number_of_sockets_is_settled_at_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
