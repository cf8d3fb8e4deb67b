/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* accept4 */
#include "control/control.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/describe.h"
#include "settings/command.h"

#define STEP     32u                  /* endpoints that are told in one turn */
#define RETRY_NS UINT64_C(1000000000) /* when no descriptor is to be had */

struct client {
    struct control *control; /* NULL: this place is free */
    struct strait_timer timer;
    int fd;
    char request[CONTROL_REQUEST_MAX];
    size_t request_bytes;
    bool answering;  /* the answer has not been made to its end */
    uint64_t cursor; /* of strait_inspect */
    char *answer;    /* what is to be sent */
    size_t answer_bytes, sent_bytes, capacity;
    bool over; /* it has gone, or is to be cut */
};

struct control {
    struct control_config config;
    struct strait_timer retry;
    struct client clients[CONTROL_CLIENTS_MAX];
};

static void accept_ready(void *argument, int fd, short revents);
static void client_ready(void *argument, int fd, short revents);

static void watch_listener(struct control *control, bool on)
{
    struct strait_env *env = control->config.env;
    env->watch(env, control->config.fd, on ? POLLIN : 0, on ? accept_ready : NULL, control);
}

static void watch_client(struct client *c, short events)
{
    struct strait_env *env = c->control->config.env;
    if (env->watch(env, c->fd, events, client_ready, c) < 0)
        c->over = true;
}

static void be_patient(struct client *c)
{
    struct strait_env *env = c->control->config.env;
    env->timer_start(env, &c->timer, env->now(env) + c->control->config.patience_ns);
}

static void client_close(struct client *c)
{
    struct control *control = c->control;
    struct strait_env *env = control->config.env;
    env->timer_stop(env, &c->timer);
    env->watch(env, c->fd, 0, NULL, NULL);
    close(c->fd);
    free(c->answer);
    *c = (struct client){0};
    watch_listener(control, true);
}

static void patience_over(void *owner, struct strait_timer *timer)
{
    (void)owner;
    client_close((struct client *)((char *)timer - offsetof(struct client, timer)));
}

/* ---- Making an answer ---- */

/* Makes room for more of the answer. Returns where it goes, or NULL. */
static char *reserve(struct client *c, size_t bytes)
{
    size_t needed = c->answer_bytes + bytes;
    if (needed > c->capacity) {
        size_t capacity = 2 * needed;
        char *answer = realloc(c->answer, capacity);
        if (!answer) {
            c->over = true;
            return NULL;
        }
        c->answer = answer;
        c->capacity = capacity;
    }
    return c->answer + c->answer_bytes;
}

/* Adds a line, and lets go of its object. */
static void say_json(struct client *c, json_t *json)
{
    size_t bytes = json ? json_dumpb(json, NULL, 0, JSON_COMPACT) : 0;
    char *at = bytes > 0 ? reserve(c, bytes + 1) : NULL;
    if (at) {
        json_dumpb(json, at, bytes, JSON_COMPACT);
        at[bytes] = '\n';
        c->answer_bytes += bytes + 1;
    } else {
        c->over = true;
    }
    json_decref(json);
}

static void say_done(struct client *c)
{
    c->answering = false;
    say_json(c, json_pack("{s:b}", "done", 1));
}

static void say_error(struct client *c, const char *why)
{
    c->answering = false;
    say_json(c, json_pack("{s:s}", "error", why));
}

static void say_endpoint(void *context, const struct strait_endpoint *endpoint)
{
    say_json(context, describe_endpoint(endpoint));
}

/* A few more endpoints. */
static void go_on(struct client *c)
{
    if (!strait_inspect(c->control->config.stack, &c->cursor, STEP, say_endpoint, c))
        say_done(c);
}

static void add_counter(void *json, const char *name, uint64_t value)
{
    json_object_set_new(json, name, json_integer((json_int_t)value));
}

static void say_counters(struct client *c)
{
    const struct control_config *config = &c->control->config;
    json_t *json = json_object();
    if (json)
        config->counters(config->counters_context, add_counter, json);
    say_json(c, json);
    say_done(c);
}

/* ---- Settings ---- */

/* Adds a setting to an object. Returns 0, or -1 with errno. */
static int add_setting(const struct client *c, json_t *json, const char *name)
{
    char value[STRAIT_SETTING_BYTES];
    if (strait_get(c->control->config.stack, name, value, sizeof(value)) < 0)
        return -1;
    json_object_set_new(json, name, json_string(value));
    return 0;
}

static void say_settings(struct client *c)
{
    const struct strait_setting *setting;
    json_t *json = json_object();
    for (size_t i = 0; (setting = strait_setting(i)); i++)
        add_setting(c, json, setting->name);
    say_json(c, json);
    say_done(c);
}

static void refuse_setting(struct client *c, const char *name, const char *value)
{
    char why[CONTROL_REQUEST_MAX];
    settings_explain(name, value, errno, why, sizeof(why));
    say_error(c, why);
}

static void say_setting(struct client *c, const char *name)
{
    json_t *json = json_object();
    if (add_setting(c, json, name) < 0) {
        json_decref(json);
        refuse_setting(c, name, NULL);
        return;
    }
    say_json(c, json);
    say_done(c);
}

/* NAME VALUE */
static void change_setting(struct client *c, const char *words)
{
    char name[CONTROL_REQUEST_MAX];
    const char *space = strchr(words, ' ');
    if (!space) {
        say_error(c, "the value is missing");
        return;
    }
    snprintf(name, sizeof(name), "%.*s", (int)(space - words), words);
    if (strait_set(c->control->config.stack, name, space + 1) < 0)
        refuse_setting(c, name, space + 1);
    else
        say_done(c);
}

/* ---- Requests ---- */

/* What follows a word and a space at the start of a request, or NULL. */
static const char *after(const char *request, const char *word)
{
    size_t length = strlen(word);
    bool begins = strncmp(request, word, length) == 0 && request[length] == ' ';
    return begins ? request + length + 1 : NULL;
}

static void answer(struct client *c, const char *request)
{
    c->answering = true;
    c->answer_bytes = c->sent_bytes = 0;
    if (strcmp(request, "endpoints") == 0)
        c->cursor = 0;
    else if (strcmp(request, "counters") == 0)
        say_counters(c);
    else if (strcmp(request, "get") == 0)
        say_settings(c);
    else if (after(request, "get"))
        say_setting(c, after(request, "get"));
    else if (after(request, "set"))
        change_setting(c, after(request, "set"));
    else
        say_error(c, "unknown request");
}

/* Answers the first request that has come whole, if any. */
static void take_request(struct client *c)
{
    char request[CONTROL_REQUEST_MAX];
    const char *end = memchr(c->request, '\n', c->request_bytes);
    if (!end && c->request_bytes == sizeof(c->request)) {
        c->over = true;
        return;
    }
    if (!end) {
        watch_client(c, POLLIN);
        return;
    }
    size_t length = (size_t)(end - c->request);
    memcpy(request, c->request, length);
    request[length] = '\0';
    c->request_bytes -= length + 1;
    memmove(c->request, end + 1, c->request_bytes);
    answer(c, request);
    be_patient(c);
    watch_client(c, POLLOUT);
}

static bool not_now(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static void receive(struct client *c)
{
    size_t room = sizeof(c->request) - c->request_bytes;
    ssize_t got = read(c->fd, c->request + c->request_bytes, room);
    if (got > 0) {
        c->request_bytes += (size_t)got;
        take_request(c);
    } else if (got == 0 || !not_now()) {
        c->over = true;
    }
}

/* Sends what there is, and makes more of the answer once it is gone: for the next turn. */
static void send_some(struct client *c)
{
    size_t left = c->answer_bytes - c->sent_bytes;
    ssize_t sent = left > 0 ? send(c->fd, c->answer + c->sent_bytes, left, MSG_NOSIGNAL) : 0;
    if (sent < 0) {
        c->over = !not_now();
        return;
    }
    c->sent_bytes += (size_t)sent;
    if (c->sent_bytes < c->answer_bytes)
        return;
    be_patient(c);
    c->answer_bytes = c->sent_bytes = 0;
    if (c->answering)
        go_on(c);
    else
        take_request(c);
}

static void client_ready(void *argument, int fd, short revents)
{
    struct client *c = argument;
    (void)fd;
    (void)revents; /* what has ended is learned by reading or writing */
    if (c->answering || c->answer_bytes > 0)
        send_some(c);
    else
        receive(c);
    if (c->over)
        client_close(c);
}

/* ---- Clients ---- */

static struct client *free_place(struct control *control)
{
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (!control->clients[i].control)
            return &control->clients[i];
    return NULL;
}

static void accept_ready(void *argument, int fd, short revents)
{
    struct control *control = argument;
    struct strait_env *env = control->config.env;
    struct client *c = free_place(control);
    (void)revents;
    int accepted = c ? accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC) : -1;
    if (accepted >= 0) {
        *c = (struct client){.control = control, .fd = accepted};
        c->timer.expired = patience_over;
        be_patient(c);
        watch_client(c, POLLIN);
        if (c->over)
            client_close(c);
    }
    bool trouble = accepted < 0 && !not_now();
    if (trouble)
        env->timer_start(env, &control->retry, env->now(env) + RETRY_NS);
    if (trouble || !free_place(control))
        watch_listener(control, false);
}

static void retry_due(void *owner, struct strait_timer *timer)
{
    (void)owner;
    watch_listener((struct control *)((char *)timer - offsetof(struct control, retry)), true);
}

struct control *control_start(const struct control_config *config)
{
    struct control *control = calloc(1, sizeof(*control));
    if (!control)
        return NULL;
    control->config = *config;
    control->retry.expired = retry_due;
    if (config->env->watch(config->env, config->fd, POLLIN, accept_ready, control) == 0)
        return control;
    free(control);
    return NULL;
}

void control_stop(struct control *control)
{
    if (!control)
        return;
    for (size_t i = 0; i < CONTROL_CLIENTS_MAX; i++)
        if (control->clients[i].control)
            client_close(&control->clients[i]);
    control->config.env->timer_stop(control->config.env, &control->retry);
    watch_listener(control, false);
    free(control);
}
