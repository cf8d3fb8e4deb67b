/* SPDX-License-Identifier: MIT */
#include "shop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "glutton.h"

struct shop *shop_new(void)
{
    struct shop *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->pair = pair_new(&(struct pair_config){0});
    snprintf(s->directory, sizeof(s->directory), "/tmp/strait-kv-XXXXXX");
    assert_non_null(mkdtemp(s->directory));
    struct kv_node *node = standin_new(&s->standin, pair_env(s->pair));
    s->gates = kv_http_new(node, pair_env(s->pair), s->directory);
    struct http_config config = {.port = SHOP_PORT, .gates = {&glutton_gate}};
    for (size_t i = 0; i < KV_HTTP_GATES; i++)
        config.gates[i + 1] = kv_http_gate(s->gates, i);
    s->server = http_start(pair_stack(s->pair, 1), pair_env(s->pair), &config);
    assert_non_null(s->server);
    return s;
}

void shop_free(struct shop *s)
{
    if (s->talker)
        talker_close(s->talker);
    pair_run(s->pair, 100 * PAIR_S);
    assert_int_equal(server_sessions(s->server), 0);
    server_free(s->server);
    kv_http_free(s->gates);
    standin_free(&s->standin);
    assert_true(strait_memory(pair_stack(s->pair, 1)) == 0);
    pair_free(s->pair);
    assert_int_equal(rmdir(s->directory), 0);
    free(s);
}

void shop_say(struct shop *s, const char *line, const char *fields, const char *body)
{
    snprintf(s->request, sizeof(s->request),
             "%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n%s", line,
             fields, strlen(body), body);
    if (s->talker)
        talker_close(s->talker);
    s->talker = talker_connect(s->pair, 0, SHOP_PORT);
    talker_say(s->talker, s->request, strlen(s->request));
}

const char *shop_ask(struct shop *s, const char *line, const char *fields, const char *body,
                     int status)
{
    char start[32];
    shop_say(s, line, fields, body);
    talker_hear_end(s->talker);
    snprintf(start, sizeof(start), "HTTP/1.1 %d ", status);
    const char *text = s->talker->received;
    const char *end = text ? strstr(text, "\r\n\r\n") : NULL;
    if (!end || strncmp(text, start, strlen(start)) != 0)
        fail_msg("%s %s: %d was expected: %s", line, body, status, text ? text : "nothing");
    return end + 4;
}

void shop_expect_field(const struct shop *s, const char *line)
{
    if (!strstr(s->talker->received, line))
        fail_msg("%s is not in %s", line, s->talker->received);
}

void shop_expect_no_field(const struct shop *s, const char *name)
{
    assert_null(strstr(s->talker->received, name));
}
