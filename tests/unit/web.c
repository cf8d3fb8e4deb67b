/* SPDX-License-Identifier: MIT */
#include "web.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/prng.h"

char web_bulk[WEB_BULK_BYTES];

int web_fill_bulk(void **state)
{
    (void)state;
    struct prng prng;
    prng_seed(&prng, 1);
    for (size_t i = 0; i < sizeof(web_bulk); i++)
        web_bulk[i] = (char)prng_next(&prng);
    return 0;
}

static void note_line(void *context, const char *line, size_t length)
{
    struct web *w = context;
    if (strlen(w->log) + length < sizeof(w->log))
        strncat(w->log, line, length);
}

struct web *web_new(const char *root)
{
    struct web *w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->pair = pair_new(&(struct pair_config){0});
    pair_file(w->pair, "/srv", NULL, 0);
    pair_file(w->pair, "/srv/index.html", "<p>index", 8);
    pair_file(w->pair, "/srv/hello.txt", "hello", 5);
    pair_file(w->pair, "/srv/a b", "blank", 5);
    pair_file(w->pair, "/srv/empty", "", 0);
    pair_file(w->pair, "/srv/bulk", web_bulk, sizeof(web_bulk));
    pair_file(w->pair, "/srv/sub", NULL, 0);
    pair_file(w->pair, "/srv/sub/index.html", "<p>sub", 6);
    pair_file(w->pair, "/srv/bare", NULL, 0);
    pair_file(w->pair, "/secret", "secret", 6);
    const struct http_config config = {
        .port = 80, .root = root, .log = note_line, .log_context = w};
    w->server = http_start(pair_stack(w->pair, 1), pair_env(w->pair), &config);
    assert_non_null(w->server);
    w->client = talker_connect(w->pair, 0, 80);
    return w;
}

void web_free(struct web *w)
{
    talker_close(w->client);
    server_free(w->server);
    assert_int_equal(pair_open_files(w->pair), 0);
    pair_free(w->pair);
    free(w);
}

const char *web_answer(struct web *w, const char *request)
{
    talker_say(w->client, request, strlen(request));
    talker_hear_end(w->client);
    assert_int_equal(w->client->error, 0);
    return w->client->received;
}

const char *web_body(const struct talker *client)
{
    const char *end = strstr(client->received, "\r\n\r\n");
    assert_non_null(end);
    return end + 4;
}

void web_expect(const char *request, const char *status_line, const char *line)
{
    struct web *w = web_new("/srv");
    const char *answer = web_answer(w, request);
    if (strncmp(answer, status_line, strlen(status_line)) != 0 || !strstr(answer, line))
        fail_msg("%s\nwas answered by\n%s\nand not by\n%s ... %s", request, answer, status_line,
                 line);
    web_free(w);
}

void web_expect_reset(struct web *w)
{
    talker_be_deaf(w->client, false);
    talker_hear_end(w->client);
    assert_int_not_equal(w->client->error, 0);
    assert_false(w->client->ended);
    assert_int_equal(server_sessions(w->server), 0);
    web_free(w);
}
