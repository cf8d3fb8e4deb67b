/* SPDX-License-Identifier: MIT */
/* The key-value store by HTTP: what is too long, too deep or too much. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "glutton.h"
#include "shop.h"

/* What takes no body says first what else is wrong. */
static void the_method_is_judged_before_the_body(void **state)
{
    (void)state;
    static const struct {
        const char *line, *field;
    } wrong[] = {
        {"POST /status", "Allow: GET, HEAD\r\n"},
        {"PUT /txns", "Allow: GET, HEAD\r\n"},
        {"POST /backup", "Allow: GET\r\n"},
    };
    struct shop *s = shop_new();
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        shop_ask(s, wrong[i].line, "", "{}", 405);
        shop_expect_field(s, wrong[i].field);
    }
    shop_free(s);
}

static void a_body_above_the_limit_is_refused_in_json(void **state)
{
    (void)state;
    static const char *const lines[] = {"PUT /kv/a", "POST /txn", "GET /status", "GET /x"};
    struct shop *s = shop_new();
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        snprintf(s->request, sizeof(s->request),
                 "%s HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", lines[i]);
        s->talker = talker_connect(s->pair, 0, SHOP_PORT);
        talker_say(s->talker, s->request, strlen(s->request));
        talker_hear_end(s->talker);
        shop_expect_field(s, "HTTP/1.1 413 ");
        shop_expect_field(s, "Connection: close\r\n");
        shop_expect_field(s, "\"reason\":\"large\"");
        talker_close(s->talker);
        s->talker = NULL;
    }
    shop_free(s);
}

/* The second chunk passes the limit; what comes behind it is not taken for a request. */
static void a_body_in_chunks_that_passes_the_limit_is_refused_rfc9112_9_6(void **state)
{
    (void)state;
    char value[600];
    struct shop *s = shop_new();
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    for (int chunks = 1; chunks <= 2; chunks++) {
        snprintf(s->request, sizeof(s->request),
                 "PUT /kv/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "257\r\n%s\r\n%s%s%s0\r\n\r\n"
                 "DELETE /kv/b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                 value, chunks == 2 ? "257\r\n" : "", chunks == 2 ? value : "",
                 chunks == 2 ? "\r\n" : "");
        s->talker = talker_connect(s->pair, 0, SHOP_PORT);
        talker_say(s->talker, s->request, strlen(s->request));
        talker_hear_end(s->talker);
        assert_int_equal(s->standin.txns, 2);
        shop_expect_field(s, chunks == 2 ? "HTTP/1.1 413 " : "HTTP/1.1 200 ");
        if (chunks == 1)
            talker_close(s->talker);
    }
    shop_expect_field(s, "Connection: close\r\n");
    shop_expect_field(s, "\"reason\":\"large\"");
    assert_null(strstr(s->talker->received + 1, "HTTP/1.1"));
    shop_free(s);
}

static void a_body_without_room_is_503_until_there_is_some(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    struct talker *glutton = glutton_connect(s->pair, SHOP_PORT);
    shop_ask(s, "PUT /kv/a", "", "x", 503);
    shop_expect_field(s, "\"reason\":\"busy\"");
    assert_int_equal(s->standin.txns, 0);
    talker_close(glutton);
    shop_ask(s, "PUT /kv/a", "", "x", 200);
    assert_int_equal(s->standin.txns, 1);
    shop_free(s);
}

static void a_value_above_the_limit_is_413(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    char body[1002];
    memset(body, 'x', sizeof(body));
    body[1001] = '\0';
    shop_ask(s, "PUT /kv/a", "", body, 413);
    body[1000] = '\0';
    shop_ask(s, "PUT /kv/a", "", body, 200);
    assert_int_equal(s->standin.txns, 1);
    shop_free(s);
}

static void json_that_is_too_deep_or_too_much_is_refused(void **state)
{
    (void)state;
    struct shop *s = shop_new();
    char text[8000];
    size_t n = 0;
    memset(text, '[', 5000);
    text[5000] = '\0';
    shop_ask(s, "POST /txn", "", text, 400);
    n = (size_t)snprintf(text, sizeof(text), "{\"get\":[\"k0\"");
    for (int i = 1; i <= KV_OPERATIONS_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, ",\"k%d\"", i);
    snprintf(text + n, sizeof(text) - n, "]}");
    assert_non_null(strstr(shop_ask(s, "POST /txn", "", text, 413), "too many keys"));
    assert_int_equal(s->standin.txns, 0);
    shop_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_method_is_judged_before_the_body),
        cmocka_unit_test(a_body_above_the_limit_is_refused_in_json),
        cmocka_unit_test(a_body_in_chunks_that_passes_the_limit_is_refused_rfc9112_9_6),
        cmocka_unit_test(a_body_without_room_is_503_until_there_is_some),
        cmocka_unit_test(a_value_above_the_limit_is_413),
        cmocka_unit_test(json_that_is_too_deep_or_too_much_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
